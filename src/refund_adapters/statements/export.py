"""A statement for programs and spreadsheets: JSON with stable keys, and CSV whose amounts add up to the payout.

Amounts in JSON are `{"amount_minor": …, "currency": …}`; in CSV plain decimals. Later versions may add keys, and
columns at the end. docs/how-to/payouts.md says what each holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final, TextIO

from refund_adapters.cells import safe_cell, write_row
from refund_adapters.statements.steps import parts
from refund_domain.money import Money
from refund_domain.payouts.statement import Line, PayoutStatement
from refund_domain.payouts.whereabouts import NotExplained

PART_COLUMNS: Final = ("group", "name", "charge", "amount", "currency", "entries")
"""The columns of a statement as CSV: one row a group, and of refunds one row each."""

LINE_COLUMNS: Final = (
    "id", "at", "group", "category", "name", "charge", "object", "refund", "amount", "fee", "net", "currency",
    "client_amount", "client_currency", "rate", "fee_kept",
)  # fmt: skip
"""The columns of all lines as CSV."""


def statement_json(statement: PayoutStatement) -> str:
    """The statement in one line of JSON."""
    payout = statement.payout
    return json.dumps(
        {
            "payout": {
                "id": payout.id,
                "amount": _money(payout.amount),
                "status": payout.status,
                "arrives_on": payout.arrives_on.isoformat(),
                "automatic": payout.automatic,
            },
            "sentence": statement.sentence,
            "estimate": statement.estimate,
            "expected": _money(statement.expected),
            "paid": _money(statement.paid),
            "totals": [
                {"group": total.group, "amount": _money(total.amount), "entries": total.count}
                for total in statement.totals
            ],
            "refunds": [_line(line) for line in statement.refunds],
            "refunds_cost": _money(statement.refunds_cost),
            "lines_left_out": statement.left_out,
        }
    )


def not_explained_json(answer: NotExplained) -> str:
    """Why there is no statement, in one line of JSON."""
    return json.dumps({"not_explained": answer.why, "says": str(answer)})


def line_json(line: Line) -> str:
    """One line of the payout in one line of JSON."""
    return json.dumps(_line(line))


def write_parts(file: TextIO, statement: PayoutStatement) -> None:
    """The statement as CSV: the column `amount` adds up to the payout."""
    write_row(file, PART_COLUMNS)
    for part in parts(statement, statement.totals):
        charge = None if part.line is None or part.line.about is None else part.line.about.charge
        texts = (part.group, part.name, charge or "")
        write_row(file, (*map(safe_cell, texts), part.amount.major, part.amount.currency.code, str(part.count)))


def write_lines(file: TextIO, lines: Iterable[Line]) -> int:
    """These lines as CSV, one after the other; how many it was. The column `net` adds up to the payout."""
    write_row(file, LINE_COLUMNS)
    count = 0
    for count, line in enumerate(lines, 1):  # noqa: B007
        write_row(file, _cells(line))
    return count


def _cells(line: Line) -> list[str]:
    """Amounts are our own plain decimals; everything else is text, and made safe."""
    about, seen = line.about, None if line.about is None else line.about.amount
    texts = (
        line.id, line.at.isoformat(), line.group, line.category, line.name,
        *(("", "", "") if about is None else (about.charge or "", about.id, about.mark or "")),
    )  # fmt: skip
    return [
        *map(safe_cell, texts),
        line.amount.major,
        line.fee.major,
        line.net.major,
        line.amount.currency.code,
        *(("", "") if seen is None else (seen.major, seen.currency.code)),
        safe_cell("" if about is None or about.rate is None else about.rate),
        "" if line.fee_kept is None else str(line.fee_kept),
    ]


def _line(line: Line) -> dict[str, object]:
    about = line.about
    return {
        "id": line.id,
        "at": line.at.isoformat(),
        "group": line.group,
        "category": line.category,
        "name": line.name,
        "label": line.label,
        "amount": _money(line.amount),
        "fee": _money(line.fee),
        "net": _money(line.net),
        "object": None if about is None else about.id,
        "charge": None if about is None else about.charge,
        "refund": None if about is None else about.mark,
        "client_amount": None if about is None or about.amount is None else _money(about.amount),
        "rate": None if about is None else about.rate,
        "fee_kept": None if line.fee_kept is None else _money(line.fee_kept),
        "carried": line.carried,
    }


def _money(money: Money) -> dict[str, object]:
    return {"amount_minor": money.amount_minor, "currency": money.currency.code}
