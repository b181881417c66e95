"""Timing by interleaved rounds: each round runs every case once, so that the machine's moods hit all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import attrs


@attrs.frozen(kw_only=True)
class Case:
    """One thing to time. `work` is run `number` times a round; `answer` is what it must give, checked first."""

    name: str
    work: Callable[[], object]
    number: int
    answer: object = None
    reach: str = ""


@attrs.frozen(kw_only=True)
class Timed:
    """The median of a case over all rounds, and the spread, in microseconds a call."""

    name: str
    median_us: float
    least_us: float
    most_us: float
    reach: str


def measure(cases: list[Case], rounds: int) -> list[Timed]:
    """Check that every case gives its answer, then time them in interleaved rounds."""
    for case in cases:
        got = case.work()
        if case.answer is not None and got != case.answer:
            raise RuntimeError(f"{case.name} gave another answer than the case states; nothing was timed")
    times: dict[str, list[float]] = {case.name: [] for case in cases}
    for _ in range(rounds):
        for case in cases:
            began = time.perf_counter()
            for _ in range(case.number):
                case.work()
            times[case.name].append((time.perf_counter() - began) / case.number * 1e6)
    return [
        Timed(
            name=case.name,
            median_us=round(statistics.median(times[case.name]), 3),
            least_us=round(min(times[case.name]), 3),
            most_us=round(max(times[case.name]), 3),
            reach=case.reach,
        )
        for case in cases
    ]
