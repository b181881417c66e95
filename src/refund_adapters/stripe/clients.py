"""HTTP clients for the Stripe gateways: three of ours, and what a client of the host's own must keep.

A gateway makes its own client unless it is given one. Give several gateways the same one, and many tenants (many
keys, many connected accounts) share its connections: key and account travel with each request, not in the client.
Each function imports its library when it is called, and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refund_domain._checks import check_type

if TYPE_CHECKING:
    import stripe


def requests_client(*, connect_timeout_s: float = 3.0, read_timeout_s: float = 20.0) -> stripe.HTTPClient:
    """Sync, over requests (extra `stripe`). `read_timeout_s` bounds a whole answer, headers and body.

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

    Raises TypeError or ValueError for odd times, ImportError without the extra.
    """
    _check_times(connect_timeout_s, read_timeout_s)
    try:
        from refund_adapters.stripe._httpx import HttpxClient
    except ImportError as error:
        raise ImportError("this client needs the extra: pip install 'refund-domain[stripe-httpx]'") from error
    return HttpxClient(connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s)


def aiohttp_client(*, connect_timeout_s: float = 3.0, read_timeout_s: float = 20.0) -> stripe.HTTPClient:
    """Async, over aiohttp (extra `stripe-aiohttp`): the fastest of the asynchronous ones.

    Raises TypeError or ValueError for odd times, ImportError without the extra.
    """
    _check_times(connect_timeout_s, read_timeout_s)
    try:
        from refund_adapters.stripe._aiohttp import AiohttpClient
    except ImportError as error:
        raise ImportError("this client needs the extra: pip install 'refund-domain[stripe-aiohttp]'") from error
    return AiohttpClient(connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s)


def check_client(client: object) -> None:
    """Refuse a client of the host's own that is known to follow redirects into an answer.

    Your client keeps its proxy, certificates and limits. It must make one request a call, bring timeouts, and
    follow no redirect: stripe-python's `RequestsClient` only with a session whose `max_redirects` is 0, its
    `HTTPXClient` as it comes, its `AIOHTTPClient` never (use `aiohttp_client`). Of clients not known here that is
    taken on trust. Raises TypeError for what is no `stripe.HTTPClient`, ValueError for one that follows.
    """
    import stripe

    check_type(client, stripe.HTTPClient, "http_client")
    if isinstance(client, stripe.AIOHTTPClient):
        raise ValueError("http_client follows redirects: use refund_adapters.stripe.clients.aiohttp_client()")
    if isinstance(client, stripe.RequestsClient):
        session = getattr(client, "_session", None)
        if session is None or session.max_redirects != 0:
            raise ValueError(
                "http_client follows redirects: make it with a session of yours on which you have set "
                "max_redirects = 0, e.g. stripe.RequestsClient(session=session, timeout=(3, 20))"
            )
    if isinstance(client, stripe.HTTPXClient):
        inner = [getattr(client, name, None) for name in ("_client", "_client_async")]
        if any(getattr(one, "follow_redirects", False) for one in inner):
            raise ValueError("http_client follows redirects: set follow_redirects to False on it")


def _check_times(connect_timeout_s: object, read_timeout_s: object) -> None:
    check_seconds(connect_timeout_s, "connect_timeout_s")
    check_seconds(read_timeout_s, "read_timeout_s")


def check_seconds(value: object, name: str) -> None:
    """Refuse what is no number of seconds (TypeError), none at all, or more than 300 (ValueError)."""
    if type(value) not in (int, float):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not 0 < float(value) <= 300:  # type: ignore[arg-type]
        raise ValueError(f"{name} must be more than 0 and at most 300 seconds")
