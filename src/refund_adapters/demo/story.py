"""What happens, chapter by chapter. Every outcome told here came back from a call; swap the fault and it changes.

Only the public face is used: the service, its values, two pure functions, the memory and SQLite adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

from refund_adapters.demo.scene import ACCOUNT, Call, Chapter, Drawn, Got, Said, Scene
from refund_adapters.wording import (
    CHOICE,
    REFUSAL,
    STATUS,
    Tone,
    method_name,
    quote_rows,
    to_client,
    to_staff,
    tone,
)
from refund_domain import PaymentRef, Quote, Refund, Refused, Status
from refund_domain.commands import Choice
from refund_domain.decider.attention import Attention
from refund_domain.payments import Ref
from refund_domain.payouts.reading import PayoutReading
from refund_domain.payouts.statement import PayoutStatement
from refund_domain.rules.cancellation import cancellation_notice
from refund_domain.rules.eligibility import cannot_be_stopped
from refund_domain.views import PaymentView

Steps = Iterator[Said | Call | Got | Drawn]

_MINUTES: Final = timedelta(minutes=2)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_UNSURE: Final = (Status.REQUESTED, Status.IN_DOUBT)


def story(scene: Scene) -> Iterator[Chapter]:
    """The chapters, what is known in the end, and the payout. Each is played when it is asked for."""
    told = _Story(scene)
    chapters: tuple[tuple[str, Callable[[], Steps]], ...] = (
        ("1. A booking paid by card, ACH and cash", told.booking),
        ("2. The amount to verify", told.quote),
        ("3. Issuing it", told.issue),
        ("4. The double click, and a second tab", told.double_click),
        ("5. The booking is cancelled", told.cancel),
        ("6. Can it be stopped?", told.stop),
        ("7. Trouble on the wire", told.trouble),
        ("8. Nine days later", told.later),
        ("9. What is known now", told.end),
        ("10. What the payout was made of", told.payout),
    )
    for title, play in chapters:
        yield Chapter(title, tuple(play()))


class _Story:
    """The chapters, and what one leaves to the next."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.refunds, self.maria = scene.refunds, scene.maria
        self.first_tab: Quote
        self.second_tab: Quote
        self.last: dict[str, tuple[str, str]] = {}

    def booking(self) -> Steps:
        """All payments at once: what may go back, and why not."""
        scene = self.scene
        yield Said("Booking 1042, a home inspection, was paid in three parts. Maria opens its refund page.")
        yield Call("quotes = refunds.quote_booking(booking, by=maria)")
        quotes = self.refunds.quote_booking(scene.booking, by=self.maria)
        for ref in scene.booking.payments:
            quote = next(quote for quote in quotes.quotes if quote.ref == ref)
            label, paid = method_name(scene.method(ref)), f"{quote.captured or quote.outside_left} paid."
            for no in quote.refusals:
                yield Got(label, f"{paid} {REFUSAL[no.code]}: {no}", tone(no))
            if not quote.refusals:
                yield Got(label, f"{paid} {quote.amount} may be refunded.", Tone.GOOD)

    def quote(self) -> Steps:
        """What the page shows beside the button."""
        card = self.scene.card
        yield Said("She chooses the card payment and types no amount. The page shows, read from the gateway now:")
        yield Call("quote = refunds.quote(card, by=maria)")
        self.first_tab = self.refunds.quote(card, by=self.maria)
        yield from (Got(label, text) for label, text in quote_rows(self.first_tab))
        yield Said("She opens the same page in a second tab.")
        yield Call("second = refunds.quote(card, by=maria)")
        self.second_tab = self.refunds.quote(card, by=self.maria)

    def issue(self) -> Steps:
        """One decision, one refund."""
        yield Said("She presses the button. The gateway is read again before anything is sent.")
        yield Call("command = quote.verified(by=maria)")
        yield Call("refund = refunds.issue(command)")
        yield from self.told(self.refunds.issue(self.first_tab.verified(by=self.maria)))
        yield self.at_the_bank(self.scene.card)

    def double_click(self) -> Steps:
        """The same decision again is the same refund; another one is told."""
        yield Said("The browser sends the same form once more.")
        yield Call("again = refunds.issue(command)")
        yield from self.told(self.refunds.issue(self.first_tab.verified(by=self.maria)))
        yield Said("Then she presses the button in the second tab.")
        yield Call("other = refunds.issue(second.verified(by=maria))")
        yield from self.told(self.refunds.issue(self.second_tab.verified(by=self.maria)))
        yield self.at_the_bank(self.scene.card)

    def cancel(self) -> Steps:
        """R5, and the cash (R2)."""
        scene = self.scene
        before = len(scene.bank.received)
        yield Said("The client cancels. The host marks the booking as cancelled, and asks what to tell people.")
        yield Call('notice = cancellation_notice("1042", views)')
        yield Got("Notice", str(cancellation_notice(scene.booking.label, self.views())))
        yield Got("Requests made", f"{len(scene.bank.received) - before} to the bank while cancelling")
        yield Said("The cash is handed back at the desk; that can only be written down.")
        yield Call('refunds.record_outside(cash, amount, by=maria, how="cash at the desk")')
        view = self.refunds.record_outside(
            scene.cash, scene.cash.amount, by=self.maria, how="cash at the desk", record_id="receipt-88-back"
        )
        yield self.seen(scene.cash, view)

    def stop(self) -> Steps:
        """R6."""
        yield Said("The client changes their mind, and Maria looks for a way to call the refund back.")
        view = self.refunds.show(self.scene.card, by=self.maria)
        for refund in view.refunds if isinstance(view, PaymentView) else ():
            yield Call("cannot_be_stopped(refund.id)")
            no = cannot_be_stopped(refund.id)
            yield Got(REFUSAL[no.code], str(no), tone(no))
            yield Got("It stands", STATUS[refund.status].label, tone(refund))

    def trouble(self) -> Steps:
        """A fault befalls the send; whatever it does, recovery ends it."""
        scene, ach = self.scene, self.scene.ach
        scene.time.forward(3 * _DAY)
        scene.bank.settle_payment(ach)
        yield Said("Thursday. The bank transfer has settled; that payout is paid and no other is in progress.")
        yield Call("quote = refunds.quote(ach, by=maria)")
        quote = self.refunds.quote(ach, by=self.maria)
        rows = dict(quote_rows(quote))
        yield from (Got(label, rows[label]) for label in ("To refund", "Comes from") if label in rows)
        fault = scene.fault
        yield Said(f"Scripted fault for the next call: {fault}.")
        scene.gateway.script(fault)
        yield Call("command = quote.verified(by=maria)")
        yield Call("refund = refunds.issue(command)")
        refund = self.refunds.issue(quote.verified(by=self.maria))
        yield from self.told(refund)
        yield self.at_the_bank(ach)
        if not isinstance(refund, Refund):
            return
        yield Said("Maria presses once more, and then wants to write a check instead.")
        yield Call("again = refunds.issue(command)")
        yield from self.told(self.refunds.issue(quote.verified(by=self.maria)))
        yield Call('check = refunds.record_outside(ach, amount, by=maria, how="check 1206")')
        check = self.refunds.record_outside(ach, refund.amount, by=self.maria, how="check 1206")
        yield self.seen(ach, check)
        yield Said("She goes home. A cron job calls recover(); time passes.")
        yield Call("refunds.recover()")
        yield from self.until(refund, lambda now: now.status not in _UNSURE, self.minutes())
        yield self.at_the_bank(ach)
        yield from self.until(refund, lambda now: now.status is not Status.PENDING, [_DAY] * 5)

    def later(self) -> Steps:
        """Succeeded is not final."""
        other = self.scene.other
        yield Said("Another booking, another card. Its refund is issued, and the story goes on for ten days.")
        yield Call("refund = refunds.issue(refunds.quote(other, by=maria).verified(by=maria))")
        refund = self.refunds.issue(self.refunds.quote(other, by=self.maria).verified(by=self.maria))
        yield from self.told(refund)
        if not isinstance(refund, Refund):
            return
        yield from self.until(refund, lambda now: False, [_DAY] * 10)
        view = self.refunds.show(other, by=self.maria)
        if isinstance(view, PaymentView) and view.left is not None and view.left.amount_minor:
            yield Said("She writes a check, records it, and answers what waited for her.")
            yield Call('refunds.record_outside(other, left, by=maria, how="check 1207")')
            yield self.seen(other, self.refunds.record_outside(other, view.left, by=self.maria, how="check 1207"))
        yield from self.answered(other)

    def end(self) -> Steps:
        """What the journal holds, and what the bank did."""
        scene = self.scene
        yield Call("refunds.show(payment, by=maria)")
        for ref in (*scene.booking.payments, scene.other):
            yield self.seen(ref, self.refunds.show(ref, by=self.maria))
        yield from (self.at_the_bank(ref) for ref in (scene.card, scene.ach, scene.other))
        waiting = self.refunds.attention(by=self.maria)
        if not isinstance(waiting, Refused):
            yield Got("Wait for Maria", str(sum(len(payment.items) for payment in waiting)))

    def payout(self) -> Steps:
        """R8 afterwards: which payout became smaller, and by what."""
        scene = self.scene
        made = scene.pay_out()
        yield Said(
            f"{scene.in_progress}, which was on its way, arrived whole: a gateway takes refunds from the balance, "
            "so the next payout is smaller. Maria wants to know what that is made of."
        )
        yield Call(f'answer = PayoutReading(payouts, account, "{made}", label=label).statement()')
        answer = PayoutReading(scene.payouts, ACCOUNT, made, label=scene.label).statement()
        yield Got(f"Payout {made}", str(answer))
        if isinstance(answer, PayoutStatement):
            yield Drawn(answer)

    # --- what several chapters tell --------------------------------------------------------------------

    def told(self, said: Refund | Refused) -> Steps:
        """What came back of a call that issues."""
        if isinstance(said, Refused):
            yield Got("Refused", to_staff(said), tone(said))
            return
        yield Got(f"Refund {said.id}", to_staff(said), tone(said))
        if said.id not in self.last:
            yield Got("Tell the client", to_client(said, self.scene.method(said.payment)))
        self.last[said.id] = (to_staff(said), to_client(said, self.scene.method(said.payment)))

    def at_the_bank(self, ref: PaymentRef) -> Got:
        """The truth, which no host can see so directly: what reached the bank, and what it made."""
        bank = self.scene.bank
        asked = sum(received.charge == ref.charge for received in bank.received)
        return Got(
            "At the bank", f"{ACCOUNT}/{ref.charge}: asked {_times(asked)}, {_refunds(bank.made(ref))} made"
        )

    def views(self) -> list[PaymentView | Refused]:
        """The booking's payments as the journal has them."""
        return [self.refunds.show(ref, by=self.maria) for ref in self.scene.booking.payments]

    def seen(self, ref: Ref, view: PaymentView | Refused) -> Got:
        """One payment in a line, or why it cannot be shown."""
        label = method_name(self.scene.method(ref))
        if isinstance(view, Refused):
            return Got(label, to_staff(view), tone(view))
        parts = [f"{refund.amount} {STATUS[refund.status].label.lower()}" for refund in view.refunds]
        parts += [f"{record.amount} given back outside ({record.how})" for record in view.outside]
        return Got(label, "; ".join([*parts, f"{view.left} left"]))

    def minutes(self) -> list[timedelta]:
        """Waits for a cron job: 2 minutes, 4, 8 … then hourly, for a day and a half."""
        return [min(_MINUTES * 2**turn, _HOUR) for turn in range(40)]

    def until(self, refund: Refund, done: Callable[[Refund], bool], waits: list[timedelta]) -> Steps:
        """Let time pass and recovery run; tell every change, and answer what waits for a person meanwhile."""
        scene = self.scene
        for wait in waits:
            view = self.refunds.show(refund.payment, by=self.maria)
            if isinstance(view, PaymentView):
                refund = next(each for each in view.refunds if each.id == refund.id)
            yield from self.news(refund)
            if done(refund):
                return
            if refund.status in _UNSURE:
                yield from self.answered(refund.payment)
            scene.time.forward(wait)
            self.refunds.recover()

    def news(self, refund: Refund) -> Steps:
        """What people would be told of this refund now, if it is not what they were told last."""
        now = (to_staff(refund), to_client(refund, self.scene.method(refund.payment)))
        before, self.last[refund.id] = self.last.get(refund.id, ("", "")), now
        if now[0] != before[0]:
            yield Got(f"{self.scene.time():%a %b %d, %H:%M}", now[0], tone(refund))
        if now[1] != before[1]:
            yield Got("Tell the client", now[1])

    def answered(self, ref: PaymentRef) -> Steps:
        """What waits for a person at this payment, and the answer they give."""
        waiting = self.refunds.attention(by=self.maria)
        for payment in () if isinstance(waiting, Refused) else waiting:
            for item in payment.items if payment.payment == ref else ():
                yield Got("Waits for Maria", item.says, Tone.CARE)
                choice = self.choice(ref, item)
                yield Call(
                    "refunds.settle(payment, subject=item.subject, code=item.code, choice=choice, by=maria)"
                )
                self.refunds.settle(ref, subject=item.subject, code=item.code, choice=choice, by=self.maria)
                yield Got("She answers", CHOICE[choice])

    def choice(self, ref: PaymentRef, item: Attention) -> Choice:
        """What she answers after a look at the gateway's own dashboard."""
        if Choice.NOT_MADE in item.choices and self.scene.bank.made(ref) == 0:
            return Choice.NOT_MADE
        return item.choices[-1]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _refunds(count: int) -> str:
    return f"{count} refund" if count == 1 else f"{count} refunds"
