"""Histories of one payment, told through `decide` and `evolve` alone, so that only reachable ledgers are met."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

import attrs

from refund_domain.answers import Accepted, Answer, Declined, Look, OutcomeUnknown, Picture
from refund_domain.commands import Actor, ApproveRefund, Choice, IssueRefund, Reason
from refund_domain.connect import Transfer
from refund_domain.decider.decide import Events, decide
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
from refund_domain.decider.ledger import EMPTY, Ledger, RefundRecord, Status, fold, record_of, status_of
from refund_domain.events import (
    Event,
    OutsideRecorded,
    PaymentSeen,
    RefundDropped,
    RefundNotMade,
    RefundObserved,
    RefundRequested,
    SendAnswered,
    SendClaimed,
)
from refund_domain.money import Currency, Money
from refund_domain.payments import AnyPayment, ChargeKind, GatewayRefund, Payment, PaymentRef
from refund_domain.policy import Policy
from refund_domain.refusals import Refused
from refund_domain.rules.eligibility import refundable

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
POLICY = Policy()
REF = PaymentRef("platform", "ch_1")
USD = Currency.of("USD")
MARIA = Actor(id="maria", tenant="acme")
OMAR = Actor(id="omar", tenant="acme")
STRANGER = Actor(id="sam", tenant="zenith")
WHOLE = 200_00
LIVE_WORDS = ("pending", "requires_action", "succeeded", "a_new_word")
DEAD_WORDS = ("failed", "canceled")


def usd(minor: int) -> Money:
    """So many cents."""
    return Money(minor, USD)


def card(captured_minor: int = WHOLE, *, given_back_minor: int = 0) -> Payment:
    """A settled card payment of $200, a day old; other facts by `attrs.evolve`."""
    return Payment(
        ref=REF,
        method="card",
        captured=usd(captured_minor),
        given_back=usd(given_back_minor),
        taken_at=START - DAY,
    )


def separate(*minors: int) -> Payment:
    """The same card payment, of which transfers tr_1, tr_2 … of so much were passed on."""
    made = (
        Transfer(id=f"tr_{number}", amount=usd(minor), reversed=usd(0)) for number, minor in enumerate(minors, 1)
    )
    return attrs.evolve(card(), kind=ChargeKind.SEPARATE, transfers=tuple(made))


def refund(refund_id: str = "re_1", amount_minor: int = WHOLE, status: str = "pending") -> GatewayRefund:
    """A refund as the gateway shows it, without a mark; other facts by `attrs.evolve`."""
    return GatewayRefund(id=refund_id, amount=usd(amount_minor), status=status, created_at=START)


def kinds(said: Events | Refused) -> list[str]:
    """The class names of what was said."""
    return [type(one).__name__ for one in (said.reasons if isinstance(said, Refused) else said)]


def codes(said: Events | Refused) -> set[str]:
    """The codes of a refusal; what is none has no codes."""
    return {reason.code for reason in said.reasons} if isinstance(said, Refused) else set()


class Story:
    """One payment, its gateway and its journal, as a test tells them: what happens, then what it leads to.

    `payment` and `listed` are what a look would show now; `now` is the journal's time.
    """

    def __init__(self, payment: Payment | None = None, policy: Policy = POLICY) -> None:
        self.payment = card() if payment is None else payment
        self.policy = policy
        self.listed: dict[str, GatewayRefund] = {}
        self.now = START
        self.ledger: Ledger = EMPTY
        self.events: list[Event] = []

    def give(self, given: Input) -> Events | Refused:
        """Decide this input and append what it means."""
        said = decide(self.ledger, given, self.policy)
        if not isinstance(said, Refused):
            self.ledger = fold(self.ledger, said)
            self.events += said
        return said

    def wait(self, by: timedelta) -> Story:
        """Let time pass."""
        self.now += by
        return self

    def until_due(self) -> Story:
        """Let time pass to when a look is owed."""
        if self.ledger.due is None:
            raise LookupError("nothing is owed")
        self.now = max(self.now, self.ledger.due)
        return self

    def shows(self, *refunds: GatewayRefund) -> Story:
        """From now on the gateway lists these refunds, in the place of those with their ids."""
        self.listed |= {one.id: one for one in refunds}
        return self

    def picture(self) -> Picture:
        """A complete look at what there is now."""
        return Picture(payment=self.payment, refunds=tuple(self.listed.values()))

    def quote(
        self, *, tenant: str | None = "acme", at: datetime | None = None, overlaps: bool = False
    ) -> Events | Refused:
        """A look nobody owed; one that `overlaps` began before the last that showed the payment otherwise."""
        return self.give(
            FreeLook(at=at or self.now, picture=self.picture(), tenant=tenant, sightings=self._began(overlaps))
        )

    def _began(self, overlaps: bool) -> int:
        return max(0, self.ledger.sightings - overlaps)

    def request(
        self,
        refund_id: str = "r1",
        *,
        request_id: str | None = None,
        amount: Money | None = None,
        quoted_at: datetime | None = None,
        by: Actor = MARIA,
        reason: Reason = Reason.REQUESTED_BY_CUSTOMER,
    ) -> Events | Refused:
        """A person's decision; unless told otherwise for all that is left, by a quote of just now."""
        left = refundable(self.ledger)
        whole = left if left is not None and left.amount_minor else self.payment.captured
        command = IssueRefund(
            payment=REF,
            request_id=request_id or f"q-{refund_id}",
            amount=amount or whole,
            quoted_at=quoted_at or self.now,
            by=by,
            reason=reason,
        )
        return self.give(RequestRefund(at=self.now, refund_id=refund_id, command=command))

    def approve(self, refund_id: str = "r1", *, amount: Money | None = None, by: Actor = OMAR) -> Events | Refused:
        """A second person's word, on the amount that was requested if no other is given."""
        record = record_of(self.ledger, refund_id)
        asked = self.payment.captured if record is None or record.request is None else record.request.amount
        command = ApproveRefund(payment=REF, refund_id=refund_id, amount=amount or asked, by=by)
        return self.give(ApproveRequest(at=self.now, command=command))

    def look(
        self, look: Look | None = None, *, at: datetime | None = None, overlaps: bool = False
    ) -> Events | Refused:
        """An owed look, at what there is now if no other is given; `overlaps` as in `quote`."""
        latest = max(filter(None, (self.now, self.ledger.latest)))
        return self.give(
            OwedLook(
                at=at or self.now, latest=latest, look=look or self.picture(), sightings=self._began(overlaps)
            )
        )

    def answer(
        self, answer: Answer, *, claim: int | None = None, refund_id: str | None = None, at: datetime | None = None
    ) -> Events | Refused:
        """An answer to the last claim of the last refund, or of those named."""
        record = self.record(refund_id)
        number = len(record.claims) if claim is None else claim
        return self.give(GatewayAnswered(at=at or self.now, refund_id=record.id, claim=number, answer=answer))

    def leg_replies(
        self, answer: Answer, *, refund_id: str, transfer: str, claim: int, at: datetime | None = None
    ) -> Events | Refused:
        """An answer to a claim of one leg."""
        return self.give(
            LegReplied(at=at or self.now, refund_id=refund_id, transfer=transfer, claim=claim, answer=answer)
        )

    def outside(
        self,
        minor: int,
        record_id: str = "o1",
        *,
        ref: AnyPayment = REF,
        by: Actor = MARIA,
        amount: Money | None = None,
    ) -> Events | Refused:
        """A record of money given back by hand."""
        return self.give(
            RecordOutside(
                at=self.now, record_id=record_id, ref=ref, amount=amount or usd(minor), how="cash", by=by
            )
        )

    def settle(self, subject: str, code: str, choice: Choice, *, by: Actor = MARIA) -> Events | Refused:
        """A person's answer to what waits."""
        return self.give(SettleAttention(at=self.now, subject=subject, code=code, choice=choice, by=by))

    def claimed(self, refund_id: str = "r1") -> Story:
        """Quoted, requested, looked at and claimed, all of it now."""
        self.quote()
        self.request(refund_id)
        if "SendClaimed" not in kinds(self.look()):
            raise LookupError("no claim was made")
        return self

    def owe(self, at: datetime) -> Story:
        """Go to `at` with a look owed there: another's pending refund `re_news`, listed before, made news."""
        if self.ledger.due is None or self.ledger.due > at:
            old = self.listed["re_news"]
            word = "charge_pending" if old.pending_reason == "processing" else "processing"
            self.shows(attrs.evolve(old, pending_reason=word))
            self.quote(at=at - self.policy.poll_first)
        self.now = at
        return self

    def record(self, refund_id: str | None = None) -> RefundRecord:
        """Our refund with this id, or the last one."""
        if refund_id is None:
            return self.ledger.refunds[-1]
        found = record_of(self.ledger, refund_id)
        if found is None:
            raise LookupError(f"no refund {refund_id}")
        return found

    def status(self, refund_id: str | None = None) -> Status:
        """How that refund of ours stands."""
        return status_of(self.ledger, self.record(refund_id))

    def ours(
        self, refund_id: str = "r1", status: str = "succeeded", gateway_id: str | None = None
    ) -> GatewayRefund:
        """The refund the gateway makes of our request."""
        request = self.record(refund_id).request
        if request is None:
            raise LookupError("never requested")
        return GatewayRefund(
            id=gateway_id or f"re_{refund_id}",
            amount=request.amount,
            status=status,
            created_at=self.record(refund_id).claims[0].at if self.record(refund_id).claims else START,
            mark=refund_id,
        )


def standing(status: Status) -> Story:
    """A payment of which our refund r1 stands so, half an hour after it was requested."""
    story = Story()
    story.quote()
    story.request()
    match status:
        case Status.REQUESTED:
            return story
        case Status.DROPPED:
            story.wait(MINUTE).payment = attrs.evolve(story.payment, method="cheque")
            story.look()
            story.payment = card()
        case Status.DECLINED:
            story.look()
            story.answer(Declined(code="charge_not_refundable"))
        case Status.IN_DOUBT | Status.NOT_MADE:
            story.look()
            story.answer(OutcomeUnknown(why="timeout"))
            if status is Status.NOT_MADE:
                story.wait(story.policy.end_after)
                story.look()
        case Status.PENDING | Status.SUCCEEDED | Status.FAILED | Status.CANCELED:
            story.look()
            story.answer(Accepted(refund=story.ours(status="pending")))
            story.shows(story.ours(status=status)).wait(MINUTE)
            story.quote()
    if story.status() is not status:
        raise LookupError(f"meant to be {status}, is {story.status()}")
    return story.wait(30 * MINUTE)


# --- a second opinion, from the bare events, without the ledger ----------------------------------------------


def naive_left(history: Sequence[Event], *, without: str | None = None) -> int | None:
    """R3 worked out by hand from the journal; None where no payment was ever seen."""
    seen = [event for event in history if isinstance(event, PaymentSeen)]
    if not seen:
        return None
    payment = seen[-1].payment
    listed = {one.id: one for one in observations(history)}
    dead = {one.id for one in observations(history) if one.status in DEAD_WORDS}
    live = {name: one.amount.amount_minor for name, one in listed.items() if name not in dead}
    left = payment.captured.amount_minor - max(sum(live.values()), payment.given_back.amount_minor)
    for dispute in payment.disputes:
        if dispute.status not in ("won", "warning_closed", "prevented"):
            left -= dispute.amount.amount_minor
    for event in history:
        if isinstance(event, OutsideRecorded):
            left -= event.amount.amount_minor
        if isinstance(event, RefundRequested) and event.refund_id != without:
            marked = [one for one in listed.values() if one.mark == event.refund_id]
            counted = any(one.amount == event.amount or one.id in live for one in marked)
            if not counted and _believed_to_hold(history, event.refund_id):
                left -= event.amount.amount_minor
    return max(0, left)


def _believed_to_hold(history: Sequence[Event], refund_id: str) -> bool:
    """Whether a refund that is not listed keeps its amount: requested or in doubt."""
    answers: dict[int, str] = {}
    for event in history:
        match event:
            case RefundDropped() | RefundNotMade() if event.refund_id == refund_id:
                return False
            case SendClaimed() if event.send.refund_id == refund_id:
                answers[event.send.claim] = "open"
            case SendAnswered() if event.refund_id == refund_id:
                answers[event.claim] = type(event.answer).__name__
            case _:
                pass
    said = set(answers.values())
    return bool(said & {"open", "OutcomeUnknown"}) or "Declined" not in said


def observations(history: Sequence[Event]) -> list[GatewayRefund]:
    """Every refund the gateway showed, by looks and by answers, in the order of the journal."""
    shown: list[GatewayRefund] = []
    for event in history:
        if isinstance(event, RefundObserved):
            shown.append(event.refund)
        elif isinstance(event, SendAnswered) and isinstance(event.answer, Accepted):
            shown.append(event.answer.refund)
    return shown


def naive_status(words: Collection[str]) -> Status | None:
    """What a refund's words, in any order, amount to; None without any."""
    if not words:
        return None
    for final in (Status.CANCELED, Status.FAILED, Status.SUCCEEDED):
        if final in words:
            return final
    return Status.PENDING
