"""Workers and their operations: coroutines of the shipped async service, driven by hand."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import attrs

from refund_adapters.simulation import guarded, reconciling
from refund_adapters.simulation.ports import SimGateway, SimJournal
from refund_adapters.simulation.scenario import USD
from refund_domain.answers import Ask, Look
from refund_domain.commands import Action, Actor, Choice, IssueRefund
from refund_domain.decider.attention import attention
from refund_domain.money import Money
from refund_domain.payments import AnyPayment, PaymentRef, Ref
from refund_domain.quotes import Quote
from refund_domain.service.refunds_async import AsyncRefundService
from refund_domain.service.stream import Stream, caught_up
from refund_domain.signals import Signal

if TYPE_CHECKING:
    from refund_adapters.simulation.world import World

OWNER: Final = "acme"
STRANGER: Final = "globex"
STAFF: Final = (Actor(id="maria", tenant=OWNER), Actor(id="eve", tenant=STRANGER), Actor(id="omar", tenant=OWNER))
"""Who acts, by the number in `Start.who`."""

KINDS: Final = (
    "quote issue request tampered_id tampered_amount dispatch recover show outside settle attention "
    "reconcile reconcile_account approve pause resume".split()
)
MERGING: Final = ("receive", "reconcile", "reconcile_account")
"""What looks and merges what the look shows, and does nothing else."""

Flight = Coroutine[str, None, object]


async def anybody(actor: Actor, action: Action, ref: Ref | None) -> bool:
    """Everybody may try everything: what the tenants keep apart is the library's own doing."""
    return True


class Op:
    """One operation in flight: where it stands, what it saw, what it did."""

    __slots__ = (
        "command", "flight", "held_until_us", "id", "kind", "loaded", "merges", "owes", "pay", "picture", "quote",
        "read_us", "run", "sent", "signal", "stop", "strange", "troubled", "who", "worker", "wrote",
    )  # fmt: skip

    def __init__(self, number: int, worker: Worker, kind: str, pay: int, who: int) -> None:
        self.id, self.worker, self.kind, self.pay, self.who = number, worker, kind, pay, who
        self.strange = STAFF[who].tenant != OWNER
        self.flight: Flight | None = None
        self.stop = "begin"
        self.sent = self.troubled = False
        self.merges = kind in MERGING
        self.wrote: frozenset[Ref] = frozenset()
        self.run: reconciling.Asked | None = None
        self.loaded = -1
        self.signal: Signal | None = None
        self.owes: Ask | None = None
        self.held_until_us = self.read_us = 0
        self.picture: Look | None = None
        self.command: IssueRefund | None = None
        self.quote: Quote | None = None


class FoldingService(AsyncRefundService):
    """The shipped service, except that a load folds on from the ledger already known at some version.

    What is known is what the invariants folded of the very same events, and a seed's end compares it with a fold
    from zero; some seeds load from zero throughout.
    """

    def __init__(
        self, world: World, gateway: SimGateway, journal: SimJournal, monotonic: Callable[[], float]
    ) -> None:
        super().__init__(
            gateway,
            journal,
            allow=anybody,
            policy=world.policy,
            new_id=world.new_id,
            monotonic=monotonic,
        )
        self._world = world

    async def _load(self, ref: AnyPayment) -> Stream:
        if self._world.scenario.from_zero:
            return await super()._load(ref)
        book = self._world.checker.known(ref)
        if book is None:  # a forged signal's
            return await super()._load(ref)
        asked_at, never = self._monotonic(), datetime.min.replace(tzinfo=UTC)
        # Only its events are known, and no time at which anybody was told them.
        known = Stream(ref, book.ledger, book.version, never, never, asked_at, asked_at)
        loaded = await self._journal.load(ref, known.version)
        return caught_up(known, loaded, asked_at, self._monotonic())


class Worker:
    """One process: a service of its own, a clock of its own, operations in flight. A crash makes a new one."""

    def __init__(self, world: World, number: int, offset: timedelta) -> None:
        self.world, self.number, self.offset = world, number, offset
        self.back = timedelta(0)
        self.mended_at = world.now
        self.gateway = SimGateway(world)
        self.handle = world.handle(self.clock)
        self.service = self._service()

    def clock(self) -> datetime:
        """What this worker's journal takes for the time."""
        if self.back and self.world.now >= self.mended_at:
            self.back = timedelta(0)
        return self.world.now + self.offset - self.back

    def jump_back(self, back: timedelta) -> None:
        """The clock falls back by so much under a process that has just read it; nought mends it.

        It is put right before it has caught up with what it had shown: a clock that stays behind the others
        breaks the promise that clocks agree, and nobody could tell.
        """
        self.handle.load(self.world.payments[0])
        self.back = back
        self.mended_at = self.world.now + back - 2 * self.world.policy.clock_skew

    def monotonic(self) -> float:
        """Seconds since some moment of its own; this one never jumps."""
        return self.world.us / 1_000_000 + self.number

    def restart(self) -> None:
        """A new process in its place. It forgets which times it has read, and its clock is right again."""
        self.back = timedelta(0)
        self.handle = self.world.handle(self.clock)
        self.service = self._service()

    def _service(self) -> FoldingService:
        return FoldingService(self.world, self.gateway, SimJournal(self.world, self.handle), self.monotonic)


def begin(world: World, op: Op, arg: int) -> Flight | None:
    """The coroutine of this operation, or None where there is nothing to do (a quote that never was)."""
    service, by = op.worker.service, STAFF[op.who]
    ref = world.payments[op.pay]
    match op.kind:
        case "quote":
            return service.quote(ref, by=by)
        case "issue" | "request" | "tampered_id" | "tampered_amount":
            return _decided(world, op, arg, by)
        case "dispatch":
            return service.dispatch(ref)
        case "recover":
            return service.recover()
        case "show":
            return service.show(ref, by=by)
        case "outside":
            amount = Money(max(1, world.checker.captured_minor(ref) * (arg % 8) // 100), USD)
            return service.record_outside(ref, amount, by=by, how="check", record_id=f"out-{arg}")
        case "attention":
            return service.attention(by=by)
        case "reconcile":
            return service.reconcile(ref)
        case "reconcile_account":
            return reconciling.begin(world, op, ref, arg)
        case "approve" | "pause" | "resume":
            return guarded.begin(world, op, ref, arg, by)
        case "settle":
            return _answer(world, op, ref, arg, by)
        case _:
            raise KeyError(op.kind)


def _decided(world: World, op: Op, arg: int, by: Actor) -> Flight | None:
    """Issue (or request) what somebody saw quoted; a tampered page brings another id or another amount."""
    quoted = world.ops.get(arg)
    if quoted is None or quoted.quote is None or quoted.quote.refusals:
        return None
    command = quoted.quote.verified(by=by)
    if op.kind == "tampered_id":
        command = attrs.evolve(command, request_id=world.new_id())
    elif op.kind == "tampered_amount":
        lower = Money(max(1, command.amount.amount_minor - 1 - arg % 50), command.amount.currency)
        command = attrs.evolve(command, amount=lower)
    op.command = command
    op.pay = world.payments.index(command.payment)
    world.checker.decided(command)
    if op.kind == "request":
        return op.worker.service.request(command)
    return op.worker.service.issue(command)


def _answer(world: World, op: Op, ref: PaymentRef, arg: int, by: Actor) -> Flight | None:
    """Answer something that waits for a person, as one who looked at the bank itself would."""
    items = attention(world.checker.book(ref).ledger)
    if not items:
        return None
    item = items[arg % len(items)]
    choice = truthful(world, ref, item.subject, item.choices)
    if Choice.LEAVE in item.choices:
        choice = Choice.LEAVE if arg % 8 == 7 else Choice.KEEP_LOOKING
    if choice not in item.choices:
        return None
    return op.worker.service.settle(ref, subject=item.subject, code=item.code, choice=choice, by=by)


def truthful(world: World, ref: PaymentRef, subject: str, choices: tuple[Choice, ...]) -> Choice:
    """What a person who has looked at the gateway's own pages answers."""
    if Choice.NOT_MADE in choices:
        there = any(refund.mark == subject for refund in world.bank.refunds(ref))
        return Choice.KEEP_LOOKING if there else Choice.NOT_MADE
    return choices[0]
