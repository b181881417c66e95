"""Payouts of the bank, by hand and on a schedule, its balances and what moved them: `MemoryBank.payouts`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from refund_adapters.memory import _postings, _schedules
from refund_adapters.memory.payout import ARRIVES, EDGES, Paid, Payout, pay_out, reconcile, ripe, step
from refund_adapters.memory.rows import Row, rows_of
from refund_domain._checks import check_id, check_span, check_type
from refund_domain.money import Currency, Money

if TYPE_CHECKING:
    from refund_adapters.memory._books import Books
    from refund_adapters.memory.bank import Turn

_DAY: Final = timedelta(days=1)
_LEAST: Final = timedelta(seconds=1)


class Payouts:
    """The payouts, balance and balance transactions of one bank.

    >>> from datetime import datetime, timezone
    >>> from refund_adapters.memory import ManualClock, MemoryBank
    >>> clock = ManualClock(datetime(2026, 3, 2, 9, tzinfo=timezone.utc))
    >>> bank = MemoryBank(clock)
    >>> sold = bank.charge(Money.parse("500.00", "USD"))
    >>> back = bank.charge(Money.parse("200.00", "USD"), taken_at=clock() - timedelta(days=30))
    >>> reply = bank.refund(back.account, back.charge, 20_000, key="k1")
    >>> bank.payouts.schedule("platform", "USD")
    >>> clock.forward(timedelta(days=4))
    >>> [(str(payout.amount), payout.status) for payout in bank.payouts.listed("platform")]
    [('500.00 USD', 'paid')]
    """

    def __init__(self, turn: Turn) -> None:
        self._turn = turn

    # -- by hand ----------------------------------------------------------------------------------------------

    def make(self, account: str, currency: str, amount: Money | None = None) -> str:
        """A payout now; its id. Without `amount` it is automatic: all that is available and in no payout yet.

        A negative sum is taken from the bank account. Refuses (ValueError) a sum of nothing.
        """
        check_id(account, "account")
        kind = Currency.of(currency)
        if amount is not None:
            check_type(amount, Money, "amount")
        with self._turn as books:
            rows = None if amount is not None else ripe(books, account, kind)
            total = Money(sum(row.net for row in rows or ()), kind) if amount is None else amount
            if not total.amount_minor or total.currency != kind:
                raise ValueError("a payout is of something, in the currency it is made in")
            return pay_out(books, account, total, rows)

    def move(self, payout_id: str, status: str, failure_code: str | None = None) -> None:
        """It is now in_transit, paid, failed or canceled; ValueError for an unknown id or a step that is none.

        What fails or is canceled gives its money back to the balance, and the next automatic one takes it. One
        made on a schedule goes no further by itself then.
        """
        with self._turn as books:
            payout = _held(books, payout_id)
            if status not in EDGES[payout.status]:
                raise ValueError(f"a payout that is {payout.status} cannot become {status}")
            step(books, payout, status, failure_code)

    def reconcile(self, payout_id: str) -> None:
        """From now on it says what is in it; ValueError for one made by hand, which never does."""
        with self._turn as books:
            payout = _held(books, payout_id)
            if not payout.automatic:
                raise ValueError("only an automatic payout can be itemised")
            reconcile(books, payout)

    # -- on a schedule ----------------------------------------------------------------------------------------

    def schedule(
        self,
        account: str,
        currency: str,
        every: timedelta = _DAY,
        *,
        arrives: timedelta = ARRIVES,
        debits: bool = False,
    ) -> None:
        """From now on, each time `every` has passed, all that is available and in no payout yet is paid out.

        Such a payout is pending, in transit half way, `arrives` after it was made paid, and reconciled. Nothing
        makes no payout. Less than nothing makes none either, and the next ones begin with it; with `debits` it is
        taken from the bank account by a negative payout. A new schedule takes the place of the old one.

        The balance is the real one from now on, what its rows say is available: a refund that it does not cover
        waits (a card's) or fails, and goes on as soon as there is enough; until then nothing is paid out, so that
        the refund comes before the payout (that Stripe does so is not established). Smaller ones that are covered
        go before it, also those that come later. With `debits` refunds draw
        on it below zero, for the bank account pays. `MemoryBank.fund` is a top-up from the bank account here.

        Refuses (ValueError) a balance that `MemoryBank.drain` counts by hand, and spans that are none.
        """
        check_id(account, "account")
        check_span(every, "every", _LEAST)
        check_span(arrives, "arrives")
        purse = account, Currency.of(currency).code
        with self._turn as books:
            if purse in books.balances:
                raise ValueError("this balance is counted by hand since `drain`: schedule it without")
            _schedules.begin(books, purse, every, arrives, debits)

    def unschedule(self, account: str, currency: str) -> None:
        """No more payouts by themselves; those on their way go on, and the balance stays what its rows say."""
        purse = account, Currency.of(currency).code
        with self._turn as books:
            if purse not in books.schedules:
                raise ValueError("this balance is paid out on no schedule")
            _schedules.begin(books, purse, None, ARRIVES, debits=False)

    # -- what one may ask -------------------------------------------------------------------------------------

    def find(self, account: str, payout_id: str) -> Payout | None:
        """One payout; None if this account has none of this id."""
        with self._turn as books:
            payout = _found(books, account, payout_id)
            return None if payout is None else payout.shown()

    def listed(self, account: str) -> tuple[Payout, ...]:
        """Every payout of the account, the newest first; of those on their way `in_progress` is true."""
        with self._turn as books:
            return tuple(p.shown() for p in reversed(books.payouts.values()) if p.account == account)

    def rows(self, account: str) -> tuple[Row, ...]:
        """Every balance transaction of the account, oldest first."""
        with self._turn as books:
            return tuple(rows_of(books, account))

    def rows_in(self, account: str, payout_id: str) -> tuple[Row, ...]:
        """The truth: what is in this payout of the account, oldest first, told by the gateway yet or not.

        Its own row is left out, so the nets add up to its amount; empty for one made by hand, and for none.
        """
        with self._turn as books:
            payout = _found(books, account, payout_id)
            held = frozenset(() if payout is None else payout.rows)
            return tuple(row for row in rows_of(books, account) if row.id in held) if held else ()

    def rows_about(self, account: str, source_id: str) -> tuple[Row, ...]:
        """The rows of one refund, charge or dispute, oldest first: a refund's second is its money coming back."""
        with self._turn as books:
            return tuple(row for row in rows_of(books, account) if row.source == source_id)

    def holding(self, account: str, row_id: str) -> Payout | None:
        """The automatic payout that this row is in; None while it is in none."""
        with self._turn as books:
            found = (p for p in books.payouts.values() if p.account == account and row_id in p.rows)
            return next((payout.shown() for payout in found), None)

    def balance(self, account: str, currency: str) -> tuple[Money, Money]:
        """What is available and what is pending, by the rows; a counted balance (`drain`) is the available one."""
        kind = Currency.of(currency)
        with self._turn as books:
            return _balance(books, account, kind, rows_of(books, account))

    def balances(self, account: str) -> tuple[tuple[Money, Money], ...]:
        """What is available and what is pending in every currency that ever moved there, by its code."""
        with self._turn as books:
            rows = rows_of(books, account)
            codes = sorted({row.currency for row in rows})
            return tuple(_balance(books, account, Currency.of(code), rows) for code in codes)

    def imbalance(self) -> tuple[str, ...]:
        """What does not add up, a sentence each; empty when every cent is accounted for.

        All that ever moved is written down again from the charges, refunds, disputes, transfers, fees and payouts,
        each movement at both its ends, and held against the rows: record by record, and payout by payout.
        """
        with self._turn as books:
            return tuple(_postings.imbalance(books))


def _held(books: Books, payout_id: str) -> Paid:
    payout = books.payouts.get(payout_id)
    if payout is None:
        raise ValueError("the bank knows no such payout")
    return payout


def _found(books: Books, account: str, payout_id: str) -> Paid | None:
    payout = books.payouts.get(payout_id)
    return payout if payout is not None and payout.account == account else None


def _balance(books: Books, account: str, kind: Currency, rows: list[Row]) -> tuple[Money, Money]:
    ours = [row for row in rows if row.currency == kind.code]
    available = books.balances.get((account, kind.code))
    if available is None:
        available = sum(row.net for row in ours if row.available_at <= books.now)
    pending = sum(row.net for row in ours if row.available_at > books.now)
    return Money(available, kind), Money(pending, kind)
