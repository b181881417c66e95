"""The ledger: what the gateway shows outranks belief, rank beats clock, and no order or repetition matters."""

from __future__ import annotations

import itertools
from random import Random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_domain.answers import Accepted, Answer, Declined, NotSent, OutcomeUnknown, Send
from refund_domain.commands import Reason
from refund_domain.connect import PlatformCharge
from refund_domain.decider.ledger import (
    DISPUTE_FAILURE,
    EMPTY,
    HOLDS,
    OBSERVED,
    TRANSITIONS,
    Ledger,
    Status,
    evolve,
    fold,
    in_flight,
    is_ours,
    record_of,
    shown,
    status_of,
)
from refund_domain.events import (
    Event,
    PaymentSeen,
    PersonAsked,
    RefundDropped,
    RefundNotMade,
    RefundObserved,
    RefundRequested,
    SendAnswered,
    SendClaimed,
)
from refund_domain.payments import GatewayRefund, Payment, Trace
from refund_domain.refusals import NothingLeft
from refund_domain.rules.arrival import weekdays
from refund_domain.rules.eligibility import listed_minor, refundable
from refund_domain.testing import strategies as given_a
from refund_domain.views import view_payment
from tests.domain.histories import (
    DEAD_WORDS,
    LIVE_WORDS,
    MARIA,
    MINUTE,
    POLICY,
    REF,
    SECOND,
    START,
    WHOLE,
    Story,
    codes,
    kinds,
    naive_status,
    refund,
    standing,
    usd,
)

BELIEFS = (Status.REQUESTED, Status.IN_DOUBT, Status.DECLINED, Status.DROPPED, Status.NOT_MADE)
SHOWN = (Status.PENDING, Status.SUCCEEDED, Status.FAILED, Status.CANCELED)


# --- the tables --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "status", "holds", "settled"),
    [
        ("pending", Status.PENDING, True, False),
        ("requires_action", Status.PENDING, True, False),
        ("succeeded", Status.SUCCEEDED, True, True),
        ("failed", Status.FAILED, False, False),
        ("canceled", Status.CANCELED, False, False),
        ("reversed", Status.PENDING, True, False),
        ("SUCCEEDED", Status.PENDING, True, False),
        ("succeeded ", Status.PENDING, True, False),
        ("a word of tomorrow", Status.PENDING, True, False),
    ],
)
def test_only_succeeded_counts_as_settled(word: str, status: Status, holds: bool, settled: bool) -> None:
    """Every known status word and some unknown: one alone means that the money is back, an unknown one is
    pending (failure C01)."""
    # failure: C01
    story = Story().claimed()
    story.shows(story.ours(status=word)).wait(MINUTE)
    story.quote()
    assert story.status() is status
    assert HOLDS[status] is holds
    assert refundable(story.ledger) == usd(0 if holds else WHOLE)
    (view,) = view_payment(story.ledger, REF, story.now, POLICY, weekdays).refunds
    assert (view.status, view.settled) == (status, settled)


def test_the_tables_name_every_status_and_agree() -> None:
    """HOLDS and TRANSITIONS have a row for each status, and no step leads from a final one to what holds."""
    assert set(HOLDS) == set(TRANSITIONS) == set(Status)
    assert {status for status in Status if HOLDS[status]} == {
        Status.REQUESTED,
        Status.IN_DOUBT,
        Status.PENDING,
        Status.SUCCEEDED,
    }
    for status in SHOWN:
        assert set(TRANSITIONS[status]) < set(SHOWN)
    ranks = {word: rank for word, (rank, _) in OBSERVED.items()}
    assert ranks["pending"] == ranks["requires_action"] < ranks["succeeded"] < ranks["failed"] == ranks["canceled"]


def test_every_step_of_the_table_can_be_taken() -> None:
    """No row of TRANSITIONS is idle: each step is taken by a history, as the ledger or as a host sees it."""
    taken: set[tuple[Status, Status]] = set()
    for before, word in itertools.product(Status, SHOWN):
        story = standing(before)
        seen = story.ours(status=word)
        story.shows(seen)
        story.quote()
        taken.add((before, story.status()))
    for answer in (NotSent(why="refused"), Declined(code="no"), OutcomeUnknown(why="timeout")):
        story = standing(Status.REQUESTED)
        story.look()
        taken.add((Status.REQUESTED, story.status()))
        before = story.status()
        # A claim under a minute old is still shown as requested.
        host_saw = view_payment(story.ledger, REF, story.now, POLICY, weekdays).refunds[0].status
        story.answer(answer)
        taken |= {(before, story.status()), (host_saw, story.status())}
    taken.add((Status.REQUESTED, standing(Status.DROPPED).status()))
    taken.add((Status.IN_DOUBT, standing(Status.NOT_MADE).status()))
    steps = {(before, after) for before, row in TRANSITIONS.items() for after in row}
    assert {(before, after) for before, after in taken if before is not after} == steps


# --- observation against belief, rank against clock ----------------------------------------------------------


@pytest.mark.parametrize("belief", BELIEFS)
@pytest.mark.parametrize("word", [*LIVE_WORDS, *DEAD_WORDS])
def test_what_the_gateway_shows_outranks_every_belief(belief: Status, word: str) -> None:
    """Whatever we held true, a refund that is shown stands as it is shown."""
    story = standing(belief)
    assert story.status() is belief
    story.shows(story.ours(status=word))
    story.quote()
    assert story.status() is naive_status([word])
    surprised = belief in (Status.DECLINED, Status.DROPPED, Status.NOT_MADE)
    assert story.record().surprise is (belief if surprised else None)


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(OBSERVED, 2)))
def test_rank_beats_the_clock(first: str, second: str) -> None:
    """A look that began earlier may arrive later: the higher rank wins either way, of two finals the smaller."""
    for at in (START + MINUTE, START - MINUTE):
        story = Story().claimed()
        story.shows(story.ours(status=first))
        story.quote()
        story.shows(story.ours(status=second))
        story.quote(at=at)
        assert story.status() is naive_status([first, second])


def test_succeeded_can_fail_and_the_amount_is_open_again() -> None:
    """A success is not final: its failure is applied, whenever it comes (failures C05, C07)."""
    # failure: C05
    # failure: C07
    story = standing(Status.SUCCEEDED)
    story.shows(attrs.evolve(story.ours(status="failed"), failure_reason="declined"))
    story.quote()
    assert story.status() is Status.FAILED
    assert refundable(story.ledger) == usd(WHOLE)


@st.composite
def _observations(draw: st.DrawFn) -> list[RefundObserved]:
    """Up to six observations, each of another moment, of up to three refunds; what cannot change does not."""
    words = st.sampled_from(["pending", "requires_action", "succeeded", "failed", "canceled", "new_word"])
    fixed = [
        (f"re_{n}", draw(st.sampled_from([None, "r1", f"lost{n}"])), draw(st.integers(1, 90))) for n in range(3)
    ]
    failure = st.sampled_from([None, None, "declined", DISPUTE_FAILURE])
    seen = []
    for number in range(draw(st.integers(1, 6))):
        gateway_id, mark, minor = draw(st.sampled_from(fixed))
        word = draw(words)
        one = attrs.evolve(
            refund(gateway_id, WHOLE if mark == "r1" else minor, word),
            mark=draw(st.sampled_from([None, mark])) if number else mark,
            failure_reason=draw(failure) if word in DEAD_WORDS else None,
            pending_reason=draw(st.sampled_from([None, "processing", "insufficient_funds"])),
        )
        seen.append(RefundObserved(at=START + number * SECOND, refund=one))
    return seen


def _known(ledger: Ledger) -> object:
    """All that an observation may change, but for the details that only the latest word decides."""
    return (
        [(seen.refund.id, seen.status, seen.refund.mark, seen.seen_at) for seen in ledger.observed],
        [seen.refund.pending_reason for seen in ledger.observed],
        [seen.refund.failure_reason == DISPUTE_FAILURE for seen in ledger.observed],
        sorted((record.id, status_of(ledger, record), record.surprise) for record in ledger.refunds),
        refundable(ledger),
        listed_minor(ledger),
    )


@given(data=st.data(), seen=_observations(), belief=st.sampled_from(BELIEFS))
def test_no_order_and_no_repetition_of_observations_matters(
    data: st.DataObject, seen: list[RefundObserved], belief: Status
) -> None:
    """Every order of the same observations, some of them twice, gives one result: status, amounts, marks
    (failures A03, B13)."""
    # failure: A03
    # failure: B13
    ledger = BELIEVED[belief]
    order = data.draw(st.permutations(seen))
    again = data.draw(st.lists(st.sampled_from(seen), max_size=3))
    assert _known(fold(ledger, order)) == _known(fold(ledger, seen))
    assert _known(fold(ledger, [*order, *again])) == _known(fold(ledger, seen))
    for one in fold(ledger, order).observed:
        words = [event.refund.status for event in seen if event.refund.id == one.refund.id]
        assert one.status is naive_status(words)


BELIEVED = {belief: standing(belief).ledger for belief in BELIEFS}


def test_details_are_those_of_the_later_look_at_equal_status() -> None:
    """Of two looks at one pending refund the later one's reason is shown, whichever was written down first."""
    early = attrs.evolve(refund(), pending_reason="processing")
    late = attrs.evolve(refund(), pending_reason="insufficient_funds")
    events = [RefundObserved(at=START, refund=early), RefundObserved(at=START + SECOND, refund=late)]
    for order in (events, events[::-1]):
        (one,) = fold(EMPTY, order).observed
        assert one.refund.pending_reason == "insufficient_funds"
        assert one.seen_at == START + SECOND


def test_what_once_was_known_stays_known() -> None:
    """A mark, a trace reference, a failure reason are not lost by a look that lacks them."""
    rich = attrs.evolve(
        refund(status="failed"),
        mark="r1",
        trace=Trace(kind="refund", reference="arn-1"),
        failure_reason="declined",
    )
    poor = attrs.evolve(refund(status="failed"), trace=Trace(kind="refund"))
    for later in (poor, refund(status="failed"), refund(status="canceled")):
        events = [RefundObserved(at=START, refund=rich), RefundObserved(at=START + SECOND, refund=later)]
        for order in (events, events[::-1]):
            (one,) = fold(EMPTY, order).observed
            assert one.refund.status == later.status
            assert one.refund.mark == "r1"
            assert one.refund.trace == Trace(kind="refund", reference="arn-1")
            assert one.refund.failure_reason == "declined"


def test_a_later_trace_takes_the_place_of_an_earlier_one() -> None:
    """A trace that first is pending and then a reversal is shown as the reversal."""
    pending = attrs.evolve(refund(status="succeeded"), trace=Trace(kind="pending"))
    reversal = attrs.evolve(refund(status="succeeded"), trace=Trace(kind="reversal"))
    events = [RefundObserved(at=START, refund=pending), RefundObserved(at=START + SECOND, refund=reversal)]
    assert [one.refund.trace for one in fold(EMPTY, events).observed] == [Trace(kind="reversal")]


def test_the_reason_that_forbids_another_try_outlives_any_other() -> None:
    """A dispute once named as the cause of a failure stays the cause, in any order and under any final word."""
    for words in itertools.product(DEAD_WORDS, repeat=2):
        dispute = attrs.evolve(refund(status=words[0]), failure_reason=DISPUTE_FAILURE)
        other = attrs.evolve(refund(status=words[1]), failure_reason="declined")
        events = [RefundObserved(at=START, refund=dispute), RefundObserved(at=START + SECOND, refund=other)]
        for order in (events, events[::-1]):
            assert [one.refund.failure_reason for one in fold(EMPTY, order).observed] == [DISPUTE_FAILURE]


def test_a_mark_that_is_edited_at_the_gateway_stays_the_first() -> None:
    """Metadata can be edited by a person: our refund stays ours, and no second one of ours appears."""
    story = standing(Status.SUCCEEDED)
    story.shows(attrs.evolve(story.ours(), mark="somebody-else"))
    story.quote()
    assert [record.id for record in story.ledger.refunds] == ["r1"]
    assert story.status() is Status.SUCCEEDED
    assert in_flight(story.ledger) is None


@given(st.lists(given_a.payments(ref=REF), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_payment_is_as_the_last_look_on_record_showed_it(payments: list[Payment], chance: Random) -> None:
    """Of looks that each saw the payment otherwise, the one written down last holds, whatever their clocks said:
    the decider lets none be written that may be older than what stands."""
    times = [START + number * SECOND for number in range(len(payments))]
    chance.shuffle(times)
    events = [PaymentSeen(at=at, payment=payment) for at, payment in zip(times, payments, strict=True)]
    ledger = fold(EMPTY, events)
    assert (ledger.payment, ledger.seen_at) == (payments[-1], times[-1])
    assert (ledger.sightings, ledger.latest) == (len(payments), max(times))


# --- whose refund it is ------------------------------------------------------------------------------------


def test_a_refund_with_our_mark_and_no_record_is_adopted() -> None:
    """The journal was lost: a refund that bears our mark is ours again, with what the gateway knows
    (failures B09, B15)."""
    # failure: A04
    # failure: B09
    # failure: B15
    story = Story().shows(attrs.evolve(refund(status="succeeded"), mark="lost-1"))
    story.quote()
    record = record_of(story.ledger, "lost-1")
    assert record is not None
    assert record.request is None
    assert status_of(story.ledger, record) is Status.SUCCEEDED
    assert is_ours(story.ledger, story.listed["re_1"])
    assert codes(story.request("r2")) == {"already_refunded"}


def test_another_amount_under_our_mark_is_not_our_refund() -> None:
    """Sameness is mark and amount: what differs is counted in the list, but is not the refund asked for."""
    story = standing(Status.IN_DOUBT)
    odd = attrs.evolve(refund("re_odd", 70_00, "succeeded"), mark="r1")
    story.shows(odd)
    story.quote()
    assert story.status() is Status.IN_DOUBT
    assert not is_ours(story.ledger, odd)
    assert shown(story.ledger, story.record()) is None


def test_of_two_refunds_with_our_mark_the_live_one_counts() -> None:
    """Should the gateway ever show one of ours twice, what holds money is what is shown."""
    for word in LIVE_WORDS:
        for first, second in (("re_a", "re_b"), ("re_b", "re_a")):
            story = standing(Status.IN_DOUBT)
            story.shows(
                attrs.evolve(story.ours(status="failed"), id=first),
                attrs.evolve(story.ours(status=word), id=second),
            )
            story.quote()
            assert story.status() is naive_status([word])


@given(st.integers(1, 100), st.integers(1, 100))
def test_equal_refunds_are_told_apart_by_id_never_by_amount_or_date(first: int, second: int) -> None:
    """Two refunds of one amount, made in the same second, are two (failure A13)."""
    # failure: A13
    story = Story().shows(refund("re_a", first, "succeeded"), refund("re_b", second, "succeeded"))
    story.quote()
    assert listed_minor(story.ledger) == first + second


# --- answers -----------------------------------------------------------------------------------------------


def test_a_yes_after_a_no_on_another_claim_is_no_surprise_in_either_order() -> None:
    """A timeout that executed, then a no for the second send: declined was never believed, so nothing
    contradicts it."""
    results = []
    for order in ((1, 2), (2, 1)):
        story = Story().claimed()
        story.until_due().look()
        assert len(story.record().claims) == 2
        said: dict[int, Answer] = {1: Declined(code="already"), 2: Accepted(refund=story.ours())}
        for number in order:
            story.answer(said[number], claim=number)
        results.append((story.status(), story.record().surprise, story.ledger.observed))
    assert results[0] == results[1]
    assert results[0][:2] == (Status.SUCCEEDED, None)


def test_a_late_no_to_a_refund_that_is_shown_changes_nothing() -> None:
    """The second send was refused because the first had executed, and a look came before both answers: what is
    shown stands, and seeing it go on is no surprise."""
    story = Story().claimed()
    story.shows(story.ours(status="pending")).wait(MINUTE)
    story.quote()
    story.answer(Declined(code="charge_already_refunded"))
    assert story.status() is Status.PENDING
    story.shows(story.ours()).wait(MINUTE)
    story.quote()
    assert story.status() is Status.SUCCEEDED
    assert story.record().surprise is None


def test_the_age_of_a_key_runs_from_the_first_claim_not_answered_not_sent() -> None:
    """Claims that never executed do not age the key; one that may have executed does, whatever follows."""
    story = Story().claimed()
    assert story.record().doubted_since == START
    story.answer(NotSent(why="refused"))
    assert story.record().doubted_since is None
    story.until_due().look()
    second = story.now
    assert story.record().doubted_since == second
    story.answer(OutcomeUnknown(why="timeout"))
    story.wait(10 * MINUTE).look()
    story.answer(NotSent(why="refused"))
    assert story.record().doubted_since == second


def test_a_no_is_a_decline_only_when_no_other_claim_is_open() -> None:
    """A timeout that may have executed and then a no is still a doubt; two noes are a no (failures A08, B01)."""
    # failure: A08
    # failure: B01
    story = Story().claimed()
    story.until_due().look()
    story.answer(Declined(code="no"), claim=2)
    assert story.status() is Status.IN_DOUBT
    story.answer(Declined(code="no"), claim=1)
    assert story.status() is Status.DECLINED
    assert refundable(story.ledger) == usd(WHOLE)
    story.wait(MINUTE).quote()
    assert "RefundRequested" in kinds(story.request("r2"))


# --- evolve is total ---------------------------------------------------------------------------------------


@given(st.lists(given_a.events(ref=REF, currency=usd(0).currency), max_size=12))
def test_every_event_has_a_place_on_every_ledger(events: list[Event]) -> None:
    """Even a run of events that never happened folds without raising, one by one as well as all at once."""
    ledger = EMPTY
    for event in events:
        ledger = evolve(ledger, event)
        assert ledger.latest is not None
        assert ledger.latest >= event.at
    assert ledger == fold(EMPTY, events)
    for record in ledger.refunds:
        assert status_of(ledger, record) in Status


def test_events_about_a_refund_nobody_requested_make_its_record() -> None:
    """A journal that lost its beginning still folds: claims, answers and ends make the record they speak of."""
    send = Send(
        refund_id="r9",
        claim=1,
        payment=REF,
        amount=usd(1),
        reason=Reason.DUPLICATE,
        split=PlatformCharge(),
    )
    seen = attrs.evolve(refund(amount_minor=1), mark="r9")
    cases: list[tuple[Event, Status]] = [
        (SendClaimed(at=START, send=send), Status.IN_DOUBT),
        (SendAnswered(at=START, refund_id="r9", claim=1, answer=Declined(code="no")), Status.REQUESTED),
        (SendAnswered(at=START, refund_id="r9", claim=1, answer=Accepted(refund=seen)), Status.PENDING),
        (SendAnswered(at=START, refund_id="r9", claim=1, answer=Accepted(refund=refund())), Status.REQUESTED),
        (RefundDropped(at=START, refund_id="r9", reasons=(NothingLeft(),)), Status.DROPPED),
        (RefundNotMade(at=START, refund_id="r9"), Status.NOT_MADE),
        (PersonAsked(at=START, refund_id="r9"), Status.REQUESTED),
    ]
    for event, status in cases:
        ledger = evolve(EMPTY, event)
        assert [(record.id, status_of(ledger, record)) for record in ledger.refunds] == [("r9", status)]
    requested = RefundRequested(
        at=START,
        refund_id="r9",
        request_id="q9",
        amount=usd(1),
        reason=Reason.DUPLICATE,
        quoted_at=START,
        by=MARIA,
    )
    assert evolve(EMPTY, requested).refunds[0].request == requested


def test_refunds_keep_the_order_of_their_requests_and_the_list_that_of_its_making() -> None:
    """Ours by request; the gateway's by when they were made, then by id."""
    story = standing(Status.FAILED)
    story.request("r2")
    story.look()
    story.answer(NotSent(why="refused"))
    assert [record.id for record in story.ledger.refunds] == ["r1", "r2"]
    older = attrs.evolve(refund("re_z", 1), created_at=START - MINUTE)
    story.shows(refund("re_b", 1), refund("re_a", 1), older)
    story.quote()
    made: list[GatewayRefund] = [seen.refund for seen in story.ledger.observed]
    assert [one.id for one in made] == ["re_z", "re_a", "re_b", "re_r1"]
