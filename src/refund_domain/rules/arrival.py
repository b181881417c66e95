"""R7: when the client will have the money. A forecast: the client's bank decides, nobody here does.

The number of business days is a policy value and the calendar an argument: which days banks keep closed
differs by country and year, and no core can know it. Stripe's own figures are wider than R7's (cards roughly
5 to 10 business days, ACH up to 3 to process: docs/explanation/stripe-facts.md, "Trace reference").
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Final

import attrs

from refund_domain._checks import check_date, check_type
from refund_domain.policy import DEFAULT_POLICY, Policy

LONGEST_CLOSURE_DAYS: Final = 31
"""No bank keeps closed for longer: a calendar that finds no business day in so many days is broken."""

_DAY: Final = timedelta(days=1)


@attrs.frozen(kw_only=True)
class ArrivalWindow:
    """The days on which the money is expected, both included (R7). A forecast, not a promise.

    Refuses datetimes (TypeError) and a window that ends before it begins (ValueError).

    >>> print(ArrivalWindow(earliest=date(2026, 3, 5), latest=date(2026, 3, 9)))
    expected from 2026-03-05 to 2026-03-09 (a forecast: the client's bank decides)
    """

    earliest: date
    latest: date

    def __attrs_post_init__(self) -> None:
        check_date(self.earliest, "earliest")
        check_date(self.latest, "latest")
        if self.latest < self.earliest:
            raise ValueError("latest must not be before earliest")

    def __str__(self) -> str:
        return f"expected from {self.earliest} to {self.latest} (a forecast: the client's bank decides)"


def weekdays(day: date, /) -> bool:
    """The calendar used when no other is given: Monday to Friday, no holidays.

    >>> weekdays(date(2026, 3, 6)), weekdays(date(2026, 3, 7))
    (True, False)
    """
    return day.weekday() < 5


def arrival_window(
    sent_on: date,
    policy: Policy = DEFAULT_POLICY,
    is_business_day: Callable[[date], bool] = weekdays,
) -> ArrivalWindow:
    """R7: the client has the money `policy.arrival_days` business days after it was sent, or so it is forecast.

    The n-th business day after `sent_on` is counted from the day after it; 0 means `sent_on` itself, or the
    next business day where it is none. `sent_on` is a day in the calendar's own place: convert a moment to
    that place's day first.

    Raises TypeError for a datetime and for a calendar that answers anything but a bool (a coroutine would
    always count as yes), ValueError for a calendar that finds no business day within `LONGEST_CLOSURE_DAYS`
    and for a day too near the end of all dates. What the calendar itself raises passes through.

    >>> window = arrival_window(date(2026, 3, 6))  # a Friday: 3 to 5 business days
    >>> str(window.earliest), str(window.latest)
    ('2026-03-11', '2026-03-13')
    """
    check_date(sent_on, "sent_on")
    check_type(policy, Policy, "policy")
    soonest, slowest = policy.arrival_days
    return ArrivalWindow(
        earliest=_after(sent_on, soonest, is_business_day),
        latest=_after(sent_on, slowest, is_business_day),
    )


def _after(day: date, business_days: int, is_business_day: Callable[[date], bool]) -> date:
    if business_days == 0:
        return _next(day, is_business_day)
    for _ in range(business_days):
        day = _next(_tomorrow(day), is_business_day)
    return day


def _next(day: date, is_business_day: Callable[[date], bool]) -> date:
    """The first business day on or after `day`."""
    for _ in range(LONGEST_CLOSURE_DAYS):
        answer = is_business_day(day)
        check_type(answer, bool, "the calendar's answer")
        if answer:
            return day
        day = _tomorrow(day)
    raise ValueError(f"the calendar finds no business day within {LONGEST_CLOSURE_DAYS} days; check it")


def _tomorrow(day: date) -> date:
    if day == date.max:
        raise ValueError("sent_on is too near the last date there is")
    return day + _DAY
