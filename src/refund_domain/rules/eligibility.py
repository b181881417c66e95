"""The rules that say no, each a pure function, and the one formula for what may go back (R3).

R1, R2, R3, R4 and R6 stand here; R5 in `cancellation`, R7 in `arrival`, R8 and R9 in `funding`.
`docs/rules.md` lists where each one lives and which test proves it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from refund_domain.commands import Reason
from refund_domain.connect import (
    PLATFORM,
    ChargeKind,
    DestinationCharge,
    DirectCharge,
    Leg,
    PlatformCharge,
    SeparateCharge,
    Split,
    Transfer,
)
from refund_domain.decider.ledger import DISPUTE_FAILURE, HOLDS, Ledger, RefundRecord, Status, shown, status_of
from refund_domain.money import LIMIT_MINOR, Currency, Money
from refund_domain.payments import AnyPayment, Dispute, OutsideRef, Payment, PaymentStatus
from refund_domain.policy import Policy
from refund_domain.refusals import (
    AlreadyRefunded,
    AmountChanged,
    BelowMinimum,
    CannotBeStopped,
    ChargeNotSupported,
    CurrencyNotSupported,
    Disputed,
    External,
    InFlight,
    MethodNotSupported,
    NotCaptured,
    NothingLeft,
    NotSettled,
    ReasonNotAllowed,
    Refusal,
    WindowOver,
)


class Family(StrEnum):
    """The two families of method that can be refunded (R2)."""

    CARD = "card"
    ACH = "ach"


METHODS: Final[dict[str, Family]] = {
    "card": Family.CARD,
    "card_present": Family.CARD,
    "us_bank_account": Family.ACH,
    "ach_debit": Family.ACH,
}
"""R2: the gateway's words for methods that are refundable; every other word is not."""

DISPUTE_COUNTS: Final[dict[str, bool]] = {
    "needs_response": True,
    "under_review": True,
    "warning_needs_response": True,
    "warning_under_review": True,
    "lost": True,
    "won": False,
    "warning_closed": False,
    "prevented": False,
}
"""Whether a dispute in this state takes its amount out of what may go back; an unknown word does."""

INQUIRIES: Final = ("warning_needs_response", "warning_under_review")
"""The words of a dispute that is only an inquiry as yet: no money was taken, and it may become a chargeback."""

ACH_CURRENCY: Final = "USD"
ACH_MINIMUM: Final = Money(50, Currency.of(ACH_CURRENCY))
"""ACH is in USD only, at least 0.50 (Stripe facts, "Card versus ACH")."""

_PLAIN_AT: Final[dict[ChargeKind, bool]] = {
    ChargeKind.PLATFORM: True,
    ChargeKind.DIRECT: False,
    ChargeKind.DESTINATION: True,
    ChargeKind.SEPARATE: True,
}
"""Whether a charge of this kind is held by the platform, where it can be refunded whole."""

_NONE: Final[tuple[Refusal, ...]] = ()


def through_platform(ref: AnyPayment) -> External | None:
    """R1: only a payment taken through the platform's payment system is refunded through it."""
    return External(method=ref.method) if isinstance(ref, OutsideRef) else None


def method_refundable(payment: Payment) -> MethodNotSupported | None:
    """R2: cards and ACH debits are refundable; any other method is not."""
    return None if payment.method in METHODS else MethodNotSupported(method=payment.method)


def refundable(ledger: Ledger, *, without: str | None = None) -> Money | None:
    """R3: all that was captured and has not gone back yet; None while the payment was never seen.

    captured − live refunds in the list (ours and others', pending included) − held by a refund of ours not
    in that list yet − recorded as given back outside − disputed (open or lost). Never negative. Where the
    payment's own figure and the list disagree, the smaller result holds. Of a debit that failed nothing was
    received, whatever its figures say. `without` leaves out what that refund of ours itself holds: the amount
    left for its own send.
    """
    payment = ledger.payment
    if payment is None:
        return None
    gone = max(listed_minor(ledger), payment.given_back.amount_minor)
    outside = sum(record.amount.amount_minor for record in ledger.outside)
    received = 0 if payment.status is PaymentStatus.FAILED else payment.captured.amount_minor
    left = received - gone - _held_minor(ledger, without) - outside
    left -= disputed_minor(payment)
    return Money(max(0, left), payment.captured.currency)


def split_of(payment: Payment, policy: Policy, *, amount: Money | None = None) -> Split | ChargeNotSupported:
    """What goes with a refund of this amount (all that was captured, if none is given): the transfer that is
    pulled back, the platform's fee, the legs behind it.

    The fee is returned only where the policy says so and some of it is left: never more than was taken. Refused:
    a charge at a connected account that was itself passed on, and one shared by transfers that cannot be
    compared with the refund.
    """
    fee = payment.application_fee
    return_fee = policy.return_application_fee and fee is not None and fee.left.amount_minor > 0
    standing = tuple(transfer for transfer in payment.transfers if transfer.left.amount_minor > 0)
    separate = payment.kind is ChargeKind.SEPARATE
    if _PLAIN_AT[payment.kind] is not (payment.ref.account == PLATFORM) or (
        separate and not _comparable(payment, standing)
    ):
        return ChargeNotSupported(kind=payment.kind, transfers=standing)
    if payment.kind is ChargeKind.DIRECT:
        return DirectCharge(return_fee=return_fee)
    if payment.kind is ChargeKind.DESTINATION:
        return DestinationCharge(return_fee=return_fee)
    legs = legs_of(standing, amount or payment.captured) if separate else ()
    return SeparateCharge(legs=legs) if legs else PlatformCharge()


def _comparable(payment: Payment, standing: tuple[Transfer, ...]) -> bool:
    """Whether the transfers that still hold money of a separate charge can be pulled back by parts of its refund:
    there is one, each is named once, and all are in the refund's currency."""
    currencies = {transfer.amount.currency for transfer in standing}
    return currencies == {payment.captured.currency} and len({one.id for one in standing}) == len(standing)


def legs_of(standing: tuple[Transfer, ...], amount: Money) -> tuple[Leg, ...]:
    """What a refund of this amount pulls back of the transfers that hold money: from each what it has left, in
    the order of their ids, and never more in sum than the client gets."""
    legs: list[Leg] = []
    rest = amount.amount_minor
    for transfer in sorted(standing, key=lambda transfer: transfer.id):
        part = min(transfer.left.amount_minor, rest)
        if part > 0:
            pulled = Money(part, amount.currency)
            legs.append(Leg(transfer=transfer.id, amount=pulled, by_hand=transfer.by_hand))
        rest -= part
    return tuple(legs)


def outside_left(ledger: Ledger, ref: OutsideRef) -> Money:
    """R2: of money taken outside, what was not yet recorded as given back; never negative."""
    currency = ref.amount.currency
    gone = sum(r.amount.amount_minor for r in ledger.outside if r.amount.currency == currency)
    return Money(max(0, ref.amount.amount_minor - gone), currency)


def listed_minor(ledger: Ledger) -> int:
    """The live refunds of the complete list, in minor units: ours and others', pending included."""
    return sum(seen.refund.amount.amount_minor for seen in ledger.observed if seen.live)


def disputed_minor(payment: Payment) -> int:
    """What open and lost disputes take, in minor units; won and closed inquiries count nothing."""
    return sum(dispute.amount.amount_minor for dispute in counting_disputes(payment))


def counting_disputes(payment: Payment) -> tuple[Dispute, ...]:
    """The disputes that are open or lost, or in a state with a word not known here."""
    return tuple(dispute for dispute in payment.disputes if DISPUTE_COUNTS.get(dispute.status, True))


def capped(amount_minor: int, currency: Currency) -> Money:
    """A sum as Money, at most the library's limit: absurd sums must not make a rule raise."""
    return Money(min(amount_minor, LIMIT_MINOR), currency)


def drift_minor(ledger: Ledger) -> int:
    """The payment's own figure of money given back less what the list shows; 0 when they agree."""
    return 0 if ledger.payment is None else ledger.payment.given_back.amount_minor - listed_minor(ledger)


def _held_minor(ledger: Ledger, without: str | None) -> int:
    return sum(
        record.request.amount.amount_minor
        for record in ledger.refunds
        if record.id != without
        and record.request is not None
        and HOLDS[record.belief]
        and shown(ledger, record) is None
        and not _shown_otherwise(ledger, record)
    )


def _shown_otherwise(ledger: Ledger, record: RefundRecord) -> bool:
    """Whether a live refund with our mark but another amount is listed: it is counted there already."""
    return any(seen.live and seen.refund.mark == record.id for seen in ledger.observed)


def amount_unchanged(verified: Money, current: Money) -> AmountChanged | None:
    """R4: what was verified is what is sent; if it has changed since, nothing is sent."""
    return None if verified == current else AmountChanged(verified=verified, current=current)


def cannot_be_stopped(refund_id: str) -> CannotBeStopped:
    """R6: a refund once initiated cannot be stopped, cancelled, changed or reversed by anyone here.

    >>> str(cannot_be_stopped("r1"))
    'Refund r1 cannot be stopped, changed or reversed; if it was a mistake, ask the client for a new payment.'
    """
    return CannotBeStopped(refund_id=refund_id)


def payment_refusals(payment: Payment, at: datetime, policy: Policy) -> tuple[Refusal, ...]:
    """All reasons why this payment, whatever its refunds, cannot be refunded at `at`; empty: it can."""
    family = METHODS.get(payment.method)
    if family is Family.CARD and _plain(payment) and policy.card_window is None:
        return _NONE
    refusals: list[Refusal] = []
    if unsupported := method_refundable(payment):
        refusals.append(unsupported)
    if isinstance(split := split_of(payment, policy), ChargeNotSupported):
        refusals.append(split)
    if payment.status is PaymentStatus.FAILED or payment.captured.amount_minor == 0:
        refusals.append(NotCaptured())
    elif payment.status is PaymentStatus.PENDING and not _may_go_unsettled(payment, family, policy):
        refusals.append(NotSettled(expected=payment.settles_on))
    currency = payment.captured.currency
    if family is Family.ACH and currency.code != ACH_CURRENCY:
        refusals.append(CurrencyNotSupported(currency=currency.code, expected=ACH_CURRENCY))
    if counting_disputes(payment):
        refusals.append(Disputed(amount=capped(disputed_minor(payment), currency)))
    window = policy.ach_window if family is Family.ACH else policy.card_window
    if window is not None and at - payment.taken_at > window:
        refusals.append(WindowOver(taken_at=payment.taken_at, days=window.days))
    return tuple(refusals)


def _may_go_unsettled(payment: Payment, family: Family | None, policy: Policy) -> bool:
    """Whether the policy accepts a refund of this debit before it has settled.

    Never where it was passed on: the refund would be taken from the platform (Stripe facts, "Connect").
    """
    passed_on = payment.kind in (ChargeKind.DESTINATION, ChargeKind.SEPARATE)
    return family is Family.ACH and policy.accept_unsettled_ach and not passed_on


def _plain(payment: Payment) -> bool:
    """Whether nothing about the payment needs a second look: settled, undisputed, not split."""
    return (
        payment.status is PaymentStatus.SUCCEEDED
        and not payment.disputes
        and payment.kind is not ChargeKind.SEPARATE
        and _PLAIN_AT[payment.kind] is (payment.ref.account == PLATFORM)
        and payment.captured.amount_minor > 0
    )


def refund_refusals(
    ledger: Ledger, at: datetime, policy: Policy, *, amount: Money | None = None, own: str | None = None
) -> tuple[Refusal, ...]:
    """All reasons why a refund cannot be made now: of the payment, of its other refunds, of the amount.

    `own` is the refund of ours about to be sent (it does not stand in its own way), `amount` what a person
    verified, or None for a quote. Empty: the refund may go. Needs a payment that was seen.
    """
    left = refundable(ledger, without=own)
    if ledger.payment is None or left is None:
        return _NONE
    refusals = [*payment_refusals(ledger.payment, at, policy), *_standing(ledger, own)]
    # The window last: it alone speaks of giving back outside, and nobody may act on that before the others.
    refusals.sort(key=lambda refusal: isinstance(refusal, WindowOver))
    stands = {type(refusal) for refusal in refusals}
    if left.amount_minor == 0:
        if not stands & {InFlight, AlreadyRefunded, NotCaptured, Disputed}:
            refusals.append(NothingLeft())
    elif METHODS.get(ledger.payment.method) is Family.ACH and _too_small(left):
        refusals.append(BelowMinimum(minimum=ACH_MINIMUM))
    if amount is not None:
        if amount.currency != left.currency:
            refusals.append(CurrencyNotSupported(currency=amount.currency.code, expected=left.currency.code))
        elif (changed := amount_unchanged(amount, left)) and not (refusals and left.amount_minor == 0):
            # Where another reason left nothing, the changed amount is its consequence, not news.
            refusals.append(changed)
    return tuple(refusals)


def _too_small(left: Money) -> bool:
    return left.currency == ACH_MINIMUM.currency and left < ACH_MINIMUM


def _standing(ledger: Ledger, own: str | None) -> list[Refusal]:
    """What our other refunds of this payment say: one lives, one has done it, or a dispute took it."""
    refusals: list[Refusal] = []
    for record in ledger.refunds:
        if record.id == own:
            continue
        status = status_of(ledger, record)
        if status is Status.SUCCEEDED:
            refusals.append(AlreadyRefunded(refund_id=record.id))
        elif HOLDS[status]:
            refusals.append(InFlight(refund_id=record.id, status=status))
        else:
            seen = shown(ledger, record)
            already = ledger.payment is not None and bool(counting_disputes(ledger.payment))
            if seen is not None and seen.refund.failure_reason == DISPUTE_FAILURE and not already:
                refusals.append(Disputed(amount=seen.refund.amount))
    return refusals


def needs_second(amount: Money, policy: Policy) -> bool:
    """Whether a refund of this amount needs a second person's approval before it is sent."""
    if policy.second_person_from is None:
        return False
    named = [least for least in policy.second_person_from if least.currency == amount.currency]
    return not named or amount >= named[0]


def reason_allowed(reason: Reason, policy: Policy) -> ReasonNotAllowed | None:
    """`fraudulent` puts card and e-mail on the gateway's block lists: only if the policy allows it."""
    if reason is Reason.FRAUDULENT and not policy.allow_fraudulent:
        return ReasonNotAllowed(reason=reason)
    return None
