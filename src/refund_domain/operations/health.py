"""How the refunds of a whole journal stand, in figures for a monitor: no id, no name, no amount."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import attrs

from refund_domain.payments import PaymentRef

MOST_UNDATED: Final = 1_000
"""The most streams a journal names in `Figures.undated`, so that reading health stays short."""


@attrs.frozen(kw_only=True)
class RecoveryNote:
    """How the latest run of `recover` went, on whatever worker: how many payments it took up, how many broke."""

    at: datetime
    looked: int
    failed: int


@attrs.frozen(kw_only=True)
class Figures:
    """What a journal's own index tells at `at`: counts over all tenants, and since when the oldest stands.

    `in_doubt` counts the streams whose head says so for longer than was asked about, `due` those whose look has
    come, `waiting` those that wait for a person. A head that an older worker wrote last does not tell of doubts:
    such streams are named in `undated`, at most `MOST_UNDATED`, and the rest of them counted in `more_undated`;
    those without a look ahead are left out, for nothing there is in doubt. `latest` is the latest time that
    the journal knows of, None where it knows of none: behind it by more than clocks may lie apart nothing is sent.
    """

    at: datetime
    in_doubt: int
    doubt_since: datetime | None
    due: int
    due_since: datetime | None
    waiting: int
    recovered: RecoveryNote | None = None
    undated: tuple[PaymentRef, ...] = ()
    more_undated: int = 0
    latest: datetime | None = None


@attrs.frozen(kw_only=True)
class Health:
    """How the refunds of a journal stand at `at`, over all tenants and workers.

    `in_doubt` refunds may have moved money, or pulled a transfer back, which the gateway does not show yet, the
    oldest since `doubt_since`; a call that is being made is none. `due` payments should be looked at by now, the
    longest overdue since `due_since`. `waiting` payments wait for a person. `recovered` is the latest run of
    `recover`, None before it. `uncounted` payments could not be read to tell whether they are in doubt: 0 unless
    workers of several versions share the journal. `latest` is the latest time the journal knows of, `behind_for`
    how far its clock is behind that: beyond `Policy.clock_skew` nothing is decided and nothing sent.

    >>> from datetime import UTC
    >>> Health(at=datetime(2026, 3, 2, 9, tzinfo=UTC), in_doubt=0, due=0, waiting=0).doubt_for
    datetime.timedelta(0)
    """

    at: datetime
    in_doubt: int
    due: int
    waiting: int
    doubt_since: datetime | None = None
    due_since: datetime | None = None
    recovered: RecoveryNote | None = None
    uncounted: int = 0
    latest: datetime | None = None

    @property
    def doubt_for(self) -> timedelta:
        """How long the oldest doubt stands; nothing where there is none."""
        return _age(self.at, self.doubt_since)

    @property
    def overdue_for(self) -> timedelta:
        """How long the longest overdue look is due; nothing where none is."""
        return _age(self.at, self.due_since)

    @property
    def behind_for(self) -> timedelta:
        """How far the journal's clock is behind the latest time in it; nothing where it is not."""
        return timedelta(0) if self.latest is None else max(timedelta(0), self.latest - self.at)


def health_of(figures: Figures, doubts: Sequence[datetime], unread: int, young: timedelta) -> Health:
    """The figures, with the doubts that were found by reading the `undated` streams, of which `unread` broke."""
    old = [since for since in doubts if since <= figures.at - young]
    oldest = [since for since in (*old, figures.doubt_since) if since is not None]
    return Health(
        at=figures.at,
        in_doubt=figures.in_doubt + len(old),
        due=figures.due,
        waiting=figures.waiting,
        doubt_since=min(oldest, default=None),
        due_since=figures.due_since,
        recovered=figures.recovered,
        uncounted=unread + figures.more_undated,
        latest=figures.latest,
    )


def _age(at: datetime, since: datetime | None) -> timedelta:
    return timedelta(0) if since is None else max(timedelta(0), at - since)
