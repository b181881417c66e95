"""The observers shipped: lines of a log, and a hand-over that keeps nobody waiting and says what it dropped."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from refund_adapters.memory import Fault, MemoryBank, MemoryGateway, MemoryJournal
from refund_adapters.observing import Background, LogObserver, level_of
from refund_domain import Actor, Money, PaymentRef, Refund, RefundService, Status
from refund_domain.service.observations import Kind, Observation

ROOT = Path(__file__).parents[2]
MARIA = Actor(id="maria", tenant="acme")
USD_20 = Money.parse("20.00", "USD")
TOLD = Observation(kind=Kind.DROPPED, ref=PaymentRef("platform", "ch_1"), refund_id="r1", reasons=("disputed",))


def refunded(gateway: MemoryGateway, service: RefundService, bank: MemoryBank, *faults: Fault) -> Refund:
    """One refund, quoted and issued."""
    quote = service.quote(bank.charge(USD_20), by=MARIA)
    gateway.script(*faults)
    refund = service.issue(quote.verified(by=MARIA))
    assert isinstance(refund, Refund)
    return refund


@pytest.fixture
def bank() -> MemoryBank:
    """A bank."""
    return MemoryBank()


# --- the log --------------------------------------------------------------------------------------------------


def test_refund_is_logged_line_by_line(bank: MemoryBank, caplog: pytest.LogCaptureFixture) -> None:
    """Each observation is one line at its level with its fields beside it, on the library's logger."""
    caplog.set_level(logging.DEBUG, "refunds")
    gateway = MemoryGateway(bank)
    service = RefundService(gateway, MemoryJournal(), allow=lambda *_: True, observe=LogObserver())
    refund = refunded(gateway, service, bank, Fault.LOOK_WORKS, Fault.ANSWER_LOST)
    (answered,) = (record for record in caplog.records if vars(record)["refund_kind"] == "answered")
    assert answered.levelno == logging.WARNING
    assert answered.getMessage().startswith(f"answered {refund.payment} tenant=acme at=")
    fields = {name: value for name, value in vars(answered).items() if name.startswith("refund_")}
    assert fields["refund_id"] == refund.id
    assert (fields["refund_after"], fields["refund_answer"]) == ("in_doubt", "outcome_unknown")
    assert fields["refund_amount_minor"] == 2000
    assert {record.name for record in caplog.records} == {"refunds"}
    levels = {vars(record)["refund_kind"]: record.levelname for record in caplog.records}
    assert (levels["looked"], levels["requested"], levels["sent"]) == ("DEBUG", "INFO", "WARNING")


def test_quiet_logger_is_asked_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What the logger would not write is not made; a logger of the host's own is used."""
    logger = logging.getLogger("of.the.host")
    logger.setLevel(logging.WARNING)
    observe = LogObserver(logger)
    observe(TOLD)
    observe(attrs.evolve(TOLD, alarm="key_rejected"))
    assert [(record.name, record.levelname) for record in caplog.records] == [("of.the.host", "ERROR")]


@pytest.mark.parametrize(
    ("told", "level"),
    [
        ({"kind": Kind.LOOKED, "answer": "picture"}, logging.DEBUG),
        ({"kind": Kind.LOOKED, "answer": "unread"}, logging.WARNING),
        ({"kind": Kind.LOOKED, "answer": "missing"}, logging.WARNING),
        ({"kind": Kind.LOOK_SCHEDULED}, logging.DEBUG),
        ({"kind": Kind.LOOK_SCHEDULED, "alarm": "key_rejected"}, logging.ERROR),
        ({"kind": Kind.BEATEN}, logging.DEBUG),
        ({"kind": Kind.REQUESTED}, logging.INFO),
        ({"kind": Kind.REFUSED}, logging.INFO),
        ({"kind": Kind.SENT, "answer": "accepted"}, logging.INFO),
        ({"kind": Kind.SENT, "answer": "declined"}, logging.WARNING),
        ({"kind": Kind.SENT, "answer": "not_sent"}, logging.WARNING),
        ({"kind": Kind.UNWRITTEN, "answer": "accepted"}, logging.ERROR),
        ({"kind": Kind.ALLOW_BROKE}, logging.ERROR),
        ({"kind": Kind.REFUND_SEEN, "after": Status.SUCCEEDED}, logging.INFO),
        ({"kind": Kind.REFUND_SEEN, "after": Status.FAILED}, logging.WARNING),
        ({"kind": Kind.REFUND_SEEN, "after": Status.CANCELED}, logging.WARNING),
        ({"kind": Kind.NOT_MADE}, logging.WARNING),
        ({"kind": Kind.PERSON_ASKED}, logging.WARNING),
    ],
)
def test_level_is_by_what_happened(told: dict[str, object], level: int) -> None:
    """DEBUG for what happens all the time, WARNING for what did not go well, ERROR for what a person must mend."""
    assert level_of(Observation(ref=PaymentRef("platform", "ch_1"), **told)) == level  # type: ignore[arg-type]


# --- the hand-over ---------------------------------------------------------------------------------------------


class Slow:
    """An observer that waits at a gate, and keeps what passed it."""

    def __init__(self) -> None:
        self.gate, self.told = threading.Event(), list[Observation]()
        self.entered = threading.Event()

    def __call__(self, told: Observation) -> None:
        self.entered.set()
        self.gate.wait(60)
        self.told.append(told)


@pytest.fixture
def slow() -> Iterator[Slow]:
    """A slow observer, let go in the end."""
    slow = Slow()
    yield slow
    slow.gate.set()


def test_observer_that_never_returns_delays_no_refund(bank: MemoryBank, slow: Slow) -> None:
    """With an observer that blocks, a hundred refunds go out as ever; what does not fit is dropped and counted."""
    observe = Background(slow, most=10)
    gateway = MemoryGateway(bank)
    service = RefundService(gateway, MemoryJournal(), allow=lambda *_: True, observe=observe)
    for _ in range(100):
        assert refunded(gateway, service, bank).status is Status.SUCCEEDED
    assert slow.told == []
    told = 11 * 100  # of quote and issue, each time
    assert observe.dropped in (told - 10, told - 11)  # ten wait, and one is in the observer's hands, or not yet
    assert not observe.drain(0.01)
    assert not observe.close(0.01)
    slow.gate.set()
    assert observe.close(60)
    assert len(slow.told) + observe.dropped == told


def test_drain_waits_for_what_is_being_told(slow: Slow) -> None:
    """What the observer has in its hands is not told yet, though nothing waits behind it."""
    observe = Background(slow)
    observe(TOLD)
    assert slow.entered.wait(60)
    assert not observe.drain(0.05)
    slow.gate.set()
    assert observe.drain(60)
    assert slow.told == [TOLD]
    assert observe.close(60)


def test_background_tells_in_order_and_all_of_it(slow: Slow) -> None:
    """What was taken is told in its order, by one thread, which is not the caller's; drain waits for the last."""
    slow.gate.set()
    with Background(slow) as observe:
        sent = [attrs.evolve(TOLD, claim=number) for number in range(500)]
        for told in sent:
            observe(told)
        assert observe.drain(60)
        assert slow.told == sent
        observe(TOLD)
    assert slow.told == [*sent, TOLD]
    observe(TOLD)
    assert (observe.dropped, observe.failed) == (1, 0)


def test_observer_that_raises_is_counted_and_goes_on() -> None:
    """What the observer raises ends nothing: it is counted, and the next is told."""
    heard: list[Observation] = []

    def odd(told: Observation) -> None:
        heard.append(told)
        if len(heard) % 2:
            raise RuntimeError("the observer's own trouble")

    with Background(odd) as observe:
        for _ in range(4):
            observe(TOLD)
    assert (len(heard), observe.failed, observe.dropped) == (4, 2, 0)


def test_observer_cannot_end_its_thread() -> None:
    """An observer that raises SystemExit is counted as any other that raises, and the next observation is told."""
    heard: list[Observation] = []

    def leaves(told: Observation) -> None:
        heard.append(told)
        if len(heard) == 1:
            raise SystemExit

    with Background(leaves) as observe:
        observe(TOLD)
        observe(TOLD)
    assert (len(heard), observe.failed) == (2, 1)


def test_process_that_can_start_no_thread_drops(monkeypatch: pytest.MonkeyPatch, slow: Slow) -> None:
    """Where no thread can be started, observations are dropped and counted, and nothing is raised."""

    def full(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    observe = Background(slow)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", full)
        observe(TOLD)
    assert observe.dropped == 1
    slow.gate.set()
    observe(TOLD)
    assert observe.close(60)
    assert slow.told == [TOLD]


def test_many_threads_lose_nothing_uncounted(slow: Slow) -> None:
    """From many threads at once, each observation is told or counted as dropped."""
    slow.gate.set()
    observe = Background(slow, most=50)

    def work() -> None:
        for _ in range(500):
            observe(TOLD)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert observe.close(60)
    assert len(slow.told) + observe.dropped == 8 * 500


def test_observer_in_background_hears_nothing_of_its_own_doing(bank: MemoryBank) -> None:
    """An observer that uses the service from the background is not told of that: nothing goes round for ever."""
    heard: list[Observation] = []
    gateway, done = MemoryGateway(bank), threading.Event()

    def looks_again(told: Observation) -> None:
        assert done.wait(60)  # or the two would beat each other to a record, and that is observed as well
        heard.append(told)
        assert isinstance(told.ref, PaymentRef)
        service.quote(told.ref, by=MARIA)

    observe = Background(looks_again)
    service = RefundService(gateway, MemoryJournal(), allow=lambda *_: True, observe=observe)
    refunded(gateway, service, bank)
    done.set()
    assert observe.drain(60)
    assert (len(heard), observe.failed) == (11, 0)


def test_odd_arguments_are_refused() -> None:
    """What is no function, and room for nothing, is refused at once."""
    with pytest.raises(TypeError):
        Background(7)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        Background(print, most=0)


FORKS = """
import os, sys, threading
from refund_adapters.observing import Background
from refund_domain import PaymentRef
from refund_domain.service.observations import Kind, Observation

told, gate = Observation(kind=Kind.OPENED, ref=PaymentRef("platform", "ch_1")), threading.Event()
heard = []

def observe(each):
    gate.wait(60)
    heard.append(os.getpid())

background, gone = Background(observe, most=2), Background(observe)
del gone
for _ in range(4):
    background(told)
with background._turn:  # as another thread would hold it at the worst moment
    child = os.fork()
    if child == 0:
        gate.set()
        assert background.dropped == 0
        background(told)
        ok = background.close(60) and heard == [os.getpid()]
        os._exit(0 if ok else 1)
gate.set()
_, status = os.waitpid(child, 0)
assert background.close(60) and set(heard) == {os.getpid()} and len(heard) + background.dropped == 4
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_child_of_a_fork_begins_afresh() -> None:
    """A forked child tells what it hears in a thread of its own, nothing twice, whatever lock was held then."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS],
        timeout=120,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_process_ends_while_observations_wait() -> None:
    """An observer that never returns keeps no process from ending."""
    code = (
        "import threading, time\n"
        "from refund_adapters.observing import Background\n"
        "from refund_domain import PaymentRef\n"
        "from refund_domain.service.observations import Kind, Observation\n"
        "observe = Background(lambda told: threading.Event().wait())\n"
        "observe(Observation(kind=Kind.OPENED, ref=PaymentRef('platform', 'ch_1')))\n"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert time.monotonic() - began < 60
