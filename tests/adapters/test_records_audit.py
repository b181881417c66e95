"""An export holds all of one tenant and nothing of another's, in one order, and goes on where it broke off."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import tracemalloc
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from refund_adapters import cli
from refund_adapters.cells import safe_cell
from refund_adapters.memory import Course, ManualClock, MemoryBank, MemoryGateway, MemoryJournal
from refund_adapters.records import COLUMNS, Csv, JsonLines, audit_rows, export_audit
from refund_adapters.records.audit import audit_row
from refund_adapters.sql import SqliteJournal
from refund_adapters.sql.codec import decode
from refund_domain import Actor, Money, OutsideRef, PaymentRef, RefundService, Refused
from refund_domain.answers import Reversed
from refund_domain.commands import Choice
from refund_domain.errors import JournalDamaged
from refund_domain.events import (
    EVENTS,
    AttentionSettled,
    Event,
    LegAnswered,
    LegClaimed,
    LegNotMade,
    LegObserved,
    RefundDropped,
    StreamOpened,
)
from refund_domain.operations.erasure import WRITTEN, actors_in
from refund_domain.ports import Head, Tailed
from refund_domain.refusals import AmountChanged, NothingLeft
from refund_domain.testing import strategies
from refund_domain.testing.laws_samples import sample_events

NINE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MARIA = Actor(id="maria", tenant="acme")
FORMULA = '=HYPERLINK("http://evil.example")'


def told(event: Event) -> Tailed:
    return Tailed(position="1 platform/ch_1", stream="platform/ch_1", version=1, event=event)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["acme", "Acme", "other"]),
            st.integers(0, 3),
            st.lists(strategies.events(), min_size=1),
        ),
        max_size=8,
    ),
    st.integers(1, 4),
)
def test_exactly_one_tenant_s_events_in_order(appends: list[tuple[str, int, list[Event]]], page: int) -> None:
    """Whatever was appended under whatever tenants, each one's export is its own streams, whole and in order."""
    journal = MemoryJournal()
    held: dict[str, dict[str, list[Event]]] = {"acme": {}, "Acme": {}, "other": {}}
    for tenant, number, events in appends:
        ref = PaymentRef(f"acct_{tenant}", f"ch_{number}")
        stream = held[tenant].setdefault(str(ref), [])
        head = Head(tenant=tenant, look_at=None, waiting=False)
        journal.append(ref, events, expected=len(stream), head=head)
        stream += events
    for tenant, streams in held.items():
        rows = list(audit_rows(journal, tenant, page=page))
        wanted = [(name, event) for name in sorted(streams) for event in streams[name]]
        assert [(row["payment"], decode(row["data"])) for row in rows] == wanted


def test_an_export_goes_on_behind_any_row(tmp_path: Path) -> None:
    """Broken off after any row, the rest comes behind its position, once, without a second heading."""
    with SqliteJournal(tmp_path / "refunds.db") as journal:
        head = Head(tenant="acme", look_at=None, waiting=False)
        for number in range(3):
            journal.append(PaymentRef("platform", f"ch_{number}"), sample_events(NINE)[:3], expected=0, head=head)
        rows = list(audit_rows(journal, "acme", page=2))
        assert len(rows) == 9
        for place, row in enumerate(rows, 1):
            assert list(audit_rows(journal, "acme", after=row["position"])) == rows[place:]
        whole, first, rest = io.StringIO(), io.StringIO(), io.StringIO()
        assert export_audit(journal, "acme", Csv(whole)) == 9
        assert export_audit(journal, "acme", Csv(rest), after=rows[3]["position"]) == 5
        Csv(first).begin()
        for row in rows[:4]:
            Csv(first).row(row)
        assert first.getvalue() + rest.getvalue() == whole.getvalue()
        assert export_audit(journal, "nobody", JsonLines(io.StringIO())) == 0
        with pytest.raises(ValueError, match="position"):
            next(audit_rows(journal, "acme", after="ch_1"))
        with pytest.raises(ValueError):
            next(audit_rows(journal, ""))


@pytest.mark.parametrize("event", sample_events(NINE), ids=lambda event: type(event).__name__)
def test_every_event_tells_who_and_what(event: Event) -> None:
    """Who acted and what they wrote stand in columns of their own, whatever the event; all of it in `data`."""
    row = audit_row(told(event))
    assert tuple(row) == COLUMNS
    assert row["who"] == ", ".join(dict.fromkeys(actor.id for actor in actors_in(event)))
    kept_out = [field.name for field in attrs.fields(type(event)) if not field.repr]
    written = [getattr(event, name) for name in dict.fromkeys((*WRITTEN, *kept_out)) if getattr(event, name, None)]
    assert row["note"] == "\n".join(written)
    assert decode(row["data"]) == event
    assert row["event"] in {kind.__name__ for kind in EVENTS}


def test_a_decision_can_be_followed() -> None:
    """A refund from quote to success: who verified which amount of which quote, what was sent, what came of it."""
    bank, journal = MemoryBank(), MemoryJournal()
    service = RefundService(MemoryGateway(bank), journal, allow=lambda *_: True)
    ref = bank.charge(Money.parse("200.00", "USD"))
    quote = service.quote(ref, by=MARIA)
    service.issue(attrs.evolve(quote.verified(by=MARIA), note="moved away"))
    rows = {row["event"]: row for row in audit_rows(journal, "acme")}
    asked = rows["RefundRequested"]
    assert (asked["who"], asked["amount"], asked["currency"]) == ("maria", "200.00", "USD")
    assert (asked["reason"], asked["note"]) == ("requested_by_customer", "moved away")
    assert asked["seen_at"] == quote.quoted_at.isoformat() if quote.quoted_at else False
    assert rows["PaymentSeen"]["amount"] == "200.00"
    answered = rows["SendAnswered"]
    assert (answered["refund"], answered["status"]) == (asked["refund"], "succeeded")
    assert answered["gateway_refund"].startswith("re_")


def columns(event: Event, *names: str) -> tuple[str, ...]:
    """These columns of one event's row."""
    row = audit_row(told(event))
    return tuple(row[name] for name in names)


def test_a_leg_can_be_followed() -> None:
    """What was asked of a leg, answered and seen stands beside its refund with amount and currency."""
    asked, back = ("r1", "0.01", "USD"), {"answered": 0, "not": 0}
    for event in sample_events(NINE):
        match event:
            case LegClaimed() | LegObserved():
                assert columns(event, "refund", "amount", "currency") == asked
            case LegAnswered(answer=Reversed()):
                assert columns(event, "refund", "amount", "currency") == asked
                back["answered"] += 1
            case LegAnswered():
                assert columns(event, "refund", "amount", "currency") == ("r1", "", "")
                assert columns(event, "code") != ("",)
                back["not"] += 1
            case LegNotMade():
                assert columns(event, "refund") == ("r1",)
            case _:
                pass
    assert back == {"answered": 1, "not": 3}


@pytest.mark.parametrize(
    ("subject", "code", "refund", "gateway_refund"),
    [
        ("r1", "not_shown", "r1", ""),
        ("r:1", "transfers_unknown", "r:1", ""),
        ("r1", "transfer_pulled_back", "r1", ""),
        ("r1:tr_1", "transfer_pulled_back", "r1", ""),
        ("r:1:tr_1", "transfer_not_reversed", "r:1", ""),
        ("re_1", "mark_mismatch", "", "re_1"),
        ("payment", "over_refunded_20001", "", ""),
        ("payment", "look_alarm_credentials", "", ""),
        ("du_1", "disputed_after_refund", "", ""),
        ("du_1", "inquired_after_refund", "", ""),
    ],
)
def test_an_answer_stands_beside_the_refund_it_is_about(
    subject: str, code: str, refund: str, gateway_refund: str
) -> None:
    """What a person settled is found by the refund where it was about one; a payment or dispute is none."""
    event = AttentionSettled(at=NINE, subject=subject, code=code, choice=Choice.NOTED, by=MARIA)
    wanted = (refund, gateway_refund, code, "noted", "maria")
    assert columns(event, "refund", "gateway_refund", "code", "decision", "who") == wanted


def test_a_dropped_refund_tells_why() -> None:
    """Each rule that said no stands there by its code, once."""
    (one, two) = (Money.parse("1.00", "USD"), Money.parse("2.00", "USD"))
    changed = AmountChanged(verified=one, current=two)
    event = RefundDropped(at=NINE, refund_id="r1", reasons=(changed, NothingLeft(), changed))
    assert columns(event, "refund", "code") == ("r1", "amount_changed, nothing_left")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "＝", "'="])
def test_no_cell_is_a_formula(start: str) -> None:
    """Whatever a note begins with, a spreadsheet takes the cell for text; JSON keeps it as it was written."""
    cell = safe_cell(f"{start}1+1")
    assert cell.startswith("'")
    assert cell[1:] == f"{start}1+1"
    assert safe_cell("cash = 1") == "cash = 1"
    assert safe_cell("") == ""


def test_both_forms_hold_the_same(tmp_path: Path) -> None:
    """Read back, CSV and JSON lines hold every row, with line breaks, quotes and formulas."""
    path = tmp_path / "refunds.db"
    cash = OutsideRef(id="cash-1", method="cash", amount=Money.parse("40.00", "USD"))
    with SqliteJournal(path) as journal:
        service = RefundService(MemoryGateway(MemoryBank()), journal, allow=lambda *_: True)
        service.record_outside(cash, Money.parse("1.00", "USD"), by=MARIA, how=FORMULA)
        service.record_outside(cash, Money.parse("1.00", "USD"), by=MARIA, how='two\nlines, "quoted"; Söhne')
        rows = list(audit_rows(journal, "acme"))
    arguments = ["audit", "--journal", str(path), "--tenant", "acme"]
    lines = CliRunner().invoke(cli.app(), arguments)
    assert (lines.exit_code, lines.stderr) == (0, "3 events\n")
    parsed = [json.loads(line) for line in lines.stdout.splitlines()]
    assert [each["position"] for each in parsed] == [row["position"] for row in rows]
    assert [each.get("note", "") for each in parsed] == ["", FORMULA, 'two\nlines, "quoted"; Söhne']
    assert [each["data"] for each in parsed] == [json.loads(row["data"]) for row in rows]
    table = CliRunner().invoke(cli.app(), [*arguments, "--form", "csv"])
    assert table.exit_code == 0
    read = list(csv.DictReader(io.StringIO(table.stdout, newline="")))
    assert [each["note"] for each in read] == ["", f"'{FORMULA}", 'two\nlines, "quoted"; Söhne']
    assert [each["data"] for each in read] == [row["data"] for row in rows]
    behind = CliRunner().invoke(cli.app(), [*arguments, "--after", rows[1]["position"]])
    assert json.loads(behind.stdout)["version"] == 3
    assert CliRunner().invoke(cli.app(), [*arguments, "--after", "x"]).exit_code == 2
    last = CliRunner().invoke(cli.app(), [*arguments, "--after", rows[-1]["position"]])
    assert (last.exit_code, last.stdout, last.stderr) == (0, "", "0 events\n")


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_tenant_without_records_is_no_empty_export(tmp_path: Path, form: str) -> None:
    """A mistyped tenant is told of and exits with 1; nothing is written, not even a heading."""
    path = tmp_path / "refunds.db"
    SqliteJournal(path).close()
    done = CliRunner().invoke(
        cli.app(), ["audit", "--journal", str(path), "--tenant", "acne", "--form", form, "--after", ""]
    )
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("This tenant has no records in this journal: ")


@pytest.mark.parametrize("gone", [1, 2])
def test_a_hole_is_no_export(tmp_path: Path, gone: int) -> None:
    """An event that somebody deleted ends the export with an error, on any page, and also an export that goes on
    just before it: it would pass for a whole one."""
    path = tmp_path / "refunds.db"
    clock = ManualClock(datetime(2026, 11, 2, 9, tzinfo=UTC))
    bank, maria = MemoryBank(clock), Actor(id="maria", tenant="acme")
    with SqliteJournal(path, clock=clock) as journal:
        service = RefundService(MemoryGateway(bank), journal, allow=lambda actor, action, ref: True)
        refs = [bank.charge(Money.parse("20.00", "USD")) for _ in range(2)]
        for ref in refs:
            service.issue(service.quote(ref, by=maria).verified(by=maria))
        whole = list(audit_rows(journal, "acme", page=2))
        behind = list(audit_rows(journal, "acme", after=whole[2]["position"], page=2))
        assert behind == whole[3:]
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("DELETE FROM refund_events WHERE stream = ? AND version = ?", (str(refs[1]), gone))
        before = [row["position"] for row in whole if row["payment"] == str(refs[0])][-1]
        if gone > 1:
            before = next(row["position"] for row in whole if row["payment"] == str(refs[1]))
        for after in ("", before):
            for page in (1, 2, 100):
                with pytest.raises(JournalDamaged, match=f"has no event {gone} before its event {gone + 1}"):
                    list(audit_rows(journal, "acme", after=after, page=page))


def test_a_hole_in_one_stream_hides_no_other_payment(tmp_path: Path) -> None:
    """The list of what waits names the damaged payment, and goes on with the others; so do the figures."""
    path = tmp_path / "refunds.db"
    clock = ManualClock(datetime(2026, 11, 2, 9, tzinfo=UTC))
    bank, maria = MemoryBank(clock), Actor(id="maria", tenant="acme")
    with SqliteJournal(path, clock=clock) as journal:
        service = RefundService(MemoryGateway(bank), journal, allow=lambda actor, action, ref: True)
        refs = [
            bank.charge(Money.parse("20.00", "USD"), course=Course.stays("failed", "declined")) for _ in range(2)
        ]
        for ref in refs:
            service.issue(service.quote(ref, by=maria).verified(by=maria))
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("DELETE FROM refund_events WHERE stream = ? AND version = 2", (str(refs[0]),))
        again = RefundService(MemoryGateway(bank), journal, allow=lambda actor, action, ref: True)
        waiting = again.attention(by=maria)
        assert not isinstance(waiting, Refused)
        assert [[item.code for item in each.items] for each in waiting] == [["damaged_stream"], ["failed"]]
        with closing(sqlite3.connect(path)) as other, other:  # as an older worker leaves a head
            other.execute("UPDATE refund_streams SET doubt_version = NULL, look_at = 1")
        health = again.health()
        assert (health.uncounted, health.waiting) == (1, 2)


def test_an_export_holds_one_page_at_a_time(tmp_path: Path) -> None:
    """Ten times the history takes no more memory to export."""

    def peak(streams: int) -> int:
        with SqliteJournal(
            tmp_path / f"{streams}.db", synchronous="OFF", weaker_durability_accepted=True
        ) as journal:
            head = Head(tenant="acme", look_at=None, waiting=False)
            for number in range(streams):
                opened = [StreamOpened(at=NINE, tenant="acme")] * 10
                journal.append(PaymentRef("platform", f"ch_{number}"), opened, expected=0, head=head)
            tracemalloc.start()
            count = sum(1 for _ in audit_rows(journal, "acme", page=50))
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert count == 10 * streams
            return most

    peak(5)
    assert peak(200) < 2 * peak(20)
