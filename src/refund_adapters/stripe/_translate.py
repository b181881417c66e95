"""What Stripe's JSON means to this library, and what a send means to Stripe. Pure: no I/O, nothing remembered.

The JSON of a charge, a refund, a dispute, a fee or a transfer becomes the library's values, or raises `Unclear`;
a send becomes the parameters of one request. What failures mean stands in `_faults`, the order of calls in
`_steps`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, assert_never

import attrs

from refund_adapters.stripe._faults import NOT_OUR_REFUND, NOT_OUR_REVERSAL
from refund_adapters.stripe._members import (
    JsonObject,
    Unclear,
    as_id,
    currency_in,
    day,
    id_in,
    id_of,
    money,
    number,
    object_in,
    text,
    time_in,
    whole,
    word,
)
from refund_domain.answers import Accepted, OutcomeUnknown, Reversal, Reversed, Send
from refund_domain.connect import (
    PLATFORM,
    ApplicationFee,
    ChargeKind,
    DestinationCharge,
    DirectCharge,
    PlatformCharge,
    SeparateCharge,
    Transfer,
    TransferReversal,
)
from refund_domain.money import Currency, Money
from refund_domain.operations.feeds import Mention
from refund_domain.payments import Dispute, GatewayRefund, Payment, PaymentRef, PaymentStatus, Trace

if TYPE_CHECKING:
    from stripe.params import RefundCreateParams, TransferReversalCreateParams

MARK: Final = "refund_domain_id"
"""The metadata key under which our refund id stands on each refund we make."""

PASSED_ON: Final = ("transfer_data", "transfer", "source_transfer")
"""The members of a charge that say it was passed on, or was received so."""

_PARTIAL_CAPTURE: Final = "partial_capture_reversal"
_NEVER_CAPTURED: Final = "expired_uncaptured_charge"


def create_params(send: Send) -> RefundCreateParams:
    """The parameters of the one request that this send is: the explicit amount, our mark, what its split asks for.

    After docs/explanation/stripe-facts.md, "Creating a refund: parameters and traps" and "Connect".
    """
    params: RefundCreateParams = {
        "charge": send.payment.charge,
        "amount": send.amount.amount_minor,
        "reason": send.reason.value,
        "metadata": {MARK: send.refund_id},
    }
    match send.split:
        case (
            PlatformCharge() | SeparateCharge()
        ):  # what was passed on of the latter comes back by calls of its own
            return params
        case DirectCharge(return_fee=return_fee):
            pass
        case DestinationCharge(return_fee=return_fee):
            params["reverse_transfer"] = True
        case _:
            assert_never(send.split)
    if return_fee:
        params["refund_application_fee"] = True
    return params


def made_of(body: object, send: Send) -> Accepted | OutcomeUnknown:
    """Accept a success only if its body is the refund we asked for: id, amount, currency, charge and mark.

    Anything else is a proxy, a redirect or a defect: the refund may exist all the same.
    """
    try:
        refund = refund_of(object_in(body), send.payment.charge, send.amount.currency)
    except Unclear:
        refund = None
    if refund is None or refund.amount != send.amount or refund.mark != send.refund_id:
        return OutcomeUnknown(why="the answer is not our refund", resend=False, alarm=NOT_OUR_REFUND)
    return Accepted(refund=refund)


def reversal_params(asked: Reversal) -> TransferReversalCreateParams:
    """The parameters of the one request that this reversal is: the explicit amount and its mark."""
    return {"amount": asked.amount.amount_minor, "metadata": {MARK: asked.id}}


def reversed_of(body: object, asked: Reversal) -> Reversed | OutcomeUnknown:
    """Accept a success only if its body is the reversal we asked for: id, amount, currency, transfer and mark."""
    try:
        reversal = reversal_of(object_in(body), asked.transfer, asked.amount.currency)
    except Unclear:
        reversal = None
    if reversal is None or reversal.amount != asked.amount or reversal.mark != asked.id:
        return OutcomeUnknown(why="the answer is not our reversal", resend=False, alarm=NOT_OUR_REVERSAL)
    return Reversed(reversal=reversal)


def payment_of(charge: JsonObject, ref: PaymentRef, *, live: bool) -> Payment:
    """The payment that this charge shows, its disputes, fee and transfers aside: those are read apart.

    After docs/explanation/stripe-facts.md, "Facts to read on a charge". Raises Unclear for another charge, for
    one of the other mode than the key's, or for a charge without currency, amounts, status or time.
    """
    if charge.get("object") != "charge" or charge.get("id") != ref.charge:
        raise Unclear("the answer is not this charge")
    check_mode(charge, live=live)
    currency = currency_in(charge)
    details = object_in(charge.get("payment_method_details"))
    try:
        status = PaymentStatus(text(charge, "status"))
    except ValueError:
        raise Unclear("the charge's status is unknown") from None
    return Payment(
        ref=ref,
        method=_method(charge, details),
        captured=money(_captured_minor(charge), currency),
        given_back=money(whole(charge, "amount_refunded"), currency),
        taken_at=time_in(charge, "created"),
        status=status,
        kind=_kind(charge, ref),
        fee=_fee(object_in(charge.get("balance_transaction")), currency),
        settles_on=day(object_in(details.get("us_bank_account")).get("expected_debit_date")),
        application_fee=_fee_to_come(charge, currency),
    )


def check_mode(holder: JsonObject, *, live: bool) -> None:
    """Raise Unclear for an object of the other mode: real money seen with a test key, or the reverse."""
    if holder.get("livemode", live) is not live:
        raise Unclear("the answer is of the other mode, live or test, than the key")


def says_disputed(charge: JsonObject) -> bool:
    """Whether the charge says that it was ever disputed. Raises Unclear where it says neither yes nor no."""
    disputed = charge.get("disputed")
    if isinstance(disputed, bool):
        return disputed
    if "dispute" not in charge:
        raise Unclear("the charge does not say whether it is disputed")
    return charge["dispute"] is not None


def refund_of(refund: JsonObject, charge: str, currency: Currency) -> GatewayRefund:
    """One refund of this charge. Raises Unclear for another charge's, another currency, a missing member.

    A status Stripe may add later is kept; one that is null or no word becomes "unknown", which holds the
    amount. A mark that could not be ours is None.
    """
    if refund.get("object") != "refund" or id_of(refund.get("charge")) != charge:
        raise Unclear("the answer is not a refund of this charge")
    if currency_in(refund) != currency:
        raise Unclear("a refund is in another currency than its charge")
    amount_minor = whole(refund, "amount")
    if amount_minor == 0:
        raise Unclear("a refund has no amount")
    card = object_in(object_in(refund.get("destination_details")).get("card"))
    kind = word(card.get("type"))
    return GatewayRefund(
        id=id_in(refund, "id"),
        amount=money(amount_minor, currency),
        status=word(refund.get("status")) or "unknown",
        created_at=time_in(refund, "created"),
        mark=as_id(object_in(refund.get("metadata")).get(MARK)),
        pending_reason=word(refund.get("pending_reason")),
        failure_reason=word(refund.get("failure_reason")),
        trace=None if kind is None else Trace(kind=kind, reference=number(card.get("reference"))),
    )


def is_release(refund: JsonObject) -> bool:
    """Whether this row says that it is no refund but what was authorised and never captured: the part that a
    capture left over, or all of it.

    Stripe keeps such a row among the charge's refunds and in its `amount_refunded`, while `amount_captured`
    does not hold it: counted, it would be taken off twice. Of a part only its balance transaction tells, by its
    reporting category; of the whole the reason, which nobody but Stripe can write.
    """
    return _category(refund) == _PARTIAL_CAPTURE or refund.get("reason") == _NEVER_CAPTURED


def check_is_refund(refund: JsonObject, left_minor: int) -> None:
    """Raise Unclear for a row that tells no kind and may be what a capture released, of which `left_minor` is
    not accounted for by other rows.

    A refund that is pending, has failed or was cancelled may have no balance transaction for ever, so what can be
    no release is taken for the refund it is: what bears our mark, is of more than was left over, or did not
    succeed, for a release takes no money that it could wait for. Taken for a refund by mistake, a release would
    make less refundable, never more.
    """
    if _category(refund) is not None or as_id(object_in(refund.get("metadata")).get(MARK)) is not None:
        return
    if word(refund.get("status")) in (None, "succeeded") and whole(refund, "amount") <= left_minor:
        raise Unclear("a charge captured in part has a refund of which the kind cannot be told")


def _category(refund: JsonObject) -> object:
    return object_in(refund.get("balance_transaction")).get("reporting_category")


def without_released(payment: Payment, released: tuple[GatewayRefund, ...]) -> Payment:
    """The payment with what was released uncaptured taken off its own figure of money given back.

    Raises Unclear where that figure is smaller than what was released.
    """
    gone = payment.given_back.amount_minor - sum(refund.amount.amount_minor for refund in released)
    if gone < 0:
        raise Unclear("the charge's figure of money given back is smaller than what was released")
    return attrs.evolve(payment, given_back=money(gone, payment.given_back.currency))


def left_by_capture(charge: JsonObject) -> int:
    """How much of the authorisation was not captured, where something was: no more can have been released."""
    authorised, captured = charge.get("amount"), _captured_minor(charge)
    return authorised - captured if type(authorised) is int and 0 < captured < authorised else 0


def dispute_of(dispute: JsonObject, charge: str, captured: Money) -> Dispute:
    """One dispute of this charge, with Stripe's own word for its status. Raises Unclear as `refund_of`.

    A dispute told in another currency counts as one over all that was captured: the side that refunds nothing.
    """
    if dispute.get("object") != "dispute" or id_of(dispute.get("charge")) != charge:
        raise Unclear("the answer is not a dispute of this charge")
    same = currency_in(dispute) == captured.currency
    return Dispute(
        id=id_in(dispute, "id"),
        amount=money(whole(dispute, "amount"), captured.currency) if same else captured,
        status=word(dispute.get("status")) or "unknown",
    )


def application_fee_of(fee: JsonObject) -> ApplicationFee:
    """The platform's fee of a payment. Raises Unclear for anything else, or for more returned than taken."""
    if fee.get("object") != "application_fee":
        raise Unclear("the answer is not an application fee")
    currency = currency_in(fee)
    taken, returned = whole(fee, "amount"), whole(fee, "amount_refunded")
    if returned > taken:
        raise Unclear("more of an application fee was returned than was taken")
    return ApplicationFee(taken=money(taken, currency), returned=money(returned, currency))


def transfer_of(transfer: JsonObject, charge: str) -> Transfer | None:
    """One transfer of the charge's group, its reversals aside; None for one made out of another charge.

    Raises Unclear for anything else, or for more reversed than was passed on.
    """
    if transfer.get("object") != "transfer":
        raise Unclear("the answer is not a transfer")
    if (source := id_of(transfer.get("source_transaction"))) is not None and source != charge:
        return None
    currency = currency_in(transfer)
    amount, reversed_minor = whole(transfer, "amount"), whole(transfer, "amount_reversed")
    if reversed_minor > amount:
        raise Unclear("more of a transfer was reversed than was passed on")
    back = money(reversed_minor, currency)
    return Transfer(id=id_in(transfer, "id"), amount=money(amount, currency), reversed=back)


def reversal_of(reversal: JsonObject, transfer: str, currency: Currency) -> TransferReversal:
    """One reversal of this transfer. Raises Unclear for another's, another currency, a missing member."""
    if reversal.get("object") != "transfer_reversal" or id_of(reversal.get("transfer")) != transfer:
        raise Unclear("the answer is not a reversal of this transfer")
    if currency_in(reversal) != currency:
        raise Unclear("a reversal is in another currency than its transfer")
    amount_minor = whole(reversal, "amount")
    if amount_minor == 0:
        raise Unclear("a reversal has no amount")
    return TransferReversal(
        id=id_in(reversal, "id"),
        amount=money(amount_minor, currency),
        mark=as_id(object_in(reversal.get("metadata")).get(MARK)),
    )


def with_reversals(transfer: Transfer, rows: tuple[JsonObject, ...]) -> Transfer:
    """The transfer with its reversals. Raises Unclear where they are not all that came back of it."""
    reversals = tuple(reversal_of(row, transfer.id, transfer.amount.currency) for row in rows)
    if sum(each.amount.amount_minor for each in reversals) != transfer.reversed.amount_minor:
        raise Unclear("a transfer's reversals do not add up to what came back of it")
    return attrs.evolve(transfer, reversals=reversals)


def with_transfers(payment: Payment, transfers: tuple[Transfer, ...]) -> Payment:
    """The payment of a charge in a transfer group: separate while any of its transfers holds money."""
    held = any(transfer.left.amount_minor > 0 for transfer in transfers)
    return attrs.evolve(payment, kind=ChargeKind.SEPARATE if held else payment.kind, transfers=transfers)


def mention_of(row: JsonObject, kind: str, *, live: bool) -> Mention:
    """One refund or dispute of an account's list: where to look. Raises Unclear for anything else.

    What was released uncaptured stands among the refunds and is none, so it leads to no charge.
    """
    if row.get("object") != kind:
        raise Unclear(f"an account's list holds something that is no {kind}")
    check_mode(row, live=live)
    charge = id_of(row.get("charge"))
    if charge is None and row.get("charge") is not None:
        raise Unclear("charge is no id")
    return Mention(
        id=id_in(row, "id"),
        charge=None if is_release(row) else charge,
        created_at=time_in(row, "created"),
        mark=as_id(object_in(row.get("metadata")).get(MARK)) if kind == "refund" else None,
    )


def page_of(body: JsonObject) -> tuple[tuple[JsonObject, ...], bool]:
    """The members of one page of a list, and whether more follow. Raises Unclear for anything else."""
    data, has_more = body.get("data"), body.get("has_more")
    if not isinstance(data, list) or not isinstance(has_more, bool):
        raise Unclear("the answer is not a page of a list")
    if not all(isinstance(member, Mapping) for member in data):
        raise Unclear("a page holds something that is no object")
    return tuple(data), has_more


def _method(charge: JsonObject, details: JsonObject) -> str:
    if "type" in details:
        return word(details["type"]) or "unknown"
    # Before there were payment method details a charge carried its source; only a card is certain there.
    return "card" if object_in(charge.get("source")).get("object") == "card" else "unknown"


def _captured_minor(charge: JsonObject) -> int:
    if charge.get("amount_captured") is not None:
        return whole(charge, "amount_captured")
    captured = charge.get("captured")
    if not isinstance(captured, bool):
        raise Unclear("the charge does not say whether it was captured")
    return whole(charge, "amount") if captured else 0


def _kind(charge: JsonObject, ref: PaymentRef) -> ChargeKind:
    """How the charge is split (docs/explanation/stripe-facts.md, "Connect").

    A transfer counts first, under an account header too: such a charge needs it reversed, whoever holds it; and
    `source_transfer` marks what a connected account received of somebody else's charge. Whether a charge is
    separate only the transfers of its group can tell.
    """
    if any(charge.get(name) is not None for name in PASSED_ON):
        return ChargeKind.DESTINATION
    return ChargeKind.PLATFORM if ref.account == PLATFORM else ChargeKind.DIRECT


def _fee_to_come(charge: JsonObject, currency: Currency) -> ApplicationFee | None:
    """The platform's fee of a charge that has no fee object yet, as a debit has none before it settles."""
    amount = charge.get("application_fee_amount")
    if amount is None or charge.get("application_fee") is not None:
        return None
    taken = money(whole(charge, "application_fee_amount"), currency)
    return ApplicationFee(taken=taken, returned=Money.zero(currency))


def _fee(transaction: JsonObject, currency: Currency) -> Money | None:
    """What the processor kept, where the balance transaction is there and in the payment's currency.

    A direct charge's `fee` holds the platform's application fee too; that one is told apart, and may be returned.
    """
    fee, details = transaction.get("fee"), transaction.get("fee_details")
    if type(fee) is not int or fee < 0 or transaction.get("currency") != currency.code.lower():
        return None
    for detail in map(object_in, details if isinstance(details, list) else ()):
        if detail.get("type") == "application_fee":
            fee -= whole(detail, "amount")
    return None if fee < 0 else money(fee, currency)
