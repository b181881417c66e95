"""The limits of a day under real races: threads and processes on SQLite and PostgreSQL, and host transactions."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from refund_adapters.memory import MemoryBank, MemoryGateway, utc_now
from refund_adapters.sql import PostgresJournal, SqliteJournal
from refund_domain import Actor, IssueRefund, Money, Policy, RefundService, Refused
from refund_domain.errors import JournalConflict
from refund_domain.events import AllowanceTaken, RefundRequested
from refund_domain.refusals import Whose
from refund_domain.service.allowance import day_of
from tests.adapters.limit_child import EACH, LARGE, MOST, POLICIES, Meeting, journal_of
from tests.adapters.test_host_transactions import Bed
from tests.adapters.test_host_transactions import bed as bed
from tests.adapters.test_host_transactions import engine as engine
from tests.adapters.test_host_transactions import kind as kind
from tests.children import start
from tests.domain.worlds import MARIA, codes_of, refund_of
from tests.postgres.server import shared
from tests.postgres.workers import let_go

PAYMENTS, THREADS = 8, 16


@pytest.fixture(params=["sqlite", "postgres"])
def name(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What names a fresh journal of each engine."""
    return str(tmp_path / "refunds.db") if request.param == "sqlite" else shared().database()


def asked_for(journal: SqliteJournal | PostgresJournal, by: str | None = None) -> dict[str, list[int]]:
    """What the payments' own streams say was asked for, by all or by this person: by UTC day, in minor units."""
    days = defaultdict[str, list[int]](list)
    after = ""
    while page := journal.tail(after, 500):
        for told in page:
            if isinstance(told.event, RefundRequested) and by in (None, told.event.by.id):
                days[f"{told.event.at.astimezone(UTC):%Y-%m-%d}"].append(told.event.amount.amount_minor)
        after = page[-1].position
    return days


def must_fill_a_day(days: dict[str, list[int]]) -> None:
    """No day beyond its limit, and one day's run exactly at it."""
    sums = {day: sum(asked) for day, asked in days.items()}
    assert max(sums.values()) <= MOST.amount_minor
    assert len(sums) > 1 or list(sums.values()) == [MOST.amount_minor]


@pytest.mark.parametrize(
    ("whose", "people"),
    [
        pytest.param(Whose.TENANT, ["maria", "omar", "zoe", "eve"], id="a tenant's"),
        pytest.param(Whose.ACTOR, ["maria"] * 4, id="a person's"),
        pytest.param(Whose.ACTOR, ["maria", "omar"] * 2, id="two people's"),
    ],
)
def test_processes_never_pass_a_limit_together(name: str, whose: Whose, people: list[str]) -> None:
    """4 processes have all read the same day, in which each limit has room for one large payment, before any of
    them asks for one; then they ask for what is left as fast as they can. However a limit is shared, exactly the
    limit is asked for, one large payment in it, and nobody uses up another's."""
    assert EACH.amount_minor * PAYMENTS < MOST.amount_minor - LARGE.amount_minor
    with journal_of(name) as journal:
        children = [
            start("tests.adapters.limit_child", name, str(number), str(PAYMENTS), actor, whose)
            for number, actor in enumerate(people)
        ]
        let_go(children)
        said = [each.communicate(timeout=120)[0] for each in children]
        assert [each.returncode for each in children] == [0] * len(people)
        for person in [None] if whose is Whose.TENANT else sorted(set(people)):
            days = asked_for(journal, person)
            must_fill_a_day(days)
            assert all(asked.count(LARGE.amount_minor) <= 1 for asked in days.values())
    codes = Counter(code for lines in said for line in lines.splitlines() for code in json.loads(line))
    assert set(codes) == {"made", "limit_reached"}
    assert codes.total() == len(people) * (1 + PAYMENTS)


def test_threads_never_pass_a_limit_together(name: str) -> None:
    """16 threads on one handle, two payments each: exactly the limit is asked for."""
    bank = MemoryBank(utc_now)
    with journal_of(name) as journal:
        free = RefundService(MemoryGateway(bank), journal, allow=lambda *_: True)
        limited = RefundService(MemoryGateway(bank), journal, allow=lambda *_: True, policy=POLICIES[Whose.TENANT])
        people = [Actor(id=f"worker-{number}", tenant="acme") for number in range(THREADS)]
        commands = [[free.quote(bank.charge(EACH), by=by).verified(by=by) for _ in range(2)] for by in people]
        start = threading.Barrier(THREADS)

        def issue(mine: list[IssueRefund]) -> list[str]:
            start.wait()
            results = [limited.issue(command) for command in mine]
            return [codes_of(each)[0] if isinstance(each, Refused) else "made" for each in results]

        with ThreadPoolExecutor(THREADS) as pool:
            codes = Counter(code for said in pool.map(issue, commands) for code in said)
        must_fill_a_day(asked_for(journal))
    assert set(codes) == {"made", "limit_reached"}


# --- in a host's transaction -------------------------------------------------------------------------------


def limited_bed(bed: Bed) -> tuple[Bed, list[IssueRefund]]:
    """Two decisions about 200.00 USD each, of which a day has room for one."""
    commands = [bed.world.decision(bed.world.pay()) for _ in range(2)]
    bed.world.policy = Policy(most_a_day=(Money.parse("200.00", "USD"),))
    bed.world.refunds = bed.world.service(journal=bed.journal)
    return bed, commands


def test_part_of_the_day_is_committed_or_rolled_back_with_the_request(bed: Bed) -> None:
    """Rolled back with its host a request leaves the day whole; committed it has taken its part."""
    bed, (first, second) = limited_bed(bed)
    day = day_of("acme", bed.world.clock.now)
    with closing(bed.begin()) as host:
        refund_of(bed.world.refunds.within(host).request(first))
        host.rollback()
    assert bed.journal.load(day).version == 0
    with closing(bed.begin()) as host:
        refund_of(bed.world.refunds.within(host).request(first))
        assert codes_of(bed.world.refunds.within(host).request(second)) == ("limit_reached",)
        host.commit()
    assert bed.journal.load(day).version == 1
    assert codes_of(bed.world.refunds.issue(second)) == ("limit_reached",)


BEGIN = {
    ("sqlite", "reads"): "BEGIN",
    ("sqlite", "locks"): "BEGIN IMMEDIATE",
    ("postgres", "reads"): "BEGIN ISOLATION LEVEL READ COMMITTED",
    ("postgres", "locks"): "BEGIN ISOLATION LEVEL SERIALIZABLE",
}


@pytest.mark.parametrize("how", ["reads", "locks"])
def test_two_host_transactions_race_for_the_last_of_the_day(bed: Bed, how: str) -> None:
    """Two hosts' transactions have both read that there is room for one, or begin at once where the engine lets in
    one at a time: one is committed, the other is told to repeat or refused, nothing of it is left, and repeated it
    is refused."""
    bed, commands = limited_bed(bed)
    before = [bed.journal.load(command.payment).events for command in commands]
    met = threading.Barrier(2)
    one_at_a_time = (bed.engine, how) == ("sqlite", "locks")

    def attempt(command: IssueRefund) -> str:
        journal: Any = bed.journal if one_at_a_time else Meeting(bed.journal, cache(partial(met.wait, 60)))
        with closing(bed.connect()) as host:
            if bed.engine == "sqlite":
                host.isolation_level = None
            else:
                host.autocommit = True
            if one_at_a_time:
                met.wait(60)
            host.execute(BEGIN[bed.engine, how])
            try:
                said = bed.world.service(journal=journal).within(host).request(command)
                host.execute("INSERT INTO bookings VALUES (1)")
            except JournalConflict:
                host.execute("ROLLBACK")
                return "conflict"
            host.execute("ROLLBACK" if isinstance(said, Refused) else "COMMIT")
            return codes_of(said)[0] if isinstance(said, Refused) else "made"

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(attempt, commands))
    assert sorted(said) == sorted(["made", "limit_reached" if one_at_a_time else "conflict"])
    won = said.index("made")
    lost = 1 - won
    assert bed.bookings() == 1
    assert bed.journal.load(commands[lost].payment).events == before[lost]
    assert [type(told.event) for told in bed.journal.tail("", 99)].count(AllowanceTaken) == 1
    assert codes_of(bed.world.refunds.request(commands[lost])) == ("limit_reached",)
    assert refund_of(bed.world.refunds.dispatch(commands[won].payment).refunds[0]).settled
    assert [bed.world.bank.made(commands[place].payment) for place in (won, lost)] == [1, 0]


def test_pause_holds_in_a_host_transaction(bed: Bed) -> None:
    """A request in a host's transaction reads the switches there: paused, it is refused and not on record."""
    command = bed.world.decision(bed.world.pay())
    before = bed.journal.load(command.payment).events
    assert not isinstance(bed.world.refunds.pause(by=MARIA, why="an audit"), Refused)
    with closing(bed.begin()) as host:
        assert codes_of(bed.world.refunds.within(host).request(command)) == ("sending_paused",)
        host.commit()
    assert bed.journal.load(command.payment).events == before
