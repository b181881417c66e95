"""The double as these tests want it: one for each test, every request and answer checked when the test is over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import stripe

from refund_adapters.memory import ManualClock, MemoryBank
from tests.stripe_double.double import KEY, StripeDouble


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep stripe-python from writing its id into the home of whoever runs the tests."""
    monkeypatch.setattr(stripe, "enable_telemetry", False)


@pytest.fixture
def clock() -> ManualClock:
    """The bank's clock."""
    return ManualClock(datetime(2026, 3, 2, 9, tzinfo=UTC))


@pytest.fixture
def bank(clock: ManualClock) -> MemoryBank:
    """The bank behind the double."""
    return MemoryBank(clock)


@pytest.fixture
def double(bank: MemoryBank) -> Iterator[StripeDouble]:
    """A running double; nothing that crossed it may break stripe-python's own types."""
    with StripeDouble(bank) as running:
        yield running
    assert running.violations == ()


@pytest.fixture
def client(double: StripeDouble) -> stripe.StripeClient:
    """stripe-python itself, pointed at the double."""
    return stripe.StripeClient(KEY, base_addresses={"api": double.base_address}, max_network_retries=0)
