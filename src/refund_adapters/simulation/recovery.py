"""After the faults: the clocks agree, money is there, persons answer, workers recover. All must come to rest."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from refund_adapters.simulation.actions import Deliver, Start
from refund_adapters.simulation.paying import served, stop
from refund_adapters.simulation.ports import WORKS
from refund_adapters.simulation.rest import at_end, unsettled
from refund_adapters.simulation.scenario import USD
from refund_domain.commands import Choice
from refund_domain.decider.attention import attention
from refund_domain.money import Money

if TYPE_CHECKING:
    from refund_adapters.simulation.world import World

MOST_ROUNDS: Final = 400
"""How many rounds of recovery may pass before something that has not settled is called stuck."""

_MOST_WATCHES: Final = 5
"""How often the watch of a success may begin anew: a look after so long may itself bring news of it."""

_ANEW: Final = 44
_ONWARDS: Final = _ANEW + 1
"""As `reconciling.begin` reads them: a new run over everything, and the one that stands still."""
_US: Final = timedelta(microseconds=1)
_DAY: Final = timedelta(days=1)
_FIRST_OP: Final = 1_000_000


def recover_all(world: World) -> None:
    """Let everything settle; what does not is a broken invariant."""
    checker = world.checker
    _mend(world)
    while world.flying and checker.found is None:
        for op in world.flying:
            world.resume(op.id, WORKS, 0)
    number = _resume_all(world, _FIRST_OP)
    for _ in range(MOST_ROUNDS):
        number = _round(world, number)
        if checker.found is not None:
            return
        if world.bank.next_at is None and all(unsettled(world, book) is None for book in checker.books):
            break
        if not _wait(world):
            break
    at_end(world)
    if (world.webhooks is not None or world.mode.reconciles) and checker.found is None:
        _after_the_watch(world, number)


def _after_the_watch(world: World, number: int) -> None:
    """Long after every watch is over nobody looks any more.

    A signal is all there is, or, with all of them lost, one reconciliation of each account. Either must be enough.
    """
    hooks, bank = world.webhooks, world.bank
    for _ in range(_MOST_WATCHES):
        if all(book.ledger.due is None for book in world.checker.books):
            break
        world.pass_time((world.policy.watch + _DAY) // _US)
        world.run(Start(number, number % len(world.workers), "recover", 0, 0, 0))
        number += 1
    heard = 0 if hooks is None else len(hooks.signals)
    for place, ref in enumerate(world.payments):
        for refund in bank.refunds(ref):
            if refund.status == "succeeded":
                bank.settle(refund.id, ("canceled", "failed")[(place + len(world.workers)) % 2], "unknown")
    world.checker.bank_moved()
    if world.mode.reconciles:
        _reconcile_all(world, number)
    elif hooks is not None:
        for signal in reversed(range(heard, len(hooks.signals))):
            world.run(Deliver(number, number % len(world.workers), signal, 0, ""))
            number += 1
    at_end(world)


def _reconcile_all(world: World, number: int) -> None:
    """Run over every account, in parts, to the end."""
    world.standing.clear()
    world.ended.clear()
    for pay, ref in enumerate(world.payments):
        if ref.account in {other.account for other in world.payments[:pay]}:
            continue
        arg = _ANEW
        for _ in range(MOST_ROUNDS):
            world.run(Start(number, number % len(world.workers), "reconcile_account", pay, arg, 0))
            number, arg = number + 1, _ONWARDS
            if ref.account not in world.standing:
                break
        if ref.account not in world.ended:
            world.checker.broken("stuck", f"reconciling {ref.account} never ends")


def _mend(world: World) -> None:
    """No more faults, and whatever waits for somebody gets what it waits for."""
    for worker in world.workers:
        worker.back = timedelta(0)
    bank = world.bank
    stop(world)
    for ref in world.payments:
        picture = bank.picture(ref)
        if picture is not None and picture.payment.status == "pending":
            bank.settle_payment(ref)
        for account in (ref.account, *world.sellers(ref)):
            bank.fund(account, Money(10_000_000, USD))
        for refund in bank.refunds(ref):
            if refund.status not in ("succeeded", "failed", "canceled") and bank.next_at is None:
                bank.settle(refund.id, "succeeded")
    served(world)
    world.checker.bank_moved()


def _resume_all(world: World, number: int) -> int:
    """No pause stands any more."""
    for pay in range(len(world.payments) if world.mode.guards else 0):
        for arg in (0, 1):  # the tenant's switch, the account's
            world.run(Start(number, number % len(world.workers), "resume", pay, arg, 0))
            number += 1
    return number


def _round(world: World, number: int) -> int:
    """Persons answer what waits for them, a worker recovers what is due."""
    for pay, ref in enumerate(world.payments):
        items = attention(world.checker.book(ref).ledger)
        for place, item in enumerate(items):
            if item.choices != (Choice.NOTED,):
                world.run(Start(number, number % len(world.workers), "settle", pay, place, 0))
                number += 1
    world.run(Start(number, number % len(world.workers), "recover", 0, 0, 0))
    _nudge(world)
    return number + 1


def _nudge(world: World) -> None:
    """Refunds whose course left them pending for good are moved on by the bank."""
    if world.bank.next_at is not None:
        return
    for ref in world.payments:
        for refund in world.bank.refunds(ref):
            if refund.status not in ("succeeded", "failed", "canceled"):
                world.bank.settle(refund.id, "succeeded")
    world.checker.bank_moved()


def _wait(world: World) -> bool:
    """Until the next thing is due, by the slowest clock; False: nothing ever will be."""
    slowest = min(worker.offset for worker in world.workers)
    moments = [book.ledger.due - slowest for book in world.checker.books if book.ledger.due is not None]
    if world.bank.next_at is not None:
        moments.append(world.bank.next_at)
    if not moments:
        return False
    world.pass_time(max(1, (min(moments) - world.now) // _US))
    return True
