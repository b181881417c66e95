"""The Stripe sources of payouts over real sockets: what goes out, what each fault means, whose answer is whose."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import logging
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import stripe

from refund_adapters.stripe import clients
from refund_adapters.stripe.payouts import StripePayouts
from refund_adapters.stripe.payouts_async import AsyncStripePayouts
from refund_domain.answers import Missing, Unread
from refund_domain.connect import PLATFORM
from refund_domain.money import Money
from refund_domain.payouts.entries import EntryPage
from refund_domain.payouts.funds import Funds, Payout
from refund_domain.ports import AsyncPayoutSource, PayoutSource
from tests.adapters.hostile_server import (
    Act,
    Received,
    answer,
    cut,
    hang_up,
    hostile_server,
    late,
    redirect,
    reset,
    silence,
    time_for,
    trickle,
    unused_port,
)
from tests.adapters.stripe_clients import ASYNC, CLIENTS, MAKERS, payouts_over
from tests.adapters.test_stripe_entries import charge, page, refund, row
from tests.canaries import KEY, LIVE_KEY, TEXT, found_in

OVER_EACH = pytest.mark.parametrize("client", CLIENTS)
PAYOUT = Payout(id="po_1", amount=Money.parse("55.00", "USD"), arrives_on=date(2026, 3, 6), reconciled=True)
PAGE = json.loads(page(row(2), row(1, source=refund())))


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep stripe-python from writing its id into the home of whoever runs the tests."""
    monkeypatch.setattr(stripe, "enable_telemetry", False)


def _error(status: int, **error: object) -> Act:
    return answer(status, {"error": {"type": "invalid_request_error", "message": f"No. {TEXT}", **error}})


def _query(request: Received) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.path).query))


# --- what goes out ------------------------------------------------------------------------------------------


@OVER_EACH
@pytest.mark.parametrize("account", [PLATFORM, "acct_1"])
def test_exactly_what_goes_out(client: str, account: str) -> None:
    """One GET with the key, at the account of a connected one and at none for the platform."""
    with hostile_server(answer(200, PAGE)) as server, payouts_over(client, server.base_address) as source:
        read = source.entries(account, PAYOUT, None, "txn_9")
    assert isinstance(read, EntryPage), read
    assert [entry.id for entry in read.entries] == ["txn_2", "txn_1"]
    (request,) = server.received
    assert (request.method, urlsplit(request.path).path) == ("GET", "/v1/balance_transactions")
    asked = {"payout": "po_1", "limit": "100", "expand[0]": "data.source", "starting_after": "txn_9"}
    assert (_query(request), request.body) == (asked, "")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers.get("stripe-account") == (None if account == PLATFORM else account)
    assert "idempotency-key" not in request.headers


# --- what each fault means ----------------------------------------------------------------------------------

AGAIN: dict[str, Act] = {
    "429": _error(429, code="rate_limit"),
    "429, lock": _error(429, code="lock_timeout"),
    "500": _error(500, type="api_error"),
    "502, HTML": answer(502, "<html></html>"),
    "503, empty": answer(503, ""),
    "hang up": hang_up,
    "reset": reset,
    "silence": silence,
    "body cut": cut(200, PAGE, 700),
    "200, HTML": answer(200, "<html></html>"),
    "200, empty": answer(200, ""),
    "200, half": answer(200, page(row()).decode()[:200]),
    "200, null": answer(200, None),
    "200, an error object": answer(200, {"error": {"type": "api_error"}}),
    "200, an odd row": answer(200, json.loads(page(row(amount="5500")))),
    "body trickles": trickle(200, PAGE, quickly=100),
}
"""What is read again: it may well be another answer a moment later."""

ONCE: dict[str, tuple[Act, str | None]] = {
    "401": (_error(401), "credentials"),
    "403": (_error(403, code="more_permissions_required"), "credentials"),
    "403, HTML": (answer(403, "<html></html>"), "not_stripe"),
    "400": (_error(400), None),
    "400, set-up": (_error(400, code="livemode_mismatch"), "set_up"),
    "400, not reconciled": (_error(400, code="payout_reconciliation_not_ready"), None),
    "404": (_error(404, code="resource_missing"), None),
    "409": (_error(409), None),
    "302": (redirect("http://127.0.0.1:9/v1/balance_transactions"), "not_stripe"),
}
"""What is not: reading it again would change nothing. Beside it the alarm."""


@OVER_EACH
@pytest.mark.parametrize("name", AGAIN)
def test_what_failed_in_passing_is_read_again_and_whole(client: str, name: str) -> None:
    """The second time the page is there, each entry once; one pause lies between, and nothing was raised."""
    acts = AGAIN[name], answer(200, PAGE)
    with hostile_server(*acts) as server:
        with payouts_over(client, server.base_address, attempts=2, timeout_s=time_for(name), waited=[]) as source:
            read = source.entries(PLATFORM, PAYOUT, None, None)
    assert isinstance(read, EntryPage), read
    assert [entry.id for entry in read.entries] == ["txn_2", "txn_1"]


@OVER_EACH
def test_what_never_succeeds_is_unread_after_so_many_attempts(client: str) -> None:
    """Each pause is twice as long as the one before, and then it is said that nothing was read."""
    waited: list[float] = []
    acts = [AGAIN["429"], AGAIN["500"], AGAIN["200, HTML"], AGAIN["429"]]
    with hostile_server(*acts) as server:
        with payouts_over(client, server.base_address, attempts=4, waited=waited) as source:
            read = source.entries(PLATFORM, PAYOUT, None, None)
    assert read == Unread(why="HTTP 429 rate_limit")
    assert (len(server.received), waited) == (4, [0.5, 1.0, 2.0])


@OVER_EACH
@pytest.mark.parametrize("name", ONCE)
def test_what_would_fail_again_is_read_once(client: str, name: str) -> None:
    """A refusal is the answer, with the alarm of whoever must mend it; no redirect is followed."""
    act, alarm = ONCE[name]
    waited: list[float] = []
    with hostile_server(act) as server:
        with payouts_over(client, server.base_address, attempts=5, waited=waited) as source:
            read = source.entries(PLATFORM, PAYOUT, None, None)
    assert isinstance(read, Unread), read
    assert read.alarm == alarm
    assert (len(server.received), waited) == (1, [])


@OVER_EACH
def test_where_nothing_listens_nothing_is_read(client: str) -> None:
    """A refused connection is tried again, and is Unread in the end."""
    waited: list[float] = []
    with payouts_over(client, f"http://127.0.0.1:{unused_port()}", attempts=3, waited=waited) as source:
        assert isinstance(source.funds(PLATFORM), Unread)
    assert waited == [0.5, 1.0]


@OVER_EACH
def test_each_call_of_a_reading_is_read_again_by_itself(client: str) -> None:
    """Of several calls only the one that failed is made again."""
    listed = answer(200, {"object": "list", "data": [], "has_more": False})
    balance = answer(200, {"object": "balance", "available": [], "pending": [], "livemode": False})
    with hostile_server(listed, AGAIN["429"], listed, AGAIN["500"], balance) as server:
        with payouts_over(client, server.base_address, attempts=2) as source:
            assert source.funds(PLATFORM) == Funds()
    assert [urlsplit(each.path).path for each in server.received] == ["/v1/payouts"] * 3 + ["/v1/balance"] * 2


@OVER_EACH
def test_a_reading_ends_with_its_budget(client: str) -> None:
    """A pause that reaches beyond the budget is not made, and an answer that comes after it counts for nothing."""
    waited: list[float] = []
    with hostile_server(AGAIN["429"], answer(200, PAGE)) as server:
        with payouts_over(client, server.base_address, attempts=5, waited=waited, read_budget_s=0.4) as source:
            assert source.entries(PLATFORM, PAYOUT, None, None) == Unread(why="HTTP 429 rate_limit")
    assert (len(server.received), waited) == (1, [])
    with hostile_server(late(0.5, answer(200, PAGE))) as server:
        with payouts_over(client, server.base_address, attempts=5, read_budget_s=0.3) as source:
            assert isinstance(source.entries(PLATFORM, PAYOUT, None, None), Unread)
    assert len(server.received) == 1


@OVER_EACH
def test_a_forecast_has_a_small_budget_of_its_own(client: str) -> None:
    """A person waits for a quote: what funds take is hardly made again; a payout is read with patience."""
    waited: list[float] = []
    with hostile_server(
        AGAIN["429"], AGAIN["429"], answer(404, {"error": {"code": "resource_missing"}})
    ) as server:
        with payouts_over(client, server.base_address, attempts=5, waited=waited, funds_budget_s=0.4) as source:
            assert source.funds(PLATFORM) == Unread(why="HTTP 429 rate_limit")
            assert waited == []
            source.payout(PLATFORM, "po_1")
    assert waited == [0.5]
    for make in (StripePayouts, AsyncStripePayouts):
        assert make(KEY)._funds_budget_s == 5.0
        assert make(KEY, read_budget_s=2.0)._funds_budget_s == 2.0


# --- whose answer is whose ----------------------------------------------------------------------------------


def _own(request: Received) -> Act:
    """A page that holds what was asked for, and names it: of the payout asked for, at the account asked for."""
    name = f"{_query(request)['payout']}.{request.headers['stripe-account']}"
    return late(0.02, answer(200, json.loads(page(row(id=name, source=None), row(2)))))


def _echo(connection: socket.socket, request: Received, ended: threading.Event) -> None:
    _own(request)(connection, request, ended)


def _asked(number: int) -> tuple[str, Payout]:
    return f"acct_{number % 3}", Payout(id=f"po_{number}", amount=PAYOUT.amount, arrives_on=PAYOUT.arrives_on)


def _named(read: object) -> str:
    assert isinstance(read, EntryPage), read
    return read.entries[0].id


EACH = [f"po_{number}.acct_{number % 3}" for number in range(24)]


@pytest.mark.parametrize("client", [name for name in CLIENTS if name not in ASYNC])
def test_threads_that_share_a_source_get_their_own_answers(client: str) -> None:
    """What one thread catches at the transport is never another's."""
    with hostile_server(*[_echo] * len(EACH)) as server, payouts_over(client, server.base_address) as source:

        def read(number: int) -> str:
            account, payout = _asked(number)
            return _named(source.entries(account, payout, None, None))

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(read, range(len(EACH)))) == EACH


@pytest.mark.parametrize("client", ASYNC)
def test_tasks_that_share_a_source_get_their_own_answers(client: str) -> None:
    """What one task catches at the transport is never another's, though all wait in one thread."""
    with hostile_server(*[_echo] * len(EACH)) as server:

        async def main() -> list[str]:
            source = AsyncStripePayouts(KEY, http_client=MAKERS[client](), base_address=server.base_address)
            asked = map(_asked, range(len(EACH)))
            read = [source.entries(account, payout, None, None) for account, payout in asked]
            try:
                return [_named(each) for each in await asyncio.gather(*read)]
            finally:
                await source.aclose()

        assert asyncio.run(main()) == EACH


@pytest.mark.parametrize("client", ASYNC)
def test_a_cancelled_task_is_cancelled(client: str) -> None:
    """A cancellation is no failure in passing: it passes through, and nothing is read again."""

    async def main(address: str) -> None:
        source = AsyncStripePayouts(KEY, http_client=MAKERS[client](), base_address=address)
        task = asyncio.ensure_future(source.entries(PLATFORM, PAYOUT, None, None))
        try:
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        finally:
            await source.aclose()

    with hostile_server(silence) as server:
        asyncio.run(main(server.base_address))
    assert len(server.received) == 1


def test_interrupts_pass_through() -> None:
    """KeyboardInterrupt out of a pause or a call is the host's, and no answer is made of it."""

    def pause(seconds: float) -> None:
        raise KeyboardInterrupt

    with hostile_server(AGAIN["429"]) as server:
        source = StripePayouts(KEY, base_address=server.base_address, sleep=pause)
        with pytest.raises(KeyboardInterrupt):
            source.funds(PLATFORM)


def test_a_source_shares_its_http_client_with_a_gateway_that_knows_nothing_of_it() -> None:
    """The client carries bytes only: what a source catches, it catches for its own calls."""
    from refund_adapters.stripe import StripeGateway
    from refund_domain.payments import PaymentRef

    shared = clients.requests_client()
    with hostile_server(answer(200, PAGE), _error(404, code="resource_missing")) as server:
        source = StripePayouts(KEY, http_client=shared, base_address=server.base_address)
        gateway = StripeGateway(KEY, http_client=shared, base_address=server.base_address)
        assert isinstance(source.entries(PLATFORM, PAYOUT, None, None), EntryPage)
        assert gateway.look(PaymentRef(PLATFORM, "ch_1")) == Missing()


# --- what goes no further -----------------------------------------------------------------------------------


@OVER_EACH
def test_nothing_of_a_client_reaches_a_log_even_at_debug(client: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the pages, nor errors, nor a stranger's page leave a name, a mail, a card or the key in any log."""
    caplog.set_level(logging.DEBUG)
    bodies = [answer(200, json.loads(page(row(1, source=charge())))), _error(400), answer(403, "<html></html>")]
    for act in bodies:
        with hostile_server(act) as server, payouts_over(client, server.base_address) as source:
            read = source.entries(PLATFORM, PAYOUT, None, None)
        assert found_in(repr(read)) == ()
    assert found_in(caplog.text) == ()


def test_neither_repr_nor_pickle_nor_copy_shows_the_key() -> None:
    """The source holds a secret, so it says nothing of itself and is never pickled or copied."""
    for source in (StripePayouts(KEY), AsyncStripePayouts(KEY)):
        assert repr(source) == f"{type(source).__name__}(live=False)"
        for keep in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="secret key"):
                keep(source)
    assert (StripePayouts(LIVE_KEY).live, AsyncStripePayouts(LIVE_KEY).live) == (True, True)


# --- odd arguments ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [StripePayouts, AsyncStripePayouts])
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"attempts": 0}, ValueError),
        ({"attempts": 11}, ValueError),
        ({"attempts": 2.0}, TypeError),
        ({"backoff_s": 0}, ValueError),
        ({"backoff_s": "1"}, TypeError),
        ({"read_budget_s": -1}, ValueError),
        ({"funds_budget_s": 0}, ValueError),
        ({"connect_timeout_s": 0}, ValueError),
        ({"base_address": "http://stripe.example"}, ValueError),
        ({"base_address": 8080}, TypeError),
        ({"http_client": "requests"}, TypeError),
        ({"secret_key": "pk_test_1"}, ValueError),
        ({"secret_key": None}, TypeError),
    ],
    ids=str,
)
def test_odd_arguments_are_refused_when_it_is_made(
    make: Callable[..., object], changes: dict[str, Any], error: type[Exception]
) -> None:
    """A source that could not work, or would show its key, is never made; the key is not repeated."""
    with pytest.raises(error) as caught:
        make(**{"secret_key": KEY, **changes})
    assert KEY not in str(caught.value)


def test_a_client_of_the_other_form_is_refused() -> None:
    """Sync takes no client that can only be awaited, and the twin none that cannot."""
    with pytest.raises(ValueError, match="only be awaited"):
        StripePayouts(KEY, http_client=clients.aiohttp_client())
    with pytest.raises(ValueError, match="cannot be awaited"):
        AsyncStripePayouts(KEY, http_client=clients.requests_client())


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("funds", ("",), ValueError),
        ("funds", (None,), TypeError),
        ("payout", ("platform", ""), ValueError),
        ("payout", ("platform", "po_1/../x"), ValueError),
        ("payout", ("", "po_1"), ValueError),
        ("entries", ("", PAYOUT, None, None), ValueError),
        ("entries", ("platform", "po_1", None, None), TypeError),
        ("entries", ("platform", PAYOUT, "2026", None), TypeError),
        ("entries", ("platform", PAYOUT, None, ""), ValueError),
        ("holding", ("platform", "re 1"), ValueError),
        ("holding", ("", "re_1"), ValueError),
    ],
    ids=str,
)
def test_a_programmers_error_makes_no_call(name: str, arguments: tuple[Any, ...], error: type[Exception]) -> None:
    """Odd ids and arguments are TypeError or ValueError in both forms, before anything is asked."""
    with hostile_server() as server:
        source = StripePayouts(KEY, base_address=server.base_address)
        twin = AsyncStripePayouts(KEY, base_address=server.base_address)
        with pytest.raises(error):
            getattr(source, name)(*arguments)
        with pytest.raises(error):
            asyncio.run(getattr(twin, name)(*arguments))
    assert server.received == []


def test_both_sources_have_one_face() -> None:
    """What the one can do the other can, under the same names and with the same parameters."""
    both: tuple[PayoutSource, AsyncPayoutSource] = (StripePayouts(KEY), AsyncStripePayouts(KEY))
    for name in ("funds", "payout", "entries", "holding"):
        one, other = (inspect.signature(getattr(source, name)) for source in both)
        assert one == other, name
        assert inspect.iscoroutinefunction(getattr(both[1], name)), name


def test_a_source_loads_its_foreign_parts_when_it_is_made() -> None:
    """Importing loads neither stripe nor msgspec, and a gateway that reads no payouts never loads msgspec."""
    code = (
        "import sys; from refund_adapters.stripe import StripeGateway, payouts, payouts_async;"
        "print('stripe' in sys.modules, 'msgspec' in sys.modules);"
        f"StripeGateway({KEY!r}); print('msgspec' in sys.modules);"
        f"payouts.StripePayouts({KEY!r}); print('msgspec' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False", "True"]


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that lacks the decoder is told which extra brings it."""
    monkeypatch.delitem(sys.modules, "refund_adapters.stripe._entries", raising=False)
    monkeypatch.setitem(sys.modules, "msgspec", None)
    with pytest.raises(ImportError, match=r"refund-domain\[stripe\]"):
        StripePayouts(KEY)
