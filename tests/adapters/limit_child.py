"""Child processes that ask for refunds under one limit of a day: run by test_limits_raced.

`python -m tests.adapters.limit_child JOURNAL NUMBER COUNT ACTOR WHOSE` issues a large payment of its own bank, and
then COUNT small ones, as this person, where the limit of WHOSE binds, over the SQLite file or PostgreSQL database
that is JOURNAL. It prints one JSON line of what came of each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from refund_adapters.memory import MemoryBank, MemoryGateway, utc_now
from refund_adapters.sql import PostgresJournal, SqliteJournal
from refund_domain import Actor, Money, Policy, RefundService, Refused
from refund_domain.payments import Control, ControlRef, Ref
from refund_domain.ports import Loaded
from refund_domain.refusals import Whose

EACH = Money.parse("10.00", "USD")
LARGE = Money.parse("110.00", "USD")
MOST = Money.parse("200.00", "USD")
"""Room for one that is large, and then for more small ones than one process asks for."""
FAR = Money.parse("9000.00", "USD")
"""More than all that is ever asked for."""
POLICIES = {
    Whose.TENANT: Policy(most_a_day=(MOST,), most_per_actor_a_day=(FAR,)),
    Whose.ACTOR: Policy(most_a_day=(FAR,), most_per_actor_a_day=(MOST,)),
}


def journal_of(name: str) -> SqliteJournal | PostgresJournal:
    """The journal that this names."""
    if name.endswith(".db"):
        return SqliteJournal(name, busy_timeout_s=30)
    return PostgresJournal(name, busy_timeout_s=30, statement_timeout_s=60)


class Meeting:
    """A real journal whose user waits for others whenever it has read a day: all of them have read the same."""

    def __init__(self, inner: Any, wait: Callable[[], object]) -> None:
        self._inner, self._wait = inner, wait

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        """As the journal itself, and then wait."""
        loaded: Loaded = self._inner.load(ref, after)
        if isinstance(ref, ControlRef) and ref.kind is Control.DAY:
            self._wait()
        return loaded

    def within(self, connection: object) -> Meeting:
        """The same within a host's transaction."""
        return Meeting(self._inner.within(connection), self._wait)


@cache
def meet() -> None:
    """Wait until the others have read the day as well, the first time."""
    print("ready", flush=True)
    sys.stdin.readline()


def ask(name: str, number: str, count: str, actor: str, whose: str) -> None:
    """Quote each payment under no limit, then issue all of them when told to."""
    bank = MemoryBank(utc_now)
    gateway, journal = MemoryGateway(bank), journal_of(name)
    by = Actor(id=actor, tenant="acme")
    free = RefundService(gateway, journal, allow=lambda *_: True)
    meeting: Any = Meeting(journal, meet)
    limited = RefundService(gateway, meeting, allow=lambda *_: True, policy=POLICIES[Whose(whose)])
    amounts = [LARGE, *[EACH] * int(count)]
    refs = [bank.charge(amount, id=f"ch_{number}_{place}") for place, amount in enumerate(amounts)]
    commands = [free.quote(ref, by=by).verified(by=by) for ref in refs]
    for command in commands:
        said = limited.issue(command)
        codes = [reason.code for reason in said.reasons] if isinstance(said, Refused) else ["made"]
        print(json.dumps(codes), flush=True)


if __name__ == "__main__":
    ask(*sys.argv[1:])
