"""The host's labels for payments, from a CSV file of two columns: charge id, label."""

from __future__ import annotations

import csv
from pathlib import Path


def read_labels(path: Path) -> dict[str, str]:
    """The label of each charge. A first row of `charge,label` is a heading; the file is UTF-8, also Excel's.

    Raises ValueError for what is no such file, naming the line and none of its text; OSError where it cannot be
    read. Of two labels for one charge the last holds.
    """
    labels: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                if not row or [cell.strip().lower() for cell in row] == ["charge", "label"]:
                    continue
                if len(row) != 2 or not row[0].strip():
                    raise ValueError(f"line {reader.line_num} has not just two cells: a charge's id and its label")
                labels[row[0].strip()] = row[1].strip()
    except UnicodeDecodeError:
        raise ValueError("it is not written in UTF-8") from None
    except csv.Error:
        raise ValueError("it is no CSV: a quotation mark is missing somewhere") from None
    return {charge: label for charge, label in labels.items() if label}
