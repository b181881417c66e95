"""What the bank tells, as Stripe's events: signed, and delivered when and how often and in what order a test says.

An event shows its object as it was when the thing happened, whenever it is delivered. Snapshot events follow the
endpoint's API version; thin ones name the object and no more (Stripe facts, "Webhooks").
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import attrs

from refund_adapters.memory import MemoryBank, News
from refund_domain.payments import PLATFORM
from tests.stripe_double.objects import Json, View, stamp

ALSO: Final = {"refund.updated": "charge.refund.updated", "refund.failed": "charge.refund.updated"}
"""One fact, two events: the deprecated name is still told beside the new one."""

_ADDRESSES: Final = {
    "refund": "/v1/refunds/",
    "charge": "/v1/charges/",
    "dispute": "/v1/disputes/",
    "payout": "/v1/payouts/",
    "transfer": "/v1/transfers/",
    "application_fee": "/v1/application_fees/",
}

Receiver = Callable[[bytes, Mapping[str, str]], object]
"""Takes body and headers, as a host's endpoint would."""


@attrs.frozen(kw_only=True)
class Cause:
    """The API request that made something happen; none where it happened by itself."""

    request_id: str | None = None
    key: str | None = None


@attrs.frozen(kw_only=True)
class Event:
    """One event to deliver: the very bytes are the same every time."""

    id: str
    type: str
    account: str
    body: bytes = attrs.field(repr=False)


class Webhooks:
    """One webhook endpoint of the double's: made by `StripeDouble.webhooks`.

    Events wait in `waiting` until `deliver` or `send` takes them to a callable or an address. `secret` signs;
    deliveries are signed at the bank's time unless told otherwise.
    """

    def __init__(self, secret: str, bank: MemoryBank, *, version: str, thin: bool, live: bool) -> None:
        self._secret, self._bank = secret, bank
        self.version, self.thin, self.live = version, thin, live
        self._waiting: list[Event] = []
        self._lock = threading.Lock()
        self._number = 0

    @property
    def waiting(self) -> tuple[Event, ...]:
        """What has not been delivered, in the order in which it happened."""
        with self._lock:
            return tuple(self._waiting)

    def take(self) -> tuple[Event, ...]:
        """Take all that waits away, to be sent by hand or lost."""
        with self._lock:
            taken, self._waiting = tuple(self._waiting), []
        return taken

    def deliver(
        self, to: Receiver | str, *, order: Iterable[int] | None = None, at: datetime | None = None
    ) -> tuple[object, ...]:
        """Deliver what waits, in order of happening; what the receiver returned, each.

        `order` gives the places to deliver instead: (1, 0, 0) is the second, then the first twice. A place left
        out is lost.
        """
        events = self.take()
        places = range(len(events)) if order is None else order
        return tuple(self.send(events[place], to, at=at) for place in places)

    def send(
        self, event: Event, to: Receiver | str, *, at: datetime | None = None, secrets: tuple[str, ...] = ()
    ) -> object:
        """Deliver this event once, now or `at` another time by its signature; as often as you like.

        `secrets`: sign with these instead, all of them, as Stripe does while a secret is rolled.
        """
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": self.signature(event.body, at=at, secrets=secrets),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        if not isinstance(to, str):
            return to(event.body, headers)
        request = urllib.request.Request(to, data=event.body, headers=headers, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status

    def signature(self, body: bytes, *, at: datetime | None = None, secrets: tuple[str, ...] = ()) -> str:
        """The value of Stripe-Signature for this body."""
        when = stamp(self._bank.tick() if at is None else at)
        signed = f"{when}.".encode() + body
        marks = [hmac.new(s.encode(), signed, hashlib.sha256).hexdigest() for s in secrets or (self._secret,)]
        return ",".join([f"t={when}", *(f"v1={mark}" for mark in marks)])

    def note(self, view: View, news: News, cause: Cause) -> None:
        """The double tells what has just happened; under the bank's lock."""
        shown = view.by_id(news.object_id)
        if shown is None:
            return
        make = self._thin if self.thin else self._snapshot
        for kind in filter(None, (news.type, ALSO.get(news.type))):
            self._number += 1
            body = json.dumps(make(kind, news, shown, cause)).encode()
            event = Event(id=f"evt_{self._number}", type=kind, account=news.account, body=body)
            with self._lock:
                self._waiting.append(event)

    def _snapshot(self, kind: str, news: News, shown: Json, cause: Cause) -> Json:
        connected = {} if news.account == PLATFORM else {"account": news.account}
        return {
            "id": f"evt_{self._number}",
            "object": "event",
            **connected,
            "api_version": self.version,
            "created": stamp(news.at),
            "data": {"object": shown, **({"previous_attributes": {}} if kind.endswith("updated") else {})},
            "livemode": self.live,
            "pending_webhooks": 1,
            "request": {"id": cause.request_id, "idempotency_key": cause.key},
            "type": kind,
        }

    def _thin(self, kind: str, news: News, shown: Json, cause: Cause) -> Json:
        address = f"{_ADDRESSES[shown['object']]}{news.object_id}"
        asked = {"id": cause.request_id, "idempotency_key": cause.key or ""}
        return {
            "id": f"evt_{self._number}",
            "object": "v2.core.event",
            "type": f"v1.{kind}",
            "created": news.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "livemode": self.live,
            "context": None if news.account == PLATFORM else news.account,
            "reason": None if cause.request_id is None else {"type": "request", "request": asked},
            "related_object": {"id": news.object_id, "type": shown["object"], "url": address},
        }
