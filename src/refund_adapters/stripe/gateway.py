"""`StripeGateway`: the port to Stripe, over stripe-python, by charge id, for platform and direct charges.

The norm is docs/explanation/stripe-facts.md; what its words mean to the library stands in `_translate`, how
bytes travel in `_transport`. Here is the order of calls and nothing else.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NoReturn

import attrs

from refund_adapters.stripe import _translate as words
from refund_domain._checks import check_type
from refund_domain.answers import Answer, Look, Missing, NotSent, OutcomeUnknown, Picture, Send, Unread
from refund_domain.connect import DirectCharge, PlatformCharge
from refund_domain.money import Currency, Money
from refund_domain.payments import PLATFORM, Dispute, GatewayRefund, PaymentRef

if TYPE_CHECKING:
    import stripe
    from stripe import RequestOptions
    from stripe.params import DisputeListParams, RefundListParams

PAGE_SIZE: Final = 100  # Stripe's own most
PAGES_MOST: Final = 100

_KEY = re.compile(r"[sr]k_(live|test)_[A-Za-z0-9_]{1,240}", re.ASCII)
_ADDRESS = re.compile(
    r"https://[A-Za-z0-9.\-]+(:[0-9]{1,5})?|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?"
)


class StripeGateway:
    """Refunds charges at Stripe: a `PaymentGateway`, sync, safe to share between threads.

    `secret_key` is a secret or restricted key (sk_live_, sk_test_, rk_live_, rk_test_); a restricted one needs
    to write charges and refunds and to read disputes and balance transactions. `connect_timeout_s` bounds the
    connecting (once the name is resolved; the system's resolver has limits of its own), `read_timeout_s` one
    whole answer, `read_budget_s` a whole look: beyond it the look ends as `Unread`, at the latest after the
    timeouts of the call then under way. `base_address` names another server than Stripe's, for tests: https,
    or http on this machine only. `http_client` replaces the transport, for benchmarks: it must make one
    request per call, follow no redirect, retry nothing and bring timeouts of its own.

    Raises TypeError or ValueError for odd arguments, never repeating the key; ImportError without the extra
    `stripe`. Holds one StripeClient with retries off. Nothing process-global is touched: stripe-python's
    telemetry (a random id in ~/.config/stripe, timings in headers), app info and log level stay as the host
    set them; its logger `stripe` writes bodies at DEBUG, so keep it above that in production.

    >>> gateway = StripeGateway("sk_test_example")
    >>> gateway, gateway.live
    (StripeGateway(live=False), False)
    """

    def __init__(
        self,
        secret_key: str,
        *,
        connect_timeout_s: float = 3.0,
        read_timeout_s: float = 20.0,
        read_budget_s: float = 60.0,
        base_address: str | None = None,
        http_client: stripe.HTTPClient | None = None,
    ) -> None:
        self._live = _is_live(secret_key)
        _check_seconds(connect_timeout_s, "connect_timeout_s")
        _check_seconds(read_timeout_s, "read_timeout_s")
        _check_seconds(read_budget_s, "read_budget_s")
        if base_address is not None:
            _check_address(base_address)
        try:
            import stripe  # 170 ms and 31 MB: only for those who use it

            from refund_adapters.stripe import _transport
        except ImportError as error:
            raise ImportError("StripeGateway needs the extra: pip install 'refund-domain[stripe]'") from error
        self._transport = _transport
        self._read_budget_s = read_budget_s
        self._client = stripe.StripeClient(
            secret_key,
            base_addresses={} if base_address is None else {"api": base_address},
            max_network_retries=0,
            http_client=http_client
            or _transport.Transport(connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s),
        )

    @property
    def live(self) -> bool:
        """Whether real money moves: the key is a live one."""
        return self._live

    def __repr__(self) -> str:
        return f"StripeGateway(live={self._live})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a StripeGateway holds a secret key and is never pickled or copied; make a new one")

    def look(self, ref: PaymentRef, /) -> Look:
        """Read the charge, its refunds to the last page, its disputes if it says disputed.

        `Missing` where Stripe says that the account holds no such charge; `Unread` for every other failure
        and for whatever is odd, contradictory or late. Raises TypeError for what is no PaymentRef.
        """
        check_type(ref, PaymentRef, "ref")
        reading = _Reading(self._client, ref, self._read_budget_s)
        try:
            try:
                charge = reading.charge()
            except Exception as error:
                fault = self._transport.fault_in(error)
                if fault is not None and words.is_missing(fault):
                    return Missing()
                raise
            payment = words.payment_of(charge, ref)
            partly = words.is_partly_captured(charge)
            refunds, released = reading.refunds(payment.captured.currency, partly_captured=partly)
            payment = words.without_released(payment, released)
            if words.says_disputed(charge):
                disputes = self._disputes(reading, charge, payment.captured)
                payment = attrs.evolve(payment, disputes=disputes)
            return Picture(payment=payment, refunds=refunds)
        except words.Unclear as unclear:
            return Unread(why=str(unclear))
        except Exception as error:  # the port's promise: a look does not raise for what network or gateway do
            fault = self._transport.fault_in(error)
            return Unread(why=_no_answer(error)) if fault is None else words.unread_of(fault)

    def send(self, send: Send, /) -> Answer:
        """Ask for this refund in exactly one POST: explicit amount, `refund_id` as key and as mark.

        Answers as docs/explanation/stripe-facts.md, "Error classification". A charge that is neither the
        platform's own nor a direct one is NotSent, without a call. Raises TypeError for what is no Send;
        CancelledError, KeyboardInterrupt and SystemExit pass.
        """
        check_type(send, Send, "send")
        if send.split not in (PlatformCharge(), DirectCharge()):
            why = "only the platform's own charges and direct charges are refunded here, at their account"
            return NotSent(why=why, alarm=words.KIND_NOT_SUPPORTED)
        options = _options(send.payment)
        options["idempotency_key"] = send.refund_id
        try:
            made = self._client.v1.refunds.create(
                {
                    "charge": send.payment.charge,
                    "amount": send.amount.amount_minor,
                    "reason": send.reason.value,
                    "metadata": {words.MARK: send.refund_id},
                },
                options,
            )
            return words.made_of(_json(made), send)
        except Exception as error:
            return self._failed(error)

    def _failed(self, error: Exception) -> Answer:
        fault = self._transport.fault_in(error)
        if fault is not None:
            return words.answer_of(fault)
        if self._transport.never_left(error):
            return NotSent(why=_no_answer(error))
        return OutcomeUnknown(why=_no_answer(error))

    def _disputes(self, reading: _Reading, charge: words.JsonObject, captured: Money) -> tuple[Dispute, ...]:
        """All disputes of the charge; a charge that says disputed and lists none contradicts itself.

        Test doubles have no list of disputes (404) and name one dispute on the charge, as old API versions
        did. That one is read there by its id. In live mode it is not: a charge may have had more than one,
        so one is no complete picture, and a 404 from Stripe's own list is a contradiction.
        """
        try:
            disputes = reading.disputes(captured)
        except Exception as error:
            fault = self._transport.fault_in(error)
            named = words.id_of(charge.get("dispute"))
            if self._live or named is None or fault is None or not fault.spoken or fault.status != 404:
                raise
            disputes = (reading.dispute(named, captured),)
        if not disputes:
            raise words.Unclear("the charge says disputed, but no dispute is listed")
        return disputes


class _Reading:
    """The calls of one look, inside one budget of time."""

    def __init__(self, client: stripe.StripeClient, ref: PaymentRef, budget_s: float) -> None:
        self._v1 = client.v1
        self._ref = ref
        self._ends_at = time.monotonic() + budget_s

    def charge(self) -> words.JsonObject:
        """The charge, with its balance transaction for the fee."""
        return self._in_time(
            self._v1.charges.retrieve(self._ref.charge, {"expand": ["balance_transaction"]}, _options(self._ref))
        )

    def refunds(
        self, currency: Currency, *, partly_captured: bool
    ) -> tuple[tuple[GatewayRefund, ...], tuple[GatewayRefund, ...]]:
        """All refunds of the charge, to the last page; and apart from them what a partial capture released."""

        def page(after: str | None) -> object:
            params: RefundListParams = {"charge": self._ref.charge, "limit": PAGE_SIZE}
            params["expand"] = ["data.balance_transaction"]
            if after is not None:
                params["starting_after"] = after
            return self._v1.refunds.list(params, _options(self._ref))

        refunds: list[GatewayRefund] = []
        released: list[GatewayRefund] = []
        for row in self._to_the_end(page):
            apart = words.released_by_capture(row, partly_captured=partly_captured)
            (released if apart else refunds).append(words.refund_of(row, self._ref.charge, currency))
        return tuple(refunds), tuple(released)

    def disputes(self, captured: Money) -> tuple[Dispute, ...]:
        """All disputes of the charge, to the last page."""

        def page(after: str | None) -> object:
            params: DisputeListParams = {"charge": self._ref.charge, "limit": PAGE_SIZE}
            if after is not None:
                params["starting_after"] = after
            return self._v1.disputes.list(params, _options(self._ref))

        return tuple(words.dispute_of(row, self._ref.charge, captured) for row in self._to_the_end(page))

    def dispute(self, named: str, captured: Money) -> Dispute:
        """One dispute by its id."""
        body = self._in_time(self._v1.disputes.retrieve(named, None, _options(self._ref)))
        return words.dispute_of(body, self._ref.charge, captured)

    def _to_the_end(self, page: Callable[[str | None], object]) -> list[words.JsonObject]:
        """Every member of a list. Raises Unclear if it does not advance or does not end."""
        members: list[words.JsonObject] = []
        seen: set[str] = set()
        after: str | None = None
        for _ in range(PAGES_MOST):
            rows, has_more = words.page_of(self._in_time(page(after)))
            for row in rows:
                after = words.id_of(row)
                if after is None or after in seen:
                    raise words.Unclear("a list repeats itself or holds a member without an id")
                seen.add(after)
            members.extend(rows)
            if not has_more:
                return members
            if not rows:
                raise words.Unclear("a list says that it has more, but does not advance")
        raise words.Unclear(f"a list has more than {PAGES_MOST} pages")

    def _in_time(self, read: object) -> words.JsonObject:
        """The body of what was just read, if the budget still stands."""
        if time.monotonic() > self._ends_at:
            raise words.Unclear("the reading took longer than read_budget_s")
        body = _json(read)
        if not isinstance(body, dict):
            raise words.Unclear("the answer is no object")
        return body


def _options(ref: PaymentRef) -> RequestOptions:
    """The account header, for connected accounts only; never empty, which would mean the platform (trap 5)."""
    return {} if ref.account == PLATFORM else {"stripe_account": ref.account}


def _json(answered: object) -> object:
    """The plain JSON that stripe-python read; no StripeObject goes further, as each carries the key."""
    return getattr(getattr(answered, "last_response", None), "data", None)


def _no_answer(error: Exception) -> str:
    """Why nothing came back: the names of classes only, as a message may repeat what was sent."""
    inner = error.__cause__
    name = type(error).__name__ if inner is None else f"{type(error).__name__}: {type(inner).__name__}"
    return name[:200]


def _is_live(secret_key: object) -> bool:
    if not isinstance(secret_key, str):
        raise TypeError(f"secret_key must be a str, not {type(secret_key).__name__}")
    match = _KEY.fullmatch(secret_key)
    if match is None:
        raise ValueError(
            "secret_key must be a Stripe secret or restricted key: sk_live_…, sk_test_…, rk_live_… or rk_test_…, "
            "without spaces or line breaks; what was given is not shown here"
        )
    return match[1] == "live"


def _check_seconds(value: object, name: str) -> None:
    if type(value) not in (int, float):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not 0 < float(value) <= 300:  # type: ignore[arg-type]
        raise ValueError(f"{name} must be more than 0 and at most 300 seconds")


def _check_address(value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"base_address must be a str, not {type(value).__name__}")
    if not _ADDRESS.fullmatch(value):
        raise ValueError(
            "base_address must be https://host[:port] without a path, or http:// for 127.0.0.1 or localhost: "
            "the secret key is never sent in the clear over a network"
        )
