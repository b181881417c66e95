"""Who may, and what holds refunds back: the host's word, the pause switches (`guard_async` is its twin)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from refund_domain._checks import check_text, check_type
from refund_domain.commands import Action, Actor
from refund_domain.controls import WHY_LIMIT, Switch, account_switch, flipped, switch_of, tenant_switch
from refund_domain.events import Event, Paused, Resumed
from refund_domain.loop import Loop
from refund_domain.payments import ControlRef, Ref
from refund_domain.refusals import NotAllowed, Refused
from refund_domain.stream import Decided

Allow = Callable[[Actor, Action, Ref | None], bool]
"""The host's word on who may do what; asked first, before anything is read. It must check the ref as well as
the role: the first allowed quote makes its actor's tenant the owner of the payment's stream for good, and the
switch of an account holds for every tenant there."""


class Guard(Loop):
    """The part of a service that asks the host who may, and keeps the pause switches."""

    _allow: Allow

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
        try:
            return self._allow(by, action, ref) is True
        except Exception:
            return False

    def _flip(self, ref: ControlRef, by: Actor, why: str | None) -> Switch:
        def decided(events: tuple[Event, ...], at: datetime) -> Decided:
            wanted = Resumed(at=at, by=by) if why is None else Paused(at=at, by=by, why=why)
            return flipped(switch_of(ref, events), wanted)

        events, _ = self._keep(ref, by.tenant, decided)
        return switch_of(ref, events)


def _switch(by: Actor, account: str | None) -> ControlRef:
    """The switch that is meant: of this account, or of the actor's own tenant. Refuses what is neither."""
    check_type(by, Actor, "by")
    return tenant_switch(by.tenant) if account is None else account_switch(account)
