"""The pure half of the Stripe adapter: every row of the error table, every key that may be absent or odd."""

from __future__ import annotations

import ast
import contextlib
import inspect
import re
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_adapters.stripe import _faults, _members, _steps
from refund_adapters.stripe import _faults as faults
from refund_adapters.stripe import _translate as words
from refund_adapters.stripe._faults import Fault
from refund_adapters.stripe._members import Unclear
from refund_domain.answers import Accepted, Declined, NotSent, OutcomeUnknown, Send, Unread
from refund_domain.commands import Reason
from refund_domain.connect import PlatformCharge
from refund_domain.money import Currency, Money
from refund_domain.payments import (
    PLATFORM,
    ChargeKind,
    Dispute,
    GatewayRefund,
    PaymentRef,
    PaymentStatus,
    Trace,
)
from tests import canaries

USD = Currency.of("usd")
REF = PaymentRef(PLATFORM, "ch_1")
CONNECTED = PaymentRef("acct_1", "ch_1")
FACTS = Path(__file__).parents[2] / "docs" / "explanation" / "stripe-facts.md"


def _usd(amount_minor: int) -> Money:
    return Money(amount_minor, USD)


def _send(**changes: Any) -> Send:
    fields: dict[str, Any] = {
        "refund_id": "r-1",
        "claim": 1,
        "payment": REF,
        "amount": _usd(20_000),
        "reason": Reason.REQUESTED_BY_CUSTOMER,
        "split": PlatformCharge(),
    }
    return Send(**{**fields, **changes})


def _charge(**changes: object) -> dict[str, object]:
    charge: dict[str, object] = {
        "object": "charge",
        "id": "ch_1",
        "amount": 20_000,
        "amount_captured": 20_000,
        "amount_refunded": 0,
        "captured": True,
        "created": 1_760_000_000,
        "currency": "usd",
        "disputed": False,
        "payment_method_details": {"type": "card", "card": {}},
        "status": "succeeded",
    }
    return _changed(charge, changes)


def _refund(**changes: object) -> dict[str, object]:
    refund: dict[str, object] = {
        "object": "refund",
        "id": "re_1",
        "amount": 20_000,
        "charge": "ch_1",
        "created": 1_760_000_000,
        "currency": "usd",
        "metadata": {words.MARK: "r-1"},
        "status": "succeeded",
    }
    return _changed(refund, changes)


ABSENT = object()


def _changed(body: dict[str, object], changes: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in {**body, **changes}.items() if value is not ABSENT}


# --- the error table --------------------------------------------------------------------------------------

_400 = {"status": 400, "type": "invalid_request_error"}
DECLINED_CODES = (
    "charge_already_refunded balance_insufficient charge_disputed refund_disputed_payment charge_not_refundable "
    "intent_invalid_state payment_intent_unexpected_state status_transition_invalid amount_too_large "
    "amount_too_small invalid_charge_amount return_intent_already_processed a_code_of_next_year lock_timeout"
).split()
SET_UP_CODES = (
    "livemode_mismatch testmode_charges_only platform_api_key_expired account_invalid platform_account_required "
    "application_fees_not_allowed api_key_expired secret_key_required"
).split()
DEFECT_CODES = (
    "charge_invalid_parameter parameter_missing parameter_unknown parameter_invalid_integer "
    "parameters_exclusive parameter_of_next_year"
).split()
ROWS: list[tuple[dict[str, Any], Any]] = [
    *(({**_400, "code": code}, Declined(code=code)) for code in DECLINED_CODES),
    ({**_400, "code": "charge_already_refunded", "trail": "req_1"}, ("charge_already_refunded", "req_1")),
    ({**_400, "param": "amount"}, Declined(code="amount_changed")),
    ({**_400}, Declined(code="not_explained")),
    ({**_400, "param": "reason"}, Declined(code="not_explained")),
    (
        {**_400, "message_code": "insufficient_balance_for_refund"},
        Declined(code="insufficient_balance_for_refund"),
    ),
    ({**_400, "code": "odd", "message_code": "less", "param": "amount"}, Declined(code="odd")),
    *(({**_400, "code": code}, (NotSent, faults.DEFECT)) for code in DEFECT_CODES),
    *(
        ({"status": status, "code": code}, (NotSent, faults.SET_UP))
        for status in (400, 401, 402, 403)
        for code in SET_UP_CODES
    ),
    ({"status": 400, "type": "idempotency_error"}, (OutcomeUnknown, False, faults.KEY_REUSED)),
    ({"status": 404, "type": "idempotency_error"}, (OutcomeUnknown, False, faults.KEY_REUSED)),
    ({"status": 400, "code": "rate_limit"}, (NotSent, None)),
    ({"status": 401}, (NotSent, faults.CREDENTIALS)),
    ({"status": 401, "code": "a_code_of_next_year"}, (NotSent, faults.CREDENTIALS)),
    ({"status": 402, "type": "card_error", "code": "card_declined"}, Declined(code="card_declined")),
    ({"status": 402, "code": "insufficient_funds"}, Declined(code="insufficient_funds")),
    ({"status": 402}, Declined(code="not_explained")),
    ({"status": 403}, (NotSent, faults.CREDENTIALS)),
    ({"status": 403, "code": "more_permissions_required"}, (NotSent, faults.CREDENTIALS)),
    ({"status": 403, "code": "request_blocked"}, (NotSent, faults.CREDENTIALS)),
    (
        {"status": 404, "code": "resource_missing", "param": "id"},
        Declined(code="resource_missing", alarm=faults.NOT_IN_ACCOUNT),
    ),
    ({"status": 404}, Declined(code="not_explained", alarm=faults.NOT_IN_ACCOUNT)),
    ({"status": 409, "code": "idempotency_key_in_use"}, (OutcomeUnknown, True, None)),
    ({"status": 409, "type": "idempotency_error"}, (OutcomeUnknown, True, None)),
    ({"status": 409, "spoken": False}, (OutcomeUnknown, True, None)),
    ({"status": 408}, (OutcomeUnknown, True, None)),
    ({"status": 418, "code": "teapot"}, (OutcomeUnknown, True, None)),
    ({"status": 422}, (OutcomeUnknown, True, None)),
    ({"status": 424}, (OutcomeUnknown, False, None)),
    ({"status": 429, "code": "rate_limit"}, (NotSent, None)),
    ({"status": 429, "code": "lock_timeout"}, (NotSent, None)),
    ({"status": 429}, (NotSent, None)),
    *(({"status": status}, (OutcomeUnknown, False, None)) for status in (500, 502, 503, 504, 599, 600)),
    ({"status": 500, "code": "charge_already_refunded"}, (OutcomeUnknown, False, None)),
    ({"status": 503, "spoken": False}, (OutcomeUnknown, False, None)),
    ({"status": 200, "spoken": False}, (OutcomeUnknown, True, None)),
    ({"status": 204, "spoken": False}, (OutcomeUnknown, True, None)),
    *(
        ({"status": status, "spoken": False}, (OutcomeUnknown, False, faults.NOT_STRIPE))
        for status in (101, 301, 302, 303, 304, 307, 308)
    ),
    *(
        ({"status": status, "spoken": False}, (OutcomeUnknown, True, faults.NOT_STRIPE))
        for status in (400, 401, 402, 403, 404, 407, 408, 413, 499)
    ),
    ({"status": 429, "spoken": False}, (OutcomeUnknown, True, None)),
]


@pytest.mark.parametrize(("fault", "expected"), ROWS, ids=[str(row[0]) for row in ROWS])
def test_each_row_of_the_error_table(fault: dict[str, Any], expected: Any) -> None:
    """Every row of the facts' table, and words nobody knows yet, give the answer the table names."""
    answer = faults.answer_of(Fault(**fault))
    match expected:
        case (str() as code, trail):
            assert answer == Declined(code=code, trail=trail)
        case Declined():
            assert answer == expected
        case (kind, alarm) if kind is NotSent:
            assert isinstance(answer, NotSent)
            assert answer.alarm == alarm
        case (kind, resend, alarm) if kind is OutcomeUnknown:
            assert isinstance(answer, OutcomeUnknown)
            assert (answer.resend, answer.alarm) == (resend, alarm)
        case _:
            pytest.fail("the row expects nothing")


_ANY_WORD = st.none() | st.sampled_from([*DECLINED_CODES, *SET_UP_CODES, *DEFECT_CODES, "rate_limit", "zzz"])


@given(
    status=st.integers(100, 700),
    spoken=st.booleans(),
    code=_ANY_WORD,
    type_=_ANY_WORD | st.just("idempotency_error"),
    param=st.none() | st.just("amount"),
)
def test_no_error_is_ever_accepted_and_no_doubt_is_called_a_no(
    status: int, spoken: bool, code: str | None, type_: str | None, param: str | None
) -> None:
    """Only a 4xx with which Stripe refuses, in its own words, says that nothing was made; all else is unknown."""
    answer = faults.answer_of(Fault(status=status, spoken=spoken, code=code, type=type_, param=param))
    certain = spoken and status in (400, 401, 402, 403, 404, 429) and type_ != "idempotency_error"
    assert isinstance(answer, Declined | NotSent) is certain
    if status >= 500:
        assert isinstance(answer, OutcomeUnknown)
        assert not answer.resend


@pytest.mark.parametrize(
    ("fault", "alarm"),
    [
        ({"status": 401}, faults.CREDENTIALS),
        ({"status": 403, "code": "account_invalid"}, faults.SET_UP),
        ({"status": 403}, faults.CREDENTIALS),
        ({"status": 400, "code": "parameter_unknown"}, faults.DEFECT),
        ({"status": 400}, None),
        ({"status": 404, "code": "resource_missing"}, None),
        ({"status": 409, "spoken": False}, faults.NOT_STRIPE),
        ({"status": 429}, None),
        ({"status": 429, "spoken": False}, None),
        ({"status": 500}, None),
        ({"status": 502, "spoken": False}, None),
        ({"status": 200, "spoken": False}, None),
        ({"status": 302, "spoken": False}, faults.NOT_STRIPE),
        ({"status": 403, "spoken": False}, faults.NOT_STRIPE),
    ],
)
def test_a_failed_read_is_unread_with_an_alarm_only_for_a_person(fault: dict[str, Any], alarm: str | None) -> None:
    """A read that failed shows nothing; it calls a person only where waiting does not help."""
    unread = faults.unread_of(Fault(**fault))
    assert isinstance(unread, Unread)
    assert unread.alarm == alarm


def test_only_stripes_own_word_makes_a_charge_missing() -> None:
    """A 404 page of a proxy, or a 404 about something else, is no proof that the charge does not exist."""
    assert faults.is_missing(Fault(status=404, code="resource_missing"))
    assert not faults.is_missing(Fault(status=404))
    assert not faults.is_missing(Fault(status=404, code="resource_missing", spoken=False))
    assert not faults.is_missing(Fault(status=400, code="resource_missing"))


SECRET = canaries.LIVE_KEY


def test_trouble_at_stripes_is_no_refusal() -> None:
    """An `api_error` tells that something broke there: with a 4xx, too, it is doubt and not a no."""
    for status in (400, 402, 404):
        answer = faults.answer_of(faults.fault_of(status, {"error": {"type": "api_error"}}))
        assert isinstance(answer, OutcomeUnknown), status


def test_an_error_of_an_odd_type_is_none_of_stripes() -> None:
    """A list where the type should be is somebody else's body, whatever its status says."""
    odds: list[object] = [[], {}, 7, None, ["card_error"]]
    for odd in odds:
        assert faults.fault_of(500, {"error": {"type": odd}}) == Fault(status=500, spoken=False)


@pytest.mark.parametrize("odd", [f"key {SECRET}", "", "a " * 60, "ä", 7, None, ["x"], {"code": 1}, True, "a\nb"])
def test_words_that_are_no_words_go_no_further(odd: object) -> None:
    """What a body holds where a code should be never reaches an answer, whatever it is."""
    error = dict.fromkeys(("code", "message_code", "param", "message"), odd) | {"type": "card_error"}
    fault = faults.fault_of(400, {"error": error}, odd)
    assert fault == Fault(status=400, type="card_error")
    assert faults.answer_of(fault) == Declined(code="not_explained")


@pytest.mark.parametrize("odd", [SECRET, "a" * 61, "Disputed", "7_disputes", "charge-disputed"])
def test_a_code_in_another_shape_than_stripes_goes_no_further(odd: str) -> None:
    """Stripe's codes are short and lower-case; a key echoed in that place is not one."""
    assert faults.answer_of(faults.fault_of(402, {"error": {"type": "card_error", "code": odd}})) == Declined(
        code="not_explained"
    )


@pytest.mark.parametrize(
    "body",
    [
        *(None, [], "text", {}, {"error": None}, {"error": "text"}, {"error": []}),
        {"error": {"code": 408, "message": "upstream request timeout", "status": "DEADLINE_EXCEEDED"}},
        {"error": {"type": "proxy_error", "code": "charge_already_refunded"}},
    ],
)
def test_a_body_without_stripes_error_object_is_not_spoken(body: object) -> None:
    """Only an error object with one of Stripe's types makes a 4xx the word of Stripe; a proxy's is none."""
    assert faults.fault_of(400, body) == Fault(status=400, spoken=False)


def test_the_fault_keeps_the_request_id_for_support() -> None:
    """The trail of a refusal is Stripe's request id."""
    fault = faults.fault_of(402, {"error": {"type": "card_error", "code": "card_declined"}}, "req_9")
    assert faults.answer_of(fault) == Declined(code="card_declined", trail="req_9")


# --- the body of a success --------------------------------------------------------------------------------


def test_a_success_that_is_our_refund_is_accepted() -> None:
    """The body that names our charge, amount, currency and mark is the refund."""
    assert words.made_of(_refund(), _send()) == Accepted(
        refund=GatewayRefund(
            id="re_1",
            amount=_usd(20_000),
            status="succeeded",
            created_at=datetime.fromtimestamp(1_760_000_000, UTC),
            mark="r-1",
        )
    )


@pytest.mark.parametrize("status", ["pending", "requires_action", "succeeded", "failed", "canceled", "next_year"])
def test_a_refund_is_accepted_with_the_status_it_has(status: str) -> None:
    """Accepted says that the refund exists, not that it succeeded; the status is kept as it is."""
    answer = words.made_of(_refund(status=status), _send())
    assert isinstance(answer, Accepted)
    assert answer.refund.status == status


@pytest.mark.parametrize(
    "changes",
    [
        {"object": "charge"},
        {"object": ABSENT},
        {"id": ""},
        {"id": ABSENT},
        {"id": 7},
        {"amount": 19_999},
        {"amount": 20_000.0},
        {"amount": "20000"},
        {"amount": True},
        {"amount": ABSENT},
        {"currency": "eur"},
        {"currency": None},
        {"charge": "ch_2"},
        {"charge": None},
        {"charge": {"id": "ch_2"}},
        {"metadata": {}},
        {"metadata": None},
        {"metadata": {words.MARK: "r-2"}},
        {"metadata": [words.MARK]},
        {"created": "now"},
        {"created": 10**18},
    ],
)
def test_a_success_that_is_not_our_refund_is_unknown_and_calls_a_person(changes: dict[str, object]) -> None:
    """A 200 that is anything but the refund asked for is neither accepted nor sent again."""
    answer = words.made_of(_refund(**changes), _send())
    assert isinstance(answer, OutcomeUnknown)
    assert (answer.resend, answer.alarm) == (False, faults.NOT_OUR_REFUND)


@pytest.mark.parametrize("body", [None, [], "refund", 7, {}, {"error": {}}])
def test_a_success_that_is_no_object_is_unknown(body: object) -> None:
    """JSON of another shape is not our refund either."""
    assert isinstance(words.made_of(body, _send()), OutcomeUnknown)


def test_an_expanded_charge_is_the_same_charge() -> None:
    """Every link is an id or the object itself."""
    assert isinstance(words.made_of(_refund(charge={"id": "ch_1"}), _send()), Accepted)


# --- refunds ----------------------------------------------------------------------------------------------


def test_keys_that_do_not_apply_may_be_absent_or_null() -> None:
    """A fresh card refund of the live service lacks reasons and details; so does one where they are null."""
    lean = words.refund_of(_refund(), "ch_1", USD)
    null = words.refund_of(
        _refund(pending_reason=None, failure_reason=None, destination_details=None), "ch_1", USD
    )
    assert lean == null
    assert (lean.pending_reason, lean.failure_reason, lean.trace) == (None, None, None)


def test_reasons_and_trace_are_kept() -> None:
    """What Stripe says of a wait, a failure and the bank's reference is kept in its own words."""
    refund = words.refund_of(
        _refund(
            status="failed",
            pending_reason="insufficient_funds",
            failure_reason="expired_or_canceled_card",
            destination_details={"type": "card", "card": {"type": "refund", "reference": "74218"}},
        ),
        "ch_1",
        USD,
    )
    assert refund.pending_reason == "insufficient_funds"
    assert refund.failure_reason == "expired_or_canceled_card"
    assert refund.trace == Trace(kind="refund", reference="74218")


@pytest.mark.parametrize(
    ("card", "trace"),
    [
        ({"type": "pending", "reference_status": "pending"}, Trace(kind="pending")),
        ({"type": "reversal"}, Trace(kind="reversal")),
        ({"reference": "1"}, None),
        ("card", None),
    ],
)
def test_a_trace_has_a_reference_only_when_there_is_one(card: object, trace: Trace | None) -> None:
    """A reversal and a fresh refund have no reference; details of another shape are no trace."""
    assert words.refund_of(_refund(destination_details={"card": card}), "ch_1", USD).trace == trace


@pytest.mark.parametrize("status", [None, 7, "", "two words", "x" * 61])
def test_a_status_that_is_no_word_is_shown_as_unknown(status: object) -> None:
    """An unreadable status is not thrown away with its refund: it holds the amount as pending does."""
    assert words.refund_of(_refund(status=status), "ch_1", USD).status == "unknown"


@pytest.mark.parametrize("metadata", [None, {}, {words.MARK: ""}, {words.MARK: "not ours!"}, {words.MARK: 7}, []])
def test_a_mark_that_cannot_be_ours_is_none(metadata: object) -> None:
    """Metadata that a person edited makes a refund another's, not an unreadable one."""
    assert words.refund_of(_refund(metadata=metadata), "ch_1", USD).mark is None


@pytest.mark.parametrize(
    "changes",
    [
        {"charge": "ch_2"},
        {"charge": ABSENT},
        {"currency": "eur"},
        {"currency": "dollars"},
        {"amount": 0},
        {"amount": -1},
        {"amount": 10**16},
        {"amount": None},
        {"id": None},
        {"id": "a b"},
        {"created": None},
        {"created": -1},
        {"created": 10**30},
        {"object": "dispute"},
    ],
)
def test_a_refund_that_contradicts_its_charge_is_unclear(changes: dict[str, object]) -> None:
    """Another charge's refund, another currency, no amount: nothing is guessed."""
    with pytest.raises(Unclear):
        words.refund_of(_refund(**changes), "ch_1", USD)


# --- charges ----------------------------------------------------------------------------------------------


def test_a_charge_becomes_a_payment() -> None:
    """Captured, given back, method, time and status come from the charge's own members."""
    payment = words.payment_of(_charge(amount_refunded=5_000), REF, live=False)
    assert payment.ref == REF
    assert (payment.captured, payment.given_back) == (_usd(20_000), _usd(5_000))
    assert payment.taken_at == datetime.fromtimestamp(1_760_000_000, UTC)
    assert (payment.method, payment.status, payment.kind) == ("card", PaymentStatus.SUCCEEDED, ChargeKind.PLATFORM)
    assert (payment.disputes, payment.fee, payment.settles_on) == ((), None, None)


@pytest.mark.parametrize(
    ("changes", "captured_minor"),
    [
        ({"amount_captured": 12_000}, 12_000),
        ({"amount_captured": 0, "captured": False}, 0),
        ({"amount_captured": ABSENT}, 20_000),
        ({"amount_captured": None}, 20_000),
        ({"amount_captured": ABSENT, "captured": False}, 0),
    ],
)
def test_what_was_captured(changes: dict[str, object], captured_minor: int) -> None:
    """The captured amount is Stripe's; where it is absent, all or nothing by the word `captured`."""
    assert words.payment_of(_charge(**changes), REF, live=False).captured == _usd(captured_minor)


@pytest.mark.parametrize(
    ("ref", "changes", "kind"),
    [
        (REF, {}, ChargeKind.PLATFORM),
        (REF, {"transfer_group": None, "transfer_data": None, "transfer": None}, ChargeKind.PLATFORM),
        (CONNECTED, {}, ChargeKind.DIRECT),
        (CONNECTED, {"transfer_group": "booking_7"}, ChargeKind.DIRECT),
        (REF, {"transfer_data": {"destination": "acct_1"}}, ChargeKind.DESTINATION),
        (REF, {"transfer": "tr_1"}, ChargeKind.DESTINATION),
        (REF, {"transfer": {"id": "tr_1"}, "transfer_group": "g"}, ChargeKind.DESTINATION),
        (CONNECTED, {"transfer": "tr_1"}, ChargeKind.DESTINATION),
        (REF, {"transfer_group": "booking_7"}, ChargeKind.PLATFORM),  # only its transfers can tell
        (CONNECTED, {"source_transfer": "tr_1"}, ChargeKind.DESTINATION),
    ],
)
def test_the_kinds_of_charge_are_told_apart(ref: PaymentRef, changes: dict[str, object], kind: ChargeKind) -> None:
    """A transfer makes a destination charge wherever it is read; a mere group is separate on the platform."""
    assert words.payment_of(_charge(**changes), ref, live=False).kind is kind


@pytest.mark.parametrize(
    ("changes", "method"),
    [
        ({"payment_method_details": {"type": "us_bank_account"}}, "us_bank_account"),
        ({"payment_method_details": {"type": "ach_debit"}}, "ach_debit"),
        ({"payment_method_details": {"type": "a_method_of_next_year"}}, "a_method_of_next_year"),
        ({"payment_method_details": {"type": None}}, "unknown"),
        ({"payment_method_details": {"type": "no word"}}, "unknown"),
        ({"payment_method_details": ABSENT}, "unknown"),
        ({"payment_method_details": None, "source": {"object": "card"}}, "card"),
        ({"payment_method_details": None, "source": {"object": "bank_account"}}, "unknown"),
        ({"payment_method_details": {"type": "link"}, "source": {"object": "card"}}, "link"),
    ],
)
def test_the_method_is_stripes_word_or_unknown(changes: dict[str, object], method: str) -> None:
    """No method is guessed: unless Stripe names it, only a card source is certain."""
    assert words.payment_of(_charge(**changes), REF, live=False).method == method


@pytest.mark.parametrize(
    ("transaction", "fee"),
    [
        ({"fee": 610, "currency": "usd"}, _usd(610)),
        ({"fee": 0, "currency": "usd"}, _usd(0)),
        ({"fee": 610, "currency": "eur"}, None),
        ({"fee": "610", "currency": "usd"}, None),
        ({"fee": -1, "currency": "usd"}, None),
        ("txn_1", None),
        (None, None),
        (ABSENT, None),
    ],
)
def test_the_fee_is_known_only_in_the_payments_own_currency(transaction: object, fee: Money | None) -> None:
    """A balance transaction in settlement currency, unexpanded or not there yet, tells no fee."""
    assert words.payment_of(_charge(balance_transaction=transaction), REF, live=False).fee == fee


@pytest.mark.parametrize(
    ("debit_date", "settles_on"), [("2026-11-09", date(2026, 11, 9)), (None, None), ("soon", None), (7, None)]
)
def test_the_day_an_ach_debit_settles(debit_date: object, settles_on: date | None) -> None:
    """The expected debit date is taken where it is a date."""
    details = {"type": "us_bank_account", "us_bank_account": {"expected_debit_date": debit_date}}
    payment = words.payment_of(_charge(payment_method_details=details, status="pending"), REF, live=False)
    assert (payment.settles_on, payment.status) == (settles_on, PaymentStatus.PENDING)


@pytest.mark.parametrize(
    "changes",
    [
        {"object": "payment_intent"},
        {"object": ABSENT},
        {"id": "ch_2"},
        {"id": ABSENT},
        {"status": "new_status"},
        {"status": None},
        {"currency": None},
        {"currency": "us"},
        {"amount_refunded": ABSENT},
        {"amount_refunded": -1},
        {"amount_refunded": 1.5},
        {"amount_captured": "20000"},
        {"amount_captured": True},
        {"amount_captured": 10**16},
        {"amount_captured": ABSENT, "captured": ABSENT},
        {"amount_captured": ABSENT, "amount": None},
        {"created": ABSENT},
        {"created": 1.5},
    ],
)
def test_a_charge_that_is_odd_is_unclear(changes: dict[str, object]) -> None:
    """Another charge, or one without amounts, status or time, decides nothing."""
    with pytest.raises(Unclear):
        words.payment_of(_charge(**changes), REF, live=False)


@pytest.mark.parametrize(
    ("changes", "disputed"),
    [
        ({}, False),
        ({"disputed": True}, True),
        ({"disputed": ABSENT, "dispute": None}, False),
        ({"disputed": ABSENT, "dispute": "dp_1"}, True),
    ],
)
def test_whether_a_charge_says_disputed(changes: dict[str, object], disputed: bool) -> None:
    """The word `disputed` counts; old versions named the dispute instead."""
    assert words.says_disputed(_charge(**changes)) is disputed


def test_a_charge_silent_about_disputes_is_unclear() -> None:
    """To take silence for "not disputed" could pay a client twice."""
    with pytest.raises(Unclear):
        words.says_disputed(_charge(disputed=ABSENT))


def test_a_dispute_keeps_stripes_word() -> None:
    """Amount, id and status of a dispute; what they mean is a rule's matter."""
    body = {"object": "dispute", "id": "dp_1", "charge": "ch_1", "amount": 9, "currency": "usd", "status": "won"}
    assert words.dispute_of(body, "ch_1", _usd(50)) == Dispute(id="dp_1", amount=_usd(9), status="won")
    for changes in ({"charge": "ch_2"}, {"currency": "??"}, {"amount": None}, {"object": "charge"}, {"id": ""}):
        with pytest.raises(Unclear):
            words.dispute_of({**body, **changes}, "ch_1", _usd(50))


def test_a_dispute_in_another_currency_counts_for_all_that_was_captured() -> None:
    """What cannot be compared is taken for the side that refunds nothing."""
    body = {"object": "dispute", "id": "dp_1", "charge": "ch_1", "amount": 9, "currency": "eur", "status": "lost"}
    assert words.dispute_of(body, "ch_1", _usd(50)).amount == _usd(50)


def test_what_was_released_uncaptured_is_no_refund() -> None:
    """Stripe lists the released part of an authorisation among the refunds; only its reporting category tells.
    What expired uncaptured has a reason of Stripe's own."""
    assert words.is_release({"reason": "expired_uncaptured_charge", "balance_transaction": None})
    assert not words.is_release({"reason": "requested_by_customer", "balance_transaction": None})
    released = {"balance_transaction": {"reporting_category": "partial_capture_reversal"}}
    assert words.is_release(released)
    for other in ({"reporting_category": "refund"}, {}, None, "txn_1"):
        assert not words.is_release({"balance_transaction": other})
    assert words.left_by_capture(_charge(amount=100, amount_captured=40)) == 60
    assert words.left_by_capture(_charge(amount=100, amount_captured=100)) == 0
    assert words.left_by_capture(_charge(amount=100, amount_captured=0, captured=False)) == 0
    assert words.left_by_capture(_charge(amount=ABSENT, amount_captured=40)) == 0


@pytest.mark.parametrize("transaction", [ABSENT, None, "txn_1", {}])
@pytest.mark.parametrize("status", ["succeeded", None, ABSENT])
def test_a_row_that_may_have_been_released_by_a_capture_decides_nothing(
    transaction: object, status: object
) -> None:
    """Without its kind, a row of no more than was left over is taken neither for a refund nor for none."""
    row = _refund(amount=60, metadata=ABSENT, status=status, balance_transaction=transaction)
    with pytest.raises(Unclear, match="the kind cannot be told"):
        words.check_is_refund(row, 60)


@pytest.mark.parametrize(
    "telling",
    [
        {"metadata": {words.MARK: "r-1"}},
        {"status": "pending", "pending_reason": "insufficient_funds"},
        {"status": "failed", "failure_reason": "insufficient_funds"},
        {"status": "canceled", "failure_reason": "merchant_request"},
        {"status": "requires_action"},
        {"status": "a_word_of_tomorrow"},
        {"amount": 61},
        {"balance_transaction": {"reporting_category": "refund"}},
    ],
)
def test_a_row_that_no_capture_can_have_released_is_a_refund(telling: dict[str, object]) -> None:
    """Our mark, another status than success, more than was left over: each tells without a balance transaction,
    which a refund that waits, failed or was cancelled may never have."""
    words.check_is_refund(_refund(**{"amount": 60, "metadata": {}, **telling}), 60)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": []},
        {"data": {}, "has_more": False},
        {"data": [], "has_more": None},
        {"data": [1], "has_more": False},
    ],
)
def test_a_page_must_say_what_it_holds_and_whether_more_follows(body: dict[str, object]) -> None:
    """An incomplete page would make a part look like the whole."""
    with pytest.raises(Unclear):
        words.page_of(body)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(name=st.sampled_from(sorted(_charge())), value=_JSON)
def test_any_value_in_any_place_of_a_charge_is_read_or_unclear(name: str, value: object) -> None:
    """No JSON makes the reading of a charge raise anything but Unclear."""
    body = _charge(**{name: value})
    with contextlib.suppress(Unclear):
        words.payment_of(body, REF, live=False)
    with contextlib.suppress(Unclear):
        words.says_disputed(body)


@given(name=st.sampled_from([*sorted(_refund()), "destination_details", "pending_reason"]), value=_JSON)
def test_any_value_in_any_place_of_a_refund_is_read_or_unclear(name: str, value: object) -> None:
    """No JSON makes the reading of a refund raise anything but Unclear."""
    with contextlib.suppress(Unclear):
        words.refund_of(_refund(**{name: value}), "ch_1", USD)


# --- the page of facts ------------------------------------------------------------------------------------


def test_every_section_the_code_cites_stands_on_the_page_of_facts() -> None:
    """A citation of the facts leads somewhere: each quoted section is a heading of the page."""
    headings = set(re.findall(r"^## (.+)$", FACTS.read_text(), re.MULTILINE))
    cited: set[str] = set()
    for source in (Path(__file__).parents[2] / "src").rglob("*.py"):
        text = re.sub(r"\s+", " ", source.read_text())
        cited.update(re.findall(r'[Ss]tripe.facts(?:\.md)?, "([^"]+)"', text))
    assert len(cited) >= 3
    assert cited - headings == set()


def test_every_alarm_stands_on_the_page_of_facts() -> None:
    """A person who is called finds each alarm's word and what to do."""
    page = FACTS.read_text()
    for alarm in (
        faults.CREDENTIALS,
        faults.SET_UP,
        faults.DEFECT,
        faults.NOT_IN_ACCOUNT,
        faults.KEY_REUSED,
        faults.NOT_STRIPE,
        faults.NOT_OUR_REFUND,
    ):
        assert f"`{alarm}`" in page


@pytest.mark.parametrize("module", [_faults, _members, _steps, words], ids=lambda module: module.__name__)
def test_the_translation_does_no_io_and_knows_no_stripe(module: ModuleType) -> None:
    """The pure half imports attrs, the core and values of the standard library; stripe for its types alone."""
    tree = ast.parse(inspect.getsource(module))
    body = [
        node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    nodes = [node for top in body for node in ast.walk(top)]
    imported = {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    pure = {f"refund_adapters.stripe.{name}" for name in ("_faults", "_members", "_translate")}
    values = {"__future__", "re", "collections", "datetime", "typing", "attrs", "refund_domain", "urllib"}
    assert {name for name in imported if name not in pure and name.partition(".")[0] not in values} <= {
        "refund_adapters.stripe"
    }
