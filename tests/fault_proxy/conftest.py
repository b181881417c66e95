"""What the tests of this folder share: a double of Stripe."""

from __future__ import annotations

import pytest

from tests.fault_proxy.parts import Double
from tests.stripe_mock import server


@pytest.fixture
def double() -> Double:
    """The double of this process; each test takes payments of its own."""
    reason = server.why_absent()
    if reason is not None and not server.absence_is_a_failure():
        pytest.skip(reason)
    return Double()
