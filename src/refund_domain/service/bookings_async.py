"""What a service does with bookings, awaited. The twin of `bookings`; see there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from refund_domain._checks import check_tuple, check_type
from refund_domain.commands import Actor, IssueRefund
from refund_domain.operations.bulk import BulkProgress, BulkReport, BulkRun
from refund_domain.payments import AnyPayment
from refund_domain.payouts.funds import Funds
from refund_domain.ports import AsyncPayoutSource
from refund_domain.quotes import (
    Booking,
    BookingQuote,
    IssueBooking,
    NotTried,
    Quote,
    accounts_of,
    fund_bookings,
    fund_together,
)
from refund_domain.refusals import Refused
from refund_domain.service.guard_async import AsyncGuard
from refund_domain.service.stream import named
from refund_domain.service.watch import Watch
from refund_domain.views import Refund

AsyncSleep = Callable[[float], Awaitable[object]]
"""How a bulk run waits between two refunds: given seconds, come back after them."""


class AsyncBookings(AsyncGuard):
    """Bookings by way of the service's own `quote` and `issue`, so that every rule of theirs holds here."""

    _sleep: AsyncSleep | None
    _payouts: AsyncPayoutSource | None

    if TYPE_CHECKING:

        async def _quote(self, ref: AnyPayment, by: Actor, watch: Watch) -> Quote: ...

        async def issue(self, command: IssueRefund) -> Refund | Refused: ...

    async def quote(self, ref: AnyPayment, *, by: Actor) -> Quote:
        """Look at the gateway and show what a refund would send, or all the reasons why not.

        Where the service was given a source of payouts, the account's payouts in progress and its balance are read
        for the forecast of where the money comes from; where they cannot be read there is none. Raises
        `GatewayUnreadable` when the gateway cannot be read, `JournalError` for the journal.
        """
        with self._watch.held(None) as watch:
            quotes = (await self._quote(ref, by, watch),)
            return fund_together(quotes, await self._funds(quotes), self._policy)[0]

    async def quote_booking(self, booking: Booking, *, by: Actor) -> BookingQuote:
        """A quote for each payment of the booking, outside payments included, funded together."""
        check_type(booking, Booking, "booking")
        return (await self.quote_bookings((booking,), by=by))[0]

    async def quote_bookings(self, bookings: Iterable[Booking], *, by: Actor) -> tuple[BookingQuote, ...]:
        """A quote of each booking, in the order given, all funded together: what one takes the next does not find.

        Raises as `quote` does where one payment cannot be read: a page that shows some of them says so itself.
        """
        bookings = tuple(bookings)
        check_tuple(bookings, Booking, "bookings")
        quotes = []
        with self._watch.held(None) as watch:
            for booking in bookings:
                each = []
                for ref in sorted(booking.payments, key=str):
                    each.append(await self._quote(ref, by, watch))
                quotes.append(BookingQuote(label=booking.label, quotes=tuple(each)))
            funds = await self._funds(tuple(each for quote in quotes for each in quote.quotes))
            return fund_bookings(tuple(quotes), funds, self._policy)

    async def _funds(self, quotes: tuple[Quote, ...]) -> dict[str, Funds]:
        """What each account holds, as far as it can be read: a forecast is not worth failing a quote for."""
        held: dict[str, Funds] = {}
        if self._payouts is not None:
            for account in accounts_of(quotes):
                try:
                    funds = await self._payouts.funds(account)
                except Exception:  # a source must not raise; one that does costs its forecast
                    continue
                if isinstance(funds, Funds):
                    held[account] = funds
        return held

    async def issue_booking(self, command: IssueBooking) -> tuple[Refund | Refused | NotTried, ...]:
        """Issue each refund of the booking, in ref order; one result each, no all-or-nothing.

        What broke is `NotTried`; running the same command again finishes the rest and repeats nothing. A command
        without refunds gives `()`, which is no success.
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
