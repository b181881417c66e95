"""Strategies for what crosses the gateway port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from refund_domain import answers as ans
from refund_domain._checks import check_count, check_id, check_type
from refund_domain.connect import (
    PLATFORM,
    DestinationCharge,
    DirectCharge,
    Leg,
    PlatformCharge,
    SeparateCharge,
    Split,
    TransferReversal,
)
from refund_domain.money import Currency, Money
from refund_domain.payments import (
    GatewayRefund,
    Payment,
    PaymentRef,
)
from refund_domain.testing.strategies._commands import reasons
from refund_domain.testing.strategies._payments import (
    gateway_refunds,
    payment_refs,
    payments,
    transfer_reversals,
)
from refund_domain.testing.strategies._plain import (
    ANY_CURRENCY,
    COIN,
    MOST_CAPTURED_MINOR,
    check_optional,
    ids,
    maybe,
    money,
    of_kinds,
    prefixed,
    texts,
    up_to,
    words,
)

_NOT_LIVE: Final = ("failed", "canceled")

_CODES_OF_NO: Final = ("charge_already_refunded", "charge_disputed", "charge_not_refundable", "resource_missing")

_LOOKS: Final = (ans.Picture, ans.Unread, ans.Missing)

_ANSWERS: Final = (ans.Accepted, ans.Declined, ans.NotSent, ans.OutcomeUnknown)

_LEG_ANSWERS: Final = (ans.Reversed, ans.Declined, ans.NotSent, ans.OutcomeUnknown)


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
    check_optional(ref, PaymentRef, "ref")
    check_count(max_refunds, "max_refunds", 0, 50)
    check_type(drift, bool, "drift")
    for mark in marks:
        check_id(mark, "each of marks")
    paid = payments(ref=ref, currency=currency)
    refunds = st.lists(
        gateway_refunds(currency=ANY_CURRENCY), max_size=max_refunds, unique_by=lambda refund: refund.id
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
        amount = Money(draw(up_to(most, least=1)), currency)
        ours = draw(COIN) and bool(unused)
        live_minor += 0 if refund.status in _NOT_LIVE else amount.amount_minor
        shown.append(attrs.evolve(refund, amount=amount, mark=unused.pop() if ours else None))
    if not (drift and draw(COIN)):
        payment = attrs.evolve(payment, given_back=Money(live_minor, currency))
    return ans.Picture(payment=payment, refunds=tuple(shown))


def looks(
    *, kinds: Sequence[type[ans.Look]] = _LOOKS, ref: PaymentRef | None = None, currency: Currency | None = None
) -> SearchStrategy[ans.Look]:
    """Whatever a look can come back with: a picture, nothing readable, no such charge; or `kinds` only."""
    table: dict[type[ans.Look], SearchStrategy[ans.Look]] = {
        ans.Picture: pictures(ref=ref, currency=currency),
        ans.Unread: st.builds(ans.Unread, why=texts(max_size=60), alarm=maybe(texts(max_size=60))),
        ans.Missing: st.builds(ans.Missing, why=words(("resource_missing",), 60)),
    }
    return of_kinds(table, kinds)


def sends(
    *, payment: PaymentRef | None = None, currency: Currency | None = None, refund_id: str | None = None
) -> SearchStrategy[ans.Send]:
    """Requests to make a refund, of any claim, reason and kind of charge."""
    check_optional(payment, PaymentRef, "payment")
    if refund_id is not None:
        check_id(refund_id, "refund_id")
    refunded = payment_refs() if payment is None else st.just(payment)
    amounts = money(currency=currency, min_minor=1, max_minor=MOST_CAPTURED_MINOR)
    marks = ids() if refund_id is None else st.just(refund_id)

    return _sends(refunded, amounts, marks)


@st.composite
def _sends(
    draw: DrawFn,
    refunded: SearchStrategy[PaymentRef],
    amounts: SearchStrategy[Money],
    marks: SearchStrategy[str],
) -> ans.Send:
    ref, amount = draw(refunded), draw(amounts)
    split = draw(_AT_PLATFORM if ref.account == PLATFORM else _CONNECTED)
    if ref.account == PLATFORM and draw(COIN):
        first = draw(up_to(amount.amount_minor, least=1))
        parts = [part for part in (first, amount.amount_minor - first) if part]
        nothing = Money.zero(amount.currency)
        split = SeparateCharge(
            legs=tuple(
                Leg(transfer=f"tr_{number}", amount=Money(part, amount.currency), by_hand=nothing)
                for number, part in enumerate(parts, 1)
            )
        )
    return ans.Send(
        refund_id=draw(marks),
        claim=draw(_CLAIMS),
        payment=ref,
        amount=amount,
        reason=draw(_REASONS),
        split=split,
    )


_CLAIMS: Final = st.integers(1, 6)

_REASONS: Final = reasons()

_CONNECTED: Final[SearchStrategy[Split]] = st.builds(DirectCharge, return_fee=st.booleans())

_AT_PLATFORM: Final[SearchStrategy[Split]] = st.builds(PlatformCharge) | st.builds(
    DestinationCharge, return_fee=st.booleans()
)


def reversals(*, currency: Currency | None = None, refund_id: str | None = None) -> SearchStrategy[ans.Reversal]:
    """Requests to pull back a part of a transfer, of any attempt and claim."""
    if refund_id is not None:
        check_id(refund_id, "refund_id")
    return st.builds(
        ans.Reversal,
        id=ids(),
        refund_id=ids() if refund_id is None else st.just(refund_id),
        transfer=prefixed("tr_"),
        attempt=_CLAIMS,
        claim=_CLAIMS,
        payment=payment_refs(account=PLATFORM),
        amount=money(currency=currency, min_minor=1, max_minor=MOST_CAPTURED_MINOR),
    )


def answers(
    *,
    kinds: Sequence[type[ans.SendAnswer]] = _ANSWERS,
    send: ans.Send | None = None,
    currency: Currency | None = None,
) -> SearchStrategy[ans.SendAnswer]:
    """All four answers to a send, with alarms and without, or `kinds` only.

    An `Accepted` is the refund that `send` asked for; without `send` any refund, in `currency` if given.
    """
    check_optional(send, ans.Send, "send")
    made = gateway_refunds(currency=currency, marks=("mark-1", "mark-2")) if send is None else _made(send)
    table: dict[type[ans.SendAnswer], SearchStrategy[ans.SendAnswer]] = {
        ans.Accepted: st.builds(ans.Accepted, refund=made),
        ans.Declined: _declined(),
        ans.NotSent: _not_sent(),
        ans.OutcomeUnknown: _unknown(),
    }
    return of_kinds(table, kinds)


def leg_answers(
    *,
    kinds: Sequence[type[ans.LegAnswer]] = _LEG_ANSWERS,
    reversal: ans.Reversal | None = None,
    currency: Currency | None = None,
) -> SearchStrategy[ans.LegAnswer]:
    """All four answers to a reversal, with alarms and without, or `kinds` only.

    A `Reversed` is what `reversal` asked for; without it any reversal, in `currency` if given.
    """
    check_optional(reversal, ans.Reversal, "reversal")
    back = transfer_reversals(currency=currency) if reversal is None else _back(reversal)
    table: dict[type[ans.LegAnswer], SearchStrategy[ans.LegAnswer]] = {
        ans.Reversed: st.builds(ans.Reversed, reversal=back),
        ans.Declined: _declined(),
        ans.NotSent: _not_sent(),
        ans.OutcomeUnknown: _unknown(),
    }
    return of_kinds(table, kinds)


def _declined() -> SearchStrategy[ans.Declined]:
    return st.builds(ans.Declined, code=words(_CODES_OF_NO, 60), alarm=_ALARMS, trail=_TRAILS)


def _not_sent() -> SearchStrategy[ans.NotSent]:
    return st.builds(ans.NotSent, why=texts(max_size=60), alarm=_ALARMS, trail=_TRAILS)


def _unknown() -> SearchStrategy[ans.OutcomeUnknown]:
    why = texts(max_size=60)
    return st.builds(ans.OutcomeUnknown, why=why, resend=st.booleans(), alarm=_ALARMS, trail=_TRAILS)


_ALARMS: Final = maybe(texts(max_size=60))

_TRAILS: Final = maybe(prefixed("req_"))


def _back(reversal: ans.Reversal) -> SearchStrategy[TransferReversal]:
    return transfer_reversals().map(lambda back: attrs.evolve(back, amount=reversal.amount, mark=reversal.id))


def _made(send: ans.Send) -> SearchStrategy[GatewayRefund]:
    exact = send.amount.amount_minor
    made = gateway_refunds(currency=send.amount.currency, min_minor=exact, max_minor=exact)
    return made.map(lambda refund: attrs.evolve(refund, mark=send.refund_id))
