"""The pause switches of accounts and tenants, each the fold of a small stream of its own.

A pause holds back what was not sent yet: nothing new is claimed while it stands. It stops, cancels or reverses
nothing that was sent (R6); looks, signals and reconciliation go on.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import attrs

from refund_domain.commands import Actor
from refund_domain.events import AllowanceTaken, Event, Paused, Resumed
from refund_domain.payments import Control, ControlRef
from refund_domain.refusals import SendingPaused

WHY_LIMIT = 500
"""The longest reason a pause may carry."""


@attrs.frozen(kw_only=True)
class Switch:
    """The pause switch of an account or a tenant: since when, by whom and why nothing is sent; or None each.

    >>> Switch(ref=account_switch("acct_1")).paused
    False
    """

    ref: ControlRef
    since: datetime | None = None
    by: Actor | None = None
    why: str | None = attrs.field(default=None, repr=False)

    @property
    def paused(self) -> bool:
        """Whether nothing new is sent."""
        return self.since is not None

    @property
    def refusal(self) -> SendingPaused | None:
        """What a refund is refused with; None where sending goes on."""
        return None if self.since is None else SendingPaused(scope=self.ref.kind, since=self.since)


def account_switch(account: str) -> ControlRef:
    """The switch of a gateway account, or of `PLATFORM`: it holds for every tenant with payments there."""
    return ControlRef(kind=Control.ACCOUNT, name=account)


def tenant_switch(tenant: str) -> ControlRef:
    """The switch of a tenant: it holds for all its payments, at whatever account."""
    return ControlRef(kind=Control.TENANT, name=tenant)


def switch_of(ref: ControlRef, events: Iterable[Event]) -> Switch:
    """How the switch stands after these events of its stream."""
    switch = Switch(ref=ref)
    for event in events:
        if isinstance(event, Paused):
            switch = Switch(ref=ref, since=event.at, by=event.by, why=event.why)
        elif isinstance(event, Resumed):
            switch = Switch(ref=ref)
    return switch


def owner_of(events: Iterable[Event], tenant: str) -> str:
    """Whose a control's stream is: theirs who wrote there first, for good; `tenant`'s where nobody has.

    As with a payment: whoever flips an account's switch later takes its history from nobody.
    """
    kept = (event for event in events if isinstance(event, Paused | Resumed | AllowanceTaken))
    return next((event.by.tenant for event in kept), tenant)


def flipped(switch: Switch, wanted: Paused | Resumed) -> tuple[Event, ...]:
    """What flipping the switch adds to its stream: nothing where it stands so already. The first pause stays."""
    return () if switch.paused is isinstance(wanted, Paused) else (wanted,)
