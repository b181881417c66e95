"""The rhythm of looking: when the next look at the gateway is owed. In doubt often, then daily, never never."""

from __future__ import annotations

from datetime import datetime, timedelta

from refund_domain.decider.ledger import Ledger, RefundRecord, Status, in_flight
from refund_domain.decider.pulling import leg_times
from refund_domain.policy import Policy
from refund_domain.rules.eligibility import drift_minor


def next_look(ledger: Ledger, at: datetime, tries: int, policy: Policy) -> datetime | None:
    """When the next look is owed after `tries` fruitless ones: the earliest of what is open, always after `at`."""
    times: list[datetime] = []
    record = in_flight(ledger)
    if record is not None:
        times.append(_next_for(record, at, tries, policy))
    times += leg_times(ledger, at, at + _backoff(policy.look_first, tries, policy.look_most), policy)
    poll, lags = at + _backoff(policy.poll_first, tries, policy.poll_most), drift_minor(ledger) > 0
    for seen in ledger.observed:
        if seen.status is Status.PENDING:
            times.append(poll)
        # From the success, not from the creation: a refund may be pending for weeks before.
        elif seen.status is Status.SUCCEEDED and at - max(seen.refund.created_at, seen.seen_at) < policy.watch:
            times.append(at + _backoff(policy.poll_most, tries, policy.watch_most))
        # The payment's own figure lags behind a failure: until it follows, nobody can be told what is owed.
        elif lags and not seen.live and at - seen.seen_at < policy.watch:
            times.append(poll)
    return min(times, default=None)


def _next_for(record: RefundRecord, at: datetime, tries: int, policy: Policy) -> datetime:
    """The next look for a refund under way."""
    since = record.doubted_since
    if record.alarm is not None or (since is not None and at - since >= policy.end_after):
        return at + policy.look_daily
    soon = at + _backoff(policy.look_first, tries, policy.look_most)
    if record.request is not None and record.awaits_second:
        return max(soon, record.request.at + policy.request_valid)  # to drop it, should nobody have approved
    # Nobody touches a claim while its own worker may still be sending it.
    open_claims = [claim.at for claim in record.claims if claim.open]
    return max(soon, open_claims[-1] + policy.answer_wait) if open_claims else soon


def _backoff(first: timedelta, tries: int, most: timedelta) -> timedelta:
    return min(first * (1 << min(max(tries - 1, 0), 20)), most)
