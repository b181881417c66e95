"""One process of B8: `python -m tests.benchmarks.committing SIDE CONNINFO` commits what the lines on stdin say.

`different FIRST COUNT` makes the lives of so many payments ready, `one NUMBER COUNT` so many appends to one
payment that others append to as well, and `go` commits them; each line is answered with one. Both sides write the
same rows with the same statements; the bare one has its values ready before the clock starts, and checks nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import psycopg

from refund_adapters.sql import PostgresJournal
from refund_adapters.sql.postgres_asks import Asks
from refund_domain.errors import JournalConflict
from refund_domain.payments import PaymentRef
from tests.benchmarks import lives
from tests.benchmarks.lives import Append


class Side(Protocol):
    """One way to commit appends."""

    def prepared(self, step: Append) -> Any:
        """An append in the form this side is told it."""

    def commit(self, prepared: Any, expected: int) -> bool:
        """Commit it behind this version; whether it was the first there."""

    def version(self, ref: PaymentRef, known: int) -> int:
        """At which version the stream is now, read with the events behind the known one."""


class Ours:
    """Our journal."""

    def __init__(self, conninfo: str) -> None:
        self._journal = PostgresJournal(conninfo, connections=1, busy_timeout_s=60, statement_timeout_s=60)

    def prepared(self, step: Append) -> Append:
        return step

    def commit(self, prepared: Append, expected: int) -> bool:
        try:
            self._journal.append(prepared.ref, prepared.events, expected=expected, head=prepared.head)
        except JournalConflict:
            return False
        return True

    def version(self, ref: PaymentRef, known: int) -> int:
        return self._journal.load(ref, known).version


class Bare:
    """psycopg with our statements, its values ready."""

    def __init__(self, conninfo: str) -> None:
        self._raw = psycopg.connect(conninfo, autocommit=True)
        self._asks = Asks("public")

    def prepared(self, step: Append) -> tuple[bytes, Mapping[str, object], int]:
        ask = self._asks.append(step.ref, step.events, step.expected, step.head)
        return ask.statement, ask.values, len(step.events)

    def commit(self, prepared: tuple[bytes, Mapping[str, object], int], expected: int) -> bool:
        statement, values, count = prepared
        behind = {**values, "expected": expected, "version": expected + count}
        return len(self._raw.execute(statement, behind).fetchall()) == count

    def version(self, ref: PaymentRef, known: int) -> int:
        ask = self._asks.load(ref, known)
        ((version, *_),) = self._raw.execute(ask.statement, ask.values).fetchall()
        return int(version)


def different(side: Side, first: int, count: int) -> Callable[[], None]:
    """Whole lives of payments that nobody else touches."""
    steps = [step for number in range(first, first + count) for step in lives.told(number)]
    ready = [(side.prepared(step), step.expected) for step in steps]

    def work() -> None:
        for prepared, expected in ready:
            if not side.commit(prepared, expected):
                raise RuntimeError("somebody else appended to a payment of this process alone")

    return work


def one(side: Side, number: int, count: int) -> Callable[[], None]:
    """So many appends to one payment, each decided again until it was the first at its version."""
    step = lives.told(number)[1]
    prepared = side.prepared(step)

    def work() -> None:
        version = side.version(step.ref, 0)
        for _ in range(count):
            while not side.commit(prepared, version):
                version = side.version(step.ref, version)
            version += len(step.events)

    return work


SIDES: Final[Mapping[str, Callable[[str], Side]]] = {"ours": Ours, "bare": Bare}
WORKS: Final = {"different": different, "one": one}


def main(side: str, conninfo: str) -> None:
    """Do what the lines say, until there are no more."""
    committing = SIDES[side](conninfo)
    work: Callable[[], None] | None = None
    for line in sys.stdin:
        match line.split():
            case [name, number, count]:
                work = WORKS[name](committing, int(number), int(count))
            case _ if work is not None:
                work()
            case _:
                raise ValueError("nothing was made ready")
        os.write(1, b"done\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
