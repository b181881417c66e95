"""Everything that a journal holds of one tenant, for an auditor: one row an event, as JSON lines or as CSV.

Rows come by payment and, within one, in the order of what happened; the same rows in the same order every time.
One page is held at a time, however long the history; and each row carries its `position`, behind which an export
that broke off goes on. `data` is the event in full, as the journal keeps it; the other columns repeat of it what
people look for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final, TextIO

import attrs

from refund_adapters.cells import safe_cell, write_row
from refund_adapters.places import place
from refund_adapters.sql.codec import encode
from refund_domain._checks import check_count, check_text
from refund_domain.errors import JournalDamaged
from refund_domain.events import AttentionSettled, Event, RefundDropped
from refund_domain.money import Money
from refund_domain.operations.erasure import actors_in, written_in
from refund_domain.ports import OperatedJournal, Tailed

PAGE: Final = 500
"""How many events are asked for at once."""

PATHS: Final[dict[str, tuple[str, ...]]] = {
    "refund": ("refund_id", "send.refund_id", "refund.mark", "reversal.refund_id"),
    "gateway_refund": ("refund.id", "answer.refund.id"),
    "amount": (
        "amount",
        "send.amount",
        "refund.amount",
        "answer.refund.amount",
        "reversal.amount",
        "answer.reversal.amount",
        "payment.captured",
    ),
    "status": ("refund.status", "answer.refund.status", "payment.status"),
    "reason": ("reason", "send.reason", "refund.failure_reason", "answer.refund.failure_reason"),
    "decision": ("choice",),
    "code": ("answer.code", "answer.why", "code", "alarm"),
    "seen_at": ("quoted_at",),
}
"""Where each column is found in an event: the first of these that holds anything."""

PAYMENT: Final = "payment"
OF_DISPUTES: Final = (
    "disputed_after_refund",
    "disputed_while_pending",
    "inquired_after_refund",
    "inquired_while_pending",
)
OF_GATEWAY_REFUNDS: Final = "mark_mismatch"
OF_LEGS: Final = ("transfer_not_reversed", "transfer_pulled_back")
"""What a person may answer that is not about a refund of ours as a whole: by its subject, or by its code."""

COLUMNS: Final = (
    "payment",
    "version",
    "at",
    "event",
    "who",
    "refund",
    "gateway_refund",
    "amount",
    "currency",
    "status",
    "reason",
    "decision",
    "code",
    "note",
    "seen_at",
    "data",
    "position",
)
"""The columns, in their order. Later versions may add some at the end."""


def audit_rows(
    journal: OperatedJournal, tenant: str, *, after: str = "", page: int = PAGE
) -> Iterator[dict[str, str]]:
    """Each event of this tenant as a row of texts, behind `after`, which is the `position` of an earlier row.

    What is appended while it is read may be in it or not; what stood before is. Raises ValueError for no position,
    `JournalError` for the journal: ask again behind the last row you have; and `JournalDamaged` where an event is
    missing between two, for an export with a hole would pass for a whole one.
    """
    check_text(tenant, "tenant", 255)
    check_count(page, "page", 1, 10_000)
    stream, version = _place(after)
    while events := journal.history(tenant, after, page):
        for event in events:
            expected = version + 1 if event.stream == stream else 1
            if stream is not None and event.version != expected:
                raise _hole(event, expected)
            yield audit_row(event)
            stream, version = event.stream, event.version
        after = events[-1].position


def _place(after: str) -> tuple[str | None, int]:
    """Stream and version of the row an export goes on behind; no stream: the journal is not ours, and names its
    positions otherwise."""
    try:
        return place(after)
    except ValueError:
        return None, 0


def _hole(event: Tailed, expected: int) -> JournalDamaged:
    """A stream's versions are 1, 2, 3 and so on, also from one export to the one that goes on."""
    return JournalDamaged(
        f"stream {event.stream} of the journal has no event {expected} before its event {event.version}: it "
        "was changed by hand; restore it"
    )


def audit_row(told: Tailed) -> dict[str, str]:
    """One event as a row: empty texts for what it does not hold."""
    event = told.event
    row = dict.fromkeys(COLUMNS, "") | {name: _found(event, paths) for name, paths in PATHS.items()}
    money = _first(event, PATHS["amount"])
    if isinstance(money, Money):
        row |= {"amount": money.major, "currency": money.currency.code}
    return row | {
        "payment": told.stream,
        "version": str(told.version),
        "at": event.at.isoformat(),
        "event": type(event).__name__,
        "note": "\n".join(written_in(event)),
        "who": ", ".join(dict.fromkeys(actor.id for actor in actors_in(event))),
        "data": encode(event),
        "position": told.position,
        **_named(event),
    }


def _named(event: Event) -> dict[str, str]:
    """What two kinds of event tell otherwise: the rules that said no, and what a person's answer was about."""
    match event:
        case RefundDropped():
            return {"code": ", ".join(dict.fromkeys(reason.code for reason in event.reasons))}
        case AttentionSettled(subject=subject, code=code):
            if subject == PAYMENT or code in OF_DISPUTES:
                return {}
            if code == OF_GATEWAY_REFUNDS:
                return {"gateway_refund": subject}
            # A leg is named by its refund's id and its transfer's; one of the codes is a whole refund's, too.
            refund, _, _ = subject.rpartition(":") if code in OF_LEGS else ("", "", "")
            return {"refund": refund or subject}
        case _:
            return {}


def _first(event: object, paths: tuple[str, ...]) -> object:
    for path in paths:
        value: object = event
        for name in path.split("."):
            value = getattr(value, name, None)
        if value is not None:
            return value
    return None


def _found(event: object, paths: tuple[str, ...]) -> str:
    value = _first(event, paths)
    return "" if value is None else value.isoformat() if hasattr(value, "isoformat") else str(value)


@attrs.frozen
class JsonLines:
    """Rows as JSON, one a line; `data` is an object in it, and what is empty is left out."""

    file: TextIO

    def begin(self) -> None:
        """Nothing stands before the first row."""

    def row(self, row: dict[str, str]) -> None:
        """Write one row."""
        told: dict[str, object] = {name: text for name, text in row.items() if text}
        told |= {"version": int(row["version"]), "data": json.loads(row["data"])}
        self.file.write(json.dumps(told, ensure_ascii=False) + "\n")


@attrs.frozen
class Csv:
    """Rows as CSV with a heading, for a spreadsheet: a cell that it would take for a formula begins with an
    apostrophe. Whoever reads it with a program takes JSON."""

    file: TextIO

    def begin(self) -> None:
        """Write the heading."""
        self._write(COLUMNS)

    def row(self, row: dict[str, str]) -> None:
        """Write one row."""
        self._write([row[name] for name in COLUMNS])

    def _write(self, cells: tuple[str, ...] | list[str]) -> None:
        write_row(self.file, map(safe_cell, cells))


def export_audit(journal: OperatedJournal, tenant: str, writer: JsonLines | Csv, *, after: str = "") -> int:
    """Write all events of this tenant behind `after`; how many it was. A heading only from the beginning."""
    if not after:
        writer.begin()
    count = 0
    for count, row in enumerate(audit_rows(journal, tenant, after=after), 1):  # noqa: B007
        writer.row(row)
    return count
