"""From an event of the double to the ledger, over sockets: read, located, received."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from refund_adapters.memory import Course, ManualClock, MemoryBank, MemoryJournal
from refund_adapters.stripe.webhooks import StripeWebhooks
from refund_domain import Actor, Money, Refund, RefundService
from refund_domain.decider.ledger import Status
from refund_domain.operations.reconcile import Reconciled
from refund_domain.payments import PLATFORM
from refund_domain.service.stream import Handed, Merged, Received, Reported
from refund_domain.signals import Signal, Subject
from refund_domain.views import PaymentView
from tests.adapters.stripe_clients import CLIENTS, stripe_over
from tests.canaries import WEBHOOK_SECRET
from tests.stripe_double.double import KEY, StripeDouble

MARIA = Actor(id="maria", tenant="acme")
WHOLE = Money.parse("200.00", "USD")
SELLER = "acct_seller"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    "form", [{"thin": True}, {}, {"version": "2016-03-07"}], ids=["thin", "snapshot", "of 2016"]
)
def test_events_twice_late_and_in_any_order_bring_every_payment_to_the_same_end(
    client: str, form: dict[str, object]
) -> None:
    """Refunds of three kinds of charge fail days later; every event comes twice, shuffled, twelve days late. Each
    payment ends as the bank has it, one that nobody quoted is handed over, and not one POST is made."""
    clock = ManualClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
    bank = MemoryBank(clock)
    with (
        StripeDouble(bank, accounts=(SELLER,)) as double,
        stripe_over(client, double.base_address, KEY, read_timeout_s=20.0) as gateway,
    ):
        hooks = double.webhooks(WEBHOOK_SECRET, **form)  # type: ignore[arg-type]
        endpoint = StripeWebhooks(
            WEBHOOK_SECRET,
            live=False,
            accounts=(PLATFORM, SELLER),
            clock=lambda: clock().timestamp(),
        )
        refunds = RefundService(gateway, MemoryJournal(clock), allow=lambda *_: True)
        fee = Money.parse("20.00", "USD")
        payments = (
            bank.charge(WHOLE),
            bank.charge(WHOLE, account=SELLER, application_fee=fee),
            bank.charge(WHOLE, destination=SELLER, application_fee=fee),
        )
        for ref in payments:
            bank.plan(ref, Course.succeeds_then_fails("declined"))
            refunds.issue(refunds.quote(ref, by=MARIA).verified(by=MARIA))
        nobodys = bank.charge(WHOLE, account=SELLER)
        bank.elsewhere(nobodys, fee)
        clock.forward(timedelta(days=12))
        bank.tick()

        events = list(hooks.take())
        before = len(double.requests)
        order = [*events, *events]
        random.Random(4).shuffle(order)
        results: list[Received] = []
        for event in order:
            signal = hooks.send(event, endpoint.read)
            assert isinstance(signal, Signal), signal
            results.append(refunds.receive(gateway.locate(signal)))

        assert {request.method for request in double.requests[before:]} == {"GET"}
        for ref in payments:
            view = refunds.show(ref, by=MARIA)
            assert [refund.status for refund in getattr(view, "refunds", ())] == ["failed"]
            merged = [result for result in results if isinstance(result, Merged) and result.view.ref == ref]
            assert sum(result.news for result in merged) == 1
        handed = [result for result in results if isinstance(result, Handed)]
        assert {result.picture.payment.ref for result in handed} == {nobodys}
        rest = [result for result in results if isinstance(result, Reported)]
        assert {result.signal.subject for result in rest} <= {Subject.OTHER, Subject.PAYMENT, Subject.PAYOUT}
        assert double.violations == ()


@pytest.mark.parametrize("captured", [WHOLE, Money.parse("120.00", "USD")], ids=["whole", "in part"])
def test_a_refund_that_never_moved_money_is_read_however_much_was_captured(captured: Money) -> None:
    """A refund that waits for funds, and is then cancelled, has no balance transaction at any time: it is shown as
    it is all the same where the charge was captured in part, and the amount is open again."""
    clock = ManualClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
    bank = MemoryBank(clock)
    with (
        StripeDouble(bank) as double,
        stripe_over("requests", double.base_address, KEY, read_timeout_s=20.0) as gateway,
    ):
        refunds = RefundService(gateway, MemoryJournal(clock), allow=lambda *_: True)
        ref = bank.charge(WHOLE, captured=captured)
        bank.drain(PLATFORM, Money.parse("0.00", "USD"))
        issued = refunds.issue(refunds.quote(ref, by=MARIA).verified(by=MARIA))
        assert isinstance(issued, Refund)
        assert issued.gateway_id is not None
        clock.forward(timedelta(days=1))
        assert isinstance(refunds.reconcile(ref), Reconciled)
        bank.settle(issued.gateway_id, "canceled", "merchant_request")
        clock.forward(timedelta(days=1))
        refunds.recover()
        shown = refunds.show(ref, by=MARIA)
        assert isinstance(shown, PaymentView)
        assert [each.status for each in shown.refunds] == [Status.CANCELED]
        assert refunds.quote(ref, by=MARIA).amount == captured
