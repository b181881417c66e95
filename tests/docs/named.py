"""The tests that a page names, and which of them do not exist."""

from __future__ import annotations

import ast
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
        file = TESTS / path
        if not file.exists():
            missing.append(path)
        elif function and function not in _functions(file):
            missing.append(f"{path}::{function}")
    return missing


def _functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def marks_in(path: str, function: str) -> set[str]:
    """What the comments `# failure: A01` within this test say that it keeps out; without a name, in the file."""
    source = (TESTS / path).read_text()
    if function:
        (node,) = [each for each in ast.walk(ast.parse(source)) if _is_named(each, function)]
        source = ast.get_source_segment(source, node) or ""
    said = " ".join(re.findall(r"# failures?: (.*)", source))
    return set(re.findall(r"\b[A-Z]\d\d\b", said))


def _is_named(node: ast.AST, function: str) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function
