"""Requests and answers as bytes. Parsing is h11's; answers are written by hand, because they are to be wrong."""

from __future__ import annotations

import asyncio
import gzip
import http
import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

import attrs
import h11

from tests.fault_proxy.faults import Part, Shape

Headers = tuple[tuple[str, str], ...]

# They speak of one connection, or of how the body travels there.
_OF_ONE_HOP = frozenset(
    "connection keep-alive transfer-encoding content-length te trailer upgrade host accept-encoding".split()
)


@attrs.frozen(kw_only=True)
class Request:
    """A request as it arrived; `path` is its target with the query, header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)

    @property
    def fields(self) -> dict[str, str]:
        """The form fields of the body."""
        return dict(parse_qsl(self.body.decode()))

    @property
    def keeps_alive(self) -> bool:
        """Whether the client means to use the connection again."""
        return self.headers.get("connection", "").lower() != "close"


@attrs.frozen(kw_only=True)
class Answer:
    """An answer, whole."""

    status: int
    headers: Headers
    body: bytes


async def read_request(reader: asyncio.StreamReader, before: bytes) -> tuple[Request | None, bytes]:
    """The next request of this connection, and what came after it; None where the client left between two.

    `before` is what was read too much the last time. Raises h11.RemoteProtocolError for half a request.
    """
    parser = h11.Connection(h11.SERVER)
    if before:
        parser.receive_data(before)
    head: h11.Request | None = None
    body = b""
    while True:
        event = parser.next_event()
        if event is h11.NEED_DATA:
            parser.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode(): value.decode() for name, value in head.headers}
            request = Request(method=head.method.decode(), path=head.target.decode(), headers=headers, body=body)
            return request, parser.trailing_data[0]
        else:
            return None, b""


async def exchange(host: str, port: int, request: Request) -> Answer:
    """Send this request to an upstream over a connection of its own, and read the whole answer.

    Raises ConnectionError where the upstream is gone, TimeoutError where it does not answer in ten seconds.
    """
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            parser = h11.Connection(h11.CLIENT)
            headers = [(name, value) for name, value in request.headers.items() if name not in _OF_ONE_HOP]
            headers += [("host", f"{host}:{port}"), ("connection", "close")]
            headers += [("content-length", str(len(request.body)))] if request.body else []
            asked = h11.Request(method=request.method, target=request.path, headers=headers)
            writer.write(parser.send(asked) or b"")
            if request.body:
                writer.write(parser.send(h11.Data(data=request.body)) or b"")
            writer.write(parser.send(h11.EndOfMessage()) or b"")
            return await _read_answer(parser, reader)
        finally:
            writer.close()


async def _read_answer(parser: h11.Connection, reader: asyncio.StreamReader) -> Answer:
    head: h11.Response | None = None
    body = b""
    while True:
        event = parser.next_event()
        if event is h11.NEED_DATA:
            parser.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            kept = [(name.decode(), value.decode("latin-1")) for name, value in head.headers]
            headers = tuple((name, value) for name, value in kept if name not in _OF_ONE_HOP)
            return Answer(status=head.status_code, headers=headers, body=body)
        elif not isinstance(event, h11.InformationalResponse):
            raise ConnectionError("the upstream left in the middle of its answer")


def message(answer: Answer, *, keep: bool = True) -> bytes:
    """The answer as it should be written; `keep` says whether the connection goes on."""
    return _head(answer, _length(answer.body) + (() if keep else _CLOSE)) + answer.body


def part_of(answer: Answer, part: Part) -> bytes:
    """The first bytes of the answer, up to there."""
    whole = message(answer)
    start = whole.index(b"\r\n\r\n")
    match part:
        case Part.NOTHING:
            return b""
        case Part.HALF_THE_HEADERS:
            return whole[: start // 2]
        case Part.HALF_THE_BODY:
            return whole[: start + 4 + len(answer.body) // 2]


def shaped(answer: Answer, shape: Shape) -> tuple[bytes, bool]:
    """The answer written like this, and whether the connection goes on after it."""
    body, half = answer.body, len(answer.body) // 2
    match shape:
        case Shape.LENGTH_TOO_LONG:
            return _head(answer, (("Content-Length", str(len(body) + 100)),)) + body, False
        case Shape.LENGTH_TOO_SHORT:
            return _head(answer, (("Content-Length", str(half)),)) + body, True
        case Shape.NO_LENGTH:
            return _head(answer, _CLOSE) + body, False
        case Shape.NO_LENGTH_CUT:
            return _head(answer, _CLOSE) + body[:half], False
        case Shape.CHUNKED:
            return _head(answer, _CHUNKED) + _chunk(body[:half]) + _chunk(body[half:]) + _chunk(b""), True
        case Shape.BAD_CHUNK:
            return _head(answer, _CHUNKED) + _chunk(body[:half]) + b"no size\r\n" + body[half:], False
        case Shape.CHUNKS_CUT:
            return _head(answer, _CHUNKED) + _chunk(body), False
        case Shape.GARBAGE_LINE:
            return b"SSH-2.0-nonsense\r\n\r\n", False
        case Shape.CONTINUE_FIRST:
            return b"HTTP/1.1 100 Continue\r\n\r\n" * 2 + message(answer), True
        case Shape.HINTS_FIRST:
            return b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" + message(answer), True
        case Shape.GZIP:
            packed = gzip.compress(body)
            return _head(answer, (("Content-Encoding", "gzip"), *_length(packed))) + packed, True
        case Shape.NO_GZIP:
            return _head(answer, (("Content-Encoding", "gzip"), *_length(body))) + body, True


def json_answer(status: int, body: object) -> Answer:
    """An answer with this as its JSON."""
    return text_answer(status, json.dumps(body), "application/json")


def text_answer(status: int, body: str, content_type: str, *headers: tuple[str, str]) -> Answer:
    """An answer with this body."""
    return Answer(status=status, headers=(("Content-Type", content_type), *headers), body=body.encode())


def refund_asked_for(request: Request) -> dict[str, object]:
    """The refund that a POST asks for, as if it had been made: every word of it as the client hopes to read."""
    fields = request.fields
    return {
        "id": "re_never_made",
        "object": "refund",
        "amount": int(fields["amount"]),
        "charge": fields["charge"],
        "currency": "usd",
        "created": 1_760_000_000,
        "metadata": {"refund_domain_id": fields["metadata[refund_domain_id]"]},
        "reason": fields["reason"],
        "status": "succeeded",
    }


_CLOSE: Headers = (("Connection", "close"),)
_CHUNKED: Headers = (("Transfer-Encoding", "chunked"),)


def _length(body: bytes) -> Headers:
    return (("Content-Length", str(len(body))),)


def _head(answer: Answer, more: Headers) -> bytes:
    try:
        words = http.HTTPStatus(answer.status).phrase
    except ValueError:
        words = "Unknown"
    lines = [f"HTTP/1.1 {answer.status} {words}", *(f"{name}: {value}" for name, value in answer.headers + more)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
