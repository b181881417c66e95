"""Where the money of a refund will come from: payouts in progress (R8), else the bank account (R9).

A forecast, and called one: what the gateway really does is finer. A refund draws on the available balance,
and no text of Stripe's says that a payout already created shrinks; what shrinks may be the next one
(docs/explanation/stripe-facts.md, "Funds, payouts, fees"). So R8 and R9 are switches of the policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from enum import StrEnum
from operator import attrgetter
from typing import ClassVar, Final

import attrs

from refund_domain._checks import check_date, check_id, check_tuple, check_type
from refund_domain.money import Money
from refund_domain.policy import DEFAULT_POLICY, Policy


class PayoutStatus(StrEnum):
    """The two states of a payout in progress, in the gateway's words."""

    PENDING = "pending"
    IN_TRANSIT = "in_transit"


@attrs.frozen(kw_only=True)
class Payout:
    """A payout in progress: its whole `amount`, and the day it is expected at the connected bank account.

    The amount may be negative (the gateway debits the bank account); nothing can be taken from such a one.
    Refuses odd ids (ValueError), datetimes and any status but the two in progress (TypeError): a payout
    that is paid, failed or canceled is none to take from.
    """

    id: str
    amount: Money
    arrives_on: date
    status: PayoutStatus = PayoutStatus.PENDING

    def __attrs_post_init__(self) -> None:
        check_id(self.id, "id")
        check_type(self.amount, Money, "amount")
        check_date(self.arrives_on, "arrives_on")
        check_type(self.status, PayoutStatus, "status")


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
class NotCovered:
    """Nothing the policy names covers this part: the account's balance must be filled first.

    Until it is, a card refund waits and an ACH refund fails (docs/explanation/stripe-facts.md, "Card versus
    ACH"). Refuses a part of nothing (ValueError).
    """

    amount: Money

    def __attrs_post_init__(self) -> None:
        _check_part(self.amount)

    def __str__(self) -> str:
        return (
            f"{self.amount} not covered: the balance must be topped up, until then a card refund waits, ACH fails"
        )


FundingPart = FromPayout | FromBankAccount | NotCovered
"""Where one part of a refund comes from."""


@attrs.frozen(kw_only=True)
class Funding:
    """Where one refund's money is forecast to come from; the parts add up to `amount` to the minor unit.

    Refuses parts that do not add up, a negative amount and two currencies (ValueError).
    A refund of nothing has no parts.
    """

    amount: Money
    parts: tuple[FundingPart, ...] = ()

    caveat: ClassVar[str] = (
        "This is a forecast: the gateway decides where the money comes from when the refund is carried out."
    )
    """The sentence to show beside the parts."""

    def __attrs_post_init__(self) -> None:
        check_type(self.amount, Money, "amount")
        check_tuple(self.parts, (FromPayout, FromBankAccount, NotCovered), "parts")
        if self.amount.amount_minor < 0:
            raise ValueError("amount must not be negative")
        rest_minor, currency = self.amount.amount_minor, self.amount.currency
        for part in self.parts:
            rest_minor -= part.amount.amount_minor
            if part.amount.currency is not currency and part.amount.currency != currency:
                raise ValueError("parts must be in the currency of amount")
        if rest_minor != 0:
            raise ValueError("parts must add up to amount exactly")

    def __str__(self) -> str:
        if not self.parts:
            return "nothing to fund"
        return "; ".join(str(part) for part in self.parts) + f". {self.caveat}"


def forecast_funding(amount: Money, payouts: Iterable[Payout], policy: Policy = DEFAULT_POLICY) -> Funding:
    """R8, R9: take `amount` from the payouts in progress, oldest expected arrival first, then the bank account.

    Only payouts of the amount's currency that hold more than nothing count; of two expected on one day, the
    smaller id comes first. Without R9 in the policy the rest is `NotCovered`; without R8 no payout is
    touched. Raises TypeError for anything but Money, Payouts and a Policy, ValueError for a negative amount
    and for two payouts of one id.

    >>> from refund_domain.money import Money
    >>> payout = Payout(id="po_1", amount=Money.parse("500.00", "USD"), arrives_on=date(2026, 3, 4))
    >>> funding = forecast_funding(Money.parse("200.00", "USD"), [payout])
    >>> print(funding)
    200.00 USD from payout po_1 expected on 2026-03-04, which will be 300.00 USD instead of 500.00 USD.
    This is a forecast: the gateway decides where the money comes from when the refund is carried out.
    """
    return forecast_fundings((amount,), payouts, policy)[0]


def forecast_fundings(
    amounts: Iterable[Money], payouts: Iterable[Payout], policy: Policy = DEFAULT_POLICY
) -> tuple[Funding, ...]:
    """`forecast_funding` for many refunds over the same payouts, in the order given, in one pass.

    What one refund takes the next does not find: `before` and `after` of a payout go on from part to part,
    so the last part that names a payout says what becomes of it. Currencies never mix. Linear in refunds
    and payouts, but for sorting the payouts. Raises what `forecast_funding` raises.
    """
    check_type(policy, Policy, "policy")
    wanted = tuple(amounts)
    together: dict[str, list[Money]] = {}  # by currency code
    for amount in wanted:
        check_type(amount, Money, "each of amounts")
        if amount.amount_minor < 0:
            raise ValueError("each of amounts must not be negative")
        together.setdefault(amount.currency.code, []).append(amount)
    queues = _queues(payouts)
    rest = FromBankAccount if policy.then_bank_account else NotCovered
    made = {
        code: iter(_fundings(same, queues.get(code, []) if policy.from_payouts_first else [], rest))
        for code, same in together.items()
    }
    return tuple([next(made[amount.currency.code]) for amount in wanted])


def _queues(payouts: Iterable[Payout]) -> dict[str, list[Payout]]:
    """By currency code, the payouts that hold anything, oldest expected arrival first."""
    listed = list(payouts)
    for payout in listed:
        check_type(payout, Payout, "each of payouts")
    if len({payout.id for payout in listed}) != len(listed):
        raise ValueError("each payout may be given once only: two have the same id")
    listed.sort(key=_BY_ARRIVAL)
    queues: dict[str, list[Payout]] = {}
    for payout in listed:
        if payout.amount.amount_minor > 0:
            queues.setdefault(payout.amount.currency.code, []).append(payout)
    return queues


def _fundings(
    amounts: list[Money], queue: list[Payout], rest: type[FromBankAccount | NotCovered]
) -> list[Funding]:
    """One Funding for each amount, of one currency, over payouts already in their order."""
    rows = _net([amount.amount_minor for amount in amounts], [payout.amount.amount_minor for payout in queue])
    row = next(rows, None)
    fundings: list[Funding] = []
    for place, amount in enumerate(amounts):
        parts: list[FundingPart] = []
        while row is not None and row[0] == place:
            _, source, taken_minor, left_minor = row
            taken = amount if taken_minor == amount.amount_minor else Money(taken_minor, amount.currency)
            if source < len(queue):
                parts.append(FromPayout(payout=queue[source], amount=taken, after_minor=left_minor))
            else:
                parts.append(rest(amount=taken))
            row = next(rows, None)
        fundings.append(Funding(amount=amount, parts=tuple(parts)))
    return fundings


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
        while wanted and source < end:
            taken = wanted if wanted < left else left
            if taken:
                wanted -= taken
                left -= taken
                yield refund, source, taken, left
            if not left:
                source += 1
                left = payouts_minor[source] if source < end else 0
        if wanted:
            yield refund, end, wanted, 0


def _check_part(amount: object) -> None:
    check_type(amount, Money, "amount")
    if isinstance(amount, Money) and amount.amount_minor <= 0:
        raise ValueError("amount must be more than nothing")


_BY_ARRIVAL: Final = attrgetter("arrives_on", "id")
_INTS: Final = frozenset([int])
