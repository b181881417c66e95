"""The command `refunds`: demo, payout, health, audit, erase. Needs the extra `demo` (Typer, Rich), or says so."""

# No postponed annotations here: Typer reads the commands' own, and what they name is imported only by then.

import sys
from typing import TYPE_CHECKING, Annotated, Final

from refund_adapters.memory import Fault

if TYPE_CHECKING:
    import typer

NEEDS_EXTRA: Final = (
    "The command `refunds` needs Typer and Rich, which come with the extra `demo`:\n"
    "    pip install 'refund-domain[demo]'"
)
_PAUSE_S: Final = 0.5
_FAULTS: Final = f"What befalls one call in chapter 7: {', '.join(Fault)}."


def app() -> "typer.Typer":
    """The Typer application. Raises ImportError without the extra."""
    import typer

    from refund_adapters.demo import screen
    from refund_adapters.records import commands as records
    from refund_adapters.statements import commands as statements

    commands = typer.Typer(
        help="Refunds for host applications: done once, known to the end.",
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )

    @commands.callback()
    def refunds() -> None:
        """Refunds for host applications: done once, known to the end."""

    @commands.command()
    def demo(
        fault: Annotated[Fault, typer.Option(metavar="FAULT", help=_FAULTS)] = Fault.ANSWER_LOST,
        fast: Annotated[bool, typer.Option("--fast", help="No pauses between chapters.")] = False,
    ) -> None:
        """Play the story of two bookings: a bank in memory, a journal in a temporary file, no real money."""
        screen.play(fault, pause_s=0.0 if fast else _PAUSE_S)

    statements.add_to(commands)
    records.add_to(commands)
    return commands


def main() -> None:
    """Run the command; without the extra, say what to install and exit with 2."""
    try:
        commands = app()
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich"):
            raise
        print(NEEDS_EXTRA, file=sys.stderr)
        raise SystemExit(2) from None
    commands()


if __name__ == "__main__":
    main()
