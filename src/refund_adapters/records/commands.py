"""`refunds health`: the command's face on a journal. Typer is imported by whoever builds the application."""

# No postponed annotations here: Typer reads the commands' own.

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Final

import typer

from refund_adapters.records.journals import opened
from refund_adapters.records.limits import Limits, breaches, health_json, health_text
from refund_adapters.sql import PostgresJournal, SqliteJournal
from refund_domain.errors import RefundError
from refund_domain.operate import read_health
from refund_domain.policy import DEFAULT_POLICY

PAST_LIMITS: Final = 1
UNUSABLE: Final = 2

Place = Annotated[
    str,
    typer.Option(
        "--journal",
        metavar="FILE|URL",
        envvar="REFUNDS_JOURNAL",
        help="The journal's file, or postgresql://…; better given as REFUNDS_JOURNAL where it holds a password.",
    ),
]
Schema = Annotated[str, typer.Option("--schema", help="Where the tables are, in PostgreSQL.")]


@contextmanager
def journal_at(place: str, schema: str) -> Iterator[SqliteJournal | PostgresJournal]:
    """The journal, and for what goes wrong with it a sentence and exit code 2. No place is repeated: it may hold a
    password."""
    try:
        with opened(place, schema=schema) as journal:
            yield journal
    except (RefundError, ValueError, ImportError) as error:
        typer.echo(f"The journal cannot be used: {error}", err=True)
        raise typer.Exit(UNUSABLE) from None


def add_to(commands: typer.Typer) -> None:
    """Add these commands to the application."""
    commands.command()(health)


def health(
    journal: Place,
    schema: Schema = "public",
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON for a monitor.")] = False,
    doubt_minutes: Annotated[int, typer.Option(min=0, help="The oldest doubt may be so old.")] = 240,
    overdue_minutes: Annotated[int, typer.Option(min=0, help="A look may be overdue for so long.")] = 60,
    recover_minutes: Annotated[int, typer.Option(min=0, help="Recovery must have run within.")] = 60,
    failed: Annotated[int, typer.Option(min=0, help="So many payments may break in a run of recovery.")] = 0,
    waiting: Annotated[
        int | None, typer.Option(min=0, help="So many may wait for a person; not given: any.")
    ] = None,
) -> None:
    """How the refunds of a journal stand. Exit code 1: something is past its limit; 2: it cannot be read."""
    limits = Limits(
        doubt_for=timedelta(minutes=doubt_minutes),
        overdue_for=timedelta(minutes=overdue_minutes),
        recovered_for=timedelta(minutes=recover_minutes),
        failed=failed,
        waiting=waiting,
    )
    with journal_at(journal, schema) as source:
        found = read_health(source, DEFAULT_POLICY.licence)
    past = breaches(found, limits)
    typer.echo(health_json(found, past) if as_json else health_text(found))
    if past:
        if not as_json:
            typer.echo("\n".join(f"PAST ITS LIMIT: {each}" for each in past), err=True)
        raise typer.Exit(PAST_LIMITS)
