"""What an owed look does to the refund under way: every cell of the table, every edge to the second."""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs
import pytest

from refund_domain.answers import Answer, Declined, Look, Missing, NotSent, OutcomeUnknown, Unread
from refund_domain.commands import Choice
from refund_domain.decider.attention import attention
from refund_domain.decider.doubt import STEPS, Step, Verdict, Zone, steps
from refund_domain.decider.inputs import OwedLook
from refund_domain.decider.ledger import EMPTY, Status, fold
from refund_domain.events import Event, PaymentSeen, PersonAsked, RefundDropped, RefundNotMade, SendClaimed
from refund_domain.money import Currency
from refund_domain.payments import ChargeKind, Dispute, PaymentStatus
from refund_domain.policy import Policy
from refund_domain.refusals import AmountChanged, Disputed, NotFound, QuoteStale
from tests.domain.histories import (
    DAY,
    HOUR,
    LIVE_WORDS,
    MINUTE,
    POLICY,
    SECOND,
    START,
    WHOLE,
    Story,
    card,
    codes,
    kinds,
    refund,
    usd,
)

ANSWERED: dict[Verdict, Answer] = {
    Verdict.CLEAR: OutcomeUnknown(why="timeout"),
    Verdict.ALARMED: OutcomeUnknown(why="403", alarm="rights"),
    Verdict.DECLINED: Declined(code="no"),
    Verdict.BURNT: OutcomeUnknown(why="503", resend=False),
}
AGES: dict[Zone, tuple[timedelta, timedelta]] = {
    Zone.FRESH: (HOUR, 22 * HOUR - SECOND),
    Zone.STALE: (22 * HOUR, 28 * HOUR - SECOND),
    Zone.OLD: (28 * HOUR, 60 * DAY),
}
"""The first and the last moment of each zone that is tried; 22 h and 28 h are its exact edges."""
DONE: dict[Step, type[Event] | None] = {
    Step.SEND: SendClaimed,
    Step.LOOK: None,
    Step.END: RefundNotMade,
    Step.ASK: PersonAsked,
}


def in_doubt(verdict: Verdict, policy: Policy = POLICY) -> Story:
    """A refund claimed at START whose answers amount to this verdict, beside a small one of another's."""
    story = Story(card(WHOLE + 1), policy).shows(refund("re_news", 1)).claimed()
    if verdict is Verdict.DECLINED:
        # A no ends a refund unless another claim of it is open: here the first one, never answered.
        story.until_due().look()
    story.answer(ANSWERED[verdict])
    return story


# --- the table -----------------------------------------------------------------------------------------------


def test_the_table_is_complete_and_sends_in_one_cell_only() -> None:
    """Every zone with every verdict has its step; only a young key of which nothing bad is known goes again."""
    assert set(STEPS) == {(zone, verdict) for zone in Zone for verdict in Verdict}
    assert [cell for cell, step in STEPS.items() if step is Step.SEND] == [(Zone.FRESH, Verdict.CLEAR)]
    assert {cell for cell, step in STEPS.items() if step is Step.ASK} == {(Zone.OLD, Verdict.BURNT)}
    assert {zone for (zone, _), step in STEPS.items() if step is Step.END} == {Zone.OLD}
    assert set(DONE) == set(Step)


@pytest.mark.parametrize("edge", [0, 1], ids=["from", "until"])
@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("zone", Zone)
def test_every_cell_is_reached_and_does_its_step(zone: Zone, verdict: Verdict, edge: int) -> None:
    """At the first and at the last second of each zone a complete look without the refund does what the table
    says and nothing else."""
    story = in_doubt(verdict)
    before = len(story.events)
    at = START + AGES[zone][edge]
    given = OwedLook(at=at, latest=at, look=story.picture(), sightings=story.ledger.sightings)
    expected = DONE[STEPS[zone, verdict]]
    assert [type(event) for event in steps(story.ledger, given, POLICY)] == [expected] * (expected is not None)
    # And the same once more through the whole decider, with a look that is owed just then.
    story.owe(at).look()
    done = (SendClaimed, RefundNotMade, PersonAsked)
    moves = [event for event in story.events[before:] if isinstance(event, done)]
    assert [type(event) for event in moves] == [expected] * (expected is not None)
    assert story.status() is (Status.NOT_MADE if expected is RefundNotMade else Status.IN_DOUBT)


@pytest.mark.parametrize("verdict", Verdict)
def test_only_a_complete_look_resends_or_ends(verdict: Verdict) -> None:
    """Whatever the age: unread pages and a charge that is not found leave the doubt as it is (failure B02)."""
    # failure: B02
    story = in_doubt(verdict)
    for age in (HOUR, 22 * HOUR, 28 * HOUR, 60 * DAY):
        for look in (Unread(why="no answer"), Unread(why="401", alarm="bad_key"), Missing()):
            given = OwedLook(at=START + age, latest=START + age, look=look, sightings=story.ledger.sightings)
            assert steps(story.ledger, given, POLICY) == ()


def test_the_age_of_the_key_is_counted_from_the_first_doubtful_claim() -> None:
    """Later sends do not make the key younger; sends that never executed do not make it older."""
    story = in_doubt(Verdict.CLEAR)
    story.owe(START + 20 * HOUR)
    assert "SendClaimed" in kinds(story.look())
    story.answer(OutcomeUnknown(why="timeout"))
    at = START + 22 * HOUR
    assert (
        steps(
            story.ledger,
            OwedLook(at=at, latest=at, look=story.picture(), sightings=story.ledger.sightings),
            POLICY,
        )
        == ()
    )
    unsent = Story().claimed()
    unsent.answer(NotSent(why="refused"))
    unsent.wait(20 * HOUR).look()
    assert [claim.send.claim for claim in unsent.record().claims] == [1, 2]
    at = START + 41 * HOUR
    (again,) = steps(
        unsent.ledger, OwedLook(at=at, latest=at, look=unsent.picture(), sightings=unsent.ledger.sightings), POLICY
    )
    assert isinstance(again, SendClaimed)


def test_a_refund_found_later_is_adopted_whatever_the_delay() -> None:
    """The timeout had executed: a look finds our mark after minutes or after years, in time or after the end
    (failures A07, B03)."""
    # failure: A07
    # failure: B03
    for age in (MINUTE, 23 * HOUR, 30 * HOUR, 700 * DAY):
        story = in_doubt(Verdict.CLEAR)
        story.shows(story.ours()).wait(age)
        story.quote()
        assert story.status() is Status.SUCCEEDED
        assert story.record().surprise is None
    story = in_doubt(Verdict.CLEAR)
    story.wait(28 * HOUR).look()
    story.shows(story.ours()).wait(DAY)
    story.quote()
    assert (story.status(), story.record().surprise) == (Status.SUCCEEDED, Status.NOT_MADE)
    assert "adopted_after_not_made" in {item.code for item in attention(story.ledger)}


# --- sending again -------------------------------------------------------------------------------------------


def test_every_send_of_one_refund_asks_for_exactly_the_same() -> None:
    """Id, amount, payment, reason and kind are those of the first send, whatever the payment looks like since
    (failures A07, A14)."""
    # failure: A07
    # failure: A14
    story = in_doubt(Verdict.CLEAR)
    story.payment = attrs.evolve(story.payment, kind=ChargeKind.DESTINATION, fee=usd(1))
    story.quote()
    for _ in range(4):
        story.until_due().look()
        story.answer(OutcomeUnknown(why="timeout"))
    sends = [event.send for event in story.events if isinstance(event, SendClaimed)]
    assert [send.claim for send in sends] == [1, 2, 3, 4, 5]
    assert {attrs.evolve(send, claim=1) for send in sends} == {sends[0]}


@pytest.mark.parametrize(
    "change",
    [
        {"disputes": (Dispute(id="dp_1", amount=usd(1), status="needs_response"),)},
        {"captured": usd(WHOLE)},
        {"given_back": usd(WHOLE)},
        {"status": PaymentStatus.FAILED},
        {"kind": ChargeKind.SEPARATE},
        {"method": "klarna"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_rule_that_says_no_by_now_stops_the_resending_and_ends_nothing(change: dict[str, object]) -> None:
    """In doubt a no only means that nothing is sent again: the refund may exist, so it keeps its amount."""
    story = in_doubt(Verdict.CLEAR)
    story.payment = attrs.evolve(story.payment, **change)  # type: ignore[arg-type]
    assert kinds(story.until_due().look()) == ["PaymentSeen", "LookScheduled"]
    assert story.status() is Status.IN_DOUBT
    assert story.ledger.due is not None


@pytest.mark.parametrize(("age", "touched"), [(2 * MINUTE - SECOND, False), (2 * MINUTE, True)])
def test_nobody_touches_a_claim_while_its_own_worker_may_be_sending(age: timedelta, touched: bool) -> None:
    """An unanswered claim is left alone for exactly the answer's wait, even by a look that is owed sooner."""
    story = Story(card(WHOLE), Policy(poll_first=MINUTE)).shows(refund("re_x", 1)).claimed()
    assert story.ledger.due == START + MINUTE
    story.wait(age)
    said = story.look()
    assert ("SendClaimed" in kinds(said)) is touched


def test_a_late_answer_does_not_let_a_third_worker_in() -> None:
    """A worker paused for hours answers its claim while another has claimed since: an older look of a third
    worker, owed again by that answer, leaves the newer claim alone."""
    story = Story().shows(refund("re_x", 1)).claimed()
    story.wait(5 * HOUR).look()
    assert len(story.record().claims) == 2
    story.answer(OutcomeUnknown(why="timeout"), claim=1, at=START)
    assert "SendClaimed" not in kinds(story.look(at=story.now - SECOND))
    assert len(story.record().claims) == 2


# --- ended by the gateway's own cap ------------------------------------------------------------------------------

SAFE = 5 * HOUR + 11 * MINUTE
"""A send takes 1 h to leave and 1 h in flight, a 5xx completes within 2 h, a list lags 1 h; a claim is good
for 1 min, and two clocks are 5 min off each."""


@pytest.mark.parametrize(
    ("caps", "age", "elsewhere", "word", "ended"),
    [
        (True, SAFE, WHOLE, "succeeded", True),
        (True, SAFE, WHOLE, "pending", True),
        (True, SAFE, WHOLE, "a_new_word", True),
        (True, SAFE - SECOND, WHOLE, "succeeded", False),
        (True, SAFE, WHOLE - 1, "succeeded", False),
        (True, SAFE, WHOLE, "failed", False),
        (False, SAFE, WHOLE, "succeeded", False),
        (False, 28 * HOUR - SECOND, WHOLE, "succeeded", False),
        (False, 28 * HOUR, WHOLE, "succeeded", True),
    ],
)
def test_others_that_fill_the_payment_end_the_doubt_early_where_the_gateway_caps(
    caps: bool, age: timedelta, elsewhere: int, word: str, ended: bool
) -> None:
    """Only where the policy assumes the cap, only live refunds of others, all of what was captured, and not a
    second before the last claim can have no effect any more."""
    story = in_doubt(Verdict.BURNT if caps else Verdict.CLEAR, Policy(gateway_caps=caps))
    story.shows(refund("re_x", elsewhere, word))
    at = START + age
    said = steps_after(story, at)
    assert [type(event) for event in said] == ([RefundNotMade] if ended else [])


def steps_after(story: Story, at: datetime) -> tuple[Event, ...]:
    """What an owed look at this moment does, beside its news."""
    story.now = at
    story.quote()
    return steps(
        story.ledger,
        OwedLook(at=story.now, latest=story.now, look=story.picture(), sightings=story.ledger.sightings),
        story.policy,
    )


def test_the_cap_counts_from_the_last_claim_and_never_our_own_refund() -> None:
    """A second claim starts the time anew; a refund with our own mark, whatever its amount, is not another's."""
    story = Story().claimed()
    story.wait(HOUR).look()
    assert len(story.record().claims) == 2
    story.shows(refund("re_x", WHOLE, "succeeded"))
    assert steps_after(story, START + HOUR + SAFE - SECOND) == ()
    assert [type(event) for event in steps_after(story, START + HOUR + SAFE)] == [RefundNotMade]
    story = in_doubt(Verdict.BURNT)
    story.shows(attrs.evolve(refund("re_x", 2 * WHOLE, "succeeded"), mark="r1"))
    assert steps_after(story, START + SAFE) == ()


@pytest.mark.parametrize("verdict", [Verdict.CLEAR, Verdict.BURNT])
def test_no_doubt_ends_while_a_send_may_still_take_effect(verdict: Verdict) -> None:
    """A policy was replaced: the key was sent late under the old one, so past the new one's last edge a refund
    is only looked for until that send can have no effect any more."""
    patient = Policy(key_life=60 * HOUR, resend_within=50 * HOUR, end_after=70 * HOUR)
    story = Story(card(WHOLE + 1), patient).shows(refund("re_news", 1)).claimed()
    story.answer(OutcomeUnknown(why="timeout"))
    story.owe(START + 27 * HOUR).look()
    story.answer(ANSWERED[verdict])
    assert len(story.record().claims) == 2
    story.policy = POLICY
    assert steps_after(story, START + 28 * HOUR) == ()
    assert steps_after(story, START + 27 * HOUR + SAFE - SECOND) == ()
    ended = PersonAsked if verdict is Verdict.BURNT else RefundNotMade
    assert [type(event) for event in steps_after(story, START + 27 * HOUR + SAFE)] == [ended]


# --- before anything can have been sent --------------------------------------------------------------------------


def requested() -> Story:
    """A request that nobody has sent yet."""
    story = Story()
    story.quote()
    story.request()
    return story


@pytest.mark.parametrize("look", ["all", "unread", "missing"])
def test_a_request_nobody_could_send_for_a_day_is_dropped_as_stale(look: str) -> None:
    """At exactly 24 hours, not a second earlier, and whatever the look comes back with."""
    for age, dropped in ((DAY - SECOND, False), (DAY, True)):
        story = requested()
        seen: dict[str, Look] = {"all": story.picture(), "unread": Unread(why="no answer"), "missing": Missing()}
        story.wait(age).look(seen[look])
        stale = story.record().reasons == (QuoteStale(quoted_at=START),)
        assert stale is dropped
        if dropped:
            assert story.status() is Status.DROPPED
            assert story.ledger.due is None


def test_a_request_that_was_never_sent_in_spite_of_claims_is_dropped_after_a_day_too() -> None:
    """Every claim answered NotSent: nothing can be at the gateway, so the day counts from the request."""
    story = requested()
    story.look()
    for _ in range(40):
        if story.status() is not Status.DROPPED:
            story.answer(NotSent(why="429"))
            story.until_due().look()
    assert story.record().reasons == (QuoteStale(quoted_at=START),)
    assert DAY <= story.now - START < DAY + HOUR + MINUTE


def test_a_request_for_a_charge_that_is_not_there_is_dropped_as_not_found() -> None:
    """Wrong id, account or mode: nothing was sent, and the reason says so."""
    story = requested()
    assert kinds(story.look(Missing())) == ["RefundDropped", "LookScheduled"]
    assert story.record().reasons == (NotFound(),)


def test_a_request_waits_while_the_gateway_cannot_be_read() -> None:
    """No look, no send: the request stays, and the next look is scheduled."""
    story = requested()
    assert kinds(story.look(Unread(why="no answer"))) == ["LookScheduled"]
    assert story.status() is Status.REQUESTED
    assert story.ledger.due == START + MINUTE
    assert "SendClaimed" in kinds(story.until_due().look())


@pytest.mark.parametrize("elsewhere", [1, WHOLE - 1, WHOLE])
@pytest.mark.parametrize("word", LIVE_WORDS)
def test_a_rule_that_says_no_before_the_send_drops_the_request_with_all_reasons(elsewhere: int, word: str) -> None:
    """The rules are asked afresh with what the look shows: another's refund changes the amount or ends it."""
    story = requested().shows(refund("re_x", elsewhere, word))
    story.payment = attrs.evolve(
        story.payment, disputes=(Dispute(id="dp_1", amount=usd(WHOLE), status="under_review"),)
    )
    story.look()
    assert story.status() is Status.DROPPED
    assert Disputed(amount=usd(WHOLE)) in story.record().reasons
    story = requested().shows(refund("re_x", elsewhere, word))
    story.look()
    left = usd(WHOLE - elsewhere)
    if elsewhere < WHOLE:
        assert story.record().reasons == (AmountChanged(verified=usd(WHOLE), current=left),)
    else:
        assert {reason.code for reason in story.record().reasons} == {"nothing_left"}


def test_a_payment_in_another_currency_than_verified_is_not_refunded() -> None:
    """Should a look ever show another currency than the one that was verified, nothing is sent."""
    story = requested()
    euros = Currency.of("EUR")
    story.payment = attrs.evolve(
        story.payment,
        captured=attrs.evolve(usd(WHOLE), currency=euros),
        given_back=attrs.evolve(usd(0), currency=euros),
    )
    story.look()
    assert {reason.code for reason in story.record().reasons} == {"currency_not_supported"}


def test_an_alarm_stops_sending_until_a_person_goes_on() -> None:
    """After a no that a person must mend nothing is sent; looked at daily; once they go on it is sent at once."""
    story = Story(card(WHOLE + 1)).shows(refund("re_news", 1)).claimed()
    story.answer(NotSent(why="401", alarm="bad_key"))
    story.owe(START + HOUR)
    assert "SendClaimed" not in kinds(story.look())
    assert story.status() is Status.REQUESTED
    said = story.settle("r1", "alarm_bad_key", Choice.KEEP_LOOKING)
    assert kinds(said) == ["AttentionSettled", "LookScheduled"]
    assert story.ledger.due == story.now
    assert "SendClaimed" in kinds(story.look())


def test_an_alarm_nobody_mends_ends_with_the_request_after_a_day() -> None:
    """Never sent, never mended: dropped as stale at the daily look, not sent behind anybody's back."""
    story = requested()
    story.look()
    story.answer(NotSent(why="401", alarm="bad_key"))
    story.until_due().look()
    assert story.record().reasons == (QuoteStale(quoted_at=START),)


def test_a_dropped_request_leaves_the_way_open_for_a_new_decision() -> None:
    """Nothing was sent, so the amount is free; the next decision is a new refund with its own id."""
    story = requested().shows(refund("re_x", 50_00, "succeeded"))
    story.look()
    assert codes(story.request("r1", amount=usd(1))) == {"request_reused"}
    assert "RefundRequested" in kinds(story.request("r2"))
    assert "SendClaimed" in kinds(story.look())
    assert [record.id for record in story.ledger.refunds] == ["r1", "r2"]


# --- where there is nothing to do --------------------------------------------------------------------------------


def test_a_look_without_a_refund_under_way_only_looks() -> None:
    """An empty ledger, an adopted refund, one that is shown: no step is taken."""
    given = OwedLook(at=START, latest=START, look=Story().picture(), sightings=0)
    assert steps(EMPTY, given, POLICY) == ()
    story = in_doubt(Verdict.CLEAR)
    story.shows(story.ours(status="pending"))
    assert kinds(story.until_due().look()) == ["RefundObserved", "LookScheduled"]
    assert (
        steps(
            story.ledger,
            OwedLook(at=story.now, latest=story.now, look=story.picture(), sightings=story.ledger.sightings),
            POLICY,
        )
        == ()
    )


def test_a_journal_that_lost_what_was_seen_sends_and_ends_nothing() -> None:
    """A request or a claim without any look behind it, as no decider writes them: nothing is claimed on it and
    the gateway's cap rules nothing out."""
    story = Story().claimed()
    lost = [event for event in story.events if not isinstance(event, PaymentSeen)]
    for history in (lost, [event for event in lost if not isinstance(event, SendClaimed)]):
        ledger = fold(EMPTY, history)
        assert ledger.payment is None
        given = OwedLook(
            at=START + DAY - SECOND,
            latest=START + DAY - SECOND,
            look=story.picture(),
            sightings=story.ledger.sightings,
        )
        assert steps(ledger, given, POLICY) == ()


def test_a_person_is_asked_once_until_they_answer() -> None:
    """Past the last edge with a burnt key: asked at the first complete look, and not again every day."""
    story = in_doubt(Verdict.BURNT)
    story.wait(28 * HOUR).look()
    assert story.record().asked_at == story.now
    for _ in range(5):
        assert kinds(story.until_due().look()) == ["LookScheduled"]
    assert story.record().asked_at == START + 28 * HOUR
    assert [event for event in story.events if isinstance(event, RefundDropped)] == []
