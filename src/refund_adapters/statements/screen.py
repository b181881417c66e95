"""A statement in a terminal: the sentence, bars, a table. Marks and signs tell all that a colour would.

Lines are cut to the console's width, bear no trailing blanks, and are plain ASCII where the output takes no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from rich.console import Console
from rich.text import Text

from refund_adapters.statements.steps import Kind, Step, end_name, heading, name_of, steps
from refund_adapters.wording import GROUP
from refund_domain._checks import one_line
from refund_domain.payouts.statement import Line, PayoutStatement

WIDEST: Final = 96
_LEAST_BAR: Final = 6
_NAME_LINES: Final = 2


class Marks(NamedTuple):
    """What bars are made of, by the kind of step; and the line at nothing."""

    bars: dict[Kind, str]
    zero: str
    more: str


BLOCKS: Final = Marks(
    {Kind.EXPECTED: "█", Kind.PAID: "█", Kind.TAKEN: "▒", Kind.ADDED: "▓", Kind.UNEXPLAINED: "?"}, "│", "…"
)
ASCII: Final = Marks(
    {Kind.EXPECTED: "#", Kind.PAID: "#", Kind.TAKEN: "-", Kind.ADDED: "+", Kind.UNEXPLAINED: "?"}, "|", "~"
)


def console() -> Console:
    """A console on standard output, no wider than is good to read; no markup, no guessed highlights."""
    wide = Console(highlight=False, markup=False, emoji=False)
    return Console(highlight=False, markup=False, emoji=False, width=min(wide.width, WIDEST))


def marks_for(out: Console) -> Marks:
    """Blocks, or what an output of ASCII takes."""
    try:
        "".join((*BLOCKS.bars.values(), BLOCKS.zero, BLOCKS.more)).encode(out.encoding)
    except UnicodeEncodeError:
        return ASCII
    return BLOCKS


def show(out: Console, statement: PayoutStatement) -> None:
    """Print the whole statement."""
    for text in (statement.sentence, heading(statement)):
        _print(out, _folded(out, text, out.width))
    out.print()
    show_bars(out, statement)
    _print(out, [Text(), *_table(out, statement), *_cost(out, statement)])


def show_bars(out: Console, statement: PayoutStatement, *, indent: int = 2) -> None:
    """Print the bars alone: from what was expected to what was paid."""
    _print(out, _bars(out, steps(statement), indent))


def line_text(line: Line) -> str:
    """One line of the payout: day, what it adds, its group and name."""
    name = name_of(line)
    told = name if name == line.id else f"{name} ({line.id})"
    return f"{line.at:%Y-%m-%d} {line.net.major:>14}  {GROUP[line.group]}: {told}"


def _print(out: Console, lines: Iterable[Text]) -> None:
    """Each line as it is, without trailing blanks; what the output's encoding lacks is a question mark."""
    for line in lines:
        text = line.plain.encode(out.encoding, "replace").decode(out.encoding)
        out.print(Text(text.rstrip(), style=line.style), soft_wrap=True)


def _folded(out: Console, text: str, width: int) -> list[Text]:
    return list(Text(one_line(text)).wrap(out, width))


def _bars(out: Console, rows: tuple[Step, ...], indent: int) -> Iterator[Text]:
    marks, says = marks_for(out), max(len(step.said) for step in rows)
    room = out.width - indent - says - 4
    folded = [_name(out, step.name, max(10, min(30, room // 2)), marks) for step in rows]
    name = max(line.cell_len for lines in folded for line in lines)
    width = max(_LEAST_BAR, room - name)
    edges = [0, *(step.after.amount_minor for step in rows)]
    for step, (first, *more) in zip(rows, folded, strict=True):
        bar = _bar(step, min(edges), max(edges), width, marks)
        yield Text(f"{' ' * indent}{_padded(first, name)}  {step.said:>{says}}  {bar}")
        yield from (Text(" " * indent) + line for line in more)


def _name(out: Console, text: str, width: int, marks: Marks) -> list[Text]:
    """A step's name in two lines at most; cut visibly."""
    lines = _folded(out, text, width)
    for line in lines:
        line.rstrip()
    if len(lines) > _NAME_LINES:
        lines = lines[:_NAME_LINES]
        lines[-1].truncate(width - 1)
        lines[-1].append(marks.more)
    return lines


def _padded(text: Text, width: int) -> str:
    return text.plain + " " * (width - text.cell_len)


def _bar(step: Step, low: int, high: int, width: int, marks: Marks) -> str:
    """One bar on the scale from `low` to `high`: a cell at least, for whatever is not nothing."""

    def place(minor: int) -> int:
        return (minor - low) * width // (high - low or 1)

    cells = [" "] * width
    begin, end = sorted((step.before.amount_minor, step.after.amount_minor))
    if begin != end:
        first = place(begin)
        last = max(first + 1, place(end))
        cells[first:last] = marks.bars[step.kind] * (last - first)
    if low < 0 and cells[min(place(0), width - 1)] == " ":
        cells[min(place(0), width - 1)] = marks.zero
    return "".join(cells)


def _table(out: Console, statement: PayoutStatement) -> Iterator[Text]:
    """What each group adds, and that it is the payout."""
    rows = [(GROUP[total.group], total.count, total.amount) for total in statement.totals]
    amounts = max(len(money.major) for money in (statement.paid, *(amount for _, _, amount in rows)))
    entries = max(7, len(f"{sum(count for _, count, _ in rows):,}"))

    def row(name: str, count: str, amount: str) -> str:
        return f"  {name:<30}{count:>{entries}}  {amount:>{amounts}}"

    yield Text(row("What it was made of", "entries", statement.paid.currency.code), style="bold")
    for name, count, amount in rows:
        yield Text(row(name, f"{count:,}" if count else "", amount.major))
    yield Text(row(end_name(statement), "", statement.paid.major), style="bold")


def _cost(out: Console, statement: PayoutStatement) -> Iterator[Text]:
    """What the refunds cost beside their amounts, where that is known."""
    cost = statement.refunds_cost
    if cost.amount_minor > 0:
        yield Text()
        yield from _folded(
            out, f"Beside their amounts the refunds cost {cost}: fees that are not given back.", out.width
        )
