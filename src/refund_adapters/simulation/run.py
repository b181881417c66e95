"""One seed from beginning to end: faults and steps, then no more faults, and everything must settle."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Iterator
from random import Random

import attrs

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
from refund_adapters.simulation.books import Violation
from refund_adapters.simulation.draws import Draws
from refund_adapters.simulation.guarded import draw_guards
from refund_adapters.simulation.modes import Mode
from refund_adapters.simulation.paying import draw_paying
from refund_adapters.simulation.recovery import recover_all
from refund_adapters.simulation.scenario import Scenario, draw_scenario
from refund_adapters.simulation.world import DESTINATION, MakeHandle, World


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of one seed. `actions` repeat it; `digest` names its trace."""

    seed: int
    scenario: Scenario
    actions: tuple[Action, ...]
    digest: str
    steps: int
    days: float
    refunds: int
    counts: dict[str, int]
    violation: Violation | None


def run_seed(
    seed: int,
    steps: int,
    mode: Mode,
    make_handle: MakeHandle | None = None,
    *,
    deaf: frozenset[str] = frozenset(),
) -> Outcome:
    """Run one seed for so many steps under faults, then to rest. The invariants named in `deaf` are not judged."""
    rng = Random(seed)
    scenario = draw_scenario(rng, mode, seed)
    if mode.guards:
        scenario = draw_guards(scenario, Random(f"guarded {seed}"))
    if mode.pays:
        scenario = draw_paying(scenario, DESTINATION, Random(f"paid out {seed}"))
    world = World(scenario, mode, make_handle)
    world.checker.deaf = deaf
    draws = Draws(rng, world)

    def drawn() -> Iterator[Action]:
        while world.checker.steps < steps:
            yield draws.next()

    return _run(seed, world, drawn())


def replay(
    seed: int, scenario: Scenario, actions: Iterable[Action], mode: Mode, make_handle: MakeHandle | None = None
) -> Outcome:
    """Run these actions, then to rest."""
    return _run(seed, World(scenario, mode, make_handle), iter(actions))


def _run(seed: int, world: World, actions: Iterator[Action]) -> Outcome:
    done: list[Action] = []
    for action in actions:
        done.append(action)
        perform(world, action)
        if world.checker.found is not None:
            break
    if world.checker.found is None:
        recover_all(world)
    digest = hashlib.sha256(repr(world.trace).encode()).hexdigest()
    world.close()
    return Outcome(
        seed=seed,
        scenario=world.scenario,
        actions=tuple(done),
        digest=digest,
        steps=world.checker.steps,
        days=world.us / 86_400e6,
        refunds=sum(len(book.requests) for book in world.checker.books),
        counts=world.counts,
        violation=world.checker.found,
    )


def perform(world: World, action: Action) -> None:
    """Do one action; one that has become pointless does nothing."""
    match action:
        case Resume():
            world.resume(action.op, action.fault, action.delay_s)
        case Start():
            world.start(action)
        case Deliver():
            world.deliver(action)
        case Advance():
            world.pass_time(action.us)
        case Crash():
            world.crash(action.worker, action.lost)
        case Cancel():
            world.cancel(action.op, asyncio.CancelledError())
        case Clock():
            world.jump(action.worker, action.back_s)
        case Outside():
            world.outside(action.kind, action.pay, action.arg)
