"""What people ask for: who they are, what they verified, what they decided. Values, checked when made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

import attrs

from refund_domain._checks import ID_LIMIT, JOINERS, check_id, check_text, check_time, check_type, is_id
from refund_domain.money import LIMIT_MINOR, Currency, Money
from refund_domain.payments import PaymentRef

NOTE_LIMIT = 500


class Reason(StrEnum):
    """Why money goes back, in the gateway's three words.

    `FRAUDULENT` puts the payer's card and e-mail on block lists at Stripe; a policy must allow it.
    """

    REQUESTED_BY_CUSTOMER = "requested_by_customer"
    DUPLICATE = "duplicate"
    FRAUDULENT = "fraudulent"


class Action(StrEnum):
    """What the host's `allow(actor, action, payment)` is asked about."""

    QUOTE = "quote"
    REQUEST = "request"
    ISSUE = "issue"
    SHOW = "show"
    ATTENTION = "attention"
    SETTLE = "settle"
    RECORD_OUTSIDE = "record_outside"
    APPROVE = "approve"
    PAUSE = "pause"
    RESUME = "resume"


ASKED_FOR: Final[dict[Action, tuple[str, str]]] = {
    Action.QUOTE: ("`quote`, `quote_booking`, `quote_bookings`", "each payment"),
    Action.REQUEST: ("`request`, here and of `within`", "the payment"),
    Action.ISSUE: ("`issue`, `issue_booking`, `issue_bookings`", "each payment"),
    Action.SHOW: ("`show`; `paused`", "the payment; the switch, a `ControlRef`"),
    Action.ATTENTION: ("`attention`", "None: it is about the whole tenant"),
    Action.SETTLE: ("`settle`", "the payment"),
    Action.RECORD_OUTSIDE: ("`record_outside`, here and of `within`", "the payment, or an `OutsideRef`"),
    Action.APPROVE: ("`approve`", "the payment"),
    Action.PAUSE: ("`pause`", "the switch, a `ControlRef`"),
    Action.RESUME: ("`resume`", "the switch, a `ControlRef`"),
}
"""By action: which calls ask `allow` for it, and what they give as its `ref`."""


class Choice(StrEnum):
    """What a person may answer to something that waits for them. There is no "send" among the choices."""

    NOT_MADE = "not_made"
    KEEP_LOOKING = "keep_looking"
    LEAVE = "leave"
    NOTED = "noted"
    DENIED = "denied"


@attrs.frozen(kw_only=True)
class Actor:
    """Who acts, for which tenant: from the host's session, never from a page.

    >>> Actor(id="maria", tenant="acme-inspections")
    Actor(id='maria', tenant='acme-inspections')
    """

    id: str
    tenant: str

    def __attrs_post_init__(self) -> None:
        given: tuple[tuple[str, object], ...] = (("id", self.id), ("tenant", self.tenant))
        for name, value in given:
            if isinstance(value, int):
                raise TypeError(f"an actor's {name} must be a str, not {type(value).__name__}: e.g. str(user.pk)")
            check_text(value, f"an actor's {name}", 255)


class FormError(ValueError):
    """A form field came back missing or unreadable; `field` names it. Answer the page with HTTP 400.

    `why` says what a person may write otherwise, of a field that they fill in themselves.
    """

    def __init__(self, field: str, why: str | None = None) -> None:
        super().__init__(field, why)
        self.field, self.why = field, why

    def __str__(self) -> str:
        if self.why is not None:
            return f"the form field {self.field!r} {self.why}"
        return (
            f"the form field {self.field!r} is missing, unreadable or of another payment; "
            "show a new quote and ask again"
        )


@attrs.frozen(kw_only=True)
class IssueRefund:
    """The decision of a person who saw a quote: refund this payment, this verified amount (R4).

    Made by `Quote.verified(by=…)`, or by `from_form` when the quote went through a web page. `request_id`
    is the quote's: the same one always means the same refund. `note` is for the audit trail only: never
    sent, never logged.
    """

    payment: PaymentRef
    request_id: str
    amount: Money
    quoted_at: datetime
    by: Actor
    reason: Reason = Reason.REQUESTED_BY_CUSTOMER
    note: str | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        check_type(self.payment, PaymentRef, "payment")
        check_id(self.request_id, "request_id")
        check_type(self.amount, Money, "amount")
        check_time(self.quoted_at, "quoted_at")
        check_type(self.by, Actor, "by")
        check_type(self.reason, Reason, "reason")
        if self.note is not None:
            check_text(self.note, "note", NOTE_LIMIT, also=JOINERS)
        if self.amount.amount_minor <= 0:
            raise ValueError("amount must be more than nothing: there is nothing to verify in a quote of 0")

    @classmethod
    def from_form(
        cls,
        form: Mapping[str, str],
        *,
        payment: PaymentRef,
        by: Actor,
        reason: Reason = Reason.REQUESTED_BY_CUSTOMER,
        note: str | None = None,
    ) -> IssueRefund:
        """Read what `Quote.form()` put on the page. Raises `FormError` for what is missing or odd.

        Nothing in the form is trusted: payment, tenant and actor come from the host's session, the amount is
        only compared with a fresh look at the gateway, and a page made for another payment (an older tab) is
        refused. `note` is what somebody wrote, e.g. `form["note"]`: blank it is none, too long a `FormError`.

        >>> form = {"payment": "platform/ch_1", "request_id": "r1", "amount_minor": "20000",
        ...         "currency": "USD", "quoted_at": "2026-03-02T09:00:00+00:00"}
        >>> IssueRefund.from_form(form, payment=PaymentRef("platform", "ch_1"),
        ...                       by=Actor(id="maria", tenant="acme")).amount.major
        '200.00'
        """
        if _field(form, "payment", 2 * ID_LIMIT + 1) != str(payment):
            raise FormError("payment")
        moment = _moment(_field(form, "quoted_at"))
        if moment is None:
            raise FormError("quoted_at")
        return cls(
            payment=payment,
            request_id=_id(form, "request_id"),
            amount=_amount(form),
            quoted_at=moment,
            by=by,
            reason=reason,
            note=_note(note),
        )


@attrs.frozen(kw_only=True)
class ApproveRefund:
    """The decision of a second person who saw a requested refund: this refund, this amount, may be sent (R4).

    Made by hand, or by `from_form` when it went through a web page (`Refund.approval_form()`).
    """

    payment: PaymentRef
    refund_id: str
    amount: Money
    by: Actor

    def __attrs_post_init__(self) -> None:
        check_type(self.payment, PaymentRef, "payment")
        check_id(self.refund_id, "refund_id")
        check_type(self.amount, Money, "amount")
        check_type(self.by, Actor, "by")
        if self.amount.amount_minor <= 0:
            raise ValueError("amount must be more than nothing: no refund of 0 waits for approval")

    @classmethod
    def from_form(cls, form: Mapping[str, str], *, payment: PaymentRef, by: Actor) -> ApproveRefund:
        """Read what `Refund.approval_form()` put on the page. Raises `FormError` for what is missing or odd.

        Nothing in the form is trusted: payment, tenant and actor come from the host's session, the amount is only
        compared with the one requested.

        >>> form = {"payment": "platform/ch_1", "refund_id": "id-2", "amount_minor": "20000", "currency": "USD"}
        >>> ApproveRefund.from_form(form, payment=PaymentRef("platform", "ch_1"),
        ...                         by=Actor(id="paul", tenant="acme")).amount.major
        '200.00'
        """
        if _field(form, "payment", 2 * ID_LIMIT + 1) != str(payment):
            raise FormError("payment")
        return cls(payment=payment, refund_id=_id(form, "refund_id"), amount=_amount(form), by=by)


def _note(text: str | None) -> str | None:
    """What somebody wrote into a field of the host's own: nothing where it is blank."""
    if text is None:
        return None
    check_type(text, str, "note")
    if not text.strip():
        return None
    try:
        check_text(text, "note", NOTE_LIMIT, also=JOINERS)
    except ValueError as error:
        raise FormError("note", str(error).removeprefix("note ")) from None
    return text


def _id(form: Mapping[str, str], name: str) -> str:
    text = _field(form, name)
    if not is_id(text):
        raise FormError(name)
    return text


def _amount(form: Mapping[str, str]) -> Money:
    """The amount a page brought back: more than nothing, in a known currency."""
    minor, currency = _field(form, "amount_minor"), _field(form, "currency")
    if not (minor.isascii() and minor.isdigit() and len(minor) <= 16 and 0 < int(minor) <= LIMIT_MINOR):
        raise FormError("amount_minor")
    try:
        return Money(int(minor), Currency.of(currency))
    except ValueError:
        raise FormError("currency") from None


def _moment(text: str) -> datetime | None:
    """The aware time this text is; None for any other: Python's own error repeats the text."""
    try:
        moment = datetime.fromisoformat(text)
        check_time(moment, "quoted_at")
    except ValueError:
        return None
    return moment


def _field(form: Mapping[str, str], name: str, limit: int = 300) -> str:
    value = form.get(name)
    if not isinstance(value, str) or not value or len(value) > limit:
        raise FormError(name)
    return value
