"""The bank model: every state and failure on demand, keys, the cap, funds, disputes, accounts, time, threads."""

import copy
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial
from threading import Barrier

import pytest

from refund_adapters.memory import Breaks, Course, ErrorReply, Made, MemoryBank, Step
from refund_domain.money import Money
from refund_domain.payments import ChargeKind, GatewayRefund, PaymentRef, PaymentStatus, Trace

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


class Clock:
    """A clock that stands still until told otherwise."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def ahead(self, span: timedelta) -> None:
        self.now += span


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bank(clock: Clock) -> MemoryBank:
    return MemoryBank(clock)


def usd(major: str) -> Money:
    return Money.parse(major, "USD")


def create(bank: MemoryBank, ref: PaymentRef, minor: int | None = 20_000, key: str = "k1") -> Made | ErrorReply:
    return bank.refund(ref.account, ref.charge, minor, key=key, mark=key)


def made(bank: MemoryBank, ref: PaymentRef, minor: int | None = 20_000, key: str = "k1") -> GatewayRefund:
    reply = create(bank, ref, minor, key)
    assert isinstance(reply, Made), reply
    return reply.refund


def refused(reply: Made | ErrorReply) -> tuple[int, str | None, str | None]:
    assert isinstance(reply, ErrorReply), reply
    return reply.http_status, reply.code, reply.param


def latest(bank: MemoryBank, ref: PaymentRef) -> tuple[str, str | None, str | None]:
    """Status and reasons of the newest refund of this charge."""
    refund = bank.refunds(ref)[0]
    return refund.status, refund.pending_reason, refund.failure_reason


# -- payments ---------------------------------------------------------------------------------------------


def test_a_payment_is_shown_as_it_was_taken(bank: MemoryBank) -> None:
    """Everything said of a charge stands in the payment a look shows."""
    ref = bank.charge(
        usd("200.00"),
        account="acct_1",
        method="us_bank_account",
        captured=usd("150.00"),
        fee=usd("3.00"),
        settled=False,
        settles_on=date(2026, 3, 6),
        taken_at=START - DAY,
        kind=ChargeKind.DIRECT,
    )
    picture = bank.picture(ref)
    assert picture is not None
    payment = picture.payment
    assert (payment.ref, payment.method, payment.captured) == (ref, "us_bank_account", usd("150.00"))
    assert (payment.given_back, payment.fee) == (usd("0.00"), usd("3.00"))
    assert (payment.taken_at, payment.settles_on) == (START - DAY, date(2026, 3, 6))
    assert (payment.status, payment.kind) == (PaymentStatus.PENDING, ChargeKind.DIRECT)
    assert bank.authorised(ref) == usd("200.00")


def test_ids_count_up_and_tell_the_method(bank: MemoryBank) -> None:
    """Ids are the same in every run: a counter for each kind, cards and others apart."""
    card, debit = bank.charge(usd("200.00")), bank.charge(usd("200.00"), method="us_bank_account")
    assert [card.charge, bank.charge(usd("1.00")).charge, debit.charge] == ["ch_1", "ch_2", "py_1"]
    assert [made(bank, card, key="a").id, made(bank, debit, key="b").id] == ["re_1", "pyr_1"]


def test_a_charge_exists_in_its_own_account_only(bank: MemoryBank) -> None:
    """The same id in two accounts is two charges, and in a third none."""
    one = bank.charge(usd("200.00"), account="acct_1", id="ch_x")
    two = bank.charge(usd("300.00"), account="acct_2", id="ch_x")
    assert made(bank, one).amount == usd("200.00")
    assert (bank.made(one), bank.made(two)) == (1, 0)
    stranger = PaymentRef("acct_3", "ch_x")
    assert bank.picture(stranger) is None
    assert refused(create(bank, stranger)) == (404, "resource_missing", "id")
    assert bank.find("acct_1", "re_1") is not None
    assert bank.find("acct_2", "re_1") is None
    assert bank.find("acct_1", "re_2") is None


@pytest.mark.parametrize(
    "wrong",
    [
        lambda bank: bank.charge(usd("0.00")),
        lambda bank: bank.charge(usd("2.00"), captured=usd("2.01")),
        lambda bank: bank.charge(usd("2.00"), captured=usd("-0.01")),
        lambda bank: bank.charge(usd("2.00"), captured=Money.parse("2.00", "EUR")),
        lambda bank: bank.charge(usd("2.00"), fee=Money.parse("0.10", "EUR")),
        lambda bank: bank.charge(usd("2.00"), settled=False),
        lambda bank: bank.charge(usd("2.00"), id="a b"),
        lambda bank: bank.charge(usd("2.00"), id="ch_1"),
        lambda bank: bank.charge(usd("2.00"), taken_at=datetime(2026, 1, 1)),  # noqa: DTZ001
        lambda bank: bank.plan(PaymentRef("platform", "ch_1")),
        lambda bank: bank.settle_payment(PaymentRef("platform", "ch_1")),
        lambda bank: bank.fail_payment(PaymentRef("platform", "ch_1")),
        lambda bank: bank.elsewhere(PaymentRef("platform", "ch_1"), usd("2.01")),
        lambda bank: bank.elsewhere(PaymentRef("platform", "ch_1"), usd("0.00")),
        lambda bank: bank.elsewhere(PaymentRef("platform", "ch_1"), Money.parse("1.00", "EUR")),
        lambda bank: bank.dispute(PaymentRef("platform", "ch_1"), usd("2.01")),
        lambda bank: bank.dispute(PaymentRef("platform", "ch_1"), usd("0.00")),
        lambda bank: bank.close_dispute("du_1"),
        lambda bank: bank.fund("platform", usd("0.00")),
        lambda bank: bank.settle("re_1", "failed"),
        lambda bank: bank.show_after("re_1", HOUR),
        lambda bank: bank.made(PaymentRef("platform", "ch_9")),
        lambda bank: MemoryBank(lambda: datetime(2026, 1, 1)),  # noqa: DTZ001
        lambda bank: MemoryBank(Clock(), key_life=-SECOND),
        lambda bank: MemoryBank(Clock(), list_lag=-SECOND),
        lambda bank: Breaks(makes_after=-SECOND),
        lambda bank: Course(steps=()),
        lambda bank: Course(steps=(Step(status="pending", after=SECOND),)),
        lambda bank: Course(steps=(Step(status="succeeded"), Step(status="pending", after=SECOND))),
        lambda bank: Course(steps=(Step(status="canceled"), Step(status="failed", after=SECOND))),
    ],
)
def test_what_cannot_be_is_a_value_error_and_changes_nothing(
    bank: MemoryBank, wrong: Callable[[MemoryBank], object]
) -> None:
    """Each misuse of the model says so at once and leaves the books, and the lock, as they were."""
    ref = bank.charge(usd("2.00"))
    before = bank.picture(ref)
    with pytest.raises(ValueError):
        wrong(bank)
    assert bank.picture(ref) is before
    assert bank.refunds(ref) == ()


@pytest.mark.parametrize("amount", [True, 1.0, "1", float("nan")])
def test_an_amount_that_is_no_int_is_a_type_error(bank: MemoryBank, amount: int) -> None:
    """bool, float and str never reach the books."""
    ref = bank.charge(usd("2.00"))
    with pytest.raises(TypeError):
        bank.refund("platform", ref.charge, amount, key="k")
    assert (bank.received, bank.refunds(ref)) == ((), ())


# -- what becomes of a refund -----------------------------------------------------------------------------


def test_a_card_refund_succeeds_at_once_and_its_reference_follows(bank: MemoryBank, clock: Clock) -> None:
    """Cards: succeeded in the first reply, the trace without a reference until a day later."""
    ref = bank.charge(usd("200.00"))
    refund = made(bank, ref)
    assert (refund.status, refund.amount, refund.created_at) == ("succeeded", usd("200.00"), START)
    assert (refund.mark, refund.trace) == ("k1", Trace(kind="refund"))
    clock.ahead(DAY - SECOND)
    assert bank.refunds(ref) == (refund,)
    clock.ahead(SECOND)
    trace = bank.refunds(ref)[0].trace
    assert trace is not None
    assert (trace.kind, trace.reference) == ("refund", "7" + "1".rjust(22, "0"))


def test_a_reversal_and_a_refund_without_a_reference_never_get_one(bank: MemoryBank, clock: Clock) -> None:
    """`trace` and `trace_after` of a course say what the statement will hold."""
    reversal = bank.charge(usd("1.00"), course=Course(steps=Course.succeeds().steps, trace="reversal"))
    untraced = bank.charge(usd("1.00"), course=Course(steps=Course.succeeds().steps, trace_after=None))
    for key, ref in (("a", reversal), ("b", untraced)):
        made(bank, ref, 100, key)
    clock.ahead(60 * DAY)
    assert bank.refunds(reversal)[0].trace == Trace(kind="reversal")
    assert bank.refunds(untraced)[0].trace == Trace(kind="refund")


def test_a_refund_that_failed_gets_no_reference_any_more(bank: MemoryBank, clock: Clock) -> None:
    """What came back before its reference appeared leaves no trace at the payer's bank."""
    ref = bank.charge(usd("1.00"), course=Course.succeeds_then_fails(after=HOUR))
    made(bank, ref, 100)
    clock.ahead(2 * DAY)
    assert (latest(bank, ref)[0], bank.refunds(ref)[0].trace) == ("failed", Trace(kind="refund"))


def test_an_ach_refund_is_processed_for_days_and_has_no_trace(bank: MemoryBank, clock: Clock) -> None:
    """ACH: pending (processing), succeeded after three days, no reference ever."""
    ref = bank.charge(usd("200.00"), method="us_bank_account")
    assert made(bank, ref).status == "pending"
    assert latest(bank, ref) == ("pending", "processing", None)
    clock.ahead(3 * DAY - SECOND)
    assert latest(bank, ref)[0] == "pending"
    clock.ahead(SECOND)
    assert latest(bank, ref) == ("succeeded", None, None)
    assert bank.next_at is None
    assert bank.refunds(ref)[0].trace is None


@pytest.mark.parametrize(
    ("course", "first", "last"),
    [
        (Course.succeeds(), ("succeeded", None, None), ("succeeded", None, None)),
        (Course.pending_then_succeeds(), ("pending", "processing", None), ("succeeded", None, None)),
        (Course.pending_then_fails("declined"), ("pending", "processing", None), ("failed", None, "declined")),
        (
            Course.succeeds_then_fails("lost_or_stolen_card"),
            ("succeeded", None, None),
            ("failed", None, "lost_or_stolen_card"),
        ),
        (Course.canceled_by_a_person(), ("pending", "processing", None), ("canceled", None, "merchant_request")),
        (Course.stays(), ("pending", "processing", None), ("pending", "processing", None)),
        (Course.stays("in_the_post", None), ("in_the_post", None, None), ("in_the_post", None, None)),
    ],
)
@pytest.mark.parametrize("method", ["card", "us_bank_account"])
def test_every_course_runs_to_its_end(
    bank: MemoryBank,
    clock: Clock,
    method: str,
    course: Course,
    first: tuple[str, str | None, str | None],
    last: tuple[str, str | None, str | None],
) -> None:
    """Each course shows its birth in the reply and its end in time, and only an ended refund frees the amount."""
    # failure: H14
    ref = bank.charge(usd("200.00"), method=method, course=course)
    assert made(bank, ref).status == first[0]
    assert latest(bank, ref) == first
    assert bank.live(ref) == usd("200.00")
    clock.ahead(10 * DAY)
    assert latest(bank, ref) == last
    freed = last[0] in ("failed", "canceled")
    assert bank.live(ref) == usd("0.00" if freed else "200.00")
    picture = bank.picture(ref)
    assert picture is not None
    assert picture.payment.given_back == bank.live(ref)


def test_courses_can_be_planned_one_refund_after_another(bank: MemoryBank) -> None:
    """The first planned course is for the first refund, the last for all that follow."""
    ref = bank.charge(usd("6.00"))
    fails = Course(steps=(Step(status="failed", reason="declined"),))
    bank.plan(ref, fails, Course.stays(), Course.succeeds())
    assert [made(bank, ref, 100, key).status for key in "abcd"] == ["failed", "pending", "succeeded", "succeeded"]


def test_a_refund_made_elsewhere_may_have_a_course_of_its_own(bank: MemoryBank) -> None:
    """It runs that course and leaves the charge's planned ones to the others."""
    ref = bank.charge(usd("6.00"))
    bank.plan(ref, Course.stays("in_the_post"), Course.succeeds())
    bank.elsewhere(ref, usd("1.00"), course=Course.stays("pending", "insufficient_funds"))
    assert latest(bank, ref) == ("pending", "insufficient_funds", None)
    assert made(bank, ref, 100).status == "in_the_post"


LEGAL = {
    "pending": {"pending", "in_the_post", "succeeded", "failed", "canceled"},
    "in_the_post": {"pending", "in_the_post", "succeeded", "failed", "canceled"},
    "succeeded": {"failed", "canceled"},
    "failed": set[str](),
    "canceled": set[str](),
}


@pytest.mark.parametrize("old", LEGAL)
@pytest.mark.parametrize("new", LEGAL)
def test_settle_follows_legal_edges_only(bank: MemoryBank, old: str, new: str) -> None:
    """A table of all pairs: a legal edge is taken at once, any other is refused and changes nothing."""
    ref = bank.charge(usd("2.00"), course=Course.stays(old, None))
    refund = made(bank, ref, 200)
    if new in LEGAL[old]:
        bank.settle(refund.id, new, "declined", pending_reason="processing")
        failure = "declined" if new in ("failed", "canceled") else None
        pending = "processing" if new in ("pending", "in_the_post") else None
        assert latest(bank, ref) == (new, pending, failure)
    else:
        with pytest.raises(ValueError, match=f"{old} cannot become {new}"):
            bank.settle(refund.id, new)
        assert bank.refunds(ref) == (refund,)


def test_settling_by_hand_ends_the_course(bank: MemoryBank, clock: Clock) -> None:
    """What was still planned for a refund no longer happens once somebody has moved it."""
    ref = bank.charge(usd("2.00"), course=Course.pending_then_fails())
    bank.settle(made(bank, ref, 200).id, "succeeded")
    clock.ahead(30 * DAY)
    assert latest(bank, ref)[0] == "succeeded"


# -- an ACH debit under way -------------------------------------------------------------------------------


def test_a_refund_of_an_unsettled_debit_waits_for_it(bank: MemoryBank, clock: Clock) -> None:
    """Accepted, pending (charge_pending), and on its usual way once the debit has arrived."""
    ref = bank.charge(usd("200.00"), method="us_bank_account", settled=False)
    made(bank, ref)
    clock.ahead(30 * DAY)
    picture = bank.picture(ref)
    assert picture is not None
    assert picture.payment.status is PaymentStatus.PENDING
    assert latest(bank, ref) == ("pending", "charge_pending", None)
    bank.settle_payment(ref)
    assert latest(bank, ref) == ("pending", "processing", None)
    clock.ahead(3 * DAY)
    assert latest(bank, ref)[0] == "succeeded"
    picture = bank.picture(ref)
    assert picture is not None
    assert picture.payment.status is PaymentStatus.SUCCEEDED


def test_a_refund_of_a_failed_debit_fails_with_it(bank: MemoryBank) -> None:
    """The waiting refund fails, and a failed payment cannot be refunded any more."""
    ref = bank.charge(usd("200.00"), method="us_bank_account", settled=False)
    made(bank, ref)
    bank.fail_payment(ref)
    assert latest(bank, ref) == ("failed", None, "unknown")
    assert refused(create(bank, ref, key="k2")) == (400, "charge_not_refundable", None)
    assert bank.live(ref) == usd("0.00")


def test_a_refund_moved_by_hand_no_longer_waits_for_its_payment(bank: MemoryBank) -> None:
    """Once a person has moved it, neither the debit's arrival nor an empty balance moves it again."""
    ref = bank.charge(usd("200.00"), method="us_bank_account", settled=False)
    bank.settle(made(bank, ref).id, "pending", pending_reason="charge_pending")
    bank.drain("platform", usd("0.00"))
    bank.settle_payment(ref)
    assert latest(bank, ref) == ("pending", "charge_pending", None)


# -- what is refused --------------------------------------------------------------------------------------


def test_what_a_create_request_is_refused_for(bank: MemoryBank) -> None:
    """Each refusal in the gateway's own terms; several have no code."""
    uncaptured = bank.charge(usd("200.00"), captured=usd("0.00"))
    card = bank.charge(usd("200.00"))
    debit = bank.charge(usd("200.00"), method="us_bank_account")
    assert refused(create(bank, uncaptured)) == (400, None, None)
    assert refused(create(bank, card, 20_001, "k2")) == (400, None, "amount")
    assert refused(create(bank, card, 0, "k3")) == (400, "parameter_invalid_integer", "amount")
    assert refused(create(bank, card, -1, "k3")) == (400, "parameter_invalid_integer", "amount")
    assert refused(create(bank, debit, 49, "k4")) == (400, "amount_too_small", "amount")
    assert refused(bank.refund("platform", card.charge, 1, key="k5", reason="because")) == (400, None, "reason")
    assert refused(create(bank, PaymentRef("platform", "ch_none"), key="k6")) == (404, "resource_missing", "id")
    made(bank, card, key="k7")
    assert refused(create(bank, card, 1, "k8")) == (400, "charge_already_refunded", None)
    assert (bank.made(uncaptured), bank.made(card), bank.made(debit)) == (0, 1, 0)


@pytest.mark.parametrize(
    ("status", "refuses"),
    [
        ("needs_response", True),
        ("under_review", True),
        ("lost", True),
        ("a_new_word", True),
        ("won", False),
        ("warning_needs_response", False),
        ("warning_under_review", False),
        ("warning_closed", False),
    ],
)
def test_an_open_or_lost_chargeback_refuses_refunds(bank: MemoryBank, status: str, refuses: bool) -> None:
    """Inquiries and won disputes stand in nobody's way; every other word does."""
    ref = bank.charge(usd("200.00"))
    dispute = bank.dispute(ref, usd("50.00"), status=status)
    picture = bank.picture(ref)
    assert picture is not None
    assert [(each.id, each.amount, each.status) for each in picture.payment.disputes] == [
        (dispute, usd("50.00"), status)
    ]
    reply = create(bank, ref)
    assert isinstance(reply, ErrorReply) is refuses
    if refuses:
        assert refused(reply) == (400, "charge_disputed", None)


def test_a_bank_may_be_told_to_refund_what_is_disputed(clock: Clock) -> None:
    """With the guard off the double credit that a dispute and a refund make together can be seen."""
    bank = MemoryBank(clock, refuse_disputed=False)
    ref = bank.charge(usd("200.00"))
    bank.dispute(ref)
    assert made(bank, ref).status == "succeeded"


@pytest.mark.parametrize(
    ("opened", "ends", "other"),
    [
        ("needs_response", ["won", "lost"], "warning_closed"),
        ("under_review", ["won", "lost"], "warning_closed"),
        ("warning_needs_response", ["warning_closed"], "lost"),
    ],
)
def test_a_dispute_is_closed_once_and_in_its_own_way(
    bank: MemoryBank, opened: str, ends: list[str], other: str
) -> None:
    """A chargeback is won or lost, an inquiry closed; closing it otherwise or again is refused."""
    for end in ends:
        ref = bank.charge(usd("200.00"))
        dispute = bank.dispute(ref, status=opened)
        with pytest.raises(ValueError):
            bank.close_dispute(dispute, other)
        bank.close_dispute(dispute, end)
        picture = bank.picture(ref)
        assert picture is not None
        assert [(each.status, each.amount) for each in picture.payment.disputes] == [(end, usd("200.00"))]
        with pytest.raises(ValueError, match="is over"):
            bank.close_dispute(dispute, end)


# -- the cap ----------------------------------------------------------------------------------------------


def test_the_cap_counts_live_refunds_of_everybody(bank: MemoryBank) -> None:
    """Refunds made elsewhere count, failed ones do not; left out, the amount means all that is left."""
    ref = bank.charge(usd("200.00"))
    outside = bank.elsewhere(ref, usd("50.00"))
    assert refused(create(bank, ref, 20_000, "a")) == (400, None, "amount")
    assert made(bank, ref, None, "b").amount == usd("150.00")
    assert refused(create(bank, ref, 1, "c")) == (400, "charge_already_refunded", None)
    bank.settle(outside, "failed", "declined")
    assert made(bank, ref, None, "d").amount == usd("50.00")
    assert [refund.mark for refund in bank.refunds(ref)] == ["d", "b", None]
    assert (bank.made(ref), bank.live(ref)) == (2, usd("200.00"))


def test_without_the_cap_more_goes_out_than_came_in(clock: Clock) -> None:
    """The cap is a second wall and can be taken down, here and in the dashboard."""
    bank = MemoryBank(clock, cap=False)
    ref = bank.charge(usd("200.00"))
    made(bank, ref, 20_000, "a")
    made(bank, ref, 30_000, "b")
    bank.elsewhere(ref, usd("1.00"))
    assert (bank.made(ref), bank.live(ref)) == (2, usd("501.00"))
    assert refused(create(bank, ref, None, "c")) == (400, "charge_already_refunded", None)


# -- keys -------------------------------------------------------------------------------------------------


def test_the_same_key_replays_the_reply_it_first_had(clock: Clock) -> None:
    """One refund, and the reply is the refund as it was when made, whatever became of it since."""
    bank = MemoryBank(clock, cap=False)
    ref = bank.charge(usd("200.00"), course=Course.pending_then_fails(after=HOUR))
    first = create(bank, ref)
    clock.ahead(2 * HOUR)
    again = create(bank, ref)
    assert isinstance(first, Made)
    assert isinstance(again, Made)
    assert (again.refund, first.replayed, again.replayed) == (first.refund, False, True)
    assert (bank.made(ref), latest(bank, ref)[0]) == (1, "failed")


def test_a_refusal_is_kept_for_its_key_too(bank: MemoryBank) -> None:
    """Once execution has begun even a no is replayed, though the reason for it is gone."""
    ref = bank.charge(usd("200.00"))
    outside = bank.elsewhere(ref)
    assert refused(create(bank, ref)) == (400, "charge_already_refunded", None)
    bank.settle(outside, "failed")
    reply = create(bank, ref)
    assert refused(reply) == (400, "charge_already_refunded", None)
    assert isinstance(reply, ErrorReply)
    assert reply.replayed
    assert made(bank, ref, key="k2").amount == usd("200.00")


def test_refused_parameters_keep_nothing_for_the_key(bank: MemoryBank) -> None:
    """A request that never began to execute leaves its key free for a good one."""
    ref = bank.charge(usd("200.00"))
    assert refused(create(bank, ref, 0)) == (400, "parameter_invalid_integer", "amount")
    assert made(bank, ref).amount == usd("200.00")


@pytest.mark.parametrize("other", ["amount", "charge", "mark", "reason"])
def test_a_key_with_other_parameters_is_an_error(clock: Clock, other: str) -> None:
    """Each parameter belongs to the comparison; the first reply stays the key's own."""
    bank = MemoryBank(clock, cap=False)
    ref, second = bank.charge(usd("200.00")), bank.charge(usd("200.00"))
    good = made(bank, ref)
    changed = bank.refund(
        "platform",
        second.charge if other == "charge" else ref.charge,
        100 if other == "amount" else 20_000,
        key="k1",
        mark="k2" if other == "mark" else "k1",
        reason="duplicate" if other == "reason" else None,
    )
    assert isinstance(changed, ErrorReply)
    assert (changed.http_status, changed.type) == (400, "idempotency_error")
    assert made(bank, ref) == good
    assert (bank.made(ref), bank.made(second)) == (1, 0)


def test_keys_belong_to_their_account(clock: Clock) -> None:
    """The same key under another account is another key."""
    bank = MemoryBank(clock)
    one = bank.charge(usd("200.00"), account="acct_1")
    two = bank.charge(usd("200.00"), account="acct_2")
    assert made(bank, one).id != made(bank, two).id


def test_a_forgotten_key_makes_a_second_refund(clock: Clock) -> None:
    """Exactly key_life after its first use, not after its last, the key means a new refund."""
    bank = MemoryBank(clock, cap=False)
    ref = bank.charge(usd("200.00"))
    first = made(bank, ref)
    clock.ahead(24 * HOUR - SECOND)
    assert made(bank, ref) == first
    clock.ahead(SECOND)
    assert made(bank, ref).id != first.id
    clock.ahead(SECOND)
    create(bank, ref)
    assert bank.made(ref) == 2


def test_a_request_without_a_key_is_a_refund_each_time(clock: Clock) -> None:
    """No key, no guard: what the lack of one does can be shown."""
    bank = MemoryBank(clock, cap=False)
    ref = bank.charge(usd("200.00"))
    for _ in range(2):
        bank.refund("platform", ref.charge, 20_000, key=None)
    assert bank.made(ref) == 2


# -- broken servers, late requests ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("breaks", "at_once", "in_the_end"),
    [(Breaks(), 0, 0), (Breaks(makes_after=timedelta(0)), 1, 1), (Breaks(makes_after=HOUR), 0, 1)],
)
def test_a_broken_server_may_have_made_it_and_replays_the_500(
    clock: Clock, breaks: Breaks, at_once: int, in_the_end: int
) -> None:
    """The 500 is the key's reply for good, whether the refund is made, is made later, or never."""
    bank = MemoryBank(clock, cap=False)
    ref = bank.charge(usd("200.00"))
    assert refused(bank.refund("platform", ref.charge, 20_000, key="k", mark="k", breaks=breaks))[0] == 500
    assert bank.made(ref) == at_once
    assert refused(bank.refund("platform", ref.charge, 20_000, key="k", mark="k"))[0] == 500
    clock.ahead(HOUR)
    assert bank.made(ref) == in_the_end
    assert refused(bank.refund("platform", ref.charge, 20_000, key="k", mark="k"))[0] == 500
    assert bank.made(ref) == in_the_end
    assert all(refund.mark == "k" and refund.created_at in (START, START + HOUR) for refund in bank.refunds(ref))


def test_what_a_broken_server_makes_later_keeps_to_the_cap(bank: MemoryBank, clock: Clock) -> None:
    """The late part asks the same questions as any request: somebody refunded it all meanwhile."""
    ref = bank.charge(usd("200.00"))
    bank.refund("platform", ref.charge, 20_000, key="k", breaks=Breaks(makes_after=HOUR))
    bank.elsewhere(ref)
    clock.ahead(HOUR)
    assert bank.made(ref) == 0


def test_a_late_request_arrives_in_its_own_time(bank: MemoryBank, clock: Clock) -> None:
    """Nobody sees it before; then it is made at the moment it arrived, not when somebody asked."""
    ref = bank.charge(usd("200.00"))
    bank.refund_later(HOUR, "platform", ref.charge, 20_000, key="k", mark="k")
    clock.ahead(HOUR - SECOND)
    assert (bank.refunds(ref), bank.received, bank.next_at) == ((), (), START + HOUR)
    clock.ahead(5 * HOUR)
    assert [refund.created_at for refund in bank.refunds(ref)] == [START + HOUR]
    assert [request.at for request in bank.received] == [START + HOUR]


def test_a_late_request_meets_the_key_store_and_the_cap(clock: Clock) -> None:
    """With the same key it is a replay; once the key is forgotten it is a second refund."""
    bank = MemoryBank(clock, cap=False)
    ref = bank.charge(usd("200.00"))
    create(bank, ref)
    bank.refund_later(23 * HOUR, "platform", ref.charge, 20_000, key="k1", mark="k1")
    bank.refund_later(24 * HOUR, "platform", ref.charge, 20_000, key="k1", mark="k1")
    clock.ahead(23 * HOUR)
    assert bank.made(ref) == 1
    clock.ahead(HOUR)
    assert bank.made(ref) == 2


def test_two_late_requests_run_in_the_order_of_their_times(bank: MemoryBank, clock: Clock) -> None:
    """A long silence does not mix them up: the earlier one gets the money."""
    ref = bank.charge(usd("200.00"))
    bank.refund_later(2 * HOUR, "platform", ref.charge, 20_000, key="later", mark="later")
    bank.refund_later(HOUR, "platform", ref.charge, 20_000, key="sooner", mark="sooner")
    clock.ahead(DAY)
    assert [refund.mark for refund in bank.refunds(ref)] == ["sooner"]


def test_every_create_request_is_on_record(bank: MemoryBank, clock: Clock) -> None:
    """Key, amount, mark, time and reply of each, replays and refusals included; the dashboard's are none."""
    ref = bank.charge(usd("200.00"), account="acct_1")
    bank.elsewhere(ref, usd("1.00"))
    create(bank, ref, 19_900, "a")
    clock.ahead(SECOND)
    create(bank, ref, 19_900, "a")
    create(bank, ref, 5, "b")
    rows = [(each.account, each.charge, each.key, each.mark, each.amount_minor) for each in bank.received]
    assert rows == [("acct_1", ref.charge, *row) for row in [("a", "a", 19_900)] * 2 + [("b", "b", 5)]]
    assert [each.at for each in bank.received] == [START, START + SECOND, START + SECOND]
    assert [isinstance(each.reply, Made) for each in bank.received] == [True, True, False]


# -- funds ------------------------------------------------------------------------------------------------


def test_a_card_refund_waits_for_funds_and_then_goes_on(bank: MemoryBank, clock: Clock) -> None:
    """Pending (insufficient_funds) for as long as it takes, succeeded once the balance covers it."""
    # failure: H14
    ref = bank.charge(usd("200.00"))
    bank.drain("platform", usd("50.00"))
    made(bank, ref)
    clock.ahead(30 * DAY)
    assert latest(bank, ref) == ("pending", "insufficient_funds", None)
    assert bank.live(ref) == usd("200.00")
    bank.fund("platform", usd("149.99"))
    assert latest(bank, ref)[0] == "pending"
    bank.fund("platform", usd("0.01"))
    assert latest(bank, ref) == ("succeeded", None, None)
    assert bank.balance("platform", "usd") == usd("0.00")


def test_an_ach_refund_fails_for_want_of_funds(bank: MemoryBank) -> None:
    """It does not wait: failed (insufficient_funds), the amount free again, the balance untouched."""
    # failure: H14
    ref = bank.charge(usd("200.00"), method="us_bank_account")
    bank.drain("platform", usd("199.99"))
    assert made(bank, ref).status == "failed"
    assert latest(bank, ref) == ("failed", None, "insufficient_funds")
    assert (bank.live(ref), bank.balance("platform", "USD")) == (usd("0.00"), usd("199.99"))
    bank.fund("platform", usd("0.01"))
    assert latest(bank, ref)[0] == "failed"
    assert made(bank, ref, key="k2").status == "pending"


def test_those_who_wait_longest_are_served_first(bank: MemoryBank) -> None:
    """Each that fits gets its money, the oldest first; one too big for now does not hold up the rest."""
    refs = [bank.charge(usd(major)) for major in ("200.00", "10.00", "10.00")]
    bank.drain("platform", usd("0.00"))
    for ref in refs:
        create(bank, ref, None, key=ref.charge)
    bank.fund("platform", usd("10.00"))
    assert [latest(bank, ref)[0] for ref in refs] == ["pending", "succeeded", "pending"]
    bank.drain("platform", usd("205.00"))
    assert [latest(bank, ref)[0] for ref in refs] == ["succeeded", "succeeded", "pending"]
    assert bank.balance("platform", "USD") == usd("5.00")


def test_a_failed_refund_gives_its_money_back_and_another_may_have_it(bank: MemoryBank) -> None:
    """What returns to the balance serves the refund that waits for it."""
    first, second = bank.charge(usd("200.00")), bank.charge(usd("200.00"))
    bank.drain("platform", usd("200.00"))
    refund = made(bank, first, key="a")
    made(bank, second, key="b")
    assert [latest(bank, ref)[0] for ref in (first, second)] == ["succeeded", "pending"]
    bank.settle(refund.id, "failed", "expired_or_canceled_card")
    assert [latest(bank, ref)[0] for ref in (first, second)] == ["failed", "succeeded"]
    assert bank.balance("platform", "USD") == usd("0.00")


def test_balances_are_apart_by_account_and_currency_and_ample_unless_counted(bank: MemoryBank) -> None:
    """Draining one purse touches no other; funding an ample one keeps it ample."""
    bank.drain("acct_1", usd("0.00"))
    other = bank.charge(usd("200.00"), account="acct_2")
    yen = bank.charge(Money.parse("500", "JPY"), account="acct_1")
    assert (made(bank, other).status, made(bank, yen, 500).status) == ("succeeded", "succeeded")
    bank.fund("acct_2", usd("5.00"))
    assert (bank.balance("acct_2", "USD"), bank.balance("acct_1", "JPY")) == (None, None)
    assert bank.balance("acct_1", "USD") == usd("0.00")


def test_a_waiting_refund_can_be_moved_by_hand_once(bank: MemoryBank) -> None:
    """Failed, it never gets the money; succeeded, it takes it though the balance goes below zero."""
    fails, goes = bank.charge(usd("200.00")), bank.charge(usd("200.00"))
    bank.drain("platform", usd("0.00"))
    bank.settle(made(bank, fails, key="a").id, "failed", "insufficient_funds")
    bank.settle(made(bank, goes, key="b").id, "succeeded")
    assert bank.balance("platform", "USD") == usd("-200.00")
    bank.fund("platform", usd("1000.00"))
    assert [latest(bank, ref)[0] for ref in (fails, goes)] == ["failed", "succeeded"]
    assert bank.balance("platform", "USD") == usd("800.00")


def test_money_is_taken_once_however_often_a_refund_is_moved(bank: MemoryBank) -> None:
    """Moved by hand while it waited, it has been paid: neither funds nor a later step take its money again."""
    ref = bank.charge(usd("200.00"))
    bank.drain("platform", usd("0.00"))
    refund = made(bank, ref)
    bank.settle(refund.id, "pending", pending_reason="insufficient_funds")
    assert bank.balance("platform", "USD") == usd("-200.00")
    bank.fund("platform", usd("500.00"))
    assert (latest(bank, ref)[0], bank.balance("platform", "USD")) == ("pending", usd("300.00"))
    bank.settle(refund.id, "succeeded")
    assert bank.balance("platform", "USD") == usd("300.00")
    bank.settle(refund.id, "failed")
    assert bank.balance("platform", "USD") == usd("500.00")


# -- the list ---------------------------------------------------------------------------------------------


def listed(bank: MemoryBank, ref: PaymentRef) -> list[str]:
    picture = bank.picture(ref)
    assert picture is not None
    return [refund.id for refund in picture.refunds]


def given_back(bank: MemoryBank, ref: PaymentRef) -> Money:
    picture = bank.picture(ref)
    assert picture is not None
    return picture.payment.given_back


def test_the_list_shows_a_refund_only_after_the_lag(clock: Clock) -> None:
    """The list waits, the charge's own figure does not, a read by id does not; then the newest comes first."""
    bank = MemoryBank(clock, list_lag=HOUR)
    ref = bank.charge(usd("200.00"))
    made(bank, ref, 100, "a")
    clock.ahead(SECOND)
    made(bank, ref, 100, "b")
    assert (listed(bank, ref), given_back(bank, ref)) == ([], usd("2.00"))
    assert bank.find("platform", "re_1") is not None
    assert len(bank.refunds(ref)) == 2
    clock.ahead(HOUR - SECOND)
    assert listed(bank, ref) == ["re_1"]
    clock.ahead(SECOND)
    assert listed(bank, ref) == ["re_2", "re_1"]


def test_the_figure_can_lag_with_the_list(clock: Clock) -> None:
    """With `figure_lags` neither witness knows of a fresh refund; the cap, which is the truth, does."""
    bank = MemoryBank(clock, list_lag=HOUR, figure_lags=True)
    ref = bank.charge(usd("200.00"))
    refund = made(bank, ref)
    assert given_back(bank, ref) == usd("0.00")
    assert refused(create(bank, ref, 1, "k2")) == (400, "charge_already_refunded", None)
    clock.ahead(HOUR)
    assert given_back(bank, ref) == usd("200.00")
    bank.settle(refund.id, "failed")
    assert given_back(bank, ref) == usd("0.00")


def test_a_lag_can_be_set_for_one_refund(clock: Clock) -> None:
    """By argument, by a callable asked for each refund, or afterwards, later and sooner."""
    lags = iter([timedelta(0), 2 * HOUR, 2 * HOUR])
    bank = MemoryBank(clock, list_lag=lambda: next(lags))
    ref = bank.charge(usd("200.00"))
    bank.elsewhere(ref, usd("1.00"), list_lag=HOUR)
    for key in "abc":
        made(bank, ref, 100, key)
    assert listed(bank, ref) == ["re_2"]
    bank.show_after("re_2", 3 * HOUR)
    assert listed(bank, ref) == []
    bank.show_after("re_3", timedelta(0))
    assert listed(bank, ref) == ["re_3"]
    clock.ahead(HOUR)
    assert listed(bank, ref) == ["re_3", "re_1"]
    clock.ahead(HOUR)
    assert listed(bank, ref) == ["re_4", "re_3", "re_1"]
    clock.ahead(HOUR)
    assert listed(bank, ref) == ["re_4", "re_3", "re_2", "re_1"]


def test_a_picture_is_the_same_object_until_something_changes(bank: MemoryBank, clock: Clock) -> None:
    """A look costs nothing new while nothing is new, and each kind of news is seen."""
    ref = bank.charge(usd("200.00"), method="us_bank_account", settled=False)
    changes: list[Callable[[], object]] = [
        lambda: made(bank, ref, 10_000),
        lambda: bank.settle_payment(ref),
        lambda: clock.ahead(3 * DAY),
        lambda: bank.elsewhere(ref, usd("5.00"), list_lag=HOUR),
        lambda: clock.ahead(HOUR),
        lambda: bank.settle("pyr_1", "failed"),
        lambda: bank.dispute(ref),
        lambda: bank.close_dispute("du_1", "won"),
    ]
    for change in changes:
        before = bank.picture(ref)
        assert bank.picture(ref) is before
        change()
        assert bank.picture(ref) != before


# -- time, copies, threads --------------------------------------------------------------------------------


def test_a_clock_that_runs_back_stands_still(bank: MemoryBank, clock: Clock) -> None:
    """The gateway's time never runs back, so nothing is undone and no key lives longer."""
    ref = bank.charge(usd("200.00"))
    clock.ahead(HOUR)
    assert bank.tick() == START + HOUR
    clock.ahead(-DAY)
    assert bank.tick() == START + HOUR
    assert made(bank, ref).created_at == START + HOUR


def test_next_at_names_what_happens_next_and_then_nothing(bank: MemoryBank, clock: Clock) -> None:
    """A test can go from event to event and sees the end."""
    ref = bank.charge(usd("200.00"), course=Course.pending_then_succeeds(HOUR))
    moments = []
    for _ in range(2):  # the first round finds nothing to come
        while (moment := bank.next_at) is not None:
            moments.append(moment - START)
            clock.now = moment
        if not moments:
            made(bank, ref)
    assert moments == [HOUR, HOUR + DAY]
    trace = bank.refunds(ref)[0].trace
    assert trace is not None
    assert trace.reference is not None


def test_a_copy_goes_its_own_way(bank: MemoryBank, clock: Clock) -> None:
    """What is pending in a copy happens in the copy, what is done to one is not seen in the other."""
    ref = bank.charge(usd("200.00"), course=Course.pending_then_fails(after=HOUR))
    made(bank, ref)
    twin = bank.copy()
    bank.settle("re_1", "succeeded")
    clock.ahead(HOUR)
    assert (latest(bank, ref)[0], latest(twin, ref)[0]) == ("succeeded", "failed")
    assert isinstance(create(twin, ref), Made)
    assert (len(bank.received), len(twin.received)) == (1, 2)


def test_a_deep_copy_takes_its_clock_along(bank: MemoryBank, clock: Clock) -> None:
    """Copied together, clock and bank stay together; the originals do not move."""
    ref = bank.charge(usd("200.00"), method="us_bank_account")
    made(bank, ref)
    other_bank, other_clock = copy.deepcopy((bank, clock))
    other_clock.ahead(3 * DAY)
    assert (latest(bank, ref)[0], latest(other_bank, ref)[0]) == ("pending", "succeeded")


def test_the_same_calls_give_the_same_bank() -> None:
    """Nothing is random: two runs of one story agree in every id, time, status and reply."""

    def story() -> tuple[object, ...]:
        clock = Clock()
        bank = MemoryBank(clock, list_lag=HOUR)
        refs = [bank.charge(usd("200.00"), method=method) for method in ("card", "us_bank_account", "klarna")]
        for number, ref in enumerate(refs):
            bank.refund_later(number * HOUR, "platform", ref.charge, 5_000, key=f"k{number}", mark=f"k{number}")
            create(bank, ref, 5_000, f"j{number}")
            clock.ahead(HOUR)
        clock.ahead(5 * DAY)
        return tuple(bank.refunds(ref) for ref in refs), bank.received

    assert story() == story()


@pytest.mark.parametrize(("cap", "one_key"), [(True, False), (True, True), (False, True)])
def test_eight_threads_racing_one_charge_make_one_refund(
    request: pytest.FixtureRequest, clock: Clock, cap: bool, one_key: bool
) -> None:
    """Distinct keys: the cap lets one through. One key: a single refund even without the cap."""
    bank = MemoryBank(clock, cap=cap)
    barrier = Barrier(8)
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(1e-6)
    refs = [bank.charge(usd("200.00")) for _ in range(100)]

    def race(worker: int) -> list[Made | ErrorReply]:
        barrier.wait()
        return [create(bank, ref, key=ref.charge if one_key else f"{ref.charge}-{worker}") for ref in refs]

    with ThreadPoolExecutor(8) as pool:
        replies = [reply for answered in pool.map(race, range(8)) for reply in answered]
    assert [bank.made(ref) for ref in refs] == [1] * 100
    assert len(bank.received) == 800
    good = [reply for reply in replies if isinstance(reply, Made)]
    assert len(good) == (800 if one_key else 100)
    assert len({reply.refund.id for reply in good}) == 100


def test_a_failing_clock_leaves_the_bank_usable(clock: Clock) -> None:
    """The lock is given back when the clock raises, so one bad moment does not hang every thread."""
    fails = [False]

    def sometimes() -> datetime:
        if fails[0]:
            raise OSError("no time")
        return clock()

    bank = MemoryBank(sometimes)
    ref = bank.charge(usd("2.00"))
    fails[0] = True
    with pytest.raises(OSError, match="no time"):
        bank.picture(ref)
    fails[0] = False
    assert bank.picture(ref) is not None
