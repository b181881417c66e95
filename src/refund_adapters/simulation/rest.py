"""When a world is at rest: every refund has its final, truthful status, and no look is owed for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from refund_adapters.simulation import pulled
from refund_adapters.simulation.books import Book, word
from refund_adapters.simulation.paying import balanced
from refund_adapters.simulation.received import nothing_strange
from refund_domain.decider.ledger import EMPTY, Status, fold, shown, status_of
from refund_domain.payments import GatewayRefund, PaymentRef

if TYPE_CHECKING:
    from refund_adapters.simulation.world import World

_ENDED: Final = (Status.DECLINED, Status.DROPPED, Status.NOT_MADE)


def refunds_of(world: World, book: Book) -> tuple[GatewayRefund, ...]:
    """The truth: what the bank holds of this payment."""
    return world.bank.refunds(book.ref) if isinstance(book.ref, PaymentRef) else ()


def at_end(world: World) -> None:
    """Faults are over and everybody has recovered: every refund has its final, truthful status."""
    for book in world.checker.books:
        _settled(world, book)
        loaded = world.workers[0].handle.load(book.ref)
        if loaded.version != book.version or fold(EMPTY, loaded.events) != book.ledger:
            world.checker.broken("fold", f"{book.ref}: folded from zero it is another ledger")
    nothing_strange(world)
    balanced(world)


def _settled(world: World, book: Book) -> None:
    why = unsettled(world, book)
    if why is not None:
        world.checker.broken("stuck", f"{book.ref}: {why}")


def unsettled(world: World, book: Book) -> str | None:
    """Why this payment is not at rest yet, or None."""
    truth = {refund.id: refund for refund in refunds_of(world, book)}
    marks = {refund.mark: refund for refund in truth.values() if refund.mark is not None}
    if any(word(refund) is Status.PENDING for refund in truth.values()):
        return "a refund is pending at the bank"
    for record in book.ledger.refunds:
        status = status_of(book.ledger, record)
        made = marks.get(record.id)
        if made is None and status not in _ENDED:
            return f"{record.id} is {status}, but the bank never made it"
        if made is not None and status is not word(made):
            return f"{record.id} is {status}, but the bank says {made.status}"
        if made is not None and shown(book.ledger, record) is None:
            return f"{record.id} was never seen"
        if (why := pulled.restless(world, book.ledger, record)) is not None:
            return why
    for seen in book.ledger.observed:
        there = truth.get(seen.refund.id)
        if there is None or seen.status is not word(there):
            return f"{seen.refund.id} was seen {seen.refund.status}, which is not so"
    for mark in marks:
        if mark not in book.statuses:
            return f"{mark} was made and is not in the journal"
    if book.ledger.due is not None and not any(o.status is Status.SUCCEEDED for o in book.ledger.observed):
        return "a look stays due for nothing"
    return None
