"""A failing seed made short: leave out what it does not need, as long as the same invariant breaks."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from refund_adapters.simulation.actions import Action, Advance, Deliver, Resume, Start
from refund_adapters.simulation.journals import Journal, handles
from refund_adapters.simulation.modes import Mode
from refund_adapters.simulation.run import Outcome, replay
from refund_adapters.simulation.scenario import Scenario

Actions = tuple[Action, ...]


def shorten(outcome: Outcome, mode: Mode, journal: Journal = Journal.MEMORY, most_runs: int = 3000) -> Outcome:
    """The shortest run found in so many tries that breaks the invariant this one broke."""
    if outcome.violation is None:
        return outcome
    name = outcome.violation.name
    best = outcome
    runs = 0

    def fails(scenario: Scenario, actions: Actions) -> bool:
        nonlocal best, runs
        runs += 1
        if runs > most_runs:
            return False
        with handles(journal) as make_handle:
            tried = replay(outcome.seed, scenario, actions, mode, make_handle)
        if tried.violation is None or tried.violation.name != name:
            return False
        best = tried
        return True

    actions = _fewer(outcome.actions, lambda part: fails(outcome.scenario, part))
    plain = attrs.evolve(outcome.scenario, from_zero=False, drained=False)
    scenario = plain if plain != outcome.scenario and fails(plain, actions) else outcome.scenario
    for place, action in enumerate(actions):
        for simpler in _simpler(action):
            tried = (*actions[:place], simpler, *actions[place + 1 :])
            if fails(scenario, tried):
                actions = tried
                break
    _fewer(actions, lambda part: fails(scenario, part))
    return best


def _fewer(actions: Actions, fails: Callable[[Actions], bool]) -> Actions:
    """Leave out ever smaller stretches until none can be left out."""
    size = max(1, len(actions) // 2)
    while True:
        shrunk = False
        start = 0
        while start < len(actions):
            part = actions[:start] + actions[start + size :]
            if part and fails(part):
                actions, shrunk = part, True
            else:
                start += size
        if size == 1 and not shrunk:
            return actions
        size = size if shrunk and size > 1 else max(1, size // 2)


def _simpler(action: Action) -> tuple[Action, ...]:
    """The same action with less to it."""
    match action:
        case Resume(op=op, fault=fault) if fault:
            return (Resume(op, "", 0),)
        case Advance(us=us) if us > 1_000_000:
            return (Advance(1_000_000), Advance(us // 1_000_000 * 1_000_000))
        case Start(worker=worker) | Deliver(worker=worker) if worker:
            return (action._replace(worker=0),)
        case _:
            return ()


def told(outcome: Outcome) -> str:
    """The trace of a run, one action a line, with true time passed before each."""
    lines, us = [], 0
    for action in outcome.actions:
        if isinstance(action, Advance):
            us += action.us
            continue
        lines.append(f"  {us / 1e6:>12,.1f} s  {_words(action)}")
    if outcome.violation is not None:
        lines.append(f"  → {outcome.violation.name}: {outcome.violation.what}")
    return "\n".join(lines)


def _words(action: Action) -> str:
    name = type(action).__name__.lower()
    facts = " ".join(f"{field}={value}" for field, value in action._asdict().items() if value != "")
    return f"{name} {facts}"
