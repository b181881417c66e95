"""Where the money of a refund will come from: payouts in progress (R8), else the bank account (R9).

A forecast, and called one: what the gateway really does is finer. A refund draws on the available balance, and
no text of Stripe's says that a payout already created shrinks; what shrinks may be the next one
(docs/explanation/stripe-facts.md, "Funds, payouts, fees"). So which of the two is told is a value of the policy,
and where the balance is known, the other is told beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import ClassVar, Final

import attrs

from refund_domain._checks import check_tuple, check_type
from refund_domain.money import Money
from refund_domain.payouts.funds import Balance, Payout
from refund_domain.policy import DEFAULT_POLICY, FundingRule, Policy
from refund_domain.rules.eligibility import METHODS, Family


class Shortfall(StrEnum):
    """What becomes of a refund that the available balance does not cover (Stripe facts, "Card versus ACH")."""

    WAITS = "waits"
    """It is pending until the balance has been filled: a card's."""
    FAILS = "fails"
    """It fails, and its money stays: a bank debit's."""
    WAITS_OR_FAILS = "waits_or_fails"
    """One of the two, by the method, which was not told."""


def shortfall_of(method: str | None) -> Shortfall:
    """What too small a balance does to a refund of a payment by this method (None: not told)."""
    if method is None:
        return Shortfall.WAITS_OR_FAILS
    return Shortfall.WAITS if METHODS.get(method) is Family.CARD else Shortfall.FAILS


@attrs.frozen(kw_only=True)
class FromPayout:
    """R8: this part comes out of a payout in progress, which then stands at `after`.

    `before` and `after` count what earlier refunds of the same forecast take from this payout too. Refuses
    a part of nothing, a payout below zero, a `before` beyond the payout, two currencies (ValueError).
    """

    payout: Payout
    amount: Money
    after_minor: int

    def __attrs_post_init__(self) -> None:
        check_type(self.payout, Payout, "payout")
        whole, left_minor = self.payout.amount, self.after_minor
        _check_part(self.amount)
        if type(left_minor) is not int:
            raise TypeError(f"after_minor must be an int of minor units, not {type(left_minor).__name__}")
        if left_minor < 0:
            raise ValueError("after_minor must not be negative: no payout falls below zero")
        if left_minor + self.amount.amount_minor > whole.amount_minor:
            raise ValueError("amount and after_minor must not add up to more than the payout")
        if self.amount.currency is not whole.currency and self.amount.currency != whole.currency:
            raise ValueError("amount must be in the payout's own currency")

    @property
    def after(self) -> Money:
        """What the payout will be once this part is taken from it."""
        return Money(self.after_minor, self.amount.currency)

    @property
    def before(self) -> Money:
        """What the payout would be without this part."""
        return self.after + self.amount

    def __str__(self) -> str:
        return (
            f"{self.amount} from payout {self.payout.id} expected on {self.payout.arrives_on}, "
            f"which will be {self.after} instead of {self.before}"
        )


@attrs.frozen(kw_only=True)
class FromBankAccount:
    """R9: this part is deducted from the connected bank account. Refuses a part of nothing (ValueError)."""

    amount: Money

    def __attrs_post_init__(self) -> None:
        _check_part(self.amount)

    def __str__(self) -> str:
        return f"{self.amount} from the connected bank account"


@attrs.frozen(kw_only=True)
class FromBalance:
    """The available balance covers it: what the gateway does at present.

    `after` is what is left for refunds then, what was set aside for them included.
    Refuses a part of nothing, an `after` below zero and two currencies (ValueError).
    """

    amount: Money
    after: Money

    def __attrs_post_init__(self) -> None:
        _check_part(self.amount)
        check_type(self.after, Money, "after")
        if self.after.amount_minor < 0 or self.after.currency != self.amount.currency:
            raise ValueError("after must be nothing or more, in the currency of amount")

    def __str__(self) -> str:
        return f"{self.amount} from the available balance, with {self.after} left for refunds"


@attrs.frozen(kw_only=True)
class NotCovered:
    """Nothing the policy names covers this part: the account's balance must be topped up first.

    `then` says what becomes of the refund until it is. Refuses a part of nothing (ValueError).
    """

    amount: Money
    then: Shortfall = Shortfall.WAITS_OR_FAILS

    def __attrs_post_init__(self) -> None:
        _check_part(self.amount)
        check_type(self.then, Shortfall, "then")

    def __str__(self) -> str:
        return f"{self.amount} not covered: {_SHORT[self.then]}"


_SHORT: Final = {
    Shortfall.WAITS: "the refund waits until the balance is topped up",
    Shortfall.FAILS: "the refund fails unless the balance is topped up first",
    Shortfall.WAITS_OR_FAILS: (
        "the balance must be topped up, until then a card refund waits, and one of a bank debit fails"
    ),
}

FundingPart = FromPayout | FromBankAccount | FromBalance | NotCovered
"""Where one part of a refund comes from."""

AtGateway = FromBalance | NotCovered
"""What the gateway does at present: the available balance covers the refund as a whole, or not at all."""


@attrs.frozen(kw_only=True)
class Funding:
    """Where one refund's money is forecast to come from; the parts add up to `amount` to the minor unit.

    `parts` are by the policy's rule. `at_gateway` is what the gateway does at present with the balance it has,
    None where the balance is not known. Refuses parts that do not add up, a negative amount and two currencies
    (ValueError). A refund of nothing has no parts.
    """

    amount: Money
    parts: tuple[FundingPart, ...] = ()
    at_gateway: AtGateway | None = None

    caveat: ClassVar[str] = (
        "This is a forecast: the gateway decides where the money comes from when the refund is carried out."
    )
    """The sentence to show beside the parts."""

    def __attrs_post_init__(self) -> None:
        check_type(self.amount, Money, "amount")
        check_tuple(self.parts, (FromPayout, FromBankAccount, FromBalance, NotCovered), "parts")
        if self.amount.amount_minor < 0:
            raise ValueError("amount must not be negative")
        rest_minor, currency = self.amount.amount_minor, self.amount.currency
        for part in self.parts:
            rest_minor -= part.amount.amount_minor
            if part.amount.currency is not currency and part.amount.currency != currency:
                raise ValueError("parts must be in the currency of amount")
        if rest_minor != 0:
            raise ValueError("parts must add up to amount exactly")
        if self.at_gateway is not None:
            check_type(self.at_gateway, (FromBalance, NotCovered), "at_gateway")
            if self.at_gateway.amount != self.amount:
                raise ValueError("at_gateway must be of the whole amount")

    def __str__(self) -> str:
        if not self.parts:
            return "nothing to fund"
        said = "; ".join(str(part) for part in self.parts)
        if isinstance(self.at_gateway, NotCovered) and self.at_gateway not in self.parts:
            said += f". The available balance does not cover it today: {_SHORT[self.at_gateway.then]}"
        return f"{said}. {self.caveat}"


def forecast_funding(
    amount: Money,
    payouts: Iterable[Payout],
    balance: Balance | None = None,
    policy: Policy = DEFAULT_POLICY,
    *,
    method: str | None = None,
) -> Funding:
    """R8, R9: take `amount` from the payouts in progress, oldest expected arrival first, then the bank account.

    Only payouts of the amount's currency that hold more than nothing count; of two expected on one day, the
    smaller id comes first. `policy.funding` says which sources count. `FundingRule.BALANCE` is the gateway's
    present way: the available balance covers the whole refund, or it waits (a card's) or fails (a bank debit's,
    by `method`).

    Raises TypeError for anything but Money, Payouts, a Balance and a Policy, ValueError for a negative amount, a
    payout that is over, two payouts of one id, a balance in another currency, and where that rule lacks its
    balance.

    >>> from datetime import date
    >>> from refund_domain.money import Money
    >>> payout = Payout(id="po_1", amount=Money.parse("500.00", "USD"), arrives_on=date(2026, 3, 4))
    >>> funding = forecast_funding(Money.parse("200.00", "USD"), [payout])
    >>> print(funding)
    200.00 USD from payout po_1 expected on 2026-03-04, which will be 300.00 USD instead of 500.00 USD.
    This is a forecast: the gateway decides where the money comes from when the refund is carried out.
    >>> empty = Balance(available=Money.parse("0.00", "USD"))
    >>> forecast_funding(Money.parse("200.00", "USD"), [payout], empty, method="card").at_gateway.then
    <Shortfall.WAITS: 'waits'>
    """
    check_type(amount, Money, "amount")
    balances: tuple[Balance, ...] = ()
    if balance is not None:
        check_type(balance, Balance, "balance")
        if balance.currency != amount.currency:
            raise ValueError("balance must be in the currency of amount")
        balances = (balance,)
    return forecast_fundings((amount,), payouts, balances, policy, methods=(method,))[0]


def forecast_fundings(
    amounts: Iterable[Money],
    payouts: Iterable[Payout],
    balances: Iterable[Balance] = (),
    policy: Policy = DEFAULT_POLICY,
    *,
    methods: Iterable[str | None] | None = None,
) -> tuple[Funding, ...]:
    """`forecast_funding` for many refunds over the same payouts and balances, in the order given, in one pass.

    What one refund takes the next does not find: `before` and `after` of a payout go on from part to part,
    so the last part that names a payout says what becomes of it. Currencies never mix. `methods` are the payments'
    methods, one for each amount. Linear in refunds and payouts, but for sorting the payouts. Raises what
    `forecast_funding` raises, and ValueError for another number of methods.
    """
    check_type(policy, Policy, "policy")
    wanted = tuple(amounts)
    ways = (None,) * len(wanted) if methods is None else tuple(methods)
    if len(ways) != len(wanted):
        raise ValueError("methods must be one for each of amounts")
    together: dict[str, list[Money]] = {}  # by currency code
    for amount in wanted:
        check_type(amount, Money, "each of amounts")
        if amount.amount_minor < 0:
            raise ValueError("each of amounts must not be negative")
        together.setdefault(amount.currency.code, []).append(amount)
    queues = _queues(payouts)
    at_gateway = _at_gateway(wanted, ways, balances)
    if policy.funding is FundingRule.BALANCE:
        return tuple(map(_by_balance, wanted, at_gateway))
    made = {
        code: iter(_parts(same, queues.get(code, []) if policy.funding in _FROM_PAYOUTS else []))
        for code, same in together.items()
    }
    return tuple(
        Funding(amount=amount, parts=_with_rest(next(made[amount.currency.code]), way, policy), at_gateway=there)
        for amount, way, there in zip(wanted, ways, at_gateway, strict=True)
    )


_FROM_PAYOUTS: Final = frozenset([FundingRule.PAYOUTS_THEN_BANK, FundingRule.PAYOUTS])
_FROM_BANK: Final = frozenset([FundingRule.PAYOUTS_THEN_BANK, FundingRule.BANK])


def _queues(payouts: Iterable[Payout]) -> dict[str, list[Payout]]:
    """By currency code, the payouts that hold anything, oldest expected arrival first."""
    listed = list(payouts)
    for payout in listed:
        check_type(payout, Payout, "each of payouts")
        if not payout.in_progress:
            raise ValueError("each of payouts must be in progress: there is nothing to take from one that is over")
    if len({payout.id for payout in listed}) != len(listed):
        raise ValueError("each payout may be given once only: two have the same id")
    listed.sort(key=_BY_ARRIVAL)
    queues: dict[str, list[Payout]] = {}
    for payout in listed:
        if payout.amount.amount_minor > 0:
            queues.setdefault(payout.amount.currency.code, []).append(payout)
    return queues


def _at_gateway(
    amounts: tuple[Money, ...], methods: tuple[str | None, ...], balances: Iterable[Balance]
) -> list[AtGateway | None]:
    """What the balance does with each amount in turn: it covers all of it or none; None where it is not known."""
    left: dict[str, int] = {}
    for balance in balances:
        check_type(balance, Balance, "each of balances")
        if balance.currency.code in left:
            raise ValueError("each currency may have one balance only")
        left[balance.currency.code] = balance.spendable.amount_minor
    found: list[AtGateway | None] = []
    for amount, method in zip(amounts, methods, strict=True):
        code, minor = amount.currency.code, amount.amount_minor
        if code not in left or not minor:
            found.append(None)
        elif minor <= left[code]:
            left[code] -= minor
            found.append(FromBalance(amount=amount, after=Money(left[code], amount.currency)))
        else:
            found.append(NotCovered(amount=amount, then=shortfall_of(method)))
    return found


def _by_balance(amount: Money, there: AtGateway | None) -> Funding:
    if not amount.amount_minor:
        return Funding(amount=amount)
    if there is None:
        raise ValueError("this policy funds refunds from the available balance: give the balance of each currency")
    return Funding(amount=amount, parts=(there,), at_gateway=there)


def _parts(amounts: list[Money], queue: list[Payout]) -> list[tuple[list[FundingPart], Money | None]]:
    """For each amount, of one currency: its parts out of payouts already in their order, and what none covers."""
    rows = _net([amount.amount_minor for amount in amounts], [payout.amount.amount_minor for payout in queue])
    row = next(rows, None)
    found: list[tuple[list[FundingPart], Money | None]] = []
    for place, amount in enumerate(amounts):
        parts: list[FundingPart] = []
        rest: Money | None = None
        while row is not None and row[0] == place:
            _, source, taken_minor, left_minor = row
            taken = amount if taken_minor == amount.amount_minor else Money(taken_minor, amount.currency)
            if source < len(queue):
                parts.append(FromPayout(payout=queue[source], amount=taken, after_minor=left_minor))
            else:
                rest = taken
            row = next(rows, None)
        found.append((parts, rest))
    return found


def _with_rest(
    found: tuple[list[FundingPart], Money | None], method: str | None, policy: Policy
) -> tuple[FundingPart, ...]:
    """The parts, and what no payout covers by what the policy says of it."""
    parts, rest = found
    if rest is None:
        return tuple(parts)
    if policy.funding in _FROM_BANK:
        return (*parts, FromBankAccount(amount=rest))
    return (*parts, NotCovered(amount=rest, then=shortfall_of(method)))


def net(amounts_minor: Sequence[int], payouts_minor: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    """R8 on bare minor units of one currency: which refund takes how much from which payout.

    Each row is (refund, payout, taken, left in that payout), refunds and payouts by their place; the payout
    `len(payouts_minor)` stands for what no payout covers. Two pointers, one pass, no more rows than refunds
    and payouts together: what `forecast_fundings` wraps into values, for those who have a million. Raises
    TypeError for anything but plain ints, ValueError below zero.

    >>> list(net([200_00, 400_00], [500_00]))
    [(0, 0, 20000, 30000), (1, 0, 30000, 0), (1, 1, 10000, 0)]
    """
    for minor in (amounts_minor, payouts_minor):
        if minor and not set(map(type, minor)) <= _INTS:
            raise TypeError("amounts and payouts must be ints of minor units")
        if minor and min(minor) < 0:
            raise ValueError("amounts and payouts must not be negative")
    return _net(amounts_minor, payouts_minor)


def _net(amounts_minor: Sequence[int], payouts_minor: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    end = len(payouts_minor)
    source = 0
    left = payouts_minor[0] if end else 0
    for refund, asked in enumerate(amounts_minor):
        wanted = asked
        while wanted >= left and source < end:  # this payout is emptied
            if left:
                wanted -= left
                yield refund, source, left, 0
            source += 1
            left = payouts_minor[source] if source < end else 0
        if not wanted:
            continue
        if source < end:
            left -= wanted
            yield refund, source, wanted, left
        else:
            yield refund, end, wanted, 0


def _check_part(amount: object) -> None:
    check_type(amount, Money, "amount")
    if isinstance(amount, Money) and amount.amount_minor <= 0:
        raise ValueError("amount must be more than nothing")


_BY_ARRIVAL: Final = attrgetter("arrives_on", "id")
_INTS: Final = frozenset([int])
