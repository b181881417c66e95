"""`StripeGateway`: the port to Stripe, over stripe-python, for charges of every kind.

The norm is docs/explanation/stripe-facts.md. Which calls are made stands in `_steps`, what their words mean in
`_translate` and `_faults`, how bytes travel in `clients`. Here they are driven, and nothing else;
`gateway_async` is the twin.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn, TypeVar

from refund_adapters.stripe import _setup, _steps
from refund_adapters.stripe._asking import ask
from refund_adapters.stripe._steps import Failed, Steps
from refund_adapters.stripe.clients import check_seconds, requests_client
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


class StripeGateway:
    """Refunds charges at Stripe: a `PaymentGateway` and a `RefundFeed`, sync, safe to share between threads.

    `secret_key` is a secret or restricted key (sk_live_, sk_test_, rk_live_, rk_test_); in a ref, PLATFORM is the
    account it belongs to. A restricted one needs to write charges and refunds, to read disputes, balance
    transactions, PaymentIntents and checkout sessions, and with Connect application fees and transfers. A look
    at a payment of which the key may not read a part is `Unread`.

    `http_client` is the transport: one of `clients`, shared between the gateways of many tenants if you like, or
    your own (see `clients.check_client`); it brings its own timeouts. Without one it is requests, with
    `connect_timeout_s` for the connecting (once the name is resolved; the system's resolver has limits of its
    own) and `read_timeout_s` for one whole answer. `read_budget_s` bounds a whole reading, of several calls
    maybe: beyond it a look ends as `Unread`, at the latest after the timeouts of the call then under way.
    `base_address` names another server than Stripe's, for tests: https, or http on this machine only.

    Raises TypeError or ValueError for odd arguments, never repeating the key; ImportError without the extra
    `stripe`. Holds one StripeClient with retries off. Nothing process-global is touched: stripe-python's
    telemetry (a random id in ~/.config/stripe), app info and log level stay as the host set them.

    >>> gateway = StripeGateway("sk_test_example")
    >>> gateway, gateway.live
    (StripeGateway(live=False), False)
    """

    def __init__(
        self,
        secret_key: str,
        *,
        http_client: stripe.HTTPClient | None = None,
        connect_timeout_s: float = 3.0,
        read_timeout_s: float = 20.0,
        read_budget_s: float = 60.0,
        base_address: str | None = None,
    ) -> None:
        self._live = _setup.is_live(secret_key)
        check_seconds(connect_timeout_s, "connect_timeout_s")
        check_seconds(read_timeout_s, "read_timeout_s")
        check_seconds(read_budget_s, "read_budget_s")
        self._read_budget_s = read_budget_s
        self._client, self._transport = _setup.make_client(
            secret_key,
            base_address,
            http_client,
            awaited=False,
            make=lambda: requests_client(connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s),
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

    def look(self, ref: PaymentRef, /) -> Look:
        """Read the charge, its refunds to the last page, and its disputes, fee and transfers where it has any.

        `Missing` where Stripe says that the account holds no such charge; `Unread` for every other failure
        and for whatever is odd, contradictory or late. Raises TypeError for what is no PaymentRef.
        """
        check_type(ref, PaymentRef, "ref")
        return self._driven(_steps.look(ref, live=self._live))

    def send(self, ask: Ask, /) -> Answer:
        """Ask for this refund, or this reversal of a transfer, in exactly one POST: explicit amount, one id as key
        and as mark.

        Answers as docs/explanation/stripe-facts.md, "Error classification". Raises TypeError for what is no
        Send and no Reversal; CancelledError, KeyboardInterrupt and SystemExit pass.
        """
        check_type(ask, (Send, Reversal), "ask")
        return self._driven(_steps.send(ask))

    def page(self, account: str, window: Window, subject: Subject, after: str | None, /) -> FeedPage | Unread:
        """One page of the account's refunds or disputes that were created within the window, the newest first.

        For `reconcile_account`, which is given this gateway as its feed. In exactly one request; `Unread` for
        whatever fails or is odd, late or contradictory. Raises TypeError or ValueError for odd arguments.
        """
        _setup.check_page(account, window, subject, after)
        return self._driven(_steps.page(account, window, subject, after, live=self._live))

    def resolve(self, id: str, *, account: str = PLATFORM) -> PaymentRef | Refused:
        """The charge behind a PaymentIntent (pi_), a checkout session (cs_) or a charge's own id, at `account`.

        Resolve before the first quote, once, and store `str(ref)`: a charge has one ref, whatever id your tables
        hold. `account` is where the payment was made: the connected account for a direct charge, PLATFORM for all
        others. `NotFound` where it holds no such thing (no other account is ever tried), `NotCaptured` where no
        money was taken yet. Raises TypeError or ValueError for other ids, `GatewayUnreadable` where Stripe cannot
        be read: try again.
        """
        _setup.check_resolvable(id, account)
        return self._driven(_steps.resolve(id, account, live=self._live))

    def locate(self, signal: Signal) -> Signal:
        """The signal with the charge of its refund or dispute, asked for where the event did not name it.

        Call it before `RefundService.receive`. Any other signal comes back as it is, without a call; so does one
        whose refund or dispute the account does not hold, after it. Raises `GatewayUnreadable` where Stripe cannot
        be read: let your queue bring the signal again.
        """
        check_type(signal, Signal, "signal")
        return self._driven(_steps.locate(signal, live=self._live))

    def close(self) -> None:
        """Close the connections, other gateways' over the same client too; the next call opens new ones."""
        self._transport.close()  # type: ignore[no-untyped-call]

    def _driven(self, steps: Steps[T]) -> T:
        """Make the calls of these steps, one after the other, inside the budget."""
        ends_at = time.monotonic() + self._read_budget_s
        try:
            call = next(steps)
            while True:
                reply = ask(self._client, call, self._failed)
                late = call.key is None and time.monotonic() > ends_at
                call = steps.send(Failed(why="the reading took longer than read_budget_s") if late else reply)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # what the generator returned: T
