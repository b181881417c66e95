"""The strategies draw valid values only, keep to their bounds, and reach the edges that rules turn on."""

from __future__ import annotations

import hashlib
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from refund_domain import events as ev
from refund_domain import refusals as no
from refund_domain._checks import check_id, check_text
from refund_domain.answers import (
    Accepted,
    LegAnswer,
    Look,
    Picture,
    Reversal,
    Reversed,
    Send,
    SendAnswer,
    Unread,
)
from refund_domain.commands import Actor, Reason
from refund_domain.connect import DirectCharge
from refund_domain.money import LIMIT_MINOR, Currency, Money
from refund_domain.payments import PLATFORM, OutsideRef, PaymentRef, PaymentStatus
from refund_domain.policy import DEFAULT_POLICY
from refund_domain.rules.funding import FromBankAccount, FromPayout, FundingPart, NotCovered
from refund_domain.testing import strategies as given_a
from refund_domain.testing.strategies import _payments, _payouts, _plain, _port

USD = Currency.of("USD")
REF = PaymentRef("acct_1", "ch_1")
MARIA = Actor(id="maria", tenant="acme")
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
NOT_LIVE = ("failed", "canceled")
SEND = Send(
    refund_id="mine",
    claim=1,
    payment=REF,
    amount=Money(20_000, USD),
    reason=Reason.DUPLICATE,
    split=DirectCharge(),
)

STRATEGIES: dict[str, Callable[..., SearchStrategy[Any]]] = {
    name: function
    for name, function in inspect.getmembers(given_a, inspect.isfunction)
    if not name.startswith("_")
    and function.__module__.startswith(given_a.__name__)
    and not name.startswith("check_")
}
EVERY = pytest.mark.parametrize("name", STRATEGIES)


def reaches(strategy: SearchStrategy[Any], wanted: Callable[[Any], bool]) -> bool:
    """Whether a few thousand draws come by such a value; `find` raises where none does."""
    unshrunk = settings(
        max_examples=3000, phases=[Phase.generate]
    )  # the first will do, it need not be the simplest
    return wanted(find(strategy, wanted, settings=unshrunk))


# --- the shape of the module -------------------------------------------------------------------------------


def test_the_strategies_the_kit_promises_are_there() -> None:
    """A strategy for every kind of public value, by name."""
    promised = (
        "currencies money ids texts times dates payment_refs outside_refs control_refs refs traces disputes "
        "gateway_refunds application_fees transfers transfer_reversals reversals leg_answers payments pictures "
        "looks sends answers reasons actions choices actors issue_refunds approve_refunds refusals refused "
        "events heads payouts payout_lists payout_statements balance_entries balances funds funding_parts "
        "fundings arrival_windows policies"
    )
    assert set(STRATEGIES) == set(promised.split())


@EVERY
def test_arguments_are_keyword_only_with_defaults(name: str) -> None:
    """Every strategy can be called bare, takes nothing by position, and says what it draws."""
    parameters = inspect.signature(STRATEGIES[name]).parameters.values()
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in parameters)
    assert all(parameter.default is not inspect.Parameter.empty for parameter in parameters)
    assert STRATEGIES[name].__doc__


@EVERY
@settings(max_examples=20)
@given(data=st.data())
def test_every_strategy_draws_without_arguments(name: str, data: st.DataObject) -> None:
    """Bare, each draws hashable values of a bounded size."""
    value = data.draw(STRATEGIES[name]())
    assert hash(value) == hash(value)
    assert len(repr(value)) < 20_000


def test_the_lists_of_kinds_are_the_unions() -> None:
    """What can be drawn by kind is exactly what the union types allow."""
    assert set(_port._LOOKS) == set(get_args(Look))
    assert set(_port._ANSWERS) == set(get_args(SendAnswer))
    assert set(_port._LEG_ANSWERS) == set(get_args(LegAnswer))
    assert set(_payouts._PARTS) == set(get_args(FundingPart))
    assert set(ev.EVENTS) == set(get_args(ev.Event))


BAD_CALLS: list[tuple[str, dict[str, object], type[Exception]]] = [
    ("ids", {"max_size": 0}, ValueError),
    ("ids", {"max_size": 256}, ValueError),
    ("ids", {"max_size": 3.0}, TypeError),
    ("texts", {"max_size": 0}, ValueError),
    ("texts", {"max_size": 501}, ValueError),
    ("texts", {"max_size": True}, TypeError),
    ("times", {"earliest": datetime(2026, 1, 1)}, ValueError),  # noqa: DTZ001
    ("times", {"latest": "2026"}, TypeError),
    ("times", {"earliest": given_a.LAST_MOMENT, "latest": given_a.FIRST_MOMENT}, ValueError),
    ("dates", {"earliest": NOW}, TypeError),
    ("dates", {"latest": NOW}, TypeError),
    ("dates", {"earliest": date(2026, 1, 2), "latest": date(2026, 1, 1)}, ValueError),
    ("currencies", {"codes": []}, ValueError),
    ("currencies", {"codes": ["dollars"]}, ValueError),
    ("currencies", {"codes": [USD]}, TypeError),
    ("money", {"currency": "USD"}, TypeError),
    ("money", {"min_minor": 1.0}, TypeError),
    ("money", {"min_minor": 2, "max_minor": 1}, ValueError),
    ("money", {"max_minor": LIMIT_MINOR + 1}, ValueError),
    ("money", {"min_minor": -LIMIT_MINOR - 1}, ValueError),
    ("payment_refs", {"account": ""}, ValueError),
    ("payment_refs", {"account": 5}, TypeError),
    ("outside_refs", {"currency": "USD"}, TypeError),
    ("refs", {"currency": 5}, TypeError),
    ("disputes", {"currency": 5}, TypeError),
    ("disputes", {"max_minor": -1}, ValueError),
    ("gateway_refunds", {"min_minor": 0}, ValueError),
    ("gateway_refunds", {"marks": ["../x"]}, ValueError),
    ("gateway_refunds", {"marks": [5]}, TypeError),
    ("payments", {"ref": "acct_1/ch_1"}, TypeError),
    ("payments", {"methods": []}, ValueError),
    ("payments", {"methods": [""]}, ValueError),
    ("payments", {"max_captured_minor": -1}, ValueError),
    ("payments", {"min_captured_minor": -1}, ValueError),
    ("pictures", {"max_refunds": -1}, ValueError),
    ("pictures", {"max_refunds": 51}, ValueError),
    ("pictures", {"drift": 1}, TypeError),
    ("pictures", {"marks": [""]}, ValueError),
    ("pictures", {"ref": OutsideRef(id="c", method="cash", amount=Money(1, USD))}, TypeError),
    ("looks", {"kinds": []}, ValueError),
    ("looks", {"kinds": [Accepted]}, ValueError),
    ("sends", {"payment": "ch_1"}, TypeError),
    ("sends", {"refund_id": ""}, ValueError),
    ("answers", {"send": "mine"}, TypeError),
    ("reversals", {"refund_id": "../x"}, ValueError),
    ("leg_answers", {"reversal": "mine"}, TypeError),
    ("leg_answers", {"kinds": [Accepted]}, ValueError),
    ("answers", {"kinds": [Picture]}, ValueError),
    ("actors", {"tenant": ""}, ValueError),
    ("actors", {"tenant": 5}, TypeError),
    ("issue_refunds", {"by": "maria"}, TypeError),
    ("issue_refunds", {"payment": "ch_1"}, TypeError),
    ("refusals", {"kinds": []}, ValueError),
    ("refusals", {"kinds": [no.Refused]}, ValueError),
    ("refused", {"max_reasons": 0}, ValueError),
    ("events", {"kinds": [no.NotFound]}, ValueError),
    ("events", {"ref": "ch_1"}, TypeError),
    ("payouts", {"min_minor": 5, "max_minor": 4}, ValueError),
    ("payout_lists", {"max_size": -1}, ValueError),
    ("funding_parts", {"kinds": []}, ValueError),
    ("fundings", {"currency": "USD"}, TypeError),
]


@pytest.mark.parametrize(("name", "arguments", "error"), BAD_CALLS, ids=lambda part: str(part)[:40])
def test_bad_arguments_are_refused_at_once(
    name: str, arguments: dict[str, object], error: type[Exception]
) -> None:
    """A wrong argument is an error where the strategy is made, not deep inside a later draw."""
    with pytest.raises(error):
        STRATEGIES[name](**arguments)


PROBE = """
import hashlib, inspect
from hypothesis import given, settings
from refund_domain.testing import strategies
drawn = hashlib.sha256()
for name, make in sorted(inspect.getmembers(strategies, inspect.isfunction)):
    if make.__module__.startswith(strategies.__name__) and not name.startswith("_"):
        @settings(derandomize=True, database=None, deadline=None, max_examples=5)
        @given(value=make())
        def draw(value):
            drawn.update(repr(value).encode(errors="backslashreplace"))
        draw()
print(drawn.hexdigest())
"""


def test_the_same_seed_draws_the_same_values() -> None:
    """Two processes with two hash seeds draw the same: a failure seen on one machine is seen on all."""

    def drawn(hash_seed: str) -> str:
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-W", "ignore", "-c", PROBE]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    first = drawn("1")
    assert len(first.strip()) == hashlib.sha256().digest_size * 2
    assert first == drawn("2")


# --- bounds ------------------------------------------------------------------------------------------------


@given(data=st.data(), bounds=st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000)).map(sorted))
def test_money_keeps_to_its_bounds(data: st.DataObject, bounds: list[int]) -> None:
    """Amounts lie between the bounds, both included, in the currency asked for."""
    least, most = bounds
    amount = data.draw(given_a.money(currency=USD, min_minor=least, max_minor=most))
    assert least <= amount.amount_minor <= most
    assert amount.currency is USD


@given(
    name=given_a.ids(max_size=3), words=given_a.texts(max_size=4), account=given_a.payment_refs(account="acct_9")
)
def test_ids_and_texts_pass_the_checks(name: str, words: str, account: PaymentRef) -> None:
    """What is drawn as an id or a text is one, no longer than asked for."""
    check_id(name, "name")
    check_text(words, "words", 4)
    assert len(name) <= 3
    assert account.account == "acct_9"


@given(moment=given_a.times(earliest=NOW, latest=NOW + timedelta(seconds=2)), day=given_a.dates())
def test_times_keep_to_their_bounds(moment: datetime, day: date) -> None:
    """Moments are aware and within, days are days and within."""
    assert moment.tzinfo is not None
    assert NOW <= moment <= NOW + timedelta(seconds=2)
    assert type(day) is date
    assert given_a.FIRST_DAY <= day <= given_a.LAST_DAY


@given(
    payment=given_a.payments(ref=REF, currency=USD, min_captured_minor=5, max_captured_minor=90, methods=["card"])
)
def test_payments_are_as_asked_for_and_coherent(payment: Any) -> None:
    """Payment, currency, bounds and method hold; no figure exceeds what was captured."""
    assert (payment.ref, payment.method, payment.captured.currency) == (REF, "card", USD)
    assert 5 <= payment.captured.amount_minor <= 90
    parts = [payment.given_back, *(dispute.amount for dispute in payment.disputes)]
    assert all(Money.zero(USD) <= part <= payment.captured for part in parts)
    assert payment.fee is None or payment.fee <= payment.captured
    assert len({dispute.id for dispute in payment.disputes}) == len(payment.disputes)


@given(picture=given_a.pictures(ref=REF, currency=USD, marks=["m1", "m2", "m1"], max_refunds=3, drift=False))
def test_pictures_without_drift_add_up(picture: Picture) -> None:
    """The payment's own figure is the sum of its live refunds and at most what was captured."""
    live = [refund.amount for refund in picture.refunds if refund.status not in NOT_LIVE]
    assert sum(live, Money.zero(USD)) == picture.payment.given_back <= picture.payment.captured
    assert picture.payment.ref == REF
    assert len(picture.refunds) <= 3


@given(picture=given_a.pictures(marks=["m1", "m2", "m1"]))
def test_a_mark_is_borne_by_one_refund_at_most(picture: Picture) -> None:
    """One refund of ours is one refund at the gateway, drift or no drift."""
    borne = [refund.mark for refund in picture.refunds if refund.mark is not None]
    assert len(borne) == len(set(borne))
    assert set(borne) <= {"m1", "m2"}
    assert all(refund.amount <= picture.payment.captured for refund in picture.refunds)


@given(data=st.data(), asked=given_a.reversals(refund_id="mine"))
def test_a_reversal_that_was_made_is_the_one_asked_for(data: st.DataObject, asked: Reversal) -> None:
    """The answer to a reversal bears its mark and its amount; a reversal is of the refund asked for."""
    answer = data.draw(given_a.leg_answers(kinds=[Reversed], reversal=asked))
    assert isinstance(answer, Reversed)
    assert (answer.reversal.mark, answer.reversal.amount) == (asked.id, asked.amount)
    assert asked.refund_id == "mine"


@given(answer=given_a.answers(kinds=[Accepted], send=SEND), send=given_a.sends(payment=REF, refund_id="mine"))
def test_an_accepted_refund_is_the_one_asked_for(answer: Any, send: Send) -> None:
    """The answer to a send bears its mark, its amount and its currency; a send is for the payment asked for."""
    assert (answer.refund.mark, answer.refund.amount) == (SEND.refund_id, SEND.amount)
    assert (send.payment, send.refund_id) == (REF, "mine")


@given(event=given_a.events(ref=REF, currency=USD))
def test_events_are_about_the_payment_asked_for(event: ev.Event) -> None:
    """One payment, one currency, wherever an event holds either."""
    match event:
        case ev.PaymentSeen(payment=payment):
            assert (payment.ref, payment.captured.currency) == (REF, USD)
        case ev.SendClaimed(send=send):
            assert (send.payment, send.amount.currency) == (REF, USD)
        case ev.RefundObserved(refund=refund) | ev.SendAnswered(answer=Accepted(refund=refund)):
            assert refund.amount.currency is USD
        case ev.RefundRequested(amount=amount) | ev.OutsideRecorded(amount=amount):
            assert amount.currency is USD
        case _:
            assert "EUR" not in repr(event)


@given(decision=given_a.issue_refunds(payment=REF, by=MARIA, currency=USD), person=given_a.actors(tenant="acme"))
def test_decisions_are_as_asked_for(decision: Any, person: Actor) -> None:
    """Payment, person, tenant and currency hold."""
    assert (decision.payment, decision.by, decision.amount.currency) == (REF, MARIA, USD)
    assert person.tenant == "acme"


@given(listed=given_a.payout_lists(currency=USD, min_minor=-3, max_minor=3, max_size=4))
def test_payout_lists_hold_different_payouts(listed: Any) -> None:
    """No id twice, no more than asked for, within the bounds."""
    assert len({payout.id for payout in listed}) == len(listed) <= 4
    assert all(-3 <= payout.amount.amount_minor <= 3 for payout in listed)


# --- reach -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    [
        lambda currency: currency.exponent == 0,
        lambda currency: currency.exponent == 2,
        lambda currency: currency.exponent == 3,
        lambda currency: currency.step_minor == 10,
        lambda currency: currency.step_minor == 100,
        lambda currency: currency.code == "HUF",
        lambda currency: currency.code not in _plain._CODES,
    ],
)
def test_currencies_reach_every_kind(wanted: Callable[[Any], bool]) -> None:
    """Each exponent, each special step, and codes nobody listed."""
    assert reaches(given_a.currencies(), wanted)
    assert all(Currency.of(code).code == code for code in _plain._CODES)


@pytest.mark.parametrize("minor", [-LIMIT_MINOR, -1, 0, 1, 49, 50, 99, 100, 101, LIMIT_MINOR])
def test_money_reaches_the_edges(minor: int) -> None:
    """The least unit, the limits, the ACH minimum and the edge of a whole unit are drawn, not hoped for."""
    assert reaches(given_a.money(), lambda amount: amount.amount_minor == minor)


REACH: list[tuple[str, SearchStrategy[Any], Callable[[Any], bool]]] = [
    ("another offset", given_a.times(), lambda moment: moment.utcoffset() != timedelta(0)),
    ("a whole second", given_a.times(), lambda moment: moment.microsecond == 0 and moment.second > 0),
    ("a fraction", given_a.times(), lambda moment: moment.microsecond % 1000 != 0),
    ("the platform", given_a.payment_refs(), lambda ref: ref.account == PLATFORM),
    ("a connected account", given_a.payment_refs(), lambda ref: ref.account.startswith("acct_")),
    ("an ACH id", given_a.payment_refs(), lambda ref: ref.charge.startswith("py_")),
    ("outside", given_a.refs(), lambda ref: isinstance(ref, OutsideRef)),
    ("a line break", given_a.texts(), lambda words: "\n" in words),
    ("another script", given_a.texts(), lambda words: not words.isascii()),
    ("a card", given_a.payments(), lambda payment: payment.method == "card"),
    ("ACH", given_a.payments(), lambda payment: payment.method == "us_bank_account"),
    ("an unknown method", given_a.payments(), lambda payment: payment.method not in _payments._METHODS),
    (
        "unsettled",
        given_a.payments(),
        lambda payment: payment.status is PaymentStatus.PENDING and payment.settles_on,
    ),
    ("uncaptured", given_a.payments(), lambda payment: payment.captured.amount_minor == 0),
    (
        "all given back",
        given_a.payments(),
        lambda payment: payment.given_back == payment.captured > Money.zero(payment.captured.currency),
    ),
    ("two disputes", given_a.payments(), lambda payment: len(payment.disputes) == 2),
    ("an open dispute", given_a.disputes(), lambda dispute: dispute.status == "needs_response"),
    (
        "an unknown status",
        given_a.gateway_refunds(),
        lambda refund: refund.status not in _payments._REFUND_STATUSES,
    ),
    ("marked", given_a.gateway_refunds(marks=["m"]), lambda refund: refund.mark == "m"),
    ("unmarked", given_a.gateway_refunds(marks=["m"]), lambda refund: refund.mark is None),
    ("a full picture", given_a.pictures(), lambda picture: len(picture.refunds) == 4),
    (
        "both marks",
        given_a.pictures(marks=["m", "n"]),
        lambda p: {"m", "n"} <= {refund.mark for refund in p.refunds},
    ),
    (
        "a refund of all",
        given_a.pictures(drift=False),
        lambda p: len(p.refunds) == 1 and p.payment.given_back == p.refunds[0].amount == p.payment.captured,
    ),
    (
        "figure and list at odds",
        given_a.pictures(),
        lambda p: (
            p.payment.given_back.amount_minor
            != sum(r.amount.amount_minor for r in p.refunds if r.status not in NOT_LIVE)
        ),
    ),
    (
        "more refunded than captured",
        given_a.pictures(),
        lambda p: (
            sum(r.amount.amount_minor for r in p.refunds if r.status not in NOT_LIVE)
            > p.payment.captured.amount_minor
        ),
    ),
    ("an alarm", given_a.looks(kinds=[Unread]), lambda look: look.alarm is not None),
    ("no resend", given_a.answers(), lambda answer: getattr(answer, "resend", True) is False),
    ("a note", given_a.issue_refunds(), lambda decision: decision.note is not None),
    ("several reasons", given_a.refused(), lambda refused: len(refused.reasons) == 3),
    ("a debit", given_a.payouts(), lambda payout: payout.amount.amount_minor < 0),
    (
        "a tie",
        given_a.payout_lists(),
        lambda listed: len({payout.arrives_on for payout in listed}) < len(listed),
    ),
    ("an emptied payout", given_a.funding_parts(kinds=[FromPayout]), lambda part: part.after_minor == 0),
    ("a touched payout", given_a.funding_parts(kinds=[FromPayout]), lambda part: part.before < part.payout.amount),
    ("three parts and a rest", given_a.fundings(), lambda funding: len(funding.parts) == 4),
    ("no parts", given_a.fundings(), lambda funding: not funding.parts),
    ("one day", given_a.arrival_windows(), lambda window: window.earliest == window.latest),
    ("not all switches on", given_a.policies(), lambda policy: not policy.gateway_caps),
    (
        "a key that lasts just long enough",
        given_a.policies(),
        lambda policy: policy.resend_within + 2 * policy.executes_within == policy.key_life,
    ),
    (
        "an end that comes just late enough",
        given_a.policies(),
        lambda policy: (
            policy.key_life + policy.completes_within + policy.list_lag + 2 * policy.clock_skew == policy.end_after
        ),
    ),
    ("another policy", given_a.policies(), lambda policy: policy != DEFAULT_POLICY and policy.gateway_caps),
]


@pytest.mark.parametrize(("strategy", "wanted"), [row[1:] for row in REACH], ids=[row[0] for row in REACH])
def test_the_edges_are_reached(strategy: SearchStrategy[Any], wanted: Callable[[Any], bool]) -> None:
    """Each value a rule turns on is really drawn, so that a property over the strategy has met it."""
    assert reaches(strategy, lambda value: bool(wanted(value)))


@pytest.mark.parametrize(
    "kind", [*ev.EVENTS, *no.REFUSALS, FromPayout, FromBankAccount, NotCovered], ids=lambda k: k.__name__
)
def test_every_class_of_a_union_is_drawn(kind: type) -> None:
    """No class of events, refusals or parts is left out."""
    drawn: SearchStrategy[Any] = given_a.events() | given_a.refusals() | given_a.funding_parts()
    assert reaches(drawn, lambda value: type(value) is kind)
