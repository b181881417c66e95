"""One run of events that has everything in it: what the laws of the journal port write and read back."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import attrs

from refund_domain.answers import (
    Accepted,
    Declined,
    LegAnswer,
    NotSent,
    OutcomeUnknown,
    Reversal,
    Reversed,
    Send,
    SendAnswer,
)
from refund_domain.commands import Action, Actor, Choice, Reason
from refund_domain.connect import (
    ApplicationFee,
    DestinationCharge,
    DirectCharge,
    Leg,
    PlatformCharge,
    SeparateCharge,
    Transfer,
    TransferReversal,
)
from refund_domain.events import (
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
from refund_domain.money import Money
from refund_domain.payments import (
    ChargeKind,
    Control,
    Dispute,
    GatewayRefund,
    Payment,
    PaymentRef,
    PaymentStatus,
    Trace,
)
from refund_domain.refusals import (
    AlreadyRefunded,
    AmountChanged,
    ApprovalDenied,
    BelowMinimum,
    CannotBeStopped,
    ChargeNotSupported,
    CurrencyNotSupported,
    Disputed,
    External,
    InFlight,
    LimitReached,
    MethodNotSupported,
    NotAllowed,
    NotAskedFor,
    NotCaptured,
    NotFound,
    NothingLeft,
    NotSettled,
    QuoteStale,
    ReasonNotAllowed,
    Refusal,
    RequestReused,
    SecondPersonNeeded,
    SendingPaused,
    TooMuchOutside,
    Whose,
    WindowOver,
)

_REF = PaymentRef("acct_1", "ch_1")
_AT_PLATFORM = PaymentRef("platform", "ch_1")
_CENT = Money.parse("0.01", "USD")
_LEGS = (
    Leg(transfer="tr_1", amount=Money.parse("149.99", "USD"), by_hand=_CENT),
    Leg(transfer="tr_2", amount=_CENT, by_hand=Money.zero(_CENT.currency)),
)
_HELD_THERE = (
    PlatformCharge(),
    DestinationCharge(),
    DestinationCharge(return_fee=True),
    SeparateCharge(legs=_LEGS),
)
_TRANSFER = Transfer(id="tr_1", amount=Money.parse("150.00", "USD"), reversed=_CENT)
_BACK = TransferReversal(id="trr_1", amount=_CENT, mark="r1:tr_1:1")


def sample_events(at: datetime) -> tuple[Event, ...]:
    """Every class of event, with each answer and refusal within, and every optional fact there and missing."""
    usd, yen = Money.parse("200.00", "USD"), Money.parse("5000", "JPY")
    elsewhere = timezone(timedelta(hours=-7, minutes=-30))
    odd, maria = at.astimezone(elsewhere) + timedelta(microseconds=1), Actor(id="maria", tenant="acme & Söhne")
    text = "“it's” — \\ \" %s; DROP TABLE 🦊\nline two"
    bare = GatewayRefund(id="re_1", amount=usd, status="succeeded", created_at=at)
    full = GatewayRefund(
        id="re_2",
        amount=yen,
        status="a word nobody knows",
        created_at=odd,
        mark="r1",
        pending_reason="processing",
        failure_reason="declined",
        trace=Trace(kind="refund", reference="74523"),
    )
    plain = Payment(ref=_REF, method="card", captured=usd, given_back=Money.zero(usd.currency), taken_at=at)
    rich = attrs.evolve(
        plain,
        status=PaymentStatus.PENDING,
        kind=ChargeKind.DESTINATION,
        disputes=(Dispute(id="du_1", amount=usd, status="lost"), Dispute(id="du_2", amount=usd, status="won")),
        fee=Money(29, usd.currency),
        settles_on=at.date(),
        application_fee=ApplicationFee(taken=usd, returned=Money(1, usd.currency)),
        transfers=(
            _TRANSFER,
            attrs.evolve(_TRANSFER, id="tr_2", reversals=(attrs.evolve(_BACK, mark=None),)),
            attrs.evolve(_TRANSFER, id="tr_3", reversals=(_BACK,)),
        ),
    )
    request = RefundRequested(
        at=at,
        refund_id="r1",
        request_id="q1",
        amount=usd,
        reason=Reason.FRAUDULENT,
        quoted_at=odd,
        by=maria,
        note=text,
    )
    send = _send(usd)
    answers = _answers(bare, full)
    return (
        StreamOpened(at=at, tenant="acme & Söhne"),
        PaymentSeen(at=at, payment=plain),
        PaymentSeen(at=odd, payment=rich),
        RefundObserved(at=at, refund=bare),
        RefundObserved(at=odd, refund=full),
        request,
        attrs.evolve(request, note=None, reason=Reason.REQUESTED_BY_CUSTOMER, needs_second=True),
        RefundApproved(at=at, refund_id="r1", by=maria),
        SendClaimed(at=at, send=send),
        *(SendClaimed(at=at, send=attrs.evolve(send, payment=_AT_PLATFORM, split=split)) for split in _HELD_THERE),
        *(SendAnswered(at=at, refund_id="r1", claim=n, answer=answer) for n, answer in enumerate(answers, 1)),
        RefundDropped(at=at, refund_id="r1", reasons=_every_refusal(at, usd, yen)),
        RefundNotMade(at=at, refund_id="r1"),
        RefundNotMade(at=odd, refund_id="r1", by=maria),
        PersonAsked(at=at, refund_id="r1"),
        *_of_legs(at, odd),
        *(AttentionSettled(at=at, subject="r1", code="failed", choice=choice, by=maria) for choice in Choice),
        OutsideRecorded(at=at, record_id="o1", amount=yen, how=text, by=maria),
        LookScheduled(at=at, due=None),
        LookScheduled(at=at, due=odd, tries=7, alarm="credentials"),
        Paused(at=at, by=maria, why=text),
        Resumed(at=odd, by=maria),
        AllowanceTaken(at=at, payment=_REF, request_id="q1", amount=usd, by=maria),
    )


def _of_legs(at: datetime, odd: datetime) -> tuple[Event, ...]:
    """One of each event of a leg, with each answer."""
    asked = Reversal(
        id="r1:tr_1:1",
        refund_id="r1",
        transfer="tr_1",
        attempt=1,
        claim=1,
        payment=_AT_PLATFORM,
        amount=_CENT,
    )
    answers: tuple[LegAnswer, ...] = (
        Reversed(reversal=_BACK),
        Declined(code="balance_insufficient", trail="req_4"),
        NotSent(why="refused"),
        OutcomeUnknown(why="timeout", resend=False, alarm="not_our_reversal"),
    )
    return (
        LegClaimed(at=at, reversal=asked),
        LegClaimed(at=odd, reversal=attrs.evolve(asked, id="r1:tr_1:2", attempt=2, claim=2)),
        *(
            LegAnswered(at=at, refund_id="r1", transfer="tr_1", claim=claim, answer=answer)
            for claim, answer in enumerate(answers, 1)
        ),
        LegObserved(at=odd, refund_id="r1", transfer="tr_1", reversal=_BACK),
        LegObserved(at=at, refund_id="r1", transfer="tr_1", reversal=attrs.evolve(_BACK, mark=None)),
        LegNotMade(at=at, refund_id="r1", transfer="tr_1", attempt=2),
    )


def _send(usd: Money) -> Send:
    return Send(
        refund_id="r1",
        claim=1,
        payment=_REF,
        amount=usd,
        reason=Reason.DUPLICATE,
        split=DirectCharge(return_fee=True),
    )


def _answers(bare: GatewayRefund, full: GatewayRefund) -> tuple[SendAnswer, ...]:
    """One of each answer, lean and full."""
    return (
        Accepted(refund=full),
        Accepted(refund=attrs.evolve(bare, trace=Trace(kind="reversal"))),
        Declined(code="charge_disputed"),
        Declined(code="x", alarm="not_found", trail="req_1"),
        NotSent(why="refused"),
        NotSent(why="http_401", alarm="credentials", trail="req_2"),
        OutcomeUnknown(why="timeout"),
        OutcomeUnknown(why="http_500", resend=False, alarm="odd_body", trail="req_3"),
    )


def _every_refusal(at: datetime, usd: Money, yen: Money) -> tuple[Refusal, ...]:
    """One of each refusal, and its other form where a fact may be missing."""
    return (
        External(method="cash"),
        MethodNotSupported(method="klarna"),
        ChargeNotSupported(kind=ChargeKind.DESTINATION),
        ChargeNotSupported(kind=ChargeKind.SEPARATE, transfers=(_TRANSFER,)),
        NotCaptured(),
        NotSettled(expected=None),
        NotSettled(expected=at.date()),
        NothingLeft(),
        InFlight(refund_id="r0", status="pending"),
        AlreadyRefunded(refund_id="r0"),
        Disputed(amount=usd),
        WindowOver(taken_at=at, days=180),
        BelowMinimum(minimum=usd),
        CurrencyNotSupported(currency="JPY", expected="USD"),
        AmountChanged(verified=usd, current=yen),
        QuoteStale(quoted_at=at),
        QuoteStale(quoted_at=None),
        RequestReused(amount=usd),
        ReasonNotAllowed(reason=Reason.FRAUDULENT),
        TooMuchOutside(asked=usd, left=Money.zero(usd.currency)),
        CannotBeStopped(refund_id="r0"),
        NotAskedFor(),
        NotAllowed(action=Action.ISSUE),
        NotFound(),
        SendingPaused(scope=Control.ACCOUNT, since=at),
        SecondPersonNeeded(refund_id="r0"),
        ApprovalDenied(by=Actor(id="maria", tenant="acme")),
        *(LimitReached(whose=whose, limit=usd, left=Money.zero(usd.currency), until=at) for whose in Whose),
    )
