"""Payments as the library knows them: where one lives, what was captured, what went back, what is disputed.

Nothing here is fetched or stored: a `Payment` and its `GatewayRefund`s are what one look at the gateway
showed. Words the gateway may extend at any time (method, refund status, dispute status) stay open strings;
the tables that give them meaning stand in `rules` and `ledger`.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Final

import attrs

from refund_domain._checks import check_date, check_id, check_text, check_time, check_tuple, check_type
from refund_domain.connect import PLATFORM, ApplicationFee, ChargeKind, Transfer
from refund_domain.money import Money

__all__ = [
    "PLATFORM",
    "AnyPayment",
    "ChargeKind",
    "Control",
    "ControlRef",
    "Dispute",
    "GatewayRefund",
    "OutsideRef",
    "Payment",
    "PaymentRef",
    "PaymentStatus",
    "Ref",
    "Trace",
]

_OUTSIDE: Final = "outside"


@attrs.frozen
class PaymentRef:
    """Where one captured charge lives: the account that holds it (or `PLATFORM`) and the charge's id there.

    One charge must never have two refs, or it would have two journals of refunds: resolve a PaymentIntent or
    a checkout session to its charge first. `str(ref)` is what a queue carries; `PaymentRef.parse` reads it.
    Refuses empty, overlong or odd ids (ValueError): they would end up in addresses and headers.

    >>> ref = PaymentRef("acct_1", "ch_1")
    >>> str(ref), PaymentRef.parse("acct_1/ch_1") == ref
    ('acct_1/ch_1', True)
    """

    account: str
    charge: str

    def __attrs_post_init__(self) -> None:
        check_id(self.account, "account")
        check_id(self.charge, "charge")
        if self.account == _OUTSIDE:
            raise ValueError("account must not be 'outside': that word marks payments without a gateway")

    @classmethod
    def parse(cls, text: str) -> PaymentRef:
        """Read `str(ref)` back. Raises ValueError for any other text."""
        check_type(text, str, "a payment ref's text")
        account, slash, charge = text.partition("/")
        if not slash:
            raise ValueError("a payment ref reads 'account/charge', e.g. 'platform/ch_1'")
        return cls(account, charge)

    def __str__(self) -> str:
        return f"{self.account}/{self.charge}"


@attrs.frozen(kw_only=True)
class OutsideRef:
    """The host's word for money taken outside the platform: cash, a check, Venmo, Zelle … (R1, R2).

    There is no gateway behind it and nothing is ever due; what was given back can be recorded. All tenants
    of a journal share one space of ids, so an id must be the host's only one.

    >>> from refund_domain.money import Money
    >>> str(OutsideRef(id="cash-7", method="cash", amount=Money.parse("40.00", "USD")))
    'outside/cash-7'
    """

    id: str
    method: str
    amount: Money

    def __attrs_post_init__(self) -> None:
        check_id(self.id, "id")
        check_text(self.method, "method", 40)
        check_type(self.amount, Money, "amount")
        if self.amount.amount_minor <= 0:
            raise ValueError("amount must be more than nothing")

    def __str__(self) -> str:
        return f"{_OUTSIDE}/{self.id}"


class Control(StrEnum):
    """What a `ControlRef` names: the pause switch of a gateway account or of a tenant, or a day's allowance."""

    ACCOUNT = "account"
    TENANT = "tenant"
    DAY = "day"


@attrs.frozen(kw_only=True)
class ControlRef:
    """What is kept in the journal beside the payments: a switch, an allowance. No gateway stands behind it, and
    nothing of it is ever due or waits.

    `name` is the account, the tenant, or a day and a tenant. `str(ref)` begins as no payment's can.

    >>> str(ControlRef(kind=Control.ACCOUNT, name="acct_1"))
    '~account/acct_1'
    """

    kind: Control
    name: str

    def __attrs_post_init__(self) -> None:
        check_type(self.kind, Control, "kind")
        check_text(self.name, "name", 300)

    def __str__(self) -> str:
        return f"~{self.kind}/{self.name}"


AnyPayment = PaymentRef | OutsideRef
"""A payment, wherever it was taken."""

Ref = PaymentRef | OutsideRef | ControlRef
"""What has a stream in the journal; `str(ref)` is the stream's name."""


class PaymentStatus(StrEnum):
    """Whether the client's money has arrived; an ACH debit is `pending` for days."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@attrs.frozen(kw_only=True)
class Dispute:
    """A dispute of the payment, as the gateway tells it; `status` is the gateway's own word."""

    id: str
    amount: Money
    status: str

    def __attrs_post_init__(self) -> None:
        check_id(self.id, "id")
        check_type(self.amount, Money, "amount")
        check_text(self.status, "status", 60)
        if self.amount.amount_minor < 0:
            raise ValueError("amount must not be negative: a dispute never adds to what may go back")


@attrs.frozen(kw_only=True)
class Trace:
    """What a bank can find the money by: `kind` (refund, reversal, pending) and a reference, once known.

    A reversal never has one: the original line simply vanishes from the statement.
    """

    kind: str
    reference: str | None = None

    def __attrs_post_init__(self) -> None:
        check_text(self.kind, "kind", 60)
        if self.reference is not None:
            check_text(self.reference, "reference", 100)


@attrs.frozen(kw_only=True)
class GatewayRefund:
    """One refund as the gateway shows it, ours or anybody's.

    `mark` is the refund id this library wrote into the gateway's metadata, None for all others. `status`
    is the gateway's word; one the library does not know counts as still pending. `amount` is what the
    gateway says, in the payment's own currency.
    """

    id: str
    amount: Money
    status: str
    created_at: datetime
    mark: str | None = None
    pending_reason: str | None = None
    failure_reason: str | None = None
    trace: Trace | None = None

    def __attrs_post_init__(self) -> None:
        check_id(self.id, "id")
        check_type(self.amount, Money, "amount")
        check_text(self.status, "status", 60)
        check_time(self.created_at, "created_at")
        if self.mark is not None:
            check_id(self.mark, "mark")
        if self.pending_reason is not None:
            check_text(self.pending_reason, "pending_reason", 100)
        if self.failure_reason is not None:
            check_text(self.failure_reason, "failure_reason", 100)
        if self.trace is not None:
            check_type(self.trace, Trace, "trace")
        if self.amount.amount_minor <= 0:
            raise ValueError("amount must be more than nothing")


@attrs.frozen(kw_only=True)
class Payment:
    """One payment as a look showed it: captured, given back by its own figure, disputed, how and when taken.

    `given_back` is the payment's own running figure; the list of refunds is the other witness, and where
    the two disagree the smaller refundable amount holds (R3). `fee` is what the processor keeps, if known.
    These amounts share the payment's currency (ValueError otherwise).

    `application_fee` is what the platform took for itself, None where it took none. `transfers` are what the
    platform passed on of a separate charge, those that came back whole included; a destination charge's own
    transfer is not among them, because its refund pulls it back.
    """

    ref: PaymentRef
    method: str
    captured: Money
    given_back: Money
    taken_at: datetime
    status: PaymentStatus = PaymentStatus.SUCCEEDED
    kind: ChargeKind = ChargeKind.PLATFORM
    disputes: tuple[Dispute, ...] = ()
    fee: Money | None = None
    settles_on: date | None = None
    application_fee: ApplicationFee | None = None
    transfers: tuple[Transfer, ...] = ()

    def __attrs_post_init__(self) -> None:
        check_type(self.ref, PaymentRef, "ref")
        check_text(self.method, "method", 60)
        check_type(self.captured, Money, "captured")
        check_type(self.given_back, Money, "given_back")
        check_time(self.taken_at, "taken_at")
        check_type(self.status, PaymentStatus, "status")
        check_type(self.kind, ChargeKind, "kind")
        check_tuple(self.disputes, Dispute, "disputes")
        if self.captured.amount_minor < 0 or self.given_back.amount_minor < 0:
            raise ValueError("captured and given_back must not be negative")
        amounts = [self.given_back, *(dispute.amount for dispute in self.disputes)]
        if any(amount.currency != self.captured.currency for amount in amounts):
            raise ValueError("given_back and disputes must be in the currency of captured")
        if len({dispute.id for dispute in self.disputes}) != len(self.disputes):
            raise ValueError("disputes must name each dispute once")
        if self.fee is not None:
            check_type(self.fee, Money, "fee")
            if self.fee.amount_minor < 0 or self.fee.currency != self.captured.currency:
                raise ValueError("fee must not be negative and must be in the currency of captured")
        if self.settles_on is not None:
            check_date(self.settles_on, "settles_on")
        if self.application_fee is not None:
            check_type(self.application_fee, ApplicationFee, "application_fee")
        check_tuple(self.transfers, Transfer, "transfers")
