"""Canaries: a secret, a card number, a client's name … that stand in the inputs of tests and may be nowhere else.

One place for all of them, so that `canary_watch` can look for each in everything a test logs or prints, and
`test_canaries` in everything else that comes out. They look as real ones do and belong to nobody.
"""

from __future__ import annotations

import base64
import pickle
import re
import traceback
from collections.abc import Iterator, Mapping
from typing import Final

KEY: Final = "sk_test_51CanaryKEYx9f3A7q2Zr"
"""The gateway's secret key."""

LIVE_KEY: Final = "sk_live_51CanaryKEYx9f3A7q2Zr"
"""One that would move real money, for what is made and never called."""

WEBHOOK_SECRET: Final = "whsec_CanaryHOOKm4Tq8Wz1Lk6Vb"
"""A webhook endpoint's signing secret."""

CARD: Final = "4000056655665556"
"""A card number (one of Stripe's for tests)."""

EMAIL: Final = "carla.canary@clients.example"
NAME: Final = "Carla Canary"
"""The client's."""

NOTE: Final = "Canary-note: she cried on the phone"
"""What a member of staff wrote beside a decision. The journal alone may hold it."""

TEXT: Final = f"{NAME} <{EMAIL}>, card {CARD}, key {KEY}, secret {WEBHOOK_SECRET}"
"""What a message, a page or a host's exception may say at its worst."""

HTML: Final = f"<html><title>Welcome to the hotel</title>{TEXT}</html>"

PERSONAL: Final[Mapping[str, object]] = {
    "billing_details": {
        "email": EMAIL,
        "name": "Carla-Canary",
        "phone": CARD,
        "address": {"line1": TEXT, "city": NAME},
    },
    "calculated_statement_descriptor": NAME,
    "description": TEXT,
    "fraud_details": {"user_report": TEXT},
    "outcome": {"seller_message": TEXT},
    "receipt_email": EMAIL,
    "receipt_url": f"https://pay.stripe.example/receipts?email={EMAIL}&key={KEY}",
    "shipping": {"name": NAME, "address": {"line1": TEXT}},
    "statement_descriptor": NAME,
    "next_action": {"display_details": {"email_sent": {"email_sent_to": EMAIL}}},
}
"""What Stripe's objects hold of a client, and a little more, under names of Stripe's own."""

OF_HOST: Final[Mapping[str, object]] = {"booking": TEXT, "email": EMAIL, "card": CARD, "key": KEY, NAME: NAME}
"""What a host may have written into an object's metadata."""

_FORMS: Final[Mapping[str, str]] = {
    "a secret key": "51CanaryKEY|" + base64.b64encode(KEY[:21].encode()).decode(),
    "a webhook secret": "CanaryHOOK",
    "a card number": ".?".join(CARD[at : at + 4] for at in range(0, 16, 4)),
    "an e-mail address": r"carla\.canary",
    "a client's name": "Carla.{1,6}Canary",
    "a note": "Canary-note",
}
"""How each is known again, in an address, a repr, a JSON text or a pickle as well."""

_ANY: Final = re.compile("|".join(f"({form})" for form in _FORMS.values()), re.IGNORECASE | re.DOTALL)
_NAMES: Final = tuple(_FORMS)
_HINTS: Final = ("canary", CARD[:4], base64.b64encode(KEY[:21].encode()).decode().lower())
"""One of these is in every form; looking for them first is a hundred times faster."""


def found_in(text: str | bytes) -> tuple[str, ...]:
    """What stands in this text: the names of the canaries, each once, never the canaries themselves.

    >>> found_in("a quiet day"), found_in(b"to: carla.canary%40clients.example")
    ((), ('an e-mail address',))
    """
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    lower = text.lower()
    if not any(hint in lower for hint in _HINTS):
        return ()
    found = (_NAMES[(match.lastindex or 1) - 1] for match in _ANY.finditer(text))
    return tuple(dict.fromkeys(found))


def linked(error: BaseException) -> Iterator[BaseException]:
    """The exception and all that hang on it, those too that a traceback would not show."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is None or each in seen:
            continue
        seen.append(each)
        yield each
        todo += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]


def locals_of(error: BaseException) -> Iterator[tuple[str, str, object]]:
    """Module, name and value of every local that an error reporter finds in the frames behind this exception,
    those of the tests aside."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals["__name__"])
        if not module.startswith("tests."):
            yield from ((module, name, local) for name, local in frame.f_locals.items())


def safe_repr(value: object) -> str:
    """Its repr, as an error reporter takes it."""
    try:
        return repr(value)
    except Exception:
        return ""


def told_by(value: object) -> Iterator[str | bytes]:
    """Everything that a log, a page, a queue or an error reporter could write of this value."""
    yield repr(value)
    yield str(value)
    yield pickle.dumps(value)
    if isinstance(value, BaseException):
        yield from traceback.format_exception(value)
        for each in linked(value):
            yield f"{each!r} {each} {vars(each)!r} {getattr(each, '__notes__', '')!r}"
            for _, name, local in locals_of(each):
                yield "" if name == "note" else safe_repr(local)


def silent(value: object) -> bool:
    """Whether nothing of this value tells a canary; what does is named by the assertion that asks."""
    return not [found for text in told_by(value) if (found := found_in(text))]
