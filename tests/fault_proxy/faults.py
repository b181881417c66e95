"""What can happen to a request between a client and Stripe, as data: what is forwarded, and what comes back.

A `Fault` is a way of forwarding and a way of answering. `FAULTS` names those that the tests put between the
gateways and a double of Stripe; the proxy that carries them out is `tests.fault_proxy.proxy`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import attrs


class Forward(StrEnum):
    """Whether the request reaches the upstream: never, once, twice one after the other, or only when the test
    says `release()`."""

    NEVER = "never"
    ONCE = "once"
    TWICE = "twice"
    LATER = "later"


class Part(StrEnum):
    """How much of the upstream's answer the client still gets."""

    NOTHING = "nothing"
    HALF_THE_HEADERS = "half the headers"
    HALF_THE_BODY = "half the body"


class Ending(StrEnum):
    """What follows the last byte: an orderly close, a reset, or silence on an open connection."""

    CLOSE = "close"
    RESET = "reset"
    SILENCE = "silence"


class Shape(StrEnum):
    """A whole answer of the upstream's, written in an unusual or a wrong way."""

    LENGTH_TOO_LONG = "a length longer than the body, then closed"
    LENGTH_TOO_SHORT = "a length shorter than the body, the connection kept"
    NO_LENGTH = "no length, closed at the end"
    NO_LENGTH_CUT = "no length, closed in the middle"
    CHUNKED = "in chunks"
    BAD_CHUNK = "in chunks, the second without a size"
    CHUNKS_CUT = "in chunks, closed before the last"
    GARBAGE_LINE = "a status line that is none"
    CONTINUE_FIRST = "a 100 before it"
    HINTS_FIRST = "a 103 before it"
    GZIP = "gzip"
    NO_GZIP = "called gzip, which it is not"


@attrs.frozen(kw_only=True)
class Whole:
    """The upstream's answer as it came; `answer` says which, where the request was forwarded twice."""

    answer: int = 0
    headers: tuple[tuple[str, str], ...] = ()


@attrs.frozen(kw_only=True)
class Cut:
    """A part of the upstream's answer, and how it ends there."""

    after: Part = Part.NOTHING
    then: Ending = Ending.CLOSE


@attrs.frozen(kw_only=True)
class Trickle:
    """The upstream's answer, of which the last `slowly` bytes come one by one, `every_s` apart; or the first."""

    slowly: int = 30
    every_s: float = 0.04
    at_first: bool = False


@attrs.frozen(kw_only=True)
class Shaped:
    """The upstream's whole answer, written like this."""

    shape: Shape


@attrs.frozen(kw_only=True)
class Instead:
    """Another answer than the upstream's."""

    status: int
    body: str
    content_type: str = "application/json"


@attrs.frozen(kw_only=True)
class InsteadARefund:
    """A 200 with the very refund that was asked for, except for these members: nothing of it is true."""

    changes: tuple[tuple[str, object], ...] = ()


@attrs.frozen(kw_only=True)
class Redirect:
    """A redirect to a path of the proxy that answers as the client would wish: with the refund asked for."""

    status: int


@attrs.frozen(kw_only=True)
class Refused:
    """Nothing listens any more, and what was connected is closed. It lasts."""


@attrs.frozen(kw_only=True)
class ResetEarly:
    """The next connection is reset as soon as it is made, and what was connected is closed.

    Whether the client hears of it while it still connects is a matter of who is quicker; with `at_first_byte` the
    reset waits for that, so that something of the request has certainly left.
    """

    at_first_byte: bool = False


Answering = Whole | Cut | Trickle | Shaped | Instead | InsteadARefund | Redirect | Refused | ResetEarly
"""What the client gets."""

_NEEDS_AN_ANSWER: Final = (Whole, Trickle, Shaped)


@attrs.frozen
class Fault:
    """One fault. Refuses (ValueError) to give an answer of an upstream that was not asked."""

    forward: Forward
    answering: Answering

    def __attrs_post_init__(self) -> None:
        asked = self.forward in (Forward.ONCE, Forward.TWICE)
        cut = self.answering
        partly = isinstance(cut, Cut) and cut.after is not Part.NOTHING
        if not asked and (partly or isinstance(cut, _NEEDS_AN_ANSWER)):
            raise ValueError("an upstream that was not asked has no answer to give")
        if isinstance(cut, Whole) and cut.answer >= (2 if self.forward is Forward.TWICE else 1):
            raise ValueError("the upstream gives one answer for each time it is asked")


UNTOUCHED: Final = Fault(Forward.ONCE, Whole())
"""What happens to every request for which nothing else is in the script."""


def error(**members: str) -> str:
    """An error object as Stripe words it."""
    inside = ", ".join(f'"{name}": "{value}"' for name, value in {"message": "No.", **members}.items())
    return '{"error": {' + inside + "}}"


def page(words: str) -> str:
    """A page of HTML, as edges, proxies and captive portals answer."""
    return f"<html><body><h1>{words}</h1></body></html>"


def _html(status: int, words: str) -> Instead:
    return Instead(status=status, body=page(words), content_type="text/html")


def _shaped(shape: Shape) -> Fault:
    return Fault(Forward.ONCE, Shaped(shape=shape))


_OOPS: Final = Instead(status=500, body=error(type="api_error"))
_IN_USE: Final = error(type="invalid_request_error", code="idempotency_key_in_use")
_LIMIT: Final = error(type="invalid_request_error", code="rate_limit")
_LOCKED: Final = error(type="invalid_request_error", code="lock_timeout")
_CHARGE: Final = '{"object": "charge", "id": "ch_another"}'

FAULTS: Final[dict[str, Fault]] = {
    # the connection
    "refused": Fault(Forward.NEVER, Refused()),
    "reset at accept": Fault(Forward.NEVER, ResetEarly()),
    "reset at the first byte": Fault(Forward.NEVER, ResetEarly(at_first_byte=True)),
    # the request is lost
    "dropped before forward": Fault(Forward.NEVER, Cut()),
    "reset before forward": Fault(Forward.NEVER, Cut(then=Ending.RESET)),
    "silence, never forwarded": Fault(Forward.NEVER, Cut(then=Ending.SILENCE)),
    # the answer is lost
    "cut after forward": Fault(Forward.ONCE, Cut()),
    "reset after forward": Fault(Forward.ONCE, Cut(then=Ending.RESET)),
    "cut mid-headers": Fault(Forward.ONCE, Cut(after=Part.HALF_THE_HEADERS)),
    "cut mid-body": Fault(Forward.ONCE, Cut(after=Part.HALF_THE_BODY)),
    "reset mid-body": Fault(Forward.ONCE, Cut(after=Part.HALF_THE_BODY, then=Ending.RESET)),
    # the answer is late
    "stall before the answer": Fault(Forward.ONCE, Cut(then=Ending.SILENCE)),
    "stall mid-body": Fault(Forward.ONCE, Cut(after=Part.HALF_THE_BODY, then=Ending.SILENCE)),
    "body trickles": Fault(Forward.ONCE, Trickle()),
    "headers trickle": Fault(Forward.ONCE, Trickle(at_first=True)),
    # the request is doubled, or late
    "duplicate, first answer": Fault(Forward.TWICE, Whole()),
    "duplicate, second answer": Fault(Forward.TWICE, Whole(answer=1)),
    "duplicate, cut": Fault(Forward.TWICE, Cut()),
    "forward later": Fault(Forward.LATER, Cut()),
    "forward later, 502 now": Fault(Forward.LATER, _html(502, "Bad gateway")),
    "held": Fault(Forward.LATER, Cut(then=Ending.SILENCE)),
    # another answer, nothing executed
    "409": Fault(Forward.NEVER, Instead(status=409, body=_IN_USE)),
    "429": Fault(Forward.NEVER, Instead(status=429, body=_LIMIT)),
    "429, lock": Fault(Forward.NEVER, Instead(status=429, body=_LOCKED)),
    "500": Fault(Forward.NEVER, _OOPS),
    "502, HTML": Fault(Forward.NEVER, _html(502, "Bad gateway")),
    "503": Fault(Forward.NEVER, Instead(status=503, body="", content_type="text/plain")),
    "401": Fault(Forward.NEVER, Instead(status=401, body=error(type="invalid_request_error"))),
    "403, HTML": Fault(Forward.NEVER, _html(403, "Forbidden by policy")),
    "200, HTML": Fault(Forward.NEVER, _html(200, "Welcome to the hotel")),
    "200, empty": Fault(Forward.NEVER, Instead(status=200, body="")),
    "200, a charge": Fault(Forward.NEVER, Instead(status=200, body=_CHARGE)),
    "200, another's refund": Fault(
        Forward.NEVER, InsteadARefund(changes=(("id", "re_another"), ("metadata", {"refund_domain_id": "other"})))
    ),
    # another answer, executed all the same
    "500 after forward": Fault(Forward.ONCE, _OOPS),
    "502, HTML after forward": Fault(Forward.ONCE, _html(502, "Bad gateway")),
    "200, empty after forward": Fault(Forward.ONCE, Instead(status=200, body="")),
    # led elsewhere
    "302": Fault(Forward.NEVER, Redirect(status=302)),
    "303": Fault(Forward.NEVER, Redirect(status=303)),
    "307": Fault(Forward.NEVER, Redirect(status=307)),
    "308": Fault(Forward.NEVER, Redirect(status=308)),
    # written in another way
    "length too long": _shaped(Shape.LENGTH_TOO_LONG),
    "length too short": _shaped(Shape.LENGTH_TOO_SHORT),
    "no length": _shaped(Shape.NO_LENGTH),
    "no length, cut": _shaped(Shape.NO_LENGTH_CUT),
    "chunked": _shaped(Shape.CHUNKED),
    "bad chunk": _shaped(Shape.BAD_CHUNK),
    "chunks cut": _shaped(Shape.CHUNKS_CUT),
    "garbage status line": _shaped(Shape.GARBAGE_LINE),
    "100 first": _shaped(Shape.CONTINUE_FIRST),
    "103 first": _shaped(Shape.HINTS_FIRST),
    "gzip": _shaped(Shape.GZIP),
    "gzip that is none": _shaped(Shape.NO_GZIP),
    "Stripe-Notice": Fault(Forward.ONCE, Whole(headers=(("Stripe-Notice", "upgrade soon"),))),
}
"""The faults by name."""
