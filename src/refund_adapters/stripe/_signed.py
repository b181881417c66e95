"""Stripe's signature scheme v1, with the standard library: `t=seconds,v1=hex`, an HMAC-SHA256 of `t.body`.

The norm is docs/explanation/stripe-facts.md, "Webhooks". Stricter than stripe-python, never laxer: whatever passes
here passes there.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from refund_adapters.stripe._refused import WebhookCode, WebhookRefused

HEADER: Final = "stripe-signature"
HEADER_LIMIT: Final = 4_096
"""Characters; Stripe's own is below 200, and each secret that still rolls adds 68."""

_TIME = re.compile(r"0|[1-9][0-9]{0,11}", re.ASCII)  # no other spelling: what is signed is the number as it stands
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


@attrs.frozen(kw_only=True)
class Signature:
    """What the header says: the second it was signed, and one signature for each secret that Stripe still uses."""

    at: int
    candidates: tuple[str, ...]

    def fits(self, keys: Iterable[hmac.HMAC], body: bytes) -> bool:
        """Whether a candidate is what a key gives for this body. All are compared, each in constant time."""
        found = False
        for key in keys:
            mac = key.copy()
            mac.update(b"%d." % self.at)
            mac.update(body)
            wanted = mac.hexdigest()
            for candidate in self.candidates:
                found |= hmac.compare_digest(wanted, candidate)
        return found


def signature_in(headers: Mapping[str, str]) -> Signature | WebhookRefused:
    """The signature among these headers, whatever their case. A v1 of another form is no candidate."""
    given: Iterable[tuple[object, object]] = headers.items()  # what came is not what the annotation hopes for
    values = [value for name, value in given if isinstance(name, str) and name.lower() == HEADER]
    if not values or values == [""]:
        return WebhookRefused(code=WebhookCode.UNSIGNED)
    malformed = WebhookRefused(code=WebhookCode.MALFORMED_SIGNATURE)
    value = values[0]
    if len(values) > 1 or not isinstance(value, str) or len(value) > HEADER_LIMIT or not value.isascii():
        return malformed
    parts = [part.partition("=") for part in value.split(",")]
    times = [text for name, _, text in parts if name == "t"]
    candidates = tuple(text for name, _, text in parts if name == "v1" and _HEX.fullmatch(text))
    if not all(equals for _, equals, _ in parts) or not candidates:
        return malformed
    if len(times) != 1 or not _TIME.fullmatch(times[0]):
        return malformed
    return Signature(at=int(times[0]), candidates=candidates)
