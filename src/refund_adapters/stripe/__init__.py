"""The gateway to Stripe, over the official stripe-python (extra `stripe`).

Importing this package does not import stripe; making a `StripeGateway` does.
"""

from __future__ import annotations

from refund_adapters.stripe._translate import MARK
from refund_adapters.stripe.gateway import StripeGateway

__all__ = ["MARK", "StripeGateway"]
