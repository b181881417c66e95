"""CSV for spreadsheets: RFC 4180, every cell quoted, and no text that would be taken for a formula."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Final, TextIO

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def safe_cell(text: str) -> str:
    """The text as a spreadsheet takes it for text: no formula, whatever it begins with.

    >>> safe_cell("=HYPERLINK(1)"), safe_cell("cash in hand")
    ("'=HYPERLINK(1)", 'cash in hand')
    """
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) or text.startswith("'") else text


def write_row(file: TextIO, cells: Iterable[str]) -> None:
    """Write one row of cells, as they are."""
    csv.writer(file, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerow(cells)
