"""For whoever operates a journal: figures for a monitor. What the command `refunds` does with a journal.

Each works on any `refund_domain.ports.OperatedJournal`; `opened` leads to the one that a text names.
"""

from refund_adapters.records.journals import opened
from refund_adapters.records.limits import Limits, breaches, health_json, health_text

__all__ = ["Limits", "breaches", "health_json", "health_text", "opened"]
