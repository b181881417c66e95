"""The reference pages say what the code says."""

from __future__ import annotations

import ast
import doctest
from pathlib import Path

import attrs
import pytest

import refund_domain
from refund_domain import Policy
from refund_domain import policy as policies
from tests.docs.reference import IMPORTED, PAGES, members_explained, pages
from tests.docs.test_pages import PAGES as WRITTEN
from tests.docs.test_pages import blocks, named

TELL_HOW = [path for path in WRITTEN if path.parent.name in ("how-to", "tutorial") or path.name == "README.md"]
LISTED = {(module.__name__, name) for module, names in IMPORTED for name in names}
LISTED |= {(refund_domain.__name__, name) for name in refund_domain.__all__}


@pytest.mark.parametrize("name", sorted(pages()))
def test_page_is_up_to_date(name: str) -> None:
    """Each generated page is what the code's tables give now."""
    assert (PAGES / name).read_text() == pages()[name]


def imported_by(path: Path) -> set[tuple[str, str]]:
    """What the Python of a page imports of the core: module and name."""
    found: set[tuple[str, str]] = set()
    for language, text in blocks(path):
        shell = "".join(example.source for example in doctest.DocTestParser().get_examples(text))
        for node in ast.walk(ast.parse((shell or text) if language == "python" else "")):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "refund_domain":
                found |= {(node.module or "", alias.name) for alias in node.names}
    return found


@pytest.mark.parametrize("path", TELL_HOW, ids=named)
def test_what_a_page_imports_is_listed(path: Path) -> None:
    """Each name that a page on how to do something imports of the core stands on the page of imports."""
    assert imported_by(path) - LISTED == set()


def test_imports_of_pages_are_seen() -> None:
    """Both ways of writing Python on a page are read for what they import."""
    tutorial, page = (next(path for path in WRITTEN if path.stem == stem) for stem in ("first-refund", "payouts"))
    assert ("refund_domain.money", "Currency") in imported_by(tutorial)
    assert ("refund_domain.policy", "FundingRule") in imported_by(page)


def test_each_value_of_the_policy_is_explained() -> None:
    """Below each field of the policy stands what it is, so that its page says so."""
    explained = members_explained(policies, Policy)
    assert [field.name for field in attrs.fields(Policy) if not explained.get(field.name)] == []
