"""The bank's books: what happens to its records, by its clock. `MemoryBank` is the face, and holds the lock.

Nothing here is random, and nothing happens but inside a call.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import attrs

from refund_adapters.memory import _schedules, _sharing, replies
from refund_adapters.memory._disputes import Disputed
from refund_adapters.memory._records import CARDS, Ask, AskBack, Charge, Refund
from refund_adapters.memory._shares import Back, Fee, Moved
from refund_adapters.memory.course import ENDED, NOW, Course
from refund_adapters.memory.intents import Opened
from refund_adapters.memory.news import News
from refund_adapters.memory.payout import Paid, Topup
from refund_adapters.memory.replies import Breaks, CameBack, Made, Received, Reply
from refund_domain._checks import check_time
from refund_domain.answers import Picture
from refund_domain.payments import PaymentRef, PaymentStatus

_ACH: Final = frozenset(["us_bank_account", "ach_debit"])
_ACH_LEAST_MINOR: Final = 50
# Which event announces `canceled` is not established; it is taken to be the ordinary one (facts, "Webhooks").
_ENDS: Final = {"failed": "refund.failed", "canceled": "refund.updated"}
_REASONS: Final = frozenset(["duplicate", "fraudulent", "requested_by_customer", None])


class Books:
    """All records of one bank and what happens to them, by its clock. Not safe for threads by itself."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        *,
        cap: bool,
        key_life: timedelta,
        list_lag: timedelta | Callable[[], timedelta],
        figure_lags: bool,
        refuse_disputed: bool,
    ) -> None:
        self.clock = clock
        self.now = clock()
        check_time(self.now, "what clock() returns")
        self.cap, self.key_life, self.list_lag = cap, key_life, list_lag
        self.figure_lags, self.refuse_disputed = figure_lags, refuse_disputed
        self.charges: dict[tuple[str, str], Charge] = {}
        self.refunds: dict[str, Refund] = {}
        self.disputes: dict[str, Disputed] = {}
        self.transfers: dict[str, Moved] = {}
        self.groups: dict[str, list[Moved]] = {}
        self.fees: dict[str, Fee] = {}
        self.intents: dict[tuple[str, str], Opened] = {}
        self.sessions: dict[tuple[str, str], str | None] = {}
        self.payouts: dict[str, Paid] = {}
        self.topups: list[Topup] = []
        # Balances that are what their rows say, and when those that wait there look again.
        self.schedules: dict[tuple[str, str], _schedules.Schedule] = {}
        self.wakes: dict[tuple[str, str], datetime] = {}
        self.news: list[News] = []
        self.listener: Callable[[Books, News], None] | None = None
        self.balances: dict[tuple[str, str], int] = {}  # an account without a row has an ample balance
        self.unfunded: dict[tuple[str, str], list[Refund]] = {}
        self.keys: dict[tuple[str, str], tuple[datetime, Ask | AskBack, Reply | CameBack]] = {}
        self.received: list[Received] = []
        # What will happen by itself, soonest first. Each takes the books as argument, so that a copy of the
        # books acts on itself and not on the original.
        self.agenda: list[tuple[datetime, int, Callable[[Books], None]]] = []
        self._numbers: Counter[str] = Counter()

    def __getstate__(self) -> dict[str, object]:
        """A copy has nobody listening: what happens in it did not happen."""
        return {**self.__dict__, "listener": None}

    # -- time -----------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Let happen what has come due, each at its own time. A clock that runs back is taken to stand still."""
        now = self.clock()
        agenda = self.agenda
        while agenda and agenda[0][0] <= now:
            at, _, happen = heapq.heappop(agenda)
            if at > self.now:
                self.now = at
            happen(self)
        if now > self.now:
            self.now = now

    def later(self, after: timedelta, happen: Callable[[Books], None]) -> None:
        """Let this happen so much later; after no time at all, at once."""
        if after > NOW:
            heapq.heappush(self.agenda, (self.now + after, self.number("agenda"), happen))
        else:
            happen(self)

    def number(self, kind: str) -> int:
        """The next number of this kind: 1, 2, 3 …"""
        self._numbers[kind] += 1
        return self._numbers[kind]

    def tell(self, type: str, account: str, object_id: str, charge: str | None) -> None:
        """This has just happened: write it down, and let whoever listens see the books as they are now."""
        news = News(type, account, object_id, charge, self.now)
        self.news.append(news)
        if self.listener is not None:
            self.listener(self, news)

    # -- what is asked --------------------------------------------------------------------------------------

    def charge(self, ref: PaymentRef) -> Charge:
        """The record behind a ref; ValueError if there is none."""
        charge = self.charges.get((ref.account, ref.charge))
        if charge is None:
            raise ValueError("the bank holds no such charge at this account")
        return charge

    def refund(self, refund_id: str) -> Refund:
        """The record of a refund; ValueError if there is none."""
        refund = self.refunds.get(refund_id)
        if refund is None:
            raise ValueError("the bank holds no such refund")
        return refund

    def picture(self, charge: Charge) -> Picture:
        """What a look shows: drawn anew only after a change."""
        if charge.picture is None:
            listed = [refund for refund in reversed(charge.refunds) if refund.shown_at <= self.now]
            figure = charge.live_minor
            if self.figure_lags:
                figure = sum(refund.minor for refund in listed if refund.status not in ENDED)
            charge.picture = Picture(
                payment=charge.shown(figure, self.now), refunds=tuple(map(Refund.shown, listed))
            )
        return charge.picture

    # -- create requests ------------------------------------------------------------------------------------

    def receive(self, ask: Ask, key: str | None, breaks: Breaks | None) -> Reply:
        """One create request arrives: replayed, refused before execution, or executed (facts, "Idempotency")."""
        kept = self.kept(ask.account, key)
        reply: Reply
        if kept is not None:
            _, first, told = kept
            # The kind of the reply goes with the kind of the request.
            same = first == ask and not isinstance(told, CameBack)
            reply = attrs.evolve(told, replayed=True) if same else replies.OTHER_PARAMETERS  # type: ignore[assignment]
        elif ask.amount_minor is not None and ask.amount_minor < 1:
            reply = replies.BAD_AMOUNT
        elif ask.reason not in _REASONS:
            reply = replies.BAD_REASON
        else:
            reply = self._execute(ask, breaks)
            if key is not None:
                self.keys[ask.account, key] = (self.now, ask, reply)
        received = Received(
            account=ask.account,
            charge=ask.charge,
            amount_minor=ask.amount_minor,
            key=key,
            mark=ask.mark,
            at=self.now,
            reply=reply,
        )
        self.received.append(received)
        return reply

    def receive_later(self, after: timedelta, ask: Ask, key: str | None, breaks: Breaks | None) -> None:
        """The same, so much later: until then it is on its way and nothing is kept of it."""
        self.later(after, partial(Books._arrive, ask=ask, key=key, breaks=breaks))

    def _arrive(self, ask: Ask, key: str | None, breaks: Breaks | None) -> None:
        self.receive(ask, key, breaks)

    def kept(self, account: str, key: str | None) -> tuple[datetime, Ask | AskBack, Reply | CameBack] | None:
        """The result kept for this key, unless there is none or its life is over."""
        kept = None if key is None else self.keys.get((account, key))
        return kept if kept is not None and self.now - kept[0] < self.key_life else None

    def lag(self) -> timedelta:
        """How long after it was made a list shows the next thing that is made."""
        return self.list_lag if isinstance(self.list_lag, timedelta) else self.list_lag()

    def _execute(self, ask: Ask, breaks: Breaks | None) -> Reply:
        if breaks is None:
            return self._create(ask)
        if breaks.makes_after is not None:
            self.later(breaks.makes_after, partial(Books._complete, ask=ask))
        return replies.BROKEN

    def _complete(self, ask: Ask) -> None:
        """What a broken server makes all the same; nobody hears what comes of it."""
        self._create(ask)

    def _create(self, ask: Ask) -> Reply:
        charge = self.charges.get((ask.account, ask.charge))
        if charge is None:
            return replies.NO_CHARGE
        left = charge.captured_minor - charge.live_minor
        minor = left if ask.amount_minor is None else ask.amount_minor
        refusal = self._refusal(charge, minor, left)
        shares = ask.reverse_transfer or ask.refund_application_fee
        if refusal is None and shares:
            refusal = _sharing.refusal(self, charge, ask, minor)
        if refusal is not None:
            return refusal
        pulled = _sharing.before_refund(self, charge, ask, minor) if shares else None
        refund = self.make(charge, minor, ask.mark, ask=ask, reversal=pulled.transfer if pulled else None)
        charge.made += 1
        if pulled is not None:
            _sharing.after_refund(self, charge, refund.id, pulled)
        return Made(refund=refund.shown(), charge=charge.ref.charge)

    def _refusal(self, charge: Charge, minor: int, left: int) -> replies.ErrorReply | None:
        if charge.captured_minor == 0:
            return replies.NOT_CAPTURED
        if charge.status is PaymentStatus.FAILED:
            return replies.NOT_REFUNDABLE
        if self.refuse_disputed and charge.charged_back:
            return replies.CHARGE_DISPUTED
        if minor < 1 or (self.cap and left < 1):
            return replies.ALREADY_REFUNDED
        if self.cap and minor > left:
            return replies.TOO_MUCH
        if charge.method in _ACH and minor < _ACH_LEAST_MINOR:
            return replies.TOO_SMALL
        return None

    # -- the life of a refund -------------------------------------------------------------------------------

    def make(
        self,
        charge: Charge,
        minor: int,
        mark: str | None,
        course: Course | None = None,
        list_lag: timedelta | None = None,
        *,
        ask: Ask | None = None,
        reversal: Back | None = None,
    ) -> Refund:
        """Make a refund, whatever the rules say, and send it on its way."""
        if list_lag is None:
            list_lag = self.lag()
        if course is None:
            course = charge.courses[0]
            charge.courses = charge.courses[1:] or charge.courses
        prefix = "re" if charge.method in CARDS else "pyr"
        refund = Refund(f"{prefix}_{self.number(prefix)}", charge, minor, mark, course, self.now)
        refund.ask = ask
        if reversal is not None:
            refund.reversal = reversal.id
        self.refunds[refund.id] = refund
        charge.refunds.append(refund)
        charge.live_minor += minor
        self.hide(refund, list_lag)
        self.enter(refund)
        refund.told = True
        self.tell("refund.created", *refund.place)
        if refund.status in ENDED:
            self.tell(_ENDS[refund.status], *refund.place)
        else:
            self.tell("charge.refunded", charge.ref.account, charge.ref.charge, charge.ref.charge)
        return refund

    def hide(self, refund: Refund, list_lag: timedelta) -> None:
        """Let the list show it only once it is this old."""
        refund.shown_at = refund.created_at + list_lag
        refund.touch()
        self.later(refund.shown_at - self.now, partial(Books._appear, refund=refund))

    def _appear(self, refund: Refund) -> None:
        refund.touch()

    def enter(self, refund: Refund) -> None:
        """On its way, if the payment has settled and the funds are there; else it waits or fails for want."""
        charge = refund.charge
        if charge.status is PaymentStatus.PENDING:
            self.move(refund, "pending", "charge_pending")
        elif charge.status is PaymentStatus.FAILED:
            self.move(refund, "failed", "unknown")
        elif self.covers(charge.purse, refund.minor):
            self.pay(refund)
            self._advance(refund)
        elif charge.method in CARDS:
            self.unfunded.setdefault(charge.purse, []).append(refund)
            self.move(refund, "pending", "insufficient_funds")
            if charge.purse in self.schedules:
                _schedules.wait(self, charge.purse)
        else:
            self.move(refund, "failed", "insufficient_funds")

    def _advance(self, refund: Refund) -> None:
        """The next step of its course, unless somebody settled it by hand meanwhile."""
        if refund.todo:
            step, *ahead = refund.todo
            refund.todo = tuple(ahead)
            self.move(refund, step.status, step.reason)
            if ahead:
                self.later(ahead[0].after, partial(Books._advance, refund=refund))

    def move(self, refund: Refund, status: str, reason: str | None) -> None:
        """Give it this status; the edge must be legal. What ends frees the amount and gives the money back."""
        ended = status in ENDED
        refund.status = status
        refund.failure_reason = reason if ended else None
        refund.pending_reason = None if ended or status == "succeeded" else reason
        refund.touch()
        if ended:
            refund.charge.live_minor -= refund.minor
            if refund.paid:
                refund.paid = False
                refund.back_at = self.now
                self.give(refund.charge.purse, refund.minor)
        elif status == "succeeded" and refund.charge.method in CARDS:
            refund.trace = refund.course.trace
            if refund.course.trace_after is not None and refund.trace != "reversal":
                self.later(refund.course.trace_after, partial(Books._trace, refund=refund))
        if refund.told:
            self.tell(_ENDS.get(status, "refund.updated"), *refund.place)

    def _trace(self, refund: Refund) -> None:
        if refund.status == "succeeded":
            refund.reference = f"7{self.number('reference'):022}"
            refund.touch()
            self.tell("refund.updated", *refund.place)

    # -- balances -------------------------------------------------------------------------------------------

    def have(self, purse: tuple[str, str]) -> int | None:
        """What this balance has to give; None while it is ample."""
        return _schedules.available(self, purse) if purse in self.schedules else self.balances.get(purse)

    def covers(self, purse: tuple[str, str], minor: int) -> bool:
        """Whether a refund may draw so much on it; where the bank account is debited, below zero, too."""
        if purse in self.schedules and self.schedules[purse].debits:
            return True
        have = self.have(purse)
        return have is None or have >= minor

    def pay(self, refund: Refund) -> None:
        """Take its money from the balance, once, even below zero."""
        if not refund.paid:
            refund.paid = True
            refund.paid_at = self.now
            if refund.charge.purse in self.balances:
                self.balances[refund.charge.purse] -= refund.minor

    def give(self, purse: tuple[str, str], minor: int) -> None:
        """Add to a counted balance and let those that waited for it go on, the oldest first.

        Of a scheduled one the rows have told already.
        """
        if purse in self.balances:
            self.balances[purse] += minor
            self.serve(purse)
        elif purse in self.schedules:
            _schedules.serve(self, purse)

    def serve(self, purse: tuple[str, str]) -> None:
        """Let each refund that waits for funds try again, the oldest first."""
        for refund in self.unfunded.pop(purse, ()):
            if refund.waits_for("insufficient_funds"):
                self.enter(refund)
