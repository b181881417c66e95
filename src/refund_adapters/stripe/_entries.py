"""Balance transactions, decoded from the bytes of an answer without stripe-python's objects or its JSON.

A payout may hold a million of them, and the SDK takes some hundred times as long for each. What is not named here
(names, e-mails, the last digits of a card) is skipped by the decoder and never becomes a value. The only module
that imports msgspec, when a source of payouts is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from refund_adapters.stripe._guard import KEYS, Guard, NotStripe, kept_headers
from refund_adapters.stripe._members import as_id, word
from refund_adapters.stripe._payouts import ENTRIES, Rows
from refund_adapters.stripe._steps import Call, Failed, Reply
from refund_adapters.stripe._translate import MARK
from refund_domain.money import LIMIT_MINOR, Currency, Money
from refund_domain.payouts.entries import About

Minor = Annotated[int, Meta(ge=-LIMIT_MINOR, le=LIMIT_MINOR)]
Second = Annotated[int, Meta(ge=0, le=253_402_300_799)]  # a datetime's last
Id = Annotated[str, Meta(max_length=255)]
Code = Annotated[str, Meta(min_length=3, max_length=3)]
Word = Annotated[str, Meta(max_length=60)]

_RATE_LENGTH: Final = 40


class Marked(Struct, frozen=True, gc=False, rename={"mark": MARK}):
    """Metadata: our mark, and nothing else that a host or a stranger wrote there."""

    mark: str | None = None


class Named(Struct, frozen=True, gc=False):
    """Any object of which the id is all that is read."""

    id: Id


class Source(Struct, frozen=True, gc=False):
    """What an entry is about: a charge, a refund, a dispute, or anything else, of which only the id is used."""

    id: Id
    object: Word = ""
    amount: Minor | None = None
    currency: Code | None = None
    charge: Id | Named | None = None
    metadata: Marked | None = None


class Row(
    Struct,
    frozen=True,
    gc=False,
    rename={
        "amount_minor": "amount",
        "fee_minor": "fee",
        "net_minor": "net",
        "created_s": "created",
        "available_s": "available_on",
        "category": "reporting_category",
        "rate": "exchange_rate",
    },
):
    """A balance transaction: the core's `Entry`."""

    id: Id
    amount_minor: Minor
    fee_minor: Minor
    net_minor: Minor
    currency: Code
    created_s: Second
    available_s: Second
    category: Word = ""
    type: Word = ""
    rate: Decimal | None = None
    source: Id | Source | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, category={self.category!r}, net_minor={self.net_minor})"

    @property
    def source_id(self) -> str | None:
        """The id of what it is about, at no cost."""
        return self.source.id if isinstance(self.source, Source) else self.source

    @property
    def about(self) -> About | None:
        """What it is about, made when it is asked for: of most entries nobody asks."""
        source, known = self.source, _plain(self.source_id)
        if known is None:
            return None
        if not isinstance(source, Source) or source.object not in _TOLD:
            return About(id=known)
        amount = _amount(source)
        return About(
            id=known,
            charge=known if source.object == "charge" else _charge(source.charge),
            mark=as_id(source.metadata.mark) if source.object == "refund" and source.metadata else None,
            amount=amount,
            rate=None if amount is None else _rate(self.rate),
        )


_TOLD: Final = frozenset(["charge", "refund", "dispute"])
"""The objects that are a client's payment, or were one: only of them is more told than the id."""


def _charge(link: str | Named | None) -> str | None:
    return _plain(link.id if isinstance(link, Named) else link)


def _plain(id: str | None) -> str | None:
    """An id that is one, and no key that a stranger repeats."""
    return None if id is None or KEYS.search(id) else as_id(id)


def _amount(source: Source) -> Money | None:
    """What the client saw, in the currency they paid in."""
    if source.amount is None or source.currency is None:
        return None
    try:
        return Money(source.amount, Currency.of(source.currency))
    except ValueError:
        return None  # three characters that are no code


def _rate(rate: Decimal | None) -> str | None:
    """As it was written: no float ever held it."""
    return None if rate is None or len(str(rate)) > _RATE_LENGTH else str(rate)


class Page(Struct, frozen=True, gc=False):
    """A page of the list."""

    data: tuple[Row, ...]
    has_more: bool


_decode: Final = msgspec.json.Decoder(Page).decode
_IDS: Final = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_.:\-]*\n)*", re.ASCII)

BY_TYPE: Final[Mapping[str, str]] = {
    "application_fee": "platform_earning",
    "application_fee_refund": "platform_earning_refund",
    "charge": "charge",
    "network_cost": "network_cost",
    "payment": "charge",
    "payment_failure_refund": "charge_failure",
    "payment_refund": "refund",
    "payout": "payout",
    "payout_cancel": "payout_reversal",
    "payout_failure": "payout_reversal",
    "refund_failure": "refund_failure",
    "stripe_fee": "fee",
    "topup": "topup",
    "topup_reversal": "topup_reversal",
    "transfer": "transfer",
    "transfer_refund": "transfer_reversal",
}
"""The category of an entry that names none, by its type, where that can mean one thing only.

A `refund` may be what a partial capture released, an `adjustment` may be a dispute: those are "other".
"""
_OTHER: Final = "other"


def rows_of(content: bytes | str) -> Rows:
    """The page in these bytes. Raises ValueError for what is none."""
    page = _decode(content)
    rows = page.data
    ids = "".join([f"{row.id}\n" for row in rows])
    if not _IDS.fullmatch(ids) or KEYS.search(ids):
        raise ValueError("an id is no id")
    if not all(map(word, {row.category for row in rows})):
        rows = tuple(row if word(row.category) else _categorised(row) for row in rows)
    return Rows(entries=rows, more=page.has_more)


def _categorised(row: Row) -> Row:
    """The entry with a category that is a word."""
    category = _OTHER if row.category else BY_TYPE.get(row.type, _OTHER)
    return msgspec.structs.replace(row, category=category)


# --- between stripe-python and the HTTP client ------------------------------------------------------------------


class Caught:
    """What a call for entries brought, taken at the transport."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows: Rows | None = None

    def instead_of(self, reply: Reply) -> Reply:
        """What the call came to: its entries, in place of the empty object that stripe-python read."""
        return reply if self.rows is None or isinstance(reply, Failed) else self.rows


_CATCHING: Final[ContextVar[Caught | None]] = ContextVar("_CATCHING", default=None)
"""Whose call this is: threads and tasks share a source, and each has a context of its own."""


@contextmanager
def catching(call: Call) -> Iterator[Caught]:
    """While this call lasts: if it is one for entries, a successful answer in this context is a page of them."""
    caught = Caught()
    token = _CATCHING.set(caught if call.path == ENTRIES else None)
    try:
        yield caught
    finally:
        _CATCHING.reset(token)


class EntryGuard(Guard):
    """A `Guard` that decodes pages of entries itself, and gives stripe-python an empty object in their place."""

    def let_through(
        self, content: bytes | str, status: int, headers: Mapping[str, str]
    ) -> tuple[bytes, int, Mapping[str, str]]:
        caught = _CATCHING.get()
        if caught is None or not 200 <= status < 300:
            return super().let_through(content, status, headers)
        try:
            caught.rows = rows_of(content)
        except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors
            raise NotStripe(status) from None
        return b"{}", status, kept_headers(headers)
