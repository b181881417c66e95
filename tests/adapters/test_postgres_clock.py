"""The PostgreSQL journal's time is the server's: a worker's clock that goes wrong by a day changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from refund_adapters.memory import MemoryBank, MemoryGateway
from refund_adapters.sql import AsyncPostgresJournal, PostgresJournal
from refund_domain import Actor, Money, PaymentRef, RefundService, Refused
from refund_domain.events import PersonAsked
from refund_domain.ports import Head
from tests.adapters.test_postgres_async import Faced, Loop
from tests.postgres.child import QUIET
from tests.postgres.server import Server, shared

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
REF = PaymentRef("platform", "ch_1")
MARIA = Actor(id="maria", tenant="acme")

Journal = PostgresJournal | Faced


def elsewhere(server: Server, apart: timedelta) -> str:
    """A new database whose server's clock and this worker's lie so far apart, whatever connects to it."""
    conninfo = server.database()
    seconds = apart // timedelta(seconds=1)
    server.execute("CREATE SCHEMA moved", conninfo)
    server.execute(
        "CREATE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS"
        f" 'SELECT pg_catalog.clock_timestamp() + {seconds} * interval ''1 second'''",
        conninfo,
    )
    # Named before the catalogue, it is what every statement calls that asks for the time.
    return f"{conninfo} options='-c search_path=moved,pg_catalog,public'"


@contextmanager
def opened(form: str, conninfo: str) -> Iterator[tuple[Journal, Journal]]:
    """The journal in this form, and as it joins a transaction of a host's that is open meanwhile."""
    if form == "sync":
        with PostgresJournal(conninfo) as journal, psycopg.connect(conninfo) as host:
            yield journal, journal.within(host)  # type: ignore[misc]
        return
    loop = Loop()
    inner = loop.run(AsyncPostgresJournal.open(conninfo))
    awaited = loop.run(psycopg.AsyncConnection.connect(conninfo))
    try:
        yield (faced := Faced(inner, loop)), faced.within(awaited)  # type: ignore[misc]
    finally:
        loop.run(awaited.close())
        loop.run(inner.aclose())
        loop.close()


@pytest.mark.parametrize("apart", [DAY, -DAY], ids=["server ahead", "server behind"])
@pytest.mark.parametrize("form", ["sync", "async"])
def test_time_of_the_journal_is_the_servers(form: str, apart: timedelta) -> None:
    """Where the worker's clock goes a day wrong, each load and append, alone and within a host's transaction,
    tells the server's time, and by it what is due, how long since, and when recovery ran."""

    def is_servers(at: datetime) -> bool:
        return abs(datetime.now(UTC) + apart - at) < HOUR

    with opened(form, elsewhere(shared(), apart)) as (journal, within):
        at = journal.load(REF).now
        assert is_servers(at)
        # By the worker's clock the first would be due just when the server is behind, and the second never.
        for number, look_at in enumerate((at + 2 * HOUR, at - HOUR)):
            ref = PaymentRef("platform", f"ch_{number}")
            head = Head(tenant="acme", look_at=look_at, waiting=False)
            assert is_servers(journal.append(ref, [PersonAsked(at=at, refund_id="r1")], expected=0, head=head))
            # The second append of a stream is another statement than the first.
            assert is_servers(journal.append(ref, [PersonAsked(at=at, refund_id="r2")], expected=1, head=head))
        assert journal.due(10) == (PaymentRef("platform", "ch_1"),)
        loaded = journal.load(REF)
        assert is_servers(loaded.now)
        assert loaded.latest >= loaded.now
        assert is_servers(loaded.latest)
        assert is_servers(within.load(REF).now)
        other = PaymentRef("platform", "ch_9")
        assert is_servers(within.append(other, [PersonAsked(at=at, refund_id="r1")], expected=0, head=QUIET))
        assert is_servers(within.append(other, [PersonAsked(at=at, refund_id="r2")], expected=1, head=QUIET))
        journal.note_recovery(1, 0)  # type: ignore[operator]
        figures = journal.figures(timedelta(0))  # type: ignore[operator]
        assert (figures.due, figures.due_since) == (1, at - HOUR)
        assert is_servers(figures.at)
        assert figures.recovered is not None
        assert is_servers(figures.recovered.at)


@pytest.mark.parametrize("apart", [DAY, -DAY], ids=["server ahead", "server behind"])
@pytest.mark.parametrize("form", ["sync", "async"])
def test_events_of_a_refund_bear_the_servers_time(form: str, apart: timedelta) -> None:
    """Where the worker's clock goes a day wrong, each event of a refund bears the server's time, for whoever reads
    the journal along, and so does what is shown."""
    bank = MemoryBank(lambda: datetime.now(UTC) + apart)
    with opened(form, elsewhere(shared(), apart)) as (journal, _):
        service = RefundService(MemoryGateway(bank), journal, allow=lambda *_: True)
        ref = bank.charge(Money.parse("200.00", "USD"))
        service.issue(service.quote(ref, by=MARIA).verified(by=MARIA))
        view = service.show(ref, by=MARIA)
        assert not isinstance(view, Refused)
        ((refund,), tailed) = view.refunds, journal.tail("", 100)
    assert refund.requested_at is not None
    times = [refund.requested_at, *(each.event.at for each in tailed)]
    assert len(times) > 3
    assert all(abs(datetime.now(UTC) + apart - at) < HOUR for at in times)
