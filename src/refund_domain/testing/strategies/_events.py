"""Strategies for refusals, events and heads."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from refund_domain import events as ev
from refund_domain import refusals as no
from refund_domain._checks import check_count
from refund_domain.money import Currency, Money
from refund_domain.payments import (
    ChargeKind,
    Control,
    PaymentRef,
)
from refund_domain.ports import Head
from refund_domain.testing.strategies._commands import actions, actors, choices, reasons
from refund_domain.testing.strategies._payments import (
    gateway_refunds,
    payment_refs,
    payments,
    transfer_reversals,
    transfers,
)
from refund_domain.testing.strategies._plain import (
    MOST_CAPTURED_MINOR,
    by_id,
    currencies,
    dates,
    ids,
    maybe,
    money,
    of_kinds,
    texts,
    times,
    tuples,
    words,
)
from refund_domain.testing.strategies._port import answers, leg_answers, reversals, sends


def refusals(
    *, kinds: Sequence[type[no.Refusal]] = no.REFUSALS, currency: Currency | None = None
) -> SearchStrategy[no.Refusal]:
    """Refusals of every class, or of `kinds` only."""
    amount, word = money(currency=currency, min_minor=0), words(("klarna", "cash"), 40)
    table: dict[type[no.Refusal], SearchStrategy[no.Refusal]] = {
        no.External: st.builds(no.External, method=word),
        no.MethodNotSupported: st.builds(no.MethodNotSupported, method=word),
        no.ChargeNotSupported: st.builds(
            no.ChargeNotSupported, kind=st.sampled_from(ChargeKind), transfers=by_id(transfers(), 2)
        ),
        no.NotCaptured: st.builds(no.NotCaptured),
        no.NotSettled: st.builds(no.NotSettled, expected=maybe(dates())),
        no.NothingLeft: st.builds(no.NothingLeft),
        no.InFlight: st.builds(no.InFlight, refund_id=ids(), status=words(("in_doubt", "pending"), 40)),
        no.AlreadyRefunded: st.builds(no.AlreadyRefunded, refund_id=ids()),
        no.Disputed: st.builds(no.Disputed, amount=amount),
        no.WindowOver: st.builds(no.WindowOver, taken_at=times(), days=st.integers(1, 1000)),
        no.BelowMinimum: st.builds(no.BelowMinimum, minimum=amount),
        no.CurrencyNotSupported: st.builds(
            no.CurrencyNotSupported, currency=currencies().map(str), expected=currencies().map(str)
        ),
        no.AmountChanged: st.builds(no.AmountChanged, verified=amount, current=amount),
        no.QuoteStale: st.builds(no.QuoteStale, quoted_at=maybe(times())),
        no.RequestReused: st.builds(no.RequestReused, amount=amount),
        no.ReasonNotAllowed: st.builds(no.ReasonNotAllowed, reason=reasons()),
        no.TooMuchOutside: st.builds(no.TooMuchOutside, asked=amount, left=amount),
        no.CannotBeStopped: st.builds(no.CannotBeStopped, refund_id=ids()),
        no.NotAskedFor: st.builds(no.NotAskedFor),
        no.NotAllowed: st.builds(no.NotAllowed, action=actions()),
        no.NotFound: st.builds(no.NotFound),
        no.SecondPersonNeeded: st.builds(no.SecondPersonNeeded, refund_id=ids()),
        no.ApprovalDenied: st.builds(no.ApprovalDenied, by=actors()),
        no.LimitReached: st.builds(
            no.LimitReached, whose=st.sampled_from(no.Whose), limit=amount, left=amount, until=times()
        ),
        no.SendingPaused: st.builds(no.SendingPaused, scope=st.sampled_from(Control), since=times()),
    }
    return of_kinds(table, kinds)


def refused(*, max_reasons: int = 3) -> SearchStrategy[no.Refused]:
    """A no, with one to `max_reasons` reasons."""
    check_count(max_reasons, "max_reasons", 1, 50)
    return st.builds(no.Refused, tuples(refusals(), max_reasons, min_size=1))


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
            note=maybe(texts()),
            needs_second=st.booleans(),
        ),
        ev.SendClaimed: st.builds(ev.SendClaimed, at=at, send=sends(payment=ref, currency=currency)),
        ev.SendAnswered: st.builds(
            ev.SendAnswered, at=at, refund_id=refund_id, claim=st.integers(1, 6), answer=answers(currency=currency)
        ),
        ev.RefundDropped: st.builds(
            ev.RefundDropped,
            at=at,
            refund_id=refund_id,
            reasons=tuples(refusals(currency=currency), 3, min_size=1),
        ),
        ev.RefundNotMade: st.builds(ev.RefundNotMade, at=at, refund_id=refund_id, by=maybe(actors())),
        ev.PersonAsked: st.builds(ev.PersonAsked, at=at, refund_id=refund_id),
        ev.AttentionSettled: st.builds(
            ev.AttentionSettled, at=at, subject=ids(), code=ids(), choice=choices(), by=actors()
        ),
        ev.OutsideRecorded: st.builds(
            ev.OutsideRecorded, at=at, record_id=ids(), amount=amount, how=texts(), by=actors()
        ),
        ev.LookScheduled: st.builds(ev.LookScheduled, at=at, due=maybe(times()), tries=st.integers(0, 30)),
        **_legs(currency),
        **_controls(ref, amount),
    }
    return of_kinds(table, kinds)


def _legs(currency: Currency | None) -> dict[type[ev.Event], SearchStrategy[ev.Event]]:
    """What happens to the legs of a refund."""
    at, refund_id = times(), ids()
    return {
        ev.LegClaimed: st.builds(ev.LegClaimed, at=at, reversal=reversals(currency=currency)),
        ev.LegAnswered: st.builds(
            ev.LegAnswered,
            at=at,
            refund_id=refund_id,
            transfer=ids(),
            claim=st.integers(1, 6),
            answer=leg_answers(currency=currency),
        ),
        ev.LegObserved: st.builds(
            ev.LegObserved,
            at=at,
            refund_id=refund_id,
            transfer=ids(),
            reversal=transfer_reversals(currency=currency),
        ),
        ev.LegNotMade: st.builds(
            ev.LegNotMade, at=at, refund_id=refund_id, transfer=ids(), attempt=st.integers(1, 6)
        ),
    }


def _controls(
    ref: PaymentRef | None, amount: SearchStrategy[Money]
) -> dict[type[ev.Event], SearchStrategy[ev.Event]]:
    """What holds refunds back, and lets them go."""
    at = times()
    return {
        ev.RefundApproved: st.builds(ev.RefundApproved, at=at, refund_id=ids(), by=actors()),
        ev.AllowanceTaken: st.builds(
            ev.AllowanceTaken,
            at=at,
            payment=payment_refs() if ref is None else st.just(ref),
            request_id=ids(),
            amount=amount,
            by=actors(),
        ),
        ev.Paused: st.builds(ev.Paused, at=at, by=actors(), why=texts()),
        ev.Resumed: st.builds(ev.Resumed, at=at, by=actors()),
    }


def heads() -> SearchStrategy[Head]:
    """What a journal indexes of a stream."""
    return st.builds(
        Head, tenant=texts(), look_at=maybe(times()), waiting=st.booleans(), doubt_since=maybe(times())
    )
