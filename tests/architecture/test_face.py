"""The public face is small and sound, errors travel between processes, and each rule has its three places."""

from __future__ import annotations

import ast
import inspect
import pickle
import re
from pathlib import Path

import pytest

import refund_domain
from refund_domain import errors

ROOT = Path(__file__).parents[2]
RULES = tuple(f"R{number}" for number in range(1, 10))


def test_face_is_small_and_whole() -> None:
    """What the package exports exists, is documented, and is about a dozen names."""
    assert len(refund_domain.__all__) <= 16
    assert sorted(refund_domain.__all__) == list(refund_domain.__all__)
    for name in refund_domain.__all__:
        assert inspect.getdoc(getattr(refund_domain, name)), name


ERRORS = [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, Exception)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: e.__name__)
def test_errors_pickle(error: type[Exception]) -> None:
    """Every error crosses a process border with its text."""
    again = pickle.loads(pickle.dumps(error("why")))
    assert type(again) is error
    assert str(again) == "why"


def test_errors_stand_in_the_drawn_tree() -> None:
    """Each error class is drawn in the tree at the head of its module."""
    for error in ERRORS:
        assert error.__name__ in (errors.__doc__ or "")


def rule_functions() -> dict[str, list[str]]:
    """The functions whose docstring begins with a rule's number, by rule."""
    found: dict[str, list[str]] = {rule: [] for rule in RULES}
    for path in sorted((ROOT / "src" / "refund_domain").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                head = (ast.get_docstring(node) or "").split(":")[0]
                if re.fullmatch(r"R\d(, R\d)*", head):
                    for rule in head.split(", "):
                        found[rule].append(f"{path.stem}.{node.name}")
    return found


def rule_tests() -> dict[str, list[str]]:
    """The test functions named by rule."""
    found: dict[str, list[str]] = {rule: [] for rule in RULES}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in re.findall(r"def (test_r\d(?:_\w+)?)\(", path.read_text()):
            found[name[5:7].upper()].append(f"{path.stem}.{name}")
    return found


def rule_rows() -> dict[str, str]:
    """The rows of docs/rules.md by rule."""
    rows = re.findall(r"^\| (R\d) \|(.*)\|$", (ROOT / "docs" / "rules.md").read_text(), re.MULTILINE)
    return dict(rows)


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_has_a_function_a_test_and_a_row(rule: str) -> None:
    """A rule is one function with its number at its head, a test that names it, and a row in docs/rules.md."""
    functions, tests, row = rule_functions()[rule], rule_tests()[rule], rule_rows().get(rule, "")
    assert functions, f"no function's docstring begins with {rule}:"
    assert tests, f"no test is named test_{rule.lower()}_…"
    assert any(function in row for function in functions), f"the row of {rule} names none of {functions}"
    assert any(test.split(".")[1] in row for test in tests), f"the row of {rule} names none of {tests}"
