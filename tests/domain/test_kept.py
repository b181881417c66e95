"""What an event says nothing of stays as it was: alarms, ends and questions outlive claims, answers and looks."""

from __future__ import annotations

import attrs
import pytest

from refund_domain.answers import Accepted, OutcomeUnknown, SendAnswer, Unread
from refund_domain.decider.ledger import Claim, Ledger, Observed, RefundRecord, Status, evolve, merge, shown
from refund_domain.events import RefundNotMade, RefundObserved, SendAnswered, SendClaimed
from refund_domain.refusals import NothingLeft
from tests.domain.histories import MINUTE, START, Story, kinds, refund, standing

BROKEN_KEY = Unread(why="the key was revoked", alarm="bad_key")


def test_request_leaves_the_alarm_of_the_looks() -> None:
    """A broken set-up is a person's to mend: a decision that is made meanwhile does not hide it."""
    story = Story()
    story.shows(refund("re_news", 1_00))
    story.quote()
    story.until_due().look(BROKEN_KEY)
    story.request(quoted_at=story.now)
    assert (len(story.ledger.refunds), story.ledger.alarm) == (1, "bad_key")


def test_answer_that_arrives_late_leaves_the_alarm_of_the_looks() -> None:
    """What an old send led to says nothing of whether the gateway can be read now."""
    story = Story().claimed()
    story.until_due().look(BROKEN_KEY)
    assert kinds(story.answer(Accepted(refund=story.ours(status="pending")))) == ["SendAnswered", "LookScheduled"]
    assert (story.status(), story.ledger.alarm) == (Status.PENDING, "bad_key")


def test_observation_leaves_what_is_owed() -> None:
    """A signal's news of a refund is no word about the looks that fail."""
    ledger = Ledger(due=START, tries=3, alarm="bad_key")
    after = evolve(ledger, RefundObserved(at=START, refund=refund()))
    assert (after.due, after.tries, after.alarm) == (START, 3, "bad_key")


def full_record() -> RefundRecord:
    """A refund of ours with a word in every place."""
    story = Story().claimed()
    return attrs.evolve(
        story.record(),
        ended=Status.DROPPED,
        reasons=(NothingLeft(),),
        asked_at=START,
        alarm="bad_key",
        surprise=Status.DECLINED,
    )


@pytest.mark.parametrize(
    "answer",
    [
        OutcomeUnknown(why="the connection broke"),
        Accepted(refund=attrs.evolve(refund(), mark="r1")),
    ],
)
def test_claim_and_answer_change_nothing_else_of_the_record(answer: SendAnswer) -> None:
    """Claiming and answering write their claim; alarms, questions, ends and surprises are others' to end."""
    record = full_record()
    (claim,) = record.claims
    again = attrs.evolve(claim.send, claim=2)
    ledger = evolve(Ledger(refunds=(record,)), SendClaimed(at=START + MINUTE, send=again))
    claimed = attrs.evolve(record, claims=(claim, Claim(again, START + MINUTE)))
    assert ledger.refunds == (claimed,)
    ledger = evolve(ledger, SendAnswered(at=START + MINUTE, refund_id="r1", claim=2, answer=answer))
    assert ledger.refunds == (attrs.evolve(claimed, claims=(claim, Claim(again, START + MINUTE, answer))),)


def test_doubt_that_ended_asks_nobody_any_more() -> None:
    """Once it is known that no money moved, the question whether it did is taken back."""
    record = attrs.evolve(full_record(), ended=None)
    ledger = evolve(Ledger(refunds=(record,)), RefundNotMade(at=START, refund_id="r1"))
    assert (ledger.refunds[0].ended, ledger.refunds[0].asked_at) == (Status.NOT_MADE, None)


def test_two_looks_that_began_together_are_one_in_either_order() -> None:
    """Of two details seen at the same instant in the same status, the order of reading chooses none."""
    one, other = (
        Observed(attrs.evolve(refund(), pending_reason=word), START) for word in ("processing", "charge_pending")
    )
    assert merge(one, other) == merge(other, one)


@pytest.mark.parametrize("word", ["failed", "succeeded"])
def test_of_two_alike_with_our_mark_the_elder_is_shown(word: str) -> None:
    """Two that both hold money, or both do not: the first in the gateway's list stands for our refund."""
    story = standing(Status.IN_DOUBT)
    story.shows(*(attrs.evolve(story.ours(status=word), id=number) for number in ("re_b", "re_a")))
    story.quote()
    seen = shown(story.ledger, story.record())
    assert seen is not None
    assert seen.refund.id == "re_a"
