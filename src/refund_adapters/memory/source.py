"""What a bank in memory holds and pays out, behind the port: `MemoryPayouts`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from refund_adapters.memory.rows import Row
from refund_domain._checks import check_count, check_id, check_type
from refund_domain.answers import Missing, Unread
from refund_domain.money import Currency, Money
from refund_domain.operations.feeds import Window
from refund_domain.payouts.entries import OWN, About, BalanceEntry, EntryPage
from refund_domain.payouts.funds import Balance, Funds, Payout, PayoutStatus, with_missed

if TYPE_CHECKING:
    from refund_adapters.memory._books import Books
    from refund_adapters.memory.bank import MemoryBank

_PAGE_MOST: Final = 100


class MemoryPayouts:
    """A `PayoutSource` over a `MemoryBank`. `page_size` is how many entries a page holds, 100 at most as Stripe's.

    The account's balance is told in each currency it ever had an entry in.

    >>> from datetime import UTC, timedelta
    >>> from refund_adapters.memory import ManualClock, MemoryBank
    >>> clock = ManualClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
    >>> bank = MemoryBank(clock)
    >>> sold = bank.charge(Money.parse("500.00", "USD"))
    >>> clock.forward(timedelta(days=2))
    >>> paid = bank.payouts.make("platform", "USD")
    >>> str(MemoryPayouts(bank).funds("platform").payouts[0].amount)
    '500.00 USD'
    """

    def __init__(self, bank: MemoryBank, *, page_size: int = _PAGE_MOST) -> None:
        check_count(page_size, "page_size", 1, _PAGE_MOST)
        self._bank = bank
        self._page_size = page_size

    @property
    def live(self) -> bool:
        """Never: nothing here is real money."""
        return False

    def funds(self, account: str, /) -> Funds | Unread:
        """The account's payouts in progress, and its balances."""
        check_id(account, "account")
        made = self._made(account)
        balances = self._bank.payouts.balances(account)
        return Funds(
            payouts=tuple(payout for payout in made if payout.in_progress),
            balances=tuple(Balance(available=available, pending=pending) for available, pending in balances),
        )

    def payout(self, account: str, id: str, /) -> Payout | Missing | Unread:
        """One payout, with when the automatic one of its currency before it was made."""
        check_id(account, "account")
        check_id(id, "id")
        return next((payout for payout in self._made(account) if payout.id == id), Missing())

    def _made(self, account: str) -> list[Payout]:
        """The account's payouts as the port shows them, the oldest first."""
        shown: list[Payout] = []
        before: dict[Currency, datetime] = {}
        with self._bank.turn as books:
            schedules = dict(books.schedules)
        for made in reversed(self._bank.payouts.listed(account)):
            payout = Payout(
                id=made.id,
                amount=made.amount,
                arrives_on=made.arrives_at.date(),
                status=PayoutStatus(made.status),
                automatic=made.automatic,
                reconciled=made.reconciliation == "completed",
                created_at=made.made_at,
                before_at=before.get(made.amount.currency),
                failure=made.failure_code,
            )
            schedule = schedules.get((account, made.amount.currency.code))
            every = None if schedule is None else schedule.every
            shown.append(payout if every is None else with_missed(payout, every))
            if made.automatic:
                before[made.amount.currency] = made.made_at
        return shown

    def entries(
        self, account: str, payout: Payout, window: Window | None, after: str | None, /
    ) -> EntryPage | Unread:
        """One page of the payout's entries, or of the account's within the window, the newest first."""
        check_id(account, "account")
        check_type(payout, Payout, "payout")
        if window is not None:
            code = payout.amount.currency.code
            rows = [row for row in self._bank.payouts.rows(account) if row.currency == code and row.at in window]
        else:
            made = self._bank.payouts.find(account, payout.id)
            if made is None or made.reconciliation != "completed":
                return Unread(why="payout_reconciliation_not_ready")
            rows = [
                *self._bank.payouts.rows_in(account, payout.id),
                *(row for row in self._bank.payouts.rows_about(account, payout.id) if row.category == OWN),
            ]
        return self._page(account, rows[::-1], after)

    def _page(self, account: str, rows: list[Row], after: str | None) -> EntryPage | Unread:
        """The page behind this entry of these, which are newest first."""
        first = 0
        if after is not None:
            places = [place for place, row in enumerate(rows) if row.id == after]
            if not places:
                return Unread(why="resource_missing")
            first = places[0] + 1
        page = rows[first : first + self._page_size]
        more = len(rows) > first + len(page)
        with self._bank.turn as books:
            entries = tuple(_entry(books, account, row) for row in page)
        return EntryPage(entries=entries, after=page[-1].id if more else None)

    def holding(self, account: str, refund: str, /) -> Payout | Missing | Unread | None:
        """The automatic payout that this refund's own entry is in, once it is reconciled: as at Stripe."""
        check_id(account, "account")
        check_id(refund, "refund")
        with self._bank.turn as books:
            found = books.refunds.get(refund)
            if found is None or found.charge.ref.account != account:
                return Missing()
        holding = self._bank.payouts.holding(account, f"txn_{refund}")
        if holding is None or holding.reconciliation != "completed":
            return None
        return self.payout(account, holding.id)


def _entry(books: Books, account: str, row: Row) -> BalanceEntry:
    return BalanceEntry(
        id=row.id,
        category=row.category,
        amount_minor=row.amount,
        fee_minor=row.fee,
        net_minor=row.net,
        currency=row.currency.lower(),
        created_s=int(row.at.timestamp()),
        available_s=int(row.available_at.timestamp()),
        about=_about(books, account, row),
    )


def _about(books: Books, account: str, row: Row) -> About:
    """What the row is about: the charge, the refund of one, the dispute of one, or something else by its id."""
    amount = Money(abs(row.amount), Currency.of(row.currency))
    if (account, row.source) in books.charges:
        return About(id=row.source, charge=row.source, amount=amount)
    refund = books.refunds.get(row.source)
    if refund is not None:
        return About(id=row.source, charge=refund.charge.ref.charge, mark=refund.mark, amount=amount)
    disputed = books.disputes.get(row.source)
    if disputed is not None:
        return About(id=row.source, charge=disputed.charge.ref.charge, amount=amount)
    return About(id=row.source)
