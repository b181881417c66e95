"""Both forms of the Stripe gateway, and of its payouts, over every HTTP client, behind one synchronous face."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from refund_adapters.stripe import AsyncStripeGateway, StripeGateway, clients
from refund_adapters.stripe.payouts import StripePayouts
from refund_adapters.stripe.payouts_async import AsyncStripePayouts
from refund_domain.answers import Answer, Ask, Look, Missing, Unread
from refund_domain.operations.feeds import FeedPage, Window
from refund_domain.payments import PLATFORM, PaymentRef
from refund_domain.payouts.entries import EntryPage
from refund_domain.payouts.funds import Funds, Payout
from refund_domain.refusals import Refused
from refund_domain.signals import Signal, Subject
from tests.adapters.hostile_server import AMPLE_S
from tests.canaries import KEY

if TYPE_CHECKING:
    import stripe

T = TypeVar("T")

MAKERS: Final[dict[str, Callable[..., stripe.HTTPClient]]] = {
    "requests": clients.requests_client,
    "httpx": clients.httpx_client,
    "httpx async": clients.httpx_client,
    "aiohttp async": clients.aiohttp_client,
}
CLIENTS: Final = tuple(MAKERS)
"""The names of the four ways to Stripe."""

ASYNC: Final = tuple(name for name in CLIENTS if name.endswith(" async"))


@functools.cache
def loop() -> asyncio.AbstractEventLoop:
    """One event loop of this process, turning in a thread of its own."""
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, daemon=True).start()
    return made


def awaited(coroutine: Coroutine[Any, Any, T]) -> T:
    """What this coroutine returns on that loop, or what it raises."""
    return asyncio.run_coroutine_threadsafe(coroutine, loop()).result(60)


class Awaited:
    """The asynchronous gateway behind the synchronous face; threads may share it."""

    def __init__(self, gateway: AsyncStripeGateway) -> None:
        self.gateway = gateway

    @property
    def live(self) -> bool:
        """As the gateway's."""
        return self.gateway.live

    def look(self, ref: PaymentRef, /) -> Look:
        """Awaited."""
        return awaited(self.gateway.look(ref))

    def send(self, send: Ask, /) -> Answer:
        """Awaited."""
        return awaited(self.gateway.send(send))

    def page(self, account: str, window: Window, subject: Subject, after: str | None, /) -> FeedPage | Unread:
        """Awaited."""
        return awaited(self.gateway.page(account, window, subject, after))

    def resolve(self, id: str, *, account: str = PLATFORM) -> PaymentRef | Refused:
        """Awaited."""
        return awaited(self.gateway.resolve(id, account=account))

    def locate(self, signal: Signal) -> Signal:
        """Awaited."""
        return awaited(self.gateway.locate(signal))


@contextmanager
def stripe_over(
    client: str,
    base_address: str,
    key: str = KEY,
    *,
    http_client: stripe.HTTPClient | None = None,
    connect_timeout_s: float = AMPLE_S,
    read_timeout_s: float = AMPLE_S,
    read_budget_s: float = 10.0,
) -> Iterator[StripeGateway | Awaited]:
    """A gateway over the client of this name, closed at the end; awaited, the read timeout is the deadline."""
    own = http_client or MAKERS[client](connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s)
    if client in ASYNC:
        twin = AsyncStripeGateway(
            key, http_client=own, base_address=base_address, deadline_s=read_timeout_s, read_budget_s=read_budget_s
        )
        try:
            yield Awaited(twin)
        finally:
            awaited(twin.aclose())
        return
    gateway = StripeGateway(key, http_client=own, base_address=base_address, read_budget_s=read_budget_s)
    try:
        yield gateway
    finally:
        gateway.close()


class AwaitedPayouts:
    """The asynchronous source of payouts behind the synchronous face; threads may share it."""

    def __init__(self, source: AsyncStripePayouts) -> None:
        self.source = source

    @property
    def live(self) -> bool:
        """As the source's."""
        return self.source.live

    def funds(self, account: str, /) -> Funds | Unread:
        """Awaited."""
        return awaited(self.source.funds(account))

    def payout(self, account: str, id: str, /) -> Payout | Missing | Unread:
        """Awaited."""
        return awaited(self.source.payout(account, id))

    def entries(
        self, account: str, payout: Payout, window: Window | None, after: str | None, /
    ) -> EntryPage | Unread:
        """Awaited."""
        return awaited(self.source.entries(account, payout, window, after))

    def holding(self, account: str, refund: str, /) -> Payout | Missing | Unread | None:
        """Awaited."""
        return awaited(self.source.holding(account, refund))


@contextmanager
def payouts_over(
    client: str,
    base_address: str,
    key: str = KEY,
    *,
    attempts: int = 1,
    waited: list[float] | None = None,
    timeout_s: float = AMPLE_S,
    read_budget_s: float = 30.0,
    funds_budget_s: float = 30.0,
) -> Iterator[StripePayouts | AwaitedPayouts]:
    """A source over the client of this name, closed at the end. It never really waits: pauses go to `waited`."""
    own = MAKERS[client](connect_timeout_s=timeout_s, read_timeout_s=timeout_s)
    pauses = [] if waited is None else waited
    if client in ASYNC:

        async def pause(seconds: float) -> None:
            pauses.append(seconds)

        twin = AsyncStripePayouts(
            key,
            http_client=own,
            base_address=base_address,
            deadline_s=timeout_s,
            read_budget_s=read_budget_s,
            funds_budget_s=funds_budget_s,
            attempts=attempts,
            sleep=pause,
        )
        try:
            yield AwaitedPayouts(twin)
        finally:
            awaited(twin.aclose())
        return
    source = StripePayouts(
        key,
        http_client=own,
        base_address=base_address,
        read_budget_s=read_budget_s,
        funds_budget_s=funds_budget_s,
        attempts=attempts,
        sleep=pauses.append,
    )
    try:
        yield source
    finally:
        source.close()
