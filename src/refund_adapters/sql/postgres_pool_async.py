"""A few connections to PostgreSQL, shared by the tasks of an event loop: `postgres_pool`, awaited.

Loaded when the first asynchronous journal is opened, because asyncio takes 50 ms to import.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from refund_adapters.sql.postgres_asks import Identity
from refund_domain.errors import JournalBusy, JournalConflict, JournalError, JournalUnavailable

if TYPE_CHECKING:
    from refund_adapters.sql.postgres_asks import Ask
    from refund_adapters.sql.postgres_link import AsyncRaw, Link

T = TypeVar("T")


class AsyncPool:
    """Up to `size` connections for the tasks of each event loop."""

    def __init__(self, link: Link, size: int) -> None:
        self._link = link
        self._size = size
        self.identity = Identity()
        self._closed = False
        self._loops: dict[asyncio.AbstractEventLoop, _Lane] = {}

    async def run(self, ask: Ask[T]) -> T:
        """`Pool.run` for tasks. A cancelled one loses its connection, and what it asked may have been done."""
        from psycopg import Error

        from refund_adapters.sql.postgres_link import aperform, journal_error

        lane = self._lane()
        try:
            async with asyncio.timeout(self._link.busy_timeout_s):
                await lane.free.acquire()
        except TimeoutError:
            raise JournalBusy("all of the journal's connections were in use for longer than it waits") from None
        raw: AsyncRaw | None = None
        trouble: JournalError | None = None
        try:
            raw = await self._connection(lane)
            said = await aperform(raw, ask)
        except JournalConflict:
            await self._put_back(lane, raw)
            raise
        except Error as error:
            await self._drop(raw)
            trouble = journal_error(error, self._link.asks.schema)
        except BaseException:
            await self._drop(raw)
            raise
        else:
            await self._put_back(lane, raw)
            return said
        finally:
            lane.free.release()
        raise trouble

    def _lane(self) -> _Lane:
        loop = asyncio.get_running_loop()
        lane = self._loops.get(loop)
        if lane is None or lane.pid != os.getpid():
            if lane is not None:
                lane.let_go()
            self._sweep()
            lane = self._loops[loop] = _Lane(self._size)
        return lane

    def _sweep(self) -> None:
        """Let go of the lanes of loops that are over: a host may run a new loop for each task (`asyncio.run`).

        A dictionary of weak keys would not do: a semaphore for which a task had to wait keeps its loop alive.
        """
        for loop in tuple(self._loops):
            if loop.is_closed() and (lane := self._loops.pop(loop, None)) is not None:
                lane.let_go()

    async def _connection(self, lane: _Lane) -> AsyncRaw:
        from refund_adapters.sql.postgres_link import is_usable

        while not self._closed:
            if not lane.idle:
                raw, opened = await self._link.aopen(create=self.identity.journal_id is None)
                try:
                    self.identity.check(opened)
                except BaseException:
                    await raw.close()
                    raise
                return raw
            raw = lane.idle.pop()
            if is_usable(raw):
                return raw
            await self._drop(raw)
        raise JournalUnavailable("this journal was closed; make a new one")

    async def _put_back(self, lane: _Lane, raw: AsyncRaw | None) -> None:
        if raw is not None:
            if self._closed:
                await self._drop(raw)
            else:
                lane.idle.append(raw)

    async def _drop(self, raw: AsyncRaw | None) -> None:
        if raw is not None:
            with suppress(Exception):
                await raw.close()

    async def aclose(self) -> None:
        """Close every connection of this loop, those in use when they are done, and of loops that are over."""
        self._closed = True
        self._sweep()
        lane = self._lane()
        while lane.idle:
            await self._drop(lane.idle.pop())


class _Lane:
    """The connections of one event loop."""

    def __init__(self, size: int) -> None:
        self.pid = os.getpid()
        self.idle: list[AsyncRaw] = []
        self.free = asyncio.Semaphore(size)

    def let_go(self) -> None:
        """Give up what rests here, of a loop or a process that is over: awaits nothing, and never raises."""
        if self.pid != os.getpid():
            from refund_adapters.sql.postgres_link import INHERITED

            INHERITED.append(self)
            return
        for raw in self.idle:
            with suppress(Exception):
                raw.pgconn.finish()  # what its own `close` does, which would have to be awaited
        self.idle.clear()
