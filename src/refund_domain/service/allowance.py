"""What may be asked for in a day: each request takes its part of the allowance before it is on record.

The allowance of a tenant and a UTC day is one version-checked stream, so that requests for different payments,
which share nothing else, cannot pass a limit together. What was asked for counts, whatever came of it: a crash
between the two appends leaves a part used up by nothing, and never the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import Final

import attrs

from refund_domain.events import AllowanceTaken, Event
from refund_domain.money import Money
from refund_domain.operations.erasure import is_erased
from refund_domain.payments import Control, ControlRef
from refund_domain.policy import Policy
from refund_domain.refusals import LimitReached, Refused, Whose

_DAY: Final = timedelta(days=1)


def limited(policy: Policy) -> bool:
    """Whether this policy has any limit of a day."""
    return bool(policy.most_per_actor_a_day or policy.most_a_day)


def day_of(tenant: str, at: datetime) -> ControlRef:
    """The allowance of this tenant for the UTC day of this moment.

    >>> str(day_of("acme", datetime(2026, 3, 2, 23, 59, tzinfo=UTC)))
    '~day/2026-03-02/acme'
    """
    return ControlRef(kind=Control.DAY, name=f"{at.astimezone(UTC):%Y-%m-%d}/{tenant}")


def taken(events: Iterable[Event], asked: AllowanceTaken, policy: Policy) -> tuple[Event, ...] | Refused:
    """What this request takes of its day's allowance, or whose limits it would pass. The same one takes once.

    Payment and person are part of what is the same: a page may bring any request id, and nobody goes on with
    another's part. What an erased person took that day counts against everybody's own limit: it may have been this
    one.
    """
    before = [event for event in events if isinstance(event, AllowanceTaken)]
    if any(attrs.evolve(event, at=asked.at) == asked for event in before):
        return ()
    theirs = [event for event in before if event.by.id == asked.by.id or is_erased(event.by)]
    reached = (
        *_reached(Whose.ACTOR, policy.most_per_actor_a_day, theirs, asked),
        *_reached(Whose.TENANT, policy.most_a_day, before, asked),
    )
    return Refused(reached) if reached else (asked,)


def _reached(
    whose: Whose, limits: tuple[Money, ...], before: Iterable[AllowanceTaken], asked: AllowanceTaken
) -> tuple[LimitReached, ...]:
    if not limits:
        return ()
    currency = asked.amount.currency
    # A currency without a limit while others have one: somebody forgot it, so there is no room.
    limit = next((limit for limit in limits if limit.currency == currency), Money.zero(currency))
    used = sum(event.amount.amount_minor for event in before if event.amount.currency == currency)
    left = Money(max(0, limit.amount_minor - used), currency)
    if asked.amount <= left:
        return ()
    day = asked.at.astimezone(UTC).date() + _DAY
    return (LimitReached(whose=whose, limit=limit, left=left, until=datetime.combine(day, time(), UTC)),)
