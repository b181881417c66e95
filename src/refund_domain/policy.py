"""Policy: every number and switch the rules read, dated, replaceable, and checked when it is built.

R7, R8 and R9 are the default values of their fields; where the gateway's present behaviour is finer, a host
replaces the value, not the rule. The assumptions under which a refund cannot double are fields too, so
that a policy which would break the promise cannot be made.
"""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from typing import Final

import attrs

from refund_domain._checks import check_count, check_span, check_tuple, check_type
from refund_domain.money import Money

_SECOND: Final = timedelta(seconds=1)
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


class FundingRule(StrEnum):
    """By which rule a forecast says where a refund's money comes from."""

    PAYOUTS_THEN_BANK = "payouts_then_bank"
    """R8, R9: out of payouts in progress, and what they lack from the connected bank account."""
    PAYOUTS = "payouts"
    """R8 alone: what the payouts in progress lack is not covered."""
    BANK = "bank"
    """R9 alone: from the connected bank account."""
    BALANCE = "balance"
    """Stripe's present way: the available balance covers a refund as a whole; else it waits, or fails."""


@attrs.frozen(kw_only=True)
class Policy:
    """The numbers behind the rules. `Policy()` is the default; `attrs.evolve` makes another.

    Refuses (ValueError) values under which the promise would not hold, naming the inequality:

    >>> Policy(resend_within=timedelta(hours=23, minutes=30))
    Traceback (most recent call last):
    ...
    ValueError: resend_within + twice executes_within must not exceed key_life: a resend could outlive its key

    Assumptions about the world (docs/explanation/promise.md):
    `key_life`: the gateway keeps an idempotency key at least this long. `executes_within`: a request given
    up executes at most this much later. `completes_within`: a 5xx completes at most this much later.
    `list_lag`: a list shows a refund at most this much after it was made. `clock_skew`: clocks agree within
    this. `gateway_caps`: the gateway refuses refunds beyond what was captured.

    Limits of our own: `licence` is how long after its append a claim may be sent, `answer_wait` how long
    nobody else touches a claim, `resend_within` and `end_after` the two edges of doubt, counted from the
    first claim, `quote_valid` and `request_valid` how long a verified amount may wait.

    Rhythm of looking: in doubt every `look_first`, doubling up to `look_most`, then daily; pending every
    `poll_first` up to `poll_most`; a success for `watch` days, because it is not final.

    Who may: `second_person_from` are the amounts from which on a second person must approve, one a currency (None:
    never; empty: always; a currency that is not named: always). `most_per_actor_a_day` and `most_a_day` are what
    one person, and all of a tenant, may ask for in a UTC day (empty: no limit; a currency that is not named while
    another is: nothing).

    Business values: `ach_window` (None: no limit) and `card_window`; `accept_unsettled_ach`; `allow_fraudulent`;
    `return_application_fee`: whether the platform returns the fee it took of a payment with its refund;
    `arrival_days` (R7) in business days; `funding` (R8, R9) is where forecasts say the money comes from. `as_of`
    is the day these values were last compared with the world.
    """

    as_of: date = date(2026, 11, 1)
    # assumptions
    key_life: timedelta = 24 * _HOUR
    executes_within: timedelta = _HOUR
    completes_within: timedelta = 2 * _HOUR
    list_lag: timedelta = _HOUR
    clock_skew: timedelta = 5 * _MINUTE
    gateway_caps: bool = True
    # limits
    licence: timedelta = _MINUTE
    answer_wait: timedelta = 2 * _MINUTE
    resend_within: timedelta = 22 * _HOUR
    end_after: timedelta = 28 * _HOUR
    quote_valid: timedelta = 15 * _MINUTE
    request_valid: timedelta = 24 * _HOUR
    # rhythm
    look_first: timedelta = _MINUTE
    look_most: timedelta = _HOUR
    look_daily: timedelta = _DAY
    poll_first: timedelta = 10 * _MINUTE
    poll_most: timedelta = _DAY
    watch: timedelta = 60 * _DAY
    watch_most: timedelta = 7 * _DAY
    # who may
    second_person_from: tuple[Money, ...] | None = None
    most_per_actor_a_day: tuple[Money, ...] = ()
    most_a_day: tuple[Money, ...] = ()
    # business
    ach_window: timedelta | None = 180 * _DAY
    card_window: timedelta | None = None
    accept_unsettled_ach: bool = False
    allow_fraudulent: bool = False
    return_application_fee: bool = False
    arrival_days: tuple[int, int] = (3, 5)
    funding: FundingRule = FundingRule.PAYOUTS_THEN_BANK

    def __attrs_post_init__(self) -> None:
        check_type(self.as_of, date, "as_of")
        for name in _SPANS:
            check_span(getattr(self, name), name, _SECOND)
        for name in ("ach_window", "card_window"):
            if getattr(self, name) is not None:
                check_span(getattr(self, name), name, _DAY)
        for name in _SWITCHES:
            check_type(getattr(self, name), bool, name)
        for name in _AMOUNTS:
            amounts = getattr(self, name)
            if name != "second_person_from" or amounts is not None:
                check_tuple(amounts, Money, name)
                if len({amount.currency for amount in amounts}) != len(amounts):
                    raise ValueError(f"{name} must name each currency once")
        check_type(self.funding, FundingRule, "funding")
        check_tuple(self.arrival_days, int, "arrival_days")
        if len(self.arrival_days) != 2:
            raise ValueError("arrival_days must name two numbers of days, e.g. (3, 5)")
        for days in self.arrival_days:
            check_count(days, "each of arrival_days", 0, 90)
        if self.arrival_days[0] > self.arrival_days[1]:
            raise ValueError("arrival_days must name the earlier day first")
        for holds, broken in self._promises():
            if not holds:
                raise ValueError(broken)

    def _promises(self) -> tuple[tuple[bool, str], ...]:
        """The inequalities the promise rests on, each with what breaks without it."""
        latest_effect = self.key_life + self.completes_within + self.list_lag + 2 * self.clock_skew
        return (
            (
                self.resend_within + 2 * self.executes_within <= self.key_life,
                "resend_within + twice executes_within must not exceed key_life: a resend could outlive its key",
            ),
            (
                self.resend_within + self.licence + self.executes_within + 2 * self.clock_skew <= self.key_life,
                "resend_within + licence + executes_within + twice clock_skew must not exceed key_life: "
                "a slow worker's resend could outlive its key",
            ),
            (
                latest_effect <= self.end_after,
                "key_life + completes_within + list_lag + twice clock_skew must not exceed end_after: "
                "a refund could appear after it was called not made",
            ),
            (
                self.licence < self.answer_wait <= self.executes_within,
                "licence must be shorter than answer_wait, and answer_wait at most executes_within: "
                "two workers could send at once",
            ),
            (
                self.look_first <= self.look_most <= self.look_daily,
                "look_first, look_most, look_daily must rise",
            ),
            (self.poll_first <= self.poll_most, "poll_first must not exceed poll_most"),
            (self.watch_most <= self.watch, "watch_most must not exceed watch"),
        )


_SPANS: Final = (
    "key_life executes_within completes_within list_lag clock_skew licence answer_wait resend_within "
    "end_after quote_valid request_valid look_first look_most look_daily poll_first poll_most watch watch_most"
).split()
_AMOUNTS: Final = ("second_person_from", "most_per_actor_a_day", "most_a_day")
_SWITCHES: Final = ("gateway_caps accept_unsettled_ach allow_fraudulent return_application_fee").split()

DEFAULT_POLICY: Final = Policy()
"""The values of the rules as they stand on `as_of`."""
