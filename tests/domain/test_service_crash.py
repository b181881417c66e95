"""What breaks while money is about to move: the journal, the gateway, the process; before and after each call."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from typing import Any

import attrs
import pytest

from refund_adapters.memory import Fault, MemoryGateway, Planned
from refund_domain import IssueRefund, Money, PaymentRef, Refund, Refused, Status
from refund_domain.answers import (
    Accepted,
    Answer,
    Ask,
    Declined,
    Look,
    Missing,
    OutcomeUnknown,
    Picture,
    Send,
    Unread,
)
from refund_domain.commands import Choice
from refund_domain.errors import GatewayUnreadable, JournalConflict, JournalUnavailable
from refund_domain.events import SendAnswered, SendClaimed
from refund_domain.payments import GatewayRefund
from tests import canaries
from tests.domain.worlds import (
    DAY,
    HOUR,
    KINDS,
    MARIA,
    MINUTE,
    SECOND,
    Crash,
    Kind,
    World,
    codes_of,
    raising,
    refund_of,
    unavailable,
)

ISSUE = ("allow", "load", "append", "look", "append", "send", "append")
"""The calls of one issue, by number: what a fault is set on."""

JOURNAL = tuple(number for number, name in enumerate(ISSUE) if name in ("load", "append"))
SEND = ISSUE.index("send")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each form of the service."""
    form: Kind = request.param
    return form


@pytest.fixture
def world(kind: Kind) -> World:
    """A fresh world without the gateway's own cap: nothing but the library keeps it from paying twice."""
    return World(kind, cap=False)


def ready(world: World) -> tuple[PaymentRef, IssueRefund]:
    """A payment with a verified quote, and a wire that counts from here."""
    ref = world.pay()
    command = world.decision(ref)
    world.wire.clear()
    return ref, command


def finished(world: World, ref: PaymentRef, command: IssueRefund) -> Refund:
    """What becomes of this decision once nothing breaks any more: time passes, the person asks again."""
    world.wire.clear()
    world.settle_down()
    result = world.refunds.issue(command)
    if isinstance(result, Refused):
        # The crash came before the request was on record, so that the person sees it was not and decides anew.
        assert codes_of(result) == ("quote_stale",)
        result = world.refunds.issue(world.decision(ref))
    return refund_of(result)


# --- the journal breaks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [JournalUnavailable("gone"), OSError("raw"), JournalConflict("x")], ids=repr)
@pytest.mark.parametrize("number", JOURNAL)
def test_journal_that_fails_at_a_call(world: World, number: int, error: Exception) -> None:
    """Before the send a failing journal raises and nothing is sent; after it the refund comes back in doubt."""
    # failures: B01, B06
    ref, command = ready(world)
    if isinstance(error, JournalConflict):
        # Beaten without a winner: the same input is decided again, and all goes well. A load raises no conflict.
        if ISSUE[number] == "load":
            error = JournalUnavailable("gone")
        else:
            world.wire.before[number] = raising(error)
            assert refund_of(world.refunds.issue(command)).status is Status.SUCCEEDED
            assert world.bank.made(ref) == 1
            return
    world.wire.before[number] = raising(error)
    if number < SEND:
        with pytest.raises(type(error)):
            world.refunds.issue(command)
        assert world.gateway.sent == ()
    else:
        assert refund_of(world.refunds.issue(command)).status is Status.IN_DOUBT
        assert world.view(ref).left == Money.zero(command.amount.currency)
    assert finished(world, ref, command).status is Status.SUCCEEDED
    assert world.bank.made(ref) == len(world.bank.received) == 1


@pytest.mark.parametrize("number", [n for n in JOURNAL if ISSUE[n] == "append"])
def test_append_whose_answer_is_lost(world: World, number: int) -> None:
    """An append that was committed without anybody knowing sends nothing on its own word and loses nothing."""
    ref, command = ready(world)
    world.wire.after[number] = unavailable()
    if number < SEND:
        with pytest.raises(JournalUnavailable):
            world.refunds.issue(command)
        assert world.gateway.sent == ()
    else:
        assert refund_of(world.refunds.issue(command)).status is Status.IN_DOUBT
        world.wire.clear()
        assert refund_of(world.refunds.issue(command)).status is Status.SUCCEEDED
    assert finished(world, ref, command).status is Status.SUCCEEDED
    assert world.bank.made(ref) == len(world.bank.received) == 1


def test_journal_that_stays_gone_after_the_send(world: World) -> None:
    """With a journal gone from the send on, the refund is in doubt, later calls raise, and recovery finds it."""
    ref, command = ready(world)

    def gone() -> None:
        world.wire.each["append"] = world.wire.each["load"] = unavailable()

    world.wire.after[SEND] = gone
    refund = refund_of(world.refunds.issue(command))
    assert (refund.status, refund.settled) == (Status.IN_DOUBT, False)
    with pytest.raises(JournalUnavailable):
        world.refunds.issue(command)
    assert finished(world, ref, command).id == refund.id
    assert len(world.bank.received) == 1


def test_answer_beaten_for_ever_is_in_doubt(world: World) -> None:
    """An answer that others always beat to the append is left to recovery; nothing is raised after a send."""
    ref, command = ready(world)
    world.wire.after[SEND] = lambda: world.wire.each.update(append=raising(JournalConflict("beaten")))
    assert refund_of(world.refunds.issue(command)).status is Status.IN_DOUBT
    assert finished(world, ref, command).status is Status.SUCCEEDED
    assert len(world.bank.received) == 1


def test_failure_in_a_later_turn_is_not_raised(world: World) -> None:
    """After a first turn of the loop a failing journal ends the call with what is known, and raises nothing."""
    ref, command = ready(world)
    world.gateway.script(Fault.LOOK_UNREADABLE)
    # The first look takes so long that the next is owed at once; the second's append fails.
    world.wire.before[3] = lambda: world.clock.advance(2 * MINUTE)
    world.wire.before[6] = unavailable()
    refund = refund_of(world.refunds.issue(command))
    assert world.wire.calls == ["allow", "load", "append", "look", "append", "look", "append"]
    assert refund.status is Status.REQUESTED
    assert finished(world, ref, command).id == refund.id


def test_interrupt_in_a_later_turn_passes(world: World) -> None:
    """An interrupt in a later turn of the loop is no failure to be kept quiet about: it passes through."""
    ref, command = ready(world)
    world.gateway.script(Fault.LOOK_UNREADABLE)
    world.wire.before[3] = lambda: world.clock.advance(2 * MINUTE)
    world.wire.before[5] = raising(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        world.refunds.issue(command)
    assert finished(world, ref, command).status is Status.SUCCEEDED


# --- the gateway breaks -------------------------------------------------------------------------------------

LONG_NAME = type("E" * 300, (Exception,), {})
ODD_NAME = type("odd name\x1b[2J", (Exception,), {})
RAISED = [ValueError, OSError, TimeoutError, RecursionError, ExceptionGroup, LONG_NAME, ODD_NAME]
RAISED_NAMES = ["value", "os", "timeout", "recursion", "group", "long_name", "odd_name"]


def _error(kind: type[Exception]) -> Exception:
    return ExceptionGroup("many", [OSError()]) if kind is ExceptionGroup else kind(canaries.TEXT)


@pytest.mark.parametrize("error", RAISED, ids=RAISED_NAMES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_gateway_that_raises_in_send(world: World, when: str, error: type[Exception]) -> None:
    """Whatever `send` raises, executed or not, the outcome is unknown and the amount held, under one key."""
    # failures: B01, B04, B07
    ref, command = ready(world)
    getattr(world.wire, when)[SEND] = raising(_error(error))
    refund = refund_of(world.refunds.issue(command))
    assert refund.status is Status.IN_DOUBT
    assert world.view(ref).left == Money.zero(command.amount.currency)
    assert "secret" not in repr(world.events(ref))
    assert finished(world, ref, command).id == refund.id
    assert {received.key for received in world.bank.received} == {refund.id}
    assert world.bank.made(ref) == 1


@pytest.mark.parametrize("error", RAISED, ids=RAISED_NAMES)
def test_gateway_that_raises_in_look(world: World, error: type[Exception]) -> None:
    """Whatever `look` raises before the claim, nothing is sent, the refund stays requested and goes out later."""
    ref, command = ready(world)
    world.wire.before[3] = raising(_error(error))
    refund = refund_of(world.refunds.issue(command))
    assert refund.status is Status.REQUESTED
    assert world.gateway.sent == ()
    assert refund_of(world.refunds.issue(command)) == refund
    assert "secret" not in repr(world.events(ref))
    assert finished(world, ref, command).id == refund.id


def test_gateway_down_is_a_request_and_no_exception(world: World) -> None:
    """A gateway that cannot be read before the claim gives Refund(requested); repeated later it is sent."""
    # failure: C11
    ref, command = ready(world)
    world.gateway.script(Fault.LOOK_UNREADABLE, Fault.LOOK_UNREADABLE)
    for _ in range(3):
        assert refund_of(world.refunds.issue(command)).status is Status.REQUESTED
    assert len(world.gateway.looked) == 2
    world.clock.advance(MINUTE)
    assert refund_of(world.refunds.issue(command)).status is Status.REQUESTED
    world.clock.advance(2 * MINUTE)
    assert refund_of(world.refunds.issue(command)).status is Status.SUCCEEDED
    assert world.bank.made(ref) == 1


class OddGateway(MemoryGateway):
    """A gateway that first looks and answers as it was told to."""

    def __init__(self, world: World) -> None:
        super().__init__(world.bank)
        self.looks: list[Callable[[PaymentRef], object]] = []
        self.answers: list[Callable[[Any], object]] = []
        self.executes = True

    def look(self, ref: PaymentRef, /) -> Look:
        look = super().look(ref)
        return self.looks.pop(0)(ref) if self.looks else look  # type: ignore[return-value]

    def send(self, send: Ask, /) -> Answer:
        if not self.executes:
            self.script(Fault.REQUEST_LOST)
        answer = super().send(send)
        return self.answers.pop(0)(send) if self.answers else answer  # type: ignore[return-value]


NO_LOOKS: dict[str, object] = {
    "none": None,
    "word": "ok",
    "answer": Declined(code="no"),
    "class": Picture,
    "many": (Missing(),),
}


@pytest.mark.parametrize("odd", [*NO_LOOKS, "another payment"])
def test_look_that_is_none_decides_nothing(world: World, odd: str) -> None:
    """A look that is no look, or another payment's, decides nothing and tells a person; once mended it goes on."""
    gateway = OddGateway(world)
    world.refunds = world.service(gateway)
    ref, other = world.pay(), world.pay()
    another = world.bank.picture(other)
    command = world.decision(ref)

    def look(asked: PaymentRef) -> object:
        return another if odd == "another payment" else NO_LOOKS[odd]

    gateway.looks = [look, look]
    with pytest.raises(GatewayUnreadable):
        world.refunds.quote(ref, by=MARIA)
    refund = refund_of(world.refunds.issue(command))
    assert refund.status is Status.REQUESTED
    assert gateway.sent == ()
    told = world.refunds.attention(by=MARIA)
    assert isinstance(told, tuple)
    (item,) = told[0].items
    assert item.code == "look_alarm_odd_look"
    world.refunds.settle(ref, subject="payment", code=item.code, choice=Choice.KEEP_LOOKING, by=MARIA)
    world.refunds.recover()
    assert refund_of(world.refunds.issue(command)).status is Status.SUCCEEDED
    assert world.refunds.attention(by=MARIA) == ()


def _body(send: Send) -> GatewayRefund:
    """The body of a refund as it was asked for, but with an id the bank never gave."""
    at = World().clock.now
    return GatewayRefund(id="re_odd", amount=send.amount, status="succeeded", created_at=at, mark=send.refund_id)


NO_ANSWERS: dict[str, Callable[[Send], object]] = {
    "none": lambda send: None,
    "true": lambda send: True,
    "look": lambda send: Missing(),
    "class": lambda send: Accepted,
    "refund": _body,
    "no mark": lambda send: Accepted(refund=attrs.evolve(_body(send), mark=None)),
    "another mark": lambda send: Accepted(refund=attrs.evolve(_body(send), mark="r-other")),
    "another amount": lambda send: Accepted(refund=attrs.evolve(_body(send), amount=Money.parse("1", "USD"))),
    "another currency": lambda send: Accepted(refund=attrs.evolve(_body(send), amount=Money.parse("200", "JPY"))),
}


@pytest.mark.parametrize("odd", NO_ANSWERS)
def test_answer_that_is_none_leaves_the_outcome_unknown(world: World, odd: str) -> None:
    """An answer that is none, or speaks of another refund, is in doubt, tells a person, and a look settles it."""
    gateway = OddGateway(world)
    world.refunds = world.service(gateway)
    ref = world.pay()
    command = world.decision(ref)
    gateway.answers = [NO_ANSWERS[odd]]
    refund = refund_of(world.refunds.issue(command))
    assert refund.status is Status.IN_DOUBT
    told = world.refunds.attention(by=MARIA)
    assert isinstance(told, tuple)
    assert [item.choices for item in told[0].items] == [(Choice.KEEP_LOOKING,)]
    found = finished(world, ref, command)
    assert (found.id, found.status, found.gateway_id) == (refund.id, Status.SUCCEEDED, "re_1")
    assert len(gateway.sent) == 1
    assert world.refunds.attention(by=MARIA) == ()


def test_answer_that_is_none_ends_with_a_person(world: World) -> None:
    """Where an odd answer came and nothing was made, the key is spent and only a person ends the doubt."""
    gateway = OddGateway(world)
    world.refunds = world.service(gateway)
    command = world.decision(world.pay())
    gateway.answers = [lambda send: None]
    gateway.executes = False
    assert refund_of(world.refunds.issue(command)).status is Status.IN_DOUBT
    gateway.executes = True
    told = world.refunds.attention(by=MARIA)
    assert isinstance(told, tuple)
    (item,) = told[0].items
    for _ in range(4):
        world.refunds.settle(
            command.payment, subject=item.subject, code=item.code, choice=Choice.KEEP_LOOKING, by=MARIA
        )
        world.settle_down(until=8 * HOUR)
    told = world.refunds.attention(by=MARIA)
    assert isinstance(told, tuple)
    assert "not_shown" in [each.code for each in told[0].items]
    assert refund_of(world.refunds.issue(command)).status is Status.IN_DOUBT
    assert len(gateway.sent) == 1


# --- in doubt -----------------------------------------------------------------------------------------------


def test_lost_answer_is_in_doubt_and_found(world: World) -> None:
    """A lost answer is in doubt with the amount held; a look finds it by its mark, and no second is sent."""
    # failures: A07, B01, B03, B07, B15
    ref, command = ready(world)
    world.gateway.script(Fault.ANSWER_LOST)
    refund = refund_of(world.refunds.issue(command))
    assert (refund.status, refund.gateway_id, refund.settled) == (Status.IN_DOUBT, None, False)
    assert world.view(ref).left == Money.zero(command.amount.currency)
    assert refund_of(world.refunds.issue(command)) == refund
    assert len(world.gateway.looked) == 2
    world.clock.advance(3 * MINUTE)
    assert world.refunds.recover().looked == 1
    found = refund_of(world.refunds.issue(command))
    assert (found.id, found.status, found.gateway_id) == (refund.id, Status.SUCCEEDED, "re_1")
    assert len(world.gateway.sent) == world.bank.made(ref) == 1


def test_lost_request_goes_out_again_under_its_key(world: World) -> None:
    """A request that never arrived is sent again, by repeating the command, as it was and under the same key."""
    # failures: A07, A14, B04
    _, command = ready(world)
    world.gateway.script(Fault.REQUEST_LOST)
    refund = refund_of(world.refunds.issue(command))
    world.clock.advance(3 * MINUTE)
    found = refund_of(world.refunds.issue(command))
    assert (found.id, found.status) == (refund.id, Status.SUCCEEDED)
    first, second = world.gateway.sent
    assert attrs.evolve(first, claim=2) == second
    assert [received.key for received in world.bank.received] == [refund.id]
    answers = [event for event in world.events(command.payment) if isinstance(event, SendAnswered)]
    assert [(event.claim, type(event.answer)) for event in answers] == [(1, OutcomeUnknown), (2, Accepted)]


@pytest.mark.parametrize(
    ("told_of", "code"),
    [(Unread(why="timeout"), "look_alarm_unreadable"), (Missing(), "look_alarm_not_found")],
    ids=["unread", "missing"],
)
def test_gateway_silent_for_days_changes_nothing(world: World, told_of: Look, code: str) -> None:
    """While the gateway cannot answer, a doubt of any age stays a doubt, holds its amount, and tells a person."""
    # failures: B02, B03
    ref, command = ready(world)
    world.gateway.script(Fault.ANSWER_LOST)
    refund = refund_of(world.refunds.issue(command))
    silent = OddGateway(world)
    refunds = world.service(silent)
    for _ in range(5 * 24):
        silent.looks = [lambda asked: told_of]
        world.clock.advance(HOUR)
        refunds.recover()
    silent.looks = [lambda asked: told_of]
    known = refund_of(refunds.issue(command))
    assert (known.id, known.status) == (refund.id, Status.IN_DOUBT)
    assert codes_of(refunds.request(attrs.evolve(command, request_id="r2", quoted_at=world.clock.now)))[0] == (
        "in_flight"
    )
    told = refunds.attention(by=MARIA)
    assert isinstance(told, tuple)
    assert [item.code for item in told[0].items] == [code]
    silent.looks = []
    world.clock.advance(2 * DAY)
    refunds.recover()
    assert refund_of(refunds.issue(command)).status is Status.SUCCEEDED
    assert world.bank.made(ref) == 1


def test_calendar_that_breaks_loses_no_answer(kind: Kind) -> None:
    """A host's calendar that raises after the money moved costs the forecast, not the answer."""
    world = World(kind)
    ref, command = ready(world)

    def broken(day: date) -> bool:
        raise OSError("the calendar service is down")

    world.is_business_day = broken
    refunds = world.service()
    refund = refund_of(refunds.issue(command))
    assert (refund.status, refund.arrives) == (Status.SUCCEEDED, None)
    assert refunds.dispatch(ref).refunds == (refund,)
    assert refunds.quote(world.pay(), by=MARIA).arrives is None


# --- the process dies ---------------------------------------------------------------------------------------

FAULTS: tuple[Fault | Planned, ...] = (
    Fault.WORKS,
    Fault.ANSWER_LOST,
    Fault.REQUEST_LOST,
    Fault.EXECUTES_LATE,
    Fault.EXECUTES_LATE.after(HOUR),
    Fault.CONNECTION_REFUSED,
    Fault.KEY_IN_USE,
    Fault.RATE_LIMITED,
    Fault.BREAKS_MADE_IT,
    Fault.BREAKS_MAKES_LATER,
    Fault.BREAKS_MADE_NOTHING,
    Fault.UNREADABLE,
    Fault.RAISES_SENT,
    Fault.RAISES_UNSENT,
)


def _named(value: object) -> str:
    """A short name of a parameter."""
    return f"{value.fault}_1h" if isinstance(value, Planned) else str(value)


def _issued(world: World, decided: list[IssueRefund], ref: PaymentRef) -> None:
    decided.append(world.decision(ref))
    world.refunds.issue(decided[0])


def _dispatched(world: World, decided: list[IssueRefund], ref: PaymentRef) -> None:
    decided.append(world.decision(ref))
    world.refunds.request(decided[0])
    world.refunds.dispatch(ref)


def _recovered(world: World, decided: list[IssueRefund], ref: PaymentRef) -> None:
    decided.append(world.decision(ref))
    world.refunds.request(decided[0])
    world.refunds.recover()


STORIES = (_issued, _dispatched, _recovered)


def _crash(world: World, work: Callable[[], object], number: int, when: str) -> bool:
    """Do this work in a process that dies at that call; whether it came so far."""
    getattr(world.wire, when)[number] = raising(Crash())
    try:
        work()
    except Crash:
        return True
    finally:
        world.wire.clear()
    return False


def _judged(world: World, ref: PaymentRef, decided: list[IssueRefund]) -> None:
    """What must be true in the end, by the bank's own books, and by what the library says."""
    world.settle_down()
    if not decided:
        assert world.bank.received == ()
        return
    made = world.bank.made(ref)
    assert made <= 1, "paid twice"
    keys = {received.key for received in world.bank.received}
    assert len(keys) <= 1, "two keys of one refund"
    refunds = world.view(ref).refunds
    if not refunds:
        assert made == 0, "money moved without a request on record"
        assert not any(isinstance(event, SendClaimed) for event in world.events(ref))
        return
    (refund,) = refunds
    # Every answer on record belongs to a claim on record.
    events = world.events(ref)
    claims = [event.send.claim for event in events if isinstance(event, SendClaimed)]
    assert claims == list(range(1, len(claims) + 1))
    assert {event.claim for event in events if isinstance(event, SendAnswered)} <= set(claims)
    assert [send.claim for send in world.gateway.sent] == sorted({send.claim for send in world.gateway.sent})
    if made:
        assert (refund.status, {refund.id}) == (Status.SUCCEEDED, keys)
    elif refund.status is Status.IN_DOUBT:
        # The server broke and made nothing: only a person may say so, and is asked.
        told = world.refunds.attention(by=MARIA)
        assert isinstance(told, tuple)
        assert told[0].items[0].code == "not_shown"
    else:
        # Too late to send: the amount is open again, and a person may decide anew.
        assert refund.status in (Status.DROPPED, Status.NOT_MADE)
        world.refunds = world.service(MemoryGateway(world.bank))
        assert refund_of(world.refunds.issue(world.decision(ref))).id != refund.id
        assert world.bank.made(ref) == 1


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
@pytest.mark.parametrize("fault", FAULTS, ids=_named)
def test_process_that_dies_at_any_call(
    kind: Kind, fault: Fault | Planned, story: Callable[[World, list[IssueRefund], PaymentRef], None]
) -> None:
    """A process that dies before or after any port call, under any fault, leaves one refund, never two."""
    # failures: A07, A14, B01, B03, B04, B06, B07
    reached = 0
    for when in ("before", "after"):
        for number in itertools.count():
            world = World(kind, cap=False)
            ref = world.pay()
            world.gateway.script(fault)
            decided: list[IssueRefund] = []
            died = _crash(world, partial(story, world, decided, ref), number, when)
            _judged(world, ref, decided)
            if not died:
                break
            reached += 1
    assert reached >= 16


SOON = 3 * MINUTE + SECOND
SOME = (Fault.WORKS, Fault.REQUEST_LOST, Fault.EXECUTES_LATE)
TWICE: tuple[tuple[Kind, Fault | Planned, timedelta], ...] = (
    *(("sync", fault, SOON) for fault in FAULTS),
    *(("sync", fault, pause) for fault in SOME for pause in (30 * SECOND, 23 * HOUR, 29 * HOUR)),
    *(("async", fault, SOON) for fault in SOME),
)


@pytest.mark.parametrize(("form", "fault", "pause"), TWICE, ids=_named)
def test_process_that_dies_twice(form: Kind, fault: Fault | Planned, pause: timedelta) -> None:
    """The process that recovers from a death may die at any of its calls, too: still one refund in the end."""
    # failures: A14, B03, B06
    reached = 0
    for first, when, second_when in itertools.product(range(4, 11), ("before", "after"), ("before", "after")):
        for second in itertools.count():
            world = World(form, cap=False)
            ref = world.pay()
            world.gateway.script(fault)
            decided: list[IssueRefund] = []
            # A send that raises by itself dies of that, and not after it.
            raises = fault in (Fault.RAISES_SENT, Fault.RAISES_UNSENT)
            assert _crash(world, partial(_issued, world, decided, ref), first, when) or raises
            world.clock.advance(pause)
            died = _crash(world, world.refunds.recover, second, second_when)
            _judged(world, ref, decided)
            if not died:
                break
            reached += 1
    assert reached >= 28


@pytest.mark.parametrize("fault", [Fault.ANSWER_LOST, Fault.REQUEST_LOST])
def test_nothing_is_raised_to_whoever_repeats_what_may_have_been_sent(world: World, fault: Fault) -> None:
    """The answer was lost, and when the same command comes again the journal cannot be written: it is in doubt as
    before. An error would look as if nothing had been sent, and the client be paid by other means."""
    ref, command = ready(world)
    world.gateway.script(fault)
    assert refund_of(world.refunds.issue(command)).status is Status.IN_DOUBT
    world.clock.advance(5 * MINUTE)
    world.wire.clear()
    world.wire.each["append"] = unavailable()
    assert refund_of(world.refunds.issue(command)).status is Status.IN_DOUBT
    assert world.wire.calls[-1] == "append"
    world.wire.clear()
    assert finished(world, ref, command).status is Status.SUCCEEDED
    assert world.bank.made(ref) == 1


def test_what_broke_before_anything_was_sent_is_raised(world: World) -> None:
    """Nothing has left, so the caller hears of it, and the same command goes on."""
    ref, command = ready(world)
    world.wire.after[ISSUE.index("append")] = lambda: world.wire.each.update(append=unavailable())
    with pytest.raises(JournalUnavailable):
        world.refunds.issue(command)
    world.wire.clear()
    assert finished(world, ref, command).status is Status.SUCCEEDED
    assert world.bank.made(ref) == 1


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
@pytest.mark.parametrize("number", range(1, len(ISSUE)))
def test_interrupt_passes_at_every_call(world: World, number: int, interrupt: type[BaseException]) -> None:
    """An interrupt or a cancellation passes through every port call unrecorded; the open claim is the record."""
    ref, command = ready(world)
    world.wire.after[number] = raising(interrupt())
    with pytest.raises(interrupt):
        world.refunds.issue(command)
    claimed = [event for event in world.events(ref) if isinstance(event, SendClaimed)]
    answered = [event for event in world.events(ref) if isinstance(event, SendAnswered)]
    assert (len(claimed), len(answered)) == (int(number >= 4), int(number >= 6))
    if number == SEND:
        world.clock.advance(MINUTE)
        assert world.view(ref).refunds[0].status is Status.IN_DOUBT
    assert finished(world, ref, command).status is Status.SUCCEEDED
    assert world.bank.made(ref) == len(world.bank.received) == 1
