"""The gateways in memory find a charge and take a signal as Stripe's do, so that one wiring serves both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from refund_adapters.memory import AsyncMemoryGateway, MemoryBank, MemoryGateway
from refund_domain import Money, PaymentRef, Refused
from refund_domain.signals import Signal, Subject

USD = Money.parse("200.00", "USD")


@pytest.fixture
def bank() -> MemoryBank:
    return MemoryBank()


@pytest.fixture(params=["sync", "async"])
def resolve(request: pytest.FixtureRequest, bank: MemoryBank) -> Callable[..., PaymentRef | Refused]:
    """`resolve` of either gateway over the bank."""
    if request.param == "sync":
        return MemoryGateway(bank).resolve
    return lambda *ids, **named: asyncio.run(AsyncMemoryGateway(bank).resolve(*ids, **named))


def codes(said: PaymentRef | Refused) -> list[str]:
    assert isinstance(said, Refused)
    return [reason.code for reason in said.reasons]


def test_each_id_leads_to_the_charge(bank: MemoryBank, resolve: Callable[..., PaymentRef | Refused]) -> None:
    """A charge's own id, its PaymentIntent's and a checkout session's lead to one ref, at its account only."""
    ref = bank.charge(USD, account="acct_1")
    intent = bank.intents.of(ref)
    session = bank.intents.session(intent, account="acct_1")
    for named in (ref.charge, intent, session):
        assert resolve(named, account="acct_1") == ref
        assert codes(resolve(named)) == ["not_found"]


def test_what_was_not_paid_is_not_captured(bank: MemoryBank, resolve: Callable[..., PaymentRef | Refused]) -> None:
    """An intent that nobody has paid, and a session without one, are no payment; odd ids are refused."""
    for named in (bank.intents.open(USD), bank.intents.session(None)):
        assert codes(resolve(named)) == ["not_captured"]
    with pytest.raises(ValueError, match="pi_"):
        resolve("re_1")


def test_a_signal_comes_back_as_it_is(bank: MemoryBank) -> None:
    """`locate` gives any signal back, sync and async; what is none is a programmer's error."""
    signal = Signal(
        id="evt_1",
        kind="refund.updated",
        account="platform",
        subject=Subject.REFUND,
        object_id="re_1",
        charge=None,
    )
    assert MemoryGateway(bank).locate(signal) is signal
    assert asyncio.run(AsyncMemoryGateway(bank).locate(signal)) is signal
    with pytest.raises(TypeError):
        MemoryGateway(bank).locate("evt_1")  # type: ignore[arg-type]
