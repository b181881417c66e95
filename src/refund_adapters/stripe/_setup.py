"""What both forms of the gateway are made from: a checked key and address, one StripeClient behind a Guard."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from refund_adapters.stripe._steps import Call
from refund_adapters.stripe.clients import aiohttp_client, check_client, httpx_client
from refund_domain._checks import check_id, check_type
from refund_domain.connect import PLATFORM
from refund_domain.operations.feeds import Window
from refund_domain.payouts.funds import Payout
from refund_domain.signals import Subject

if TYPE_CHECKING:
    import stripe

_KEY: Final = re.compile(r"[sr]k_(live|test)_[A-Za-z0-9_]{1,240}", re.ASCII)
_ADDRESS: Final = re.compile(
    r"https://[A-Za-z0-9.\-]+(:[0-9]{1,5})?|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?"
)
_RESOLVED: Final = ("pi_", "cs_", "ch_", "py_")


def is_live(secret_key: object) -> bool:
    """Whether this key moves real money. Raises TypeError or ValueError for what is no key, never repeating it."""
    if not isinstance(secret_key, str):
        raise TypeError(
            f"secret_key must be a str, not {type(secret_key).__name__}: is the environment variable set?"
        )
    match = _KEY.fullmatch(secret_key)
    if match is None:
        raise ValueError(
            "secret_key must be a Stripe secret or restricted key: sk_live_…, sk_test_…, rk_live_… or rk_test_…, "
            "without spaces or line breaks; what was given is not shown here"
        )
    return match[1] == "live"


def make_client(
    secret_key: str,
    base_address: str | None,
    http_client: stripe.HTTPClient | None,
    *,
    awaited: bool,
    make: Callable[[], stripe.HTTPClient],
    entries: bool = False,
) -> tuple[stripe.StripeClient, stripe.HTTPClient]:
    """One StripeClient with retries off over the host's HTTP client, or over one that is made; and that client.

    `entries`: it is to read balance transactions, which go another way than through stripe-python.
    """
    if base_address is not None:
        _check_address(base_address)
    try:
        import stripe  # 170 ms and 31 MB: only for those who use it

        from refund_adapters.stripe._guard import Guard

        guard = Guard
        if entries:
            from refund_adapters.stripe._entries import EntryGuard as guard
    except ImportError as error:
        raise ImportError("the gateway to Stripe needs the extra: pip install 'refund-domain[stripe]'") from error
    if http_client is None:
        http_client = make()
    else:
        check_client(http_client, awaited=awaited)
    client = stripe.StripeClient(
        secret_key,
        base_addresses={} if base_address is None else {"api": base_address},
        max_network_retries=0,
        http_client=guard(http_client),
    )
    return client, http_client


def installed_client(*, connect_timeout_s: float, read_timeout_s: float) -> stripe.HTTPClient:
    """The first asynchronous client that is installed."""
    try:
        return httpx_client(connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s)
    except ImportError as error:
        missing = error
    try:
        return aiohttp_client(connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s)
    except ImportError:
        raise ImportError(
            "the asynchronous gateway needs the extra: pip install 'refund-domain[stripe-httpx]', or "
            "[stripe-aiohttp]"
        ) from missing


def arguments(call: Call) -> tuple[str, str, Mapping[str, object]]:
    """The method, path and keywords of this call for `raw_request`.

    The account header is for connected accounts only; an empty one would mean the platform. A key makes it a
    POST; it goes into the header, never among the parameters (docs/explanation/stripe-facts.md, "Creating a
    refund: parameters and traps").
    """
    words = dict(call.params)
    if call.account != PLATFORM:
        words["stripe_account"] = call.account
    if call.key is None:
        return "get", call.path, words
    words["idempotency_key"] = call.key
    return "post", call.path, words


def check_resolvable(named: object, account: object) -> None:
    """Refuse (ValueError) an id that is neither a PaymentIntent's, a checkout session's nor a charge's."""
    check_id(named, "id")
    check_id(account, "account")
    if account != PLATFORM and not str(account).startswith("acct_"):
        raise ValueError("account must be 'platform' (the default), or the acct_… that holds the charge")
    if not str(named).startswith(_RESOLVED):
        raise ValueError(
            "id must be a PaymentIntent's (pi_…), a checkout session's (cs_…) or a charge's (ch_…, py_…)"
        )


def check_page(account: object, window: object, subject: object, after: object) -> None:
    """Refuse (TypeError, ValueError) what no page of a feed can be asked for by."""
    check_id(account, "account")
    check_type(window, Window, "window")
    if subject not in (Subject.REFUND, Subject.DISPUTE):
        raise ValueError("subject must be refund or dispute")
    if after is not None:
        check_id(after, "after")


def check_entries(account: object, payout: object, window: object, after: object) -> None:
    """Refuse (TypeError, ValueError) what no page of entries can be asked for by."""
    check_id(account, "account")
    check_type(payout, Payout, "payout")
    if window is not None:
        check_type(window, Window, "window")
    if after is not None:
        check_id(after, "after")


def _check_address(value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"base_address must be a str, not {type(value).__name__}")
    if not _ADDRESS.fullmatch(value):
        raise ValueError(
            "base_address must be https://host[:port] without a path, or http:// for 127.0.0.1 or localhost: "
            "the secret key is never sent in the clear over a network"
        )
