"""`python -m refund_adapters.simulation --seeds 0:1000 --steps 300 --jobs 2 --report out.json`.

Progress goes to stderr, the figures as JSON to stdout or the report's file. A failing seed prints its replay
command and a shortened trace; the exit code is 1 then. A mode with a broken
assumption must fail somewhere: there the exit code is 1 if it does not.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from refund_adapters.simulation.batches import batches, run_one
from refund_adapters.simulation.exhaustive import try_everything
from refund_adapters.simulation.journals import Journal
from refund_adapters.simulation.modes import MODES, SOUND
from refund_adapters.simulation.report import Tally, heading
from refund_adapters.simulation.run import Outcome
from refund_adapters.simulation.shrink import shorten, told

_MOST_SHORTENED = 3


def _run_mode(mode: str, given: argparse.Namespace) -> Tally:
    tally = Tally(mode, given.journal)
    started = time.monotonic()
    for part in batches(mode, given.journal, given.seeds, given.steps, given.jobs):
        tally.merge(part)
        rate = tally.steps / max(time.monotonic() - started, 0.001)
        print(
            f"\r{mode}: {tally.seeds} seeds, {tally.steps:,} steps, {rate:,.0f} steps/s, "
            f"{len(tally.failing)} failing",
            end="",
            file=sys.stderr,
            flush=True,
        )
    print(file=sys.stderr)
    for seed in sorted(tally.failing)[: 0 if MODES[mode].broken else _MOST_SHORTENED]:
        _show(seed, mode, given)
    return tally


def _show(seed: int, mode: str, given: argparse.Namespace) -> Outcome:
    """One seed, with how to repeat it and, where it fails, its shortened trace."""
    journal = Journal(given.journal)
    outcome = run_one(seed, given.steps, mode, journal)
    command = f"python -m refund_adapters.simulation --seed-trace {seed} --steps {given.steps} --mode {mode}"
    print(f"seed {seed}: {command} --journal {given.journal}", file=sys.stderr)
    print(f"trace {outcome.digest}", file=sys.stderr)
    if outcome.violation is not None:
        print(f"{outcome.violation.name} after {outcome.violation.step} steps; shortened:", file=sys.stderr)
        print(told(shorten(outcome, MODES[mode], journal)), file=sys.stderr)
    return outcome


def _commit() -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    asked = subprocess.run([git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or None


def _seeds(text: str) -> tuple[int, int]:
    first, colon, end = text.partition(":")
    if not colon or not first.isdigit() or not end.isdigit() or int(first) >= int(end):
        raise argparse.ArgumentTypeError("seeds read FIRST:END, e.g. 0:1000")
    return int(first), int(end)


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("this must be a whole number from 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m refund_adapters.simulation", description=__doc__)
    parser.add_argument(
        "--seeds", type=_seeds, default=(0, 100), metavar="FIRST:END", help="from FIRST to before END (0:100)"
    )
    parser.add_argument("--steps", type=_count, default=300, help="steps under faults, each seed (%(default)s)")
    parser.add_argument("--jobs", type=_count, default=1, help="processes (%(default)s)")
    parser.add_argument(
        "--journal",
        choices=[journal.value for journal in Journal],
        default=Journal.MEMORY.value,
        help="where each world keeps its journal (%(default)s)",
    )
    parser.add_argument("--mode", action="append", choices=sorted(MODES), help="the promised ones unless given")
    parser.add_argument("--report", type=Path, help="write the figures here instead of to stdout")
    parser.add_argument("--seed-trace", type=int, metavar="SEED", help="run one seed and show its trace's hash")
    parser.add_argument("--exhaustive", action="store_true", help="every interleaving of a small world instead")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked; 1 if a promised mode failed, or a broken one did not."""
    given = _parser().parse_args(arguments)
    modes = given.mode or [mode.name for mode in SOUND]
    if given.exhaustive:
        found = try_everything()
        print(f"{found.runs} runs, {len(found.failures)} failing")
        for failure in found.failures[:10]:
            print(failure, file=sys.stderr)
        return int(bool(found.failures))
    if given.seed_trace is not None:
        outcomes = [_show(given.seed_trace, mode, given) for mode in modes]
        for outcome in outcomes:
            print(outcome.digest)
        return int(any(outcome.violation is not None for outcome in outcomes))
    tallies = [_run_mode(mode, given) for mode in modes]
    figures = heading(f"{given.seeds[0]}:{given.seeds[1]}", given.steps, _commit())
    text = json.dumps(figures | {"modes": [tally.figures() for tally in tallies]}, indent=2)
    if given.report is None:
        print(text)
    else:
        given.report.write_text(text + "\n", encoding="utf-8")
    unexpected = [tally.mode for tally in tallies if bool(tally.failing) is (MODES[tally.mode].broken is None)]
    return int(bool(unexpected))


if __name__ == "__main__":
    sys.exit(main())
