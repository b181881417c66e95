"""A payout as a picture: from what was expected, step by step, to what was paid. Needs the extra `plots`.

Matplotlib is loaded by the first call, and nothing of the process is touched: no pyplot, no backend, no setting.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final, NamedTuple

from refund_adapters.statements.steps import Kind, Step, heading, headline, steps
from refund_domain._checks import check_type
from refund_domain.payouts.statement import PayoutStatement

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Look(NamedTuple):
    """How a kind of step is drawn: its colour, and the hatch that tells it without one."""

    colour: str
    hatch: str


LOOKS: Final[dict[Kind, Look]] = {
    Kind.EXPECTED: Look("#004C80", ""),
    Kind.PAID: Look("#004C80", ""),
    Kind.TAKEN: Look("#D55E00", "////"),
    Kind.ADDED: Look("#009E73", "...."),
    Kind.UNEXPLAINED: Look("#000000", "xxxx"),
}
"""Vermilion and green of Okabe and Ito's palette, black, and a blue darker than theirs, which those who lack the
cones for blue, too, tell from the green."""

_INK: Final = "#222222"
_LINE: Final = "#888888"
_NAME_WIDTH: Final = 26
_NAME_LINES: Final = 2
_TITLE_WIDTH: Final = 44
_TITLE_LINES: Final = 2
_WIDTH_IN: Final = 6.0
_HEAD_IN: Final = 0.75
_ROW_IN: Final = 0.42
_HALF: Final = 0.31
"""Half the height of a bar; rows are one apart."""
_FONT: Final = 9.5


def plot_statement(statement: PayoutStatement, ax: Axes | None = None) -> Axes:
    """Draw the payout, one row a step from top to bottom, in minor units: the bars add up exactly.

    Without `ax` it is drawn in a figure of its own, six inches wide and as high as it needs; `axes.figure` is it.
    An `ax` of yours holds it well at 0.42 inches of height a row. Labels are drawn as they are: no formula is read
    out of a `$`. Raises ImportError without the extra.

    >>> from datetime import date
    >>> from refund_domain.money import Money
    >>> from refund_domain.payouts.funds import Payout
    >>> payout = Payout(id="po_1", amount=Money.parse("0.00", "USD"), arrives_on=date(2026, 3, 4))
    >>> axes = plot_statement(PayoutStatement(payout=payout, totals=()))
    >>> len(axes.patches)
    2
    """
    check_type(statement, PayoutStatement, "statement")
    rows = steps(statement)
    if ax is None:
        ax = _axes(len(rows))
    for row, step in enumerate(rows):
        _bar(ax, row, step)
    for row, step in enumerate(rows[:-1]):
        ax.vlines(step.after.amount_minor, row + _HALF, row + 1 - _HALF, color=_LINE, linewidth=0.8)
    ax.axvline(0, color=_INK, linewidth=0.8, zorder=3)
    _frame(ax, statement, rows)
    return ax


def _axes(rows: int) -> Axes:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("a picture needs the extra: pip install 'refund-domain[plots]'") from error
    figure = Figure(
        figsize=(_WIDTH_IN, _HEAD_IN + _ROW_IN * rows), dpi=100, layout="constrained", facecolor="white"
    )
    return figure.add_subplot()


def _bar(ax: Axes, row: int, step: Step) -> None:
    """The bar, a line at its end so that a cent is seen, too, and its amount to the right."""
    look = LOOKS[step.kind]
    before, after = step.before.amount_minor, step.after.amount_minor
    ax.barh(
        row,
        after - before,
        left=before,
        height=2 * _HALF,
        color=look.colour,
        edgecolor="white" if look.hatch else look.colour,
        hatch=look.hatch,
        linewidth=0,
        zorder=2,
    )
    ax.vlines(after, row - _HALF, row + _HALF, color=look.colour, linewidth=1.5, zorder=2)
    ax.annotate(
        step.said.replace("-", "\N{MINUS SIGN}"),
        (max(before, after), row),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        ha="left",
        color=_INK,
        fontsize=_FONT,
        fontweight="bold" if step.is_sum else "normal",
        parse_math=False,
        bbox={"facecolor": ax.get_facecolor(), "edgecolor": "none", "pad": 0.8},  # the line at nothing ends here
        zorder=4,
    )


def _frame(ax: Axes, statement: PayoutStatement, rows: tuple[Step, ...]) -> None:
    """Names at the left, the title above, and nothing that says an amount twice."""
    names = [_folded(step.name, _NAME_WIDTH, _NAME_LINES) for step in rows]
    ax.set_yticks(range(len(rows)), labels=names, color=_INK, fontsize=_FONT, parse_math=False)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    edges = [0, *(step.after.amount_minor for step in rows)]
    first, last = min(edges), max(edges) if any(edges) else 1
    ax.set_xlim(first - 0.03 * (last - first), last + 0.03 * (last - first))
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    above = _folded(headline(statement), _TITLE_WIDTH, _TITLE_LINES)
    which = _folded(heading(statement), _TITLE_WIDTH, _TITLE_LINES)
    ax.annotate(
        which, (0, 1), xycoords="axes fraction", xytext=(0, 5), textcoords="offset points",
        va="bottom", color=_INK, fontsize=_FONT, parse_math=False,
    )  # fmt: skip
    ax.set_title(
        above, loc="left", color=_INK, fontsize=_FONT + 1.5, fontweight="bold", parse_math=False,
        pad=8 + 1.3 * _FONT * (1 + which.count("\n")),
    )  # fmt: skip


def _folded(text: str, width: int, most: int) -> str:
    """The text in lines of at most this width; what does not fit into `most` lines is cut, visibly."""
    lines = textwrap.wrap(text, width)
    if len(lines) > most:
        lines[most - 1 :] = [f"{lines[most - 1][: width - 2].rstrip()} …"]
    return "\n".join(lines)
