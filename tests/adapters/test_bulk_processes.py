"""A bulk run killed with SIGKILL at its k-th payment, and run again by a new process: one refund each."""

from __future__ import annotations

import random
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from refund_adapters.memory import ManualClock, MemoryBank, MemoryGateway, utc_now
from refund_adapters.sql import SqliteJournal
from refund_domain import Money, PaymentRef, RefundService
from refund_domain.answers import Send
from refund_domain.operations.bulk import BulkProgress, BulkReport
from refund_domain.quotes import Booking, IssueBooking
from tests.adapters.issue_child import MARIA, read_line, write_line
from tests.children import start

BOOKINGS = 8


class Storm:
    """The parent: the bank that is refunded at, the bookings that a storm cancels, the children's journal file."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.bank = MemoryBank(utc_now, cap=False)
        self.gateway = MemoryGateway(self.bank)
        self.refs = [self.bank.charge(Money.parse(f"{100 + number}.00", "USD")) for number in range(BOOKINGS)]
        self.commands: tuple[IssueBooking, ...] = ()
        self.progress: list[BulkProgress] = []
        self.reports: list[BulkReport] = []

    def decide(self) -> None:
        """A person verifies a quote of each booking."""
        journal = SqliteJournal(self.database)
        service = RefundService(self.gateway, journal, allow=lambda *_: True)
        bookings = [Booking(label=f"B{number}", payments=(ref,)) for number, ref in enumerate(self.refs)]
        self.commands = tuple(quote.verified(by=MARIA) for quote in service.quote_bookings(bookings, by=MARIA))
        journal.close()

    def run(self, kill_after: int | None = None, *, answer_lost: bool = False) -> int:
        """A child issues them all, or is killed after so many questions, the last of them answered or not."""
        process = start("tests.adapters.bulk_child", str(self.database))
        assert process.stdout is not None
        assert process.stdin is not None
        asked = 0
        while line := process.stdout.readline():
            asked += 1
            question = read_line(line)
            assert isinstance(question, tuple)
            answer = self.answer(*question)
            if asked == kill_after and answer_lost:
                break
            write_line(process.stdin.fileno(), answer)
            if asked == kill_after:
                break
        if kill_after is not None:
            process.send_signal(signal.SIGKILL)
        code = process.wait()
        process.stdin.close()
        process.stdout.close()
        return code

    def answer(self, word: str, value: object) -> object:
        """What a child is told."""
        if word == "commands":
            return self.commands
        if isinstance(value, PaymentRef):
            return self.gateway.look(value)
        if isinstance(value, Send):
            return self.gateway.send(value)
        if isinstance(value, BulkProgress):
            self.progress.append(value)
        if isinstance(value, BulkReport):
            self.reports.append(value)
        return None

    def made(self) -> list[int]:
        """How many refunds the bank made of each payment."""
        return [self.bank.made(ref) for ref in self.refs]


@pytest.fixture
def storm(tmp_path: Path) -> Storm:
    """A storm's bookings, each decided."""
    storm = Storm(tmp_path / "refunds.db")
    storm.decide()
    return storm


@pytest.mark.parametrize("seed", range(4))
def test_bulk_run_killed_and_run_again_refunds_each_once(storm: Storm, seed: int) -> None:
    """A child is killed at the k-th payment, at a look, a send or a progress, its last answer lost or not; a new
    one runs the same commands over the same file: each refund is made once, and the report tells each."""
    # failure: H09
    draw = random.Random(seed)
    kill_after = draw.randint(2, 3 * BOOKINGS)  # a look, a send, a progress for each
    assert storm.run(kill_after, answer_lost=seed % 2 == 0) == -signal.SIGKILL
    assert len(storm.progress) <= BOOKINGS
    assert storm.reports == []

    assert storm.run() == 0
    (report,) = storm.reports
    assert [item.label for item in report.items] == [command.label for command in storm.commands]
    assert {item.outcome for item in report.items} <= {"succeeded", "requested"}
    assert len(report.unfinished) <= 1  # the one whose send was in the air: nobody touches it for two minutes
    assert all(
        made == 1 for made, item in zip(storm.made(), report.items, strict=True) if item.outcome == "succeeded"
    )

    clock = ManualClock(utc_now())
    journal = SqliteJournal(storm.database, clock=clock)
    service = RefundService(storm.gateway, journal, allow=lambda *_: True)
    for _ in range(3):
        clock.forward(timedelta(minutes=30))
        assert service.recover().failed == ()
    finished = service.issue_bookings(storm.commands)
    assert str(finished) == "8 bookings, 8 payments\nsucceeded: 8, 828.00 USD"
    assert storm.made() == [1] * BOOKINGS
    journal.close()


def test_bulk_run_killed_after_every_payment_ends(storm: Storm) -> None:
    """Killed again and again, each time as soon as it got one payment further, the run still comes to its end."""
    # failure: H09
    for done in range(BOOKINGS):
        # The bookings, a progress for each payment that is done already, look, send and progress of the next.
        assert storm.run(1 + done + 3) == -signal.SIGKILL
        assert storm.made() == [1] * (done + 1) + [0] * (BOOKINGS - done - 1)
    assert storm.run() == 0
    (report,) = storm.reports
    assert {item.outcome for item in report.items} == {"succeeded"}
    assert storm.made() == [1] * BOOKINGS
