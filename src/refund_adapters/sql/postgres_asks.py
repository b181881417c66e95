"""What is asked of a PostgreSQL journal and what its answers mean: pure, so that sync, async and joined journals
share it and only differ in who carries the statement to the server."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

import attrs

from refund_adapters.places import ANOTHER_ERASURE
from refund_adapters.sql.connections import GATE
from refund_adapters.sql.postgres_schema import SCHEMA_VERSION, STEPS, Server, in_schema, statement, table
from refund_adapters.sql.rows import (
    AGAIN,
    WENT_BACK,
    Times,
    check_erasure,
    checked_run,
    decoded,
    erased_texts,
    event_rows,
    figures,
    head_row,
    history_place,
    moment,
    narrated,
    position,
    refs,
    stream_of,
)
from refund_domain._checks import check_count, check_span, check_text
from refund_domain.errors import JournalBusy, JournalConflict, JournalDamaged, JournalUnavailable
from refund_domain.events import Event
from refund_domain.operations.health import MOST_UNDATED, Figures
from refund_domain.payments import PaymentRef, Ref
from refund_domain.ports import Head, Loaded, Tailed

T = TypeVar("T")

Rows = Sequence[tuple[Any, ...]]

BEGIN: Final = b"BEGIN"
COMMIT: Final = b"COMMIT"
FILTERED: Final = "row-level security hides rows of the journal from this role: let it bypass that"
NOTHING: Final[Mapping[str, object]] = {}


@attrs.frozen
class Ask(Generic[T]):
    """One statement with its values, and what its rows mean. `writes`: it may have changed the journal."""

    statement: bytes
    values: Mapping[str, object]
    read: Callable[[Rows], T]
    writes: bool = False


@attrs.frozen
class Opened:
    """The journal that a connection was found to lead to, the database and table it stands in, the setting that
    makes it forgetful, if one does, and the database's name."""

    journal_id: str
    place: str
    weakness: str | None
    database: str = ""


class Identity:
    """Which journal the connections of a handle led to when the first was opened; where it stands, and what
    weakens it, when the latest was."""

    def __init__(self) -> None:
        self.journal_id: str | None = None
        self.place: str | None = None
        self.weakness: str | None = None
        self.database = ""

    def check(self, opened: Opened) -> None:
        """Refuse another journal than the first."""
        if self.journal_id not in (None, opened.journal_id):
            raise JournalUnavailable("the journal was replaced while it was open; make a new handle")
        self.journal_id = opened.journal_id
        self.place = opened.place
        self.weakness = opened.weakness
        self.database = opened.database


Opening = Generator[tuple[bytes, Mapping[str, object]], Rows, Opened]
"""Statements one after the other, each answered with its rows."""


class Asks:
    """The asks of one journal, by its schema; keeps the latest time that was given."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._times = Times(GATE)

    @property
    def schema(self) -> str:
        """Where the tables are."""
        return self._schema

    def load(self, ref: Ref, after: int, *, within: bool = False) -> Ask[Loaded]:
        """The events of a stream after a version. `within` a host's transaction other streams are left alone."""
        values = {"stream": stream_of(ref, after, "after"), "after": after}

        def read(rows: Rows) -> Loaded:
            ((version, texts, latest, clock),) = rows
            events = tuple([decoded(number, text) for number, text in enumerate(texts, after + 1)])
            if len(events) != max(0, version - after):
                raise JournalDamaged("a stream of the journal has a gap: it was changed by hand; restore it")
            now = moment(clock)
            given = max([self._times.given(now), *(event.at for event in events)])
            known = given if latest is None else max(given, moment(latest))
            return Loaded(events=events, version=version, now=now, latest=known)

        return Ask(statement("load_within" if within else "load", self._schema), values, read)

    def append(
        self, ref: Ref, events: Sequence[Event], expected: int, head: Head, *, within: bool = False
    ) -> Ask[datetime]:
        """All the events at the expected version, or `JournalConflict` and nothing, in one statement."""
        stream = stream_of(ref, expected, "expected")
        added = event_rows(events, expected)
        tenant, look_at, waiting, doubt_since = head_row(ref, head)
        values = {
            "stream": stream,
            "expected": expected,
            "version": expected + len(added),
            # One text is cheap where a list is dear to the driver; JSON holds no line break but escaped.
            "ats": "\n".join([str(at) for _, at, _ in added]),
            "events": "\n".join([text for _, _, text in added]),
            "tenant": tenant,
            "look_at": look_at,
            "waiting": waiting,
            "doubt_since": doubt_since,
        }

        def read(rows: Rows) -> datetime:
            if len(rows) != len(added):
                raise JournalConflict("another worker appended to this stream first" + (AGAIN if within else ""))
            # The last row's clock was read when the events before it stood, too.
            now = moment(rows[-1][0])
            self._times.given(now)
            return now

        return Ask(statement("append" if expected else "open_stream", self._schema), values, read, writes=True)

    def due(self, limit: int) -> Ask[tuple[PaymentRef, ...]]:
        """What has come due, the longest due first."""
        check_count(limit, "limit", 1)
        return Ask(statement("due", self._schema), {"limit": limit}, _streams)

    def waiting(self, tenant: str, limit: int) -> Ask[tuple[PaymentRef, ...]]:
        """What waits for a person of this tenant, in the order of the refs."""
        check_text(tenant, "tenant", 255)
        check_count(limit, "limit", 1)
        return Ask(statement("waiting", self._schema), {"tenant": tenant, "limit": limit}, _streams)

    def figures(self, young: timedelta) -> Ask[Figures]:
        """What the heads of all streams tell."""
        check_span(young, "young")

        def read(rows: Rows) -> Figures:
            ((*row, undated),) = rows
            return figures(row, undated)

        values = {"young": young // timedelta(microseconds=1), "limit": MOST_UNDATED}
        return Ask(statement("figures", self._schema), values, read)

    def note_recovery(self, looked: int, failed: int) -> Ask[None]:
        """Keep how a run of recovery went."""
        looked, failed = checked_run(looked, failed)
        values = {"looked": looked, "failed": failed}
        return Ask(statement("note_recovery", self._schema), values, lambda rows: None, writes=True)

    def history(self, tenant: str, after: str, limit: int) -> Ask[tuple[Tailed, ...]]:
        """A tenant's events behind a position."""
        check_text(tenant, "tenant", 255)
        stream, version = history_place(after)
        check_count(limit, "limit", 1)
        values = {"tenant": tenant, "stream": stream, "version": version, "limit": limit}
        return Ask(statement("history", self._schema), values, narrated)

    def places(self, tenant: str, events: Sequence[Tailed]) -> Ask[None]:
        """Whether each of these is an erasure of what stands in its place; ValueError where one is not."""
        check_text(tenant, "tenant", 255)

        def read(rows: Rows) -> None:
            standing: dict[int, str] = {row[0]: row[1] for row in rows}
            for number, event in enumerate(events, 1):
                check_erasure(standing.get(number), event)

        values = {"tenant": tenant, **_named(events)}
        return Ask(statement("places", self._schema), values, read)

    def erase(self, tenant: str, events: Sequence[Tailed]) -> Ask[None]:
        """Put these in their places, which `places` has found to be the tenant's."""
        values = {"texts": erased_texts(tenant, events), **_named(events)}
        return Ask(statement("erase", self._schema), values, lambda rows: None, writes=True)

    def begin_erasure(self, tenant: str, scope: str, key: str) -> Ask[str]:
        """The key of the tenant's erasure that stands, or this one."""
        check_text(tenant, "tenant", 255)

        def read(rows: Rows) -> str:
            ((standing, kept),) = rows
            if standing != scope:
                raise JournalBusy(ANOTHER_ERASURE)
            return str(kept)

        values = {"tenant": tenant, "scope": scope, "key": key}
        return Ask(statement("begin_erasure", self._schema), values, read, writes=True)

    def end_erasure(self, tenant: str, key: str) -> Ask[None]:
        """Forget key and scope of the erasure that has this key."""
        check_text(tenant, "tenant", 255)
        values = {"tenant": tenant, "key": key}
        return Ask(statement("end_erasure", self._schema), values, lambda rows: None, writes=True)

    def tail(self, after: str, limit: int) -> Ask[tuple[Tailed, ...]]:
        """What was appended behind a position, up to the oldest open transaction."""
        tx, seq = position(after, 2)
        check_count(limit, "limit", 1)
        return Ask(statement("tail", self._schema), {"tx": tx, "seq": seq, "limit": limit}, _tailed)

    def opening(
        self, *, create: bool, must_exist: bool, settings: Mapping[str, str], accept_weak: bool
    ) -> Opening:
        """Set a new connection up, make or move the tables where `create`, and find out what it leads to.

        Tables that `must_exist` are moved where `create`, and not made.

        Raises `JournalUnavailable` for a server no journal can be kept on, for durability below what was accepted,
        for tables that are gone and for a schema not known here.
        """
        yield statement("settings", self._schema), settings
        server = yield from self._server()
        weakness = server.weakness()
        if weakness is not None and not accept_weak:
            raise JournalUnavailable(
                f"{weakness}: an append that returned could be lost when the server fails. Set it for this role, "
                "or say weaker_durability_accepted=True where no real money moves"
            )
        if not server.has_tables and (must_exist or not create):
            raise JournalUnavailable(
                f"the database holds no journal in schema {self._schema}: name its own (schema=…, or --schema)"
            )
        if create:
            yield from self._migrate(server.has_tables)
        return (yield from self._journal(weakness, accept_weak))

    def joining(self, own: Identity, hosts: str) -> Opening:
        """Look whether a host's connection leads to this journal; `check_place` tells whether to a copy of it.
        Nothing is set or made on it. `hosts` is its database's name."""
        server = yield from self._server()
        if server.read_only != "off":
            raise JournalUnavailable("the host's transaction is read-only: nothing can be written down in it")
        if not server.has_tables:
            raise JournalUnavailable(
                f"the host's connection leads to a database without this journal: to {hosts}; the journal is in "
                f"{own.database}, schema {self._schema}"
            )
        rows = yield statement("journal_id", self._schema), NOTHING
        if not rows or own.journal_id is None or rows[0][0] != own.journal_id:
            raise JournalUnavailable(
                f"the host's connection leads to another journal than this one: to that in {hosts}; this one is "
                f"in {own.database}{' of another server' if hosts == own.database else ''}"
            )
        _, found, filtered = rows[0]
        if filtered:
            raise JournalUnavailable(FILTERED)
        return Opened(own.journal_id, found, server.weakness(), hosts)

    def place(self) -> Ask[str]:
        """Where the journal stands now: the server may have been started again since a connection was opened."""
        return Ask(statement("journal_id", self._schema), NOTHING, lambda rows: rows[0][1] if rows else "")

    def check_place(self, own: Identity, joined: Opened) -> None:
        """Refuse a copy of a database or of a server, which has the same journal in it."""
        if joined.place != own.place:
            raise JournalUnavailable(
                f"the host's connection leads to a copy of this journal, in the database {joined.database}; this "
                f"one is in {own.database}{' of another server' if joined.database == own.database else ''}"
            )

    def _server(self) -> Generator[tuple[bytes, Mapping[str, object]], Rows, Server]:
        rows = yield statement("server", self._schema), {"table": table(self._schema)}
        server = Server(*rows[0])
        unfit = server.unfit()
        if unfit is not None:
            raise JournalUnavailable(unfit)
        return server

    def _migrate(self, has_tables: bool) -> Generator[tuple[bytes, Mapping[str, object]], Rows, None]:
        """Bring the tables to the newest schema in one transaction, one worker at a time.

        Killed halfway it leaves what was there; a worker that waited finds it done.
        """
        if has_tables:
            rows = yield statement("read_schema_version", self._schema), NOTHING
            if _version(rows) >= SCHEMA_VERSION:
                return
        yield BEGIN, NOTHING
        yield statement("lock", self._schema), {"table": table(self._schema)}
        found = 0
        rows = yield statement("has_tables", self._schema), {"schema": self._schema}
        if rows[0][0]:
            found = _version((yield statement("read_schema_version", self._schema), NOTHING))
        else:
            rows = yield statement("has_schema", self._schema), {"schema": self._schema}
            if not rows[0][0]:
                yield statement("make_schema", self._schema), NOTHING
        for step in STEPS[found:]:
            for text in step:
                yield in_schema(text, self._schema), NOTHING
        if found < len(STEPS):
            yield statement("set_schema_version", self._schema), {"version": len(STEPS)}
        yield COMMIT, NOTHING

    def _journal(self, weakness: str | None, accept_weak: bool) -> Opening:
        rows = yield statement("journal", self._schema), NOTHING
        if _version(rows) > SCHEMA_VERSION:
            raise JournalUnavailable(
                f"the journal has schema {_version(rows)}, this version of the library knows {SCHEMA_VERSION}: "
                "upgrade it"
            )
        _, journal_id, unlogged, from_elsewhere, place = rows[0]
        if unlogged and not accept_weak:
            raise JournalUnavailable("the journal's tables are UNLOGGED: a crash of the server would empty them")
        if from_elsewhere:
            yield statement("lift_tx", self._schema), NOTHING
        return Opened(journal_id, place, weakness or ("unlogged tables" if unlogged else None))


def _named(events: Sequence[Tailed]) -> dict[str, object]:
    return {"streams": [event.stream for event in events], "versions": [event.version for event in events]}


def _version(rows: Rows) -> int:
    if len(rows) != 1 or type(rows[0][0]) is not int or rows[0][0] < 1:
        raise JournalUnavailable("the journal does not say which schema it has; restore it")
    return rows[0][0]


def _streams(rows: Rows) -> tuple[PaymentRef, ...]:
    return refs([stream for (stream,) in rows])


def _tailed(rows: Rows) -> tuple[Tailed, ...]:
    """What was appended; where nothing was, one row that tells only whether the journal has come so far."""
    if rows[0][0]:
        raise JournalUnavailable(WENT_BACK)
    return tuple(
        [
            Tailed(position=f"{tx}.{seq}", stream=stream, version=version, event=decoded(version, text))
            for _, tx, seq, stream, version, text in rows
            if tx is not None
        ]
    )
