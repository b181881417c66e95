"""The journal in PostgreSQL for asyncio: `postgres` with `await`, on psycopg's AsyncConnection."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING

from refund_adapters.sql.postgres import MOST_CONNECTIONS, make_link
from refund_adapters.sql.rows import host_connection
from refund_domain._checks import check_count
from refund_domain.events import Event
from refund_domain.operations.health import Figures
from refund_domain.payments import PaymentRef, Ref
from refund_domain.ports import Head, Loaded, Tailed

if TYPE_CHECKING:
    from refund_adapters.sql.postgres_asks import Ask, Asks, Opened, T
    from refund_adapters.sql.postgres_link import AsyncRaw
    from refund_adapters.sql.postgres_pool_async import AsyncPool


class AsyncPostgresJournal:
    """`PostgresJournal` for asyncio: the same tables, arguments, refusals and errors, every call awaited.

    Made by `await AsyncPostgresJournal.open(conninfo)`, because opening asks the server; closed by `aclose` or at
    the end of an `async with`. `connections` are for each event loop. A cancelled call loses its connection, and
    may have been done.
    """

    _pool: AsyncPool
    _asks: Asks

    def __init__(self, *_: object, **__: object) -> None:
        raise TypeError("open it with await AsyncPostgresJournal.open(…): opening asks the server")

    @classmethod
    async def open(
        cls,
        conninfo: str,
        *,
        schema: str = "public",
        connections: int = 4,
        busy_timeout_s: float = 5.0,
        statement_timeout_s: float = 15.0,
        connect_timeout_s: int = 5,
        weaker_durability_accepted: bool = False,
        must_exist: bool = False,
    ) -> AsyncPostgresJournal:
        """Open the journal, and make what is missing of it; see `PostgresJournal` for what is refused."""
        check_count(connections, "connections", 1, MOST_CONNECTIONS)
        from refund_adapters.sql.postgres_pool_async import AsyncPool

        link = make_link(
            conninfo,
            schema=schema,
            busy_timeout_s=busy_timeout_s,
            statement_timeout_s=statement_timeout_s,
            connect_timeout_s=connect_timeout_s,
            weaker_durability_accepted=weaker_durability_accepted,
            must_exist=must_exist,
        )
        journal = cls.__new__(cls)
        journal._pool, journal._asks = AsyncPool(link, connections), link.asks
        await journal._pool.run(link.asks.due(1))
        return journal

    @property
    def durable(self) -> bool:
        """Whether an append that returned survives a crash of process and server."""
        return self._pool.identity.weakness is None

    @property
    def in_transaction(self) -> bool:
        """Whether a connection of this handle has a transaction open: never, between two calls."""
        return False

    async def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        """See `PostgresJournal.load`."""
        return await self._pool.run(self._asks.load(ref, after))

    async def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        """See `PostgresJournal.append`."""
        return await self._pool.run(self._asks.append(ref, events, expected, head))

    async def due(self, limit: int, /) -> tuple[PaymentRef, ...]:
        """See `PostgresJournal.due`."""
        return await self._pool.run(self._asks.due(limit))

    async def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]:
        """See `PostgresJournal.waiting`."""
        return await self._pool.run(self._asks.waiting(tenant, limit))

    async def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        """See `PostgresJournal.tail`."""
        return await self._pool.run(self._asks.tail(after, limit))

    async def figures(self, young: timedelta, /) -> Figures:
        """See `PostgresJournal.figures`."""
        return await self._pool.run(self._asks.figures(young))

    async def note_recovery(self, looked: int, failed: int, /) -> None:
        """See `PostgresJournal.note_recovery`."""
        await self._pool.run(self._asks.note_recovery(looked, failed))

    async def history(self, tenant: str, after: str, limit: int, /) -> tuple[Tailed, ...]:
        """See `PostgresJournal.history`."""
        return await self._pool.run(self._asks.history(tenant, after, limit))

    async def erase(self, tenant: str, events: Sequence[Tailed], /) -> None:
        """See `PostgresJournal.erase`."""
        erasure = self._asks.erase(tenant, events)
        # Nothing but another erasure can come between: an event is never changed otherwise.
        await self._pool.run(self._asks.places(tenant, events))
        await self._pool.run(erasure)

    async def begin_erasure(self, tenant: str, scope: str, key: str, /) -> str:
        """See `PostgresJournal.begin_erasure`."""
        return await self._pool.run(self._asks.begin_erasure(tenant, scope, key))

    async def end_erasure(self, tenant: str, key: str, /) -> None:
        """See `PostgresJournal.end_erasure`."""
        await self._pool.run(self._asks.end_erasure(tenant, key))

    async def within(self, connection: object, /) -> AsyncJoinedPostgresJournal:
        """See `PostgresJournal.within`: on a psycopg AsyncConnection."""
        from psycopg import AsyncConnection

        from refund_adapters.sql.postgres_host import ajoin

        raw, own = host_connection(connection, AsyncConnection, "psycopg 3 for asyncio"), self._pool.identity
        opened = await ajoin(raw, self._asks, own)
        if opened.place != own.place:
            own.place = await self._pool.run(self._asks.place())
            self._asks.check_place(own, opened)
        return AsyncJoinedPostgresJournal(raw, self._asks, opened)

    async def aclose(self) -> None:
        """Close this loop's connections. Every later call raises `JournalUnavailable`."""
        await self._pool.aclose()

    async def __aenter__(self) -> AsyncPostgresJournal:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class AsyncJoinedPostgresJournal:
    """`JoinedPostgresJournal` for asyncio, as `AsyncPostgresJournal.within` gives it. Ends nothing."""

    in_transaction = True

    def __init__(self, raw: AsyncRaw, asks: Asks, opened: Opened) -> None:
        self._raw = raw
        self._asks = asks
        self._weakness = opened.weakness

    @property
    def durable(self) -> bool:
        """Whether the host's commit survives a crash, by the settings of its connection."""
        return self._weakness is None

    async def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        """See `JoinedPostgresJournal.load`."""
        return await self._do(self._asks.load(ref, after, within=True))

    async def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        """See `JoinedPostgresJournal.append`."""
        return await self._do(self._asks.append(ref, events, expected, head, within=True))

    async def due(self, limit: int, /) -> tuple[PaymentRef, ...]:
        """See `JoinedPostgresJournal.due`."""
        return await self._do(self._asks.due(limit))

    async def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]:
        """See `JoinedPostgresJournal.waiting`."""
        return await self._do(self._asks.waiting(tenant, limit))

    async def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        """Refused (ValueError); see `JoinedPostgresJournal.tail`."""
        raise ValueError("a host's transaction cannot be read along; use the journal's own tail")

    async def _do(self, ask: Ask[T]) -> T:
        from refund_adapters.sql.postgres_host import ajoined

        return await ajoined(self._raw, self._asks.schema, ask)
