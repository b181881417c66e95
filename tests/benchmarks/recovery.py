"""B9: recovery of 100,000 refunds in doubt, half of which the bank made: how fast, in what memory, resumed.

One process recovers all. It must be as fast at the end as at the beginning, in the memory it had soon after the
beginning; and before anything is timed, one that is killed again and again must leave every refund made once.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import attrs

from refund_adapters.sql import SqliteJournal
from refund_domain.decider.ledger import EMPTY, Status, fold, status_of
from tests.benchmarks import filling, lives
from tests.benchmarks.recovering import was_made
from tests.benchmarks.timing import Case, Timed, summary, timed

ROOT: Final = Path(__file__).parents[2]
SIZE: Final = 100_000
KILLED_SIZE: Final = 3_000
QUICK_SIZE: Final = 200
PARTS: Final = 100
"""How many calls of `recover` go on with all of them, the same number each."""

KILLS: Final = 5


def _recovering(folder: Path, size: int, later_s: int = 0) -> subprocess.Popen[str]:
    places = [str(folder / "journal.db"), str(folder / "bank")]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.recovering", *places, str(size // PARTS), str(later_s)],
        cwd=ROOT,
        env={**os.environ, lives.AT_VARIABLE: lives.AT.isoformat()},
        stdout=subprocess.PIPE,
        text=True,
    )


def _filled(folder: Path, size: int) -> None:
    """A journal in which every refund is in doubt, and a bank that has made half of them."""
    (folder / "bank").mkdir()
    with closing(SqliteJournal(folder / "journal.db")) as journal:
        filling.fill_sqlite(folder / "journal.db", size, size)
        filling.check_reads(journal, [0, size - 1], size)


def check_done(folder: Path, size: int) -> None:
    """Raise RuntimeError unless every refund is known to have succeeded, and was made once, under its own key."""
    charges = [charge for charge in map(lives.charge_of, range(size)) if not was_made(charge)]
    if sorted(os.listdir(folder / "bank")) != sorted(f"{each}.{lives.refund_id_of(each)}" for each in charges):
        raise RuntimeError("what was sent again, and under which key, is not what the bank had not made")
    with closing(SqliteJournal(folder / "journal.db")) as journal:
        for number in range(0, size, max(1, size // 5_000)):
            ledger = fold(EMPTY, journal.load(lives.ref_of(number)).events)
            if [status_of(ledger, record) for record in ledger.refunds] != [Status.SUCCEEDED]:
                raise RuntimeError(f"the refund of payment {number} was not recovered")


def check_resumes(size: int, kills: int) -> None:
    """Raise RuntimeError unless a recovery that is killed again and again is finished by the next."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        _filled(folder, size)
        for kill in range(kills):
            killed = _recovering(folder, size)
            sends = size // 2 * (kill + 1) // (kills + 1)
            while killed.poll() is None and len(os.listdir(folder / "bank")) < sends:
                time.sleep(0.002)
            killed.kill()
            killed.communicate()
        # Whoever was killed between a claim and its answer left it to the next look, some minutes later.
        if _recovering(folder, size, later_s=600).wait() != 0:
            raise RuntimeError("recovery failed after it had been killed")
        check_done(folder, size)


@attrs.frozen
class Part:
    """One call of `recover`: when it ended, how many payments it went on with, and the most memory until then."""

    ended: float
    looked: int
    memory_kb: int


def b9(quick: bool) -> list[Timed]:
    """One run over all."""
    size, killed_size, kills = (QUICK_SIZE, QUICK_SIZE, 1) if quick else (SIZE, KILLED_SIZE, KILLS)
    check_resumes(killed_size, kills)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        _filled(folder, size)
        parts = _parts(folder, size)
        check_done(folder, size)
    if sum(part.looked for part in parts) != size:
        raise RuntimeError("recovery looked at another number of payments than were in doubt")
    return _rows(parts, size)


def _parts(folder: Path, size: int) -> list[Part]:
    """What each part took, the first of them (the start of the process) as the mark to count from."""
    running = _recovering(folder, size)
    if running.stdout is None:
        raise RuntimeError("the process has no output")
    parts = []
    for line in running.stdout:
        looked, memory, ended = line.split()
        parts.append(Part(float(ended), int(looked), int(memory)))
    if running.wait() != 0:
        raise RuntimeError("recovery failed")
    return parts


def _rows(parts: list[Part], size: int) -> list[Timed]:
    times = [
        (part.ended - before.ended) / part.looked * 1e6
        for before, part in itertools.pairwise(parts)
        if part.looked
    ]
    tenth = len(times) // 10
    early, late = "a refund of the first tenth recovered", "a refund of the last tenth recovered"
    by_name = {early: times[:tenth], late: times[-tenth:]}
    whole = summary(f"a refund in doubt recovered, {size:,} of them, SQLite", times)
    note = (
        f"{1e6 * len(times) / sum(times):,.0f} refunds/s; at most {parts[0].memory_kb / 1024:.0f} MB "
        f"after the first {parts[0].looked:,}, {parts[-1].memory_kb / 1024:.0f} MB after the last"
    )
    return [
        attrs.evolve(whole, note=note),
        timed(Case(name=early, work=lives.check_heads), by_name),
        timed(Case(name=late, work=lives.check_heads, against=early, reach="1×: linear"), by_name),
    ]
