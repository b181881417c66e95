"""Journals in SQL databases: plain statements over DB-API connections, no ORM.

`SqliteJournal` needs nothing but the standard library. `PostgresJournal` and its async form need the extra
`postgres`, which is loaded when the first one is opened.
"""

from refund_adapters.sql.postgres import PostgresJournal
from refund_adapters.sql.postgres_async import AsyncPostgresJournal
from refund_adapters.sql.sqlite import SqliteJournal

__all__ = ["AsyncPostgresJournal", "PostgresJournal", "SqliteJournal"]
