"""`StripeDouble`: Stripe on a socket of this machine, with the bank in memory behind it.

One thread, one event loop, one free port of 127.0.0.1. What it serves stands in `endpoints`, what its objects look
like in `objects`, how it says no in `errors`. Keys of idempotency are kept here, for every POST, as Stripe keeps
them (Stripe facts, "Idempotency"): by the bank's clock, so that a test can let them expire.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import contextvars
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Final

import attrs
from aiohttp import web

from refund_adapters.memory import Breaks, MemoryBank, News
from refund_adapters.memory._books import Books
from refund_domain.payments import PLATFORM
from tests.stripe_double import endpoints, errors, schema
from tests.stripe_double.errors import ApiError
from tests.stripe_double.objects import VERSION, Json, Payer, View
from tests.stripe_double.params import decoded
from tests.stripe_double.webhooks import Cause, Webhooks

KEY: Final = "sk_test_double"

_DEFAULTS: Final[dict[int, Json | str]] = {
    429: {"error": {"code": "rate_limit", "message": "Too many requests.", "type": "invalid_request_error"}},
    500: {"error": {"message": "An unknown error occurred.", "type": "api_error"}},
    502: "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
    503: {"error": {"message": "The service is unavailable.", "type": "api_error"}},
}


@attrs.frozen(kw_only=True)
class Arrived:
    """A request that arrived, whatever became of it. Its headers hold a key, so a repr leaves them out."""

    method: str
    path: str
    params: dict[str, Any]
    account: str
    key: str | None
    headers: Mapping[str, str] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Answered:
    """A status, a body, and headers; what is kept for a key."""

    status: int
    body: bytes
    headers: dict[str, str]


@attrs.frozen(kw_only=True)
class _Kept:
    """The first answer for a key, and what was asked."""

    at: datetime
    asked: tuple[str, str]
    answer: Answered


@attrs.frozen(kw_only=True)
class _Staged:
    """What the next request meets in place of, or beside, its answer."""

    status: int | None
    body: Json | str | None
    headers: Mapping[str, str]


class StripeDouble:
    """Stripe, doubled: `with StripeDouble(bank) as double:` serves at `double.base_address`.

    `bank` is the truth behind it; charges are taken and disputes opened there. `keys` are the API keys it knows; a
    live one makes every object of its answers live. `accounts` are connected accounts beside those the bank holds
    something of: any other is foreign. `payer` is the client of every charge. `check`: hold every request and
    every answer against stripe-python's own types; what is wrong is collected in `violations`.

    >>> with StripeDouble() as double:
    ...     double.base_address.startswith("http://127.0.0.1:"), double.requests, double.violations
    (True, (), ())
    """

    def __init__(
        self,
        bank: MemoryBank | None = None,
        *,
        keys: tuple[str, ...] = (KEY,),
        accounts: tuple[str, ...] = (),
        payer: Payer | None = None,
        check: bool = True,
        port: int = 0,
    ) -> None:
        self.bank = MemoryBank() if bank is None else bank
        self._keys, self._accounts, self._check, self._port = keys, accounts, check, port
        self.payer = Payer() if payer is None else payer
        self._lock = threading.Lock()
        self._arrived: list[Arrived] = []
        self._violations: list[str] = []
        self._staged: deque[_Staged] = deque()
        self._breaks: deque[Breaks] = deque()
        self._kept: dict[tuple[str, bool, str], _Kept] = {}
        self._in_use: set[str] = set()
        self._overlay: dict[str, Json] = {}
        self._webhooks: list[Webhooks] = []
        self._numbers = 0
        self._address: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._cause: contextvars.ContextVar[Cause | None] = contextvars.ContextVar("cause", default=None)
        with self.bank.turn as books:
            books.listener = self._heard

    # -- what a test asks ---------------------------------------------------------------------------------------

    @property
    def base_address(self) -> str:
        """Where it listens, without a slash at the end: what `StripeClient(base_addresses={"api": …})` takes."""
        if self._address is None:
            raise RuntimeError("the double is not running: enter it first")
        return self._address

    @property
    def requests(self) -> tuple[Arrived, ...]:
        """Every request that arrived, in order, refused ones too."""
        with self._lock:
            return tuple(self._arrived)

    @property
    def violations(self) -> tuple[str, ...]:
        """What in requests and answers stripe-python's own types do not allow."""
        with self._lock:
            return tuple(self._violations)

    # -- what a test stages -------------------------------------------------------------------------------------

    def next(
        self,
        status: int | None = None,
        body: Json | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Let the next request be answered so and not executed; queued calls serve the requests after it.

        Without a body, 429, 500, 502 and 503 say what Stripe or its edge would. Without a status the request is
        executed and answered as ever, with these headers beside.
        """
        with self._lock:
            self._staged.append(_Staged(status=status, body=body, headers=dict(headers or {})))

    def breaks(self, breaks: Breaks) -> None:
        """Let the server break while it executes the next create request: a 500 that is kept for its key."""
        with self._lock:
            self._breaks.append(breaks)

    @contextlib.contextmanager
    def key_in_use(self, key: str) -> Iterator[None]:
        """As long as this lasts, a first request with this key is being executed: 409 to every other."""
        with self._lock:
            self._in_use.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._in_use.discard(key)

    def webhooks(self, secret: str, *, version: str = VERSION, thin: bool = False, live: bool = False) -> Webhooks:
        """An endpoint that is told of everything that happens at the bank from now on; see `Webhooks`."""
        hooks = Webhooks(secret, self.bank, version=version, thin=thin, live=live)
        with self._lock:
            self._webhooks.append(hooks)
        return hooks

    def _heard(self, books: Books, news: News) -> None:
        """Called under the bank's lock, at the moment it happens: an event shows the object as it was then."""
        for hooks in tuple(self._webhooks):
            view = View(
                books=books,
                account=news.account,
                live=hooks.live,
                version=hooks.version,
                payer=self.payer,
                overlay=self._overlay,
            )
            hooks.note(view, news, self._cause.get() or Cause())

    # -- one request --------------------------------------------------------------------------------------------

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: str) -> Answered:
        """Answer one request as it came over the wire; also without any wire."""
        path, _, query = target.partition("?")
        params = decoded(body if method == "POST" else query)
        account, key = headers.get("Stripe-Account", PLATFORM), headers.get("Idempotency-Key")
        with self._lock:
            self._arrived.append(
                Arrived(method=method, path=path, params=params, account=account, key=key, headers=headers)
            )
            self._numbers += 1
            request_id = f"req_{self._numbers}"
            staged = self._staged.popleft() if self._staged else None
        more = {"Request-Id": request_id, "Stripe-Version": headers.get("Stripe-Version", VERSION)}
        if key is not None and method == "POST":
            more["Idempotency-Key"] = key
        if staged is not None:
            more |= staged.headers
            if staged.status is not None:
                said = _DEFAULTS.get(staged.status, {}) if staged.body is None else staged.body
                return _answered(staged.status, said, more)
        token = self._cause.set(Cause(request_id=request_id, key=key if method == "POST" else None))
        try:
            return self._executed(method, path, params, headers, more)
        except ApiError as error:
            said = {"error": {**error.error, "request_log_url": f"https://dashboard.stripe.com/logs/{request_id}"}}
            return _answered(error.status, said, more)
        finally:
            self._cause.reset(token)

    def _executed(
        self, method: str, path: str, params: dict[str, Any], headers: Mapping[str, str], more: dict[str, str]
    ) -> Answered:
        live = self._authorised(headers)
        account, key = headers.get("Stripe-Account", PLATFORM), headers.get("Idempotency-Key")
        if account != PLATFORM and not self._knows(account):
            raise errors.foreign_account(account)
        found = endpoints.find(method, path)
        if found is None:
            message = f"Unrecognized request URL ({method}: {path})."
            raise ApiError(404, message, code=None)
        endpoint, name = found
        self._checked("request", path, lambda: schema.check_params(endpoint.params, params))
        version = more["Stripe-Version"]
        call = endpoints.Call(
            bank=self.bank,
            account=account,
            id=name,
            params=params,
            path=path,
            key=key if method == "POST" else None,
            breaks=None,
            view=lambda books: View(
                books=books,
                account=account,
                live=live,
                version=version,
                payer=self.payer,
                overlay=self._overlay,
            ),
            overlay=self._overlay,
        )
        if method != "POST" or key is None:
            endpoints.check_known(endpoint, params)
            return self._made(endpoint, call, more)
        return self._once(endpoint, call, live, key, more)

    def _once(
        self, endpoint: endpoints.Endpoint, call: endpoints.Call, live: bool, key: str, more: dict[str, str]
    ) -> Answered:
        """Execute for this key, or repeat what the first request was told (Stripe facts, "Idempotency")."""
        if len(key) > 255:
            raise ApiError(400, "Idempotency keys are limited to 255 characters.")
        place, asked = (call.account, live, key), (call.path, json.dumps(call.params, sort_keys=True))
        with self._lock:
            if key in self._in_use:
                raise errors.key_in_use(key)
            kept = self._kept.get(place)
        now = self.bank.tick()
        with self.bank.turn as books:
            life = books.key_life
        if kept is not None and now - kept.at < life:
            if kept.asked != asked:
                raise errors.other_parameters(key)
            first = kept.answer.headers["Request-Id"]
            again = {**more, "Idempotent-Replayed": "true", "Original-Request": first}
            return attrs.evolve(kept.answer, headers={**kept.answer.headers, **again})
        endpoints.check_known(endpoint, call.params)
        try:
            answer = self._made(endpoint, call, more)
        except ApiError as error:
            if not error.kept:
                raise
            answer = _answered(error.status, {"error": error.error}, more)
        with self._lock:
            self._kept[place] = _Kept(at=now, asked=asked, answer=answer)
        return answer

    def _made(self, endpoint: endpoints.Endpoint, call: endpoints.Call, more: dict[str, str]) -> Answered:
        if endpoint.handle in (endpoints.create_refund, endpoints.reverse_transfer):
            with self._lock:
                breaks = self._breaks.popleft() if self._breaks else None
            call = attrs.evolve(call, breaks=breaks)
        body = endpoints.expanded(call, endpoint.handle(call))
        self._checked("answer", call.path, lambda: schema.check_object(endpoint.answer, body))
        return _answered(200, body, more)

    def _checked(self, what: str, path: str, check: Callable[[], tuple[str, ...]]) -> None:
        if self._check and (wrong := check()):
            with self._lock:
                self._violations.extend(f"{what} {path}: {each}" for each in wrong)

    def _authorised(self, headers: Mapping[str, str]) -> bool:
        """Whether the key is a live one; 401 for none and for one nobody knows."""
        kind, _, word = headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            with contextlib.suppress(binascii.Error, UnicodeDecodeError):
                word = base64.b64decode(word).decode().partition(":")[0]
        if not word:
            raise errors.no_key()
        if word not in self._keys:
            raise errors.wrong_key(word)
        return "_live_" in word

    def _knows(self, account: str) -> bool:
        if account in self._accounts:
            return True
        with self.bank.turn as books:
            held = (*(place[0] for place in books.charges), *(place[0] for place in books.intents))
            named = (*(m.destination for m in books.transfers.values()), *(f.account for f in books.fees.values()))
            return account in held or account in named

    # -- the server ---------------------------------------------------------------------------------------------

    def __enter__(self) -> StripeDouble:
        started = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="stripe-double", daemon=True
        )
        self._thread.start()
        started.wait(10)
        if self._address is None:
            raise RuntimeError("the double could not listen")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop, thread, self._address = self._loop, self._thread, None
        if loop is not None and thread is not None and self._ended is not None:
            loop.call_soon_threadsafe(self._ended.set)
            thread.join(10)

    async def _serve(self, started: threading.Event) -> None:
        """The server, until it is told to stop."""
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0)
        try:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            self._address = f"http://127.0.0.1:{runner.addresses[0][1]}"
            started.set()
            await self._ended.wait()
        finally:
            started.set()
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.text()
        answer = self.answer(request.method, request.path_qs, request.headers, body)
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


def _answered(status: int, body: Json | str, headers: dict[str, str]) -> Answered:
    page = isinstance(body, str)
    text = body if isinstance(body, str) else json.dumps(body)
    kind = "text/html" if page else "application/json"
    return Answered(status=status, body=text.encode(), headers={"Content-Type": kind, **headers})
