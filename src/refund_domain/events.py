"""Everything that can have happened to the refunds of one payment. Facts, in the past tense, never changed.

Each carries `at`, a time of the journal. `docs/reference/events.md` is generated from this module. Events hold
no policy: what a policy decided (a due time, an end) is written down as a fact, so that a new policy never
rewrites the past.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import attrs

from refund_domain.answers import LegAnswer, Reversal, Send, SendAnswer
from refund_domain.commands import Actor, Choice, Reason
from refund_domain.connect import TransferReversal
from refund_domain.money import Money
from refund_domain.payments import GatewayRefund, Payment, PaymentRef
from refund_domain.refusals import Refusal


@attrs.frozen(kw_only=True)
class StreamOpened:
    """The first allowed quote or record of this payment; `tenant` owns the stream from now on."""

    at: datetime
    tenant: str


@attrs.frozen(kw_only=True)
class PaymentSeen:
    """A look that began at `at` showed the payment so; written only when it differs from the last."""

    at: datetime
    payment: Payment


@attrs.frozen(kw_only=True)
class RefundObserved:
    """A look that began at `at` showed this refund so, ours (by its mark) or another's."""

    at: datetime
    refund: GatewayRefund


@attrs.frozen(kw_only=True)
class RefundRequested:
    """A person verified `amount` in the quote of `quoted_at` and asked for the refund (R4).

    `needs_second`: the policy of that moment wanted another person's approval before it is sent.
    """

    at: datetime
    refund_id: str
    request_id: str
    amount: Money
    reason: Reason
    quoted_at: datetime
    by: Actor
    note: str | None = attrs.field(default=None, repr=False)
    needs_second: bool = False


@attrs.frozen(kw_only=True)
class RefundApproved:
    """A second person verified the requested amount and let this refund be sent."""

    at: datetime
    refund_id: str
    by: Actor


@attrs.frozen(kw_only=True)
class SendClaimed:
    """A worker claimed the sole right to send exactly this, for one minute from `at`."""

    at: datetime
    send: Send


@attrs.frozen(kw_only=True)
class SendAnswered:
    """What the send of this claim came back with; a claim without an answer is in doubt."""

    at: datetime
    refund_id: str
    claim: int
    answer: SendAnswer


@attrs.frozen(kw_only=True)
class RefundDropped:
    """A rule said no before anything was sent; the request is over."""

    at: datetime
    refund_id: str
    reasons: tuple[Refusal, ...]


@attrs.frozen(kw_only=True)
class RefundNotMade:
    """The doubt ended: this refund does not exist. `by` is the person who said so, None if time did."""

    at: datetime
    refund_id: str
    by: Actor | None = None


@attrs.frozen(kw_only=True)
class PersonAsked:
    """A complete look past the last edge showed nothing, and only a person may end this doubt."""

    at: datetime
    refund_id: str


@attrs.frozen(kw_only=True)
class LegClaimed:
    """A worker claimed the sole right to ask for exactly this reversal of a transfer, for one minute from `at`."""

    at: datetime
    reversal: Reversal


@attrs.frozen(kw_only=True)
class LegAnswered:
    """What the reversal of this claim came back with; a claim without an answer is in doubt."""

    at: datetime
    refund_id: str
    transfer: str
    claim: int
    answer: LegAnswer


@attrs.frozen(kw_only=True)
class LegObserved:
    """A look that began at `at` showed this reversal, ours by its mark: this leg of the refund is done."""

    at: datetime
    refund_id: str
    transfer: str
    reversal: TransferReversal


@attrs.frozen(kw_only=True)
class LegNotMade:
    """The doubt about this attempt ended: it reversed nothing, and the leg is owed again."""

    at: datetime
    refund_id: str
    transfer: str
    attempt: int


@attrs.frozen(kw_only=True)
class AttentionSettled:
    """A person answered what waited for them: `subject` and `code` name it."""

    at: datetime
    subject: str
    code: str
    choice: Choice
    by: Actor


@attrs.frozen(kw_only=True)
class OutsideRecorded:
    """Money was given back outside the platform (R2); this records it and moves nothing."""

    at: datetime
    record_id: str
    amount: Money
    how: str
    by: Actor


@attrs.frozen(kw_only=True)
class LookScheduled:
    """The next look at the gateway is owed at `due`; None: nothing is owed. `tries` fruitless looks so far.

    `alarm` says why the last look could not be read, if a person must mend it.
    """

    at: datetime
    due: datetime | None
    tries: int = 0
    alarm: str | None = None


@attrs.frozen(kw_only=True)
class Paused:
    """Somebody paused the sending of an account or a tenant: in the switch's own stream."""

    at: datetime
    by: Actor
    why: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Resumed:
    """Somebody let the sending go on: in the switch's own stream."""

    at: datetime
    by: Actor


@attrs.frozen(kw_only=True)
class AllowanceTaken:
    """A request counts against the limits of its day: in the day's own stream, before the request is on record."""

    at: datetime
    payment: PaymentRef
    request_id: str
    amount: Money
    by: Actor


Event = (
    StreamOpened
    | PaymentSeen
    | RefundObserved
    | RefundRequested
    | RefundApproved
    | SendClaimed
    | SendAnswered
    | RefundDropped
    | RefundNotMade
    | PersonAsked
    | LegClaimed
    | LegAnswered
    | LegObserved
    | LegNotMade
    | AttentionSettled
    | OutsideRecorded
    | LookScheduled
    | Paused
    | Resumed
    | AllowanceTaken
)

EVENTS: Final[tuple[type[Event], ...]] = (
    StreamOpened,
    PaymentSeen,
    RefundObserved,
    RefundRequested,
    RefundApproved,
    SendClaimed,
    SendAnswered,
    RefundDropped,
    RefundNotMade,
    PersonAsked,
    LegClaimed,
    LegAnswered,
    LegObserved,
    LegNotMade,
    AttentionSettled,
    OutsideRecorded,
    LookScheduled,
    Paused,
    Resumed,
    AllowanceTaken,
)
