"""B3: eligibility of a payment, one status step, the decider and the fold over a whole lifecycle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs

from refund_adapters.memory import MemoryBank, MemoryGateway, MemoryJournal
from refund_domain import Actor, Money, Policy, Refund, RefundService
from refund_domain.answers import Accepted, OutcomeUnknown, Picture
from refund_domain.decider.decide import decide
from refund_domain.decider.inputs import FreeLook, GatewayAnswered, Input, OwedLook, RequestRefund
from refund_domain.decider.ledger import EMPTY, Ledger, Observed, Status, evolve, fold, merge, status_of
from refund_domain.events import Event
from refund_domain.payments import GatewayRefund, Payment, PaymentRef
from refund_domain.quotes import make_quote
from refund_domain.refusals import Refused
from refund_domain.rules.arrival import weekdays
from refund_domain.rules.eligibility import payment_refusals
from tests.benchmarks.timing import Case
from tests.benchmarks.values import steps_of_others

POLICY = Policy()
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
AMOUNT = Money.parse("200.00", "USD")
REF = PaymentRef("platform", "ch_1")
MARIA = Actor(id="maria", tenant="acme")


def lifecycle() -> list[tuple[Ledger, Input, tuple[Event, ...]]]:
    """A refund from quote to success with one lost answer: each ledger, its input, the events decided."""
    payment = Payment(
        ref=REF,
        method="card",
        captured=AMOUNT,
        given_back=Money.zero(AMOUNT.currency),
        taken_at=START - timedelta(days=2),
    )
    steps: list[tuple[Ledger, Input, tuple[Event, ...]]] = []
    ledger = EMPTY

    def feed(given: Input) -> None:
        nonlocal ledger
        events = decide(ledger, given, POLICY)
        if isinstance(events, Refused):
            raise RuntimeError(str(events))
        steps.append((ledger, given, events))
        ledger = fold(ledger, events)

    feed(FreeLook(at=START, picture=Picture(payment=payment), tenant=MARIA.tenant, sightings=0))
    quote = make_quote(ledger, REF, START, POLICY, request_id="r1", is_business_day=weekdays)
    feed(RequestRefund(at=START, refund_id="f1", command=quote.verified(by=MARIA)))
    feed(OwedLook(at=START, latest=START, look=Picture(payment=payment), sightings=1))
    feed(GatewayAnswered(at=START, refund_id="f1", claim=1, answer=OutcomeUnknown(why="timeout")))
    later = START + timedelta(minutes=3)
    feed(OwedLook(at=later, latest=later, look=Picture(payment=payment), sightings=1))
    made = GatewayRefund(id="re_1", amount=AMOUNT, status="succeeded", created_at=START, mark="f1")
    feed(GatewayAnswered(at=later, refund_id="f1", claim=2, answer=Accepted(refund=made)))
    return steps


def cases(quick: bool) -> list[Case]:
    """The rows of B3."""
    factor = 1 if quick else 20
    steps = lifecycle()
    events = [event for _, _, decided in steps for event in decided]
    final = fold(EMPTY, events)
    payment = final.payment
    if payment is None:
        raise RuntimeError("the lifecycle saw no payment")
    made = GatewayRefund(id="re_1", amount=AMOUNT, status="pending", created_at=START, mark="f1")
    pending = Observed(made, START)
    done = Observed(attrs.evolve(made, status="succeeded"), START)

    def decide_all() -> int:
        count = 0
        for ledger, given, _ in steps:
            said = decide(ledger, given, POLICY)
            count += 0 if isinstance(said, Refused) else len(said)
        return count

    def fold_all() -> Status:
        ledger = EMPTY
        for event in events:
            ledger = evolve(ledger, event)
        return status_of(ledger, ledger.refunds[0])

    def issue() -> Status:
        bank = MemoryBank(lambda: START)
        ref = bank.charge(AMOUNT)
        service = RefundService(MemoryGateway(bank), MemoryJournal(lambda: START), allow=lambda *_: True)
        refund = service.issue(service.quote(ref, by=MARIA).verified(by=MARIA))
        return refund.status if isinstance(refund, Refund) else Status.DROPPED

    return [
        Case(
            name="eligibility: a yes",
            work=lambda: payment_refusals(payment, START, POLICY),
            number=1000 * factor,
            answer=(),
            reach="≤ 0.5 µs",
        ),
        Case(
            name="a status step (merge of an observation)",
            work=lambda: merge(pending, done),
            number=500 * factor,
            answer=done,
            against="transitions: a step",
            reach="≤ 0.2×",
        ),
        *steps_of_others(25 * factor),
        Case(
            name=f"decide, per input of a lifecycle of {len(steps)}",
            work=decide_all,
            number=20 * factor,
            calls=len(steps),
            answer=len(events),
            reach="≤ 15 µs",
        ),
        Case(
            name=f"evolve, per event of a lifecycle of {len(events)}",
            work=fold_all,
            number=20 * factor,
            calls=len(events),
            answer=Status.SUCCEEDED,
            reach="≤ 3 µs",
        ),
        Case(
            name="quote + issue, memory gateway and journal, new each time",
            work=issue,
            number=2 * factor,
            answer=Status.SUCCEEDED,
        ),
    ]
