"""The legs of a refund as the journal knows them: what each pulls back, what was claimed, what came of it.

A separate charge's refund is one call and each of its legs another, with claims, ids and answers of its own. Here
is what the events amount to; `pulling` decides what comes next. Nothing here is ever the refund's own status.
"""

from __future__ import annotations

from datetime import datetime

import attrs

from refund_domain.answers import Declined, LegAnswer, NotSent, OutcomeUnknown, Reversal, Reversed
from refund_domain.connect import Leg, SeparateCharge, Split, TransferReversal
from refund_domain.events import LegAnswered, LegClaimed, LegNotMade, LegObserved


@attrs.frozen
class LegClaim:
    """One licensed reversal: exactly what it asks for, when it was claimed, what came back (None: in doubt)."""

    reversal: Reversal
    at: datetime
    answer: LegAnswer | None = None

    @property
    def open(self) -> bool:
        """Whether this call may have reversed, or may yet reverse, what nobody has shown us."""
        return self.answer is None or isinstance(self.answer, OutcomeUnknown)


@attrs.frozen
class LegRecord:
    """One leg of one refund: its plan and its claims.

    The plan is fixed by the first claim of the refund that may have been executed.
    `made` is the reversal that did it, `not_made` the last attempt that time has ended, `urged` whether a person
    has said "go on" since it was last asked for.
    """

    leg: Leg
    claims: tuple[LegClaim, ...] = ()
    made: TransferReversal | None = None
    not_made: int = 0
    urged: bool = False

    @property
    def attempts(self) -> int:
        """How many attempts there have been, the last included."""
        return self.claims[-1].reversal.attempt if self.claims else 0

    @property
    def tries(self) -> tuple[LegClaim, ...]:
        """The claims of the last attempt; none once it is over: the next has an id of its own."""
        tries = tuple(claim for claim in self.claims if claim.reversal.attempt == self.attempts)
        declined = any(isinstance(claim.answer, Declined) for claim in tries)
        over = self.attempts <= self.not_made or (declined and not any(claim.open for claim in tries))
        return () if over else tries

    @property
    def doubted_since(self) -> datetime | None:
        """The first claim of this attempt not answered NotSent: the age of its key runs from here."""
        return next((claim.at for claim in self.tries if not isinstance(claim.answer, NotSent)), None)

    @property
    def declined(self) -> bool:
        """Whether the gateway has said no to a claim of this attempt, while another is in doubt."""
        return any(isinstance(claim.answer, Declined) for claim in self.tries)

    @property
    def burnt(self) -> bool:
        """Whether an answer of this attempt said that asking under its id again is of no use."""
        return any(isinstance(claim.answer, OutcomeUnknown) and not claim.answer.resend for claim in self.tries)

    @property
    def alarm(self) -> str | None:
        """What the last answer asks a person to mend."""
        answer = self.claims[-1].answer if self.claims else None
        return None if answer is None or isinstance(answer, Reversed) else answer.alarm

    def shows(self, reversal: TransferReversal) -> bool:
        """Whether this reversal is one that was claimed for this leg: our mark, and the amount agrees."""
        asked = [claim.reversal for claim in self.claims]
        return any((reversal.mark, reversal.amount) == (one.id, one.amount) for one in asked)


Legs = tuple[LegRecord, ...]


def planned(split: Split) -> Legs:
    """The legs of a refund that is claimed with this split."""
    return tuple(LegRecord(leg) for leg in split.legs) if isinstance(split, SeparateCharge) else ()


def subject_of(refund_id: str, record: LegRecord) -> str:
    """What `settle` knows this leg of this refund by."""
    return f"{refund_id}:{record.leg.transfer}"


def leg_of(legs: Legs, transfer: str) -> LegRecord | None:
    """The leg about this transfer, if there is one."""
    return next((record for record in legs if record.leg.transfer == transfer), None)


LegEvent = LegClaimed | LegAnswered | LegObserved | LegNotMade
"""What can happen to a leg."""


def after(record: LegRecord, event: LegEvent) -> LegRecord:
    """The leg after this event of it."""
    match event:
        case LegClaimed():
            claim = LegClaim(event.reversal, event.at)
            return attrs.evolve(record, claims=(*record.claims, claim), urged=False)
        case LegAnswered():
            return answered(record, event.claim, event.answer)
        case LegObserved():
            return attrs.evolve(record, made=record.made or event.reversal)
        case LegNotMade():
            return attrs.evolve(record, not_made=max(record.not_made, event.attempt))


def urged(refund_id: str, legs: Legs, subject: str) -> Legs:
    """The legs of this refund, the one that this subject names to be asked for again."""
    return tuple(attrs.evolve(leg, urged=True) if subject_of(refund_id, leg) == subject else leg for leg in legs)


def answered(record: LegRecord, number: int, answer: LegAnswer) -> LegRecord:
    """The leg with this answer to the claim of this number; a yes is the reversal that did it."""
    claims = tuple(
        LegClaim(claim.reversal, claim.at, answer) if claim.reversal.claim == number else claim
        for claim in record.claims
    )
    made = record.made or (answer.reversal if isinstance(answer, Reversed) else None)
    return attrs.evolve(record, claims=claims, made=made)
