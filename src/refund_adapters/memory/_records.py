"""The bank's records: plain and mutable, with slots, because a simulator drives them many thousand times a second.

The values that leave the bank are built from them once and kept until something changes.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final, NamedTuple

from refund_adapters.memory._shares import Share
from refund_adapters.memory.course import Course
from refund_domain.answers import Picture
from refund_domain.connect import ApplicationFee, Transfer
from refund_domain.money import Money
from refund_domain.payments import (
    ChargeKind,
    Dispute,
    GatewayRefund,
    Payment,
    PaymentRef,
    PaymentStatus,
    Trace,
)

CARDS: Final = frozenset(["card", "card_present"])
_CARD_COURSE: Final = Course.succeeds()
_OTHER_COURSE: Final = Course.pending_then_succeeds()


class Ask(NamedTuple):
    """The parameters of a create request: what the same key must bring again."""

    account: str
    charge: str
    amount_minor: int | None
    mark: str | None
    reason: str | None
    reverse_transfer: bool | None = None
    refund_application_fee: bool | None = None
    metadata: tuple[tuple[str, str], ...] = ()


class AskBack(NamedTuple):
    """The parameters of a request to reverse a transfer: what the same key must bring again."""

    transfer: str
    amount_minor: int | None
    mark: str | None
    metadata: tuple[tuple[str, str], ...] = ()


class Charge:
    """A payment in the books; `live_minor`: the sum of its live refunds; `payment`, `picture`: kept values."""

    __slots__ = (
        "amount", "captured_minor", "courses", "disputes", "fee", "intent", "kind", "live_minor", "made", "method",
        "payment", "picture", "ref", "refunds", "settled_at", "settles_on", "share", "status", "taken_at",
    )  # fmt: skip

    def __init__(
        self, ref: PaymentRef, amount: Money, captured_minor: int, method: str, taken_at: datetime
    ) -> None:
        self.ref, self.amount, self.captured_minor = ref, amount, captured_minor
        self.method, self.taken_at = method, taken_at
        self.courses: tuple[Course, ...] = (_CARD_COURSE if method in CARDS else _OTHER_COURSE,)
        self.fee: Money | None = None
        self.kind = ChargeKind.PLATFORM
        self.status = PaymentStatus.SUCCEEDED
        self.settles_on: date | None = None
        self.settled_at = taken_at
        self.share: Share | None = None
        self.intent: str | None = None
        self.disputes: dict[str, Dispute] = {}
        self.refunds: list[Refund] = []
        self.live_minor = self.made = 0
        self.payment: Payment | None = None
        self.picture: Picture | None = None

    def touch(self) -> None:
        """Forget the values kept of it: something changed."""
        self.payment = self.picture = None

    def shown(self, figure_minor: int, now: datetime) -> Payment:
        """The payment as the gateway shows it, with this running figure of what was given back."""
        if self.payment is None or self.payment.given_back.amount_minor != figure_minor:
            kind, transfers, application_fee = self.shared(now)
            self.payment = Payment(
                ref=self.ref,
                method=self.method,
                captured=Money(self.captured_minor, self.amount.currency),
                given_back=Money(figure_minor, self.amount.currency),
                taken_at=self.taken_at,
                status=self.status,
                kind=kind,
                disputes=tuple(self.disputes.values()),
                fee=self.fee,
                settles_on=self.settles_on,
                transfers=transfers,
                application_fee=application_fee,
            )
        return self.payment

    def shared(self, now: datetime) -> tuple[ChargeKind, tuple[Transfer, ...], ApplicationFee | None]:
        """How it is split, as a look shows it: transfers by hand make it separate while they hold money."""
        share = self.share
        if share is None:
            return self.kind, (), None
        fee, took = None, share.fee
        if took is not None:
            currency = took.currency
            fee = ApplicationFee(taken=Money(took.minor, currency), returned=Money(took.back_minor, currency))
        transfers = tuple(moved.shown(now) for moved in share.by_hand)
        held = any(transfer.left.amount_minor for transfer in transfers)
        return (ChargeKind.SEPARATE if held else self.kind), transfers, fee

    @property
    def purse(self) -> tuple[str, str]:
        """Which balance its refunds draw on."""
        return self.ref.account, self.amount.currency.code

    @property
    def charged_back(self) -> bool:
        """Whether a chargeback is open or lost; inquiries and won disputes stand in nobody's way."""
        words = (dispute.status for dispute in self.disputes.values())
        return any(word != "won" and not word.startswith("warning_") for word in words)


class Refund:
    """A refund in the books; `paid`: its money has left the balance; `todo`: the steps ahead of it.

    `ask` is the request that made it, None for the dashboard's; `told`: the world knows of it.
    """

    __slots__ = (
        "ask", "back_at", "charge", "course", "created_at", "failure_reason", "id", "mark", "minor", "paid",
        "paid_at", "pending_reason", "reference", "reversal", "shown_at", "status", "todo", "told", "trace",
        "value",
    )  # fmt: skip

    def __init__(
        self, id: str, charge: Charge, minor: int, mark: str | None, course: Course, at: datetime
    ) -> None:
        self.id, self.charge, self.minor, self.mark, self.course = id, charge, minor, mark, course
        self.created_at = self.shown_at = at
        self.status, self.trace = "pending", "pending"
        self.pending_reason: str | None = None
        self.failure_reason: str | None = None
        self.reference: str | None = None
        self.paid = self.told = False
        self.paid_at: datetime | None = None
        self.back_at: datetime | None = None
        self.reversal: str | None = None
        self.ask: Ask | None = None
        self.todo = course.steps
        self.value: GatewayRefund | None = None

    @property
    def place(self) -> tuple[str, str, str]:
        """Where it is: the account, its id, its charge."""
        ref = self.charge.ref
        return ref.account, self.id, ref.charge

    def waits_for(self, pending_reason: str) -> bool:
        """Whether it is still held back, unpaid, for this reason."""
        return not self.paid and self.status == "pending" and self.pending_reason == pending_reason

    def touch(self) -> None:
        """Forget the values kept of it: something changed."""
        self.value = self.charge.picture = None

    def shown(self) -> GatewayRefund:
        """The refund as the gateway shows it."""
        if self.value is None:
            card = self.charge.method in CARDS
            self.value = GatewayRefund(
                id=self.id,
                amount=Money(self.minor, self.charge.amount.currency),
                status=self.status,
                created_at=self.created_at,
                mark=self.mark,
                pending_reason=self.pending_reason,
                failure_reason=self.failure_reason,
                trace=Trace(kind=self.trace, reference=self.reference) if card else None,
            )
        return self.value
