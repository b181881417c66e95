"""What stands between stripe-python and the HTTP client that does its work, whichever that is: one `Guard` each.

It lets an answer through only if it is Stripe's, only the members this library reads, and without anything that
would raise behind the request. Beside the clients the one module that imports stripe, when a gateway is made.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Final

import stripe

from refund_adapters.stripe._faults import Fault, fault_of, is_stripes_error
from refund_adapters.stripe._members import as_id
from refund_adapters.stripe._steps import Failed
from refund_adapters.stripe._translate import MARK

_log = logging.getLogger("refund_adapters.stripe")

READ: Final = frozenset(
    "object id data has_more livemode created currency status amount amount_captured amount_refunded "
    "amount_reversed captured disputed dispute charge reason pending_reason failure_reason "
    "destination_details card type reference payment_method_details us_bank_account "
    "expected_debit_date source balance_transaction reporting_category fee application_fee transfer transfer_data "
    "transfer_group source_transaction source_transfer latest_charge payment_intent payment_status "
    "application_fee_amount fee_details automatic arrival_date reconciliation_status failure_code source_type "
    "available pending refund_and_dispute_prefunding error code message_code param".split()
)
"""The members this library reads, wherever they stand. All others (names, addresses, e-mails, the last digits of a
card, the host's own metadata) end here: they reach no log of stripe-python's, no error and no value of ours."""


_FREE: Final = "transfer_group"  # the host's own text, asked for again as it stands
_KEY: Final = r"(?:[sr]k_(?:live|test)|whsec)_"
_PLAIN: Final = re.compile(rf"(?!.*{_KEY})[A-Za-z0-9_.:\-]{{1,255}}", re.ASCII)
"""What a text among those members looks like: an id, a word, a date. Anything else is read as null, and so is what
holds a key of Stripe's, which a stranger in between may repeat from what it was sent."""
KEYS: Final = re.compile(rf"{_KEY}\S*")
"""A key of Stripe's, wherever in a text it stands."""


class NotStripe(Exception):
    """An HTTP answer came that is not JSON of Stripe's: no object on success, no error object of its own else."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Guard(stripe.HTTPClient):
    """stripe-python's HTTP client for both forms of the gateway: `inner` does the work, one request a call."""

    def __init__(self, inner: stripe.HTTPClient) -> None:
        super().__init__()
        self._inner = inner
        self.name = inner.name  # type: ignore[misc]  # told to Stripe as the library in use

    def request(  # type: ignore[override]  # as stripe-python's own clients: the answer is bytes
        self, method: str, url: str, headers: Mapping[str, str], post_data: object = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        content, status, answered = self._inner.request(method, url, headers, post_data)
        return self.let_through(content, status, answered)

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: object = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        content, status, answered = await self._inner.request_async(method, url, headers, post_data)
        return self.let_through(content, status, answered)

    def let_through(
        self, content: bytes | str, status: int, headers: Mapping[str, str]
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """The answer as stripe-python may see it, or NotStripe."""
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            raise NotStripe(status) from None
        if not 200 <= status < 300 and not is_stripes_error(body):
            # stripe-python would raise AttributeError for some such bodies, and the status would be lost.
            raise NotStripe(status)
        kept = reduced(body) if isinstance(body, dict) else None
        return json.dumps(kept).encode(), status, kept_headers(headers)


def reduced(body: dict[str, object]) -> dict[str, object]:
    """This JSON object with the members we read and no other; of metadata our mark alone."""
    kept = {name: _reduced(name, value) for name, value in body.items() if name in READ}
    metadata = body.get("metadata")
    if isinstance(metadata, dict) and MARK in metadata:
        kept["metadata"] = {MARK: as_id(metadata[MARK])}  # our own id, whatever it looks like
    return kept


def _reduced(name: str, value: object) -> object:
    match value:
        case dict():
            return reduced(value)
        case list():
            return [_reduced(name, member) for member in value]
        case str():
            return value if name == _FREE or _PLAIN.fullmatch(value) else None
        case _:
            return value


def kept_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Stripe's id of the request, in the form stripe-python reads.

    A Stripe-Notice goes to the log. Where stripe-python hears of one it makes it a warning, which raises after the
    POST where warnings are errors; the calls made here it tells nothing today, and this keeps it so.
    """
    notice, trail = headers.get("Stripe-Notice"), headers.get("Request-Id")
    if notice is not None:
        # It may be a stranger's, who repeats what it was sent.
        _log.warning("Stripe's notice: %s", KEYS.sub("…", "".join(filter(str.isprintable, notice)))[:500])
    return {"request-id": trail} if trail is not None and _PLAIN.fullmatch(trail) else {}


def failed(error: BaseException) -> Failed:
    """What an exception out of a call means: Stripe's own error, an answer that is not Stripe's, or none at all.

    Names of classes only are kept of it, as a message may repeat what was sent.
    """
    inner = error.__cause__
    why = type(error).__name__ if inner is None else f"{type(error).__name__}: {type(inner).__name__}"
    if isinstance(error, NotStripe):
        return Failed(why=why, fault=Fault(status=error.status, spoken=False))
    if isinstance(error, stripe.StripeError) and error.http_status is not None:
        return Failed(why=why, fault=fault_of(error.http_status, error.json_body, error.request_id))
    return Failed(why=why[:200], never_left=never_left(error))


_CONNECTING: Final = frozenset(
    [
        "requests.exceptions.ConnectTimeout",
        "urllib3.exceptions.NewConnectionError",
        "httpx.ConnectError",
        "httpx.ConnectTimeout",
        "aiohttp.client_exceptions.ClientConnectorError",
        "aiohttp.client_exceptions.ConnectionTimeoutError",
    ]
)
"""The exceptions that can only be raised before the first byte of a request, by name: none is imported for it."""


def never_left(error: BaseException) -> bool:
    """Whether it is certain that not one byte of the request left ("Error classification").

    True for a refused connection, a name that does not resolve and a timeout while connecting, and for nothing
    else: a peer that reads the request and hangs up raises a connection error too.
    """
    cause = error.__cause__ if isinstance(error, stripe.APIConnectionError) else error
    # requests wraps urllib3's error in one of its own, as its first argument's reason.
    reason = getattr(cause.args[0], "reason", None) if cause is not None and cause.args else None
    return any(
        f"{kind.__module__}.{kind.__qualname__}" in _CONNECTING
        for found in (cause, reason)
        for kind in type(found).__mro__
    )
