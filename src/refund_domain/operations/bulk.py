"""Many bookings refunded in one run (a storm cancels forty inspections): pace, progress, one report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import attrs

from refund_domain._checks import check_tuple
from refund_domain.commands import IssueRefund
from refund_domain.decider.ledger import Status
from refund_domain.money import Currency, Money
from refund_domain.payments import PaymentRef
from refund_domain.quotes import IssueBooking, NotTried
from refund_domain.refusals import Refused
from refund_domain.rules.eligibility import capped
from refund_domain.views import Refund

REFUSED: Final = "refused"
NOT_TRIED: Final = "not_tried"
WAITS_FOR_SECOND: Final = "waits_for_second"

SAYS: Final[dict[str, str]] = {
    Status.REQUESTED: "not sent yet: recovery sends what still may be sent",
    Status.IN_DOUBT: "the money may have moved: recovery finds out, repay nothing by other means",
    Status.PENDING: "on its way",
    Status.DECLINED: "the gateway said no",
    Status.FAILED: "it came back: a person is waited for",
    WAITS_FOR_SECOND: "nothing is sent unless another person approves it",
    REFUSED: "a rule said no and nothing was sent",
    NOT_TRIED: (
        "nothing was heard of it, it may be on record and may still be sent: "
        "run the same bookings again, repay nothing by other means"
    ),
}
"""What a report adds to an outcome that leaves something to do."""


@attrs.frozen(kw_only=True)
class BulkItem:
    """What became of one payment of one booking; `verified` is the amount that a person verified.

    Items of one `request_id` are of one refund.
    """

    label: str
    payment: PaymentRef
    verified: Money
    result: Refund | Refused | NotTried
    request_id: str | None = None

    @property
    def outcome(self) -> str:
        """The refund's status, or `waits_for_second`, `refused`, `not_tried`."""
        match self.result:
            case Refund(waits_for_second=True):
                return WAITS_FOR_SECOND
            case Refund(status=status):
                return str(status)
            case Refused():
                return REFUSED
            case NotTried():
                return NOT_TRIED

    def __str__(self) -> str:
        """One line for a list: booking, payment, amount, and why it is as it is."""
        return f"{self.label}, {self.payment}, {self.verified}: {self._why()}"

    def _why(self) -> str:
        match self.result:
            case Refund(detail=detail):
                return f"{self.outcome}, {detail}" if detail else self.outcome
            case Refused() as refused:
                return f"{self.outcome}. {refused}"
            case NotTried(error=error):
                return f"{self.outcome}, {error}"


@attrs.frozen(kw_only=True)
class BulkTotal:
    """How many payments had this outcome, and the sum of what was verified for them, by currency: exact, up
    to the most that `Money` can be."""

    outcome: str
    count: int
    sums: tuple[Money, ...]

    def __str__(self) -> str:
        says = f" ({SAYS[self.outcome]})" if self.outcome in SAYS else ""
        return f"{self.outcome}: {self.count}, {' + '.join(map(str, self.sums))}{says}"


@attrs.frozen(kw_only=True)
class BulkProgress:
    """How far a run is: `done` of `of` payments, the last of which is `item`."""

    done: int
    of: int
    item: BulkItem


@attrs.frozen(kw_only=True)
class BulkReport:
    """What one run did: an item for each payment, in the order of the run. `str(report)` is for people.

    Each command has its item. What was given twice is one request, and is counted and listed once.
    Nothing has to be kept to go on: the same bookings again finish the rest and repeat nothing.
    """

    bookings: int
    items: tuple[BulkItem, ...] = ()

    @property
    def totals(self) -> tuple[BulkTotal, ...]:
        """One total for each outcome: what succeeded, then the others in the order in which they first came.

        A request is counted once, however often it was given.
        """
        groups: dict[str, list[Money]] = {}
        for item in self._once:
            groups.setdefault(item.outcome, []).append(item.verified)
        return tuple(
            BulkTotal(outcome=outcome, count=len(amounts), sums=_sums(amounts))
            for outcome, amounts in sorted(groups.items(), key=lambda group: group[0] != Status.SUCCEEDED)
        )

    @property
    def unfinished(self) -> tuple[BulkItem, ...]:
        """What recovery goes on with by itself: not sent yet, or in doubt."""
        return self._with(Status.REQUESTED, Status.IN_DOUBT)

    @property
    def waits_for_second(self) -> tuple[BulkItem, ...]:
        """What only another person can let go (`approve`); what nobody approves is dropped, never sent."""
        return self._with(WAITS_FOR_SECOND)

    @property
    def refused(self) -> tuple[BulkItem, ...]:
        """What a rule said no to; each needs a new quote and a new decision, or another way."""
        return self._with(REFUSED)

    @property
    def not_tried(self) -> tuple[BulkItem, ...]:
        """What broke, and may be on record and be sent all the same: run the same bookings again."""
        return self._with(NOT_TRIED)

    def __str__(self) -> str:
        counted = f"{_counted(self.bookings, 'booking')}, {_counted(len(self._once), 'payment')}"
        odd = [item for item in self._once if item.outcome not in (Status.SUCCEEDED, Status.PENDING)]
        return "\n".join([counted, *map(str, self.totals), *(f"- {item}" for item in odd)])

    def _with(self, *outcomes: str) -> tuple[BulkItem, ...]:
        return tuple(item for item in self._once if item.outcome in outcomes)

    @property
    def _once(self) -> tuple[BulkItem, ...]:
        """One item of each request: it is one refund, and twice in the sums it would say twice what was sent."""
        kept: dict[object, BulkItem] = {}
        for place, item in enumerate(self.items):
            request = place if item.request_id is None else (item.payment, item.request_id, item.verified)
            # The refund itself tells best what became of it: what was refused or broke beside it changes nothing.
            if isinstance(item.result, Refund) or request not in kept:
                kept[request] = item
        return tuple(kept.values())


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _sums(amounts: Iterable[Money]) -> tuple[Money, ...]:
    """One sum for each currency, by its code: exact, but never above the most that Money can be."""
    sums: dict[Currency, int] = {}
    for amount in amounts:
        sums[amount.currency] = sums.get(amount.currency, 0) + amount.amount_minor
    return tuple(capped(sums[currency], currency) for currency in sorted(sums, key=lambda currency: currency.code))


class BulkRun:
    """One run under way: what is to be issued, how long to wait before each, what came of it.

    Everything is checked here, before the first refund: commands (a generator is read to its end), pace, progress.
    """

    def __init__(
        self,
        commands: Iterable[IssueBooking],
        most_per_second: float | None,
        on_progress: Callable[[BulkProgress], object] | None,
        sleep: object,
    ) -> None:
        bookings = tuple(commands)
        check_tuple(bookings, IssueBooking, "commands")
        if on_progress is not None and not callable(on_progress):
            raise TypeError("on_progress must be callable")
        self._gap_s = 0.0 if most_per_second is None else _gap_s(most_per_second, sleep)
        self._bookings, self._on_progress = len(dict.fromkeys(bookings)), on_progress
        self.refunds: tuple[tuple[str, IssueRefund], ...] = tuple(
            (booking.label, refund) for booking in bookings for refund in booking.in_order
        )
        self._items: list[BulkItem] = []
        self._next: float | None = None

    def wait_s(self, now: float) -> float:
        """How long to wait at this monotonic moment before the next refund is issued; it has its turn now."""
        begins = now if self._next is None else max(now, self._next)
        self._next = begins + self._gap_s
        return begins - now

    def took(self, label: str, refund: IssueRefund, result: Refund | Refused | NotTried) -> None:
        """What came of this refund; the host is told, and what its function raises stops nothing."""
        item = BulkItem(
            label=label,
            payment=refund.payment,
            verified=refund.amount,
            result=result,
            request_id=refund.request_id,
        )
        self._items.append(item)
        if self._on_progress is not None:
            try:
                self._on_progress(BulkProgress(done=len(self._items), of=len(self.refunds), item=item))
            except Exception:
                return

    def report(self) -> BulkReport:
        """What the run did."""
        return BulkReport(bookings=self._bookings, items=tuple(self._items))


def _gap_s(most_per_second: float, sleep: object) -> float:
    """The least time between two issues."""
    if type(most_per_second) not in (int, float):
        raise TypeError(f"most_per_second must be a number, not {type(most_per_second).__name__}")
    if not 0.001 <= most_per_second <= 1000:
        raise ValueError("most_per_second must be from 0.001 to 1000")
    if not callable(sleep):
        raise TypeError(
            "most_per_second needs a sleep: build the service with sleep=asyncio.sleep, or your loop's own"
        )
    return 1 / most_per_second
