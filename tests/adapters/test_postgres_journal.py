"""The PostgreSQL journal against a real server: its laws, its races, what breaks it, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from refund_adapters.sql import PostgresJournal
from refund_domain.payments import Ref
from refund_domain.testing import laws_journal
from refund_domain.testing.laws import Report
from refund_domain.testing.laws_journal import check_journal
from tests.postgres.server import Server, shared

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
