"""Runs of recovery that overlap as cron lets them: processes on one SQLite file, one of them killed midway."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from docs.examples.inspections.recover_refunds import run as run_script
from refund_adapters.memory import ManualClock, MemoryBank, MemoryGateway, utc_now
from refund_adapters.sql import SqliteJournal
from refund_domain import Money, PaymentRef, Refund, RefundService, Status
from refund_domain.answers import Look, Send
from refund_domain.events import SendClaimed
from tests.adapters.issue_child import MARIA, read_line, write_line
from tests.children import start

DUE = 12


class Run:
    """One run of the script, as cron starts it, and who answers what it asks its bank."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self.process = start("tests.adapters.issue_child", "cron", str(office.database))
        self.sent: list[str] = []
        self.met = False
        self.code: object = None
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        """Begin to answer it, and so let it begin."""
        self._thread.start()

    def _serve(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdin is not None
        for line in self.process.stdout:
            asked = read_line(line)
            assert isinstance(asked, tuple)
            word, value = asked
            answer: object = None
            if word == "look":
                answer = self._office.look(self, value)
            elif word == "send":
                answer = self._office.send(self, value)
                if answer is None:
                    return  # killed: money moved, and nobody was told
            elif word == "done":
                self.code = value
            write_line(self.process.stdin.fileno(), answer)

    def end(self) -> int:
        """Wait until it is over; how it ended."""
        self._thread.join(60)
        code = self.process.wait(60)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        return code


class Office:
    """The bank, which would make each send of a new key a new refund, and the journal's file."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.bank = MemoryBank(utc_now, cap=False)
        self.gateway = MemoryGateway(self.bank)
        self.sends = Counter[str]()
        self.kill_at: int | None = None
        self.killed: list[Run] = []
        self.unclaimed: list[Send] = []
        self.met = threading.Barrier(2, timeout=60)
        self._lock = threading.Lock()
        self._journal = SqliteJournal(database)
        service = RefundService(self.gateway, self._journal, allow=lambda *_: True)
        self.refs = [self.bank.charge(Money.parse("200.00", "USD")) for _ in range(DUE)]
        for ref in self.refs:
            assert isinstance(service.request(service.quote(ref, by=MARIA).verified(by=MARIA)), Refund)

    def look(self, run: Run, ref: PaymentRef) -> Look:
        """What the bank shows; at one payment the runs meet: whoever comes first waits for the other."""
        look = self.gateway.look(ref)
        if ref == self.refs[0] and not run.met:
            run.met = True
            with suppress(threading.BrokenBarrierError):
                self.met.wait()
        return look

    def send(self, run: Run, send: object) -> object:
        """The bank's answer; nothing where the run was killed before it came."""
        assert isinstance(send, Send)
        claims = [e.send for e in self._journal.load(send.payment).events if isinstance(e, SendClaimed)]
        if claims != [send]:
            self.unclaimed.append(send)
        with self._lock:
            self.sends[send.refund_id] += 1
            run.sent.append(send.refund_id)
            answer = self.gateway.send(send)
            if self.kill_at is not None and not self.killed and len(run.sent) == self.kill_at:
                self.killed.append(run)
                run.process.send_signal(signal.SIGKILL)
                run.process.wait()
                self.met.abort()  # nobody comes any more
                return None
            return answer

    def close(self) -> None:
        """Leave the file."""
        self._journal.close()


@pytest.mark.parametrize("kill_at", [None, 1, 3], ids=["both end", "killed at its first", "killed at its third"])
def test_runs_of_recovery_that_overlap_refund_each_payment_once(tmp_path: Path, kill_at: int | None) -> None:
    """The cron job's script runs twice at the same time, both look at one payment at once, and one run is killed
    with SIGKILL while its send is made: the other does all the rest, each due payment is sent once, and a later
    run ends what the killed one left."""
    with closing(Office(tmp_path / "refunds.db")) as office:
        office.kill_at = kill_at
        runs = [Run(office) for _ in range(2)]
        for run in runs:
            run.start()
        codes = [run.end() for run in runs]
        dead = [run in office.killed for run in runs]
        assert codes == [-signal.SIGKILL if killed else 0 for killed in dead]
        assert dead.count(True) == (kill_at is not None)
        # No payment's trouble is another's, and no run's another run's.
        assert [run.code for run in runs] == [None if killed else 0 for killed in dead]
        assert kill_at is not None or not office.met.broken
        assert office.unclaimed == []  # each send was claimed before it left, and once
        assert office.sends == Counter(dict.fromkeys(office.sends, 1))
        assert len(office.sends) == DUE
        left = statuses(office, later=timedelta(0), recover=False)
        assert left.count(Status.SUCCEEDED) == DUE - len(office.killed)
        assert statuses(office, later=timedelta(hours=1), recover=True) == [Status.SUCCEEDED] * DUE
        assert [office.bank.made(ref) for ref in office.refs] == [1] * DUE


def statuses(office: Office, *, later: timedelta, recover: bool) -> list[Status]:
    """Each payment's one refund as it is shown so much later, after a run of the script then."""
    clock = ManualClock(utc_now())
    clock.forward(later)
    with SqliteJournal(office.database, clock=clock) as journal:
        service = RefundService(office.gateway, journal, allow=lambda *_: True)
        if recover:
            assert run_script(service) == 0
        shown = []
        for ref in office.refs:
            (refund,) = service.show(ref, by=MARIA).refunds  # type: ignore[union-attr]
            shown.append(refund.status)
        return shown
