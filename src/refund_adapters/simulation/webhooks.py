"""Webhooks of a simulated gateway: a signal arises for whatever changes at the bank, whoever caused it.

What becomes of it is drawn elsewhere (`draws`): it is lost, comes at once or days late, once or more often, in any
order. `twisted` makes those that a gateway never meant so. That a signal is verified at all is the adapter's.
"""

from __future__ import annotations

from typing import Final

from refund_domain.payments import PLATFORM, GatewayRefund, PaymentRef
from refund_domain.signals import Signal, Subject

TWISTS: Final = (
    "no refund", "other word", "other payment", "other account", "no charge there", "no charge named",
)  # fmt: skip
"""What a forged signal claims: a refund that does not exist, something else than happened, another payment's
refund, the same charge id under an account that is not its own, a charge nobody has, no charge at all."""

_WORDS: Final = ("refund.failed", "refund.updated", "refund.created", "charge.dispute.closed", "charge.refunded")


class Webhooks:
    """The signals of one world in the order in which they arose, and the streams of payments that never were."""

    def __init__(self, payments: tuple[PaymentRef, ...]) -> None:
        self._payments = payments
        self.signals: list[Signal] = []
        self.strange: set[PaymentRef] = set()

    def moved(self, ref: PaymentRef, before: tuple[GatewayRefund, ...], after: tuple[GatewayRefund, ...]) -> None:
        """This payment's refunds were so and are so now: a signal or two for each that is not as it was."""
        known = {refund.id: refund for refund in before}
        for refund in reversed(after):
            old = known.get(refund.id)
            if old is None:
                self.arise("refund.created", ref, Subject.REFUND, refund.id)
                self.arise("charge.refunded", ref, Subject.PAYMENT, ref.charge)
            elif refund.status == "failed" and old.status != "failed":
                self.arise("refund.failed", ref, Subject.REFUND, refund.id)
            elif old != refund:
                self.arise("refund.updated", ref, Subject.REFUND, refund.id)

    def arise(self, kind: str, ref: PaymentRef, subject: Subject, object_id: str, *, named: bool = True) -> None:
        """One more signal; `named`: whether it names the charge it is about (a payout's does not)."""
        self.signals.append(
            Signal(
                id=f"evt_{len(self.signals)}",
                kind=kind,
                account=ref.account,
                subject=subject,
                object_id=object_id,
                charge=ref.charge if named else None,
            )
        )

    def twisted(self, twist: str, number: int, pay: int) -> Signal:
        """The forged signal `number`, about payment `pay` or what is near it."""
        ref = self._payments[pay]
        kind, account, charge = "refund.updated", ref.account, ref.charge
        object_id = self.signals[number % len(self.signals)].object_id if self.signals else "re_1"
        named: str | None = charge
        match twist:
            case "no refund":
                object_id, kind = f"re_never_{number}", "refund.failed"
            case "other word":
                kind = _WORDS[number % len(_WORDS)]
            case "other payment":
                other = self._payments[(pay + 1) % len(self._payments)]
                account, named = other.account, other.charge
            case "other account":
                account = "acct_2" if number % 2 else "acct_1" if account == PLATFORM else PLATFORM
            case "no charge there":
                named = f"ch_never_{number % 3}"
            case _:
                named = None
        forged = Signal(
            id=f"evt_forged_{number}",
            kind=kind,
            account=account,
            subject=Subject.REFUND,
            object_id=object_id,
            charge=named,
        )
        if forged.ref is not None and forged.ref not in self._payments:
            self.strange.add(forged.ref)
        return forged
