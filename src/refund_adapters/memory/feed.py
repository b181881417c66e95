"""The feed of an account over a `MemoryBank`: its refunds and disputes of a window, the newest first, in pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from refund_domain._checks import check_id, check_type
from refund_domain.answers import Unread
from refund_domain.operations.feeds import FeedPage, Mention, Window
from refund_domain.signals import Subject

if TYPE_CHECKING:
    from refund_adapters.memory._books import Books
    from refund_adapters.memory.bank import MemoryBank

PAGE_SIZE: Final = 100


def page_of(
    bank: MemoryBank, account: str, window: Window, subject: Subject, after: str | None, size: int = PAGE_SIZE
) -> FeedPage | Unread:
    """One page, as far as the bank's lists show things yet; what both gateways do, for a gateway of your own.

    Raises TypeError or ValueError for odd arguments.
    """
    check_id(account, "account")
    check_type(window, Window, "window")
    with bank.turn as books:
        listed = _LISTED.get(subject)
        if listed is None:
            raise ValueError("subject must be refund or dispute")
        members = [mention for mention in listed(books, account) if mention.created_at in window]
    first = 0
    if after is not None:
        places = [place for place, mention in enumerate(members) if mention.id == after]
        if not places:
            return Unread(why="resource_missing")
        first = places[0] + 1
    return FeedPage(mentions=tuple(members[first : first + size]), more=len(members) > first + size)


def _refunds(books: Books, account: str) -> Iterator[Mention]:
    for refund in reversed(books.refunds.values()):
        if refund.charge.ref.account == account and refund.shown_at <= books.now:
            yield Mention(
                id=refund.id, charge=refund.charge.ref.charge, created_at=refund.created_at, mark=refund.mark
            )


def _disputes(books: Books, account: str) -> Iterator[Mention]:
    for disputed in reversed(books.disputes.values()):
        place, id, charge = disputed.place
        if place == account:
            yield Mention(id=id, charge=charge, created_at=disputed.opened_at)


_LISTED: Final = {Subject.REFUND: _refunds, Subject.DISPUTE: _disputes}
