"""One request over a StripeClient, in both forms: what came back, or a `Failed`; no Exception is let out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from refund_adapters.stripe import _setup
from refund_adapters.stripe._steps import Call, Failed, Reply

if TYPE_CHECKING:
    import stripe

Classify = Callable[[BaseException], Failed]
"""What an exception out of a call means (`_guard.failed`, which imports stripe)."""


def ask(client: stripe.StripeClient, call: Call, failed: Classify) -> Reply:
    """Make this call. Whatever Exception it raises, the request may have left before it."""
    method, path, words = _setup.arguments(call)
    try:
        return client.raw_request(method, path, **words).data
    except Exception as error:
        return failed(error)


async def ask_awaited(client: stripe.StripeClient, call: Call, failed: Classify, within_s: float) -> Reply:
    """Make this call within this time. Whatever Exception it raises, the request may have left before it.

    No cancellation is let out either that nobody asked this task for: a client that is closed cancels those who
    wait for a connection of its, and that is a call that failed.
    """
    from asyncio import CancelledError, current_task, timeout  # here: 50 ms that only hosts of asyncio pay

    method, path, words = _setup.arguments(call)
    try:
        async with timeout(within_s):
            return (await client.raw_request_async(method, path, **words)).data
    except CancelledError as error:
        task = current_task()
        if task is None or task.cancelling():
            raise
        return failed(error)
    except Exception as error:
        return failed(error)
