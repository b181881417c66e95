"""The Stripe gateway over a real socket, against stripe-stateful-mock: a double of Stripe that others wrote."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import threading
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import stripe

from refund_adapters.stripe import MARK, StripeGateway, _requests, _steps
from refund_domain.answers import Accepted, Declined, Missing, NotSent, OutcomeUnknown, Picture, Send, Unread
from refund_domain.commands import Reason
from refund_domain.connect import DirectCharge, PlatformCharge
from refund_domain.money import Currency, Money
from refund_domain.payments import PLATFORM, ChargeKind, PaymentRef, PaymentStatus
from refund_domain.ports import PaymentGateway
from tests.canaries import KEY, LIVE_KEY, found_in
from tests.stripe_mock import server
from tests.stripe_mock.server import StripeMock

USD = Currency.of("usd")


@pytest.fixture(scope="session")
def mock() -> StripeMock:
    """The mock, started once per process; its absence is a failure with CI=true and a skip elsewhere."""
    reason = server.why_absent()
    if reason is not None and not server.absence_is_a_failure():
        pytest.skip(reason)
    return server.shared()


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep stripe-python from writing its id into the home of whoever runs the tests."""
    monkeypatch.setattr(stripe, "enable_telemetry", False)


@pytest.fixture
def gateway(mock: StripeMock) -> StripeGateway:
    """A gateway whose Stripe is the mock."""
    return StripeGateway(KEY, base_address=mock.base_address)


def _send(
    charge: str, refund_id: str, amount_minor: int = 20_000, account: str = PLATFORM, **changes: Any
) -> Send:
    fields: dict[str, Any] = {
        "refund_id": refund_id,
        "claim": 1,
        "payment": PaymentRef(account, charge),
        "amount": Money(amount_minor, USD),
        "reason": Reason.REQUESTED_BY_CUSTOMER,
        "split": PlatformCharge() if account == PLATFORM else DirectCharge(),
    }
    return Send(**{**fields, **changes})


def _picture(gateway: StripeGateway, charge: str, account: str = PLATFORM) -> Picture:
    seen = gateway.look(PaymentRef(account, charge))
    assert isinstance(seen, Picture), seen
    return seen


# --- look -------------------------------------------------------------------------------------------------


def test_a_look_shows_a_fresh_charge(mock: StripeMock, gateway: StripeGateway) -> None:
    """Amount, method, status and kind of a card charge of the platform; no refunds yet."""
    seen = _picture(gateway, mock.charge(20_000))
    assert seen.refunds == ()
    assert seen.payment.captured == Money(20_000, USD)
    assert seen.payment.given_back == Money(0, USD)
    assert (seen.payment.method, seen.payment.status) == ("card", PaymentStatus.SUCCEEDED)
    assert seen.payment.kind is ChargeKind.PLATFORM


@pytest.mark.parametrize(("currency", "amount_minor"), [("jpy", 500), ("eur", 12_345), ("usd", 99_999_999)])
def test_a_look_takes_the_charges_own_integer(
    mock: StripeMock, gateway: StripeGateway, currency: str, amount_minor: int
) -> None:
    """Nothing is converted, whatever the currency's decimals."""
    seen = _picture(gateway, mock.charge(amount_minor, currency))
    assert seen.payment.captured == Money(amount_minor, Currency.of(currency))


def test_a_look_at_an_uncaptured_charge_shows_nothing_captured(mock: StripeMock, gateway: StripeGateway) -> None:
    """An authorisation holds no money that could go back."""
    assert _picture(gateway, mock.charge(capture=False)).payment.captured == Money(0, USD)


def test_a_charge_the_account_does_not_hold_is_missing(gateway: StripeGateway) -> None:
    """Stripe's own word for an unknown charge is Missing, not a failure of the look."""
    assert gateway.look(PaymentRef(PLATFORM, "ch_nobody_knows")) == Missing()


def test_a_look_reads_refunds_to_the_last_page(mock: StripeMock, gateway: StripeGateway) -> None:
    """205 partial refunds made elsewhere are three pages, and each refund is shown once."""
    charge = mock.charge(20_000)
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: mock.refund(charge, 1), range(205)))
    seen = _picture(gateway, charge)
    assert {refund.id for refund in seen.refunds} == made
    assert len(seen.refunds) == 205
    assert (
        sum(refund.amount.amount_minor for refund in seen.refunds) == 205 == seen.payment.given_back.amount_minor
    )
    assert {refund.mark for refund in seen.refunds} == {None}


def test_more_pages_than_the_bound_is_unread(
    mock: StripeMock, gateway: StripeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that does not end within the bound decides nothing; a part never passes for the whole."""
    charge = mock.charge(20_000)
    for _ in range(3):
        mock.refund(charge, 1)
    monkeypatch.setattr(_steps, "PAGE_SIZE", 1)
    monkeypatch.setattr(_steps, "PAGES_MOST", 2)
    assert isinstance(gateway.look(PaymentRef(PLATFORM, charge)), Unread)
    monkeypatch.setattr(_steps, "PAGES_MOST", 3)
    assert len(_picture(gateway, charge).refunds) == 3


@pytest.mark.parametrize(
    ("source", "status"),
    [("tok_createDispute", "needs_response"), ("tok_createDisputeInquiry", "warning_needs_response")],
)
def test_a_look_shows_the_dispute_of_a_disputed_charge(
    mock: StripeMock, gateway: StripeGateway, source: str, status: str
) -> None:
    """The mock names its dispute on the charge and has no list of them; it is read by its id."""
    charge = mock.charge(20_000, source=source)
    (dispute,) = _picture(gateway, charge).payment.disputes
    assert (dispute.status, dispute.amount) == (status, Money(20_000, USD))


# --- send -------------------------------------------------------------------------------------------------


def test_a_full_refund_by_charge_id(mock: StripeMock, gateway: StripeGateway) -> None:
    """One send makes one refund with our amount, reason and mark, and the next look shows it."""
    charge = mock.charge(20_000)
    answer = gateway.send(_send(charge, "full-1", reason=Reason.DUPLICATE))
    assert isinstance(answer, Accepted)
    assert (answer.refund.amount, answer.refund.mark) == (Money(20_000, USD), "full-1")
    (raw,) = mock.refunds(charge)
    assert (raw["reason"], raw["metadata"]) == ("duplicate", {MARK: "full-1"})
    seen = _picture(gateway, charge)
    assert seen.refunds == (answer.refund,)
    assert seen.payment.given_back == Money(20_000, USD)


def test_the_same_key_again_is_the_same_refund(mock: StripeMock, gateway: StripeGateway) -> None:
    """A send repeated under its key replays the first answer and makes nothing."""
    send = _send(mock.charge(20_000), "replay-1")
    first, second = gateway.send(send), gateway.send(send)
    assert isinstance(first, Accepted)
    assert first == second
    assert len(mock.refunds(send.payment.charge)) == 1


def test_another_key_after_a_full_refund_is_declined(mock: StripeMock, gateway: StripeGateway) -> None:
    """What has gone back in full cannot go back again under another id."""
    charge = mock.charge(20_000)
    assert isinstance(gateway.send(_send(charge, "once-1")), Accepted)
    second = gateway.send(_send(charge, "once-2"))
    assert isinstance(second, Declined)
    assert (second.code, second.alarm) == ("charge_already_refunded", None)
    assert second.trail is not None
    assert second.trail.startswith("req_")
    assert len(mock.refunds(charge)) == 1


def test_eight_threads_with_one_key_make_one_refund(mock: StripeMock, gateway: StripeGateway) -> None:
    """A race of one refund's sends through one shared gateway makes one refund, and all are told of it."""
    send = _send(mock.charge(20_000), "race-1")
    start = threading.Barrier(8)

    def race(_: int) -> object:
        start.wait()
        return gateway.send(send)

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(race, range(8)))
    (answer,) = answers
    assert isinstance(answer, Accepted)
    assert len(mock.refunds(send.payment.charge)) == 1


def test_the_same_key_for_another_amount_is_unknown_and_calls_a_person(
    mock: StripeMock, gateway: StripeGateway
) -> None:
    """A key that was used for something else: the first may stand, nothing is sent again, somebody looks."""
    charge = mock.charge(20_000)
    assert isinstance(gateway.send(_send(charge, "mixed-1", 500)), Accepted)
    answer = gateway.send(_send(charge, "mixed-1", 600))
    assert isinstance(answer, OutcomeUnknown)
    assert (answer.resend, answer.alarm) == (False, "key_reused")
    assert len(mock.refunds(charge)) == 1


def test_an_amount_beyond_what_is_left_is_declined_as_changed(mock: StripeMock, gateway: StripeGateway) -> None:
    """Stripe gives no code for this refusal; the parameter it names says what happened."""
    # failure: D12
    charge = mock.charge(20_000)
    mock.refund(charge, 5_000)
    assert isinstance(answer := gateway.send(_send(charge, "over-1")), Declined)
    assert answer.code == "amount_changed"
    assert len(mock.refunds(charge)) == 1


def test_an_unknown_charge_is_declined_with_an_alarm(gateway: StripeGateway) -> None:
    """Most often an account header was forgotten: the refusal is certain, and a person should know."""
    assert isinstance(answer := gateway.send(_send("ch_nobody_knows", "unknown-1")), Declined)
    assert (answer.code, answer.alarm) == ("resource_missing", "not_found_in_account")


def test_a_disputed_charge_is_declined(mock: StripeMock, gateway: StripeGateway) -> None:
    """The gateway's own wall against paying a client twice."""
    charge = mock.charge(20_000, source="tok_createDispute")
    assert isinstance(answer := gateway.send(_send(charge, "disputed-1")), Declined)
    assert answer.code == "charge_disputed"
    assert mock.refunds(charge) == []


# --- accounts ---------------------------------------------------------------------------------------------


def test_a_direct_charge_lives_at_its_account_only(mock: StripeMock, gateway: StripeGateway) -> None:
    """The account that holds the charge sees and refunds it; the platform and another account see nothing."""
    holder, other = mock.account(), mock.account()
    charge = mock.charge(20_000, account=holder)
    assert _picture(gateway, charge, holder).payment.kind is ChargeKind.DIRECT
    assert gateway.look(PaymentRef(PLATFORM, charge)) == Missing()
    assert gateway.look(PaymentRef(other, charge)) == Missing()
    assert isinstance(gateway.send(_send(charge, "direct-0", account=other)), Declined)
    assert isinstance(gateway.send(_send(charge, "direct-0")), Declined)
    assert mock.refunds(charge, holder) == []

    answer = gateway.send(_send(charge, "direct-1", account=holder))
    assert isinstance(answer, Accepted)
    assert _picture(gateway, charge, holder).refunds == (answer.refund,)


def test_an_account_that_is_not_ours_raises_an_alarm(mock: StripeMock, gateway: StripeGateway) -> None:
    """No access to an account is a matter of set-up: unread, not sent, and a person is called."""
    charge = mock.charge(20_000)
    unread = gateway.look(PaymentRef("acct_stranger", charge))
    assert isinstance(unread, Unread)
    assert unread.alarm == "set_up"
    answer = gateway.send(_send(charge, "stranger-1", account="acct_stranger"))
    assert isinstance(answer, NotSent)
    assert answer.alarm == "set_up"


def test_a_dispute_of_a_direct_charge_is_read_at_its_account(mock: StripeMock, gateway: StripeGateway) -> None:
    """The account goes with each call of a look, to the last."""
    holder = mock.account()
    charge = mock.charge(20_000, source="tok_createDispute", account=holder)
    assert len(_picture(gateway, charge, holder).payment.disputes) == 1


def test_a_key_stripe_does_not_know_is_not_sent_and_calls_a_person(mock: StripeMock) -> None:
    """The mock knows sk_test_ keys only; a restricted one is refused with 401."""
    stranger = StripeGateway("rk_test_stranger", base_address=mock.base_address)
    charge = mock.charge(20_000)
    unread = stranger.look(PaymentRef(PLATFORM, charge))
    assert isinstance(unread, Unread)
    assert unread.alarm == "credentials"
    assert isinstance(answer := stranger.send(_send(charge, "key-1")), NotSent)
    assert answer.alarm == "credentials"


# --- the gateway itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "live"),
    [("sk_live_x1", True), ("rk_live_x1", True), ("sk_test_x1", False), ("rk_test_x1", False)],
)
def test_the_key_says_whether_real_money_moves(key: str, live: bool) -> None:
    """`live` follows the key's prefix, for secret and restricted keys."""
    gateway: PaymentGateway = StripeGateway(key)
    assert gateway.live is live


@pytest.mark.parametrize(
    "key",
    [
        "",
        "sk_live_",
        "pk_live_51CanaryKEYx9f3A7q2Zr",
        "whsec_51CanaryKEYx9f3A7q2Zr",
        "sk_live_51CanaryKEYx9f3A7q2Zr ",
        "sk_live_51CanaryKEYx9f3A7q2Zr\n",
        " sk_live_51CanaryKEYx9f3A7q2Zr",
        "sk_prod_51CanaryKEYx9f3A7q2Zr",
        "sk_live_51CanaryKEYx9f3A7q2Zré",
        "sk_live_" + "a" * 241,
        LIVE_KEY.encode(),
        None,
        7,
    ],
)
def test_odd_keys_are_refused_without_being_repeated(key: Any) -> None:
    """Whatever was given instead of a key may be a secret too."""
    with pytest.raises((TypeError, ValueError)) as refused:
        StripeGateway(key)
    assert not found_in(str(refused.value))
    assert "secret_key must be" in str(refused.value)


@pytest.mark.parametrize("name", ["connect_timeout_s", "read_timeout_s", "read_budget_s"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 301, True, "3", None])
def test_odd_timeouts_are_refused(name: str, value: Any) -> None:
    """Every time is a positive, finite number of seconds."""
    with pytest.raises((TypeError, ValueError), match=name):
        StripeGateway(KEY, **{name: value})


@pytest.mark.parametrize(
    "address",
    [
        "",
        "http://example.com",
        "http://127.0.0.1.example.com",
        "https://example.com/",
        "https://example.com/v1",
        "https://user@example.com",
        "ftp://example.com",
        "example.com",
        b"https://example.com",
        7,
    ],
)
def test_odd_addresses_are_refused(address: Any) -> None:
    """The key goes in the clear to this machine at most."""
    with pytest.raises((TypeError, ValueError), match="base_address"):
        StripeGateway(KEY, base_address=address)


def test_neither_repr_nor_pickle_nor_copy_shows_the_key() -> None:
    """A gateway in a log line or a queue gives nothing away."""
    gateway = StripeGateway(LIVE_KEY)
    assert repr(gateway) == str(gateway) == "StripeGateway(live=True)"
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never pickled"):
            take(gateway)


def test_a_programmers_error_is_a_type_error_and_no_call() -> None:
    """What is no ref and no send is refused before anything goes out."""
    gateway = StripeGateway(KEY, base_address="http://127.0.0.1:9")
    with pytest.raises(TypeError, match="ref must be PaymentRef"):
        gateway.look("platform/ch_1")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="ask must be Send or Reversal"):
        gateway.send({"refund_id": "r-1"})  # type: ignore[arg-type]


def test_what_a_look_and_a_send_return_is_free_of_stripe_and_secrets(
    mock: StripeMock, gateway: StripeGateway
) -> None:
    """Values that leave the adapter pickle, and their bytes hold neither the key nor a class of Stripe's."""
    charge = mock.charge(20_000)
    for value in (gateway.send(_send(charge, "clean-1")), gateway.look(PaymentRef(PLATFORM, charge))):
        pickled = pickle.dumps(value)
        assert pickle.loads(pickled) == value
        assert KEY.encode() not in pickled
        assert b"stripe" not in pickled


def test_importing_the_adapter_does_not_import_stripe() -> None:
    """stripe-python costs 170 ms and 31 MB; only who makes a gateway pays."""
    program = (
        "import sys; import refund_adapters.stripe; "
        "foreign = {'stripe', 'requests', 'urllib3'} & set(sys.modules); sys.exit(repr(foreign) if foreign else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without stripe-python learns it when the gateway is made, not at the first refund."""
    monkeypatch.setitem(sys.modules, "stripe", None)
    with pytest.raises(ImportError, match=r"refund-domain\[stripe\]"):
        StripeGateway(KEY)


def test_making_a_gateway_touches_nothing_process_global() -> None:
    """Key, retries, client, telemetry and log level of stripe-python stay as the host set them."""
    names = "api_key max_network_retries default_http_client enable_telemetry log api_base proxy".split()
    before = {name: getattr(stripe, name) for name in names}
    StripeGateway(LIVE_KEY)
    assert {name: getattr(stripe, name) for name in names} == before
    assert stripe.api_key is None


def test_a_forked_worker_starts_with_connections_of_its_own(
    mock: StripeMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a fork the pool is new: a shared connection would mix two workers' answers."""
    session = _requests._Session()
    inherited = session.get_adapter(mock.base_address)
    assert session.get_adapter(mock.base_address) is inherited
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    assert session.get_adapter(mock.base_address) is not inherited


def test_the_mock_listens_on_this_machine_only_and_ends_with_us(mock: StripeMock) -> None:
    """A test's server is no door into the machine, and does not outlive the tests."""
    own = StripeMock()
    own.charge()
    assert own.base_address.startswith("http://127.0.0.1:")
    assert own._process.stdin is not None
    own._process.stdin.close()
    assert own._process.wait(10) == 0
    own.stop()
    with pytest.raises(urllib.error.URLError):
        own.charge()


@pytest.mark.parametrize(
    ("ci", "fails"), [("true", True), ("1", True), ("TRUE", True), ("", False), ("false", False)]
)
def test_an_absent_mock_is_a_failure_under_ci_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ci: str, fails: bool
) -> None:
    """Tests that were silently skipped in CI would prove nothing."""
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(server, "FOLDER", tmp_path)
    assert server.absence_is_a_failure() is fails
    assert "npm ci" in (server.why_absent() or "")
    with pytest.raises(RuntimeError, match="npm ci"):
        StripeMock()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "Node.js" in (server.why_absent() or "")


def test_the_mock_is_pinned() -> None:
    """Every part of the mock has its version and checksum on record."""
    folder = Path(server.__file__).parent
    lock = json.loads((folder / "package-lock.json").read_text())
    assert lock["packages"]["node_modules/stripe-stateful-mock"]["version"] == "0.0.16"
    assert all("integrity" in entry for name, entry in lock["packages"].items() if name)
