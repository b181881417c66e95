"""The figures of what a campaign has done so far, part by part, put beside the figures of the parts it has not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from refund_adapters.simulation.modes import MODES
from refund_adapters.simulation.report import Tally
from tests.campaign.plan import STEPS_UNDER_FAULTS, Unit
from tests.campaign.run import Record

Figures = dict[str, Any]


def merged(figures: Figures, records: Sequence[Record], units: Sequence[Unit], heading: Record) -> Figures:
    """`figures` with each part of which a unit was done replaced; what each came from is in its `made`.

    A unit that broke counts once, however often it was tried, and not at all once it was done.
    """
    made = dict(figures.get("made", {}))
    merged = dict(figures)
    planned = Counter(unit.part for unit in units)
    for part in dict.fromkeys(unit.part for unit in units):
        good = {r["unit"]: r for r in records if r["part"] == part and "error" not in r}
        errors = {r["unit"]: r["error"] for r in records if r["part"] == part and r["unit"] not in good}
        if not good and not errors:
            continue
        times = sorted(r["at"] for r in records if r["part"] == part)
        made[part] = {
            "commit": heading["commit"],
            "python": heading["python"],
            "from": times[0],
            "to": times[-1],
            "units": len(good),
            "of": planned[part],
            "errors": [f"{unit}: {error}" for unit, error in errors.items()],
        }
        if good:
            results = [r["result"] for r in good.values()]
            merged[part] = MERGES[part](results, made[part])
    return merged | {"made": made}


def _simulated(journal: str) -> Callable[[list[Figures], Figures], Figures]:
    def merge(results: list[Figures], made: Figures) -> Figures:
        tallies: dict[str, Tally] = {}
        for lot in results:
            tally = tallies.setdefault(lot["mode"], Tally(lot["mode"], journal))
            sums = {name: lot[name] for name in ("seeds", "steps", "days", "refunds", "seconds", "failing")}
            counted: Figures = {name: Counter(lot[name]) for name in ("counts", "broken")}
            tally.merge(Tally(lot["mode"], journal, **sums, **counted))
        modes = [tallies[mode].figures() for mode in MODES if mode in tallies]
        return {
            "made_at": made["to"],
            "commit": made["commit"],
            "python": made["python"],
            "seeds": ranges([(lot["first"], lot["end"]) for lot in results]),
            "steps_under_faults": STEPS_UNDER_FAULTS,
            "modes": modes,
        }

    return merge


def ranges(lots: list[tuple[int, int]]) -> str:
    """Which seeds these lots are, neighbours joined.

    >>> ranges([(5, 7), (0, 3), (3, 5), (9, 12), (0, 3)])
    '0:7, 9:12'
    """
    joined: list[list[int]] = []
    for first, end in sorted(set(lots)):
        if joined and joined[-1][1] >= first:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([first, end])
    return ", ".join(f"{first}:{end}" for first, end in joined)


def _mutants(results: list[Figures], made: Figures) -> list[Figures]:
    from tests.simulation.mutants import MUTANTS

    by_name = {row["name"]: row for row in results}
    return [by_name[mutant.name] for mutant in MUTANTS if mutant.name in by_name]


def _exhaustive(results: list[Figures], made: Figures) -> str:
    return f"{results[0]['runs']} runs, {results[0]['failing']} failing"


def _tested(results: list[Figures], made: Figures) -> Figures:
    counts: Counter[str] = Counter()
    for result in results:
        counts.update(result["counts"])
    return {
        "tests": sum(result["tests"] for result in results),
        "failing": [f"{name} ({result['sizes']})" for result in results for name in result["failing"]],
        "skipped": sorted({name for result in results for name in result["skipped"]}),
        "counts": dict(sorted(counts.items())),
    }


def _fuzz(results: list[Figures], made: Figures) -> Figures:
    return {
        "seconds": sum(result["seconds"] for result in results),
        "seeds": sorted(result["seed"] for result in results),
        "executions": sum(result["executions"] for result in results),
        "branches": max(result["branches"] for result in results),
        "findings": [finding for result in results for finding in result["findings"]],
    }


def _as_it_is(results: list[Figures], made: Figures) -> Figures:
    return results[0]


MERGES: Final[dict[str, Callable[[list[Any], Figures], Any]]] = {
    "memory": _simulated("memory"),
    "again": _simulated("memory"),
    "sqlite": _simulated("sqlite"),
    "broken": _simulated("memory"),
    "mutants": _mutants,
    "exhaustive": _exhaustive,
    "kills": _tested,
    "wal": _tested,
    "postgres": _tested,
    "fuzz": _fuzz,
    "benchmarks": _as_it_is,
}
"""By part: what its units' results amount to."""
