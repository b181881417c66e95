"""A child process that issues many bookings until it is done or killed: run by test_bulk_processes.

`python -m tests.adapters.bulk_child DATABASE` asks its parent for the bookings, issues them at its parent's bank,
and tells each progress and the report.
"""

from __future__ import annotations

import sys
from contextlib import closing

from refund_adapters.sql import SqliteJournal
from refund_domain import RefundService
from refund_domain.quotes import IssueBooking
from tests.adapters.issue_child import ParentsGateway


def issue(database: str) -> None:
    """One run over what the parent names."""
    gateway = ParentsGateway()
    with closing(SqliteJournal(database)) as journal:
        service = RefundService(gateway, journal, allow=lambda *_: True)
        commands = gateway._ask(("commands", None))
        assert isinstance(commands, tuple)
        assert all(isinstance(command, IssueBooking) for command in commands)
        report = service.issue_bookings(
            commands, most_per_second=500, on_progress=lambda progress: gateway._ask(("progress", progress))
        )
        gateway._ask(("report", report))


if __name__ == "__main__":
    issue(sys.argv[1])
