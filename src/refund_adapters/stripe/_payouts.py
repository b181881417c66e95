"""Which calls reading funds, a payout, its entries and where a refund is make, and what comes of them.

Pure, no I/O: steps as those of `_steps`. `patient` makes them again where a read failed in passing; the sources of
`payouts` and `payouts_async` drive them, and nothing is decided there.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar

import attrs

from refund_adapters.stripe import _faults as faults
from refund_adapters.stripe._members import (
    JsonObject,
    Unclear,
    currency_in,
    id_in,
    money,
    object_in,
    signed,
    text,
    time_in,
    whole,
    word,
)
from refund_adapters.stripe._steps import (
    PAGE_SIZE,
    PAGES_MOST,
    Call,
    Failed,
    Reply,
    Steps,
    Stopped,
    body_of,
    every,
    get,
    second,
    unread,
)
from refund_adapters.stripe._translate import check_mode, page_of
from refund_domain.answers import Missing, Unread
from refund_domain.money import Currency, Money
from refund_domain.operations.feeds import Window
from refund_domain.payouts.entries import Entry, EntryPage
from refund_domain.payouts.funds import Balance, Funds, Payout, PayoutStatus

ENTRIES: Final = "/v1/balance_transactions"
"""Where entries are listed. Answers from there are `Rows`, never JSON."""
_PAYOUTS: Final = "/v1/payouts"

BEFORE_PAGES_MOST: Final = 10
"""How many pages of payouts are read for the automatic one before; beyond them nobody says when that was."""
ASKED_MOST: Final = 100
"""How many payouts are asked for one refund; beyond them it cannot be told where it is."""
ATTEMPTS_MOST: Final = 10
LONGEST_WAIT_S: Final = 8.0

_NOT_READY: Final = "payout_reconciliation_not_ready"

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Rows:
    """One page of entries as `_entries` decoded it; `more`: another follows."""

    entries: Sequence[Entry]
    more: bool


@attrs.frozen
class Wait:
    """A pause before the last call is made again; the driver answers whether there was time for it."""

    seconds: float


Patient = Generator[Call | Wait, Reply, T]
"""Steps with pauses among them."""


def patient(steps: Steps[T], *, attempts: int, backoff_s: float) -> Patient[T]:
    """These steps, in which a read that failed in passing is made again, at most `attempts` times in all.

    In passing fails what Stripe slows down (429), breaks on (5xx), or gives no answer to that can be read; each
    pause is twice as long as the one before.
    """
    try:
        call = next(steps)
        while True:
            reply = yield call
            for number in range(attempts - 1):
                if not _passes(reply) or not (yield Wait(min(backoff_s * 2**number, LONGEST_WAIT_S))):
                    break
                reply = yield call
            call = steps.send(reply)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # what the generator returned: T


def _passes(reply: Reply) -> bool:
    """Whether the same read may well succeed a moment later."""
    if not isinstance(reply, Failed):
        return False
    fault = reply.fault
    if fault is None or fault.status == 429 or fault.status >= 500 or fault.code == "rate_limit":
        return True
    return not fault.spoken and 200 <= fault.status < 300  # a success that was cut, or a page of HTML


def _told(reading: Steps[T]) -> Steps[T | Unread]:
    """What this reading comes to: `Unread` where a call failed or an answer was odd."""
    try:
        return (yield from reading)
    except Unclear as unclear:
        return Unread(why=str(unclear))
    except Stopped as stopped:
        return unread(stopped.failed)


def _found(folder: str, named: str, account: str, **params: object) -> Steps[JsonObject | None]:
    """The object of this id; None where Stripe itself says that the account has none."""
    try:
        return (yield from get(folder, named, account, **params))
    except Stopped as stopped:
        if stopped.failed.fault is None or not faults.is_missing(stopped.failed.fault):
            raise
        return None


# --- funds --------------------------------------------------------------------------------------------------


def funds(account: str, *, live: bool) -> Steps[Funds | Unread]:
    """The payouts in progress, all pages, and then the balance."""
    return _told(_funds(account, live))


def _funds(account: str, live: bool) -> Steps[Funds]:
    """In this order a payout that is made meanwhile is missed rather than counted beside the balance it came from.

    One that leaves between the two lists stands in both, and the later word counts.
    """
    found: dict[str, Payout] = {}
    for status in (PayoutStatus.PENDING, PayoutStatus.IN_TRANSIT):
        for row in (yield from every(_PAYOUTS, account, status=status.value)):
            payout = payout_of(row, live=live)
            if payout.status is not status:
                raise Unclear(f"a list of payouts that are {status} holds another")
            found[payout.id] = payout
    body = yield from body_of(Call(path="/v1/balance", params={}, account=account))
    return Funds(payouts=tuple(found.values()), balances=balances_of(body, live=live))


def balances_of(body: JsonObject, *, live: bool) -> tuple[Balance, ...]:
    """The balance of each currency. Raises Unclear for anything else than Stripe's balance."""
    if body.get("object") != "balance":
        raise Unclear("the answer is not a balance")
    check_mode(body, live=live)
    available, pending = _amounts(body, "available"), _amounts(body, "pending")
    aside = _amounts(object_in(body.get("refund_and_dispute_prefunding")), "available")
    if any(amount.amount_minor < 0 for amount in aside.values()):
        raise Unclear("what was set aside for refunds is less than nothing")
    try:
        return tuple(
            Balance(
                available=available.get(currency, Money.zero(currency)),
                pending=pending.get(currency),
                prefunded=aside.get(currency),
            )
            for currency in dict.fromkeys((*available, *pending, *aside))
        )
    except ValueError:
        raise Unclear("a balance is beyond all payments") from None


def _amounts(holder: JsonObject, name: str) -> Mapping[Currency, Money]:
    rows = holder.get(name, [])
    if not isinstance(rows, list):
        raise Unclear(f"{name} is no list of amounts")
    found: dict[Currency, Money] = {}
    for row in map(object_in, rows):
        currency = currency_in(row)
        if currency in found:
            raise Unclear(f"{name} names a currency twice")
        found[currency] = money(signed(row, "amount"), currency)
    return found


# --- one payout ---------------------------------------------------------------------------------------------


def payout(account: str, named: str, *, live: bool) -> Steps[Payout | Missing | Unread]:
    """One payout, with when the automatic one of its currency before it was made."""
    return _told(_payout(account, named, live))


def _payout(account: str, named: str, live: bool) -> Steps[Payout | Missing]:
    row = yield from _found(f"{_PAYOUTS}/", named, account)
    if row is None:
        return Missing()
    found = payout_of(row, live=live)
    if found.id != named:
        raise Unclear("the answer is not the payout that was asked for")
    before = yield from _before(account, row, found.amount.currency)
    return attrs.evolve(found, before_at=before)


def payout_of(row: JsonObject, *, live: bool) -> Payout:
    """A payout from Stripe's JSON. Raises Unclear for anything else, and for a status nobody knows."""
    if row.get("object") != "payout":
        raise Unclear("the answer is not a payout")
    check_mode(row, live=live)
    automatic = row.get("automatic")
    if not isinstance(automatic, bool):
        raise Unclear("the payout does not say whether it is automatic")
    try:
        status = PayoutStatus(text(row, "status"))
    except ValueError:
        raise Unclear("the payout has a status that this library does not know") from None
    return Payout(
        id=id_in(row, "id"),
        amount=money(signed(row, "amount"), currency_in(row)),
        arrives_on=time_in(row, "arrival_date").date(),
        status=status,
        automatic=automatic,
        reconciled=row.get("reconciliation_status") == "completed",
        created_at=time_in(row, "created"),
        failure=word(row.get("failure_code")),
    )


def _before(account: str, paid: JsonObject, currency: Currency) -> Steps[datetime | None]:
    """When the automatic payout before this one was made, of its currency and kind; None if none is found.

    Money of cards and of bank debits may be paid out apart (`source_type`), one payout a moment after the other.
    """
    created_s, kind = whole(paid, "created"), paid.get("source_type")
    after: dict[str, object] = {}
    for _ in range(BEFORE_PAGES_MOST):
        params = {"created": {"lt": created_s}, "limit": PAGE_SIZE, **after}
        rows, more = page_of((yield from body_of(Call(path=_PAYOUTS, params=params, account=account))))
        for row in rows:
            if whole(row, "created") >= created_s:
                raise Unclear("a list of earlier payouts holds a later one")
            same = row.get("source_type") == kind and currency_in(row) == currency
            if same and row.get("automatic") is True:
                return time_in(row, "created")
        if not more:
            return None
        if not rows:
            raise Unclear("a list says that it has more, but does not advance")
        after = {"starting_after": id_in(rows[-1], "id")}
    return None


# --- entries ------------------------------------------------------------------------------------------------


def entries(account: str, payout: Payout, window: Window | None, after: str | None) -> Steps[EntryPage | Unread]:
    """One page of the payout's own entries, or of its currency's within the window, the newest first."""
    return _told(_entries(account, payout, window, after))


def _entries(account: str, payout: Payout, window: Window | None, after: str | None) -> Steps[EntryPage]:
    asked: dict[str, object] = {"payout": payout.id}
    if window is not None:
        created = {"gte": second(window.start), "lt": second(window.end)}
        asked = {"created": created, "currency": payout.amount.currency.code.lower()}
    rows = yield from _rows(account, {**asked, "expand": ["data.source"]}, after)
    return EntryPage(entries=rows.entries, after=rows.entries[-1].id if rows.more else None)


def _rows(account: str, asked: Mapping[str, object], after: str | None) -> Steps[Rows]:
    """One page of entries, behind this one. Raises Stopped where the call failed, Unclear for an odd page."""
    behind = {} if after is None else {"starting_after": after}
    reply = yield Call(path=ENTRIES, params={"limit": PAGE_SIZE, **asked, **behind}, account=account)
    if isinstance(reply, Failed):
        if reply.fault is not None and reply.fault.code == _NOT_READY:
            raise Unclear("the payout is not reconciled yet, so what is in it is not known: ask again later")
        raise Stopped(reply)
    if not isinstance(reply, Rows):
        raise Unclear("the answer is not a page of balance transactions")
    ids = {entry.id for entry in reply.entries}
    if len(ids) != len(reply.entries) or after in ids or (reply.more and not ids):
        raise Unclear("a page repeats itself or does not advance")
    return reply


# --- where a refund is --------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class _Own:
    """A refund's own entry: what a payout must hold to hold the refund."""

    refund: str
    id: str
    type: str
    currency: Currency


def holding(account: str, refund: str, *, live: bool) -> Steps[Payout | Missing | Unread | None]:
    """The payout that the refund's entry is in, the oldest that could be first; None while none says so."""
    return _told(_holding(account, refund, live))


def _holding(account: str, refund: str, live: bool) -> Steps[Payout | Missing | None]:
    """A payout that is not reconciled does not say what is in it, so it is passed over.

    Where a later one holds the refund, that is the answer; where none does, the refund is waiting, or in a payout
    that will say so once it is reconciled.
    """
    row = yield from _found("/v1/refunds/", refund, account, expand=["balance_transaction"])
    if row is None:
        return Missing()
    if row.get("object") != "refund" or row.get("id") != refund:
        raise Unclear("the answer is not the refund that was asked for")
    check_mode(row, live=live)
    if row.get("balance_transaction") is None:
        return None
    entry = object_in(row["balance_transaction"])
    if not entry:
        raise Unclear("the refund's balance transaction is not told: may the key read balance transactions?")
    own = _Own(refund=refund, id=id_in(entry, "id"), type=text(entry, "type"), currency=currency_in(entry))
    rows = yield from every(_PAYOUTS, account, created={"gte": whole(entry, "created")})
    made = [payout_of(row, live=live) for row in reversed(rows)]
    able = [each for each in made if each.automatic and each.reconciled and each.amount.currency == own.currency]
    for each in able[:ASKED_MOST]:
        if (yield from _holds(account, each, own)):
            return each
    if len(able) > ASKED_MOST:
        raise Unclear(f"the refund is in none of {ASKED_MOST} payouts, and there are more")
    return None


def _holds(account: str, payout: Payout, own: _Own) -> Steps[bool]:
    """Whether this entry is in this payout.

    It is not established that Stripe takes both filters at once: where it refuses, the payout's entries of the
    refund's type are read through, and where it ignores one, what it lists beside is passed over.
    """
    try:
        return (yield from _lists(account, own.id, payout=payout.id, source=own.refund))
    except Stopped as stopped:
        if stopped.failed.fault is None or stopped.failed.fault.status != 400:
            raise
    return (yield from _lists(account, own.id, payout=payout.id, type=own.type))


def _lists(account: str, wanted: str, **asked: object) -> Steps[bool]:
    """Whether this entry is in the list that is asked for so, to its last page."""
    after: str | None = None
    for _ in range(PAGES_MOST):
        rows = yield from _rows(account, asked, after)
        if any(entry.id == wanted for entry in rows.entries):
            return True
        if not rows.more:
            return False
        after = rows.entries[-1].id
    raise Unclear(f"a list has more than {PAGES_MOST} pages")
