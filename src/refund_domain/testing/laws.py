"""What the lists of laws share: the verdicts, the report, and the error that names a broken law.

`check_gateway`, `check_feed`, `check_payouts` and `check_journal` are plain functions: no pytest is needed, and
nothing here is skipped by `python -O`. A law that cannot be staged is reported as lacking, never as held.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from enum import StrEnum
from typing import Final, NoReturn, TypeVar, cast

import attrs

from refund_domain._checks import check_tuple

T = TypeVar("T")
Bench = TypeVar("Bench")

RACE_TIMEOUT_S: Final = 60.0
"""How long a race between threads may take before it counts as stuck."""


class Verdict(StrEnum):
    """What became of a law: it held, or the test bed could not stage it."""

    HELD = "held"
    LACKING = "lacking"


class LawBroken(AssertionError):
    """An adapter broke a law of its port: `law` names it, `demand` is what it asks, `seen` what came instead."""

    def __init__(self, law: str, demand: str, seen: str) -> None:
        super().__init__(law, demand, seen)
        self.law = law
        self.demand = demand
        self.seen = seen

    def __str__(self) -> str:
        return f"{self.law}: {self.demand} Seen instead: {self.seen}"


@attrs.frozen(kw_only=True)
class Report:
    """Each law's verdict, in the order of the laws. A broken one has no report: `LawBroken` was raised.

    >>> report = Report(held=("fresh_charge",), lacking=("disputed_charge",))
    >>> report.verdicts["disputed_charge"].value, str(report)
    ('lacking', '1 law held, 1 could not be staged here: disputed_charge')
    """

    held: tuple[str, ...]
    lacking: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        check_tuple(self.held, str, "held")
        check_tuple(self.lacking, str, "lacking")

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """Law name → held or lacking."""
        held = dict.fromkeys(self.held, Verdict.HELD)
        return held | dict.fromkeys(self.lacking, Verdict.LACKING)

    def __str__(self) -> str:
        text = f"{len(self.held)} law{'' if len(self.held) == 1 else 's'} held"
        if not self.lacking:
            return text
        return f"{text}, {len(self.lacking)} could not be staged here: {', '.join(self.lacking)}"


class _Seen(Exception):
    """What a law saw in place of what it demands."""


def broken(seen: object) -> NoReturn:
    """The law is broken: this was seen in place of what it demands."""
    raise _Seen(str(seen))


def must(holds: bool, seen: object) -> None:
    """Go on if it holds; else the law is broken, and this is what was seen."""
    if not holds:
        broken(seen)


def name_of(law: Callable[[Bench], None]) -> str:
    """A law's name: its function's."""
    return law.__name__


def demand_of(law: Callable[[Bench], None]) -> str:
    """What a law demands: its docstring, in one line."""
    return " ".join((law.__doc__ or "").split())


def checked_names(names: Collection[str], laws: Sequence[Callable[[Bench], None]], what: str) -> frozenset[str]:
    """These names, each one a law's. A misspelt law would otherwise be left out and never missed (ValueError)."""
    if isinstance(names, str):
        raise TypeError(f"{what} must be a collection of names, not one str")
    unknown = sorted(set(names) - {name_of(law) for law in laws})
    if unknown:
        raise ValueError(f"{what} names no law: {', '.join(unknown)}")
    return frozenset(names)


def hold_to(law: Callable[[Bench], None], bench: Bench) -> None:
    """Hold this bench to one law. Raises `LawBroken`, also where the adapter raised what no law allows."""
    try:
        law(bench)
    except _Seen as seen:
        raise LawBroken(name_of(law), demand_of(law), str(seen)) from None
    except Exception as error:
        # The class only: an adapter's error may repeat a secret. The cause is there for who debugs.
        raise LawBroken(name_of(law), demand_of(law), f"{type(error).__name__} was raised") from error


def entered(stack: ExitStack, made: T | AbstractContextManager[T]) -> T:
    """What a maker made: a context manager is entered until the law is over, anything else is taken as it is."""
    if isinstance(made, AbstractContextManager):
        return stack.enter_context(cast("AbstractContextManager[T]", made))
    return made


def race(tasks: Iterable[Callable[[], T]]) -> list[T | Exception]:
    """Do all of this at once, each in a thread of its own; what came of each, in order."""
    work = list(tasks)
    results: list[T | Exception | None] = [None] * len(work)
    start = threading.Barrier(len(work))

    def run(place: int, task: Callable[[], T]) -> None:
        try:
            start.wait(RACE_TIMEOUT_S)
            results[place] = task()
        except Exception as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=(place, task), daemon=True) for place, task in enumerate(work)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(RACE_TIMEOUT_S)
    must(not any(thread.is_alive() for thread in threads), f"a call that took more than {RACE_TIMEOUT_S:.0f} s")
    return cast("list[T | Exception]", results)
