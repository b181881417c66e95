"""The PostgreSQL journal under many processes: races for the same payments, killed backends and workers, answers
lost after the commit, a server that restarts. One refund each, and nothing that returned is ever lost."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Final

import psycopg
import pytest

from refund_adapters.sql import AsyncPostgresJournal, PostgresJournal
from refund_domain import AsyncRefundService, IssueRefund, PaymentRef, Refund, RefundService, Refused
from refund_domain.decider.ledger import Status
from refund_domain.errors import JournalUnavailable
from refund_domain.events import PersonAsked
from refund_domain.ports import Tailed
from tests.postgres import bank
from tests.postgres.bank import AsyncTableBank, TableBank
from tests.postgres.child import HASTY, MARIA, QUIET
from tests.postgres.child_async import anybody
from tests.postgres.proxy import Proxy
from tests.postgres.server import Server, restarting, shared
from tests.postgres.workers import Told, check_streams, child, end, let_go, of

PROCESSES = 8
PAYMENTS = int(os.environ.get("REFUND_PG_PAYMENTS", "200"))
DUE = int(os.environ.get("REFUND_PG_DUE", "100"))
KILLS = int(os.environ.get("REFUND_PG_KILLS", "40"))
CUTS = int(os.environ.get("REFUND_PG_CUTS", "25"))
RESTARTS = int(os.environ.get("REFUND_PG_RESTARTS", "3"))
ROUND = int(os.environ.get("REFUND_ROUND", "0"))
"""What the gate does; the campaign sets the environment to more, and to other chance."""


Counted = Callable[[str, int], None]


@pytest.fixture
def counted(record_property: Counted) -> Counted:
    """Tells the campaign how often something was tried."""
    return record_property


@pytest.fixture
def server() -> Server:
    return shared()


@pytest.fixture
def conninfo(server: Server) -> str:
    """A database with a counting bank in it."""
    made = server.database()
    server.execute(bank.TABLES, made)
    server.execute("CREATE TABLE bookings (id integer)", made)
    return made


@pytest.mark.parametrize("level", ["READ_COMMITTED", "SERIALIZABLE"])
def test_eight_processes_issue_the_same_payments(
    server: Server, conninfo: str, level: str, counted: Counted
) -> None:
    """8 processes, every other on the async journal, issue the same payments, half of them within transactions of
    a host's own: one refund each, and they did meet at them."""
    PostgresJournal(conninfo).close()
    children = [
        child(of("issue", number), conninfo, level, str(PAYMENTS), str(number * PAYMENTS // PROCESSES // 8))
        for number in range(PROCESSES)
    ]
    let_go(children)
    said: dict[int, list[str]] = {number: [] for number in range(PAYMENTS)}
    repeated = 0
    for each in children:
        output, _ = each.communicate(timeout=240)
        assert each.returncode == 0
        for line in output.splitlines():
            told = json.loads(line)
            if "charge" in told:
                said[told["charge"]] += told["said"]
            else:
                repeated += told["conflicts"]
    # Who is behind finds payments that are done, so it catches up: all of them are soon at the same ones. Of 200
    # payments more than 50 were repeated and 500 told as in flight, on two cores as busy as they may be.
    told_in_flight = sum(codes.count("in_flight") for codes in said.values())
    assert repeated > 0
    assert told_in_flight > 0
    counted("times that two of eight processes met at a payment", repeated + told_in_flight)
    rows = server.execute("SELECT count(*), count(DISTINCT charge) FROM bank_refunds", conninfo)
    assert rows == [(PAYMENTS, PAYMENTS)]
    counted("payments issued by eight processes", PAYMENTS)
    for codes in said.values():
        assert "made" in codes
        assert set(codes) <= {"made", "in_flight", "already_refunded", "nothing_left", "quote_stale"}
    with PostgresJournal(conninfo) as journal:
        gateway = TableBank(conninfo)
        service = RefundService(gateway, journal, allow=lambda *_: True)
        service.recover(10**6)
        for number in range(PAYMENTS):
            view = service.show(PaymentRef("platform", f"ch_{number}"), by=MARIA)
            statuses = [refund.status for refund in view.refunds]  # type: ignore[union-attr]
            assert statuses.count(Status.SUCCEEDED) == 1
        gateway.close()


@pytest.mark.parametrize("killed", [0, 2], ids=["none killed", "two killed"])
def test_four_workers_recover_each_payment_once(
    server: Server, conninfo: str, killed: int, counted: Counted
) -> None:
    """4 workers, two of them on the async journal, recover the same due payments at once: each is sent once, few
    are looked at twice, and what a killed worker of each form left in the middle the others finish."""
    with PostgresJournal(conninfo) as journal:
        gateway = TableBank(conninfo)
        service = RefundService(gateway, journal, allow=lambda *_: True, policy=HASTY)
        refs = [PaymentRef("platform", f"ch_{number}") for number in range(DUE)]
        for ref in refs:
            service.request(service.quote(ref, by=MARIA).verified(by=MARIA))
        server.execute("TRUNCATE bank_looks", conninfo)
        children = [child(of("recover", number), conninfo, "100") for number in range(4)]
        let_go(children)
        for each in children[:killed]:
            while server.execute("SELECT count(*) FROM bank_sends", conninfo) < [(DUE // 4,)]:
                time.sleep(0.002)
            each.send_signal(signal.SIGKILL)
        looked = 0
        for each in children:
            output, _ = each.communicate(timeout=240)
            assert each.returncode == (-signal.SIGKILL if each in children[:killed] else 0)
            for line in output.splitlines():
                _, went_on, failed = line.split()
                assert int(failed) == 0
                looked += int(went_on)
        ((looks,),) = server.execute("SELECT count(*) FROM bank_looks", conninfo)
        give_up = time.monotonic() + 60
        while any(service.show(ref, by=MARIA).refunds[0].status is not Status.SUCCEEDED for ref in refs):  # type: ignore[union-attr]
            assert time.monotonic() < give_up, "something is never finished"
            service.recover()
        gateway.close()
    assert server.execute("SELECT count(*), count(DISTINCT charge) FROM bank_refunds", conninfo) == [(DUE, DUE)]
    keys, sends = server.execute("SELECT count(DISTINCT refund_key), count(*) FROM bank_sends", conninfo)[0]
    assert keys == DUE
    assert isinstance(sends, int)
    assert DUE <= sends <= DUE + killed  # whoever was killed in the middle of a send: the same key again
    assert isinstance(looks, int)
    counted("payments recovered by four workers", DUE)
    counted("looks that two of them made", looks - DUE)
    # All four in the same order would look four times at each; in orders of their own they seldom meet.
    assert looks < DUE * 3 // 2
    if not killed:
        assert looked >= DUE


# ---- what returned is there, what did not is whole or not there ----


def test_backends_killed_in_the_middle_of_appends(server: Server, conninfo: str, counted: Counted) -> None:
    """The server's side of a connection is ended again and again while workers append, two of three of them on the
    async journal: what returned is there, what did not is whole or not there, and the next call goes on with a new
    connection."""
    PostgresJournal(conninfo).close()
    names = ("sync", "async_1", "async_2")
    children = [child("append_async" if "async" in name else "append", conninfo, name) for name in names]
    told = Told(children)
    draw, kills = random.Random(20261128 + ROUND), 0
    try:
        while any(told.of(name) == 0 for name in names):  # each has opened its journal
            told.wait_for(1)
        # On a busy machine a kill may come while no append is under way: on until enough of them struck one, and
        # some of them one of each form.
        while kills < KILLS or (
            kills < KILLS * 10
            and (len(told.errors) < KILLS // 4 or min(told.struck("sync"), told.struck("async")) < KILLS // 20)
        ):
            told.wait_for(draw.randint(1, 12))
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'refund-domain' AND datname = current_database()",
                conninfo,
            )
            kills += 1
    finally:
        end(children, told)
    assert {kind for _, _, kind in told.errors} <= {"JournalUnavailable"}
    assert len(told.errors) >= KILLS // 4
    assert min(told.struck("sync"), told.struck("async")) >= KILLS // 20
    counted("backends killed", kills)
    counted("appends that stood though the answer was lost", check_streams(conninfo, told))


def test_read_along_while_workers_append_and_a_transaction_lags(server: Server, conninfo: str) -> None:
    """Who reads the tail from position to position, while workers append and a transaction stays open beside them,
    is told each event once and in the order of a reading from the beginning; nothing passes the open one."""
    with PostgresJournal(conninfo) as journal:
        children = [child("append", conninfo, f"t{number}") for number in range(2)]
        told = Told(children)
        read: list[Tailed] = []

        def read_on() -> None:
            while news := journal.tail(read[-1].position if read else "", 7):
                read.extend(news)

        try:
            for _ in range(4):
                told.wait_for(10)
                with psycopg.connect(conninfo) as old:
                    old.execute("SELECT pg_current_xact_id()")
                    read_on()
                    stopped = len(read)
                    told.wait_for(10)
                    read_on()
                    # All that came later lies behind the open one; each worker had one append under way.
                    assert len(read) - stopped <= 2 * len(children)
                    late = PaymentRef("platform", f"late_{stopped}")
                    event = PersonAsked(at=journal.load(late).now, refund_id="r1")
                    journal.within(old).append(late, [event], expected=0, head=QUIET)
                read_on()
        finally:
            end(children, told)
        read_on()
        assert read == list(journal.tail("", 10**6))
        assert len(read) >= 80 + 4
        assert len({each.stream for each in read if "late_" in each.stream}) == 4
    check_streams(conninfo, told)


def test_workers_killed_in_the_middle_of_appends(conninfo: str, counted: Counted) -> None:
    """Workers are killed with SIGKILL while they append: what they said was appended is there, whole."""
    PostgresJournal(conninfo).close()
    for round_number in range(2):
        children = [child(of("append", number), conninfo, f"k{round_number}w{number}") for number in range(2)]
        told = Told(children)
        try:
            told.wait_for(20 + 30 * round_number)
        finally:
            end(children, told)
        assert not told.errors
        check_streams(conninfo, told)
        counted("PostgreSQL workers killed while appending", len(children))


def test_server_restarts_under_load(counted: Counted) -> None:
    """The server is stopped, and crashed, while workers append: nothing that returned is lost, and they go on."""
    server = restarting()
    conninfo = server.database()
    PostgresJournal(conninfo).close()
    children = [child(of("append", number), conninfo, f"w{number}") for number in range(2)]
    told = Told(children)
    try:
        for number in range(RESTARTS):
            told.wait_for(30)
            server.stop("immediate" if number % 2 else "fast")
            server.start()
        told.wait_for(200)
    finally:
        end(children, told)
    assert {kind for _, _, kind in told.errors} <= {"JournalUnavailable"}
    assert told.errors
    check_streams(conninfo, told)
    counted("restarts under load", RESTARTS)


# ---- nobody knows ----


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A proxy before the server's socket."""
    made = Proxy(server.socket)
    yield made
    made.close()


def through(server: Server, proxy: Proxy, conninfo: str) -> str:
    """The same database, reached through the proxy."""
    return server.conninfo(conninfo.rpartition("dbname=")[2], host=proxy.folder)


def test_commit_whose_answer_was_lost(server: Server, proxy: Proxy, conninfo: str, counted: Counted) -> None:
    """The answer to a commit is cut off: the append raises, is written once, and is never tried again."""
    ref = PaymentRef("platform", "ch_1")
    with PostgresJournal(through(server, proxy, conninfo)) as journal:
        for number in range(CUTS):
            proxy.cut_after = b"refund_events (tx"
            event = PersonAsked(at=journal.load(ref).now, refund_id=f"r{number}")
            with pytest.raises(JournalUnavailable, match="lost"):
                journal.append(ref, [event], expected=number, head=QUIET)
            assert journal.load(ref).version == number + 1
    assert proxy.cuts == CUTS
    counted("answers to a commit lost", CUTS)


LOST: Final = {
    "load": b"SELECT coalesce",
    "request": b'"type":"RefundRequested"',
    "claim": b'"type":"SendClaimed"',
    "answer": b'"type":"SendAnswered"',
}
"""By which word on its way to the server each thing is known whose answer an issue can lose."""


@contextmanager
def served(form: str, conninfo: str) -> Iterator[tuple[Callable[[IssueRefund], object], Callable[[], object]]]:
    """How to issue and to recover in this form of the library."""
    if form == "sync":
        with closing(TableBank(conninfo)) as bank, PostgresJournal(conninfo) as journal:
            service = RefundService(bank, journal, allow=lambda *_: True, policy=HASTY)
            yield service.issue, service.recover
        return
    with closing(AsyncTableBank(conninfo)) as abank, asyncio.Runner() as runner:
        ajournal = runner.run(AsyncPostgresJournal.open(conninfo))
        aservice = AsyncRefundService(abank, ajournal, allow=anybody, policy=HASTY)
        yield (
            lambda command: runner.run(aservice.issue(command)),
            lambda: runner.run(aservice.recover()),
        )
        runner.run(ajournal.aclose())


@pytest.mark.parametrize("form", ["sync", "async"])
def test_issue_whose_every_commit_loses_its_answer_once(
    server: Server, proxy: Proxy, conninfo: str, form: str
) -> None:
    """The answer to a load, or to the commit of the request, of the claim or of the gateway's answer is cut off;
    whether the same is issued again or left to recovery, one refund is made, and it is shown as it is."""
    PostgresJournal(conninfo).close()
    # The bank and who quotes are reached directly: only the issue's own statements go through the proxy.
    with closing(TableBank(conninfo)) as bank, PostgresJournal(conninfo) as straight:
        quoting = RefundService(bank, straight, allow=lambda *_: True, policy=HASTY)
        cases = [(lost, again) for lost in LOST for again in (True, False) if again or lost != "load"]
        refs = [PaymentRef("platform", f"ch_{lost}_{again}") for lost, again in cases]
        for (lost, again), ref in zip(cases, refs, strict=True):
            command = quoting.quote(ref, by=MARIA).verified(by=MARIA)
            with served(form, through(server, proxy, conninfo)) as (issue, _):
                proxy.cuts, proxy.cut_after = 0, LOST[lost]
                if lost == "answer":  # money may have moved: nothing is raised
                    assert isinstance(issue(command), Refund)
                else:
                    with pytest.raises(JournalUnavailable):
                        issue(command)
                assert proxy.cuts == 1, lost
                if again:
                    assert isinstance(issue(command), Refund)
        with served(form, conninfo) as (_, recover):
            give_up = time.monotonic() + 60
            while any(statuses(quoting, ref) != [Status.SUCCEEDED] for ref in refs):
                assert time.monotonic() < give_up, [statuses(quoting, ref) for ref in refs]
                recover()
    made = server.execute("SELECT charge, count(*) FROM bank_refunds GROUP BY charge", conninfo)
    assert sorted(made) == sorted((ref.charge, 1) for ref in refs)


def statuses(service: RefundService, ref: PaymentRef) -> list[Status]:
    """How this payment's refunds are shown."""
    view = service.show(ref, by=MARIA)
    assert not isinstance(view, Refused)
    return [refund.status for refund in view.refunds]


def test_server_that_fell_silent_is_not_waited_for_for_ever(
    server: Server, proxy: Proxy, conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer, and the connection stays open: the call ends, and nobody knows whether it was written."""
    from refund_adapters.sql import postgres_link

    monkeypatch.setattr(postgres_link, "GRACE_S", 0.1)
    ref = PaymentRef("platform", "ch_1")
    with PostgresJournal(through(server, proxy, conninfo), statement_timeout_s=0.5) as journal:
        now = journal.load(ref).now
        proxy.silent = True
        proxy.cut_after = b"refund_events (tx"
        with pytest.raises(JournalUnavailable, match="silent"):
            journal.append(ref, [PersonAsked(at=now, refund_id="r1")], expected=0, head=QUIET)
        assert journal.load(ref).version == 1


@pytest.mark.parametrize("cancelled", [False, True], ids=["waiting", "cancelled"])
def test_server_that_fell_silent_is_not_awaited_for_ever(
    server: Server, proxy: Proxy, conninfo: str, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    """The same for asyncio: the call ends in its time, which psycopg's own way to cancel would multiply, and one
    that its host cancelled ends as cancelled."""
    from refund_adapters.sql import postgres_link

    monkeypatch.setattr(postgres_link, "GRACE_S", 0.1)
    ref = PaymentRef("platform", "ch_1")

    def until_written() -> None:
        while not proxy.cuts:
            time.sleep(0.01)

    async def work() -> None:
        place = through(server, proxy, conninfo)
        async with await AsyncPostgresJournal.open(place, statement_timeout_s=0.5) as journal:
            now = (await journal.load(ref)).now
            proxy.silent = True
            proxy.cut_after = b"refund_events (tx"
            asked = PersonAsked(at=now, refund_id="r1")
            call = asyncio.create_task(journal.append(ref, [asked], expected=0, head=QUIET))
            if cancelled:
                await asyncio.to_thread(until_written)
                call.cancel()
            # 0.6 s by its settings, and more than 5 s where psycopg waits for what it cancelled.
            done, _ = await asyncio.wait([call], timeout=4.5)
            assert done
            with pytest.raises(asyncio.CancelledError if cancelled else JournalUnavailable) as ended:
                await call
            assert cancelled or "silent" in str(ended.value)
            assert (await journal.load(ref)).version == 1

    asyncio.run(work())
