"""The journal's second dialect: its tables in PostgreSQL, every statement on them, and what makes a server fit.

Two things differ from SQLite's `schema`. The head of a stream holds its version, and an append changes the head
only where it stands at the expected one: that row's lock decides a race without an error, so that a host's
transaction is never aborted by one, and the events follow in the same statement. And `tx` tells a reader along
what no open transaction can still come before: the id of the transaction that appended, or the one of the stream's
last append if that is higher, so that a stream's events are read in their order.

Every name is qualified: whatever a host's search path says, these are the tables. Types are kept as in SQLite,
times as microseconds, events as text: nothing is rewritten on its way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

import attrs

from refund_domain._checks import check_type

SCHEMA_VERSION: Final = 2
"""The newest schema known here; a journal of a newer one is refused."""

LEAST_SERVER: Final = 130000
"""PostgreSQL 13: the first that names transactions by numbers that never come again."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)
_CLOCK: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_TX: Final = "(pg_current_xact_id()::text::bigint + (SELECT tx_offset FROM {schema}.refund_journal))"

# A copy of a database has another number here, a copy of a server was started at another time.
_PLACE: Final = """
            (SELECT oid FROM pg_database WHERE datname = current_database())::text
                || '.' || '{schema}.refund_journal'::regclass::oid::text
                || '.' || ((extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint)::text"""

_UNDATED: Final = "look_at IS NOT NULL AND doubt_version IS DISTINCT FROM version"

# ---- the tables ----

STEPS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """
        CREATE TABLE {schema}.refund_journal (
            schema_version integer NOT NULL,
            journal_id uuid NOT NULL,
            tx_offset bigint NOT NULL
        )
        """,
        """
        CREATE TABLE {schema}.refund_events (
            seq bigint GENERATED ALWAYS AS IDENTITY,
            tx bigint NOT NULL,
            stream text COLLATE "C" NOT NULL,
            version bigint NOT NULL CHECK (version > 0),
            at bigint NOT NULL,
            event text NOT NULL,
            PRIMARY KEY (tx, seq),
            UNIQUE (stream, version)
        )
        """,
        "CREATE INDEX refund_events_at ON {schema}.refund_events (at)",
        """
        CREATE TABLE {schema}.refund_streams (
            stream text COLLATE "C" NOT NULL PRIMARY KEY,
            version bigint NOT NULL CHECK (version > 0),
            tx bigint NOT NULL,
            tenant text COLLATE "C" NOT NULL,
            look_at bigint,
            waiting boolean NOT NULL
        )
        """,
        "CREATE INDEX refund_streams_due ON {schema}.refund_streams (look_at, stream) WHERE look_at IS NOT NULL",
        "CREATE INDEX refund_streams_waiting ON {schema}.refund_streams (tenant, stream) WHERE waiting",
        """
        INSERT INTO {schema}.refund_journal (schema_version, journal_id, tx_offset)
        VALUES (0, gen_random_uuid(), 0)
        """,
    ),
    (
        # A worker of the first schema moves `version` and leaves the doubt: it holds for `doubt_version` only.
        "ALTER TABLE {schema}.refund_streams ADD COLUMN doubt_since bigint, ADD COLUMN doubt_version bigint",
        "CREATE INDEX refund_streams_doubt ON {schema}.refund_streams (doubt_since) WHERE doubt_since IS NOT NULL",
        """
        CREATE INDEX refund_streams_undated ON {schema}.refund_streams (look_at)
        WHERE look_at IS NOT NULL AND doubt_version IS DISTINCT FROM version
        """,
        """
        CREATE TABLE {schema}.refund_recovery (
            id integer PRIMARY KEY CHECK (id = 1),
            at bigint NOT NULL,
            looked integer NOT NULL,
            failed integer NOT NULL
        )
        """,
        "CREATE INDEX refund_streams_tenant ON {schema}.refund_streams (tenant, stream)",
        """
        CREATE TABLE {schema}.refund_erasures (
            tenant text COLLATE "C" NOT NULL PRIMARY KEY,
            scope text NOT NULL,
            key text NOT NULL
        )
        """,
    ),
)
"""What leads from each version of the schema to the next, from none at all to the newest. Each step must leave
what workers of the version before it still do right, for they go on while it is made."""

# ---- the statements ----

_APPEND: Final = f"""
    WITH head AS (
        {{head}}
        RETURNING stream, tx
    )
    INSERT INTO {{schema}}.refund_events (tx, stream, version, at, event)
    SELECT head.tx, head.stream, %(expected)s + given.number, given.at, given.event
    FROM head, unnest(
        string_to_array(%(ats)s, E'\\n')::bigint[], string_to_array(%(events)s, E'\\n')
    ) WITH ORDINALITY AS given (at, event, number)
    ORDER BY given.number
    RETURNING {_CLOCK}
"""
_OPEN_HEAD: Final = f"""
        INSERT INTO {{schema}}.refund_streams (
            stream, version, tx, tenant, look_at, waiting, doubt_since, doubt_version
        ) VALUES (
            %(stream)s, %(version)s, {_TX}, %(tenant)s, %(look_at)s, %(waiting)s, %(doubt_since)s, %(version)s
        )
        ON CONFLICT (stream) DO NOTHING
"""
_MOVE_HEAD: Final = f"""
        UPDATE {{schema}}.refund_streams SET
            version = %(version)s, tx = greatest(tx, {_TX}),
            tenant = %(tenant)s, look_at = %(look_at)s, waiting = %(waiting)s,
            doubt_since = %(doubt_since)s, doubt_version = %(version)s
        WHERE stream = %(stream)s AND version = %(expected)s
"""

STATEMENTS: Final[Mapping[str, str]] = {
    "settings": """
        SELECT set_config('lock_timeout', %(lock_ms)s, false),
            set_config('statement_timeout', %(statement_ms)s, false),
            set_config('default_transaction_isolation', 'read committed', false),
            set_config('synchronous_commit', current_setting('synchronous_commit'), false),
            set_config('client_min_messages', 'warning', false),
            set_config('row_security', 'off', false)
    """,
    "server": """
        SELECT current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),
            current_setting('fsync'), current_setting('full_page_writes'),
            current_setting('server_encoding'), current_setting('server_version_num')::integer,
            pg_is_in_recovery(), current_setting('transaction_read_only'),
            to_regclass(%(table)s) IS NOT NULL
    """,
    # One at a time: whoever comes second finds the tables there.
    "lock": "SELECT pg_advisory_xact_lock(hashtextextended(%(table)s, 0))",
    # Read from the catalogue: to_regclass would remember from before the lock that there was nothing.
    "has_tables": """
        SELECT count(*) > 0 FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
        WHERE n.nspname = %(schema)s AND c.relname = 'refund_journal'
    """,
    "has_schema": "SELECT count(*) > 0 FROM pg_namespace WHERE nspname = %(schema)s",
    "make_schema": "CREATE SCHEMA IF NOT EXISTS {schema}",
    "read_schema_version": "SELECT schema_version FROM {schema}.refund_journal",
    "set_schema_version": "UPDATE {schema}.refund_journal SET schema_version = %(version)s",
    "journal": f"""
        SELECT schema_version, journal_id::text,
            (SELECT count(*) FROM pg_class WHERE relpersistence <> 'p' AND oid IN (
                '{{schema}}.refund_journal'::regclass, '{{schema}}.refund_events'::regclass,
                '{{schema}}.refund_streams'::regclass)),
            (SELECT max(tx) FROM {{schema}}.refund_events)
                >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint + tx_offset,{_PLACE}
        FROM {{schema}}.refund_journal
    """,
    # Alone: what else of a journal is read in a host's SERIALIZABLE transaction makes it a race with every append.
    "journal_id": f"""
        SELECT journal_id::text,{_PLACE},
            row_security_active('{{schema}}.refund_events') OR row_security_active('{{schema}}.refund_streams')
        FROM {{schema}}.refund_journal
    """,
    # Restored into a server whose transactions have lower numbers: what comes must still be read behind what was.
    "lift_tx": """
        UPDATE {schema}.refund_journal SET tx_offset = (SELECT max(tx) FROM {schema}.refund_events)
        WHERE (SELECT max(tx) FROM {schema}.refund_events)
            >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint + tx_offset
    """,
    "load": f"""
        SELECT coalesce((SELECT version FROM {{schema}}.refund_streams WHERE stream = %(stream)s), 0),
            ARRAY(
                SELECT event FROM {{schema}}.refund_events
                WHERE stream = %(stream)s AND version > %(after)s ORDER BY version
            ),
            (SELECT max(at) FROM {{schema}}.refund_events), {_CLOCK}
    """,
    # In a host's SERIALIZABLE transaction the newest time of all would be a race with everybody's append.
    "load_within": f"""
        SELECT coalesce((SELECT version FROM {{schema}}.refund_streams WHERE stream = %(stream)s), 0),
            ARRAY(
                SELECT event FROM {{schema}}.refund_events
                WHERE stream = %(stream)s AND version > %(after)s ORDER BY version
            ),
            NULL, {_CLOCK}
    """,
    "open_stream": _APPEND.replace("{head}", _OPEN_HEAD.strip()),
    "append": _APPEND.replace("{head}", _MOVE_HEAD.strip()),
    "due": f"""
        SELECT stream FROM {{schema}}.refund_streams WHERE look_at <= (SELECT {_CLOCK})
        ORDER BY look_at, stream LIMIT %(limit)s
    """,
    "waiting": """
        SELECT stream FROM {schema}.refund_streams WHERE tenant = %(tenant)s AND waiting
        ORDER BY stream LIMIT %(limit)s
    """,
    "figures": f"""
        WITH clock AS (SELECT {_CLOCK} AS now), dated AS (
            SELECT count(*) AS doubts, min(doubt_since) AS since FROM {{schema}}.refund_streams
            WHERE doubt_since <= (SELECT now FROM clock) - %(young)s AND doubt_version = version
        ), due AS (
            SELECT count(*) AS looks, min(look_at) AS since FROM {{schema}}.refund_streams
            WHERE look_at <= (SELECT now FROM clock)
        )
        SELECT clock.now, dated.doubts, dated.since, due.looks, due.since,
            (SELECT count(*) FROM {{schema}}.refund_streams WHERE waiting),
            recovery.at, recovery.looked, recovery.failed,
            (SELECT count(*) FROM {{schema}}.refund_streams WHERE {_UNDATED}),
            (SELECT max(at) FROM {{schema}}.refund_events),
            ARRAY(SELECT stream FROM {{schema}}.refund_streams WHERE {_UNDATED} ORDER BY look_at LIMIT %(limit)s)
        FROM clock CROSS JOIN dated CROSS JOIN due LEFT JOIN {{schema}}.refund_recovery recovery ON true
    """,
    "note_recovery": f"""
        INSERT INTO {{schema}}.refund_recovery (id, at, looked, failed)
        VALUES (1, {_CLOCK}, %(looked)s, %(failed)s)
        ON CONFLICT (id) DO UPDATE SET at = excluded.at, looked = excluded.looked, failed = excluded.failed
    """,
    "history": """
        SELECT e.stream, e.version, e.event
        FROM {schema}.refund_streams s JOIN {schema}.refund_events e ON e.stream = s.stream
        WHERE s.tenant = %(tenant)s AND s.stream >= %(stream)s
            AND (s.stream > %(stream)s OR e.version > %(version)s)
        ORDER BY s.stream, e.version LIMIT %(limit)s
    """,
    "places": """
        SELECT given.number, e.event
        FROM unnest(%(streams)s::text[], %(versions)s::bigint[]) WITH ORDINALITY AS given (stream, version, number)
        JOIN {schema}.refund_streams s ON s.stream = given.stream AND s.tenant = %(tenant)s
        JOIN {schema}.refund_events e ON e.stream = given.stream AND e.version = given.version
    """,
    # Neither `tx` nor `seq` is touched, so nobody who reads along sees the event again.
    "erase": """
        UPDATE {schema}.refund_events e SET event = given.event
        FROM unnest(%(streams)s::text[], %(versions)s::bigint[], %(texts)s::text[])
            AS given (stream, version, event)
        WHERE e.stream = given.stream AND e.version = given.version
    """,
    "begin_erasure": """
        INSERT INTO {schema}.refund_erasures AS stands (tenant, scope, key) VALUES (%(tenant)s, %(scope)s, %(key)s)
        ON CONFLICT (tenant) DO UPDATE
            SET scope = CASE WHEN excluded.scope = '' THEN '' ELSE stands.scope END
        RETURNING scope, key
    """,
    "end_erasure": "DELETE FROM {schema}.refund_erasures WHERE tenant = %(tenant)s AND key = %(key)s",
    # Always a row: where there is no news, it tells whether the journal ends before the position.
    "tail": """
        SELECT coalesce(
            (SELECT (tx, seq) < (%(tx)s, %(seq)s) FROM {schema}.refund_events ORDER BY tx DESC, seq DESC LIMIT 1),
            %(tx)s > 0
        ), news.*
        FROM (SELECT) AS always LEFT JOIN (
            SELECT tx, seq, stream, version, event FROM {schema}.refund_events
            WHERE (tx, seq) > (%(tx)s, %(seq)s) AND tx < (
                SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + tx_offset
                FROM {schema}.refund_journal
            )
            ORDER BY tx, seq LIMIT %(limit)s
        ) AS news ON true
        ORDER BY news.tx, news.seq
    """,
}
"""Every statement on a journal that stands, by name, with `{schema}` for where its tables are."""


@cache
def statement(name: str, schema: str) -> bytes:
    """One of the statements, for the tables in this schema."""
    return in_schema(STATEMENTS[name], schema)


def in_schema(text: str, schema: str) -> bytes:
    """A statement's text for the tables in this schema, a checked name."""
    return text.replace("{schema}", f'"{schema}"').encode()


def table(schema: str) -> str:
    """The qualified name of the table that tells of a journal."""
    return f'"{schema}".refund_journal'


def checked_schema(name: object) -> str:
    """Refuse a schema whose name is not plain: 1 to 63 letters, digits and underscores, no digit first."""
    check_type(name, str, "schema")
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or name.lower().startswith("pg_"):
        raise ValueError(
            "schema must be 1 to 63 letters, digits or underscores, must not begin with a digit, nor with pg_"
        )
    return name


# ---- whether a server may be trusted ----


@attrs.frozen
class Server:
    """What a server says of itself, in the order of the statement `server`."""

    synchronous_commit: str
    standbys: str
    fsync: str
    full_page_writes: str
    encoding: str
    version: int
    is_standby: bool
    read_only: str
    has_tables: bool

    def weakness(self) -> str | None:
        """The setting with which a commit that returned could be lost or torn, None where there is none.

        `local` and `remote_write` wait for this server's disk but not for the standby's, so they are as good as
        `on` only where no standby is waited for.
        """
        if self.fsync != "on" or self.full_page_writes != "on":
            return f"fsync={self.fsync}, full_page_writes={self.full_page_writes}"
        if self.synchronous_commit in ("on", "remote_apply"):
            return None
        if self.synchronous_commit in ("local", "remote_write") and not self.standbys:
            return None
        return f"synchronous_commit={self.synchronous_commit}"

    def unfit(self) -> str | None:
        """Why no journal can be kept here at all, None where it can."""
        if self.version < LEAST_SERVER:
            return "PostgreSQL 13 or newer is needed"
        if self.is_standby:
            return "the server is a standby, which only repeats another's writes: connect to that one"
        if self.encoding != "UTF8":
            return "the database must have the encoding UTF8"
        return None
