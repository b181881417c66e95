"""The stage of the journal laws: a journal on trial, what its maker can do beside, and what is appended to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Final

import attrs

from refund_domain.events import Event, LookScheduled, StreamOpened
from refund_domain.payments import PaymentRef, Ref
from refund_domain.ports import Head, RefundJournal
from refund_domain.testing.laws import must

HOUR: Final = timedelta(hours=1)
REF: Final = PaymentRef("platform", "ch_1")
IDLE: Final = Head(tenant="acme", look_at=None, waiting=False)


@attrs.frozen
class Desk:
    """One law's stage: the journal on trial, and what its maker can do beside."""

    journal: RefundJournal
    again: Callable[[], RefundJournal] | None = None
    plant_unknown: Callable[[Ref], None] | None = None
    host: Callable[[], AbstractContextManager[object]] | None = None

    def now(self) -> datetime:
        """The journal's time."""
        return self.journal.load(REF).now

    def append(self, ref: Ref, *events: Event, expected: int, head: Head = IDLE) -> datetime:
        """Append, and no open transaction after it."""
        now = self.journal.append(ref, events, expected=expected, head=head)
        must(not self.journal.in_transaction, "an open transaction after an append")
        return now

    def opened(
        self, ref: Ref, *, tenant: str = "acme", look_at: datetime | None = None, waiting: bool = False
    ) -> None:
        """Append the first event of a stream under such a head."""
        head = Head(tenant=tenant, look_at=look_at, waiting=waiting)
        self.append(ref, StreamOpened(at=self.now(), tenant=tenant), expected=0, head=head)

    def must_hold(self, ref: Ref, events: Sequence[Event], journal: RefundJournal | None = None) -> None:
        """The stream holds these events, no more and no less, and its version counts them."""
        loaded = (journal or self.journal).load(ref)
        must(loaded.events == tuple(events), f"{_differing(loaded.events, events)} in {ref}")
        must(loaded.version == len(events), f"version {loaded.version} of {len(events)} events in {ref}")


def _differing(found: Sequence[Event], wanted: Sequence[Event]) -> str:
    """The first place where two runs of events differ."""
    for place, (one, other) in enumerate(zip(found, wanted, strict=False), 1):
        if one != other:
            return f"event {place} as {one!r} instead of {other!r}"
    return f"{len(found)} events instead of {len(wanted)}"


def news(at: datetime, number: int, size: int = 3) -> tuple[Event, ...]:
    """Events of one append, which `number` tells from another's."""
    return tuple(LookScheduled(at=at, due=at, tries=number) for _ in range(size))
