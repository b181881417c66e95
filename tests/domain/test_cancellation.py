"""R5: cancelling a booking refunds nothing; the notice says what is still held, and how to give it back."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_domain.decider.ledger import EMPTY, Status
from refund_domain.money import LIMIT_MINOR, Currency, Money
from refund_domain.payments import AnyPayment, OutsideRef, PaymentRef
from refund_domain.refusals import NotFound, Refused
from refund_domain.rules.arrival import weekdays
from refund_domain.rules.cancellation import cancellation_notice
from refund_domain.views import PaymentView, view_payment
from tests.domain.histories import POLICY, REF, START, WHOLE, Story, kinds, standing, usd

EUR = Currency.of("EUR")
CASH = OutsideRef(id="cash-1", method="cash", amount=usd(40_00))


def holding(left: Money | None, ref: AnyPayment = REF) -> PaymentView:
    """A payment of which so much is left."""
    return PaymentView(ref=ref, payment=None, seen_at=None, left=left)


def test_r5_the_notice_names_what_is_held_inside_and_outside() -> None:
    """R5: by currency, money at the gateway apart from money taken outside, and what to do about each."""
    views = [
        holding(usd(100_00)),
        holding(usd(50_00), PaymentRef("acct_1", "ch_2")),
        holding(Money(7_00, EUR), PaymentRef("acct_1", "ch_3")),
        holding(usd(40_00), CASH),
        holding(None, PaymentRef("acct_1", "ch_never_seen")),
        holding(usd(1), PaymentRef("acct_1", "ch_4")),
    ]
    notice = cancellation_notice("1042", views)
    assert notice.held == (Money(7_00, EUR), usd(150_01))
    assert notice.outside == (usd(40_00),)
    assert str(notice) == (
        "Booking 1042 is cancelled. Cancelling refunded nothing; still held, as far as is known: 7.00 EUR and "
        "150.01 USD. To give it back, quote and issue a refund. Taken outside and not recorded as given back: "
        "40.00 USD. What 1 payment holds is not known yet: quote it."
    )


def test_r5_nothing_held_is_said_so() -> None:
    """R5: a booking without payments, and one of which all has gone back, ask for nothing."""
    for views in ([], [holding(usd(0)), holding(usd(0), CASH)]):
        text = str(cancellation_notice("1042", views))
        assert text == "Booking 1042 is cancelled. Cancelling refunded nothing; still held: nothing."


def test_r5_what_nobody_has_quoted_is_not_said_to_be_nothing() -> None:
    """R5: a payment is unknown here until somebody quotes it, and then no notice says that nothing is held."""
    unknown = Refused((NotFound(),))
    notice = cancellation_notice("1042", [unknown, holding(None)])
    assert (notice.held, notice.unknown) == ((), 2)
    assert str(notice) == (
        "Booking 1042 is cancelled. Cancelling refunded nothing; still held, as far as is known: nothing."
        " What 2 payments hold is not known yet: quote them."
    )


@pytest.mark.parametrize("status", Status)
def test_r5_it_shows_refunds_as_they_stand_and_stops_none(status: Status) -> None:
    """R5: issued before cancelling, a refund goes on as it was; the notice carries it and changes nothing."""
    story = standing(status)
    before = story.ledger
    view = view_payment(story.ledger, REF, story.now, POLICY, weekdays)
    notice = cancellation_notice("1042", [view])
    assert [(one.id, one.status) for one in notice.refunds] == [("r1", status)]
    assert notice.held == (view.left,)
    assert story.ledger == before


def test_r5_a_refund_stays_possible_after_cancelling() -> None:
    """R5: told as often as one likes, the next decision and its send are as before (failure H06)."""
    # failure: H06
    story = Story()
    story.quote()
    for _ in range(3):
        cancellation_notice("1042", [view_payment(story.ledger, REF, START, POLICY, weekdays)])
    assert "RefundRequested" in kinds(story.request())
    assert "SendClaimed" in kinds(story.look())


@given(st.lists(st.integers(0, WHOLE), max_size=6))
def test_r5_the_sums_are_exact(amounts: list[int]) -> None:
    """R5: what is held adds up to the last cent, over any number of payments."""
    views = [holding(usd(minor), PaymentRef("acct_1", f"ch_{n}")) for n, minor in enumerate(amounts)]
    held = cancellation_notice("1042", views).held
    assert sum(amount.amount_minor for amount in held) == sum(amounts)
    assert len(held) == min(1, len(amounts))


def test_r5_absurd_sums_raise_nothing() -> None:
    """R5: more than there can be is shown as the most there can be."""
    views = [holding(usd(LIMIT_MINOR), PaymentRef("acct_1", f"ch_{n}")) for n in range(2)]
    assert cancellation_notice("1042", views).held == (usd(LIMIT_MINOR),)


def test_r5_records_of_money_given_back_outside_lower_what_is_held() -> None:
    """R5, R2: cash recorded as given back is not held any more."""
    story = Story()
    story.outside(15_00, ref=CASH)
    notice = cancellation_notice("1042", [view_payment(story.ledger, CASH, START, POLICY, weekdays)])
    assert (notice.held, notice.outside) == ((), (usd(25_00),))
    never = cancellation_notice("1042", [view_payment(EMPTY, REF, START, POLICY, weekdays)])
    assert never.held == ()


@pytest.mark.parametrize("label", ["", "   ", "x" * 121, "a\x00b"])
def test_a_label_is_a_short_printable_text(label: str) -> None:
    """What is empty, overlong or unprintable is refused, without repeating it."""
    with pytest.raises(ValueError, match="label"):
        cancellation_notice(label, ())
    with pytest.raises(TypeError, match="label"):
        cancellation_notice(1042, ())  # type: ignore[arg-type]


def test_the_notice_is_a_value() -> None:
    """Equal views give equal, hashable notices."""
    notice = cancellation_notice("1042", [holding(usd(1))])
    assert notice == cancellation_notice("1042", [holding(usd(1))])
    assert hash(notice) == hash(attrs.evolve(notice))
