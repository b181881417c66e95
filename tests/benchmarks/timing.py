"""Timing by interleaved rounds: each round runs every case once, so that the machine's moods hit all alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence

import attrs


def _nothing() -> None:
    """Prepare nothing."""


@attrs.frozen(kw_only=True)
class Case:
    """One thing to time. `work` is run `number` times a round; `answer` is what it must give, checked first.

    One run of `work` counts as `calls` calls: times are stated for one of them. `prepare` runs before each round
    and before the check, untimed. `against` names the case it is compared with, round by round.
    """

    name: str
    work: Callable[[], object]
    number: int = 1
    calls: int = 1
    answer: object = None
    reach: str = ""
    prepare: Callable[[], None] = _nothing
    against: str | None = None


@attrs.frozen(kw_only=True)
class Timed:
    """The median of a case over all rounds, and the spread, in microseconds a call.

    `against` names the case it was compared with, if it was; `ratio` is the median of what it took of that
    one's time in the same round, `ratio_least` and `ratio_most` the spread. `note` says what else was found, in
    words.
    """

    name: str
    median_us: float
    least_us: float
    most_us: float
    reach: str = ""
    against: str | None = None
    ratio: float | None = None
    ratio_least: float | None = None
    ratio_most: float | None = None
    note: str = ""


def measure(cases: Sequence[Case], rounds: int) -> list[Timed]:
    """Check that every case gives its answer, then time them in interleaved rounds."""
    times = times_of(cases, rounds)
    return [timed(case, times) for case in cases]


def times_of(cases: Sequence[Case], rounds: int) -> dict[str, list[float]]:
    """The times of every case by its name, in microseconds a call, a figure a round; each was checked first."""
    for case in cases:
        case.prepare()
        got = case.work()
        if case.answer is not None and got != case.answer:
            raise RuntimeError(f"{case.name} gave another answer than the case states; nothing was timed")
    times: dict[str, list[float]] = {case.name: [] for case in cases}
    for turn in range(rounds):
        # Forth and back, so that none is always the one that runs after a certain other.
        for case in cases if turn % 2 == 0 else reversed(cases):
            case.prepare()
            gc.collect()  # nobody pays for another's garbage, nor for what was prepared
            began = time.perf_counter()
            for _ in range(case.number):
                case.work()
            took_s = time.perf_counter() - began
            times[case.name].append(took_s / case.number / case.calls * 1e6)
    return times


def timed(case: Case, times: dict[str, list[float]]) -> Timed:
    """The row of this case."""
    mine = times[case.name]
    row = summary(case.name, mine, case.reach)
    if case.against is None:
        return row
    ratios = [own / other for own, other in zip(mine, times[case.against], strict=True)]
    return attrs.evolve(
        row,
        against=case.against,
        ratio=round(statistics.median(ratios), 3),
        ratio_least=round(min(ratios), 3),
        ratio_most=round(max(ratios), 3),
    )


def summary(name: str, times_us: Sequence[float], reach: str = "") -> Timed:
    """The row of these times."""
    return Timed(
        name=name,
        median_us=round(statistics.median(times_us), 3),
        least_us=round(min(times_us), 3),
        most_us=round(max(times_us), 3),
        reach=reach,
    )
