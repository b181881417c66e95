"""Webhooks of Stripe's: bytes and headers in, one verified `Signal` or one `WebhookRefused` out.

Standard library only; stripe is not imported. A webhook is a hint where to look and nothing more: no amount and no
status in it is believed. The library is right without any; with them it is right sooner. The norm is
docs/explanation/stripe-facts.md, "Webhooks", and docs/how-to/webhooks.md shows a whole endpoint.

    body ─ size ─ header ─ signature ─ age ─ strict JSON ─ event ─ mode ─ account ─ Signal
             └───────┴─────────┴────────┴─────────┴─────────┴───────┴───────┴──── WebhookRefused
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable, Collection, Mapping
from inspect import iscoroutinefunction
from typing import Final, NoReturn

from refund_adapters.stripe._events import KINDS, Kind, Where, json_in, signal_of
from refund_adapters.stripe._refused import WEBHOOK_REFUSALS, WebhookCode, WebhookRefused
from refund_adapters.stripe._signed import signature_in
from refund_domain._checks import check_count, check_type
from refund_domain.payments import PLATFORM, PaymentRef
from refund_domain.signals import Signal

__all__ = [
    "KINDS",
    "LARGEST_BODY",
    "LONGEST_SPAN_S",
    "WEBHOOK_REFUSALS",
    "Kind",
    "StripeWebhooks",
    "WebhookCode",
    "WebhookRefused",
    "Where",
]

LONGEST_SPAN_S: Final = 3_600
"""The most that `max_age_s` and `max_ahead_s` may be: an hour."""

LARGEST_BODY: Final = 16 * 1024 * 1024
"""The most that `max_bytes` may be."""

_SECRETS_MOST: Final = 8
_SECRET = re.compile(r"whsec_[A-Za-z0-9+/=_\-]{16,250}", re.ASCII)


class StripeWebhooks:
    """One webhook endpoint: verifies what arrives there. Safe to share between threads; it stores nothing.

    `secrets` are the endpoint's signing secrets (whsec_…), several while one rolls. `live` says which mode's
    events it takes. `accounts` says of whom it may speak: ids of connected accounts, PLATFORM for the platform's
    own events, or a function that is asked with either and answers True. An endpoint of your own account keeps
    the default; a Connect endpoint names its accounts. The function is called for signed events only, must be
    quick and must ask no network; where it raises, Stripe is to deliver the event again (`accounts_broke`).

    `max_age_s` and `max_ahead_s` bound how long ago and how far ahead, by `clock` (seconds since 1970), a
    delivery may have been signed: more than 0, at most `LONGEST_SPAN_S`; neither can be switched off. `max_bytes`
    bounds the body, from 1,024 to `LARGEST_BODY`.

    Raises TypeError or ValueError for odd arguments, never repeating a secret. Holds no secret in the clear, and
    is neither pickled nor copied.

    >>> hooks = StripeWebhooks("whsec_example_0123456789", live=False)
    >>> str(hooks.read(b"{}", {}).code)
    'unsigned'
    """

    def __init__(
        self,
        *secrets: str,
        live: bool,
        accounts: Collection[str] | Callable[[str], bool] = (PLATFORM,),
        max_age_s: float = 300,
        max_ahead_s: float = 300,
        max_bytes: int = 1024 * 1024,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_type(live, bool, "live")
        _check_span(max_age_s, "max_age_s")
        _check_span(max_ahead_s, "max_ahead_s")
        check_count(max_bytes, "max_bytes", 1024, LARGEST_BODY)
        if not callable(clock):
            raise TypeError("clock must be callable, giving seconds since 1970 as time.time does")
        # Keyed MACs instead of secrets: none can be read out of a dump of this object.
        self._keys = tuple(hmac.new(key, digestmod="sha256") for key in _checked(secrets))
        self._live = live
        self._permitted = _asked(accounts) if callable(accounts) else _frozen(accounts)
        self._max_age_s, self._max_ahead_s, self._max_bytes = max_age_s, max_ahead_s, max_bytes
        self._clock = clock

    @property
    def live(self) -> bool:
        """Whether it takes events of the live mode, or of the test mode."""
        return self._live

    def __repr__(self) -> str:
        return f"StripeWebhooks(live={self._live})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("StripeWebhooks holds signing secrets and is never pickled or copied; make a new one")

    def read(self, body: bytes, headers: Mapping[str, str]) -> Signal | WebhookRefused:
        """The verified signal, or why there is none. No network, nothing stored, nothing of the body kept.

        `body` is the request's, byte for byte, before any parsing; `headers` the request's own, whatever their
        case (a framework's header object that is no Mapping: `dict(request.headers)`). Whatever was sent, one of
        the two comes back. An event that is none of `KINDS`, or whose object is not what its name says, is a
        signal of `Subject.OTHER`: answer 200, there is nothing to look at. Raises TypeError where `body` is no
        bytes or `headers` no Mapping, which is a mistake in the code that calls.
        """
        check_type(body, bytes, "body, the request's own before any parsing (Django: request.body),")
        check_type(headers, Mapping, "headers")
        if len(body) > self._max_bytes:
            return WebhookRefused(code=WebhookCode.TOO_LARGE)
        signature = signature_in(headers)
        if isinstance(signature, WebhookRefused):
            return signature
        if not signature.fits(self._keys, body):
            return WebhookRefused(code=WebhookCode.WRONG_SIGNATURE)
        age_s = self._clock() - signature.at
        if not age_s <= self._max_age_s:  # so said that a clock which gives no number refuses
            return WebhookRefused(code=WebhookCode.TOO_OLD)
        if not -age_s <= self._max_ahead_s:
            return WebhookRefused(code=WebhookCode.IN_FUTURE)
        event = json_in(body)
        if isinstance(event, WebhookRefused):
            return event
        try:
            return signal_of(event, live=self._live, permits=self._permits)
        except _AccountsBroke:
            return WebhookRefused(code=WebhookCode.ACCOUNTS_BROKE)

    def _permits(self, account: str) -> bool:
        """Whether this endpoint may speak of that account; only a plain True counts."""
        if not callable(self._permitted):
            return account in self._permitted
        try:
            return self._permitted(account) is True
        except Exception:
            pass
        raise _AccountsBroke  # outside the handler: what the host's function raised may hold what it looked up


class _AccountsBroke(Exception):
    """Whether the account is permitted could not be told, so the event may be one that is missed."""


def _checked(secrets: tuple[str, ...]) -> list[bytes]:
    """The secrets as keys, each once."""
    if not 1 <= len(secrets) <= _SECRETS_MOST:
        raise ValueError(f"give the endpoint's signing secret, or up to {_SECRETS_MOST} while they roll")
    for secret in secrets:
        if not isinstance(secret, str):
            raise TypeError(
                f"a signing secret must be a str, not {type(secret).__name__}: is the environment variable set?"
            )
        if not _SECRET.fullmatch(secret):
            raise ValueError(
                "a signing secret reads whsec_… with at least 16 characters after that, without spaces or line "
                "breaks; what was given is not shown here"
            )
    return [secret.encode("ascii") for secret in dict.fromkeys(secrets)]


def _asked(permits: Callable[[str], bool]) -> Callable[[str], bool]:
    """The function as it is; one that must be awaited would never answer True."""
    if iscoroutinefunction(permits):
        raise TypeError("accounts must answer at once: a coroutine function permits nothing; name the ids instead")
    return permits


def _frozen(accounts: Collection[str]) -> frozenset[str]:
    """The accounts as they stand now, checked."""
    if isinstance(accounts, str) or not isinstance(accounts, Collection):
        raise TypeError("accounts must be a collection of account ids, or a function from an account id to a bool")
    for account in accounts:
        PaymentRef(account, "any")  # the check that every account of this library passes
    if not accounts:
        raise ValueError("accounts must name at least one, or the endpoint would refuse everything")
    return frozenset(accounts)


def _check_span(value: object, name: str) -> None:
    if type(value) not in (int, float):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not 0 < float(value) <= LONGEST_SPAN_S:  # type: ignore[arg-type]
        raise ValueError(f"{name} must be more than 0 and at most {LONGEST_SPAN_S} seconds")
