"""What whoever operates a host asks of its journal, in its sync form (`operate_async` is its twin).

There is no actor and no gateway here: figures over all tenants.
"""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from refund_domain.decider.ledger import EMPTY, fold
from refund_domain.errors import JournalDamaged, UnknownEvent
from refund_domain.operations.health import Health, health_of
from refund_domain.ports import OperatedJournal, RefundJournal
from refund_domain.service.stream import doubt_since


def operated(journal: RefundJournal) -> OperatedJournal:
    """The journal with what operators need of it. Raises TypeError for one without."""
    if not hasattr(journal, "figures"):
        raise TypeError("this journal keeps no figures: it must be a refund_domain.ports.OperatedJournal")
    return cast(OperatedJournal, journal)


def read_health(journal: RefundJournal, young: timedelta) -> Health:
    """How the refunds of this journal stand; a doubt younger than `young` is a send that is being made.

    Reads the journal's index, and the few streams whose head an older worker wrote last, until their next look.
    Raises `JournalError` for the journal, TypeError for one that keeps no figures.
    """
    figures = operated(journal).figures(young)
    doubts, unread = [], 0
    for ref in figures.undated:
        try:
            since = doubt_since(fold(EMPTY, (journal.load(ref)).events))
        except (UnknownEvent, JournalDamaged):
            unread += 1
            continue
        if since is not None:
            doubts.append(since)
    return health_of(figures, doubts, unread, young)


def note_recovery(journal: RefundJournal, looked: int, failed: int) -> None:
    """Leave in the journal how a run of `recover` went. Sends may have left: what cannot be kept is no error."""
    if not hasattr(journal, "note_recovery"):
        return
    try:
        operated(journal).note_recovery(looked, failed)
    except Exception:
        # The next health says that recovery did not run, which is the worst a monitor can be told.
        return
