"""`python -m tests.mutation [--jobs N] [--folder F]`: change the core line by line; count what no test notices.

mutmut makes the changes, one at a time, and runs the tests that call the changed function; what strict types
refuse is not run. It works in a clone of the last commit, may be stopped at any moment, and goes on from there.
When it ends, the figures (docs/explanation/figures.json) get the counts and the survivors, and the page is made.

Left out: the twins that await (a test holds their syntax trees against the others), what hosts test themselves
with (`refund_domain.testing` has breaks of its own), and words: changes within a text in quotes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.figures import JSON, ROOT, keep

SETTINGS: Final = """\
[mutmut]
source_paths=
    src/
only_mutate=
    src/refund_domain/*
do_not_mutate=
    src/refund_domain/testing/*
    src/refund_domain/*_async.py
also_copy=
    conftest.py
type_check_command=
    mypy
    src/refund_domain
    --output
    json
    --disable-error-code
    unused-ignore
track_dependencies=False
timeout_multiplier=1.5
pytest_add_cli_args_test_selection=
    tests/domain
pytest_add_cli_args=
    -n0
    -p
    no:cacheprovider
    --hypothesis-profile=mutation
    --ignore=tests/domain/test_strategies.py
    --ignore=tests/domain/test_service_twins.py
    -k
    not async and not random_histories and not dies_twice
"""
"""Ten examples of each property, sync tests alone, none that takes many seconds: there are thousands of runs."""

_MUTMUT: Final = """
from mutmut.mutation.mutators import mutation_operators, operator_string
mutation_operators.remove(next(each for each in mutation_operators if each[1] is operator_string))
import os
from mutmut.runners.harness import BadTestExecutionCommandsException
BadTestExecutionCommandsException.__init__ = lambda *_: os._exit(35)
from mutmut.__main__ import cli
cli()
"""
"""mutmut takes tests that could not be run at all for tests that failed; that must count as no change noticed."""

_READ: Final = """
import json, sys
from mutmut.mutation.diff_apply import get_diff_for_mutant
print(json.dumps([get_diff_for_mutant(name, path=path) for name, path in json.load(sys.stdin)]))
"""

_KINDS: Final = {
    0: "survived",
    1: "tests",
    2: "tests",
    3: "tests",
    5: "no test",
    33: "no test",
    35: "to do",
    37: "types",
    None: "to do",
}
"""What became of a mutant, by mutmut's code of it; of any other code: it never ended, or died."""

Figures = dict[str, Any]


def begin(folder: Path) -> str:
    """A clone of the last commit to work in, unless there is one; the commit that it holds."""
    if not folder.exists():
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        (folder / "setup.cfg").write_text(SETTINGS)
        project = folder / "pyproject.toml"  # mutmut's own code between ours has bare ignores
        project.write_text(project.read_text().replace('"ignore-without-code", ', ""))
    said = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True)
    return said.stdout.strip()


def run(folder: Path, jobs: int) -> int:
    """Go on with what is left; what mutmut ends with."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-c", _MUTMUT, "run", "--max-children", str(jobs)]
    return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


def counted(folder: Path) -> Figures:
    """What became of the mutants of each module, and what each survivor changes."""
    modules, survivors = [], []
    for meta in sorted(folder.glob("mutants/src/refund_domain/**/*.meta")):
        codes: dict[str, int | None] = json.loads(meta.read_text())["exit_code_by_key"]
        kinds = Counter(_KINDS.get(code, "hung") for code in codes.values())
        path = str(meta.relative_to(folder / "mutants"))[: -len(".meta")]
        modules.append({"module": path.removeprefix("src/refund_domain/"), "mutants": len(codes), **kinds})
        survivors += [(name, path) for name, code in codes.items() if _KINDS.get(code) in ("survived", "no test")]
    asked = json.dumps(survivors)
    said = subprocess.run(
        [sys.executable, "-c", _READ], cwd=folder, input=asked, capture_output=True, text=True, check=True
    )
    diffs = json.loads(said.stdout.splitlines()[-1])
    return {
        "modules": modules,
        "survivors": [
            {"name": name, "change": _change(diff)} for (name, _), diff in zip(survivors, diffs, strict=True)
        ],
    }


def _change(diff: str) -> str:
    """The lines that differ, without where they stand."""
    lines = (line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---"))
    return "\n".join(f"{line[0]} {line[1:].strip()}" for line in lines)


def remembered(survivors: list[Figures], before: Figures) -> list[Figures]:
    """The survivors, with what a person wrote in the figures (`read`) of the same change to the same function."""
    read = {_place(each): each["read"] for each in before.get("survivors", ()) if "read" in each}
    return [each | ({"read": read[_place(each)]} if _place(each) in read else {}) for each in survivors]


def _place(survivor: Figures) -> tuple[str, str]:
    return survivor["name"].rsplit("__mutmut_", 1)[0], survivor["change"]


def main() -> int:
    """Go on with the mutants, and write what they came to."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes, %(default)s")
    parser.add_argument("--folder", type=Path, default=ROOT / "mutation", help="to work in, %(default)s")
    parser.add_argument("--count", action="store_true", help="run nothing, count what was done")
    given = parser.parse_args()
    tried = begin(given.folder)
    code = 0 if given.count else run(given.folder, given.jobs)
    figures: Figures = json.loads(JSON.read_text())
    found = counted(given.folder)
    found["survivors"] = remembered(found["survivors"], figures.get("mutation", {}))
    mutants = sum(row["mutants"] for row in found["modules"])
    made = {
        "commit": tried,
        "python": platform.python_version(),
        "to": datetime.now(UTC).isoformat(timespec="seconds"),
        "units": mutants - sum(row.get("to do", 0) for row in found["modules"]),
        "of": mutants,
        "errors": [],
    }
    keep(figures | {"mutation": found, "made": figures["made"] | {"mutation": made}})
    return code


if __name__ == "__main__":
    raise SystemExit(main())
