"""The SQLite journal: its contract, races of threads and processes, and every way a disk or a person breaks it."""

from __future__ import annotations

import os
import pickle
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pytest

from refund_adapters.sql import SqliteJournal, schema
from refund_domain.errors import (
    JournalBusy,
    JournalConflict,
    JournalError,
    JournalUnavailable,
    UnknownEvent,
)
from refund_domain.events import Event, LookScheduled, PersonAsked, StreamOpened
from refund_domain.money import Currency, Money
from refund_domain.payments import OutsideRef, PaymentRef, Ref
from refund_domain.ports import Head, RefundJournal
from refund_domain.testing.laws_journal import check_journal
from refund_domain.testing.laws_within import HOST_LAWS
from tests import canaries

KILLS = int(os.environ.get("REFUND_KILLS", "100"))
ROUND = int(os.environ.get("REFUND_ROUND", "0"))
"""What the gate does; the campaign sets the environment to more, and to other chance."""
CHILD = str(Path(__file__).with_name("sqlite_kill_child.py"))
SECRET = canaries.LIVE_KEY
NINE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NAIVE = NINE.replace(tzinfo=None)
MINUTE = timedelta(minutes=1)
REF = PaymentRef("acct_1", "ch_1")
OTHER = PaymentRef("acct_1", "ch_2")
CASH = OutsideRef(id="cash-7", method="cash", amount=Money(4_000, Currency.of("USD")))
QUIET = Head(tenant="acme", look_at=None, waiting=False)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = NINE

    def __call__(self) -> datetime:
        return self.now


class BytesPath:
    """A path that is not text."""

    def __fspath__(self) -> bytes:
        return b"refunds.db"


def asked(number: int = 1, *, at: datetime = NINE) -> PersonAsked:
    return PersonAsked(at=at, refund_id=f"r{number}")


def owed(at: datetime) -> Head:
    return Head(tenant="acme", look_at=at, waiting=False)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "refunds.db")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(path: str, clock: Clock) -> Iterator[SqliteJournal]:
    with SqliteJournal(path, clock=clock, busy_timeout_s=10) as made:
        yield made


def by_hand(path: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Do one statement beside the journal, as a person with a shell would."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    try:
        return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def everything(path: str) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """All that stands in the file, to see that nothing of a failed append does."""
    events = by_hand(path, "SELECT stream, version, event FROM refund_events ORDER BY stream, version")
    return events, by_hand(path, "SELECT stream, tenant, look_at, waiting FROM refund_streams ORDER BY stream")


def child(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, CHILD, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


# ---- the contract ----


def test_it_is_a_refund_journal(journal: SqliteJournal) -> None:
    """The type checker agrees that it fits the port, and it calls itself durable."""
    port: RefundJournal = journal
    assert port.durable is True
    assert port.in_transaction is False


def test_it_keeps_every_law_of_its_port(tmp_path: Path) -> None:
    """The laws that a host's own journal is held to hold here, and none of them is left out."""
    paths: dict[SqliteJournal, str] = {}

    def make() -> SqliteJournal:
        path = str(tmp_path / f"{len(paths)}.db")
        journal = SqliteJournal(path)
        paths[journal] = path
        return journal

    def plant_unknown(journal: SqliteJournal, ref: Ref) -> None:
        by_hand(
            paths[journal],
            "INSERT INTO refund_events (stream, version, at, event) VALUES (?, ?, 0, ?)",
            str(ref),
            journal.load(ref).version + 1,
            '{"v":1,"type":"Teleported","at":"2026-03-02T09:00:00Z"}',
        )

    report = check_journal(make, again=lambda first: SqliteJournal(paths[first]), plant_unknown=plant_unknown)
    assert set(report.lacking) == {law.__name__ for law in HOST_LAWS}  # test_laws stages those
    assert len(report.held) >= 19


def test_an_unknown_stream_is_empty(journal: SqliteJournal) -> None:
    """What nobody wrote to is at version 0, without events, for both kinds of ref."""
    refs: list[Ref] = [REF, CASH]
    for ref in refs:
        loaded = journal.load(ref)
        assert (loaded.events, loaded.version, loaded.now, loaded.latest) == ((), 0, NINE, NINE)


def test_what_was_appended_is_loaded(journal: SqliteJournal) -> None:
    """Events come back in their order, all of them or those after a version."""
    journal.append(REF, (asked(1), asked(2)), expected=0, head=QUIET)
    journal.append(REF, [asked(3)], expected=2, head=QUIET)
    assert journal.load(REF).events == (asked(1), asked(2), asked(3))
    assert journal.load(REF, after=2).events == (asked(3),)
    assert journal.load(REF, 3).events == ()
    assert [journal.load(REF, after=after).version for after in (0, 2, 3, 9)] == [3, 3, 3, 3]


def test_streams_are_apart(journal: SqliteJournal) -> None:
    """Each ref has its own stream and versions: another charge, another account, an outside ref."""
    refs: list[Ref] = [REF, OTHER, PaymentRef("acct_2", "ch_1"), CASH]
    for number, ref in enumerate(refs):
        journal.append(ref, [asked(number)], expected=0, head=QUIET)
    for number, ref in enumerate(refs):
        assert journal.load(ref).events == (asked(number),)


@pytest.mark.parametrize("expected", [0, 1, 3, 99])
def test_another_version_than_expected_is_a_conflict(journal: SqliteJournal, path: str, expected: int) -> None:
    """A stale version and one that skips ahead are refused alike, and neither events nor head are touched."""
    journal.append(REF, [asked(1), asked(2)], expected=0, head=QUIET)
    before = everything(path)
    with pytest.raises(JournalConflict):
        journal.append(REF, [asked(9)], expected=expected, head=owed(NINE))
    assert everything(path) == before
    assert journal.due(10) == ()
    journal.append(REF, [asked(3)], expected=2, head=QUIET)


def test_append_gives_the_time_after_the_commit(path: str) -> None:
    """The time that starts the one-minute licence is read when the events stand already, for all to see."""
    seen = []

    def clock() -> datetime:
        seen.append(by_hand(path, "SELECT count(*) FROM refund_events")[0][0])
        return NINE

    with SqliteJournal(path, clock=clock) as journal:
        assert journal.append(REF, [asked()], expected=0, head=QUIET) == NINE
    assert seen == [1]


def test_times_are_given_in_utc(path: str) -> None:
    """A clock of another offset tells the same moment in UTC."""
    there = NINE.astimezone(timezone(timedelta(hours=-7)))
    with SqliteJournal(path, clock=lambda: there) as journal:
        now = journal.load(REF).now
        assert (now, now.tzinfo) == (NINE, UTC)


def test_the_default_clock_is_the_machine_s(path: str) -> None:
    """Without a clock of the host's, the journal's time is now, and aware."""
    with SqliteJournal(path) as journal:
        before = datetime.now(UTC)
        assert before <= journal.load(REF).now <= datetime.now(UTC)


def test_latest_never_falls_behind_what_was_given(journal: SqliteJournal, clock: Clock) -> None:
    """When the clock jumps back, `latest` still tells the time that this handle gave before."""
    clock.now = NINE + MINUTE
    journal.load(REF)
    clock.now = NINE - MINUTE
    loaded = journal.load(REF)
    assert (loaded.now, loaded.latest) == (NINE - MINUTE, NINE + MINUTE)
    clock.now = NINE + 2 * MINUTE
    journal.append(REF, [asked()], expected=0, head=QUIET)
    clock.now = NINE
    assert journal.load(OTHER).latest == NINE + 2 * MINUTE


def test_latest_survives_reopening(path: str, clock: Clock) -> None:
    """A clock that was set back while nobody looked is noticed by the newest event of any stream."""
    exact = NINE + timedelta(microseconds=123_457)
    with SqliteJournal(path, clock=clock) as journal:
        journal.append(REF, [asked(at=exact), asked(at=NINE)], expected=0, head=QUIET)
        journal.append(OTHER, [asked(at=NINE - MINUTE)], expected=0, head=QUIET)
    clock.now = NINE - timedelta(days=1)
    with SqliteJournal(path, clock=clock) as journal:
        loaded = journal.load(PaymentRef("acct_1", "ch_9"))
        assert (loaded.now, loaded.latest) == (NINE - timedelta(days=1), exact)


def test_due_names_the_longest_due_first(journal: SqliteJournal, clock: Clock) -> None:
    """What is owed now or earlier is named in order of its time, no more than asked for; the rest waits."""
    refs = [PaymentRef("acct_1", f"ch_{number}") for number in range(5)]
    for ref, minutes in zip(refs, (3, 0, -2, 1, -1), strict=True):
        journal.append(ref, [asked()], expected=0, head=owed(NINE + minutes * MINUTE))
    assert journal.due(10) == (refs[2], refs[4], refs[1])
    assert journal.due(2) == (refs[2], refs[4])
    clock.now = NINE + MINUTE - timedelta(microseconds=1)
    assert journal.due(10) == (refs[2], refs[4], refs[1])
    clock.now = NINE + MINUTE
    assert journal.due(10) == (refs[2], refs[4], refs[1], refs[3])


def test_an_append_replaces_the_head(journal: SqliteJournal) -> None:
    """Tenant, due time and waiting are those of the last append, and only those."""
    journal.append(REF, [asked()], expected=0, head=Head(tenant="acme", look_at=NINE, waiting=True))
    assert (journal.due(9), journal.waiting("acme", 9)) == ((REF,), (REF,))
    journal.append(REF, [asked()], expected=1, head=Head(tenant="zenith", look_at=None, waiting=True))
    assert (journal.due(9), journal.waiting("acme", 9), journal.waiting("zenith", 9)) == ((), (), (REF,))
    journal.append(REF, [asked()], expected=2, head=Head(tenant="zenith", look_at=NINE, waiting=False))
    assert (journal.due(9), journal.waiting("zenith", 9)) == ((REF,), ())


def test_waiting_shows_a_tenant_its_own_only(journal: SqliteJournal) -> None:
    """A tenant never learns of another's payments, whatever it is called, and gets no more than asked for."""
    for number, tenant in enumerate(["acme", "acme", "zenith", "ACME", "acm%", "acme' OR '1'='1"]):
        ref = PaymentRef("acct_1", f"ch_{number}")
        journal.append(ref, [asked()], expected=0, head=Head(tenant=tenant, look_at=None, waiting=True))
    assert journal.waiting("acme", 10) == (PaymentRef("acct_1", "ch_0"), PaymentRef("acct_1", "ch_1"))
    assert journal.waiting("acme", 1) == (PaymentRef("acct_1", "ch_0"),)
    assert journal.waiting("acm%", 10) == (PaymentRef("acct_1", "ch_4"),)
    assert journal.waiting("acme' OR '1'='1", 10) == (PaymentRef("acct_1", "ch_5"),)
    assert journal.waiting("nobody", 10) == ()


def test_an_outside_stream_is_never_due(journal: SqliteJournal) -> None:
    """There is no gateway behind an outside ref, so its stream is kept and never named."""
    head = Head(tenant="acme", look_at=NINE - MINUTE, waiting=True)
    journal.append(CASH, [asked()], expected=0, head=head)
    assert journal.load(CASH).events == (asked(),)
    assert (journal.due(9), journal.waiting("acme", 9)) == ((), ())


def test_a_second_handle_sees_everything(path: str, journal: SqliteJournal, clock: Clock) -> None:
    """Two handles on one file are one journal, before and after closing and opening again."""
    journal.append(REF, [asked(1)], expected=0, head=owed(NINE))
    with SqliteJournal(path, clock=clock) as second:
        assert second.load(REF).events == (asked(1),)
        second.append(REF, [asked(2)], expected=1, head=owed(NINE))
    journal.close()
    with SqliteJournal(Path(path), clock=clock) as third:
        assert third.load(REF).events == (asked(1), asked(2))
        assert third.due(9) == (REF,)


# ---- what is refused ----


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda journal: journal.load("acct_1/ch_1"), TypeError),
        (lambda journal: journal.load(REF, after=-1), ValueError),
        (lambda journal: journal.load(REF, after=True), TypeError),
        (lambda journal: journal.load(REF, after=1.0), TypeError),
        (lambda journal: journal.load(REF, after=2**63), ValueError),
        (lambda journal: journal.append(None, [asked()], expected=0, head=QUIET), TypeError),
        (lambda journal: journal.append(REF, [], expected=0, head=QUIET), ValueError),
        (lambda journal: journal.append(REF, [asked(), None], expected=0, head=QUIET), TypeError),
        (
            lambda journal: journal.append(REF, [asked(at=NAIVE)], expected=0, head=QUIET),
            ValueError,
        ),
        (lambda journal: journal.append(REF, [asked()], expected=-1, head=QUIET), ValueError),
        (lambda journal: journal.append(REF, [asked()], expected=False, head=QUIET), TypeError),
        (lambda journal: journal.append(REF, [asked()], expected=0, head=None), TypeError),
        (lambda journal: journal.append(REF, [asked()], expected=0, head=owed(NAIVE)), ValueError),
        (lambda journal: journal.append(REF, [asked()], expected=0, head=owed(cast(datetime, 5))), TypeError),
        (
            lambda journal: journal.append(
                REF, [asked()], expected=0, head=Head(tenant="", look_at=None, waiting=False)
            ),
            ValueError,
        ),
        (
            lambda journal: journal.append(
                REF, [asked()], expected=0, head=Head(tenant="t", look_at=None, waiting=cast(bool, 2))
            ),
            TypeError,
        ),
        (lambda journal: journal.due(0), ValueError),
        (lambda journal: journal.due(True), TypeError),
        (lambda journal: journal.due("10"), TypeError),
        (lambda journal: journal.due(2**63), ValueError),
        (lambda journal: journal.waiting("acme", 0), ValueError),
        (lambda journal: journal.waiting(None, 1), TypeError),
        (lambda journal: journal.waiting("", 1), ValueError),
    ],
)
def test_unusable_arguments_are_refused(
    journal: SqliteJournal, path: str, call: Callable[[Any], object], kind: type[Exception]
) -> None:
    """A wrong type or an odd number is a clear error before the database is touched, and nothing is written."""
    with pytest.raises(kind):
        call(journal)
    assert everything(path) == ([], [])


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (":memory:", ValueError),
        ("", ValueError),
        ("file:x?mode=memory", ValueError),
        ("a\0b", ValueError),
        (b"refunds.db", TypeError),
        (BytesPath(), TypeError),
        (None, TypeError),
        (7, TypeError),
    ],
)
def test_a_path_that_names_no_file_is_refused(value: object, kind: type[Exception]) -> None:
    """A journal that would be forgotten, or would stand in a file nobody meant, is not made."""
    with pytest.raises(kind):
        SqliteJournal(cast(str, value))


def test_a_path_that_is_a_url_or_empty_says_what_to_give() -> None:
    """A database's URL as frameworks write them, and a setting that is not set, each have their own words."""
    with pytest.raises(ValueError, match="not a URL: give what stands behind sqlite:///"):
        SqliteJournal("sqlite:///x.db")
    with pytest.raises(ValueError, match="path must not be empty"):
        SqliteJournal("")


@pytest.mark.parametrize("weaker", ["NORMAL", "OFF"])
def test_weaker_durability_must_be_asked_for(path: str, weaker: schema.Synchronous) -> None:
    """Less than FULL is refused unless it is accepted in so many words, and then calls itself not durable."""
    with pytest.raises(ValueError, match="weaker_durability_accepted"):
        SqliteJournal(path, synchronous=weaker)
    assert not os.path.exists(path)
    with SqliteJournal(path, synchronous=weaker, weaker_durability_accepted=True) as journal:
        assert journal.durable is False
        assert pragmas(journal)["synchronous"] == schema.SYNCHRONOUS[weaker]


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"synchronous": "full"}, ValueError),
        ({"synchronous": 2}, ValueError),
        ({"synchronous": None}, ValueError),
        ({"weaker_durability_accepted": 1}, TypeError),
        ({"busy_timeout_s": -1}, ValueError),
        ({"busy_timeout_s": float("nan")}, ValueError),
        ({"busy_timeout_s": float("inf")}, ValueError),
        ({"busy_timeout_s": True}, TypeError),
        ({"busy_timeout_s": "5"}, TypeError),
        ({"clock": NINE}, TypeError),
    ],
)
def test_unusable_settings_are_refused(path: str, settings: dict[str, Any], kind: type[Exception]) -> None:
    """A setting that cannot be meant is told when the journal is made, and no file appears."""
    with pytest.raises(kind):
        SqliteJournal(path, **settings)
    assert not os.path.exists(path)


@pytest.mark.parametrize(("time", "kind"), [(NINE.replace(tzinfo=None), ValueError), (1772442000.0, TypeError)])
def test_a_clock_must_be_aware(path: str, time: object, kind: type[Exception]) -> None:
    """A clock that tells a naive time, or none, is found out by the first load."""
    with SqliteJournal(path, clock=lambda: cast(datetime, time)) as journal, pytest.raises(kind):
        journal.load(REF)


# ---- settings that SQLite really has ----


def pragmas(journal: SqliteJournal) -> dict[str, object]:
    """What this thread's own connection answers when it is asked."""
    names = ("synchronous", "journal_mode", "busy_timeout", "fullfsync")
    return journal._connections.run(
        lambda connection: {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}
    )


def test_every_connection_waits_for_the_disk(journal: SqliteJournal) -> None:
    """In each thread the connection itself says FULL and WAL: an append that returned is on the disk."""
    expected = {"synchronous": 2, "journal_mode": "wal", "busy_timeout": 10_000, "fullfsync": 1}
    with ThreadPoolExecutor(3) as pool:
        assert [*pool.map(lambda _: pragmas(journal), range(3)), pragmas(journal)] == [expected] * 4


class Patched(sqlite3.Connection):
    """A connection to which a test can do something before each statement."""

    before: Callable[[sqlite3.Connection, str], str]

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return super().execute(type(self).before(self, sql), parameters)


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> type[Patched]:
    """Let the journal open connections whose `before` the test chooses."""
    connect = sqlite3.connect
    monkeypatch.setattr(Patched, "before", lambda _, sql: sql, raising=False)
    monkeypatch.setattr(sqlite3, "connect", lambda *values, **named: connect(*values, **named, factory=Patched))
    return Patched


def test_a_setting_that_does_not_take_is_refused(
    path: str, patched: type[Patched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An SQLite that answers NORMAL when told FULL is not trusted with a claim."""
    monkeypatch.setattr(patched, "before", lambda _, sql: sql.replace("= FULL", "= NORMAL"))
    with pytest.raises(JournalUnavailable, match="synchronous"):
        SqliteJournal(path)


def test_a_disk_without_wal_is_refused(path: str, patched: type[Patched], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SQLite cannot switch to WAL, it says so by its answer alone; that is read."""
    monkeypatch.setattr(patched, "before", lambda _, sql: sql.replace("= WAL", "= TRUNCATE"))
    with pytest.raises(JournalUnavailable, match="WAL"):
        SqliteJournal(path)


def test_a_failed_opening_leaves_no_connection(
    path: str, patched: type[Patched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot be trusted is not kept open."""
    made: list[sqlite3.Connection] = []

    def before(connection: sqlite3.Connection, sql: str) -> str:
        made.append(connection)
        return sql.replace("= FULL", "= NORMAL")

    monkeypatch.setattr(patched, "before", before)
    with pytest.raises(JournalUnavailable):
        SqliteJournal(path)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        made[-1].total_changes  # noqa: B018


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (schema.READ_EVENTS, ("acct_1/ch_1", 0)),
        (schema.READ_VERSION, ("acct_1/ch_1",)),
        (schema.READ_VERSION_UP_TO, ("acct_1/ch_1", 3)),
        (schema.READ_LATEST, ()),
        (schema.READ_DUE, (0, 10)),
        (schema.READ_WAITING, ("acme", 10)),
        (schema.READ_UNDATED, (10,)),
    ],
)
def test_no_read_grows_with_the_journal(
    path: str, journal: SqliteJournal, statement: str, values: tuple[object, ...]
) -> None:
    """Each statement finds its rows through an index, in the order it gives them: none walks or sorts a table."""
    plan = [step[3] for step in by_hand(path, f"EXPLAIN QUERY PLAN {statement}", *values)]
    assert len(plan) == 1
    assert plan[0].startswith("SEARCH ")
    assert " INDEX " in plan[0]


# ---- races ----


def test_two_handles_race_for_one_version(path: str) -> None:
    """Of two appends that expect the same version one wins, one is told, and only the winner's events stand."""
    rounds = 60
    start = threading.Barrier(2)
    with SqliteJournal(path) as first, SqliteJournal(path) as second:

        def run(journal: SqliteJournal, name: str) -> list[bool]:
            won = []
            for number in range(rounds):
                mine = [StreamOpened(at=NINE, tenant=f"{name}{part}") for part in range(3)]
                start.wait()
                try:
                    head = Head(tenant=name, look_at=None, waiting=True)
                    journal.append(PaymentRef("race", f"ch_{number}"), mine, expected=0, head=head)
                    won.append(True)
                except JournalConflict:
                    won.append(False)
            return won

        with ThreadPoolExecutor(2) as pool:
            results = [pool.submit(run, first, "a"), pool.submit(run, second, "b")]
            by_a, by_b = (result.result() for result in results)
        for number in range(rounds):
            assert by_a[number] != by_b[number]
            winner = "a" if by_a[number] else "b"
            events = first.load(PaymentRef("race", f"ch_{number}")).events
            assert [event.tenant for event in events if isinstance(event, StreamOpened)] == [
                f"{winner}{part}" for part in range(3)
            ]
        tenants = by_hand(path, "SELECT tenant FROM refund_streams ORDER BY CAST(substr(stream, 9) AS INTEGER)")
        assert [tenant for (tenant,) in tenants] == ["a" if won else "b" for won in by_a]


def test_sixteen_threads_append_without_gaps(journal: SqliteJournal) -> None:
    """Threads that append to one stream, deciding again when beaten, make versions 1 to n, each once."""

    def run(thread: int) -> list[int]:
        mine = []
        for number in range(10):
            while True:
                version = journal.load(REF).version
                try:
                    journal.append(REF, [asked(thread * 100 + number)], expected=version, head=QUIET)
                except JournalConflict:
                    continue
                mine.append(version + 1)
                break
        return mine

    with ThreadPoolExecutor(16) as pool:
        versions = [version for mine in pool.map(run, range(16)) for version in mine]
    assert sorted(versions) == list(range(1, 161))
    loaded = journal.load(REF)
    told = {event.refund_id for event in loaded.events if isinstance(event, PersonAsked)}
    assert loaded.version == len(loaded.events) == len(told) == 160


def test_processes_race_to_make_the_file_and_one_stream(path: str) -> None:
    """Processes that find no file make one journal together, and their appends are versions 1 to n."""
    racers = [
        subprocess.Popen(
            [sys.executable, CHILD, "some", path, "acct_1/ch_1", "25"], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    told = [line.split() for racer in racers for line in racer.communicate(timeout=60)[0].splitlines()]
    assert [racer.returncode for racer in racers] == [0] * 4
    assert sorted(int(version) for _, _, version in told) == list(range(1, 101))
    with SqliteJournal(path) as journal:
        assert journal.load(REF).version == len(journal.load(REF).events) == 100
    assert by_hand(path, "SELECT schema_version FROM refund_journal") == [(schema.SCHEMA_VERSION,)]


def test_a_journal_made_by_another_meanwhile_is_taken_as_it_is(
    path: str, patched: type[Patched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who finds no tables and then waits for the lock looks again before making them."""

    def before(_: sqlite3.Connection, sql: str) -> str:
        if sql == schema.BEGIN:
            monkeypatch.setattr(patched, "before", lambda _, sql: sql)
            with SqliteJournal(path) as faster:
                faster.append(REF, [asked()], expected=0, head=QUIET)
        return sql

    monkeypatch.setattr(patched, "before", before)
    with SqliteJournal(path) as slower:
        assert slower.load(REF).events == (asked(),)


def test_switching_to_wal_waits_for_who_reads(path: str) -> None:
    """A host's database that somebody is reading is switched when they are done, or the journal is busy."""
    by_hand(path, "CREATE TABLE booking (id INTEGER PRIMARY KEY)")
    by_hand(path, "INSERT INTO booking VALUES (1), (2)")
    reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    reader.execute("BEGIN")
    reader.execute("SELECT id FROM booking").fetchall()
    with pytest.raises(JournalBusy):
        SqliteJournal(path, busy_timeout_s=0.05)
    later = threading.Timer(0.2, reader.close)
    later.start()
    with SqliteJournal(path, busy_timeout_s=20) as journal:
        assert pragmas(journal)["journal_mode"] == "wal"
    later.join()


def test_switching_to_wal_is_tried_again(
    path: str, patched: type[Patched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that switch at once SQLite may send one away without waiting (seen); it tries again for its time."""
    answers: list[int] = []

    def before(_: sqlite3.Connection, sql: str) -> str:
        if sql.endswith("= WAL") and answers:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = answers.pop()
            raise error
        return sql

    monkeypatch.setattr(patched, "before", before)
    answers[:] = [sqlite3.SQLITE_BUSY] * 3
    SqliteJournal(path).close()
    assert answers == []
    answers[:] = [sqlite3.SQLITE_BUSY] * 1000
    with pytest.raises(JournalBusy):
        SqliteJournal(path + "busy", busy_timeout_s=0.1)
    assert 900 < len(answers) < 1000
    answers[:] = [sqlite3.SQLITE_IOERR] * 2
    with pytest.raises(JournalUnavailable):
        SqliteJournal(path + "broken", busy_timeout_s=0.1)
    assert len(answers) == 1


def test_a_reader_never_sees_a_version_without_its_events(journal: SqliteJournal) -> None:
    """Reading on from a version while others append, the count and the events shown always agree."""
    done = threading.Event()

    def write() -> None:
        for version in range(0, 600, 3):
            journal.append(REF, [asked(), asked(), asked()], expected=version, head=QUIET)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    after = 0
    while not done.is_set():
        loaded = journal.load(REF, after=after)
        assert loaded.version == after + len(loaded.events)
        assert loaded.version % 3 == 0
        after = loaded.version
    writer.join()


def test_a_locked_journal_is_busy_and_then_works(path: str, journal: SqliteJournal) -> None:
    """An append that waits too long for another writer writes nothing; readers do not wait; the next one works."""
    journal.append(REF, [asked(1)], expected=0, head=QUIET)
    before = everything(path)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with SqliteJournal(path, busy_timeout_s=0.05) as hasty:
        with pytest.raises(JournalBusy, match="nothing was written"):
            hasty.append(REF, [asked(2)], expected=1, head=QUIET)
        assert hasty.in_transaction is False
        assert hasty.load(REF).version == 1
        assert everything(path) == before
        blocker.execute("COMMIT")
        blocker.close()
        hasty.append(REF, [asked(2)], expected=1, head=QUIET)


def test_threads_that_queue_are_busy_too(path: str) -> None:
    """While one thread waits for another process, the next ones give up after their own time, none for ever."""
    with SqliteJournal(path, busy_timeout_s=0.3) as journal:
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")

        def run(number: int) -> type[BaseException]:
            with pytest.raises(JournalError) as caught:
                journal.append(PaymentRef("acct_1", f"ch_{number}"), [asked()], expected=0, head=QUIET)
            return caught.type

        began = time.monotonic()
        with ThreadPoolExecutor(60) as pool:
            assert list(pool.map(run, range(60))) == [JournalBusy] * 60
        assert time.monotonic() - began < 15  # one after the other would take 18
        blocker.close()
        journal.append(REF, [asked()], expected=0, head=QUIET)


# ---- half an append ----


def test_an_append_that_fails_half_way_leaves_nothing(path: str, journal: SqliteJournal) -> None:
    """When the third event of three cannot be written, neither are two nor the head, and the next append works."""
    journal.append(REF, [asked(1)], expected=0, head=QUIET)
    by_hand(
        path,
        f"CREATE TRIGGER broken BEFORE INSERT ON refund_events WHEN new.version = 4 "
        f"BEGIN SELECT RAISE(ABORT, '{SECRET}'); END",
    )
    before = everything(path)
    with pytest.raises(JournalUnavailable) as caught:
        journal.append(REF, [asked(2), asked(3), asked(4)], expected=1, head=owed(NINE))
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert everything(path) == before
    assert journal.in_transaction is False
    journal.append(REF, [asked(2), asked(3)], expected=1, head=QUIET)
    assert journal.load(REF).version == 3


def test_an_event_that_cannot_be_written_stops_the_append(path: str, journal: SqliteJournal) -> None:
    """All events are put into words before the first one is written."""
    events: Sequence[Event] = [asked(1), LookScheduled(at=NINE, due=cast(datetime, "soon"))]
    with pytest.raises(TypeError):
        journal.append(REF, events, expected=0, head=QUIET)
    assert everything(path) == ([], [])


@pytest.mark.parametrize("stop", [schema.REPLACE_HEAD, "COMMIT"])
def test_an_interrupted_append_is_rolled_back(
    path: str, patched: type[Patched], monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    """Ctrl-C inside the transaction passes through, nothing stands, and no lock stays behind."""
    with SqliteJournal(path, busy_timeout_s=0.2) as journal:

        def before(_: sqlite3.Connection, sql: str) -> str:
            if sql == stop and journal.in_transaction:
                raise KeyboardInterrupt
            return sql

        monkeypatch.setattr(patched, "before", before)
        with pytest.raises(KeyboardInterrupt):
            journal.append(REF, [asked()], expected=0, head=QUIET)
        monkeypatch.setattr(patched, "before", lambda _, sql: sql)
        assert everything(path) == ([], [])
        journal.append(REF, [asked()], expected=0, head=QUIET)


# ---- disks, files and people ----


def test_a_full_disk_is_told_and_survived(
    path: str, patched: type[Patched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no page left, the append says that the disk is full and leaves nothing; with room again it works."""
    note = [StreamOpened(at=NINE, tenant="x" * 400) for _ in range(50)]
    with SqliteJournal(path) as journal:
        journal.append(REF, note, expected=0, head=QUIET)
        (pages,) = by_hand(path, "PRAGMA page_count")[0]

        def before(connection: sqlite3.Connection, sql: str) -> str:
            if sql == schema.BEGIN:
                sqlite3.Connection.execute(connection, f"PRAGMA max_page_count = {pages + 1}")
            return sql

        monkeypatch.setattr(patched, "before", before)
        stood = everything(path)
        with pytest.raises(JournalUnavailable, match="full"):
            journal.append(REF, note, expected=50, head=QUIET)
        assert everything(path) == stood
        assert journal.load(REF).version == 50
        monkeypatch.setattr(patched, "before", lambda _, sql: sql)
        journal.append(REF, note, expected=50, head=QUIET)
        assert journal.load(REF).version == 100


def test_a_file_that_may_only_be_read_is_read(clock: Clock) -> None:
    """A user without the right to write reads the journal, and is told that it may not be written."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)  # SQLite keeps its index of the log beside the file, for readers too
        path = os.path.join(folder, "refunds.db")
        with SqliteJournal(path, clock=clock) as journal:
            journal.append(REF, [asked()], expected=0, head=QUIET)
        other = PaymentRef("platform", "ch_1")
        with SqliteJournal(path, clock=clock) as journal:
            journal.append(other, [asked()], expected=0, head=QUIET)
        os.chmod(path, stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
        done = child("rights", path)
    version, refusal, version_after = done.stdout.splitlines()
    assert (version, version_after) == ("version 1", "version 1"), done.stderr
    assert refusal.startswith("JournalUnavailable: the journal's file may not be written")


@pytest.mark.parametrize(
    "content", [b"this is no database, and says so at some length\n" * 99, b"key = 7\n", b"x"]
)
def test_a_foreign_file_is_refused_and_left_alone(path: str, content: bytes) -> None:
    """A file that is no database is neither read as a journal nor overwritten."""
    Path(path).write_bytes(content)
    with pytest.raises(JournalUnavailable, match="no SQLite database"):
        SqliteJournal(path)
    assert Path(path).read_bytes() == content


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A journal is not put somewhere else when its folder is missing."""
    for path in (tmp_path / "missing" / "refunds.db", tmp_path):
        with pytest.raises(JournalUnavailable, match="cannot be opened"):
            SqliteJournal(path)


def test_a_newer_schema_is_refused(path: str, journal: SqliteJournal) -> None:
    """A worker that was not upgraded does not touch a journal that was."""
    journal.append(REF, [asked()], expected=0, head=QUIET)
    journal.close()
    by_hand(path, "UPDATE refund_journal SET schema_version = 99")
    stood = everything(path)
    with pytest.raises(JournalUnavailable, match=r"schema 99.*knows 2.*upgrade"):
        SqliteJournal(path)
    assert everything(path) == stood


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM refund_journal",
        "UPDATE refund_journal SET schema_version = 'x'",
        "UPDATE refund_journal SET schema_version = 0",
    ],
)
def test_a_journal_without_a_schema_version_is_refused(path: str, damage: str) -> None:
    """What does not say which schema it has is not guessed at."""
    SqliteJournal(path).close()
    by_hand(path, damage)
    with pytest.raises(JournalUnavailable, match="which schema"):
        SqliteJournal(path)


def test_a_host_s_own_tables_are_left_alone(path: str) -> None:
    """The journal's tables join a database that holds others, whose own version numbers stay theirs."""
    by_hand(path, "CREATE TABLE booking (id INTEGER PRIMARY KEY)")
    by_hand(path, "PRAGMA user_version = 77")
    with SqliteJournal(path) as journal:
        journal.append(REF, [asked()], expected=0, head=QUIET)
    assert by_hand(path, "PRAGMA user_version") == [(77,)]
    assert by_hand(path, "SELECT count(*) FROM booking") == [(0,)]


def test_tables_of_the_same_name_are_not_taken_for_ours(path: str) -> None:
    """A table that only happens to have our name is an error, and nothing is half made beside it."""
    by_hand(path, "CREATE TABLE refund_streams (id INTEGER)")
    with pytest.raises(JournalUnavailable):
        SqliteJournal(path)
    assert by_hand(path, "SELECT name FROM sqlite_master") == [("refund_streams",)]


def test_a_deleted_file_is_not_an_empty_journal(path: str, journal: SqliteJournal) -> None:
    """When the file is gone under an open handle, it is not read as "nothing in flight", nor made anew."""
    journal.append(REF, [asked()], expected=0, head=QUIET)
    for name in (path, path + "-wal", path + "-shm"):
        os.unlink(name)
    calls: list[Callable[[], object]] = [
        lambda: journal.load(REF),
        lambda: journal.append(REF, [asked()], expected=1, head=QUIET),
        lambda: journal.due(1),
        lambda: journal.waiting("acme", 1),
    ]
    for call in calls:
        with pytest.raises(JournalUnavailable, match="gone"):
            call()
    with ThreadPoolExecutor(1) as pool, pytest.raises(JournalUnavailable, match="gone"):
        pool.submit(journal.load, REF).result()
    assert not os.path.exists(path)


def test_a_replaced_file_is_refused(path: str, tmp_path: Path, journal: SqliteJournal) -> None:
    """An append to a file that a backup has replaced would be lost with the old one, so it is not made."""
    backup = str(tmp_path / "backup.db")
    SqliteJournal(backup).close()
    journal.load(REF)
    os.replace(backup, path)
    with pytest.raises(JournalUnavailable, match="replaced"):
        journal.append(REF, [asked()], expected=0, head=QUIET)


def test_a_new_connection_makes_no_tables(path: str, journal: SqliteJournal) -> None:
    """When the tables are gone, a thread that comes later does not make empty ones."""
    for table in ("refund_journal", "refund_events", "refund_streams", "refund_recovery", "refund_erasures"):
        by_hand(path, f"DROP TABLE {table}")
    with pytest.raises(JournalUnavailable, match="holds no journal"):
        journal.load(REF)
    assert by_hand(path, "SELECT count(*) FROM sqlite_master") == [(0,)]


def test_journal_that_must_exist_is_not_made(path: str) -> None:
    """A missing file stays missing, an empty one empty, a host's own database keeps its tables and its mode."""
    with pytest.raises(JournalUnavailable, match="there is no such file"):
        SqliteJournal(path, must_exist=True)
    assert not os.path.exists(path)
    Path(path).touch()
    with pytest.raises(JournalUnavailable, match="holds no journal"):
        SqliteJournal(path, must_exist=True)
    assert os.path.getsize(path) == 0
    by_hand(path, "CREATE TABLE bookings (id INTEGER)")
    before = Path(path).read_bytes()
    with pytest.raises(JournalUnavailable, match="holds no journal"):
        SqliteJournal(path, must_exist=True)
    assert Path(path).read_bytes() == before
    assert by_hand(path, "PRAGMA journal_mode") == [("delete",)]


def test_journal_that_must_exist_is_opened_where_one_is(path: str) -> None:
    """A file with a journal is opened, and later threads connect to it, too."""
    SqliteJournal(path).close()
    with SqliteJournal(path, must_exist=True) as journal, ThreadPoolExecutor(1) as pool:
        journal.append(REF, [asked()], expected=0, head=QUIET)
        assert pool.submit(journal.load, REF).result().version == 1
    with pytest.raises(TypeError, match="must_exist"):
        SqliteJournal(path, must_exist=1)  # type: ignore[arg-type]


def test_a_damaged_page_is_told(path: str, journal: SqliteJournal) -> None:
    """Overwritten pages of the file are told as damage, not read."""
    for number in range(40):
        journal.append(REF, [StreamOpened(at=NINE, tenant="x" * 400)], expected=number, head=QUIET)
    journal.close()
    whole = Path(path).read_bytes()
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (len(whole) - 4096))
    with pytest.raises(JournalUnavailable, match="damaged"), SqliteJournal(path) as damaged:
        damaged.load(REF)


def test_a_row_that_is_no_text_is_not_shown(path: str, journal: SqliteJournal) -> None:
    """SQLite's own error quotes a row of broken UTF-8 whole, note and all; ours neither says it nor carries it."""
    journal.append(REF, [asked()], expected=0, head=QUIET)
    row = f'{{"note":"{SECRET}'.encode() + b"\xff"
    by_hand(path, "UPDATE refund_events SET event = CAST(? AS TEXT)", row)
    with pytest.raises(JournalUnavailable) as caught:
        journal.load(REF)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_file_that_is_gone_leaves_its_path_untold(path: str, journal: SqliteJournal) -> None:
    """The system's own error names the path, and does not hang on ours."""
    os.remove(path)
    with pytest.raises(JournalUnavailable, match="gone") as caught:
        journal.load(REF)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_an_unknown_event_stops_its_own_stream_only(path: str, journal: SqliteJournal) -> None:
    """A worker decides nothing on a stream that holds what it does not know, and goes on with the others."""
    journal.append(REF, [asked(1)], expected=0, head=QUIET)
    journal.append(OTHER, [asked(2)], expected=0, head=QUIET)
    row = f'{{"v":1,"type":"Teleported","at":"2026-03-02T09:00:00Z","token":"{SECRET}"}}'
    by_hand(
        path,
        "INSERT INTO refund_events (stream, version, at, event) VALUES (?, 2, 0, ?)",
        str(REF),
        row,
    )
    for after in (0, 1):
        with pytest.raises(UnknownEvent, match="event 2 of the stream") as caught:
            journal.load(REF, after=after)
        assert SECRET not in "".join(traceback.format_exception(caught.value))
        assert isinstance(pickle.loads(pickle.dumps(caught.value)), UnknownEvent)
    assert journal.load(OTHER).events == (asked(2),)
    journal.append(OTHER, [asked(3)], expected=1, head=QUIET)


def test_a_gap_made_by_hand_is_told(path: str, journal: SqliteJournal) -> None:
    """A stream that lacks an event of its middle decides nothing: what is missing might be a claim."""
    journal.append(REF, [asked(1), asked(2), asked(3)], expected=0, head=QUIET)
    by_hand(path, "DELETE FROM refund_events WHERE version = 2")
    for after in (0, 1):
        with pytest.raises(JournalUnavailable, match="gap"):
            journal.load(REF, after=after)
    assert journal.load(REF, after=2).events == (asked(3),)


# ---- threads, forks and ends ----


def test_a_closed_journal_says_so(journal: SqliteJournal) -> None:
    """After closing, in any thread and any number of times, each call says that the journal was closed."""
    journal.append(REF, [asked()], expected=0, head=QUIET)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(journal.load, REF).result()
        journal.close()
        journal.close()
        for call in (journal.load, lambda ref: journal.append(ref, [asked()], expected=1, head=QUIET)):
            with pytest.raises(JournalUnavailable, match="closed"):
                call(REF)
            with pytest.raises(JournalUnavailable, match="closed"):
                pool.submit(call, REF).result()


def open_files(path: str) -> int:
    """How many file descriptors of this process lead to the journal."""
    names = []
    for number in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:  # the one that listed them
            continue
    return sum(name.startswith(path) for name in names)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="this system does not list open files")
def test_a_thread_that_ends_closes_its_connection(path: str, journal: SqliteJournal) -> None:
    """A server that makes a thread for each request does not run out of files, and a closed journal holds none."""
    journal.load(REF)
    counts = []
    for _ in range(20):
        thread = threading.Thread(target=journal.load, args=(REF,))
        thread.start()
        thread.join()
        counts.append(open_files(path))
    assert set(counts) == {counts[0]}  # SQLite keeps one closed file for the next to use
    journal.close()
    assert open_files(path) == 0


def test_a_new_journal_holds_nothing_open(path: str, journal: SqliteJournal) -> None:
    """A server that makes its journal before it forks its workers hands no connection down to them."""
    assert journal.load(REF).version == 0
    if os.path.isdir("/proc/self/fd"):
        with SqliteJournal(path + "2"):
            assert open_files(path + "2") == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_what_a_forked_child_appends_outlives_its_parent(path: str) -> None:
    """A daemon's appends stand, though it was forked with the journal open and others came and went."""
    done = child("daemon", path)
    assert done.stdout.splitlines()[-1:] == ["ack platform/ch_daemon 5"], done.stderr
    with SqliteJournal(path) as journal:
        assert journal.load(PaymentRef("platform", "ch_daemon")).version == 5
        assert journal.load(PaymentRef("platform", "ch_visitor")).version == 1
    assert by_hand(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the C library's fork")
def test_a_fork_without_python_s_hooks_is_refused_while_open(path: str) -> None:
    """Where no hook could close the connections, the child is told, and closes none; a journal at rest is safe."""
    done = child("hooks", path)
    told = done.stdout.splitlines()
    expected = ["open: JournalUnavailable", "closed of the parent's: 0", "parent: version 0"]
    assert (told[0], told[2:]) == ("rest: version 0", expected), done.stderr


def test_a_process_ends_in_silence(path: str) -> None:
    """A process that never closes its journal ends without a word."""
    code = (
        "import sys, threading; from refund_adapters.sql import SqliteJournal;"
        "from refund_domain.payments import PaymentRef; j = SqliteJournal(sys.argv[1]);"
        "j.load(PaymentRef('a', 'b')); threading.Thread(target=j.load, args=(PaymentRef('a', 'b'),)).start()"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, path], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_nothing_acknowledged_is_lost_in_a_hundred_kills(
    tmp_path: Path, record_property: Callable[[str, int], None]
) -> None:
    """Killed at 100 random moments, a child loses no append that returned and leaves none that is half done."""
    chance = random.Random(20260302 + ROUND)
    told = 0
    with subprocess.Popen(
        [sys.executable, CHILD, "forks"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        for number in range(KILLS):
            path = str(tmp_path / f"refunds{number // 10}.db")  # each tenth makes a new one
            server.stdin.write(f"{path}\n")
            # Some are killed while they open the file, most while they append.
            enough, pid, acknowledged = chance.choice([0, 1, 3, 10, 30]), 0, dict[str, int]()
            for acks, line in enumerate(server.stdout):
                word, *rest = line.split()
                if word == "gone":
                    break
                if word == "ack":
                    acknowledged[rest[0]] = int(rest[1])
                else:
                    pid = int(rest[0])
                if pid and acks >= enough:
                    time.sleep(chance.uniform(0, 0.003))
                    os.kill(pid, signal.SIGKILL)
                    enough = 10**9
            assert pid, f"child {number} did not start"
            told += check_survivors(path, acknowledged)
        server.stdin.close()
        assert server.wait(10) == 0
    assert told > KILLS
    record_property("SQLite workers killed while appending", KILLS)
    record_property("events acknowledged before a kill", told)


def check_survivors(path: str, acknowledged: dict[str, int]) -> int:
    """See that the file is whole and all acknowledged appends stand, complete; gives how many events they hold."""
    assert by_hand(path, "PRAGMA integrity_check") == [("ok",)]
    with SqliteJournal(path) as journal:
        for stream, version in acknowledged.items():
            events = journal.load(PaymentRef.parse(stream)).events
            assert len(events) >= version
            places = [event.refund_id.split("of") for event in events if isinstance(event, PersonAsked)]
            assert places[-1][0] == places[-1][1]
            assert all(index == "1" for index, size in places[:1])
    return sum(acknowledged.values())
