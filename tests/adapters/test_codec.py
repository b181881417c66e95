"""The format of events: pinned by a golden file, closed under every value, and never guessing."""

from __future__ import annotations

import json
import pickle
import re
import traceback
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_adapters.sql import codec
from refund_adapters.sql.codec import decode, encode
from refund_domain import refusals as no
from refund_domain.answers import (
    Accepted,
    Answer,
    Declined,
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
    Split,
    Transfer,
    TransferReversal,
)
from refund_domain.errors import UnknownEvent
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
from refund_domain.money import Currency, Money
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
from refund_domain.testing import strategies
from tests import canaries

GOLDEN = Path(__file__).with_name("golden_events.json")

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EXACT = datetime(2026, 3, 2, 9, 0, 1, 234567, tzinfo=UTC)
FIFTY = Money(5_000, Currency.of("USD"))
YEN = Money(500, Currency.of("JPY"))
MARIA = Actor(id="maria", tenant="acme")
REF = PaymentRef("acct_1", "ch_1")
LEAN_REFUND = GatewayRefund(id="re_1", amount=FIFTY, status="succeeded", created_at=AT)
FULL_REFUND = GatewayRefund(
    id="pyr_1",
    amount=FIFTY,
    status="failed",
    created_at=EXACT,
    mark="r1",
    pending_reason="processing",
    failure_reason="declined",
    trace=Trace(kind="refund", reference="74999"),
)
AT_PLATFORM = PaymentRef("platform", "ch_1")
SEND = Send(
    refund_id="r1",
    claim=1,
    payment=REF,
    amount=FIFTY,
    reason=Reason.DUPLICATE,
    split=DirectCharge(return_fee=True),
)
TRANSFER = Transfer(id="tr_1", amount=FIFTY, reversed=Money(1, FIFTY.currency))
BACK = TransferReversal(id="trr_1", amount=Money(1, FIFTY.currency), mark="r1:tr_1:1")
REVERSAL = Reversal(
    id="r1:tr_1:1", refund_id="r1", transfer="tr_1", attempt=1, claim=1, payment=AT_PLATFORM, amount=FIFTY
)
LEAN_PAYMENT = Payment(ref=REF, method="card", captured=FIFTY, given_back=Money(0, FIFTY.currency), taken_at=AT)
FULL_PAYMENT = Payment(
    ref=REF,
    method="us_bank_account",
    captured=FIFTY,
    given_back=FIFTY,
    taken_at=AT,
    status=PaymentStatus.PENDING,
    kind=ChargeKind.DIRECT,
    disputes=(
        Dispute(id="dp_1", amount=FIFTY, status="lost"),
        Dispute(id="dp_2", amount=FIFTY, status="won"),
    ),
    fee=Money(175, FIFTY.currency),
    settles_on=date(2026, 3, 6),
    application_fee=ApplicationFee(taken=FIFTY, returned=Money(1, FIFTY.currency)),
    transfers=(TRANSFER,),
)


def dropped(*reasons: no.Refusal) -> RefundDropped:
    return RefundDropped(at=AT, refund_id="r1", reasons=reasons)


def answered(answer: SendAnswer) -> SendAnswered:
    return SendAnswered(at=AT, refund_id="r1", claim=2, answer=answer)


EXAMPLES: dict[str, Event] = {
    "StreamOpened": StreamOpened(at=AT, tenant="acme"),
    "PaymentSeen": PaymentSeen(at=EXACT, payment=LEAN_PAYMENT),
    "PaymentSeen, full": PaymentSeen(at=AT, payment=FULL_PAYMENT),
    "PaymentSeen, with reversals": PaymentSeen(
        at=AT,
        payment=attrs.evolve(
            LEAN_PAYMENT,
            transfers=(
                attrs.evolve(TRANSFER, reversals=(BACK,)),
                attrs.evolve(TRANSFER, id="tr_2", reversals=(attrs.evolve(BACK, mark=None),)),
            ),
        ),
    ),
    "RefundObserved": RefundObserved(at=AT, refund=LEAN_REFUND),
    "RefundObserved, full": RefundObserved(at=AT, refund=FULL_REFUND),
    "RefundObserved, reversal": RefundObserved(
        at=AT, refund=attrs.evolve(LEAN_REFUND, trace=Trace(kind="reversal"))
    ),
    "RefundRequested": RefundRequested(
        at=AT,
        refund_id="r1",
        request_id="q1",
        amount=FIFTY,
        reason=Reason.REQUESTED_BY_CUSTOMER,
        quoted_at=EXACT,
        by=MARIA,
    ),
    "RefundRequested, full": RefundRequested(
        at=AT,
        refund_id="r1",
        request_id="q1",
        amount=YEN,
        reason=Reason.FRAUDULENT,
        quoted_at=AT,
        by=MARIA,
        note='Größe "XL"\n退款 ✓',
    ),
    "RefundRequested, needs a second": RefundRequested(
        at=AT,
        refund_id="r1",
        request_id="q1",
        amount=FIFTY,
        reason=Reason.DUPLICATE,
        quoted_at=AT,
        by=MARIA,
        needs_second=True,
    ),
    "RefundApproved": RefundApproved(at=AT, refund_id="r1", by=MARIA),
    "SendClaimed": SendClaimed(
        at=AT,
        send=SEND,
    ),
    "SendClaimed, platform": SendClaimed(
        at=AT, send=attrs.evolve(SEND, payment=AT_PLATFORM, split=PlatformCharge())
    ),
    "SendClaimed, destination": SendClaimed(
        at=AT, send=attrs.evolve(SEND, payment=AT_PLATFORM, split=DestinationCharge(return_fee=True))
    ),
    "SendClaimed, separate": SendClaimed(
        at=AT,
        send=attrs.evolve(
            SEND,
            payment=AT_PLATFORM,
            split=SeparateCharge(legs=(Leg(transfer="tr_1", amount=FIFTY, by_hand=Money(1, FIFTY.currency)),)),
        ),
    ),
    "SendAnswered, Accepted": answered(Accepted(refund=FULL_REFUND)),
    "SendAnswered, Declined": answered(Declined(code="charge_disputed")),
    "SendAnswered, Declined, full": answered(Declined(code="resource_missing", alarm="not_found", trail="req_1")),
    "SendAnswered, NotSent": answered(NotSent(why="rate_limit")),
    "SendAnswered, NotSent, full": answered(NotSent(why="401", alarm="credentials", trail="req_1")),
    "SendAnswered, OutcomeUnknown": answered(OutcomeUnknown(why="timeout")),
    "SendAnswered, OutcomeUnknown, full": answered(
        OutcomeUnknown(why="not our refund", resend=False, alarm="proxy", trail="req_1")
    ),
    "RefundDropped, External": dropped(no.External(method="cash")),
    "RefundDropped, MethodNotSupported": dropped(no.MethodNotSupported(method="klarna")),
    "RefundDropped, ChargeNotSupported": dropped(no.ChargeNotSupported(kind="separate")),
    "RefundDropped, ChargeNotSupported, with transfers": dropped(
        no.ChargeNotSupported(kind="separate", transfers=(TRANSFER,))
    ),
    "RefundDropped, NotCaptured": dropped(no.NotCaptured()),
    "RefundDropped, NotSettled": dropped(no.NotSettled(expected=date(2026, 3, 6))),
    "RefundDropped, NothingLeft": dropped(no.NothingLeft()),
    "RefundDropped, InFlight": dropped(no.InFlight(refund_id="r0", status="in_doubt")),
    "RefundDropped, AlreadyRefunded": dropped(no.AlreadyRefunded(refund_id="r0")),
    "RefundDropped, Disputed": dropped(no.Disputed(amount=FIFTY)),
    "RefundDropped, WindowOver": dropped(no.WindowOver(taken_at=AT, days=180)),
    "RefundDropped, BelowMinimum": dropped(no.BelowMinimum(minimum=FIFTY)),
    "RefundDropped, CurrencyNotSupported": dropped(no.CurrencyNotSupported(currency="EUR", expected="USD")),
    "RefundDropped, AmountChanged": dropped(no.AmountChanged(verified=FIFTY, current=Money(1, FIFTY.currency))),
    "RefundDropped, QuoteStale": dropped(no.QuoteStale(quoted_at=None)),
    "RefundDropped, RequestReused": dropped(no.RequestReused(amount=FIFTY)),
    "RefundDropped, ReasonNotAllowed": dropped(no.ReasonNotAllowed(reason="fraudulent")),
    "RefundDropped, TooMuchOutside": dropped(no.TooMuchOutside(asked=FIFTY, left=Money(1, FIFTY.currency))),
    "RefundDropped, CannotBeStopped": dropped(no.CannotBeStopped(refund_id="r0")),
    "RefundDropped, NotAskedFor": dropped(no.NotAskedFor()),
    "RefundDropped, NotAllowed": dropped(no.NotAllowed(action=Action.ISSUE)),
    "RefundDropped, NotFound": dropped(no.NotFound()),
    "RefundDropped, SendingPaused": dropped(no.SendingPaused(scope=Control.ACCOUNT, since=AT)),
    "RefundDropped, SecondPersonNeeded": dropped(no.SecondPersonNeeded(refund_id="r0")),
    "RefundDropped, ApprovalDenied": dropped(no.ApprovalDenied(by=MARIA)),
    "RefundDropped, LimitReached": dropped(
        no.LimitReached(whose=no.Whose.TENANT, limit=FIFTY, left=Money(1, FIFTY.currency), until=AT)
    ),
    "RefundDropped, two": dropped(no.NothingLeft(), no.QuoteStale(quoted_at=AT)),
    "RefundNotMade": RefundNotMade(at=AT, refund_id="r1"),
    "RefundNotMade, full": RefundNotMade(at=AT, refund_id="r1", by=MARIA),
    "PersonAsked": PersonAsked(at=AT, refund_id="r1"),
    "LegClaimed": LegClaimed(at=AT, reversal=REVERSAL),
    "LegAnswered, Reversed": LegAnswered(
        at=AT, refund_id="r1", transfer="tr_1", claim=1, answer=Reversed(reversal=BACK)
    ),
    "LegAnswered, Declined": LegAnswered(
        at=AT, refund_id="r1", transfer="tr_1", claim=2, answer=Declined(code="balance_insufficient")
    ),
    "LegObserved": LegObserved(at=AT, refund_id="r1", transfer="tr_1", reversal=BACK),
    "LegNotMade": LegNotMade(at=AT, refund_id="r1", transfer="tr_1", attempt=1),
    "AttentionSettled": AttentionSettled(
        at=AT, subject="r1", code="ask_person", choice=Choice.KEEP_LOOKING, by=MARIA
    ),
    "OutsideRecorded": OutsideRecorded(at=AT, record_id="o1", amount=FIFTY, how="cash", by=MARIA),
    "LookScheduled": LookScheduled(at=AT, due=None),
    "LookScheduled, full": LookScheduled(at=AT, due=EXACT, tries=3, alarm="credentials"),
    "Paused": Paused(at=AT, by=MARIA, why="wrong amounts"),
    "Resumed": Resumed(at=AT, by=MARIA),
    "AllowanceTaken": AllowanceTaken(at=AT, payment=AT_PLATFORM, request_id="q1", amount=FIFTY, by=MARIA),
}

# A field that is left out is read as its default, so a changed default would rewrite old journals.
DEFAULTS: dict[str, object] = {
    "Declined.alarm": None,
    "Declined.trail": None,
    "GatewayRefund.failure_reason": None,
    "GatewayRefund.mark": None,
    "GatewayRefund.pending_reason": None,
    "GatewayRefund.trace": None,
    "LookScheduled.alarm": None,
    "LookScheduled.tries": 0,
    "NotSent.alarm": None,
    "NotSent.trail": None,
    "OutcomeUnknown.alarm": None,
    "OutcomeUnknown.resend": True,
    "OutcomeUnknown.trail": None,
    "ChargeNotSupported.transfers": (),
    "DestinationCharge.return_fee": False,
    "DirectCharge.return_fee": False,
    "Payment.application_fee": None,
    "Payment.disputes": (),
    "Payment.fee": None,
    "Payment.kind": ChargeKind.PLATFORM,
    "Payment.settles_on": None,
    "Payment.status": PaymentStatus.SUCCEEDED,
    "Payment.transfers": (),
    "Transfer.reversals": (),
    "TransferReversal.mark": None,
    "RefundNotMade.by": None,
    "RefundRequested.needs_second": False,
    "RefundRequested.note": None,
    "Trace.reference": None,
}


def golden() -> dict[str, str]:
    """The pinned texts by name: one a line, exactly as a row holds it."""
    lines = GOLDEN.read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r'"([^"]+)": (\{.*\}),?', line) for line in lines[1:-1]]
    assert all(found)
    return {match[1]: match[2] for match in found if match is not None}


def classes_within(declared: object) -> Iterator[type[attrs.AttrsInstance]]:
    """Every attrs class that the format writes as an object, from the declared type of a field downwards."""
    if isinstance(declared, type) and attrs.has(declared) and declared is not Currency:
        yield declared
        for kind in get_type_hints(declared).values():
            yield from classes_within(kind)
    for kind in get_args(declared):
        yield from classes_within(kind)


ALL_CLASSES = {kind for event in EVENTS for kind in classes_within(event)}


def test_the_golden_file_names_the_examples() -> None:
    """Each pinned text has its value beside it, so none is pinned in vain."""
    assert list(golden()) == list(EXAMPLES)
    json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_pinned_text_still_reads_as_the_same_event(name: str) -> None:
    """What an earlier version of the library wrote means today what it meant then."""
    read = decode(golden()[name])
    assert read == EXAMPLES[name]
    assert type(read) is type(EXAMPLES[name])


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_event_is_still_written_as_the_same_text(name: str) -> None:
    """The format cannot change by accident: what is written today is what is pinned."""
    assert encode(EXAMPLES[name]) == golden()[name]


@pytest.mark.parametrize(
    ("account", "kind", "split"),
    [("platform", "platform", PlatformCharge()), ("acct_1", "direct", DirectCharge())],
)
def test_a_send_of_the_first_version_still_reads(account: str, kind: str, split: Split) -> None:
    """It named its charge's kind instead of a split; no fee went back with it."""
    read = decode(first_version(account, kind))
    assert isinstance(read, SendClaimed)
    assert read.send == attrs.evolve(SEND, payment=PaymentRef(account, "ch_1"), split=split)


@pytest.mark.parametrize(
    ("account", "kind"),
    [("platform", "destination"), ("platform", "separate"), ("platform", "direct"), ("acct_1", "platform")],
)
def test_a_send_the_first_version_never_made_is_not_guessed_at(account: str, kind: str) -> None:
    """Those kinds were refused then, and others contradict their account: nobody knows what it asked for."""
    with pytest.raises(UnknownEvent):
        decode(first_version(account, kind))


def first_version(account: str, kind: str) -> str:
    """A claim as the first version wrote it."""
    row = json.loads(golden()["SendClaimed"])
    del row["send"]["split"]
    row["send"] |= {"kind": kind, "payment": {"account": account, "charge": "ch_1"}}
    return json.dumps(row)


def test_no_class_is_missing_from_the_golden_file() -> None:
    """Every event, refusal, answer and part of them stands in the golden file at least once."""
    seen: set[type] = set()

    def visit(value: object) -> None:
        if isinstance(value, tuple):
            for member in value:
                visit(member)
        elif attrs.has(type(value)) and not isinstance(value, Currency):
            seen.add(type(value))
            for name in get_type_hints(type(value)):
                visit(getattr(value, name))

    visit(tuple(EXAMPLES.values()))
    assert seen == ALL_CLASSES
    assert seen >= {*EVENTS, *no.REFUSALS, *get_args(Answer)}


def test_no_default_has_changed() -> None:
    """A field left out of an old row is read as the default it was left out for."""
    found = {
        f"{kind.__name__}.{field.name}": field.default
        for kind in ALL_CLASSES
        for field in attrs.fields(kind)
        if field.default is not attrs.NOTHING
    }
    assert {name: (type(default), default) for name, default in found.items()} == {
        name: (type(default), default) for name, default in DEFAULTS.items()
    }


@given(event=strategies.events())
def test_every_event_survives_the_round_trip(event: Event) -> None:
    """Whatever event the core can make is read back equal, and written again as the same text."""
    text = encode(event)
    read = decode(text)
    assert (type(read), read) == (type(event), event)
    assert encode(read) == text


@given(event=strategies.events())
def test_a_row_is_one_line_of_plain_json(event: Event) -> None:
    """A person can read a row with any tool: JSON on one line, the version and the type first, times in UTC."""
    text = encode(event)
    raw = json.loads(text)
    assert "\n" not in text
    assert list(raw)[:3] == ["v", "type", "at"]
    assert (raw["v"], raw["type"]) == (1, type(event).__name__)
    assert datetime.fromisoformat(raw["at"]) == event.at
    assert raw["at"].endswith("Z")


def test_text_of_any_script_stays_readable() -> None:
    """Letters beyond ASCII are written as themselves, not as escapes."""
    assert "退款 ✓" in encode(EXAMPLES["RefundRequested, full"])


def test_a_time_is_written_in_utc() -> None:
    """A time of another offset is the same moment in UTC, to the microsecond."""
    there = EXACT.astimezone(timezone(timedelta(hours=-7)))
    assert '"at":"2026-03-02T09:00:01.234567Z"' in encode(PersonAsked(at=there, refund_id="r1"))


# ---- never a guess ----

SECRET = canaries.LIVE_KEY
REQUESTED = cast("dict[str, Any]", json.loads(encode(EXAMPLES["RefundRequested, full"])))
ANSWERED = cast("dict[str, Any]", json.loads(encode(EXAMPLES["SendAnswered, Accepted"])))
SEEN = cast("dict[str, Any]", json.loads(encode(EXAMPLES["PaymentSeen, full"])))
DROPPED = cast("dict[str, Any]", json.loads(encode(EXAMPLES["RefundDropped, two"])))
LOOK = cast("dict[str, Any]", json.loads(encode(EXAMPLES["LookScheduled, full"])))


def without(raw: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in raw.items() if key != name}


UNREADABLE: dict[str, object] = {
    "a newer version": {**REQUESTED, "v": 2},
    "no version": without(REQUESTED, "v"),
    "version 0": {**REQUESTED, "v": 0},
    "a version that is true": {**REQUESTED, "v": True},
    "a version that is text": {**REQUESTED, "v": "1"},
    "an unknown event": {**REQUESTED, "type": SECRET},
    "no type": without(REQUESTED, "type"),
    "a type that is a list": {**REQUESTED, "type": [SECRET]},
    "a refusal in place of an event": {"v": 1, "type": "NothingLeft"},
    "an unknown field": {**REQUESTED, SECRET: SECRET},
    "an unknown field that is null": {**REQUESTED, SECRET: None},
    "an unknown field within": {**REQUESTED, "by": {**REQUESTED["by"], SECRET: 1}},
    "a field of another class": {**REQUESTED, "claim": 1},
    "a tag where none belongs": {**REQUESTED, "by": {**REQUESTED["by"], "type": "Actor"}},
    "a missing field": without(REQUESTED, "amount"),
    "a missing field within": {**REQUESTED, "amount": {"currency": "USD"}},
    "null without leave": {**REQUESTED, "amount": None},
    "a number for a text": {**REQUESTED, "refund_id": 7},
    "a text for a number": {**ANSWERED, "claim": "2"},
    "a float for a number": {**ANSWERED, "claim": 2.0},
    "true for a number": {**ANSWERED, "claim": True},
    "a number for a bool": {**ANSWERED, "answer": {"type": "OutcomeUnknown", "why": "x", "resend": 0}},
    "an unknown answer": {**ANSWERED, "answer": {**ANSWERED["answer"], "type": SECRET}},
    "an answer without a type": {**ANSWERED, "answer": without(ANSWERED["answer"], "type")},
    "an answer that is text": {**ANSWERED, "answer": SECRET},
    "an unknown refusal": {**DROPPED, "reasons": [{"type": SECRET}]},
    "reasons that are no list": {**DROPPED, "reasons": {"type": "NothingLeft"}},
    "reasons that are nothing": {**DROPPED, "reasons": {}},
    "an object that is a list": {**SEEN, "payment": [SECRET]},
    "an unknown word": {**REQUESTED, "reason": SECRET},
    "a word that is a list": {**REQUESTED, "reason": [SECRET]},
    "a word in capitals": {**REQUESTED, "reason": "FRAUDULENT"},
    "a currency in small letters": {**REQUESTED, "amount": {"amount_minor": 1, "currency": "usd"}},
    "a currency of four letters": {**REQUESTED, "amount": {"amount_minor": 1, "currency": "USDT"}},
    "a currency beyond ASCII": {**REQUESTED, "amount": {"amount_minor": 1, "currency": "ÜSD"}},
    "an amount beyond the limit": {**REQUESTED, "amount": {"amount_minor": 10**16, "currency": "USD"}},
    "a float for an amount": {**REQUESTED, "amount": {"amount_minor": 1.0, "currency": "USD"}},
    "an id its class refuses": {**SEEN, "payment": {**SEEN["payment"], "ref": {"account": "", "charge": "x"}}},
    "mixed currencies": {
        **SEEN,
        "payment": {**SEEN["payment"], "given_back": {"amount_minor": 1, "currency": "EUR"}},
    },
    "a naive time": {**LOOK, "due": "2026-03-02T09:00:00"},
    "a time of another offset": {**LOOK, "due": "2026-03-02T09:00:00+01:00"},
    "a time in another spelling": {**LOOK, "due": "2026-W10-1T09:00:00Z"},
    "a time with a blank": {**LOOK, "due": "2026-03-02 09:00:00Z"},
    "no time at all": {**LOOK, "due": SECRET},
    "a number for a time": {**LOOK, "due": 1772442000},
    "a date in another spelling": {**SEEN, "payment": {**SEEN["payment"], "settles_on": "2026-W10-5"}},
    "a time for a date": {**SEEN, "payment": {**SEEN["payment"], "settles_on": "2026-03-06T00:00:00Z"}},
    "no date at all": {**SEEN, "payment": {**SEEN["payment"], "settles_on": SECRET}},
    "a list": [REQUESTED],
    "a text": SECRET,
    "null": None,
}

UNREADABLE_TEXTS: dict[str, str] = {
    **{name: json.dumps(raw) for name, raw in UNREADABLE.items()},
    "nothing": "",
    "no JSON": SECRET,
    "half a row": json.dumps({**REQUESTED, "note": SECRET})[:-1],
    "a row and more": json.dumps(REQUESTED) + SECRET,
    "a name twice": json.dumps(REQUESTED)[:-1] + ', "note": "' + SECRET + '"}',
    "half a surrogate pair": json.dumps({**REQUESTED, "note": "\ud800"}),
    "a number of 5,000 digits": '{"v":1,"type":"PersonAsked","at":' + "9" * 5_000 + "}",
    "a thousand thousand brackets": "[" * 10**6,
    "NaN": '{"v":NaN}',
}


@pytest.mark.parametrize("name", UNREADABLE_TEXTS)
def test_what_is_not_exactly_known_is_refused(name: str) -> None:
    """No row is read by guessing, and the refusal shows nothing of what the row held."""
    with pytest.raises(UnknownEvent) as caught:
        decode(UNREADABLE_TEXTS[name])
    told = "".join(traceback.format_exception(caught.value))
    assert SECRET not in told
    assert SECRET not in repr(vars(caught.value.__context__ or caught.value))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize("value", [None, b'{"v":1}', 7, {"v": 1}])
def test_what_is_no_text_is_refused(value: object) -> None:
    """A database may hand over NULL or bytes; neither is an event."""
    with pytest.raises(UnknownEvent):
        decode(cast(str, value))


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (
            UNREADABLE["a currency in small letters"],
            "RefundRequested.amount: Money.currency: a currency code was exp",
        ),
        (UNREADABLE["a missing field"], "RefundRequested.amount: missing"),
        (UNREADABLE["a missing field within"], "RefundRequested.amount: Money.amount_minor: missing"),
        (UNREADABLE["mixed currencies"], "PaymentSeen.payment: Payment: values that it refuses"),
        (UNREADABLE["an unknown refusal"], "RefundDropped.reasons: a type that this version does not know"),
    ],
)
def test_a_field_at_fault_is_named(raw: object, fault: str) -> None:
    """Whoever upgrades a worker is told where the row differs from what it knows."""
    with pytest.raises(UnknownEvent) as caught:
        decode(json.dumps(raw))
    assert str(caught.value).startswith(fault)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


DEFAULTS_AS_JSON = {"null", "true", "0", "[]", '"platform"', '"succeeded"'}


def says_the_same(raw: object, written: object) -> bool:
    """Whether two rows are equal, but for defaults that the first spells out."""
    if isinstance(raw, dict) and isinstance(written, dict):
        return raw.keys() >= written.keys() and all(
            says_the_same(member, written[name]) if name in written else json.dumps(member) in DEFAULTS_AS_JSON
            for name, member in raw.items()
        )
    if isinstance(raw, list) and isinstance(written, list):
        return len(raw) == len(written) and all(map(says_the_same, raw, written))
    return type(raw) is type(written) and raw == written


@given(event=strategies.events(), data=st.data())
def test_a_changed_row_is_refused_or_reads_as_what_it_says(event: Event, data: st.DataObject) -> None:
    """Whatever replaces one member of a row, reading raises UnknownEvent alone, or means exactly that text."""
    raw = json.loads(encode(event))
    place = raw
    while True:
        name = data.draw(st.sampled_from(sorted(place)))
        if not (isinstance(place[name], dict) and data.draw(st.booleans())):
            break
        place = place[name]
    place[name] = data.draw(json_values)
    try:
        read = decode(json.dumps(raw))
    except UnknownEvent:
        return
    assert says_the_same(raw, json.loads(encode(read)))


@given(text=st.text(max_size=40))
def test_noise_is_refused(text: str) -> None:
    """No text whatever raises anything but UnknownEvent."""
    with pytest.raises(UnknownEvent):
        decode(text)


# ---- what cannot be written ----


class ClaimedTwice(PersonAsked):
    """A class the format does not know."""


Namesake = type("PersonAsked", (PersonAsked,), {})


def test_what_is_no_event_is_not_written() -> None:
    """Only the event classes themselves are written, so that what is written can be read."""
    values: list[object] = [None, {}, "x", MARIA, no.NothingLeft(), ClaimedTwice(at=AT, refund_id="r1")]
    values.append(Namesake(at=AT, refund_id="r1"))
    for value in values:
        with pytest.raises(TypeError):
            encode(cast(Event, value))


WRONG: dict[str, tuple[type[Exception], Event]] = {
    "a number for a text": (TypeError, PersonAsked(at=AT, refund_id=cast(str, 7))),
    "true for a number": (TypeError, LookScheduled(at=AT, due=None, tries=cast(int, True))),
    "false that equals a default": (TypeError, LookScheduled(at=AT, due=None, tries=cast(int, False))),
    "a float for a number": (TypeError, LookScheduled(at=AT, due=None, tries=cast(int, 1.0))),
    "a text for a time": (TypeError, LookScheduled(at=AT, due=cast(datetime, "2026"))),
    "a naive time": (ValueError, PersonAsked(at=AT.replace(tzinfo=None), refund_id="r1")),
    "a time before the calendar": (
        ValueError,
        PersonAsked(at=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))), refund_id="r1"),
    ),
    "a time for a date": (TypeError, dropped(no.NotSettled(expected=AT))),
    "a list for a tuple": (TypeError, RefundDropped(at=AT, refund_id="r1", reasons=cast(Any, [no.NothingLeft()]))),
    "a text for a word": (
        TypeError,
        AttentionSettled(at=AT, subject="r1", code="c", choice=cast(Choice, "noted"), by=MARIA),
    ),
    "another class": (TypeError, StreamOpened(at=AT, tenant=cast(str, MARIA))),
    "an event for an answer": (TypeError, answered(cast(SendAnswer, no.NothingLeft()))),
    "an actor for money": (TypeError, dropped(no.Disputed(amount=cast(Money, MARIA)))),
    "a code for a currency": (TypeError, dropped(no.Disputed(amount=cast(Any, "5 USD")))),
    "a currency of another exponent": (ValueError, dropped(no.Disputed(amount=Money(1, Currency("USD", 3, 1))))),
    "half a surrogate pair": (ValueError, StreamOpened(at=AT, tenant="\ud800" + SECRET)),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_value_of_another_type_is_not_written(name: str) -> None:
    """A defect of the caller's is told at once, before anything could stand in the journal."""
    kind, event = WRONG[name]
    with pytest.raises(kind) as caught:
        encode(event)
    assert type(caught.value) is kind
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@attrs.frozen
class Tagged:
    """A class whose field would be taken for the tag."""

    type: str


@attrs.frozen
class Made:
    """A class with a default that is made anew each time."""

    names: tuple[str, ...] = attrs.field(factory=tuple)


@attrs.frozen
class Renamed:
    """A class whose field is set under another name."""

    _name: str


@pytest.mark.parametrize(
    "declared",
    [float, list[str], tuple[int, int], int | str, object, dict[str, int], Tagged, Made, Renamed],
)
def test_a_type_without_a_shape_is_refused_when_the_table_is_made(declared: object) -> None:
    """An event class whose field cannot be written exactly fails its first test, not its first refund."""
    with pytest.raises(TypeError):
        codec._shape(declared)


def test_an_aware_time_zone_that_gives_no_offset_is_naive() -> None:
    """A tzinfo that knows no offset is as good as none."""

    class Nowhere(tzinfo):
        def utcoffset(self, moment: datetime | None) -> timedelta | None:
            return None

        def dst(self, moment: datetime | None) -> timedelta | None:
            return None

        def tzname(self, moment: datetime | None) -> str | None:
            return None

    with pytest.raises(ValueError, match="aware"):
        encode(PersonAsked(at=datetime(2026, 3, 2, tzinfo=Nowhere()), refund_id="r1"))
