"""Strategies for payouts, arrival windows and policies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from refund_domain._checks import check_count
from refund_domain.money import Currency, Money
from refund_domain.payouts.entries import CATEGORIES, About, BalanceEntry
from refund_domain.payouts.funds import IN_PROGRESS, Balance, Funds, Payout
from refund_domain.payouts.statement import PayoutStatement, explain
from refund_domain.policy import FundingRule, Policy
from refund_domain.rules.arrival import ArrivalWindow
from refund_domain.rules.funding import (
    FromBalance,
    FromBankAccount,
    FromPayout,
    Funding,
    FundingPart,
    NotCovered,
    Shortfall,
)
from refund_domain.testing.strategies._plain import (
    ANY_CURRENCY,
    COIN,
    MOST_CAPTURED_MINOR,
    by_id,
    dates,
    in_currency,
    maybe,
    money,
    of_kinds,
    prefixed,
    up_to,
)

_PARTS: Final = (FromPayout, FromBankAccount, FromBalance, NotCovered)


def payouts(
    *,
    currency: Currency | None = None,
    min_minor: int = -MOST_CAPTURED_MINOR,
    max_minor: int = MOST_CAPTURED_MINOR,
) -> SearchStrategy[Payout]:
    """Payouts in progress, some of them empty or negative, close together so that days often tie."""
    return st.builds(
        Payout,
        id=prefixed("po_"),
        amount=money(currency=currency, min_minor=min_minor, max_minor=max_minor),
        arrives_on=dates(earliest=date(2026, 2, 26), latest=date(2026, 3, 4)) | dates(),
        status=st.sampled_from(sorted(IN_PROGRESS)),
    )


def payout_lists(
    *,
    currency: Currency | None = None,
    min_minor: int = -MOST_CAPTURED_MINOR,
    max_minor: int = MOST_CAPTURED_MINOR,
    max_size: int = 5,
) -> SearchStrategy[tuple[Payout, ...]]:
    """Up to `max_size` payouts of different ids: what a forecast takes."""
    check_count(max_size, "max_size", 0, 100)
    return by_id(payouts(currency=currency, min_minor=min_minor, max_minor=max_minor), max_size)


def funding_parts(
    *, kinds: Sequence[type[FundingPart]] = _PARTS, currency: Currency | None = None
) -> SearchStrategy[FundingPart]:
    """One part of a forecast: of a payout, the bank account, the balance, covered by nothing; or `kinds` only."""
    rest = money(currency=currency, min_minor=1, max_minor=MOST_CAPTURED_MINOR)
    table: dict[type[FundingPart], SearchStrategy[FundingPart]] = {
        FromPayout: _from_payout(payouts(currency=currency, min_minor=1)),
        FromBankAccount: st.builds(FromBankAccount, amount=rest),
        FromBalance: _from_balance(in_currency(currency)),
        NotCovered: st.builds(NotCovered, amount=rest, then=st.sampled_from(Shortfall)),
    }
    return of_kinds(table, kinds)


def fundings(*, currency: Currency | None = None) -> SearchStrategy[Funding]:
    """Forecasts with parts of every kind, for refunds of nothing and of much."""
    return _fundings(in_currency(currency), by_id(payouts(currency=ANY_CURRENCY, min_minor=1), 3))


@st.composite
def _fundings(
    draw: DrawFn, currencies: SearchStrategy[Currency], sources: SearchStrategy[tuple[Payout, ...]]
) -> Funding:
    currency = draw(currencies)
    parts: list[FundingPart] = []
    for payout in draw(sources):
        whole = Money(payout.amount.amount_minor, currency)
        parts.append(draw(_from_payout(st.just(attrs.evolve(payout, amount=whole)))))
    rest = draw(st.sampled_from([None, FromBankAccount, NotCovered]))
    if rest is not None:
        parts.append(rest(amount=Money(draw(up_to(MOST_CAPTURED_MINOR, least=1)), currency)))
    amount = sum((part.amount for part in parts), Money.zero(currency))
    there = draw(st.sampled_from([None, FromBalance, NotCovered])) if parts else None
    if there is FromBalance:
        return Funding(
            amount=amount, parts=tuple(parts), at_gateway=FromBalance(amount=amount, after=Money.zero(currency))
        )
    at_gateway = NotCovered(amount=amount, then=draw(st.sampled_from(Shortfall))) if there is NotCovered else None
    return Funding(amount=amount, parts=tuple(parts), at_gateway=at_gateway)


@st.composite
def _from_balance(draw: DrawFn, currencies: SearchStrategy[Currency]) -> FromBalance:
    currency = draw(currencies)
    amount = Money(draw(up_to(MOST_CAPTURED_MINOR, least=1)), currency)
    return FromBalance(amount=amount, after=Money(draw(up_to(MOST_CAPTURED_MINOR)), currency))


@st.composite
def _balances(draw: DrawFn, currencies: SearchStrategy[Currency]) -> Balance:
    currency = draw(currencies)
    either_way = st.integers(-MOST_CAPTURED_MINOR, MOST_CAPTURED_MINOR).map(lambda minor: Money(minor, currency))
    return Balance(
        available=draw(either_way),
        pending=draw(maybe(either_way)),
        prefunded=draw(maybe(up_to(MOST_CAPTURED_MINOR).map(lambda minor: Money(minor, currency)))),
    )


def balances(*, currency: Currency | None = None) -> SearchStrategy[Balance]:
    """Balances, some of them below nothing, some with money set aside for refunds."""
    return _balances(in_currency(currency))


def funds() -> SearchStrategy[Funds]:
    """What an account holds: some payouts in progress, and balances in some currencies."""
    return st.builds(
        Funds,
        payouts=payout_lists(),
        balances=st.lists(balances(), max_size=3, unique_by=lambda balance: balance.currency).map(tuple),
    )


@st.composite
def _from_payout(draw: DrawFn, sources: SearchStrategy[Payout]) -> FromPayout:
    payout = draw(sources)
    before_minor = draw(up_to(payout.amount.amount_minor, least=1))
    taken_minor = draw(up_to(before_minor, least=1))
    amount = Money(taken_minor, payout.amount.currency)
    return FromPayout(payout=payout, amount=amount, after_minor=before_minor - taken_minor)


def arrival_windows() -> SearchStrategy[ArrivalWindow]:
    """Windows of a day up to three months."""
    return st.builds(
        lambda first, days: ArrivalWindow(earliest=first, latest=first + timedelta(days=days)),
        dates(),
        st.integers(0, 90),
    )


def policies() -> SearchStrategy[Policy]:
    """Policies that keep the promise, some of them only just: many an inequality holds with nothing to spare."""
    return _policies()


def _limits() -> SearchStrategy[tuple[Money, ...]]:
    return st.lists(money(min_minor=0), max_size=3, unique_by=lambda amount: amount.currency).map(tuple)


@st.composite
def _policies(draw: DrawFn) -> Policy:
    def span(least_s: int, most_s: int) -> timedelta:
        return timedelta(seconds=draw(st.integers(least_s, most_s)))

    def rising(count: int, most_s: int) -> list[timedelta]:
        return sorted(span(1, most_s) for _ in range(count))

    executes = span(2, 2 * 3600)
    answer_wait = span(2, int(executes.total_seconds()))
    completes, lag, skew, resend = span(1, 7200), span(1, 7200), span(1, 900), span(1, 30 * 3600)
    licence = span(1, int(answer_wait.total_seconds()) - 1)
    key_life = resend + executes + max(executes, licence + 2 * skew) + span(0, 7200)
    look_first, look_most, look_daily = rising(3, 2 * 86400)
    poll_first, poll_most = rising(2, 2 * 86400)
    watch_most, watch = rising(2, 90 * 86400)
    windows = maybe(st.integers(1, 400).map(lambda days: timedelta(days=days)))
    return Policy(
        as_of=draw(dates()),
        key_life=key_life,
        executes_within=executes,
        completes_within=completes,
        list_lag=lag,
        clock_skew=skew,
        gateway_caps=draw(COIN),
        licence=licence,
        answer_wait=answer_wait,
        resend_within=resend,
        end_after=key_life + completes + lag + 2 * skew + span(0, 7200),
        quote_valid=span(1, 86400),
        request_valid=span(1, 7 * 86400),
        look_first=look_first,
        look_most=look_most,
        look_daily=look_daily,
        poll_first=poll_first,
        poll_most=poll_most,
        watch=watch,
        watch_most=watch_most,
        second_person_from=draw(st.none() | _limits()),
        most_per_actor_a_day=draw(_limits()),
        most_a_day=draw(_limits()),
        ach_window=draw(windows),
        card_window=draw(windows),
        accept_unsettled_ach=draw(COIN),
        allow_fraudulent=draw(COIN),
        arrival_days=draw(
            st.tuples(st.integers(0, 10), st.integers(0, 10)).map(lambda days: (min(days), max(days)))
        ),
        funding=draw(st.sampled_from(FundingRule)),
    )


def balance_entries(*, currency: Currency | None = None) -> SearchStrategy[BalanceEntry]:
    """Balance transactions of every category, one that nobody knows among them; each adds up in itself."""
    return _balance_entries(in_currency(currency))


@st.composite
def _balance_entries(draw: DrawFn, currencies: SearchStrategy[Currency]) -> BalanceEntry:
    amount_minor = draw(st.integers(-MOST_CAPTURED_MINOR, MOST_CAPTURED_MINOR))
    fee_minor = draw(st.sampled_from([0, 0, 30, -30]) | up_to(MOST_CAPTURED_MINOR))
    created_s = draw(st.integers(1_700_000_000, 1_800_000_000))
    charge = draw(maybe(prefixed("ch_")))
    return BalanceEntry(
        id=draw(prefixed("txn_")),
        category=draw(st.sampled_from([*CATEGORIES, "not_known_yet"])),
        amount_minor=amount_minor,
        fee_minor=fee_minor,
        net_minor=amount_minor - fee_minor,
        currency=draw(currencies).code.lower(),
        created_s=created_s,
        available_s=created_s + draw(up_to(10 * 86_400)),
        about=draw(maybe(st.builds(About, id=prefixed("obj_"), charge=st.just(charge)))),
    )


def payout_statements(*, max_size: int = 5) -> SearchStrategy[PayoutStatement]:
    """Statements of payouts with up to `max_size` entries, some with a rest that nothing explains."""
    check_count(max_size, "max_size", 0, 100)
    return _payout_statements(max_size)


@st.composite
def _payout_statements(draw: DrawFn, max_size: int) -> PayoutStatement:
    payout = draw(payouts())
    entries = draw(
        st.lists(
            balance_entries(currency=payout.amount.currency), max_size=max_size, unique_by=lambda entry: entry.id
        )
    )
    if draw(COIN):  # nothing is left over
        net_minor = sum(entry.net_minor for entry in entries)
        payout = attrs.evolve(payout, amount=Money(net_minor, payout.amount.currency))
    return explain(payout, entries)
