"""Journals in SQL databases: plain statements over DB-API connections, no ORM.

`SqliteJournal` needs nothing but the standard library.
"""

from refund_adapters.sql.sqlite import SqliteJournal

__all__ = ["SqliteJournal"]
