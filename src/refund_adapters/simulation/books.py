"""What the invariants know of a stream: its events folded as they were committed, claims, requests."""

from __future__ import annotations

import attrs

from refund_domain.answers import Picture, Reversal, Send
from refund_domain.connect import Split
from refund_domain.decider.ledger import EMPTY, OBSERVED, Ledger, Status
from refund_domain.events import Event, RefundRequested
from refund_domain.payments import GatewayRefund, Ref


@attrs.frozen(kw_only=True)
class Violation:
    """An invariant that did not hold: its name, what was found, and after how many steps."""

    name: str
    what: str
    step: int


class Book:
    """What the invariants know of one stream: its events folded as they were appended, claims, requests.

    `refunds` are the bank's when last asked, `told` the last picture known to bring no news and at what version,
    `read_us` the true time at which the picture on record was read, `bound` the split of an earlier send that may
    have been executed, by the claim that has to repeat it.
    """

    __slots__ = (
        "bound", "captured_minor", "claims", "events", "ledger", "leg_claims", "made", "outside_minor", "read_us",
        "ref", "refunds", "requests", "sent", "statuses", "told", "version",
    )  # fmt: skip

    def __init__(self, ref: Ref, captured_minor: int) -> None:
        self.ref, self.captured_minor = ref, captured_minor
        self.refunds: tuple[GatewayRefund, ...] = ()
        self.made: set[str] = set()
        self.sent: set[tuple[object, ...]] = set()
        self.forget()

    def forget(self) -> None:
        """Begin again at version 0."""
        self.ledger: Ledger = EMPTY
        self.version = 0
        self.events: list[Event] = []
        self.statuses: dict[str, Status] = {}
        self.claims: dict[tuple[str, int], tuple[Send, int, int]] = {}
        self.leg_claims: dict[tuple[str, str, int], tuple[Reversal, int, int]] = {}
        self.requests: dict[str, RefundRequested] = {}
        self.bound: dict[tuple[str, int], Split] = {}
        self.outside_minor = self.read_us = 0
        self.told: tuple[Picture, int] | None = None


def word(refund: GatewayRefund) -> Status:
    """What the gateway's word for this refund means."""
    return OBSERVED.get(refund.status, (1, Status.PENDING))[1]
