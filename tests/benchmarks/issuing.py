"""B1 and B2: `issue` against the same three requests made raw with stripe-python: retrieve, list, create.

Both sides over the same transport of the same kind: one that answers from memory, or a server on loopback in a
process of its own, where the raw side has the HTTP client stripe-python itself brings. The quotes that `issue`
needs are made before the clock starts. B2 writes a durable journal, and adds to the raw side as many durable
writes of 4 KiB. stripe-python's telemetry is off on both sides: it would write a file into somebody's home.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import stripe

from refund_adapters.memory import MemoryJournal
from refund_adapters.sql import SqliteJournal
from refund_adapters.stripe import AsyncStripeGateway, StripeGateway, clients
from refund_domain import PaymentRef, Refund, RefundService
from refund_domain.events import Event
from refund_domain.payments import Ref
from refund_domain.ports import Head
from tests.benchmarks import sides
from tests.benchmarks.server import running
from tests.benchmarks.sides import KEY, MARIA, Canned, Issues, IssuesAwaited, RawCalls, RawCallsAwaited, Run
from tests.benchmarks.timing import Case, Timed, measure

Makers = tuple[Callable[[], stripe.HTTPClient], Callable[[], stripe.HTTPClient]]
"""Our HTTP client and stripe-python's own, over the same library."""

SYNC: Final[dict[str, Makers]] = {
    "requests": (clients.requests_client, stripe.RequestsClient),
    "httpx": (clients.httpx_client, partial(stripe.HTTPXClient, allow_sync_methods=True)),
}
ASYNC: Final[dict[str, Makers]] = {
    "httpx": (clients.httpx_client, stripe.HTTPXClient),
    "aiohttp": (clients.aiohttp_client, stripe.AIOHTTPClient),
}


# --- B1 -----------------------------------------------------------------------------------------------------


def b1(quick: bool) -> list[Timed]:
    """`issue` with the journal in memory: canned and over loopback, called and awaited."""
    stripe.enable_telemetry = False
    check_same_calls()
    count, rounds = (4, 1) if quick else (32, 21)
    with running() as address, asyncio.Runner() as runner, ExitStack() as closed_at_the_end:
        canned = _canned(count, runner.run)
        called = _called(address, count, closed_at_the_end)
        awaited = _awaited(address, count, closed_at_the_end, runner.run)
        return [row for group in (canned, called, awaited) for row in measure(group, rounds)]


def check_same_calls() -> None:
    """Raise RuntimeError unless `issue` makes the very requests that the raw side makes, in the same order."""
    transport = Canned()
    service = RefundService(StripeGateway(KEY, http_client=transport), MemoryJournal(), allow=sides.allowed)
    (charge,) = sides.fresh(1)
    command = service.quote(PaymentRef("platform", charge), by=MARIA).verified(by=MARIA)
    recorded = {}
    for name, call in (
        ("issue", lambda: service.issue(command)),
        ("raw", lambda: sides.as_objects(sides.make_raw(transport), charge)),
        ("as JSON", lambda: sides.as_json(sides.make_raw(transport), charge)),
    ):
        transport.seen = []
        call()
        mark = transport.seen[-1].rpartition(" ")[2]  # each side mints its own; as key and in the metadata
        recorded[name] = [line.replace(mark, "MARK") for line in transport.seen]
    if len(recorded["issue"]) != 3 or len(set(map(tuple, recorded.values()))) != 1:
        raise RuntimeError(f"the sides make different calls; nothing was timed: {recorded}")


def _canned(count: int, run: Run) -> list[Case]:
    """Without a wire: what both sides compute."""
    reach, raw = "≤ 1.25×", sides.make_raw(Canned())
    return [
        *sides.cases(
            "canned",
            count,
            reach,
            Issues(StripeGateway(KEY, http_client=Canned()), MemoryJournal, count),
            RawCalls(partial(sides.as_objects, raw), count),
            JSON=RawCalls(partial(sides.as_json, raw), count),
        ),
        *sides.cases(
            "canned, awaited",
            count,
            reach,
            IssuesAwaited(AsyncStripeGateway(KEY, http_client=Canned()), run, count, 1),
            RawCallsAwaited(raw, run, count, 1),
        ),
    ]


def _called(address: str, count: int, closed_at_the_end: ExitStack) -> list[Case]:
    """Over loopback, one payment after the other."""
    cases = []
    for name, (own, peer) in SYNC.items():
        gateway, theirs = StripeGateway(KEY, http_client=own(), base_address=address), peer()
        closed_at_the_end.callback(gateway.close)
        closed_at_the_end.callback(theirs.close)
        raw = sides.make_raw(theirs, address)
        ours = Issues(gateway, MemoryJournal, count)
        cases += sides.cases(
            f"loopback, {name}", count, "≤ 1.05×", ours, RawCalls(partial(sides.as_objects, raw), count)
        )
    return cases


def _awaited(address: str, count: int, closed_at_the_end: ExitStack, run: Run) -> list[Case]:
    """Over loopback, awaited: one at a time, and sixteen at once."""
    cases = []
    for name, (own, peer) in ASYNC.items():
        gateway, theirs = AsyncStripeGateway(KEY, http_client=own(), base_address=address), peer()
        closed_at_the_end.callback(_close, run, gateway, theirs)
        raw = sides.make_raw(theirs, address)
        for at_once, words in ((1, "awaited"), (16, "16 at once")):
            ours = IssuesAwaited(gateway, run, count, at_once)
            other = RawCallsAwaited(raw, run, count, at_once)
            cases += sides.cases(f"loopback, {name}, {words}", count, "≤ 1.05×", ours, other)
    return cases


def _close(run: Run, gateway: AsyncStripeGateway, theirs: stripe.HTTPClient) -> None:
    async def both() -> list[sides.Told]:
        await gateway.aclose()
        await theirs.close_async()  # type: ignore[no-untyped-call]
        return []

    run(both())


# --- B2 -----------------------------------------------------------------------------------------------------

_BLOCK: Final = 4096
_BLOCKS: Final = 256


class DurableFile:
    """The floor of durable writing: blocks of a file that is already there, each overwritten and waited for.

    An append would have to wait for the file's new length as well; the same bytes again need not be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.write(self._file, b"\xff" * (_BLOCK * _BLOCKS))
        os.fsync(self._file)
        self._wait: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)  # macOS lacks the first
        self._turn = 0

    def write(self) -> None:
        """Overwrite the next block with new bytes and wait until they are on the disk."""
        self._turn += 1
        os.pwrite(self._file, self._turn.to_bytes(8, "big") * (_BLOCK // 8), self._turn % _BLOCKS * _BLOCK)
        self._wait(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class CountingJournal(SqliteJournal):
    """A journal that counts its appends, each of which is one commit."""

    commits = 0

    def append(self, ref: Ref, events: Sequence[Event], /, *, expected: int, head: Head) -> datetime:
        self.commits += 1
        return super().append(ref, events, expected=expected, head=head)


def commits_per_issue(folder: Path) -> int:
    """How many transactions one `issue` commits, counted."""
    with closing(CountingJournal(folder / "counted.db")) as journal:
        service = RefundService(StripeGateway(KEY, http_client=Canned()), journal, allow=sides.allowed)
        (charge,) = sides.fresh(1)
        command = service.quote(PaymentRef("platform", charge), by=MARIA).verified(by=MARIA)
        journal.commits = 0
        if not isinstance(service.issue(command), Refund):
            raise RuntimeError("a refund was refused; nothing was timed")
        return journal.commits


def b2(quick: bool) -> list[Timed]:
    """`issue` over loopback with the SQLite journal at FULL, against the raw calls and as many durable writes.

    One file over all rounds, each of which spans several checkpoints of its write-ahead log. The files lie where
    TMPDIR says; let that be a disk, for in memory a durable write costs nothing.
    """
    stripe.enable_telemetry = False
    count, rounds = (4, 1) if quick else (256, 11)
    with tempfile.TemporaryDirectory() as made, running() as address, ExitStack() as closed_at_the_end:
        folder = Path(made)
        commits = commits_per_issue(folder)
        floor = closed_at_the_end.enter_context(closing(DurableFile(folder / "floor")))

        def durably() -> None:
            for _ in range(commits):
                floor.write()

        cases = [Case(name="a durable write of 4 KiB", work=floor.write, number=4 if quick else 256)]
        for name, (own, peer) in SYNC.items():
            gateway, theirs = StripeGateway(KEY, http_client=own(), base_address=address), peer()
            journal = closed_at_the_end.enter_context(SqliteJournal(folder / f"{name}.db"))
            closed_at_the_end.callback(gateway.close)
            closed_at_the_end.callback(theirs.close)
            raw = partial(sides.as_objects, sides.make_raw(theirs, address), written=durably)
            ours = Issues(gateway, lambda journal=journal: journal, count)  # type: ignore[misc]
            words = f"{name}, {commits} commits or durable writes"
            cases += sides.cases(words, count, "≤ 1.5×", ours, RawCalls(raw, count))
        return measure(cases, rounds)
