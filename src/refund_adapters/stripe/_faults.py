"""What a failed exchange with Stripe means: one of the answers of the port. Pure; nothing is remembered.

Line by line after the table in docs/explanation/stripe-facts.md, "Error classification".
"""

from __future__ import annotations

from typing import Final

import attrs

from refund_adapters.stripe._members import number, object_in, word
from refund_domain.answers import Declined, NotSent, OutcomeUnknown, Unread

# The alarms, for the person who is called. They are listed in docs/explanation/stripe-facts.md, "Alarms".
CREDENTIALS: Final = "credentials"
SET_UP: Final = "set_up"
DEFECT: Final = "defect_in_our_call"
NOT_IN_ACCOUNT: Final = "not_found_in_account"
KEY_REUSED: Final = "key_reused"
NOT_STRIPE: Final = "not_stripe"
NOT_OUR_REFUND: Final = "not_our_refund"
NOT_OUR_REVERSAL: Final = "not_our_reversal"

_SET_UP_CODES: Final = frozenset(
    "account_invalid api_key_expired application_fees_not_allowed livemode_mismatch platform_account_required "
    "platform_api_key_expired secret_key_required testmode_charges_only".split()
)
_STRIPES_TYPES: Final = frozenset(
    "api_error authentication_error card_error idempotency_error invalid_request_error rate_limit_error".split()
)
_REFUSING: Final = (400, 402, 404)
"""With these, and Stripe's own error object, the request made nothing; no other 4xx is Stripe's way to say no."""
_DEFECT_CODES: Final = frozenset(["charge_invalid_parameter", "parameters_exclusive"])


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
    error = object_in(object_in(body).get("error"))
    return Fault(
        status=status,
        type=word(error.get("type")),
        code=word(error.get("code")),
        message_code=word(error.get("message_code")),
        param=word(error.get("param")),
        trail=number(trail),
    )


def is_stripes_error(body: object) -> bool:
    """Whether this JSON is an error object of Stripe's: it names one of Stripe's types.

    Proxies and gateways of others answer with an object named "error", too; their 4xx is no answer of Stripe's.
    """
    return word(object_in(object_in(body).get("error")).get("type")) in _STRIPES_TYPES


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
    if status not in _REFUSING or fault.type == "api_error":  # the latter tells of trouble there, not of a no
        return OutcomeUnknown(why=why, trail=trail)
    alarm = NOT_IN_ACCOUNT if status == 404 else None
    return Declined(code=_decline_code(fault), alarm=alarm, trail=trail)


_WHAT_TO_DO: Final = {
    401: ": Stripe does not accept this key; is it whole, and not rolled or revoked?",
    403: ": the key may not do this, or the account is not connected to it",
}


def unread_of(fault: Fault) -> Unread:
    """What a failed read means: nothing was seen; `alarm` where only a person can mend it."""
    if fault.spoken:
        return Unread(why=f"{fault}{_WHAT_TO_DO.get(fault.status, '')}", alarm=_mended_by_a_person(fault))
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
