"""Balances that are paid out on a schedule: what they hold, who waits for it, when the next payout is made.

Such a balance is never counted beside its rows: it is what they say is available. All that happens by itself is on
the books' agenda and takes the books as argument, so that a copy of them goes on by itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import attrs

from refund_adapters.memory.payout import EDGES, Topup, pay_out, reconcile, ripe, step
from refund_adapters.memory.rows import rows_of
from refund_domain.money import Currency, Money

if TYPE_CHECKING:
    from refund_adapters.memory._books import Books

Purse = tuple[str, str]
"""An account and the code of a currency."""


@attrs.frozen(kw_only=True)
class Schedule:
    """How often a balance is paid out (`every` None: no more), how long that takes, whether below zero it is taken
    from the bank account. `number` tells it from the one it took the place of."""

    every: timedelta | None
    arrives: timedelta
    debits: bool
    number: int


def begin(books: Books, purse: Purse, every: timedelta | None, arrives: timedelta, debits: bool) -> None:
    """From now on this balance is paid out so; what an earlier schedule had in store is off."""
    number = books.number("schedule")
    books.schedules[purse] = Schedule(every=every, arrives=arrives, debits=debits, number=number)
    if every is not None:
        books.later(every, partial(_run, purse=purse, number=number))
    serve(books, purse)


def _run(books: Books, purse: Purse, number: int) -> None:
    """One payout is due, unless this schedule is no longer the one that stands."""
    schedule = books.schedules[purse]
    if schedule.number != number or schedule.every is None:
        return
    serve(books, purse)
    if purse not in books.unfunded:  # who waits for money comes before the payout
        _pay_out(books, purse, schedule)
    books.later(schedule.every, partial(_run, purse=purse, number=number))


def _pay_out(books: Books, purse: Purse, schedule: Schedule) -> None:
    account, code = purse
    currency = Currency.of(code)
    rows = ripe(books, account, currency)
    total = sum(row.net for row in rows)
    if total > 0 or (total < 0 and schedule.debits):
        number = pay_out(books, account, Money(total, currency), rows, schedule.arrives)
        books.later(schedule.arrives / 2, partial(_set_out, payout_id=number))
        books.later(schedule.arrives, partial(_arrive, payout_id=number))


def _set_out(books: Books, payout_id: str) -> None:
    payout = books.payouts[payout_id]
    if payout.status == "pending":
        step(books, payout, "in_transit")


def _arrive(books: Books, payout_id: str) -> None:
    """It is paid and tells what is in it, unless it has ended meanwhile."""
    payout = books.payouts[payout_id]
    if "paid" in EDGES[payout.status]:
        step(books, payout, "paid")
    if payout.status == "paid" and not payout.reconciled:
        reconcile(books, payout)


def available(books: Books, purse: Purse) -> int:
    """What the rows say is there to be drawn on now, less than nothing at times."""
    account, code = purse
    rows = rows_of(books, account)
    return sum(row.net for row in rows if row.currency == code and row.available_at <= books.now)


def serve(books: Books, purse: Purse) -> None:
    """Let those that wait go on as far as the money reaches, the oldest first; the rest try again in time."""
    left = []
    for refund in books.unfunded.pop(purse, ()):
        if not refund.waits_for("insufficient_funds"):
            continue
        if books.covers(purse, refund.minor):
            books.enter(refund)
        else:
            left.append(refund)
    if left:
        books.unfunded[purse] = left
        wait(books, purse)


def serve_all(books: Books) -> None:
    """Something has been paid: whoever waits for it tries again, or learns when to."""
    for purse in list(books.unfunded):
        if purse in books.schedules:
            serve(books, purse)


def wait(books: Books, purse: Purse) -> None:
    """Somebody waits here: look again when the next row becomes available."""
    account, code = purse
    ahead = [row.available_at for row in rows_of(books, account) if row.currency == code]
    at = min((at for at in ahead if at > books.now), default=None)
    planned = books.wakes.get(purse)
    if at is not None and (planned is None or at < planned):
        books.wakes[purse] = at
        books.later(at - books.now, partial(_wake, purse=purse, at=at))


def _wake(books: Books, purse: Purse, at: datetime) -> None:
    if books.wakes.get(purse) == at:
        del books.wakes[purse]
    serve(books, purse)


def fund(books: Books, account: str, amount: Money) -> None:
    """Put so much into this balance: where it is what its rows say, by a top-up from the bank account."""
    purse = account, amount.currency.code
    if purse in books.schedules:
        books.topups.append(Topup(f"tu_{books.number('tu')}", account, amount, books.now))
    books.give(purse, amount.amount_minor)
