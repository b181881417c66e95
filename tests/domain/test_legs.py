"""Separate charges: the refund goes first, each leg is a call of its own, only what is missing is run again."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import attrs
import pytest

from refund_adapters.memory import Fault, Planned
from refund_adapters.memory.course import Course
from refund_domain import IssueRefund, Money, PaymentRef, Refund, Refused, Status
from refund_domain.answers import Declined, NotSent, OutcomeUnknown, Reversal
from refund_domain.commands import Choice
from refund_domain.connect import SeparateCharge
from refund_domain.decider.attention import Attention
from refund_domain.decider.pulling import LegState
from refund_domain.events import Event, LegAnswered, LegClaimed, LegNotMade, LegObserved, SendClaimed
from refund_domain.service.stream import MOST_LOOKS
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
    raising,
    refund_of,
    unavailable,
)

FUNDED = Money.parse("1000.00", "USD")
EMPTY = Money.parse("0.00", "USD")
ONE_RUN = ("allow", "load", "append", *("look", "append", "send", "append") * 3)
"""The calls of one issue with two legs, by number."""


def usd(text: str) -> Money:
    return Money.parse(text, "USD")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each form of the service."""
    form: Kind = request.param
    return form


@pytest.fixture
def world(kind: Kind) -> World:
    """A fresh world."""
    return World(kind)


class Paid:
    """A payment of 200.00 of which 150.00 went to one connected account and 30.00 to another."""

    def __init__(self, world: World, *parts: str, amount: str = "200.00") -> None:
        self.world = world
        self.ref: PaymentRef = world.bank.charge(usd(amount), group="order-1")
        amounts = parts or ("150.00", "30.00")
        self.transfers = [
            world.bank.connect.transfer(f"acct_{number}", usd(part), group="order-1")
            for number, part in enumerate(amounts, 1)
        ]
        world.bank.connect.transfer("acct_9", usd("5.00"), group="order-2")

    def decision(self) -> IssueRefund:
        """What a person decides after a fresh quote; the wire counts from here."""
        command = self.world.decision(self.ref)
        self.world.wire.clear()
        return command

    def issue(self) -> Refund:
        """Quoted and issued in one go."""
        return refund_of(self.world.refunds.issue(self.decision()))

    @property
    def refund(self) -> Refund:
        """The refund of ours as it is shown now."""
        (refund,) = self.world.view(self.ref).refunds
        return refund

    @property
    def states(self) -> list[LegState]:
        """How its legs stand."""
        return [leg.state for leg in self.refund.legs]

    def back(self, place: int = 0) -> list[str]:
        """What really came back of one transfer, by every reversal."""
        return [str(each.amount) for each in self.world.bank.connect.reversals(self.transfers[place])]

    def drain(self, place: int = 0) -> None:
        """Let the connected account be without balance."""
        self.world.bank.drain(f"acct_{place + 1}", EMPTY)

    def fund(self, place: int = 0) -> None:
        """Let the connected account be topped up."""
        self.world.bank.fund(f"acct_{place + 1}", FUNDED)

    def later(self, by: timedelta) -> None:
        """Time passes, then recovery runs."""
        self.world.clock.advance(by)
        self.world.refunds.recover()

    def waiting(self) -> tuple[Attention, ...]:
        """What waits for a person."""
        waiting = self.world.refunds.attention(by=MARIA)
        assert not isinstance(waiting, Refused)
        return tuple(item for each in waiting for item in each.items)

    def settle(self, choice: Choice, code: str = "transfer_not_reversed") -> None:
        """Answer the one thing of this code that waits."""
        (item,) = (item for item in self.waiting() if item.code == code)
        assert choice in item.choices
        self.world.refunds.settle(self.ref, subject=item.subject, code=code, choice=choice, by=MARIA)

    @property
    def asked(self) -> list[Reversal]:
        """Every reversal asked of the gateway."""
        return list(self.world.gateway.reversals)

    def events(self, kind: type[Event]) -> list[Event]:
        """The events of this class."""
        return [event for event in self.world.events(self.ref) if isinstance(event, kind)]


# --- the whole way --------------------------------------------------------------------------------------------


def test_a_quote_shows_what_is_pulled_back_of_whom(world: World) -> None:
    """The transfers and amounts are there to verify, and the page says that this goes with the refund."""
    paid = Paid(world)
    quote = world.refunds.quote(paid.ref, by=MARIA)
    assert quote.refusals == ()
    assert [(leg.transfer, str(leg.amount)) for leg in quote.pulls_back] == [
        (paid.transfers[0], "150.00 USD"),
        (paid.transfers[1], "30.00 USD"),
    ]
    assert "pulled back" in quote.cannot_be_undone
    world.bank.elsewhere(paid.ref, usd("100.00"))
    rest = world.refunds.quote(paid.ref, by=MARIA)
    assert [str(leg.amount) for leg in rest.pulls_back] == ["100.00 USD"], "no more than the client gets now"
    plain = world.refunds.quote(world.pay(), by=MARIA)
    assert plain.pulls_back == ()
    assert "pulled back" not in plain.cannot_be_undone


def test_the_refund_goes_first_and_each_leg_after_it(world: World) -> None:
    """One refund without a reversal of its own, then one reversal a transfer, each under an id of its own."""
    # failure: B11
    paid = Paid(world)
    refund = paid.issue()
    assert tuple(world.wire.calls) == ONE_RUN
    assert refund.status is Status.SUCCEEDED
    assert [(leg.state, leg.transfer) for leg in refund.legs] == [
        (LegState.DONE, transfer) for transfer in paid.transfers
    ]
    assert not refund.transfer_owed
    assert (paid.back(0), paid.back(1)) == (["150.00 USD"], ["30.00 USD"])
    assert world.bank.made(paid.ref) == 1
    (send,) = world.gateway.sent
    assert isinstance(send.split, SeparateCharge)
    ids = [asked.id for asked in paid.asked]
    assert len({*ids, send.refund_id}) == 3
    assert all(asked.id.startswith(send.refund_id) for asked in paid.asked)
    order = [type(event) for event in world.events(paid.ref) if isinstance(event, SendClaimed | LegClaimed)]
    assert order == [SendClaimed, LegClaimed, LegClaimed]
    assert paid.waiting() == ()


def test_a_leg_without_balance_leaves_the_refund_done_and_only_that_leg_is_run_again(world: World) -> None:
    """Refunded, transfer owed: no second refund, no second reversal of what came back, and the leg in the end."""
    # failure: A17
    # failure: B11
    paid = Paid(world)
    paid.drain(0)
    refund = paid.issue()
    assert refund.status is Status.SUCCEEDED
    assert refund.transfer_owed
    assert paid.states == [LegState.OWED, LegState.DONE]
    (item,) = paid.waiting()
    assert (item.code, item.choices) == (
        "transfer_not_reversed",
        (Choice.KEEP_LOOKING, Choice.LEAVE, Choice.NOTED),
    )
    assert paid.transfers[0] in item.says
    assert "balance_insufficient" in item.says
    paid.later(23 * HOUR)
    assert len(paid.asked) == 2  # a leg that was refused goes again in a day, not sooner
    paid.later(2 * HOUR)
    assert [asked.transfer for asked in paid.asked] == [paid.transfers[0], paid.transfers[1], paid.transfers[0]]
    paid.fund(0)
    paid.later(DAY + HOUR)
    assert paid.states == [LegState.DONE, LegState.DONE]
    assert (paid.back(0), paid.back(1)) == (["150.00 USD"], ["30.00 USD"])
    assert len({asked.id for asked in paid.asked}) == len(paid.asked) == 4
    assert (world.bank.made(paid.ref), len(world.gateway.sent)) == (1, 1)
    assert paid.refund.status is Status.SUCCEEDED
    assert paid.waiting() == ()


def test_a_second_command_of_the_same_decision_runs_what_is_missing(world: World) -> None:
    """The person who asks again starts nothing from the top."""
    # failure: A17
    paid = Paid(world)
    command = paid.decision()
    paid.drain(0)
    refund_of(world.refunds.issue(command))
    paid.fund(0)
    world.clock.advance(DAY)
    again = refund_of(world.refunds.issue(command))
    assert [leg.state for leg in again.legs] == [LegState.DONE, LegState.DONE]
    assert world.bank.made(paid.ref) == 1


def test_more_legs_than_one_call_makes_are_finished_by_recovery(world: World) -> None:
    """One call makes so many looks at most; the rest has a due time and is recovery's."""
    paid = Paid(world, *["10.00"] * 9)
    refund = paid.issue()
    assert world.wire.calls.count("look") == MOST_LOOKS
    assert refund.transfer_owed
    assert len(paid.asked) == MOST_LOOKS - 1
    world.refunds.recover()
    assert paid.states == [LegState.DONE] * 9
    assert all(paid.back(place) == ["10.00 USD"] for place in range(9))


def test_a_pending_refund_is_live_enough_and_one_in_doubt_is_not(world: World) -> None:
    """No leg before the gateway shows the refund; once it does, as pending too."""
    paid = Paid(world)
    world.bank.plan(paid.ref, Course.pending_then_succeeds())
    world.gateway.script(Fault.EXECUTES_LATE.after(20 * MINUTE))
    refund = paid.issue()
    assert (refund.status, paid.states) == (Status.IN_DOUBT, [LegState.PLANNED] * 2)
    assert not refund.transfer_owed
    world.gateway.script(*[Fault.REQUEST_LOST] * 4)
    paid.later(10 * MINUTE)
    assert paid.asked == []
    paid.later(HOUR)
    assert paid.refund.status is Status.PENDING
    for _ in range(4):
        paid.later(HOUR)
    assert paid.states == [LegState.DONE] * 2


# --- a leg in doubt -------------------------------------------------------------------------------------------


def test_an_answer_that_was_lost_is_found_by_its_mark_and_never_asked_for_again(world: World) -> None:
    """The leg was reversed: the next look shows it, and nothing goes out a second time."""
    paid = Paid(world, "150.00")
    world.gateway.script(Fault.WORKS, Fault.ANSWER_LOST)
    paid.issue()
    assert paid.states == [LegState.IN_DOUBT]
    assert (paid.refund.status, paid.refund.transfer_owed) == (Status.SUCCEEDED, True)
    paid.later(3 * MINUTE)
    assert (paid.states, paid.back(), len(paid.asked)) == ([LegState.DONE], ["150.00 USD"], 1)
    (seen,) = paid.events(LegObserved)
    assert isinstance(seen, LegObserved)
    assert seen.transfer == paid.transfers[0]
    assert paid.refund.legs[0].reversal_id == seen.reversal.id
    assert str(paid.refund.legs[0].pulled_back) == "150.00 USD"


def test_a_leg_in_doubt_is_a_doubt_of_the_journal(world: World) -> None:
    """Health counts it though its refund succeeded: since its claim, from a minute on, until it is shown."""
    paid = Paid(world, "150.00")
    began, service = world.clock(), world.service(journal=world.store)
    world.gateway.script(Fault.WORKS, Fault.ANSWER_LOST)
    paid.issue()
    assert service.health().in_doubt == 0, "a reversal that may still be under way"
    world.clock.advance(2 * MINUTE)
    health = service.health()
    assert (health.in_doubt, health.doubt_since) == (1, began)
    paid.later(MINUTE)
    assert (paid.states, service.health().in_doubt) == ([LegState.DONE], 0)


def test_a_leg_that_was_lost_goes_again_under_its_id(world: World) -> None:
    """In doubt and not shown: the same id again, so that whichever of the two arrives, one is made."""
    paid = Paid(world, "150.00")
    world.gateway.script(Fault.WORKS, Fault.EXECUTES_LATE.after(10 * MINUTE))
    paid.issue()
    paid.later(3 * MINUTE)
    assert paid.states == [LegState.DONE]
    first, second = paid.asked
    assert (first.id, first.amount, first.claim, second.claim) == (second.id, second.amount, 1, 2)
    paid.later(HOUR)
    assert paid.back() == ["150.00 USD"]


def test_a_burnt_leg_is_only_looked_for_and_its_next_attempt_has_a_new_id(world: World) -> None:
    """After a 5xx its id is of no use: 28 hours of looking, then the attempt is over and the leg is owed again."""
    paid = Paid(world, "150.00")
    world.gateway.script(Fault.WORKS, Fault.BREAKS_MADE_NOTHING)
    paid.issue()
    (item,) = paid.waiting()
    assert (item.code, "no answer" in item.says) == ("transfer_not_reversed", True)
    for _ in range(27):
        paid.later(HOUR)
    assert (len(paid.asked), paid.states) == (1, [LegState.IN_DOUBT])
    for _ in range(4):
        paid.later(HOUR)
    (over,) = paid.events(LegNotMade)
    assert isinstance(over, LegNotMade)
    assert over.attempt == 1
    assert paid.states == [LegState.DONE]
    assert [asked.attempt for asked in paid.asked] == [1, 2]
    assert len({asked.id for asked in paid.asked}) == 2
    assert paid.back() == ["150.00 USD"]
    assert paid.waiting() == ()


def test_a_leg_that_a_broken_server_made_later_is_found(world: World) -> None:
    """The key answers 500 for good, and the reversal is there all the same."""
    paid = Paid(world, "150.00")
    world.gateway.script(Fault.WORKS, Fault.BREAKS_MAKES_LATER)
    paid.issue()
    paid.later(3 * HOUR)
    paid.later(2 * HOUR)
    assert (paid.states, len(paid.asked), paid.back()) == ([LegState.DONE], 1, ["150.00 USD"])


def test_a_leg_is_not_sent_again_between_the_edges(world: World) -> None:
    """From 22 hours on the same id may make a second reversal, so it is only looked for; after 28 it is over."""
    paid = Paid(world, "150.00")
    world.gateway.script(Fault.WORKS, Fault.REQUEST_LOST)
    paid.issue()
    paid.later(22 * HOUR + MINUTE)
    assert len(paid.asked) == 1
    paid.later(6 * HOUR)
    assert paid.events(LegNotMade) != []


@pytest.mark.parametrize("fault", [Fault.CONNECTION_REFUSED, Fault.RATE_LIMITED])
def test_a_leg_that_never_left_goes_again_soon(world: World, fault: Fault) -> None:
    """Nothing was executed, so nothing is in doubt: the same id, at the pace of a look."""
    paid = Paid(world, "150.00")
    world.gateway.script(Fault.WORKS, fault)
    paid.issue()
    assert (paid.states, paid.waiting()) == ([LegState.OWED], ())
    paid.later(3 * MINUTE)
    assert paid.states == [LegState.DONE]
    assert len({asked.id for asked in paid.asked}) == 1


def test_a_leg_with_an_alarm_waits_for_a_person_or_a_day(world: World) -> None:
    """Rejected credentials are tried daily, and at once when a person says that they are mended."""
    paid = Paid(world, "150.00")
    world.gateway.script(Fault.WORKS, Fault.UNAUTHORIZED)
    paid.issue()
    (item,) = paid.waiting()
    assert "credentials" in item.says
    paid.later(20 * HOUR)
    assert len(paid.asked) == 1
    paid.settle(Choice.KEEP_LOOKING)
    world.refunds.recover()
    assert (paid.states, paid.waiting()) == ([LegState.DONE], ())


@pytest.mark.parametrize("fault", [Fault.RAISES_SENT.raising(ValueError), Fault.UNREADABLE])
def test_whatever_a_gateway_does_with_a_leg_the_refund_is_told_as_it_is(
    world: World, fault: Planned | Fault
) -> None:
    """An exception is not a no: the leg is in doubt, the refund done, and nothing is raised."""
    paid = Paid(world, "150.00")
    world.gateway.script(Fault.WORKS, fault)
    refund = paid.issue()
    assert (refund.status, refund.legs[0].state) == (Status.SUCCEEDED, LegState.IN_DOUBT)
    paid.later(3 * MINUTE)
    assert (paid.states, paid.back()) == ([LegState.DONE], ["150.00 USD"])


def test_a_licence_that_ran_out_asks_for_nothing(world: World) -> None:
    """The append of the claim took longer than a minute: not sent, and the leg goes a little later."""
    paid = Paid(world, "150.00")
    command = paid.decision()
    leg_claim = [number for number, name in enumerate(ONE_RUN) if name == "append"][3]
    world.wire.after[leg_claim] = lambda: world.clock.advance(61 * SECOND)
    refund_of(world.refunds.issue(command))
    first, _ = paid.events(LegAnswered)
    assert isinstance(first, LegAnswered)
    assert (first.claim, isinstance(first.answer, NotSent)) == (1, True)
    assert [asked.claim for asked in paid.asked] == [2]
    assert paid.states == [LegState.DONE]


# --- what a person does ---------------------------------------------------------------------------------------


def test_a_person_may_have_it_tried_at_once(world: World) -> None:
    """Topped up, the leg need not wait for its day."""
    paid = Paid(world, "150.00")
    paid.drain()
    paid.issue()
    paid.fund()
    paid.later(HOUR)
    assert len(paid.asked) == 1
    paid.settle(Choice.KEEP_LOOKING)
    world.refunds.recover()
    assert (paid.states, len(paid.asked)) == ([LegState.DONE], 2)


def test_a_person_may_leave_it(world: World) -> None:
    """The platform bears it: nothing is asked for again, however long the refund lives."""
    paid = Paid(world, "150.00")
    paid.drain()
    paid.issue()
    paid.settle(Choice.LEAVE)
    paid.fund()
    for _ in range(5):
        paid.later(2 * DAY)
    assert (paid.states, len(paid.asked), paid.waiting()) == ([LegState.LEFT], 1, ())
    assert not paid.refund.transfer_owed


def test_a_note_taken_hides_it_and_changes_nothing(world: World) -> None:
    """Noted is not left: it is tried daily as before."""
    paid = Paid(world, "150.00")
    paid.drain()
    paid.issue()
    paid.settle(Choice.NOTED)
    assert paid.waiting() == ()
    paid.fund()
    paid.later(DAY + HOUR)
    assert paid.states == [LegState.DONE]


def test_what_a_person_pulled_back_by_hand_is_not_pulled_back_again(world: World) -> None:
    """Told that it failed, somebody reverses it in the dashboard: the leg is done elsewhere."""
    paid = Paid(world, "150.00", amount="100.00")
    paid.drain()
    paid.issue()
    paid.fund()
    world.bank.connect.reverse(paid.transfers[0], usd("100.00"))
    paid.later(DAY + HOUR)
    assert (paid.states, paid.back()) == ([LegState.ELSEWHERE], ["100.00 USD"])
    assert (paid.waiting(), len(paid.asked)) == ((), 1)


def test_a_part_pulled_back_by_hand_counts_towards_the_leg(world: World) -> None:
    """Only what is missing of the plan is pulled back, never more in sum than goes back to the client."""
    paid = Paid(world, "150.00", amount="100.00")
    paid.drain()
    paid.issue()
    paid.fund()
    world.bank.connect.reverse(paid.transfers[0], usd("60.00"))
    paid.later(DAY + HOUR)
    assert (paid.states, paid.back()) == ([LegState.DONE], ["60.00 USD", "40.00 USD"])
    assert str(paid.refund.legs[0].pulled_back) == "40.00 USD"


def test_what_had_come_back_before_the_plan_does_not_count(world: World) -> None:
    """A transfer that was reversed in part is pulled back by what it has left."""
    paid = Paid(world, "150.00")
    world.bank.connect.reverse(paid.transfers[0], usd("50.00"))
    paid.issue()
    assert paid.back() == ["50.00 USD", "100.00 USD"]


def test_never_more_is_pulled_back_than_goes_back_to_the_client(world: World) -> None:
    """Where others refunded a part before, the legs add up to the rest; the transfer whose id comes first is
    pulled back first."""
    paid = Paid(world)
    world.bank.elsewhere(paid.ref, usd("40.00"))
    paid.issue()
    assert (paid.back(0), paid.back(1)) == (["150.00 USD"], ["10.00 USD"])
    other = Paid(World(world.kind))
    other.world.bank.elsewhere(other.ref, usd("60.00"))
    other.issue()
    assert (other.back(0), other.back(1)) == (["140.00 USD"], [])
    assert len(other.refund.legs) == 1


# --- a refund that ends ---------------------------------------------------------------------------------------


def test_a_refund_that_fails_starts_no_leg_and_tells_what_was_pulled_back(world: World) -> None:
    """What is owed stays where it is; what came back is the connected account's, and a person is told."""
    paid = Paid(world)
    paid.drain(1)
    paid.issue()
    assert paid.states == [LegState.DONE, LegState.OWED]
    (refund,) = world.bank.refunds(paid.ref)
    world.bank.settle(refund.id, "failed", "expired_or_canceled_card")
    paid.fund(1)
    paid.later(DAY + HOUR)
    assert paid.refund.status is Status.FAILED
    assert paid.states == [LegState.DONE, LegState.OFF]
    assert not paid.refund.transfer_owed
    told = {item.code: item for item in paid.waiting()}
    assert set(told) == {"failed", "transfer_pulled_back_15000"}
    assert paid.transfers[0] in told["transfer_pulled_back_15000"].says
    assert told["transfer_pulled_back_15000"].choices == (Choice.NOTED,)
    for _ in range(3):
        paid.later(2 * DAY)
    assert (len(paid.asked), paid.back(1)) == (2, [])
    paid.settle(Choice.NOTED, "transfer_pulled_back_15000")
    assert {item.code for item in paid.waiting()} == {"failed"}


def test_a_leg_in_doubt_of_a_refund_that_failed_is_looked_for_and_not_asked_for_again(world: World) -> None:
    """It may have been pulled back, which a person must hear; sending it again would pull back for nothing."""
    paid = Paid(world, "150.00")
    world.gateway.script(Fault.WORKS, Fault.EXECUTES_LATE.after(40 * MINUTE))
    paid.issue()
    (refund,) = world.bank.refunds(paid.ref)
    world.bank.settle(refund.id, "failed", "declined")
    paid.later(3 * MINUTE)
    assert (paid.states, len(paid.asked)) == ([LegState.IN_DOUBT], 1)
    assert {item.code for item in paid.waiting()} == {"failed"}
    paid.later(HOUR)
    assert paid.states == [LegState.DONE]
    assert {item.code for item in paid.waiting()} == {"failed", "transfer_pulled_back_15000"}


def test_a_refund_nobody_made_has_no_legs_to_run(world: World) -> None:
    """Declined, it pulls nothing back."""
    paid = Paid(world)
    command = paid.decision()
    world.gateway.script(Fault.KEY_IN_USE)
    world.bank.elsewhere(paid.ref)
    refused = world.refunds.issue(command)
    assert isinstance(refused, Refused)
    assert (paid.asked, paid.back()) == ([], [])


# --- what cannot be done --------------------------------------------------------------------------------------


def test_a_transfer_in_another_currency_is_refused_with_what_to_reverse_by_hand(world: World) -> None:
    """Its part of the refund cannot be told; once it came back, the rest is refunded as any other."""
    paid = Paid(world, "150.00")
    other = world.bank.connect.transfer("acct_2", Money.parse("20.00", "EUR"), group="order-1")
    (refusal,) = world.refunds.quote(paid.ref, by=MARIA).refusals
    assert (refusal.code, "transfers (2)" in str(refusal)) == ("charge_not_supported", True)
    world.bank.connect.reverse(other)
    refund = paid.issue()
    assert [leg.transfer for leg in refund.legs] == [paid.transfers[0]]
    assert paid.states == [LegState.DONE]


def test_a_transfer_that_is_shown_no_more_is_told_and_looked_for_daily(world: World) -> None:
    """Nothing can be said of it, so nothing is asked for; a person hears of it."""
    paid = Paid(world, "150.00")
    paid.drain()
    paid.issue()
    with world.bank.turn as books:
        hidden = books.groups["order-1"].pop()
        books.charge(paid.ref).touch()
    paid.later(DAY + HOUR)
    paid.later(DAY + HOUR)
    assert (paid.states, len(paid.asked)) == ([LegState.OWED], 1)
    assert [item.code for item in paid.waiting()] == ["transfer_not_reversed"]
    with world.bank.turn as books:
        books.groups["order-1"].append(hidden)
        books.charge(paid.ref).touch()
    paid.fund()
    paid.later(DAY + HOUR)
    assert paid.states == [LegState.DONE]


def test_a_journal_that_was_lost_runs_no_leg_and_tells_a_person(kind: Kind) -> None:
    """The plan is gone with it: the refund is known by its mark, and somebody looks at the transfers."""
    first = World(kind)
    paid = Paid(first)
    paid.drain(0)
    paid.issue()
    lost = World(kind)
    lost.clock, lost.bank, lost.gateway = first.clock, first.bank, first.gateway
    lost.refunds = lost.service(first.gateway)
    lost.refunds.quote(paid.ref, by=MARIA)
    asked = len(first.gateway.reversals)
    paid.fund(0)
    first.clock.advance(2 * DAY)
    lost.refunds.dispatch(paid.ref)
    assert len(first.gateway.reversals) == asked
    paid.world = lost
    assert paid.refund.status is Status.SUCCEEDED
    assert [item.code for item in paid.waiting()] == ["transfers_unknown"]


# --- crashes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(2, len(ONE_RUN)))
@pytest.mark.parametrize("error", ["crash", "unavailable"])
def test_whatever_breaks_between_two_calls_each_leg_is_pulled_back_once(
    kind: Kind, number: int, moment: str, error: str
) -> None:
    """A process that dies, a journal that is gone, at every call of the run: one refund and one of each leg."""
    # failure: A17
    world = World(kind, cap=False)
    paid = Paid(world)
    command = paid.decision()
    hooks = world.wire.before if moment == "before" else world.wire.after
    hooks[number] = raising(Crash()) if error == "crash" else unavailable()
    with contextlib.suppress(Crash, Exception):
        world.refunds.issue(command)
    world.wire.clear()
    world.refunds = world.service()
    refund_of(world.refunds.issue(command))
    world.settle_down(until=2 * DAY)
    assert paid.refund.status is Status.SUCCEEDED
    assert paid.states == [LegState.DONE] * 2
    assert (paid.back(0), paid.back(1)) == (["150.00 USD"], ["30.00 USD"])
    assert world.bank.made(paid.ref) == 1


def test_an_answer_that_cannot_be_written_down_is_shown_as_in_doubt(world: World) -> None:
    """Money may have moved, so nothing is raised, and the claim on disk is the record."""
    paid = Paid(world, "150.00")
    command = paid.decision()
    last = [number for number, name in enumerate(ONE_RUN) if name == "append"][4]
    world.wire.before[last] = unavailable()
    refund = refund_of(world.refunds.issue(command))
    assert (refund.status, refund.legs[0].state) == (Status.SUCCEEDED, LegState.IN_DOUBT)
    paid.later(3 * MINUTE)
    assert (paid.states, len(paid.asked)) == ([LegState.DONE], 1)


def test_no_answer_of_a_refund_is_one_of_a_leg(kind: Kind) -> None:
    """What is no answer to a reversal leaves its outcome unknown, and a look settles it."""
    world = World(kind)
    paid = Paid(world, "150.00")
    gateway = world.gateway

    class Odd(type(gateway)):  # type: ignore[misc]
        def send(self, ask: object, /) -> object:
            answer = super().send(ask)
            return None if isinstance(ask, Reversal) else answer

    gateway.__class__ = Odd
    refund = paid.issue()
    assert (refund.status, refund.legs[0].state) == (Status.SUCCEEDED, LegState.IN_DOUBT)
    answers = [event.answer for event in paid.events(LegAnswered) if isinstance(event, LegAnswered)]
    assert answers == [OutcomeUnknown(why="the gateway returned no answer", resend=False, alarm="odd_answer")]
    paid.later(DAY + HOUR)
    assert paid.states == [LegState.DONE]


def test_an_attempt_that_was_declined_is_kept_with_its_code(world: World) -> None:
    """The journal has the gateway's own word for why it said no."""
    paid = Paid(world, "150.00")
    paid.drain()
    paid.issue()
    (event,) = paid.events(LegAnswered)
    assert isinstance(event, LegAnswered)
    assert event.answer == Declined(code="balance_insufficient")
    assert attrs.evolve(event, claim=2).claim == 2
