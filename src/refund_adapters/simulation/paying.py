"""Worlds whose balances are paid out on a schedule: what is drawn, what happens there, and what must hold.

Refunds meet balances that were paid out this morning, payouts fail, disputes leave less than nothing. Whatever
happens, every cent is accounted for: that is judged in every world at its end, here after each payout, too.
"""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Final

import attrs

from refund_adapters.memory.news import News
from refund_adapters.memory.payout import EDGES
from refund_adapters.simulation.scenario import USD, Scenario, Scheduled
from refund_domain.money import Money
from refund_domain.payments import PLATFORM

if TYPE_CHECKING:
    from refund_adapters.simulation.world import World

KINDS: Final = ("sale", "sale", "sale", "payout fails", "payout fails", "payout canceled")
"""What others do here beside all the rest."""

_HOUR: Final = 3_600
_DAY: Final = 24 * _HOUR
_LONG: Final = timedelta(days=30)


def draw_paying(scenario: Scenario, destination: str, rng: Random) -> Scenario:
    """Which balances are paid out, how often, what was in them before; and how often something befalls them."""
    accounts = sorted({taken.account for taken in scenario.payments} | {PLATFORM, destination})
    scheduled = tuple(
        Scheduled(
            account=account,
            every_s=rng.choice((_HOUR, 6 * _HOUR, _DAY, _DAY, 3 * _DAY)),
            arrives_s=rng.choice((0, 2 * _HOUR, _DAY, 2 * _DAY)),
            debits=rng.random() < 0.35,
            stock_minor=rng.choice((0, 0, 4_000, 100_000)),
        )
        for account in accounts
        if rng.random() < 0.85
    )
    rates = attrs.evolve(scenario.rates, pay=rng.uniform(0.01, 0.06) if scheduled else 0)
    return attrs.evolve(scenario, scheduled=scheduled, drained=False, rates=rates)


def begin(world: World) -> None:
    """What was sold long ago is in the balances, and from now on they are paid out."""
    for each in world.scenario.scheduled:
        if each.stock_minor:
            stock = Money(each.stock_minor, USD)
            world.bank.charge(stock, account=each.account, taken_at=world.now - _LONG)
        world.bank.payouts.schedule(
            each.account,
            USD.code,
            timedelta(seconds=each.every_s),
            arrives=timedelta(seconds=each.arrives_s),
            debits=each.debits,
        )


def act(world: World, kind: str, arg: int) -> None:
    """Somebody buys something else, or the bank refuses a payout; ValueError where there is none to refuse."""
    bank, scheduled = world.bank, world.scenario.scheduled
    if kind not in KINDS:
        raise KeyError(kind)
    if not scheduled:
        raise ValueError("nothing is paid out here")
    account = scheduled[arg % len(scheduled)].account
    if kind == "sale":
        amount = Money(100 + arg % 20_000, USD)
        bank.charge(amount, account=account, fee=Money(arg % 50, USD))
        return
    ends = kind.removeprefix("payout ").replace("fails", "failed")
    able = [payout for payout in bank.payouts.listed(account) if ends in EDGES[payout.status]][:3]
    if not able:
        raise ValueError(f"no payout can be {ends} now")
    bank.payouts.move(able[(arg >> 4) % len(able)].id, ends, "account_closed")


def stop(world: World) -> None:
    """No more payouts; those on their way arrive."""
    for each in world.scenario.scheduled:
        world.bank.payouts.unschedule(each.account, USD.code)


def served(world: World) -> None:
    """With money enough in every balance nobody waits for any."""
    scheduled = {each.account for each in world.scenario.scheduled}
    for ref in world.payments:
        for refund in world.bank.refunds(ref) if ref.account in scheduled else ():
            if refund.pending_reason == "insufficient_funds":
                world.checker.broken("unserved", f"{refund.id} waits for money, and it is there")


def balanced(world: World) -> None:
    """Every cent is accounted for."""
    for astray in world.bank.payouts.imbalance():
        world.checker.broken("unbalanced", astray)


class Paying:
    """What the invariants know of payouts, and what they count of them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._heard = 0
        self._waiting: set[str] = set()
        self._debited = {each.account for each in world.scenario.scheduled if each.debits}

    def moved(self) -> None:
        """The bank may have paid out something, or a refund may wait for money, or have waited long enough."""
        news = self._world.bank.news(self._heard)
        self._heard += len(news)
        for each in news:
            if each.type.startswith("payout."):
                self._payout(each)
            elif each.type.startswith("refund."):
                self._refund(each)
        if any(each.type.startswith("payout.") for each in news):
            balanced(self._world)

    def _payout(self, news: News) -> None:
        world, payouts = self._world, self._world.bank.payouts
        world.count(news.type)
        payout = payouts.find(news.account, news.object_id)
        if news.type != "payout.created" or payout is None:
            return
        if payout.amount.amount_minor < 0:
            world.count("payout from the bank account")
            if payout.account not in self._debited:
                world.checker.broken("debited", f"{payout.id} of {payout.amount} debits {payout.account}")
        running = least = 0
        for row in sorted(payouts.rows_in(payout.account, payout.id), key=lambda row: row.available_at):
            running += row.net
            least = min(least, running)
        if least < 0 < payout.amount.amount_minor:
            world.count("payout after less than nothing")
        if any(row.category == "refund" for row in payouts.rows_in(payout.account, payout.id)):
            world.count("payout with a refund in it")
        if any(row.category == "payout_reversal" for row in payouts.rows_in(payout.account, payout.id)):
            world.count("payout of a failed one's money")

    def _refund(self, news: News) -> None:
        refund = self._world.bank.find(news.account, news.object_id)
        if refund is None:
            return
        if refund.pending_reason == "insufficient_funds":
            self._waiting.add(refund.id)
            self._world.count("refund waits for money")
        elif refund.id in self._waiting:
            self._waiting.remove(refund.id)
            self._world.count(f"refund waited, then {refund.status}")
        elif refund.failure_reason == "insufficient_funds":
            self._world.count("refund failed for want of money")
