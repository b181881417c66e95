"""Values that stand as one JSON value: texts, numbers, times, currencies. What `codec` builds events from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final

import attrs

from refund_domain.errors import UnknownEvent
from refund_domain.money import Currency


@attrs.frozen
class Shape:
    """How a declared type stands in JSON. `write` raises TypeError or ValueError, `read` UnknownEvent."""

    write: Callable[[object], object]
    read: Callable[[object], object]


def is_unicode(text: str) -> bool:
    """Whether this text can be stored: half of a surrogate pair cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:  # holds the text, which no error may show
        return False
    return True


def wrong(expected: str, value: object) -> TypeError:
    """The error of a writer that met a value of another type; it names the type and never the value."""
    return TypeError(f"expected {expected}, not {type(value).__name__}")


def _write_text(value: object) -> object:
    if not isinstance(value, str):
        raise wrong("str", value)
    return value


def _read_text(raw: object) -> object:
    if type(raw) is not str or not is_unicode(raw):
        raise UnknownEvent("a text was expected")
    return raw


def _exactly(kind: type, in_words: str) -> Shape:
    """A type that JSON has too. Compared by class, for True is an int to isinstance."""

    def write(value: object) -> object:
        if type(value) is not kind:
            raise wrong(kind.__name__, value)
        return value

    def read(raw: object) -> object:
        if type(raw) is not kind:
            raise UnknownEvent(f"{in_words} was expected")
        return raw

    return Shape(write, read)


def _write_time(value: object) -> object:
    if not isinstance(value, datetime):
        raise wrong("datetime", value)
    if value.utcoffset() is None:
        raise ValueError("a time must be timezone-aware, e.g. datetime.now(timezone.utc)")
    try:
        utc = value.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time must lie in the years 1 to 9999 of UTC") from None
    return utc.isoformat()[:-6] + "Z"


def _read_time(raw: object) -> object:
    if type(raw) is str:
        try:
            time = datetime.fromisoformat(raw)
        except ValueError:
            pass
        else:
            if time.isoformat()[:-6] + "Z" == raw:  # in UTC, and in one spelling only
                return time
    raise UnknownEvent("a time in UTC was expected")


def _write_date(value: object) -> object:
    if type(value) is not date:
        raise wrong("date", value)
    return value.isoformat()


def _read_date(raw: object) -> object:
    if type(raw) is str:
        try:
            day = date.fromisoformat(raw)
        except ValueError:
            pass
        else:
            if day.isoformat() == raw:
                return day
    raise UnknownEvent("a date was expected")


def _write_currency(value: object) -> object:
    if type(value) is not Currency:
        raise wrong("Currency", value)
    if value is not Currency.of(value.code) and value != Currency.of(value.code):
        raise ValueError("a currency must be the library's own: make it with Currency.of")
    return value.code


def _read_currency(raw: object) -> object:
    if type(raw) is str and len(raw) == 3 and raw.isascii() and raw.isalpha() and raw.isupper():
        return Currency.of(raw)
    raise UnknownEvent("a currency code was expected")


PLAIN: Final[dict[object, Shape]] = {
    str: Shape(_write_text, _read_text),
    int: _exactly(int, "a whole number"),
    bool: _exactly(bool, "true or false"),
    datetime: Shape(_write_time, _read_time),
    date: Shape(_write_date, _read_date),
    Currency: Shape(_write_currency, _read_currency),
}
"""The shape of each such type."""
