"""The two ports, and two optional ones, with their contracts in prose, each in a sync and an async form.

An adapter is right when it passes `refund_domain.testing.check_gateway`, `check_journal`, `check_feed` or
`check_payouts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import attrs

from refund_domain.answers import Answer, Ask, Look, Missing, Unread
from refund_domain.events import Event
from refund_domain.operations.feeds import FeedPage, Window
from refund_domain.operations.health import Figures
from refund_domain.payments import PaymentRef, Ref
from refund_domain.payouts.entries import EntryPage
from refund_domain.payouts.funds import Funds, Payout
from refund_domain.signals import Subject


class PaymentGateway(Protocol):
    """Where the money is. Two calls, and there is no third: nothing stops or reverses a refund (R6).

    `live` says whether real money moves; a journal that forgets refuses a live gateway.

    `look` reads one complete picture: the charge, its refunds to the last page, its disputes if the charge
    says disputed, and what was shared of it: the platform's fee, the transfers of a separate charge, and every
    reversal of a transfer of which any came back. Any page
    missing, unreadable or contradictory: `Unread`, never a partial picture. A charge this account does not hold:
    `Missing`. It may retry, it never writes, and it never falls back to another account. It does not raise for
    anything the network or the gateway does.

    `send` asks for one refund in exactly one HTTP request: the explicit amount, `refund_id` as idempotency
    key and as mark in the metadata, at the account of the ref, with what its `split` says. It never retries and
    never raises once the first byte may have left: any Exception after that is `OutcomeUnknown`. It answers
    `Accepted` only for a body that is this refund: amount, currency, charge and mark agree. `CancelledError` and
    `KeyboardInterrupt` pass through. Asked for a `Reversal` it does the same with one transfer, at the platform
    and under `id`, and says yes as `Reversed`: transfer, amount, currency and mark agree.
    """

    @property
    def live(self) -> bool: ...

    def look(self, ref: PaymentRef, /) -> Look: ...

    def send(self, ask: Ask, /) -> Answer: ...


class AsyncPaymentGateway(Protocol):
    """`PaymentGateway` for the async service; the contract is the same."""

    @property
    def live(self) -> bool: ...

    async def look(self, ref: PaymentRef, /) -> Look: ...

    async def send(self, ask: Ask, /) -> Answer: ...


class RefundFeed(Protocol):
    """What an account's refunds and disputes were, page by page: for reconciling it, and for nothing else.

    `page(account, window, subject, after)` gives one page of the refunds (`Subject.REFUND`) or the disputes
    (`Subject.DISPUTE`) of this account that were created within the window, everybody's, in one order that never
    changes for what is listed (the newest or the oldest first): the first page, or the one behind the object
    whose id is `after`, which an earlier page named. A page that is missing, cut, unreadable, or that cannot
    begin behind `after`: `Unread`, never a part of it and never the list from its start. It does not fall back to
    another account, and it does not raise for anything the network or the gateway does.

    `live` as the gateway's.
    """

    @property
    def live(self) -> bool: ...

    def page(self, account: str, window: Window, subject: Subject, after: str | None, /) -> FeedPage | Unread: ...


class AsyncRefundFeed(Protocol):
    """`RefundFeed` for the async service; the contract is the same."""

    @property
    def live(self) -> bool: ...

    async def page(
        self, account: str, window: Window, subject: Subject, after: str | None, /
    ) -> FeedPage | Unread: ...


class PayoutSource(Protocol):
    """What an account holds and pays out: for forecasts and statements, and for nothing else. It only reads.

    `funds(account)` gives the payouts in progress and the balance of each currency, of one moment as near as calls
    allow. `payout(account, id)` gives one payout, whatever its state, with when the automatic one of its currency
    before it was made; `Missing` where this account has none.

    `entries(account, payout, window, after)` gives one page of entries, each once, in one order that never
    changes for what is listed: those the gateway itself counts to this automatic, reconciled payout (`window`
    None), its own entry included or not; or all of the payout's currency that were created within the window,
    for an estimate. The first page, or the one that an earlier page's `after` asks for. A payout that is not
    reconciled after all: `Unread`.

    `holding(account, refund)` gives the payout that the entry of the gateway's refund of this id is in, failed
    ones included; None while it is in none that is reconciled, or has no entry yet; `Missing` where this account
    has no such refund. Payouts that are not automatic hold nothing.

    Whatever is missing, cut, unreadable or contradictory: `Unread`, never a part of it. It may wait and repeat a
    read; it does not fall back to another account, and does not raise for anything the network or the gateway
    does. `live` as the gateway's.
    """

    @property
    def live(self) -> bool: ...

    def funds(self, account: str, /) -> Funds | Unread: ...

    def payout(self, account: str, id: str, /) -> Payout | Missing | Unread: ...

    def entries(
        self, account: str, payout: Payout, window: Window | None, after: str | None, /
    ) -> EntryPage | Unread: ...

    def holding(self, account: str, refund: str, /) -> Payout | Missing | Unread | None: ...


class AsyncPayoutSource(Protocol):
    """`PayoutSource` for the async service; the contract is the same."""

    @property
    def live(self) -> bool: ...

    async def funds(self, account: str, /) -> Funds | Unread: ...

    async def payout(self, account: str, id: str, /) -> Payout | Missing | Unread: ...

    async def entries(
        self, account: str, payout: Payout, window: Window | None, after: str | None, /
    ) -> EntryPage | Unread: ...

    async def holding(self, account: str, refund: str, /) -> Payout | Missing | Unread | None: ...


@attrs.frozen(kw_only=True)
class Loaded:
    """What a journal read: the events after the asked version, the version now, the journal's clock.

    `latest` is the latest time this journal knows of: of any event it holds, of any `now` it gave. Where
    `now` lies behind it by more than the skew, the clock has jumped back, and the rules only look.
    """

    events: tuple[Event, ...]
    version: int
    now: datetime
    latest: datetime


@attrs.frozen(kw_only=True)
class Head:
    """What a journal indexes of a stream: its owner, when a look is due, whether a person is waited for, and since
    when a refund of it, or a leg of one, is in doubt."""

    tenant: str
    look_at: datetime | None
    waiting: bool
    doubt_since: datetime | None = None


@attrs.frozen(kw_only=True)
class Tailed:
    """One event as `tail` gives it: where it stands, `str(ref)` of its stream, its version there, and itself.

    `position` is the journal's own text; keep it and hand it back, and compare it with nothing.
    """

    position: str
    stream: str
    version: int
    event: Event


class RefundJournal(Protocol):
    """Where the events are kept: one stream per ref, versions 1, 2, 3 … without gaps.

    `durable`: what an append returned from has survived a crash of process and machine. The service refuses
    a live gateway otherwise.

    `load(ref, after)` gives the events after version `after` (0: all), the version, and the journal's time.
    An unknown stream is empty, version 0. An event this version of the library does not know: `UnknownEvent`.
    Of the three kinds of ref only a payment's stream is ever due or waiting (outside money, and switches and days,
    have no gateway behind them).

    `append(ref, events, expected, head)` adds all the events or none, and only if the stream is at version
    `expected`: else `JournalConflict`. It replaces the stream's head, and returns the journal's time, read when
    the events stood already. It never retries by itself: an append of which nobody knows whether it committed
    raises `JournalUnavailable`.

    `due(limit)` names streams whose `look_at` has come, the longest due first. `waiting(tenant, limit)`
    names the tenant's streams whose head says that a person is waited for.

    `tail(after, limit)` gives what was appended behind position `after` (empty: from the beginning), each event
    once and each stream's in their order, for an outbox. It stops before the oldest open transaction, so that
    whatever commits later still comes behind every position that was given.

    `in_transaction` is true while the calling code has an open transaction on the journal's connection.
    """

    @property
    def durable(self) -> bool: ...

    @property
    def in_transaction(self) -> bool: ...

    def load(self, ref: Ref, /, after: int = 0) -> Loaded: ...

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime: ...

    def due(self, limit: int, /) -> tuple[PaymentRef, ...]: ...

    def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]: ...

    def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]: ...


class JoiningJournal(RefundJournal, Protocol):
    """A journal that can be written within a host's own transaction.

    `within(connection)` is the same journal on the host's open DB-API connection: what it appends is committed
    or rolled back with the host's transaction, and it never ends that. A race is `JournalConflict` and leaves the
    transaction usable where the database can, for the host to repeat. It refuses a connection of another
    kind (TypeError), one without a transaction (ValueError), one to another database (`JournalUnavailable`).
    It is `durable` as far as the host's connection is, and has no `tail` (ValueError).
    """

    def within(self, connection: object, /) -> RefundJournal: ...


class LeavingJournal(RefundJournal, Protocol):
    """What `JoiningJournal.within` gives where it may have begun the host's transaction itself.

    `leave()` rolls back what `within` began on the host's connection, and nothing that the host began. It is asked
    for only before anything was read or written there: by a service that refuses the connection after all.
    """

    def leave(self) -> None: ...


class OperatedJournal(RefundJournal, Protocol):
    """A journal that an operator may watch, export and have personal data erased from.

    `figures(young)` counts what the heads tell, over all tenants, at the cost of an index; a doubt younger than
    `young` is not counted. `note_recovery(looked, failed)` keeps how a run of `recover` went in place of the last
    one's, with the journal's time; every handle is told of it, after a restart too.

    `history(tenant, after, limit)` gives the events of the tenant's own streams behind position `after` (empty:
    from the beginning), by stream in the order of their names' code points and by version within, never another's.

    `erase(tenant, events)` puts these events, as `history` gave them but erased, in their places: all or none. It
    is the one call that changes what stands. Refused (ValueError) is a place that is not the tenant's, and
    whatever is no erasure of what stands there (`refund_domain.operations.erasure.is_erasure`). Versions, times,
    positions and heads stay; appends go on beside it, and who holds an older ledger loses nothing.

    `begin_erasure(tenant, scope, key)` gives the key of the tenant's erasure that was begun and not ended, or
    keeps this one; it is another scope's: `JournalBusy`, unless the scope is empty, which takes any over.
    `end_erasure(tenant, key)` forgets key and scope of the erasure that has this key, and no other's: a run that
    is late must not end the next one. When it returns nothing of what was erased is left in the journal's own
    files, as far as the database lets that be seen to.
    """

    def figures(self, young: timedelta, /) -> Figures: ...

    def note_recovery(self, looked: int, failed: int, /) -> None: ...

    def history(self, tenant: str, after: str, limit: int, /) -> tuple[Tailed, ...]: ...

    def erase(self, tenant: str, events: Sequence[Tailed], /) -> None: ...

    def begin_erasure(self, tenant: str, scope: str, key: str, /) -> str: ...

    def end_erasure(self, tenant: str, key: str, /) -> None: ...


class AsyncRefundJournal(Protocol):
    """`RefundJournal` for the async service; the contract is the same."""

    @property
    def durable(self) -> bool: ...

    @property
    def in_transaction(self) -> bool: ...

    async def load(self, ref: Ref, /, after: int = 0) -> Loaded: ...

    async def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime: ...

    async def due(self, limit: int, /) -> tuple[PaymentRef, ...]: ...

    async def waiting(self, tenant: str, limit: int, /) -> tuple[PaymentRef, ...]: ...

    async def tail(self, after: str, limit: int, /) -> tuple[Tailed, ...]: ...


class AsyncJoiningJournal(AsyncRefundJournal, Protocol):
    """`JoiningJournal` for the async service; the contract is the same."""

    async def within(self, connection: object, /) -> AsyncRefundJournal: ...


class AsyncLeavingJournal(AsyncRefundJournal, Protocol):
    """`LeavingJournal` for the async service; the contract is the same."""

    async def leave(self) -> None: ...


class AsyncOperatedJournal(AsyncRefundJournal, Protocol):
    """`OperatedJournal` for the async service; the contract is the same."""

    async def figures(self, young: timedelta, /) -> Figures: ...

    async def note_recovery(self, looked: int, failed: int, /) -> None: ...

    async def history(self, tenant: str, after: str, limit: int, /) -> tuple[Tailed, ...]: ...

    async def erase(self, tenant: str, events: Sequence[Tailed], /) -> None: ...

    async def begin_erasure(self, tenant: str, scope: str, key: str, /) -> str: ...

    async def end_erasure(self, tenant: str, key: str, /) -> None: ...
