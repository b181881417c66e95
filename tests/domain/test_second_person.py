"""Four eyes: what needs a second person is sent on the word of another than the one who asked, and not before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import attrs
import pytest

from refund_adapters.memory import Fault
from refund_domain import Actor, IssueRefund, Money, PaymentRef, Refund, Refused, Status
from refund_domain.answers import Unread
from refund_domain.commands import Action, ApproveRefund, Choice, FormError
from refund_domain.decider.attention import attention
from refund_domain.decider.decide import decide
from refund_domain.decider.inputs import ApproveRequest
from refund_domain.decider.ledger import EMPTY, evolve, fold
from refund_domain.events import RefundApproved, RefundDropped, RefundRequested, SendClaimed
from refund_domain.money import Currency
from refund_domain.policy import Policy
from refund_domain.refusals import (
    AmountChanged,
    ApprovalDenied,
    NotAllowed,
    NotAskedFor,
    NotFound,
    QuoteStale,
    SecondPersonNeeded,
    SendingPaused,
)
from refund_domain.rules.eligibility import needs_second
from tests.domain.histories import OMAR, Story, codes, kinds, usd
from tests.domain.histories import refund as refund_shown
from tests.domain.worlds import (
    DAY,
    HOUR,
    KINDS,
    MARIA,
    START,
    Kind,
    World,
    codes_of,
    refund_of,
    unavailable,
)

PAUL = Actor(id="paul", tenant="acme")
EVE = Actor(id="eve", tenant="globex")
ALWAYS = Policy(second_person_from=())


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> World:
    """A world in which every refund needs a second person, in each form of the service."""
    kind: Kind = request.param
    return World(kind, policy=ALWAYS)


def asked(world: World, amount: str = "200.00") -> tuple[PaymentRef, IssueRefund, Refund]:
    """A refund that Maria issued and that waits for another person."""
    ref = world.pay(amount)
    command = world.decision(ref)
    refund = refund_of(world.refunds.issue(command))
    world.wire.clear()
    return ref, command, refund


def approval(refund: Refund, by: Actor = PAUL) -> ApproveRefund:
    """The second person's decision on what they saw."""
    return ApproveRefund(payment=refund.payment, refund_id=refund.id, amount=refund.amount, by=by)


def waiting_codes(world: World) -> list[str]:
    """What waits for somebody at Maria's."""
    told = world.refunds.attention(by=MARIA)
    if isinstance(told, Refused):
        raise LookupError(str(told))
    return [item.code for waiting in told for item in waiting.items]


# --- which refunds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amounts", "amount", "needed"),
    [
        (None, "1000.00 USD", False),
        ((), "0.01 USD", True),
        (("100.00 USD",), "99.99 USD", False),
        (("100.00 USD",), "100.00 USD", True),
        (("100.00 USD",), "1 JPY", True),
        (("100.00 USD", "9000 JPY"), "8999 JPY", False),
    ],
)
def test_policy_says_which_amounts_need_a_second_person(
    amounts: tuple[str, ...] | None, amount: str, needed: bool
) -> None:
    """Never, always, or from an amount on; a currency that somebody forgot to name always does."""
    named = None if amounts is None else tuple(Money.parse(*each.split()) for each in amounts)
    assert needs_second(Money.parse(*amount.split()), Policy(second_person_from=named)) is needed


def test_quote_says_that_a_second_person_will_be_needed(world: World) -> None:
    """Who presses the button knows beforehand; where the quote is refused there is nothing to approve."""
    ref = world.pay()
    assert world.refunds.quote(ref, by=MARIA).needs_second
    asked(world)
    world.refunds.issue(world.decision(ref))
    assert not world.refunds.quote(ref, by=MARIA).needs_second


def test_a_new_policy_never_rewrites_the_past(world: World) -> None:
    """What was requested under one policy keeps what it needed: it is a fact of the request."""
    _, command, refund = asked(world)
    world.policy = Policy()
    relaxed = world.service()
    assert refund_of(relaxed.issue(command)).waits_for_second
    assert refund_of(relaxed.approve(approval(refund))).settled
    ref = world.pay()
    plain = refund_of(relaxed.request(relaxed.quote(ref, by=MARIA).verified(by=MARIA)))
    assert not plain.waits_for_second
    world.policy = ALWAYS
    assert world.service().dispatch(ref).refunds[0].settled


# --- the way it goes ----------------------------------------------------------------------------------------


def test_issue_waits_and_the_approval_sends(world: World) -> None:
    """Issued by one: on record, nothing looked at or sent; approved by another: looked at, claimed, sent."""
    # failure: H08
    ref, command, refund = asked(world)
    assert (refund.status, refund.waits_for_second, refund.approved_by) == (Status.REQUESTED, True, None)
    assert waiting_codes(world) == ["second_person"]
    world.clock.advance(HOUR)
    world.refunds.recover()
    assert refund_of(world.refunds.issue(command)) == refund
    assert world.gateway.sent == ()
    sent = refund_of(world.refunds.approve(approval(refund)))
    assert (sent.status, sent.requested_by, sent.approved_by) == (Status.SUCCEEDED, "maria", "paul")
    assert (sent.waits_for_second, sent.id, sent.amount) == (False, refund.id, command.amount)
    assert waiting_codes(world) == []
    assert [type(event) for event in world.events(ref)].count(RefundApproved) == 1
    assert len(world.bank.received) == 1


def test_nobody_approves_their_own(world: World) -> None:
    """The one who asked is refused in the domain, called directly, before and after another's word."""
    # failure: H08
    ref, _, refund = asked(world)
    before = world.events(ref)
    refused = Refused((SecondPersonNeeded(refund_id=refund.id),))
    assert world.refunds.approve(approval(refund, MARIA)) == refused
    assert (world.events(ref), world.bank.received) == (before, ())
    assert refused.http_status == 403
    world.refunds.approve(approval(refund))
    assert world.refunds.approve(approval(refund, MARIA)) == refused


@pytest.mark.parametrize("by", [MARIA, PAUL], ids=["the same", "another"])
def test_issuing_again_is_no_approval(world: World, by: Actor) -> None:
    """The same request issued again, by whomever, is the same request: it goes on waiting."""
    # failure: H08
    _, command, refund = asked(world)
    assert refund_of(world.refunds.issue(attrs.evolve(command, by=by))) == refund
    assert world.bank.received == ()


def test_nobody_approves_what_an_erased_person_asked_for(world: World) -> None:
    """Once the requester's name is erased nobody can be told apart from them, so nobody's word is a second one:
    people are told to deny it, not to approve it."""
    ref, _, refund = asked(world)
    forgotten = attrs.evolve(MARIA, id="erased:7f3a")
    events = tuple(
        attrs.evolve(event, by=forgotten) if isinstance(event, RefundRequested) else event
        for event in world.events(ref)
    )
    given = ApproveRequest(at=world.clock(), command=approval(refund))
    assert decide(fold(EMPTY, events), given, ALWAYS) == Refused((SecondPersonNeeded(refund_id=refund.id),))
    assert not isinstance(decide(fold(EMPTY, world.events(ref)), given, ALWAYS), Refused)
    (item,) = attention(fold(EMPTY, events))
    assert (item.code, item.choices) == ("second_person", (Choice.DENIED,))
    assert item.says.endswith("so nobody can approve it: deny it, and quote anew if it is still owed.")


def test_approval_asks_the_host_and_compares_the_tenant(world: World) -> None:
    """Who may not approve is refused before anything is read; another tenant finds nothing."""
    # failure: H08
    ref, _, refund = asked(world)
    before = world.events(ref)
    assert world.refunds.approve(approval(refund, EVE)) == Refused((NotFound(),))
    world.wire.clear()
    world.allow = lambda actor, action, ref: action is not Action.APPROVE
    assert world.refunds.approve(approval(refund)) == Refused((NotAllowed(action=Action.APPROVE),))
    assert (world.wire.calls, world.events(ref)) == (["allow"], before)


def test_approval_is_of_the_amount_that_was_requested(world: World) -> None:
    """R4: the second person verifies, too: another amount or currency than the requested one approves nothing."""
    _, _, refund = asked(world)
    for amount in (Money.parse("199.99", "USD"), Money(200_00, Currency.of("EUR"))):
        said = world.refunds.approve(attrs.evolve(approval(refund), amount=amount))
        assert said == Refused((AmountChanged(verified=amount, current=refund.amount),))
    assert world.bank.received == ()


def test_approval_is_compared_with_a_fresh_look(world: World) -> None:
    """What changed at the gateway since the request is found by the approval's own look: nothing is sent."""
    ref, _, refund = asked(world)
    world.clock.advance(HOUR)
    world.bank.elsewhere(ref, Money.parse("50.00", "USD"))
    assert codes_of(world.refunds.approve(approval(refund))) == ("amount_changed",)
    assert world.bank.received == ()
    assert codes_of(world.refunds.approve(approval(refund))) == ("amount_changed",)


def test_approving_twice_is_once(world: World) -> None:
    """The same person again, or a third, changes nothing: one approval, one send."""
    ref, _, refund = asked(world)
    first = world.refunds.approve(approval(refund))
    again = [world.refunds.approve(approval(refund, by)) for by in (PAUL, attrs.evolve(PAUL, id="zoe"))]
    assert again == [first, first]
    approvals = [event for event in world.events(ref) if isinstance(event, RefundApproved)]
    assert [event.by for event in approvals] == [PAUL]
    assert len(world.bank.received) == 1


def test_there_must_be_something_to_approve(world: World) -> None:
    """A refund that does not exist, or that needed nobody, cannot be approved."""
    _, _, refund = asked(world)
    nothing = Refused((NotAskedFor(),))
    assert world.refunds.approve(attrs.evolve(approval(refund), refund_id="nobody")) == nothing
    assert world.refunds.approve(attrs.evolve(approval(refund), payment=world.pay())) == Refused((NotFound(),))
    world.policy = Policy()
    relaxed = world.service()
    plain = refund_of(relaxed.request(relaxed.quote(world.pay(), by=MARIA).verified(by=MARIA)))
    assert relaxed.approve(approval(plain)) == nothing
    assert world.bank.received == ()


def test_denied_is_dropped_and_says_by_whom(world: World) -> None:
    """A second person may say no: the request is over, the amount free again, and nothing is ever sent for it."""
    ref, command, refund = asked(world)
    said = world.refunds.settle(ref, subject=refund.id, code="second_person", choice=Choice.DENIED, by=PAUL)
    assert not isinstance(said, Refused)
    denied = Refused((ApprovalDenied(by=PAUL),))
    assert world.refunds.approve(approval(refund)) == world.refunds.issue(command) == denied
    assert waiting_codes(world) == ["dropped"]
    again = world.refunds.settle(ref, subject=refund.id, code="second_person", choice=Choice.DENIED, by=PAUL)
    assert again == Refused((NotAskedFor(),))
    world.settle_down(until=DAY)
    assert world.bank.received == ()
    assert world.refunds.quote(ref, by=MARIA).refusals == ()


def test_there_is_no_choice_that_approves(world: World) -> None:
    """What waits for a second person can be denied on the list of attention; approving is a call of its own."""
    ref, _, refund = asked(world)
    for choice in set(Choice) - {Choice.DENIED}:
        said = world.refunds.settle(ref, subject=refund.id, code="second_person", choice=choice, by=PAUL)
        assert said == Refused((NotAskedFor(),))
    assert world.bank.received == ()


def test_a_day_without_anybodys_word_drops_it(world: World) -> None:
    """After 24 hours without approval it is dropped, with one look at the gateway and no more."""
    ref, command, refund = asked(world)
    for _ in range(25):
        world.clock.advance(HOUR)
        world.refunds.recover()
    assert world.wire.calls.count("look") == 1
    assert codes_of(world.refunds.issue(command)) == ("quote_stale",)
    assert codes_of(world.refunds.approve(approval(refund))) == ("quote_stale",)
    assert isinstance(world.events(ref)[-2], RefundDropped)


def test_approval_past_the_day_is_refused(world: World) -> None:
    """An approval that comes after a day, and before anybody has dropped the request, approves nothing."""
    ref, _, refund = asked(world)
    (quoted_at,) = (event.quoted_at for event in world.events(ref) if isinstance(event, RefundRequested))
    world.clock.advance(DAY)
    before = world.events(ref)
    assert world.refunds.approve(approval(refund)) == Refused((QuoteStale(quoted_at=quoted_at),))
    assert world.events(ref) == before


def test_approval_while_paused_is_refused(world: World) -> None:
    """A pause holds approvals back, too; repeated after its end it sends."""
    _, _, refund = asked(world)
    world.refunds.pause(by=MARIA, why="an audit")
    said = world.refunds.approve(approval(refund))
    assert isinstance(said, Refused)
    assert [type(reason) for reason in said.reasons] == [SendingPaused]
    world.refunds.resume(by=MARIA)
    assert refund_of(world.refunds.approve(approval(refund))).settled


def test_approved_and_lost_is_found_by_recovery(world: World) -> None:
    """A send that fails after the approval needs no second one: recovery goes on under the same id."""
    ref, command, refund = asked(world)
    world.gateway.script(Fault.REQUEST_LOST)
    assert refund_of(world.refunds.approve(approval(refund))).status is Status.IN_DOUBT
    world.settle_down(until=2 * HOUR)
    assert refund_of(world.refunds.issue(command)).status is Status.SUCCEEDED
    assert [received.key for received in world.bank.received] == [refund.id]
    assert sum(isinstance(event, SendClaimed) for event in world.events(ref)) == 2


def test_crash_between_approval_and_look_is_carried_out(world: World) -> None:
    """The approval is on record before anything is sent: whoever recovers carries it out."""
    _, command, refund = asked(world)
    world.wire.after[2] = unavailable()  # the append of the approval: committed, its answer lost
    with pytest.raises(Exception, match="database"):
        world.refunds.approve(approval(refund))
    world.settle_down(until=HOUR)
    assert refund_of(world.refunds.issue(command)).settled


def test_requested_and_dispatched_waits_as_well(world: World) -> None:
    """`request` and `dispatch` send no more than `issue` does without the second word."""
    ref = world.pay()
    refund = refund_of(world.refunds.request(world.decision(ref)))
    assert world.refunds.dispatch(ref).refunds[0].waits_for_second
    assert refund_of(world.refunds.approve(approval(refund))).settled


# --- the page ------------------------------------------------------------------------------------------------


def test_approval_travels_over_a_page(world: World) -> None:
    """The form brings refund and amount back; payment and actor come from the session."""
    ref, _, refund = asked(world)
    form = refund.approval_form()
    assert ApproveRefund.from_form(form, payment=ref, by=PAUL) == approval(refund)
    assert refund_of(world.refunds.approve(approval(refund))).settled
    with pytest.raises(ValueError, match="waits_for_second"):
        world.view(ref).refunds[0].approval_form()


FORM = {"payment": "platform/ch_1", "refund_id": "id-2", "amount_minor": "20000", "currency": "USD"}


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("payment", "platform/ch_2"),
        ("payment", ""),
        ("refund_id", "no id"),
        ("refund_id", None),
        ("amount_minor", "-1"),
        ("amount_minor", "0"),
        ("amount_minor", "1e3"),
        ("amount_minor", "9" * 17),
        ("currency", "usd?"),
        ("currency", None),
    ],
)
def test_odd_forms_are_refused_by_field(field: str, text: str | None) -> None:
    """What is missing, odd or of another payment is named, and its text is not repeated."""
    form = {key: value for key, value in (FORM | {field: text}).items() if value is not None}
    with pytest.raises(FormError) as error:
        ApproveRefund.from_form(form, payment=PaymentRef("platform", "ch_1"), by=PAUL)
    assert error.value.field == field


def test_the_longest_ref_travels_over_a_page() -> None:
    """A payment whose account and charge are as long as ids may be is read back."""
    ref = PaymentRef("a" * 255, "c" * 255)
    assert ApproveRefund.from_form(FORM | {"payment": str(ref)}, payment=ref, by=PAUL).payment == ref


@pytest.mark.parametrize("field", ["payment", "refund_id", "amount", "by"])
def test_approvals_check_themselves(field: str) -> None:
    """A decision of the wrong kind cannot be made."""
    right: dict[str, object] = {
        "payment": PaymentRef("platform", "ch_1"),
        "refund_id": "id-2",
        "amount": Money.parse("1", "USD"),
        "by": PAUL,
    }
    make: Callable[..., ApproveRefund] = ApproveRefund
    assert make(**right).by == PAUL
    with pytest.raises(TypeError, match=field):
        make(**right | {field: 5})


# --- the decider ---------------------------------------------------------------------------------------------


def told(age: timedelta = timedelta(0)) -> Story:
    """A payment of which a refund waits for a second person, for so long."""
    story = Story(policy=ALWAYS)
    story.quote()
    story.request()
    return story.wait(age)


def test_look_due_for_another_reason_does_not_claim() -> None:
    """A look owed meanwhile (another's refund is pending) brings news, and claims nothing before the approval."""
    story = told()
    story.shows(attrs.evolve(story.ours(), id="re_x", mark=None, amount=usd(1), status="pending"))
    story.quote()
    assert story.ledger.due == START + story.policy.poll_first
    story.shows(attrs.evolve(story.listed["re_x"], status="failed"))  # the whole amount is left again
    assert kinds(story.until_due().look()) == ["RefundObserved", "LookScheduled"]
    assert story.status() is Status.REQUESTED


def test_waiting_for_a_person_keeps_an_earlier_look_due() -> None:
    """A look that is due sooner for another refund stays due; the request alone is looked at after a day."""
    story = Story(policy=ALWAYS)
    story.shows(attrs.evolve(told().ours(), id="re_x", mark=None, amount=usd(1), status="pending"))
    story.quote()
    sooner = story.ledger.due
    story.request()
    assert story.ledger.due == sooner
    assert told().ledger.due == START + ALWAYS.request_valid


def test_an_alarm_stands_while_a_second_person_lets_it_go() -> None:
    """What somebody must mend at the gateway is mended by nobody's approval."""
    story = told()
    story.shows(attrs.evolve(story.ours(), id="re_x", mark=None, amount=usd(1), status="pending"))
    story.quote()
    story.until_due().look(Unread(why="key_rejected", alarm="key_rejected"))
    assert story.ledger.alarm == "key_rejected"
    assert kinds(story.approve()) == ["RefundApproved", "LookScheduled"]
    assert story.ledger.alarm == "key_rejected"


def test_a_refund_known_by_its_mark_alone_cannot_be_approved() -> None:
    """What the gateway shows under our mark and nobody here asked for waits for nobody's word."""
    story = Story(policy=ALWAYS).shows(attrs.evolve(refund_shown(), mark="r9"))
    story.quote()
    assert story.record("r9").request is None
    assert codes(story.approve("r9", amount=usd(20_000))) == {"not_asked_for"}


def test_an_ended_request_cannot_be_approved() -> None:
    """A request that a rule has dropped says so to whoever approves it late."""
    story = told(DAY)
    story.until_due().look()
    assert story.status() is Status.DROPPED
    assert codes(story.approve()) == {"quote_stale"}


def test_a_refund_shown_though_nobody_approved_is_not_approved_any_more() -> None:
    """What the gateway shows with our mark is adopted, whoever made it: there is nothing left to approve."""
    story = told()
    story.shows(story.ours())
    story.quote()
    assert codes(story.approve()) == {"not_asked_for"}
    assert story.status() is Status.SUCCEEDED


def test_approval_of_what_a_lost_journal_had_is_kept() -> None:
    """The fold is total: an approval without its request has a record of its own, and asks for nothing."""
    ledger = evolve(EMPTY, RefundApproved(at=START, refund_id="r1", by=OMAR))
    assert [(record.id, record.awaits_second) for record in ledger.refunds] == [("r1", False)]


def test_requests_of_before_need_nobody() -> None:
    """A request written before there were second persons needs none."""
    story = Story()
    story.quote()
    said = story.request()
    assert not isinstance(said, Refused)
    assert [event.needs_second for event in said if isinstance(event, RefundRequested)] == [False]
    assert "SendClaimed" in kinds(story.look())
