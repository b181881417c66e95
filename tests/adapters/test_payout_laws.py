"""The memory source of payouts keeps the laws of its port."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from refund_adapters.memory import ManualClock, MemoryBank, MemoryPayouts
from refund_domain.answers import Missing, Unread
from refund_domain.money import Money
from refund_domain.operations.feeds import Window
from refund_domain.payouts.entries import EntryPage
from refund_domain.payouts.funds import Funds, Payout, PayoutStatus
from refund_domain.testing.laws import LawBroken, Report, name_of
from refund_domain.testing.laws_payouts import LAWS, Made, check_payouts
from tests.adapters.test_laws import MemoryLawBank


class LosesPages(MemoryPayouts):
    """The memory source, of which a page can be lost."""

    lost = 0

    def entries(
        self, account: str, payout: Payout, window: Window | None, after: str | None, /
    ) -> EntryPage | Unread:
        if self.lost:
            self.lost -= 1
            return Unread(why="the page was cut")
        return super().entries(account, payout, window, after)


class MemoryPayoutBank(MemoryLawBank):
    """The memory bank as the laws want it; it can stage all of them."""

    def __init__(self, bank: MemoryBank, clock: ManualClock, source: LosesPages) -> None:
        super().__init__(bank)
        self._clock, self._source = clock, source

    def ripen(self) -> None:
        self._clock.forward(timedelta(days=3))

    def pay_out(self, account: str) -> str:
        return self.inner.payouts.make(account, "USD")

    def pay_out_by_hand(self, account: str, amount: Money) -> str:
        return self.inner.payouts.make(account, "USD", amount)

    def reconcile(self, payout: str) -> None:
        self.inner.payouts.reconcile(payout)

    def move(self, payout: str, status: PayoutStatus) -> None:
        self.inner.payouts.move(payout, status.value)

    def lose(self) -> None:
        self._source.lost += 1


@pytest.mark.parametrize("page_size", [1, 10, 100])
def test_the_memory_source_keeps_every_law(page_size: int) -> None:
    """It keeps every law with pages of any size, and its bank can stage them all."""

    def make() -> Made:
        clock = ManualClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
        bank = MemoryBank(clock)
        source = LosesPages(bank, page_size=page_size)
        return source, MemoryPayoutBank(bank, clock, source)

    assert check_payouts(make) == Report(held=tuple(law.__name__ for law in LAWS))


class Silent(LosesPages):
    """A source of which one question is never answered."""

    asked = ""

    def funds(self, account: str, /) -> Funds | Unread:
        return Unread(why="silent") if self.asked == "funds" else super().funds(account)

    def payout(self, account: str, id: str, /) -> Payout | Missing | Unread:
        return Unread(why="silent") if self.asked == "payout" else super().payout(account, id)

    def entries(
        self, account: str, payout: Payout, window: Window | None, after: str | None, /
    ) -> EntryPage | Unread:
        return Unread(why="silent") if self.asked == "entries" else super().entries(account, payout, window, after)

    def holding(self, account: str, refund: str, /) -> Payout | Missing | Unread | None:
        return Unread(why="silent") if self.asked == "holding" else super().holding(account, refund)


class Live(LosesPages):
    """A source that says that real money moves."""

    @property
    def live(self) -> bool:
        return True


def made_of(kind: type[LosesPages], asked: str = "", lacks: tuple[str, ...] = ()) -> Made:
    """A bank and this kind of source over it."""
    clock = ManualClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
    bank = MemoryBank(clock)
    source = kind(bank)
    if isinstance(source, Silent):
        source.asked = asked
    staged = MemoryPayoutBank(bank, clock, source)
    staged.lacks = lacks
    return source, staged


@pytest.mark.parametrize("asked", ["funds", "payout", "entries", "holding"])
def test_a_source_that_does_not_answer_breaks_the_laws(asked: str) -> None:
    """Each question that is never answered is seen, and named as what could have been read or found."""
    with pytest.raises(LawBroken, match=r"could be (read|found)"):
        check_payouts(lambda: made_of(Silent, asked))


def test_the_laws_are_never_tried_on_live_money() -> None:
    """They make payouts: a source that says it is live is refused before anything is asked."""
    with pytest.raises(ValueError, match="live source"):
        check_payouts(lambda: made_of(Live))


def test_laws_can_be_chosen_and_lacking_ones_are_reported() -> None:
    """`only` tries some laws; what a bank cannot stage is told as lacking, not as held."""
    names = [name_of(law) for law in LAWS]
    report = check_payouts(lambda: made_of(LosesPages, lacks=(names[0],)), only=names[:2])
    assert (report.held, report.lacking) == ((names[1],), (names[0],))
