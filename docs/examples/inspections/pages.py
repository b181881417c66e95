"""The host's pages, as functions from a signed-in user to an answer; no framework, so that any framework fits.

Read `refund` and `press` first: that is the Refund button.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import NamedTuple

from docs.examples.inspections.office import Inspection, Office, User
from refund_adapters.wording import CHOICE, MOVE, quote_rows, to_staff
from refund_domain import OutsideRef, PaymentRef, Refund, RefundService, Refused
from refund_domain.commands import Choice, FormError
from refund_domain.payments import AnyPayment
from refund_domain.quotes import IssueBooking, NotTried
from refund_domain.rules.cancellation import cancellation_notice
from refund_domain.views import PaymentView


class Answer(NamedTuple):
    """What a page answers: an HTTP status and a body, or where to go next."""

    status: int
    body: str = ""
    location: str | None = None


NOT_FOUND = Answer(404, "<p>There is no such booking.")


class Pages:
    """All pages of the host that have to do with refunds. `hidden` goes into every form: the host's own guard."""

    def __init__(self, office: Office, refunds: RefundService, hidden: str = "") -> None:
        self.office, self.refunds, self.hidden = office, refunds, hidden

    # --- the Refund button ------------------------------------------------------------------------------

    def refund(self, user: User, number: str) -> Answer:
        """GET: what a refund of this booking would send, payment by payment, or every reason why not."""
        inspection = self.office.find(number, user)
        if inspection is None:
            return NOT_FOUND
        quotes = self.refunds.quote_booking(inspection.booking, by=user.actor)
        body = f"<h1>Refund booking {escape(number)}</h1>"
        for quote in quotes.quotes:
            body += f"<h2>{escape(name(quote.ref))}</h2>{table(quote_rows(quote))}"
        if quotes.refundable:
            total = " + ".join(str(quote.amount) for quote in quotes.refundable)
            body += self.form(f"/bookings/{number}/refund", quotes.form(), f"Refund {total}")
        return Answer(200, body)

    def press(self, user: User, number: str, form: Mapping[str, str]) -> Answer:
        """POST: the person has seen the amounts and decided. Pressing twice is one refund."""
        inspection = self.office.find(number, user)
        if inspection is None:
            return NOT_FOUND
        try:
            command = IssueBooking.from_form(form, booking=inspection.booking, by=user.actor)
        except FormError as error:
            return Answer(400, f"<p>The field {escape(error.field)} did not come back. Open the page again.")
        results = self.refunds.issue_booking(command)
        if all(isinstance(result, Refund) for result in results):
            return Answer(303, location=f"/bookings/{number}")
        said = "".join(f"<li>{escape(self.result(result))}" for result in results)
        status = next((result.http_status for result in results if isinstance(result, Refused)), 503)
        return Answer(status, f"<ul>{said}</ul><p><a href='/bookings/{escape(number)}/refund'>A new quote</a>")

    def result(self, result: Refund | Refused | NotTried) -> str:
        """What became of one payment."""
        if isinstance(result, NotTried):
            said = "Press the button again, and repay nothing by other means."
            return f"{name(result.payment)}: {result.error}; its refund may still be sent. {said}"
        return to_staff(result)

    # --- how it stands ----------------------------------------------------------------------------------

    def bookings(self, user: User) -> Answer:
        """GET: all bookings of the user's firm."""
        rows = "".join(
            f"<li><a href='/bookings/{escape(each.number)}'>{escape(each.number)}</a> {escape(each.what)}"
            for each in self.office.of(user.tenant)
        )
        return Answer(200, f"<h1>Bookings</h1><ul>{rows}</ul><p><a href='/attention'>What waits for somebody</a>")

    def booking(self, user: User, number: str) -> Answer:
        """GET: one booking, its payments and refunds; no network is used."""
        inspection = self.office.find(number, user)
        if inspection is None:
            return NOT_FOUND
        body = f"<h1>Booking {escape(number)}</h1>"
        if inspection.cancelled:
            body += f"<p>{escape(str(cancellation_notice(number, self.views(user, inspection))))}"
        else:
            body += self.form(f"/bookings/{number}/cancel", {}, "Cancel the booking (refunds nothing)")
        for ref in inspection.payments:
            body += f"<h2>{escape(name(ref))}</h2><ul>{self.payment(user, number, ref)}</ul>"
        return Answer(200, f"{body}<p><a href='/bookings/{escape(number)}/refund'>Refund …</a>")

    def payment(self, user: User, number: str, ref: AnyPayment) -> str:
        """One payment: each refund in a sentence, what was given back outside, what is left."""
        view = self.refunds.show(ref, by=user.actor)
        if isinstance(view, Refused):
            return "<li>Nothing has been asked of it yet."
        lines = [to_staff(refund) for refund in view.refunds]
        lines += [f"{record.amount} given back outside: {record.how}." for record in view.outside]
        body = "".join(f"<li>{escape(line)}" for line in [*lines, f"Left: {view.left}."])
        if isinstance(ref, OutsideRef) and view.left is not None and view.left.amount_minor:
            body += self.form(
                f"/bookings/{number}/handed-back", {"payment": ref.id}, f"{view.left} was handed back"
            )
        return body

    def views(self, user: User, inspection: Inspection) -> Iterable[PaymentView | Refused]:
        """The booking's payments as the journal has them; what nobody has quoted yet it does not know."""
        return [self.refunds.show(ref, by=user.actor) for ref in inspection.payments]

    # --- what else a person does ------------------------------------------------------------------------

    def cancel(self, user: User, number: str) -> Answer:
        """POST: cancel the booking. R5: that never refunds anything."""
        inspection = self.office.find(number, user)
        if inspection is None:
            return NOT_FOUND
        self.office.cancel(inspection)
        return Answer(303, location=f"/bookings/{number}")

    def handed_back(self, user: User, number: str, form: Mapping[str, str]) -> Answer:
        """POST: an outside payment was handed back; recorded once, however often the button is pressed."""
        inspection = self.office.find(number, user)
        refs = () if inspection is None else inspection.payments
        ref = next((r for r in refs if isinstance(r, OutsideRef) and r.id == form.get("payment")), None)
        if ref is None:
            return NOT_FOUND
        said = self.refunds.record_outside(
            ref, ref.amount, by=user.actor, how="handed back at the office", record_id=f"{ref.id}-handed-back"
        )
        if isinstance(said, Refused):
            return Answer(said.http_status, f"<p>{escape(to_staff(said))}")
        return Answer(303, location=f"/bookings/{number}")

    def attention(self, user: User) -> Answer:
        """GET: what waits for a person of this firm, with a button for each answer."""
        waiting = self.refunds.attention(by=user.actor)
        if isinstance(waiting, Refused):
            return Answer(waiting.http_status, f"<p>{escape(to_staff(waiting))}")
        body = "<h1>What waits for somebody</h1>"
        for payment in waiting:
            for item in payment.items:
                body += f"<h2>{escape(name(payment.payment))}</h2><p>{escape(item.says)} {escape(MOVE[item.move])}"
                for choice in item.choices:
                    fields = {"payment": str(payment.payment), "subject": item.subject, "code": item.code}
                    body += self.form("/attention", fields | {"choice": choice.value}, CHOICE[choice])
        return Answer(200, body)

    def settle(self, user: User, form: Mapping[str, str]) -> Answer:
        """POST: the answer. The library compares payment and tenant; there is no answer that sends."""
        try:
            ref, choice = PaymentRef.parse(form.get("payment", "")), Choice(form.get("choice", ""))
            subject, code = form.get("subject", ""), form.get("code", "")
            said = self.refunds.settle(ref, subject=subject, code=code, choice=choice, by=user.actor)
        except ValueError:  # of what came back from the page, a part is missing or was written by somebody else
            return Answer(400, "<p>That is none of the answers. Open the page again.")
        if isinstance(said, Refused):
            return Answer(said.http_status, f"<p>{escape(to_staff(said))}")
        return Answer(303, location="/attention")

    def form(self, action: str, fields: Mapping[str, str], button: str) -> str:
        """A form with hidden fields and one button."""
        hidden = "".join(
            f"<input type='hidden' name='{escape(key)}' value='{escape(value)}'>" for key, value in fields.items()
        )
        inside = f"{self.hidden}{hidden}<button>{escape(button)}</button>"
        return f"<form method='post' action='{escape(action)}'>{inside}</form>"


def name(ref: AnyPayment) -> str:
    """A payment's name on a page."""
    return f"{ref.method}, {ref.amount}" if isinstance(ref, OutsideRef) else f"Payment {ref.charge}"


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Rows of label and text."""
    cells = "".join(f"<tr><th>{escape(label)}<td>{escape(text)}" for label, text in rows)
    return f"<table>{cells}</table>"
