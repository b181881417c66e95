"""What the merchant's account pays out in the story: one payout in progress, and what was in it once it is paid.

The sale in it stands in for the rest of the office's business; the refunds in it are those that the bank made.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from refund_adapters.memory import ManualClock, MemoryBank
from refund_domain import Money, PaymentRef
from refund_domain.answers import Missing, Unread
from refund_domain.operations.feeds import Window
from refund_domain.payouts.entries import About, BalanceEntry, EntryPage
from refund_domain.payouts.funds import Funds, Payout, PayoutStatus

PAYOUT: Final = "po_7"
_ARRIVES: Final = date(2026, 11, 4)
_SALE: Final = About(id="ch_sale", charge="ch_sale")
_SOLD_MINOR: Final = 515_00
_FEE_MINOR: Final = 15_00


class OfficePayouts:
    """A `PayoutSource` over the story's bank: payout `PAYOUT`, of a sale and of the refunds of one payment."""

    live = False

    def __init__(self, bank: MemoryBank, clock: ManualClock, refunded: PaymentRef, amount: Money) -> None:
        self._bank, self._clock, self._refunded, self._amount = bank, clock, refunded, amount

    def funds(self, account: str, /) -> Funds | Unread:
        """The payout, while it is in progress."""
        if account != self._refunded.account or self._clock().date() > _ARRIVES:
            return Funds()
        return Funds(payouts=(self._payout(PayoutStatus.IN_TRANSIT),))

    def payout(self, account: str, id: str, /) -> Payout | Missing | Unread:
        """The payout, paid."""
        known = account == self._refunded.account and id == PAYOUT
        return self._payout(PayoutStatus.PAID) if known else Missing()

    def entries(
        self, account: str, payout: Payout, window: Window | None, after: str | None, /
    ) -> EntryPage | Unread:
        """All there is, on one page."""
        return EntryPage(entries=self._entries())

    def holding(self, account: str, refund: str, /) -> Payout | Missing | Unread | None:
        """The story does not ask."""
        return Missing()

    def _payout(self, status: PayoutStatus) -> Payout:
        total = Money(sum(entry.net_minor for entry in self._entries()), self._amount.currency)
        return Payout(id=PAYOUT, amount=total, arrives_on=_ARRIVES, status=status, reconciled=True)

    def _entries(self) -> tuple[BalanceEntry, ...]:
        sold = self._entry("txn_sale", "charge", _SOLD_MINOR, _FEE_MINOR, _SALE)
        charge = self._refunded.charge
        back = [
            self._entry(f"txn_{number}", "refund", -self._amount.amount_minor, 0, About(id=charge, charge=charge))
            for number in range(self._bank.made(self._refunded))
        ]
        return (*back, sold)

    def _entry(self, id: str, category: str, amount_minor: int, fee_minor: int, about: About) -> BalanceEntry:
        at_s = int(self._clock().timestamp())
        return BalanceEntry(
            id=id,
            category=category,
            amount_minor=amount_minor,
            fee_minor=fee_minor,
            net_minor=amount_minor - fee_minor,
            currency=self._amount.currency.code.lower(),
            created_s=at_s,
            available_s=at_s,
            about=about,
        )
