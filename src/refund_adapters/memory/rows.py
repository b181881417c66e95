"""Balance transactions: what entered and left each account's balance, drawn from the bank's records when asked.

Words and signs after docs/explanation/stripe-facts.md, "Funds, payouts, fees": `net = amount - fee`, refunds are
negative, and `category` (Stripe's reporting_category) tells what a row is. How a destination charge's rows look at
the connected account is not established there; here its money arrives as a payment. Nothing is kept: a simulator
that never asks pays nothing.

What a client pays becomes available days later, and with it what is passed on or taken of that very charge; all
else moves the available balance at once, as refunds draw on it. When Stripe makes each kind available is not
established row by row.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from refund_adapters.memory._records import CARDS
from refund_domain.payments import PLATFORM, PaymentStatus

if TYPE_CHECKING:
    from refund_adapters.memory._books import Books
    from refund_adapters.memory._records import Charge, Refund
    from refund_adapters.memory._shares import Fee, Passed
    from refund_adapters.memory.payout import Paid

SETTLES: Final = timedelta(days=2)
"""How long after it was paid a client's money becomes available."""

DISPUTE_FEE_MINOR: Final = 1_500
"""What a chargeback costs beside its amount; it is kept whoever wins."""

_EARNED: Final = ("application_fee", "platform_earning")


class Row(NamedTuple):
    """One balance transaction; amounts in minor units of `currency`, `source` the id of what it is about.

    `application_fee` is the part of `fee` that is the platform's.
    """

    id: str
    type: str
    category: str
    amount: int
    fee: int
    currency: str
    source: str
    at: datetime
    available_at: datetime
    application_fee: int = 0

    @property
    def net(self) -> int:
        """What the balance moved by."""
        return self.amount - self.fee


def rows_of(books: Books, account: str) -> list[Row]:
    """Every row of this account, oldest first."""
    return sorted(_drawn(books, account), key=lambda row: row.at)


def _drawn(books: Books, account: str) -> Iterator[Row]:
    for charge in books.charges.values():
        if charge.ref.account == account:
            yield from _of_charge(charge)
    yield from _of_disputes(books, account)
    yield from _of_fees(books, account)
    yield from _of_transfers(books, account)
    for payout in books.payouts.values():
        if payout.account == account:
            yield from _of_payout(payout)
    for topup in books.topups:
        if topup.account == account:
            minor, currency = topup.amount.amount_minor, topup.amount.currency.code
            yield _row(topup.id, ("topup", "topup"), minor, currency, topup.id, topup.at)


def _row(
    id: str, words: tuple[str, str], amount: int, currency: str, source: str, at: datetime, fee: int = 0
) -> Row:
    return Row(f"txn_{id}", *words, amount, fee, currency, source, at, at)


def _ripening(row: Row) -> Row:
    """The same, available only once the client's money is."""
    return row._replace(available_at=row.at + SETTLES)


def _of_charge(charge: Charge) -> Iterator[Row]:
    row = charge_row(charge)
    if row is not None:
        yield row
    for refund in charge.refunds:
        yield from refund_rows(refund)


def charge_row(charge: Charge) -> Row | None:
    """The row of a charge; None while nothing has arrived."""
    if charge.captured_minor == 0 or charge.status is not PaymentStatus.SUCCEEDED:
        return None
    words = ("charge" if charge.method in CARDS else "payment", "charge")
    name, currency = charge.ref.charge, charge.amount.currency.code
    fee = 0 if charge.fee is None else charge.fee.amount_minor
    taken = charge.share.fee if charge.share is not None else None
    own = taken.minor if taken is not None and charge.ref.account != PLATFORM else 0
    row = _row(name, words, charge.captured_minor, currency, name, charge.settled_at, fee + own)
    return _ripening(row)._replace(application_fee=own)


def refund_rows(refund: Refund) -> tuple[Row, ...]:
    """The rows of a refund: none while it waits, one once paid, a second when its money came back."""
    if refund.paid_at is None:
        return ()
    currency = refund.charge.amount.currency.code
    words = ("refund" if refund.charge.method in CARDS else "payment_refund", "refund")
    paid = _row(refund.id, words, -refund.minor, currency, refund.id, refund.paid_at)
    if refund.back_at is None:
        return (paid,)
    again = _row(
        f"{refund.id}_back",
        ("refund_failure", "refund_failure"),
        refund.minor,
        currency,
        refund.id,
        refund.back_at,
    )
    return paid, again


def _of_disputes(books: Books, account: str) -> Iterator[Row]:
    for name, disputed in books.disputes.items():
        if disputed.charge.ref.account != account or not disputed.takes:
            continue
        minor, currency = disputed.value.amount.amount_minor, disputed.value.amount.currency.code
        words = ("adjustment", "dispute")
        yield _row(name, words, -minor, currency, name, disputed.opened_at, DISPUTE_FEE_MINOR)
        if disputed.value.status == "won" and disputed.closed_at is not None:
            again = ("adjustment", "dispute_reversal")
            yield _row(f"{name}_back", again, minor, currency, name, disputed.closed_at)


def _of_fees(books: Books, account: str) -> Iterator[Row]:
    """At the platform a fee is earned; at a destination it is taken out of what was passed on.

    A direct charge's account has paid it with the charge's own row already; what is returned is a row at both.
    """
    for fee in books.fees.values():
        if account not in (PLATFORM, fee.account):
            continue
        direct, currency = direct_of(books, fee), fee.currency.code
        if account == PLATFORM and direct is None:
            yield _ripening(_row(fee.id, _EARNED, fee.minor, currency, fee.id, fee.at))
        elif account == PLATFORM and direct is not None and direct.status is PaymentStatus.SUCCEEDED:
            yield _ripening(_row(fee.id, _EARNED, fee.minor, currency, fee.id, direct.settled_at))
        elif direct is None:
            paid = _row(f"{fee.id}_paid", ("application_fee", "fee"), -fee.minor, currency, fee.id, fee.at)
            yield _ripening(paid)
        sign, category = (-1, "platform_earning_refund") if account == PLATFORM else (1, "fee")
        yield from _came_back(fee, ("application_fee_refund", category), sign)


def direct_of(books: Books, fee: Fee) -> Charge | None:
    """The direct charge that pays this fee in its own row; None for a destination's, which pays by itself."""
    charge = books.charges.get((fee.account, fee.charge))
    own = charge is not None and charge.share is not None and charge.share.fee is fee
    return charge if own else None


def _of_transfers(books: Books, account: str) -> Iterator[Row]:
    for moved in books.transfers.values():
        currency, of_charge = moved.currency.code, moved.source is not None
        if account == PLATFORM:
            out = _row(moved.id, ("transfer", "transfer"), -moved.minor, currency, moved.id, moved.at)
            yield _ripening(out) if of_charge else out
            yield from _came_back(moved, ("transfer_refund", "transfer_reversal"), 1)
        elif account == moved.destination:
            into = _row(f"{moved.id}_in", ("payment", "charge"), moved.minor, currency, moved.id, moved.at)
            yield _ripening(into) if of_charge else into
            yield from _came_back(moved, ("payment_refund", "refund"), -1)


def _came_back(passed: Passed, words: tuple[str, str], sign: int) -> Iterator[Row]:
    side = "" if sign > 0 else "_out"
    for back in passed.back:
        yield _row(f"{back.id}{side}", words, sign * back.minor, passed.currency.code, back.id, back.at)


def _of_payout(payout: Paid) -> Iterator[Row]:
    minor, currency = payout.amount.amount_minor, payout.amount.currency.code
    yield _row(payout.id, ("payout", "payout"), -minor, currency, payout.id, payout.made_at)
    if payout.ended_at is not None:
        words = (f"payout_{'cancel' if payout.status == 'canceled' else 'failure'}", "payout_reversal")
        yield _row(f"{payout.id}_back", words, minor, currency, payout.id, payout.ended_at)
