"""A Hypothesis strategy for every public value of the core, for our own tests and for a host's.

All arguments are keyword-only and checked when the strategy is made (TypeError, ValueError); every size is
bounded; every value is a valid one. Amounts, words and times lean towards the edges that rules turn on. The
gateway's open words (methods, statuses, codes) are mostly the known ones and now and then an unknown one.

>>> from hypothesis import given
>>> @given(amount=money(currency=Currency.of("JPY"), min_minor=1))
... def yen_have_no_decimals(amount: Money) -> None:
...     assert amount.major == str(amount.amount_minor)
>>> yen_have_no_decimals()
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final, Protocol, TypeVar

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from refund_domain import answers as ans
from refund_domain import events as ev
from refund_domain import refusals as no
from refund_domain._checks import check_count, check_id, check_text, check_time, check_tuple, check_type
from refund_domain.arrival import ArrivalWindow, check_date
from refund_domain.commands import NOTE_LIMIT, Action, Actor, Choice, IssueRefund, Reason
from refund_domain.money import LIMIT_MINOR, Currency, Money
from refund_domain.payments import (
    PLATFORM,
    ChargeKind,
    Dispute,
    GatewayRefund,
    OutsideRef,
    Payment,
    PaymentRef,
    PaymentStatus,
    Ref,
    Trace,
)
from refund_domain.payouts import (
    FromBankAccount,
    FromPayout,
    Funding,
    FundingPart,
    NotCovered,
    Payout,
    PayoutStatus,
)
from refund_domain.policy import Policy
from refund_domain.ports import Head

FIRST_MOMENT: Final = datetime(2020, 1, 1, tzinfo=UTC)
LAST_MOMENT: Final = datetime(2035, 12, 31, tzinfo=UTC)
FIRST_DAY: Final = FIRST_MOMENT.date()
LAST_DAY: Final = LAST_MOMENT.date()
MOST_CAPTURED_MINOR: Final = 10**9
"""No payment is drawn larger, unless asked for: sums of many then stay far from the limit of Money."""

_ALNUM: Final = string.ascii_letters + string.digits
_CODES: Final = (
    "USD EUR JPY KWD UGX ISK HUF TWD GBP CLP BHD CAD "  # each kind of exponent first: Hypothesis shrinks to it
    "BIF DJF GNF KMF KRW MGA PYG RWF VND VUV XAF XOF XPF JOD OMR TND"
).split()
_METHODS: Final = ("card", "us_bank_account", "card_present", "ach_debit", "link", "klarna", "sepa_debit")
_REFUND_STATUSES: Final = ("succeeded", "pending", "failed", "canceled", "requires_action")
_NOT_LIVE: Final = ("failed", "canceled")
_DISPUTE_STATUSES: Final = (
    "needs_response under_review won lost warning_needs_response warning_under_review warning_closed prevented"
).split()
_PENDING_REASONS: Final = ("processing", "insufficient_funds", "charge_pending")
_FAILURE_REASONS: Final = (
    "lost_or_stolen_card expired_or_canceled_card charge_for_pending_refund_disputed insufficient_funds "
    "declined merchant_request unknown"
).split()
_CODES_OF_NO: Final = ("charge_already_refunded", "charge_disputed", "charge_not_refundable", "resource_missing")

_LOOKS: Final = (ans.Picture, ans.Unread, ans.Missing)
_ANSWERS: Final = (ans.Accepted, ans.Declined, ans.NotSent, ans.OutcomeUnknown)
_PARTS: Final = (FromPayout, FromBankAccount, NotCovered)

_Value = TypeVar("_Value")


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


_Named = TypeVar("_Named", bound=_HasId)


# --- plain parts -------------------------------------------------------------------------------------------


def ids(*, max_size: int = 30) -> SearchStrategy[str]:
    """Ids as the library takes them: 1 to `max_size` (at most 255) of its characters."""
    check_count(max_size, "max_size", 1, 255)
    tail = st.text(_ALNUM + "_.:-", max_size=max_size - 1)
    return st.builds(str.__add__, st.sampled_from(_ALNUM), tail)


def texts(*, max_size: int = 30) -> SearchStrategy[str]:
    """Non-empty printable texts of any script, at most `max_size` (500) characters, now and then a line break."""
    check_count(max_size, "max_size", 1, 500)
    characters = st.characters(exclude_categories=("C", "Z"), include_characters=" \n")
    return st.text(characters, min_size=1, max_size=max_size).filter(lambda text: bool(text.strip()))


def times(*, earliest: datetime = FIRST_MOMENT, latest: datetime = LAST_MOMENT) -> SearchStrategy[datetime]:
    """Aware moments between the two, often whole seconds, in UTC and in other offsets."""
    check_time(earliest, "earliest")
    check_time(latest, "latest")
    if latest < earliest:
        raise ValueError("latest must not be before earliest")
    microseconds = (latest - earliest) // timedelta(microseconds=1)
    since = st.integers(0, microseconds) | st.integers(0, microseconds // 10**6).map(lambda s: s * 10**6)
    moments = since.map(lambda count: (earliest + timedelta(microseconds=count)).astimezone(UTC))
    offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    return moments | st.builds(datetime.astimezone, moments, offsets)


def dates(*, earliest: date = FIRST_DAY, latest: date = LAST_DAY) -> SearchStrategy[date]:
    """Days between the two, both included."""
    check_date(earliest, "earliest")
    check_date(latest, "latest")
    if latest < earliest:
        raise ValueError("latest must not be before earliest")
    return st.dates(earliest, latest)


# --- money and payments ------------------------------------------------------------------------------------


def currencies(*, codes: Sequence[str] | None = None) -> SearchStrategy[Currency]:
    """Currencies of every exponent and special step, and any three letters; or only those of `codes`."""
    if codes is not None:
        check_tuple(tuple(codes), str, "codes")
        return st.sampled_from([Currency.of(code) for code in _some(codes, "codes")])
    known = st.sampled_from(_CODES)
    return (known | st.text(string.ascii_uppercase, min_size=3, max_size=3)).map(Currency.of)


def money(
    *, currency: Currency | None = None, min_minor: int = -LIMIT_MINOR, max_minor: int = LIMIT_MINOR
) -> SearchStrategy[Money]:
    """Amounts from `min_minor` to `max_minor` in `currency`, or in any; often at an edge."""
    check_count(min_minor, "min_minor", -LIMIT_MINOR, LIMIT_MINOR)
    check_count(max_minor, "max_minor", min_minor, LIMIT_MINOR)
    edges = {min_minor, max_minor, 0, 1, -1, 49, 50, 99, 100, 101, 20_000, 50_000}
    fitting = sorted((edge for edge in edges if min_minor <= edge <= max_minor), key=abs)
    return st.builds(Money, st.sampled_from(fitting) | st.integers(min_minor, max_minor), _in(currency))


def payment_refs(*, account: str | None = None) -> SearchStrategy[PaymentRef]:
    """Where a charge lives: at `account`, or at the platform or any connected account."""
    if account is not None:
        check_id(account, "account")
        accounts: SearchStrategy[str] = st.just(account)
    else:
        accounts = st.just(PLATFORM) | _prefixed("acct_") | ids().filter(lambda name: name != "outside")
    return st.builds(PaymentRef, accounts, _prefixed("ch_") | _prefixed("py_") | ids())


def outside_refs(*, currency: Currency | None = None) -> SearchStrategy[OutsideRef]:
    """Money taken outside the platform: cash, a check and other words of the host."""
    methods = _words(("cash", "check", "Venmo", "Zelle"), 40)
    amounts = money(currency=currency, min_minor=1, max_minor=MOST_CAPTURED_MINOR)
    return st.builds(OutsideRef, id=ids(), method=methods, amount=amounts)


def refs(*, currency: Currency | None = None) -> SearchStrategy[Ref]:
    """Anything that has a stream in the journal."""
    return payment_refs() | outside_refs(currency=currency)


def disputes(*, currency: Currency | None = None, max_minor: int = MOST_CAPTURED_MINOR) -> SearchStrategy[Dispute]:
    """Disputes of every known status, and of unknown ones."""
    amounts = money(currency=currency, min_minor=0, max_minor=max_minor)
    return st.builds(Dispute, id=_prefixed("dp_"), amount=amounts, status=_words(_DISPUTE_STATUSES, 60))


def traces() -> SearchStrategy[Trace]:
    """What a bank finds the money by: a refund with its reference or without, a reversal, one still pending."""
    return st.builds(
        Trace, kind=_words(("refund", "reversal", "pending"), 60), reference=_maybe(texts(max_size=40))
    )


def gateway_refunds(
    *,
    currency: Currency | None = None,
    min_minor: int = 1,
    max_minor: int = MOST_CAPTURED_MINOR,
    marks: Sequence[str] = (),
) -> SearchStrategy[GatewayRefund]:
    """Refunds as the gateway shows them; now and then one bears one of `marks`, else none."""
    for mark in marks:
        check_id(mark, "each of marks")
    check_count(min_minor, "min_minor", 1, LIMIT_MINOR)
    return st.builds(
        GatewayRefund,
        id=_prefixed("re_") | _prefixed("pyr_"),
        amount=money(currency=currency, min_minor=min_minor, max_minor=max_minor),
        status=_words(_REFUND_STATUSES, 60),
        created_at=times(),
        mark=_maybe(st.sampled_from(list(marks))) if marks else st.none(),
        pending_reason=_maybe(_words(_PENDING_REASONS, 100)),
        failure_reason=_maybe(_words(_FAILURE_REASONS, 100)),
        trace=_maybe(traces()),
    )


def payments(
    *,
    ref: PaymentRef | None = None,
    currency: Currency | None = None,
    min_captured_minor: int = 0,
    max_captured_minor: int = MOST_CAPTURED_MINOR,
    methods: Sequence[str] | None = None,
) -> SearchStrategy[Payment]:
    """Payments of any method (or only of `methods`), state and kind, with up to two disputes.

    No more has gone back than was captured, and no dispute is larger: a gateway's own figures.
    """
    _check_optional(ref, PaymentRef, "ref")
    check_count(min_captured_minor, "min_captured_minor", 0, LIMIT_MINOR)
    for method in methods or ():
        check_text(method, "each of methods", 60)
    captured = money(currency=currency, min_minor=min_captured_minor, max_minor=max_captured_minor)
    taken_by = _words(_METHODS, 60) if methods is None else st.sampled_from(_some(methods, "methods"))
    where = payment_refs() if ref is None else st.just(ref)
    return _payments(where, captured, taken_by, _by_id(disputes(currency=_ANY_CURRENCY), 2))


@st.composite
def _payments(
    draw: DrawFn,
    refs: SearchStrategy[PaymentRef],
    captured: SearchStrategy[Money],
    methods: SearchStrategy[str],
    disputed: SearchStrategy[tuple[Dispute, ...]],
) -> Payment:
    # Only ints are drawn with bounds that depend on other draws: to build strategies for values anew in every
    # example costs many times what drawing costs.
    whole = draw(captured)

    def part() -> Money:
        return Money(draw(_up_to(whole.amount_minor)), whole.currency)

    return Payment(
        ref=draw(refs),
        method=draw(methods),
        captured=whole,
        given_back=part() if draw(_COIN) else Money.zero(whole.currency),
        taken_at=draw(_TIMES),
        status=draw(st.sampled_from([PaymentStatus.SUCCEEDED, PaymentStatus.PENDING, PaymentStatus.FAILED])),
        kind=draw(st.sampled_from(ChargeKind)),
        disputes=tuple(attrs.evolve(dispute, amount=part()) for dispute in draw(disputed)),
        fee=part() if draw(_COIN) else None,
        settles_on=draw(_DAYS_OR_NONE),
    )


# --- what crosses the port ---------------------------------------------------------------------------------


def pictures(
    *,
    ref: PaymentRef | None = None,
    currency: Currency | None = None,
    marks: Sequence[str] = (),
    max_refunds: int = 4,
    drift: bool = True,
) -> SearchStrategy[ans.Picture]:
    """Complete looks: a payment and up to `max_refunds` refunds, each of `marks` on one of them at most.

    With `drift` the payment's own figure may disagree with its list of refunds, and the list may exceed what
    was captured; without it neither happens.
    """
    _check_optional(ref, PaymentRef, "ref")
    check_count(max_refunds, "max_refunds", 0, 50)
    check_type(drift, bool, "drift")
    for mark in marks:
        check_id(mark, "each of marks")
    paid = payments(ref=ref, currency=currency)
    refunds = st.lists(
        gateway_refunds(currency=_ANY_CURRENCY), max_size=max_refunds, unique_by=lambda refund: refund.id
    )
    return _pictures(paid, refunds, tuple(dict.fromkeys(marks)), drift)


@st.composite
def _pictures(
    draw: DrawFn,
    paid: SearchStrategy[Payment],
    refunds: SearchStrategy[list[GatewayRefund]],
    marks: tuple[str, ...],
    drift: bool,
) -> ans.Picture:
    payment = draw(paid)
    currency, captured_minor = payment.captured.currency, payment.captured.amount_minor
    live_minor, unused = 0, list(marks)
    shown: list[GatewayRefund] = []
    for refund in draw(refunds):
        most = captured_minor if drift else captured_minor - live_minor
        if not most:
            break
        amount = Money(draw(_up_to(most, least=1)), currency)
        ours = draw(_COIN) and bool(unused)
        live_minor += 0 if refund.status in _NOT_LIVE else amount.amount_minor
        shown.append(attrs.evolve(refund, amount=amount, mark=unused.pop() if ours else None))
    if not (drift and draw(_COIN)):
        payment = attrs.evolve(payment, given_back=Money(live_minor, currency))
    return ans.Picture(payment=payment, refunds=tuple(shown))


def looks(
    *, kinds: Sequence[type[ans.Look]] = _LOOKS, ref: PaymentRef | None = None, currency: Currency | None = None
) -> SearchStrategy[ans.Look]:
    """Whatever a look can come back with: a picture, nothing readable, no such charge; or `kinds` only."""
    table: dict[type[ans.Look], SearchStrategy[ans.Look]] = {
        ans.Picture: pictures(ref=ref, currency=currency),
        ans.Unread: st.builds(ans.Unread, why=texts(max_size=60), alarm=_maybe(texts(max_size=60))),
        ans.Missing: st.builds(ans.Missing, why=_words(("resource_missing",), 60)),
    }
    return _of_kinds(table, kinds)


def sends(
    *, payment: PaymentRef | None = None, currency: Currency | None = None, refund_id: str | None = None
) -> SearchStrategy[ans.Send]:
    """Requests to make a refund, of any claim, reason and kind of charge."""
    _check_optional(payment, PaymentRef, "payment")
    if refund_id is not None:
        check_id(refund_id, "refund_id")
    return st.builds(
        ans.Send,
        refund_id=ids() if refund_id is None else st.just(refund_id),
        claim=st.integers(1, 6),
        payment=payment_refs() if payment is None else st.just(payment),
        amount=money(currency=currency, min_minor=1, max_minor=MOST_CAPTURED_MINOR),
        reason=reasons(),
        kind=st.sampled_from(ChargeKind),
    )


def answers(
    *,
    kinds: Sequence[type[ans.Answer]] = _ANSWERS,
    send: ans.Send | None = None,
    currency: Currency | None = None,
) -> SearchStrategy[ans.Answer]:
    """All four answers, with alarms and without, or `kinds` only.

    An `Accepted` is the refund that `send` asked for; without `send` any refund, in `currency` if given.
    """
    _check_optional(send, ans.Send, "send")
    made = gateway_refunds(currency=currency, marks=("mark-1", "mark-2")) if send is None else _made(send)
    alarm, trail = _maybe(texts(max_size=60)), _maybe(_prefixed("req_"))
    codes, why = _words(_CODES_OF_NO, 60), texts(max_size=60)
    table: dict[type[ans.Answer], SearchStrategy[ans.Answer]] = {
        ans.Accepted: st.builds(ans.Accepted, refund=made),
        ans.Declined: st.builds(ans.Declined, code=codes, alarm=alarm, trail=trail),
        ans.NotSent: st.builds(ans.NotSent, why=why, alarm=alarm, trail=trail),
        ans.OutcomeUnknown: st.builds(ans.OutcomeUnknown, why=why, resend=st.booleans(), alarm=alarm, trail=trail),
    }
    return _of_kinds(table, kinds)


def _made(send: ans.Send) -> SearchStrategy[GatewayRefund]:
    exact = send.amount.amount_minor
    made = gateway_refunds(currency=send.amount.currency, min_minor=exact, max_minor=exact)
    return made.map(lambda refund: attrs.evolve(refund, mark=send.refund_id))


# --- commands ----------------------------------------------------------------------------------------------


def reasons() -> SearchStrategy[Reason]:
    """The gateway's three words."""
    return st.sampled_from(Reason)


def actions() -> SearchStrategy[Action]:
    """What a host's `allow` is asked about."""
    return st.sampled_from(Action)


def choices() -> SearchStrategy[Choice]:
    """What a person may answer."""
    return st.sampled_from(Choice)


def actors(*, tenant: str | None = None) -> SearchStrategy[Actor]:
    """People, of `tenant` or of any."""
    if tenant is not None:
        check_text(tenant, "tenant", 255)
    tenants = _words(("acme", "zenith"), 40) if tenant is None else st.just(tenant)
    return st.builds(Actor, id=_words(("maria", "omar"), 40), tenant=tenants)


def issue_refunds(
    *, payment: PaymentRef | None = None, by: Actor | None = None, currency: Currency | None = None
) -> SearchStrategy[IssueRefund]:
    """Decisions to refund `payment` (or any) by `by` (or anyone), with a note and without."""
    _check_optional(payment, PaymentRef, "payment")
    _check_optional(by, Actor, "by")
    return st.builds(
        IssueRefund,
        payment=payment_refs() if payment is None else st.just(payment),
        request_id=ids(),
        amount=money(currency=currency, min_minor=1, max_minor=MOST_CAPTURED_MINOR),
        quoted_at=times(),
        by=actors() if by is None else st.just(by),
        reason=reasons(),
        note=_maybe(texts(max_size=min(60, NOTE_LIMIT))),
    )


# --- refusals and events -----------------------------------------------------------------------------------


def refusals(
    *, kinds: Sequence[type[no.Refusal]] = no.REFUSALS, currency: Currency | None = None
) -> SearchStrategy[no.Refusal]:
    """Refusals of every class, or of `kinds` only."""
    amount, word = money(currency=currency, min_minor=0), _words(("klarna", "cash"), 40)
    table: dict[type[no.Refusal], SearchStrategy[no.Refusal]] = {
        no.External: st.builds(no.External, method=word),
        no.MethodNotSupported: st.builds(no.MethodNotSupported, method=word),
        no.ChargeNotSupported: st.builds(no.ChargeNotSupported, kind=st.sampled_from(ChargeKind)),
        no.NotCaptured: st.builds(no.NotCaptured),
        no.NotSettled: st.builds(no.NotSettled, expected=_maybe(dates())),
        no.NothingLeft: st.builds(no.NothingLeft),
        no.InFlight: st.builds(no.InFlight, refund_id=ids(), status=_words(("in_doubt", "pending"), 40)),
        no.AlreadyRefunded: st.builds(no.AlreadyRefunded, refund_id=ids()),
        no.Disputed: st.builds(no.Disputed, amount=amount),
        no.WindowOver: st.builds(no.WindowOver, taken_at=times(), days=st.integers(1, 1000)),
        no.BelowMinimum: st.builds(no.BelowMinimum, minimum=amount),
        no.CurrencyNotSupported: st.builds(
            no.CurrencyNotSupported, currency=currencies().map(str), expected=currencies().map(str)
        ),
        no.AmountChanged: st.builds(no.AmountChanged, verified=amount, current=amount),
        no.QuoteStale: st.builds(no.QuoteStale, quoted_at=_maybe(times())),
        no.RequestReused: st.builds(no.RequestReused, amount=amount),
        no.ReasonNotAllowed: st.builds(no.ReasonNotAllowed, reason=reasons()),
        no.TooMuchOutside: st.builds(no.TooMuchOutside, asked=amount, left=amount),
        no.CannotBeStopped: st.builds(no.CannotBeStopped, refund_id=ids()),
        no.NotAskedFor: st.builds(no.NotAskedFor),
        no.NotAllowed: st.builds(no.NotAllowed, action=actions()),
        no.NotFound: st.builds(no.NotFound),
    }
    return _of_kinds(table, kinds)


def refused(*, max_reasons: int = 3) -> SearchStrategy[no.Refused]:
    """A no, with one to `max_reasons` reasons."""
    check_count(max_reasons, "max_reasons", 1, 50)
    return st.builds(no.Refused, _tuples(refusals(), max_reasons, min_size=1))


def events(
    *,
    kinds: Sequence[type[ev.Event]] = ev.EVENTS,
    ref: PaymentRef | None = None,
    currency: Currency | None = None,
) -> SearchStrategy[ev.Event]:
    """Events of every class, or of `kinds` only; about `ref` and in `currency`, if given.

    One by one: a run of them is readable by any journal, but need not be a history that can have happened.
    """
    at, refund_id = times(), ids()
    amount = money(currency=currency, min_minor=1, max_minor=MOST_CAPTURED_MINOR)
    table: dict[type[ev.Event], SearchStrategy[ev.Event]] = {
        ev.StreamOpened: st.builds(ev.StreamOpened, at=at, tenant=texts()),
        ev.PaymentSeen: st.builds(ev.PaymentSeen, at=at, payment=payments(ref=ref, currency=currency)),
        ev.RefundObserved: st.builds(
            ev.RefundObserved, at=at, refund=gateway_refunds(currency=currency, marks=("mark-1",))
        ),
        ev.RefundRequested: st.builds(
            ev.RefundRequested,
            at=at,
            refund_id=refund_id,
            request_id=ids(),
            amount=amount,
            reason=reasons(),
            quoted_at=times(),
            by=actors(),
            note=_maybe(texts()),
        ),
        ev.SendClaimed: st.builds(ev.SendClaimed, at=at, send=sends(payment=ref, currency=currency)),
        ev.SendAnswered: st.builds(
            ev.SendAnswered, at=at, refund_id=refund_id, claim=st.integers(1, 6), answer=answers(currency=currency)
        ),
        ev.RefundDropped: st.builds(
            ev.RefundDropped,
            at=at,
            refund_id=refund_id,
            reasons=_tuples(refusals(currency=currency), 3, min_size=1),
        ),
        ev.RefundNotMade: st.builds(ev.RefundNotMade, at=at, refund_id=refund_id, by=_maybe(actors())),
        ev.PersonAsked: st.builds(ev.PersonAsked, at=at, refund_id=refund_id),
        ev.AttentionSettled: st.builds(
            ev.AttentionSettled, at=at, subject=ids(), code=ids(), choice=choices(), by=actors()
        ),
        ev.OutsideRecorded: st.builds(
            ev.OutsideRecorded, at=at, record_id=ids(), amount=amount, how=texts(), by=actors()
        ),
        ev.LookScheduled: st.builds(ev.LookScheduled, at=at, due=_maybe(times()), tries=st.integers(0, 30)),
    }
    return _of_kinds(table, kinds)


def heads() -> SearchStrategy[Head]:
    """What a journal indexes of a stream."""
    return st.builds(Head, tenant=texts(), look_at=_maybe(times()), waiting=st.booleans())


# --- payouts, arrival, policy ------------------------------------------------------------------------------


def payouts(
    *,
    currency: Currency | None = None,
    min_minor: int = -MOST_CAPTURED_MINOR,
    max_minor: int = MOST_CAPTURED_MINOR,
) -> SearchStrategy[Payout]:
    """Payouts in progress, some of them empty or negative, close together so that days often tie."""
    return st.builds(
        Payout,
        id=_prefixed("po_"),
        amount=money(currency=currency, min_minor=min_minor, max_minor=max_minor),
        arrives_on=dates(earliest=date(2026, 2, 26), latest=date(2026, 3, 4)) | dates(),
        status=st.sampled_from(PayoutStatus),
    )


def payout_lists(
    *,
    currency: Currency | None = None,
    min_minor: int = -MOST_CAPTURED_MINOR,
    max_minor: int = MOST_CAPTURED_MINOR,
    max_size: int = 5,
) -> SearchStrategy[tuple[Payout, ...]]:
    """Up to `max_size` payouts of different ids: what a forecast takes."""
    check_count(max_size, "max_size", 0, 100)
    return _by_id(payouts(currency=currency, min_minor=min_minor, max_minor=max_minor), max_size)


def funding_parts(
    *, kinds: Sequence[type[FundingPart]] = _PARTS, currency: Currency | None = None
) -> SearchStrategy[FundingPart]:
    """One part of a forecast: from a payout, from the bank account, covered by nothing; or `kinds` only."""
    rest = money(currency=currency, min_minor=1, max_minor=MOST_CAPTURED_MINOR)
    table: dict[type[FundingPart], SearchStrategy[FundingPart]] = {
        FromPayout: _from_payout(payouts(currency=currency, min_minor=1)),
        FromBankAccount: st.builds(FromBankAccount, amount=rest),
        NotCovered: st.builds(NotCovered, amount=rest),
    }
    return _of_kinds(table, kinds)


def fundings(*, currency: Currency | None = None) -> SearchStrategy[Funding]:
    """Forecasts with parts of every kind, for refunds of nothing and of much."""
    return _fundings(_in(currency), _by_id(payouts(currency=_ANY_CURRENCY, min_minor=1), 3))


@st.composite
def _fundings(
    draw: DrawFn, currencies: SearchStrategy[Currency], sources: SearchStrategy[tuple[Payout, ...]]
) -> Funding:
    currency = draw(currencies)
    parts: list[FundingPart] = []
    for payout in draw(sources):
        whole = Money(payout.amount.amount_minor, currency)
        parts.append(draw(_from_payout(st.just(attrs.evolve(payout, amount=whole)))))
    rest = draw(st.sampled_from([None, FromBankAccount, NotCovered]))
    if rest is not None:
        parts.append(rest(amount=Money(draw(_up_to(MOST_CAPTURED_MINOR, least=1)), currency)))
    return Funding(amount=sum((part.amount for part in parts), Money.zero(currency)), parts=tuple(parts))


@st.composite
def _from_payout(draw: DrawFn, sources: SearchStrategy[Payout]) -> FromPayout:
    payout = draw(sources)
    before_minor = draw(_up_to(payout.amount.amount_minor, least=1))
    taken_minor = draw(_up_to(before_minor, least=1))
    amount = Money(taken_minor, payout.amount.currency)
    return FromPayout(payout=payout, amount=amount, after_minor=before_minor - taken_minor)


def arrival_windows() -> SearchStrategy[ArrivalWindow]:
    """Windows of a day up to three months."""
    return st.builds(
        lambda first, days: ArrivalWindow(earliest=first, latest=first + timedelta(days=days)),
        dates(),
        st.integers(0, 90),
    )


def policies() -> SearchStrategy[Policy]:
    """Policies that keep the promise, some of them only just: many an inequality holds with nothing to spare."""
    return _policies()


@st.composite
def _policies(draw: DrawFn) -> Policy:
    def span(least_s: int, most_s: int) -> timedelta:
        return timedelta(seconds=draw(st.integers(least_s, most_s)))

    def rising(count: int, most_s: int) -> list[timedelta]:
        return sorted(span(1, most_s) for _ in range(count))

    executes = span(2, 2 * 3600)
    answer_wait = span(2, int(executes.total_seconds()))
    completes, lag, skew, resend = span(1, 7200), span(1, 7200), span(1, 900), span(1, 30 * 3600)
    licence = span(1, int(answer_wait.total_seconds()) - 1)
    key_life = resend + executes + max(executes, licence + 2 * skew) + span(0, 7200)
    look_first, look_most, look_daily = rising(3, 2 * 86400)
    poll_first, poll_most = rising(2, 2 * 86400)
    watch_most, watch = rising(2, 90 * 86400)
    from_payouts, then_bank = draw(st.sampled_from([(True, True), (True, False), (False, True)]))
    windows = _maybe(st.integers(1, 400).map(lambda days: timedelta(days=days)))
    return Policy(
        as_of=draw(dates()),
        key_life=key_life,
        executes_within=executes,
        completes_within=completes,
        list_lag=lag,
        clock_skew=skew,
        gateway_caps=draw(_COIN),
        licence=licence,
        answer_wait=answer_wait,
        resend_within=resend,
        end_after=key_life + completes + lag + 2 * skew + span(0, 7200),
        quote_valid=span(1, 86400),
        request_valid=span(1, 7 * 86400),
        look_first=look_first,
        look_most=look_most,
        look_daily=look_daily,
        poll_first=poll_first,
        poll_most=poll_most,
        watch=watch,
        watch_most=watch_most,
        ach_window=draw(windows),
        card_window=draw(windows),
        accept_unsettled_ach=draw(_COIN),
        allow_fraudulent=draw(_COIN),
        arrival_days=draw(
            st.tuples(st.integers(0, 10), st.integers(0, 10)).map(lambda days: (min(days), max(days)))
        ),
        from_payouts_first=from_payouts,
        then_bank_account=then_bank,
    )


# --- shared ------------------------------------------------------------------------------------------------


def _in(currency: Currency | None) -> SearchStrategy[Currency]:
    _check_optional(currency, Currency, "currency")
    return currencies() if currency is None else st.just(currency)


def _prefixed(prefix: str) -> SearchStrategy[str]:
    return ids(max_size=24).map(prefix.__add__)


def _up_to(most: int, least: int = 0) -> SearchStrategy[int]:
    """An int up to `most`, quite often `most` itself."""
    return st.just(most) | st.integers(least, most)


def _words(known: Sequence[str], max_size: int) -> SearchStrategy[str]:
    """Mostly the known words of an open list, now and then one nobody has heard of."""
    usual = [st.sampled_from(list(known)) for _ in range(3)]  # one strategy thrice would count once
    return st.one_of(*usual, texts(max_size=min(max_size, 30)))


def _maybe(values: SearchStrategy[_Value]) -> SearchStrategy[_Value | None]:
    return st.none() | values


def _tuples(
    values: SearchStrategy[_Value], max_size: int, min_size: int = 0
) -> SearchStrategy[tuple[_Value, ...]]:
    return st.lists(values, min_size=min_size, max_size=max_size).map(tuple)


def _by_id(values: SearchStrategy[_Named], max_size: int) -> SearchStrategy[tuple[_Named, ...]]:
    return st.lists(values, max_size=max_size, unique_by=lambda value: value.id).map(tuple)


def _some(values: Sequence[_Value], name: str) -> list[_Value]:
    if not values:
        raise ValueError(f"{name} must name at least one")
    return list(values)


def _of_kinds(
    table: dict[type[_Value], SearchStrategy[_Value]], kinds: Sequence[type[_Value]]
) -> SearchStrategy[_Value]:
    _check_kinds(tuple(table), kinds)
    return st.one_of([table[kind] for kind in kinds])


def _check_kinds(known: Sequence[type], kinds: Sequence[type]) -> None:
    if not set(_some(kinds, "kinds")) <= set(known):
        raise ValueError("kinds must name classes of " + ", ".join(kind.__name__ for kind in known))


def _check_optional(value: object, expected: type, name: str) -> None:
    if value is not None:
        check_type(value, expected, name)


_ANY_CURRENCY: Final = Currency.of("USD")  # stands in until the currency is known
_COIN: Final = st.booleans()
_TIMES: Final = times()
_DAYS_OR_NONE: Final = _maybe(dates())
