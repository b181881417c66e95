"""For whoever operates a journal: figures for a monitor, an audit export, the erasing of names and notes.

Each works on any `refund_domain.ports.OperatedJournal`; `opened` leads to the one that a text names. The command
`refunds` is made of these.
"""

from refund_adapters.records.audit import COLUMNS, Csv, JsonLines, audit_rows, export_audit
from refund_adapters.records.erase import erase_actor, erase_everybody
from refund_adapters.records.journals import opened
from refund_adapters.records.limits import Limits, breaches, health_json, health_text

__all__ = [
    "COLUMNS",
    "Csv",
    "JsonLines",
    "Limits",
    "audit_rows",
    "breaches",
    "erase_actor",
    "erase_everybody",
    "export_audit",
    "health_json",
    "health_text",
    "opened",
]
