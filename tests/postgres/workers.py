"""The processes of the tests of the PostgreSQL journal, as their parent starts, hears and ends them."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial

from refund_adapters.sql import PostgresJournal
from refund_domain import PaymentRef
from refund_domain.events import PersonAsked
from tests.children import start

child = partial(start, "tests.postgres.child", stderr=subprocess.DEVNULL)
"""A worker, by its mode and what that takes."""


def of(mode: str, number: int) -> str:
    """The mode for this one of many processes: every other is on the async journal, so that both forms meet."""
    return f"{mode}_async" if number % 2 else mode


def until(holds: Callable[[], object], why_not: str) -> None:
    """Until this holds, for a minute at most."""
    give_up = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < give_up, why_not
        time.sleep(0.002)


def let_go(children: list[subprocess.Popen[bytes]]) -> None:
    """Start all of them at once, when each is ready."""
    for each in children:
        assert each.stdout is not None
        assert each.stdout.readline() == b"ready\n"
    for each in children:
        assert each.stdin is not None
        each.stdin.write(b"go\n")
        each.stdin.flush()


class Told:
    """What the appending children said, as it comes."""

    def __init__(self, children: list[subprocess.Popen[bytes]]) -> None:
        self.acks: dict[str, int] = {}
        self.stood: list[tuple[str, int]] = []
        self.errors: list[tuple[str, int, str]] = []
        self.beaten = 0
        self.lines = 0
        self._threads = [threading.Thread(target=self._read, args=(each,), daemon=True) for each in children]
        for thread in self._threads:
            thread.start()

    def _read(self, each: subprocess.Popen[bytes]) -> None:
        assert each.stdout is not None
        for line in each.stdout:
            if not line.endswith(b"\n"):
                continue  # cut by the kill
            word, ref, version, *rest = line.decode().split()
            self.lines += 1
            if word == "ack":
                self.acks[ref] = int(version)
                self.stood.append((ref, int(version)))
            elif word == "beaten":
                self.beaten += 1
            else:
                self.errors.append((ref, int(version), rest[0]))

    @property
    def dealt(self) -> int:
        """How often something stood, or another was first."""
        return len(self.stood) + self.beaten

    def wait_for(self, lines: int) -> None:
        """Until the children said so many lines more."""
        wanted = self.lines + lines
        until(lambda: self.lines >= wanted, "the children fell silent")

    def of(self, name: str) -> int:
        """How many streams the workers of such a name have begun."""
        return sum(ref.startswith(f"platform/{name}") for ref in list(self.acks))

    def struck(self, name: str) -> int:
        """How many appends of theirs did not return."""
        return sum(ref.startswith(f"platform/{name}") for ref, _, _ in list(self.errors))

    def join(self) -> None:
        """Until the last word was read."""
        for thread in self._threads:
            thread.join(20)


def check_streams(conninfo: str, told: Told) -> int:
    """Each stream holds what was acknowledged, perhaps one append more, and no append by half; how many more."""
    more = 0
    with PostgresJournal(conninfo) as journal:
        for ref, version in told.acks.items():
            loaded = journal.load(PaymentRef.parse(ref))
            assert loaded.version in (version, version + 2), (ref, version, loaded.version)
            assert [event.refund_id for event in loaded.events if isinstance(event, PersonAsked)] == [
                "r1",
                "r2",
            ] * (loaded.version // 2)
            more += loaded.version > version
        tailed = journal.tail("", 10**6)
        streams = {each.stream for each in tailed}
        assert set(told.acks) <= streams
        for stream in streams:
            versions = [each.version for each in tailed if each.stream == stream]
            assert versions == list(range(1, len(versions) + 1))
    return more


def end(children: list[subprocess.Popen[bytes]], told: Told) -> None:
    """Kill the children and hear what they said last."""
    for each in children:
        each.send_signal(signal.SIGKILL)
        each.wait()
    told.join()
    for each in children:
        for stream in (each.stdin, each.stdout):
            if stream is not None:
                stream.close()
