"""The stage of the demonstration: a clock of its own, a bank in memory, a journal in an SQLite file, two bookings.

All a host would have: its bookings, who may refund, and the one `RefundService` it built.
"""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from refund_adapters.memory import Course, Fault, ManualClock, MemoryBank, MemoryGateway, MemoryPayouts, Planned
from refund_adapters.sql import SqliteJournal
from refund_adapters.wording import Tone
from refund_domain import Actor, Money, OutsideRef, PaymentRef, RefundService
from refund_domain.commands import Action
from refund_domain.payments import ChargeKind, Ref
from refund_domain.payouts.statement import PayoutStatement
from refund_domain.quotes import Booking

ACCOUNT: Final = "acct_inspections"
MONDAY: Final = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


class Said(NamedTuple):
    """What the narrator says; never an outcome."""

    text: str


class Call(NamedTuple):
    """The call made next, as a host's developer writes it."""

    code: str


class Got(NamedTuple):
    """Something a call returned."""

    label: str
    value: str
    tone: Tone | None = None


class Drawn(NamedTuple):
    """A statement that a call returned, to be drawn as bars."""

    statement: PayoutStatement


class Chapter(NamedTuple):
    """A title, and then what is said, called and returned, in order."""

    title: str
    steps: tuple[Said | Call | Got | Drawn, ...]


class Scene:
    """A host's office before the story begins. `fault` befalls one call in chapter 7, `course` one refund in 8."""

    def __init__(
        self,
        folder: Path,
        *,
        fault: Fault | Planned = Fault.ANSWER_LOST,
        course: Course | None = None,
    ) -> None:
        self.fault = fault
        self.time = ManualClock(MONDAY)
        self.bank = MemoryBank(self.time)
        self.gateway = MemoryGateway(self.bank)
        self.journal = SqliteJournal(folder / "refunds.db", clock=self.time)
        self.maria = Actor(id="maria", tenant="acme-inspections")
        # Short ids, to be read; the default is 128 random bits.
        numbers = itertools.count(1)
        self.in_progress = self.business()
        self.payouts = MemoryPayouts(self.bank)
        self.refunds = RefundService(
            self.gateway,
            self.journal,
            allow=self.may_refund,
            new_id=lambda: f"id-{next(numbers)}",
            payouts=self.payouts,
        )
        self.card = self.charge("200.00", fee="6.10")
        self.ach = self.charge("150.00", fee="1.20", method="us_bank_account", settles_on=date(2026, 11, 5))
        self.cash = OutsideRef(id="receipt-88", method="cash", amount=usd("40.00"))
        self.booking = Booking(label="1042", payments=(self.card, self.ach, self.cash))
        closed_card = Course.succeeds_then_fails("expired_or_canceled_card", timedelta(days=9))
        self.other = self.charge("320.00", course=closed_card if course is None else course)

    def business(self) -> str:
        """What the office sold last week: a payment in a payout on its way, whose id is returned, and one in the
        balance."""
        self.sold("ch_first")
        payout = self.bank.payouts.make(ACCOUNT, "USD")
        self.bank.payouts.move(payout, "in_transit")
        self.sold("ch_second")
        return payout

    def sold(self, id: str) -> None:
        """A payment of a week ago, whose money is there."""
        week_ago = MONDAY - timedelta(days=7)
        self.bank.charge(usd("515.00"), account=ACCOUNT, fee=usd("15.00"), taken_at=week_ago, id=id)

    def pay_out(self) -> str:
        """The payout that was on its way arrives, and the next one is made, told of and paid; its id."""
        self.time.forward(timedelta(days=2))
        self.bank.payouts.move(self.in_progress, "paid")
        payout = self.bank.payouts.make(ACCOUNT, "USD")
        self.bank.payouts.move(payout, "paid")
        self.bank.payouts.reconcile(payout)
        return payout

    def charge(
        self,
        amount: str,
        *,
        fee: str = "9.58",
        method: str = "card",
        settles_on: date | None = None,
        course: Course | None = None,
    ) -> PaymentRef:
        """Take a payment at the merchant's connected account."""
        return self.bank.charge(
            usd(amount),
            account=ACCOUNT,
            kind=ChargeKind.DIRECT,
            method=method,
            fee=usd(fee),
            settled=settles_on is None,
            settles_on=settles_on,
            course=course,
        )

    def may_refund(self, actor: Actor, action: Action, ref: Ref | None) -> bool:
        """The host's own word on who may do what: here, everybody of this office may do everything."""
        return actor.tenant == self.maria.tenant

    def label(self, charge: str) -> str | None:
        """The host's word for a payment, for statements."""
        if charge in (self.card.charge, self.ach.charge):
            return f"booking {self.booking.label}"
        return "booking 1043" if charge == self.other.charge else None

    def method(self, ref: Ref) -> str:
        """How a payment was made, as the host knows it."""
        if isinstance(ref, OutsideRef):
            return ref.method
        return "us_bank_account" if ref == self.ach else "card"


def usd(amount: str) -> Money:
    """US dollars."""
    return Money.parse(amount, "USD")
