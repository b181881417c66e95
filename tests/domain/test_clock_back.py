"""A clock that goes back: what a look shows was seen after all that was on record when the look began."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from refund_adapters.memory import Fault
from refund_domain.decider.inputs import FreeLook
from refund_domain.decider.ledger import Status
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
    """Within what clocks may lie apart a look decides: what it shows is newer than all the stream held (R3)."""
    ref = world.pay()
    command = world.decision(ref)
    world.clock.now -= NEAR
    dispute = world.bank.dispute(ref)
    assert codes_of(world.refunds.issue(command)) == ("disputed",)
    assert disputes(world, ref) == [dispute]
    assert world.bank.made(ref) == len(world.bank.received) == 0


def test_process_that_stood_still_once_it_was_told_the_time_sends_nothing(world: World) -> None:
    """For a day, between the journal's word on the time and its look, and then the clock falls back: neither the
    word nor the clock tells how old its claim is by then; what has passed since does."""
    ref = world.pay()
    world.refunds.request(world.decision(ref))
    world.wire.clear()

    def stands_still() -> None:
        world.clock.elapsed += (22 * HOUR).total_seconds()
        world.clock.now -= 8 * HOUR

    world.wire.after[0] = stands_still
    world.refunds.dispatch(ref)
    assert world.wire.calls[:3] == ["load", "look", "append"]
    assert world.bank.made(ref) == len(world.bank.received) == 0
    world.clock.now += 30 * HOUR
    world.refunds.recover()
    assert world.bank.made(ref) == len(world.bank.received) == 1


def test_process_that_stood_still_once_its_request_was_written_sends_nothing(world: World) -> None:
    """The same, between the commit of its request and its return: the claim would be a day old, its doubt over
    while the send is still on its way."""
    ref = world.pay()
    command = world.decision(ref)
    world.wire.clear()

    def stands_still() -> None:
        world.clock.elapsed += (27 * HOUR).total_seconds()
        world.clock.now -= 3 * HOUR

    world.wire.after[2] = stands_still
    refund = refund_of(world.refunds.issue(command))
    assert world.wire.calls[:5] == ["allow", "load", "append", "look", "append"]
    assert refund.status is Status.REQUESTED
    assert world.bank.made(ref) == len(world.bank.received) == 0
    world.clock.now += 30 * HOUR
    assert [item.status for item in world.view(ref).refunds] == [Status.REQUESTED]
    world.refunds.recover()
    assert [item.status for item in world.view(ref).refunds] == [Status.DROPPED]
    assert world.bank.made(ref) == len(world.bank.received) == 0


def test_send_that_took_a_day_is_not_sent_again_under_a_clock_that_fell_back(world: World) -> None:
    """The process itself has seen that much time go by: its next step is not taken by a clock that is behind."""
    ref = world.pay()
    command = world.decision(ref)
    world.wire.clear()
    world.gateway.script(Fault.REQUEST_LOST)

    def takes_long() -> None:
        world.clock.elapsed += (22 * HOUR + 10 * MINUTE).total_seconds()
        world.clock.now += 22 * HOUR - 5 * MINUTE

    world.wire.after[5] = takes_long
    refund = refund_of(world.refunds.issue(command))
    assert world.wire.calls[:8] == ["allow", "load", "append", "look", "append", "send", "append", "look"]
    assert refund.status is Status.IN_DOUBT
    assert world.wire.calls.count("send") == 1


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


def test_look_that_another_overtook_replaces_nothing() -> None:
    """Of two looks that overlapped nobody knows which is the older, whatever a clock says: the one that was put on
    record first stands, and the other brings only what no order can spoil."""
    story = Story()
    story.quote(at=START + MINUTE)
    before, began = story.picture(), story.ledger.sightings
    story.payment = attrs.evolve(story.payment, fee=usd(6_10))
    story.quote(at=START + HOUR)
    story.give(FreeLook(at=START + 2 * HOUR, sightings=began, picture=before))
    assert story.ledger.payment == story.payment
    assert story.give(FreeLook(at=START, sightings=story.ledger.sightings, picture=before))
    assert story.ledger.payment == before.payment
