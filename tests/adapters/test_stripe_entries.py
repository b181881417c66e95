"""Pages of balance transactions, from the bytes Stripe answers with to what a statement reads of them."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
import stripe

from refund_adapters.stripe import MARK
from refund_adapters.stripe._entries import BY_TYPE, Row, Source, rows_of
from refund_domain.money import LIMIT_MINOR, Currency, Money
from refund_domain.payouts.entries import CATEGORIES, About, Entry, Group
from tests.canaries import KEY, OF_HOST, PERSONAL, TEXT, found_in
from tests.stripe_double import schema

EUR = Currency.of("eur")


def row(number: int = 1, **changes: object) -> dict[str, object]:
    """A balance transaction as Stripe writes it, of a charge taken in euros and settled in dollars."""
    written: dict[str, object] = {
        "id": f"txn_{number}",
        "object": "balance_transaction",
        "amount": 5_500,
        "available_on": 1_772_614_800,
        "balance_type": "payments",
        "created": 1_772_442_000,
        "currency": "usd",
        "description": TEXT,
        "exchange_rate": 1.1,
        "fee": 190,
        "fee_details": [
            {"amount": 190, "application": None, "currency": "usd", "description": TEXT, "type": "stripe_fee"}
        ],
        "net": 5_310,
        "reporting_category": "charge",
        "source": charge(),
        "status": "available",
        "type": "charge",
    }
    return {name: value for name, value in {**written, **changes}.items() if value is not ...}


def charge(**changes: object) -> dict[str, object]:
    """A charge with everything that Stripe may say of a client."""
    written = {"id": "ch_1", "object": "charge", "amount": 5_000, "currency": "eur", "payment_intent": "pi_1"}
    return {**PERSONAL, "metadata": OF_HOST, **written, **changes}


def refund(**changes: object) -> dict[str, object]:
    """A refund of it that is ours."""
    written = {"id": "re_1", "object": "refund", "amount": 5_000, "currency": "eur", "charge": "ch_1"}
    return {**PERSONAL, **written, "metadata": {**OF_HOST, MARK: "r-1"}, **changes}


def page(*rows: object, **changes: object) -> bytes:
    """These rows as one page of a list."""
    body = {"object": "list", "data": list(rows), "has_more": False, "url": "/v1/balance_transactions"}
    return json.dumps({**body, **changes}).encode()


def only(**changes: object) -> Entry:
    """The entry that such a row is read as."""
    (entry,) = rows_of(page(row(1, **changes))).entries
    return entry


def test_an_entry_is_read_with_its_own_figures() -> None:
    """Amount, fee and net are the settlement's, category is the reporting category, times are Unix seconds."""
    entry = only()
    assert (entry.id, entry.category, entry.currency) == ("txn_1", "charge", "usd")
    assert (entry.amount_minor, entry.fee_minor, entry.net_minor) == (5_500, 190, 5_310)
    assert (entry.created_s, entry.available_s) == (1_772_442_000, 1_772_614_800)
    refunded = only(amount=-5_500, net=-5_500, fee=0, reporting_category="refund", type="refund")
    assert (refunded.amount_minor, refunded.net_minor) == (-5_500, -5_500)


def test_a_page_says_whether_more_follows() -> None:
    """Rows come as listed, and `has_more` is Stripe's own word."""
    read = rows_of(page(row(2), row(1), has_more=True))
    assert ([entry.id for entry in read.entries], read.more) == (["txn_2", "txn_1"], True)
    assert (rows_of(page()).entries, rows_of(page()).more) == ((), False)


PAID = Money(5_000, EUR)


@pytest.mark.parametrize(
    ("source", "about"),
    [
        (charge(), About(id="ch_1", charge="ch_1", amount=PAID, rate="1.1")),
        (charge(id="py_1"), About(id="py_1", charge="py_1", amount=PAID, rate="1.1")),
        (refund(), About(id="re_1", charge="ch_1", mark="r-1", amount=PAID, rate="1.1")),
        (refund(metadata={}), About(id="re_1", charge="ch_1", amount=PAID, rate="1.1")),
        (refund(metadata=None), About(id="re_1", charge="ch_1", amount=PAID, rate="1.1")),
        (refund(metadata={MARK: TEXT}), About(id="re_1", charge="ch_1", amount=PAID, rate="1.1")),
        (refund(charge=charge()), About(id="re_1", charge="ch_1", mark="r-1", amount=PAID, rate="1.1")),
        (refund(charge=None), About(id="re_1", mark="r-1", amount=PAID, rate="1.1")),
        (refund(charge=TEXT), About(id="re_1", mark="r-1", amount=PAID, rate="1.1")),
        (refund(charge=KEY), About(id="re_1", mark="r-1", amount=PAID, rate="1.1")),
        (refund(amount=None), About(id="re_1", charge="ch_1", mark="r-1")),
        (refund(currency=None), About(id="re_1", charge="ch_1", mark="r-1")),
        (refund(currency="123"), About(id="re_1", charge="ch_1", mark="r-1")),
        (refund(object="dispute", id="du_1"), About(id="du_1", charge="ch_1", amount=PAID, rate="1.1")),
        ({"id": "po_1", "object": "payout", "amount": 1, "currency": "usd"}, About(id="po_1")),
        ({"id": "fee_1", "object": "application_fee", "amount": 1, "charge": "ch_1"}, About(id="fee_1")),
        ({"id": "x_1", "object": "made_up_tomorrow", **PERSONAL}, About(id="x_1")),
        ({"id": "x_1"}, About(id="x_1")),
        ("ch_1", About(id="ch_1")),
        (None, None),
        (..., None),
        ({"id": TEXT, "object": "charge"}, None),
        ({"id": KEY, "object": "charge"}, None),
    ],
    ids=lambda value: str(value)[-60:],
)
def test_an_entry_says_what_it_is_about(source: Any, about: About | None) -> None:
    """A charge, a refund and a dispute with their charge and what the client saw; of all else the id alone."""
    entry = only(source=source)
    assert entry.about == about
    assert found_in(repr(entry)) == ()
    if about is not None:
        assert entry.source_id == about.id


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("1.10", "1.10"),
        ("1", "1"),
        ("0.1234567890123456789", "0.1234567890123456789"),
        ("null", None),
        ("1." + "1" * 60, None),
    ],
)
def test_a_rate_is_as_it_was_written(written: str, rate: str | None) -> None:
    """No float holds an exchange rate on its way, so no digit is lost; one that is no rate at all is dropped."""
    content = page(row()).replace(b'"exchange_rate": 1.1', f'"exchange_rate": {written}'.encode())
    (entry,) = rows_of(content).entries
    assert entry.about is not None
    assert entry.about.rate == rate


@pytest.mark.parametrize(
    ("type", "category"),
    [
        ("refund", "partial_capture_reversal"),
        ("payment_failure_refund", "charge_failure"),
        ("adjustment", "dispute"),
        ("adjustment", "refund_failure"),
        ("made_up_tomorrow", "made_up_tomorrow"),
    ],
)
def test_the_reporting_category_decides_and_never_the_type(type: str, category: str) -> None:
    """The same type stands for a refund and for what a partial capture released."""
    assert only(type=type, reporting_category=category).category == category


@pytest.mark.parametrize("type", ["refund", "adjustment", "made_up_tomorrow", ..., *BY_TYPE])
def test_where_no_category_is_named_the_type_decides_what_can_be_one_thing_only(type: Any) -> None:
    """Without a reporting category a type with one meaning gives it, and any other is "other"."""
    entry = only(type=type, reporting_category=...)
    assert entry.category == BY_TYPE.get(type, "other")
    assert CATEGORIES.get(entry.category, Group.OTHER) is not Group.OTHER or type not in BY_TYPE


def test_a_category_that_is_no_word_is_other() -> None:
    """What a stranger wrote there does not reach a statement, whatever type stands beside it."""
    assert only(reporting_category=TEXT[:50]).category == "other"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html></html>",
        page(row())[:-30],
        page(row()) + b"{}",
        page(row(id=...)),
        page(row(id=None)),
        page(row(id="")),
        page(row(id=TEXT)),
        page(row(id=KEY)),
        page(row(id="txn_1\n")),
        page(row(id="txn_\u0661")),
        page(row(id="t" * 256)),
        page(row(amount=5_500.0)),
        page(row(amount="5500")),
        page(row(amount=True)),
        page(row(amount=None)),
        page(row(amount=...)),
        page(row(amount=LIMIT_MINOR + 1)),
        page(row(fee=...)),
        page(row(net=-LIMIT_MINOR - 1)),
        page(row(currency=...)),
        page(row(currency="dollars")),
        page(row(created=-1)),
        page(row(created=10**12)),
        page(row(available_on=...)),
        page(row(source=[])),
        page(row(source={"object": "charge"})),
        page(row(source=charge(amount="5000"))),
        page(row(exchange_rate=TEXT)),
        page(row(), has_more=None),
        page(row(), has_more=1),
        page(row(), data={}),
        page(None),
        page(row(reporting_category=TEXT)),
        page(row()).replace(b'"exchange_rate": 1.1', b'"exchange_rate": NaN'),
        page(row()).replace(b"5500", b"5" * 5_000),
        page(row(description=...)).replace(b'"txn_1"', b"[" * 100_000),
        page(row()).decode().encode("utf-16"),
    ],
    ids=lambda content: repr(content[:30]) + str(len(content)),
)
def test_what_is_no_page_of_entries_is_none(content: bytes) -> None:
    """Whatever is missing, cut, mistyped or beyond all bounds: nothing of the page is read."""
    with pytest.raises((ValueError, RecursionError)):
        rows_of(content)


def test_nothing_of_a_client_becomes_a_value() -> None:
    """Names, mails, card numbers, descriptions and a host's own metadata end in the decoder."""
    read = rows_of(page(row(1), row(2, source=refund()), row(3, source={"id": "x_1", **PERSONAL})))
    assert found_in(repr(read) + repr([entry.about for entry in read.entries])) == ()


def test_every_member_that_is_read_is_stripe_pythons_own() -> None:
    """Each member of an entry is known, and those of what it is about are of one type wherever they stand."""
    known = schema.members_of(stripe.BalanceTransaction)
    assert {name for name in Row.__struct_encode_fields__ if name not in known} == set()
    sources = [kind for kind in schema.parts_of(known["source"], stripe.BalanceTransaction) if kind is not str]
    assert stripe.Charge in sources
    assert stripe.Refund in sources
    for kind in sources:
        if kind is type(None):
            continue
        members = schema.members_of(kind)
        for name, allowed in (("id", {str}), ("amount", {int}), ("currency", {str}), ("object", {Literal})):
            parts = set(schema.parts_of(members[name], kind)) if name in members else set()
            assert {getattr(part, "__origin__", part) for part in parts} <= allowed, f"{kind.__name__}.{name}"
    assert set(Source.__struct_encode_fields__) <= {"id", "object", "amount", "currency", "charge", "metadata"}
