"""What a received signal may do, and a reconciliation: look, merge what the look shows, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from refund_adapters.simulation.books import Book
from refund_domain.answers import Picture
from refund_domain.decider.ledger import OBSERVED
from refund_domain.events import Event, LegObserved, LookScheduled, PaymentSeen, RefundObserved
from refund_domain.payments import PaymentRef
from refund_domain.service.stream import Handed, Merged, Reported

if TYPE_CHECKING:
    from refund_adapters.simulation.invariants import Checker
    from refund_adapters.simulation.workers import Op
    from refund_adapters.simulation.world import World

_NEWS: Final = (PaymentSeen, RefundObserved, LegObserved, LookScheduled)


def looks(checker: Checker, op: Op, ref: PaymentRef) -> None:
    """The operation looks at this payment: the one its signal names, at the account it names."""
    if op.signal is not None and op.signal.ref != ref:
        checker.broken("misread", f"op {op.id} received a signal of {op.signal.ref} and looks at {ref}")


def writes(checker: Checker, op: Op, book: Book, events: Sequence[Event]) -> None:
    """The operation has committed these events, which are not in the book yet: only what its look showed."""
    picture, ledger = op.picture, book.ledger
    op.wrote |= {book.ref}
    if ledger.tenant is None:
        checker.broken("signal", f"op {op.id} wrote to {book.ref}, which nobody has quoted")
    for event in events:
        if not isinstance(event, _NEWS):
            checker.broken("signal", f"op {op.id} ({op.kind}) wrote {type(event).__name__}")
        elif not isinstance(picture, Picture):
            checker.broken("believed", f"op {op.id} wrote {type(event).__name__} without a complete look")
        elif isinstance(event, LookScheduled):
            if event.due is None or (ledger.due is not None and event.due > ledger.due):
                checker.broken("put_off", f"op {op.id} ({op.kind}) put a look off that was owed")
        elif isinstance(event, PaymentSeen):
            if event.payment != picture.payment:
                checker.broken("believed", f"op {op.id} wrote of the payment what its look did not show")
        elif isinstance(event, LegObserved):
            if not any(event.reversal in transfer.reversals for transfer in picture.payment.transfers):
                checker.broken("believed", f"op {op.id} wrote of {event.reversal.id} what its look did not show")
        elif event.refund not in picture.refunds:
            checker.broken("believed", f"op {op.id} wrote of {event.refund.id} what its look did not show")
    if book.told is not None and book.told[0] is picture and book.told[1] == book.version:
        checker.broken("told_twice", f"op {op.id} found news in {book.ref} where nothing had changed")


def told(book: Book, picture: object, version: int) -> None:
    """All of this picture is in the journal at this version: whoever shows it again brings no news.

    Not so where a clock that runs ahead had written something later: then the picture may still come to be news.
    """
    if not isinstance(picture, Picture) or version != book.version or book.ledger.payment != picture.payment:
        return
    known = {seen.refund.id: seen.refund for seen in book.ledger.observed}
    if all(known.get(refund.id) == refund for refund in picture.refunds):
        book.told = picture, version


def returns(checker: Checker, op: Op, result: object) -> None:
    """The signal was received undisturbed, and this came of it."""
    op.worker.world.count(f"signal {type(result).__name__.lower()}")
    ref = None if op.signal is None else op.signal.ref
    book = None if ref is None else checker.known(ref)
    if ref is None or book is None:
        if not isinstance(result, Reported):
            checker.broken("misread", f"op {op.id}: a signal of no payment of ours became {type(result).__name__}")
        return
    match result:
        case Merged():
            if result.news is not (book.ref in op.wrote):
                checker.broken("misread", f"op {op.id} says news={result.news}, which is not so")
            _merged(checker, op, book)
            told(book, op.picture, op.loaded)
        case Handed() if op.loaded == 0 and result.picture is op.picture:
            pass
        case _:
            checker.broken("misread", f"op {op.id}: a signal of {ref} became {type(result).__name__}")


def _merged(checker: Checker, op: Op, book: Book) -> None:
    """What the look showed is in the journal, or something later is."""
    if not isinstance(op.picture, Picture):
        checker.broken("misread", f"op {op.id} merged a signal of {book.ref} without a complete look")
        return
    known = {seen.refund.id: seen.refund.status for seen in book.ledger.observed}
    for refund in op.picture.refunds:
        if refund.id not in known or _rank(known[refund.id]) < _rank(refund.status):
            checker.broken("misread", f"op {op.id} was shown {refund.id} {refund.status} and did not merge it")


def _rank(word: str) -> int:
    return OBSERVED.get(word, (1, None))[0]


def nothing_strange(world: World) -> None:
    """Nothing was ever stored of a payment that does not exist."""
    for ref in () if world.webhooks is None else sorted(world.webhooks.strange, key=str):
        if world.workers[0].handle.load(ref).version:
            world.checker.broken("signal", f"{ref} has a stream, and there is no such payment")
