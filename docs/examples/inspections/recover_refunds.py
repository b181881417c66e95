"""The host's cron job: go on with everything that is owed. Its exit code tells whether a payment broke."""

from __future__ import annotations

import sys

from docs.examples.inspections.office import sample
from docs.examples.inspections.wiring import build
from refund_adapters.memory import MemoryBank, MemoryGateway
from refund_adapters.observing import Background, LogObserver
from refund_adapters.sql import SqliteJournal
from refund_domain import RefundService

BATCH = 100


def run(refunds: RefundService) -> int:
    """All that is due now; the number of payments that broke, which are tried again next time."""
    while True:
        done = refunds.recover(limit=BATCH)
        for payment, error in done.failed:
            print(f"{payment}: {error}")
        if done.failed or done.looked < BATCH:
            return len(done.failed)


def main() -> int:
    """What cron starts: the service as the web process has it, one run, and what was observed told to its end."""
    bank = MemoryBank()  # with real money there is none: StripeGateway(secret_key), as in the web process
    observe = Background(LogObserver())
    try:
        with SqliteJournal("refunds.db") as journal:
            return 1 if run(build(MemoryGateway(bank), journal, sample(bank), observe)) else 0
    finally:
        observe.close()


if __name__ == "__main__":
    sys.exit(main())
