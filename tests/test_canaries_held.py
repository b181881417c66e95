"""What holds a secret keeps it: services, gateways, clients and endpoints, shown, pickled, copied or in a frame.

And a host's own exception is let through as it is, with nothing added.
"""

from __future__ import annotations

import asyncio
import copy
import pickle
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
import stripe

from refund_adapters.memory import MemoryBank, MemoryGateway
from refund_adapters.sql import SqliteJournal
from refund_adapters.stripe import AsyncStripeGateway, StripeGateway, clients
from refund_adapters.stripe.webhooks import StripeWebhooks
from refund_domain import AsyncRefundService, Money, RefundService
from refund_domain.payments import Ref
from refund_domain.ports import Loaded
from refund_domain.quotes import Booking, NotTried
from tests.adapters.hostile_server import hostile_server, silence
from tests.adapters.stripe_clients import awaited
from tests.adapters.test_stripe_hostile import _send
from tests.canaries import KEY, LIVE_KEY, TEXT, WEBHOOK_SECRET, found_in, linked, locals_of, safe_repr, silent
from tests.domain.worlds import MARIA, AwaitedJournal, Clock, anybody

SCRUBBED: Final = {"headers", "secret_key", "secrets", "secret", "msg", "data"}
"""The names under which a key or secret stands in frames; SECURITY.md tells hosts to scrub each."""

SECURITY: Final = Path(__file__).parents[1] / "SECURITY.md"

MAKERS: Final = {
    "requests": clients.requests_client,
    "httpx": clients.httpx_client,
    "aiohttp": clients.aiohttp_client,
}


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep stripe-python from writing its id into the home of whoever runs the tests."""
    monkeypatch.setattr(stripe, "enable_telemetry", False)


async def anyone(*_: object) -> bool:
    """Everybody may do everything."""
    return True


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """A journal in a file, with a clock that stands still."""
    with closing(SqliteJournal(tmp_path / "refunds.db", clock=Clock())) as made:
        yield made


# --- shown, pickled, copied -------------------------------------------------------------------------------------


def test_no_holder_of_a_secret_is_pickled_copied_or_shows_it(journal: SqliteJournal) -> None:
    """Gateways and endpoints refuse; a service refuses with its gateway; the members of none repeat a secret."""
    gateway, twin = StripeGateway(LIVE_KEY), AsyncStripeGateway(LIVE_KEY)
    service = RefundService(gateway, journal, allow=anybody)
    hooks = StripeWebhooks(WEBHOOK_SECRET, live=True)
    holders = [gateway, twin, hooks, service, AsyncRefundService(twin, AwaitedJournal(journal), allow=anyone)]
    for holder in holders:
        assert not found_in(f"{holder!r} {holder} {vars(holder)!r}")
        takes: list[Callable[[object], object]] = [pickle.dumps, copy.deepcopy]
        for take in takes:
            with pytest.raises(TypeError) as refused:
                take(holder)
            assert silent(refused.value)


@pytest.mark.parametrize("name", MAKERS)
def test_a_client_holds_no_key_after_its_use(name: str) -> None:
    """The key travels with each request: members and copies of a used client have none, and it does not pickle."""
    client = MAKERS[name]()
    if name == "aiohttp":
        gateway = AsyncStripeGateway(KEY, http_client=client, base_address="http://127.0.0.1:9")
        awaited(gateway.send(_send()))
        close = lambda: awaited(gateway.aclose())  # noqa: E731
    else:
        StripeGateway(KEY, http_client=client, base_address="http://127.0.0.1:9").send(_send())
        close = client.close
    for shown in (client, copy.copy(client)):
        assert not found_in(f"{shown!r} {vars(shown)!r}")
        for member in vars(shown).values():
            assert not found_in(f"{member!r} {getattr(member, '__dict__', '')!r}")
    with pytest.raises(TypeError) as refused:
        pickle.dumps(client)
    assert silent(refused.value)
    close()  # type: ignore[no-untyped-call]


# --- in frames --------------------------------------------------------------------------------------------------


def names_that_tell(error: BaseException) -> set[tuple[str, str]]:
    """Where in the frames behind this exception a canary stands: the module's package, the local's name."""
    found = set()
    for each in linked(error):
        for module, name, local in locals_of(each):
            if module.split(".")[0] != __name__.split(".")[0] and found_in(safe_repr(local)):
                found.add((module.split(".")[0], name))
    return found


@pytest.mark.parametrize("name", ["requests", "httpx"])
def test_an_interrupted_send_tells_the_key_in_headers_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only an interrupt leaves a send; of the frames behind it ours hold the key as a request's headers only."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    gateway = StripeGateway(KEY, http_client=MAKERS[name](), base_address="http://localhost:9")
    monkeypatch.setattr(socket, "getaddrinfo", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        gateway.send(_send())
    told = names_that_tell(caught.value)
    assert ("stripe", "headers") in told  # in stripe-python's own frames: nothing of ours can help that
    assert {name for package, name in told if package == "refund_adapters"} == {"headers"}
    assert {name for _, name in told} <= SCRUBBED


@pytest.mark.parametrize("name", ["httpx", "aiohttp"])
def test_a_cancelled_send_tells_the_key_in_headers_alone(name: str) -> None:
    """The same of a task that is cancelled while the gateway keeps silent."""

    async def cancelled(address: str) -> BaseException:
        gateway = AsyncStripeGateway(KEY, http_client=MAKERS[name](), base_address=address)
        task = asyncio.ensure_future(gateway.send(_send()))
        asked = server.received
        while not asked:  # noqa: ASYNC110  # the server is a thread
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        await gateway.aclose()
        return caught.value

    with hostile_server(silence) as server:
        told = names_that_tell(asyncio.run(cancelled(server.base_address)))
    assert ("stripe", "headers") in told
    assert {name for package, name in told if package == "refund_adapters"} == {"headers"}
    assert {name for _, name in told} <= SCRUBBED


MISTAKES: Final[dict[str, Callable[[], object]]] = {
    "a key with a line break": lambda: StripeGateway(KEY + "\n"),
    "a secret for a key": lambda: AsyncStripeGateway(WEBHOOK_SECRET),
    "no client": lambda: StripeGateway(KEY, http_client=object()),  # type: ignore[arg-type]
    "no time": lambda: AsyncStripeGateway(KEY, deadline_s=0),
    "an address that holds the key": lambda: StripeGateway(KEY, base_address=f"https://{KEY}@x"),
    "an endpoint with a key": lambda: StripeWebhooks(KEY, live=False),
    "an endpoint without a span": lambda: StripeWebhooks(WEBHOOK_SECRET, live=False, max_age_s=0),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_while_making_one_repeats_nothing(mistake: str) -> None:
    """The error says what was expected; in its frames the secret stands under the names of arguments only."""
    with pytest.raises((TypeError, ValueError)) as caught:
        MISTAKES[mistake]()
    for each in linked(caught.value):
        assert not found_in(f"{each!r} {vars(each)!r}")
    told = names_that_tell(caught.value)
    assert {name for _, name in told} <= SCRUBBED | {"base_address", "value"}


def test_security_names_what_to_scrub() -> None:
    """The names a host's error reporter must know are told where hosts look."""
    text = SECURITY.read_text()
    for name in SCRUBBED | {"note"}:
        assert f"`{name}`" in text, name


# --- the host's own exceptions ----------------------------------------------------------------------------------


class _Falls:
    """A journal of the host's, which falls over with everything in its text when told to."""

    def __init__(self, inner: SqliteJournal) -> None:
        self._inner, self.error = inner, RuntimeError(TEXT)
        self.falls = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        """The inner one's, or its own exception."""
        if self.falls:
            raise self.error
        return self._inner.load(ref, after)


def test_a_hosts_own_exception_passes_as_it_is_or_is_only_named(journal: SqliteJournal) -> None:
    """What an id source or a journal of the host raises comes out untouched, nothing hung on it; a calendar's
    costs the forecast only; and where an exception is told instead of raised, by a booking, only its class is."""
    clock, bank, fallen = Clock(), MemoryBank(Clock()), RuntimeError(TEXT)

    def falls(*_: object) -> Any:
        raise fallen

    store, gateway = _Falls(journal), MemoryGateway(bank)
    service = RefundService(gateway, store, allow=anybody, monotonic=clock.monotonic)
    ref = bank.charge(Money.parse("200.00", "USD"))
    decision = service.quote_booking(Booking(label="Elm Street 7", payments=(ref,)), by=MARIA).verified(by=MARIA)

    dateless = RefundService(gateway, store, allow=anybody, is_business_day=falls)
    quote = dateless.quote(ref, by=MARIA)
    assert quote.arrives is None
    assert silent(quote)

    with pytest.raises(RuntimeError) as caught:
        RefundService(gateway, store, allow=anybody, new_id=falls).quote(ref, by=MARIA)
    assert caught.value is fallen
    store.falls = True
    with pytest.raises(RuntimeError) as caught:
        service.issue(decision.refunds[0])
    assert caught.value is store.error
    (not_tried,) = service.issue_booking(decision)
    assert isinstance(not_tried, NotTried)
    assert silent(not_tried)
    for error in (fallen, store.error):
        assert list(linked(error)) == [error]
