"""HTTP clients for the Stripe gateways: three of ours, and what a client of the host's own must keep.

A gateway makes its own client unless it is given one. Give several gateways the same one, and many tenants share
its connections: key and account travel with each request, not in the client. (One key and its connected accounts
need one gateway and one journal; another key, a Stripe account of its own, needs another of both.)
Each function imports its library when it is called, and not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from refund_domain._checks import check_type

if TYPE_CHECKING:
    import stripe


def requests_client(*, connect_timeout_s: float = 3.0, read_timeout_s: float = 20.0) -> stripe.HTTPClient:
    """Sync, over requests (extra `stripe`). `read_timeout_s` bounds a whole answer, headers and body.

    Threads may share it; a forked process makes connections of its own. Proxies of the environment are used.
    Raises TypeError or ValueError for odd times, ImportError without the extra.
    """
    _check_times(connect_timeout_s, read_timeout_s)
    try:
        from refund_adapters.stripe._requests import RequestsClient
    except ImportError as error:
        raise ImportError("this client needs the extra: pip install 'refund-domain[stripe]'") from error
    return RequestsClient(connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s)


def httpx_client(*, connect_timeout_s: float = 3.0, read_timeout_s: float = 20.0) -> stripe.HTTPClient:
    """Sync and async, over httpx (extra `stripe-httpx`). `read_timeout_s` bounds each read, and sync a body too.

    Threads may share it, and event loops too: each loop has connections of its own, as has a forked process.
    Proxies of the environment are used. Raises TypeError or ValueError for odd times, ImportError without the
    extra.
    """
    _check_times(connect_timeout_s, read_timeout_s)
    try:
        from refund_adapters.stripe._httpx import HttpxClient
    except ImportError as error:
        raise ImportError("this client needs the extra: pip install 'refund-domain[stripe-httpx]'") from error
    return HttpxClient(connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s)


def aiohttp_client(*, connect_timeout_s: float = 3.0, read_timeout_s: float = 20.0) -> stripe.HTTPClient:
    """Async, over aiohttp (extra `stripe-aiohttp`): the fastest of the asynchronous ones.

    `read_timeout_s` bounds each read, under the gateway's deadline. Event loops may share it: each has connections
    of its own, as has a forked process. Proxies of the environment are not used. It has no sync form. Raises
    TypeError or ValueError for odd times, ImportError without the extra.
    """
    _check_times(connect_timeout_s, read_timeout_s)
    try:
        from refund_adapters.stripe._aiohttp import AiohttpClient
    except ImportError as error:
        raise ImportError("this client needs the extra: pip install 'refund-domain[stripe-aiohttp]'") from error
    return AiohttpClient(connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s)


def check_client(client: object, *, awaited: bool = False) -> None:
    """Refuse a client of the host's own that is known to send twice, to follow redirects, or to name an account.

    The gateways ask this of every client they are given. Yours keeps its proxy, certificates and limits. It must
    make one request a call, bring timeouts, add no header that names an account or a key, and follow no redirect:
    stripe-python's `RequestsClient` only with a session whose `max_redirects` is 0 and whose adapters retry
    nothing, its `HTTPXClient` as it comes, its `AIOHTTPClient` and the clients over urllib never (use
    `aiohttp_client`). Of clients not known here that is taken on trust. Raises TypeError for what is no
    `stripe.HTTPClient`, ValueError for one that is known to break it, or that is of the other form than the
    gateway: `awaited` says which, the asynchronous one or not.
    """
    import stripe

    check_type(client, stripe.HTTPClient, "http_client")
    fallback = getattr(client, "_async_fallback_client", None)
    if fallback is not None:
        check_client(fallback, awaited=True)
    if isinstance(client, (stripe.UrllibClient, stripe.UrlFetchClient)):
        raise ValueError("http_client follows redirects, key and all: use one of refund_adapters.stripe.clients")
    if isinstance(client, stripe.AIOHTTPClient):
        raise ValueError("http_client follows redirects: use refund_adapters.stripe.clients.aiohttp_client()")
    if isinstance(client, stripe.RequestsClient):
        session = getattr(client, "_session", None)
        if session is None or session.max_redirects != 0:
            raise ValueError(
                "http_client follows redirects: make it with a session of yours on which you have set "
                "max_redirects = 0, e.g. stripe.RequestsClient(session=session, timeout=(3, 20))"
            )
        if any(_retries(one) for one in session.adapters.values()):
            raise ValueError("http_client sends again by itself: mount adapters with max_retries = 0")
        _check_nothing_added(session.headers, None if hasattr(session, "keeps_authorization") else session.auth)
    if isinstance(client, stripe.HTTPXClient):
        for one in (getattr(client, "_client", None), getattr(client, "_client_async", None)):
            _check_nothing_added(getattr(one, "headers", {}), getattr(one, "auth", None))
            if getattr(one, "follow_redirects", False):
                raise ValueError("http_client follows redirects: set follow_redirects to False on it")
    own = getattr(type(client), "request_async", None)
    if awaited and fallback is None and own is stripe.HTTPClient.request_async:
        raise ValueError("http_client cannot be awaited: use clients.httpx_client() or aiohttp_client()")
    if not awaited and _only_awaited(client):
        raise ValueError("http_client can only be awaited: use clients.requests_client() or httpx_client()")


def _only_awaited(client: object) -> bool:
    """Whether this is aiohttp's, or stripe-python's over httpx made without `allow_sync_methods`."""
    name = getattr(client, "name", None)
    return name == "aiohttp" or (name == "httpx" and getattr(client, "_client", client) is None)


_TRAVELLING = frozenset(["stripe-account", "stripe-context", "idempotency-key", "authorization"])


def _check_nothing_added(headers: Mapping[str, object], auth: object) -> None:
    """Refuse what would say whose account is meant, or under which key."""
    if auth is not None or _TRAVELLING & {name.lower() for name in headers}:
        raise ValueError("http_client adds headers that name an account or a key: they travel with each request")


def _retries(adapter: object) -> bool:
    """Whether this adapter of requests' may send again; no total (None) means that only its parts are counted."""
    retries = getattr(adapter, "max_retries", 0)
    return getattr(retries, "total", retries) not in (0, False)


def _check_times(connect_timeout_s: object, read_timeout_s: object) -> None:
    check_seconds(connect_timeout_s, "connect_timeout_s")
    check_seconds(read_timeout_s, "read_timeout_s")


def check_seconds(value: object, name: str) -> None:
    """Refuse what is no number of seconds (TypeError), none at all, or more than 300 (ValueError)."""
    if type(value) not in (int, float):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not 0 < float(value) <= 300:  # type: ignore[arg-type]
        raise ValueError(f"{name} must be more than 0 and at most 300 seconds")
