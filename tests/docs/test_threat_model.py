"""The page of attackers names tests that exist, for every way of attack that is said to be stopped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.named import missing_of, named_in

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "threat-model.md").read_text()
ROWS = dict(re.findall(r"^\| ([A-Z]\d+) \|(.*)\|$", PAGE, re.MULTILINE))


def test_no_row_is_numbered_twice_and_none_is_overlooked() -> None:
    """Every line of the tables is read here."""
    lines = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| |")]
    assert len(ROWS) == len(lines) > 30


@pytest.mark.parametrize("row", sorted(ROWS))
def test_row_names_tests_that_exist(row: str) -> None:
    """What is stopped is shown by a test; what is only limited (X) claims none that is not there."""
    assert named_in(ROWS[row]) or row.startswith("X")
    assert missing_of(ROWS[row]) == []
