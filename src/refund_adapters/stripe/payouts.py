"""`StripePayouts`: the port to what an account holds and pays out at Stripe, over stripe-python's client.

The norm is docs/explanation/stripe-facts.md, "Funds, payouts, fees". Which calls are made stands in `_payouts`,
how entries are read from the bytes of an answer in `_entries`. Here they are driven, and nothing else;
`payouts_async` is the twin.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from refund_adapters.stripe import _payouts, _setup
from refund_adapters.stripe._asking import ask
from refund_adapters.stripe._payouts import Wait
from refund_adapters.stripe._steps import Call, Failed, Reply, Steps
from refund_adapters.stripe.clients import check_seconds, requests_client
from refund_domain._checks import check_count, check_id
from refund_domain.answers import Missing, Unread
from refund_domain.operations.feeds import Window
from refund_domain.payouts.entries import EntryPage
from refund_domain.payouts.funds import Funds, Payout

if TYPE_CHECKING:
    import stripe

T = TypeVar("T")

SLEEP: Final[Callable[[float], object]] = time.sleep


class StripePayouts:
    """Reads balances, payouts and their entries at Stripe: a `PayoutSource`, sync, safe to share between threads.

    It only reads. A restricted key needs to read balance, balance transactions and payouts, and refunds for
    `holding`; with Connect the same of connected accounts. What entries are about (`About`) is told as far as the
    key may read charges, refunds and disputes. `secret_key`, `http_client`, `base_address` and the times are as
    `StripeGateway`'s; share its HTTP client if you like.

    A read that Stripe slows down (429), breaks on (5xx) or does not answer readably is made again, `attempts`
    times in all, after `backoff_s` and then twice as long each time, at most 8 s, as far as `read_budget_s`
    reaches; `sleep` is how it waits. Each call of this class is one reading with a budget of its own; that of
    `funds` is `funds_budget_s`, for a person waits for the quote, and a forecast is not worth waiting for.

    Raises TypeError or ValueError for odd arguments, never repeating the key; ImportError without the extra
    `stripe`.

    >>> payouts = StripePayouts("sk_test_example")
    >>> payouts, payouts.live
    (StripePayouts(live=False), False)
    """

    def __init__(
        self,
        secret_key: str,
        *,
        http_client: stripe.HTTPClient | None = None,
        connect_timeout_s: float = 3.0,
        read_timeout_s: float = 20.0,
        read_budget_s: float = 60.0,
        funds_budget_s: float = 5.0,
        attempts: int = 5,
        backoff_s: float = 0.5,
        sleep: Callable[[float], object] = SLEEP,
        base_address: str | None = None,
    ) -> None:
        self._live = _setup.is_live(secret_key)
        check_seconds(connect_timeout_s, "connect_timeout_s")
        check_seconds(read_timeout_s, "read_timeout_s")
        check_seconds(read_budget_s, "read_budget_s")
        check_seconds(funds_budget_s, "funds_budget_s")
        check_seconds(backoff_s, "backoff_s")
        check_count(attempts, "attempts", 1, _payouts.ATTEMPTS_MOST)
        self._read_budget_s, self._funds_budget_s = read_budget_s, min(funds_budget_s, read_budget_s)
        self._attempts, self._backoff_s = attempts, backoff_s
        self._sleep = sleep
        self._client, self._transport = _setup.make_client(
            secret_key,
            base_address,
            http_client,
            awaited=False,
            make=lambda: requests_client(connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s),
            entries=True,
        )
        from refund_adapters.stripe._entries import catching
        from refund_adapters.stripe._guard import failed

        self._catching, self._failed = catching, failed

    @property
    def live(self) -> bool:
        """Whether real money moves: the key is a live one."""
        return self._live

    def __repr__(self) -> str:
        return f"{type(self).__name__}(live={self._live})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a source of payouts holds a secret key and is never pickled or copied; make a new one")

    def funds(self, account: str, /) -> Funds | Unread:
        """The payouts in progress, automatic or not, and the balance of each currency.

        Raises TypeError or ValueError for what is no account's id.
        """
        check_id(account, "account")
        return self._driven(_payouts.funds(account, live=self._live), self._funds_budget_s)

    def payout(self, account: str, id: str, /) -> Payout | Missing | Unread:
        """One payout, with when the automatic one of its currency before it was made.

        `Missing` where Stripe says that the account has no such payout. Raises TypeError or ValueError for odd
        ids.
        """
        check_id(account, "account")
        check_id(id, "id")
        return self._driven(_payouts.payout(account, id, live=self._live))

    def entries(
        self, account: str, payout: Payout, window: Window | None, after: str | None, /
    ) -> EntryPage | Unread:
        """One page of the entries of this payout, or of its currency's within the window; a hundred at most.

        For `PayoutReading`. Raises TypeError or ValueError for odd arguments.
        """
        _setup.check_entries(account, payout, window, after)
        return self._driven(_payouts.entries(account, payout, window, after))

    def holding(self, account: str, refund: str, /) -> Payout | Missing | Unread | None:
        """The payout that this refund (re_…, pyr_…) is in; None while it is in none that says so.

        A payout says what is in it once it is reconciled, so a refund in one that is not yet counts as waiting.
        `Missing` where the account has no such refund. For `where_is`. Raises TypeError or ValueError for odd ids.
        """
        check_id(account, "account")
        check_id(refund, "refund")
        return self._driven(_payouts.holding(account, refund, live=self._live))

    def close(self) -> None:
        """Close the connections, others' over the same client too; the next call opens new ones."""
        self._transport.close()  # type: ignore[no-untyped-call]

    def _driven(self, steps: Steps[T], within_s: float | None = None) -> T:
        """Make the calls of these steps, one after the other, with pauses, inside the budget."""
        ends_at = time.monotonic() + (self._read_budget_s if within_s is None else within_s)
        patient = _payouts.patient(steps, attempts=self._attempts, backoff_s=self._backoff_s)
        try:
            step = next(patient)
            while True:
                reply = self._waited(step, ends_at) if isinstance(step, Wait) else self._ask(step, ends_at)
                step = patient.send(reply)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # what the generator returned: T

    def _waited(self, wait: Wait, ends_at: float) -> bool:
        """Wait, if the budget reaches that far; whether it did."""
        if time.monotonic() + wait.seconds > ends_at:
            return False
        self._sleep(wait.seconds)
        return True

    def _ask(self, call: Call, ends_at: float) -> Reply:
        """One request; of entries what was caught at the transport."""
        with self._catching(call) as caught:
            reply = caught.instead_of(ask(self._client, call, self._failed))
        late = time.monotonic() > ends_at
        return Failed(why="the reading took too long") if late else reply
