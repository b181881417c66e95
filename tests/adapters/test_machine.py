"""The state machine of the kit: our own wirings keep every promise, and each mistake a host may make is found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from refund_adapters.memory import (
    AsyncMemoryGateway,
    AsyncMemoryJournal,
    ManualClock,
    MemoryBank,
    MemoryGateway,
    MemoryJournal,
)
from refund_adapters.sql import SqliteJournal
from refund_domain import Actor, AsyncRefundService, Money, Policy, RefundService
from refund_domain.answers import Accepted, NotSent, OutcomeUnknown, Picture, Send, Unread
from refund_domain.commands import Action, Choice
from refund_domain.payments import PLATFORM, Ref
from refund_domain.refusals import NotAskedFor, Refused
from refund_domain.testing.laws import LawBroken
from refund_domain.testing.laws_gateway import send_of
from refund_domain.testing.machine import MARIA, machine
from refund_domain.testing.promises import PROMISES, Taken
from refund_domain.testing.weather import Crash, Line, Play, Weather
from refund_domain.testing.wiring import Awaited, Wiring
from tests.adapters.broken_wirings import BROKEN_WIRINGS, Host

START: Final = datetime(2026, 11, 2, 9, tzinfo=UTC)
USD: Final = Money.parse("200.00", "USD")


def histories(count: int, *phases: Phase) -> settings:
    """So many histories of up to 25 steps, the same on every machine and every day."""
    return settings(
        max_examples=count,
        stateful_step_count=25,
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=phases or (Phase.generate,),
    )


def memory(*, cap: bool, policy: Policy) -> Wiring:
    """Everything in memory, under a bank that caps or does not."""
    clock, weather, owners = ManualClock(START), Weather(), dict[Ref, str]()
    bank, journal = MemoryBank(clock, cap=cap), MemoryJournal(clock)

    def serve() -> RefundService:
        gateway = weather.over(MemoryGateway(bank))
        return RefundService(gateway, journal, allow=partial(may, owners), policy=policy)

    return Wiring(
        serve(),
        bank=bank,
        weather=weather,
        forward=clock.forward,
        own=owners.__setitem__,
        policy=policy,
        restart=serve,
    )


def may(owners: dict[Ref, str], actor: Actor, action: Action, ref: Ref | None) -> bool:
    """Everybody the payments of their own tenant."""
    return ref is None or owners.get(ref) == actor.tenant


@contextmanager
def in_a_file(folder: Path) -> Iterator[Wiring]:
    """The journal in a file, opened anew after each crash."""
    path = folder / "refunds.db"
    path.unlink(missing_ok=True)
    clock, weather, owners = ManualClock(START), Weather(), dict[Ref, str]()
    bank = MemoryBank(clock, cap=False)
    open_now: list[SqliteJournal] = []

    def serve() -> RefundService:
        while open_now:
            open_now.pop().close()
        open_now.append(SqliteJournal(path, clock=clock))
        return RefundService(weather.over(MemoryGateway(bank)), open_now[0], allow=partial(may, owners))

    wiring = Wiring(
        serve(), bank=bank, weather=weather, forward=clock.forward, own=owners.__setitem__, restart=serve
    )
    try:
        yield wiring
    finally:
        open_now[0].close()


@contextmanager
def awaited() -> Iterator[Wiring]:
    """The asynchronous service, run by an event loop."""
    clock, weather, owners = ManualClock(START), Weather(), dict[Ref, str]()
    bank, journal = MemoryBank(clock, cap=False), MemoryJournal(clock)

    async def allow(actor: Actor, action: Action, ref: Ref | None) -> bool:
        return may(owners, actor, action, ref)

    with asyncio.Runner() as runner:
        gateway = weather.over_async(AsyncMemoryGateway(bank), runner.run)
        service = AsyncRefundService(gateway, AsyncMemoryJournal(journal), allow=allow)
        desk = Awaited(service, runner.run, weather)
        yield Wiring(desk, bank=bank, weather=weather, forward=clock.forward, own=owners.__setitem__)


# --- sound wirings keep every promise -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cap", "policy"),
    [
        (False, Policy()),
        (True, Policy(gateway_caps=False)),
        (False, Policy(accept_unsettled_ach=True, end_after=timedelta(hours=48))),
    ],
    ids=["no cap", "cap not counted on", "other policy"],
)
def test_memory_wirings_keep_every_promise(cap: bool, policy: Policy) -> None:
    """The service over the memory journal keeps every promise, under each of these banks and policies."""
    run_state_machine_as_test(machine(partial(memory, cap=cap, policy=policy)), settings=histories(40))


def test_wiring_in_a_file_keeps_every_promise(tmp_path: Path) -> None:
    """The service over an SQLite file, opened anew after each crash, keeps every promise."""
    run_state_machine_as_test(machine(partial(in_a_file, tmp_path)), settings=histories(30))


def test_awaited_wiring_keeps_every_promise() -> None:
    """The asynchronous service keeps every promise."""
    run_state_machine_as_test(machine(awaited), settings=histories(40))


# --- broken ones are found ------------------------------------------------------------------------------------


def test_sound_host_keeps_every_promise() -> None:
    """The wiring that the broken ones are made of keeps every promise: what is found is their mistake."""
    run_state_machine_as_test(machine(Host), settings=histories(40))


@pytest.mark.parametrize(("host", "promises"), BROKEN_WIRINGS, ids=lambda value: getattr(value, "__name__", ""))
def test_each_mistake_is_found(host: type[Host], promises: frozenset[str]) -> None:
    """Each mistake is found within 1,500 histories (the rarest takes some 400), and what it breaks is named."""
    with pytest.raises(LawBroken) as caught:
        run_state_machine_as_test(machine(host), settings=histories(1_500))
    assert caught.value.law in promises
    assert caught.value.demand == PROMISES[caught.value.law]


def test_every_promise_has_a_mistake_that_breaks_nothing_else() -> None:
    """No promise goes untried: each is the only one that some mistake breaks."""
    assert {next(iter(promises)) for _, promises in BROKEN_WIRINGS if len(promises) == 1} == set(PROMISES)


def test_failing_history_reads_as_a_story() -> None:
    """What is printed is a short history: what people did, what the line did, and what they were told."""
    host = next(host for host, _ in BROKEN_WIRINGS if host.__name__ == "PaysAnewInDoubt")
    with pytest.raises(LawBroken, match="one_live_refund: A payment has at most one") as caught:
        run_state_machine_as_test(machine(host), settings=histories(100, Phase.generate, Phase.shrink))
    told = "\n".join(caught.value.__notes__)
    for line in ("the page says 200 USD", "befalls a send of 2.00 USD", "they are told", "state.teardown()"):
        assert line in told
    assert told.count("\n") < 30


def test_awaited_desk_settles_as_the_service_does() -> None:
    """What nobody asked for is refused by the asynchronous desk, too, and nothing is settled."""
    with awaited() as wiring:
        ref = wiring.bank.charge(USD, account=PLATFORM, method="card")
        wiring.own(ref, MARIA.tenant)
        assert wiring.page(ref, MARIA) is not None
        said = wiring.service.settle(ref, subject="payment", code="none", choice=Choice.NOTED, by=MARIA)
        assert said == Refused((NotAskedFor(),))


@given(st.just(Play.LATE))
@settings(max_examples=1)
def test_what_is_late_arrives_within_its_time(late: Play) -> None:
    """However long the machine lets pass, a request that was given up is at the bank before it may be no more."""
    state = machine(partial(memory, cap=False, policy=Policy()))()
    taken = state.first_payment("card", 2)
    assert isinstance(taken, Taken)
    state.refund(taken, [late])
    bank, weather = state._wiring.bank, state._wiring.weather
    assert (len(weather.held), bank.refunds(taken.ref)) == (1, ())
    state.time_passes("watch_most", 0)
    (made,) = bank.refunds(taken.ref)
    assert weather.held == []
    assert made.created_at - START <= Policy().executes_within
    state.teardown()


@given(st.just(Choice.NOTED))
@settings(max_examples=1)
def test_what_waits_is_answered(choice: Choice) -> None:
    """Somebody who reads what waits answers it, and then it waits no more."""
    state = machine(partial(memory, cap=False, policy=Policy()))()
    taken = state.first_payment("card", 2)
    assert isinstance(taken, Taken)
    state.refund(taken, [])
    state.bank_decides(taken, True)
    state.reconcile(taken, [])
    (waiting,) = state._wiring.waiting(taken.owner)
    assert [item.code for item in waiting.items] == ["failed"]
    state.settle(taken, choice)
    assert state._wiring.waiting(taken.owner) == ()
    state.teardown()


def test_machine_needs_a_maker() -> None:
    """A wiring in place of its maker is refused: every history needs a fresh one."""
    with pytest.raises(TypeError, match="make must be callable"):
        machine(Host())  # type: ignore[arg-type]


# --- the weather, by hand -------------------------------------------------------------------------------------


def line() -> tuple[Weather, Line, MemoryBank, Send]:
    """A line to a bank with one payment, and a send of it."""
    weather, bank = Weather(), MemoryBank(ManualClock(START))
    ref = bank.charge(USD)
    return weather, weather.over(MemoryGateway(bank)), bank, send_of(ref, USD)


def test_fair_weather_changes_nothing() -> None:
    """With nothing queued the line is the gateway."""
    weather, gateway, bank, send = line()
    assert not gateway.live
    assert isinstance(gateway.look(send.payment), Picture)
    assert isinstance(gateway.send(send), Accepted)
    assert weather.sent == [send]
    assert bank.made(send.payment) == 1


@pytest.mark.parametrize(
    ("play", "made", "heard"),
    [
        (Play.ANSWER_LOST, 1, OutcomeUnknown(why="timeout")),
        (Play.REQUEST_LOST, 0, OutcomeUnknown(why="timeout")),
        (Play.LATE, 0, OutcomeUnknown(why="timeout")),
        (Play.BROKE_AFTER, 1, OutcomeUnknown(why="http_500", resend=False)),
        (Play.BROKE_BEFORE, 0, OutcomeUnknown(why="http_500", resend=False)),
        (Play.NOT_SENT, 0, NotSent(why="connection_refused")),
    ],
)
def test_play_of_a_send(play: Play, made: int, heard: object) -> None:
    """Each play of a send does at the bank what it says, and tells the caller what it says."""
    weather, gateway, bank, send = line()
    weather.play(play)
    assert gateway.send(send) == heard
    assert bank.made(send.payment) == made
    weather.arrive()
    assert bank.made(send.payment) == (1 if play is Play.LATE else made)
    assert not weather.held


@pytest.mark.parametrize(
    ("play", "made", "error"),
    [(Play.RAISES, 1, RuntimeError), (Play.CRASH_BEFORE, 0, Crash), (Play.CRASH_AFTER, 1, Crash)],
)
def test_play_that_raises(play: Play, made: int, error: type[BaseException]) -> None:
    """A send that raises or dies has executed or not, as it says."""
    weather, gateway, bank, send = line()
    weather.play(play)
    with pytest.raises(error):
        gateway.send(send)
    assert bank.made(send.payment) == made


def test_play_of_a_look() -> None:
    """Looks take their own plays, in order, and leave those of sends alone."""
    weather, gateway, bank, send = line()
    weather.play(Play.ANSWER_LOST, Play.LOOK_UNREAD, Play.LOOK_RAISES, Play.LOOK_CRASH)
    assert isinstance(gateway.look(send.payment), Unread)
    with pytest.raises(RuntimeError):
        gateway.look(send.payment)
    with pytest.raises(Crash):
        gateway.look(send.payment)
    assert isinstance(gateway.look(send.payment), Picture)
    weather.clear()
    assert isinstance(gateway.send(send), Accepted)
    assert bank.made(send.payment) == 1


def test_another_worker_runs_when_the_weather_says() -> None:
    """Another worker runs before or after the request is executed, and not while one is alone."""
    weather, gateway, bank, send = line()
    seen: list[int] = []
    weather.worker = lambda: seen.append(bank.made(send.payment))
    weather.play(Play.LOOK_WORKER, Play.WORKER_BEFORE, Play.WORKER_AFTER, Play.WORKER_AFTER)
    gateway.look(send.payment)
    gateway.send(send)
    gateway.send(send)
    with weather.alone():
        gateway.send(send)
    assert seen == [0, 0, 1]


@pytest.mark.parametrize("play", Play)
def test_awaited_line_plays_the_same(play: Play) -> None:
    """The asynchronous line does with each play what the other does."""
    weather, gateway, bank, send = line()
    sky, twin = Weather(), MemoryBank(ManualClock(START))
    assert twin.charge(USD) == send.payment
    with asyncio.Runner() as runner:
        awaited_gateway = sky.over_async(AsyncMemoryGateway(twin), runner.run)
        assert not awaited_gateway.live
        weather.play(play)
        sky.play(play)
        for here, there in (
            (lambda: gateway.look(send.payment), lambda: runner.run(awaited_gateway.look(send.payment))),
            (lambda: gateway.send(send), lambda: runner.run(awaited_gateway.send(send))),
        ):
            assert heard(here) == heard(there)
        weather.arrive()
        sky.arrive()
    assert bank.refunds(send.payment) == twin.refunds(send.payment)


def heard(act: Callable[[], object]) -> object:
    """What came of it, or the class of what was raised."""
    try:
        return act()
    except (RuntimeError, Crash) as error:
        return type(error)
