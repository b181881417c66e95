"""The reliability page shows what was measured, and what was measured is good."""

from __future__ import annotations

import json
import re

from tests.campaign.__main__ import wrong
from tests.campaign.plan import FULL_STEPS
from tests.figures import JSON, MODES, PAGE, lacks, missed, page
from tests.simulation.mutants import MUTANTS

FIGURES = json.loads(JSON.read_text())


def test_page_shows_the_figures() -> None:
    """The page is the one these figures give."""
    assert PAGE.read_text() == page(FIGURES)


def test_nothing_broke_in_the_campaign() -> None:
    """Of whatever part was run, nothing failed, survived, was found or broke."""
    assert wrong(FIGURES) == []


def test_nothing_was_doubled_lost_or_stuck() -> None:
    """The committed figures hold no broken invariant under the promised assumptions."""
    modes = [*FIGURES["memory"]["modes"], *FIGURES["sqlite"]["modes"]]
    names = [mode["mode"] for mode in FIGURES["memory"]["modes"]]
    assert [mode["mode"] for mode in modes] == names * 2
    for mode in modes:
        assert mode["seeds"] > 0
        assert mode["broken"] == {}


def test_what_the_figures_lack_of_a_whole_campaign_is_said() -> None:
    """A world or mutant that came later, or a part that was cut short, stands on the page, and only then."""
    said = re.search(r"^\*\*Short of a whole campaign\*\*: (.*)\.$", PAGE.read_text(), re.MULTILINE)
    assert ("" if said is None else said[1]) == "; ".join(lacks(FIGURES))
    memory = FIGURES["memory"] | {"modes": FIGURES["memory"]["modes"][1:]}
    fewer = FIGURES | {"memory": memory, "mutants": FIGURES["mutants"][1:], "kills": {"counts": {}}, "wal": {}}
    new = [each for each in lacks(fewer) if each not in lacks(FIGURES)]
    steps = sum(mode["steps"] for mode in memory["modes"])
    assert new == [
        f"the world {MODES[0]} was not run",
        f"the mutant “{MUTANTS[0].name}” was not tried",
        f"{steps:,} of {FULL_STEPS:,} steps",
        "0 of 5,000 workers killed",
        "0 of 100,000 logs cut",
    ]


def test_fuzzing_the_webhooks_found_nothing() -> None:
    """It ran, and every body came to one signal or one refusal."""
    assert FIGURES["fuzz"]["executions"] > 100_000
    assert FIGURES["fuzz"]["findings"] == []


def test_every_broken_assumption_was_found_and_every_mutant_killed() -> None:
    """A simulator that finds no harm in a broken world would prove nothing."""
    assert all(mode["broken"] for mode in FIGURES["broken"]["modes"])
    assert all(mutant["seed"] is not None for mutant in FIGURES["mutants"])


def test_a_target_that_was_missed_says_so() -> None:
    """Whatever is beyond what it should reach is marked on the page, and nothing else is."""
    rows = [row for timed in FIGURES["benchmarks"]["benchmarks"].values() for row in timed]
    assert PAGE.read_text().count("**missed** |") == sum(missed(row) for row in rows) < len(rows)
