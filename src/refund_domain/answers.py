"""What crosses the gateway port: what a look shows, what may be asked for, and the answers to that.

Asked for is a refund (`Send`) or the reversal of one transfer behind it (`Reversal`). Answers are values, never
exceptions, because an exception is not a "no". Each answer says one thing about the money: it moved (`Accepted`,
of a reversal `Reversed`), this request made nothing (`Declined`), the request never executed (`NotSent`), nobody
knows (`OutcomeUnknown`).
"""

from __future__ import annotations

import attrs

from refund_domain._checks import check_count, check_id, check_text, check_tuple, check_type
from refund_domain.commands import Reason
from refund_domain.connect import PLATFORM, SPLITS, SeparateCharge, Split, TransferReversal, check_held_by
from refund_domain.money import Money
from refund_domain.payments import GatewayRefund, Payment, PaymentRef


@attrs.frozen(kw_only=True)
class Picture:
    """One complete look: the payment, all its refunds to the last page, its disputes.

    A look of which any page is missing is no Picture but `Unread`. Refuses a refund in another currency
    than the payment's, and two refunds of one id (ValueError).
    """

    payment: Payment
    refunds: tuple[GatewayRefund, ...] = ()

    def __attrs_post_init__(self) -> None:
        check_type(self.payment, Payment, "payment")
        check_tuple(self.refunds, GatewayRefund, "refunds")
        currency = self.payment.captured.currency
        if any(refund.amount.currency != currency for refund in self.refunds):
            raise ValueError("each refund must be in the payment's own currency")
        if len({refund.id for refund in self.refunds}) != len(self.refunds):
            raise ValueError("each refund may be shown once only")


@attrs.frozen(kw_only=True)
class Unread:
    """The gateway could not be read completely; this decides nothing. `alarm` asks for a person."""

    why: str
    alarm: str | None = None

    def __attrs_post_init__(self) -> None:
        _check_words(self.why, self.alarm)


@attrs.frozen(kw_only=True)
class Missing:
    """The gateway says that this account holds no such charge: a wrong id, account or mode."""

    why: str = "resource_missing"

    def __attrs_post_init__(self) -> None:
        _check_words(self.why, None)


Look = Picture | Unread | Missing


@attrs.frozen(kw_only=True)
class Send:
    """One request to make a refund: exactly one HTTP request, with this amount, key and mark.

    `refund_id` is both the idempotency key and the mark; a refund has no other key, ever. Every send of
    one refund asks for the same thing, and only `claim`, the number of the claim that licenses it, rises.
    `split` says what goes with the amount; one that cannot be of a charge at this account is refused.
    """

    refund_id: str
    claim: int
    payment: PaymentRef
    amount: Money
    reason: Reason
    split: Split

    def __attrs_post_init__(self) -> None:
        check_id(self.refund_id, "refund_id")
        check_count(self.claim, "claim", 1)
        check_type(self.payment, PaymentRef, "payment")
        check_type(self.amount, Money, "amount")
        check_type(self.reason, Reason, "reason")
        check_type(self.split, SPLITS, "split")
        check_held_by(self.split, self.payment.account)
        if self.amount.amount_minor <= 0:
            raise ValueError("amount must be more than nothing: a refund of 0 is a refusal, never a call")
        if isinstance(self.split, SeparateCharge):
            pulled = [leg.amount for leg in self.split.legs]
            if pulled[0].currency != self.amount.currency:
                raise ValueError("split: its legs must be in the currency of amount")
            if sum(amount.amount_minor for amount in pulled) > self.amount.amount_minor:
                raise ValueError("split: its legs must not pull back more than the client gets")


@attrs.frozen(kw_only=True)
class Reversal:
    """One request to pull back this much of one transfer: a leg of a refund, and exactly one HTTP request.

    `id` is both the idempotency key and the mark. It belongs to one attempt: every claim of an attempt asks for
    the same thing under the same id, and only `claim` rises; an attempt that is over is followed by one with an
    id of its own. `payment` is the charge whose refund this is a leg of; it must be the platform's (ValueError).
    """

    id: str
    refund_id: str
    transfer: str
    attempt: int
    claim: int
    payment: PaymentRef
    amount: Money

    def __attrs_post_init__(self) -> None:
        check_id(self.id, "id")
        check_id(self.refund_id, "refund_id")
        check_id(self.transfer, "transfer")
        check_count(self.attempt, "attempt", 1)
        check_count(self.claim, "claim", 1)
        check_type(self.payment, PaymentRef, "payment")
        check_type(self.amount, Money, "amount")
        if self.payment.account != PLATFORM:
            raise ValueError("payment must be the platform's: no other account passes a charge on by transfers")
        if self.amount.amount_minor <= 0:
            raise ValueError("amount must be more than nothing")


Ask = Send | Reversal
"""What may be asked of a gateway."""


@attrs.frozen(kw_only=True)
class Accepted:
    """The gateway made, or had made, this refund."""

    refund: GatewayRefund

    def __attrs_post_init__(self) -> None:
        check_type(self.refund, GatewayRefund, "refund")


@attrs.frozen(kw_only=True)
class Reversed:
    """The gateway made, or had made, this reversal of a transfer."""

    reversal: TransferReversal

    def __attrs_post_init__(self) -> None:
        check_type(self.reversal, TransferReversal, "reversal")


@attrs.frozen(kw_only=True)
class Declined:
    """The gateway said no: this request made nothing and its key is spent.

    `code` is the gateway's own (or the adapter's word where it gave none); `trail` its id for the request,
    for its support. `alarm` names a fault of set-up a person must mend.
    """

    code: str
    alarm: str | None = None
    trail: str | None = None

    def __attrs_post_init__(self) -> None:
        _check_words(self.code, self.alarm, self.trail)


@attrs.frozen(kw_only=True)
class NotSent:
    """The request certainly never executed: connection refused, credentials rejected, told to slow down."""

    why: str
    alarm: str | None = None
    trail: str | None = None

    def __attrs_post_init__(self) -> None:
        _check_words(self.why, self.alarm, self.trail)


@attrs.frozen(kw_only=True)
class OutcomeUnknown:
    """Everything else: the refund may exist. `resend=False` says the key would only replay an error."""

    why: str
    resend: bool = True
    alarm: str | None = None
    trail: str | None = None

    def __attrs_post_init__(self) -> None:
        check_type(self.resend, bool, "resend")
        _check_words(self.why, self.alarm, self.trail)


SendAnswer = Accepted | Declined | NotSent | OutcomeUnknown
"""The answers to a `Send`."""

LegAnswer = Reversed | Declined | NotSent | OutcomeUnknown
"""The answers to a `Reversal`."""

Answer = SendAnswer | LegAnswer


def _check_words(why: str, alarm: str | None, trail: str | None = None) -> None:
    check_text(why, "why or code", 200)
    if alarm is not None:
        check_text(alarm, "alarm", 60)
    if trail is not None:
        check_text(trail, "trail", 100)
