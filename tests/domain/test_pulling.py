"""The rules of a leg, one by one: what is news, what answers may say, when attempts go on and when they end."""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs
import pytest

from refund_domain.answers import (
    Accepted,
    Answer,
    Declined,
    NotSent,
    OutcomeUnknown,
    Reversal,
    Reversed,
    Unread,
)
from refund_domain.commands import Choice
from refund_domain.connect import ChargeKind, Transfer, TransferReversal
from refund_domain.decider.attention import attention
from refund_domain.decider.decide import decide, licensed
from refund_domain.decider.inputs import LegReplied
from refund_domain.decider.ledger import Status, evolve, status_of
from refund_domain.decider.legs import LegRecord
from refund_domain.decider.pulling import LegState, leg_times, state_of
from refund_domain.events import LegAnswered, LegClaimed, LegNotMade, LegObserved
from refund_domain.money import Currency, Money
from tests.domain.histories import (
    DAY,
    HOUR,
    MINUTE,
    POLICY,
    REF,
    SECOND,
    START,
    WHOLE,
    Story,
    codes,
    kinds,
    separate,
    usd,
)

TIMEOUT = OutcomeUnknown(why="timeout")
SHORT = Declined(code="balance_insufficient")
ASKED = Reversal(
    id="r1:tr_1:1", refund_id="r1", transfer="tr_1", attempt=1, claim=1, payment=REF, amount=usd(15_000)
)


def owing(*minors: int, refund_id: str = "r1") -> Story:
    """A separate charge whose refund was accepted, and whose first leg is owed now."""
    story = Story(separate(*(minors or (15_000,))))
    story.claimed(refund_id)
    there = story.ours(refund_id, "succeeded")
    story.shows(there)
    story.answer(Accepted(refund=there))
    return story


def asked(*minors: int) -> Story:
    """The same, with its first leg claimed just now."""
    story = owing(*minors)
    story.look()
    return story


def leg_in(story: Story, transfer: str = "tr_1") -> LegRecord:
    """This leg of the only refund."""
    return next(leg for leg in story.record().legs if leg.leg.transfer == transfer)


def state(story: Story) -> LegState:
    """How the first leg stands."""
    return state_of(story.ledger, story.record(), leg_in(story))


def reply(story: Story, answer: Answer, *, claim: int | None = None, transfer: str = "tr_1") -> object:
    """This answer to the last claim of the leg, or to another."""
    number = len(leg_in(story).claims) if claim is None else claim
    return story.leg_replies(answer, refund_id="r1", transfer=transfer, claim=number)


def by_hand(story: Story, minor: int) -> None:
    """So much of the first transfer is pulled back in the dashboard."""
    first, *rest = story.payment.transfers
    back = attrs.evolve(first, reversed=first.reversed + usd(minor))
    story.payment = attrs.evolve(story.payment, transfers=(back, *rest))


def claims(story: Story) -> list[tuple[int, int, int]]:
    """Of each claim of the first leg: its number, its attempt, the amount."""
    asked_for = [claim.reversal for claim in leg_in(story).claims]
    return [(one.claim, one.attempt, one.amount.amount_minor) for one in asked_for]


# --- events and answers that fit nothing -----------------------------------------------------------------------


def test_an_event_of_a_leg_nobody_planned_changes_nothing() -> None:
    """Total: a refund or a transfer that the ledger does not know has no leg, and nothing raises."""
    story = asked()
    for event in (
        LegClaimed(at=START, reversal=attrs.evolve(ASKED, refund_id="r9")),
        LegAnswered(at=START, refund_id="r1", transfer="tr_9", claim=1, answer=SHORT),
        LegNotMade(at=START, refund_id="r9", transfer="tr_1", attempt=1),
        LegObserved(
            at=START, refund_id="r1", transfer="tr_9", reversal=TransferReversal(id="trr_1", amount=usd(1))
        ),
    ):
        assert evolve(story.ledger, event).refunds == story.ledger.refunds


@pytest.mark.parametrize(
    ("refund_id", "transfer", "claim"),
    [("r9", "tr_1", 1), ("r1", "tr_9", 1), ("r1", "tr_1", 0), ("r1", "tr_1", 2)],
)
def test_an_answer_to_no_claim_is_no_news(refund_id: str, transfer: str, claim: int) -> None:
    """Another refund's, another transfer's, of a claim that never was: nothing is written."""
    story = asked()
    given = LegReplied(at=story.now, refund_id=refund_id, transfer=transfer, claim=claim, answer=SHORT)
    assert decide(story.ledger, given, POLICY) == ()


def test_a_claim_is_answered_once() -> None:
    """The second answer of one claim is no news, whatever it says."""
    story = asked()
    assert kinds(reply(story, TIMEOUT))[0] == "LegAnswered"  # type: ignore[arg-type]
    assert reply(story, SHORT, claim=1) == ()


@pytest.mark.parametrize(
    "wrong",
    [
        Reversed(reversal=TransferReversal(id="trr_1", amount=usd(15_000), mark="r9")),
        Reversed(reversal=TransferReversal(id="trr_1", amount=usd(15_000))),
        Reversed(reversal=TransferReversal(id="trr_1", amount=usd(1), mark="r1:tr_1:1")),
        "a refund",
    ],
)
def test_a_yes_to_something_else_leaves_the_leg_in_doubt(wrong: Answer | str) -> None:
    """Another mark, none, another amount, a refund: a person is called, and the leg is only looked for."""
    story = asked()
    answer = Accepted(refund=story.ours()) if isinstance(wrong, str) else wrong
    reply(story, answer)
    told = leg_in(story).claims[0].answer
    assert isinstance(told, OutcomeUnknown)
    assert (told.resend, told.alarm) == (False, "not_our_reversal")
    assert state(story) is LegState.IN_DOUBT
    assert [item.code for item in attention(story.ledger)] == ["transfer_not_reversed"]


def test_a_reversal_is_no_answer_to_a_send() -> None:
    """A yes of the wrong kind proves no refund."""
    story = Story(separate(15_000)).claimed()
    story.answer(Reversed(reversal=TransferReversal(id="trr_1", amount=usd(WHOLE), mark="r1")))
    told = story.record().claims[0].answer
    assert isinstance(told, OutcomeUnknown)
    assert told.alarm == "not_our_refund"


def test_our_mark_on_another_amount_is_not_this_leg() -> None:
    """Metadata can be copied: only mark and amount together show it, and the copy counts as no hand's."""
    story = asked()
    reply(story, TIMEOUT)
    copied = TransferReversal(id="trr_1", amount=usd(5), mark="r1:tr_1:1")
    story.payment = attrs.evolve(
        story.payment,
        transfers=(Transfer(id="tr_1", amount=usd(15_000), reversed=usd(5), reversals=(copied,)),),
    )
    story.until_due().look()
    assert state(story) is LegState.IN_DOUBT
    assert leg_in(story).made is None


def test_a_claim_is_licensed_for_a_minute() -> None:
    """Like a send: by an event just appended, while it is young, and not by a clock that jumped back."""
    event = LegClaimed(at=START, reversal=ASKED)
    assert licensed((event,), START + MINUTE, POLICY) == ASKED
    assert licensed((event,), START + MINUTE + SECOND, POLICY) is None
    assert licensed((event,), START - 6 * MINUTE, POLICY) is None


# --- attempts --------------------------------------------------------------------------------------------------


def test_nobody_asks_while_another_worker_may_be_asking() -> None:
    """A claim without an answer is left alone for its wait; then its id goes again."""
    story = asked()
    story.wait(MINUTE)
    assert story.ledger.due is not None
    assert story.ledger.due >= START + POLICY.answer_wait
    early = asked()
    early.shows(attrs.evolve(early.ours(gateway_id="re_news"), mark=None, amount=usd(1), status="pending"))
    early.policy = attrs.evolve(POLICY, poll_first=MINUTE)
    early.quote()
    early.until_due().look()
    assert (early.now, claims(early)) == (START + MINUTE, [(1, 1, 15_000)])
    story.until_due().look()
    assert claims(story) == [(1, 1, 15_000), (2, 1, 15_000)]


def test_a_no_while_another_claim_is_in_doubt_is_no_end() -> None:
    """The first may have been executed after all: only looked for, and over when time has ended it."""
    story = asked()
    reply(story, TIMEOUT)
    story.until_due().look()
    reply(story, SHORT)
    assert state(story) is LegState.IN_DOUBT
    for _ in range(30):
        story.until_due().look()
    assert len(claims(story)) == 2
    while story.now < START + POLICY.end_after + DAY:
        story.until_due().look()
    assert any(isinstance(event, LegNotMade) for event in story.events)
    assert claims(story)[2:][:1] == [(3, 2, 15_000)]


def test_a_burnt_id_is_not_asked_for_again() -> None:
    """It would only replay its error, so the leg is looked for until time ends the attempt."""
    story = asked()
    reply(story, OutcomeUnknown(why="http_500", resend=False))
    for _ in range(12):
        story.until_due().look()
    assert claims(story) == [(1, 1, 15_000)]


def test_an_alarm_in_doubt_waits_for_a_person_or_for_time() -> None:
    """What a person must mend is not tried every minute: at their word it goes again, else a day later it is too
    old to."""
    told, left = asked(), asked()
    for story in (told, left):
        reply(story, OutcomeUnknown(why="http_403", alarm="not_stripe"))
        assert story.ledger.due == START + DAY
    told.wait(HOUR).settle("r1:tr_1", "transfer_not_reversed", Choice.KEEP_LOOKING)
    told.look()
    assert claims(told) == [(1, 1, 15_000), (2, 1, 15_000)]
    left.until_due().look()
    assert claims(left) == [(1, 1, 15_000)]


def test_going_on_is_said_once() -> None:
    """A second click finds nothing to answer until the leg was asked for again."""
    story = asked()
    reply(story, SHORT)
    story.wait(HOUR)
    story.settle("r1:tr_1", "transfer_not_reversed", Choice.KEEP_LOOKING)
    assert codes(story.settle("r1:tr_1", "transfer_not_reversed", Choice.KEEP_LOOKING)) == {"not_asked_for"}
    (item,) = (item for item in attention(story.ledger) if item.code == "transfer_not_reversed")
    assert item.choices == (Choice.LEAVE, Choice.NOTED)
    story.look()
    reply(story, SHORT)
    story.wait(HOUR)
    assert kinds(story.settle("r1:tr_1", "transfer_not_reversed", Choice.KEEP_LOOKING))[0] == "AttentionSettled"


def test_an_alarm_in_doubt_is_looked_at_and_not_sent_when_other_looks_come_first() -> None:
    """A look that another matter owes sends no leg that waits for its day."""
    story = asked()
    reply(story, OutcomeUnknown(why="http_403", alarm="not_stripe"))
    story.shows(attrs.evolve(story.ours(gateway_id="re_news"), mark=None, amount=usd(1), status="pending"))
    story.quote()
    story.until_due().look()
    assert story.now < START + HOUR
    assert len(claims(story)) == 1


def test_one_id_asks_for_one_amount() -> None:
    """In doubt, and somebody pulled a part back by hand: the old id would ask for too much, so it is only looked
    for; what is missing is asked for by the next attempt."""
    story = asked()
    reply(story, TIMEOUT)
    by_hand(story, 5_000)
    for _ in range(12):
        story.until_due().look()
    assert claims(story) == [(1, 1, 15_000)]
    while len(claims(story)) == 1:
        story.until_due().look()
    assert claims(story)[1] == (2, 2, 10_000)
    assert story.now >= START + POLICY.end_after


def test_what_certainly_never_left_makes_room_for_another_amount() -> None:
    """Nothing of the attempt can have been executed, so another begins at once."""
    story = asked()
    reply(story, NotSent(why="refused"))
    by_hand(story, 5_000)
    story.until_due().look()
    assert claims(story) == [(1, 1, 15_000), (2, 2, 10_000)]
    assert leg_in(story).claims[1].reversal.id == "r1:tr_1:2"


def test_no_attempt_ends_while_its_last_call_may_take_effect() -> None:
    """Claimed late under another policy: past the last edge it is looked for until nothing can come of it."""
    story = asked()
    story.policy = attrs.evolve(
        POLICY, key_life=60 * HOUR, resend_within=50 * HOUR, end_after=70 * HOUR, look_most=HOUR
    )
    reply(story, TIMEOUT)
    while story.now < START + 40 * HOUR:
        story.until_due().look()
        if leg_in(story).claims[-1].answer is None:
            reply(story, TIMEOUT)
    last = leg_in(story).claims[-1].at
    story.policy = POLICY
    story.now = max(story.now, last + HOUR)
    story.until_due().look()
    assert not any(isinstance(event, LegNotMade) for event in story.events)
    while story.now < last + 6 * HOUR:
        story.until_due().look()
        story.wait(HOUR)
    story.until_due().look()
    assert any(isinstance(event, LegNotMade) for event in story.events)


def test_ids_so_long_that_no_leg_can_have_one_call_a_person() -> None:
    """The gateway takes 255 characters: a host whose refund ids leave no room gets no leg, and is told."""
    name = "r" * 250
    story = owing(refund_id=name)
    story.until_due().look()
    leg = story.record().legs[0]
    assert (leg.claims, state_of(story.ledger, story.record(), leg)) == ((), LegState.OWED)
    assert [item.code for item in attention(story.ledger)] == ["transfer_not_reversed"]
    assert story.ledger.due == story.now + POLICY.look_daily


def test_a_transfer_that_is_not_shown_any_more_is_left_alone() -> None:
    """Nothing can be told of it: it stays owed, is looked for daily, and a person is asked."""
    story = owing()
    story.payment = attrs.evolve(story.payment, transfers=())
    story.until_due().look()
    assert (claims(story), state(story)) == ([], LegState.OWED)
    assert story.ledger.due == story.now + DAY
    assert "transfer_not_reversed" in {item.code for item in attention(story.ledger)}


def test_the_last_cent_is_asked_for() -> None:
    """What others left of a transfer is pulled back, however little."""
    story = owing()
    by_hand(story, 14_999)
    story.until_due().look()
    assert claims(story) == [(1, 1, 1)]


def test_after_the_last_edge_a_doubt_is_looked_at_daily() -> None:
    """From 28 hours on a look shows whether it was made; one that cannot be read is made again in a day."""
    story = asked()
    reply(story, OutcomeUnknown(why="http_500", resend=False))
    story.owe(START + POLICY.end_after)
    story.look(Unread(why="timeout"))
    assert state(story) is LegState.IN_DOUBT
    assert story.ledger.due is not None
    assert story.ledger.due > story.now
    assert leg_times_of(story) == [story.now + DAY]


def test_a_yes_to_a_leg_begins_the_rhythm_anew() -> None:
    """Fruitless looks before it count for nothing: the next is due as after the first."""
    story = asked(15_000, 3_000)
    reply(story, TIMEOUT)
    story.until_due().look(Unread(why="timeout"))
    assert story.ledger.tries == 2
    story.until_due().look()
    made = TransferReversal(id="trr_2", amount=usd(3_000), mark="r1:tr_2:1")
    reply(story, Reversed(reversal=made), transfer="tr_2")
    assert (leg_in(story, "tr_2").made, story.ledger.tries) == (made, 0)
    assert (state(story), story.ledger.latest) == (LegState.IN_DOUBT, story.now)


def leg_times_of(story: Story) -> list[datetime]:
    """When the legs need a look, as reckoned now."""
    return list(leg_times(story.ledger, story.now, story.now + MINUTE, POLICY))


def test_a_transfer_that_turns_up_in_another_currency_is_left_alone() -> None:
    """What cannot be compared is not reckoned with."""
    story = owing()
    euros = Money(15_000, Currency.of("EUR"))
    odd = Transfer(id="tr_1", amount=euros, reversed=Money.zero(euros.currency))
    story.payment = attrs.evolve(story.payment, transfers=(odd,))
    story.until_due().look()
    assert (claims(story), state(story)) == ([], LegState.OWED)


def test_what_all_came_back_by_hand_is_done_elsewhere_though_in_doubt() -> None:
    """Nothing is left to ask for, whatever became of the call."""
    story = asked()
    reply(story, TIMEOUT)
    by_hand(story, 15_000)
    story.payment = attrs.evolve(story.payment, kind=ChargeKind.PLATFORM)
    story.until_due().look()
    assert (state(story), len(claims(story))) == (LegState.ELSEWHERE, 1)


def test_a_refund_that_was_declined_has_no_leg_to_run() -> None:
    """And one dropped, or never made: off, until the gateway shows it after all."""
    story = Story(separate(15_000)).claimed()
    story.answer(Declined(code="charge_disputed"))
    assert (story.status(), state(story)) == (Status.DECLINED, LegState.OFF)
    story.shows(story.ours()).wait(MINUTE)
    story.quote()
    assert state(story) is LegState.OWED
    story.until_due().look()
    assert claims(story) == [(1, 1, 15_000)]


def test_a_leg_says_nothing_about_its_refund() -> None:
    """Declined, in doubt, ended or done: the refund stands as the gateway shows it."""
    for answer in (SHORT, TIMEOUT, NotSent(why="refused")):
        story = asked()
        reply(story, answer)
        assert status_of(story.ledger, story.record()) is Status.SUCCEEDED


@pytest.mark.parametrize("wait", [timedelta(0), DAY - SECOND])
def test_a_no_is_tried_again_in_a_day_and_not_before(wait: timedelta) -> None:
    """Whatever else asks for a look meanwhile."""
    story = asked(15_000, 3_000)
    reply(story, SHORT)
    story.look()  # the second leg's
    story.leg_replies(
        Reversed(reversal=TransferReversal(id="trr_1", amount=usd(3_000), mark="r1:tr_2:1")),
        refund_id="r1",
        transfer="tr_2",
        claim=1,
    )
    assert story.ledger.due == START + DAY
    story.wait(wait).look()
    assert len(claims(story)) == 1
    story.until_due().look()
    assert claims(story) == [(1, 1, 15_000), (2, 2, 15_000)]


# --- legs beside each other, and a leg that comes to nothing -------------------------------------------------


@pytest.mark.parametrize("answer", [NotSent(why="429"), TIMEOUT, SHORT])
def test_a_leg_that_fails_keeps_no_other_from_its_turn(answer: Answer) -> None:
    """Of two legs the first is answered no, or nothing, again and again: the second has its turn at once, and the
    first is asked for again no sooner than its own backing off says."""
    story = owing(10_000, 5_000)
    story.look()
    reply(story, answer)
    story.look()
    (second,) = leg_in(story, "tr_2").claims
    assert second.at == START
    reply(story, NotSent(why="429"), transfer="tr_2")
    assert story.ledger.due is not None
    assert story.ledger.due > START


def test_a_leg_that_cannot_be_asked_for_is_told_to_a_person() -> None:
    """Refused connections alarm nobody at first; after more of them than weather explains somebody must know that
    the client has the money and the transfer still its own."""
    story = asked()
    reply(story, NotSent(why="refused"))
    assert not [item for item in attention(story.ledger) if item.code == "transfer_not_reversed"]
    for _ in range(8):
        story.until_due().look()
        reply(story, NotSent(why="refused"))
    (item,) = (item for item in attention(story.ledger) if item.code == "transfer_not_reversed")
    assert "could not be asked for" in item.says
    assert item.choices == (Choice.KEEP_LOOKING, Choice.LEAVE, Choice.NOTED)


@pytest.mark.parametrize("choice", [Choice.LEAVE, Choice.KEEP_LOOKING])
def test_a_leg_that_was_noted_can_still_be_decided(choice: Choice) -> None:
    """Who noted it has only heard of it: as long as it is so, it can be left, or tried again."""
    story = asked()
    reply(story, SHORT)
    story.settle("r1:tr_1", "transfer_not_reversed", Choice.NOTED)
    assert not attention(story.ledger)
    assert codes(story.settle("r1:tr_1", "transfer_not_reversed", Choice.NOTED)) == {"not_asked_for"}
    assert "AttentionSettled" in kinds(story.settle("r1:tr_1", "transfer_not_reversed", choice))
    if choice is Choice.LEAVE:
        assert state(story) is LegState.LEFT
    else:
        assert len(claims(story)) == 1
        story.look()
        assert len(claims(story)) == 2
