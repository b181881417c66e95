"""What a service does with bookings, awaited. The twin of `bookings`; see there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from refund_domain._checks import check_tuple, check_type
from refund_domain.commands import Actor, IssueRefund
from refund_domain.operations.bulk import BulkProgress, BulkReport, BulkRun
from refund_domain.payments import AnyPayment
from refund_domain.quotes import (
    Booking,
    BookingQuote,
    IssueBooking,
    NotTried,
    Quote,
    fund_bookings,
    fund_together,
)
from refund_domain.refusals import Refused
from refund_domain.rules.funding import Payout
from refund_domain.service.guard_async import AsyncGuard
from refund_domain.service.stream import named
from refund_domain.views import Refund

AsyncSleep = Callable[[float], Awaitable[object]]
"""How a bulk run waits between two refunds: given seconds, come back after them."""


class AsyncBookings(AsyncGuard):
    """Bookings by way of the service's own `quote` and `issue`, so that every rule of theirs holds here."""

    _sleep: AsyncSleep | None

    if TYPE_CHECKING:

        async def quote(self, ref: AnyPayment, *, by: Actor, payouts: Iterable[Payout] = ()) -> Quote: ...

        async def issue(self, command: IssueRefund) -> Refund | Refused: ...

    async def quote_booking(self, booking: Booking, *, by: Actor, payouts: Iterable[Payout] = ()) -> BookingQuote:
        """A quote for each payment of the booking, outside payments included, funded together."""
        check_type(booking, Booking, "booking")
        payouts = tuple(payouts)
        check_tuple(payouts, Payout, "payouts")
        quotes = []
        for ref in sorted(booking.payments, key=str):
            quotes.append(await self.quote(ref, by=by))
        funded = fund_together(tuple(quotes), payouts, self._policy)
        return BookingQuote(label=booking.label, quotes=funded)

    async def quote_bookings(
        self, bookings: Iterable[Booking], *, by: Actor, payouts: Iterable[Payout] = ()
    ) -> tuple[BookingQuote, ...]:
        """A quote of each booking, in the order given, all funded together: what one takes the next does not find.

        Raises as `quote` does where one payment cannot be read: a page that shows some of them says so itself.
        """
        bookings, payouts = tuple(bookings), tuple(payouts)
        check_tuple(bookings, Booking, "bookings")
        check_tuple(payouts, Payout, "payouts")
        quotes = []
        for booking in bookings:
            quotes.append(await self.quote_booking(booking, by=by))
        return fund_bookings(tuple(quotes), payouts, self._policy)

    async def issue_booking(self, command: IssueBooking) -> tuple[Refund | Refused | NotTried, ...]:
        """Issue each refund of the booking, in ref order; one result each, no all-or-nothing.

        What broke is `NotTried`; running the same command again finishes the rest and repeats nothing.
        """
        check_type(command, IssueBooking, "command")
        report = await self.issue_bookings((command,))
        return tuple(item.result for item in report.items)

    async def issue_bookings(
        self,
        commands: Iterable[IssueBooking],
        *,
        most_per_second: float | None = None,
        on_progress: Callable[[BulkProgress], object] | None = None,
    ) -> BulkReport:
        """Issue each refund of many bookings, in the order given; one report, whatever breaks.

        One payment's trouble stops no other. Run again after a crash, the same commands finish the rest and repeat
        nothing; nothing else has to be kept. At most `most_per_second` are issued in a second, by the monotonic
        clock; where the gateway says slow down all the same, the refund stays `requested` and recovery sends it.
        `on_progress` is called after each payment; what it raises is ignored.

        Raises TypeError or ValueError for odd arguments, before anything is sent; and what a generator of commands
        raises, for it is read to its end first.
        """
        run = BulkRun(commands, most_per_second, on_progress, self._sleep)
        for label, refund in run.refunds:
            run.took(label, refund, await self._in_turn(run, refund))
        return run.report()

    async def _in_turn(self, run: BulkRun, refund: IssueRefund) -> Refund | Refused | NotTried:
        """Issue this one when its turn has come; what breaks is its own affair."""
        try:
            wait_s = run.wait_s(self._monotonic())
            if wait_s > 0 and self._sleep is not None:
                await self._sleep(wait_s)
            return await self.issue(refund)
        except Exception as error:
            return NotTried(payment=refund.payment, error=named(error))
