"""One process of B9: `python -m tests.benchmarks.recovering JOURNAL BANK PART LATER_S` recovers what is due.

Every payment of the journal has a refund in doubt; one call of `recover` goes on with PART of them, by a clock
that is so many seconds ahead. The bank is a folder: the half of the refunds that it made at once are known by
their charge, the others become a file each when they are sent again. After each part a line tells how many
payments it went on with, the most memory that this process ever had, and the time.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import attrs

from refund_adapters.clock import utc_now
from refund_adapters.sql import SqliteJournal
from refund_domain import PaymentRef, RefundService
from refund_domain.answers import Accepted, Answer, Look, Picture, Send
from refund_domain.events import PaymentSeen, SendAnswered
from refund_domain.payments import GatewayRefund, Payment
from tests.benchmarks import lives, sides


def was_made(charge: str) -> bool:
    """Whether the send whose answer was lost had made the refund."""
    return int(charge[-1], 16) % 2 == 0


class FolderBank:
    """A `PaymentGateway` whose refunds are empty files, named by charge and key: they outlive a killed process and
    take none of its memory."""

    live = False

    def __init__(self, folder: Path) -> None:
        self._payment, self._refund = _pattern()
        self._folder = folder

    def look(self, ref: PaymentRef, /) -> Look:
        """The payment, and its refund if it was made."""
        payment = attrs.evolve(self._payment, ref=ref)
        mark = lives.refund_id_of(ref.charge)
        if not was_made(ref.charge) and not (self._folder / f"{ref.charge}.{mark}").exists():
            return Picture(payment=payment, refunds=())
        given_back = attrs.evolve(payment, given_back=payment.captured)
        return Picture(payment=given_back, refunds=(self._refund_of(mark),))

    def send(self, send: Send, /) -> Answer:
        """Make the refund; the same key again is the same refund."""
        (self._folder / f"{send.payment.charge}.{send.refund_id}").touch()
        return Accepted(refund=self._refund_of(send.refund_id))

    def _refund_of(self, mark: str) -> GatewayRefund:
        return attrs.evolve(self._refund, id=f"re_{mark}", mark=mark)


def _pattern() -> tuple[Payment, GatewayRefund]:
    """The payment and the refund of a life."""
    events = [event for step in lives.told(0) for event in step.events]
    (seen,) = [event.payment for event in events if isinstance(event, PaymentSeen)]
    (answer,) = [event.answer for event in events if isinstance(event, SendAnswered)]
    if not isinstance(answer, Accepted):
        raise TypeError("a life ends with a refund")
    return seen, answer.refund


def most_memory_kb() -> int:
    """The most memory this process ever held, in KiB; `ru_maxrss` would count what it was forked from."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise RuntimeError("this system does not say how much memory a process had")


def main(journal: str, bank: str, part: str, later_s: str) -> None:
    """Recover part after part, until nothing is due."""
    later = timedelta(seconds=int(later_s))
    with SqliteJournal(journal, clock=lambda: utc_now() + later) as opened:
        service = RefundService(FolderBank(Path(bank)), opened, allow=sides.allowed)
        while True:
            done = service.recover(int(part))
            if done.failed:
                raise RuntimeError(f"a payment failed: {done.failed[0]}")
            os.write(1, f"{done.looked} {most_memory_kb()} {time.perf_counter()}\n".encode())
            if not done.looked:
                return


if __name__ == "__main__":
    main(*sys.argv[1:])
