"""What a webhook endpoint may say, and a host behind one: the judges of the fuzzing, gate and campaign alike."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping

from refund_adapters.stripe.webhooks import StripeWebhooks, WebhookCode, WebhookRefused
from refund_domain.errors import RefundError
from refund_domain.payments import PLATFORM, PaymentRef
from refund_domain.signals import Signal
from tests.adapters.signed import endpoint
from tests.domain.worlds import Kind, World


def once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object as it was read; a key that stands twice is a failure of the test."""
    assert len({key for key, _ in pairs}) == len(pairs)
    return dict(pairs)


def checked(result: object, hooks: StripeWebhooks, body: bytes) -> Signal | WebhookRefused:
    """The result, which is one of the two and keeps what each promises."""
    if isinstance(result, WebhookRefused):
        assert result.code in WebhookCode
        assert result.http_status in (200, 400, 413)
        return result
    assert isinstance(result, Signal)
    event = json.loads(body, object_pairs_hook=once_each)
    assert (result.id, result.kind) == (event["id"], event["type"])
    assert event["livemode"] is hooks.live
    assert result.account in (PLATFORM, "acct_1")
    if result.account == PLATFORM:
        assert event.get("account") is None
        assert event.get("context") is None
    assert result.ref is None or result.ref == PaymentRef(result.account, str(result.charge))
    assert result.charge is None or f'"{result.charge}"'.encode() in body
    return result


class Host:
    """A host with one payment that was refunded, one that was only quoted, and its webhook endpoint."""

    def __init__(self, form: Kind) -> None:
        self.world = World(form)
        self.refunded, self.quoted = self.world.pay(), self.world.pay()
        self.world.refunds.issue(self.world.decision(self.refunded))
        self.world.decision(self.quoted)
        self.hooks = endpoint(accounts={PLATFORM, "acct_1"})
        self.rng = random.Random(7)

    def kept(self) -> object:
        """All that a delivery could change: what the journal holds, what the bank has received."""
        refs = (self.refunded, self.quoted)
        return [self.world.events(ref) for ref in refs], self.world.bank.received, len(self.world.wire.calls)

    def delivered(self, body: bytes, headers: Mapping[str, str]) -> object:
        """What a host does with a delivery; a documented error is handed back."""
        result = self.hooks.read(body, headers)
        if isinstance(result, WebhookRefused):
            return result
        try:
            return self.world.refunds.receive(result)
        except RefundError as error:
            return error

    def aimed(self, body: bytes) -> bytes:
        """The same body, about one of this host's payments."""
        charge = self.rng.choice([self.refunded, self.quoted]).charge
        return re.sub(rb'"ch_1"', f'"{charge}"'.encode(), body)
