"""Three ways to keep the lives of refunds, for B7: our journal, its driver by hand, and (`stores_django`) an ORM.

By hand is what a developer writes who needs no more than this: the events as JSON in one table, where the primary
key decides a race, and beside it when to look again. It checks nothing it reads, keeps no order of appends for a
reader along, and knows no waiting. All three get the same work and must give the same.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import attrs
import psycopg

from refund_adapters.clock import utc_now
from refund_adapters.sql.codec import decode, encode
from refund_adapters.sql.rows import microseconds
from refund_domain import PaymentRef
from refund_domain.events import Event
from refund_domain.ports import RefundJournal
from tests.benchmarks.lives import Append

Row = dict[str, Any]
"""An event as by hand one would have it: the members of its JSON."""


@attrs.frozen(kw_only=True)
class Bare:
    """One append as the others are told it."""

    stream: str
    expected: int
    events: tuple[Row, ...]
    look_at: int | None


def bare(step: Append) -> Bare:
    """An append without our types."""
    look_at = step.head.look_at
    return Bare(
        stream=str(step.ref),
        expected=step.expected,
        events=tuple([json.loads(encode(event)) for event in step.events]),
        look_at=None if look_at is None else microseconds(look_at),
    )


class Store(Protocol):
    """One way to keep them. `answers` holds, by stream, the append that ends the doubt of each that is due."""

    answers: Mapping[str, Any]

    def prepared(self, step: Append) -> Any:
        """An append in the form this store is told it."""

    def live(self, life: Sequence[Any]) -> None:
        """What quote and issue ask of a journal: two loads and four commits."""

    def load(self, stream: str) -> object:
        """Read one stream whole."""

    def claim(self) -> str:
        """What recovery asks: which stream is due the longest, its events, and the commit that moves it on."""

    def due(self, limit: int) -> list[str]:
        """The streams that are due."""

    def shown(self, stream: str) -> list[Row]:
        """The events of a stream as JSON, for comparing."""


class OurStore:
    """Our journal."""

    def __init__(self, journal: RefundJournal) -> None:
        self.journal = journal
        self.answers: Mapping[str, Append] = {}

    def prepared(self, step: Append) -> Append:
        return step

    def live(self, life: Sequence[Append]) -> None:
        for number, step in enumerate(life):
            if number < 2:
                self.journal.load(step.ref)
            self.journal.append(step.ref, step.events, expected=step.expected, head=step.head)

    def load(self, stream: str) -> object:
        return self.journal.load(PaymentRef.parse(stream))

    def claim(self) -> str:
        (ref,) = self.journal.due(1)
        version = self.journal.load(ref).version
        step = self.answers[str(ref)]
        self.journal.append(ref, step.events, expected=version, head=step.head)
        return str(ref)

    def due(self, limit: int) -> list[str]:
        return [str(ref) for ref in self.journal.due(limit)]

    def shown(self, stream: str) -> list[Row]:
        return [json.loads(encode(event)) for event in self.journal.load(PaymentRef.parse(stream)).events]


class BareStore:
    """What all others share: the order of their calls."""

    def __init__(self) -> None:
        self.answers: Mapping[str, Bare] = {}

    def prepared(self, step: Append) -> Bare:
        return bare(step)

    def live(self, life: Sequence[Bare]) -> None:
        for number, step in enumerate(life):
            if number < 2:
                self.load(step.stream)
            self.append(step, step.expected)

    def claim(self) -> str:
        (stream,) = self.due(1)
        version = len(self.load(stream))
        self.append(self.answers[stream], version)
        return stream

    def shown(self, stream: str) -> list[Row]:
        return self.load(stream)

    def append(self, step: Bare, expected: int) -> None:
        raise NotImplementedError

    def load(self, stream: str) -> list[Row]:
        return [json.loads(text) for text in self.texts(stream)]

    def events(self, stream: str) -> list[Event]:
        """The stream read by hand, but into the checked events that our journal gives."""
        return [decode(text) for text in self.texts(stream)]

    def texts(self, stream: str) -> list[str]:
        raise NotImplementedError

    def due(self, limit: int) -> list[str]:
        raise NotImplementedError


TABLES: Final = (
    """
    CREATE TABLE hand_events (
        stream text NOT NULL, version bigint NOT NULL, event text NOT NULL, PRIMARY KEY (stream, version)
    )
    """,
    "CREATE TABLE hand_streams (stream text NOT NULL PRIMARY KEY, look_at bigint)",
    "CREATE INDEX hand_due ON hand_streams (look_at, stream) WHERE look_at IS NOT NULL",
)
"""The tables by hand, in either database."""


class SqliteByHand(BareStore):
    """The standard library's sqlite3, as durable as ours."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._raw = sqlite3.connect(path, isolation_level=None)
        self._raw.execute("PRAGMA journal_mode = WAL")
        self._raw.execute("PRAGMA synchronous = FULL")

    def append(self, step: Bare, expected: int) -> None:
        run = self._raw.execute
        run("BEGIN IMMEDIATE")
        try:
            self._raw.executemany(
                "INSERT INTO hand_events VALUES (?, ?, ?)",
                [
                    (step.stream, version, json.dumps(event))
                    for version, event in enumerate(step.events, expected + 1)
                ],
            )
            run(
                "INSERT INTO hand_streams VALUES (?, ?)"
                " ON CONFLICT (stream) DO UPDATE SET look_at = excluded.look_at",
                (step.stream, step.look_at),
            )
        except BaseException:
            run("ROLLBACK")
            raise
        run("COMMIT")

    def texts(self, stream: str) -> list[str]:
        rows = self._raw.execute("SELECT event FROM hand_events WHERE stream = ? ORDER BY version", (stream,))
        return [text for (text,) in rows]

    def due(self, limit: int) -> list[str]:
        rows = self._raw.execute(
            "SELECT stream FROM hand_streams WHERE look_at <= ? ORDER BY look_at, stream LIMIT ?",
            (microseconds(utc_now()), limit),
        )
        return [stream for (stream,) in rows]


class PostgresByHand(BareStore):
    """psycopg: each append one statement, which psycopg prepares, and one round trip."""

    def __init__(self, conninfo: str) -> None:
        super().__init__()
        self._raw = psycopg.connect(conninfo, autocommit=True)

    def append(self, step: Bare, expected: int) -> None:
        rows: list[Any] = []
        for version, event in enumerate(step.events, expected + 1):
            rows += (step.stream, version, json.dumps(event))
        self._raw.execute(
            "WITH added AS (INSERT INTO hand_events VALUES "
            + ", ".join(["(%s, %s, %s)"] * len(step.events))
            + ") INSERT INTO hand_streams VALUES (%s, %s)"
            " ON CONFLICT (stream) DO UPDATE SET look_at = excluded.look_at",
            (*rows, step.stream, step.look_at),
        )

    def texts(self, stream: str) -> list[str]:
        rows = self._raw.execute("SELECT event FROM hand_events WHERE stream = %s ORDER BY version", (stream,))
        return [text for (text,) in rows]

    def due(self, limit: int) -> list[str]:
        rows = self._raw.execute(
            "SELECT stream FROM hand_streams WHERE look_at <= %s ORDER BY look_at, stream LIMIT %s",
            (microseconds(utc_now()), limit),
        )
        return [stream for (stream,) in rows]
