"""One SQLite connection per thread, opened when first needed, and none alive across a fork.

A connection carried over a fork is not only useless in the child: SQLite keeps one table of locks per process,
and the child inherits it while the locks themselves stay with the parent. Even a *new* connection in the child
then believes in locks that nobody holds, and once the parent has ended, what the child commits can vanish with
the write-ahead log (seen). So every connection is closed before a fork and opened again on either side; Python's
fork hooks do this. A fork that does not run them (some C servers) while one is open is refused in the child.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from refund_domain.errors import JournalBusy, JournalConflict, JournalError, JournalUnavailable

T = TypeVar("T")

LOCKED_BY: Final = "nothing was written; is a transaction of your own still open?"
"""Told of a journal that stayed locked: who calls it inside a transaction of their own that wrote waits for it."""

GATE: Final = threading.RLock()
"""Guards what threads share here. Held across a fork, so that no child finds it locked by a thread it lacks.

Never take it while holding a link's lock: a fork takes them in the other order.
"""


class Link:
    """One thread's connection to one journal; `raw` is None until it is needed, and after trouble."""

    def __init__(self, owner: object) -> None:
        self.owner = weakref.ref(owner)
        self.pid = os.getpid()
        self.lock = threading.RLock()  # held during each use, so that a fork or a close waits for its end
        self.raw: sqlite3.Connection | None = None

    def drop(self) -> None:
        """Close the connection, which rolls back what it had open; another process's is left alone."""
        raw, self.raw = self.raw, None
        if raw is None:
            return
        if self.pid != os.getpid():
            _INHERITED.append(raw)
            return
        with suppress(sqlite3.Error):
            raw.close()

    def __del__(self) -> None:  # when its thread ends
        self.drop()


_LINKS: Final[weakref.WeakSet[Link]] = weakref.WeakSet()
_INHERITED: Final[list[sqlite3.Connection]] = []  # kept for ever: closing them here would harm their process


class Connections:
    """The connections of one journal. `connect` opens one; it may raise sqlite3.Error or a `JournalError`."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._local = threading.local()
        self._closed = False

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` with this thread's connection. What SQLite raises comes out as a `JournalError`.

        After any error but a conflict the connection is thrown away, so the next call begins afresh. SQLite's own
        error does not hang on ours: its text may hold a whole row ("Could not decode … with text …").
        """
        link = self._link()
        with link.lock:
            try:
                if self._closed:
                    raise JournalUnavailable("this journal was closed; make a new one")
                if link.raw is None:
                    link.raw = self._connect()
                return work(link.raw)
            except JournalConflict:
                raise
            except sqlite3.Error as error:
                link.drop()
                trouble = journal_error(error)
            except BaseException:
                link.drop()
                raise
            raise trouble

    @property
    def in_transaction(self) -> bool:
        """Whether this thread's connection has a transaction open."""
        link: Link | None = getattr(self._local, "link", None)
        return link is not None and link.raw is not None and link.raw.in_transaction

    def let_go(self) -> None:
        """Close this thread's connection; the next call opens another."""
        link = self._link()
        with link.lock:
            link.drop()

    def close(self) -> None:
        """Close the connections of all threads, each after what it is doing; `run` refuses from now on."""
        self._closed = True
        with GATE:
            mine = [link for link in _LINKS if link.owner() is self]
        for link in mine:
            with link.lock:
                link.drop()

    def _link(self) -> Link:
        link: Link | None = getattr(self._local, "link", None)
        if link is not None and link.pid == os.getpid():
            return link
        with GATE:
            if _INHERITED or any(each.raw is not None and each.pid != os.getpid() for each in _LINKS):
                raise JournalUnavailable(
                    "this process was forked while a journal was open, without Python's fork hooks: "
                    "close the journal before such a fork"
                )
            link = Link(self)
            _LINKS.add(link)
        self._local.link = link
        return link


def journal_error(error: sqlite3.Error) -> JournalError:
    """What an error of SQLite means to the caller. SQLite's own text is not repeated, only its error's name."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY):
        return JournalConflict("another worker appended to this stream first")
    if code & 0xFF in _LOCKED:
        return JournalBusy(f"the journal stayed locked for longer than it waits ({name}); {LOCKED_BY}")
    trouble = _TROUBLE.get(code & 0xFF, "the journal's database failed")
    return JournalUnavailable(f"{trouble} ({name})")


_LOCKED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_TROUBLE: Final = {
    sqlite3.SQLITE_FULL: "the journal's disk is full",
    sqlite3.SQLITE_READONLY: "the journal's file may not be written",
    sqlite3.SQLITE_IOERR: "the journal's disk failed",
    sqlite3.SQLITE_CANTOPEN: "the journal's file cannot be opened: is its folder there, and writable?",
    sqlite3.SQLITE_NOTADB: "the journal's file is no SQLite database",
    sqlite3.SQLITE_CORRUPT: "the journal's file is damaged; restore it from a backup",
}


# ---- forks ----

_release: Final[list[Callable[[], None]]] = []  # empty after a fork that did not run the hook before it


def _before_fork() -> None:
    GATE.acquire()
    _release.append(GATE.release)
    for link in tuple(_LINKS):
        link.lock.acquire()
        _release.append(link.lock.release)
        link.drop()


def _after_fork() -> None:
    held = _release[:]
    _release.clear()  # before the gate opens: another thread may be about to fork
    for release in reversed(held):
        release()


if sys.platform != "win32":
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
