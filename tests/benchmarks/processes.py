"""B8: PostgreSQL under 1, 2, 4 and 8 processes, on different payments and on one, against bare psycopg.

Both sides commit the same rows with the same statements, each append one transaction, to the same tables.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import psycopg

from refund_adapters.sql import PostgresJournal
from refund_domain.ports import RefundJournal
from tests.benchmarks import lives
from tests.benchmarks.timing import Case, Timed, measure, timed
from tests.postgres.server import Server

ROOT: Final = Path(__file__).parents[2]
COUNTS: Final = (1, 2, 4, 8)
QUICK_COUNTS: Final = (1, 2)

_numbers: Final = itertools.count(1)


class Process:
    """One `committing` of a side."""

    def __init__(self, side: str, conninfo: str) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.committing", side, conninfo],
            cwd=ROOT,
            env={**os.environ, lives.AT_VARIABLE: lives.AT.isoformat()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def say(self, line: str) -> None:
        """Tell it something."""
        if self._child.stdin is not None:
            self._child.stdin.write(f"{line}\n")

    def wait(self) -> None:
        """Wait until it has done what it was told."""
        if self._child.stdout is None or self._child.stdout.readline() != "done\n":
            raise RuntimeError("a process that commits has failed; what was timed means nothing")

    def close(self) -> None:
        """Let it end."""
        self._child.communicate()


def tell(processes: Sequence[Process], lines: Sequence[str]) -> None:
    """Tell each its line, and wait for all."""
    for process, line in zip(processes, lines, strict=True):
        process.say(line)
    for process in processes:
        process.wait()


class Different:
    """Each process on payments of its own."""

    def __init__(self, processes: Sequence[Process], count: int) -> None:
        self._processes, self._count = processes, count

    def prepare(self) -> None:
        """Make new payments ready."""
        tell(self._processes, [f"different {fresh(self._count)} {self._count}" for _ in self._processes])

    def work(self) -> None:
        """Commit them all."""
        tell(self._processes, ["go"] * len(self._processes))


class One:
    """All processes on one payment."""

    def __init__(self, journal: RefundJournal, processes: Sequence[Process], count: int) -> None:
        self._journal, self._processes, self._count = journal, processes, count
        self._number = 0

    def prepare(self) -> None:
        """Open the stream of a new payment."""
        self._number = fresh(1)
        append(self._journal, lives.told(self._number)[0])
        tell(self._processes, [f"one {self._number} {self._count}"] * len(self._processes))

    def work(self) -> int:
        """Commit them all; how many events came to stand behind those it was opened with."""
        tell(self._processes, ["go"] * len(self._processes))
        return self._journal.load(lives.ref_of(self._number)).version - 2


def fresh(count: int) -> int:
    """The first of so many numbers that nobody has used yet."""
    first, *_ = [next(_numbers) for _ in range(count)]
    return first


def append(journal: RefundJournal, step: lives.Append) -> None:
    """Append this step."""
    journal.append(step.ref, step.events, expected=step.expected, head=step.head)


def b8(quick: bool) -> list[Timed]:
    """Commits a second of so many processes, and what one on its own payments has of others on one."""
    counts, commits, rounds = (QUICK_COUNTS, 4, 1) if quick else (COUNTS, 240, 11)
    server = Server({"shared_buffers": "256MB", "max_wal_size": "4GB"})
    conninfo = server.database()
    with closing(PostgresJournal(conninfo)) as journal, _started(conninfo, counts[-1]) as sides:
        check_same_rows(journal, conninfo, sides)
        check_blocks_nobody(journal, conninfo)
        cases = []
        for count in counts:
            for side, against in (("ours", "bare"), ("bare", None)):
                processes = sides[side][:count]
                apart = Different(processes, commits // lives.STEPS)
                together = One(journal, processes, commits)
                for words, work in (("different payments", apart), ("one payment", together)):
                    cases.append(
                        Case(
                            name=_name(count, words, side),
                            prepare=work.prepare,
                            work=work.work,
                            calls=commits * count,
                            answer=2 * commits * count if work is together else None,
                            reach="≥ 70 % of bare (≤ 1.43×)" if against else "",
                            against=_name(count, words, against) if against else None,
                        )
                    )
        few = max(lives.STEPS, commits // 4)
        return [*measure(cases, rounds), *_beside(journal, sides["ours"][: min(4, counts[-1])], few, rounds)]


def _name(count: int, words: str, side: str) -> str:
    said = {"ours": "our journal", "bare": "bare psycopg"}[side]
    return f"a commit, {count} process{'es' if count > 1 else ''} on {words}, {said}"


@contextmanager
def _started(conninfo: str, count: int) -> Iterator[dict[str, list[Process]]]:
    """So many processes of each side."""
    sides = {side: [Process(side, conninfo) for _ in range(count)] for side in ("ours", "bare")}
    try:
        yield sides
    finally:
        for process in itertools.chain(*sides.values()):
            process.close()


def check_same_rows(journal: RefundJournal, conninfo: str, sides: dict[str, list[Process]]) -> None:
    """Raise RuntimeError unless both sides write the rows that make the same life, heads included."""
    found = []
    for processes in sides.values():
        number = fresh(1)
        tell(processes[:1], [f"different {number} 1"])
        tell(processes[:1], ["go"])
        life = lives.told(number)
        if journal.load(life[0].ref).events != tuple([event for step in life for event in step.events]):
            raise RuntimeError("a side wrote another life than it was told; nothing was timed")
        with psycopg.connect(conninfo) as raw:
            found.append(
                raw.execute(
                    "SELECT version, tenant, look_at, waiting FROM refund_streams WHERE stream = %s",
                    (lives.stream_of(number),),
                ).fetchall()
            )
    if found[0] != found[1] or len(found[0]) != 1:
        raise RuntimeError("the sides leave different heads; nothing was timed")


def check_blocks_nobody(journal: RefundJournal, conninfo: str) -> None:
    """Raise (`JournalBusy`) unless other payments go on while one's append is held up by an open transaction."""
    held, other = lives.told(fresh(1)), lives.told(fresh(1))
    append(journal, held[0])
    with psycopg.connect(conninfo) as raw:
        raw.execute("UPDATE refund_streams SET version = version WHERE stream = %s", (str(held[0].ref),))
        for step in other:
            append(journal, step)
        journal.due(1)
        raw.rollback()


def _beside(journal: RefundJournal, processes: Sequence[Process], count: int, rounds: int) -> list[Timed]:
    """The first process on payments of its own, while the others work on one payment, or on their own as well."""
    first, others = processes[:1], processes[1:]
    names = [f"a commit on a payment of its own, {len(others)} others {words}" for words in ("on one", "apart")]
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            more = 8 * count  # so that they last longer
            tell(first, [f"different {fresh(count)} {count}"])
            if name == names[0]:
                number = fresh(1)
                append(journal, lives.told(number)[0])
                tell(others, [f"one {number} {more}"] * len(others))
            else:
                tell(others, [f"different {fresh(more // 4)} {more // 4}" for _ in others])
            for process in others:
                process.say("go")
            began = time.perf_counter()
            tell(first, ["go"])
            times[name].append((time.perf_counter() - began) / lives.STEPS / count * 1e6)
            for process in others:
                process.wait()
    rows = (names[0], names[1], "≤ 1×: the one payment blocks nobody else"), (names[1], None, "")
    return [
        timed(Case(name=name, work=lives.check_heads, against=against, reach=reach), times)
        for name, against, reach in rows
    ]
