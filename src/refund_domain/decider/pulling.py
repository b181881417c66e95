"""What comes next of a refund's legs: which state each is in, what an owed look does to it, when it is due.

A leg is owed once the gateway shows its refund live, never before it and never instead of it. It is done when
its reversal is shown or was answered with a yes, or when nothing is left to pull back. In doubt it keeps the
zones of a refund (`doubt.STEPS`). An attempt that is over is followed, at a daily pace and under an id of its own,
by the next, for as long as the refund lives: the person who issued it decided on the refund with all that goes
with it. What it pulls back is planned from the look before its first send; the quote showed what was true then.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import attrs

from refund_domain._checks import is_id
from refund_domain.answers import Declined, NotSent, Picture, Reversal
from refund_domain.commands import Choice
from refund_domain.connect import Transfer
from refund_domain.decider.doubt import MOST_UNREAD, STEPS, Step, Verdict, Zone, fell_back, without_effect, zone_of
from refund_domain.decider.inputs import OwedLook
from refund_domain.decider.ledger import Ledger, RefundRecord, Status, status_of
from refund_domain.decider.legs import LegRecord, subject_of
from refund_domain.events import Event, LegClaimed, LegNotMade, LegObserved
from refund_domain.money import Money
from refund_domain.payments import Payment
from refund_domain.policy import Policy
from refund_domain.rules.eligibility import refundable

Events = tuple[Event, ...]


class LegState(StrEnum):
    """How one leg of a refund stands.

    `PLANNED`: its refund is not shown live yet. `OWED`: still to be pulled back. `IN_DOUBT`: it may have been.
    `DONE`: pulled back. `ELSEWHERE`: nothing is left to pull back, as others did. `LEFT`: a person said to leave
    it, and no call of it is in doubt. `OFF`: its refund has ended, so nothing is pulled back for it any more.
    """

    PLANNED = "planned"
    OWED = "owed"
    IN_DOUBT = "in_doubt"
    DONE = "done"
    ELSEWHERE = "elsewhere"
    LEFT = "left"
    OFF = "off"


_WAITS: Final = (Status.REQUESTED, Status.IN_DOUBT)
_LIVE: Final = (Status.PENDING, Status.SUCCEEDED)


def state_of(ledger: Ledger, record: RefundRecord, leg: LegRecord) -> LegState:
    """How this leg of this refund stands."""
    if leg.made is not None:
        return LegState.DONE
    if leg.doubted_since is None and _is_left(ledger, record, leg):
        return LegState.LEFT
    left = still_of(ledger.payment, leg)
    if left is not None and left.amount_minor == 0:
        return LegState.ELSEWHERE
    if leg.doubted_since is not None:
        return LegState.IN_DOUBT
    status = status_of(ledger, record)
    if status in _LIVE:
        return LegState.OWED
    return LegState.PLANNED if status in _WAITS else LegState.OFF


def _is_left(ledger: Ledger, record: RefundRecord, leg: LegRecord) -> bool:
    """Whether a person said to leave this leg: it is asked for no more, unless somebody said to go on since."""
    subject, choices = subject_of(record.id, leg), (Choice.LEAVE, Choice.KEEP_LOOKING)
    said = [done.choice for done in ledger.settled if done.subject == subject and done.choice in choices]
    return said[-1:] == [Choice.LEAVE]


def _shown(payment: Payment | None, leg: LegRecord) -> Transfer | None:
    transfers = () if payment is None else payment.transfers
    return next((transfer for transfer in transfers if transfer.id == leg.leg.transfer), None)


def still_of(payment: Payment | None, leg: LegRecord) -> Money | None:
    """What is still to be pulled back: the plan less what others did since, at most what the transfer has left.

    None where the transfer is not shown, and nothing can be told.
    """
    transfer = _shown(payment, leg)
    if transfer is None or transfer.amount.currency != leg.leg.amount.currency:
        return None
    since = max(0, transfer.by_hand.amount_minor - leg.leg.by_hand.amount_minor)
    still = min(leg.leg.amount.amount_minor - since, transfer.left.amount_minor)
    return Money(max(0, still), leg.leg.amount.currency)


# --- what a look does ---------------------------------------------------------------------------------------


def legs_seen(ledger: Ledger, payment: Payment, at: datetime) -> Events:
    """The reversals of ours that this payment shows and that are news."""
    return tuple(
        LegObserved(at=at, refund_id=record.id, transfer=leg.leg.transfer, reversal=reversal)
        for record, leg in _legs(ledger)
        if leg.made is None and (transfer := _shown(payment, leg)) is not None
        for reversal in [each for each in transfer.reversals if leg.shows(each)][:1]
    )


def leg_steps(ledger: Ledger, given: OwedLook, policy: Policy) -> Events:
    """What this owed look does to the first leg that it can do anything for: claim it, or end its doubt.

    Legs that were never asked for come first, and then the one asked for longest ago: one that fails and fails
    keeps no other from its turn.
    """
    payment = ledger.payment
    if not isinstance(given.look, Picture) or payment is None or fell_back(given.at, given.latest, policy):
        return ()
    for record, leg in sorted(_legs(ledger), key=_asked_last):
        moves: Events = ()
        match state_of(ledger, record, leg):
            case LegState.OWED if given.at >= _not_before(leg, given.at, policy):
                moves = () if given.paused else _claim(record, leg, payment, given.at)
            case LegState.IN_DOUBT:
                moves = _doubt(ledger, record, leg, payment, given, policy)
            case _:
                pass
        if moves:
            return moves
    return ()


def _asked_last(entry: tuple[RefundRecord, LegRecord]) -> tuple[bool, datetime]:
    claims = entry[1].claims
    return (True, claims[-1].at) if claims else (False, datetime.min.replace(tzinfo=UTC))


def _legs(ledger: Ledger) -> Iterator[tuple[RefundRecord, LegRecord]]:
    return ((record, leg) for record in ledger.refunds for leg in record.legs)


def _not_before(leg: LegRecord, at: datetime, policy: Policy) -> datetime:
    """When a leg may be asked for: at first now; after a no or an alarm in a day, or at a person's word."""
    if not leg.claims or (leg.tries and leg.alarm is None):
        return at
    return at if leg.urged else leg.claims[-1].at + policy.look_daily


def _next_reversal(record: RefundRecord, leg: LegRecord, payment: Payment | None) -> Reversal | None:
    """What the next claim of this leg asks for: the same once more, or a new attempt under an id of its own.

    None where the gateway does not show the transfer, where a doubtful attempt asked for more than is left now
    (one id asks for one amount), and where a host's ids are so long that no leg can have one.
    """
    still, tries, number = still_of(payment, leg), leg.tries, len(leg.claims) + 1
    if payment is None or still is None or still.amount_minor == 0:
        return None
    if tries and tries[0].reversal.amount == still:
        return attrs.evolve(tries[0].reversal, claim=number)
    attempt = leg.attempts + 1
    key = f"{record.id}:{leg.leg.transfer}:{attempt}"
    if leg.doubted_since is not None or not is_id(key):
        return None
    return Reversal(
        id=key,
        refund_id=record.id,
        transfer=leg.leg.transfer,
        attempt=attempt,
        claim=number,
        payment=payment.ref,
        amount=still,
    )


def _claim(record: RefundRecord, leg: LegRecord, payment: Payment, at: datetime) -> Events:
    reversal = _next_reversal(record, leg, payment)
    return () if reversal is None else (LegClaimed(at=at, reversal=reversal),)


def _doubt(
    ledger: Ledger, record: RefundRecord, leg: LegRecord, payment: Payment, given: OwedLook, policy: Policy
) -> Events:
    """This attempt may have been executed and the look does not show it: the table of a refund's doubt."""
    since, tries, at = leg.doubted_since, leg.tries, given.at
    if since is None or any(claim.answer is None and at < claim.at + policy.answer_wait for claim in tries):
        return ()  # its own worker may still be asking
    zone = zone_of(at - since, policy)
    if zone is Zone.OLD and not without_effect(tries[-1].at, at, policy):
        zone = Zone.STALE
    match STEPS[zone, _verdict(leg, at, policy)]:
        case Step.SEND:
            asks = status_of(ledger, record) in _LIVE and not _is_left(ledger, record, leg)
            goes = asks and not given.paused
            return _claim(record, leg, payment, at) if goes else ()
        case Step.LOOK:
            return ()
        case Step.END | Step.ASK:
            # Unlike a refund's, the end of this doubt opens no amount for a second one: the next attempt asks for
            # no more than the transfer has left by the gateway's own figure.
            attempt = tries[-1].reversal.attempt
            return (LegNotMade(at=at, refund_id=record.id, transfer=leg.leg.transfer, attempt=attempt),)


def _verdict(leg: LegRecord, at: datetime, policy: Policy) -> Verdict:
    if leg.burnt:
        return Verdict.BURNT
    if leg.declined:
        return Verdict.DECLINED
    return Verdict.CLEAR if at >= _not_before(leg, at, policy) else Verdict.ALARMED


# --- when -----------------------------------------------------------------------------------------------------


def leg_ready(ledger: Ledger, at: datetime, policy: Policy) -> bool:
    """Whether a leg may be claimed for the first time in its attempt at once, so that a look is owed now."""
    return any(
        state_of(ledger, record, leg) is LegState.OWED
        and not leg.tries
        and at >= _not_before(leg, at, policy)
        and _next_reversal(record, leg, ledger.payment) is not None
        for record, leg in _legs(ledger)
    )


def leg_times(ledger: Ledger, at: datetime, soon: datetime, policy: Policy) -> Iterator[datetime]:
    """When each leg that is not over needs its next look, `soon` or later."""
    for record, leg in _legs(ledger):
        match state_of(ledger, record, leg):
            case LegState.OWED if _next_reversal(record, leg, ledger.payment) is None:
                yield at + policy.look_daily
            case LegState.OWED:
                yield max(soon, _not_before(leg, at, policy))
            case LegState.IN_DOUBT:
                yield _next_in_doubt(leg, at, soon, policy)
            case _:
                pass


def _next_in_doubt(leg: LegRecord, at: datetime, soon: datetime, policy: Policy) -> datetime:
    since = leg.doubted_since
    if since is not None and at - since >= policy.end_after:
        return at + policy.look_daily
    waits = [claim.at + policy.answer_wait for claim in leg.tries if claim.open]
    return max(soon, _not_before(leg, at, policy), *waits)


# --- what a person is told --------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class LegTold:
    """What a person should know of one leg: `settle` knows it by `subject` and `code`, and takes `choices`."""

    subject: str
    code: str
    says: str
    choices: tuple[Choice, ...]


PULLED_FOR_NOTHING: Final = "transfer_pulled_back"
"""What codes of money begin with that a failed refund pulled back; of a leg, the amount follows, so that another
amount is news."""

_TOLD: Final = (Choice.NOTED,)
_STUCK: Final = (Choice.KEEP_LOOKING, Choice.LEAVE, Choice.NOTED)


def legs_told(ledger: Ledger, record: RefundRecord) -> Iterator[LegTold]:
    """The legs of this refund that need a person: one that cannot be pulled back, one pulled back for nothing."""
    status = status_of(ledger, record)
    for leg in record.legs:
        state, name = state_of(ledger, record, leg), leg.leg.transfer
        excess = _pulled_for_nothing(ledger, leg) if status in (Status.FAILED, Status.CANCELED) else None
        if excess is not None:
            says = (
                f"The refund's money came back to the platform, and {excess} of transfer {name} were pulled back "
                "for it. Where the client is given it by another way, they pay for that; where not, pass them on "
                "to the connected account."
            )
            code = f"{PULLED_FOR_NOTHING}_{excess.amount_minor}"
            yield LegTold(subject=subject_of(record.id, leg), code=code, says=says, choices=_TOLD)
        owed = status in _LIVE and state in (LegState.OWED, LegState.IN_DOUBT)
        if owed and (why := _stuck(ledger, record, leg)):
            still = still_of(ledger.payment, leg) or leg.leg.amount
            says = (
                f"The client's refund stands, but {still} of transfer {name} did not come back ({why}). "
                "It is tried daily: let the connected account be topped up, reverse the transfer by hand, try "
                "again now, or leave it, so that the platform bears it."
            )
            choices = _STUCK[1:] if leg.urged else _STUCK
            yield LegTold(
                subject=subject_of(record.id, leg), code="transfer_not_reversed", says=says, choices=choices
            )


def _pulled_for_nothing(ledger: Ledger, leg: LegRecord) -> Money | None:
    """How much of what this leg of a failed refund pulled back covers nothing that went back; None: it covers all.

    What had to come back of each transfer is what one refund of all that went back by any way, or is held or
    disputed, would pull back if nothing had been pulled yet; what did come back of it by any hand pays for that.
    """
    payment, left = ledger.payment, refundable(ledger)
    if leg.made is None or payment is None or left is None:
        return None
    name, pulled = leg.leg.transfer, _pulled(ledger)
    # A transfer that is not shown held what was pulled back of it at least.
    held = pulled | {one.id: one.amount.amount_minor for one in payment.transfers}
    before = sum(amount for other, amount in held.items() if other < name)
    gone = payment.captured.amount_minor - left.amount_minor
    back = max([pulled[name], *(one.reversed.amount_minor for one in payment.transfers if one.id == name)])
    excess = min(leg.made.amount.amount_minor, back - max(0, gone - before))
    return Money(excess, leg.made.amount.currency) if excess > 0 else None


def _pulled(ledger: Ledger) -> dict[str, int]:
    """What all legs of this payment's refunds pulled back of each transfer, in minor units."""
    pulled: dict[str, int] = {}
    for _, leg in _legs(ledger):
        if leg.made is not None:
            pulled[leg.leg.transfer] = pulled.get(leg.leg.transfer, 0) + leg.made.amount.amount_minor
    return pulled


def _stuck(ledger: Ledger, record: RefundRecord, leg: LegRecord) -> str | None:
    """Why a leg does not come about by itself soon; None while it may."""
    codes = [claim.answer.code for claim in leg.claims if isinstance(claim.answer, Declined)]
    if leg.alarm is not None:
        return leg.alarm
    if codes:
        return codes[-1]
    if leg.burnt or leg.not_made:
        return "no answer"
    if sum(isinstance(claim.answer, NotSent) for claim in leg.tries) > MOST_UNREAD:
        return "it could not be asked for"
    stuck = leg.doubted_since is None and _next_reversal(record, leg, ledger.payment) is None
    return "nothing can be asked of it now" if stuck else None
