"""The reliability page shows what was measured, and what was measured is good."""

from __future__ import annotations

import json

from tests.campaign.__main__ import wrong
from tests.figures import JSON, MODES, PAGE, missed, page

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
    assert tuple(names) == MODES[: len(names)]  # what came later is named as not yet run
    assert len(names) >= 11
    assert [mode["mode"] for mode in modes] == names * 2
    for mode in modes:
        assert mode["seeds"] > 0
        assert mode["broken"] == {}


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
