"""What a newcomer gives wrongly at first: each error says what to give instead."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest

from refund_adapters.memory import MemoryBank, MemoryGateway, MemoryJournal
from refund_adapters.sql.postgres_link import journal_error
from refund_adapters.sql.rows import host_connection
from refund_adapters.stripe import AsyncStripeGateway
from refund_domain import Actor, Money, RefundService

MARIA = Actor(id="maria", tenant="acme")
BANK = MemoryBank()
REFUNDS: Any = RefundService(MemoryGateway(BANK), MemoryJournal(), allow=lambda actor, action, ref: True)
PAYMENT = BANK.charge(Money.parse("20.00", "USD"))
QUOTE = REFUNDS.quote(PAYMENT, by=MARIA)
ANYTHING: Any = "anything"

HINTS: list[tuple[Callable[[], object], str]] = [
    (
        lambda: REFUNDS.quote(str(PAYMENT), by=MARIA),
        "ref must be PaymentRef or OutsideRef, not str: PaymentRef.parse(",
    ),
    (lambda: REFUNDS.dispatch(str(PAYMENT)), "ref must be PaymentRef, not str: PaymentRef.parse(text)"),
    (lambda: REFUNDS.issue(QUOTE), "command must be IssueRefund, not Quote: quote.verified(by=…)"),
    (lambda: REFUNDS.issue_booking(QUOTE), "command must be IssueBooking, not Quote: quote.verified(by=…)"),
    (
        lambda: REFUNDS.approve(QUOTE),
        "command must be ApproveRefund, not Quote: ApproveRefund(payment=…, refund_id=",
    ),
    (lambda: Actor(id=cast(str, 5), tenant="acme"), "an actor's id must be a str, not int: e.g. str(user.pk)"),
    (lambda: Actor(id="5", tenant=cast(str, 7)), "an actor's tenant must be a str, not int: e.g. str(user.pk)"),
    (lambda: Money(20_000, ANYTHING), 'currency must be a Currency, not str: e.g. Currency.of("USD")'),
    (lambda: REFUNDS.within(object()), "cannot join a host's transaction; those in a database can: SqliteJournal"),
    (lambda: MemoryJournal(ANYTHING), "clock must be a function that returns an aware datetime"),
]


@pytest.mark.parametrize(("call", "says"), HINTS, ids=[says for _, says in HINTS])
def test_a_wrong_argument_is_told_with_how_the_right_one_is_made(call: Callable[[], object], says: str) -> None:
    """A TypeError names what was given and what makes what is wanted."""
    with pytest.raises(TypeError) as caught:
        call()
    assert says in str(caught.value)


def test_a_naive_clock_of_the_memory_journal_is_told_as_such() -> None:
    """A clock without a time zone is named by the journal, not by a comparison deep in it."""
    journal = MemoryJournal(lambda: datetime(2026, 11, 2, 9))  # noqa: DTZ001
    with pytest.raises(ValueError, match="what the journal's clock returns must be timezone-aware"):
        journal.load(PAYMENT)


def test_a_session_in_a_connections_place_is_told_what_to_give() -> None:
    """A session of SQLAlchemy's has a method for its connection: the message names it."""
    with pytest.raises(TypeError, match=r"of a session: session\.connection\(\)"):
        host_connection(SimpleNamespace(), psycopg.Connection, "psycopg")


def test_a_right_that_lacks_names_the_schema_that_is_not_there() -> None:
    """Who may not make the schema itself needs a right on the database, and reads so."""
    told = str(journal_error(psycopg.errors.InsufficientPrivilege(), "new"))
    assert "where there is no schema new yet, CREATE on the database" in told


@pytest.mark.parametrize("name", ["machine", "strategies"])
def test_without_hypothesis_the_kit_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What of the testing kit needs Hypothesis names the extra, as every other part does."""
    spec = importlib.util.find_spec(f"refund_domain.testing.{name}")
    assert spec is not None
    assert spec.loader is not None
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ImportError, match=r"the extra: pip install 'refund-domain\[testing\]'"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_without_an_asynchronous_client_the_first_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither httpx nor aiohttp is there, the error names the extra that the README does, and the other."""
    for name in ("httpx", "aiohttp"):
        monkeypatch.delitem(sys.modules, f"refund_adapters.stripe._{name}", raising=False)
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"'refund-domain\[stripe-httpx\]', or \[stripe-aiohttp\]"):
        AsyncStripeGateway("sk_test_example")
