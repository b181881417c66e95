"""What `SqliteJournal` does for operators: figures, a tenant's history, and the erasing of names and notes.

What is deleted or overwritten stays in a file of SQLite's until its page is used again: in free pages, in the rest
of a page that was split long ago, in the write-ahead log. `forget` therefore rewrites the whole file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from refund_adapters.places import ANOTHER_ERASURE, place
from refund_adapters.sql import schema
from refund_adapters.sql.rows import check_erasure, figures, microseconds, narrated
from refund_domain.errors import JournalBusy
from refund_domain.operations.health import MOST_UNDATED, Figures
from refund_domain.ports import Tailed


def read_figures(connection: sqlite3.Connection, now: datetime, young: timedelta) -> Figures:
    """What the index tells of all streams."""
    times = {"now": microseconds(now), "old": microseconds(now - young)}
    row = connection.execute(schema.READ_FIGURES, times).fetchone()
    undated = connection.execute(schema.READ_UNDATED, (MOST_UNDATED,)).fetchall()
    return figures((times["now"], *row), [stream for (stream,) in undated])


def read_history(connection: sqlite3.Connection, tenant: str, after: str, limit: int) -> tuple[Tailed, ...]:
    """The tenant's events behind a position."""
    stream, version = place(after)
    values = {"tenant": tenant, "stream": stream, "version": version, "limit": limit}
    return narrated(connection.execute(schema.READ_HISTORY, values).fetchall())


def put_erased(
    connection: sqlite3.Connection, tenant: str, events: Sequence[Tailed], texts: Sequence[str]
) -> None:
    """Put these texts of erased events in their places, in the transaction that is open."""
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

    Raises `JournalBusy` where another connection reads for longer than this one waits.
    """
    connection.execute(schema.REWRITE_FILE)
    (busy, _, _) = connection.execute(schema.EMPTY_LOG).fetchone()
    if busy:
        raise JournalBusy("the journal's log is being read and was not emptied: end the erasure again")
