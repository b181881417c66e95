"""A host's wiring, as the state machine drives it: what people click, what its jobs do, and its bank.

`Wiring` does with a service what the how-to pages say. Override what your host does in code of its own (its views,
its queue, its cancellation), and the machine drives that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from refund_domain._checks import check_type
from refund_domain.commands import Actor, Choice, FormError, IssueRefund
from refund_domain.decider.ledger import HOLDS
from refund_domain.money import Money
from refund_domain.operations.reconcile import Outcome
from refund_domain.payments import AnyPayment, GatewayRefund, PaymentRef
from refund_domain.policy import DEFAULT_POLICY, Policy
from refund_domain.quotes import Quote
from refund_domain.refusals import Refused
from refund_domain.service.refunds_async import AsyncRefundService
from refund_domain.service.stream import Received, Recovery, Waiting
from refund_domain.signals import Signal
from refund_domain.testing.weather import Run, Weather
from refund_domain.views import PaymentView, Refund


class Bank(Protocol):
    """The other side of the gateway, by another way than the gateway; `MemoryBank` is one.

    For the machine to see money go out twice, this bank should not refuse it: `MemoryBank(clock, cap=False)`.
    """

    def charge(self, amount: Money, *, account: str, method: str) -> PaymentRef:
        """Take and capture a payment of this amount by this method, at this account."""

    def refunds(self, ref: PaymentRef) -> tuple[GatewayRefund, ...]:
        """The truth: every refund of the payment, also what no list shows yet, the newest first."""

    def elsewhere(self, ref: PaymentRef, amount: Money) -> object:
        """Refund this much as somebody would in the dashboard, without our mark."""

    def dispute(self, ref: PaymentRef) -> object:
        """The client disputes the whole payment."""

    def settle(self, refund_id: str, status: str, failure_reason: str | None) -> object:
        """Move a refund to another status now."""


class Desk(Protocol):
    """What a wiring uses of a service: `RefundService` is one, `Awaited` makes one of an asynchronous service."""

    def quote(self, ref: AnyPayment, *, by: Actor) -> Quote:
        """See `RefundService.quote`."""

    def issue(self, command: IssueRefund) -> Refund | Refused:
        """See `RefundService.issue`."""

    def request(self, command: IssueRefund) -> Refund | Refused:
        """See `RefundService.request`."""

    def dispatch(self, ref: PaymentRef) -> PaymentView:
        """See `RefundService.dispatch`."""

    def show(self, ref: AnyPayment, *, by: Actor) -> PaymentView | Refused:
        """See `RefundService.show`."""

    def attention(self, *, by: Actor) -> tuple[Waiting, ...] | Refused:
        """See `RefundService.attention`."""

    def settle(
        self, ref: PaymentRef, *, subject: str, code: str, choice: Choice, by: Actor
    ) -> PaymentView | Refused:
        """See `RefundService.settle`."""

    def record_outside(self, ref: AnyPayment, amount: Money, *, by: Actor, how: str) -> PaymentView | Refused:
        """See `RefundService.record_outside`."""

    def receive(self, signal: Signal) -> Received:
        """See `RefundService.receive`."""

    def reconcile(self, ref: PaymentRef) -> Outcome:
        """See `RefundService.reconcile`."""

    def recover(self) -> Recovery:
        """See `RefundService.recover`."""


class Told(StrEnum):
    """What a person is told who pressed the button."""

    UNDER_WAY = "under_way"
    """There is a refund: requested, in doubt, pending or made."""
    REFUSED = "refused"
    """There is none, and none will come of this."""


class Wiring:
    """A host's code around the library. Every act has a default; override what your host does otherwise.

    `service` is on trial. Its gateway is `weather.over(gateway)`, so that calls can go wrong. `bank` is the
    gateway's other side. `forward` moves the clock of bank and journal. `policy` is the service's: its edges are
    the jumps in time. `own(ref, tenant)` tells the host whose a new payment is, for its `allow`. `restart` makes
    the service anew over the same journal, after a crash.
    """

    def __init__(
        self,
        service: Desk,
        *,
        bank: Bank,
        weather: Weather,
        forward: Callable[[timedelta], object],
        own: Callable[[PaymentRef, str], object],
        policy: Policy = DEFAULT_POLICY,
        restart: Callable[[], Desk] | None = None,
    ) -> None:
        check_type(weather, Weather, "weather")
        check_type(policy, Policy, "policy")
        self.service = service
        self.bank = bank
        self.weather = weather
        self.policy = policy
        self.forward = forward
        self.own = own
        self._restart = restart
        weather.worker = self.work

    # --- what people do ---------------------------------------------------------------------------------------

    def page(self, ref: PaymentRef, by: Actor) -> Mapping[str, str] | None:
        """Open the refund page: the hidden fields beside the button, None where there is no button."""
        quote = self.service.quote(ref, by=by)
        return None if quote.refusals else quote.form()

    def press(self, ref: PaymentRef, by: Actor, form: Mapping[str, str]) -> Told:
        """Press the button of a page with these fields, and say what the person is told.

        May raise `RefundError` before anything was sent: an error page that says to press again.
        """
        return self._told(form, ref, by, self.service.issue)

    def ask(self, ref: PaymentRef, by: Actor, form: Mapping[str, str]) -> Told:
        """The same where the host sends from a queue: only write the decision down; `job` sends it."""
        return self._told(form, ref, by, self.service.request)

    def show(self, ref: PaymentRef, by: Actor) -> PaymentView | Refused:
        """The payment with its refunds, as this person sees it."""
        return self.service.show(ref, by=by)

    def cancel(self, ref: PaymentRef, by: Actor) -> None:
        """Cancel the booking of this payment. It refunds nothing (R5); a host does here what it does else."""

    def outside(self, ref: PaymentRef, amount: Money, by: Actor) -> None:
        """Record that so much was given back outside."""
        self.service.record_outside(ref, amount, by=by, how="a check")

    def waiting(self, by: Actor) -> tuple[Waiting, ...]:
        """What waits for a person."""
        waiting = self.service.attention(by=by)
        return () if isinstance(waiting, Refused) else waiting

    def settle(self, ref: PaymentRef, subject: str, code: str, choice: Choice, by: Actor) -> None:
        """Answer what waits."""
        self.service.settle(ref, subject=subject, code=code, choice=choice, by=by)

    # --- what machines do -------------------------------------------------------------------------------------

    def job(self, ref: PaymentRef) -> None:
        """The queue's job for this payment."""
        self.service.dispatch(ref)

    def work(self) -> None:
        """One run of the recovery job."""
        self.service.recover()

    def receive(self, signal: Signal) -> None:
        """Take a verified signal, as the webhook's handler does."""
        self.service.receive(signal)

    def reconcile(self, ref: PaymentRef) -> None:
        """The daily look at this payment, for what no signal told."""
        self.service.reconcile(ref)

    def restart(self) -> None:
        """The process died: begin anew, with what the journal has."""
        if self._restart is not None:
            self.service = self._restart()

    def _told(
        self,
        form: Mapping[str, str],
        ref: PaymentRef,
        by: Actor,
        act: Callable[[IssueRefund], Refund | Refused],
    ) -> Told:
        try:
            command = IssueRefund.from_form(form, payment=ref, by=by)
        except FormError:
            return Told.REFUSED
        said = act(command)
        return Told.UNDER_WAY if isinstance(said, Refund) and HOLDS[said.status] else Told.REFUSED


class Awaited:
    """An `AsyncRefundService` as a `Desk`: each call is awaited by `run`, `asyncio.Runner().run` for instance.

    `weather` lets other workers run during a call as well.
    """

    def __init__(self, service: AsyncRefundService, run: Run, weather: Weather) -> None:
        self._service = service
        self._run = run
        weather.awaited_worker = service.recover

    def quote(self, ref: AnyPayment, *, by: Actor) -> Quote:
        """As the service's."""
        return self._run(self._service.quote(ref, by=by))

    def issue(self, command: IssueRefund) -> Refund | Refused:
        """As the service's."""
        return self._run(self._service.issue(command))

    def request(self, command: IssueRefund) -> Refund | Refused:
        """As the service's."""
        return self._run(self._service.request(command))

    def dispatch(self, ref: PaymentRef) -> PaymentView:
        """As the service's."""
        return self._run(self._service.dispatch(ref))

    def show(self, ref: AnyPayment, *, by: Actor) -> PaymentView | Refused:
        """As the service's."""
        return self._run(self._service.show(ref, by=by))

    def attention(self, *, by: Actor) -> tuple[Waiting, ...] | Refused:
        """As the service's."""
        return self._run(self._service.attention(by=by))

    def settle(
        self, ref: PaymentRef, *, subject: str, code: str, choice: Choice, by: Actor
    ) -> PaymentView | Refused:
        """As the service's."""
        return self._run(self._service.settle(ref, subject=subject, code=code, choice=choice, by=by))

    def record_outside(self, ref: AnyPayment, amount: Money, *, by: Actor, how: str) -> PaymentView | Refused:
        """As the service's."""
        return self._run(self._service.record_outside(ref, amount, by=by, how=how))

    def receive(self, signal: Signal) -> Received:
        """As the service's."""
        return self._run(self._service.receive(signal))

    def reconcile(self, ref: PaymentRef) -> Outcome:
        """As the service's."""
        return self._run(self._service.reconcile(ref))

    def recover(self) -> Recovery:
        """As the service's."""
        return self._run(self._service.recover())
