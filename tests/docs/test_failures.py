"""The page of failures names tests that exist, and leaves none of its groups half done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.named import TESTS, marks_in, missing_of, named_in

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "failures.md").read_text()
ROWS = dict(re.findall(r"^\| ([A-H]\d\d) \|(.*)\|$", PAGE, re.MULTILINE))
GROUPS = {
    "A": "01 03 04 05 07 08 10 11 13 14 15 17 18 20",
    "B": "01 02 03 04 06 07 09 11 12 13 15",
    "C": "01 02 04 05 07 09 10 11 13 14 15 16",
    "D": "01 03 05 06 07 08 09 10 12 15 16",
    "E": "01 02 04 05 07",
    "F": "01 02 03 04 06 09",
    "G": "01 02 04 05 06 07 09 12",
    "H": "01 04 05 06 08 09 11 13 14",
}
"""All failures that were collected, by group."""


def test_every_failure_of_these_groups_has_its_row() -> None:
    """No failure is left out, and none is made up."""
    wanted = {group + number for group, numbers in GROUPS.items() for number in numbers.split()}
    assert wanted == set(ROWS)


@pytest.mark.parametrize("failure", sorted(ROWS))
def test_row_names_tests_that_exist_or_says_why_not(failure: str) -> None:
    """Each row names at least one test, and every test it names exists; or it says out of scope, and why."""
    row = ROWS[failure]
    if "*Out of scope:*" in row:
        assert len(row.split("*Out of scope:*")[1].strip()) > 20
        return
    assert named_in(row)
    assert missing_of(row) == []


@pytest.mark.parametrize("failure", sorted(ROWS))
def test_the_tests_of_a_row_say_what_they_keep_out(failure: str) -> None:
    """Whoever changes a test reads in it which failures of the page rest on it."""
    assert [name for name in named_in(ROWS[failure]) if failure not in marks_in(*name)] == []


def test_a_mark_names_a_failure_of_the_page() -> None:
    """No test claims to keep out what nobody collected."""
    marks = {mark for path in TESTS.rglob("test_*.py") for mark in marks_in(str(path.relative_to(TESTS)), "")}
    assert marks <= set(ROWS)
