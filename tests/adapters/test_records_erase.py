"""Names and notes are gone from rows and files, every fact of the money stands, and two people are still two."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest
from typer.testing import CliRunner

from refund_adapters import cli
from refund_adapters.memory import Fault, MemoryBank, MemoryGateway, MemoryJournal
from refund_adapters.records import audit_rows, erase_actor, erase_everybody
from refund_adapters.records import erase as erasing
from refund_adapters.sql import PostgresJournal, SqliteJournal
from refund_domain import Actor, Money, OutsideRef, PaymentRef, RefundService
from refund_domain.errors import JournalBusy, JournalUnavailable
from refund_domain.events import OutsideRecorded
from refund_domain.operations.erasure import ERASED_TEXT, actors_in, erased, is_erased
from refund_domain.ports import OperatedJournal, Tailed
from refund_domain.views import PaymentView
from tests import canaries
from tests.postgres.server import shared

MARIA = Actor(id=canaries.EMAIL, tenant="acme")
BEN = Actor(id="ben@acme.example", tenant="acme")
NAMESAKE = Actor(id=canaries.EMAIL, tenant="other")
CASH = OutsideRef(id="cash-1", method="cash", amount=Money.parse("40.00", "USD"))
NINE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@contextmanager
def memory(tmp_path: Path) -> Iterator[OperatedJournal]:
    yield MemoryJournal()


@contextmanager
def sqlite(tmp_path: Path) -> Iterator[OperatedJournal]:
    with SqliteJournal(tmp_path / "refunds.db") as journal:
        yield journal


@contextmanager
def postgres(tmp_path: Path) -> Iterator[OperatedJournal]:
    conninfo = shared().database()
    (tmp_path / "conninfo").write_text(conninfo)
    with PostgresJournal(conninfo) as journal:
        yield journal


@pytest.fixture(params=[memory, sqlite, postgres], ids=lambda make: make.__name__)
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OperatedJournal]:
    """Each journal of ours in turn."""
    make: Callable[[Path], contextmanager[OperatedJournal]] = request.param  # type: ignore[valid-type]
    with make(tmp_path) as made:  # type: ignore[attr-defined]
        yield made


def lived(journal: OperatedJournal) -> tuple[RefundService, PaymentRef]:
    """A service over a journal in which two people of one tenant and a namesake of another's have acted."""
    bank = MemoryBank()
    gateway = MemoryGateway(bank)
    service = RefundService(gateway, journal, allow=lambda *_: True)
    refs = []
    for by in (MARIA, BEN, NAMESAKE):
        ref = bank.charge(Money.parse("200.00", "USD"))
        gateway.script(Fault.ANSWER_LOST)
        quote = service.quote(ref, by=by)
        service.issue(attrs.evolve(quote.verified(by=by), note=f"{canaries.NOTE}, says {by.id}"))
        refs.append(ref)
    service.record_outside(CASH, Money.parse("1.00", "USD"), by=MARIA, how=f"cash to {canaries.NAME}")
    service.record_outside(CASH, Money.parse("2.00", "USD"), by=BEN, how=f"cash to {canaries.NAME}")
    return service, refs[0]


def history(journal: OperatedJournal, tenant: str = "acme") -> tuple[Tailed, ...]:
    return journal.history(tenant, "", 1_000)


def actors(journal: OperatedJournal) -> list[str]:
    """Who acted, in order."""
    return [actor.id for each in history(journal) for actor in actors_in(each.event)]


def bare(told: Sequence[Tailed]) -> list[Tailed]:
    """The same history with everybody under one name."""
    return [attrs.evolve(t, event=erased(t.event, lambda actor: "erased:", everything=True)) for t in told]


def test_one_actor_goes_and_everything_else_stands(journal: OperatedJournal) -> None:
    """The actor is one random name wherever they acted, their notes are gone; all others are as before."""
    service, ref = lived(journal)
    before, theirs, tailed = history(journal), history(journal, "other"), journal.tail("", 1_000)
    heads = (journal.due(100), journal.figures(timedelta(0)).in_doubt)
    assert erase_actor(journal, "acme", MARIA.id) == 2
    after = history(journal)
    assert bare(after) == bare(before)
    assert history(journal, "other") == theirs
    assert [each.position for each in journal.tail("", 1_000)] == [each.position for each in tailed]
    assert (journal.due(100), journal.figures(timedelta(0)).in_doubt) == heads
    gone = {name for name in actors(journal) if name != BEN.id}
    assert len(gone) == 1
    assert gone.pop().startswith("erased:")
    assert [each.event.how for each in after if isinstance(each.event, OutsideRecorded)] == [
        ERASED_TEXT,
        f"cash to {canaries.NAME}",
    ]
    assert erase_actor(journal, "acme", MARIA.id) == 0
    view = service.show(ref, by=BEN)
    assert isinstance(view, PaymentView)
    assert (view.refunds[0].amount, str(view.refunds[0].requested_by)[:7]) == (
        Money.parse("200.00", "USD"),
        "erased:",
    )


def test_everybody_goes_and_two_people_are_still_two(journal: OperatedJournal) -> None:
    """Of a tenant no name and no note is left; who acted twice is one, and two are two, as four eyes need it."""
    lived(journal)
    before = actors(journal)
    assert erase_everybody(journal, "acme") == 4
    after = actors(journal)
    assert len(after) == len(before)
    assert [[one == other for other in after] for one in after] == [[o == p for p in before] for o in before]
    rows = "".join(row["data"] for row in audit_rows(journal, "acme"))
    assert canaries.found_in(rows) == ()
    assert BEN.id not in rows
    assert canaries.found_in("".join(row["data"] for row in audit_rows(journal, "other")))
    assert erase_everybody(journal, "acme") == 0


def test_the_name_cannot_be_worked_out(tmp_path: Path) -> None:
    """The same actor erased in two journals has two names: nothing but chance has made them."""
    names = set()
    for _ in range(2):
        made = MemoryJournal()
        lived(made)
        erase_actor(made, "acme", MARIA.id)
        names |= {name for name in actors(made) if name.startswith("erased:")}
    assert len(names) == 2
    assert all(len(name) == len("erased:") + 32 for name in names)


def test_a_worker_with_an_older_ledger_loses_nothing(journal: OperatedJournal) -> None:
    """Who read a stream before the erasure appends at the version it knew, and goes on to the end."""
    service, ref = lived(journal)
    stream = service._load(ref)
    erase_everybody(journal, "acme")
    assert journal.load(ref).version == stream.version
    stream = service._drive(attrs.evolve(stream, now=stream.now + timedelta(hours=1)))
    view = service.show(ref, by=BEN)
    assert isinstance(view, PaymentView)
    assert str(view.refunds[0].status) == "succeeded"
    assert all(is_erased(actor) for each in history(journal) for actor in actors_in(each.event))


def test_killed_halfway_it_goes_on_with_the_same_name(
    journal: OperatedJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure that broke off after some pages is run again, and the actor is one name, not two."""
    lived(journal)
    monkeypatch.setattr(erasing, "PAGE", 3)
    put, calls = journal.erase, []

    def dies(tenant: str, events: Sequence[Tailed], /) -> None:
        calls.append(events)
        if len(calls) == 2:
            raise KeyboardInterrupt
        put(tenant, events)

    with monkeypatch.context() as patch:
        patch.setattr(journal, "erase", dies)
        with pytest.raises(KeyboardInterrupt):
            erase_actor(journal, "acme", MARIA.id)
    assert MARIA.id in actors(journal)
    with pytest.raises(JournalBusy, match="another erasure"):
        erase_actor(journal, "acme", BEN.id)
    assert erase_actor(journal, "acme", MARIA.id) == 1
    assert len(set(actors(journal)) - {BEN.id}) == 1
    assert erase_actor(journal, "acme", BEN.id) == 2


def test_a_run_that_is_late_leaves_the_next_erasure_its_key(
    journal: OperatedJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two run the same erasure; the second ends when another's was begun and broke off, who stays one name."""
    service, _ = lived(journal)
    service.record_outside(CASH, Money.parse("3.00", "USD"), by=BEN, how="cash")
    monkeypatch.setattr(erasing, "PAGE", 2)
    put, end, put_of_ben, ends = journal.erase, journal.end_erasure, list[object](), list[object]()

    def dies(tenant: str, events: Sequence[Tailed], /) -> None:
        put_of_ben.append(events)
        if len(put_of_ben) == 2:
            raise KeyboardInterrupt
        put(tenant, events)

    def late(*values: str) -> None:
        ends.append(values)
        if len(ends) == 1:
            erase_actor(journal, "acme", MARIA.id)
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(journal, "erase", dies)
                erase_actor(journal, "acme", BEN.id)
        end(*values)

    monkeypatch.setattr(journal, "end_erasure", late)
    assert erase_actor(journal, "acme", MARIA.id) == 2
    assert BEN.id in actors(journal)
    assert erase_actor(journal, "acme", BEN.id) >= 1
    assert len(set(actors(journal))) == 2


def test_what_is_appended_meanwhile_goes_too(journal: OperatedJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that comes behind a place already passed is found before the erasure ends, under the same name."""
    service, _ = lived(journal)
    put, late = journal.erase, list[object]()

    def meanwhile(tenant: str, events: Sequence[Tailed], /) -> None:
        put(tenant, events)
        if not late:
            late.append(service.record_outside(CASH, Money.parse("3.00", "USD"), by=MARIA, how="cash"))

    monkeypatch.setattr(journal, "erase", meanwhile)
    assert erase_actor(journal, "acme", MARIA.id) == 3
    assert len(set(actors(journal)) - {BEN.id}) == 1


def test_what_the_last_pass_had_gone_by_goes_with_another_run(
    journal: OperatedJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is appended at the very end keeps the name; one more run takes it, under another random name."""
    service, _ = lived(journal)
    end = journal.end_erasure

    def late(*values: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(journal, "end_erasure", end)
            service.record_outside(CASH, Money.parse("3.00", "USD"), by=MARIA, how="cash")
        end(*values)

    monkeypatch.setattr(journal, "end_erasure", late)
    assert erase_actor(journal, "acme", MARIA.id) == 2
    assert MARIA.id in actors(journal)
    monkeypatch.setattr(journal, "end_erasure", end)
    assert erase_actor(journal, "acme", MARIA.id) == 1
    names = set(actors(journal)) - {BEN.id}
    assert (len(names), MARIA.id in names) == (2, False)


def test_an_actor_who_goes_on_acting_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the name comes back as fast as it goes, the erasure gives up and says what to do."""
    made = MemoryJournal()
    service, _ = lived(made)
    put = made.erase
    numbers = iter(range(1, 1_000))

    def meanwhile(tenant: str, events: Sequence[Tailed], /) -> None:
        put(tenant, events)
        service.record_outside(CASH, Money(next(numbers) % 2 + 1, CASH.amount.currency), by=MARIA, how="cash")

    monkeypatch.setattr(made, "erase", meanwhile)
    with pytest.raises(JournalUnavailable, match="goes on acting"):
        erase_actor(made, "acme", MARIA.id)


def test_an_erased_name_is_not_erased_again() -> None:
    """Whoever asks to erase a pseudonym is told; odd arguments are refused before anything is touched."""
    made = MemoryJournal()
    for wrong in ("erased:1", "", " "):
        with pytest.raises(ValueError):
            erase_actor(made, "acme", wrong)
    with pytest.raises(ValueError):
        erase_everybody(made, "")
    assert made.begin_erasure("acme", "x", "k") == "k", "nothing was begun"


@pytest.mark.parametrize("overwrites", ["ON", "OFF"])
def test_no_byte_of_the_sqlite_files_holds_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrites: str
) -> None:
    """Neither file nor log holds name or note any more, though pages were split and other handles are open.

    Whether SQLite itself overwrites what it deletes depends on how it was built; nothing here may hang on that.
    """
    connect = sqlite3.connect

    def connected(*values: Any, **named: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = connect(*values, **named)
        made.execute(f"PRAGMA secure_delete = {overwrites}")
        return made

    monkeypatch.setattr(sqlite3, "connect", connected)
    path = tmp_path / "refunds.db"
    with SqliteJournal(path) as journal, SqliteJournal(path) as other:
        for number in range(120):
            ref = OutsideRef(id=f"cash-{number:04}", method="cash", amount=Money.parse("40.00", "USD"))
            service = RefundService(MemoryGateway(MemoryBank()), journal, allow=lambda *_: True)
            how = f"{canaries.NOTE}: {canaries.NAME}"
            service.record_outside(ref, Money(1 + number % 7, CASH.amount.currency), by=MARIA, how=how)
        assert other.load(CASH).version == 0
        assert in_files(tmp_path)
        assert erase_actor(journal, "acme", MARIA.id) == 120
        assert in_files(tmp_path) == ()
        assert len(history(other)) == 240
    assert in_files(tmp_path) == ()


def in_files(folder: Path) -> tuple[str, ...]:
    """The canaries in the bytes of the database's files."""
    found = [
        canaries.found_in((folder / name).read_bytes()) for name in os.listdir(folder) if "refunds.db" in name
    ]
    return tuple(name for names in found for name in names)


def test_a_reader_that_holds_the_log_is_waited_for_and_told_of(tmp_path: Path) -> None:
    """While somebody reads an old page, the log cannot be emptied: that is said, and running it again ends it."""
    path = tmp_path / "refunds.db"
    with SqliteJournal(path, busy_timeout_s=0.1) as journal:
        lived(journal)
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM refund_events").fetchone()
        with pytest.raises(JournalBusy):
            erase_everybody(journal, "acme")
        reader.close()
        assert erase_everybody(journal, "acme") == 0
    others = list(history_of(path, "other"))
    assert others
    assert BEN.id.encode() not in path.read_bytes()


def history_of(path: Path, tenant: str) -> tuple[Tailed, ...]:
    with SqliteJournal(path) as journal:
        return history(journal, tenant)


def test_no_row_in_postgres_holds_the_name(tmp_path: Path) -> None:
    """No column of any of the journal's tables holds name, note or key after an erasure."""
    with postgres(tmp_path) as journal:
        lived(journal)
        erase_everybody(journal, "acme")
        erase_everybody(journal, "other")
        with psycopg.connect((tmp_path / "conninfo").read_text()) as connection:
            for table in ("events", "streams", "journal", "recovery", "erasures"):
                rows = connection.execute(f"SELECT t::text FROM refund_{table} t").fetchall()
                assert canaries.found_in(str(rows)) == ()
                assert rows or table in ("erasures", "recovery")


def test_erasing_beside_many_workers(tmp_path: Path) -> None:
    """While threads go on recording, the erasure of another actor loses none of what they write."""
    with SqliteJournal(tmp_path / "refunds.db", busy_timeout_s=30) as journal:
        service, _ = lived(journal)
        big = OutsideRef(id="cash-2", method="cash", amount=Money.parse("4000.00", "USD"))

        def work(number: int) -> None:
            for each in range(10):
                amount = Money.parse("1.00", "USD")
                service.record_outside(big, amount, by=BEN, how="cash", record_id=f"o-{number}-{each}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        erase_actor(journal, "acme", MARIA.id)
        for thread in threads:
            thread.join()
        view = service.show(big, by=BEN)
        assert isinstance(view, PaymentView)
        assert len(view.outside) == 30
        assert MARIA.id not in actors(journal)


def run(*arguments: str, typed: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(cli.app(), ["erase", *arguments], input=typed)
    return done.exit_code, done.output


def test_command_asks_before_it_erases(tmp_path: Path) -> None:
    """Without a yes nothing is erased, and the exit code says so; with one, or with --yes, it is, and what is
    printed names nobody. A tenant or an actor that the journal does not know is told of, by the exit code too."""
    path = str(tmp_path / "refunds.db")
    with SqliteJournal(path) as journal:
        lived(journal)
        where = ("--journal", path, "--tenant", "acme")
        for no in ("n\n", ""):  # answered, and nobody there to answer
            code, out = run(*where, "--actor", MARIA.id, typed=no)
            assert (code, MARIA.id in actors(journal)) == (3, True)
            assert "Nothing was erased.\n" in out
        code, out = run(*where, "--actor", MARIA.id, typed="y\n")
        assert (code, MARIA.id in actors(journal)) == (0, False)
        assert "2 events changed" in out
        assert canaries.found_in(out) == ()
        assert run(*where, "--everybody", "--yes") == (0, "2 events changed\n")
        code, out = run(*where, "--yes", "--actor", MARIA.id)
        assert (code, "0 events changed\nNothing of this actor" in out, MARIA.id in out) == (1, True, False)
        code, out = run("--journal", path, "--tenant", "acne", "--yes", "--everybody")
        assert (code, out[:44]) == (1, "This tenant has no records in this journal: ")
        assert run(*where, "--everybody", "--yes") == (0, "0 events changed\n")
        assert run(*where, "--yes")[0] == 2
        assert run(*where, "--yes", "--everybody", "--actor", "ben")[0] == 2
        assert run(*where, "--yes", "--actor", "erased:1")[0] == 2
