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
from refund_domain.decider.advice import FAILED, UNKNOWN_FAILURE, next_step
from refund_domain.decider.evidence import Evidence, evidence
from refund_domain.decider.ledger import (
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
from refund_domain.refusals import Move
from refund_domain.rules.eligibility import INQUIRIES, disputed_minor, listed_minor

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


def attention(ledger: Ledger) -> tuple[Attention, ...]:
    """All that waits for a person in this ledger and was not answered yet."""
    ever, since = _words(ledger.settled), _words(ledger.settled[ledger.answered :])
    waits = [item for item in answerable(ledger) if not _answers(since if _rests(item) else ever, item)]
    return tuple(_reminding(ever, item) if _rests(item) else item for item in waits)


_Words = Mapping[tuple[str, str], AttentionSettled]


def _words(settled: Iterable[AttentionSettled]) -> _Words:
    """By subject and matter the last word, which stands."""
    return {(done.subject, _matter(done.code)): done for done in settled}


def _answers(words: _Words, item: Attention) -> bool:
    """Whether the last word said on the item's matter was said of this very item, and was not to go on."""
    done = words.get((item.subject, _matter(item.code)))
    return done is not None and done.code == item.code and done.choice is not Choice.KEEP_LOOKING


def _reminding(ever: _Words, item: Attention) -> Attention:
    """The item, with a word of caution where advice on its matter was noted before, and perhaps followed."""
    done = ever.get((item.subject, _matter(item.code)))
    if done is None or done.choice is not Choice.NOTED:
        return item
    says = f"{item.says} Advice on this was noted on {done.at:%Y-%m-%d} already: pay nothing twice."
    return attrs.evolve(item, says=says)


def _rests(item: Attention) -> bool:
    """Whether the item rests on how the payment stood, as all advice on money that came back does: it is told anew
    once what is owed is shown otherwise."""
    return _matter(item.code) in (*FAILED, PULLED_FOR_NOTHING)


def _matter(code: str) -> str:
    """What a code is about: all advice on one failure is one matter, as advice that comes back is news again."""
    if code.startswith(PULLED_FOR_NOTHING):
        return PULLED_FOR_NOTHING
    word = code.partition("_")[0]
    return word if word in FAILED else code


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
        inquired, done = found[0].dispute.status in INQUIRIES, sum(not each.pending for each in found)
        match done:
            case 0:
                code = "inquired_while_pending" if inquired else "disputed_while_pending"
            case 1:
                code = "inquired_after_refund" if inquired else "disputed_after_refund"
            case _:  # each more that succeeds is evidence to be sent
                code = f"inquired_after_refunds_{done}" if inquired else f"disputed_after_refunds_{done}"
        yield _note(dispute, code, _disputed_though_refunded(found))


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


MATTERS: Final[dict[str, str]] = {
    NOT_SHOWN: "no complete look shows a refund that may have been made, and no time ends that doubt",
    "second_person": "a request waits for another person's word",
    "alarm_{alarm}": "sending stopped for a fault of the set-up",
    "look_alarm_{alarm}": "the payment cannot be read, for a fault of the set-up",
    "failed": "a refund failed: what to do by the gateway's reason, for the whole amount",
    "failed_owed_{amount}": "the same, and no more than this (in minor units) is left to give back",
    "failed_disputed": "it failed, and the client disputes the payment: answer the dispute, never refund it again",
    "failed_under_way": "it failed, and another refund of ours holds the money: pay nothing beside it",
    "failed_given_back": "it failed, and another refund of ours gave the money back: pay nothing beside it",
    "failed_tried_again": "it failed, and so did another try since: what is owed stands there, and only there",
    "failed_figures_differ": "it failed, and the payment's own figure says that more went back: pay nothing yet",
    "failed_nothing_left": "it failed, and the money went back by other ways",
    "failed_never_received": "it failed as the debit itself did: nothing is owed",
    "transfer_pulled_back": "a refund failed after the transfer of a destination charge was pulled back for it",
    "transfer_pulled_back_{amount}": "the same of a separate charge's transfer, and how much of it was too much",
    "transfer_not_reversed": "a refund stands, and a transfer that was to pay for it did not come back",
    "transfers_unknown": "a refund was sent before its payment's transfers were known, or its journal was lost",
    "waits_for_funds": "a refund waits until the gateway's balance holds enough",
    "pending_long": f"a refund is under way for more than {PENDING_LONG.days} days",
    "declined": "the gateway said no: nothing was made",
    "dropped": "a rule said no before anything was sent",
    "not_made": "a refund was never made",
    "adopted_after_{status}": "a refund that was held to be this exists after all: check what was repaid",
    "doubled": "the gateway shows one refund twice",
    "mark_mismatch": "a refund at the gateway carries our mark and another amount",
    "over_refunded_{amount}": "more has gone back, or is disputed, than was captured (together, in minor units)",
    "disputed_after_refund": "a payment was disputed though a refund of it succeeded: the evidence",
    "disputed_after_refunds_{count}": "the same with so many of them: the evidence",
    "disputed_while_pending": "it was disputed while a refund is under way, which is no evidence yet",
    "inquired_after_refund": "the bank inquires after a payment that was refunded: the evidence",
    "inquired_after_refunds_{count}": "the same with so many of them: the evidence",
    "inquired_while_pending": "it inquires while a refund is under way, which is no evidence yet",
    UNREADABLE.code: "a newer worker wrote what this one does not know",
    DAMAGED.code: "an event of the payment is missing in the journal",
}
"""By code, when an item stands in the list. Each `failed` has its like with `canceled`."""

ALARMS: Final[dict[str, str]] = {
    "clock": "the journal's clock fell back by more than the policy's skew",
    "not_found": "the gateway does not know the payment that is to be looked at",
    "unreadable": "the payment could not be read for long, or not when its doubt was to end",
    "odd_look": "the gateway's `look` gave another payment, or what is no look",
    "odd_answer": "the gateway's `send` gave what is no answer",
    "not_our_refund": "what the gateway's `send` says was made is not the refund that was asked for",
    "not_our_reversal": "what it says was made is not the reversal that was asked for",
}
"""The alarms that the core itself raises; a gateway has its own beside them (Stripe facts, "Alarms")."""
