"""What Stripe's words mean to this library. Pure: no stripe import, no I/O, nothing remembered.

Two halves. The first turns a failed exchange (`Fault`) into one of the answers of the port, line by line
after the table in docs/explanation/stripe-facts.md, "Error classification". The second turns the JSON of a
charge, a refund or a dispute into the library's values; what is absent is tolerated where Stripe leaves keys
out, and whatever contradicts itself raises `Unclear`, so that it decides nothing.

Words of Stripe's that travel on (a code, a status) must look like words; anything else is replaced, because
a body that is not Stripe's may hold anything at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Final

import attrs

from refund_domain.answers import Accepted, Declined, NotSent, OutcomeUnknown, Send, Unread
from refund_domain.money import Currency, Money
from refund_domain.payments import (
    PLATFORM,
    ChargeKind,
    Dispute,
    GatewayRefund,
    Payment,
    PaymentRef,
    PaymentStatus,
    Trace,
)

MARK: Final = "refund_domain_id"
"""The metadata key under which our refund id stands on each refund we make."""

JsonObject = Mapping[str, object]
"""A JSON object as it was read; nothing about its members is known yet."""

# The alarms, for the person who is called. They are listed in docs/explanation/stripe-facts.md, "Alarms".
CREDENTIALS: Final = "credentials"
SET_UP: Final = "set_up"
DEFECT: Final = "defect_in_our_call"
NOT_IN_ACCOUNT: Final = "not_found_in_account"
KEY_REUSED: Final = "key_reused"
NOT_STRIPE: Final = "not_stripe"
NOT_OUR_REFUND: Final = "not_our_refund"
KIND_NOT_SUPPORTED: Final = "charge_kind_not_supported"

_SET_UP_CODES: Final = frozenset(
    "account_invalid api_key_expired application_fees_not_allowed livemode_mismatch platform_account_required "
    "platform_api_key_expired secret_key_required testmode_charges_only".split()
)
_STRIPES_TYPES: Final = frozenset(
    "api_error authentication_error card_error idempotency_error invalid_request_error rate_limit_error".split()
)
_REFUSING: Final = (400, 402, 404)
"""With these, and Stripe's own error object, the request made nothing; no other 4xx is Stripe's way to say no."""
_PARTIAL_CAPTURE: Final = "partial_capture_reversal"
_DEFECT_CODES: Final = frozenset(["charge_invalid_parameter", "parameters_exclusive"])
_WORD = re.compile(r"[a-z][a-z0-9_]{0,59}", re.ASCII)
_NUMBER = re.compile(r"[A-Za-z0-9_\-]{1,100}", re.ASCII)  # a request id, a bank's reference
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:\-]{0,254}", re.ASCII)


class Unclear(Exception):
    """What was read is odd or contradicts itself, so it decides nothing. The text says what was expected."""


@attrs.frozen(kw_only=True)
class Fault:
    """A failed HTTP exchange: the status, and what Stripe's error object said.

    `spoken` is False where the body was no error object of Stripe's: then a proxy, a captive portal or a
    failing edge answered, and its 4xx says nothing about what Stripe did. `trail` is Stripe's request id.
    """

    status: int
    spoken: bool = True
    type: str | None = None
    code: str | None = None
    message_code: str | None = None
    param: str | None = None
    trail: str | None = None

    def __str__(self) -> str:
        return f"HTTP {self.status} {self.code or self.message_code or ''}".strip()


def fault_of(status: int, body: object, trail: object = None) -> Fault:
    """The fault that this status and JSON body amount to; words that are no words are dropped."""
    if not is_stripes_error(body):
        return Fault(status=status, spoken=False)
    error = _object(_object(body).get("error"))
    return Fault(
        status=status,
        type=_word(error.get("type")),
        code=_word(error.get("code")),
        message_code=_word(error.get("message_code")),
        param=_word(error.get("param")),
        trail=_number(trail),
    )


def is_stripes_error(body: object) -> bool:
    """Whether this JSON is an error object of Stripe's: it names one of Stripe's types.

    Proxies and gateways of others answer with an object named "error", too; their 4xx is no answer of Stripe's.
    """
    return _object(_object(body).get("error")).get("type") in _STRIPES_TYPES


def answer_of(fault: Fault) -> Declined | NotSent | OutcomeUnknown:
    """What a failed send means for the money: docs/explanation/stripe-facts.md, "Error classification".

    Read from (status, type, code, message_code, param), never from the code alone and never from the message.

    >>> answer_of(Fault(status=400, code="charge_already_refunded")).code
    'charge_already_refunded'
    >>> answer_of(Fault(status=500)).resend, answer_of(Fault(status=409)).resend
    (False, True)
    >>> type(answer_of(Fault(status=408))).__name__
    'OutcomeUnknown'
    """
    status, why, trail = fault.status, str(fault), fault.trail
    if 200 <= status < 300:  # an unreadable success: the refund may exist, and the key replays it
        return OutcomeUnknown(why=why, trail=trail)
    if status < 400:
        return OutcomeUnknown(why=why, resend=False, alarm=NOT_STRIPE, trail=trail)
    if status == 424 or status >= 500:  # execution had begun; the key replays the stored error
        return OutcomeUnknown(why=why, resend=False, trail=trail)
    if status == 409:  # the same key is still at work
        return OutcomeUnknown(why=why, trail=trail)
    if not fault.spoken:
        return OutcomeUnknown(why=why, alarm=None if status == 429 else NOT_STRIPE)
    if fault.type == "idempotency_error":
        return OutcomeUnknown(why=why, resend=False, alarm=KEY_REUSED, trail=trail)
    if status == 429 or (status == 400 and fault.code == "rate_limit"):
        return NotSent(why=why, trail=trail)
    if (alarm := _mended_by_a_person(fault)) is not None:
        return NotSent(why=why, alarm=alarm, trail=trail)
    if status not in _REFUSING:
        return OutcomeUnknown(why=why, trail=trail)
    alarm = NOT_IN_ACCOUNT if status == 404 else None
    return Declined(code=_decline_code(fault), alarm=alarm, trail=trail)


def unread_of(fault: Fault) -> Unread:
    """What a failed read means: nothing was seen; `alarm` where only a person can mend it."""
    if fault.spoken:
        return Unread(why=str(fault), alarm=_mended_by_a_person(fault))
    passing = 200 <= fault.status < 300 or fault.status == 429 or fault.status >= 500
    return Unread(why=str(fault), alarm=None if passing else NOT_STRIPE)


def is_missing(fault: Fault) -> bool:
    """Whether Stripe itself says that this account holds no such object."""
    return fault.spoken and fault.status == 404 and fault.code == "resource_missing"


def _mended_by_a_person(fault: Fault) -> str | None:
    """The alarm of a fault in keys, rights, set-up or our own call; None for all others."""
    code = fault.code or ""
    if fault.status in (400, 401, 402, 403) and code in _SET_UP_CODES:
        return SET_UP
    if fault.status in (401, 403):
        return CREDENTIALS
    if fault.status == 400 and (code in _DEFECT_CODES or code.startswith("parameter_")):
        return DEFECT
    return None


def _decline_code(fault: Fault) -> str:
    """Stripe's own code, or our word where it gave none (it often gives none: "Error classification")."""
    if fault.code or fault.message_code:
        return fault.code or fault.message_code or ""
    return "amount_changed" if fault.param == "amount" else "not_explained"


def made_of(body: object, send: Send) -> Accepted | OutcomeUnknown:
    """Accept a success only if its body is the refund we asked for: id, amount, currency, charge and mark.

    Anything else is a proxy, a redirect or a defect: the refund may exist all the same.
    """
    try:
        refund = refund_of(_object(body), send.payment.charge, send.amount.currency)
    except Unclear:
        refund = None
    if refund is None or refund.amount != send.amount or refund.mark != send.refund_id:
        return OutcomeUnknown(why="the answer is not our refund", resend=False, alarm=NOT_OUR_REFUND)
    return Accepted(refund=refund)


def payment_of(charge: JsonObject, ref: PaymentRef) -> Payment:
    """The payment that this charge shows, its disputes aside: those are read apart.

    After docs/explanation/stripe-facts.md, "Facts to read on a charge". Raises Unclear for another charge,
    or for a charge without currency, amounts, status or time.
    """
    if charge.get("object") != "charge" or charge.get("id") != ref.charge:
        raise Unclear("the answer is not this charge")
    currency = _currency(charge)
    details = _object(charge.get("payment_method_details"))
    try:
        status = PaymentStatus(_text(charge, "status"))
    except ValueError:
        raise Unclear("the charge's status is unknown") from None
    return Payment(
        ref=ref,
        method=_method(charge, details),
        captured=_money(_captured_minor(charge), currency),
        given_back=_money(_whole(charge, "amount_refunded"), currency),
        taken_at=_time(charge, "created"),
        status=status,
        kind=_kind(charge, ref),
        fee=_fee(_object(charge.get("balance_transaction")), currency),
        settles_on=_day(_object(details.get("us_bank_account")).get("expected_debit_date")),
    )


def says_disputed(charge: JsonObject) -> bool:
    """Whether the charge says that it was ever disputed. Raises Unclear where it says neither yes nor no."""
    disputed = charge.get("disputed")
    if isinstance(disputed, bool):
        return disputed
    if "dispute" not in charge:
        raise Unclear("the charge does not say whether it is disputed")
    return charge["dispute"] is not None


def refund_of(refund: JsonObject, charge: str, currency: Currency) -> GatewayRefund:
    """One refund of this charge. Raises Unclear for another charge's, another currency, a missing member.

    A status Stripe may add later is kept; one that is null or no word becomes "unknown", which holds the
    amount. A mark that could not be ours is None.
    """
    if refund.get("object") != "refund" or id_of(refund.get("charge")) != charge:
        raise Unclear("the answer is not a refund of this charge")
    if _currency(refund) != currency:
        raise Unclear("a refund is in another currency than its charge")
    amount_minor = _whole(refund, "amount")
    if amount_minor == 0:
        raise Unclear("a refund has no amount")
    card = _object(_object(refund.get("destination_details")).get("card"))
    kind = _word(card.get("type"))
    return GatewayRefund(
        id=_id(refund, "id"),
        amount=_money(amount_minor, currency),
        status=_word(refund.get("status")) or "unknown",
        created_at=_time(refund, "created"),
        mark=_as_id(_object(refund.get("metadata")).get(MARK)),
        pending_reason=_word(refund.get("pending_reason")),
        failure_reason=_word(refund.get("failure_reason")),
        trace=None if kind is None else Trace(kind=kind, reference=_number(card.get("reference"))),
    )


def released_by_capture(refund: JsonObject, *, partly_captured: bool) -> bool:
    """Whether this row is no refund but the part of an authorisation that a capture left over.

    Stripe keeps such a part among the charge's refunds and in its `amount_refunded`, while `amount_captured`
    does not hold it: counted, it would be taken off twice. Only its balance transaction tells, by its reporting
    category. Raises Unclear where the charge was captured in part and a row's balance transaction is not there.
    """
    transaction = _object(refund.get("balance_transaction"))
    category = transaction.get("reporting_category")
    if partly_captured and category is None:
        raise Unclear("a charge captured in part has a refund of which the kind cannot be told")
    return category == _PARTIAL_CAPTURE


def without_released(payment: Payment, released: tuple[GatewayRefund, ...]) -> Payment:
    """The payment with what a partial capture released taken off its own figure of money given back.

    Raises Unclear where that figure is smaller than what was released.
    """
    gone = payment.given_back.amount_minor - sum(refund.amount.amount_minor for refund in released)
    if gone < 0:
        raise Unclear("the charge's figure of money given back is smaller than what a capture released")
    return attrs.evolve(payment, given_back=_money(gone, payment.given_back.currency))


def is_partly_captured(charge: JsonObject) -> bool:
    """Whether less was captured than was authorised, and something was."""
    authorised = charge.get("amount")
    return type(authorised) is int and 0 < _captured_minor(charge) < authorised


def dispute_of(dispute: JsonObject, charge: str, captured: Money) -> Dispute:
    """One dispute of this charge, with Stripe's own word for its status. Raises Unclear as `refund_of`.

    A dispute told in another currency counts as one over all that was captured: the side that refunds nothing.
    """
    if dispute.get("object") != "dispute" or id_of(dispute.get("charge")) != charge:
        raise Unclear("the answer is not a dispute of this charge")
    same = _currency(dispute) == captured.currency
    return Dispute(
        id=_id(dispute, "id"),
        amount=_money(_whole(dispute, "amount"), captured.currency) if same else captured,
        status=_word(dispute.get("status")) or "unknown",
    )


def page_of(body: JsonObject) -> tuple[tuple[JsonObject, ...], bool]:
    """The members of one page of a list, and whether more follow. Raises Unclear for anything else."""
    data, has_more = body.get("data"), body.get("has_more")
    if not isinstance(data, list) or not isinstance(has_more, bool):
        raise Unclear("the answer is not a page of a list")
    if not all(isinstance(member, Mapping) for member in data):
        raise Unclear("a page holds something that is no object")
    return tuple(data), has_more


def id_of(link: object) -> str | None:
    """The id behind a link, which is an id or an expanded object; None for anything else."""
    return _as_id(link.get("id") if isinstance(link, Mapping) else link)


def _method(charge: JsonObject, details: JsonObject) -> str:
    if "type" in details:
        return _word(details["type"]) or "unknown"
    # Before there were payment method details a charge carried its source; only a card is certain there.
    return "card" if _object(charge.get("source")).get("object") == "card" else "unknown"


def _captured_minor(charge: JsonObject) -> int:
    if charge.get("amount_captured") is not None:
        return _whole(charge, "amount_captured")
    captured = charge.get("captured")
    if not isinstance(captured, bool):
        raise Unclear("the charge does not say whether it was captured")
    return _whole(charge, "amount") if captured else 0


def _kind(charge: JsonObject, ref: PaymentRef) -> ChargeKind:
    """How the charge is split (docs/explanation/stripe-facts.md, "Connect").

    A transfer counts first, under an account header too: such a charge needs it reversed, whoever holds it.
    """
    if charge.get("transfer_data") is not None or charge.get("transfer") is not None:
        return ChargeKind.DESTINATION
    if ref.account != PLATFORM:
        return ChargeKind.DIRECT
    return ChargeKind.PLATFORM if charge.get("transfer_group") is None else ChargeKind.SEPARATE


def _fee(transaction: JsonObject, currency: Currency) -> Money | None:
    """What was kept of the payment, where the balance transaction is there and in the payment's currency."""
    fee = transaction.get("fee")
    if type(fee) is not int or fee < 0 or transaction.get("currency") != currency.code.lower():
        return None
    return _money(fee, currency)


def _object(value: object) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _number(value: object) -> str | None:
    return value if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def _as_id(value: object) -> str | None:
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def _id(holder: JsonObject, name: str) -> str:
    value = _as_id(holder.get(name))
    if value is None:
        raise Unclear(f"{name} is no id")
    return value


def _text(holder: JsonObject, name: str) -> str:
    value = holder.get(name)
    if not isinstance(value, str):
        raise Unclear(f"{name} is no text")
    return value


def _whole(holder: JsonObject, name: str) -> int:
    value = holder.get(name)
    if type(value) is not int or value < 0:
        raise Unclear(f"{name} is no whole number")
    return value


def _money(amount_minor: int, currency: Currency) -> Money:
    try:
        return Money(amount_minor, currency)
    except ValueError:
        raise Unclear("an amount is beyond all payments") from None


def _currency(holder: JsonObject) -> Currency:
    try:
        return Currency.of(_text(holder, "currency"))
    except ValueError:
        raise Unclear("the currency is no currency") from None


def _time(holder: JsonObject, name: str) -> datetime:
    try:
        return datetime.fromtimestamp(_whole(holder, name), UTC)
    except (ValueError, OverflowError, OSError):
        raise Unclear(f"{name} is no time") from None


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
