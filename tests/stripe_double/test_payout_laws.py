"""The Stripe sources of payouts keep the laws of their port over the double, in words that Stripe's types know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime

import attrs
import pytest

from refund_adapters.memory import ManualClock, MemoryBank
from refund_domain.answers import Missing, Unread
from refund_domain.connect import PLATFORM
from refund_domain.operations.feeds import Window
from refund_domain.payouts.entries import BalanceEntry, Entry, EntryPage
from refund_domain.payouts.funds import Funds, Payout
from refund_domain.ports import PayoutSource
from refund_domain.testing.laws import LawBroken, Report, demand_of
from refund_domain.testing.laws_feed import ALWAYS
from refund_domain.testing.laws_payouts import LAWS, Made, check_payouts
from tests.adapters.stripe_clients import CLIENTS, payouts_over
from tests.canaries import CARD, EMAIL, KEY, NAME
from tests.stripe_double.bed import SELLER, DoublePayouts
from tests.stripe_double.double import Arrived, StripeDouble
from tests.stripe_double.objects import Payer

EVERY = tuple(law.__name__ for law in LAWS)
QUICK = ("funds_apart", "pages_advance", "lost_page", "refunds_are_in_one_payout")
"""The laws that are tried over every client: which of its own answers a call is given is the client's to break."""


@contextmanager
def bed(
    client: str = "requests",
    requests: list[Arrived] | None = None,
    lacks: tuple[str, ...] = (),
    kind: Callable[[PayoutSource], PayoutSource] = lambda source: source,
) -> Iterator[Made]:
    """A source over this client, and the double that it reads."""
    clock = ManualClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
    payer = Payer(name=NAME, email=EMAIL, phone=CARD)
    with (
        StripeDouble(MemoryBank(clock), keys=(KEY,), accounts=(SELLER,), payer=payer) as double,
        payouts_over(client, double.base_address) as source,
    ):
        yield kind(source), DoublePayouts(double, clock, lacks)
        if requests is not None:
            requests.extend(double.requests)
        assert double.violations == ()


@pytest.mark.parametrize(
    ("client", "only"),
    [(client, () if client in ("requests", "aiohttp async") else QUICK) for client in CLIENTS],
)
def test_both_sources_keep_the_laws_over_every_client(client: str, only: tuple[str, ...]) -> None:
    """Each law holds over a real socket, with GETs alone, and every word is well typed."""
    requests: list[Arrived] = []
    assert check_payouts(lambda: bed(client, requests), only=only) == Report(held=only or EVERY)
    assert {request.method for request in requests} == {"GET"}


def test_every_law_says_what_it_demands() -> None:
    """Each law demands one thing in a sentence that ends."""
    assert [law.__name__ for law in LAWS if not demand_of(law).endswith(".")] == []


def test_names_and_live_sources_are_checked() -> None:
    """A misspelt law is refused, a law the bank cannot stage is lacking, and no law is tried on a live source."""
    report = check_payouts(lambda: bed(lacks=("no_such_payout",)), only=("no_such_payout", "not_reconciled"))
    assert report == Report(held=("not_reconciled",), lacking=("no_such_payout",))
    with pytest.raises(ValueError, match="names no law: reconciled"):
        check_payouts(bed, only=("reconciled",))
    with pytest.raises(ValueError, match="live"):
        check_payouts(lambda: bed(kind=Live))


class Broken:
    """A source that keeps the laws, to be broken in one place."""

    live = False

    def __init__(self, inner: PayoutSource) -> None:
        self.inner = inner

    def funds(self, account: str, /) -> Funds | Unread:
        return self.inner.funds(account)

    def payout(self, account: str, id: str, /) -> Payout | Missing | Unread:
        return self.inner.payout(account, id)

    def entries(
        self, account: str, payout: Payout, window: Window | None, after: str | None, /
    ) -> EntryPage | Unread:
        page = self.read(account, payout, window, after)
        return page if isinstance(page, Unread) else self.changed(page, account, payout)

    def read(self, account: str, payout: Payout, window: Window | None, after: str | None) -> EntryPage | Unread:
        """A page as the subclass would read it."""
        return self.inner.entries(account, payout, window, after)

    def changed(self, page: EntryPage, account: str, payout: Payout) -> EntryPage:
        """A page as the subclass would have it."""
        return page

    def holding(self, account: str, refund: str, /) -> Payout | Missing | Unread | None:
        return self.inner.holding(account, refund)


class Live(Broken):
    """Says that money moves."""

    live = True


class AutomaticOnly(Broken):
    """Shows no payout that was made by hand."""

    def funds(self, account: str, /) -> Funds | Unread:
        funds = self.inner.funds(account)
        assert isinstance(funds, Funds)
        return attrs.evolve(funds, payouts=tuple(payout for payout in funds.payouts if payout.automatic))


class PendingOnly(Broken):
    """Forgets the payouts in transit."""

    def funds(self, account: str, /) -> Funds | Unread:
        funds = self.inner.funds(account)
        assert isinstance(funds, Funds)
        return attrs.evolve(funds, payouts=tuple(each for each in funds.payouts if each.status == "pending"))


class NoBalance(Broken):
    """Shows no balance."""

    def funds(self, account: str, /) -> Funds | Unread:
        funds = self.inner.funds(account)
        assert isinstance(funds, Funds)
        return attrs.evolve(funds, balances=())


class OneAccount(Broken):
    """Forgets the account."""

    def funds(self, account: str, /) -> Funds | Unread:
        return self.inner.funds(PLATFORM)

    def read(self, account: str, payout: Payout, window: Window | None, after: str | None) -> EntryPage | Unread:
        return self.inner.entries(PLATFORM, payout, window, after)


class TriesTheOther(Broken):
    """Asks another account where the first knows nothing."""

    def payout(self, account: str, id: str, /) -> Payout | Missing | Unread:
        payout = self.inner.payout(account, id)
        return self.inner.payout(SELLER, id) if isinstance(payout, Missing) else payout

    def read(self, account: str, payout: Payout, window: Window | None, after: str | None) -> EntryPage | Unread:
        page = self.inner.entries(account, payout, window, after)
        return self.inner.entries(SELLER, payout, window, after) if isinstance(page, Unread) else page

    def holding(self, account: str, refund: str, /) -> Payout | Missing | Unread | None:
        held = self.inner.holding(account, refund)
        return self.inner.holding(SELLER, refund) if isinstance(held, Missing) else held


class NothingBefore(Broken):
    """Does not say when the payout before was made."""

    def payout(self, account: str, id: str, /) -> Payout | Missing | Unread:
        payout = self.inner.payout(account, id)
        return attrs.evolve(payout, before_at=None) if isinstance(payout, Payout) else payout


class Unsigned(Broken):
    """Shows a debit as a payout."""

    def payout(self, account: str, id: str, /) -> Payout | Missing | Unread:
        payout = self.inner.payout(account, id)
        if not isinstance(payout, Payout) or not payout.is_debit:
            return payout
        return attrs.evolve(payout, amount=-payout.amount)


def plain(entry: Entry, **changes: object) -> BalanceEntry:
    """This entry with changes."""
    fields = {field.name: getattr(entry, field.name) for field in attrs.fields(BalanceEntry)}
    return BalanceEntry(**{**fields, **changes})


class ByType(Broken):
    """Classifies by something else than the category."""

    def changed(self, page: EntryPage, account: str, payout: Payout) -> EntryPage:
        return attrs.evolve(page, entries=[plain(entry, category="charge") for entry in page.entries])


class NoFees(Broken):
    """Takes what moved for what was charged."""

    def changed(self, page: EntryPage, account: str, payout: Payout) -> EntryPage:
        return attrs.evolve(page, entries=[plain(entry, fee_minor=1) for entry in page.entries])


class NoAbout(Broken):
    """Does not say what entries are about."""

    def changed(self, page: EntryPage, account: str, payout: Payout) -> EntryPage:
        return attrs.evolve(page, entries=[plain(entry, about=None) for entry in page.entries])


class FirstPage(Broken):
    """Reads the first page only."""

    def changed(self, page: EntryPage, account: str, payout: Payout) -> EntryPage:
        return attrs.evolve(page, after=None)


class CursorStuck(Broken):
    """Lists the first page again behind the first."""

    def read(self, account: str, payout: Payout, window: Window | None, after: str | None) -> EntryPage | Unread:
        return self.inner.entries(account, payout, window, None)


class EmptyPage(Broken):
    """Takes a page that is lost for an empty one."""

    def read(self, account: str, payout: Payout, window: Window | None, after: str | None) -> EntryPage | Unread:
        page = self.inner.entries(account, payout, window, after)
        return EntryPage(entries=()) if isinstance(page, Unread) else page


class FromTheStart(Broken):
    """Begins at the start where the place is unknown."""

    def read(self, account: str, payout: Payout, window: Window | None, after: str | None) -> EntryPage | Unread:
        page = self.inner.entries(account, payout, window, after)
        return self.inner.entries(account, payout, window, None) if isinstance(page, Unread) else page


class Guesses(Broken):
    """Tells by the dates what a payout that is not reconciled may hold."""

    def read(self, account: str, payout: Payout, window: Window | None, after: str | None) -> EntryPage | Unread:
        page = self.inner.entries(account, payout, window, after)
        return self.inner.entries(account, payout, ALWAYS, after) if isinstance(page, Unread) else page


class NoWindow(Broken):
    """Takes no notice of the window."""

    def read(self, account: str, payout: Payout, window: Window | None, after: str | None) -> EntryPage | Unread:
        return self.inner.entries(account, payout, None if window is None else ALWAYS, after)


class EveryCurrency(Broken):
    """Lists a window's entries of any currency."""

    def read(self, account: str, payout: Payout, window: Window | None, after: str | None) -> EntryPage | Unread:
        page = self.inner.entries(account, payout, window, after)
        if window is None or isinstance(page, Unread):
            return page
        other = attrs.evolve(payout, amount=type(payout.amount).parse("1", "JPY"))
        more = self.inner.entries(account, other, window, None)
        assert isinstance(more, EntryPage)
        return attrs.evolve(page, entries=[*page.entries, *more.entries])


class LatestPayout(Broken):
    """Says that every refund is in the same payout."""

    def holding(self, account: str, refund: str, /) -> Payout | Missing | Unread | None:
        held = self.inner.holding(account, refund)
        return self.inner.payout(account, "po_1") if isinstance(held, Payout) else held


class Waiting(Broken):
    """Finds a refund in no payout that failed."""

    def holding(self, account: str, refund: str, /) -> Payout | Missing | Unread | None:
        held = self.inner.holding(account, refund)
        return None if isinstance(held, Payout) and held.status == "failed" else held


class ByHand(Broken):
    """Takes a payout made by hand for the one that a refund is in."""

    def holding(self, account: str, refund: str, /) -> Payout | Missing | Unread | None:
        held = self.inner.holding(account, refund)
        return self.inner.payout(account, "po_1") if held is None else held


class NeverMissing(Broken):
    """Takes a refund that is not there for one that waits."""

    def holding(self, account: str, refund: str, /) -> Payout | Missing | Unread | None:
        held = self.inner.holding(account, refund)
        return None if isinstance(held, Missing) else held


@pytest.mark.parametrize(
    ("law", "kind"),
    [
        ("funds_are_shown", AutomaticOnly),
        ("funds_are_shown", NoBalance),
        ("funds_end_with_the_payout", PendingOnly),
        ("funds_apart", OneAccount),
        ("payouts_are_told", NothingBefore),
        ("debits_are_negative", Unsigned),
        ("no_such_payout", TriesTheOther),
        ("entries_add_up", ByType),
        ("entries_add_up", NoFees),
        ("entries_add_up", NoAbout),
        ("entries_are_in_its_currency", EveryCurrency),
        ("pages_advance", FirstPage),
        ("pages_advance", CursorStuck),
        ("lost_page", EmptyPage),
        ("no_such_place", FromTheStart),
        ("not_reconciled", Guesses),
        ("window_is_kept", NoWindow),
        ("entries_apart", TriesTheOther),
        ("entries_apart", OneAccount),
        ("refunds_are_in_one_payout", LatestPayout),
        ("failed_payouts_hold", Waiting),
        ("payouts_by_hand_hold_nothing", ByHand),
        ("no_such_refund", NeverMissing),
        ("no_such_refund", TriesTheOther),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_broken_source_breaks_its_law(law: str, kind: type[Broken]) -> None:
    """A source broken in one place is found out by the law of that place, which names itself."""

    def make() -> AbstractContextManager[Made]:
        return bed(kind=kind)

    with pytest.raises(LawBroken) as caught:
        check_payouts(make, only=(law,))
    assert caught.value.law == law
