"""What an account holds: its payouts, and its balance in each currency."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

import attrs

from refund_domain._checks import check_date, check_id, check_span, check_text, check_time, check_tuple, check_type
from refund_domain.money import LIMIT_MINOR, Currency, Money


class PayoutStatus(StrEnum):
    """The states of a payout, in the gateway's words. One that fails may have shown `paid` first."""

    PENDING = "pending"
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    FAILED = "failed"
    CANCELED = "canceled"


IN_PROGRESS: Final = frozenset([PayoutStatus.PENDING, PayoutStatus.IN_TRANSIT])
"""The states of a payout whose money has not arrived yet."""


@attrs.frozen(kw_only=True)
class Payout:
    """A payout: its whole `amount`, and the day it is expected, or arrived, at the connected bank account.

    A negative amount is a bank debit: the gateway took it from the bank account. `automatic` says that the
    gateway made it on its schedule, and so knows what is in it; `reconciled` that it can be asked now.
    `created_at` is when it was made, `before_at` when the automatic payout before it was made, `missed_at` the
    last time in between at which one could have been made, and none was (`with_missed`); each None where nobody
    said.

    Refuses odd ids, naive times and a payout made before the one before it (ValueError), and other types
    (TypeError).
    """

    id: str
    amount: Money
    arrives_on: date
    status: PayoutStatus = PayoutStatus.PENDING
    automatic: bool = True
    reconciled: bool = False
    created_at: datetime | None = None
    before_at: datetime | None = None
    missed_at: datetime | None = None
    failure: str | None = None

    def __attrs_post_init__(self) -> None:
        check_id(self.id, "id")
        check_type(self.amount, Money, "amount")
        check_date(self.arrives_on, "arrives_on")
        check_type(self.status, PayoutStatus, "status")
        check_type(self.automatic, bool, "automatic")
        check_type(self.reconciled, bool, "reconciled")
        for name in ("created_at", "before_at", "missed_at"):
            if getattr(self, name) is not None:
                check_time(getattr(self, name), name)
        if self.failure is not None:
            check_text(self.failure, "failure", 100)
        if self.created_at is not None and self.before_at is not None and self.before_at > self.created_at:
            raise ValueError("before_at must not be later than created_at")

    @property
    def in_progress(self) -> bool:
        """Whether its money is still on the way."""
        return self.status in IN_PROGRESS

    @property
    def is_debit(self) -> bool:
        """Whether the gateway took money from the bank account instead of paying it out."""
        return self.amount.amount_minor < 0


def with_missed(payout: Payout, every: timedelta) -> Payout:
    """The payout with `missed_at`, for an account that is paid out so often.

    A payout was missed before it if the one before it is at least one and a half times so long ago. Raises
    TypeError or ValueError for what is no such span.

    >>> from datetime import UTC
    >>> monday = datetime(2026, 3, 2, tzinfo=UTC)
    >>> made = monday + timedelta(days=3)
    >>> amount = Money(5, Currency.of("USD"))
    >>> payout = Payout(id="po_1", amount=amount, arrives_on=date(2026, 3, 6), before_at=monday, created_at=made)
    >>> str(with_missed(payout, timedelta(days=1)).missed_at), with_missed(payout, timedelta(days=7)).missed_at
    ('2026-03-04 00:00:00+00:00', None)
    """
    check_type(payout, Payout, "payout")
    check_span(every, "every", timedelta(minutes=1))
    made, before = payout.created_at, payout.before_at
    if made is None or before is None or 2 * (made - before) < 3 * every:
        return payout
    return attrs.evolve(payout, missed_at=made - every)


def taken_words(debit: Payout) -> str:
    """What to say of the amount of a bank debit: nothing that has not happened yet."""
    return f"{'' if debit.status is PayoutStatus.PAID else 'to be '}taken from the bank account"


@attrs.frozen(kw_only=True)
class Balance:
    """What an account holds in one currency: `available` now, `pending` until later.

    `prefunded` is what it set aside for refunds and disputes. Available and pending may be negative. Refuses two
    currencies, a negative `prefunded`, and what is too large together with it (ValueError).
    """

    available: Money
    pending: Money | None = None
    prefunded: Money | None = None

    def __attrs_post_init__(self) -> None:
        check_type(self.available, Money, "available")
        for name in ("pending", "prefunded"):
            amount = getattr(self, name)
            if amount is not None:
                check_type(amount, Money, name)
                if amount.currency != self.available.currency:
                    raise ValueError(f"{name} must be in the currency of available")
        if self.prefunded is not None and self.prefunded.amount_minor < 0:
            raise ValueError("prefunded must not be negative")
        if self.prefunded is not None and self.available.amount_minor + self.prefunded.amount_minor > LIMIT_MINOR:
            raise ValueError("available and prefunded together are beyond all payments")

    @property
    def currency(self) -> Currency:
        """Its currency."""
        return self.available.currency

    @property
    def spendable(self) -> Money:
        """What refunds draw on: what is available and what was set aside for them."""
        return self.available if self.prefunded is None else self.available + self.prefunded


@attrs.frozen(kw_only=True)
class Funds:
    """What an account holds at one moment: payouts in progress, and its balances, one a currency.

    A currency that is not named has no balance known. Refuses (ValueError) a payout that is over, two payouts of
    one id and two balances of one currency.

    >>> usd = Currency.of("USD")
    >>> funds = Funds(balances=(Balance(available=Money(5_000, usd)),))
    >>> str(funds.balance(usd).spendable), funds.balance(Currency.of("EUR"))
    ('50.00 USD', None)
    """

    payouts: tuple[Payout, ...] = ()
    balances: tuple[Balance, ...] = ()

    def __attrs_post_init__(self) -> None:
        check_tuple(self.payouts, Payout, "payouts")
        check_tuple(self.balances, Balance, "balances")
        if not all(payout.in_progress for payout in self.payouts):
            raise ValueError("payouts must be in progress: there is nothing to take from one that is over")
        if len({payout.id for payout in self.payouts}) != len(self.payouts):
            raise ValueError("payouts must name each payout once")
        if len({balance.currency for balance in self.balances}) != len(self.balances):
            raise ValueError("balances must name each currency once")

    def balance(self, currency: Currency) -> Balance | None:
        """The balance in this currency, if it is known."""
        return next((balance for balance in self.balances if balance.currency == currency), None)
