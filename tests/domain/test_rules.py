"""R1 to R9 by number, the one formula for what may go back, and every refusal reached."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_domain import commands, ports
from refund_domain.answers import Answer, Declined, NotSent, OutcomeUnknown
from refund_domain.commands import Action, Choice, IssueRefund, Reason
from refund_domain.connect import (
    PLATFORM,
    ApplicationFee,
    DestinationCharge,
    DirectCharge,
    Leg,
    PlatformCharge,
    SeparateCharge,
    Transfer,
    check_held_by,
)
from refund_domain.decider import inputs
from refund_domain.decider.ledger import EMPTY, Status
from refund_domain.events import EVENTS, SendClaimed
from refund_domain.money import LIMIT_MINOR, Currency, Money
from refund_domain.payments import AnyPayment, ChargeKind, Dispute, OutsideRef, Payment, PaymentRef, PaymentStatus
from refund_domain.payouts.funds import Payout
from refund_domain.policy import Policy
from refund_domain.quotes import make_quote
from refund_domain.refusals import (
    REFUSALS,
    AmountChanged,
    BelowMinimum,
    CannotBeStopped,
    ChargeNotSupported,
    Disputed,
    External,
    InFlight,
    LimitReached,
    MethodNotSupported,
    NotAllowed,
    NotCaptured,
    NothingLeft,
    NotSettled,
    Refusal,
    Refused,
    SendingPaused,
    WindowOver,
)
from refund_domain.rules.arrival import arrival_window, weekdays
from refund_domain.rules.cancellation import cancellation_notice
from refund_domain.rules.eligibility import (
    ACH_MINIMUM,
    DISPUTE_COUNTS,
    METHODS,
    Family,
    cannot_be_stopped,
    capped,
    drift_minor,
    method_refundable,
    outside_left,
    payment_refusals,
    reason_allowed,
    refund_refusals,
    refundable,
    split_of,
    through_platform,
)
from refund_domain.rules.funding import FromBankAccount, FromPayout, forecast_funding
from refund_domain.testing import strategies as given_a
from refund_domain.views import view_payment
from tests.domain.histories import (
    DAY,
    HOUR,
    LIVE_WORDS,
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
    naive_left,
    refund,
    separate,
    usd,
)

CASH = OutsideRef(id="cash-1", method="cash", amount=usd(40_00))


def ach(captured_minor: int = WHOLE) -> Payment:
    """A settled bank transfer."""
    return attrs.evolve(card(captured_minor), method="us_bank_account")


def disputed(status: str, minor: int = WHOLE, dispute_id: str = "dp_1") -> Dispute:
    """A dispute in this state."""
    return Dispute(id=dispute_id, amount=usd(minor), status=status)


# --- R1, R2 ------------------------------------------------------------------------------------------------


@given(ref=given_a.refs())
def test_r1_only_what_was_taken_through_the_platform_is_refunded_through_it(ref: AnyPayment) -> None:
    """R1: money taken outside is External, a payment at the gateway never is."""
    said = through_platform(ref)
    assert said == (External(method=ref.method) if isinstance(ref, OutsideRef) else None)


def test_r1_the_quote_of_money_taken_outside_says_so_and_cannot_be_issued() -> None:
    """R1: its quote is refused as external and no decision can be made of it."""
    quote = make_quote(EMPTY, CASH, START, POLICY, request_id="q", is_business_day=weekdays)
    assert quote.refusals == (External(method="cash"),)
    assert (quote.amount, quote.outside_left, quote.method) == (usd(0), usd(40_00), "cash")
    with pytest.raises(ValueError, match="external"):
        quote.verified(by=MARIA)


def test_r2_the_table_of_methods_is_cards_and_ach_debits() -> None:
    """R2: credit and debit cards, at a reader or not, and both forms of ACH; nothing else."""
    assert METHODS == {
        "card": Family.CARD,
        "card_present": Family.CARD,
        "us_bank_account": Family.ACH,
        "ach_debit": Family.ACH,
    }


@given(payment=given_a.payments())
def test_r2_any_other_method_is_refused_by_name(payment: Payment) -> None:
    """R2: whatever the gateway calls a method, only the four words of the table are refundable."""
    said = payment_refusals(payment, START, POLICY)
    known = payment.method in ("card", "card_present", "us_bank_account", "ach_debit")
    assert (MethodNotSupported(method=payment.method) in said) is not known
    assert (method_refundable(payment) is None) is known


@given(st.lists(st.integers(1, 60_00), max_size=6))
def test_r2_money_given_back_outside_is_recorded_up_to_what_was_taken(amounts: list[int]) -> None:
    """R2: records add up, none goes beyond what was taken outside, and nothing is ever due or sent."""
    story, taken = Story(), 0
    for number, minor in enumerate(amounts):
        said = story.outside(minor, f"o{number}", ref=CASH)
        if taken + minor <= 40_00:
            taken += minor
            assert "OutsideRecorded" in kinds(said)
        else:
            assert codes(said) == {"too_much_outside"}
        assert outside_left(story.ledger, CASH) == usd(40_00 - taken)
    assert story.ledger.due is None
    assert {type(event).__name__ for event in story.events} <= {"StreamOpened", "OutsideRecorded"}


def test_r2_an_ach_debit_under_way_is_refused_unless_the_policy_accepts_it() -> None:
    """R2: not settled is a refusal with the expected day, or acceptable by policy; for a card it never is."""
    # failure: H01
    pending = attrs.evolve(ach(), status=PaymentStatus.PENDING, settles_on=date(2026, 3, 6))
    accepting = Policy(accept_unsettled_ach=True)
    assert payment_refusals(pending, START, POLICY) == (NotSettled(expected=date(2026, 3, 6)),)
    assert payment_refusals(pending, START, accepting) == ()
    slow_card = attrs.evolve(card(), status=PaymentStatus.PENDING)
    assert payment_refusals(slow_card, START, accepting) == (NotSettled(expected=None),)


def test_r2_ach_is_dollars_only_and_at_least_fifty_cents() -> None:
    """R2: another currency and less than the least are refused; the least itself is not; cards have no least."""
    euros = attrs.evolve(ach(), captured=Money(WHOLE, Currency.of("EUR")), given_back=Money(0, Currency.of("EUR")))
    assert [type(no).__name__ for no in payment_refusals(euros, START, POLICY)] == ["CurrencyNotSupported"]
    for minor, refused in ((49, True), (50, False)):
        story = Story(ach(minor))
        story.quote()
        said = refund_refusals(story.ledger, START, POLICY)
        assert said == ((BelowMinimum(minimum=ACH_MINIMUM),) if refused else ())
    cents = Story(card(1))
    cents.quote()
    assert refund_refusals(cents.ledger, START, POLICY) == ()
    few_euros = Story(attrs.evolve(euros, captured=Money(1, Currency.of("EUR"))))
    few_euros.quote()
    assert [no.code for no in refund_refusals(few_euros.ledger, START, POLICY)] == ["currency_not_supported"]


@pytest.mark.parametrize(
    ("age", "over"), [(180 * DAY - SECOND, False), (180 * DAY, False), (180 * DAY + SECOND, True)]
)
def test_r2_the_ach_window_ends_exactly_after_its_days(age: timedelta, over: bool) -> None:
    """R2: an ACH debit is refundable for 180 days to the second, and no second longer."""
    payment = attrs.evolve(ach(), taken_at=START - age)
    expected = (WindowOver(taken_at=START - age, days=180),) if over else ()
    assert payment_refusals(payment, START, POLICY) == expected


def test_r2_windows_are_the_policys() -> None:
    """R2: without an ACH window an old debit goes back; with a card window an old card payment does not."""
    old = attrs.evolve(ach(), taken_at=START - 400 * DAY)
    assert payment_refusals(old, START, Policy(ach_window=None)) == ()
    strict = Policy(card_window=90 * DAY)
    assert payment_refusals(attrs.evolve(card(), taken_at=START - 90 * DAY), START, strict) == ()
    late = attrs.evolve(card(), taken_at=START - 90 * DAY - SECOND)
    assert payment_refusals(late, START, strict) == (WindowOver(taken_at=late.taken_at, days=90),)
    assert payment_refusals(late, START, POLICY) == ()


# --- R3 ----------------------------------------------------------------------------------------------------


@st.composite
def _mixtures(draw: st.DrawFn) -> Story:
    """A payment with refunds of others, disputes, a record outside and a refund of ours, in any mixture."""
    captured = draw(st.integers(1, 100))
    words = ["needs_response", "lost", "won", "warning_closed", "under_review", "a_new_word"]
    story = Story(
        attrs.evolve(
            card(captured, given_back_minor=draw(st.integers(0, 60) | st.just(0))),
            disputes=tuple(
                disputed(word, draw(st.integers(0, 30)), f"dp_{number}")
                for number, word in enumerate(draw(st.lists(st.sampled_from(words), max_size=2)))
            ),
        )
    )
    others = draw(st.lists(st.tuples(st.integers(1, 60), st.sampled_from([*LIVE_WORDS, "failed"])), max_size=3))
    story.quote()
    if draw(st.booleans()):
        requested = "RefundRequested" in kinds(story.request())
        if requested and draw(st.booleans()):
            story.look()
            story.answer(draw(st.sampled_from(ANSWERS)))
    else:
        story.outside(draw(st.integers(1, 40)))
    story.shows(*(refund(f"re_{n}", minor, word) for n, (minor, word) in enumerate(others)))
    ours_made = draw(st.booleans())
    if story.ledger.refunds and ours_made:
        story.shows(story.ours(status=draw(st.sampled_from([*LIVE_WORDS, "failed", "canceled"]))))
    story.wait(MINUTE)
    story.quote()
    return story


ANSWERS: tuple[Answer, ...] = (Declined(code="no"), NotSent(why="refused"), OutcomeUnknown(why="timeout"))


@given(story=_mixtures())
def test_r3_what_may_go_back_equals_a_naive_reference(story: Story) -> None:
    """R3: the formula agrees with one worked out by hand from the bare events (failures C13, D06)."""
    # failure: C13
    # failure: D06
    left = refundable(story.ledger)
    assert left is not None
    assert left.amount_minor == naive_left(story.events)
    assert 0 <= left.amount_minor <= story.payment.captured.amount_minor
    for record in story.ledger.refunds:
        own = refundable(story.ledger, without=record.id)
        assert own is not None
        assert own.amount_minor == naive_left(story.events, without=record.id)
        assert own >= left


def test_r3_after_a_partial_made_elsewhere_the_rest_goes_back() -> None:
    """R3: 100 captured, 30 given back in the dashboard: the quote says 70 and rests on the gateway's figures
    (failures D01, D08, D10)."""
    # failure: D01
    # failure: D08
    # failure: D10
    story = Story(card(100_00, given_back_minor=30_00)).shows(refund(amount_minor=30_00, status="succeeded"))
    story.quote()
    quote = make_quote(story.ledger, REF, START, POLICY, request_id="q", is_business_day=weekdays)
    assert (quote.amount, quote.refusals) == (usd(70_00), ())
    assert (quote.given_back, quote.elsewhere, quote.drift_minor) == (usd(30_00), 1, 0)
    assert "RefundRequested" in kinds(story.request(amount=usd(70_00)))


@given(st.permutations([("re_a", 30), ("re_b", 20), ("re_a", 30), ("re_c", 5)]))
def test_r3_refunds_seen_add_up_in_any_order(order: list[tuple[str, int]]) -> None:
    """R3: what is seen again is not counted again, what is new is added (failure D03)."""
    # failure: D03
    story = Story(card(100))
    for number, (gateway_id, minor) in enumerate(order):
        story.shows(refund(gateway_id, minor, "succeeded"))
        story.quote(at=START + number * MINUTE)
    assert refundable(story.ledger) == usd(45)


@pytest.mark.parametrize(
    ("figure", "listed", "left"), [(40, 0, 60), (0, 40, 60), (40, 40, 60), (40, 10, 60), (10, 40, 60)]
)
def test_r3_where_figure_and_list_disagree_the_smaller_holds_and_the_drift_is_shown(
    figure: int, listed: int, left: int
) -> None:
    """R3: two witnesses of what went back: the one that leaves less is believed, the difference shown."""
    story = Story(card(100, given_back_minor=figure))
    if listed:
        story.shows(refund(amount_minor=listed, status="succeeded"))
    story.quote()
    assert refundable(story.ledger) == usd(left)
    assert drift_minor(story.ledger) == figure - listed
    view = view_payment(story.ledger, REF, START, POLICY, weekdays)
    quote = make_quote(story.ledger, REF, START, POLICY, request_id="q", is_business_day=weekdays)
    assert view.drift_minor == quote.drift_minor == figure - listed


def test_r3_a_payment_never_seen_has_no_amount_and_no_drift() -> None:
    """R3: before the first look nothing is known, which is not the same as nothing left."""
    assert refundable(EMPTY) is None
    assert drift_minor(EMPTY) == 0
    assert refund_refusals(EMPTY, START, POLICY) == ()


def test_r3_nothing_is_a_refusal_never_a_call() -> None:
    """R3: all of it gone back elsewhere is NothingLeft, and never captured is NotCaptured alone."""
    story = Story(card()).shows(refund(status="succeeded"))
    story.quote()
    assert refund_refusals(story.ledger, START, POLICY) == (NothingLeft(),)
    for empty in (card(0), attrs.evolve(card(), status=PaymentStatus.FAILED)):
        story = Story(empty)
        story.quote()
        assert NotCaptured() in refund_refusals(story.ledger, START, POLICY)
        assert NothingLeft() not in refund_refusals(story.ledger, START, POLICY)


@pytest.mark.parametrize(
    ("word", "counts"),
    [
        ("needs_response", True),
        ("under_review", True),
        ("warning_needs_response", True),
        ("warning_under_review", True),
        ("lost", True),
        ("won", False),
        ("warning_closed", False),
        ("prevented", False),
        ("a_word_of_tomorrow", True),
    ],
)
def test_r3_disputes_count_by_their_status_word(word: str, counts: bool) -> None:
    """R3: open, lost and unknown disputes take their amount and refuse; won and closed take nothing
    (failure H04)."""
    # failure: H04
    story = Story(attrs.evolve(card(100), disputes=(disputed(word, 60),))).shows(refund(amount_minor=10))
    story.quote()
    assert DISPUTE_COUNTS.get(word, True) is counts
    assert refundable(story.ledger) == usd(100 - 10 - (60 if counts else 0))
    said = refund_refusals(story.ledger, START, POLICY)
    assert said == ((Disputed(amount=usd(60)),) if counts else ())


def test_r3_a_dispute_over_nothing_is_a_dispute() -> None:
    """R3: an open dispute refuses by being there, whatever amount the gateway tells of it."""
    story = Story(attrs.evolve(card(100), disputes=(disputed("needs_response", 0),)))
    story.quote()
    assert refund_refusals(story.ledger, START, POLICY) == (Disputed(amount=usd(0)),)


def test_r3_a_dispute_never_adds_to_what_may_go_back() -> None:
    """R3: a negative dispute cannot be made, so nothing lifts what may go back above what was captured."""
    with pytest.raises(ValueError, match="must not be negative"):
        disputed("lost", -1)


def test_r3_absurd_sums_are_capped_and_raise_nothing() -> None:
    """R3: two disputes that together exceed all money are shown as the most there can be."""
    most = usd(LIMIT_MINOR)
    disputes = tuple(Dispute(id=name, amount=most, status="lost") for name in ("a", "b"))
    whole = attrs.evolve(card(LIMIT_MINOR), disputes=disputes)
    assert payment_refusals(whole, START, POLICY) == (Disputed(amount=most),)
    assert capped(LIMIT_MINOR - 1, most.currency) == usd(LIMIT_MINOR - 1)


def test_r3_a_refund_of_ours_with_another_amount_at_the_gateway_is_counted_once() -> None:
    """R3: one that bears our mark but another amount is in the list already and is not held besides."""
    story = Story(card(100)).claimed()
    story.shows(attrs.evolve(refund("re_odd", 70, "succeeded"), mark="r1")).wait(MINUTE)
    story.quote()
    assert refundable(story.ledger) == usd(30)


@pytest.mark.parametrize(
    ("mark", "status", "left"),
    [(None, "pending", 0), (None, "failed", 0), ("r1", "failed", 0), ("r1", "pending", 95)],
)
def test_r3_a_refund_in_doubt_holds_its_amount_whatever_else_is_listed(
    mark: str | None, status: str, left: int
) -> None:
    """R3: only a live refund with our mark stands for it; another's, or one that failed, frees nothing."""
    story = Story(card(100)).claimed()
    story.shows(attrs.evolve(refund("re_odd", 5, status), mark=mark)).wait(MINUTE)
    story.quote()
    assert story.status() is Status.IN_DOUBT
    assert refundable(story.ledger) == usd(left)


# --- R4 ----------------------------------------------------------------------------------------------------


def test_r4_an_amount_that_was_not_verified_is_never_requested() -> None:
    """R4: more than is left, less than is left and another currency are refused with both amounts."""
    story = Story(card(100))
    story.quote()
    for minor in (99, 101):
        said = story.request(amount=usd(minor))
        assert said == Refused((AmountChanged(verified=usd(minor), current=usd(100)),))
    said = story.request(amount=Money(100, Currency.of("EUR")))
    assert codes(said) == {"currency_not_supported"}
    assert "RefundRequested" in kinds(story.request(amount=usd(100)))


@given(st.integers(1, 99), st.sampled_from(LIVE_WORDS))
def test_r4_if_the_amount_changed_before_the_send_nothing_is_sent(elsewhere: int, word: str) -> None:
    """R4: a refund made elsewhere between decision and send drops the request with both amounts."""
    story = Story(card(100))
    story.quote()
    story.request()
    story.shows(refund(amount_minor=elsewhere, status=word))
    assert "SendClaimed" not in kinds(story.look())
    assert story.status() is Status.DROPPED
    assert story.record().reasons == (AmountChanged(verified=usd(100), current=usd(100 - elsewhere)),)


def test_r4_what_was_verified_is_what_is_sent() -> None:
    """R4: the claim carries the verified amount, currency included, and nothing else."""
    yen = Money(500, Currency.of("JPY"))
    story = Story(attrs.evolve(card(), captured=yen, given_back=Money(0, yen.currency)))
    story.quote()
    story.request()
    story.look()
    assert [claim.send.amount for claim in story.events if isinstance(claim, SendClaimed)] == [yen]


@pytest.mark.parametrize(
    ("age", "stale"),
    [
        (15 * MINUTE - SECOND, False),
        (15 * MINUTE, False),
        (15 * MINUTE + SECOND, True),
        (-5 * MINUTE, False),
        (-5 * MINUTE - SECOND, True),
    ],
)
def test_r4_a_quote_is_good_for_fifteen_minutes(age: timedelta, stale: bool) -> None:
    """R4: exactly 15 minutes, and from the future no further than clocks may differ."""
    story = Story()
    story.quote()
    story.wait(age if age > timedelta(0) else timedelta(0))
    said = story.request(quoted_at=story.now - age)
    assert (codes(said) == {"quote_stale"}) is stale


# --- R5, R6 ------------------------------------------------------------------------------------------------


def test_r5_cancelling_is_no_input_and_no_event_and_moves_nothing() -> None:
    """R5: nothing in the decider knows of cancelling; the notice reads views and calls nothing, before a
    refund, during one and after it (failure H06)."""
    # failure: H06
    names = [*(kind.__name__ for kind in EVENTS), *vars(inputs), *(action.value for action in Action)]
    assert not [name for name in names if "cancel" in name.lower()]
    story = Story()
    story.quote()
    before = story.ledger
    for told in range(3):
        notice = cancellation_notice("1042", [view_payment(story.ledger, REF, START, POLICY, weekdays)])
        assert "Cancelling refunded nothing" in str(notice)
        assert story.ledger == before
        if told == 0:
            assert notice.held == (usd(WHOLE),)
    assert "RefundRequested" in kinds(story.request())
    cancellation_notice("1042", [view_payment(story.ledger, REF, START, POLICY, weekdays)])
    assert "SendClaimed" in kinds(story.look())


def test_r6_no_command_and_no_port_can_stop_a_refund() -> None:
    """R6: neither the port nor the actions, choices and commands have a word for stopping a refund."""
    words = ("cancel", "stop", "revers", "abort", "void", "undo", "change", "edit")
    public = [kind for module in (ports, commands, inputs) for kind in vars(module).values()]
    names = [name for kind in public for name in dir(kind) if not name.startswith("__")]
    names += [action.value for action in Action] + [choice.value for choice in Choice]
    assert [name for name in names if any(word in name.lower() for word in words)] == []
    assert cannot_be_stopped("r1") == CannotBeStopped(refund_id="r1")


@pytest.mark.parametrize("state", [Status.REQUESTED, Status.IN_DOUBT, Status.PENDING, Status.SUCCEEDED])
def test_r6_nothing_a_person_does_changes_a_refund_once_initiated(state: Status) -> None:
    """R6: requests, records and answers to what waits leave a refund that is under way or done as it is."""
    story = Story()
    story.quote()
    story.request()
    if state is not Status.REQUESTED:
        story.look()
    if state in (Status.PENDING, Status.SUCCEEDED):
        story.shows(story.ours(status=state)).wait(MINUTE)
        story.quote()
    assert story.status() is state
    said = [story.request("r2", request_id="again"), story.request("r3", by=STRANGER), story.outside(1)]
    said += [story.settle("r1", code, choice) for code in ("not_shown", "failed") for choice in Choice]
    assert all(isinstance(one, Refused) for one in said)
    assert story.status() is state


# --- R7, R8, R9 --------------------------------------------------------------------------------------------


@given(given_a.dates(), st.integers(0, 6))
def test_r7_the_client_has_the_money_in_three_to_five_business_days(day: date, closed: int) -> None:
    """R7: the forecast names the third and the fifth business day after the day it was sent."""

    def open_day(one: date) -> bool:
        return one.weekday() != closed and one.day != 25

    window = arrival_window(day, POLICY, open_day)
    following = [one for n in range(1, 60) if open_day(one := day + timedelta(days=n))]
    assert (window.earliest, window.latest) == (following[2], following[4])


def test_r8_a_refund_comes_out_of_the_payout_in_progress() -> None:
    """R8: $500 for one inspection, $200 refunded to another client: the payout is $300."""
    payout = Payout(id="po_1", amount=usd(500_00), arrives_on=date(2026, 3, 4))
    (part,) = forecast_funding(usd(200_00), [payout], policy=POLICY).parts
    assert isinstance(part, FromPayout)
    assert (part.amount, part.before, part.after) == (usd(200_00), usd(500_00), usd(300_00))


@given(st.integers(0, 900_00), st.lists(st.integers(-100_00, 400_00), max_size=3))
def test_r8_no_payout_gives_more_than_it_holds_and_the_parts_add_up(asked: int, held: list[int]) -> None:
    """R8, R9: payouts in progress first, the rest from the bank account, to the last cent."""
    payouts = [
        Payout(id=f"po_{n}", amount=usd(minor), arrives_on=date(2026, 3, 4 + n)) for n, minor in enumerate(held)
    ]
    parts = forecast_funding(usd(asked), payouts, policy=POLICY).parts
    from_bank = [part.amount.amount_minor for part in parts if isinstance(part, FromBankAccount)]
    assert sum(part.amount.amount_minor for part in parts) == asked
    assert sum(from_bank) == max(0, asked - sum(minor for minor in held if minor > 0))


def test_r9_without_a_payout_it_is_deducted_from_the_bank_account() -> None:
    """R9: no payout in progress: all of it comes from the connected bank account."""
    assert forecast_funding(usd(200_00), [], policy=POLICY).parts == (FromBankAccount(amount=usd(200_00)),)


# --- one refund at a time, reasons, refusals ----------------------------------------------------------------


def test_a_second_request_is_refused_naming_the_first_and_a_failure_opens_the_way() -> None:
    """One refund of ours is live: in flight, then done, then failed and open again with its own id
    (failures A11, A15, A20)."""
    # failure: A11
    # failure: A15
    # failure: A20
    story = Story()
    story.quote()
    story.request()
    assert InFlight(refund_id="r1", status="requested") in _reasons(story.request("r2"))
    story.look()
    assert InFlight(refund_id="r1", status="in_doubt") in _reasons(story.request("r2"))
    story.shows(story.ours(status="pending")).wait(MINUTE)
    story.quote()
    assert InFlight(refund_id="r1", status="pending") in _reasons(story.request("r2"))
    story.shows(story.ours(status="succeeded")).wait(MINUTE)
    story.quote()
    assert "already_refunded" in codes(story.request("r2"))
    story.shows(story.ours(status="failed")).wait(MINUTE)
    story.quote()
    assert "RefundRequested" in kinds(story.request("r2"))
    story.look()
    assert [one.send.refund_id for one in story.events if isinstance(one, SendClaimed)] == ["r1", "r2"]


def test_what_became_free_after_our_success_is_not_refunded_here() -> None:
    """A refund made elsewhere failed after ours succeeded: shown as left, refused as AlreadyRefunded."""
    story = Story(card(100)).shows(refund("re_x", 40, "succeeded")).claimed()
    story.shows(story.ours(), refund("re_x", 40, "failed")).wait(MINUTE)
    story.quote()
    assert refundable(story.ledger) == usd(40)
    assert codes(story.request("r2", amount=usd(40))) == {"already_refunded"}


@pytest.mark.parametrize("word", ["failed", "canceled"])
def test_after_a_failure_because_of_a_dispute_it_is_never_tried_again(word: str) -> None:
    """A refund that failed as disputed must not be repeated: the client would be paid twice."""
    story = Story().claimed()
    story.shows(attrs.evolve(story.ours(status=word), failure_reason="charge_for_pending_refund_disputed")).wait(
        MINUTE
    )
    story.quote()
    assert story.request("r2") == Refused((Disputed(amount=usd(WHOLE)),))
    story.payment = attrs.evolve(story.payment, disputes=(disputed("lost"),))
    story.wait(MINUTE)
    story.quote()
    assert Disputed(amount=usd(WHOLE)) in _reasons(story.request("r2"))
    assert len([no for no in _reasons(story.request("r2")) if isinstance(no, Disputed)]) == 1


def test_fraudulent_is_allowed_by_policy_only() -> None:
    """The reason that blocks the payer's card needs a policy that says so; the other two never do."""
    for reason in Reason:
        assert (reason_allowed(reason, POLICY) is None) is (reason is not Reason.FRAUDULENT)
        assert reason_allowed(reason, Policy(allow_fraudulent=True)) is None
    story = Story()
    story.quote()
    assert codes(story.request(reason=Reason.FRAUDULENT)) == {"reason_not_allowed"}


@pytest.mark.parametrize("kind", ChargeKind)
@pytest.mark.parametrize("account", [PLATFORM, "acct_1"])
def test_a_charge_is_refunded_where_its_kind_is_held(kind: ChargeKind, account: str) -> None:
    """Direct charges are a connected account's, all others the platform's; anywhere else they are refused."""
    payment = attrs.evolve(separate(5_000), kind=kind, ref=PaymentRef(account, "ch_1"))
    said = payment_refusals(payment, START, POLICY)
    whole = (kind is ChargeKind.DIRECT) is (account != PLATFORM)
    assert [no.code for no in said] == ([] if whole else ["charge_not_supported"])
    split = split_of(payment, POLICY)
    assert isinstance(split, ChargeNotSupported) is not whole
    if not isinstance(split, ChargeNotSupported):
        check_held_by(split, account)


EUROS = Transfer(id="tr_3", amount=Money(7, Currency.of("EUR")), reversed=Money(0, Currency.of("EUR")))
BACK = Transfer(id="tr_2", amount=usd(10), reversed=usd(10))
STANDING = Transfer(id="tr_1", amount=usd(90), reversed=usd(30))


@pytest.mark.parametrize(
    ("transfers", "standing"),
    [
        ((STANDING, BACK, EUROS), (STANDING, EUROS)),
        ((EUROS,), (EUROS,)),
        ((STANDING, STANDING), (STANDING, STANDING)),
        ((BACK,), ()),
        ((), ()),
    ],
)
def test_what_cannot_be_pulled_back_by_parts_is_refused_with_what_to_reverse_by_hand(
    transfers: tuple[Transfer, ...], standing: tuple[Transfer, ...]
) -> None:
    """Another currency, a transfer named twice, none that holds anything: the refusal knows what still does."""
    payment = attrs.evolve(card(), kind=ChargeKind.SEPARATE, transfers=transfers)
    (refusal,) = payment_refusals(payment, START, POLICY)
    assert isinstance(refusal, ChargeNotSupported)
    assert refusal.transfers == standing
    assert "tr_1" not in str(refusal)  # it may have gone to another merchant than who reads this


def test_a_separate_charge_is_refunded_with_a_leg_for_each_transfer_that_holds_money() -> None:
    """What came back already is no leg, and in the euros of another charge there may be one that came back."""
    euros_back = attrs.evolve(EUROS, reversed=EUROS.amount)
    payment = attrs.evolve(card(), kind=ChargeKind.SEPARATE, transfers=(BACK, STANDING, euros_back))
    assert payment_refusals(payment, START, POLICY) == ()
    leg = Leg(transfer="tr_1", amount=usd(60), by_hand=usd(30))
    assert split_of(payment, POLICY) == SeparateCharge(legs=(leg,))


def test_another_of_ours_that_lives_refuses_whichever_came_first() -> None:
    """A refund of ours made elsewhere in the journal is in the way of the one before it, too."""
    story = Story().claimed()
    story.shows(attrs.evolve(refund("re_2", 1), mark="r2")).wait(MINUTE)
    story.quote()
    assert [record.id for record in story.ledger.refunds] == ["r1", "r2"]
    assert "in_flight" in {each.code for each in refund_refusals(story.ledger, story.now, POLICY, own="r1")}
    assert "in_flight" in {each.code for each in refund_refusals(story.ledger, story.now, POLICY, own="r2")}


def test_a_payment_of_one_cent_is_refunded_and_its_fee_of_one_goes_back() -> None:
    """The least amounts are amounts."""
    assert payment_refusals(card(1), START, POLICY) == ()
    policy = Policy(return_application_fee=True)
    fee = ApplicationFee(taken=usd(1), returned=usd(0))
    direct = attrs.evolve(card(100), ref=PaymentRef("acct_1", "ch_1"), kind=ChargeKind.DIRECT, application_fee=fee)
    assert split_of(direct, policy) == DirectCharge(return_fee=True)


@given(minors=st.lists(st.integers(1, 300), min_size=1, max_size=5), amount=st.integers(0, 1000))
def test_the_legs_never_add_up_to_more_than_the_client_gets(minors: list[int], amount: int) -> None:
    """From each what it has left, in the order of ids, until the amount is reached: all of it or all there is."""
    payment = attrs.evolve(separate(*minors), captured=usd(1000))
    payment = attrs.evolve(payment, transfers=payment.transfers[::-1])  # whatever the order they are listed in
    split = split_of(payment, POLICY, amount=usd(amount))
    legs = split.legs if isinstance(split, SeparateCharge) else ()
    assert sum(leg.amount.amount_minor for leg in legs) == min(amount, sum(minors))
    assert [leg.transfer for leg in legs] == sorted(leg.transfer for leg in legs)
    held = {one.id: one.left for one in payment.transfers}
    assert all(leg.amount <= held[leg.transfer] for leg in legs)
    assert isinstance(split, PlatformCharge) is (amount == 0)


@given(payment=given_a.payments(), returns=st.booleans())
def test_the_platforms_fee_goes_back_only_by_policy_and_only_while_some_is_left(
    payment: Payment, returns: bool
) -> None:
    """Never a fee that was not taken, never one that went back already, never without the policy's word."""
    # failure: A18
    split = split_of(payment, Policy(return_application_fee=returns))
    if isinstance(split, DirectCharge | DestinationCharge):
        fee = payment.application_fee
        left = 0 if fee is None else fee.taken.amount_minor - fee.returned.amount_minor
        assert split.return_fee is (returns and left > 0)


def test_an_unsettled_debit_that_was_passed_on_waits_whatever_the_policy() -> None:
    """Refunded before it settles, the platform would pay for it."""
    # failure: H01
    passed_on = attrs.evolve(ach(), status=PaymentStatus.PENDING, kind=ChargeKind.DESTINATION)
    eager = Policy(accept_unsettled_ach=True)
    assert [no.code for no in payment_refusals(passed_on, START, eager)] == ["not_settled"]
    by_hand = attrs.evolve(passed_on, kind=ChargeKind.SEPARATE, transfers=separate(5_000).transfers)
    assert [no.code for no in payment_refusals(by_hand, START, eager)] == ["not_settled"]
    assert payment_refusals(attrs.evolve(passed_on, kind=ChargeKind.PLATFORM), START, eager) == ()


WINDOWS = st.none() | st.integers(1, 400).map(lambda days: timedelta(days=days))


@given(
    payment=given_a.payments(), at=given_a.times(), card_window=WINDOWS, ach_window=WINDOWS, eager=st.booleans()
)
def test_each_refusal_of_a_payment_stands_for_its_own_fact(
    payment: Payment, at: datetime, card_window: timedelta | None, ach_window: timedelta | None, eager: bool
) -> None:
    """All reasons at once: whatever else is wrong, none hides another and none comes without its fact."""
    policy = Policy(card_window=card_window, ach_window=ach_window, accept_unsettled_ach=eager)
    said = {type(no).__name__ for no in payment_refusals(payment, at, policy)}
    family = METHODS.get(payment.method)
    open_disputes = [d for d in payment.disputes if DISPUTE_COUNTS.get(d.status, True)]
    window = policy.ach_window if family is Family.ACH else policy.card_window
    gone = payment.status is PaymentStatus.FAILED or payment.captured.amount_minor == 0
    unsettled = payment.status is PaymentStatus.PENDING and not gone
    expected = {
        "MethodNotSupported": family is None,
        "ChargeNotSupported": (payment.kind is ChargeKind.DIRECT) is (payment.ref.account == PLATFORM)
        or (payment.kind is ChargeKind.SEPARATE and not _by_parts(payment)),
        "NotCaptured": gone,
        "NotSettled": unsettled
        and not (
            family is Family.ACH
            and policy.accept_unsettled_ach
            and payment.kind not in (ChargeKind.DESTINATION, ChargeKind.SEPARATE)
        ),
        "CurrencyNotSupported": family is Family.ACH and payment.captured.currency.code != "USD",
        "WindowOver": window is not None and at - payment.taken_at > window,
        "Disputed": bool(open_disputes),
    }
    assert said == {name for name, holds in expected.items() if holds}


def _by_parts(payment: Payment) -> bool:
    standing = [one for one in payment.transfers if one.left.amount_minor]
    return {one.amount.currency for one in standing} == {payment.captured.currency}


def _reasons(said: object) -> tuple[Refusal, ...]:
    assert isinstance(said, Refused)
    return said.reasons


def _quoted(payment: Payment, policy: Policy = POLICY) -> tuple[Refusal, ...]:
    """What a request for all of this payment is told."""
    story = Story(payment, policy)
    story.quote()
    return _reasons(story.request())


def _after(*moves: Callable[[Story], object]) -> tuple[Refusal, ...]:
    """What the last of these moves of a quoted payment is told."""
    story = Story()
    story.quote()
    said: object = None
    for move in moves:
        said = move(story)
    return _reasons(said)


REACHED: dict[str, Callable[[], tuple[Refusal, ...]]] = {
    "external": lambda: make_quote(EMPTY, CASH, START, POLICY, request_id="q", is_business_day=weekdays).refusals,
    "method_not_supported": lambda: _quoted(attrs.evolve(card(), method="klarna")),
    "charge_not_supported": lambda: _quoted(attrs.evolve(card(), kind=ChargeKind.SEPARATE)),
    "not_captured": lambda: _quoted(attrs.evolve(card(), status=PaymentStatus.FAILED)),
    "not_settled": lambda: _quoted(attrs.evolve(ach(), status=PaymentStatus.PENDING)),
    "nothing_left": lambda: _quoted(card(100, given_back_minor=100)),
    "in_flight": lambda: _after(Story.request, lambda story: story.request("r2")),
    "already_refunded": lambda: _after(
        Story.request,
        Story.look,
        lambda story: story.shows(story.ours()).wait(MINUTE).quote(),
        lambda story: story.request("r2"),
    ),
    "disputed": lambda: _quoted(attrs.evolve(card(), disputes=(disputed("needs_response"),))),
    "window_over": lambda: _quoted(attrs.evolve(ach(), taken_at=START - 181 * DAY)),
    "below_minimum": lambda: _quoted(ach(49)),
    "currency_not_supported": lambda: _after(lambda s: s.outside(1, amount=Money(1, Currency.of("EUR")))),
    "amount_changed": lambda: _after(lambda story: story.request(amount=usd(1))),
    "quote_stale": lambda: _after(lambda story: story.wait(HOUR).request(quoted_at=START)),
    "request_reused": lambda: _after(Story.request, lambda story: story.request("r1", amount=usd(1))),
    "reason_not_allowed": lambda: _after(lambda story: story.request(reason=Reason.FRAUDULENT)),
    "too_much_outside": lambda: _after(lambda story: story.outside(WHOLE + 1)),
    "cannot_be_stopped": lambda: (cannot_be_stopped("r1"),),
    "not_asked_for": lambda: _after(lambda story: story.settle("r1", "failed", Choice.NOTED)),
    "second_person_needed": lambda: _after(
        lambda story: setattr(story, "policy", Policy(second_person_from=())),
        Story.request,
        lambda story: story.approve(by=MARIA),
    ),
    "approval_denied": lambda: _after(
        lambda story: setattr(story, "policy", Policy(second_person_from=())),
        Story.request,
        lambda story: story.settle("r1", "second_person", Choice.DENIED),
        Story.approve,
    ),
    "not_found": lambda: _after(lambda story: story.request(by=STRANGER)),
}
"""By code: a history in which the rules or the decider say exactly that. NotAllowed is the service's."""


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.code)
def test_every_refusal_is_reached(kind: type[Refusal]) -> None:
    """Each class of refusal but the service's own is given by a rule or by the decider; none is left over."""
    if kind in (NotAllowed, SendingPaused, LimitReached):
        assert kind.code not in REACHED
        return
    assert kind in {type(reason) for reason in REACHED[kind.code]()}


def test_a_decision_names_a_payment_at_the_gateway() -> None:
    """R1: a decision to refund money taken outside cannot even be written down."""
    with pytest.raises(TypeError, match="PaymentRef"):
        IssueRefund(payment=CASH, request_id="q", amount=usd(1), quoted_at=START, by=MARIA)  # type: ignore[arg-type]
