"""The tables of the journal, every statement on them, and the opening of a connection that may be trusted.

The tables carry a prefix and their own version, so that they may live in a host's database beside its own.
`refund_events` is the journal; the one unique version per stream is what decides a race. `refund_streams` is an
index of it: what the ledger of each stream says about looks and people, replaced with every append. Times are
whole microseconds since 1970 in UTC. `seq` rises in the order of commit, for whoever will read along.

Types are checked by CHECK, not by STRICT, because STRICT needs SQLite 3.37 and this needs 3.24 only.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Final, Literal, cast

from refund_domain.errors import JournalUnavailable

SCHEMA_VERSION: Final = 2
"""The newest schema known here; a journal of a newer one is refused."""

Synchronous = Literal["EXTRA", "FULL", "NORMAL", "OFF"]

SYNCHRONOUS: Final[dict[Synchronous, int]] = {"OFF": 0, "NORMAL": 1, "FULL": 2, "EXTRA": 3}
"""SQLite's words for when it waits for the disk, and the numbers it answers with."""

_SMALLEST_DATABASE: Final = 512

# ---- the statements; a second dialect brings its own of the same names ----

_FIRST: Final = (
    "CREATE TABLE refund_journal (schema_version INTEGER NOT NULL)",
    """
    CREATE TABLE refund_events (
        seq INTEGER PRIMARY KEY,
        stream TEXT NOT NULL,
        version INTEGER NOT NULL CHECK (typeof(version) = 'integer' AND version > 0),
        at INTEGER NOT NULL CHECK (typeof(at) = 'integer'),
        event TEXT NOT NULL,
        UNIQUE (stream, version)
    )
    """,
    "CREATE INDEX refund_events_at ON refund_events (at)",
    """
    CREATE TABLE refund_streams (
        stream TEXT NOT NULL PRIMARY KEY,
        tenant TEXT NOT NULL,
        look_at INTEGER CHECK (typeof(look_at) IN ('integer', 'null')),
        waiting INTEGER NOT NULL CHECK (waiting IN (0, 1))
    )
    """,
    "CREATE INDEX refund_streams_due ON refund_streams (look_at, stream) WHERE look_at IS NOT NULL",
    "CREATE INDEX refund_streams_waiting ON refund_streams (tenant, stream) WHERE waiting = 1",
    "INSERT INTO refund_journal (schema_version) VALUES (0)",
)
_SECOND: Final = (
    "ALTER TABLE refund_streams ADD COLUMN doubt_since INTEGER",
    "ALTER TABLE refund_streams ADD COLUMN doubt_version INTEGER",
    # A worker of the first schema replaces a head and leaves the doubt as it was: that is no longer true.
    """
    CREATE TRIGGER refund_streams_by_older AFTER UPDATE OF look_at ON refund_streams
    WHEN new.doubt_version IS old.doubt_version BEGIN
        UPDATE refund_streams SET doubt_since = NULL, doubt_version = NULL WHERE stream = new.stream;
    END
    """,
    "CREATE INDEX refund_streams_doubt ON refund_streams (doubt_since) WHERE doubt_since IS NOT NULL",
    """
    CREATE INDEX refund_streams_undated ON refund_streams (look_at)
    WHERE look_at IS NOT NULL AND doubt_version IS NULL
    """,
    """
    CREATE TABLE refund_recovery (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        at INTEGER NOT NULL,
        looked INTEGER NOT NULL,
        failed INTEGER NOT NULL
    )
    """,
    "CREATE INDEX refund_streams_tenant ON refund_streams (tenant, stream)",
    """
    CREATE TABLE refund_erasures (
        tenant TEXT NOT NULL PRIMARY KEY,
        scope TEXT NOT NULL,
        key TEXT NOT NULL
    )
    """,
)

STEPS: Final = (_FIRST, _SECOND)
"""What leads from each version of the schema to the next, from none at all to the newest. Each step must leave
what workers of the version before it still do right, for they go on while it is made."""

HAS_TABLES: Final = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'refund_journal'"
SET_SCHEMA_VERSION: Final = "UPDATE refund_journal SET schema_version = ?"
READ_SCHEMA_VERSION: Final = "SELECT schema_version FROM refund_journal"

BEGIN: Final = "BEGIN IMMEDIATE"  # takes the write lock at once: what it reads cannot change before the commit
READ_EVENTS: Final = "SELECT version, event FROM refund_events WHERE stream = ? AND version > ? ORDER BY version"
READ_VERSION: Final = "SELECT max(version) FROM refund_events WHERE stream = ?"
READ_VERSION_UP_TO: Final = "SELECT max(version) FROM refund_events WHERE stream = ? AND version <= ?"
READ_LATEST: Final = "SELECT max(at) FROM refund_events"
ADD_EVENT: Final = "INSERT INTO refund_events (stream, version, at, event) VALUES (?, ?, ?, ?)"
REPLACE_HEAD: Final = """
    INSERT INTO refund_streams (stream, tenant, look_at, waiting, doubt_since, doubt_version)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (stream) DO UPDATE SET
        tenant = excluded.tenant, look_at = excluded.look_at, waiting = excluded.waiting,
        doubt_since = excluded.doubt_since, doubt_version = excluded.doubt_version
"""
READ_DUE: Final = "SELECT stream FROM refund_streams WHERE look_at <= ? ORDER BY look_at, stream LIMIT ?"
READ_WAITING: Final = "SELECT stream FROM refund_streams WHERE tenant = ? AND waiting = 1 ORDER BY stream LIMIT ?"
READ_FIGURES: Final = """
    SELECT
        (SELECT count(*) FROM refund_streams WHERE doubt_since <= :old),
        (SELECT min(doubt_since) FROM refund_streams WHERE doubt_since <= :old),
        (SELECT count(*) FROM refund_streams WHERE look_at <= :now),
        (SELECT min(look_at) FROM refund_streams WHERE look_at <= :now),
        (SELECT count(*) FROM refund_streams WHERE waiting = 1),
        (SELECT at FROM refund_recovery),
        (SELECT looked FROM refund_recovery),
        (SELECT failed FROM refund_recovery),
        (SELECT count(*) FROM refund_streams WHERE look_at IS NOT NULL AND doubt_version IS NULL),
        (SELECT max(at) FROM refund_events)
"""
READ_UNDATED: Final = """
    SELECT stream FROM refund_streams WHERE look_at IS NOT NULL AND doubt_version IS NULL ORDER BY look_at LIMIT ?
"""
NOTE_RECOVERY: Final = """
    INSERT INTO refund_recovery (id, at, looked, failed) VALUES (1, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET at = excluded.at, looked = excluded.looked, failed = excluded.failed
"""
READ_HISTORY: Final = """
    SELECT e.stream, e.version, e.event FROM refund_streams AS s JOIN refund_events AS e ON e.stream = s.stream
    WHERE s.tenant = :tenant AND s.stream >= :stream AND (s.stream > :stream OR e.version > :version)
    ORDER BY s.stream, e.version LIMIT :limit
"""
READ_PLACE: Final = """
    SELECT e.event FROM refund_streams AS s JOIN refund_events AS e ON e.stream = s.stream
    WHERE s.tenant = ? AND s.stream = ? AND e.version = ?
"""
REPLACE_EVENT: Final = "UPDATE refund_events SET event = ? WHERE stream = ? AND version = ?"
BEGIN_ERASURE: Final = """
    INSERT INTO refund_erasures (tenant, scope, key) VALUES (?, ?, ?)
    ON CONFLICT (tenant) DO UPDATE SET scope = excluded.scope WHERE excluded.scope = ''
"""
READ_ERASURE: Final = "SELECT scope, key FROM refund_erasures WHERE tenant = ?"
END_ERASURE: Final = "DELETE FROM refund_erasures WHERE tenant = ? AND key = ?"
OVERWRITE: Final = "PRAGMA secure_delete = ON"  # many builds leave what is deleted where it stood
REWRITE_FILE: Final = "VACUUM"
EMPTY_LOG: Final = "PRAGMA wal_checkpoint(TRUNCATE)"
READ_LAST: Final = "SELECT max(seq) FROM refund_events"
READ_TAIL: Final = "SELECT seq, stream, version, event FROM refund_events WHERE seq > ? ORDER BY seq LIMIT ?"


def open_connection(
    path: str, *, create: bool, busy_timeout_s: float, synchronous: Synchronous
) -> sqlite3.Connection:
    """A connection to the journal in this file, each of its settings read back.

    Without `create` a missing file or table is an error, and nothing is changed there: a journal that is gone must
    not be taken for an empty one, in which nothing is in flight. The connection commits by itself outside `BEGIN`.

    Raises sqlite3.Error as it comes, `JournalUnavailable` for what SQLite thinks nothing of: a schema not known
    here, no tables, no WAL, a setting that did not take.
    """
    # SQLite takes a file of a few bytes for an empty database and would write over it.
    if create and os.path.exists(path) and 0 < os.path.getsize(path) < _SMALLEST_DATABASE:
        raise JournalUnavailable("the journal's file is no SQLite database")
    connection = sqlite3.connect(
        f"{Path(path).as_uri()}?mode={'rwc' if create else 'rw'}",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,  # a handle closes the connections of all its threads
    )
    try:
        _schema_found(connection, create)  # before WAL, which would stay in a file of others
        _set_wal(connection, busy_timeout_s)
        # On macOS fsync leaves the data in the drive's own cache; elsewhere these two mean nothing.
        connection.execute("PRAGMA fullfsync = 1")
        connection.execute("PRAGMA checkpoint_fullfsync = 1")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        if _one(connection, "PRAGMA synchronous") != SYNCHRONOUS[synchronous]:
            raise JournalUnavailable(f"SQLite did not take synchronous={synchronous}")
        _check_schema(connection, create)
    except BaseException:
        connection.close()
        raise
    return connection


def file_identity(path: str) -> tuple[int, int]:
    """Which file stands under this path. Raises `JournalUnavailable` when none does."""
    try:
        found = os.stat(path)
    except OSError:
        found = None  # its error names the path, and would hang on ours
    if found is None:
        raise JournalUnavailable("the journal's file is gone")
    return found.st_dev, found.st_ino


def _set_wal(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    """Write-ahead logging: readers never wait for the writer. The file remembers it.

    SQLite does not wait for its busy timeout when two connections switch at once, so this does.
    """
    give_up = time.monotonic() + busy_timeout_s
    while _one(connection, "PRAGMA journal_mode") != "wal":
        try:
            mode = _one(connection, "PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up:
                raise
            time.sleep(0.01)
        else:
            if mode != "wal":
                raise JournalUnavailable("SQLite cannot use WAL here; the journal needs a local, writable disk")


def _check_schema(connection: sqlite3.Connection, create: bool) -> None:
    """Make the tables where `create`, bring older ones to the newest schema, refuse those of a newer one."""
    found = _schema_found(connection, create)
    if found < SCHEMA_VERSION:
        connection.execute(BEGIN)  # killed before its commit, it leaves what was there
        found = _schema_found(connection, create)  # another process may have made them meanwhile
        for step in STEPS[found:]:
            for statement in step:
                connection.execute(statement)
        if found < SCHEMA_VERSION:
            connection.execute(SET_SCHEMA_VERSION, (SCHEMA_VERSION,))
        connection.execute("COMMIT")
    if found > SCHEMA_VERSION:
        raise JournalUnavailable(
            f"the journal has schema {found}, this version of the library knows {SCHEMA_VERSION}: upgrade it"
        )


def _schema_found(connection: sqlite3.Connection, create: bool) -> int:
    """The schema of the tables that are there, 0 where there are none, which is refused without `create`."""
    if not _one(connection, HAS_TABLES):
        if not create:
            raise JournalUnavailable("the file holds no journal")
        return 0
    version = _one(connection, READ_SCHEMA_VERSION)
    if type(version) is not int or version < 1:
        raise JournalUnavailable("the journal does not say which schema it has; restore it")
    return version


def _one(connection: sqlite3.Connection, statement: str) -> object:
    row = cast("tuple[object] | None", connection.execute(statement).fetchone())
    return None if row is None else row[0]
