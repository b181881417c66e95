"""Events to text and back: versioned JSON that a person can read and a later version can extend.

One row reads `{"v":1,"type":"RefundDropped","at":"2026-03-02T09:00:00Z","refund_id":"r1",…}`. `v` is the
version of this format, `type` the event's class. Within:

| a value | stands as |
|---|---|
| an attrs class | an object of its fields, in their order, without those that equal their default |
| one class of several (`Answer`, `Refusal`) | the same, with its class name first as `type` |
| `Currency` | its code; so Money is `{"amount_minor":20000,"currency":"USD"}` |
| datetime, date | ISO 8601; a time in UTC, ending in Z |
| an enum | its value |
| a tuple | a list |

The declared types of the event classes are the table: they are walked once, when first needed, and each yields
a writer and a reader. A field that a later version adds must have a default; what cannot be said so raises `v`.

Reading is strict, because a wrong guess decides about money: an unknown type, word or field, a missing field, a
value of another type or one that its class refuses is `UnknownEvent`, whose text names our classes and fields
and never repeats the row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from enum import Enum
from functools import cache
from types import UnionType
from typing import Final, Union, cast, get_args, get_origin, get_type_hints

import attrs

from refund_adapters.sql.plain import PLAIN, Shape, is_unicode, wrong
from refund_domain.answers import Send
from refund_domain.connect import DirectCharge, PlatformCharge
from refund_domain.errors import UnknownEvent
from refund_domain.events import EVENTS, Event

FORMAT_VERSION: Final = 1
"""The newest version of the format that is written and understood here."""

_TAG: Final = "type"
_VERSION: Final = "v"


def encode(event: Event) -> str:
    """This event as the text of a row.

    Raises TypeError for what is no event or holds a field of another type than declared, ValueError for a
    naive time, a currency that is not the library's own, and text that is not Unicode.

    >>> from datetime import UTC, datetime
    >>> from refund_domain.events import PersonAsked
    >>> encode(PersonAsked(at=datetime(2026, 3, 2, 9, tzinfo=UTC), refund_id="r1"))
    '{"v":1,"type":"PersonAsked","at":"2026-03-02T09:00:00Z","refund_id":"r1"}'
    """
    kind = type(event)
    record = _events().get(kind.__name__)
    if record is None:
        raise TypeError(f"an event of the journal was expected, not {kind.__name__}")
    text = _ENCODER.encode(record.write_into({_VERSION: FORMAT_VERSION, _TAG: kind.__name__}, event))
    if not is_unicode(text):
        raise ValueError(f"{kind.__name__} holds text that is not Unicode (half of a surrogate pair)")
    return text


def decode(text: str) -> Event:
    """The event in the text of a row. Raises `UnknownEvent` for what is not exactly known.

    >>> decode('{"v":1,"type":"PersonAsked","at":"2026-03-02T09:00:00Z","refund_id":"r1"}').refund_id
    'r1'
    >>> decode('{"v":2,"type":"PersonAsked","at":"2026-03-02T09:00:00Z","refund_id":"r1"}')
    Traceback (most recent call last):
    ...
    refund_domain.errors.UnknownEvent: written in a newer format than 1, the newest known here; upgrade this worker
    """
    raw = _parse(text)
    if type(raw) is not dict:
        raise UnknownEvent("the row is not one JSON object with each name once")
    version = raw.get(_VERSION)
    if type(version) is not int or version < 1:
        raise UnknownEvent("the row carries no version of the format")
    if version > FORMAT_VERSION:
        raise UnknownEvent(
            f"written in a newer format than {FORMAT_VERSION}, the newest known here; upgrade this worker"
        )
    name = raw.get(_TAG)
    record = _events().get(name) if type(name) is str else None
    if record is None:
        raise UnknownEvent("an event of a type that this version does not know; upgrade this worker")
    return cast(Event, record.read_beside(raw, tags=2))


# ---- one writer and one reader per declared type ----


@attrs.frozen
class _Field:
    """A field, its default (`attrs.NOTHING`: none) and, flattened for speed, its shape."""

    name: str
    default: object
    write: Callable[[object], object]
    read: Callable[[object], object]


class _Record:
    """An attrs class: an object of its fields."""

    def __init__(self, kind: type[attrs.AttrsInstance]) -> None:
        self.kind = kind
        declared = get_type_hints(kind)
        fields = []
        for field in attrs.fields(kind):
            if not field.init or field.alias != field.name or field.name in (_TAG, _VERSION):
                raise TypeError(f"{kind.__name__}.{field.name} cannot be written as a field of the same name")
            if isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]  # a class to isinstance
                raise TypeError(f"{kind.__name__}.{field.name}: a default that is made cannot be left out")
            shape = _shape(declared[field.name])
            fields.append(_Field(field.name, field.default, shape.write, shape.read))
        self.fields = tuple(fields)

    def write(self, value: object) -> dict[str, object]:
        return self.write_into({}, value)

    def write_into(self, raw: dict[str, object], value: object) -> dict[str, object]:
        """Add the fields of `value` to `raw`, which holds the tags if there are any."""
        if type(value) is not self.kind:
            raise wrong(self.kind.__name__, value)
        name = ""
        try:
            for field in self.fields:
                name = field.name
                member = getattr(value, name)
                # The classes are compared too, for 1 == True and an enum's member may equal a plain str.
                if member == field.default and type(member) is type(field.default):
                    continue
                raw[name] = field.write(member)
        except TypeError as error:
            raise TypeError(f"{self.kind.__name__}.{name}: {error}") from None
        except ValueError as error:
            raise ValueError(f"{self.kind.__name__}.{name}: {error}") from None
        return raw

    def read(self, raw: object) -> object:
        if type(raw) is not dict:
            raise UnknownEvent("an object was expected")
        return self.read_beside(raw, tags=0)

    def read_beside(self, raw: dict[str, object], *, tags: int) -> object:
        """Make the value from an object that has `tags` names beside its fields."""
        values = {}
        name = ""
        older = _OLDER.get(self.kind)
        if older is not None:
            raw = older(raw)
        try:
            for field in self.fields:
                name = field.name
                if name in raw:
                    values[name] = field.read(raw[name])
                elif field.default is attrs.NOTHING:
                    raise UnknownEvent("missing")
        except UnknownEvent as error:
            raise UnknownEvent(f"{self.kind.__name__}.{name}: {error}") from None
        if len(values) + tags != len(raw):
            raise UnknownEvent(f"{self.kind.__name__}: a field that this version does not know")
        try:
            return self.kind(**values)
        except (TypeError, ValueError):
            raise UnknownEvent(f"{self.kind.__name__}: values that it refuses") from None


def _older_send(raw: dict[str, object]) -> dict[str, object]:
    """A send as it was written before it held a `split`: it named the kind of its charge, platform or direct.

    Other kinds were never claimed then, and are not known now either.
    """
    split = _OLDER_KINDS.get(str(raw.get("kind")))
    if split is None or "split" in raw:
        return raw
    return {name: value for name, value in raw.items() if name != "kind"} | {"split": {_TAG: split.__name__}}


_OLDER_KINDS: Final[dict[str, type]] = {"platform": PlatformCharge, "direct": DirectCharge}


_OLDER: Final[dict[type, Callable[[dict[str, object]], dict[str, object]]]] = {Send: _older_send}
"""How an older version wrote a class: from its object to the one written now, which passes unchanged."""


@cache
def _events() -> dict[str, _Record]:
    return _by_name(EVENTS)


def _by_name(kinds: Iterable[type]) -> dict[str, _Record]:
    return {kind.__name__: _Record(kind) for kind in kinds}


@cache
def _shape(declared: object) -> Shape:
    """The shape of a declared type. Raises TypeError for one that has none, the first time it is met."""
    plain = PLAIN.get(declared)
    if plain is not None:
        return plain
    origin = get_origin(declared)
    if origin is Union or origin is UnionType:
        return _union(get_args(declared))
    if origin is tuple and get_args(declared)[1:] == (...,):
        return _list(_shape(get_args(declared)[0]))
    if isinstance(declared, type) and issubclass(declared, Enum):
        return _enum(declared)
    if isinstance(declared, type) and attrs.has(declared):
        record = _Record(declared)
        return Shape(record.write, record.read)
    raise TypeError(f"no way is known to write {declared} as JSON")


def _union(declared: tuple[object, ...]) -> Shape:
    """A type or None; one of several classes, which is tagged; or both."""
    kinds = tuple(kind for kind in declared if kind is not type(None))
    one = _shape(kinds[0]) if len(kinds) == 1 else _tagged(kinds)
    if len(kinds) == len(declared):
        return one
    return Shape(
        lambda value: None if value is None else one.write(value),
        lambda raw: None if raw is None else one.read(raw),
    )


def _tagged(kinds: tuple[object, ...]) -> Shape:
    classes = tuple(kind for kind in kinds if isinstance(kind, type) and attrs.has(kind))
    if classes != kinds:
        raise TypeError("only attrs classes can be told apart by a tag")
    records = _by_name(classes)

    def write(value: object) -> object:
        name = type(value).__name__
        record = records.get(name)
        if record is None:
            raise wrong(" or ".join(records), value)
        return record.write_into({_TAG: name}, value)

    def read(raw: object) -> object:
        name = raw.get(_TAG) if type(raw) is dict else None
        record = records.get(name) if type(name) is str else None
        if record is None or type(raw) is not dict:
            raise UnknownEvent("a type that this version does not know")
        return record.read_beside(raw, tags=1)

    return Shape(write, read)


def _list(member: Shape) -> Shape:
    def write(value: object) -> object:
        if type(value) is not tuple:
            raise wrong("tuple", value)
        return [member.write(each) for each in value]

    def read(raw: object) -> object:
        if type(raw) is not list:
            raise UnknownEvent("a list was expected")
        return tuple([member.read(each) for each in raw])

    return Shape(write, read)


def _enum(kind: type[Enum]) -> Shape:
    members = {member.value: member for member in kind}

    def write(value: object) -> object:
        if type(value) is not kind:
            raise wrong(kind.__name__, value)
        return value.value

    def read(raw: object) -> object:
        member = members.get(raw) if type(raw) is str else None
        if member is None:
            raise UnknownEvent("a word that this version does not know")
        return member

    return Shape(write, read)


# ---- JSON ----


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse a name that stands twice, of which the parser would silently keep the last."""
    raw = dict(pairs)
    if len(raw) != len(pairs):
        raise ValueError("a name stands twice")
    return raw


_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
)
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_each_once)


def _parse(text: object) -> object:
    """The JSON value in this text; None for what is none.

    The parser's own error holds the whole row, so it must not be in flight when ours is raised.
    """
    if type(text) is not str:
        return None
    try:
        return cast(object, _DECODER.decode(text))
    except (ValueError, RecursionError):
        return None
