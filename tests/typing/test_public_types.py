"""The public types as a host's type checker sees them: mypy reads this file, and pytest runs it as well."""

from __future__ import annotations

from typing import assert_never, assert_type
from unittest import TestCase

from hypothesis.stateful import RuleBasedStateMachine

from refund_adapters.memory import (
    AsyncMemoryGateway,
    AsyncMemoryJournal,
    MemoryBank,
    MemoryGateway,
    MemoryJournal,
    utc_now,
)
from refund_adapters.sql import AsyncPostgresJournal, PostgresJournal, SqliteJournal
from refund_adapters.stripe.webhooks import StripeWebhooks, WebhookRefused
from refund_domain import (
    Actor,
    Money,
    PaymentGateway,
    Quote,
    Refund,
    RefundJournal,
    RefundService,
    Refused,
    Status,
)
from refund_domain.decider.ledger import HOLDS
from refund_domain.ports import AsyncJoiningJournal, AsyncPaymentGateway, AsyncRefundJournal, JoiningJournal
from refund_domain.signals import Signal
from refund_domain.testing.machine import RefundMachine, machine
from refund_domain.testing.weather import AsyncLine, Line
from refund_domain.testing.wiring import Awaited, Bank, Desk, Wiring
from refund_domain.views import PaymentView

MARIA = Actor(id="maria", tenant="acme")


def ports(
    gateway: MemoryGateway,
    async_gateway: AsyncMemoryGateway,
    journal: MemoryJournal,
    async_journal: AsyncMemoryJournal,
    sqlite: SqliteJournal,
) -> tuple[PaymentGateway, AsyncPaymentGateway, RefundJournal, AsyncRefundJournal, RefundJournal]:
    """Each adapter is its port to a type checker, without inheriting from it."""
    return gateway, async_gateway, journal, async_journal, sqlite


def joining(
    sqlite: SqliteJournal, postgres: PostgresJournal, awaited: AsyncPostgresJournal
) -> tuple[JoiningJournal, JoiningJournal, AsyncJoiningJournal]:
    """Each SQL journal joins a host's transaction."""
    return sqlite, postgres, awaited


def next_move(status: Status) -> str:
    """A match over every status is exhaustive without a default."""
    match status:
        case Status.REQUESTED | Status.IN_DOUBT | Status.PENDING:
            return "wait"
        case Status.SUCCEEDED:
            return "done"
        case Status.DECLINED | Status.DROPPED | Status.NOT_MADE | Status.FAILED | Status.CANCELED:
            return "quote again"
        case _:
            assert_never(status)


def test_results_are_matched_exhaustively() -> None:
    """`issue` gives a Refund or a Refused and nothing else, and a host's match over both is exhaustive."""
    bank = MemoryBank(utc_now)
    service = RefundService(MemoryGateway(bank), MemoryJournal(), allow=lambda actor, action, ref: True)
    ref = bank.charge(Money.parse("200.00", "USD"))
    quote = assert_type(service.quote(ref, by=MARIA), Quote)
    result = assert_type(service.issue(quote.verified(by=MARIA)), Refund | Refused)
    match result:
        case Refund(status=status, arrives=arrives):
            assert next_move(status) == "done"
            assert arrives is not None
        case Refused(reasons=reasons):
            raise AssertionError(f"refused: {reasons}")
        case _:
            assert_never(result)
    assert_type(service.show(ref, by=MARIA), PaymentView | Refused)


def test_a_webhook_is_matched_exhaustively() -> None:
    """`read` gives a Signal or a WebhookRefused and nothing else, and a host's match over both is exhaustive."""
    read = assert_type(
        StripeWebhooks("whsec_0123456789abcdef", live=False).read(b"{}", {}), Signal | WebhookRefused
    )
    match read:
        case Signal():
            raise AssertionError("nothing was signed")
        case WebhookRefused() as no:
            assert no.http_status == 400
        case _:
            assert_never(read)


def test_every_status_has_a_next_move() -> None:
    """The exhaustive match gives an answer for each status there is."""
    assert {next_move(status) for status in HOLDS} == {"wait", "done", "quote again"}


def kit(
    bank: MemoryBank, refunds: RefundService, awaited: Awaited, line: Line, awaited_line: AsyncLine
) -> tuple[Bank, Desk, Desk, PaymentGateway, AsyncPaymentGateway]:
    """The bank in memory and both services fit the machine's wiring, and its lines are gateways."""
    return bank, refunds, awaited, line, awaited_line


def test_machine_is_a_state_machine_of_hypothesis() -> None:
    """What `machine` returns has the `TestCase` that test runners collect."""

    def make() -> Wiring:
        raise NotImplementedError

    made = machine(make)
    assert_type(made, type[RefundMachine])
    assert issubclass(made, RuleBasedStateMachine)
    assert issubclass(made.TestCase, TestCase)
