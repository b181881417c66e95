"""Looks that overlap: two workers look at one payment, and nobody can know which of the two read it first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from refund_adapters.memory import Fault, MemoryGateway
from refund_domain import Status
from refund_domain.answers import Answer, Ask, Look, Unread
from refund_domain.errors import GatewayUnreadable, JournalUnavailable, TooContended
from refund_domain.events import RefundRequested
from refund_domain.operations.reconcile import Reconciled
from refund_domain.payments import PaymentRef
from refund_domain.policy import Policy
from refund_domain.service.allowance import day_of
from refund_domain.service.stream import MOST_LOOKS, Merged
from refund_domain.signals import Signal, Subject
from tests.domain.histories import usd
from tests.domain.worlds import HOUR, KINDS, MARIA, MINUTE, SECOND, Kind, World, codes_of, refund_of


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> World:
    """A fresh world in each form of the service."""
    kind: Kind = request.param
    return World(kind)


class Slow:
    """A gateway of which each look, once read, is heard of only after the next of `hooks`."""

    live = False

    def __init__(self, inner: MemoryGateway, *hooks: Callable[[], None]) -> None:
        self._inner, self._hooks, self.looks = inner, iter(hooks), 0

    def look(self, ref: PaymentRef, /) -> Look:
        self.looks += 1
        picture = self._inner.look(ref)
        for hook in self._hooks:
            hook()
            break
        return picture

    def send(self, send: Ask, /) -> Answer:
        return self._inner.send(send)


def told(world: World, ref: PaymentRef, behind: timedelta) -> None:
    """Another worker, whose clock is so far behind, looks for a webhook and puts on record what it finds."""
    world.clock.now -= behind
    signal = Signal(
        id="evt_1", kind="charge.updated", account=ref.account, subject=Subject.DISPUTE, charge=ref.charge
    )
    said = world.service(world.gateway, world.store).receive(signal)
    world.clock.now += behind
    assert isinstance(said, Merged)
    assert said.news


def disputes(world: World, ref: PaymentRef) -> list[str]:
    """The disputes of this payment that are on record."""
    shown = world.view(ref).payment
    return [] if shown is None else [each.id for each in shown.disputes]


@pytest.mark.parametrize("behind", [timedelta(0), 2 * SECOND, 2 * MINUTE])
def test_nothing_is_sent_on_a_picture_from_before_what_is_on_record(world: World, behind: timedelta) -> None:
    """A dispute opens after the look before a send, and another worker puts it on record: the first must not put
    its older picture over that, nor send on it (R3)."""
    ref = world.pay()
    command = world.decision(ref)
    world.clock.advance(5 * MINUTE)
    opened: list[str] = []

    def meanwhile() -> None:
        opened.append(world.bank.dispute(ref))
        told(world, ref, behind)

    slow = Slow(world.gateway, meanwhile)
    assert codes_of(world.service(slow).issue(command)) == ("disputed",)
    assert (disputes(world, ref), slow.looks) == (opened, 2)
    assert world.bank.made(ref) == len(world.bank.received) == 0


@pytest.mark.parametrize("behind", [timedelta(0), 2 * SECOND, 2 * MINUTE])
def test_a_leg_is_not_run_on_a_picture_from_before_what_is_on_record(world: World, behind: timedelta) -> None:
    """A person reverses the transfer by hand after the look before a leg's call, and another worker puts it on
    record: what was pulled back already is not pulled back once more (failure A17)."""
    # failure: A17
    ref = world.bank.charge(usd(100_00), group="order-1")
    transfer = world.bank.connect.transfer("acct_1", usd(300_00), group="order-1")
    command = world.decision(ref)
    world.gateway.script(Fault.WORKS, Fault.CONNECTION_REFUSED)
    assert refund_of(world.refunds.issue(command)).status is Status.SUCCEEDED
    world.clock.advance(10 * MINUTE)

    def meanwhile() -> None:
        world.bank.connect.reverse(transfer, usd(100_00))
        told(world, ref, behind)

    world.service(Slow(world.gateway, meanwhile)).dispatch(ref)
    world.settle_down()
    (shown,) = world.bank.connect.transfers(ref)
    assert shown.reversed == usd(100_00)


def test_a_reconciliation_beside_a_first_quote_leaves_nothing_out(world: World) -> None:
    """The quote's look is the older and opens the stream; what the reconciliation saw since is on record when it
    says so."""
    ref = world.pay()
    dispute: list[str] = []

    def opened_before_it_is_read() -> None:
        world.refunds.quote(ref, by=MARIA)
        dispute.append(world.bank.dispute(ref))

    class Late(Slow):
        def look(self, ref: PaymentRef, /) -> Look:
            if not dispute:
                world.clock.now += 2 * SECOND
                opened_before_it_is_read()
                world.clock.now -= SECOND
            return super().look(ref)

    said = world.service(Late(world.gateway)).reconcile(ref)
    assert isinstance(said, Reconciled)
    assert said.news
    assert said.ids == tuple(dispute) == tuple(disputes(world, ref))


def test_a_quote_that_opened_a_stream_late_looks_once_more(world: World) -> None:
    """Until it is open nobody can write down in it what is found: a reconciliation meanwhile passed it over."""
    ref = world.pay()

    def meanwhile() -> None:
        world.bank.elsewhere(ref, usd(50_00))
        assert not isinstance(world.service(world.gateway, world.store).reconcile(ref), Reconciled)
        world.clock.advance(6 * MINUTE)

    slow = Slow(world.gateway, meanwhile)
    quote = world.service(slow).quote(ref, by=MARIA)
    assert (quote.amount, slow.looks) == (usd(150_00), 2)
    prompt = Slow(world.gateway)
    world.service(prompt).quote(ref, by=MARIA)
    assert prompt.looks == 1


def test_a_quote_that_would_open_a_stream_late_writes_nothing_of_it(world: World) -> None:
    """Should its second look be lost, no picture stands there that is older than what was passed over."""
    ref = world.pay()

    class Lost(Slow):
        def look(self, ref: PaymentRef, /) -> Look:
            return Unread(why="no answer") if self.looks else super().look(ref)

    slow = Lost(world.gateway, lambda: world.clock.advance(6 * MINUTE))
    with pytest.raises(GatewayUnreadable):
        world.service(slow).quote(ref, by=MARIA)
    assert world.events(ref) == ()


def test_nothing_is_sent_on_what_no_second_look_has_found_so(world: World) -> None:
    """A look reads a figure for a moment, then what was on record is so again, and another look finds no news: the
    first may put its figure on record, and must not send on it before one more look has found the same (R3)."""
    world = World(world.kind, policy=Policy(gateway_caps=False), cap=False)
    ref = world.pay()
    world.refunds.request(world.decision(ref))
    first = world.bank.elsewhere(ref, usd(50_00), list_lag=HOUR)
    told(world, ref, timedelta(0))
    world.bank.settle(first, "failed")

    def meanwhile() -> None:
        world.bank.elsewhere(ref, usd(50_00), list_lag=HOUR)
        said = world.service(world.gateway, world.store).reconcile(ref)
        assert isinstance(said, Reconciled)
        assert not said.news

    world.service(Slow(world.gateway, meanwhile)).dispatch(ref)
    assert len(world.bank.received) == 0
    assert world.bank.live(ref) == usd(50_00)


def test_looks_that_are_overtaken_again_and_again_decide_nothing(world: World) -> None:
    """Whatever a look shows, another has shown otherwise meanwhile: a quote says so after some looks, a refund
    stays requested and owed; nothing is sent, and the next that gets through goes on."""
    ref = world.pay()
    command = world.decision(ref)

    def meanwhile() -> None:
        """Another look puts something on record, and then there is something else again."""
        world.bank.dispute(ref, status="won")
        told(world, ref, timedelta(0))
        world.bank.dispute(ref, status="won")

    world.bank.dispute(ref, status="won")
    slow = Slow(world.gateway, *[meanwhile] * (2 * MOST_LOOKS))
    with pytest.raises(TooContended):
        world.service(slow).quote(ref, by=MARIA)
    assert slow.looks == MOST_LOOKS
    assert refund_of(world.service(slow).issue(command)).status is Status.REQUESTED
    assert slow.looks == 2 * MOST_LOOKS
    assert len(world.bank.received) == 0
    assert world.refunds.recover().looked == 1
    assert world.bank.made(ref) == 1


def test_what_was_never_sent_is_planned_afresh(world: World) -> None:
    """A first call that never left fixes nothing: a transfer made since is pulled back with the refund as one made
    before it is (failure A17)."""
    # failure: A17
    ref = world.bank.charge(usd(200_00), group="order-1")
    command = world.decision(ref)
    world.gateway.script(Fault.CONNECTION_REFUSED)
    assert refund_of(world.refunds.issue(command)).status is Status.REQUESTED
    world.bank.connect.transfer("acct_1", usd(150_00), group="order-1")
    world.settle_down()
    (shown,) = world.bank.connect.transfers(ref)
    assert (world.bank.made(ref), shown.reversed) == (1, usd(150_00))


def test_what_may_have_been_sent_is_sent_again_as_it_was(world: World) -> None:
    """Behind a call that may have been executed the same is asked for, for one key asks for one thing."""
    ref = world.bank.charge(usd(200_00), group="order-1")
    command = world.decision(ref)
    world.gateway.script(Fault.REQUEST_LOST)
    assert refund_of(world.refunds.issue(command)).status is Status.IN_DOUBT
    world.bank.connect.transfer("acct_1", usd(150_00), group="order-1")
    world.settle_down()
    (shown,) = world.bank.connect.transfers(ref)
    assert (world.bank.made(ref), shown.reversed) == (1, usd(0))


# --- a clock that is known to be wrong ---------------------------------------------------------------------------


def test_no_request_is_taken_by_a_clock_that_fell_back(world: World) -> None:
    """By such a clock an old quote looks young: nothing is written, and by the right one it is refused (R4)."""
    ref, other = world.pay(), world.pay()
    command = world.decision(ref)
    world.clock.advance(4 * HOUR)
    world.refunds.quote(other, by=MARIA)
    before = world.events(ref)
    world.clock.now -= 4 * HOUR
    for call in (world.refunds.issue, world.refunds.request):
        with pytest.raises(JournalUnavailable, match="clock"):
            call(command)
    assert world.events(ref) == before
    world.clock.now += 4 * HOUR
    assert codes_of(world.refunds.issue(command)) == ("quote_stale",)


@pytest.mark.parametrize("kind", KINDS)
def test_no_allowance_of_yesterday_is_spent_by_a_clock_that_fell_back(kind: Kind) -> None:
    """Behind midnight again, such a clock would take a second day's worth out of the day before."""
    world = World(kind, policy=Policy(most_a_day=(usd(200_00),)))
    world.clock.advance(16 * HOUR)
    first, second = world.pay(), world.pay()
    refund_of(world.refunds.request(world.decision(first)))
    assert codes_of(world.refunds.quote(second, by=MARIA)) == ("limit_reached",)
    world.clock.now -= 4 * HOUR
    command = world.decision(second)
    with pytest.raises(JournalUnavailable, match="clock"):
        world.refunds.request(command)
    days = [day_of(MARIA.tenant, world.clock.now + ahead) for ahead in (timedelta(0), 4 * HOUR)]
    assert [len(world.events(day)) for day in days] == [0, 1]
    assert not any(isinstance(event, RefundRequested) for event in world.events(second))
