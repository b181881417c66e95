"""`python -m tests.campaign [--again] [--steps N] [--hours H] [--jobs N]`: try everything at length.

Killed, or out of hours, it goes on from there when it is started again. `--steps` scales every part with the
simulator's steps; less than the whole (200,000,000) is for trying the command. `--again` is for a commit after the
campaign's: the simulator alone, with seeds of its own, beside the figures that stand. Whenever it ends, what was
done so far is merged into the figures, and the page is written from them. The exit code is 1 if anything broke.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path

from tests.campaign.merge import Figures, merged
from tests.campaign.plan import FIRST_SEED, FIRST_SEED_AGAIN, FULL_STEPS, again, plan
from tests.campaign.run import OtherCampaign, Record, begin, done, run
from tests.figures import JSON, PAGE, ROOT, commit, keep, lines


def wrong(figures: Figures) -> list[str]:
    """What must not be in the figures of a good campaign."""
    found = [f"{part}: {error}" for part, made in figures.get("made", {}).items() for error in made["errors"]]
    for part in ("memory", "sqlite", "again"):
        for mode in figures.get(part, {}).get("modes", ()):
            if mode["broken"]:
                found.append(f"{part} {mode['mode']}: {mode['broken']}, seeds {mode['failing_seeds']}")
    found += [f"survived: {row['name']}" for row in figures.get("mutants", ()) if row["seed"] is None]
    for part in ("kills", "wal", "postgres"):
        found += [f"{part}: {name}" for name in figures.get(part, {}).get("failing", ())]
    found += [f"fuzz: {finding}" for finding in figures.get("fuzz", {}).get("findings", ())]
    if not figures.get("exhaustive", " 0 failing").endswith(" 0 failing"):
        found.append(f"exhaustive: {figures['exhaustive']}")
    return found


def main() -> int:
    """Go on with the campaign; 1 if anything broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--again", action="store_true", help="the simulator alone, of a later commit")
    parser.add_argument("--steps", type=int, default=FULL_STEPS, help="of the simulator, %(default)s")
    parser.add_argument("--hours", type=float, help="begin nothing new after so many")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes, %(default)s")
    parser.add_argument("--folder", type=Path, default=ROOT / "campaign", help="what was done so far is here")
    parser.add_argument("--json", type=Path, default=JSON, help="the figures, %(default)s")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page made from them, %(default)s")
    given = parser.parse_args()
    heading: Record = {"commit": commit(), "python": platform.python_version()}
    units, first = (again(given.steps), FIRST_SEED_AGAIN) if given.again else (plan(given.steps), FIRST_SEED)
    try:
        begin(given.folder, heading | {"steps": given.steps, "first_seed": first, "units": len(units)})
    except OtherCampaign as error:
        parser.error(str(error))
    try:
        run(units, given.folder, jobs=given.jobs, hours=given.hours)
    finally:
        before: Figures = json.loads(given.json.read_text()) if given.json.exists() else {}
        figures = merged(before, done(given.folder), units, heading) | {"lines": lines()}
        keep(figures, given.json, given.page)
    found = wrong(figures)
    print("\n".join(found) or f"nothing broke; wrote {given.json} and {given.page}")
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
