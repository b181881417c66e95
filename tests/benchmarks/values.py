"""B4 and the peers of B3: amounts of money, and one step of a status, beside what others have for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from refund_domain.money import Currency, Money
from tests.benchmarks.peers import machine, moneyed, stockholm, transitions
from tests.benchmarks.timing import Case, Timed, measure

USD: Final = Currency.of("USD")


def _money(factor: int) -> list[Case]:
    """Add, compare, construct: the same amounts by each."""
    ours, more = Money(20_000, USD), Money(610, USD)
    theirs, theirs_more = moneyed().Money("200.00", "USD"), moneyed().Money("6.10", "USD")
    other, other_more = stockholm().Money("200.00", "USD"), stockholm().Money("6.10", "USD")

    def row(name: str, work: Callable[[], object], answer: object, against: str | None = None) -> Case:
        reach = "< 1× of both" if name.startswith("Money") else ""
        return Case(name=name, work=work, number=500 * factor, answer=answer, against=against, reach=reach)

    return [
        row("py-moneyed: add", lambda: str((theirs + theirs_more).amount), "206.10"),
        row("Money: add", lambda: (ours + more).amount_minor, 20_610, "py-moneyed: add"),
        row("stockholm: add", lambda: str((other + other_more).amount), "206.10"),
        row("int: add", lambda: 20_000 + more.amount_minor, 20_610),
        row("py-moneyed: compare", lambda: theirs > theirs_more, True),
        row("Money: compare", lambda: ours > more, True, "py-moneyed: compare"),
        row("stockholm: compare", lambda: other > other_more, True),
        row("int: compare", lambda: ours.amount_minor > 610, True),
        row("py-moneyed: construct", lambda: moneyed().Money("200.00", "USD").currency.code, "USD"),
        row("Money: construct", lambda: Money(20_000, USD).currency.code, "USD", "py-moneyed: construct"),
        row("stockholm: construct", lambda: stockholm().Money("200.00", "USD").currency_code, "USD"),
    ]


def b4(quick: bool) -> list[Timed]:
    """The rows of B4."""
    return measure(_money(1 if quick else 40), rounds=2 if quick else 15)


_STATES: Final = ("requested", "pending", "succeeded", "failed")


def steps_of_others(number: int) -> list[Case]:
    """One step of a refund's status, from pending to succeeded, in two state machines that are ready made."""
    by_transitions = transitions().Machine(
        states=list(_STATES), initial="pending", auto_transitions=False, send_event=False
    )
    by_transitions.add_transition("paid", "pending", "succeeded")
    by_transitions.add_transition("back", "succeeded", "pending")

    def transitions_steps() -> str:
        by_transitions.paid()
        by_transitions.back()
        return str(by_transitions.state)

    running: Any = _refund_machine()()

    def machine_steps() -> bool:
        running.send("paid")
        running.send("back")
        return bool(running.pending.is_active)

    return [
        Case(name="transitions: a step", work=transitions_steps, number=number, calls=2, answer="pending"),
        Case(name="python-statemachine: a step", work=machine_steps, number=number, calls=2, answer=True),
    ]


def _refund_machine() -> Any:
    state = machine().State

    class RefundMachine(machine().StateMachine):  # type: ignore[misc]  # found when it is run
        """A refund with two of its states."""

        pending = state(initial=True)
        succeeded = state()
        paid = pending.to(succeeded)
        back = succeeded.to(pending)

    return RefundMachine
