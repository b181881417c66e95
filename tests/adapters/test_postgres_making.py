"""The PostgreSQL journal's tables, made and moved by processes that start at once, by some that are killed,
and under older ones that append meanwhile."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable

import psycopg
import pytest

from refund_adapters.sql import PostgresJournal, postgres_schema
from refund_adapters.sql.codec import encode
from refund_domain import PaymentRef
from refund_domain.events import PersonAsked
from tests.adapters.test_postgres_journal import NINE, conninfo_of_version_1
from tests.postgres.server import Server, shared
from tests.postgres.workers import Told, child, end, let_go, until

KILLS = int(os.environ.get("REFUND_PG_MAKERS", "2"))
ROUND = int(os.environ.get("REFUND_ROUND", "0"))
"""What the gate does; a longer run sets the environment to more, and to other chance."""

REF = PaymentRef("platform", "ch_1")
SLOW = """
    CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.01); END';
    CREATE EVENT TRIGGER slow ON ddl_command_end EXECUTE FUNCTION slow();
"""
"""Each table and index takes its time, as on a busy server: there is a middle that a kill can strike."""

MEETING = """
    CREATE FUNCTION meet() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        FOR tries IN 1..1000 LOOP
            IF 2 <= (
                SELECT count(*) FROM pg_locks WHERE relation = 'refund_streams'::regclass AND NOT granted
            ) THEN RETURN; END IF;
            PERFORM pg_sleep(0.01);
        END LOOP;
        RAISE EXCEPTION 'nobody waits for the move';
    END $$;
    CREATE EVENT TRIGGER meet ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION meet();
"""
"""The move stops in its middle until two workers wait for it, so that it surely strikes them at work."""

WHOLE = """
    SELECT 'column', table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'constraint', conrelid::regclass || ' ' || pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'version', schema_version::text FROM refund_journal
    ORDER BY 1, 2
"""


@pytest.fixture
def server() -> Server:
    return shared()


def test_many_processes_make_the_tables_at_once(server: Server) -> None:
    """Workers that start together on an empty database make one journal."""
    conninfo = server.database()
    children = [child("make", conninfo) for _ in range(4)]
    let_go(children)
    for each in children:
        output, _ = each.communicate(timeout=60)
        assert output == b"made 0\n"
    assert server.execute("SELECT count(*), min(schema_version) FROM refund_journal", conninfo) == [
        (1, postgres_schema.SCHEMA_VERSION)
    ]


def first_of_them(watch: psycopg.Connection) -> tuple[int, int]:
    """Which of the workers is making the tables now, and its backend."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        rows = watch.execute(
            "SELECT a.application_name, a.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
            " WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()"
        ).fetchall()
        if rows:
            return int(rows[0][0].removeprefix("maker_")), rows[0][1]
    raise AssertionError("nobody makes the tables")


def transaction_of(watch: psycopg.Connection, backend: int) -> str | None:
    """The transaction that this backend has open and has written in."""
    rows = watch.execute("SELECT backend_xid::text FROM pg_stat_activity WHERE pid = %s", (backend,)).fetchall()
    return rows[0][0] if rows else None


def kill_one_of_three(server: Server, conninfo: str, wait_s: float, made: bytes) -> bool:
    """Kill whoever begins, so much later; the others say what they made. Whether it was struck in the middle."""
    server.execute(SLOW, conninfo)
    with psycopg.connect(conninfo, autocommit=True) as watch:
        children = [child("make", f"{conninfo} application_name=maker_{number}") for number in range(3)]
        let_go(children)
        number, backend = first_of_them(watch)
        time.sleep(wait_s)
        struck = transaction_of(watch, backend)
        children[number].kill()
        for each in children:
            output, _ = each.communicate(timeout=60)
            assert output == made or each is children[number]
        if struck is None:
            return False
        ((end,),) = watch.execute("SELECT pg_xact_status(%s::xid8)", (struck,)).fetchall()
        return bool(end == "aborted")


@pytest.fixture
def databases(server: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], str]]:
    """How to have a database to make the tables in, and one to move them in, which holds an event."""

    def older() -> str:
        conninfo = conninfo_of_version_1(server, monkeypatch)
        event = encode(PersonAsked(at=NINE, refund_id="r1"))
        with psycopg.connect(conninfo) as connection:
            values = {"stream": str(REF), "event": event}
            connection.execute(
                "INSERT INTO refund_streams (stream, version, tx, tenant, waiting)"
                " VALUES (%(stream)s, 1, pg_current_xact_id()::text::bigint, 'acme', false)",
                values,
            )
            connection.execute(
                "INSERT INTO refund_events (tx, stream, version, at, event)"
                " VALUES (pg_current_xact_id()::text::bigint, %(stream)s, 1, 0, %(event)s)",
                values,
            )
        return conninfo

    return {"making": server.database, "moving": older}


@pytest.mark.parametrize(("what", "stood"), [("making", 0), ("moving", 1)])
def test_killed_maker_leaves_no_half_of_the_tables(
    server: Server,
    databases: dict[str, Callable[[], str]],
    what: str,
    stood: int,
    record_property: Callable[[str, int], None],
) -> None:
    """Of three workers that make or move the tables at once the first is killed with SIGKILL in the middle: the
    others make them whole, as if it had never been, and what stood in them stands."""
    whole = server.database()
    PostgresJournal(whole).close()
    wanted = server.execute(WHOLE, whole)
    draw = random.Random(f"{what} {ROUND}")
    struck, tries = 0, 0
    while struck < KILLS:
        assert tries < KILLS * 10, "no kill strikes the middle"
        conninfo = databases[what]()
        struck += kill_one_of_three(server, conninfo, draw.uniform(0.0, 0.06), f"made {stood}\n".encode())
        tries += 1
        assert server.execute(WHOLE, conninfo) == wanted
        with PostgresJournal(conninfo, must_exist=True) as journal:
            assert journal.load(REF).version == stood
    record_property(f"killed in the middle of {what} the tables", struck)


def test_tables_move_under_older_workers_that_append(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers of the first version append without a pause, to streams of their own and to shared ones, while
    two newer ones, one of each form, move the tables and append to the same: who waited for the move goes on
    after it without an error, and every append that stood is there once, in its order, over nobody else's."""
    conninfo = conninfo_of_version_1(server, monkeypatch)
    server.execute(MEETING, conninfo)
    children: dict[str, subprocess.Popen[bytes]] = {}
    told: dict[str, Told] = {}

    def begin(**modes: str) -> None:
        begun = {name: child(mode, conninfo, name) for name, mode in modes.items()}
        children.update(begun)
        let_go(list(begun.values()))
        told.update({name: Told([each]) for name, each in begun.items()})

    try:
        begin(older_1="share_first", older_2="share_first")
        for older in told.values():
            older.wait_for(20)
        begin(newer_1="share", newer_2="share_async")
        until(lambda: told["newer_1"].stood and told["newer_2"].stood, "the newer workers append nothing")
        for each in told.values():
            each.wait_for(20)
        until(lambda: all(each.beaten for each in told.values()), "they do not meet at the shared streams")
    finally:
        for name, each in told.items():
            end([children[name]], each)
    assert {name: each.errors for name, each in told.items() if each.errors} == {}
    assert server.execute("SELECT schema_version FROM refund_journal", conninfo) == [
        (postgres_schema.SCHEMA_VERSION,)
    ]
    with PostgresJournal(conninfo) as journal:
        tailed = journal.tail("", 10**6)
        for stream in {each.stream for each in tailed}:
            versions = [each.version for each in tailed if each.stream == stream]
            assert versions == list(range(1, len(versions) + 1))
            assert journal.load(PaymentRef.parse(stream)).version == len(versions)
    for name, each in told.items():
        wrote = {
            (tail.stream, tail.version): tail.event.refund_id
            for tail in tailed
            if isinstance(tail.event, PersonAsked) and tail.event.refund_id.startswith(f"{name}.")
        }
        assert set(each.stood) <= set(wrote)
        assert (
            len(set(wrote.values())) == len(wrote) <= len(each.stood) + 1
        )  # one was under way when it was killed
