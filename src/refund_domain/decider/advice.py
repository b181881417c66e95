"""What people do after a refund has failed or was cancelled: by the gateway's reason, as far as money is owed.

Nothing here ever sends by itself.
"""

from __future__ import annotations

from typing import Final

import attrs

from refund_domain.decider.ledger import (
    DISPUTE_FAILURE,
    HOLDS,
    Ledger,
    RefundRecord,
    Status,
    is_shown_by,
    shown,
    status_of,
)
from refund_domain.payments import GatewayRefund, PaymentStatus
from refund_domain.refusals import Move
from refund_domain.rules.eligibility import counting_disputes, drift_minor, refundable

FAILED: Final = (Status.FAILED, Status.CANCELED)
"""The statuses of money that came back."""


@attrs.frozen(kw_only=True)
class AfterFailure:
    """Whose move is next once a refund has failed or was cancelled, and what they do.

    `kind` names the advice, so that another one waits anew: empty while all of the refund's amount is owed by the
    reason alone, else the word that follows the status in the item's code (`failed_disputed`).
    """

    move: Move
    says: str
    kind: str = ""


AFTER_FAILURE: Final[dict[str, AfterFailure]] = {
    "lost_or_stolen_card": AfterFailure(
        move=Move.STAFF, says="The card was reported lost or stolen; pay the client outside and record it."
    ),
    "expired_or_canceled_card": AfterFailure(
        move=Move.STAFF, says="The card is closed; pay the client outside and record it."
    ),
    "charge_for_pending_refund_disputed": AfterFailure(
        move=Move.STAFF,
        says="The client disputed the payment; answer the dispute and never refund it again.",
        kind="disputed",
    ),
    "insufficient_funds": AfterFailure(
        move=Move.STAFF, says="The balance was too low for too long; top it up, then quote a new refund."
    ),
    "declined": AfterFailure(
        move=Move.STAFF, says="The client's bank declined it; quote a new refund or pay outside."
    ),
    "merchant_request": AfterFailure(
        move=Move.STAFF, says="Somebody with access to the gateway cancelled it; ask them, then quote anew."
    ),
}
"""By the gateway's failure reason (Stripe facts, "Reasons"). Nothing here ever sends by itself."""

UNKNOWN_FAILURE: Final = AfterFailure(
    move=Move.STAFF, says="It failed for a reason the gateway did not name; quote a new refund or pay outside."
)


NEVER_RECEIVED: Final = AfterFailure(
    move=Move.STAFF,
    says="The payment itself failed: no money was received, and nothing is owed for it.",
    kind="never_received",
)
"""After a failed refund of a payment that has failed itself: whatever was paid for it would be a gift."""

FIGURES_DIFFER: Final = AfterFailure(
    move=Move.STAFF,
    says="The gateway says that more has gone back of the payment than its refunds show. It is looked at again; "
    "pay nothing before they agree. Should they stay so, find out in the dashboard what went back.",
    kind="figures_differ",
)
"""After a failed refund while the payment's own figure is above the list: it may only lag behind."""

NOTHING_LEFT: Final = AfterFailure(
    move=Move.STAFF,
    says="Its money has gone back since, by other ways; nothing is left to give back.",
    kind="nothing_left",
)
"""After a failed refund of a payment that was given back otherwise since."""


def next_step(ledger: Ledger, record: RefundRecord) -> AfterFailure | None:
    """Whose move is next after this refund has failed or was cancelled; None: it did neither.

    By the reason, but only as far as the money is still owed: what has gone back since, is under way, or is
    disputed is never to be paid once more; and of several refunds that failed the last alone says what to pay.
    """
    seen = shown(ledger, record)
    if seen is None or status_of(ledger, record) not in FAILED:
        return None
    return _step(ledger, record, seen.refund)


def _step(ledger: Ledger, record: RefundRecord, refund: GatewayRefund) -> AfterFailure:
    payment, reason = ledger.payment, refund.failure_reason
    if payment is not None and payment.status is PaymentStatus.FAILED:
        return NEVER_RECEIVED
    if _took_by_dispute(ledger) or (payment is not None and counting_disputes(payment)):
        return AFTER_FAILURE[DISPUTE_FAILURE]
    if (other := _beside(ledger, record)) is not None:
        return other
    if drift_minor(ledger) > 0:
        return FIGURES_DIFFER
    left = refundable(ledger)
    if left is not None and left.amount_minor == 0:
        return NOTHING_LEFT
    after = after_failure(reason)
    if left is None or left == refund.amount:
        return after
    says = f"{after.says} No more than {left} is left to give back."
    return attrs.evolve(after, says=says, kind=f"owed_{left.amount_minor}")


def _beside(ledger: Ledger, record: RefundRecord) -> AfterFailure | None:
    """What another refund of ours makes of a failed one: it holds the money, or was tried since and failed too."""
    states = [(other.id, status_of(ledger, other)) for other in ledger.refunds]
    for name, status in states:
        if name != record.id and HOLDS[status]:
            done = status is Status.SUCCEEDED
            over = "gave the money back since" if done else "is under way since; wait for its end"
            says = f"Refund {name} {over}. Pay nothing beside it."
            return AfterFailure(move=Move.STAFF, says=says, kind="given_back" if done else "under_way")
    # By when the gateway made them, not by our order: a journal that was lost learns of them in any.
    shown_last = (
        own.id for seen in reversed(ledger.observed) for own in ledger.refunds if is_shown_by(own, seen.refund)
    )
    last = next(shown_last)
    if last == record.id:
        return None
    says = f"Refund {last} was tried since and failed, too: what is owed stands there, and only there."
    return AfterFailure(move=Move.STAFF, says=says, kind="tried_again")


def _took_by_dispute(ledger: Ledger) -> bool:
    """Whether any refund of ours failed as the client's dispute had taken the money."""
    all_shown = (shown(ledger, record) for record in ledger.refunds)
    return any(seen is not None and seen.refund.failure_reason == DISPUTE_FAILURE for seen in all_shown)


def after_failure(reason: str | None) -> AfterFailure:
    """What comes after a failure with this reason, as long as the money is owed (`next_step` knows whether it is);
    an unknown or missing reason has its own row.

    >>> after_failure("expired_or_canceled_card").says
    'The card is closed; pay the client outside and record it.'
    """
    return AFTER_FAILURE.get(reason or "", UNKNOWN_FAILURE)
