"""The reliability page shows what was measured, and what was measured is good."""

from __future__ import annotations

import json

from tests.benchmarks.__main__ import BENCHMARKS
from tests.figures import ABOUT, JSON, MODES, PAGE, benchmarked, page

FIGURES = json.loads(JSON.read_text())


def test_page_shows_the_figures() -> None:
    """The page is the one these figures give."""
    assert PAGE.read_text() == page(FIGURES)


def test_nothing_was_doubled_lost_or_stuck() -> None:
    """The committed figures hold no broken invariant under the promised assumptions."""
    modes = [*FIGURES["memory"]["modes"], *FIGURES["sqlite"]["modes"]]
    names = [mode["mode"] for mode in FIGURES["memory"]["modes"]]
    assert tuple(names) in (MODES, MODES[:2])
    assert [mode["mode"] for mode in modes] == names * 2
    for mode in modes:
        assert mode["seeds"] > 0
        assert mode["broken"] == {}


def test_every_broken_assumption_was_found_and_every_mutant_killed() -> None:
    """A simulator that finds no harm in a broken world would prove nothing."""
    assert all(mode["broken"] for mode in FIGURES["broken"]["modes"])
    assert all(mutant["seed"] is not None for mutant in FIGURES["mutants"])


def test_every_benchmark_is_explained() -> None:
    """The page can say of each benchmark what it measures."""
    assert list(ABOUT) == list(BENCHMARKS)


def test_a_comparison_is_shown_with_its_spread() -> None:
    """A row that was compared with another shows how many times as long it took, and the least and the most."""
    row = {"name": "issue", "median_us": 1234.567, "least_us": 1000.0, "most_us": 2.5, "reach": "≤ 1.25×"}
    ratio = {"against": "raw", "ratio": 1.047, "ratio_least": 0.9, "ratio_most": 1.312}
    shown = benchmarked({"benchmarks": {"B1": [row | ratio]}})
    assert "| B1 | issue | 1,235 | 1,000 to 2.5 | 1.05× raw (0.90 to 1.31) | ≤ 1.25× |" in shown
    assert ABOUT["B1"] in shown
