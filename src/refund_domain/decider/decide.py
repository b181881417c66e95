"""The decider: what an input means for a ledger, as events or a refusal. Pure, total, and all of it here.

`doubt` holds what an owed look may do to the refund under way, `rhythm` when the next look is owed. A send
is made out of a claim in one place only: `licensed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs

from refund_domain.answers import Accepted, Ask, Look, OutcomeUnknown, Picture, Reversed, Unread
from refund_domain.commands import Choice
from refund_domain.decider.attention import answerable, attention
from refund_domain.decider.doubt import steps, unreadable
from refund_domain.decider.inputs import (
    ApproveRequest,
    FreeLook,
    GatewayAnswered,
    Input,
    LegReplied,
    OwedLook,
    RecordOutside,
    RequestRefund,
    SettleAttention,
)
from refund_domain.decider.ledger import (
    NOT_SHOWN,
    Ledger,
    Observed,
    Status,
    fold,
    is_shown_by,
    merge,
    record_of,
    status_of,
)
from refund_domain.decider.legs import leg_of
from refund_domain.decider.pulling import leg_ready, leg_steps, legs_seen
from refund_domain.decider.rhythm import next_look
from refund_domain.events import (
    AttentionSettled,
    Event,
    LegAnswered,
    LegClaimed,
    LookScheduled,
    OutsideRecorded,
    PaymentSeen,
    RefundApproved,
    RefundDropped,
    RefundNotMade,
    RefundObserved,
    RefundRequested,
    SendAnswered,
    SendClaimed,
    StreamOpened,
)
from refund_domain.operations.erasure import is_erased
from refund_domain.payments import GatewayRefund, OutsideRef, PaymentRef
from refund_domain.policy import Policy
from refund_domain.refusals import (
    AmountChanged,
    ApprovalDenied,
    CurrencyNotSupported,
    InFlight,
    NotAskedFor,
    NotFound,
    QuoteStale,
    Refusal,
    Refused,
    RequestReused,
    SecondPersonNeeded,
    TooMuchOutside,
)
from refund_domain.rules.eligibility import needs_second, outside_left, reason_allowed, refund_refusals, refundable

Events = tuple[Event, ...]


def decide(ledger: Ledger, given: Input, policy: Policy) -> Events | Refused:
    """The events this input adds to the ledger, or the reasons why it adds none.

    Total: no ledger and no input makes it raise. No news: no events.
    """
    match given:
        case RequestRefund():
            return _request(ledger, given, policy)
        case ApproveRequest():
            return _approve(ledger, given, policy)
        case OwedLook():
            return _owed_look(ledger, given, policy)
        case FreeLook():
            return _free_look(ledger, given, policy)
        case GatewayAnswered():
            return _answer(ledger, given, policy)
        case LegReplied():
            return _leg_answer(ledger, given, policy)
        case RecordOutside():
            return _record_outside(ledger, given)
        case SettleAttention():
            return _settle(ledger, given, policy)


def owed(ledger: Ledger, now: datetime) -> bool:
    """Whether a look at the gateway is due. A ledger never owes more than a look."""
    return ledger.due is not None and ledger.due <= now


def licensed(appended: Sequence[Event], now: datetime, policy: Policy) -> Ask | None:
    """The call that the events this worker has just appended oblige it to make, while the claim is young."""
    for event in appended:
        # A clock that jumped back since the claim cannot tell how young it is: not licensed.
        young = -policy.clock_skew <= now - event.at <= policy.licence
        if isinstance(event, SendClaimed) and young:
            return event.send
        if isinstance(event, LegClaimed) and young:
            return event.reversal
    return None


# --- commands -----------------------------------------------------------------------------------------


def _request(ledger: Ledger, given: RequestRefund, policy: Policy) -> Events | Refused:
    command = given.command
    if ledger.tenant != command.by.tenant:
        # Never quoted and another tenant's look the same from outside.
        return Refused((NotFound(), QuoteStale(quoted_at=None)))
    for record in ledger.refunds:
        if record.request is not None and record.request.request_id == command.request_id:
            same = record.request.amount == command.amount
            return () if same else Refused((RequestReused(amount=record.request.amount),))
    refusals: list[Refusal] = []
    age = given.at - command.quoted_at
    if ledger.payment is None or age > policy.quote_valid or -age > policy.clock_skew:
        refusals.append(QuoteStale(quoted_at=command.quoted_at))
    if not_allowed := reason_allowed(command.reason, policy):
        refusals.append(not_allowed)
    refusals += refund_refusals(ledger, given.at, policy, amount=command.amount)
    if refusals:
        return Refused(tuple(refusals))
    requested = RefundRequested(
        at=given.at,
        refund_id=given.refund_id,
        request_id=command.request_id,
        amount=command.amount,
        reason=command.reason,
        quoted_at=command.quoted_at,
        by=command.by,
        note=command.note,
        needs_second=needs_second(command.amount, policy),
    )
    due = given.at
    if requested.needs_second:
        # Nothing is looked for before it is approved: at last it is dropped.
        due = (
            given.at + policy.request_valid
            if ledger.due is None
            else min(ledger.due, given.at + policy.request_valid)
        )
    return (requested, LookScheduled(at=given.at, due=due, alarm=ledger.alarm))


def _approve(ledger: Ledger, given: ApproveRequest, policy: Policy) -> Events | Refused:
    command, record = given.command, record_of(ledger, given.command.refund_id)
    if ledger.tenant != command.by.tenant:
        return Refused((NotFound(),))
    request = None if record is None else record.request
    if record is None or request is None or not request.needs_second:
        return Refused((NotAskedFor(),))
    # Whose name was erased may be anybody's, this one's too; a word that was given before stands all the same.
    if command.by.id == request.by.id or (is_erased(request.by) and record.approved is None):
        return Refused((SecondPersonNeeded(refund_id=record.id),))
    if command.amount != request.amount:
        return Refused((AmountChanged(verified=command.amount, current=request.amount),))
    if record.approved is not None:
        return ()
    if status_of(ledger, record) is not Status.REQUESTED:
        return Refused(record.reasons or (NotAskedFor(),))
    if given.at - request.at >= policy.request_valid:
        return Refused((QuoteStale(quoted_at=request.quoted_at),))
    approved = RefundApproved(at=given.at, refund_id=record.id, by=command.by)
    return (approved, LookScheduled(at=given.at, due=given.at, alarm=ledger.alarm))


def _record_outside(ledger: Ledger, given: RecordOutside) -> Events | Refused:
    ref = given.ref
    if ledger.tenant != given.by.tenant and not (ledger.tenant is None and isinstance(ref, OutsideRef)):
        return Refused((NotFound(), QuoteStale(quoted_at=None)))
    for recorded in ledger.outside:
        if recorded.record_id == given.record_id:
            same = recorded.amount == given.amount
            return () if same else Refused((RequestReused(amount=recorded.amount),))
    left = refundable(ledger) if isinstance(ref, PaymentRef) else outside_left(ledger, ref)
    if left is None:
        return Refused((NotFound(), QuoteStale(quoted_at=None)))
    for record in ledger.refunds:
        status = status_of(ledger, record)
        if status in (Status.REQUESTED, Status.IN_DOUBT, Status.PENDING):
            return Refused((InFlight(refund_id=record.id, status=status),))
    # One currency a stream: an outside amount may be told anew by the host, but not in another currency.
    expected = ledger.outside[0].amount.currency if ledger.outside else left.currency
    for currency in (given.amount.currency, left.currency):
        if currency != expected:
            return Refused((CurrencyNotSupported(currency=currency.code, expected=expected.code),))
    if given.amount > left:
        return Refused((TooMuchOutside(asked=given.amount, left=left),))
    opened: Events = () if ledger.tenant else (StreamOpened(at=given.at, tenant=given.by.tenant),)
    given_back = OutsideRecorded(
        at=given.at, record_id=given.record_id, amount=given.amount, how=given.how, by=given.by
    )
    return (*opened, given_back)


def _settle(ledger: Ledger, given: SettleAttention, policy: Policy) -> Events | Refused:
    if ledger.tenant != given.by.tenant:
        return Refused((NotFound(),))
    # Who noted something has heard of it; it may be decided all the same, as long as it is so.
    items = attention(ledger) if given.choice is Choice.NOTED else answerable(ledger)
    waiting = [i for i in items if (i.subject, i.code) == (given.subject, given.code)]
    if not waiting or given.choice not in waiting[0].choices:
        return Refused((NotAskedFor(),))
    settled = AttentionSettled(
        at=given.at, subject=given.subject, code=given.code, choice=given.choice, by=given.by
    )
    if given.choice is Choice.NOT_MADE:
        return (settled, RefundNotMade(at=given.at, refund_id=given.subject, by=given.by))
    if given.choice is Choice.DENIED:
        denied = (ApprovalDenied(by=given.by),)
        return (settled, RefundDropped(at=given.at, refund_id=given.subject, reasons=denied))
    if given.choice is Choice.KEEP_LOOKING:
        return (settled, _looked_for_again(ledger, given, policy))
    return (settled,)


def _looked_for_again(ledger: Ledger, given: SettleAttention, policy: Policy) -> LookScheduled:
    """When to look after a person said to go on: at once where something was mended; daily, or when it is due
    anyway, for a doubt past its last edge. Only who answers for the looking takes its alarm away."""
    due = given.at
    if given.code == NOT_SHOWN:
        due = min(filter(None, (ledger.due, given.at + policy.look_daily)))
    if given.subject == "payment":
        return LookScheduled(at=given.at, due=due)
    return LookScheduled(at=given.at, due=due, tries=ledger.tries, alarm=ledger.alarm)


# --- what the gateway showed --------------------------------------------------------------------------


def _free_look(ledger: Ledger, given: FreeLook, policy: Policy) -> Events | Refused:
    opened: Events = ()
    if ledger.tenant is None:
        if given.tenant is None:
            return ()
        opened = (StreamOpened(at=given.at, tenant=given.tenant),)
    elif given.tenant is not None and given.tenant != ledger.tenant:
        return Refused((NotFound(),))
    seen = _seen(ledger, given.picture, given.sightings, given.seen_at or given.at)
    return (*opened, *_news(ledger, seen, given.at, policy))


def _news(ledger: Ledger, seen: Events, at: datetime, policy: Policy) -> Events:
    """News nobody owed a look for, with a due time where it asks for an earlier one than the ledger's."""
    if not seen:
        return ()
    due = next_look(fold(ledger, seen), at, 0, policy)
    if due is None or (ledger.due is not None and ledger.due <= due):
        return seen
    return (*seen, LookScheduled(at=at, due=due))


def overtaken(ledger: Ledger, look: Look, sightings: int) -> bool:
    """Whether another look has shown the payment otherwise since this one began, at that many `sightings`.

    They overlapped, so nobody knows which of them is the older; no clock can tell. Only one more look can.
    """
    if ledger.sightings == sightings or isinstance(look, Unread):
        return False
    return not isinstance(look, Picture) or look.payment != ledger.payment


def _confirms(ledger: Ledger, given: OwedLook) -> bool:
    """Whether what this look shows of the payment was on record when it began: nothing is sent on anything else.

    A picture that is news may be older than another look's that found none and left no trace. One more look, at
    once, finds it so or not. A leg needs none: what a transfer has left only falls, and is never as before again.
    """
    shown = given.look.payment if isinstance(given.look, Picture) else None
    return ledger.sightings == given.sightings and ledger.payment == shown


def _seen(ledger: Ledger, picture: Picture, sightings: int, at: datetime) -> Events:
    """The observations in this picture that are news to the ledger.

    A refund's are merged whatever their order; the payment itself is put in place of an older one, never of one
    that may be newer.
    """
    news = (*_refunds_seen(ledger, picture.refunds, at), *legs_seen(ledger, picture.payment, at))
    if picture.payment != ledger.payment and not overtaken(ledger, picture, sightings):
        return (PaymentSeen(at=at, payment=picture.payment), *news)
    return news


def _refunds_seen(ledger: Ledger, refunds: tuple[GatewayRefund, ...], at: datetime) -> Events:
    known = {seen.refund.id: seen for seen in ledger.observed}
    events: list[Event] = []
    for refund in refunds:
        before = known.get(refund.id)
        if before is None or merge(before, Observed(refund, at)).refund != before.refund:
            events.append(RefundObserved(at=at, refund=refund))
    return tuple(events)


def _owed_look(ledger: Ledger, given: OwedLook, policy: Policy) -> Events:
    at, look, seen_at = given.at, given.look, given.seen_at or given.at
    if ledger.tenant is None:
        return ()  # nobody has opened this stream, so it owes nothing
    seen = _seen(ledger, look, given.sightings, seen_at) if isinstance(look, Picture) else ()
    if overtaken(ledger, look, given.sightings):
        # Nothing may rest on a picture that may be older than what is known: one more look stays owed, or is now.
        again = LookScheduled(at=at, due=at, tries=ledger.tries, alarm=ledger.alarm)
        return seen if owed(ledger, at) else (*seen, again)
    if not owed(ledger, at):
        # Another worker was faster, so this look is owed no more and may neither claim nor end anything.
        return _news(ledger, seen, at, policy)
    after = fold(ledger, seen)
    free = attrs.evolve(given, paused=False) if given.paused is None else given
    moves = steps(after, free, policy) or leg_steps(after, free, policy)
    claims = [move for move in moves if isinstance(move, SendClaimed | LegClaimed)]
    if claims and (given.paused is None or (isinstance(claims[0], SendClaimed) and not _confirms(ledger, given))):
        return seen
    tries = 0 if seen else ledger.tries + 1
    due = next_look(fold(after, moves), at, tries, policy)
    alarm = None if due is None else unreadable(after, given, policy)
    return (*seen, *moves, LookScheduled(at=at, due=due, tries=tries, alarm=alarm))


# --- what the gateway answered ------------------------------------------------------------------------


def _answer(ledger: Ledger, given: GatewayAnswered, policy: Policy) -> Events:
    record = record_of(ledger, given.refund_id)
    if record is None or not 1 <= given.claim <= len(record.claims):
        return ()
    answer, at = given.answer, given.at
    if isinstance(answer, Reversed) or (isinstance(answer, Accepted) and not is_shown_by(record, answer.refund)):
        answer = OutcomeUnknown(why="the body accepted is not this refund", resend=False, alarm="not_our_refund")
    if record.claims[given.claim - 1].answer is not None:
        # Answered already: nothing more is booked on the claim, but what the answer shows is news all the same.
        shown = (answer.refund,) if isinstance(answer, Accepted) else ()
        return _news(ledger, _refunds_seen(ledger, shown, at), at, policy)
    answered = SendAnswered(at=at, refund_id=record.id, claim=given.claim, answer=answer)
    return _then_due(ledger, answered, at, 0 if isinstance(answer, Accepted) else ledger.tries, policy)


def _leg_answer(ledger: Ledger, given: LegReplied, policy: Policy) -> Events:
    record = record_of(ledger, given.refund_id)
    leg = None if record is None else leg_of(record.legs, given.transfer)
    if leg is None or not 1 <= given.claim <= len(leg.claims) or leg.claims[given.claim - 1].answer is not None:
        return ()
    answer = given.answer
    if isinstance(answer, Accepted) or (isinstance(answer, Reversed) and not leg.shows(answer.reversal)):
        answer = OutcomeUnknown(
            why="the body accepted is not this reversal", resend=False, alarm="not_our_reversal"
        )
    answered = LegAnswered(
        at=given.at, refund_id=given.refund_id, transfer=given.transfer, claim=given.claim, answer=answer
    )
    return _then_due(ledger, answered, given.at, 0 if isinstance(answer, Reversed) else ledger.tries, policy)


def _then_due(
    ledger: Ledger, answered: SendAnswered | LegAnswered, at: datetime, tries: int, policy: Policy
) -> Events:
    """This answer, and when the next look is owed after it: at once where it lets a leg be asked for."""
    after = fold(ledger, (answered,))
    due = at if leg_ready(after, at, policy) else next_look(after, at, tries, policy)
    if (due, tries) == (ledger.due, ledger.tries):
        return (answered,)
    return (answered, LookScheduled(at=at, due=due, tries=tries, alarm=ledger.alarm))
