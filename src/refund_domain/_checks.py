"""Checks shared by every value: plain functions that raise a clear TypeError or ValueError.

A message names the field and what was expected. It never repeats the value that was given: a value that
is wrong may be a secret or a client's data that landed in the wrong field.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Final, TypeGuard

ID_LIMIT: Final = 255  # the gateway's own limit for a key (Stripe facts: creating a refund, trap 9)
TEXT_LIMIT: Final = 500
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:\-]{0,254}", re.ASCII)


def is_id(value: object) -> TypeGuard[str]:
    """Whether `check_id` lets this pass."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def check_id(value: object, name: str) -> None:
    """Refuse what cannot safely stand in a URL, a header, a database key and a log line at once."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    if not is_id(value):
        raise ValueError(
            f"{name} must be 1 to {ID_LIMIT} letters, digits or _ . : - and begin with a letter or digit"
        )


JOINERS: Final = "\u200c\u200d"
"""Zero-width non-joiner and joiner: Persian and many emoji are written with them. Neither steers a terminal nor
turns the writing round, as other characters without a width do."""


def check_text(value: object, name: str, limit: int = TEXT_LIMIT, *, also: str = "") -> None:
    """Refuse what is not a non-empty text of at most `limit` printable characters (or line breaks, or of `also`).

    Of a character that may not stand there the message tells the number.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    if not value.strip():
        raise ValueError(f"{name} must not be empty")
    if len(value) > limit:
        raise ValueError(f"{name} must be at most {limit} characters long")
    if value.isprintable():
        return
    for each in value:
        if not (each.isprintable() or each in "\n\r\t" or each in also):
            raise ValueError(f"{name} must hold printable characters only, not U+{ord(each):04X}")


def one_line(text: str) -> str:
    """A host's text for a screen: on one line, and without what steers a terminal or turns the writing round.

    >>> one_line("booking\\t1042\\n\\x1b[31m")
    'booking 1042 [31m'
    """
    if not text.isprintable():
        text = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(text.split())


def check_time(value: object, name: str) -> None:
    """Refuse anything but an aware datetime: a naive one means a different moment on every machine."""
    if not isinstance(value, datetime):
        raise TypeError(f"{name} must be a datetime, not {type(value).__name__}")
    if value.utcoffset() is None:
        raise ValueError(f"{name} must be timezone-aware, e.g. datetime.now(timezone.utc)")


def check_date(value: object, name: str) -> None:
    """Refuse (TypeError) what is no date, and a datetime: whose midnight it means depends on a time zone."""
    if not isinstance(value, date) or isinstance(value, datetime):
        raise TypeError(f"{name} must be a date without a time, not {type(value).__name__}")


def check_type(value: object, expected: type | tuple[type, ...], name: str) -> None:
    """Refuse a value of another class."""
    if not isinstance(value, expected):
        kinds = expected if isinstance(expected, tuple) else (expected,)
        wanted = " or ".join(kind.__name__ for kind in kinds)
        made = next((f": {_MADE[kind.__name__]}" for kind in kinds if kind.__name__ in _MADE), "")
        raise TypeError(f"{name} must be {wanted}, not {type(value).__name__}{made}")


_MADE: Final = {
    "Actor": "Actor(id=…, tenant=…)",
    "ApproveRefund": "ApproveRefund(payment=…, refund_id=refund.id, amount=refund.amount, by=…)",
    "IssueBooking": "quote.verified(by=…), the quote being of `quote_booking`",
    "IssueRefund": "quote.verified(by=…)",
    "Money": 'Money.parse("200.00", "USD")',
    "PaymentRef": "PaymentRef.parse(text)",
}
"""By class: how one is made, for whoever gave something else."""


def check_tuple(value: object, of: type | tuple[type, ...], name: str) -> None:
    """Refuse what is not a tuple (values must be hashable) or holds a member of another class."""
    if not isinstance(value, tuple):
        raise TypeError(f"{name} must be a tuple, not {type(value).__name__}")
    for member in value:
        check_type(member, of, f"each of {name}")


def check_count(value: object, name: str, least: int = 0, most: int = 10**6) -> None:
    """Refuse what is not a plain int (a bool is none) between `least` and `most`."""
    if type(value) is not int:
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}")


SPAN_LIMIT: Final = timedelta(days=3650)


def check_span(value: object, name: str, least: timedelta = timedelta(0)) -> None:
    """Refuse what is not a timedelta from `least` to ten years: sums of spans must stay dates."""
    if not isinstance(value, timedelta):
        raise TypeError(f"{name} must be a timedelta, not {type(value).__name__}")
    if not least <= value <= SPAN_LIMIT:
        raise ValueError(f"{name} must be from {least} to {SPAN_LIMIT}")
