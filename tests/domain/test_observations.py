"""Every fact of every event reaches an observer, and nothing else: a whole life, told event by event."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from refund_domain.answers import (
    Accepted,
    Answer,
    Declined,
    NotSent,
    OutcomeUnknown,
    Reversal,
    Reversed,
    Send,
)
from refund_domain.commands import Choice, Reason
from refund_domain.connect import Leg, SeparateCharge, TransferReversal
from refund_domain.decider.ledger import EMPTY
from refund_domain.events import (
    EVENTS,
    AllowanceTaken,
    AttentionSettled,
    Event,
    LegAnswered,
    LegClaimed,
    LegNotMade,
    LegObserved,
    LookScheduled,
    OutsideRecorded,
    Paused,
    PaymentSeen,
    PersonAsked,
    RefundApproved,
    RefundDropped,
    RefundNotMade,
    RefundObserved,
    RefundRequested,
    Resumed,
    SendAnswered,
    SendClaimed,
    StreamOpened,
)
from refund_domain.payments import GatewayRefund, PaymentRef
from refund_domain.refusals import AlreadyRefunded, NothingLeft
from refund_domain.service.observations import Kind, Observation, answered, written
from tests.domain.histories import MARIA, OMAR, REF, separate, usd

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
LEG = Leg(transfer="tr_1", amount=usd(15_000), by_hand=usd(0))
SEND = Send(
    refund_id="r1",
    claim=1,
    payment=REF,
    amount=usd(20_000),
    reason=Reason.DUPLICATE,
    split=SeparateCharge(legs=(LEG,)),
)
BACK = Reversal(
    id="r1:tr_1:1", refund_id="r1", transfer="tr_1", attempt=1, claim=1, payment=REF, amount=usd(15_000)
)
MADE = TransferReversal(id="trr_1", amount=usd(15_000), mark="r1:tr_1:1")
OURS = GatewayRefund(
    id="re_1", amount=usd(20_000), status="pending", created_at=AT, mark="r1", pending_reason="charge_pending"
)
THEIRS = GatewayRefund(id="re_9", amount=usd(500), status="failed", created_at=AT, failure_reason="declined")
UNKNOWN = OutcomeUnknown(why="timeout", alarm="odd_body", trail="req_1")
VERIFIED = {"refund_id": "r1", "amount_minor": 20_000, "currency": "USD"}

LIFE: tuple[tuple[Event, dict[str, object]], ...] = (
    (StreamOpened(at=AT, tenant="acme"), {"kind": "opened"}),
    (
        PaymentSeen(at=AT, payment=separate(15_000)),
        {"kind": "payment_seen", "amount_minor": 20_000, "currency": "USD"},
    ),
    (
        RefundObserved(at=AT, refund=THEIRS),
        {
            "kind": "refund_seen",
            "gateway_id": "re_9",
            "amount_minor": 500,
            "currency": "USD",
            "after": "failed",
            "why": "declined",
        },
    ),
    (
        RefundRequested(
            at=AT,
            refund_id="r1",
            request_id="q1",
            amount=usd(20_000),
            reason=Reason.DUPLICATE,
            quoted_at=AT,
            by=MARIA,
            note="Carl asked",
            needs_second=True,
        ),
        {"kind": "requested", **VERIFIED, "after": "requested"},
    ),
    (
        LookScheduled(at=AT, due=AT + timedelta(hours=1), tries=2, alarm="odd_look"),
        {"kind": "look_scheduled", "due": "2026-03-02T10:00:00+00:00", "tries": 2, "alarm": "odd_look"},
    ),
    (
        RefundApproved(at=AT, refund_id="r1", by=OMAR),
        {"kind": "approved", **VERIFIED, "before": "requested", "after": "requested"},
    ),
    (
        SendClaimed(at=AT, send=SEND),
        {"kind": "claimed", **VERIFIED, "claim": 1, "before": "requested", "after": "in_doubt"},
    ),
    (
        SendAnswered(at=AT, refund_id="r1", claim=1, answer=UNKNOWN),
        {
            "kind": "answered",
            **VERIFIED,
            "claim": 1,
            "before": "in_doubt",
            "after": "in_doubt",
            "answer": "outcome_unknown",
            "why": "timeout",
            "alarm": "odd_body",
            "trail": "req_1",
        },
    ),
    (
        PersonAsked(at=AT, refund_id="r1"),
        {"kind": "person_asked", **VERIFIED, "before": "in_doubt", "after": "in_doubt"},
    ),
    (
        AttentionSettled(at=AT, subject="r1", code="not_shown", choice=Choice.NOT_MADE, by=MARIA),
        {
            "kind": "settled",
            **VERIFIED,
            "before": "in_doubt",
            "after": "in_doubt",
            "why": "not_shown",
            "answer": "not_made",
        },
    ),
    (
        RefundNotMade(at=AT, refund_id="r1", by=MARIA),
        {
            "kind": "not_made",
            **VERIFIED,
            "before": "in_doubt",
            "after": "not_made",
            "why": "a person said so",
        },
    ),
    (
        RefundObserved(at=AT, refund=OURS),
        {
            "kind": "refund_seen",
            **VERIFIED,
            "gateway_id": "re_1",
            "before": "not_made",
            "after": "pending",
            "why": "charge_pending",
        },
    ),
    (
        LegClaimed(at=AT, reversal=BACK),
        {
            "kind": "leg_claimed",
            "refund_id": "r1",
            "amount_minor": 15_000,
            "currency": "USD",
            "transfer": "tr_1",
            "claim": 1,
            "before": "pending",
            "after": "pending",
        },
    ),
    (
        LegAnswered(at=AT, refund_id="r1", transfer="tr_1", claim=1, answer=Declined(code="balance_insufficient")),
        {
            "kind": "leg_answered",
            **VERIFIED,
            "transfer": "tr_1",
            "claim": 1,
            "before": "pending",
            "after": "pending",
            "answer": "declined",
            "why": "balance_insufficient",
        },
    ),
    (
        LegNotMade(at=AT, refund_id="r1", transfer="tr_1", attempt=1),
        {"kind": "leg_not_made", **VERIFIED, "transfer": "tr_1", "before": "pending", "after": "pending"},
    ),
    (
        LegObserved(at=AT, refund_id="r1", transfer="tr_1", reversal=MADE),
        {
            "kind": "leg_seen",
            "refund_id": "r1",
            "amount_minor": 15_000,
            "currency": "USD",
            "gateway_id": "trr_1",
            "transfer": "tr_1",
            "before": "pending",
            "after": "pending",
        },
    ),
    (
        AttentionSettled(at=AT, subject="dispute-1", code="disputed_after_refund", choice=Choice.NOTED, by=MARIA),
        {"kind": "settled", "why": "disputed_after_refund", "answer": "noted"},
    ),
    (
        OutsideRecorded(at=AT, record_id="o1", amount=usd(100), how="cash to Carl", by=MARIA),
        {"kind": "outside_recorded", "amount_minor": 100, "currency": "USD"},
    ),
    (
        RefundDropped(at=AT, refund_id="r2", reasons=(NothingLeft(), AlreadyRefunded(refund_id="r1"))),
        {
            "kind": "dropped",
            "refund_id": "r2",
            "reasons": "nothing_left,already_refunded",
            "after": "dropped",
        },
    ),
    (Paused(at=AT, by=MARIA, why="Carl steals"), {"kind": "paused"}),
    (Resumed(at=AT, by=MARIA), {"kind": "resumed"}),
    (
        AllowanceTaken(at=AT, payment=REF, request_id="q1", amount=usd(20_000), by=MARIA),
        {"kind": "allowance_taken", "amount_minor": 20_000, "currency": "USD"},
    ),
)


def facts(told: Observation) -> dict[str, object]:
    """What it says beside time, payment and tenant."""
    return {name: value for name, value in told.fields().items() if name not in ("at", "ref", "tenant")}


def test_a_life_is_told_fact_by_fact() -> None:
    """Which refund, which call, how much, from what to what, the gateway's word: all of it, in order."""
    assert {type(event) for event, _ in LIFE} == set(EVENTS)
    told = list(written(REF, EMPTY, tuple(event for event, _ in LIFE)))
    assert [facts(each) for each in told] == [expected for _, expected in LIFE]
    assert {(each.at, each.ref, each.tenant) for each in told} == {(AT, REF, "acme")}
    assert not [each for each in told if "maria" in repr(each) or "Carl" in repr(each)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            Accepted(refund=OURS),
            {
                "answer": "accepted",
                "gateway_id": "re_1",
                "amount_minor": 20_000,
                "currency": "USD",
                "why": "charge_pending",
            },
        ),
        (
            Reversed(reversal=MADE),
            {"answer": "reversed", "gateway_id": "trr_1", "amount_minor": 15_000, "currency": "USD"},
        ),
        (
            Declined(code="charge_disputed", alarm="odd_decline", trail="req_2"),
            {"answer": "declined", "why": "charge_disputed", "alarm": "odd_decline", "trail": "req_2"},
        ),
        (
            NotSent(why="refused", alarm="key_rejected", trail="req_3"),
            {"answer": "not_sent", "why": "refused", "alarm": "key_rejected", "trail": "req_3"},
        ),
        (UNKNOWN, {"answer": "outcome_unknown", "why": "timeout", "alarm": "odd_body", "trail": "req_1"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_answer_is_told_fact_by_fact(answer: Answer, expected: dict[str, object]) -> None:
    """The gateway's id, amount and word, its code, the alarm, the id of the request: each where there is one."""
    told = Observation(kind=Kind.SENT, ref=PaymentRef("platform", "ch_1"))
    assert facts(answered(told, answer)) == {"kind": "sent"} | expected
