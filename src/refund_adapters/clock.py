"""Clocks for journals and banks: the machine's, and one that tests move by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from refund_domain._checks import check_time


def utc_now() -> datetime:
    """The machine's clock, in UTC."""
    return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until it is moved; give the same one to bank and journal.

    Refuses a naive datetime (ValueError). May be moved back, to see what a clock that jumps does.

    >>> clock = ManualClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
    >>> clock.forward(timedelta(hours=1))
    >>> clock().hour
    10
    """

    def __init__(self, now: datetime) -> None:
        check_time(now, "now")
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, span: timedelta) -> None:
        """Move by `span`; a negative one moves back."""
        self.now += span
