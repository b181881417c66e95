"""A journal in memory, for tests, demonstrations and simulation. It forgets, so it refuses a live gateway."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from refund_adapters.clock import utc_now
from refund_adapters.places import ANOTHER_ERASURE, NO_ERASURE, NOT_THERE, place, place_of
from refund_domain._checks import check_time
from refund_domain.errors import JournalBusy, JournalConflict
from refund_domain.events import Event
from refund_domain.operations.erasure import is_erasure
from refund_domain.operations.health import Figures, RecoveryNote
from refund_domain.payments import PaymentRef, Ref
from refund_domain.ports import Head, Loaded, Tailed


class MemoryJournal:
    """`RefundJournal` in a dictionary; one lock makes it safe for threads. `clock` tells the journal's time.

    >>> journal = MemoryJournal()
    >>> journal.load(PaymentRef("platform", "ch_1")).version, journal.durable
    (0, False)
    """

    durable = False
    in_transaction = False

    def __init__(self, clock: Callable[[], datetime] = utc_now) -> None:
        if not callable(clock):
            raise TypeError("clock must be a function that returns an aware datetime")
        self._clock = clock
        self._events: dict[str, tuple[Event, ...]] = {}
        self._heads: dict[str, Head] = {}
        self._order: list[tuple[str, int]] = []
        self._latest = datetime.min.replace(tzinfo=UTC)
        self._erasures: dict[str, tuple[str, str]] = {}
        self._recovered: RecoveryNote | None = None
        self._lock = threading.Lock()

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        """The events after version `after`; see the port."""
        with self._lock:
            events = self._events.get(str(ref), ())
            latest = self._latest
            return Loaded(
                events=events[after:] if after else events,
                version=len(events),
                now=self._tick(),
                latest=max(latest, self._latest),
            )

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        """All events or `JournalConflict`; see the port. Refuses no events at all (ValueError)."""
        if not events:
            raise ValueError("events must hold at least one event: without news nothing is written")
        with self._lock:
            stream = str(ref)
            before = self._events.get(stream, ())
            if len(before) != expected:
                raise JournalConflict("another worker appended to this stream first")
            self._events[stream] = (*before, *events)
            self._heads[stream] = head
            self._order.extend((stream, expected + number) for number in range(1, len(events) + 1))
            self._latest = max(self._latest, *(event.at for event in events))
            return self._tick()

    def due(self, limit: int, /) -> tuple[PaymentRef, ...]:
        """Streams whose look is due, the longest due first."""
        with self._lock:
            now = self._tick()
            ripe = sorted(
                (head.look_at, stream)
                for stream, head in self._heads.items()
                if head.look_at is not None and head.look_at <= now
            )
        return tuple(PaymentRef.parse(stream) for _, stream in ripe[:limit])

    def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]:
        """The tenant's streams for which a person is waited for."""
        with self._lock:
            waiting = sorted(
                stream for stream, head in self._heads.items() if head.waiting and head.tenant == tenant
            )
        return tuple(PaymentRef.parse(stream) for stream in waiting[:limit])

    def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        """What was appended behind a position, in the order of the appends. Raises ValueError for no position."""
        if after and not (after.isascii() and after.isdigit()):
            raise ValueError("after must be a position that this journal's tail gave, or empty for the beginning")
        first = int(after or 0)
        with self._lock:
            return tuple(
                Tailed(
                    position=str(number), stream=stream, version=version, event=self._events[stream][version - 1]
                )
                for number, (stream, version) in enumerate(self._order[first : first + limit], first + 1)
            )

    def figures(self, young: timedelta, /) -> Figures:
        """What the heads tell of all streams; see the port."""
        with self._lock:
            now = self._tick()
            heads = self._heads.values()
            due = [head.look_at for head in heads if head.look_at is not None and head.look_at <= now]
            since = [head.doubt_since for head in heads if head.doubt_since is not None]
            old = [at for at in since if at <= now - young]
            return Figures(
                at=now,
                in_doubt=len(old),
                doubt_since=min(old, default=None),
                due=len(due),
                due_since=min(due, default=None),
                waiting=sum(head.waiting for head in heads),
                recovered=self._recovered,
                latest=self._latest,
            )

    def note_recovery(self, looked: int, failed: int, /) -> None:
        """Keep how a run of `recover` went; see the port."""
        with self._lock:
            self._recovered = RecoveryNote(at=self._tick(), looked=looked, failed=failed)

    def history(self, tenant: str, after: str, limit: int, /) -> tuple[Tailed, ...]:
        """The tenant's own events behind a position; see the port."""
        behind = place(after)
        with self._lock:
            found: list[Tailed] = []
            for stream in sorted(name for name, head in self._heads.items() if head.tenant == tenant):
                for version, event in enumerate(self._events[stream], 1):
                    if (stream, version) > behind and len(found) < limit:
                        position = place_of(stream, version)
                        found.append(Tailed(position=position, stream=stream, version=version, event=event))
        return tuple(found)

    def erase(self, tenant: str, events: Sequence[Tailed], /) -> None:
        """Put erased events in the places of what they were; see the port."""
        with self._lock:
            changed: dict[str, list[Event]] = {}
            for each in events:
                head, stands = self._heads.get(each.stream), self._events.get(each.stream, ())
                if head is None or head.tenant != tenant or not 0 < each.version <= len(stands):
                    raise ValueError(NOT_THERE)
                if not is_erasure(stands[each.version - 1], each.event):
                    raise ValueError(NO_ERASURE)
                changed.setdefault(each.stream, list(stands))[each.version - 1] = each.event
            self._events.update((stream, tuple(events)) for stream, events in changed.items())

    def begin_erasure(self, tenant: str, scope: str, key: str, /) -> str:
        """The key of the tenant's unfinished erasure, or this one; see the port."""
        with self._lock:
            begun = self._erasures.setdefault(tenant, (scope, key))
            if scope not in ("", begun[0]):
                raise JournalBusy(ANOTHER_ERASURE)
            self._erasures[tenant] = (scope, begun[1])
            return begun[1]

    def end_erasure(self, tenant: str, key: str, /) -> None:
        """Forget key and scope of the erasure that has this key; see the port."""
        with self._lock:
            if self._erasures.get(tenant, ("", ""))[1] == key:
                del self._erasures[tenant]

    def _tick(self) -> datetime:
        now = self._clock()
        check_time(now, "what the journal's clock returns")
        if now > self._latest:
            self._latest = now
        return now


class AsyncMemoryJournal:
    """`AsyncRefundJournal` over a `MemoryJournal`: the same streams, awaited."""

    durable = False
    in_transaction = False

    def __init__(self, journal: MemoryJournal | None = None) -> None:
        self._journal = MemoryJournal() if journal is None else journal

    async def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        """See `MemoryJournal.load`."""
        return self._journal.load(ref, after)

    async def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        """See `MemoryJournal.append`."""
        return self._journal.append(ref, events, expected=expected, head=head)

    async def due(self, limit: int, /) -> tuple[PaymentRef, ...]:
        """See `MemoryJournal.due`."""
        return self._journal.due(limit)

    async def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]:
        """See `MemoryJournal.waiting`."""
        return self._journal.waiting(tenant, limit)

    async def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        """See `MemoryJournal.tail`."""
        return self._journal.tail(after, limit)

    async def figures(self, young: timedelta, /) -> Figures:
        """See `MemoryJournal.figures`."""
        return self._journal.figures(young)

    async def note_recovery(self, looked: int, failed: int, /) -> None:
        """See `MemoryJournal.note_recovery`."""
        self._journal.note_recovery(looked, failed)

    async def history(self, tenant: str, after: str, limit: int, /) -> tuple[Tailed, ...]:
        """See `MemoryJournal.history`."""
        return self._journal.history(tenant, after, limit)

    async def erase(self, tenant: str, events: Sequence[Tailed], /) -> None:
        """See `MemoryJournal.erase`."""
        self._journal.erase(tenant, events)

    async def begin_erasure(self, tenant: str, scope: str, key: str, /) -> str:
        """See `MemoryJournal.begin_erasure`."""
        return self._journal.begin_erasure(tenant, scope, key)

    async def end_erasure(self, tenant: str, key: str, /) -> None:
        """See `MemoryJournal.end_erasure`."""
        self._journal.end_erasure(tenant, key)
