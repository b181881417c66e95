"""Many workers at once on one payment: threads for the sync service, tasks for the async one, fences for both."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

import pytest

from refund_adapters.memory import AsyncMemoryGateway, AsyncMemoryJournal, Fault, MemoryGateway
from refund_domain import Actor, AsyncRefundService, IssueRefund, PaymentRef, Refund, RefundService, Status
from refund_domain.answers import Answer, Ask, Look
from refund_domain.commands import Action
from refund_domain.events import Event, SendClaimed
from refund_domain.payments import Ref
from refund_domain.ports import Head, Loaded
from refund_domain.refusals import AlreadyRefunded, InFlight, Refused
from tests.domain.worlds import KINDS, MARIA, MINUTE, Kind, WiredJournal, World, codes_of, refund_of

T = TypeVar("T")
WORKERS = 16


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> World:
    """A fresh world in each form of the service."""
    kind: Kind = request.param
    return World(kind)


class MeetingGateway(MemoryGateway):
    """A gateway whose looks wait for each other, so that every worker has looked before any may claim."""

    def __init__(self, world: World, parties: int) -> None:
        super().__init__(world.bank)
        self._meeting = threading.Barrier(parties)

    def look(self, ref: PaymentRef, /) -> Look:
        self._meeting.wait(30)
        return super().look(ref)


class SleepyGateway(MemoryGateway):
    """A gateway that takes a moment for everything."""

    def look(self, ref: PaymentRef, /) -> Look:
        time.sleep(0.001)
        return super().look(ref)

    def send(self, send: Ask, /) -> Answer:
        time.sleep(0.002)
        return super().send(send)


def at_once(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """The results of all of these, begun together, each in a thread of its own."""
    results: dict[int, T] = {}
    start = threading.Barrier(len(tasks))

    def run(place: int, task: Callable[[], T]) -> None:
        start.wait(30)
        results[place] = task()

    threads = [threading.Thread(target=run, args=(place, task)) for place, task in enumerate(tasks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [results[place] for place in range(len(tasks))]


def service_of(world: World, gateway: MemoryGateway) -> RefundService:
    """A sync service without the wire, which is not made for threads."""
    numbers = itertools.count(1_000)
    return RefundService(
        gateway,
        world.store,
        allow=lambda actor, action, ref: True,
        new_id=lambda: f"id-{next(numbers)}",
        monotonic=world.clock.monotonic,
    )


def claims(world: World, ref: PaymentRef) -> int:
    """How many sends of this payment were ever claimed."""
    return sum(isinstance(event, SendClaimed) for event in world.events(ref))


@pytest.mark.parametrize("cap", [True, False])
def test_sixteen_threads_with_one_quote_make_one_refund(cap: bool) -> None:
    """One verified quote issued by sixteen threads at once is one send, and all are told the same refund."""
    # failures: A01, A05, A10
    world = World(cap=cap)
    ref = world.pay()
    command = world.decision(ref)
    service = service_of(world, MeetingGateway(world, WORKERS))
    refunds = [refund_of(result) for result in at_once([lambda: service.issue(command)] * WORKERS)]
    assert len({refund.id for refund in refunds}) == 1
    assert {refund.status for refund in refunds} <= {Status.REQUESTED, Status.SUCCEEDED}
    assert world.bank.made(ref) == 1
    assert len(world.bank.received) == 1
    assert claims(world, ref) == 1
    assert refund_of(service.issue(command)).status is Status.SUCCEEDED


@pytest.mark.parametrize("cap", [True, False])
def test_sixteen_decisions_at_once_make_one_refund(cap: bool) -> None:
    """Of sixteen people who decide at once about one payment one is obeyed, the others are told of that refund."""
    # failures: A05, A20, D06
    world = World(cap=cap)
    ref = world.pay()
    commands = [world.decision(ref) for _ in range(WORKERS)]
    service = service_of(world, SleepyGateway(world.bank))
    results = at_once([lambda command=command: service.issue(command) for command in commands])  # type: ignore[misc]
    made = [result for result in results if isinstance(result, Refund)]
    assert len(made) == 1
    for result in results:
        if isinstance(result, Refused):
            (reason,) = result.reasons
            assert isinstance(reason, InFlight | AlreadyRefunded)
            assert reason.refund_id == made[0].id
    assert world.bank.made(ref) == 1
    assert len(world.bank.received) == 1


def test_threads_on_many_payments_keep_apart() -> None:
    """Sixteen threads on four payments make four refunds, one each."""
    world = World()
    refs = [world.pay() for _ in range(4)]
    commands = [world.decision(ref) for ref in refs] * 4
    service = service_of(world, SleepyGateway(world.bank))
    at_once([lambda command=command: service.issue(command) for command in commands])  # type: ignore[misc]
    assert [world.bank.made(ref) for ref in refs] == [1, 1, 1, 1]


def test_recovering_workers_at_once_send_once() -> None:
    """Eight workers that recover the same requests at once send each of them once."""
    world = World()
    refs = [world.pay() for _ in range(3)]
    for ref in refs:
        world.refunds.request(world.decision(ref))
    service = service_of(world, SleepyGateway(world.bank))
    at_once([service.recover] * 8)
    assert [world.bank.made(ref) for ref in refs] == [1, 1, 1]
    assert len(world.bank.received) == 3


def test_threads_that_repeat_a_doubt_use_one_key() -> None:
    """A refund in doubt that eight threads take up again at once goes out under its own key only."""
    # failures: A07, B04
    world = World(cap=False)
    ref = world.pay()
    command = world.decision(ref)
    world.gateway.script(Fault.REQUEST_LOST)
    refund = refund_of(world.refunds.issue(command))
    world.clock.advance(3 * MINUTE)
    service = service_of(world, MeetingGateway(world, 8))
    at_once([lambda: service.issue(command)] * 8)
    assert {received.key for received in world.bank.received} == {refund.id}
    assert world.bank.made(ref) == 1


# --- the async service -------------------------------------------------------------------------------------


class YieldingGateway(AsyncMemoryGateway):
    """An async gateway that lets every other task go on before and after its effect."""

    async def look(self, ref: PaymentRef, /) -> Look:
        await asyncio.sleep(0)
        look = await super().look(ref)
        await asyncio.sleep(0)
        return look

    async def send(self, send: Ask, /) -> Answer:
        await asyncio.sleep(0)
        answer = await super().send(send)
        await asyncio.sleep(0)
        return answer


class YieldingJournal(AsyncMemoryJournal):
    """An async journal that lets every other task go on before and after its effect."""

    async def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        await asyncio.sleep(0)
        loaded = await super().load(ref, after)
        await asyncio.sleep(0)
        return loaded

    async def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        await asyncio.sleep(0)
        now = await super().append(ref, events, expected=expected, head=head)
        await asyncio.sleep(0)
        return now


def async_service(world: World, gateway: AsyncMemoryGateway) -> AsyncRefundService:
    """An async service over the world's store, with every call a point where tasks change."""

    async def allow(actor: Actor, action: Action, ref: Ref | None) -> bool:
        await asyncio.sleep(0)
        return True

    numbers = itertools.count(1_000)
    return AsyncRefundService(
        gateway,
        YieldingJournal(world.store),
        allow=allow,
        new_id=lambda: f"id-{next(numbers)}",
        monotonic=world.clock.monotonic,
    )


async def gathered(waits: Sequence[Awaitable[T]]) -> list[T]:
    """The results of all of these."""
    return list(await asyncio.gather(*waits))


@pytest.mark.parametrize("cap", [True, False])
def test_sixteen_tasks_with_one_quote_make_one_refund(cap: bool) -> None:
    """One verified quote issued by sixteen tasks of one loop is one send and one refund."""
    # failures: A01, A05
    world = World(cap=cap)
    ref = world.pay()
    command = world.decision(ref)
    service = async_service(world, YieldingGateway(world.bank))
    results = asyncio.run(gathered([service.issue(command) for _ in range(WORKERS)]))
    assert len({refund_of(result).id for result in results}) == 1
    assert len(world.bank.received) == world.bank.made(ref) == claims(world, ref) == 1


def test_sixteen_decisions_in_tasks_make_one_refund() -> None:
    """Sixteen decisions in tasks of one loop are one refund, and fifteen refusals that name it."""
    # failure: A05
    world = World(cap=False)
    ref = world.pay()
    commands = [world.decision(ref) for _ in range(WORKERS)]
    service = async_service(world, YieldingGateway(world.bank))
    results = asyncio.run(gathered([service.issue(command) for command in commands]))
    codes = Counter(codes_of(result) for result in results if isinstance(result, Refused))
    assert sum(codes.values()) == WORKERS - 1
    assert set(codes) <= {("in_flight",), ("already_refunded",)}
    assert len(world.bank.received) == world.bank.made(ref) == 1


class HangingGateway(AsyncMemoryGateway):
    """An async gateway that makes the refund and never answers."""

    def __init__(self, world: World) -> None:
        super().__init__(world.bank)
        self.sending = asyncio.Event()

    async def send(self, send: Ask, /) -> Answer:
        await super().send(send)
        self.sending.set()
        await asyncio.Event().wait()
        raise AssertionError("never reached")


def test_cancelled_task_leaves_its_claim_open_and_is_found() -> None:
    """A task cancelled in the middle of its send raises CancelledError and writes nothing; recovery finds it."""
    # failures: B01, B12
    world = World()
    ref = world.pay()
    command = world.decision(ref)

    async def cancelled() -> None:
        gateway = HangingGateway(world)
        task = asyncio.create_task(async_service(world, gateway).issue(command))
        await gateway.sending.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert isinstance(world.events(ref)[-2], SendClaimed)
    world.clock.advance(MINUTE)
    assert world.view(ref).refunds[0].status is Status.IN_DOUBT
    world.settle_down()
    assert refund_of(world.refunds.issue(command)).status is Status.SUCCEEDED
    assert world.bank.made(ref) == len(world.bank.received) == 1


def test_timed_out_call_leaves_its_claim_open() -> None:
    """A host's own time limit around a call is a cancellation: the claim stays, and the refund is found."""
    # failure: B12
    world = World()
    ref = world.pay()
    command = world.decision(ref)

    async def limited() -> None:
        gateway = HangingGateway(world)

        async def expire() -> None:
            await gateway.sending.wait()
            limit.reschedule(asyncio.get_running_loop().time())

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as limit:
                expiry = asyncio.create_task(expire())
                await async_service(world, gateway).issue(command)
        await expiry

    asyncio.run(limited())
    assert claims(world, ref) == 1
    world.settle_down()
    assert refund_of(world.refunds.issue(command)).status is Status.SUCCEEDED


# --- the fence ---------------------------------------------------------------------------------------------


def test_beaten_worker_sends_nothing(world: World) -> None:
    """A worker that is beaten to its claim decides again on what the winner wrote, and sends nothing."""
    ref = world.pay()
    command = world.decision(ref)
    winner = world.service(world.gateway, world.store)
    world.wire.clear()
    world.wire.before[4] = lambda: _dispatched(winner.dispatch(ref).refunds)
    refund = refund_of(world.refunds.issue(command))
    assert world.wire.calls == ["allow", "load", "append", "look", "append", "load"]
    assert refund.status is Status.SUCCEEDED
    assert world.bank.made(ref) == len(world.bank.received) == claims(world, ref) == 1


class ReadingJournal(WiredJournal):
    """A journal that notes what its reader knew of a payment before each load of it."""

    def __init__(self, world: World) -> None:
        super().__init__(world.store, world.wire)
        self.knew: list[int] = []

    def load(self, ref: Ref, /, after: int = 0) -> Loaded:
        if isinstance(ref, PaymentRef):
            self.knew.append(after)
        return super().load(ref, after)


def test_beaten_worker_reads_only_what_is_new(world: World) -> None:
    """What a worker has folded is not read and folded again when another was faster: some streams are long."""
    ref = world.pay()
    command = world.decision(ref)
    winner, journal = world.service(world.gateway, world.store), ReadingJournal(world)
    world.wire.clear()
    world.wire.before[4] = lambda: _dispatched(winner.dispatch(ref).refunds)
    assert refund_of(world.service(journal=journal).issue(command)).status is Status.SUCCEEDED
    first, again = journal.knew
    assert (first, again > 0) == (0, True)


def _dispatched(refunds: tuple[Refund, ...]) -> None:
    assert [refund.status for refund in refunds] == [Status.SUCCEEDED]


def test_beaten_request_is_the_refund_that_won(world: World) -> None:
    """A request beaten by its own twin becomes the twin's refund; beaten by another decision it is refused."""
    # failures: A01, A20
    ref = world.pay()
    mine, other = world.decision(ref), world.decision(ref)
    for command, same in ((mine, True), (other, False)):
        world = _fresh(world, command)
        twin = world.service(world.gateway, world.store)
        won: list[Refund] = []
        world.wire.before[2] = lambda twin=twin, won=won: won.append(refund_of(twin.issue(mine)))  # type: ignore[misc]
        result = world.refunds.issue(command)
        if same:
            assert refund_of(result).id == won[0].id
        else:
            assert result == Refused((AlreadyRefunded(refund_id=won[0].id),))
        assert len(world.gateway.sent) == 1


def _fresh(world: World, command: IssueRefund) -> World:
    """The same world again, with its payment quoted and nothing else."""
    again = World(world.kind)
    assert again.pay() == command.payment
    again.decision(command.payment)
    again.wire.clear()
    return again


def test_answer_is_written_past_a_conflict(world: World) -> None:
    """An answer whose append is beaten by somebody's news is decided again and written: it is not dropped."""
    # failure: A04
    ref = world.pay()
    command = world.decision(ref)
    other = world.service(world.gateway, world.store)

    def news() -> None:
        world.bank.dispute(ref)
        other.quote(ref, by=MARIA)

    world.wire.clear()
    world.wire.after[5] = news
    refund = refund_of(world.refunds.issue(command))
    assert world.wire.calls[-3:] == ["append", "load", "append"]
    assert refund.status is Status.SUCCEEDED
    assert refund_of(world.refunds.issue(command)) == refund


def test_claim_is_left_alone_while_its_worker_may_send(world: World) -> None:
    """While one worker sends, others who issue, dispatch or recover neither look it up for a verdict nor send."""
    ref = world.pay()
    command = world.decision(ref)
    other = world.service(world.gateway, world.store)
    seen: list[Status] = []

    def meanwhile() -> None:
        seen.append(refund_of(other.issue(command)).status)
        other.dispatch(ref)
        other.recover()

    world.wire.each["send"] = meanwhile
    assert refund_of(world.refunds.issue(command)).status is Status.SUCCEEDED
    assert seen == [Status.REQUESTED]
    assert len(world.gateway.sent) == 1


def test_answer_of_an_old_claim_changes_nothing_of_a_newer(world: World) -> None:
    """A worker that wakes up after its claim was taken over books its answer on its own claim only."""
    ref = world.pay()
    command = world.decision(ref)
    other = world.service(world.gateway, world.store)

    def asleep() -> None:
        world.clock.advance(3 * MINUTE)
        world.wire.each.clear()
        other.recover()

    world.gateway.script(Fault.REQUEST_LOST)
    world.wire.after[_send_number(world)] = asleep
    refund = refund_of(world.refunds.issue(command))
    assert refund.status is Status.SUCCEEDED
    assert [(send.refund_id, send.claim) for send in world.gateway.sent] == [(refund.id, 1), (refund.id, 2)]
    assert world.bank.made(ref) == 1
    assert refund_of(world.refunds.issue(command)) == refund


def _send_number(world: World) -> int:
    """The number that the send of the next issue will have on the wire."""
    return len(world.wire.calls) + 5
