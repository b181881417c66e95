"""What becomes of a refund in the bank: its legal steps, as data (Stripe facts, "Statuses and transitions")."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import attrs

from refund_domain._checks import check_span, check_text, check_tuple

NOW: Final = timedelta(0)
_DAY: Final = timedelta(days=1)

ENDED: Final = frozenset(["failed", "canceled"])
"""The statuses that end a refund and free its amount."""


def may_become(old: str, new: str) -> bool:
    """Whether this edge between two statuses is legal; a word nobody knows counts as pending.

    >>> may_become("pending", "succeeded"), may_become("succeeded", "failed"), may_become("failed", "succeeded")
    (True, True, False)
    """
    if old in ENDED:
        return False
    return new in ENDED or old != "succeeded"


@attrs.frozen(kw_only=True)
class Step:
    """A status a refund takes `after` the step before it (the first one: at its birth), and why.

    `reason` is the failure reason of failed and canceled, the pending reason of any other status but
    succeeded, which has none.
    """

    status: str
    after: timedelta = NOW
    reason: str | None = None

    def __attrs_post_init__(self) -> None:
        check_text(self.status, "status", 60)
        check_span(self.after, "after")
        if self.reason is not None:
            check_text(self.reason, "reason", 100)


@attrs.frozen(kw_only=True)
class Course:
    """What becomes of a refund once its payment has settled and its funds are there, by the bank's clock.

    The first step is its birth. Steps must follow legal edges: pending (or a word nobody knows) to anything,
    succeeded to failed or canceled, nothing after these (ValueError). A card refund that succeeded shows
    `trace` ("refund", or "reversal", which never gets a reference); the reference appears `trace_after`
    that, None: never (Stripe facts, "Trace reference").

    >>> [step.status for step in Course.succeeds_then_fails("expired_or_canceled_card").steps]
    ['succeeded', 'failed']
    >>> Course(steps=(Step(status="failed"), Step(status="succeeded", after=timedelta(days=1))))
    Traceback (most recent call last):
    ...
    ValueError: a refund that is failed cannot become succeeded
    """

    steps: tuple[Step, ...]
    trace: str = "refund"
    trace_after: timedelta | None = _DAY

    def __attrs_post_init__(self) -> None:
        check_tuple(self.steps, Step, "steps")
        check_text(self.trace, "trace", 60)
        if self.trace_after is not None:
            check_span(self.trace_after, "trace_after")
        if not self.steps or self.steps[0].after:
            raise ValueError("a course begins with a step at birth, after 0")
        for old, new in zip(self.steps, self.steps[1:], strict=False):
            if not may_become(old.status, new.status):
                raise ValueError(f"a refund that is {old.status} cannot become {new.status}")

    @classmethod
    def succeeds(cls) -> Course:
        """Succeeded at once: what cards do."""
        return cls(steps=(Step(status="succeeded"),))

    @classmethod
    def stays(cls, status: str = "pending", reason: str | None = "processing") -> Course:
        """This status (a word nobody knows, if you like) until `MemoryBank.settle` says otherwise."""
        return cls(steps=(Step(status=status, reason=reason),))

    @classmethod
    def pending_then_succeeds(cls, after: timedelta = 3 * _DAY) -> Course:
        """Pending (processing), then succeeded: what ACH refunds do."""
        return cls(steps=(_PROCESSING, Step(status="succeeded", after=after)))

    @classmethod
    def pending_then_fails(cls, reason: str = "declined", after: timedelta = 3 * _DAY) -> Course:
        """Pending (processing), then failed for `reason`."""
        return cls(steps=(_PROCESSING, Step(status="failed", after=after, reason=reason)))

    @classmethod
    def succeeds_then_fails(cls, reason: str = "expired_or_canceled_card", after: timedelta = 9 * _DAY) -> Course:
        """Succeeded at first, failed days later: `succeeded` is not final."""
        return cls(steps=(Step(status="succeeded"), Step(status="failed", after=after, reason=reason)))

    @classmethod
    def canceled_by_a_person(cls, after: timedelta = timedelta(minutes=10)) -> Course:
        """Pending, then cancelled in the dashboard by somebody (Stripe facts, "What can be cancelled")."""
        return cls(steps=(_PROCESSING, Step(status="canceled", after=after, reason="merchant_request")))


_PROCESSING: Final = Step(status="pending", reason="processing")
