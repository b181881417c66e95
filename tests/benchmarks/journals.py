"""B7: the journal as it grows, against its driver by hand and Django's ORM, in SQLite and in PostgreSQL.

A store of each size is filled in bulk, ours first, and the others from what ours holds. Then all are timed in the
same rounds, so that sizes and stores can be compared.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import psycopg

from refund_adapters.sql import PostgresJournal, SqliteJournal
from tests.benchmarks import filling, lives, stores_django
from tests.benchmarks.stores import TABLES, BareStore, OurStore, PostgresByHand, SqliteByHand, Store
from tests.benchmarks.timing import Case, Timed, timed, times_of
from tests.postgres.server import Server

OURS, BY_HAND, ORM = "our journal", "by hand", "Django's ORM"
CHECKED = "by hand into our events"

SIZES: Final = (10_000, 100_000, 1_000_000)
QUICK_SIZES: Final = (50, 200)
DUE: Final = 1_000
QUICK_DUE: Final = 20

LIVES, LOADS, CLAIMS = 20, 100, 20
"""How much of each work one round does of each store."""

Stores = dict[str, Store]

_numbers: Final = itertools.count(10**9)  # behind all that was filled


@attrs.frozen(kw_only=True)
class Filled:
    """The stores of one size in one database, and how many bytes each of their refunds takes."""

    database: str
    size: int
    stores: Stores
    bytes_each: dict[str, float]

    @property
    def by_hand(self) -> BareStore:
        """The store by hand."""
        store = self.stores[BY_HAND]
        if not isinstance(store, BareStore):
            raise TypeError("the store by hand was expected")
        return store


def b7(quick: bool) -> list[Timed]:
    """Both databases, one after the other."""
    lives.check_heads()
    sizes, due = (QUICK_SIZES, QUICK_DUE) if quick else (SIZES, DUE)
    server = Server({"shared_buffers": "256MB", "max_wal_size": "4GB"})
    with tempfile.TemporaryDirectory() as made, ExitStack() as closed_at_the_end:
        folder = Path(made)
        places = {size: server.database() for size in sizes}
        orm = stores_django.configured(_django_databases(folder, places))
        databases: tuple[Callable[[int], Filled], ...] = (
            lambda size: closed_at_the_end.enter_context(_sqlite(folder, size, due, orm)),
            lambda size: closed_at_the_end.enter_context(_postgres(places[size], size, due, orm)),
        )
        return [row for fill in databases for row in _measured([fill(size) for size in sizes], quick)]


def _django_databases(folder: Path, places: dict[int, str]) -> dict[str, dict[str, Any]]:
    """Each store of Django by its alias."""
    databases = {}
    for size, conninfo in places.items():
        databases[f"SQLite {size}"] = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(folder / f"orm-{size}.db"),
            "OPTIONS": stores_django.SQLITE_FULL,
        }
        named: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(conninfo)
        databases[f"PostgreSQL {size}"] = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": named["dbname"],
            "HOST": named["host"],
            "USER": named["user"],
        }
    return databases


# --- the stores, filled -------------------------------------------------------------------------------------


@contextmanager
def _sqlite(folder: Path, size: int, due: int, orm: Callable[[str], Store]) -> Iterator[Filled]:
    ours, hand, theirs = (folder / f"{name}-{size}.db" for name in ("ours", "hand", "orm"))
    with closing(SqliteJournal(ours)) as journal:
        filling.fill_sqlite(ours, size, due)
        by_hand, django = SqliteByHand(hand), orm(f"SQLite {size}")
        with closing(sqlite3.connect(hand)) as raw:
            for statement in TABLES:
                raw.execute(statement)
        for path, statements in ((hand, _COPIES[BY_HAND]), (theirs, _COPIES[ORM])):
            with closing(sqlite3.connect(path, isolation_level=None)) as raw:
                raw.execute("PRAGMA synchronous = OFF")
                raw.execute("PRAGMA cache_size = -1000000")
                raw.execute("ATTACH ? AS ours", (str(ours),))
                for statement in statements:
                    raw.execute(statement.format(ours="ours", order="seq"))
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        sizes = {name: path.stat().st_size / size for name, path in ((OURS, ours), (BY_HAND, hand), (ORM, theirs))}
        stores: Stores = {OURS: OurStore(journal), BY_HAND: by_hand, ORM: django}
        yield Filled(database="SQLite", size=size, stores=_checked(stores, size, due), bytes_each=sizes)


@contextmanager
def _postgres(conninfo: str, size: int, due: int, orm: Callable[[str], Store]) -> Iterator[Filled]:
    with closing(PostgresJournal(conninfo, statement_timeout_s=600)) as journal:
        filling.fill_postgres(conninfo, size, due)
        django = orm(f"PostgreSQL {size}")
        with psycopg.connect(conninfo, autocommit=True) as raw:
            for statement in (*TABLES, *_COPIES[BY_HAND], *_COPIES[ORM]):
                raw.execute(statement.format(ours="public", order="tx, seq").encode())
            raw.execute("VACUUM ANALYZE")
            raw.execute("CHECKPOINT")
            sizes = {
                name: sum(_bytes(raw, table) for table in tables) / size
                for name, tables in (
                    (OURS, ("refund_events", "refund_streams")),
                    (BY_HAND, ("hand_events", "hand_streams")),
                    (ORM, ("orm_event", "orm_head")),
                )
            }
        stores: Stores = {OURS: OurStore(journal), BY_HAND: PostgresByHand(conninfo), ORM: django}
        yield Filled(database="PostgreSQL", size=size, stores=_checked(stores, size, due), bytes_each=sizes)


_COPIES: Final = {
    BY_HAND: (
        "INSERT INTO hand_events SELECT stream, version, event FROM {ours}.refund_events ORDER BY {order}",
        "INSERT INTO hand_streams SELECT stream, look_at FROM {ours}.refund_streams",
    ),
    ORM: (
        "INSERT INTO orm_event (stream, version, event)"
        " SELECT stream, version, event FROM {ours}.refund_events ORDER BY {order}",
        "INSERT INTO orm_head (stream, look_at) SELECT stream, look_at FROM {ours}.refund_streams",
    ),
}


def _bytes(raw: psycopg.Connection[Any], table: str) -> int:
    ((size,),) = raw.execute("SELECT pg_total_relation_size(%s::regclass)", (table,)).fetchall()
    return int(size)


def _checked(stores: Stores, size: int, due: int) -> Stores:
    """The stores, ready: each reads what was filled in, does each work once, and gives what the others give."""
    ours, by_hand = stores[OURS], stores[BY_HAND]
    if not (isinstance(ours, OurStore) and isinstance(by_hand, BareStore)):
        raise TypeError("our own store and one by hand were expected")
    filling.check_reads(ours.journal, [0, due - 1, due, size - 1], due)
    answers = {str(step.ref): step for step in (lives.told(number)[lives.IN_DOUBT] for number in range(due))}
    new = next(_numbers)
    said = []
    for store in stores.values():
        store.answers = {stream: store.prepared(step) for stream, step in answers.items()}
        store.live([store.prepared(step) for step in lives.told(new)])
        claimed = store.claim()
        streams = (lives.stream_of(new), claimed, lives.stream_of(size - 1))
        said.append((claimed, store.due(5), [store.shown(stream) for stream in streams]))
    last = lives.ref_of(size - 1)
    read_alike = tuple(by_hand.events(str(last))) == ours.journal.load(last).events
    if any(each != said[0] for each in said) or not read_alike:
        raise RuntimeError("the stores give different answers; nothing was timed")
    return stores


# --- what is timed ------------------------------------------------------------------------------------------


class Living:
    """Whole lives of new payments, made ready before the clock starts."""

    def __init__(self, store: Store, count: int) -> None:
        self._store, self._count = store, count
        self._ready: list[Sequence[Any]] = []

    def prepare(self) -> None:
        """Make new lives."""
        told = [lives.told(next(_numbers)) for _ in range(self._count)]
        self._ready = [[self._store.prepared(step) for step in life] for life in told]

    def work(self) -> None:
        """Write them down."""
        for life in self._ready:
            self._store.live(life)


class Loading:
    """Streams anywhere in the store, read whole."""

    def __init__(self, load: Callable[[str], object], size: int, count: int) -> None:
        self._load, self._count = load, count
        self._size, self._chance = size, random.Random(size)
        self._ready: list[str] = []

    def prepare(self) -> None:
        """Choose other streams."""
        self._ready = [lives.stream_of(self._chance.randrange(self._size)) for _ in range(self._count)]

    def work(self) -> None:
        """Read them."""
        for stream in self._ready:
            self._load(stream)


def _measured(filled: Sequence[Filled], quick: bool) -> list[Timed]:
    """The rows of one database, all sizes and stores in the same rounds."""
    lived, loaded, claimed, rounds = (2, 2, 1, 1) if quick else (LIVES, LOADS, CLAIMS, 15)
    cases = []
    for each in filled:
        for name, store in each.stores.items():
            living, loading = Living(store, lived), Loading(store.load, each.size, loaded)
            at = (each.database, each.size, name)
            cases += [
                Case(name=_name(_ISSUE, *at), prepare=living.prepare, work=living.work, calls=lived),
                Case(name=_name(_LOAD, *at), prepare=loading.prepare, work=loading.work, calls=loaded),
                Case(name=_name(_CLAIM, *at), work=store.claim, number=claimed),
            ]
        checked = Loading(each.by_hand.events, each.size, loaded)
        name = _name(_LOAD, each.database, each.size, CHECKED)
        cases.append(Case(name=name, prepare=checked.prepare, work=checked.work, calls=loaded))
    times = times_of(cases, rounds)
    by_name = {case.name: case for case in cases}
    return [
        attrs.evolve(
            timed(attrs.evolve(by_name[_name(work, *at)], against=against, reach=reach), times),
            note=f"{each.bytes_each[at[-1]]:,.0f} bytes a refund" if work == _ISSUE else "",
        )
        for work in (_ISSUE, _LOAD, _CLAIM)
        for each in filled
        for at, against, reach in _compared(work, each.database, each.size, filled[0].size)
    ]


_ISSUE = "quote and issue (2 loads, 4 commits)"
_LOAD = "load"
_CLAIM = "claim what is due (due, load, commit)"


def _name(work: str, database: str, size: int, store: str) -> str:
    return f"{work}, {database}, {size:,} refunds, {store}"


def _compared(
    work: str, database: str, size: int, least: int
) -> Iterator[tuple[tuple[str, int, str], str | None, str]]:
    """What is set against what: ours against by hand and against the smallest, the ORM against ours."""
    ours, hand, orm = ((database, size, name) for name in (OURS, BY_HAND, ORM))
    yield ours, _name(work, *hand), "≤ 1.5×"
    if work == _LOAD:
        yield ours, _name(work, database, size, CHECKED), "≤ 1.5×"
    if size != least:
        yield ours, _name(work, database, least, OURS), "≤ 1.5×"
    yield hand, None, ""
    yield orm, _name(work, *ours), "≥ 1×"
