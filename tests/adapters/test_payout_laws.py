"""The memory source of payouts keeps the laws of its port."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from refund_adapters.memory import ManualClock, MemoryBank, MemoryPayouts
from refund_domain.answers import Unread
from refund_domain.money import Money
from refund_domain.operations.feeds import Window
from refund_domain.payouts.entries import EntryPage
from refund_domain.payouts.funds import Payout, PayoutStatus
from refund_domain.testing.laws import Report
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
