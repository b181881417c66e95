"""A clock that goes back: what a look shows was seen after all that was on record when the look began."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from refund_domain import Status
from refund_domain.decider.inputs import FreeLook
from refund_domain.operations.feeds import Window
from refund_domain.payments import PLATFORM, PaymentRef
from refund_domain.refusals import Refused
from tests.domain.histories import Story, usd
from tests.domain.worlds import DAY, HOUR, KINDS, MARIA, MINUTE, START, Kind, World, codes_of, refund_of

FAR, NEAR = 30 * HOUR, 4 * MINUTE
"""Beyond what clocks may differ by, and within it."""


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> World:
    """A fresh world in each form of the service."""
    kind: Kind = request.param
    return World(kind)


def test_dispute_that_opens_after_a_small_step_back_stops_the_send(world: World) -> None:
    """The look before a send is on record at once; what it means is decided when the clock has caught up (R5)."""
    ref = world.pay()
    command = world.decision(ref)
    world.clock.now -= NEAR
    dispute = world.bank.dispute(ref)
    refund = refund_of(world.refunds.issue(command))
    assert (refund.status, disputes(world, ref)) == (Status.REQUESTED, [dispute])
    world.clock.advance(NEAR + MINUTE)
    (refund,) = world.refunds.dispatch(ref).refunds
    assert (refund.status, [reason.code for reason in refund.reasons]) == (Status.DROPPED, ["disputed"])
    assert world.bank.made(ref) == len(world.bank.received) == 0


def disputes(world: World, ref: PaymentRef) -> list[str]:
    """The disputes of this payment that are on record."""
    shown = world.view(ref).payment
    return [] if shown is None else [each.id for each in shown.disputes]


@pytest.mark.parametrize("back", [NEAR, FAR])
def test_quote_after_a_step_back_shows_what_is_new(world: World, back: timedelta) -> None:
    """A dispute that opened since the last quote is in the next one, whatever the clock says."""
    ref = world.pay()
    world.decision(ref)
    world.clock.now -= back
    world.bank.dispute(ref)
    assert "disputed" in codes_of(world.refunds.quote(ref, by=MARIA))


@pytest.mark.parametrize("back", [NEAR, FAR])
def test_reconciliation_after_a_step_back_passes_nothing_over(world: World, back: timedelta) -> None:
    """What a window is done to is known: no dispute in it is left out for the clock's sake."""
    ref = world.pay()
    world.decision(ref)
    world.clock.now -= back
    dispute = world.bank.dispute(ref)
    window = Window(start=START - 3 * DAY, end=START + DAY)
    run = world.refunds.reconcile_account(PLATFORM, window, feed=world.feed)
    assert not isinstance(run, Refused)
    assert [each.payment for each in run.payments] == [ref]
    assert disputes(world, ref) == [dispute]


def test_look_that_began_before_another_was_written_does_not_outrank_it() -> None:
    """Only what the stream held when the look began is older than it; of two that overlap, the clock decides."""
    story = Story()
    story.quote(at=START + MINUTE)
    before = story.picture()
    story.payment = attrs.evolve(story.payment, fee=usd(6_10))
    story.quote(at=START + HOUR)
    story.give(FreeLook(at=START, seen_at=START + MINUTE, picture=before))
    assert story.ledger.payment == story.payment
    assert story.give(FreeLook(at=START, seen_at=START + HOUR, picture=before))
    assert story.ledger.payment == before.payment
