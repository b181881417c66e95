"""What the tests of this folder share: two doubles of Stripe, ours and one that others wrote."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from refund_adapters.memory import ManualClock, MemoryBank, utc_now
from tests.canaries import CARD, EMAIL, NAME
from tests.fault_proxy.parts import KEY, Mock, OurDouble
from tests.stripe_double.double import StripeDouble
from tests.stripe_double.objects import Payer
from tests.stripe_mock import server


@pytest.fixture
def clock() -> ManualClock:
    """The clock of our double, and of a journal that is to agree with it."""
    return ManualClock(utc_now())


@pytest.fixture
def double(clock: ManualClock) -> Iterator[OurDouble]:
    """Our double, a fresh one; nothing that crossed it may break stripe-python's own types."""
    bank = MemoryBank(clock)
    with StripeDouble(bank, keys=(KEY,), payer=Payer(name=NAME, email=EMAIL, phone=CARD)) as running:
        yield OurDouble(bank, running)
    assert running.violations == ()


@pytest.fixture
def mock() -> Mock:
    """The mock of this process; each test takes payments of its own."""
    reason = server.why_absent()
    if reason is not None and not server.absence_is_a_failure():
        pytest.skip(reason)
    return Mock()
