"""How far the reading of a payout has come: what both forms of it share, without a call in it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

import attrs

from refund_domain.errors import GatewayUnreadable
from refund_domain.operations.feeds import Window
from refund_domain.payouts.entries import OWN, Entry, EntryPage
from refund_domain.payouts.funds import Payout, with_missed
from refund_domain.payouts.statement import Explanation, FeeOf, Label, PayoutStatement
from refund_domain.payouts.whereabouts import NotExplained, Why

_RIPENS_MOST: Final = timedelta(days=14)
"""How long after an entry was made its money may become available: what an estimate looks back."""
_SPAN_MOST: Final = timedelta(days=31)
"""What an estimate takes for the time of a payout of which nobody knows the one before."""

_SAME_S: Final = 60
"""How long after a payout its own entry may have been made: the one of the payout before counts to no estimate."""
_PAGES_MOST: Final = 1_000_000
"""How many pages of entries are read of one payout; more are no payout's."""


@attrs.frozen(kw_only=True)
class ReadingProgress:
    """How far it is: entries and pages read. How many there will be no gateway says."""

    payout: str
    entries: int
    pages: int

    def __str__(self) -> str:
        return f"payout {self.payout}: {self.entries:,} entries on {self.pages:,} pages"


class Pages:
    """The pages of one payout's entries, while they are read.

    `window` and `after` ask for the next page. In an estimate entries that became available before the payout
    before this one was made, or after this one was, are not its own; payouts made between the two took their part.
    """

    __slots__ = ("_count", "_explanation", "_milestone", "_span_s", "after", "ended", "payout", "window")

    def __init__(self, payout: Payout, window: Window | None, explanation: Explanation) -> None:
        self.payout, self.window, self._explanation = payout, window, explanation
        self.after: str | None = None
        self.ended = False
        self._count = 0
        self._milestone: str | None = None
        self._span_s: tuple[float, float] | None = None
        if window is not None:
            self._span_s = (window.start + _RIPENS_MOST).timestamp(), window.end.timestamp()

    @classmethod
    def of(
        cls, payout: Payout, *, label: Label | None, fee_of: FeeOf | None, estimate: bool, every: timedelta | None
    ) -> Pages | NotExplained:
        """The pages of this payout, or why there are none: not reconciled yet, or made by hand."""
        if every is not None:
            payout = with_missed(payout, every)
        if payout.automatic:
            if not payout.reconciled:
                return NotExplained(why=Why.PAYOUT_NOT_RECONCILED, payout=payout)
            return cls(payout, None, Explanation(payout, label=label, fee_of=fee_of))
        if not estimate or payout.created_at is None:
            return NotExplained(why=Why.PAYOUT_BY_HAND, payout=payout)
        since = payout.before_at if payout.before_at is not None else payout.created_at - _SPAN_MOST
        window = Window(start=since - _RIPENS_MOST, end=payout.created_at)
        plain = attrs.evolve(payout, missed_at=None)  # nothing is carried over in an estimate: it is all a guess
        return cls(payout, window, Explanation(plain, label=label, fee_of=fee_of, estimate=True))

    def own(self, page: EntryPage) -> Iterable[Entry]:
        """The entries of this page that count to the payout."""
        span = self._span_s
        if span is None:
            return page.entries
        since_s, until_s = span
        return [
            entry
            for entry in page.entries
            if (entry.category != OWN and since_s < entry.available_s <= until_s)
            or (entry.category == OWN and since_s + _SAME_S < entry.created_s)
        ]

    def read(self, page: EntryPage) -> None:
        """Count this page, and go on behind it."""
        self._advances(page)
        self._explanation.add(self.own(page))
        self.passed(page)

    def _advances(self, page: EntryPage) -> None:
        """Refuse a page that leads back: to where it was asked for, or to the last milestone on the way.

        Milestones are the first page, the second, the fourth, the eighth …, so one of them stands in any circle,
        however long, and one cursor is all that is remembered. A list without end that never comes back ends too.
        """
        if page.after is not None and (page.after in (self.after, self._milestone) or self._count >= _PAGES_MOST):
            raise GatewayUnreadable("the pages of entries do not advance")

    def passed(self, page: EntryPage) -> None:
        """Go on behind this page. Raises `GatewayUnreadable` for one that leads back."""
        self._advances(page)
        self._count += 1
        self.after, self.ended = page.after, page.after is None
        if self._count & (self._count - 1) == 0:
            self._milestone = self.after

    @property
    def progress(self) -> ReadingProgress:
        """How far it is."""
        return ReadingProgress(payout=self.payout.id, entries=self._explanation.seen, pages=self._count)

    def statement(self) -> PayoutStatement:
        """What was read, explained."""
        return self._explanation.statement()
