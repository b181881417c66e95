"""Why a webhook is refused: the codes, each with an HTTP status and a sentence, and the value that carries one."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

import attrs

from refund_domain._checks import check_type


class WebhookCode(StrEnum):
    """Why a request is no signal; `WEBHOOK_REFUSALS` has a status and a sentence for each."""

    TOO_LARGE = "too_large"
    UNSIGNED = "unsigned"
    MALFORMED_SIGNATURE = "malformed_signature"
    WRONG_SIGNATURE = "wrong_signature"
    TOO_OLD = "too_old"
    IN_FUTURE = "in_future"
    NOT_JSON = "not_json"
    NOT_AN_EVENT = "not_an_event"
    OTHER_MODE = "other_mode"
    OTHER_ACCOUNT = "other_account"
    ACCOUNTS_BROKE = "accounts_broke"


class Words(NamedTuple):
    """What to answer, and what to say of it to whoever runs the endpoint."""

    http_status: int
    says: str


WEBHOOK_REFUSALS: Final[dict[WebhookCode, Words]] = {
    WebhookCode.TOO_LARGE: Words(
        413,
        "The body is larger than max_bytes and was not looked at. If events of Stripe's are refused so, give a "
        "larger max_bytes.",
    ),
    WebhookCode.UNSIGNED: Words(
        400,
        "There is no Stripe-Signature header. Either this does not come from Stripe, or something in between "
        "dropped the header; pass the request's own headers on (Django: request.headers, not request.META).",
    ),
    WebhookCode.MALFORMED_SIGNATURE: Words(
        400,
        "The Stripe-Signature header is not in Stripe's form, t=seconds,v1=hex: one time, and at least one v1. "
        "Pass it on as it came, one header and a str.",
    ),
    WebhookCode.WRONG_SIGNATURE: Words(
        400,
        "No signature matches a secret. Check that the secret (whsec_…) is this endpoint's own, and pass the body "
        "on byte for byte, before any framework has parsed it. Otherwise somebody is guessing.",
    ),
    WebhookCode.TOO_OLD: Words(
        400,
        "It was signed longer ago than max_age_s: recorded and sent again, or held up on its way, or this "
        "machine's clock is ahead. Check the clock first.",
    ),
    WebhookCode.IN_FUTURE: Words(
        400, "It was signed further in the future than max_ahead_s: this machine's clock is behind; set it."
    ),
    WebhookCode.NOT_JSON: Words(
        400,
        "It is signed, but no strict JSON object: UTF-8, no key twice, no NaN, no giant number, no deep nesting. "
        "Stripe sends none like it; look for who else holds the secret.",
    ),
    WebhookCode.NOT_AN_EVENT: Words(
        400,
        "It is signed, but neither a snapshot event nor a thin one: object, id, type and livemode must be as "
        "Stripe writes them. Look at what else is signed with this secret.",
    ),
    WebhookCode.OTHER_MODE: Words(
        200,
        "It is signed, and of the other mode, live or test, than this endpoint was told. A live Connect endpoint "
        "is sent test events too, by Stripe's design; anywhere else give each mode an endpoint of its own.",
    ),
    WebhookCode.OTHER_ACCOUNT: Words(
        200,
        "It is signed, and of an account that this endpoint may not speak of. A Connect endpoint hears of all "
        "connected accounts; name those that are yours in accounts.",
    ),
    WebhookCode.ACCOUNTS_BROKE: Words(
        503,
        "It is signed, but the function given as accounts raised, so nobody knows whether the event is for this "
        "endpoint. Stripe delivers it again; mend that function, and let it ask nothing that can fail.",
    ),
}
"""The status and the sentence of each code."""


@attrs.frozen(kw_only=True)
class WebhookRefused:
    """This request is no signal, and nothing was done: answer `http_status`, and log `code` and `str(...)`.

    It holds nothing of what was sent, so it may be logged and shown.

    >>> no = WebhookRefused(code=WebhookCode.TOO_LARGE)
    >>> no.http_status, no.code == "too_large", str(no)[:36]
    (413, True, 'The body is larger than max_bytes an')
    """

    code: WebhookCode

    def __attrs_post_init__(self) -> None:
        check_type(self.code, WebhookCode, "code")

    @property
    def http_status(self) -> int:
        """What to answer: 413 for what is too large, 400 for what is not Stripe's or cannot be read.

        And 200 for what Stripe rightly signed and is not for us: sending it again would help nobody, and Stripe
        gives up on an endpoint that goes on failing. 503 where that could not be told, so that it comes again.
        """
        return WEBHOOK_REFUSALS[self.code].http_status

    def __str__(self) -> str:
        return WEBHOOK_REFUSALS[self.code].says
