"""Reversals of transfers, as requests that arrive at the bank: replayed, refused or executed, now or later.

The norm is docs/explanation/stripe-facts.md, "Connect" and "Idempotency": one store of keys serves every kind of
request, and a reversal needs balance at the connected account.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import attrs

from refund_adapters.memory import _sharing, replies
from refund_adapters.memory._records import AskBack
from refund_adapters.memory.replies import BackReply, Breaks, CameBack, ErrorReply
from refund_domain.money import Money
from refund_domain.payments import PLATFORM

if TYPE_CHECKING:
    from datetime import timedelta

    from refund_adapters.memory._books import Books


def receive(books: Books, ask: AskBack, key: str | None, breaks: Breaks | None) -> BackReply:
    """One request arrives now."""
    kept = books.kept(PLATFORM, key)
    if kept is not None:
        _, first, told = kept
        if first != ask or not isinstance(told, (CameBack, ErrorReply)):
            return replies.OTHER_PARAMETERS
        return attrs.evolve(told, replayed=True)
    if ask.amount_minor is not None and ask.amount_minor < 1:
        return replies.BAD_AMOUNT
    reply = _execute(books, ask, breaks)
    if key is not None:
        books.keys[PLATFORM, key] = (books.now, ask, reply)
    return reply


def receive_later(books: Books, after: timedelta, ask: AskBack, key: str | None) -> None:
    """The same, so much later: until then it is on its way and nothing is kept of it."""
    books.later(after, partial(_arrive, ask=ask, key=key))


def _arrive(books: Books, ask: AskBack, key: str | None) -> None:
    receive(books, ask, key, None)


def _execute(books: Books, ask: AskBack, breaks: Breaks | None) -> BackReply:
    if breaks is None:
        return _reverse(books, ask)
    if breaks.makes_after is not None:
        books.later(breaks.makes_after, partial(_complete, ask=ask))
    return replies.BROKEN


def _complete(books: Books, ask: AskBack) -> None:
    """What a broken server does all the same; nobody hears what comes of it."""
    _reverse(books, ask)


def _reverse(books: Books, ask: AskBack) -> BackReply:
    moved = books.transfers.get(ask.transfer)
    if moved is None:
        return replies.NO_SUCH
    minor = moved.left_minor if ask.amount_minor is None else ask.amount_minor
    if not 0 < minor <= moved.left_minor:
        return replies.MORE_THAN_LEFT
    have = books.have((moved.destination, moved.currency.code))
    if have is not None and have < minor:
        return replies.NO_BALANCE
    back = _sharing.reverse(books, moved, minor)
    back.mark, back.metadata = ask.mark, ask.metadata
    back.shown_at = back.at + books.lag()
    _touch(books, moved.group)
    books.later(back.shown_at - books.now, partial(_touch, group=moved.group))
    _sharing.tell_reversed(books, moved)
    return CameBack(id=back.id, amount=Money(minor, moved.currency), of=moved.id, mark=ask.mark)


def _touch(books: Books, group: str | None) -> None:
    """What a look shows of the charges of this group has changed."""
    for charge in books.charges.values():
        if group is not None and charge.share is not None and charge.share.group == group:
            charge.touch()
