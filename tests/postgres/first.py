"""A worker of the library's first version at a PostgreSQL journal: these are that version's statements, unchanged.

The library itself has newer ones by now, so they stand here. Newer versions move the tables while such workers go
on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import psycopg

from refund_adapters.sql.codec import encode
from refund_adapters.sql.rows import microseconds
from refund_domain import PaymentRef
from refund_domain.events import Event
from refund_domain.ports import Head

_CLOCK: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_TX: Final = '(pg_current_xact_id()::text::bigint + (SELECT tx_offset FROM "public".refund_journal))'

_APPEND: Final = f"""
    WITH head AS (
        {{head}}
        RETURNING stream, tx
    ), added AS (
        INSERT INTO "public".refund_events (tx, stream, version, at, event)
        SELECT head.tx, head.stream, %(expected)s + given.number, given.at, given.event
        FROM head, unnest(%(ats)s::bigint[], %(events)s::text[]) WITH ORDINALITY AS given (at, event, number)
        ORDER BY given.number
        RETURNING 1
    )
    SELECT count(*), {_CLOCK} FROM added
"""
_OPEN_HEAD: Final = f"""
        INSERT INTO "public".refund_streams (stream, version, tx, tenant, look_at, waiting)
        VALUES (%(stream)s, %(version)s, {_TX}, %(tenant)s, %(look_at)s, %(waiting)s)
        ON CONFLICT (stream) DO NOTHING
"""
_MOVE_HEAD: Final = f"""
        UPDATE "public".refund_streams SET
            version = %(version)s, tx = greatest(tx, {_TX}),
            tenant = %(tenant)s, look_at = %(look_at)s, waiting = %(waiting)s
        WHERE stream = %(stream)s AND version = %(expected)s
"""
_SETTINGS: Final = """
    SELECT set_config('lock_timeout', '5000', false),
        set_config('statement_timeout', '15000', false),
        set_config('default_transaction_isolation', 'read committed', false),
        set_config('synchronous_commit', current_setting('synchronous_commit'), false)
"""


def connect(conninfo: str) -> psycopg.Connection:
    """A connection as such a worker sets it up: each statement is committed."""
    connection = psycopg.connect(conninfo, autocommit=True)
    connection.execute(_SETTINGS)
    return connection


def version_of(connection: psycopg.Connection, ref: PaymentRef) -> int:
    """At which version such a worker finds the stream."""
    select = 'SELECT coalesce((SELECT version FROM "public".refund_streams WHERE stream = %(stream)s), 0)'
    ((version,),) = connection.execute(select, {"stream": str(ref)}).fetchall()
    return int(version)


def append(
    connection: psycopg.Connection, ref: PaymentRef, events: Sequence[Event], *, expected: int, head: Head
) -> bool:
    """An append as such a worker makes it; whether it stands, or another worker was first."""
    values = {
        "stream": str(ref),
        "expected": expected,
        "version": expected + len(events),
        "ats": [microseconds(event.at) for event in events],
        "events": [encode(event) for event in events],
        "tenant": head.tenant,
        "look_at": None if head.look_at is None else microseconds(head.look_at),
        "waiting": head.waiting,
    }
    statement = _APPEND.replace("{head}", (_MOVE_HEAD if expected else _OPEN_HEAD).strip())
    ((count, _),) = connection.execute(statement.encode(), values).fetchall()
    return bool(count == len(events))
