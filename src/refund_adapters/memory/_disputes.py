"""The bank's disputes: what was opened, what it took, how it ended."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from refund_adapters.memory import _schedules
from refund_adapters.memory._records import Charge
from refund_domain.money import Money
from refund_domain.payments import Dispute

if TYPE_CHECKING:
    from refund_adapters.memory._books import Books

OVER = ("won", "lost", "warning_closed")


class Disputed:
    """A dispute in the books: its charge, when it was opened and closed; `value`: as the gateway shows it."""

    __slots__ = ("charge", "closed_at", "opened_at", "takes", "value")

    def __init__(self, charge: Charge, value: Dispute, at: datetime) -> None:
        self.charge, self.value, self.opened_at = charge, value, at
        self.takes = not value.status.startswith("warning_")
        self.closed_at: datetime | None = None

    @property
    def place(self) -> tuple[str, str, str]:
        """Where it is: the account, its id, its charge."""
        ref = self.charge.ref
        return ref.account, self.value.id, ref.charge


def open_dispute(books: Books, charge: Charge, amount: Money | None, status: str) -> str:
    """A client disputes this charge now."""
    captured = Money(charge.captured_minor, charge.amount.currency)
    amount = captured if amount is None else amount
    if not Money.zero(captured.currency) < amount <= captured:
        raise ValueError("a dispute is about more than nothing and at most what was captured")
    dispute = Dispute(id=f"du_{books.number('du')}", amount=amount, status=status)
    charge.disputes[dispute.id] = dispute
    books.disputes[dispute.id] = disputed = Disputed(charge, dispute, books.now)
    charge.touch()
    books.tell("charge.dispute.created", *disputed.place)
    if disputed.takes:
        books.tell("charge.dispute.funds_withdrawn", *disputed.place)
    return dispute.id


def move_dispute(books: Books, dispute_id: str, status: str) -> None:
    """An open dispute takes this status: another open one, or the end of its kind."""
    disputed = books.disputes.get(dispute_id)
    if disputed is None:
        raise ValueError("the bank knows no such dispute")
    old = disputed.value.status
    if old in OVER:
        raise ValueError(f"this dispute is over: {old}")
    inquiry = old.startswith("warning_")
    ends = ("warning_closed",) if inquiry else ("won", "lost")
    if status in OVER and status not in ends:
        raise ValueError(f"a dispute that is {old} ends as {' or '.join(ends)}")
    if status not in OVER and status.startswith("warning_") is not inquiry:
        raise ValueError("an inquiry stays an inquiry, and a chargeback a chargeback")
    disputed.value = disputed.charge.disputes[dispute_id] = attrs.evolve(disputed.value, status=status)
    disputed.charge.touch()
    if status not in OVER:
        books.tell("charge.dispute.updated", *disputed.place)
        return
    disputed.closed_at = books.now
    books.tell("charge.dispute.closed", *disputed.place)
    if status == "won":
        books.tell("charge.dispute.funds_reinstated", *disputed.place)
        _schedules.serve_all(books)
