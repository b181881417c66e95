"""A proxy that speaks HTTP and misbehaves as told, between a client and a double of Stripe, on real sockets.

    with fault_proxy(double.base_address) as proxy:
        proxy.script(CREATE, FAULTS["cut after forward"])
        gateway = StripeGateway(key, base_address=proxy.base_address)
        ...
        assert len(proxy.requests(CREATE)) == 1   # what left the client
        assert len(proxy.forwarded) == 1          # what reached the double

Each fault of the script strikes the next request that its target matches; every other request passes untouched,
over connections that are kept alive. It runs in a thread of its own, so that sync and async clients are tested
alike, and so are other processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from typing import Final, TypeVar
from urllib.parse import urlsplit

import attrs
import h11

from tests.fault_proxy import wire
from tests.fault_proxy.faults import (
    UNTOUCHED,
    Cut,
    Ending,
    Fault,
    Forward,
    Instead,
    InsteadARefund,
    Redirect,
    Refused,
    ResetEarly,
    Shaped,
    Trickle,
    Whole,
)
from tests.fault_proxy.wire import Answer, Request

T = TypeVar("T")

ELSEWHERE: Final = "/elsewhere"
"""Where redirects lead to: whoever goes there gets the answer it would wish for."""


@attrs.frozen
class Target:
    """Which requests a fault is meant for: this method, and a path that begins like this."""

    method: str
    path: str = "/"

    def matches(self, request: Request) -> bool:
        """Whether it is one of them."""
        return request.method == self.method and request.path.startswith(self.path)


LOOK: Final = Target("GET")
"""Any part of a look."""

CREATE: Final = Target("POST", "/v1/refunds")
"""The one request of a send."""


class FaultProxy:
    """The proxy; made by `fault_proxy`. `script` says what is to happen, `seen` and `forwarded` what did."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        assert parts.hostname is not None
        assert parts.port is not None
        self._host, self._port = parts.hostname, parts.port
        self._script: list[tuple[Target, Fault]] = []
        self._seen: list[Request] = []
        self._forwarded: list[Request] = []
        self._held: list[Request] = []
        self._wished_for: list[Request] = []
        self._struck: queue.SimpleQueue[Fault] = queue.SimpleQueue()
        self._resets: list[ResetEarly] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._server: asyncio.Server | None = None
        self.base_address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.broken: list[Exception] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._call(self._listen())

    # --- for tests ----------------------------------------------------------------------------------

    def script(self, target: Target, *faults: Fault) -> None:
        """Let each of these strike one request of this target, in this order, after what is scripted already.

        `Refused` and `ResetEarly` are of connections, which come before any request: they begin at once.
        """
        for fault in faults:
            if isinstance(fault.answering, Refused):
                self._call(self._stop_listening())
            elif isinstance(fault.answering, ResetEarly):
                self._resets.append(fault.answering)
                self._call(self._drop_connections())
            else:
                self._script.append((target, fault))

    @property
    def seen(self) -> tuple[Request, ...]:
        """Every request that arrived whole, in order."""
        return tuple(self._seen)

    @property
    def forwarded(self) -> tuple[Request, ...]:
        """Every request the upstream was given, in order; one that was doubled stands there twice."""
        return tuple(self._forwarded)

    def requests(self, target: Target) -> tuple[Request, ...]:
        """Those of the requests that arrived which this target matches."""
        return tuple(request for request in self._seen if target.matches(request))

    @property
    def unused(self) -> int:
        """How many faults of the script have struck nothing yet."""
        return len(self._script)

    def wait_until_struck(self, timeout_s: float = 20.0) -> Fault:
        """The next fault that struck: what it forwards is executed, and nothing of its answer has left yet."""
        return self._struck.get(timeout=timeout_s)

    def release(self) -> int:
        """Forward now what was to be forwarded later, wait until it is executed, and say how many there were."""
        return self._call(self._forward_held())

    def stop(self) -> None:
        """Close everything and wait for the thread. Raises what broke in the proxy itself, if anything did."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        if self.broken:
            raise self.broken[0]

    # --- in the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=self._listener)

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._drop_connections()

    async def _drop_connections(self) -> None:
        for writer in tuple(self._writers):
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _end(self) -> None:
        await self._stop_listening()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # the transports close in the turns of the loop that follow

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self._resets:
                if self._resets.pop(0).at_first_byte:
                    await reader.read(1)
                _reset(writer)
                return
            rest, goes_on = b"", True
            while goes_on:
                request, rest = await wire.read_request(reader, rest)
                if request is None:
                    return
                self._seen.append(request)
                goes_on = await self._answer(request, reader, writer) and request.keeps_alive
        except (ConnectionError, h11.RemoteProtocolError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        except Exception as error:
            self.broken.append(error)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Do to this request what the script says; whether the connection goes on."""
        if request.path.startswith(ELSEWHERE):
            writer.write(wire.message(await self._wish(request)))
            return True
        fault = self._next_fault(request)
        answers = await self._forward(request, fault.forward)
        if fault is not UNTOUCHED:
            self._struck.put(fault)
        match fault.answering:
            case Whole(answer=number, headers=headers):
                answer = attrs.evolve(answers[number], headers=answers[number].headers + headers)
                writer.write(wire.message(answer))
                return True
            case Cut(after=part, then=ending):
                writer.write(wire.part_of(answers[0], part) if answers else b"")
                await _end_with(ending, reader, writer)
                return False
            case Trickle() as trickle:
                await _trickle(wire.message(answers[0]), trickle, writer)
                return True
            case Shaped(shape=shape):
                written, goes_on = wire.shaped(answers[0], shape)
                writer.write(written)
                return goes_on
            case Instead(status=status, body=body, content_type=content_type):
                writer.write(wire.message(wire.text_answer(status, body, content_type)))
                return True
            case InsteadARefund(changes=changes):
                refund = {**wire.refund_asked_for(request), **dict(changes)}
                writer.write(wire.message(wire.json_answer(200, refund)))
                return True
            case Redirect(status=status):
                self._wished_for.append(request)
                location = f"{self.base_address}{ELSEWHERE}/{len(self._wished_for) - 1}"
                writer.write(wire.message(wire.text_answer(status, "", "text/plain", ("Location", location))))
                return True
            case Refused() | ResetEarly():
                raise AssertionError("a fault of connections is never in the script")

    def _next_fault(self, request: Request) -> Fault:
        for number, (target, fault) in enumerate(self._script):
            if target.matches(request):
                del self._script[number]
                return fault
        return UNTOUCHED

    async def _forward(self, request: Request, forward: Forward) -> list[Answer]:
        match forward:
            case Forward.NEVER:
                return []
            case Forward.ONCE:
                return [await self._ask(request)]
            case Forward.TWICE:
                return [await self._ask(request), await self._ask(request)]
            case Forward.LATER:
                self._held.append(request)
                return []

    async def _forward_held(self) -> int:
        held, self._held = self._held, []
        for request in held:
            await self._ask(request)
        return len(held)

    async def _wish(self, request: Request) -> Answer:
        """What the one who was redirected would be glad to read, though it is not true."""
        asked = self._wished_for[int(request.path.removeprefix(f"{ELSEWHERE}/"))]
        if asked.method == "POST":
            return wire.json_answer(200, wire.refund_asked_for(asked))
        return await self._ask(asked)

    async def _ask(self, request: Request) -> Answer:
        self._forwarded.append(request)
        try:
            return await wire.exchange(self._host, self._port, request)
        except ConnectionError as error:
            raise RuntimeError("the upstream does not answer") from error


@contextlib.contextmanager
def fault_proxy(upstream: str) -> Iterator[FaultProxy]:
    """A running proxy before this base address (`http://host:port`); stopped at the end."""
    proxy = FaultProxy(upstream)
    try:
        yield proxy
    finally:
        proxy.stop()


async def _end_with(ending: Ending, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    match ending:
        case Ending.CLOSE:
            return
        case Ending.RESET:
            await writer.drain()
            _reset(writer)
        case Ending.SILENCE:
            while await reader.read(65536):  # until the client gives up
                pass


async def _trickle(message: bytes, how: Trickle, writer: asyncio.StreamWriter) -> None:
    start = 0 if how.at_first else len(message) - how.slowly
    writer.write(message[:start])
    for byte in message[start : start + how.slowly]:
        await asyncio.sleep(how.every_s)
        writer.write(bytes([byte]))
        await writer.drain()
    writer.write(message[start + how.slowly :])


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the peer reads a reset, not an end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
