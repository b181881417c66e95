"""The journal laws of what an operator asks for; `check_journal` tries them on an `OperatedJournal`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, cast

import attrs

from refund_domain.commands import Actor
from refund_domain.errors import JournalBusy
from refund_domain.events import Event, OutsideRecorded, StreamOpened
from refund_domain.money import Money
from refund_domain.operations.erasure import erased
from refund_domain.operations.health import RecoveryNote
from refund_domain.payments import OutsideRef, PaymentRef, Ref
from refund_domain.ports import Head, OperatedJournal, RefundJournal, Tailed
from refund_domain.testing.laws import broken, must, race
from refund_domain.testing.laws_desk import HOUR, IDLE, REF, Desk, news
from refund_domain.testing.laws_samples import sample_events

_APPENDS: Final = 20
_ERASURES: Final = 3
_MOST_APPENDS: Final = 500
_NONE: Final = timedelta(0)


def operated(desk: Desk) -> OperatedJournal:
    """The journal on trial with what operators ask of it. Raises LookupError for one that has nothing of it."""
    if not is_operated(desk.journal):
        raise LookupError("this law needs an OperatedJournal")
    return cast(OperatedJournal, desk.journal)


def is_operated(journal: RefundJournal) -> bool:
    """Whether this journal offers what operators ask for."""
    return hasattr(journal, "figures")


def figures_count(desk: Desk) -> None:
    """`figures` counts over all tenants what is due, waits, and is in doubt for long, and dates the oldest."""
    journal = operated(desk)
    nothing = journal.figures(_NONE)
    must((nothing.in_doubt, nothing.due, nothing.waiting) == (0, 0, 0), f"{nothing} in an empty journal")
    must(nothing.doubt_since is None is nothing.due_since, f"{nothing} in an empty journal")
    now = desk.now()
    heads = (
        Head(tenant="acme", look_at=now - 3 * HOUR, waiting=True, doubt_since=now - 5 * HOUR),
        Head(tenant="acme", look_at=now + 100 * HOUR, waiting=False, doubt_since=now - HOUR),
        Head(tenant="other", look_at=now - HOUR, waiting=True),
        Head(tenant="other", look_at=None, waiting=True),
        IDLE,
    )
    for number, head in enumerate(heads):
        ref = PaymentRef("platform", f"ch_{number}")
        desk.append(ref, StreamOpened(at=now, tenant=head.tenant), expected=0, head=head)
    wanted = ((_NONE, 2, 5), (2 * HOUR, 1, 5), (50 * HOUR, 0, None))
    for young, in_doubt, hours in wanted:
        found = journal.figures(young)
        since = None if hours is None else now - hours * HOUR
        must((found.in_doubt, found.doubt_since) == (in_doubt, since), f"{found} of doubts older than {young}")
        must((found.due, found.due_since) == (2, now - 3 * HOUR), f"{found} of looks due")
        must(found.waiting == 3, f"{found} of streams that wait")
        must(found.at >= now, f"figures of {found.at} after {now}")
        must(found.latest is not None and found.latest >= now, f"{found} after an event of {now}")
        must(found.undated == () and found.more_undated == 0, f"{found} of heads that all tell of doubts")


def figures_follow_heads(desk: Desk) -> None:
    """Each append's head replaces what the last one's counted: a doubt that began, grew older or ended."""
    journal, at = operated(desk), desk.now()
    for version, hours in enumerate((1, 3, None, 2)):
        since = None if hours is None else at - hours * HOUR
        head = attrs.evolve(IDLE, look_at=at + HOUR, doubt_since=since)
        desk.append(REF, news(at, version)[0], expected=version, head=head)
        found = journal.figures(_NONE)
        must((found.in_doubt, found.doubt_since) == (int(hours is not None), since), f"{found} after {head}")


def recovery_is_noted(desk: Desk) -> None:
    """The latest run of recovery that was noted is told with the journal's time, and none before the first."""
    journal = operated(desk)
    must(journal.figures(_NONE).recovered is None, "a run of recovery in an empty journal")
    for looked, failed in ((7, 2), (0, 0)):
        before = desk.now()
        journal.note_recovery(looked, failed)
        found, after = journal.figures(_NONE).recovered, desk.now()
        must(found is not None, "no run of recovery after one was noted")
        at = cast(RecoveryNote, found).at
        must(found == RecoveryNote(at=at, looked=looked, failed=failed), f"{found} after {looked} and {failed}")
        must(before <= at <= after, f"a run at {at}, noted between {before} and {after}")
        must(not journal.in_transaction, "an open transaction after a run of recovery was noted")


# --- a tenant's history, and names out of it ---------------------------------------------------------------


def _told(desk: Desk, tenant: str, limit: int = 1_000) -> list[Tailed]:
    """All of a tenant's history, by `limit`."""
    told: list[Tailed] = []
    after = ""
    while page := operated(desk).history(tenant, after, limit):
        must(len(page) <= limit, f"{len(page)} events with a limit of {limit}")
        told.extend(page)
        after = page[-1].position
        must(len(told) < 10_000, "no end")
    return told


def _acted(at: datetime, number: int, by: str = "maria", tenant: str = "acme") -> OutsideRecorded:
    """Somebody recorded something, and wrote a name beside it."""
    how = f"cash, handed to Carl by {by}"
    actor = Actor(id=by, tenant=tenant)
    return OutsideRecorded(at=at, record_id=f"o{number}", amount=Money.parse("1", "USD"), how=how, by=actor)


def _gone(each: Tailed, name: str = "erased:1") -> Tailed:
    """The same place with names and notes gone."""
    return attrs.evolve(each, event=erased(each.event, lambda actor: name, everything=True))


def _places(told: Iterable[Tailed]) -> list[tuple[str, str, int]]:
    return [(each.position, each.stream, each.version) for each in told]


def history_tells_a_tenant(desk: Desk) -> None:
    """`history` gives each event of the tenant's streams once, by stream and version, with any limit; no other."""
    at = desk.now()
    cash = OutsideRef(id="cash-1", method="cash", amount=Money.parse("40.00", "USD"))
    refs: tuple[Ref, ...] = (REF, PaymentRef("platform", "CH_1"), PaymentRef("acct_1", "ch_1"), cash)
    wanted: list[tuple[str, int, Event]] = []
    for number, ref in enumerate(refs):
        events = (StreamOpened(at=at, tenant="acme"), *news(at, number, 2 + number))
        desk.append(ref, *events, expected=0)
        wanted += [(str(ref), version, event) for version, event in enumerate(events, 1)]
    wanted.sort(key=lambda each: each[:2])
    for tenant in ("Acme", "acm"):
        ref = PaymentRef("platform", f"ch_{tenant}")
        desk.append(ref, StreamOpened(at=at, tenant=tenant), expected=0, head=attrs.evolve(IDLE, tenant=tenant))
    for limit in (1, 3, 1_000):
        found = [(each.stream, each.version, each.event) for each in _told(desk, "acme", limit)]
        must(found == wanted, f"{[each[:2] for each in found]} with a limit of {limit}")
    must([each.stream for each in _told(desk, "Acme")] == ["platform/ch_Acme"], "another's beside a tenant's own")
    must(_told(desk, "acm%") == [], "something for a tenant that does not exist")


def erasing_keeps_all_else(desk: Desk) -> None:
    """What was erased is read in its old place without the names; versions, positions and heads stay."""
    journal, at = operated(desk), desk.now()
    head = Head(tenant="acme", look_at=at - HOUR, waiting=True, doubt_since=at - HOUR)
    events = sample_events(at)
    desk.append(REF, *events, expected=0, head=head)
    desk.append(PaymentRef("platform", "ch_2"), *events, expected=0)
    before, tailed = _told(desk, "acme"), journal.tail("", 1_000)
    mine = [each for each in before if each.stream == str(REF)]
    journal.erase("acme", [_gone(each) for each in mine])
    must(not journal.in_transaction, "an open transaction after an erasure")
    desk.must_hold(REF, [_gone(each).event for each in mine])
    desk.must_hold(PaymentRef("platform", "ch_2"), events)
    after = _told(desk, "acme")
    must(_places(after) == _places(before), "other positions in the history")
    must(_places(journal.tail("", 1_000)) == _places(tailed), "other positions in the tail")
    must(journal.due(10) == (REF,) == journal.waiting("acme", 10), "another head")
    must(journal.figures(_NONE).doubt_since == at - HOUR, "another head")
    journal.erase("acme", [_gone(each) for each in mine])
    desk.append(REF, *news(at, 9, 1), expected=len(events), head=head)
    must(journal.load(REF, len(events)).events == news(at, 9, 1), "an append at the old version did not stand")


def only_erasing(desk: Desk) -> None:
    """Refused whole is what changes more than names, names somebody, is another tenant's, or stands nowhere."""
    journal, at = operated(desk), desk.now()
    events = (_acted(at, 1), _acted(at, 2, by="ben"))
    desk.append(REF, *events, expected=0)
    other = PaymentRef("platform", "ch_2")
    desk.append(other, _acted(at, 3, tenant="other"), expected=0, head=attrs.evolve(IDLE, tenant="other"))
    first, second = _told(desk, "acme")
    (theirs,) = _told(desk, "other")
    dearer = attrs.evolve(_acted(at, 2, by="erased:1"), amount=Money.parse("2", "USD"))
    refused = (
        attrs.evolve(second, event=dearer),
        attrs.evolve(second, event=attrs.evolve(_acted(at, 2, by="ben"), at=at - HOUR)),
        attrs.evolve(second, event=_acted(at, 2, by="carla")),
        attrs.evolve(second, event=attrs.evolve(_acted(at, 2, by="ben"), how="cheque")),
        attrs.evolve(second, event=news(at, 1, 1)[0]),
        _gone(theirs),
        attrs.evolve(_gone(second), version=3),
        attrs.evolve(_gone(second), stream="platform/ch_3"),
    )
    for each in refused:
        try:
            journal.erase("acme", [_gone(first), each])
        except ValueError:
            pass
        else:
            broken(f"{each.event!r} in place of version {each.version} of {each.stream}")
        desk.must_hold(REF, events)
    desk.must_hold(other, [theirs.event])


def erasure_is_resumed(desk: Desk) -> None:
    """The key of an erasure stays until that is ended by it; another scope waits, the empty one takes over."""
    journal = operated(desk)
    must(journal.begin_erasure("acme", "maria", "k1") == "k1", "another key than the first")
    must(journal.begin_erasure("acme", "maria", "k2") == "k1", "another key when resumed")
    must(journal.begin_erasure("other", "maria", "k3") == "k3", "another tenant's key")
    must(_is_busy(journal, "ben"), "another scope beside an erasure that was not ended")
    must(journal.begin_erasure("acme", "", "k4") == "k1", "another key when everybody's took over")
    must(_is_busy(journal, "maria"), "a scope that was taken over")
    journal.end_erasure("acme", "k2")
    must(journal.begin_erasure("acme", "", "k4") == "k1", "an erasure ended by another one's key")
    journal.end_erasure("acme", "k1")
    must(journal.begin_erasure("acme", "ben", "k5") == "k5", "a key that was not forgotten")
    must(journal.begin_erasure("other", "maria", "k6") == "k3", "another tenant's key forgotten")
    journal.end_erasure("acme", "k1")
    must(journal.begin_erasure("acme", "ben", "k7") == "k5", "an erasure ended by that of before, which was late")
    journal.end_erasure("nobody", "k1")


def _is_busy(journal: OperatedJournal, scope: str) -> bool:
    try:
        journal.begin_erasure("acme", scope, "k")
    except JournalBusy:
        return True
    return False


def erasing_beside_appends(desk: Desk) -> None:
    """While others append to the stream, an erasure loses none of their events, nor makes them lose a version."""
    journal, at = operated(desk), desk.now()
    desk.append(REF, _acted(at, 0), expected=0)
    over = threading.Event()
    written, cleaned = 1, 0

    def write() -> None:
        # By its own count, so that what is lost is missed; and on until erasures have run beside it.
        nonlocal written
        try:
            while written < _APPENDS or (cleaned < _ERASURES and written < _MOST_APPENDS):
                with suppress(JournalBusy):
                    journal.append(REF, (_acted(at, written),), expected=written, head=IDLE)
                    written += 1
                time.sleep(0.0005)
        finally:
            over.set()

    def clean() -> None:
        nonlocal cleaned
        while not over.is_set():
            with suppress(JournalBusy):
                journal.erase("acme", [_gone(each) for each in _told(desk, "acme")])
                cleaned += 1
            time.sleep(0.001)  # a writer that waits for a lock may otherwise never get it

    for result in race([write, clean]):
        must(result is None, f"{type(result).__name__} was raised")
    journal.erase("acme", [_gone(each) for each in _told(desk, "acme")])
    wanted = [erased(_acted(at, number), lambda actor: "erased:1") for number in range(written)]
    desk.must_hold(REF, wanted)


RECORD_LAWS: Final[tuple[Callable[[Desk], None], ...]] = (
    figures_count,
    figures_follow_heads,
    recovery_is_noted,
    history_tells_a_tenant,
    erasing_keeps_all_else,
    only_erasing,
    erasure_is_resumed,
    erasing_beside_appends,
)
