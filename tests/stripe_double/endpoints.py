"""What the double serves: one function for each address, and the table that leads to them.

A handler is given a `Call` and returns JSON or raises `ApiError`. Nothing here knows of sockets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs
import stripe
from stripe import params as p

from refund_adapters.memory import CameBack, MemoryBank
from refund_adapters.memory import rows as bank_rows
from refund_adapters.memory.replies import Breaks, ErrorReply
from refund_adapters.stripe import MARK
from refund_domain.money import Currency, Money
from refund_domain.payments import PLATFORM
from tests.stripe_double import errors, schema
from tests.stripe_double.errors import ApiError
from tests.stripe_double.objects import Json, View, listed_as

REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer")


@attrs.frozen(kw_only=True)
class Call:
    """One request, read: where it goes, with what, as whom. `view` makes the books into JSON, under the lock."""

    bank: MemoryBank
    account: str
    id: str
    params: dict[str, Any]
    path: str
    key: str | None
    breaks: Breaks | None
    view: Callable[[Any], View]
    overlay: dict[str, Json]

    def shown(self, name: str, kind: str, *, param: str = "id", kept: bool = False) -> Json:
        """The object of this id, or 404."""
        with self.bank.turn as books:
            body = self.view(books).by_id(name)
        if body is None:
            raise errors.missing(kind, name, param=param, kept=kept)
        return body

    def number(self, name: str) -> int | None:
        """A whole number among the parameters, if it is there."""
        value = self.params.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not value.removeprefix("-").isdecimal():
            raise ApiError(400, f"Invalid integer: {name}", code="parameter_invalid_integer", param=name)
        return int(value)

    def flag(self, name: str) -> bool | None:
        """A boolean among the parameters, if it is there."""
        value = self.params.get(name)
        if value not in (None, "true", "false"):
            raise ApiError(400, f"Invalid boolean: {name}", param=name)
        return None if value is None else value == "true"


# -- lists ----------------------------------------------------------------------------------------------------


def page(call: Call, members: Iterable[Json]) -> Json:
    """A page of these, which are newest first: limit, cursors, has_more (Stripe facts, "The refund object")."""
    found = [member for member in members if _within(call, member)]
    limit = call.number("limit")
    limit = 10 if limit is None else limit
    if not 1 <= limit <= 100:
        raise ApiError(400, "limit must be from 1 to 100", code="parameter_invalid_integer", param="limit")
    after, before = call.params.get("starting_after"), call.params.get("ending_before")
    if after is not None and before is not None:
        raise ApiError(400, "You may only specify one of these parameters", code="parameters_exclusive")
    if before is not None:
        rest = found[: _place(found, before, "ending_before")]
        return listed_as(rest[-limit:], call.path, more=len(rest) > limit)
    rest = found if after is None else found[_place(found, after, "starting_after") + 1 :]
    return listed_as(rest[:limit], call.path, more=len(rest) > limit)


def _place(members: list[Json], name: str, param: str) -> int:
    for place, member in enumerate(members):
        if member["id"] == name:
            return place
    raise errors.missing("object", name, param=param)


def _within(call: Call, member: Json) -> bool:
    """Whether it was created within the asked span."""
    created, asked = member["created"], call.params.get("created")
    if asked is None:
        return True
    if isinstance(asked, str):
        return bool(created == int(asked))
    holds: dict[str, Callable[[int], bool]] = {
        "gt": lambda at: created > at,
        "gte": lambda at: created >= at,
        "lt": lambda at: created < at,
        "lte": lambda at: created <= at,
    }
    return all(holds[word](int(at)) for word, at in asked.items() if word in holds)


# -- payments -------------------------------------------------------------------------------------------------


def retrieve(kind: str) -> Callable[[Call], Json]:
    """One object by the id in its address."""
    return lambda call: call.shown(call.id, kind)


# -- refunds --------------------------------------------------------------------------------------------------


def create_refund(call: Call) -> Json:
    """Execute a create request at the bank; what is odd about its parameters is refused before."""
    params = call.params
    amount = call.number("amount")
    if amount is not None and amount < 1:
        raise ApiError(400, "Invalid positive integer", code="parameter_invalid_integer", param="amount")
    reason = params.get("reason")
    if reason is not None and reason not in REASONS:
        raise ApiError(400, f"Invalid reason: must be one of {', '.join(REASONS)}", param="reason")
    metadata = _metadata(params.get("metadata"))
    reverse, fee = call.flag("reverse_transfer"), call.flag("refund_application_fee")
    reply = call.bank.refund(
        call.account,
        _target(call),
        amount,
        key=call.key,
        mark=metadata.get(MARK),
        reason=reason,
        reverse_transfer=reverse,
        refund_application_fee=fee,
        metadata=metadata,
        breaks=call.breaks,
    )
    if isinstance(reply, ErrorReply):
        raise errors.of_reply(reply)
    return call.shown(reply.refund.id, "refund")


def _target(call: Call) -> str:
    """The charge that is meant, by its id or by its PaymentIntent's."""
    charge, intent = call.params.get("charge"), call.params.get("payment_intent")
    if not charge and not intent:
        raise ApiError(
            400, "One of the following params should be provided for this request: payment_intent or charge."
        )
    if charge and intent:
        raise ApiError(400, "You may only specify one of charge, payment_intent.", code="parameters_exclusive")
    if charge:
        return str(charge)
    intent = str(intent)
    found = call.bank.intents.find(call.account, intent)
    if found is None:
        raise errors.missing("payment_intent", intent, kept=True)
    if found.charge is None or found.status == "requires_capture":
        raise ApiError(
            400, f"This PaymentIntent ({intent}) does not have a successful charge to refund.", kept=True
        )
    return found.charge


def _metadata(given: object) -> dict[str, str]:
    if given is None or given == "":
        return {}
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise ApiError(400, "Metadata must be key-value pairs of strings.", param="metadata")
    return given


def list_refunds(call: Call) -> Json:
    """Refunds of a charge, of a PaymentIntent, or of the account, as far as the list shows them yet."""
    charge, intent = call.params.get("charge"), call.params.get("payment_intent")
    with call.bank.turn as books:
        if charge is not None and (call.account, charge) not in books.charges:
            raise errors.missing("charge", charge, param="charge")
        if intent is not None and (call.account, intent) not in books.intents:
            raise errors.missing("payment_intent", intent, param="payment_intent")
        view = call.view(books)
        shown = [
            view.refund(refund)
            for refund in reversed(books.refunds.values())
            if refund.charge.ref.account == call.account
            and refund.shown_at <= books.now
            and charge in (None, refund.charge.ref.charge)
            and intent in (None, refund.charge.intent)
        ]
    return page(call, shown)


def update_refund(call: Call) -> Json:
    """Metadata is all that can be changed; an empty value takes a key away."""
    body = call.shown(call.id, "refund")
    given = call.params.get("metadata")
    old = body["metadata"]
    new = {} if given == "" else {**old, **_metadata(given)}
    new = {name: value for name, value in new.items() if value != ""}
    call.overlay[call.id] = {"metadata": new}
    with call.bank.turn as books:
        refund = books.refunds[call.id]
        if refund.mark != new.get(MARK):
            refund.mark = new.get(MARK)
            refund.touch()
        if new != old:
            books.tell("refund.updated", *refund.place)
    return call.shown(call.id, "refund")


def cancel_refund(call: Call) -> Json:
    """No card or ACH refund can be cancelled here: 400 without a code, as seen live."""
    call.shown(call.id, "refund")
    raise ApiError(400, "Refunds can only be canceled while they require an action of the customer.", kept=True)


# -- disputes -------------------------------------------------------------------------------------------------


def list_disputes(call: Call) -> Json:
    """Disputes of a charge, of a PaymentIntent, or of the account."""
    charge, intent = call.params.get("charge"), call.params.get("payment_intent")
    with call.bank.turn as books:
        view = call.view(books)
        shown = [
            view.dispute(disputed)
            for disputed in reversed(books.disputes.values())
            if disputed.charge.ref.account == call.account
            and charge in (None, disputed.charge.ref.charge)
            and intent in (None, disputed.charge.intent)
        ]
    return page(call, shown)


# -- Connect --------------------------------------------------------------------------------------------------


def list_transfers(call: Call) -> Json:
    """The platform's transfers, of a group or to a destination if asked so."""
    group, destination = call.params.get("transfer_group"), call.params.get("destination")
    with call.bank.turn as books:
        view = call.view(books)
        shown = [
            view.transfer(moved)
            for moved in reversed(books.transfers.values())
            if call.account == PLATFORM
            and group in (None, moved.group)
            and destination in (None, moved.destination)
        ]
    return page(call, shown)


def reverse_transfer(call: Call) -> Json:
    """Pull a transfer back: all that is left of it, or an amount."""
    if call.flag("refund_application_fee"):
        raise ApiError(400, "This double returns fees by their own address only.", param="refund_application_fee")
    transfer = call.shown(call.id, "transfer", kept=True)
    metadata = _metadata(call.params.get("metadata"))
    reply = call.bank.connect.reverse(
        call.id,
        _amount(call, transfer["currency"]),
        key=call.key,
        mark=metadata.get(MARK),
        metadata=metadata,
        breaks=call.breaks,
    )
    return _came_back(call, reply, "transfer_reversal")


def list_reversals(call: Call) -> Json:
    """The reversals of one transfer, as far as the list shows them yet."""
    call.shown(call.id, "transfer")
    with call.bank.turn as books:
        view, moved = call.view(books), books.transfers[call.id]
        shown = [view.reversal(moved, back) for back in moved.listed(books.now)]
    return page(call, shown)


def refund_fee(call: Call) -> Json:
    """Return an application fee by hand: all that is left of it, or an amount."""
    fee = call.shown(call.id, "application_fee", kept=True)
    amount = _amount(call, fee["currency"])
    return _came_back(call, call.bank.connect.return_fee(call.id, amount), "fee_refund")


def _amount(call: Call, currency: str) -> Money | None:
    minor = call.number("amount")
    if minor is not None and minor < 1:
        raise ApiError(400, "Invalid positive integer", code="parameter_invalid_integer", param="amount")
    return None if minor is None else Money(minor, Currency.of(currency))


def _came_back(call: Call, reply: CameBack | ErrorReply, kind: str) -> Json:
    if isinstance(reply, ErrorReply):
        raise errors.of_reply(reply)
    return call.shown(reply.id, kind)


# -- money ----------------------------------------------------------------------------------------------------


def balance(call: Call) -> Json:
    """What is available and pending, in each currency the account ever had."""
    currencies = sorted({row.currency for row in call.bank.payouts.rows(call.account)} | {"USD"})
    sums = [call.bank.payouts.balance(call.account, currency) for currency in currencies]
    with call.bank.turn as books:
        live = call.view(books).live

    def shown(amounts: Iterable[Money]) -> list[Json]:
        return [
            {
                "amount": amount.amount_minor,
                "currency": amount.currency.code.lower(),
                "source_types": {"card": amount.amount_minor},
            }
            for amount in amounts
        ]

    return {
        "object": "balance",
        "available": shown(available for available, _ in sums),
        "livemode": live,
        "pending": shown(pending for _, pending in sums),
    }


def list_rows(call: Call) -> Json:
    """Balance transactions: of a payout once it is reconciled, of a type, of a source."""
    asked = call.params
    payout_id = asked.get("payout")
    with call.bank.turn as books:
        view = call.view(books)
        rows = bank_rows.rows_of(books, call.account)
        if payout_id is not None:
            payout = books.payouts.get(payout_id)
            if payout is None or payout.account != call.account:
                raise errors.missing("payout", payout_id, param="payout")
            if not payout.automatic:
                message = "Balance transaction history can only be filtered on automatic transfers, not manual."
                raise ApiError(400, message, param="payout")
            if not payout.reconciled:
                message = "The payout is not reconciled yet."
                raise ApiError(400, message, code="payout_reconciliation_not_ready", param="payout")
            held = {*payout.rows, f"txn_{payout.id}"}
            rows = [row for row in rows if row.id in held]
        shown = [
            view.row(row)
            for row in reversed(rows)
            if asked.get("type") in (None, row.type)
            and asked.get("source") in (None, row.source)
            and asked.get("currency") in (None, row.currency.lower())
        ]
    return page(call, shown)


def list_payouts(call: Call) -> Json:
    """The account's payouts."""
    with call.bank.turn as books:
        view = call.view(books)
        shown = [
            view.payout(payout)
            for payout in reversed(books.payouts.values())
            if payout.account == call.account and call.params.get("status") in (None, payout.status)
        ]
    return page(call, shown)


# -- the table ------------------------------------------------------------------------------------------------


@attrs.frozen
class Endpoint:
    """One address: who handles it, which type its parameters and its answer are."""

    method: str
    pattern: re.Pattern[str]
    handle: Callable[[Call], Json]
    params: type
    answer: type


def _endpoint(method: str, path: str, handle: Callable[[Call], Json], params: type, answer: type) -> Endpoint:
    pattern = re.compile(re.escape(path).replace("ID", "(?P<id>[^/]+)"))
    return Endpoint(method, pattern, handle, params, answer)


_many = schema.list_of

ENDPOINTS: Final = (
    _endpoint("GET", "/v1/charges/ID", retrieve("charge"), p.ChargeRetrieveParams, stripe.Charge),
    _endpoint("POST", "/v1/refunds", create_refund, p.RefundCreateParams, stripe.Refund),
    _endpoint("GET", "/v1/refunds", list_refunds, p.RefundListParams, _many(stripe.Refund)),
    _endpoint("GET", "/v1/refunds/ID", retrieve("refund"), p.RefundRetrieveParams, stripe.Refund),
    _endpoint("POST", "/v1/refunds/ID", update_refund, p.RefundUpdateParams, stripe.Refund),
    _endpoint("POST", "/v1/refunds/ID/cancel", cancel_refund, p.RefundCancelParams, stripe.Refund),
    _endpoint(
        "GET",
        "/v1/payment_intents/ID",
        retrieve("payment_intent"),
        p.PaymentIntentRetrieveParams,
        stripe.PaymentIntent,
    ),
    _endpoint(
        "GET",
        "/v1/checkout/sessions/ID",
        retrieve("checkout.session"),
        p.checkout.SessionRetrieveParams,
        stripe.checkout.Session,
    ),
    _endpoint("GET", "/v1/disputes", list_disputes, p.DisputeListParams, _many(stripe.Dispute)),
    _endpoint("GET", "/v1/disputes/ID", retrieve("dispute"), p.DisputeRetrieveParams, stripe.Dispute),
    _endpoint("GET", "/v1/transfers", list_transfers, p.TransferListParams, _many(stripe.Transfer)),
    _endpoint("GET", "/v1/transfers/ID", retrieve("transfer"), p.TransferRetrieveParams, stripe.Transfer),
    _endpoint(
        "GET",
        "/v1/transfers/ID/reversals",
        list_reversals,
        p.TransferReversalListParams,
        _many(stripe.TransferReversal),
    ),
    _endpoint(
        "POST",
        "/v1/transfers/ID/reversals",
        reverse_transfer,
        p.TransferReversalCreateParams,
        stripe.TransferReversal,
    ),
    _endpoint(
        "GET",
        "/v1/application_fees/ID",
        retrieve("application_fee"),
        p.ApplicationFeeRetrieveParams,
        stripe.ApplicationFee,
    ),
    _endpoint(
        "POST",
        "/v1/application_fees/ID/refunds",
        refund_fee,
        p.ApplicationFeeRefundCreateParams,
        stripe.ApplicationFeeRefund,
    ),
    _endpoint("GET", "/v1/balance", balance, p.BalanceRetrieveParams, stripe.Balance),
    _endpoint(
        "GET",
        "/v1/balance_transactions",
        list_rows,
        p.BalanceTransactionListParams,
        _many(stripe.BalanceTransaction),
    ),
    _endpoint("GET", "/v1/payouts", list_payouts, p.PayoutListParams, _many(stripe.Payout)),
    _endpoint("GET", "/v1/payouts/ID", retrieve("payout"), p.PayoutRetrieveParams, stripe.Payout),
)
"""Every address the double serves."""

EXPANDABLE: Final = frozenset(
    (
        "application_fee", "balance_transaction", "charge", "failure_balance_transaction", "fee", "latest_charge",
        "payment_intent", "source", "source_refund", "source_transaction", "transfer", "transfer_reversal",
    )
)  # fmt: skip
"""The links that lead to something the double has."""


def expanded(call: Call, body: Json) -> Json:
    """The body with what `expand` asks for put in; 400 for what cannot be."""
    asked = call.params.get("expand")
    if asked is None:
        return body
    if not isinstance(asked, list):
        raise ApiError(400, "Invalid array", param="expand")
    with call.bank.turn as books:
        view = call.view(books)
        for path in asked:
            _expand(view, body, str(path).split("."), str(path))
    return body


def _expand(view: View, holder: Any, steps: list[str], path: str) -> None:
    step, *rest = steps
    if step == "data" and isinstance(holder, dict) and isinstance(holder.get("data"), list):
        for member in holder["data"]:
            _expand(view, member, rest, path)
        return
    if step == "refunds" and isinstance(holder, dict) and holder.get("object") == "charge":
        holder["refunds"] = view.refunds_of(view.books.charges[view.account, holder["id"]])
    elif step not in EXPANDABLE and not (step == "refunds" and isinstance(holder, dict) and step in holder):
        raise ApiError(400, f"This property cannot be expanded ({path}).", param="expand")
    if not isinstance(holder, dict) or holder.get(step) is None:
        return
    if isinstance(holder[step], str):
        holder[step] = view.by_id(holder[step]) or holder[step]
    if rest:
        _expand(view, holder[step], rest, path)


def find(method: str, path: str) -> tuple[Endpoint, str] | None:
    """Who serves this, and the id in the address."""
    for endpoint in ENDPOINTS:
        match = endpoint.pattern.fullmatch(path)
        if match is not None and endpoint.method == method:
            return endpoint, match.groupdict().get("id", "")
    return None


def check_known(endpoint: Endpoint, params: dict[str, Any]) -> None:
    """Refuse what Stripe would not know here."""
    known = schema.names_of(endpoint.params)
    for name in params:
        if name not in known:
            raise errors.unknown_parameter(name)
