"""One payout of the bank: what it may become, and what happens in the books when it is made and moves on.

After docs/explanation/stripe-facts.md, "Funds, payouts, fees": only an automatic payout says what is in it, and
only once it is reconciled; a failing one may show `paid` first; a bank debit is a negative payout.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import attrs

from refund_adapters.memory.rows import Row, rows_of
from refund_domain.money import Currency, Money

if TYPE_CHECKING:
    from refund_adapters.memory._books import Books

EDGES: Final = {
    "pending": ("in_transit", "paid", "failed", "canceled"),
    "in_transit": ("paid", "failed"),
    "paid": ("failed",),
    "failed": (),
    "canceled": (),
}
"""What a payout may become."""

ARRIVES: Final = timedelta(days=2)
"""How long a payout takes unless somebody says otherwise."""

_TOLD: Final = {"paid": "payout.paid", "failed": "payout.failed", "canceled": "payout.canceled"}


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
    made_at: datetime
    arrives_at: datetime
    reconciliation: str
    rows: tuple[str, ...]
    failure_code: str | None

    @property
    def in_progress(self) -> bool:
        """Whether it is on its way and neither there nor back."""
        return self.status in ("pending", "in_transit")


class Paid:
    """A payout in the books; `rows`: the ids of the rows in it, None where nothing can be told."""

    __slots__ = (
        "account", "amount", "arrives_at", "automatic", "ended_at", "failure_code", "id", "made_at", "reconciled",
        "rows", "status",
    )  # fmt: skip

    def __init__(
        self, id: str, account: str, amount: Money, rows: list[Row] | None, at: datetime, arrives: timedelta
    ) -> None:
        self.id, self.account, self.amount, self.made_at = id, account, amount, at
        self.automatic = rows is not None
        self.rows = tuple(row.id for row in rows or ())
        self.status, self.reconciled = "pending", False
        self.arrives_at = at + arrives
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
            made_at=self.made_at,
            arrives_at=self.arrives_at,
            reconciliation=self.reconciliation,
            rows=self.rows,
            failure_code=self.failure_code,
        )


class Topup(NamedTuple):
    """Money put into a balance from the bank account."""

    id: str
    account: str
    amount: Money
    at: datetime


def ripe(books: Books, account: str, currency: Currency) -> list[Row]:
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


def pay_out(books: Books, account: str, total: Money, rows: list[Row] | None, arrives: timedelta = ARRIVES) -> str:
    """So much is on its way to the bank account, or from it, from now on; `rows` are what is in it."""
    number = f"po_{books.number('po')}"
    books.payouts[number] = Paid(number, account, total, rows, books.now, arrives)
    books.give((account, total.currency.code), -total.amount_minor)
    books.tell("payout.created", account, number, None)
    return number


def step(books: Books, payout: Paid, status: str, failure_code: str | None = None) -> None:
    """It is now this; what fails or is canceled gives its money back to the balance."""
    payout.status = status
    if status in ("failed", "canceled"):
        payout.ended_at, payout.failure_code = books.now, failure_code
        books.give((payout.account, payout.amount.currency.code), payout.amount.amount_minor)
    books.tell(_TOLD.get(status, "payout.updated"), payout.account, payout.id, None)


def reconcile(books: Books, payout: Paid) -> None:
    """From now on it says what is in it."""
    payout.reconciled = True
    books.tell("payout.reconciliation_completed", payout.account, payout.id, None)
