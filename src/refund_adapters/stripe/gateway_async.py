"""`AsyncStripeGateway`: the port to Stripe, awaited. The twin of `gateway`; see there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn, TypeVar

from refund_adapters.stripe import _setup, _steps
from refund_adapters.stripe._asking import ask_awaited
from refund_adapters.stripe._steps import Steps
from refund_adapters.stripe.clients import check_seconds
from refund_domain._checks import check_type
from refund_domain.answers import Answer, Ask, Look, Reversal, Send, Unread
from refund_domain.connect import PLATFORM
from refund_domain.operations.feeds import FeedPage, Window
from refund_domain.payments import PaymentRef
from refund_domain.refusals import Refused
from refund_domain.signals import Signal, Subject

if TYPE_CHECKING:
    import stripe

T = TypeVar("T")


class AsyncStripeGateway:
    """Refunds charges at Stripe: an `AsyncPaymentGateway` and an `AsyncRefundFeed` for asyncio.

    Tasks may share it, and event loops too. As `StripeGateway`, but for time, of which it has a true bound:
    whatever Stripe, a proxy or the network do, one call is over after `deadline_s` and a look after
    `read_budget_s`. `connect_timeout_s` bounds the connecting within that. Without an `http_client` it is httpx,
    or aiohttp where httpx is not installed (extras `stripe-httpx`, `stripe-aiohttp`); `clients.aiohttp_client()`
    is the faster one. A client given brings its own timeouts for connecting and reading, under the same deadline;
    only those of `clients` serve several loops.

    A task that is cancelled while it sends leaves the refund in doubt, as a crash does; recovery looks.

    >>> AsyncStripeGateway("sk_test_example")
    AsyncStripeGateway(live=False)
    """

    def __init__(
        self,
        secret_key: str,
        *,
        http_client: stripe.HTTPClient | None = None,
        connect_timeout_s: float = 3.0,
        deadline_s: float = 20.0,
        read_budget_s: float = 60.0,
        base_address: str | None = None,
    ) -> None:
        self._live = _setup.is_live(secret_key)
        check_seconds(connect_timeout_s, "connect_timeout_s")
        check_seconds(deadline_s, "deadline_s")
        check_seconds(read_budget_s, "read_budget_s")
        self._deadline_s, self._read_budget_s = deadline_s, read_budget_s
        self._client, self._transport = _setup.make_client(
            secret_key,
            base_address,
            http_client,
            awaited=True,
            make=lambda: _setup.installed_client(connect_timeout_s=connect_timeout_s, read_timeout_s=deadline_s),
        )
        from refund_adapters.stripe._guard import failed

        self._failed = failed

    @property
    def live(self) -> bool:
        """Whether real money moves: the key is a live one."""
        return self._live

    def __repr__(self) -> str:
        return f"{type(self).__name__}(live={self._live})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a gateway holds a secret key and is never pickled or copied; make a new one")

    async def look(self, ref: PaymentRef, /) -> Look:
        """Read the charge, its refunds to the last page, and its disputes, fee and transfers where it has any.

        `Missing` where Stripe says that the account holds no such charge; `Unread` for every other failure
        and for whatever is odd, contradictory or late. Raises TypeError for what is no PaymentRef.
        """
        check_type(ref, PaymentRef, "ref")
        return await self._driven(_steps.look(ref, live=self._live))

    async def send(self, ask: Ask, /) -> Answer:
        """Ask for this refund, or this reversal of a transfer, in exactly one POST: explicit amount, one id as key
        and as mark.

        Answers as docs/explanation/stripe-facts.md, "Error classification". Raises TypeError for what is no
        Send and no Reversal; CancelledError, KeyboardInterrupt and SystemExit pass.
        """
        check_type(ask, (Send, Reversal), "ask")
        return await self._driven(_steps.send(ask))

    async def page(
        self, account: str, window: Window, subject: Subject, after: str | None, /
    ) -> FeedPage | Unread:
        """One page of the account's refunds or disputes that were created within the window, the newest first.

        For `reconcile_account`, which is given this gateway as its feed. In exactly one request; `Unread` for
        whatever fails or is odd, late or contradictory. Raises TypeError or ValueError for odd arguments.
        """
        _setup.check_page(account, window, subject, after)
        return await self._driven(_steps.page(account, window, subject, after, live=self._live))

    async def resolve(self, id: str, *, account: str = PLATFORM) -> PaymentRef | Refused:
        """The charge behind a PaymentIntent (pi_), a checkout session (cs_) or a charge's own id, at `account`.

        Resolve before the first quote, once, and store `str(ref)`: a charge has one ref, whatever id your tables
        hold. `account` is where the payment was made: the connected account for a direct charge, PLATFORM for all
        others. `NotFound` where it holds no such thing (no other account is ever tried), `NotCaptured` where no
        money was taken yet. Raises TypeError or ValueError for other ids, `GatewayUnreadable` where Stripe cannot
        be read: try again.
        """
        _setup.check_resolvable(id, account)
        return await self._driven(_steps.resolve(id, account, live=self._live))

    async def locate(self, signal: Signal) -> Signal:
        """The signal with the charge of its refund or dispute, asked for where the event did not name it.

        Call it before `AsyncRefundService.receive`. Any other signal comes back as it is, without a call; so does
        one whose refund or dispute the account does not hold, after it. Raises `GatewayUnreadable` where Stripe
        cannot be read: let your queue bring the signal again.
        """
        check_type(signal, Signal, "signal")
        return await self._driven(_steps.locate(signal, live=self._live))

    async def aclose(self) -> None:
        """Close the running loop's connections, other gateways' over the same client too; await it at the end."""
        await self._transport.close_async()  # type: ignore[no-untyped-call]

    async def _driven(self, steps: Steps[T]) -> T:
        """Make the calls of these steps, one after the other, inside the budget."""
        ends_at = time.monotonic() + self._read_budget_s
        try:
            call = next(steps)
            while True:
                left_s = self._deadline_s if call.key is not None else ends_at - time.monotonic()
                within_s = min(left_s, self._deadline_s)
                call = steps.send(await ask_awaited(self._client, call, self._failed, within_s))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # what the generator returned: T
