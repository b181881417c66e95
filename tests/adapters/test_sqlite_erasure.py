"""An erasure in a host's SQLite file whose own tables need functions that only the host's connections have."""

from __future__ import annotations

import sqlite3
import warnings
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from refund_adapters.memory import MemoryBank, MemoryGateway
from refund_adapters.records import audit_rows, erase_actor
from refund_adapters.sql import SqliteJournal
from refund_adapters.sql.sqlite_records import FileNotRewritten
from refund_domain import Actor, Money, RefundService
from refund_domain.errors import JournalBusy

MARIA = Actor(id="maria.canary", tenant="acme")
NOTE = "Carl Xylophon said so, at length " * 12


def host_connection(path: str) -> sqlite3.Connection:
    """A connection as the host opens it, with its own functions."""
    connection = sqlite3.connect(path)
    connection.create_function("regexp", 2, lambda pattern, value: True, deterministic=True)
    connection.create_function("folded", 1, lambda value: (value or "").lower(), deterministic=True)
    connection.create_collation("by_host", lambda one, other: (one > other) - (one < other))
    return connection


def with_refunds(path: str) -> SqliteJournal:
    """A journal with refunds of an actor's in it, each with a note."""
    bank = MemoryBank()
    journal = SqliteJournal(path, busy_timeout_s=0.2)
    refunds = RefundService(MemoryGateway(bank), journal, allow=lambda *_: True)
    for _ in range(20):
        payment = bank.charge(Money.parse("200.00", "USD"))
        refunds.issue(attrs.evolve(refunds.quote(payment, by=MARIA).verified(by=MARIA), note=NOTE))
    return journal


def left_in(path: str) -> int:
    """How often the name or the note stands anywhere in the file or its log."""
    files = (Path(path), Path(f"{path}-wal"))
    held = b"".join(file.read_bytes() for file in files if file.exists())
    return held.count(b"Xylophon") + held.count(b"maria.canary")


@pytest.mark.parametrize(
    "table",
    [
        "CREATE TABLE mine (a TEXT CHECK (a REGEXP '^x'))",
        "CREATE TABLE mine (a TEXT COLLATE by_host)",
        "CREATE TABLE mine (a TEXT, b TEXT GENERATED ALWAYS AS (folded(a)) STORED)",
    ],
)
def test_an_erasure_ends_beside_a_hosts_own_functions(table: str, tmp_path: Path) -> None:
    """What SQLite cannot rewrite without the host's functions is told; the erasure has ended with its count, what
    it erased is in neither file nor log, and a VACUUM of the host's does the rest."""
    path = str(tmp_path / "host.db")
    with with_refunds(path) as journal:
        with closing(host_connection(path)) as host:
            host.execute(table)
            host.execute("INSERT INTO mine (a) VALUES ('x')")
            host.commit()
        raw = journal._connections._link().raw
        assert raw is not None
        raw.execute("PRAGMA secure_delete = OFF")  # as most builds of SQLite have it
        with pytest.warns(FileNotRewritten, match=r"erased.*run VACUUM"):
            assert erase_actor(journal, "acme", MARIA.id) == 20
        assert left_in(path) == 0
        with pytest.warns(FileNotRewritten):
            assert erase_actor(journal, "acme", MARIA.id) == 0
        assert not any(str(row["who"]).startswith("maria") for row in audit_rows(journal, "acme"))
        with closing(host_connection(path)) as host:
            host.execute("VACUUM")


def test_an_erasure_that_cannot_empty_the_log_is_not_over(tmp_path: Path) -> None:
    """While another reads, and the file cannot be rewritten either, it is busy and nothing says that it ended."""
    path = str(tmp_path / "host.db")
    with with_refunds(path) as journal, closing(host_connection(path)) as host:
        host.execute("CREATE TABLE mine (a TEXT COLLATE by_host)")
        host.commit()
        host.execute("BEGIN")
        host.execute("SELECT * FROM refund_events").fetchone()
        with warnings.catch_warnings(), pytest.raises(JournalBusy):
            warnings.simplefilter("error")
            erase_actor(journal, "acme", MARIA.id)
        host.rollback()
        with pytest.warns(FileNotRewritten):
            erase_actor(journal, "acme", MARIA.id)
        assert left_in(path) == 0
