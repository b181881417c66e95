"""Money behind a PostgreSQL journal that is struck while workers refund: each payment goes back once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import psycopg
import pytest

from refund_adapters.sql import PostgresJournal
from refund_domain import PaymentRef, Refund, RefundService
from refund_domain.decider.ledger import Status
from tests.adapters.test_postgres_processes import Counted, statuses
from tests.postgres import bank
from tests.postgres.bank import TableBank
from tests.postgres.child import MARIA, SWIFT
from tests.postgres.server import restarting, shared
from tests.postgres.workers import Told, child, end, let_go, of, until


@contextmanager
def working(journal: str, till: str, begin: int = 0) -> Iterator[list[Told]]:
    """Two workers, one of each form, that issue the same payments from this one on; killed at the end."""
    children = [child(of("serve", number), journal, till, str(begin)) for number in range(2)]
    let_go(children)
    told = [Told([each]) for each in children]
    try:
        until_they_go_on(told)
        yield told
    finally:
        for each, heard in zip(children, told, strict=True):
            end([each], heard)


def until_they_go_on(told: list[Told]) -> None:
    """Until each worker has dealt with a few payments more."""
    were = [each.dealt for each in told]
    until(lambda: all(each.dealt >= was + 3 for each, was in zip(told, were, strict=True)), "they do not go on")


def in_doubt(told: list[Told]) -> int:
    """How many refunds were told as not known to have been made."""
    return sum(not succeeded for each in told for _, succeeded in list(each.stood))


@contextmanager
def a_send_held(till: str) -> Iterator[None]:
    """The bank has the request of one worker at least, and neither makes the refund nor answers before the end."""
    waiting = "SELECT 1 FROM pg_locks WHERE relation = 'bank_refunds'::regclass AND NOT granted"
    with psycopg.connect(till) as hold:
        hold.execute("LOCK TABLE bank_refunds IN EXCLUSIVE MODE")
        until(lambda: shared().execute(waiting, till), "nobody sends")
        yield


def lose_an_answer(told: list[Told], till: str, mode: str) -> None:
    """Stop the server so that the bank's answer finds no journal, and start it again."""
    were = in_doubt(told)
    try:
        with a_send_held(till):
            restarting().stop(mode)
        until(lambda: in_doubt(told) > were, "the answer was not lost")
    finally:
        restarting().start()  # for other tests, too
    until_they_go_on(told)


def restart(journal: str, till: str) -> list[Told]:
    """The server is stopped while one sends, and crashed while one does."""
    with working(journal, till) as told:
        lose_an_answer(told, till, "fast")
        lose_an_answer(told, till, "immediate")
    assert any(each.errors for each in told)
    return told


def end_backends(journal: str, till: str) -> list[Told]:
    """The server's side of the workers' connections is ended again and again, until it struck a call of each and
    an answer of the bank's on its way into the journal."""
    draw, blows = random.Random(20261130), 0
    with working(journal, till) as told:
        while blows < 600 and not (all(each.errors for each in told) and in_doubt(told)):
            draw.choice(told).wait_for(draw.randint(1, 3))
            restarting().execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'refund-domain' AND datname = current_database()",
                journal,
            )
            blows += 1
        until_they_go_on(told)
    assert all(each.errors for each in told)
    return told


def kill_workers(journal: str, till: str) -> list[Told]:
    """Workers get SIGKILL while one of them sends, and others come after them; the bank goes on with the send."""
    heard: list[Told] = []
    for begin in (0, 1000):
        with ExitStack() as bank_again:
            with working(journal, till, begin) as told:
                bank_again.enter_context(a_send_held(till))
        heard += told
    assert not any(each.errors for each in heard)
    return heard


@pytest.mark.parametrize("strike", [restart, end_backends, kill_workers])
def test_each_payment_goes_back_once_whatever_is_struck(
    strike: Callable[[str, str], list[Told]], record_property: Counted
) -> None:
    """The journal's server is restarted, its backends are ended, or the workers are killed, while two of them
    issue the same payments: recovery finishes all that was left, the bank has made one refund for each payment
    whose refund was told or is shown, and none besides; what was never asked for can be issued as ever."""
    journal, till = restarting().database(), shared().database()
    shared().execute(bank.TABLES, till)
    PostgresJournal(journal).close()
    told = strike(journal, till)
    issued = {ref for each in told for ref in each.acks}
    with closing(TableBank(till)) as gateway, PostgresJournal(journal) as kept:
        service = RefundService(gateway, kept, allow=lambda *_: True, policy=SWIFT)
        streams = [str(stream) for (stream,) in restarting().execute("SELECT stream FROM refund_streams", journal)]
        refs = [PaymentRef.parse(stream) for stream in streams]
        asked = [ref for ref in refs if statuses(service, ref)]
        left = [ref for ref in asked if statuses(service, ref) != [Status.SUCCEEDED]]
        assert left or in_doubt(told), "no blow fell on a refund"

        def finished() -> bool:
            service.recover()
            return all(statuses(service, ref) == [Status.SUCCEEDED] for ref in left)

        until(finished, "something is never finished")
        assert issued <= {str(ref) for ref in asked}
        assert refunds(till) == {ref.charge: 1 for ref in asked}
        for ref in set(refs) - set(asked):
            assert isinstance(service.issue(service.quote(ref, by=MARIA).verified(by=MARIA)), Refund)
        assert refunds(till) == {ref.charge: 1 for ref in refs}
    record_property("refunds that a blow left in doubt or to recovery", in_doubt(told) + len(left))


def refunds(till: str) -> dict[object, object]:
    """How many refunds the bank has made of each charge."""
    return dict(shared().execute("SELECT charge, count(*) FROM bank_refunds GROUP BY charge", till))  # type: ignore[arg-type]
