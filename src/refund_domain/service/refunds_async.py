"""The service a host imports, in its async form: `service` with `await`, and nothing else different.

A test compares the two syntax trees. A cancelled task passes through unrecorded: its open claim is the record.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from typing import Final, cast

from refund_domain._checks import check_count, check_id, check_text, check_type
from refund_domain._wiring import check_async_ports
from refund_domain.answers import Missing, Unread
from refund_domain.commands import Action, Actor, Choice, IssueRefund
from refund_domain.decider.attention import DAMAGED, UNREADABLE, attention
from refund_domain.decider.decide import owed
from refund_domain.decider.inputs import (
    RecordOutside,
    RequestRefund,
    SettleAttention,
)
from refund_domain.errors import GatewayUnreadable, JournalDamaged, UnknownEvent
from refund_domain.money import Money
from refund_domain.operations.feeds import FeedPage, Window
from refund_domain.operations.health import Health
from refund_domain.operations.reconcile import (
    Outcome,
    Position,
    Reconciliation,
    Run,
    Unreconciled,
    check_feed,
    clock_ref,
    outcome_of,
    received_as,
)
from refund_domain.payments import AnyPayment, OutsideRef, PaymentRef
from refund_domain.policy import DEFAULT_POLICY, Policy
from refund_domain.ports import (
    AsyncJoiningJournal,
    AsyncLeavingJournal,
    AsyncPaymentGateway,
    AsyncPayoutSource,
    AsyncRefundFeed,
    AsyncRefundJournal,
)
from refund_domain.quotes import Quote, make_quote
from refund_domain.refusals import NotAllowed, NotFound, Refusal, Refused
from refund_domain.rules.arrival import weekdays
from refund_domain.service.bookings_async import AsyncBookings, AsyncSleep
from refund_domain.service.guard_async import AsyncAllow
from refund_domain.service.operate_async import note_recovery, read_health
from refund_domain.service.refunds import new_id
from refund_domain.service.stream import (
    Decided,
    Received,
    Recovery,
    Reported,
    Stream,
    Waiting,
    dealt,
    may_have_left,
    named,
)
from refund_domain.service.watch import Observe, Watch
from refund_domain.service.within import AsyncRefundsWithin
from refund_domain.signals import Signal
from refund_domain.views import PaymentView, Refund, view_payment

SLEEP: Final[AsyncSleep | None] = None
"""How a bulk run waits between two refunds; None: the host must say, for the core knows no event loop."""


class AsyncRefundService(AsyncBookings):
    """`RefundService` for asyncio or any other event loop; arguments, results and errors are the same.

    `allow` is awaited, and so is `sleep` (e.g. `asyncio.sleep`), which only the pace of a bulk run needs.
    `observe` is a plain function. Cancelling a call is safe at any point: what was claimed stays in doubt until a
    look settles it.

    >>> import asyncio
    >>> from refund_adapters.memory import AsyncMemoryGateway, AsyncMemoryJournal, MemoryBank, utc_now
    >>> async def anybody(actor, action, ref):
    ...     return True
    >>> async def refund_it():
    ...     bank = MemoryBank(utc_now)
    ...     payment = bank.charge(Money.parse("200.00", "USD"))
    ...     refunds = AsyncRefundService(AsyncMemoryGateway(bank), AsyncMemoryJournal(), allow=anybody)
    ...     maria = Actor(id="maria", tenant="acme")
    ...     quote = await refunds.quote(payment, by=maria)
    ...     return await refunds.issue(quote.verified(by=maria))
    >>> str(asyncio.run(refund_it()).status)
    'succeeded'
    """

    def __init__(
        self,
        gateway: AsyncPaymentGateway,
        journal: AsyncRefundJournal,
        *,
        allow: AsyncAllow,
        policy: Policy = DEFAULT_POLICY,
        is_business_day: Callable[[date], bool] = weekdays,
        new_id: Callable[[], str] = new_id,
        monotonic: Callable[[], float] = time.monotonic,
        observe: Observe | None = None,
        payouts: AsyncPayoutSource | None = None,
        sleep: AsyncSleep | None = SLEEP,
    ) -> None:
        check_type(policy, Policy, "policy")
        allow = check_async_ports(gateway, journal, allow, payouts)
        functions = {"is_business_day": is_business_day, "new_id": new_id, "monotonic": monotonic}
        for name, function in functions.items():
            if not callable(function):
                raise TypeError(f"{name} must be callable")
        if gateway.live and not journal.durable:
            raise ValueError(
                "a live gateway needs a durable journal, e.g. SqliteJournal or PostgresJournal: what this one "
                "forgets could be paid twice"
            )
        if payouts is not None and payouts.live is not gateway.live:
            raise ValueError("payouts and gateway must both be live, or both not: check their keys")
        self._gateway = gateway
        self._journal = journal
        self._allow = allow
        self._policy = policy
        self._is_business_day = is_business_day
        self._new_id = new_id
        self._monotonic = monotonic
        self._watch = Watch(observe, monotonic)
        self._payouts = payouts
        self._sleep = sleep

    # --- for people ---------------------------------------------------------------------------------

    async def _quote(self, ref: AnyPayment, by: Actor, watch: Watch) -> Quote:
        """What `quote` shows, but where the money will come from."""
        check_type(ref, (PaymentRef, OutsideRef), "ref")
        check_type(by, Actor, "by")
        request_id = self._mint()
        if not await self._may(by, Action.QUOTE, ref):
            refusals = (NotAllowed(action=Action.QUOTE),)
            return Quote(request_id=request_id, ref=ref, quoted_at=None, refusals=refusals)
        self._outside_transactions()
        stream = await self._load(ref)
        held: tuple[Refusal, ...] = ()
        not_found = Quote(request_id=request_id, ref=ref, quoted_at=None, refusals=(NotFound(),))
        if stream.ledger.tenant not in (None, by.tenant):
            return not_found
        if isinstance(ref, PaymentRef):
            stream, look, said = await self._sight(stream, ref, watch, by.tenant)
            if isinstance(look, Unread):
                raise GatewayUnreadable(look.why)
            if isinstance(look, Missing) or isinstance(said, Refused):
                return not_found
            held = await self._held(stream, ref, request_id=request_id, by=by)
        return make_quote(
            stream.ledger,
            ref,
            stream.now,
            self._policy,
            request_id=request_id,
            is_business_day=self._is_business_day,
            held=held,
        )

    async def issue(self, command: IssueRefund) -> Refund | Refused:
        """Write the decision down, look again, and send that amount or nothing.

        The same `request_id` always means the same refund, however often this is called. Once a send may
        have left, nothing is raised: the refund comes back `in_doubt`, and recovery goes on with it. Before
        that, `JournalError` and `TooContended` may be raised. The decision may be on record all the same, and
        recovery will carry it out: call again with the same command, and repay nothing by other means.
        """
        check_type(command, IssueRefund, "command")
        if not await self._may(command.by, Action.ISSUE, command.payment):
            return Refused((NotAllowed(action=Action.ISSUE),))
        self._outside_transactions()
        with self._watch.held(command.by.tenant) as watch:
            stream, said = await self._request(command, watch)
            if isinstance(said, Refused):
                return said
            stream = await self._go_on(stream, watch, raises=not may_have_left(stream.ledger))
            return self._outcome(stream, command)

    async def request(self, command: IssueRefund) -> Refund | Refused:
        """Write the decision down without touching the network; `dispatch` sends it.

        It is compared with what the journal last saw, so a quote must have been made (else `QuoteStale`).
        """
        check_type(command, IssueRefund, "command")
        if not await self._may(command.by, Action.REQUEST, command.payment):
            return Refused((NotAllowed(action=Action.REQUEST),))
        with self._watch.held(command.by.tenant) as watch:
            stream, said = await self._request(command, watch)
            if isinstance(said, Refused):
                return said
            return self._outcome(stream, command)

    async def show(self, ref: AnyPayment, *, by: Actor) -> PaymentView | Refused:
        """The payment and its refunds as the journal has them; no network."""
        check_type(ref, (PaymentRef, OutsideRef), "ref")
        check_type(by, Actor, "by")
        if not await self._may(by, Action.SHOW, ref):
            return Refused((NotAllowed(action=Action.SHOW),))
        stream = await self._load(ref)
        if stream.ledger.tenant != by.tenant and not self._untouched(stream):
            return Refused((NotFound(),))
        return self._view(stream)

    async def record_outside(
        self, ref: AnyPayment, amount: Money, *, by: Actor, how: str, record_id: str | None = None
    ) -> PaymentView | Refused:
        """Record that money was given back outside the platform (R2); nothing moves.

        At most what is left, and not while a refund is under way. The same `record_id` records once.
        """
        check_type(ref, (PaymentRef, OutsideRef), "ref")
        check_type(amount, Money, "amount")
        check_type(by, Actor, "by")
        check_text(how, "how", 120)
        record_id = self._mint() if record_id is None else record_id
        check_id(record_id, "record_id")
        if amount.amount_minor <= 0:
            raise ValueError("amount must be more than nothing")
        if not await self._may(by, Action.RECORD_OUTSIDE, ref):
            return Refused((NotAllowed(action=Action.RECORD_OUTSIDE),))
        stream = await self._load(ref)
        given = RecordOutside(at=stream.now, record_id=record_id, ref=ref, amount=amount, how=how, by=by)
        with self._watch.held(by.tenant) as watch:
            stream, said = await self._record(stream, given, watch)
            return said if isinstance(said, Refused) else self._view(stream)

    async def attention(self, *, by: Actor, limit: int = 100) -> tuple[Waiting, ...] | Refused:
        """What waits for a person in the actor's tenant, each with the choices `settle` takes.

        At most `limit` payments, by their refs: where as many come back, ask for more. `health().waiting` counts
        the payments that wait, of all tenants.
        A payment whose stream this worker cannot read stops no other: it is named, as `unreadable_stream`, or as
        `damaged_stream` where an event is missing.
        """
        check_type(by, Actor, "by")
        check_count(limit, "limit", 1)
        if not await self._may(by, Action.ATTENTION, None):
            return Refused((NotAllowed(action=Action.ATTENTION),))
        waiting: list[Waiting] = []
        known, asked = set[PaymentRef](), limit
        while True:
            refs = await self._journal.waiting(by.tenant, asked)
            for ref in refs:
                if ref not in known and (found := await self._waiting(ref, by.tenant)) is not None:
                    waiting.append(found)
            # The journal also names what another version left there, and for which nobody is waited for any more.
            if len(waiting) >= limit or len(refs) < asked:
                return tuple(waiting[:limit])
            known, asked = known.union(refs), 2 * asked

    async def _waiting(self, ref: PaymentRef, tenant: str) -> Waiting | None:
        try:
            stream = await self._load(ref)
        except (UnknownEvent, JournalDamaged) as error:
            # Whose it is stands in events that cannot be read: the journal named it for this tenant.
            return Waiting(payment=ref, items=(UNREADABLE if isinstance(error, UnknownEvent) else DAMAGED,))
        items = attention(stream.ledger) if stream.ledger.tenant == tenant else ()
        return Waiting(payment=ref, items=items) if items else None

    async def settle(
        self, ref: PaymentRef, *, subject: str, code: str, choice: Choice, by: Actor
    ) -> PaymentView | Refused:
        """Answer something that waits for a person. There is no choice that sends."""
        check_type(ref, PaymentRef, "ref")
        check_text(subject, "subject")
        check_text(code, "code")
        check_type(choice, Choice, "choice")
        check_type(by, Actor, "by")
        if not await self._may(by, Action.SETTLE, ref):
            return Refused((NotAllowed(action=Action.SETTLE),))
        stream = await self._load(ref)
        given = SettleAttention(at=stream.now, subject=subject, code=code, choice=choice, by=by)
        with self._watch.held(by.tenant) as watch:
            stream, said = await self._record(stream, given, watch)
            return said if isinstance(said, Refused) else self._view(stream)

    async def within(self, connection: object) -> AsyncRefundsWithin:
        """`request` and `record_outside` in the transaction that is open on the host's `connection`.

        Where the driver begins one with the first statement, this is the first: commit or roll back in any case.
        Raises TypeError for a journal or a connection that cannot join, ValueError where none is open and none
        begins, or where its commit could be lost under a live gateway, `JournalError` for another database.
        """
        if not hasattr(self._journal, "within"):
            raise TypeError(
                "this journal cannot join a host's transaction; those in a database can: SqliteJournal, "
                "PostgresJournal"
            )
        joined = await cast(AsyncJoiningJournal, self._journal).within(connection)
        try:
            service = AsyncRefundService(
                self._gateway,
                joined,
                allow=self._allow,
                policy=self._policy,
                is_business_day=self._is_business_day,
                new_id=self._new_id,
                monotonic=self._monotonic,
            )
        except ValueError:
            if hasattr(joined, "leave"):
                # A transaction that joining began, on a connection that is refused, would go on locking its file.
                await cast(AsyncLeavingJournal, joined).leave()
            raise
        return AsyncRefundsWithin(service)

    # --- for workers --------------------------------------------------------------------------------

    async def receive(self, signal: Signal) -> Received:
        """Look where this verified signal points and merge what the look shows; nothing else in it is believed.

        A refund of a payment that is known is merged, ours by its mark and amount or another's; a payment nobody
        has quoted yet is handed back and nothing is stored. Doubled, late or in any order: the same ledger in the
        end. Never claims, sends or ends a doubt. Raises `GatewayUnreadable` when the gateway cannot be read,
        `TooContended` where other looks kept finding something else, and `JournalError` for the journal: let your
        queue bring the signal again, or leave it to `recover`.
        """
        check_type(signal, Signal, "signal")
        if signal.ref is None:
            return Reported(signal=signal, why="it names no payment")
        compared = await self._compare(signal.ref)
        return received_as(signal, compared, self._view(compared.stream))

    async def reconcile(self, ref: PaymentRef) -> Outcome:
        """Look at this payment and merge what the look shows: as `receive`, without a signal.

        `Reconciled` tells what a person should see beside it: drift, evidence against a dispute, marks of ours
        that nothing explains. `Unowned`: nobody has quoted it, nothing was stored. `Unreconciled`: it cannot be
        read now. Never claims, sends or ends a doubt. There is no actor: the result is for whoever operates the
        host. Raises `JournalError` for the journal, and `TooContended` where other looks kept finding something
        else.
        """
        check_type(ref, PaymentRef, "ref")
        compared = await self._compare(ref)
        return outcome_of(ref, compared, self._view(compared.stream))

    async def reconcile_account(
        self,
        account: str,
        window: Window,
        *,
        feed: AsyncRefundFeed,
        limit: int = 100,
        after: Position | None = None,
        on_progress: Callable[[int], object] | None = None,
    ) -> Reconciliation:
        """Reconcile each payment of which `feed` names a refund or dispute created within the window.

        At most `limit` of them are taken up; the result's `position` is where the next call goes on, as `after`.
        One payment's trouble stops no other: it is named in `failed`. A page that cannot be read ends the call,
        and nothing is concluded from a list that was not read to its end: see `Reconciliation.until`.
        `on_progress` is called with how many were taken up so far; what it raises is ignored. `feed` is mostly the
        gateway itself. Raises `JournalError` where the journal cannot tell the time, TypeError or ValueError for
        odd arguments.
        """
        check_feed(feed, live=self._gateway.live)
        self._outside_transactions()
        now = (await self._journal.load(clock_ref(account))).now
        run = Run(account, window, limit, after, on_progress, now)
        while (place := run.place) is not None:
            for ref in run.to_look_at(place, await self._page(feed, place)):
                run.took(await self._try(ref))
        return run.result(self._policy)

    async def dispatch(self, ref: PaymentRef) -> PaymentView:
        """Do what this payment owes: look, decide afresh, claim, send. Nothing owed: nothing done.

        For a queue after `request` was committed; `str(ref)` and `PaymentRef.parse` carry it there. Safe to
        run any number of times, by any number of workers, and before there is anything to do.
        """
        check_type(ref, PaymentRef, "ref")
        self._outside_transactions()
        return self._view(await self._drive(await self._load(ref)))

    async def recover(self, limit: int = 100) -> Recovery:
        """Go on with up to `limit` payments whose look is due, those that are due longest. Run it often.

        Each run takes them in an order of its own, so that workers that recover at once seldom meet; what another
        has done meanwhile is passed over. One payment's trouble does not stop the others: it is named in the
        result. Neither counts towards `limit`.
        """
        check_count(limit, "limit", 1)
        self._outside_transactions()
        order = self._mint()
        looked, tried, failed = 0, set[PaymentRef](), dict[PaymentRef, str]()
        due = await self._journal.due(limit)
        while todo := [ref for ref in due if ref not in tried][: limit - looked]:
            for ref in dealt(todo, order):
                tried.add(ref)
                try:
                    stream = await self._load(ref)
                    if owed(stream.ledger, stream.now):
                        await self._drive(stream)
                        looked += 1
                except Exception as error:
                    failed[ref] = named(error)
            try:
                due = await self._journal.due(limit + len(tried))
            except Exception:
                # Sends may have left: what was done is told, the next run goes on.
                break
        await note_recovery(self._journal, looked, len(failed))
        return Recovery(looked=looked, failed=tuple(failed.items()))

    async def health(self) -> Health:
        """How the refunds of the whole journal stand, for a monitor: in doubt, overdue, waiting, last recovered.

        Over all tenants; there is no actor, and it names nobody. Raises `JournalError` for the journal, TypeError
        for one that keeps no figures.
        """
        return await read_health(self._journal, self._policy.licence)

    # --- small parts --------------------------------------------------------------------------------

    async def _page(self, feed: AsyncRefundFeed, place: Position) -> FeedPage | Unread:
        try:
            return await feed.page(place.account, place.window, place.subject, place.after)
        except Exception as error:
            return Unread(why=f"the feed raised {named(error)}")

    async def _try(self, ref: PaymentRef) -> Outcome:
        try:
            return await self.reconcile(ref)
        except Exception as error:
            return Unreconciled(payment=ref, why=named(error))

    async def _request(self, command: IssueRefund, watch: Watch) -> tuple[Stream, Decided]:
        stream = await self._load(command.payment)
        given = RequestRefund(at=stream.now, refund_id=self._mint(), command=command)
        return await self._command(stream, given, watch)

    def _mint(self) -> str:
        """A new id, checked before it is written anywhere: a journal keeps what it is given."""
        made = self._new_id()
        check_id(made, "what new_id returned")
        return made

    def _untouched(self, stream: Stream) -> bool:
        """Whether this is the host's own word on outside money of which nothing was recorded yet."""
        return isinstance(stream.ref, OutsideRef) and stream.ledger.tenant is None

    def _outcome(self, stream: Stream, command: IssueRefund) -> Refund | Refused:
        """The refund this command became; a dropped one is a refusal."""
        for record in stream.ledger.refunds:
            if record.request is not None and record.request.request_id == command.request_id:
                return self._shown(stream, command.payment, record)
        raise RuntimeError("a request that was accepted is not in its ledger")

    def _view(self, stream: Stream) -> PaymentView:
        now = stream.now_after(self._monotonic())
        return view_payment(stream.ledger, stream.ref, now, self._policy, self._is_business_day)
