"""The legs of refunds in a simulated world: what each may ask for, what really came back, when all is at rest.

Judged by true time and the bank's truth, as everything: per transfer no more than was planned comes back by us, no
attempt twice, nothing before its refund, and no leg has a say in how its refund stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from refund_adapters.simulation.books import Book
from refund_domain.answers import NotSent, Picture, Reversal, Reversed
from refund_domain.connect import Leg
from refund_domain.decider.ledger import Ledger, RefundRecord, record_of, status_of
from refund_domain.decider.legs import LegRecord, leg_of
from refund_domain.decider.pulling import LegState, state_of
from refund_domain.events import Event, LegAnswered, LegClaimed, LegNotMade, LegObserved

if TYPE_CHECKING:
    from refund_adapters.simulation.invariants import Checker
    from refund_adapters.simulation.workers import Op
    from refund_adapters.simulation.world import World

OF_LEGS: Final = (LegClaimed, LegAnswered, LegObserved, LegNotMade)
_ENDED: Final = ("failed", "canceled")


def written(checker: Checker, op: Op, book: Book, event: Event, before: Ledger) -> None:
    """This event of a leg was committed; `before` is the ledger without it."""
    after = book.ledger
    if [status_of(after, record) for record in after.refunds] != [status_of(before, r) for r in before.refunds]:
        checker.broken("leg_status", f"{type(event).__name__} changed how a refund stands")
    if isinstance(event, LegClaimed):
        asked = event.reversal
        key = asked.refund_id, asked.transfer, asked.claim
        book.leg_claims[key] = (asked, op.id, checker.us)
        _may_claim(checker, op, before, asked)
    elif isinstance(event, LegAnswered):
        owner = book.leg_claims[event.refund_id, event.transfer, event.claim][1]
        if owner not in (op.id, -1):
            checker.broken("answer", f"op {op.id} answered op {owner}'s claim of a leg of {event.refund_id}")
    elif isinstance(event, LegObserved):
        checker.world.count("leg found by its mark")
    elif isinstance(event, LegNotMade):
        checker.world.count("leg ended by time")


def _may_claim(checker: Checker, op: Op, before: Ledger, asked: Reversal) -> None:
    """For a refund that exists and was not shown to have ended, for what is missing and left, once after a yes."""
    refunds = checker.world.bank.refunds(asked.payment)
    if not any(refund.mark == asked.refund_id for refund in refunds):
        checker.broken("leg_early", f"a leg of {asked.refund_id} is claimed, and there is no such refund")
    picture = op.picture
    if not isinstance(picture, Picture):
        checker.broken("unseen", f"op {op.id} claims a leg of {asked.refund_id} without a complete look")
        return
    if any(one.mark == asked.refund_id and one.status in _ENDED for one in picture.refunds):
        checker.broken("leg_late", f"a leg of {asked.refund_id} is claimed, which was shown to have ended")
    record = record_of(before, asked.refund_id)
    leg = None if record is None else leg_of(record.legs, asked.transfer)
    if leg is None:
        checker.broken("leg_amount", f"{asked.refund_id} has no leg of {asked.transfer}")
        return
    if any(isinstance(claim.answer, Reversed) for claim in leg.claims):
        checker.broken("leg_again", f"{asked.transfer} is pulled back again for {asked.refund_id} after a yes")
    missing = _missing(leg.leg, picture)
    if asked.amount.amount_minor != missing:
        checker.broken(
            "leg_amount", f"{asked.amount} of {asked.transfer} are claimed, where {missing} are missing"
        )


def _missing(leg: Leg, picture: Picture) -> int:
    """By the look alone: the plan less what others pulled back since, at most what is left."""
    for transfer in picture.payment.transfers:
        if transfer.id == leg.transfer:
            unmarked = sum(each.amount.amount_minor for each in transfer.reversals if each.mark is None)
            since = max(0, unmarked - leg.by_hand.amount_minor)
            left = transfer.amount.amount_minor - transfer.reversed.amount_minor
            return min(left, leg.amount.amount_minor - since)
    return 0


def licensed(checker: Checker, op: Op, book: Book, asked: Reversal) -> None:
    """The operation is about to ask for a reversal: by its own young claim, exactly that, once, in time."""
    key = asked.refund_id, asked.transfer, asked.claim
    checker.world.count("leg asked for" if asked.attempt == 1 else "leg asked for in a later attempt")
    claim = book.leg_claims.get(key)
    if claim is None:
        checker.broken("unclaimed", f"op {op.id} asks for {key} without a claim in the journal")
        return
    claimed, owner, at_us = claim
    if owner not in (op.id, -1):
        checker.broken("unclaimed", f"op {op.id} asks on claim {key} of op {owner}")
    if key in book.sent:
        checker.broken("unclaimed", f"claim {key} is asked for twice")
    book.sent.add(key)
    if claimed != asked:
        checker.broken("unclaimed", f"op {op.id} asks for something else than it claimed by {key}")
    if checker.us - at_us > checker.world.licence_us:
        checker.broken("licence", f"claim {key} is asked for {(checker.us - at_us) / 1e6:.0f} s after its append")
    _in_time(checker, book, asked)


def _in_time(checker: Checker, book: Book, asked: Reversal) -> None:
    """An id goes again within 22 hours of its attempt's first doubt only, give or take what clocks differ."""
    record = record_of(book.ledger, asked.refund_id)
    leg = None if record is None else leg_of(record.legs, asked.transfer)
    for claim in () if leg is None else leg.claims:
        if claim.reversal.attempt == asked.attempt and not isinstance(claim.answer, NotSent):
            key = asked.refund_id, asked.transfer, claim.reversal.claim
            age_us = checker.us - book.leg_claims[key][2]
            if age_us > checker.world.resend_us:
                checker.broken("too_late", f"{asked.id} is asked for {age_us / 3.6e9:.1f} h after its first claim")
            return


def moved(checker: Checker, book: Book, transfers: tuple[str, ...]) -> None:
    """The bank may have reversed something: per transfer and refund no more than planned, no attempt twice."""
    for transfer in transfers:
        marks: list[str] = []
        sums: dict[str, int] = {}
        for back in checker.world.bank.connect.reversals(transfer):
            if back.mark is None:
                continue
            marks.append(back.mark)
            asked = next((asked for asked, _, _ in book.leg_claims.values() if asked.id == back.mark), None)
            if asked is None or asked.transfer != transfer:
                checker.broken("unclaimed", f"{back.id} came back of {transfer} without a claim in the journal")
                continue
            sums[asked.refund_id] = sums.get(asked.refund_id, 0) + back.amount.amount_minor
        if len(marks) != len(set(marks)):
            checker.broken("leg_doubled", f"one reversal of {transfer} was made more than once: {sorted(marks)}")
        for refund_id, minor in sums.items():
            record = record_of(book.ledger, refund_id)
            leg = None if record is None else leg_of(record.legs, transfer)
            planned = 0 if leg is None else leg.leg.amount.amount_minor
            if minor > planned:
                checker.broken("leg_doubled", f"{minor} of {transfer} came back for {refund_id}, not {planned}")


def restless(world: World, ledger: Ledger, record: RefundRecord) -> str | None:
    """Why the legs of this refund are not at rest yet, or None: all that the bank made are known, none is owed."""
    for leg in record.legs:
        state = state_of(ledger, record, leg)
        if state in (LegState.OWED, LegState.IN_DOUBT, LegState.PLANNED):
            return f"the leg {leg.leg.transfer} of {record.id} is {state}"
        truth = [back.id for back in world.bank.connect.reversals(leg.leg.transfer) if _ours(leg, back.mark)]
        known = [] if leg.made is None else [leg.made.id]
        if truth != known and state is not LegState.ELSEWHERE:
            return f"{truth} came back of {leg.leg.transfer} for {record.id}, and known is {known}"
    return None


def _ours(leg: LegRecord, mark: str | None) -> bool:
    return any(claim.reversal.id == mark for claim in leg.claims)
