"""From a webhook to the ledger, in both forms of the service: bytes in, a look, and what it showed is merged."""

from __future__ import annotations

import itertools
import random
from typing import Any

import attrs
import pytest

from refund_adapters.memory import Course, Fault, MemoryJournal, Step
from refund_adapters.stripe.webhooks import StripeWebhooks, WebhookRefused
from refund_domain import Money, PaymentRef, Status
from refund_domain.answers import Picture
from refund_domain.errors import GatewayUnreadable, JournalUnavailable, OpenTransaction
from refund_domain.payments import PLATFORM, ChargeKind
from refund_domain.refusals import AlreadyRefunded, Refused
from refund_domain.service.stream import Handed, Merged, Received, Reported
from refund_domain.signals import Signal
from refund_domain.views import PaymentView
from tests.adapters.signed import SECRET, body_of, signed, snapshot, thin
from tests.domain.worlds import (
    DAY,
    HOUR,
    KINDS,
    MARIA,
    MINUTE,
    Kind,
    Refunds,
    World,
    refund_of,
    unavailable,
)

USD_20 = Money.parse("20.00", "USD")
USD_200 = Money.parse("200.00", "USD")
USD_180 = Money.parse("180.00", "USD")

UPS_AND_DOWNS = Course(
    steps=(
        Step(status="pending", reason="processing"),
        Step(status="succeeded", after=HOUR / 2),
        Step(status="failed", after=HOUR, reason="expired_or_canceled_card"),
    )
)
"""A refund that is pending for half an hour, succeeds, and fails an hour later."""


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> World:
    """A fresh world in each form of the service."""
    kind: Kind = request.param
    return World(kind)


def read(world: World, event: object) -> Signal | WebhookRefused:
    """What the world's endpoint reads in this event, signed now."""
    now = world.clock.now.timestamp
    hooks = StripeWebhooks(SECRET, live=False, accounts=lambda account: account != "acct_9", clock=now)
    body = body_of(event)
    return hooks.read(body, signed(body, at=int(now())))


def signal(world: World, event: object) -> Signal:
    """The signal of this event; a refusal is a failure of the test."""
    result = read(world, event)
    if isinstance(result, WebhookRefused):
        raise LookupError(result.code)
    return result


def deliver(world: World, event: object, refunds: Refunds | None = None) -> Received:
    """A delivery of this event, as a worker takes it in."""
    return (refunds or world.refunds).receive(signal(world, event))


def about(
    ref: PaymentRef, refund_id: str = "re_1", type: str = "refund.updated", **told: object
) -> dict[str, object]:
    """An event about a refund of this payment; `told` is what else its snapshot claims."""
    account = None if ref.account == PLATFORM else ref.account
    thing = {"id": refund_id, "object": "refund", "charge": ref.charge, **told}
    return snapshot(type, thing, account=account)


def merged(received: Received) -> Merged:
    """What was merged; anything else is a failure of the test."""
    if not isinstance(received, Merged):
        raise LookupError(type(received).__name__)
    return received


def issued(world: World, ref: PaymentRef) -> Status:
    """How a refund stands that was just issued in full."""
    return refund_of(world.refunds.issue(world.decision(ref))).status


# --- merged -------------------------------------------------------------------------------------------------


def test_refund_made_elsewhere_is_merged(world: World) -> None:
    """A refund made in the dashboard arrives with its event, as made elsewhere, and less is left."""
    # failure: F01, F06
    ref = world.pay()
    world.decision(ref)
    world.bank.elsewhere(ref, USD_20)
    received = merged(deliver(world, about(ref)))
    assert received.news is True
    assert [refund.amount for refund in received.view.elsewhere] == [USD_20]
    assert (received.view.refunds, received.view.left) == ((), USD_180)
    assert world.view(ref) == received.view


def test_an_event_of_a_charge_finds_all_its_refunds(world: World) -> None:
    """`charge.refunded` names no refund; all of the payment are listed, and each is matched by its id."""
    # failure: F03
    ref = world.pay()
    world.decision(ref)
    for _ in range(3):
        world.bank.elsewhere(ref, USD_20)
    event = snapshot("charge.refunded", {"id": ref.charge, "object": "charge", "amount_refunded": 2_000})
    view = merged(deliver(world, event)).view
    assert {refund.id for refund in view.elsewhere} == {"re_1", "re_2", "re_3"}
    assert view.left == Money.parse("140.00", "USD")


def test_trace_number_comes_later_with_an_event(world: World) -> None:
    """The bank's trace number is not there at first; an update brings it to the refund it belongs to."""
    # failure: H11
    # failure: F03
    ref = world.pay()
    issued(world, ref)
    world.clock.advance(2 * DAY)
    (refund,) = merged(deliver(world, about(ref))).view.refunds
    assert refund.trace is not None
    assert refund.trace.reference


def test_nothing_in_an_event_is_believed_but_the_place(world: World) -> None:
    """An event may be of another day: what it says of status, amount and mark is not what is written down."""
    ref = world.pay()
    issued(world, ref)
    told = {
        "status": "failed",
        "amount": 1,
        "metadata": {"refund_domain_id": "id-99"},
        "failure_reason": "unknown",
    }
    (refund,) = merged(deliver(world, about(ref, "re_7", "refund.failed", **told))).view.refunds
    assert (refund.status, refund.gateway_id, refund.amount.amount_minor) == (Status.SUCCEEDED, "re_1", 20_000)


def test_status_follows_with_every_event(world: World) -> None:
    """Pending, succeeded, failed late: each is shown once its event came, and the failure asks for a person."""
    # failure: C07
    ref = world.pay()
    world.bank.plan(ref, UPS_AND_DOWNS)
    assert issued(world, ref) is Status.PENDING
    statuses = []
    for name in ("refund.created", "refund.updated", "charge.refund.updated", "refund.failed"):
        (refund,) = merged(deliver(world, about(ref, type=name))).view.refunds
        statuses.append(str(refund.status))
        world.clock.advance(HOUR)
    assert statuses == ["pending", "succeeded", "failed", "failed"]
    told = world.refunds.attention(by=MARIA)
    assert not isinstance(told, Refused)
    assert [payment.payment for payment in told] == [ref]
    assert world.view(ref).left == USD_200


def test_dispute_is_merged(world: World) -> None:
    """The event of a dispute leads to its payment, and what is disputed may not go back."""
    ref = world.pay()
    world.decision(ref)
    dispute = world.bank.dispute(ref)
    thing = {"id": dispute, "object": "dispute", "charge": {"id": ref.charge, "object": "charge"}}
    view = merged(deliver(world, snapshot("charge.dispute.created", thing))).view
    assert view.payment is not None
    assert [each.id for each in view.payment.disputes] == [dispute]
    assert view.left == Money.parse("0.00", "USD")


def test_payments_of_connected_accounts_are_looked_at_there(world: World) -> None:
    """The event's account belongs to the payment: the same charge id elsewhere is another payment."""
    here = world.bank.charge(USD_200, account="acct_1", kind=ChargeKind.DIRECT, id="ch_same")
    there = world.bank.charge(USD_200, account="acct_2", kind=ChargeKind.DIRECT, id="ch_same")
    for ref in (here, there):
        world.decision(ref)
    world.bank.elsewhere(here, USD_20)
    assert merged(deliver(world, about(there))).news is False
    assert merged(deliver(world, about(here))).view.left == USD_180
    assert world.view(there).elsewhere == ()


# --- our own, in doubt --------------------------------------------------------------------------------------


def test_refund_in_doubt_is_found_by_its_mark(world: World) -> None:
    """The answer to our send was lost; its event leads to it, and it is ours by the mark, with its true status."""
    # failure: B03, B15
    ref = world.pay()
    world.gateway.script(Fault.ANSWER_LOST)
    assert issued(world, ref) is Status.IN_DOUBT
    view = merged(deliver(world, about(ref, type="refund.created"))).view
    assert [(refund.status, refund.gateway_id) for refund in view.refunds] == [(Status.SUCCEEDED, "re_1")]
    assert view.elsewhere == ()
    world.settle_down()
    assert world.bank.made(ref) == 1
    assert world.view(ref).refunds[0].status is Status.SUCCEEDED


def test_an_event_never_ends_a_doubt(world: World) -> None:
    """A look that shows nothing, however often an event asks for it, leaves the doubt and sends nothing."""
    ref = world.pay()
    world.gateway.script(Fault.REQUEST_LOST)
    assert issued(world, ref) is Status.IN_DOUBT
    before = world.events(ref)
    for _ in range(40):
        world.clock.advance(HOUR)
        received = merged(deliver(world, about(ref)))
        assert (received.news, received.view.refunds[0].status) == (False, Status.IN_DOUBT)
    assert world.events(ref) == before
    assert len(world.gateway.sent) == 1


def test_an_event_never_sends(world: World) -> None:
    """A request that waits for its dispatch is not sent because an event came."""
    ref = world.pay()
    world.refunds.request(world.decision(ref))
    (refund,) = merged(deliver(world, about(ref))).view.refunds
    assert refund.status is Status.REQUESTED
    assert world.bank.received == ()


def test_a_lost_journal_takes_its_refund_back_by_the_mark(world: World) -> None:
    """With a fresh journal an event about our refund is handed over; after a quote it is known as ours again."""
    # failure: B09
    ref = world.pay()
    refund = refund_of(world.refunds.issue(world.decision(ref)))
    refunds = world.service(journal=MemoryJournal(world.clock))
    assert isinstance(deliver(world, about(ref), refunds), Handed)
    assert refunds.quote(ref, by=MARIA).refusals == (AlreadyRefunded(refund_id=refund.id),)
    (known,) = merged(deliver(world, about(ref), refunds)).view.refunds
    assert known.id == refund.id


# --- doubled, late, out of order ----------------------------------------------------------------------------


def history(world: World) -> tuple[PaymentRef, list[dict[str, object]]]:
    """A payment, what happened to it over two days, and the events that Stripe made of it."""
    ref = world.pay()
    world.bank.elsewhere(ref, USD_20)
    world.bank.plan(ref, UPS_AND_DOWNS)
    issued(world, ref)
    charge = {"id": ref.charge, "object": "charge"}
    return ref, [
        about(ref, "re_1", "refund.created"),
        snapshot("charge.refunded", charge),
        about(ref, "re_2", "refund.created"),
        about(ref, "re_2", "refund.updated"),
        thin("v1.charge.refunded", {"id": ref.charge, "type": "charge"}),
        about(ref, "re_2", "refund.failed"),
    ]


def outcome(view: PaymentView) -> PaymentView:
    """What a view says, apart from when it was seen."""
    return attrs.evolve(view, seen_at=None)


def in_order(kind: Kind) -> PaymentView:
    """How the payment stands where each event came once, at once, in its order."""
    world = World(kind)
    ref, events = history(world)
    for event in events:
        deliver(world, event)
        world.clock.advance(HOUR / 2)
    world.clock.advance(DAY)
    deliver(world, events[0])
    return outcome(world.view(ref))


@pytest.mark.parametrize("seed", range(12))
def test_any_order_and_any_number_of_events_make_one_ledger(world: World, seed: int) -> None:
    """Events doubled, lost, late and shuffled: in the end the payment stands as if each had come in its time."""
    # failure: A03
    rng = random.Random(seed)
    ref, events = history(world)
    sent = [event for event in events for _ in range(rng.randint(0, 3))] + [rng.choice(events)]
    rng.shuffle(sent)
    for event in sent:
        world.clock.advance(rng.choice([MINUTE, HOUR / 2, HOUR]))
        deliver(world, event)
    world.clock.advance(2 * DAY)
    deliver(world, rng.choice(events))
    assert outcome(world.view(ref)) == in_order(world.kind)


def test_every_order_of_late_events_writes_the_same(world: World) -> None:
    """Once all has happened the first event brings the news, whichever it is, and the rest write nothing."""
    # failure: A03
    told = []
    for order in itertools.permutations(range(6), 3):
        late = World(world.kind)
        ref, events = history(late)
        late.clock.advance(3 * DAY)
        news = [merged(deliver(late, events[number])).news for number in order]
        assert news == [True, False, False]
        told.append(late.events(ref))
    assert all(events == told[0] for events in told)


def test_an_event_that_comes_twice_at_once_writes_once(world: World) -> None:
    """Two workers take in the same event between each other's steps: one writes, the other finds it written."""
    # failure: A04, B13
    ref = world.pay()
    world.decision(ref)
    world.bank.elsewhere(ref, USD_20)
    before = len(world.events(ref))
    other = world.service(world.gateway, world.store)
    told = signal(world, about(ref))

    def first() -> None:
        world.wire.each.clear()
        other.receive(told)

    world.wire.each["append"] = first
    received = merged(world.refunds.receive(told))
    assert [refund.amount for refund in received.view.elsewhere] == [USD_20]
    kinds = [type(event).__name__ for event in world.events(ref)[before:]]
    assert kinds.count("RefundObserved") == 1


# --- not merged ---------------------------------------------------------------------------------------------


def test_payment_without_a_stream_is_handed_over(world: World) -> None:
    """Of a payment that nobody has quoted the host gets the picture; nothing is stored or becomes due."""
    # failure: C16
    ref = world.pay()
    world.bank.elsewhere(ref, USD_20)
    told = signal(world, about(ref))
    received = world.refunds.receive(told)
    assert isinstance(received, Handed)
    picture = world.gateway.look(ref)
    assert isinstance(picture, Picture)
    assert (received.signal, received.picture) == (told, picture)
    assert world.events(ref) == ()
    assert "append" not in world.wire.calls
    assert world.store.due(10) == ()


def test_charge_that_the_account_does_not_hold_is_reported(world: World) -> None:
    """An event under another account names a payment that is not there: reported, never looked for elsewhere."""
    # failure: C16
    ref = world.pay()
    world.decision(ref)
    before = world.events(ref)
    received = deliver(world, about(PaymentRef("acct_2", ref.charge)))
    assert isinstance(received, Reported)
    assert received.why == "its account holds no such payment"
    assert world.events(ref) == before
    assert world.gateway.looked[-1] == PaymentRef("acct_2", ref.charge)


def test_account_that_the_endpoint_may_not_speak_of_reaches_nothing(world: World) -> None:
    """What the endpoint refuses reaches no port of the service."""
    ref = world.pay()
    world.decision(ref)
    world.wire.clear()
    refused = read(world, about(PaymentRef("acct_9", ref.charge)))
    assert isinstance(refused, WebhookRefused)
    assert refused.code == "other_account"
    assert world.wire.calls == []


@pytest.mark.parametrize(
    "event",
    [
        snapshot("payout.paid", {"id": "po_1", "object": "payout"}),
        snapshot("invoice.paid", {"id": "in_1", "object": "invoice", "charge": "ch_1"}),
        snapshot("refund.updated", {"id": "re_1", "object": "refund", "charge": None}),
        snapshot("refund.updated", {"id": "re_1", "object": "charge", "charge": "ch_1"}),
        snapshot("transfer.reversed", {"id": "tr_1", "object": "transfer", "source_transaction": None}),
        thin("v1.refund.updated"),
        thin("v2.core.account.updated"),
    ],
    ids=lambda event: str(event["type"]),
)
def test_event_without_a_payment_is_reported(world: World, event: dict[str, Any]) -> None:
    """What names no payment is told and not looked at: no port is called at all."""
    # failure: C16
    world.wire.clear()
    received = deliver(world, event)
    assert isinstance(received, Reported)
    assert received.why == "it names no payment"
    assert received.signal.kind == event["type"]
    assert world.wire.calls == []


def test_pending_ends_though_its_event_matches_nothing(world: World) -> None:
    """An event of a payment nobody knows is set aside; the refund it should have closed is closed by looking."""
    # failure: C16
    ref = world.pay()
    world.bank.plan(ref, Course.pending_then_succeeds())
    assert issued(world, ref) is Status.PENDING
    assert isinstance(deliver(world, about(PaymentRef(PLATFORM, "ch_unknown"))), Reported)
    world.settle_down(until=5 * DAY)
    assert world.view(ref).refunds[0].status is Status.SUCCEEDED


# --- what breaks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.LOOK_UNREADABLE, Fault.LOOK_UNAUTHORIZED, Fault.LOOK_RAISES])
def test_gateway_that_cannot_be_read_is_told_and_tried_again(world: World, fault: Fault) -> None:
    """An unreadable gateway raises for the queue, nothing is written, and the same signal works later."""
    ref = world.pay()
    world.decision(ref)
    world.bank.elsewhere(ref, USD_20)
    before, told = world.events(ref), signal(world, about(ref))
    world.gateway.script(fault)
    with pytest.raises(GatewayUnreadable) as caught:
        world.refunds.receive(told)
    assert str(caught.value) not in ("", "None"), "it says why"
    assert world.events(ref) == before
    world.clock.advance(DAY)
    assert merged(world.refunds.receive(told)).view.left == USD_180


@pytest.mark.parametrize("call", ["load", "append"])
def test_journal_that_is_gone_is_told_and_tried_again(world: World, call: str) -> None:
    """A journal that cannot be used raises for the queue, and the same signal works later."""
    ref = world.pay()
    world.decision(ref)
    world.bank.elsewhere(ref, USD_20)
    told = signal(world, about(ref))
    world.wire.each[call] = unavailable()
    with pytest.raises(JournalUnavailable):
        world.refunds.receive(told)
    world.wire.each.clear()
    assert merged(world.refunds.receive(told)).view.left == USD_180


def test_no_look_inside_an_open_transaction(world: World) -> None:
    """A host that receives inside its own transaction is told so before anything is read."""
    told = signal(world, about(world.pay()))
    world.journal.in_transaction = True
    with pytest.raises(OpenTransaction):
        world.refunds.receive(told)
    assert world.wire.calls == []


def test_only_a_signal_is_received(world: World) -> None:
    """Bytes, refusals and payments are no signals."""
    refused = read(world, {})
    for odd in (refused, b"{}", world.pay(), None):
        with pytest.raises(TypeError):
            world.refunds.receive(odd)  # type: ignore[arg-type]
