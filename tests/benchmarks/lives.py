"""What the journal writes of one refund: recorded once from the shipped service, then told of any payment.

A life is the appends that quote and issue make, in their order. Numbers become payments whose ids are in no order,
as an index likes it least; the same number is always the same payment, and a payment's refund always the same.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Final

import attrs

from refund_adapters.clock import utc_now
from refund_adapters.memory import MemoryJournal
from refund_adapters.sql.codec import decode, encode
from refund_adapters.stripe import StripeGateway
from refund_domain import PaymentRef, Refund, RefundService
from refund_domain.decider.ledger import EMPTY, fold
from refund_domain.events import Event
from refund_domain.payments import Ref
from refund_domain.ports import Head
from refund_domain.service.stream import head as head_of
from tests.benchmarks import sides

AT_VARIABLE: Final = "REFUND_LIVES_AT"
"""The variable by which a benchmark's other processes are told when, so that all tell the same lives."""

AT: Final = datetime.fromisoformat(os.environ.get(AT_VARIABLE) or (utc_now() - timedelta(minutes=10)).isoformat())
"""When every life happened: long enough ago that what was in doubt then is due now."""

STEPS: Final = 4
"""The appends of a life: the stream opened, the refund requested, its send claimed, the answer written down."""

IN_DOUBT: Final = 3
"""The appends of a refund whose answer never came."""


@attrs.frozen(kw_only=True)
class Written:
    """One append as rows: its stream, the version before it, the events' texts, and the head it left."""

    stream: str
    expected: int
    texts: tuple[str, ...]
    head: Head


@attrs.frozen(kw_only=True)
class Append:
    """One append as a journal is told it."""

    ref: PaymentRef
    events: tuple[Event, ...]
    expected: int
    head: Head


class _Recorder(MemoryJournal):
    """A journal that remembers what it was told."""

    def __init__(self) -> None:
        super().__init__(lambda: AT)
        self.told: list[tuple[int, tuple[Event, ...], Head]] = []

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        now = super().append(ref, events, expected=expected, head=head)
        self.told.append((expected, tuple(events), head))
        return now


@cache
def _recorded() -> tuple[Written, ...]:
    """A life whose stream and texts are patterns for `%`, which puts in the ids that differ from life to life."""
    journal = _Recorder()
    service = RefundService(StripeGateway(sides.KEY, http_client=sides.Canned()), journal, allow=sides.allowed)
    (charge,) = sides.fresh(1)
    command = service.quote(PaymentRef("platform", charge), by=sides.MARIA).verified(by=sides.MARIA)
    said = service.issue(command)
    if not isinstance(said, Refund) or len(journal.told) != STEPS:
        raise RuntimeError("a refund's life is not what it was; nothing was timed")
    names = {charge: "%(charge)s", said.id: "%(refund_id)s", command.request_id: "%(request_id)s"}

    def pattern(event: Event) -> str:
        text = encode(event).replace("%", "%%")
        for found, name in names.items():
            text = text.replace(found, name)
        return text

    return tuple(
        [
            Written(stream="platform/%(charge)s", expected=expected, texts=tuple(map(pattern, events)), head=head)
            for expected, events, head in journal.told
        ]
    )


def charge_of(number: int) -> str:
    """The charge of this number, as long as Stripe's own."""
    return f"ch_{hashlib.blake2b(number.to_bytes(8, 'big'), digest_size=12).hexdigest()}"


def refund_id_of(charge: str) -> str:
    """The id of the refund of this charge."""
    return hashlib.blake2b(charge.encode(), digest_size=16).hexdigest()


def ref_of(number: int) -> PaymentRef:
    """The payment of this number."""
    return PaymentRef("platform", charge_of(number))


def stream_of(number: int) -> str:
    """The name of its stream."""
    return str(ref_of(number))


def written(number: int) -> list[Written]:
    """The life of this number as rows."""
    charge = charge_of(number)
    refund_id = refund_id_of(charge)
    ids = {"charge": charge, "refund_id": refund_id, "request_id": refund_id[::-1]}
    return [
        Written(
            stream=step.stream % ids,
            expected=step.expected,
            texts=tuple([text % ids for text in step.texts]),
            head=step.head,
        )
        for step in _recorded()
    ]


def told(number: int) -> list[Append]:
    """The life of this number as a journal is told it."""
    return [
        Append(
            ref=ref_of(number),
            events=tuple(map(decode, step.texts)),
            expected=step.expected,
            head=step.head,
        )
        for step in written(number)
    ]


def check_heads() -> None:
    """Raise RuntimeError unless each recorded head is what the service makes of the ledger at that step."""
    ledger = EMPTY
    for step in told(0):
        ledger = fold(ledger, step.events)
        if head_of(ledger) != step.head:
            raise RuntimeError("a told life leaves another head than a real one; nothing was timed")
