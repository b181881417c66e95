"""Run the benchmarks: medians of interleaved rounds with their spread; `--quick` only checks that all runs."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from tests.benchmarks import (
    forecasting,
    imports,
    issuing,
    journals,
    processes,
    recovery,
    rules,
    statements,
    values,
)
from tests.benchmarks.timing import Timed, measure, summary
from tests.figures import JSON, PAGE, commit, page


def b3(quick: bool) -> list[Timed]:
    """Rules, decider and fold."""
    return measure(rules.cases(quick), rounds=2 if quick else 15)


def b10(quick: bool) -> list[Timed]:
    """Simulator steps a second of processor time, in memory and over SQLite; the median of several runs."""
    rows = []
    for journal, reach in (("memory", "≤ 33 µs (30,000 steps/s)"), ("sqlite", "")):
        times = []
        for run in range(1 if quick else 5):
            seeds = f"{run * 60}:{run * 60 + (5 if quick else 60)}"
            times.append(_step_us(journal, seeds))
        rows.append(summary(f"a simulator step, {journal}", times, reach))
    return rows


def _step_us(journal: str, seeds: str) -> float:
    """Processor time of one step, in microseconds, over these seeds of the mode without the gateway's cap."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report.json"
        command = [sys.executable, "-m", "refund_adapters.simulation", "--seeds", seeds, "--mode", "cap-off"]
        subprocess.run([*command, "--journal", journal, "--report", str(out)], check=True, capture_output=True)
        (mode,) = json.loads(out.read_text())["modes"]
    return 1e6 / float(mode["steps_per_cpu_s"])


BENCHMARKS = {
    "B1": issuing.b1,
    "B2": issuing.b2,
    "B3": b3,
    "B4": values.b4,
    "B5": forecasting.b5,
    "B6": statements.b6,
    "B7": journals.b7,
    "B8": processes.b8,
    "B9": recovery.b9,
    "B10": b10,
    "B11": imports.b11,
}


def put_among_figures(results: dict[str, list[dict[str, Any]]], path: Path = JSON) -> None:
    """Put these rows in the place of those that were there, with when and of what they were measured."""
    figures = json.loads(path.read_text())
    among = figures["benchmarks"]
    rows = among["benchmarks"] | results
    among["benchmarks"] = {name: rows[name] for name in BENCHMARKS if name in rows}
    at, python = f"{datetime.now(UTC):%Y-%m-%dT%H:%M}Z", platform.python_version()
    measured = {"commit": commit(), "at": at, "python": python}
    among["measured"] = among.get("measured", {}) | dict.fromkeys(results, measured)
    path.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")


def main() -> int:
    """Print the rows, and write them as JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHMARKS], help="which; all if none is named")
    parser.add_argument("--quick", action="store_true", help="few rounds: checks that all runs and agrees")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument(
        "--figures", action="store_true", help="put the rows among the committed figures, and write their page"
    )
    given = parser.parse_args()
    results = {}
    for name in given.names or BENCHMARKS:
        rows = BENCHMARKS[name](given.quick)
        results[name] = [attrs.asdict(row) for row in rows]
        for row in rows:
            spread = f"{row.least_us:g} to {row.most_us:g}"
            beside = "" if row.ratio is None else f" = {row.ratio:g}× ({row.ratio_least:g} to {row.ratio_most:g})"
            print(
                f"{name:4} {row.name:62} {row.median_us:>10g} µs  ({spread}){beside} {row.reach} {row.note}",
                flush=True,
            )
    if given.figures:
        put_among_figures(results)
        PAGE.write_text(page(json.loads(JSON.read_text())))
    if given.json:
        text = {"python": platform.python_version(), "machine": platform.machine(), "benchmarks": results}
        given.json.write_text(json.dumps(text, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
