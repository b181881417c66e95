"""What an observer is told: one flat value for everything that happens, made of what is safe to show.

Ids, amounts, codes and times; never a note, a name, an actor, a text that a person wrote or a gateway's raw body.
An observation is for logs and metrics and may be lost with its process: the record is the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Final

import attrs

from refund_domain.answers import (
    Accepted,
    Answer,
    Declined,
    Look,
    Missing,
    NotSent,
    OutcomeUnknown,
    Picture,
    Reversed,
    Unread,
)
from refund_domain.decider.ledger import Ledger, Observed, Status, evolve, is_shown_by, record_of, status_of
from refund_domain.decider.legs import LegEvent
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
from refund_domain.money import Money
from refund_domain.payments import GatewayRefund, Ref
from refund_domain.refusals import Refused


class Kind(StrEnum):
    """What happened. The first six are told beside the journal; each of the others is an event in it."""

    LOOKED = "looked"
    SENT = "sent"
    REFUSED = "refused"
    BEATEN = "beaten"
    UNWRITTEN = "unwritten"
    ALLOW_BROKE = "allow_broke"
    OPENED = "opened"
    PAYMENT_SEEN = "payment_seen"
    REFUND_SEEN = "refund_seen"
    REQUESTED = "requested"
    APPROVED = "approved"
    CLAIMED = "claimed"
    ANSWERED = "answered"
    DROPPED = "dropped"
    NOT_MADE = "not_made"
    PERSON_ASKED = "person_asked"
    LEG_CLAIMED = "leg_claimed"
    LEG_ANSWERED = "leg_answered"
    LEG_SEEN = "leg_seen"
    LEG_NOT_MADE = "leg_not_made"
    SETTLED = "settled"
    OUTSIDE_RECORDED = "outside_recorded"
    LOOK_SCHEDULED = "look_scheduled"
    PAUSED = "paused"
    RESUMED = "resumed"
    ALLOWANCE_TAKEN = "allowance_taken"


MEANINGS: Final[dict[Kind, str]] = {
    Kind.LOOKED: "The gateway was asked; `answer` is `picture`, `unread` or `missing`.",
    Kind.SENT: "One request for a refund, or to pull a `transfer` back, went out; `answer` is what came back.",
    Kind.REFUSED: "A rule said no to what a person asked for.",
    Kind.BEATEN: "Another worker appended first; the same input is decided again.",
    Kind.UNWRITTEN: "An answer could not be written down: the refund is in doubt, and recovery looks.",
    Kind.ALLOW_BROKE: "The host's `allow` raised or gave no bool, asked for the action in `answer`; that is a no.",
    Kind.OPENED: "The first quote or record of a payment.",
    Kind.PAYMENT_SEEN: "The payment is not as it was last seen; `amount` is what was captured.",
    Kind.REFUND_SEEN: "The gateway shows a refund that is new or changed; `refund_id` if it is ours.",
    Kind.REQUESTED: "A person's decision was written down.",
    Kind.APPROVED: "A second person let the refund be sent.",
    Kind.CLAIMED: "A worker may send, and until the answer the refund counts as in doubt.",
    Kind.ANSWERED: "The answer to a send was written down.",
    Kind.DROPPED: "A rule said no before anything was sent.",
    Kind.NOT_MADE: "A doubt ended: there is no such refund.",
    Kind.PERSON_ASKED: "Only a person can end this doubt.",
    Kind.LEG_CLAIMED: "A worker may pull this much of `transfer` back, behind a refund.",
    Kind.LEG_ANSWERED: "The answer to that was written down.",
    Kind.LEG_SEEN: "The gateway shows that `transfer` was pulled back; `gateway_id` is the reversal.",
    Kind.LEG_NOT_MADE: "A doubt about `transfer` ended: nothing was pulled back, and it is owed again.",
    Kind.SETTLED: "A person answered what waited; `why` is its code, `answer` their choice.",
    Kind.OUTSIDE_RECORDED: "Money was given back outside.",
    Kind.LOOK_SCHEDULED: "When the next look is owed, after `tries` fruitless ones.",
    Kind.PAUSED: "Sending was paused for the account or the tenant that `ref` names.",
    Kind.RESUMED: "Sending goes on for the account or the tenant that `ref` names.",
    Kind.ALLOWANCE_TAKEN: "A request of `amount` counts against the limits of the day that `ref` names.",
}
"""One line for each kind; `docs/reference/observations.md` is generated from it."""

ANSWERS: Final[dict[type[Answer | Look], str]] = {
    Accepted: "accepted",
    Declined: "declined",
    NotSent: "not_sent",
    Reversed: "reversed",
    OutcomeUnknown: "outcome_unknown",
    Picture: "picture",
    Unread: "unread",
    Missing: "missing",
}
"""How `answer` calls what the gateway said."""


@attrs.frozen(kw_only=True)
class Observation:
    """One thing that happened to the refunds of one payment; a field that says nothing is None or empty.

    `tenant` owns the payment; None for a look that nobody owed, or where nobody owns it yet. `at` is the journal's
    time of an event. `before` and `after` are the refund's status. `why` is the gateway's code or word, or the
    library's; `trail` the gateway's id for the request; `took_s` how long the call took.

    >>> from refund_domain import PaymentRef
    >>> told = Observation(kind=Kind.DROPPED, ref=PaymentRef("platform", "ch_1"), reasons=("disputed",))
    >>> print(told)
    dropped platform/ch_1 reasons=disputed
    """

    kind: Kind
    ref: Ref
    tenant: str | None = None
    at: datetime | None = None
    refund_id: str | None = None
    gateway_id: str | None = None
    claim: int | None = None
    transfer: str | None = None
    amount: Money | None = None
    before: Status | None = None
    after: Status | None = None
    answer: str | None = None
    why: str | None = None
    alarm: str | None = None
    trail: str | None = None
    reasons: tuple[str, ...] = ()
    took_s: float | None = None
    due: datetime | None = None
    tries: int | None = None

    def fields(self) -> dict[str, str | int | float]:
        """What it says as plain texts and numbers, for a log's fields or a metric's labels; nothing is None.

        >>> from refund_domain import PaymentRef
        >>> ref, amount = PaymentRef("platform", "ch_1"), Money.parse("200.00", "USD")
        >>> told = Observation(kind=Kind.SENT, ref=ref, amount=amount, took_s=0.25)
        >>> told.fields()["amount_minor"], told.fields()["took_s"]
        (20000, 0.25)
        """
        said: dict[str, str | int | float] = {}
        for name in NAMES:
            value = getattr(self, name)
            if isinstance(value, Money):
                said |= {"amount_minor": value.amount_minor, "currency": value.currency.code}
            elif isinstance(value, datetime):
                said[name] = value.isoformat()
            elif isinstance(value, int | float):
                said[name] = value
            elif value not in (None, ()):
                said[name] = ",".join(value) if isinstance(value, tuple) else str(value)
        return said

    def __str__(self) -> str:
        """One line, whatever a gateway's words hold."""
        said = self.fields()
        words = [str(said.pop("kind")), str(said.pop("ref"))]
        for name, value in said.items():
            text = " ".join(str(round(value, 3) if isinstance(value, float) else value).split())
            words.append(f'{name}="{text}"' if " " in text else f"{name}={text}")
        return " ".join(words)


NAMES: Final = tuple(field.name for field in attrs.fields(Observation))


def looked(ref: Ref, tenant: str | None, look: Look, took_s: float | None) -> Observation:
    """What is told of a look."""
    unread = look if isinstance(look, Unread) else None
    return Observation(
        kind=Kind.LOOKED,
        ref=ref,
        tenant=tenant,
        answer=ANSWERS[type(look)],
        why=None if isinstance(look, Picture) else look.why,
        alarm=None if unread is None else unread.alarm,
        took_s=took_s,
    )


def answered(told: Observation, answer: Answer) -> Observation:
    """The same with what this answer says of itself."""
    told = attrs.evolve(told, answer=ANSWERS[type(answer)])
    match answer:
        case Accepted(refund=refund):
            return attrs.evolve(told, gateway_id=refund.id, amount=refund.amount, why=_word(refund))
        case Reversed(reversal=reversal):
            return attrs.evolve(told, gateway_id=reversal.id, amount=reversal.amount)
        case Declined():
            return attrs.evolve(told, why=answer.code, alarm=answer.alarm, trail=answer.trail)
        case NotSent() | OutcomeUnknown():
            return attrs.evolve(told, why=answer.why, alarm=answer.alarm, trail=answer.trail)


def refused(ref: Ref, tenant: str | None, said: Refused) -> Observation:
    """What is told of a refusal: its codes."""
    return Observation(
        kind=Kind.REFUSED, ref=ref, tenant=tenant, reasons=tuple(reason.code for reason in said.reasons)
    )


def written(ref: Ref, before: Ledger, events: tuple[Event, ...]) -> Iterator[Observation]:
    """What is told of these events, which were appended to this ledger."""
    for event in events:
        after = evolve(before, event)
        yield _event(ref, before, event, after)
        before = after


def _event(ref: Ref, before: Ledger, event: Event, after: Ledger) -> Observation:
    def told(kind: Kind, refund_id: str | None = None, amount: Money | None = None) -> Observation:
        return Observation(
            kind=kind,
            ref=ref,
            tenant=after.tenant,
            at=event.at,
            refund_id=refund_id,
            amount=amount if amount is not None else _verified(after, refund_id),
            before=_status(before, refund_id),
            after=_status(after, refund_id),
        )

    match event:
        case StreamOpened():
            return told(Kind.OPENED)
        case PaymentSeen():
            return told(Kind.PAYMENT_SEEN, amount=event.payment.captured)
        case RefundObserved():
            return _seen(told(Kind.REFUND_SEEN, _ours(after, event.refund), event.refund.amount), before, event)
        case RefundRequested():
            return told(Kind.REQUESTED, event.refund_id)
        case RefundApproved():
            return told(Kind.APPROVED, event.refund_id)
        case SendClaimed():
            return attrs.evolve(told(Kind.CLAIMED, event.send.refund_id), claim=event.send.claim)
        case SendAnswered():
            return attrs.evolve(answered(told(Kind.ANSWERED, event.refund_id), event.answer), claim=event.claim)
        case RefundDropped():
            codes = tuple(reason.code for reason in event.reasons)
            return attrs.evolve(told(Kind.DROPPED, event.refund_id), reasons=codes)
        case RefundNotMade():
            by = "time passed" if event.by is None else "a person said so"
            return attrs.evolve(told(Kind.NOT_MADE, event.refund_id), why=by)
        case PersonAsked():
            return told(Kind.PERSON_ASKED, event.refund_id)
        case AttentionSettled():
            known = None if record_of(after, event.subject) is None else event.subject
            return attrs.evolve(told(Kind.SETTLED, known), why=event.code, answer=str(event.choice))
        case LegClaimed() | LegAnswered() | LegObserved() | LegNotMade():
            return _leg(told, event)
        case OutsideRecorded():
            return told(Kind.OUTSIDE_RECORDED, amount=event.amount)
        case LookScheduled():
            when = told(Kind.LOOK_SCHEDULED)
            return attrs.evolve(when, due=event.due, tries=event.tries, alarm=event.alarm)
        case Paused():
            return told(Kind.PAUSED)
        case Resumed():
            return told(Kind.RESUMED)
        case AllowanceTaken():
            return told(Kind.ALLOWANCE_TAKEN, amount=event.amount)


def _leg(
    told: Callable[[Kind, str, Money | None], Observation],
    event: LegEvent,
) -> Observation:
    """What is told of a leg: which transfer; the status beside it is the refund's, whatever becomes of the leg."""
    match event:
        case LegClaimed(reversal=asked):
            claimed = told(Kind.LEG_CLAIMED, asked.refund_id, asked.amount)
            return attrs.evolve(claimed, transfer=asked.transfer, claim=asked.claim)
        case LegAnswered():
            said = answered(told(Kind.LEG_ANSWERED, event.refund_id, None), event.answer)
            return attrs.evolve(said, transfer=event.transfer, claim=event.claim)
        case LegObserved(reversal=made):
            shown = told(Kind.LEG_SEEN, event.refund_id, made.amount)
            return attrs.evolve(shown, transfer=event.transfer, gateway_id=made.id)
        case LegNotMade():
            return attrs.evolve(told(Kind.LEG_NOT_MADE, event.refund_id, None), transfer=event.transfer)


def _seen(told: Observation, before: Ledger, event: RefundObserved) -> Observation:
    """The same with what the gateway says of this refund; another's has the status that was shown."""
    refund = event.refund
    if told.refund_id is None:
        old = next((seen.status for seen in before.observed if seen.refund.id == refund.id), None)
        told = attrs.evolve(told, before=old, after=Observed(refund, event.at).status)
    return attrs.evolve(told, gateway_id=refund.id, why=_word(refund))


def _word(refund: GatewayRefund) -> str | None:
    return refund.failure_reason or refund.pending_reason


def _ours(ledger: Ledger, refund: GatewayRefund) -> str | None:
    return next((record.id for record in ledger.refunds if is_shown_by(record, refund)), None)


def _status(ledger: Ledger, refund_id: str | None) -> Status | None:
    record = None if refund_id is None else record_of(ledger, refund_id)
    return None if record is None else status_of(ledger, record)


def _verified(ledger: Ledger, refund_id: str | None) -> Money | None:
    record = None if refund_id is None else record_of(ledger, refund_id)
    return None if record is None or record.request is None else record.request.amount
