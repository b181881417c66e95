"""A journal of the first schema is moved on under workers of both versions, and counts no doubt wrongly.

The statements of the first version stand here, and in `tests.postgres.first`, as it made them: they are what older
workers still do.
"""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest

from refund_adapters.sql import PostgresJournal, SqliteJournal, schema
from refund_adapters.sql.codec import encode
from refund_adapters.sql.rows import microseconds
from refund_domain.errors import JournalConflict, JournalUnavailable
from refund_domain.events import PersonAsked
from refund_domain.operations.health import MOST_UNDATED
from refund_domain.payments import PaymentRef
from refund_domain.ports import Head
from refund_domain.service.operate import read_health
from tests.adapters.cut_logs import FRAME, HEADER, cuts, lay
from tests.adapters.test_postgres_journal import conninfo_of_version_1
from tests.children import start
from tests.postgres import first
from tests.postgres.server import Server, shared

NINE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
NONE = timedelta(0)
REF = PaymentRef("platform", "ch_1")
OTHER = PaymentRef("platform", "ch_2")
DOUBT = Head(tenant="acme", look_at=NINE, waiting=False, doubt_since=NINE - HOUR)
CALM = Head(tenant="acme", look_at=NINE, waiting=False)

FIRST_SQLITE = """
    CREATE TABLE refund_journal (schema_version INTEGER NOT NULL);
    CREATE TABLE refund_events (
        seq INTEGER PRIMARY KEY,
        stream TEXT NOT NULL,
        version INTEGER NOT NULL CHECK (typeof(version) = 'integer' AND version > 0),
        at INTEGER NOT NULL CHECK (typeof(at) = 'integer'),
        event TEXT NOT NULL,
        UNIQUE (stream, version)
    );
    CREATE INDEX refund_events_at ON refund_events (at);
    CREATE TABLE refund_streams (
        stream TEXT NOT NULL PRIMARY KEY,
        tenant TEXT NOT NULL,
        look_at INTEGER CHECK (typeof(look_at) IN ('integer', 'null')),
        waiting INTEGER NOT NULL CHECK (waiting IN (0, 1))
    );
    CREATE INDEX refund_streams_due ON refund_streams (look_at, stream) WHERE look_at IS NOT NULL;
    CREATE INDEX refund_streams_waiting ON refund_streams (tenant, stream) WHERE waiting = 1;
    INSERT INTO refund_journal (schema_version) VALUES (1);
"""
FIRST_HEAD = """
    INSERT INTO refund_streams (stream, tenant, look_at, waiting) VALUES (?, ?, ?, ?)
    ON CONFLICT (stream) DO UPDATE SET
        tenant = excluded.tenant, look_at = excluded.look_at, waiting = excluded.waiting
"""


def asked(number: int = 1) -> PersonAsked:
    """Some event."""
    return PersonAsked(at=NINE, refund_id=f"r{number}")


def older_append(connection: sqlite3.Connection, ref: PaymentRef, version: int, look_at: datetime | None) -> None:
    """An append as a worker of the first version makes it."""
    with connection:
        values = (str(ref), version, microseconds(NINE), encode(asked(version)))
        connection.execute("INSERT INTO refund_events (stream, version, at, event) VALUES (?, ?, ?, ?)", values)
        due = None if look_at is None else microseconds(look_at)
        connection.execute(FIRST_HEAD, (str(ref), "acme", due, 0))


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A file of the first schema, in which one stream has a look ahead and one has none."""
    path = str(tmp_path / "refunds.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(FIRST_SQLITE)
        older_append(connection, REF, 1, NINE)
        older_append(connection, OTHER, 1, None)
    return path


def opened(path: str) -> SqliteJournal:
    return SqliteJournal(path, clock=lambda: NINE + HOUR)


def test_sqlite_heads_of_the_first_schema_are_undated_until_touched(path: str) -> None:
    """What was there is read as it was; only streams with a look ahead are undated, and an append dates them."""
    with opened(path) as journal:
        figures = journal.figures(NONE)
        assert (figures.in_doubt, figures.undated, figures.more_undated) == (0, (REF,), 0)
        assert journal.due(10) == (REF,)
        assert journal.load(REF).events == (asked(),)
        journal.append(REF, [asked(2)], expected=1, head=DOUBT)
        figures = journal.figures(NONE)
        assert (figures.in_doubt, figures.doubt_since, figures.undated) == (1, NINE - HOUR, ())


def test_sqlite_older_workers_go_on_and_leave_no_doubt_that_is_over(path: str) -> None:
    """An older worker's connection outlives the move; what it appends makes the head undated, in either order."""
    with closing(sqlite3.connect(path)) as older, opened(path) as journal:
        journal.append(REF, [asked(2)], expected=1, head=DOUBT)
        older_append(older, REF, 3, NINE)
        figures = journal.figures(NONE)
        assert (figures.in_doubt, figures.doubt_since, figures.undated) == (0, None, (REF,))
        journal.append(REF, [asked(4)], expected=3, head=DOUBT)
        older_append(older, REF, 5, None)
        assert journal.figures(NONE).in_doubt == 0 == len(journal.figures(NONE).undated)
        older_append(older, PaymentRef("platform", "ch_3"), 1, NINE)
        assert [str(ref) for ref in journal.figures(NONE).undated] == ["platform/ch_3"]


MOVES = (*(statement for step in schema.STEPS[1:] for statement in step), schema.SET_SCHEMA_VERSION, "COMMIT")


@pytest.mark.parametrize("stop", range(len(MOVES)))
def test_sqlite_move_interrupted_at_any_statement(path: str, stop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted in a process that lives on, the move is rolled back at once, and the next worker finishes it."""

    class Interrupted(sqlite3.Connection):
        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            if sql == MOVES[stop]:
                raise KeyboardInterrupt
            return super().execute(sql, parameters)

    connect = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *values, **named: connect(*values, **named, factory=Interrupted))
        with pytest.raises(KeyboardInterrupt):
            opened(path)
    with closing(sqlite3.connect(path)) as older:
        assert older.execute("SELECT schema_version FROM refund_journal").fetchall() == [(1,)]
        older_append(older, REF, 2, NINE)
    with opened(path) as journal:
        assert journal.load(REF).version == 2
        assert journal.figures(NONE).undated == (REF,)


Row = tuple[int, str, int, int, str]


def stood(path: str | Path) -> tuple[int, list[Row]]:
    """The schema and every event of a file, as a worker of the first version reads them."""
    with closing(sqlite3.connect(path)) as older:
        older.execute("PRAGMA synchronous = OFF")
        ((version,),) = older.execute("SELECT schema_version FROM refund_journal").fetchall()
        rows = older.execute("SELECT seq, stream, version, at, event FROM refund_events ORDER BY seq").fetchall()
        return int(version), rows


def shape(path: str | Path) -> list[tuple[str]]:
    """What a file is made of: its tables, indexes and triggers."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY sql").fetchall()


def check_moved(path: Path, rows: list[Row], whole: list[tuple[str]]) -> None:
    """The journal opens with exactly these events, is moved and as whole as this, and takes appends of workers of
    both versions."""
    with opened(str(path)) as journal:
        assert stood(path) == (schema.SCHEMA_VERSION, rows)
        told = [(str(t.position), t.stream, t.version, encode(t.event)) for t in journal.tail("", len(rows) + 1)]
        assert told == [(str(seq), stream, version, event) for seq, stream, version, _, event in rows]
        version = journal.load(REF).version
        journal.append(REF, [asked(2)], expected=version, head=DOUBT)
        assert journal.load(REF).events[version:] == (asked(2),)
        assert journal.figures(NONE).in_doubt == 1
        with closing(sqlite3.connect(path)) as older:
            older_append(older, REF, version + 2, NINE)
        figures = journal.figures(NONE)
        assert (figures.in_doubt, REF in figures.undated) == (0, True)
    assert shape(path) == whole


@pytest.fixture
def whole(path: str, tmp_path: Path) -> list[tuple[str]]:
    """What the file is made of after a move that nothing befell."""
    moved = tmp_path / "moved.db"
    shutil.copy(path, moved)
    opened(str(moved)).close()
    return shape(moved)


def test_sqlite_move_whose_process_is_killed_at_any_statement(
    path: str, whole: list[tuple[str]], tmp_path: Path
) -> None:
    """A process is killed before and after each statement of a move, its file and log left as they are: before the
    commit nothing is moved, after it all is, and either way the next worker finds every event and goes on."""
    _, rows = stood(path)
    seen, killed, begun = tmp_path / "seen.db", set[str](), 0
    process = start("tests.adapters.sqlite_kill_child", "opening")
    assert process.stdin is not None
    assert process.stdout is not None
    for number, moment in ((number, moment) for number in itertools.count(1) for moment in ("before", "after")):
        torn = tmp_path / f"{number} {moment}.db"
        shutil.copy(path, torn)
        process.stdin.write(f"{moment} {number} {torn}\n".encode())
        process.stdin.flush()
        said = process.stdout.readline().decode().strip()
        assert process.stdout.readline() == b"gone\n"
        if said == "opened":
            break
        killed.add(said)
        log = Path(f"{torn}-wal").read_bytes() if Path(f"{torn}-wal").exists() else b""
        begun += said != "killed after COMMIT" and len(log) > HEADER
        lay(seen, torn.read_bytes(), log)  # beside, for who opens the file first mends it
        assert stood(seen) == (2 if said == "killed after COMMIT" else 1, rows)
        check_moved(torn, rows, whole)
    process.communicate()
    moves = [" ".join(sql.split()) for sql in (schema.BEGIN, *MOVES)]
    assert killed >= {f"killed {moment} {sql}" for sql in moves for moment in ("before", "after")}
    assert begun > len(MOVES), "no move had reached the log when it was killed"


def test_sqlite_move_whose_log_is_cut_anywhere(path: str, whole: list[tuple[str]], tmp_path: Path) -> None:
    """Cut at each frame that a move wrote, and within it, the log gives all of the move or nothing of it, with
    every event, those appended before the move and after it too; and the journal goes on."""
    before, cut = Path(path).read_bytes(), tmp_path / "cut.db"
    log = Path(f"{path}-wal")
    stands = [(0, *stood(path))]
    # While this connection is open nobody empties the log.
    with closing(sqlite3.connect(path)) as keeper:
        older_append(keeper, REF, 2, NINE)
        stands.append((log.stat().st_size, *stood(path)))
        with opened(path) as journal:
            stands.append((log.stat().st_size, *stood(path)))
            journal.append(REF, [asked(3)], expected=2, head=DOUBT)
            stands.append((log.stat().st_size, *stood(path)))
        frames = log.read_bytes()
        assert Path(path).read_bytes() == before
    assert [version for _, version, _ in stands] == [1, 1, 2, 2]
    assert stands[2][0] - stands[1][0] > 5 * FRAME
    for left, part in cuts(frames):
        _, version, rows = max(stand for stand in stands if stand[0] <= left)
        lay(cut, before, part)
        assert stood(cut) == (version, rows)
        lay(cut, before, part)  # again, for who opens the file first mends it
        check_moved(cut, rows, whole)


def test_sqlite_of_a_newer_schema_is_still_refused(path: str) -> None:
    """Moving older tables on has not made newer ones welcome."""
    with closing(sqlite3.connect(path)) as newer, newer:
        newer.execute("UPDATE refund_journal SET schema_version = 99")
    with pytest.raises(JournalUnavailable, match="schema 99"):
        opened(path)


def test_sqlite_figures_walk_no_table(path: str) -> None:
    """Every part of the figures is found through an index: none grows with the journal."""
    opened(path).close()
    with closing(sqlite3.connect(path)) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {schema.READ_FIGURES}", {"old": 0, "now": 0}).fetchall()
    steps = [str(step[3]) for step in plan if "refund_streams" in str(step[3])]
    assert len(steps) == 6
    assert all(" INDEX " in step for step in steps), steps


# ---- PostgreSQL ----


@pytest.fixture(scope="session")
def server() -> Server:
    """The server that these tests share."""
    return shared()


@attrs.frozen
class Older:
    """A worker of the first version, at the database that it made."""

    conninfo: str
    connection: psycopg.Connection

    def append(self, ref: PaymentRef, version: int, look_at: datetime = NINE) -> bool:
        """Append the event of this version to the one before it, as such a worker does; whether it stands."""
        head = Head(tenant="acme", look_at=look_at, waiting=False)
        return first.append(self.connection, ref, [asked(version)], expected=version - 1, head=head)


@pytest.fixture
def older(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Older]:
    """A worker of the first version whose connection outlives the move."""
    conninfo = conninfo_of_version_1(server, monkeypatch)
    with first.connect(conninfo) as connection:
        yield Older(conninfo, connection)


def test_postgres_heads_of_older_workers_are_undated_until_touched(older: Older) -> None:
    """Before and after the move, an older worker's head tells nothing of doubts, and a newer one's does."""
    assert older.append(REF, 1)
    with PostgresJournal(older.conninfo) as journal:
        assert journal.figures(NONE).undated == (REF,)
        journal.append(REF, [asked(2)], expected=1, head=DOUBT)
        figures = journal.figures(NONE)
        assert (figures.in_doubt, figures.doubt_since, figures.undated) == (1, NINE - HOUR, ())
        assert older.append(REF, 3)
        figures = journal.figures(NONE)
        assert (figures.in_doubt, figures.doubt_since, figures.undated) == (0, None, (REF,))
        assert read_health(journal, NONE).uncounted == 0
        assert older.append(OTHER, 1, NINE - HOUR)
        assert journal.figures(NONE).undated == (OTHER, REF)
        journal.append(OTHER, [asked(2)], expected=1, head=CALM)
        assert journal.figures(NONE).undated == (REF,)


def test_postgres_older_workers_lose_and_win_races_on_the_new_tables(older: Older) -> None:
    """On the new tables an older worker that a newer one was ahead of is told so and writes nothing, be the stream
    new or old; a newer one that an older one was ahead of, too."""
    with PostgresJournal(older.conninfo) as journal:
        journal.append(REF, [asked(1)], expected=0, head=CALM)
        assert not older.append(REF, 1)
        journal.append(REF, [asked(2)], expected=1, head=DOUBT)
        assert not older.append(REF, 2)
        assert not older.append(OTHER, 2)  # there is no such stream
        assert journal.figures(NONE).in_doubt == 1  # nor was the head touched
        assert older.append(REF, 3)
        with pytest.raises(JournalConflict):
            journal.append(REF, [asked(9)], expected=2, head=CALM)
        assert older.append(OTHER, 1)
        with pytest.raises(JournalConflict):
            journal.append(OTHER, [asked(9)], expected=0, head=CALM)
        assert journal.load(REF).events == (asked(1), asked(2), asked(3))
        assert journal.load(OTHER).events == (asked(1),)


def test_postgres_events_of_older_transactions_are_told_in_their_order(older: Older) -> None:
    """Whichever version appends in a transaction that began before the last append to the stream, whoever reads
    along is told the stream in its order, and each event once."""
    with PostgresJournal(older.conninfo) as journal:
        for ref, newer_lags in ((REF, False), (OTHER, True)):
            with psycopg.connect(older.conninfo) as lagging:
                lagging.execute("SELECT pg_current_xact_id()")  # has its number before all that follows
                journal.append(ref, [asked(1)], expected=0, head=CALM)
                assert older.append(ref, 2)
                if newer_lags:
                    journal.within(lagging).append(ref, [asked(3)], expected=2, head=CALM)
                else:
                    assert first.append(lagging, ref, [asked(3)], expected=2, head=CALM)
            assert older.append(ref, 4)
            journal.append(ref, [asked(5)], expected=4, head=CALM)
        told, position = [], ""
        while news := journal.tail(position, 2):
            told += [(each.stream, each.version) for each in news]
            position = news[-1].position
    assert told == [(str(ref), version) for ref in (REF, OTHER) for version in range(1, 6)]


def test_more_undated_streams_than_are_named_are_counted(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is named is limited, and the rest is a number, never left out."""
    with closing(sqlite3.connect(path)) as older:
        for number in range(3, MOST_UNDATED + 5):
            older_append(older, PaymentRef("platform", f"ch_{number}"), 1, NINE + HOUR)
    with opened(path) as journal:
        figures = journal.figures(NONE)
        assert (len(figures.undated), figures.more_undated) == (MOST_UNDATED, 3)
        assert figures.undated[0] == REF
        assert read_health(journal, NONE).uncounted == 3
