"""Every way a rule says no, with its facts. `Refused` carries all the reasons at once.

Each class has a stable `code`, the HTTP status a page may answer with, whose `move` is next, and a sentence.
`docs/reference/refusals.md` is generated from this module.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar, Final

import attrs

from refund_domain._checks import check_tuple
from refund_domain.commands import Action, Actor
from refund_domain.connect import Transfer
from refund_domain.money import Money
from refund_domain.payments import Control


class Move(StrEnum):
    """Whose move is next."""

    STAFF = "staff"
    CLIENT = "client"
    HOST = "host"
    WAIT = "wait"
    NOBODY = "nobody"


class _Sentence:
    """Gives each refusal its sentence: `says` with the facts filled in."""

    __slots__ = ()
    code: ClassVar[str]
    http_status: ClassVar[int]
    move: ClassVar[Move]
    says: ClassVar[str]

    def __str__(self) -> str:
        return self.says.format(self=self)


@attrs.frozen(kw_only=True)
class External(_Sentence):
    """R1, R2: not taken through the platform, so nothing can be refunded through it."""

    code = "external"
    http_status = 422
    move = Move.STAFF
    says = (
        "This payment was taken by {self.method}, outside the platform: give the money back outside and record it."
    )

    method: str


@attrs.frozen(kw_only=True)
class MethodNotSupported(_Sentence):
    """R2: taken through the platform by a method other than card or ACH."""

    code = "method_not_supported"
    http_status = 422
    move = Move.STAFF
    says = "Payments by {self.method} cannot be refunded here; only cards and ACH bank transfers can."

    method: str


@attrs.frozen(kw_only=True)
class ChargeNotSupported(_Sentence):
    """The charge is split with connected accounts in a way this version does not refund.

    `transfers` are those to reverse by hand: once none holds money any more, the charge is refunded as any other.
    They may have gone to other merchants, so the sentence counts them and does not name them.
    """

    code = "charge_not_supported"
    http_status = 422
    move = Move.HOST
    says = "A charge of kind {self.kind} is not refunded by this version; {self.instead}."

    kind: str
    transfers: tuple[Transfer, ...] = ()

    @property
    def instead(self) -> str:
        """What to do instead, as half a sentence."""
        if not self.transfers:
            return "refund it in the gateway's own dashboard"
        return f"reverse its transfers ({len(self.transfers)}) in the gateway's dashboard, then quote it again"


@attrs.frozen(kw_only=True)
class NotCaptured(_Sentence):
    """R3: no money was taken, so there is none to give back."""

    code = "not_captured"
    http_status = 409
    move = Move.STAFF
    says = "Nothing has been captured for this payment; it is cancelled, not refunded."


@attrs.frozen(kw_only=True)
class NotSettled(_Sentence):
    """R2: an ACH debit still under way; a policy may accept it."""

    code = "not_settled"
    http_status = 409
    move = Move.WAIT
    says = "The bank transfer has not settled yet (expected: {self.expected}); refund it after that."

    expected: date | None


@attrs.frozen(kw_only=True)
class NothingLeft(_Sentence):
    """R3: 0 is a refusal, never a call."""

    code = "nothing_left"
    http_status = 409
    move = Move.NOBODY
    says = "All that was captured has already gone back."


@attrs.frozen(kw_only=True)
class InFlight(_Sentence):
    """One refund of ours is live per payment."""

    code = "in_flight"
    http_status = 409
    move = Move.WAIT
    says = "Refund {self.refund_id} of this payment is under way; wait for its end."

    refund_id: str
    status: str


@attrs.frozen(kw_only=True)
class AlreadyRefunded(_Sentence):
    """Ours succeeded; what became free since goes back through the dashboard or outside."""

    code = "already_refunded"
    http_status = 409
    move = Move.NOBODY
    says = "This payment was refunded by refund {self.refund_id}."

    refund_id: str


@attrs.frozen(kw_only=True)
class Disputed(_Sentence):
    """A dispute is open or lost, or a refund failed because of one."""

    code = "disputed"
    http_status = 409
    move = Move.STAFF
    says = "The client disputes {self.amount} of this payment; answer the dispute, a refund would pay twice."

    amount: Money


@attrs.frozen(kw_only=True)
class WindowOver(_Sentence):
    """The method's refund window (policy) has passed."""

    code = "window_over"
    http_status = 422
    move = Move.STAFF
    says = (
        "The payment was taken on {self.taken_at:%Y-%m-%d}; the {self.days} days for a refund are "
        "over. Only what is still owed can be given back outside."
    )

    taken_at: datetime
    days: int


@attrs.frozen(kw_only=True)
class BelowMinimum(_Sentence):
    """The method has a least amount (ACH: 0.50 USD)."""

    code = "below_minimum"
    http_status = 422
    move = Move.STAFF
    says = "The amount left is below the least that can be refunded, {self.minimum}."

    minimum: Money


@attrs.frozen(kw_only=True)
class CurrencyNotSupported(_Sentence):
    """Another currency than the payment's, or one its method does not know."""

    code = "currency_not_supported"
    http_status = 422
    move = Move.STAFF
    says = "{self.currency} cannot be refunded here: {self.expected} was expected."

    currency: str
    expected: str


@attrs.frozen(kw_only=True)
class AmountChanged(_Sentence):
    """R4: what was verified is no longer what would be sent, so nothing is sent."""

    code = "amount_changed"
    http_status = 409
    move = Move.STAFF
    says = "The amount verified was {self.verified}, it is {self.current} now; look at a new quote."

    verified: Money
    current: Money


@attrs.frozen(kw_only=True)
class QuoteStale(_Sentence):
    """R4: nothing was seen of this payment, or not recently enough."""

    code = "quote_stale"
    http_status = 409
    move = Move.STAFF
    says = "The quote is too old or was never made; look at a new one."

    quoted_at: datetime | None


@attrs.frozen(kw_only=True)
class RequestReused(_Sentence):
    """The same request id came with another amount."""

    code = "request_reused"
    http_status = 409
    move = Move.HOST
    says = "This request id was already used for a refund of {self.amount}; each decision needs its own quote."

    amount: Money


@attrs.frozen(kw_only=True)
class ReasonNotAllowed(_Sentence):
    """`fraudulent` blocks the payer's card; only a policy that says so allows it."""

    code = "reason_not_allowed"
    http_status = 422
    move = Move.STAFF
    says = "The reason '{self.reason}' is not allowed by the policy in force."

    reason: str


@attrs.frozen(kw_only=True)
class TooMuchOutside(_Sentence):
    """More was recorded as given back outside than is left."""

    code = "too_much_outside"
    http_status = 422
    move = Move.STAFF
    says = "{self.asked} is more than the {self.left} that is left to give back."

    asked: Money
    left: Money


@attrs.frozen(kw_only=True)
class CannotBeStopped(_Sentence):
    """R6: a refund once initiated goes its way."""

    code = "cannot_be_stopped"
    http_status = 409
    move = Move.NOBODY
    says = (
        "Refund {self.refund_id} cannot be stopped, changed or reversed; if it was a mistake, ask "
        "the client for a new payment."
    )

    refund_id: str


@attrs.frozen(kw_only=True)
class NotAskedFor(_Sentence):
    """`settle` was called for something that does not wait for a person, or not with this choice."""

    code = "not_asked_for"
    http_status = 409
    move = Move.NOBODY
    says = "Nothing of that kind waits for an answer here."


@attrs.frozen(kw_only=True)
class NotAllowed(_Sentence):
    """The host's `allow` said no, or raised; or the actor's name is one that erasing gives."""

    code = "not_allowed"
    http_status = 403
    move = Move.HOST
    says = "You may not do this ({self.action})."

    action: Action


@attrs.frozen(kw_only=True)
class NotFound(_Sentence):
    """No such payment at the gateway, or it is another tenant's: the same answer for both."""

    code = "not_found"
    http_status = 404
    move = Move.HOST
    says = "There is no such payment."


@attrs.frozen(kw_only=True)
class SendingPaused(_Sentence):
    """Somebody has paused the sending of this account, or of this tenant; what was sent goes its way."""

    code = "sending_paused"
    http_status = 409
    move = Move.STAFF
    says = "Refunds of this {self.scope} are paused since {self.since:%Y-%m-%d %H:%M} UTC; nothing new is sent."

    scope: Control
    since: datetime


@attrs.frozen(kw_only=True)
class SecondPersonNeeded(_Sentence):
    """Who asked for the refund approves it; the policy wants another person for that."""

    code = "second_person_needed"
    http_status = 403
    move = Move.STAFF
    says = "Refund {self.refund_id} must be approved by another person than the one who asked for it."

    refund_id: str


@attrs.frozen(kw_only=True)
class ApprovalDenied(_Sentence):
    """The second person said no, so the request was dropped and nothing was sent."""

    code = "approval_denied"
    http_status = 409
    move = Move.STAFF
    says = "The approval of this refund was denied by {self.who}."

    by: Actor

    @property
    def who(self) -> str:
        """The id of the person who said no."""
        return self.by.id


class Whose(StrEnum):
    """Whose limit of a day was reached."""

    ACTOR = "actor"
    TENANT = "tenant"


@attrs.frozen(kw_only=True)
class LimitReached(_Sentence):
    """More than the policy lets this person, or this tenant, ask for in one day (UTC)."""

    code = "limit_reached"
    http_status = 429
    move = Move.STAFF
    says = (
        "{self.left} is left today of the {self.limit} that one {self.whose} may refund in a day; "
        "the next day begins at {self.until:%Y-%m-%d %H:%M} UTC."
    )

    whose: Whose
    limit: Money
    left: Money
    until: datetime


Refusal = (
    External
    | MethodNotSupported
    | ChargeNotSupported
    | NotCaptured
    | NotSettled
    | NothingLeft
    | InFlight
    | AlreadyRefunded
    | Disputed
    | WindowOver
    | BelowMinimum
    | CurrencyNotSupported
    | AmountChanged
    | QuoteStale
    | RequestReused
    | ReasonNotAllowed
    | TooMuchOutside
    | CannotBeStopped
    | NotAskedFor
    | NotAllowed
    | NotFound
    | SendingPaused
    | SecondPersonNeeded
    | ApprovalDenied
    | LimitReached
)

REFUSALS: Final[tuple[type[Refusal], ...]] = (
    External,
    MethodNotSupported,
    ChargeNotSupported,
    NotCaptured,
    NotSettled,
    NothingLeft,
    InFlight,
    AlreadyRefunded,
    Disputed,
    WindowOver,
    BelowMinimum,
    CurrencyNotSupported,
    AmountChanged,
    QuoteStale,
    RequestReused,
    ReasonNotAllowed,
    TooMuchOutside,
    CannotBeStopped,
    NotAskedFor,
    NotAllowed,
    NotFound,
    SendingPaused,
    SecondPersonNeeded,
    ApprovalDenied,
    LimitReached,
)


@attrs.frozen
class Refused:
    """A rule said no: nothing was sent. `reasons` holds every refusal that applies, never none.

    >>> refused = Refused((NothingLeft(),))
    >>> [reason.code for reason in refused.reasons], str(refused)
    (['nothing_left'], 'All that was captured has already gone back.')
    """

    reasons: tuple[Refusal, ...]

    def __attrs_post_init__(self) -> None:
        check_tuple(self.reasons, REFUSALS, "reasons")
        if not self.reasons:
            raise ValueError("a refusal without a reason explains nothing; give at least one")

    @property
    def http_status(self) -> int:
        """The status of the first reason: what a page may answer with."""
        return self.reasons[0].http_status

    def __str__(self) -> str:
        return " ".join(str(reason) for reason in self.reasons)
