"""The tests that a page names, and which of them do not exist."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def named_in(text: str) -> list[tuple[str, str]]:
    """Path and function of every test named in this text, as `path.py::function` or `path.py`."""
    return re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", text)


def missing_of(text: str) -> list[str]:
    """What this text names that does not exist below tests/."""
    missing = []
    for path, function in named_in(text):
        if not (TESTS / path).exists():
            missing.append(path)
        elif function and function not in _functions(path):
            missing.append(f"{path}::{function}")
    return missing


def marks_in(path: str, function: str) -> set[str]:
    """What the comments `# failure: A01` within this test say that it keeps out; without a name, in the file."""
    source = _functions(path)[function] if function else (TESTS / path).read_text()
    said = " ".join(re.findall(r"# failures?: (.*)", source))
    return set(re.findall(r"\b[A-Z]\d\d\b", said))


@functools.cache
def _functions(path: str) -> dict[str, str]:
    """By name what stands in each function of this file."""
    source = (TESTS / path).read_text()
    lines = source.splitlines()
    return {
        node.name: "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
