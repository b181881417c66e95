"""`AsyncStripePayouts`: the port to what an account pays out, awaited. The twin of `payouts`; see there."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NoReturn, TypeVar

from refund_adapters.stripe import _payouts, _setup
from refund_adapters.stripe._asking import ask_awaited
from refund_adapters.stripe._payouts import Wait
from refund_adapters.stripe._steps import Call, Reply, Steps
from refund_adapters.stripe.clients import check_seconds
from refund_domain._checks import check_count, check_id
from refund_domain.answers import Missing, Unread
from refund_domain.operations.feeds import Window
from refund_domain.payouts.entries import EntryPage
from refund_domain.payouts.funds import Funds, Payout

if TYPE_CHECKING:
    import stripe

T = TypeVar("T")


class AsyncStripePayouts:
    """Reads balances, payouts and their entries at Stripe: an `AsyncPayoutSource` for asyncio.

    Tasks may share it, and event loops too. As `StripePayouts`, but for time, of which it has a true bound: one
    call is over after `deadline_s`, a reading after `read_budget_s`, that of `funds` after `funds_budget_s`.
    Clients as `AsyncStripeGateway`'s. `sleep` is awaited; without one it is asyncio's.

    >>> AsyncStripePayouts("sk_test_example")
    AsyncStripePayouts(live=False)
    """

    def __init__(
        self,
        secret_key: str,
        *,
        http_client: stripe.HTTPClient | None = None,
        connect_timeout_s: float = 3.0,
        deadline_s: float = 20.0,
        read_budget_s: float = 60.0,
        funds_budget_s: float = 5.0,
        attempts: int = 5,
        backoff_s: float = 0.5,
        sleep: Callable[[float], Awaitable[object]] | None = None,
        base_address: str | None = None,
    ) -> None:
        self._live = _setup.is_live(secret_key)
        check_seconds(connect_timeout_s, "connect_timeout_s")
        check_seconds(deadline_s, "deadline_s")
        check_seconds(read_budget_s, "read_budget_s")
        check_seconds(funds_budget_s, "funds_budget_s")
        check_seconds(backoff_s, "backoff_s")
        check_count(attempts, "attempts", 1, _payouts.ATTEMPTS_MOST)
        self._deadline_s = deadline_s
        self._read_budget_s, self._funds_budget_s = read_budget_s, min(funds_budget_s, read_budget_s)
        self._attempts, self._backoff_s = attempts, backoff_s
        self._sleep = sleep
        self._client, self._transport = _setup.make_client(
            secret_key,
            base_address,
            http_client,
            awaited=True,
            make=lambda: _setup.installed_client(connect_timeout_s=connect_timeout_s, read_timeout_s=deadline_s),
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

    async def funds(self, account: str, /) -> Funds | Unread:
        """The payouts in progress, automatic or not, and the balance of each currency.

        Raises TypeError or ValueError for what is no account's id.
        """
        check_id(account, "account")
        return await self._driven(_payouts.funds(account, live=self._live), self._funds_budget_s)

    async def payout(self, account: str, id: str, /) -> Payout | Missing | Unread:
        """One payout, with when the automatic one of its currency before it was made.

        `Missing` where Stripe says that the account has no such payout. Raises TypeError or ValueError for odd
        ids.
        """
        check_id(account, "account")
        check_id(id, "id")
        return await self._driven(_payouts.payout(account, id, live=self._live))

    async def entries(
        self, account: str, payout: Payout, window: Window | None, after: str | None, /
    ) -> EntryPage | Unread:
        """One page of the entries of this payout, or of its currency's within the window; a hundred at most.

        For `PayoutReading`. Raises TypeError or ValueError for odd arguments.
        """
        _setup.check_entries(account, payout, window, after)
        return await self._driven(_payouts.entries(account, payout, window, after))

    async def holding(self, account: str, refund: str, /) -> Payout | Missing | Unread | None:
        """The payout that this refund (re_…, pyr_…) is in; None while it is in none that says so.

        A payout says what is in it once it is reconciled, so a refund in one that is not yet counts as waiting.
        `Missing` where the account has no such refund. For `where_is`. Raises TypeError or ValueError for odd ids.
        """
        check_id(account, "account")
        check_id(refund, "refund")
        return await self._driven(_payouts.holding(account, refund, live=self._live))

    async def aclose(self) -> None:
        """Close the running loop's connections, others' over the same client too; await it at the end."""
        await self._transport.close_async()  # type: ignore[no-untyped-call]

    async def _driven(self, steps: Steps[T], within_s: float | None = None) -> T:
        """Make the calls of these steps, one after the other, with pauses, inside the budget."""
        ends_at = time.monotonic() + (self._read_budget_s if within_s is None else within_s)
        patient = _payouts.patient(steps, attempts=self._attempts, backoff_s=self._backoff_s)
        try:
            step = next(patient)
            while True:
                if isinstance(step, Wait):
                    step = patient.send(await self._waited(step, ends_at))
                else:
                    step = patient.send(await self._ask(step, ends_at))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # what the generator returned: T

    async def _waited(self, wait: Wait, ends_at: float) -> bool:
        """Wait, if the budget reaches that far; whether it did."""
        from asyncio import sleep  # here: 50 ms that only hosts of asyncio pay

        if time.monotonic() + wait.seconds > ends_at:
            return False
        await (self._sleep or sleep)(wait.seconds)
        return True

    async def _ask(self, call: Call, ends_at: float) -> Reply:
        """One request, within what is left of the budget; of entries what was caught at the transport."""
        within_s = min(ends_at - time.monotonic(), self._deadline_s)
        with self._catching(call) as caught:
            return caught.instead_of(await ask_awaited(self._client, call, self._failed, within_s))
