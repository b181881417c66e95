"""The gateway port over a `MemoryBank`, and its feed, with faults on demand: sync and async, one computation.

A fault is data: which part of the request the bank executes, and what the caller gets to hear of it. What
each answer means is told in docs/explanation/stripe-facts.md, "Error classification".
"""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from enum import StrEnum
from typing import Final

import attrs

from refund_adapters.memory.bank import MemoryBank
from refund_adapters.memory.feed import PAGE_SIZE, page_of
from refund_adapters.memory.intents import resolved
from refund_adapters.memory.replies import BackReply, Breaks, ErrorReply, Reply
from refund_domain._checks import check_count, check_span, check_type
from refund_domain.answers import (
    Accepted,
    Answer,
    Ask,
    Declined,
    Look,
    Missing,
    NotSent,
    OutcomeUnknown,
    Reversal,
    Reversed,
    Send,
    Unread,
)
from refund_domain.connect import DestinationCharge, DirectCharge, TransferReversal
from refund_domain.operations.feeds import FeedPage, Window
from refund_domain.payments import PLATFORM, PaymentRef
from refund_domain.refusals import Refused
from refund_domain.signals import Signal, Subject


class Fault(StrEnum):
    """What goes wrong with one call. `LOOK_…` befall looks, `PAGE_…` pages of the feed, all others sends.

    Two take a time: `Fault.EXECUTES_LATE.after(timedelta(minutes=30))`. Those that raise take what to raise:
    `Fault.RAISES_UNSENT.raising(KeyboardInterrupt)`.

    >>> Fault.EXECUTES_LATE.after(timedelta(minutes=30)).delay
    datetime.timedelta(seconds=1800)
    >>> Fault.ANSWER_LOST.after(timedelta(minutes=30))
    Traceback (most recent call last):
    ...
    ValueError: answer_lost takes no time; executes_late and breaks_makes_later do
    """

    WORKS = "works"
    """A send that works: for a script in which the second one fails."""
    REQUEST_LOST = "request_lost"
    """Nothing executed; the caller timed out."""
    ANSWER_LOST = "answer_lost"
    """Executed; the caller timed out."""
    EXECUTES_LATE = "executes_late"
    """The caller timed out; the request arrives later by the bank's clock (30 min unless said)."""
    CONNECTION_REFUSED = "connection_refused"
    """Nothing left the machine."""
    UNAUTHORIZED = "unauthorized"
    """401: not executed, and a person must mend the credentials."""
    KEY_IN_USE = "key_in_use"
    """409: the same key is still being executed."""
    RATE_LIMITED = "rate_limited"
    """429: not executed."""
    BREAKS_MADE_NOTHING = "breaks_made_nothing"
    """500 kept for the key; nothing is made."""
    BREAKS_MADE_IT = "breaks_made_it"
    """500 kept for the key; the refund is made all the same."""
    BREAKS_MAKES_LATER = "breaks_makes_later"
    """500 kept for the key; the refund is made later by the bank's clock (1 h unless said)."""
    REDIRECTED = "redirected"
    """302: whoever answered was not the gateway, which executed nothing."""
    UNREADABLE = "unreadable"
    """Executed; a 200 came whose body cannot be read."""
    FOREIGN_BODY = "foreign_body"
    """Nothing executed; a 200 came with something that is not our refund."""
    RAISES_UNSENT = "raises_unsent"
    """A raw exception out of `send`, nothing executed: what an adapter must never do."""
    RAISES_SENT = "raises_sent"
    """A raw exception out of `send`, executed."""
    LOOK_WORKS = "look_works"
    """A look that works."""
    LOOK_UNREADABLE = "look_unreadable"
    """A page is missing, so the look is `Unread`."""
    LOOK_UNAUTHORIZED = "look_unauthorized"
    """401: `Unread`, and a person must mend the credentials."""
    LOOK_RAISES = "look_raises"
    """A raw exception out of `look`."""
    PAGE_WORKS = "page_works"
    """A page that works: for a script in which the second one fails."""
    PAGE_UNREADABLE = "page_unreadable"
    """A page of the feed is cut or missing, so it is `Unread`."""
    PAGE_RAISES = "page_raises"
    """A raw exception out of `page`."""

    @property
    def of_look(self) -> bool:
        """Whether it befalls a look."""
        return self.value.startswith("look_")

    @property
    def of_page(self) -> bool:
        """Whether it befalls a page of the feed."""
        return self.value.startswith("page_")

    @property
    def of_send(self) -> bool:
        """Whether it befalls a send."""
        return not self.of_look and not self.of_page

    def after(self, delay: timedelta) -> Planned:
        """This fault, the refund executing so much later."""
        return Planned(fault=self, delay=delay)

    def raising(self, error: type[BaseException]) -> Planned:
        """This fault, raising such an exception."""
        return Planned(fault=self, error=error)


_DELAYED: Final = (Fault.EXECUTES_LATE, Fault.BREAKS_MAKES_LATER)
_RAISING: Final = (Fault.RAISES_UNSENT, Fault.RAISES_SENT, Fault.LOOK_RAISES, Fault.PAGE_RAISES)


@attrs.frozen(kw_only=True)
class Planned:
    """A fault with its details: `delay` where something executes later, `error` where it raises.

    Refuses (ValueError) a detail the fault has no use for.
    """

    fault: Fault
    delay: timedelta | None = None
    error: type[BaseException] | None = None

    def __attrs_post_init__(self) -> None:
        if self.delay is not None:
            check_span(self.delay, "delay")
            if self.fault not in _DELAYED:
                raise ValueError(f"{self.fault} takes no time; {' and '.join(_DELAYED)} do")
        if self.error is not None and self.fault not in _RAISING:
            raise ValueError(f"{self.fault} raises nothing; {', '.join(_RAISING)} do")


@attrs.frozen
class _Play:
    """How a fault of a send goes: what the caller hears (None: an exception), what the bank does meanwhile."""

    heard: Answer | None
    executes: bool = False
    arrives_after: timedelta = timedelta(0)
    breaks: Breaks | None = None


_TIMEOUT: Final = OutcomeUnknown(why="timeout")
_BROKE: Final = OutcomeUnknown(why="http_500", resend=False)
_NOT_OURS: Final = OutcomeUnknown(why="not_our_refund", resend=False, alarm="not_our_refund")

_PLAYS: Final = {
    Fault.REQUEST_LOST: _Play(_TIMEOUT),
    Fault.ANSWER_LOST: _Play(_TIMEOUT, executes=True),
    Fault.EXECUTES_LATE: _Play(_TIMEOUT, executes=True, arrives_after=timedelta(minutes=30)),
    Fault.CONNECTION_REFUSED: _Play(NotSent(why="connection_refused")),
    Fault.UNAUTHORIZED: _Play(NotSent(why="http_401", alarm="credentials")),
    Fault.KEY_IN_USE: _Play(OutcomeUnknown(why="idempotency_key_in_use")),
    Fault.RATE_LIMITED: _Play(NotSent(why="rate_limit")),
    Fault.BREAKS_MADE_NOTHING: _Play(_BROKE, executes=True, breaks=Breaks()),
    Fault.BREAKS_MADE_IT: _Play(_BROKE, executes=True, breaks=Breaks(makes_after=timedelta(0))),
    Fault.BREAKS_MAKES_LATER: _Play(_BROKE, executes=True, breaks=Breaks(makes_after=timedelta(hours=1))),
    Fault.REDIRECTED: _Play(OutcomeUnknown(why="http_302", resend=False, alarm="not_stripe")),
    Fault.UNREADABLE: _Play(OutcomeUnknown(why="unreadable_body"), executes=True),
    Fault.FOREIGN_BODY: _Play(_NOT_OURS),
    Fault.RAISES_UNSENT: _Play(None),
    Fault.RAISES_SENT: _Play(None, executes=True),
}

_UNREAD: Final = {
    Fault.LOOK_UNREADABLE: Unread(why="a page is missing"),
    Fault.LOOK_UNAUTHORIZED: Unread(why="http_401", alarm="credentials"),
}
_MISSING: Final = Missing()


def look_at(bank: MemoryBank, ref: PaymentRef, planned: Planned | None = None) -> Look:
    """One look at the bank, under this fault: what both gateways do, for a gateway of your own."""
    if planned is not None:
        if planned.fault is Fault.LOOK_RAISES:
            raise _error(planned)
        unread = _UNREAD.get(planned.fault)
        if unread is not None:
            return unread
    return bank.picture(ref) or _MISSING


def page_from(
    bank: MemoryBank,
    account: str,
    window: Window,
    subject: Subject,
    after: str | None,
    planned: Planned | None = None,
    *,
    size: int = PAGE_SIZE,
) -> FeedPage | Unread:
    """One page of the bank's feed, under this fault: what both gateways do, for a gateway of your own."""
    if planned is not None and planned.fault is Fault.PAGE_RAISES:
        raise _error(planned)
    if planned is not None and planned.fault is Fault.PAGE_UNREADABLE:
        return Unread(why="the page was cut")
    return page_of(bank, account, window, subject, after, size)


def send_to(bank: MemoryBank, ask: Ask, planned: Planned | None = None) -> Answer:
    """One request to the bank, under this fault: what both gateways do, for a gateway of your own."""
    play = None if planned is None else _PLAYS.get(planned.fault)
    if planned is None or play is None:
        return _executed(bank, ask, None)
    arrives_after, breaks = play.arrives_after, play.breaks
    if planned.delay is not None and breaks is not None:
        breaks = Breaks(makes_after=planned.delay)
    elif planned.delay is not None:
        arrives_after = planned.delay
    if play.executes and arrives_after:
        _execute_later(bank, ask, arrives_after)
    elif play.executes:
        _executed(bank, ask, breaks)
    if play.heard is None:
        raise _error(planned)
    return play.heard


def _executed(bank: MemoryBank, ask: Ask, breaks: Breaks | None) -> Answer:
    """What comes of this request as it arrives now."""
    match ask:
        case Send():
            return _answer(ask, _execute(bank, ask, breaks))
        case Reversal(id=id, transfer=transfer, amount=amount):
            return _back(ask, bank.connect.reverse(transfer, amount, key=id, mark=id, breaks=breaks))


def _error(planned: Planned) -> BaseException:
    return (planned.error or RuntimeError)(f"scripted fault: {planned.fault}")


def _execute(bank: MemoryBank, send: Send, breaks: Breaks | None) -> Reply:
    return bank.refund(
        send.payment.account,
        send.payment.charge,
        send.amount.amount_minor,
        key=send.refund_id,
        mark=send.refund_id,
        reason=send.reason.value,
        reverse_transfer=_reverses(send),
        refund_application_fee=_returns_fee(send),
        breaks=breaks,
    )


def _execute_later(bank: MemoryBank, send: Ask, delay: timedelta) -> None:
    if isinstance(send, Reversal):
        bank.connect.reverse_later(delay, send.transfer, send.amount, key=send.id, mark=send.id)
        return
    bank.refund_later(
        delay,
        send.payment.account,
        send.payment.charge,
        send.amount.amount_minor,
        key=send.refund_id,
        mark=send.refund_id,
        reason=send.reason.value,
        reverse_transfer=_reverses(send),
        refund_application_fee=_returns_fee(send),
    )


def _reverses(send: Send) -> bool | None:
    """What the split asks of the transfer; where it asks nothing, nothing is said."""
    return True if isinstance(send.split, DestinationCharge) else None


def _returns_fee(send: Send) -> bool | None:
    """What the split asks of the fee; where it asks nothing, nothing is said."""
    return True if isinstance(send.split, (DirectCharge, DestinationCharge)) and send.split.return_fee else None


def _answer(send: Send, reply: Reply) -> Answer:
    """The bank's reply as one of the four answers (facts, "Error classification")."""
    if isinstance(reply, ErrorReply):
        return _no(reply)
    made = reply.refund
    ours = (made.amount, made.mark, reply.charge) == (send.amount, send.refund_id, send.payment.charge)
    return Accepted(refund=made) if ours else _NOT_OURS


def _back(asked: Reversal, reply: BackReply) -> Answer:
    """The bank's reply to a reversal as one of the four answers to it."""
    if isinstance(reply, ErrorReply):
        return _no(reply)
    if (reply.of, reply.amount, reply.mark) != (asked.transfer, asked.amount, asked.id):
        return _NOT_OURS
    return Reversed(reversal=TransferReversal(id=reply.id, amount=reply.amount, mark=reply.mark))


def _no(reply: ErrorReply) -> Declined | OutcomeUnknown:
    if reply.http_status >= 500:
        return OutcomeUnknown(why=f"http_{reply.http_status}", resend=False)
    if reply.type == "idempotency_error":
        return OutcomeUnknown(why=reply.type, resend=False, alarm="key_reused")
    # Often the gateway gives no code; the parameter it names tells then what little can be told.
    code = reply.code or ("amount_changed" if reply.param == "amount" else "not_explained")
    return Declined(code=code, alarm="not_found_in_account" if reply.http_status == 404 else None)


class _Scripted:
    """What both gateways have: a bank, the faults still to come, and a record of what was asked."""

    def __init__(self, bank: MemoryBank, *, live: bool = False, page_size: int = PAGE_SIZE) -> None:
        check_count(page_size, "page_size", 1)
        self._bank = bank
        self._live = live
        self._page_size = page_size
        self._looks: deque[Planned] = deque()
        self._pages: deque[Planned] = deque()
        self._sends: deque[Planned] = deque()
        self._looked: list[PaymentRef] = []
        self._sent: list[Ask] = []

    @property
    def live(self) -> bool:
        """Whether it claims to move real money; True only to see a forgetful journal refuse it."""
        return self._live

    @property
    def sent(self) -> tuple[Send, ...]:
        """Every refund asked of this gateway, whatever became of it."""
        return tuple(ask for ask in self._sent if isinstance(ask, Send))

    @property
    def reversals(self) -> tuple[Reversal, ...]:
        """Every reversal of a transfer asked of this gateway, whatever became of it."""
        return tuple(ask for ask in self._sent if isinstance(ask, Reversal))

    @property
    def looked(self) -> tuple[PaymentRef, ...]:
        """What every look asked of this gateway was at."""
        return tuple(self._looked)

    @property
    def unplayed(self) -> tuple[Planned, ...]:
        """The faults still to come, those of looks first: a test may insist that none is left."""
        return (*self._looks, *self._pages, *self._sends)

    def script(self, *faults: Fault | Planned) -> None:
        """Queue faults: each send, look and page takes the next one of its kind, in order."""
        for fault in faults:
            planned = fault if isinstance(fault, Planned) else Planned(fault=fault)
            for queue, meant in (
                (self._looks, planned.fault.of_look),
                (self._pages, planned.fault.of_page),
                (self._sends, planned.fault.of_send),
            ):
                if meant:
                    queue.append(planned)

    def _look(self, ref: PaymentRef) -> Look:
        self._looked.append(ref)
        return look_at(self._bank, ref, _next(self._looks))

    def _page(self, account: str, window: Window, subject: Subject, after: str | None) -> FeedPage | Unread:
        fault = _next(self._pages)
        return page_from(self._bank, account, window, subject, after, fault, size=self._page_size)

    def _send(self, ask: Ask) -> Answer:
        self._sent.append(ask)
        return send_to(self._bank, ask, _next(self._sends))


def _next(faults: deque[Planned]) -> Planned | None:
    try:  # ask and take in one, as another thread may take the last one in between
        return faults.popleft()
    except IndexError:
        return None


class MemoryGateway(_Scripted):
    """`PaymentGateway` and `RefundFeed` over a bank in memory; threads may share it.

    >>> from datetime import datetime, timezone
    >>> from refund_domain.commands import Reason
    >>> from refund_domain.money import Money
    >>> from refund_domain.connect import PlatformCharge
    >>> bank = MemoryBank(lambda: datetime(2026, 3, 2, 9, tzinfo=timezone.utc))
    >>> ref = bank.charge(Money.parse("200.00", "USD"))
    >>> gateway = MemoryGateway(bank)
    >>> gateway.script(Fault.ANSWER_LOST)
    >>> send = Send(refund_id="r1", claim=1, payment=ref, amount=Money.parse("200.00", "USD"),
    ...             reason=Reason.DUPLICATE, split=PlatformCharge())
    >>> gateway.send(send).why, bank.made(ref), gateway.look(ref).refunds[0].mark
    ('timeout', 1, 'r1')
    >>> gateway.send(send).refund.id, bank.made(ref)
    ('re_1', 1)
    """

    def look(self, ref: PaymentRef, /) -> Look:
        """The bank's picture, `Missing`, or what the next scripted fault makes of it."""
        return self._look(ref)

    def page(self, account: str, window: Window, subject: Subject, after: str | None, /) -> FeedPage | Unread:
        """A page of what the account's refunds or disputes were, the newest first, as `RefundFeed` has it."""
        return self._page(account, window, subject, after)

    def send(self, ask: Ask, /) -> Answer:
        """One request to the bank, or what the next scripted fault makes of it."""
        return self._send(ask)

    def resolve(self, id: str, *, account: str = PLATFORM) -> PaymentRef | Refused:
        """The charge behind an id of the bank's, as Stripe's gateways find it: `bank.intents` makes such ids."""
        return resolved(self._bank, id, account)

    def locate(self, signal: Signal) -> Signal:
        """The signal as it is: so a worker that locates what Stripe tells needs no other code with this bank."""
        check_type(signal, Signal, "signal")
        return signal


class AsyncMemoryGateway(_Scripted):
    """`MemoryGateway`, awaited: the same two ports in their async form. It never really waits."""

    async def look(self, ref: PaymentRef, /) -> Look:
        """The bank's picture, `Missing`, or what the next scripted fault makes of it."""
        return self._look(ref)

    async def page(
        self, account: str, window: Window, subject: Subject, after: str | None, /
    ) -> FeedPage | Unread:
        """A page of what the account's refunds or disputes were, the newest first, as `RefundFeed` has it."""
        return self._page(account, window, subject, after)

    async def send(self, ask: Ask, /) -> Answer:
        """One request to the bank, or what the next scripted fault makes of it."""
        return self._send(ask)

    async def resolve(self, id: str, *, account: str = PLATFORM) -> PaymentRef | Refused:
        """The charge behind an id of the bank's, as Stripe's gateways find it: `bank.intents` makes such ids."""
        return resolved(self._bank, id, account)

    async def locate(self, signal: Signal) -> Signal:
        """The signal as it is: so a worker that locates what Stripe tells needs no other code with this bank."""
        check_type(signal, Signal, "signal")
        return signal
