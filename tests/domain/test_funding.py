"""R8, R9: a refund comes out of the payouts in progress, oldest first, else out of the bank account."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator
from datetime import UTC, date, datetime

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_domain.money import LIMIT_MINOR, Currency, CurrencyMixError, Money
from refund_domain.payouts.funds import Balance, Funds, Payout, PayoutStatus
from refund_domain.policy import DEFAULT_POLICY, FundingRule, Policy
from refund_domain.rules.funding import (
    FromBalance,
    FromBankAccount,
    FromPayout,
    Funding,
    NotCovered,
    Shortfall,
    forecast_funding,
    forecast_fundings,
    net,
)
from refund_domain.testing.strategies import money, payout_lists

USD = Currency.of("USD")
EUR = Currency.of("EUR")
DAY = date(2026, 3, 4)
BANK_ONLY = Policy(funding=FundingRule.BANK)
PAYOUTS_ONLY = Policy(funding=FundingRule.PAYOUTS)
POLICIES = (DEFAULT_POLICY, BANK_ONLY, PAYOUTS_ONLY)

Part = tuple[str, int, int, int]  # where, how much, before, after


def dollars(text: str) -> Money:
    """Dollars as people write them."""
    return Money.parse(text, "USD")


def payout(name: str, minor: int, day: int = 4, currency: Currency = USD) -> Payout:
    """A payout in progress, expected on a day of March."""
    return Payout(id=name, amount=Money(minor, currency), arrives_on=date(2026, 3, day))


def flat(funding: Funding) -> list[Part]:
    """The parts of a forecast as bare tuples, in their order."""
    rows: list[Part] = []
    for part in funding.parts:
        match part:
            case FromPayout(payout=source, amount=amount, before=before, after=after):
                rows.append((source.id, amount.amount_minor, before.amount_minor, after.amount_minor))
            case FromBankAccount(amount=amount):
                rows.append(("bank", amount.amount_minor, 0, 0))
            case FromBalance(amount=amount, after=after):
                rows.append(("balance", amount.amount_minor, (amount + after).amount_minor, after.amount_minor))
            case NotCovered(amount=amount):
                rows.append(("nowhere", amount.amount_minor, 0, 0))
    return rows


def naive(amounts: list[Money], payouts: list[Payout], policy: Policy) -> list[list[Part]]:
    """The rules read aloud: hand over one cent after the other, each from the first payout that still has one."""
    left = {source.id: source.amount.amount_minor for source in payouts}
    told: list[list[Part]] = []
    for amount in amounts:
        taken: dict[str, int] = {}
        for _ in range(amount.amount_minor):
            holding = [
                source
                for source in payouts
                if policy.funding is not FundingRule.BANK
                and source.amount.currency == amount.currency
                and left[source.id] > 0
            ]
            if holding:
                first = min(holding, key=lambda source: (source.arrives_on, source.id))
                left[first.id] -= 1
                taken[first.id] = taken.get(first.id, 0) + 1
            else:
                rest = "nowhere" if policy.funding is FundingRule.PAYOUTS else "bank"
                taken[rest] = taken.get(rest, 0) + 1
        told.append(
            [(where, cents, left.get(where, -cents) + cents, left.get(where, 0)) for where, cents in taken.items()]
        )
    return told


def small_payouts() -> Iterator[list[Payout]]:
    """Up to three payouts of -1 to 3 cents on one of two days, listed in no order of their ids."""
    shapes = list(itertools.product((-1, 0, 1, 3), (4, 5)))
    for count in range(4):
        for chosen in itertools.product(shapes, repeat=count):
            yield [payout(f"po_{(place * 2) % 3}", minor, day) for place, (minor, day) in enumerate(chosen)]


# --- the story ---------------------------------------------------------------------------------------------


def test_r8_the_500_payout_will_be_300() -> None:
    """R8: paid $500 for one inspection, $200 refunded to another client, the payout is $300."""
    inspection = Payout(id="po_1", amount=dollars("500.00"), arrives_on=DAY, status=PayoutStatus.IN_TRANSIT)
    funding = forecast_funding(dollars("200.00"), [inspection])
    (part,) = funding.parts
    assert isinstance(part, FromPayout)
    assert (part.payout, part.amount) == (inspection, dollars("200.00"))
    assert (part.before, part.after) == (dollars("500.00"), dollars("300.00"))
    assert str(funding).startswith(
        "200.00 USD from payout po_1 expected on 2026-03-04, which will be 300.00 USD instead of 500.00 USD. "
    )


def test_r9_without_a_payout_the_bank_account_pays() -> None:
    """R9: with no payout to take it from, the refund is deducted from the connected bank account."""
    funding = forecast_funding(dollars("200.00"), [])
    assert funding.parts == (FromBankAccount(amount=dollars("200.00")),)
    assert str(funding).startswith("200.00 USD from the connected bank account. ")


def test_what_the_payouts_do_not_hold_comes_from_the_bank_account() -> None:
    """R8, R9: the payouts are emptied by oldest expected arrival first, then the bank account gives the rest."""
    waiting = [payout("po_late", 100_00, day=6), payout("po_soon", 50_00, day=4), payout("po_next", 20_00, day=5)]
    assert flat(forecast_funding(dollars("200.00"), waiting)) == [
        ("po_soon", 50_00, 50_00, 0),
        ("po_next", 20_00, 20_00, 0),
        ("po_late", 100_00, 100_00, 0),
        ("bank", 30_00, 0, 0),
    ]


def test_a_forecast_is_called_a_forecast() -> None:
    """R8, R9 are a host's policy: no text may pass for a promise about what the gateway does."""
    for policy in POLICIES:
        funding = forecast_funding(dollars("700.00"), [payout("po_1", 500_00)], policy=policy)
        assert str(funding).endswith(Funding.caveat)
    assert "forecast" in Funding.caveat
    assert str(forecast_funding(dollars("0.00"), [])) == "nothing to fund"


def test_without_the_bank_account_the_rest_is_named_not_covered() -> None:
    """A policy without R9 leaves a rest that nothing covers, and says so instead of hiding it."""
    funding = forecast_funding(dollars("700.00"), [payout("po_1", 500_00)], policy=PAYOUTS_ONLY)
    assert flat(funding) == [("po_1", 500_00, 500_00, 0), ("nowhere", 200_00, 0, 0)]
    assert "200.00 USD not covered" in str(funding)
    for method, then in (
        ("card", Shortfall.WAITS),
        ("us_bank_account", Shortfall.FAILS),
        (None, Shortfall.WAITS_OR_FAILS),
    ):
        (rest,) = forecast_funding(dollars("1.00"), [], policy=PAYOUTS_ONLY, method=method).parts
        assert rest == NotCovered(amount=dollars("1.00"), then=then)


def test_without_r8_no_payout_is_touched() -> None:
    """A policy without R8 takes everything from the bank account, however many payouts there are."""
    funding = forecast_funding(dollars("200.00"), [payout("po_1", 500_00)], policy=BANK_ONLY)
    assert flat(funding) == [("bank", 200_00, 0, 0)]


def test_later_refunds_go_on_where_earlier_ones_stopped() -> None:
    """Over many refunds the figures of a payout are cumulative: 500 is 300, then 0."""
    several = forecast_fundings([dollars("200.00"), dollars("400.00")], [payout("po_1", 500_00)])
    assert [flat(funding) for funding in several] == [
        [("po_1", 200_00, 500_00, 300_00)],
        [("po_1", 300_00, 300_00, 0), ("bank", 100_00, 0, 0)],
    ]


@pytest.mark.parametrize("minor", [0, -1, -500_00])
def test_empty_and_negative_payouts_are_passed_over(minor: int) -> None:
    """A payout that holds nothing, or is a debit itself, gives nothing and hides no other."""
    listed = [payout("po_0", minor, day=1), payout("po_1", 100_00, day=2)]
    assert flat(forecast_funding(dollars("60.00"), listed)) == [("po_1", 60_00, 100_00, 40_00)]


def test_a_tie_goes_to_the_smaller_id() -> None:
    """Two payouts expected on one day are taken in the order of their ids, so the forecast is one, not two."""
    listed = [payout("po_b", 10), payout("po_a", 10)]
    assert flat(forecast_funding(Money(15, USD), listed)) == [("po_a", 10, 10, 0), ("po_b", 5, 10, 5)]


# --- against the naive reference ---------------------------------------------------------------------------


def test_every_small_case_agrees_with_counting_cents() -> None:
    """R8, R9: for every case of up to two refunds, three payouts and each policy: what counting cents gives."""
    refunds = [
        [Money(minor, USD) for minor in minors]
        for count in range(3)
        for minors in itertools.product(range(4), repeat=count)
    ]
    cases = 0
    for listed in small_payouts():
        for amounts in refunds:
            for policy in POLICIES:
                told = [flat(funding) for funding in forecast_fundings(amounts, listed, policy=policy)]
                assert told == naive(amounts, listed, policy), (amounts, listed, policy)
                cases += 1
    assert cases == 585 * 21 * 3


AMOUNTS = st.lists(
    money(currency=USD, min_minor=0, max_minor=300) | money(currency=EUR, min_minor=0, max_minor=300), max_size=5
)
MIXED = st.tuples(
    payout_lists(currency=USD, min_minor=-50, max_minor=200, max_size=4),
    payout_lists(currency=EUR, min_minor=-50, max_minor=200, max_size=4),
).map(lambda both: [*both[0], *(attrs.evolve(source, id=f"eur_{source.id}") for source in both[1])])


@given(amounts=AMOUNTS, listed=MIXED, policy=st.sampled_from(POLICIES))
def test_any_case_of_two_currencies_agrees_with_counting_cents(
    amounts: list[Money], listed: list[Payout], policy: Policy
) -> None:
    """R8, R9: mixed refunds over mixed payouts are what counting cents gives, refund by refund."""
    told = [flat(funding) for funding in forecast_fundings(amounts, listed, policy=policy)]
    assert told == naive(amounts, listed, policy)


# --- properties --------------------------------------------------------------------------------------------


@given(amounts=AMOUNTS, listed=MIXED, policy=st.sampled_from(POLICIES))
def test_nothing_is_lost_or_made(amounts: list[Money], listed: list[Payout], policy: Policy) -> None:
    """Each refund's parts add up to it, each payout gives what it fell by, and none falls below zero."""
    fundings = forecast_fundings(amounts, listed, policy=policy)
    assert [funding.amount for funding in fundings] == amounts
    standing = {source.id: source.amount for source in listed}
    for funding in fundings:
        assert sum((part.amount for part in funding.parts), Money.zero(funding.amount.currency)) == funding.amount
        for part in funding.parts:
            assert part.amount.amount_minor > 0
            if isinstance(part, FromPayout):
                assert part.before == standing[part.payout.id]
                assert part.before - part.amount == part.after
                assert part.after.amount_minor >= 0
                standing[part.payout.id] = part.after
    for source in listed:
        gone = [p.amount for f in fundings for p in f.parts if isinstance(p, FromPayout) and p.payout == source]
        assert source.amount - standing[source.id] == sum(gone, Money.zero(source.amount.currency))


@pytest.mark.parametrize("code", ["JPY", "USD", "KWD", "UGX"])
@given(minors=st.lists(st.integers(0, 10**12), max_size=4), held=st.lists(st.integers(-5, 10**12), max_size=4))
def test_every_currency_is_exact_to_its_last_unit(code: str, minors: list[int], held: list[int]) -> None:
    """With no decimals, two or three: parts add up, and payouts fall by what they gave, in whole units."""
    currency = Currency.of(code)
    listed = [payout(f"po_{place}", minor, currency=currency) for place, minor in enumerate(held)]
    fundings = forecast_fundings([Money(minor, currency) for minor in minors], listed)
    given_by: dict[str, int] = {}
    for funding, minor in zip(fundings, minors, strict=True):
        assert sum(part.amount.amount_minor for part in funding.parts) == minor
        for part in funding.parts:
            where = part.payout.id if isinstance(part, FromPayout) else "bank"
            given_by[where] = given_by.get(where, 0) + part.amount.amount_minor
    from_payouts = sum(minor for where, minor in given_by.items() if where != "bank")
    assert from_payouts == min(sum(minors), sum(minor for minor in held if minor > 0))
    assert all(given_by.get(each.id, 0) <= max(0, each.amount.amount_minor) for each in listed)


@given(amounts=AMOUNTS, listed=MIXED, policy=st.sampled_from(POLICIES), data=st.data())
def test_the_order_in_which_payouts_are_listed_does_not_matter(
    amounts: list[Money], listed: list[Payout], policy: Policy, data: st.DataObject
) -> None:
    """A gateway may list payouts in any order; the forecast is the same."""
    shuffled = data.draw(st.permutations(listed))
    assert forecast_fundings(amounts, shuffled, policy=policy) == forecast_fundings(amounts, listed, policy=policy)


@given(amounts=AMOUNTS, listed=MIXED, policy=st.sampled_from(POLICIES))
def test_currencies_do_not_touch_each_other(amounts: list[Money], listed: list[Payout], policy: Policy) -> None:
    """Refunds in dollars are forecast as if there were no euros, and the other way round."""
    together = forecast_fundings(amounts, listed, policy=policy)
    for currency in (USD, EUR):
        own = [amount for amount in amounts if amount.currency == currency]
        alone = forecast_fundings(own, [p for p in listed if p.amount.currency == currency], policy=policy)
        assert tuple(funding for funding in together if funding.amount.currency == currency) == alone


@given(amounts=AMOUNTS, listed=MIXED, policy=st.sampled_from(POLICIES))
def test_a_later_refund_changes_no_earlier_forecast(
    amounts: list[Money], listed: list[Payout], policy: Policy
) -> None:
    """The first k forecasts of many are the forecasts of the first k; one alone is `forecast_funding`."""
    every = forecast_fundings(amounts, listed, policy=policy)
    for count in range(len(amounts) + 1):
        assert forecast_fundings(amounts[:count], listed, policy=policy) == every[:count]
    if amounts:
        assert forecast_funding(amounts[0], listed, policy=policy) == every[0]


@given(amounts=AMOUNTS, listed=MIXED)
def test_the_bank_account_is_touched_only_when_the_payouts_are_empty(
    amounts: list[Money], listed: list[Payout]
) -> None:
    """R9 comes after R8: once the bank account gives in a currency, no payout in it holds anything."""
    standing = {p.id: p.amount for p in listed if p.amount.amount_minor > 0}
    for funding in forecast_fundings(amounts, listed):
        for part in funding.parts:
            if isinstance(part, FromPayout):
                standing[part.payout.id] = part.after
            else:
                same = [left for left in standing.values() if left.currency == funding.amount.currency]
                assert not any(left.amount_minor for left in same)


@given(
    amounts=st.lists(st.integers(0, 100) | st.integers(0, 10**12), max_size=6),
    waiting=st.lists(st.integers(0, 100) | st.integers(0, 10**12), max_size=6),
)
def test_net_hands_out_every_unit_in_few_rows(amounts: list[int], waiting: list[int]) -> None:
    """Bare units: refunds and payouts are conserved, rows rise, and there are at most as many as inputs."""
    rows = list(net(amounts, waiting))
    assert len(rows) <= len(amounts) + len(waiting)
    assert rows == sorted(rows, key=lambda row: row[:2])
    assert [
        sum(taken for refund, _, taken, _ in rows if refund == place) for place in range(len(amounts))
    ] == amounts
    given_out = [sum(taken for _, source, taken, _ in rows if source == place) for place in range(len(waiting))]
    assert sum(given_out) == min(sum(amounts), sum(waiting))
    assert all(gone <= held for gone, held in zip(given_out, waiting, strict=True))
    for _, source, taken, left in rows:
        assert taken > 0
        assert (left >= 0) if source < len(waiting) else (source == len(waiting) and left == 0)


def test_net_asks_for_each_payout_once() -> None:
    """B5: one pass: over many refunds and payouts each payout is read a single time, however it is split."""

    class Counted(list[int]):
        """A list that counts how often it is asked for a member."""

        asked = 0

        def __getitem__(self, place: int) -> int:  # type: ignore[override]
            Counted.asked += 1
            return list.__getitem__(self, place)

    waiting = Counted([7] * 3000)
    rows = list(net([5] * 4000, waiting))
    assert Counted.asked == 2858  # 20,000 units in payouts of 7: 2,857 emptied, one more begun
    assert len(rows) <= 4000 + 2858


# --- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", [-1, -(10**6)])
def test_a_negative_refund_is_refused(amount: int) -> None:
    """There is no forecast for a refund below nothing."""
    with pytest.raises(ValueError, match="must not be negative"):
        forecast_funding(Money(amount, USD), [payout("po_1", 500)])


def test_a_payout_given_twice_is_refused() -> None:
    """Counted twice, a payout would hold twice its money; two currencies make no difference."""
    for other in (payout("po_1", 10), payout("po_1", 99, day=9), payout("po_1", 5, currency=EUR)):
        with pytest.raises(ValueError, match="given once only"):
            forecast_funding(Money(5, USD), [payout("po_1", 10), other])


@pytest.mark.parametrize("bad", [1, 1.5, True, "1.00", None, USD], ids=repr)
def test_what_is_no_money_payout_or_policy_is_refused(bad: object) -> None:
    """A bare number has no currency, a dictionary from the gateway is no Payout, None is no policy."""
    with pytest.raises(TypeError):
        forecast_funding(bad, [])  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        forecast_funding(Money(5, USD), [payout("po_1", 10), bad])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="policy must be Policy"):
        forecast_funding(Money(5, USD), [], policy=bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [[1.0], [True], ["1"], [None], [float("nan")], [1, 2, 3.0]], ids=repr)
def test_net_refuses_what_is_no_int(bad: list[int]) -> None:
    """Bare units are plain ints on either side."""
    with pytest.raises(TypeError, match="ints of minor units"):
        net(bad, [5])
    with pytest.raises(TypeError, match="ints of minor units"):
        net([5], bad)


def test_net_refuses_less_than_nothing() -> None:
    """Neither a refund nor a payout may be negative here; the caller leaves such payouts out."""
    for amounts, waiting in (([5, -1], [5]), ([5], [5, -1])):
        with pytest.raises(ValueError, match="must not be negative"):
            net(amounts, waiting)


NO_DATES = [datetime(2026, 3, 4, tzinfo=UTC), datetime(2026, 3, 4), "2026-03-04", 20260304, None]  # noqa: DTZ001


@pytest.mark.parametrize("day", NO_DATES, ids=repr)
def test_a_payout_arrives_on_a_date(day: object) -> None:
    """A datetime would arrive on different days in different places; a text is no day at all."""
    with pytest.raises(TypeError, match="arrives_on must be a date without a time"):
        Payout(id="po_1", amount=Money(1, USD), arrives_on=day)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [5, 5.0, True, "5.00", None], ids=repr)
def test_amounts_and_payouts_are_values(bad: object) -> None:
    """A bare number is no amount of a payout or a forecast, and a payout's id is no payout."""
    with pytest.raises(TypeError, match="amount must be Money"):
        Payout(id="po_1", amount=bad, arrives_on=DAY)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="amount must be Money"):
        Funding(amount=bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="amount must be Money"):
        FromPayout(payout=payout("po_1", 100), amount=bad, after_minor=0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="payout must be Payout"):
        FromPayout(payout=bad, amount=Money(5, USD), after_minor=0)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", ["pending", "in_transit", "paid", "failed", "", None, True])
def test_a_payouts_status_is_no_bare_word(status: object) -> None:
    """The words themselves are not taken."""
    with pytest.raises(TypeError, match="status must be PayoutStatus"):
        Payout(id="po_1", amount=Money(1, USD), arrives_on=DAY, status=status)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [PayoutStatus.PAID, PayoutStatus.FAILED, PayoutStatus.CANCELED])
def test_nothing_is_taken_from_a_payout_that_is_over(status: PayoutStatus) -> None:
    """What was paid, failed or canceled is none to take from, and a forecast over it is refused."""
    over = attrs.evolve(payout("po_1", 500_00), status=status)
    assert not over.in_progress
    with pytest.raises(ValueError, match="in progress"):
        forecast_funding(Money(1, USD), [over])
    with pytest.raises(ValueError, match="in progress"):
        Funds(payouts=(over,))


# --- the available balance -----------------------------------------------------------------------------------

BALANCE = Policy(funding=FundingRule.BALANCE)


def balance(text: str, prefunded: str | None = None) -> Balance:
    """Dollars that are available, and dollars set aside."""
    return Balance(available=dollars(text), prefunded=None if prefunded is None else dollars(prefunded))


@pytest.mark.parametrize(
    ("method", "then"),
    [
        ("card", Shortfall.WAITS),
        ("card_present", Shortfall.WAITS),
        ("us_bank_account", Shortfall.FAILS),
        ("ach_debit", Shortfall.FAILS),
        ("klarna", Shortfall.FAILS),
        (None, Shortfall.WAITS_OR_FAILS),
    ],
)
def test_what_too_small_a_balance_does_depends_on_the_method(method: str | None, then: Shortfall) -> None:
    """A card refund waits for funds, one of a bank debit fails; the house rule says beside it where it comes from
    (failure G06)."""
    # failure: G06
    funding = forecast_funding(dollars("200.00"), [payout("po_1", 500_00)], balance("199.99"), method=method)
    assert funding.at_gateway == NotCovered(amount=dollars("200.00"), then=then)
    assert flat(funding) == [("po_1", 200_00, 500_00, 300_00)]
    said = str(funding)
    assert "200.00 USD from payout po_1" in said
    assert said.index("from payout po_1") < said.index("does not cover it today")
    (part,) = forecast_funding(dollars("200.00"), [], balance("199.99"), BALANCE, method=method).parts
    assert part == NotCovered(amount=dollars("200.00"), then=then)


def test_an_empty_balance_right_after_a_payout_is_explained_and_refuses_nothing() -> None:
    """Available 0: the forecast says that the gateway makes a card refund wait; the parts stand (failure G07)."""
    # failure: G07
    funding = forecast_funding(dollars("200.00"), [], balance("0.00"), method="card")
    assert flat(funding) == [("bank", 200_00, 0, 0)]
    assert "the refund waits until the balance is topped up" in str(funding)


def test_everything_paid_out_says_from_the_bank_account_or_what_the_balance_is() -> None:
    """No payout in progress: R9 names the bank account; a balance below nothing does not cover (failure G09)."""
    # failure: G09
    funding = forecast_funding(dollars("200.00"), [], balance("-15.00"), method="us_bank_account")
    assert flat(funding) == [("bank", 200_00, 0, 0)]
    assert funding.at_gateway == NotCovered(amount=dollars("200.00"), then=Shortfall.FAILS)


def test_money_set_aside_counts_and_the_balance_covers_all_or_nothing() -> None:
    """Money set aside counts; a refund that the rest does not cover draws nothing, a smaller one is covered."""
    both = balance("150.00", "60.00")
    assert both.spendable == dollars("210.00")
    several = forecast_fundings(
        [dollars("200.00"), dollars("20.00"), dollars("10.00")], [], [both], BALANCE, methods=["card"] * 3
    )
    assert [flat(funding) for funding in several] == [
        [("balance", 200_00, 210_00, 10_00)],
        [("nowhere", 20_00, 0, 0)],
        [("balance", 10_00, 10_00, 0)],
    ]
    assert "from the available balance, with 10.00 USD left for refunds" in str(several[0])


@given(amounts=AMOUNTS, available=st.integers(-200, 900))
def test_the_balance_gives_no_more_than_it_has(amounts: list[Money], available: int) -> None:
    """Each refund is covered as a whole or not at all, in turn, and never beyond what is there."""
    held = [Balance(available=Money(available, USD)), Balance(available=Money(0, EUR))]
    left = available
    for amount, funding in zip(amounts, forecast_fundings(amounts, [], held, BALANCE), strict=True):
        if not amount.amount_minor:
            assert funding == Funding(amount=amount)
        elif amount.currency == USD and amount.amount_minor <= left:
            left -= amount.amount_minor
            assert funding.parts == (FromBalance(amount=amount, after=Money(left, USD)),)
        else:
            assert funding.parts == (NotCovered(amount=amount),)


def test_a_forecast_by_the_balance_needs_it() -> None:
    """Under that rule an unknown balance is no forecast; two of one currency, and one of another, are refused."""
    with pytest.raises(ValueError, match="give the balance"):
        forecast_funding(dollars("1.00"), [], policy=BALANCE)
    with pytest.raises(ValueError, match="one balance"):
        forecast_fundings([dollars("1.00")], [], [balance("1.00"), balance("2.00")])
    with pytest.raises(ValueError, match="currency of amount"):
        forecast_funding(Money(1, EUR), [], balance("1.00"))
    with pytest.raises(TypeError, match="balance must be Balance"):
        forecast_funding(dollars("1.00"), [], dollars("1.00"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one for each"):
        forecast_fundings([dollars("1.00")], [], methods=[])


def test_parts_about_the_balance_are_checked() -> None:
    """What is said of the gateway is of the whole amount; no balance falls below zero or changes currency."""
    with pytest.raises(ValueError, match="whole amount"):
        Funding(
            amount=dollars("2.00"),
            parts=(FromBankAccount(amount=dollars("2.00")),),
            at_gateway=NotCovered(amount=dollars("1.00")),
        )
    for after in (dollars("-0.01"), Money(1, EUR)):
        with pytest.raises(ValueError, match="after must be"):
            FromBalance(amount=dollars("1.00"), after=after)


def test_funds_are_checked() -> None:
    """Each payout and each currency once; one currency a balance; nothing below zero was set aside."""
    with pytest.raises(ValueError, match="each payout once"):
        Funds(payouts=(payout("po_1", 1), payout("po_1", 2)))
    with pytest.raises(ValueError, match="each currency once"):
        Funds(balances=(balance("1.00"), balance("2.00")))
    with pytest.raises(ValueError, match="currency of available"):
        Balance(available=dollars("1.00"), pending=Money(1, EUR))
    with pytest.raises(ValueError, match="negative"):
        balance("1.00", "-1.00")
    with pytest.raises(ValueError, match="beyond all payments"):
        Balance(available=Money(LIMIT_MINOR, EUR), prefunded=Money(1, EUR))
    assert (
        Balance(available=Money(LIMIT_MINOR - 1, EUR), prefunded=Money(1, EUR)).spendable.amount_minor
        == LIMIT_MINOR
    )
    now = datetime(2026, 3, 4, tzinfo=UTC)
    with pytest.raises(ValueError, match="before_at"):
        attrs.evolve(payout("po_1", 1), created_at=now, before_at=now.replace(day=5))
    assert attrs.evolve(payout("po_1", 1), created_at=now, before_at=now).before_at == now
    with pytest.raises(ValueError, match="failure"):
        attrs.evolve(payout("po_1", 1), failure="")


@pytest.mark.parametrize("name", ["", " ", "../x", "a\nb", "a b", "é", "p" * 256, "-x", "x/y", "x?y=1"])
def test_a_payouts_id_is_an_id(name: str) -> None:
    """Odd ids are refused without being repeated."""
    with pytest.raises(ValueError, match="id must be") as caught:
        payout(name, 1)
    assert len(name) < 2 or name not in str(caught.value)


def test_a_part_cannot_contradict_its_payout() -> None:
    """No payout below zero, none that held more than itself, none in another currency, no part of nothing."""
    whole = payout("po_1", 100)
    assert FromPayout(payout=whole, amount=Money(40, USD), after_minor=60).before == Money(100, USD)
    assert FromPayout(payout=whole, amount=Money(40, USD), after_minor=0).before == Money(40, USD)
    for amount, after_minor, complaint in (
        (Money(100, USD), -1, "no payout falls below zero"),
        (Money(41, USD), 60, "must not add up to more than the payout"),
        (Money(40, EUR), 60, "in the payout's own currency"),
        (Money(0, USD), 100, "more than nothing"),
        (Money(-1, USD), 100, "more than nothing"),
    ):
        with pytest.raises(ValueError, match=complaint):
            FromPayout(payout=whole, amount=amount, after_minor=after_minor)


@pytest.mark.parametrize("after", [60.0, True, None, "60", Money(60, USD)], ids=repr)
def test_what_a_payout_will_be_is_an_int(after: object) -> None:
    """A float or a bool is no count of minor units."""
    with pytest.raises(TypeError, match="after_minor must be an int"):
        FromPayout(payout=payout("po_1", 100), amount=Money(40, USD), after_minor=after)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [FromBankAccount, NotCovered])
def test_a_rest_is_more_than_nothing(kind: type[FromBankAccount | NotCovered]) -> None:
    """A part of nothing, or of less, is none; a bare number neither."""
    for minor in (0, -1):
        with pytest.raises(ValueError, match="more than nothing"):
            kind(amount=Money(minor, USD))
    with pytest.raises(TypeError, match="amount must be Money"):
        kind(amount=5)  # type: ignore[arg-type]


def test_a_forecast_adds_up_or_is_none() -> None:
    """One unit missing, one too many, another currency, a negative whole, a list: each is refused."""
    five = FromBankAccount(amount=Money(5, USD))
    assert Funding(amount=Money(10, USD), parts=(five, five)).parts == (five, five)
    for whole, parts, complaint in (
        (Money(9, USD), (five, five), "add up to amount exactly"),
        (Money(11, USD), (five, five), "add up to amount exactly"),
        (Money(5, USD), (), "add up to amount exactly"),
        (Money(5, EUR), (five,), "currency of amount"),
        (Money(-5, USD), (), "must not be negative"),
    ):
        with pytest.raises(ValueError, match=complaint):
            Funding(amount=whole, parts=parts)
    with pytest.raises(TypeError, match="parts must be a tuple"):
        Funding(amount=Money(5, USD), parts=[five])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="each of parts"):
        Funding(amount=Money(5, USD), parts=(Money(5, USD),))  # type: ignore[arg-type]


def test_payouts_from_another_process_are_the_same_payouts() -> None:
    """Copies that went through a queue hold equal, not identical, currencies; the forecast is the same."""
    listed = [payout("po_1", 100), payout("po_2", 100, day=5)]
    copied = pickle.loads(pickle.dumps(listed))
    assert forecast_funding(Money(150, USD), copied) == forecast_funding(Money(150, USD), listed)
    sent = pickle.loads(pickle.dumps(Money(250, USD)))
    assert Funding(amount=sent, parts=(FromBankAccount(amount=Money(250, USD)),)).amount == Money(250, USD)
    assert flat(forecast_funding(sent, listed)) == [
        ("po_1", 100, 100, 0),
        ("po_2", 100, 100, 0),
        ("bank", 50, 0, 0),
    ]


def test_a_currency_of_the_same_code_but_other_decimals_is_another_currency() -> None:
    """E07: a home-made Currency with a wrong exponent is refused, not netted a hundredfold."""
    odd = Money(5, Currency("USD", 0, 1))
    with pytest.raises(ValueError, match="currency"):
        forecast_funding(odd, [payout("po_1", 100)])
    with pytest.raises(CurrencyMixError):
        odd + Money(5, USD)
