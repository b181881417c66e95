"""The laws of the feed of an account, for every adapter that has one, ours or a host's: `check_feed`.

Each law is one function with what it demands in its docstring. They make refunds at the bank they are given: never
run them on a live account (a feed that says it is live is refused).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import attrs

from refund_domain.answers import Accepted, Unread
from refund_domain.connect import PLATFORM
from refund_domain.money import Money
from refund_domain.operations.feeds import FeedPage, Mention, Window
from refund_domain.ports import PaymentGateway, RefundFeed
from refund_domain.signals import Subject
from refund_domain.testing.laws import Report, broken, checked_names, entered, hold_to, must, name_of
from refund_domain.testing.laws_gateway import MANY, Bank, send_of

ALWAYS: Final = Window(start=datetime(2000, 1, 1, tzinfo=UTC), end=datetime(2100, 1, 1, tzinfo=UTC))
"""A window over everything a bank has made."""

_CAPTURED: Final = Money.parse("200.00", "USD")
_CENT: Final = Money.parse("0.01", "USD")
_SECOND: Final = timedelta(seconds=1)


class Feeding(PaymentGateway, RefundFeed, Protocol):
    """A gateway that lists as well: the laws make refunds with the one half and read them with the other."""


@attrs.frozen
class Reading:
    """One law's stage: the feed on trial, which is a gateway too, and its bank."""

    feed: Feeding
    bank: Bank

    def page(
        self, subject: Subject, after: str | None = None, *, account: str = PLATFORM, window: Window = ALWAYS
    ) -> FeedPage:
        """One page; the law is broken by anything else."""
        page = self.feed.page(account, window, subject, after)
        if not isinstance(page, FeedPage):
            broken(f"{page!r} for a page that could be read")
        return page

    def listed(
        self,
        subject: Subject = Subject.REFUND,
        after: str | None = None,
        *,
        account: str = PLATFORM,
        window: Window = ALWAYS,
    ) -> tuple[Mention, ...]:
        """Everything behind `after`, page by page; a list that turns in circles breaks the law."""
        members: list[Mention] = []
        more = True
        while more:
            page = self.page(subject, after, account=account, window=window)
            members.extend(page.mentions)
            must(len({member.id for member in members}) == len(members), "an object that is listed twice")
            more, after = page.more, members[-1].id if members else None
        return tuple(members)


def quiet_window(reading: Reading) -> None:
    """Of a window in which nothing was created an empty page is listed, which is the last one."""
    ref = reading.bank.charge(_CAPTURED)
    reading.bank.elsewhere(ref, _CENT)
    early = Window(start=ALWAYS.start - timedelta(days=2), end=ALWAYS.start - timedelta(days=1))
    for subject in (Subject.REFUND, Subject.DISPUTE):
        page = reading.page(subject, window=early)
        must(page == FeedPage(mentions=(), more=False), f"{page!r} of a quiet window")


def everything_once(reading: Reading) -> None:
    """More than a hundred refunds of two payments are listed, each once, with its charge, always in one order."""
    refs = [reading.bank.charge(_CAPTURED) for _ in range(2)]
    for number in range(MANY):
        reading.bank.elsewhere(refs[number % 2], _CENT)
    members = reading.listed()
    counts = [sum(member.charge == ref.charge for member in members) for ref in refs]
    must(counts == [MANY - MANY // 2, MANY // 2], f"{counts} refunds of {MANY} by their charges")
    must(reading.listed() == members, "another order the second time")


def goes_on_anywhere(reading: Reading) -> None:
    """Behind any object that was listed just those are listed that came behind it before."""
    ref = reading.bank.charge(_CAPTURED)
    for _ in range(MANY):
        reading.bank.elsewhere(ref, _CENT)
    members = reading.listed()
    for place in (0, 1, MANY // 2, MANY - 2, MANY - 1):
        rest = reading.listed(after=members[place].id)
        must(rest == members[place + 1 :], f"{len(rest)} behind number {place + 1} of {MANY}")


def no_such_place(reading: Reading) -> None:
    """Behind an object that the account does not have nothing is read: never the list from its start."""
    ref = reading.bank.charge(_CAPTURED)
    reading.bank.elsewhere(ref, _CENT)
    page = reading.feed.page(PLATFORM, ALWAYS, Subject.REFUND, "re_never_made")
    must(isinstance(page, Unread), f"{page!r}")


def window_is_kept(reading: Reading) -> None:
    """A window holds what was created at its start and not what was created at its end."""
    ref = reading.bank.charge(_CAPTURED)
    reading.bank.elsewhere(ref, _CENT)
    (made,) = reading.listed()
    at = made.created_at
    must(at in ALWAYS and at.utcoffset() is not None, f"created at {at}")
    inside = reading.listed(window=Window(start=at, end=at + _SECOND))
    must(inside == (made,), f"{inside!r} in the window that begins with it")
    before = reading.listed(window=Window(start=at - _SECOND, end=at))
    must(before == (), f"{before!r} in the window that ends with it")


def marks_are_told(reading: Reading) -> None:
    """A refund of ours is listed with its mark and one made elsewhere without."""
    ref = reading.bank.charge(_CAPTURED)
    send = send_of(ref, _CENT)
    answer = reading.feed.send(send)
    if not isinstance(answer, Accepted):
        broken(f"{answer!r} to a send that could be made")
    reading.bank.elsewhere(ref, _CENT)
    marks = {member.id == answer.refund.id: member.mark for member in reading.listed()}
    must(marks == {True: send.refund_id, False: None}, f"marks {marks!r}")


def disputes_apart(reading: Reading) -> None:
    """A dispute is listed with its charge among the disputes and a refund among the refunds, each there only."""
    refunded, disputed = reading.bank.charge(_CAPTURED), reading.bank.dispute(_CAPTURED)
    reading.bank.elsewhere(refunded, _CENT)
    for subject, ref in ((Subject.REFUND, refunded), (Subject.DISPUTE, disputed)):
        members = reading.listed(subject)
        must([(m.charge, m.mark) for m in members] == [(ref.charge, None)], f"{subject}s {members!r}")


def feeds_apart(reading: Reading) -> None:
    """An account's feed lists its own refunds and nobody else's."""
    refs = reading.bank.charge(_CAPTURED), reading.bank.charge(_CAPTURED, connected=True)
    for ref in refs:
        reading.bank.elsewhere(ref, _CENT)
    for ref in refs:
        members = reading.listed(account=ref.account)
        must([member.charge for member in members] == [ref.charge], f"{members!r} at {ref.account}")


LAWS: Final[tuple[Callable[[Reading], None], ...]] = (
    quiet_window,
    everything_once,
    goes_on_anywhere,
    no_such_place,
    window_is_kept,
    marks_are_told,
    disputes_apart,
    feeds_apart,
)
"""Every law of the feed, in the order in which they are tried."""

Made = tuple[Feeding, Bank]


def check_feed(make: Callable[[], Made | AbstractContextManager[Made]], *, only: Collection[str] = ()) -> Report:
    """Hold a feed to the laws of its port: each on a fresh pair of feed and bank.

    `make()` gives the pair, or a context manager that yields it; the feed is a gateway too. `bank.lacks` names the
    laws this bank cannot stage; they are reported as lacking. `only`: try just these laws.

    Raises `LawBroken`, which names the law and what was seen; ValueError for a name that is no law's and for a
    feed that says it is live.

    >>> from refund_adapters.memory import MemoryBank, MemoryGateway
    >>> class TestBank:
    ...     lacks = ("disputes_apart",)
    ...     def __init__(self):
    ...         self.inner = MemoryBank()
    ...     def charge(self, amount, *, connected=False):
    ...         return self.inner.charge(amount, account="acct_1" if connected else "platform")
    ...     def elsewhere(self, ref, amount):
    ...         self.inner.elsewhere(ref, amount)
    >>> def make():
    ...     bank = TestBank()
    ...     return MemoryGateway(bank.inner), bank
    >>> print(check_feed(make))
    7 laws held, 1 could not be staged here: disputes_apart
    """
    chosen = checked_names(only, LAWS, "only")
    held, lacking = [], []
    for law in LAWS:
        if chosen and name_of(law) not in chosen:
            continue
        with ExitStack() as stack:
            feed, bank = entered(stack, make())
            if feed.live:
                raise ValueError("the laws make refunds and must not be tried on a live feed")
            if name_of(law) in checked_names(bank.lacks, LAWS, "lacks"):
                lacking.append(name_of(law))
            else:
                hold_to(law, Reading(feed, bank))
                held.append(name_of(law))
    return Report(held=tuple(held), lacking=tuple(lacking))
