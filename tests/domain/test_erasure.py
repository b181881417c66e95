"""Erasing takes names and what people wrote out of events, wherever they stand; every fact of the money stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import get_args, get_type_hints

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_domain.commands import Actor, Reason
from refund_domain.decider.ledger import EMPTY, fold
from refund_domain.events import EVENTS, Event, OutsideRecorded, RefundRequested, StreamOpened
from refund_domain.money import Money
from refund_domain.operations.erasure import (
    ERASED_TEXT,
    PSEUDONYM,
    WRITTEN,
    actors_in,
    erased,
    is_erased,
    is_erasure,
)
from refund_domain.testing import strategies
from refund_domain.testing.laws_samples import sample_events

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MARIA = Actor(id="maria", tenant="acme")
BEN = Actor(id="ben", tenant="acme")
CASH = OutsideRecorded(at=AT, record_id="o1", amount=Money.parse("40.00", "USD"), how="cash to Carl", by=MARIA)

MACHINE = {
    "AllowanceTaken": "request_id",
    "AlreadyRefunded": "refund_id",
    "AttentionSettled": "code subject",
    "CannotBeStopped": "refund_id",
    "ChargeNotSupported": "kind",
    "Currency": "code",
    "CurrencyNotSupported": "currency expected",
    "Declined": "alarm code trail",
    "Dispute": "id status",
    "External": "method",
    "GatewayRefund": "failure_reason id mark pending_reason status",
    "InFlight": "refund_id status",
    "Leg": "transfer",
    "LegAnswered": "refund_id transfer",
    "LegNotMade": "refund_id transfer",
    "LegObserved": "refund_id transfer",
    "LookScheduled": "alarm",
    "MethodNotSupported": "method",
    "NotSent": "alarm trail why",
    "OutcomeUnknown": "alarm trail why",
    "OutsideRecorded": "record_id",
    "Payment": "method",
    "PaymentRef": "account charge",
    "PersonAsked": "refund_id",
    "ReasonNotAllowed": "reason",
    "RefundApproved": "refund_id",
    "RefundDropped": "refund_id",
    "RefundNotMade": "refund_id",
    "RefundRequested": "refund_id request_id",
    "Reversal": "id refund_id transfer",
    "SecondPersonNeeded": "refund_id",
    "Send": "refund_id",
    "SendAnswered": "refund_id",
    "StreamOpened": "tenant",
    "Trace": "kind reference",
    "Transfer": "id",
    "TransferReversal": "id mark",
}
"""The texts in events that no person writes: ids, and the words of the gateway and of this library."""


def name(actor: Actor) -> str:
    """Another name for each."""
    return f"{PSEUDONYM}{hash((actor.id, actor.tenant)):x}"


def texts_of(kinds: Sequence[object]) -> Iterator[tuple[str, str]]:
    """Class and name of every field that holds a text and shows it, in these classes and all that they hold."""
    seen, todo = set[object](), list(kinds)
    while todo:
        kind = todo.pop()
        todo += get_args(kind)
        if kind in seen or not isinstance(kind, type) or not attrs.has(kind):
            continue
        seen.add(kind)
        declared = get_type_hints(kind)
        for field in attrs.fields(kind):
            of_field = declared[field.name]
            todo.append(of_field)
            if (of_field is str or str in get_args(of_field)) and field.repr is not False:
                yield kind.__name__, field.name


def test_nobody_s_name_stands_where_erasing_does_not_look() -> None:
    """Every text in an event is an actor's, or one that erasing takes, or known to be written by no person.

    An event with a new text fails here: keep it out of reprs if people write it, else list it above.
    """
    unknown = [
        (kind, field)
        for kind, field in texts_of(EVENTS)
        if kind != "Actor" and field not in WRITTEN and field not in MACHINE.get(kind, "").split()
    ]
    assert unknown == []
    assert {kind for kind, _ in texts_of(EVENTS)} >= set(MACHINE), "a class that is gone is still listed"


HISTORIES = st.lists(strategies.events(), max_size=12)


@given(HISTORIES)
def test_erasing_goes_with_folding(history: list[Event]) -> None:
    """What the erased events amount to is the erased ledger: no fact of the money hangs on a name or a note."""
    after = fold(EMPTY, [erased(event, name, everything=True) for event in history])
    before = fold(EMPTY, history)
    assert after == erased(before, name, everything=True)
    assert [(r.id, r.belief, r.claims, r.ended) for r in after.refunds] == [
        (r.id, r.belief, r.claims, r.ended) for r in before.refunds
    ]
    assert (after.due, after.observed, after.payment) == (before.due, before.observed, before.payment)


@given(strategies.events())
def test_erasing_leaves_no_name_and_all_else(event: Event) -> None:
    """Of any event nothing goes but names and notes; twice is as once; who differed differs."""
    gone = erased(event, name, everything=True)
    assert is_erasure(event, gone)
    assert all(is_erased(actor) for actor in actors_in(gone))
    assert erased(gone, lambda actor: None, everything=True) == gone
    assert gone.at == event.at
    for field in WRITTEN:
        assert getattr(gone, field, None) in (None, ERASED_TEXT)
    assert len(set(actors_in(gone))) == len(set(actors_in(event)))


@pytest.mark.parametrize("event", sample_events(AT), ids=lambda event: type(event).__name__)
def test_one_actor_s_erasure_leaves_the_others(event: Event) -> None:
    """Where the actor does not act, the very same event comes back; where they do, names and note go."""
    assert erased(event, lambda actor: None) is event
    gone = erased(event, lambda actor: "erased:1" if actor.id == "maria" else None)
    assert (gone is event) is (not any(actor.id == "maria" for actor in actors_in(event)))
    assert "maria" not in [actor.id for actor in actors_in(gone)]


def test_a_note_that_was_not_written_stays_unwritten() -> None:
    """An erasure does not make it look as if something had been written."""
    asked = RefundRequested(
        at=AT, refund_id="r1", request_id="q1", amount=CASH.amount, reason=Reason.DUPLICATE, quoted_at=AT, by=MARIA
    )
    assert erased(asked, name).note is None
    assert erased(attrs.evolve(asked, note="she cried"), name).note == ERASED_TEXT


def test_people_are_found_however_deep_they_stand() -> None:
    """An event of a later version that carries people in parts of its own is covered without a word here."""

    @attrs.frozen(kw_only=True)
    class Approval:
        by: Actor
        note: str | None = None
        because: str = attrs.field(default="Carl asked", repr=False)

    @attrs.frozen(kw_only=True)
    class Approved:
        asked_by: Actor
        approvals: tuple[Approval, ...]

    event = Approved(asked_by=MARIA, approvals=(Approval(by=BEN, note="Carl is a friend"), Approval(by=MARIA)))
    gone = erased(event, name)
    assert {actor.id for actor in actors_in(gone)} == {name(MARIA), name(BEN)}
    assert gone.approvals[0].note == ERASED_TEXT == gone.approvals[1].because, "kept out of reprs: people wrote it"
    assert gone.asked_by == gone.approvals[1].by != gone.approvals[0].by, "who differed, and who did not"
    assert is_erasure(event, gone)
    invented = attrs.evolve(
        gone, approvals=(attrs.evolve(gone.approvals[0], note="Ben wanted it"), gone.approvals[1])
    )
    assert not is_erasure(event, invented), "another text, however deep, is none"
    only_ben = erased(event, lambda actor: name(actor) if actor == BEN else None)
    assert only_ben.asked_by == only_ben.approvals[1].by == MARIA
    assert only_ben.approvals[0].note == only_ben.approvals[1].because == ERASED_TEXT, "either may tell of Ben"


@pytest.mark.parametrize(
    "after",
    [
        attrs.evolve(CASH, amount=Money.parse("41.00", "USD")),
        attrs.evolve(CASH, at=datetime(2026, 3, 2, 10, 0, tzinfo=UTC)),
        attrs.evolve(CASH, record_id="o2"),
        attrs.evolve(CASH, by=BEN),
        attrs.evolve(CASH, by=Actor(id="erased:1", tenant="other")),
        attrs.evolve(CASH, how="cash to Ben"),
        StreamOpened(at=AT, tenant="acme"),
    ],
)
def test_what_is_no_erasure_is_known(after: Event) -> None:
    """Another amount, time, id or tenant, another name in place of one, another event: none is an erasure."""
    assert not is_erasure(CASH, after)
    assert not is_erasure(erased(CASH, name), CASH), "nor is bringing a name back"
    assert is_erasure(CASH, CASH)


@given(strategies.events(), strategies.events())
def test_only_erasures_are_erasures(one: Event, other: Event) -> None:
    """Of two events one is the other's erasure only where both are the same but for names and notes."""
    if is_erasure(one, other):
        assert erased(one, name, everything=True) == erased(other, name, everything=True) or any(actors_in(one))
        assert type(one) is type(other)
        assert one.at == other.at
