"""What can break. A rule that says no is a value (`Refused`), never one of these.

    RefundError
    ├── JournalError             the journal could not be read or written; call again with the same command
    │   ├── JournalConflict      another worker appended first (the service decides again by itself)
    │   ├── JournalBusy          locked for longer than the journal waits; try again
    │   ├── JournalUnavailable   the database is gone, full or read-only
    │   │   └── JournalDamaged   an event is missing in a stream; restore the journal
    │   └── UnknownEvent         written by a newer version of this library; upgrade this worker
    ├── GatewayUnreadable        a quote, or a signal, could not look at the gateway; try again
    ├── TooContended             beaten to the append again and again; try again
    └── OpenTransaction          the service's journal is one within a transaction; a host's own cannot be seen

Each one pickles and carries no secret and no client's data. Once a send may have left, none is raised: the
refund comes back in doubt instead.
"""

from __future__ import annotations


class RefundError(Exception):
    """The root of everything this library raises for outages, races and misuse at run time."""


class JournalError(RefundError):
    """The journal could not be read or written."""


class JournalConflict(JournalError):
    """Another worker appended to this stream first: load again, decide again."""


class JournalBusy(JournalError):
    """The journal stayed locked for longer than it waits; nothing was written, try again."""


class JournalUnavailable(JournalError):
    """The journal's database cannot be used: gone, full, read-only, of an unknown schema."""


class JournalDamaged(JournalUnavailable):
    """An event is missing in a stream: the journal was changed by hand; restore it. Other streams go on."""


class UnknownEvent(JournalError):
    """The stream holds an event this version does not know; it decides nothing there. Upgrade this worker."""


class GatewayUnreadable(RefundError):
    """The gateway could not be read completely, so nothing was quoted, merged or resolved; try again."""


class TooContended(RefundError):
    """Other workers appended to this stream first, again and again; nothing was sent, try again."""


class OpenTransaction(RefundError):
    """Called inside an open transaction of the journal's connection; commit first, then call again."""
