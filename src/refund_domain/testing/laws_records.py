"""The journal laws of what an operator asks for; `check_journal` tries them on an `OperatedJournal`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final, cast

import attrs

from refund_domain.events import StreamOpened
from refund_domain.health import RecoveryNote
from refund_domain.payments import PaymentRef
from refund_domain.ports import Head, OperatedJournal, RefundJournal
from refund_domain.testing.laws import must
from refund_domain.testing.laws_desk import HOUR, IDLE, REF, Desk, news

_NONE: Final = timedelta(0)


def operated(desk: Desk) -> OperatedJournal:
    """The journal on trial with what operators ask of it. Raises LookupError for one that has nothing of it."""
    if not is_operated(desk.journal):
        raise LookupError("this law needs an OperatedJournal")
    return cast(OperatedJournal, desk.journal)


def is_operated(journal: RefundJournal) -> bool:
    """Whether this journal offers what operators ask for."""
    return hasattr(journal, "figures")


def figures_count(desk: Desk) -> None:
    """`figures` counts over all tenants what is due, waits, and is in doubt for long, and dates the oldest."""
    journal = operated(desk)
    nothing = journal.figures(_NONE)
    must((nothing.in_doubt, nothing.due, nothing.waiting) == (0, 0, 0), f"{nothing} in an empty journal")
    must(nothing.doubt_since is None is nothing.due_since, f"{nothing} in an empty journal")
    now = desk.now()
    heads = (
        Head(tenant="acme", look_at=now - 3 * HOUR, waiting=True, doubt_since=now - 5 * HOUR),
        Head(tenant="acme", look_at=now + 100 * HOUR, waiting=False, doubt_since=now - HOUR),
        Head(tenant="other", look_at=now - HOUR, waiting=True),
        Head(tenant="other", look_at=None, waiting=True),
        IDLE,
    )
    for number, head in enumerate(heads):
        ref = PaymentRef("platform", f"ch_{number}")
        desk.append(ref, StreamOpened(at=now, tenant=head.tenant), expected=0, head=head)
    wanted = ((_NONE, 2, 5), (2 * HOUR, 1, 5), (50 * HOUR, 0, None))
    for young, in_doubt, hours in wanted:
        found = journal.figures(young)
        since = None if hours is None else now - hours * HOUR
        must((found.in_doubt, found.doubt_since) == (in_doubt, since), f"{found} of doubts older than {young}")
        must((found.due, found.due_since) == (2, now - 3 * HOUR), f"{found} of looks due")
        must(found.waiting == 3, f"{found} of streams that wait")
        must(found.at >= now, f"figures of {found.at} after {now}")
        must(found.undated == () and found.more_undated == 0, f"{found} of heads that all tell of doubts")


def figures_follow_heads(desk: Desk) -> None:
    """Each append's head replaces what the last one's counted: a doubt that began, grew older or ended."""
    journal, at = operated(desk), desk.now()
    for version, hours in enumerate((1, 3, None, 2)):
        since = None if hours is None else at - hours * HOUR
        head = attrs.evolve(IDLE, look_at=at + HOUR, doubt_since=since)
        desk.append(REF, news(at, version)[0], expected=version, head=head)
        found = journal.figures(_NONE)
        must((found.in_doubt, found.doubt_since) == (int(hours is not None), since), f"{found} after {head}")


def recovery_is_noted(desk: Desk) -> None:
    """The latest run of recovery that was noted is told with the journal's time, and none before the first."""
    journal = operated(desk)
    must(journal.figures(_NONE).recovered is None, "a run of recovery in an empty journal")
    for looked, failed in ((7, 2), (0, 0)):
        before = desk.now()
        journal.note_recovery(looked, failed)
        found, after = journal.figures(_NONE).recovered, desk.now()
        must(found is not None, "no run of recovery after one was noted")
        at = cast(RecoveryNote, found).at
        must(found == RecoveryNote(at=at, looked=looked, failed=failed), f"{found} after {looked} and {failed}")
        must(before <= at <= after, f"a run at {at}, noted between {before} and {after}")
        must(not journal.in_transaction, "an open transaction after a run of recovery was noted")


RECORD_LAWS: Final[tuple[Callable[[Desk], None], ...]] = (figures_count, figures_follow_heads, recovery_is_noted)
