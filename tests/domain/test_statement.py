"""A payout is explained to the cent: every entry in its group, every refund by its name, every rest by a name."""

from __future__ import annotations

import itertools
import pickle
import random
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_domain.money import LIMIT_MINOR, Currency, Money
from refund_domain.payouts.entries import CATEGORIES, EARNED, About, BalanceEntry, EntryPage, Group
from refund_domain.payouts.funds import Payout, PayoutStatus, with_missed
from refund_domain.payouts.statement import (
    KEPT_MOST,
    EntryOdd,
    Explanation,
    Line,
    PayoutStatement,
    Total,
    explain,
    lines,
)
from refund_domain.payouts.whereabouts import InDebit, InPayout, NotExplained, Waiting, Why, whereabouts

MADE = datetime(2026, 3, 4, tzinfo=UTC)
BEFORE = MADE - timedelta(days=1)
DAY_S = 86_400
MADE_S = int(MADE.timestamp())
BOOKINGS = {"ch_a": "booking 1042", "ch_b": "booking 1043", "ch_c": "booking 1044", "ch_d": "booking 1045"}
USD, EUR, JPY, KWD = map(Currency.of, ("USD", "EUR", "JPY", "KWD"))


def payout(minor: int, currency: Currency = USD, **more: object) -> Payout:
    """An automatic payout, made a day after the one before it."""
    values: dict[str, object] = {
        "status": PayoutStatus.PAID, "reconciled": True, "created_at": MADE, "before_at": BEFORE,
    }  # fmt: skip
    return Payout(
        id="po_1",
        amount=Money(minor, currency),
        arrives_on=date(2026, 3, 6),
        **(values | more),  # type: ignore[arg-type]
    )


_NUMBERS = itertools.count(1)


def entry(
    category: str,
    amount: int,
    fee: int = 0,
    *,
    charge: str | None = None,
    about: str | None = None,
    currency: str = "usd",
    available_s: int = MADE_S - 100,
    seen: Money | None = None,
    rate: str | None = None,
) -> BalanceEntry:
    """One entry; `about` is the object's id, the charge's own where it is left out."""
    number = next(_NUMBERS)
    thing = about if about is not None else charge
    return BalanceEntry(
        id=f"txn_{number}",
        category=category,
        amount_minor=amount,
        fee_minor=fee,
        net_minor=amount - fee,
        currency=currency,
        created_s=available_s - 2 * DAY_S,
        available_s=available_s,
        about=None if thing is None else About(id=thing, charge=charge, amount=seen, rate=rate),
    )


def charge(id: str, amount: int, fee: int = 0, **more: object) -> BalanceEntry:
    """A payment of this charge."""
    return entry("charge", amount, fee, charge=id, **more)  # type: ignore[arg-type]


def refund(id: str, amount: int, fee: int = 0, **more: object) -> BalanceEntry:
    """A refund of this charge."""
    return entry("refund", -amount, fee, charge=id, about=f"re_{id}", **more)  # type: ignore[arg-type]


def told(statement: PayoutStatement) -> dict[str, int]:
    """The totals as bare figures."""
    return {str(total.group): total.amount.amount_minor for total in statement.totals}


def explained(minor: int, *entries: BalanceEntry, currency: Currency = USD, **more: object) -> PayoutStatement:
    """The statement of a payout of so much, with the host's labels."""
    return explain(payout(minor, currency, **more), entries, label=BOOKINGS.get)


# --- golden statements -----------------------------------------------------------------------------------------


def test_the_500_payout_was_300() -> None:
    """Paid 500.00 for one inspection, 200.00 went back to the client of another: 300.00 instead of 500.00."""
    statement = explained(300_00, refund("ch_a", 200_00), charge("ch_b", 500_00))
    assert told(statement) == {"payments": 500_00, "refunds": -200_00}
    assert (statement.expected, statement.paid) == (Money(500_00, USD), Money(300_00, USD))
    assert statement.sentence == (
        "300.00 USD instead of 500.00 USD: 200.00 USD went back to the client of booking 1042."
    )


def test_only_refunds_is_a_debit() -> None:
    """Nothing came in and two refunds went out: the bank account was debited, and nothing else was expected."""
    statement = explained(-250_00, refund("ch_a", 200_00), refund("ch_b", 50_00))
    assert told(statement) == {"refunds": -250_00}
    assert statement.payout.is_debit
    assert statement.sentence == (
        "250.00 USD taken from the bank account instead of 0.00 USD paid out: "
        "200.00 USD went back to the client of booking 1042; 50.00 USD went back to the client of booking 1043."
    )


def test_a_refund_that_failed_came_back() -> None:
    """A refund and its return are two lines, in two groups, that cancel out."""
    back = entry("refund_failure", 200_00, charge="ch_a", about="re_ch_a")
    statement = explained(500_00, back, refund("ch_a", 200_00), charge("ch_b", 500_00))
    assert told(statement) == {"payments": 500_00, "refunds": -200_00, "refund_failures": 200_00}
    assert statement.sentence == (
        "500.00 USD: 200.00 USD went back to the client of booking 1042; "
        "200.00 USD came back from refunds that failed."
    )


def test_a_dispute_and_a_refund_of_one_payment_are_told_apart() -> None:
    """The refund is a refund, the dispute a dispute with its fee, though both are of one payment."""
    dispute = entry("dispute", -300_00, 15_00, charge="ch_a", about="du_1")
    statement = explained(485_00, dispute, refund("ch_a", 200_00), charge("ch_b", 1_000_00))
    assert told(statement) == {"payments": 1_000_00, "refunds": -200_00, "disputes": -315_00}
    assert "315.00 USD was taken for disputes" in statement.sentence
    won = entry("dispute_reversal", 300_00, charge="ch_a", about="du_1")
    assert "300.00 USD came back from disputes" in explained(300_00, won).sentence


def test_what_a_partial_capture_released_is_no_refund() -> None:
    """It has a refund's type, and is a part of what the payment came to (the category tells)."""
    released = entry("partial_capture_reversal", -100_00, charge="ch_a", about="re_1")
    statement = explained(400_00, released, charge("ch_a", 500_00))
    assert told(statement) == {"payments": 500_00, "capture_reversals": -100_00}
    assert statement.expected == statement.paid
    assert statement.refunds == ()
    assert statement.sentence == "400.00 USD, as expected."


def test_a_failed_bank_debit_is_no_refund() -> None:
    """A debit that the bank returned is named as such, and nobody got a refund."""
    returned = entry("charge_failure", -200_00, charge="ch_a", about="pyr_1")
    statement = explained(300_00, returned, charge("ch_a", 200_00), charge("ch_b", 300_00))
    assert told(statement) == {"payments": 500_00, "failed_payments": -200_00}
    assert statement.refunds == ()
    assert statement.sentence == "300.00 USD instead of 500.00 USD: 200.00 USD of bank debits was returned."


def test_two_currencies_are_shown_with_the_rate_and_never_added() -> None:
    """A refund of euros out of a payout of dollars: the dollars count, the euros and the rate are shown."""
    back = refund("ch_a", 216_40, seen=Money(200_00, EUR), rate="1.082")
    statement = explained(283_60, back, charge("ch_b", 500_00))
    (line,) = statement.refunds
    assert (line.net, line.about) == (
        Money(-216_40, USD),
        About(id="re_ch_a", charge="ch_a", amount=Money(200_00, EUR), rate="1.082"),
    )
    assert (line.at, line.at.tzinfo) == (datetime.fromtimestamp(back.created_s, UTC), UTC)
    with pytest.raises(EntryOdd, match="currency"):
        explained(500_00, charge("ch_b", 500_00, currency="eur"))


@pytest.mark.parametrize(
    ("currency", "paid", "words"),
    [(JPY, 300, "300 JPY instead of 500 JPY"), (KWD, 300_000, "300.000 KWD instead of 500.000 KWD")],
)
def test_currencies_keep_their_decimals(currency: Currency, paid: int, words: str) -> None:
    """Exponents 0 and 3 are exact, too."""
    unit = paid // 300
    code = currency.code.lower()
    statement = explained(
        paid,
        refund("ch_a", 200 * unit, currency=code),
        charge("ch_b", 500 * unit, currency=code),
        currency=currency,
    )
    assert statement.sentence.startswith(words)


def test_a_negative_payout_is_a_debit_of_the_bank_account() -> None:
    """More went back than came in: the gateway took the difference from the bank account (failure G05)."""
    # failure: G05
    statement = explained(-50_00, refund("ch_a", 200_00), charge("ch_b", 150_00))
    assert statement.sentence == (
        "50.00 USD taken from the bank account instead of 150.00 USD paid out: "
        "200.00 USD went back to the client of booking 1042."
    )


def test_a_refund_after_the_payout_of_its_payment_nets_against_other_payments() -> None:
    """The payment was paid out long ago: its lone refund comes out of other clients' payments (failure G01)."""
    # failure: G01
    statement = explained(
        797_00, refund("ch_a", 200_00), charge("ch_b", 600_00, 2_00), charge("ch_c", 400_00, 1_00)
    )
    assert told(statement) == {"payments": 1_000_00, "fees": -3_00, "refunds": -200_00}
    assert statement.expected == Money(997_00, USD)


def test_one_cent_that_no_entry_accounts_for_has_a_line_of_its_own() -> None:
    """What is not explained is a group with a name, to the cent, either way (failure G02)."""
    # failure: G02
    statement = explained(499_99, charge("ch_b", 500_00))
    assert told(statement) == {"payments": 500_00, "unexplained": -1}
    assert statement.sentence == "499.99 USD instead of 500.00 USD: 0.01 USD is missing and not explained."
    assert "0.01 USD more is there and not explained" in explained(500_01, charge("ch_b", 500_00)).sentence


def test_the_net_of_a_refunded_charge_is_the_sum_of_all_its_entries() -> None:
    """The charge's own entry does not change with a refund; its lines together tell its net (failure G12)."""
    # failure: G12
    back = entry("refund_failure", 50_00, charge="ch_a", about="re_2")
    statement = explained(
        290_00, back, refund("ch_a", 50_00), refund("ch_a", 200_00), charge("ch_a", 500_00, 10_00)
    )
    of_charge = [line.net.amount_minor for line in statement.lines if line.about and line.about.charge == "ch_a"]
    assert sum(of_charge) == 290_00


def test_what_waited_or_came_late_is_told_by_its_name() -> None:
    """A refund that waited below nothing, or came too late for the payout before, went back to its client too."""
    early = int(BEFORE.timestamp()) - 1
    late = refund("ch_a", 200_00, available_s=early)
    statement = explained(450_00, late, charge("ch_c", 150_00, available_s=early), charge("ch_d", 500_00))
    assert told(statement) == {"payments": 650_00, "refunds": -200_00}
    assert statement.sentence == (
        "450.00 USD instead of 650.00 USD: 200.00 USD went back to the client of booking 1042."
    )


def test_what_was_pulled_back_for_a_refund_was_never_expected() -> None:
    """A platform passed on 450.00 of 500.00: 50.00 were to come, and not what it got back for a refund."""
    statement = explained(
        0,
        entry("transfer_reversal", 450_00, about="trr_1"),
        refund("ch_a", 500_00),
        entry("transfer", -450_00, about="tr_1"),
        charge("ch_a", 500_00),
    )
    assert statement.sentence == (
        "0.00 USD instead of 50.00 USD: 500.00 USD went back to the client of booking 1042; "
        "450.00 USD came back from transfers."
    )
    earned = explained(
        30_00,
        entry("platform_earning_refund", -20_00, about="fr_1"),
        entry("platform_earning", 50_00, about="fee_1"),
    )
    assert earned.sentence == "30.00 USD instead of 50.00 USD: 20.00 USD of platform fees was given back."


MISSED = MADE - timedelta(days=1)


def test_a_balance_below_nothing_from_before_is_carried_over() -> None:
    """What had gone out when a payout could have been made, and none was, is one group that says whose refunds are
    in it (failure G05)."""
    early_s = int(MISSED.timestamp())
    early = refund("ch_a", 200_00, available_s=early_s)
    small = charge("ch_c", 150_00, available_s=early_s - DAY_S)
    entries = [refund("ch_b", 200_00), early, small, charge("ch_d", 500_00)]
    statement = explained(250_00, *entries, before_at=MADE - timedelta(days=3), missed_at=MISSED)
    assert told(statement) == {"payments": 500_00, "refunds": -200_00, "carried_over": -50_00}
    assert {total.group: total.count for total in statement.totals}[Group.CARRIED_OVER] == 2
    assert [line.id for line in statement.lines if line.carried] == [early.id, small.id]
    assert statement.sentence == (
        "250.00 USD instead of 500.00 USD: 200.00 USD went back to the client of booking 1043; 50.00 USD made up "
        "for a balance below nothing from before (200.00 USD had gone back to the client of booking 1042)."
    )
    thrice = [refund(charge, 10_00, available_s=early_s) for charge in ("ch_a", "ch_b", "ch_c")]
    said = explained(470_00, *thrice, charge("ch_d", 500_00), before_at=None, missed_at=MISSED).sentence
    assert said.count("had gone back to the client of booking") == 3, "as many as a sentence names"
    plain = explained(250_00, *entries, before_at=MADE - timedelta(days=3))
    assert told(plain) == {"payments": 650_00, "refunds": -400_00}
    lost = entry("dispute", -80_00, about="du_1", available_s=early_s)
    without = explained(420_00, lost, charge("ch_d", 500_00), missed_at=MISSED, before_at=None)
    assert without.sentence.endswith("80.00 USD made up for a balance below nothing from before.")


def test_what_was_there_and_is_no_debt_is_not_carried_over() -> None:
    """Money from before that is more than nothing is what it is: payments are payments."""
    late = charge("ch_a", 200_00, available_s=int(MISSED.timestamp()))
    statement = explained(700_00, late, charge("ch_b", 500_00), missed_at=MISSED, before_at=None)
    assert told(statement) == {"payments": 700_00}
    assert not any(line.carried for line in statement.lines)
    assert statement.totals[0].count == 2
    early_s = int(MISSED.timestamp())
    even = [refund("ch_a", 200_00, available_s=early_s), charge("ch_c", 200_00, available_s=early_s)]
    nothing = explained(500_00, *even, charge("ch_b", 500_00), missed_at=MISSED, before_at=None)
    assert told(nothing) == {"payments": 700_00, "refunds": -200_00}, "what comes to nothing is no debt"


@pytest.mark.parametrize(
    ("before_h", "missed"),
    [(24, False), (30, False), (35, False), (36, True), (48, True), (None, False)],
)
def test_a_payout_was_missed_if_the_last_is_too_long_ago(before_h: int | None, missed: bool) -> None:
    """For an account that is paid out daily; where nobody knows when, none was."""
    before = None if before_h is None else MADE - timedelta(hours=before_h)
    paid = with_missed(payout(1, before_at=before), timedelta(days=1))
    assert paid.missed_at == (MADE - timedelta(days=1) if missed else None)
    undated = payout(1, created_at=None)
    assert with_missed(undated, timedelta(days=1)) == undated
    assert with_missed(paid, timedelta(minutes=1)) == (
        paid if before is None else attrs.evolve(paid, missed_at=MADE - timedelta(minutes=1))
    )
    with pytest.raises(ValueError, match="every"):
        with_missed(paid, timedelta(seconds=59))


# --- fees --------------------------------------------------------------------------------------------------------


def test_what_a_refund_cost_is_the_fee_that_is_kept_of_its_payment() -> None:
    """The fee of the payment in the same payout, or the host's word for one in another; none is invented."""
    entries = [
        refund("ch_a", 200_00),
        refund("ch_b", 100_00, 25),
        refund("ch_c", 10_00),
        charge("ch_a", 200_00, 6_10),
        charge("ch_d", 500_00, 14_80),
    ]
    known = {"ch_b": Money(3_20, USD)}
    statement = explain(payout(368_85), entries, label=BOOKINGS.get, fee_of=known.get)
    assert [line.fee_kept for line in statement.refunds] == [Money(6_10, USD), Money(3_20, USD), None]
    assert statement.refunds_cost == Money(6_10 + 3_20 + 25, USD)
    assert told(statement) == {"payments": 700_00, "fees": -20_90, "refunds": -310_25}
    assert statement.sentence.endswith("0.25 USD was taken as fees of these refunds.")
    cent = explain(payout(-100_01), [refund("ch_b", 100_00, 1)])
    assert cent.sentence.endswith("0.01 USD was taken as fees of these refunds.")
    foreign = explain(payout(-10_00), [refund("ch_c", 10_00)], fee_of=lambda _: Money(1, EUR))
    assert foreign.refunds_cost == Money(0, USD)


def test_the_fee_that_is_kept_is_the_payments_own_and_may_be_none() -> None:
    """Other entries of the payment change nothing of it, and one without a fee costs none, whatever hosts say."""
    entries = [
        refund("ch_a", 100_00),
        charge("ch_a", 100_00, 3_00),
        entry("partial_capture_reversal", -20_00, 1, charge="ch_a"),
        refund("ch_b", 50_00),
        charge("ch_b", 50_00),
    ]
    statement = explain(payout(-23_01), entries, fee_of=lambda _: Money(9_99, USD))
    assert [line.fee_kept for line in statement.refunds] == [Money(3_00, USD), Money(0, USD)]


def test_a_fee_of_its_own_is_a_fee() -> None:
    """An entry that is nothing but a fee joins the fees of payments."""
    statement = explained(480_00, entry("fee", -5_00), charge("ch_b", 500_00, 15_00))
    assert told(statement) == {"payments": 500_00, "fees": -20_00}


# --- everything adds up ------------------------------------------------------------------------------------------


@st.composite
def cases(draw: st.DrawFn) -> tuple[Payout, list[BalanceEntry]]:
    """A payout of any currency with entries of every category, known and unknown, early and late."""
    currency = draw(st.sampled_from([USD, JPY, KWD]))
    words = st.sampled_from([*CATEGORIES, "something_new"])
    made = draw(
        st.lists(
            st.tuples(
                words,
                st.integers(-1000, 1000),
                st.integers(-20, 20),
                st.sampled_from(["ch_a", "ch_b", None]),
                st.sampled_from([MADE_S - 100, int(BEFORE.timestamp()) - 1]),
            ),
            max_size=12,
        )
    )
    entries = [
        entry(word, amount, fee, charge=of, about="x", currency=currency.code.lower(), available_s=at)
        for word, amount, fee, of, at in made
    ]
    off = draw(st.sampled_from([0, 0, 0, 1, -7]))
    return payout(sum(each.net_minor for each in entries) + off, currency), entries


def naive(paid: Payout, entries: Iterable[BalanceEntry]) -> dict[str, int]:
    """The groups read aloud: one entry after the other, each cent into its group, the rest into the last."""
    sums: dict[Group, int] = {}
    counts: set[Group] = set()
    for each in entries:
        group = CATEGORIES.get(each.category, Group.OTHER)
        counts.add(group)
        sums[group] = sums.get(group, 0) + each.amount_minor
        fees = Group.FEES if group in EARNED else group
        sums[fees] = sums.get(fees, 0) - each.fee_minor
    sums[Group.UNEXPLAINED] = paid.amount.amount_minor - sum(sums.values())
    return {str(group): sums[group] for group in Group if sums.get(group) or group in counts}


@given(case=cases())
def test_every_statement_adds_up_to_its_payout_and_agrees_with_reading_aloud(
    case: tuple[Payout, list[BalanceEntry]],
) -> None:
    """Whatever the entries: the totals are the payout to the minor unit, group by group what a naive sum gives."""
    # failure: G02
    paid, entries = case
    statement = explain(paid, entries)
    assert sum(total.amount.amount_minor for total in statement.totals) == paid.amount.amount_minor
    assert told(statement) == naive(paid, entries)
    assert statement.expected + sum((t.amount for t in statement.changes), Money(0, paid.amount.currency)) == (
        statement.paid
    )
    assert sum(total.count for total in statement.totals) == len(entries)
    assert {line.id for line in statement.lines} == {each.id for each in entries}
    assert sum(line.net.amount_minor for line in statement.lines) + statement.total(
        Group.UNEXPLAINED
    ).amount_minor == (paid.amount.amount_minor)
    assert str(paid.amount).lstrip("-") in statement.sentence


@given(case=cases(), portions=st.lists(st.integers(1, 5), max_size=5))
def test_portions_and_order_do_not_matter(case: tuple[Payout, list[BalanceEntry]], portions: list[int]) -> None:
    """Read at once, in portions, or the other way round, the totals are the same."""
    paid, entries = case
    whole = explain(paid, entries)
    reading = Explanation(paid)
    rest = list(entries)
    for portion in portions:
        reading.add(rest[:portion])
        rest = rest[portion:]
    reading.add(iter(rest))
    assert reading.statement() == whole
    assert reading.seen == len(entries)
    assert explain(paid, reversed(entries)).totals == whole.totals


@given(case=cases())
def test_lines_streams_every_entry(case: tuple[Payout, list[BalanceEntry]]) -> None:
    """`lines` gives each entry once, in order; what the statement keeps is among them, refunds first."""
    paid, entries = case
    streamed = list(lines(paid, iter(entries)))
    assert [line.id for line in streamed] == [each.id for each in entries]
    kept = explain(paid, entries).lines
    first = [line.group in (Group.REFUNDS, Group.REFUND_FAILURES) for line in kept]
    assert first == sorted(first, reverse=True)
    plain = {line.id: attrs.evolve(line, fee_kept=None) for line in kept}
    assert plain == {line.id: line for line in streamed}


def test_the_payouts_own_entry_is_passed_over_and_anothers_is_not() -> None:
    """Its own negative entry is no part of what it was made of; another payout's, by hand, is."""
    own = entry("payout", -300_00, about="po_1")
    other = entry("payout", -200_00, about="po_2")
    failed = entry("payout_reversal", 100_00, about="po_0")
    entries = [own, other, failed, charge("ch_b", 400_00)]
    statement = explained(300_00, *entries)
    assert told(statement) == {"payments": 400_00, "failed_payouts": 100_00, "other_payouts": -200_00}
    assert [line.id for line in lines(payout(300_00), entries)] == [each.id for each in entries[1:]]


def test_at_most_ten_thousand_lines_are_kept_refunds_first() -> None:
    """Memory is bounded: refunds stay, the first of all others fill what is left, the rest is counted."""
    order = [("charge", 10)] * 12_000 + [("refund", -1)] * 6_000
    random.Random(7).shuffle(order)
    statement = explain(payout(114_000), (entry(word, minor, charge="ch_a") for word, minor in order))
    assert len(statement.lines) == KEPT_MOST
    assert len(statement.refunds) == 6_000
    assert statement.left_out == 8_000
    assert told(statement) == {"payments": 120_000, "refunds": -6_000}
    many = explain(payout(-10_001), (entry("refund", -1, charge="ch_a") for _ in range(10_001)))
    assert (len(many.refunds), many.left_out) == (KEPT_MOST, 1)
    assert many.sentence.endswith("100.01 USD was taken by 10,001 refunds.")  # fees of theirs, too, if there are


def test_portions_keep_no_more_lines_than_one() -> None:
    """Page after page, what is kept in memory has one bound."""
    reading = Explanation(payout(0))
    for _ in range(120):
        reading.add(charge("ch_a", 1) for _ in range(99))  # the bound lies within a page
    assert len(reading._rest) == KEPT_MOST
    assert reading.statement().left_out == 120 * 99 - KEPT_MOST


def test_four_refunds_are_counted_and_three_are_named() -> None:
    """A sentence stays one that can be read."""
    three = [refund(name, 10_00) for name in ("ch_a", "ch_b", "ch_c")]
    assert explained(-30_00, *three).sentence.count("the client of booking") == 3
    assert (
        "40.00 USD went back to clients in 4 refunds" in explained(-40_00, *three, refund("ch_d", 10_00)).sentence
    )


def test_fees_never_pass_for_money_that_clients_got() -> None:
    """Whether refunds are named or counted, what went to clients is their amounts; fees are told apart from it."""
    names = ("ch_a", "ch_b", "ch_c", "ch_d")
    counted = explained(-41_00, *(refund(name, 10_00, 25) for name in names)).sentence
    assert counted.endswith(
        "40.00 USD went back to clients in 4 refunds; 1.00 USD was taken as fees of these refunds."
    )


def test_fees_that_come_back_with_a_refund_came_back() -> None:
    """A refund with a fee below nothing gives a fee back (a platform's, where the policy says so)."""
    statement = explained(303_00, refund("ch_a", 200_00, -3_00), charge("ch_b", 500_00))
    assert statement.sentence.endswith(
        ": 200.00 USD went back to the client of booking 1042; 3.00 USD of fees came back with these refunds."
    )


def test_the_fee_of_a_payment_that_went_back_in_two_parts_counts_once() -> None:
    """Two refunds of one payment did not cost its fee twice; and a refund that failed did not cost it at all."""
    parts = [entry("refund", -100_00, charge="ch_a", about=name) for name in ("re_1", "re_2")]
    paid_in = charge("ch_a", 200_00, 6_10)
    assert explained(-6_10, *parts, paid_in).refunds_cost == Money(6_10, USD)
    back = [entry("refund_failure", 100_00, charge="ch_a", about=name) for name in ("re_1", "re_2")]
    assert explained(93_90, *parts, paid_in, back[0]).refunds_cost == Money(6_10, USD)
    assert explained(193_90, *parts, paid_in, *back).refunds_cost == Money(0, USD)


def test_no_client_is_made_up() -> None:
    """Where the gateway does not say whose payment it was, the refund is named and nobody's client."""
    sentence = explained(-2, entry("refund", -1, about="re_9"), refund("ch_zz", 1)).sentence
    assert sentence.endswith(": 0.01 USD went back by re_9; 0.01 USD went back to the client of payment ch_zz.")
    odd = explained(-2, entry("refund", 1, charge="ch_a", about="re_1"), refund("ch_b", 3))
    assert odd.sentence.endswith("0.02 USD was taken by 2 refunds.")


@pytest.mark.parametrize(
    ("minor", "status", "head", "tail"),
    [
        (
            300_00,
            PayoutStatus.FAILED,
            "300.00 USD instead of",
            " This payout failed: its money came back to the balance.",
        ),
        (
            300_00,
            PayoutStatus.CANCELED,
            "300.00 USD instead of",
            " This payout was canceled: its money stays in the balance.",
        ),
        (300_00, PayoutStatus.PENDING, "300.00 USD instead of", " booking 1042."),
        (-50_00, PayoutStatus.PAID, "50.00 USD taken from the bank account", " booking 1042."),
        (-50_00, PayoutStatus.IN_TRANSIT, "50.00 USD to be taken from the bank account", " booking 1042."),
        (
            -50_00,
            PayoutStatus.FAILED,
            "50.00 USD to be taken from the bank account",
            " This debit failed: nothing was taken.",
        ),
    ],
)
def test_a_sentence_tells_nothing_that_did_not_happen(
    minor: int, status: PayoutStatus, head: str, tail: str
) -> None:
    """A payout that failed says so beside its reasons; a debit that is still to come was not taken yet."""
    statement = explained(minor, refund("ch_a", 200_00), charge("ch_b", 200_00 + minor), status=status)
    assert statement.sentence.startswith(head)
    assert statement.sentence.endswith(tail)


# --- words -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", [*CATEGORIES, "brand_new"])
@pytest.mark.parametrize("minor", [5, -5])
def test_every_group_has_its_words(category: str, minor: int) -> None:
    """Whatever changes a payout is said in the sentence, in and out; earnings are what was expected."""
    group = CATEGORIES.get(category, Group.OTHER)
    sentence = explained(minor, entry(category, minor, about="x")).sentence
    if group in EARNED and minor > 0:
        assert sentence == "0.05 USD, as expected."
    elif group in EARNED:
        assert sentence == "0.05 USD taken from the bank account, as expected."
    else:
        assert sentence.count("0.05 USD") == 2
        assert "0.00 USD" in sentence


def test_a_line_is_called_by_the_best_name_there_is() -> None:
    """The host's label, else the payment, else the object, else the entry itself."""
    named = [refund("ch_a", 1), refund("ch_zz", 1), entry("refund", -1, about="re_9"), entry("refund", -1)]
    names = [line.name for line in explained(-4, *named).lines]
    assert names == ["booking 1042", "payment ch_zz", "re_9", named[3].id]


def test_a_label_is_one_line_that_can_be_shown() -> None:
    """Line breaks, escape codes, half of a surrogate pair and blanks alone reach no sentence."""
    told_as = {
        "booking\r\n1042": "booking 1042", "\x1b[2Jold\x07": "[2Jold", "\ud800farm": "farm", "Zoë's": "Zoë's",
        "": "payment ch_a", " \t\u200b": "payment ch_a",
    }  # fmt: skip
    for word, name in told_as.items():
        statement = explain(payout(-1), [refund("ch_a", 1)], label=lambda _, word=word: word)  # type: ignore[misc]
        assert statement.refunds[0].name == name
        assert statement.sentence.endswith(f"the client of {name}.")
    with pytest.raises(TypeError, match="label"):
        explain(payout(-1), [refund("ch_a", 1)], label=lambda _: 1042)  # type: ignore[arg-type,return-value]


def test_a_payout_of_nothing_but_zeros_is_as_expected() -> None:
    """A group whose entries cancel out says nothing, and is still in the table."""
    statement = explained(0, entry("other_adjustment", 5), entry("other_adjustment", -5))
    assert told(statement) == {"adjustments": 0}
    assert statement.sentence == "0.00 USD, as expected."
    assert str(statement) == statement.sentence


def test_an_estimate_says_so() -> None:
    """What was drawn up by dates is called an estimate."""
    statement = explain(payout(5, automatic=False), [charge("ch_a", 5)], estimate=True)
    assert statement.estimate
    assert statement.sentence.endswith("An estimate by dates.")


# --- what is refused ---------------------------------------------------------------------------------------------


def test_an_entry_that_contradicts_itself_explains_nothing() -> None:
    """A net that is not amount less fee is refused, wherever it is met."""
    odd = attrs.evolve(charge("ch_a", 100, 3), net_minor=98)
    for read in (lambda: explain(payout(97), [odd]), lambda: list(lines(payout(97), [odd]))):
        with pytest.raises(EntryOdd, match="does not add up"):
            read()


def test_statements_are_checked() -> None:
    """Totals that do not add up, stand twice or out of order, and lines that are none, are no statement."""
    five = Total(group=Group.PAYMENTS, amount=Money(5, USD), count=1)
    zero = Total(group=Group.FEES, amount=Money(0, USD), count=1)
    assert PayoutStatement(payout=payout(5), totals=(five, zero)).total(Group.REFUNDS) == Money(0, USD)
    for totals in ((zero,), (five, five), (zero, five)):
        with pytest.raises(ValueError, match="totals must"):
            PayoutStatement(payout=payout(5), totals=totals)
    with pytest.raises(TypeError):
        PayoutStatement(payout=payout(5), totals=(five,), lines=[])  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        explain("po_1", ())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="once"):
        EntryPage(entries=(odd := charge("ch_a", 1), odd))
    with pytest.raises(ValueError, match="after"):
        EntryPage(entries=(), after="")
    with pytest.raises(ValueError, match="rate"):
        About(id="re_1", rate="")
    assert About(id="re_1", rate="1" * 40).rate == "1" * 40
    with pytest.raises(ValueError, match="rate"):
        About(id="re_1", rate="1" * 41)
    assert PayoutStatement(payout=payout(5), totals=(five,), left_out=10**12).left_out == 10**12
    with pytest.raises(ValueError, match="left_out"):
        PayoutStatement(payout=payout(5), totals=(five,), left_out=10**12 + 1)
    with pytest.raises(ValueError, match="charge"):
        About(id="re_1", charge="../x")


def test_a_fraction_of_a_cent_is_refused() -> None:
    """A float that slipped into an entry makes no statement."""
    half = attrs.evolve(charge("ch_a", 1), amount_minor=0.5, net_minor=0.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="minor units"):
        explain(payout(1), [half])
    assert LIMIT_MINOR > 10**12


def test_statements_travel_between_processes() -> None:
    """A statement and its lines pickle, as every value does."""
    statement = explained(300_00, refund("ch_a", 200_00), charge("ch_b", 500_00))
    again = pickle.loads(pickle.dumps(statement))
    assert again == statement
    assert isinstance(again.lines[0], Line)


# --- where a refund is -------------------------------------------------------------------------------------------


def test_a_refund_is_in_exactly_one_place() -> None:
    """In a payout, in a debit, or waiting; each says so."""
    paid, debit = payout(300_00), payout(-50_00)
    assert whereabouts(paid) == InPayout(payout=paid)
    assert whereabouts(debit) == InDebit(payout=debit)
    assert whereabouts(None) == Waiting()
    assert [str(whereabouts(held)) for held in (paid, debit, None)] == [
        "taken from payout po_1 of 2026-03-06",
        "taken from the bank account with po_1 of 2026-03-06",
        "not known to be in a payout yet",
    ]


def test_where_a_refund_is_says_how_its_payout_ended() -> None:
    """A payout that failed did not arrive, and a debit that is under way, or failed, took nothing yet."""
    failed, stopped = (payout(1, status=status) for status in (PayoutStatus.FAILED, PayoutStatus.CANCELED))
    assert str(whereabouts(failed)) == "taken from payout po_1 of 2026-03-06, which failed"
    assert str(whereabouts(stopped)) == "taken from payout po_1 of 2026-03-06, which was canceled"
    coming, lost = (payout(-1, status=status) for status in (PayoutStatus.PENDING, PayoutStatus.FAILED))
    assert str(whereabouts(coming)) == "to be taken from the bank account with po_1 of 2026-03-06"
    assert str(whereabouts(lost)) == "to be taken from the bank account with po_1 of 2026-03-06, which failed"


@pytest.mark.parametrize("why", Why)
def test_why_a_payout_is_not_explained_has_a_sentence_and_a_status(why: Why) -> None:
    """Each reason says what to do, and a page knows its status."""
    answer = NotExplained(why=why, payout=payout(1))
    assert answer.http_status in (404, 409, 422)
    assert str(answer).endswith(".")
    with pytest.raises(TypeError, match="why"):
        NotExplained(why="payout_by_hand")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="payout"):
        NotExplained(why=why, payout="po_1")  # type: ignore[arg-type]
