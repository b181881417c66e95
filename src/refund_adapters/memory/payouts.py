"""Payouts of the bank, made by hand: `MemoryBank.payouts`. A schedule can be built on `make`.

After docs/explanation/stripe-facts.md, "Funds, payouts, fees": only an automatic payout says what is in it, and
only once it is reconciled; a failing one may show `paid` first; a bank debit is a negative payout.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import attrs

from refund_adapters.memory.rows import Row, rows_of
from refund_domain._checks import check_id, check_type
from refund_domain.money import Currency, Money

if TYPE_CHECKING:
    from refund_adapters.memory._books import Books
    from refund_adapters.memory.bank import Turn

EDGES: Final = {
    "pending": ("in_transit", "paid", "failed", "canceled"),
    "in_transit": ("paid", "failed"),
    "paid": ("failed",),
    "failed": (),
    "canceled": (),
}
"""What a payout may become."""

_TOLD: Final = {"paid": "payout.paid", "failed": "payout.failed", "canceled": "payout.canceled"}
_ARRIVES: Final = timedelta(days=2)


@attrs.frozen(kw_only=True)
class Payout:
    """A payout as it is now; `reconciliation` is Stripe's reconciliation_status.

    `rows` are the ids of the balance transactions in an automatic one.
    """

    id: str
    account: str
    amount: Money
    status: str
    automatic: bool
    arrives_at: datetime
    reconciliation: str
    rows: tuple[str, ...]
    failure_code: str | None


class Paid:
    """A payout in the books; `rows`: the ids of the rows in it."""

    __slots__ = (
        "account", "amount", "arrives_at", "automatic", "ended_at", "failure_code", "id", "made_at", "reconciled",
        "rows", "status",
    )  # fmt: skip

    def __init__(self, id: str, account: str, amount: Money, rows: tuple[str, ...] | None, at: datetime) -> None:
        self.id, self.account, self.amount, self.made_at = id, account, amount, at
        self.automatic = rows is not None
        self.rows = rows or ()
        self.status, self.reconciled = "pending", False
        self.arrives_at = at + _ARRIVES
        self.ended_at: datetime | None = None
        self.failure_code: str | None = None

    @property
    def reconciliation(self) -> str:
        """Stripe's word for whether what is in it can be told."""
        if not self.automatic:
            return "not_applicable"
        return "completed" if self.reconciled else "in_progress"

    def shown(self) -> Payout:
        """As it is now."""
        return Payout(
            id=self.id,
            account=self.account,
            amount=self.amount,
            status=self.status,
            automatic=self.automatic,
            arrives_at=self.arrives_at,
            reconciliation=self.reconciliation,
            rows=self.rows,
            failure_code=self.failure_code,
        )


class Payouts:
    """The payouts, balance and balance transactions of one bank.

    >>> from datetime import timezone
    >>> from refund_adapters.memory import ManualClock, MemoryBank
    >>> clock = ManualClock(datetime(2026, 3, 2, 9, tzinfo=timezone.utc))
    >>> bank = MemoryBank(clock)
    >>> sold = bank.charge(Money.parse("500.00", "USD"))
    >>> back = bank.charge(Money.parse("200.00", "USD"), taken_at=clock() - timedelta(days=30))
    >>> reply = bank.refund(back.account, back.charge, 20_000, key="k1")
    >>> clock.forward(timedelta(days=2))
    >>> str(bank.payouts.find("platform", bank.payouts.make("platform", "USD")).amount)
    '500.00 USD'
    """

    def __init__(self, turn: Turn) -> None:
        self._turn = turn

    def rows(self, account: str) -> tuple[Row, ...]:
        """Every balance transaction of the account, oldest first."""
        with self._turn as books:
            return tuple(rows_of(books, account))

    def balance(self, account: str, currency: str) -> tuple[Money, Money]:
        """What is available and what is pending, by the rows; a counted balance (`drain`) is the available one."""
        kind = Currency.of(currency)
        with self._turn as books:
            rows = [row for row in rows_of(books, account) if row.currency == kind.code]
            available = books.balances.get((account, kind.code))
            if available is None:
                available = sum(row.net for row in rows if row.available_at <= books.now)
            pending = sum(row.net for row in rows if row.available_at > books.now)
        return Money(available, kind), Money(pending, kind)

    def make(self, account: str, currency: str, amount: Money | None = None) -> str:
        """A payout now; its id. Without `amount` it is automatic: all that is available and in no payout yet.

        A negative sum is taken from the bank account. Refuses (ValueError) a sum of nothing.
        """
        check_id(account, "account")
        kind = Currency.of(currency)
        if amount is not None:
            check_type(amount, Money, "amount")
        with self._turn as books:
            rows = None if amount is not None else _ripe(books, account, kind)
            total = Money(sum(row.net for row in rows or ()), kind) if amount is None else amount
            if not total.amount_minor or total.currency != kind:
                raise ValueError("a payout is of something, in the currency it is made in")
            number = f"po_{books.number('po')}"
            ids = None if rows is None else tuple(row.id for row in rows)
            books.payouts[number] = Paid(number, account, total, ids, books.now)
            books.give((account, kind.code), -total.amount_minor)
            books.tell("payout.created", account, number, None)
            return number

    def move(self, payout_id: str, status: str, failure_code: str | None = None) -> None:
        """It is now in_transit, paid, failed or canceled; ValueError for an unknown id or a step that is none.

        What fails or is canceled gives its money back to the balance.
        """
        with self._turn as books:
            payout = _held(books, payout_id)
            if status not in EDGES[payout.status]:
                raise ValueError(f"a payout that is {payout.status} cannot become {status}")
            payout.status = status
            if status in ("failed", "canceled"):
                payout.ended_at, payout.failure_code = books.now, failure_code
                books.give((payout.account, payout.amount.currency.code), payout.amount.amount_minor)
            books.tell(_TOLD.get(status, "payout.updated"), payout.account, payout_id, None)

    def reconcile(self, payout_id: str) -> None:
        """From now on it says what is in it; ValueError for one made by hand, which never does."""
        with self._turn as books:
            payout = _held(books, payout_id)
            if not payout.automatic:
                raise ValueError("only an automatic payout can be itemised")
            payout.reconciled = True
            books.tell("payout.reconciliation_completed", payout.account, payout_id, None)

    def find(self, account: str, payout_id: str) -> Payout | None:
        """One payout; None if this account has none of this id."""
        with self._turn as books:
            payout = books.payouts.get(payout_id)
            return payout.shown() if payout is not None and payout.account == account else None


def _held(books: Books, payout_id: str) -> Paid:
    payout = books.payouts.get(payout_id)
    if payout is None:
        raise ValueError("the bank knows no such payout")
    return payout


def _ripe(books: Books, account: str, currency: Currency) -> list[Row]:
    """What is available and in no payout yet: also what one made by hand took, and what any gave back."""
    claimed = {name for payout in books.payouts.values() for name in payout.rows}
    return [
        row
        for row in rows_of(books, account)
        if row.currency == currency.code
        and row.available_at <= books.now
        and row.id not in claimed
        and not (row.category == "payout" and books.payouts[row.source].automatic)
    ]
