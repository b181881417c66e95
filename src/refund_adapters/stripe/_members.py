"""Readers of single members of Stripe's JSON: each gives a checked value, or says that there is none.

What is absent is tolerated where Stripe leaves keys out; what must be there and is odd raises `Unclear`, so that
it decides nothing. Words of Stripe's that travel on (a code, a status) must look like words; anything else is
dropped, because a body that is not Stripe's may hold anything at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime

from refund_domain._checks import is_id
from refund_domain.money import Currency, Money

JsonObject = Mapping[str, object]
"""A JSON object as it was read; nothing about its members is known yet."""

_WORD = re.compile(r"[a-z][a-z0-9_]{0,59}", re.ASCII)
_NUMBER = re.compile(r"[A-Za-z0-9_\-]{1,100}", re.ASCII)  # a request id, a bank's reference


class Unclear(Exception):
    """What was read is odd or contradicts itself, so it decides nothing. The text says what was expected."""


def object_in(value: object) -> JsonObject:
    """This value if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def word(value: object) -> str | None:
    """A word of Stripe's: lower case, digits and underscores."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def number(value: object) -> str | None:
    """A request id or a bank's reference."""
    return value if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def as_id(value: object) -> str | None:
    """An id that may stand in an address, a header and a log."""
    return value if is_id(value) else None


def id_of(link: object) -> str | None:
    """The id behind a link, which is an id or an expanded object; None for anything else."""
    return as_id(link.get("id") if isinstance(link, Mapping) else link)


def id_in(holder: JsonObject, name: str) -> str:
    """The id that must stand there."""
    value = as_id(holder.get(name))
    if value is None:
        raise Unclear(f"{name} is no id")
    return value


def text(holder: JsonObject, name: str) -> str:
    """The text that must stand there."""
    value = holder.get(name)
    if not isinstance(value, str):
        raise Unclear(f"{name} is no text")
    return value


def whole(holder: JsonObject, name: str) -> int:
    """The whole number, not negative, that must stand there."""
    value = holder.get(name)
    if type(value) is not int or value < 0:
        raise Unclear(f"{name} is no whole number")
    return value


def signed(holder: JsonObject, name: str) -> int:
    """The whole number, of either sign, that must stand there."""
    value = holder.get(name)
    if type(value) is not int:
        raise Unclear(f"{name} is no whole number")
    return value


def money(amount_minor: int, currency: Currency) -> Money:
    """This amount; beyond the library's limit it is no payment's."""
    try:
        return Money(amount_minor, currency)
    except ValueError:
        raise Unclear("an amount is beyond all payments") from None


def currency_in(holder: JsonObject) -> Currency:
    """The currency that must stand there."""
    try:
        return Currency.of(text(holder, "currency"))
    except ValueError:
        raise Unclear("the currency is no currency") from None


def time_in(holder: JsonObject, name: str) -> datetime:
    """The moment, in seconds since 1970, that must stand there."""
    try:
        return datetime.fromtimestamp(whole(holder, name), UTC)
    except (ValueError, OverflowError, OSError):
        raise Unclear(f"{name} is no time") from None


def day(value: object) -> date | None:
    """A date, if it is one."""
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
