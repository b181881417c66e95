"""The fault proxy itself, over plain sockets before a trivial upstream: each fault does what its name says."""

from __future__ import annotations

import gzip
import http.client
import http.server
import json
import socket
import threading
from collections.abc import Iterator

import attrs
import pytest

from tests.fault_proxy.faults import (
    FAULTS,
    Cut,
    Fault,
    Forward,
    Part,
    Refused,
    ResetEarly,
    Shape,
    Shaped,
    Trickle,
    Whole,
)
from tests.fault_proxy.proxy import CREATE, ELSEWHERE, LOOK, FaultProxy, Target, fault_proxy

FORM = (
    "charge=ch_1&amount=20000&reason=duplicate&metadata%5Brefund_domain_id%5D=r-1",
    {"Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": "r-1"},
)


class Upstream:
    """A server that answers each request with its number, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str | None, bytes]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                key = self.headers.get("Idempotency-Key")
                outer.asked.append((self.command, self.path, key, self.rfile.read(length)))
                body = json.dumps({"number": len(outer.asked)}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Request-Id", "req_1")
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def stop(self) -> None:
        """Close and wait."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A fresh upstream."""
    upstream = Upstream()
    yield upstream
    upstream.stop()


@pytest.fixture
def proxy(upstream: Upstream) -> Iterator[FaultProxy]:
    """A proxy before it."""
    with fault_proxy(upstream.base_address) as proxy:
        yield proxy


def _connect(proxy: FaultProxy, timeout_s: float = 5.0) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(proxy.base_address.removeprefix("http://"), timeout=timeout_s)


def _post(proxy: FaultProxy, timeout_s: float = 5.0) -> tuple[int, bytes]:
    connection = _connect(proxy, timeout_s)
    try:
        connection.request("POST", "/v1/refunds", *FORM)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _raw(proxy: FaultProxy, timeout_s: float = 5.0) -> bytes:
    """All bytes that come back for one POST, until the proxy closes; a reset or a timeout raises."""
    host, port = proxy.base_address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=timeout_s) as connection:
        body = FORM[0].encode()
        head = f"POST /v1/refunds HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + body)
        got = b""
        while more := connection.recv(65536):
            got += more
        return got


def test_what_is_not_in_the_script_passes_untouched_over_one_connection(
    proxy: FaultProxy, upstream: Upstream
) -> None:
    """Three requests over one kept connection arrive as they were sent, and their answers come back whole."""
    connection = _connect(proxy)
    connection.request("GET", "/v1/charges/ch_1?expand=x")
    first = connection.getresponse()
    assert (first.status, first.headers["Request-Id"], json.load(first)) == (200, "req_1", {"number": 1})
    sock = connection.sock
    for number in (2, 3):
        connection.request("POST", "/v1/refunds", *FORM)
        assert json.load(connection.getresponse()) == {"number": number}
    assert connection.sock is sock
    connection.close()
    assert upstream.asked[0][:2] == ("GET", "/v1/charges/ch_1?expand=x")
    assert upstream.asked[1] == ("POST", "/v1/refunds", "r-1", FORM[0].encode())
    assert [(request.method, request.path) for request in proxy.seen] == [
        (method, path) for method, path, _, _ in upstream.asked
    ]
    assert proxy.seen == proxy.forwarded
    assert (len(proxy.requests(LOOK)), len(proxy.requests(CREATE))) == (1, 2)
    assert proxy.requests(CREATE)[0].fields["charge"] == "ch_1"


def test_requests_sent_in_one_go_are_answered_in_order(proxy: FaultProxy, upstream: Upstream) -> None:
    """What was read too much belongs to the next request, and is not lost."""
    host, port = proxy.base_address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(
            b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        got = b""
        while more := connection.recv(65536):
            got += more
    assert got.count(b'{"number": ') == 2
    assert [path for _, path, _, _ in upstream.asked] == ["/a", "/b"]


def test_each_fault_strikes_the_next_request_of_its_target_in_order(proxy: FaultProxy) -> None:
    """A fault waits for its own kind of request, strikes once, and the next one follows."""
    proxy.script(CREATE, FAULTS["409"], FAULTS["429"])
    proxy.script(Target("GET", "/v1/refunds"), FAULTS["500"])
    connection = _connect(proxy)
    statuses = []
    for method, path in [("GET", "/v1/charges/x"), ("POST", "/v1/refunds"), ("GET", "/v1/refunds?charge=x")] * 3:
        connection.request(method, path, "")
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    assert statuses == [200, 409, 500, 200, 429, 200, 200, 200, 200]
    assert proxy.unused == 0


@attrs.frozen
class Raises:
    """http.client raises one of these."""

    errors: tuple[type[Exception], ...]


CLOSED = Raises((http.client.RemoteDisconnected,))
RESET = Raises((ConnectionResetError,))
RESET_EARLY = Raises((ConnectionResetError, BrokenPipeError))
LATE = Raises((TimeoutError,))
CUT = Raises((http.client.IncompleteRead,))
TABLE: dict[str, tuple[int, Raises | int | tuple[int, bytes] | None]] = {
    "refused": (0, Raises((ConnectionRefusedError,))),
    "reset at accept": (0, RESET_EARLY),
    "reset at the first byte": (0, RESET_EARLY),
    "dropped before forward": (0, CLOSED),
    "reset before forward": (0, RESET),
    "silence, never forwarded": (0, LATE),
    "cut after forward": (1, CLOSED),
    "reset after forward": (1, RESET),
    "cut mid-headers": (1, None),  # http.client reads half a head as a whole one: looked at below, byte by byte
    "cut mid-body": (1, CUT),
    "reset mid-body": (1, RESET),
    "stall before the answer": (1, LATE),
    "stall mid-body": (1, LATE),
    "body trickles": (1, (200, b'{"number": 1}')),
    "headers trickle": (1, (200, b'{"number": 1}')),
    "duplicate, first answer": (2, (200, b'{"number": 1}')),
    "duplicate, second answer": (2, (200, b'{"number": 2}')),
    "duplicate, cut": (2, CLOSED),
    "forward later": (0, CLOSED),
    "forward later, 502 now": (0, 502),
    "held": (0, LATE),
    "409": (0, 409),
    "429": (0, 429),
    "429, lock": (0, 429),
    "500": (0, 500),
    "502, HTML": (0, 502),
    "503": (0, 503),
    "401": (0, 401),
    "403, HTML": (0, 403),
    "200, HTML": (0, (200, b"<html><body><h1>Welcome to the hotel</h1></body></html>")),
    "200, empty": (0, (200, b"")),
    "200, a charge": (0, (200, b'{"object": "charge", "id": "ch_another"}')),
    "200, another's refund": (0, 200),
    "500 after forward": (1, 500),
    "502, HTML after forward": (1, 502),
    "200, empty after forward": (1, (200, b"")),
    "302": (0, 302),
    "303": (0, 303),
    "307": (0, 307),
    "308": (0, 308),
    "length too long": (1, CUT),
    "length too short": (1, (200, b'{"numb')),
    "no length": (1, (200, b'{"number": 1}')),
    "no length, cut": (1, (200, b'{"numb')),
    "chunked": (1, (200, b'{"number": 1}')),
    "bad chunk": (1, CUT),
    "chunks cut": (1, CUT),
    "garbage status line": (1, Raises((http.client.BadStatusLine,))),
    "100 first": (1, (200, b'{"number": 1}')),
    "103 first": (1, 103),  # http.client takes any interim answer but a 100 for the last word
    "gzip": (1, 200),
    "gzip that is none": (1, (200, b'{"number": 1}')),
    "Stripe-Notice": (1, (200, b'{"number": 1}')),
}
"""What each fault does to a POST: how often the upstream was asked, and what http.client makes of the answer."""


def test_the_table_knows_every_fault() -> None:
    """No fault is used that was not tried here."""
    assert set(TABLE) == set(FAULTS)


@pytest.mark.parametrize("name", TABLE)
def test_each_fault_does_what_it_says(name: str, proxy: FaultProxy, upstream: Upstream) -> None:
    """The upstream is asked as often as the fault says, and the client reads what the fault says."""
    executed, reads = TABLE[name]
    proxy.script(CREATE, FAULTS[name])
    timeout_s = 0.3 if reads is LATE else 5.0
    match reads:
        case Raises(errors):
            with pytest.raises(errors):
                _post(proxy, timeout_s)
        case int():
            assert _post(proxy)[0] == reads
        case tuple():
            assert _post(proxy) == reads
        case None:
            _post(proxy)
    assert len(upstream.asked) == len(proxy.forwarded) == executed
    of_connections = isinstance(FAULTS[name].answering, Refused | ResetEarly)
    assert len(proxy.requests(CREATE)) == (0 if of_connections else 1)
    assert proxy.unused == 0
    if not of_connections:
        assert proxy.wait_until_struck(0.1) is FAULTS[name]
    later = FAULTS[name].forward is Forward.LATER
    assert proxy.release() == (1 if later else 0)
    assert len(upstream.asked) == len(proxy.forwarded) == executed + (1 if later else 0)
    if later:
        assert upstream.asked == [("POST", "/v1/refunds", "r-1", FORM[0].encode())]


@pytest.mark.parametrize("name", ["409", "gzip", "Stripe-Notice", "200, empty", "302"])
def test_after_a_fault_that_answers_whole_the_connection_goes_on(name: str, proxy: FaultProxy) -> None:
    """The client's pool is used again: what comes after the fault comes over the same connection."""
    proxy.script(CREATE, FAULTS[name])
    connection = _connect(proxy)
    connection.request("POST", "/v1/refunds", *FORM)
    connection.getresponse().read()
    sock = connection.sock
    assert sock is not None
    connection.request("GET", "/v1/charges/ch_1")
    assert connection.getresponse().status == 200
    assert connection.sock is sock
    connection.close()


def test_refused_lasts_and_closes_what_was_connected(proxy: FaultProxy) -> None:
    """Nothing listens any more, and a kept connection is of no use either."""
    connection = _connect(proxy)
    connection.request("GET", "/v1/charges/ch_1")
    connection.getresponse().read()
    proxy.script(LOOK, FAULTS["refused"])
    connection.request("GET", "/v1/charges/ch_1")
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        connection.getresponse()
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        _post(proxy)


@pytest.mark.parametrize("name", ["reset at accept", "reset at the first byte"])
def test_a_connection_reset_early_is_the_next_one_only(proxy: FaultProxy, name: str) -> None:
    """One connection is reset, the one after it is served."""
    proxy.script(CREATE, FAULTS[name])
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        _post(proxy)
    assert _post(proxy)[0] == 200


def test_the_bytes_of_what_is_cut(proxy: FaultProxy) -> None:
    """Half the headers are half the headers; half the body promises the whole."""
    proxy.script(CREATE, FAULTS["cut mid-headers"], FAULTS["cut mid-body"], FAULTS["chunks cut"])
    half_head, half_body, chunks = _raw(proxy), _raw(proxy), _raw(proxy)
    assert half_head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\n\r\n" not in half_head
    assert half_body.endswith(b'\r\n\r\n{"numb')
    assert b"Content-Length: 13\r\n" in half_body
    assert chunks.endswith(b'\r\nd\r\n{"number": 3}\r\n')


def test_the_bytes_of_what_is_written_wrong(proxy: FaultProxy) -> None:
    """Lengths lie, a chunk lacks its size, an interim answer stands before the last, gzip is gzip."""
    names = ["length too short", "bad chunk", "100 first", "103 first", "gzip", "Stripe-Notice"]
    proxy.script(CREATE, *(FAULTS[name] for name in names))
    short, chunk, first_100, first_103, packed, notice = (_raw(proxy) for _ in names)
    assert b"Content-Length: 6\r\n" in short
    assert short.endswith(b'\r\n\r\n{"number": 1}')
    assert b"no size\r\n" in chunk
    assert first_100.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert first_103.startswith(b"HTTP/1.1 103 Early Hints\r\n")
    assert b"\r\n\r\nHTTP/1.1 200 OK\r\n" in first_103
    assert gzip.decompress(packed.partition(b"\r\n\r\n")[2]) == b'{"number": 5}'
    assert b"\r\nStripe-Notice: upgrade soon\r\n" in notice


@pytest.mark.parametrize("at_first", [False, True])
def test_a_trickle_is_slow_and_whole(proxy: FaultProxy, at_first: bool) -> None:
    """Some bytes come one by one: more than one read brings them."""
    proxy.script(CREATE, Fault(Forward.ONCE, Trickle(slowly=5, every_s=0.02, at_first=at_first)))
    host, port = proxy.base_address.removeprefix("http://").split(":")
    reads = []
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(b"POST /v1/refunds HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while more := connection.recv(65536):
            reads.append(more)
    assert b"".join(reads).startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"".join(reads).endswith(b'{"number": 1}')
    assert len(reads) > 1
    assert len(reads[0 if at_first else -1]) <= 5


def test_a_redirect_leads_to_what_the_client_wishes_to_read(proxy: FaultProxy) -> None:
    """Elsewhere stands a perfect refund for a POST and the real answer for a GET; going there is on record."""
    proxy.script(CREATE, FAULTS["302"])
    proxy.script(LOOK, FAULTS["307"])
    connection = _connect(proxy)
    bodies = []
    for method, path, body in [("POST", "/v1/refunds", FORM[0]), ("GET", "/v1/charges/ch_1", "")]:
        connection.request(method, path, body)
        answer = connection.getresponse()
        answer.read()
        location = answer.headers["Location"]
        assert location.startswith(proxy.base_address + ELSEWHERE)
        connection.request("GET", location.removeprefix(proxy.base_address))
        bodies.append(json.load(connection.getresponse()))
    connection.close()
    assert bodies[0]["object"] == "refund"
    assert (bodies[0]["amount"], bodies[0]["metadata"]) == (20_000, {"refund_domain_id": "r-1"})
    assert bodies[1] == {"number": 1}
    assert len(proxy.requests(Target("GET", ELSEWHERE))) == 2


def test_another_refund_is_the_one_asked_for_but_for_its_changes(proxy: FaultProxy) -> None:
    """Everything is as asked, only the id and the mark are another's."""
    proxy.script(CREATE, FAULTS["200, another's refund"])
    refund = json.loads(_post(proxy)[1])
    assert (refund["id"], refund["charge"], refund["amount"]) == ("re_another", "ch_1", 20_000)
    assert refund["metadata"] == {"refund_domain_id": "other"}


@pytest.mark.parametrize("forward", [Forward.NEVER, Forward.LATER])
@pytest.mark.parametrize(
    "answering", [Whole(), Trickle(), Shaped(shape=Shape.GZIP), Cut(after=Part.HALF_THE_BODY)]
)
def test_an_upstream_that_was_not_asked_gives_no_answer(
    forward: Forward, answering: Whole | Trickle | Shaped | Cut
) -> None:
    """A fault that contradicts itself cannot be made."""
    with pytest.raises(ValueError, match="not asked"):
        Fault(forward, answering)


def test_a_second_answer_needs_a_second_request() -> None:
    """Only what was forwarded twice has two answers."""
    with pytest.raises(ValueError, match="each time"):
        Fault(Forward.ONCE, Whole(answer=1))


def test_an_upstream_that_is_gone_is_no_fault_of_the_script(upstream: Upstream) -> None:
    """A test whose double died fails loudly; it does not pass for a fault."""
    proxy = FaultProxy("http://127.0.0.1:1")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        _post(proxy)
    with pytest.raises(RuntimeError, match="upstream"):
        proxy.stop()
