"""Wirings that each make one mistake hosts make, so that no promise of the machine can hold for want of trying."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import attrs

from refund_adapters.memory import ManualClock, MemoryBank, MemoryGateway, MemoryJournal
from refund_domain import Actor, Money, PaymentRef, RefundService, Refused
from refund_domain.answers import Accepted, Answer, Ask, Declined, Look, OutcomeUnknown, Picture, Send
from refund_domain.commands import Action
from refund_domain.errors import JournalUnavailable
from refund_domain.events import Event
from refund_domain.money import Currency
from refund_domain.payments import Ref
from refund_domain.ports import Head, PaymentGateway
from refund_domain.signals import Signal
from refund_domain.testing.weather import Weather
from refund_domain.testing.wiring import Told, Wiring
from refund_domain.views import PaymentView

USD: Final = Currency.of("USD")


class Host(Wiring):
    """A sound wiring of everything in memory, to be broken in one place."""

    def __init__(self) -> None:
        self.clock = ManualClock(datetime(2026, 11, 2, 9, tzinfo=UTC))
        self.memory = MemoryBank(self.clock, cap=False)
        self.owners: dict[PaymentRef, str] = {}
        weather = Weather()
        self.gateway = self.at(weather.over(MemoryGateway(self.memory)))
        self.journal = self.keeps()
        super().__init__(
            self.serves(),
            bank=self.memory,
            weather=weather,
            forward=self.clock.forward,
            own=self.owners.__setitem__,
            restart=self.serves,
        )

    def at(self, gateway: PaymentGateway) -> PaymentGateway:
        """What the service has for a gateway."""
        return gateway

    def keeps(self) -> MemoryJournal:
        """The journal."""
        return MemoryJournal(self.clock)

    def serves(self) -> RefundService:
        """The service, made anew."""
        return RefundService(self.gateway, self.journal, allow=self.may)

    def may(self, actor: Actor, action: Action, ref: Ref | None) -> bool:
        """Everybody the payments of their own tenant."""
        return ref is None or (isinstance(ref, PaymentRef) and self.owners.get(ref) == actor.tenant)

    def pay(self, ref: PaymentRef, amount: Money) -> None:
        """Refund by a request of the host's own, past the library."""
        self.memory.refund(ref.account, ref.charge, amount.amount_minor, key=None, mark=os.urandom(8).hex())


class NewIdPerClick(Host):
    """Mints a request id with each click, instead of with the page."""

    def press(self, ref: PaymentRef, by: Actor, form: Mapping[str, str]) -> Told:
        """As the sound one, but for the id."""
        return super().press(ref, by, {**form, "request_id": os.urandom(16).hex()})


class QuotesAtTheClick(Host):
    """Verifies by itself what the service quotes at the click, whatever the page said."""

    def press(self, ref: PaymentRef, by: Actor, form: Mapping[str, str]) -> Told:
        """As the sound one, with a form that nobody saw."""
        fresh = self.page(ref, by)
        return Told.REFUSED if fresh is None else super().press(ref, by, fresh)


class AmountFromThePage(Host):
    """Refunds what the hidden field says, past the library, where that refuses."""

    def press(self, ref: PaymentRef, by: Actor, form: Mapping[str, str]) -> Told:
        """Believes the page."""
        told = super().press(ref, by, form)
        if told is Told.REFUSED and form["amount_minor"].isdigit() and self.may(by, Action.ISSUE, ref):
            self.pay(ref, Money(int(form["amount_minor"]), USD))
        return told


class SendsWhatIsLeft(Host):
    """Where the amount has changed, sends the new one: nobody saw it."""

    def __init__(self) -> None:
        super().__init__()
        self.renewed: dict[str, Mapping[str, str]] = {}

    def press(self, ref: PaymentRef, by: Actor, form: Mapping[str, str]) -> Told:
        """Quotes and verifies by itself; a second click is of the page it made."""
        page = form["request_id"]
        told = super().press(ref, by, self.renewed.get(page, form))
        fresh = self.page(ref, by) if told is Told.REFUSED else None
        if fresh is None or fresh["amount_minor"] == form["amount_minor"]:
            return told
        self.renewed[page] = fresh
        return super().press(ref, by, fresh)


class RetriesFailures(Host):
    """Refunds again by itself what has failed, in its nightly job."""

    def work(self) -> None:
        """And nobody decided so."""
        super().work()
        for ref, tenant in self.owners.items():
            job = Actor(id="job", tenant=tenant)
            view = self.service.show(ref, by=job)
            if isinstance(view, PaymentView) and any(str(refund.status) == "failed" for refund in view.refunds):
                quote = self.service.quote(ref, by=job)
                if not quote.refusals and quote.amount == view.refunds[0].amount:
                    self.service.issue(quote.verified(by=job))


class RefundsByHand(Host):
    """Takes "given back outside" for "refund it in the dashboard"."""

    def outside(self, ref: PaymentRef, amount: Money, by: Actor) -> None:
        """Whatever is left."""
        self.memory.elsewhere(ref, amount)


class AllowsEverybody(Host):
    """Asks for no tenant."""

    def may(self, actor: Actor, action: Action, ref: Ref | None) -> bool:
        """Always."""
        return True


class AllowsNobody(Host):
    """Its `allow` lets people quote, and nobody see."""

    def may(self, actor: Actor, action: Action, ref: Ref | None) -> bool:
        """All but showing."""
        return super().may(actor, action, ref) and action is not Action.SHOW


class LooksUpNoTenant(Host):
    """Checks who the actor is when showing and quoting, and forgets it where the button is pressed."""

    def press(self, ref: PaymentRef, by: Actor, form: Mapping[str, str]) -> Told:
        """Presses as the owner, whoever is there."""
        return super().press(ref, Actor(id=by.id, tenant=self.owners[ref]), form)


class ShowsToEverybody(Host):
    """Looks a payment up by its id, whoever asks."""

    def show(self, ref: PaymentRef, by: Actor) -> PaymentView | Refused:
        """As its owner sees it."""
        return super().show(ref, Actor(id=by.id, tenant=self.owners[ref]))


class OpensForEverybody(Host):
    """Opens the page by the payment's id, whoever asks."""

    def page(self, ref: PaymentRef, by: Actor) -> Mapping[str, str] | None:
        """As its owner sees it."""
        return super().page(ref, Actor(id=by.id, tenant=self.owners[ref]))


class SwallowsRefused(Host):
    """Says "refunded" to whoever presses."""

    def press(self, ref: PaymentRef, by: Actor, form: Mapping[str, str]) -> Told:
        """Always good news, for those who may."""
        super().press(ref, by, form)
        return Told.UNDER_WAY if self.may(by, Action.ISSUE, ref) else Told.REFUSED


class ForgetfulJournal(MemoryJournal):
    """Loses every third append, and says it was written."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self._appends = 0

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        """Nothing, now and then."""
        self._appends += 1
        if self._appends % 3 == 0:
            return self.load(ref).now
        return super().append(ref, events, expected=expected, head=head)


class LosesAnAppend(Host):
    """Keeps its events where one in three is lost."""

    def keeps(self) -> MemoryJournal:
        """A journal with holes."""
        return ForgetfulJournal(self.clock)


class JournalInTheProcess(Host):
    """Keeps its events in the process: a restart forgets them."""

    def serves(self) -> RefundService:
        """A new journal with each start."""
        return RefundService(self.gateway, self.keeps(), allow=self.may)


@attrs.frozen
class Retrying:
    """Sends again under another key when no answer came."""

    gateway: PaymentGateway
    live: bool = False

    def look(self, ref: PaymentRef, /) -> Look:
        """As the gateway."""
        return self.gateway.look(ref)

    def send(self, send: Ask, /) -> Answer:
        """Again, under a fresh key."""
        answer = self.gateway.send(send)
        if isinstance(answer, OutcomeUnknown) and isinstance(send, Send):
            return self.gateway.send(attrs.evolve(send, refund_id=os.urandom(16).hex()))
        return answer


class RetriesWithAFreshKey(Host):
    """Has a gateway that means well."""

    def at(self, gateway: PaymentGateway) -> PaymentGateway:
        """With retries."""
        return Retrying(gateway)


@attrs.frozen
class TimeoutIsNo(Retrying):
    """Takes no answer for a no."""

    def send(self, send: Ask, /) -> Answer:
        """A no for everything but a yes."""
        answer = self.gateway.send(send)
        return answer if isinstance(answer, Accepted) else Declined(code="timeout")


class TakesATimeoutForANo(Host):
    """Has a gateway that knows two answers."""

    def at(self, gateway: PaymentGateway) -> PaymentGateway:
        """Yes and no."""
        return TimeoutIsNo(gateway)


@attrs.frozen
class OursOnly(Retrying):
    """Lists no refund but ours, and believes the payment's figure no more."""

    def look(self, ref: PaymentRef, /) -> Look:
        """Without what others did."""
        look = self.gateway.look(ref)
        if not isinstance(look, Picture):
            return look
        ours = tuple(refund for refund in look.refunds if refund.mark is not None)
        given = Money(sum(refund.amount.amount_minor for refund in ours), look.payment.captured.currency)
        return Picture(payment=attrs.evolve(look.payment, given_back=given), refunds=ours)

    def send(self, send: Ask, /) -> Answer:
        """As the gateway."""
        return self.gateway.send(send)


class SeesItsOwnOnly(Host):
    """Has a gateway that filters by metadata."""

    def at(self, gateway: PaymentGateway) -> PaymentGateway:
        """Ours only."""
        return OursOnly(gateway)


class RefundsOnCancel(Host):
    """Cancels a booking and refunds it in one go."""

    def cancel(self, ref: PaymentRef, by: Actor) -> None:
        """And nobody was asked."""
        quote = self.service.quote(ref, by=by)
        if not quote.refusals:
            self.service.issue(quote.verified(by=by))


class RequestsOnCancel(Host):
    """Cancels a booking and leaves a request behind for the queue."""

    def cancel(self, ref: PaymentRef, by: Actor) -> None:
        """And nobody was asked."""
        quote = self.service.quote(ref, by=by)
        if not quote.refusals:
            self.service.request(quote.verified(by=by))


class PaysAnewInDoubt(Host):
    """Takes a doubt for a failure, and pays by a request of its own."""

    def press(self, ref: PaymentRef, by: Actor, form: Mapping[str, str]) -> Told:
        """Once more, to be sure."""
        told = super().press(ref, by, form)
        view = self.service.show(ref, by=by)
        if isinstance(view, PaymentView) and [str(refund.status) for refund in view.refunds] == ["in_doubt"]:
            self.pay(ref, view.refunds[0].amount)
        return told


class FailsInDoubt(Host):
    """Its page knows no word for a doubt."""

    def press(self, ref: PaymentRef, by: Actor, form: Mapping[str, str]) -> Told:
        """Breaks where a template would."""
        told = super().press(ref, by, form)
        view = self.service.show(ref, by=by)
        if isinstance(view, PaymentView):
            for refund in view.refunds:
                {"in_doubt": []}.get(str(refund.status), [0])[0]
        return told


class ShowsOnlyTheSettled(Host):
    """Its page about a payment breaks while a refund is under way."""

    def show(self, ref: PaymentRef, by: Actor) -> PaymentView | Refused:
        """Breaks where a template would."""
        view = super().show(ref, by)
        if isinstance(view, PaymentView) and any(str(refund.status) == "pending" for refund in view.refunds):
            raise KeyError("pending")
        return view


class NeverRecovers(Host):
    """Has wired no recovery job."""

    def work(self) -> None:
        """Nothing."""


class NeverReconciles(Host):
    """Has wired no daily look, and no page shows what the dashboard did."""

    def reconcile(self, ref: PaymentRef) -> None:
        """Nothing."""


class SendsFromWebhooks(Host):
    """Does the payment's job whenever a webhook comes."""

    def receive(self, signal: Signal) -> None:
        """And sends."""
        super().receive(signal)
        if signal.ref is not None:
            self.service.dispatch(signal.ref)


class SendsInTheRequest(Host):
    """Sends within the transaction that should only write the decision down."""

    def ask(self, ref: PaymentRef, by: Actor, form: Mapping[str, str]) -> Told:
        """And sends."""
        return self.press(ref, by, form)


class RaisesAfterTheSend(Host):
    """Writes its own row after the refund, in a database that is sometimes gone."""

    def press(self, ref: PaymentRef, by: Actor, form: Mapping[str, str]) -> Told:
        """The send has left, and the page is an error."""
        sent = len(self.weather.sent)
        told = super().press(ref, by, form)
        if len(self.weather.sent) > sent:
            raise JournalUnavailable("the host's database is gone")
        return told


BROKEN_WIRINGS: Final[tuple[tuple[type[Host], frozenset[str]], ...]] = (
    (NewIdPerClick, frozenset({"told_the_truth", "decided_once"})),
    (QuotesAtTheClick, frozenset({"sent_as_verified", "told_the_truth", "decided_once"})),
    (AmountFromThePage, frozenset({"sent_as_verified", "one_live_refund"})),
    (SendsWhatIsLeft, frozenset({"sent_as_verified"})),
    (AllowsEverybody, frozenset({"tenants_apart"})),
    (AllowsNobody, frozenset({"tenants_apart"})),
    (LooksUpNoTenant, frozenset({"tenants_apart"})),
    (ShowsToEverybody, frozenset({"tenants_apart"})),
    (OpensForEverybody, frozenset({"tenants_apart"})),
    (SwallowsRefused, frozenset({"told_the_truth"})),
    (LosesAnAppend, frozenset({"tenants_apart", "nothing_raised", "told_the_truth", "true_status_shown"})),
    (JournalInTheProcess, frozenset({"tenants_apart"})),
    (RetriesWithAFreshKey, frozenset({"one_live_refund"})),
    (TakesATimeoutForANo, frozenset({"true_status_shown", "one_live_refund"})),
    (SeesItsOwnOnly, frozenset({"never_above_captured", "true_status_shown"})),
    (RefundsByHand, frozenset({"never_above_captured"})),
    (RefundsOnCancel, frozenset({"cancelling_refunds_nothing"})),
    (RequestsOnCancel, frozenset({"cancelling_refunds_nothing"})),
    (PaysAnewInDoubt, frozenset({"one_live_refund"})),
    (RetriesFailures, frozenset({"decided_once"})),
    (FailsInDoubt, frozenset({"nothing_raised"})),
    (ShowsOnlyTheSettled, frozenset({"nothing_raised"})),
    (RaisesAfterTheSend, frozenset({"nothing_raised"})),
    (NeverRecovers, frozenset({"nothing_left_hanging"})),
    (NeverReconciles, frozenset({"true_status_shown"})),
    (SendsFromWebhooks, frozenset({"sent_by_button_or_worker"})),
    (SendsInTheRequest, frozenset({"sent_by_button_or_worker"})),
)
"""Each mistake with the promises it breaks, one of which is the first that a machine sees broken."""
