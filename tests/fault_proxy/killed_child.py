"""Processes that issue one refund until they are killed, and fresh ones that recover: run by test_killed.

`python -m tests.fault_proxy.killed_child issue CLIENT DATABASE ADDRESS REF` quotes and issues, and says what came
of it, if it lives to see it. `… recover CLIENT DATABASE ADDRESS REF` runs recovery by the hour for thirty hours,
by a clock that it moves itself, and says how the refund stands.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta

from refund_adapters.memory import ManualClock, utc_now
from refund_adapters.sql import SqliteJournal
from refund_domain import Actor, PaymentRef
from refund_domain.refusals import Refused
from refund_domain.views import PaymentView
from tests.fault_proxy.parts import Client, service

MARIA = Actor(id="maria", tenant="acme")
HOURS = 30


def issue(client: Client, database: str, address: str, ref: PaymentRef) -> None:
    """Quote and issue."""
    with SqliteJournal(database) as journal, service(client, address, journal) as refunds:
        said = refunds.issue(refunds.quote(ref, by=MARIA).verified(by=MARIA))
        print("refused" if isinstance(said, Refused) else said.status)


def recover(client: Client, database: str, address: str, ref: PaymentRef) -> None:
    """Recover until every doubt must have ended."""
    clock = ManualClock(utc_now())
    with SqliteJournal(database, clock=clock) as journal, service(client, address, journal) as refunds:
        for _ in range(HOURS):
            clock.forward(timedelta(hours=1))
            done = refunds.recover()
            assert done.failed == (), done.failed
        tell(refunds.show(ref, by=MARIA))


def tell(view: PaymentView | Refused) -> None:
    """One JSON line of how the refunds stand."""
    assert isinstance(view, PaymentView)
    print(json.dumps([[refund.id, refund.status, refund.gateway_id] for refund in view.refunds]))


if __name__ == "__main__":
    modes = {"issue": issue, "recover": recover}
    modes[sys.argv[1]](Client(sys.argv[2]), sys.argv[3], sys.argv[4], PaymentRef.parse(sys.argv[5]))
