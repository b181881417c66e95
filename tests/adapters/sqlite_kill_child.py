"""Processes for the tests of the SQLite journal: they append until killed, die in a move, race, fork, and lose
their rights.

Run as a script: `python sqlite_kill_child.py MODE …`; each mode is a function below.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from refund_adapters.memory import MemoryBank, MemoryGateway
from refund_adapters.sql import SqliteJournal
from refund_domain import Actor, Money, RefundService
from refund_domain.errors import JournalConflict, JournalError
from refund_domain.events import PersonAsked
from refund_domain.payments import PaymentRef
from refund_domain.ports import Head

NOBODY = 65534
HEAD = Head(tenant="acme", look_at=None, waiting=False)


def batch(size: int) -> list[PersonAsked]:
    """Events that say where in their append they stand, so that half an append can be told from a whole one."""
    return [PersonAsked(at=datetime.now(UTC), refund_id=f"{index}of{size}") for index in range(1, size + 1)]


def say(words: str) -> None:
    os.write(1, f"{words}\n".encode())


def append_until_killed(path: str) -> None:
    """Append for ever to streams of its own, telling each append only after it returned."""
    chance = random.Random(os.urandom(8))
    journal = SqliteJournal(path)
    while True:
        ref = PaymentRef("platform", f"ch_{chance.getrandbits(64):x}")
        version = 0
        for _ in range(8):
            size = chance.randint(1, 5)
            journal.append(ref, batch(size), expected=version, head=HEAD)
            version += size
            say(f"ack {ref} {version}")


def fork_on_order() -> None:
    """For each path read, fork a child that appends there until killed; tell its pid, and when it is gone."""
    for path in sys.stdin:
        child = os.fork()
        if child == 0:
            append_until_killed(path.strip())
        say(f"pid {child}")
        os.waitpid(child, 0)
        say("gone")


def dying(number: int, moment: str) -> type[sqlite3.Connection]:
    """Connections whose process is killed before or after its statement of this number, which it tells first."""
    begun = itertools.count(1)

    def die(sql: str) -> None:
        say(f"killed {moment} {' '.join(sql.split())}")
        os.kill(os.getpid(), signal.SIGKILL)

    class Dying(sqlite3.Connection):
        def __init__(self, *values: Any, **named: Any) -> None:
            super().__init__(*values, **named)
            # Too small a cache for a move: what is not committed reaches the log, as if the rows were many.
            super().execute("PRAGMA cache_size = 1")

        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            mine = next(begun) == number
            if mine and moment == "before":
                die(sql)
            done = super().execute(sql, parameters)
            if mine:
                die(sql)
            return done

    return Dying


def die_opening() -> None:
    """For each line "MOMENT NUMBER PATH" read, fork a child that opens the journal there and is killed at that
    statement; tell at which it was, or that it had no so many."""
    connect = sqlite3.connect
    for line in sys.stdin:
        moment, number, path = line.rstrip("\n").split(" ", 2)
        child = os.fork()
        if child == 0:
            sqlite3.connect = partial(connect, factory=dying(int(number), moment))  # type: ignore[assignment]
            SqliteJournal(path)
            say("opened")
            os._exit(0)
        os.waitpid(child, 0)
        say("gone")


def append_some(path: str, ref: str, count: str) -> None:
    """Append `count` events to one stream that others append to as well, deciding again when beaten."""
    journal = SqliteJournal(path, busy_timeout_s=30)
    for _ in range(int(count)):
        while True:
            stream = PaymentRef.parse(ref)
            version = journal.load(stream).version
            try:
                journal.append(stream, batch(1), expected=version, head=HEAD)
            except JournalConflict:
                continue
            say(f"ack {ref} {version + 1}")
            break
    journal.close()


def fork_and_leave(path: str) -> None:
    """Become a daemon with the journal open: the parent ends, and another process comes and goes."""
    journal, ref = SqliteJournal(path), PaymentRef("platform", "ch_daemon")
    journal.append(ref, batch(1), expected=0, head=HEAD)
    parent_ends, parent_lives = os.pipe()
    if os.fork():
        os._exit(0)
    os.close(parent_lives)
    os.read(parent_ends, 1)  # until the parent has ended
    journal.append(ref, batch(1), expected=1, head=HEAD)
    subprocess.run([sys.executable, __file__, "some", path, "platform/ch_visitor", "1"], check=True)
    for version in (2, 3, 4):
        journal.append(ref, batch(1), expected=version, head=HEAD)
    say(f"ack {ref} 5")
    os._exit(0)  # not even closed


def fork_behind_our_back(path: str) -> None:
    """Fork as a C server might, without Python's hooks: with the journal at rest, and while it is open."""
    fork = ctypes.PyDLL(None).fork
    ref = PaymentRef("platform", "ch_1")
    journal: SqliteJournal | None = SqliteJournal(path)
    assert journal is not None
    for state in ("rest", "open"):
        if state == "open":
            journal.load(ref)
        child = fork()
        if child == 0:
            try:
                say(f"{state}: version {journal.load(ref).version}")
            except JournalError as error:
                say(f"{state}: {type(error).__name__}")
            before = len(os.listdir("/proc/self/fd"))
            journal = None
            gc.collect()
            say(f"closed of the parent's: {before - len(os.listdir('/proc/self/fd'))}")
            os._exit(0)
        os.waitpid(child, 0)
    say(f"parent: version {journal.load(ref).version}")


def write_without_rights(path: str) -> None:
    """Read and write a file that this user may only read."""
    if os.getuid() == 0:
        os.setuid(NOBODY)
    journal, ref = SqliteJournal(path), PaymentRef("platform", "ch_1")
    version = journal.load(ref).version
    say(f"version {version}")
    try:
        journal.append(ref, batch(1), expected=version, head=HEAD)
    except JournalError as error:
        say(f"{type(error).__name__}: {error}")
    say(f"version {journal.load(ref).version}")


def refund_without_rights(path: str) -> None:
    """Quote a payment, and issue what another wrote down, with a file that this user may only read."""
    bank = MemoryBank()
    refs = [bank.charge(Money.parse("200.00", "USD")) for _ in range(2)]
    maria = Actor(id="maria", tenant="acme")
    with tempfile.TemporaryDirectory() as folder, SqliteJournal(os.path.join(folder, "refunds.db")) as other:
        command = RefundService(MemoryGateway(bank), other, allow=lambda *_: True).quote(refs[0], by=maria)
    if os.getuid() == 0:
        os.setuid(NOBODY)
    journal = SqliteJournal(path)
    service = RefundService(MemoryGateway(bank), journal, allow=lambda *_: True)
    say(f"version {journal.load(refs[0]).version}")
    for work in (lambda: service.quote(refs[1], by=maria), lambda: service.issue(command.verified(by=maria))):
        try:
            work()
        except JournalError as error:
            say(f"{type(error).__name__}: {error}")
    say(f"sends {len(bank.received)}")


def hold_the_lock(path: str) -> None:
    """Hold the file's write lock from one line of the parent's to the next."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    for _ in sys.stdin:
        connection.execute("COMMIT" if connection.in_transaction else "BEGIN IMMEDIATE")
        say("locked" if connection.in_transaction else "free")


MODES: dict[str, Callable[..., None]] = {
    "forks": fork_on_order,
    "opening": die_opening,
    "some": append_some,
    "daemon": fork_and_leave,
    "hooks": fork_behind_our_back,
    "rights": write_without_rights,
    "refused": refund_without_rights,
    "lock": hold_the_lock,
}

if __name__ == "__main__":
    MODES[sys.argv[1]](*sys.argv[2:])
