"""Reconciliation in a simulated world: asked for in parts, and judged by what it says and what it passes over."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from refund_domain.answers import Picture
from refund_domain.operations.feeds import Window
from refund_domain.operations.reconcile import Position, Reconciled, Reconciliation, Unowned, Unreconciled
from refund_domain.payments import PaymentRef

if TYPE_CHECKING:
    from refund_adapters.simulation.books import Book
    from refund_adapters.simulation.invariants import Checker
    from refund_adapters.simulation.workers import Flight, Op
    from refund_adapters.simulation.world import World

PAGE_SIZE: Final = 2
"""So few that a handful of refunds make several pages."""

_DAY: Final = timedelta(days=1)


class Asked(NamedTuple):
    """What a run over an account was asked for, and which payments had an owner when it began."""

    account: str
    window: Window
    owned: frozenset[PaymentRef]


def begin(world: World, op: Op, ref: PaymentRef, arg: int) -> Flight:
    """A run over the account of this payment: the one that stands still there, or a new one over some window."""
    account = ref.account
    after: Position | None
    op.run, after = world.standing.pop(account, (None, None)) if arg % 4 else (None, None)
    if op.run is None:
        op.run = Asked(account, _window(world, arg), _owned(world, account))
    return op.worker.service.reconcile_account(
        account, op.run.window, feed=op.worker.gateway, limit=1 + (arg >> 3) % 6, after=after
    )


def _window(world: World, arg: int) -> Window:
    """Everything, or so many of the last days; mostly it ends in the future."""
    end = world.now + (arg >> 6) % 3 * _DAY
    if (arg >> 2) % 2:
        return Window(start=world.start_time - _DAY, end=end)
    return Window(start=end - (1 + (arg >> 6) % 30) * _DAY, end=end)


def _owned(world: World, account: str) -> frozenset[PaymentRef]:
    """The payments of this account that somebody has quoted."""
    return frozenset(
        ref
        for ref in world.payments
        if ref.account == account and world.checker.book(ref).ledger.tenant is not None
    )


def looks(checker: Checker, op: Op, ref: PaymentRef) -> None:
    """The operation looks at this payment: the one it was asked for, or one of the account it runs over."""
    right = op.run.account == ref.account if op.run is not None else ref == op.worker.world.payments[op.pay]
    if not right:
        checker.broken("misread", f"op {op.id} reconciles and looks at {ref}")


def returns(checker: Checker, op: Op, result: object) -> None:
    """The operation returned this, undisturbed."""
    world = op.worker.world
    match result:
        case Reconciliation():
            _ran(checker, op, result)
        case Reconciled():
            _told(checker, op, result)
            if not isinstance(op.picture, Picture):
                checker.broken("misread", f"op {op.id} reconciled {result.payment} without a complete look")
        case Unowned() if op.loaded == 0:
            pass
        case Unreconciled() if not isinstance(op.picture, Picture):
            pass
        case _:
            checker.broken("misread", f"op {op.id}: reconciling became {type(result).__name__}")
    world.count(f"reconciled: {type(result).__name__.lower()}")


def _told(checker: Checker, op: Op, result: Reconciled) -> None:
    if result.news is not (result.payment in op.wrote):
        checker.broken("misread", f"op {op.id} says news={result.news} of {result.payment}, which is not so")


def _ran(checker: Checker, op: Op, result: Reconciliation) -> None:
    """A run stops or ends; what it says is done has passed nothing over."""
    world, run = op.worker.world, op.run
    if run is None:
        checker.broken("misread", f"op {op.id} was asked for one payment and ran over an account")
        return
    failed = {each.payment for each in result.failed}
    for payment in result.payments:
        if payment.payment not in failed:  # else a second look may have written before its answer was lost
            _told(checker, op, payment)
    if result.position is not None:
        world.standing[run.account] = run, result.position
    if result.unread is not None:
        world.count("reconciled: page lost")
    if result.until is None:
        return
    world.count("reconciled: to its end")
    world.ended.add(run.account)
    for ref in run.owned:
        _passed_over(checker, op, world, checker.book(ref), Window(start=run.window.start, end=result.until))


def _passed_over(checker: Checker, op: Op, world: World, book: Book, done: Window) -> None:
    """Every refund and dispute that the bank created in what is done is in the journal."""
    ledger, ref = book.ledger, book.ref
    if not isinstance(ref, PaymentRef):
        return
    known = {seen.refund.id for seen in ledger.observed}
    for refund in world.bank.refunds(ref):
        if refund.created_at in done and refund.id not in known:
            checker.broken("passed_over", f"op {op.id} is done to {done.end}, and {refund.id} is not known")
    disputed = {dispute.id for dispute in ledger.payment.disputes} if ledger.payment is not None else set()
    for dispute, opened_at in world.bank.disputes(ref):
        if opened_at in done and dispute not in disputed:
            checker.broken("passed_over", f"op {op.id} is done to {done.end}, and {dispute} is not known")
