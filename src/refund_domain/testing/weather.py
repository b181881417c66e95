"""What goes wrong between a service and its gateway, on demand: for any gateway, ours or a host's.

A fault is data: whether the request is executed, and what the caller gets to hear. A machine draws the faults; a
test of yours may queue them itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final, Protocol, TypeVar

import attrs

from refund_domain._checks import check_type
from refund_domain.answers import Answer, Look, NotSent, OutcomeUnknown, Send, Unread
from refund_domain.payments import PaymentRef
from refund_domain.ports import AsyncPaymentGateway, PaymentGateway

T = TypeVar("T")


class Crash(BaseException):
    """The process dies here. No code of a host's or of the library's may catch it."""


class Run(Protocol):
    """Runs a coroutine to its end: `asyncio.Runner().run` does."""

    def __call__(self, coro: Coroutine[object, object, T], /) -> T: ...


class Play(StrEnum):
    """What befalls the next send, or, where its name begins with `LOOK`, the next look."""

    ANSWER_LOST = "answer_lost"
    """Executed, and the caller hears a timeout."""
    REQUEST_LOST = "request_lost"
    """Not executed, and the caller hears a timeout."""
    LATE = "late"
    """The caller hears a timeout, and the request arrives later."""
    BROKE_AFTER = "broke_after"
    """Executed, and the caller hears a 500."""
    BROKE_BEFORE = "broke_before"
    """Not executed, and the caller hears a 500."""
    NOT_SENT = "not_sent"
    """The connection is refused."""
    RAISES = "raises"
    """Executed, and an exception comes out of the gateway."""
    CRASH_BEFORE = "crash_before"
    """The process dies before the request leaves."""
    CRASH_AFTER = "crash_after"
    """The process dies before the answer is heard."""
    WORKER_BEFORE = "worker_before"
    """Another worker runs just before the request is executed."""
    WORKER_AFTER = "worker_after"
    """Another worker runs just before the answer is heard."""
    LOOK_UNREAD = "look_unread"
    """A page of the look is missing."""
    LOOK_RAISES = "look_raises"
    """An exception comes out of the look."""
    LOOK_CRASH = "look_crash"
    """The process dies at the look."""
    LOOK_WORKER = "look_worker"
    """Another worker runs while the look is under way."""

    @property
    def of_look(self) -> bool:
        """Whether it befalls looks, not sends."""
        return self.value.startswith("look")


_TIMEOUT: Final = OutcomeUnknown(why="timeout")
_BROKE: Final = OutcomeUnknown(why="http_500", resend=False)
_UNREAD: Final = Unread(why="a page is missing")

_UNEXECUTED: Final = (Play.REQUEST_LOST, Play.LATE, Play.BROKE_BEFORE, Play.NOT_SENT)
"""The sends that are not executed, or not now."""

_HEARD: Final[dict[Play, Answer]] = {
    Play.ANSWER_LOST: _TIMEOUT,
    Play.REQUEST_LOST: _TIMEOUT,
    Play.LATE: _TIMEOUT,
    Play.BROKE_AFTER: _BROKE,
    Play.BROKE_BEFORE: _BROKE,
    Play.NOT_SENT: NotSent(why="connection_refused"),
}
"""What the caller hears of a send, where that is not what the gateway answers."""

_WORKERS_BEFORE: Final = (Play.WORKER_BEFORE, Play.LOOK_WORKER)
_CRASHES_BEFORE: Final = (Play.CRASH_BEFORE, Play.LOOK_CRASH)


@attrs.frozen
class Held:
    """A request on its way: `arrive` executes it, and nobody hears the answer."""

    ref: PaymentRef
    arrive: Callable[[], object]


class Weather:
    """The faults still to come, the requests still on their way, and a record of every send.

    `over(gateway)` is the gateway as the service should have it. `worker` is what another worker does while a
    call is under way (a `Wiring` sets it), `awaited_worker` its form for an `AsyncRefundService`. `tell` hears of
    each fault that befalls a call.

    >>> weather = Weather()
    >>> weather.play(Play.ANSWER_LOST, Play.LOOK_UNREAD)
    >>> weather.clear()
    """

    def __init__(self) -> None:
        self.sent: list[Send] = []
        self.held: list[Held] = []
        self.tell: Callable[[str], object] = str
        self.worker: Callable[[], object] | None = None
        self.awaited_worker: Callable[[], Awaitable[object]] | None = None
        self._sends: deque[Play] = deque()
        self._looks: deque[Play] = deque()

    def over(self, gateway: PaymentGateway) -> Line:
        """This gateway, in this weather."""
        return Line(gateway, self)

    def over_async(self, gateway: AsyncPaymentGateway, run: Run) -> AsyncLine:
        """This gateway, in this weather; `run` brings home what was late."""
        return AsyncLine(gateway, self, run)

    def play(self, *plays: Play) -> None:
        """Queue faults: each send and each look takes the next one of its kind, in order."""
        for play in plays:
            check_type(play, Play, "each play")
            (self._looks if play.of_look else self._sends).append(play)

    def clear(self) -> None:
        """From now on everything works; what is on its way stays there."""
        self._sends.clear()
        self._looks.clear()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other worker runs meanwhile."""
        workers = self.worker, self.awaited_worker
        self.worker = self.awaited_worker = None
        try:
            yield
        finally:
            self.worker, self.awaited_worker = workers

    def arrive(self) -> None:
        """Everything that is late arrives now."""
        held, self.held = self.held, []
        for request in held:
            request.arrive()

    def befalls_send(self, send: Send) -> Play | None:
        """What befalls this send, which is recorded."""
        self.sent.append(send)
        return self._next(self._sends, f"a send of {send.amount} of {send.payment}")

    def befalls_look(self, ref: PaymentRef) -> Play | None:
        """What befalls this look."""
        return self._next(self._looks, f"a look at {ref}")

    def heard(self, play: Play | None, answer: Answer | None) -> Answer:
        """What the caller hears of a send that is over."""
        if play is Play.CRASH_AFTER:
            raise Crash
        heard = answer if play is None else _HEARD.get(play, answer)
        if play is Play.RAISES or heard is None:
            raise RuntimeError("weather: the gateway raised")
        return heard

    def _next(self, plays: deque[Play], what: str) -> Play | None:
        if not plays:
            return None
        self.tell(f"{plays[0]} befalls {what}")
        return plays.popleft()


def _begun(play: Play | None) -> None:
    """What befalls a call before it leaves."""
    if play in _CRASHES_BEFORE:
        raise Crash
    if play is Play.LOOK_RAISES:
        raise RuntimeError("weather: the gateway raised")


class Line:
    """A gateway in some weather; made by `Weather.over`."""

    def __init__(self, gateway: PaymentGateway, weather: Weather) -> None:
        self._gateway = gateway
        self._weather = weather

    @property
    def live(self) -> bool:
        """As the gateway's."""
        return self._gateway.live

    def look(self, ref: PaymentRef, /) -> Look:
        """The gateway's look, or what the weather makes of it."""
        play = self._weather.befalls_look(ref)
        _begun(play)
        self._other(play in _WORKERS_BEFORE)
        return _UNREAD if play is Play.LOOK_UNREAD else self._gateway.look(ref)

    def send(self, send: Send, /) -> Answer:
        """The gateway's answer, or what the weather makes of it."""
        play = self._weather.befalls_send(send)
        _begun(play)
        self._other(play in _WORKERS_BEFORE)
        if play is Play.LATE:
            self._weather.held.append(Held(send.payment, lambda: self._gateway.send(send)))
        answer = None if play in _UNEXECUTED else self._gateway.send(send)
        self._other(play is Play.WORKER_AFTER)
        return self._weather.heard(play, answer)

    def _other(self, runs: bool) -> None:
        if runs and self._weather.worker is not None:
            self._weather.worker()


class AsyncLine:
    """`Line` for an `AsyncRefundService`; made by `Weather.over_async`."""

    def __init__(self, gateway: AsyncPaymentGateway, weather: Weather, run: Run) -> None:
        self._gateway = gateway
        self._weather = weather
        self._run = run

    @property
    def live(self) -> bool:
        """As the gateway's."""
        return self._gateway.live

    async def look(self, ref: PaymentRef, /) -> Look:
        """The gateway's look, or what the weather makes of it."""
        play = self._weather.befalls_look(ref)
        _begun(play)
        await self._other(play in _WORKERS_BEFORE)
        return _UNREAD if play is Play.LOOK_UNREAD else await self._gateway.look(ref)

    async def send(self, send: Send, /) -> Answer:
        """The gateway's answer, or what the weather makes of it."""
        play = self._weather.befalls_send(send)
        _begun(play)
        await self._other(play in _WORKERS_BEFORE)
        if play is Play.LATE:
            self._weather.held.append(Held(send.payment, lambda: self._run(self._again(send))))
        answer = None if play in _UNEXECUTED else await self._gateway.send(send)
        await self._other(play is Play.WORKER_AFTER)
        return self._weather.heard(play, answer)

    async def _again(self, send: Send) -> Answer:
        return await self._gateway.send(send)

    async def _other(self, runs: bool) -> None:
        if runs and self._weather.awaited_worker is not None:
            await self._weather.awaited_worker()
