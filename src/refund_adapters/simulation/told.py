"""What callers are told, judged: nothing raised once a send has left, no answer lost, nothing for strangers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from refund_adapters.simulation import received, reconciling
from refund_domain.answers import Ask, Reversal
from refund_domain.decider.ledger import Claim, record_of
from refund_domain.decider.legs import LegClaim, leg_of
from refund_domain.errors import GatewayUnreadable, RefundError
from refund_domain.quotes import Quote
from refund_domain.refusals import NotFound, QuoteStale, Refused
from refund_domain.views import Refund

if TYPE_CHECKING:
    from refund_adapters.simulation.invariants import Checker
    from refund_adapters.simulation.workers import Op


def raised(checker: Checker, op: Op, error: Exception) -> None:
    """The operation ended with this exception."""
    if op.sent:
        checker.broken("raised", f"op {op.id} ({op.kind}) raised {type(error).__name__} after a send had left")
    if not isinstance(error, RefundError):
        checker.broken("raised", f"op {op.id} ({op.kind}) raised {type(error).__name__}: {error}")
    if isinstance(error, GatewayUnreadable) and op.kind not in ("quote", "receive"):
        checker.broken("raised", f"op {op.id} ({op.kind}) raised GatewayUnreadable")


def returned(checker: Checker, op: Op, result: object) -> None:
    """The operation returned this."""
    if op.owes is not None and not op.troubled:
        _answered(checker, op, op.owes)
    if op.signal is not None:
        received.returns(checker, op, result)
    elif op.merges:
        reconciling.returns(checker, op, result)
    elif op.strange:
        _saw_nothing(checker, op, result)
    elif isinstance(result, Refund) and op.command is not None:
        command = op.command
        if (result.request_id, result.amount) != (command.request_id, command.amount):
            checker.broken("answer", f"op {op.id} asked for {command.request_id}, was told of {result.request_id}")


def _answered(checker: Checker, op: Op, asked: Ask) -> None:
    """The gateway's answer came, the journal was there: so the answer is in the journal."""
    for book in checker.books:
        record = record_of(book.ledger, asked.refund_id)
        claims: Sequence[Claim | LegClaim] = () if record is None else record.claims
        if record is not None and isinstance(asked, Reversal):
            leg = leg_of(record.legs, asked.transfer)
            claims = () if leg is None else leg.claims
        if len(claims) >= asked.claim and claims[asked.claim - 1].answer is None:
            checker.broken(
                "unanswered", f"op {op.id} returned, and what claim {asked.claim} of {asked.refund_id} met is lost"
            )


def _saw_nothing(checker: Checker, op: Op, result: object) -> None:
    """Another tenant's person learns no more than that there is no such payment."""
    match result:
        case Quote():
            nothing = result.amount is None and result.captured is None and result.given_back is None
            hidden = nothing and [type(refusal) for refusal in result.refusals] == [NotFound]
        case Refused():
            hidden = all(isinstance(r, (NotFound, QuoteStale)) for r in result.reasons)
        case tuple():
            hidden = result == ()
        case _:
            hidden = False
    if not hidden:
        checker.broken("tenant", f"op {op.id} ({op.kind}) of another tenant was shown {type(result).__name__}")
