"""Gateways to Stripe, over the official stripe-python (extras `stripe`, `stripe-httpx`, `stripe-aiohttp`).

`StripeGateway` and `AsyncStripeGateway` are the port; `payouts` and `payouts_async` read what an account pays out,
`clients` are the HTTP clients of all of them, `webhooks` the way in for events. Importing this package does not
import stripe; making a gateway does.
"""

from __future__ import annotations

from refund_adapters.stripe._translate import MARK
from refund_adapters.stripe.gateway import StripeGateway
from refund_adapters.stripe.gateway_async import AsyncStripeGateway

__all__ = ["MARK", "AsyncStripeGateway", "StripeGateway"]
