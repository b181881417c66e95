"""Shared charges in a simulated world: what a send may ask for beside the amount."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refund_adapters.simulation.books import Book
from refund_domain.answers import Picture, Send
from refund_domain.connect import (
    ChargeKind,
    DestinationCharge,
    DirectCharge,
    Leg,
    PlatformCharge,
    SeparateCharge,
    Split,
)
from refund_domain.money import Money

if TYPE_CHECKING:
    from refund_adapters.simulation.invariants import Checker
    from refund_adapters.simulation.workers import Op


def check(checker: Checker, op: Op, book: Book, send: Send, kind: ChargeKind, returns_fee: bool) -> None:
    """What goes with the amount is what this kind of charge takes: the transfer of a destination charge always,
    the fee by the policy only and while the look showed some left; and a repeat of one that may have been executed
    asks for the very same."""
    fee = " with its fee" if getattr(send.split, "return_fee", False) else ""
    op.worker.world.count(f"sent {type(send.split).__name__}{fee}")
    bound = book.bound.get((send.refund_id, send.claim))
    expected = _split(op, kind, returns_fee, send.amount) if bound is None else bound
    if send.split != expected:
        checker.broken("split", f"{send.refund_id} of a {kind} charge is sent as {send.split}, not {expected}")


def _split(op: Op, kind: ChargeKind, returns_fee: bool, amount: Money) -> Split:
    fee = op.picture.payment.application_fee if isinstance(op.picture, Picture) else None
    left = 0 if fee is None else fee.taken.amount_minor - fee.returned.amount_minor
    back = returns_fee and left > 0
    match kind:
        case ChargeKind.DIRECT:
            return DirectCharge(return_fee=back)
        case ChargeKind.DESTINATION:
            return DestinationCharge(return_fee=back)
        case ChargeKind.PLATFORM:
            return PlatformCharge()
        case ChargeKind.SEPARATE:
            return _legs(op, amount)


def _legs(op: Op, amount: Money) -> Split:
    """From each transfer what the look showed left of it, by id, until what the client gets is reached."""
    transfers = op.picture.payment.transfers if isinstance(op.picture, Picture) else ()
    legs, rest = [], amount.amount_minor
    for transfer in sorted(transfers, key=lambda transfer: transfer.id):
        part = min(rest, transfer.amount.amount_minor - transfer.reversed.amount_minor)
        if part > 0:
            others = sum(each.amount.amount_minor for each in transfer.reversals if each.mark is None)
            by_hand = Money(others, amount.currency)
            legs.append(Leg(transfer=transfer.id, amount=Money(part, amount.currency), by_hand=by_hand))
            rest -= part
    return SeparateCharge(legs=tuple(legs)) if legs else PlatformCharge()
