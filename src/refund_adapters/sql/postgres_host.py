"""What the journals do on a host's own psycopg connection: join its transaction, and leave it as usable as it was.

PostgreSQL fails a transaction in which a statement fails: its COMMIT then rolls back, and says nothing. So each
statement of the journal's stands between a savepoint and its release, sent together: one round trip as without,
and one more where it failed. A host that goes on after an error commits what it wrote itself, as on SQLite.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext, suppress
from typing import Final, TypeVar

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus

from refund_adapters.sql.postgres_asks import Ask, Asks, Identity, Opened, Rows
from refund_adapters.sql.postgres_link import (
    AsyncOwnCursor,
    AsyncRaw,
    OwnCursor,
    Raw,
    agiven,
    awalk,
    given,
    has_come,
    journal_error,
    walk,
)
from refund_adapters.sql.rows import AGAIN, NO_TRANSACTION
from refund_domain.errors import JournalConflict, JournalError, JournalUnavailable

T = TypeVar("T")

_SAVE: Final = b"SAVEPOINT refund_journal"
_KEEP: Final = b"RELEASE SAVEPOINT refund_journal"
_UNDO: Final = b"ROLLBACK TO SAVEPOINT refund_journal; RELEASE SAVEPOINT refund_journal"
"""Two statements at once, which PostgreSQL takes only unprepared, whatever the host's `prepare_threshold`."""


def join(raw: Raw, asks: Asks, own: Identity) -> Opened:
    """Look what the host's connection leads to, in its transaction; one that has not begun yet begins.

    Raises ValueError where none would, in a pipeline and in the middle of a statement; a `JournalError` for what
    psycopg raises, and for a connection that cannot carry every text.
    """
    _check_joinable(raw, joining=True)
    steps = asks.joining(own, raw.info.dbname)
    return walk(lambda statement, values: _rows(raw, asks.schema, statement, values), steps)


async def ajoin(raw: AsyncRaw, asks: Asks, own: Identity) -> Opened:
    """The same for asyncio."""
    _check_joinable(raw, joining=True)
    steps = asks.joining(own, raw.info.dbname)
    return await awalk(lambda statement, values: _arows(raw, asks.schema, statement, values), steps)


def joined(raw: Raw, schema: str, ask: Ask[T]) -> T:
    """Do one ask in the transaction that was joined; it is the host's to end, whatever happens.

    Raises ValueError where none is open any more, and what `join` raises.
    """
    _check_joinable(raw, joining=False)
    return ask.read(_rows(raw, schema, ask.statement, ask.values))


async def ajoined(raw: AsyncRaw, schema: str, ask: Ask[T]) -> T:
    """The same for asyncio."""
    _check_joinable(raw, joining=False)
    return ask.read(await _arows(raw, schema, ask.statement, ask.values))


def _rows(raw: Raw, schema: str, statement: bytes, values: Mapping[str, object]) -> Rows:
    failed: BaseException | None = None
    with OwnCursor(raw) as saving, OwnCursor(raw) as asking, OwnCursor(raw) as keeping:
        try:
            with raw.pipeline() if _may_pipeline(raw) else nullcontext():
                try:
                    saving.execute(_SAVE)
                    asking.execute(statement, values)
                    keeping.execute(_KEEP)
                except psycopg.Error as error:
                    failed = error  # kept back: psycopg logs what ends a pipeline early, with names
        except psycopg.Error as error:
            failed = failed or error
        if failed is None:
            return given(asking)
    trouble = _trouble(failed, schema)
    del failed
    if raw.info.transaction_status == TransactionStatus.INERROR:
        with suppress(psycopg.Error), OwnCursor(raw) as cursor:  # what went wrong first is what is told
            cursor.execute(_UNDO, prepare=False)
    # Outside of the handler, or psycopg's error would travel along and tell of rows and hosts.
    raise trouble


async def _arows(raw: AsyncRaw, schema: str, statement: bytes, values: Mapping[str, object]) -> Rows:
    failed: BaseException | None = None
    async with AsyncOwnCursor(raw) as saving, AsyncOwnCursor(raw) as asking, AsyncOwnCursor(raw) as keeping:
        try:
            async with raw.pipeline() if _may_pipeline(raw) else nullcontext():
                try:
                    await saving.execute(_SAVE)
                    await asking.execute(statement, values)
                    await keeping.execute(_KEEP)
                except psycopg.Error as error:
                    failed = error
        except psycopg.Error as error:
            failed = failed or error
        if failed is None:
            return await agiven(asking)
    trouble = _trouble(failed, schema)
    del failed
    if raw.info.transaction_status == TransactionStatus.INERROR:
        with suppress(psycopg.Error):
            async with AsyncOwnCursor(raw) as cursor:
                await cursor.execute(_UNDO, prepare=False)
    raise trouble


def _may_pipeline(raw: Raw | AsyncRaw) -> bool:
    """Whether libpq can send three statements at once. Where the server has said something by itself, that it ends
    the connection most likely, one at a time: in a pipeline psycopg loses its reason."""
    return psycopg.Pipeline.is_supported() and not has_come(raw.pgconn.socket)


def _trouble(error: BaseException, schema: str) -> JournalError:
    """What went wrong first: psycopg may put the error of what was asked next in its place."""
    while isinstance(error, psycopg.errors.PipelineAborted) and isinstance(error.__context__, psycopg.Error):
        error = error.__context__
    trouble = journal_error(error, schema)
    return JournalConflict(f"{trouble}{AGAIN}") if isinstance(trouble, JournalConflict) else trouble


# ---- what cannot be joined ----


def _check_joinable(raw: Raw | AsyncRaw, *, joining: bool) -> None:
    """Refuse what would lose, garble or wait for ever, before anything is asked."""
    if raw.closed:
        raise JournalUnavailable("the host's connection is closed, or was lost")
    if raw.pgconn.pipeline_status != PipelineStatus.OFF:
        # There an answer comes later, or never: an append that is written would be told as lost to another.
        raise ValueError("the connection is in pipeline mode: leave the pipeline before the journal is used")
    status = raw.info.transaction_status
    if status == TransactionStatus.ACTIVE:
        # psycopg would wait for it to end: for ever, where the one who could end it is who asks.
        raise ValueError("the connection is in the middle of a statement, a stream or a COPY: end it first")
    encoding = raw.pgconn.parameter_status(b"client_encoding")
    if encoding not in (b"UTF8", b"UTF-8", None):  # the server's word, a proxy's, and none: psycopg's UTF-8, too
        # It would fail at the first name that the encoding lacks, with an error of Python's that holds the row.
        raise JournalUnavailable("the host's connection has a client_encoding other than UTF8: set it to UTF8")
    if status == TransactionStatus.INERROR:
        raise JournalUnavailable("the host's transaction has failed already: roll it back")
    # psycopg begins one with the first statement. Once joined it has: whoever comes without is behind its end,
    # and a transaction that nobody knows of would be begun and never committed.
    if status != TransactionStatus.INTRANS and (raw.autocommit or not joining):
        raise ValueError(NO_TRANSACTION)
