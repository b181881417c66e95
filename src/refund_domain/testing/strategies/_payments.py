"""Strategies for refs, payments, disputes and what the gateway shows of refunds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from refund_domain._checks import check_count, check_id, check_text
from refund_domain.connect import ApplicationFee, Transfer, TransferReversal
from refund_domain.money import LIMIT_MINOR, Currency, Money
from refund_domain.payments import (
    PLATFORM,
    AnyPayment,
    ChargeKind,
    Control,
    ControlRef,
    Dispute,
    GatewayRefund,
    OutsideRef,
    Payment,
    PaymentRef,
    PaymentStatus,
    Trace,
)
from refund_domain.testing.strategies._plain import (
    ANY_CURRENCY,
    COIN,
    MOST_CAPTURED_MINOR,
    by_id,
    check_optional,
    dates,
    ids,
    maybe,
    money,
    prefixed,
    some,
    texts,
    times,
    up_to,
    words,
)

_METHODS: Final = ("card", "us_bank_account", "card_present", "ach_debit", "link", "klarna", "sepa_debit")

_REFUND_STATUSES: Final = ("succeeded", "pending", "failed", "canceled", "requires_action")

_DISPUTE_STATUSES: Final = (
    "needs_response under_review won lost warning_needs_response warning_under_review warning_closed prevented"
).split()

_PENDING_REASONS: Final = ("processing", "insufficient_funds", "charge_pending")

_FAILURE_REASONS: Final = (
    "lost_or_stolen_card expired_or_canceled_card charge_for_pending_refund_disputed insufficient_funds "
    "declined merchant_request unknown"
).split()


def payment_refs(*, account: str | None = None) -> SearchStrategy[PaymentRef]:
    """Where a charge lives: at `account`, or at the platform or any connected account."""
    if account is not None:
        check_id(account, "account")
        accounts: SearchStrategy[str] = st.just(account)
    else:
        accounts = st.just(PLATFORM) | prefixed("acct_") | ids().filter(lambda name: name != "outside")
    return st.builds(PaymentRef, accounts, prefixed("ch_") | prefixed("py_") | ids())


def outside_refs(*, currency: Currency | None = None) -> SearchStrategy[OutsideRef]:
    """Money taken outside the platform: cash, a check and other words of the host."""
    methods = words(("cash", "check", "Venmo", "Zelle"), 40)
    amounts = money(currency=currency, min_minor=1, max_minor=MOST_CAPTURED_MINOR)
    return st.builds(OutsideRef, id=ids(), method=methods, amount=amounts)


def control_refs() -> SearchStrategy[ControlRef]:
    """What is kept beside the payments: switches and allowances."""
    return st.builds(ControlRef, kind=st.sampled_from(Control), name=texts())


def refs(*, currency: Currency | None = None) -> SearchStrategy[AnyPayment]:
    """Any payment, wherever it was taken."""
    return payment_refs() | outside_refs(currency=currency)


def disputes(*, currency: Currency | None = None, max_minor: int = MOST_CAPTURED_MINOR) -> SearchStrategy[Dispute]:
    """Disputes of every known status, and of unknown ones."""
    amounts = money(currency=currency, min_minor=0, max_minor=max_minor)
    return st.builds(Dispute, id=prefixed("dp_"), amount=amounts, status=words(_DISPUTE_STATUSES, 60))


def traces() -> SearchStrategy[Trace]:
    """What a bank finds the money by: a refund with its reference or without, a reversal, one still pending."""
    return st.builds(Trace, kind=words(("refund", "reversal", "pending"), 60), reference=maybe(texts(max_size=40)))


def gateway_refunds(
    *,
    currency: Currency | None = None,
    min_minor: int = 1,
    max_minor: int = MOST_CAPTURED_MINOR,
    marks: Sequence[str] = (),
) -> SearchStrategy[GatewayRefund]:
    """Refunds as the gateway shows them; now and then one bears one of `marks`, else none."""
    for mark in marks:
        check_id(mark, "each of marks")
    check_count(min_minor, "min_minor", 1, LIMIT_MINOR)
    return st.builds(
        GatewayRefund,
        id=prefixed("re_") | prefixed("pyr_"),
        amount=money(currency=currency, min_minor=min_minor, max_minor=max_minor),
        status=words(_REFUND_STATUSES, 60),
        created_at=times(),
        mark=maybe(st.sampled_from(list(marks))) if marks else st.none(),
        pending_reason=maybe(words(_PENDING_REASONS, 100)),
        failure_reason=maybe(words(_FAILURE_REASONS, 100)),
        trace=maybe(traces()),
    )


def payments(
    *,
    ref: PaymentRef | None = None,
    currency: Currency | None = None,
    min_captured_minor: int = 0,
    max_captured_minor: int = MOST_CAPTURED_MINOR,
    methods: Sequence[str] | None = None,
) -> SearchStrategy[Payment]:
    """Payments of any method (or only of `methods`), state and kind, with up to two disputes.

    No more has gone back than was captured, and no dispute is larger: a gateway's own figures.
    """
    check_optional(ref, PaymentRef, "ref")
    check_count(min_captured_minor, "min_captured_minor", 0, LIMIT_MINOR)
    for method in methods or ():
        check_text(method, "each of methods", 60)
    captured = money(currency=currency, min_minor=min_captured_minor, max_minor=max_captured_minor)
    taken_by = words(_METHODS, 60) if methods is None else st.sampled_from(some(methods, "methods"))
    where = payment_refs() if ref is None else st.just(ref)
    return _payments(where, captured, taken_by, by_id(disputes(currency=ANY_CURRENCY), 2))


@st.composite
def _payments(
    draw: DrawFn,
    refs: SearchStrategy[PaymentRef],
    captured: SearchStrategy[Money],
    methods: SearchStrategy[str],
    disputed: SearchStrategy[tuple[Dispute, ...]],
) -> Payment:
    # Only ints are drawn with bounds that depend on other draws: to build strategies for values anew in every
    # example costs many times what drawing costs.
    whole = draw(captured)

    def part() -> Money:
        return Money(draw(up_to(whole.amount_minor)), whole.currency)

    return Payment(
        ref=draw(refs),
        method=draw(methods),
        captured=whole,
        given_back=part() if draw(COIN) else Money.zero(whole.currency),
        taken_at=draw(_TIMES),
        status=draw(st.sampled_from([PaymentStatus.SUCCEEDED, PaymentStatus.PENDING, PaymentStatus.FAILED])),
        kind=draw(st.sampled_from(ChargeKind)),
        disputes=tuple(attrs.evolve(dispute, amount=part()) for dispute in draw(disputed)),
        fee=part() if draw(COIN) else None,
        settles_on=draw(_DAYS_OR_NONE),
        application_fee=draw(_FEES_OR_NONE) if draw(COIN) else None,
        transfers=tuple(_as(one, whole.currency) for one in draw(_FEW_TRANSFERS)) if draw(COIN) else (),
    )


def _as(transfer: Transfer, currency: Currency) -> Transfer:
    """The same transfer in this currency; a platform passes on what it took, but for one in three."""
    if len(transfer.id) % 3 == 0:
        return transfer
    return Transfer(
        id=transfer.id,
        amount=Money(transfer.amount.amount_minor, currency),
        reversed=Money(transfer.reversed.amount_minor, currency),
        reversals=tuple(
            TransferReversal(id=each.id, amount=Money(each.amount.amount_minor, currency), mark=each.mark)
            for each in transfer.reversals
        ),
    )


def application_fees(*, currency: Currency | None = None) -> SearchStrategy[ApplicationFee]:
    """A platform's fee of which nothing, a part or all has gone back."""
    return _parted(currency).map(lambda parts: ApplicationFee(taken=parts[0], returned=parts[1]))


def transfers(*, currency: Currency | None = None) -> SearchStrategy[Transfer]:
    """Money passed on of which nothing, a part or all has come back, by a reversal that is shown or is not."""
    return st.builds(_transfer, prefixed("tr_"), _parted(currency), maybe(transfer_reversals()))


def _transfer(id: str, parts: tuple[Money, Money], shown: TransferReversal | None) -> Transfer:
    whole, gone = parts
    if shown is None or not gone.amount_minor:
        return Transfer(id=id, amount=whole, reversed=gone)
    return Transfer(id=id, amount=whole, reversed=gone, reversals=(attrs.evolve(shown, amount=gone),))


def transfer_reversals(*, currency: Currency | None = None) -> SearchStrategy[TransferReversal]:
    """What brought back a part of a transfer; now and then one bears a mark."""
    return st.builds(
        TransferReversal,
        id=prefixed("trr_"),
        amount=money(currency=currency, min_minor=1, max_minor=MOST_CAPTURED_MINOR),
        mark=maybe(ids()),
    )


@st.composite
def _parted(draw: DrawFn, currency: Currency | None) -> tuple[Money, Money]:
    """An amount and a part of it, from nothing to all."""
    whole = draw(money(currency=currency, min_minor=0, max_minor=MOST_CAPTURED_MINOR))
    return whole, Money(draw(up_to(whole.amount_minor)), whole.currency)


_FEES_OR_NONE: Final = maybe(application_fees())

_FEW_TRANSFERS: Final = by_id(transfers(), 2)

_TIMES: Final = times()

_DAYS_OR_NONE: Final = maybe(dates())
