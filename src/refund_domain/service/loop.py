"""The loop around the decider, in its sync form (`loop_async` is its twin); the services stand on it.

    load → decide → append (version-checked; beaten to it: load and decide the same input again) →
    licensed? send, decide on the answer · owed? look, decide on what it showed · else done

First run, retry, crash recovery: all of it is this one path.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import attrs

from refund_domain.answers import Answer, Ask, Look, NotSent, OutcomeUnknown, Picture, Unread
from refund_domain.decider.decide import decide, licensed, owed
from refund_domain.decider.inputs import FreeLook, Input, OwedLook
from refund_domain.decider.ledger import fold
from refund_domain.errors import JournalConflict, OpenTransaction, TooContended
from refund_domain.events import Event
from refund_domain.operations.reconcile import Compared
from refund_domain.payments import AnyPayment, ControlRef, PaymentRef
from refund_domain.policy import Policy
from refund_domain.ports import Head, PaymentGateway, RefundJournal
from refund_domain.refusals import Refusal, Refused
from refund_domain.service.controls import account_switch, owner_of, switch_of, tenant_switch
from refund_domain.service.stream import (
    MOST_CONFLICTS,
    MOST_LOOKS,
    OVERTAKEN,
    Decided,
    Stream,
    answered_as,
    answered_with,
    appended,
    caught_up,
    claim_in,
    head,
    in_doubt,
    named,
    opened,
    read_as,
)
from refund_domain.service.watch import UNWATCHED, Watch


class Loop:
    """What a service does with one stream: read it, record an input, go on until nothing is owed.

    The service sets the two ports, the policy and its monotonic clock.
    """

    _gateway: PaymentGateway
    _journal: RefundJournal
    _policy: Policy
    _monotonic: Callable[[], float]
    _watch: Watch

    def _outside_transactions(self) -> None:
        if self._journal.in_transaction:
            raise OpenTransaction("commit the open transaction first: no network call is made inside one")

    def _load(self, ref: AnyPayment) -> Stream:
        asked_at = self._monotonic()
        loaded = self._journal.load(ref)
        return opened(ref, loaded, asked_at, self._monotonic())

    def _catch_up(self, stream: Stream) -> Stream:
        """The stream with what others appended meanwhile."""
        asked_at = self._monotonic()
        loaded = self._journal.load(stream.ref, stream.version)
        return caught_up(stream, loaded, asked_at, self._monotonic())

    def _record(
        self, stream: Stream, given: Input, watch: Watch | None = None, said: Decided | None = None
    ) -> tuple[Stream, Decided]:
        """Decide this input, if it was not yet, and append what it means; beaten to it, decide it again."""
        watch = watch or self._watch
        for _ in range(MOST_CONFLICTS):
            if said is None:
                said = decide(stream.ledger, given, self._policy)
            if isinstance(said, Refused):
                watch.refused(stream, said)
                return stream, said
            if not said:
                return stream, said
            ledger, asked_at = fold(stream.ledger, said), self._monotonic()
            try:
                now = self._journal.append(stream.ref, said, expected=stream.version, head=head(ledger))
            except JournalConflict:
                watch.beaten(stream)
                if self._journal.in_transaction:
                    raise
                stream, said = self._catch_up(stream), None
                continue
            after = appended(stream, ledger, len(said), now, asked_at, self._monotonic())
            watch.wrote(stream, said)
            return after, said
        raise TooContended("other workers keep appending to this payment's stream; try again")

    def _compare(self, ref: PaymentRef) -> Compared:
        """A look nobody owed, merged if the stream has an owner: it never claims, sends or ends a doubt."""
        self._outside_transactions()
        with self._watch.held(None) as watch:
            stream, look, news = self._sight(self._load(ref), ref, watch)
            return Compared(stream, look, bool(news))

    def _sight(
        self, stream: Stream, ref: PaymentRef, watch: Watch, tenant: str | None = None
    ) -> tuple[Stream, Look, Decided]:
        """A look nobody owed, merged if the stream has an owner or `tenant` is to be it.

        One that another look has overtaken is made again, and so is one that would open the stream, or has, later
        after its beginning than clocks may lie apart: before, nobody could write down in it what was found.
        """
        news: tuple[Event, ...] = ()
        for _ in range(MOST_LOOKS):
            started, at = stream.asked_at, stream.now
            look = self._look(ref, watch)
            if not isinstance(look, Picture):
                return stream, look, news
            sightings, seen_at = stream.ledger.sightings, stream.seen_from
            given = FreeLook(at=at, picture=look, tenant=tenant, sightings=sightings, seen_at=seen_at)
            if stream.ledger.tenant is None and tenant is None:
                # A quote may have opened the stream while we looked; its own look can be older than this one.
                stream = self._catch_up(stream)
                if stream.ledger.tenant is None:
                    return stream, look, news
            opens = stream.ledger.tenant is None
            if opens and self._is_late(stream, at, started):
                stream = self._load(ref)
                continue
            stream, said = self._record(stream, given, watch)
            if isinstance(said, Refused):
                return stream, look, said
            news += said
            late = opens and self._is_late(stream, at, started)
            if stream.ledger.payment == look.payment and not late:
                return stream, look, news
        raise TooContended(OVERTAKEN)

    def _is_late(self, stream: Stream, at: datetime, started: float) -> bool:
        """Whether a look that began then is longer ago than clocks may lie apart."""
        return stream.at_least(at, started, self._monotonic()) - at > self._policy.clock_skew

    def _drive(self, stream: Stream) -> Stream:
        """Look, and send what a look permits, until nothing is owed."""
        with self._watch.held(stream.ledger.tenant) as watch:
            return self._go_on(stream, watch)

    def _go_on(self, stream: Stream, watch: Watch, *, raises: bool = True) -> Stream:
        """The same, of which is told later: whoever is slow to listen would make a claim too old to send.

        What breaks before anything was sent is raised, unless a person asks to whom a refund may be on its way.
        """
        ref = stream.ref
        if not isinstance(ref, PaymentRef):
            return stream
        for turn in range(MOST_LOOKS):
            if not owed(stream.ledger, stream.now):
                break
            try:
                stream = self._advance(stream, ref, watch)
            except Exception:
                if turn == 0 and raises:
                    raise
                # A send may have left in an earlier turn: what is known goes back, recovery does the rest.
                break
        return stream

    def _advance(self, stream: Stream, ref: PaymentRef, watch: Watch) -> Stream:
        """One owed look; and if its decision claimed a call, that call and its answer."""
        started, at = stream.asked_at, stream.now
        look = self._look(ref, watch)
        owing = OwedLook(
            at=at,
            latest=stream.latest,
            look=look,
            sightings=stream.ledger.sightings,
            seen_at=stream.seen_from,
            paused=None,
        )
        owing, said = self._unless_paused(stream, ref, owing)
        stream, said = self._record(stream, owing, watch, said)
        claim = claim_in(said)
        if claim is None:
            return stream
        asked = licensed((claim,), stream.at_least(at, started, self._monotonic()), self._policy)
        expired = NotSent(why="the licence to send had run out")
        answer = expired if asked is None else self._send(asked, watch)
        given = answered_with(claim, stream.now, answer)
        try:
            return self._record(stream, given, watch)[0]
        except Exception as error:
            # Money may have moved: nothing may be raised now. The open claim is the record.
            watch.unwritten(stream, given, error)
            return in_doubt(stream, given)

    def _unless_paused(self, stream: Stream, ref: PaymentRef, given: OwedLook) -> tuple[OwedLook, Decided | None]:
        """The look as it may be decided, and what was decided of it already.

        The switches are read where a send would come of it, and nowhere else. As long as nobody has read them the
        look claims nothing, whatever others append before its own events stand: could it then, it is made again.
        """
        tenant, free = stream.ledger.tenant, attrs.evolve(given, paused=False)
        said = decide(stream.ledger, free, self._policy)
        if tenant is None or claim_in(said) is None:
            return given, said
        if self._pauses(ref.account, tenant):
            return attrs.evolve(given, paused=True), None
        return free, said

    def _pauses(self, account: str, tenant: str) -> tuple[Refusal, ...]:
        """What the switches of the account and of the tenant say: empty where sending goes on."""
        refusals = []
        for switch in (account_switch(account), tenant_switch(tenant)):
            refusal = switch_of(switch, (self._journal.load(switch)).events).refusal
            if refusal is not None:
                refusals.append(refusal)
        return tuple(refusals)

    def _keep(
        self,
        ref: ControlRef,
        tenant: str,
        decided: Callable[[tuple[Event, ...], datetime], Decided],
        watch: Watch,
    ) -> tuple[tuple[Event, ...], Decided]:
        """Decide on a control's stream and append what that means; beaten to it, decide again on all of it."""
        for _ in range(MOST_CONFLICTS):
            loaded = self._journal.load(ref)
            said = decided(loaded.events, loaded.now)
            if isinstance(said, Refused) or not said:
                return loaded.events, said
            owner = owner_of(loaded.events, tenant)
            idle = Head(tenant=owner, look_at=None, waiting=False)
            try:
                self._journal.append(ref, said, expected=loaded.version, head=idle)
            except JournalConflict:
                if self._journal.in_transaction:
                    raise
                continue
            watch.kept(ref, owner, said)
            return (*loaded.events, *said), said
        raise TooContended("other workers keep appending to this stream; try again")

    def _look(self, ref: PaymentRef, watch: Watch | None = None) -> Look:
        watch = watch or self._watch
        began = watch.started()
        try:
            look = read_as(self._gateway.look(ref), ref)
        except Exception as error:
            look = Unread(why=f"the gateway raised {named(error)}")
        watch.looked(ref, look, began)
        return look

    def _send(self, asked: Ask, watch: Watch = UNWATCHED) -> Answer:
        began = watch.started()
        try:
            answer = answered_as(self._gateway.send(asked), asked)
        except Exception as error:
            answer = OutcomeUnknown(why=f"the gateway raised {named(error)}")
        watch.sent(asked, answer, began)
        return answer
