"""The simulator has teeth: each named mutant is found within its seeds, in its mode, by its invariant."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS, SURVIVORS, Mutant, kill


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_the_mutant_is_killed(mutant: Mutant) -> None:
    """A library with this one thing wrong breaks an invariant within the stated seeds."""
    found = kill(mutant)
    assert found is not None, f"{mutant.name} survived {mutant.seeds} seeds"
    assert found[1].name in mutant.by


def test_names_are_told_apart() -> None:
    """Each mutant has a name of its own, and each survivor its reason."""
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) == len(set(names))
    assert all(SURVIVORS.values())
