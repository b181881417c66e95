"""Named mutants: the library with one thing wrong, each of which the simulator must find.

`python -m tests.simulation.mutants [NAME …]` says for each how many seeds it took and which invariant broke.
A rule kept in two places is mutated in both, and the name says so; what then still survives is named at the end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from typing import Any, Final
from unittest.mock import patch

import attrs

from refund_adapters.memory import gateway as memory_gateway
from refund_adapters.simulation.books import Violation
from refund_adapters.simulation.modes import MODES
from refund_adapters.simulation.run import run_seed
from refund_domain import quotes
from refund_domain.answers import Answer, Declined, Missing, NotSent, OutcomeUnknown, Picture, Send, Unread
from refund_domain.connect import PLATFORM, ChargeKind, DestinationCharge, DirectCharge, PlatformCharge
from refund_domain.decider import decide, doubt, ledger, legs, pulling, rhythm
from refund_domain.decider.doubt import Step, Verdict, Zone
from refund_domain.decider.inputs import (
    ApproveRequest,
    FreeLook,
    GatewayAnswered,
    OwedLook,
    RecordOutside,
    RequestRefund,
    SettleAttention,
)
from refund_domain.decider.ledger import Status
from refund_domain.errors import GatewayUnreadable
from refund_domain.events import (
    AllowanceTaken,
    LegClaimed,
    LookScheduled,
    PaymentSeen,
    RefundApproved,
    SendClaimed,
)
from refund_domain.money import Money
from refund_domain.operations import reconcile
from refund_domain.operations.feeds import FeedPage
from refund_domain.payments import PaymentRef
from refund_domain.refusals import AmountChanged, Disputed, Refused
from refund_domain.rules import eligibility as rules
from refund_domain.service import allowance, loop_async
from refund_domain.service.refunds_async import AsyncRefundService
from refund_domain.service.stream import Handed, Merged, Reported, answered_with, appended, claim_in, in_doubt
from refund_domain.service.stream import head as stream_head
from refund_domain.signals import Subject

Apply = Callable[[], AbstractContextManager[object]]

TOLD: Final = "cap-off-webhooks"
RECONCILED: Final = "cap-off-reconciled"
GUARDED: Final = "cap-off-guarded"
APART: Final = "cap-off-separate"
STEPS: Final = 300
"""How many steps a seed runs under faults."""


@attrs.frozen(kw_only=True)
class Mutant:
    """One thing wrong. Killed in `mode` within `seeds` seeds from 0, by one of the invariants `by`."""

    name: str
    apply: Apply
    seeds: int
    by: tuple[str, ...]
    mode: str = "cap-off"
    deaf: tuple[str, ...] = ()


@contextmanager
def swapped(*pairs: tuple[object, object]) -> Iterator[None]:
    """Every name in the library that is bound to the first of a pair is bound to the second meanwhile."""
    with ExitStack() as stack:
        for old, new in pairs:
            for name, module in tuple(sys.modules.items()):
                if not name.startswith(("refund_domain", "refund_adapters")):
                    continue
                for attribute, value in tuple(vars(module).items()):
                    if value is old:
                        stack.enter_context(patch.object(module, attribute, new))
        yield


def swap(old: object, new: object) -> Apply:
    """A mutant that is one function replaced by another, wherever it was imported."""
    return lambda: swapped((old, new))


def method(name: str, new: object) -> Apply:
    """A mutant that is another method of the service."""
    return lambda: patch.object(AsyncRefundService, name, new)


def step(rows: dict[tuple[Zone, Verdict], Step]) -> Apply:
    """A mutant that is other rows in the table of doubt."""
    return lambda: patch.dict(doubt.STEPS, rows)


# --- the key, the mark, the answer ---------------------------------------------------------------------


def _keyed(key: Callable[[Send], str | None]) -> Apply:
    """The adapter sends another key than the refund's id."""

    def execute(bank: Any, send: Send, breaks: Any) -> Any:
        where, amount = send.payment, send.amount.amount_minor
        mark, reason = send.refund_id, send.reason.value
        return bank.refund(
            where.account, where.charge, amount, key=key(send), mark=mark, reason=reason, breaks=breaks
        )

    def later(bank: Any, send: Send, delay: timedelta) -> None:
        where, amount = send.payment, send.amount.amount_minor
        mark, reason = send.refund_id, send.reason.value
        bank.refund_later(delay, where.account, where.charge, amount, key=key(send), mark=mark, reason=reason)

    return lambda: swapped((memory_gateway._execute, execute), (memory_gateway._execute_later, later))


def _answering(change: Callable[[Answer], Answer]) -> Apply:
    """The adapter reads the gateway's answer wrongly."""
    real = memory_gateway.send_to
    return swap(real, lambda bank, send, planned=None: change(real(bank, send, planned)))


def _timeout_is_no(answer: Answer) -> Answer:
    return Declined(code="timeout") if isinstance(answer, OutcomeUnknown) and answer.resend else answer


def _timeout_is_not_sent(answer: Answer) -> Answer:
    return NotSent(why="timeout") if isinstance(answer, OutcomeUnknown) and answer.resend else answer


def _broken_is_no(answer: Answer) -> Answer:
    return Declined(code="http_500") if isinstance(answer, OutcomeUnknown) and not answer.resend else answer


# --- the claim --------------------------------------------------------------------------------------------


async def _sends_before_append(self: Any, stream: Any, ref: PaymentRef, watch: Any = None) -> Any:
    at = stream.now
    look = await self._look(ref)
    given = OwedLook(
        at=at, latest=stream.latest, look=look, sightings=stream.ledger.sightings, seen_at=stream.seen_from
    )
    said = _real_decide(stream.ledger, given, self._policy)
    claim = None if isinstance(said, Refused) else claim_in(said)
    answer = None if claim is None else await self._send(_asked_by(claim))
    stream, said = await self._record(stream, given)
    if claim is None or answer is None:
        return stream
    return (await self._record(stream, answered_with(claim, stream.now, answer)))[0]


def _asked_by(claim: SendClaimed | LegClaimed) -> Any:
    return claim.send if isinstance(claim, SendClaimed) else claim.reversal


async def _advance(self: Any, stream: Any, ref: PaymentRef, *, at_end: bool = False, drop: bool = False) -> Any:
    """The service's own step with one thing wrong."""
    started, at = self._monotonic(), stream.now
    look = await self._look(ref)
    if at_end:
        started, at = self._monotonic(), stream.now_after(self._monotonic())
    stream, said = await self._record(
        stream,
        OwedLook(
            at=at, latest=stream.latest, look=look, sightings=stream.ledger.sightings, seen_at=stream.seen_from
        ),
    )
    claim = None if isinstance(said, Refused) else claim_in(said)
    if claim is None or isinstance(said, Refused):
        return stream
    send = decide.licensed(said, stream.at_least(at, started, self._monotonic()), self._policy)
    answer = NotSent(why="the licence to send had run out") if send is None else await self._send(send)
    given = answered_with(claim, stream.now, answer)
    if drop:
        said = _real_decide(stream.ledger, given, self._policy)
        if isinstance(said, Refused) or not said:
            return stream
        after, asked_at = ledger.fold(stream.ledger, said), self._monotonic()
        try:
            now = await self._journal.append(ref, said, expected=stream.version, head=stream_head(after))
        except Exception:
            return in_doubt(stream, given)
        return appended(stream, after, len(said), now, asked_at, self._monotonic())
    try:
        return (await self._record(stream, given))[0]
    except Exception:
        return in_doubt(stream, given)


async def _look_at_end(self: Any, stream: Any, ref: PaymentRef, watch: Any = None) -> Any:
    return await _advance(self, stream, ref, at_end=True)


async def _drops_answer(self: Any, stream: Any, ref: PaymentRef, watch: Any = None) -> Any:
    return await _advance(self, stream, ref, drop=True)


async def _anothers_claim(self: Any, stream: Any, ref: PaymentRef, watch: Any = None) -> Any:
    """Whoever sees an open claim sends on it."""
    for record in stream.ledger.refunds:
        for claim in record.claims:
            if claim.answer is None and ledger.shown(stream.ledger, record) is None:
                answer = await self._send(claim.send)
                given = GatewayAnswered(at=stream.now, refund_id=record.id, claim=claim.send.claim, answer=answer)
                return (await self._record(stream, given))[0]
    return await _advance(self, stream, ref)


_real_decide = decide.decide


def _without_claim(known: Any, given: Any, policy: Any) -> Any:
    said = _real_decide(known, given, policy)
    if isinstance(said, Refused):
        return said
    return tuple(event for event in said if not isinstance(event, SendClaimed | LegClaimed))


async def _no_claim(self: Any, stream: Any, ref: PaymentRef, watch: Any = None) -> Any:
    at = stream.now
    look = await self._look(ref)
    given = OwedLook(
        at=at, latest=stream.latest, look=look, sightings=stream.ledger.sightings, seen_at=stream.seen_from
    )
    said = _real_decide(stream.ledger, given, self._policy)
    claim = None if isinstance(said, Refused) else claim_in(said)
    stream, _ = await self._record(stream, given)
    if claim is not None:
        await self._send(_asked_by(claim))
    return stream


def _no_claim_applied() -> AbstractContextManager[object]:
    stack = ExitStack()
    stack.enter_context(patch.object(loop_async, "decide", _without_claim))
    stack.enter_context(patch.object(AsyncRefundService, "_advance", _no_claim))
    return stack


def _books_on_last(known: Any, given: Any, policy: Any) -> Any:
    if isinstance(given, GatewayAnswered):
        record = ledger.record_of(known, given.refund_id)
        given = attrs.evolve(given, claim=len(record.claims) if record else given.claim)
    return _real_decide(known, given, policy)


def _always_licensed(events: Any, now: Any, policy: Any) -> Any:
    claim = claim_in(tuple(events))
    return None if claim is None else _asked_by(claim)


# --- beliefs and observations -------------------------------------------------------------------------------


def _hasty_belief(self: Any) -> Status:
    if self.ended is not None:
        return Status(self.ended)
    if self.declined:
        return Status.DECLINED
    return Status.IN_DOUBT if any(claim.open for claim in self.claims) else Status.REQUESTED


def _belief_first(known: Any, record: Any) -> Status:
    seen = ledger.shown(known, record)
    ended = record.belief in (Status.DECLINED, Status.DROPPED, Status.NOT_MADE, Status.IN_DOUBT)
    return Status(record.belief) if seen is None or ended else Status(seen.status)


def _first_terminal(old: Any, new: Any) -> Any:
    return old if old.status in (Status.SUCCEEDED, Status.FAILED, Status.CANCELED) else new


def _by_amount(record: Any, refund: Any) -> bool:
    return bool(record.request is None or refund.amount == record.request.amount)


_real_next_look = rhythm.next_look


def _looks_but_for(status: Status) -> Callable[..., Any]:
    def next_look(known: Any, at: Any, tries: int, policy: Any) -> Any:
        rest = tuple(seen for seen in known.observed if seen.status is not status)
        # Ours must stay shown, or a look would be owed for it after all.
        if ledger.in_flight(known) is None and not rest:
            return None
        return _real_next_look(attrs.evolve(known, observed=rest) if rest else known, at, tries, policy)

    return next_look


# --- rules ----------------------------------------------------------------------------------------------------

_real_refusals = rules.refund_refusals


def _without(*kinds: type) -> Callable[..., Any]:
    """The rules without some of the refusals."""

    def refund_refusals(*args: Any, **named: Any) -> Any:
        return tuple(refusal for refusal in _real_refusals(*args, **named) if not isinstance(refusal, kinds))

    return refund_refusals


def _dispute_ignored(*args: Any, **named: Any) -> Any:
    """A dispute says no in two places: by itself, and by the amount it takes away."""
    refusals = _real_refusals(*args, **named)
    return () if any(isinstance(refusal, Disputed) for refusal in refusals) else refusals


def _tenant_ignored(known: Any, given: Any, policy: Any) -> Any:
    if known.tenant is not None and isinstance(given, (RequestRefund, RecordOutside, SettleAttention)):
        if isinstance(given, RequestRefund):
            by = attrs.evolve(given.command.by, tenant=known.tenant)
            given = attrs.evolve(given, command=attrs.evolve(given.command, by=by))
        else:
            given = attrs.evolve(given, by=attrs.evolve(given.by, tenant=known.tenant))
    return _real_decide(known, given, policy)


async def _shows_anybody(self: Any, ref: Any, *, by: Any) -> Any:
    return self._view(await self._load(ref))


async def _quotes_anybody(self: Any, ref: Any, *, by: Any) -> Any:
    stream = await self._load(ref)
    look = await self._look(ref)
    if not isinstance(look, Picture):
        raise GatewayUnreadable("scripted")
    given = FreeLook(
        at=stream.now,
        picture=look,
        tenant=stream.ledger.tenant or by.tenant,
        sightings=stream.ledger.sightings,
        seen_at=stream.seen_from,
    )
    stream, _ = await self._record(stream, given)
    made, days = self._mint(), self._is_business_day
    return quotes.make_quote(stream.ledger, ref, stream.now, self._policy, request_id=made, is_business_day=days)


def _figure_ignored(known: Any, *, without: str | None = None) -> Any:
    payment = known.payment
    if payment is not None:
        listed = Money(rules.listed_minor(known), payment.captured.currency)
        known = attrs.evolve(known, payment=attrs.evolve(payment, given_back=listed))
    return _real_refundable(known, without=without)


_real_refundable = rules.refundable


def _outside_ignored(known: Any, *, without: str | None = None) -> Any:
    return _real_refundable(attrs.evolve(known, outside=()), without=without)


def _ours_ignored(known: Any, *, without: str | None = None) -> Any:
    """R3 without what our own refunds took or hold."""
    others = tuple(seen for seen in known.observed if seen.refund.mark is None)
    known = attrs.evolve(known, refunds=(), observed=others)
    return _figure_ignored(known, without=without)


# --- signals ---------------------------------------------------------------------------------------------------

_real_receive = AsyncRefundService.receive


def _received(meant: Callable[[Any, Any, Any], Any]) -> Apply:
    """A service that does something else with what a signal's look showed than to merge it."""

    async def receive(self: Any, signal: Any) -> Any:
        if signal.ref is None:
            return Reported(signal=signal, why="scripted")
        stream = await self._load(signal.ref)
        look = await self._look(signal.ref)
        if isinstance(look, Missing):
            return Reported(signal=signal, why="scripted")
        if not isinstance(look, Picture):
            raise GatewayUnreadable("scripted")
        given = meant(stream, signal, look)
        if given is None:
            return Handed(signal=signal, picture=look)
        stream, said = await self._record(stream, given)
        return Merged(signal=signal, view=self._view(stream), news=bool(said))

    return method("receive", receive)


def _opens(stream: Any, signal: Any, look: Picture) -> Any:
    """Whose payment it is, nobody has said."""
    return FreeLook(
        at=stream.now,
        picture=look,
        tenant=stream.ledger.tenant or "acme",
        sightings=stream.ledger.sightings,
        seen_at=stream.seen_from,
    )


def _owed_after_all(stream: Any, signal: Any, look: Picture) -> Any:
    if stream.ledger.tenant is None:
        return None
    return OwedLook(
        at=stream.now, latest=stream.latest, look=look, sightings=stream.ledger.sightings, seen_at=stream.seen_from
    )


def _believed(stream: Any, signal: Any, look: Picture) -> Any:
    """What its kind says of its refund is taken for what is so."""
    word = {"refund.failed": "failed", "refund.created": "pending"}.get(signal.kind, "succeeded")
    refunds = tuple(
        attrs.evolve(refund, status=word) if refund.id == signal.object_id else refund for refund in look.refunds
    )
    if stream.ledger.tenant is None:
        return None
    return FreeLook(
        at=stream.now,
        picture=attrs.evolve(look, refunds=refunds),
        sightings=stream.ledger.sightings,
        seen_at=stream.seen_from,
    )


async def _drives(self: Any, signal: Any) -> Any:
    """A signal is taken for the moment to go on with the payment."""
    said = await _real_receive(self, signal)
    if isinstance(said, Merged):
        await self._drive(await self._load(signal.ref))
    return said


async def _at_platform(self: Any, signal: Any) -> Any:
    """The account a signal came from is forgotten."""
    return await _real_receive(self, attrs.evolve(signal, account=PLATFORM))


def _remembering(key: Callable[[Any], object]) -> Apply:
    """What was received once under this key is not looked at again."""

    async def receive(self: Any, signal: Any) -> Any:
        seen = vars(self._world).setdefault("seen_signals", set())
        if key(signal) in seen:
            return Reported(signal=signal, why="scripted")
        said = await _real_receive(self, signal)
        seen.add(key(signal))
        return said

    return method("receive", receive)


def _puts_off(known: Any, seen: Any, at: Any, policy: Any) -> Any:
    """A look nobody owed counts as the one that was owed."""
    if not seen:
        return ()
    due = rhythm.next_look(ledger.fold(known, seen), at, 0, policy)
    return (*seen, LookScheduled(at=at, due=due))


_real_seen = decide._seen


def _seen_by_the_clock(known: Any, picture: Picture, sightings: int, at: Any) -> Any:
    """Of two looks, whatever overlapped, the one with the later time shows the payment."""
    late = known.seen_at is not None and at < known.seen_at
    said = _real_seen(known, picture, known.sightings, at)
    return tuple(event for event in said if not (late and isinstance(event, PaymentSeen)))


def _always_news(known: Any, picture: Picture, sightings: int, at: Any) -> Any:
    said = _real_seen(known, picture, sightings, at)
    return said or (PaymentSeen(at=at, payment=picture.payment),)


# --- reconciliation --------------------------------------------------------------------------------------------

_real_page = reconcile.Run._read_as
_real_named = reconcile.Run._named
_real_reconcile = AsyncRefundService.reconcile


def _run(name: str, new: object) -> Apply:
    """A run over an account with another method."""
    return lambda: patch.object(reconcile.Run, name, new)


def _last_page(self: Any, page: Any, place: Any) -> Any:
    said = _real_page(self, page, place)
    return said if isinstance(said, Unread) else attrs.evolve(said, more=False)


def _lost_page_is_last(self: Any, page: Any, place: Any) -> Any:
    said = _real_page(self, page, place)
    return FeedPage(mentions=(), more=False) if isinstance(said, Unread) else said


def _ours_are_known(self: Any, mention: Any) -> Any:
    """What carries our mark needs no look: we have made it ourselves."""
    return None if mention.mark is not None else _real_named(self, mention)


def _to_its_end(self: Any, policy: Any) -> Any:
    return self._window.end if self._place is None and self._unread is None and self._whole else None


def _begins_anew(self: Any, *given: Any) -> None:
    _real_run(self, *given)
    self._place = attrs.evolve(self._place, began=given[-1])
    self._began = given[-1]


_real_run = reconcile.Run.__init__


def _failures_forgotten(self: Any, outcome: Any) -> None:
    self._outcomes[outcome.payment] = outcome


async def _reconciles_by_amount(self: Any, ref: PaymentRef) -> Any:
    """A refund of the amount we asked for is taken for ours."""
    stream = await self._load(ref)
    look = await self._look(ref)
    if not isinstance(look, Picture) or stream.ledger.tenant is None:
        return reconcile.Compared(stream, look)
    record = ledger.in_flight(stream.ledger)
    if record is not None and record.request is not None:
        marked = tuple(
            attrs.evolve(refund, mark=record.id) if refund.amount == record.request.amount else refund
            for refund in look.refunds
        )
        look = attrs.evolve(look, refunds=marked)
    stream, said = await self._record(
        stream, FreeLook(at=stream.now, picture=look, sightings=stream.ledger.sightings, seen_at=stream.seen_from)
    )
    return reconcile.Compared(stream, look, bool(said))


async def _reconcile_drives(self: Any, ref: PaymentRef) -> Any:
    said = await _real_reconcile(self, ref)
    await self._drive(await self._load(ref))
    return said


async def _reconcile_opens(self: Any, ref: PaymentRef) -> Any:
    stream = await self._load(ref)
    look = await self._look(ref)
    if isinstance(look, Picture):
        given = FreeLook(
            at=stream.now,
            picture=look,
            tenant=stream.ledger.tenant or "acme",
            sightings=stream.ledger.sightings,
            seen_at=stream.seen_from,
        )
        stream, said = await self._record(stream, given)
        return reconcile.Compared(stream, look, bool(said))
    return reconcile.Compared(stream, look)


# --- shared charges --------------------------------------------------------------------------------------------

_real_split = rules.split_of


def _transfer_stays(payment: Any, policy: Any, *, amount: Any = None) -> Any:
    said = _real_split(payment, policy, amount=amount)
    return PlatformCharge() if payment.kind is ChargeKind.DESTINATION else said


def _fee_returned(whenever: Callable[[Any, Any], bool]) -> Callable[..., Any]:
    """The fee goes along whenever this says so."""

    def split_of(payment: Any, policy: Any, *, amount: Any = None) -> Any:
        said = _real_split(payment, policy, amount=amount)
        if isinstance(said, DirectCharge | DestinationCharge):
            return attrs.evolve(said, return_fee=whenever(payment.application_fee, policy))
        return said

    return split_of


_real_claim: Callable[..., Any] = doubt._claim


def _split_anew(known: Any, record: Any, request: Any, at: Any, policy: Any) -> Any:
    """Each send of a refund asks for what the charge takes now."""
    return tuple(
        attrs.evolve(
            event, send=attrs.evolve(event.send, split=_real_split(known.payment, policy, amount=request.amount))
        )
        for event in _real_claim(known, record, request, at, policy)
    )


# --- the legs of separate charges --------------------------------------------------------------------------------

_real_reversal, _real_answered, _real_steps = pulling._next_reversal, legs.answered, doubt.steps


def _legs_whenever(*statuses: Status) -> Apply:
    """A leg is owed while its refund stands so, too."""
    live = (Status.PENDING, Status.SUCCEEDED, *statuses)
    return lambda: patch.object(pulling, "_LIVE", live)


def _own_id_each_claim(record: Any, leg: Any, payment: Any) -> Any:
    asked = _real_reversal(record, leg, payment)
    return None if asked is None else attrs.evolve(asked, id=f"{asked.id}-{asked.claim}")


def _yes_not_booked(record: Any, number: Any, answer: Any) -> Any:
    return attrs.evolve(_real_answered(record, number, answer), made=record.made)


def _as_planned(payment: Any, leg: Any) -> Any:
    """Whatever the transfer has left, and whatever others pulled back."""
    return None if pulling._shown(payment, leg) is None else leg.leg.amount


def _never(leg: Any, at: Any) -> Any:
    return at if not leg.claims or leg.tries else at + timedelta(days=3650)


def _from_the_top(known: Any, given: Any, policy: Any) -> Any:
    """A leg that was refused makes the whole refund go again."""
    for record in known.refunds:
        if any(isinstance(claim.answer, Declined) for leg in record.legs for claim in leg.claims):
            again = attrs.evolve(record.claims[0].send, claim=len(record.claims) + 1)
            return (SendClaimed(at=given.at, send=again),)
    return _real_steps(known, given, policy)


_ALL: Final = (Verdict.CLEAR, Verdict.ALARMED, Verdict.DECLINED, Verdict.BURNT)

# --- pauses, second persons, limits ------------------------------------------------------------------------


def _own_word_counts(given_ledger: Any, given: ApproveRequest, policy: Any) -> Any:
    """Whoever asked may approve."""
    record = ledger.record_of(given_ledger, given.command.refund_id)
    if record is not None and record.request is not None and record.request.by.id == given.command.by.id:
        somebody = attrs.evolve(given.command, by=attrs.evolve(given.command.by, id="somebody"))
        said = _real_approve(given_ledger, attrs.evolve(given, command=somebody), policy)
        if isinstance(said, Refused):
            return said
        return tuple(
            attrs.evolve(event, by=given.command.by) if isinstance(event, RefundApproved) else event
            for event in said
        )
    return _real_approve(given_ledger, given, policy)


async def _limit_read_only(self: Any, asked: AllowanceTaken, watch: Any) -> Any:
    """There was room when it was looked at; by when the request is on record others have taken it."""
    loaded = await self._journal.load(allowance.day_of(asked.by.tenant, asked.at))
    said = allowance.taken(loaded.events, asked, self._policy)
    return said.reasons if isinstance(said, Refused) else ()


async def _pause_of_first_sends(self: Any, stream: Any, ref: PaymentRef, given: OwedLook) -> tuple[OwedLook, None]:
    """What was sent once is sent again, pause or no pause."""
    if any(record.claims for record in stream.ledger.refunds):
        return attrs.evolve(given, paused=False), None
    return (await _real_unless_paused(self, stream, ref, given))[0], None


async def _pause_of_no_send(self: Any, stream: Any, ref: PaymentRef, given: OwedLook) -> tuple[OwedLook, None]:
    """What is on record is sent, pause or no pause."""
    return attrs.evolve(given, paused=False), None


_real_approve = decide._approve
_real_unless_paused = AsyncRefundService._unless_paused


MUTANTS: Final[tuple[Mutant, ...]] = (
    Mutant(
        name="leg before its refund",
        apply=_legs_whenever(Status.IN_DOUBT, Status.REQUESTED),
        seeds=30,
        by=("leg_early",),
        mode=APART,
    ),
    Mutant(
        name="leg after its refund failed",
        apply=_legs_whenever(Status.FAILED, Status.CANCELED),
        seeds=30,
        by=("leg_late", "stuck"),
        mode=APART,
    ),
    Mutant(
        name="fresh key for a leg",
        apply=swap(_real_reversal, _own_id_each_claim),
        seeds=365,
        by=("leg_doubled",),
        mode=APART,
    ),
    Mutant(
        name="leg again after a yes",
        apply=swap(_real_answered, _yes_not_booked),
        seeds=30,
        by=("leg_again",),
        mode=APART,
    ),
    Mutant(
        name="leg not capped", apply=swap(pulling.still_of, _as_planned), seeds=110, by=("leg_amount",), mode=APART
    ),
    Mutant(
        name="whole refund again when a leg fails",
        apply=swap(_real_steps, _from_the_top),
        seeds=120,
        by=("amount", "sent_again", "too_late"),
        mode=APART,
    ),
    Mutant(
        name="a leg's no is final",
        apply=swap(pulling._not_before, lambda leg, at, policy: _never(leg, at)),
        seeds=110,
        by=("stuck",),
        mode=APART,
    ),
    Mutant(
        name="legs forgotten", apply=swap(pulling.leg_times, lambda *_: ()), seeds=320, by=("stuck",), mode=APART
    ),
    Mutant(name="no key", apply=_keyed(lambda send: None), seeds=30, by=("key",)),
    Mutant(name="fresh key", apply=_keyed(lambda send: f"{send.refund_id}-{send.claim}"), seeds=30, by=("key",)),
    Mutant(
        name="key with amount",
        apply=_keyed(lambda send: f"{send.payment.charge}-{send.amount.amount_minor}"),
        seeds=30,
        by=("key",),
    ),
    Mutant(name="timeout = no", apply=_answering(_timeout_is_no), seeds=30, by=("after_end", "lost")),
    Mutant(name="timeout = not sent", apply=_answering(_timeout_is_not_sent), seeds=30, by=("lost",)),
    Mutant(name="5xx = no", apply=_answering(_broken_is_no), seeds=30, by=("after_end", "lost")),
    Mutant(name="send before append", apply=method("_advance", _sends_before_append), seeds=30, by=("unclaimed",)),
    Mutant(name="no claim", apply=_no_claim_applied, seeds=30, by=("unclaimed",)),
    Mutant(name="another's claim", apply=method("_advance", _anothers_claim), seeds=30, by=("unclaimed",)),
    Mutant(name="licence ignored", apply=swap(decide.licensed, _always_licensed), seeds=30, by=("licence",)),
    Mutant(
        name="no list delay: ends at once",
        apply=step({(Zone.FRESH, v): Step.END for v in _ALL}),
        seeds=30,
        by=("lost", "unasked"),
    ),
    Mutant(
        name="no list delay: ends at 22 h",
        apply=step({(Zone.STALE, v): Step.END for v in _ALL}),
        seeds=30,
        by=("unasked",),
    ),
    Mutant(
        name="look judged by its end", apply=method("_advance", _look_at_end), seeds=430, by=("lost",), mode=TOLD
    ),
    Mutant(
        name="a no with an open claim",
        apply=lambda: patch.object(ledger.RefundRecord, "belief", property(_hasty_belief)),
        seeds=57,
        by=("after_end", "lost"),
    ),
    Mutant(name="last write wins", apply=swap(ledger.merge, lambda old, new: new), seeds=219, by=("transition",)),
    Mutant(name="first terminal wins", apply=swap(ledger.merge, _first_terminal), seeds=30, by=("stuck",)),
    Mutant(name="belief beats observation", apply=swap(ledger.status_of, _belief_first), seeds=30, by=("stuck",)),
    Mutant(name="tenant ignored: commands", apply=swap(_real_decide, _tenant_ignored), seeds=48, by=("tenant",)),
    Mutant(name="tenant ignored: show", apply=method("show", _shows_anybody), seeds=30, by=("tenant",)),
    Mutant(
        name="tenant ignored: quote, in both places",
        apply=method("quote", _quotes_anybody),
        seeds=30,
        by=("tenant",),
    ),
    Mutant(name="match by amount", apply=swap(ledger.is_shown_by, _by_amount), seeds=30, by=("mistaken",)),
    Mutant(
        name="resend after 22 h", apply=step({(Zone.STALE, Verdict.CLEAR): Step.SEND}), seeds=30, by=("too_late",)
    ),
    Mutant(
        name="resend for ever",
        apply=step({(zone, Verdict.CLEAR): Step.SEND for zone in Zone}),
        seeds=30,
        by=("too_late",),
    ),
    Mutant(
        name="sends on dispute, in both places",
        apply=swap(_real_refusals, _dispute_ignored),
        seeds=30,
        by=("amount", "raised"),
    ),
    Mutant(
        name="resends on dispute, in both places",
        apply=lambda: patch.object(doubt, "refund_refusals", _dispute_ignored),
        seeds=30,
        by=("amount",),
    ),
    Mutant(
        name="amount not compared", apply=swap(_real_refusals, _without(AmountChanged)), seeds=30, by=("amount",)
    ),
    Mutant(
        name="answer dropped on conflict", apply=method("_advance", _drops_answer), seeds=30, by=("unanswered",)
    ),
    Mutant(
        name="answer booked on another claim",
        apply=swap(_real_decide, _books_on_last),
        seeds=48,
        by=("answer", "unanswered"),
    ),
    Mutant(
        name="success final",
        apply=swap(_real_next_look, _looks_but_for(Status.SUCCEEDED)),
        seeds=70,
        by=("stuck",),
    ),
    Mutant(
        name="pending done", apply=swap(_real_next_look, _looks_but_for(Status.PENDING)), seeds=30, by=("stuck",)
    ),
    Mutant(
        name="two in flight, in both places",
        apply=lambda: swapped((_real_refundable, _ours_ignored), (rules._standing, lambda *_: [])),
        seeds=30,
        by=("amount", "doubled"),
    ),
    Mutant(name="figure ignored", apply=swap(_real_refundable, _figure_ignored), seeds=30, by=("amount",)),
    Mutant(name="outside ignored", apply=swap(_real_refundable, _outside_ignored), seeds=30, by=("amount",)),
    Mutant(
        name="an overtaken look decides",
        apply=swap(decide.overtaken, lambda *_: False),
        seeds=20,
        by=("older",),
    ),
    Mutant(
        name="of looks that overlap the clock decides",
        apply=lambda: swapped((decide.overtaken, lambda *_: False), (_real_seen, _seen_by_the_clock)),
        seeds=310,
        by=("older",),
    ),
    Mutant(
        name="5xx ends by itself", apply=step({(Zone.OLD, Verdict.BURNT): Step.END}), seeds=30, by=("unasked",)
    ),
    Mutant(
        name="5xx is sent again",
        apply=step({(Zone.FRESH, Verdict.BURNT): Step.SEND}),
        seeds=30,
        by=("sent_again",),
    ),
    Mutant(
        name="a no is sent again",
        apply=step({(Zone.FRESH, Verdict.DECLINED): Step.SEND}),
        seeds=183,
        by=("sent_again",),
    ),
    Mutant(name="a signal opens a stream", apply=_received(_opens), seeds=30, by=("signal",), mode=TOLD),
    Mutant(
        name="a signal's look is an owed one",
        apply=_received(_owed_after_all),
        seeds=30,
        by=("signal",),
        mode=TOLD,
        deaf=("put_off", "told_twice", "misread"),
    ),
    Mutant(
        name="a signal goes on with the payment",
        apply=method("receive", _drives),
        seeds=30,
        by=("signal",),
        mode=TOLD,
        deaf=("put_off", "told_twice", "misread"),
    ),
    Mutant(name="a signal is believed", apply=_received(_believed), seeds=30, by=("believed",), mode=TOLD),
    Mutant(
        name="a signal is believed, and nobody judges what is written",
        apply=_received(_believed),
        seeds=30,
        by=("doubled", "stuck", "mistaken", "lost"),
        mode=TOLD,
        deaf=("believed", "told_twice", "misread"),
    ),
    Mutant(
        name="a signal's account is ignored",
        apply=method("receive", _at_platform),
        seeds=30,
        by=("misread",),
        mode=TOLD,
    ),
    Mutant(
        name="a signal's account is ignored, and nobody judges where it looks",
        apply=method("receive", _at_platform),
        seeds=30,
        by=("stuck",),
        mode=TOLD,
        deaf=("misread",),
    ),
    Mutant(
        name="signals told apart by kind and object",
        apply=_remembering(lambda signal: (signal.kind, signal.object_id)),
        seeds=30,
        by=("stuck",),
        mode=TOLD,
        deaf=("misread",),
    ),
    Mutant(
        name="a signal puts off what is owed",
        apply=swap(decide._news, _puts_off),
        seeds=30,
        by=("put_off",),
        mode=TOLD,
    ),
    Mutant(
        name="no news is written down",
        apply=swap(decide._seen, _always_news),
        seeds=30,
        by=("older", "told_twice"),
        mode=TOLD,
    ),
    Mutant(
        name="reconciliation reads the first page only",
        apply=_run("_read_as", _last_page),
        seeds=36,
        by=("passed_over", "stuck"),
        mode=RECONCILED,
    ),
    Mutant(
        name="reconciliation reads the first page only, and nobody judges what it says",
        apply=_run("_read_as", _last_page),
        seeds=225,
        by=("stuck",),
        mode=RECONCILED,
        deaf=("passed_over",),
    ),
    Mutant(
        name="reconciliation takes a lost page for the last",
        apply=_run("_read_as", _lost_page_is_last),
        seeds=96,
        by=("passed_over",),
        mode=RECONCILED,
    ),
    Mutant(
        name="reconciliation asks for no disputes",
        apply=lambda: patch.object(reconcile, "_LISTS", (Subject.REFUND,)),
        seeds=30,
        by=("passed_over",),
        mode=RECONCILED,
    ),
    Mutant(
        name="reconciliation skips what carries our mark",
        apply=_run("_named", _ours_are_known),
        seeds=66,
        by=("passed_over", "stuck"),
        mode=RECONCILED,
    ),
    Mutant(
        name="a payment that failed is done",
        apply=_run("took", _failures_forgotten),
        seeds=294,
        by=("passed_over",),
        mode=RECONCILED,
    ),
    Mutant(
        name="a window is done to its end",
        apply=_run("_until", _to_its_end),
        seeds=30,
        by=("passed_over",),
        mode=RECONCILED,
    ),
    Mutant(
        name="a run is as old as its last part",
        apply=_run("__init__", _begins_anew),
        seeds=420,
        by=("passed_over",),
        mode=RECONCILED,
    ),
    Mutant(
        name="reconciliation matches by amount",
        apply=method("_compare", _reconciles_by_amount),
        seeds=90,
        by=("believed",),
        mode=RECONCILED,
    ),
    Mutant(
        name="reconciliation matches by amount, and nobody judges what is written",
        apply=method("_compare", _reconciles_by_amount),
        seeds=90,
        by=("mistaken", "lost", "doubled", "stuck"),
        mode=RECONCILED,
        deaf=("believed", "told_twice", "misread"),
    ),
    Mutant(
        name="reconciliation goes on with the payment",
        apply=method("reconcile", _reconcile_drives),
        seeds=30,
        by=("signal",),
        mode=RECONCILED,
        deaf=("put_off", "told_twice", "misread"),
    ),
    Mutant(
        name="reconciliation opens a stream",
        apply=method("_compare", _reconcile_opens),
        seeds=30,
        by=("signal",),
        mode=RECONCILED,
    ),
    Mutant(
        name="the transfer stays where it is", apply=swap(_real_split, _transfer_stays), seeds=30, by=("split",)
    ),
    Mutant(
        name="a fee goes back of which none is left",
        apply=swap(_real_split, _fee_returned(lambda fee, policy: policy.return_application_fee)),
        seeds=30,
        by=("split",),
    ),
    Mutant(
        name="a fee goes back against the policy",
        apply=swap(_real_split, _fee_returned(lambda fee, policy: fee is not None and fee.left.amount_minor > 0)),
        seeds=30,
        by=("split",),
    ),
    Mutant(
        name="the requester's own approval counts",
        apply=swap(decide._approve, _own_word_counts),
        seeds=70,
        by=("unapproved",),
        mode=GUARDED,
    ),
    Mutant(
        name="nobody's approval is waited for",
        apply=lambda: patch.object(ledger.RefundRecord, "awaits_second", property(lambda self: False)),
        seeds=80,
        by=("unapproved",),
        mode=GUARDED,
    ),
    Mutant(
        name="a limit is read and not reserved",
        apply=method("_reserve", _limit_read_only),
        seeds=90,
        by=("limit",),
        mode=GUARDED,
    ),
    Mutant(
        name="a pause holds first sends only",
        apply=method("_unless_paused", _pause_of_first_sends),
        seeds=80,
        by=("paused",),
        mode=GUARDED,
    ),
    Mutant(
        name="a pause holds requests only",
        apply=method("_unless_paused", _pause_of_no_send),
        seeds=210,
        by=("paused",),
        mode=GUARDED,
    ),
    Mutant(
        name="a repeat asks for another split", apply=swap(doubt._claim, _split_anew), seeds=240, by=("split",)
    ),
)


SURVIVORS: Final[dict[str, str]] = {
    "a look nobody owes any more decides": "its send has no licence by then, a claim under two minutes old is "
    "left alone, and whatever it sends again goes under the same key",
    "5xx ends by itself, 5xx or a no is sent again": "killed as a broken rule, not by harm: the key replays the "
    "first answer, and by 28 h nothing can follow any more",
    "key with amount": "killed as a broken rule, not by harm: the mark in the request differs, so the gateway "
    "refuses the key for another refund",
    "the transfer stays, a fee goes back or is asked for anew": "killed as a broken rule, not by harm: the "
    "simulated bank moves no transfers",
    "signals told apart by kind and object": "while looks are owed they mend it; it does harm once the watch is "
    "over, when a signal is all there is",
    "a signal's look is an owed one, a signal goes on with the payment": "killed as a broken rule, not by harm: "
    "claims and edges hold whoever looks",
    "a look that lacks what the feed named will do": "where a window is said to be done both lists were complete; "
    "it does harm at a gateway whose lists lag for longer, and is held in the domain's own tests",
    "outbox gap": "not held here, where nobody reads along: a real server's tail without its bound loses an event "
    "in test_postgres_journal",
    "a look's first page only": "not held here: a look at the simulated bank has no pages; those are the gateway "
    "adapters' own tests",
}
"""What lives on, or dies only by a rule and not by harm done, and why."""


def kill(mutant: Mutant, first: int = 0, seeds: int | None = None) -> tuple[int, Violation] | None:
    """The first seed that finds this mutant, and what broke; None: it survives so many."""
    deaf = frozenset(mutant.deaf)
    with mutant.apply():
        for seed in range(first, mutant.seeds if seeds is None else seeds):
            outcome = run_seed(seed, STEPS, MODES[mutant.mode], deaf=deaf)
            if outcome.violation is not None:
                return seed, outcome.violation
    return None


def main(names: list[str]) -> int:
    """Run these mutants (all, without a name) and say what kills them."""
    for mutant in MUTANTS:
        if names and mutant.name not in names:
            continue
        found = kill(mutant, seeds=3000)
        print(
            f"{mutant.name:45}",
            "SURVIVES" if found is None else f"{found[0]:5} {found[1].name}: {found[1].what}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
