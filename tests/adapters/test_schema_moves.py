"""A journal of the first schema is moved on under workers of both versions, and counts no doubt wrongly.

The statements of the first version stand here, and in `tests.postgres.first`, as it made them: they are what older
workers still do.
"""

from __future__ import annotations

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
from tests.adapters.test_postgres_journal import conninfo_of_version_1
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


@pytest.mark.parametrize("stop", range(1, 11))
def test_sqlite_move_killed_at_any_statement(path: str, stop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at whichever statement, the move leaves what was there, and the next worker finishes it."""
    moves = [statement for step in schema.STEPS[1:] for statement in step]
    moves += [schema.SET_SCHEMA_VERSION, "COMMIT"]

    class Killed(sqlite3.Connection):
        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            if sql == moves[stop - 1]:
                raise KeyboardInterrupt
            return super().execute(sql, parameters)

    connect = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *values, **named: connect(*values, **named, factory=Killed))
        with pytest.raises(KeyboardInterrupt):
            opened(path)
    with closing(sqlite3.connect(path)) as older:
        assert older.execute("SELECT schema_version FROM refund_journal").fetchall() == [(1,)]
        older_append(older, REF, 2, NINE)
    with opened(path) as journal:
        assert journal.load(REF).version == 2
        assert journal.figures(NONE).undated == (REF,)


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
