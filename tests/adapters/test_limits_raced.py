"""The limits of a day under real races: threads and processes on SQLite and PostgreSQL, and host transactions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from refund_adapters.memory import MemoryBank, MemoryGateway, utc_now
from refund_adapters.sql import PostgresJournal, SqliteJournal
from refund_domain import Actor, IssueRefund, Money, Policy, RefundService, Refused
from refund_domain.errors import JournalConflict
from refund_domain.events import RefundRequested
from refund_domain.service.allowance import day_of
from tests.adapters.limit_child import EACH, MOST, POLICY, journal_of
from tests.adapters.test_host_transactions import Bed
from tests.adapters.test_host_transactions import bed as bed
from tests.adapters.test_host_transactions import engine as engine
from tests.adapters.test_host_transactions import kind as kind
from tests.domain.worlds import MARIA, codes_of, refund_of
from tests.postgres.server import shared

ROOT = Path(__file__).parents[2]
PROCESSES, PAYMENTS, THREADS = 4, 8, 16


@pytest.fixture(params=["sqlite", "postgres"])
def name(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What names a fresh journal of each engine."""
    return str(tmp_path / "refunds.db") if request.param == "sqlite" else shared().database()


def asked_for(journal: SqliteJournal | PostgresJournal) -> dict[str, int]:
    """What the payments' own streams say was asked for, by UTC day, in minor units."""
    days: Counter[str] = Counter()
    after = ""
    while page := journal.tail(after, 500):
        for told in page:
            if isinstance(told.event, RefundRequested):
                days[f"{told.event.at.astimezone(UTC):%Y-%m-%d}"] += told.event.amount.amount_minor
        after = page[-1].position
    return dict(days)


def must_fill_a_day(days: dict[str, int]) -> None:
    """No day beyond its limit, and one day's run exactly at it."""
    assert max(days.values()) <= MOST.amount_minor
    assert len(days) > 1 or list(days.values()) == [MOST.amount_minor]


def test_processes_never_pass_a_limit_together(name: str) -> None:
    """4 processes with 8 payments each ask for more than twice the limit: exactly the limit is asked for."""
    with journal_of(name) as journal:
        children = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.adapters.limit_child", name, str(number), str(PAYMENTS)],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(PROCESSES)
        ]
        for each in children:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        said = [each.communicate("go\n", timeout=120)[0] for each in children]
        codes = Counter(code for lines in said for line in lines.splitlines() for code in json.loads(line))
        assert [each.returncode for each in children] == [0] * PROCESSES
        must_fill_a_day(asked_for(journal))
    assert set(codes) == {"made", "limit_reached"}
    assert codes.total() == PROCESSES * PAYMENTS


def test_threads_never_pass_a_limit_together(name: str) -> None:
    """16 threads on one handle, two payments each: exactly the limit is asked for."""
    bank = MemoryBank(utc_now)
    with journal_of(name) as journal:
        free = RefundService(MemoryGateway(bank), journal, allow=lambda *_: True)
        limited = RefundService(MemoryGateway(bank), journal, allow=lambda *_: True, policy=POLICY)
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


def test_race_for_the_day_in_a_host_transaction_is_the_hosts_to_repeat(bed: Bed) -> None:
    """A host whose transaction is beaten to the day's stream is told by JournalConflict, and repeats the whole."""
    bed, (first, second) = limited_bed(bed)

    class Beaten:
        """The joined journal, but another request takes the day's room before its first append."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def append(self, ref: Any, events: Any, /, *, expected: int, head: Any) -> Any:
            raise JournalConflict("beaten")

    class Joining:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def within(self, connection: object) -> Beaten:
            return Beaten(self._inner.within(connection))

    beaten: Any = Joining(bed.journal)
    with closing(bed.begin()) as host:
        with pytest.raises(JournalConflict):
            bed.world.service(journal=beaten).within(host).request(first)
        host.rollback()
    refund_of(bed.world.refunds.request(second))
    with closing(bed.begin()) as host:
        assert codes_of(bed.world.refunds.within(host).request(first)) == ("limit_reached",)
        host.rollback()


def test_pause_holds_in_a_host_transaction(bed: Bed) -> None:
    """A request in a host's transaction reads the switches there: paused, it is refused and not on record."""
    command = bed.world.decision(bed.world.pay())
    before = bed.journal.load(command.payment).events
    assert not isinstance(bed.world.refunds.pause(by=MARIA, why="an audit"), Refused)
    with closing(bed.begin()) as host:
        assert codes_of(bed.world.refunds.within(host).request(command)) == ("sending_paused",)
        host.commit()
    assert bed.journal.load(command.payment).events == before
