"""What a host can do to its own PostgreSQL connection while the journal is joined to its transaction."""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import sqlalchemy
from psycopg.adapt import Loader
from psycopg.pq import TransactionStatus

from refund_adapters.sql import AsyncPostgresJournal, PostgresJournal, postgres_link
from refund_domain.errors import JournalBusy, JournalConflict, JournalUnavailable
from refund_domain.events import PersonAsked
from refund_domain.payments import PaymentRef
from tests.postgres.child import QUIET
from tests.postgres.server import Server, shared

NINE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
REF = PaymentRef("platform", "ch_1")


@pytest.fixture(scope="session")
def server() -> Server:
    return shared()


@pytest.fixture
def conninfo(server: Server) -> str:
    """A database of the test's own, with a table of the host's."""
    made = server.database()
    server.execute("CREATE TABLE bookings (id integer)", made)
    return made


@pytest.fixture
def journal(conninfo: str) -> Iterator[PostgresJournal]:
    with PostgresJournal(conninfo) as made:
        yield made


def asked(number: int = 1) -> PersonAsked:
    return PersonAsked(at=NINE, refund_id=f"r{number}")


def hasty(conninfo: str) -> psycopg.Connection:
    """A host that has written a row and waits for no lock."""
    host = psycopg.connect(conninfo)
    host.execute("SET lock_timeout = '100ms'")
    host.commit()
    host.execute("INSERT INTO bookings VALUES (1)")
    return host


def bookings(conninfo: str) -> int:
    with psycopg.connect(conninfo) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM bookings").fetchall()
        return int(count)


# ---- what fails leaves the transaction as it was ----


@pytest.mark.parametrize("threshold", [0, 5])
@pytest.mark.parametrize("pipelines", [True, False])
def test_a_host_that_goes_on_after_an_error_commits(
    conninfo: str, journal: PostgresJournal, pipelines: bool, threshold: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that was waited for in vain is the journal's error alone: the host's rows are committed, nothing of
    the append is, and what is appended later in the same transaction stands. So it is with a libpq of old, too,
    and for a host that has every statement prepared."""
    if not pipelines:
        monkeypatch.setattr(psycopg.Pipeline, "is_supported", staticmethod(lambda: False))
    with psycopg.connect(conninfo) as other, hasty(conninfo) as host:
        host.prepare_threshold = threshold
        joined = journal.within(host)
        journal.within(other).append(REF, [asked(1)], expected=0, head=QUIET)
        for _ in range(2):
            with pytest.raises(JournalBusy, match="55P03") as caught:
                joined.append(REF, [asked(2)], expected=0, head=QUIET)
            assert caught.value.__context__ is None
            assert host.info.transaction_status == TransactionStatus.INTRANS
        other.rollback()
        joined.append(REF, [asked(3)], expected=0, head=QUIET)
    assert bookings(conninfo) == 1
    assert journal.load(REF).events == (asked(3),)


def test_a_host_without_rights_keeps_its_rows(server: Server, conninfo: str, journal: PostgresJournal) -> None:
    """A role that may not read the journal is told so at joining, and its own rows are committed."""
    with suppress(psycopg.errors.DuplicateObject):
        server.execute("CREATE ROLE poor LOGIN")
    server.execute("GRANT INSERT ON bookings TO poor", conninfo)
    with psycopg.connect(conninfo.replace("user=postgres", "user=poor")) as host:
        host.execute("INSERT INTO bookings VALUES (1)")
        with pytest.raises(JournalUnavailable, match="42501"):
            journal.within(host)
    assert bookings(conninfo) == 1


def test_an_async_host_that_goes_on_after_an_error_commits() -> None:
    """The same on an AsyncConnection; and a cancelled append leaves a connection that can be rolled back."""

    async def work() -> None:
        conninfo = shared().database()
        shared().execute("CREATE TABLE bookings (id integer)", conninfo)
        async with (
            await AsyncPostgresJournal.open(conninfo) as journal,
            await psycopg.AsyncConnection.connect(conninfo) as other,
            await psycopg.AsyncConnection.connect(conninfo) as host,
        ):
            host.prepare_threshold = 0
            await (await journal.within(other)).append(REF, [asked(1)], expected=0, head=QUIET)
            await host.execute("SET LOCAL lock_timeout = '100ms'")
            await host.execute("INSERT INTO bookings VALUES (1)")
            joined = await journal.within(host)
            with pytest.raises(JournalBusy, match="55P03"):
                await joined.append(REF, [asked(2)], expected=0, head=QUIET)
            await host.commit()
            with pytest.raises(ValueError, match="no transaction open"):
                await joined.load(REF)
            joined = await journal.within(host)
            task = asyncio.create_task(joined.append(REF, [asked(2)], expected=0, head=QUIET))
            await asyncio.sleep(0.3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await host.rollback()
            await other.commit()
            await (await journal.within(host)).append(REF, [asked(3)], expected=1, head=QUIET)
            await host.commit()
            assert (await journal.load(REF)).events == (asked(1), asked(3))
        assert bookings(conninfo) == 1

    asyncio.run(work())


def test_what_fails_early_is_not_logged(
    conninfo: str, journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that is back before all is sent is told as ever, and psycopg logs nothing of a pipeline."""
    real = postgres_link.OwnCursor.execute

    def slowly(cursor: Any, *asked: Any, **how: Any) -> Any:
        done = real(cursor, *asked, **how)
        time.sleep(0.3)  # so that the answer is there when the next statement is sent
        return done

    with psycopg.connect(conninfo) as other, hasty(conninfo) as host:
        joined = journal.within(host)
        journal.within(other).append(REF, [asked(1)], expected=0, head=QUIET)
        monkeypatch.setattr(postgres_link.OwnCursor, "execute", slowly)
        with pytest.raises(JournalBusy, match="55P03") as caught:
            joined.append(REF, [asked(2)], expected=0, head=QUIET)
        assert caught.value.__context__ is None
        assert caplog.records == []
    assert bookings(conninfo) == 1


def test_an_idle_connection_has_a_transaction_open_once_it_is_joined(
    conninfo: str, journal: PostgresJournal
) -> None:
    """psycopg begins one with the journal's first statement, also where another database is refused by it: it
    stays open until the host ends it."""
    with closing(psycopg.connect(conninfo)) as host, closing(psycopg.connect(shared().database())) as elsewhere:
        assert host.info.transaction_status == TransactionStatus.IDLE
        journal.within(host)
        with pytest.raises(JournalUnavailable):
            journal.within(elsewhere)
        assert [each.info.transaction_status for each in (host, elsewhere)] == [TransactionStatus.INTRANS] * 2
        host.rollback()
        assert host.info.transaction_status == TransactionStatus.IDLE


# ---- what cannot be joined ----


def test_joined_after_the_hosts_commit_is_refused(conninfo: str, journal: PostgresJournal) -> None:
    """A service that outlived its transaction begins no other one, which nobody would commit: the request would
    be told as made and be nowhere. In the host's next transaction it serves again."""
    with closing(psycopg.connect(conninfo)) as host:
        joined = journal.within(host)
        host.commit()
        with pytest.raises(ValueError, match="no transaction open"):
            joined.append(REF, [asked(1)], expected=0, head=QUIET)
        assert host.info.transaction_status == TransactionStatus.IDLE
        host.execute("INSERT INTO bookings VALUES (1)")
        joined.append(REF, [asked(1)], expected=0, head=QUIET)
        host.commit()
    assert journal.load(REF).version == 1


def streaming(host: psycopg.Connection) -> Iterator[Any]:
    yield from host.cursor().stream("SELECT generate_series(1, 3)")


def copying(host: psycopg.Connection) -> Iterator[Any]:
    with host.cursor().copy("COPY bookings TO STDOUT") as copy:
        yield from copy


@pytest.mark.parametrize("busy", [streaming, copying])
def test_a_host_in_the_middle_of_a_statement_is_refused(
    busy: Callable[[psycopg.Connection], Iterator[Any]], conninfo: str, journal: PostgresJournal
) -> None:
    """There psycopg would wait for the host, which waits for the journal: for ever."""
    with psycopg.connect(conninfo) as host:
        host.execute("INSERT INTO bookings VALUES (1)")
        joined = journal.within(host)
        rows = busy(host)
        next(rows)
        for ask in (lambda: journal.within(host), lambda: joined.load(REF)):
            with pytest.raises(ValueError, match="in the middle of"):
                ask()
        assert len(list(rows)) in (0, 2)
        joined.append(REF, [asked(1)], expected=0, head=QUIET)
    assert journal.load(REF).version == 1


def test_a_closed_connection_is_told(server: Server, conninfo: str, journal: PostgresJournal) -> None:
    """A connection that is closed or was lost, before or after it was joined, is an error of the journal's."""
    host, lost = psycopg.connect(conninfo), psycopg.connect(conninfo)
    joined, cut = journal.within(host), journal.within(lost)
    host.close()
    server.execute(f"SELECT pg_terminate_backend({lost.info.backend_pid})")
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo))
    with engine.connect() as wrapped:
        pass
    for ask in (
        lambda: journal.within(host),
        lambda: joined.load(REF),
        lambda: cut.load(REF),
        lambda: cut.load(REF),
        lambda: journal.within(lost),
        lambda: journal.within(wrapped),
    ):
        with pytest.raises(JournalUnavailable, match=r"closed|lost|ended") as caught:
            ask()
        assert caught.value.__context__ is None
    lost.close()
    engine.dispose()


def test_a_host_that_rested_too_long_is_told(conninfo: str, journal: PostgresJournal) -> None:
    """A transaction that the server ended because it rested is told in words, and nothing of it is there."""
    with closing(psycopg.connect(conninfo)) as host:
        joined = journal.within(host)
        host.execute("SET idle_in_transaction_session_timeout = '500ms'")
        assert select.select([host.pgconn.socket], [], [], 30)[0]  # the server has spoken by itself
        with pytest.raises(JournalUnavailable, match=r"rested for too long.*25P03"):
            joined.append(REF, [asked(1)], expected=0, head=QUIET)
    assert journal.load(REF).version == 0


class Wrapped:
    """What SQLAlchemy's AsyncConnection shows: the sync one, which leads on, and a property that raises."""

    def __init__(self, raw: psycopg.AsyncConnection) -> None:
        self.sync_connection = SimpleNamespace(connection=SimpleNamespace(driver_connection=raw))

    @property
    def connection(self) -> object:
        """Not to be had without awaiting."""
        raise LookupError("sk_live_x")


def test_sqlalchemys_async_connection_is_joined() -> None:
    """An AsyncConnection of SQLAlchemy's is committed together with the request; one that gives no connection any
    more is told, and SQLAlchemy's error does not travel along."""

    async def work() -> None:
        conninfo = shared().database()
        async with (
            await AsyncPostgresJournal.open(conninfo) as journal,
            await psycopg.AsyncConnection.connect(conninfo) as host,
        ):
            wrapped = Wrapped(host)
            for commits in (False, True):
                joined = await journal.within(wrapped)
                await joined.append(REF, [asked(1)], expected=0, head=QUIET)
                await (host.commit if commits else host.rollback)()
                assert (await journal.load(REF)).version == int(commits)
            del wrapped.sync_connection
            with pytest.raises(JournalUnavailable, match="Wrapped is closed") as caught:
                await journal.within(wrapped)
            assert caught.value.__context__ is None

    asyncio.run(work())


def test_a_copy_of_the_database_is_refused(server: Server, conninfo: str) -> None:
    """A clone holds the same journal, and what is requested there nobody dispatches: the database tells them
    apart."""
    with PostgresJournal(conninfo) as journal:
        name = conninfo.rpartition("dbname=")[2]
        journal._pool.let_go()  # a template must be in nobody's use
        server.execute(f"CREATE DATABASE {name}_clone TEMPLATE {name}")
        with psycopg.connect(server.conninfo(f"{name}_clone")) as host:
            with pytest.raises(JournalUnavailable, match="a copy of this journal"):
                journal.within(host)
            assert host.info.transaction_status == TransactionStatus.INTRANS
        with psycopg.connect(conninfo) as host:
            assert journal.within(host).load(REF).version == 0


def test_a_copy_of_the_server_is_refused_and_the_server_itself_is_not() -> None:
    """A copy of the server's whole folder, as a snapshot or a standby is, has the same journal in the same tables:
    it is refused. The server itself, started again behind the back of the journal's connections, is not."""
    here = Server()
    conninfo = here.database()

    async def work() -> None:
        async with await AsyncPostgresJournal.open(conninfo) as journal:
            await asyncio.to_thread(here.stop)
            there = await asyncio.to_thread(here.copied)
            await asyncio.to_thread(here.start)
            async with await psycopg.AsyncConnection.connect(
                there.conninfo(conninfo.partition("dbname=")[2])
            ) as host:
                with pytest.raises(JournalUnavailable, match=r"copy of this journal.* of another server"):
                    await journal.within(host)
            async with await psycopg.AsyncConnection.connect(conninfo) as host:
                assert (await (await journal.within(host)).load(REF)).version == 0

    with PostgresJournal(conninfo) as journal:
        here.stop()
        there = here.copied()
        here.start()
        with psycopg.connect(there.conninfo(conninfo.partition("dbname=")[2])) as host:
            with pytest.raises(JournalUnavailable, match=r"copy of this journal.* of another server"):
                journal.within(host)
            assert host.info.transaction_status == TransactionStatus.INTRANS
        with psycopg.connect(conninfo) as host:
            assert journal.within(host).load(REF).version == 0
    asyncio.run(work())


class Odd(Loader):
    """Reads whatever type as bytes."""

    def load(self, data: Any) -> bytes:
        return bytes(data)


def test_a_hosts_own_adapters_are_its_own(conninfo: str, journal: PostgresJournal) -> None:
    """A host that reads numbers, truth and texts in its own way joins as any other, and goes on reading so."""
    with psycopg.connect(conninfo) as host:
        for name in ("int4", "int8", "bool", "text", "uuid", "numeric"):
            host.adapters.register_loader(name, Odd)
        joined = journal.within(host)
        assert joined.durable
        joined.append(REF, [asked(1)], expected=0, head=QUIET)
        assert joined.load(REF).events == (asked(1),)
        with pytest.raises(JournalConflict):
            joined.append(REF, [asked(2)], expected=0, head=QUIET)
        assert host.execute("SELECT 1::int8").fetchone() == (b"1",)
        host.commit()
    assert journal.load(REF).version == 1


@pytest.mark.parametrize("name", ["refund_events", "refund_streams"])
def test_rows_that_a_policy_hides_are_no_empty_journal(
    name: str, server: Server, conninfo: str, journal: PostgresJournal
) -> None:
    """Where row-level security hides rows from a role, each of its calls and its joining fail: an empty journal
    would let a refund be made twice."""
    with suppress(psycopg.errors.DuplicateObject):
        server.execute("CREATE ROLE filtered LOGIN")
    server.execute("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO filtered", conninfo)
    journal.append(REF, [asked(1)], expected=0, head=QUIET)
    theirs = conninfo.replace("user=postgres", "user=filtered")
    with PostgresJournal(theirs, must_exist=True) as mine:
        assert mine.load(REF).version == 1
        server.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY", conninfo)
        for ask in (lambda: mine.load(REF), lambda: mine.append(REF, [asked(1)], expected=0, head=QUIET)):
            with pytest.raises(JournalUnavailable, match="42501"):
                ask()
        with psycopg.connect(theirs) as host, pytest.raises(JournalUnavailable, match="row-level"):
            mine.within(host)
    with psycopg.connect(conninfo) as host:  # the owner of the server sees all
        assert journal.within(host).load(REF).version == 1


# ---- what the journal's own connections hear ----


@pytest.fixture(scope="module")
def waiting() -> str:
    """A database on a server that waits for a standby which never comes; its roles want to hear no warning."""
    server = Server({"max_wal_senders": "2", "wal_level": "replica"})
    conninfo = server.database()
    PostgresJournal(conninfo).close()
    server.execute("ALTER ROLE postgres SET client_min_messages = 'error'")
    server.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    server.execute("SELECT pg_reload_conf()")
    return conninfo


def cancel_the_wait(conninfo: str) -> None:
    """End the wait for the standby as an operator would, once there is one."""
    with psycopg.connect(conninfo, autocommit=True) as operator:
        for _ in range(600):
            waits = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            if operator.execute(waits).fetchall():
                return
            time.sleep(0.05)
    raise AssertionError("nobody waited for the standby")


def test_a_wait_for_a_standby_that_was_broken_off_is_no_commit(waiting: str) -> None:
    """PostgreSQL only warns where it gave up the wait for a standby: an append that returned could be lost with
    the server, so it does not return; on either kind of connection."""

    async def work() -> None:
        async with await AsyncPostgresJournal.open(waiting) as journal:
            task = asyncio.create_task(journal.append(REF, [asked(2)], expected=1, head=QUIET))
            await asyncio.to_thread(cancel_the_wait, waiting)
            with pytest.raises(JournalUnavailable, match="standby"):
                await task
            assert (await journal.load(REF)).version == 2

    with PostgresJournal(waiting) as journal, ThreadPoolExecutor(1) as pool:
        assert journal.durable
        append = pool.submit(journal.append, REF, [asked(1)], expected=0, head=QUIET)
        cancel_the_wait(waiting)
        with pytest.raises(JournalUnavailable, match="standby"):
            append.result(60)
        assert journal.load(REF).version == 1
    asyncio.run(work())


# ---- positions ----


def test_a_tail_behind_a_restore_is_told(server: Server, conninfo: str, journal: PostgresJournal) -> None:
    """Who reads along from a position that the restored journal has not reached is told so, and not left without
    news; the last position, and the beginning of an empty journal, are well."""
    assert journal.tail("", 9) == ()
    for number in (1, 2):
        journal.append(REF, [asked(number)], expected=number - 1, head=QUIET)
    first, last = journal.tail("", 9)
    assert journal.tail(last.position, 9) == ()
    server.execute("DELETE FROM refund_events WHERE version = 2", conninfo)
    with pytest.raises(JournalUnavailable, match="went back"):
        journal.tail(last.position, 9)
    assert journal.tail(first.position, 9) == ()
    server.execute("DELETE FROM refund_events", conninfo)
    with pytest.raises(JournalUnavailable, match="went back"):
        journal.tail(first.position, 9)
    assert journal.tail("", 9) == ()


@pytest.mark.parametrize("after", ["1 platform/a\0b", "1 platform/a\ud800secret"])
def test_a_place_that_no_text_can_name_is_refused(after: str, journal: PostgresJournal) -> None:
    """Half a surrogate pair or a NUL in a place of the history is no place, and is not repeated."""
    with pytest.raises(ValueError, match="must be a position") as caught:
        journal.history("acme", after, 1)
    assert type(caught.value) is ValueError
    assert caught.value.__context__ is None
