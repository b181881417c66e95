"""What the benchmarks measured is shown so that it can be read: explained, and as ratios with their spread."""

from __future__ import annotations

import json
import re
from pathlib import Path

from refund_adapters.sql.codec import decode
from tests.benchmarks import lives
from tests.benchmarks.__main__ import BENCHMARKS, put_among_figures
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


def test_what_else_was_found_is_shown_beside_the_comparison() -> None:
    """A note stands behind the ratio, or alone where nothing was compared."""
    row = {"name": "fill", "median_us": 1.5, "least_us": 1.0, "most_us": 2.5, "reach": "", "note": "42 bytes"}
    ratio = {"against": "raw", "ratio": 1.0, "ratio_least": 1.0, "ratio_most": 1.0}
    assert "| 1.5 | 1 to 2.5 | 42 bytes |" in benchmarked({"benchmarks": {"B7": [row]}})
    assert "| 1.00× raw (1.00 to 1.00); 42 bytes |" in benchmarked({"benchmarks": {"B7": [row | ratio]}})


def test_lives_in_bulk_are_what_the_service_writes() -> None:
    """A life told of any payment names that payment and its refund only, and leaves the heads a service leaves."""
    lives.check_heads()
    texts = [text for step in lives.written(7) for text in step.texts]
    charge = lives.charge_of(7)
    assert [decode(text) for text in texts] == [event for step in lives.told(7) for event in step.events]
    assert {found for text in texts for found in re.findall(r"ch_\w+", text)} == {charge}
    assert {found for text in texts for found in re.findall(r'"refund_id":"(\w+)"', text)} == {
        lives.refund_id_of(charge)
    }


def test_one_benchmark_is_measured_anew_without_the_others(tmp_path: Path) -> None:
    """Its rows stand in the place of the old ones, in order; the page says when and of which commit they are."""
    row = {"name": "old", "median_us": 1.0, "least_us": 1.0, "most_us": 1.0, "reach": ""}
    file = tmp_path / "figures.json"
    file.write_text(json.dumps({"benchmarks": {"benchmarks": {"B3": [row], "B10": [row]}}}))
    put_among_figures({"B5": [row | {"name": "new"}], "B3": [row | {"name": "newer"}]}, file)
    put_among_figures({"B11": [row]}, file)
    among = json.loads(file.read_text())["benchmarks"]
    assert [(name, rows[0]["name"]) for name, rows in among["benchmarks"].items()] == [
        ("B3", "newer"), ("B5", "new"), ("B10", "old"), ("B11", "old"),
    ]  # fmt: skip
    shown = benchmarked(among)
    assert shown.count(" Measured at ") == 3
    assert f"{ABOUT['B10']}\n" in shown
    assert re.search(r"B5: .* Measured at \d{4}-.*Z at commit `[0-9a-f]{12}`, by Python 3\.\d+\.\d+\.", shown)
