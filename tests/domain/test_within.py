"""A service within a host's transaction is the same service: its policy, its permissions, its ids, its clock."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from refund_adapters.memory import ManualClock, MemoryBank, MemoryGateway
from refund_adapters.sql import SqliteJournal
from refund_domain import Actor, Money, OutsideRef, RefundService, Refused
from refund_domain.commands import Action, ApproveRefund
from refund_domain.payments import Ref
from refund_domain.policy import Policy
from refund_domain.refusals import NotAllowed
from refund_domain.views import PaymentView
from tests.domain.worlds import MARIA, World, refund_of

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
PAUL = Actor(id="paul", tenant="acme")
USD_200 = Money.parse("200.00", "USD")
CASH = OutsideRef(id="cash-7", method="cash", amount=USD_200)
CLOSED_UNTIL = NINE.date() + timedelta(days=30)


class Host:
    """A host with a database of its own, in which the journal is."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(NINE)
        self.bank = MemoryBank(self.clock)
        self.file = folder / "refunds.db"
        self.journal = SqliteJournal(self.file, clock=self.clock)
        self.ids = (f"id-{number}" for number in itertools.count(1))
        self.asked: list[tuple[Action, Ref | None]] = []
        self.allowed = True
        self.ticks = itertools.count()
        self.refunds = RefundService(
            MemoryGateway(self.bank),
            self.journal,
            allow=self.allow,
            policy=Policy(second_person_from=()),
            new_id=lambda: next(self.ids),
            monotonic=lambda: float(next(self.ticks)) / 1000,
            is_business_day=lambda day: day > CLOSED_UNTIL,
        )

    def allow(self, actor: object, action: Action, ref: Ref | None) -> bool:
        """Whatever is asked is noted."""
        self.asked.append((action, ref))
        return self.allowed

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection of the host with a transaction open, committed at the end."""
        with closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    with closing(made.journal):
        yield made


def test_policy_and_ids_hold_within(host: Host) -> None:
    """What needs a second person waits for one, and the refund has an id of the host's source."""
    ref = host.bank.charge(USD_200)
    command = host.refunds.quote(ref, by=MARIA).verified(by=MARIA)
    with host.transaction() as connection:
        before = next(host.ticks)
        refund = refund_of(host.refunds.within(connection).request(command))
        assert next(host.ticks) > before + 1, "the host's monotonic clock was read"
    assert refund.waits_for_second
    assert (refund.id, next(host.ids)) == ("id-2", "id-3")


def test_calendar_holds_within(host: Host) -> None:
    """Asked for once more, a refund that is under way is shown with its arrival by the host's calendar."""
    ref = host.bank.charge(USD_200)
    command = host.refunds.quote(ref, by=MARIA).verified(by=MARIA)
    waiting = refund_of(host.refunds.issue(command))
    approved = refund_of(
        host.refunds.approve(ApproveRefund.from_form(waiting.approval_form(), payment=ref, by=PAUL))
    )
    with host.transaction() as connection:
        within = refund_of(host.refunds.within(connection).request(command))
    assert within.arrives is not None
    assert within.arrives.earliest > CLOSED_UNTIL
    assert within.arrives == approved.arrives


def test_outside_records_are_made_within(host: Host) -> None:
    """Amount, method, id and person arrive as given, by the host's leave, and are there after the commit."""
    with host.transaction() as connection:
        within = host.refunds.within(connection)
        view = within.record_outside(CASH, Money.parse("20.00", "USD"), by=MARIA, how="cash", record_id="o1")
        assert isinstance(view, PaymentView)
    assert host.asked == [(Action.RECORD_OUTSIDE, CASH)]
    shown = host.refunds.show(CASH, by=MARIA)
    assert isinstance(shown, PaymentView)
    (record,) = shown.outside
    assert (record.record_id, str(record.amount), record.how, record.by) == ("o1", "20.00 USD", "cash", MARIA)
    host.allowed = False
    with host.transaction() as connection:
        said = host.refunds.within(connection).record_outside(CASH, USD_200, by=MARIA, how="cash")
    assert said == Refused((NotAllowed(action=Action.RECORD_OUTSIDE),))


def test_a_journal_that_cannot_join_says_so() -> None:
    """In memory there is no transaction of a host."""
    with pytest.raises(TypeError, match="cannot join a host's transaction"):
        World().refunds.within(object())
