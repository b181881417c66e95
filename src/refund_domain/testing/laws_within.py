"""The journal laws of reading along and of a host's own transaction; `laws_journal.check_journal` tries them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Final, cast

from refund_domain.errors import JournalBusy, JournalConflict
from refund_domain.events import Event
from refund_domain.payments import PaymentRef
from refund_domain.ports import Head, JoiningJournal, RefundJournal, Tailed
from refund_domain.testing.laws import must, race
from refund_domain.testing.laws_desk import HOUR, IDLE, REF, Desk, news

TAIL_TIMEOUT_S: Final = 10.0
"""How long a tail may hold back what was committed, because others have transactions open."""

_OTHER: Final = PaymentRef("platform", "ch_2")
_WRITERS: Final = 4
_APPENDS: Final = 10


def _told(desk: Desk, count: int, after: str = "", limit: int = 100) -> list[Tailed]:
    """What the tail gives behind `after`, by `limit`, until it gave `count` events or no more for long."""
    told: list[Tailed] = []
    give_up = time.monotonic() + TAIL_TIMEOUT_S
    while len(told) < count and time.monotonic() < give_up:
        more = desk.journal.tail(after, limit)
        must(len(more) <= limit, f"{len(more)} events with a limit of {limit}")
        told.extend(more)
        after = more[-1].position if more else after
        if not more:
            time.sleep(0.01)
    return [*told, *desk.journal.tail(after, limit)]


def _must_tell(told: Iterable[Tailed], streams: dict[str, tuple[Event, ...]]) -> None:
    """Each event of these streams is told once, each stream's in their order."""
    seen: dict[str, list[tuple[int, Event]]] = {stream: [] for stream in streams}
    for each in told:
        seen.setdefault(each.stream, []).append((each.version, each.event))
    for stream, found in seen.items():
        wanted = list(enumerate(streams.get(stream, ()), 1))
        must(found == wanted, f"versions {[version for version, _ in found]} of {len(wanted)} events in {stream}")


def tail_tells_all(desk: Desk) -> None:
    """`tail` gives every event once, each stream's in their order, behind any position and with any limit."""
    at = desk.now()
    must(desk.journal.tail("", 10) == (), "something before anything was appended")
    refs = (REF, PaymentRef("acct_1", "ch_1"), _OTHER)
    streams: dict[str, tuple[Event, ...]] = {}
    for number in range(4):
        for place, ref in enumerate(refs):
            held = streams.get(str(ref), ())
            more = news(at - number * HOUR, 10 * number + place, 1 + place)
            desk.append(ref, *more, expected=len(held))
            streams[str(ref)] = (*held, *more)
    whole = _told(desk, sum(map(len, streams.values())))
    _must_tell(whole, streams)
    must(len({each.position for each in whole}) == len(whole), "one position for two events")
    for limit in (1, 5):
        must(_told(desk, len(whole), limit=limit) == whole, f"something else by {limit} at a time")
    for place, each in enumerate(whole):
        must(_told(desk, 0, each.position) == whole[place + 1 :], f"something else behind event {place + 1}")


def tail_beside_writers(desk: Desk) -> None:
    """Who tails while others append has in the end every event once, each stream's in their order."""
    at = desk.now()
    refs = [PaymentRef("platform", f"ch_{number}") for number in range(_WRITERS)]
    over = threading.Event()

    def write(ref: PaymentRef) -> None:
        for number in range(_APPENDS):
            desk.journal.append(ref, news(at, number, 2), expected=2 * number, head=IDLE)

    def read() -> list[Tailed]:
        told: list[Tailed] = []
        while not over.is_set():
            told.extend(desk.journal.tail(told[-1].position if told else "", 7))
        return told

    def work() -> None:
        try:
            for result in race([partial(write, ref) for ref in refs]):
                must(result is None, f"{type(result).__name__} was raised")
        finally:
            over.set()

    told, done = race([read, work])
    must(done is None, str(done))
    must(isinstance(told, list), f"{type(told).__name__} was raised by the tail")
    events = tuple(event for number in range(_APPENDS) for event in news(at, number, 2))
    streams = {str(ref): events for ref in refs}
    whole = cast("list[Tailed]", told)
    count = sum(map(len, streams.values())) - len(whole)
    _must_tell([*whole, *_told(desk, count, whole[-1].position if whole else "")], streams)


# --- what only a maker with a host's connections can stage --------------------------------------------------


def _host(desk: Desk) -> AbstractContextManager[object]:
    if desk.host is None:
        raise LookupError("this law needs a maker that can open a host's transaction")
    return desk.host()


def _within(desk: Desk, connection: object) -> RefundJournal:
    return cast(JoiningJournal, desk.journal).within(connection)


class _Undone(Exception):
    """Makes a host roll back."""


def committed_with_host(desk: Desk) -> None:
    """What was appended within a host's transaction is there for others when it commits, and not before."""
    at = desk.now()
    first, then = news(at, 1), news(at, 2)
    desk.append(REF, *first, expected=0)
    with _host(desk) as connection:
        journal = _within(desk, connection)
        head = Head(tenant="acme", look_at=at - HOUR, waiting=True)
        must(journal.append(REF, then, expected=3, head=head) >= at, "a time before the transaction")
        desk.must_hold(REF, (*first, *then), journal)
        must(journal.load(REF, 3).events == then, "something else behind version 3 within the transaction")
        desk.must_hold(REF, first)
        must(desk.journal.due(10) == () == desk.journal.waiting("acme", 10), "a head before its commit")
    desk.must_hold(REF, (*first, *then))
    must(desk.journal.due(10) == (REF,) == desk.journal.waiting("acme", 10), "a head that was not committed")


def rolled_back_with_host(desk: Desk) -> None:
    """What was appended within a host's transaction is gone when it rolls back, its head and its place too."""
    at = desk.now()
    first = news(at, 1)
    desk.append(REF, *first, expected=0)
    with suppress(_Undone), _host(desk) as connection:
        journal = _within(desk, connection)
        head = Head(tenant="acme", look_at=at - HOUR, waiting=True)
        journal.append(REF, news(at, 2), expected=3, head=head)
        journal.append(_OTHER, news(at, 2), expected=0, head=head)
        raise _Undone
    desk.must_hold(REF, first)
    desk.must_hold(_OTHER, ())
    must(desk.journal.due(10) == () == desk.journal.waiting("acme", 10), "a head without its events")
    then = news(at, 3)
    desk.append(REF, *then, expected=3)
    _must_tell(_told(desk, 6), {str(REF): (*first, *then)})


def race_within_host(desk: Desk) -> None:
    """Within a host's transaction another version is a JournalConflict, and what else is written there stands."""
    at = desk.now()
    first, then = news(at, 1), news(at, 2)
    desk.append(REF, *first, expected=0)
    with _host(desk) as connection:
        journal = _within(desk, connection)
        for expected in (0, 2, 4):
            try:
                journal.append(REF, news(at, 9), expected=expected, head=IDLE)
            except JournalConflict:
                continue
            must(False, f"an append to a stream at version 3 as if it were at {expected}")
        journal.append(_OTHER, then, expected=0, head=IDLE)
    desk.must_hold(REF, first)
    desk.must_hold(_OTHER, then)


def tail_waits_for_host(desk: Desk) -> None:
    """Nothing that a host's open transaction appended is passed by: it is told once it is committed."""
    at = desk.now()
    lagging, other = news(at, 1), news(at, 2)
    after = ""
    told: list[Tailed] = []
    streams = {str(REF): lagging, str(_OTHER): ()}
    with _host(desk) as connection:
        _within(desk, connection).append(REF, lagging, expected=0, head=IDLE)
        with suppress(JournalBusy):  # where there is one writer at a time
            desk.append(_OTHER, *other, expected=0)
            streams[str(_OTHER)] = other
        told.extend(desk.journal.tail(after, 100))
        must(str(REF) not in {each.stream for each in told}, "what is not committed")
        after = told[-1].position if told else ""
    count = sum(map(len, streams.values())) - len(told)
    _must_tell([*told, *_told(desk, count, after)], streams)


TAIL_LAWS: Final[tuple[Callable[[Desk], None], ...]] = (tail_tells_all, tail_beside_writers)
"""The laws of reading along that any maker can stage."""

HOST_LAWS: Final[tuple[Callable[[Desk], None], ...]] = (
    committed_with_host,
    rolled_back_with_host,
    race_within_host,
    tail_waits_for_host,
)
"""The laws that need a host's transaction."""
