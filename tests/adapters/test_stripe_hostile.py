"""The Stripe gateway against a server that misbehaves: what each fault means for the money, and what went out."""

from __future__ import annotations

import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests
import stripe
import urllib3
from stripe import RequestOptions
from stripe.params import ChargeRetrieveParams, DisputeListParams, RefundCreateParams, RefundListParams

from refund_adapters.memory import MemoryJournal
from refund_adapters.stripe import StripeGateway, _guard
from refund_domain import Actor, RefundService
from refund_domain.answers import (
    Accepted,
    Answer,
    Declined,
    Missing,
    NotSent,
    OutcomeUnknown,
    Picture,
    Send,
    Unread,
)
from refund_domain.commands import Reason
from refund_domain.connect import DirectCharge, PlatformCharge
from refund_domain.money import Currency, Money
from refund_domain.payments import PLATFORM, PaymentRef
from tests.adapters.hostile_server import (
    AMPLE_S,
    QUICK_S,
    SOON_S,
    Act,
    HostileServer,
    answer,
    cut,
    hang_up,
    hostile_server,
    late,
    redirect,
    refund_of_request,
    reset,
    silence,
    stall,
    time_for,
    trickle,
    unused_port,
)
from tests.canaries import KEY, LIVE_KEY, OF_HOST, PERSONAL, TEXT, found_in

USD = Currency.of("usd")
REF = PaymentRef(PLATFORM, "ch_1")


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep stripe-python from writing its id into the home of whoever runs the tests."""
    monkeypatch.setattr(stripe, "enable_telemetry", False)


def _gateway(address: str, key: str = KEY, **changes: Any) -> StripeGateway:
    times: dict[str, Any] = {"connect_timeout_s": AMPLE_S, "read_timeout_s": AMPLE_S, "read_budget_s": AMPLE_S}
    return StripeGateway(key, base_address=address, **{**times, **changes})


def _send(payment: PaymentRef = REF, **changes: Any) -> Send:
    fields: dict[str, Any] = {
        "refund_id": "r-1",
        "claim": 1,
        "payment": payment,
        "amount": Money(20_000, USD),
        "reason": Reason.REQUESTED_BY_CUSTOMER,
        "split": PlatformCharge() if payment.account == PLATFORM else DirectCharge(),
    }
    return Send(**{**fields, **changes})


def _error(**error: object) -> dict[str, object]:
    more = {"message": f"No. {TEXT}", "source": {"object": "card", "number": TEXT, **PERSONAL}}
    return {"error": {"type": "invalid_request_error", **more, **error}}


def _charge(**changes: object) -> dict[str, object]:
    charge: dict[str, object] = {
        "object": "charge",
        "id": "ch_1",
        "amount_captured": 20_000,
        "amount_refunded": 0,
        "created": 1_760_000_000,
        "currency": "usd",
        "disputed": False,
        "payment_method_details": {"type": "card"},
        "status": "succeeded",
    }
    return {**PERSONAL, "metadata": OF_HOST, **charge, **changes}


def _refund(refund_id: str = "re_1", **changes: object) -> dict[str, object]:
    refund: dict[str, object] = {
        "object": "refund",
        "id": refund_id,
        "amount": 100,
        "charge": "ch_1",
        "created": 1_760_000_000,
        "currency": "usd",
        "status": "succeeded",
    }
    return {**PERSONAL, "metadata": OF_HOST, **refund, **changes}


def _dispute(dispute_id: str = "dp_1", **changes: object) -> dict[str, object]:
    dispute = {"object": "dispute", "id": dispute_id, "amount": 500, "charge": "ch_1", "currency": "usd"}
    return {**PERSONAL, "evidence": PERSONAL, **dispute, "status": "needs_response", **changes}


def _page(*members: object, has_more: bool = False) -> Act:
    return answer(200, {"object": "list", "data": list(members), "has_more": has_more, "url": "/v1/x"})


# --- a send: what each fault means ------------------------------------------------------------------------

UNKNOWN = (OutcomeUnknown, True, None)
BURNT = (OutcomeUnknown, False, None)
STRANGE = (OutcomeUnknown, False, "not_stripe")
NOT_OURS = (OutcomeUnknown, False, "not_our_refund")
LOOK_AGAIN = (OutcomeUnknown, True, "not_stripe")
FAULTS: dict[str, tuple[Act, Any]] = {
    "silence": (silence, UNKNOWN),
    "hang up": (hang_up, UNKNOWN),
    "reset": (reset, UNKNOWN),
    "body cut": (cut(200, _refund(), 20), UNKNOWN),
    "body cut before its first byte": (cut(200, _refund(), 0), UNKNOWN),
    "body stalls": (stall(200, _refund(), 20), UNKNOWN),
    "headers trickle": (trickle(200, _refund(), quickly=5), UNKNOWN),
    "body trickles": (trickle(200, _refund(), quickly=70), UNKNOWN),
    "200, empty": (answer(200, ""), UNKNOWN),
    "200, HTML": (answer(200, "<html>Welcome to the hotel</html>"), UNKNOWN),
    "200, half an object": (answer(200, '{"object": "refund", "id": '), UNKNOWN),
    "204, empty": (answer(204, ""), UNKNOWN),
    "200, a list": (answer(200, [_refund()]), NOT_OURS),
    "200, a text": (answer(200, '"refund"'), NOT_OURS),
    "200, null": (answer(200, None), NOT_OURS),
    "200, an error": (answer(200, _error()), NOT_OURS),
    "200, a charge": (answer(200, _charge()), NOT_OURS),
    "200, no mark": (refund_of_request({"metadata": None}), NOT_OURS),
    "200, another mark": (refund_of_request({"metadata": {"refund_domain_id": "r-2"}}), NOT_OURS),
    "200, another amount": (refund_of_request({"amount": 19_999}), NOT_OURS),
    "200, another currency": (refund_of_request({"currency": "eur"}), NOT_OURS),
    "200, another charge": (refund_of_request({"charge": "ch_2"}), NOT_OURS),
    "200, no id": (refund_of_request({"id": None}), NOT_OURS),
    "200, giant amount": (answer(200, '{"object": "refund", "amount": ' + "9" * 5000 + "}"), UNKNOWN),
    "200, deep": (answer(200, '{"a":' * 50_000 + "1" + "}" * 50_000), UNKNOWN),
    "201, our refund": (answer(201, _refund(amount=20_000, metadata={"refund_domain_id": "r-1"})), Accepted),
    "302": (redirect("/v1/refunds/re_1"), STRANGE),
    "302 to nowhere": (redirect("http://[broken"), STRANGE),
    "303": (redirect("/v1/refunds/re_1", 303), STRANGE),
    "307": (redirect("/v1/refunds", 307), STRANGE),
    "308": (redirect("/v1/refunds", 308), STRANGE),
    "304": (answer(304, ""), STRANGE),
    "400, a code": (answer(400, _error(code="charge_disputed")), Declined),
    "400, HTML": (answer(400, "<html>Bad Request</html>"), LOOK_AGAIN),
    "400, another API's JSON": (answer(400, {"error": "bad request"}), LOOK_AGAIN),
    "400, error null": (answer(400, {"error": None}), LOOK_AGAIN),
    "400, a list": (answer(400, [1]), LOOK_AGAIN),
    "400, key reused": (answer(400, _error(type="idempotency_error")), (OutcomeUnknown, False, "key_reused")),
    "401": (answer(401, _error()), (NotSent, "credentials")),
    "401, HTML": (answer(401, "<html>Log in</html>"), LOOK_AGAIN),
    "402": (answer(402, _error(type="card_error", code="card_declined")), Declined),
    "403": (answer(403, _error(code="more_permissions_required")), (NotSent, "credentials")),
    "403, HTML": (answer(403, "<html>Forbidden by policy</html>"), LOOK_AGAIN),
    "404": (answer(404, _error(code="resource_missing", param="id")), Declined),
    "404, HTML": (answer(404, "<html>Not here</html>"), LOOK_AGAIN),
    "407": (answer(407, ""), LOOK_AGAIN),
    "409": (answer(409, _error(code="idempotency_key_in_use")), UNKNOWN),
    "409, HTML": (answer(409, "<html>Conflict</html>"), UNKNOWN),
    "424": (answer(424, _error(type="api_error")), BURNT),
    "429": (answer(429, _error(code="rate_limit")), (NotSent, None)),
    "429, lock": (answer(429, _error(code="lock_timeout")), (NotSent, None)),
    "429, HTML": (answer(429, "<html>Slow down</html>"), UNKNOWN),
    "500": (answer(500, _error(type="api_error")), BURNT),
    "500, HTML": (answer(500, "<html>Oops</html>"), BURNT),
    "500, another API's JSON": (answer(500, {"error": "oops"}), BURNT),
    "502, empty": (answer(502, ""), BURNT),
    "503, HTML": (answer(503, "<html>Back soon</html>"), BURNT),
    "504": (answer(504, {"message": "upstream"}), BURNT),
    "no HTTP": (lambda connection, _request, _ended: connection.sendall(b"SSH-2.0-nonsense\r\n\r\n"), UNKNOWN),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_each_fault_means_for_a_send(name: str) -> None:
    """One POST went out, nothing raised, and the answer is the one the facts' table names."""
    # failure: B12
    act, expected = FAULTS[name]
    with hostile_server(act) as server:
        began = time.monotonic()
        got = _gateway(server.base_address, read_timeout_s=time_for(name)).send(_send())
        assert time.monotonic() - began < SOON_S
        assert [(request.method, request.path) for request in server.received] == [("POST", "/v1/refunds")]
    _matches(got, expected)


def _matches(got: Answer, expected: Any) -> None:
    if isinstance(expected, type):
        assert isinstance(got, expected), got
    elif expected[0] is NotSent:
        assert isinstance(got, NotSent), got
        assert got.alarm == expected[1]
    else:
        assert isinstance(got, OutcomeUnknown), got
        assert (got.resend, got.alarm) == expected[1:]


@pytest.mark.parametrize("name", [name for name, (_, expected) in FAULTS.items() if isinstance(expected, tuple)])
def test_words_of_an_answer_are_short_and_repeat_nothing(name: str) -> None:
    """Why and alarm hold no body, no address and no key: they end up in logs and on pages."""
    act, _ = FAULTS[name]
    with hostile_server(act) as server:
        text = repr(_gateway(server.base_address, read_timeout_s=time_for(name)).send(_send()))
    assert len(text) < 200
    assert not found_in(text)
    for leak in ("127.0.0.1", "<html>", "hotel", "No.", "ch_1"):
        assert leak not in text


def test_the_target_of_a_redirect_is_never_called() -> None:
    """A 302 whose target would answer with a perfect refund is unknown, and the target hears nothing."""
    mine = _refund(amount=20_000, metadata={"refund_domain_id": "r-1"})
    with hostile_server(answer(200, mine)) as target:
        for status in (301, 302, 303, 307, 308):
            with hostile_server(redirect(f"{target.base_address}/v1/refunds/re_1", status)) as server:
                got = _gateway(server.base_address).send(_send())
                assert isinstance(got, OutcomeUnknown)
                assert (got.resend, got.alarm) == (False, "not_stripe")
                assert len(server.received) == 1
        assert target.received == []


def test_the_target_of_a_redirect_is_never_read() -> None:
    """A look is not led elsewhere either: the key would go with it."""
    with hostile_server(answer(200, _charge())) as target:
        with hostile_server(redirect(f"{target.base_address}/v1/charges/ch_1")) as server:
            unread = _gateway(server.base_address).look(REF)
        assert target.received == []
    assert isinstance(unread, Unread)
    assert unread.alarm == "not_stripe"


# --- a send: what certainly never left --------------------------------------------------------------------


def test_a_refused_connection_is_not_sent() -> None:
    """Nothing listens: not one byte left, so the claim's doubt is cleared and no person is called."""
    got = _gateway(f"http://127.0.0.1:{unused_port()}").send(_send())
    assert isinstance(got, NotSent)
    assert got.alarm is None


def test_a_name_that_does_not_resolve_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an address there is nobody to send to."""

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert isinstance(_gateway("https://refunds.invalid").send(_send()), NotSent)


def test_a_connection_that_is_never_made_is_not_sent() -> None:
    """A timeout while connecting is before the first byte; it ends at connect_timeout_s."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        for _ in range(4):  # fill the queue of connections nobody accepts
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(full.getsockname())
            waiting.append(client)
        began = time.monotonic()
        address = f"http://127.0.0.1:{full.getsockname()[1]}"
        got = _gateway(address, connect_timeout_s=0.3).send(_send())
        assert time.monotonic() - began < SOON_S
        for client in waiting:
            client.close()
    assert isinstance(got, NotSent)


@pytest.mark.parametrize(
    ("cause", "certain"),
    [
        (requests.exceptions.ConnectTimeout(), True),
        (requests.exceptions.ReadTimeout(), False),
        (requests.exceptions.SSLError(), False),
        (requests.exceptions.ProxyError(), False),
        (requests.exceptions.ChunkedEncodingError(), False),
        (requests.exceptions.ConnectionError(), False),
        (requests.exceptions.ConnectionError(urllib3.exceptions.ProtocolError("aborted")), False),
        (requests.exceptions.ConnectionError("NewConnectionError: refused"), False),
        (ConnectionRefusedError(), False),
        (TimeoutError(), False),
        (None, False),
    ],
)
def test_only_the_exact_causes_prove_that_nothing_left(cause: Exception | None, certain: bool) -> None:
    """When unsure, the outcome is unknown: a kindred exception or a text that sounds alike proves nothing."""
    error = stripe.APIConnectionError("no connection")  # type: ignore[no-untyped-call]
    error.__cause__ = cause
    assert _guard.never_left(error) is certain


# --- a send: what goes out --------------------------------------------------------------------------------


def _fields(body: str) -> dict[str, str]:
    return dict(parse_qsl(body, keep_blank_values=True, strict_parsing=True))


@pytest.mark.parametrize("account", [PLATFORM, "acct_1"])
def test_exactly_what_goes_out(account: str) -> None:
    """The charge, the plain amount, the reason, the mark; key and account as headers, and nothing besides."""
    with hostile_server(refund_of_request()) as server:
        send = _send(PaymentRef(account, "ch_1"), reason=Reason.DUPLICATE, refund_id="r-7")
        got = _gateway(server.base_address).send(send)
    assert isinstance(got, Accepted)
    (request,) = server.received
    assert _fields(request.body) == {
        "charge": "ch_1",
        "amount": "20000",
        "reason": "duplicate",
        "metadata[refund_domain_id]": "r-7",
    }
    assert request.headers["idempotency-key"] == "r-7"
    assert request.headers.get("stripe-account") == (None if account == PLATFORM else account)
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert "cookie" not in request.headers


def _names(params: type) -> set[str]:
    """The parameter names of one of stripe-python's own types, without the request options it inherits."""
    return set(params.__annotations__) - set(RequestOptions.__annotations__)


def test_every_parameter_is_one_of_stripe_pythons_own_types() -> None:
    """No name that goes out is unknown to the SDK's types: Stripe would refuse it, our doubles would not."""
    refunds = [_refund(f"re_{number}") for number in range(2)]
    acts = [answer(200, _charge(disputed=True)), _page(refunds[0], has_more=True), _page(refunds[1])]
    acts += [_page(_dispute("dp_1"), has_more=True), _page(_dispute("dp_2")), refund_of_request()]
    with hostile_server(*acts) as server:
        gateway = _gateway(server.base_address)
        seen = gateway.look(REF)
        assert isinstance(seen, Picture)
        assert isinstance(gateway.send(_send()), Accepted)
    assert [refund.id for refund in seen.refunds] == ["re_0", "re_1"]
    assert [dispute.id for dispute in seen.payment.disputes] == ["dp_1", "dp_2"]
    sent = [
        {name.partition("[")[0] for name in _fields(request.body or request.path.partition("?")[2])}
        for request in server.received
    ]
    lists = [{"charge", "limit"}, {"charge", "limit", "starting_after"}]
    expanded = [names | {"expand"} for names in lists]
    assert sent == [{"expand"}, *expanded, *lists, {"charge", "amount", "reason", "metadata"}]
    types = [ChargeRetrieveParams, *[RefundListParams] * 2, *[DisputeListParams] * 2, RefundCreateParams]
    for names, params in zip(sent, types, strict=True):
        assert names <= _names(params)
    assert {request.headers.get("stripe-account") for request in server.received} == {None}
    assert "limit=100" in server.received[1].path
    assert "starting_after=re_0" in server.received[2].path


def test_a_look_names_its_account_on_every_call() -> None:
    """Every read of a connected account's charge carries the account, the last page and the disputes included."""
    acts = [answer(200, _charge(disputed=True)), _page(_refund(), has_more=True), _page(), _page(_dispute())]
    with hostile_server(*acts) as server:
        seen = _gateway(server.base_address).look(PaymentRef("acct_1", "ch_1"))
        assert isinstance(seen, Picture)
        assert [request.headers.get("stripe-account") for request in server.received] == ["acct_1"] * 4


def test_no_netrc_changes_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """requests would put a .netrc entry where stripe-python wrote the key; here the key stays."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with hostile_server(refund_of_request()) as server:
        _gateway(server.base_address).send(_send())
    assert server.received[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_proxy_of_the_environment_is_used_and_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts behind a proxy name it in the environment; its answers have no more time than others'."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with hostile_server(refund_of_request(), trickle(200, _refund(), quickly=5)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.base_address)
        gateway = _gateway("http://127.0.0.1:9", read_timeout_s=QUICK_S)
        assert isinstance(gateway.send(_send()), Accepted)
        began = time.monotonic()
        assert isinstance(gateway.send(_send()), OutcomeUnknown)
        assert time.monotonic() - began < SOON_S
        assert [request.path for request in proxy.received] == ["http://127.0.0.1:9/v1/refunds"] * 2
    assert isinstance(gateway.send(_send()), OutcomeUnknown)  # the proxy is gone: unsure, so unknown


def test_a_cookie_is_not_kept() -> None:
    """Nothing a server sets for one account travels with the next call."""
    with hostile_server(refund_of_request(headers={"Set-Cookie": "a=b; Path=/"}), refund_of_request()) as server:
        gateway = _gateway(server.base_address)
        gateway.send(_send())
        gateway.send(_send())
    assert "cookie" not in server.received[1].headers


# --- warnings, interrupts, another transport ----------------------------------------------------------------


def test_a_notice_of_stripes_goes_to_the_log_and_the_refund_is_accepted(caplog: pytest.LogCaptureFixture) -> None:
    """stripe-python would warn after the POST; where warnings are errors that would lose a good answer."""
    with (
        hostile_server(refund_of_request(headers={"Stripe-Notice": "upgrade soon"})) as server,
        warnings.catch_warnings(),
        caplog.at_level(logging.WARNING, "refund_adapters.stripe"),
    ):
        warnings.simplefilter("error")
        got = _gateway(server.base_address).send(_send())
    assert isinstance(got, Accepted)
    assert "upgrade soon" in caplog.text


def test_a_notice_raises_with_no_client_of_the_hosts_own_either() -> None:
    """The guard stands before every client, so a warning cannot come between the POST and its answer."""
    session = requests.Session()
    session.max_redirects = 0
    with (
        hostile_server(refund_of_request(headers={"Stripe-Notice": "upgrade soon"})) as server,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        client = stripe.RequestsClient(timeout=AMPLE_S, session=session)
        assert isinstance(_gateway(server.base_address, http_client=client).send(_send()), Accepted)
        assert len(server.posts) == 1


class _Raising(stripe.HTTPClient):
    """A transport that raises what it is told, as if the request had left."""

    name = "raising"

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def request(  # type: ignore[override]
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: object = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        raise self._error


@pytest.mark.parametrize(
    "error", [RuntimeError(f"with {KEY}"), TimeoutError(), OSError(), UserWarning(), MemoryError()]
)
def test_any_exception_once_the_call_has_begun_is_unknown(error: Exception) -> None:
    """What nobody foresaw is doubt; its message, which may repeat what was sent, goes no further."""
    gateway = _gateway("http://127.0.0.1:9", http_client=_Raising(error))
    got = gateway.send(_send())
    assert isinstance(got, OutcomeUnknown)
    assert got.resend
    assert got.why == type(error).__name__
    unread = gateway.look(REF)
    assert unread == Unread(why=type(error).__name__)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit()])
def test_interrupts_pass_through(error: BaseException) -> None:
    """They are the host's; the claim without an answer is the record of the doubt."""
    gateway = _gateway("http://127.0.0.1:9", http_client=_Raising(error))
    with pytest.raises(type(error)):
        gateway.send(_send())
    with pytest.raises(type(error)):
        gateway.look(REF)


def test_nothing_is_ever_retried_even_if_the_process_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """One send is one POST, whatever stripe-python's global says and the server asks for."""
    monkeypatch.setattr(stripe, "max_network_retries", 3)
    for act in (answer(500, _error(), {"Stripe-Should-Retry": "true"}), answer(409, _error()), hang_up):
        with hostile_server(act, refund_of_request()) as server:
            assert isinstance(_gateway(server.base_address).send(_send()), OutcomeUnknown)
            assert len(server.received) == 1


# --- TLS ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, made for this run."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no `openssl` on the path to make a certificate with")
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    arguments = "req -x509 -nodes -days 2 -newkey rsa:2048 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    command = [openssl, *arguments.split(), "-keyout", str(file), "-out", str(file) + ".crt"]
    subprocess.run(command, check=True, capture_output=True)
    file.write_text(file.read_text() + Path(str(file) + ".crt").read_text())
    return file


def _over_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_over_tls_a_refund_is_accepted_and_a_trickle_is_cut_short(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What holds over plain sockets holds over encrypted ones, which is how Stripe is reached."""
    monkeypatch.setattr(stripe, "ca_bundle_path", str(certificate))
    acts = [refund_of_request(), trickle(200, _refund(), quickly=70), trickle(200, _refund(), quickly=5), silence]
    with hostile_server(*acts, tls=_over_tls(certificate)) as server:
        gateway = _gateway(server.base_address, read_timeout_s=QUICK_S)
        assert isinstance(gateway.send(_send()), Accepted)
        for _ in range(3):
            began = time.monotonic()
            assert isinstance(gateway.send(_send()), OutcomeUnknown)
            assert time.monotonic() - began < SOON_S
        assert len(server.posts) == 4


def test_a_certificate_nobody_vouches_for_gets_no_byte_of_ours(certificate: Path) -> None:
    """The key never reaches a server that cannot prove its name; the answer stays doubt, which is always safe."""
    with hostile_server(refund_of_request(), tls=_over_tls(certificate)) as server:
        gateway = _gateway(server.base_address)
        assert isinstance(gateway.send(_send()), OutcomeUnknown)
        assert isinstance(gateway.look(REF), Unread)
        assert server.received == []


# --- a look -----------------------------------------------------------------------------------------------


def _look(*acts: Act, **options: Any) -> tuple[object, HostileServer]:
    with hostile_server(*acts) as server:
        return _gateway(server.base_address, **options).look(REF), server


CHARGE = answer(200, _charge())
DISPUTED = answer(200, _charge(disputed=True))
NO_REFUNDS = _page()
NOT_FOUND = answer(404, _error(code="resource_missing", param="id"))


FAULTS_OF_ANY_CALL = [
    name
    for name, (act, _) in FAULTS.items()
    # Not these: a 404 may be Missing, a charge is right for the first call, and some answer a POST's own fields.
    if name not in ("404", "200, a charge") and "refund_of_request" not in act.__qualname__
]


@pytest.mark.parametrize("name", FAULTS_OF_ANY_CALL)
@pytest.mark.parametrize("before", [[], [CHARGE], [DISPUTED, NO_REFUNDS]], ids=["charge", "refunds", "disputes"])
def test_any_fault_in_any_part_of_a_look_is_unread(name: str, before: list[Act]) -> None:
    """A look of which any part failed decides nothing, and does not raise."""
    act, _ = FAULTS[name]
    seen, server = _look(*before, act, read_timeout_s=time_for(name))
    assert isinstance(seen, Unread)
    assert len(server.received) == len(before) + 1
    assert server.posts == []


def test_a_charge_that_is_not_there_is_missing_but_its_lists_are_not() -> None:
    """A 404 of the charge is Missing; of a list after the charge was read it is a contradiction."""
    assert _look(NOT_FOUND)[0] == Missing()
    assert isinstance(_look(CHARGE, NOT_FOUND)[0], Unread)
    assert isinstance(_look(DISPUTED, NO_REFUNDS, NOT_FOUND)[0], Unread)


@pytest.mark.parametrize(
    ("act", "alarm"),
    [
        (answer(401, _error()), "credentials"),
        (answer(403, _error()), "credentials"),
        (answer(403, _error(code="account_invalid")), "set_up"),
        (answer(429, _error(code="rate_limit")), None),
        (answer(500, _error()), None),
        (silence, None),
        (redirect("/elsewhere"), "not_stripe"),
    ],
)
def test_a_failed_look_calls_a_person_only_where_waiting_does_not_help(act: Act, alarm: str | None) -> None:
    """Keys, rights and strangers in between raise an alarm; an outage does not."""
    for before in ((), (CHARGE,), (DISPUTED, NO_REFUNDS)):
        seen, _ = _look(*before, act, read_timeout_s=QUICK_S if act is silence else AMPLE_S)
        assert isinstance(seen, Unread)
        assert seen.alarm == alarm


@pytest.mark.parametrize(
    "pages",
    [
        [_page(has_more=True)],
        [_page(_refund("re_1"), has_more=True), _page(_refund("re_1"), has_more=True)],
        [_page(_refund("re_1"), has_more=True), _page(_refund("re_2"), _refund("re_1"))],
        [_page(_refund("re_1"), _refund("re_1"))],
        [_page(_refund("re_1"), has_more=True), _page(has_more=True)],
        [_page(_refund(charge="ch_2"))],
        [_page(_refund(currency="eur"))],
        [_page(_refund(amount=0))],
        [_page(_refund(object="charge"))],
        [_page({})],
        [_page("re_1")],
        [answer(200, {"object": "list", "data": [_refund()]})],
        [answer(200, {"object": "list", "has_more": False})],
    ],
)
def test_a_list_of_refunds_that_contradicts_itself_is_unread(pages: list[Act]) -> None:
    """A list that repeats, does not advance, or holds what does not belong there decides nothing."""
    seen, server = _look(CHARGE, *pages)
    assert isinstance(seen, Unread)
    assert len(server.received) == 1 + len(pages)


@pytest.mark.parametrize(
    "charge",
    [
        _charge(id="ch_2"),
        _charge(object="refund"),
        _charge(currency="??"),
        _charge(disputed=None),
        _charge(amount_captured=-1),
        _charge(amount_refunded=None),
        _charge(status="odd"),
        _charge(created=None),
    ],
)
def test_a_charge_that_is_odd_is_unread(charge: dict[str, object]) -> None:
    """Another charge, or one that lacks what the rules need, decides nothing."""
    assert isinstance(_look(answer(200, charge), NO_REFUNDS)[0], Unread)


@pytest.mark.parametrize(
    "disputes",
    [
        [_page()],
        [_page(_dispute(charge="ch_2"))],
        [_page(_dispute(), has_more=True), _page(has_more=True)],
    ],
)
def test_a_disputed_charge_without_readable_disputes_is_unread(disputes: list[Act]) -> None:
    """Not knowing how much is disputed, nothing is said about what is left."""
    assert isinstance(_look(DISPUTED, NO_REFUNDS, *disputes)[0], Unread)


def test_a_charge_captured_in_part_is_read_without_what_was_released() -> None:
    """Of 100 authorised 40 were captured; the 60 released stand among the refunds and in the figure, and count
    for nothing. Once they are told, every other row is a refund; until then one that may be they is Unread."""
    charge = answer(200, _charge(amount=100_00, amount_captured=40_00, amount_refunded=70_00))
    silent = _refund("re_0", amount=60_00)
    released = {**silent, "balance_transaction": {"reporting_category": "partial_capture_reversal"}}
    told = {"balance_transaction": {"reporting_category": "refund"}}
    for real in (_refund("re_1", amount=10_00, **told), _refund("re_1", amount=10_00)):
        for rows in ((released, real), (real, released)):
            seen, _ = _look(charge, _page(*rows))
            assert isinstance(seen, Picture)
            assert [refund.id for refund in seen.refunds] == ["re_1"]
            assert (seen.payment.captured.amount_minor, seen.payment.given_back.amount_minor) == (40_00, 10_00)
        assert isinstance(_look(charge, _page(silent, real))[0], Unread)


def test_an_authorisation_that_was_let_go_gave_nothing_back() -> None:
    """A charge that was never captured and whose hold was let go lists that among its refunds: nothing was paid,
    nothing has gone back, and nobody is told that more went back than was captured."""
    charge = answer(200, _charge(captured=False, amount_captured=0, amount_refunded=200_00, refunded=True))
    row = _refund("re_0", amount=200_00, reason="expired_uncaptured_charge", balance_transaction=None)
    seen, _ = _look(charge, _page(row))
    assert isinstance(seen, Picture)
    assert (seen.refunds, seen.payment.given_back.amount_minor, seen.payment.captured.amount_minor) == ((), 0, 0)
    maria = Actor(id="maria", tenant="acme")
    for listed in (row, {**row, "reason": None}):
        with hostile_server(charge, _page(listed)) as server:
            gateway = _gateway(server.base_address)
            service = RefundService(gateway, MemoryJournal(), allow=lambda actor, action, ref: True)
            assert [no.code for no in service.quote(REF, by=maria).refusals] == ["not_captured"]
            assert service.attention(by=maria) == ()


def test_the_one_named_dispute_stands_for_the_list_in_test_mode_only() -> None:
    """A double without a list of disputes is read by the dispute its charge names; the live service never is."""
    named = answer(200, _charge(disputed=True, dispute="dp_1"))
    acts = [named, NO_REFUNDS, answer(404, _error()), answer(200, _dispute())]
    with hostile_server(*acts) as server:
        seen = _gateway(server.base_address).look(REF)
        assert isinstance(seen, Picture)
        assert [dispute.id for dispute in seen.payment.disputes] == ["dp_1"]
        assert server.received[3].path == "/v1/disputes/dp_1"
    with hostile_server(*acts) as server:
        assert isinstance(_gateway(server.base_address, LIVE_KEY).look(REF), Unread)
        assert len(server.received) == 3


@pytest.mark.parametrize("act", [answer(500, _error()), answer(401, _error()), answer(404, "<html>"), hang_up])
def test_the_one_named_dispute_stands_in_for_no_other_failure(act: Act) -> None:
    """Only a double without a list says 404 in Stripe's form; any other failure leaves a part unread."""
    named = answer(200, _charge(disputed=True, dispute="dp_1"))
    seen, server = _look(named, NO_REFUNDS, act, answer(200, _dispute()))
    assert isinstance(seen, Unread)
    assert len(server.received) == 3


def test_a_look_ends_with_its_budget() -> None:
    """Pages that each come in time, but together too late, are Unread; the look does not go on reading."""
    pages = [late(0.2, _page(_refund(f"re_{number}"), has_more=True)) for number in range(20)]
    seen, server = _look(CHARGE, *pages, read_budget_s=0.5)
    assert seen == Unread(why="the reading took longer than read_budget_s")
    assert len(server.received) < 6


def test_an_answer_that_trickles_within_its_time_is_read() -> None:
    """Slow is not late: an answer that arrives whole within read_timeout_s counts."""
    with hostile_server(trickle(404, _error(code="resource_missing"), quickly=20, every_s=0.001)) as server:
        assert _gateway(server.base_address, read_timeout_s=20.0).look(REF) == Missing()


def test_an_answer_that_trickles_and_then_stalls_ends_in_its_time() -> None:
    """Bytes that did arrive do not start the time anew: the whole answer has read_timeout_s, no more."""

    def act(connection: socket.socket, _request: object, ended: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        ended.wait(3.5)
        connection.sendall(b"X-Slow: yes\r\n")
        ended.wait(10)

    with hostile_server(act) as server:
        began = time.monotonic()
        got = _gateway(server.base_address, read_timeout_s=4.0).send(_send())
        assert time.monotonic() - began < 7  # a time begun anew would make it 7.5
    assert isinstance(got, OutcomeUnknown)


def test_a_connection_is_used_again_with_its_full_time() -> None:
    """The time of one answer, spent in part, does not shorten the next on the same connection."""
    body = b'{"error": {"type": "invalid_request_error", "code": "resource_missing"}}'
    message = b"HTTP/1.1 404 No\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gateway = _gateway(f"http://127.0.0.1:{listener.getsockname()[1]}", read_timeout_s=1.0)

        def serve() -> None:
            connection, _ = listener.accept()  # once: all three calls come over this connection
            with connection:
                for _ in range(3):
                    connection.recv(65536)
                    time.sleep(0.6)
                    connection.sendall(message)

        thread = threading.Thread(target=serve)
        thread.start()
        assert [gateway.look(REF) for _ in range(3)] == [Missing()] * 3
        thread.join(5)
