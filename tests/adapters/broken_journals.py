"""Journals that each break the laws of the port in one place, so that no law can pass for want of trying."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import attrs

from refund_domain.errors import JournalBusy, JournalConflict
from refund_domain.events import Event, RefundRequested
from refund_domain.operations.erasure import is_erasure
from refund_domain.operations.health import Figures, RecoveryNote
from refund_domain.payments import ControlRef, OutsideRef, PaymentRef, Ref
from refund_domain.ports import Head, Loaded, RefundJournal, Tailed

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class PlainJournal:
    """A journal as short as can be, right in one thread; each subclass breaks one thing."""

    def __init__(self) -> None:
        self.streams: dict[str, list[Event]] = {}
        self.heads: dict[str, Head] = {}
        self.order: list[tuple[str, int]] = []
        self.busy = False
        self.recovered: RecoveryNote | None = None
        self.erasures: dict[str, tuple[str, str]] = {}

    @property
    def durable(self) -> bool:
        return False

    @property
    def in_transaction(self) -> bool:
        return self.busy

    def name(self, ref: Ref) -> str:
        return str(ref)

    def now(self) -> datetime:
        return START

    def held(self, ref: Ref) -> list[Event]:
        return self.streams.get(self.name(ref), [])

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        events = self.held(ref)
        times = [event.at for stream in self.streams.values() for event in stream]
        latest = max([self.now(), *times])
        return Loaded(events=tuple(events[after:]), version=len(events), now=self.now(), latest=latest)

    def check(self, version: int, expected: int) -> None:
        if version != expected:
            raise JournalConflict("somebody was faster")

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        added = list(events)
        self.check(len(self.held(ref)), expected)
        before = len(self.held(ref))
        self.streams[self.name(ref)] = [*self.held(ref), *added]
        self.order.extend((self.name(ref), before + number) for number in range(1, len(added) + 1))
        self.heads[self.name(ref)] = head
        return self.now()

    def ripe(self) -> list[str]:
        found = [
            (head.look_at, stream)
            for stream, head in self.heads.items()
            if head.look_at is not None and head.look_at <= self.now()
        ]
        return [stream for _, stream in sorted(found)]

    def due(self, limit: int, /) -> tuple[PaymentRef, ...]:
        return tuple(PaymentRef.parse(stream) for stream in self.ripe()[:limit])

    def matches(self, head: Head, tenant: str) -> bool:
        return head.waiting and head.tenant == tenant

    def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]:
        found = sorted(stream for stream, head in self.heads.items() if self.matches(head, tenant))
        return tuple(PaymentRef.parse(stream) for stream in found[:limit])

    def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        first = int(after or 0)
        places = enumerate(self.order[first : first + limit], first + 1)
        return tuple(
            Tailed(position=str(place), stream=name, version=version, event=self.streams[name][version - 1])
            for place, (name, version) in places
        )

    def figures(self, young: timedelta, /) -> Figures:
        heads, now = self.heads.values(), self.now()
        due = [head.look_at for head in heads if head.look_at is not None and head.look_at <= now]
        doubts = [since for since in self.doubts() if since <= now - young]
        return Figures(
            at=now,
            in_doubt=len(doubts),
            doubt_since=min(doubts, default=None),
            due=len(due),
            due_since=min(due, default=None),
            waiting=sum(head.waiting for head in heads),
            recovered=self.recovered,
            latest=max((event.at for events in self.streams.values() for event in events), default=None),
        )

    def doubts(self) -> list[datetime]:
        return [head.doubt_since for head in self.heads.values() if head.doubt_since is not None]

    def note_recovery(self, looked: int, failed: int, /) -> None:
        self.recovered = RecoveryNote(at=self.now(), looked=looked, failed=failed)

    def owns(self, tenant: str, stream: str) -> bool:
        return stream in self.heads and self.heads[stream].tenant == tenant

    def history(self, tenant: str, after: str, limit: int, /) -> tuple[Tailed, ...]:
        version, _, stream = after.partition(" ")
        behind = (stream, int(version or 0))
        found = [
            Tailed(position=f"{number} {name}", stream=name, version=number, event=event)
            for name, events in self.streams.items()
            if self.owns(tenant, name)
            for number, event in enumerate(events, 1)
            if (name, number) > behind
        ]
        return tuple(sorted(found, key=lambda each: (each.stream, each.version))[:limit])

    def allows(self, tenant: str, each: Tailed) -> bool:
        events = self.streams.get(each.stream, [])
        there = self.owns(tenant, each.stream) and each.version <= len(events)
        return there and is_erasure(events[each.version - 1], each.event)

    def erase(self, tenant: str, events: Sequence[Tailed], /) -> None:
        if not all(self.allows(tenant, each) for each in events):
            raise ValueError("that is no erasure of what stands there")
        for each in events:
            self.streams[each.stream][each.version - 1] = each.event

    def begin_erasure(self, tenant: str, scope: str, key: str, /) -> str:
        begun = self.erasures.get(tenant, (scope, key))
        if scope not in ("", begun[0]):
            raise JournalBusy("another erasure was begun")
        self.erasures[tenant] = (scope, begun[1])
        return begun[1]

    def end_erasure(self, tenant: str, key: str, /) -> None:
        if self.erasures.get(tenant, ("", ""))[1] == key:
            del self.erasures[tenant]

    def within(self, connection: object, /) -> RefundJournal:
        assert isinstance(connection, PlainHost)
        return PlainJoined(self, connection)


class PlainHost:
    """A host's transaction as short as can be: what is appended within is put aside until it commits."""

    def __init__(self) -> None:
        self.aside: list[tuple[Ref, Sequence[Event], int, Head]] = []


class PlainJoined(PlainJournal):
    """A plain journal within a host's transaction."""

    def __init__(self, outside: PlainJournal, host: PlainHost) -> None:
        super().__init__()
        self.host = host
        self.streams = dict(outside.streams)
        self.heads = dict(outside.heads)
        for ref, events, expected, head in host.aside:
            super().append(ref, events, expected=expected, head=head)

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        now = super().append(ref, events, expected=expected, head=head)
        self.host.aside.append((ref, events, expected, head))
        return now


@contextmanager
def plain_host(journal: PlainJournal) -> Iterator[object]:
    """A host's transaction beside a plain journal."""
    host = PlainHost()
    yield host
    for ref, events, expected, head in host.aside:
        journal.append(ref, events, expected=expected, head=head)


class RaisesOnEmpty(PlainJournal):
    """Knows no stream that was never written."""

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        if self.name(ref) not in self.streams:
            raise KeyError(self.name(ref))
        return super().load(ref, after)


class DurableIsAWord(PlainJournal):
    """Says in a word what should be a yes or no."""

    @property
    def durable(self) -> bool:
        return "yes"  # type: ignore[return-value]


class AlwaysInTransaction(PlainJournal):
    """Begins a transaction at its first append and never ends it."""

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        self.busy = True
        return super().append(ref, events, expected=expected, head=head)


class DropsNotes(PlainJournal):
    """Loses one fact of one event."""

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        kept = [attrs.evolve(e, note=None) if isinstance(e, RefundRequested) else e for e in events]
        return super().append(ref, kept, expected=expected, head=head)


class DropsMicroseconds(PlainJournal):
    """Keeps times to the second."""

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        kept = [attrs.evolve(event, at=event.at.replace(microsecond=0)) for event in events]
        return super().append(ref, kept, expected=expected, head=head)


class DropsTheLast(PlainJournal):
    """Loses the last event of a long append."""

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        return super().append(ref, events[:12], expected=expected, head=head)


class CountsAppends(PlainJournal):
    """Takes the number of appends for the version."""

    def __init__(self) -> None:
        super().__init__()
        self.appends: dict[str, int] = {}

    def check(self, version: int, expected: int) -> None:
        pass

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        self.appends[self.name(ref)] = self.appends.get(self.name(ref), 0) + 1
        return super().append(ref, events, expected=expected, head=head)

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        return attrs.evolve(super().load(ref, after), version=self.appends.get(self.name(ref), 0))


class AfterOffByOne(PlainJournal):
    """Gives the event of the asked version, too."""

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        return attrs.evolve(super().load(ref, after), events=tuple(self.held(ref)[max(after - 1, 0) :]))


class VersionOfWhatWasAsked(PlainJournal):
    """Counts only what it gives."""

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        loaded = super().load(ref, after)
        return attrs.evolve(loaded, version=len(loaded.events))


class NoCheck(PlainJournal):
    """Appends whatever was expected."""

    def check(self, version: int, expected: int) -> None:
        pass


class ChecksBehindOnly(PlainJournal):
    """Refuses only who is behind."""

    def check(self, version: int, expected: int) -> None:
        if expected < version:
            raise JournalConflict("somebody was faster")


class SaysBusy(PlainJournal):
    """Takes a conflict for a lock."""

    def check(self, version: int, expected: int) -> None:
        if version != expected:
            raise JournalBusy("locked")


class HeadBeforeCheck(PlainJournal):
    """Writes the head first and looks at the version then."""

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        self.heads[self.name(ref)] = head
        return super().append(ref, events, expected=expected, head=head)


class OpenAfterConflict(PlainJournal):
    """Leaves its transaction open when beaten."""

    def check(self, version: int, expected: int) -> None:
        self.busy = version != expected
        super().check(version, expected)


class OneByOne(PlainJournal):
    """Adds one event after the other, with time between them."""

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        for number, event in enumerate(events):
            super().append(ref, [event], expected=expected + number, head=head)
            time.sleep(0.0002)
        return self.now()


class SwallowsErrors(PlainJournal):
    """Returns from an append as if it had been made."""

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        try:
            return super().append(ref, events, expected=expected, head=head)
        except OSError:
            return self.now()


class OpenAfterError(PlainJournal):
    """Leaves its transaction open when an append breaks."""

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        self.busy = True
        try:
            now = super().append(ref, events, expected=expected, head=head)
        except JournalConflict:
            self.busy = False
            raise
        self.busy = False
        return now


class ByChargeOnly(PlainJournal):
    """Leaves the account out of the stream's name."""  # failures: A04, G: the account belongs to every identity

    def name(self, ref: Ref) -> str:
        return f"platform/{ref.charge}" if isinstance(ref, PaymentRef) else "outside"


class CaseBlind(PlainJournal):
    """Takes two ids that differ in the case of a letter for one."""

    def name(self, ref: Ref) -> str:
        return str(ref).lower()


class ByMethod(PlainJournal):
    """Takes the method of outside money for a part of its name."""

    def name(self, ref: Ref) -> str:
        return f"{ref}-{ref.method}" if isinstance(ref, OutsideRef) else str(ref)


class OutsideIsDue(PlainJournal):
    """Takes money outside for a payment that waits for a look."""

    def ripe(self) -> list[str]:
        return [stream.replace("outside", "platform") for stream in self.streams]


class ControlIsDue(PlainJournal):
    """Takes a switch for a payment that waits for a look."""

    def ripe(self) -> list[str]:
        return [stream.strip("~") for stream in self.streams if stream.startswith("~account/")]


class OneSwitch(PlainJournal):
    """Lets two who flip a switch at once both be the first."""

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        expected = len(self.held(ref)) if isinstance(ref, ControlRef) else expected
        return super().append(ref, events, expected=expected, head=head)


class NaiveTimes(PlainJournal):
    """Tells the time without saying where."""

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        loaded = super().load(ref, after)
        return attrs.evolve(loaded, now=loaded.now.replace(tzinfo=None))


class LatestIsNow(PlainJournal):
    """Knows of no later time than its own."""

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        return attrs.evolve(super().load(ref, after), latest=self.now())


class ReturnsThePast(PlainJournal):
    """Returns an hour ago from an append."""

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        return super().append(ref, events, expected=expected, head=head) - timedelta(hours=1)


class RunsBack(PlainJournal):
    """Has a clock that runs back."""

    calls = 0

    def now(self) -> datetime:
        self.calls += 1
        return START - self.calls * timedelta(seconds=1)


class DueByName(PlainJournal):
    """Names what is due in the order of the names."""

    def ripe(self) -> list[str]:
        return sorted(super().ripe())


class DueWithoutLimit(PlainJournal):
    """Names all that is due."""

    def due(self, limit: int, /) -> tuple[PaymentRef, ...]:
        return super().due(10**6)


class DueEver(PlainJournal):
    """Names what is due later, too."""

    def ripe(self) -> list[str]:
        found = [(head.look_at, stream) for stream, head in self.heads.items() if head.look_at is not None]
        return [stream for _, stream in sorted(found)]


class FirstHead(PlainJournal):
    """Keeps the first head of a stream for ever."""

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        first = self.heads.get(self.name(ref), head)
        return super().append(ref, events, expected=expected, head=first)


class NeverForgetsDue(PlainJournal):
    """Keeps a due time once there is one."""

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        before = self.heads.get(self.name(ref), head)
        kept = attrs.evolve(head, look_at=head.look_at or before.look_at)
        return super().append(ref, events, expected=expected, head=kept)


class NeverForgetsWaiting(PlainJournal):
    """Once waiting, always waiting."""

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        before = self.heads.get(self.name(ref), head)
        kept = attrs.evolve(head, waiting=head.waiting or before.waiting)
        return super().append(ref, events, expected=expected, head=kept)


class EverybodyWaits(PlainJournal):
    """Names every tenant's streams to anybody."""

    def matches(self, head: Head, tenant: str) -> bool:
        return head.waiting


class TenantsCaseBlind(PlainJournal):
    """Takes two tenants that differ in the case of a letter for one."""

    def matches(self, head: Head, tenant: str) -> bool:
        return head.waiting and head.tenant.lower() == tenant.lower()


class TenantsByPattern(PlainJournal):
    """Takes a tenant for a pattern."""

    def matches(self, head: Head, tenant: str) -> bool:
        prefix, percent, _ = tenant.partition("%")
        return head.waiting and (head.tenant.startswith(prefix) if percent else head.tenant == tenant)


class WaitingWithoutLimit(PlainJournal):
    """Names all that wait."""

    def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]:
        return super().waiting(tenant, 10**6)


class ChecksThenWrites(PlainJournal):
    """Lets time pass between the check and the write."""

    def check(self, version: int, expected: int) -> None:
        super().check(version, expected)
        time.sleep(0.005)


class Forgets(PlainJournal):
    """Right by itself; opened again it is empty."""


class TailForgetsAfter(PlainJournal):
    """Begins its tail anew each time."""

    def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        return super().tail("", limit)


class TailSkipsOne(PlainJournal):
    """Passes an event by when it goes on."""

    def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        return super().tail(str(int(after) + 1) if after else "", limit)


class TailWithoutLimit(PlainJournal):
    """Tells all at once."""

    def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        return super().tail(after, 10**6)


class TailByTime(PlainJournal):
    """Tells by the time of the events."""

    def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        told = sorted(super().tail("", 10**6), key=lambda each: each.event.at)
        first = int(after or 0)
        return tuple(attrs.evolve(each, position=str(place)) for place, each in enumerate(told, 1))[
            first : first + limit
        ]


class CommitsByItself(PlainJournal):
    """Appends at once, whatever the host's transaction will come to."""

    def within(self, connection: object, /) -> RefundJournal:
        return self


class NeverCommits(PlainJournal):
    """Keeps what was appended within a host's transaction to itself."""

    def within(self, connection: object, /) -> RefundJournal:
        return PlainJoined(self, PlainHost())


class NoCheckWithin(PlainJournal):
    """Appends within a host's transaction whatever was expected."""

    def within(self, connection: object, /) -> RefundJournal:
        joined = super().within(connection)
        joined.check = lambda version, expected: None  # type: ignore[attr-defined]
        return joined


class TailPassesTheOpen(PlainJournal):
    """Keeps a place for what a host's transaction appends, and passes it by while that is open."""

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        now = super().append(ref, events, expected=expected, head=head)
        if self.name(ref) == "platform/ch_1":  # its place was taken before all others'
            self.order.sort()
        return now


class CountsYoungDoubts(PlainJournal):
    """Takes every send that is being made for a doubt."""

    def figures(self, young: timedelta, /) -> Figures:
        return super().figures(timedelta(0))


class DatesTheYoungest(PlainJournal):
    """Tells since when the youngest look is due."""

    def figures(self, young: timedelta, /) -> Figures:
        times = [head.look_at for head in self.heads.values() if head.look_at and head.look_at <= self.now()]
        return attrs.evolve(super().figures(young), due_since=max(times, default=None))


class ForgetsTheLatest(PlainJournal):
    """Does not tell the latest time in it, so nobody sees that its clock fell behind."""

    def figures(self, young: timedelta, /) -> Figures:
        return attrs.evolve(super().figures(young), latest=None)


class CountsOneTenant(PlainJournal):
    """Counts who waits of one tenant only."""

    def figures(self, young: timedelta, /) -> Figures:
        return attrs.evolve(super().figures(young), waiting=len(self.waiting("acme", 10)))


class NeverForgetsDoubts(PlainJournal):
    """Keeps a doubt that has ended."""

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        before = self.heads.get(self.name(ref))
        if before is not None and head.doubt_since is None:
            head = attrs.evolve(head, doubt_since=before.doubt_since)
        return super().append(ref, events, expected=expected, head=head)


class NotesNothing(PlainJournal):
    """Loses how recovery went."""

    def note_recovery(self, looked: int, failed: int, /) -> None:
        return


class NotesTheFirst(PlainJournal):
    """Keeps the first run of recovery for ever."""

    def note_recovery(self, looked: int, failed: int, /) -> None:
        if self.recovered is None:
            super().note_recovery(looked, failed)


class NotesFailuresAsLooks(PlainJournal):
    """Counts what broke as looked at."""

    def note_recovery(self, looked: int, failed: int, /) -> None:
        super().note_recovery(looked + failed, 0)


class TellsEverybodys(PlainJournal):
    """Tells any tenant everything."""

    def owns(self, tenant: str, stream: str) -> bool:
        return True


class TellsCaseBlind(PlainJournal):
    """Takes two tenants for one."""

    def owns(self, tenant: str, stream: str) -> bool:
        return self.heads[stream].tenant.lower() == tenant.lower()


class TellsByAppend(PlainJournal):
    """Tells streams in the order in which they were begun, and loses its way in them."""

    def history(self, tenant: str, after: str, limit: int, /) -> tuple[Tailed, ...]:
        told = sorted(super().history(tenant, "", 10**6), key=lambda each: list(self.streams).index(each.stream))
        places = [each.position for each in told]
        first = places.index(after) + 1 if after else 0
        return tuple(told[first : first + limit])


class TellsWithoutLimit(PlainJournal):
    """Tells a tenant all at once."""

    def history(self, tenant: str, after: str, limit: int, /) -> tuple[Tailed, ...]:
        return super().history(tenant, after, 10**6)


class SkipsAtBorders(PlainJournal):
    """Goes on behind the stream, not behind the event."""

    def history(self, tenant: str, after: str, limit: int, /) -> tuple[Tailed, ...]:
        _, _, stream = after.partition(" ")
        told = super().history(tenant, after, 10**6)
        return tuple(each for each in told if each.stream != stream)[:limit]


class ErasesNothing(PlainJournal):
    """Says that it erased."""

    def erase(self, tenant: str, events: Sequence[Tailed], /) -> None:
        return


class ErasesAtTheEnd(PlainJournal):
    """Appends the erased event and moves its place in the tail."""

    def erase(self, tenant: str, events: Sequence[Tailed], /) -> None:
        super().erase(tenant, events)
        self.order.reverse()


class ErasesTheHead(PlainJournal):
    """Forgets that a look is due."""

    def erase(self, tenant: str, events: Sequence[Tailed], /) -> None:
        super().erase(tenant, events)
        for each in events:
            self.heads[each.stream] = Head(tenant=tenant, look_at=None, waiting=False)


class ErasesAnything(PlainJournal):
    """Puts in place whatever it is given."""

    def allows(self, tenant: str, each: Tailed) -> bool:
        return self.owns(tenant, each.stream) and each.version <= len(self.streams[each.stream])


class ErasesAnybodys(PlainJournal):
    """Erases another tenant's events for one that asks."""

    def owns(self, tenant: str, stream: str) -> bool:
        return stream in self.heads and (self.heads[stream].tenant == tenant or tenant == "acme")

    def history(self, tenant: str, after: str, limit: int, /) -> tuple[Tailed, ...]:
        told = super().history(tenant, after, 10**6)
        return tuple(each for each in told if self.heads[each.stream].tenant == tenant)[:limit]


class ErasesOneByOne(PlainJournal):
    """Erases what it may and then refuses the rest."""

    def erase(self, tenant: str, events: Sequence[Tailed], /) -> None:
        for each in events:
            super().erase(tenant, [each])


class NewKeyEachTime(PlainJournal):
    """Loses the key of an erasure that was begun."""

    def begin_erasure(self, tenant: str, scope: str, key: str, /) -> str:
        super().begin_erasure(tenant, scope, key)
        return key


class AnyScopeTakesOver(PlainJournal):
    """Lets two erasures of one tenant run beside each other."""

    def begin_erasure(self, tenant: str, scope: str, key: str, /) -> str:
        return self.erasures.setdefault(tenant, (scope, key))[1]


class KeepsTheKey(PlainJournal):
    """Never forgets a key: whoever finds it tells who was erased."""

    def end_erasure(self, tenant: str, key: str, /) -> None:
        return


class EndsAnyErasure(PlainJournal):
    """Lets a run that is late end the erasure that was begun after its own."""

    def end_erasure(self, tenant: str, key: str, /) -> None:
        self.erasures.pop(tenant, None)


class ErasesWhatItRead(PlainJournal):
    """Puts a whole stream back as it read it, over what was appended meanwhile."""

    def erase(self, tenant: str, events: Sequence[Tailed], /) -> None:
        before = {each.stream: list(self.streams[each.stream]) for each in events}
        time.sleep(0.002)
        super().erase(tenant, events)
        for stream, held in before.items():
            self.streams[stream] = self.streams[stream][: len(held)]


BROKEN_JOURNALS: tuple[tuple[str, type[PlainJournal]], ...] = (
    ("empty_stream", RaisesOnEmpty),
    ("empty_stream", DurableIsAWord),
    ("events_come_back", DropsNotes),
    ("events_come_back", DropsMicroseconds),
    ("events_come_back", DropsTheLast),
    ("events_come_back", AlwaysInTransaction),
    ("versions_count", CountsAppends),
    ("versions_count", AfterOffByOne),
    ("versions_count", VersionOfWhatWasAsked),
    ("wrong_version", NoCheck),
    ("wrong_version", ChecksBehindOnly),
    ("wrong_version", SaysBusy),
    ("conflict_adds_nothing", HeadBeforeCheck),
    ("conflict_adds_nothing", OpenAfterConflict),
    ("conflict_adds_nothing", NoCheck),
    ("broken_append", OneByOne),
    ("broken_append", SwallowsErrors),
    ("broken_append", OpenAfterError),
    ("broken_append", HeadBeforeCheck),
    ("streams_apart", ByChargeOnly),
    ("streams_apart", CaseBlind),
    ("outside_refs", ByMethod),
    ("outside_refs", OutsideIsDue),
    ("control_refs", ControlIsDue),
    ("control_refs", OneSwitch),
    ("time_is_told", NaiveTimes),
    ("time_is_told", LatestIsNow),
    ("time_is_told", ReturnsThePast),
    ("time_is_told", RunsBack),
    ("due_in_order", DueByName),
    ("due_in_order", DueWithoutLimit),
    ("due_in_order", DueEver),
    ("head_is_replaced", FirstHead),
    ("head_is_replaced", NeverForgetsDue),
    ("head_is_replaced", NeverForgetsWaiting),
    ("waiting_by_tenant", EverybodyWaits),
    ("waiting_by_tenant", TenantsCaseBlind),
    ("waiting_by_tenant", TenantsByPattern),
    ("waiting_by_tenant", WaitingWithoutLimit),
    ("one_winner", ChecksThenWrites),
    ("one_winner", SaysBusy),
    ("whole_appends", OneByOne),
    ("whole_appends", RaisesOnEmpty),
    ("figures_count", CountsYoungDoubts),
    ("figures_count", DatesTheYoungest),
    ("figures_count", ForgetsTheLatest),
    ("figures_count", CountsOneTenant),
    ("figures_follow_heads", NeverForgetsDoubts),
    ("history_tells_a_tenant", TellsEverybodys),
    ("history_tells_a_tenant", TellsCaseBlind),
    ("history_tells_a_tenant", TellsByAppend),
    ("history_tells_a_tenant", TellsWithoutLimit),
    ("history_tells_a_tenant", SkipsAtBorders),
    ("erasing_keeps_all_else", ErasesNothing),
    ("erasing_keeps_all_else", ErasesAtTheEnd),
    ("erasing_keeps_all_else", ErasesTheHead),
    ("only_erasing", ErasesAnything),
    ("only_erasing", ErasesAnybodys),
    ("only_erasing", ErasesOneByOne),
    ("erasure_is_resumed", NewKeyEachTime),
    ("erasure_is_resumed", AnyScopeTakesOver),
    ("erasure_is_resumed", KeepsTheKey),
    ("erasure_is_resumed", EndsAnyErasure),
    ("erasing_beside_appends", ErasesWhatItRead),
    ("recovery_is_noted", NotesNothing),
    ("recovery_is_noted", NotesTheFirst),
    ("recovery_is_noted", NotesFailuresAsLooks),
    ("reopened", Forgets),
    ("handles_race", Forgets),
    ("unknown_event", Forgets),
    ("tail_tells_all", TailForgetsAfter),
    ("tail_tells_all", TailSkipsOne),
    ("tail_tells_all", TailWithoutLimit),
    ("tail_tells_all", TailByTime),
    ("tail_beside_writers", TailForgetsAfter),
    ("committed_with_host", CommitsByItself),
    ("committed_with_host", NeverCommits),
    ("rolled_back_with_host", CommitsByItself),
    ("race_within_host", NoCheckWithin),
    ("race_within_host", NeverCommits),
    ("tail_waits_for_host", TailPassesTheOpen),
    ("tail_waits_for_host", NeverCommits),
)
