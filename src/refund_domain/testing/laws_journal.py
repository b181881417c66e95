"""The laws of the journal port, for every journal, ours or a host's: `check_journal`.

Each law is one function with what it demands in its docstring. Times are taken from the journal itself, so a
journal with any clock that does not run back can be tried.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Final, TypeVar, overload

import attrs

from refund_domain.commands import Actor
from refund_domain.errors import JournalConflict, UnknownEvent
from refund_domain.events import Event, LookScheduled, OutsideRecorded, Paused, Resumed, StreamOpened
from refund_domain.money import Money
from refund_domain.payments import Control, ControlRef, OutsideRef, PaymentRef, Ref
from refund_domain.ports import Head, RefundJournal
from refund_domain.testing.laws import Report, broken, checked_names, entered, hold_to, must, name_of, race
from refund_domain.testing.laws_desk import HOUR, IDLE, REF, Desk, news
from refund_domain.testing.laws_records import RECORD_LAWS, is_operated
from refund_domain.testing.laws_samples import sample_events
from refund_domain.testing.laws_within import HOST_LAWS, TAIL_LAWS

J = TypeVar("J", bound=RefundJournal)

RACERS: Final = 8
BATCHES: Final = 30

# --- the laws: one stream ---------------------------------------------------------------------------------


def empty_stream(desk: Desk) -> None:
    """A stream nobody wrote to is empty, at version 0, and nothing is due or waiting."""
    desk.must_hold(REF, ())
    desk.must_hold(OutsideRef(id="cash-1", method="cash", amount=Money.parse("1", "USD")), ())
    must(desk.journal.due(10) == (), "something due")
    must(desk.journal.waiting("acme", 10) == (), "something waiting")
    must(not desk.journal.in_transaction, "an open transaction")
    must(type(desk.journal.durable) is bool, f"durable is {desk.journal.durable!r}")


def events_come_back(desk: Desk) -> None:
    """Every class of event, appended at once, is loaded again equal and in order."""
    events = sample_events(desk.now())
    desk.append(REF, *events, expected=0)
    desk.must_hold(REF, events)


def versions_count(desk: Desk) -> None:
    """Appends of one and of several events count versions without gaps; `after` gives just what came behind it."""
    at = desk.now()
    batches = (news(at, 1, 1), news(at, 2, 3), news(at, 3, 1), news(at, 4, 12))
    held: tuple[Event, ...] = ()
    for batch in batches:
        desk.append(REF, *batch, expected=len(held))
        held = (*held, *batch)
    desk.must_hold(REF, held)
    for after in range(len(held) + 1):
        loaded = desk.journal.load(REF, after)
        must(loaded.events == held[after:], f"{len(loaded.events)} events after {after} of {len(held)}")
        must(loaded.version == len(held), f"version {loaded.version} of {len(held)} when loaded after {after}")


def wrong_version(desk: Desk) -> None:
    """An append that expects any version but the stream's own is a JournalConflict."""
    at = desk.now()
    must(_conflicts(desk, at, 1), "an append to an empty stream as if it were at version 1")
    desk.append(REF, *news(at, 1), expected=0)
    for expected in (0, 1, 2, 4, 100):
        must(_conflicts(desk, at, expected), f"an append to a stream at version 3 as if it were at {expected}")
    desk.append(REF, *news(at, 2), expected=3)
    must(desk.journal.load(REF).version == 6, "an append at the right version after conflicts did not count")


def _conflicts(desk: Desk, at: datetime, expected: int) -> bool:
    try:
        desk.append(REF, *news(at, 9), expected=expected)
    except JournalConflict:
        return True
    return False


def conflict_adds_nothing(desk: Desk) -> None:
    """After a conflict the events and the head are as before it, and no transaction is left open."""
    at = desk.now()
    events = news(at, 1)
    desk.append(REF, *events, expected=0, head=Head(tenant="acme", look_at=at - HOUR, waiting=False))
    other = Head(tenant="other", look_at=None, waiting=True)
    with suppress(JournalConflict):
        desk.journal.append(REF, news(at, 2), expected=0, head=other)
    must(not desk.journal.in_transaction, "an open transaction after a conflict")
    desk.must_hold(REF, events)
    must(desk.journal.due(10) == (REF,), "the head replaced by a conflict: the look is due no more")
    must(desk.journal.waiting("other", 10) == (), "the head replaced by a conflict: somebody waits")


class _Breaking(Sequence[Event]):
    """Events that cannot all be read: whatever an append does with them, it breaks in the middle."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events

    def __len__(self) -> int:
        return len(self._events)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | Sequence[Event]:
        if index == 0:
            return self._events[0]
        raise OSError("the second event cannot be read")


def broken_append(desk: Desk) -> None:
    """An append that breaks in the middle raises, adds nothing, and the next one works."""
    at = desk.now()
    events = news(at, 1)
    head = Head(tenant="acme", look_at=at - HOUR, waiting=True)
    try:
        desk.journal.append(REF, _Breaking(events), expected=0, head=head)
    except Exception:
        broke = True
    else:
        broke = False
    must(broke, "an append that returned although an event could not be read")
    must(not desk.journal.in_transaction, "an open transaction after an append that broke")
    desk.must_hold(REF, ())
    must(desk.journal.due(10) == () == desk.journal.waiting("acme", 10), "a head without its events")
    desk.append(REF, *events, expected=0)
    desk.must_hold(REF, events)


def streams_apart(desk: Desk) -> None:
    """Each ref is a stream of its own: by account, by charge, by the case of a letter, inside, outside, beside."""
    refs: tuple[Ref, ...] = (
        REF,
        PaymentRef("platform", "ch_2"),
        PaymentRef("platform", "CH_1"),
        PaymentRef("acct_1", "ch_1"),
        OutsideRef(id="ch_1", method="cash", amount=Money.parse("1", "USD")),
        *(ControlRef(kind=kind, name="acct_1") for kind in Control),
        ControlRef(kind=Control.TENANT, name="Söhne & Co. / ~ch_1"),
    )
    at = desk.now()
    for number, ref in enumerate(refs, 1):
        desk.append(ref, *news(at, number, number), expected=0)
    for number, ref in enumerate(refs, 1):
        desk.must_hold(ref, news(at, number, number))


def outside_refs(desk: Desk) -> None:
    """Money taken outside has a stream like any other, found by its id, and is never due."""
    cash = OutsideRef(id="cash-7", method="cash", amount=Money.parse("40.00", "USD"))
    at, by = desk.now(), Actor(id="maria", tenant="acme")
    record = OutsideRecorded(at=at, record_id="o1", amount=cash.amount, how="cash in hand", by=by)
    events = (StreamOpened(at=at, tenant="acme"), record)
    desk.append(cash, *events, expected=0)
    desk.must_hold(cash, events)
    desk.must_hold(attrs.evolve(cash, method="check"), events)
    must(desk.journal.due(10) == () == desk.journal.waiting("acme", 10), "money taken outside due or waiting")


def control_refs(desk: Desk) -> None:
    """A switch and an allowance have streams like any other, and are never due or waiting."""
    at, by = desk.now(), Actor(id="maria", tenant="acme")
    for kind in Control:
        ref = ControlRef(kind=kind, name="acct_1")
        paused = Paused(at=at, by=by, why="an audit")
        desk.append(ref, paused, expected=0, head=Head(tenant="acme", look_at=None, waiting=False))
        must(_conflicts_at(desk, ref, Resumed(at=at, by=by)), "two first flips of one switch")
        desk.must_hold(ref, (paused,))
    must(desk.journal.due(10) == () == desk.journal.waiting("acme", 10), "a switch or an allowance due or waiting")


def _conflicts_at(desk: Desk, ref: Ref, event: Event) -> bool:
    try:
        desk.append(ref, event, expected=0)
    except JournalConflict:
        return True
    return False


# --- the laws: time and heads -----------------------------------------------------------------------------


def time_is_told(desk: Desk) -> None:
    """`now` is aware and not before any earlier one; `latest` is never before a `now` given or an event held."""
    first = desk.journal.load(REF)
    must(first.now.tzinfo is not None and first.latest.tzinfo is not None, "a naive time")
    ahead = first.now + HOUR
    returned = desk.append(REF, StreamOpened(at=ahead, tenant="acme"), expected=0)
    must(returned.tzinfo is not None and returned >= first.now, f"{returned} returned after {first.now}")
    for ref in (REF, PaymentRef("platform", "ch_2")):
        loaded = desk.journal.load(ref)
        must(loaded.now >= returned, f"now {loaded.now} after {returned}")
        must(loaded.latest >= max(ahead, loaded.now), f"latest {loaded.latest} with an event at {ahead} held")


def due_in_order(desk: Desk) -> None:
    """`due` names the streams whose look has come, the longest due first, at most `limit`."""
    now = desk.now()
    ages = {"ch_3": 3, "ch_1": 1, "ch_5": 5, "ch_2": 2, "ch_4": 4}
    for charge, hours in ages.items():
        desk.opened(PaymentRef("platform", charge), look_at=now - hours * HOUR)
    desk.opened(PaymentRef("platform", "ch_later"), look_at=now + 100 * HOUR)
    desk.opened(PaymentRef("platform", "ch_never"))
    elsewhere = timezone(timedelta(hours=9))
    desk.opened(PaymentRef("acct_1", "ch_6"), look_at=(now - 6 * HOUR).astimezone(elsewhere))
    wanted = ["acct_1/ch_6", *(f"platform/ch_{hours}" for hours in (5, 4, 3, 2, 1))]
    for limit in (100, 6, 4, 1):
        named = [str(ref) for ref in desk.journal.due(limit)]
        must(named == wanted[:limit], f"{named} with a limit of {limit}")


def head_is_replaced(desk: Desk) -> None:
    """Each append replaces the stream's head: its look, its tenant, whether somebody waits; no other stream's."""
    at = desk.now()
    other = PaymentRef("platform", "ch_2")
    desk.opened(other, look_at=at - 2 * HOUR, waiting=True)
    desk.opened(REF, look_at=at - HOUR, waiting=True)
    must(desk.journal.due(10) == (other, REF), f"due {desk.journal.due(10)}")
    steps = (
        (Head(tenant="acme", look_at=at - 3 * HOUR, waiting=False), (REF, other), (other,)),
        (Head(tenant="acme", look_at=None, waiting=True), (other,), (REF, other)),
        (Head(tenant="acme", look_at=at - HOUR, waiting=False), (other, REF), (other,)),
        (Head(tenant="acme", look_at=at + 100 * HOUR, waiting=False), (other,), (other,)),
    )
    for version, (head, due, waiting) in enumerate(steps, 1):
        desk.append(REF, LookScheduled(at=at, due=head.look_at), expected=version, head=head)
        must(desk.journal.due(10) == due, f"due {desk.journal.due(10)} after {head}")
        named = sorted(desk.journal.waiting("acme", 10), key=str)
        must(named == sorted(waiting, key=str), f"waiting {named} after {head}")


def waiting_by_tenant(desk: Desk) -> None:
    """`waiting` names the tenant's own streams that wait for a person, at most `limit`, and nobody else's."""
    refs = [PaymentRef("platform", f"ch_{number}") for number in range(6)]
    for number, ref in enumerate(refs):
        desk.opened(ref, tenant="acme" if number < 4 else "Acme", waiting=number != 3)
    mine, theirs = desk.journal.waiting("acme", 10), desk.journal.waiting("Acme", 10)
    must(sorted(map(str, mine)) == list(map(str, refs[:3])), f"{mine} for one tenant")
    must(sorted(map(str, theirs)) == list(map(str, refs[4:])), f"{theirs} for the other")
    must(desk.journal.waiting("acm%", 10) == (), "something for a tenant that does not exist")
    few = desk.journal.waiting("acme", 2)
    must(len(few) == 2 and set(few) <= set(mine), f"{few} with a limit of 2")


# --- the laws: many at once -------------------------------------------------------------------------------


def one_winner(desk: Desk) -> None:
    """Of threads that append to one version at once exactly one does; each of the others has a JournalConflict."""
    at = desk.now()
    held: tuple[Event, ...] = ()
    for round_number in range(5):
        batches = [news(at, RACERS * round_number + racer, 2) for racer in range(RACERS)]
        tasks = [partial(desk.journal.append, REF, batch, expected=len(held), head=IDLE) for batch in batches]
        held = (*held, *_won(race(tasks), batches))
        desk.must_hold(REF, held)


def _won(results: Sequence[datetime | Exception], batches: Sequence[tuple[Event, ...]]) -> tuple[Event, ...]:
    """The batch of the one that won; the law is broken unless it is one."""
    won = [batch for result, batch in zip(results, batches, strict=True) if isinstance(result, datetime)]
    odd = {type(result).__name__ for result in results if not isinstance(result, (datetime, JournalConflict))}
    must(not odd, f"{sorted(odd)} raised instead of JournalConflict")
    must(len(won) == 1, f"{len(won)} appends to one version")
    return won[0]


def whole_appends(desk: Desk) -> None:
    """Who reads while another appends sees each append whole or not at all, and a version that counts it."""
    at = desk.now()
    seen: set[tuple[int, int]] = set()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            loaded = desk.journal.load(REF)
            seen.add((len(loaded.events), loaded.version))

    def write() -> None:
        try:
            for number in range(BATCHES):
                desk.journal.append(REF, news(at, number), expected=3 * number, head=IDLE)
        finally:
            over.set()

    results = race([write, read])
    for result in results:
        must(result is None, f"{type(result).__name__} was raised")
    halves = [f"{count} events at version {version}" for count, version in seen if count != version or version % 3]
    must(not halves, f"{halves[:1]} with appends of 3")


# --- the laws: what only some makers can stage ------------------------------------------------------------


def reopened(desk: Desk) -> None:
    """Opened again, the journal has every event, every head, and times that know of them."""
    at = desk.now()
    events = sample_events(at)
    desk.append(REF, *events, expected=0, head=Head(tenant="acme", look_at=at - HOUR, waiting=True))
    other = _again(desk)
    desk.must_hold(REF, events, other)
    must(other.due(10) == (REF,) == other.waiting("acme", 10), "a head that did not survive")
    latest, newest = other.load(REF).latest, max(event.at for event in events)
    must(latest >= newest, f"latest {latest} with an event at {newest} held")


def handles_race(desk: Desk) -> None:
    """Two handles on one journal are one journal: one wins a version, and each reads what the other wrote."""
    at = desk.now()
    other = _again(desk)
    desk.must_hold(REF, (), other)
    held: tuple[Event, ...] = ()
    for round_number in range(5):
        batches = [news(at, 2 * round_number + racer) for racer in range(2)]
        journals = (desk.journal, other)
        tasks = [
            partial(journal.append, REF, batch, expected=len(held), head=IDLE)
            for journal, batch in zip(journals, batches, strict=True)
        ]
        held = (*held, *_won(race(tasks), batches))
        for journal in journals:
            desk.must_hold(REF, held, journal)


def _again(desk: Desk) -> RefundJournal:
    if desk.again is None:
        raise LookupError("this law needs a maker that can open its journal again")
    return desk.again()


def unknown_event(desk: Desk) -> None:
    """A stream with an event this version does not know raises UnknownEvent; other streams are read as ever."""
    if desk.plant_unknown is None:
        raise LookupError("this law needs a maker that can plant an unknown event")
    at = desk.now()
    other, events = PaymentRef("platform", "ch_2"), news(at, 1)
    desk.append(REF, *events, expected=0)
    desk.append(other, *events, expected=0)
    desk.plant_unknown(REF)
    with suppress(UnknownEvent):
        broken(repr(desk.journal.load(REF)))
    desk.must_hold(other, events)


_OF_ANY: Final = (
    empty_stream,
    events_come_back,
    versions_count,
    wrong_version,
    conflict_adds_nothing,
    broken_append,
    streams_apart,
    outside_refs,
    control_refs,
    time_is_told,
    due_in_order,
    head_is_replaced,
    waiting_by_tenant,
    one_winner,
    whole_appends,
    *TAIL_LAWS,
)
_OF_AGAIN: Final = (reopened, handles_race)

LAWS: Final[tuple[Callable[[Desk], None], ...]] = (*_OF_ANY, *RECORD_LAWS, *_OF_AGAIN, *HOST_LAWS, unknown_event)
"""Every law of the journal port, in the order in which they are tried."""


def check_journal(
    make: Callable[[], J | AbstractContextManager[J]],
    *,
    again: Callable[[J], J] | None = None,
    plant_unknown: Callable[[J, Ref], None] | None = None,
    host: Callable[[J], AbstractContextManager[object]] | None = None,
    only: Collection[str] = (),
) -> Report:
    """Hold a journal to the laws of its port: each on a fresh, empty journal.

    `make()` gives the journal, or a context manager that yields it. `again(journal)` opens the same journal once
    more, as another process would, while the first is still open; `plant_unknown(journal, ref)` puts an event of
    a newer version at the end of that stream, behind the port's back. `host(journal)` is a context manager that
    yields a connection for `within`, with a transaction open on the journal's database: left, it commits, left by
    an exception, it rolls back. Without them the laws that need them are reported as lacking, as are those of an
    `OperatedJournal` where the journal is none. `only`: try just these laws, to mend one at a time.

    Raises `LawBroken`, which names the law and what was seen; ValueError for a name that is no law's.

    >>> from refund_adapters.memory import MemoryJournal
    >>> print(check_journal(MemoryJournal, again=lambda journal: journal))
    27 laws held, 5 could not be staged here: committed_with_host, ...
    """
    chosen = checked_names(only, LAWS, "only")
    held, lacking = [], []
    for law in LAWS:
        if chosen and name_of(law) not in chosen:
            continue
        needs = again if law in _OF_AGAIN else host if law in HOST_LAWS else plant_unknown
        if law not in (*_OF_ANY, *RECORD_LAWS) and needs is None:
            lacking.append(name_of(law))
            continue
        with ExitStack() as stack:
            journal = entered(stack, make())
            if law in RECORD_LAWS and not is_operated(journal):
                lacking.append(name_of(law))
                continue
            opens_again = None if again is None else partial(again, journal)
            plants = None if plant_unknown is None else partial(plant_unknown, journal)
            hosts = None if host is None else partial(host, journal)
            hold_to(law, Desk(journal, opens_again, plants, hosts))
            held.append(name_of(law))
    return Report(held=tuple(held), lacking=tuple(lacking))
