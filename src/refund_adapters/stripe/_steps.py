"""Which calls a look, a page of a feed, a resolve and a locate make, in which order, and what comes of them.

Pure, no I/O: each is a generator that yields a `Call` and is sent what came of it, the JSON of a success or a
`Failed`. The gateways drive them, one by calling, one by awaiting; what is decided is decided here, once.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime
from typing import Final, TypeVar
from urllib.parse import quote

import attrs

from refund_adapters.stripe import _faults as faults
from refund_adapters.stripe import _translate as translate
from refund_adapters.stripe._members import JsonObject, Unclear, id_of
from refund_domain.answers import (
    Answer,
    Ask,
    Look,
    Missing,
    NotSent,
    OutcomeUnknown,
    Picture,
    Reversal,
    Send,
    Unread,
)
from refund_domain.connect import PLATFORM, ApplicationFee, ChargeKind, Transfer
from refund_domain.errors import GatewayUnreadable
from refund_domain.money import Money
from refund_domain.operations.feeds import FeedPage, Window
from refund_domain.payments import Dispute, GatewayRefund, Payment, PaymentRef
from refund_domain.refusals import NotCaptured, NotFound, Refused
from refund_domain.signals import Signal, Subject

PAGE_SIZE: Final = 100  # Stripe's own most
PAGES_MOST: Final = 100

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Call:
    """One request: a GET, or a POST under its idempotency key, at this account (PLATFORM: no account header)."""

    path: str
    params: Mapping[str, object]
    account: str
    key: str | None = None


@attrs.frozen(kw_only=True)
class Failed:
    """A call that brought no success: Stripe's error, or no answer at all (`fault` None).

    `why` names classes of exceptions, never their text; `never_left`: it is certain that no byte went out.
    """

    why: str
    fault: faults.Fault | None = None
    never_left: bool = False


Reply = object
"""What is sent into a generator: a `Failed`, or the JSON of a success, of which nothing is known yet."""

Steps = Generator[Call, Reply, T]


class Stopped(Exception):
    """A call failed, and with it the reading."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.why)
        self.failed = failed


# --- a look -----------------------------------------------------------------------------------------------


def look(ref: PaymentRef, *, live: bool) -> Steps[Look]:
    """One complete picture: the charge, its refunds to the last page, and what else the charge says there is."""
    if ref.charge.startswith(("pi_", "cs_")):
        return Unread(why="this ref names no charge: ask the gateway's resolve once, and keep the ref it returns")
    try:
        try:
            charge = yield from get("/v1/charges/", ref.charge, ref.account, expand=["balance_transaction"])
        except Stopped as stopped:
            if stopped.failed.fault is not None and faults.is_missing(stopped.failed.fault):
                return Missing()
            raise
        payment = translate.payment_of(charge, ref, live=live)
        refunds, released = yield from _refunds(ref, charge, payment.captured)
        payment = translate.without_released(payment, released)
        payment = yield from _connected(payment, charge)
        if translate.says_disputed(charge):
            disputes = yield from _disputes(ref, charge, payment.captured, live=live)
            payment = attrs.evolve(payment, disputes=disputes)
        return Picture(payment=payment, refunds=refunds)
    except Unclear as unclear:
        return Unread(why=str(unclear))
    except Stopped as stopped:
        return unread(stopped.failed)


def unread(failed: Failed) -> Unread:
    """What a reading comes to of which a call failed."""
    return Unread(why=failed.why) if failed.fault is None else faults.unread_of(failed.fault)


def _refunds(
    ref: PaymentRef, charge: JsonObject, captured: Money
) -> Steps[tuple[tuple[GatewayRefund, ...], tuple[GatewayRefund, ...]]]:
    """All refunds of the charge, to the last page; and apart from them what was released uncaptured."""
    rows = yield from every("/v1/refunds", ref.account, charge=ref.charge, expand=["data.balance_transaction"])
    refunds: list[GatewayRefund] = []
    released: list[GatewayRefund] = []
    for row in rows:
        apart = translate.is_release(row)
        (released if apart else refunds).append(translate.refund_of(row, ref.charge, captured.currency))
    # After all rows, for those that say they were released leave less that another may be.
    left = translate.left_by_capture(charge) - sum(part.amount.amount_minor for part in released)
    for row in rows:
        translate.check_is_refund(row, left)
    return tuple(refunds), tuple(released)


def _connected(payment: Payment, charge: JsonObject) -> Steps[Payment]:
    """The payment with the platform's fee, and with what the platform passed on of a separate charge."""
    if charge.get("application_fee") is not None:
        if (fee := id_of(charge["application_fee"])) is None:
            raise Unclear("application_fee is no id")
        payment = attrs.evolve(payment, application_fee=(yield from _application_fee(fee)))
    if payment.kind is not ChargeKind.DESTINATION and charge.get("transfer_group") is not None:
        payment = translate.with_transfers(payment, (yield from _transfers(charge, payment.ref)))
    return payment


def _application_fee(fee: str) -> Steps[ApplicationFee | None]:
    """The fee as the platform holds it; None for one that another platform took: that is not ours to return.

    A 403 says that the key may not read fees, which is another thing: it would hide what the platform took.
    """
    try:
        body = yield from get("/v1/application_fees/", fee, PLATFORM)
    except Stopped as stopped:
        fault = stopped.failed.fault
        if fault is not None and faults.is_missing(fault):
            return None
        raise
    return translate.application_fee_of(body)


def _transfers(charge: JsonObject, ref: PaymentRef) -> Steps[tuple[Transfer, ...]]:
    """All transfers of the charge's group, by who holds the charge, that were not made out of another charge.

    With all reversals of each of which something came back: the list within a transfer holds the first few only.
    """
    rows = yield from every("/v1/transfers", ref.account, transfer_group=charge["transfer_group"])
    found: list[Transfer] = []
    for row in rows:
        transfer = translate.transfer_of(row, ref.charge)
        if transfer is not None and transfer.reversed.amount_minor:
            back = yield from every(_reversals_of(transfer.id), ref.account)
            transfer = translate.with_reversals(transfer, back)
        if transfer is not None:
            found.append(transfer)
    return tuple(found)


def _reversals_of(transfer: str) -> str:
    return f"/v1/transfers/{quote(transfer, safe='')}/reversals"


def _disputes(ref: PaymentRef, charge: JsonObject, captured: Money, *, live: bool) -> Steps[tuple[Dispute, ...]]:
    """All disputes of the charge; a charge that says disputed and lists none contradicts itself.

    Test doubles have no list of disputes (404) and name one dispute on the charge, as old API versions did. That
    one is read there by its id. In live mode it is not: a charge may have had more than one, so one is no
    complete picture, and a 404 from Stripe's own list is a contradiction.
    """
    try:
        rows = yield from every("/v1/disputes", ref.account, charge=ref.charge)
    except Stopped as stopped:
        fault, named = stopped.failed.fault, id_of(charge.get("dispute"))
        if live or named is None or fault is None or not fault.spoken or fault.status != 404:
            raise
        rows = ((yield from get("/v1/disputes/", named, ref.account)),)
    if not rows:
        raise Unclear("the charge says disputed, but no dispute is listed")
    return tuple(translate.dispute_of(row, ref.charge, captured) for row in rows)


# --- a page of an account's feed ---------------------------------------------------------------------------

_LISTED_AT: Final[Mapping[Subject, tuple[str, str, Mapping[str, object]]]] = {
    # Only the balance transaction tells what a partial capture released from a refund.
    Subject.REFUND: ("refund", "/v1/refunds", {"expand": ["data.balance_transaction"]}),
    Subject.DISPUTE: ("dispute", "/v1/disputes", {}),
}


def page(
    account: str, window: Window, subject: Subject, after: str | None, *, live: bool
) -> Steps[FeedPage | Unread]:
    """One page of what the account's refunds or disputes of this window were, whole, the newest first."""
    kind, path, more = _LISTED_AT[subject]
    created = {"gte": second(window.start), "lt": second(window.end)}
    behind = {} if after is None else {"starting_after": after}
    params = {"limit": PAGE_SIZE, "created": created, **more, **behind}
    try:
        body = yield from body_of(Call(path=path, params=params, account=account))
        rows, has_more = translate.page_of(body)
        mentions = tuple(translate.mention_of(row, kind, live=live) for row in rows)
    except Unclear as unclear:
        return Unread(why=str(unclear))
    except Stopped as stopped:
        return unread(stopped.failed)
    if len({mention.id for mention in mentions}) != len(mentions) or (has_more and not mentions):
        return Unread(why="a page repeats itself or does not advance")
    return FeedPage(mentions=mentions, more=has_more)


def second(bound: datetime) -> int:
    """Stripe tells creation in whole seconds, so the first one that is not before the bound is the bound."""
    return int(-(-bound.timestamp() // 1))


# --- a send -----------------------------------------------------------------------------------------------


def send(asked: Ask) -> Steps[Answer]:
    """Exactly one POST, and what its outcome means."""
    reply = yield _post_of(asked)
    if not isinstance(reply, Failed):
        if isinstance(asked, Send):
            return translate.made_of(reply, asked)
        return translate.reversed_of(reply, asked)
    if reply.fault is not None:
        return faults.answer_of(reply.fault)
    return NotSent(why=reply.why) if reply.never_left else OutcomeUnknown(why=reply.why)


def _post_of(asked: Ask) -> Call:
    """The one request: a refund's at the account of its charge, a reversal's at the platform."""
    match asked:
        case Send():
            params = dict(translate.create_params(asked))
            return Call(path="/v1/refunds", params=params, account=asked.payment.account, key=asked.refund_id)
        case Reversal():
            params = dict(translate.reversal_params(asked))
            return Call(path=_reversals_of(asked.transfer), params=params, account=PLATFORM, key=asked.id)


# --- from other ids to a charge ------------------------------------------------------------------------------

_NOTHING_TAKEN: Final = frozenset(
    ["requires_payment_method", "requires_confirmation", "requires_action", "canceled"]
)
"""The states of a PaymentIntent in which no charge of it holds or will hold money (its next try is another)."""


def resolve(named: str, account: str, *, live: bool) -> Steps[PaymentRef | Refused]:
    """The charge behind a checkout session, a PaymentIntent or a charge's own id, at this account only.

    Raises GatewayUnreadable where Stripe could not be asked, or what it said is odd; so does `locate`.
    """
    try:
        if named.startswith("cs_"):
            session = yield from read_as("checkout.session", "/v1/checkout/sessions/", named, account, live)
            intent = id_of(session.get("payment_intent"))
            if intent is None and session.get("payment_status") in ("unpaid", "no_payment_required"):
                return Refused((NotCaptured(),))
            if intent is None:
                raise Unclear("the session was paid through an invoice: resolve the invoice's payment instead")
            named = intent
        if named.startswith("pi_"):
            body = yield from read_as("payment_intent", "/v1/payment_intents/", named, account, live)
            charge = id_of(body.get("latest_charge"))
            if charge is None or body.get("status") in _NOTHING_TAKEN:
                return Refused((NotCaptured(),))
            return PaymentRef(account, charge)
        yield from read_as("charge", "/v1/charges/", named, account, live)
        return PaymentRef(account, named)
    except Unclear as unclear:
        raise GatewayUnreadable(str(unclear)) from None
    except Stopped as stopped:
        fault = stopped.failed.fault
        if fault is not None and faults.is_missing(fault):
            return Refused((NotFound(),))
        raise GatewayUnreadable(_why(stopped.failed)) from None


_LOCATED_AT: Final = {Subject.REFUND: ("refund", "/v1/refunds/"), Subject.DISPUTE: ("dispute", "/v1/disputes/")}


def locate(signal: Signal, *, live: bool) -> Steps[Signal]:
    """The same signal with its charge, where it names none but a refund or a dispute of one."""
    where = _LOCATED_AT.get(signal.subject)
    if signal.charge is not None or signal.object_id is None or where is None:
        return signal
    kind, path = where
    try:
        body = yield from read_as(kind, path, signal.object_id, signal.account, live)
    except Unclear as unclear:
        raise GatewayUnreadable(str(unclear)) from None
    except Stopped as stopped:
        fault = stopped.failed.fault
        if fault is not None and faults.is_missing(fault):
            return signal
        raise GatewayUnreadable(_why(stopped.failed)) from None
    return attrs.evolve(signal, charge=id_of(body.get("charge")))


def _why(failed: Failed) -> str:
    return failed.why if failed.fault is None else faults.unread_of(failed.fault).why


# --- reading ------------------------------------------------------------------------------------------------


def get(folder: str, named: str, account: str, **params: object) -> Steps[JsonObject]:
    """The object of this id. Raises Stopped where the call failed, Unclear for what is no object."""
    return (yield from body_of(Call(path=folder + quote(named, safe=""), params=params, account=account)))


def body_of(call: Call) -> Steps[JsonObject]:
    reply = yield call
    if isinstance(reply, Failed):
        raise Stopped(reply)
    if not isinstance(reply, Mapping):
        raise Unclear("the answer is no object")
    return reply


def read_as(kind: str, folder: str, named: str, account: str, live: bool) -> Steps[JsonObject]:
    """The object of this id, which must be of this kind and of the key's mode."""
    body = yield from get(folder, named, account)
    if body.get("object") != kind or body.get("id") != named:
        raise Unclear(f"the answer is not the {kind} that was asked for")
    translate.check_mode(body, live=live)
    return body


def every(path: str, account: str, **params: object) -> Steps[tuple[JsonObject, ...]]:
    """Every member of a list. Raises Unclear if it does not advance or does not end."""
    members: list[JsonObject] = []
    seen: set[str] = set()
    after: dict[str, object] = {}
    for _ in range(PAGES_MOST):
        call = Call(path=path, params={"limit": PAGE_SIZE, **params, **after}, account=account)
        rows, has_more = translate.page_of((yield from body_of(call)))
        for row in rows:
            last = id_of(row)
            if last is None or last in seen:
                raise Unclear("a list repeats itself or holds a member without an id")
            seen.add(last)
            after = {"starting_after": last}
        members.extend(rows)
        if not has_more:
            return tuple(members)
        if not rows:
            raise Unclear("a list says that it has more, but does not advance")
    raise Unclear(f"a list has more than {PAGES_MOST} pages")
