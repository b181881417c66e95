"""A signed body read strictly, and reduced to where to look. Pure: no network, no clock, nothing remembered.

Of an event only six things are read: its id, its type, its mode, its account, the id of the object it speaks of
and the id of that object's charge. So an event of any API version will do, and so will one with fields missing:
what is not where it should be is not guessed, and the signal goes out without it. The norm is
docs/explanation/stripe-facts.md, "Webhooks".
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from refund_adapters.stripe._refused import WebhookCode, WebhookRefused
from refund_domain._checks import check_id
from refund_domain.payments import PLATFORM, PaymentRef
from refund_domain.signals import Signal, Subject

JsonObject = Mapping[str, object]

DEPTH_LIMIT: Final = 50
"""How deep objects and lists may stand in each other; an event with everything expanded has about ten levels."""
NUMBER_LIMIT: Final = 40
"""How many characters a number may have; Stripe's longest is a time or an amount."""

SNAPSHOT: Final = "event"
THIN: Final = "v2.core.event"
THIN_PREFIX: Final = "v1."

_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:\[\]\-]{0,119}", re.ASCII)  # v2 names hold brackets
_NESTING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]|[\]}]', re.DOTALL)


class Where(StrEnum):
    """Where the payment's charge stands in the object of an event."""

    ITSELF = "the object is the charge"
    CHARGE = "`charge`"
    SOURCE_TRANSACTION = "`source_transaction`"
    FEE = "`originating_transaction`, at the platform; without one `charge`, at the fee's `account`"
    NOWHERE = "nowhere"


class Kind(NamedTuple):
    """What an event speaks of, the word its object must bear, and where the charge stands in it."""

    subject: Subject
    object: str
    where: Where


_REFUND: Final = Kind(Subject.REFUND, "refund", Where.CHARGE)
_CHARGE: Final = Kind(Subject.PAYMENT, "charge", Where.ITSELF)
_DISPUTE: Final = Kind(Subject.DISPUTE, "dispute", Where.CHARGE)
_PAYOUT: Final = Kind(Subject.PAYOUT, "payout", Where.NOWHERE)

KINDS: Final[dict[str, Kind]] = {
    "refund.created": _REFUND,
    "refund.updated": _REFUND,
    "refund.failed": _REFUND,
    "charge.refund.updated": _REFUND,  # the old name, of a refund
    "charge.refunded": _CHARGE,  # does not say which refund: the look lists them all
    "charge.succeeded": _CHARGE,
    "charge.failed": _CHARGE,
    "charge.captured": _CHARGE,
    "charge.updated": _CHARGE,
    "charge.expired": _CHARGE,
    "charge.pending": _CHARGE,
    "charge.dispute.created": _DISPUTE,
    "charge.dispute.updated": _DISPUTE,
    "charge.dispute.closed": _DISPUTE,
    "charge.dispute.funds_withdrawn": _DISPUTE,
    "charge.dispute.funds_reinstated": _DISPUTE,
    "payout.created": _PAYOUT,
    "payout.updated": _PAYOUT,
    "payout.paid": _PAYOUT,
    "payout.failed": _PAYOUT,
    "payout.canceled": _PAYOUT,
    "payout.reconciliation_completed": _PAYOUT,
    "application_fee.refunded": Kind(Subject.PAYMENT, "application_fee", Where.FEE),
    "transfer.reversed": Kind(Subject.PAYMENT, "transfer", Where.SOURCE_TRANSACTION),
}
"""Every event this library has business with, by its snapshot name; the thin one has `v1.` before it."""


def json_in(body: bytes) -> JsonObject | WebhookRefused:
    """The JSON object that this body is, read strictly: no second reader may find another meaning in it.

    The depth is counted beforehand: how deep the parser could go is the host's setting, and it may be too deep.
    """
    try:
        if _too_deep(body):
            raise ValueError
        read: object = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_once_each,
            parse_int=_int,
            parse_float=_float,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError):
        return WebhookRefused(code=WebhookCode.NOT_JSON)
    return read if isinstance(read, dict) else WebhookRefused(code=WebhookCode.NOT_JSON)


def signal_of(event: JsonObject, *, live: bool, permits: Callable[[str], bool]) -> Signal | WebhookRefused:
    """The signal that this event is; refused if it is no event, of the other mode, or of an account not permitted.

    >>> refund = {"object": "refund", "id": "re_1", "charge": "ch_1"}
    >>> event = {"object": "event", "id": "evt_1", "type": "refund.updated", "livemode": False}
    >>> event |= {"account": "acct_1", "data": {"object": refund}}
    >>> str(signal_of(event, live=False, permits=lambda account: True).ref)
    'acct_1/ch_1'
    """
    id, type, form = _id(event.get("id")), event.get("type"), event.get("object")
    livemode = event.get("livemode")
    if id is None or not isinstance(type, str) or not _TYPE.fullmatch(type) or form not in (SNAPSHOT, THIN):
        return WebhookRefused(code=WebhookCode.NOT_AN_EVENT)
    if not isinstance(livemode, bool):
        return WebhookRefused(code=WebhookCode.NOT_AN_EVENT)
    if livemode is not live:
        return WebhookRefused(code=WebhookCode.OTHER_MODE)
    account = _account_of(event)
    if account is None or not permits(account):
        return WebhookRefused(code=WebhookCode.OTHER_ACCOUNT)

    name, thing = (type, _snapshot(event)) if form == SNAPSHOT else (_thin_name(type), _related(event))
    kind = KINDS.get(name)
    if kind is None or thing.get("object") != kind.object:
        return Signal(id=id, kind=type, account=account, subject=Subject.OTHER)
    object_id = _id(thing.get("id"))
    ref = _ref(kind.where, thing, account, permits)
    if ref is not None:
        return Signal(
            id=id, kind=type, account=ref.account, subject=kind.subject, object_id=object_id, charge=ref.charge
        )
    # A signal about a payment names it: what does not is about something else.
    subject = Subject.OTHER if kind.subject is Subject.PAYMENT else kind.subject
    return Signal(id=id, kind=type, account=account, subject=subject, object_id=object_id)


# --- the object an event speaks of --------------------------------------------------------------------------


def _snapshot(event: JsonObject) -> JsonObject:
    """The object as it was when the event was made; empty where there is none."""
    return _object(_object(event.get("data")).get("object"))


def _related(event: JsonObject) -> JsonObject:
    """A thin event's object in the form of a snapshot's: its word and its id are all that there is."""
    related = _object(event.get("related_object"))
    return {"object": related.get("type"), "id": related.get("id")}


def _thin_name(type: str) -> str:
    """The snapshot name of a thin event's type; empty where it has none."""
    return type.removeprefix(THIN_PREFIX) if type.startswith(THIN_PREFIX) else ""


def _account_of(event: JsonObject) -> str | None:
    """The account that the event is of, PLATFORM where it names none; None where it names no account.

    A snapshot says `account` (until May 2017 `user_id`), a thin event `context`; where several stand they must
    agree. A context of several
    parts is not an account. What is there but odd never falls back to the platform.
    """
    named = [event[key] for key in ("account", "user_id", "context") if event.get(key) is not None]
    if not named:
        return PLATFORM
    accounts = [_account_id(value) for value in named]
    return accounts[0] if all(account == accounts[0] for account in accounts) else None


def _ref(where: Where, thing: JsonObject, account: str, permits: Callable[[str], bool]) -> PaymentRef | None:
    """The payment of this object; None where the event does not name it."""
    match where:
        case Where.ITSELF:
            return _at(account, _id(thing.get("id")))
        case Where.CHARGE:
            return _at(account, _link(thing.get("charge"), "charge"))
        case Where.SOURCE_TRANSACTION:
            return _at(account, _link(thing.get("source_transaction"), "charge"))
        case Where.FEE:
            return _payment_of_fee(thing, account, permits)
        case Where.NOWHERE:
            return None


def _payment_of_fee(fee: JsonObject, account: str, permits: Callable[[str], bool]) -> PaymentRef | None:
    """Where the payment of an application fee is: only the platform is told, but a direct charge is not there.

    Of a destination charge the fee names the platform's own (`originating_transaction`); its `charge` is then the
    payment at the connected account, which nobody refunds. Without it the charge is a direct one of the account
    the fee was taken from, and that must be permitted here.
    """
    if account != PLATFORM:
        return None
    origin = fee.get("originating_transaction")
    if origin is not None:
        return _at(PLATFORM, _link(origin, "charge"))
    taken_from = _account_id(_link(fee.get("account"), "account"))
    if taken_from is None or not permits(taken_from):
        return None
    return _at(taken_from, _link(fee.get("charge"), "charge"))


def _at(account: str, charge: str | None) -> PaymentRef | None:
    return None if charge is None else PaymentRef(account, charge)


# --- small parts --------------------------------------------------------------------------------------------


def _object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _id(value: object) -> str | None:
    """The id, if the library's own check lets it pass."""
    try:
        check_id(value, "id")
    except (TypeError, ValueError):
        return None
    return str(value)


def _account_id(value: object) -> str | None:
    """The id of an account: not one of the words that this library keeps for what is none."""
    account = _id(value)
    if account is None or account == PLATFORM:
        return None
    try:
        PaymentRef(account, "any")
    except ValueError:
        return None
    return account


def _link(value: object, word: str) -> str | None:
    """The id a link leads to; it is an id, or the object itself, which then must bear this word."""
    if isinstance(value, dict):
        return _id(value.get("id")) if value.get("object") == word else None
    return _id(value)


def _too_deep(body: bytes) -> bool:
    """Whether objects and lists stand deeper in each other than any event's; brackets in strings do not count."""
    if body.count(b"[") + body.count(b"{") <= DEPTH_LIMIT:
        return False  # nearly every event: it need not be read twice
    depth = 0
    for token in _NESTING.finditer(body):
        first = token[0][:1]
        if first in b"[{":
            depth += 1
            if depth > DEPTH_LIMIT:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a key stands twice")
    return read


def _int(text: str) -> int:
    if len(text) > NUMBER_LIMIT:
        raise ValueError("a number of too many characters")
    return int(text)


def _float(text: str) -> float:
    value = float(text) if len(text) <= NUMBER_LIMIT else math.inf
    if math.isinf(value):
        raise ValueError("a number beyond all bounds")
    return value


def _no_constant(text: str) -> object:
    raise ValueError("no JSON number")
