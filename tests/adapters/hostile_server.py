"""A small HTTP server that misbehaves as told: refuses, cuts, stalls, trickles, redirects, answers nonsense.

Each connection takes the next act of the script and then closes. Every request that arrived is on record, so
that a test can count what really went out.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import attrs

from tests.canaries import HTML


@attrs.frozen(kw_only=True)
class Received:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str


Act = Callable[[socket.socket, Received, threading.Event], None]


class HostileServer:
    """The server; `script` holds the acts to come, `received` the requests that came."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.script: list[Act] = []
        self.received: list[Received] = []
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        scheme = "http" if tls is None else "https"
        self.base_address = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self._threads[0].start()

    @property
    def posts(self) -> list[Received]:
        """The POSTs that arrived."""
        return [request for request in self.received if request.method == "POST"]

    def stop(self) -> None:
        """Close everything and wait for the threads."""
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.ExitStack() as closing, contextlib.suppress(OSError):
            closing.enter_context(connection)
            if self._tls is not None:
                connection = closing.enter_context(self._tls.wrap_socket(connection, server_side=True))
            request = _read(connection)
            if request is None:
                return
            self.received.append(request)
            act = self.script.pop(0) if self.script else answer(500, {"unscripted": True})
            act(connection, request, self._ended)


@contextlib.contextmanager
def hostile_server(*script: Act, tls: ssl.SSLContext | None = None) -> Iterator[HostileServer]:
    """A running server with this script, over TLS if asked; stopped at the end."""
    server = HostileServer(tls)
    server.script.extend(script)
    try:
        yield server
    finally:
        server.stop()


def answer(status: int, body: object, headers: Mapping[str, str] | None = None) -> Act:
    """A complete answer: JSON for anything but a str, which goes out as it is."""
    return _send(_message(status, body, headers))


def refund_of_request(
    changes: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None
) -> Act:
    """A success whose body is the refund that was asked for, with `changes` made to it (None removes)."""

    def act(connection: socket.socket, request: Received, ended: threading.Event) -> None:
        from urllib.parse import parse_qs

        fields = {name: values[0] for name, values in parse_qs(request.body).items()}
        body: dict[str, object] = {
            "id": "re_1",
            "object": "refund",
            "amount": int(fields["amount"]),
            "charge": fields["charge"],
            "currency": "usd",
            "created": 1_760_000_000,
            "metadata": {"refund_domain_id": fields["metadata[refund_domain_id]"]},
            "reason": fields["reason"],
            "status": "succeeded",
        }
        for name, value in (changes or {}).items():
            body[name] = value
            if value is None:
                del body[name]
        connection.sendall(_message(200, body, headers))

    return act


def redirect(to: str, status: int = 302) -> Act:
    """A redirect to that address."""
    return answer(status, "", {"Location": to})


def cut(status: int, body: object, keep: int) -> Act:
    """Headers that promise the whole body, then only `keep` bytes of it."""
    message = _message(status, body, None)
    return _send(message[: message.index(b"\r\n\r\n") + 4 + keep])


def stall(status: int, body: object, keep: int) -> Act:
    """As `cut`, but the connection stays open and silent."""
    message = _message(status, body, None)
    start = message[: message.index(b"\r\n\r\n") + 4 + keep]

    def act(connection: socket.socket, _request: Received, ended: threading.Event) -> None:
        connection.sendall(start)
        ended.wait(30)

    return act


def silence(connection: socket.socket, _request: Received, ended: threading.Event) -> None:
    """Read the request and never answer."""
    ended.wait(30)


def hang_up(connection: socket.socket, _request: Received, _ended: threading.Event) -> None:
    """Read the request and close."""


def reset(connection: socket.socket, _request: Received, _ended: threading.Event) -> None:
    """Read the request and reset the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def trickle(status: int, body: object, *, quickly: int, every_s: float = 0.05) -> Act:
    """A right answer of which `quickly` bytes come at once and the rest byte by byte."""
    message = _message(status, body, None)

    def act(connection: socket.socket, _request: Received, ended: threading.Event) -> None:
        connection.sendall(message[:quickly])
        for byte in message[quickly:]:
            connection.sendall(bytes([byte]))
            if ended.wait(every_s):
                return

    return act


def late(after_s: float, act: Act) -> Act:
    """The act, after a while."""

    def acting(connection: socket.socket, request: Received, ended: threading.Event) -> None:
        time.sleep(after_s)
        act(connection, request, ended)

    return acting


SOON_S = 15.0
"""What a call that ends in its time takes at most, on the busiest machine. What it is held against (a silence of
30 s, a trickle of some 90 s, the kernel's own time to connect) takes longer."""

AMPLE_S = 20.0
"""The time a call is given whose answer comes at once: the busiest machine does not use it up."""

QUICK_S = 1.0
"""The time a call is given to which no whole answer ever comes, so that the test need not wait long."""

_ENDLESS = frozenset({"silence", "body stalls", "headers trickle", "body trickles"})


def time_for(fault: str) -> float:
    """The time of a call, in seconds, by the name its fault has in a test's table."""
    return QUICK_S if fault in _ENDLESS else AMPLE_S


def unused_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _send(message: bytes) -> Act:
    def act(connection: socket.socket, _request: Received, _ended: threading.Event) -> None:
        connection.sendall(message)

    return act


def _message(status: int, body: object, headers: Mapping[str, str] | None) -> bytes:
    # Whatever page a stranger shows, it may repeat what was sent, and more.
    content = body.replace("</html>", HTML).encode() if isinstance(body, str) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Word", f"Content-Length: {len(content)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content


def _read(connection: socket.socket) -> Received | None:
    connection.settimeout(10)
    read = b""
    while b"\r\n\r\n" not in read:
        more = connection.recv(65536)
        if not more:
            return None
        read += more
    head, _, body = read.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65536)
    method, path, _ = first.split(" ")
    return Received(method=method, path=path, headers=headers, body=body.decode())
