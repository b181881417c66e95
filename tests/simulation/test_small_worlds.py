"""Every interleaving and every crash of a small world."""

from __future__ import annotations

from datetime import timedelta

import pytest

from refund_adapters.simulation.crashes import crash_everywhere
from refund_adapters.simulation.exhaustive import Case, run_case, try_everything, try_signals
from tests.simulation.mutants import MUTANTS

RUNS = 6330
"""How many runs the small world has: more or fewer port calls in an issue change it, and somebody should know."""
TOLD_RUNS = 528
"""The same, where one of the two receives a signal."""


def test_no_interleaving_with_one_crash_or_fault_doubles_or_loses() -> None:
    """Two workers, three switches, one crash or fault at every call: exactly one refund, in every single run."""
    found = try_everything()
    print(f"{found.runs} runs")
    assert found.failures == ()
    assert found.runs == RUNS


def test_no_interleaving_of_an_issue_and_a_signal_doubles_or_loses() -> None:
    """One worker issues while another receives a signal: the same, and the signal does nothing of the other's."""
    found = try_signals(pauses_s=(180,))
    assert found.failures == ()
    assert found.runs == TOLD_RUNS


def test_the_small_world_finds_a_signal_that_does_more() -> None:
    """A service that takes a signal's look for the one that is owed fails in some interleaving."""
    (mutant,) = [mutant for mutant in MUTANTS if mutant.name == "a signal's look is an owed one"]
    with mutant.apply():
        assert try_signals(pauses_s=(180,)).failures


@pytest.mark.parametrize("name", ["fresh key", "send before append", "another's claim", "timeout = no"])
def test_the_small_world_finds_mutants(name: str) -> None:
    """A worker that breaks the core of the promise fails in some interleaving."""
    (mutant,) = [mutant for mutant in MUTANTS if mutant.name == name]
    with mutant.apply():
        assert try_everything(pauses_s=(180,)).failures


def test_one_case_tells_its_calls() -> None:
    """An undisturbed issue loads, asks, looks, claims, sends and writes the answer down, in that order."""
    wrong, calls = run_case(Case(same=True, pause_s=0))
    first = [stop for op, stop in calls if op == calls[0][0]]
    assert wrong is None
    assert first == ["load<", "append<", "look<", "append<", "send<", "append<"]


@pytest.mark.parametrize("list_lag", [timedelta(0), timedelta(hours=1)])
def test_a_process_killed_at_any_call_makes_one_refund(list_lag: timedelta) -> None:
    """The sync twin, killed before and after each call of its ports: in the end there is exactly one refund."""
    runs = crash_everywhere(list_lag)
    assert [run for run in runs if (run.made, run.status) != (1, "succeeded")] == []
    # load, both switches, append, look, both switches, append, send, append: before and after each
    assert sum(run.killed for run in runs) == 20
