"""What `SqliteJournal` does for operators: figures, a tenant's history, and the erasing of names and notes.

What is deleted or overwritten stays in a file of SQLite's until its page is used again: in free pages, in the rest
of a page that was split long ago, in the write-ahead log. `forget` therefore rewrites the whole file. Where that
fails, because the host's tables need functions or collations that only the host's connections have, what the
erasure itself wrote over is gone all the same: its connection overwrites with zeros.
"""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from refund_adapters.places import ANOTHER_ERASURE
from refund_adapters.sql import schema
from refund_adapters.sql.rows import check_erasure, figures, history_place, microseconds, narrated
from refund_domain.errors import JournalBusy
from refund_domain.operations.health import MOST_UNDATED, Figures
from refund_domain.ports import Tailed

NOT_REWRITTEN: Final = (
    "names and notes are erased, and the file was not rewritten, for its other tables need functions or collations"
    " that only the host's connections have: run VACUUM on one of those"
)


class FileNotRewritten(UserWarning):
    """An erasure has ended without rewriting the file: traces from before it may be left in free pages."""


def read_figures(connection: sqlite3.Connection, now: datetime, young: timedelta) -> Figures:
    """What the index tells of all streams."""
    times = {"now": microseconds(now), "old": microseconds(now - young)}
    row = connection.execute(schema.READ_FIGURES, times).fetchone()
    undated = connection.execute(schema.READ_UNDATED, (MOST_UNDATED,)).fetchall()
    return figures((times["now"], *row), [stream for (stream,) in undated])


def read_history(connection: sqlite3.Connection, tenant: str, after: str, limit: int) -> tuple[Tailed, ...]:
    """The tenant's events behind a position."""
    stream, version = history_place(after)
    values = {"tenant": tenant, "stream": stream, "version": version, "limit": limit}
    return narrated(connection.execute(schema.READ_HISTORY, values).fetchall())


def put_erased(
    connection: sqlite3.Connection, tenant: str, events: Sequence[Tailed], texts: Sequence[str]
) -> None:
    """Put these texts of erased events in their places, in the transaction that is open."""
    connection.execute(schema.OVERWRITE)
    for event, text in zip(events, texts, strict=True):
        stands = connection.execute(schema.READ_PLACE, (tenant, event.stream, event.version)).fetchone()
        check_erasure(None if stands is None else stands[0], event)
        connection.execute(schema.REPLACE_EVENT, (text, event.stream, event.version))


def begin_erasure(connection: sqlite3.Connection, tenant: str, scope: str, key: str) -> str:
    """The key of the erasure that stands, in the open transaction. Raises `JournalBusy` for another scope's."""
    connection.execute(schema.BEGIN_ERASURE, (tenant, scope, key))
    standing, kept = connection.execute(schema.READ_ERASURE, (tenant,)).fetchone()
    if standing != scope:
        raise JournalBusy(ANOTHER_ERASURE)
    return str(kept)


def forget(connection: sqlite3.Connection) -> None:
    """Rewrite the file from what is in it, and empty its log: nothing else is left in either.

    Raises `JournalBusy` where another connection reads for longer than this one waits. Warns (`FileNotRewritten`)
    where the host's schema needs functions or collations that this connection does not have.
    """
    rewritten = True
    try:
        connection.execute(schema.REWRITE_FILE)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:  # the disk, a lock: again, and it ends
            raise
        rewritten = False
    (busy, _, _) = connection.execute(schema.EMPTY_LOG).fetchone()
    if busy:
        raise JournalBusy("the journal's log is being read and was not emptied: end the erasure again")
    if not rewritten:
        warnings.warn(NOT_REWRITTEN, FileNotRewritten, stacklevel=2)
