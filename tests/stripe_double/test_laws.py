"""The Stripe gateways keep the laws of their port over the double, and nothing they send breaks Stripe's types."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from refund_adapters.memory import ManualClock, MemoryBank
from refund_domain.ports import PaymentGateway
from refund_domain.testing.laws import Report
from refund_domain.testing.laws_gateway import LAWS, Bank, check_gateway
from tests.adapters.stripe_clients import CLIENTS, stripe_over
from tests.canaries import CARD, EMAIL, KEY, NAME
from tests.stripe_double.bed import DoubleBank
from tests.stripe_double.double import Arrived, StripeDouble
from tests.stripe_double.objects import Payer


@pytest.mark.parametrize("client", CLIENTS)
def test_both_gateways_keep_every_law_over_every_client(client: str) -> None:
    """Each law holds over a real socket, destination and direct charges included; every word is well typed."""
    requests: list[Arrived] = []

    @contextmanager
    def bed() -> Iterator[tuple[PaymentGateway, Bank]]:
        bank = MemoryBank(ManualClock(datetime(2026, 3, 2, 9, tzinfo=UTC)))
        with (
            StripeDouble(bank, keys=(KEY,), payer=Payer(name=NAME, email=EMAIL, phone=CARD)) as double,
            stripe_over(client, double.base_address, KEY, read_timeout_s=20.0) as gateway,
        ):
            yield gateway, DoubleBank(bank)
            requests.extend(double.requests)
            assert double.violations == ()

    assert check_gateway(bed) == Report(held=tuple(law.__name__ for law in LAWS))
    assert {request.method for request in requests} == {"GET", "POST"}
