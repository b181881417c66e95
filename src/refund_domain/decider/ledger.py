"""The ledger of one payment: what its events amount to. `evolve` folds one event in; it knows no policy.

A refund's status is derived, never stored: what the gateway showed outranks every belief of ours, and among
what it showed the higher rank wins, whatever the clock says, so that order and repetition cannot matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final

import attrs

from refund_domain.answers import Accepted, Declined, NotSent, OutcomeUnknown, Send, SendAnswer
from refund_domain.commands import Choice
from refund_domain.decider.legs import LegEvent, Legs, after, leg_of, planned, urged
from refund_domain.events import (
    AllowanceTaken,
    AttentionSettled,
    Event,
    LegAnswered,
    LegClaimed,
    LegNotMade,
    LegObserved,
    LookScheduled,
    OutsideRecorded,
    Paused,
    PaymentSeen,
    PersonAsked,
    RefundApproved,
    RefundDropped,
    RefundNotMade,
    RefundObserved,
    RefundRequested,
    Resumed,
    SendAnswered,
    SendClaimed,
    StreamOpened,
)
from refund_domain.payments import GatewayRefund, Payment, Trace
from refund_domain.refusals import Refusal


class Status(StrEnum):
    """How a refund stands: five beliefs of ours, four things the gateway can show."""

    REQUESTED = "requested"
    IN_DOUBT = "in_doubt"
    DECLINED = "declined"
    DROPPED = "dropped"
    NOT_MADE = "not_made"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


HOLDS: Final[dict[Status, bool]] = {
    Status.REQUESTED: True,
    Status.IN_DOUBT: True,
    Status.DECLINED: False,
    Status.DROPPED: False,
    Status.NOT_MADE: False,
    Status.PENDING: True,
    Status.SUCCEEDED: True,
    Status.FAILED: False,
    Status.CANCELED: False,
}
"""Whether a refund in this status holds its amount, so that no other may have it."""

OBSERVED: Final[dict[str, tuple[int, Status]]] = {
    "pending": (1, Status.PENDING),
    "requires_action": (1, Status.PENDING),
    "succeeded": (2, Status.SUCCEEDED),
    "failed": (3, Status.FAILED),
    "canceled": (3, Status.CANCELED),
}
"""The gateway's words with their rank; a word not listed counts as pending, rank 1."""

DISPUTE_FAILURE: Final = "charge_for_pending_refund_disputed"
"""A refund that failed so must never be tried again: the dispute decides, or the client is paid twice."""

NOT_SHOWN: Final = "not_shown"
"""The code of a refund that no complete look shows, past the last edge of its doubt: a person is asked."""

_UNKNOWN_WORD: Final = (1, Status.PENDING)
_SHOWN: Final = (Status.PENDING, Status.SUCCEEDED, Status.FAILED, Status.CANCELED)

TRANSITIONS: Final[dict[Status, tuple[Status, ...]]] = {
    Status.REQUESTED: (Status.IN_DOUBT, Status.DECLINED, Status.DROPPED, *_SHOWN),
    Status.IN_DOUBT: (Status.REQUESTED, Status.DECLINED, Status.NOT_MADE, *_SHOWN),
    Status.DECLINED: _SHOWN,
    Status.DROPPED: _SHOWN,
    Status.NOT_MADE: _SHOWN,
    Status.PENDING: (Status.SUCCEEDED, Status.FAILED, Status.CANCELED),
    Status.SUCCEEDED: (Status.FAILED, Status.CANCELED),
    Status.FAILED: (Status.CANCELED,),
    Status.CANCELED: (),
}
"""Every step a refund's status can take. From an ended belief only by adoption, which raises an alarm;
from failed to canceled because of two final words the smaller wins."""


@attrs.frozen
class Claim:
    """One licensed send: exactly what it asks for, when it was claimed, what came back (None: in doubt)."""

    send: Send
    at: datetime
    answer: SendAnswer | None = None

    @property
    def open(self) -> bool:
        """Whether this send may have made, or may yet make, a refund nobody has shown us."""
        return self.answer is None or isinstance(self.answer, OutcomeUnknown)


@attrs.frozen
class RefundRecord:
    """One refund of ours: its request, its claims, how it ended. `request` is None where the journal was
    lost and the refund was known again by our mark.

    `ended` is DROPPED or NOT_MADE once decided, `asked_at` when a person was asked, `alarm` what stops
    sending until a person answers, `surprise` the ended belief a later observation contradicted, `approved` the
    second person's word. `legs` are what it pulls back of a separate charge's transfers; none of them says
    anything about the refund itself.
    """

    id: str
    request: RefundRequested | None = None
    claims: tuple[Claim, ...] = ()
    ended: Status | None = None
    reasons: tuple[Refusal, ...] = ()
    asked_at: datetime | None = None
    alarm: str | None = None
    surprise: Status | None = None
    approved: RefundApproved | None = None
    legs: Legs = ()

    @property
    def awaits_second(self) -> bool:
        """Whether another person than the one who asked must approve this refund before its first send."""
        return self.request is not None and self.request.needs_second and self.approved is None

    @property
    def doubted_since(self) -> datetime | None:
        """The first claim not answered NotSent: the age of the key runs from here."""
        for claim in self.claims:
            if not isinstance(claim.answer, NotSent):
                return claim.at
        return None

    @property
    def declined(self) -> bool:
        """Whether the gateway has said no to any claim."""
        return any(isinstance(claim.answer, Declined) for claim in self.claims)

    @property
    def burnt(self) -> bool:
        """Whether any answer said that sending the key again is of no use."""
        return any(isinstance(claim.answer, OutcomeUnknown) and not claim.answer.resend for claim in self.claims)

    @property
    def belief(self) -> Status:
        """What we hold true as long as the gateway has not shown this refund."""
        if self.ended is not None:
            return self.ended
        if any(claim.open for claim in self.claims):
            return Status.IN_DOUBT
        return Status.DECLINED if self.declined else Status.REQUESTED


@attrs.frozen
class Observed:
    """A refund the gateway showed, ours or another's, with the begin of the look that showed it so."""

    refund: GatewayRefund
    seen_at: datetime

    @property
    def status(self) -> Status:
        """What the gateway's word means."""
        return OBSERVED.get(self.refund.status, _UNKNOWN_WORD)[1]

    @property
    def live(self) -> bool:
        """Whether this refund holds money of the payment."""
        return HOLDS[self.status]


@attrs.frozen
class Ledger:
    """All that is known of one payment's refunds. Made by `fold`, never by hand.

    `refunds` are ours in the order of their requests, `observed` all the gateway showed by (created, id);
    `sightings` counts the looks that showed the payment otherwise than before; by it two that overlapped are told
    apart from two that followed. `due` is when the next look is owed, `tries` the fruitless looks so far, `alarm`
    why a person must mend the looking, `latest` the latest event's time. The first `answered` of `settled` were
    said before what the payment still owes was last shown otherwise.
    """

    tenant: str | None = None
    payment: Payment | None = None
    seen_at: datetime | None = None
    sightings: int = 0
    refunds: tuple[RefundRecord, ...] = ()
    observed: tuple[Observed, ...] = ()
    outside: tuple[OutsideRecorded, ...] = ()
    settled: tuple[AttentionSettled, ...] = ()
    due: datetime | None = None
    tries: int = 0
    alarm: str | None = None
    latest: datetime | None = None
    answered: int = 0


EMPTY: Final = Ledger()
"""The ledger of a payment nobody has asked about yet."""


def merge(old: Observed, new: Observed) -> Observed:
    """Two observations of one refund as one, whatever their order.

    The higher rank wins; of two final words the smaller; at equal status the later look's details. A mark,
    a trace reference and a failure reason once known stay known; the first mark stays, for metadata can be
    edited, and the reason that forbids another try outlives any other.
    """
    winner, loser = (new, old) if _weight(new) >= _weight(old) else (old, new)
    refund, lost = winner.refund, loser.refund
    mark = old.refund.mark or new.refund.mark
    trace = _richer(refund.trace, lost.trace)
    failure = refund.failure_reason or lost.failure_reason
    if lost.failure_reason == DISPUTE_FAILURE:
        failure = DISPUTE_FAILURE
    if (mark, trace, failure) == (refund.mark, refund.trace, refund.failure_reason):
        return winner
    return Observed(attrs.evolve(refund, mark=mark, trace=trace, failure_reason=failure), winner.seen_at)


def _weight(seen: Observed) -> tuple[int, bool, datetime, str, str]:
    """What decides between two observations, the first difference first."""
    refund = seen.refund
    rank, status = OBSERVED.get(refund.status, _UNKNOWN_WORD)
    canceled = status is Status.CANCELED
    return rank, canceled, seen.seen_at, refund.status, refund.pending_reason or refund.failure_reason or ""


def _richer(first: Trace | None, second: Trace | None) -> Trace | None:
    if first is None or (first.reference is None and second is not None and second.reference is not None):
        return second
    return first


def record_of(ledger: Ledger, refund_id: str) -> RefundRecord | None:
    """Our refund with this id, if the ledger has it."""
    for record in ledger.refunds:
        if record.id == refund_id:
            return record
    return None


def is_shown_by(record: RefundRecord, refund: GatewayRefund) -> bool:
    """Whether this gateway refund is that refund of ours: our mark, and the amount agrees."""
    return refund.mark == record.id and (record.request is None or refund.amount == record.request.amount)


def is_ours(ledger: Ledger, refund: GatewayRefund) -> bool:
    """Whether the gateway shows with this one a refund of ours."""
    return any(is_shown_by(record, refund) for record in ledger.refunds)


def shown(ledger: Ledger, record: RefundRecord) -> Observed | None:
    """What the gateway shows of our refund. Should it ever show two, the live one counts."""
    found: Observed | None = None
    for seen in ledger.observed:
        if is_shown_by(record, seen.refund) and (found is None or (seen.live and not found.live)):
            found = seen
    return found


def status_of(ledger: Ledger, record: RefundRecord) -> Status:
    """How our refund stands: what the gateway shows of it, else what we believe."""
    seen = shown(ledger, record)
    return record.belief if seen is None else seen.status


def in_flight(ledger: Ledger) -> RefundRecord | None:
    """The one refund of ours that is requested or in doubt and that the gateway has not shown."""
    for record in ledger.refunds:
        if record.belief in (Status.REQUESTED, Status.IN_DOUBT) and shown(ledger, record) is None:
            return record
    return None


def fold(ledger: Ledger, events: Iterable[Event]) -> Ledger:
    """The ledger after these events."""
    for event in events:
        ledger = evolve(ledger, event)
    return ledger


def evolve(ledger: Ledger, event: Event) -> Ledger:
    """The ledger after one more event. Total: every event has a place, none raises."""
    latest = event.at if ledger.latest is None or event.at > ledger.latest else ledger.latest
    match event:
        case LookScheduled():
            return _copy(ledger, latest, ledger.refunds, ledger.observed, event.due, event.tries, event.alarm)
        case SendClaimed():
            claim = Claim(event.send, event.at)
            record = record_of(ledger, event.send.refund_id) or RefundRecord(event.send.refund_id)
            # Nothing was executed of a claim answered NotSent, so what the next asks for is planned afresh.
            legs = record.legs if record.doubted_since is not None else planned(event.send.split)
            return _with(ledger, latest, _claimed(record, (*record.claims, claim), record.alarm, legs))
        case SendAnswered():
            return _answered(ledger, latest, event)
        case RefundObserved():
            return _observed(ledger, latest, event.refund, event.at)
        case PaymentSeen():
            said = ledger.answered if _owing(ledger.payment) == _owing(event.payment) else len(ledger.settled)
            count = ledger.sightings + 1
            return attrs.evolve(
                ledger, payment=event.payment, seen_at=event.at, sightings=count, latest=latest, answered=said
            )
        case RefundRequested():
            return _with(ledger, latest, RefundRecord(event.refund_id, event))
        case StreamOpened():
            return attrs.evolve(ledger, tenant=event.tenant, latest=latest)
        case RefundDropped():
            record = record_of(ledger, event.refund_id) or RefundRecord(event.refund_id)
            return _with(ledger, latest, attrs.evolve(record, ended=Status.DROPPED, reasons=event.reasons))
        case RefundNotMade():
            record = record_of(ledger, event.refund_id) or RefundRecord(event.refund_id)
            return _with(ledger, latest, attrs.evolve(record, ended=Status.NOT_MADE, asked_at=None))
        case PersonAsked():
            record = record_of(ledger, event.refund_id) or RefundRecord(event.refund_id)
            return _with(ledger, latest, attrs.evolve(record, asked_at=event.at))
        case LegClaimed() | LegAnswered() | LegObserved() | LegNotMade():
            return _with_leg(ledger, latest, event)
        case AttentionSettled():
            return _settled(ledger, latest, event)
        case OutsideRecorded():
            return attrs.evolve(ledger, outside=(*ledger.outside, event), latest=latest)
        case RefundApproved():
            record = record_of(ledger, event.refund_id) or RefundRecord(event.refund_id)
            return _with(ledger, latest, attrs.evolve(record, approved=event))
        case Paused() | Resumed() | AllowanceTaken():
            return attrs.evolve(ledger, latest=latest)  # of a control's stream, which is no payment's


def _owing(payment: Payment | None) -> object:
    """What of a payment says how much of it is owed: transfers, fees and dates do not."""
    return payment and (payment.status, payment.captured, payment.given_back, payment.disputes)


def _with(ledger: Ledger, latest: datetime | None, record: RefundRecord) -> Ledger:
    """The ledger with this record in the place of the one with its id, or behind the others."""
    refunds, known = [], False
    for other in ledger.refunds:
        known = known or other.id == record.id
        refunds.append(record if other.id == record.id else other)
    if not known:
        refunds.append(record)
    return _copy(ledger, latest, tuple(refunds), ledger.observed, ledger.due, ledger.tries, ledger.alarm)


def _copy(
    ledger: Ledger,
    latest: datetime | None,
    refunds: tuple[RefundRecord, ...],
    observed: tuple[Observed, ...],
    due: datetime | None,
    tries: int,
    alarm: str | None,
) -> Ledger:
    """The ledger with what changes often changed: half the time of `attrs.evolve`, on the fold's hot path."""
    return Ledger(
        ledger.tenant,
        ledger.payment,
        ledger.seen_at,
        ledger.sightings,
        refunds,
        observed,
        ledger.outside,
        ledger.settled,
        due,
        tries,
        alarm,
        latest,
        ledger.answered,
    )


def _claimed(record: RefundRecord, claims: tuple[Claim, ...], alarm: str | None, legs: Legs) -> RefundRecord:
    """The record with other claims; spelt out for the same reason as `_copy`."""
    return RefundRecord(
        record.id,
        record.request,
        claims,
        record.ended,
        record.reasons,
        record.asked_at,
        alarm,
        record.surprise,
        record.approved,
        legs,
    )


def _answered(ledger: Ledger, latest: datetime, event: SendAnswered) -> Ledger:
    record = record_of(ledger, event.refund_id) or RefundRecord(event.refund_id)
    answer = event.answer
    claims = tuple(
        Claim(claim.send, claim.at, answer) if claim.send.claim == event.claim else claim
        for claim in record.claims
    )
    if isinstance(answer, Accepted):
        # What it shows is merged while the claim is still open: a no on another claim is then no surprise.
        ledger = _observed(ledger, latest, answer.refund, event.at)
        record = record_of(ledger, event.refund_id) or record
        return _with(ledger, latest, _claimed(record, claims, record.alarm, record.legs))
    alarm = record.alarm if answer.alarm is None else answer.alarm
    return _with(ledger, latest, _claimed(record, claims, alarm, record.legs))


def _observed(ledger: Ledger, latest: datetime, refund: GatewayRefund, seen_at: datetime) -> Ledger:
    """Merge one observation; adopt a refund of ours that no record knows or whose record had ended."""
    seen, others = Observed(refund, seen_at), []
    for other in ledger.observed:
        if other.refund.id == refund.id:
            seen = merge(other, seen)
        else:
            others.append(other)
    others.append(seen)
    if len(others) > 1:
        others.sort(key=lambda other: (other.refund.created_at, other.refund.id))
    mark = seen.refund.mark
    record = None if mark is None else record_of(ledger, mark)
    refunds = ledger.refunds
    if mark is not None and record is None:
        refunds = (*refunds, RefundRecord(mark))
    elif record is not None and _contradicts(ledger, record, seen.refund):
        surprised = attrs.evolve(record, surprise=record.belief)
        refunds = tuple(surprised if other.id == record.id else other for other in refunds)
    return _copy(ledger, latest, refunds, tuple(others), ledger.due, ledger.tries, ledger.alarm)


def _contradicts(ledger: Ledger, record: RefundRecord, refund: GatewayRefund) -> bool:
    """Whether this shows, for the first time, a refund of ours that we held to be over without money."""
    return record.surprise is None and (
        record.belief in (Status.DECLINED, Status.DROPPED, Status.NOT_MADE)
        and is_shown_by(record, refund)
        and shown(ledger, record) is None
    )


def _with_leg(ledger: Ledger, latest: datetime, event: LegEvent) -> Ledger:
    """The ledger after something happened to one leg of one refund; what no refund planned changes nothing."""
    about = event.reversal if isinstance(event, LegClaimed) else event
    record = record_of(ledger, about.refund_id)
    leg = None if record is None else leg_of(record.legs, about.transfer)
    if record is None or leg is None:
        return attrs.evolve(ledger, latest=latest)
    legs = tuple(after(leg, event) if other is leg else other for other in record.legs)
    return _with(ledger, latest, attrs.evolve(record, legs=legs))


def _settled(ledger: Ledger, latest: datetime, event: AttentionSettled) -> Ledger:
    ledger = attrs.evolve(ledger, settled=(*ledger.settled, event), latest=latest)
    if event.choice is not Choice.KEEP_LOOKING:
        return ledger
    record = record_of(ledger, event.subject)
    if record is not None:
        # Each answer takes away what it answers: whether the refund was made, or what stopped sending.
        if event.code == NOT_SHOWN:
            return _with(ledger, latest, attrs.evolve(record, asked_at=None))
        return _with(ledger, latest, attrs.evolve(record, alarm=None))
    refunds = (attrs.evolve(other, legs=urged(other.id, other.legs, event.subject)) for other in ledger.refunds)
    return attrs.evolve(ledger, refunds=tuple(refunds))
