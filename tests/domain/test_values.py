"""Every public value is hashable, frozen, picklable and equal by value, and refuses what it should not hold."""

from __future__ import annotations

import copy
import inspect
import pickle
import string
from datetime import UTC, date, datetime, timedelta
from types import ModuleType
from urllib.parse import quote

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from refund_domain import answers, commands, events, money, payments, policy, ports, refusals
from refund_domain._checks import check_count, check_id, check_text, check_time
from refund_domain.answers import (
    Accepted,
    Declined,
    Missing,
    NotSent,
    OutcomeUnknown,
    Picture,
    Reversal,
    Reversed,
    Send,
    Unread,
)
from refund_domain.commands import Actor, ApproveRefund, FormError, IssueRefund, Reason
from refund_domain.connect import DirectCharge, PlatformCharge, TransferReversal
from refund_domain.money import Currency, Money
from refund_domain.payments import (
    PLATFORM,
    Control,
    ControlRef,
    Dispute,
    GatewayRefund,
    OutsideRef,
    Payment,
    PaymentRef,
    Trace,
)
from refund_domain.payouts import entries, funds, statement
from refund_domain.rules import arrival, funding
from refund_domain.testing import strategies as given_a

USD = Currency.of("USD")
EUR = Currency.of("EUR")
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
REF = PaymentRef(PLATFORM, "ch_1")
MARIA = Actor(id="maria", tenant="acme")


def usd(minor: int) -> Money:
    """So many cents."""
    return Money(minor, USD)


# --- the laws of values ------------------------------------------------------------------------------------

VALUES: dict[type[attrs.AttrsInstance], SearchStrategy[object]] = {
    Currency: given_a.currencies(),
    Money: given_a.money(),
    PaymentRef: given_a.payment_refs(),
    OutsideRef: given_a.outside_refs(),
    ControlRef: given_a.control_refs(),
    Dispute: given_a.disputes(),
    Trace: given_a.traces(),
    GatewayRefund: given_a.gateway_refunds(marks=("mark-1",)),
    Payment: given_a.payments(),
    Picture: given_a.pictures(),
    Unread: given_a.looks(kinds=[Unread]),
    Missing: given_a.looks(kinds=[Missing]),
    Send: given_a.sends(),
    Reversal: given_a.reversals(),
    TransferReversal: given_a.transfer_reversals(),
    Accepted: given_a.answers(kinds=[Accepted]),
    Reversed: given_a.leg_answers(kinds=[Reversed]),
    Declined: given_a.answers(kinds=[Declined]),
    NotSent: given_a.answers(kinds=[NotSent]),
    OutcomeUnknown: given_a.answers(kinds=[OutcomeUnknown]),
    Actor: given_a.actors(),
    IssueRefund: given_a.issue_refunds(),
    ApproveRefund: given_a.approve_refunds(),
    refusals.Refused: given_a.refused(),
    funds.Payout: given_a.payouts(),
    funds.Balance: given_a.balances(),
    funds.Funds: given_a.funds(),
    entries.BalanceEntry: given_a.balance_entries(),
    statement.PayoutStatement: given_a.payout_statements(),
    funding.FromPayout: given_a.funding_parts(kinds=[funding.FromPayout]),
    funding.FromBalance: given_a.funding_parts(kinds=[funding.FromBalance]),
    funding.FromBankAccount: given_a.funding_parts(kinds=[funding.FromBankAccount]),
    funding.NotCovered: given_a.funding_parts(kinds=[funding.NotCovered]),
    funding.Funding: given_a.fundings(),
    arrival.ArrivalWindow: given_a.arrival_windows(),
    policy.Policy: given_a.policies(),
    ports.Head: given_a.heads(),
    **{kind: given_a.refusals(kinds=[kind]) for kind in refusals.REFUSALS},
    **{kind: given_a.events(kinds=[kind]) for kind in events.EVENTS},
}
EVERY_VALUE = pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
MODULES = (money, payments, commands, answers, refusals, events, funds, funding, arrival, policy)


def changed(value: attrs.AttrsInstance, fields: dict[str, object]) -> attrs.AttrsInstance:
    """The same value built again, with these fields instead of its own."""
    kind = type(value)
    return kind(**({field.name: getattr(value, field.name) for field in attrs.fields(kind)} | fields))


def values_of(module: ModuleType) -> set[type]:
    """The public attrs classes that a module defines itself."""
    classes = {kind for name, kind in inspect.getmembers(module, inspect.isclass) if not name.startswith("_")}
    return {kind for kind in classes if attrs.has(kind) and kind.__module__ == module.__name__}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_value_is_drawn_here(module: ModuleType) -> None:
    """A value without a strategy would be tested by nobody; a new class makes this fail until it has one."""
    assert values_of(module) <= set(VALUES)
    assert values_of(module)


@EVERY_VALUE
@settings(max_examples=30)
@given(data=st.data())
def test_values_are_equal_by_value_and_hashable(kind: type[attrs.AttrsInstance], data: st.DataObject) -> None:
    """A value built again from its own fields is the same value, with the same hash; a stranger is another."""
    value = data.draw(VALUES[kind])
    assert type(value) is kind
    again = changed(value, {})
    assert again == value
    assert hash(again) == hash(value)
    assert value != object()


@EVERY_VALUE
@settings(max_examples=30)
@given(data=st.data())
def test_values_survive_pickling_and_copying(kind: type[attrs.AttrsInstance], data: st.DataObject) -> None:
    """A queue, a cache or another process gets an equal value, by every protocol in use."""
    value = data.draw(VALUES[kind])
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(value, protocol)) == value
    assert copy.deepcopy(value) == value == copy.copy(value)


@EVERY_VALUE
@settings(max_examples=30)
@given(data=st.data())
def test_values_cannot_be_changed(kind: type[attrs.AttrsInstance], data: st.DataObject) -> None:
    """No field can be set or deleted, and none can be added."""
    value = data.draw(VALUES[kind])
    for field in attrs.fields(kind):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(value, field.name, getattr(value, field.name))
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            delattr(value, field.name)
    with pytest.raises(AttributeError):
        value.something_else = 1  # type: ignore[attr-defined]


@EVERY_VALUE
def test_values_are_made_by_name(kind: type[attrs.AttrsInstance]) -> None:
    """Fields are given by name, so that two amounts are never swapped; the shortest four values are exempt."""
    by_name = {field.name for field in attrs.fields(kind) if field.kw_only}
    short = kind in (Currency, Money, PaymentRef, refusals.Refused)
    assert by_name == (set() if short else {field.name for field in attrs.fields(kind)})


@given(decision=given_a.issue_refunds())
def test_a_note_is_never_shown_by_repr(decision: IssueRefund) -> None:
    """A note is for the audit trail: it must not reach a log by way of repr, of the decision or of its event."""
    noted = attrs.evolve(decision, note="the client's divorce")
    assert noted != decision
    assert "divorce" not in repr(noted)
    written = events.RefundRequested(
        at=NOW,
        refund_id="r1",
        request_id=noted.request_id,
        amount=noted.amount,
        reason=noted.reason,
        quoted_at=noted.quoted_at,
        by=noted.by,
        note=noted.note,
    )
    assert "divorce" not in repr(written)


# --- hostile input at every field --------------------------------------------------------------------------

SECRET = "s3cr3t"
NAIVE = datetime(2026, 3, 2, 9)  # noqa: DTZ001
LONE_SURROGATE = "\ud800"

# What is put into a field: (value, the error it must raise).
Hostile = tuple[object, type[Exception]]


def wrong(*values: object) -> list[Hostile]:
    """Values of another type."""
    return [(value, TypeError) for value in values]


def bad(*values: object) -> list[Hostile]:
    """Values of the right type that cannot be."""
    return [(value, ValueError) for value in values]


NO_TEXT = wrong(1, True, 1.5, float("nan"), b"s3cr3t", ["s3cr3t"], object())
ID = [
    *NO_TEXT,
    *wrong(None),
    *bad(
        "", " ", "../s3cr3t", "s3cr3t/..", "a\ns3cr3t", "s3cr3t\n", "s3cr3t\x00", " s3cr3t", "s3cr3t ", "-s3cr3t"
    ),
    *bad(
        "_s3cr3t",
        ".s3cr3t",
        "s3cr3t?limit=1",
        "s3cr3t%2f",
        "s3cr3t#",
        "s3cr3té",
        "ｓ3cr3t",
        "s3cr3t" * 50,
        "٣s3cr3t",
    ),
    *bad("s3cr3t\u202e", "s3cr3t\u200b", "😀", LONE_SURROGATE, "'; DROP TABLE s3cr3t; --", "<s3cr3t>", "a" * 256),
]


def text(limit: int) -> list[Hostile]:
    """What is no printable text of at most so many characters."""
    odd = bad(
        "", " ", "\n\t", "\u2003", "s3cr3t\x00", "s3cr3t\x1b[31m", "s3cr3t\u202e", "s3cr3t\u2028", LONE_SURROGATE
    )
    return [*NO_TEXT, *wrong(None), *odd, *bad("x" * (limit + 1), "s3cr3t" * limit)]


def optional(hostile: list[Hostile]) -> list[Hostile]:
    """The same, but None is welcome."""
    return [(value, error) for value, error in hostile if value is not None]


TIME = [*wrong(None, "2026-03-02T09:00:00+00:00", 1772442000, 1.5, True, date(2026, 3, 2)), *bad(NAIVE)]
MONEY = wrong(None, 5, 5.0, True, "5.00", float("nan"), USD, (5, "USD"))
POSITIVE = [*MONEY, *bad(usd(0), usd(-1))]
IN_DOLLARS = [*MONEY, *bad(usd(-1), Money(1, EUR))]
SWITCH = wrong(None, 0, 1, "false", "", 1.0)
COUNT = [*wrong(None, True, 1.0, "1", float("nan"), [1]), *bad(0, -1, 10**6 + 1, 10**30)]
REFERENCE = wrong(None, "platform/ch_1", ("platform", "ch_1"), OutsideRef(id="c", method="cash", amount=usd(5)))
WORDS = [*text(200)]

BACK = TransferReversal(id="trr_1", amount=usd(5), mark="l1")
REFUND = GatewayRefund(id="re_1", amount=usd(5), status="pending", created_at=NOW, trace=Trace(kind="pending"))
DISPUTE = Dispute(id="dp_1", amount=usd(5), status="won")
PAYMENT = Payment(ref=REF, method="card", captured=usd(5), given_back=usd(0), taken_at=NOW)
FIELDS: list[tuple[attrs.AttrsInstance, dict[str, list[Hostile]]]] = [
    (REF, {"account": [*ID, *bad("outside")], "charge": ID}),
    (OutsideRef(id="c", method="cash", amount=usd(5)), {"id": ID, "method": text(40), "amount": POSITIVE}),
    (ControlRef(kind=Control.TENANT, name="acme"), {"kind": wrong(None, "tenant", True), "name": text(300)}),
    (
        ApproveRefund(payment=REF, refund_id="r1", amount=usd(5), by=MARIA),
        {"payment": REFERENCE, "refund_id": ID, "amount": POSITIVE, "by": wrong(None, "maria", ("maria", "acme"))},
    ),
    (DISPUTE, {"id": ID, "amount": [*MONEY, *bad(usd(-1))], "status": text(60)}),
    (Trace(kind="refund"), {"kind": text(60), "reference": optional(text(100))}),
    (
        REFUND,
        {
            "id": ID,
            "amount": POSITIVE,
            "status": text(60),
            "created_at": TIME,
            "mark": optional(ID),
            "pending_reason": optional(text(100)),
            "failure_reason": optional(text(100)),
            "trace": wrong("pending", {"kind": "pending"}, True),
        },
    ),
    (
        PAYMENT,
        {
            "ref": REFERENCE,
            "method": text(60),
            "captured": [*MONEY, *bad(usd(-1))],
            "given_back": IN_DOLLARS,
            "taken_at": TIME,
            "application_fee": wrong(usd(1), 1, "fee"),
            "transfers": wrong(None, ["tr_1"], ("tr_1",), (None,)),
            "status": wrong(None, "succeeded", True),
            "kind": wrong(None, "platform", True),
            "disputes": [
                *wrong(None, [DISPUTE], DISPUTE, ("dp_1",)),
                *bad((attrs.evolve(DISPUTE, amount=Money(5, EUR)),)),
            ],
            "fee": wrong(5, 5.0, True, "5.00", float("nan")),
        },
    ),
    (MARIA, {"id": text(255), "tenant": text(255)}),
    (
        IssueRefund(payment=REF, request_id="r1", amount=usd(5), quoted_at=NOW, by=MARIA),
        {
            "payment": REFERENCE,
            "request_id": ID,
            "amount": POSITIVE,
            "quoted_at": TIME,
            "by": wrong(None, "maria", ("maria", "acme")),
            "reason": wrong(None, "duplicate", "fraudulent", True),
            "note": optional(text(500)),
        },
    ),
    (
        Picture(payment=PAYMENT, refunds=(REFUND,)),
        {
            "payment": wrong(None, "ch_1", REF),
            "refunds": [
                *wrong(None, [REFUND], REFUND, ("re_1",), (None,)),
                *bad((REFUND, REFUND), (attrs.evolve(REFUND, amount=Money(5, EUR)),)),
            ],
        },
    ),
    (Unread(why="timeout"), {"why": WORDS, "alarm": optional(text(60))}),
    (Missing(), {"why": WORDS}),
    (
        # failure: D12
        Send(refund_id="r1", claim=1, payment=REF, amount=usd(5), reason=Reason.DUPLICATE, split=PlatformCharge()),
        {
            "refund_id": ID,
            "claim": COUNT,
            "payment": REFERENCE,
            "amount": POSITIVE,
            "reason": wrong(None, "duplicate", "because"),
            "split": [*wrong(None, "direct", True, DirectCharge), *bad(DirectCharge())],
        },
    ),
    (
        Reversal(id="l1", refund_id="r1", transfer="tr_1", attempt=1, claim=1, payment=REF, amount=usd(5)),
        {
            "id": ID,
            "refund_id": ID,
            "transfer": ID,
            "attempt": COUNT,
            "claim": COUNT,
            "payment": [*REFERENCE, *bad(PaymentRef("acct_1", "ch_1"))],
            "amount": POSITIVE,
        },
    ),
    (Reversed(reversal=BACK), {"reversal": wrong(None, "trr_1", {"id": "trr_1"}, REFUND)}),
    (Accepted(refund=REFUND), {"refund": wrong(None, "re_1", {"id": "re_1"}, PAYMENT)}),
    (Declined(code="no"), {"code": WORDS, "alarm": optional(text(60)), "trail": optional(text(100))}),
    (NotSent(why="refused"), {"why": WORDS, "alarm": optional(text(60)), "trail": optional(text(100))}),
    (
        OutcomeUnknown(why="timeout"),
        {"why": WORDS, "resend": SWITCH, "alarm": optional(text(60)), "trail": optional(text(100))},
    ),
]
# Shown as it came and never reckoned with.
UNCHECKED = {"Payment.settles_on"}


def test_no_checked_value_has_an_untested_field() -> None:
    """The table above names every field of every value that crosses an edge, so a new one cannot be forgotten."""
    named = {f"{type(value).__name__}.{name}" for value, fields in FIELDS for name in fields}
    held = {f"{type(value).__name__}.{field.name}" for value, _ in FIELDS for field in attrs.fields(type(value))}
    assert named | UNCHECKED == held
    tested = {type(value) for value, _ in FIELDS}
    assert values_of(payments) | values_of(answers) | values_of(commands) == tested


@pytest.mark.parametrize(
    ("value", "name", "hostile"),
    [(value, name, hostile) for value, fields in FIELDS for name, hostile in fields.items()],
    ids=[f"{type(value).__name__}.{name}" for value, fields in FIELDS for name in fields],
)
def test_a_field_refuses_what_it_should_not_hold(
    value: attrs.AttrsInstance, name: str, hostile: list[Hostile]
) -> None:
    """Each odd value is refused by the right error, which names the field and never repeats the value."""
    assert hostile
    for odd, error in hostile:
        with pytest.raises((TypeError, ValueError)) as caught:
            changed(value, {name: odd})
        message = str(caught.value)
        assert caught.type in (error, money.CurrencyMixError), (odd, message)
        assert name in message or name in ("why", "code", "refunds"), (odd, message)
        assert SECRET not in message, odd
        assert len(message) < 200, odd


@pytest.mark.parametrize("value", [value for value, _ in FIELDS], ids=lambda value: type(value).__name__)
def test_the_samples_themselves_are_welcome(value: attrs.AttrsInstance) -> None:
    """The values that the odd ones are put into pass the same checks, so a refusal is the odd field's."""
    assert changed(value, {}) == value


def test_long_and_foreign_words_are_welcome_up_to_the_limit() -> None:
    """The limits are the documented ones, to the character; any script is a text."""
    assert Actor(id="é" * 255, tenant="株式会社").id == "é" * 255
    assert PaymentRef("a" * 255, "9").account == "a" * 255
    assert Unread(why="x" * 200, alarm="y" * 60).alarm == "y" * 60
    assert Declined(code="c", trail="t" * 100).trail == "t" * 100
    assert attrs.evolve(PAYMENT, method="m" * 60).method == "m" * 60
    assert OutsideRef(id="c", method="Zelle " * 6, amount=usd(1)).method.startswith("Zelle")
    decision = IssueRefund(payment=REF, request_id="r1", amount=usd(5), quoted_at=NOW, by=MARIA, note="a\nb" * 166)
    assert decision.note == "a\nb" * 166
    assert (
        Send(
            refund_id="r", claim=10**6, payment=REF, amount=usd(1), reason=Reason.DUPLICATE, split=PlatformCharge()
        ).claim
        == 10**6
    )


def test_the_least_amounts_are_welcome() -> None:
    """One unit is a refund; nothing captured, nothing disputed is a payment still."""
    assert attrs.evolve(REFUND, amount=usd(1)).amount == usd(1)
    assert attrs.evolve(DISPUTE, amount=usd(0)).amount == usd(0)
    assert attrs.evolve(PAYMENT, captured=usd(0)).captured == usd(0)
    assert OutsideRef(id="c", method="cash", amount=usd(1)).amount == usd(1)
    assert IssueRefund(payment=REF, request_id="r1", amount=usd(1), quoted_at=NOW, by=MARIA).amount == usd(1)


def test_an_unknown_outcome_may_be_sent_again_unless_said_otherwise() -> None:
    """Only an adapter that knows the key is spent says that a resend is of no use; nothing else is assumed."""
    assert OutcomeUnknown(why="timeout").resend is True
    assert (Declined(code="no").alarm, NotSent(why="refused").alarm, Unread(why="503").alarm) == (None, None, None)
    assert Missing().why == "resource_missing"


@given(odd=st.text(max_size=300) | st.text(string.ascii_letters + string.digits + "_.:-/ ", max_size=300))
def test_an_id_is_safe_wherever_it_lands(odd: str) -> None:
    """What passes as an id needs no quoting in an address, breaks no line and fits a key; all else is refused."""
    allowed = string.ascii_letters + string.digits + "_.:-"
    plain = 1 <= len(odd) <= 255 and set(odd) <= set(allowed) and odd[0] in string.ascii_letters + string.digits
    try:
        check_id(odd, "id")
    except ValueError:
        assert not plain
    else:
        assert plain
        assert quote(odd, safe=":") == odd


@given(odd=st.text(max_size=12), limit=st.integers(1, 10))
def test_a_text_is_printable_and_bounded(odd: str, limit: int) -> None:
    """Non-empty, bounded, printable but for line breaks and tabs: exactly that passes as a text."""
    fine = bool(odd.strip()) and len(odd) <= limit and odd.translate({10: None, 13: None, 9: None}).isprintable()
    try:
        check_text(odd, "text", limit)
    except ValueError:
        assert not fine
    else:
        assert fine


@given(moment=st.datetimes() | given_a.times())
def test_a_time_is_aware(moment: datetime) -> None:
    """Naive datetimes are refused, aware ones of any offset taken."""
    if moment.tzinfo is None:
        with pytest.raises(ValueError, match="at must be timezone-aware"):
            check_time(moment, "at")
    else:
        check_time(moment, "at")


@given(number=st.integers(), least=st.integers(-5, 5), more=st.integers(0, 10))
def test_a_count_lies_between_its_bounds(number: int, least: int, more: int) -> None:
    """Both bounds are allowed themselves; everything beyond is refused."""
    if least <= number <= least + more:
        check_count(number, "count", least, least + more)
    else:
        with pytest.raises(ValueError, match=f"count must be from {least} to {least + more}"):
            check_count(number, "count", least, least + more)


# --- refs --------------------------------------------------------------------------------------------------


@given(ref=given_a.payment_refs())
def test_a_payment_ref_reads_back_from_its_text(ref: PaymentRef) -> None:
    """A queue carries the text; it names the same charge at the same account."""
    assert PaymentRef.parse(str(ref)) == ref


@given(one=given_a.refs(), other=given_a.refs())
def test_two_refs_never_share_a_stream(one: payments.Ref, other: payments.Ref) -> None:
    """The text of a ref is the stream's name: different charges have different ones, outside never collides."""
    if isinstance(one, PaymentRef) != isinstance(other, PaymentRef) or (
        isinstance(one, PaymentRef) and one != other
    ):
        assert str(one) != str(other)


@pytest.mark.parametrize(
    "odd", ["", "/", "ch_1", "platform/", "/ch_1", "a/b/c", "platform/../ch", "outside/cash-7", "a /b", "a/b\n"]
)
def test_a_text_that_is_no_ref_is_refused(odd: str) -> None:
    """A stream is opened for an account and a charge, and for nothing that merely looks like it."""
    with pytest.raises(ValueError, match="must" if "/" in odd else "reads 'account/charge'"):
        PaymentRef.parse(odd)


@pytest.mark.parametrize("odd", [None, 5, b"platform/ch_1", REF], ids=repr)
def test_a_ref_is_read_from_text(odd: object) -> None:
    """Bytes, numbers and refs themselves are no text to parse."""
    with pytest.raises(TypeError, match="text must be str"):
        PaymentRef.parse(odd)  # type: ignore[arg-type]


# --- the form ----------------------------------------------------------------------------------------------

FORM = {
    "payment": "platform/ch_1",
    "request_id": "r1",
    "amount_minor": "20000",
    "currency": "USD",
    "quoted_at": "2026-03-02T09:00:00+00:00",
}
ODD_FIELDS: dict[str, list[str]] = {
    "payment": [
        "s3cr3t",
        "platform/ch_2",
        "acct_1/ch_1",
        "ch_1",
        "platform/ch_1 ",
        "PLATFORM/ch_1",
        "platform/../ch_1",
    ],
    "request_id": ["../s3cr3t", "s3cr3t\n", "s3cr3t é", "-s3cr3t", "s3cr3t" * 60],
    "amount_minor": [
        *"s3cr3t 0 000 -5 +5 5.0 1e3 NaN inf ٣ ５ ² 0x5 1_000".split(),
        *[" 5", "5 ", "9" * 16, str(10**15 + 1), "0" * 16 + "5", "9" * 301],
    ],
    "currency": ["s3cr3t", "US", "USDX", "U D", "ＵＳＤ", "us\n", "12$", LONE_SURROGATE * 3],
    "quoted_at": [
        *"s3cr3t now 1772442000 2026-03-02 2026-03-02T09:00:00 2026-13-02T09:00:00+00:00".split(),
        *"2026-03-02T09:00:00+99:00 2026-02-30T09:00:00Z 0000-01-01T00:00:00Z".split(),
        LONE_SURROGATE,
    ],
}


def read(form: dict[str, str]) -> IssueRefund:
    """What a host does with a page's form."""
    return IssueRefund.from_form(form, payment=REF, by=MARIA)


def form_of(decision: IssueRefund) -> dict[str, str]:
    """The fields a page carries for a decision."""
    return {
        "payment": str(decision.payment),
        "request_id": decision.request_id,
        "amount_minor": str(decision.amount.amount_minor),
        "currency": decision.amount.currency.code,
        "quoted_at": decision.quoted_at.isoformat(),
    }


@given(decision=given_a.issue_refunds())
def test_a_form_brings_back_what_was_verified(decision: IssueRefund) -> None:
    """R4: amount, currency, request and time come back exactly; payment and actor are the session's."""
    back = IssueRefund.from_form(
        form_of(decision), payment=decision.payment, by=decision.by, reason=decision.reason, note=decision.note
    )
    assert back == decision


def test_the_largest_amount_comes_back_too() -> None:
    """The limit of Money is the form's limit: what a quote can show, a form can bring back."""
    assert read(FORM | {"amount_minor": str(money.LIMIT_MINOR)}).amount == usd(money.LIMIT_MINOR)


def test_a_form_cannot_choose_payment_tenant_or_reason() -> None:
    """What a page smuggles in beside its five fields changes nothing, and another payment's page is refused."""
    with pytest.raises(FormError, match="payment"):
        read(FORM | {"payment": "acct_2/ch_2"})
    smuggled = FORM | {
        "by": "root",
        "tenant": "zenith",
        "reason": "fraudulent",
        "note": "x",
    }
    assert read(smuggled) == read(FORM)
    assert (read(smuggled).payment, read(smuggled).by) == (REF, MARIA)
    assert read(smuggled).reason is Reason.REQUESTED_BY_CUSTOMER


@given(shown=given_a.payment_refs(), asked=given_a.payment_refs())
def test_a_page_made_for_another_payment_is_refused(shown: PaymentRef, asked: PaymentRef) -> None:
    """R4: what was verified in one tab is not issued for the payment of another; the longest refs fit as well."""
    for ref in (asked, PaymentRef("a" * 255, "c" * 255)):
        assert IssueRefund.from_form(FORM | {"payment": str(ref)}, payment=ref, by=MARIA).payment == ref
    if shown != asked:
        with pytest.raises(FormError) as caught:
            IssueRefund.from_form(FORM | {"payment": str(shown)}, payment=asked, by=MARIA)
        assert caught.value.field == "payment"


@pytest.mark.parametrize(("name", "odd"), [(name, odd) for name, odds in ODD_FIELDS.items() for odd in odds])
def test_an_odd_field_is_named(name: str, odd: str) -> None:
    """A field that came back changed is a FormError that names it and does not repeat it."""
    with pytest.raises(FormError) as caught:
        read(FORM | {name: odd})
    assert caught.value.field == name
    assert name in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", FORM)
@pytest.mark.parametrize(
    "odd", [None, "", 5, True, ["r1"], b"r1", 20000.0, "x" * 512], ids=lambda odd: repr(odd)[:12]
)
def test_a_missing_or_overlong_field_is_named(name: str, odd: object) -> None:
    """Nothing, too much, or what is no text at all: the same error, before anything is read from it."""
    with pytest.raises(FormError) as caught:
        read(FORM | {name: odd})  # type: ignore[arg-type]
    assert caught.value.field == name
    with pytest.raises(FormError):
        read({other: value for other, value in FORM.items() if other != name})


@pytest.mark.parametrize("blank", ["", "  ", "\r\n\t", None])
def test_a_note_that_nobody_wrote_is_none(blank: str | None) -> None:
    """A field of the host's page that was left empty is no note, and no error."""
    assert IssueRefund.from_form(FORM, payment=REF, by=MARIA, note=blank).note is None


@pytest.mark.parametrize(
    ("note", "why"),
    [
        ("x" * 501, "must be at most 500 characters long"),
        (f"{SECRET}\0", "must hold printable characters only, not U+0000"),
        (f"{SECRET}\u202e", "must hold printable characters only, not U+202E"),
    ],
)
def test_a_note_that_cannot_be_kept_is_a_form_error(note: str, why: str) -> None:
    """Whoever wrote too much, or what steers a terminal, is told which field and why; the text is not repeated."""
    with pytest.raises(FormError) as caught:
        IssueRefund.from_form(FORM, payment=REF, by=MARIA, note=note)
    assert (caught.value.field, caught.value.why) == ("note", why)
    assert str(caught.value) == f"the form field 'note' {why}"
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.field, again.why, str(again)) == ("note", why, str(caught.value))


def test_a_note_may_hold_what_persian_and_emoji_are_written_with() -> None:
    """The two joiners without a width are part of ordinary writing; other texts are names and do without them."""
    note = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \U0001f468\u200d\U0001f469"
    assert IssueRefund.from_form(FORM, payment=REF, by=MARIA, note=note).note == note
    with pytest.raises(ValueError, match=r"not U\+200D"):
        Actor(id="maria\u200d", tenant="acme")


ANY_TEXT = st.text(max_size=40) | st.sampled_from([odd for odds in ODD_FIELDS.values() for odd in odds])
DIGITS = st.text("0123456789", max_size=18)
STAMPS = st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.[0-9]{2}:[0-9]{2}(:[0-9.]{2,9})?(Z|[+-][0-9]{2}:[0-9]{2})?")


@given(
    form=st.dictionaries(
        st.sampled_from(list(FORM)) | st.text(max_size=20), ANY_TEXT | DIGITS | STAMPS, max_size=6
    ),
    honest=st.sets(st.sampled_from(list(FORM))),
)
def test_only_a_form_error_ever_escapes(form: dict[str, str], honest: set[str]) -> None:
    """Whatever text a page sends back, in all fields or in some, it is a decision or a FormError."""
    form |= {name: FORM[name] for name in honest}
    try:
        decision = read(form)
    except FormError as error:
        named = error.field
    else:
        named = "request_id"
        assert decision.amount.amount_minor == int(form["amount_minor"]) > 0
        assert decision.amount.currency.code == form["currency"].upper()
        assert decision.request_id == form["request_id"]
        assert decision.quoted_at.utcoffset() is not None
    assert named in FORM


def test_a_form_error_pickles_with_its_sentence() -> None:
    """An error that crosses a process keeps its field and its words."""
    error = FormError("quoted_at")
    copied = pickle.loads(pickle.dumps(error))
    assert (copied.field, str(copied)) == (error.field, str(error))
    assert "show a new quote" in str(error)


def test_what_the_host_gives_beside_the_form_is_checked_too() -> None:
    """Payment, actor and reason come from the host: wrong ones are a programmer's error, not the page's."""
    for odd in ({"payment": "platform/ch_1"}, {"by": "maria"}, {"reason": "duplicate"}):
        with pytest.raises(TypeError):
            IssueRefund.from_form(FORM, **({"payment": REF, "by": MARIA} | odd))  # type: ignore[arg-type]


def test_an_offset_is_kept_and_compares() -> None:
    """A quote of another offset is the same moment."""
    moved = read(FORM | {"quoted_at": "2026-03-02T11:00:00+02:00"})
    assert moved.quoted_at == NOW
    assert moved.quoted_at - NOW == timedelta(0)
