"""The service within a host's own transaction: what may be written down together with the host's rows.

    with transaction.atomic():                                  # or whatever opens the host's transaction
        booking.refund_wanted()
        refund = refunds.within(connection).request(command)    # committed or rolled back with the booking
    refunds.dispatch(command.payment)                           # after the commit: looks, decides afresh, sends

Nothing here reaches the gateway, so nothing is offered here that would have to.
"""

from __future__ import annotations

from typing import Protocol

from refund_domain.commands import Actor, IssueRefund
from refund_domain.money import Money
from refund_domain.payments import AnyPayment
from refund_domain.refusals import Refused
from refund_domain.views import PaymentView, Refund


class _Recorder(Protocol):
    def request(self, command: IssueRefund) -> Refund | Refused: ...

    def record_outside(
        self, ref: AnyPayment, amount: Money, *, by: Actor, how: str, record_id: str | None = None
    ) -> PaymentView | Refused: ...


class _AsyncRecorder(Protocol):
    async def request(self, command: IssueRefund) -> Refund | Refused: ...

    async def record_outside(
        self, ref: AnyPayment, amount: Money, *, by: Actor, how: str, record_id: str | None = None
    ) -> PaymentView | Refused: ...


class RefundsWithin:
    """`RefundService.within(connection)`: `request` and `record_outside`, committed or rolled back with the host.

    A race is never decided again here, because what the transaction has read may be old: `JournalConflict` is
    raised, and the host rolls back and repeats the whole of it, as it does for its own rows. Use it until the
    transaction ends, and make another for the next.
    """

    def __init__(self, service: _Recorder) -> None:
        self._service = service

    def request(self, command: IssueRefund) -> Refund | Refused:
        """As `RefundService.request`. `dispatch` it after the commit; recovery does if nobody else does."""
        return self._service.request(command)

    def record_outside(
        self, ref: AnyPayment, amount: Money, *, by: Actor, how: str, record_id: str | None = None
    ) -> PaymentView | Refused:
        """As `RefundService.record_outside`."""
        return self._service.record_outside(ref, amount, by=by, how=how, record_id=record_id)


class AsyncRefundsWithin:
    """`RefundsWithin` for the async service; arguments, results and errors are the same."""

    def __init__(self, service: _AsyncRecorder) -> None:
        self._service = service

    async def request(self, command: IssueRefund) -> Refund | Refused:
        """As `AsyncRefundService.request`."""
        return await self._service.request(command)

    async def record_outside(
        self, ref: AnyPayment, amount: Money, *, by: Actor, how: str, record_id: str | None = None
    ) -> PaymentView | Refused:
        """As `AsyncRefundService.record_outside`."""
        return await self._service.record_outside(ref, amount, by=by, how=how, record_id=record_id)
