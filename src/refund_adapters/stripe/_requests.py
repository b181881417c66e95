"""The HTTP client over requests: one exchange a call, the whole answer inside a time, nothing borrowed.

The only module that imports requests and urllib3; `clients.requests_client` loads it. Each class below closes one
gap named in docs/explanation/stripe-facts.md, "stripe-python: calls, retries, timeouts".
"""

from __future__ import annotations

import http.client
import io
import os
import socket
import time
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING

import requests
import requests.adapters
import stripe
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_POOL_SIZE = 32  # connections kept open; more threads than these still work, on connections of their own


class RequestsClient(stripe.RequestsClient):
    """stripe-python's own client over requests, with explicit timeouts and a session that is only ours.

    `read_timeout_s` bounds the whole answer, headers and body, from the moment the request is out.
    """

    def __init__(self, *, connect_timeout_s: float, read_timeout_s: float) -> None:
        self._own = _Session()
        super().__init__(timeout=(connect_timeout_s, read_timeout_s), session=self._own)

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self._own.close()


class _Session(requests.Session):
    """A session that follows no redirect, keeps no cookie, reads no .netrc and never outlives a fork."""

    def __init__(self) -> None:
        super().__init__()
        self.max_redirects = 0
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.auth, self.keeps_authorization = _keep_authorization, True
        self._connect_anew()

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None

    def get_adapter(self, url: str) -> requests.adapters.BaseAdapter:
        if self._pid != os.getpid():
            self._connect_anew()
        return super().get_adapter(url)

    def _connect_anew(self) -> None:
        """Start with no connection: two processes on one inherited connection would read each other's answers."""
        adapter = _Adapter(pool_maxsize=_POOL_SIZE)
        self.adapters = {"https://": adapter, "http://": adapter}
        self._pid = os.getpid()


def _keep_authorization(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep the header stripe-python wrote; without any auth, requests would put an entry of ~/.netrc there."""
    return request


class _Adapter(requests.adapters.HTTPAdapter):
    """requests' adapter (which retries nothing), over connections that bound the whole answer."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: object) -> None:
        super().init_poolmanager(connections, maxsize, block, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: object) -> urllib3.ProxyManager:
        manager: urllib3.ProxyManager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager


class _BoundedReader(io.RawIOBase):
    """Reads an answer until its time is over, however slowly its bytes trickle in."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, within_s: float) -> None:
        self._raw = raw
        self._socket = sock
        self._ends_at = time.monotonic() + within_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        left_s = self._ends_at - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the answer did not arrive in time")
        self._socket.settimeout(left_s)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    """An answer that must arrive whole within the socket's timeout, which by itself bounds each read only."""

    def __init__(self, sock: socket.socket, *args: object, **options: object) -> None:
        super().__init__(sock, *args, **options)  # type: ignore[arg-type]
        within_s = sock.gettimeout()
        if within_s is not None:
            self.fp = io.BufferedReader(_BoundedReader(self.fp.detach(), sock, within_s))


class _HttpConnection(HTTPConnection):
    response_class = _BoundedResponse


class _HttpsConnection(HTTPSConnection):
    response_class = _BoundedResponse


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


_POOLS = {"http": _HttpPool, "https": _HttpsPool}
