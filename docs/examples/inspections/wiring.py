"""The one place where the host builds its refund service. Web process and cron job both take it from here."""

from __future__ import annotations

from docs.examples.inspections.office import Office
from refund_domain import Actor, PaymentGateway, RefundJournal, RefundService
from refund_domain.commands import Action
from refund_domain.payments import Control, ControlRef, Ref
from refund_domain.service.watch import Observe


def build(
    gateway: PaymentGateway, journal: RefundJournal, office: Office, observe: Observe | None = None
) -> RefundService:
    """The service of this host.

    With real money they are `StripeGateway(secret_key)` and `SqliteJournal("refunds.db")`; nothing else changes.
    """

    def may(actor: Actor, action: Action, ref: Ref | None) -> bool:
        """Everybody may look at what there is; only the office moves money or says that it moved."""
        user = office.user(actor.id)
        if user is None or user.tenant != actor.tenant:
            return False
        if isinstance(ref, ControlRef) and ref.kind is Control.ACCOUNT:
            return False  # the switch of an account holds for all tenants: nobody's here
        return user.role == "office" or action is Action.SHOW

    return RefundService(gateway, journal, allow=may, observe=observe)
