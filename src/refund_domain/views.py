"""What a host is shown: a refund, a payment with all its refunds. Values, derived from a ledger, never stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Final

import attrs

from refund_domain.answers import Declined
from refund_domain.commands import Reason
from refund_domain.decider.advice import AfterFailure, next_step
from refund_domain.decider.ledger import Ledger, RefundRecord, Status, is_ours, shown, status_of
from refund_domain.decider.pulling import LegState, state_of, still_of
from refund_domain.events import OutsideRecorded
from refund_domain.money import Money
from refund_domain.payments import AnyPayment, GatewayRefund, Payment, PaymentRef, Trace
from refund_domain.policy import Policy
from refund_domain.refusals import Refusal
from refund_domain.rules.arrival import ArrivalWindow, arrival_window
from refund_domain.rules.eligibility import drift_minor, outside_left, refundable

_WAITING: Final = ("insufficient_funds", "charge_pending", "requires_action")
"""The gateway's words for a refund that is made and not on its way yet (Stripe facts, "Reasons")."""


@attrs.frozen(kw_only=True)
class LegView:
    """What a refund pulls back of one transfer: `amount` as planned, how it stands, and what has done it.

    `still` is what of it remains to be pulled back, less what others did; None where the transfer is not shown.
    `pulled_back` and `reversal_id` are the reversal's own, None until one is shown. It may be less than planned
    where others pulled back a part.
    """

    transfer: str
    amount: Money
    state: LegState
    still: Money | None = None
    pulled_back: Money | None = None
    reversal_id: str | None = None


@attrs.frozen(kw_only=True)
class Refund:
    """One refund of ours as it stands.

    `status` is the truth as far as it is known: `in_doubt` means the money may have moved and the library
    goes on looking by itself; only `succeeded` is settled, and even that can turn to `failed`. `detail` is
    what the gateway adds (why pending, why failed, its code for a no). `reasons` say why a dropped request
    was never sent. `waits_for_second`: another person than `requested_by` must approve it; `approved_by` did.
    `arrives` is a forecast (R7). `next_step` says whose move it is after a failure. What a person may still
    have to do is in `attention`. `legs` are what it pulls back of a separate charge's transfers; whatever becomes
    of them, the client's refund is what `status` says.
    """

    id: str
    payment: PaymentRef
    amount: Money
    status: Status
    requested_at: datetime | None
    requested_by: str | None
    request_id: str | None
    reason: Reason | None
    detail: str | None = None
    reasons: tuple[Refusal, ...] = ()
    arrives: ArrivalWindow | None = None
    trace: Trace | None = None
    gateway_id: str | None = None
    next_step: AfterFailure | None = None
    waits_for_second: bool = False
    approved_by: str | None = None
    legs: tuple[LegView, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether the gateway reports the money as gone back. Not final: it may still fail."""
        return self.status is Status.SUCCEEDED

    def approval_form(self) -> dict[str, str]:
        """What the second person's page carries in hidden fields; `ApproveRefund.from_form` reads it back.

        Raises ValueError for a refund that does not wait for approval.
        """
        if not self.waits_for_second:
            raise ValueError(
                "this refund does not wait for a second person: look at refund.waits_for_second first"
            )
        return {
            "payment": str(self.payment),
            "refund_id": self.id,
            "amount_minor": str(self.amount.amount_minor),
            "currency": self.amount.currency.code,
        }

    @property
    def transfer_owed(self) -> bool:
        """Whether a connected account still holds what this refund is to pull back: refunded, transfer owed."""
        return any(leg.state in (LegState.OWED, LegState.IN_DOUBT) for leg in self.legs)


@attrs.frozen(kw_only=True)
class PaymentView:
    """A payment and everything known to have gone back of it, as the journal has it; no network was used.

    `refunds` are ours; `elsewhere` were made by somebody else at the gateway; `outside` were recorded by
    hand and moved nothing here. `left` is what could still go back (R3); `drift_minor` what the payment's
    own figure says beyond the list (it says nothing between a refund of ours and the next look). Whether the
    payment is partly or fully refunded follows from these.
    """

    ref: AnyPayment
    payment: Payment | None
    seen_at: datetime | None
    left: Money | None
    refunds: tuple[Refund, ...] = ()
    elsewhere: tuple[GatewayRefund, ...] = ()
    outside: tuple[OutsideRecorded, ...] = ()
    drift_minor: int = 0


def view_refund(
    ledger: Ledger,
    record: RefundRecord,
    ref: PaymentRef,
    now: datetime,
    policy: Policy,
    is_business_day: Callable[[date], bool],
) -> Refund:
    """This refund of ours as a host is shown it at `now`. Raises ValueError for one that was neither requested
    nor shown, which only a damaged journal holds."""
    seen = shown(ledger, record)
    status = status_of(ledger, record)
    if status is Status.IN_DOUBT and seen is None and _being_sent(record, now, policy):
        status = Status.REQUESTED
    request = record.request
    amount = request.amount if request is not None else seen.refund.amount if seen is not None else None
    if amount is None:
        raise ValueError("a refund that was neither requested nor shown cannot be viewed")
    arrives = None
    # What waits for funds, for the payment or for a person is not on its way, and nobody knows when it will be.
    live = (Status.PENDING, Status.SUCCEEDED)
    if seen is not None and seen.status in live and seen.refund.pending_reason not in _WAITING:
        arrives = forecast_arrival(seen.refund.created_at.date(), policy, is_business_day)
    return Refund(
        id=record.id,
        payment=ref,
        amount=amount,
        status=status,
        requested_at=None if request is None else request.at,
        requested_by=None if request is None else request.by.id,
        request_id=None if request is None else request.request_id,
        reason=None if request is None else request.reason,
        detail=_detail(record, None if seen is None else seen.refund),
        reasons=record.reasons,
        arrives=arrives,
        trace=None if seen is None else seen.refund.trace,
        gateway_id=None if seen is None else seen.refund.id,
        next_step=next_step(ledger, record),
        waits_for_second=record.awaits_second and status is Status.REQUESTED,
        approved_by=None if record.approved is None else record.approved.by.id,
        legs=_legs(ledger, record),
    )


def _legs(ledger: Ledger, record: RefundRecord) -> tuple[LegView, ...]:
    return tuple(
        LegView(
            transfer=leg.leg.transfer,
            amount=leg.leg.amount,
            state=state_of(ledger, record, leg),
            still=still_of(ledger.payment, leg),
            pulled_back=None if leg.made is None else leg.made.amount,
            reversal_id=None if leg.made is None else leg.made.id,
        )
        for leg in record.legs
    )


def forecast_arrival(day: date, policy: Policy, is_business_day: Callable[[date], bool]) -> ArrivalWindow | None:
    """The window of R7, or None where the host's calendar broke: no forecast is worth losing an answer for."""
    try:
        return arrival_window(day, policy, is_business_day)
    except Exception:
        return None


def _being_sent(record: RefundRecord, now: datetime, policy: Policy) -> bool:
    """Whether the only doubt is a send that its worker is making right now."""
    doubts = [claim for claim in record.claims if claim.open]
    return len(doubts) == 1 and doubts[0].answer is None and now - doubts[0].at < policy.licence


def _detail(record: RefundRecord, refund: GatewayRefund | None) -> str | None:
    """What the gateway adds to the status; a word it is not known to use is shown as it came."""
    if refund is not None:
        if refund.failure_reason is not None:
            return refund.failure_reason
        if refund.pending_reason is not None:
            return refund.pending_reason
        return None if refund.status in ("pending", "succeeded", "failed", "canceled") else refund.status
    codes = [claim.answer.code for claim in record.claims if isinstance(claim.answer, Declined)]
    return codes[-1] if codes else None


def view_payment(
    ledger: Ledger, ref: AnyPayment, now: datetime, policy: Policy, is_business_day: Callable[[date], bool]
) -> PaymentView:
    """This payment and its refunds as a host is shown them at `now`."""
    refunds: tuple[Refund, ...] = ()
    if isinstance(ref, PaymentRef):
        refunds = tuple(
            view_refund(ledger, record, ref, now, policy, is_business_day)
            for record in ledger.refunds
            if record.request is not None or shown(ledger, record) is not None
        )
    return PaymentView(
        ref=ref,
        payment=ledger.payment,
        seen_at=ledger.seen_at,
        left=refundable(ledger) if isinstance(ref, PaymentRef) else outside_left(ledger, ref),
        refunds=refunds,
        elsewhere=tuple(seen.refund for seen in ledger.observed if not is_ours(ledger, seen.refund)),
        outside=ledger.outside,
        drift_minor=drift_minor(ledger),
    )
