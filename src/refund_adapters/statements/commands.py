"""`refunds payout`: why a payout is what it is, read from Stripe."""

# No postponed annotations here: Typer reads the commands' own.

import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, TextIO

import typer

from refund_adapters.statements import screen
from refund_adapters.statements.export import (
    line_json,
    not_explained_json,
    statement_json,
    write_lines,
    write_parts,
)
from refund_adapters.statements.labels import read_labels
from refund_domain.errors import GatewayUnreadable, RefundError
from refund_domain.payments import PLATFORM
from refund_domain.payouts.progress import ReadingProgress
from refund_domain.payouts.reading import PayoutReading
from refund_domain.payouts.statement import Line, PayoutStatement
from refund_domain.payouts.whereabouts import NotExplained
from refund_domain.ports import PayoutSource

KEY: Final = "STRIPE_SECRET_KEY"
"""Where the key is: in the environment, and never among the arguments, which every user of a machine can list."""
BASE: Final = "STRIPE_API_BASE"
"""Where Stripe is, if elsewhere: a stand-in on this machine, for tests."""

NOT_EXPLAINED: Final = 1
UNUSABLE: Final = 2

_TRIES: Final = 3
_PAUSE_S: Final = 2.0
_PAGES_A_LINE: Final = 100


class Form(StrEnum):
    """How it is written."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


Id = Annotated[str, typer.Argument(metavar="ID", help="The payout, as the gateway names it: po_…")]
Account = Annotated[str, typer.Option("--account", help="The connected account whose payout it is: acct_…")]
Estimate = Annotated[
    bool, typer.Option("--estimate", help="Explain a payout made by hand by the dates of entries: a guess.")
]
Labels = Annotated[
    Path | None,
    typer.Option("--labels", metavar="FILE", help="Your words for payments: CSV of a charge's id and its label."),
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: one line of JSON; with --lines, one each.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="For spreadsheets: the amounts add up to the payout.")]
Every = Annotated[
    int | None,
    typer.Option("--every", min=1, metavar="DAYS", help="How often it is paid out: tells what was carried over."),
]
Lines = Annotated[bool, typer.Option("--lines", help="Every entry of the payout, written as it is read.")]


def stripe_source() -> PayoutSource:
    """Stripe, by the key in the environment. Raises ValueError or ImportError, neither with the key in it."""
    key = os.environ.get(KEY, "")
    if not key:
        raise ValueError(
            f"set {KEY} in the environment; a restricted key that reads payouts, the balance and balance "
            "transactions will do"
        )
    from refund_adapters.stripe.payouts import StripePayouts

    return StripePayouts(key, base_address=os.environ.get(BASE) or None)


def add_to(
    commands: typer.Typer,
    open_source: Callable[[], PayoutSource] = stripe_source,
    *,
    pause_s: float = _PAUSE_S,
) -> None:
    """Add the command to the application; it reads from `open_source()`, and waits `pause_s` to try again."""

    @commands.command()
    def payout(
        id: Id,
        account: Account = PLATFORM,
        estimate: Estimate = False,
        every: Every = None,
        labels: Labels = None,
        as_json: AsJson = False,
        as_csv: AsCsv = False,
        lines: Lines = False,
    ) -> None:
        """Why a payout is what it is: what was expected, each refund, what was paid. It only reads.

        The key is STRIPE_SECRET_KEY in the environment.

        Exit code 1: it cannot be explained, and why; 2: it cannot be read.
        """
        if as_json and as_csv:
            raise _unusable("Say either --json or --csv.")
        form = Form.JSON if as_json else Form.CSV if as_csv else Form.TEXT
        label = None if labels is None else _labels(labels).get
        progress = _Progress(typer.get_text_stream("stderr"))
        try:
            reading = PayoutReading(
                open_source(),
                account,
                id,
                label=label,
                estimate=estimate,
                every=None if every is None else timedelta(days=every),
                on_progress=progress.told,
            )
            if not lines:
                _print_statement(_statement(reading, pause_s, progress), form)
            elif isinstance(found := reading.lines(), NotExplained):
                _print_statement(found, form)
            else:
                typer.echo(f"{_print_lines(found, form):,} lines", err=True)
        except (RefundError, ValueError, ImportError) as error:
            progress.end()
            raise _unusable(f"The payout cannot be read: {error}") from None


def _labels(path: Path) -> dict[str, str]:
    try:
        return read_labels(path)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise _unusable(f"The labels cannot be read: {why}") from None


def _unusable(says: str) -> typer.Exit:
    typer.echo(says, err=True)
    return typer.Exit(UNUSABLE)


def _statement(reading: PayoutReading, pause_s: float, progress: "_Progress") -> PayoutStatement | NotExplained:
    """The payout explained. A page that is lost is asked for again, for a long payout is long to read."""
    try:
        for _ in range(_TRIES - 1):
            try:
                return reading.statement()
            except GatewayUnreadable:
                time.sleep(pause_s)
        return reading.statement()
    finally:
        progress.end()


def _print_statement(answer: PayoutStatement | NotExplained, form: Form) -> None:
    if isinstance(answer, NotExplained):
        if form is Form.JSON:
            typer.echo(not_explained_json(answer))
        typer.echo(str(answer), err=True)
        raise typer.Exit(NOT_EXPLAINED)
    match form:
        case Form.TEXT:
            screen.show(screen.console(), answer)
        case Form.JSON:
            typer.echo(statement_json(answer))
        case Form.CSV:
            write_parts(_csv_out(), answer)


def _print_lines(lines: Iterator[Line], form: Form) -> int:
    """Write each line as it comes; how many it was."""
    if form is Form.CSV:
        return write_lines(_csv_out(), lines)
    text = line_json if form is Form.JSON else screen.line_text
    out, count = typer.get_text_stream("stdout", errors="replace"), 0
    for count, line in enumerate(lines, 1):  # noqa: B007
        out.write(f"{text(line)}\n")
    return count


def _csv_out() -> TextIO:
    return typer.get_text_stream("stdout", encoding="utf-8")


class _Progress:
    """How far the reading is, on standard error: one line over and over on a terminal, else one now and then."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._shown = file, False

    def told(self, progress: ReadingProgress) -> None:
        """Another page was read."""
        if self._file.isatty():
            self._file.write(f"\r{progress}")
            self._file.flush()
            self._shown = True
        elif progress.pages % _PAGES_A_LINE == 0:
            self._file.write(f"{progress}\n")

    def end(self) -> None:
        """Leave the line on which it was shown."""
        if self._shown:
            self._file.write("\n")
            self._shown = False
