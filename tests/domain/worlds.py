"""A small world for the tests of the service: one clock, a bank, a journal, and the service in either form.

Every call of a port goes through a `Wire`, which writes it down and can make it fail before or after its
effect. The async service is driven by hand behind the sync face, so one test proves both.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, TypeVar, cast

from refund_adapters.memory import MemoryBank, MemoryGateway, MemoryJournal
from refund_domain import (
    Actor,
    AsyncRefundService,
    IssueRefund,
    Money,
    PaymentGateway,
    PaymentRef,
    Policy,
    Quote,
    Refund,
    RefundJournal,
    RefundService,
    Refused,
)
from refund_domain.answers import Answer, Ask, Look, Missing, Unread
from refund_domain.commands import Action, ApproveRefund, Choice
from refund_domain.errors import JournalUnavailable
from refund_domain.events import Event
from refund_domain.operations.bulk import BulkProgress, BulkReport
from refund_domain.operations.feeds import FeedPage, Window
from refund_domain.operations.health import Health
from refund_domain.operations.reconcile import Outcome, Position, Reconciliation
from refund_domain.payments import AnyPayment, ControlRef, Ref
from refund_domain.payouts.entries import EntryPage
from refund_domain.payouts.funds import Funds, Payout
from refund_domain.policy import DEFAULT_POLICY
from refund_domain.ports import Head, JoiningJournal, LeavingJournal, Loaded, PayoutSource, RefundFeed, Tailed
from refund_domain.quotes import Booking, BookingQuote, IssueBooking, NotTried
from refund_domain.rules.arrival import weekdays
from refund_domain.service.controls import Switch
from refund_domain.service.stream import Received, Recovery, Waiting
from refund_domain.service.watch import Observe
from refund_domain.service.within import AsyncRefundsWithin
from refund_domain.signals import Signal, Subject
from refund_domain.views import PaymentView

T = TypeVar("T")
Kind = Literal["sync", "async"]
KINDS: tuple[Kind, ...] = ("sync", "async")

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MARIA = Actor(id="maria", tenant="acme")
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Crash(BaseException):
    """The process dies here: nothing of the library may catch it."""


class Clock:
    """One clock for bank, journal and monotonic time."""

    def __init__(self) -> None:
        self.now = START
        self.elapsed = 0.0

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.elapsed

    def advance(self, by: timedelta) -> None:
        self.now += by
        self.elapsed += by.total_seconds()


class Wire:
    """What every call of a port passes: `calls` are their names in order.

    `before` and `after` map the number of a call (from 0) to what is done in its place or after its effect:
    usually raising, sometimes letting time pass. `each` does something before every call of that name.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.controls: list[str] = []
        self.asked: list[tuple[Actor, Action, Ref | None]] = []
        self.before: dict[int, Callable[[], None]] = {}
        self.after: dict[int, Callable[[], None]] = {}
        self.each: dict[str, Callable[[], None]] = {}

    def call(self, name: str, effect: Callable[[], T]) -> T:
        number = len(self.calls)
        self.calls.append(name)
        for hook in (self.before.get(number), self.each.get(name)):
            if hook is not None:
                hook()
        result = effect()
        if (hook := self.after.get(number)) is not None:
            hook()
        return result

    def aside(self, name: str, effect: Callable[[], T]) -> T:
        """A call that is not numbered, written down apart: reading a switch, whenever a send could come of it."""
        self.controls.append(name)
        if (hook := self.each.get(name)) is not None:
            hook()
        return effect()

    def clear(self) -> None:
        self.__init__()  # type: ignore[misc]


def raising(error: BaseException) -> Callable[[], None]:
    """A hook that raises this."""

    def hook() -> None:
        raise error

    return hook


def unavailable() -> Callable[[], None]:
    """A hook that raises what a journal raises when its database is gone."""
    return raising(JournalUnavailable("the database is gone"))


class WiredGateway:
    """A gateway behind the wire."""

    def __init__(self, inner: PaymentGateway, wire: Wire) -> None:
        self._inner, self._wire = inner, wire

    @property
    def live(self) -> bool:
        return self._inner.live

    def look(self, ref: PaymentRef, /) -> Look:
        return self._wire.call("look", lambda: self._inner.look(ref))

    def send(self, send: Ask, /) -> Answer:
        return self._wire.call("send", lambda: self._inner.send(send))


class WiredFeed:
    """A feed behind the wire."""

    def __init__(self, inner: RefundFeed, wire: Wire) -> None:
        self._inner, self._wire = inner, wire

    @property
    def live(self) -> bool:
        return self._inner.live

    def page(self, account: str, window: Window, subject: Subject, after: str | None, /) -> FeedPage | Unread:
        return self._wire.call("page", lambda: self._inner.page(account, window, subject, after))


class WiredJournal:
    """A journal behind the wire; `in_transaction` may be set."""

    def __init__(self, inner: RefundJournal, wire: Wire) -> None:
        self._inner, self._wire = inner, wire
        self.in_transaction = False

    @property
    def durable(self) -> bool:
        return self._inner.durable

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        if isinstance(ref, ControlRef):
            return self._wire.aside(f"load {ref}", lambda: self._inner.load(ref, after))
        return self._wire.call("load", lambda: self._inner.load(ref, after))

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        if isinstance(ref, ControlRef):
            return self._wire.aside(
                f"append {ref}", lambda: self._inner.append(ref, events, expected=expected, head=head)
            )
        return self._wire.call("append", lambda: self._inner.append(ref, events, expected=expected, head=head))

    def due(self, limit: int, /) -> tuple[PaymentRef, ...]:
        return self._wire.call("due", lambda: self._inner.due(limit))

    def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]:
        return self._wire.call("waiting", lambda: self._inner.waiting(tenant, limit))

    def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        return self._wire.call("tail", lambda: self._inner.tail(after, limit))


class AwaitedGateway:
    """A sync gateway as the async port."""

    def __init__(self, inner: PaymentGateway) -> None:
        self._inner = inner

    @property
    def live(self) -> bool:
        return self._inner.live

    async def look(self, ref: PaymentRef, /) -> Look:
        return self._inner.look(ref)

    async def send(self, send: Ask, /) -> Answer:
        return self._inner.send(send)


class AwaitedFeed:
    """A sync feed as the async port."""

    def __init__(self, inner: RefundFeed) -> None:
        self._inner = inner

    @property
    def live(self) -> bool:
        return self._inner.live

    async def page(
        self, account: str, window: Window, subject: Subject, after: str | None, /
    ) -> FeedPage | Unread:
        return self._inner.page(account, window, subject, after)


class GivenFunds:
    """A source of payouts that knows of each account what a test says of it, and of the others nothing."""

    live = False

    def __init__(self) -> None:
        self.of: dict[str, Funds] = {}
        self.asked: list[str] = []

    def funds(self, account: str, /) -> Funds | Unread:
        self.asked.append(account)
        return self.of.get(account, Unread(why="nobody said"))

    def payout(self, account: str, id: str, /) -> Payout | Missing | Unread:
        return Missing()

    def entries(
        self, account: str, payout: Payout, window: Window | None, after: str | None, /
    ) -> EntryPage | Unread:
        return Unread(why="nobody said")

    def holding(self, account: str, refund: str, /) -> Payout | Missing | Unread | None:
        return Missing()


class AwaitedFunds:
    """A sync source of payouts as the async port."""

    def __init__(self, inner: PayoutSource) -> None:
        self._inner = inner

    @property
    def live(self) -> bool:
        return self._inner.live

    async def funds(self, account: str, /) -> Funds | Unread:
        return self._inner.funds(account)

    async def payout(self, account: str, id: str, /) -> Payout | Missing | Unread:
        return self._inner.payout(account, id)

    async def entries(
        self, account: str, payout: Payout, window: Window | None, after: str | None, /
    ) -> EntryPage | Unread:
        return self._inner.entries(account, payout, window, after)

    async def holding(self, account: str, refund: str, /) -> Payout | Missing | Unread | None:
        return self._inner.holding(account, refund)


class AwaitedJournal:
    """A sync journal as the async port; joins a host's transaction where that one does."""

    def __init__(self, inner: RefundJournal) -> None:
        self._inner = inner

    @property
    def durable(self) -> bool:
        return self._inner.durable

    @property
    def in_transaction(self) -> bool:
        return self._inner.in_transaction

    async def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        return self._inner.load(ref, after)

    async def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        return self._inner.append(ref, events, expected=expected, head=head)

    async def due(self, limit: int, /) -> tuple[PaymentRef, ...]:
        return self._inner.due(limit)

    async def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]:
        return self._inner.waiting(tenant, limit)

    async def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]:
        return self._inner.tail(after, limit)

    def __getattr__(self, name: str) -> object:
        if name in ("figures", "note_recovery") and hasattr(self._inner, name):
            call = getattr(self._inner, name)

            async def awaited(*arguments: object) -> object:
                return call(*arguments)

            return awaited
        if name == "leave" and hasattr(self._inner, name):

            async def leave() -> None:
                cast(LeavingJournal, self._inner).leave()

            return leave
        if name != "within" or not hasattr(self._inner, "within"):
            raise AttributeError(name)

        async def within(connection: object) -> AwaitedJournal:
            return AwaitedJournal(cast(JoiningJournal, self._inner).within(connection))

        return within


def driven(coroutine: Coroutine[object, object, T]) -> T:
    """The result of a coroutine that never really waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise RuntimeError("the coroutine waited for something")


class Driven:
    """The async service behind the sync face."""

    def __init__(self, service: AsyncRefundService) -> None:
        self._service = service

    def quote(self, ref: AnyPayment, *, by: Actor) -> Quote:
        return driven(self._service.quote(ref, by=by))

    def issue(self, command: IssueRefund) -> Refund | Refused:
        return driven(self._service.issue(command))

    def request(self, command: IssueRefund) -> Refund | Refused:
        return driven(self._service.request(command))

    def show(self, ref: AnyPayment, *, by: Actor) -> PaymentView | Refused:
        return driven(self._service.show(ref, by=by))

    def quote_booking(self, booking: Booking, *, by: Actor) -> BookingQuote:
        return driven(self._service.quote_booking(booking, by=by))

    def quote_bookings(self, bookings: Iterable[Booking], *, by: Actor) -> tuple[BookingQuote, ...]:
        return driven(self._service.quote_bookings(bookings, by=by))

    def issue_booking(self, command: IssueBooking) -> tuple[Refund | Refused | NotTried, ...]:
        return driven(self._service.issue_booking(command))

    def issue_bookings(
        self,
        commands: Iterable[IssueBooking],
        *,
        most_per_second: float | None = None,
        on_progress: Callable[[BulkProgress], object] | None = None,
    ) -> BulkReport:
        return driven(
            self._service.issue_bookings(commands, most_per_second=most_per_second, on_progress=on_progress)
        )

    def record_outside(
        self, ref: AnyPayment, amount: Money, *, by: Actor, how: str, record_id: str | None = None
    ) -> PaymentView | Refused:
        return driven(self._service.record_outside(ref, amount, by=by, how=how, record_id=record_id))

    def attention(self, *, by: Actor, limit: int = 100) -> tuple[Waiting, ...] | Refused:
        return driven(self._service.attention(by=by, limit=limit))

    def settle(
        self, ref: PaymentRef, *, subject: str, code: str, choice: Choice, by: Actor
    ) -> PaymentView | Refused:
        return driven(self._service.settle(ref, subject=subject, code=code, choice=choice, by=by))

    def approve(self, command: ApproveRefund) -> Refund | Refused:
        return driven(self._service.approve(command))

    def pause(self, *, by: Actor, why: str, account: str | None = None) -> Switch | Refused:
        return driven(self._service.pause(by=by, why=why, account=account))

    def resume(self, *, by: Actor, account: str | None = None) -> Switch | Refused:
        return driven(self._service.resume(by=by, account=account))

    def paused(self, *, by: Actor, account: str | None = None) -> Switch | Refused:
        return driven(self._service.paused(by=by, account=account))

    def receive(self, signal: Signal) -> Received:
        return driven(self._service.receive(signal))

    def within(self, connection: object) -> DrivenWithin:
        return DrivenWithin(driven(self._service.within(connection)))

    def reconcile(self, ref: PaymentRef) -> Outcome:
        return driven(self._service.reconcile(ref))

    def reconcile_account(
        self,
        account: str,
        window: Window,
        *,
        feed: RefundFeed,
        limit: int = 100,
        after: Position | None = None,
        on_progress: Callable[[int], object] | None = None,
    ) -> Reconciliation:
        asked: Any = AwaitedFeed(feed) if hasattr(feed, "page") else feed  # what is no feed is refused as it is
        return driven(
            self._service.reconcile_account(
                account,
                window,
                feed=asked,
                limit=limit,
                after=after,
                on_progress=on_progress,
            )
        )

    def dispatch(self, ref: PaymentRef) -> PaymentView:
        return driven(self._service.dispatch(ref))

    def recover(self, limit: int = 100) -> Recovery:
        return driven(self._service.recover(limit))

    def health(self) -> Health:
        return driven(self._service.health())


class DrivenWithin:
    """The async service within a host's transaction behind the sync face."""

    def __init__(self, service: AsyncRefundsWithin) -> None:
        self._service = service

    def request(self, command: IssueRefund) -> Refund | Refused:
        return driven(self._service.request(command))

    def record_outside(
        self, ref: AnyPayment, amount: Money, *, by: Actor, how: str, record_id: str | None = None
    ) -> PaymentView | Refused:
        return driven(self._service.record_outside(ref, amount, by=by, how=how, record_id=record_id))


Refunds = RefundService | Driven
Allowing = Callable[[Actor, Action, Ref | None], bool]


def anybody(actor: Actor, action: Action, ref: Ref | None) -> bool:
    """Everybody may do everything."""
    return True


class World:
    """A host, its bank and its journal; `refunds` is the service, `service()` another process's."""

    def __init__(
        self,
        kind: Kind = "sync",
        *,
        policy: Policy = DEFAULT_POLICY,
        cap: bool = True,
        allow: Allowing = anybody,
        is_business_day: Callable[[date], bool] = weekdays,
        observe: Observe | None = None,
    ) -> None:
        self.kind, self.policy, self.allow = kind, policy, allow
        self.is_business_day, self.observe = is_business_day, observe
        self.clock = Clock()
        self.bank = MemoryBank(self.clock, cap=cap)
        self.gateway = MemoryGateway(self.bank)
        self.store = MemoryJournal(self.clock)
        self.wire = Wire()
        self.funds = GivenFunds()
        self.feed = WiredFeed(self.gateway, self.wire)
        self.journal = WiredJournal(self.store, self.wire)
        self._numbers = itertools.count(1)
        self.slept: list[float] = []
        self.nap: Callable[[], None] = lambda: None
        self.refunds = self.service()

    def new_id(self) -> str:
        return f"id-{next(self._numbers)}"

    def _sleep(self, seconds: float) -> None:
        self.nap()
        self.slept.append(seconds)
        self.clock.advance(timedelta(seconds=seconds))

    def _allow(self, actor: Actor, action: Action, ref: Ref | None) -> bool:
        self.wire.asked.append((actor, action, ref))
        return self.wire.call("allow", lambda: self.allow(actor, action, ref))

    def service(self, gateway: PaymentGateway | None = None, journal: RefundJournal | None = None) -> Refunds:
        """A fresh service over the same ports: another process, or this one started again."""
        port = gateway if gateway is not None else WiredGateway(self.gateway, self.wire)
        store = journal if journal is not None else self.journal
        if self.kind == "sync":
            return RefundService(
                port,
                store,
                allow=self._allow,
                policy=self.policy,
                is_business_day=self.is_business_day,
                new_id=self.new_id,
                monotonic=self.clock.monotonic,
                observe=self.observe,
                sleep=self._sleep,
                payouts=self.funds,
            )

        async def allow(actor: Actor, action: Action, ref: Ref | None) -> bool:
            return self._allow(actor, action, ref)

        async def sleep(seconds: float) -> None:
            self._sleep(seconds)

        return Driven(
            AsyncRefundService(
                AwaitedGateway(port),
                AwaitedJournal(store),
                allow=allow,
                policy=self.policy,
                is_business_day=self.is_business_day,
                new_id=self.new_id,
                monotonic=self.clock.monotonic,
                observe=self.observe,
                sleep=sleep,
                payouts=AwaitedFunds(self.funds),
            )
        )

    # --- what tests say often -----------------------------------------------------------------------

    def pay(self, amount: str = "200.00", currency: str = "USD") -> PaymentRef:
        """A card payment, taken at the bank."""
        return self.bank.charge(Money.parse(amount, currency))

    def decision(self, ref: PaymentRef, *, by: Actor = MARIA) -> IssueRefund:
        """What a person decides after seeing a fresh quote."""
        return self.refunds.quote(ref, by=by).verified(by=by)

    def view(self, ref: AnyPayment, *, by: Actor = MARIA) -> PaymentView:
        """What `show` shows, through a service of its own, so that no counted call is spent on it."""
        service = RefundService(
            self.gateway, self.store, allow=anybody, policy=self.policy, monotonic=self.clock.monotonic
        )
        shown = service.show(ref, by=by)
        if isinstance(shown, Refused):
            raise LookupError(str(shown))
        return shown

    def events(self, ref: Ref) -> tuple[Event, ...]:
        """What the journal holds of this payment."""
        return self.store.load(ref).events

    def settle_down(self, *, until: timedelta = 32 * HOUR) -> None:
        """Let time pass with recovery running: every minute at first, then every half hour."""
        service = self.service(self.gateway, self.store)
        passed = timedelta(0)
        while passed < until:
            step = MINUTE if passed < 5 * MINUTE else 30 * MINUTE
            self.clock.advance(step)
            passed += step
            service.recover()


def refund_of(result: Refund | Refused) -> Refund:
    """The refund; a refusal is a failure of the test."""
    if isinstance(result, Refused):
        raise LookupError(f"refused: {result}")
    return result


def codes_of(result: object) -> tuple[str, ...]:
    """The codes of a refusal, in order; a result that is none is a failure of the test."""
    if isinstance(result, Quote):
        return tuple(reason.code for reason in result.refusals)
    if isinstance(result, Refused):
        return tuple(reason.code for reason in result.reasons)
    raise LookupError(f"not refused: {type(result).__name__}")
