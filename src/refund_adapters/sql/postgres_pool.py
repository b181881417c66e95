"""A few connections to PostgreSQL, shared by the threads of a process (`postgres_pool_async`: by a loop's tasks).

A pool of its own, because what matters here is small and has to be exact: a statement is never tried twice, a
connection that broke is never used again, one that rests is looked at before it is used, and none crosses a fork.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, TypeVar

from refund_adapters.sql.postgres_asks import Identity
from refund_domain.errors import JournalBusy, JournalConflict, JournalError, JournalUnavailable

if TYPE_CHECKING:
    from refund_adapters.sql.postgres_asks import Ask
    from refund_adapters.sql.postgres_link import Link, Raw

T = TypeVar("T")


class Pool:
    """Up to `size` connections for any number of threads."""

    def __init__(self, link: Link, size: int) -> None:
        self._link = link
        self._size = size
        self.identity = Identity()
        self._closed = False
        self._begin()
        _POOLS.add(self)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._idle: list[tuple[int, Raw]] = []
        self._free = threading.Semaphore(self._size)

    def run(self, ask: Ask[T]) -> T:
        """Do one ask on a connection of its own. What psycopg raises comes out as a `JournalError`.

        After any error but a conflict the connection is thrown away, so the next call begins afresh.
        """
        from psycopg import Error

        from refund_adapters.sql.postgres_link import journal_error, perform

        if not self._free.acquire(timeout=self._link.busy_timeout_s):
            raise JournalBusy("all of the journal's connections were in use for longer than it waits")
        raw: Raw | None = None
        trouble: JournalError | None = None
        try:
            raw = self._connection()
            said = perform(raw, ask)
        except JournalConflict:
            self._put_back(raw)
            raise
        except Error as error:
            self._drop(raw)
            trouble = journal_error(error, self._link.asks.schema)
        except BaseException:
            self._drop(raw)
            raise
        else:
            self._put_back(raw)
            return said
        finally:
            self._free.release()
        # Outside of the handler, or psycopg's error would travel along and tell of rows and hosts.
        raise trouble

    def _connection(self) -> Raw:
        from refund_adapters.sql.postgres_link import INHERITED, is_usable

        while not self._closed:
            try:
                pid, raw = self._idle.pop()
            except IndexError:
                raw, opened = self._link.open(create=self.identity.journal_id is None)
                try:
                    self.identity.check(opened)
                except BaseException:
                    raw.close()
                    raise
                return raw
            if pid != os.getpid():  # a fork without Python's hooks
                INHERITED.append(raw)
            elif is_usable(raw):
                return raw
            else:
                self._drop(raw)
        raise JournalUnavailable("this journal was closed; make a new one")

    def _put_back(self, raw: Raw | None) -> None:
        if raw is not None:
            if self._closed:
                self._drop(raw)
            else:
                self._idle.append((os.getpid(), raw))

    def _drop(self, raw: Raw | None) -> None:
        if raw is not None:
            try:  # noqa: SIM105 - as below
                raw.close()
            except Exception:
                pass

    def let_go(self) -> None:
        """Close what rests: a server that is about to fork its workers holds nothing open yet."""
        while self._idle:
            pid, raw = self._idle.pop()
            if pid == os.getpid():
                self._drop(raw)

    def close(self) -> None:
        """Close every connection, those in use when they are done."""
        self._closed = True
        self.let_go()

    def after_fork(self) -> None:
        """Begin anew in a child; its parent's connections are left alone."""
        from refund_adapters.sql.postgres_link import INHERITED

        INHERITED.extend(self._idle)
        self._begin()

    def __del__(self) -> None:
        try:  # noqa: SIM105 - when the interpreter ends, what the module imported may be None already
            self.let_go()
        except Exception:
            pass


_POOLS: weakref.WeakSet[Pool] = weakref.WeakSet()


def _after_fork() -> None:
    for pool in tuple(_POOLS):
        pool.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
