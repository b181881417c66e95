"""The SQLite journal under violence, with money behind it: its log cut anywhere, its disk full or read-only, its
lock held by another process. Whatever is left of the journal, one refund each, shown as it is."""

from __future__ import annotations

import copy
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from refund_adapters.memory import Fault, ManualClock, MemoryBank, MemoryGateway
from refund_adapters.sql import SqliteJournal
from refund_domain import Actor, Money, PaymentRef, Refund, RefundService, Status
from refund_domain.answers import Answer, Ask, Look
from refund_domain.errors import JournalBusy, JournalError, JournalUnavailable
from refund_domain.events import Event
from refund_domain.payments import Ref
from refund_domain.ports import Head
from tests.adapters.cut_logs import FRAME, HEADER, PAGE, cuts, lay

STORIES = int(os.environ.get("REFUND_WAL_STORIES", "1"))
ROUND = int(os.environ.get("REFUND_ROUND", "0"))
"""What the gate does; the campaign sets the environment to more, and to other chance."""

CHILD = str(Path(__file__).with_name("sqlite_kill_child.py"))
MARIA = Actor(id="maria", tenant="acme")
AMOUNT = Money.parse("200.00", "USD")


def at_nine() -> ManualClock:
    """A clock that stands until it is moved."""
    return ManualClock(datetime(2026, 3, 2, 9, tzinfo=UTC))


def service_of(bank: MemoryBank, journal: SqliteJournal) -> RefundService:
    """The library between this bank and this journal."""
    return RefundService(MemoryGateway(bank), journal, allow=lambda *_: True)


def settle(service: RefundService, clock: ManualClock) -> None:
    """Recovery alone, for two days and a half."""
    for minutes in (2, 3, 10, 30, 60, 120, 240, 480, 960, 1440):
        clock.forward(timedelta(minutes=minutes))
        assert service.recover().failed == ()


def check_refunded(service: RefundService, bank: MemoryBank, refs: Sequence[PaymentRef]) -> None:
    """Each payment has one refund, and whoever asks is told of it; one that nobody remembers asking for is asked
    for now, if it may be."""
    for ref in refs:
        quote = service.quote(ref, by=MARIA)
        if not quote.refusals:
            assert bank.made(ref) == 0
            service.issue(quote.verified(by=MARIA))
        assert bank.made(ref) == 1
        view = service.show(ref, by=MARIA)
        assert [refund.status for refund in view.refunds] == [Status.SUCCEEDED]  # type: ignore[union-attr]
        assert service.quote(ref, by=MARIA).refusals


# ---- the log, cut ----


class Watched(SqliteJournal):
    """A journal that notes how long its log was when an append returned."""

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        super().__init__(path, clock=clock)
        self.log = Path(f"{path}-wal")
        self.told: list[tuple[int, str, tuple[Event, ...]]] = []

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        now = super().append(ref, events, expected=expected, head=head)
        self.told.append((self.log.stat().st_size, str(ref), tuple(events)))
        return now


class Story:
    """Some payments refunded through whatever befell them, with the journal's file as it was and its whole log."""

    FAULTS = (Fault.WORKS, Fault.ANSWER_LOST, Fault.REQUEST_LOST, Fault.EXECUTES_LATE, Fault.RATE_LIMITED)

    def __init__(self, folder: Path, chance: random.Random) -> None:
        path = folder / "refunds.db"
        self.clock = at_nine()
        self.bank = MemoryBank(self.clock, cap=chance.random() < 0.5)
        gateway = MemoryGateway(self.bank)
        # While this connection is open nobody empties the log: all of it stays, from the first table on.
        with closing(sqlite3.connect(path, isolation_level=None)) as keeper:
            keeper.execute("PRAGMA journal_mode = WAL")
            keeper.execute("SELECT count(*) FROM sqlite_master").fetchall()
            self.file = path.read_bytes()
            with closing(Watched(path, self.clock)) as journal:
                service = RefundService(gateway, journal, allow=lambda *_: True)
                self.refs = [self.bank.charge(AMOUNT) for _ in range(3)]
                for ref in self.refs:
                    gateway.script(chance.choice(self.FAULTS))
                    service.issue(service.quote(ref, by=MARIA).verified(by=MARIA))
                    self.clock.forward(timedelta(minutes=chance.choice((0, 1, 3, 70))))
                    if chance.random() < 0.5:
                        service.recover()
                self.told = journal.told
                self.log = journal.log.read_bytes()
                assert path.read_bytes() == self.file

    def twin(self) -> tuple[MemoryBank, ManualClock]:
        """The bank as it stands, for one try, and its clock."""
        clock, turn = ManualClock(self.clock.now), self.bank.turn
        known: dict[int, object] = {id(self.clock): clock, id(turn.lock): threading.Lock()}
        return copy.deepcopy(self.bank, known), clock


@pytest.mark.parametrize("number", range(STORIES))
def test_log_cut_anywhere(tmp_path: Path, number: int, record_property: Callable[[str, int], None]) -> None:
    """Cut at each frame of its log, and within it, the journal opens with exactly the appends that were whole, and
    going on over the same bank gives one refund each, shown as it is."""
    story = Story(tmp_path, random.Random(f"cut {ROUND} {number}"))
    assert (len(story.log) - HEADER) % FRAME == 0
    cut = tmp_path / "cut.db"
    tried = 0
    for whole, log in cuts(story.log):
        lay(cut, story.file, log)
        bank, clock = story.twin()
        with SqliteJournal(cut, clock=clock) as journal:
            for ref in story.refs:
                stood = [
                    e
                    for size, stream, events in story.told
                    if size <= whole and stream == str(ref)
                    for e in events
                ]
                assert list(journal.load(ref).events) == stood
            service = service_of(bank, journal)
            settle(service, clock)
            check_refunded(service, bank, story.refs)
        tried += 1
    assert tried > 4 * len(story.told)
    record_property("logs cut", tried)


# ---- the disk, full and read-only ----


def mounted(*arguments: str | Path) -> None:
    """Mount a filesystem of our own; skip where this user may not."""
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


@contextmanager
def disk(folder: Path, *arguments: str | Path) -> Iterator[Path]:
    """A filesystem of its own, until the end of the test."""
    if shutil.which("mount") is None or os.getuid():
        pytest.skip("only root may mount a filesystem")
    folder.mkdir()
    mounted(*arguments, folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def leave(folder: Path, pages: int) -> None:
    """Fill the disk but for so many pages."""
    free = os.statvfs(folder)
    size = free.f_bavail * free.f_frsize - pages * PAGE
    with (folder / "ballast").open("wb") as ballast:
        if size > 0:
            os.posix_fallocate(ballast.fileno(), 0, size)


@contextmanager
def filled(folder: Path, pages: int) -> Iterator[None]:
    """A disk with room for so many pages, for a while."""
    leave(folder, pages)
    yield
    (folder / "ballast").unlink()


@contextmanager
def limited(folder: Path, pages: int) -> Iterator[None]:
    """No file of this process may grow beyond so many pages more than the log has, for a while."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (folder / "refunds.db-wal").stat().st_size + pages * PAGE
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


Room = Callable[[Path, int], AbstractContextManager[None]]


def check_room(folder: Path, room: Room, trouble: str) -> None:
    """Refund with room for 0, 1, 2 … pages, and settle it all with room again."""
    clock = at_nine()
    bank = MemoryBank(clock, cap=False)
    kinds, refs = set[str](), list[PaymentRef]()
    with SqliteJournal(folder / "refunds.db", clock=clock) as journal:
        service = service_of(bank, journal)
        for pages in range(40):
            ref = bank.charge(AMOUNT)
            refs.append(ref)
            command = service.quote(ref, by=MARIA).verified(by=MARIA)
            sent = len(bank.received)
            with room(folder, pages):
                try:
                    result = service.issue(command)
                except JournalError as error:
                    kinds.add(f"{type(error).__name__}: {error}")
                    assert len(bank.received) == sent
                else:
                    assert isinstance(result, Refund)
                    kinds.add(str(result.status))
                    assert result.status in (Status.SUCCEEDED, Status.IN_DOUBT)
                    assert len(bank.received) == sent + 1
            assert journal.load(ref).version >= 2
        settle(service, clock)
        check_refunded(service, bank, refs)
    assert {"succeeded", trouble} <= kinds
    with closing(sqlite3.connect(folder / "refunds.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_disk_that_fills_up_at_any_page(tmp_path: Path) -> None:
    """On a real small filesystem with room for 0, 1, 2 … pages every append is whole or not there, trouble is
    typed, nothing is raised once money may have moved, and with room again each payment is refunded once."""
    with disk(tmp_path / "small", "-t", "tmpfs", "-o", "size=8m", "none") as folder:
        check_room(folder, filled, "JournalUnavailable: the journal's disk is full (SQLITE_FULL)")


def test_file_that_may_not_grow_past_any_page(tmp_path: Path) -> None:
    """The same where nothing can be mounted: the system refuses to let the log grow, whoever the user is."""
    check_room(tmp_path, limited, "JournalUnavailable: the journal's disk failed (SQLITE_IOERR_WRITE)")


def test_disk_that_may_only_be_read(tmp_path: Path) -> None:
    """Through a read-only mount, which binds root as well, an open journal is read and not written, one at rest
    cannot be opened, both say so, and nothing is sent."""
    real, clock = tmp_path / "real", at_nine()
    real.mkdir()
    bank = MemoryBank(clock)
    ref, other = bank.charge(AMOUNT), bank.charge(AMOUNT)
    with (
        SqliteJournal(real / "refunds.db", clock=clock) as journal,
        disk(tmp_path / "view", "--bind", real) as view,
    ):
        mounted("-o", "remount,bind,ro", view)
        command = service_of(bank, journal).quote(ref, by=MARIA).verified(by=MARIA)
        with SqliteJournal(view / "refunds.db", clock=clock) as readonly:
            assert readonly.load(ref).version == 2
            service = service_of(bank, readonly)
            with pytest.raises(JournalUnavailable, match="may not be written"):
                service.quote(other, by=MARIA)
            with pytest.raises(JournalUnavailable, match="may not be written"):
                service.issue(command)
        journal.close()
        with pytest.raises(JournalUnavailable, match="cannot be opened"):
            SqliteJournal(view / "refunds.db", clock=clock)
    assert bank.received == ()


def test_file_that_another_user_may_not_write(tmp_path: Path) -> None:
    """The same where nothing can be mounted: for a user without the right to write, a journal is read and not
    written, it says so, and nothing is sent; with the right back the refund is made once."""
    clock = at_nine()
    bank = MemoryBank(clock)
    ref = bank.charge(AMOUNT)
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to other users
        os.chmod(folder, 0o777)  # SQLite keeps its index of the log beside the file, for readers too
        path = Path(folder) / "refunds.db"
        with SqliteJournal(path, clock=clock) as journal:
            service_of(bank, journal).quote(ref, by=MARIA)
        path.chmod(0o444)
        done = subprocess.run([sys.executable, CHILD, "refused", path], capture_output=True, text=True, check=True)
        refusal = "JournalUnavailable: the journal's file may not be written"
        version, *refusals, sends = done.stdout.splitlines()
        assert (version, sends) == ("version 2", "sends 0")
        assert len(refusals) == 2
        assert all(line.startswith(refusal) for line in refusals)
        path.chmod(0o666)
        with SqliteJournal(path, clock=clock) as journal:
            check_refunded(service_of(bank, journal), bank, [ref])


# ---- the lock, held by another process ----


class Locker:
    """Another process that holds the file's write lock, and lets it go, on order."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, CHILD, "lock", str(path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def turn(self, expected: str) -> None:
        """Take the lock, or let it go."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("turn\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == f"{expected}\n"

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


class LockedOut(MemoryGateway):
    """A gateway during whose look or send another process takes the journal's lock."""

    def __init__(self, bank: MemoryBank, locker: Locker) -> None:
        super().__init__(bank)
        self.at, self._locker = "", locker

    def look(self, ref: PaymentRef, /) -> Look:
        look = super().look(ref)
        if self.at == "look":
            self._locker.turn("locked")
        return look

    def send(self, send: Ask, /) -> Answer:
        answer = super().send(send)
        if self.at == "send":
            self._locker.turn("locked")
        return answer


@pytest.mark.parametrize("at", ["request", "look", "send"])
def test_lock_held_by_another_process_for_longer_than_the_wait(tmp_path: Path, at: str) -> None:
    """Before the send it is told as busy and nothing is sent; after it the refund comes back in doubt, and nothing
    is raised; once the lock is free, recovery ends it with one refund."""
    clock, path = at_nine(), tmp_path / "refunds.db"
    bank = MemoryBank(clock, cap=False)
    ref = bank.charge(AMOUNT)
    with SqliteJournal(path, clock=clock, busy_timeout_s=0.1) as journal, closing(Locker(path)) as locker:
        gateway = LockedOut(bank, locker)
        service = RefundService(gateway, journal, allow=lambda *_: True)
        command = service.quote(ref, by=MARIA).verified(by=MARIA)
        gateway.at = at
        if at == "request":
            locker.turn("locked")
        if at == "send":
            refund = service.issue(command)
            assert isinstance(refund, Refund)
            assert (refund.status, bank.made(ref)) == (Status.IN_DOUBT, 1)
        else:
            with pytest.raises(JournalBusy, match="nothing was written"):
                service.issue(command)
            assert bank.received == ()
        gateway.at = ""
        locker.turn("free")
        settle(service, clock)
        check_refunded(service, bank, [ref])
        assert len(bank.received) == 1
