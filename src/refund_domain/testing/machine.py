"""A Hypothesis state machine that a host points at its own wiring: `machine(make)`.

It takes payments, clicks, cuts lines, kills the process, lets time pass, and asks after every step what
`refund_domain.testing.promises` promises. Nothing in it is random but what Hypothesis draws.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

try:
    from hypothesis import note
    from hypothesis import strategies as st
    from hypothesis.stateful import (
        Bundle,
        MultipleResults,
        RuleBasedStateMachine,
        initialize,
        invariant,
        multiple,
        rule,
    )
except ImportError as error:
    raise ImportError("the state machine needs the extra: pip install 'refund-domain[testing]'") from error

from refund_domain.commands import Actor, Choice
from refund_domain.decider.attention import Attention
from refund_domain.errors import RefundError
from refund_domain.money import Money
from refund_domain.payments import PLATFORM, PaymentRef
from refund_domain.signals import Signal, Subject
from refund_domain.testing.laws import LawBroken, entered
from refund_domain.testing.promises import PROMISES, Page, Story, Taken, keep
from refund_domain.testing.weather import Crash, Play
from refund_domain.testing.wiring import Told, Wiring

T = TypeVar("T")

MARIA: Final = Actor(id="maria", tenant="acme")
ZOE: Final = Actor(id="zoe", tenant="zenith")
"""The people: each works for a tenant of their own, and may refund its payments and no others."""

PAYMENTS: Final = 4
"""How many payments a history has at most."""

KINDS: Final = {
    "card": (PLATFORM, "card"),
    "bank_transfer": (PLATFORM, "us_bank_account"),
    "connected": ("acct_1", "card"),
}
"""The kinds of payment: account and method."""

EDGES: Final = (
    "look_first answer_wait quote_valid executes_within poll_first resend_within request_valid end_after "
    "watch_most"
).split()
"""The spans of the policy that time jumps by, give or take a second."""

CALM: Final = tuple(timedelta(hours=hours) for hours in (0.1, 2, 12, 22, 28, 96, 192, 192, 192))
"""How time passes in the end, when everything works: longer than any matter may take to settle."""

TAMPERED: Final[dict[str, Callable[[Mapping[str, str]], Mapping[str, str]]]] = {
    "more": lambda form: {"amount_minor": str(int(form["amount_minor"]) + 1)},
    "less": lambda form: {"amount_minor": str(int(form["amount_minor"]) - 1)},
    "other currency": lambda form: {"currency": "JPY"},
    "other payment": lambda form: {"payment": "platform/ch_other"},
    "garbage": lambda form: {"request_id": "", "amount_minor": "all"},
}
"""What somebody makes of a page's hidden fields. Amounts go off by a cent, which no honest page ever shows."""

_CENTS: Final = 100
_WORKERS: Final = (Play.LOOK_WORKER, Play.WORKER_BEFORE, Play.WORKER_AFTER)
_PLAYS: Final = st.lists(st.sampled_from(Play), max_size=2)
_TABS: Final = st.sampled_from(("new", "latest", "first"))
_SHARES: Final = st.integers(1, 9)


class RefundMachine(RuleBasedStateMachine):
    """The machine over one wiring; made by `machine`, which sets `make`."""

    make: Callable[[], Wiring | AbstractContextManager[Wiring]]
    payments: Bundle[Taken] = Bundle("payments")

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._wiring = entered(self._stack, type(self).make())
        self._wiring.weather.tell = note
        self._story = Story(self._wiring)
        self._elapsed = timedelta(0)

    # --- payments ---------------------------------------------------------------------------------------------

    @initialize(target=payments, kind=st.sampled_from(sorted(KINDS)), dollars=st.integers(2, 500))
    def first_payment(self, kind: str, dollars: int) -> Taken:
        """A client of Maria's pays."""
        return self._take(kind, dollars, MARIA, ZOE)

    @rule(target=payments, kind=st.sampled_from(sorted(KINDS)), dollars=st.integers(2, 500), zoe=st.booleans())
    def payment(self, kind: str, dollars: int, zoe: bool) -> Taken | MultipleResults[Taken]:
        """Another client pays."""
        if len(self._story.taken) == PAYMENTS:
            return multiple()
        return self._take(kind, dollars, ZOE, MARIA) if zoe else self._take(kind, dollars, MARIA, ZOE)

    # --- people -----------------------------------------------------------------------------------------------

    @rule(taken=payments, plays=_PLAYS)
    def open_page(self, taken: Taken, plays: list[Play]) -> None:
        """Somebody opens the refund page in a new tab, and leaves it open."""
        with self._weather(plays):
            self._open(taken)

    @rule(taken=payments, plays=_PLAYS)
    def refund(self, taken: Taken, plays: list[Play]) -> None:
        """Somebody opens the refund page and presses the button."""
        if page := self._open(taken):
            with self._weather(plays):
                self._press(page, self._wiring.press)

    @rule(taken=payments, tab=_TABS, plays=_PLAYS, times=st.integers(1, 2))
    def press(self, taken: Taken, tab: str, plays: list[Play], times: int) -> None:
        """They press the button in one of their tabs, or double click it."""
        if page := self._tab(taken, tab):
            with self._weather(plays):
                for _ in range(times):
                    self._press(page, self._wiring.press)

    @rule(taken=payments, tabs=st.tuples(_TABS, _TABS), play=st.sampled_from(_WORKERS))
    def press_at_once(self, taken: Taken, tabs: tuple[str, str], play: Play) -> None:
        """While a press is on its way, the button is pressed again, there or in another tab."""
        first, second = (self._tab(taken, tab) for tab in tabs)
        if first and second:
            self._decide(second)
            with self._weather([play]):
                self._wiring.weather.worker = lambda: self._wiring.press(taken.ref, taken.owner, second.form)
                self._press(first, self._wiring.press)

    @rule(taken=payments, tab=_TABS)
    def ask(self, taken: Taken, tab: str) -> None:
        """They press the button, and the host leaves the sending to its queue."""
        if page := self._tab(taken, tab):
            with self._silent():
                self._press(page, self._wiring.ask)

    @rule(taken=payments, tab=_TABS, how=st.sampled_from(sorted(TAMPERED)))
    def press_tampered(self, taken: Taken, tab: str, how: str) -> None:
        """They have changed the page's hidden fields; the promises tell what must not come of it."""
        if page := self._tab(taken, tab):
            form = {**page.form, **TAMPERED[how](page.form)}
            told = self._try("pressing", lambda: self._wiring.press(taken.ref, taken.owner, form))
            note(f"they are told: {told}")

    @rule(taken=payments)
    def intrude(self, taken: Taken) -> None:
        """Somebody of another tenant opens the page, and presses the button of one that they got hold of."""
        with self._silent():
            form = self._try("opening a page", lambda: self._wiring.page(taken.ref, taken.stranger))
            keep("tenants_apart", form is None, "a page of", taken, "opened by", taken.stranger.tenant)
            for page in taken.pages:
                told = self._try("pressing", partial(self._wiring.press, taken.ref, taken.stranger, page.form))
                keep("tenants_apart", told is not Told.UNDER_WAY, taken.stranger.tenant, "refunding", taken)

    @rule(taken=payments)
    def cancel(self, taken: Taken) -> None:
        """The booking is cancelled."""
        before = self._story.held(taken), self._wiring.bank.refunds(taken.ref)
        with self._silent("cancelling_refunds_nothing"):
            self._try("cancelling", lambda: self._wiring.cancel(taken.ref, taken.owner))
        after = self._story.held(taken), self._wiring.bank.refunds(taken.ref)
        keep("cancelling_refunds_nothing", before == after, "a refund that was not there before, of", taken)

    @rule(taken=payments, share=_SHARES)
    def outside(self, taken: Taken, share: int) -> None:
        """A part was given back by check, and somebody writes that down."""
        amount = Money(share * _CENTS, taken.captured.currency)
        with self._silent():
            self._try("recording", lambda: self._wiring.outside(taken.ref, amount, taken.owner))

    @rule(taken=payments, choice=st.sampled_from(Choice))
    def settle(self, taken: Taken, choice: Choice) -> None:
        """Somebody answers all that waits for them."""
        with self._silent():
            for each in self._try("reading what waits", lambda: self._wiring.waiting(taken.owner)) or ():
                for item in each.items:
                    if choice in item.choices:
                        self._try("settling", partial(self._settle, each.payment, item, choice, taken.owner))

    # --- jobs -------------------------------------------------------------------------------------------------

    @rule(taken=payments, plays=_PLAYS)
    def job(self, taken: Taken, plays: list[Play]) -> None:
        """The queue brings a payment's job, whether there is something to do or not."""
        with self._weather(plays):
            self._try("doing the job", lambda: self._wiring.job(taken.ref))

    @rule(plays=_PLAYS)
    def work(self, plays: list[Play]) -> None:
        """The recovery job runs."""
        with self._weather(plays):
            self._try("recovering", self._wiring.work)

    @rule(taken=payments, subject=st.sampled_from(Subject), named=st.booleans(), plays=_PLAYS)
    def receive(self, taken: Taken, subject: Subject, named: bool, plays: list[Play]) -> None:
        """A webhook comes: early, late, for nothing, or without the payment's name."""
        charge = taken.ref.charge if named else None
        signal = Signal(
            id="evt_1", kind="refund.updated", account=taken.ref.account, subject=subject, charge=charge
        )
        with self._weather(plays), self._silent():
            self._try("receiving", lambda: self._wiring.receive(signal))

    @rule(taken=payments, plays=_PLAYS)
    def reconcile(self, taken: Taken, plays: list[Play]) -> None:
        """The daily look at a payment."""
        with self._weather(plays), self._silent():
            self._try("reconciling", lambda: self._wiring.reconcile(taken.ref))

    @rule()
    def restart(self) -> None:
        """The process is stopped and begins anew."""
        self._wiring.restart()

    # --- the world --------------------------------------------------------------------------------------------

    @rule(edge=st.sampled_from(EDGES), seconds=st.sampled_from((0, 1, -1)))
    def time_passes(self, edge: str, seconds: int) -> None:
        """As long as this span of the policy, give or take a second."""
        span: timedelta = getattr(self._wiring.policy, edge)
        self._forward(span + timedelta(seconds=seconds))

    @rule()
    def late_requests_arrive(self) -> None:
        """What was given up arrives at the bank after all."""
        self._wiring.weather.arrive()

    @rule(taken=payments, share=_SHARES)
    def dashboard(self, taken: Taken, share: int) -> None:
        """Somebody refunds a part in the dashboard, unless a request of ours is just arriving there."""
        left = taken.captured.amount_minor - self._story.live_minor(taken)
        part = Money(share * _CENTS, taken.captured.currency)
        arriving = any(request.ref == taken.ref for request in self._wiring.weather.held)
        if part.amount_minor < left and not arriving:
            self._wiring.bank.elsewhere(taken.ref, part)

    @rule(taken=payments)
    def dispute(self, taken: Taken) -> None:
        """The client disputes the payment."""
        if not taken.disputed:
            taken.disputed = True
            self._wiring.bank.dispute(taken.ref)

    @rule(taken=payments, fails=st.booleans())
    def bank_decides(self, taken: Taken, fails: bool) -> None:
        """The newest refund goes on at the bank, or fails there, however late; it is still watched."""
        legal = {"pending": True, "succeeded": fails}
        moving = [each for each in self._wiring.bank.refunds(taken.ref) if legal.get(each.status, False)]
        if moving and self._elapsed < self._wiring.policy.watch / 2:
            status, reason = ("failed", "declined") if fails else ("succeeded", None)
            self._wiring.bank.settle(moving[0].id, status, reason)

    # --- what must hold ---------------------------------------------------------------------------------------

    @invariant()
    def promises(self) -> None:
        """Every promise that must hold at any moment."""
        self._story.check()

    def teardown(self) -> None:
        """The faults stop, time passes, the jobs run: then everything must settle."""
        with self._stack:
            if sys.exception() is None:
                self._end()

    def _end(self) -> None:
        for span in CALM:
            self._forward(span)
            self._try("recovering", self._wiring.work)
        self._story.check()
        self._story.check_settled()
        for taken in self._story.taken:
            self._wiring.reconcile(taken.ref)
        self._story.check_reconciled()

    # --- small parts ------------------------------------------------------------------------------------------

    def _take(self, kind: str, dollars: int, owner: Actor, stranger: Actor) -> Taken:
        account, method = KINDS[kind]
        captured = Money.parse(f"{dollars}.00", "USD")
        ref = self._wiring.bank.charge(captured, account=account, method=method)
        self._wiring.own(ref, owner.tenant)
        taken = Taken(ref, captured, owner, stranger)
        self._story.taken.append(taken)
        return taken

    def _open(self, taken: Taken) -> Page | None:
        form = self._try("opening a page", lambda: self._wiring.page(taken.ref, taken.owner))
        if form is None:
            note("there is no button")
            return None
        note(f"the page says {form['amount_minor']} {form['currency']}")
        page = Page(taken, form, self._elapsed)
        taken.pages.append(page)
        return page

    def _tab(self, taken: Taken, tab: str) -> Page | None:
        """The first or the latest page that is open, or a new one; None where there is no button."""
        if tab == "new" or not taken.pages:
            return self._open(taken)
        return taken.pages[0 if tab == "first" else -1]

    @contextmanager
    def _weather(self, plays: list[Play]) -> Iterator[None]:
        """The next calls to the gateway go so; what befell none is over."""
        weather = self._wiring.weather
        worker = weather.worker
        weather.play(*plays)
        try:
            yield
        finally:
            weather.clear()
            weather.worker = worker

    def _decide(self, page: Page) -> None:
        """A press is a decision, unless the page is too old: then it must come to nothing."""
        if self._elapsed - page.opened_at <= self._wiring.policy.quote_valid:
            page.taken.pressed[page.form["request_id"]] = int(page.form["amount_minor"])

    def _press(self, page: Page, act: Callable[..., Told]) -> None:
        self._decide(page)
        taken = page.taken
        told = self._try("pressing", lambda: act(taken.ref, taken.owner, page.form))
        note(f"they are told: {told}")
        if told is None:
            return
        held = self._story.held(taken)
        if told is Told.UNDER_WAY:
            keep("told_the_truth", held is not None, "none of", taken)
            page.refund = held
        else:
            same = held is not None and page.refund is not None and held.id == page.refund.id
            keep("told_the_truth", not same, "a refusal by", page, "whose refund is under way")

    def _settle(self, ref: PaymentRef, item: Attention, choice: Choice, by: Actor) -> None:
        self._wiring.settle(ref, item.subject, item.code, choice, by)

    def _forward(self, span: timedelta) -> None:
        """Time passes; what is late arrives before as long has passed as a request may take."""
        if self._wiring.weather.held:
            soon = min(span, self._wiring.policy.executes_within / 2)
            self._pass(soon)
            self._wiring.weather.arrive()
            span -= soon
        self._pass(span)

    def _pass(self, span: timedelta) -> None:
        self._wiring.forward(span)
        self._elapsed += span

    def _silent(self, promise: str = "sent_by_button_or_worker") -> AbstractContextManager[None]:
        return self._story.silent(promise)

    def _try(self, doing: str, act: Callable[[], T]) -> T | None:
        """What came of it; None where the process died or an error page was shown."""
        sent = len(self._wiring.weather.sent)
        try:
            return act()
        except Crash:
            note(f"the process dies while {doing}")
            self._wiring.restart()
        except RefundError as error:
            note(f"{type(error).__name__} while {doing}")
            kept = len(self._wiring.weather.sent) == sent
            keep("nothing_raised", kept, type(error).__name__, "after a send, while", doing)
        except Exception as error:
            seen = f"{type(error).__name__} while {doing}"
            raise LawBroken("nothing_raised", PROMISES["nothing_raised"], seen) from error
        return None


def machine(make: Callable[[], Wiring | AbstractContextManager[Wiring]]) -> type[RefundMachine]:
    """The state machine over what `make` makes, a fresh wiring each time.

    Its `TestCase` is what pytest and unittest collect; `hypothesis.settings` on that says how many histories, and
    of how many steps. What `make` returns may be a context manager: it is left when the history is over. A broken
    promise is a `LawBroken` with the promise's name, after the shortest history that Hypothesis found for it.
    """
    if not callable(make):
        raise TypeError("make must be callable: it makes a fresh wiring for each history")
    return type("RefundsOverTime", (RefundMachine,), {"make": staticmethod(make)})
