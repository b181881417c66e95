"""What holds of a gateway to Stripe whatever carries its bytes: requests, httpx, httpx awaited, aiohttp."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import pickle
import socket
import time
import warnings
from contextlib import ExitStack
from typing import Any, cast
from urllib.parse import parse_qsl

import aiohttp
import httpx
import pytest
import requests
import stripe
import urllib3

from refund_adapters.stripe import AsyncStripeGateway, StripeGateway, _guard, clients
from refund_adapters.stripe._loops import PerLoop
from refund_domain.answers import (
    Accepted,
    Declined,
    Missing,
    NotSent,
    OutcomeUnknown,
    Picture,
    Reversal,
    Reversed,
    Unread,
)
from refund_domain.connect import DestinationCharge, DirectCharge, Leg, SeparateCharge, TransferReversal
from refund_domain.errors import GatewayUnreadable
from refund_domain.money import Money
from refund_domain.payments import PLATFORM, PaymentRef
from refund_domain.refusals import NotCaptured, NotFound, Refused
from refund_domain.signals import Signal, Subject
from tests.adapters.hostile_server import (
    AMPLE_S,
    SOON_S,
    answer,
    hang_up,
    hostile_server,
    late,
    redirect,
    refund_of_request,
    silence,
    time_for,
    trickle,
    unused_port,
)
from tests.adapters.stripe_clients import ASYNC, CLIENTS, MAKERS, stripe_over
from tests.adapters.test_stripe_hostile import (
    FAULTS,
    NOT_OURS,
    REF,
    _charge,
    _dispute,
    _error,
    _matches,
    _page,
    _refund,
    _send,
)
from tests.canaries import EMAIL, HTML, KEY, NAME, OF_HOST, PERSONAL, TEXT, WEBHOOK_SECRET, found_in, silent

OVER_EACH = pytest.mark.parametrize("client", CLIENTS)


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep stripe-python from writing its id into the home of whoever runs the tests."""
    monkeypatch.setattr(stripe, "enable_telemetry", False)


# --- a send -----------------------------------------------------------------------------------------------


# Over sync httpx each read is bounded, not the headers as a whole; requests has its own tests of this table.
UNBOUNDED = {("httpx", "headers trickle")}


@pytest.mark.parametrize("client", CLIENTS[1:])
@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_means_the_same_over_every_client(client: str, name: str) -> None:
    """One POST went out, nothing raised, and the answer is that of the one table."""
    act, expected = FAULTS[name]
    with (
        hostile_server(act) as server,
        stripe_over(client, server.base_address, read_timeout_s=time_for(name)) as gateway,
    ):
        began = time.monotonic()
        got = gateway.send(_send())
        if (client, name) not in UNBOUNDED:
            assert time.monotonic() - began < SOON_S
            _matches(got, expected)
        assert [(request.method, request.path) for request in server.received] == [("POST", "/v1/refunds")]
    assert not found_in(pickle.dumps(got))
    assert "127.0.0.1" not in repr(got)


@OVER_EACH
def test_a_destination_charge_goes_out_with_its_transfer(client: str) -> None:
    """The transfer is pulled back, the fee only if the send says so; no account header."""
    # failure: A18
    # failure: G04
    for return_fee in (False, True):
        with hostile_server(refund_of_request()) as server, stripe_over(client, server.base_address) as gateway:
            got = gateway.send(_send(split=DestinationCharge(return_fee=return_fee)))
        assert isinstance(got, Accepted), got
        (request,) = server.received
        fields = dict(parse_qsl(request.body))
        assert fields.pop("reverse_transfer") == "true"
        assert fields.pop("refund_application_fee", "absent") == ("true" if return_fee else "absent")
        assert set(fields) == {"charge", "amount", "reason", "metadata[refund_domain_id]"}
        assert "stripe-account" not in request.headers


@OVER_EACH
def test_a_direct_charge_goes_out_at_its_account(client: str) -> None:
    """The connected account is in the header, no transfer is touched, the platform's fee only if asked for."""
    # failure: A18
    ref = PaymentRef("acct_1", "ch_1")
    for return_fee in (False, True):
        with hostile_server(refund_of_request()) as server, stripe_over(client, server.base_address) as gateway:
            assert isinstance(gateway.send(_send(ref, split=DirectCharge(return_fee=return_fee))), Accepted)
        (request,) = server.received
        fields = dict(parse_qsl(request.body))
        assert request.headers["stripe-account"] == "acct_1"
        assert request.headers["idempotency-key"] == "r-1"
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert "reverse_transfer" not in fields
        assert fields.get("refund_application_fee", "absent") == ("true" if return_fee else "absent")


ASKED = Reversal(
    id="r-1:tr_4:1",
    refund_id="r-1",
    transfer="tr_4",
    attempt=1,
    claim=1,
    payment=REF,
    amount=Money.parse("0.01", "USD"),
)


@OVER_EACH
def test_a_separate_charge_goes_out_plain_and_each_leg_by_itself(client: str) -> None:
    """The refund reverses nothing; a leg is one POST to its transfer, at the platform, under its own id."""
    # failure: A17
    leg = Leg(transfer="tr_4", amount=ASKED.amount, by_hand=Money.parse("0.00", "USD"))
    with hostile_server(refund_of_request()) as server, stripe_over(client, server.base_address) as gateway:
        assert isinstance(gateway.send(_send(split=SeparateCharge(legs=(leg,)))), Accepted)
    fields = dict(parse_qsl(server.received[0].body))
    assert set(fields) == {"charge", "amount", "reason", "metadata[refund_domain_id]"}
    mine = answer(200, _reversal(metadata={"refund_domain_id": ASKED.id}))
    with hostile_server(mine) as server, stripe_over(client, server.base_address) as gateway:
        got = gateway.send(ASKED)
    (request,) = server.received
    made = TransferReversal(id="trr_1", amount=ASKED.amount, mark=ASKED.id)
    assert got == Reversed(reversal=made)
    assert (request.method, request.path) == ("POST", "/v1/transfers/tr_4/reversals")
    assert dict(parse_qsl(request.body)) == {"amount": "1", "metadata[refund_domain_id]": ASKED.id}
    assert request.headers["idempotency-key"] == ASKED.id
    assert "stripe-account" not in request.headers


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"metadata": {"refund_domain_id": "r-1:tr_4:2"}},
        {"metadata": {"refund_domain_id": "r-1:tr_4:1"}, "amount": 2},
        {"metadata": {"refund_domain_id": "r-1:tr_4:1"}, "currency": "eur"},
        {"metadata": {"refund_domain_id": "r-1:tr_4:1"}, "transfer": "tr_9"},
        {"metadata": {"refund_domain_id": "r-1:tr_4:1"}, "object": "refund"},
        {"metadata": {"refund_domain_id": "r-1:tr_4:1"}, "id": None},
    ],
)
def test_a_body_that_is_not_this_reversal_leaves_its_outcome_unknown(changes: dict[str, Any]) -> None:
    """Mark, amount, currency, transfer and an id must agree: anything else is a proxy or a defect."""
    with hostile_server(answer(200, _reversal(**changes))) as server:
        with stripe_over("requests", server.base_address) as gateway:
            got = gateway.send(ASKED)
    assert isinstance(got, OutcomeUnknown)
    assert (got.resend, got.alarm) == (False, "not_our_reversal")


FAULTS_OF_ANY_BODY = [
    name
    for name, (act, expected) in FAULTS.items()
    if expected not in (NOT_OURS, Accepted) and "refund_of_request" not in act.__qualname__
]


@pytest.mark.parametrize("name", FAULTS_OF_ANY_BODY)
def test_each_fault_of_a_leg_means_what_it_means_of_a_refund(name: str) -> None:
    """One POST, nothing raised, and the answer of the one table; what succeeded is judged by its own body."""
    act, expected = FAULTS[name]
    with (
        hostile_server(act) as server,
        stripe_over("requests", server.base_address, read_timeout_s=time_for(name)) as gateway,
    ):
        _matches(gateway.send(ASKED), expected)
        assert [request.path for request in server.received] == ["/v1/transfers/tr_4/reversals"]


@OVER_EACH
def test_the_target_of_a_redirect_hears_nothing(client: str) -> None:
    """A 30x whose target would answer with a perfect refund is unknown: nothing is followed into an answer."""
    mine = _refund(amount=20_000, metadata={"refund_domain_id": "r-1"})
    with hostile_server(answer(200, mine)) as target:
        for status in (301, 302, 303, 307, 308):
            act = redirect(f"{target.base_address}/v1/refunds/re_1", status)
            with hostile_server(act) as server, stripe_over(client, server.base_address) as gateway:
                got = gateway.send(_send())
            assert isinstance(got, OutcomeUnknown)
            assert (got.resend, got.alarm) == (False, "not_stripe")
        with hostile_server(redirect(f"{target.base_address}/v1/charges/ch_1")) as server:
            with stripe_over(client, server.base_address) as gateway:
                assert isinstance(gateway.look(REF), Unread)
        assert target.received == []


@OVER_EACH
def test_a_refused_connection_is_not_sent(client: str) -> None:
    """Nothing listens: not one byte left, so the claim's doubt is cleared and no person is called."""
    with stripe_over(client, f"http://127.0.0.1:{unused_port()}") as gateway:
        got = gateway.send(_send())
    assert isinstance(got, NotSent), got
    assert got.alarm is None


@OVER_EACH
def test_a_connection_that_is_never_made_is_not_sent(client: str) -> None:
    """A timeout while connecting is before the first byte; it ends at connect_timeout_s."""
    with ExitStack() as stack, socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # fill the queue of connections nobody accepts
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        address = f"http://127.0.0.1:{full.getsockname()[1]}"
        began = time.monotonic()
        with stripe_over(client, address, connect_timeout_s=0.3, read_timeout_s=30.0) as gateway:
            got = gateway.send(_send())
        assert time.monotonic() - began < SOON_S
    assert isinstance(got, NotSent), got


@OVER_EACH
def test_a_certificate_nobody_vouches_for_gets_no_refund(client: str) -> None:
    """Speaking TLS to a server without it ends before a request: nothing arrives there, nothing is accepted."""
    with hostile_server() as server:
        address = server.base_address.replace("http://", "https://")
        with stripe_over(client, address, connect_timeout_s=0.3, read_timeout_s=3.0) as gateway:
            got = gateway.send(_send())
        assert server.posts == []
    assert isinstance(got, OutcomeUnknown | NotSent), got


@OVER_EACH
def test_a_notice_and_a_cookie_change_nothing(client: str, caplog: pytest.LogCaptureFixture) -> None:
    """A Stripe-Notice is logged and never raises behind the POST; a cookie of one answer never goes out."""
    headers = {"Stripe-Notice": "upgrade soon", "Set-Cookie": "spy=1; Path=/"}
    with hostile_server(refund_of_request(headers=headers), refund_of_request()) as server:
        with stripe_over(client, server.base_address) as gateway, warnings.catch_warnings():
            warnings.simplefilter("error")
            assert isinstance(gateway.send(_send()), Accepted)
            assert isinstance(gateway.send(_send()), Accepted)
    assert "upgrade soon" in caplog.text
    assert "cookie" not in server.received[1].headers


@OVER_EACH
def test_one_send_is_one_post_whatever_the_process_and_the_server_say(
    client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither stripe-python's global nor the server's wish makes a second POST."""
    monkeypatch.setattr(stripe, "max_network_retries", 3)
    for act in (answer(500, _error(), {"Stripe-Should-Retry": "true"}), answer(409, _error()), hang_up):
        with (
            hostile_server(act, refund_of_request()) as server,
            stripe_over(client, server.base_address) as gateway,
        ):
            assert isinstance(gateway.send(_send()), OutcomeUnknown)
            assert len(server.received) == 1


# --- a look -----------------------------------------------------------------------------------------------


@OVER_EACH
def test_a_whole_look_is_read_over_every_client(client: str) -> None:
    """The charge, two pages of refunds, two of disputes: one picture, and the account on every call."""
    acts = [answer(200, _charge(disputed=True))]
    acts += [_page(_refund("re_0"), has_more=True), _page(_refund("re_1"))]
    acts += [_page(_dispute("dp_1"), has_more=True), _page(_dispute("dp_2"))]
    with hostile_server(*acts) as server, stripe_over(client, server.base_address) as gateway:
        seen = gateway.look(PaymentRef("acct_1", "ch_1"))
    assert isinstance(seen, Picture)
    assert [refund.id for refund in seen.refunds] == ["re_0", "re_1"]
    assert [dispute.id for dispute in seen.payment.disputes] == ["dp_1", "dp_2"]
    assert {request.headers["stripe-account"] for request in server.received} == {"acct_1"}


@OVER_EACH
def test_a_charge_that_is_not_there_is_missing(client: str) -> None:
    """Stripe's own word for an unknown charge is Missing over every client."""
    with hostile_server(answer(404, _error(code="resource_missing", param="id"))) as server:
        with stripe_over(client, server.base_address) as gateway:
            assert gateway.look(REF) == Missing()


@OVER_EACH
def test_a_look_ends_with_its_budget(client: str) -> None:
    """Pages that each come in time, but together too late, are Unread; it does not go on reading."""
    slow = [late(0.25, _page(_refund(f"re_{n}"), has_more=True)) for n in range(20)]
    with hostile_server(answer(200, _charge()), *slow) as server:
        with stripe_over(client, server.base_address, read_budget_s=0.6) as gateway:
            assert isinstance(gateway.look(REF), Unread)
        assert len(server.received) < 7


@OVER_EACH
def test_a_charge_of_the_other_mode_decides_nothing(client: str) -> None:
    """A live charge seen with a test key is a mix-up of keys or servers: Unread, never a picture."""
    with hostile_server(answer(200, _charge(livemode=True)), _page()) as server:
        with stripe_over(client, server.base_address) as gateway:
            unread = gateway.look(REF)
    assert isinstance(unread, Unread)
    assert "mode" in unread.why


# --- connected accounts --------------------------------------------------------------------------------------


def _fee(**changes: object) -> dict[str, object]:
    fee = {"object": "application_fee", "id": "fee_1", "amount": 900, "amount_refunded": 200, "currency": "usd"}
    return {**fee, **changes}


def _transfer(transfer_id: str = "tr_1", **changes: object) -> dict[str, object]:
    fields = {"object": "transfer", "id": transfer_id, "amount": 700, "amount_reversed": 0, "currency": "usd"}
    return {**fields, **changes}


def _seen(*acts: Any, ref: PaymentRef = REF) -> tuple[Any, list[Any]]:
    with hostile_server(*acts) as server, stripe_over("requests", server.base_address) as gateway:
        return gateway.look(ref), list(server.received)


def test_the_platforms_fee_is_read_at_the_platform() -> None:
    """The fee is the platform's object, also for a direct charge: it is asked for without the account's header."""
    ref = PaymentRef("acct_1", "ch_1")
    seen, received = _seen(answer(200, _charge(application_fee="fee_1")), _page(), answer(200, _fee()), ref=ref)
    assert isinstance(seen, Picture)
    assert seen.payment.application_fee is not None
    assert str(seen.payment.application_fee.left) == "7.00 USD"
    assert [request.headers.get("stripe-account") for request in received] == ["acct_1", "acct_1", None]


def test_a_fee_of_another_platform_is_not_ours_to_return() -> None:
    """Only who took a fee may return it; the payment itself is read all the same."""
    no = answer(404, _error(code="resource_missing"))
    seen, _ = _seen(answer(200, _charge(application_fee={"id": "fee_1"})), _page(), no)
    assert isinstance(seen, Picture)
    assert seen.payment.application_fee is None


def test_a_key_that_may_not_read_fees_calls_a_person() -> None:
    """Without that right the platform's fee would silently count as none, and stay with the platform for ever."""
    no = answer(403, _error(code="more_permissions_required"))
    seen, _ = _seen(answer(200, _charge(application_fee="fee_1")), _page(), no)
    assert isinstance(seen, Unread)
    assert seen.alarm == "credentials"
    assert "the key may not do this" in seen.why


def test_a_fee_that_is_not_taken_yet_counts_all_the_same() -> None:
    """A debit has no fee object before it settles: the amount on the charge is what will be taken."""
    seen, _ = _seen(answer(200, _charge(application_fee_amount=900, status="pending")), _page())
    assert isinstance(seen, Picture)
    assert str(seen.payment.application_fee and seen.payment.application_fee.left) == "9.00 USD"


def test_the_processors_fee_is_told_without_the_platforms() -> None:
    """A direct charge's balance transaction holds both; what the processor keeps is the rest."""
    details = [{"type": "stripe_fee", "amount": 320}, {"type": "application_fee", "amount": 1_000}]
    transaction = {"object": "balance_transaction", "fee": 1_320, "currency": "usd", "fee_details": details}
    seen, _ = _seen(answer(200, _charge(balance_transaction=transaction)), _page())
    assert isinstance(seen, Picture)
    assert str(seen.payment.fee) == "3.20 USD"


@pytest.mark.parametrize(
    "act",
    [
        hang_up,
        answer(500, _error(type="api_error")),
        answer(200, _fee(object="charge")),
        answer(200, _fee(amount_refunded=901)),
        answer(200, _fee(amount="900")),
        answer(500, "<html>Oops</html>"),
    ],
)
def test_a_fee_that_cannot_be_read_leaves_the_look_unread(act: Any) -> None:
    """Not knowing what was taken, nothing is said about what goes back."""
    # failure: A18
    seen, _ = _seen(answer(200, _charge(application_fee="fee_1")), _page(), act)
    assert isinstance(seen, Unread)


def _reversal(reversal_id: str = "trr_1", **changes: object) -> dict[str, object]:
    fields = {"object": "transfer_reversal", "id": reversal_id, "amount": 1, "currency": "usd", "transfer": "tr_4"}
    return {**fields, "metadata": {}, **changes}


def test_the_transfers_of_a_separate_charge_are_listed_at_the_platform() -> None:
    """All that are not out of another charge, on both pages, each with what came back of it and by what."""
    ours = _reversal("trr_2", amount=699, transfer="tr_2", metadata={"refund_domain_id": "r-1:tr_2:1"})
    pages = [
        _page(_transfer("tr_1", source_transaction="ch_1"), _transfer("tr_2", amount_reversed=700), has_more=True),
        _page(_transfer("tr_3", source_transaction="ch_other", amount_reversed=3), _transfer("tr_4")),
        _page(ours, has_more=True),
        _page(_reversal(transfer={"id": "tr_2", "object": "transfer"})),
    ]
    seen, received = _seen(answer(200, _charge(transfer_group="booking_7")), _page(), *pages)
    assert isinstance(seen, Picture)
    assert [(str(t.id), str(t.left)) for t in seen.payment.transfers] == [
        ("tr_1", "7.00 USD"),
        ("tr_2", "0.00 USD"),
        ("tr_4", "7.00 USD"),
    ]
    back = [(one.id, str(one.amount), one.mark) for one in seen.payment.transfers[1].reversals]
    assert back == [("trr_2", "6.99 USD", "r-1:tr_2:1"), ("trr_1", "0.01 USD", None)]
    assert str(seen.payment.transfers[1].by_hand) == "0.01 USD"
    assert seen.payment.kind == "separate"
    assert "transfer_group=booking_7" in received[2].path
    assert "starting_after=tr_2" in received[3].path
    assert received[4].path.startswith("/v1/transfers/tr_2/reversals?")
    assert "starting_after=trr_2" in received[5].path


@pytest.mark.parametrize(
    "act",
    [
        hang_up,
        _page(),
        _page(_reversal(amount=2)),
        _page(_reversal(amount=0), _reversal("trr_2")),
        _page(_reversal(transfer="tr_9")),
        _page(_reversal(currency="eur")),
        _page(_reversal(object="refund")),
        _page(_reversal(), has_more=True),
    ],
)
def test_reversals_that_cannot_be_read_or_do_not_add_up_leave_the_look_unread(act: Any) -> None:
    """What came back by whom decides whether a leg is asked for again, so a part never passes for all of it."""
    page = _page(_transfer("tr_4", amount_reversed=1))
    seen, _ = _seen(answer(200, _charge(transfer_group="booking_7")), _page(), page, act)
    assert isinstance(seen, Unread)


def test_a_connected_account_that_passed_its_charge_on_is_refused_too() -> None:
    """The platform named by its own account id is no way around: transfers are sought by who holds the charge."""
    ref = PaymentRef("acct_1", "ch_1")
    seen, received = _seen(answer(200, _charge(transfer_group="g")), _page(), _page(_transfer()), ref=ref)
    assert isinstance(seen, Picture)
    assert seen.payment.kind == "separate"
    assert received[2].headers["stripe-account"] == "acct_1"


def test_a_charge_whose_transfers_all_came_back_is_the_platforms_own() -> None:
    """Once reversed by hand, nothing stands in the way of its refund; nor where a group never had a transfer."""
    whole = _page(_reversal(amount=700, transfer="tr_1"))
    for pages, count in (([_page(_transfer(amount_reversed=700)), whole], 1), ([_page()], 0)):
        seen, _ = _seen(answer(200, _charge(transfer_group="booking_7")), _page(), *pages)
        assert isinstance(seen, Picture)
        assert (seen.payment.kind, len(seen.payment.transfers)) == ("platform", count)


@pytest.mark.parametrize(
    "act",
    [
        hang_up,
        _page(_transfer(), has_more=True),
        _page(_transfer(object="payout")),
        _page(_transfer(amount_reversed=701)),
        _page(_transfer(currency=None)),
    ],
)
def test_transfers_that_cannot_be_read_leave_the_look_unread(act: Any) -> None:
    """A part of the transfers never passes for all of them."""
    seen, _ = _seen(answer(200, _charge(transfer_group="booking_7")), _page(), act)
    assert isinstance(seen, Unread)


# --- resolve and locate --------------------------------------------------------------------------------------


def _intent(**changes: object) -> dict[str, object]:
    intent = {"object": "payment_intent", "id": "pi_1", "latest_charge": "ch_1", "status": "succeeded"}
    return {**intent, "livemode": False, **changes}


def _session(**changes: object) -> dict[str, object]:
    session = {"object": "checkout.session", "id": "cs_test_1", "payment_intent": "pi_1", "livemode": False}
    return {**session, **changes}


@OVER_EACH
def test_every_id_a_host_may_hold_resolves_to_its_charge(client: str) -> None:
    """Session, PaymentIntent and charge: one ref, read at one account, whether links are ids or objects."""
    charge = answer(200, _charge(livemode=False))
    scripts: list[tuple[str, list[Any]]] = [
        ("ch_1", [charge]),
        ("pi_1", [answer(200, _intent())]),
        ("pi_1", [answer(200, _intent(latest_charge={"id": "ch_1", "object": "charge"}, status="processing"))]),
        ("cs_test_1", [answer(200, _session()), answer(200, _intent())]),
        ("cs_test_1", [answer(200, _session(payment_intent={"id": "pi_1"})), answer(200, _intent())]),
    ]
    for named, acts in scripts:
        with hostile_server(*acts) as server, stripe_over(client, server.base_address) as gateway:
            assert gateway.resolve(named, account="acct_1") == PaymentRef("acct_1", "ch_1")
            assert {request.headers["stripe-account"] for request in server.received} == {"acct_1"}
            assert len(server.received) == len(acts)


NO_CHARGE = [
    ("pi_1", [answer(200, _intent(latest_charge=None))]),
    ("pi_1", [answer(200, _intent(status="requires_payment_method"))]),
    ("pi_1", [answer(200, _intent(status="canceled"))]),
    ("cs_test_1", [answer(200, _session(payment_intent=None, payment_status="unpaid"))]),
    ("cs_test_1", [answer(200, _session(payment_intent=None, payment_status="no_payment_required"))]),
]


@pytest.mark.parametrize(("named", "acts"), NO_CHARGE)
def test_where_no_charge_holds_money_nothing_is_opened(named: str, acts: list[Any]) -> None:
    """A charge that failed, or that was never made, gets no ref: the next try of the client is another charge."""
    with hostile_server(*acts) as server, stripe_over("requests", server.base_address) as gateway:
        assert gateway.resolve(named) == Refused((NotCaptured(),))


def test_a_session_paid_through_an_invoice_is_not_called_unpaid() -> None:
    """A subscription's session has no PaymentIntent of its own: money was taken, so nothing is missing."""
    paid = _session(payment_intent=None, payment_status="paid", mode="subscription")
    with hostile_server(answer(200, paid)) as server, stripe_over("requests", server.base_address) as gateway:
        with pytest.raises(GatewayUnreadable, match="invoice"):
            gateway.resolve("cs_test_1")


@pytest.mark.parametrize("named", ["pi_1", "cs_test_1", "ch_1"])
def test_what_the_account_does_not_hold_is_not_found_and_sought_nowhere_else(named: str) -> None:
    """After a 404 no other account is tried."""
    with hostile_server(answer(404, _error(code="resource_missing"))) as server:
        with stripe_over("requests", server.base_address) as gateway:
            assert gateway.resolve(named, account="acct_1") == Refused((NotFound(),))
        assert len(server.received) == 1


@OVER_EACH
@pytest.mark.parametrize(
    "act",
    [
        hang_up,
        answer(500, _error(type="api_error")),
        answer(200, _intent(id="pi_2")),
        answer(200, _intent(object="charge")),
        answer(200, _intent(livemode=True)),
        answer(200, [1]),
        answer(200, HTML),
        answer(502, HTML),
    ],
)
def test_an_id_that_cannot_be_read_raises_the_documented_error(client: str, act: Any) -> None:
    """An outage, a stranger or another object resolves to nothing, and the error repeats nothing of it."""
    with hostile_server(act) as server, stripe_over(client, server.base_address) as gateway:
        with pytest.raises(GatewayUnreadable) as raised:
            gateway.resolve("pi_1")
    assert silent(raised.value)
    assert pickle.loads(pickle.dumps(raised.value)).args == raised.value.args


@pytest.mark.parametrize("odd", ["re_1", "", "pi", "cus_1", "pi_1/../ch_1", "in_1"])
def test_other_ids_are_refused_before_any_call(odd: str) -> None:
    """A refund's, a customer's or an invoice's id names no charge."""
    with hostile_server() as server, stripe_over("requests", server.base_address) as gateway:
        with pytest.raises(ValueError, match="id must be"):
            gateway.resolve(odd)
        assert server.received == []


def _signal(**changes: Any) -> Signal:
    fields: dict[str, Any] = {"id": "evt_1", "kind": "v1.refund.updated", "account": "acct_1"}
    return Signal(**{**fields, "subject": Subject.REFUND, "object_id": "re_1", **changes})


@OVER_EACH
def test_a_signal_without_a_charge_is_located_at_its_account(client: str) -> None:
    """A thin event names the refund or the dispute; one read gives the charge it is of."""
    for subject, body in ((Subject.REFUND, _refund("re_1")), (Subject.DISPUTE, _dispute("re_1"))):
        with hostile_server(answer(200, body)) as server, stripe_over(client, server.base_address) as gateway:
            assert gateway.locate(_signal(subject=subject)).ref == PaymentRef("acct_1", "ch_1")
            (request,) = server.received
            assert request.path == f"/v1/{subject}s/re_1"
            assert request.headers["stripe-account"] == "acct_1"


def test_a_signal_that_needs_no_answer_makes_no_call() -> None:
    """One that names its charge, or speaks of a payout or of nothing, comes back as it is."""
    signals = [_signal(charge="ch_1"), _signal(subject=Subject.PAYOUT), _signal(object_id=None)]
    with hostile_server() as server, stripe_over("requests", server.base_address) as gateway:
        assert [gateway.locate(signal) for signal in signals] == signals
        assert server.received == []


def test_a_signal_of_what_is_not_there_comes_back_without_a_charge() -> None:
    """Its account holds no such refund, or the refund is of no charge: there is nothing to look at."""
    for act in (answer(404, _error(code="resource_missing")), answer(200, _refund("re_1", charge=None))):
        with hostile_server(act) as server, stripe_over("requests", server.base_address) as gateway:
            assert gateway.locate(_signal()).ref is None


def test_a_signal_that_cannot_be_located_raises_the_documented_error() -> None:
    """An outage leaves the signal for another try."""
    for act in (hang_up, answer(200, _refund("re_2"))):
        with hostile_server(act) as server, stripe_over("requests", server.base_address) as gateway:
            with pytest.raises(GatewayUnreadable):
                gateway.locate(_signal())


# --- time, tasks and loops ------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", ASYNC)
def test_the_deadline_bounds_the_whole_call(client: str) -> None:
    """Headers and bodies that trickle for ever, each byte in time, end at the deadline all the same."""
    for act in (trickle(200, _refund(), quickly=1), silence):
        with (
            hostile_server(act) as server,
            stripe_over(client, server.base_address, read_timeout_s=0.3) as gateway,
        ):
            began = time.monotonic()
            assert isinstance(gateway.send(_send()), OutcomeUnknown)
            assert time.monotonic() - began < SOON_S


@pytest.mark.parametrize("client", ASYNC)
def test_a_cancelled_task_is_cancelled(client: str) -> None:
    """Cancellation passes through: it is no answer, and the open claim is the record."""

    async def cancelled(address: str) -> None:
        http_client = MAKERS[client](connect_timeout_s=5, read_timeout_s=5)
        gateway = AsyncStripeGateway(KEY, http_client=http_client, base_address=address, deadline_s=5)
        task = asyncio.create_task(gateway.send(_send()))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gateway.aclose()

    with hostile_server(silence) as server:
        asyncio.run(cancelled(server.base_address))
        assert len(server.posts) == 1


def test_a_client_that_is_closed_under_a_call_leaves_doubt_and_cancels_nobody() -> None:
    """aiohttp cancels those who wait for a connection of its; nobody asked these tasks to end, so they answer."""

    async def closed(address: str) -> list[object]:
        http_client = MAKERS["aiohttp async"](connect_timeout_s=5, read_timeout_s=5)
        gateway = AsyncStripeGateway(KEY, http_client=http_client, base_address=address, deadline_s=5)
        tasks = [asyncio.create_task(gateway.send(_send())) for _ in range(104)]
        await asyncio.sleep(0.5)
        await gateway.aclose()
        return await asyncio.gather(*tasks, return_exceptions=True)

    with hostile_server(*[silence] * 104) as server:
        answers = asyncio.run(closed(server.base_address))
    assert {type(got) for got in answers} <= {OutcomeUnknown, NotSent}
    assert len(answers) == 104


@pytest.mark.parametrize("client", ASYNC)
def test_a_worker_of_many_loops_does_not_run_out_of_connections(client: str) -> None:
    """A gateway that nobody closes lets go of what belonged to loops that are over."""
    http_client = MAKERS[client](connect_timeout_s=AMPLE_S, read_timeout_s=AMPLE_S)

    async def once(address: str) -> object:
        return await AsyncStripeGateway(KEY, http_client=http_client, base_address=address).send(_send())

    warnings.simplefilter("ignore", ResourceWarning)  # an unclosed transport is what this host leaves behind
    with hostile_server(*[refund_of_request()] * 12) as server:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(12):
            assert isinstance(asyncio.run(once(server.base_address)), Accepted)
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) - before < 8

    async def closed() -> None:
        await AsyncStripeGateway(KEY, http_client=http_client).aclose()

    asyncio.run(closed())


@pytest.mark.parametrize("client", ASYNC)
def test_one_gateway_serves_one_loop_after_the_other(client: str) -> None:
    """A worker that runs each task in a loop of its own needs no gateway of its own for each."""
    http_client = MAKERS[client](connect_timeout_s=AMPLE_S, read_timeout_s=AMPLE_S)

    async def once(address: str) -> object:
        gateway = AsyncStripeGateway(KEY, http_client=http_client, base_address=address, deadline_s=AMPLE_S)
        try:
            return await gateway.send(_send())
        finally:
            await gateway.aclose()

    with hostile_server(refund_of_request(), refund_of_request(), refund_of_request()) as server:
        for _ in range(3):
            assert isinstance(asyncio.run(once(server.base_address)), Accepted)


def test_a_loop_and_a_process_have_connections_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one loop made is not handed to another, nor to a forked child on the same loop."""
    made, gone = iter(range(10)), list[int]()
    things = PerLoop(lambda: next(made), gone.append)

    async def got() -> int:
        return things.get()

    assert (asyncio.run(got()), asyncio.run(got())) == (0, 1)
    assert gone == [0]  # its loop was closed when the next one asked

    async def forked() -> tuple[int, int, int | None]:
        first = things.get()
        assert things.get() == first
        pid = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: pid + 1)
        return first, things.get(), things.take()

    assert asyncio.run(forked()) == (2, 3, 3)


def test_a_forked_worker_starts_with_httpx_connections_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fork the sync pool over httpx is new, too."""
    from refund_adapters.stripe._httpx import HttpxClient

    client = HttpxClient(connect_timeout_s=AMPLE_S, read_timeout_s=AMPLE_S)
    inherited = client._client()
    assert client._client() is inherited
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    assert client._client() is not inherited
    client.close()
    inherited.close()


# --- one client for many, and clients of the host's own ---------------------------------------------------


@OVER_EACH
def test_many_tenants_share_one_client_and_nothing_else(client: str) -> None:
    """Two keys over one client: each request goes out with its own gateway's key."""
    shared = MAKERS[client](connect_timeout_s=AMPLE_S, read_timeout_s=AMPLE_S)
    with hostile_server(*[refund_of_request()] * 4) as server:
        with (
            stripe_over(client, server.base_address, "sk_test_one", http_client=shared) as one,
            stripe_over(client, server.base_address, "rk_test_two", http_client=shared) as two,
        ):
            for gateway in (one, two, one, two):
                assert isinstance(gateway.send(_send()), Accepted)
        keys = [request.headers["authorization"] for request in server.received]
    assert keys == ["Bearer sk_test_one", "Bearer rk_test_two"] * 2


def _session_that_stays() -> requests.Session:
    session = requests.Session()
    session.max_redirects = 0
    return session


def test_a_client_of_the_hosts_own_is_welcome_if_it_follows_nothing() -> None:
    """stripe-python's own clients work as they are configured, and a redirect through them is no answer."""
    mine = _refund(amount=20_000, metadata={"refund_domain_id": "r-1"})
    welcome = [
        stripe.RequestsClient(timeout=AMPLE_S, session=_session_that_stays()),
        stripe.HTTPXClient(timeout=AMPLE_S, allow_sync_methods=True),
    ]
    # stripe-python hands httpx its body in a way httpx has deprecated; that is between the two of them.
    warnings.simplefilter("ignore", DeprecationWarning)
    for client in welcome:
        with hostile_server(answer(200, mine), redirect("/v1/refunds/re_1"), answer(200, mine)) as server:
            gateway = StripeGateway(KEY, base_address=server.base_address, http_client=client)
            assert isinstance(gateway.send(_send()), Accepted)
            assert isinstance(gateway.send(_send()), OutcomeUnknown)
            assert len(server.posts) == 2
            assert len(server.received) == 2
    asyncio.run(welcome[1].close_async())  # type: ignore[no-untyped-call]
    welcome[1].close()  # type: ignore[no-untyped-call]


def _session_with(**changes: Any) -> requests.Session:
    session = _session_that_stays()
    session.headers.update(changes.get("headers", {}))
    session.auth = changes.get("auth")
    if "retries" in changes:
        session.mount("https://", requests.adapters.HTTPAdapter(max_retries=changes["retries"]))
    return session


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (stripe.RequestsClient, "follows redirects"),
        (lambda: stripe.RequestsClient(session=requests.Session()), "follows redirects"),
        (stripe.AIOHTTPClient, "follows redirects"),
        (stripe.UrllibClient, "follows redirects"),
        (
            lambda: stripe.RequestsClient(
                session=_session_that_stays(), async_fallback_client=stripe.AIOHTTPClient()
            ),
            "follows redirects",
        ),
        (lambda: stripe.RequestsClient(session=_session_with(retries=3)), "sends again"),
        (
            lambda: stripe.RequestsClient(session=_session_with(retries=urllib3.Retry(1, allowed_methods=None))),
            "sends again",
        ),
        (
            lambda: stripe.RequestsClient(
                session=_session_with(retries=urllib3.Retry(total=None, status=3, allowed_methods=None))
            ),
            "sends again",
        ),
        (lambda: stripe.RequestsClient(session=_session_with(auth=("sk_test_other", ""))), "headers"),
        (lambda: stripe.RequestsClient(session=_session_with(headers={"stripe-account": "acct_9"})), "headers"),
        (lambda: stripe.RequestsClient(session=_session_with(headers={"Stripe-Context": "acct_9"})), "headers"),
        (lambda: stripe.RequestsClient(session=_session_with(headers={"Idempotency-Key": "k"})), "headers"),
    ],
)
def test_a_client_that_breaks_what_a_send_promises_is_refused_when_the_gateway_is_made(
    make: Any, fault: str
) -> None:
    """It follows redirects, sends twice, or names an account of its own; the error says what to do instead."""
    for gateway in (StripeGateway, AsyncStripeGateway):
        with pytest.raises(ValueError, match=fault):
            gateway(KEY, http_client=make())


def test_an_httpx_client_told_to_follow_is_refused() -> None:
    """Whoever switched it on must switch it off for this."""
    client = stripe.HTTPXClient(timeout=1)
    client._client_async.follow_redirects = True
    with pytest.raises(ValueError, match="follows redirects"):
        AsyncStripeGateway(KEY, http_client=client)
    asyncio.run(client.close_async())  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("odd", ["requests", 1, object(), requests.Session(), httpx.Client])
def test_what_is_no_client_of_stripe_python_is_refused(odd: Any) -> None:
    """A session or a name in its place is a programmer's error."""
    with pytest.raises(TypeError, match="http_client"):
        StripeGateway(KEY, http_client=odd)


@pytest.mark.parametrize("make", [clients.requests_client, clients.httpx_client, clients.aiohttp_client])
def test_odd_times_are_refused(make: Any) -> None:
    """No time at all, a bool, a text, or five minutes and more are no limits."""
    for name in ("connect_timeout_s", "read_timeout_s"):
        for odd, error in (
            (0, ValueError),
            (-1, ValueError),
            (301, ValueError),
            (True, TypeError),
            ("3", TypeError),
        ):
            with pytest.raises(error, match=name):
                make(**{name: odd})
    for name in ("deadline_s", "read_budget_s", "connect_timeout_s"):
        with pytest.raises(ValueError, match=name):
            AsyncStripeGateway(KEY, **cast("Any", {name: float("nan")}))


def test_a_client_of_the_other_form_is_refused_when_the_gateway_is_made() -> None:
    """Later it would look like an outage: nothing could ever be sent or read."""
    for sync_only in (clients.requests_client(), stripe.RequestsClient(session=_session_that_stays())):
        with pytest.raises(ValueError, match="cannot be awaited"):
            AsyncStripeGateway(KEY, http_client=sync_only)
    for async_only in (clients.aiohttp_client(), stripe.HTTPXClient()):
        with pytest.raises(ValueError, match="can only be awaited"):
            StripeGateway(KEY, http_client=async_only)
    for gateway in (StripeGateway, AsyncStripeGateway):
        gateway(KEY, http_client=clients.httpx_client())


def test_a_paymentintent_in_the_place_of_a_charge_is_told_so() -> None:
    """The commonest mix-up of ids is named, before any call."""
    with hostile_server() as server, stripe_over("requests", server.base_address) as gateway:
        for named in ("pi_1", "cs_test_1"):
            unread = gateway.look(PaymentRef(PLATFORM, named))
            assert isinstance(unread, Unread)
            assert "resolve" in unread.why
        assert server.received == []


@pytest.mark.parametrize("account", ["seller", "PLATFORM", "ch_1"])
def test_an_account_that_is_none_is_refused(account: str) -> None:
    """It is the platform, or the acct_… that holds the charge; a word in its place would find nothing."""
    with pytest.raises(ValueError, match="account must be"):
        StripeGateway(KEY).resolve("pi_1", account=account)


def test_a_wrong_key_is_named_as_such_by_every_read() -> None:
    """What a person must mend says what it is, the same words whichever call met it."""
    no = answer(401, _error(type="authentication_error"))
    with hostile_server(no, no, no) as server, stripe_over("requests", server.base_address) as gateway:
        unread = gateway.look(REF)
        assert isinstance(unread, Unread)
        assert "does not accept this key" in unread.why
        with pytest.raises(GatewayUnreadable, match="does not accept this key"):
            gateway.resolve("pi_1")
        with pytest.raises(GatewayUnreadable, match="does not accept this key"):
            gateway.locate(_signal())


@pytest.mark.parametrize(
    ("error", "certain"),
    [
        (httpx.ConnectError("no"), True),
        (httpx.ConnectTimeout("no"), True),
        (httpx.ReadTimeout("no"), False),
        (httpx.WriteError("no"), False),
        (httpx.ReadError("no"), False),
        (httpx.ProxyError("no"), False),
        (httpx.RemoteProtocolError("no"), False),
        (httpx.PoolTimeout("no"), False),
        (aiohttp.ClientConnectorError(None, OSError()), True),  # type: ignore[arg-type]
        (aiohttp.ConnectionTimeoutError(), True),
        (aiohttp.SocketTimeoutError(), False),
        (aiohttp.ServerDisconnectedError(), False),
        (aiohttp.ClientPayloadError(), False),
        (aiohttp.ClientOSError(), False),
        (TimeoutError(), False),
    ],
)
def test_only_the_exact_causes_prove_that_nothing_left(error: Exception, certain: bool) -> None:
    """Raised bare or wrapped by stripe-python: a failure while connecting is certain, every kindred one is not."""
    wrapped = stripe.APIConnectionError("no connection")  # type: ignore[no-untyped-call]
    wrapped.__cause__ = error
    assert _guard.never_left(error) is certain
    assert _guard.never_left(wrapped) is certain


# --- what is not let through ------------------------------------------------------------------------------------


@OVER_EACH
def test_nothing_of_a_client_reaches_a_log_even_at_debug(client: str, caplog: pytest.LogCaptureFixture) -> None:
    """Names, e-mails, a card's last digits and the host's metadata end in the guard, before stripe-python logs."""
    caplog.set_level(logging.DEBUG)
    details = {"type": "card", "card": {**PERSONAL, "last4": "5556", "number": TEXT, "type": EMAIL}}
    acts = [
        answer(200, _charge(payment_method_details=details, billing_details=PERSONAL["billing_details"])),
        _page(_refund("re_1", description=TEXT, metadata={**OF_HOST, "refund_domain_id": "r-1"})),
        answer(402, _error(type="card_error", code="card_declined", message=TEXT, param=NAME)),
        answer(500, HTML),
        answer(200, HTML),
    ]
    with hostile_server(*acts) as server, stripe_over(client, server.base_address) as gateway:
        told = [gateway.look(REF), gateway.send(_send()), gateway.send(_send()), gateway.send(_send())]
    assert isinstance(told[0], Picture)
    assert told[0].refunds[0].mark == "r-1"
    for text in (caplog.text, repr(told), pickle.dumps(told)):
        assert not found_in(text)
    assert "/v1/charges/ch_1" in caplog.text


@OVER_EACH
def test_a_key_that_a_stranger_repeats_goes_no_further(client: str, caplog: pytest.LogCaptureFixture) -> None:
    """A proxy that repeats what it was sent, where an id or a word should be, is not believed and not logged."""
    caplog.set_level(logging.DEBUG)
    # Over httpx an answer's headers are logged by httpcore before they come here: SECURITY.md says so.
    headers = {} if client.startswith("httpx") else {"Request-Id": KEY}
    acts = [
        answer(200, _charge(status=KEY), headers),
        answer(402, _error(code=KEY, param=WEBHOOK_SECRET), headers),
        refund_of_request({"id": KEY}, headers),
    ]
    with hostile_server(*acts) as server, stripe_over(client, server.base_address) as gateway:
        told = [gateway.look(REF), gateway.send(_send()), gateway.send(_send())]
    assert [type(each) for each in told] == [Unread, Declined, OutcomeUnknown]
    for text in (caplog.text, repr(told), pickle.dumps(told)):
        assert not found_in(text)


@OVER_EACH
def test_a_notice_that_repeats_the_key_is_logged_without_it(client: str, caplog: pytest.LogCaptureFixture) -> None:
    """A stranger in between may echo what it was sent; our own log is no place for it."""
    caplog.set_level(logging.DEBUG, "refund_adapters")
    act = answer(200, {}, {"Stripe-Notice": "you sent Bearer sk_test_EchoedOnly1 and whsec_0123456789abcdef"})
    with hostile_server(act) as server, stripe_over(client, server.base_address) as gateway:
        gateway.send(_send())
    ours = [record.getMessage() for record in caplog.records if record.name == "refund_adapters.stripe"]
    assert ours == ["Stripe's notice: you sent Bearer … and …"]


@pytest.mark.parametrize("mark", ["rk_0001-0002", "sk_42", "whsec", "sku_1", "risk_1"])
def test_a_mark_of_the_hosts_own_making_is_read_as_it_stands(mark: str) -> None:
    """An id source that begins its ids as Stripe begins a key must not make a refund look like somebody else's."""
    with hostile_server(refund_of_request()) as server, stripe_over("requests", server.base_address) as gateway:
        got = gateway.send(_send(refund_id=mark))
    assert isinstance(got, Accepted), got
    assert got.refund.mark == mark


@pytest.mark.parametrize(
    ("text", "kept"),
    [("re_1", True), ("sku_1", True), (KEY, False), ("rk_live_1", False), (f"x:{KEY}", False), ("whsec_1", False)],
)
def test_a_text_that_holds_a_key_is_read_as_null(text: str, kept: bool) -> None:
    """Wherever in an id or a word a key stands, it goes no further; what only resembles one does."""
    assert _guard.reduced({"id": text, "error": {"code": text}}) == {
        "id": text if kept else None,
        "error": {"code": text if kept else None},
    }


def test_the_members_that_are_read_are_let_through_and_no_others() -> None:
    """Each member the pure half reads by name stands on the guard's list, and the list holds no other."""
    import inspect
    import re

    from refund_adapters.stripe import _faults, _members, _payouts, _steps, _translate

    source = "".join(inspect.getsource(module) for module in (_faults, _members, _payouts, _steps, _translate))
    read = set(re.findall(r'\.get\("(\w+)"', source)) | set(re.findall(r'_in\(\w+, "(\w+)"\)', source))
    read |= set(re.findall(r'(?:whole|signed|text)\(\w+, "(\w+)"\)', source)) | set(
        re.findall(r'\["(\w+)"\]', source)
    )
    read |= set(re.findall(r'"(\w+)" (?:not )?in \w+', source)) | set(_translate.PASSED_ON)
    read |= set(re.findall(r'_amounts\(.+?, "(\w+)"\)', source))
    sent = {"reverse_transfer", "refund_application_fee", "metadata"}
    missing = read - _guard.READ - sent
    assert not missing
    assert _guard.READ - read <= {"currency"}


def test_both_gateways_have_one_face() -> None:
    """The same public names, but for closing, which is awaited under the name asyncio gives it."""
    sync = {name for name in vars(StripeGateway) if not name.startswith("_")}
    twin = {name for name in vars(AsyncStripeGateway) if not name.startswith("_")}
    assert sync - {"close"} == twin - {"aclose"}


def test_an_async_gateway_is_never_pickled_and_shows_no_key() -> None:
    """It holds the secret key."""
    gateway = AsyncStripeGateway(KEY)
    assert KEY not in repr(gateway)
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(gateway)
    assert PLATFORM == "platform"
