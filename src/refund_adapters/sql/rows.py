"""What the journals of every SQL database share: events and heads as rows, and rows as what the port gives.

Times are whole microseconds since 1970 in UTC, events the text of `codec`: no database is trusted to understand
either, so none rewrites them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import MethodType
from typing import Any, Final, TypeVar

from refund_adapters.places import NO_ERASURE, NOT_THERE, place, place_of
from refund_adapters.sql.codec import decode, encode
from refund_adapters.sql.plain import is_unicode
from refund_domain._checks import check_count, check_text, check_time, check_type
from refund_domain.errors import JournalUnavailable, UnknownEvent
from refund_domain.events import Event
from refund_domain.operations.erasure import is_erasure
from refund_domain.operations.health import Figures, RecoveryNote
from refund_domain.payments import ControlRef, OutsideRef, PaymentRef, Ref
from refund_domain.ports import Head, Tailed

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The moment that times are counted from."""

LONGEST_WAIT_S: Final = 3600
"""The longest wait a journal may be told to make, in seconds."""

MOST_COUNTED: Final = 2**31 - 1
"""The most payments that one run of recovery may have counted."""

WENT_BACK: Final = (
    "the journal ends before this position: it went back, as one restored from a backup does; read it from the"
    " beginning"
)
"""What is said to who reads along, who would be told of nothing until the journal has come as far again."""

_MICROSECOND: Final = timedelta(microseconds=1)
_MOST_VERSIONS: Final = 2**62


def maybe(value: A | None, word: Callable[[A], B]) -> B | None:
    """The value in other words, None where there is none."""
    return None if value is None else word(value)


def microseconds(moment: datetime) -> int:
    """An aware time as it stands in a row."""
    return (moment - EPOCH) // _MICROSECOND


def moment(at: int) -> datetime:
    """The time that stands in a row."""
    return EPOCH + timedelta(microseconds=at)


def stream_of(ref: Ref, version: int, name: str) -> str:
    """The stream's name. Refuses what is no ref and no version, `name` being what the caller calls it."""
    check_type(ref, (PaymentRef, OutsideRef, ControlRef), "ref")
    check_count(version, name, 0, _MOST_VERSIONS)
    return str(ref)


def event_rows(events: Sequence[Event], expected: int) -> list[tuple[int, int, str]]:
    """Version, time and text of each event of an append. Refuses (TypeError, ValueError) what is no event, and
    no events at all."""
    rows = []
    for version, event in enumerate(events, expected + 1):
        text = encode(event)  # first: it refuses what is no event
        rows.append((version, microseconds(event.at), text))
    if not rows:
        raise ValueError("events must hold at least one event: without news nothing is written")
    return rows


def head_row(ref: Ref, head: Head) -> tuple[str, int | None, bool, int | None]:
    """Tenant, due time, waiting and begin of the doubt as the index holds them. Where no gateway
    stands behind a ref, nothing is ever due or in doubt."""
    check_type(head, Head, "head")
    check_text(head.tenant, "head.tenant", 255)
    check_type(head.waiting, bool, "head.waiting")
    for time, name in ((head.look_at, "head.look_at"), (head.doubt_since, "head.doubt_since")):
        if time is not None:
            check_time(time, name)
    if not isinstance(ref, PaymentRef):
        return head.tenant, None, False, None
    return head.tenant, maybe(head.look_at, microseconds), head.waiting, maybe(head.doubt_since, microseconds)


def figures(row: Sequence[Any], streams: Sequence[str]) -> Figures:
    """What the index tells, from its counts and times, the latest run of recovery and event, and the undated
    streams."""
    at, in_doubt, doubt_since, due, due_since, waiting, recovered_at, looked, failed, undated, latest = row
    return Figures(
        at=moment(at),
        in_doubt=in_doubt,
        doubt_since=maybe(doubt_since, moment),
        due=due,
        due_since=maybe(due_since, moment),
        waiting=waiting,
        recovered=None
        if recovered_at is None
        else RecoveryNote(at=moment(recovered_at), looked=looked, failed=failed),
        undated=refs(streams),
        more_undated=max(0, undated - len(streams)),
        latest=maybe(latest, moment),
    )


def narrated(rows: Sequence[tuple[str, int, str]]) -> tuple[Tailed, ...]:
    """A tenant's history from its rows: stream, version, text."""
    return tuple(
        [
            Tailed(
                position=place_of(stream, version), stream=stream, version=version, event=decoded(version, text)
            )
            for stream, version, text in rows
        ]
    )


def check_erasure(text: str | None, event: Tailed) -> None:
    """Refuse (ValueError) what is no erasure of the event in this row; None: the tenant has no such row."""
    if text is None:
        raise ValueError(NOT_THERE)
    if not is_erasure(decoded(event.version, text), event.event):
        raise ValueError(NO_ERASURE)


def erased_texts(tenant: str, events: Sequence[Tailed]) -> list[str]:
    """The texts of events that are to be put in their places. Refuses (TypeError, ValueError) what is none."""
    check_text(tenant, "tenant", 255)
    for event in events:
        check_type(event, Tailed, "each of events")
    return [encode(event.event) for event in events]


def checked_run(looked: int, failed: int) -> tuple[int, int]:
    """How a run of recovery went, as it may be kept."""
    check_count(looked, "looked", 0, MOST_COUNTED)
    check_count(failed, "failed", 0, MOST_COUNTED)
    return looked, failed


def decoded(version: int, text: str) -> Event:
    """The event of a row. Raises `UnknownEvent`, which names the version and not the text."""
    try:
        return decode(text)
    except UnknownEvent as error:
        raise UnknownEvent(f"event {version} of the stream: {error}") from None


def refs(streams: Sequence[str]) -> tuple[PaymentRef, ...]:
    """The payments of these streams."""
    return tuple([PaymentRef.parse(stream) for stream in streams])


def checked_wait(seconds: object, name: str) -> float:
    """Refuse what is no number of seconds from 0 to an hour."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(seconds).__name__}")
    if not 0 <= seconds <= LONGEST_WAIT_S:
        raise ValueError(f"{name} must be from 0 to {LONGEST_WAIT_S} seconds")
    return float(seconds)


def position(after: object, parts: int) -> tuple[int, ...]:
    """The numbers of a position in the journal, which stand apart by dots; zeros for the empty one, before all
    events. Refuses (ValueError) what is no position."""
    check_type(after, str, "after")
    if after == "":
        return (0,) * parts
    numbers = str(after).split(".")
    if len(numbers) != parts or not all(n.isascii() and n.isdigit() and len(n) < 19 for n in numbers):
        raise ValueError("after must be a position that this journal's tail gave, or empty for the beginning")
    return tuple([int(number) for number in numbers])


NO_TRANSACTION: Final = (
    "the connection has no transaction open: begin one (Django: with transaction.atomic():), and commit it when "
    "all is written"
)
"""What a host is told whose statements would each be committed by itself."""

AGAIN: Final = "; roll your transaction back and run it again"
"""What a conflict tells besides where the transaction is a host's."""


def history_place(after: str) -> tuple[str, int]:
    """Stream and version of a place in a tenant's history. Refuses (ValueError) what no stream can be named."""
    stream, version = place(after)
    if "\0" in stream or not is_unicode(stream):
        raise ValueError("after must be a position that this journal's history gave, or empty for the beginning")
    return stream, version


def host_connection(connection: object, kind: type[T], driver: str) -> T:
    """The driver's connection inside what a host's framework hands out.

    Raises TypeError where there is none, ValueError where the framework has not connected yet, and so has no
    transaction open, `JournalUnavailable` where it gives its connection no longer.
    """
    inner: object = connection
    for _ in range(4):
        if isinstance(inner, kind):
            return inner
        for name in ("driver_connection", "dbapi_connection", "sync_connection", "connection"):
            found = _inside(inner, name)
            if found is not None and not isinstance(found, MethodType):
                inner = found
                break
        else:
            if _is_unconnected(inner):
                raise ValueError(NO_TRANSACTION)
    raise TypeError(
        f"a connection of {driver} was expected, or what Django or SQLAlchemy wrap around one (of a session: "
        f"session.connection()), not {type(connection).__name__}"
    )


def _is_unconnected(wrapper: object) -> bool:
    """Whether this is a connection of Django's before its first query."""
    return hasattr(wrapper, "ensure_connection") and getattr(wrapper, "connection", "") is None


def _inside(outer: object, name: str) -> object:
    """What a framework's wrapper has under this name, None where it has nothing."""
    try:
        return getattr(outer, name, None)
    except Exception:  # a framework's own, of a connection that is closed or was invalidated
        pass
    raise JournalUnavailable(f"the host's {type(outer).__name__} is closed, or gives no connection any more")


class Times:
    """The latest time a handle ever gave; `gate` guards it, and must be free in a forked child."""

    def __init__(self, gate: threading.RLock | None = None) -> None:
        self._latest = EPOCH
        self._gate = threading.RLock() if gate is None else gate

    def given(self, now: datetime) -> datetime:
        """Note that `now` is given; the latest given so far, this one included."""
        with self._gate:
            self._latest = max(self._latest, now)
            return self._latest
