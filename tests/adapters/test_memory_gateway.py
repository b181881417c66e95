"""The memory gateways: what each fault answers, and what the bank truly holds afterwards."""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Barrier
from typing import Protocol

import attrs
import pytest

from refund_adapters.memory import AsyncMemoryGateway, Course, Fault, MemoryBank, MemoryGateway, Planned, Step
from refund_adapters.memory.gateway import look_at, send_to
from refund_domain.answers import (
    Accepted,
    Answer,
    Ask,
    Declined,
    Look,
    Missing,
    NotSent,
    OutcomeUnknown,
    Picture,
    Send,
    Unread,
)
from refund_domain.commands import Reason
from refund_domain.connect import DestinationCharge, DirectCharge, PlatformCharge
from refund_domain.money import Money
from refund_domain.payments import PaymentRef
from refund_domain.ports import AsyncPaymentGateway, PaymentGateway

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECOND, HALF_HOUR, HOUR = timedelta(seconds=1), timedelta(minutes=30), timedelta(hours=1)

SEND_FAULTS = [fault for fault in Fault if fault.of_send]
LOOK_FAULTS = [fault for fault in Fault if fault.of_look]


class Clock:
    """A clock that stands still until told otherwise."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def ahead(self, span: timedelta) -> None:
        self.now += span


class Driven(Protocol):
    """A gateway as these tests drive it, the async one run to its end."""

    @property
    def live(self) -> bool: ...
    @property
    def sent(self) -> tuple[Send, ...]: ...
    @property
    def looked(self) -> tuple[PaymentRef, ...]: ...
    @property
    def unplayed(self) -> tuple[Planned, ...]: ...
    def script(self, *faults: Fault | Planned) -> None: ...
    def look(self, ref: PaymentRef, /) -> Look: ...
    def send(self, send: Ask, /) -> Answer: ...


class DrivenAsync(AsyncMemoryGateway):
    """The async gateway behind sync calls, so that one test serves both."""

    def look(self, ref: PaymentRef, /) -> Look:  # type: ignore[override]
        return asyncio.run(super().look(ref))

    def send(self, send: Ask, /) -> Answer:  # type: ignore[override]
        return asyncio.run(super().send(send))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bank(clock: Clock) -> MemoryBank:
    """A bank without a cap: nothing but the key stands between two requests and two refunds."""
    return MemoryBank(clock, cap=False)


@pytest.fixture(params=["sync", "async"])
def gateway(request: pytest.FixtureRequest, bank: MemoryBank) -> Driven:
    return MemoryGateway(bank) if request.param == "sync" else DrivenAsync(bank)


def usd(major: str) -> Money:
    return Money.parse(major, "USD")


def asks(ref: PaymentRef, refund_id: str = "r1", major: str = "200.00") -> Send:
    return Send(
        refund_id=refund_id,
        claim=1,
        payment=ref,
        amount=usd(major),
        reason=Reason.REQUESTED_BY_CUSTOMER,
        split=PlatformCharge() if ref.account == "platform" else DirectCharge(),
    )


def test_both_gateways_are_the_port(bank: MemoryBank) -> None:
    """They fit the protocols, as mypy checks here, and a memory gateway is not live unless told so."""
    sync: PaymentGateway = MemoryGateway(bank)
    twin: AsyncPaymentGateway = AsyncMemoryGateway(bank, live=True)
    assert (sync.live, twin.live, MemoryGateway(bank, live=True).live) == (False, True, True)


def test_a_look_is_the_banks_picture(gateway: Driven, bank: MemoryBank) -> None:
    """Picture of what is there, Missing for what this account does not hold."""
    ref = bank.charge(usd("200.00"), account="acct_1")
    bank.elsewhere(ref, usd("50.00"))
    assert gateway.look(ref) == bank.picture(ref)
    stranger = PaymentRef("acct_2", ref.charge)
    assert gateway.look(stranger) == Missing()
    assert gateway.looked == (ref, stranger)


def test_a_send_makes_one_refund_with_its_id_as_key_and_mark(gateway: Driven, bank: MemoryBank) -> None:
    """Accepted carries the refund made; the same send again is the same refund."""
    ref = bank.charge(usd("200.00"))
    answer = gateway.send(asks(ref))
    assert answer == Accepted(refund=bank.refunds(ref)[0])
    assert gateway.send(attrs.evolve(asks(ref), claim=2)) == answer
    assert bank.made(ref) == 1
    assert [(each.key, each.mark, each.amount_minor) for each in bank.received] == [("r1", "r1", 20_000)] * 2
    assert [send.claim for send in gateway.sent] == [1, 2]


@pytest.mark.parametrize("status", ["succeeded", "pending", "failed", "canceled", "in_the_post"])
def test_a_refund_is_accepted_whatever_its_status(gateway: Driven, bank: MemoryBank, status: str) -> None:
    """Accepted says that it was made; its status is taken as it is."""
    ref = bank.charge(usd("200.00"), course=Course(steps=(Step(status=status),)))
    answer = gateway.send(asks(ref))
    assert isinstance(answer, Accepted)
    assert answer.refund.status == status


def test_each_refusal_of_the_bank_is_a_declined_with_its_code() -> None:
    """The gateway's code where it gave one, our word where it gave none; a missing charge asks for a person."""
    bank = MemoryBank(Clock())
    gateway = MemoryGateway(bank)
    disputed, failed, gone, less, none, small = (bank.charge(usd("200.00")) for _ in range(6))
    failed = bank.charge(usd("200.00"), method="us_bank_account", settled=False)
    small = bank.charge(usd("200.00"), method="us_bank_account")
    none = bank.charge(usd("200.00"), captured=usd("0.00"))
    bank.dispute(disputed)
    bank.fail_payment(failed)
    bank.elsewhere(gone)
    bank.elsewhere(less, usd("0.01"))
    said = [
        gateway.send(asks(disputed, "r1")),
        gateway.send(asks(failed, "r2")),
        gateway.send(asks(gone, "r3")),
        gateway.send(asks(less, "r4")),
        gateway.send(asks(none, "r5")),
        gateway.send(asks(small, "r6", "0.49")),
        gateway.send(asks(PaymentRef("acct_2", gone.charge), "r7")),
    ]
    assert said == [
        Declined(code="charge_disputed"),
        Declined(code="charge_not_refundable"),
        Declined(code="charge_already_refunded"),
        Declined(code="amount_changed"),
        Declined(code="not_explained"),
        Declined(code="amount_too_small"),
        Declined(code="resource_missing", alarm="not_found_in_account"),
    ]
    assert [bank.made(ref) for ref in (disputed, failed, gone, less, none, small)] == [0] * 6


def test_a_key_with_other_content_is_in_doubt_and_alarms(gateway: Driven, bank: MemoryBank) -> None:
    """An idempotency error says nothing about the first request: unknown, never again, a person is asked."""
    ref = bank.charge(usd("200.00"))
    gateway.send(asks(ref))
    answer = gateway.send(asks(ref, major="100.00"))
    assert answer == OutcomeUnknown(why="idempotency_error", resend=False, alarm="key_reused")
    assert bank.made(ref) == 1


def test_a_refund_that_is_not_what_was_asked_is_not_accepted(gateway: Driven, bank: MemoryBank) -> None:
    """The body must be this refund: 200 dollars asked of a charge in yen would be another amount."""
    ref = bank.charge(Money.parse("20000", "JPY"))
    assert gateway.send(asks(ref)) == OutcomeUnknown(why="not_our_refund", resend=False, alarm="not_our_refund")


TIMEOUT = OutcomeUnknown(why="timeout", resend=True)
BROKE = OutcomeUnknown(why="http_500", resend=False)

# Fault, what is heard, how many refunds it made at once, how many two hours later.
FAULTS: list[tuple[Fault, Answer, int, int]] = [
    (Fault.REQUEST_LOST, TIMEOUT, 0, 0),
    (Fault.ANSWER_LOST, TIMEOUT, 1, 1),
    (Fault.EXECUTES_LATE, TIMEOUT, 0, 1),
    (Fault.CONNECTION_REFUSED, NotSent(why="connection_refused"), 0, 0),
    (Fault.UNAUTHORIZED, NotSent(why="http_401", alarm="credentials"), 0, 0),
    (Fault.KEY_IN_USE, OutcomeUnknown(why="idempotency_key_in_use", resend=True), 0, 0),
    (Fault.RATE_LIMITED, NotSent(why="rate_limit"), 0, 0),
    (Fault.BREAKS_MADE_NOTHING, BROKE, 0, 0),
    (Fault.BREAKS_MADE_IT, BROKE, 1, 1),
    (Fault.BREAKS_MAKES_LATER, BROKE, 0, 1),
    (Fault.REDIRECTED, OutcomeUnknown(why="http_302", resend=False, alarm="not_stripe"), 0, 0),
    (Fault.UNREADABLE, OutcomeUnknown(why="unreadable_body", resend=True), 1, 1),
    (Fault.FOREIGN_BODY, OutcomeUnknown(why="not_our_refund", resend=False, alarm="not_our_refund"), 0, 0),
]
RAISING = {Fault.RAISES_UNSENT: 0, Fault.RAISES_SENT: 1}
BREAKING = {Fault.BREAKS_MADE_NOTHING, Fault.BREAKS_MADE_IT, Fault.BREAKS_MAKES_LATER}


def test_every_fault_is_in_the_tables_of_these_tests() -> None:
    """A new fault must be given its row here before it is believed."""
    # failure: H14
    assert {row[0] for row in FAULTS} | set(RAISING) | {Fault.WORKS} == set(SEND_FAULTS)
    assert {Fault.LOOK_WORKS, Fault.LOOK_UNREADABLE, Fault.LOOK_UNAUTHORIZED, Fault.LOOK_RAISES} == set(
        LOOK_FAULTS
    )


@pytest.mark.parametrize(("fault", "heard", "at_once", "later"), FAULTS)
def test_each_fault_answers_so_and_leaves_the_bank_so(
    gateway: Driven, bank: MemoryBank, clock: Clock, fault: Fault, heard: Answer, at_once: int, later: int
) -> None:
    """What is heard and what is true are two things; sent again, there is one refund at most all the same."""
    # failure: H14
    ref = bank.charge(usd("200.00"))
    gateway.script(fault)
    assert gateway.send(asks(ref)) == heard
    assert gateway.unplayed == ()
    assert bank.made(ref) == at_once
    clock.ahead(2 * HOUR)
    assert bank.made(ref) == later
    again = gateway.send(asks(ref))
    if fault in BREAKING:
        assert again == BROKE
        assert bank.made(ref) == later
    else:
        assert isinstance(again, Accepted)
        assert bank.made(ref) == 1
        assert again.refund.mark == "r1"


@pytest.mark.parametrize(("fault", "early"), [(Fault.EXECUTES_LATE, HALF_HOUR), (Fault.BREAKS_MAKES_LATER, HOUR)])
@pytest.mark.parametrize("delay", [None, timedelta(hours=7), timedelta(0)])
def test_what_executes_late_executes_when_said(
    gateway: Driven, bank: MemoryBank, clock: Clock, fault: Fault, early: timedelta, delay: timedelta | None
) -> None:
    """To the second, by the bank's clock; half an hour and an hour unless said."""
    ref = bank.charge(usd("200.00"))
    gateway.script(fault if delay is None else fault.after(delay))
    gateway.send(asks(ref))
    due = early if delay is None else delay
    if due:
        clock.ahead(due - SECOND)
        assert bank.made(ref) == 0
        clock.ahead(SECOND)
    assert bank.made(ref) == 1
    assert bank.refunds(ref)[0].created_at == START + due


def test_a_late_request_after_the_resend_is_one_refund(gateway: Driven, bank: MemoryBank, clock: Clock) -> None:
    """The resend comes first, the old request arrives behind it: the key makes them one."""
    ref = bank.charge(usd("200.00"))
    gateway.script(Fault.EXECUTES_LATE)
    gateway.send(asks(ref))
    assert isinstance(gateway.send(asks(ref)), Accepted)
    clock.ahead(HOUR)
    assert bank.made(ref) == 1
    assert len(bank.received) == 2


def test_a_late_request_that_outlives_its_key_is_two_refunds(
    gateway: Driven, bank: MemoryBank, clock: Clock
) -> None:
    """Without the cap this is the double refund that the limits on resending are there to prevent."""
    ref = bank.charge(usd("200.00"))
    gateway.send(asks(ref))
    gateway.script(Fault.EXECUTES_LATE.after(timedelta(hours=24)))
    gateway.send(asks(ref))
    clock.ahead(timedelta(hours=24))
    assert bank.made(ref) == 2


@pytest.mark.parametrize("error", [None, ConnectionResetError, KeyboardInterrupt, asyncio.CancelledError])
@pytest.mark.parametrize(("fault", "executed"), RAISING.items())
def test_a_raw_exception_leaves_send_before_or_after_it_executed(
    bank: MemoryBank, fault: Fault, executed: int, error: type[BaseException] | None
) -> None:
    """What no adapter should do can be done here, so that the service may be tested against it."""
    gateway = MemoryGateway(bank)
    ref = bank.charge(usd("200.00"))
    gateway.script(fault if error is None else fault.raising(error))
    with pytest.raises(error or RuntimeError, match="scripted fault"):
        gateway.send(asks(ref))
    assert bank.made(ref) == executed
    assert gateway.sent == (asks(ref),)


def test_an_awaited_send_raises_too(bank: MemoryBank) -> None:
    """The async gateway's exception comes out of the await."""
    gateway = AsyncMemoryGateway(bank)
    gateway.script(Fault.RAISES_SENT.raising(ValueError), Fault.LOOK_RAISES)
    ref = bank.charge(usd("200.00"))
    with pytest.raises(ValueError, match="scripted fault"):
        asyncio.run(gateway.send(asks(ref)))
    with pytest.raises(RuntimeError, match="scripted fault"):
        asyncio.run(gateway.look(ref))
    assert bank.made(ref) == 1


def test_faults_of_looks(gateway: Driven, bank: MemoryBank) -> None:
    """Unread with or without an alarm, a raw exception, and then all is well again."""
    ref = bank.charge(usd("200.00"))
    gateway.script(Fault.LOOK_UNREADABLE, Fault.LOOK_UNAUTHORIZED, Fault.LOOK_WORKS, Fault.LOOK_RAISES)
    assert gateway.look(ref) == Unread(why="a page is missing")
    assert gateway.look(ref) == Unread(why="http_401", alarm="credentials")
    assert isinstance(gateway.look(ref), Picture)
    with pytest.raises(RuntimeError, match="look_raises"):
        gateway.look(ref)
    assert isinstance(gateway.look(ref), Picture)


def test_looks_and_sends_take_their_own_faults_in_order(gateway: Driven, bank: MemoryBank) -> None:
    """One fault for one call of its kind; a call of the other kind leaves it where it is."""
    ref = bank.charge(usd("200.00"))
    gateway.script(Fault.WORKS, Fault.LOOK_UNREADABLE, Fault.RATE_LIMITED, Fault.KEY_IN_USE)
    assert isinstance(gateway.send(asks(ref)), Accepted)
    assert gateway.unplayed == (
        Planned(fault=Fault.LOOK_UNREADABLE),
        Planned(fault=Fault.RATE_LIMITED),
        Planned(fault=Fault.KEY_IN_USE),
    )
    assert isinstance(gateway.look(ref), Unread)
    assert isinstance(gateway.send(asks(ref)), NotSent)
    assert isinstance(gateway.look(ref), Picture)
    assert isinstance(gateway.send(asks(ref)), OutcomeUnknown)
    assert isinstance(gateway.send(asks(ref)), Accepted)
    assert len(gateway.unplayed) == 0


def test_a_gateway_of_ones_own_can_use_the_same_plays(bank: MemoryBank) -> None:
    """`send_to` and `look_at` take the fault as an argument, for drivers that choose it call by call."""
    ref = bank.charge(usd("200.00"))
    assert send_to(bank, asks(ref), Planned(fault=Fault.ANSWER_LOST)) == TIMEOUT
    assert isinstance(look_at(bank, ref, Planned(fault=Fault.LOOK_UNREADABLE)), Unread)
    assert isinstance(send_to(bank, asks(ref)), Accepted)
    assert isinstance(look_at(bank, ref), Picture)
    assert bank.made(ref) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Fault.ANSWER_LOST.after(HOUR),
        lambda: Fault.LOOK_RAISES.after(HOUR),
        lambda: Fault.EXECUTES_LATE.after(-SECOND),
        lambda: Fault.EXECUTES_LATE.raising(OSError),
        lambda: Fault.LOOK_UNREADABLE.raising(OSError),
    ],
)
def test_a_detail_a_fault_has_no_use_for_is_refused(wrong: Callable[[], Planned]) -> None:
    """A script that would not do what it says is a ValueError, not a test that proves nothing."""
    with pytest.raises(ValueError):
        wrong()


def test_list_lag_hides_a_refund_from_looks(clock: Clock) -> None:
    """A look may be behind: the refund just accepted is not in the list yet, the charge's figure is."""
    bank = MemoryBank(clock, list_lag=HOUR)
    gateway = MemoryGateway(bank)
    ref = bank.charge(usd("200.00"))
    gateway.send(asks(ref))
    picture = gateway.look(ref)
    assert isinstance(picture, Picture)
    assert (picture.refunds, picture.payment.given_back) == ((), usd("200.00"))
    clock.ahead(HOUR)
    picture = gateway.look(ref)
    assert isinstance(picture, Picture)
    assert [refund.mark for refund in picture.refunds] == ["r1"]


@pytest.mark.parametrize(("cap", "one_key"), [(True, False), (False, True)])
def test_eight_threads_at_one_gateway(
    request: pytest.FixtureRequest, clock: Clock, cap: bool, one_key: bool
) -> None:
    """Distinct refunds: one is accepted under the cap. One refund: all are told of the same, even without it."""
    bank = MemoryBank(clock, cap=cap)
    gateway = MemoryGateway(bank)
    ref = bank.charge(usd("200.00"))
    barrier = Barrier(8)
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(1e-6)

    def race(worker: int) -> Answer:
        barrier.wait()
        return gateway.send(asks(ref, "r1" if one_key else f"r{worker}"))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(race, range(8)))
    accepted = [answer for answer in answers if isinstance(answer, Accepted)]
    assert bank.made(ref) == 1
    assert len(accepted) == (8 if one_key else 1)
    assert {answer.refund.id for answer in accepted} == {"re_1"}
    assert [answer for answer in answers if answer not in accepted] == [
        Declined(code="charge_already_refunded")
    ] * (8 - len(accepted))


# -- split charges ----------------------------------------------------------------------------------------


def test_a_destination_charge_is_sent_with_its_transfer_pulled_back(gateway: Driven, bank: MemoryBank) -> None:
    """The split of a send decides what the bank is asked of transfer and fee: nothing unless it says so."""
    ref = bank.charge(usd("200.00"), destination="acct_1", application_fee=usd("10.00"))
    kept = attrs.evolve(asks(ref, "r1", "100.00"), split=DestinationCharge())
    whole = attrs.evolve(asks(ref, "r2", "100.00"), split=DestinationCharge(return_fee=True))
    assert isinstance(gateway.send(kept), Accepted)
    assert [str(part.reversed) for part in bank.connect.transfers(ref)] == ["100.00 USD"]
    assert str(getattr(bank.connect.fee(ref), "returned", None)) == "0.00 USD"
    assert isinstance(gateway.send(whole), Accepted)
    assert [str(part.left) for part in bank.connect.transfers(ref)] == ["0.00 USD"]
    assert str(getattr(bank.connect.fee(ref), "returned", None)) == "5.00 USD"


def test_a_direct_charge_returns_its_fee_only_when_told(gateway: Driven, bank: MemoryBank) -> None:
    """The platform's fee of a direct charge stays where it is unless the split returns it."""
    ref = bank.charge(usd("200.00"), account="acct_1", application_fee=usd("10.00"))
    gateway.send(asks(ref, "r1", "100.00"))
    assert str(getattr(bank.connect.fee(ref), "returned", None)) == "0.00 USD"
    gateway.send(attrs.evolve(asks(ref, "r2", "100.00"), split=DirectCharge(return_fee=True)))
    assert str(getattr(bank.connect.fee(ref), "returned", None)) == "5.00 USD"


def test_a_late_request_pulls_the_transfer_back_when_it_arrives(bank: MemoryBank, clock: Clock) -> None:
    """What arrives late asks for the same as what arrives at once."""
    gateway = MemoryGateway(bank)
    ref = bank.charge(usd("200.00"), destination="acct_1")
    gateway.script(Fault.EXECUTES_LATE)
    gateway.send(attrs.evolve(asks(ref), split=DestinationCharge()))
    clock.ahead(HALF_HOUR)
    assert [str(part.left) for part in bank.connect.transfers(ref)] == ["0.00 USD"]
