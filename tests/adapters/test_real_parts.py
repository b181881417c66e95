"""Real parts together: processes, threads, a file on disk, a socket, and SIGKILL. One refund each, always."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import stripe
from aiohttp import web

from refund_adapters.memory import ManualClock, MemoryBank, MemoryGateway, utc_now
from refund_adapters.sql import SqliteJournal
from refund_domain import Money, PaymentRef, Refund, RefundService, Status
from refund_domain.answers import Send
from refund_domain.decider.ledger import EMPTY, fold
from refund_domain.events import SendClaimed
from refund_domain.refusals import Refused
from tests.adapters.issue_child import MARIA, read_line, write_line
from tests.adapters.stripe_clients import stripe_over
from tests.canaries import KEY
from tests.children import start
from tests.postgres.workers import let_go
from tests.stripe_double.double import StripeDouble
from tests.stripe_mock import server

AMOUNT = Money.parse("200.00", "USD")
TOLD = {"in_flight", "already_refunded"}
KILLS = int(os.environ.get("REFUND_KILLS", "100"))
ROUND = int(os.environ.get("REFUND_ROUND", "0"))
"""What the gate does; the campaign sets the environment to more, and to other chance."""


child = partial(start, "tests.adapters.issue_child")
"""A process that issues, by its mode and what that takes."""


def test_two_processes_issue_the_same_payments_through_a_socket(tmp_path: Path) -> None:
    """Two processes issue the same 12 charges at the mock of Stripe, one journal file: one refund each, the
    other process is told."""
    reason = server.why_absent()
    if reason is not None and not server.absence_is_a_failure():
        pytest.skip(reason)
    mock = server.shared()
    charges = [mock.charge(20_000) for _ in range(12)]
    database = str(tmp_path / "refunds.db")
    children = [child("stripe", database, mock.base_address, *charges) for _ in range(2)]
    let_go(children)
    said: dict[str, list[str]] = {charge: [] for charge in charges}
    for each in children:
        output, _ = each.communicate(timeout=60)
        assert each.returncode == 0
        for line in output.splitlines():
            told = json.loads(line)
            said[told["charge"]] += told["said"]
    for charge in charges:
        assert len(mock.refunds(charge)) == 1
        assert "succeeded" in said[charge]
        assert set(said[charge]) <= {"succeeded", *TOLD}


class Meeting(StripeDouble):
    """A double that answers whoever reads a charge first once another has asked for it, too."""

    def __init__(self, bank: MemoryBank) -> None:
        super().__init__(bank, keys=(KEY,))
        self.met: dict[str, asyncio.Event] = {}

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith("/v1/charges/"):
            if request.path in self.met:
                self.met[request.path].set()
            else:
                self.met[request.path] = asyncio.Event()
                await self.met[request.path].wait()
        return await super()._handle(request)


def test_two_processes_issue_the_same_decisions_through_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes issue the same 12 decisions at a double of Stripe, one journal file, and each waits with its
    look at a charge until the other looks, too: one request and one refund each, which both processes name."""
    monkeypatch.setattr(stripe, "enable_telemetry", False)
    bank, database = MemoryBank(utc_now, cap=False), tmp_path / "refunds.db"
    refs = [bank.charge(AMOUNT) for _ in range(12)]
    double = Meeting(bank)
    with SqliteJournal(database) as journal, double:
        with (
            StripeDouble(bank, keys=(KEY,)) as quoting,
            stripe_over("requests", quoting.base_address, KEY, read_timeout_s=20.0) as gateway,
        ):
            service = RefundService(gateway, journal, allow=lambda *_: True)
            commands = tuple(service.quote(ref, by=MARIA).verified(by=MARIA) for ref in refs)
        children = [child("decided", str(database), double.base_address) for _ in range(2)]
        for each in children:
            assert each.stdin is not None
            write_line(each.stdin.fileno(), commands)
        let_go(children)
        outputs = [each.communicate(timeout=60)[0] for each in children]
        assert [each.returncode for each in children] == [0, 0]
        told = [json.loads(line) for output in outputs for line in output.splitlines()]
        posts = Counter(request.params["charge"] for request in double.requests if request.method == "POST")
        assert posts == Counter(ref.charge for ref in refs)
        assert len(double.met) == len(refs)
        assert all(event.is_set() for event in double.met.values())
        for ref in refs:
            first, second = [each for each in told if each["charge"] == ref.charge]
            assert first["id"] == second["id"]
            assert {"succeeded"} <= {first["said"], second["said"]} <= {"succeeded", "requested"}
            assert bank.made(ref) == 1
            view = service.show(ref, by=MARIA)
            assert [refund.status for refund in view.refunds] == [Status.SUCCEEDED]  # type: ignore[union-attr]
        assert double.violations == ()


def test_sixteen_threads_issue_the_same_payments_on_one_file(tmp_path: Path) -> None:
    """16 threads, each with its own decision about the same 8 payments, on one SQLite file: one refund each,
    the others told which."""
    # failure: A05
    bank = MemoryBank()
    journal = SqliteJournal(tmp_path / "refunds.db", busy_timeout_s=30)
    service = RefundService(MemoryGateway(bank), journal, allow=lambda *_: True)
    refs = [bank.charge(AMOUNT) for _ in range(8)]
    decisions = [service.quote(ref, by=MARIA).verified(by=MARIA) for ref in refs for _ in range(16)]
    barrier = threading.Barrier(16)

    def work(number: int) -> list[Refund | Refused]:
        barrier.wait()
        return [service.issue(decision) for decision in decisions[number::16]]

    with ThreadPoolExecutor(16) as pool:
        results = [result for done in pool.map(work, range(16)) for result in done]
    refunds = [result for result in results if isinstance(result, Refund)]
    assert len(refunds) == len({refund.id for refund in refunds}) == len(refs)
    assert all(refund.status is Status.SUCCEEDED for refund in refunds)
    assert all(bank.made(ref) == 1 for ref in refs)
    for result in results:
        if isinstance(result, Refused):
            assert {reason.code for reason in result.reasons} <= TOLD
    journal.close()


class Parent:
    """The bank a child refunds at, and the witness of each send: is its claim on disk when it arrives?"""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.bank = MemoryBank(utc_now, cap=False)
        self.gateway = MemoryGateway(self.bank)
        self.journal = SqliteJournal(database)
        self.refs: list[PaymentRef] = []
        self.asked = self.sends = 0
        self.told: list[tuple[PaymentRef, Status]] = []

    def serve(self, process: subprocess.Popen[bytes], questions: int) -> None:
        """Answer this many questions of the child, then kill it while it works on the last answer or waits."""
        assert process.stdout is not None
        assert process.stdin is not None
        for number in range(questions):
            line = process.stdout.readline()
            if not line:
                break
            asked = read_line(line)
            assert isinstance(asked, tuple)
            answer = self.answer(*asked)
            if number == questions - 1 and questions % 2:
                break  # killed with its question executed and the answer lost
            write_line(process.stdin.fileno(), answer)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()

    def answer(self, word: str, value: object) -> object:
        """What the child is told."""
        if word == "next":
            self.asked += 1
            if self.asked % 3 != 2:  # every third time the same payment again
                self.refs.append(self.bank.charge(AMOUNT))
            return self.refs[-1]
        if word == "look":
            assert isinstance(value, PaymentRef)
            return self.gateway.look(value)
        if word == "told":
            assert isinstance(value, tuple)
            self.told.append(value)
            return None
        assert isinstance(value, Send)
        self.sends += 1
        claims = [e.send for e in self.journal.load(value.payment).events if isinstance(e, SendClaimed)]
        assert value in claims, "a send arrived whose claim is not on disk"
        return self.gateway.send(value)


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Parent]:
    """A parent with an empty bank and a journal file."""
    parent = Parent(tmp_path / "refunds.db")
    yield parent
    parent.journal.close()


def test_a_hundred_kills_no_send_without_a_claim_and_one_refund_each(
    parent: Parent, record_property: Callable[[str, int], None]
) -> None:
    """A child is killed with SIGKILL 100 times between any two of its steps: every send's claim was on disk,
    and after recovery each payment asked for has exactly one refund, shown as it is at the bank."""
    draw = random.Random(20260302 + ROUND)
    for _ in range(KILLS):
        parent.serve(child("bank", str(parent.database)), draw.randint(1, 9))
    assert parent.sends >= KILLS // 2
    record_property("SQLite workers killed while refunding", KILLS)
    record_property("sends on record before they arrived", parent.sends)
    assert all(status is Status.SUCCEEDED for _, status in parent.told)

    # A day later, and every few hours: recovery alone finishes what the killed ones left.
    clock = ManualClock(utc_now())
    journal = SqliteJournal(parent.database, clock=clock)
    service = RefundService(parent.gateway, journal, allow=lambda *_: True)
    for _ in range(40):
        clock.forward(timedelta(minutes=30))
        assert service.recover(1000).failed == ()
    unfinished = 0
    for ref in parent.refs:
        ledger = fold(EMPTY, journal.load(ref).events)
        view = service.show(ref, by=MARIA)
        assert parent.bank.made(ref) <= 1
        if isinstance(view, Refused) or not view.refunds:
            unfinished += 1  # killed before the decision was written: nobody asked for this one
            assert parent.bank.made(ref) == 0
            continue
        assert [refund.status for refund in view.refunds] == [Status.SUCCEEDED]
        assert parent.bank.made(ref) == 1
        assert ledger.refunds[0].claims
    assert unfinished < len(parent.refs)
    journal.close()
