"""What people are shown: refunds and payments as they stand, and the quote they verify, over a page and back."""

from __future__ import annotations

from datetime import date, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_domain.answers import Accepted, Declined, NotSent, OutcomeUnknown
from refund_domain.commands import FormError, IssueRefund, Reason
from refund_domain.decider.advice import after_failure
from refund_domain.decider.ledger import EMPTY, Status, evolve
from refund_domain.events import PersonAsked
from refund_domain.money import LIMIT_MINOR, Money
from refund_domain.payments import OutsideRef, PaymentRef, Trace
from refund_domain.payouts.funds import Funds, Payout
from refund_domain.policy import Policy
from refund_domain.quotes import (
    Booking,
    BookingQuote,
    IssueBooking,
    NotTried,
    Quote,
    fund_together,
    make_quote,
)
from refund_domain.refusals import External, NotCaptured, QuoteStale
from refund_domain.rules.arrival import ArrivalWindow, weekdays
from refund_domain.rules.funding import FromBankAccount, FromPayout
from refund_domain.testing import strategies as given_a
from refund_domain.views import PaymentView, Refund, view_payment, view_refund
from tests import canaries
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
    card,
    refund,
    standing,
    usd,
)

CASH = OutsideRef(id="cash-1", method="cash", amount=usd(40_00))
PAYOUT = Payout(id="po_1", amount=usd(500_00), arrives_on=date(2026, 3, 4))


def view(story: Story, policy: Policy = POLICY) -> PaymentView:
    """The payment as a host is shown it now."""
    return view_payment(story.ledger, REF, story.now, policy, weekdays)


def the_refund(story: Story) -> Refund:
    """Our only refund as a host is shown it now."""
    (one,) = view(story).refunds
    return one


def quote_of(story: Story, ref: PaymentRef = REF, request_id: str = "q1") -> Quote:
    """The quote a person is shown now."""
    quote = make_quote(
        story.ledger,
        ref,
        story.now,
        story.policy,
        request_id=request_id,
        is_business_day=weekdays,
    )
    return fund_together((quote,), {REF.account: Funds(payouts=(PAYOUT,))}, story.policy)[0]


# --- one refund ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", Status)
def test_a_refund_is_shown_as_it_stands_with_its_audit_trail(status: Status) -> None:
    """Whatever its status: who asked for what, when and why; only a success is settled."""
    story = standing(status)
    shown = the_refund(story)
    assert (shown.id, shown.payment, shown.amount, shown.status) == ("r1", REF, usd(WHOLE), status)
    assert (shown.requested_at, shown.requested_by, shown.request_id) == (START, "maria", "q-r1")
    assert shown.reason is Reason.REQUESTED_BY_CUSTOMER
    assert shown.settled is (status is Status.SUCCEEDED)
    assert bool(shown.gateway_id) is (status in (Status.PENDING, Status.SUCCEEDED, Status.FAILED, Status.CANCELED))
    assert bool(shown.reasons) is (status is Status.DROPPED)
    assert bool(shown.next_step) is (status in (Status.FAILED, Status.CANCELED))


@pytest.mark.parametrize("status", [Status.PENDING, Status.SUCCEEDED])
def test_r7_money_on_its_way_has_an_arrival_window_and_a_trace_once_known(status: Status) -> None:
    """R7: counted from the day the gateway made it; a refund that is not on its way has no forecast."""
    # failure: H11
    story = standing(status)
    assert the_refund(story).arrives == ArrivalWindow(earliest=date(2026, 3, 5), latest=date(2026, 3, 9))
    assert the_refund(story).trace is None
    story.shows(attrs.evolve(story.ours(status=status), trace=Trace(kind="refund", reference="arn-1")))
    story.quote()
    assert the_refund(story).trace == Trace(kind="refund", reference="arn-1")
    for other in set(Status) - {Status.PENDING, Status.SUCCEEDED}:
        assert the_refund(standing(other)).arrives is None


def test_a_calendar_that_breaks_costs_the_forecast_and_nothing_else() -> None:
    """The host's calendar raises: the refund and the quote are shown without a forecast."""

    def broken(day: date) -> bool:
        raise LookupError("no calendar for this year")

    story = standing(Status.SUCCEEDED)
    (shown,) = view_payment(story.ledger, REF, story.now, POLICY, broken).refunds
    assert (shown.status, shown.arrives) == (Status.SUCCEEDED, None)
    fresh = Story()
    fresh.quote()
    quote = make_quote(fresh.ledger, REF, START, POLICY, request_id="q", is_business_day=broken)
    assert (quote.amount, quote.arrives) == (usd(WHOLE), None)


@pytest.mark.parametrize(
    ("age", "status"),
    [
        (timedelta(0), Status.REQUESTED),
        (60 * SECOND - SECOND, Status.REQUESTED),
        (60 * SECOND, Status.IN_DOUBT),
    ],
)
def test_an_open_claim_under_a_minute_old_shows_as_requested(age: timedelta, status: Status) -> None:
    """It is being sent right now; from a minute on it is in doubt."""
    story = Story().claimed()
    assert the_refund(story.wait(age)).status is status


def test_a_send_that_may_have_executed_shows_as_in_doubt_at_once() -> None:
    """An answer was lost, or an older claim is open too: no young claim hides that."""
    story = Story().claimed()
    story.answer(OutcomeUnknown(why="timeout"))
    assert the_refund(story).status is Status.IN_DOUBT
    story = Story().claimed()
    story.until_due().look()
    assert len(story.record().claims) == 2
    assert the_refund(story).status is Status.IN_DOUBT
    # The same within the minute of the first, under a policy that polls another's pending refund so soon.
    story = Story(card(), Policy(licence=90 * SECOND, poll_first=MINUTE)).shows(refund("re_x", 1)).claimed()
    story.answer(OutcomeUnknown(why="timeout"))
    story.until_due().look()
    assert [claim.at for claim in story.record().claims] == [START, START + MINUTE]
    (shown,) = view(story, story.policy).refunds
    assert shown.status is Status.IN_DOUBT
    story = Story().claimed()
    story.answer(NotSent(why="refused"))
    story.until_due().look()
    assert the_refund(story).status is Status.REQUESTED


def test_the_detail_is_what_the_gateway_adds() -> None:
    """Why it failed, else why it is pending, else a word that is not of the four; a no shows its code."""
    story = Story().claimed()
    story.answer(Declined(code="charge_disputed"))
    assert the_refund(story).detail == "charge_disputed"
    cases = [
        ("failed", None, "declined", "declined"),
        ("pending", "insufficient_funds", None, "insufficient_funds"),
        ("pending", None, None, None),
        ("succeeded", None, None, None),
        ("canceled", None, None, None),
        ("requires_action", None, None, "requires_action"),
        ("a_new_word", None, None, "a_new_word"),
    ]
    for word, pending, failure, detail in cases:
        story = Story().claimed()
        ours = attrs.evolve(story.ours(status=word), pending_reason=pending, failure_reason=failure)
        story.shows(ours).wait(MINUTE)
        story.quote()
        assert the_refund(story).detail == detail
    assert the_refund(standing(Status.REQUESTED)).detail is None


def test_a_failure_shows_whose_move_is_next() -> None:
    """By the gateway's reason, and never that anything is sent by itself (failure C10)."""
    # failure: C10
    story = standing(Status.SUCCEEDED)
    ours = attrs.evolve(story.ours(status="failed"), failure_reason="expired_or_canceled_card")
    story.shows(ours)
    story.quote()
    shown = the_refund(story)
    assert (shown.status, shown.detail) == (Status.FAILED, "expired_or_canceled_card")
    assert shown.next_step == after_failure("expired_or_canceled_card")


def test_a_refund_known_by_its_mark_alone_is_shown_with_what_the_gateway_knows() -> None:
    """The journal was lost: amount and status are there, who asked for it is not."""
    story = Story().shows(attrs.evolve(refund(amount_minor=70_00, status="succeeded"), mark="lost"))
    story.quote()
    shown = the_refund(story)
    assert (shown.id, shown.amount, shown.status) == ("lost", usd(70_00), Status.SUCCEEDED)
    assert (shown.requested_at, shown.requested_by, shown.request_id, shown.reason) == (None, None, None, None)


def test_a_record_nobody_requested_and_nobody_shows_is_left_out_of_the_view() -> None:
    """No decider makes such a journal; meeting a damaged one, a view shows what is certain and raises nothing."""
    ledger = evolve(EMPTY, PersonAsked(at=START, refund_id="r9"))
    assert view_payment(ledger, REF, START, POLICY, weekdays).refunds == ()
    with pytest.raises(ValueError, match="neither requested nor shown"):
        view_refund(ledger, ledger.refunds[0], REF, START, POLICY, weekdays)


# --- a payment -------------------------------------------------------------------------------------------------


@given(
    captured=st.integers(1, 100),
    others=st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from([*LIVE_WORDS, "failed", "canceled"])), max_size=3
    ),
)
def test_whether_it_is_partly_or_fully_refunded_follows_from_the_ledger(
    captured: int, others: list[tuple[int, str]]
) -> None:
    """What is left is derived from the refunds, each time anew, and nothing is stored beside them: a partial
    one made elsewhere leaves the rest, and failed ones take nothing (failures C13, C14, D15)."""
    # failure: C13
    # failure: C14
    # failure: D15
    story = Story(card(captured)).shows(
        *(refund(f"re_{n}", minor, word) for n, (minor, word) in enumerate(others))
    )
    story.quote()
    shown = view(story)
    live = sum(minor for minor, word in others if word not in DEAD_WORDS)
    assert shown.left == usd(max(0, captured - live))
    assert len(shown.elsewhere) == len(others)
    assert (shown.payment, shown.seen_at, shown.drift_minor) == (story.payment, START, -live)


def test_refunds_of_others_and_records_are_shown_as_such() -> None:
    """Made elsewhere and given back outside are labelled so and never among ours (failure C15)."""
    # failure: C15
    story = standing(Status.NOT_MADE)
    story.outside(30_00)
    odd = attrs.evolve(refund("re_odd", 1_00), mark="r1")
    story.shows(refund("re_x", 20_00, "succeeded"), odd)
    story.quote()
    shown = view(story)
    assert [one.id for one in shown.refunds] == ["r1"]
    assert {one.id for one in shown.elsewhere} == {"re_x", "re_odd"}
    assert [record.amount for record in shown.outside] == [usd(30_00)]
    assert shown.left == usd(WHOLE - 30_00 - 20_00 - 1_00)


def test_money_taken_outside_shows_what_is_left_to_give_back() -> None:
    """No payment, no refunds: what was taken less what was recorded."""
    story = Story()
    story.outside(15_00, ref=CASH)
    shown = view_payment(story.ledger, CASH, START, POLICY, weekdays)
    assert (shown.left, shown.payment, shown.refunds) == (usd(25_00), None, ())
    assert [record.how for record in shown.outside] == ["cash"]


# --- the quote -------------------------------------------------------------------------------------------------


def test_a_quote_shows_all_that_a_person_should_know() -> None:
    """Amount, method, fee, what went back, where the money comes from, when it arrives, what cannot be undone
    (failure D10)."""
    # failure: D10
    story = Story(attrs.evolve(card(given_back_minor=50_00), fee=usd(6_10)))
    story.shows(refund(amount_minor=50_00, status="succeeded"), refund("re_f", 1, "failed"))
    story.quote()
    quote = quote_of(story)
    assert (quote.amount, quote.refusals, quote.captured) == (usd(150_00), (), usd(WHOLE))
    assert (quote.given_back, quote.elsewhere, quote.drift_minor) == (usd(50_00), 1, 0)
    assert (quote.fee_kept, quote.method, quote.quoted_at) == (usd(6_10), "card", START)
    assert quote.funding is not None
    (part,) = quote.funding.parts
    assert isinstance(part, FromPayout)
    assert part.after == usd(350_00)
    assert quote.arrives == ArrivalWindow(earliest=date(2026, 3, 5), latest=date(2026, 3, 9))
    assert "cannot be stopped" in quote.cannot_be_undone
    assert quote.outside_left is None


def test_a_refund_of_ours_is_no_refund_made_elsewhere() -> None:
    """Ours counts as given back, and not among those somebody else made; an odd one under our mark does."""
    story = standing(Status.FAILED)
    story.request("r2")
    story.look()
    ours, odd = story.ours("r2"), attrs.evolve(refund("re_odd", 1), mark="r2")
    story.shows(ours, odd).wait(MINUTE)
    story.quote()
    quote = quote_of(story)
    assert (quote.given_back, quote.elsewhere) == (usd(WHOLE + 1), 1)


def test_a_refused_quote_says_every_reason_and_cannot_be_decided() -> None:
    """Nothing is forecast for it, and neither a form nor a decision can be made of it."""
    story = Story(card(0))
    story.quote()
    quote = quote_of(story)
    assert quote.refusals == (NotCaptured(),)
    assert (quote.amount, quote.funding, quote.arrives) == (usd(0), None, None)
    for made in (quote.form, lambda: quote.verified(by=MARIA)):
        with pytest.raises(ValueError, match="not_captured"):
            made()


@pytest.mark.parametrize("missing", ["amount", "quoted_at", "ref"])
def test_a_quote_without_its_facts_cannot_be_decided(missing: str) -> None:
    """No amount, no time or no gateway: there is nothing to verify."""
    quote = Quote(request_id="q1", ref=REF, quoted_at=START, amount=usd(1))
    assert quote.verified(by=MARIA).amount == usd(1)
    without = attrs.evolve(quote, **{missing: CASH if missing == "ref" else None})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nothing to refund"):
        without.form()


def test_what_was_never_seen_is_quoted_as_stale() -> None:
    """A ledger without a look has no amount to verify."""
    quote = make_quote(EMPTY, REF, START, POLICY, request_id="q", is_business_day=weekdays)
    assert (quote.amount, quote.refusals) == (None, (QuoteStale(quoted_at=None),))


def test_the_sum_of_what_went_back_is_capped() -> None:
    """A list that adds up to more than there can be raises nothing."""
    story = Story(card(LIMIT_MINOR)).shows(refund("re_a", LIMIT_MINOR), refund("re_b", LIMIT_MINOR))
    story.quote()
    assert quote_of(story).given_back == usd(LIMIT_MINOR)


@given(given_a.money(min_minor=1, max_minor=10**9), st.sampled_from(Reason), st.none() | given_a.texts())
def test_a_quote_travels_over_a_page_and_back_unchanged(amount: Money, reason: Reason, note: str | None) -> None:
    """The form brings back exactly the decision that `verified` makes, in every currency."""
    story = Story(attrs.evolve(card(), captured=amount, given_back=Money.zero(amount.currency)))
    story.quote()
    quote = quote_of(story)
    decision = quote.verified(by=MARIA, reason=reason, note=note)
    assert all(isinstance(value, str) for value in quote.form().values())
    assert IssueRefund.from_form(quote.form(), payment=REF, by=MARIA, reason=reason, note=note) == decision
    assert (decision.amount, decision.quoted_at, decision.request_id) == (amount, START, "q1")


def test_nothing_of_the_page_is_trusted() -> None:
    """Payment and actor come from the host; another payment's page is refused, and a changed amount by R4."""
    story = Story()
    story.quote()
    form = quote_of(story).form() | {"by": "mallory", "amount_minor": "1"}
    with pytest.raises(FormError, match="payment"):
        IssueRefund.from_form(form | {"payment": "acct_9/ch_9"}, payment=REF, by=MARIA)
    decision = IssueRefund.from_form(form, payment=REF, by=MARIA)
    assert (decision.payment, decision.by, decision.amount) == (REF, MARIA, usd(1))
    story.request(amount=decision.amount)
    assert story.ledger.refunds == ()


# --- a booking ---------------------------------------------------------------------------------------------------

OTHER = PaymentRef("acct_1", "ch_2")


def booking_quote() -> tuple[Booking, BookingQuote]:
    """A booking paid twice by card, once with cash, and once by a card payment that was never captured."""
    booking = Booking(label="1042", payments=(REF, OTHER, CASH, PaymentRef("acct_1", "ch_3")))
    stories = [Story(card(200_00)), Story(card(400_00)), Story(card(0))]
    for story in stories:
        story.quote()
    first, second, third = stories
    quotes = (
        quote_of(first, REF, "q1"),
        quote_of(second, OTHER, "q2"),
        make_quote(EMPTY, CASH, START, POLICY, request_id="q3", is_business_day=weekdays),
        quote_of(third, PaymentRef("acct_1", "ch_3"), "q4"),
    )
    return booking, BookingQuote(label="1042", quotes=quotes)


def test_a_booking_is_decided_payment_by_payment() -> None:
    """Each refundable payment with its own verified amount; what goes back outside and what is refused is
    left out (failure D07)."""
    # failure: D07
    booking, quote = booking_quote()
    decision = quote.verified(by=MARIA, reason=Reason.DUPLICATE, note="moved away")
    assert [(one.payment, one.amount) for one in decision.refunds] == [(REF, usd(200_00)), (OTHER, usd(400_00))]
    assert [one.refusals for one in quote.quotes if one not in quote.refundable] == [
        (External(method="cash"),),
        (NotCaptured(),),
    ]
    form = quote.form()
    assert len(form) == 10
    again = IssueBooking.from_form(form, booking=booking, by=MARIA, reason=Reason.DUPLICATE, note="moved away")
    assert again == decision


@pytest.mark.parametrize("name", ["payment", "request_id", "amount_minor", "currency", "quoted_at"])
def test_a_form_error_carries_nothing_of_the_page(name: str) -> None:
    """Whatever stood in the field, neither the error nor anything that hangs on it repeats it."""
    _, booked = booking_quote()
    quote = booked.refundable[0]
    with pytest.raises(FormError, match=name) as caught:
        IssueRefund.from_form({**quote.form(), name: canaries.TEXT}, payment=quote.ref, by=MARIA)  # type: ignore[arg-type]
    hanging: BaseException | None = caught.value
    while hanging is not None:
        assert not canaries.found_in(f"{hanging!r} {vars(hanging)}")
        hanging = hanging.__context__


def test_a_bookings_page_without_any_refund_is_a_form_error() -> None:
    """Nothing quoted as refundable came back: the page is shown again; half a payment's fields are no decision."""
    booking, quote = booking_quote()
    with pytest.raises(FormError, match="request_id"):
        IssueBooking.from_form({}, booking=booking, by=MARIA)
    half = {key: value for key, value in quote.form().items() if not key.endswith("currency")}
    with pytest.raises(FormError, match="currency"):
        IssueBooking.from_form(half, booking=booking, by=MARIA)
    outside = {f"{CASH}.{name}": "1" for name in ("request_id", "amount_minor", "currency", "quoted_at")}
    with pytest.raises(FormError):
        IssueBooking.from_form(outside, booking=booking, by=MARIA)


def test_r8_refunds_of_one_booking_do_not_find_the_same_payout_twice() -> None:
    """R8, R9: quoted together, $200 and $400 find $500 in the payout and $100 at the bank; what another account
    holds nobody said."""
    _, booked = booking_quote()
    near, far = booked.quotes[1], attrs.evolve(booked.quotes[1], ref=PaymentRef("acct_far", "ch_9"))
    near = attrs.evolve(near, ref=PaymentRef(REF.account, "ch_2"))
    quote = attrs.evolve(
        booked, quotes=(booked.quotes[0], near, *booked.quotes[2:], attrs.evolve(far, funding=None))
    )
    together = fund_together(quote.quotes, {REF.account: Funds(payouts=(PAYOUT,))}, POLICY)
    first, second = [one.funding for one in together if one.funding is not None]
    assert [part.amount for part in first.parts] == [usd(200_00)]
    assert [(type(part), part.amount) for part in second.parts] == [
        (FromPayout, usd(300_00)),
        (FromBankAccount, usd(100_00)),
    ]
    assert [one.funding for one in together].count(None) == 3
    assert [attrs.evolve(one, funding=None) for one in together] == [
        attrs.evolve(one, funding=None) for one in quote.quotes
    ]


def test_bookings_are_checked_when_they_are_made() -> None:
    """Each payment once, refs and decisions only, a printable label, an error's name that is one."""
    decision = Quote(request_id="q", ref=REF, quoted_at=START, amount=usd(1)).verified(by=MARIA)
    with pytest.raises(ValueError, match="once"):
        Booking(label="1042", payments=(REF, PaymentRef(REF.account, REF.charge)))
    with pytest.raises(TypeError, match="payments"):
        Booking(label="1042", payments=[REF])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="payments"):
        Booking(label="1042", payments=("platform/ch_1",))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="label"):
        Booking(label="", payments=(REF,))
    assert len(Booking(label="x" * 120, payments=(REF,)).label) == 120
    with pytest.raises(ValueError, match="label"):
        Booking(label="x" * 121, payments=(REF,))
    with pytest.raises(TypeError, match="refunds"):
        IssueBooking(label="1042", refunds=(REF,))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="label"):
        IssueBooking(label="x" * 121, refunds=(decision,))
    assert NotTried(payment=REF, error="JournalBusy").error == "JournalBusy"
    assert len(NotTried(payment=REF, error="x" * 100).error) == 100
    with pytest.raises(ValueError, match="error"):
        NotTried(payment=REF, error="x" * 101)
    with pytest.raises(TypeError, match="payment"):
        NotTried(payment=CASH, error="JournalBusy")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="error"):
        NotTried(payment=REF, error="")


def test_an_accepted_answer_is_shown_without_another_look() -> None:
    """What the send came back with is what the caller is shown: pending or done, with the gateway's id."""
    story = Story().claimed()
    story.answer(Accepted(refund=story.ours()))
    shown = the_refund(story)
    assert (shown.status, shown.gateway_id, shown.settled) == (Status.SUCCEEDED, "re_r1", True)
