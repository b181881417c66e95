"""What Stripe answers to the three requests of a refund: a full charge, an empty list of refunds, the refund made.

The bodies are as long and as deep as Stripe's own (pretty-printed, every member a card charge and its refund have
in API 2026-10-28), with the id, amount and mark of the request at hand put in. Nothing is remembered: each charge
that is asked for exists, is paid in full and was never refunded.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final
from urllib.parse import unquote_plus

AMOUNT_MINOR: Final = 20_000
"""What each charge captured, in cents of USD."""

_TRANSACTION: Final[dict[str, Any]] = {
    "id": "txn_3Q8sT2LkdIwHu7ix0pTqYJmA",
    "object": "balance_transaction",
    "amount": AMOUNT_MINOR,
    "available_on": 1772496000,
    "balance_type": "payments",
    "created": 1772101234,
    "currency": "usd",
    "description": "Inspection 4711",
    "exchange_rate": None,
    "fee": 610,
    "fee_details": [
        {
            "amount": 610,
            "application": None,
            "currency": "usd",
            "description": "Stripe processing fees",
            "type": "stripe_fee",
        }
    ],
    "net": 19_390,
    "reporting_category": "charge",
    "source": "CHARGE",
    "status": "available",
    "type": "charge",
}

_ADDRESS: Final = dict.fromkeys(["city", "country", "line1", "line2", "postal_code", "state"])

_CHARGE: Final[dict[str, Any]] = {
    "id": "CHARGE",
    "object": "charge",
    "amount": AMOUNT_MINOR,
    "amount_captured": AMOUNT_MINOR,
    "amount_refunded": 0,
    "application": None,
    "application_fee": None,
    "application_fee_amount": None,
    "balance_transaction": _TRANSACTION,
    "billing_details": {
        "address": {**_ADDRESS, "postal_code": "94107"},
        "email": "client@example.com",
        "name": "Jenny Rosen",
        "phone": None,
        "tax_id": None,
    },
    "calculated_statement_descriptor": "EXAMPLE INSPECTIONS",
    "captured": True,
    "created": 1772101234,
    "currency": "usd",
    "customer": "cus_NffrFeUfNV2Hib",
    "description": "Inspection 4711",
    "disputed": False,
    "failure_balance_transaction": None,
    "failure_code": None,
    "failure_message": None,
    "fraud_details": {},
    "livemode": False,
    "metadata": {"booking": "4711", "office": "north"},
    "on_behalf_of": None,
    "order": None,
    "outcome": {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": "normal",
        "risk_score": 32,
        "seller_message": "Payment complete.",
        "type": "authorized",
    },
    "paid": True,
    "payment_intent": "pi_3Q8sT2LkdIwHu7ix0Yb7D9fC",
    "payment_method": "pm_1Q8sT0LkdIwHu7ixhzT9nKBb",
    "payment_method_details": {
        "card": {
            "amount_authorized": AMOUNT_MINOR,
            "authorization_code": "123456",
            "brand": "visa",
            "checks": {
                "address_line1_check": None,
                "address_postal_code_check": "pass",
                "cvc_check": "pass",
            },
            "country": "US",
            "exp_month": 4,
            "exp_year": 2031,
            "extended_authorization": {"status": "disabled"},
            "fingerprint": "mToisGZ01V71BCos",
            "funding": "credit",
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "last4": "4242",
            "mandate": None,
            "multicapture": {"status": "unavailable"},
            "network": "visa",
            "network_token": {"used": False},
            "network_transaction_id": "976910110049114",
            "overcapture": {"maximum_amount_capturable": AMOUNT_MINOR, "status": "unavailable"},
            "regulated_status": "unregulated",
            "three_d_secure": None,
            "wallet": None,
        },
        "type": "card",
    },
    "presentment_details": None,
    "radar_options": {},
    "receipt_email": "client@example.com",
    "receipt_number": None,
    "receipt_url": "https://pay.stripe.com/receipts/payment/CAcaFwoVYWNjdF8xTTJKVGtMa2RJd0h1N2l4KPXK5rYGMgZ1",
    "refunded": False,
    "review": None,
    "shipping": None,
    "source": None,
    "source_transfer": None,
    "statement_descriptor": None,
    "statement_descriptor_suffix": None,
    "status": "succeeded",
    "transfer_data": None,
    "transfer_group": None,
}

_NO_REFUNDS: Final[dict[str, Any]] = {"object": "list", "data": [], "has_more": False, "url": "/v1/refunds"}

_REFUND: Final[dict[str, Any]] = {
    "id": "re_3Q8sT2LkdIwHu7ix0MARK",
    "object": "refund",
    "amount": AMOUNT_MINOR,
    "balance_transaction": "txn_3Q8sT2LkdIwHu7ix0zW5wBqc",
    "charge": "CHARGE",
    "created": 1772187634,
    "currency": "usd",
    "destination_details": {
        "card": {
            "reference_status": "pending",
            "reference_type": "acquirer_reference_number",
            "type": "refund",
        },
        "type": "card",
    },
    "metadata": {"refund_domain_id": "MARK"},
    "payment_intent": "pi_3Q8sT2LkdIwHu7ix0Yb7D9fC",
    "reason": "requested_by_customer",
    "receipt_number": None,
    "source_transfer_reversal": None,
    "status": "succeeded",
    "transfer_reversal": None,
}

HEADERS: Final = {
    "Server": "nginx",
    "Date": "Fri, 27 Feb 2026 10:20:34 GMT",
    "Content-Type": "application/json",
    "access-control-allow-credentials": "true",
    "access-control-allow-methods": "GET, HEAD, PUT, PATCH, POST, DELETE",
    "access-control-allow-origin": "*",
    "access-control-max-age": "300",
    "Cache-Control": "no-cache, no-store",
    "Content-Security-Policy": "base-uri 'none'; default-src 'none'; form-action 'none'; frame-ancestors 'none'",
    "Request-Id": "req_8JdTrzW3hQnVxP",
    "Stripe-Version": "2026-10-28.endive",
    "Vary": "Origin",
    "X-Stripe-Priority-Routing-Enabled": "true",
    "X-Stripe-Routing-Context-Priority-Tier": "api-testmode",
    "X-Wc": "ABGHIJ",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains; preload",
}
"""The headers of each answer, but for its length."""


def _printed(body: dict[str, Any]) -> bytes:
    return json.dumps(body, indent=2).encode()


CHARGE_BODY: Final = _printed(_CHARGE)
LIST_BODY: Final = _printed(_NO_REFUNDS)
REFUND_BODY: Final = _printed(_REFUND)

_CHARGE_PATH: Final = re.compile(r"/v1/charges/(ch_\w+)")
_CHARGE_SENT: Final = re.compile(r"(?:^|&)charge=(ch_\w+)")
_MARK_SENT: Final = re.compile(r"(?:^|&)metadata\[refund_domain_id\]=(\w+)")


def answer(method: str, target: str, form: str) -> bytes:
    """The body of the answer to this request. `target` is path and query, `form` what was posted.

    Raises ValueError for any other request than the three.

    >>> json.loads(answer("GET", "/v1/charges/ch_1?expand[0]=balance_transaction", ""))["id"]
    'ch_1'
    >>> answer("GET", "/v1/balance", "")
    Traceback (most recent call last):
    ...
    ValueError: no answer to GET /v1/balance
    """
    if method == "GET" and (named := _CHARGE_PATH.match(target)):
        return CHARGE_BODY.replace(b"CHARGE", named[1].encode())
    if method == "GET" and target.startswith("/v1/refunds?"):
        return LIST_BODY
    if method == "POST" and target == "/v1/refunds":
        charge, mark = _CHARGE_SENT.search(form), _MARK_SENT.search(unquote_plus(form))
        if charge and mark and f"amount={AMOUNT_MINOR}" in form:
            return REFUND_BODY.replace(b"CHARGE", charge[1].encode()).replace(b"MARK", mark[1].encode())
    raise ValueError(f"no answer to {method} {target}")
