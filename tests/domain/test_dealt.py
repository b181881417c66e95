"""In which order a worker takes what is due: all of it, alike for the same id, and seldom beside another."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from refund_domain import PaymentRef
from refund_domain.service.stream import dealt
from refund_domain.testing import strategies as given_a

DUE = [PaymentRef("platform", f"ch_{number}") for number in range(100)]


@given(st.lists(given_a.payment_refs(), unique=True, max_size=20), given_a.ids())
def test_every_payment_is_dealt_once(refs: list[PaymentRef], order: str) -> None:
    """Whatever is due and whatever the id: each of it once, and the same again for the same id."""
    hand = dealt(refs, order)
    assert sorted(hand, key=str) == sorted(refs, key=str)
    assert dealt(refs, order) == hand


def test_two_workers_seldom_meet() -> None:
    """Of 45 pairs of workers that take 100 payments at the same pace, none meets at more than ten, and they do
    at fewer than two on average, as by chance."""
    hands = [dealt(DUE, f"{number:032x}") for number in range(10)]
    meetings = [sum(map(PaymentRef.__eq__, one, other)) for one, other in itertools.combinations(hands, 2)]
    assert len(meetings) == 45
    assert max(meetings) <= 10
    assert sum(meetings) / len(meetings) < 2
