"""What each part of the campaign does with one of its units; each gives plain data for JSON, and no verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from refund_adapters.simulation.batches import run_batch
from refund_adapters.simulation.exhaustive import try_everything
from tests.campaign.plan import STEPS_UNDER_FAULTS, Unit

ROOT: Final = Path(__file__).parents[2]

_PYTEST: Final = ("-m", "pytest", "-q", "-n", "0", "--timeout=0", "-o", "junit_family=xunit1")

Result = dict[str, Any]


def perform(unit: Unit) -> Result:
    """Do this unit, whatever it takes."""
    return PARTS[unit.part](unit)


def _memory(unit: Unit) -> Result:
    return _simulated("memory", *unit.arguments)


def _sqlite(unit: Unit) -> Result:
    return _simulated("sqlite", *unit.arguments)


def _simulated(journal: str, mode: Any, first: Any, end: Any) -> Result:
    """A lot of seeds of one mode; the sums as they are, to be added up."""
    tally = run_batch(mode, journal, first, end, STEPS_UNDER_FAULTS)
    sums = {name: getattr(tally, name) for name in ("seeds", "steps", "days", "refunds", "seconds", "failing")}
    return {"mode": mode, "first": first, "end": end, **sums} | {
        "counts": dict(tally.counts),
        "broken": dict(tally.broken),
    }


def _mutant(unit: Unit) -> Result:
    """One thing wrong, and the first seed that finds it; `seed` None: it survived."""
    from tests.simulation.mutants import MUTANTS, kill

    mutant = MUTANTS[unit.number]
    found = kill(mutant)
    seed, name = (None, None) if found is None else (found[0], found[1].name)
    return {"name": mutant.name, "mode": mutant.mode, "seeds": mutant.seeds, "seed": seed, "by": name}


def _exhaustive(unit: Unit) -> Result:
    found = try_everything()
    return {"runs": found.runs, "failing": len(found.failures)}


def _kills(unit: Unit) -> Result:
    tests = ("tests/adapters/test_sqlite_journal.py", "tests/adapters/test_real_parts.py")
    return tested(unit, *tests, "-k", "hundred_kills", REFUND_KILLS=unit.arguments[0])


def _wal(unit: Unit) -> Result:
    return tested(unit, "tests/adapters/test_sqlite_violence.py", "-k", "cut", REFUND_WAL_STORIES=12)


def _postgres(unit: Unit) -> Result:
    sizes = {"PAYMENTS": 200, "KILLS": 100, "CUTS": 100, "RESTARTS": 6, "DUE": 400, "MAKERS": 20}
    named = {f"REFUND_PG_{name}": size for name, size in sizes.items()}
    tests = (f"tests/adapters/test_postgres_{name}.py" for name in ("processes", "making", "money"))
    return tested(unit, *tests, **named)


def tested(unit: Unit, *arguments: str, **environment: str | int) -> Result:
    """The gate's own tests at another size and with other chance; they count by `record_property`."""
    sizes = {name: str(value) for name, value in environment.items()} | {"REFUND_ROUND": str(unit.number + 1)}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "tests.xml"
        said = subprocess.run(
            [sys.executable, *_PYTEST, *arguments, f"--junitxml={out}"],
            cwd=ROOT,
            env={**os.environ, **sizes},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if not out.exists():
            raise RuntimeError(f"pytest ended with {said.returncode} and no report")
        return {"sizes": sizes, "exit": said.returncode} | _counted(ElementTree.parse(out).getroot())


def _counted(report: ElementTree.Element) -> Result:
    cases = list(report.iter("testcase"))
    wrong = [case.get("name") for case in cases if any(case.find(tag) is not None for tag in ("failure", "error"))]
    left_out = [case.get("name") for case in cases if case.find("skipped") is not None]
    counts: dict[str, int] = {}
    for each in report.iter("property"):
        name = each.get("name", "")
        counts[name] = counts.get(name, 0) + int(each.get("value", "0"))
    return {"tests": len(cases), "failing": wrong, "skipped": left_out, "counts": counts}


def _fuzz(unit: Unit) -> Result:
    """A while of coverage-guided fuzzing, with chance of its own; needs the extra `campaign`."""
    return _written("tests.fuzz.webhooks", "--seconds", str(unit.arguments[0]), "--seed", str(unit.number + 1))


def _benchmarks(unit: Unit) -> Result:
    return _written("tests.benchmarks")


def _written(module: str, *arguments: str) -> Result:
    """What this module of ours writes as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures.json"
        command = [sys.executable, "-m", module, *arguments, "--json", str(out)]
        said = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if not out.exists():
            lines = said.stdout.strip().splitlines() or ["nothing was said"]
            raise RuntimeError(f"{module} wrote nothing: {lines[-1][:200]}")
        result: Result = json.loads(out.read_text())
        return result


PARTS: Final[dict[str, Callable[[Unit], Result]]] = {
    "memory": _memory,
    "again": _memory,
    "sqlite": _sqlite,
    "broken": _memory,
    "mutants": _mutant,
    "exhaustive": _exhaustive,
    "kills": _kills,
    "wal": _wal,
    "postgres": _postgres,
    "fuzz": _fuzz,
    "benchmarks": _benchmarks,
}
"""By a unit's part."""
