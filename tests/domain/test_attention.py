"""What waits for a person: every kind is reached, stays until it is answered, and offers no send."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from refund_domain.answers import Declined, Missing, NotSent, OutcomeUnknown, Unread
from refund_domain.commands import Choice
from refund_domain.decider.advice import AFTER_FAILURE, UNKNOWN_FAILURE, after_failure
from refund_domain.decider.attention import Attention, attention
from refund_domain.decider.ledger import DISPUTE_FAILURE, EMPTY, Status
from refund_domain.payments import Dispute
from refund_domain.refusals import Move, Refused
from tests.domain.histories import (
    DAY,
    HOUR,
    START,
    WHOLE,
    Story,
    codes,
    kinds,
    refund,
    standing,
    usd,
)

NOTED = (Choice.NOTED,)


def waiting(story: Story) -> dict[str, Attention]:
    """What waits, by its code."""
    return {item.code: item for item in attention(story.ledger)}


def shown_after(status: Status) -> Story:
    """A refund we held to be over that the gateway shows after all."""
    story = standing(status)
    story.shows(story.ours())
    story.quote()
    return story


def asked() -> Story:
    """A burnt key past its last edge."""
    story = Story().claimed()
    story.answer(OutcomeUnknown(why="503", resend=False))
    story.wait(28 * HOUR).look()
    return story


def alarmed() -> Story:
    """Sending stopped by what the gateway said."""
    story = Story().claimed()
    story.answer(NotSent(why="401", alarm="bad_key"))
    return story


def unread(look: Unread | Missing) -> Story:
    """A doubt whose last look came back so."""
    story = Story().claimed()
    story.until_due().look(look)
    return story


def mismatched() -> Story:
    """A refund with our mark and another amount."""
    story = standing(Status.IN_DOUBT)
    story.shows(attrs.evolve(refund("re_odd", 1), mark="r1"))
    story.quote()
    return story


def waits_for_funds() -> Story:
    """A refund that waits until the balance holds enough."""
    story = standing(Status.IN_DOUBT)
    story.shows(attrs.evolve(story.ours(status="pending"), pending_reason="insufficient_funds"))
    story.quote()
    return story


def doubled() -> Story:
    """Two live refunds with our mark and our amount."""
    story = standing(Status.SUCCEEDED)
    story.shows(attrs.evolve(story.ours(), id="re_twin"))
    story.quote()
    return story


def disputed(story: Story, *words: str) -> Story:
    """The same payment with disputes of $10 in these states."""
    disputes = tuple(Dispute(id=f"dp_{word}", amount=usd(10_00), status=word) for word in words)
    story.payment = attrs.evolve(story.payment, disputes=disputes)
    story.quote()
    return story


KINDS: dict[str, tuple[Callable[[], Story], str, tuple[Choice, ...], Move]] = {
    "not_shown": (asked, "r1", (Choice.NOT_MADE, Choice.KEEP_LOOKING), Move.STAFF),
    "alarm_bad_key": (alarmed, "r1", (Choice.KEEP_LOOKING,), Move.HOST),
    "look_alarm_bad_key": (
        lambda: unread(Unread(why="401", alarm="bad_key")),
        "payment",
        (Choice.KEEP_LOOKING,),
        Move.HOST,
    ),
    "look_alarm_not_found": (lambda: unread(Missing()), "payment", (Choice.KEEP_LOOKING,), Move.HOST),
    "adopted_after_declined": (lambda: shown_after(Status.DECLINED), "r1", NOTED, Move.STAFF),
    "adopted_after_dropped": (lambda: shown_after(Status.DROPPED), "r1", NOTED, Move.STAFF),
    "adopted_after_not_made": (lambda: shown_after(Status.NOT_MADE), "r1", NOTED, Move.STAFF),
    "failed": (lambda: standing(Status.FAILED), "r1", NOTED, Move.STAFF),
    "canceled": (lambda: standing(Status.CANCELED), "r1", NOTED, Move.STAFF),
    "not_made": (lambda: standing(Status.NOT_MADE), "r1", NOTED, Move.STAFF),
    "dropped": (lambda: standing(Status.DROPPED), "r1", NOTED, Move.STAFF),
    "declined": (lambda: standing(Status.DECLINED), "r1", NOTED, Move.STAFF),
    "waits_for_funds": (waits_for_funds, "r1", NOTED, Move.STAFF),
    "mark_mismatch": (mismatched, "re_odd", NOTED, Move.STAFF),
    "doubled": (doubled, "r1", NOTED, Move.STAFF),
    f"over_refunded_{2 * WHOLE}": (doubled, "payment", NOTED, Move.STAFF),
    "disputed_after_refund": (
        lambda: disputed(standing(Status.SUCCEEDED), "needs_response"),
        "dp_needs_response",
        NOTED,
        Move.STAFF,
    ),
    "inquired_after_refund": (
        lambda: disputed(standing(Status.SUCCEEDED), "warning_needs_response"),
        "dp_warning_needs_response",
        NOTED,
        Move.STAFF,
    ),
}
"""By code: a history that leads to it, whom it is about, what may be answered, whose move it is."""


@pytest.mark.parametrize("code", KINDS)
def test_every_kind_is_reached_and_waits_until_it_is_answered(code: str) -> None:
    """It names its subject and its choices; each choice is taken once and clears it; any other is refused."""
    make, subject, choices, move = KINDS[code]
    story = make()
    item = waiting(story)[code]
    assert (item.subject, item.choices, item.move) == (subject, choices, move)
    assert item.says[-1] in ".?"
    for choice in Choice:
        answered = make()
        said = answered.settle(subject, code, choice)
        assert isinstance(said, Refused) is (choice not in choices)
        assert (code in waiting(answered)) is (choice not in choices)
        assert "SendClaimed" not in kinds(said)
        if choice in choices:
            assert codes(answered.settle(subject, code, choice)) == {"not_asked_for"}


@pytest.mark.parametrize("status", [Status.REQUESTED, Status.IN_DOUBT, Status.PENDING, Status.SUCCEEDED])
def test_what_goes_its_way_waits_for_nobody(status: Status) -> None:
    """Under way or done: no person is bothered; nor about a payment without refunds."""
    assert attention(standing(status).ledger) == ()
    assert attention(EMPTY) == ()
    assert attention(disputed(Story(), "needs_response").ledger) == ()


def test_every_cause_of_a_failure_has_its_next_step() -> None:
    """Each of the gateway's words says whose move it is, an unknown or missing one too; none sends
    (failures C07, C10)."""
    # failure: C07
    # failure: C10
    assert set(AFTER_FAILURE) == {
        "lost_or_stolen_card",
        "expired_or_canceled_card",
        "charge_for_pending_refund_disputed",
        "insufficient_funds",
        "declined",
        "merchant_request",
    }
    for reason in (*AFTER_FAILURE, "unknown", "a_new_word", None):
        expected = AFTER_FAILURE.get(reason or "", UNKNOWN_FAILURE)
        assert after_failure(reason) == expected
        story = standing(Status.SUCCEEDED)
        story.shows(attrs.evolve(story.ours(status="failed"), failure_reason=reason))
        story.quote()
        code = "failed_disputed" if reason == DISPUTE_FAILURE else "failed"
        assert waiting(story)[code].says == expected.says
        assert kinds(story.until_due().look()) == ["LookScheduled"]
        assert story.ledger.due is None
    assert "never refund it again" in AFTER_FAILURE[DISPUTE_FAILURE].says
    assert "top it up" in AFTER_FAILURE["insufficient_funds"].says
    assert "outside" in AFTER_FAILURE["expired_or_canceled_card"].says


def test_a_failure_noted_and_then_a_cancel_waits_anew() -> None:
    """What was answered is answered; another fact about the same refund is another item."""
    story = standing(Status.FAILED)
    story.settle("r1", "failed", Choice.NOTED)
    assert waiting(story) == {}
    story.shows(story.ours(status="canceled"))
    story.quote()
    assert set(waiting(story)) == {"canceled"}


def test_the_sentences_name_their_facts() -> None:
    """The gateway's codes, the reasons of a rule and the days of the refunds stand in the sentence."""
    story = Story().claimed()
    story.until_due().look()
    story.answer(Declined(code="charge_disputed"), claim=1)
    story.answer(Declined(code="not_refundable"), claim=2)
    assert "(charge_disputed, not_refundable)" in waiting(story)["declined"].says
    assert "only cards and ACH bank transfers can" in waiting(standing(Status.DROPPED))["dropped"].says
    story = disputed(standing(Status.SUCCEEDED), "needs_response")
    assert "on 2026-03-02;" in waiting(story)["disputed_after_refund"].says
    assert "bad_key" in waiting(alarmed())["alarm_bad_key"].says


def test_only_disputes_that_count_are_held_against_a_refund() -> None:
    """One open and one won dispute after a refund: the open one alone needs the evidence."""
    # failure: H05
    story = disputed(standing(Status.SUCCEEDED), "needs_response", "won")
    assert [i.subject for i in attention(story.ledger) if i.code == "disputed_after_refund"] == [
        "dp_needs_response"
    ]
    assert "disputed_after_refund" not in waiting(disputed(standing(Status.SUCCEEDED), "won"))
    assert "disputed_after_refund" not in waiting(disputed(standing(Status.FAILED), "lost"))


def test_only_a_refund_that_waits_for_funds_asks_for_a_top_up() -> None:
    """Another that is pending goes its way, and one that had waited is told no more."""
    story = waits_for_funds()
    assert "top it up" in waiting(story)["waits_for_funds"].says
    story.shows(story.ours(status="succeeded"))
    story.quote()
    assert "waits_for_funds" not in waiting(story)
    assert "waits_for_funds" not in waiting(standing(Status.PENDING))


def test_an_inquiry_that_was_noted_is_told_again_as_the_chargeback_it_becomes() -> None:
    """It keeps its id at the gateway, and it is the chargeback that takes the money and has a day to answer by."""
    story = disputed(standing(Status.SUCCEEDED), "warning_under_review")
    (dispute,) = story.payment.disputes
    story.settle(dispute.id, "inquired_after_refund", Choice.NOTED)
    assert "inquired_after_refund" not in waiting(story)
    story.payment = attrs.evolve(story.payment, disputes=(attrs.evolve(dispute, status="needs_response"),))
    story.quote()
    assert waiting(story)["disputed_after_refund"].subject == dispute.id


def test_more_gone_than_captured_is_told_anew_when_it_grows() -> None:
    """List, records outside and disputes together: noted at one sum, it is told again at another."""
    story = standing(Status.NOT_MADE)
    story.outside(WHOLE)
    story.shows(story.ours())
    story.quote()
    assert f"over_refunded_{2 * WHOLE}" in waiting(story)
    story.settle("payment", f"over_refunded_{2 * WHOLE}", Choice.NOTED)
    assert not [code for code in waiting(story) if code.startswith("over")]
    disputed(story, "lost")
    assert f"over_refunded_{2 * WHOLE + 10_00}" in waiting(story)


def test_a_dispute_beside_what_went_back_is_told_as_too_much() -> None:
    """Neither alone is more than was captured, both together are."""
    story = Story()
    story.shows(refund(amount_minor=WHOLE - 9_99, status="succeeded"))
    disputed(story, "lost")
    assert f"over_refunded_{WHOLE + 1}" in waiting(story)


def test_refunds_of_others_beside_ours_are_no_doubled_refund() -> None:
    """One live refund with our mark and amount, and live ones without: nobody is told that ours is there twice."""
    story = standing(Status.SUCCEEDED)
    story.shows(refund("re_x", 1), refund("re_y", 2))
    story.quote()
    assert len([seen for seen in story.ledger.observed if seen.live]) == 3
    assert "doubled" not in waiting(story)


def test_exactly_what_was_captured_is_no_cause_for_alarm() -> None:
    """All of it gone back, in part outside: nobody is told."""
    story = Story()
    story.quote()
    story.outside(50_00)
    story.shows(refund("re_x", WHOLE - 50_00, "succeeded"))
    story.quote()
    assert attention(story.ledger) == ()


def test_a_question_ends_with_its_doubt() -> None:
    """Asked whether a refund was made: once it is shown, nobody is asked any more."""
    story = asked()
    story.shows(story.ours())
    story.quote()
    assert attention(story.ledger) == ()


def test_an_alarm_that_sending_raised_ends_with_the_refund() -> None:
    """A no with an alarm that ended the refund is told as declined; there is nothing left to go on with."""
    story = Story().claimed()
    story.answer(Declined(code="resource_missing", alarm="set_up"))
    assert set(waiting(story)) == {"declined"}


def test_going_on_after_an_alarm_of_the_looking_looks_at_once() -> None:
    """The key was mended: the next look is due now, and not only when the backing off says so."""
    story = unread(Unread(why="401", alarm="bad_key"))
    assert kinds(story.settle("payment", "look_alarm_bad_key", Choice.KEEP_LOOKING)) == [
        "AttentionSettled",
        "LookScheduled",
    ]
    assert story.ledger.due == story.now


def test_an_answer_takes_away_what_it_answers_and_no_more() -> None:
    """A refund that no look shows, what stopped its sending, and a looking that fails wait for a word each."""
    both = Story().claimed()
    both.answer(OutcomeUnknown(why="not ours", resend=False, alarm="not_our_refund"))
    both.wait(28 * HOUR).look()
    assert set(waiting(both)) == {"alarm_not_our_refund", "not_shown"}
    both.settle("r1", "alarm_not_our_refund", Choice.KEEP_LOOKING)
    assert (set(waiting(both)), both.ledger.due) == ({"not_shown"}, both.now)
    looking = asked()
    looking.until_due().look(Unread(why="401", alarm="bad_key"))
    assert set(waiting(looking)) == {"look_alarm_bad_key", "not_shown"}
    looking.settle("r1", "not_shown", Choice.KEEP_LOOKING)
    assert set(waiting(looking)) == {"look_alarm_bad_key"}
    looking.settle("payment", "look_alarm_bad_key", Choice.KEEP_LOOKING)
    assert not waiting(looking)


def test_keeping_on_looking_puts_no_earlier_look_off() -> None:
    """Another's refund is pending and looked at soon: that a doubt goes on daily changes nothing about it."""
    story = asked()
    story.shows(refund("re_other", 1_00, status="pending"))
    story.quote()
    due = story.ledger.due
    assert due is not None
    assert due < story.now + DAY
    story.settle("r1", "not_shown", Choice.KEEP_LOOKING)
    assert story.ledger.due == due


def test_keeping_on_looking_clears_what_was_asked_and_asks_again_if_it_stays_unseen() -> None:
    """A person who wants to wait is asked again at the next complete look, a day later."""
    story = asked()
    story.settle("r1", "not_shown", Choice.KEEP_LOOKING)
    assert (story.record().asked_at, story.ledger.due) == (None, START + 28 * HOUR + DAY)
    story.until_due().look(Unread(why="no answer"))
    assert "not_shown" not in waiting(story)
    story.until_due().look()
    assert "not_shown" in waiting(story)
