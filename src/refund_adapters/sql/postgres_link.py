"""psycopg as the journals use it: connections that are checked, waits that end, errors that tell no secret.

Loaded only by whoever opens a journal in PostgreSQL: nothing else imports psycopg.
"""

from __future__ import annotations

import asyncio
import select
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any, Final, TypeVar

import attrs
import psycopg
from psycopg import conninfo
from psycopg.adapt import AdaptersMap
from psycopg.postgres import register_default_adapters
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.rows import tuple_row

from refund_adapters.sql.connections import LOCKED_BY
from refund_adapters.sql.postgres_asks import Ask, Asks, Opened, Opening, Rows
from refund_domain.errors import JournalBusy, JournalConflict, JournalError, JournalUnavailable

T = TypeVar("T")

GRACE_S: Final = 2.0
"""How much longer than the server's own limit an answer is waited for, in seconds."""

Raw = psycopg.Connection[tuple[Any, ...]]
AsyncRaw = psycopg.AsyncConnection[tuple[Any, ...]]


@attrs.frozen(kw_only=True)
class Link:
    """How one journal's connections are opened; its `conninfo` is shown to nobody."""

    conninfo: str = attrs.field(repr=False)
    asks: Asks
    busy_timeout_s: float
    statement_timeout_s: float
    connect_timeout_s: int
    accept_weak: bool
    must_exist: bool

    @property
    def deadline_s(self) -> float:
        """The longest that one statement's answer is waited for."""
        return self.statement_timeout_s + GRACE_S

    def _parameters(self) -> dict[str, Any]:
        return {
            "conninfo": self.conninfo,
            "autocommit": True,
            "connect_timeout": self.connect_timeout_s,
            "client_encoding": "UTF8",
            "fallback_application_name": "refund-domain",
        }

    def _opening(self, create: bool) -> Opening:
        settings = {
            "lock_ms": str(max(1, int(self.busy_timeout_s * 1000))),
            "statement_ms": str(max(1, int(self.statement_timeout_s * 1000))),
        }
        return self.asks.opening(
            create=create, must_exist=self.must_exist, settings=settings, accept_weak=self.accept_weak
        )

    def open(self, create: bool) -> tuple[Raw, Opened]:
        """A connection that commits each statement, set up and checked. Raises psycopg.Error as it comes."""
        raw = _Bounded.connect(**self._parameters())
        raw.deadline_s = self.deadline_s
        raw.add_notice_handler(raw.heard.note)
        try:
            opened = walk(lambda *asked: _rows(raw, *asked), self._opening(create))
            return raw, attrs.evolve(opened, database=raw.info.dbname)
        except BaseException:
            raw.close()
            raise

    async def aopen(self, create: bool) -> tuple[AsyncRaw, Opened]:
        """The same for asyncio."""
        raw = await _AsyncBounded.connect(**self._parameters())
        raw.deadline_s = self.deadline_s
        raw.add_notice_handler(raw.heard.note)
        try:
            opened = await awalk(lambda *asked: _arows(raw, *asked), self._opening(create))
            return raw, attrs.evolve(opened, database=raw.info.dbname)
        except BaseException:
            await raw.close()
            raise


class _Silence(psycopg.OperationalError):
    """The deadline passed without an answer. No TimeoutError: that is an OSError, by which psycopg would
    understand that the connection was lost."""


class _Heard:
    """What the server said beside its answers on one connection."""

    def __init__(self) -> None:
        self.unreplicated = False

    def note(self, said: psycopg.errors.Diagnostic) -> None:
        """Note that the wait for a standby was given up: a warning only, and the commit goes through.

        Told by where it came from: its text is in the server's language, its code that of any other warning.
        """
        if said.source_function == "SyncRepWaitForLSN":
            self.unreplicated = True


class _Bounded(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose waits end: a server that fell silent would be waited for without end otherwise."""

    deadline_s: float = 60.0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.heard = _Heard()

    def wait(self, gen: Generator[Any, Any, T], *arguments: Any, **named: Any) -> T:
        """Let psycopg wait for `gen`, which gives up at the deadline."""
        return super().wait(_until(gen, time.monotonic() + self.deadline_s), *arguments, **named)


class _AsyncBounded(psycopg.AsyncConnection[tuple[Any, ...]]):
    """The same for asyncio. A timeout around the wait would not do: psycopg answers it, as any cancellation, by
    asking the server to cancel, and then waits on for a server that is silent."""

    deadline_s: float = 60.0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.heard = _Heard()

    async def wait(self, gen: Generator[Any, Any, T], *arguments: Any, **named: Any) -> T:
        """Let psycopg wait for `gen`, which gives up at the deadline. A cancellation is passed on all the same."""
        task = asyncio.current_task()
        before = 0 if task is None else task.cancelling()
        try:
            return await super().wait(_until(gen, time.monotonic() + self.deadline_s), *arguments, **named)
        except _Silence:
            # psycopg 3.2 lets an error of its second wait take the cancellation's place.
            if task is None or task.cancelling() <= before:
                raise
        raise asyncio.CancelledError


def _until(gen: Generator[Any, Any, T], deadline: float) -> Generator[Any, Any, T]:
    """The same generator, which psycopg resumes ten times a second, until the deadline has passed."""
    said = None
    try:
        while True:
            said = yield gen.send(said)
            if not said and time.monotonic() >= deadline:
                raise _Silence
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


# ---- statements ----

_ADAPTERS: Final = AdaptersMap(psycopg.adapters)
register_default_adapters(_ADAPTERS)  # over what a host changed for all connections


class OwnCursor(psycopg.Cursor[tuple[Any, ...]]):
    """A cursor that reads and writes as psycopg does by itself, whatever the connection's owner has taught it."""

    def __init__(self, raw: Raw) -> None:
        super().__init__(raw, row_factory=tuple_row)

    @property
    def adapters(self) -> AdaptersMap:
        """psycopg's own."""
        return _ADAPTERS


class AsyncOwnCursor(psycopg.AsyncCursor[tuple[Any, ...]]):
    """The same for asyncio."""

    def __init__(self, raw: AsyncRaw) -> None:
        super().__init__(raw, row_factory=tuple_row)

    @property
    def adapters(self) -> AdaptersMap:
        """psycopg's own."""
        return _ADAPTERS


def perform(raw: Raw, ask: Ask[T]) -> T:
    """Do one ask on a connection of the journal's own."""
    said = ask.read(_rows(raw, ask.statement, ask.values))
    _check_replicated(raw)
    return said


async def aperform(raw: AsyncRaw, ask: Ask[T]) -> T:
    """The same for asyncio."""
    said = ask.read(await _arows(raw, ask.statement, ask.values))
    _check_replicated(raw)
    return said


def _check_replicated(raw: Raw | AsyncRaw) -> None:
    if isinstance(raw, (_Bounded, _AsyncBounded)) and raw.heard.unreplicated:
        raise JournalUnavailable(
            "the wait for a standby was broken off: nobody knows whether what was asked outlives this server"
        )


def walk(ask: Callable[[bytes, Mapping[str, object]], Rows], steps: Opening) -> Opened:
    """Do each statement of these steps."""
    try:
        asked = next(steps)
        while True:
            asked = steps.send(ask(*asked))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def awalk(ask: Callable[[bytes, Mapping[str, object]], Awaitable[Rows]], steps: Opening) -> Opened:
    """The same for asyncio."""
    try:
        asked = next(steps)
        while True:
            asked = steps.send(await ask(*asked))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def _rows(raw: Raw, statement: bytes, values: Mapping[str, object]) -> Rows:
    with OwnCursor(raw) as cursor:
        cursor.execute(statement, values)
        return given(cursor)


async def _arows(raw: AsyncRaw, statement: bytes, values: Mapping[str, object]) -> Rows:
    async with AsyncOwnCursor(raw) as cursor:
        await cursor.execute(statement, values)
        return await agiven(cursor)


def given(cursor: OwnCursor) -> Rows:
    """The rows of what was asked, none where it gives none."""
    return cursor.fetchall() if _gave_rows(cursor) else ()


async def agiven(cursor: AsyncOwnCursor) -> Rows:
    """The same for asyncio."""
    return await cursor.fetchall() if _gave_rows(cursor) else ()


def _gave_rows(cursor: psycopg.Cursor[Any] | psycopg.AsyncCursor[Any]) -> bool:
    """Whether the statement gives rows; `description` would say so, too, and describe every column first."""
    return cursor.pgresult is not None and cursor.pgresult.status == ExecStatus.TUPLES_OK


# ---- the state of a connection ----


def is_usable(raw: Raw | AsyncRaw) -> bool:
    """Whether a connection that rested may be used: open, at rest, and nothing came meanwhile.

    A server that ended it has said so on the wire. To look costs no round trip; to find out by an append would
    leave nobody knowing whether it was written.
    """
    if raw.closed or raw.info.transaction_status != TransactionStatus.IDLE:
        return False
    return not has_come(raw.pgconn.socket)


def has_come(socket: int) -> bool:
    """Whether there is something to read. A selector would open a file of its own for each look."""
    if sys.platform == "win32":  # where sockets may have any number
        return bool(select.select([socket], [], [], 0)[0])
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(0))


# ---- errors ----


def conninfo_of(text: object) -> str:
    """Refuse what is no connection string, without repeating it: it may hold a password."""
    if not isinstance(text, str):
        raise TypeError(f"conninfo must be a str, not {type(text).__name__}")
    try:
        conninfo.conninfo_to_dict(text)
    except psycopg.Error:
        usable = False
    else:
        usable = True
    if not usable:
        raise ValueError("conninfo must be a connection string of libpq, e.g. postgresql://user@host/name")
    return text


def journal_error(error: BaseException, schema: str) -> JournalError:
    """What an error of psycopg means to the caller of the journal in this schema. Its own text is not repeated,
    only PostgreSQL's code."""
    if isinstance(error, _Silence):
        return JournalUnavailable("the server fell silent: nobody knows whether what was asked was done")
    state = getattr(error, "sqlstate", None)
    if state in ("40001", "40P01"):
        return JournalConflict(f"another transaction was first ({state}); nothing was written")
    if state in ("55P03", "57014"):
        return JournalBusy(f"the journal stayed locked for longer than it waits ({state}); {LOCKED_BY}")
    if state is None:
        return JournalUnavailable(
            "the server cannot be reached, or turned the login down, or the connection to it was lost: check "
            "host, port, database, user and password"
        )
    if state == "42501":
        return JournalUnavailable(_RIGHTS.format(schema=schema, state=state))
    trouble = _TROUBLE.get(state) or _TROUBLES.get(state[:2], "the journal's database failed")
    return JournalUnavailable(f"{trouble} ({state})")


_RIGHTS: Final = (
    "this role may not use the journal in schema {schema} ({state}): it needs USAGE on the schema, and SELECT, "
    "INSERT and UPDATE on the five tables there whose names begin with refund_; to erase, DELETE on "
    "refund_erasures; to make the tables, CREATE on the schema, and where there is no schema {schema} yet, "
    "CREATE on the database; to move them to a newer one, to own them"
)
_TROUBLE: Final = {
    "25006": "the journal's database may not be written",
    "25P03": "the server ended the host's transaction, which rested for too long: nothing of it is written",
    "25P04": "the server ended the host's transaction, which took too long: nothing of it is written",
    "25P02": "the host's transaction has failed already: roll it back",
    "23505": "a stream of the journal holds more than it counts: it was changed by hand; restore it",
    "42P01": "the journal's tables are gone",
    "53100": "the server's disk is full",
    "53300": "the server has no connection left",
    "57P01": "the server ended the connection: nobody knows whether what was asked was done",
}
_TROUBLES: Final = {
    "08": "the connection to the server was lost",
    "28": "the server refused the login",
    "3D": "the server has no such database",
    "53": "the server has no room left",
    "57": "the server is stopping or starting",
    "58": "the server's disk failed",
    "XX": "the journal's database is damaged",
}


# ---- forks ----

INHERITED: Final[list[object]] = []
"""Connections of a parent process, kept for ever: to close one here would end it there."""
