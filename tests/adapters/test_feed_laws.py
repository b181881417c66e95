"""The memory feeds keep the laws of their port; and every law is broken by a feed made to break it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from refund_adapters.memory import AsyncMemoryGateway, Fault, MemoryBank, MemoryGateway
from refund_domain.answers import Answer, Ask, Declined, Look, Unread
from refund_domain.money import Money
from refund_domain.operations.feeds import FeedPage, Window
from refund_domain.payments import PLATFORM, PaymentRef
from refund_domain.signals import Subject
from refund_domain.testing.laws import LawBroken, Report, demand_of
from refund_domain.testing.laws_feed import ALWAYS, LAWS, Feeding, check_feed
from refund_domain.testing.laws_gateway import Bank
from tests.adapters.test_laws import MemoryLawBank, clock
from tests.domain.worlds import driven

EVERY = tuple(law.__name__ for law in LAWS)


class DrivenFeed:
    """The async memory gateway, which never really waits, as both sync ports."""

    live = False

    def __init__(self, inner: AsyncMemoryGateway) -> None:
        self._inner = inner

    def look(self, ref: PaymentRef, /) -> Look:
        return driven(self._inner.look(ref))

    def send(self, send: Ask, /) -> Answer:
        return driven(self._inner.send(send))

    def page(self, account: str, window: Window, subject: Subject, after: str | None, /) -> FeedPage | Unread:
        return driven(self._inner.page(account, window, subject, after))


@pytest.mark.parametrize("page_size", [1, 10, 100])
def test_memory_feeds_keep_every_law(page_size: int) -> None:
    """Both forms keep every law with pages of any size, and their bank can stage them all."""

    def plain() -> tuple[Feeding, Bank]:
        bank = MemoryBank(clock)
        return MemoryGateway(bank, page_size=page_size), MemoryLawBank(bank)

    def awaited() -> tuple[Feeding, Bank]:
        bank = MemoryBank(clock)
        return DrivenFeed(AsyncMemoryGateway(bank, page_size=page_size)), MemoryLawBank(bank)

    assert check_feed(plain) == check_feed(awaited) == Report(held=EVERY)


def test_every_law_says_what_it_demands() -> None:
    """Each law demands one thing in a sentence that ends."""
    assert [law.__name__ for law in LAWS if not demand_of(law).endswith(".")] == []


def test_names_and_live_feeds_are_checked() -> None:
    """A misspelt law is refused, a law the bank cannot stage is lacking, and no law is tried on a live feed."""

    def make() -> tuple[Feeding, Bank]:
        bank = MemoryLawBank(MemoryBank(clock))
        bank.lacks = ("disputes_apart",)
        return MemoryGateway(bank.inner), bank

    assert check_feed(make).lacking == ("disputes_apart",)
    assert check_feed(make, only=("quiet_window",)).held == ("quiet_window",)
    with pytest.raises(ValueError, match="names no law: quiet"):
        check_feed(make, only=("quiet",))
    bank = MemoryBank(clock)
    with pytest.raises(ValueError, match="live"):
        check_feed(lambda: (MemoryGateway(bank, live=True), MemoryLawBank(bank)))


def test_scripted_faults_befall_pages() -> None:
    """A page takes the next fault for pages, and leaves those of looks and sends alone."""
    gateway = MemoryGateway(MemoryBank(clock))
    gateway.script(Fault.PAGE_UNREADABLE, Fault.ANSWER_LOST, Fault.PAGE_WORKS, Fault.PAGE_RAISES)
    asked = PLATFORM, ALWAYS, Subject.REFUND, None
    assert gateway.page(*asked) == Unread(why="the page was cut")
    assert gateway.page(*asked) == FeedPage(mentions=(), more=False)
    with pytest.raises(RuntimeError, match="page_raises"):
        gateway.page(*asked)
    assert [planned.fault for planned in gateway.unplayed] == [Fault.ANSWER_LOST]
    with pytest.raises(ValueError, match="refund or dispute"):
        gateway.page(PLATFORM, ALWAYS, Subject.PAYOUT, None)
    with pytest.raises(ValueError, match="page_size"):
        MemoryGateway(MemoryBank(clock), page_size=0)


def test_list_that_lags_hides_a_refund_from_the_feed_as_well() -> None:
    """What the bank's lists do not show yet stands in no page."""
    now = [datetime(2026, 3, 2, tzinfo=UTC)]
    bank = MemoryBank(lambda: now[0], list_lag=timedelta(hours=1))
    ref = bank.charge(Money.parse("20.00", "USD"))
    bank.elsewhere(ref)
    gateway = MemoryGateway(bank)
    assert gateway.page(PLATFORM, ALWAYS, Subject.REFUND, None) == FeedPage(mentions=(), more=False)
    now[0] += timedelta(hours=1)
    page = gateway.page(PLATFORM, ALWAYS, Subject.REFUND, None)
    assert isinstance(page, FeedPage)
    assert [mention.id for mention in page.mentions] == ["re_1"]


class Broken(MemoryGateway):
    """A memory feed, to be broken in one place."""

    def page(self, account: str, window: Window, subject: Subject, after: str | None, /) -> FeedPage | Unread:
        return self.broken(account, window, subject, after)

    def broken(self, account: str, window: Window, subject: Subject, after: str | None) -> FeedPage | Unread:
        return super().page(account, window, subject, after)


class FirstPage(Broken):
    """Reads the first page only."""

    def broken(self, account: str, window: Window, subject: Subject, after: str | None) -> FeedPage | Unread:
        page = super().broken(account, window, subject, after)
        return attrs.evolve(page, more=False) if isinstance(page, FeedPage) else page


class FromTheStart(Broken):
    """Begins at the start where the place is unknown."""

    def broken(self, account: str, window: Window, subject: Subject, after: str | None) -> FeedPage | Unread:
        page = super().broken(account, window, subject, after)
        return page if isinstance(page, FeedPage) else super().broken(account, window, subject, None)


class Overlaps(Broken):
    """Lists the last object of a page again at the head of the next."""

    def broken(self, account: str, window: Window, subject: Subject, after: str | None) -> FeedPage | Unread:
        page = super().broken(account, window, subject, after)
        if after is None or not isinstance(page, FeedPage):
            return page
        whole = super().broken(account, window, subject, None)
        assert isinstance(whole, FeedPage)
        again = [mention for mention in whole.mentions if mention.id == after]
        return attrs.evolve(page, mentions=(*again, *page.mentions))


class NoWindow(Broken):
    """Takes no notice of the window."""

    def broken(self, account: str, window: Window, subject: Subject, after: str | None) -> FeedPage | Unread:
        return super().broken(account, ALWAYS, subject, after)


class EndIncluded(Broken):
    """Takes the end of the window for a part of it."""

    def broken(self, account: str, window: Window, subject: Subject, after: str | None) -> FeedPage | Unread:
        later = attrs.evolve(window, end=window.end + timedelta(microseconds=1))
        return super().broken(account, later, subject, after)


class NoMarks(Broken):
    """Tells no marks."""

    def broken(self, account: str, window: Window, subject: Subject, after: str | None) -> FeedPage | Unread:
        page = super().broken(account, window, subject, after)
        if not isinstance(page, FeedPage):
            return page
        return attrs.evolve(page, mentions=tuple(attrs.evolve(m, mark=None) for m in page.mentions))


class OneList(Broken):
    """Lists refunds whatever is asked for."""

    def broken(self, account: str, window: Window, subject: Subject, after: str | None) -> FeedPage | Unread:
        return super().broken(account, window, Subject.REFUND, after)


class OneAccount(Broken):
    """Forgets the account."""

    def broken(self, account: str, window: Window, subject: Subject, after: str | None) -> FeedPage | Unread:
        return super().broken(PLATFORM, window, subject, after)


class MakesNothing(Broken):
    """Declines every send."""

    def send(self, send: Ask, /) -> Answer:
        return Declined(code="no")


class CannotRead(Broken):
    """Never reads anything."""

    def broken(self, account: str, window: Window, subject: Subject, after: str | None) -> FeedPage | Unread:
        return Unread(why="timeout")


@pytest.mark.parametrize(
    ("law", "kind"),
    [
        ("quiet_window", CannotRead),
        ("everything_once", FirstPage),
        ("goes_on_anywhere", Overlaps),
        ("no_such_place", FromTheStart),
        ("window_is_kept", NoWindow),
        ("window_is_kept", EndIncluded),
        ("marks_are_told", NoMarks),
        ("marks_are_told", MakesNothing),
        ("disputes_apart", OneList),
        ("feeds_apart", OneAccount),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_broken_feed_breaks_its_law(law: str, kind: type[Broken]) -> None:
    """A feed broken in one place is found out by the law of that place, which names itself."""

    def make() -> tuple[Feeding, Bank]:
        bank = MemoryBank(clock)
        return kind(bank), MemoryLawBank(bank)

    with pytest.raises(LawBroken) as caught:
        check_feed(make, only=(law,))
    assert caught.value.law == law
