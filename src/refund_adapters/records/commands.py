"""`refunds health`, `audit` and `erase`: what an operator does with a journal, on the command line."""

# No postponed annotations here: Typer reads the commands' own.

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

import typer

from refund_adapters.records.audit import Csv, JsonLines, export_audit
from refund_adapters.records.erase import erase_actor, erase_everybody
from refund_adapters.records.journals import opened
from refund_adapters.records.limits import Limits, breaches, health_json, health_text
from refund_adapters.sql import PostgresJournal, SqliteJournal
from refund_domain.errors import RefundError
from refund_domain.policy import DEFAULT_POLICY
from refund_domain.ports import OperatedJournal
from refund_domain.service.operate import read_health


class Form(StrEnum):
    """How an export is written."""

    JSONL = "jsonl"
    CSV = "csv"


PAST_LIMITS: Final = 1
NOTHING_FOUND: Final = 1
UNUSABLE: Final = 2
NOT_CONFIRMED: Final = 3

Place = Annotated[
    str,
    typer.Option(
        "--journal",
        metavar="FILE|URL",
        envvar="REFUNDS_JOURNAL",
        help="The journal's file, or postgresql://…; better given as REFUNDS_JOURNAL where it holds a password.",
    ),
]
Tenant = Annotated[str, typer.Option("--tenant", help="Whose records: the tenant, as the host names it.")]
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


def check_known(source: OperatedJournal, tenant: str) -> None:
    """Exit with code 1 where the journal holds nothing of this tenant: a mistyped one would look like success."""
    if not source.history(tenant, "", 1):
        typer.echo("This tenant has no records in this journal: check --tenant, --journal and --schema.", err=True)
        raise typer.Exit(NOTHING_FOUND)


def check_confirmed(question: str) -> None:
    """Ask, and exit with code 3 without a yes: a no, or nobody there to answer. Nothing was done by then."""
    try:
        confirmed = typer.confirm(question, err=True)
    except typer.Abort:
        typer.echo("\nNobody answered; --yes answers beforehand.", err=True)
        confirmed = False
    if not confirmed:
        typer.echo("Nothing was erased.", err=True)
        raise typer.Exit(NOT_CONFIRMED)


def add_to(commands: typer.Typer) -> None:
    """Add these commands to the application."""
    for command in (health, audit, erase):
        commands.command()(command)


def health(
    journal: Place,
    schema: Schema = "public",
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON for a monitor.")] = False,
    doubt_minutes: Annotated[int, typer.Option(min=0, help="The oldest doubt may be so old.")] = 240,
    overdue_minutes: Annotated[int, typer.Option(min=0, help="A look may be overdue for so long.")] = 60,
    recover_minutes: Annotated[int, typer.Option(min=0, help="Recovery must have run within.")] = 60,
    behind_minutes: Annotated[int, typer.Option(min=0, help="The clock may be so far behind the journal.")] = 5,
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
        behind_for=timedelta(minutes=behind_minutes),
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


def audit(
    journal: Place,
    tenant: Tenant,
    schema: Schema = "public",
    form: Annotated[
        Form, typer.Option("--form", help="JSON lines for programs, CSV for spreadsheets.")
    ] = Form.JSONL,
    after: Annotated[str, typer.Option("--after", help="Go on behind this position, the last one you have.")] = "",
) -> None:
    """Print everything the journal holds of one tenant, an event a line. It names people: keep it accordingly.

    Exit code 1: the journal holds nothing of this tenant; 2: it cannot be read."""
    out = typer.get_text_stream("stdout")
    writer = JsonLines(out) if form is Form.JSONL else Csv(out)
    with journal_at(journal, schema) as source:
        check_known(source, tenant)
        count = export_audit(source, tenant, writer, after=after)
    typer.echo(f"{count} events", err=True)


def erase(
    journal: Place,
    tenant: Tenant,
    schema: Schema = "public",
    actor: Annotated[str | None, typer.Option("--actor", help="The actor's id, as the host names it.")] = None,
    everybody: Annotated[
        bool, typer.Option("--everybody", help="All actors of the tenant, and all notes.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase names and notes from a tenant's records for good; amounts, times, ids and statuses stay.

    Exit code 1: there is nothing of this tenant, or of this actor; 2: the journal cannot be used; 3: no yes
    came, and nothing was erased."""
    if (actor is not None) is everybody:
        typer.echo("Say either --actor ID or --everybody.", err=True)
        raise typer.Exit(UNUSABLE)
    if not yes:
        who = "everybody's names" if actor is None else "this actor's name"
        check_confirmed(f"Erase {who} and notes from this tenant's records, for good?")
    with journal_at(journal, schema) as source:
        check_known(source, tenant)
        count = erase_everybody(source, tenant) if actor is None else erase_actor(source, tenant, actor)
    typer.echo(f"{count} events changed")
    if actor is not None and not count:
        typer.echo("Nothing of this actor is in the tenant's records: check the id, unless it is gone.", err=True)
        raise typer.Exit(NOTHING_FOUND)
