"""Balances the bank pays out on a schedule: netted, below zero, failing, waited for; and every cent of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_adapters.memory import Course, ErrorReply, Made, ManualClock, MemoryBank
from refund_adapters.memory import _postings as postings
from refund_adapters.memory import payout as payout_module
from refund_adapters.memory import rows as rows_module
from refund_adapters.memory._books import Books
from refund_adapters.memory.rows import Row
from refund_domain.money import Currency, Money
from refund_domain.payments import PLATFORM, PaymentRef

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LONG_AGO = START - 30 * DAY
SELLER = "acct_1"
Purse = tuple[str, str]


def usd(major: str) -> Money:
    return Money.parse(major, "USD")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def bank(clock: ManualClock) -> Iterator[MemoryBank]:
    """A bank of which every cent must be accounted for when the test is over."""
    bank = MemoryBank(clock)
    yield bank
    assert bank.payouts.imbalance() == ()


def paid_out(bank: MemoryBank, account: str = PLATFORM) -> list[tuple[str, str]]:
    """Amount and status of each payout, the oldest first."""
    return [(str(payout.amount), payout.status) for payout in reversed(bank.payouts.listed(account))]


def refund(bank: MemoryBank, ref: PaymentRef, minor: int | None = None) -> str:
    reply = bank.refund(ref.account, ref.charge, minor, key=None)
    assert isinstance(reply, Made)
    return reply.refund.id


def how(bank: MemoryBank, ref: PaymentRef) -> tuple[str, str | None]:
    """The status of the charge's newest refund, and why."""
    newest = bank.refunds(ref)[0]
    return newest.status, newest.pending_reason or newest.failure_reason


# -- what is paid out -------------------------------------------------------------------------------------


def test_sold_for_500_and_refunded_200_the_payout_is_300(bank: MemoryBank, clock: ManualClock) -> None:
    """R8: the refund comes out of the payout in which the money of another client's payment is."""
    old = bank.charge(usd("200.00"), taken_at=LONG_AGO)
    bank.payouts.schedule(PLATFORM, "USD")
    clock.forward(DAY)
    bank.charge(usd("500.00"), taken_at=LONG_AGO)
    refunded = refund(bank, old)
    assert how(bank, old) == ("succeeded", None)
    clock.forward(DAY)
    assert paid_out(bank) == [("200.00 USD", "in_transit"), ("300.00 USD", "pending")]
    newest = bank.payouts.listed(PLATFORM)[0]
    assert sorted(row.net for row in bank.payouts.rows_in(PLATFORM, newest.id)) == [-20_000, 50_000]
    (row,) = bank.payouts.rows_about(PLATFORM, refunded)
    assert bank.payouts.holding(PLATFORM, row.id) == newest


def test_a_payout_takes_its_way_by_itself(bank: MemoryBank, clock: ManualClock) -> None:
    """Pending, in transit half way, paid and reconciled when it arrives: each at its own time, and told."""
    bank.charge(usd("500.00"), taken_at=LONG_AGO)
    bank.payouts.schedule(PLATFORM, "usd", 6 * HOUR, arrives=4 * HOUR)
    clock.forward(DAY)
    bank.tick()
    assert [(news.type, news.at - START) for news in bank.news()] == [
        ("payout.created", 6 * HOUR),
        ("payout.updated", 8 * HOUR),
        ("payout.paid", 10 * HOUR),
        ("payout.reconciliation_completed", 10 * HOUR),
    ]
    (payout,) = bank.payouts.listed(PLATFORM)
    assert (payout.made_at, payout.arrives_at) == (START + 6 * HOUR, START + 10 * HOUR)
    assert (payout.reconciliation, payout.automatic, payout.in_progress) == ("completed", True, False)


def test_one_that_takes_no_time_is_paid_at_once(bank: MemoryBank, clock: ManualClock) -> None:
    """Where a payout arrives after nothing, it never shows on its way."""
    bank.charge(usd("500.00"), taken_at=LONG_AGO)
    bank.payouts.schedule(PLATFORM, "USD", HOUR, arrives=timedelta(0))
    clock.forward(HOUR)
    assert paid_out(bank) == [("500.00 USD", "paid")]


def test_each_payout_takes_what_the_one_before_could_not(bank: MemoryBank, clock: ManualClock) -> None:
    """Money too young for one is in the next; nothing is in two, and nothing makes no payout."""
    bank.payouts.schedule(PLATFORM, "USD")
    for major in ("100.00", "70.00", "9.00"):
        bank.charge(usd(major))
        clock.forward(DAY)
    clock.forward(10 * DAY)
    assert paid_out(bank) == [("100.00 USD", "paid"), ("70.00 USD", "paid"), ("9.00 USD", "paid")]
    for row in bank.payouts.rows(PLATFORM):
        holding = bank.payouts.holding(PLATFORM, row.id)
        assert (holding is None) is (row.category == "payout")


def test_two_currencies_are_two_balances(bank: MemoryBank, clock: ManualClock) -> None:
    """Each is paid out for itself; one without a schedule stays where it is."""
    bank.charge(usd("500.00"), taken_at=LONG_AGO)
    bank.charge(Money.parse("4000", "JPY"), taken_at=LONG_AGO)
    bank.charge(Money.parse("30.00", "EUR"), taken_at=LONG_AGO)
    bank.payouts.schedule(PLATFORM, "USD")
    bank.payouts.schedule(PLATFORM, "JPY")
    clock.forward(DAY)
    assert paid_out(bank) == [("500.00 USD", "pending"), ("4000 JPY", "pending")]
    euro = Money.parse("30.00", "EUR")
    assert bank.payouts.balances(PLATFORM) == (
        (euro, Money.zero(euro.currency)),
        (Money.parse("0", "JPY"), Money.parse("0", "JPY")),
        (usd("0.00"), usd("0.00")),
    )


def test_one_currency_does_not_pay_for_another(bank: MemoryBank, clock: ManualClock) -> None:
    """A refund waits for money of its own currency, however much there is of others."""
    bank.charge(Money.parse("400.00", "EUR"), taken_at=LONG_AGO)
    bank.payouts.schedule(PLATFORM, "USD", 9 * DAY)
    bank.payouts.schedule(PLATFORM, "EUR", 9 * DAY)
    sold = bank.charge(usd("200.00"))
    refund(bank, sold)
    assert how(bank, sold) == ("pending", "insufficient_funds")
    bank.charge(Money.parse("9.00", "EUR"), taken_at=START - DAY)
    clock.forward(3 * DAY)
    assert bank.payouts.rows_about(PLATFORM, "re_1")[0].at == START + 2 * DAY


def test_accounts_are_paid_out_each_for_itself(bank: MemoryBank, clock: ManualClock) -> None:
    """A destination's share and the platform's go to the bank account of each."""
    bank.charge(usd("200.00"), fee=usd("6.00"), destination=SELLER, application_fee=usd("20.00"))
    for account in (PLATFORM, SELLER):
        bank.payouts.schedule(account, "USD", DAY)
    clock.forward(3 * DAY)
    assert paid_out(bank) == [("14.00 USD", "in_transit")]
    assert paid_out(bank, SELLER) == [("180.00 USD", "in_transit")]


# -- below zero -------------------------------------------------------------------------------------------


def test_less_than_nothing_is_carried_over(bank: MemoryBank, clock: ManualClock) -> None:
    """A balance below zero makes no payout; the next sale covers it, and the next payout holds both."""
    sold = bank.charge(usd("200.00"), taken_at=LONG_AGO)
    bank.payouts.schedule(PLATFORM, "USD")
    clock.forward(DAY)
    bank.dispute(sold)
    clock.forward(3 * DAY)
    assert paid_out(bank) == [("200.00 USD", "paid")]
    assert bank.payouts.balance(PLATFORM, "USD")[0] == usd("-215.00")
    bank.charge(usd("500.00"))
    clock.forward(2 * DAY)
    newest = bank.payouts.listed(PLATFORM)[0]
    assert newest.amount == usd("285.00")
    assert [row.net for row in bank.payouts.rows_in(PLATFORM, newest.id)] == [-21_500, 50_000]


def test_nothing_at_all_makes_no_payout_and_keeps_its_rows(bank: MemoryBank, clock: ManualClock) -> None:
    """As much refunded as sold: no payout of nothing, and the rows are told with the next one."""
    sold = bank.charge(usd("200.00"), taken_at=LONG_AGO)
    bank.payouts.schedule(PLATFORM, "USD")
    refund(bank, sold)
    clock.forward(DAY)
    assert paid_out(bank) == []
    bank.charge(usd("5.00"))
    clock.forward(3 * DAY)
    assert paid_out(bank) == [("5.00 USD", "in_transit")]
    assert len(bank.payouts.rows_in(PLATFORM, "po_1")) == 3


def test_with_debits_the_bank_account_pays_a_refund(bank: MemoryBank, clock: ManualClock) -> None:
    """R9: all was paid out, so the refund goes below zero at once and a negative payout takes it back."""
    sold = bank.charge(usd("200.00"), taken_at=LONG_AGO)
    bank.payouts.schedule(PLATFORM, "USD", debits=True)
    clock.forward(DAY)
    refund(bank, sold)
    assert how(bank, sold) == ("succeeded", None)
    assert bank.balance(PLATFORM, "USD") == usd("-200.00")
    clock.forward(DAY)
    assert paid_out(bank) == [("200.00 USD", "in_transit"), ("-200.00 USD", "pending")]
    assert bank.balance(PLATFORM, "USD") == usd("0.00")


def test_a_debit_that_fails_is_tried_again(bank: MemoryBank, clock: ManualClock) -> None:
    """The bank account was empty: the balance is below zero again, and the next run debits again."""
    sold = bank.charge(usd("200.00"), taken_at=LONG_AGO)
    bank.payouts.schedule(PLATFORM, "USD", debits=True)
    clock.forward(DAY)
    refund(bank, sold)
    clock.forward(DAY)
    debit = bank.payouts.listed(PLATFORM)[0]
    bank.payouts.move(debit.id, "failed", "insufficient_funds")
    assert bank.balance(PLATFORM, "USD") == usd("-200.00")
    clock.forward(DAY)
    assert paid_out(bank)[1:] == [("-200.00 USD", "failed"), ("-200.00 USD", "pending")]


# -- a payout that fails ----------------------------------------------------------------------------------


@pytest.mark.parametrize("when", [timedelta(0), 30 * HOUR, 60 * HOUR])
def test_a_failed_payout_is_paid_again_with_the_next(
    bank: MemoryBank, clock: ManualClock, when: timedelta
) -> None:
    """Pending, in transit or paid already: its money comes back as its own row, and its course ends there."""
    bank.charge(usd("500.00"), taken_at=LONG_AGO)
    bank.payouts.schedule(PLATFORM, "USD", 3 * DAY)
    clock.forward(3 * DAY)
    (first,) = bank.payouts.listed(PLATFORM)
    clock.forward(when)
    bank.payouts.move(first.id, "failed", "account_closed")
    clock.forward(6 * DAY)
    assert paid_out(bank) == [("500.00 USD", "failed"), ("500.00 USD", "paid")]
    (again,) = bank.payouts.rows_in(PLATFORM, "po_2")
    assert (again.category, again.source, again.net) == ("payout_reversal", first.id, 50_000)
    told = [news.type for news in bank.news()]
    arrived = 2 if when == 60 * HOUR else 1
    assert told.count("payout.paid") == told.count("payout.reconciliation_completed") == arrived


def test_a_payout_moved_on_by_hand_is_left_alone(bank: MemoryBank, clock: ManualClock) -> None:
    """Whoever was faster has said it; only what is left of the course happens."""
    bank.charge(usd("500.00"), taken_at=LONG_AGO)
    bank.payouts.schedule(PLATFORM, "USD")
    clock.forward(DAY)
    (payout,) = bank.payouts.listed(PLATFORM)
    bank.payouts.move(payout.id, "paid")
    clock.forward(3 * DAY)
    told = [news.type for news in bank.news()]
    assert told == ["payout.created", "payout.paid", "payout.reconciliation_completed"]
    itemised = bank.charge(usd("9.00"))
    clock.forward(2 * DAY)
    bank.payouts.move("po_2", "canceled")
    refund(bank, itemised)
    clock.forward(5 * DAY)
    assert paid_out(bank) == [("500.00 USD", "paid"), ("9.00 USD", "canceled")]
    bank.charge(usd("7.00"), taken_at=LONG_AGO)
    clock.forward(DAY)
    bank.payouts.reconcile("po_3")
    clock.forward(5 * DAY)
    assert [news.type for news in bank.news() if news.object_id == "po_3"] == [
        "payout.created",
        "payout.reconciliation_completed",
        "payout.updated",
        "payout.paid",
    ]


# -- who waits --------------------------------------------------------------------------------------------


def test_a_card_refund_waits_for_a_sale_to_become_available(bank: MemoryBank, clock: ManualClock) -> None:
    """All was paid out: the refund waits through a pending sale and goes on at the moment its money is there."""
    sold = bank.charge(usd("200.00"), taken_at=LONG_AGO)
    bank.payouts.schedule(PLATFORM, "USD")
    clock.forward(DAY)
    refund(bank, sold)
    assert how(bank, sold) == ("pending", "insufficient_funds")
    clock.forward(HOUR)
    bank.charge(usd("500.00"))
    clock.forward(2 * DAY - timedelta(seconds=1))
    assert how(bank, sold) == ("pending", "insufficient_funds")
    clock.forward(timedelta(seconds=1))
    assert how(bank, sold) == ("succeeded", None)
    (row,) = bank.payouts.rows_about(PLATFORM, "re_1")
    assert row.at == row.available_at == START + 3 * DAY + HOUR
    clock.forward(DAY)
    assert paid_out(bank) == [("200.00 USD", "paid"), ("300.00 USD", "pending")]


def test_its_own_money_is_pending_at_first(bank: MemoryBank, clock: ManualClock) -> None:
    """A refund on the day of the sale waits for the sale's own money, and then nothing is left to pay out."""
    sold = bank.charge(usd("200.00"))
    bank.payouts.schedule(PLATFORM, "USD", 5 * DAY)
    refund(bank, sold)
    assert how(bank, sold) == ("pending", "insufficient_funds")
    clock.forward(2 * DAY)
    assert how(bank, sold) == ("succeeded", None)
    assert bank.payouts.rows_about(PLATFORM, "re_1")[0].at == START + 2 * DAY
    clock.forward(9 * DAY)
    assert paid_out(bank) == []


def test_nothing_is_paid_out_while_a_refund_waits(bank: MemoryBank, clock: ManualClock) -> None:
    """Two sales together cover it: the first is not paid out from under the refund."""
    sold = bank.charge(usd("200.00"), taken_at=LONG_AGO)
    bank.payouts.schedule(PLATFORM, "USD")
    clock.forward(DAY)
    refund(bank, sold)
    for _ in range(2):
        bank.charge(usd("120.00"))
        clock.forward(DAY)
    clock.forward(HOUR)
    assert (how(bank, sold)[0], bank.payouts.balance(PLATFORM, "USD")) == ("pending", (usd("120.00"),) * 2)
    clock.forward(DAY)
    assert how(bank, sold)[0] == "succeeded"
    assert paid_out(bank) == [("200.00 USD", "paid"), ("40.00 USD", "pending")]


def test_a_run_serves_those_that_wait_and_pays_out_the_rest(bank: MemoryBank, clock: ManualClock) -> None:
    """Money that ripens at the moment of a run goes to the refund first, and what is left is paid out then."""
    bank.payouts.schedule(PLATFORM, "USD", 2 * DAY)
    sold = bank.charge(usd("200.00"))
    bank.charge(usd("50.00"))
    refund(bank, sold)
    clock.forward(2 * DAY)
    assert how(bank, sold)[0] == "succeeded"
    assert paid_out(bank) == [("50.00 USD", "pending")]


def test_one_sale_after_the_other_is_looked_at(bank: MemoryBank, clock: ManualClock) -> None:
    """What the first sale does not cover goes on at the very moment of the second, long before any run."""
    bank.payouts.schedule(PLATFORM, "USD", 30 * DAY)
    sold = bank.charge(usd("240.00"), taken_at=LONG_AGO)
    bank.payouts.make(PLATFORM, "USD")
    refund(bank, sold)
    bank.charge(usd("150.00"))
    clock.forward(HOUR)
    bank.charge(usd("90.00"))
    clock.forward(5 * DAY)
    assert bank.payouts.rows_about(PLATFORM, "re_1")[0].at == START + 2 * DAY + HOUR


def test_a_sale_that_is_there_sooner_is_not_overlooked(bank: MemoryBank, clock: ManualClock) -> None:
    """Whoever waits for one sale goes on with another whose money is available before."""
    bank.payouts.schedule(PLATFORM, "USD")
    sold = bank.charge(usd("200.00"))
    refund(bank, sold)
    bank.charge(usd("200.00"), taken_at=START - 40 * HOUR)
    clock.forward(8 * HOUR)
    assert how(bank, sold)[0] == "succeeded"
    assert bank.payouts.rows_about(PLATFORM, "re_1")[0].at == START + 8 * HOUR


def test_those_that_wait_go_on_the_oldest_first(bank: MemoryBank, clock: ManualClock) -> None:
    """What the money does not reach waits on, one canceled meanwhile is left out, and no retry is news."""
    refs = [bank.charge(usd(major), taken_at=LONG_AGO) for major in ("100.00", "80.00", "60.00", "90.00")]
    bank.payouts.schedule(PLATFORM, "USD")
    clock.forward(DAY)
    ids = [refund(bank, ref) for ref in refs]
    bank.settle(ids[0], "canceled", "merchant_request")
    before = len(bank.news())
    bank.fund(PLATFORM, usd("150.00"))
    assert [bank.refunds(ref)[0].status for ref in refs] == ["canceled", "succeeded", "succeeded", "pending"]
    assert [news.object_id for news in bank.news(before)] == ids[1:3]
    bank.fund(PLATFORM, usd("80.00"))
    assert bank.balance(PLATFORM, "USD") == usd("0.00")
    topups = [(row.type, row.net) for row in bank.payouts.rows(PLATFORM) if row.category == "topup"]
    assert topups == [("topup", 15_000), ("topup", 8_000)]


def test_an_ach_refund_fails_instead_of_waiting(bank: MemoryBank, clock: ManualClock) -> None:
    """Bank transfers do not wait: the refund fails for want of funds, and nothing has moved."""
    sold = bank.charge(usd("200.00"), method="us_bank_account")
    bank.payouts.schedule(PLATFORM, "USD", 3 * DAY)
    refund(bank, sold)
    assert how(bank, sold) == ("failed", "insufficient_funds")
    clock.forward(2 * DAY)
    refund(bank, sold)
    assert how(bank, sold) == ("pending", "processing")


def _won(bank: MemoryBank, clock: ManualClock) -> None:
    bank.close_dispute("du_1", "won")


def _topped_up(bank: MemoryBank, clock: ManualClock) -> None:
    bank.fund(PLATFORM, usd("200.00"))


def _payout_failed(bank: MemoryBank, clock: ManualClock) -> None:
    bank.payouts.move("po_1", "failed")


def _settled(bank: MemoryBank, clock: ManualClock) -> None:
    bank.settle_payment(bank.charge(usd("200.00"), method="us_bank_account", settled=False))
    clock.forward(2 * DAY)


def _reversed(bank: MemoryBank, clock: ManualClock) -> None:
    bank.connect.reverse("tr_1")


def _debited(bank: MemoryBank, clock: ManualClock) -> None:
    bank.payouts.schedule(PLATFORM, "USD", debits=True)


def _failed_elsewhere(bank: MemoryBank, clock: ManualClock) -> None:
    bank.settle("re_1", "failed", "declined")


@pytest.mark.parametrize(
    "brings", [_won, _topped_up, _payout_failed, _settled, _reversed, _debited, _failed_elsewhere]
)
def test_whatever_brings_money_lets_a_refund_go_on(
    bank: MemoryBank, clock: ManualClock, brings: Callable[[MemoryBank, ManualClock], None]
) -> None:
    """A won dispute, a top-up, a failed payout, a debit that arrives, a reversal, another refund that failed."""
    old = bank.charge(usd("200.00"), taken_at=LONG_AGO)
    refund(bank, old)
    bank.charge(usd("215.00"), taken_at=LONG_AGO)
    sold = bank.charge(usd("200.00"), taken_at=LONG_AGO)
    bank.connect.transfer(SELLER, usd("200.00"))
    bank.dispute(bank.charge(usd("200.00"), taken_at=LONG_AGO))
    bank.payouts.schedule(PLATFORM, "USD", 30 * DAY)
    clock.forward(DAY)
    bank.payouts.make(PLATFORM, "USD")
    assert paid_out(bank) == [("200.00 USD", "pending")]
    refund(bank, sold)
    assert how(bank, sold) == ("pending", "insufficient_funds")
    brings(bank, clock)
    assert how(bank, sold) == ("succeeded", None)


def test_a_reversal_needs_what_is_really_there(bank: MemoryBank, clock: ManualClock) -> None:
    """A destination that was paid out has nothing to pull back; until then its pending share is not enough."""
    sold = bank.charge(usd("200.00"), destination=SELLER)
    bank.payouts.schedule(SELLER, "USD")
    reversing = {"key": None, "reverse_transfer": True}
    for wait, code in ((0, "balance_insufficient"), (3, "balance_insufficient")):
        clock.forward(wait * DAY)
        refused = bank.refund(PLATFORM, sold.charge, None, **reversing)  # type: ignore[arg-type]
        by_hand = bank.connect.reverse("tr_1")
        assert isinstance(refused, ErrorReply)
        assert isinstance(by_hand, ErrorReply)
        assert refused.code == by_hand.code == code
    bank.fund(SELLER, usd("200.00"))
    assert isinstance(bank.refund(PLATFORM, sold.charge, None, **reversing), Made)  # type: ignore[arg-type]


# -- how it is asked for ----------------------------------------------------------------------------------


def test_a_balance_is_counted_or_scheduled(bank: MemoryBank) -> None:
    """By hand or by its rows: the second of both ways is refused, with what to do."""
    bank.drain(SELLER, usd("5.00"))
    with pytest.raises(ValueError, match="counted by hand"):
        bank.payouts.schedule(SELLER, "USD")
    bank.payouts.schedule(PLATFORM, "USD")
    with pytest.raises(ValueError, match="its rows say"):
        bank.drain(PLATFORM, usd("5.00"))
    assert bank.balance(PLATFORM, "USD") == usd("0.00")
    assert bank.balance(PLATFORM, "EUR") is None


@pytest.mark.parametrize("every", [timedelta(0), -DAY])
def test_a_schedule_that_never_moves_on_is_refused(bank: MemoryBank, every: timedelta) -> None:
    """A payout every no time at all would never let time pass."""
    with pytest.raises(ValueError, match="every"):
        bank.payouts.schedule(PLATFORM, "USD", every)
    with pytest.raises(ValueError, match="arrives"):
        bank.payouts.schedule(PLATFORM, "USD", arrives=-DAY)


def test_a_new_schedule_takes_the_place_of_the_old(bank: MemoryBank, clock: ManualClock) -> None:
    """There is one payout a day and not two; when it is ended there is none, and what is under way arrives."""
    bank.payouts.schedule(PLATFORM, "USD", DAY)
    clock.forward(HOUR)
    bank.payouts.schedule(PLATFORM, "USD", DAY)
    bank.charge(usd("100.00"), taken_at=LONG_AGO)
    clock.forward(23 * HOUR)
    assert paid_out(bank) == []
    clock.forward(HOUR)
    assert paid_out(bank) == [("100.00 USD", "pending")]
    bank.payouts.unschedule(PLATFORM, "USD")
    sold = bank.charge(usd("70.00"), taken_at=LONG_AGO)
    clock.forward(9 * DAY)
    assert paid_out(bank) == [("100.00 USD", "paid")]
    assert (bank.balance(PLATFORM, "USD"), bank.next_at) == (usd("70.00"), None)
    refund(bank, sold)
    refund(bank, bank.charge(usd("5.00")))
    assert bank.balance(PLATFORM, "USD") == usd("0.00")
    with pytest.raises(ValueError, match="no schedule"):
        bank.payouts.unschedule(SELLER, "USD")


@pytest.mark.parametrize("copied", [MemoryBank.copy, copy.deepcopy])
def test_a_copy_pays_out_by_itself(copied: Callable[[MemoryBank], MemoryBank]) -> None:
    """What was on the agenda of the bank acts on the copy's books and not on the original's."""
    clock = ManualClock(START)
    bank = MemoryBank(lambda: START)
    sold = bank.charge(usd("200.00"), taken_at=LONG_AGO)
    bank.payouts.schedule(PLATFORM, "USD", HOUR)
    bank.payouts.schedule(SELLER, "USD", HOUR)
    waits = bank.charge(usd("60.00"), account=SELLER)
    refund(bank, waits)
    twin = copied(bank)
    with twin.turn as books:
        books.clock = clock
    clock.forward(2 * DAY)
    assert paid_out(twin) == [("200.00 USD", "in_transit")]
    assert how(twin, waits)[0] == "succeeded"
    assert (paid_out(bank), how(bank, waits)[0]) == ([], "pending")
    assert bank.picture(sold) is not None
    assert twin.payouts.imbalance() == bank.payouts.imbalance() == ()


def test_a_reader_finds_payouts_and_what_is_in_them(bank: MemoryBank, clock: ManualClock) -> None:
    """Newest first, those on their way marked; of one made by hand, and of another account's, nothing is told."""
    bank.charge(usd("500.00"), taken_at=LONG_AGO)
    by_hand = bank.payouts.make(PLATFORM, "USD", usd("100.00"))
    automatic = bank.payouts.make(PLATFORM, "USD")
    bank.payouts.move(automatic, "paid")
    listed = bank.payouts.listed(PLATFORM)
    assert [(payout.id, payout.in_progress) for payout in listed] == [(automatic, False), (by_hand, True)]
    bank.payouts.move(by_hand, "in_transit")
    assert [payout.in_progress for payout in bank.payouts.listed(PLATFORM)] == [False, True]
    assert [row.net for row in bank.payouts.rows_in(PLATFORM, automatic)] == [50_000, -10_000]
    assert bank.payouts.rows_in(PLATFORM, by_hand) == bank.payouts.rows_in(SELLER, automatic) == ()
    assert bank.payouts.holding(PLATFORM, "txn_ch_1") == listed[0]
    assert bank.payouts.holding(SELLER, "txn_ch_1") is None
    assert (bank.payouts.listed(SELLER), bank.payouts.balances(SELLER)) == ((), ())


# -- every cent is accounted for --------------------------------------------------------------------------


def test_what_clients_paid_ripens_and_all_else_moves_at_once() -> None:
    """A charge, what was passed on and what was taken of it are pending for two days; nothing else ever is."""
    bank = _busy()
    sold = bank.charge(usd("10.00"), destination=SELLER, application_fee=usd("1.00"))
    transfer = bank.connect.transfers(sold)[0].id
    rows = [row for account in (PLATFORM, SELLER) for row in bank.payouts.rows(account)]
    young = {row.category for row in rows if row.available_at == row.at + 2 * DAY}
    assert young == {"charge", "platform_earning", "fee", "transfer"}
    assert all(row.available_at == row.at for row in rows if row.category not in young)
    pending = sorted(
        row.net for row in rows if row.available_at > row.at and row.source in (sold.charge, transfer)
    )
    assert pending == [-1_000, 1_000, 1_000]
    by_hand = bank.connect.transfer(SELLER, usd("3.00"))
    for account in (PLATFORM, SELLER):
        (moved,) = bank.payouts.rows_about(account, by_hand)
        assert moved.available_at == moved.at


def test_a_direct_debits_fee_is_earned_when_it_arrives(bank: MemoryBank, clock: ManualClock) -> None:
    """Until the debit has arrived nobody has paid the platform's fee, and after a failed one nobody ever does."""
    arrives, fails = (
        bank.charge(
            usd("200.00"), account=SELLER, method="us_bank_account", settled=False, application_fee=usd("10.00")
        )
        for _ in range(2)
    )
    clock.forward(DAY)
    bank.fail_payment(fails)
    assert bank.payouts.rows(PLATFORM) == bank.payouts.rows(SELLER) == ()
    bank.settle_payment(arrives)
    (earned,) = bank.payouts.rows(PLATFORM)
    assert (earned.net, earned.at, earned.available_at) == (1_000, START + DAY, START + 3 * DAY)
    assert [row.net for row in bank.payouts.rows(SELLER)] == [19_000]


def test_a_fee_is_paid_once_where_two_accounts_hold_a_charge_of_one_id(bank: MemoryBank) -> None:
    """The platform's charge of the same id does not make the direct charge's account pay again."""
    bank.charge(usd("200.00"), id="ch_same")
    bank.charge(usd("200.00"), id="ch_same", account=SELLER, application_fee=usd("10.00"))
    assert [row.net for row in bank.payouts.rows(SELLER)] == [19_000]
    bank.charge(usd("80.00"), id="ch_other", destination=SELLER, application_fee=usd("8.00"))
    bank.charge(usd("5.00"), id="ch_other", account=SELLER)
    assert sorted(row.net for row in bank.payouts.rows(SELLER)) == [-800, 500, 8_000, 19_000]


def _busy() -> MemoryBank:
    """A bank in which something of every kind has moved."""
    clock = ManualClock(START)
    bank = MemoryBank(clock)
    for account in (PLATFORM, SELLER):
        bank.payouts.schedule(account, "USD", DAY, debits=account == SELLER)
    plain = bank.charge(usd("300.00"), fee=usd("9.00"), taken_at=LONG_AGO, course=Course.succeeds_then_fails())
    direct = bank.charge(
        usd("90.00"), account=SELLER, fee=usd("3.00"), application_fee=usd("7.00"), taken_at=LONG_AGO
    )
    passed = bank.charge(usd("80.00"), destination=SELLER, application_fee=usd("8.00"), taken_at=LONG_AGO)
    for amount in ("40.00", "30.00"):
        bank.charge(usd(amount))
    bank.fund(PLATFORM, usd("1000.00"))
    refund(bank, plain)
    refund(bank, direct, 2_000)
    clock.forward(DAY)
    bank.fund(SELLER, usd("200.00"))
    bank.refund(PLATFORM, passed.charge, 4_000, key=None, reverse_transfer=True, refund_application_fee=True)
    bank.connect.return_fee(bank.connect.fee_id(direct) or "")
    bank.close_dispute(bank.dispute(direct), "won")
    bank.payouts.move("po_1", "failed")
    clock.forward(20 * DAY)
    bank.tick()
    return bank


def test_in_a_busy_bank_every_cent_is_accounted_for() -> None:
    """All postings of a currency add up to nothing, and each place has what is known of it from elsewhere."""
    bank = _busy()
    assert bank.payouts.imbalance() == ()
    with bank.turn as books:
        moved = [(m.currency, p) for m in postings.movements(books) for p in m.postings]
    assert {currency for currency, _ in moved} == {"USD"}
    assert sum(posting.minor for _, posting in moved) == 0
    places = {posting.place for _, posting in moved}
    assert places == {"clients", "processor", "balance", "bank account"}
    kept = sum(posting.minor for _, posting in moved if posting.place == "processor")
    assert kept == 900 + 300 + 1_500
    at_clients = sum(posting.minor for _, posting in moved if posting.place == "clients")
    assert at_clients == -(30_000 + 9_000 + 8_000 + 4_000 + 3_000) + 2_000 + 4_000
    for account in (PLATFORM, SELLER):
        at_bank = sum(p.minor for _, p in moved if p.place == "bank account" and p.account == account)
        paid = [payout for payout in bank.payouts.listed(account) if payout.status == "paid"]
        put_in = sum(row.net for row in bank.payouts.rows(account) if row.category == "topup")
        assert at_bank == sum(payout.amount.amount_minor for payout in paid) - put_in


CATEGORIES = sorted({row.category for account in (PLATFORM, SELLER) for row in _busy().payouts.rows(account)})


def test_something_of_every_kind_has_moved() -> None:
    """The rows that are spoiled below are all there are."""
    assert CATEGORIES == [
        "charge",
        "dispute",
        "dispute_reversal",
        "fee",
        "payout",
        "payout_reversal",
        "platform_earning",
        "platform_earning_refund",
        "refund",
        "refund_failure",
        "topup",
        "transfer",
        "transfer_reversal",
    ]


def _turned(rows: list[Row], at: int) -> list[Row]:
    return [row._replace(amount=-row.amount) if place == at else row for place, row in enumerate(rows)]


def _dropped(rows: list[Row], at: int) -> list[Row]:
    return [row for place, row in enumerate(rows) if place != at]


def _doubled(rows: list[Row], at: int) -> list[Row]:
    return [*rows, rows[at]]


def _a_cent_less(rows: list[Row], at: int) -> list[Row]:
    return [row._replace(fee=row.fee + 1) if place == at else row for place, row in enumerate(rows)]


def _in_yen(rows: list[Row], at: int) -> list[Row]:
    return [row._replace(currency="JPY") if place == at else row for place, row in enumerate(rows)]


@pytest.mark.parametrize("spoil", [_turned, _dropped, _doubled, _a_cent_less, _in_yen])
@pytest.mark.parametrize("category", CATEGORIES)
def test_one_wrong_row_is_found(
    monkeypatch: pytest.MonkeyPatch, category: str, spoil: Callable[[list[Row], int], list[Row]]
) -> None:
    """A row of any kind that is turned around, missing, doubled, off by a cent or of another currency shows."""
    bank = _busy()
    drawn = rows_module._drawn
    done: list[str] = []

    def spoilt(books: Books, account: str) -> Iterator[Row]:
        rows = list(drawn(books, account))
        places = [place for place, row in enumerate(rows) if row.category == category]
        if done or not places:
            return iter(rows)
        done.append(account)
        return iter(spoil(rows, places[0]))

    monkeypatch.setattr(rows_module, "_drawn", spoilt)
    assert bank.payouts.imbalance() != ()
    assert len(done) == 1


def test_two_rows_of_one_id_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row could be paid out under another's name, though the sums agree: told of the account."""
    bank, drawn = _busy(), rows_module._drawn
    monkeypatch.setattr(rows_module, "_drawn", lambda *of: (row._replace(id="txn_1") for row in drawn(*of)))
    assert "platform: two rows bear one id" in bank.payouts.imbalance()


def test_a_row_that_is_paid_out_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bank that forgets what it paid out already is told of each row, by name."""
    monkeypatch.setattr(
        payout_module, "ripe", lambda books, account, currency: rows_module.rows_of(books, account)
    )
    clock = ManualClock(START)
    bank = MemoryBank(clock)
    bank.charge(usd("200.00"), taken_at=LONG_AGO)
    monkeypatch.setattr("refund_adapters.memory._schedules.ripe", _forgetful)
    bank.payouts.schedule(PLATFORM, "USD", DAY)
    clock.forward(2 * DAY)
    assert bank.payouts.imbalance() == ("txn_ch_1 is in po_1 and in po_2",)


def _forgetful(books: Books, account: str, currency: Currency) -> list[Row]:
    return [row for row in rows_module.rows_of(books, account) if row.category == "charge"]


def test_money_paid_out_too_early_or_in_part_is_found() -> None:
    """What is not available yet is not paid out, and a payout is of exactly what is in it."""
    bank = MemoryBank(lambda: START)
    bank.charge(usd("200.00"))
    with bank.turn as books:
        rows = rows_module.rows_of(books, PLATFORM)
        payout_module.pay_out(books, PLATFORM, usd("200.00"), rows)
    (early,) = bank.payouts.imbalance()
    assert early.startswith("txn_ch_1 is in po_1, and was not there")
    with bank.turn as books:
        payout_module.pay_out(books, PLATFORM, usd("5.00"), [])
        payout_module.pay_out(books, PLATFORM, usd("5.00"), [rows[0]._replace(id="txn_none")])
    found = bank.payouts.imbalance()
    assert "po_2 is of 500, and what is in it comes to 0" in found
    assert "po_3 holds a row that platform does not have" in found
    yen = bank.charge(Money.parse("500", "JPY"), taken_at=LONG_AGO)
    with bank.turn as books:
        foreign = [row for row in rows_module.rows_of(books, PLATFORM) if row.source == yen.charge]
        payout_module.pay_out(books, PLATFORM, usd("5.00"), foreign)
    assert any(told.startswith("txn_ch_2 is in po_4, and was not there") for told in bank.payouts.imbalance())


def test_money_from_nowhere_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A movement that one place gives and no other gets is told."""
    bank = MemoryBank(lambda: START)
    bank.charge(usd("200.00"))
    lost = postings.Movement("USD", (postings.Posting("clients", "", "ch_1", -1),))
    monkeypatch.setattr(postings, "_paid_in", lambda charge: lost)
    assert "ch_1: -1 USD came from nowhere" in bank.payouts.imbalance()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "sale",
                "debit",
                "passed",
                "refund",
                "refund",
                "dispute",
                "won",
                "day",
                "day",
                "hour",
                "break",
                "top up",
            ]
        ),
        st.integers(1, 50_000),
    ),
    max_size=40,
)


@given(steps=STEPS, every=st.sampled_from([6 * HOUR, DAY, 3 * DAY]), debits=st.booleans())
def test_the_next_payouts_are_all_there_is(steps: list[tuple[str, int]], every: timedelta, debits: bool) -> None:
    """Whatever happened, what is available is exactly what is in no payout yet, and in the end it is paid out."""
    clock = ManualClock(START)
    bank = MemoryBank(clock)
    for account in (PLATFORM, SELLER):
        bank.payouts.schedule(account, "USD", every, debits=debits)
    refs: list[PaymentRef] = []
    disputes: list[str] = []
    for kind, minor in steps:
        amount = Money(minor, usd("1.00").currency)
        match kind:
            case "sale":
                refs.append(bank.charge(amount, account=(PLATFORM, SELLER)[minor % 2]))
            case "debit":
                refs.append(bank.charge(amount, method="us_bank_account"))
            case "passed":
                refs.append(bank.charge(amount, destination=SELLER, application_fee=Money(1, amount.currency)))
            case "refund" if refs:
                ref = refs[minor % len(refs)]
                passed = bool(bank.connect.transfers(ref)) and minor % 2 == 0
                bank.refund(ref.account, ref.charge, minor, key=None, reverse_transfer=passed or None)
            case "dispute" if refs:
                disputes.append(bank.dispute(refs[minor % len(refs)]))
            case "won" if disputes:
                bank.close_dispute(disputes.pop(), "won")
            case "break":
                for payout in bank.payouts.listed(SELLER)[:1]:
                    if payout.status != "failed":
                        bank.payouts.move(payout.id, "failed")
            case "top up":
                bank.fund(PLATFORM, amount)
            case _:
                clock.forward(HOUR if kind == "hour" else DAY)
    assert bank.payouts.imbalance() == ()
    for account in (PLATFORM, SELLER):
        if not debits:
            bank.fund(account, Money(10_000_000, usd("1.00").currency))
        loose = [row for row in bank.payouts.rows(account) if bank.payouts.holding(account, row.id) is None]
        due = [row for row in loose if row.category != "payout" and row.available_at <= clock()]
        assert sum(row.net for row in due) == bank.payouts.balance(account, "USD")[0].amount_minor
    clock.forward(30 * DAY)
    for account in (PLATFORM, SELLER):
        assert bank.payouts.balance(account, "USD") == (usd("0.00"), usd("0.00"))
        assert {payout.status for payout in bank.payouts.listed(account)} <= {"paid", "failed"}
    for ref in refs:
        assert all(one.status in ("succeeded", "failed") for one in bank.refunds(ref))
    assert bank.payouts.imbalance() == ()
