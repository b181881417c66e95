"""The campaign: planned in small units, resumed after any kill, merged into figures that say what is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from refund_adapters.simulation.modes import SOUND
from tests.campaign.__main__ import wrong
from tests.campaign.merge import MERGES, merged
from tests.campaign.parts import PARTS, ROOT, _counted, perform
from tests.campaign.plan import FIRST_SEED, FIRST_SEED_AGAIN, FULL_STEPS, Unit, again, plan
from tests.campaign.run import BOOK, OtherCampaign, Record, begin, done, run
from tests.figures import NOT_YET, page

HEADING: Record = {"commit": "abc", "python": "3.11"}
UNITS = tuple(Unit(part="exhaustive", number=number) for number in range(5))


def one_job(folder: Path, work: Any, *, units: tuple[Unit, ...] = UNITS, hours: float | None = None) -> None:
    """Run these units one at a time, within this process."""
    run(units, folder, jobs=1, hours=hours, work=work, pool=ThreadPoolExecutor)


def test_whole_campaign_is_as_long_as_it_says() -> None:
    """Two hundred million steps over all modes alike, beyond the gate's seeds, and five thousand kills."""
    units = plan(FULL_STEPS)
    seeded = [unit for unit in units if unit.part in ("memory", "sqlite", "broken")]
    assert min(int(unit.arguments[1]) for unit in seeded) == FIRST_SEED
    lots = [unit.arguments for unit in units if unit.part == "memory"]
    seeds = Counter[object]()
    for mode, first, end in lots:
        assert isinstance(first, int)
        assert isinstance(end, int)
        seeds[mode] += end - first
    assert set(seeds) == {mode.name for mode in SOUND}
    assert len(set(seeds.values())) == 1
    assert 370 * sum(seeds.values()) >= FULL_STEPS  # a seed takes 380 to 410
    assert sum(2 * int(unit.arguments[0]) for unit in units if unit.part == "kills") >= 5_000
    assert len({unit.name for unit in units}) == len(units)
    assert {unit.part for unit in (*units, *again(1))} == set(PARTS) == set(MERGES)


def test_small_campaign_has_something_of_everything() -> None:
    """Scaled down to nothing it still has one unit of each part; all parts go on alike, and what measures time
    comes last and alone."""
    units = plan(1_000)
    assert {unit.part for unit in units} == set(PARTS) - {"again"}
    assert [unit.part for unit in units if unit.alone] == ["benchmarks"]
    assert units[-1].alone
    whole = plan(FULL_STEPS)
    first_half = Counter(unit.part for unit in whole[: len(whole) // 2])
    for part, count in Counter(unit.part for unit in whole).items():
        assert count < 4 or abs(first_half[part] - count / 2) <= 1 + count / 50


def test_it_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    """What was written down is not done again; a line that a kill cut off, and a unit that broke, are."""
    begin(tmp_path, HEADING)
    tried: list[str] = []

    def work(unit: Unit) -> Record:
        tried.append(unit.name)
        if unit.number == 3 and len(tried) < 6:
            raise RuntimeError("no room")
        return {"runs": unit.number, "failing": 0}

    one_job(tmp_path, work)
    assert len(tried) == 5
    book = tmp_path / BOOK
    lines = book.read_bytes().splitlines(keepends=True)
    book.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])  # killed while it wrote the last one
    assert [record["unit"] for record in done(tmp_path)] == [unit.name for unit in UNITS[:4]]
    one_job(tmp_path, work)
    assert tried[5:] == [UNITS[3].name, UNITS[4].name]
    records = done(tmp_path)
    assert {record["unit"] for record in records if "error" not in record} == {unit.name for unit in UNITS}
    assert [record["error"] for record in records if "error" in record] == ["RuntimeError: no room"]
    one_job(tmp_path, work)
    assert len(tried) == 7


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system does not list its processes")
def test_killed_it_leaves_no_process_behind(tmp_path: Path) -> None:
    """Its workers end with it, though it had no time to tell them."""
    names = [
        "--steps=1000",
        "--jobs=2",
        f"--folder={tmp_path}",
        f"--json={tmp_path / 'f'}",
        f"--page={tmp_path / 'p'}",
    ]
    command = subprocess.Popen(
        [sys.executable, "-m", "tests.campaign", *names],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        stderr=subprocess.DEVNULL,
    )
    try:
        workers: list[int] = []
        while len(workers) < 2:
            assert command.poll() is None
            time.sleep(0.05)
            workers = [
                int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat") if _is_worker(path, command)
            ]
    finally:
        command.kill()
        command.wait()
    give_up = time.monotonic() + 60
    while any(_lives(worker) for worker in workers):
        assert time.monotonic() < give_up, "a worker is still there"
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    """Whether this process still runs; one that ended and was not fetched yet does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _is_worker(stat: Path, command: subprocess.Popen[bytes]) -> bool:
    """Whether this is a process that the command made for its units."""
    with suppress(OSError):  # it may end meanwhile
        parent = int(stat.read_text().rpartition(")")[2].split()[1])
        return parent == command.pid and b"spawn_main" in (stat.parent / "cmdline").read_bytes()
    return False


def test_nothing_begins_when_the_hours_are_over(tmp_path: Path) -> None:
    """Out of hours it ends by itself, and the next start goes on."""
    begin(tmp_path, HEADING)
    one_job(tmp_path, lambda unit: {}, hours=0)
    assert done(tmp_path) == []
    one_job(tmp_path, lambda unit: {})
    assert len(done(tmp_path)) == 5


def test_what_measures_time_runs_alone(tmp_path: Path) -> None:
    """It begins when everything else is over."""
    begin(tmp_path, HEADING)
    units = (Unit(part="benchmarks", number=0, alone=True), *UNITS)
    one_job(tmp_path, lambda unit: {}, units=units)
    assert [record["part"] for record in done(tmp_path)] == ["exhaustive"] * 5 + ["benchmarks"]


def test_two_campaigns_are_never_added_up(tmp_path: Path) -> None:
    """Another commit, or another size, needs another folder."""
    begin(tmp_path, HEADING)
    begin(tmp_path, HEADING)
    with pytest.raises(OtherCampaign, match="another --folder"):
        begin(tmp_path, HEADING | {"commit": "def"})


def lot(number: int, mode: str, first: int, end: int, **changes: Any) -> Record:
    """What a lot of the simulator is written down as."""
    result = {"mode": mode, "first": first, "end": end, "seeds": end - first, "steps": 400 * (end - first)}
    sums = {"days": 10.0, "refunds": 3, "seconds": 1.0, "failing": [], "counts": {"crash": 2}, "broken": {}}
    name = f"memory {number}"
    return {"unit": name, "part": "memory", "at": f"2026-12-0{number + 1}", "result": result | sums | changes}


def test_figures_are_the_sum_of_the_units() -> None:
    """Lots of one mode are added up, the seeds are named, and how much of the part was done."""
    units = tuple(Unit(part="memory", number=number) for number in range(4))
    records = [lot(0, "cap-on", 0, 10), lot(1, "cap-off", 0, 10), lot(2, "cap-on", 10, 15)]
    figures = merged({"lines": {}}, records, units, HEADING)
    assert figures["made"]["memory"] == {
        **HEADING,
        "from": "2026-12-01",
        "to": "2026-12-03",
        "units": 3,
        "of": 4,
        "errors": [],
    }
    memory = figures["memory"]
    assert memory["seeds"] == "0:15"
    assert [(mode["mode"], mode["seeds"], mode["steps"], mode["crashes"]) for mode in memory["modes"]] == [
        ("cap-on", 15, 6_000, 4),
        ("cap-off", 10, 4_000, 2),
    ]
    assert wrong(figures) == []


def test_a_later_commit_is_tried_beside_the_campaign() -> None:
    """Its seeds are none of the campaign's, its figures stand under its own commit beside those, which stay, and
    what broke of it is told."""
    seeds = [each for unit in plan(FULL_STEPS) if unit.part == "memory" for each in unit.arguments[1:]]
    assert max(map(int, seeds)) <= FIRST_SEED_AGAIN
    assert {unit.arguments[0] for unit in again(1)} == {mode.name for mode in SOUND}
    whole = merged({}, [lot(0, "cap-on", 0, 10)], (Unit(part="memory", number=0),), HEADING)
    later = {**lot(0, "cap-on", FIRST_SEED_AGAIN, FIRST_SEED_AGAIN + 5, broken={"lost": 1}), "part": "again"}
    both = merged(whole, [later], (Unit(part="again", number=0),), {**HEADING, "commit": "def"})
    assert both["memory"] == whole["memory"]
    assert wrong(both) == ["again cap-on: {'lost': 1}, seeds []"]
    assert "### Of a later commit" not in page(whole)
    shown = page(both).split("### Of a later commit")[1].split("### Exhaustive")[0]
    assert "at commit `def`" in shown
    assert "(2000000:2000005)" in shown


def test_what_broke_is_never_left_out() -> None:
    """A seed that fails, a unit that broke, a test that failed, a mutant that survived: each is told and shown."""
    units = (Unit(part="memory", number=0), *(Unit(part=part, number=0) for part in ("kills", "mutants", "fuzz")))
    tested = {"tests": 2, "failing": ["test_x"], "skipped": [], "counts": {"killed": 3}, "sizes": {"N": "1"}}
    mutant = {"name": "no key", "mode": "cap-off", "seeds": 30, "seed": None, "by": None}
    records = [
        lot(0, "cap-on", 0, 10, failing=[7], broken={"doubled": 1}),
        {"unit": "kills 0", "part": "kills", "at": "2026-12-01", "result": tested},
        {"unit": "mutants 0", "part": "mutants", "at": "2026-12-01", "result": mutant},
        {"unit": "fuzz 0", "part": "fuzz", "at": "2026-12-01", "error": "RuntimeError: no atheris"},
    ]
    figures = merged({"lines": {}}, records, units, HEADING)
    assert wrong(figures) == [
        "fuzz: fuzz 0: RuntimeError: no atheris",
        "memory cap-on: {'doubled': 1}, seeds [7]",
        "survived: no key",
        "kills: test_x ({'N': '1'})",
    ]
    shown = page(figures)
    for words in ("**failed**: test_x", "survives", "| **1** |"):
        assert words in shown


def test_page_says_what_was_not_run() -> None:
    """Without any figures every section says so, and no number is made up."""
    shown = page({})
    assert shown.count(NOT_YET) == 11
    assert shown.count("| not yet run |") == 20
    one = merged(
        {}, [lot(0, "cap-on", 0, 10)], (Unit(part="memory", number=0), Unit(part="memory", number=1)), HEADING
    )
    shown = page(one)
    assert "1 of 2 units" in shown
    assert "**Not yet run**: cap-off, " in shown
    assert "over SQLite files not yet run" in shown
    assert shown.count(NOT_YET) == 10


def test_counts_of_tests_are_read_from_their_report() -> None:
    """What tests counted is added up by name; what failed, broke or was left out is named."""
    report = ElementTree.fromstring(
        "<testsuites><testsuite><testcase name='a'><properties><property name='killed' value='3'/></properties>"
        "</testcase><testcase name='b'><failure/><properties><property name='killed' value='4'/></properties>"
        "</testcase><testcase name='c'><error/></testcase><testcase name='d'><skipped/></testcase>"
        "</testsuite></testsuites>"
    )
    assert _counted(report) == {"tests": 4, "failing": ["b", "c"], "skipped": ["d"], "counts": {"killed": 7}}


def test_lot_of_the_simulator_is_plain_data() -> None:
    """A real lot survives being written down, and is added up to what was simulated."""
    unit = Unit(part="memory", number=0, arguments=("cap-off", 7_000, 7_002))
    result = json.loads(json.dumps(perform(unit)))
    record = {"unit": unit.name, "part": "memory", "at": "2026-12-01", "result": result}
    (mode,) = merged({}, [record], (unit,), HEADING)["memory"]["modes"]
    assert (mode["mode"], mode["seeds"], mode["broken"]) == ("cap-off", 2, {})
    assert mode["steps"] >= 600
