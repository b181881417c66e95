"""The PostgreSQL journal against a real server: its laws, its races, what breaks it, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import os
import traceback
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import psycopg
import pytest

from refund_adapters.memory import MemoryBank, MemoryGateway
from refund_adapters.sql import (
    AsyncPostgresJournal,
    PostgresJournal,
    postgres_asks,
    postgres_link,
    postgres_pool,
    postgres_schema,
)
from refund_adapters.sql.rows import microseconds
from refund_domain import Actor, Money, RefundService
from refund_domain.commands import Reason
from refund_domain.errors import JournalBusy, JournalConflict, JournalUnavailable
from refund_domain.events import PersonAsked, RefundRequested
from refund_domain.payments import PaymentRef, Ref
from refund_domain.ports import RefundJournal
from refund_domain.testing import laws_journal
from refund_domain.testing.laws import Report
from refund_domain.testing.laws_journal import check_journal
from tests.postgres.child import QUIET
from tests.postgres.server import Server, restarting, shared

NINE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
REF = PaymentRef("acct_1", "ch_1")
JOURNAL_LAWS = tuple(law.__name__ for law in laws_journal.LAWS)
LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")


@pytest.fixture(scope="session")
def server() -> Server:
    return shared()


@pytest.fixture
def conninfo(server: Server) -> str:
    """A database of the test's own."""
    return server.database()


@pytest.fixture
def journal(conninfo: str) -> Iterator[PostgresJournal]:
    with PostgresJournal(conninfo) as made:
        yield made


# ---- the laws ----


def plant(conninfo: str, ref: Ref, version: int) -> None:
    """Add an event that only a newer version knows, as that one would."""
    text = json.dumps({"v": 1, "type": "FromTheFuture", "at": "2026-03-02T09:00:00Z"})
    with psycopg.connect(conninfo) as connection:
        connection.execute(
            "INSERT INTO refund_events (tx, stream, version, at, event)"
            " VALUES (pg_current_xact_id()::text::bigint, %s, %s, 0, %s)",
            (str(ref), version, text),
        )
        connection.execute("UPDATE refund_streams SET version = %s WHERE stream = %s", (version, str(ref)))


@pytest.mark.parametrize("schema", ["public", "Refunds_2"])
def test_it_keeps_every_law(server: Server, schema: str) -> None:
    """Every law holds on a real server, with a second handle and a host's transaction, in whatever schema."""
    places: dict[int, str] = {}
    kept: list[PostgresJournal] = []

    def opened(conninfo: str) -> PostgresJournal:
        kept.append(PostgresJournal(conninfo, schema=schema, connections=8))
        places[id(kept[-1])] = conninfo
        return kept[-1]

    @contextmanager
    def host(journal: PostgresJournal) -> Iterator[object]:
        with psycopg.connect(places[id(journal)]) as connection:
            yield connection

    def plant_unknown(journal: PostgresJournal, ref: Ref) -> None:
        path = f"{places[id(journal)]} options='-c search_path=\"{schema}\"'"
        plant(path, ref, journal.load(ref).version + 1)

    report = check_journal(
        lambda: opened(server.database()),
        again=lambda journal: opened(places[id(journal)]),
        plant_unknown=plant_unknown,
        host=host,
    )
    for journal in kept:
        journal.close()
    assert report == Report(held=JOURNAL_LAWS)


# ---- appends ----


def asked(number: int = 1, at: datetime = NINE) -> PersonAsked:
    return PersonAsked(at=at, refund_id=f"r{number}")


def test_each_call_is_one_statement(conninfo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A load or an append, of however many events, won or lost, asks one statement of psycopg and no second."""
    asked_for: list[bytes] = []
    real = postgres_link._rows

    def counted(raw: Any, statement: bytes, values: Any) -> Any:
        asked_for.append(statement)
        return real(raw, statement, values)

    with PostgresJournal(conninfo, connections=1) as journal:
        journal.load(REF)  # connects
        monkeypatch.setattr(postgres_link, "_rows", counted)
        journal.append(REF, [asked(1), asked(2), asked(3)], expected=0, head=QUIET)
        journal.append(REF, [asked(4)], expected=3, head=QUIET)
        with pytest.raises(JournalConflict):
            journal.append(REF, [asked(5)], expected=3, head=QUIET)
        journal.load(REF)
    assert len(asked_for) == 4


def test_line_breaks_stay_in_their_event(conninfo: str, journal: PostgresJournal) -> None:
    """Events travel as lines of one text: a note of several lines, of any kind, stays whole and in its place."""
    noted = [
        RefundRequested(
            at=NINE + timedelta(seconds=number),
            refund_id=f"r{number}",
            request_id="q1",
            amount=Money.parse("200.00", "USD"),
            reason=Reason.REQUESTED_BY_CUSTOMER,
            quoted_at=NINE,
            by=Actor(id="maria", tenant="acme"),
            note=note,
        )
        for number, note in enumerate(("two\nlines", "\r\n\\n\n", "\u2028\x0b\x1e\n{}"))
    ]
    journal.append(REF, noted, expected=0, head=QUIET)
    assert list(journal.load(REF).events) == noted
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute("SELECT version, at FROM refund_events ORDER BY tx, seq").fetchall()
    assert rows == [(number, microseconds(event.at)) for number, event in enumerate(noted, 1)]


def test_commit_that_fails_is_no_append(server: Server, conninfo: str, journal: PostgresJournal) -> None:
    """What the server refuses at the commit, after the statement had its answer, is an error and not written."""
    for statement in (
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'sk_live_x'; END $$",
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON refund_events DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION no()",
    ):
        server.execute(statement, conninfo)
    with pytest.raises(JournalUnavailable, match="P0001") as caught:
        journal.append(REF, [asked()], expected=0, head=QUIET)
    assert "sk_live_x" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert journal.load(REF).version == 0


def test_host_in_a_pipeline_is_refused(conninfo: str, journal: PostgresJournal) -> None:
    """There an append that is written was told as a conflict: nothing is asked, and the host goes on without."""
    with psycopg.connect(conninfo) as host:
        joined = journal.within(host)
        with host.pipeline():
            with pytest.raises(ValueError, match="pipeline"):
                journal.within(host)
            with pytest.raises(ValueError, match="pipeline"):
                joined.append(REF, [asked(1)], expected=0, head=QUIET)
        joined.append(REF, [asked(2)], expected=0, head=QUIET)
    assert journal.load(REF).events == (asked(2),)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_host_that_cannot_carry_every_text_is_refused(
    conninfo: str, journal: PostgresJournal, encoding: str
) -> None:
    """No error of Python's that holds a name escapes from an append: the host's encoding is told before."""
    named = PersonAsked(at=NINE, refund_id="Łódź")
    with psycopg.connect(conninfo) as host:
        joined = journal.within(host)
        host.execute(f"SET client_encoding TO {encoding}")
        for ask in (lambda: journal.within(host), lambda: joined.append(REF, [named], expected=0, head=QUIET)):
            with pytest.raises(JournalUnavailable, match="client_encoding") as refused:
                ask()
            assert refused.value.__context__ is None
        host.execute("SET client_encoding TO 'unicode'")
        joined.append(REF, [named], expected=0, head=QUIET)
    assert journal.load(REF).events == (named,)


@pytest.mark.parametrize("level", LEVELS)
def test_race_within_a_hosts_transaction(conninfo: str, journal: PostgresJournal, level: str) -> None:
    """Beaten by one who committed meanwhile, the transaction goes on; above READ COMMITTED it sees no other
    outcome before it is begun again."""
    journal.append(REF, [asked(1)], expected=0, head=QUIET)
    with psycopg.connect(conninfo) as host:
        host.isolation_level = getattr(psycopg.IsolationLevel, level.replace(" ", "_"))
        joined = journal.within(host)
        assert joined.load(REF).version == 1
        journal.append(REF, [asked(2)], expected=1, head=QUIET)
        with pytest.raises(JournalConflict):
            joined.append(REF, [asked(3)], expected=1, head=QUIET)
        assert host.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        sees = joined.load(REF).version
        assert sees == (2 if level == "READ COMMITTED" else 1)
        if sees == 1:
            with pytest.raises(JournalConflict):
                joined.append(REF, [asked(3)], expected=1, head=QUIET)
            host.rollback()
            joined = journal.within(host)
        joined.append(REF, [asked(4)], expected=2, head=QUIET)
    assert journal.load(REF).events == (asked(1), asked(2), asked(4))


def test_two_hosts_that_wait_for_each_other(conninfo: str, journal: PostgresJournal) -> None:
    """Two transactions that take two streams crosswise: PostgreSQL ends one, and its host is told to repeat."""
    other = PaymentRef("acct_1", "ch_2")
    for ref in (REF, other):
        journal.append(ref, [asked(1)], expected=0, head=QUIET)
    with psycopg.connect(conninfo) as one, psycopg.connect(conninfo) as two:
        first, second = journal.within(one), journal.within(two)
        first.append(REF, [asked(2)], expected=1, head=QUIET)
        second.append(other, [asked(2)], expected=1, head=QUIET)

        def cross(joined: RefundJournal, ref: PaymentRef, host: psycopg.Connection) -> str:
            try:
                joined.append(ref, [asked(3)], expected=1, head=QUIET)
            except JournalConflict as error:
                host.rollback()
                return type(error).__name__ + str(error)
            host.commit()
            return "appended"

        with ThreadPoolExecutor(2) as pool:
            said = list(pool.map(cross, (first, second), (other, REF), (one, two)))
    assert said.count("appended") == 1
    assert any("40P01" in each for each in said)


def test_hosts_on_different_payments_do_not_meet(conninfo: str, journal: PostgresJournal) -> None:
    """A host that holds one payment's stream for long holds up no other payment's appends, looks or dues."""
    with psycopg.connect(conninfo) as host:
        journal.within(host).append(REF, [asked(1)], expected=0, head=QUIET)
        for number in range(20):
            ref = PaymentRef("acct_1", f"ch_x{number}")
            journal.append(ref, [asked(1)], expected=0, head=QUIET)
            assert journal.load(ref).version == 1
        assert journal.due(5) == ()


# ---- reading along ----


def test_tail_shows_nothing_that_an_older_transaction_could_precede(
    conninfo: str, journal: PostgresJournal
) -> None:
    """While a transaction lags, what began after it is held back; then all is told once, each stream in order."""
    with psycopg.connect(conninfo) as old:
        old.execute("CREATE TABLE mine (id integer)")  # has its number before all that follows
        journal.append(REF, [asked(1)], expected=0, head=QUIET)
        journal.append(PaymentRef("acct_1", "ch_2"), [asked(2)], expected=0, head=QUIET)
        assert journal.tail("", 10) == ()
        journal.within(old).append(REF, [asked(3), asked(4)], expected=1, head=QUIET)
        assert journal.tail("", 10) == ()
        old.commit()
    told = journal.tail("", 10)
    assert [(each.stream, each.version) for each in told if each.stream == str(REF)] == [
        (str(REF), 1),
        (str(REF), 2),
        (str(REF), 3),
    ]
    assert len(told) == 4
    assert journal.tail(told[1].position, 10) == told[2:]


def _read_along(conninfo: str, journal: PostgresJournal) -> set[tuple[str, int]]:
    """What a reader sees that goes on from where it was, while a transaction that began before commits last."""
    with psycopg.connect(conninfo) as old:
        old.execute("CREATE TABLE mine (id integer)")
        journal.append(PaymentRef("acct_1", "ch_2"), [asked(2)], expected=0, head=QUIET)
        told = journal.tail("", 10)
        journal.within(old).append(REF, [asked(1)], expected=0, head=QUIET)
        old.commit()
    told += journal.tail(told[-1].position if told else "", 10)
    return {(each.stream, each.version) for each in told}


def test_tail_without_its_bound_would_lose_an_event(
    server: Server, conninfo: str, journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that never waits passes by what an older transaction commits later; this one sees all."""
    assert _read_along(conninfo, journal) == {(str(REF), 1), ("acct_1/ch_2", 1)}
    bound = postgres_schema.STATEMENTS["tail"]
    monkeypatch.setitem(postgres_schema.STATEMENTS, "tail", bound.replace("AND tx < (", "AND 0 < ("))
    postgres_schema.statement.cache_clear()
    try:
        unbound = server.database()
        with PostgresJournal(unbound) as gap:
            assert _read_along(unbound, gap) == {("acct_1/ch_2", 1)}
    finally:
        monkeypatch.undo()
        postgres_schema.statement.cache_clear()


def test_restored_elsewhere_the_tail_goes_on(server: Server, conninfo: str) -> None:
    """Restored into a server whose transactions count lower, what is appended still comes behind what was."""
    with PostgresJournal(conninfo) as journal:
        journal.append(REF, [asked(1)], expected=0, head=QUIET)
        position = journal.tail("", 9)[-1].position
    for name in ("refund_events", "refund_streams"):
        server.execute(f"UPDATE {name} SET tx = tx + 1000000000", conninfo)
    seq = position.partition(".")[2]
    ((tx,),) = server.execute("SELECT max(tx) FROM refund_events", conninfo)
    for _ in range(2):  # lifted once, and found lifted
        with PostgresJournal(conninfo) as journal:
            version = journal.load(REF).version
            journal.append(REF, [asked(2)], expected=version, head=QUIET)
            journal.append(PaymentRef("acct_1", f"ch_x{version}"), [asked(3)], expected=0, head=QUIET)
            assert len(journal.tail("", 99)) == 1 + 2 * version
            assert len(journal.tail(f"{tx}.{seq}", 99)) == 2 * version


@pytest.mark.parametrize("after", ["x", "1", "1.", "1.2.3", "-1.0", "1.١", "9" * 19 + ".0"])
def test_what_is_no_position_is_refused(journal: PostgresJournal, after: str) -> None:
    """A position of another journal or none is an error, never the beginning."""
    with pytest.raises(ValueError, match="position"):
        journal.tail(after, 1)


# ---- what is refused, and what breaks ----


@pytest.mark.parametrize(
    ("setting", "weak"),
    [
        ("synchronous_commit=off", True),
        ("synchronous_commit=local", False),
        ("synchronous_commit=remote_write", False),
        ("synchronous_commit=on", False),
    ],
)
def test_weak_commits_are_refused(conninfo: str, setting: str, weak: bool) -> None:
    """A session whose commits may be lost is refused; accepted, its journal says that it is not durable."""
    weaker = f"{conninfo} options='-c {setting}'"
    if not weak:
        with PostgresJournal(weaker) as journal:
            assert journal.durable
        return
    with pytest.raises(JournalUnavailable, match="weaker_durability_accepted"):
        PostgresJournal(weaker)
    with PostgresJournal(weaker, weaker_durability_accepted=True) as journal:
        assert not journal.durable
        journal.append(REF, [asked()], expected=0, head=QUIET)
        with pytest.raises(ValueError, match="durable"):
            RefundService(MemoryGateway(MemoryBank(), live=True), journal, allow=lambda *_: True)


SOUND = postgres_schema.Server("on", "", "on", "on", "UTF8", 180000, False, "off", True)


@pytest.mark.parametrize(
    ("change", "weak"),
    [
        ({}, None),
        ({"fsync": "off"}, "fsync=off"),
        ({"full_page_writes": "off"}, "full_page_writes=off"),
        ({"synchronous_commit": "local", "standbys": "s1"}, "synchronous_commit=local"),
        ({"synchronous_commit": "remote_write", "standbys": "s1"}, "synchronous_commit=remote_write"),
        ({"synchronous_commit": "remote_apply", "standbys": "s1"}, None),
        ({"synchronous_commit": "a word of tomorrow"}, "a word of tomorrow"),
    ],
)
def test_each_setting_that_can_lose_a_commit_is_named(change: dict[str, Any], weak: str | None) -> None:
    """The table of what is durable: with standbys that are waited for, less than `on` is not."""
    found = attrs.evolve(SOUND, **change).weakness()
    assert found is None if weak is None else weak in (found or "")
    assert SOUND.unfit() is None
    for unfit in ({"version": 120000}, {"is_standby": True}, {"encoding": "SQL_ASCII"}):
        assert attrs.evolve(SOUND, **unfit).unfit()


def test_server_that_does_not_sync_is_refused() -> None:
    """fsync=off on a real server is refused by a new journal and by a handle that connects again."""
    server = restarting()
    conninfo = server.database()
    with PostgresJournal(conninfo) as journal:
        server.execute("ALTER SYSTEM SET fsync = off")
        server.stop()
        server.start()
        try:
            with pytest.raises(JournalUnavailable, match="fsync=off"):
                journal.load(REF)
            with pytest.raises(JournalUnavailable, match="fsync=off"):
                PostgresJournal(conninfo)
        finally:
            server.execute("ALTER SYSTEM RESET fsync")
            server.stop()
            server.start()
        assert journal.load(REF).version == 0


def test_unlogged_tables_are_refused(server: Server, conninfo: str) -> None:
    """A crash would empty an UNLOGGED table, and an empty journal would pay again."""
    PostgresJournal(conninfo).close()
    server.execute("ALTER TABLE refund_streams SET UNLOGGED", conninfo)
    with pytest.raises(JournalUnavailable, match="UNLOGGED"):
        PostgresJournal(conninfo)
    with PostgresJournal(conninfo, weaker_durability_accepted=True) as journal:
        assert not journal.durable


def test_database_of_another_encoding_is_refused(server: Server) -> None:
    """Where the server does not know what a letter is, ids could be compared wrongly."""
    server.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
    with pytest.raises(JournalUnavailable, match="UTF8"):
        PostgresJournal(server.conninfo("ascii"))


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"schema": 'x"; DROP TABLE bookings; --'}, ValueError),
        ({"schema": "pg_toast"}, ValueError),
        ({"schema": ""}, ValueError),
        ({"schema": None}, TypeError),
        ({"connections": 0}, ValueError),
        ({"busy_timeout_s": -1}, ValueError),
        ({"statement_timeout_s": "5"}, TypeError),
        ({"connect_timeout_s": 0}, ValueError),
        ({"weaker_durability_accepted": 1}, TypeError),
    ],
)
def test_unusable_arguments_are_refused(conninfo: str, arguments: dict[str, Any], kind: type[Exception]) -> None:
    """Arguments are checked before anything is asked of the server."""
    with pytest.raises(kind):
        PostgresJournal(conninfo, **arguments)


@pytest.mark.parametrize(
    "conninfo",
    [
        "postgresql://maria:sk_live_secret@127.0.0.1:1/refunds",
        "host=127.0.0.1 port=1 password=sk_live_secret dbname=refunds",
        "sk_live_secret",
        "postgresql://maria:sk_live_secret@[nowhere/refunds",
    ],
)
def test_no_error_repeats_the_password(conninfo: str) -> None:
    """A server that cannot be reached and a string that cannot be read say so without the string."""
    with pytest.raises((JournalUnavailable, ValueError)) as caught:
        PostgresJournal(conninfo, connect_timeout_s=2)
    told = "".join(traceback.format_exception_only(caught.value)) + repr(caught.value.__context__)
    for secret in ("sk_live_secret", "127.0.0.1", "maria"):
        assert secret not in told
    assert caught.value.__context__ is None


@pytest.mark.parametrize("wrong", ["dbname=postgres", "user=postgres"])
def test_login_that_is_turned_down_says_what_to_check(server: Server, wrong: str) -> None:
    """A database or a role that does not exist is not told as a server that is down."""
    with pytest.raises(JournalUnavailable, match=r"turned the login down.*check host, port, database, user"):
        PostgresJournal(server.conninfo().replace(wrong, f"{wrong}_not"))


def test_tables_that_are_gone_are_no_empty_journal(server: Server, conninfo: str) -> None:
    """Dropped, or replaced by others, under an open handle: unavailable, never an empty journal."""
    with PostgresJournal(conninfo) as journal:
        journal.append(REF, [asked()], expected=0, head=QUIET)
        tables = "refund_journal, refund_events, refund_streams, refund_recovery, refund_erasures"
        server.execute(f"DROP TABLE {tables}", conninfo)
        for _ in range(2):
            with pytest.raises(JournalUnavailable, match=r"gone|no journal"):
                journal.load(REF)
        PostgresJournal(conninfo).close()
        journal._pool.let_go()
        with pytest.raises(JournalUnavailable, match="replaced"):
            journal.load(REF)


@pytest.mark.parametrize("schema", ["public", "elsewhere"])
def test_journal_that_must_exist_is_not_made(server: Server, conninfo: str, schema: str) -> None:
    """In a database, or a schema of it, without the tables it is refused, sync and async, and nothing is made."""
    with pytest.raises(JournalUnavailable, match=f"no journal in schema {schema}: name .*--schema"):
        PostgresJournal(conninfo, schema=schema, must_exist=True)

    async def open_it() -> None:
        await AsyncPostgresJournal.open(conninfo, schema=schema, must_exist=True)

    with pytest.raises(JournalUnavailable, match=f"no journal in schema {schema}: name .*--schema"):
        asyncio.run(open_it())
    with psycopg.connect(conninfo) as connection:
        tables = connection.execute("SELECT relname FROM pg_class WHERE relname LIKE 'refund%'").fetchall()
        schemas = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'elsewhere'").fetchall()
    assert (tables, schemas) == ([], [])


def test_journal_that_must_exist_is_opened_where_one_is(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal of the first schema counts as one, is moved to the newest and goes on."""
    conninfo = conninfo_of_version_1(server, monkeypatch)
    with PostgresJournal(conninfo, must_exist=True) as journal:
        journal.append(REF, [asked()], expected=0, head=QUIET)
        assert journal.figures(timedelta(minutes=1)).undated == ()
    with PostgresJournal(conninfo, must_exist=True) as again:
        assert again.load(REF).version == 1


def test_stream_changed_by_hand_is_not_decided_on(server: Server, conninfo: str, journal: PostgresJournal) -> None:
    """A missing event and one too many are found out, and nothing is written beside them."""
    journal.append(REF, [asked(1), asked(2)], expected=0, head=QUIET)
    server.execute("DELETE FROM refund_events WHERE version = 1", conninfo)
    with pytest.raises(JournalUnavailable, match="gap"):
        journal.load(REF)
    plant(conninfo, REF, 3)
    server.execute("UPDATE refund_streams SET version = 2", conninfo)
    with pytest.raises(JournalUnavailable, match="changed by hand"):
        journal.append(REF, [asked(3)], expected=2, head=QUIET)


def test_readonly_database_and_missing_rights(server: Server, conninfo: str, journal: PostgresJournal) -> None:
    """A role that may only read reads, and is told why it cannot append."""
    server.execute("CREATE ROLE reader LOGIN", conninfo)
    server.execute("GRANT SELECT ON refund_journal, refund_events, refund_streams TO reader", conninfo)
    with PostgresJournal(conninfo.replace("user=postgres", "user=reader")) as reading:
        assert reading.load(REF).version == 0
        with pytest.raises(JournalUnavailable, match="may not use"):
            reading.append(REF, [asked()], expected=0, head=QUIET)
    with PostgresJournal(f"{conninfo} options='-c default_transaction_read_only=on'") as reading:
        with pytest.raises(JournalUnavailable, match="may not be written"):
            reading.append(REF, [asked()], expected=0, head=QUIET)
    with psycopg.connect(conninfo) as host:
        host.read_only = True
        with pytest.raises(JournalUnavailable, match="read-only"):
            journal.within(host)


def test_calls_that_find_no_free_connection_are_busy(conninfo: str, journal: PostgresJournal) -> None:
    """One connection, in use by a call that waits for a lock: the next waits as long as told, then is busy."""
    with PostgresJournal(conninfo, connections=1, busy_timeout_s=0.3) as small:
        small.load(REF)
        with psycopg.connect(conninfo) as host:
            journal.within(host).append(REF, [asked(1)], expected=0, head=QUIET)
            with ThreadPoolExecutor(4) as pool:
                tries = [pool.submit(small.append, REF, [asked(2)], expected=0, head=QUIET) for _ in range(4)]
                errors = [each.exception() for each in tries]
            host.rollback()
        assert all(isinstance(error, JournalBusy) for error in errors)
        assert any("in use" in str(error) for error in errors)
        small.append(REF, [asked(3)], expected=0, head=QUIET)


def test_connections_that_died_at_rest_are_noticed_before_an_append() -> None:
    """After a restart the next append is made on a new connection, not lost on the old one."""
    server = restarting()
    conninfo = server.database()
    with PostgresJournal(conninfo) as journal:
        journal.append(REF, [asked(1)], expected=0, head=QUIET)
        server.stop()
        with pytest.raises(JournalUnavailable, match="cannot be reached"):
            journal.append(REF, [asked(2)], expected=1, head=QUIET)
        server.start()
        journal.append(REF, [asked(2)], expected=1, head=QUIET)
        server.stop("immediate")
        server.start()
        journal.append(REF, [asked(3)], expected=2, head=QUIET)
        assert journal.load(REF).events == (asked(1), asked(2), asked(3))


def test_fork_leaves_both_sides_their_own_connections(conninfo: str, journal: PostgresJournal) -> None:
    """A child of a fork opens its own connection, even while all of its parent's are in use, and its end does not
    end its parent's."""
    journal.append(REF, [asked(1)], expected=0, head=QUIET)
    read, write = os.pipe()
    with PostgresJournal(conninfo, connections=1) as small, psycopg.connect(conninfo) as host:
        journal.within(host).append(REF, [asked(2)], expected=1, head=QUIET)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(small.append, REF, [asked(3)], expected=1, head=QUIET)
            while small._pool._free.acquire(blocking=False):  # until the thread has the one connection
                small._pool._free.release()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of newer Pythons, for forks beside threads
                child = os.fork()
            if child == 0:
                try:
                    os.write(write, f"{small.load(REF).version} {journal.load(REF).version}".encode())
                    small.close()
                    journal.close()
                finally:
                    os._exit(0)
            assert os.read(read, 9) == b"1 1"
            os.waitpid(child, 0)
            host.commit()
            assert isinstance(waiting.exception(), JournalConflict)
    os.close(read)
    os.close(write)
    journal.append(REF, [asked(4)], expected=2, head=QUIET)
    assert journal.load(REF).version == 3


def test_pool_ends_quietly_when_the_interpreter_does(conninfo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of the module may be None by then: what a pool that is let go of calls raises nothing."""
    journal = PostgresJournal(conninfo)
    journal.load(REF)
    with monkeypatch.context() as patch:
        for name in ("suppress", "JournalUnavailable", "weakref"):
            patch.setattr(postgres_pool, name, None, raising=False)
        journal._pool.__del__()
    assert journal._pool._idle == []


def test_closed_handle_says_so(conninfo: str) -> None:
    """After `close` every call is refused."""
    journal = PostgresJournal(conninfo)
    journal.close()
    with pytest.raises(JournalUnavailable, match="closed"):
        journal.load(REF)


# ---- one schema after another ----


NEXT = postgres_schema.SCHEMA_VERSION + 1
NEXT_STEP = (
    "ALTER TABLE {schema}.refund_streams ADD COLUMN note text",
    "CREATE INDEX more ON {schema}.refund_events (at)",
)


def upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is of a version that knows one schema more."""
    monkeypatch.setattr(postgres_asks, "STEPS", (*postgres_schema.STEPS, NEXT_STEP))
    monkeypatch.setattr(postgres_asks, "SCHEMA_VERSION", NEXT)


def test_newer_worker_moves_the_tables_while_older_ones_work(
    server: Server, conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old worker that is at work goes on beside the new schema; one that connects afresh is told to upgrade."""
    with PostgresJournal(conninfo) as old:
        old.append(REF, [asked(1)], expected=0, head=QUIET)
        with monkeypatch.context() as newer:
            upgraded(newer)
            with PostgresJournal(conninfo) as new, PostgresJournal(conninfo) as again:
                new.append(REF, [asked(2)], expected=1, head=QUIET)
                old.append(REF, [asked(3)], expected=2, head=QUIET)
                assert again.load(REF).version == 3
        assert server.execute("SELECT schema_version FROM refund_journal", conninfo) == [(NEXT,)]
        old._pool.let_go()
        with pytest.raises(
            JournalUnavailable, match=f"schema {NEXT}, this version of the library knows {NEXT - 1}: upgrade"
        ):
            old.load(REF)


@pytest.mark.parametrize("first", [True, False], ids=["making", "moving"])
def test_making_the_tables_killed_at_any_statement(
    server: Server, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """Killed at whichever statement, the last of them COMMIT, making or moving the tables leaves what was, and the
    next one finishes."""
    upgraded(monkeypatch)
    struck: list[bytes] = []
    for at in range(1, 40):
        conninfo = server.database() if first else conninfo_of_version_1(server, monkeypatch)
        before = tables(server, conninfo)
        killed = KilledAt(at)
        with monkeypatch.context() as patch:
            patch.setattr(postgres_link, "_rows", killed)
            try:
                PostgresJournal(conninfo).close()
            except KeyboardInterrupt:
                pass
            else:
                break
        if postgres_asks.COMMIT not in struck:
            assert tables(server, conninfo) == before, killed.struck
        struck.append(killed.struck)
        with PostgresJournal(conninfo) as journal:
            assert journal.load(REF).version == 0
        assert server.execute("SELECT schema_version FROM refund_journal", conninfo) == [(NEXT,)]
    else:
        raise AssertionError("never reached the end")
    steps = [
        postgres_schema.in_schema(text, "public")
        for step in (*postgres_schema.STEPS, NEXT_STEP)[0 if first else 1 :]
        for text in step
    ]
    set_version = postgres_schema.statement("set_schema_version", "public")
    begun, ended = struck.index(postgres_asks.BEGIN), struck.index(postgres_asks.COMMIT)
    assert struck[ended - len(steps) - 1 : ended] == [*steps, set_version]
    assert begun < ended - len(steps) - 1


def tables(server: Server, conninfo: str) -> list[tuple[object, ...]]:
    """What there is of a journal's tables, and which schema it says it has."""
    columns = (
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        " UNION ALL SELECT tablename, indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2"
    )
    found = server.execute(columns, conninfo)
    return found + (server.execute("SELECT schema_version FROM refund_journal", conninfo) if found else [])


class KilledAt:
    """Statements of one connection, of which the n-th never returns."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.struck = b""
        self.real = postgres_link._rows

    def __call__(self, raw: Any, statement: bytes, values: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            self.struck = statement
            raise KeyboardInterrupt
        return self.real(raw, statement, values)


def conninfo_of_version_1(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with a journal of the first schema."""
    made = server.database()
    with monkeypatch.context() as older:
        older.setattr(postgres_asks, "STEPS", postgres_schema.STEPS[:1])
        older.setattr(postgres_asks, "SCHEMA_VERSION", 1)
        PostgresJournal(made).close()
    return made
