"""What must hold at every moment, judged by true time and the bank's truth, never by a worker's view.

A broken one is written down, not raised: the service under test catches what a port raises. The driver stops
at the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from refund_adapters.simulation import pulled, received, splits
from refund_adapters.simulation.books import Book, Violation
from refund_adapters.simulation.guarded import Guards
from refund_adapters.simulation.paying import Paying
from refund_adapters.simulation.rest import refunds_of
from refund_domain.answers import Ask, Declined, NotSent, OutcomeUnknown, Picture, Reversal, Send
from refund_domain.commands import IssueRefund
from refund_domain.decider.ledger import (
    EMPTY,
    TRANSITIONS,
    Ledger,
    Status,
    evolve,
    fold,
    record_of,
    status_of,
)
from refund_domain.events import (
    Event,
    LegClaimed,
    LookScheduled,
    OutsideRecorded,
    PaymentSeen,
    RefundApproved,
    RefundNotMade,
    RefundRequested,
    SendAnswered,
    SendClaimed,
)
from refund_domain.payments import ControlRef, GatewayRefund, PaymentRef, Ref

if TYPE_CHECKING:
    from refund_adapters.simulation.workers import Op
    from refund_adapters.simulation.world import World

_ENDED: Final = (Status.DECLINED, Status.DROPPED, Status.NOT_MADE)
_ENDED_WORDS: Final = ("failed", "canceled")
_QUIET: Final = (LookScheduled, PaymentSeen)
_COUNTING: Final = ("won", "warning_closed", "prevented")


class Checker:
    """All invariants of one world. `found` is the first that broke, or None.

    Those named in `deaf` are not judged: to see that the harm itself is found, and not only the way to it.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.found: Violation | None = None
        self.deaf: frozenset[str] = frozenset()
        self.steps = 0
        self._books: dict[Ref, Book] = {}
        for ref in world.payments:
            picture = world.bank.picture(ref)
            captured = 0 if picture is None else picture.payment.captured.amount_minor
            self._books[ref] = Book(ref, captured)
        self._decided: set[tuple[str, int]] = set()
        self._received = 0
        self._first_arrival: dict[str, int] = {}
        self.guards = Guards(world)
        self._paying = Paying(world) if world.mode.pays else None

    def broken(self, name: str, what: str) -> None:
        """Write down that this invariant did not hold."""
        if self.found is None and name not in self.deaf:
            self.found = Violation(name=name, what=what, step=self.steps)

    @property
    def world(self) -> World:
        """The world that is judged."""
        return self._world

    @property
    def us(self) -> int:
        """True time."""
        return self._world.us

    def book(self, ref: Ref) -> Book:
        """What is known of this stream."""
        return self._books[ref]

    def known(self, ref: Ref) -> Book | None:
        """What is known of this stream; None where the bank never took such a payment."""
        return self._books.get(ref)

    @property
    def books(self) -> tuple[Book, ...]:
        """Every payment's."""
        return tuple(self._books.values())

    def captured_minor(self, ref: Ref) -> int:
        """What was captured, in minor units."""
        return self._books[ref].captured_minor

    def decided(self, command: IssueRefund) -> None:
        """A person has decided this."""
        self._decided.add((command.request_id, command.amount.amount_minor))

    # -- the journal --------------------------------------------------------------------------------------------

    def appended(self, op: Op, ref: Ref, events: Sequence[Event]) -> None:
        """These events have been committed to this stream by this operation."""
        if isinstance(ref, ControlRef):
            self.guards.appended(ref, events)
            return
        book = self._books.get(ref)
        if book is None:
            self.broken("signal", f"op {op.id} wrote to {ref}, and there is no such payment")
            return
        if op.merges:
            received.writes(self, op, book, events)
        if op.kind not in ("recover", "dispatch") and op.strange:
            self.broken("tenant", f"op {op.id} of another tenant wrote to {ref}")
        for event in events:
            self._step(book, event, op)
        book.version += len(events)
        if op.merges:
            received.told(book, op.picture, book.version)

    def _step(self, book: Book, event: Event, op: Op) -> None:
        before, ledger = book.ledger, evolve(book.ledger, event)
        book.ledger = ledger
        book.events.append(event)
        kind = type(event)
        if isinstance(event, PaymentSeen):
            self._newer(book, op)
        if kind in _QUIET:
            return
        if isinstance(event, pulled.OF_LEGS):
            pulled.written(self, op, book, event, before)
        elif isinstance(event, SendClaimed):
            self._may_send(book, event.send.refund_id)
            self.guards.claimed(book, event.send)
            key = event.send.refund_id, event.send.claim
            book.claims[key] = (event.send, op.id, self._world.us)
            self._claims(book, event.send, op, before)
        elif isinstance(event, SendAnswered):
            owner = book.claims[event.refund_id, event.claim][1]
            if owner not in (op.id, -1):
                self.broken(
                    "answer", f"op {op.id} answered claim {event.claim} of {event.refund_id}, op {owner}'s"
                )
        elif isinstance(event, RefundNotMade):
            record = record_of(ledger, event.refund_id)
            if event.by is None and record is not None and record.burnt and not self._world.policy.gateway_caps:
                self.broken("unasked", f"{event.refund_id} ended after a 5xx, and nobody was asked")
        elif isinstance(event, RefundRequested):
            book.requests[event.refund_id] = event
            if (event.request_id, event.amount.amount_minor) not in self._decided:
                self.broken("unrequested", f"{event.refund_id} was requested, but no person decided so")
            self.guards.requested(event)
        elif isinstance(event, RefundApproved):
            self.guards.approved(event, book)
        elif isinstance(event, OutsideRecorded):
            book.outside_minor += event.amount.amount_minor
            self._within_captured(book)
        for record in ledger.refunds:  # mostly one
            was, after = book.statuses.get(record.id), status_of(ledger, record)
            if was is after:
                continue
            book.statuses[record.id] = after
            if was is not None and after not in TRANSITIONS[was]:
                self.broken("transition", f"{record.id} went from {was} to {after} on {kind.__name__}")
            self._truthful(book, record.id, after)

    def _newer(self, book: Book, op: Op) -> None:
        """No picture of the payment is put on record over one that was read later."""
        if op.read_us < book.read_us:
            self.broken("older", f"op {op.id} puts a picture of {book.ref} over one that was read later")
        book.read_us = op.read_us

    def _claims(self, book: Book, send: Send, op: Op, before: Ledger) -> None:
        """A send is claimed on what the journal knows; it repeats one that may have been executed."""
        if isinstance(op.picture, Picture) and op.picture.payment != book.ledger.payment:
            self.broken("older", f"op {op.id} claims {send.refund_id} on a picture that is not the journal's")
        record = record_of(before, send.refund_id)
        claims = () if record is None else record.claims
        doubted = [claim.send.split for claim in claims if not isinstance(claim.answer, NotSent)]
        if doubted:
            book.bound[send.refund_id, send.claim] = doubted[0]

    def _may_send(self, book: Book, refund_id: str) -> None:
        """A key is spent once the gateway has said no, or that it would only replay its error."""
        record = record_of(book.ledger, refund_id)
        if record is None:
            return
        for claim in record.claims[:-1]:
            answer = claim.answer
            if isinstance(answer, Declined) or (isinstance(answer, OutcomeUnknown) and not answer.resend):
                self.broken("sent_again", f"{refund_id} is sent again after the gateway said {answer}")

    def _truthful(self, book: Book, refund_id: str, status: Status) -> None:
        """An ended belief means the bank never made it; a shown status belongs to a refund with our mark."""
        there = [refund for refund in refunds_of(self._world, book) if refund.mark == refund_id]
        if status in _ENDED and there:
            self.broken("lost", f"{refund_id} was called {status}, but the bank had made {there[0].id}")
        if status in (Status.PENDING, Status.SUCCEEDED, Status.FAILED, Status.CANCELED) and not there:
            self.broken("mistaken", f"{refund_id} is shown {status}, but the bank never made it")

    def lost_appends(self) -> None:
        """Committed events are gone: fold again what is left."""
        for book in self._books.values():
            events = self._world.shared.events.get(str(book.ref), ())
            if len(events) == book.version:
                continue
            book.forget()
            book.events = list(events)
            book.version = len(events)
            book.ledger = fold(EMPTY, events)
            for event in events:
                if isinstance(event, SendClaimed):
                    book.claims[event.send.refund_id, event.send.claim] = (event.send, -1, self._world.us)
                elif isinstance(event, LegClaimed):
                    asked = event.reversal
                    book.leg_claims[asked.refund_id, asked.transfer, asked.claim] = (asked, -1, self._world.us)
                elif isinstance(event, RefundRequested):
                    book.requests[event.refund_id] = event
                elif isinstance(event, OutsideRecorded):
                    book.outside_minor += event.amount.amount_minor
            book.statuses = {record.id: status_of(book.ledger, record) for record in book.ledger.refunds}

    # -- the gateway --------------------------------------------------------------------------------------------

    def licensed(self, op: Op, ask: Ask) -> None:
        """The operation is about to send: by its own young claim, what was verified, what a fresh look allows."""
        op.sent = True
        if op.merges:
            self.broken("signal", f"op {op.id} ({op.kind}) sends {ask.refund_id}")
        book = self._books[ask.payment]
        if isinstance(ask, Reversal):
            pulled.licensed(self, op, book, ask)
        else:
            self._licensed(op, book, ask)

    def _licensed(self, op: Op, book: Book, send: Send) -> None:
        key = send.refund_id, send.claim
        claim = book.claims.get(key)
        if claim is None:
            self.broken("unclaimed", f"op {op.id} sends {key} without a claim in the journal")
            return
        claimed, owner, at_us = claim
        if owner not in (op.id, -1):
            self.broken("unclaimed", f"op {op.id} sends on claim {key} of op {owner}")
        if key in book.sent:
            self.broken("unclaimed", f"claim {key} is sent twice")
        book.sent.add(key)
        if claimed != send:
            self.broken("unclaimed", f"op {op.id} sends something else than it claimed by {key}")
        if self._world.us - at_us > self._world.licence_us:
            self.broken("licence", f"claim {key} is sent {(self._world.us - at_us) / 1e6:.0f} s after its append")
        self.guards.sends(op, send, book.ledger.tenant)
        self._in_time(book, send)
        self._verified(op, book, send)
        world = self._world
        splits.check(self, op, book, send, world.kinds[send.payment], world.policy.return_application_fee)

    def _in_time(self, book: Book, send: Send) -> None:
        """A key goes again within 22 hours of the first claim in doubt only, give or take what clocks differ."""
        record = record_of(book.ledger, send.refund_id)
        if record is None:
            return
        for claim in record.claims:
            if not isinstance(claim.answer, NotSent):
                age_us = self._world.us - book.claims[send.refund_id, claim.send.claim][2]
                if age_us > self._world.resend_us:
                    self.broken(
                        "too_late", f"{send.refund_id} is sent {age_us / 3.6e9:.1f} h after its first claim"
                    )
                return

    def _verified(self, op: Op, book: Book, send: Send) -> None:
        """R4 and R3 by a second formula: what the look behind this send left is what a person verified."""
        request = book.requests.get(send.refund_id)
        if request is None or request.amount != send.amount:
            self.broken("amount", f"{send.refund_id} is sent with another amount than was verified")
        picture = op.picture
        if not isinstance(picture, Picture):
            self.broken("unseen", f"op {op.id} sends {send.refund_id} without a complete look")
            return
        live = sum(r.amount.amount_minor for r in picture.refunds if r.status not in _ENDED_WORDS)
        gone = max(live, picture.payment.given_back.amount_minor)
        disputed = sum(d.amount.amount_minor for d in picture.payment.disputes if d.status not in _COUNTING)
        left = picture.payment.captured.amount_minor - gone - disputed - book.outside_minor
        if send.amount.amount_minor != left:
            self.broken(
                "amount", f"{send.refund_id}: {send.amount.amount_minor} is sent where the look left {left}"
            )

    def bank_moved(self) -> None:
        """The bank may have received or made something."""
        self._world.bank_next = self._world.bank.next_at
        self._new_requests()
        if self._paying is not None:
            self._paying.moved()
        webhooks = self._world.webhooks
        for ref, book in self._books.items():
            if isinstance(ref, PaymentRef) and self._world.transfers[ref]:
                pulled.moved(self, book, self._world.transfers[ref])
            refunds = refunds_of(self._world, book)
            if refunds == book.refunds:  # unchanged ones are the very same objects
                continue
            if webhooks is not None and isinstance(ref, PaymentRef):
                webhooks.moved(ref, book.refunds, refunds)
            book.refunds = refunds
            if len(refunds) != len(book.made):
                self._new_refunds(book, refunds)

    def _new_requests(self) -> None:
        received = self._world.bank.received
        for request in received[self._received :]:
            us = self._world.us
            book = self._books.get(PaymentRef(request.account, request.charge))
            if request.key is None or request.key != request.mark:
                self.broken("key", f"a request came with key {request.key} and mark {request.mark}")
            if book is None or request.key is None:
                self.broken("stray", "a request came for a payment that does not exist")
                continue
            if not any(refund_id == request.key for refund_id, _ in book.claims):
                self.broken("unclaimed", f"a request of {request.key} arrived without a claim in the journal")
            first = self._first_arrival.setdefault(request.key, us)
            if us - first >= self._world.key_life_us:
                self.broken("key_outlived", f"{request.key} arrived {(us - first) / 3.6e9:.1f} h after its first")
            if book.statuses.get(request.key) in (Status.NOT_MADE, Status.DROPPED):
                self.broken("after_end", f"a request of {request.key} arrived after it had ended")
        self._received = len(received)

    def _new_refunds(self, book: Book, refunds: tuple[GatewayRefund, ...]) -> None:
        for refund in refunds:
            if refund.id in book.made:
                continue
            book.made.add(refund.id)
            if refund.mark is None:
                continue
            if book.statuses.get(refund.mark) in _ENDED:
                self.broken("after_end", f"{refund.mark} was made after it was {book.statuses[refund.mark]}")
            request = book.requests.get(refund.mark)
            if request is None or request.amount != refund.amount:
                self.broken("unrequested", f"{refund.id} was made, but nobody asked for it")
        marks = [refund.mark for refund in refunds if refund.mark is not None]
        if len(marks) != len(set(marks)):
            self.broken("doubled", f"one refund was made more than once: {sorted(marks)}")
        live = [r.mark for r in refunds if r.mark is not None and r.status not in _ENDED_WORDS]
        if len(live) > 1:
            self.broken("doubled", f"{book.ref} has {len(live)} live refunds of ours: {sorted(live)}")
        self._within_captured(book)

    def _within_captured(self, book: Book) -> None:
        ours = sum(
            refund.amount.amount_minor
            for refund in refunds_of(self._world, book)
            if refund.mark is not None and refund.status not in _ENDED_WORDS
        )
        if ours + book.outside_minor > book.captured_minor:
            self.broken("too_much", f"{ours} of ours and {book.outside_minor} outside of {book.captured_minor}")
