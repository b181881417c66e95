"""A policy that would break the promise cannot be made, and the default keeps it."""

from __future__ import annotations

from datetime import date, timedelta

import attrs
import pytest
from hypothesis import given

from refund_domain.policy import DEFAULT_POLICY, FundingRule, Policy
from refund_domain.testing.strategies import policies

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAYS = timedelta(days=1)

# One second beyond each inequality, all the others still holding: (changes, the names the complaint must hold).
BROKEN: list[tuple[dict[str, object], str]] = [
    ({"resend_within": 22 * HOUR + SECOND}, "twice executes_within must not exceed key_life"),
    ({"key_life": 24 * HOUR - SECOND}, "twice executes_within must not exceed key_life"),
    ({"executes_within": HOUR + SECOND}, "twice executes_within must not exceed key_life"),
    ({"end_after": 27 * HOUR + 10 * MINUTE - SECOND}, "must not exceed end_after"),
    ({"completes_within": 2 * HOUR + 50 * MINUTE + SECOND}, "must not exceed end_after"),
    ({"list_lag": HOUR + 50 * MINUTE + SECOND}, "must not exceed end_after"),
    ({"clock_skew": 29 * MINUTE + 31 * SECOND}, "a slow worker's resend could outlive its key"),
    ({"clock_skew": 28 * MINUTE, "answer_wait": HOUR, "licence": 4 * MINUTE + SECOND}, "a slow worker's resend"),
    ({"clock_skew": 20 * MINUTE, "end_after": 27 * HOUR + 40 * MINUTE - SECOND}, "must not exceed end_after"),
    ({"key_life": 24 * HOUR + 50 * MINUTE + SECOND}, "must not exceed end_after"),
    ({"licence": 2 * MINUTE}, "licence must be shorter than answer_wait"),
    ({"answer_wait": MINUTE}, "licence must be shorter than answer_wait"),
    ({"answer_wait": HOUR + SECOND}, "answer_wait at most executes_within"),
    ({"look_first": HOUR + SECOND}, "look_first, look_most, look_daily must rise"),
    ({"look_most": 24 * HOUR + SECOND}, "look_first, look_most, look_daily must rise"),
    ({"look_daily": HOUR - SECOND}, "look_first, look_most, look_daily must rise"),
    ({"poll_first": 24 * HOUR + SECOND}, "poll_first must not exceed poll_most"),
    ({"watch": 7 * DAYS - SECOND}, "watch_most must not exceed watch"),
]
# The last value that still holds: at the edge itself.
JUST: list[dict[str, object]] = [
    {"resend_within": 22 * HOUR},
    {"end_after": 27 * HOUR + 10 * MINUTE},
    {"completes_within": 2 * HOUR + 50 * MINUTE},
    {"list_lag": HOUR + 50 * MINUTE},
    {"clock_skew": 29 * MINUTE + 30 * SECOND},
    {"clock_skew": 28 * MINUTE, "answer_wait": HOUR, "licence": 4 * MINUTE},
    {"clock_skew": 20 * MINUTE, "end_after": 27 * HOUR + 40 * MINUTE},
    {"key_life": 24 * HOUR + 50 * MINUTE},
    {"licence": 2 * MINUTE - SECOND},
    {"answer_wait": MINUTE + SECOND},
    {"answer_wait": HOUR},
    {"look_first": HOUR},
    {"look_most": 24 * HOUR},
    {"look_daily": HOUR},
    {"poll_first": 24 * HOUR},
    {"watch": 7 * DAYS},
    {"funding": FundingRule.BANK},
    {"funding": FundingRule.BALANCE},
]
SPANS = [name for name, kind in Policy.__annotations__.items() if kind == "timedelta"]
WINDOWS = [name for name, kind in Policy.__annotations__.items() if kind == "timedelta | None"]
AMOUNTS = ["second_person_from", "most_per_actor_a_day", "most_a_day"]  # tried in test_limits
SWITCHES = [name for name, kind in Policy.__annotations__.items() if kind == "bool"]


def make(changes: dict[str, object]) -> Policy:
    """The default policy with these changes, whatever their types."""
    return attrs.evolve(DEFAULT_POLICY, **changes)  # type: ignore[arg-type]


def test_the_default_policy_holds_the_documented_values() -> None:
    """R7, R8, R9 and the margins of the key's age are the defaults, and the defaults pass their own checks."""
    policy = Policy()
    assert policy == DEFAULT_POLICY
    assert policy.arrival_days == (3, 5)
    assert policy.funding is FundingRule.PAYOUTS_THEN_BANK
    assert (policy.key_life, policy.resend_within, policy.end_after) == (24 * HOUR, 22 * HOUR, 28 * HOUR)
    assert (policy.executes_within, policy.completes_within, policy.list_lag) == (HOUR, 2 * HOUR, HOUR)
    assert (policy.clock_skew, policy.licence, policy.quote_valid) == (5 * MINUTE, MINUTE, 15 * MINUTE)
    assert (policy.request_valid, policy.answer_wait) == (24 * HOUR, 2 * MINUTE)
    assert (policy.look_first, policy.look_most, policy.look_daily) == (MINUTE, HOUR, 24 * HOUR)
    assert (policy.poll_first, policy.poll_most) == (10 * MINUTE, 24 * HOUR)
    assert (policy.watch, policy.watch_most) == (60 * DAYS, 7 * DAYS)
    assert (policy.ach_window, policy.card_window) == (180 * DAYS, None)
    assert (policy.allow_fraudulent, policy.accept_unsettled_ach, policy.gateway_caps) == (False, False, True)
    assert policy.return_application_fee is False
    assert (policy.second_person_from, policy.most_per_actor_a_day, policy.most_a_day) == (None, (), ())


def test_every_field_of_a_policy_is_covered_here() -> None:
    """The lists of this file name every field, so that a new one cannot go unchecked."""
    named = {*SPANS, *WINDOWS, *SWITCHES, *AMOUNTS, "as_of", "arrival_days", "funding"}
    assert named == {field.name for field in attrs.fields(Policy)}
    assert (len(SPANS), len(WINDOWS), len(SWITCHES)) == (18, 2, 4)


@pytest.mark.parametrize(("changes", "complaint"), BROKEN, ids=["+".join(changes) for changes, _ in BROKEN])
def test_each_broken_promise_is_named(changes: dict[str, object], complaint: str) -> None:
    """One second beyond any inequality, the policy is refused and the inequality named."""
    with pytest.raises(ValueError, match=complaint):
        make(changes)


@pytest.mark.parametrize("changes", JUST, ids="+".join)
def test_each_promise_holds_at_its_edge(changes: dict[str, object]) -> None:
    """At the edge itself the policy is taken: the checks refuse nothing that keeps the promise."""
    for name, value in changes.items():
        assert getattr(make(changes), name) == value


@given(policy=policies())
def test_whatever_policy_exists_keeps_the_promise(policy: Policy) -> None:
    """No resend outlives its key, no refund appears after it was called not made, no two workers send at once."""
    last_send = policy.resend_within + policy.executes_within
    assert last_send + policy.executes_within <= policy.key_life
    latest_effect = (
        policy.key_life + policy.completes_within + policy.list_lag + policy.clock_skew + policy.clock_skew
    )
    assert latest_effect <= policy.end_after
    slow_send = policy.resend_within + policy.licence + policy.clock_skew + policy.clock_skew
    assert slow_send + policy.executes_within <= policy.key_life
    assert policy.licence < policy.answer_wait <= policy.executes_within


@given(policy=policies())
def test_checks_run_on_every_way_to_make_a_policy(policy: Policy) -> None:
    """A changed copy is checked as a new policy is: the same edges bind it."""
    assert attrs.evolve(policy) == policy
    with pytest.raises(ValueError, match="must not exceed key_life"):
        attrs.evolve(policy, resend_within=policy.key_life - 2 * policy.executes_within + SECOND)
    with pytest.raises(ValueError, match="must not exceed end_after"):
        attrs.evolve(policy, end_after=policy.key_life + policy.completes_within)


@pytest.mark.parametrize("name", SPANS)
def test_a_span_is_from_a_second_to_ten_years(name: str) -> None:
    """Zero, negative, endless and bare numbers are no spans; the complaint names the field and not the value."""
    assert make({"watch": 3650 * DAYS}).watch == 3650 * DAYS
    assert make({"watch_most": SECOND}).watch_most == SECOND
    for bad in (timedelta(0), -SECOND, SECOND / 2, 3650 * DAYS + SECOND, timedelta.max, timedelta.min):
        with pytest.raises(ValueError, match=f"{name} must be from"):
            make({name: bad})
    for odd in (3600, 3600.0, float("nan"), True, "1h", None):
        with pytest.raises(TypeError, match=f"{name} must be a timedelta"):
            make({name: odd})


@pytest.mark.parametrize("name", WINDOWS)
def test_a_window_is_at_least_a_day_or_none(name: str) -> None:
    """None means no limit; zero would refuse every payment and is refused itself."""
    assert getattr(make({name: None}), name) is None
    assert getattr(make({name: DAYS}), name) == DAYS
    for bad in (timedelta(0), -DAYS, DAYS - SECOND, timedelta.max):
        with pytest.raises(ValueError, match=f"{name} must be from"):
            make({name: bad})
    for odd in (180, "180", True, 0):
        with pytest.raises(TypeError, match=f"{name} must be a timedelta"):
            make({name: odd})


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_is_on_or_off(name: str) -> None:
    """What is merely truthy is no switch: the text 'false' would be on."""
    for odd in (0, 1, None, "false", "", 1.0):
        with pytest.raises(TypeError, match=f"{name} must be bool"):
            make({name: odd})


@pytest.mark.parametrize("odd", ["2026-11-01", None, 2026, True], ids=repr)
def test_the_day_of_the_values_is_a_date(odd: object) -> None:
    """A policy is dated with a date."""
    with pytest.raises(TypeError, match="as_of must be"):
        make({"as_of": odd})
    assert make({"as_of": date(2027, 1, 1)}).as_of == date(2027, 1, 1)


@pytest.mark.parametrize(
    ("days", "error"),
    [
        ([3, 5], TypeError),
        ("35", TypeError),
        (3, TypeError),
        (None, TypeError),
        ((3.0, 5), TypeError),
        (("3", "5"), TypeError),
        ((True, 5), TypeError),
        ((None, 5), TypeError),
        ((5, 3), ValueError),
        ((-1, 5), ValueError),
        ((3, 91), ValueError),
        ((3, 10**9), ValueError),
    ],
    ids=repr,
)
def test_arrival_days_are_two_rising_counts(days: object, error: type[Exception]) -> None:
    """R7's days: plain ints from 0 to 90, the earlier first."""
    with pytest.raises(error, match="arrival_days"):
        make({"arrival_days": days})
    assert make({"arrival_days": (0, 90)}).arrival_days == (0, 90)


def test_a_policy_cannot_be_changed() -> None:
    """A policy is a value: it is replaced, never altered under a running service."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        DEFAULT_POLICY.resend_within = 100 * HOUR  # type: ignore[misc]
