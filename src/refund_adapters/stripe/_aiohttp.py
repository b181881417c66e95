"""The HTTP client over aiohttp, async only: no redirect is followed, no POST retried, no cookie kept.

The only module that imports aiohttp; `clients.aiohttp_client` loads it. aiohttp sends a GET once more by itself
where an idle connection turns out to be closed; a POST never.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import aiohttp
import stripe

from refund_adapters.stripe._loops import PerLoop
from refund_adapters.stripe._tls import trusting


class AiohttpClient(stripe.HTTPClient):
    """stripe-python's interface over aiohttp; a session belongs to one process and one event loop.

    `read_timeout_s` bounds each read; the gateway's own deadline bounds the whole.
    """

    name = "aiohttp"

    def __init__(self, *, connect_timeout_s: float, read_timeout_s: float) -> None:
        super().__init__()
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s, sock_read=read_timeout_s)
        self._sessions = PerLoop(self._open, _let_go)

    def request(self, *_: object) -> tuple[bytes, int, Mapping[str, str]]:  # type: ignore[override]
        """Refuse (TypeError): aiohttp has no sync form."""
        raise TypeError("aiohttp is for the asynchronous gateway only; give the synchronous one another client")

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        session = self._sessions.get()
        async with session.request(
            method, url, headers=headers, data=post_data, allow_redirects=False, timeout=self._timeout
        ) as response:
            return await response.read(), response.status, response.headers

    def close(self) -> None:
        """Do nothing: sessions are closed where they live, by `close_async`."""

    async def close_async(self) -> None:
        """Close the session of the running event loop."""
        session = self._sessions.take()
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=trusting(stripe.ca_bundle_path))
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


def _let_go(session: aiohttp.ClientSession) -> None:
    """Give up a session whose loop is closed: its sockets close, and nobody is told that nobody closed it."""
    connector = session.connector
    session.detach()
    if connector is None:
        return
    closing = connector.close().__await__()
    # Its loop will never run again, so the one step to the first wait is made by hand; it closes the sockets.
    with suppress(StopIteration, RuntimeError):
        closing.send(None)
    closing.close()
