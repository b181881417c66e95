"""R7: the client has the money in about 3 to 5 business days; a forecast, because their bank decides."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_domain._checks import check_date
from refund_domain.policy import DEFAULT_POLICY, Policy
from refund_domain.rules.arrival import LONGEST_CLOSURE_DAYS, ArrivalWindow, arrival_window, weekdays
from refund_domain.testing.strategies import dates, policies

DAY = timedelta(days=1)
MONDAY = date(2026, 3, 2)
YEAR_END = frozenset([date(2026, 12, 24), date(2026, 12, 25), date(2026, 12, 31), date(2027, 1, 1)])
NO_DATES = [datetime(2026, 3, 4, tzinfo=UTC), datetime(2026, 3, 4), "2026-03-04", 20260304, None, True]  # noqa: DTZ001


def within(soonest: int, slowest: int) -> Policy:
    """The default policy with other arrival days."""
    return Policy(arrival_days=(soonest, slowest))


def business_days_until(sent_on: date, day: date, closed: frozenset[date] = frozenset()) -> int:
    """Count, the naive way, the business days after `sent_on` up to and with `day`."""
    days = [sent_on + step * DAY for step in range(1, (day - sent_on).days + 1)]
    return sum(each.weekday() not in (5, 6) and each not in closed for each in days)


# --- the calendar ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent_on", "earliest", "latest"),
    [
        ("2026-03-02", "2026-03-05", "2026-03-09"),  # Monday: Thursday to the next Monday
        ("2026-03-06", "2026-03-11", "2026-03-13"),  # Friday: Wednesday to Friday
        ("2026-03-07", "2026-03-11", "2026-03-13"),  # Saturday counts from Monday on
        ("2026-03-08", "2026-03-11", "2026-03-13"),  # so does Sunday
        ("2024-02-27", "2024-03-01", "2024-03-05"),  # over the 29th of February
        ("2026-12-30", "2027-01-04", "2027-01-06"),  # over the end of the year, no holidays known
    ],
)
def test_r7_three_to_five_business_days(sent_on: str, earliest: str, latest: str) -> None:
    """R7: by default the third to the fifth business day after sending, weekends not counted."""
    # failure: H11
    window = arrival_window(date.fromisoformat(sent_on))
    assert (str(window.earliest), str(window.latest)) == (earliest, latest)


def test_the_calendar_is_the_hosts() -> None:
    """R7: holidays push the window back, because the calendar is an argument."""
    window = arrival_window(date(2026, 12, 23), DEFAULT_POLICY, lambda day: weekdays(day) and day not in YEAR_END)
    assert window == ArrivalWindow(earliest=date(2026, 12, 30), latest=date(2027, 1, 5))


def test_the_days_are_the_policys() -> None:
    """R7 is a policy value: cards that take 5 to 10 business days are a number, not another rule."""
    assert arrival_window(MONDAY, within(5, 10)) == ArrivalWindow(
        earliest=date(2026, 3, 9), latest=date(2026, 3, 16)
    )
    assert arrival_window(MONDAY, within(1, 1)) == ArrivalWindow(
        earliest=date(2026, 3, 3), latest=date(2026, 3, 3)
    )


def test_no_days_mean_the_day_itself_or_the_next_business_day() -> None:
    """Money sent on a Monday may be there on Monday; sent on a Saturday, on Monday at the earliest."""
    assert arrival_window(MONDAY, within(0, 0)) == ArrivalWindow(earliest=MONDAY, latest=MONDAY)
    assert arrival_window(MONDAY - 2 * DAY, within(0, 0)).earliest == MONDAY
    # Two business days after a Saturday is Tuesday, whether or not the window opened on Monday.
    assert arrival_window(MONDAY - 2 * DAY, within(0, 2)).latest == MONDAY + DAY


def test_weekdays_are_monday_to_friday() -> None:
    """The calendar used when none is given knows weekends and no holidays."""
    assert [weekdays(MONDAY + step * DAY) for step in range(7)] == [True] * 5 + [False] * 2
    assert weekdays(date(2026, 12, 25))


def test_a_window_says_that_it_is_a_forecast() -> None:
    """R7 promises nothing: the client's bank decides, and the text says so."""
    assert str(arrival_window(MONDAY)) == (
        "expected from 2026-03-05 to 2026-03-09 (a forecast: the client's bank decides)"
    )


# --- properties --------------------------------------------------------------------------------------------


@given(
    sent_on=dates(),
    days=st.tuples(st.integers(0, 20), st.integers(0, 20)).map(lambda pair: (min(pair), max(pair))),
    closed=st.frozensets(dates(earliest=date(2026, 1, 1), latest=date(2026, 2, 15)), max_size=20),
    near=st.booleans(),
)
def test_the_number_of_business_days_is_exact(
    sent_on: date, days: tuple[int, int], closed: frozenset[date], near: bool
) -> None:
    """R7: both ends are business days, in order, and exactly so many business days away."""
    if near:  # half of the cases fall among the closed days
        sent_on = date(2026, 1, 1) + (sent_on.toordinal() % 40) * DAY
    window = arrival_window(sent_on, within(*days), lambda day: weekdays(day) and day not in closed)
    assert sent_on <= window.earliest <= window.latest
    for count, day in zip(days, (window.earliest, window.latest), strict=True):
        assert day.weekday() < 5
        assert day not in closed
        if count:
            assert business_days_until(sent_on, day, closed) == count
        else:
            assert business_days_until(sent_on, day, closed) == (day != sent_on)


@given(sent_on=dates(), policy=policies())
def test_a_later_sending_never_arrives_earlier(sent_on: date, policy: Policy) -> None:
    """Waiting a day with the refund cannot bring the money sooner."""
    today, tomorrow = arrival_window(sent_on, policy), arrival_window(sent_on + DAY, policy)
    assert today.earliest <= tomorrow.earliest
    assert today.latest <= tomorrow.latest


# --- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent_on", NO_DATES, ids=repr)
def test_a_moment_is_no_day(sent_on: object) -> None:
    """A datetime is refused: which day it is depends on where, and the host must say."""
    with pytest.raises(TypeError, match="sent_on must be a date without a time"):
        arrival_window(sent_on)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="day must be a date without a time"):
        check_date(sent_on, "day")


@pytest.mark.parametrize("bad", NO_DATES, ids=repr)
def test_a_window_is_made_of_days(bad: object) -> None:
    """Neither end of a window may be a moment, a text or nothing."""
    with pytest.raises(TypeError, match="earliest must be a date"):
        ArrivalWindow(earliest=bad, latest=MONDAY)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="latest must be a date"):
        ArrivalWindow(earliest=MONDAY, latest=bad)  # type: ignore[arg-type]


def test_a_window_does_not_end_before_it_begins() -> None:
    """One day is a window, minus one is not."""
    assert ArrivalWindow(earliest=MONDAY, latest=MONDAY).latest == MONDAY
    with pytest.raises(ValueError, match="latest must not be before earliest"):
        ArrivalWindow(earliest=MONDAY, latest=MONDAY - DAY)


def test_a_calendar_without_business_days_is_refused() -> None:
    """A calendar that never says yes is an error soon, not an endless loop."""
    asked: list[date] = []

    def never(day: date) -> bool:
        asked.append(day)
        return False

    with pytest.raises(ValueError, match=f"no business day within {LONGEST_CLOSURE_DAYS} days"):
        arrival_window(MONDAY, DEFAULT_POLICY, never)
    assert len(asked) == LONGEST_CLOSURE_DAYS


def test_the_longest_closure_is_still_a_calendar() -> None:
    """As long as one business day lies within the bound, the calendar is taken; one day later it is not."""
    opens = MONDAY + LONGEST_CLOSURE_DAYS * DAY
    assert arrival_window(MONDAY, within(1, 1), lambda day: day >= opens).earliest == opens
    with pytest.raises(ValueError, match="no business day"):
        arrival_window(MONDAY, within(1, 1), lambda day: day > opens)


@pytest.mark.parametrize("answer", [None, 1, 0, "yes", ()], ids=repr)
def test_a_calendar_answers_yes_or_no(answer: object) -> None:
    """What is merely truthy is refused: a coroutine, say, would make every day a business day."""
    with pytest.raises(TypeError, match="the calendar's answer must be bool"):
        arrival_window(MONDAY, DEFAULT_POLICY, lambda day: answer)  # type: ignore[arg-type,return-value]


def test_a_calendars_own_error_passes_through() -> None:
    """What breaks in the host's calendar is the host's to see."""

    def broken(day: date) -> bool:
        raise LookupError("no calendar for this year")

    with pytest.raises(LookupError, match="no calendar"):
        arrival_window(MONDAY, DEFAULT_POLICY, broken)


def test_the_end_of_all_dates_is_refused() -> None:
    """Near the last date there is, a ValueError says so; nothing overflows."""
    assert arrival_window(date.max - 3 * DAY, within(1, 2)).latest == date.max - DAY
    for sent_on in (date.max, date.max - DAY, date.max - 4 * DAY):
        with pytest.raises(ValueError, match="too near the last date"):
            arrival_window(sent_on)


@pytest.mark.parametrize("policy", [None, (3, 5), 3, "default"], ids=repr)
def test_a_policy_is_a_policy(policy: object) -> None:
    """Bare days are no policy."""
    with pytest.raises(TypeError, match="policy must be Policy"):
        arrival_window(MONDAY, policy)  # type: ignore[arg-type]
