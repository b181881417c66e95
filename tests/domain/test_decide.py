"""The decider: total, quiet without news, within its laws over random histories and by example."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_domain.answers import Accepted, Answer, Declined, Missing, NotSent, OutcomeUnknown, Unread
from refund_domain.commands import Choice, IssueRefund
from refund_domain.decider.attention import attention
from refund_domain.decider.decide import decide, licensed, owed
from refund_domain.decider.inputs import (
    FreeLook,
    GatewayAnswered,
    Input,
    OwedLook,
    RecordOutside,
    RequestRefund,
    SettleAttention,
)
from refund_domain.decider.ledger import EMPTY, TRANSITIONS, Status, fold
from refund_domain.events import (
    EVENTS,
    RefundNotMade,
    SendClaimed,
    StreamOpened,
)
from refund_domain.money import Currency, Money
from refund_domain.payments import Dispute, OutsideRef
from refund_domain.refusals import (
    CurrencyNotSupported,
    InFlight,
    NotAskedFor,
    NotFound,
    QuoteStale,
    Refused,
    RequestReused,
    TooMuchOutside,
)
from refund_domain.rules.arrival import weekdays
from refund_domain.rules.eligibility import refundable
from refund_domain.testing import strategies as given_a
from refund_domain.views import view_payment
from tests.domain.chance import Met, explore
from tests.domain.histories import (
    DAY,
    HOUR,
    MARIA,
    MINUTE,
    POLICY,
    REF,
    SECOND,
    START,
    STRANGER,
    WHOLE,
    Story,
    card,
    codes,
    kinds,
    refund,
    standing,
    usd,
)

# --- over random histories -----------------------------------------------------------------------------------


@pytest.mark.parametrize("block", range(6))
def test_every_step_of_random_histories_keeps_every_law(block: int) -> None:
    """Total, quiet without news, within TRANSITIONS, one under way, never more than is left: over random
    histories, which meet every status, every event and most steps of the table (failures B02, B07, D06)."""
    # failure: B02
    # failure: B07
    # failure: D06
    met = Met()
    for number in range(400):
        explore(f"{block}/{number}", 40, met)
    # A search that never gets anywhere proves nothing.
    steps = {(before, after) for before, row in TRANSITIONS.items() for after in row}
    assert met.statuses == set(Status)
    assert len(met.edges & steps) > len(steps) // 2
    of_controls = {"Paused", "Resumed", "AllowanceTaken"}
    assert set(met.events) == {kind.__name__ for kind in EVENTS} - of_controls
    assert met.waiting >= {"adopted", "alarm", "canceled", "declined", "dropped", "failed", "look", "mark", "not"}
    assert met.refusals >= {
        "in_flight",
        "already_refunded",
        "disputed",
        "amount_changed",
        "quote_stale",
        "not_found",
    }


REQUESTS = given_a.issue_refunds(payment=REF) | given_a.issue_refunds(payment=REF, by=MARIA)
INPUTS: st.SearchStrategy[Input] = st.one_of(
    st.builds(RequestRefund, at=given_a.times(), refund_id=st.sampled_from(["r1", "r2"]), command=REQUESTS),
    st.builds(
        OwedLook,
        at=given_a.times(),
        latest=given_a.times(),
        look=given_a.looks(ref=REF),
        sightings=st.integers(0, 2),
    ),
    st.builds(
        FreeLook,
        at=given_a.times(),
        picture=given_a.pictures(ref=REF, marks=("r1", "r7")),
        tenant=st.sampled_from([None, "acme", "zenith"]),
        sightings=st.integers(0, 2),
    ),
    st.builds(
        GatewayAnswered,
        at=given_a.times(),
        refund_id=st.sampled_from(["r1", "r2"]),
        claim=st.integers(-1, 3),
        answer=given_a.answers(),
    ),
    st.builds(
        RecordOutside,
        at=given_a.times(),
        record_id=st.sampled_from(["o1", "o2"]),
        ref=st.just(REF) | given_a.outside_refs(),
        amount=given_a.money(min_minor=1),
        how=given_a.texts(),
        by=given_a.actors(),
    ),
    st.builds(
        SettleAttention,
        at=given_a.times(),
        subject=given_a.ids() | st.just("r1"),
        code=given_a.texts(),
        choice=given_a.choices(),
        by=given_a.actors(),
    ),
)
STANDING = {status: standing(status).ledger for status in Status}


@given(st.sampled_from([None, *Status]), st.lists(INPUTS, min_size=1, max_size=4))
def test_nothing_makes_it_raise(status: Status | None, inputs: list[Input]) -> None:
    """Total: the strangest inputs, in any currency and at any time, are decided, shown and listed, on an empty
    ledger and on one with a refund in any status."""
    ledger = EMPTY if status is None else STANDING[status]
    for one in inputs:
        said = decide(ledger, one, POLICY)
        if not isinstance(said, Refused):
            ledger = fold(ledger, said)
        assert isinstance(said, Refused) or all(isinstance(event, EVENTS) for event in said)
        view_payment(ledger, REF, one.at, POLICY, weekdays)
        attention(ledger)


# --- requests ------------------------------------------------------------------------------------------------


def test_the_same_decision_again_is_the_same_refund() -> None:
    """A double click, a back button, a client that lost its answer: one request, even when the quote has
    grown stale since (failures A01, A10)."""
    # failure: A01
    # failure: A10
    story = Story()
    story.quote()
    assert kinds(story.request("r1", request_id="q1")) == ["RefundRequested", "LookScheduled"]
    assert story.request("r2", request_id="q1") == ()
    story.look()
    assert story.wait(DAY).request("r3", request_id="q1", quoted_at=START, amount=usd(WHOLE)) == ()
    assert [record.id for record in story.ledger.refunds] == ["r1"]
    assert story.request("r4", request_id="q1", amount=usd(1)) == Refused((RequestReused(amount=usd(WHOLE)),))


def test_a_request_is_owed_a_look_at_once_and_keeps_what_was_decided() -> None:
    """The event carries who, when, why and what they saw; the look before the send is due immediately."""
    story = Story()
    story.quote()
    story.wait(MINUTE).request(quoted_at=START)
    request = story.record().request
    assert request is not None
    assert (request.by, request.at, request.quoted_at, request.amount) == (MARIA, story.now, START, usd(WHOLE))
    assert story.ledger.due == story.now
    assert owed(story.ledger, story.now)
    assert not owed(story.ledger, story.now - SECOND)
    assert not owed(EMPTY, story.now)


def test_another_tenants_payment_looks_like_one_that_was_never_quoted() -> None:
    """Whoever asks for a payment that is not theirs learns nothing, not even that it exists."""
    story = standing(Status.SUCCEEDED)
    commands: list[Input] = [
        RequestRefund(
            at=story.now,
            refund_id="r2",
            command=IssueRefund(
                payment=REF, request_id="q-r1", amount=usd(WHOLE), quoted_at=story.now, by=STRANGER
            ),
        ),
        RecordOutside(at=story.now, record_id="o1", ref=REF, amount=usd(1), how="cash", by=STRANGER),
        SettleAttention(at=story.now, subject="r1", code="failed", choice=Choice.NOTED, by=STRANGER),
    ]
    for command in commands:
        assert decide(story.ledger, command, POLICY) == decide(EMPTY, command, POLICY)
        assert codes(decide(EMPTY, command, POLICY)) >= {"not_found"}
    look = FreeLook(at=story.now, picture=story.picture(), tenant="zenith", sightings=story.ledger.sightings)
    assert decide(story.ledger, look, POLICY) == Refused((NotFound(),))


# --- records of money given back outside -----------------------------------------------------------------------


def test_a_record_counts_once_and_only_its_own_amount() -> None:
    """The same record id records once; with another amount it is refused, not swallowed."""
    story = Story(card(100))
    story.quote()
    assert kinds(story.outside(30, "o1")) == ["OutsideRecorded"]
    assert story.outside(30, "o1") == ()
    assert story.outside(31, "o1") == Refused((RequestReused(amount=usd(30)),))
    assert refundable(story.ledger) == usd(70)
    assert story.outside(71, "o2") == Refused((TooMuchOutside(asked=usd(71), left=usd(70)),))
    assert kinds(story.outside(70, "o2")) == ["OutsideRecorded"]
    assert refundable(story.ledger) == usd(0)


@pytest.mark.parametrize("status", Status)
def test_nothing_is_recorded_outside_while_a_refund_is_under_way(status: Status) -> None:
    """Requested, in doubt and pending refuse it by name; a success leaves nothing; the rest leave it open."""
    story = standing(status)
    said = story.outside(WHOLE)
    if status in (Status.REQUESTED, Status.IN_DOUBT, Status.PENDING):
        assert said == Refused((InFlight(refund_id="r1", status=status),))
    elif status is Status.SUCCEEDED:
        assert codes(said) == {"too_much_outside"}
    else:
        assert kinds(said) == ["OutsideRecorded"]


def test_records_of_another_currency_and_of_unseen_payments_are_refused() -> None:
    """Nothing is converted, and what was never seen has no amount."""
    euro = Money(1, Currency.of("EUR"))
    story = Story()
    unseen = Refused((NotFound(), QuoteStale(quoted_at=None)))
    assert story.outside(1) == unseen
    opened = fold(EMPTY, [StreamOpened(at=START, tenant="acme")])
    record = RecordOutside(at=START, record_id="o1", ref=REF, amount=usd(1), how="cash", by=MARIA)
    assert decide(opened, record, POLICY) == unseen
    story.quote()
    assert story.outside(1, amount=euro) == Refused((CurrencyNotSupported(currency="EUR", expected="USD"),))


def test_a_stream_of_records_keeps_its_currency() -> None:
    """The host tells another amount of the same cash: fine; in another currency: refused, both named."""
    cash = OutsideRef(id="cash-1", method="cash", amount=usd(50))
    euros = attrs.evolve(cash, amount=Money(50, Currency.of("EUR")))
    story = Story()
    story.outside(20, "o1", ref=cash)
    assert kinds(story.outside(40, "o2", ref=attrs.evolve(cash, amount=usd(60)))) == ["OutsideRecorded"]
    for ref, amount in ((euros, euros.amount), (euros, usd(1)), (cash, euros.amount)):
        said = story.outside(1, "o3", ref=ref, amount=amount)
        assert said == Refused((CurrencyNotSupported(currency="EUR", expected="USD"),))


def test_a_record_opens_the_stream_of_money_taken_outside_for_its_owner() -> None:
    """The first record writes the tenant; another tenant is then told that there is no such payment."""
    cash = OutsideRef(id="cash-1", method="cash", amount=usd(50))
    story = Story()
    assert kinds(story.outside(20, "o1", ref=cash)) == ["StreamOpened", "OutsideRecorded"]
    assert kinds(story.outside(20, "o2", ref=cash)) == ["OutsideRecorded"]
    assert codes(story.outside(1, "o3", ref=cash, by=STRANGER)) == {"not_found", "quote_stale"}


# --- looks -----------------------------------------------------------------------------------------------------


def test_a_free_look_opens_a_stream_only_for_an_owner() -> None:
    """A webhook about a payment nobody ever asked about is set aside; a quote opens it once (failure C16)."""
    # failure: C16
    story = Story()
    assert story.quote(tenant=None) == ()
    assert kinds(story.quote()) == ["StreamOpened", "PaymentSeen"]
    assert story.quote() == ()
    assert story.quote(tenant=None) == ()
    story.shows(refund(amount_minor=1))
    assert kinds(story.quote(tenant=None)) == ["RefundObserved", "LookScheduled"]


def test_news_asks_for_a_look_only_if_none_is_due_sooner() -> None:
    """Free looks may bring the due time forward and never put it off."""
    story = Story().shows(refund(amount_minor=1))
    story.quote()
    assert story.ledger.due == START + 10 * MINUTE
    story.shows(refund("re_2", 1))
    assert kinds(story.wait(MINUTE).quote()) == ["RefundObserved"]
    assert story.ledger.due == START + 10 * MINUTE
    story.until_due().look()
    story.until_due().look()
    later = story.ledger.due
    story.shows(refund("re_3", 1))
    assert kinds(story.quote()) == ["RefundObserved", "LookScheduled"]
    assert later is not None
    assert story.ledger.due is not None
    assert story.ledger.due < later


def test_a_look_begun_before_anothers_claim_neither_claims_nor_ends() -> None:
    """Two workers look at once; the one beaten to the append decides again and finds nothing owed."""
    story = Story()
    story.quote()
    story.request()
    for behind in (timedelta(0), SECOND, MINUTE):
        early = OwedLook(at=story.now, latest=story.now, look=story.picture(), sightings=story.ledger.sightings)
        assert "SendClaimed" in kinds(decide(story.ledger, early, POLICY))
        beaten = Story()
        beaten.ledger, beaten.events = story.ledger, list(story.events)
        beaten.wait(behind).look()
        assert beaten.give(early) == ()
        assert beaten.give(attrs.evolve(early, look=Unread(why="no answer"))) == ()


def test_a_look_that_is_not_owed_brings_its_news_all_the_same() -> None:
    """The worker that came late still saw something; what it saw is written down."""
    story = Story().claimed()
    story.shows(story.ours())
    assert kinds(story.wait(SECOND).look()) == ["RefundObserved"]
    assert story.status() is Status.SUCCEEDED


@pytest.mark.parametrize(("behind", "acts"), [(5 * MINUTE, True), (5 * MINUTE + SECOND, False)])
def test_a_clock_that_fell_behind_by_more_than_the_skew_only_looks(behind: timedelta, acts: bool) -> None:
    """Exactly the skew still acts; one second more brings the news, moves the due time and nothing else."""
    story = Story()
    story.quote()
    story.request()
    look = OwedLook(
        at=story.now, latest=story.now + behind, look=story.picture(), sightings=story.ledger.sightings
    )
    assert ("SendClaimed" in kinds(decide(story.ledger, look, POLICY))) is acts
    if not acts:
        assert kinds(story.give(look)) == ["LookScheduled"]
        assert story.ledger.due == story.now + MINUTE


def test_a_stream_that_nobody_opened_owes_no_look() -> None:
    """Whatever is seen for a payment that no tenant has here: nothing is written, as nobody may be shown it."""
    story = Story()
    for seen in (story.picture(), Missing(), Unread(why="timeout")):
        look = OwedLook(at=START, latest=START, look=seen, sightings=EMPTY.sightings)
        assert decide(EMPTY, look, POLICY) == ()


def test_nothing_is_decided_on_a_picture_that_another_look_has_overtaken() -> None:
    """A dispute opens between the reading of a look and its writing, and another look has put it on record: the
    older figures neither replace it nor lead to a send, whatever the clocks say (failure H04)."""
    # failure: H04
    story = Story()
    story.quote()
    story.request()
    before = story.picture()
    dispute = Dispute(id="dp_1", amount=usd(WHOLE), status="needs_response")
    story.payment = attrs.evolve(story.payment, disputes=(dispute,))
    story.quote()
    assert story.wait(MINUTE).look(before, overlaps=True) == ()
    assert story.ledger.payment == story.payment
    assert story.status() is Status.REQUESTED
    assert story.look(Missing(), overlaps=True) == ()
    assert kinds(story.look()) == ["RefundDropped", "LookScheduled"]


def test_looks_that_cannot_be_read_are_scheduled_again_and_named() -> None:
    """Unread and Missing decide nothing about a doubt; what a person must mend is told (failure B02)."""
    # failure: B02
    story = Story().claimed()
    for look, alarm in ((Unread(why="no answer"), None), (Unread(why="401", alarm="bad_key"), "bad_key")):
        said = story.until_due().look(look)
        assert kinds(said) == ["LookScheduled"]
        assert story.ledger.alarm == alarm
    story.until_due().look(Missing())
    assert story.ledger.alarm == "not_found"
    assert story.status() is Status.IN_DOUBT
    for _ in range(60):
        story.until_due().look(Unread(why="no answer"))
    assert story.status() is Status.IN_DOUBT
    assert story.ledger.alarm == "unreadable"
    assert refundable(story.ledger) == usd(0)
    story.until_due().look()
    assert story.status() is Status.NOT_MADE
    assert story.ledger.alarm is None


def test_a_gateway_that_cannot_be_read_for_long_calls_a_person() -> None:
    """Once or twice unread is weather; after eight fruitless looks somebody is told, and a look that can be read
    takes it back."""
    story = Story()
    story.quote()
    story.request()
    alarms = []
    for _ in range(10):
        story.until_due().look(Unread(why="no answer"))
        alarms.append(story.ledger.alarm)
    assert alarms == [None] * 8 + ["unreadable"] * 2
    story.until_due().look()
    assert story.ledger.alarm is None


def test_a_clock_that_fell_back_is_told() -> None:
    """Looks are made and nothing is decided until the clock is mended: a person has to know."""
    story = Story()
    story.quote()
    story.request()
    story.give(
        OwedLook(
            at=story.now, latest=story.now + 6 * MINUTE, look=story.picture(), sightings=story.ledger.sightings
        )
    )
    assert [item.code for item in attention(story.ledger)] == ["look_alarm_clock"]
    story.wait(6 * MINUTE).look()
    assert attention(story.ledger) == ()
    assert story.status() is Status.IN_DOUBT


# --- answers ---------------------------------------------------------------------------------------------------

ANSWERS: tuple[Answer, ...] = (
    Declined(code="no"),
    NotSent(why="refused"),
    OutcomeUnknown(why="timeout"),
    OutcomeUnknown(why="503", resend=False),
)


@pytest.mark.parametrize("first", ANSWERS)
@pytest.mark.parametrize("second", ANSWERS)
def test_answering_twice_appends_nothing(first: Answer, second: Answer) -> None:
    """The first answer to a claim stands; another, even a different one, is no news."""
    story = Story().claimed()
    assert "SendAnswered" in kinds(story.answer(first, claim=1))
    before = story.ledger
    assert story.answer(second, claim=1) == ()
    assert story.ledger == before


def test_a_late_yes_to_an_answered_claim_is_an_observation() -> None:
    """Money that moved is news whoever reports it: nothing is booked on the claim, the refund is adopted."""
    story = Story().claimed()
    story.answer(Declined(code="no"))
    said = story.answer(Accepted(refund=story.ours()), claim=1)
    assert kinds(said) == ["RefundObserved", "LookScheduled"]
    assert story.record().claims[0].answer == Declined(code="no")
    assert (story.status(), story.record().surprise) == (Status.SUCCEEDED, Status.DECLINED)


def test_an_accepted_body_that_is_not_this_refund_leaves_the_outcome_unknown() -> None:
    """Another mark, no mark, another amount: the key is of no use any more and sending waits for a person."""
    for wrong in ("mark", "unmarked", "amount"):
        story = Story().claimed()
        right = story.ours()
        body = {
            "mark": attrs.evolve(right, mark="r9"),
            "unmarked": attrs.evolve(right, mark=None),
            "amount": attrs.evolve(right, amount=usd(1)),
        }[wrong]
        story.answer(Accepted(refund=body))
        (claim,) = story.record().claims
        assert isinstance(claim.answer, OutcomeUnknown)
        assert (claim.answer.resend, story.record().alarm) == (False, "not_our_refund")
        assert (story.status(), story.ledger.observed) == (Status.IN_DOUBT, ())
        assert story.answer(Accepted(refund=body), claim=1) == ()


def test_an_answer_names_its_claim_or_is_nobodys() -> None:
    """Claims and refunds that do not exist have no answers; each claim has its own."""
    story = Story().claimed()
    for claim in (-1, 0, 2, 99):
        assert story.answer(Declined(code="no"), claim=claim) == ()
    stray = GatewayAnswered(at=START, refund_id="r9", claim=1, answer=Declined(code="no"))
    assert story.give(stray) == ()
    story.until_due().look()
    story.answer(Declined(code="no"), claim=2)
    assert [claim.answer for claim in story.record().claims] == [None, Declined(code="no")]


def test_what_answers_do_to_the_due_time() -> None:
    """A yes is watched, a no ends the looking, not sent backs off, an alarm waits a day, a doubt is looked at
    soon but not while its worker may still be sending (failure B01)."""
    # failure: B01
    cases: list[tuple[Answer, timedelta | None]] = [
        (Declined(code="no"), None),
        (NotSent(why="429"), MINUTE),
        (NotSent(why="401", alarm="bad_key"), DAY),
        (OutcomeUnknown(why="timeout"), 2 * MINUTE),
        (OutcomeUnknown(why="403", alarm="rights"), DAY),
    ]
    for answer, after in cases:
        story = Story().claimed()
        assert story.ledger.due == START + 2 * MINUTE
        story.answer(answer)
        assert story.ledger.due == (None if after is None else START + after)
    story = Story().claimed()
    story.answer(Accepted(refund=story.ours(status="pending")))
    assert story.ledger.due == START + 10 * MINUTE
    story = Story().claimed()
    story.answer(Accepted(refund=story.ours()))
    assert story.ledger.due == START + DAY


# --- the licence ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "good"),
    [
        (timedelta(0), True),
        (60 * SECOND, True),
        (61 * SECOND, False),
        (-5 * MINUTE, True),
        (-5 * MINUTE - SECOND, False),
    ],
)
def test_a_licence_lasts_exactly_one_minute(age: timedelta, good: bool) -> None:
    """60 seconds are young, 61 are not; a clock that fell back by more than the skew cannot tell."""
    story = Story()
    story.quote()
    story.request()
    said = story.look()
    assert not isinstance(said, Refused)
    send = licensed(said, START + age, POLICY)
    assert (send is not None) is good
    assert send is None or (send.refund_id, send.amount, send.claim) == ("r1", usd(WHOLE), 1)


def test_only_a_freshly_appended_claim_licenses_a_send() -> None:
    """Whoever did not append the claim has nothing to send: no other event ever licenses."""
    story = Story()
    story.quote()
    story.request()
    assert licensed(story.events, START, POLICY) is None
    story.look()
    others = [event for event in story.events if not isinstance(event, SendClaimed)]
    assert licensed(others, START, POLICY) is None
    assert licensed((), START, POLICY) is None


# --- what waits for a person -------------------------------------------------------------------------------------


def test_settle_offers_exactly_the_choices_and_nothing_sends() -> None:
    """Each item takes its own choices and refuses the rest; no answer leads to a claim, none counts twice."""
    for status, code in ((Status.FAILED, "failed"), (Status.DECLINED, "declined"), (Status.NOT_MADE, "not_made")):
        story = standing(status)
        for choice in (Choice.NOT_MADE, Choice.KEEP_LOOKING):
            assert story.settle("r1", code, choice) == Refused((NotAskedFor(),))
        assert kinds(story.settle("r1", code, Choice.NOTED)) == ["AttentionSettled"]
        assert story.settle("r1", code, Choice.NOTED) == Refused((NotAskedFor(),))
        assert story.settle("r1", "another", Choice.NOTED) == Refused((NotAskedFor(),))
        assert story.settle("r9", code, Choice.NOTED) == Refused((NotAskedFor(),))


def test_a_person_may_end_a_burnt_doubt_or_have_it_looked_for_longer() -> None:
    """Asked past the last edge: keep looking asks again after a day, not made opens the amount (never send)."""
    story = Story().claimed()
    story.answer(OutcomeUnknown(why="503", resend=False))
    story.owe(START + 28 * HOUR)
    story.look()
    (item,) = [item for item in attention(story.ledger) if item.code == "not_shown"]
    assert item.choices == (Choice.NOT_MADE, Choice.KEEP_LOOKING)
    assert story.settle("r1", "not_shown", Choice.NOTED) == Refused((NotAskedFor(),))
    assert kinds(story.settle("r1", "not_shown", Choice.KEEP_LOOKING)) == ["AttentionSettled", "LookScheduled"]
    assert (story.ledger.due, story.ledger.latest) == (story.now + DAY, story.now)
    assert not [item for item in attention(story.ledger) if item.code == "not_shown"]
    assert "PersonAsked" in kinds(story.until_due().look())
    said = story.settle("r1", "not_shown", Choice.NOT_MADE)
    assert kinds(said) == ["AttentionSettled", "RefundNotMade"]
    assert [event.by for event in story.events if isinstance(event, RefundNotMade)] == [MARIA], "who said so"
    assert story.status() is Status.NOT_MADE
    assert not any(isinstance(event, SendClaimed) and event.send.claim > 1 for event in story.events)
