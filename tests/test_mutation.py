"""The command that changes the core line by line: what it reads of mutmut's records, and what it keeps."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.figures import JSON, keep, page
from tests.mutation import begin, counted, main, remembered


def recorded(folder: Path, codes: dict[str, int | None]) -> None:
    """What mutmut would have written of a module of the core."""
    meta = folder / "mutants" / "src" / "refund_domain" / "rules" / "arrival.py.meta"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"exit_code_by_key": codes}))


SURVIVOR = "refund_domain.rules.arrival.xǁArrivalǁearliest__mutmut_4"
UNTESTED = "refund_domain.rules.arrival.x_arrives__mutmut_2"
CODES = {"killed": 1, "typed": 37, SURVIVOR: 0, UNTESTED: 33, "hanging": -24, "unrunnable": 35, "new": None}
DIFF = "--- a\n+++ b\n@@ -1 +1 @@\n def f() -> int:\n-    return 1\n+    return 2\n"


def told(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
    """What mutmut's own reading says of two survivors."""
    return subprocess.CompletedProcess(command, 0, "progress\n" + json.dumps([DIFF, DIFF]) + "\n", "")


def test_every_code_is_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mutant is in one column of its module, and what no test noticed is named with its change."""
    recorded(tmp_path, CODES)
    monkeypatch.setattr("subprocess.run", told)
    found = counted(tmp_path)
    (row,) = found["modules"]
    assert row == {
        "module": "rules/arrival.py",
        "mutants": 7,
        "tests": 1,
        "types": 1,
        "survived": 1,
        "no test": 1,
        "hung": 1,
        "to do": 2,
    }
    change = "- return 1\n+ return 2"
    assert found["survivors"] == [
        {"name": SURVIVOR, "change": change},
        {"name": UNTESTED, "change": change},
    ]


def test_what_was_read_is_kept_for_the_same_change() -> None:
    """What a person wrote of a survivor stays when its number changes, and goes when the change is another."""
    before = {"survivors": [{"name": "a.x_f__mutmut_1", "change": "- 1\n+ 2", "read": "Alike."}]}
    same, other = (
        {"name": "a.x_f__mutmut_7", "change": "- 1\n+ 2"},
        {"name": "a.x_f__mutmut_1", "change": "- 1\n+ 0"},
    )
    assert remembered([same, other], before) == [same | {"read": "Alike."}, other]
    assert remembered([same], {}) == [same]


def test_it_works_in_a_clone_and_shows_what_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting what was done writes figures and page, with the share of the changes that were noticed."""
    figures, shown = tmp_path / "figures.json", tmp_path / "page.md"
    figures.write_text(JSON.read_text())
    folder = tmp_path / "clone"
    commit = begin(folder)
    assert begin(folder) == commit
    assert "[mutmut]" in (folder / "setup.cfg").read_text()
    recorded(folder, CODES)
    monkeypatch.setattr("tests.mutation.JSON", figures)
    monkeypatch.setattr("tests.mutation.keep", lambda found: keep(found, figures, shown))
    monkeypatch.setattr("tests.mutation.begin", lambda _: commit)
    monkeypatch.setattr("subprocess.run", told)
    monkeypatch.setattr("sys.argv", ["mutation", "--count", "--folder", str(folder)])
    assert main() == 0
    written = json.loads(figures.read_text())
    made = written["made"]["mutation"]
    assert (made["commit"], made["units"], made["of"]) == (commit, 5, 7)
    assert shown.read_text() == page(written)
    assert "| **all** | 7 | 1 | 1 | 1 | 1 | 1 | 2 | 60.0 % |" in shown.read_text()
    for place in ("rules.arrival.Arrival.earliest", "rules.arrival.arrives"):
        assert f"| `{place}` | `- return 1`<br>`+ return 2` | **unread** |" in shown.read_text()
