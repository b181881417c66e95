"""What answers a dispute of a payment that was refunded: each live refund, as a bank can find it.

A refund does not stop a dispute, so a client can be paid by both roads (Stripe facts, "Card versus ACH"). What
stands here is for whoever answers the dispute: ids, days, amounts and trace numbers, and nothing of the client's.
"""

from __future__ import annotations

from datetime import datetime

import attrs

from refund_domain.decider.ledger import Ledger, Status, is_shown_by
from refund_domain.money import Money
from refund_domain.payments import Dispute, PaymentRef, Trace
from refund_domain.rules.eligibility import counting_disputes


@attrs.frozen(kw_only=True)
class Evidence:
    """A dispute that counts, and one live refund of the same payment to answer it with.

    `refund_id` is ours, None for a refund made elsewhere; `gateway_id` is the gateway's. `refunded_at` is when it
    was made, and `pending` whether it is still under way: the gateway may fail it because of the dispute, so it
    proves nothing yet. `trace` is what a bank finds it by, None where the method has none or none is told yet.
    `str(evidence)` is half a sentence, as the alarm says it.
    """

    payment: PaymentRef
    dispute: Dispute
    refund_id: str | None
    gateway_id: str
    refunded_at: datetime
    amount: Money
    trace: Trace | None
    pending: bool = False

    def __str__(self) -> str:
        named = self.gateway_id if self.refund_id is None else f"{self.refund_id} ({self.gateway_id})"
        still = ", still under way" if self.pending else ""
        return f"refund {named} of {self.amount} on {self.refunded_at:%Y-%m-%d}, {_traced(self.trace)}{still}"


def _traced(trace: Trace | None) -> str:
    if trace is None:
        return "without a trace number"
    if trace.reference is not None:
        return f"trace number {trace.reference}"
    return "a reversal, which has no trace number" if trace.kind == "reversal" else "no trace number yet"


def evidence(ledger: Ledger) -> tuple[Evidence, ...]:
    """Every live refund, ours or another's, beside every dispute that counts; empty without either.

    By dispute first, then by the age of the refund. A failed or cancelled refund is none, a won dispute asks for
    none, and a dispute that came before the refund is told all the same: the money went by two roads.
    """
    payment = ledger.payment
    if payment is None:
        return ()
    lives = [seen for seen in ledger.observed if seen.live]
    ours = {
        seen.refund.id: next((own.id for own in ledger.refunds if is_shown_by(own, seen.refund)), None)
        for seen in lives
    }
    return tuple(
        Evidence(
            payment=payment.ref,
            dispute=dispute,
            refund_id=ours[seen.refund.id],
            gateway_id=seen.refund.id,
            refunded_at=seen.refund.created_at,
            amount=seen.refund.amount,
            trace=seen.refund.trace,
            pending=seen.status is not Status.SUCCEEDED,
        )
        for dispute in counting_disputes(payment)
        for seen in lives
    )
