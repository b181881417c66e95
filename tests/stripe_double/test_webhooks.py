"""The double's webhooks: signed as stripe-python reads them, shaped as versions shape them, in any order."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import stripe
from stripe import Webhook, WebhookSignature

from refund_adapters.memory import Course, ManualClock, MemoryBank
from refund_domain.money import Money
from tests.stripe_double.double import StripeDouble
from tests.stripe_double.schema import check_object

SECRET = "whsec_double"
SELLER = "acct_seller"
USD = Money.parse("200.00", "USD")


class Inbox:
    """A receiver that keeps what it was sent."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []

    def __call__(self, body: bytes, headers: Mapping[str, str]) -> int:
        WebhookSignature.verify_header(body, headers["Stripe-Signature"], SECRET)
        self.bodies.append(json.loads(body))
        self.headers.append(headers)
        return len(self.bodies)

    @property
    def types(self) -> list[str]:
        return [body["type"] for body in self.bodies]


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


def test_what_a_request_causes_names_it(
    double: StripeDouble, bank: MemoryBank, client: stripe.StripeClient, inbox: Inbox
) -> None:
    """A refund made over the API tells of itself and of its charge, with the request's id and key."""
    hooks = double.webhooks(SECRET)
    ref = bank.charge(USD, account=SELLER)
    made = client.v1.refunds.create(
        {"charge": ref.charge, "amount": 20_000}, {"stripe_account": SELLER, "idempotency_key": "k1"}
    )
    assert hooks.deliver(inbox) == (1, 2)
    assert inbox.types == ["refund.created", "charge.refunded"]
    first, second = inbox.bodies
    assert made.last_response is not None
    assert first["request"] == {"id": made.last_response.request_id, "idempotency_key": "k1"}
    assert (first["account"], first["livemode"], first["pending_webhooks"]) == (SELLER, False, 1)
    assert (first["data"]["object"]["id"], second["data"]["object"]["object"]) == ("re_1", "charge")
    assert first["api_version"] == "2026-10-28.endive"
    assert first["id"] != second["id"]


def test_every_event_is_stripes_by_its_types(
    double: StripeDouble, bank: MemoryBank, inbox: Inbox, clock: ManualClock
) -> None:
    """All that the bank tells, of refunds, disputes, fees, transfers and payouts, passes the check of types."""
    hooks = double.webhooks(SECRET)
    ref = bank.charge(USD, destination=SELLER, application_fee=Money.parse("10.00", "USD"))
    bank.refund(ref.account, ref.charge, 5_000, key="k", reverse_transfer=True, refund_application_fee=True)
    clock.forward(timedelta(days=3))
    bank.settle("re_1", "failed", "declined")
    dispute = bank.dispute(ref)
    bank.move_dispute(dispute, "under_review")
    bank.close_dispute(dispute, "won")
    payout = bank.payouts.make("platform", "USD")
    for status in ("in_transit", "paid", "failed"):
        bank.payouts.move(payout, status)
    bank.payouts.reconcile(payout)
    canceled = bank.payouts.make("platform", "USD", Money.parse("1.00", "USD"))
    bank.payouts.move(canceled, "canceled")
    hooks.deliver(inbox)
    assert set(inbox.types) == {
        "refund.created", "refund.updated", "refund.failed", "charge.refund.updated", "charge.refunded",
        "transfer.reversed", "application_fee.refunded", "charge.dispute.created",
        "charge.dispute.funds_withdrawn", "charge.dispute.updated", "charge.dispute.closed",
        "charge.dispute.funds_reinstated", "payout.created", "payout.updated", "payout.paid", "payout.failed",
        "payout.canceled", "payout.reconciliation_completed",
    }  # fmt: skip
    kinds: dict[str, type] = {
        "refund": stripe.Refund,
        "charge": stripe.Charge,
        "dispute": stripe.Dispute,
        "transfer": stripe.Transfer,
        "application_fee": stripe.ApplicationFee,
        "payout": stripe.Payout,
    }
    for body in inbox.bodies:
        assert check_object(stripe.Event, body) == ()
        shown = body["data"]["object"]
        assert check_object(kinds[shown["object"]], shown) == ()
        assert "account" not in body
        assert body["request"] == {"id": None, "idempotency_key": None}


def test_stripe_python_reads_them(double: StripeDouble, bank: MemoryBank, clock: ManualClock) -> None:
    """construct_event takes a delivery as it comes; another secret or another body it does not."""
    hooks = double.webhooks(SECRET)
    bank.elsewhere(bank.charge(USD))
    (event, _) = hooks.waiting

    def reads(secret: str, body: bytes) -> Any:
        now = hooks.signature(event.body, at=clock())
        return Webhook.construct_event(body, now, secret, tolerance=10**9)

    assert reads(SECRET, event.body).data.object.id == "re_1"
    for secret, body in (("whsec_other", event.body), (SECRET, event.body + b" ")):
        with pytest.raises(stripe.SignatureVerificationError):
            reads(secret, body)


def test_a_rolled_secret_signs_twice(double: StripeDouble, bank: MemoryBank, inbox: Inbox) -> None:
    """While a secret is rolled each delivery carries a signature by either."""
    hooks = double.webhooks("whsec_old")
    bank.elsewhere(bank.charge(USD))
    (event, _) = hooks.take()
    hooks.send(event, inbox, secrets=("whsec_old", SECRET))
    assert inbox.headers[0]["Stripe-Signature"].count("v1=") == 2
    with pytest.raises(stripe.SignatureVerificationError):
        hooks.send(event, inbox)


def test_deliveries_are_late_lost_doubled_and_out_of_order(
    double: StripeDouble, bank: MemoryBank, inbox: Inbox, clock: ManualClock
) -> None:
    """The test says what comes when; each event shows its object as it was when it happened."""
    hooks = double.webhooks(SECRET)
    ref = bank.charge(USD, course=Course.pending_then_succeeds())
    bank.elsewhere(ref)
    clock.forward(timedelta(days=3))
    assert [event.type for event in hooks.waiting] == ["refund.created", "charge.refunded"]
    bank.tick()
    assert [event.type for event in hooks.waiting][2:] == ["refund.updated", "charge.refund.updated"]
    hooks.deliver(inbox, order=(2, 0, 0), at=clock() + timedelta(days=2))
    assert inbox.types == ["refund.updated", "refund.created", "refund.created"]
    assert [body["data"]["object"]["status"] for body in inbox.bodies] == ["succeeded", "pending", "pending"]
    assert inbox.bodies[1] == inbox.bodies[2]
    late = int((clock() + timedelta(days=2)).timestamp())
    assert inbox.headers[0]["Stripe-Signature"].startswith(f"t={late},")
    assert hooks.waiting == () == hooks.deliver(inbox)


def test_the_shape_follows_the_endpoints_version(double: StripeDouble, bank: MemoryBank, inbox: Inbox) -> None:
    """An old endpoint hears no pending_reason, and its charge brings its refunds along."""  # failure: F03, F04
    hooks = {version: double.webhooks(SECRET, version=version) for version in ("2022-08-01", "2024-06-20")}
    new = double.webhooks(SECRET)
    bank.elsewhere(bank.charge(USD, course=Course.stays()))
    for each in (*hooks.values(), new):
        each.deliver(inbox)
    refunds = [body["data"]["object"] for body in inbox.bodies if body["type"] == "refund.created"]
    charges = [body["data"]["object"] for body in inbox.bodies if body["type"] == "charge.refunded"]
    assert ["pending_reason" in refund for refund in refunds] == [False, False, True]
    assert ["refunds" in charge for charge in charges] == [True, False, False]
    assert [body["api_version"] for body in inbox.bodies][::2] == ["2022-08-01", "2024-06-20", "2026-10-28.endive"]


def test_thin_events_name_their_object(
    double: StripeDouble, bank: MemoryBank, client: stripe.StripeClient, clock: ManualClock
) -> None:
    """stripe-python parses them into their own classes, and the object they name can be fetched."""
    hooks = double.webhooks(SECRET, thin=True)
    ref = bank.charge(USD, account=SELLER)
    client.v1.refunds.create({"charge": ref.charge}, {"stripe_account": SELLER, "idempotency_key": "k1"})
    bank.dispute(ref)
    bank.payouts.make("platform", "USD", Money.parse("5.00", "USD"))
    events = hooks.take()
    assert [event.type for event in events] == [
        "refund.created",
        "charge.refunded",
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "payout.created",
    ]
    notes: list[Any] = []
    for event in events:
        header = hooks.signature(event.body, at=clock())
        notes.append(client.parse_event_notification(event.body, header, SECRET, tolerance=10**9))
    assert [note.type for note in notes][:2] == ["v1.refund.created", "v1.charge.refunded"]
    assert type(notes[0]).__name__ == "V1RefundCreatedEventNotification"
    assert (notes[0].related_object.id, notes[0].related_object.url) == ("re_1", "/v1/refunds/re_1")
    assert str(notes[0].context) == SELLER
    assert (notes[0].reason.request.idempotency_key, notes[4].reason) == ("k1", None)
    assert notes[4].context is None
    assert notes[4].fetch_related_object().id == "po_1"


@contextmanager
def listening(inbox: Inbox) -> Iterator[str]:
    """A real endpoint on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            inbox(body, dict(self.headers.items()))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Be quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hooks"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_they_can_be_posted_to_an_address(double: StripeDouble, bank: MemoryBank, inbox: Inbox) -> None:
    """A host's real endpoint is sent the same bytes and headers; its status comes back."""
    hooks = double.webhooks(SECRET)
    bank.elsewhere(bank.charge(USD))
    with listening(inbox) as address:
        assert hooks.deliver(address) == (204, 204)
    assert inbox.types == ["refund.created", "charge.refunded"]


def test_a_live_endpoint_hears_live_events(double: StripeDouble, bank: MemoryBank, inbox: Inbox) -> None:
    """livemode follows the endpoint, in the event and in its object."""
    hooks = double.webhooks(SECRET, live=True)
    bank.elsewhere(bank.charge(USD))
    hooks.deliver(inbox)
    assert [body["livemode"] for body in inbox.bodies] == [True, True]
    assert inbox.bodies[1]["data"]["object"]["livemode"] is True
