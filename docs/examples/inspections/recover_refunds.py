"""The host's cron job: go on with everything that is owed. Its exit code tells whether a payment broke."""

from __future__ import annotations

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
