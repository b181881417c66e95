"""A PostgreSQL journal that `pg_dump` took from one server and `pg_restore` put into another goes on there."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from refund_adapters.sql import PostgresJournal
from refund_domain import PaymentRef, Refund, RefundService
from refund_domain.answers import Answer, Ask
from refund_domain.decider.ledger import Status
from refund_domain.errors import JournalUnavailable
from tests.adapters.test_postgres_processes import statuses
from tests.postgres import bank
from tests.postgres.bank import TableBank
from tests.postgres.child import MARIA, SWIFT
from tests.postgres.server import Server, restarting, shared
from tests.postgres.workers import until

DONE, LEFT, DOUBTFUL = (PaymentRef("platform", f"ch_{name}") for name in ("done", "left", "doubtful"))


def transactions(server: Server) -> int:
    """How far this server has counted its transactions."""
    ((number,),) = server.execute("SELECT pg_current_xact_id()::text::bigint")
    assert isinstance(number, int)
    return number


@pytest.fixture(params=["lower", "higher"])
def servers(request: pytest.FixtureRequest) -> tuple[Server, Server]:
    """From where the journal is taken and where it is put: there transactions count lower, or higher."""
    here, there = shared(), restarting()
    low, high = (there, here) if request.param == "lower" else (here, there)
    high.spend_transactions(max(0, transactions(low) - transactions(high)) + 2000)
    assert transactions(high) > transactions(low) + 1000
    return here, there


@pytest.fixture
def till() -> str:
    """Where the bank is, which neither the dump nor the restore touches."""
    made = shared().database()
    shared().execute(bank.TABLES, made)
    return made


class Ends(TableBank):
    """The same bank, to a worker that ends before its request is out."""

    def send(self, send: Ask, /) -> Answer:
        """Nothing was made, and nobody writes that down."""
        raise KeyboardInterrupt


def service_on(journal: PostgresJournal, till: TableBank) -> RefundService:
    return RefundService(till, journal, allow=lambda *_: True, policy=SWIFT)


def positions(journal: PostgresJournal) -> list[str]:
    """The place of every event, in the order in which they are told, by pages."""
    told: list[str] = []
    while news := journal.tail(told[-1] if told else "", 3):
        told += [each.position for each in news]
    return told


def begun(journal: PostgresJournal, till: str) -> None:
    """One payment is refunded; one refund is left before its send, and one in the middle of it."""
    with closing(TableBank(till)) as gateway, closing(Ends(till)) as ends:
        service, dying = service_on(journal, gateway), service_on(journal, ends)
        issue(service, DONE)
        service.request(service.quote(LEFT, by=MARIA).verified(by=MARIA))
        with pytest.raises(KeyboardInterrupt):
            issue(dying, DOUBTFUL)


def issue(service: RefundService, ref: PaymentRef) -> None:
    """Refund this payment."""
    said = service.issue(service.quote(ref, by=MARIA).verified(by=MARIA))
    assert isinstance(said, Refund)
    assert said.status is Status.SUCCEEDED


def test_a_dump_restored_on_another_server_goes_on(servers: tuple[Server, Server], till: str) -> None:
    """Restored elsewhere the journal tells every event at its place; whoever read along goes on from where it was
    and is told what comes later once and behind it; what was done is done, what was left or in doubt recovery
    finishes, once each, and a new payment is refunded. So it is after a dump and a restore back, too."""
    here, there = servers
    conninfo = here.database()
    with PostgresJournal(conninfo) as journal:
        begun(journal, till)
        before = positions(journal)
    for number, (source, target) in enumerate(((here, there), (there, here))):
        conninfo = target.restored(source.dumped(conninfo))
        with PostgresJournal(conninfo, must_exist=True) as journal, closing(TableBank(till)) as gateway:
            assert positions(journal) == before
            service = service_on(journal, gateway)
            issue(service, PaymentRef("platform", f"ch_new_{number}"))
            assert [refusal.code for refusal in service.quote(DONE, by=MARIA).refusals] == ["already_refunded"]

            def finished() -> bool:
                service.recover()  # noqa: B023
                return all(statuses(service, ref) == [Status.SUCCEEDED] for ref in (LEFT, DOUBTFUL))  # noqa: B023

            until(finished, "something is never finished")
            later = [each.position for each in journal.tail(before[-1], 10**6)]
            assert later
            assert positions(journal) == before + later
            places = [tuple(int(part) for part in place.split(".")) for place in before + later]
            assert places == sorted(set(places))
            events = target.execute("SELECT count(*), count(DISTINCT seq) FROM refund_events", conninfo)
            assert events == [(len(places), len(places))]
            before += later
    made = shared().execute("SELECT charge, count(*) FROM bank_refunds GROUP BY charge ORDER BY charge", till)
    assert made == [(f"ch_{name}", 1) for name in ("done", "doubtful", "left", "new_0", "new_1")]


def test_while_both_stand_neither_is_taken_for_the_other() -> None:
    """A handle on the journal or on what was restored of it joins a host's transaction there, and refuses one on
    the other as that of a copy."""
    here, there = shared(), restarting()
    conninfo = here.database()
    with PostgresJournal(conninfo) as journal:
        restored = there.restored(here.dumped(conninfo))
        with (
            PostgresJournal(restored) as copy,
            psycopg.connect(conninfo) as ours,
            psycopg.connect(restored) as theirs,
        ):
            for handle, own, other in ((journal, ours, theirs), (copy, theirs, ours)):
                assert handle.within(own).load(DONE).version == 0
                with pytest.raises(JournalUnavailable, match="a copy of this journal"):
                    handle.within(other)
