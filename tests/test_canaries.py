"""Canaries everywhere: a whole life of refunds, in which a client's data and every secret stand in every input.

What comes out is searched: values, errors and all that hangs on them, their pickles, the journal's file to the
last byte, what went to the gateway, what was printed. Log records are `canary_watch`'s, for this test as for all.
"""

from __future__ import annotations

import inspect
import json
import logging
import re
import socket
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

import attrs
import pytest
import stripe

from refund_adapters.memory import Course, Fault, MemoryBank, MemoryGateway
from refund_adapters.observing import LogObserver
from refund_adapters.sql import SqliteJournal
from refund_adapters.stripe import AsyncStripeGateway
from refund_adapters.stripe.webhooks import StripeWebhooks
from refund_domain import (
    Actor,
    AsyncRefundService,
    IssueRefund,
    Money,
    PaymentRef,
    Refund,
    RefundService,
    Refused,
)
from refund_domain.answers import Answer, Ask, Look, Unread
from refund_domain.commands import Action, Choice
from refund_domain.connect import PLATFORM
from refund_domain.decider.evidence import Evidence
from refund_domain.decider.ledger import Status
from refund_domain.errors import GatewayUnreadable
from refund_domain.operations.feeds import FeedPage, Window
from refund_domain.operations.reconcile import Position, Reconciled, Reconciliation, Unowned, Unreconciled
from refund_domain.payments import OutsideRef, Ref
from refund_domain.quotes import Booking, Quote
from refund_domain.service.observations import Kind, Observation
from refund_domain.service.watch import Observe
from refund_domain.signals import Signal, Subject
from refund_domain.views import PaymentView
from tests.adapters.hostile_server import Received, answer, hang_up, hostile_server
from tests.adapters.signed import body_of, endpoint, signed, snapshot
from tests.adapters.stripe_clients import CLIENTS, Awaited, awaited, stripe_over
from tests.adapters.test_stripe_hostile import _charge, _dispute, _error, _refund
from tests.canaries import (
    CARD,
    EMAIL,
    HTML,
    KEY,
    LIVE_KEY,
    NAME,
    NOTE,
    OF_HOST,
    TEXT,
    WEBHOOK_SECRET,
    found_in,
    linked,
    silent,
)
from tests.domain.worlds import (
    HOUR,
    MARIA,
    MINUTE,
    START,
    AwaitedFeed,
    AwaitedGateway,
    AwaitedJournal,
    Clock,
)
from tests.stripe_double.double import StripeDouble
from tests.stripe_double.objects import Payer
from tests.stripe_mock import server as mock_server

WINDOW: Final = Window(start=START - 365 * 24 * HOUR, end=START + 365 * 24 * HOUR)
LOG: Final = logging.getLogger("canaries.observed")

RARE: Final = {
    *(Kind.BEATEN, Kind.DROPPED, Kind.UNWRITTEN, Kind.NOT_MADE, Kind.PERSON_ASKED, Kind.SETTLED),
    *(Kind.APPROVED, Kind.ALLOWANCE_TAKEN),
    *(Kind.LEG_CLAIMED, Kind.LEG_ANSWERED, Kind.LEG_SEEN, Kind.LEG_NOT_MADE),
}
"""What need not happen in every life; none of it holds a text that came from outside."""

MALLORY = Actor(id="mallory", tenant="acme")
"""Of whom the host's `allow` falls over, with everything it knows in its exception."""


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep stripe-python from writing its id into the home of whoever runs the tests."""
    monkeypatch.setattr(stripe, "enable_telemetry", False)


def allow(by: Actor, _action: Action, _ref: Ref | None) -> bool:
    """The host's word; it breaks with a text that holds everything."""
    if by == MALLORY:
        raise RuntimeError(TEXT)
    return True


# --- three banks, each full of canaries -------------------------------------------------------------------------


class Bank(Protocol):
    """What a life needs of the gateway's side: a payment, and what becomes of the next calls."""

    gateway: Any

    def take(self) -> PaymentRef: ...

    def next_send(self, how: str) -> None: ...

    def next_look_fails(self) -> None: ...

    def next_page_fails(self, how: str) -> None: ...

    def elsewhere(self, ref: PaymentRef) -> None: ...

    def dispute(self, ref: PaymentRef) -> None: ...

    def fail(self, ref: PaymentRef) -> None: ...

    def heard(self) -> Sequence[str]: ...


class Memory:
    """The bank in memory; of a client it knows nothing, so what it says is scripted."""

    _SENDS: Final = {"lost": Fault.ANSWER_LOST, "broke": Fault.BREAKS_MADE_NOTHING, "raised": Fault.RAISES_SENT}

    def __init__(self, clock: Clock) -> None:
        self.bank = MemoryBank(clock)
        self.gateway = _Raising(MemoryGateway(self.bank))
        self._elsewhere = False

    def take(self) -> PaymentRef:
        """A card payment."""
        return self.bank.charge(Money.parse("200.00", "USD"))

    def next_send(self, how: str) -> None:
        """A no comes from a refund made elsewhere just before; the rest are the gateway's own faults."""
        if how == "declined":
            self.gateway.before_send = self.bank.elsewhere
        else:
            self.gateway.inner.script(self._SENDS[how])

    def next_look_fails(self) -> None:
        """It raises, with a text that holds everything."""
        self.gateway.raises = True

    def next_page_fails(self, how: str) -> None:
        """It raises with such a text, or gives the text itself."""
        self.gateway.page_is = how

    def elsewhere(self, ref: PaymentRef) -> None:
        """Refunded in the dashboard."""
        self.bank.elsewhere(ref)

    def dispute(self, ref: PaymentRef) -> None:
        """Disputed by the client."""
        self.bank.dispute(ref)

    def fail(self, ref: PaymentRef) -> None:
        """Its refund fails after all."""
        seen = self.bank.picture(ref)
        assert seen is not None
        self.bank.settle(seen.refunds[0].id, "failed", "lost_or_stolen_card")

    def heard(self) -> Sequence[str]:
        """What was asked."""
        return [repr(send) for send in self.gateway.inner.sent]


class _Raising:
    """A gateway of a host's own, which raises what it should not, with everything in the text."""

    def __init__(self, inner: MemoryGateway) -> None:
        self.inner, self.raises, self.page_is = inner, False, "whole"
        self.before_send: Callable[[PaymentRef], object] | None = None

    @property
    def live(self) -> bool:
        """As the inner one's."""
        return False

    def look(self, ref: PaymentRef, /) -> Look:
        """The inner one's, or a raw exception."""
        if self.raises:
            self.raises = False
            raise RuntimeError(TEXT)
        return self.inner.look(ref)

    def page(self, account: str, window: Window, subject: Subject, after: str | None, /) -> FeedPage | Unread:
        """The inner one's, a raw exception, or what is no page."""
        how, self.page_is = self.page_is, "whole"
        if how == "broken":
            raise RuntimeError(TEXT)
        if how == "odd":
            return TEXT  # type: ignore[return-value]
        return self.inner.page(account, window, subject, after)

    def send(self, send: Ask, /) -> Answer:
        """The inner one's, after what was to happen before; a raw exception of it names everything."""
        if self.before_send is not None:
            before, self.before_send = self.before_send, None
            before(send.payment)
        try:
            return self.inner.send(send)
        except RuntimeError as error:
            raise RuntimeError(TEXT) from error


class Hostile:
    """A small Stripe behind a real socket, of which every body is full of canaries."""

    def __init__(self, closing_stack: ExitStack, client: str) -> None:
        self.refunds: dict[str, list[dict[str, object]]] = {}
        self.sends: list[str] = []
        self.disputes: list[dict[str, object]] = []
        self.look_fails, self.page_is = False, "whole"
        self.server = closing_stack.enter_context(hostile_server(*[self._act] * 500))
        over = stripe_over(client, self.server.base_address, read_timeout_s=5.0)
        gateway = closing_stack.enter_context(over)
        self.gateway = gateway.gateway if isinstance(gateway, Awaited) else gateway

    def take(self) -> PaymentRef:
        """A card payment."""
        charge = f"ch_{len(self.refunds)}"
        self.refunds[charge] = []
        return PaymentRef(PLATFORM, charge)

    def next_send(self, how: str) -> None:
        """As told."""
        self.sends.append(how)

    def next_look_fails(self) -> None:
        """A page of a stranger comes instead of the charge."""
        self.look_fails = True

    def next_page_fails(self, how: str) -> None:
        """A page of a stranger comes, or a list of his things."""
        self.page_is = how

    def elsewhere(self, ref: PaymentRef) -> None:
        """Refunded in the dashboard by somebody who wrote the client's name beside it."""
        self.refunds[ref.charge].append(self._made(ref.charge, amount=20_000, reason=NAME))

    def dispute(self, ref: PaymentRef) -> None:
        """Disputed, with all that a bank sends along."""
        number = len(self.disputes)
        row = _dispute(f"dp_{number}", charge=ref.charge, created=1_760_000_000, reason=TEXT)
        self.disputes.append(row)

    def _made(self, charge: str, **changes: object) -> dict[str, object]:
        return _refund(f"re_{sum(map(len, self.refunds.values()))}", charge=charge, **changes)

    def fail(self, ref: PaymentRef) -> None:
        """Its refund fails after all."""
        self.refunds[ref.charge][0] |= {"status": "failed", "failure_reason": "lost_or_stolen_card"}

    def heard(self) -> Sequence[str]:
        """All that arrived, without the one header in which the key belongs."""
        assert {request.headers["authorization"] for request in self.server.received} == {f"Bearer {KEY}"}
        others = [{**request.headers, "authorization": ""} for request in self.server.received]
        return [f"{attrs.evolve(r, headers=h)!r}" for r, h in zip(self.server.received, others, strict=True)]

    def _act(self, connection: socket.socket, request: Received, ended: Any) -> None:
        act = self._posted(request) if request.method == "POST" else self._asked(request)
        act(connection, request, ended)

    def _asked(self, request: Received) -> Any:
        path, _, query = request.path.partition("?")
        if path.startswith("/v1/charges/"):
            if self.look_fails:
                self.look_fails = False
                return answer(502, HTML)
            charge = path.rpartition("/")[2]
            if charge not in self.refunds:
                return answer(404, _error(code="resource_missing", param="id"))
            given_back = sum(
                int(str(each["amount"])) for each in self.refunds[charge] if each["status"] != "failed"
            )
            details = {"type": "card", "card": {"last4": CARD[-4:], "number": CARD, "name": NAME}}
            disputed = any(each["charge"] == charge for each in self.disputes)
            more = {
                "disputed": disputed,
                "payment_method_details": details,
                "source": {"object": "card", "name": NAME, "id": KEY},
            }
            return answer(200, _charge(id=charge, amount_refunded=given_back, **more))
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        of, after = asked.get("charge"), asked.get("starting_after")
        if of is None and self.page_is != "whole":
            return self._no_page()
        lists = [self.disputes] if path == "/v1/disputes" else self.refunds.values()
        rows = [row for each in lists for row in each if of in (None, row["charge"])]
        rows = rows[1 + [row["id"] for row in rows].index(after) :] if after else rows
        return answer(200, {"object": "list", "data": rows, "has_more": False, "url": TEXT})

    def _no_page(self) -> Any:
        how, self.page_is = self.page_is, "whole"
        odd = {"object": EMAIL, "id": TEXT, "charge": NAME, "created": TEXT}
        return answer(502, HTML) if how == "broken" else answer(200, {"data": [odd], "has_more": False})

    def _posted(self, request: Received) -> Any:
        fields = {name: values[0] for name, values in parse_qs(request.body).items()}
        how = self.sends.pop(0) if self.sends else "made"
        if how == "declined":
            return answer(402, _error(type="card_error", code="charge_disputed", param=EMAIL, doc_url=TEXT))
        if how == "broke":
            return answer(500, HTML)
        row = self._made(
            fields["charge"],
            amount=int(fields["amount"]),
            failure_reason=EMAIL,
            metadata={**OF_HOST, "refund_domain_id": fields["metadata[refund_domain_id]"]},
        )
        self.refunds[fields["charge"]].append(row)
        return hang_up if how in ("lost", "raised") else answer(200, row)


# --- the life ---------------------------------------------------------------------------------------------------


class Life:
    """A host that uses the service, sync or async, and keeps all that came out of it."""

    def __init__(self, bank: Bank, journal: SqliteJournal, clock: Clock, *, awaits: bool) -> None:
        self.bank, self.journal, self.clock = bank, journal, clock
        self.came: list[object] = []
        wrapped = awaits and not isinstance(bank.gateway, AsyncStripeGateway)
        self.feed = AwaitedFeed(bank.gateway) if wrapped else bank.gateway
        self.told: list[Observation] = []
        self.service = _service(bank.gateway, journal, clock, observe=self.hear, awaits=awaits)

    def hear(self, told: Observation) -> None:
        """An observer that keeps and logs what it hears; at times it breaks, with a text that holds everything."""
        self.told.append(told)
        LogObserver(LOG)(told)
        if len(self.told) % 7 == 0:
            raise RuntimeError(TEXT)

    def do(self, name: str, *given: object, **words: object) -> Any:
        """One call of the service; what came, value or exception, is kept."""
        try:
            got = getattr(self.service, name)(*given, **words)
            got = awaited(got) if inspect.iscoroutine(got) else got
        except Exception as error:
            got = error
        self.came.append(got)
        return got

    def decided(self, ref: Ref) -> IssueRefund:
        """A decision over a page, with a note that tells of the client."""
        quote: Quote = self.do("quote", ref, by=MARIA)
        command = IssueRefund.from_form(quote.form(), payment=quote_ref(quote), by=MARIA, note=f"{NOTE} {TEXT}")
        assert not found_in(repr(command))
        return command

    def live(self) -> None:
        """Everything that can happen to refunds, once."""
        self._refused_at_the_door()
        statuses = {how: self._issued(how) for how in ("made", "lost", "declined", "broke", "raised")}
        assert statuses["made"] is Status.SUCCEEDED
        assert statuses["declined"] is Status.DECLINED
        assert {statuses[how] for how in ("lost", "broke", "raised")} == {Status.IN_DOUBT}
        self._through_a_queue()
        self._failed_late()
        self._refused_by_the_rules()
        self._unreadable()
        self._outside_and_a_booking()
        self._reconciled()
        self._paused()
        for passed in (2 * MINUTE, HOUR, 30 * HOUR):
            self.clock.advance(passed)
            self.do("recover")
        for waiting in self.do("attention", by=MARIA):
            for item in waiting.items:
                choice = item.choices[-1] if item.choices else Choice.NOTED
                self.do("settle", waiting.payment, subject=item.subject, code=item.code, choice=choice, by=MARIA)
        self.do("recover")

    def _paused(self) -> None:
        """A pause whose reason holds everything: it stands on the switch, and in nothing that meets it."""
        told = self.service.pause(by=MARIA, why=f"{NOTE} {TEXT}")
        switch: Any = awaited(told) if inspect.iscoroutine(told) else told
        assert NOTE in switch.why
        assert not found_in(repr(switch))
        assert self.do("quote", self.bank.take(), by=MARIA).refusals
        self.do("resume", by=MARIA)

    def _refused_at_the_door(self) -> None:
        ref = self.bank.take()
        assert self.do("quote", ref, by=MALLORY).refusals
        assert isinstance(self.do("show", ref, by=MALLORY), Refused)
        assert isinstance(self.do("attention", by=MALLORY), Refused)

    def _issued(self, how: str) -> Status:
        command = self.decided(self.bank.take())
        if how != "made":
            self.bank.next_send(how)
        refund = self.do("issue", command)
        assert isinstance(refund, Refund), refund
        self.do("issue", command)
        self.do("show", command.payment, by=MARIA)
        return refund.status

    def _through_a_queue(self) -> None:
        command = self.decided(self.bank.take())
        assert self.do("request", command).status is Status.REQUESTED
        assert isinstance(self.do("dispatch", PaymentRef.parse(str(command.payment))), PaymentView)

    def _failed_late(self) -> None:
        command = self.decided(self.bank.take())
        self.do("issue", command)
        self.bank.fail(command.payment)
        account, charge = command.payment.account, command.payment.charge
        signal = Signal(
            id="evt_1",
            kind="refund.failed",
            account=account,
            subject=Subject.REFUND,
            object_id="re",
            charge=charge,
        )
        self.do("receive", signal)
        self.do("receive", self._by_webhook(command.payment))
        self.do("receive", attrs.evolve(signal, charge=None))
        self.do("receive", attrs.evolve(signal, charge="ch_nowhere"))
        self.do("receive", attrs.evolve(signal, charge=self.bank.take().charge))
        shown: PaymentView = self.do("show", command.payment, by=MARIA)
        assert [refund.status for refund in shown.refunds] == [Status.FAILED]

    def _by_webhook(self, ref: PaymentRef) -> Signal:
        """The signal of a delivery full of canaries; that and all that is refused is kept."""
        refund = {**_refund(charge=ref.charge), "id": "re_1", "object": "refund", "failure_reason": TEXT}
        event = {
            **snapshot("refund.failed", refund),
            "request": {"id": EMAIL, "idempotency_key": TEXT},
        }
        body, hooks = body_of(event), endpoint()
        odd = [
            (body, {**signed(body), "Stripe-Signature": f"t=1,v1={WEBHOOK_SECRET}"}),
            (body, {"Stripe-Signature": TEXT, "Cookie": TEXT}),
            (body, {}),
            (HTML.encode(), signed(HTML.encode())),
            *[
                (changed, signed(changed))
                for change in ({"id": EMAIL}, {"type": TEXT}, {"account": NAME}, {"livemode": True})
                for changed in [body_of({**event, **change})]
            ],
        ]
        refused = [hooks.read(*each) for each in odd]
        assert not [each for each in refused if isinstance(each, Signal)]
        accepted = hooks.read(body, signed(body))
        assert isinstance(accepted, Signal)
        self.came += [*refused, accepted]
        return accepted

    def _refused_by_the_rules(self) -> None:
        command = self.decided(self.bank.take())
        assert isinstance(self.do("issue", attrs.evolve(command, amount=Money.parse("1.00", "USD"))), Refused)
        other = Actor(id="otto", tenant="other")
        assert isinstance(self.do("issue", attrs.evolve(command, by=other)), Refused)
        assert isinstance(self.do("show", command.payment, by=other), Refused)
        self.do("quote", PaymentRef(PLATFORM, "ch_nowhere"), by=MARIA)
        self.clock.advance(20 * MINUTE)
        assert isinstance(self.do("issue", command), Refused)

    def _unreadable(self) -> None:
        ref = self.bank.take()
        self.bank.next_look_fails()
        assert isinstance(self.do("quote", ref, by=MARIA), GatewayUnreadable)

    def _outside_and_a_booking(self) -> None:
        cash = OutsideRef(id="cash-7", method="cash", amount=Money.parse("40.00", "USD"))
        self.do("record_outside", cash, Money.parse("40.00", "USD"), by=MARIA, how="check 7", record_id="rec-1")
        booking = Booking(label="Elm Street 7", payments=(cash, self.bank.take(), self.bank.take()))
        quotes = self.do("quote_booking", booking, by=MARIA)
        self.do("issue_booking", quotes.verified(by=MARIA, note=NOTE))
        storm = [Booking(label=f"Elm Street {n}", payments=(self.bank.take(),)) for n in range(3)]
        commands = [quote.verified(by=MARIA, note=NOTE) for quote in self.do("quote_bookings", storm, by=MARIA)]
        self.bank.next_send("lost")
        commands[1] = attrs.evolve(commands[1], refunds=(attrs.evolve(commands[1].refunds[0], by=MALLORY),))
        report = self.do("issue_bookings", commands, on_progress=self.came.append)
        assert [item.outcome for item in report.items] == ["in_doubt", "refused", "succeeded"]

    def _reconciled(self) -> None:
        """One payment and a whole account: merged, of nobody, unread, cut, in parts."""
        command, unowned = self.decided(self.bank.take()), self.bank.take()
        self.do("issue", command)
        self.bank.dispute(command.payment)
        self.bank.elsewhere(unowned)
        merged = self.do("reconcile", command.payment)
        assert isinstance(merged, Reconciled)
        assert [each.refund_id for each in merged.evidence] == [merged.view.refunds[0].id]
        assert isinstance(self.do("reconcile", unowned), Unowned)
        self.bank.next_look_fails()
        assert isinstance(self.do("reconcile", command.payment), Unreconciled)
        assert isinstance(self.do("reconcile", PaymentRef(PLATFORM, "ch_nowhere")), Unreconciled)
        for how in ("broken", "odd"):
            self.bank.next_page_fails(how)
            assert self._run().unread is not None
        self.bank.next_look_fails()
        part = self._run(limit=2)
        assert len(part.failed) == 1
        rest = self._run(after=part.position)
        assert (rest.position, rest.unread, rest.until) == (None, None, None)
        whole = self._run()
        assert whole.until is not None
        told = (*whole.payments, *whole.unowned, *whole.evidence, *whole.unexplained)
        assert {type(each) for each in told} >= {Reconciled, Unowned, Evidence}
        self.came += [part.position, *told]

    def _run(self, **words: object) -> Reconciliation:
        """One call over the account, of which the host's own function falls over."""
        run = self.do("reconcile_account", PLATFORM, WINDOW, feed=self.feed, on_progress=_stumbles, **words)
        assert isinstance(run, Reconciliation), run
        return run


def _stumbles(done: int) -> None:
    raise RuntimeError(f"{done}: {TEXT}")


def quote_ref(quote: Quote) -> PaymentRef:
    """The payment of this quote, which is no outside one."""
    assert isinstance(quote.ref, PaymentRef)
    return quote.ref


def _service(
    gateway: Any, journal: Any, clock: Clock, *, observe: Observe, awaits: bool
) -> RefundService | AsyncRefundService:
    if not awaits:
        return RefundService(gateway, journal, allow=allow, monotonic=clock.monotonic, observe=observe)

    async def allowed(by: Actor, action: Action, ref: Ref | None) -> bool:
        return allow(by, action, ref)

    port = gateway if isinstance(gateway, AsyncStripeGateway) else AwaitedGateway(gateway)
    return AsyncRefundService(
        port, AwaitedJournal(journal), allow=allowed, monotonic=clock.monotonic, observe=observe
    )


WAYS: Final = ("memory", "memory async", *CLIENTS)


@pytest.mark.parametrize("way", WAYS)
def test_a_whole_life_lets_no_canary_out(
    way: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Values, errors, pickles, observations, log lines, rows, files, requests and output of such a life
    hold none, but for the note in the journal and the key in its header."""
    caplog.set_level(logging.DEBUG, LOG.name)
    clock, file = Clock(), tmp_path / NAME / "refunds.db"
    file.parent.mkdir()
    with ExitStack() as stack:
        journal = stack.enter_context(closing(SqliteJournal(file, clock=clock)))
        bank: Bank = Memory(clock) if way.startswith("memory") else Hostile(stack, way)
        life = Life(bank, journal, clock, awaits=way.endswith("async"))
        life.live()
        assert len(life.came) > 75
        assert any(isinstance(came, GatewayUnreadable) for came in life.came)
        assert not [type(came) for came in life.came if not silent(came)]
        assert {told.kind for told in life.told} >= set(Kind) - RARE
        assert not [told.kind for told in life.told if not silent(told) or not silent(told.fields())]
        lines = [vars(record) for record in caplog.records if record.name == LOG.name]
        assert len(lines) == len(life.told)
        assert not [line["refund_kind"] for line in lines if found_in(repr(line))]
        assert MARIA.id not in repr(life.told) + repr(lines)
        assert not [found for text in bank.heard() if (found := found_in(text))]
        for thing in (life.service, journal, bank.gateway):
            assert not found_in(f"{thing!r} {thing} {vars(thing)!r}".replace(str(file), ""))
        _rows_hold_the_note_alone(file)
        _bytes_hold_the_note_alone(file)
    assert not found_in("".join(capfd.readouterr()))


@pytest.mark.parametrize("way", ["requests", "httpx async"])
def test_a_life_at_the_mock_lets_no_canary_out(way: str, tmp_path: Path) -> None:
    """Over the double that others wrote: a charge with a client's data is quoted, refunded, refused and shown."""
    if (reason := mock_server.why_absent()) is not None and not mock_server.absence_is_a_failure():
        pytest.skip(reason)
    mock, clock, file = mock_server.shared(), Clock(), tmp_path / "refunds.db"
    personal: Any = {"description": TEXT, "receipt_email": EMAIL, "metadata[email]": EMAIL, "metadata[card]": CARD}
    came: list[object] = []
    with closing(SqliteJournal(file, clock=clock)) as journal, stripe_over(way, mock.base_address) as over:
        service = RefundService(over, journal, allow=allow, monotonic=clock.monotonic)
        for source in ("tok_visa", "tok_visa", "tok_createDispute"):
            ref = PaymentRef(PLATFORM, mock.charge(source=source, **personal))
            quote = service.quote(ref, by=MARIA)
            came += [quote, service.show(ref, by=MARIA)]
            if not quote.refusals:
                if len(came) > 4:  # somebody gives a part back meanwhile: the amount is another
                    mock.refund(ref.charge, 100)
                came += [service.issue(quote.verified(by=MARIA, note=NOTE)), service.dispatch(ref)]
            came.append(service.reconcile(ref))
        assert {type(each) for each in came} >= {Refund, Refused, PaymentView, Reconciled}
        assert not [type(each) for each in came if not silent(each)]
        _bytes_hold_the_note_alone(file)


@pytest.mark.parametrize("way", ["requests", "httpx", "httpx async", "aiohttp async"])
def test_a_life_at_the_double_lets_no_canary_out(way: str, tmp_path: Path) -> None:
    """Over our double, of which every object names its payer: lost, broken, refused, failed late, and its webhooks
    read and received; only the header holds the key, and only the journal the note."""
    clock, file = Clock(), tmp_path / "refunds.db"
    bank, came = MemoryBank(clock), list[Any]()
    payer = Payer(name=NAME, email=EMAIL, phone=CARD, postal_code=TEXT, last4=CARD[-4:], fingerprint=KEY)
    with ExitStack() as stack:
        double = stack.enter_context(StripeDouble(bank, keys=(KEY,), payer=payer))
        journal = stack.enter_context(closing(SqliteJournal(file, clock=clock)))
        over = stack.enter_context(stripe_over(way, double.base_address, read_timeout_s=5.0))
        hooks = double.webhooks(WEBHOOK_SECRET)
        service = RefundService(over, journal, allow=allow, monotonic=clock.monotonic)
        usd = Money.parse("200.00", "USD")
        for odd in (None, (500, HTML), (402, _error(type="card_error", code="charge_disputed")), (502, HTML)):
            ref = bank.charge(usd, course=Course.succeeds_then_fails())
            decision = service.quote(ref, by=MARIA).verified(by=MARIA, note=NOTE)
            came.append(service.request(decision))
            if odd is not None:
                for _ in range(2):  # a look's two reads pass
                    double.next()
                double.next(odd[0], odd[1])
            came += [service.dispatch(ref), service.show(ref, by=MARIA)]
        clock.advance(20 * 24 * HOUR)
        endpoint = StripeWebhooks(WEBHOOK_SECRET, live=False, clock=lambda: clock().timestamp())
        for event in hooks.take():
            signal = hooks.send(event, endpoint.read)
            assert isinstance(signal, Signal)
            came += [signal, service.receive(signal), hooks.send(event, endpoint.read, secrets=(LIVE_KEY,))]
        disputed = bank.charge(usd)
        service.quote(disputed, by=MARIA)
        bank.dispute(disputed)
        for each in (disputed, bank.charge(usd)):
            bank.elsewhere(each)
        came += [service.reconcile(disputed), service.reconcile_account(PLATFORM, WINDOW, feed=over)]
        double.next(502, HTML)
        came += [service.reconcile_account(PLATFORM, WINDOW, feed=over)]
        came += [service.recover(), service.attention(by=MARIA)]
        kinds = {"Merged", "WebhookRefused", "Recovery", "Reconciled", "Reconciliation"}
        assert {type(each).__name__ for each in came} >= kinds
        assert not [type(each) for each in came if not silent(each)]
        for request in double.requests:
            headers = {name: text for name, text in request.headers.items() if name != "Authorization"}
            assert not found_in(f"{request!r} {headers!r}")
        _bytes_hold_the_note_alone(file)


def test_text_that_is_no_position_hangs_on_no_error() -> None:
    """What landed in the place of a position is repeated by the error as little as by those it came of."""
    day = WINDOW.start.isoformat()
    for text in (
        TEXT,
        f"{EMAIL} {day}",
        f"a {day} {EMAIL} refund {day} whole",
        f"a {day} {day} {EMAIL} {day} whole",
    ):
        with pytest.raises(ValueError, match="no position") as caught:
            Position.parse(text)
        assert not [each for each in linked(caught.value) if found_in(f"{each!r} {each}")]


def _rows_hold_the_note_alone(file: Path) -> None:
    """In the tables nothing but the field `note` of a request, and `why` of a pause, holds a canary."""
    with closing(sqlite3.connect(file)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [row for table in tables for row in connection.execute(f"SELECT * FROM {table}")]
    noted = 0
    for row in rows:
        texts = [str(cell) for cell in row]
        if found_in(" ".join(texts)):
            event = json.loads(texts[-1])
            written = {"RefundRequested": "note", "Paused": "why"}[event["type"]]
            assert NOTE in event.pop(written)
            texts[-1] = json.dumps(event)
            noted += 1
        assert not found_in(" ".join(texts))
    assert noted > 5


def _bytes_hold_the_note_alone(file: Path) -> None:
    """And in the files, log and index included, freed pages and all, there is no other place of it."""
    files = [each for each in file.parent.iterdir() if each.name.startswith(file.name)]
    assert {each.name[len(file.name) :] for each in files} >= {"", "-wal"}
    for each in files:
        content = re.sub(rb'"(note|why)":"[^"]*"', b"", each.read_bytes())
        assert not found_in(content), each.name
