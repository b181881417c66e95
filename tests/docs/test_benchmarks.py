"""What the benchmarks measured is shown so that it can be read: explained, and as ratios with their spread."""

from __future__ import annotations

from tests.benchmarks.__main__ import BENCHMARKS
from tests.figures import ABOUT, benchmarked


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
