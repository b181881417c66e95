"""The two sides of B1 and B2: `issue`, and the same three requests made raw with stripe-python.

A side is prepared before each round (new payments, and the quotes that `issue` needs) and then works on what was
prepared. What it gives is the same for both: whether each refund is of the charge asked for, amount and status.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, Final, Protocol, TypeVar

import stripe

from refund_adapters.memory import AsyncMemoryJournal
from refund_adapters.stripe import MARK, AsyncStripeGateway, StripeGateway
from refund_domain import Actor, AsyncRefundService, IssueRefund, PaymentRef, Refund, RefundService
from refund_domain.ports import RefundJournal
from refund_domain.refusals import Refused
from tests.benchmarks.stripe_answers import AMOUNT_MINOR, HEADERS, answer
from tests.benchmarks.timing import Case

A = TypeVar("A")
B = TypeVar("B")

Told = tuple[bool, int, str | None]
"""What one refund came to: whether it is of the charge asked for, its amount, its status."""

Run = Callable[[Coroutine[Any, Any, list[Told]]], list[Told]]
"""Runs a coroutine on the event loop that is measured."""

KEY: Final = "sk_test_benchmark"
GOOD: Final[Told] = (True, AMOUNT_MINOR, "succeeded")
MARIA: Final = Actor(id="maria", tenant="acme")

_numbers: Final = itertools.count(1)


def fresh(count: int) -> list[str]:
    """The ids of so many charges that nobody has asked for yet."""
    return [f"ch_3Q8sT2LkdIwHu7ix{next(_numbers):08d}" for _ in range(count)]


class Canned(stripe.HTTPClient):
    """An HTTP client that answers from memory, called or awaited. `seen`, where it is a list, is the record."""

    name = "canned"

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] | None = None

    def request(  # type: ignore[override]  # as stripe-python's own clients: the answer is bytes
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        target = url.removeprefix("https://api.stripe.com")
        if self.seen is not None:
            key = headers.get("Idempotency-Key", "no key")
            self.seen.append(f"{method} {target} {post_data or ''} {key}")
        return answer(method.upper(), target, post_data or ""), 200, HEADERS

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        return self.request(method, url, headers, post_data)

    def close(self) -> None:
        """Nothing is open."""

    async def close_async(self) -> None:
        """Nothing is open."""


class Side(Protocol):
    """What is timed on one side; `prepare` runs before each round and is not timed."""

    def prepare(self) -> None: ...

    def work(self) -> list[Told]: ...


def cases(name: str, count: int, reach: str, ours: Side, raw: Side, **others: Side) -> list[Case]:
    """`issue` against the same calls raw; and what else there is, by its name, against `issue`."""
    issue, same, good = f"issue, {name}", f"the same calls raw, {name}", [GOOD] * count
    made = [(issue, ours, same, reach), (same, raw, None, "")]
    made += [(f"the same as {words}, {name}", side, issue, "") for words, side in others.items()]
    return [
        Case(
            name=words,
            prepare=side.prepare,
            work=side.work,
            calls=count,
            answer=good,
            reach=to_reach,
            against=against,
        )
        for words, side, against, to_reach in made
    ]


# --- the raw side -------------------------------------------------------------------------------------------


def looking() -> Any:
    """The parameters of the charge, as the gateway asks for it."""
    return {"expand": ["balance_transaction"]}


def listing(charge: str) -> Any:
    """The parameters of the list of refunds, as the gateway asks for it."""
    return {"limit": 100, "charge": charge, "expand": ["data.balance_transaction"]}


def creating(charge: str, mark: str) -> Any:
    """The parameters of the refund, as the gateway asks for it."""
    return {
        "charge": charge,
        "amount": AMOUNT_MINOR,
        "reason": "requested_by_customer",
        "metadata": {MARK: mark},
    }


def make_raw(http_client: stripe.HTTPClient, address: str | None = None) -> stripe.StripeClient:
    """stripe-python's client without retries, as the gateway has it."""
    bases: Any = {} if address is None else {"api": address}
    return stripe.StripeClient(KEY, http_client=http_client, base_addresses=bases, max_network_retries=0)


def nothing_written() -> None:
    """The raw side of B1 keeps no journal."""


def as_objects(client: stripe.StripeClient, charge: str, written: Callable[[], None] = nothing_written) -> Told:
    """What a host would write without this library: the same three calls, the same parameters."""
    mark = os.urandom(16).hex()
    client.v1.charges.retrieve(charge, looking())
    client.v1.refunds.list(listing(charge))
    written()
    made = client.v1.refunds.create(creating(charge, mark), {"idempotency_key": mark})
    return made.charge == charge, made.amount, made.status


def as_json(client: stripe.StripeClient, charge: str, written: Callable[[], None] = nothing_written) -> Told:
    """The least stripe-python can be asked to do: raw requests, which build no objects of its own."""
    mark = os.urandom(16).hex()
    client.raw_request("get", f"/v1/charges/{charge}", **looking())
    client.raw_request("get", "/v1/refunds", **listing(charge))
    written()
    made = client.raw_request("post", "/v1/refunds", **creating(charge, mark), idempotency_key=mark).data
    return made["charge"] == charge, made["amount"], made["status"]


async def as_objects_awaited(client: stripe.StripeClient, charge: str) -> Told:
    """`as_objects`, awaited."""
    mark = os.urandom(16).hex()
    await client.v1.charges.retrieve_async(charge, looking())
    await client.v1.refunds.list_async(listing(charge))
    made = await client.v1.refunds.create_async(creating(charge, mark), {"idempotency_key": mark})
    return made.charge == charge, made.amount, made.status


class RawCalls:
    """The raw side, one payment after the other."""

    def __init__(self, call: Callable[[str], Told], count: int) -> None:
        self._call, self._count = call, count
        self._charges: list[str] = []

    def prepare(self) -> None:
        """Name new charges."""
        self._charges = fresh(self._count)

    def work(self) -> list[Told]:
        """Look at each and refund it."""
        return [self._call(charge) for charge in self._charges]


class RawCallsAwaited:
    """The raw side, `at_once` payments at a time."""

    def __init__(self, client: stripe.StripeClient, run: Run, count: int, at_once: int) -> None:
        self._client, self._run, self._count, self._at_once = client, run, count, at_once
        self._charges: list[str] = []

    def prepare(self) -> None:
        """Name new charges."""
        self._charges = fresh(self._count)

    def work(self) -> list[Told]:
        """Look at each and refund it."""
        return self._run(
            each(lambda charge: as_objects_awaited(self._client, charge), self._charges, self._at_once)
        )


# --- our side -----------------------------------------------------------------------------------------------


def told(command: IssueRefund, said: Refund | Refused) -> Told:
    """What `issue` gave, in the words of the raw side."""
    if isinstance(said, Refused):
        return False, 0, None
    return said.payment == command.payment, said.amount.amount_minor, str(said.status)


def allowed(*_: object) -> bool:
    """Everybody may everything here."""
    return True


async def allowed_awaited(*_: object) -> bool:
    """Everybody may everything here, awaited."""
    return True


class Issues:
    """Our side, one payment after the other. `journal` makes the journal of a round."""

    def __init__(self, gateway: StripeGateway, journal: Callable[[], RefundJournal], count: int) -> None:
        self._gateway, self._journal, self._count = gateway, journal, count
        self._service = RefundService(gateway, journal(), allow=allowed)
        self._commands: list[IssueRefund] = []

    def prepare(self) -> None:
        """Quote new payments."""
        service = self._service = RefundService(self._gateway, self._journal(), allow=allowed)
        refs = [PaymentRef("platform", charge) for charge in fresh(self._count)]
        self._commands = [service.quote(ref, by=MARIA).verified(by=MARIA) for ref in refs]

    def work(self) -> list[Told]:
        """Issue each refund."""
        issue = self._service.issue
        return [told(command, issue(command)) for command in self._commands]


class IssuesAwaited:
    """Our side, `at_once` payments at a time, with a journal in memory."""

    def __init__(self, gateway: AsyncStripeGateway, run: Run, count: int, at_once: int) -> None:
        self._gateway, self._run, self._count, self._at_once = gateway, run, count, at_once
        self._service = AsyncRefundService(gateway, AsyncMemoryJournal(), allow=allowed_awaited)
        self._commands: list[IssueRefund] = []

    def prepare(self) -> None:
        """Quote new payments."""
        service = self._service = AsyncRefundService(self._gateway, AsyncMemoryJournal(), allow=allowed_awaited)
        refs = [PaymentRef("platform", charge) for charge in fresh(self._count)]
        commands: list[IssueRefund] = []

        async def quote(ref: PaymentRef) -> Told:
            commands.append((await service.quote(ref, by=MARIA)).verified(by=MARIA))
            return GOOD

        self._run(each(quote, refs, self._at_once))
        self._commands = commands

    def work(self) -> list[Told]:
        """Issue each refund."""
        service = self._service

        async def issue(command: IssueRefund) -> Told:
            return told(command, await service.issue(command))

        return self._run(each(issue, self._commands, self._at_once))


async def each(work: Callable[[A], Awaitable[B]], items: Iterable[A], at_once: int) -> list[B]:
    """The work done on every item, `at_once` of them at a time."""
    left, done = iter(items), list[B]()

    async def worker() -> None:
        for item in left:
            done.append(await work(item))

    await asyncio.gather(*[worker() for _ in range(at_once)])
    return done
