"""What must hold whatever happens to a host's wiring: judged by the bank's truth and by what people are shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import attrs

from refund_domain.commands import Actor
from refund_domain.decider.ledger import HOLDS, OBSERVED, Status
from refund_domain.money import Money
from refund_domain.payments import GatewayRefund, PaymentRef
from refund_domain.testing.laws import LawBroken
from refund_domain.testing.wiring import Wiring
from refund_domain.views import PaymentView, Refund

PROMISES: Final[dict[str, str]] = {
    "one_live_refund": "A payment has at most one live refund of ours at the bank.",
    "never_above_captured": "The live refunds of a payment never add up to more than was captured.",
    "sent_as_verified": "What is refunded is an amount that a person saw on a page of this payment and pressed.",
    "decided_once": "There are never more refunds than pages that people pressed: one decision is one refund.",
    "tenants_apart": "Nobody of another tenant sees, opens or refunds a payment; its own people do.",
    "told_the_truth": "Who is told of a refund can be shown it; who is refused has none of this page under way.",
    "cancelling_refunds_nothing": "Cancelling a booking asks for no refund and sends none (R5).",
    "sent_by_button_or_worker": "Only a press of the button, the queue's job and the recovery job send.",
    "nothing_raised": "Nothing raises but `RefundError`, and not even that once a send may have left.",
    "nothing_left_hanging": "Once all works, no refund stays requested or in doubt, unless a person is asked.",
    "true_status_shown": "In the end each refund at the bank is shown, with its true status.",
}
"""Each promise by its name, which a `LawBroken` carries as its `law`."""

_DEAD: Final = ("failed", "canceled")
_OPEN: Final = (Status.REQUESTED, Status.IN_DOUBT)


def keep(promise: str, holds: bool, *seen: object) -> None:
    """Go on if it holds; else this promise is broken (`LawBroken`), and this is what was seen, in words."""
    if not holds:
        raise LawBroken(promise, PROMISES[promise], " ".join(str(part) for part in seen))


@attrs.define(eq=False)
class Taken:
    """A payment, its people, and what they decided: `pressed` has the amount of each page, by its request id.

    `pages` are those its people have open, in tabs.
    """

    ref: PaymentRef
    captured: Money
    owner: Actor
    stranger: Actor
    pages: list[Page] = attrs.field(factory=list)
    disputed: bool = False
    pressed: dict[str, int] = attrs.field(factory=dict)

    def __repr__(self) -> str:
        return f"{self.owner.tenant}'s {self.captured} ({self.ref})"


@attrs.define(eq=False)
class Page:
    """A page that somebody has open, since when, and the refund that pressing its button became."""

    taken: Taken
    form: Mapping[str, str]
    opened_at: timedelta
    refund: Refund | None = None

    def __repr__(self) -> str:
        return f"page {self.form['request_id'][:6]} of {self.taken}"


@attrs.frozen
class Story:
    """The wiring and what has happened to it so far."""

    wiring: Wiring
    taken: list[Taken] = attrs.field(factory=list)

    def live_minor(self, taken: Taken) -> int:
        """What the live refunds of this payment add up to, everybody's, by the bank's truth."""
        return sum(refund.amount.amount_minor for refund in self._live(taken))

    def view(self, taken: Taken, by: Actor) -> PaymentView | None:
        """What this person is shown of the payment; None where they are refused."""
        try:
            view = self.wiring.show(taken.ref, by)
        except Exception as error:
            raise LawBroken("nothing_raised", PROMISES["nothing_raised"], f"{type(error).__name__}") from error
        return view if isinstance(view, PaymentView) else None

    def held(self, taken: Taken) -> Refund | None:
        """The refund of ours that its people are shown as holding the amount, if there is one."""
        view = self.view(taken, taken.owner)
        return next((refund for refund in view.refunds if HOLDS[refund.status]), None) if view else None

    @contextmanager
    def silent(self, promise: str) -> Iterator[None]:
        """Nothing may be sent meanwhile, or this promise is broken; no other worker runs."""
        sent = len(self.wiring.weather.sent)
        with self.wiring.weather.alone():
            yield
        keep(promise, len(self.wiring.weather.sent) == sent, "a send")

    def check(self) -> None:
        """Every promise that must hold at any moment."""
        for taken in self.taken:
            self._at_the_bank(taken)
            self._among_people(taken)

    def check_settled(self) -> None:
        """What must hold of our own refunds once everything works and the workers have run for long."""
        for taken, view in self._shown():
            hanging = [refund for refund in view.refunds if refund.status in _OPEN]
            asked = {each.payment for each in self.wiring.waiting(taken.owner)}
            keep(
                "nothing_left_hanging",
                not hanging or taken.ref in asked,
                *(refund.status for refund in hanging),
                "of",
                taken,
            )
            shown = {refund.gateway_id: refund.status for refund in view.refunds}
            for refund in self.wiring.bank.refunds(taken.ref):
                if refund.mark is not None:
                    self._is_shown(taken, refund, shown.get(refund.id))

    def check_reconciled(self) -> None:
        """What must hold of everybody's refunds once the payments were reconciled."""
        for taken, view in self._shown():
            shown = {refund.id: OBSERVED[refund.status][1] for refund in view.elsewhere}
            for refund in self.wiring.bank.refunds(taken.ref):
                if refund.mark is None:
                    self._is_shown(taken, refund, shown.get(refund.id))

    def _shown(self) -> Iterator[tuple[Taken, PaymentView]]:
        for taken in self.taken:
            view = self.view(taken, taken.owner)
            if view is not None:
                yield taken, view

    def _live(self, taken: Taken) -> list[GatewayRefund]:
        return [refund for refund in self.wiring.bank.refunds(taken.ref) if refund.status not in _DEAD]

    def _at_the_bank(self, taken: Taken) -> None:
        ours = [refund for refund in self.wiring.bank.refunds(taken.ref) if refund.mark is not None]
        live = [refund for refund in ours if refund.status not in _DEAD]
        keep("one_live_refund", len(live) <= 1, len(live), "of", taken)
        total = self.live_minor(taken)
        keep("never_above_captured", total <= taken.captured.amount_minor, total, "minor units of", taken)
        for refund in ours:
            verified = refund.amount.amount_minor in taken.pressed.values()
            keep(
                "sent_as_verified",
                verified,
                f"{refund.amount} of {taken}, where {len(taken.pressed)} were pressed",
            )
        keep("decided_once", len(ours) <= len(taken.pressed), len(ours), "at the bank of", taken)

    def _among_people(self, taken: Taken) -> None:
        view, strange = self.view(taken, taken.owner), self.view(taken, taken.stranger)
        keep("tenants_apart", strange is None, taken, "shown to", taken.stranger.tenant)
        keep("tenants_apart", view is not None or not taken.pages, taken, "not shown to its own people")
        asked = 0 if view is None else sum(refund.request_id is not None for refund in view.refunds)
        pressed = len(taken.pressed)
        keep("decided_once", asked <= pressed, asked, "asked for where", pressed, "pages were pressed, of", taken)

    def _is_shown(self, taken: Taken, refund: GatewayRefund, shown: Status | None) -> None:
        true = OBSERVED[refund.status][1]
        keep("true_status_shown", shown is true, shown or "nothing", "for a refund of", taken, "that is", true)
