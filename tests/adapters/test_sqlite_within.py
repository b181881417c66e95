"""What a host can do to its own SQLite connection while the journal is joined to its transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy
import sqlalchemy.orm

from refund_adapters.memory import MemoryBank, MemoryGateway
from refund_adapters.sql import SqliteJournal
from refund_domain import Actor, IssueRefund, Money, RefundService
from refund_domain.errors import JournalConflict, JournalUnavailable
from refund_domain.events import LookScheduled
from refund_domain.payments import PaymentRef
from refund_domain.ports import Head

MARIA = Actor(id="maria", tenant="acme")
REF = PaymentRef("platform", "ch_1")
QUIET = Head(tenant="acme", look_at=None, waiting=False)


class Host:
    """A host's database with a table of bookings and a journal in it."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "host.db")
        self.journal = SqliteJournal(self.path, busy_timeout_s=0.2)
        self.bank = MemoryBank()
        self.refunds = RefundService(MemoryGateway(self.bank), self.journal, allow=lambda *_: True)
        with closing(self.connect()) as connection:
            connection.execute("CREATE TABLE bookings (id INTEGER)")

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path)

    def command(self) -> IssueRefund:
        """A payment and what a person decided about it."""
        payment = self.bank.charge(Money.parse("200.00", "USD"))
        return self.refunds.quote(payment, by=MARIA).verified(by=MARIA)

    def asked(self, command: IssueRefund) -> bool:
        """Whether a refund of this payment stands in the journal."""
        return bool(self.refunds.dispatch(command.payment).refunds)

    def bookings(self) -> int:
        with closing(self.connect()) as connection:
            return int(connection.execute("SELECT count(*) FROM bookings").fetchone()[0])


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    with made.journal:
        yield made


def looks(count: int, journal: SqliteJournal) -> list[LookScheduled]:
    return [LookScheduled(at=journal.load(REF).now, due=None, tries=number) for number in range(count)]


# ---- what SQLite rolls back by itself ----


def test_a_full_disk_is_told_with_what_became_of_the_transaction(host: Host) -> None:
    """SQLite rolls all back where the disk is full: the cause is told, and that the host's rows are gone."""
    with closing(host.connect()) as connection:
        connection.execute("INSERT INTO bookings VALUES (1)")
        joined = host.journal.within(connection)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(JournalUnavailable, match=r"disk is full .* rolled back the host's whole") as caught:
            joined.append(REF, looks(500, host.journal), expected=0, head=QUIET)
        assert caught.value.__context__ is None
        assert not connection.in_transaction
    assert (host.bookings(), host.journal.load(REF).version) == (0, 0)


def test_an_interrupt_is_told_with_what_became_of_the_transaction(host: Host) -> None:
    """Interrupted at whatever step, an append names the interrupt; it says so where the transaction is gone, and
    where it is not the host goes on with its own rows and nothing of the append."""
    gone = 0
    for limit in range(40):
        with closing(host.connect()) as connection:
            connection.execute("INSERT INTO bookings VALUES (1)")
            joined = host.journal.within(connection)
            events, steps = looks(3, host.journal), iter(range(limit))
            connection.set_progress_handler(lambda steps=steps: next(steps, None) is None, 20)  # type: ignore[misc]
            try:
                joined.append(REF, events, expected=0, head=QUIET)
                break
            except JournalUnavailable as error:
                told = str(error)
            connection.set_progress_handler(None, 0)
            assert "SQLITE_INTERRUPT" in told
            assert ("whole transaction" in told) is not connection.in_transaction
            assert connection.execute("SELECT count(*) FROM refund_events").fetchone() == (0,)
            gone += not connection.in_transaction
            connection.rollback()
    assert gone
    assert limit > 1


# ---- another who writes ----


@pytest.mark.parametrize("committed", [False, True])
def test_a_transaction_that_has_read_is_told_to_repeat_where_another_writes(host: Host, committed: bool) -> None:
    """Whether the other has committed or has its transaction open, SQLite lets nobody wait who has read: it is a
    race and told as one, the host's transaction is left for it to roll back, and repeated it goes."""
    with closing(host.connect()) as mine, closing(host.connect()) as other:
        mine.isolation_level = None
        mine.execute("BEGIN")
        joined = host.journal.within(mine)
        (event,) = looks(1, host.journal)
        assert joined.load(REF).version == 0
        other.execute("INSERT INTO bookings VALUES (1)")
        if committed:
            other.commit()
        with pytest.raises(
            JournalConflict, match=r"others wrote .*; roll your transaction back and run it again$"
        ):
            joined.append(REF, [event], expected=0, head=QUIET)
        assert mine.in_transaction
        mine.execute("ROLLBACK")
        other.commit()
        mine.execute("BEGIN")
        host.journal.within(mine).append(REF, [event], expected=0, head=QUIET)
        mine.execute("COMMIT")
    assert (host.bookings(), host.journal.load(REF).version) == (1, 1)


# ---- what is closed ----


def test_a_closed_connection_is_told(host: Host) -> None:
    """A connection that is closed, before or after it was joined, is an error of the journal's, not sqlite3's."""
    command = host.command()
    connection = host.connect()
    within = host.refunds.within(connection)
    connection.close()
    for ask in (lambda: within.request(command), lambda: host.refunds.within(connection)):
        with pytest.raises(JournalUnavailable, match="closed") as caught:
            ask()
        assert caught.value.__context__ is None


def test_a_framework_s_closed_connection_is_told(host: Host) -> None:
    """SQLAlchemy's error of a connection that was closed is one of the journal's."""
    engine = sqlalchemy.create_engine(f"sqlite:///{host.path}")
    with engine.connect() as connection:
        pass
    with pytest.raises(JournalUnavailable, match="closed") as caught:
        host.refunds.within(connection)
    assert caught.value.__context__ is None
    engine.dispose()


# ---- savepoints ----


@pytest.mark.parametrize("first", [False, True])
def test_a_savepoint_that_may_be_the_outermost_is_refused(host: Host, first: bool) -> None:
    """sqlite3 begins no transaction before a savepoint of SQLAlchemy's, whose release then commits: a request that
    the host rolls back afterwards would stay and be sent. It is refused, whatever was done before."""
    engine = sqlalchemy.create_engine(f"sqlite:///{host.path}")
    command = host.command()
    with sqlalchemy.orm.Session(engine) as session:
        if first:
            session.execute(sqlalchemy.text("INSERT INTO bookings VALUES (1)"))
        with session.begin_nested():
            with pytest.raises(ValueError, match="savepoint"):
                host.refunds.within(session.connection())
        session.rollback()
    assert not host.asked(command)
    engine.dispose()


@pytest.mark.parametrize("commits", [False, True])
def test_joined_before_its_savepoint_a_host_has_both_or_neither(host: Host, commits: bool) -> None:
    """Joined first, a transaction is open before the savepoint: its release commits nothing, the host does."""
    engine = sqlalchemy.create_engine(f"sqlite:///{host.path}")
    command = host.command()
    with sqlalchemy.orm.Session(engine) as session:
        within = host.refunds.within(session.connection())
        with session.begin_nested():
            session.execute(sqlalchemy.text("INSERT INTO bookings VALUES (1)"))
            within.request(command)
        (session.commit if commits else session.rollback)()
    assert (host.bookings(), host.asked(command)) == (int(commits), commits)
    engine.dispose()


@pytest.mark.parametrize("commits", [False, True])
def test_a_host_that_begins_by_itself_may_join_in_a_savepoint(host: Host, commits: bool) -> None:
    """With `isolation_level` None and a BEGIN of its own, as SQLAlchemy recommends for savepoints, all is well."""
    engine = sqlalchemy.create_engine(f"sqlite:///{host.path}")

    def connected(raw: sqlite3.Connection, _: object) -> None:
        raw.isolation_level = None

    def began(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    sqlalchemy.event.listen(engine, "connect", connected)
    sqlalchemy.event.listen(engine, "begin", began)
    command = host.command()
    with sqlalchemy.orm.Session(engine) as session:
        with session.begin_nested():
            session.execute(sqlalchemy.text("INSERT INTO bookings VALUES (1)"))
            host.refunds.within(session.connection()).request(command)
        (session.commit if commits else session.rollback)()
    assert (host.bookings(), host.asked(command)) == (int(commits), commits)
    engine.dispose()


def test_a_savepoint_of_django_s_without_its_begin_is_refused(host: Host) -> None:
    """With `set_autocommit(False)` the first inner `atomic` of Django's is a savepoint that nothing precedes."""
    with closing(host.connect()) as connection:
        wrapped = SimpleNamespace(connection=connection, savepoint_ids=[None])  # atomic(savepoint=False): none
        host.refunds.within(wrapped)
        connection.rollback()
        connection.execute("SAVEPOINT s1_x1")
        wrapped.savepoint_ids.append("s1_x1")
        with pytest.raises(ValueError, match="savepoint"):
            host.refunds.within(wrapped)
        connection.isolation_level = None  # as it is where Django commits by itself, and begins for `atomic`
        connection.execute("BEGIN")
        connection.execute("SAVEPOINT s1_x1")
        host.refunds.within(wrapped)


def test_a_bare_savepoint_is_the_host_s_whole_transaction(host: Host) -> None:
    """A bare SAVEPOINT is what SQLite commits at its RELEASE, the host's rows and the request together: nothing
    tells it from one after a BEGIN. Rolled back to, and released, it leaves neither."""
    for back in (True, False):
        command = host.command()
        with closing(host.connect()) as connection:
            connection.isolation_level = None
            connection.execute("SAVEPOINT mine")
            connection.execute("INSERT INTO bookings VALUES (1)")
            host.refunds.within(connection).request(command)
            if back:
                connection.execute("ROLLBACK TO mine")
            connection.execute("RELEASE mine")
            assert not connection.in_transaction
        assert (host.bookings(), host.asked(command)) == (int(not back), not back)


# ---- positions ----


def test_a_tail_behind_a_restore_is_told(host: Host) -> None:
    """Who reads along from a position that the restored journal has not reached is told so, and not left without
    news; the last position, and the beginning of an empty journal, are well."""
    assert host.journal.tail("", 9) == ()
    host.journal.append(REF, looks(2, host.journal), expected=0, head=QUIET)
    first, last = host.journal.tail("", 9)
    assert host.journal.tail(last.position, 9) == ()
    with closing(host.connect()) as connection:
        for left in (1, 0):
            connection.execute("DELETE FROM refund_events WHERE version > ?", (left,))
            connection.commit()
            with pytest.raises(JournalUnavailable, match="went back"):
                host.journal.tail((last if left else first).position, 9)
    assert host.journal.tail("", 9) == ()


@pytest.mark.parametrize("after", ["1 platform/a\0b", "1 platform/a\ud800secret"])
def test_a_place_that_no_text_can_name_is_refused(after: str, host: Host) -> None:
    """Half a surrogate pair or a NUL in a place of the history is no place, and is not repeated."""
    with pytest.raises(ValueError, match="must be a position") as caught:
        host.journal.history("acme", after, 1)
    assert type(caught.value) is ValueError
    assert caught.value.__context__ is None
