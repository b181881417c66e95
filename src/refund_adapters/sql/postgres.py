"""The journal in PostgreSQL, on psycopg 3: for any number of machines, beside the host's own tables or apart.

One append is one statement and one round trip (one more, once for each connection, when psycopg prepares it),
committed when it returns; the server's clock is the journal's. A race is decided by the row of the stream's head,
which only appends to that stream wait for. Nothing is locked between two calls.

Needs the extra: `pip install 'refund-domain[postgres]'`, and PostgreSQL 13 or newer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING

from refund_adapters.sql.postgres_asks import Asks, Opened
from refund_adapters.sql.postgres_pool import Pool
from refund_adapters.sql.postgres_schema import checked_schema
from refund_adapters.sql.rows import checked_wait, host_connection
from refund_domain._checks import check_count, check_type
from refund_domain.events import Event
from refund_domain.operations.health import Figures
from refund_domain.payments import PaymentRef, Ref
from refund_domain.ports import Head, Loaded, Tailed

if TYPE_CHECKING:
    from refund_adapters.sql.postgres_asks import Ask, T
    from refund_adapters.sql.postgres_link import Link, Raw


MOST_CONNECTIONS = 100
"""The most connections a handle may be told to hold."""


class PostgresJournal:
    """A `refund_domain.ports.RefundJournal` in the PostgreSQL database that `conninfo` names, in `schema`; both
    schema and tables are made if they are not there.

    One handle serves all threads with up to `connections` connections of its own, opened when needed, and survives
    a fork of the process and a restart of the server. Any number of handles, processes and machines may share
    the database. Not through a pooler that gives each transaction another connection.

    `busy_timeout_s` is how long a call waits for a free connection, and an append for another's to the same
    stream; `statement_timeout_s` how long a statement may take; `connect_timeout_s` how long a login may.

    A server whose settings can lose what an append returned from (`fsync` or `full_page_writes` off,
    `synchronous_commit` off or, with standbys that are waited for, below `on`; unlogged tables) is refused unless
    `weaker_durability_accepted`; such a journal is not `durable`, and no live gateway is served with it.
    `must_exist` makes no journal: a database that holds none in this schema is refused, and left as it is.

    Raises TypeError and ValueError for unusable arguments, ImportError without the extra, `JournalUnavailable` and
    `JournalBusy` when the database cannot be used or has a newer schema. Every call raises those two. An append
    whose answer was lost raises `JournalUnavailable`, too: nobody knows whether it was written, and it is never
    tried again. No error repeats conninfo, password or what a row holds.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        schema: str = "public",
        connections: int = 4,
        busy_timeout_s: float = 5.0,
        statement_timeout_s: float = 15.0,
        connect_timeout_s: int = 5,
        weaker_durability_accepted: bool = False,
        must_exist: bool = False,
    ) -> None:
        check_count(connections, "connections", 1, MOST_CONNECTIONS)
        self._link = make_link(
            conninfo,
            schema=schema,
            busy_timeout_s=busy_timeout_s,
            statement_timeout_s=statement_timeout_s,
            connect_timeout_s=connect_timeout_s,
            weaker_durability_accepted=weaker_durability_accepted,
            must_exist=must_exist,
        )
        self._asks = self._link.asks
        self._pool = Pool(self._link, connections)
        self._pool.run(self._asks.due(1))
        # A server that is about to fork its workers holds nothing open yet.
        self._pool.let_go()

    @property
    def durable(self) -> bool:
        """Whether an append that returned survives a crash of process and server."""
        return self._pool.identity.weakness is None

    @property
    def in_transaction(self) -> bool:
        """Whether a connection of this handle has a transaction open: never, between two calls."""
        return False

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        """The events of `ref` after version `after`, its version, the server's time and the journal's latest."""
        return self._pool.run(self._asks.load(ref, after))

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        """Add `events` to the stream at version `expected`, all or none; gives the server's time when they stood.

        Refuses no events at all (ValueError): without news nothing is written. Raises `JournalConflict` when
        the stream is at another version.
        """
        return self._pool.run(self._asks.append(ref, events, expected, head))

    def due(self, limit: int, /) -> tuple[PaymentRef, ...]:
        """At most `limit` payments whose look has come due, the longest due first."""
        return self._pool.run(self._asks.due(limit))

    def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]:
        """At most `limit` payments of this tenant that wait for a person, in the order of their refs."""
        return self._pool.run(self._asks.waiting(tenant, limit))

    def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        """At most `limit` events that were appended behind position `after` (empty: from the beginning).

        Each stream's in their order, and an append behind whatever was committed before its transaction
        began. Any transaction that is open on the server, a host's long report included, holds it up. Raises
        `JournalUnavailable` for a position behind the journal's end, as one from before a restore may be.
        """
        return self._pool.run(self._asks.tail(after, limit))

    def figures(self, young: timedelta, /) -> Figures:
        """What the heads of all streams tell, by their indexes; doubts younger than `young` are not counted."""
        return self._pool.run(self._asks.figures(young))

    def note_recovery(self, looked: int, failed: int, /) -> None:
        """Keep how a run of `recover` went, in place of the last one's."""
        self._pool.run(self._asks.note_recovery(looked, failed))

    def history(self, tenant: str, after: str, limit: int, /) -> tuple[Tailed, ...]:
        """At most `limit` events of this tenant's streams behind position `after`, by stream and version."""
        return self._pool.run(self._asks.history(tenant, after, limit))

    def erase(self, tenant: str, events: Sequence[Tailed], /) -> None:
        """Put these erased events in their places, all or none. Raises ValueError for what is no erasure."""
        erasure = self._asks.erase(tenant, events)
        # Nothing but another erasure can come between: an event is never changed otherwise.
        self._pool.run(self._asks.places(tenant, events))
        self._pool.run(erasure)

    def begin_erasure(self, tenant: str, scope: str, key: str, /) -> str:
        """The key of the tenant's erasure that was begun and not ended; this one where there is none."""
        return self._pool.run(self._asks.begin_erasure(tenant, scope, key))

    def end_erasure(self, tenant: str, key: str, /) -> None:
        """Forget key and scope of the erasure that has this key. What was erased is in no row any more; the dead
        rows of before are the server's to overwrite: `VACUUM FULL` on `refund_events` and `refund_erasures` leaves
        none of them."""
        self._pool.run(self._asks.end_erasure(tenant, key))

    def within(self, connection: object, /) -> JoinedPostgresJournal:
        """This journal within the transaction that is open on a host's psycopg connection, or on what Django
        (`django.db.connection`) or SQLAlchemy (`session.connection()`) wrap around one.

        The host commits or rolls back. Where psycopg would begin one with the next statement, it begins here and
        stays open whatever follows. What is raised leaves its transaction as usable as it was; where it began
        with a read, `JournalConflict` says that the whole of it is to be repeated. In a pipeline, in the middle of
        a stream or a COPY it is refused (ValueError).
        """
        from psycopg import Connection

        from refund_adapters.sql.postgres_host import join

        raw, own = host_connection(connection, Connection, "psycopg 3"), self._pool.identity
        opened = join(raw, self._asks, own)
        if opened.place != own.place:
            own.place = self._pool.run(self._asks.place())
            self._asks.check_place(own, opened)
        return JoinedPostgresJournal(raw, self._asks, opened)

    def close(self) -> None:
        """Close the handle's connections. Every later call raises `JournalUnavailable`."""
        self._pool.close()

    def __enter__(self) -> PostgresJournal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class JoinedPostgresJournal:
    """A `PostgresJournal` within a host's transaction, as `PostgresJournal.within` gives it. Ends nothing."""

    in_transaction = True

    def __init__(self, raw: Raw, asks: Asks, opened: Opened) -> None:
        self._raw = raw
        self._asks = asks
        self._weakness = opened.weakness

    @property
    def durable(self) -> bool:
        """Whether the host's commit survives a crash, by the settings of its connection."""
        return self._weakness is None

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        """As `PostgresJournal.load`, as the host's transaction sees it; `latest` knows of this stream alone."""
        return self._do(self._asks.load(ref, after, within=True))

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        """As `PostgresJournal.append`; the host's commit makes it true."""
        return self._do(self._asks.append(ref, events, expected, head, within=True))

    def due(self, limit: int, /) -> tuple[PaymentRef, ...]:
        """As `PostgresJournal.due`."""
        return self._do(self._asks.due(limit))

    def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]:
        """As `PostgresJournal.waiting`."""
        return self._do(self._asks.waiting(tenant, limit))

    def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        """Refused (ValueError): what this transaction appended has no place before it is committed."""
        raise ValueError("a host's transaction cannot be read along; use the journal's own tail")

    def _do(self, ask: Ask[T]) -> T:
        from refund_adapters.sql.postgres_host import joined

        return joined(self._raw, self._asks.schema, ask)


def make_link(
    conninfo: str,
    *,
    schema: str,
    busy_timeout_s: float,
    statement_timeout_s: float,
    connect_timeout_s: int,
    weaker_durability_accepted: bool,
    must_exist: bool,
) -> Link:
    """What both forms of the journal open their connections with, every argument checked."""
    try:
        from refund_adapters.sql.postgres_link import Link, conninfo_of
    except ImportError as error:
        raise ImportError(
            "the journal in PostgreSQL needs the extra: pip install 'refund-domain[postgres]'"
        ) from error
    check_type(weaker_durability_accepted, bool, "weaker_durability_accepted")
    check_type(must_exist, bool, "must_exist")
    check_count(connect_timeout_s, "connect_timeout_s", 1, 3600)
    return Link(
        conninfo=conninfo_of(conninfo),
        asks=Asks(checked_schema(schema)),
        busy_timeout_s=checked_wait(busy_timeout_s, "busy_timeout_s"),
        statement_timeout_s=checked_wait(statement_timeout_s, "statement_timeout_s"),
        connect_timeout_s=connect_timeout_s,
        accept_weak=weaker_durability_accepted,
        must_exist=must_exist,
    )
