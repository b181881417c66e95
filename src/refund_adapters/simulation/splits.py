"""Shared charges in a simulated world: the platform's fees, and what a send may ask for beside the amount.

The bank knows how a charge is held, not what a platform took for itself: that is counted here, in minor units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from refund_adapters.simulation.books import Book
from refund_domain.answers import Picture, Send
from refund_domain.connect import (
    ApplicationFee,
    ChargeKind,
    DestinationCharge,
    DirectCharge,
    PlatformCharge,
    Split,
)
from refund_domain.ledger import record_of
from refund_domain.money import Currency, Money
from refund_domain.payments import PaymentRef

if TYPE_CHECKING:
    from refund_adapters.simulation.invariants import Checker
    from refund_adapters.simulation.workers import Op


class Fees:
    """What the platform took of each payment, and how much of that has gone back."""

    def __init__(self, taken: dict[PaymentRef, int], currency: Currency) -> None:
        self._taken, self._currency = taken, currency
        self._returned = dict.fromkeys(taken, 0)
        self._shown: dict[PaymentRef, tuple[Picture, int, Picture]] = {}

    def shown(self, picture: Picture) -> Picture:
        """The bank's picture with the fee in it; the same object while nothing changes."""
        ref = picture.payment.ref
        taken = self._taken.get(ref)
        if taken is None:
            return picture
        kept, returned = self._shown.get(ref), self._returned[ref]
        if kept is not None and kept[0] is picture and kept[1] == returned:
            return kept[2]
        fee = ApplicationFee(taken=Money(taken, self._currency), returned=Money(returned, self._currency))
        made = attrs.evolve(picture, payment=attrs.evolve(picture.payment, application_fee=fee))
        self._shown[ref] = picture, returned, made
        return made

    def give_back(self, ref: PaymentRef, parts: int = 1) -> None:
        """The platform returns all that is left, or one part of so many. ValueError where there is nothing."""
        left = self._taken.get(ref, 0) - self._returned.get(ref, 0)
        if left <= 0:
            raise ValueError("nothing is left of a fee")
        self._returned[ref] += max(1, left // parts)


def check(checker: Checker, op: Op, book: Book, send: Send, kind: ChargeKind, returns_fee: bool) -> None:
    """What goes with the amount is what this kind of charge takes: the transfer of a destination charge always,
    the fee by the policy only and while the look showed some left; and a repeat asks for the very same."""
    fee = " with its fee" if getattr(send.split, "return_fee", False) else ""
    op.worker.world.count(f"sent {type(send.split).__name__}{fee}")
    record = record_of(book.ledger, send.refund_id)
    if record is not None and send.claim > 1:
        expected = record.claims[0].send.split
    else:
        expected = _split(op, kind, returns_fee)
    if send.split != expected:
        checker.broken("split", f"{send.refund_id} of a {kind} charge is sent as {send.split}, not {expected}")


def _split(op: Op, kind: ChargeKind, returns_fee: bool) -> Split:
    fee = op.picture.payment.application_fee if isinstance(op.picture, Picture) else None
    left = 0 if fee is None else fee.taken.amount_minor - fee.returned.amount_minor
    back = returns_fee and left > 0
    match kind:
        case ChargeKind.DIRECT:
            return DirectCharge(return_fee=back)
        case ChargeKind.DESTINATION:
            return DestinationCharge(return_fee=back)
        case ChargeKind.PLATFORM | ChargeKind.SEPARATE:
            return PlatformCharge()
