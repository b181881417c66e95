"""Reading a payout page by page from a source, and explaining it (`reading_async` is the twin)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from refund_domain._checks import check_id, check_span, check_type
from refund_domain._wiring import check_functions, check_port
from refund_domain.answers import Missing, Unread
from refund_domain.errors import GatewayUnreadable
from refund_domain.payouts.entries import EntryPage
from refund_domain.payouts.progress import Pages, ReadingProgress
from refund_domain.payouts.statement import FeeOf, Label, Line, PayoutStatement, lines
from refund_domain.payouts.whereabouts import NotExplained, Whereabouts, Why, whereabouts
from refund_domain.ports import PayoutSource


class PayoutReading:
    """One payout, read to its end and explained; where a page is lost, the next call goes on from that page.

    `label` and `fee_of` as in `explain`. `estimate`: a payout made by hand is explained by the dates of entries,
    and says so; without it that is `NotExplained`. `every` is how often the account is paid out, where you know
    it: a balance below nothing of which no payout could be made is told apart then. `on_progress` is called
    after each page. Who may see the account's payouts is the host's to say: nobody is asked here. Raises
    TypeError or ValueError for odd arguments.

    >>> from refund_adapters.memory import ManualClock, MemoryBank, MemoryPayouts
    >>> from refund_domain.money import Money
    >>> from datetime import UTC, datetime, timedelta
    >>> clock = ManualClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
    >>> bank = MemoryBank(clock)
    >>> sold = bank.charge(Money.parse("500.00", "USD"))
    >>> clock.forward(timedelta(days=2))
    >>> paid = bank.payouts.make("platform", "USD")
    >>> bank.payouts.reconcile(paid)
    >>> print(PayoutReading(MemoryPayouts(bank), "platform", paid).statement())
    500.00 USD, as expected.
    """

    def __init__(
        self,
        source: PayoutSource,
        account: str,
        payout: str,
        *,
        label: Label | None = None,
        fee_of: FeeOf | None = None,
        estimate: bool = False,
        every: timedelta | None = None,
        on_progress: Callable[[ReadingProgress], object] | None = None,
    ) -> None:
        check_port("source", source)
        check_id(account, "account")
        check_id(payout, "payout")
        check_type(estimate, bool, "estimate")
        if every is not None:
            check_span(every, "every", timedelta(minutes=1))
        check_functions(label=label, fee_of=fee_of, on_progress=on_progress)
        self._source = source
        self._account = account
        self._id = payout
        self._label = label
        self._fee_of = fee_of
        self._estimate = estimate
        self._every = every
        self._on_progress = on_progress
        self._pages: Pages | None = None

    def statement(self) -> PayoutStatement | NotExplained:
        """The payout explained, or why it cannot be.

        Raises `GatewayUnreadable` where a page cannot be read: call again, and it goes on from there. Raises
        `EntryOdd` for an entry that contradicts itself.
        """
        pages = self._pages if self._pages is not None else self._opened()
        if isinstance(pages, NotExplained):
            return pages
        self._pages = pages
        while not pages.ended:
            page = self._page(pages)
            try:
                pages.read(page)
            except BaseException:  # also an interrupt, and what a host's own entries raise
                self._pages = None  # half a page may be counted: begin again
                raise
            if self._on_progress is not None:
                self._on_progress(pages.progress)
        return pages.statement()

    def lines(self) -> Iterator[Line] | NotExplained:
        """Every line of the payout, as they come, or why there are none; a statement keeps so many only.

        Reads from the beginning, page by page while it is gone through. Raises as `statement` does, also then.
        """
        pages = self._opened()
        return pages if isinstance(pages, NotExplained) else self._streamed(pages)

    def _streamed(self, pages: Pages) -> Iterator[Line]:
        """The lines of one page after the other."""
        while not pages.ended:
            page = self._page(pages)
            pages.passed(page)
            for line in lines(  # noqa: UP028  # as the twin, which cannot
                pages.payout, pages.own(page), label=self._label, fee_of=self._fee_of
            ):
                yield line

    def _opened(self) -> Pages | NotExplained:
        """Where to begin, or why there is nothing to read."""
        payout = self._source.payout(self._account, self._id)
        if isinstance(payout, Unread):
            raise GatewayUnreadable(payout.why)
        if isinstance(payout, Missing):
            return NotExplained(why=Why.PAYOUT_NOT_FOUND)
        return Pages.of(payout, label=self._label, fee_of=self._fee_of, estimate=self._estimate, every=self._every)

    def _page(self, pages: Pages) -> EntryPage:
        """The next page; `GatewayUnreadable` where it cannot be read."""
        page = self._source.entries(self._account, pages.payout, pages.window, pages.after)
        if isinstance(page, Unread):
            raise GatewayUnreadable(page.why)
        return page


def where_is(source: PayoutSource, account: str, refund: str) -> Whereabouts | Missing:
    """Where the money of the gateway's refund of this id is: in this payout, in that bank debit, or waiting.

    It is about the refund's own entry: the money of one that failed came back by another entry, which may be in
    a later payout. `Missing` where the account has no such refund. Raises `GatewayUnreadable` where it cannot be
    told; TypeError or ValueError for odd ids.
    """
    check_port("source", source)
    check_id(account, "account")
    check_id(refund, "refund")
    holding = source.holding(account, refund)
    if isinstance(holding, Unread):
        raise GatewayUnreadable(holding.why)
    if isinstance(holding, Missing):
        return holding
    return whereabouts(holding)
