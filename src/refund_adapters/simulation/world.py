"""The simulated world: true time, the bank, the journal, the workers. Nothing in it is random."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from refund_adapters.memory import MemoryBank
from refund_adapters.simulation import paying
from refund_adapters.simulation.actions import Deliver, Start
from refund_adapters.simulation.guarded import guarded_policy
from refund_adapters.simulation.invariants import Checker
from refund_adapters.simulation.modes import Mode
from refund_adapters.simulation.ports import WORKS, Handle, Shared
from refund_adapters.simulation.reconciling import Asked
from refund_adapters.simulation.scenario import COURSES, USD, Scenario
from refund_adapters.simulation.told import raised, returned
from refund_adapters.simulation.webhooks import Webhooks
from refund_adapters.simulation.workers import Flight, Op, Worker, begin
from refund_domain.connect import ChargeKind
from refund_domain.money import Money
from refund_domain.operations.reconcile import Position
from refund_domain.payments import PaymentRef
from refund_domain.policy import Policy
from refund_domain.ports import RefundJournal
from refund_domain.quotes import Quote
from refund_domain.signals import Subject

START: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_SECOND: Final = timedelta(seconds=1)
DESTINATION: Final = "acct_2"
"""The connected account that destination charges are passed on to."""
_SELLER: Final = "acct_seller"
STEP_US: Final = 10_000
"""How long one step takes, in microseconds of true time."""
_STEP: Final = STEP_US * _US

MakeHandle = Callable[[Callable[[], datetime]], RefundJournal]
"""Makes one worker's handle on the seed's journal, given that worker's clock."""


class World:
    """One seed's world. `us` is true time in microseconds since `START`; nobody in it knows it exactly."""

    def __init__(self, scenario: Scenario, mode: Mode, make_handle: MakeHandle | None = None) -> None:
        self.scenario, self.mode = scenario, mode
        self.start_time = START
        self.us = 0
        self.now = START
        self.fault, self.delay_s = WORKS, 0
        self.ids = 0
        self.bank_next: datetime | None = None  # when the bank will do something by itself, as far as was asked
        self.executes_most_us = mode.executes_most // _US
        self.licence_us = Policy().licence // _US
        self.resend_us = (Policy().resend_within + 2 * Policy().clock_skew) // _US
        self.key_life_us = Policy().key_life // _US
        plain = mode.policy(
            accept_unsettled_ach=scenario.unsettled_accepted, return_application_fee=scenario.fee_returned
        )
        self.policy: Policy = guarded_policy(plain, scenario)
        self.shared = Shared()
        self._make_handle = make_handle or (lambda clock: Handle(self.shared, clock))
        self._lag = 0
        self.bank = MemoryBank(
            lambda: self.now,
            cap=mode.caps,
            key_life=mode.key_life,
            list_lag=self._next_lag,
            figure_lags=scenario.figure_lags,
            refuse_disputed=scenario.refuse_disputed,
        )
        self.transfers: dict[PaymentRef, tuple[str, ...]] = {}
        self.payments = self._take_payments()
        paying.begin(self)
        taken = tuple(zip(self.payments, scenario.payments, strict=True))
        self.kinds = {ref: payment.kind for ref, payment in taken}
        self.webhooks = Webhooks(self.payments) if mode.webhooks else None
        self.ops: dict[int, Op] = {}
        self.graveyard: list[Flight] = []
        self.checker = Checker(self)
        self.workers = [Worker(self, number, offset) for number, offset in enumerate(scenario.offsets)]
        self.driven = Op(-1, self.workers[0], "nobody", 0, 0)
        self.disputes: list[tuple[int, str]] = []
        self.standing: dict[str, tuple[Asked, Position]] = {}  # by account: the run that stopped in the middle
        self.ended: set[str] = set()  # the accounts of which a run said up to when it is done
        self.counts: dict[str, int] = {}
        self.flying: list[Op] = []
        self.trace: list[tuple[object, ...]] = []

    def _take_payments(self) -> tuple[PaymentRef, ...]:
        refs: list[PaymentRef] = []
        for taken in self.scenario.payments:
            amount = Money(taken.amount_minor, USD)
            captured = amount if taken.captured_minor is None else Money(taken.captured_minor, USD)
            fee = None if taken.fee_minor is None else min(Money(taken.fee_minor, USD), captured)
            ref = self.bank.charge(
                amount,
                captured=captured,
                account=taken.account,
                method=taken.method,
                settled=not taken.unsettled,
                id=taken.charge,
                destination=DESTINATION if taken.kind is ChargeKind.DESTINATION else None,
                application_fee=fee,
                group=f"order-{len(refs)}" if taken.passed else None,
            )
            self.transfers[ref] = tuple(
                self.bank.connect.transfer(f"{_SELLER}{number}", Money(part, USD), group=f"order-{len(refs)}")
                for number, part in enumerate(taken.passed)
            )
            self.bank.plan(ref, *(COURSES[course] for course in taken.courses))
            if self.scenario.drained:
                self.bank.drain(taken.account, Money(taken.amount_minor // 2, USD))
                if taken.passed:
                    self.bank.drain(f"{_SELLER}0", Money(taken.amount_minor // 2, USD))
            refs.append(ref)
        return tuple(refs)

    def _next_lag(self) -> timedelta:
        lags = self.scenario.lags
        self._lag += 1
        return lags[self._lag % len(lags)]

    def handle(self, clock: Callable[[], datetime]) -> RefundJournal:
        """A handle on the journal for a worker with this clock."""
        return self._make_handle(clock)

    def new_id(self) -> str:
        """The next id; the ids of a seed are told apart by their number."""
        self.ids += 1
        return f"id-{self.ids}"

    def count(self, what: str) -> None:
        """One more of these, for the report."""
        self.counts[what] = self.counts.get(what, 0) + 1

    # -- time -----------------------------------------------------------------------------------------------

    def pass_time(self, us: int) -> None:
        """True time goes on; what the bank does by itself happens at its own moment, and is judged there."""
        end_us = self.us + us
        end = START + end_us * _US
        while (due := self.bank.next_at) is not None and due <= end:
            self.now = max(due, self.now)
            self.us = (self.now - START) // _US
            self.bank.tick()
            self.checker.bank_moved()
        self.us, self.now = end_us, end

    # -- what others do ----------------------------------------------------------------------------------------

    def outside(self, kind: str, pay: int, arg: int) -> None:
        """The world moves at the bank; what is not possible there does not happen."""
        ref = self.payments[pay % len(self.payments)]
        with suppress(ValueError):  # the bank refuses what is not possible at this moment
            self._outside(kind, ref, pay % len(self.payments), arg)
            self.count(kind)
        self.checker.bank_moved()

    def _outside(self, kind: str, ref: PaymentRef, pay: int, arg: int) -> None:
        bank = self.bank
        captured = self.checker.captured_minor(ref)
        match kind:
            case "elsewhere":
                part = None if arg % 5 == 0 else Money(max(1, captured * (arg % 16) // 100), USD)
                bank.elsewhere(ref, part, course=COURSES[arg % len(COURSES)])
            case "dispute":
                status = ("needs_response", "warning_needs_response", "under_review")[arg % 3]
                dispute = bank.dispute(ref, status=status)
                self.disputes.append((pay, dispute))
                self._tell("charge.dispute.created", ref, Subject.DISPUTE, dispute)
            case "close":
                ours = [dispute for owner, dispute in self.disputes if owner == pay]
                if ours:
                    dispute = ours[(arg >> 3) % len(ours)]
                    bank.close_dispute(dispute, ("won", "warning_closed", "won", "lost")[arg % 4])
                    self._tell("charge.dispute.closed", ref, Subject.DISPUTE, dispute)
            case "fate":
                refunds = bank.refunds(ref)
                if refunds:
                    status, reason = (
                        ("failed", "expired_or_canceled_card"),
                        ("canceled", "merchant_request"),
                        ("succeeded", None),
                        ("failed", "charge_for_pending_refund_disputed"),
                    )[arg % 4]
                    bank.settle(refunds[(arg >> 2) % len(refunds)].id, status, reason)
            case "drain" | "fund" if self.transfers[ref] and arg % 3:
                self._seller(kind, ref, arg)
            case "drain":
                bank.drain(ref.account, Money(arg % 100, USD))
                self._tell("payout.paid", ref, Subject.PAYOUT, f"po_{arg}", named=False)
            case "fund":
                bank.fund(ref.account, Money(10_000 + arg, USD))
            case "settle_payment":
                if arg % 4:
                    bank.settle_payment(ref)
                else:
                    bank.fail_payment(ref)
                self._tell("charge.succeeded" if arg % 4 else "charge.failed", ref, Subject.PAYMENT, ref.charge)
            case "fee" if self.transfers[ref]:
                self._by_hand(ref, arg)
            case "fee":
                self._return_fee(ref, 1 + arg % 3)
                self._tell("application_fee.refunded", ref, Subject.OTHER, f"fee_{arg}")
            case _:
                paying.act(self, kind, arg)

    def _return_fee(self, ref: PaymentRef, parts: int) -> None:
        """The platform returns all that is left of its fee, or one part of so many, by hand."""
        fee_id, fee = self.bank.connect.fee_id(ref), self.bank.connect.fee(ref)
        if fee_id is None or fee is None or fee.left.amount_minor == 0:
            raise ValueError("nothing is left of a fee")
        part = Money(max(1, fee.left.amount_minor // parts), fee.left.currency)
        self.bank.connect.return_fee(fee_id, part)

    def sellers(self, ref: PaymentRef) -> tuple[str, ...]:
        """The connected accounts that a separate charge was passed on to."""
        return tuple(f"{_SELLER}{number}" for number in range(len(self.transfers[ref])))

    def _seller(self, kind: str, ref: PaymentRef, arg: int) -> None:
        """A connected account's balance runs dry, or is topped up."""
        seller = self.sellers(ref)[arg % len(self.transfers[ref])]
        if kind == "drain":
            self.bank.drain(seller, Money(arg % 100, USD))
        else:
            self.bank.fund(seller, Money(10_000 + arg, USD))

    def _by_hand(self, ref: PaymentRef, arg: int) -> None:
        """Somebody pulls a part of a transfer back in the dashboard, which the bank may refuse."""
        transfer = self.transfers[ref][arg % len(self.transfers[ref])]
        self.bank.connect.reverse(transfer, None if arg % 5 == 0 else Money(1 + arg % 300, USD))

    def _tell(self, kind: str, ref: PaymentRef, subject: Subject, object_id: str, *, named: bool = True) -> None:
        if self.webhooks is not None:
            self.webhooks.arise(kind, ref, subject, object_id, named=named)

    # -- operations ---------------------------------------------------------------------------------------------

    def start(self, action: Start) -> None:
        """Begin an operation, unless there is nothing to do."""
        op = Op(action.op, self.workers[action.worker % len(self.workers)], action.kind, action.pay, action.who)
        op.pay %= len(self.payments)
        if op.who and self.checker.book(self.payments[op.pay]).ledger.tenant is None:
            return  # whoever is allowed to quote first owns the payment: not what is tried here
        try:
            op.flight = begin(self, op, action.arg)
        except Exception as error:
            raised(self.checker, op, error)
        if op.flight is None:
            return
        self.ops[op.id] = op
        self.flying.append(op)
        self.count(f"op {op.kind}")
        self.trace.append((op.id, op.kind, op.pay, op.who, self.us))

    def deliver(self, action: Deliver) -> None:
        """A webhook reaches a worker; one that never arose does not."""
        hooks, pay = self.webhooks, action.pay % len(self.payments)
        if hooks is None or (not action.twist and action.number >= len(hooks.signals)):
            return
        twist = action.twist
        signal = hooks.twisted(twist, action.number, pay) if twist else hooks.signals[action.number]
        if signal.ref in self.payments:
            pay = self.payments.index(signal.ref)
        op = Op(action.op, self.workers[action.worker % len(self.workers)], "receive", pay, 0)
        op.signal, op.flight = signal, op.worker.service.receive(signal)
        self.ops[op.id] = op
        self.flying.append(op)
        self.count("op receive")
        self.count(f"signal forged: {twist}" if twist else f"signal {signal.kind}")
        self.trace.append((op.id, op.kind, str(signal.ref), signal.id, self.us))

    def resume(self, number: int, fault: str, delay_s: int) -> None:
        """Let an operation go on to its next stop: one step."""
        op = self.ops.get(number)
        if op is None or op.flight is None:
            return
        if fault:
            self.count(f"fault {fault}")
        self.us += STEP_US
        self.now += _STEP
        if self.bank_next is not None and self.bank_next <= self.now:
            self.bank.tick()
            self.checker.bank_moved()
        self.checker.steps += 1
        self.driven, self.fault, self.delay_s = op, fault, delay_s
        try:
            op.stop = op.flight.send(None)
        except StopIteration as stopped:
            self._over(op, "returned")
            returned(self.checker, op, stopped.value)
            if op.kind == "quote" and isinstance(stopped.value, Quote):
                op.quote = stopped.value
        except Exception as error:
            self._over(op, type(error).__name__)
            raised(self.checker, op, error)
        self.trace.append((number, op.stop, fault, delay_s, self.us))

    def run(self, action: Start | Deliver) -> None:
        """Begin an operation and let nothing disturb it until it is over."""
        if isinstance(action, Start):
            self.start(action)
        else:
            self.deliver(action)
        op = self.ops.get(action.op)
        while op is not None and op.flight is not None and self.checker.found is None:
            self.resume(op.id, WORKS, 0)

    def _over(self, op: Op, how: str) -> None:
        op.stop, op.flight = how, None
        self.flying.remove(op)

    def crash(self, number: int, lost: int) -> None:
        """The worker's process dies: its operations are never resumed, and kept so that nothing of them runs."""
        worker = self.workers[number % len(self.workers)]
        for op in [op for op in self.flying if op.worker is worker]:
            if op.flight is not None:
                self.graveyard.append(op.flight)
            self._over(op, "crashed")
        worker.restart()
        self.count("crash")
        if lost:
            self.shared.lose(lost)
            self.checker.lost_appends()
        self.trace.append(("crash", number, lost))

    def cancel(self, number: int, error: BaseException) -> None:
        """The operation's task is cancelled: that passes through, unrecorded."""
        op = self.ops.get(number)
        if op is None or op.flight is None or op.stop == "begin":
            return
        self.driven, self.fault, self.delay_s = op, WORKS, 0
        self.count("cancel")
        try:
            op.flight.throw(error)
        except BaseException as raised:
            if raised is not error:
                self.checker.broken("cancel", f"a cancelled {op.kind} raised {type(raised).__name__}")
        else:
            self.checker.broken("cancel", f"a cancelled {op.kind} went on")
        self._over(op, "cancelled")
        self.trace.append(("cancel", number))

    def jump(self, number: int, back_s: int) -> None:
        """The worker's clock jumps back so far, under a process that has just read it; 0 mends it."""
        worker = self.workers[number % len(self.workers)]
        worker.jump_back(back_s * _SECOND)
        if back_s:
            self.count("clock jump")
        self.trace.append(("clock", number, back_s))

    def close(self) -> None:
        """The seed is over: drop what was crashed, without a word of it being judged any more."""
        for op in self.flying:
            if op.flight is not None:
                self.graveyard.append(op.flight)
        for flight in self.graveyard:
            with suppress(BaseException):
                flight.close()
        self.graveyard.clear()
