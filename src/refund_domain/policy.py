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

    Assumptions about the world (docs/explanation/promise.md) come first, then limits of our own, the rhythm of
    looking, who may, and business values. Below each field stands what it is.
    """

    as_of: date = date(2026, 11, 1)
    """The day on which these values were last compared with the world."""
    # assumptions
    key_life: timedelta = 24 * _HOUR
    """Assumed: the gateway keeps an idempotency key at least this long."""
    executes_within: timedelta = _HOUR
    """Assumed: a request that was given up executes at most this much later."""
    completes_within: timedelta = 2 * _HOUR
    """Assumed: what the gateway answered with a 5xx completes at most this much later."""
    list_lag: timedelta = _HOUR
    """Assumed: a list shows a refund at most this much after it was made."""
    clock_skew: timedelta = 5 * _MINUTE
    """Assumed: clocks agree within this."""
    gateway_caps: bool = True
    """Assumed: the gateway refuses refunds beyond what was captured."""
    # limits
    licence: timedelta = _MINUTE
    """How long after its append a claim may be sent."""
    answer_wait: timedelta = 2 * _MINUTE
    """How long nobody else touches a claim that has no answer."""
    resend_within: timedelta = 22 * _HOUR
    """In doubt: how long after the first claim the same refund may be sent again, under its one key."""
    end_after: timedelta = 28 * _HOUR
    """In doubt: how long after the first claim a refund that no complete look shows is known not to exist, or a
    person is asked."""
    quote_valid: timedelta = 15 * _MINUTE
    """How long a quote may wait for its decision."""
    request_valid: timedelta = 24 * _HOUR
    """How long a request may wait to be sent, or to be approved; then it is dropped."""
    # rhythm
    look_first: timedelta = _MINUTE
    """In doubt: until the next look at first; each fruitless look doubles it."""
    look_most: timedelta = _HOUR
    """In doubt: until the next look at most, before `end_after`."""
    look_daily: timedelta = _DAY
    """In doubt: until the next look from `end_after` on, and where a person is waited for."""
    poll_first: timedelta = 10 * _MINUTE
    """Pending: until the next look at first; each fruitless look doubles it."""
    poll_most: timedelta = _DAY
    """Pending: until the next look at most. Succeeded: until the next look at first."""
    watch: timedelta = 60 * _DAY
    """Succeeded: how long it is looked at, because it is not final."""
    watch_most: timedelta = 7 * _DAY
    """Succeeded: until the next look at most."""
    # who may
    second_person_from: tuple[Money, ...] | None = None
    """The amounts from which on a second person must approve, one a currency. None: never; empty: always; a
    currency that is not named: always."""
    most_per_actor_a_day: tuple[Money, ...] = ()
    """What one person may ask for in a UTC day, one amount a currency. Empty: no limit; a currency that is not
    named while another is: nothing."""
    most_a_day: tuple[Money, ...] = ()
    """What all of a tenant may ask for in a UTC day, in the same way."""
    # business
    ach_window: timedelta | None = 180 * _DAY
    """How long after it was taken an ACH debit may be refunded. None: no limit."""
    card_window: timedelta | None = None
    """How long after it was taken a card payment may be refunded. None: no limit."""
    accept_unsettled_ach: bool = False
    """Whether an ACH debit may be refunded before it has settled; never one that was passed on to an account."""
    allow_fraudulent: bool = False
    """Whether the reason `fraudulent` may be given, which blocks the payer's card at the gateway."""
    return_application_fee: bool = False
    """Whether the platform returns the fee it took of a payment with its refund."""
    arrival_days: tuple[int, int] = (3, 5)
    """R7: in how many business days the client is expected to have the money, earliest and latest."""
    funding: FundingRule = FundingRule.PAYOUTS_THEN_BANK
    """R8, R9: where forecasts say that a refund's money comes from."""

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
