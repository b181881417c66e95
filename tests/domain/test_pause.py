"""The pause switches: nothing new is sent while one stands, and nothing that was sent is touched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import attrs
import pytest

from refund_adapters.memory import Course, Fault
from refund_domain import Actor, Money, OutsideRef, PaymentRef, Status
from refund_domain.commands import Action
from refund_domain.decider.inputs import OwedLook
from refund_domain.decider.ledger import EMPTY, evolve
from refund_domain.errors import JournalConflict, JournalUnavailable, TooContended
from refund_domain.events import Paused, Resumed, SendClaimed, StreamOpened
from refund_domain.payments import PLATFORM, Control, ControlRef, Ref
from refund_domain.refusals import NotAllowed, Refused, SendingPaused
from refund_domain.service.controls import WHY_LIMIT, Switch, account_switch, tenant_switch
from refund_domain.service.controls import switch_of as fold_switch
from tests.domain.histories import Story, kinds
from tests.domain.worlds import (
    HOUR,
    KINDS,
    MARIA,
    MINUTE,
    SECOND,
    START,
    Kind,
    Refunds,
    World,
    codes_of,
    raising,
    refund_of,
    unavailable,
)

EVE = Actor(id="eve", tenant="globex")
BOSS = Actor(id="boss", tenant="platform-inc")
WHY = "wrong amounts since the release: secret canary"
OF_TENANT = f"load {tenant_switch('acme')}"
OF_ACCOUNT = f"load {account_switch(PLATFORM)}"


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> World:
    """A fresh world in each form of the service."""
    kind: Kind = request.param
    return World(kind)


def switch_of(said: Switch | Refused) -> Switch:
    """The switch; a refusal is a failure of the test."""
    if isinstance(said, Refused):
        raise LookupError(str(said))
    return said


def claims(world: World, ref: PaymentRef) -> int:
    """How many sends were claimed."""
    return sum(isinstance(event, SendClaimed) for event in world.events(ref))


PAUSES: dict[str, Callable[[World], Switch]] = {
    "account": lambda world: switch_of(world.refunds.pause(by=BOSS, why=WHY, account=PLATFORM)),
    "tenant": lambda world: switch_of(world.refunds.pause(by=MARIA, why=WHY)),
}
RESUMES: dict[str, Callable[[World], Switch]] = {
    "account": lambda world: switch_of(world.refunds.resume(by=BOSS, account=PLATFORM)),
    "tenant": lambda world: switch_of(world.refunds.resume(by=MARIA)),
}
EITHER = pytest.mark.parametrize("scope", PAUSES)


# --- the switch -------------------------------------------------------------------------------------------


@EITHER
def test_switch_says_since_when_by_whom_and_why(world: World, scope: str) -> None:
    """A pause and its end are on record: once each, however often they are asked for; the first reason stands."""
    account, by = (PLATFORM, BOSS) if scope == "account" else (None, MARIA)
    assert switch_of(world.refunds.paused(by=by, account=account)).paused is False
    first = PAUSES[scope](world)
    assert (first.since, first.by, first.why, first.paused) == (START, by, WHY, True)
    world.clock.advance(MINUTE)
    assert PAUSES[scope](world) == first == switch_of(world.refunds.paused(by=by, account=account))
    world.clock.advance(MINUTE)
    assert RESUMES[scope](world) == RESUMES[scope](world) == Switch(ref=first.ref)
    assert world.events(first.ref) == (
        Paused(at=START, by=by, why=WHY),
        Resumed(at=START + 2 * MINUTE, by=by),
    )


def test_switches_are_apart(world: World) -> None:
    """Each tenant and each account has a switch of its own, also where they bear one name."""
    world.refunds.pause(by=MARIA, why=WHY)
    others = [(EVE, None), (MARIA, PLATFORM), (MARIA, "acme")]
    assert not any(switch_of(world.refunds.paused(by=by, account=account)).paused for by, account in others)


def test_why_is_nowhere_but_on_the_switch(world: World) -> None:
    """What was written as the reason stands in no refusal and in no repr."""
    ref = world.pay()
    switch = PAUSES["tenant"](world)
    quote = world.refunds.quote(ref, by=MARIA)
    assert "canary" not in repr(quote) + repr(switch) + repr(world.events(switch.ref))
    assert "canary" not in " ".join(map(str, quote.refusals))


@pytest.mark.parametrize(
    ("account", "why", "error"),
    [
        ("no account", WHY, ValueError),
        ("", WHY, ValueError),
        (5, WHY, TypeError),
        (None, "", ValueError),
        (None, "x" * (WHY_LIMIT + 1), ValueError),
    ],
)
def test_switch_that_no_payment_could_meet_is_refused(
    world: World, account: str | None, why: str, error: type[Exception]
) -> None:
    """What cannot be an account is refused: such a pause would hold nothing, and nobody would know."""
    with pytest.raises(error):
        world.refunds.pause(by=MARIA, why=why, account=account)
    assert world.wire.controls == []


def test_control_refs_check_themselves() -> None:
    """A control has a kind and a name, and its text can be no payment's."""
    with pytest.raises(TypeError):
        ControlRef(kind="account", name="acct_1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="name"):
        ControlRef(kind=Control.ACCOUNT, name="")
    with pytest.raises(ValueError, match="account"):
        PaymentRef.parse(str(account_switch("acct_1")))


def test_allow_is_told_which_switch(world: World) -> None:
    """The host is asked about the very switch: one account's is not another's, nor the tenant's."""
    asked: list[tuple[Action, Ref | None]] = []

    def allow(actor: Actor, action: Action, ref: Ref | None) -> bool:
        asked.append((action, ref))
        return ref == tenant_switch("acme")

    world.allow = allow
    refused = Refused((NotAllowed(action=Action.PAUSE),))
    assert world.refunds.pause(by=MARIA, why=WHY, account=PLATFORM) == refused
    assert world.wire.controls == []
    assert switch_of(world.refunds.pause(by=MARIA, why=WHY)).paused
    world.allow = lambda actor, action, ref: False
    assert world.refunds.resume(by=MARIA) == Refused((NotAllowed(action=Action.RESUME),))
    assert world.refunds.paused(by=MARIA) == Refused((NotAllowed(action=Action.SHOW),))
    assert world.wire.asked[-1] == (MARIA, Action.SHOW, tenant_switch("acme"))
    assert asked == [(Action.PAUSE, account_switch(PLATFORM)), (Action.PAUSE, tenant_switch("acme"))]


def test_flip_that_is_beaten_decides_again(world: World) -> None:
    """Of two who pause at once the first stands, and the other is told of it."""
    twin = world.service(world.gateway, world.store)
    switch = tenant_switch("acme")

    def beaten() -> None:
        del world.wire.each[f"append {switch}"]
        twin.pause(by=attrs.evolve(MARIA, id="omar"), why="mine was first")

    world.wire.each[f"append {switch}"] = beaten
    assert switch_of(world.refunds.pause(by=MARIA, why=WHY)).why == "mine was first"
    assert len(world.events(switch)) == 1


def test_flip_beaten_for_ever_or_in_a_transaction_is_raised(world: World) -> None:
    """Beaten without end a flip says so; in a host's transaction a race is the host's to repeat."""
    world.wire.each[f"append {tenant_switch('acme')}"] = raising(JournalConflict("beaten"))
    with pytest.raises(TooContended):
        world.refunds.pause(by=MARIA, why=WHY)
    world.journal.in_transaction = True
    with pytest.raises(JournalConflict):
        world.refunds.pause(by=MARIA, why=WHY)


def test_switches_in_a_payments_stream_change_nothing() -> None:
    """Both folds are total: a control's event means nothing of a payment, and a payment's nothing of a switch."""
    ledger = evolve(EMPTY, Paused(at=START, by=MARIA, why=WHY))
    assert attrs.evolve(ledger, latest=None) == EMPTY
    switch = account_switch(PLATFORM)
    assert fold_switch(switch, (StreamOpened(at=START, tenant="acme"),)) == Switch(ref=switch)


# --- while it stands ---------------------------------------------------------------------------------------


@EITHER
def test_quote_and_request_are_refused(world: World, scope: str) -> None:
    """A paused quote shows everything and cannot be issued; an older one is refused, and nothing is on record."""
    ref = world.pay()
    command = world.decision(ref)
    before = world.events(ref)
    switch = PAUSES[scope](world)
    refusal = SendingPaused(scope=switch.ref.kind, since=START)
    quote = world.refunds.quote(ref, by=MARIA)
    assert (quote.amount, quote.refusals) == (command.amount, (refusal,))
    assert world.refunds.issue(command) == world.refunds.request(command) == Refused((refusal,))
    assert world.events(ref) == before
    RESUMES[scope](world)
    assert refund_of(world.refunds.issue(command)).status is Status.SUCCEEDED


def test_both_switches_are_named(world: World) -> None:
    """Where account and tenant are paused, both reasons come at once."""
    ref = world.pay()
    PAUSES["tenant"](world)
    PAUSES["account"](world)
    assert codes_of(world.refunds.quote(ref, by=MARIA)) == ("sending_paused", "sending_paused")


def test_others_go_on(world: World) -> None:
    """Another tenant's payments at another account are refunded as ever."""
    world.refunds.pause(by=BOSS, why=WHY, account="acct_7")
    PAUSES["tenant"](world)
    theirs = world.pay()
    assert refund_of(world.refunds.issue(world.decision(theirs, by=EVE))).settled


def test_outside_money_knows_no_pause(world: World) -> None:
    """What was given back by hand is recorded while sending is paused: nothing is sent for it."""
    PAUSES["tenant"](world)
    cash = OutsideRef(id="cash-1", method="cash", amount=Money.parse("40.00", "USD"))
    assert codes_of(world.refunds.quote(cash, by=MARIA)) == ("external",)
    assert not isinstance(world.refunds.record_outside(cash, cash.amount, by=MARIA, how="cash"), Refused)


@EITHER
def test_request_on_record_waits_and_goes_on(world: World, scope: str) -> None:
    """A request made before the pause is looked at and not claimed, told as requested, and sent after the end."""
    ref = world.pay()
    command = world.decision(ref)
    world.refunds.request(command)
    PAUSES[scope](world)
    assert refund_of(world.refunds.issue(command)).status is Status.REQUESTED
    for _ in range(3):
        world.clock.advance(10 * MINUTE)
        world.refunds.recover()
    assert (claims(world, ref), len(world.bank.received)) == (0, 0)
    RESUMES[scope](world)
    world.settle_down(until=HOUR)
    assert refund_of(world.refunds.issue(command)).status is Status.SUCCEEDED
    assert len(world.bank.received) == 1


def test_request_paused_for_a_day_is_dropped(world: World) -> None:
    """A pause does not make an old decision young: after a day it is over, and a new quote is needed."""
    ref = world.pay()
    command = world.decision(ref)
    world.refunds.request(command)
    PAUSES["tenant"](world)
    world.settle_down(until=25 * HOUR)
    RESUMES["tenant"](world)
    assert codes_of(world.refunds.issue(command)) == ("quote_stale",)
    assert world.bank.received == ()


@EITHER
def test_refund_in_doubt_is_not_sent_again_and_found(world: World, scope: str) -> None:
    """A lost answer is looked for while sending is paused; a lost request is not sent again until the end."""
    ref, other = world.pay(), world.pay("50.00")
    world.gateway.script(Fault.ANSWER_LOST)
    refund_of(world.refunds.issue(found := world.decision(ref)))
    world.gateway.script(Fault.REQUEST_LOST)
    refund_of(world.refunds.issue(lost := world.decision(other)))
    PAUSES[scope](world)
    world.settle_down(until=6 * HOUR)
    assert refund_of(world.refunds.issue(found)).status is Status.SUCCEEDED
    assert refund_of(world.refunds.issue(lost)).status is Status.IN_DOUBT
    assert (claims(world, other), world.bank.made(other)) == (1, 0)
    RESUMES[scope](world)
    world.settle_down(until=2 * HOUR)
    assert refund_of(world.refunds.issue(lost)).status is Status.SUCCEEDED
    assert (claims(world, other), world.bank.made(other)) == (2, 1)


def test_doubt_ends_under_a_pause_as_ever(world: World) -> None:
    """A pause keeps no doubt open: after its last edge a refund that no look shows was not made."""
    ref = world.pay()
    world.gateway.script(Fault.REQUEST_LOST)
    command = world.decision(ref)
    world.refunds.issue(command)
    PAUSES["tenant"](world)
    world.settle_down(until=30 * HOUR)
    assert refund_of(world.refunds.issue(command)).status is Status.NOT_MADE
    assert claims(world, ref) == 1


def test_what_was_sent_goes_its_way(world: World) -> None:
    """A pending refund is followed to its end under a pause: nothing stops it (R6)."""
    ref = world.pay()
    world.bank.plan(ref, Course.pending_then_succeeds(2 * HOUR))
    command = world.decision(ref)
    assert refund_of(world.refunds.issue(command)).status is Status.PENDING
    PAUSES["account"](world)
    world.settle_down(until=4 * HOUR)
    assert refund_of(world.refunds.issue(command)).status is Status.SUCCEEDED


# --- when the switch is read --------------------------------------------------------------------------------


def test_switches_are_read_where_a_send_could_come_of_it_and_nowhere_else(world: World) -> None:
    """One read each before a quote, a request and a claim; looks that cannot send, and repeats, read none."""
    ref = world.pay()
    world.bank.plan(ref, Course.pending_then_succeeds(2 * HOUR))
    reads = [OF_ACCOUNT, OF_TENANT]

    def read(act: Callable[[], object]) -> list[str]:
        world.wire.clear()
        act()
        return world.wire.controls

    command = world.decision(ref)
    assert read(lambda: world.refunds.quote(ref, by=MARIA)) == reads
    assert read(lambda: world.refunds.request(command)) == reads
    assert read(lambda: world.refunds.request(command)) == []
    assert read(lambda: world.refunds.dispatch(ref)) == reads
    assert read(lambda: world.refunds.issue(command)) == []
    assert read(lambda: world.refunds.show(ref, by=MARIA)) == []
    world.clock.advance(HOUR)
    assert read(world.refunds.recover) == []
    assert "look" in world.wire.calls
    assert read(lambda: world.refunds.reconcile(ref)) == []
    assert len(world.bank.received) == 1


def test_pause_during_the_look_holds(world: World) -> None:
    """A pause that comes while the look is on its way is read after it: nothing is claimed."""
    ref = world.pay()
    command = world.decision(ref)
    twin = world.service(world.gateway, world.store)

    def paused_meanwhile() -> None:
        world.wire.each.clear()
        twin.pause(by=MARIA, why=WHY)

    world.wire.each["look"] = paused_meanwhile
    assert refund_of(world.refunds.issue(command)).status is Status.REQUESTED
    assert claims(world, ref) == 0


def test_pause_after_the_claim_may_be_too_late_by_a_minute_and_no_more(world: World) -> None:
    """A worker that read the switch sends within the licence or not at all, however long it then stood still."""
    for late, made in ((MINUTE - SECOND, 1), (MINUTE + SECOND, 0)):
        ref = world.pay()
        command = world.decision(ref)
        twin = world.service(world.gateway, world.store)

        def pause(twin: Refunds = twin, late: timedelta = late) -> None:
            twin.pause(by=MARIA, why=WHY)
            world.clock.advance(late)

        world.wire.clear()
        world.wire.after[4] = pause  # the claim
        world.refunds.issue(command)
        assert (claims(world, ref), world.bank.made(ref)) == (1, made)
        twin.resume(by=MARIA)


@pytest.mark.parametrize("read", [OF_ACCOUNT, OF_TENANT])
def test_switch_that_cannot_be_read_sends_nothing(world: World, read: str) -> None:
    """An unreadable switch is no free way: the journal's error is raised, nothing is claimed; it goes on later."""
    ref = world.pay()
    command = world.decision(ref)
    world.wire.each[read] = unavailable()
    with pytest.raises(JournalUnavailable):
        world.refunds.request(command)
    assert world.view(ref).refunds == ()
    world.wire.clear()
    world.refunds.request(command)
    world.wire.each[read] = unavailable()
    with pytest.raises(JournalUnavailable):
        world.refunds.issue(command)
    assert claims(world, ref) == 0
    world.wire.clear()
    assert refund_of(world.refunds.issue(command)).settled


def test_claim_that_only_a_conflict_makes_possible_is_not_made() -> None:
    """A look whose switches nobody has read claims nothing, whatever others wrote while it was decided, and leaves
    the next one due: there the switches are read."""
    story = Story()
    story.quote()
    story.request()
    for paused, told in ((None, []), (True, ["LookScheduled"])):
        unread = OwedLook(
            at=story.now, latest=story.now, look=story.picture(), sightings=story.ledger.sightings, paused=paused
        )
        assert kinds(story.give(unread)) == told
    story.until_due()
    assert "SendClaimed" in kinds(story.look())


def test_news_that_another_wrote_first_holds_no_send_up(world: World) -> None:
    """The payment was passed on after the quote, and somebody else's look tells so while this one is on its way:
    it is looked at once more, and the refund goes out now and not with the next recovery."""
    ref = world.bank.charge(Money.parse("200.00", "USD"), group="o1")
    command = world.decision(ref)
    world.bank.connect.transfer("acct_1", Money.parse("150.00", "USD"), group="o1")
    twin = world.service(world.gateway, world.store)

    def told_meanwhile() -> None:
        world.wire.each.clear()
        twin.reconcile(ref)

    world.wire.each["look"] = told_meanwhile
    assert refund_of(world.refunds.issue(command)).status is Status.SUCCEEDED
    assert (claims(world, ref), world.bank.made(ref)) == (1, 1)


def test_paused_requests_are_looked_at_more_and_more_seldom(world: World) -> None:
    """A long pause costs few looks: they back off to one an hour."""
    ref = world.pay()
    world.refunds.request(world.decision(ref))
    PAUSES["tenant"](world)
    world.wire.clear()
    for _ in range(20 * 60):
        world.clock.advance(MINUTE)
        world.refunds.recover()
    assert 20 <= world.wire.calls.count("look") <= 30
