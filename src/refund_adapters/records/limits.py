"""When a journal's health is worth waking somebody, and how it is told: to people, and to monitors as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import attrs

from refund_domain._checks import check_count, check_span
from refund_domain.operations.health import Health


@attrs.frozen(kw_only=True)
class Limits:
    """What is still well. A limit that is None is not looked at.

    The defaults: recovery runs at least hourly, as the promise assumes, so nothing is overdue for longer; a doubt
    is found within hours, and from 28 hours on the library itself asks a person; the journal's clock is no further
    behind than clocks may lie apart (`Policy.clock_skew`).

    >>> breaches(Health(at=datetime.fromisoformat("2026-03-02T09:00Z"), in_doubt=0, due=0, waiting=0), Limits())
    ('recovery never ran',)
    """

    doubt_for: timedelta | None = timedelta(hours=4)
    overdue_for: timedelta | None = timedelta(hours=1)
    recovered_for: timedelta | None = timedelta(hours=1)
    behind_for: timedelta | None = timedelta(minutes=5)
    failed: int | None = 0
    waiting: int | None = None

    def __attrs_post_init__(self) -> None:
        for name in ("doubt_for", "overdue_for", "recovered_for", "behind_for"):
            if getattr(self, name) is not None:
                check_span(getattr(self, name), name)
        for name in ("failed", "waiting"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name)


def breaches(health: Health, limits: Limits) -> tuple[str, ...]:
    """What is past its limit, each as a sentence without any client's data; nothing where all is well."""
    found = [say(health) for is_past, say in _CHECKS if is_past(health, limits)]
    return tuple(found)


def _past(value: timedelta, limit: timedelta | None) -> bool:
    return limit is not None and value > limit


def _recovered_for(health: Health) -> timedelta:
    return timedelta(0) if health.recovered is None else health.at - health.recovered.at


def _failed(health: Health) -> int:
    return 0 if health.recovered is None else health.recovered.failed


_CHECKS: Final[tuple[tuple[Callable[[Health, Limits], bool], Callable[[Health], str]], ...]] = (
    (
        lambda health, limits: _past(health.doubt_for, limits.doubt_for),
        lambda health: f"the oldest refund is in doubt for {_span(health.doubt_for)}",
    ),
    (
        lambda health, limits: _past(health.overdue_for, limits.overdue_for),
        lambda health: f"a look is overdue for {_span(health.overdue_for)}",
    ),
    (
        lambda health, limits: limits.recovered_for is not None and health.recovered is None,
        lambda health: "recovery never ran",
    ),
    (
        lambda health, limits: _past(_recovered_for(health), limits.recovered_for),
        lambda health: f"recovery has not run for {_span(_recovered_for(health))}",
    ),
    (
        lambda health, limits: _past(health.behind_for, limits.behind_for),
        lambda health: (
            f"the journal's clock is {_span(health.behind_for)} behind the latest event: nothing is sent"
        ),
    ),
    (
        lambda health, limits: limits.failed is not None and _failed(health) > limits.failed,
        lambda health: f"the last run of recovery broke on {_failed(health)} payments",
    ),
    (
        lambda health, limits: limits.waiting is not None and health.waiting > limits.waiting,
        lambda health: f"{health.waiting} payments wait for a person",
    ),
    (
        lambda health, limits: health.uncounted > 0,
        lambda health: f"{health.uncounted} payments cannot be read to tell whether they are in doubt",
    ),
)
"""What is past its limit, and how it is said."""


def health_text(health: Health) -> str:
    """The figures for a person, one a line."""
    recovered = health.recovered
    ran = "never"
    if recovered is not None:
        ran = f"{_time(recovered.at)}, looked at {recovered.looked}, broke on {recovered.failed}"
    return "\n".join(
        (
            f"in doubt:       {health.in_doubt}{_since(health.doubt_since)}",
            f"looks due:      {health.due}{_since(health.due_since)}",
            f"waiting:        {health.waiting}",
            f"last recovered: {ran}",
            *((f"not readable:   {health.uncounted}",) if health.uncounted else ()),
            *((f"clock behind:   {_span(health.behind_for)}",) if health.behind_for else ()),
        )
    )


def health_json(health: Health, past: tuple[str, ...]) -> str:
    """The figures and what is past its limit as one line of JSON, times in ISO 8601, ages in seconds."""
    recovered = health.recovered
    return json.dumps(
        {
            "at": _time(health.at),
            "healthy": not past,
            "past_limits": past,
            "in_doubt": health.in_doubt,
            "doubt_since": _maybe(health.doubt_since),
            "doubt_for_s": int(health.doubt_for.total_seconds()),
            "due": health.due,
            "due_since": _maybe(health.due_since),
            "overdue_for_s": int(health.overdue_for.total_seconds()),
            "waiting": health.waiting,
            "recovered_at": None if recovered is None else _time(recovered.at),
            "looked": None if recovered is None else recovered.looked,
            "failed": None if recovered is None else recovered.failed,
            "uncounted": health.uncounted,
            "behind_for_s": int(health.behind_for.total_seconds()),
        }
    )


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _maybe(at: datetime | None) -> str | None:
    return None if at is None else _time(at)


def _since(at: datetime | None) -> str:
    return "" if at is None else f", the oldest since {_time(at)}"


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    hours = minutes // 60
    return (
        f"{minutes} min" if hours < 1 else f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days"
    )
