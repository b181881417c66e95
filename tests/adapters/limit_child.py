"""Child processes that ask for refunds under one limit of a day: run by test_limits_raced.

`python -m tests.adapters.limit_child JOURNAL NUMBER COUNT` issues COUNT payments of its own bank, over the SQLite
file or the PostgreSQL database that JOURNAL names, and prints one JSON line of what came of each.
"""

from __future__ import annotations

import json
import sys

from refund_adapters.memory import MemoryBank, MemoryGateway, utc_now
from refund_adapters.sql import PostgresJournal, SqliteJournal
from refund_domain import Actor, Money, Policy, RefundService, Refused

EACH = Money.parse("10.00", "USD")
MOST = Money.parse("150.00", "USD")
POLICY = Policy(most_a_day=(MOST,))


def journal_of(name: str) -> SqliteJournal | PostgresJournal:
    """The journal that this names."""
    if name.endswith(".db"):
        return SqliteJournal(name, busy_timeout_s=30)
    return PostgresJournal(name, busy_timeout_s=30, statement_timeout_s=60)


def ask(name: str, number: str, count: str) -> None:
    """Quote each payment under no limit, then issue all of them when told to."""
    bank = MemoryBank(utc_now)
    gateway, journal = MemoryGateway(bank), journal_of(name)
    by = Actor(id=f"worker-{number}", tenant="acme")
    free = RefundService(gateway, journal, allow=lambda *_: True)
    limited = RefundService(gateway, journal, allow=lambda *_: True, policy=POLICY)
    refs = [bank.charge(EACH, id=f"ch_{number}_{place}") for place in range(int(count))]
    commands = [free.quote(ref, by=by).verified(by=by) for ref in refs]
    print("ready", flush=True)
    sys.stdin.readline()
    for command in commands:
        said = limited.issue(command)
        codes = [reason.code for reason in said.reasons] if isinstance(said, Refused) else ["made"]
        print(json.dumps(codes), flush=True)


if __name__ == "__main__":
    ask(*sys.argv[1:])
