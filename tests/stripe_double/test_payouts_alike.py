"""A busy month at the bank, read at Stripe's face and in memory: the same payouts, statements and places."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import attrs
import pytest

from refund_adapters.memory import Course, ManualClock, MemoryBank, MemoryPayouts
from refund_adapters.stripe.payouts import StripePayouts
from refund_adapters.stripe.payouts_async import AsyncStripePayouts
from refund_domain.answers import Missing, Unread
from refund_domain.connect import PLATFORM
from refund_domain.money import Money
from refund_domain.payouts.funds import Funds, Payout, with_missed
from refund_domain.payouts.reading import PayoutReading, where_is
from refund_domain.payouts.reading_async import AsyncPayoutReading
from refund_domain.payouts.reading_async import where_is as where_is_async
from refund_domain.payouts.statement import PayoutStatement
from refund_domain.payouts.whereabouts import NotExplained
from tests.stripe_double.double import KEY, StripeDouble

SELLER = "acct_seller"
DAY = timedelta(days=1)


def usd(major: str) -> Money:
    """So many dollars."""
    return Money.parse(major, "USD")


@pytest.fixture
def refunds(bank: MemoryBank, clock: ManualClock) -> list[tuple[str, str]]:
    """A month in which everything happens that enters a balance; the refunds made, by account."""
    made: list[tuple[str, str]] = []
    disputes: list[str] = []
    for account in (PLATFORM, SELLER):
        bank.payouts.schedule(account, "USD", debits=account == SELLER)
    fee = usd("6.10")
    for day in range(24):
        card = bank.charge(usd("200.00"), fee=fee)
        direct = bank.charge(usd("100.00"), account=SELLER, fee=usd("3.20"), application_fee=usd("5.00"))
        if day % 3 == 0:
            made.append((PLATFORM, bank.elsewhere(card, usd("50.00"))))
            made.append((SELLER, bank.elsewhere(direct)))
        if day == 2:
            made.append((PLATFORM, bank.elsewhere(card, course=Course.succeeds_then_fails())))
            bank.charge(usd("80.00"), captured=usd("30.00"), fee=usd("1.17"))
            bank.charge(usd("60.00"), destination=SELLER, application_fee=usd("4.00"))
        if day == 4:
            disputes = [bank.dispute(card), bank.dispute(bank.charge(usd("70.00")))]
            ach = bank.charge(usd("90.00"), method="us_bank_account")
            made.append((PLATFORM, bank.elsewhere(ach)))
        if day == 9:
            for dispute, status in zip(disputes, ("won", "lost"), strict=True):
                bank.close_dispute(dispute, status)
            for payout in bank.payouts.listed(PLATFORM)[:1]:
                bank.payouts.move(payout.id, "failed", "account_closed")
        if day == 12:
            bank.fund(PLATFORM, usd("25.00"))
            big = bank.charge(usd("900.00"), account=SELLER, taken_at=clock() - 60 * DAY)
            made.append((SELLER, bank.elsewhere(big)))
        clock.forward(DAY)
    waiting = bank.charge(usd("10.00"))
    made.append((PLATFORM, bank.elsewhere(waiting)))
    assert bank.payouts.imbalance() == ()
    return made


@pytest.fixture
def source(double: StripeDouble) -> Iterator[StripePayouts]:
    """The source over the double."""
    source = StripePayouts(KEY, base_address=double.base_address)
    yield source
    source.close()


def plain(answer: PayoutStatement | NotExplained) -> PayoutStatement | NotExplained:
    """The statement without what only Stripe's objects say: the amount a client saw."""
    if isinstance(answer, NotExplained):
        return answer
    lines = (
        attrs.evolve(line, about=line.about and attrs.evolve(line.about, amount=None, rate=None))
        for line in answer.lines
    )
    return attrs.evolve(answer, lines=tuple(lines))


@pytest.mark.parametrize("account", [PLATFORM, SELLER])
def test_every_payout_is_explained_alike(
    bank: MemoryBank, source: StripePayouts, refunds: list[tuple[str, str]], account: str
) -> None:
    """Each payout of the month has the same totals and lines over the wire as in memory, and adds up."""
    memory, groups = MemoryPayouts(bank), set[str]()
    made = bank.payouts.listed(account)
    assert len(made) > 15
    for payout in made:
        shown = source.payout(account, payout.id)
        assert isinstance(shown, Payout)
        assert with_missed(shown, DAY) == memory.payout(account, payout.id)  # the bank knows its schedule
        answer = PayoutReading(source, account, payout.id, every=DAY).statement()
        assert plain(answer) == plain(PayoutReading(memory, account, payout.id).statement())
        if isinstance(answer, PayoutStatement):
            groups |= {str(total.group) for total in answer.totals}
    expected = {
        PLATFORM: {"payments", "fees", "refunds", "refund_failures", "disputes", "platform_fees", "transfers",
                   "top_ups", "failed_payouts"},
        SELLER: {"payments", "fees", "refunds"},
    }[account]  # fmt: skip
    assert expected <= groups
    assert groups.isdisjoint(["other", "unexplained"])


def test_every_refund_is_in_the_same_place(
    bank: MemoryBank, source: StripePayouts, refunds: list[tuple[str, str]]
) -> None:
    """Each refund is in the same payout or debit over the wire as in memory, or waits in both."""
    memory, kinds = MemoryPayouts(bank), set[str]()
    for account, refund in refunds:
        here, there = where_is(source, account, refund), where_is(memory, account, refund)
        assert str(here) == str(there), refund
        assert not isinstance(here, Missing)
        kinds.add(type(here).__name__)
    assert kinds == {"InPayout", "InDebit", "Waiting"}


@pytest.mark.parametrize("account", [PLATFORM, SELLER])
def test_funds_are_alike(
    bank: MemoryBank, source: StripePayouts, refunds: list[tuple[str, str]], account: str
) -> None:
    """The same payouts in progress and the same balances, in whatever order."""
    here, there = source.funds(account), MemoryPayouts(bank).funds(account)
    assert isinstance(here, Funds)
    assert isinstance(there, Funds)
    assert {attrs.evolve(payout, before_at=None) for payout in here.payouts} == {
        attrs.evolve(payout, before_at=None) for payout in there.payouts
    }
    assert len(here.payouts) > 1
    assert set(here.balances) == set(there.balances)


def test_the_twin_reads_alike(
    bank: MemoryBank, double: StripeDouble, source: StripePayouts, refunds: list[tuple[str, str]]
) -> None:
    """Awaited, the same answers come of the same calls."""
    payouts = [payout.id for payout in bank.payouts.listed(PLATFORM)][::4]
    asked = refunds[::3]

    async def main() -> list[object]:
        twin = AsyncStripePayouts(KEY, base_address=double.base_address)
        try:
            said: list[object] = [await twin.funds(PLATFORM)]
            said += [await AsyncPayoutReading(twin, PLATFORM, payout).statement() for payout in payouts]
            said += [await where_is_async(twin, account, refund) for account, refund in asked]
            return said
        finally:
            await twin.aclose()

    expected: list[object] = [source.funds(PLATFORM)]
    expected += [PayoutReading(source, PLATFORM, payout).statement() for payout in payouts]
    expected += [where_is(source, account, refund) for account, refund in asked]
    before = len(double.requests)
    assert asyncio.run(main()) == expected
    assert [request.path for request in double.requests[before:]] == [
        request.path for request in double.requests[:before]
    ]


def test_a_payout_made_by_hand_is_estimated_alike(
    bank: MemoryBank, source: StripePayouts, clock: ManualClock
) -> None:
    """By dates, in the payout's currency, and marked as an estimate."""
    back, *_ = [bank.charge(usd("200.00"), fee=usd("6.10")) for _ in range(3)]
    bank.charge(Money.parse("500", "JPY"))
    bank.elsewhere(back, usd("20.00"))
    clock.forward(3 * DAY)
    made = bank.payouts.make(PLATFORM, "USD", usd("400.00"))
    here = PayoutReading(source, PLATFORM, made, estimate=True).statement()
    assert isinstance(here, PayoutStatement)
    assert here.estimate
    assert plain(here) == plain(PayoutReading(MemoryPayouts(bank), PLATFORM, made, estimate=True).statement())
    assert isinstance(PayoutReading(source, PLATFORM, made).statement(), NotExplained)
    asked = source.payout(PLATFORM, made)
    assert isinstance(asked, Payout)
    assert isinstance(source.entries(PLATFORM, asked, None, None), Unread)
