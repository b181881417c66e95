"""Health tells what a monitor must know of a journal: doubts, overdue looks, who waits, and when recovery ran."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import attrs
import pytest

from refund_adapters.memory import Course, Fault, MemoryJournal
from refund_domain.commands import Choice
from refund_domain.errors import JournalUnavailable, UnknownEvent
from refund_domain.events import Event
from refund_domain.money import Money
from refund_domain.operations.health import Figures, Health, RecoveryNote
from refund_domain.payments import PaymentRef, Ref
from refund_domain.ports import Head, Loaded
from refund_domain.refusals import Refused
from refund_domain.service.stream import Recovery
from tests.domain.worlds import DAY, HOUR, KINDS, MARIA, MINUTE, Kind, World


def issued(world: World, *faults: Fault, course: Course | None = None) -> PaymentRef:
    """A payment whose refund was issued while the bank did these."""
    ref = world.bank.charge(Money.parse("200.00", "USD"), course=course)
    service = world.service(journal=world.store)
    world.gateway.script(*faults)
    service.issue(service.quote(ref, by=MARIA).verified(by=MARIA))
    return ref


class OlderWorkers(MemoryJournal):
    """A journal whose heads were all written by workers that did not tell of doubts."""

    unreadable: tuple[str, ...] = ()

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        return super().append(ref, events, expected=expected, head=attrs.evolve(head, doubt_since=None))

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        if str(ref) in self.unreadable:
            raise UnknownEvent("written by a newer version")
        return super().load(ref, after)

    def figures(self, young: timedelta, /) -> Figures:
        streams = tuple(PaymentRef.parse(name) for name, head in sorted(self._heads.items()) if head.look_at)
        return attrs.evolve(super().figures(young), undated=streams[:3], more_undated=len(streams[3:]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_journal_at_rest_is_healthy(kind: Kind) -> None:
    """Before anything happened and after a refund that worked nothing is in doubt, overdue or waiting."""
    world = World(kind)
    service = world.service(journal=world.store)
    health = service.health()
    well = Health(at=world.clock(), in_doubt=0, due=0, waiting=0, latest=world.clock())
    assert health == well
    assert health.doubt_for == health.overdue_for == health.behind_for == timedelta(0)
    issued(world)
    assert service.health() == attrs.evolve(well, at=world.clock(), latest=world.clock())


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_answer_is_a_doubt_until_it_is_found(kind: Kind) -> None:
    """From a minute after its claim a refund counts as in doubt, since that claim, until a look shows it."""
    world = World(kind)
    service = world.service(journal=world.store)
    began = world.clock()
    issued(world, Fault.ANSWER_LOST)
    assert service.health().in_doubt == 0, "a send that may still be under way"
    world.clock.advance(3 * HOUR)
    issued(world, Fault.ANSWER_LOST)
    world.clock.advance(2 * MINUTE)
    health = service.health()
    assert (health.in_doubt, health.doubt_since) == (2, began)
    assert health.doubt_for == 3 * HOUR + 2 * MINUTE
    assert (health.due, health.overdue_for) == (2, 3 * HOUR)
    service.recover()
    after = service.health()
    assert (after.in_doubt, after.doubt_since, after.due, after.due_since) == (0, None, 0, None)
    assert after.recovered == RecoveryNote(at=world.clock(), looked=2, failed=0)


def test_who_waits_is_counted_over_all_tenants_until_answered() -> None:
    """A refund that failed waits for a person and is counted until one has answered."""
    world = World()
    service = world.service(journal=world.store)
    ref = issued(world, course=Course.succeeds_then_fails("declined"))
    world.clock.advance(10 * DAY)
    service.reconcile(ref)
    assert service.health().waiting == 1
    said = service.attention(by=MARIA)
    assert not isinstance(said, Refused)
    (waiting,) = said
    for item in waiting.items:
        service.settle(ref, subject=item.subject, code=item.code, choice=Choice.NOTED, by=MARIA)
    assert service.health().waiting == 0


@pytest.mark.parametrize("kind", KINDS)
def test_runs_of_recovery_are_noted_with_what_broke(kind: Kind) -> None:
    """Each run leaves how it went, over whichever worker; what broke is counted and not named."""
    world = World(kind)
    issued(world, Fault.ANSWER_LOST)
    world.clock.advance(HOUR)

    class Broken(MemoryJournal):
        def load(self, ref: Ref, /, after: int = 0) -> Loaded:
            raise JournalUnavailable("gone")

    broken = Broken(world.clock)
    broken._events, broken._heads = world.store._events, world.store._heads
    world.service(journal=broken).recover()
    assert broken.figures(timedelta(0)).recovered == RecoveryNote(at=world.clock(), looked=0, failed=1)
    world.service(journal=world.store).recover()
    noted = world.service(journal=world.store).health().recovered
    assert noted == RecoveryNote(at=world.clock(), looked=1, failed=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_journal_that_cannot_note_a_run_loses_nothing_else(kind: Kind) -> None:
    """Recovery has sent by then: it tells what it did, whether the journal broke or keeps no figures at all."""

    class Forgetful(MemoryJournal):
        def note_recovery(self, looked: int, failed: int, /) -> None:
            raise JournalUnavailable("the disk is full")

    world = World(kind)
    world.store = Forgetful(world.clock)
    issued(world, Fault.ANSWER_LOST)
    world.clock.advance(HOUR)
    assert world.service(journal=world.store).recover() == Recovery(looked=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_journal_without_figures_recovers_and_says_what_it_lacks(kind: Kind) -> None:
    """A journal with the port's own methods alone is served; asked for health, the error says what it lacks."""
    world = World(kind)
    assert world.refunds.recover() == Recovery(looked=0)
    with pytest.raises(TypeError, match="keeps no figures"):
        world.refunds.health()


@pytest.mark.parametrize("kind", KINDS)
def test_heads_of_older_workers_are_counted_by_their_events(kind: Kind) -> None:
    """A stream whose head does not tell of doubts is read; unreadable, or beyond the limit, it is uncounted."""
    world = World(kind)
    world.store = OlderWorkers(world.clock)
    began = world.clock()
    doubtful = issued(world, Fault.ANSWER_LOST)
    world.clock.advance(DAY)
    second = issued(world, Fault.ANSWER_LOST)
    issued(world)
    service = world.service(journal=world.store)
    health = service.health()
    assert (health.in_doubt, health.doubt_since, health.uncounted) == (1, began, 0), "the second is a minute young"
    world.store.unreadable = (str(doubtful),)
    health = service.health()
    assert (health.in_doubt, health.doubt_since, health.uncounted) == (0, None, 1)
    world.clock.advance(MINUTE)
    health = service.health()
    assert (health.in_doubt, health.doubt_since) == (1, began + DAY), (
        "read though one before it was not; a minute old"
    )
    world.store.unreadable = (str(doubtful), str(second))
    assert service.health().uncounted == 2
    issued(world)
    assert service.health().uncounted == 3


def test_a_clock_that_jumped_back_makes_no_negative_age() -> None:
    """What began after now is no time old."""
    at = World().clock()
    health = Health(at=at, in_doubt=1, due=1, waiting=0, doubt_since=at + HOUR, due_since=at + HOUR)
    assert (health.doubt_for, health.overdue_for) == (timedelta(0), timedelta(0))
