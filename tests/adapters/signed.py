"""Events as Stripe would send them, signed here; and the endpoint that reads them. For the tests of webhooks."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

from refund_adapters.stripe.webhooks import StripeWebhooks
from tests import canaries

SECRET = canaries.WEBHOOK_SECRET
OLDER = "whsec_fedcba9876543210fedcba9876543210"
FOREIGN = "whsec_of_another_endpoint_0123456789"
NOW = 1_767_225_600

CORPUS = {
    path.stem: path.read_bytes() for path in sorted((Path(__file__).parents[1] / "fuzz" / "corpus").glob("*.json"))
}
"""Events of several API versions, by name."""


def endpoint(*secrets: str, **settings: Any) -> StripeWebhooks:
    """An endpoint in test mode whose clock stands at NOW."""
    settings = {"live": False, "clock": lambda: float(NOW), **settings}
    return StripeWebhooks(*(secrets or (SECRET,)), **settings)


def mac(body: bytes, secret: str = SECRET, at: int | str = NOW) -> str:
    """The v1 signature of this body."""
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def signed(body: bytes, *secrets: str, at: int | str = NOW) -> dict[str, str]:
    """The headers of a delivery, signed with each of these secrets."""
    signatures = "".join(f",v1={mac(body, secret, at)}" for secret in secrets or (SECRET,))
    return {"Content-Type": "application/json", "Stripe-Signature": f"t={at}{signatures}"}


def snapshot(type: str = "refund.updated", thing: object = None, **changes: object) -> dict[str, object]:
    """A snapshot event about this object; a change to None leaves the key out."""
    event: dict[str, object] = {
        "id": "evt_1",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": NOW,
        "data": {"object": {"id": "re_1", "object": "refund", "charge": "ch_1"} if thing is None else thing},
        "livemode": False,
        "type": type,
    }
    return {key: value for key, value in {**event, **changes}.items() if value is not None}


def thin(type: str = "v1.refund.updated", related: object = None, **changes: object) -> dict[str, object]:
    """A thin event about this related object."""
    related = {"id": "re_1", "type": "refund", "url": "/v1/refunds/re_1"} if related is None else related
    event: dict[str, object] = {
        "id": "evt_2",
        "object": "v2.core.event",
        "type": type,
        "created": "2026-01-01T00:00:00.000Z",
        "livemode": False,
        "related_object": related,
    }
    return {**event, **changes}


def body_of(event: object) -> bytes:
    """The bytes of an event."""
    return json.dumps(event).encode()
