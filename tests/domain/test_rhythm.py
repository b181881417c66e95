"""When the next look is owed: often while in doubt, then daily, for sixty days after a success, never never."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_domain.answers import Declined, NotSent, OutcomeUnknown, Unread
from refund_domain.decider.ledger import EMPTY, Ledger, Status
from refund_domain.decider.rhythm import next_look
from refund_domain.policy import Policy
from refund_domain.testing import strategies as given_a
from tests.domain.histories import DAY, HOUR, MINUTE, POLICY, SECOND, START, Story, refund, standing

UNREAD = Unread(why="no answer")


def gaps(story: Story, count: int) -> list[timedelta]:
    """The time between so many fruitless looks, each made when it is due."""
    found = []
    for _ in range(count):
        before = story.until_due().now
        story.look(UNREAD)
        assert story.ledger.due is not None
        found.append(story.ledger.due - before)
    return found


def test_a_doubt_is_looked_at_every_minute_doubling_to_an_hour_then_daily() -> None:
    """1, 2, 4 … 32 minutes, then hourly, and from the last edge on once a day."""
    story = Story().claimed()
    story.answer(OutcomeUnknown(why="timeout"))
    found = gaps(story, 40)
    minutes = [2, 4, 8, 16, 32]
    assert found[:5] == [m * MINUTE for m in minutes]
    first_daily = found.index(DAY)
    assert set(found[5:first_daily]) == {HOUR}
    assert set(found[first_daily:]) == {DAY}
    # The first look from the last edge on is the first to be a day before the next.
    assert sum(found[:first_daily], 2 * MINUTE) >= 28 * HOUR > sum(found[: first_daily - 1], 2 * MINUTE)


def test_a_request_that_cannot_be_looked_at_backs_off_alike() -> None:
    """Nothing sent yet: the same rhythm, from one minute on."""
    story = Story()
    story.quote()
    story.request()
    assert gaps(story, 8) == [m * MINUTE for m in (1, 2, 4, 8, 16, 32, 60, 60)]


def test_what_was_not_sent_backs_off_like_a_look() -> None:
    """Told to slow down again and again: each claim comes later than the one before, up to an hour."""
    story = Story().claimed()
    at = []
    for _ in range(9):
        story.answer(NotSent(why="429"))
        at.append(story.now)
        story.until_due().look()
    waits = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert waits == sorted(waits)
    assert waits[0] == MINUTE
    assert waits[-1] == HOUR


@pytest.mark.parametrize("tries", [0, 1, 2, 3, 10, 20, 21, 22, 10**6])
def test_backing_off_has_a_ceiling_however_often_it_was_tried(tries: int) -> None:
    """The wait doubles from the second try on and never passes its most, whatever the count."""
    story = Story()
    story.quote()
    story.request()
    due = next_look(story.ledger, START, tries, POLICY)
    assert due is not None
    doubled = MINUTE * 2 ** max(0, min(tries, 12) - 1)
    assert due - START == min(doubled, HOUR)


def test_an_open_claim_is_left_alone_for_the_answers_wait() -> None:
    """Two minutes from the newest open claim, however often it was looked; one answered does not count."""
    story = Story().claimed()
    assert story.ledger.due == START + 2 * MINUTE
    story.until_due().look()
    assert story.ledger.due == START + 4 * MINUTE
    story.answer(NotSent(why="refused"), claim=2)
    assert next_look(story.ledger, story.now, 0, POLICY) == story.now + MINUTE
    assert next_look(story.ledger, START, 0, POLICY) == START + 2 * MINUTE


def test_an_alarm_is_looked_at_daily() -> None:
    """What waits for a person is looked at once a day, in doubt or not yet sent."""
    for answer in (OutcomeUnknown(why="403", alarm="rights"), NotSent(why="401", alarm="key")):
        story = Story().claimed()
        story.answer(answer)
        assert next_look(story.ledger, START, 5, POLICY) == START + DAY


def test_a_pending_refund_is_polled_from_ten_minutes_up_to_a_day() -> None:
    """Ours or another's, of a known word or not: 10, 20, 40 minutes … a day, for as long as it is pending."""
    # failure: C16
    for word in ("pending", "requires_action", "a_new_word"):
        for mark in (None, "lost"):
            story = Story().shows(attrs.evolve(refund(status=word), mark=mark))
            story.quote()
            assert story.ledger.due == START + 10 * MINUTE
            found = gaps(story, 12)
            assert found[:4] == [10 * MINUTE, 20 * MINUTE, 40 * MINUTE, 80 * MINUTE]
            assert found[-4:] == [DAY] * 4


def test_a_success_is_watched_for_sixty_days() -> None:
    """Daily, then less often up to weekly; sixty days after it was made nothing is due any more (failure C04)."""
    # failure: C07
    # failure: C04
    story = Story().shows(refund(status="succeeded"))
    story.quote()
    assert story.ledger.due == START + DAY
    assert gaps(story, 6) == [DAY, 2 * DAY, 4 * DAY, 7 * DAY, 7 * DAY, 7 * DAY]
    made = [START + 60 * DAY - SECOND, START + 60 * DAY]
    assert next_look(story.ledger, made[0], 0, POLICY) == made[0] + DAY
    assert next_look(story.ledger, made[1], 0, POLICY) is None
    story.now = made[1]
    story.look(UNREAD)
    assert story.ledger.due is None


def test_a_success_is_watched_from_the_day_it_was_one() -> None:
    """A refund that was pending for seven weeks is watched for sixty days from its success, not its making."""
    story = Story().shows(refund())
    story.quote()
    success = START + 50 * DAY
    story.shows(refund(status="succeeded"))
    story.quote(at=success)
    last = success + 60 * DAY - SECOND
    assert next_look(story.ledger, last, 0, POLICY) == last + DAY
    assert next_look(story.ledger, last + SECOND, 0, POLICY) is None


def test_the_earliest_of_what_is_open_is_due() -> None:
    """A doubt beside a pending refund of another's and a watched success: the doubt is looked at first."""
    story = Story().shows(refund("re_p", 1), refund("re_s", 1, "succeeded")).claimed()
    story.answer(OutcomeUnknown(why="timeout"))
    assert next_look(story.ledger, START + HOUR, 1, POLICY) == START + HOUR + MINUTE
    assert next_look(story.ledger, START + HOUR, 5, POLICY) == START + HOUR + 16 * MINUTE
    later = START + 30 * HOUR
    assert next_look(story.ledger, later, 1, POLICY) == later + 10 * MINUTE


@pytest.mark.parametrize(
    "status", [Status.DECLINED, Status.DROPPED, Status.NOT_MADE, Status.FAILED, Status.CANCELED]
)
def test_what_is_over_is_never_due(status: Status) -> None:
    """Nothing of it can change by looking: an empty ledger and an ended refund owe nothing."""
    assert next_look(EMPTY, START, 0, POLICY) is None
    assert next_look(standing(status).ledger, START, 0, POLICY) is None


def test_a_look_with_news_starts_the_rhythm_anew() -> None:
    """After fruitless looks a change brings the next look near again."""
    story = Story().shows(refund())
    story.quote()
    gaps(story, 10)
    story.shows(attrs.evolve(refund(), pending_reason="processing"))
    story.until_due().look()
    assert story.ledger.tries == 0
    assert story.ledger.due == story.now + 10 * MINUTE


def test_a_success_made_at_the_end_of_all_dates_raises_nothing() -> None:
    """Dates near the last there is are compared, not added to."""
    far = attrs.evolve(refund(status="succeeded"), created_at=datetime(9999, 12, 30, tzinfo=START.tzinfo))
    story = Story().shows(far)
    story.quote()
    assert story.ledger.due == START + DAY


LEDGERS = [standing(status).ledger for status in Status] + [
    Story().shows(refund("re_p", 1), refund("re_s", 1, "succeeded")).claimed().ledger
]


@given(
    st.sampled_from(LEDGERS),
    given_a.times(earliest=START, latest=START + 90 * DAY),
    st.integers(0, 50),
    given_a.policies(),
)
def test_the_next_look_is_always_after_this_one(ledger: Ledger, at: datetime, tries: int, policy: Policy) -> None:
    """Under any policy what is owed next lies in the future, so no loop can spin, and within ten years."""
    due = next_look(ledger, at, tries, policy)
    assert due is None or at < due <= at + 3650 * DAY


def test_a_decline_beside_an_open_claim_goes_on_being_looked_for() -> None:
    """The open claim may still have made it: a look stays due."""
    story = Story().claimed()
    story.until_due().look()
    story.answer(Declined(code="no"), claim=2)
    assert story.ledger.due is not None
