"""All units of a campaign, by several processes, written down one by one: it goes on from any kill."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.campaign.parts import perform
from tests.campaign.plan import Unit

Record = dict[str, Any]

PLAN, BOOK = "plan.json", "done.jsonl"


class OtherCampaign(Exception):
    """The folder holds another campaign than this one."""


def begin(folder: Path, heading: Record) -> None:
    """Make the folder, or see that it holds this very campaign: figures of two commits are never added up."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = folder / PLAN
    if not plan.exists():
        plan.write_text(json.dumps(heading, indent=1) + "\n")
    elif (found := json.loads(plan.read_text())) != heading:
        raise OtherCampaign(
            f"{folder} holds another campaign ({found}); finish that one, or name another --folder"
        )


def done(folder: Path) -> list[Record]:
    """What was written down; a last line that a kill cut off never was."""
    book = folder / BOOK
    if not book.exists():
        return []
    records = []
    for line in book.read_bytes().split(b"\n")[:-1]:  # behind the last newline is nothing, or half a line
        try:
            records.append(json.loads(line))
        except ValueError:
            continue  # begun before a kill, and closed by the next run
    return records


def processes(count: int) -> Executor:
    """So many processes that end when this one does, however it ends."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=spawn, initializer=_prepare)


def _prepare() -> None:
    """What each worker does first."""
    _end_with_parent()
    # A world is many small objects that live as long as it does: looking for garbage among them as often as Python
    # does by itself is a quarter of the time, or more.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for its next unit for ever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run(
    units: Sequence[Unit],
    folder: Path,
    *,
    jobs: int,
    hours: float | None = None,
    work: Callable[[Unit], Record] = perform,
    pool: Callable[[int], Executor] = processes,
) -> None:
    """Do all units that are not done yet; after so many hours none is begun any more.

    A unit that breaks is written down with its error, stops no other, and is tried again by the next run.
    """
    stands = {record["unit"] for record in done(folder) if "error" not in record}
    todo = [unit for unit in units if unit.name not in stands]
    progress = _Progress(len(units), len(units) - len(todo))
    give_up = time.monotonic() + (float("inf") if hours is None else hours * 3600)
    with (folder / BOOK).open("ab") as book, pool(jobs) as workers:
        if book.tell():
            book.write(b"\n")  # ends a line that a kill may have cut
        together, alone = (tuple(u for u in todo if u.alone is apart) for apart in (False, True))
        for turn, most in ((together, jobs), (alone, 1)):
            for unit, future in _performed(turn, workers, most, give_up, work):
                book.write(json.dumps(_record(unit, future)).encode() + b"\n")
                book.flush()
                progress.tell(unit, future)


def _performed(
    units: Iterable[Unit], workers: Executor, most: int, give_up: float, work: Callable[[Unit], Record]
) -> Iterator[tuple[Unit, Future[Record]]]:
    """Each unit with what became of it, as they end; at most so many at once."""
    waiting, running = iter(units), dict[Future[Record], Unit]()
    while True:
        while len(running) < most and time.monotonic() < give_up:
            unit = next(waiting, None)
            if unit is None:
                break
            running[workers.submit(work, unit)] = unit
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), future


def _record(unit: Unit, future: Future[Record]) -> Record:
    record: Record = {"unit": unit.name, "part": unit.part, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    error = future.exception()
    return record | (
        {"result": future.result()} if error is None else {"error": f"{type(error).__name__}: {error}"}
    )


class _Progress:
    """Tells on stderr how far it is, and how long it may still take."""

    def __init__(self, units: int, stands: int) -> None:
        self._units, self._stands, self._did = units, stands, 0
        self._steps, self._started = 0, time.monotonic()
        if stands:
            print(f"{stands} of {units} units were done before", file=sys.stderr)

    def tell(self, unit: Unit, future: Future[Record]) -> None:
        self._did += 1
        error = future.exception()
        if error is None and unit.part in ("memory", "again"):
            self._steps += future.result()["steps"]
        took = time.monotonic() - self._started
        stands = self._stands + self._did
        left_h = took / self._did * (self._units - stands) / 3600
        said = "" if error is None else f" broke: {error}"
        print(
            f"{stands}/{self._units} units, {self._steps:,} steps ({self._steps / took:,.0f}/s), "
            f"about {left_h:.1f} h to go; {unit.name}{said}",
            file=sys.stderr,
            flush=True,
        )
