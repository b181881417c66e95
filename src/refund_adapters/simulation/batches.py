"""Many seeds, in this process or in several."""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from refund_adapters.simulation.journals import Journal, handles
from refund_adapters.simulation.modes import MODES
from refund_adapters.simulation.report import Tally
from refund_adapters.simulation.run import Outcome, run_seed

_BATCH: Final = 20
_GARBAGE: Final = 50_000
"""A world is garbage as a whole when its seed is over: looking for some all the time is slow."""


def run_one(seed: int, steps: int, mode: str, journal: Journal = Journal.MEMORY) -> Outcome:
    """Run one seed over this journal."""
    with handles(journal) as make_handle:
        return run_seed(seed, steps, MODES[mode], make_handle)


def run_batch(mode: str, journal: str, first: int, end: int, steps: int) -> Tally:
    """Run the seeds from `first` to before `end` in this process."""
    tally = Tally(mode, journal)
    before, thresholds = time.process_time(), gc.get_threshold()
    gc.set_threshold(_GARBAGE, *thresholds[1:])
    try:
        for seed in range(first, end):
            tally.add(run_one(seed, steps, mode, Journal(journal)))
    finally:
        gc.set_threshold(*thresholds)
    tally.seconds = time.process_time() - before
    return tally


def batches(mode: str, journal: str, seeds: tuple[int, int], steps: int, jobs: int) -> Iterator[Tally]:
    """The seeds in small lots, in order, by so many processes."""
    first, end = seeds
    ranges = [(at, min(at + _BATCH, end)) for at in range(first, end, _BATCH)]
    if jobs == 1:
        for start, stop in ranges:
            yield run_batch(mode, journal, start, stop, steps)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(run_batch, mode, journal, start, stop, steps) for start, stop in ranges]
        for future in running:
            yield future.result()
