"""All money that ever moved, written down at both its ends, and held against what the balances' rows say of it.

The postings are made from the records themselves and never from a row: a row with a wrong sign, one too many and
one that is missing all show as a record that moved something else than its rows tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from refund_adapters.memory.course import ENDED
from refund_adapters.memory.rows import DISPUTE_FEE_MINOR, Row, direct_of, rows_of
from refund_domain.payments import PLATFORM, PaymentStatus

if TYPE_CHECKING:
    from refund_adapters.memory._books import Books
    from refund_adapters.memory._records import Charge
    from refund_adapters.memory._shares import Fee, Moved
    from refund_adapters.memory.payout import Paid

CLIENTS: Final = "clients"
PROCESSOR: Final = "processor"
BALANCE: Final = "balance"
BANK: Final = "bank account"


class Posting(NamedTuple):
    """What one place got (or gave: less than nothing) of one movement; `of` is the record that a row there names.

    `account` is whose balance or bank account it is, "" for clients and the processor, who are not told apart.
    """

    place: str
    account: str
    of: str
    minor: int


class Movement(NamedTuple):
    """One movement of money: its postings add up to nothing, or it came from nowhere."""

    currency: str
    postings: tuple[Posting, ...]


def movements(books: Books) -> Iterator[Movement]:
    """Every movement there ever was."""
    for charge in books.charges.values():
        if charge.captured_minor and charge.status is PaymentStatus.SUCCEEDED:
            yield _paid_in(charge)
        yield from _refunds(charge)
    yield from _disputes(books)
    for moved in books.transfers.values():
        yield from _transfer(moved)
    for fee in books.fees.values():
        yield from _fee(books, fee)
    for payout in books.payouts.values():
        yield from _payout(payout)
    for topup in books.topups:
        number, account, amount, _ = topup
        postings = _between(BANK, account, BALANCE, account, number, amount.amount_minor)
        yield Movement(amount.currency.code, postings)


def _between(
    giver: str, from_account: str, taker: str, to_account: str, of: str, minor: int
) -> tuple[Posting, ...]:
    return Posting(giver, from_account, of, -minor), Posting(taker, to_account, of, minor)


def _paid_in(charge: Charge) -> Movement:
    account, number = charge.ref.account, charge.ref.charge
    kept = 0 if charge.fee is None else charge.fee.amount_minor
    return Movement(
        charge.amount.currency.code,
        (
            Posting(CLIENTS, "", number, -charge.captured_minor),
            Posting(PROCESSOR, "", number, kept),
            Posting(BALANCE, account, number, charge.captured_minor - kept),
        ),
    )


def _refunds(charge: Charge) -> Iterator[Movement]:
    """A refund that is paid has left; one that was paid and has ended came back."""
    account, currency = charge.purse
    for refund in charge.refunds:
        if refund.paid_at is not None:
            yield Movement(currency, _between(BALANCE, account, CLIENTS, "", refund.id, refund.minor))
            if refund.status in ENDED:
                yield Movement(currency, _between(CLIENTS, "", BALANCE, account, refund.id, refund.minor))


def _disputes(books: Books) -> Iterator[Movement]:
    for number, disputed in books.disputes.items():
        if disputed.takes:
            account, currency = disputed.charge.purse
            minor = disputed.value.amount.amount_minor
            yield Movement(
                currency,
                (
                    Posting(CLIENTS, "", number, minor),
                    Posting(PROCESSOR, "", number, DISPUTE_FEE_MINOR),
                    Posting(BALANCE, account, number, -minor - DISPUTE_FEE_MINOR),
                ),
            )
            if disputed.value.status == "won":
                yield Movement(currency, _between(CLIENTS, "", BALANCE, account, number, minor))


def _transfer(moved: Moved) -> Iterator[Movement]:
    currency, there = moved.currency.code, moved.destination
    yield Movement(currency, _between(BALANCE, PLATFORM, BALANCE, there, moved.id, moved.minor))
    for back in moved.back:
        yield Movement(currency, _between(BALANCE, there, BALANCE, PLATFORM, back.id, back.minor))


def _fee(books: Books, fee: Fee) -> Iterator[Movement]:
    """A direct charge's is paid with the charge, in the charge's own row."""
    currency, direct = fee.currency.code, direct_of(books, fee)
    if direct is None or direct.status is PaymentStatus.SUCCEEDED:
        payer = Posting(BALANCE, fee.account, fee.id if direct is None else fee.charge, -fee.minor)
        yield Movement(currency, (payer, Posting(BALANCE, PLATFORM, fee.id, fee.minor)))
    for back in fee.back:
        yield Movement(currency, _between(BALANCE, PLATFORM, BALANCE, fee.account, back.id, back.minor))


def _payout(payout: Paid) -> Iterator[Movement]:
    minor, currency, account = payout.amount.amount_minor, payout.amount.currency.code, payout.account
    yield Movement(currency, _between(BALANCE, account, BANK, account, payout.id, minor))
    if payout.status in ("failed", "canceled"):
        yield Movement(currency, _between(BANK, account, BALANCE, account, payout.id, minor))


def imbalance(books: Books) -> Iterator[str]:
    """What does not add up, a sentence each."""
    moved: Counter[tuple[str, str, str]] = Counter()
    for currency, postings in movements(books):
        astray = sum(posting.minor for posting in postings)
        if astray:
            yield f"{postings[0].of}: {astray} {currency} came from nowhere"
        for place, account, of, minor in postings:
            if place == BALANCE:
                moved[account, currency, of] += minor
    accounts = sorted({account for account, _, _ in moved} | {account for account, _ in books.charges})
    rows = {account: rows_of(books, account) for account in accounts}
    told: Counter[tuple[str, str, str]] = Counter()
    for account in accounts:
        for row in rows[account]:
            told[account, row.currency, row.source] += row.net
    for account, currency, of in sorted(moved.keys() | told.keys()):
        was, said = moved[account, currency, of], told[account, currency, of]
        if was != said:
            yield f"{account}: {of} moved {was} {currency}, and its rows say {said}"
    for account in accounts:
        yield from _payouts_astray(books, account, rows[account])


def _payouts_astray(books: Books, account: str, rows: list[Row]) -> Iterator[str]:
    """Each row is in one automatic payout at most, once available; each such payout is of what is in it."""
    by_id = {row.id: row for row in rows}
    if len(by_id) != len(rows):
        yield f"{account}: two rows bear one id"
    held: dict[str, str] = {}
    for payout in books.payouts.values():
        if payout.account != account or not payout.automatic:
            continue
        inside = [by_id[name] for name in payout.rows if name in by_id]
        if len(inside) != len(payout.rows):
            yield f"{payout.id} holds a row that {account} does not have"
        for row in inside:
            if row.id in held:
                yield f"{row.id} is in {held[row.id]} and in {payout.id}"
            held[row.id] = payout.id
            if row.currency != payout.amount.currency.code or row.available_at > payout.made_at:
                yield f"{row.id} is in {payout.id}, and was not there to be paid out in its currency"
        total = sum(row.net for row in inside)
        if total != payout.amount.amount_minor:
            yield f"{payout.id} is of {payout.amount.amount_minor}, and what is in it comes to {total}"
