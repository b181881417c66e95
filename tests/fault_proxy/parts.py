"""The two ends that the faults stand between: a double of Stripe, and gateway and service over each client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import stripe

from refund_adapters.memory import MemoryBank
from refund_adapters.stripe import MARK, AsyncStripeGateway, StripeGateway, clients
from refund_domain import Actor, AsyncRefundService, IssueRefund, Quote, Refund, RefundService
from refund_domain.answers import Answer, Ask, Look, Send, Unread
from refund_domain.commands import Reason
from refund_domain.connect import PLATFORM, PlatformCharge, Split
from refund_domain.events import Event
from refund_domain.money import Money
from refund_domain.operations.feeds import FeedPage, Window
from refund_domain.payments import PaymentRef, Ref
from refund_domain.ports import Head, Loaded, RefundJournal, Tailed
from refund_domain.refusals import Refused
from refund_domain.service.stream import Recovery, Waiting
from refund_domain.signals import Subject
from refund_domain.testing.laws_feed import Feeding
from refund_domain.views import PaymentView
from tests import canaries
from tests.stripe_double.double import StripeDouble
from tests.stripe_mock import server

KEY = canaries.KEY
AMOUNT = Money.parse("200.00", "USD")
EARLY_S = 0.5
"""The time a client is given where the answer is to come too late."""
LONG_S = 20.0
"""So long that no load of the machine makes an answer late."""


class Client(StrEnum):
    """The HTTP clients of the gateways: two for the sync one, two for its twin."""

    REQUESTS = "requests"
    HTTPX = "httpx"
    HTTPX_ASYNC = "httpx-async"
    AIOHTTP = "aiohttp"

    @property
    def is_async(self) -> bool:
        """Whether it is one of the twin's."""
        return self in (Client.HTTPX_ASYNC, Client.AIOHTTP)


ALL = tuple(Client)


@contextlib.contextmanager
def gateway(client: Client, address: str, within_s: float = LONG_S) -> Iterator[Feeding]:
    """A gateway over this client to this address, each call within this time; the twin is awaited for the test."""
    if client.is_async:
        with _twin(client, address, within_s) as (port, runner):
            yield _AwaitedGateway(port, runner)
    else:
        with contextlib.closing(_sync(client, address, within_s)) as port:
            yield port


def _http_client(client: Client, within_s: float) -> stripe.HTTPClient:
    stripe.enable_telemetry = False  # or stripe-python writes its id into the home of whoever runs the tests
    match client:
        case Client.REQUESTS:
            return clients.requests_client(connect_timeout_s=within_s, read_timeout_s=within_s)
        case Client.HTTPX:
            return clients.httpx_client(connect_timeout_s=within_s, read_timeout_s=within_s)
        case Client.HTTPX_ASYNC:  # of the twin the gateway's own deadline is what is tried
            return clients.httpx_client(connect_timeout_s=LONG_S, read_timeout_s=LONG_S)
        case Client.AIOHTTP:
            return clients.aiohttp_client(connect_timeout_s=LONG_S, read_timeout_s=LONG_S)


def _sync(client: Client, address: str, within_s: float) -> StripeGateway:
    http_client = _http_client(client, within_s)
    return StripeGateway(KEY, http_client=http_client, base_address=address, read_budget_s=within_s * 2)


@contextlib.contextmanager
def _twin(client: Client, address: str, within_s: float) -> Iterator[tuple[AsyncStripeGateway, asyncio.Runner]]:
    """The twin, and the one event loop in which it is awaited, so that it keeps its connections."""
    http_client = _http_client(client, within_s)
    port = AsyncStripeGateway(
        KEY, http_client=http_client, base_address=address, deadline_s=within_s, read_budget_s=within_s * 2
    )
    with asyncio.Runner() as runner:
        try:
            yield port, runner
        finally:
            runner.run(port.aclose())


class _AwaitedGateway:
    """The twin as the sync ports. Its loop turns between calls, as a host's does: it hears of closing."""

    live = False

    def __init__(self, port: AsyncStripeGateway, runner: asyncio.Runner) -> None:
        self._port = port
        self._runner = runner

    def look(self, ref: PaymentRef, /) -> Look:
        self._runner.run(asyncio.sleep(0.01))
        return self._runner.run(self._port.look(ref))

    def send(self, send: Ask, /) -> Answer:
        self._runner.run(asyncio.sleep(0.01))
        return self._runner.run(self._port.send(send))

    def page(self, account: str, window: Window, subject: Subject, after: str | None, /) -> FeedPage | Unread:
        self._runner.run(asyncio.sleep(0.01))
        return self._runner.run(self._port.page(account, window, subject, after))


class Service(Protocol):
    """What the tests use of a service, sync or async."""

    def quote(self, ref: PaymentRef, *, by: Actor) -> Quote:
        """As `RefundService.quote`."""

    def issue(self, command: IssueRefund) -> Refund | Refused:
        """As `RefundService.issue`."""

    def recover(self) -> Recovery:
        """As `RefundService.recover`."""

    def show(self, ref: PaymentRef, *, by: Actor) -> PaymentView | Refused:
        """As `RefundService.show`."""

    def attention(self, *, by: Actor) -> tuple[Waiting, ...] | Refused:
        """As `RefundService.attention`."""


@contextlib.contextmanager
def service(client: Client, address: str, journal: RefundJournal, within_s: float = LONG_S) -> Iterator[Service]:
    """A service over a gateway over this client; over the async ones it is the async service, awaited."""
    if client.is_async:
        with async_service(client, address, journal, within_s) as (refunds, runner):
            yield AwaitedService(refunds, runner)
    else:
        with contextlib.closing(_sync(client, address, within_s)) as port:
            yield RefundService(port, journal, allow=lambda *_: True)


@contextlib.contextmanager
def async_service(
    client: Client, address: str, journal: RefundJournal, within_s: float = LONG_S
) -> Iterator[tuple[AsyncRefundService, asyncio.Runner]]:
    """The async service over a twin over this client, and the event loop to await it in."""
    with _twin(client, address, within_s) as (port, runner):
        yield AsyncRefundService(port, _AsyncJournal(journal), allow=_anybody), runner


async def _anybody(*_: object) -> bool:
    return True


class AwaitedService:
    """The async service as a `Service`."""

    def __init__(self, refunds: AsyncRefundService, runner: asyncio.Runner) -> None:
        self._refunds = refunds
        self._runner = runner

    def quote(self, ref: PaymentRef, *, by: Actor) -> Quote:
        return self._runner.run(self._refunds.quote(ref, by=by))

    def issue(self, command: IssueRefund) -> Refund | Refused:
        return self._runner.run(self._refunds.issue(command))

    def recover(self) -> Recovery:
        return self._runner.run(self._refunds.recover())

    def show(self, ref: PaymentRef, *, by: Actor) -> PaymentView | Refused:
        return self._runner.run(self._refunds.show(ref, by=by))

    def attention(self, *, by: Actor) -> tuple[Waiting, ...] | Refused:
        return self._runner.run(self._refunds.attention(by=by))


class _AsyncJournal:
    """A sync journal as an `AsyncRefundJournal`: it is quick, and nothing else waits in the loop."""

    def __init__(self, journal: RefundJournal) -> None:
        self._journal = journal

    @property
    def durable(self) -> bool:
        return self._journal.durable

    @property
    def in_transaction(self) -> bool:
        return self._journal.in_transaction

    async def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        return self._journal.load(ref, after)

    async def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        return self._journal.append(ref, events, expected=expected, head=head)

    async def due(self, limit: int, /) -> tuple[PaymentRef, ...]:
        return self._journal.due(limit)

    async def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]:
        return self._journal.waiting(tenant, limit)

    async def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        return self._journal.tail(after, limit)


class Double(Protocol):
    """A double of Stripe that holds charges and refunds, asked behind the proxy's back."""

    @property
    def base_address(self) -> str:
        """Where it listens."""

    def charge(self) -> PaymentRef:
        """A card payment of 200.00 USD, taken by the platform."""

    def refund_elsewhere(self, ref: PaymentRef, amount_minor: int) -> None:
        """Give a part back, as a person at the dashboard would."""

    def ids(self, ref: PaymentRef) -> list[str]:
        """The double's own id of each refund of this payment."""

    def marks(self, ref: PaymentRef) -> list[str | None]:
        """The mark of each refund of this payment, None for others': as many as were really made."""


class OurDouble:
    """Our own: the bank in memory behind an HTTP face, by a clock that a test moves."""

    def __init__(self, bank: MemoryBank, running: StripeDouble) -> None:
        self.bank = bank
        self.base_address = running.base_address

    def charge(self) -> PaymentRef:
        return self.bank.charge(AMOUNT)

    def refund_elsewhere(self, ref: PaymentRef, amount_minor: int) -> None:
        self.bank.elsewhere(ref, Money(amount_minor, AMOUNT.currency))

    def ids(self, ref: PaymentRef) -> list[str]:
        return [refund.id for refund in self.bank.refunds(ref)]

    def marks(self, ref: PaymentRef) -> list[str | None]:
        return [refund.mark for refund in self.bank.refunds(ref)]


class Mock:
    """The one that others wrote: what it and ours agree on is no mistake of ours alone."""

    def __init__(self) -> None:
        self._mock = server.shared()
        self.base_address = self._mock.base_address

    def charge(self) -> PaymentRef:
        return PaymentRef(PLATFORM, self._mock.charge(AMOUNT.amount_minor))

    def refund_elsewhere(self, ref: PaymentRef, amount_minor: int) -> None:
        self._mock.refund(ref.charge, amount_minor)

    def ids(self, ref: PaymentRef) -> list[str]:
        return [refund["id"] for refund in self._mock.refunds(ref.charge)]

    def marks(self, ref: PaymentRef) -> list[str | None]:
        return [refund["metadata"].get(MARK) for refund in self._mock.refunds(ref.charge)]


def send_of(ref: PaymentRef, split: Split = PlatformCharge()) -> Send:  # noqa: B008 (it is frozen)
    """The request to refund all of this payment, under an id of its own."""
    return Send(
        refund_id=f"r-{ref.charge}",
        claim=1,
        payment=ref,
        amount=AMOUNT,
        reason=Reason.REQUESTED_BY_CUSTOMER,
        split=split,
    )
