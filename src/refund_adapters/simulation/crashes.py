"""The sync twin killed at every call of its ports, before and after its effect; a fresh process goes on.

Whatever was killed where, in the end there is exactly one refund.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from refund_adapters.memory import MemoryBank, MemoryGateway, MemoryJournal
from refund_domain.answers import Answer, Ask, Look
from refund_domain.commands import Action, Actor, IssueRefund
from refund_domain.events import Event
from refund_domain.money import Money
from refund_domain.payments import PaymentRef, Ref
from refund_domain.policy import Policy
from refund_domain.ports import Head, Loaded, Tailed
from refund_domain.service.refunds import RefundService

_MARIA: Final = Actor(id="maria", tenant="acme")
_MOST_CALLS: Final = 100
_MOST_ROUNDS: Final = 100


class Killed(BaseException):
    """The process was killed: no `except Exception` sees it."""


class _Clock:
    """True time, moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def monotonic(self) -> float:
        return self.now.timestamp()


class _Fuse:
    """Kills at the n-th call, before its effect or after it; `calls` counts them."""

    def __init__(self, at: int, after: bool) -> None:
        self.at, self.after = at, after
        self.calls = 0

    def before(self) -> None:
        self.calls += 1
        if self.calls == self.at and not self.after:
            raise Killed

    def over(self) -> None:
        if self.calls == self.at and self.after:
            raise Killed


class _Gateway:
    """The bank's gateway behind a fuse."""

    live = False

    def __init__(self, gateway: MemoryGateway, fuse: _Fuse) -> None:
        self._gateway, self._fuse = gateway, fuse

    def look(self, ref: PaymentRef, /) -> Look:
        self._fuse.before()
        look = self._gateway.look(ref)
        self._fuse.over()
        return look

    def send(self, send: Ask, /) -> Answer:
        self._fuse.before()
        answer = self._gateway.send(send)
        self._fuse.over()
        return answer


class _Journal:
    """The journal behind a fuse."""

    durable = False
    in_transaction = False

    def __init__(self, journal: MemoryJournal, fuse: _Fuse) -> None:
        self._journal, self._fuse = journal, fuse

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        self._fuse.before()
        loaded = self._journal.load(ref, after)
        self._fuse.over()
        return loaded

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        self._fuse.before()
        now = self._journal.append(ref, events, expected=expected, head=head)
        self._fuse.over()
        return now

    def due(self, limit: int, /) -> tuple[PaymentRef, ...]:
        self._fuse.before()
        due = self._journal.due(limit)
        self._fuse.over()
        return due

    def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]:
        self._fuse.before()
        waiting = self._journal.waiting(tenant, limit)
        self._fuse.over()
        return waiting

    def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        return self._journal.tail(after, limit)


@attrs.frozen(kw_only=True)
class Crash:
    """One run: killed at call `at`, `after` its effect or before; how many refunds the bank made in the end."""

    at: int
    after: bool
    killed: bool
    made: int
    status: str | None


def crash_everywhere(list_lag: timedelta = timedelta(hours=1)) -> tuple[Crash, ...]:
    """Kill `issue` at every call it makes, before and after, and recover."""
    runs = []
    for after in (False, True):
        for at in range(1, _MOST_CALLS):
            crash = _crash_at(at, after, list_lag)
            runs.append(crash)
            if not crash.killed:
                break
    return tuple(runs)


def _crash_at(at: int, after: bool, list_lag: timedelta) -> Crash:
    clock = _Clock()
    bank = MemoryBank(clock, cap=False, list_lag=list_lag)
    ref = bank.charge(Money.parse("200.00", "USD"))
    journal = MemoryJournal(clock)
    fresh = _service(bank, journal, clock, _Fuse(0, False))
    command = fresh.quote(ref, by=_MARIA).verified(by=_MARIA)
    killed = _issue(_service(bank, journal, clock, _Fuse(at, after)), command)
    if killed:
        _go_on(_service(bank, journal, clock, _Fuse(0, False)), command, clock)
    view = fresh.show(ref, by=_MARIA)
    statuses = [refund.status.value for refund in getattr(view, "refunds", ())]
    return Crash(at=at, after=after, killed=killed, made=bank.made(ref), status=statuses[0] if statuses else None)


def _issue(service: RefundService, command: IssueRefund) -> bool:
    """Whether it was killed."""
    try:
        service.issue(command)
    except Killed:
        return True
    return False


def _go_on(service: RefundService, command: IssueRefund, clock: _Clock) -> None:
    """A fresh process: the person presses the button again, recovery runs on."""
    service.issue(command)
    for _ in range(_MOST_ROUNDS):
        service.recover()
        clock.now += timedelta(minutes=20)


def _allowed(actor: Actor, action: Action, ref: Ref | None) -> bool:
    return True


def _service(bank: MemoryBank, journal: MemoryJournal, clock: _Clock, fuse: _Fuse) -> RefundService:
    return RefundService(
        _Gateway(MemoryGateway(bank), fuse),
        _Journal(journal, fuse),
        allow=_allowed,
        policy=Policy(gateway_caps=False),
        monotonic=clock.monotonic,
    )
