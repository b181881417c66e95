"""The two ports as a simulated worker sees them: every call stops before and after the real thing.

At a stop the coroutine hands control back to whoever drives it by `coroutine.send(None)`: never resumed, it is
a crash; resumed much later, a pause. What befalls a call is in `world.fault` when it is resumed from before it.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Generator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from refund_adapters.memory import Fault, MemoryJournal, Planned
from refund_adapters.memory.gateway import look_at, page_from, send_to
from refund_adapters.simulation import received, reconciling
from refund_domain.answers import Answer, Ask, Declined, Look, Unread
from refund_domain.errors import JournalUnavailable
from refund_domain.events import Event
from refund_domain.operations.feeds import FeedPage, Window
from refund_domain.payments import ControlRef, PaymentRef, Ref
from refund_domain.ports import Head, Loaded, RefundJournal, Tailed
from refund_domain.signals import Subject

if TYPE_CHECKING:
    from refund_adapters.simulation.world import World

WORKS: Final = ""
UNAVAILABLE: Final = "unavailable"
"""The journal cannot be reached; nothing was written."""
ANSWER_LOST: Final = "committed_but_lost"
"""The append committed, and its answer never came."""

READ_FAULTS: Final = (UNAVAILABLE,)
APPEND_FAULTS: Final = (UNAVAILABLE, ANSWER_LOST)
LOOK_FAULTS: Final = tuple(fault.value for fault in Fault if fault.of_look and fault is not Fault.LOOK_WORKS)
PAGE_FAULTS: Final = tuple(fault.value for fault in Fault if fault.of_page and fault is not Fault.PAGE_WORKS)
STRAY_NO: Final = "stray_no"
"""A no from the gateway's edge: this request made nothing, and nothing is kept for its key."""
SEND_FAULTS: Final = (
    *(fault.value for fault in Fault if fault.of_send and fault is not Fault.WORKS),
    STRAY_NO,
)
DELAYED: Final = (Fault.EXECUTES_LATE.value, Fault.BREAKS_MAKES_LATER.value)

LOAD, LOADED = "load<", "load>"
APPEND, APPENDED = "append<", "append>"
DUE, DUE_READ = "due<", "due>"
WAITING, WAITING_READ = "waiting<", "waiting>"
LOOK, LOOKED = "look<", "look>"
PAGE, PAGED = "page<", "page>"
SEND, SENT = "send<", "send>"

FAULTS_AT: Final[dict[str, tuple[str, ...]]] = {
    LOAD: READ_FAULTS,
    DUE: READ_FAULTS,
    WAITING: READ_FAULTS,
    APPEND: APPEND_FAULTS,
    LOOK: LOOK_FAULTS,
    PAGE: PAGE_FAULTS,
    SEND: SEND_FAULTS,
}
"""What can befall a call, by the stop before it."""

_STRAY: Final = Declined(code="stray")
_PLANNED: Final[dict[str, Planned | None]] = {fault.value: Planned(fault=fault) for fault in Fault} | {WORKS: None}


@types.coroutine
def stop(where: str) -> Generator[str, None, None]:
    """Hand control to the driver; it goes on when (and if) the driver says so."""
    yield where


def planned(fault: str, delay_s: int) -> Planned | None:
    """The bank's fault by its name, with its delay where it takes one."""
    if fault in DELAYED and delay_s:
        return Fault(fault).after(timedelta(seconds=delay_s))
    return _PLANNED[fault]


class SimGateway:
    """`AsyncPaymentGateway` and `AsyncRefundFeed` over the world's bank."""

    live = False

    def __init__(self, world: World) -> None:
        self._world = world

    async def look(self, ref: PaymentRef, /) -> Look:
        """The bank's picture now, or what the fault makes of it."""
        await stop(LOOK)
        world = self._world
        op = world.driven
        op.picture = None  # one that raises shows nothing, whatever the look before it showed
        if op.signal is not None:
            received.looks(world.checker, op, ref)
        elif op.merges:
            reconciling.looks(world.checker, op, ref)
        look = look_at(world.bank, ref, _PLANNED[world.fault])
        op.picture, op.read_us = look, world.us
        await stop(LOOKED)
        return look

    async def page(
        self, account: str, window: Window, subject: Subject, after: str | None, /
    ) -> FeedPage | Unread:
        """A page of the bank's lists now, or what the fault makes of it."""
        await stop(PAGE)
        world = self._world
        fault = _PLANNED[world.fault]
        page = page_from(world.bank, account, window, subject, after, fault, size=reconciling.PAGE_SIZE)
        await stop(PAGED)
        return page

    async def send(self, ask: Ask, /) -> Answer:
        """One request: it reaches the bank now, later or never, as the fault has it.

        A process that stood still before the first byte for longer than the world allows never sends it.
        """
        world = self._world
        op = world.driven
        world.checker.licensed(op, ask)
        stopped_us = world.us
        await stop(SEND)
        fault, delay_s = world.fault, world.delay_s
        if world.us - stopped_us > world.executes_most_us:
            fault, delay_s = Fault.REQUEST_LOST.value, 0
        try:
            answer = _STRAY if fault == STRAY_NO else send_to(world.bank, ask, planned(fault, delay_s))
        finally:
            world.checker.bank_moved()
        await stop(SENT)
        op.owes = ask
        return answer


class Shared:
    """The streams of the memory journal, which all workers' handles share; keeps what an append replaced."""

    def __init__(self) -> None:
        self.events: dict[str, tuple[Event, ...]] = {}
        self.heads: dict[str, Head] = {}
        self.latest = datetime.min.replace(tzinfo=UTC)
        self.log: list[tuple[str, tuple[Event, ...], Head | None]] = []
        self.order: list[tuple[str, int]] = []

    def lose(self, appends: int) -> None:
        """The last so many appends are gone, as after a power cut under a journal that did not sync."""
        for _ in range(min(appends, len(self.log))):
            stream, events, head = self.log.pop()
            del self.order[len(self.order) - (len(self.events[stream]) - len(events)) :]
            self.events[stream] = events
            if head is None:
                self.heads.pop(stream, None)
            else:
                self.heads[stream] = head


class Handle(MemoryJournal):
    """One worker's handle on the shared streams, with a clock of its own.

    Like a process of its own it knows of other clocks only through the events they wrote.
    """

    def __init__(self, shared: Shared, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self._shared = shared
        self._events = shared.events
        self._heads = shared.heads
        self._order = shared.order

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        """See the port."""
        self._latest = max(self._latest, self._shared.latest)
        return super().load(ref, after)

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        """See the port."""
        stream, shared = str(ref), self._shared
        before, before_head = self._events.get(stream, ()), self._heads.get(stream)
        now = super().append(ref, events, expected=expected, head=head)
        shared.latest = max(shared.latest, *(event.at for event in events))
        shared.log.append((stream, before, before_head))
        return now


class SimJournal:
    """`AsyncRefundJournal` over a worker's handle on the world's journal."""

    durable = False
    in_transaction = False

    def __init__(self, world: World, handle: RefundJournal) -> None:
        self._world = world
        self.handle = handle

    async def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        """See the port. A switch is read in one go where nobody ever flips one."""
        control = isinstance(ref, ControlRef)
        if control and not self._world.mode.guards:
            return self.handle.load(ref, after)
        await stop(LOAD)
        self._reachable()
        loaded = self.handle.load(ref, after)
        if not control:
            self._world.driven.loaded = loaded.version
        await stop(LOADED)
        return loaded

    async def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        """See the port. The invariants read along."""
        await stop(APPEND)
        self._reachable()
        world = self._world
        now = self.handle.append(ref, events, expected=expected, head=head)
        world.checker.appended(world.driven, ref, events)
        if world.fault == ANSWER_LOST:
            world.driven.troubled = True
            raise JournalUnavailable("scripted: committed, but the answer was lost")
        await stop(APPENDED)
        return now

    async def due(self, limit: int, /) -> tuple[PaymentRef, ...]:
        """See the port."""
        await stop(DUE)
        self._reachable()
        due = self.handle.due(limit)
        await stop(DUE_READ)
        return due

    async def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]:
        """See the port."""
        await stop(WAITING)
        self._reachable()
        waiting = self.handle.waiting(tenant, limit)
        await stop(WAITING_READ)
        return waiting

    async def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        """See the port."""
        return self.handle.tail(after, limit)

    def _reachable(self) -> None:
        if self._world.fault == UNAVAILABLE:
            self._world.driven.troubled = True
            raise JournalUnavailable("scripted: the journal cannot be reached")
