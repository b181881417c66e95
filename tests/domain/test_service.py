"""The service in both its forms: who may, what is shown, what is sent, what is refused, what is told after."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import date, timedelta

import attrs
import pytest

from refund_adapters.memory import Course, Fault, MemoryGateway, MemoryJournal
from refund_domain import Actor, AsyncRefundService, IssueRefund, OutsideRef, PaymentRef, RefundService, Status
from refund_domain.answers import Answer, Ask, Declined, Send
from refund_domain.commands import Action, ApproveRefund, Choice, Reason
from refund_domain.connect import PlatformCharge
from refund_domain.decider.attention import UNREADABLE
from refund_domain.decider.ledger import EMPTY
from refund_domain.errors import (
    GatewayUnreadable,
    JournalConflict,
    JournalUnavailable,
    OpenTransaction,
    RefundError,
    TooContended,
    UnknownEvent,
)
from refund_domain.events import LookScheduled, RefundRequested, SendAnswered, SendClaimed
from refund_domain.money import Money
from refund_domain.payments import Control, ControlRef, Ref
from refund_domain.payouts.funds import Funds, Payout
from refund_domain.policy import Policy
from refund_domain.ports import Loaded
from refund_domain.quotes import Quote, make_quote
from refund_domain.refusals import (
    AlreadyRefunded,
    AmountChanged,
    InFlight,
    Move,
    NotAllowed,
    Refused,
    RequestReused,
)
from refund_domain.rules.funding import FromPayout
from refund_domain.service.stream import MOST_LOOKS, Recovery, Stream, Waiting
from refund_domain.views import PaymentView
from tests.domain.worlds import (
    DAY,
    HOUR,
    KINDS,
    MARIA,
    MINUTE,
    SECOND,
    START,
    AwaitedGateway,
    AwaitedJournal,
    Crash,
    Kind,
    World,
    anybody,
    codes_of,
    driven,
    raising,
    refund_of,
    unavailable,
)

EVE = Actor(id="eve", tenant="other")
UNKNOWN = PaymentRef("platform", "ch_404")
USD_20 = Money.parse("20.00", "USD")
USD_200 = Money.parse("200.00", "USD")

Call = Callable[[World, PaymentRef, IssueRefund, Actor], object]

CALLS: dict[Action, Call] = {
    Action.QUOTE: lambda w, ref, command, by: w.refunds.quote(ref, by=by),
    Action.REQUEST: lambda w, ref, command, by: w.refunds.request(attrs.evolve(command, payment=ref, by=by)),
    Action.ISSUE: lambda w, ref, command, by: w.refunds.issue(attrs.evolve(command, payment=ref, by=by)),
    Action.SHOW: lambda w, ref, command, by: w.refunds.show(ref, by=by),
    Action.ATTENTION: lambda w, ref, command, by: w.refunds.attention(by=by),
    Action.SETTLE: lambda w, ref, command, by: w.refunds.settle(
        ref, subject="payment", code="x", choice=Choice.NOTED, by=by
    ),
    Action.RECORD_OUTSIDE: lambda w, ref, command, by: w.refunds.record_outside(ref, USD_20, by=by, how="cash"),
    Action.APPROVE: lambda w, ref, command, by: w.refunds.approve(
        ApproveRefund(payment=ref, refund_id="r1", amount=command.amount, by=by)
    ),
    Action.PAUSE: lambda w, ref, command, by: w.refunds.pause(by=by, why="an audit"),
    Action.RESUME: lambda w, ref, command, by: w.refunds.resume(by=by),
}
"""Every call of the service that has an actor, by its action."""

OWN_SWITCH = ControlRef(kind=Control.TENANT, name=MARIA.tenant)
ASKED_OF = {Action.ATTENTION: None, Action.PAUSE: OWN_SWITCH, Action.RESUME: OWN_SWITCH}
"""What `allow` is asked about, where it is not the payment."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each form of the service."""
    form: Kind = request.param
    return form


@pytest.fixture
def world(kind: Kind) -> World:
    """A fresh world in each form of the service."""
    return World(kind)


def waiting(world: World, by: Actor = MARIA) -> list[tuple[str, tuple[Choice, ...]]]:
    """What waits for a person: code and choices."""
    told = world.refunds.attention(by=by)
    if isinstance(told, Refused):
        raise LookupError(str(told))
    return [(item.code, item.choices) for payment in told for item in payment.items]


# --- who may ------------------------------------------------------------------------------------------------


def test_calls_with_an_actor_are_all_of_them() -> None:
    """The table of calls below leaves no action out."""
    assert set(CALLS) == set(Action)


@pytest.mark.parametrize("action", Action)
def test_allow_is_asked_once_and_first(world: World, action: Action) -> None:
    """Every call with an actor asks `allow` before any load or look, with actor, action and payment."""
    # failure: H08
    ref = world.pay()
    command = world.decision(ref)
    world.wire.clear()
    CALLS[action](world, ref, command, MARIA)
    assert world.wire.calls[0] == "allow"
    assert world.wire.calls.count("allow") == 1
    assert len(world.wire.calls) + len(world.wire.controls) > 1
    assert world.wire.asked == [(MARIA, action, ASKED_OF.get(action, ref))]


@pytest.mark.parametrize("action", Action)
def test_nobody_acts_under_the_name_of_an_erased_actor(world: World, action: Action) -> None:
    """An actor whose id is one that erasing makes may do nothing, whatever `allow` says, and nothing is read."""
    ref = world.pay()
    command = world.decision(ref)
    world.wire.clear()
    said = CALLS[action](world, ref, command, attrs.evolve(MARIA, id="erased:7f3a"))
    assert codes_of(said) == ("not_allowed",)
    assert world.wire.calls == world.wire.controls == []


def _raises(actor: Actor, action: Action, ref: Ref | None) -> bool:
    raise LookupError("the rights database is gone")


ANSWERS_OF_NO: dict[str, Callable[[Actor, Action, Ref | None], bool]] = {
    "false": lambda actor, action, ref: False,
    "none": lambda actor, action, ref: None,  # type: ignore[dict-item, return-value]
    "one": lambda actor, action, ref: 1,  # type: ignore[dict-item, return-value]
    "word": lambda actor, action, ref: "yes",  # type: ignore[dict-item, return-value]
    "raises": _raises,
}


@pytest.mark.parametrize("answer", ANSWERS_OF_NO)
@pytest.mark.parametrize("action", Action)
def test_only_true_allows(world: World, action: Action, answer: str) -> None:
    """False, an exception and everything truthy but True are a no, and nothing is read or sent after it."""
    # failure: H08
    ref = world.pay()
    command = world.decision(ref)
    before = world.events(ref)
    world.wire.clear()
    world.allow = ANSWERS_OF_NO[answer]
    result = CALLS[action](world, ref, command, MARIA)
    reasons = result.refusals if isinstance(result, Quote) else getattr(result, "reasons", None)
    assert reasons == (NotAllowed(action=action),)
    assert world.wire.calls == ["allow"]
    assert world.events(ref) == before
    if isinstance(result, Quote):
        assert (result.amount, result.captured, result.quoted_at) == (None, None, None)


def test_interrupt_in_allow_passes_through(world: World) -> None:
    """An interrupt while rights are checked is no answer: it passes, and nothing was read."""
    ref = world.pay()

    def interrupted(actor: Actor, action: Action, ref: Ref | None) -> bool:
        raise KeyboardInterrupt

    world.allow = interrupted
    with pytest.raises(KeyboardInterrupt):
        world.refunds.quote(ref, by=MARIA)
    assert world.wire.calls == ["allow"]


@pytest.mark.parametrize("action", Action)
def test_another_tenants_payment_is_like_none(world: World, action: Action) -> None:
    """For another tenant's actor a payment of ours looks like one that does not exist, in every call."""
    ref = world.pay()
    command = world.decision(ref)
    world.gateway.script(Fault.UNAUTHORIZED)  # something to wait for
    world.refunds.issue(world.decision(ref))
    before = world.events(ref)

    def eves(asked: PaymentRef) -> object:
        result = CALLS[action](world, asked, command, EVE)
        return attrs.evolve(result, ref=ref, request_id="x") if isinstance(result, Quote) else result

    theirs, nobodys = eves(ref), eves(UNKNOWN)
    assert theirs == nobodys
    assert theirs != CALLS[action](world, ref, command, MARIA)
    assert len(world.gateway.sent) == 1
    assert world.store.load(UNKNOWN).version == 0
    if action in (Action.SHOW, Action.ATTENTION):
        assert world.events(ref) == before


def test_first_allowed_quote_owns_the_payment(world: World) -> None:
    """Who quotes first owns the stream; one who was refused opened nothing."""
    ref = world.pay()
    world.allow = lambda actor, action, asked: actor == MARIA
    world.refunds.quote(ref, by=EVE)
    assert world.store.load(ref).version == 0
    world.decision(ref)
    world.allow = lambda actor, action, asked: True
    assert codes_of(world.refunds.quote(ref, by=EVE)) == ("not_found",)


def test_payment_that_another_tenant_opened_meanwhile_is_not_found(world: World) -> None:
    """A quote that is beaten to the opening of the stream by another tenant shows nothing of the payment."""
    ref = world.pay()
    other = world.service(world.gateway, world.store)
    world.wire.each["look"] = lambda: None if world.events(ref) else _opened(other.quote(ref, by=EVE))
    quote = world.refunds.quote(ref, by=MARIA)
    assert codes_of(quote) == ("not_found",)
    assert quote.amount is None


def _opened(quote: Quote) -> None:
    assert quote.refusals == ()


# --- quote, then issue --------------------------------------------------------------------------------------


def test_r4_verified_amount_is_quoted_then_sent_once(world: World) -> None:
    """What the quote shows is what is sent, once, and the refund that comes back tells all of it."""
    ref = world.bank.charge(USD_200, fee=Money.parse("6.10", "USD"))
    payout = Payout(id="po_1", amount=Money.parse("500.00", "USD"), arrives_on=date(2026, 3, 4))
    world.funds.of[ref.account] = Funds(payouts=(payout,))
    quote = world.refunds.quote(ref, by=MARIA)
    assert (quote.amount, quote.refusals, quote.quoted_at) == (USD_200, (), START)
    assert (quote.captured, quote.given_back, quote.elsewhere) == (USD_200, Money.zero(USD_200.currency), 0)
    assert quote.fee_kept == Money.parse("6.10", "USD")
    assert quote.funding is not None
    (part,) = quote.funding.parts
    assert isinstance(part, FromPayout)
    assert (part.before, part.after) == (Money.parse("500", "USD"), Money.parse("300", "USD"))
    assert quote.arrives is not None
    assert (quote.arrives.earliest, quote.arrives.latest) == (date(2026, 3, 5), date(2026, 3, 9))
    assert "cannot be stopped" in quote.cannot_be_undone

    command = quote.verified(by=MARIA, reason=Reason.DUPLICATE, note="called on Monday")
    refund = refund_of(world.refunds.issue(command))
    assert (refund.status, refund.settled, refund.amount) == (Status.SUCCEEDED, True, USD_200)
    assert (refund.payment, refund.request_id, refund.requested_by) == (ref, quote.request_id, "maria")
    assert (refund.requested_at, refund.reason) == (START, Reason.DUPLICATE)
    assert refund.gateway_id == world.bank.refunds(ref)[0].id
    assert refund.arrives == quote.arrives
    sent = Send(
        refund_id=refund.id,
        claim=1,
        payment=ref,
        amount=USD_200,
        reason=Reason.DUPLICATE,
        split=PlatformCharge(),
    )
    assert world.gateway.sent == (sent,)
    (received,) = world.bank.received
    assert (received.key, received.mark, received.amount_minor) == (refund.id, refund.id, 20_000)
    assert world.bank.made(ref) == 1


def test_claim_is_on_record_before_the_send_leaves(world: World) -> None:
    """An issue is one load, one look, one send and three appends, and the send finds its claim written down."""
    # failures: A14, B06
    ref = world.pay()
    command = world.decision(ref)
    world.wire.clear()
    last: list[object] = []
    world.wire.each["send"] = lambda: last.extend(world.events(ref))
    refund = refund_of(world.refunds.issue(command))
    assert world.wire.calls == ["allow", "load", "append", "look", "append", "send", "append"]
    claimed = [event for event in last if isinstance(event, SendClaimed)]
    assert [(event.send.refund_id, event.send.claim) for event in claimed] == [(refund.id, 1)]
    assert not [event for event in last if isinstance(event, SendAnswered)]


def test_double_click_is_one_refund(world: World) -> None:
    """Issuing one verified quote again gives the same refund without asking the gateway anything."""
    # failures: A01, A10
    ref = world.pay()
    command = world.decision(ref)
    first = world.refunds.issue(command)
    world.wire.clear()
    assert world.refunds.issue(command) == first
    assert world.refunds.request(command) == first
    assert world.wire.calls == ["allow", "load"] * 2
    assert world.bank.made(ref) == 1


def test_same_request_with_another_amount_is_a_conflict(world: World) -> None:
    """A request id that comes back with another amount is refused, naming the amount it was used for."""
    # failure: A10
    ref = world.pay()
    command = world.decision(ref)
    refund_of(world.refunds.issue(command))
    other = attrs.evolve(command, amount=USD_20)
    for call in (world.refunds.issue, world.refunds.request):
        assert call(other) == Refused((RequestReused(amount=USD_200),))
    assert len(world.gateway.sent) == 1


def test_second_tab_is_told_which_refund(world: World) -> None:
    """While one refund is under way another decision is refused as in flight, and after it as already refunded."""
    # failures: A05, A20
    ref = world.pay()
    first, second = world.decision(ref), world.decision(ref)
    world.gateway.script(Fault.REQUEST_LOST)
    refund = refund_of(world.refunds.issue(first))
    assert refund.status is Status.IN_DOUBT
    told = world.refunds.issue(second)
    assert isinstance(told, Refused)
    assert told.reasons == (InFlight(refund_id=refund.id, status=Status.IN_DOUBT),)
    assert codes_of(world.refunds.quote(ref, by=MARIA)) == ("in_flight",)
    world.clock.advance(3 * MINUTE)
    world.refunds.recover()
    told = world.refunds.issue(attrs.evolve(second, quoted_at=world.clock.now))
    assert isinstance(told, Refused)
    assert told.reasons == (AlreadyRefunded(refund_id=refund.id),)
    assert [send.refund_id for send in world.gateway.sent] == [refund.id] * 2


def test_two_payments_of_one_amount_are_two_refunds(world: World) -> None:
    """Equal refunds on one day are no duplicates of each other: sameness is decided by id."""
    # failure: A13
    refs = [world.pay(), world.pay()]
    refunds = [refund_of(world.refunds.issue(world.decision(ref))) for ref in refs]
    assert refunds[0].id != refunds[1].id
    assert [world.bank.made(ref) for ref in refs] == [1, 1]


def test_yen_are_sent_as_yen(world: World) -> None:
    """A payment in a currency without decimals is refunded by its own integer."""
    # failure: E01
    ref = world.pay("5000", "JPY")
    refund = refund_of(world.refunds.issue(world.decision(ref)))
    assert str(refund.amount) == "5000 JPY"
    assert world.bank.received[0].amount_minor == 5000


def test_form_brings_the_decision_back(world: World) -> None:
    """What the page carried is the decision that was verified; payment and actor come from the session."""
    ref = world.pay()
    quote = world.refunds.quote(ref, by=MARIA)
    command = IssueRefund.from_form(quote.form(), payment=ref, by=MARIA)
    assert command == quote.verified(by=MARIA)
    assert refund_of(world.refunds.issue(command)).request_id == quote.request_id


def test_amount_changed_in_the_form_sends_nothing(world: World) -> None:
    """An amount edited on the page is compared with what may go back, and nothing is sent."""
    ref = world.pay()
    form = world.refunds.quote(ref, by=MARIA).form()
    for amount_minor in ("1", "19999", "20001"):
        command = IssueRefund.from_form(form | {"amount_minor": amount_minor}, payment=ref, by=MARIA)
        assert codes_of(world.refunds.issue(command)) == ("amount_changed",)
    command = IssueRefund.from_form(form | {"currency": "JPY"}, payment=ref, by=MARIA)
    assert codes_of(world.refunds.issue(command)) == ("currency_not_supported",)
    assert world.gateway.sent == ()


def test_r4_quote_is_good_for_fifteen_minutes(world: World) -> None:
    """A quote fifteen minutes old may be issued; a second later, or from a clock far ahead, it is stale."""
    ref = world.pay()
    command = world.decision(ref)
    world.clock.advance(15 * MINUTE + SECOND)
    assert codes_of(world.refunds.issue(command)) == ("quote_stale",)
    assert codes_of(world.refunds.request(command)) == ("quote_stale",)
    ahead = attrs.evolve(command, quoted_at=world.clock.now + 5 * MINUTE + SECOND)
    assert codes_of(world.refunds.issue(ahead)) == ("quote_stale",)
    assert world.gateway.sent == ()
    on_time = attrs.evolve(command, quoted_at=world.clock.now - 15 * MINUTE)
    assert refund_of(world.refunds.issue(on_time)).status is Status.SUCCEEDED


def test_never_quoted_is_not_issued(world: World) -> None:
    """A decision about a payment nobody looked at is refused: nothing was seen that could be verified."""
    ref = world.pay()
    command = attrs.evolve(world.decision(world.pay()), payment=ref)
    for call in (world.refunds.issue, world.refunds.request):
        assert codes_of(call(command)) == ("not_found", "quote_stale")
    assert world.store.load(ref).version == 0


def test_blocking_reason_needs_a_policy(kind: Kind) -> None:
    """The reason that blocks the payer's card is refused unless the policy allows it."""
    for policy, allowed in ((Policy(), False), (Policy(allow_fraudulent=True), True)):
        world = World(kind, policy=policy)
        ref = world.pay()
        command = world.refunds.quote(ref, by=MARIA).verified(by=MARIA, reason=Reason.FRAUDULENT)
        result = world.refunds.issue(command)
        assert isinstance(result, Refused) is not allowed
        assert world.bank.made(ref) == int(allowed)


# --- what happened meanwhile --------------------------------------------------------------------------------


def test_r4_refund_elsewhere_after_the_quote_sends_nothing(world: World) -> None:
    """A partial made in the dashboard after the quote changes the amount: nothing is sent, however often."""
    # failures: D01, D08, D10
    ref = world.pay()
    command = world.decision(ref)
    world.bank.elsewhere(ref, USD_20)
    told = world.refunds.issue(command)
    left = Money.parse("180.00", "USD")
    assert told == Refused((AmountChanged(verified=USD_200, current=left),))
    assert world.refunds.issue(command) == told == world.refunds.request(command)
    assert world.gateway.sent == ()
    again = world.refunds.quote(ref, by=MARIA)
    assert (again.amount, again.elsewhere, again.given_back) == (left, 1, USD_20)
    assert refund_of(world.refunds.issue(again.verified(by=MARIA))).amount == left
    assert world.bank.live(ref) == USD_200


def test_full_refund_elsewhere_leaves_nothing(world: World) -> None:
    """Where the dashboard gave all of it back after the quote, nothing is left; a refund of 0 is never sent."""
    # failures: D07, F02
    ref = world.pay()
    command = world.decision(ref)
    world.bank.elsewhere(ref)
    assert codes_of(world.refunds.issue(command)) == ("nothing_left",)
    assert codes_of(world.refunds.quote(ref, by=MARIA)) == ("nothing_left",)
    assert world.gateway.sent == ()


def test_dispute_after_the_quote_sends_nothing(world: World) -> None:
    """A dispute opened after the quote refuses the refund, and the quote says so with what it takes."""
    # failure: H04
    ref = world.pay()
    command = world.decision(ref)
    world.bank.dispute(ref)
    assert codes_of(world.refunds.issue(command)) == ("disputed",)
    assert codes_of(world.refunds.quote(ref, by=MARIA)) == ("disputed",)
    assert world.gateway.sent == ()


def test_dashboard_refund_between_look_and_send_is_declined(world: World) -> None:
    """A refund made elsewhere after the look is the gateway's to decline, and that is no success of ours."""
    # failures: C11, F02
    ref = world.pay()
    command = world.decision(ref)
    world.wire.each["send"] = lambda: _made(world.bank.elsewhere(ref))
    refund = refund_of(world.refunds.issue(command))
    assert (refund.status, refund.settled, refund.detail) == (Status.DECLINED, False, "charge_already_refunded")
    assert world.refunds.issue(command) == refund
    assert waiting(world) == [("declined", (Choice.NOTED,))]
    assert codes_of(world.refunds.quote(ref, by=MARIA)) == ("nothing_left",)


def _made(refund_id: str) -> None:
    assert refund_id


class Says(MemoryGateway):
    """A memory gateway that first gives the answers it was told to give."""

    answers: tuple[Answer, ...] = ()

    def send(self, send: Ask, /) -> Answer:
        if not self.answers:
            return super().send(send)
        answer, *rest = self.answers
        self.answers = tuple(rest)
        return answer


def test_new_try_after_a_no_is_a_new_refund(world: World) -> None:
    """A declined refund stays on record, frees its amount, and the next one has an id and key of its own."""
    # failures: A08, A11, A15
    gateway = Says(world.bank)
    gateway.answers = (Declined(code="charge_not_refundable"),)
    world.refunds = world.service(gateway)
    ref = world.pay()
    first = refund_of(world.refunds.issue(world.decision(ref)))
    assert (first.status, first.detail) == (Status.DECLINED, "charge_not_refundable")
    assert world.view(ref).left == USD_200
    second = refund_of(world.refunds.issue(world.decision(ref)))
    assert (second.status, second.id != first.id) == (Status.SUCCEEDED, True)
    assert [refund.status for refund in world.view(ref).refunds] == [Status.DECLINED, Status.SUCCEEDED]
    assert [sent.key for sent in world.bank.received] == [second.id]


# --- request, then dispatch ---------------------------------------------------------------------------------


def test_request_touches_no_network_and_dispatch_sends(world: World) -> None:
    """A request is written down without a look; dispatch, from its text in a queue, sends it once."""
    ref = world.pay()
    command = world.decision(ref)
    world.wire.clear()
    requested = refund_of(world.refunds.request(command))
    assert requested.status is Status.REQUESTED
    assert world.wire.calls == ["allow", "load", "append"]
    for _ in range(3):
        view = world.refunds.dispatch(PaymentRef.parse(str(ref)))
        assert [(refund.id, refund.status) for refund in view.refunds] == [(requested.id, Status.SUCCEEDED)]
    assert world.bank.made(ref) == 1
    assert len(world.gateway.sent) == 1


def test_dispatch_before_the_request_does_nothing(world: World) -> None:
    """A dispatch for what is not there yet is owed nothing, no look and no error; recovery finds it later."""
    ref = world.pay()
    world.wire.clear()
    assert world.refunds.dispatch(ref) == PaymentView(ref=ref, payment=None, seen_at=None, left=None)
    assert world.wire.calls == ["load"]
    refund_of(world.refunds.request(world.decision(ref)))
    assert world.refunds.recover().looked == 1
    assert world.bank.made(ref) == 1


def test_dispatch_decides_afresh(world: World) -> None:
    """What changed between request and dispatch drops the request: Refused with the reasons, however repeated."""
    ref = world.pay()
    command = world.decision(ref)
    world.refunds.request(command)
    world.bank.elsewhere(ref, USD_20)
    (refund,) = world.refunds.dispatch(ref).refunds
    assert refund.status is Status.DROPPED
    assert [reason.code for reason in refund.reasons] == ["amount_changed"]
    for call in (world.refunds.request, world.refunds.issue, world.refunds.issue):
        assert call(command) == Refused(refund.reasons)
    assert [code for code, _ in waiting(world)] == ["dropped"]
    assert world.gateway.sent == ()


@pytest.mark.parametrize(("age", "sent"), [(24 * HOUR - SECOND, 1), (24 * HOUR, 0)])
def test_request_nobody_could_send_for_a_day_is_dropped(world: World, age: timedelta, sent: int) -> None:
    """A request is sent within its day and dropped as stale after it; what was verified is then too old."""
    ref = world.pay()
    command = world.decision(ref)
    world.refunds.request(command)
    world.clock.advance(age)
    world.refunds.recover()
    assert world.bank.made(ref) == sent
    if not sent:
        assert codes_of(world.refunds.issue(command)) == ("quote_stale",)
        assert codes_of(world.refunds.issue(command)) == ("quote_stale",)
        assert world.refunds.quote(ref, by=MARIA).refusals == ()


# --- transactions, ports, arguments -------------------------------------------------------------------------


def test_no_network_inside_an_open_transaction(world: World) -> None:
    """Quote, issue, dispatch and recover refuse an open transaction before any read; the rest works inside one."""
    # failure: B06
    ref = world.pay()
    command = world.decision(ref)
    world.wire.clear()
    world.journal.in_transaction = True
    for call in (
        lambda: world.refunds.quote(ref, by=MARIA),
        lambda: world.refunds.issue(command),
        lambda: world.refunds.dispatch(ref),
        world.refunds.recover,
    ):
        with pytest.raises(OpenTransaction):
            call()
    assert world.wire.calls == ["allow", "allow"]
    assert refund_of(world.refunds.request(command)).status is Status.REQUESTED
    assert isinstance(world.refunds.show(ref, by=MARIA), PaymentView)
    assert world.refunds.attention(by=MARIA) == ()
    assert codes_of(world.refunds.record_outside(ref, USD_20, by=MARIA, how="cash")) == ("in_flight",)
    assert "look" not in world.wire.calls


def test_live_gateway_needs_a_durable_journal() -> None:
    """Neither form of the service serves a live gateway with a journal that forgets."""
    world = World()
    live = MemoryGateway(world.bank, live=True)

    async def allow(actor: Actor, action: Action, ref: Ref | None) -> bool:
        return True

    with pytest.raises(ValueError, match="durable"):
        RefundService(live, MemoryJournal(), allow=lambda actor, action, ref: True)
    with pytest.raises(ValueError, match="durable"):
        AsyncRefundService(AwaitedGateway(live), AwaitedJournal(MemoryJournal()), allow=allow)

    class Durable(MemoryJournal):
        durable = True

    RefundService(live, Durable(), allow=lambda actor, action, ref: True)


def test_arguments_of_the_service_are_checked(kind: Kind) -> None:
    """What is no policy or no function is refused when the service is made, not when money is about to move."""
    world = World(kind)
    world.policy = "default"  # type: ignore[assignment]
    with pytest.raises(TypeError, match="policy must be Policy"):
        world.service()
    for name in ("new_id", "is_business_day"):
        world = World(kind)
        setattr(world, name, None)
        with pytest.raises(TypeError, match=f"{name} must be callable"):
            world.service()
    world = World(kind)
    world.clock.monotonic = None  # type: ignore[assignment, method-assign]
    with pytest.raises(TypeError, match="monotonic must be callable"):
        world.service()
    with pytest.raises(TypeError, match="allow must be callable"):
        RefundService(world.gateway, world.store, allow=True)  # type: ignore[arg-type]


REF = PaymentRef("platform", "ch_1")
NO_REF = "platform/ch_1"
ODD: tuple[tuple[str, type[Exception], Callable[[World], object]], ...] = (
    ("quote of a text", TypeError, lambda w: w.refunds.quote(NO_REF, by=MARIA)),  # type: ignore[arg-type]
    ("quote by a name", TypeError, lambda w: w.refunds.quote(REF, by="maria")),  # type: ignore[arg-type]
    ("issue of a quote", TypeError, lambda w: w.refunds.issue(REF)),  # type: ignore[arg-type]
    ("issue of nothing", TypeError, lambda w: w.refunds.issue(None)),  # type: ignore[arg-type]
    ("request of a text", TypeError, lambda w: w.refunds.request("r1")),  # type: ignore[arg-type]
    ("show of a text", TypeError, lambda w: w.refunds.show(NO_REF, by=MARIA)),  # type: ignore[arg-type]
    ("show by nobody", TypeError, lambda w: w.refunds.show(REF, by=None)),  # type: ignore[arg-type]
    ("dispatch of a text", TypeError, lambda w: w.refunds.dispatch(NO_REF)),  # type: ignore[arg-type]
    (
        "dispatch of cash",
        TypeError,
        lambda w: w.refunds.dispatch(OutsideRef(id="c", method="cash", amount=USD_20)),  # type: ignore[arg-type]
    ),
    ("recover True", TypeError, lambda w: w.refunds.recover(True)),
    ("recover half", TypeError, lambda w: w.refunds.recover(0.5)),  # type: ignore[arg-type]
    ("recover none", ValueError, lambda w: w.refunds.recover(0)),
    ("attention by nobody", TypeError, lambda w: w.refunds.attention(by=None)),  # type: ignore[arg-type]
    ("attention of none", ValueError, lambda w: w.refunds.attention(by=MARIA, limit=0)),
    ("outside of a text", TypeError, lambda w: w.refunds.record_outside(NO_REF, USD_20, by=MARIA, how="x")),  # type: ignore[arg-type]
    ("outside of a float", TypeError, lambda w: w.refunds.record_outside(REF, 20.0, by=MARIA, how="x")),  # type: ignore[arg-type]
    ("outside by a name", TypeError, lambda w: w.refunds.record_outside(REF, USD_20, by="m", how="x")),  # type: ignore[arg-type]
    (
        "outside how at length",
        ValueError,
        lambda w: w.refunds.record_outside(REF, USD_20, by=MARIA, how="x" * 121),
    ),
    ("outside without how", ValueError, lambda w: w.refunds.record_outside(REF, USD_20, by=MARIA, how=" ")),
    (
        "outside of nothing",
        ValueError,
        lambda w: w.refunds.record_outside(REF, Money.zero(USD_20.currency), by=MARIA, how="x"),
    ),
    ("outside of less", ValueError, lambda w: w.refunds.record_outside(REF, -USD_20, by=MARIA, how="x")),
    (
        "outside under an odd id",
        ValueError,
        lambda w: w.refunds.record_outside(REF, USD_20, by=MARIA, how="x", record_id="a/b"),
    ),
    (
        "settle of a text",
        TypeError,
        lambda w: w.refunds.settle(NO_REF, subject="a", code="b", choice=Choice.NOTED, by=MARIA),  # type: ignore[arg-type]
    ),
    (
        "settle with a word",
        TypeError,
        lambda w: w.refunds.settle(REF, subject="a", code="b", choice="noted", by=MARIA),  # type: ignore[arg-type]
    ),
    (
        "settle of no subject",
        TypeError,
        lambda w: w.refunds.settle(REF, subject=None, code="b", choice=Choice.NOTED, by=MARIA),  # type: ignore[arg-type]
    ),
    (
        "settle of no code",
        TypeError,
        lambda w: w.refunds.settle(REF, subject="a", code=7, choice=Choice.NOTED, by=MARIA),  # type: ignore[arg-type]
    ),
    (
        "settle by nobody",
        TypeError,
        lambda w: w.refunds.settle(REF, subject="a", code="b", choice=Choice.NOTED, by=None),  # type: ignore[arg-type]
    ),
)


@pytest.mark.parametrize(("error", "call"), [odd[1:] for odd in ODD], ids=[odd[0] for odd in ODD])
def test_bad_argument_is_refused_before_any_call(
    world: World, error: type[Exception], call: Callable[[World], object]
) -> None:
    """A wrong argument is a TypeError or ValueError, and nobody was asked, nothing read, nothing written."""
    with pytest.raises(error):
        call(world)
    assert world.wire.calls == []


@pytest.mark.parametrize("minted", ["", "a b", "x" * 256, None, 7])
def test_bad_id_source_writes_nothing(world: World, minted: object) -> None:
    """An id source that returns odd ids is refused before its id is on record, where it would stay for ever."""
    ref = world.pay()
    command = world.decision(ref)
    before = world.events(ref)
    world.new_id = lambda: minted  # type: ignore[method-assign, assignment, return-value]
    refunds = world.service()
    for call in (
        lambda: refunds.issue(command),
        lambda: refunds.request(command),
        lambda: refunds.quote(ref, by=MARIA),
        lambda: refunds.record_outside(ref, USD_20, by=MARIA, how="cash"),
    ):
        with pytest.raises((TypeError, ValueError), match="new_id"):
            call()
    assert world.events(ref) == before


# --- money outside ------------------------------------------------------------------------------------------


def test_r2_money_given_back_outside_is_recorded_not_moved(world: World) -> None:
    """A record of money given back outside lowers what is left, is labelled as such, and moves nothing."""
    # failure: C15
    ref = world.pay()
    world.decision(ref)
    view = world.refunds.record_outside(ref, USD_20, by=MARIA, how="cash at the desk", record_id="o1")
    assert isinstance(view, PaymentView)
    assert (view.left, view.refunds, view.elsewhere) == (Money.parse("180.00", "USD"), (), ())
    (record,) = view.outside
    assert (record.amount, record.how, record.by, record.record_id) == (USD_20, "cash at the desk", MARIA, "o1")
    assert world.gateway.sent == ()
    refund = refund_of(world.refunds.issue(world.decision(ref)))
    assert refund.amount == Money.parse("180.00", "USD")


def test_same_record_is_made_once(world: World) -> None:
    """The same record id records once, with another amount it is a conflict; without one each call is its own."""
    ref = world.pay()
    world.decision(ref)
    first = world.refunds.record_outside(ref, USD_20, by=MARIA, how="cash", record_id="o1")
    assert world.refunds.record_outside(ref, USD_20, by=MARIA, how="cash", record_id="o1") == first
    other = world.refunds.record_outside(ref, USD_200, by=MARIA, how="cash", record_id="o1")
    assert other == Refused((RequestReused(amount=USD_20),))
    assert len(world.view(ref).outside) == 1
    for _ in range(2):
        world.refunds.record_outside(ref, USD_20, by=MARIA, how="cash")
    assert world.view(ref).left == Money.parse("140.00", "USD")


def test_outside_records_keep_the_bounds(world: World) -> None:
    """No record of more than is left, in another currency, of a payment never seen, or during a refund."""
    ref = world.pay()
    record = world.refunds.record_outside
    assert codes_of(record(ref, USD_20, by=MARIA, how="cash")) == ("not_found", "quote_stale")
    world.decision(ref)
    assert codes_of(record(ref, Money.parse("200.01", "USD"), by=MARIA, how="cash")) == ("too_much_outside",)
    assert codes_of(record(ref, Money.parse("5", "JPY"), by=MARIA, how="cash")) == ("currency_not_supported",)
    with pytest.raises(ValueError, match="more than nothing"):
        record(ref, Money.zero(USD_20.currency), by=MARIA, how="cash")
    other = world.pay()
    world.decision(other)
    least = record(other, Money.parse("0.01", "USD"), by=MARIA, how="x" * 120)
    assert isinstance(least, PaymentView)
    assert least.left == Money.parse("199.99", "USD")
    world.gateway.script(Fault.REQUEST_LOST)
    world.refunds.issue(world.decision(ref))
    assert codes_of(record(ref, USD_20, by=MARIA, how="cash")) == ("in_flight",)
    assert world.view(ref).outside == ()


def test_r1_money_taken_outside_is_quoted_as_external(world: World) -> None:
    """Cash is not refunded through the platform: the quote says so with what is left, and a record can be made."""
    cash = OutsideRef(id="cash-7", method="cash", amount=Money.parse("40.00", "USD"))
    quote = world.refunds.quote(cash, by=MARIA)
    assert codes_of(quote) == ("external",)
    assert (quote.amount, quote.outside_left) == (Money.zero(USD_20.currency), cash.amount)
    with pytest.raises(ValueError, match="external"):
        quote.verified(by=MARIA)
    shown = world.refunds.show(cash, by=MARIA)
    assert isinstance(shown, PaymentView)
    assert shown.left == cash.amount
    view = world.refunds.record_outside(cash, USD_20, by=MARIA, how="cash")
    assert isinstance(view, PaymentView)
    assert view.left == USD_20
    assert world.refunds.quote(cash, by=MARIA).outside_left == USD_20
    assert codes_of(world.refunds.quote(cash, by=EVE)) == ("not_found",)
    assert codes_of(world.refunds.show(cash, by=EVE)) == ("not_found",)
    assert codes_of(world.refunds.record_outside(cash, USD_20, by=EVE, how="cash")) == ("not_found", "quote_stale")
    assert "look" not in world.wire.calls
    assert "due" not in world.wire.calls


# --- what waits for a person --------------------------------------------------------------------------------


def _doubted(world: World) -> tuple[PaymentRef, IssueRefund]:
    """A refund of which only a person can say that it was not made: the server broke, and 28 hours went by."""
    ref = world.pay()
    command = world.decision(ref)
    world.gateway.script(Fault.BREAKS_MADE_NOTHING)
    assert refund_of(world.refunds.issue(command)).status is Status.IN_DOUBT
    world.settle_down(until=29 * HOUR)
    return ref, command


def test_person_says_that_it_was_not_made(world: World) -> None:
    """After a server error and 28 hours a person may end the doubt; the next refund is a new one with a new id."""
    ref, command = _doubted(world)
    (refund,) = world.view(ref).refunds
    assert waiting(world) == [("not_shown", (Choice.NOT_MADE, Choice.KEEP_LOOKING))]
    assert codes_of(world.refunds.quote(ref, by=MARIA)) == ("in_flight",)
    view = world.refunds.settle(ref, subject=refund.id, code="not_shown", choice=Choice.NOT_MADE, by=MARIA)
    assert isinstance(view, PaymentView)
    assert (view.refunds[0].status, view.left) == (Status.NOT_MADE, USD_200)
    assert refund_of(world.refunds.issue(command)).status is Status.NOT_MADE
    assert [code for code, _ in waiting(world)] == ["not_made"]
    again = refund_of(world.refunds.issue(world.decision(ref)))
    assert (again.status, again.id != refund.id) == (Status.SUCCEEDED, True)
    assert world.bank.made(ref) == 1


def test_person_keeps_looking(world: World) -> None:
    """Who keeps looking is asked again after the next look; nothing is sent, and the amount stays held."""
    ref, _ = _doubted(world)
    (refund,) = world.view(ref).refunds
    kept = world.refunds.settle(ref, subject=refund.id, code="not_shown", choice=Choice.KEEP_LOOKING, by=MARIA)
    assert isinstance(kept, PaymentView)
    assert (kept.refunds[0].status, kept.left) == (Status.IN_DOUBT, Money.zero(USD_200.currency))
    assert waiting(world) == []
    world.clock.advance(25 * HOUR)
    world.refunds.recover()
    assert [code for code, _ in waiting(world)] == ["not_shown"]
    assert len(world.gateway.sent) == 1


def test_nothing_waits_that_was_not_asked(world: World) -> None:
    """Only what waits can be answered, only with a choice it offers, and nothing among the choices sends."""
    ref, _ = _doubted(world)
    (refund,) = world.view(ref).refunds
    before = world.events(ref)
    for subject, code, choice in (
        (refund.id, "not_shown", Choice.NOTED),
        (refund.id, "failed", Choice.NOTED),
        ("payment", "not_shown", Choice.NOT_MADE),
    ):
        told = world.refunds.settle(ref, subject=subject, code=code, choice=choice, by=MARIA)
        assert codes_of(told) == ("not_asked_for",)
    assert world.events(ref) == before
    assert {choice.value for choice in Choice} == {"not_made", "keep_looking", "leave", "noted", "denied"}


def test_mended_set_up_goes_on(world: World) -> None:
    """Rejected credentials stop sending until a person says that they are mended; then the same refund goes."""
    ref = world.pay()
    world.gateway.script(Fault.UNAUTHORIZED)
    refund = refund_of(world.refunds.issue(world.decision(ref)))
    assert refund.status is Status.REQUESTED
    world.settle_down(until=5 * HOUR)
    ((code, choices),) = waiting(world)
    assert choices == (Choice.KEEP_LOOKING,)
    assert world.bank.made(ref) == 0
    world.refunds.settle(ref, subject=refund.id, code=code, choice=Choice.KEEP_LOOKING, by=MARIA)
    assert waiting(world) == []
    world.refunds.recover()
    assert world.bank.made(ref) == 1
    assert [(sent.refund_id, sent.claim) for sent in world.gateway.sent] == [(refund.id, 1), (refund.id, 2)]


def test_attention_is_of_the_actors_tenant(world: World) -> None:
    """Each tenant is shown what waits for its own people, at most `limit` payments."""
    mine = [world.pay() for _ in range(3)]
    for ref in mine:
        world.gateway.script(Fault.UNAUTHORIZED)
        world.refunds.issue(world.decision(ref))
    theirs = world.pay()
    world.gateway.script(Fault.UNAUTHORIZED)
    world.refunds.issue(world.decision(theirs, by=EVE))
    told = world.refunds.attention(by=MARIA)
    assert isinstance(told, tuple)
    assert {payment.payment for payment in told} == set(mine)
    assert all(isinstance(payment, Waiting) for payment in told)
    for limit in (1, 2):
        few = world.refunds.attention(by=MARIA, limit=limit)
        assert isinstance(few, tuple)
        assert len(few) == limit
    others = world.refunds.attention(by=EVE)
    assert isinstance(others, tuple)
    assert [payment.payment for payment in others] == [theirs]


def test_stream_that_cannot_be_read_stops_no_other(kind: Kind) -> None:
    """A payment whose events only a newer worker knows is named as just that; the others are listed as ever."""

    class Newer(MemoryJournal):
        unreadable: PaymentRef | None = None

        def load(self, ref: Ref, /, after: int = 0) -> Loaded:
            if ref == self.unreadable:
                raise UnknownEvent("written by a newer version")
            return super().load(ref, after)

    world = World(kind)
    journal = Newer(world.clock)
    service = world.service(journal=journal)
    refs = [world.pay() for _ in range(3)]
    for ref in refs:
        world.gateway.script(Fault.UNAUTHORIZED)
        service.issue(service.quote(ref, by=MARIA).verified(by=MARIA))
    before = service.attention(by=MARIA)
    assert isinstance(before, tuple)
    journal.unreadable = refs[1]
    told = service.attention(by=MARIA)
    assert isinstance(told, tuple)
    assert [waits.payment for waits in told] == [waits.payment for waits in before]
    for waits, was in zip(told, before, strict=True):
        assert waits.items == ((UNREADABLE,) if waits.payment == refs[1] else was.items)
    assert (UNREADABLE.code, UNREADABLE.choices, UNREADABLE.move) == ("unreadable_stream", (), Move.HOST)
    assert service.attention(by=EVE) == ()
    with pytest.raises(UnknownEvent):
        service.settle(refs[1], subject="payment", code="unreadable_stream", choice=Choice.NOTED, by=MARIA)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_payments_of_which_nothing_waits_hide_none_that_do(world: World, limit: int) -> None:
    """A journal may name payments for which another version waited: the list goes on until it has its limit."""
    for _ in range(7):
        world.decision(world.pay())
    for stream, head in world.store._heads.items():
        world.store._heads[stream] = attrs.evolve(head, waiting=True)
    refused = set[PaymentRef]()
    for _ in range(2):
        world.gateway.script(Fault.UNAUTHORIZED)
        refused.add(ref := world.pay())
        world.refunds.issue(world.decision(ref))
    told = world.refunds.attention(by=MARIA, limit=limit)
    assert isinstance(told, tuple)
    assert {waits.payment for waits in told} <= refused
    assert len(told) == min(limit, 2)


def test_journal_that_names_too_much_shows_nobody_elses(kind: Kind) -> None:
    """Even a journal whose index names other tenants' payments shows an actor only those of the own tenant."""

    class Careless(MemoryJournal):
        def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]:
            return super().waiting("acme", limit)

    world = World(kind)
    world.store = Careless(world.clock)
    world.refunds = world.service(world.gateway, world.store)
    ref = world.pay()
    world.gateway.script(Fault.UNAUTHORIZED)
    world.refunds.issue(world.decision(ref))
    assert len(waiting(world)) == 1
    assert waiting(world, EVE) == []


def test_what_was_answered_meanwhile_is_not_shown(world: World) -> None:
    """A payment that somebody answered for between the index and the reading is left out."""
    ref = world.pay()
    world.gateway.script(Fault.UNAUTHORIZED)
    refund = refund_of(world.refunds.issue(world.decision(ref)))
    ((code, _),) = waiting(world)
    world.wire.clear()
    other = world.service(world.gateway, world.store)

    def answered() -> None:
        other.settle(ref, subject=refund.id, code=code, choice=Choice.KEEP_LOOKING, by=MARIA)

    world.wire.each["load"] = answered
    assert world.refunds.attention(by=MARIA) == ()


# --- status truth -------------------------------------------------------------------------------------------


def test_pending_for_want_of_funds_is_said(world: World) -> None:
    """Too little balance: the refund is pending with the gateway's reason, holds its amount, and settles later."""
    # failures: C01, C02, A03
    ref = world.pay()
    world.bank.drain("platform", Money.zero(USD_200.currency))
    command = world.decision(ref)
    refund = refund_of(world.refunds.issue(command))
    assert (refund.status, refund.detail, refund.settled) == (Status.PENDING, "insufficient_funds", False)
    assert codes_of(world.refunds.quote(ref, by=MARIA)) == ("in_flight",)
    world.bank.fund("platform", USD_200)
    world.clock.advance(DAY)
    world.refunds.recover()
    assert refund_of(world.refunds.issue(command)).status is Status.SUCCEEDED
    assert len(world.gateway.sent) == 1


def test_late_failure_is_applied_and_told(world: World) -> None:
    """A success that fails days later is failed with its reason, tells a person, and opens the amount again."""
    # failures: C04, C05, C07, C10, A15
    ref = world.bank.charge(USD_200, course=Course.succeeds_then_fails("expired_or_canceled_card"))
    command = world.decision(ref)
    first = refund_of(world.refunds.issue(command))
    assert first.settled
    world.settle_down(until=20 * DAY)
    failed = refund_of(world.refunds.issue(command))
    assert (failed.status, failed.detail, failed.id) == (Status.FAILED, "expired_or_canceled_card", first.id)
    assert failed.next_step is not None
    assert "outside" in failed.next_step.says
    assert waiting(world) == [("failed", (Choice.NOTED,))]
    assert len(world.gateway.sent) == 1
    quote = world.refunds.quote(ref, by=MARIA)
    assert (quote.amount, quote.refusals) == (USD_200, ())
    assert refund_of(world.refunds.issue(quote.verified(by=MARIA))).id != first.id


def test_refund_made_elsewhere_is_shown_as_such(world: World) -> None:
    """A quote shows what was made in the dashboard, and `show` lists it apart from ours."""
    # failures: D10, F01, F06
    ref = world.pay()
    world.bank.elsewhere(ref, USD_20)
    quote = world.refunds.quote(ref, by=MARIA)
    assert (quote.elsewhere, quote.given_back, quote.amount) == (1, USD_20, Money.parse("180.00", "USD"))
    view = world.refunds.show(ref, by=MARIA)
    assert isinstance(view, PaymentView)
    assert [refund.amount for refund in view.elsewhere] == [USD_20]
    assert view.refunds == ()


def test_lost_journal_is_rebuilt_from_the_marks(kind: Kind) -> None:
    """With an empty journal a look knows our refund by its mark, so nothing is refunded a second time."""
    # failure: B09
    world = World(kind)
    ref = world.pay()
    refund = refund_of(world.refunds.issue(world.decision(ref)))
    fresh = MemoryJournal(world.clock)
    refunds = world.service(journal=fresh)
    quote = refunds.quote(ref, by=MARIA)
    assert quote.refusals == (AlreadyRefunded(refund_id=refund.id),)
    view = refunds.show(ref, by=MARIA)
    assert isinstance(view, PaymentView)
    assert [(known.id, known.status, known.requested_by) for known in view.refunds] == [
        (refund.id, Status.SUCCEEDED, None)
    ]


# --- recovery -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [JournalConflict("x"), OSError("raw"), RuntimeError("raw")])
def test_one_payments_trouble_does_not_stop_the_others(world: World, error: Exception) -> None:
    """Recovery goes on past a payment that breaks and names it with the class of the error only."""
    refs = [world.pay() for _ in range(3)]
    for ref in refs:
        world.refunds.request(world.decision(ref))
    world.wire.clear()
    world.wire.before[1] = raising(error)  # the first load after `due`
    recovery = world.refunds.recover()
    assert recovery.looked == 2
    assert [name for _, name in recovery.failed] == [type(error).__name__]
    assert sum(world.bank.made(ref) for ref in refs) == 2
    assert world.refunds.recover().looked == 1
    assert [world.bank.made(ref) for ref in refs] == [1, 1, 1]


def test_payments_that_always_break_starve_nobody(world: World) -> None:
    """Payments that break at every run stay first in line and still leave the limit to the others."""
    refs = [world.pay() for _ in range(4)]
    for ref in refs:
        world.refunds.request(world.decision(ref))
        world.clock.advance(SECOND)
    broken = refs[:3]

    readable = world.journal.load

    def load(ref: Ref, /, after: int = 0) -> Loaded:
        if ref in broken:
            raise RuntimeError("an event nobody can read")
        return readable(ref, after)

    world.journal.load = load  # type: ignore[method-assign]
    recovery = world.refunds.recover(limit=2)
    assert {ref for ref, _ in recovery.failed} == set(broken)
    assert recovery.looked == 1
    assert world.bank.made(refs[3]) == 1


def test_recovery_keeps_its_limit(world: World) -> None:
    """Recovery goes on with at most `limit` payments, the longest due first; one that breaks does not count."""
    refs = [world.pay() for _ in range(6)]
    for ref in refs:
        world.refunds.request(world.decision(ref))
        world.clock.advance(SECOND)
    assert world.refunds.recover(limit=2) == Recovery(looked=2)
    assert [world.bank.made(ref) for ref in refs] == [1, 1, 0, 0, 0, 0]
    world.wire.clear()
    world.wire.before[1] = raising(OSError())
    recovery = world.refunds.recover(limit=2)
    ((broken, error),) = recovery.failed
    assert (recovery.looked, error) == (2, "OSError")
    assert broken in refs[2:4]  # the next two due, in an order of this run's own
    assert [ref for ref in refs if world.bank.made(ref) == 0] == [broken, refs[5]]
    assert world.refunds.recover() == Recovery(looked=2)
    assert world.refunds.recover() == Recovery(looked=0)


def test_recovery_that_loses_its_journal_tells_what_it_did(world: World) -> None:
    """A journal gone at the start raises; one that goes away after a send does not: what was done is told."""
    refs = [world.pay() for _ in range(2)]
    for ref in refs:
        world.refunds.request(world.decision(ref))
    world.wire.clear()
    world.wire.before[0] = unavailable()
    with pytest.raises(JournalUnavailable):
        world.refunds.recover(limit=1)
    world.wire.clear()
    world.wire.each["send"] = lambda: world.wire.each.update(due=unavailable())
    assert world.refunds.recover(limit=5) == Recovery(looked=2)
    assert [world.bank.made(ref) for ref in refs] == [1, 1]


def test_recovery_passes_over_what_another_has_done_meanwhile(world: World) -> None:
    """A list read before another worker was quicker costs no second look, does not count, and is gone beyond."""
    refs = [world.pay() for _ in range(5)]
    for ref in refs:
        world.refunds.request(world.decision(ref))
        world.clock.advance(SECOND)
    quicker = world.service()

    def meanwhile() -> None:
        quicker.recover(limit=2)

    world.wire.clear()
    world.wire.after[0] = meanwhile  # behind the first list of what is due
    assert world.refunds.recover(limit=2) == Recovery(looked=2)
    assert [world.bank.made(ref) for ref in refs] == [1, 1, 1, 1, 0]
    assert world.wire.calls.count("look") == 4
    world.wire.clear()
    world.wire.after[0] = meanwhile
    assert world.refunds.recover() == Recovery(looked=0)
    assert world.wire.calls.count("look") == 1


def test_recovery_ends_though_a_payment_stays_on_the_list(world: World) -> None:
    """A journal that goes on naming what owes nothing is asked again and then left: each payment once a run."""

    class Naming(MemoryJournal):
        def due(self, limit: int, /) -> tuple[PaymentRef, ...]:
            return tuple(refs[:limit])

    refs = [world.pay() for _ in range(3)]
    refunds = world.service(journal=Naming(world.clock))
    for ref in refs[1:]:
        refunds.request(refunds.quote(ref, by=MARIA).verified(by=MARIA))
    assert refunds.recover() == Recovery(looked=2)
    assert refunds.recover() == Recovery(looked=0)
    assert [world.bank.made(ref) for ref in refs] == [0, 1, 1]


def test_recovery_without_an_id_of_its_own_reads_nothing(world: World) -> None:
    """An id source that fails is told before anything is read, and never once a send may have left."""
    ref = world.pay()
    world.refunds.request(world.decision(ref))
    world.wire.clear()
    world.new_id = lambda: ""  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="new_id"):
        world.service().recover()
    assert world.wire.calls == []


# --- time ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slow", [3, 4], ids=["look", "append of the claim"])
@pytest.mark.parametrize(("seconds", "sent"), [(60, 1), (61, 0)])
def test_licence_runs_out_after_a_minute(world: World, slow: int, seconds: int, sent: int) -> None:
    """A worker held up for more than a minute between look and send sends nothing; the refund goes out later."""
    ref = world.pay()
    command = world.decision(ref)
    world.wire.clear()
    world.wire.before[slow] = lambda: world.clock.advance(seconds * SECOND)
    refund = refund_of(world.refunds.issue(command))
    assert len(world.gateway.sent) == sent
    assert refund.status is (Status.SUCCEEDED if sent else Status.REQUESTED)
    world.settle_down(until=HOUR)
    assert refund_of(world.refunds.issue(command)).status is Status.SUCCEEDED
    assert [send.refund_id for send in world.gateway.sent] == [refund.id]
    assert world.bank.made(ref) == 1


@pytest.mark.parametrize("clock", ["journal", "worker"])
@pytest.mark.parametrize("slow", [3, 4], ids=["look", "append of the claim"])
def test_two_clocks_bound_the_licence(world: World, slow: int, clock: str) -> None:
    """A minute by either clock ends the licence: the journal's may stand still, the worker's be suspended."""
    ref = world.pay()
    command = world.decision(ref)
    world.wire.clear()

    def passes() -> None:
        world.clock.advance(61 * SECOND)
        if clock == "journal":
            world.clock.elapsed -= 61
        else:
            world.clock.now -= 61 * SECOND

    world.wire.before[slow] = passes
    assert refund_of(world.refunds.issue(command)).status is Status.REQUESTED
    assert world.gateway.sent == ()
    world.settle_down(until=HOUR)
    assert world.bank.made(ref) == 1


def test_claim_is_shown_in_doubt_after_its_minute(world: World) -> None:
    """A claim without an answer shows as requested while its worker may send, and as in doubt from then on."""
    # failure: B01
    ref = world.pay()
    command = world.decision(ref)
    world.wire.clear()
    world.wire.before[5] = raising(Crash())
    with pytest.raises(Crash):
        world.refunds.issue(command)
    world.wire.clear()
    assert refund_of(world.refunds.issue(command)).status is Status.REQUESTED
    world.clock.advance(59 * SECOND)
    assert refund_of(world.refunds.issue(command)).status is Status.REQUESTED
    # The last second passes by the worker's own clock, between its reading of the journal and its showing.
    ticks = iter([0.0, 0.0, 1.0])
    world.clock.monotonic = lambda: next(ticks)  # type: ignore[method-assign]
    shown = world.service(world.gateway, world.store).show(ref, by=MARIA)
    assert isinstance(shown, PaymentView)
    assert shown.refunds[0].status is Status.IN_DOUBT


def test_key_too_old_is_only_looked_for(world: World) -> None:
    """A lost request is not sent again after 22 hours; after 28 it was not made, and a person is told."""
    # failures: B02, B04
    ref = world.pay()
    command = world.decision(ref)
    world.gateway.script(Fault.REQUEST_LOST)
    refund = refund_of(world.refunds.issue(command))
    for age in (22 * HOUR, 25 * HOUR, 28 * HOUR - SECOND):
        world.clock.advance(START + age - world.clock.now)
        world.refunds.recover()
        assert refund_of(world.refunds.issue(command)).status is Status.IN_DOUBT
        assert codes_of(world.refunds.quote(ref, by=MARIA)) == ("in_flight",)
    world.clock.advance(HOUR)
    world.refunds.recover()
    assert refund_of(world.refunds.issue(command)).status is Status.NOT_MADE
    assert [code for code, _ in waiting(world)] == ["not_made"]
    assert [send.refund_id for send in world.gateway.sent] == [refund.id]
    assert refund_of(world.refunds.issue(world.decision(ref))).id != refund.id


def test_clock_that_fell_back_only_looks(world: World) -> None:
    """A journal whose clock fell back by more than the skew claims nothing until it has caught up."""
    ref = world.pay()
    world.refunds.request(world.decision(ref))
    world.clock.advance(HOUR)
    world.store.load(ref)  # the journal has seen this time
    world.clock.now -= 30 * MINUTE
    world.refunds.recover()
    assert world.gateway.sent == ()
    world.clock.now += 31 * MINUTE
    world.settle_down(until=2 * HOUR)
    assert world.bank.made(ref) == 1


def test_call_makes_a_bounded_number_of_looks(world: World) -> None:
    """Where every look takes so long that the next is due, one call ends after a few and leaves the rest."""
    ref = world.pay()
    command = world.decision(ref)
    world.gateway.script(*[Fault.LOOK_UNREADABLE] * (MOST_LOOKS + 3))
    world.wire.clear()
    world.wire.each["look"] = lambda: world.clock.advance(HOUR)
    assert refund_of(world.refunds.issue(command)).status is Status.REQUESTED
    assert world.wire.calls.count("look") == MOST_LOOKS


# --- errors and values --------------------------------------------------------------------------------------


def test_unreadable_gateway_cannot_be_quoted(world: World) -> None:
    """A quote that cannot look says so with an error that pickles; nothing is opened for it."""
    ref = world.pay()
    for fault in (Fault.LOOK_UNREADABLE, Fault.LOOK_UNAUTHORIZED, Fault.LOOK_RAISES):
        world.gateway.script(fault)
        with pytest.raises(GatewayUnreadable) as caught:
            world.refunds.quote(ref, by=MARIA)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert world.store.load(ref).version == 0


def test_contention_ends(world: World) -> None:
    """A stream on which others always win is given up with an error that pickles, and nothing was sent."""
    ref = world.pay()
    command = world.decision(ref)
    world.wire.each["append"] = raising(JournalConflict("beaten"))
    with pytest.raises(TooContended) as caught:
        world.refunds.issue(command)
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), RefundError)
    assert world.gateway.sent == ()
    assert not [event for event in world.events(ref) if isinstance(event, RefundRequested)]


def test_results_cross_a_process_border(world: World) -> None:
    """Every result pickles to an equal one: quotes, refunds, refusals, views, what waits."""
    ref, cash = world.pay(), OutsideRef(id="cash-7", method="cash", amount=USD_20)
    quote = world.refunds.quote(ref, by=MARIA)
    results: list[object] = [quote, world.refunds.quote(cash, by=MARIA), world.refunds.quote(UNKNOWN, by=MARIA)]
    results.append(world.refunds.issue(quote.verified(by=MARIA, note="n")))
    results.append(world.refunds.issue(attrs.evolve(quote.verified(by=MARIA), amount=USD_20)))
    results.append(world.refunds.show(ref, by=MARIA))
    results.append(world.refunds.attention(by=MARIA))
    results.append(world.refunds.recover())
    for result in results:
        assert pickle.loads(pickle.dumps(result)) == result
        assert hash(result) == hash(result)


def test_note_is_on_record_and_nowhere_else(world: World) -> None:
    """A note is kept with the request, and neither sent nor in the text of anything that may be logged."""
    ref = world.pay()
    note = "she was in tears"
    command = world.refunds.quote(ref, by=MARIA).verified(by=MARIA, note=note)
    refund = world.refunds.issue(command)
    requested = [event for event in world.events(ref) if isinstance(event, RefundRequested)]
    assert [event.note for event in requested] == [note]
    shown = [command, refund, world.view(ref), world.store.load(ref), world.bank.received, world.gateway.sent]
    for value in (*shown, world.refunds):
        assert note not in repr(value)
        assert note not in str(value)


def test_request_lost_from_its_ledger_is_a_defect() -> None:
    """Should an accepted request ever be missing from its ledger, that is a defect of ours and said aloud."""
    world = World()
    ref = world.pay()
    command = world.decision(ref)
    empty = Stream(ref, EMPTY, 0, START, START, 0.0, 0.0)
    for service in (_sync(world), _async(world)):
        with pytest.raises(RuntimeError, match="not in its ledger"):
            service._outcome(empty, command)


def test_money_outside_is_never_looked_for() -> None:
    """Nothing is owed for money taken outside, whatever its stream says: there is no gateway behind it."""
    world = World()
    cash = OutsideRef(id="cash-7", method="cash", amount=USD_20)
    due = Stream(cash, attrs.evolve(EMPTY, due=START), 0, START, START, 0.0, 0.0)
    assert _sync(world)._drive(due) is due
    assert driven(_async(world)._drive(due)) is due
    assert world.gateway.looked == ()


def _sync(world: World) -> RefundService:
    return RefundService(world.gateway, world.store, allow=anybody)


def _async(world: World) -> AsyncRefundService:
    async def allow(actor: Actor, action: Action, ref: Ref | None) -> bool:
        return True

    return AsyncRefundService(AwaitedGateway(world.gateway), AwaitedJournal(world.store), allow=allow)


def test_payment_never_seen_has_no_quote() -> None:
    """A quote of a payment no look has shown is stale from the start: there is no amount to verify."""
    quote = make_quote(EMPTY, UNKNOWN, START, Policy(), request_id="r1", is_business_day=lambda day: True)
    assert (codes_of(quote), quote.amount) == (("quote_stale",), None)


def test_default_ids_are_128_random_bits() -> None:
    """Without an id source of the host's each id is 32 hex digits that were never seen before."""
    world = World()
    service = _sync(world)
    ids = {service.quote(UNKNOWN, by=MARIA).request_id for _ in range(50)}
    assert len(ids) == 50
    assert all(len(made) == 32 and set(made) <= set("0123456789abcdef") for made in ids)


def test_journal_holds_what_led_to_the_refund(world: World) -> None:
    """The stream tells who asked when for what, what was claimed, and what came back: the audit trail."""
    ref = world.pay()
    world.refunds.issue(world.decision(ref))
    kinds = [type(event).__name__ for event in world.events(ref) if not isinstance(event, LookScheduled)]
    assert kinds == ["StreamOpened", "PaymentSeen", "RefundRequested", "SendClaimed", "SendAnswered"]
