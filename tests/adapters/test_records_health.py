"""`refunds health` tells a monitor what it must know, by its exit code too, and nothing of a client."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from typer.testing import CliRunner

from refund_adapters import cli
from refund_adapters.memory import Fault, ManualClock, MemoryBank, MemoryGateway
from refund_adapters.records import Limits, breaches, health_json, health_text, opened
from refund_adapters.sql import SqliteJournal
from refund_domain import Actor, Money, RefundService
from refund_domain.errors import RefundError
from refund_domain.operations.health import Health, RecoveryNote
from tests import canaries

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
WELL = Health(at=NOW, in_doubt=0, due=0, waiting=0, recovered=RecoveryNote(at=NOW, looked=0, failed=0))
MARIA = Actor(id="maria", tenant="acme")


@pytest.mark.parametrize(
    ("ill", "limits", "said"),
    [
        ({"in_doubt": 1, "doubt_since": NOW - 4 * HOUR - MINUTE}, Limits(), "in doubt for 4 h 1 min"),
        ({"due": 1, "due_since": NOW - 61 * MINUTE}, Limits(), "overdue for 1 h 1 min"),
        ({"due": 1, "due_since": NOW - 3 * MINUTE}, Limits(overdue_for=MINUTE), "overdue for 3 min"),
        ({"recovered": None}, Limits(), "recovery never ran"),
        ({"recovered": RecoveryNote(at=NOW - 75 * HOUR, looked=0, failed=0)}, Limits(), "not run for 3 days"),
        ({"recovered": RecoveryNote(at=NOW, looked=1, failed=2)}, Limits(), "broke on 2 payments"),
        ({"waiting": 3}, Limits(waiting=2), "3 payments wait"),
        ({"uncounted": 1}, Limits(), "1 payments cannot be read"),
        ({"latest": NOW + 6 * MINUTE}, Limits(), "clock is 6 min behind the latest event"),
    ],
)
def test_each_limit_is_looked_at(ill: dict[str, Any], limits: Limits, said: str) -> None:
    """What is past its limit is said in one sentence, and what is well, or has no limit, in none."""
    sick = attrs.evolve(WELL, **ill)
    (sentence,) = breaches(sick, limits)
    assert said in sentence
    assert breaches(WELL, limits) == ()
    none = Limits(doubt_for=None, overdue_for=None, recovered_for=None, behind_for=None, failed=None)
    assert breaches(sick, none) == (() if not sick.uncounted else (sentence,))


def test_at_its_limit_all_is_well() -> None:
    """A figure that just reaches its limit is not past it."""
    at_limit = attrs.evolve(
        WELL,
        doubt_since=NOW - 4 * HOUR,
        due_since=NOW - HOUR,
        waiting=2,
        recovered=RecoveryNote(at=NOW - HOUR, looked=0, failed=1),
        latest=NOW + 5 * MINUTE,
    )
    assert breaches(at_limit, Limits(failed=1, waiting=2)) == ()


@pytest.mark.parametrize("wrong", [{"doubt_for": -MINUTE}, {"failed": -1}, {"waiting": True}, {"overdue_for": 60}])
def test_limits_check_themselves(wrong: dict[str, object]) -> None:
    """A limit that means nothing is refused, not compared with."""
    with pytest.raises((TypeError, ValueError)):
        Limits(**wrong)  # type: ignore[arg-type]


def test_figures_are_told_to_people_and_to_monitors() -> None:
    """Both forms carry every figure; what is not there is said or null."""
    sick = attrs.evolve(
        WELL, in_doubt=2, doubt_since=NOW - HOUR, due=3, due_since=NOW - 2 * HOUR, waiting=4, uncounted=5
    )
    sick = attrs.evolve(sick, latest=NOW + 3 * HOUR)
    assert health_text(sick).splitlines() == [
        "in doubt:       2, the oldest since 2026-03-02T08:00:00+00:00",
        "looks due:      3, the oldest since 2026-03-02T07:00:00+00:00",
        "waiting:        4",
        "last recovered: 2026-03-02T09:00:00+00:00, looked at 0, broke on 0",
        "not readable:   5",
        "clock behind:   3 h 0 min",
    ]
    told = json.loads(health_json(sick, ("overdue",)))
    assert told["healthy"] is False
    assert (told["in_doubt"], told["doubt_for_s"], told["overdue_for_s"]) == (2, 3600, 7200)
    assert told["behind_for_s"] == 3 * 3600
    empty = attrs.evolve(WELL, recovered=None)
    assert "last recovered: never" in health_text(empty)
    assert json.loads(health_json(empty, ()))["recovered_at"] is None


def test_a_clock_that_once_ran_ahead_is_told(tmp_path: Path) -> None:
    """One quote was written under a clock 40 days ahead: nothing is sent until then, and monitors tell."""
    bank, path = MemoryBank(ManualClock(NOW)), tmp_path / "refunds.db"
    with SqliteJournal(path, clock=ManualClock(NOW + timedelta(days=40))) as journal:
        service = RefundService(MemoryGateway(bank), journal, allow=lambda *_: True)
        refs = [bank.charge(Money.parse("20.00", "USD")) for _ in range(2)]
        service.quote(refs[0], by=MARIA)
    with SqliteJournal(path, clock=ManualClock(NOW)) as journal:
        service = RefundService(MemoryGateway(bank), journal, allow=lambda *_: True)
        service.recover()
        assert service.health().behind_for == timedelta(days=40)
        assert breaches(service.health(), Limits()) == (
            "the journal's clock is 40 days behind the latest event: nothing is sent",
        )
        with pytest.raises(RefundError, match="clock"):
            service.issue(service.quote(refs[1], by=MARIA).verified(by=MARIA))


def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, output and errors of the command, run in this process."""
    done = CliRunner().invoke(cli.app(), ["health", *arguments], env=environment)
    return done.exit_code, done.stdout, done.stderr


def test_command_tells_by_its_exit_code(tmp_path: Path) -> None:
    """0 while all is well, 1 past a limit, 2 for a journal that cannot be read; a missing file stays missing."""
    path = tmp_path / "refunds.db"
    missing = run("--journal", str(path))
    assert (missing[0], path.exists()) == (2, False)
    assert "no such file" in missing[2]
    with SqliteJournal(path) as journal:
        service = RefundService(MemoryGateway(MemoryBank()), journal, allow=lambda *_: True)
        assert run("--journal", str(path))[0] == 1
        service.recover()
        code, out, err = run("--journal", str(path), "--json")
        assert (code, err) == (0, "")
        assert json.loads(out)["healthy"] is True
    assert run(REFUNDS_JOURNAL=str(path))[0] == 0
    path.write_bytes(b"")
    code, out, err = run("--journal", str(path))
    assert (code, out, path.stat().st_size) == (2, "", 0)
    assert "holds no journal" in err
    path.write_text("no database")
    assert run("--journal", str(path))[0] == 2


def test_command_names_nobody(tmp_path: Path) -> None:
    """With names, notes and ids in the journal, neither form tells one."""
    path = tmp_path / "refunds.db"
    bank = MemoryBank()
    gateway = MemoryGateway(bank)
    with SqliteJournal(path) as journal:
        service = RefundService(gateway, journal, allow=lambda *_: True)
        actor = Actor(id=canaries.EMAIL, tenant=canaries.NAME)
        ref = bank.charge(Money.parse("200.00", "USD"))
        gateway.script(Fault.ANSWER_LOST)
        quote = service.quote(ref, by=actor)
        service.issue(attrs.evolve(quote.verified(by=actor), note=canaries.NOTE))
    for form in ((), ("--json",)):
        code, out, err = run("--journal", str(path), "--recover-minutes", "0", *form)
        assert code == 1
        assert canaries.found_in(out + err) == ()
        assert ref.charge not in out + err


def test_server_that_cannot_be_reached_is_told_without_its_password() -> None:
    """Exit code 2, and neither password nor address in what is printed."""
    place = "postgresql://refunds:s3cret@127.0.0.1:1/journal?connect_timeout=1"
    code, out, err = run("--journal", place)
    assert code == 2
    assert "s3cret" not in out + err
    assert "127.0.0.1" not in out + err
    assert "cannot be reached" in err


def test_opened_leads_to_the_file(tmp_path: Path) -> None:
    """A file that is there is opened as what it is; what is no text is a programmer's error."""
    path = tmp_path / "refunds.db"
    SqliteJournal(path).close()
    with opened(str(path)) as journal:
        assert isinstance(journal, SqliteJournal)
    with pytest.raises(TypeError):
        opened(7)  # type: ignore[arg-type]
