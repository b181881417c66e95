"""The journal that a text on a command line names."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

from refund_adapters.sql import PostgresJournal, SqliteJournal
from refund_domain._checks import check_type

SERVERS = ("postgresql://", "postgres://")


def opened(place: str, *, schema: str = "public") -> AbstractContextManager[SqliteJournal | PostgresJournal]:
    """The journal at `place`: a file, or `postgresql://…` with the tables in `schema`.

    It must hold a journal: a mistyped place would otherwise be made an empty one, in which all is well. Nothing is
    refunded through it, so it need not be durable. Raises ValueError for a file that is not there, `JournalError`
    for a place that holds no journal, or one that cannot be used.
    """
    check_type(place, str, "place")
    if place.startswith(SERVERS):
        return PostgresJournal(
            place, schema=schema, connections=1, weaker_durability_accepted=True, must_exist=True
        )
    if not os.path.isfile(place):
        raise ValueError("there is no such file: name the journal's file, or its server as postgresql://…")
    return SqliteJournal(place, must_exist=True)
