"""Draw the pictures of the documentation: `python -m tests.docs.pictures`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from refund_adapters.plots import plot_statement
from refund_adapters.statements.steps import steps
from refund_domain.payouts.statement import PayoutStatement
from tests.adapters.payout_cases import STORY

FOLDER: Final = Path(__file__).parents[2] / "docs" / "explanation"

PICTURES: Final[dict[str, PayoutStatement]] = {"payout.png": STORY}
"""Each picture's file, and the statement it shows."""


def told(statement: PayoutStatement) -> str:
    """What a picture shows, in words: kept in its file, so that an old one is known for what it is."""
    return "; ".join(f"{step.name} {step.said}" for step in steps(statement))


def draw(statement: PayoutStatement, path: Path) -> None:
    """Write one picture."""
    metadata = {"Software": None, "Description": told(statement)}
    plot_statement(statement).figure.savefig(path, metadata=metadata)  # type: ignore[union-attr]


if __name__ == "__main__":
    for name, statement in PICTURES.items():
        draw(statement, FOLDER / name)
