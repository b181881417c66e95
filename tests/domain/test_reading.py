"""A payout is read page by page: gone on with where a page was lost, refused where nothing can be said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import attrs
import pytest

from refund_adapters.memory import ManualClock, MemoryBank, MemoryPayouts
from refund_domain.answers import Missing, Unread
from refund_domain.errors import GatewayUnreadable
from refund_domain.money import Money
from refund_domain.operations.feeds import Window
from refund_domain.payments import PaymentRef
from refund_domain.payouts.entries import BalanceEntry, Entry, EntryPage, Group
from refund_domain.payouts.funds import Funds, Payout, PayoutStatus
from refund_domain.payouts.progress import Pages, ReadingProgress
from refund_domain.payouts.reading import PayoutReading, where_is
from refund_domain.payouts.reading_async import AsyncPayoutReading
from refund_domain.payouts.reading_async import where_is as async_where_is
from refund_domain.payouts.statement import EntryOdd, Line, PayoutStatement
from refund_domain.payouts.whereabouts import InDebit, InPayout, NotExplained, Waiting, Whereabouts, Why
from refund_domain.ports import PayoutSource
from tests.domain.worlds import KINDS, AwaitedFunds, Kind, driven

T = TypeVar("T")
ACCOUNT = "acct_1"
DAY = timedelta(days=1)


def usd(text: str) -> Money:
    """Dollars as people write them."""
    return Money.parse(text, "USD")


class Shop:
    """A bank with one account that is paid, refunds, and is paid out; three entries a page."""

    def __init__(self) -> None:
        self.clock = ManualClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
        self.bank = MemoryBank(self.clock)
        self.source = Flaky(MemoryPayouts(self.bank, page_size=3))

    def sells(self, *amounts: str) -> list[PaymentRef]:
        """Take payments; the money is there two days later."""
        refs = [self.bank.charge(usd(amount), account=ACCOUNT) for amount in amounts]
        self.clock.forward(2 * DAY)
        return refs

    def refunds(self, ref: PaymentRef, amount: str) -> str:
        """Refund a part in the dashboard; the refund's id."""
        return self.bank.elsewhere(ref, usd(amount))

    def pays(self, *, reconciled: bool = True) -> str:
        """A payout of all that is there; its id."""
        self.clock.forward(2 * DAY)
        paid = self.bank.payouts.make(ACCOUNT, "USD")
        if reconciled:
            self.bank.payouts.reconcile(paid)
        return paid


class Flaky:
    """A source whose calls can be made to fail, and are counted."""

    live = False

    def __init__(self, inner: PayoutSource) -> None:
        self._inner: PayoutSource = inner
        self.asked: list[str] = []
        self.lost: set[int] = set()
        self.twist: Callable[[EntryPage], EntryPage] = lambda page: page

    def funds(self, account: str, /) -> Funds | Unread:
        return self._inner.funds(account)

    def payout(self, account: str, id: str, /) -> Payout | Missing | Unread:
        return self._said("payout", lambda: self._inner.payout(account, id))

    def entries(
        self, account: str, payout: Payout, window: Window | None, after: str | None, /
    ) -> EntryPage | Unread:
        page = self._said(f"entries {after}", lambda: self._inner.entries(account, payout, window, after))
        return self.twist(page) if isinstance(page, EntryPage) else page

    def holding(self, account: str, refund: str, /) -> Payout | Missing | Unread | None:
        return self._said("holding", lambda: self._inner.holding(account, refund))

    def _said(self, name: str, ask: Callable[[], T]) -> T | Unread:
        self.asked.append(name)
        return Unread(why="page_lost") if len(self.asked) - 1 in self.lost else ask()


class Reading:
    """A reading in either form behind the sync face."""

    def __init__(self, kind: Kind, source: PayoutSource, payout: str, **more: Any) -> None:
        self._sync: PayoutReading | None = None
        self._async: AsyncPayoutReading | None = None
        if kind == "sync":
            self._sync = PayoutReading(source, ACCOUNT, payout, **more)
        else:
            self._async = AsyncPayoutReading(AwaitedFunds(source), ACCOUNT, payout, **more)

    def statement(self) -> PayoutStatement | NotExplained:
        """The statement."""
        if self._sync is not None:
            return self._sync.statement()
        assert self._async is not None
        return driven(self._async.statement())

    def lines(self) -> list[Line] | NotExplained:
        """All lines."""
        if self._sync is not None:
            found = self._sync.lines()
            return found if isinstance(found, NotExplained) else list(found)
        reading = self._async
        assert reading is not None

        async def every() -> list[Line] | NotExplained:
            found = await reading.lines()
            return found if isinstance(found, NotExplained) else [line async for line in found]

        return driven(every())


def located(kind: Kind, source: PayoutSource, refund: str) -> Whereabouts | Missing:
    """Where a refund is, by either form."""
    if kind == "sync":
        return where_is(source, ACCOUNT, refund)
    return driven(async_where_is(AwaitedFunds(source), ACCOUNT, refund))


EACH = pytest.mark.parametrize("kind", KINDS)


def stated(said: PayoutStatement | NotExplained) -> PayoutStatement:
    """It was explained."""
    assert isinstance(said, PayoutStatement), said
    return said


def listed(found: list[Line] | NotExplained) -> list[Line]:
    """There were lines."""
    assert isinstance(found, list), found
    return found


@EACH
def test_the_500_payout_is_explained_from_the_banks_own_books(kind: Kind) -> None:
    """Sold for 500.00 while 200.00 of an older payment went back: the payout is 300.00, and says why."""
    shop = Shop()
    (old,) = shop.sells("200.00")
    shop.pays()
    shop.sells("500.00")
    shop.refunds(old, "200.00")
    paid = shop.pays()
    labels = {old.charge: "booking 1042"}
    statement = stated(Reading(kind, shop.source, paid, label=labels.get).statement())
    assert statement.sentence == (
        "300.00 USD instead of 500.00 USD: 200.00 USD went back to the client of booking 1042."
    )


@EACH
def test_pages_are_read_one_after_the_other_with_progress(kind: Kind) -> None:
    """Each page is asked for behind the one before, told of, and no entry counts twice."""
    shop = Shop()
    shop.sells(*["10.00"] * 7)
    paid = shop.pays()
    told: list[ReadingProgress] = []
    statement = stated(Reading(kind, shop.source, paid, on_progress=told.append).statement())
    assert statement.total(Group.PAYMENTS) == usd("70.00")
    assert [(each.entries, each.pages) for each in told] == [(2, 1), (5, 2), (7, 3)]  # its own entry is the newest
    assert str(told[-1]) == f"payout {paid}: 7 entries on 3 pages"
    assert shop.source.asked[:2] == ["payout", "entries None"]
    assert len(set(shop.source.asked)) == 4


@EACH
@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_lost_page_is_asked_for_again_and_no_other(kind: Kind, lost: int) -> None:
    """Where a page is lost nothing is said; the next call goes on from that page, and comes to the same."""
    shop = Shop()
    shop.sells(*["10.00"] * 7)
    paid = shop.pays()
    whole = Reading(kind, shop.source, paid).statement()
    shop.source.asked.clear()
    shop.source.lost = {lost}
    reading = Reading(kind, shop.source, paid)
    with pytest.raises(GatewayUnreadable, match="page_lost"):
        reading.statement()
    assert reading.statement() == whole
    assert len(shop.source.asked) == 5
    assert shop.source.asked[lost] == shop.source.asked[lost + 1]
    assert reading.statement() == whole
    assert len(shop.source.asked) == 5


@EACH
def test_a_payout_that_cannot_be_read_raises_and_one_that_is_not_there_is_said(kind: Kind) -> None:
    """An outage is an exception, another account's payout is not found."""
    shop = Shop()
    shop.source.lost = {0}
    with pytest.raises(GatewayUnreadable, match="page_lost"):
        Reading(kind, shop.source, "po_404").statement()
    assert Reading(kind, shop.source, "po_404").statement() == NotExplained(why=Why.PAYOUT_NOT_FOUND)
    shop.bank.charge(usd("5.00"))
    shop.clock.forward(2 * DAY)
    elsewhere = shop.bank.payouts.make("platform", "USD")
    assert Reading(kind, shop.source, elsewhere).statement() == NotExplained(why=Why.PAYOUT_NOT_FOUND)


@EACH
def test_a_payout_that_is_not_reconciled_is_refused_until_it_is(kind: Kind) -> None:
    """What is in it is not known yet: a clear word, and the statement later."""
    shop = Shop()
    shop.sells("500.00")
    paid = shop.pays(reconciled=False)
    reading = Reading(kind, shop.source, paid)
    said = reading.statement()
    assert isinstance(said, NotExplained)
    assert said.why is Why.PAYOUT_NOT_RECONCILED
    assert said.payout is not None
    assert reading.lines() == said
    shop.bank.payouts.reconcile(paid)
    assert stated(reading.statement()).expected == usd("500.00")


@EACH
def test_a_refund_in_a_payout_that_is_not_reconciled_is_not_known_to_be_there(kind: Kind) -> None:
    """A payout that does not say what is in it holds no refund that anybody could know of, here as at Stripe."""
    shop = Shop()
    (old, _) = shop.sells("200.00", "500.00")
    refund = shop.refunds(old, "200.00")
    paid = shop.pays(reconciled=False)
    assert located(kind, shop.source, refund) == Waiting()
    shop.bank.payouts.reconcile(paid)
    assert isinstance(located(kind, shop.source, refund), InPayout)


@EACH
def test_a_payout_by_hand_is_refused_or_estimated_by_dates(kind: Kind) -> None:
    """Nobody knows what is in it: a clear word, or an estimate that says so and names what it cannot explain."""
    shop = Shop()
    (old,) = shop.sells("200.00")
    shop.pays()
    shop.sells("500.00")
    shop.refunds(old, "200.00")
    shop.clock.forward(2 * DAY)
    paid = shop.bank.payouts.make(ACCOUNT, "USD", usd("290.00"))
    said = Reading(kind, shop.source, paid).statement()
    assert isinstance(said, NotExplained)
    assert said.why is Why.PAYOUT_BY_HAND
    statement = stated(Reading(kind, shop.source, paid, estimate=True).statement())
    assert statement.estimate
    assert {str(total.group): total.amount for total in statement.totals} == {
        "payments": usd("500.00"),
        "refunds": usd("-200.00"),
        "unexplained": usd("-10.00"),
    }


@EACH
def test_an_estimate_of_the_first_payout_looks_back_a_month(kind: Kind) -> None:
    """Without a payout before it, entries of the last month count; what is older, or comes later, does not."""
    shop = Shop()
    shop.bank.charge(usd("70.00"), account=ACCOUNT, taken_at=shop.clock() - 60 * DAY)
    shop.sells("30.00")
    paid = shop.bank.payouts.make(ACCOUNT, "USD", usd("30.00"))
    shop.sells("9.00")
    statement = stated(Reading(kind, shop.source, paid, estimate=True).statement())
    assert statement.total(Group.PAYMENTS) == usd("30.00")
    assert len(listed(Reading(kind, shop.source, paid, estimate=True).lines())) == 1


@EACH
def test_an_estimate_begins_behind_the_automatic_payout_before(kind: Kind) -> None:
    """What was available in the second of that payout was in it; what others took since is told as theirs."""
    shop = Shop()
    shop.sells("200.00")
    shop.bank.payouts.make(ACCOUNT, "USD")
    shop.sells("50.00")
    shop.bank.payouts.make(ACCOUNT, "USD", usd("20.00"))
    shop.clock.forward(DAY)
    paid = shop.bank.payouts.make(ACCOUNT, "USD", usd("30.00"))
    statement = stated(Reading(kind, shop.source, paid, estimate=True).statement())
    assert {str(total.group): total.amount for total in statement.totals} == {
        "payments": usd("50.00"),
        "other_payouts": usd("-20.00"),
    }


def test_the_payout_before_counts_to_no_estimate_however_late_its_money_counts_as_gone() -> None:
    """Its own entry was made with it, and may be available days later: it is told by when it was made."""
    made = datetime(2026, 3, 4, tzinfo=UTC)
    by_hand = Payout(
        id="po_2", amount=usd("5.00"), arrives_on=date(2026, 3, 6), automatic=False,
        created_at=made, before_at=made - 2 * DAY,
    )  # fmt: skip
    pages = Pages.of(by_hand, label=None, fee_of=None, estimate=True, every=None)
    assert isinstance(pages, Pages)

    def gone(id: str, at: datetime) -> BalanceEntry:
        return BalanceEntry(
            id=id, category="payout", amount_minor=-1, fee_minor=0, net_minor=-1, currency="usd",
            created_s=int(at.timestamp()), available_s=int((at + DAY).timestamp()),
        )  # fmt: skip

    before, between = gone("txn_1", made - 2 * DAY), gone("txn_2", made - DAY)
    assert pages.own(EntryPage(entries=(before, between))) == [between]
    assert pages.statement().estimate
    debt = attrs.evolve(by_hand, missed_at=made - DAY)
    early = attrs.evolve(
        gone("txn_3", made - 3 * DAY / 2), category="refund", available_s=int(made.timestamp()) - 90_000
    )
    owed = Pages.of(debt, label=None, fee_of=None, estimate=True, every=None)
    assert isinstance(owed, Pages)
    owed.read(EntryPage(entries=(early,)))
    assert owed.statement().total(Group.CARRIED_OVER) == usd("0.00"), "an estimate carries nothing over"


@EACH
def test_an_account_paid_out_by_hand_alone_is_estimated(kind: Kind) -> None:
    """Of a month the other payouts took their part, and one that failed gave it back: nothing is missing."""
    shop = Shop()
    paid = ""
    for _ in range(4):
        shop.sells("500.00")
        paid = shop.bank.payouts.make(ACCOUNT, "USD", usd("500.00"))
        shop.clock.forward(timedelta(days=5))
    statement = stated(Reading(kind, shop.source, paid, estimate=True).statement())
    assert statement.sentence == (
        "500.00 USD instead of 2000.00 USD: 1500.00 USD was paid out by other payouts. An estimate by dates."
    )
    shop.bank.payouts.move(paid, "failed")
    shop.clock.forward(DAY)
    again = shop.bank.payouts.make(ACCOUNT, "USD", usd("500.00"))
    statement = stated(Reading(kind, shop.source, again, estimate=True).statement())
    assert statement.total(Group.UNEXPLAINED) == usd("0.00")


def test_a_payout_by_hand_without_its_date_is_not_estimated() -> None:
    """Where nobody says when it was made there is nothing to estimate by."""
    made = Payout(id="po_1", amount=usd("5.00"), arrives_on=date(2026, 3, 4), automatic=False)

    class Dateless(Flaky):
        def payout(self, account: str, id: str, /) -> Payout | Missing | Unread:
            return made

    said = Reading("sync", Dateless(MemoryPayouts(MemoryBank())), "po_1", estimate=True).statement()
    assert said == NotExplained(why=Why.PAYOUT_BY_HAND, payout=made)


@EACH
def test_lines_streams_what_the_statement_keeps_and_more(kind: Kind) -> None:
    """All lines, page by page, from the beginning each time, labelled."""
    shop = Shop()
    refs = shop.sells(*["10.00"] * 5)
    paid = shop.pays()
    reading = Reading(kind, shop.source, paid, label=lambda charge: f"booking {charge}")
    assert {line.id for line in listed(reading.lines())} == {line.id for line in stated(reading.statement()).lines}
    assert {line.name for line in listed(reading.lines())} == {f"booking {ref.charge}" for ref in refs}


@EACH
@pytest.mark.parametrize("estimate", [False, True])
def test_labels_and_fees_of_the_host_reach_statement_and_lines(kind: Kind, estimate: bool) -> None:
    """Of a payout on schedule and of an estimate: what the host calls a payment, and what its fee was, is told."""
    shop = Shop()
    (old,) = shop.sells("200.00")
    shop.pays()
    shop.sells("500.00")
    shop.refunds(old, "200.00")
    if estimate:
        shop.clock.forward(2 * DAY)
        paid = shop.bank.payouts.make(ACCOUNT, "USD", usd("300.00"))
    else:
        paid = shop.pays()
    told = {"label": {old.charge: "booking 1042"}.get, "fee_of": {old.charge: usd("6.10")}.get}
    reading = Reading(kind, shop.source, paid, estimate=estimate, **told)
    (refund,) = stated(reading.statement()).refunds
    assert (refund.name, refund.fee_kept) == ("booking 1042", usd("6.10"))
    (streamed,) = (line for line in listed(reading.lines()) if line.group is Group.REFUNDS)
    assert streamed == refund


@EACH
def test_pages_that_do_not_advance_end_the_reading(kind: Kind) -> None:
    """A source that leads in a circle is unreadable, not endless; and nothing of the page is counted twice."""
    shop = Shop()
    shop.sells(*["10.00"] * 7)
    paid = shop.pays()
    reading = Reading(kind, shop.source, paid)
    shop.source.twist = lambda page: attrs.evolve(page, after="stuck")
    shop.source._inner = Circling(shop.source._inner)
    with pytest.raises(GatewayUnreadable, match="do not advance"):
        reading.statement()
    with pytest.raises(GatewayUnreadable, match="do not advance"):
        Reading(kind, shop.source, paid).lines()


class Circling(Flaky):
    """Whatever page is asked for, the first comes."""

    def entries(
        self, account: str, payout: Payout, window: Window | None, after: str | None, /
    ) -> EntryPage | Unread:
        return self._inner.entries(account, payout, window, None)


class Round(Flaky):
    """A page without entries behind every cursor, and the cursors lead round in a circle of this length."""

    circle = 0

    def entries(
        self, account: str, payout: Payout, window: Window | None, after: str | None, /
    ) -> EntryPage | Unread:
        self.asked.append(f"entries {after}")
        assert len(self.asked) < 1_000, "it goes on for ever"
        place = 0 if after is None else int(after[1:])
        behind = place + 1 if place < 5 + self.circle else 6
        return EntryPage(entries=(), after=f"c{behind}" if self.circle else f"c{place + 1}")


@EACH
@pytest.mark.parametrize("circle", [1, 2, 3, 7, 16, 100])
def test_a_circle_of_pages_ends_the_reading(kind: Kind, circle: int) -> None:
    """However long the circle, and wherever it is entered: unreadable, after a few rounds of it."""
    shop = Shop()
    shop.sells("10.00")
    source = Round(MemoryPayouts(shop.bank))
    source.circle = circle
    reading = Reading(kind, source, shop.pays())
    for read in (reading.statement, reading.lines):
        source.asked.clear()
        with pytest.raises(GatewayUnreadable, match="do not advance"):
            read()


@EACH
def test_a_list_without_end_ends_the_reading(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """New pages for ever, none of them seen before, are no payout."""
    monkeypatch.setattr("refund_domain.payouts.progress._PAGES_MOST", 50)
    shop = Shop()
    shop.sells("10.00")
    source = Round(MemoryPayouts(shop.bank))
    with pytest.raises(GatewayUnreadable, match="do not advance"):
        Reading(kind, source, shop.pays()).statement()
    assert len(source.asked) == 52  # the payout, fifty pages, and the one too many


@EACH
def test_whatever_breaks_in_the_middle_of_a_page_counts_nothing_twice(kind: Kind) -> None:
    """An interrupt, or an error of a host's own entries, leaves half a page behind: the reading begins anew."""
    shop = Shop()
    shop.sells(*["10.00"] * 4)
    paid = shop.pays()
    whole = Reading(kind, shop.source, paid).statement()

    class Torn(tuple[Entry, ...]):
        """Entries that break off behind the second."""

        def __iter__(self) -> Iterator[Entry]:
            yield from self[:2]
            raise KeyboardInterrupt

    def torn(page: EntryPage) -> EntryPage:
        object.__setattr__(page, "entries", Torn(page.entries))
        return page

    reading = Reading(kind, shop.source, paid)
    shop.source.twist = torn
    with pytest.raises(KeyboardInterrupt):
        reading.statement()
    shop.source.twist = lambda page: page
    assert reading.statement() == whole


@EACH
def test_an_entry_that_contradicts_itself_ends_the_reading_and_leaves_nothing_behind(kind: Kind) -> None:
    """The reading raises; once the source is sane again, the same reading begins anew and is right."""
    shop = Shop()
    shop.sells(*["10.00"] * 4)
    paid = shop.pays()
    reading = Reading(kind, shop.source, paid)

    def off_by_one(page: EntryPage) -> EntryPage:
        odd = [
            attrs.evolve(each, net_minor=each.net_minor + 1)
            for each in page.entries
            if isinstance(each, BalanceEntry)
        ]
        return attrs.evolve(page, entries=(*page.entries[:-1], odd[-1]))

    shop.source.twist = off_by_one
    with pytest.raises(EntryOdd):
        reading.statement()
    shop.source.twist = lambda page: page
    assert stated(reading.statement()).total(Group.PAYMENTS) == usd("40.00")


@EACH
def test_a_refund_is_found_in_its_payout_in_a_debit_or_nowhere_yet(kind: Kind) -> None:
    """Exactly one of the three, for a refund of each kind; another's refund is not there."""
    shop = Shop()
    first, second = shop.sells("200.00", "100.00")
    shop.pays()
    netted = shop.refunds(first, "50.00")
    shop.sells("500.00")
    paid = shop.pays()
    assert located(kind, shop.source, netted) == InPayout(payout=paid_now(shop, paid))
    debited = shop.refunds(second, "80.00")
    assert located(kind, shop.source, debited) == Waiting()
    debit = shop.pays(reconciled=False)
    assert located(kind, shop.source, debited) == Waiting()  # nobody says yet
    shop.bank.payouts.reconcile(debit)
    assert located(kind, shop.source, debited) == InDebit(payout=paid_now(shop, debit))
    assert located(kind, shop.source, "re_404") == Missing()
    foreign = shop.bank.charge(usd("5.00"))
    assert located(kind, shop.source, shop.bank.elsewhere(foreign, usd("5.00"))) == Missing()
    shop.source.lost = {len(shop.source.asked)}
    with pytest.raises(GatewayUnreadable, match="page_lost"):
        located(kind, shop.source, netted)


def paid_now(shop: Shop, id: str) -> Payout:
    """The payout as the source shows it."""
    found = MemoryPayouts(shop.bank).payout(ACCOUNT, id)
    assert isinstance(found, Payout)
    return found


@EACH
def test_every_refund_is_in_one_place_and_every_payout_adds_up(kind: Kind) -> None:
    """Over weeks of sales, refunds and payouts, some of them debits: each refund is in one payout whose statement
    holds it, or waits; and the statements together are all that moved."""
    shop = Shop()
    made: dict[str, None] = {}
    payouts: list[str] = []
    sold: list[PaymentRef] = []
    for week in range(8):
        sold += shop.sells(*["40.00"] * (week % 3))
        for ref in sold[: week % 4]:
            made[shop.refunds(ref, "5.00")] = None
        try:
            payouts.append(shop.pays())
        except ValueError:
            continue  # nothing to pay
    statements = [stated(Reading(kind, shop.source, paid).statement()) for paid in payouts]
    assert any(statement.payout.is_debit for statement in statements)
    for refund in made:
        holding = [each for each in statements if any(line.id == f"txn_{refund}" for line in each.refunds)]
        where = located(kind, shop.source, refund)
        if isinstance(where, Waiting):
            assert holding == []
        else:
            assert isinstance(where, InPayout | InDebit)
            assert [each.payout.id for each in holding] == [where.payout.id]
    assert all(statement.total(Group.UNEXPLAINED) == usd("0.00") for statement in statements)


@EACH
@pytest.mark.parametrize("told_by", ["the bank", "the host"])
def test_what_a_scheduled_balance_carried_over_is_told(kind: Kind, told_by: str) -> None:
    """A dispute leaves less than nothing, days pass without a payout, and the next says what it made up for."""
    shop = Shop()
    (old,) = shop.sells("200.00")
    shop.bank.payouts.schedule(ACCOUNT, "USD")
    shop.clock.forward(DAY)
    shop.bank.dispute(old)
    shop.clock.forward(3 * DAY)
    shop.sells("500.00")
    shop.clock.forward(3 * DAY)
    (last, first) = shop.bank.payouts.listed(ACCOUNT)
    every = None
    if told_by == "the host":
        shop.bank.payouts.unschedule(ACCOUNT, "USD")
        assert stated(Reading(kind, shop.source, last.id).statement()).total(Group.CARRIED_OVER) == usd("0.00")
        every = DAY
    statement = stated(Reading(kind, shop.source, last.id, every=every).statement())
    assert first.amount == usd("200.00")
    assert {str(total.group): total.amount for total in statement.totals} == {
        "payments": usd("500.00"),
        "carried_over": usd("-215.00"),
    }


@pytest.mark.parametrize("form", [PayoutReading, AsyncPayoutReading])
def test_arguments_are_checked(form: Any) -> None:
    """Odd ids and switches are refused before anything is asked."""
    source = MemoryPayouts(MemoryBank())
    odd: list[tuple[str, str, dict[str, Any]]] = [
        ("", "po_1", {}),
        ("acct_1", "../x", {}),
        ("acct_1", "po_1", {"estimate": 1}),
        ("acct_1", "po_1", {"every": DAY * 0}),
    ]
    for account, payout, more in odd:
        with pytest.raises((TypeError, ValueError)):
            form(source, account, payout, **more)
    with pytest.raises(ValueError, match="refund"):
        where_is(source, "acct_1", "")
    with pytest.raises(ValueError, match="account"):
        driven(async_where_is(AwaitedFunds(source), "", "re_1"))


def test_a_bank_tells_what_it_holds() -> None:
    """Payouts in progress and balances, available and pending, of this account alone."""
    shop = Shop()
    shop.sells("500.00")
    shop.bank.charge(usd("20.00"), account=ACCOUNT)
    paid = shop.bank.payouts.make(ACCOUNT, "USD", usd("100.00"))
    held = MemoryPayouts(shop.bank).funds(ACCOUNT)
    assert isinstance(held, Funds)
    assert [(each.id, each.amount, each.status) for each in held.payouts] == [
        (paid, usd("100.00"), PayoutStatus.PENDING)
    ]
    (balance,) = held.balances
    assert (balance.available, balance.pending) == (usd("400.00"), usd("20.00"))
    shop.bank.payouts.move(paid, "paid")
    after = MemoryPayouts(shop.bank).funds(ACCOUNT)
    assert isinstance(after, Funds)
    assert after.payouts == ()
    assert MemoryPayouts(shop.bank).funds("acct_2") == Funds()
    assert not MemoryPayouts(shop.bank).live
