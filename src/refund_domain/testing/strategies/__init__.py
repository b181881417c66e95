"""A Hypothesis strategy for every public value of the core, for our own tests and for a host's.

All arguments are keyword-only and checked when the strategy is made (TypeError, ValueError); every size is
bounded; every value is a valid one. Amounts, words and times lean towards the edges that rules turn on. The
gateway's open words (methods, statuses, codes) are mostly the known ones and now and then an unknown one.

>>> from hypothesis import given
>>> from refund_domain.money import Currency, Money
>>> @given(amount=money(currency=Currency.of("JPY"), min_minor=1))
... def yen_have_no_decimals(amount: Money) -> None:
...     assert amount.major == str(amount.amount_minor)
>>> yen_have_no_decimals()
"""

try:
    import hypothesis as _hypothesis  # noqa: F401  # the modules below need it; without it say which extra brings it
except ImportError as error:
    raise ImportError("the strategies need the extra: pip install 'refund-domain[testing]'") from error

from refund_domain.testing.strategies._commands import (
    actions,
    actors,
    approve_refunds,
    choices,
    issue_refunds,
    reasons,
)
from refund_domain.testing.strategies._events import events, heads, refusals, refused
from refund_domain.testing.strategies._payments import (
    application_fees,
    control_refs,
    disputes,
    gateway_refunds,
    outside_refs,
    payment_refs,
    payments,
    refs,
    traces,
    transfer_reversals,
    transfers,
)
from refund_domain.testing.strategies._payouts import (
    arrival_windows,
    balance_entries,
    balances,
    funding_parts,
    fundings,
    funds,
    payout_lists,
    payout_statements,
    payouts,
    policies,
)
from refund_domain.testing.strategies._plain import (
    FIRST_DAY,
    FIRST_MOMENT,
    LAST_DAY,
    LAST_MOMENT,
    MOST_CAPTURED_MINOR,
    currencies,
    dates,
    ids,
    money,
    texts,
    times,
)
from refund_domain.testing.strategies._port import answers, leg_answers, looks, pictures, reversals, sends

__all__ = [
    "FIRST_DAY",
    "FIRST_MOMENT",
    "LAST_DAY",
    "LAST_MOMENT",
    "MOST_CAPTURED_MINOR",
    "actions",
    "actors",
    "answers",
    "application_fees",
    "approve_refunds",
    "arrival_windows",
    "balance_entries",
    "balances",
    "choices",
    "control_refs",
    "currencies",
    "dates",
    "disputes",
    "events",
    "funding_parts",
    "fundings",
    "funds",
    "gateway_refunds",
    "heads",
    "ids",
    "issue_refunds",
    "leg_answers",
    "looks",
    "money",
    "outside_refs",
    "payment_refs",
    "payments",
    "payout_lists",
    "payout_statements",
    "payouts",
    "pictures",
    "policies",
    "reasons",
    "refs",
    "refusals",
    "refused",
    "reversals",
    "sends",
    "texts",
    "times",
    "traces",
    "transfer_reversals",
    "transfers",
]
