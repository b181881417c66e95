"""Bookings: payments quoted together, issued one by one, resumed after a fault, cancelled without a refund."""

from __future__ import annotations

from datetime import date

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refund_adapters.memory import Fault
from refund_domain import (
    Actor,
    AsyncRefundService,
    IssueRefund,
    Money,
    OutsideRef,
    PaymentRef,
    Refund,
    RefundService,
    Refused,
    Status,
)
from refund_domain.commands import Action, FormError, Reason
from refund_domain.errors import GatewayUnreadable, OpenTransaction
from refund_domain.money import Currency
from refund_domain.payments import AnyPayment
from refund_domain.payouts.funds import Balance, Funds, Payout
from refund_domain.policy import FundingRule, Policy
from refund_domain.quotes import Booking, IssueBooking, NotTried
from refund_domain.rules.cancellation import CancellationNotice, cancellation_notice
from refund_domain.rules.funding import (
    FromBalance,
    FromBankAccount,
    FromPayout,
    NotCovered,
    Shortfall,
    forecast_fundings,
)
from refund_domain.views import PaymentView
from tests.domain.worlds import (
    KINDS,
    MARIA,
    MINUTE,
    AwaitedGateway,
    AwaitedJournal,
    Kind,
    World,
    codes_of,
    driven,
    raising,
    refund_of,
    unavailable,
)

USD = Currency.of("USD")
CASH = OutsideRef(id="cash-7", method="cash", amount=Money.parse("40.00", "USD"))


def usd(major: str) -> Money:
    """Dollars."""
    return Money.parse(major, "USD")


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> World:
    """A fresh world in each form of the service, without the gateway's own cap."""
    kind: Kind = request.param
    return World(kind, cap=False)


def booked(world: World, *amounts: str, cash: bool = False) -> Booking:
    """A booking paid by card in these amounts, and in cash if so said; not in the order of its refs."""
    refs: list[AnyPayment] = [world.pay(amount) for amount in amounts]
    return Booking(label="1042", payments=(*reversed(refs), *([CASH] if cash else [])))


def platform_refs(booking: Booking) -> list[PaymentRef]:
    """The booking's payments that went through the platform, in ref order."""
    return sorted((ref for ref in booking.payments if isinstance(ref, PaymentRef)), key=str)


# --- quoting ------------------------------------------------------------------------------------------------


def test_booking_is_quoted_in_ref_order_with_what_goes_back_outside(world: World) -> None:
    """Each payment has its quote, in ref order; cash is one of them, refused as external with what is left."""
    booking = booked(world, "200.00", "150.00", cash=True)
    quote = world.refunds.quote_booking(booking, by=MARIA)
    assert quote.label == "1042"
    assert [str(each.ref) for each in quote.quotes] == ["outside/cash-7", "platform/ch_1", "platform/ch_2"]
    assert [codes_of(each) for each in quote.quotes] == [("external",), (), ()]
    assert quote.quotes[0].outside_left == CASH.amount
    assert [each.amount for each in quote.refundable] == [usd("200.00"), usd("150.00")]


def test_r8_booking_is_funded_together(world: World) -> None:
    """What the first refund takes from a payout the second does not find; the rest is the bank account's (R9)."""
    booking = booked(world, "400.00", "150.00", cash=True)
    payout = Payout(id="po_1", amount=usd("500.00"), arrives_on=date(2026, 3, 4))
    world.funds.of["platform"] = Funds(payouts=(payout,))
    quote = world.refunds.quote_booking(booking, by=MARIA)
    assert world.funds.asked == ["platform"]
    first, second = (each.funding for each in quote.refundable)
    assert first is not None
    assert second is not None
    (part,) = first.parts
    assert isinstance(part, FromPayout)
    assert (part.before, part.after) == (usd("500.00"), usd("100.00"))
    part, rest = second.parts
    assert isinstance(part, FromPayout)
    assert (part.before, part.after) == (usd("100.00"), usd("0.00"))
    assert rest == FromBankAccount(amount=usd("50.00"))
    assert quote.quotes[0].funding is None


class Broken(dict[str, Funds]):
    """What a source that raises knows of accounts."""

    def get(self, *_: object) -> Funds:
        raise OSError("a host's source, which must not raise")


def test_a_source_that_raises_costs_the_forecast_and_no_quote(world: World) -> None:
    """Nothing about a forecast is worth failing a quote for: not even an exception of a host's own source."""
    booking = booked(world, "200.00", "150.00")
    world.funds.of = Broken()
    quote = world.refunds.quote_booking(booking, by=MARIA)
    assert [(each.amount, each.funding) for each in quote.refundable] == [
        (usd("200.00"), None),
        (usd("150.00"), None),
    ]
    (ref, _) = platform_refs(booking)
    assert not world.refunds.quote(ref, by=MARIA).refusals
    assert world.funds.asked == ["platform", "platform"]


class BrokenFar(dict[str, Funds]):
    """What a source knows that raises for one account."""

    def get(self, account: str, *rest: object) -> Funds:
        if account == "acct_far":
            raise OSError("a host's source, which must not raise")
        return self[account]


def test_account_that_cannot_be_read_costs_no_other_its_forecast(world: World) -> None:
    """What one account holds is forecast though another's source raised before it."""
    near, far = world.pay("200.00"), world.bank.charge(usd("150.00"), account="acct_far")
    payout = Payout(id="po_1", amount=usd("500.00"), arrives_on=date(2026, 3, 4))
    world.funds.of = BrokenFar(platform=Funds(payouts=(payout,)))
    quote = world.refunds.quote_booking(Booking(label="1042", payments=(near, far)), by=MARIA)
    assert world.funds.asked == ["acct_far", "platform"]
    assert [(each.ref, each.funding is None) for each in quote.refundable] == [(far, True), (near, False)]


def test_booking_that_cannot_be_read_is_not_quoted(world: World) -> None:
    """Where one payment cannot be read the booking has no quote: a person verifies all of it or none."""
    booking = booked(world, "200.00", "150.00")
    world.gateway.script(Fault.LOOK_WORKS, Fault.LOOK_UNREADABLE)
    with pytest.raises(GatewayUnreadable):
        world.refunds.quote_booking(booking, by=MARIA)
    assert len(world.refunds.quote_booking(booking, by=MARIA).refundable) == 2


def test_bookings_are_checked(world: World) -> None:
    """A booking of a list, of a ref named twice, or of nobody's words is refused before anything is asked."""
    ref = world.pay()
    with pytest.raises(TypeError):
        Booking(label="1", payments=[ref])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="once"):
        Booking(label="1", payments=(ref, PaymentRef("platform", ref.charge)))
    with pytest.raises(TypeError):
        world.refunds.quote_booking((ref,), by=MARIA)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        world.refunds.issue_booking((world.decision(ref),))  # type: ignore[arg-type]
    assert world.refunds.issue_booking(IssueBooking(label="1", refunds=())) == ()
    assert world.gateway.sent == ()


# --- issuing ------------------------------------------------------------------------------------------------


def test_booking_is_refunded_payment_by_payment(world: World) -> None:
    """Each payment is refunded by its own remainder, in ref order; the sums add up, and never a call with 0."""
    # failures: D07, H09
    booking = booked(world, "200.00", "150.00", "80.00", cash=True)
    refs = platform_refs(booking)
    world.bank.elsewhere(refs[1], usd("50.00"))
    world.bank.elsewhere(refs[2])
    quote = world.refunds.quote_booking(booking, by=MARIA)
    command = quote.verified(by=MARIA, note="n")
    results = world.refunds.issue_booking(attrs.evolve(command, refunds=command.refunds[::-1]))
    refunds = [refund_of(result) for result in results if not isinstance(result, NotTried)]
    assert [(refund.payment, refund.amount) for refund in refunds] == [
        (refs[0], usd("200.00")),
        (refs[1], usd("100.00")),
    ]
    assert [world.bank.live(ref) for ref in refs] == [usd("200.00"), usd("150.00"), usd("80.00")]
    assert [received.amount_minor for received in world.bank.received] == [20_000, 10_000]


def test_a_payment_made_twice_goes_back_alone(world: World) -> None:
    """What was paid too much is refunded as a duplicate; the other payment stays, and refundable."""
    # failure: H13
    booking = booked(world, "200.00", "200.00")
    kept, twice = platform_refs(booking)
    quote = world.refunds.quote_booking(booking, by=MARIA)
    (excess,) = [each for each in quote.refundable if each.ref == twice]
    refund = refund_of(world.refunds.issue(excess.verified(by=MARIA, reason=Reason.DUPLICATE, note="paid twice")))
    assert (refund.payment, refund.reason, refund.status) == (twice, Reason.DUPLICATE, Status.SUCCEEDED)
    assert [world.bank.made(ref) for ref in (kept, twice)] == [0, 1]
    again = world.refunds.quote_booking(booking, by=MARIA)
    assert [(each.ref, each.amount) for each in again.refundable] == [(kept, usd("200.00"))]


def test_cash_of_a_booking_is_never_sent(world: World) -> None:
    """A booking paid in cash only has nothing to verify and nothing to issue."""
    quote = world.refunds.quote_booking(booked(world, cash=True), by=MARIA)
    assert quote.refundable == ()
    assert quote.verified(by=MARIA) == IssueBooking(label="1042", refunds=())
    assert quote.form() == {}
    assert world.wire.calls.count("look") == 0


@pytest.mark.parametrize("broken", range(4))
def test_fault_at_one_payment_then_resumed(world: World, broken: int) -> None:
    """A fault at the k-th payment is reported as not tried; the same command again finishes, repeating nothing."""
    # failures: H09, D07
    booking = booked(world, "10.00", "20.00", "30.00", "40.00")
    refs = platform_refs(booking)
    command = world.refunds.quote_booking(booking, by=MARIA).verified(by=MARIA)
    world.wire.clear()
    loads = {"left": broken}

    def breaks() -> None:
        loads["left"] -= 1
        if loads["left"] == -1:
            raise OSError("the disk of the journal, with a secret")

    world.wire.each["load"] = breaks
    results = world.refunds.issue_booking(command)
    assert results[broken] == NotTried(payment=refs[broken], error="OSError")
    assert [isinstance(result, Refund) for result in results] == [place != broken for place in range(4)]
    world.wire.clear()
    again = world.refunds.issue_booking(command)
    for place, (first, second) in enumerate(zip(results, again, strict=True)):
        assert isinstance(second, Refund)
        assert second.status is Status.SUCCEEDED
        assert place == broken or second == first
    assert [world.bank.made(ref) for ref in refs] == [1, 1, 1, 1]
    assert len(world.bank.received) == 4


def test_each_payment_has_its_own_result(world: World) -> None:
    """One disputed, one changed, one in doubt, one made: the report tells each, and resuming mends what it can."""
    # failure: H09
    booking = booked(world, "10.00", "20.00", "30.00", "40.00")
    refs = platform_refs(booking)
    command = world.refunds.quote_booking(booking, by=MARIA).verified(by=MARIA)
    world.bank.dispute(refs[0])
    world.bank.elsewhere(refs[1], usd("5.00"))
    world.gateway.script(Fault.ANSWER_LOST)
    results = world.refunds.issue_booking(command)
    assert codes_of(results[0]) == ("disputed",)
    assert codes_of(results[1]) == ("amount_changed",)
    assert isinstance(results[2], Refund)
    assert results[2].status is Status.IN_DOUBT
    assert isinstance(results[3], Refund)
    assert results[3].status is Status.SUCCEEDED
    world.clock.advance(3 * MINUTE)
    again = world.refunds.issue_booking(command)
    assert again[:2] == results[:2]
    assert isinstance(again[2], Refund)
    assert again[2].status is Status.SUCCEEDED
    assert again[3] == results[3]
    assert [world.bank.made(ref) for ref in refs] == [0, 0, 1, 1]


def test_booking_inside_a_transaction_is_not_tried(world: World) -> None:
    """Inside an open transaction no payment of a booking is tried, and each result says why."""
    booking = booked(world, "10.00", "20.00")
    command = world.refunds.quote_booking(booking, by=MARIA).verified(by=MARIA)
    world.journal.in_transaction = True
    results = world.refunds.issue_booking(command)
    assert results == tuple(
        NotTried(payment=ref, error=OpenTransaction.__name__) for ref in platform_refs(booking)
    )
    assert world.gateway.sent == ()


def test_interrupt_ends_a_booking_and_the_rest_is_resumed(world: World) -> None:
    """An interrupt passes through a booking; the same command afterwards finishes it without a second refund."""
    booking = booked(world, "10.00", "20.00", "30.00")
    command = world.refunds.quote_booking(booking, by=MARIA).verified(by=MARIA)
    world.wire.clear()
    world.wire.after[7 + 5] = raising(KeyboardInterrupt())  # the send of the second payment
    with pytest.raises(KeyboardInterrupt):
        world.refunds.issue_booking(command)
    world.clock.advance(3 * MINUTE)
    results = world.refunds.issue_booking(command)
    assert [getattr(result, "status", None) for result in results] == [Status.SUCCEEDED] * 3
    assert len(world.bank.received) == 3


def test_booking_asks_allow_for_each_payment(world: World) -> None:
    """Rights are asked payment by payment: what one may not refund is refused, the rest goes out."""
    # failure: H08
    booking = booked(world, "10.00", "20.00")
    refs = platform_refs(booking)
    command = world.refunds.quote_booking(booking, by=MARIA).verified(by=MARIA)
    world.allow = lambda actor, action, ref: ref != refs[0]
    results = world.refunds.issue_booking(command)
    assert codes_of(results[0]) == ("not_allowed",)
    assert isinstance(results[1], Refund)
    quote = world.refunds.quote_booking(booking, by=MARIA)
    assert [codes_of(each) for each in quote.quotes] == [("not_allowed",), ("already_refunded",)]
    assert {action for _, action, _ in world.wire.asked} == {Action.QUOTE, Action.ISSUE}


def test_payment_named_twice_in_a_decision_is_refunded_once(world: World) -> None:
    """Two decisions about one payment in one booking make one refund; the second is told of the first."""
    # failure: A05
    ref = world.pay()
    first, second = world.decision(ref), world.decision(ref)
    results = world.refunds.issue_booking(IssueBooking(label="1", refunds=(first, second, first)))
    assert isinstance(results[0], Refund)
    assert codes_of(results[1]) == ("already_refunded",)
    assert results[2] == results[0]
    assert world.bank.made(ref) == 1


def test_booking_form_brings_the_decisions_back(world: World) -> None:
    """One page carries all quotes of a booking; payments it does not name were refused and stay out."""
    booking = booked(world, "10.00", "20.00", cash=True)
    quote = world.refunds.quote_booking(booking, by=MARIA)
    command = IssueBooking.from_form(quote.form(), booking=booking, by=MARIA)
    assert sorted(command.refunds, key=str) == sorted(quote.verified(by=MARIA).refunds, key=str)
    assert command.label == booking.label
    only = {name: value for name, value in quote.form().items() if name.startswith("platform/ch_2.")}
    (refund,) = IssueBooking.from_form(only, booking=booking, by=MARIA).refunds
    assert refund.payment == PaymentRef("platform", "ch_2")
    assert len(world.refunds.issue_booking(command)) == 2


def test_booking_form_that_was_tampered_with_is_refused(world: World) -> None:
    """A page without a decision or with half of one is a FormError; a foreign payment it names is left alone."""
    booking, foreign = booked(world, "10.00"), world.pay()
    form = world.refunds.quote_booking(booking, by=MARIA).form()
    with pytest.raises(FormError, match=r"platform/ch_\d\.request_id"):
        IssueBooking.from_form({}, booking=booking, by=MARIA)
    with pytest.raises(FormError, match="'note' must be at most 500 characters long"):
        IssueBooking.from_form(form, booking=booking, by=MARIA, note="x" * 501)
    assert {each.note for each in IssueBooking.from_form(form, booking=booking, by=MARIA, note=" ").refunds} == {
        None
    }
    for name in form:
        with pytest.raises(FormError) as caught:
            IssueBooking.from_form({k: v for k, v in form.items() if k != name}, booking=booking, by=MARIA)
        assert caught.value.field == name
    moved = {name.replace("platform/ch_1", str(foreign)): value for name, value in form.items()}
    with pytest.raises(FormError):
        IssueBooking.from_form(moved, booking=booking, by=MARIA)
    both = IssueBooking.from_form(form | moved, booking=booking, by=MARIA)
    assert [refund.payment for refund in both.refunds] == platform_refs(booking)


# --- cancelling ---------------------------------------------------------------------------------------------


def notice(world: World, booking: Booking) -> CancellationNotice:
    """What the host tells people when this booking is cancelled."""
    views = []
    for ref in booking.payments:
        view = world.refunds.show(ref, by=MARIA)
        assert isinstance(view, PaymentView)
        views.append(view)
    return cancellation_notice(booking.label, views)


def test_r5_cancelling_a_booking_refunds_nothing(world: World) -> None:
    """Cancelling, before, between and after refunds, however often, calls no gateway and prevents no refund."""
    # failure: H06
    booking = booked(world, "200.00", "150.00", cash=True)
    refs = platform_refs(booking)
    quote = world.refunds.quote_booking(booking, by=MARIA)
    world.wire.clear()
    told = [notice(world, booking) for _ in range(3)]
    assert "look" not in world.wire.calls
    assert "send" not in world.wire.calls
    assert told[0] == told[1] == told[2]
    assert (told[0].held, told[0].outside, told[0].refunds) == ((usd("350.00"),), (usd("40.00"),), ())
    assert "Cancelling refunded nothing; still held: 350.00 USD." in str(told[0])
    assert "not recorded as given back: 40.00 USD." in str(told[0])

    refund = refund_of(world.refunds.issue(quote.refundable[0].verified(by=MARIA)))
    between = notice(world, booking)
    assert (between.held, between.refunds) == ((usd("150.00"),), (refund,))
    refund_of(world.refunds.issue(quote.refundable[1].verified(by=MARIA)))
    world.refunds.record_outside(CASH, CASH.amount, by=MARIA, how="cash")
    after = notice(world, booking)
    assert (after.held, after.outside) == ((usd("0.00"),), (usd("0.00"),))
    assert str(after) == "Booking 1042 is cancelled. Cancelling refunded nothing; still held: nothing."
    assert [world.bank.made(ref) for ref in refs] == [1, 1]


def test_notice_of_a_payment_never_seen_says_nothing_of_it(world: World) -> None:
    """A payment no look has shown adds nothing to what a cancelled booking is said to hold."""
    seen, unseen = world.pay(), world.pay("150.00")
    world.decision(seen)
    told = cancellation_notice("1042", [world.refunds.dispatch(seen), world.refunds.dispatch(unseen)])
    assert told.held == (usd("200.00"),)


def test_nothing_refunds_by_itself(world: World) -> None:
    """Quotes, looks, recovery and time without a decision send nothing, whatever happens to the payment."""
    # failures: D09, H06
    booking = booked(world, "200.00")
    (ref,) = platform_refs(booking)
    quote = world.refunds.quote_booking(booking, by=MARIA)
    world.bank.elsewhere(ref, usd("20.00"))
    world.refunds.quote_booking(booking, by=MARIA)
    world.refunds.dispatch(ref)
    world.settle_down()
    notice(world, booking)
    assert quote.refundable
    assert world.gateway.sent == ()


# --- many payments, any of them ------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    minors=st.lists(st.integers(1, 10**6), min_size=1, max_size=5),
    elsewhere=st.lists(st.integers(0, 100), min_size=5, max_size=5),
    broken=st.sets(st.integers(0, 40), max_size=6),
    kind=st.sampled_from(KINDS),
)
def test_sums_add_up_whatever_breaks(
    minors: list[int], elsewhere: list[int], broken: set[int], kind: Kind
) -> None:
    """Whatever went back before and whatever call of the journal breaks, all is given back once in the end."""
    # failures: D06, D07, H09
    world = World(kind, cap=False)
    currency = usd("1").currency
    refs = [world.bank.charge(Money(minor, currency)) for minor in minors]
    for ref, minor, percent in zip(refs, minors, elsewhere, strict=False):
        if gone := minor * percent // 100:
            world.bank.elsewhere(ref, Money(gone, currency))
    quote = world.refunds.quote_booking(Booking(label="1", payments=tuple(refs)), by=MARIA)
    command = quote.verified(by=MARIA)
    world.wire.clear()
    world.wire.before.update(dict.fromkeys(broken, unavailable()))
    world.refunds.issue_booking(command)
    world.wire.clear()
    world.settle_down()
    results = world.refunds.issue_booking(_fresh(command, world))
    assert not [result for result in results if isinstance(result, Refused | NotTried)]
    assert [world.bank.live(ref).amount_minor for ref in refs] == minors
    assert all(received.amount_minor for received in world.bank.received)
    assert len(world.bank.received) == len(command.refunds)


def _fresh(command: IssueBooking, world: World) -> IssueBooking:
    """The same decisions made again in time: a person does so where they were never written down."""

    def again(refund: IssueRefund) -> IssueRefund:
        return attrs.evolve(refund, quoted_at=world.clock.now)

    return attrs.evolve(command, refunds=tuple(again(refund) for refund in command.refunds))


def test_another_tenants_payment_in_a_booking_is_not_found(world: World) -> None:
    """A booking that names another tenant's payment has a not-found quote for it, as for one that is none."""
    ref = world.pay()
    world.decision(ref)
    eve = Actor(id="eve", tenant="other")
    booking = Booking(label="1", payments=(ref, PaymentRef("platform", "ch_404")))
    quote = world.refunds.quote_booking(booking, by=eve)
    assert [codes_of(each) for each in quote.quotes] == [("not_found",)] * 2
    assert quote.refundable == ()


# --- where the money comes from ---------------------------------------------------------------------------------


def test_a_quote_asks_what_the_account_holds_only_where_money_would_move(world: World) -> None:
    """One question an account, none for a refused quote, and none for money taken outside."""
    near, far = world.pay("200.00"), world.bank.charge(usd("150.00"), account="acct_far")
    world.funds.of = {"platform": Funds(), "acct_far": Funds(balances=(Balance(available=usd("10.00")),))}
    booking = Booking(label="1042", payments=(near, far, CASH, world.pay("20.00")))
    quote = world.refunds.quote_booking(booking, by=MARIA)
    assert sorted(world.funds.asked) == ["acct_far", "platform"]
    fundings = {str(each.ref): each.funding for each in quote.quotes}
    assert fundings[str(CASH)] is None
    funding = fundings[str(far)]
    assert funding is not None
    assert funding.at_gateway == NotCovered(amount=usd("150.00"), then=Shortfall.WAITS)
    world.funds.asked.clear()
    world.bank.elsewhere(near, usd("200.00"))
    assert world.refunds.quote(near, by=MARIA).funding is None
    assert world.funds.asked == []


def test_what_an_account_holds_is_not_worth_failing_a_quote_for(world: World) -> None:
    """Where it cannot be read there is no forecast, and the quote can be issued all the same."""
    quote = world.refunds.quote(world.pay(), by=MARIA)
    assert world.funds.asked == ["platform"]
    assert quote.funding is None
    assert isinstance(world.refunds.issue(quote.verified(by=MARIA)), Refund)


@pytest.mark.parametrize("kind", KINDS)
def test_a_forecast_by_the_balance_needs_the_balance(kind: Kind) -> None:
    """Under that rule a currency whose balance is not known has no forecast; where it is known, it is used."""
    world = World(kind, policy=Policy(funding=FundingRule.BALANCE))
    ref = world.pay("200.00")
    world.funds.of["platform"] = Funds()
    assert world.refunds.quote(ref, by=MARIA).funding is None
    world.funds.of["platform"] = Funds(balances=(Balance(available=usd("250.00")),))
    funding = world.refunds.quote(ref, by=MARIA).funding
    assert funding is not None
    assert funding.parts == (FromBalance(amount=usd("200.00"), after=usd("50.00")),)


@pytest.mark.parametrize("kind", KINDS)
def test_a_refund_that_would_wait_has_no_day_of_arrival(kind: Kind) -> None:
    """The balance covers one of two refunds: the quote of the other promises no day. Nor does that of a debit that
    has not settled yet, whose refund waits for it."""
    world = World(kind, policy=Policy(accept_unsettled_ach=True))
    booking = booked(world, "200.00", "100.00")
    world.funds.of["platform"] = Funds(balances=(Balance(available=usd("250.00")),))
    covered, short = world.refunds.quote_booking(booking, by=MARIA).quotes
    assert (covered.arrives is None, short.arrives is None) == (False, True)
    assert short.refusals == ()
    pending = world.bank.charge(usd("50.00"), method="us_bank_account", settled=False)
    quote = world.refunds.quote(pending, by=MARIA)
    assert (quote.refusals, quote.arrives) == ((), None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_payment_settled_in_another_currency_has_no_forecast(kind: Kind) -> None:
    """The account names its currencies, and the payment's is none of them: which of them pays for the refund, and
    how much of it, nobody knows; least of all is it the connected bank account."""
    world = World(kind)
    ref = world.pay("200.00")
    euros = Balance(available=Money(900_00, Currency.of("EUR")))
    world.funds.of["platform"] = Funds(balances=(euros,))
    assert world.refunds.quote(ref, by=MARIA).funding is None
    world.funds.of["platform"] = Funds(balances=(euros, Balance(available=usd("0.00"))))
    assert world.refunds.quote(ref, by=MARIA).funding is not None


@pytest.mark.parametrize("kind", KINDS)
def test_a_service_without_a_source_forecasts_nothing(kind: Kind) -> None:
    """Nobody said what the account holds: the quote says nothing about it, rather than something untrue."""
    world = World(kind)
    ref = world.pay()

    async def allow(*_: object) -> bool:
        return True

    if kind == "sync":
        quote = RefundService(world.gateway, world.store, allow=lambda *_: True).quote(ref, by=MARIA)
    else:
        ports = AwaitedGateway(world.gateway), AwaitedJournal(world.store)
        quote = driven(AsyncRefundService(*ports, allow=allow).quote(ref, by=MARIA))
    assert (quote.refusals, quote.funding) == ((), None)


@pytest.mark.parametrize("method", ["card", "us_bank_account"])
@given(available=st.integers(0, 60_000), amounts=st.lists(st.integers(50, 40_000), min_size=1, max_size=4))
def test_the_forecast_by_the_balance_is_what_a_bank_does(method: str, available: int, amounts: list[int]) -> None:
    """Refund after refund: covered ones go out at once, a card's others wait for funds, a bank debit's fail."""
    world = World()
    refs = [world.bank.charge(Money(minor, USD), method=method) for minor in amounts]
    world.bank.drain("platform", Money(available, USD))
    fundings = forecast_fundings(
        [Money(minor, USD) for minor in amounts],
        (),
        (Balance(available=Money(available, USD)),),
        Policy(funding=FundingRule.BALANCE),
        methods=[method] * len(amounts),
    )
    for ref, funding in zip(refs, fundings, strict=True):
        world.bank.elsewhere(ref, funding.amount)
        (refund,) = world.bank.refunds(ref)
        short = "insufficient_funds" in (refund.pending_reason, refund.failure_reason)
        there = funding.at_gateway
        assert short is isinstance(there, NotCovered)
        if isinstance(there, NotCovered):
            assert (refund.status == "failed") is (there.then is Shortfall.FAILS)
