"""What many seeds amount to, as JSON: seeds, steps, days, faults by kind, and what must all be nought."""

from __future__ import annotations

import platform
from collections import Counter
from datetime import UTC, datetime

import attrs

from refund_adapters.simulation.run import Outcome

DOUBLED = ("doubled", "too_much")
LOST = ("lost", "mistaken", "after_end")
STUCK = ("stuck",)

Figures = dict[str, int | float | str | dict[str, int] | list[int]]


@attrs.define
class Tally:
    """The sum of the seeds of one mode. `seconds` is processor time."""

    mode: str
    journal: str
    seeds: int = 0
    steps: int = 0
    days: float = 0.0
    refunds: int = 0
    seconds: float = 0.0
    counts: Counter[str] = attrs.field(factory=Counter)
    broken: Counter[str] = attrs.field(factory=Counter)
    failing: list[int] = attrs.field(factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count this seed in."""
        self.seeds += 1
        self.steps += outcome.steps
        self.days += outcome.days
        self.refunds += outcome.refunds
        self.counts.update(outcome.counts)
        if outcome.violation is not None:
            self.broken[outcome.violation.name] += 1
            self.failing.append(outcome.seed)

    def merge(self, other: Tally) -> None:
        """Count another tally of the same mode in."""
        self.seeds += other.seeds
        self.steps += other.steps
        self.days += other.days
        self.refunds += other.refunds
        self.seconds += other.seconds
        self.counts.update(other.counts)
        self.broken.update(other.broken)
        self.failing += other.failing

    def figures(self) -> Figures:
        """Plain data for JSON."""
        named = self.counts
        return {
            "mode": self.mode,
            "journal": self.journal,
            "seeds": self.seeds,
            "steps": self.steps,
            "steps_per_cpu_s": round(self.steps / self.seconds) if self.seconds else 0,
            "simulated_days": round(self.days, 1),
            "refunds": self.refunds,
            "faults": {k[6:]: named[k] for k in sorted(named) if k.startswith("fault ")},
            "operations": {k[3:]: named[k] for k in sorted(named) if k.startswith("op ")},
            "world": {k: named[k] for k in sorted(named) if not k.startswith(("fault ", "op "))},
            "crashes": named["crash"],
            "doubled": sum(self.broken[name] for name in DOUBLED),
            "lost": sum(self.broken[name] for name in LOST),
            "stuck": sum(self.broken[name] for name in STUCK),
            "broken": dict(sorted(self.broken.items())),
            "failing_seeds": sorted(self.failing)[:100],
        }


def heading(seeds: str, steps: int, commit: str | None) -> dict[str, str | int | None]:
    """Where and when the figures were made."""
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "python": platform.python_version(),
        "seeds": seeds,
        "steps_under_faults": steps,
    }
