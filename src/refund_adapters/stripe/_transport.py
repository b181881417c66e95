"""How requests go to Stripe: one exchange per call, inside a time, with no redirect and nothing borrowed.

The only module that imports stripe, requests and urllib3; `StripeGateway` imports it when it is made.
Each class below closes one gap named in docs/explanation/stripe-facts.md, "stripe-python: calls, retries,
timeouts".
"""

from __future__ import annotations

import http.client
import io
import json
import logging
import os
import socket
import time
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING

import requests
import requests.adapters
import stripe
import urllib3
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

from refund_adapters.stripe._translate import Fault, fault_of, is_stripes_error

_POOL_SIZE = 32  # connections kept open; more threads than these still work, on connections of their own
_log = logging.getLogger("refund_adapters.stripe")


class NotStripe(Exception):
    """An HTTP answer came that is no success and no error object of Stripe's."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Transport(stripe.RequestsClient):
    """stripe-python's own client over requests, with explicit timeouts and a session that is only ours.

    `read_timeout_s` bounds the whole answer, headers and body, from the moment the request is out.
    """

    def __init__(self, *, connect_timeout_s: float, read_timeout_s: float) -> None:
        super().__init__(timeout=(connect_timeout_s, read_timeout_s), session=_Session())

    def request(  # type: ignore[override]  # as stripe's own RequestsClient: it answers bytes
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: object = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        content, status, answered = super().request(method, url, headers, post_data)
        if not 200 <= status < 300 and not _is_stripes_error(content):
            # stripe-python would raise AttributeError for some such bodies, and the status would be lost.
            raise NotStripe(status)
        return content, status, _without_notice(answered)


def fault_in(error: BaseException) -> Fault | None:
    """The HTTP fault this exception stands for; None where no answer came."""
    if isinstance(error, NotStripe):
        return Fault(status=error.status, spoken=False)
    if isinstance(error, stripe.StripeError) and error.http_status is not None:
        return fault_of(error.http_status, error.json_body, error.request_id)
    return None


def never_left(error: BaseException) -> bool:
    """Whether it is certain that not one byte of the request left ("Error classification").

    True for a refused connection, a name that does not resolve and a timeout while connecting, and for
    nothing else: a peer that reads the request and hangs up raises ConnectionError too.
    """
    cause = error.__cause__ if isinstance(error, stripe.APIConnectionError) else error
    if isinstance(cause, requests.exceptions.ConnectTimeout):
        return True
    if not isinstance(cause, requests.exceptions.ConnectionError):
        return False
    inner = cause.args[0] if cause.args else None
    return isinstance(getattr(inner, "reason", None), urllib3.exceptions.NewConnectionError)


def _is_stripes_error(content: bytes) -> bool:
    try:
        return is_stripes_error(json.loads(content))
    except (ValueError, RecursionError):
        return False


def _without_notice(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Move a Stripe-Notice to the log: as a warning it would raise after the POST where warnings are errors."""
    notice = headers.get("Stripe-Notice")
    if notice is None:
        return headers
    _log.warning("Stripe's notice: %s", "".join(filter(str.isprintable, notice))[:500])
    return CaseInsensitiveDict({name: value for name, value in headers.items() if name.lower() != "stripe-notice"})


class _Session(requests.Session):
    """A session that follows no redirect, keeps no cookie, reads no .netrc and never outlives a fork."""

    def __init__(self) -> None:
        super().__init__()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.auth = _keep_authorization
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
