"""The HTTP client over httpx, sync and async: no redirect is followed, nothing retried, no cookie kept.

The only module that imports httpx; `clients.httpx_client` loads it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx
import stripe

from refund_adapters.stripe._loops import PerLoop
from refund_adapters.stripe._tls import trusting


class HttpxClient(stripe.HTTPClient):
    """stripe-python's interface over httpx. A connection belongs to one process and, awaited, to one event loop.

    Sync: `read_timeout_s` bounds each read, and the body as a whole; headers that trickle are bounded by each
    read alone. Async: the gateway's own deadline bounds all of it.
    """

    name = "httpx"

    def __init__(self, *, connect_timeout_s: float, read_timeout_s: float) -> None:
        super().__init__()
        self._read_timeout_s = read_timeout_s
        self._timeout = httpx.Timeout(read_timeout_s, connect=connect_timeout_s)
        self._sync: dict[int, httpx.Client] = {}  # by process; no lock, which a fork could leave held for ever
        self._async = PerLoop(self._open_async, lambda _: None)

    def request(  # type: ignore[override]  # as stripe-python's own: it answers bytes
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        content = None if post_data is None else post_data.encode()
        with self._client().stream(method, url, headers=headers, content=content) as response:
            ends_at = time.monotonic() + self._read_timeout_s
            read = bytearray()
            for chunk in response.iter_bytes():
                read += chunk
                if time.monotonic() > ends_at:
                    raise TimeoutError("the answer did not arrive in time")
            return bytes(read), response.status_code, response.headers

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        content = None if post_data is None else post_data.encode()
        response = await self._async.get().request(method, url, headers=headers, content=content)
        return response.content, response.status_code, response.headers

    def close(self) -> None:
        """Close the sync connections of this process; the next request opens new ones.

        Calls that other threads are making meanwhile fail, and leave their outcome in doubt.
        """
        opened = self._sync.pop(os.getpid(), None)
        if opened is not None:
            opened.close()

    async def close_async(self) -> None:
        """Close the connections of the running event loop."""
        client = self._async.take()
        if client is not None:
            await client.aclose()

    def _client(self) -> httpx.Client:
        """This process's client: two processes on one inherited connection would read each other's answers."""
        pid = os.getpid()
        client = self._sync.get(pid)
        if client is None:
            made = httpx.Client(
                verify=trusting(stripe.ca_bundle_path),
                timeout=self._timeout,
                follow_redirects=False,
                cookies=_no_cookies(),
            )
            client = self._sync.setdefault(pid, made)
            if client is not made:
                made.close()  # another thread was faster
        return client

    def _open_async(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=trusting(stripe.ca_bundle_path),
            timeout=self._timeout,
            follow_redirects=False,
            cookies=_no_cookies(),
        )


def _no_cookies() -> CookieJar:
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))
