"""The plain parts of every other strategy: ids, texts, times, money; and small helpers."""

from __future__ import annotations

import string
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final, Protocol, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from refund_domain._checks import check_count, check_date, check_time, check_tuple, check_type
from refund_domain.money import LIMIT_MINOR, Currency, Money

FIRST_MOMENT: Final = datetime(2020, 1, 1, tzinfo=UTC)

LAST_MOMENT: Final = datetime(2035, 12, 31, tzinfo=UTC)

FIRST_DAY: Final = FIRST_MOMENT.date()

LAST_DAY: Final = LAST_MOMENT.date()

MOST_CAPTURED_MINOR: Final = 10**9
"""No payment is drawn larger, unless asked for: sums of many then stay far from the limit of Money."""

_ALNUM: Final = string.ascii_letters + string.digits

_CODES: Final = (
    "USD EUR JPY KWD UGX ISK HUF TWD GBP CLP BHD CAD "  # each kind of exponent first: Hypothesis shrinks to it
    "BIF DJF GNF KMF KRW MGA PYG RWF VND VUV XAF XOF XPF JOD OMR TND"
).split()

_Value = TypeVar("_Value")


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


_Named = TypeVar("_Named", bound=_HasId)


def ids(*, max_size: int = 30) -> SearchStrategy[str]:
    """Ids as the library takes them: 1 to `max_size` (at most 255) of its characters."""
    check_count(max_size, "max_size", 1, 255)
    tail = st.text(_ALNUM + "_.:-", max_size=max_size - 1)
    return st.builds(str.__add__, st.sampled_from(_ALNUM), tail)


def texts(*, max_size: int = 30) -> SearchStrategy[str]:
    """Non-empty printable texts of any script, at most `max_size` (500) characters, now and then a line break."""
    check_count(max_size, "max_size", 1, 500)
    characters = st.characters(exclude_categories=("C", "Z"), include_characters=" \n")
    return st.text(characters, min_size=1, max_size=max_size).filter(lambda text: bool(text.strip()))


def times(*, earliest: datetime = FIRST_MOMENT, latest: datetime = LAST_MOMENT) -> SearchStrategy[datetime]:
    """Aware moments between the two, often whole seconds, in UTC and in other offsets."""
    check_time(earliest, "earliest")
    check_time(latest, "latest")
    if latest < earliest:
        raise ValueError("latest must not be before earliest")
    microseconds = (latest - earliest) // timedelta(microseconds=1)
    since = st.integers(0, microseconds) | st.integers(0, microseconds // 10**6).map(lambda s: s * 10**6)
    moments = since.map(lambda count: (earliest + timedelta(microseconds=count)).astimezone(UTC))
    offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    return moments | st.builds(datetime.astimezone, moments, offsets)


def dates(*, earliest: date = FIRST_DAY, latest: date = LAST_DAY) -> SearchStrategy[date]:
    """Days between the two, both included."""
    check_date(earliest, "earliest")
    check_date(latest, "latest")
    if latest < earliest:
        raise ValueError("latest must not be before earliest")
    return st.dates(earliest, latest)


def currencies(*, codes: Sequence[str] | None = None) -> SearchStrategy[Currency]:
    """Currencies of every exponent and special step, and any three letters; or only those of `codes`."""
    if codes is not None:
        check_tuple(tuple(codes), str, "codes")
        return st.sampled_from([Currency.of(code) for code in some(codes, "codes")])
    known = st.sampled_from(_CODES)
    return (known | st.text(string.ascii_uppercase, min_size=3, max_size=3)).map(Currency.of)


def money(
    *, currency: Currency | None = None, min_minor: int = -LIMIT_MINOR, max_minor: int = LIMIT_MINOR
) -> SearchStrategy[Money]:
    """Amounts from `min_minor` to `max_minor` in `currency`, or in any; often at an edge."""
    check_count(min_minor, "min_minor", -LIMIT_MINOR, LIMIT_MINOR)
    check_count(max_minor, "max_minor", min_minor, LIMIT_MINOR)
    edges = {min_minor, max_minor, 0, 1, -1, 49, 50, 99, 100, 101, 20_000, 50_000}
    fitting = sorted((edge for edge in edges if min_minor <= edge <= max_minor), key=abs)
    return st.builds(Money, st.sampled_from(fitting) | st.integers(min_minor, max_minor), in_currency(currency))


def in_currency(currency: Currency | None) -> SearchStrategy[Currency]:
    check_optional(currency, Currency, "currency")
    return currencies() if currency is None else st.just(currency)


def prefixed(prefix: str) -> SearchStrategy[str]:
    return ids(max_size=24).map(prefix.__add__)


def up_to(most: int, least: int = 0) -> SearchStrategy[int]:
    """An int up to `most`, quite often `most` itself."""
    return st.just(most) | st.integers(least, most)


def words(known: Sequence[str], max_size: int) -> SearchStrategy[str]:
    """Mostly the known words of an open list, now and then one nobody has heard of."""
    usual = [st.sampled_from(list(known)) for _ in range(3)]  # one strategy thrice would count once
    return st.one_of(*usual, texts(max_size=min(max_size, 30)))


def maybe(values: SearchStrategy[_Value]) -> SearchStrategy[_Value | None]:
    return st.none() | values


def tuples(values: SearchStrategy[_Value], max_size: int, min_size: int = 0) -> SearchStrategy[tuple[_Value, ...]]:
    return st.lists(values, min_size=min_size, max_size=max_size).map(tuple)


def by_id(values: SearchStrategy[_Named], max_size: int) -> SearchStrategy[tuple[_Named, ...]]:
    return st.lists(values, max_size=max_size, unique_by=lambda value: value.id).map(tuple)


def some(values: Sequence[_Value], name: str) -> list[_Value]:
    if not values:
        raise ValueError(f"{name} must name at least one")
    return list(values)


def of_kinds(
    table: dict[type[_Value], SearchStrategy[_Value]], kinds: Sequence[type[_Value]]
) -> SearchStrategy[_Value]:
    _check_kinds(tuple(table), kinds)
    return st.one_of([table[kind] for kind in kinds])


def _check_kinds(known: Sequence[type], kinds: Sequence[type]) -> None:
    if not set(some(kinds, "kinds")) <= set(known):
        raise ValueError("kinds must name classes of " + ", ".join(kind.__name__ for kind in known))


def check_optional(value: object, expected: type, name: str) -> None:
    if value is not None:
        check_type(value, expected, name)


ANY_CURRENCY: Final = Currency.of("USD")  # stands in until the currency is known

COIN: Final = st.booleans()
