"""Ways somebody found to make the library pay twice, forget or fall silent; each stays closed."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from refund_adapters.memory import Course
from refund_domain import IssueRefund, Money, Policy, Status
from refund_domain.answers import OutcomeUnknown, Unread
from refund_domain.commands import FormError
from refund_domain.decider.attention import attention
from refund_domain.decider.doubt import MOST_UNREAD
from refund_domain.decider.inputs import OwedLook
from refund_domain.errors import JournalUnavailable
from refund_domain.payments import Dispute, OutsideRef
from refund_domain.service.stream import caught_up, opened
from tests.domain.histories import HOUR, MINUTE, START, Story, card, kinds, usd
from tests.domain.worlds import DAY, KINDS, MARIA, Kind, World, refund_of


@pytest.mark.parametrize("pending_days", [30, 61])
def test_a_success_is_watched_from_the_success_not_from_the_creation(pending_days: int) -> None:
    """A refund that waited for weeks and failed five weeks after it succeeded is shown as failed."""
    world = World()
    ref = world.pay()
    world.bank.plan(ref, Course.stays("pending", "insufficient_funds"))
    refund = refund_of(world.refunds.issue(world.decision(ref)))
    assert refund.gateway_id is not None
    for days, word in ((pending_days, "succeeded"), (35, "failed")):
        for _ in range(days):
            world.clock.advance(DAY)
            world.refunds.recover()
        reason = "expired_or_canceled_card" if word == "failed" else None
        world.bank.settle(refund.gateway_id, word, reason)
    for _ in range(30):
        world.clock.advance(DAY)
        world.refunds.recover()
    assert world.view(ref).refunds[0].status is Status.FAILED


def test_a_policy_with_shorter_edges_ends_no_doubt_while_a_send_may_take_effect() -> None:
    """Half a fleet with a shorter, equally true policy: the last claim of the longer one is not forgotten."""
    story = Story().claimed()
    story.wait(21 * HOUR).look()
    assert len(story.record().claims) == 2
    story.policy = Policy(key_life=12 * HOUR, resend_within=9 * HOUR, end_after=16 * HOUR)
    story.until_due()
    assert story.now - START < 22 * HOUR
    assert "RefundNotMade" not in kinds(story.look())
    story.now = START + 21 * HOUR + 5 * HOUR + 10 * MINUTE
    assert "RefundNotMade" not in kinds(story.look())
    story.wait(DAY)
    assert "RefundNotMade" in kinds(story.look())


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_of_one_payment_refunds_no_other(kind: Kind) -> None:
    """An older tab's form, sent while the session is on another payment of the same price, is refused."""
    world = World(kind)
    first, second = world.pay(), world.pay()
    form = world.refunds.quote(first, by=MARIA).form()
    world.refunds.quote(second, by=MARIA)
    with pytest.raises(FormError, match="payment"):
        IssueRefund.from_form(form, payment=second, by=MARIA)
    assert world.bank.made(second) == 0


def test_a_clock_behind_the_journal_is_told() -> None:
    """A look that may only look, because the clock fell back, says so to a person instead of waiting silently."""
    story = Story()
    story.quote()
    story.request()
    story.give(
        OwedLook(at=story.now, latest=story.now + DAY, look=story.picture(), sightings=story.ledger.sightings)
    )
    assert story.record().claims == ()
    assert [item.code for item in attention(story.ledger)] == ["look_alarm_clock"]


def test_a_gateway_that_stays_unreadable_is_told() -> None:
    """After several looks in vain a person is called, whatever the look was for; one good look ends the call."""
    story = Story().claimed()
    story.shows(story.ours("r1", "succeeded")).until_due().look()
    assert story.status() is Status.SUCCEEDED
    for number in range(MOST_UNREAD + 2):
        story.until_due().look(Unread(why="a row was odd"))
        assert bool(attention(story.ledger)) is (number >= MOST_UNREAD)
    assert [item.code for item in attention(story.ledger)] == ["look_alarm_unreadable"]
    story.until_due().look()
    assert attention(story.ledger) == ()


def test_a_journal_that_went_back_decides_nothing() -> None:
    """A stream in hand is never carried on from fewer events than it was made of."""
    world = World()
    paid = world.pay()
    world.refunds.issue(world.decision(paid))
    stream = opened(paid, world.store.load(paid), 0.0, 0.0)
    assert caught_up(stream, world.store.load(paid, stream.version), 0.0, 0.0).version == stream.version
    behind = attrs.evolve(world.store.load(paid), events=(), version=stream.version - 1)
    with pytest.raises(JournalUnavailable, match="went back"):
        caught_up(stream, behind, 0.0, 0.0)


def test_outside_money_keeps_its_currency() -> None:
    """What was recorded in dollars under one id is not recorded again in euros."""
    story = Story()
    dollars = OutsideRef(id="cash-7", method="cash", amount=usd(40_00))
    assert kinds(story.outside(40_00, ref=dollars)) == ["StreamOpened", "OutsideRecorded"]
    euros = OutsideRef(id="cash-7", method="cash", amount=Money.parse("40.00", "EUR"))
    assert kinds(story.outside(0, "o2", ref=euros, amount=euros.amount)) == ["CurrencyNotSupported"]


def test_a_watch_is_no_longer_than_said() -> None:
    """A success nobody contradicts is let go after its sixty days."""
    story = Story().claimed()
    story.shows(story.ours("r1", "succeeded")).until_due().look()
    seen = story.now
    while story.ledger.due is not None:
        story.until_due().look()
        assert story.now - seen < timedelta(days=70)
    assert story.now - seen >= timedelta(days=60)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"disputes": (Dispute(id="a", amount=usd(1), status="lost"),) * 2}, ValueError),
        ({"fee": usd(-1)}, ValueError),
        ({"fee": Money.parse("1.00", "EUR")}, ValueError),
        ({"settles_on": START}, TypeError),
    ],
)
def test_a_payment_that_cannot_be_is_refused(changes: dict[str, object], error: type[Exception]) -> None:
    """A dispute counted twice, a fee that adds money or is in another currency, a moment for a day."""
    with pytest.raises(error):
        attrs.evolve(card(), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("days", [(), (3,), (3, 4, 5)])
def test_a_window_has_two_ends(days: tuple[int, ...]) -> None:
    """A policy with fewer or more than two numbers of days is refused by name."""
    with pytest.raises(ValueError, match="arrival_days"):
        Policy(arrival_days=days)  # type: ignore[arg-type]


def test_an_alarm_of_the_looking_outlives_what_is_no_look() -> None:
    """A late answer or a new request has read nothing, so the call for a person stands."""
    story = Story().claimed()
    story.until_due().look(Unread(why="HTTP 401", alarm="credentials"))
    assert "look_alarm_credentials" in [item.code for item in attention(story.ledger)]
    story.answer(OutcomeUnknown(why="timeout"))
    assert "look_alarm_credentials" in [item.code for item in attention(story.ledger)]
