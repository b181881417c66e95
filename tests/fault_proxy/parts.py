"""The two ends that the faults stand between: a double of Stripe, and the gateway over each HTTP client."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import StrEnum
from typing import Protocol

import stripe

from refund_adapters.stripe import MARK, StripeGateway
from refund_domain import Actor, IssueRefund, Quote, Refund, RefundService
from refund_domain.answers import Send
from refund_domain.commands import Reason
from refund_domain.connect import PLATFORM, PlatformCharge
from refund_domain.money import Money
from refund_domain.payments import PaymentRef
from refund_domain.ports import PaymentGateway, RefundJournal
from refund_domain.refusals import Refused
from refund_domain.stream import Recovery, Waiting
from refund_domain.views import PaymentView
from tests.stripe_mock import server

KEY = server.KEY
AMOUNT = Money.parse("200.00", "USD")
EARLY_S = 0.5
"""The time a client is given where the answer is to come too late."""


class Client(StrEnum):
    """The HTTP clients of stripe-python."""

    REQUESTS = "requests"


ALL = tuple(Client)


@contextlib.contextmanager
def gateway(client: Client, address: str, within_s: float = 10.0) -> Iterator[PaymentGateway]:
    """A gateway over this client to this address, each call within this time."""
    stripe.enable_telemetry = False  # or stripe-python writes its id into the home of whoever runs the tests
    match client:
        case Client.REQUESTS:
            yield StripeGateway(
                KEY,
                base_address=address,
                connect_timeout_s=within_s,
                read_timeout_s=within_s,
                read_budget_s=within_s * 2,
            )


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
def service(client: Client, address: str, journal: RefundJournal, within_s: float = 20.0) -> Iterator[Service]:
    """A service over a gateway over this client."""
    with gateway(client, address, within_s) as port:
        yield RefundService(port, journal, allow=lambda *_: True)


class Double:
    """A double of Stripe that holds charges and refunds."""

    def __init__(self) -> None:
        self._mock = server.shared()
        self.base_address = self._mock.base_address

    def charge(self) -> PaymentRef:
        """A card payment of 200.00 USD, taken by the platform."""
        return PaymentRef(PLATFORM, self._mock.charge(AMOUNT.amount_minor))

    def refund_elsewhere(self, ref: PaymentRef, amount_minor: int) -> None:
        """Give a part back, as a person at the dashboard would."""
        self._mock.refund(ref.charge, amount_minor)

    def ids(self, ref: PaymentRef) -> list[str]:
        """The double's own id of each refund of this payment."""
        return [refund["id"] for refund in self._mock.refunds(ref.charge)]

    def marks(self, ref: PaymentRef) -> list[str | None]:
        """The mark of each refund of this payment, None for others': as many as were really made."""
        refunds = self._mock.refunds(ref.charge)
        return [refund["metadata"].get(MARK) for refund in refunds]


def send_of(ref: PaymentRef) -> Send:
    """The request to refund all of this payment, under an id of its own."""
    return Send(
        refund_id=f"r-{ref.charge}",
        claim=1,
        payment=ref,
        amount=AMOUNT,
        reason=Reason.REQUESTED_BY_CUSTOMER,
        split=PlatformCharge(),
    )
