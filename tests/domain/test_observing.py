"""The observer: told of everything, of nothing private, after the fact; and nothing it does costs a refund."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import attrs
import pytest

from refund_adapters.memory import Course, Fault, MemoryBank, MemoryGateway
from refund_adapters.sql import SqliteJournal
from refund_domain import IssueRefund, Money, OutsideRef, PaymentRef, Refund, RefundService, Refused, Status
from refund_domain.answers import Answer, Look
from refund_domain.commands import Action, Actor, ApproveRefund, Choice
from refund_domain.decider.ledger import EMPTY
from refund_domain.errors import JournalConflict, JournalUnavailable, TooContended
from refund_domain.events import EVENTS, Event, RefundNotMade
from refund_domain.payments import Ref
from refund_domain.policy import Policy
from refund_domain.quotes import Booking
from refund_domain.service.observations import ANSWERS, MEANINGS, Kind, Observation, written
from refund_domain.service.stream import Stream, opened
from refund_domain.service.watch import UNWATCHED, Watch, tell
from tests.domain.worlds import (
    HOUR,
    KINDS,
    MARIA,
    MINUTE,
    SECOND,
    Crash,
    World,
    codes_of,
    raising,
    refund_of,
    unavailable,
)
from tests.domain.worlds import (
    Kind as Form,
)

USD_20 = Money.parse("20.00", "USD")
BESIDE = {Kind.LOOKED, Kind.SENT, Kind.REFUSED, Kind.BEATEN, Kind.UNWRITTEN, Kind.ALLOW_BROKE}
"""What is told and is no event."""


class Ear:
    """An observer that keeps what it is told, and does `then` each time."""

    def __init__(self) -> None:
        self.told: list[Observation] = []
        self.then: Callable[[Observation], object] = lambda told: None

    def __call__(self, told: Observation) -> None:
        self.told.append(told)
        self.then(told)

    def kinds(self) -> list[Kind]:
        """What was told since it was last asked, in order."""
        kinds = [told.kind for told in self.told]
        self.told.clear()
        return kinds

    def only(self, kind: Kind) -> Observation:
        """The one observation of this kind."""
        (told,) = (each for each in self.told if each.kind is kind)
        return told


@pytest.fixture
def ear() -> Ear:
    """An observer."""
    return Ear()


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, ear: Ear) -> World:
    """A fresh world in each form of the service, observed, without the gateway's own cap."""
    form: Form = request.param
    return World(form, cap=False, observe=ear)


# --- what is told -------------------------------------------------------------------------------------------


def test_refund_is_told_from_quote_to_success(world: World, ear: Ear) -> None:
    """Quote and issue are told in order: each look and send with its time, each event with what it changed."""
    world.wire.each["look"] = lambda: world.clock.advance(2 * SECOND)
    world.wire.each["send"] = lambda: world.clock.advance(3 * SECOND)
    ref = world.pay()
    command = world.decision(ref)
    assert ear.told[0] == Observation(kind=Kind.LOOKED, ref=ref, answer="picture", took_s=2.0)
    assert ear.kinds() == [Kind.LOOKED, Kind.OPENED, Kind.PAYMENT_SEEN]
    refund = refund_of(world.refunds.issue(command))
    sent, answered, claimed = ear.only(Kind.SENT), ear.only(Kind.ANSWERED), ear.only(Kind.CLAIMED)
    assert sent == Observation(
        kind=Kind.SENT,
        ref=ref,
        tenant="acme",
        refund_id=refund.id,
        gateway_id=refund.gateway_id,
        claim=1,
        amount=refund.amount,
        answer="accepted",
        took_s=3.0,
    )
    assert (claimed.before, claimed.after, claimed.claim) == (Status.REQUESTED, Status.IN_DOUBT, 1)
    assert (answered.before, answered.after) == (Status.IN_DOUBT, Status.SUCCEEDED)
    assert (answered.refund_id, answered.gateway_id, answered.answer) == (refund.id, refund.gateway_id, "accepted")
    requested = ear.only(Kind.REQUESTED)
    assert (requested.before, requested.after, requested.amount) == (None, Status.REQUESTED, refund.amount)
    assert ear.kinds() == [
        Kind.REQUESTED,
        Kind.LOOK_SCHEDULED,
        Kind.LOOKED,
        Kind.CLAIMED,
        Kind.LOOK_SCHEDULED,
        Kind.SENT,
        Kind.ANSWERED,
        Kind.LOOK_SCHEDULED,
    ]


def test_every_event_is_told_once_and_in_order(world: World, ear: Ear) -> None:
    """Whatever happens to payments, what is told of each, looks and the like aside, is its journal."""
    refs = [world.pay() for _ in range(3)]
    refs.append(world.bank.charge(USD_20, course=Course.succeeds_then_fails()))
    world.gateway.script(*[Fault.LOOK_WORKS] * 4, Fault.ANSWER_LOST, Fault.BREAKS_MADE_NOTHING)
    for command in [world.decision(ref) for ref in refs]:
        world.refunds.issue(command)
    world.bank.dispute(refs[2])
    for _ in range(4):
        world.clock.advance(20 * HOUR)
        world.refunds.recover()
    waiting = world.refunds.attention(by=MARIA)
    assert not isinstance(waiting, Refused)
    for each in waiting:
        for item in each.items:
            choice = item.choices[0] if item.choices else Choice.NOTED
            world.refunds.settle(each.payment, subject=item.subject, code=item.code, choice=choice, by=MARIA)
    cash = OutsideRef(id="cash-7", method="cash", amount=USD_20)
    world.refunds.record_outside(cash, USD_20, by=MARIA, how="handed over")
    both: list[Ref] = [*refs, cash]
    for ref in both:
        told = [each for each in ear.told if each.ref == ref and each.kind not in BESIDE]
        events = world.events(ref)
        assert told == list(written(ref, EMPTY, events))
        assert [each.at for each in told] == [event.at for event in events]
    assert {each.kind for each in ear.told} >= {
        Kind.SETTLED,
        Kind.OUTSIDE_RECORDED,
        Kind.REFUND_SEEN,
        Kind.NOT_MADE,
    }


@pytest.mark.parametrize("form", KINDS)
def test_what_holds_refunds_back_is_told(form: Form, ear: Ear) -> None:
    """A pause, a part of a day and a second person's word are told with their owner, and no person or text."""
    policy = Policy(second_person_from=(), most_a_day=(Money.parse("900.00", "USD"),))
    world = World(form, policy=policy, observe=ear)
    paul = Actor(id="paul", tenant=MARIA.tenant)
    world.refunds.pause(by=MARIA, why="Maria's own words")
    world.refunds.resume(by=MARIA)
    assert ear.kinds() == [Kind.PAUSED, Kind.RESUMED]
    ref = world.pay()
    refund = refund_of(world.refunds.issue(world.decision(ref)))
    taken = ear.only(Kind.ALLOWANCE_TAKEN)
    assert (taken.amount, taken.tenant) == (refund.amount, MARIA.tenant)
    world.refunds.approve(ApproveRefund(payment=ref, refund_id=refund.id, amount=refund.amount, by=paul))
    approved = ear.only(Kind.APPROVED)
    assert (approved.ref, approved.refund_id, approved.tenant) == (ref, refund.id, MARIA.tenant)
    assert not any(word in str(ear.told) for word in ("paul", MARIA.id, "own words"))


def test_every_kind_of_event_has_a_kind_of_its_own() -> None:
    """Each kind is explained; each class of event is told as one of its own; each answer and look has its word."""
    assert set(MEANINGS) == set(Kind)
    assert len(Kind) - len(BESIDE) == len(EVENTS) == len(get_args(Event))
    assert set(ANSWERS) == {*get_args(Answer), *get_args(Look)}
    at = datetime(2026, 3, 2, tzinfo=UTC)
    ref = PaymentRef("platform", "ch_1")
    timed, said = RefundNotMade(at=at, refund_id="r"), RefundNotMade(at=at, refund_id="r", by=MARIA)
    told = list(written(ref, EMPTY, (timed, said)))
    assert [each.why for each in told] == ["time passed", "a person said so"]
    assert not [each for each in told if "maria" in repr(each)]


def test_refund_of_somebody_else_is_told_without_an_id_of_ours(world: World, ear: Ear) -> None:
    """What was refunded elsewhere has the gateway's id, its status now and before, and no id of ours."""
    ref = world.pay()
    world.refunds.quote(ref, by=MARIA)
    world.bank.elsewhere(ref, USD_20)
    world.refunds.quote(ref, by=MARIA)
    seen = ear.only(Kind.REFUND_SEEN)
    assert (seen.refund_id, seen.before, seen.after, seen.amount) == (None, None, Status.SUCCEEDED, USD_20)
    assert seen.gateway_id is not None
    ear.told.clear()
    world.bank.settle(seen.gateway_id, "failed", "lost_or_stolen_card")
    world.refunds.quote(ref, by=MARIA)
    failed = ear.only(Kind.REFUND_SEEN)
    assert (failed.before, failed.after, failed.why) == (Status.SUCCEEDED, Status.FAILED, "lost_or_stolen_card")


def test_allow_that_breaks_is_told_and_one_that_refuses_is_not(world: World, ear: Ear) -> None:
    """To the person both are a no; whoever runs the host must be able to tell rights from an outage."""
    ref = world.pay()

    def gone(actor: Actor, action: Action, ref: Ref | None) -> bool:
        raise LookupError(f"no rights of {actor.id}")

    for broken, error in ((gone, "LookupError"), (lambda actor, action, ref: "yes", "TypeError")):
        world.allow = broken  # type: ignore[assignment]
        assert codes_of(world.refunds.quote(ref, by=MARIA)) == ("not_allowed",)
        (told,) = ear.told
        assert (told.kind, told.ref, told.tenant) == (Kind.ALLOW_BROKE, ref, MARIA.tenant)
        assert (told.answer, told.why) == ("quote", error)
        assert MARIA.id not in str(told)
        ear.told.clear()
    world.allow = gone
    assert isinstance(world.refunds.attention(by=MARIA), Refused)
    assert str(ear.only(Kind.ALLOW_BROKE).ref) == f"~tenant/{MARIA.tenant}"
    ear.told.clear()
    world.allow = lambda actor, action, ref: False
    assert codes_of(world.refunds.quote(ref, by=MARIA)) == ("not_allowed",)
    assert ear.told == []


def test_refusal_is_told_by_its_codes(world: World, ear: Ear) -> None:
    """A rule that says no to a person is told with its codes; one that says so before a send is the drop."""
    ref = world.pay()
    command = world.decision(ref)
    world.refunds.issue(attrs.evolve(command, amount=USD_20))
    assert ear.only(Kind.REFUSED).reasons == ("amount_changed",)
    ear.told.clear()
    world.refunds.issue(attrs.evolve(command, by=Actor(id="eve", tenant="other")))
    refused = ear.only(Kind.REFUSED)
    assert (refused.reasons[0], refused.tenant) == ("not_found", "acme")
    ear.told.clear()
    world.bank.elsewhere(ref, USD_20)
    world.refunds.issue(command)
    dropped = ear.only(Kind.DROPPED)
    assert (dropped.reasons, dropped.after) == (("amount_changed",), Status.DROPPED)


@pytest.mark.parametrize(
    ("fault", "answer", "after"),
    [
        (Fault.RATE_LIMITED, "not_sent", Status.REQUESTED),
        (Fault.ANSWER_LOST, "outcome_unknown", Status.IN_DOUBT),
        (Fault.RAISES_SENT, "outcome_unknown", Status.IN_DOUBT),
    ],
)
def test_what_a_send_came_to_is_told(world: World, ear: Ear, fault: Fault, answer: str, after: Status) -> None:
    """What is no yes is told as it came and as it was written, with the gateway's or our word for it."""
    command = world.decision(world.pay())
    world.gateway.script(Fault.LOOK_WORKS, fault)
    world.refunds.issue(command)
    sent, answered = ear.only(Kind.SENT), ear.only(Kind.ANSWERED)
    assert (sent.answer, answered.answer, answered.after) == (answer, answer, after)
    assert sent.why == answered.why is not None
    assert (sent.amount, sent.transfer, sent.claim) == (command.amount, None, 1)
    assert [told.tenant for told in ear.told if told.kind is Kind.LOOKED][-1] == MARIA.tenant


def test_decline_is_told_with_its_code(world: World, ear: Ear) -> None:
    """A no of the gateway is told with its code."""
    world = World(world.kind, observe=ear)
    command = world.decision(world.pay())

    def first() -> None:
        world.bank.elsewhere(command.payment)

    world.wire.each["send"] = first
    world.refunds.issue(command)
    assert (ear.only(Kind.SENT).answer, ear.only(Kind.ANSWERED).after) == ("declined", Status.DECLINED)
    assert ear.only(Kind.SENT).why == ear.only(Kind.ANSWERED).why is not None


def test_unread_and_missing_looks_are_told(world: World, ear: Ear) -> None:
    """A look that cannot be read says why, one of no charge says so, a gateway that raises is named."""
    ref = world.pay()
    world.gateway.script(Fault.LOOK_UNREADABLE, Fault.LOOK_RAISES)
    for each in (ref, ref, PaymentRef("platform", "ch_404")):
        world.refunds.reconcile(each)
    assert [(told.kind, told.answer) for told in ear.told] == [
        (Kind.LOOKED, "unread"),
        (Kind.LOOKED, "unread"),
        (Kind.LOOKED, "missing"),
    ]
    assert ear.told[0].why
    assert "the gateway raised" in str(ear.told[1].why)


def test_alarms_are_told(world: World, ear: Ear) -> None:
    """What asks for a person, of a look or of a send, is named in the observation of it."""
    command = world.decision(world.pay())
    ear.told.clear()
    world.wire.each["look"] = lambda: setattr(world.gateway, "look", lambda ref: None)
    world.refunds.issue(command)
    assert ear.only(Kind.LOOKED).alarm == "odd_look"
    assert [told.alarm for told in ear.told if told.kind is Kind.LOOK_SCHEDULED] == [None, "odd_look"]


def test_conflicts_are_told(world: World, ear: Ear) -> None:
    """Each append that others were faster with is told, also those of a call that gives up."""
    ref = world.pay()
    for number in (3, 5):
        world.wire.before[number] = raising(JournalConflict("x"))
    world.refunds.quote(ref, by=MARIA)
    assert ear.kinds() == [Kind.LOOKED, Kind.BEATEN, Kind.BEATEN, Kind.OPENED, Kind.PAYMENT_SEEN]
    world.wire.clear()
    ear.told.clear()
    world.wire.before[2] = raising(JournalConflict("x"))
    world.refunds.record_outside(ref, USD_20, by=MARIA, how="cash")
    assert (ear.only(Kind.BEATEN).ref, ear.only(Kind.BEATEN).tenant) == (ref, MARIA.tenant)
    world.wire.clear()
    ear.told.clear()
    world.wire.each["append"] = raising(JournalConflict("x"))
    with pytest.raises(TooContended):
        world.refunds.quote(world.pay(), by=MARIA)
    assert ear.kinds().count(Kind.BEATEN) == 100


def test_answer_that_could_not_be_written_is_told(world: World, ear: Ear) -> None:
    """An answer that the journal does not take is told with the error's class; the open claim is on disk."""
    command = world.decision(world.pay())
    world.wire.clear()
    appends = itertools.count()
    world.wire.each["append"] = lambda: unavailable()() if next(appends) == 2 else None
    refund = refund_of(world.refunds.issue(command))
    assert refund.status is Status.IN_DOUBT
    unwritten = ear.only(Kind.UNWRITTEN)
    assert (unwritten.refund_id, unwritten.claim, unwritten.answer) == (refund.id, 1, "accepted")
    assert unwritten.why == JournalUnavailable.__name__
    assert (unwritten.tenant, unwritten.transfer) == (MARIA.tenant, None)
    assert Kind.ANSWERED not in ear.kinds()


def test_answer_of_a_leg_that_could_not_be_written_names_its_transfer(world: World, ear: Ear) -> None:
    """Which of a refund's calls it was is told, for the open claim is that transfer's."""
    ref = world.bank.charge(Money.parse("200.00", "USD"), group="order-1")
    transfer = world.bank.connect.transfer("acct_1", Money.parse("150.00", "USD"), group="order-1")
    command = world.decision(ref)
    world.wire.clear()
    appends = itertools.count()
    world.wire.each["append"] = lambda: unavailable()() if next(appends) == 4 else None
    refund = refund_of(world.refunds.issue(command))
    assert refund.status is Status.SUCCEEDED
    unwritten = ear.only(Kind.UNWRITTEN)
    assert (unwritten.refund_id, unwritten.transfer, unwritten.claim) == (refund.id, transfer, 1)
    assert unwritten.answer == "reversed"
    sent = [told for told in ear.told if told.kind is Kind.SENT]
    assert [(told.transfer, told.answer) for told in sent] == [(None, "accepted"), (transfer, "reversed")]
    lost = world.bank.charge(Money.parse("200.00", "USD"), group="order-2")
    transfer = world.bank.connect.transfer("acct_1", Money.parse("150.00", "USD"), group="order-2")
    world.wire.clear()
    ear.told.clear()
    world.gateway.script(Fault.WORKS, Fault.ANSWER_LOST)
    world.refunds.issue(world.decision(lost))
    unknown = [told for told in ear.told if told.kind is Kind.SENT][-1]
    assert (unknown.transfer, unknown.amount, unknown.answer) == (
        transfer,
        Money.parse("150.00", "USD"),
        "outcome_unknown",
    )


def test_step_that_broke_is_told_as_far_as_it_came(world: World, ear: Ear) -> None:
    """Where a step ends in an error before anything was sent, the look that was made is told all the same."""
    command = world.decision(world.pay())
    ear.told.clear()
    appends = itertools.count()
    world.wire.each["append"] = lambda: unavailable()() if next(appends) == 1 else None
    with pytest.raises(JournalUnavailable):
        world.refunds.issue(command)
    assert ear.kinds() == [Kind.REQUESTED, Kind.LOOK_SCHEDULED, Kind.LOOKED]


# --- when -------------------------------------------------------------------------------------------------


def test_nothing_is_told_between_look_and_answer(world: World, ear: Ear) -> None:
    """When the observer hears of claim and send, the answer is in the journal; not a word before."""
    ref = world.pay()
    command = world.decision(ref)
    world.wire.clear()
    heard_at: list[tuple[Kind, int]] = []
    ear.then = lambda told: heard_at.append((told.kind, len(world.wire.calls)))
    world.refunds.issue(command)
    calls = world.wire.calls
    assert calls == ["allow", "load", "append", "look", "append", "send", "append"]
    of_step = [number for kind, number in heard_at if kind not in (Kind.REQUESTED, Kind.LOOK_SCHEDULED)]
    assert set(of_step) == {len(calls)}


@pytest.mark.parametrize("form", KINDS)
def test_nothing_is_told_before_a_call_is_over(form: Form, ear: Ear) -> None:
    """Whatever a person or a worker asks for, the observer hears of it when no port is asked any more."""
    policy = Policy(second_person_from=(), most_a_day=(Money.parse("900.00", "USD"),))
    world = World(form, policy=policy, observe=ear)
    refs = [world.pay() for _ in range(3)]
    heard: list[list[str]] = []
    ear.then = lambda told: heard.append([*world.wire.calls, *world.wire.controls])

    def over(call: Callable[[], object]) -> None:
        """Nothing was asked of a port once the observer was told the first thing."""
        heard.clear()
        call()
        assert heard
        assert heard == [[*world.wire.calls, *world.wire.controls]] * len(heard)

    over(lambda: world.refunds.quote(refs[0], by=MARIA))
    over(lambda: world.refunds.quote_bookings([Booking(label="1", payments=tuple(refs))], by=MARIA))
    first, second, third = (world.decision(ref) for ref in refs)
    over(lambda: world.refunds.issue(first))
    over(lambda: world.refunds.request(second))
    world.bank.elsewhere(refs[2], USD_20)
    over(lambda: world.refunds.reconcile(refs[2]))
    over(lambda: world.refunds.issue(third))
    over(lambda: world.refunds.pause(by=MARIA, why="a storm"))


def test_slow_observer_makes_no_first_quote_late(world: World, ear: Ear) -> None:
    """An observer that takes longer than clocks may lie apart costs a payment's first quote nothing."""
    ear.then = lambda told: world.clock.advance(7 * MINUTE)
    world.wire.clear()
    assert str(world.refunds.quote(world.pay(), by=MARIA).amount) == "200.00 USD"
    assert world.wire.calls.count("look") == 1
    assert ear.kinds() == [Kind.LOOKED, Kind.OPENED, Kind.PAYMENT_SEEN]


def test_append_that_was_beaten_is_told_when_its_call_is_over(world: World, ear: Ear) -> None:
    """A record of outside money that others were faster with is decided again before the observer hears of it."""
    ref = world.pay()
    world.refunds.quote(ref, by=MARIA)
    ear.told.clear()
    world.wire.clear()
    world.wire.before[2] = raising(JournalConflict("x"))
    heard: list[int] = []
    ear.then = lambda told: heard.append(len(world.wire.calls))
    world.refunds.record_outside(ref, USD_20, by=MARIA, how="cash")
    assert ear.kinds()[:2] == [Kind.BEATEN, Kind.OUTSIDE_RECORDED]
    assert set(heard) == {len(world.wire.calls)}


def test_slow_observer_costs_no_licence(world: World, ear: Ear) -> None:
    """An observer that takes two minutes each time delays what comes after; every refund is sent."""
    ear.then = lambda told: world.clock.advance(2 * MINUTE)
    for _ in range(3):
        command = world.decision(world.pay())
        assert refund_of(world.refunds.issue(command)).status is Status.SUCCEEDED


def test_nothing_is_told_within_a_hosts_transaction(ear: Ear, tmp_path: Path) -> None:
    """What is written within a host's transaction may yet be rolled back, so it is told of by nobody."""
    bank = MemoryBank()
    ref = bank.charge(USD_20)
    file = tmp_path / "refunds.db"
    with closing(SqliteJournal(file)) as journal, closing(sqlite3.connect(file, isolation_level=None)) as host:
        service = RefundService(MemoryGateway(bank), journal, allow=lambda *_: True, observe=ear)
        command = service.quote(ref, by=MARIA).verified(by=MARIA)
        ear.told.clear()
        host.execute("BEGIN IMMEDIATE")
        assert isinstance(service.within(host).request(command), Refund)
        host.execute("ROLLBACK")
        assert ear.told == []


# --- what it cannot do --------------------------------------------------------------------------------------


def _life(world: World) -> list[object]:
    """A refund made, one whose answer is lost, one refused, recovery; and what the journal holds in the end."""
    refs = [world.pay() for _ in range(3)]
    commands: list[IssueRefund] = [world.decision(ref) for ref in refs]
    world.gateway.script(*[Fault.LOOK_WORKS] * 2, Fault.ANSWER_LOST)
    told: list[object] = [world.refunds.issue(command) for command in commands[:2]]
    world.bank.elsewhere(refs[2], USD_20)
    told.append(world.refunds.issue(commands[2]))
    for _ in range(3):
        world.clock.advance(HOUR)
        told.append(world.refunds.recover())
    return [*told, *(world.events(ref) for ref in refs), world.bank.received, world.wire.calls]


def test_observer_that_always_raises_changes_nothing(world: World, ear: Ear) -> None:
    """Results, events, sends and calls are the same, to the letter, with an observer that raises each time."""
    ear.then = lambda told: raising(RuntimeError("the observer's own trouble"))()
    assert _life(world) == _life(World(world.kind, cap=False))
    assert len(ear.told) > 30


def test_observer_that_enters_the_service_again_changes_nothing(world: World, ear: Ear) -> None:
    """An observer that quotes and recovers from within ends, hears nothing of that, and doubles nothing."""
    entered: list[object] = []

    def enter(told: Observation) -> None:
        assert isinstance(told.ref, PaymentRef)
        entered.append(world.refunds.quote(told.ref, by=MARIA))
        world.refunds.recover()

    ear.then = enter
    command = world.decision(world.pay())
    refund = refund_of(world.refunds.issue(command))
    assert refund.status is Status.SUCCEEDED
    assert world.bank.made(refund.payment) == 1
    assert len(entered) == len(ear.told)
    assert {told.kind for told in ear.told} >= {Kind.LOOKED, Kind.SENT, Kind.ANSWERED}


def test_observer_that_issues_the_same_decision_makes_one_refund(world: World, ear: Ear) -> None:
    """An observer that presses the button itself, at every moment it is given, makes no second refund."""
    command = world.decision(world.pay())
    ear.then = lambda told: world.refunds.issue(command)
    refund = refund_of(world.refunds.issue(command))
    world.settle_down()
    assert world.bank.made(refund.payment) == 1


@pytest.mark.parametrize("kind", Kind)
def test_interrupt_from_an_observer_loses_no_answer(world: World, ear: Ear, kind: Kind) -> None:
    """A KeyboardInterrupt out of the observer passes, and what was sent is written down before, at every kind."""

    def interrupt(told: Observation) -> None:
        if told.kind is kind:
            raise KeyboardInterrupt

    ear.then = interrupt
    ref = world.pay()
    passed = 0
    for _ in range(3):
        try:
            if not (quote := world.refunds.quote(ref, by=MARIA)).refusals:
                world.refunds.issue(quote.verified(by=MARIA))
        except KeyboardInterrupt:
            passed += 1
    events = world.events(ref)
    sends = [event for event in events if type(event).__name__ == "SendClaimed"]
    answers = [event for event in events if type(event).__name__ == "SendAnswered"]
    assert len(sends) == len(answers) == world.bank.made(ref)
    assert passed or kind not in (Kind.LOOKED, Kind.OPENED, Kind.REQUESTED, Kind.CLAIMED, Kind.SENT, Kind.ANSWERED)


def test_a_thread_that_never_told_anything_tells(world: World, ear: Ear) -> None:
    """Each thread of a host is listened to from its first observation on."""
    stream = _stream(world)
    thread = threading.Thread(target=Watch(ear, float).beaten, args=(stream,))
    thread.start()
    thread.join()
    assert ear.only(Kind.BEATEN).ref == stream.ref


def test_crash_within_a_call_tells_nothing_of_it(world: World, ear: Ear) -> None:
    """Where the process dies in a send, the observer is not called on the way out: the claim is the record."""
    command = world.decision(world.pay())
    ear.told.clear()
    world.wire.each["send"] = raising(Crash())
    with pytest.raises(Crash):
        world.refunds.issue(command)
    assert ear.told == []


def test_clock_that_breaks_costs_the_time_and_nothing_else(world: World, ear: Ear) -> None:
    """Where the monotonic clock raises around a call, how long it took is not told; the call stands."""
    assert UNWATCHED.started() is None
    watch = Watch(ear, raising(OSError()))  # type: ignore[arg-type]
    assert watch.started() is None
    ref = world.pay()
    watch.looked(ref, world.gateway.look(ref), None)
    late = Watch(ear, iter([1.0]).__next__)
    late.looked(ref, world.gateway.look(ref), late.started())
    assert [told.took_s for told in ear.told] == [None, None]


def _stream(world: World) -> Stream:
    ref = world.pay()
    return opened(ref, world.store.load(ref), 0.0, 0.0)


def test_what_cannot_be_told_is_left_out(world: World, ear: Ear) -> None:
    """Should an event ever have no observation, nothing is told of it and nothing breaks."""
    watch = Watch(ear, world.clock.monotonic)
    watch.wrote(_stream(world), (object(),))  # type: ignore[arg-type]
    assert ear.told == []


def test_tell_says_whether_it_went_well(ear: Ear) -> None:
    """An Exception of the observer is a no, everything else a yes; a service is told of again afterwards."""
    told = Observation(kind=Kind.OPENED, ref=PaymentRef("platform", "ch_1"))
    assert tell(ear, told)
    ear.then = lambda told: raising(ValueError())()
    assert not tell(ear, told)
    ear.then = lambda told: raising(KeyboardInterrupt())()
    with pytest.raises(KeyboardInterrupt):
        tell(ear, told)
    world = World(observe=ear)
    ear.then = lambda told: None
    world.refunds.quote(world.pay(), by=MARIA)
    assert ear.kinds()[-1] is Kind.PAYMENT_SEEN


@pytest.mark.parametrize("form", KINDS)
def test_observer_that_is_none_is_refused(form: Form) -> None:
    """What cannot be called is refused when the service is built."""
    with pytest.raises(TypeError, match="observe must be callable"):
        World(form, observe=7)  # type: ignore[arg-type]


# --- the value ----------------------------------------------------------------------------------------------


def test_observation_is_one_line_of_plain_fields() -> None:
    """Texts and numbers only, nothing that is None, and one line whatever a gateway's word holds."""
    told = Observation(
        kind=Kind.ANSWERED,
        ref=PaymentRef("platform", "ch_1"),
        tenant="acme",
        at=datetime(2026, 3, 2, tzinfo=UTC),
        refund_id="r1",
        claim=2,
        amount=USD_20,
        before=Status.IN_DOUBT,
        after=Status.DECLINED,
        answer="declined",
        why="a word\nfake line",
        reasons=("disputed", "in_flight"),
        took_s=0.123456,
        tries=0,
    )
    assert told.fields() == {
        "kind": "answered",
        "ref": "platform/ch_1",
        "tenant": "acme",
        "at": "2026-03-02T00:00:00+00:00",
        "refund_id": "r1",
        "claim": 2,
        "amount_minor": 2000,
        "currency": "USD",
        "before": "in_doubt",
        "after": "declined",
        "answer": "declined",
        "why": "a word\nfake line",
        "reasons": "disputed,in_flight",
        "took_s": 0.123456,
        "tries": 0,
    }
    assert {type(value) for value in told.fields().values()} == {str, int, float}
    assert str(told) == (
        "answered platform/ch_1 tenant=acme at=2026-03-02T00:00:00+00:00 refund_id=r1 claim=2 amount_minor=2000 "
        'currency=USD before=in_doubt after=declined answer=declined why="a word fake line" '
        "reasons=disputed,in_flight took_s=0.123 tries=0"
    )
