"""One stream as a service holds it between two calls of its journal; the steps both services share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import attrs

from refund_domain.answers import (
    Accepted,
    Answer,
    Ask,
    Declined,
    Look,
    Missing,
    NotSent,
    OutcomeUnknown,
    Picture,
    Reversed,
    Send,
    Unread,
)
from refund_domain.decider.attention import Attention, attention
from refund_domain.decider.inputs import GatewayAnswered, LegReplied
from refund_domain.decider.ledger import EMPTY, Ledger, Status, evolve, fold, shown, status_of
from refund_domain.decider.pulling import LegState, state_of
from refund_domain.errors import JournalUnavailable
from refund_domain.events import Event, LegAnswered, LegClaimed, SendAnswered, SendClaimed
from refund_domain.payments import AnyPayment, PaymentRef
from refund_domain.ports import Head, Loaded
from refund_domain.refusals import Refused
from refund_domain.signals import Signal
from refund_domain.views import PaymentView

MOST_CONFLICTS: Final = 100
"""How often one input is decided again because others appended first."""

MOST_LOOKS: Final = 5
"""How many looks one call makes at most; the rest is recovery's."""

CLOCK_FELL_BACK: Final = (
    "the journal's clock is further behind the latest time it knows of than clocks may lie apart "
    "(Policy.clock_skew): nothing was decided; set it right. If it is right and one before it ran ahead, nothing "
    "can be decided until that time has come"
)

OVERTAKEN: Final = "other looks at this payment kept showing something else; nothing was decided, try again"

_PRIME, _ROOT = (1 << 31) - 1, 16_807
"""A prime and a primitive root of it: the root's powers lie as if scattered, even those of ids that follow."""

SEND_ANSWERS: Final = (Accepted, Declined, NotSent, OutcomeUnknown)
LEG_ANSWERS: Final = (Reversed, Declined, NotSent, OutcomeUnknown)
LOOKS: Final = (Picture, Unread, Missing)


Decided = tuple[Event, ...] | Refused
"""What was decided: the events to append, or the reasons why there are none."""


@attrs.frozen
class Stream:
    """A stream as last read or appended to: its ledger, version, and the journal's time.

    `latest` is the latest time known of. The journal told `now` at some moment between the monotonic `asked_at`
    and `told_at`: a process may stand still before and after it. What must not seem too young is counted from the
    one, and how far a clock must have come at least from the other.
    """

    ref: AnyPayment
    ledger: Ledger
    version: int
    now: datetime
    latest: datetime
    asked_at: float
    told_at: float

    def now_after(self, monotonic: float) -> datetime:
        """The journal's time at this monotonic moment, as far as this worker can tell."""
        return self.now + timedelta(seconds=max(0.0, monotonic - self.told_at))

    @property
    def seen_from(self) -> datetime:
        """When a look that begins now counts as having seen: after all that the stream holds, for that was
        written before it began. A clock that went back would let it lose to what is older.
        """
        latest = self.ledger.latest
        return self.now if latest is None else max(self.now, latest)

    def at_least(self, at: datetime, started: float, monotonic: float) -> datetime:
        """The journal's time now, and no earlier than `at` plus what has passed since `started`.

        Two clocks bound the age of a claim: one that jumped back cannot make it look young.
        """
        return max(self.now_after(monotonic), at + timedelta(seconds=monotonic - started))


@attrs.frozen(kw_only=True)
class Waiting:
    """A payment for which people are waited for, and what for."""

    payment: PaymentRef
    items: tuple[Attention, ...]


@attrs.frozen(kw_only=True)
class Recovery:
    """What one run of `recover` did: how many payments it went on with, and which broke on what error.

    `looked` counts what this worker did: what another did first is the other's.
    """

    looked: int
    failed: tuple[tuple[PaymentRef, str], ...] = ()


@attrs.frozen(kw_only=True)
class Merged:
    """The signal's payment is known: it was looked at, and `view` is how it stands now.

    `news` says whether the look told anything new; a signal that comes twice brings none the second time.
    """

    signal: Signal
    view: PaymentView
    news: bool


@attrs.frozen(kw_only=True)
class Handed:
    """Nobody has quoted the signal's payment yet, so it has no owner: nothing was stored, and it is the host's.

    `picture` is what the look showed. To take the payment in, let somebody who may quote it. A quote that was
    being made meanwhile may show what was before; the next look, or a reconciliation of the day, shows what is.
    """

    signal: Signal
    picture: Picture


@attrs.frozen(kw_only=True)
class Reported:
    """There was nothing to look at; `why` says what is missing. Log it."""

    signal: Signal
    why: str


Received = Merged | Handed | Reported
"""What became of a signal."""


def opened(ref: AnyPayment, loaded: Loaded, asked_at: float, told_at: float) -> Stream:
    """The stream as a journal first gave it."""
    return Stream(ref, fold(EMPTY, loaded.events), loaded.version, loaded.now, loaded.latest, asked_at, told_at)


def caught_up(stream: Stream, loaded: Loaded, asked_at: float, told_at: float) -> Stream:
    """The stream with what others appended meanwhile; folds on instead of from zero.

    Raises `JournalUnavailable` where the journal has fewer events than it had: restored, or read from a copy
    that lags. Nothing may be decided on either.
    """
    if loaded.version < stream.version:
        raise JournalUnavailable("the journal went back: it was restored or lags behind; nothing was decided")
    ledger = fold(stream.ledger, loaded.events)
    latest = _come_to(stream, loaded.latest, asked_at)
    return Stream(stream.ref, ledger, loaded.version, loaded.now, latest, asked_at, told_at)


def appended(stream: Stream, ledger: Ledger, count: int, now: datetime, asked_at: float, told_at: float) -> Stream:
    """The stream after our own append of `count` events."""
    latest = _come_to(stream, now, asked_at)
    return Stream(stream.ref, ledger, stream.version + count, now, latest, asked_at, told_at)


def _come_to(stream: Stream, latest: datetime, asked_at: float) -> datetime:
    """The latest time known of, no earlier than what has passed since the last was told: a clock that fell back
    meanwhile is behind it, though nobody has written anything later down."""
    return max(latest, stream.latest + timedelta(seconds=max(0.0, asked_at - stream.told_at)))


def head(ledger: Ledger) -> Head:
    """What the journal indexes of this ledger."""
    return Head(
        tenant=ledger.tenant or "",
        look_at=ledger.due,
        waiting=bool(attention(ledger)),
        doubt_since=doubt_since(ledger),
    )


def doubt_since(ledger: Ledger) -> datetime | None:
    """Since when the oldest call stands whose outcome nobody knows: a refund's first such send, or the first such
    reversal of one of its legs. None without any."""
    doubts = [record for record in ledger.refunds if status_of(ledger, record) is Status.IN_DOUBT]
    sends = [claim.at for record in doubts for claim in record.claims if claim.open]
    legs = [
        leg.doubted_since
        for record in ledger.refunds
        for leg in record.legs
        if leg.doubted_since is not None and state_of(ledger, record, leg) is LegState.IN_DOUBT
    ]
    return min((*sends, *legs), default=None)


def may_have_left(ledger: Ledger) -> bool:
    """Whether a refund of ours may be at the gateway: it is shown there, or a send may have been executed."""
    return any(record.doubted_since is not None or shown(ledger, record) is not None for record in ledger.refunds)


def dealt(refs: Sequence[PaymentRef], order: str) -> list[PaymentRef]:
    """These in an order that follows from `order`, an id: workers that were dealt the same refs seldom meet.

    >>> refs = [PaymentRef("platform", f"ch_{number}") for number in range(5)]
    >>> [ref.charge for ref in dealt(refs, "id-1")]
    ['ch_2', 'ch_1', 'ch_4', 'ch_0', 'ch_3']
    >>> [ref.charge for ref in dealt(refs, "id-2")]
    ['ch_3', 'ch_0', 'ch_4', 'ch_1', 'ch_2']
    """
    step = pow(_ROOT, int.from_bytes(order.encode()), _PRIME)
    places = sorted(range(len(refs)), key=lambda place: (place + 1) * step % _PRIME)
    return [refs[place] for place in places]


def claim_in(said: tuple[Event, ...] | Refused) -> SendClaimed | LegClaimed | None:
    """The claim among what was just decided and appended, if there is one."""
    events = () if isinstance(said, Refused) else said
    return next((event for event in events if isinstance(event, (SendClaimed, LegClaimed))), None)


def answered_with(claim: SendClaimed | LegClaimed, at: datetime, answer: Answer) -> GatewayAnswered | LegReplied:
    """This answer to the call that this claim licensed, as an input."""
    match claim:
        case SendClaimed(send=send):
            return GatewayAnswered(at=at, refund_id=send.refund_id, claim=send.claim, answer=answer)
        case LegClaimed(reversal=asked):
            return LegReplied(
                at=at, refund_id=asked.refund_id, transfer=asked.transfer, claim=asked.claim, answer=answer
            )


def in_doubt(stream: Stream, given: GatewayAnswered | LegReplied) -> Stream:
    """The stream as a caller is shown it when the answer could not be written down: the open claim on disk
    is the record, and recovery will look."""
    unknown = OutcomeUnknown(why="the answer could not be written down")
    answered = (
        SendAnswered(at=given.at, refund_id=given.refund_id, claim=given.claim, answer=unknown)
        if isinstance(given, GatewayAnswered)
        else LegAnswered(
            at=given.at, refund_id=given.refund_id, transfer=given.transfer, claim=given.claim, answer=unknown
        )
    )
    return attrs.evolve(stream, ledger=evolve(stream.ledger, answered))


def named(error: BaseException) -> str:
    """An exception's class, for people; its text may hold what must not be shown."""
    name = type(error).__name__[:80]
    return name if name.isprintable() and name else "Exception"


def read_as(look: object, ref: PaymentRef) -> Look:
    """What a gateway's look amounts to: a picture of another payment, or no look at all, decides nothing."""
    if isinstance(look, Picture) and look.payment.ref != ref:
        return Unread(why="the gateway showed another payment", alarm="odd_look")
    return look if isinstance(look, LOOKS) else Unread(why="the gateway returned no look", alarm="odd_look")


def answered_as(answer: object, asked: Ask) -> Answer:
    """What a gateway's answer amounts to: whatever is no answer to what was asked leaves the outcome unknown."""
    if isinstance(answer, SEND_ANSWERS if isinstance(asked, Send) else LEG_ANSWERS):
        return answer
    return OutcomeUnknown(why="the gateway returned no answer", resend=False, alarm="odd_answer")
