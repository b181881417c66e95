"""The Stripe gateway keeps the laws of its port over the double, and nothing it sends breaks Stripe's types."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from refund_adapters.memory import ManualClock, MemoryBank
from refund_adapters.stripe import StripeGateway
from refund_domain.ports import PaymentGateway
from refund_domain.testing.laws import Report
from refund_domain.testing.laws_gateway import LAWS, Bank, check_gateway
from tests.stripe_double.bed import DoubleBank
from tests.stripe_double.double import KEY, Arrived, StripeDouble

NOT_YET = ("destination_charge", "destination_fee", "direct_fee")


def test_stripe_gateway_keeps_the_laws_over_the_double() -> None:
    """Every law that the gateway can be asked holds, over a real socket, each request and answer well typed."""

    requests: list[Arrived] = []

    @contextmanager
    def bed() -> Iterator[tuple[PaymentGateway, Bank]]:
        bank = MemoryBank(ManualClock(datetime(2026, 3, 2, 9, tzinfo=UTC)))
        with StripeDouble(bank) as double:
            yield StripeGateway(KEY, base_address=double.base_address), DoubleBank(bank, NOT_YET)
            requests.extend(double.requests)
            assert double.violations == ()

    names = tuple(law.__name__ for law in LAWS)
    assert check_gateway(bed) == Report(held=tuple(name for name in names if name not in NOT_YET), lacking=NOT_YET)
    assert {request.method for request in requests} == {"GET", "POST"}
