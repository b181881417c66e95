"""The pages keep their word: commands are there, links lead somewhere, every block of Python is really run."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from markdown_it import MarkdownIt

from refund_domain import Policy
from refund_domain.testing.wiring import Wiring

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md", *ROOT.glob("docs/**/*.md")])
FIRST_SCREEN = 36
COMMANDS = (
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[demo]' && .venv/bin/refunds demo",
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && .venv/bin/pytest",
)
ASSUMPTIONS = ("key_life", "executes_within", "completes_within", "list_lag", "clock_skew", "gateway_caps")


def named(path: Path) -> str:
    """A page's name in a test's id."""
    return str(path.relative_to(ROOT))


def blocks(path: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a page: language and text."""
    tokens = MarkdownIt().parse(path.read_text())
    return [(token.info.strip(), token.content) for token in tokens if token.type == "fence"]


def test_readme_shows_example_and_commands_on_its_first_screen() -> None:
    """The example and the two commands, letter by letter, stand within the first lines."""
    first = README.splitlines()[:FIRST_SCREEN]
    for command in COMMANDS:
        assert f"    {command}" in first
    assert "```python" in first


def test_readme_example_is_short() -> None:
    """Below its imports the first example has ten statements' lines at most, and it calls quote and issue."""
    language, code = blocks(ROOT / "README.md")[0]
    assert language == "python"
    imports = [node for node in ast.parse(code).body if isinstance(node, ast.ImportFrom)]
    lines = [line for line in code.splitlines()[len(imports) :] if line.strip()]
    assert len(lines) <= 10
    assert ".quote(" in code
    assert ".issue(" in code


def test_readme_names_every_rule() -> None:
    """R1 to R9 stand in the README, once each, in order."""
    assert re.findall(r"^\| (R\d) \|", README, re.MULTILINE) == [f"R{number}" for number in range(1, 10)]


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link of a page names a file or folder of this repository."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link and link[0] != "#"]
    dead = [link for link in links if not (path.parent / link.partition("#")[0]).exists()]
    assert dead == []


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_python_is_fenced_so_that_it_runs(path: Path) -> None:
    """A block is ```python, which is run, or says another language that is none of Python's names."""
    languages = {language for language, _ in blocks(path)}
    assert languages <= {"python", "text", "mermaid"}
    if named(path) in ("CHANGELOG.md", "SECURITY.md"):
        assert "python" not in languages, "this page is not run"


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_python_blocks_parse_alike_in_both_readers(path: Path) -> None:
    """What Markdown shows as Python is what the tests run: none is hidden from them by its indentation."""
    shown = sum(language == "python" for language, _ in blocks(path))
    assert shown == len(re.findall(r"^```python$", path.read_text(), re.MULTILINE))


def test_wiring_page_names_every_hook_with_its_arguments() -> None:
    """The table of what a host may override has each public method of `Wiring`, with what it is given."""
    page = (ROOT / "docs" / "how-to" / "test-your-wiring.md").read_text()
    rows = re.findall(r"^\| `(\w+\([\w, ]*\))` \|", page, re.MULTILINE)
    hooks = {name: each for name, each in vars(Wiring).items() if callable(each) and not name.startswith("_")}
    wanted = [f"{name}({', '.join([*inspect.signature(each).parameters][1:])})" for name, each in hooks.items()]
    assert sorted(rows) == sorted(wanted)


def test_promise_names_every_assumption_with_its_value() -> None:
    """The table of assumptions has one row per field, in the policy's order, with the default in force."""
    page = (ROOT / "docs" / "explanation" / "promise.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page, re.MULTILINE)
    policy = Policy()
    assert rows == [(name, str(getattr(policy, name))) for name in ASSUMPTIONS]
    fields = [field.name for field in attrs.fields(Policy)]
    assert fields[1 : 1 + len(ASSUMPTIONS)] == list(ASSUMPTIONS)


def test_promise_names_its_edges_with_their_values() -> None:
    """The edges that follow from the assumptions stand there as the default policy has them."""
    page = (ROOT / "docs" / "explanation" / "promise.md").read_text()
    policy = Policy()
    edges = (
        ("licence", policy.licence.total_seconds() / 60, "minute"),
        ("answer_wait", policy.answer_wait.total_seconds() / 60, "minutes"),
        ("resend_within", policy.resend_within.total_seconds() / 3600, "hours"),
        ("end_after", policy.end_after.total_seconds() / 3600, "hours"),
        ("watch", policy.watch.days, "days"),
    )
    for name, value, unit in edges:
        assert f"{value:g} {unit} (`{name}`)" in page


def test_a_page_that_lies_is_caught(tmp_path: Path) -> None:
    """The collector that runs the pages fails a page whose assertion or shown output is wrong, and no other."""
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("```python\na = 1\n```\n\nand on\n\n```python\nassert a == 1\n```\n")
    (tmp_path / "docs" / "wrong.md").write_text("```python\nassert 1 == 2\n```\n")
    (tmp_path / "docs" / "shown.md").write_text("```python\n>>> 1 + 1\n3\n```\n")
    (tmp_path / "docs" / "plain.md").write_text("```text\nno Python\n```\n")
    (tmp_path / "other.md").write_text("```python\nassert False\n```\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}  # for what conftest.py loads of ours
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert "2 failed, 1 passed" in done.stdout
    assert "docs/wrong.md:2: AssertionError" in done.stdout
    assert "shown.md" in done.stdout
