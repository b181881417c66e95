"""The PostgreSQL journal for asyncio keeps the same laws, and what is its own: loops, tasks, cancellation."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import warnings
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from refund_adapters.memory import AsyncMemoryGateway, MemoryBank
from refund_adapters.sql import AsyncPostgresJournal
from refund_adapters.sql.postgres_link import is_usable
from refund_domain import Actor, AsyncRefundService, Money, Refund
from refund_domain.decider.ledger import Status
from refund_domain.errors import JournalBusy, JournalConflict, JournalUnavailable
from refund_domain.events import Event, PersonAsked
from refund_domain.payments import PaymentRef, Ref
from refund_domain.ports import AsyncRefundJournal, Head, Loaded, RefundJournal, Tailed
from refund_domain.testing import laws_journal
from refund_domain.testing.laws import Report
from refund_domain.testing.laws_journal import check_journal
from tests.adapters.test_postgres_journal import plant
from tests.postgres.child import QUIET
from tests.postgres.server import shared

T = TypeVar("T")
MARIA = Actor(id="maria", tenant="acme")
REF = PaymentRef("platform", "ch_1")
JOURNAL_LAWS = tuple(law.__name__ for law in laws_journal.LAWS)


class Loop:
    """An event loop in a thread of its own, on which sync tests wait."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


OPERATED = ("figures", "note_recovery", "history", "erase", "begin_erasure", "end_erasure")


class Faced:
    """An async journal as the sync port."""

    def __init__(self, inner: AsyncRefundJournal, loop: Loop) -> None:
        self.inner, self._loop = inner, loop

    @property
    def durable(self) -> bool:
        return self.inner.durable

    @property
    def in_transaction(self) -> bool:
        return self.inner.in_transaction

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        return self._loop.run(self.inner.load(ref, after))

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        return self._loop.run(self.inner.append(ref, events, expected=expected, head=head))

    def due(self, limit: int, /) -> tuple[PaymentRef, ...]:
        return self._loop.run(self.inner.due(limit))

    def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]:
        return self._loop.run(self.inner.waiting(tenant, limit))

    def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        return self._loop.run(self.inner.tail(after, limit))

    def __getattr__(self, name: str) -> object:
        """What the inner journal offers to operators."""
        if name not in OPERATED:
            raise AttributeError(name)
        call = getattr(self.inner, name)
        return lambda *values: self._loop.run(call(*values))

    def within(self, connection: object, /) -> RefundJournal:
        assert isinstance(self.inner, AsyncPostgresJournal)
        return Faced(self._loop.run(self.inner.within(connection)), self._loop)


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def test_it_keeps_every_law(loop: Loop) -> None:
    """Every law holds for the async form on a real server, raced from many threads on one loop."""
    server = shared()
    kept: dict[int, tuple[Faced, str]] = {}

    def opened(conninfo: str) -> Faced:
        made = Faced(loop.run(AsyncPostgresJournal.open(conninfo)), loop)
        kept[id(made)] = made, conninfo
        return made

    @contextmanager
    def host(journal: Faced) -> Iterator[object]:
        connection = loop.run(psycopg.AsyncConnection.connect(kept[id(journal)][1]))
        try:
            yield connection
            loop.run(connection.commit())
        finally:
            loop.run(connection.close())

    def plant_unknown(journal: Faced, ref: Ref) -> None:
        plant(kept[id(journal)][1], ref, journal.load(ref).version + 1)

    report = check_journal(
        lambda: opened(server.database()),
        again=lambda journal: opened(kept[id(journal)][1]),
        plant_unknown=plant_unknown,
        host=host,
    )
    for journal, _ in kept.values():
        assert isinstance(journal.inner, AsyncPostgresJournal)
        loop.run(journal.inner.aclose())
    assert report == Report(held=JOURNAL_LAWS)


def asked(number: int, at: datetime) -> PersonAsked:
    return PersonAsked(at=at, refund_id=f"r{number}")


def test_refund_is_requested_within_a_host_and_issued_once() -> None:
    """The async service requests in a host's transaction, rolls back and commits with it, and sends once."""

    async def anybody(*_: object) -> bool:
        return True

    async def refund_it() -> tuple[int, int, Refund, int]:
        conninfo = shared().database()
        bank = MemoryBank()
        ref = bank.charge(Money.parse("200.00", "USD"))
        async with await AsyncPostgresJournal.open(conninfo) as journal:
            refunds = AsyncRefundService(AsyncMemoryGateway(bank), journal, allow=anybody)
            command = (await refunds.quote(ref, by=MARIA)).verified(by=MARIA)
            counts = []
            for commits in (False, True):
                async with await psycopg.AsyncConnection.connect(conninfo) as host:
                    await (await refunds.within(host)).request(command)
                    if not commits:
                        await host.rollback()
                counts.append(len((await refunds.dispatch(ref)).refunds))
            refund = await refunds.issue(command)
            assert isinstance(refund, Refund)
            return counts[0], counts[1], refund, bank.made(ref)

    before, after, refund, made = asyncio.run(refund_it())
    assert (before, after, refund.status, made) == (0, 1, Status.SUCCEEDED, 1)


def test_live_gateway_needs_a_durable_commit_of_the_host() -> None:
    """An AsyncConnection whose commits can be lost is refused with a live key, and is left as it was."""

    async def anybody(actor: Actor, action: object, ref: Ref | None) -> bool:
        return True

    async def work() -> None:
        conninfo = shared().database()
        async with await AsyncPostgresJournal.open(conninfo) as journal:
            live = AsyncRefundService(AsyncMemoryGateway(MemoryBank(), live=True), journal, allow=anybody)
            async with await psycopg.AsyncConnection.connect(conninfo) as host:
                await live.within(host)
                await host.execute("SET synchronous_commit = off")
                with pytest.raises(ValueError, match="durable"):
                    await live.within(host)
                assert host.info.transaction_status == TransactionStatus.INTRANS

    asyncio.run(work())


def test_constructor_says_how_it_is_opened() -> None:
    """Whoever makes it as its synchronous twin is made is told of `open`."""
    make: Callable[..., object] = AsyncPostgresJournal
    for named in ({}, {"schema": "y"}):
        with pytest.raises(TypeError, match=r"open it with await AsyncPostgresJournal\.open"):
            make("dbname=x", **named)


def test_host_that_cannot_be_joined_is_told_so() -> None:
    """A pipeline and an encoding other than UTF8 are refused on an AsyncConnection, too."""

    async def work() -> None:
        conninfo = shared().database()
        async with await AsyncPostgresJournal.open(conninfo) as journal:
            async with await psycopg.AsyncConnection.connect(conninfo) as host:
                async with host.pipeline():
                    with pytest.raises(ValueError, match="pipeline"):
                        await journal.within(host)
                joined = await journal.within(host)
                await host.execute("SET client_encoding TO LATIN1")
                with pytest.raises(JournalUnavailable, match="client_encoding"):
                    await joined.load(REF)

    asyncio.run(work())


def test_tasks_share_few_connections_and_wait_in_turn() -> None:
    """Fifty tasks on two connections: one wins each version, the others are told; none waits for ever."""

    async def work() -> None:
        async with await AsyncPostgresJournal.open(shared().database(), connections=2) as journal:
            at = (await journal.load(REF)).now
            tries = [journal.append(REF, [asked(n, at)], expected=0, head=QUIET) for n in range(50)]
            said = await asyncio.gather(*tries, return_exceptions=True)
            assert sum(isinstance(each, datetime) for each in said) == 1
            assert sum(isinstance(each, JournalConflict) for each in said) == 49
            assert (await journal.load(REF)).version == 1

    asyncio.run(work())


def test_busy_and_cancelled_calls_leave_the_journal_usable() -> None:
    """A call that waits for another's lock ends as busy, a cancelled one passes through; the next call works."""

    async def work() -> None:
        conninfo = shared().database()
        async with await AsyncPostgresJournal.open(conninfo, connections=1, busy_timeout_s=0.2) as journal:
            at = (await journal.load(REF)).now
            async with await psycopg.AsyncConnection.connect(conninfo) as host:
                await (await journal.within(host)).append(REF, [asked(1, at)], expected=0, head=QUIET)
                with pytest.raises(JournalBusy):
                    await journal.append(REF, [asked(2, at)], expected=0, head=QUIET)
                task = asyncio.create_task(journal.append(REF, [asked(3, at)], expected=0, head=QUIET))
                await asyncio.sleep(0.05)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await host.rollback()
            await journal.append(REF, [asked(4, at)], expected=0, head=QUIET)
            assert (await journal.load(REF)).events == (asked(4, at),)

    asyncio.run(work())


def counted(conninfo: str) -> int:
    """How many connections journals have to this database."""
    name = conninfo.rpartition("dbname=")[2]
    ((count,),) = shared().execute(
        f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'refund-domain' AND datname = '{name}'"
    )
    assert isinstance(count, int)
    return count


def until_counted(conninfo: str, most: int) -> None:
    """Wait until the server has noticed that no more than this many connections are left."""
    give_up = time.monotonic() + 30
    while counted(conninfo) > most:
        assert time.monotonic() < give_up, "connections are left open"
        time.sleep(0.05)


async def waited_for(journal: AsyncPostgresJournal) -> None:
    """Twice as many calls as there are connections, so that some have to wait for one."""
    await asyncio.gather(*(journal.load(PaymentRef("platform", f"ch_{number}")) for number in range(4)))


def test_connections_of_loops_that_are_over_are_closed() -> None:
    """A host that runs a new loop for each task leaves the connections of one loop at most, however many waited
    for them; closing the journal leaves none."""
    conninfo = shared().database()
    journal = asyncio.run(AsyncPostgresJournal.open(conninfo, connections=2))
    for _ in range(5):
        asyncio.run(waited_for(journal))
    until_counted(conninfo, 2)
    asyncio.run(journal.aclose())
    until_counted(conninfo, 0)


def test_fork_leaves_the_connections_of_loops_that_are_over_to_the_parent() -> None:
    """A child sweeps what it inherited from its own view only: the parent's connections stay open."""
    conninfo = shared().database()
    journal = asyncio.run(AsyncPostgresJournal.open(conninfo, connections=2))
    asyncio.run(waited_for(journal))
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of newer Pythons, for forks beside threads
        child = os.fork()
    if child == 0:
        try:
            version = asyncio.run(journal.load(REF)).version
            os.write(write, f"{version} {len(journal._pool._loops)}".encode())
        finally:
            os._exit(0)
    assert os.read(read, 9) == b"0 1"
    os.waitpid(child, 0)
    os.close(read)
    os.close(write)
    rested = [raw for lane in journal._pool._loops.values() for raw in lane.idle]
    assert rested
    assert all(is_usable(raw) for raw in rested)
    asyncio.run(journal.aclose())


def test_closed_handle_says_so() -> None:
    """After `aclose` every call is refused, and nothing is opened again."""

    async def work() -> None:
        journal = await AsyncPostgresJournal.open(shared().database())
        await journal.aclose()
        with pytest.raises(JournalUnavailable, match="closed"):
            await journal.load(REF)

    asyncio.run(work())
