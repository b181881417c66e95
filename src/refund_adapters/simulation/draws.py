"""What happens next in a seed: drawn from the seed's own random numbers and from how the world stands."""

from __future__ import annotations

import heapq
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Final

from refund_adapters.memory import Fault
from refund_adapters.simulation import paying, ports
from refund_adapters.simulation.actions import (
    Action,
    Advance,
    Cancel,
    Clock,
    Crash,
    Deliver,
    Outside,
    Resume,
    Start,
)
from refund_adapters.simulation.guarded import draw_guard
from refund_adapters.simulation.modes import Broken
from refund_adapters.simulation.webhooks import TWISTS
from refund_domain.decider.ledger import in_flight

if TYPE_CHECKING:
    from refund_adapters.simulation.workers import Op
    from refund_adapters.simulation.world import World

_US: Final = timedelta(microseconds=1)
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_MOST_CHAOS: Final = 40 * DAY  # the rules watch a success for 60 days; the faults must be over before
_EDGES: Final = (
    60 * SECOND, 120 * SECOND, 15 * MINUTE, HOUR, 4 * HOUR + 10 * MINUTE, 22 * HOUR, 24 * HOUR, 28 * HOUR,
)  # fmt: skip
_KINDS: Final = (
    (0.72, "recover"), (0.80, "dispatch"), (0.91, "settle"), (0.93, "outside"), (0.95, "tampered"),
    (0.97, "attention"), (1.0, "show"),
)  # fmt: skip
_RECONCILING: Final = ("reconcile", "reconcile_account", "reconcile_account")
_DOUBTS: Final = (
    Fault.REQUEST_LOST.value, Fault.ANSWER_LOST.value, Fault.EXECUTES_LATE.value, Fault.BREAKS_MAKES_LATER.value,
    ports.STRAY_NO,
)  # fmt: skip
_HELD_BEFORE: Final = (ports.LOAD, ports.APPEND, ports.APPENDED, ports.SEND, ports.LOOK, ports.LOOKED)
_LATE: Final = (MINUTE, HOUR, 22 * HOUR, 28 * HOUR, 3 * DAY, 10 * DAY)
_MARGINS: Final = (0, SECOND, -SECOND, 5 * MINUTE, -5 * MINUTE, 10 * MINUTE, -10 * MINUTE, 30 * MINUTE, -HOUR)


class Draws:
    """The source of a seed's actions."""

    def __init__(self, rng: Random, world: World) -> None:
        self._rng, self._world = rng, world
        self._rates = world.scenario.rates
        self._next_op = 0
        self._quotes: list[int] = []
        self._quoted: dict[int, tuple[int, int]] = {}  # by payment: the latest quote's operation, and when
        self._commands: list[int] = []
        self._clocks_jumped = False
        self._hooks = world.webhooks
        self._arisen = 0  # how many signals were posted or lost so far
        self._mail: list[tuple[int, int]] = []  # when which signal arrives, soonest first
        self._nap: Op | None = None
        self._slept = False
        # One roll a step decides between the rare things, by these bands.
        rates = self._rates
        self._bands: list[tuple[float, str]] = []
        total = 0.0
        for name in (
            "advance",
            "crash",
            "cancel",
            "clock",
            "elsewhere",
            "dispute",
            "fate",
            "funds",
            "forged",
            "pay",
        ):
            total += float(getattr(rates, name))
            self._bands.append((total, name))

    def next(self) -> Action:
        """One more action."""
        if self._nap is not None:
            return self._sleep(self._nap)
        roll = self._rng.random()
        if roll < self._bands[-1][0]:
            for most, name in self._bands:
                if roll < most:
                    action = self._rare(name)
                    if action is not None:
                        return action
                    break
        flying = self._world.flying
        if self._hooks is not None and self._arrives():
            return self._deliver(heapq.heappop(self._mail)[1], "")
        if len(flying) < self._rates.most_in_flight and (not flying or self._rng.random() < 0.15):
            return self._start_or_free()
        us = self._world.us
        free = [op for op in flying if op.held_until_us <= us or us > _MOST_CHAOS]
        if not free:
            return self._advance()
        return self._resume(free[int(self._rng.random() * len(free))])

    # -- going on ---------------------------------------------------------------------------------------------

    def _resume(self, op: Op) -> Resume:
        rng, rates, stop = self._rng, self._rates, op.stop
        if rates.hold and self._nap is None and stop in _HELD_BEFORE:
            self._perhaps_hold(op, stop)
        choices = ports.FAULTS_AT.get(stop)
        if choices is None:
            return Resume(op.id, ports.WORKS, 0)
        if stop == ports.SEND:
            chance = rates.send_fault
        elif stop in (ports.LOOK, ports.PAGE):
            chance = rates.look_fault
        elif stop == ports.APPEND:
            chance = rates.append_fault
        else:
            chance = rates.read_fault
        if not chance or rng.random() >= chance:
            return Resume(op.id, ports.WORKS, 0)
        fault = rng.choice(_DOUBTS if stop == ports.SEND and rng.random() < 0.5 else choices)
        return Resume(op.id, fault, self._delay_s(fault))

    def _perhaps_hold(self, op: Op, stop: str) -> None:
        """The operation may stand still for long at its next stop; while one is in doubt everything may."""
        rng, world = self._rng, self._world
        if rng.random() >= self._rates.hold:
            return
        ledger = world.checker.book(world.payments[op.pay]).ledger
        doubted = in_flight(ledger)
        if doubted is not None and doubted.claims and rng.random() < 0.5:
            self._nap, self._slept = op, False
            return
        most = HOUR if stop == ports.APPENDED else 30 * HOUR  # what comes after an append is often a send
        op.held_until_us = world.us + rng.choice((MINUTE, 3 * MINUTE, HOUR - SECOND, most, most + MINUTE))

    def _sleep(self, op: Op) -> Action:
        """Everything sleeps but the bank; then this operation is the first to go on."""
        if not self._slept and self._world.us < _MOST_CHAOS:
            self._slept = True
            return Advance(self._rng.choice(_EDGES) + self._rng.choice((0, SECOND, MINUTE, HOUR)))
        self._nap = None
        return self._resume(op)

    def _delay_s(self, fault: str) -> int:
        if fault not in ports.DELAYED:
            return 0
        mode = self._world.mode
        most = mode.executes_most if fault == ports.DELAYED[0] else mode.completes_most
        seconds = int(most.total_seconds())
        return self._rng.choice((seconds, seconds - 1, self._rng.randrange(1, seconds)))

    # -- beginning ----------------------------------------------------------------------------------------------

    def _start_or_free(self) -> Action:
        """Begin an operation; or let the world make a payment refundable again, or a seed would soon be dull."""
        rng, world = self._rng, self._world
        if rng.random() < self._rates.sense * 0.3:
            pay = int(rng.random() * len(world.payments))
            book = world.checker.book(world.payments[pay])
            arg = rng.randrange(1 << 16)
            if any(owner == pay for owner, _ in world.disputes) and arg % 3 == 0:
                return Outside("close", pay, arg)
            if any(seen.live and seen.refund.mark is not None for seen in book.ledger.observed):
                return Outside("fate", pay, arg & ~2 if arg % 3 else arg)
        return self._start()

    def _start(self) -> Start:
        rng, world, rates = self._rng, self._world, self._rates
        pay = int(rng.random() * len(world.payments))
        worker = int(rng.random() * len(world.workers))
        who = 1 if rates.foreign and rng.random() < rates.foreign else 0
        kind, arg = self._sensible(pay) if rng.random() < rates.sense else self._kind()
        if rates.reconcile and rng.random() < rates.reconcile:
            kind, arg = rng.choice(_RECONCILING), rng.randrange(1 << 16)
        if rates.guard:
            meddles = draw_guard(world, rng)
            if meddles is not None:
                kind, pay, arg, who = meddles
            elif who == 0 and kind in ("issue", "request") and rng.random() < 0.3:
                who = 2
        if kind in ("recover", "dispatch", *_RECONCILING):
            who = 0
        number = self._next_op
        self._next_op += 1
        if kind == "quote" and who == 0:
            self._quotes.append(number)
            self._quoted[pay] = number, world.us
        elif kind in ("issue", "request") and who != 1:
            self._commands.append(arg)
        return Start(number, worker, kind, pay, arg, who)

    def _sensible(self, pay: int) -> tuple[str, int]:
        """What somebody would do next about this payment: recover what is due, answer, else quote and issue."""
        rng, world = self._rng, self._world
        ledger = world.checker.book(world.payments[pay]).ledger
        arg = rng.randrange(1 << 16)
        if ledger.due is not None and ledger.due <= world.now:
            return ("recover" if arg % 2 else "dispatch"), arg
        if any(record.asked_at is not None or record.alarm is not None for record in ledger.refunds):
            return "settle", arg
        quote, at_us = self._quoted.get(pay, (-1, -HOUR))
        if quote < 0 or world.us - at_us > 15 * MINUTE or arg % 8 == 0:
            return "quote", arg
        return ("issue" if arg % 4 else "request"), quote

    def _kind(self) -> tuple[str, int]:
        rng = self._rng
        roll = rng.random()
        arg = rng.randrange(1 << 16)
        if not self._quotes or roll < 0.18:
            return "quote", arg
        if roll < 0.5:
            if self._commands and rng.random() < self._rates.repeat:
                return "issue", rng.choice(self._commands[-4:])
            back = int(rng.random() ** 3 * min(4, len(self._quotes)))
            return ("issue" if rng.random() < 0.8 else "request"), self._quotes[-1 - back]
        kind = next(kind for most, kind in _KINDS if roll < most)
        if kind == "tampered":
            return ("tampered_id" if arg % 2 else "tampered_amount"), rng.choice(self._quotes)
        return kind, arg

    # -- webhooks -----------------------------------------------------------------------------------------------

    def _arrives(self) -> bool:
        """Post what has arisen since, and say whether a worker takes the next signal in now."""
        world = self._world
        hooks, mail = world.webhooks, self._mail
        if hooks is not None and len(hooks.signals) > self._arisen:
            self._post(len(hooks.signals))
        due = mail and mail[0][0] <= world.us and len(world.flying) < self._rates.most_in_flight
        return bool(due) and self._rng.random() < self._rates.brought

    def _post(self, end: int) -> None:
        rng, rates, us = self._rng, self._rates, self._world.us
        for number in range(self._arisen, end):
            copies = 0 if rng.random() < rates.lost else 1
            if copies and rng.random() < rates.doubled:
                copies = rng.choice((2, 3))
            for _ in range(copies):
                delay = (
                    rng.choice(_LATE) + rng.choice(_MARGINS)
                    if rng.random() < rates.late
                    else rng.randrange(SECOND)
                )
                heapq.heappush(self._mail, (us + max(0, delay), number))
        self._arisen = end

    def _deliver(self, number: int, twist: str) -> Deliver:
        rng, world = self._rng, self._world
        op = self._next_op
        self._next_op += 1
        pay, worker = int(rng.random() * len(world.payments)), int(rng.random() * len(world.workers))
        return Deliver(op, worker, number, pay, twist)

    # -- rare things --------------------------------------------------------------------------------------------

    def _rare(self, name: str) -> Action | None:
        rng, world = self._rng, self._world
        arg = rng.randrange(1 << 16)
        pay = int(rng.random() * len(world.payments))
        worker = int(rng.random() * len(world.workers))
        match name:
            case "advance":
                return self._advance()
            case "crash":
                lost = rng.randrange(1, 5) if world.mode.broken is Broken.APPEND_LOST else 0
                return Crash(worker, lost)
            case "cancel":
                return Cancel(rng.choice(world.flying).id) if world.flying else None
            case "clock":
                return self._clock(worker)
            case "forged":
                return self._deliver(arg, rng.choice(TWISTS))
            case "pay":
                return Outside(rng.choice(paying.KINDS), pay, arg)
            case "elsewhere" | "fate":
                return Outside(name, pay, arg)
            case "dispute":
                return Outside("close" if world.disputes and arg % 2 else "dispute", pay, arg)
            case _:
                kind = ("drain", "fund", "settle_payment")[arg % 3]
                unsettled = world.scenario.payments[pay].unsettled
                return Outside("fee" if kind == "settle_payment" and not unsettled else kind, pay, arg)

    def _clock(self, worker: int) -> Clock:
        """A clock jumps back, in most worlds one of them once; the next time it is mended."""
        back = self._world.workers[worker].back
        if back or (self._clocks_jumped and not self._world.mode.jumps):
            return Clock(worker, 0)
        self._clocks_jumped = True
        return Clock(worker, self._rng.choice((900, 3600, 30 * 3600)))

    def _advance(self) -> Advance:
        rng, world = self._rng, self._world
        if world.us > _MOST_CHAOS:
            return Advance(SECOND)
        if rng.random() >= self._rates.jump:
            return Advance(rng.randrange(1, 90 * SECOND))
        return Advance(max(1, self._edge() - world.us))

    def _edge(self) -> int:
        """The next look due, or a moment around one of the policy's edges, counted from now or from a claim."""
        rng, world = self._rng, self._world
        books = world.checker.books
        if rng.random() < 0.4:
            due = [
                book.ledger.due for book in books if book.ledger.due is not None and book.ledger.due > world.now
            ]
            if due:
                return world.us + (rng.choice(due) - world.now) // _US + rng.choice(_MARGINS[:5])
        claims = [us for book in books for _, _, us in book.claims.values() if us + 30 * HOUR > world.us]
        start = rng.choice(claims) if claims and rng.random() < 0.7 else world.us
        return start + rng.choice(_EDGES) + rng.choice(_MARGINS)
