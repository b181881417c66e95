"""What an owed look does to the refund under way: send it, send it again, only look, end it, ask a person.

Two cases. Nothing of it can be at the gateway yet: the rules decide afresh, and a no drops it. Or a send may
have been executed and the look does not show it: then `STEPS`, a table of zone and verdict, decides.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import attrs

from refund_domain.answers import Missing, Picture, Send, Unread
from refund_domain.decider.inputs import OwedLook
from refund_domain.decider.ledger import Ledger, RefundRecord, in_flight
from refund_domain.events import Event, PersonAsked, RefundDropped, RefundNotMade, RefundRequested, SendClaimed
from refund_domain.policy import Policy
from refund_domain.refusals import ChargeNotSupported, NotFound, QuoteStale, Refusal
from refund_domain.rules.eligibility import refund_refusals, split_of

Events = tuple[Event, ...]


class Zone(StrEnum):
    """How old the first doubtful claim is: the key may go again, may only be looked for, is surely over."""

    FRESH = "fresh"
    STALE = "stale"
    OLD = "old"


class Verdict(StrEnum):
    """What the answers so far say about sending the same key again."""

    CLEAR = "clear"
    ALARMED = "alarmed"
    DECLINED = "declined"
    BURNT = "burnt"


class Step(StrEnum):
    """What to do when a complete look does not show the refund."""

    SEND = "send"
    LOOK = "look"
    END = "end"
    ASK = "ask"


MOST_UNREAD: Final = 8
"""After so many fruitless looks one more that cannot be read calls a person."""

STEPS: Final[dict[tuple[Zone, Verdict], Step]] = {
    (Zone.FRESH, Verdict.CLEAR): Step.SEND,
    (Zone.FRESH, Verdict.ALARMED): Step.LOOK,
    (Zone.FRESH, Verdict.DECLINED): Step.LOOK,
    (Zone.FRESH, Verdict.BURNT): Step.LOOK,
    (Zone.STALE, Verdict.CLEAR): Step.LOOK,
    (Zone.STALE, Verdict.ALARMED): Step.LOOK,
    (Zone.STALE, Verdict.DECLINED): Step.LOOK,
    (Zone.STALE, Verdict.BURNT): Step.LOOK,
    (Zone.OLD, Verdict.CLEAR): Step.END,
    (Zone.OLD, Verdict.ALARMED): Step.END,
    (Zone.OLD, Verdict.DECLINED): Step.END,
    (Zone.OLD, Verdict.BURNT): Step.ASK,
}
"""Zone × verdict: the only way a refund in doubt is sent again, ended, or put to a person."""


def steps(ledger: Ledger, given: OwedLook, policy: Policy) -> Events:
    """What this owed look does to the refund under way, if there is one."""
    record = in_flight(ledger)
    request = None if record is None else record.request
    if record is None or request is None or fell_back(given.at, given.latest, policy):
        return ()
    since = record.doubted_since
    if since is None:
        return _first_send(ledger, record, request, given, policy)
    return _doubt(ledger, record, request, since, given, policy)


def fell_back(at: datetime, latest: datetime, policy: Policy) -> bool:
    """Whether the journal's clock is behind the latest time it knows of by more than clocks may lie apart.

    Such a clock may look, and what it shows is news; nothing is decided by it.
    """
    return at + policy.clock_skew < latest


def unreadable(ledger: Ledger, given: OwedLook, policy: Policy) -> str | None:
    """Why a person must mend the looking: this look says so, a doubt past its last edge was not read, nothing
    was read for long, or the journal's clock fell back."""
    look, record = given.look, in_flight(ledger)
    if fell_back(given.at, given.latest, policy):
        return "clock"
    if isinstance(look, Picture):
        return None
    if isinstance(look, Missing):
        return "not_found"
    since = None if record is None else record.doubted_since
    past_end = since is not None and zone_of(given.at - since, policy) is Zone.OLD
    if look.alarm is None and (past_end or ledger.tries >= MOST_UNREAD):
        return "unreadable"
    return look.alarm


def _first_send(
    ledger: Ledger, record: RefundRecord, request: RefundRequested, given: OwedLook, policy: Policy
) -> Events:
    """Nothing of this refund can be at the gateway: drop it, send it, or wait."""
    if given.at - request.at >= policy.request_valid:
        return (_dropped(record, given.at, (QuoteStale(quoted_at=request.quoted_at),)),)
    match given.look:
        case Unread():
            return ()
        case Missing():
            return (_dropped(record, given.at, (NotFound(),)),)
        case Picture():
            if record.alarm is not None:
                return ()
            refusals = refund_refusals(ledger, given.at, policy, amount=request.amount, own=record.id)
            if refusals:
                return (_dropped(record, given.at, refusals),)
            if given.paused or record.awaits_second:
                return ()
            return _claim(ledger, record, request, given.at, policy)


def _doubt(
    ledger: Ledger,
    record: RefundRecord,
    request: RefundRequested,
    since: datetime,
    given: OwedLook,
    policy: Policy,
) -> Events:
    """A send of this refund may have been executed and the look does not show it: see `STEPS`."""
    at = given.at
    if not isinstance(given.look, Picture):
        return ()
    if any(claim.answer is None and at < claim.at + policy.answer_wait for claim in record.claims):
        # Its own worker may still be sending this claim.
        return ()
    if policy.gateway_caps and _ruled_out(ledger, record, at, policy):
        return (RefundNotMade(at=at, refund_id=record.id),)
    zone = zone_of(at - since, policy)
    if zone is Zone.OLD and not without_effect(record.claims[-1].at, at, policy):
        # Claimed late under another policy than this one: no doubt ends while a send may still take effect.
        zone = Zone.STALE
    match STEPS[zone, _verdict(record)]:
        case Step.SEND:
            if given.paused or refund_refusals(ledger, at, policy, amount=request.amount, own=record.id):
                return ()
            return _claim(ledger, record, request, at, policy)
        case Step.LOOK:
            return ()
        case Step.END:
            return (RefundNotMade(at=at, refund_id=record.id),)
        case Step.ASK:
            return () if record.asked_at else (PersonAsked(at=at, refund_id=record.id),)


def zone_of(age: timedelta, policy: Policy) -> Zone:
    """The zone of a doubt of this age."""
    if age < policy.resend_within:
        return Zone.FRESH
    return Zone.STALE if age < policy.end_after else Zone.OLD


def _verdict(record: RefundRecord) -> Verdict:
    if record.burnt:
        return Verdict.BURNT
    if record.declined:
        return Verdict.DECLINED
    return Verdict.CLEAR if record.alarm is None else Verdict.ALARMED


def _ruled_out(ledger: Ledger, record: RefundRecord, at: datetime, policy: Policy) -> bool:
    """Whether others' live refunds fill the payment, long enough after our last claim: then the gateway's
    own cap leaves no room for ours, neither made unseen nor still to come."""
    if ledger.payment is None or not record.claims:
        return False
    others = sum(s.refund.amount.amount_minor for s in ledger.observed if s.live and s.refund.mark != record.id)
    return without_effect(record.claims[-1].at, at, policy) and others >= ledger.payment.captured.amount_minor


def without_effect(last: datetime, at: datetime, policy: Policy) -> bool:
    """Whether the claim made `last` can have no effect any more that a list does not show."""
    # Twice executes_within, as in the policy's margins: until the send leaves, and in flight.
    after = 2 * policy.executes_within + policy.completes_within + policy.list_lag
    return at - last >= after + policy.licence + 2 * policy.clock_skew


def _claim(ledger: Ledger, record: RefundRecord, request: RefundRequested, at: datetime, policy: Policy) -> Events:
    """Claim the next send. All that may have been executed ask for the same thing; only their number rises.

    As long as nothing was, each asks for what the look before it allows.
    """
    payment, number = ledger.payment, len(record.claims) + 1
    if record.doubted_since is not None:
        return (SendClaimed(at=at, send=attrs.evolve(record.claims[-1].send, claim=number)),)
    if payment is None:
        return ()  # nothing was ever seen to refund
    split = split_of(payment, policy, amount=request.amount)
    if isinstance(split, ChargeNotSupported):
        return ()  # the rules refuse such a charge before it comes to this
    send = Send(
        refund_id=record.id,
        claim=number,
        payment=payment.ref,
        amount=request.amount,
        reason=request.reason,
        split=split,
    )
    return (SendClaimed(at=at, send=send),)


def _dropped(record: RefundRecord, at: datetime, reasons: tuple[Refusal, ...]) -> RefundDropped:
    return RefundDropped(at=at, refund_id=record.id, reasons=reasons)
