"""The journal in an SQLite file, on the standard library's sqlite3: for one machine, any number of processes.

What an append returned from is on the disk: write-ahead logging with synchronous=FULL, read back on every
connection. A race is decided by the one unique version per stream inside one short write transaction; nothing
is locked between calls, and never over the network.

Keep the file on a local disk: WAL does not work on network file systems. Prefer SQLite 3.51.3 or newer: before it,
two connections that checkpoint at the same instant could, very rarely, damage the file (sqlite.org/wal.html, "The
WAL-Reset Bug").
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TypeVar

from refund_adapters.clock import utc_now
from refund_adapters.sql import schema
from refund_adapters.sql.connections import GATE, Connections
from refund_adapters.sql.rows import (
    Times,
    checked_run,
    checked_wait,
    erased_texts,
    event_rows,
    head_row,
    history_place,
    host_connection,
    microseconds,
    position,
    stream_of,
)
from refund_adapters.sql.sqlite_records import begin_erasure, forget, put_erased, read_figures, read_history
from refund_adapters.sql.sqlite_within import (
    JoinedSqliteJournal,
    add_to_stream,
    begin_where_python_would,
    check_savepoints,
    loaded,
    main_file,
    read_stream,
    read_tail,
    streams,
)
from refund_domain._checks import check_count, check_span, check_text, check_time, check_type
from refund_domain.errors import JournalBusy, JournalConflict, JournalUnavailable
from refund_domain.events import Event
from refund_domain.operations.health import Figures
from refund_domain.payments import PaymentRef, Ref
from refund_domain.ports import Head, Loaded, Tailed

T = TypeVar("T")


class SqliteJournal:
    """A `refund_domain.ports.RefundJournal` in the SQLite file `path`, made with its tables if it is not there.

    One handle serves all threads, each with a connection of its own, and survives a fork of the process. Any
    number of handles and processes may share the file; `:memory:` is refused (use the memory journal).

    `clock` gives the journal's time, aware. `busy_timeout_s` is how long an append waits for this process's
    other threads, and again for other processes, in seconds. `synchronous` below FULL can lose the last appends
    when the machine fails, so it is refused unless `weaker_durability_accepted`; such a journal is not
    `durable`, and no live gateway is served with it. `must_exist` makes no journal: a file that is missing or
    holds none is refused, and left as it is.

    Raises TypeError and ValueError for unusable arguments, `JournalUnavailable` and `JournalBusy` when the file
    cannot be opened, is no journal, or has a newer schema. Every call raises those, too. A file that is deleted
    or replaced under an open handle is `JournalUnavailable`, not an empty journal.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with SqliteJournal(os.path.join(folder.name, "refunds.db")) as journal:
    ...     journal.durable, journal.load(PaymentRef("platform", "ch_1")).version
    (True, 0)
    >>> folder.cleanup()
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], datetime] = utc_now,
        busy_timeout_s: float = 5.0,
        synchronous: schema.Synchronous = "FULL",
        weaker_durability_accepted: bool = False,
        must_exist: bool = False,
    ) -> None:
        self._path = _absolute(path)
        check_type(must_exist, bool, "must_exist")
        self._must_exist = must_exist
        self._synchronous = _checked_synchronous(synchronous, weaker_durability_accepted)
        self._busy_timeout_s = checked_wait(busy_timeout_s, "busy_timeout_s")
        if not callable(clock):
            raise TypeError("clock must be a function that returns an aware datetime")
        self._clock = clock
        self._times = Times(GATE)
        self._writing = threading.Lock()
        self._file: tuple[int, int] | None = None
        self._connections = Connections(self._connect)
        self._connections.run(lambda _: None)
        # A server that is about to fork its workers holds nothing open yet.
        self._connections.let_go()

    def _connect(self) -> sqlite3.Connection:
        if self._must_exist and self._file is None and not os.path.exists(self._path):
            raise JournalUnavailable("there is no such file, and must_exist makes none")
        connection = schema.open_connection(
            self._path,
            create=self._file is None and not self._must_exist,
            busy_timeout_s=self._busy_timeout_s,
            synchronous=self._synchronous,
        )
        if self._file is None:
            self._file = schema.file_identity(self._path)
        return connection

    @property
    def durable(self) -> bool:
        """Whether an append that returned survives a crash of process and machine."""
        return schema.SYNCHRONOUS[self._synchronous] >= schema.SYNCHRONOUS["FULL"]

    @property
    def in_transaction(self) -> bool:
        """Whether the calling thread's connection has a transaction open: never, between two calls."""
        return self._connections.in_transaction

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        """The events of `ref` after version `after`, its version, the journal's time and its latest."""
        stream = stream_of(ref, after, "after")

        read = self._run(lambda connection: read_stream(connection, stream, after))
        return loaded(read, after, self._now(), self._times)

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        """Add `events` to the stream at version `expected`, all or none; gives the time after the commit.

        Refuses no events at all (ValueError): without news nothing is written. Raises `JournalConflict` when
        the stream is at another version.
        """
        stream = stream_of(ref, expected, "expected")
        rows = [(stream, *row) for row in event_rows(events, expected)]
        indexed = head_row(ref, head)

        self._write(lambda connection: add_to_stream(connection, stream, expected, rows, indexed))
        return self._now()

    def due(self, limit: int, /) -> tuple[PaymentRef, ...]:
        """At most `limit` payments whose look has come due, the longest due first."""
        check_count(limit, "limit", 1)
        values = (microseconds(self._now()), limit)
        return self._run(lambda connection: streams(connection.execute(schema.READ_DUE, values)))

    def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]:
        """At most `limit` payments of this tenant that wait for a person, in the order of their refs."""
        check_text(tenant, "tenant", 255)
        check_count(limit, "limit", 1)
        return self._run(lambda connection: streams(connection.execute(schema.READ_WAITING, (tenant, limit))))

    def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        """At most `limit` events that were appended behind position `after` (empty: from the beginning), in the
        order of their commits: SQLite has one writer at a time.

        Raises `JournalUnavailable` for a position behind the journal's end, as one from before a restore may be.
        """
        position(after, 1)
        check_count(limit, "limit", 1)
        return self._run(lambda connection: read_tail(connection, after, limit))

    def figures(self, young: timedelta, /) -> Figures:
        """What the heads of all streams tell, by their indexes; doubts younger than `young` are not counted."""
        check_span(young, "young")
        now = self._now()
        return self._run(lambda connection: read_figures(connection, now, young))

    def note_recovery(self, looked: int, failed: int, /) -> None:
        """Keep how a run of `recover` went, in place of the last one's."""
        values = (microseconds(self._now()), *checked_run(looked, failed))
        self._write(lambda connection: connection.execute(schema.NOTE_RECOVERY, values))

    def history(self, tenant: str, after: str, limit: int, /) -> tuple[Tailed, ...]:
        """At most `limit` events of this tenant's streams behind position `after`, by stream and version."""
        check_text(tenant, "tenant", 255)
        history_place(after)
        check_count(limit, "limit", 1)
        return self._run(lambda connection: read_history(connection, tenant, after, limit))

    def erase(self, tenant: str, events: Sequence[Tailed], /) -> None:
        """Put these erased events in their places, all or none. Raises ValueError for what is no erasure."""
        texts = erased_texts(tenant, events)
        self._write(lambda connection: put_erased(connection, tenant, events, texts))

    def begin_erasure(self, tenant: str, scope: str, key: str, /) -> str:
        """The key of the tenant's erasure that was begun and not ended; this one where there is none."""
        check_text(tenant, "tenant", 255)
        return self._write(lambda connection: begin_erasure(connection, tenant, scope, key))

    def end_erasure(self, tenant: str, key: str, /) -> None:
        """Forget key and scope of the erasure that has this key, and rewrite the whole file: nothing of what was
        erased is left in it or its log.

        Takes as long as a copy of the file, room for one more, and makes appends wait. Raises `JournalBusy` where
        another connection reads all the while: end it again. Where the host's own tables need functions or
        collations that only its connections have, it ends with the warning `FileNotRewritten`: the host is to
        run VACUUM.
        """
        check_text(tenant, "tenant", 255)
        self._write(lambda connection: connection.execute(schema.END_ERASURE, (tenant, key)))
        self._run(forget)

    def within(self, connection: object, /) -> JoinedSqliteJournal:
        """This journal within the transaction that is open on a host's sqlite3 connection to the same file, or on
        what Django (`django.db.connection`) or SQLAlchemy (`session.connection()`) wrap around one.

        The host commits or rolls back. Within a savepoint of theirs that may be the outermost it is refused
        (ValueError), for SQLite commits where that is released; of a bare SAVEPOINT nothing tells.

        Its connection is left as it is: below `synchronous=FULL` the joined
        journal is not `durable`. What begins with a read and then meets another's write is `JournalConflict`: the
        whole transaction is to be repeated; one that begins with BEGIN IMMEDIATE never is.
        """
        host = host_connection(connection, sqlite3.Connection, "sqlite3")
        if host.text_factory is not str:
            raise ValueError("the connection must give text as str: its text_factory is another")
        path = main_file(host)
        if not path or schema.file_identity(path) != self._file:
            raise JournalUnavailable(_elsewhere(path, self._path))
        check_savepoints(connection, host)
        # Last, for what is refused must be left as it was: a transaction begun elsewhere locks that file.
        begun = begin_where_python_would(host)
        return JoinedSqliteJournal(host, self._now, self._times, begun=begun)

    def close(self) -> None:
        """Close the connections of all threads. Every later call raises `JournalUnavailable`."""
        self._connections.close()

    def __enter__(self) -> SqliteJournal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        # Open connections would go on serving a file that nobody else can see any more.
        if schema.file_identity(self._path) != self._file:
            raise JournalUnavailable("the journal's file was replaced while it was open; make a new journal")
        return self._connections.run(work)

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in a transaction of its own."""

        def write(connection: sqlite3.Connection) -> T:
            # Threads queue here, because SQLite lets waiting connections sleep up to 0.1 s at a time.
            if not self._writing.acquire(timeout=self._busy_timeout_s):
                raise JournalBusy(
                    "the journal's other threads wrote for longer than it waits; nothing was written"
                )
            try:
                connection.execute(schema.BEGIN)
                try:
                    done = work(connection)
                except JournalConflict:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
                return done
            finally:
                self._writing.release()

        return self._run(write)

    def _now(self) -> datetime:
        """The clock's time, which this handle has given from now on."""
        now = self._clock()
        check_time(now, "what the journal's clock returns")
        now = now.astimezone(UTC)
        self._times.given(now)
        return now


def _elsewhere(hosts: str, own: str) -> str:
    """What a host is told whose connection leads elsewhere: both files' names, not their folders."""
    name, mine = os.path.basename(hosts) or "a database in memory", os.path.basename(own)
    where = f"{mine} in another place, or replaced since" if name == mine else mine
    return f"the host's connection leads to another file than the journal's: to {name}; the journal is in {where}"


def _absolute(path: object) -> str:
    """The file's full path, so that a later change of folder cannot lead a new connection elsewhere."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a str or a path, not {type(path).__name__}")
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError("path must be text, not bytes")
    if not text:
        raise ValueError("path must not be empty: it names the journal's file, e.g. 'refunds.db'")
    if "://" in text:
        raise ValueError("path must name a file, not a URL: give what stands behind sqlite:///, e.g. 'refunds.db'")
    if text == ":memory:" or text.startswith("file:") or "\0" in text:
        raise ValueError("path must name a file, not a URI; a journal in memory is refund_adapters.memory's")
    return os.path.abspath(text)


def _checked_synchronous(word: object, weaker_durability_accepted: object) -> schema.Synchronous:
    check_type(weaker_durability_accepted, bool, "weaker_durability_accepted")
    for known, strength in schema.SYNCHRONOUS.items():
        if word == known:
            if strength < schema.SYNCHRONOUS["FULL"] and not weaker_durability_accepted:
                raise ValueError(
                    f"synchronous={known} can lose a claim that was already sent when the machine fails; "
                    "use FULL, or say weaker_durability_accepted=True where no real money moves"
                )
            return known
    raise ValueError(f"synchronous must be one of {', '.join(schema.SYNCHRONOUS)}")
