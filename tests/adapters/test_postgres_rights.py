"""What the page grants a role is enough for all that a worker does, and what is lacking is told by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from refund_adapters.memory import Fault, MemoryBank, MemoryGateway
from refund_adapters.records import erase_actor
from refund_adapters.sql import PostgresJournal
from refund_domain import Actor, Money, Refund, RefundService
from refund_domain.errors import JournalUnavailable
from tests.postgres.server import shared

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "postgres.md"
MARIA = Actor(id="maria", tenant="acme")


def granted() -> list[str]:
    """The statements of the page's block of SQL: the worker's, and last what erasing needs besides."""
    (block,) = re.findall(r"```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [statement.strip() for statement in block.split(";") if statement.strip()]


@pytest.fixture
def owner() -> Iterator[str]:
    """A database whose owner has made a journal in the schema `refunds`, and a role `worker` without rights."""
    conninfo = shared().database()
    PostgresJournal(conninfo, schema="refunds").close()
    shared().execute("CREATE ROLE worker LOGIN")
    yield conninfo
    shared().execute("DROP OWNED BY worker", conninfo)
    shared().execute("DROP ROLE worker")


def as_worker(conninfo: str) -> str:
    return conninfo.replace("user=postgres", "user=worker")


def test_granted_rights_are_enough_for_a_worker(owner: str) -> None:
    """With exactly the rights on the page a worker quotes, issues, joins a host's transaction, recovers with its
    run noted, and tells its health; erasing needs the page's last one, too."""
    *rights, erasing = granted()
    for statement in rights:
        shared().execute(statement, owner)
    bank = MemoryBank()
    gateway = MemoryGateway(bank)
    payment, other = (bank.charge(Money.parse("200.00", "USD")) for _ in range(2))
    with PostgresJournal(as_worker(owner), schema="refunds") as journal:
        refunds = RefundService(gateway, journal, allow=lambda *_: True)
        gateway.script(Fault.ANSWER_LOST)
        assert isinstance(refunds.issue(refunds.quote(payment, by=MARIA).verified(by=MARIA)), Refund)
        command = refunds.quote(other, by=MARIA).verified(by=MARIA)
        with closing(psycopg.connect(as_worker(owner))) as host:
            assert isinstance(refunds.within(host).request(command), Refund)
            host.commit()
        assert refunds.dispatch(other).refunds[0].requested_by == MARIA.id
        refunds.recover()
        health = refunds.health()
        assert (health.in_doubt, health.recovered is None) == (0, False)
        with pytest.raises(JournalUnavailable, match="DELETE on refund_erasures"):
            erase_actor(journal, "acme", MARIA.id)
        shared().execute(erasing, owner)
        erase_actor(journal, "acme", MARIA.id)
    assert shared().execute("SELECT * FROM refunds.refund_erasures", owner) == []


def test_lacking_rights_are_named(owner: str) -> None:
    """A role without a right is told the schema and what it needs there, as a worker and as a host."""
    told = "schema refunds .*42501.* USAGE on the schema, and SELECT, INSERT and UPDATE on the five tables"
    with pytest.raises(JournalUnavailable, match=told):
        PostgresJournal(as_worker(owner), schema="refunds")
    with PostgresJournal(owner, schema="refunds") as journal, closing(psycopg.connect(as_worker(owner))) as host:
        with pytest.raises(JournalUnavailable, match=told):
            journal.within(host)
    shared().execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC", owner)
    with pytest.raises(JournalUnavailable, match=r"schema public .*CREATE"):
        PostgresJournal(as_worker(owner))
