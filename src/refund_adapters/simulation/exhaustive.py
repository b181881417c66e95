"""Every interleaving of a small world: one payment, two workers each issuing, at most three switches between
them, and in each of these one crash or one fault at every possible point. Afterwards there is exactly one refund.

A port call is one step here: between the end of a call and the begin of the next nothing is shared, so a switch
or a crash there is the same as one before the next call. The list lags by an hour and the gateway has no cap, so
that nothing but the rules stands in the way of a second refund.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final

import attrs

from refund_adapters.memory import Fault
from refund_adapters.simulation.actions import Deliver, Start
from refund_adapters.simulation.modes import CAP_OFF, CAP_OFF_TOLD
from refund_adapters.simulation.ports import FAULTS_AT, STRAY_NO, WORKS
from refund_adapters.simulation.recovery import recover_all
from refund_adapters.simulation.scenario import QUIET, Scenario, Taken
from refund_adapters.simulation.world import World
from refund_domain.payments import PLATFORM

MOST_SWITCHES: Final = 3
CRASH: Final = "crash"

MAKES_NOTHING: Final = frozenset(
    [STRAY_NO, Fault.BREAKS_MADE_NOTHING.value, Fault.FOREIGN_BODY.value, Fault.REDIRECTED.value]
)
"""The faults after which a refund may rightly never be made: a no, or a key that is of no use any more."""

_FIRST, _SECOND = 10, 11

SMALL: Final = Scenario(
    payments=(Taken(amount_minor=20_000, method="card", account=PLATFORM, courses=(0,)),),
    offsets=(timedelta(0), timedelta(minutes=5)),
    lags=(timedelta(hours=1),),
    figure_lags=True,
    refuse_disputed=False,
    unsettled_accepted=False,
    drained=False,
    from_zero=False,
    rates=QUIET,
)
"""The small world."""


@attrs.frozen(kw_only=True)
class Case:
    """One run. The first worker makes `turns[0]` calls, then the other `turns[1]`, … and each the rest of its own.

    `same`: both bring the same decision (a double click) or each its own (two tabs). `told`: the other worker has
    none, it receives a signal of the payment. `pause_s` passes at every switch. At call `at`, counted over both,
    `fault` befalls it ("crash": its worker dies before it).
    """

    same: bool
    pause_s: int
    turns: tuple[int, ...] = ()
    at: int = -1
    fault: str = WORKS
    told: bool = False


@attrs.frozen(kw_only=True)
class Found:
    """How many runs there were, and each that failed."""

    runs: int
    failures: tuple[str, ...]


def try_everything(pauses_s: tuple[int, ...] = (0, 180)) -> Found:
    """Run every case in which both workers issue."""
    return _try(Case(same=same, pause_s=pause_s) for same in (True, False) for pause_s in pauses_s)


def try_signals(pauses_s: tuple[int, ...] = (0, 180)) -> Found:
    """Run every case in which one worker issues while the other receives a signal."""
    return _try(Case(same=True, pause_s=pause_s, told=True) for pause_s in pauses_s)


def _try(kinds: Iterable[Case]) -> Found:
    runs, failures = 0, []
    for kind in kinds:
        for case in _cases(kind):
            runs += 1
            wrong, _ = run_case(case)
            if wrong is not None:
                failures.append(f"{case}: {wrong}")
    return Found(runs=runs, failures=tuple(failures))


def _cases(kind: Case) -> Iterator[Case]:
    """Every schedule, and for every call of it every fault; which calls there are is learned from a run."""
    seen: set[tuple[tuple[int, str], ...]] = set()
    for turns in _turns(kind):
        plain = attrs.evolve(kind, turns=turns)
        _, calls = run_case(plain)
        if tuple(calls) in seen:
            continue
        seen.add(tuple(calls))
        yield plain
        for at, (_, stop) in enumerate(calls):
            for fault in (CRASH, *FAULTS_AT.get(stop, ())):
                yield attrs.evolve(plain, at=at, fault=fault)


def _turns(kind: Case) -> Iterator[tuple[int, ...]]:
    """Where the first three switches may be; the run itself says how many calls there are to switch between."""
    _, calls = run_case(kind)
    most = len(calls)
    yield ()
    for first in range(1, most):
        yield (first,)
        for second in range(1, most):
            yield (first, second)
            for third in range(1, most):
                if MOST_SWITCHES >= 3 and first + third < most:
                    yield (first, second, third)


def run_case(case: Case) -> tuple[str | None, list[tuple[int, str]]]:
    """What is wrong with this run, if anything, and the calls it made: by whom, before which stop."""
    world = World(SMALL, CAP_OFF_TOLD if case.told else CAP_OFF)
    quotes = (0, 0) if case.same else (0, 1)
    for number in sorted(set(quotes)):
        world.run(Start(number, number, "quote", 0, 0, 0))
    for number, quote in zip((_FIRST, _SECOND), quotes, strict=True):
        if case.told and number == _SECOND:
            world.deliver(Deliver(number, 1, 0, 0, "other word"))
        else:
            world.start(Start(number, number - _FIRST, "issue", 0, quote, 0))
        world.resume(number, WORKS, 0)
    calls = _drive(world, case)
    if world.checker.found is None:
        recover_all(world)
    made = sum(1 for refund in world.bank.refunds(world.payments[0]) if refund.mark is not None)
    wrong = None if world.checker.found is None else f"{world.checker.found.name}: {world.checker.found.what}"
    # Whoever issues alone may die before anything was asked for; with two the other goes on.
    asked = len(world.checker.book(world.payments[0]).requests) if case.told else 1
    if wrong is None and made != asked and not (made == 0 and case.fault in MAKES_NOTHING):
        wrong = f"{made} refunds were made"
    world.close()
    return wrong, calls


def _drive(world: World, case: Case) -> list[tuple[int, str]]:
    """Let both go on as the case has it until both are over."""
    calls: list[tuple[int, str]] = []
    turns = list(case.turns)
    running, left = _FIRST, turns.pop(0) if turns else -1
    while world.flying:
        if world.ops[running].flight is None or left == 0:
            other = _SECOND if running == _FIRST else _FIRST
            if world.ops[other].flight is not None:
                running = other
                world.pass_time(case.pause_s * 1_000_000)
            left = turns.pop(0) if turns else -1
        op = world.ops[running]
        calls.append((running, op.stop))
        fault = case.fault if len(calls) - 1 == case.at else WORKS
        if fault == CRASH:
            world.crash(op.worker.number, 0)
            continue
        world.resume(running, fault, 0)
        if op.flight is not None and op.stop.endswith(">"):
            world.resume(running, WORKS, 0)
        left -= 1
    return calls
