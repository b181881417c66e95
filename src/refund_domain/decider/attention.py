"""What waits for a person, derived from the ledger, each with the choices that may answer it.

Nothing here is stored: a fact stays on the list until a person has answered it (`settle`), and "send" is
never among the choices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Final

import attrs

from refund_domain.answers import Declined
from refund_domain.commands import Choice
from refund_domain.connect import ChargeKind, DestinationCharge
from refund_domain.decider.evidence import Evidence, evidence
from refund_domain.decider.ledger import (
    DISPUTE_FAILURE,
    HOLDS,
    NOT_SHOWN,
    Ledger,
    RefundRecord,
    Status,
    is_shown_by,
    shown,
    status_of,
)
from refund_domain.decider.pulling import PULLED_FOR_NOTHING, legs_told
from refund_domain.events import AttentionSettled
from refund_domain.operations.erasure import is_erased
from refund_domain.payments import GatewayRefund, PaymentStatus
from refund_domain.refusals import Move
from refund_domain.rules.eligibility import INQUIRIES, counting_disputes, disputed_minor, listed_minor, refundable

_NOTED: Final = (Choice.NOTED,)
_MOST_NAMED: Final = 5
_PULLED_BACK: Final = (
    "The refund's money came back to the platform, while the transfer to the connected account was pulled back, "
    "and the platform's fee perhaps returned: check both in the dashboard. They pay for what the client is given "
    "by another way; pass on the rest."
)

_FUNDS: Final = "insufficient_funds"
"""The gateway's word for a refund that waits until the balance holds enough (Stripe facts, "Reasons")."""

_WAITS_FOR_FUNDS: Final = (
    "The refund waits for money in the gateway's balance: top it up. Where it waits too long, it fails."
)

PENDING_LONG: Final = timedelta(days=30)
"""How long a refund may be under way before somebody is told: no bank takes so long."""

_PENDING_LONG: Final = (
    f"The refund is under way for more than {PENDING_LONG.days} days, which no bank takes: ask the gateway's "
    "support about it. Pay nothing beside it before it has ended."
)

_NO_PLAN: Final = (
    "This refund pulls no transfer back: it was sent before any was known, or its journal was lost. Transfers of "
    "its payment still hold money: check in the dashboard which of them to reverse."
)


@attrs.frozen(kw_only=True)
class Attention:
    """One thing a person should know or decide: `subject` and `code` name it in `settle`.

    `subject` is the refund's id, the gateway's refund id, "payment", or a refund's id and a transfer's. `choices`
    are the answers it takes; without any, only what `says` says ends it. `says` is a sentence without any client's
    data.
    """

    subject: str
    code: str
    choices: tuple[Choice, ...]
    move: Move
    says: str


UNREADABLE: Final = Attention(
    subject="payment",
    code="unreadable_stream",
    choices=(),
    move=Move.HOST,
    says="This worker cannot read the payment's stream: a newer version wrote in it. Upgrade this worker.",
)
"""What stands in the list for a payment whose events this version does not know, and until it does."""


DAMAGED: Final = Attention(
    subject="payment",
    code="damaged_stream",
    choices=(),
    move=Move.HOST,
    says="An event of the payment's stream is missing: the journal was changed by hand. Restore it.",
)
"""What stands in the list for a payment whose stream has a gap, and until it is mended."""


@attrs.frozen(kw_only=True)
class AfterFailure:
    """Whose move is next once a refund has failed or was cancelled, and what they do.

    `kind` names the advice, so that another one waits anew: empty while all of the refund's amount is owed by the
    reason alone, else the word that follows the status in the item's code (`failed_disputed`).
    """

    move: Move
    says: str
    kind: str = ""


AFTER_FAILURE: Final[dict[str, AfterFailure]] = {
    "lost_or_stolen_card": AfterFailure(
        move=Move.STAFF, says="The card was reported lost or stolen; pay the client outside and record it."
    ),
    "expired_or_canceled_card": AfterFailure(
        move=Move.STAFF, says="The card is closed; pay the client outside and record it."
    ),
    "charge_for_pending_refund_disputed": AfterFailure(
        move=Move.STAFF,
        says="The client disputed the payment; answer the dispute and never refund it again.",
        kind="disputed",
    ),
    "insufficient_funds": AfterFailure(
        move=Move.STAFF, says="The balance was too low for too long; top it up, then quote a new refund."
    ),
    "declined": AfterFailure(
        move=Move.STAFF, says="The client's bank declined it; quote a new refund or pay outside."
    ),
    "merchant_request": AfterFailure(
        move=Move.STAFF, says="Somebody with access to the gateway cancelled it; ask them, then quote anew."
    ),
}
"""By the gateway's failure reason (Stripe facts, "Reasons"). Nothing here ever sends by itself."""

UNKNOWN_FAILURE: Final = AfterFailure(
    move=Move.STAFF, says="It failed for a reason the gateway did not name; quote a new refund or pay outside."
)


NEVER_RECEIVED: Final = AfterFailure(
    move=Move.STAFF,
    says="The payment itself failed: no money was received, and nothing is owed for it.",
    kind="never_received",
)
"""After a failed refund of a payment that has failed itself: whatever was paid for it would be a gift."""

NOTHING_LEFT: Final = AfterFailure(
    move=Move.STAFF,
    says="Its money has gone back since, by other ways; nothing is left to give back.",
    kind="nothing_left",
)
"""After a failed refund of a payment that was given back otherwise since."""


_FAILED: Final = (Status.FAILED, Status.CANCELED)


def next_step(ledger: Ledger, record: RefundRecord) -> AfterFailure | None:
    """Whose move is next after this refund has failed or was cancelled; None: it did neither.

    By the reason, but only as far as the money is still owed: what has gone back since, is under way, or is
    disputed is never to be paid once more; and of several refunds that failed the last alone says what to pay.
    """
    seen = shown(ledger, record)
    if seen is None or status_of(ledger, record) not in _FAILED:
        return None
    return _step(ledger, record, seen.refund)


def _step(ledger: Ledger, record: RefundRecord, refund: GatewayRefund) -> AfterFailure:
    payment, reason = ledger.payment, refund.failure_reason
    if payment is not None and payment.status is PaymentStatus.FAILED:
        return NEVER_RECEIVED
    if reason == DISPUTE_FAILURE or (payment is not None and counting_disputes(payment)):
        return AFTER_FAILURE[DISPUTE_FAILURE]
    if (other := _beside(ledger, record)) is not None:
        return other
    left = refundable(ledger)
    if left is not None and left.amount_minor == 0:
        return NOTHING_LEFT
    after = after_failure(reason)
    if left is None or left == refund.amount:
        return after
    says = f"{after.says} No more than {left} is left to give back."
    return attrs.evolve(after, says=says, kind=f"owed_{left.amount_minor}")


def _beside(ledger: Ledger, record: RefundRecord) -> AfterFailure | None:
    """What another refund of ours makes of a failed one: it holds the money, or was tried since and failed too."""
    states = [(other.id, status_of(ledger, other)) for other in ledger.refunds]
    for name, status in states:
        if name != record.id and HOLDS[status]:
            done = status is Status.SUCCEEDED
            over = "gave the money back since" if done else "is under way since; wait for its end"
            says = f"Refund {name} {over}. Pay nothing beside it."
            return AfterFailure(move=Move.STAFF, says=says, kind="given_back" if done else "under_way")
    later = states[[name for name, _ in states].index(record.id) + 1 :]
    tried = [name for name, status in later if status in _FAILED]
    if not tried:
        return None
    says = f"Refund {tried[-1]} was tried since and failed, too: what is owed stands there, and only there."
    return AfterFailure(move=Move.STAFF, says=says, kind="tried_again")


def after_failure(reason: str | None) -> AfterFailure:
    """What comes after a failure with this reason, as long as the money is owed (`next_step` knows whether it is);
    an unknown or missing reason has its own row.

    >>> after_failure("expired_or_canceled_card").says
    'The card is closed; pay the client outside and record it.'
    """
    return AFTER_FAILURE.get(reason or "", UNKNOWN_FAILURE)


def attention(ledger: Ledger) -> tuple[Attention, ...]:
    """All that waits for a person in this ledger and was not answered yet."""
    ever, since = _words(ledger.settled), _words(ledger.settled[ledger.answered :])
    return tuple(item for item in answerable(ledger) if not _answers(since if _rests(item) else ever, item))


_Words = Mapping[tuple[str, str], AttentionSettled]


def _words(settled: Iterable[AttentionSettled]) -> _Words:
    """By subject and matter the last word, which stands."""
    return {(done.subject, _matter(done.code)): done for done in settled}


def _answers(words: _Words, item: Attention) -> bool:
    """Whether the last word said on the item's matter was said of this very item, and was not to go on."""
    done = words.get((item.subject, _matter(item.code)))
    return done is not None and done.code == item.code and done.choice is not Choice.KEEP_LOOKING


def _rests(item: Attention) -> bool:
    """Whether the item rests on how the payment stood, as all advice on money that came back does: it is told anew
    once the payment is shown otherwise."""
    return _matter(item.code) in (*_FAILED, PULLED_FOR_NOTHING)


def _matter(code: str) -> str:
    """What a code is about: all advice on one failure is one matter, as advice that comes back is news again."""
    word = code.partition("_")[0]
    return word if word in _FAILED else code


def answerable(ledger: Ledger) -> Iterator[Attention]:
    """All that a person may still decide: what waits, and what was noted and nothing more."""
    for record in ledger.refunds:
        yield from _of_refund(ledger, record)
    yield from _of_payment(ledger)


def _of_refund(ledger: Ledger, record: RefundRecord) -> Iterator[Attention]:
    status = status_of(ledger, record)
    yield from _to_decide(ledger, record, status)
    if record.surprise is not None:
        says = (
            f"This refund was held to be {record.surprise} and exists after all ({status}); check what was repaid."
        )
        yield _note(record.id, f"adopted_after_{record.surprise}", says)
    for told in legs_told(ledger, record):
        yield Attention(
            subject=told.subject, code=told.code, choices=told.choices, move=Move.STAFF, says=told.says
        )
    if not record.legs and status in (Status.PENDING, Status.SUCCEEDED) and _holds_transfers(ledger):
        yield _note(record.id, "transfers_unknown", _NO_PLAN)
    yield from _as_it_stands(ledger, record, status)


def _to_decide(ledger: Ledger, record: RefundRecord, status: Status) -> Iterator[Attention]:
    """What does not go on without a person: to note it is no answer."""
    request = record.request
    if record.asked_at is not None and shown(ledger, record) is None and record.ended is None:
        yield Attention(
            subject=record.id,
            code=NOT_SHOWN,
            choices=(Choice.NOT_MADE, Choice.KEEP_LOOKING),
            move=Move.STAFF,
            says="No complete look shows this refund. Check the gateway's dashboard: was it made?",
        )
    if request is not None and record.awaits_second and status is Status.REQUESTED:
        says = f"{request.by.id} asks for a refund of {request.amount}: another person must approve it."
        if is_erased(request.by):
            says = (
                f"Somebody whose name was erased asks for a refund of {request.amount}. Nobody can be told apart "
                "from them, so nobody can approve it: deny it, and quote anew if it is still owed."
            )
        yield Attention(
            subject=record.id, code="second_person", choices=(Choice.DENIED,), move=Move.STAFF, says=says
        )
    if record.alarm is not None and status in (Status.REQUESTED, Status.IN_DOUBT):
        yield Attention(
            subject=record.id,
            code=f"alarm_{record.alarm}",
            choices=(Choice.KEEP_LOOKING,),
            move=Move.HOST,
            says=f"Sending stopped ({record.alarm}): mend the set-up, then go on.",
        )


def _as_it_stands(ledger: Ledger, record: RefundRecord, status: Status) -> Iterator[Attention]:
    match status:
        case Status.FAILED | Status.CANCELED:
            yield _after_failure(ledger, record, status)
            if _was_passed_on(ledger, record):
                yield _note(record.id, PULLED_FOR_NOTHING, _PULLED_BACK)
        case Status.NOT_MADE:
            yield _note(record.id, status, "This refund was never made; quote a new one if it is still owed.")
        case Status.DROPPED:
            says = "Nothing was sent: " + " ".join(str(reason) for reason in record.reasons)
            yield _note(record.id, status, says)
        case Status.DECLINED:
            codes = [claim.answer.code for claim in record.claims if isinstance(claim.answer, Declined)]
            yield _note(record.id, status, f"The gateway declined it ({', '.join(codes)}); nothing was made.")
        case Status.PENDING if (seen := shown(ledger, record)) is not None:
            if seen.refund.pending_reason == _FUNDS:
                yield _note(record.id, "waits_for_funds", _WAITS_FOR_FUNDS)
            if ledger.latest is not None and ledger.latest - seen.refund.created_at > PENDING_LONG:
                yield _note(record.id, "pending_long", _PENDING_LONG)
        case Status.REQUESTED | Status.IN_DOUBT | Status.PENDING | Status.SUCCEEDED:
            pass


def _after_failure(ledger: Ledger, record: RefundRecord, status: Status) -> Attention:
    after = next_step(ledger, record) or UNKNOWN_FAILURE
    return _note(record.id, f"{status}_{after.kind}" if after.kind else status, after.says)


def _of_payment(ledger: Ledger) -> Iterator[Attention]:
    if ledger.alarm is not None:
        yield Attention(
            subject="payment",
            code=f"look_alarm_{ledger.alarm}",
            choices=(Choice.KEEP_LOOKING,),
            move=Move.HOST,
            says=f"The gateway cannot be read ({ledger.alarm}): mend the set-up, then go on.",
        )
    payment = ledger.payment
    for seen in ledger.observed:
        record = next((r for r in ledger.refunds if r.id == seen.refund.mark), None)
        if record is not None and not is_shown_by(record, seen.refund):
            says = "A refund at the gateway carries our mark but another amount; somebody should look."
            yield _note(seen.refund.id, "mark_mismatch", says)
    for record in ledger.refunds:
        lives = [seen for seen in ledger.observed if seen.live and is_shown_by(record, seen.refund)]
        if len(lives) > 1:
            yield _note(record.id, "doubled", "The gateway shows this refund twice; somebody should look at once.")
    if payment is None:
        return
    outside = sum(record.amount.amount_minor for record in ledger.outside)
    listed, disputed = listed_minor(ledger), disputed_minor(payment)
    # Of what was never captured nothing can go back: what is listed there released a hold.
    if payment.captured.amount_minor and listed + outside + disputed > payment.captured.amount_minor:
        says = "More has gone back, or is disputed, than was captured."
        yield _note("payment", f"over_refunded_{listed + outside + disputed}", says)
    by_dispute: dict[str, list[Evidence]] = {}
    for each in evidence(ledger):
        by_dispute.setdefault(each.dispute.id, []).append(each)
    for dispute, found in by_dispute.items():
        # An inquiry that becomes a chargeback keeps its id: whoever has noted the one must be told of the other.
        word = "inquired" if found[0].dispute.status in INQUIRIES else "disputed"
        when = "while_pending" if all(each.pending for each in found) else "after_refund"
        yield _note(dispute, f"{word}_{when}", _disputed_though_refunded(found))


def _disputed_though_refunded(found: list[Evidence]) -> str:
    """What to answer the dispute or inquiry with, and what not yet."""
    done, waits = ([each for each in found if each.pending is pending] for pending in (False, True))
    says: list[str] = []
    if done:
        days = ", ".join(sorted({f"{each.refunded_at:%Y-%m-%d}" for each in done}))
        says.append(f"Disputed although refunded on {days}; send that as evidence: {_listed(done)}.")
    if waits:
        says.append(
            "Disputed while a refund is under way, which may fail for that; it is evidence only once it has "
            f"succeeded: {_listed(waits)}."
        )
    return " ".join(says)


def _listed(found: list[Evidence]) -> str:
    """A payment refunded in many parts names its first few."""
    more = f"; and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return "; ".join(map(str, found[:_MOST_NAMED])) + more


def _was_passed_on(ledger: Ledger, record: RefundRecord) -> bool:
    """Whether this refund pulled a transfer back: by what was sent; where that is lost, by its kind."""
    if record.claims:
        return isinstance(record.claims[-1].send.split, DestinationCharge)
    return ledger.payment is not None and ledger.payment.kind is ChargeKind.DESTINATION


def _holds_transfers(ledger: Ledger) -> bool:
    payment = ledger.payment
    if payment is None or payment.kind is not ChargeKind.SEPARATE:
        return False
    return any(transfer.left.amount_minor > 0 for transfer in payment.transfers)


def _note(subject: str, code: str, says: str) -> Attention:
    return Attention(subject=subject, code=code, choices=_NOTED, move=Move.STAFF, says=says)
