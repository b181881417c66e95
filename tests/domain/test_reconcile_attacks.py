"""Attempts to make reconciliation pay twice, free what is held, or pass something over, in both forms."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import attrs
import pytest

from refund_adapters.memory import Fault, MemoryGateway, Planned
from refund_domain import Money, PaymentRef, Status
from refund_domain.answers import Unread
from refund_domain.events import Event, LookScheduled, PaymentSeen, RefundObserved, SendClaimed
from refund_domain.operations.feeds import FeedPage, Mention, Window
from refund_domain.operations.reconcile import Position
from refund_domain.payments import PLATFORM
from refund_domain.policy import DEFAULT_POLICY
from refund_domain.signals import Subject
from tests.domain.worlds import (
    DAY,
    HOUR,
    KINDS,
    MARIA,
    MINUTE,
    SECOND,
    START,
    Crash,
    World,
    codes_of,
    raising,
    refund_of,
)

USD_20 = Money.parse("20.00", "USD")
USD_200 = Money.parse("200.00", "USD")
CENT = Money.parse("0.01", "USD")
UNCAPPED = attrs.evolve(DEFAULT_POLICY, gateway_caps=False)
WINDOW = Window(start=START - DAY, end=START + 400 * DAY)
SENDS: tuple[Fault | Planned, ...] = (
    Fault.WORKS,
    Fault.REQUEST_LOST,
    Fault.ANSWER_LOST,
    Fault.EXECUTES_LATE.after(30 * MINUTE),
    Fault.BREAKS_MADE_IT,
    Fault.RATE_LIMITED,
)
MOST_CALLS = 12
"""More than an `issue` makes of its ports."""


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> World:
    """A fresh world in each form of the service, at a bank that would refund a payment twice."""
    return World(request.param, cap=False, policy=UNCAPPED)


def reconcile_all(world: World, ref: PaymentRef) -> None:
    """Another process reconciles this payment, and its account."""
    other = world.service(world.gateway, world.store)
    other.reconcile(ref)
    other.reconcile_account(PLATFORM, WINDOW, feed=world.gateway)


# --- at the worst moment ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", SENDS, ids=str)
def test_between_any_two_steps_of_an_issue_it_changes_nothing(world: World, fault: Fault | Planned) -> None:
    """Before and after every call that an issue makes: as many sends, the same refund, the same end as without."""
    ends = {_issued(world, fault, None, False)}
    for number in range(MOST_CALLS):
        for late in (False, True):
            ends.add(_issued(World(world.kind, cap=False, policy=UNCAPPED), fault, number, late))
    assert len(ends) == 1


def _issued(world: World, fault: Fault | Planned, number: int | None, late: bool) -> tuple[object, ...]:
    """What came of a refund into which a reconciliation burst at this call of a port, or (None) not."""
    ref = world.pay()
    world.bank.elsewhere(world.pay(), USD_20)
    decision = world.decision(ref)
    world.gateway.script(fault)
    world.wire.clear()
    if number is not None:
        hooks = world.wire.after if late else world.wire.before
        hooks[number] = lambda: reconcile_all(world, ref)
    world.refunds.issue(decision)
    assert len(world.wire.calls) < MOST_CALLS
    world.settle_down()
    (refund,) = world.view(ref).refunds
    claims = sum(isinstance(event, SendClaimed) for event in world.events(ref))
    return len(world.gateway.sent), claims, refund.status, refund.gateway_id, world.bank.live(ref)


# --- to free what is held ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount_minor", [2_000, 19_999])
def test_a_copied_mark_frees_nothing(world: World, amount_minor: int) -> None:
    """A dashboard refund with our mark and another amount comes and fails while ours is in doubt: ours stays so,
    the next is refused, and when ours is made after all it is the only one of ours."""
    ref = world.pay()
    world.gateway.script(Fault.EXECUTES_LATE.after(50 * MINUTE))
    ours = refund_of(world.refunds.issue(world.decision(ref)))
    world.bank.refund(ref.account, ref.charge, amount_minor, key="copied", mark=ours.id)
    for status in ("succeeded", "failed"):
        reconcile_all(world, ref)
        assert world.view(ref).refunds[0].status is Status.IN_DOUBT
        assert "in_flight" in codes_of(world.refunds.quote(ref, by=MARIA))
        if status == "succeeded":
            world.bank.settle("re_1", "failed", "declined")
    world.settle_down()
    assert world.view(ref).refunds[0].status is Status.SUCCEEDED
    assert {send.refund_id for send in world.gateway.sent} == {ours.id}
    assert world.bank.live(ref) == USD_200


class Hostile:
    """A feed that tells anything: charges of others, of nobody, ids and marks that are ours, in any order."""

    live = False

    def __init__(self, rng: random.Random, refs: tuple[PaymentRef, ...], marks: tuple[str, ...]) -> None:
        self._rng, self._refs, self._marks = rng, refs, marks

    def page(self, account: str, window: Window, subject: Subject, after: str | None, /) -> FeedPage | Unread:
        rng = self._rng
        if not rng.randrange(6):
            return Unread(why="cut")
        mentions = tuple(
            Mention(
                id=f"re_{number}",
                charge=rng.choice([None, "ch_none", *(ref.charge for ref in self._refs)]),
                created_at=START + rng.randint(0, 100) * SECOND,
                mark=rng.choice([None, *self._marks]),
            )
            for number in rng.sample(range(1, 40), rng.randint(0, 6))
        )
        return FeedPage(mentions=mentions, more=bool(mentions) and rng.random() < 0.7)


@pytest.mark.parametrize("seed", range(20))
def test_a_hostile_feed_says_where_to_look_and_nothing_else(world: World, seed: int) -> None:
    """Whatever a feed tells, the journal gets what looks showed: nothing is sent, claimed, ended or opened."""
    rng = random.Random(seed)
    refs = tuple(world.pay() for _ in range(4))
    marks = []
    for ref in refs[:3]:
        world.gateway.script(rng.choice([Fault.WORKS, Fault.REQUEST_LOST, Fault.ANSWER_LOST]))
        marks.append(refund_of(world.refunds.issue(world.decision(ref))).id)
    before = {ref: world.events(ref) for ref in refs}
    sent, failed = len(world.gateway.sent), 0
    for _ in range(10):
        feed = Hostile(rng, refs, tuple(marks))
        run = world.refunds.reconcile_account(PLATFORM, WINDOW, feed=feed, limit=rng.randint(1, 30))
        failed += len(run.failed)
        assert run.until is None or not run.failed
    for ref in refs:
        new = world.events(ref)[len(before[ref]) :]
        assert {type(event) for event in new} <= {PaymentSeen, RefundObserved, LookScheduled}
        picture = world.bank.picture(ref)
        assert picture is not None
        assert {e.refund for e in new if isinstance(e, RefundObserved)} <= set(picture.refunds)
    assert (len(world.gateway.sent), world.events(refs[3])) == (sent, ())
    assert failed


# --- to pass something over --------------------------------------------------------------------------------------


class Shifting(MemoryGateway):
    """A gateway at which more is refunded before every page; half of it the lists show late."""

    def page(self, account: str, window: Window, subject: Subject, after: str | None, /) -> FeedPage | Unread:
        for lag in (timedelta(0), 59 * MINUTE):
            self._bank.elsewhere(self._bank.charge(USD_20), list_lag=lag)
        return super().page(account, window, subject, after)


def refunded_for_hours(world: World) -> tuple[PaymentRef, ...]:
    """Payments refunded once each or disputed, several in a second, some of which the lists show late."""
    refs = []
    for _ in range(8):
        for lag in (timedelta(0), 10 * MINUTE, HOUR, None):
            ref = world.pay()
            world.refunds.quote(ref, by=MARIA)
            if lag is None:
                world.bank.dispute(ref)
            else:
                world.bank.elsewhere(ref, CENT, list_lag=lag)
            refs.append(ref)
        world.clock.advance(20 * MINUTE)
    return tuple(refs)


def passed_over(world: World, refs: tuple[PaymentRef, ...], until: datetime) -> list[str]:
    """What was created before then and is not in the journal."""
    over = []
    for ref in refs:
        view = world.view(ref)
        known = {refund.id for refund in view.elsewhere}
        known |= {dispute.id for dispute in view.payment.disputes} if view.payment else set()
        made = [(each.id, each.created_at) for each in world.bank.refunds(ref)]
        over += [id for id, at in (*made, *world.bank.disputes(ref)) if at < until and id not in known]
    return over


@pytest.mark.parametrize("limit", [1, 5, 1000])
def test_lists_that_shift_under_a_run_pass_nothing_over(world: World, limit: int) -> None:
    """While a run goes on, newer objects come before those that were read, and ones that lagged among them."""
    refs, feed = refunded_for_hours(world), Shifting(world.bank, page_size=3)
    until: datetime | None = None
    after: Position | None = None
    for _ in range(1000):
        run = world.refunds.reconcile_account(PLATFORM, WINDOW, feed=feed, limit=limit, after=after)
        after, until = run.position, run.until
        if after is None:
            break
        world.clock.advance(7 * MINUTE)
    assert until is not None
    assert until > START + HOUR
    assert passed_over(world, refs, until) == []


@pytest.mark.parametrize("late", [False, True])
def test_a_crash_anywhere_goes_on_from_the_last_place(world: World, *, late: bool) -> None:
    """Killed before or after any call of any port, taken up from the place last kept: in the end the streams are
    what they are without a crash."""
    calm = World(world.kind)
    ends = [_crashing(calm, None, late=late)]
    for number in range(ends[0][1]):
        ends.append(_crashing(World(world.kind), number, late=late))
    assert {streams for streams, _ in ends} == {ends[0][0]}
    assert len(ends) > 10


def _crashing(world: World, number: int | None, *, late: bool) -> tuple[tuple[tuple[Event, ...], ...], int]:
    """The streams in the end, and how many calls of a port were made."""
    world.gateway = MemoryGateway(world.bank, page_size=2)
    world.feed, world.refunds = type(world.feed)(world.gateway, world.wire), world.service()
    refs = tuple(world.pay() for _ in range(3))
    for ref in refs:
        world.refunds.quote(ref, by=MARIA)
        world.bank.elsewhere(ref, USD_20)
    world.bank.dispute(refs[0])
    world.clock.advance(2 * HOUR)
    world.wire.clear()
    if number is not None:
        (world.wire.after if late else world.wire.before)[number] = raising(Crash())
    until, crashes = None, 0
    after: Position | None = None
    for _ in range(50):
        try:
            run = world.refunds.reconcile_account(PLATFORM, WINDOW, feed=world.feed, limit=2, after=after)
        except Crash:
            crashes += 1
            assert crashes == 1
        else:
            after, until = run.position and Position.parse(str(run.position)), run.until
            if after is None:
                break
    assert crashes == (number is not None)
    assert until == START + 2 * HOUR - HOUR - 10 * MINUTE
    return tuple(world.events(ref) for ref in refs), len(world.wire.calls)
