"""Journals in SQL databases: plain statements over DB-API connections, no ORM.

`SqliteJournal` needs nothing but the standard library. `PostgresJournal` needs the extra `postgres`, which is
loaded when the first one is opened.
"""

from refund_adapters.sql.postgres import PostgresJournal
from refund_adapters.sql.sqlite import SqliteJournal

__all__ = ["PostgresJournal", "SqliteJournal"]
