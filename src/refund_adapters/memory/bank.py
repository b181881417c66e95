"""A bank in memory: the truth behind the gateway port, for tests, demos and simulators. No money, no network.

It holds what the gateway would hold (charges, refunds, disputes, balances, idempotency keys) and does what
the gateway would do, by a clock the caller owns. Nothing in it is random: the same calls give the same ids,
times and replies. What the real gateway does is told in docs/explanation/stripe-facts.md, sections "Statuses
and transitions", "Reasons", "Error classification" and "Idempotency".
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from types import TracebackType

from refund_adapters.clock import utc_now
from refund_adapters.memory import _disputes, _schedules, _sharing
from refund_adapters.memory._books import Books
from refund_adapters.memory._records import CARDS, Ask, Charge
from refund_adapters.memory.connect import Connect
from refund_adapters.memory.course import ENDED, Course, may_become
from refund_adapters.memory.intents import Intents
from refund_adapters.memory.news import News
from refund_adapters.memory.payouts import Payouts
from refund_adapters.memory.replies import Breaks, Received, Reply
from refund_domain._checks import check_span, check_text, check_time, check_tuple, check_type
from refund_domain.answers import Picture
from refund_domain.money import Currency, Money
from refund_domain.payments import PLATFORM, ChargeKind, GatewayRefund, PaymentRef, PaymentStatus


class Turn:
    """One caller's turn at the books: the lock held, and what has come due by the clock already done."""

    __slots__ = ("books", "lock")

    def __init__(self, books: Books) -> None:
        self.books = books
        self.lock = threading.Lock()

    def __enter__(self) -> Books:
        self.lock.acquire()
        try:
            self.books.tick()
        except BaseException:
            self.lock.release()
            raise
        return self.books

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lock.release()


class MemoryBank:
    """What a gateway truly holds, with every state and failure on demand.

    `clock` gives the bank's time (aware datetimes); one that runs back is taken to stand still. Refunds move
    along their `Course`, late requests arrive and traces appear when their time has come, at the next call of
    any kind. Threads may share a bank: one lock guards every call. The clock must not call the bank.

    `cap`: refuse refunds beyond what was captured. `key_life`: an idempotency key is forgotten this long after
    its first use. `list_lag`: a charge's list shows a refund this long after it was made; a callable is asked
    once for each refund. `figure_lags`: the charge's own figure of what was given back waits for the list
    instead of moving at once. `refuse_disputed`: no refund while a chargeback is open or lost.

    >>> from datetime import timezone
    >>> bank = MemoryBank(lambda: datetime(2026, 3, 2, 9, tzinfo=timezone.utc))
    >>> ref = bank.charge(Money.parse("200.00", "USD"))
    >>> reply = bank.refund(ref.account, ref.charge, 20_000, key="k1", mark="k1")
    >>> reply.refund.status, bank.made(ref), str(bank.live(ref))
    ('succeeded', 1, '200.00 USD')
    >>> bank.refund(ref.account, ref.charge, 20_000, key="k2", mark="k2").code
    'charge_already_refunded'
    >>> bank.refund("acct_other", ref.charge, 20_000, key="k3", mark="k3").code
    'resource_missing'
    """

    def __init__(
        self,
        clock: Callable[[], datetime] = utc_now,
        *,
        cap: bool = True,
        key_life: timedelta = timedelta(hours=24),
        list_lag: timedelta | Callable[[], timedelta] = timedelta(0),
        figure_lags: bool = False,
        refuse_disputed: bool = True,
    ) -> None:
        check_span(key_life, "key_life")
        if not callable(list_lag):
            check_span(list_lag, "list_lag")
        books = Books(
            clock,
            cap=cap,
            key_life=key_life,
            list_lag=list_lag,
            figure_lags=figure_lags,
            refuse_disputed=refuse_disputed,
        )
        self._turn = Turn(books)

    @property
    def turn(self) -> Turn:
        """For a face over the bank: `with bank.turn as books` is one turn at its records, under its lock."""
        return self._turn

    @property
    def connect(self) -> Connect:
        """Transfers and application fees, by hand."""
        return Connect(self._turn)

    @property
    def intents(self) -> Intents:
        """PaymentIntents and checkout sessions."""
        return Intents(self._turn)

    @property
    def payouts(self) -> Payouts:
        """Payouts, balance transactions and balances."""
        return Payouts(self._turn)

    # -- payments -------------------------------------------------------------------------------------------

    def charge(
        self,
        amount: Money,
        *,
        account: str = PLATFORM,
        method: str = "card",
        captured: Money | None = None,
        fee: Money | None = None,
        settled: bool = True,
        settles_on: date | None = None,
        taken_at: datetime | None = None,
        kind: ChargeKind | None = None,
        course: Course | None = None,
        id: str | None = None,
        destination: str | None = None,
        passed_on: Money | None = None,
        application_fee: Money | None = None,
        group: str | None = None,
    ) -> PaymentRef:
        """Take a payment; the ref of its charge comes back.

        `method` is the gateway's word ("card", "card_present", "us_bank_account", "klarna" …). `captured`: all
        of it by default; zero is an uncaptured payment. `settled=False`: a debit still under way, which
        `settle_payment` or `fail_payment` ends; cards know no such thing. `course`: what becomes of its
        refunds; a card's succeed at once, any other's are pending for three days first. `id` is given only
        where a test needs it, the same in two accounts for instance; `kind` only where a charge is to be shown as
        what it is not.

        `destination`: the connected account that a charge of the platform's is passed on to, all of it unless
        `passed_on` says how much. `application_fee` is what the platform takes of a direct or a destination
        charge. `group`: transfers made for it by hand carry the same word (`connect.transfer`).

        Refuses (ValueError) an amount of nothing, more captured than charged, mixed currencies, an id the
        account already holds, and what cannot be shared so.
        """
        check_type(amount, Money, "amount")
        check_text(method, "method", 60)
        captured = amount if captured is None else captured
        if amount.amount_minor <= 0 or not Money.zero(amount.currency) <= captured <= amount:
            raise ValueError("amount must be more than nothing, and captured from nothing to all of it")
        if fee is not None and fee.currency != amount.currency:
            raise ValueError("fee must be in the currency of amount")
        if not settled and method in CARDS:
            raise ValueError("a card payment does not wait for settlement; leave settled=True")
        if taken_at is not None:
            check_time(taken_at, "taken_at")
        with self._turn as books:
            prefix = "ch" if method in CARDS else "py"
            ref = PaymentRef(account, f"{prefix}_{books.number(prefix)}" if id is None else id)
            if (account, ref.charge) in books.charges:
                raise ValueError("this account already holds a charge of this id")
            charge = Charge(ref, amount, captured.amount_minor, method, taken_at or books.now)
            charge.fee, charge.settles_on = fee, settles_on
            charge.kind = kind or (ChargeKind.PLATFORM if account == PLATFORM else ChargeKind.DIRECT)
            if course is not None:
                charge.courses = (course,)
            if not settled:
                charge.status = PaymentStatus.PENDING
            _sharing.share(
                books,
                charge,
                destination=destination,
                passed_on=passed_on,
                application_fee=application_fee,
                group=group,
            )
            books.charges[account, ref.charge] = charge
            _schedules.serve_all(books)
            return ref

    def plan(self, ref: PaymentRef, *courses: Course) -> None:
        """Give the next refunds of this charge these courses, one each; the last serves all that follow."""
        check_tuple(courses, Course, "courses")
        if not courses:
            raise ValueError("name at least one course")
        with self._turn as books:
            books.charge(ref).courses = courses

    def settle_payment(self, ref: PaymentRef) -> None:
        """The debit has arrived; refunds that waited for it go on. ValueError if it was not under way."""
        self._end_payment(ref, PaymentStatus.SUCCEEDED)

    def fail_payment(self, ref: PaymentRef) -> None:
        """The debit has failed; refunds that waited for it fail with it. ValueError if it was not under way."""
        self._end_payment(ref, PaymentStatus.FAILED)

    def _end_payment(self, ref: PaymentRef, status: PaymentStatus) -> None:
        with self._turn as books:
            charge = books.charge(ref)
            if charge.status is not PaymentStatus.PENDING:
                raise ValueError("this payment is not waiting for settlement")
            charge.status, charge.settled_at = status, books.now
            charge.touch()
            for refund in charge.refunds:
                if refund.waits_for("charge_pending"):
                    books.enter(refund)
            _schedules.serve_all(books)

    # -- disputes -------------------------------------------------------------------------------------------

    def dispute(self, ref: PaymentRef, amount: Money | None = None, *, status: str = "needs_response") -> str:
        """The client disputes this payment (all that was captured by default); the dispute's id comes back.

        `status` is the gateway's word: "needs_response" and "under_review" are an open chargeback,
        "warning_needs_response" an inquiry. Counted balances are left alone; `drain` can say what a chargeback
        took.
        """
        with self._turn as books:
            return _disputes.open_dispute(books, books.charge(ref), amount, status)

    def move_dispute(self, dispute_id: str, status: str) -> None:
        """An open dispute moves on, to "under_review" for instance, or ends (ValueError: not from where it is)."""
        with self._turn as books:
            _disputes.move_dispute(books, dispute_id, status)

    def disputes(self, ref: PaymentRef) -> tuple[tuple[str, datetime], ...]:
        """The id of every dispute of this charge, with when it was opened."""
        with self._turn as books:
            charge = books.charge(ref)
            return tuple((name, books.disputes[name].opened_at) for name in charge.disputes)

    def close_dispute(self, dispute_id: str, status: str = "lost") -> None:
        """End an open dispute: a chargeback as "won" or "lost", an inquiry as "warning_closed" (or ValueError)."""
        if status not in _disputes.OVER:
            raise ValueError(f"no dispute ends as {status}")
        self.move_dispute(dispute_id, status)

    # -- balances -------------------------------------------------------------------------------------------

    def drain(self, account: str, left: Money) -> None:
        """From now on this account's balance in this currency is counted, and `left` is all there is.

        Until then it is ample. Refunds draw on it and failed ones give back; new payments add nothing, as
        their money is not available at once. Too little: a card refund waits (pending, insufficient_funds)
        until `fund` or a failed refund brings enough; any other refund fails (facts, "Funds, payouts, fees").
        Refuses (ValueError) a balance paid out on a schedule, which is what its rows say (`payouts.schedule`).
        """
        check_type(left, Money, "left")
        with self._turn as books:
            purse = account, left.currency.code
            if purse in books.schedules:
                raise ValueError("this balance is what its rows say since `payouts.schedule`: drain it without")
            books.balances[purse] = left.amount_minor
            books.serve(purse)

    def fund(self, account: str, amount: Money) -> None:
        """Add to a counted balance; refunds that waited for it go on, the oldest first. Ample stays ample.

        A balance paid out on a schedule is topped up from the bank account, a row of its own.
        """
        check_type(amount, Money, "amount")
        if amount.amount_minor <= 0:
            raise ValueError("amount must be more than nothing; drain says what is left")
        with self._turn as books:
            _schedules.fund(books, account, amount)

    def balance(self, account: str, currency: str) -> Money | None:
        """What refunds draw on (it may be negative), None while it is ample."""
        kind = Currency.of(currency)
        with self._turn as books:
            minor = books.have((account, kind.code))
        return None if minor is None else Money(minor, kind)

    # -- refunds --------------------------------------------------------------------------------------------

    def refund(
        self,
        account: str,
        charge: str,
        amount_minor: int | None,
        *,
        key: str | None,
        mark: str | None = None,
        reason: str | None = None,
        reverse_transfer: bool | None = None,
        refund_application_fee: bool | None = None,
        metadata: Mapping[str, str] | None = None,
        breaks: Breaks | None = None,
    ) -> Reply:
        """One create request arrives now: what it does and what it is told (facts, "Idempotency").

        `amount_minor` None means all that is left, `key` None that nothing guards against a second one: the
        gateway's own traps. The reply is kept for (account, key) once execution has begun; a refused parameter
        begins none, and neither does a key that comes back with other parameters. `breaks`: the server breaks
        meanwhile. `reverse_transfer` and `refund_application_fee` pull back the transfer's part of a destination
        charge and return the fee's (facts, "Connect"). Raises TypeError for an amount that is no plain int.
        """
        ask = _ask(account, charge, amount_minor, mark, reason, reverse_transfer, refund_application_fee, metadata)
        with self._turn as books:
            return books.receive(ask, key, breaks)

    def refund_later(
        self,
        after: timedelta,
        account: str,
        charge: str,
        amount_minor: int | None,
        *,
        key: str | None,
        mark: str | None = None,
        reason: str | None = None,
        reverse_transfer: bool | None = None,
        refund_application_fee: bool | None = None,
        metadata: Mapping[str, str] | None = None,
        breaks: Breaks | None = None,
    ) -> None:
        """The same request held up on its way: it arrives so much later, and nobody hears the reply."""
        check_span(after, "after")
        ask = _ask(account, charge, amount_minor, mark, reason, reverse_transfer, refund_application_fee, metadata)
        with self._turn as books:
            books.receive_later(after, ask, key, breaks)

    def elsewhere(
        self,
        ref: PaymentRef,
        amount: Money | None = None,
        *,
        course: Course | None = None,
        list_lag: timedelta | None = None,
    ) -> str:
        """A refund made in the dashboard: all that is left, or `amount`, without a mark; its id comes back.

        Refuses (ValueError) nothing at all, another currency and, under the cap, more than what is left.
        """
        with self._turn as books:
            charge = books.charge(ref)
            left = charge.captured_minor - charge.live_minor
            if amount is not None and amount.currency != charge.amount.currency:
                raise ValueError("amount must be in the currency of the charge")
            minor = left if amount is None else amount.amount_minor
            if minor <= 0 or (books.cap and minor > left):
                raise ValueError("a refund is of more than nothing and, under the cap, at most what is left")
            return books.make(charge, minor, None, course, list_lag).id

    def settle(
        self,
        refund_id: str,
        status: str,
        failure_reason: str | None = None,
        *,
        pending_reason: str | None = None,
    ) -> None:
        """Move a refund now; what its course still had in store is off.

        Refuses (ValueError) an unknown id and every edge a `Course` refuses. A refund that waited for funds and
        is moved on takes them all the same: the balance may go below zero.
        """
        check_text(status, "status", 60)
        with self._turn as books:
            refund = books.refund(refund_id)
            if not may_become(refund.status, status):
                raise ValueError(f"a refund that is {refund.status} cannot become {status}")
            refund.todo = ()
            if status not in ENDED:
                books.pay(refund)
            books.move(refund, status, failure_reason if status in ENDED else pending_reason)

    def show_after(self, refund_id: str, list_lag: timedelta) -> None:
        """Let the list show this refund only once it is this old, whatever the bank's own lag."""
        check_span(list_lag, "list_lag")
        with self._turn as books:
            books.hide(books.refund(refund_id), list_lag)

    # -- what one may ask -----------------------------------------------------------------------------------

    def picture(self, ref: PaymentRef) -> Picture | None:
        """The charge and its refunds as the gateway shows them now, newest first; None: no such charge.

        The very same object comes back while nothing has changed.
        """
        with self._turn as books:
            charge = books.charges.get((ref.account, ref.charge))
            return None if charge is None else books.picture(charge)

    def find(self, account: str, refund_id: str) -> GatewayRefund | None:
        """One refund by its id, listed or not; None if this account has none of this id."""
        with self._turn as books:
            refund = books.refunds.get(refund_id)
            mine = refund is not None and refund.charge.ref.account == account
            return refund.shown() if refund is not None and mine else None

    def refunds(self, ref: PaymentRef) -> tuple[GatewayRefund, ...]:
        """The truth: every refund of the charge, newest first, also those the list does not show yet."""
        with self._turn as books:
            return tuple(refund.shown() for refund in reversed(books.charge(ref).refunds))

    def made(self, ref: PaymentRef) -> int:
        """How many refunds create requests have really made of this charge; the dashboard's do not count."""
        with self._turn as books:
            return books.charge(ref).made

    def live(self, ref: PaymentRef) -> Money:
        """The sum of the charge's live refunds, everybody's: all but the failed and the canceled."""
        with self._turn as books:
            charge = books.charge(ref)
            return Money(charge.live_minor, charge.amount.currency)

    def authorised(self, ref: PaymentRef) -> Money:
        """What the payment was for, captured or not."""
        with self._turn as books:
            return books.charge(ref).amount

    @property
    def received(self) -> tuple[Received, ...]:
        """Every create request that reached the bank, in the order of arrival."""
        with self._turn as books:
            return tuple(books.received)

    def news(self, since: int = 0) -> tuple[News, ...]:
        """What happened, in order, the first `since` left out: what webhooks would tell."""
        with self._turn as books:
            return tuple(books.news[since:])

    @property
    def next_at(self) -> datetime | None:
        """When the next thing will happen by itself; None: nothing will."""
        with self._turn as books:
            return books.agenda[0][0] if books.agenda else None

    def tick(self) -> datetime:
        """Let happen what has come due, each at its own time, and tell the time. Every call does so first."""
        with self._turn as books:
            return books.now

    def copy(self) -> MemoryBank:
        """An independent bank in the same state, on the same clock; `copy.deepcopy` copies the clock, too."""
        with self._turn as books:
            shared = {id(books.clock): books.clock, id(books.list_lag): books.list_lag}
            twin = copy.copy(self)
            twin._turn = Turn(copy.deepcopy(books, shared))
            return twin

    def __deepcopy__(self, memo: dict[int, object]) -> MemoryBank:
        with self._turn as books:
            twin = copy.copy(self)
            memo[id(self)] = twin
            twin._turn = Turn(copy.deepcopy(books, memo))
            return twin


def _ask(
    account: str,
    charge: str,
    amount_minor: int | None,
    mark: str | None,
    reason: str | None,
    reverse_transfer: bool | None,
    refund_application_fee: bool | None,
    metadata: Mapping[str, str] | None,
) -> Ask:
    if amount_minor is not None and type(amount_minor) is not int:
        raise TypeError(f"amount_minor must be an int of minor units, not {type(amount_minor).__name__}")
    said = () if metadata is None else tuple(sorted(metadata.items()))
    return Ask(account, charge, amount_minor, mark, reason, reverse_transfer, refund_application_fee, said)
