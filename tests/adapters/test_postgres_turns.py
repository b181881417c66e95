"""How often a PostgreSQL journal waits for the server, counted on the socket, where no driver can hide a wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psycopg
import pytest

from refund_adapters.sql import AsyncPostgresJournal, PostgresJournal
from refund_domain.errors import JournalConflict
from refund_domain.events import PersonAsked
from refund_domain.payments import PaymentRef
from tests.postgres.child import QUIET
from tests.postgres.proxy import Turns
from tests.postgres.server import shared

REF = PaymentRef("platform", "ch_1")
APPENDS = 12
"""More than psycopg takes to find a statement worth preparing."""


@pytest.fixture
def conninfo() -> str:
    """A database with a journal in it, so that opening it makes nothing."""
    made = shared().database()
    PostgresJournal(made).close()
    return made


@pytest.fixture
def turns(tmp_path: Path) -> Iterator[Turns]:
    """What counts the turns of whoever connects through this folder."""
    with closing(Turns(shared().socket, tmp_path)) as made:
        yield made


@pytest.fixture
def counted(conninfo: str, tmp_path: Path, turns: Turns) -> str:
    """The same database, reached through the counter."""
    return conninfo.replace(str(shared().home), str(tmp_path))


def asked(number: int, many: int = 1) -> list[PersonAsked]:
    """Events of one append."""
    at = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    return [PersonAsked(at=at, refund_id=f"r{number}_{part}") for part in range(many)]


def once(turns: Turns, done: Callable[[], object]) -> int:
    """How many turns this took."""
    before = turns.count
    done()
    return turns.count - before


def check(said: list[int]) -> None:
    """One turn each; one more, once, when psycopg has the statement prepared, after which it is one again."""
    assert said[:5] == [1] * 5
    assert sorted(said) == [1] * (len(said) - 1) + [2]
    assert said[-1] == 1


def test_an_append_is_one_round_trip(turns: Turns, counted: str) -> None:
    """An append of the journal's own, of however many events, to a new stream or an old one, won or lost, waits
    for the server once: nothing is begun, asked or committed beside it; and so does a load."""
    with PostgresJournal(counted, connections=1) as journal:
        journal.load(REF)  # connects
        said = []
        for number in range(APPENDS):
            append = partial(journal.append, REF, asked(number, many=3), expected=3 * number, head=QUIET)
            said.append(once(turns, append))
        check(said)

        def beaten() -> None:
            with pytest.raises(JournalConflict):
                journal.append(REF, asked(0), expected=3, head=QUIET)

        assert once(turns, beaten) == 1
        assert once(turns, partial(journal.load, REF)) == 1
        assert journal.load(REF).version == 3 * APPENDS


def test_an_awaited_append_is_one_round_trip(turns: Turns, counted: str) -> None:
    """The same for asyncio."""

    async def work() -> None:
        async with await AsyncPostgresJournal.open(counted, connections=1) as journal:
            said = []
            for number in range(APPENDS):
                before = turns.count
                await journal.append(REF, asked(number, many=3), expected=3 * number, head=QUIET)
                said.append(turns.count - before)
            check(said)
            before = turns.count
            with pytest.raises(JournalConflict):
                await journal.append(REF, asked(0), expected=3, head=QUIET)
            assert turns.count == before + 1
            assert (await journal.load(REF)).version == 3 * APPENDS
            assert turns.count == before + 2

    asyncio.run(work())


def test_an_append_within_is_one_round_trip(conninfo: str, turns: Turns, counted: str) -> None:
    """The savepoint, the append and the release go together: the client waits for the server once, as ever."""
    with PostgresJournal(conninfo) as journal, psycopg.connect(counted) as host:
        joined = journal.within(host)
        for number in range(3):
            append = partial(joined.append, REF, asked(number), expected=number, head=QUIET)
            assert once(turns, append) == 1
        assert once(turns, partial(joined.load, REF)) == 1
        assert joined.load(REF).version == 3
