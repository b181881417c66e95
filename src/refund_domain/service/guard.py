"""Who may, and what holds refunds back: the host's word, pauses, approvals, limits (`guard_async` is its twin).

Everything here is asked before a request or an approval is on record; the loop itself asks for pauses again before
each claim.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

from refund_domain._checks import check_id, check_text, check_type
from refund_domain._wiring import WrongForm
from refund_domain.commands import Action, Actor, ApproveRefund, IssueRefund
from refund_domain.decider.decide import decide
from refund_domain.decider.doubt import fell_back
from refund_domain.decider.inputs import ApproveRequest, RequestRefund
from refund_domain.decider.ledger import RefundRecord, Status
from refund_domain.errors import JournalUnavailable
from refund_domain.events import AllowanceTaken, Event, Paused, Resumed
from refund_domain.operations.erasure import is_erased
from refund_domain.payments import ControlRef, PaymentRef, Ref
from refund_domain.refusals import NotAllowed, Refusal, Refused
from refund_domain.rules.eligibility import refundable
from refund_domain.service.allowance import day_of, limited, taken
from refund_domain.service.controls import WHY_LIMIT, Switch, account_switch, flipped, switch_of, tenant_switch
from refund_domain.service.loop import Loop
from refund_domain.service.stream import CLOCK_FELL_BACK, Decided, Stream, may_have_left
from refund_domain.service.watch import Watch
from refund_domain.views import Refund, view_refund

Allow = Callable[[Actor, Action, Ref | None], bool]
"""The host's word on who may do what; asked first, before anything is read. It must check the ref as well as
the role: the first allowed quote makes its actor's tenant the owner of the payment's stream for good, and the
switch of an account holds for every tenant there."""


class Guard(Loop):
    """The part of a service that asks the host who may, and holds back what a policy or a pause holds back."""

    _allow: Allow
    _is_business_day: Callable[[date], bool]

    def approve(self, command: ApproveRefund) -> Refund | Refused:
        """Let a requested refund that needs a second person be sent, and send it: look, compare, claim, send.

        Refused: the person who asked for it (`SecondPersonNeeded`), an amount other than the requested one. Once
        it is approved, calling again approves nothing. Raises as `issue` does: nothing once a send may have left.
        """
        check_type(command, ApproveRefund, "command")
        if not self._may(command.by, Action.APPROVE, command.payment):
            return Refused((NotAllowed(action=Action.APPROVE),))
        self._outside_transactions()
        with self._watch.held(command.by.tenant) as watch:
            stream = self._load(command.payment)
            given = ApproveRequest(at=stream.now, command=command)
            stream, said = self._command(stream, given, watch)
            if isinstance(said, Refused):
                return said
            stream = self._go_on(stream, watch, raises=not may_have_left(stream.ledger))
            record = next(record for record in stream.ledger.refunds if record.id == command.refund_id)
            return self._shown(stream, command.payment, record)

    def pause(self, *, by: Actor, why: str, account: str | None = None) -> Switch | Refused:
        """Send nothing new for this gateway account, or, without one, for the actor's own tenant.

        Until `resume`: quotes and requests are refused with `SendingPaused`, and what is on record already is not
        sent, neither first nor again. What was sent goes its way and is looked at as ever (R6); a send that was
        licensed before may still leave for up to a minute. Where it is paused already, the first pause stands.
        `why` is for `paused`, and stands in no refusal.
        """
        ref = _switch(by, account)
        check_text(why, "why", WHY_LIMIT)
        if not self._may(by, Action.PAUSE, ref):
            return Refused((NotAllowed(action=Action.PAUSE),))
        return self._flip(ref, by, why)

    def resume(self, *, by: Actor, account: str | None = None) -> Switch | Refused:
        """Let this account, or the actor's own tenant, send again.

        What is on record goes on by itself with its next look, after at most about as long as the pause was, and
        never more than an hour under the default policy.
        """
        ref = _switch(by, account)
        if not self._may(by, Action.RESUME, ref):
            return Refused((NotAllowed(action=Action.RESUME),))
        return self._flip(ref, by, None)

    def paused(self, *, by: Actor, account: str | None = None) -> Switch | Refused:
        """The switch of this account, or of the actor's own tenant; no network."""
        ref = _switch(by, account)
        if not self._may(by, Action.SHOW, ref):
            return Refused((NotAllowed(action=Action.SHOW),))
        return switch_of(ref, (self._journal.load(ref)).events)

    # --- small parts --------------------------------------------------------------------------------

    def _may(self, by: Actor, action: Action, ref: Ref | None) -> bool:
        if is_erased(by):
            # The name that erasing gives is nobody's to act under: it would never be erased, and what it asks for
            # would count against everybody's own limit.
            return False
        try:
            may = self._allow(by, action, ref)
            check_type(may, bool, "what allow gives")
        except WrongForm:
            raise
        except Exception as error:
            # A no all the same; but somebody must be able to tell missing rights from a look-up that broke.
            self._watch.allow_broke(tenant_switch(by.tenant) if ref is None else ref, by.tenant, action, error)
            return False
        return may

    def _command(
        self, stream: Stream, given: RequestRefund | ApproveRequest, watch: Watch
    ) -> tuple[Stream, Decided]:
        """Decide on what may lead to a send. What the rules allow and is news may yet be held back."""
        said = decide(stream.ledger, given, self._policy)
        if said and not isinstance(said, Refused):
            if fell_back(stream.now, stream.latest, self._policy):
                raise JournalUnavailable(CLOCK_FELL_BACK)
            command = given.command
            held = self._pauses(command.payment.account, command.by.tenant)
            if isinstance(given, RequestRefund) and not held:
                held = self._reserve(_asked(given.command, given.at), watch)
            if not held:
                return self._record(stream, given, watch, said)
            said = Refused(held)
        if isinstance(said, Refused):
            watch.refused(stream, said)
        return stream, said

    def _reserve(self, asked: AllowanceTaken, watch: Watch) -> tuple[Refusal, ...]:
        """Take this request's part of its day's allowance; the limits it would pass, if there is no room."""
        if not limited(self._policy):
            return ()

        def decided(events: tuple[Event, ...], at: datetime) -> Decided:
            return taken(events, asked, self._policy)

        _, said = self._keep(day_of(asked.by.tenant, asked.at), asked.by.tenant, decided, watch)
        return said.reasons if isinstance(said, Refused) else ()

    def _held(self, stream: Stream, payment: PaymentRef, *, request_id: str, by: Actor) -> tuple[Refusal, ...]:
        """What would hold a request back that a quote of now leads to; nothing is taken."""
        held, amount = self._pauses(payment.account, by.tenant), refundable(stream.ledger)
        if amount is None or not limited(self._policy):
            return held
        asked = AllowanceTaken(at=stream.now, payment=payment, request_id=request_id, amount=amount, by=by)
        loaded = self._journal.load(day_of(by.tenant, stream.now))
        said = taken(loaded.events, asked, self._policy)
        return (*held, *said.reasons) if isinstance(said, Refused) else held

    def _shown(self, stream: Stream, payment: PaymentRef, record: RefundRecord) -> Refund | Refused:
        """The refund as it stands; a dropped one is a refusal."""
        now = stream.now_after(self._monotonic())
        refund = view_refund(stream.ledger, record, payment, now, self._policy, self._is_business_day)
        return Refused(record.reasons) if refund.status is Status.DROPPED else refund

    def _flip(self, ref: ControlRef, by: Actor, why: str | None) -> Switch:
        def decided(events: tuple[Event, ...], at: datetime) -> Decided:
            wanted = Resumed(at=at, by=by) if why is None else Paused(at=at, by=by, why=why)
            return flipped(switch_of(ref, events), wanted)

        events, _ = self._keep(ref, by.tenant, decided, self._watch)
        return switch_of(ref, events)


def _switch(by: Actor, account: str | None) -> ControlRef:
    """The switch that is meant: of this account, or of the actor's own tenant. Refuses what is neither."""
    check_type(by, Actor, "by")
    if account is None:
        return tenant_switch(by.tenant)
    check_id(account, "account")
    return account_switch(account)


def _asked(command: IssueRefund, at: datetime) -> AllowanceTaken:
    return AllowanceTaken(
        at=at, payment=command.payment, request_id=command.request_id, amount=command.amount, by=command.by
    )
