"""Strategies for what people ask for."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from refund_domain._checks import check_text
from refund_domain.commands import NOTE_LIMIT, Action, Actor, ApproveRefund, Choice, IssueRefund, Reason
from refund_domain.money import Currency
from refund_domain.payments import (
    PaymentRef,
)
from refund_domain.testing.strategies._payments import payment_refs
from refund_domain.testing.strategies._plain import (
    MOST_CAPTURED_MINOR,
    check_optional,
    ids,
    maybe,
    money,
    texts,
    times,
    words,
)


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
    tenants = words(("acme", "zenith"), 40) if tenant is None else st.just(tenant)
    return st.builds(Actor, id=words(("maria", "omar"), 40), tenant=tenants)


def issue_refunds(
    *, payment: PaymentRef | None = None, by: Actor | None = None, currency: Currency | None = None
) -> SearchStrategy[IssueRefund]:
    """Decisions to refund `payment` (or any) by `by` (or anyone), with a note and without."""
    check_optional(payment, PaymentRef, "payment")
    check_optional(by, Actor, "by")
    return st.builds(
        IssueRefund,
        payment=payment_refs() if payment is None else st.just(payment),
        request_id=ids(),
        amount=money(currency=currency, min_minor=1, max_minor=MOST_CAPTURED_MINOR),
        quoted_at=times(),
        by=actors() if by is None else st.just(by),
        reason=reasons(),
        note=maybe(texts(max_size=min(60, NOTE_LIMIT))),
    )


def approve_refunds(
    *, payment: PaymentRef | None = None, by: Actor | None = None, currency: Currency | None = None
) -> SearchStrategy[ApproveRefund]:
    """A second person's decisions on refunds of `payment` (or any) by `by` (or anyone)."""
    check_optional(payment, PaymentRef, "payment")
    check_optional(by, Actor, "by")
    return st.builds(
        ApproveRefund,
        payment=payment_refs() if payment is None else st.just(payment),
        refund_id=ids(),
        amount=money(currency=currency, min_minor=1, max_minor=MOST_CAPTURED_MINOR),
        by=actors() if by is None else st.just(by),
    )
