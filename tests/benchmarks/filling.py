"""A journal of a million refunds without their calls: rows loaded in bulk, as the journal would write them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg

from refund_adapters.sql.rows import microseconds
from refund_domain.ports import RefundJournal
from tests.benchmarks import lives

EventRow = tuple[str, int, int, str]
HeadRow = tuple[str, int, str, int | None, bool]

_MANY: Final = 5_000
"""Streams that are held in memory at once."""


def rows(numbers: range, in_doubt: int) -> Iterator[tuple[list[EventRow], list[HeadRow]]]:
    """The rows of these lives, in parts: the first `in_doubt` end before their answer came."""
    at = [[microseconds(event.at) for event in step.events] for step in lives.told(0)]
    for first in range(numbers.start, numbers.stop, _MANY):
        events, heads = list[EventRow](), list[HeadRow]()
        for number in range(first, min(first + _MANY, numbers.stop)):
            life = lives.written(number)
            if number < in_doubt:
                life = life[: lives.IN_DOUBT]
            for step, times in zip(life, at, strict=False):
                for part, text in enumerate(step.texts):
                    events.append((step.stream, step.expected + part + 1, times[part], text))
            last, head = life[-1], life[-1].head
            look_at = None if head.look_at is None else microseconds(head.look_at)
            heads.append((last.stream, last.expected + len(last.texts), head.tenant, look_at, head.waiting))
        yield events, heads


def fill_sqlite(path: Path, count: int, in_doubt: int) -> None:
    """Fill the tables of a new journal in this file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA synchronous = OFF")
        raw.execute("PRAGMA cache_size = -1000000")
        for events, heads in rows(range(count), in_doubt):
            raw.execute("BEGIN")
            raw.executemany("INSERT INTO refund_events (stream, version, at, event) VALUES (?, ?, ?, ?)", events)
            raw.executemany(
                "INSERT INTO refund_streams (stream, tenant, look_at, waiting) VALUES (?, ?, ?, ?)",
                [(stream, tenant, look_at, waiting) for stream, _, tenant, look_at, waiting in heads],
            )
            raw.execute("COMMIT")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def fill_postgres(conninfo: str, count: int, in_doubt: int) -> None:
    """Fill the tables of a new journal in this database."""
    with psycopg.connect(conninfo) as raw:
        ((tx,),) = raw.execute("SELECT pg_current_xact_id()::text::bigint").fetchall()
        for events, heads in rows(range(count), in_doubt):
            # By hand: psycopg's own writing of rows takes longer than the server's reading.
            lines = [f"{tx}\t{stream}\t{version}\t{at}\t{_copied(text)}\n" for stream, version, at, text in events]
            with raw.cursor().copy("COPY refund_events (tx, stream, version, at, event) FROM STDIN") as into:
                into.write("".join(lines))
            with raw.cursor().copy(
                "COPY refund_streams (stream, version, tx, tenant, look_at, waiting) FROM STDIN"
            ) as into:
                for stream, version, tenant, look_at, waiting in heads:
                    into.write_row((stream, version, tx, tenant, look_at, waiting))


def _copied(text: str) -> str:
    """JSON as COPY has it: it holds no tab and no line break, but backslashes."""
    return text.replace("\\", "\\\\")


def check_reads(journal: RefundJournal, numbers: Sequence[int], in_doubt: int) -> None:
    """Raise RuntimeError unless the journal reads what was loaded as if it had written it."""
    for number in numbers:
        life = lives.told(number)[: lives.IN_DOUBT if number < in_doubt else lives.STEPS]
        if journal.load(lives.ref_of(number)).events != tuple([event for step in life for event in step.events]):
            raise RuntimeError("the journal does not read what was loaded in bulk; nothing was timed")
    due = {str(ref) for ref in journal.due(in_doubt + 1)}
    if due != {lives.stream_of(number) for number in range(in_doubt)}:
        raise RuntimeError("the journal does not find what is due among what was loaded; nothing was timed")
