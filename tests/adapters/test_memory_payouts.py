"""The bank's balance transactions and payouts: every row has its word, and the sums reconcile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_adapters.memory import Course, ManualClock, MemoryBank
from refund_adapters.memory.payout import EDGES
from refund_adapters.memory.rows import rows_of
from refund_domain.money import Money
from refund_domain.payments import PLATFORM, PaymentRef

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
SELLER = "acct_1"


def usd(major: str) -> Money:
    return Money.parse(major, "USD")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def bank(clock: ManualClock) -> MemoryBank:
    return MemoryBank(clock)


def told(bank: MemoryBank, account: str = PLATFORM) -> list[tuple[str, str, int]]:
    return [(row.type, row.category, row.net) for row in bank.payouts.rows(account)]


def test_a_card_charge_and_its_refund_are_two_rows(bank: MemoryBank, clock: ManualClock) -> None:
    """A charge brings its amount less the fee, a refund takes its amount: the fee does not come back."""
    ref = bank.charge(usd("200.00"), fee=usd("6.10"))
    clock.forward(DAY)
    bank.refund(ref.account, ref.charge, 20_000, key="k1")
    assert told(bank) == [("charge", "charge", 19_390), ("refund", "refund", -20_000)]
    charge, refund = bank.payouts.rows(PLATFORM)
    assert (charge.amount, charge.fee, charge.source) == (20_000, 610, ref.charge)
    assert (refund.amount, refund.fee, refund.source, refund.at) == (-20_000, 0, "re_1", START + DAY)


def test_a_debit_has_its_own_words_and_comes_when_it_settles(bank: MemoryBank, clock: ManualClock) -> None:
    """An ACH payment is no row until it has arrived, a refund none until it is paid; failing gives it back."""
    ref = bank.charge(usd("200.00"), method="us_bank_account", settled=False, course=Course.pending_then_fails())
    bank.refund(ref.account, ref.charge, 20_000, key="k1")
    assert told(bank) == []
    clock.forward(4 * DAY)
    bank.settle_payment(ref)
    assert told(bank) == [("payment", "charge", 20_000), ("payment_refund", "refund", -20_000)]
    clock.forward(4 * DAY)
    assert told(bank)[2:] == [("refund_failure", "refund_failure", 20_000)]


def test_a_refund_that_waits_for_funds_is_no_row(bank: MemoryBank, clock: ManualClock) -> None:
    """Nothing has left the balance until the funds are there."""
    ref = bank.charge(usd("200.00"))
    bank.drain(PLATFORM, usd("0.00"))
    bank.refund(ref.account, ref.charge, 20_000, key="k1")
    assert [kind for kind, _, _ in told(bank)] == ["charge"]
    clock.forward(DAY)
    bank.fund(PLATFORM, usd("200.00"))
    assert [kind for kind, _, _ in told(bank)] == ["charge", "refund"]


def test_a_dispute_takes_amount_and_fee_and_a_won_one_gives_the_amount_back(
    bank: MemoryBank, clock: ManualClock
) -> None:
    """An inquiry is no row; the fee of a chargeback is kept whoever wins."""
    ref = bank.charge(usd("200.00"))
    bank.dispute(ref, status="warning_needs_response")
    clock.forward(DAY)
    chargeback = bank.dispute(ref)
    clock.forward(DAY)
    bank.close_dispute(chargeback, "won")
    assert told(bank)[1:] == [("adjustment", "dispute", -21_500), ("adjustment", "dispute_reversal", 20_000)]


def test_a_split_charge_is_rows_at_both_sides(bank: MemoryBank, clock: ManualClock) -> None:
    """What leaves the platform arrives at the connected account, out and back."""
    ref = bank.charge(usd("200.00"), destination=SELLER, application_fee=usd("10.00"))
    clock.forward(DAY)
    bank.refund(ref.account, ref.charge, 10_000, key="k1", reverse_transfer=True, refund_application_fee=True)
    assert sorted(told(bank)) == sorted(
        [
            ("charge", "charge", 20_000),
            ("application_fee", "platform_earning", 1_000),
            ("transfer", "transfer", -20_000),
            ("transfer_refund", "transfer_reversal", 10_000),
            ("application_fee_refund", "platform_earning_refund", -500),
            ("refund", "refund", -10_000),
        ]
    )
    assert sum(net for _, _, net in told(bank, SELLER)) == 20_000 - 1_000 - 10_000 + 500
    assert sum(net for _, _, net in told(bank)) == 500


def test_a_direct_charges_fee_is_in_its_own_row(bank: MemoryBank) -> None:
    """The connected account pays the platform's fee with the charge, and is given it back by a row."""
    ref = bank.charge(usd("200.00"), account=SELLER, fee=usd("6.00"), application_fee=usd("10.00"))
    (row,) = bank.payouts.rows(SELLER)
    assert (row.fee, row.application_fee, row.net) == (1_600, 1_000, 18_400)
    bank.connect.return_fee(bank.connect.fee_id(ref) or "")
    assert sum(net for _, _, net in told(bank, SELLER)) == 19_400
    assert sum(net for _, _, net in told(bank)) == 0


def test_an_automatic_payout_holds_what_is_available_and_in_no_other(bank: MemoryBank, clock: ManualClock) -> None:
    """Its rows add up to its amount; the next one begins where it ended; too young money waits."""
    for major in ("500.00", "300.00"):
        bank.charge(usd(major))
    clock.forward(2 * DAY)
    bank.charge(usd("70.00"))
    first = bank.payouts.find(PLATFORM, bank.payouts.make(PLATFORM, "USD"))
    assert first is not None
    rows = {row.id: row for row in bank.payouts.rows(PLATFORM)}
    assert first.amount.amount_minor == sum(rows[name].net for name in first.rows) == 80_000
    with pytest.raises(ValueError):
        bank.payouts.make(PLATFORM, "USD")
    clock.forward(2 * DAY)
    second = bank.payouts.find(PLATFORM, bank.payouts.make(PLATFORM, "USD"))
    assert second is not None
    assert second.amount == usd("70.00")
    assert bank.payouts.balance(PLATFORM, "usd") == (usd("0.00"), usd("0.00"))


def test_refunds_make_a_payout_smaller_or_a_debit(bank: MemoryBank, clock: ManualClock) -> None:
    """Paid 500 for one and 200 refunded to another, 300 is paid out; more refunded than taken is taken back."""
    old = bank.charge(usd("200.00"), taken_at=START - 30 * DAY)
    bank.payouts.make(PLATFORM, "USD")
    bank.charge(usd("500.00"))
    bank.refund(old.account, old.charge, 20_000, key="k1")
    clock.forward(2 * DAY)
    payout = bank.payouts.find(PLATFORM, bank.payouts.make(PLATFORM, "USD"))
    assert payout is not None
    assert payout.amount == usd("300.00")
    fresh = bank.charge(usd("90.00"), taken_at=START - 30 * DAY)
    bank.payouts.make(PLATFORM, "USD")
    bank.refund(fresh.account, fresh.charge, 9_000, key="k2")
    clock.forward(2 * DAY)
    debit = bank.payouts.find(PLATFORM, bank.payouts.make(PLATFORM, "USD"))
    assert debit is not None
    assert debit.amount == usd("-90.00")


def test_a_payout_takes_its_steps_and_tells_them(bank: MemoryBank, clock: ManualClock) -> None:
    """Each step is news; what fails gives its money back, also after it was shown as paid."""
    bank.charge(usd("500.00"), taken_at=START - 30 * DAY)
    number = bank.payouts.make(PLATFORM, "USD")
    bank.payouts.move(number, "in_transit")
    bank.payouts.reconcile(number)
    bank.payouts.move(number, "paid")
    clock.forward(DAY)
    bank.payouts.move(number, "failed", "account_closed")
    assert [item.type for item in bank.news()] == [
        "payout.created",
        "payout.updated",
        "payout.reconciliation_completed",
        "payout.paid",
        "payout.failed",
    ]
    shown = bank.payouts.find(PLATFORM, number)
    assert shown is not None
    assert (shown.status, shown.failure_code, shown.reconciliation) == ("failed", "account_closed", "completed")
    assert told(bank)[-1] == ("payout_failure", "payout_reversal", 50_000)
    assert bank.payouts.balance(PLATFORM, "USD") == (usd("500.00"), usd("0.00"))
    assert bank.payouts.find(SELLER, number) is None


@pytest.mark.parametrize("old", sorted(EDGES))
@pytest.mark.parametrize("new", sorted(EDGES))
def test_a_payout_takes_legal_steps_only(old: str, new: str) -> None:
    """Every pair of words is allowed or refused as the table says."""
    bank = MemoryBank(lambda: START)
    bank.charge(usd("500.00"), taken_at=START - 30 * DAY)
    number = bank.payouts.make(PLATFORM, "USD")
    if old != "pending":
        bank.payouts.move(number, old)
    if new in EDGES[old]:
        bank.payouts.move(number, new)
    else:
        with pytest.raises(ValueError):
            bank.payouts.move(number, new)


def test_a_payout_by_hand_says_nothing_of_what_is_in_it(bank: MemoryBank) -> None:
    """It has no rows, is never reconciled, and an automatic one after it does not pay its money again."""
    bank.charge(usd("500.00"), taken_at=START - 30 * DAY)
    number = bank.payouts.make(PLATFORM, "USD", usd("200.00"))
    shown = bank.payouts.find(PLATFORM, number)
    assert shown is not None
    assert (shown.automatic, shown.rows, shown.reconciliation) == (False, (), "not_applicable")
    with pytest.raises(ValueError):
        bank.payouts.reconcile(number)
    rest = bank.payouts.find(PLATFORM, bank.payouts.make(PLATFORM, "USD"))
    assert rest is not None
    assert rest.amount == usd("300.00")
    for wrong in ((PLATFORM, "USD", usd("0.00")), (PLATFORM, "EUR", usd("1.00"))):
        with pytest.raises(ValueError):
            bank.payouts.make(*wrong)
    with pytest.raises(ValueError):
        bank.payouts.move("po_9", "paid")


def test_a_payout_draws_on_a_counted_balance(bank: MemoryBank) -> None:
    """Where the balance is counted, a payout takes from it and a failed one gives back."""
    bank.charge(usd("500.00"), taken_at=START - 30 * DAY)
    bank.drain(PLATFORM, usd("500.00"))
    number = bank.payouts.make(PLATFORM, "USD")
    assert bank.payouts.balance(PLATFORM, "USD")[0] == usd("0.00")
    bank.payouts.move(number, "failed")
    assert bank.payouts.balance(PLATFORM, "USD")[0] == usd("500.00")


WORLD = st.lists(
    st.tuples(
        st.sampled_from(
            (
                "charge",
                "destination",
                "direct",
                "refund",
                "fail",
                "dispute",
                "won",
                "day",
                "payout",
                "broken payout",
            )
        ),
        st.integers(1, 50_000),
    ),
    max_size=30,
)


@given(WORLD)
def test_the_sums_reconcile(world: list[tuple[str, int]]) -> None:
    """All rows of both sides are what clients paid and got back, less what the processor kept."""
    clock = ManualClock(START)
    bank = MemoryBank(clock)
    refs: list[PaymentRef] = []
    disputes: list[str] = []
    currency = usd("1.00").currency
    for kind, minor in world:
        amount, fee = Money(minor, currency), Money(minor // 30, currency)
        cut = Money(minor // 10, currency) if minor >= 10 else None
        if kind == "charge":
            refs.append(bank.charge(amount, fee=fee))
        elif kind == "destination":
            refs.append(bank.charge(amount, fee=fee, destination=SELLER, application_fee=cut))
        elif kind == "direct":
            refs.append(bank.charge(amount, fee=fee, account=SELLER, application_fee=cut))
        elif kind == "day":
            clock.forward(DAY)
        elif kind in ("payout", "broken payout"):
            for account in (PLATFORM, SELLER):
                try:
                    number = bank.payouts.make(account, "USD")
                except ValueError:
                    continue
                if kind == "broken payout":
                    bank.payouts.move(number, "failed")
        elif kind == "won" and disputes:
            bank.close_dispute(disputes.pop(), "won")
        elif refs:
            ref = refs[minor % len(refs)]
            shared = bank.connect.fee_id(ref) is not None or None
            passed = bool(bank.connect.transfers(ref)) or None
            if kind == "refund":
                bank.refund(
                    ref.account,
                    ref.charge,
                    minor,
                    key=None,
                    reverse_transfer=passed,
                    refund_application_fee=shared,
                )
            elif kind == "fail" and bank.refunds(ref) and bank.refunds(ref)[0].status == "succeeded":
                bank.settle(bank.refunds(ref)[0].id, "failed", "declined")
            elif kind == "dispute":
                disputes.append(bank.dispute(ref))
    rows = [row for account in (PLATFORM, SELLER) for row in bank.payouts.rows(account)]
    ours = sum(row.net for row in rows if not row.category.startswith("payout"))
    clients = 0
    with bank.turn as books:
        for charge in books.charges.values():
            clients += charge.captured_minor - charge.live_minor
            clients -= 0 if charge.fee is None else charge.fee.amount_minor
        for disputed in books.disputes.values():
            clients -= 1_500 + (0 if disputed.value.status == "won" else disputed.value.amount.amount_minor)
    assert ours == clients
    assert len({row.id for row in rows}) == len(rows)
    for account in (PLATFORM, SELLER):
        available, pending = bank.payouts.balance(account, "USD")
        assert (available + pending).amount_minor == sum(row.net for row in bank.payouts.rows(account))
        with bank.turn as books:
            by_id = {row.id: row for row in rows_of(books, account)}
            for payout in books.payouts.values():
                if payout.account == account:
                    assert payout.amount.amount_minor == sum(by_id[name].net for name in payout.rows)
