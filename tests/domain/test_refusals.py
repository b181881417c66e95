"""Every way to say no has a stable code, a status, a next move, and a sentence made of its own facts."""

from __future__ import annotations

import pickle
import string
from typing import get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_domain.commands import Action
from refund_domain.money import Money
from refund_domain.refusals import (
    REFUSALS,
    AmountChanged,
    Disputed,
    External,
    MethodNotSupported,
    Move,
    NotAllowed,
    NotFound,
    NothingLeft,
    Refusal,
    Refused,
    TooMuchOutside,
)
from refund_domain.testing.strategies import refusals, refused

# Hosts match on these: a changed line is a breaking change, and must be one knowingly.
STABLE = {
    "external": (422, Move.STAFF),
    "method_not_supported": (422, Move.STAFF),
    "charge_not_supported": (422, Move.HOST),
    "not_captured": (409, Move.STAFF),
    "not_settled": (409, Move.WAIT),
    "nothing_left": (409, Move.NOBODY),
    "in_flight": (409, Move.WAIT),
    "already_refunded": (409, Move.NOBODY),
    "disputed": (409, Move.STAFF),
    "window_over": (422, Move.STAFF),
    "below_minimum": (422, Move.STAFF),
    "currency_not_supported": (422, Move.STAFF),
    "amount_changed": (409, Move.STAFF),
    "quote_stale": (409, Move.STAFF),
    "request_reused": (409, Move.HOST),
    "reason_not_allowed": (422, Move.STAFF),
    "too_much_outside": (422, Move.STAFF),
    "cannot_be_stopped": (409, Move.NOBODY),
    "not_asked_for": (409, Move.NOBODY),
    "not_allowed": (403, Move.HOST),
    "not_found": (404, Move.HOST),
    "sending_paused": (409, Move.STAFF),
    "second_person_needed": (403, Move.STAFF),
    "approval_denied": (409, Move.STAFF),
    "limit_reached": (429, Move.STAFF),
}
EVERY = pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.code)


def usd(text: str) -> Money:
    """Dollars as people write them."""
    return Money.parse(text, "USD")


def test_the_list_of_refusals_is_the_type_of_refusals() -> None:
    """A class of the union that is missing from the list, or the other way round, would escape every table."""
    assert get_args(Refusal) == REFUSALS
    assert len(set(REFUSALS)) == len(REFUSALS)


def test_codes_statuses_and_moves_are_stable() -> None:
    """Codes are unique and, with status and next move, exactly the published ones."""
    assert len({kind.code for kind in REFUSALS}) == len(REFUSALS)
    assert {kind.code: (kind.http_status, kind.move) for kind in REFUSALS} == STABLE


@EVERY
def test_every_refusal_can_be_answered_with(kind: type[Refusal]) -> None:
    """A code fit for a table, a client-error status, a move, a docstring that explains."""
    assert set(kind.code) <= set(string.ascii_lowercase + "_")
    assert 400 <= kind.http_status <= 499
    assert isinstance(kind.move, Move)
    assert kind.__doc__


@EVERY
def test_every_refusal_states_facts_it_has(kind: type[Refusal]) -> None:
    """A sentence asks for no fact that the class does not hold, and ends like a sentence."""
    # A fact, or a phrase made of the facts.
    fields = {field.name for field in attrs.fields(kind)} | {
        n for n, v in vars(kind).items() if type(v) is property
    }
    asked = {name for _, name, _, _ in string.Formatter().parse(kind.says) if name is not None}
    assert asked <= {f"self.{name}" for name in fields}
    assert kind.says.endswith(".")


@EVERY
@given(data=st.data())
def test_every_refusal_formats_with_any_facts(kind: type[Refusal], data: st.DataObject) -> None:
    """Whatever the facts, there is a sentence with nothing left to fill in, and it names the amounts it knows."""
    refusal = data.draw(refusals(kinds=[kind]))
    assert type(refusal) is kind
    sentence = str(refusal)
    assert "self" not in kind.says.replace("{self.", "")
    assert "{self" not in sentence
    for field in attrs.fields(kind):
        fact = getattr(refusal, field.name)
        if isinstance(fact, Money):
            assert str(fact) in sentence


def test_sentences_read_well() -> None:
    """What staff will read, word for word, for some of them."""
    assert str(AmountChanged(verified=usd("200.00"), current=usd("150.00"))) == (
        "The amount verified was 200.00 USD, it is 150.00 USD now; look at a new quote."
    )
    assert str(NotAllowed(action=Action.ISSUE)) == "You may not do this (issue)."
    assert str(TooMuchOutside(asked=usd("9.00"), left=usd("5.00"))) == (
        "9.00 USD is more than the 5.00 USD that is left to give back."
    )


def test_braces_in_a_fact_are_not_filled_in() -> None:
    """A method called '{self.code}' is shown as it is: facts are data, never a format."""
    for kind in (External, MethodNotSupported):
        assert "{self.code} {0}" in str(kind(method="{self.code} {0}"))


def test_another_tenants_payment_and_none_are_told_apart_by_nobody() -> None:
    """NotFound holds no fact that could tell a payment of somebody else from none at all."""
    assert not attrs.fields(NotFound)
    assert str(NotFound()) == "There is no such payment."


# --- Refused -----------------------------------------------------------------------------------------------


@given(no=refused(max_reasons=5))
def test_a_no_shows_all_its_reasons(no: Refused) -> None:
    """All reasons at once, in their order; the first gives the status."""
    assert str(no) == " ".join(str(reason) for reason in no.reasons)
    assert no.http_status == no.reasons[0].http_status
    assert pickle.loads(pickle.dumps(no)) == no


def test_the_first_reason_gives_the_status() -> None:
    """Two reasons with two statuses: the page answers with the first one's."""
    assert Refused((NotFound(), NothingLeft())).http_status == 404
    assert Refused((NothingLeft(), NotFound())).http_status == 409


def test_a_no_without_a_reason_is_refused() -> None:
    """A refusal that explains nothing cannot be made."""
    with pytest.raises(ValueError, match="give at least one"):
        Refused(())


@pytest.mark.parametrize(
    "reasons",
    [
        [NothingLeft()],
        NothingLeft(),
        None,
        "nothing_left",
        {NothingLeft()},
        ("nothing_left",),
        (None,),
        (NothingLeft,),
    ],
    ids=repr,
)
def test_reasons_are_a_tuple_of_refusals(reasons: object) -> None:
    """A list could be changed, a code is no refusal, a class is no instance."""
    with pytest.raises(TypeError, match="reasons must be"):
        Refused(reasons)  # type: ignore[arg-type]


def test_a_no_is_no_exception() -> None:
    """A rule that says no is a value to match on; it can neither be raised nor mistaken for a yes."""
    no: object = Refused((Disputed(amount=usd("5.00")),))
    assert not isinstance(no, BaseException)
    assert bool(no) is True
    match no:
        case Refused(reasons=(Disputed(amount=amount),)):
            assert amount == usd("5.00")
        case _:
            pytest.fail("a Refused must match by its reasons")
