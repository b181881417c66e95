"""The journal in an SQLite file within a host's own transaction; and what it shares with the journal outside."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, TypeVar

from refund_adapters.sql import schema
from refund_adapters.sql.connections import journal_error
from refund_adapters.sql.rows import (
    AGAIN,
    NO_TRANSACTION,
    WENT_BACK,
    Times,
    decoded,
    event_rows,
    head_row,
    microseconds,
    moment,
    position,
    refs,
    stream_of,
)
from refund_domain._checks import check_count, check_text
from refund_domain.errors import JournalConflict, JournalDamaged, JournalError, JournalUnavailable
from refund_domain.events import Event
from refund_domain.payments import PaymentRef, Ref
from refund_domain.ports import Head, Loaded, Tailed

T = TypeVar("T")

Row = tuple[str, int, int, str]

OVERTAKEN: Final = (sqlite3.SQLITE_BUSY_SNAPSHOT,)
"""What SQLite says where others wrote since a transaction read."""


class JoinedSqliteJournal:
    """A `SqliteJournal` within a host's transaction, as `SqliteJournal.within` gives it. Never ends that."""

    in_transaction = True

    def __init__(
        self, host: sqlite3.Connection, now: Callable[[], datetime], times: Times, *, begun: bool = False
    ) -> None:
        self._host = host
        self._begun = begun
        self._now = now
        self._times = times
        (strength,) = self._run(lambda cursor: cursor.execute("PRAGMA main.synchronous").fetchone())
        self._durable = int(strength) >= schema.SYNCHRONOUS["FULL"]

    @property
    def durable(self) -> bool:
        """Whether the host's commit survives a crash of the machine, by `synchronous` of its connection."""
        return self._durable

    def leave(self) -> None:
        """Roll back what `SqliteJournal.within` began on the host's connection, before anything is written."""
        if self._begun and is_in_transaction(self._host):
            told(lambda: self._host.execute("ROLLBACK"))

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        """As `SqliteJournal.load`, as the host's transaction sees it."""
        stream = stream_of(ref, after, "after")
        return self._run(
            lambda cursor: loaded(read_stream(cursor, stream, after), after, self._now(), self._times)
        )

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        """As `SqliteJournal.append`; the host's commit makes it true."""
        stream = stream_of(ref, expected, "expected")
        rows = [(stream, *row) for row in event_rows(events, expected)]
        indexed = head_row(ref, head)

        def add(cursor: sqlite3.Cursor) -> None:
            cursor.execute("SAVEPOINT refund_append")
            try:
                add_to_stream(cursor, stream, expected, rows, indexed, AGAIN)
            except BaseException:
                # The host may go on and commit: of an append that broke nothing may be left to that.
                if self._host.in_transaction:  # or SQLite has rolled back all there was, the savepoint too
                    cursor.execute("ROLLBACK TO refund_append")
                    cursor.execute("RELEASE refund_append")
                raise
            cursor.execute("RELEASE refund_append")

        # An append reads before it writes, and who has read waits for no other writer: its commit makes that old.
        self._run(add, overtaken=(sqlite3.SQLITE_BUSY_SNAPSHOT, sqlite3.SQLITE_BUSY))
        return self._now()

    def due(self, limit: int, /) -> tuple[PaymentRef, ...]:
        """As `SqliteJournal.due`."""
        check_count(limit, "limit", 1)
        values = (microseconds(self._now()), limit)
        return self._run(lambda cursor: streams(cursor.execute(schema.READ_DUE, values)))

    def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]:
        """As `SqliteJournal.waiting`."""
        check_text(tenant, "tenant", 255)
        check_count(limit, "limit", 1)
        return self._run(lambda cursor: streams(cursor.execute(schema.READ_WAITING, (tenant, limit))))

    def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        """Refused (ValueError): what this transaction appended has no place before it is committed."""
        raise ValueError("a host's transaction cannot be read along; use the journal's own tail")

    def _run(self, work: Callable[[sqlite3.Cursor], T], overtaken: tuple[int, ...] = OVERTAKEN) -> T:
        check_in_transaction(self._host)
        try:
            return told(lambda: _with_cursor(self._host, work), overtaken)
        except JournalError as error:
            if is_in_transaction(self._host):
                raise
            words = (
                f"{error}; SQLite has rolled back the host's whole transaction, its own rows too: begin it again"
            )
        raise JournalUnavailable(words)


def _with_cursor(host: sqlite3.Connection, work: Callable[[sqlite3.Cursor], T]) -> T:
    cursor = host.cursor(sqlite3.Cursor)
    cursor.row_factory = None  # the host's own would give rows of another shape
    try:
        return work(cursor)
    finally:
        cursor.close()


def told(work: Callable[[], T], overtaken: tuple[int, ...] = OVERTAKEN) -> T:
    """Do `work` on a host's connection. What SQLite raises comes out as a `JournalError`; these codes of its mean
    that others were first."""
    try:
        return work()
    except sqlite3.Error as error:
        trouble: JournalError = journal_error(error)
        if isinstance(trouble, JournalConflict):
            trouble = JournalConflict(f"{trouble}{AGAIN}")
        if isinstance(error, sqlite3.ProgrammingError):
            trouble = JournalUnavailable("the host's connection is closed, or belongs to another thread")
        if getattr(error, "sqlite_errorcode", 0) in overtaken:
            trouble = JournalConflict(f"others wrote since the host's transaction read, or write now{AGAIN}")
    raise trouble


def is_in_transaction(host: sqlite3.Connection) -> bool:
    """Whether the host's connection has a transaction open."""
    return told(lambda: host.in_transaction)


def check_in_transaction(host: sqlite3.Connection) -> None:
    """Refuse (ValueError) a connection on which each statement would be committed by itself."""
    if not is_in_transaction(host):
        raise ValueError(NO_TRANSACTION)


def begin_where_python_would(host: sqlite3.Connection) -> bool:
    """See that the host's connection has a transaction open, and say whether it was begun here.

    Raises ValueError where none is open and none would be.

    A connection in sqlite3's default mode begins one by itself, before its first change: it is begun here, for
    otherwise what is read before that change would not belong to it.
    """
    begins = not is_in_transaction(host) and _begins_by_itself(host)
    if begins:
        told(lambda: host.execute(schema.BEGIN))
    check_in_transaction(host)
    return begins


def _begins_by_itself(host: sqlite3.Connection) -> bool:
    """Whether this connection begins a transaction before a change, and its `commit` ends it.

    From Python 3.12 on neither is so with `autocommit=True`, whatever `isolation_level` says: nobody would commit
    what was begun there.
    """
    return host.isolation_level is not None and getattr(host, "autocommit", None) is not True


def check_savepoints(connection: object, host: sqlite3.Connection) -> None:
    """Refuse (ValueError) a framework's savepoint that may be the outermost: its release would commit.

    sqlite3 begins a transaction before a change, and none before a savepoint. SQLite then takes the savepoint for
    the transaction, and does not tell one from the other; nor is a change before it any sign.
    """
    if host.isolation_level is None or getattr(host, "autocommit", None) is False or not _in_savepoint(connection):
        return
    raise ValueError(
        "the connection is within a savepoint before which nothing may have begun a transaction, and whose release"
        " would commit: call `within` before the savepoint, or set isolation_level None and BEGIN IMMEDIATE first"
    )


def _in_savepoint(connection: object) -> bool:
    """Whether SQLAlchemy or Django has a savepoint open on what it wrapped."""
    nested = getattr(connection, "in_nested_transaction", None)
    return bool(nested()) if callable(nested) else any(getattr(connection, "savepoint_ids", ()))


def main_file(host: sqlite3.Connection) -> str:
    """The path of the file this connection is open on, empty for one in memory."""
    rows = told(lambda: _with_cursor(host, lambda cursor: cursor.execute("PRAGMA database_list").fetchall()))
    return next((str(path) for _, name, path in rows if name == "main"), "")


# ---- shared with the journal outside ----


def read_stream(
    cursor: sqlite3.Cursor | sqlite3.Connection, stream: str, after: int
) -> tuple[list[tuple[int, str]], int, int | None]:
    """The rows of a stream after a version, its version, and the latest time of any event."""
    rows = cursor.execute(schema.READ_EVENTS, (stream, after)).fetchall()
    # Bounded by `after`, or an append between these two reads would be counted but not shown.
    (version,) = rows[-1][:1] if rows else cursor.execute(schema.READ_VERSION_UP_TO, (stream, after)).fetchone()
    (latest,) = cursor.execute(schema.READ_LATEST).fetchone()
    return rows, version or 0, latest


def loaded(read: tuple[list[tuple[int, str]], int, int | None], after: int, now: datetime, times: Times) -> Loaded:
    """What was read as the port gives it. Raises `JournalDamaged` for a stream with a gap."""
    rows, version, latest = read
    if rows and version != after + len(rows):
        raise JournalDamaged("a stream of the journal has a gap: it was changed by hand; restore it")
    given = times.given(now)
    return Loaded(
        events=tuple([decoded(number, text) for number, text in rows]),
        version=version,
        now=now,
        latest=given if latest is None else max(given, moment(latest)),
    )


def add_to_stream(
    cursor: sqlite3.Cursor | sqlite3.Connection,
    stream: str,
    expected: int,
    rows: list[Row],
    indexed: tuple[object, ...],
    then: str = "",
) -> None:
    """Add these rows in the transaction that is open. Raises `JournalConflict` at another version; `then` is what
    it tells to do."""
    (version,) = cursor.execute(schema.READ_VERSION, (stream,)).fetchone()
    if (version or 0) != expected:
        raise JournalConflict(f"another worker appended to this stream first{then}")
    cursor.executemany(schema.ADD_EVENT, rows)
    cursor.execute(schema.REPLACE_HEAD, (stream, *indexed, expected + len(rows)))


def streams(cursor: sqlite3.Cursor) -> tuple[PaymentRef, ...]:
    """The payments of these rows."""
    return refs([stream for (stream,) in cursor.fetchall()])


def read_tail(connection: sqlite3.Connection, after: str, limit: int) -> tuple[Tailed, ...]:
    """The events behind a position. Raises `JournalUnavailable` for one that the journal has not reached."""
    (behind,) = position(after, 1)
    rows = connection.execute(schema.READ_TAIL, (behind, limit)).fetchall()
    if not rows and behind > (connection.execute(schema.READ_LAST).fetchone()[0] or 0):
        raise JournalUnavailable(WENT_BACK)
    return tuple(
        [
            Tailed(position=str(seq), stream=stream, version=version, event=decoded(version, text))
            for seq, stream, version, text in rows
        ]
    )
