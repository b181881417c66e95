"""Requests within a host's own transaction, on both engines: committed or rolled back with the host's rows."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest
import sqlalchemy
import sqlalchemy.orm

from refund_adapters.memory import MemoryGateway
from refund_adapters.sql import PostgresJournal, SqliteJournal
from refund_domain import IssueRefund, Money, PaymentRef, Policy, Refund, RefundService, Refused
from refund_domain.decider.ledger import Status
from refund_domain.errors import JournalBusy, JournalConflict, JournalUnavailable
from refund_domain.events import LookScheduled
from refund_domain.payments import OutsideRef
from refund_domain.ports import Head
from refund_domain.service.stream import Recovery
from tests.domain.worlds import KINDS, MARIA, Kind, World, refund_of
from tests.postgres.server import shared

ENGINES = ("sqlite", "postgres")


@attrs.define
class Bed:
    """A host on one engine: its journal, its world of payments, and how it connects."""

    engine: str
    world: World
    journal: SqliteJournal | PostgresJournal
    connect: Callable[[], Any]
    url: str

    def begin(self) -> Any:
        """A connection of the host's with a transaction open and a row of its own written in it."""
        connection = self.connect()
        connection.execute("INSERT INTO bookings VALUES (1)")
        return connection

    def sent(self) -> list[str]:
        """The ids of what was sent to the gateway."""
        return [send.refund_id for send in self.world.gateway.sent]

    def bookings(self) -> int:
        """How many rows of the host's are committed."""
        with closing(self.connect()) as connection:
            (count,) = connection.execute("SELECT count(*) FROM bookings").fetchone()
            return int(count)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, engine: str) -> Kind:
    return "sync" if request.param == "sync" else "async"


@pytest.fixture
def bed(engine: str, kind: Kind, tmp_path: Path) -> Iterator[Bed]:
    """The services over the journal of one engine; the async one awaits the sync journal."""
    world = World(kind)
    if engine == "sqlite":
        path = str(tmp_path / "host.db")
        lite = SqliteJournal(path, clock=world.clock, busy_timeout_s=0.2)
        made = Bed(engine, world, lite, lambda: sqlite3.connect(path), f"sqlite:///{path}")
    else:
        conninfo = shared().database()
        name = conninfo.rpartition("dbname=")[2]
        url = f"postgresql+psycopg://postgres@/{name}?host={shared().home}"
        big = PostgresJournal(conninfo, busy_timeout_s=0.2)
        made = Bed(engine, world, big, lambda: psycopg.connect(conninfo), url)
        world.clock.now = big.load(PaymentRef("platform", "ch_0")).now
    world.refunds = world.service(journal=made.journal)
    with closing(made.connect()) as connection:
        connection.execute("CREATE TABLE bookings (id INTEGER)")
        connection.commit()
    with made.journal:
        yield made


def quoted(bed: Bed) -> IssueRefund:
    """A payment and what a person decided about it."""
    return bed.world.decision(bed.world.pay())


def test_request_is_committed_with_the_host(bed: Bed) -> None:
    """Before the commit a dispatch is owed nothing and sends nothing; after it, it sends once."""
    command = quoted(bed)
    with closing(bed.begin()) as host:
        refund = refund_of(bed.world.refunds.within(host).request(command))
        assert refund.status is Status.REQUESTED
        assert bed.world.refunds.dispatch(command.payment).refunds == ()
        assert not bed.sent()
        host.commit()
    assert bed.bookings() == 1
    assert bed.world.refunds.dispatch(command.payment).refunds[0].id == refund.id
    assert refund_of(bed.world.refunds.issue(command)).status is Status.SUCCEEDED
    assert bed.sent() == [refund.id]
    assert bed.world.bank.made(command.payment) == 1


def test_request_is_rolled_back_with_the_host(bed: Bed) -> None:
    """A request whose transaction was rolled back leaves nothing: nothing to dispatch, to recover or to show."""
    # failure: B06
    command = quoted(bed)
    before = bed.journal.load(command.payment).events
    with closing(bed.begin()) as host:
        refund_of(bed.world.refunds.within(host).request(command))
        host.rollback()
    assert bed.bookings() == 0
    assert bed.journal.load(command.payment).events == before
    assert bed.world.refunds.dispatch(command.payment).refunds == ()
    assert bed.world.refunds.recover() == Recovery(looked=0)
    assert not bed.sent()
    assert refund_of(bed.world.refunds.issue(command)).status is Status.SUCCEEDED
    assert bed.world.bank.made(command.payment) == 1


def test_connection_that_ends_without_a_commit_leaves_nothing(bed: Bed) -> None:
    """A host that dies before its commit has requested nothing."""
    command = quoted(bed)
    before = bed.journal.load(command.payment).events
    with closing(bed.begin()) as host:
        refund_of(bed.world.refunds.within(host).request(command))
    assert (bed.bookings(), bed.journal.load(command.payment).events) == (0, before)


def test_outside_refund_is_recorded_with_the_host(bed: Bed) -> None:
    """Cash given back is written down with the host's rows; the same record id records once."""
    cash = OutsideRef(id="cash-7", method="cash", amount=Money.parse("40.00", "USD"))
    for _ in range(2):
        with closing(bed.begin()) as host:
            said = bed.world.refunds.within(host).record_outside(
                cash, cash.amount, by=MARIA, how="cash in hand", record_id="o1"
            )
            assert not isinstance(said, Refused)
            host.commit()
    assert (bed.bookings(), bed.journal.load(cash).version) == (2, 2)


def test_refusal_within_leaves_the_host_its_transaction(bed: Bed) -> None:
    """A rule's no is a value, and what else the host wrote is committed."""
    command = quoted(bed)
    refund_of(bed.world.refunds.issue(command))
    with closing(bed.begin()) as host:
        said = bed.world.refunds.within(host).request(attrs.evolve(command, request_id="another"))
        assert isinstance(said, Refused)
        host.commit()
    assert bed.bookings() == 1


def test_race_is_raised_for_the_host_to_repeat(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beaten between its read and its append, a request within raises and is not decided again by itself."""
    command, other = quoted(bed), attrs.evolve(quoted(bed), request_id="another")
    other = attrs.evolve(other, payment=command.payment)
    rival = bed.world.service(journal=bed.journal)
    minted: list[str] = []
    real = bed.world.new_id

    def new_id() -> str:
        minted.append(real())
        if len(minted) == 1:
            rival.request(other)
        return minted[-1]

    monkeypatch.setattr(bed.world, "new_id", new_id)
    service = bed.world.service(journal=bed.journal)
    with closing(bed.connect()) as host:
        if bed.engine == "sqlite":
            host.isolation_level = None
            host.execute("BEGIN")  # reads first, writes then
        with pytest.raises(JournalConflict, match=r"; roll your transaction back and run it again$"):
            service.within(host).request(command)
        host.rollback()
    with closing(bed.begin()) as host:
        said = service.within(host).request(command)
        assert isinstance(said, Refused)
        assert [reason.code for reason in said.reasons] == ["in_flight"]
        host.commit()
    assert bed.bookings() == 1


# ---- what is refused ----


def test_connection_without_a_transaction_is_refused(bed: Bed) -> None:
    """Where each statement commits by itself, nothing could be rolled back: the host is told at once."""
    with closing(bed.connect()) as host:
        if bed.engine == "sqlite":
            host.isolation_level = None
        else:
            host.autocommit = True
        with pytest.raises(ValueError, match="no transaction open"):
            bed.world.refunds.within(host)
        host.execute("BEGIN")
        within = bed.world.refunds.within(host)
        host.execute("ROLLBACK")
        with pytest.raises(ValueError, match="no transaction open"):
            within.request(quoted(bed))


class Autocommitting(sqlite3.Connection):
    """A connection as Python 3.12 and newer open it with `autocommit=True`."""

    autocommit = True

    def commit(self) -> None:
        """There it does nothing."""


def test_connection_that_commits_by_itself_is_refused(tmp_path: Path) -> None:
    """No transaction is begun where the host's `commit` would not end it: the request would be lost with the
    connection, and the journal locked until then. One that the host itself began is joined."""
    path = str(tmp_path / "host.db")
    ref = PaymentRef("platform", "ch_1")
    with SqliteJournal(path) as journal, closing(sqlite3.connect(path, factory=Autocommitting)) as host:
        with pytest.raises(ValueError, match="no transaction open"):
            journal.within(host)
        assert not host.in_transaction
        host.execute("BEGIN")
        event = LookScheduled(at=journal.load(ref).now, due=None, tries=1)
        journal.within(host).append(
            ref, [event], expected=0, head=Head(tenant="acme", look_at=None, waiting=False)
        )
        host.execute("COMMIT")
        assert journal.load(ref).events == (event,)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has autocommit from Python 3.12 on")
def test_connection_that_is_always_in_a_transaction_is_joined(tmp_path: Path) -> None:
    """With `autocommit=False` a transaction is open at all times, which the host's `commit` ends."""
    path = str(tmp_path / "host.db")
    ref = PaymentRef("platform", "ch_1")
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect
    with SqliteJournal(path) as journal, closing(connect(path, autocommit=False)) as host:
        event = LookScheduled(at=journal.load(ref).now, due=None, tries=1)
        for commits in (False, True):
            journal.within(host).append(
                ref, [event], expected=0, head=Head(tenant="acme", look_at=None, waiting=False)
            )
            (host.commit if commits else host.rollback)()
            assert journal.load(ref).version == int(commits)


def test_connection_elsewhere_is_refused(bed: Bed, tmp_path: Path) -> None:
    """A connection to another file or database has another journal or none, and both are named; its transaction
    is not spoiled."""
    places: list[Callable[[], Any]]
    places = [lambda: sqlite3.connect(tmp_path / "other.db"), lambda: sqlite3.connect(":memory:")]
    named = ["the journal is in host.db"]
    if bed.engine == "postgres":
        alone, journaled = shared().database(), shared().database()
        PostgresJournal(journaled).close()
        places = [lambda: psycopg.connect(alone), lambda: psycopg.connect(journaled)]
        named = [f" is in {bed.url.partition('@/')[2].partition('?')[0]}"]
    for connect in places:
        with closing(connect()) as host:
            with pytest.raises(JournalUnavailable, match=r"another|without this journal") as told:
                bed.world.refunds.within(host)
            for each in named:
                assert each in str(told.value)
            host.execute("CREATE TABLE mine (id INTEGER)")
            host.commit()


def test_connection_elsewhere_is_left_as_it_was(tmp_path: Path) -> None:
    """What is refused has no transaction begun on it: others can still write to that file."""
    with SqliteJournal(tmp_path / "host.db") as journal:
        for path in (tmp_path / "other.db", ":memory:"):
            with closing(sqlite3.connect(path)) as host:
                with pytest.raises(JournalUnavailable, match="another file"):
                    journal.within(host)
                assert not host.in_transaction


@pytest.mark.parametrize("what", [None, "connection", 7])
def test_what_is_no_connection_is_refused(bed: Bed, what: object) -> None:
    """Anything but the engine's own driver, or what wraps it, is a programmer's error."""
    with pytest.raises(TypeError, match=r"a connection of .* was expected"):
        bed.world.refunds.within(what)


def test_framework_that_has_not_connected_yet_has_no_transaction(bed: Bed) -> None:
    """Django's connection before its first query, outside `atomic`: refused as one without a transaction."""

    class Wrapper:
        connection = None

        def ensure_connection(self) -> None:
            """What Django's has."""

    with pytest.raises(ValueError, match=r"no transaction open: .*transaction\.atomic\(\)"):
        bed.world.refunds.within(Wrapper())


def test_other_engines_connection_is_refused(bed: Bed) -> None:
    """A connection of the other driver is not taken for the journal's."""
    if bed.engine == "sqlite":
        other: Any = psycopg.connect(shared().conninfo())
    else:
        other = sqlite3.connect(":memory:")
    with closing(other), pytest.raises(TypeError, match=r"a connection of .* was expected"):
        bed.world.refunds.within(other)


def test_live_gateway_needs_a_durable_commit_of_the_host(bed: Bed) -> None:
    """A host's connection that does not wait for the disk is good enough for tests and refused with a live key."""
    live = RefundService(MemoryGateway(bed.world.bank, live=True), bed.journal, allow=lambda *_: True)
    weak = "PRAGMA synchronous = NORMAL" if bed.engine == "sqlite" else "SET synchronous_commit = off"
    with closing(bed.connect()) as host:
        live.within(host)
        host.rollback()
        host.execute(weak)
        host.commit()
        host.execute("INSERT INTO bookings VALUES (1)")
        with pytest.raises(ValueError, match="durable"):
            live.within(host)
        bed.world.refunds.within(host)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("service", KINDS)
def test_a_refused_connection_is_left_as_it_was(service: Kind, tmp_path: Path, begun: bool) -> None:
    """Refused for its weak commits, a host's connection has no transaction that it did not begin, and keeps one
    that it did; others can write to the journal."""
    path, world = str(tmp_path / "host.db"), World(service)
    with SqliteJournal(path, clock=world.clock, busy_timeout_s=0.2) as journal:
        world.refunds = world.service(journal=journal)
        world.funds.live = True
        live = world.service(journal=journal, gateway=MemoryGateway(world.bank, live=True))
        with closing(sqlite3.connect(path)) as host:
            host.execute("PRAGMA synchronous = NORMAL")
            host.execute("CREATE TABLE bookings (id INTEGER)")
            if begun:
                host.execute("INSERT INTO bookings VALUES (1)")
            with pytest.raises(ValueError, match="durable"):
                live.within(host)
            assert host.in_transaction is begun
            host.commit()
            assert host.execute("SELECT count(*) FROM bookings").fetchone() == (int(begun),)
            assert refund_of(world.refunds.issue(world.decision(world.pay()))).status is Status.SUCCEEDED


def test_a_journal_that_cannot_join_says_so(kind: Kind) -> None:
    """The memory journal has no connection to share."""
    with pytest.raises(TypeError, match="cannot join"):
        World(kind).refunds.within(object())


def test_tail_is_refused_within(bed: Bed) -> None:
    """What is not committed has no place yet."""
    with closing(bed.begin()) as host, pytest.raises(ValueError, match="read along"):
        bed.journal.within(host).tail("", 1)


def test_hosts_own_rows_keep_their_shape(bed: Bed) -> None:
    """A host whose connection gives rows as dictionaries is served, and keeps them."""
    command = quoted(bed)
    with closing(bed.connect()) as host:
        host.row_factory = sqlite3.Row if bed.engine == "sqlite" else psycopg.rows.dict_row
        host.execute("INSERT INTO bookings VALUES (1)")
        refund_of(bed.world.refunds.within(host).request(command))
        assert host.execute("SELECT id FROM bookings").fetchone()["id"] == 1
        journal = bed.journal.within(host)
        assert journal.durable
        assert journal.in_transaction
        assert (journal.due(9), journal.waiting("acme", 9)) == ((command.payment,), ())
        host.commit()
    assert bed.journal.due(9) == (command.payment,)


def test_sqlalchemy_session_is_joined(bed: Bed) -> None:
    """A session's rows and the request are committed together, or rolled back together."""
    engine = sqlalchemy.create_engine(bed.url)
    for commits in (False, True):
        command = quoted(bed)
        before = bed.journal.load(command.payment).version
        with sqlalchemy.orm.Session(engine) as session:
            session.execute(sqlalchemy.text("INSERT INTO bookings VALUES (1)"))
            refund = bed.world.refunds.within(session.connection()).request(command)
            assert isinstance(refund, Refund)
            if commits:
                session.commit()
        assert (bed.bookings(), bed.journal.load(command.payment).version > before) == (int(commits), commits)
        with engine.connect() as connection:
            bed.world.refunds.within(connection)
            bed.world.refunds.within(connection.connection)
    engine.dispose()


def test_another_transaction_that_writes_is_waited_for_and_no_longer(bed: Bed) -> None:
    """While a host holds the payment's stream, the service outside waits as long as told, then says busy."""
    command = quoted(bed)
    with closing(bed.begin()) as host:
        refund_of(bed.world.refunds.within(host).request(command))
        with pytest.raises(JournalBusy, match="is a transaction of your own still open"):
            bed.world.refunds.request(command)
        host.rollback()
    refund_of(bed.world.refunds.request(command))


@pytest.mark.parametrize("limited", [False, True])
def test_what_a_hosts_own_writes_hold_up(bed: Bed, limited: bool) -> None:
    """Another payment's request waits for a host that wrote to one: on SQLite always, on PostgreSQL where a limit
    of a day makes the payments of a tenant meet."""
    if limited:
        bed.world.policy = Policy(most_a_day=(Money.parse("9000.00", "USD"),))
    refunds = bed.world.service(journal=bed.journal)
    first, other = quoted(bed), attrs.evolve(quoted(bed), request_id="another")
    with closing(bed.begin()) as host:
        refund_of(refunds.within(host).request(first))
        if limited or bed.engine == "sqlite":
            with pytest.raises(JournalBusy, match="is a transaction of your own still open"):
                refunds.request(other)
        else:
            refund_of(refunds.request(other))
        host.rollback()
    refund_of(refunds.request(other))


def test_what_is_sent_inside_a_hosts_transaction_stays(bed: Bed) -> None:
    """The journal cannot see a transaction that the host has open: `issue` sends and commits, and no rollback of
    the host's takes that back."""
    command = quoted(bed)
    with closing(bed.connect()) as host:
        if bed.engine == "sqlite":
            host.isolation_level = None
            host.execute("BEGIN")  # no write lock: one would make `issue` wait
        host.execute("SELECT count(*) FROM bookings").fetchone()
        assert refund_of(bed.world.refunds.issue(command)).status is Status.SUCCEEDED
        host.rollback()
    assert refund_of(bed.world.refunds.issue(command)).status is Status.SUCCEEDED
    assert bed.world.bank.made(command.payment) == 1


def test_append_that_breaks_leaves_nothing_for_the_host_to_commit(tmp_path: Path) -> None:
    """SQLite may fail in the middle of an append and keep what it did so far: a host that commits all the same
    commits nothing of it."""
    path = str(tmp_path / "host.db")
    ref = PaymentRef("platform", "ch_1")
    with SqliteJournal(path) as journal, closing(sqlite3.connect(path)) as host:
        host.execute(
            "CREATE TRIGGER full BEFORE INSERT ON refund_events WHEN NEW.version = 2"
            " BEGIN SELECT RAISE(FAIL, 'the disk is full'); END"
        )
        events = [LookScheduled(at=journal.load(ref).now, due=None, tries=number) for number in range(3)]
        with pytest.raises(JournalUnavailable):
            journal.within(host).append(
                ref, events, expected=0, head=Head(tenant="acme", look_at=None, waiting=False)
            )
        host.commit()
        assert journal.load(ref).version == 0
