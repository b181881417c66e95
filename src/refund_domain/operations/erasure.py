"""Names and notes out of what is kept, and every fact of the money left: the one change an event may ever take.

Who acted is found by type: each `Actor`, wherever it stands. What people write is found by its field, wherever it
stands: one named in `WRITTEN`, or a text that is kept out of reprs. A test walks every event's fields and fails
for a text of which nobody has said whether people write it. Erasing goes with folding: what erased events amount
to is the erased ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar, cast

import attrs

from refund_domain.commands import Actor

T = TypeVar("T")

WRITTEN: Final = ("note", "how")
"""The names of fields in which people write; one that is kept out of reprs (`repr=False`) needs no name here."""

ERASED_TEXT: Final = "[erased]"
"""What stands in place of what a person wrote. Where nothing was written nothing stands."""

PSEUDONYM: Final = "erased:"
"""How the id of an erased actor begins."""


def is_erased(actor: Actor) -> bool:
    """Whether this actor's name was erased. Nobody can be told apart from an erased actor by comparing ids: it may
    be the same person.

    >>> is_erased(Actor(id="erased:7f3a", tenant="acme")), is_erased(Actor(id="maria", tenant="acme"))
    (True, False)
    """
    return actor.id.startswith(PSEUDONYM)


def erased(event: T, pseudonym: Callable[[Actor], str | None], *, everything: bool = False) -> T:
    """The same event with other names: each actor under the id that `pseudonym` gives, None leaving it as it is.

    What people wrote in the event goes with any of its actors, and with `everything` where it names nobody, too.

    >>> from datetime import UTC, datetime
    >>> from refund_domain.events import OutsideRecorded
    >>> from refund_domain.money import Money
    >>> record = OutsideRecorded(
    ...     at=datetime(2026, 3, 2, 9, tzinfo=UTC), record_id="o1", amount=Money.parse("40.00", "USD"),
    ...     how="cash to Carl", by=Actor(id="maria", tenant="acme"))
    >>> gone = erased(record, lambda actor: "erased:1")
    >>> gone.by.id, gone.how, str(gone.amount)
    ('erased:1', '[erased]', '40.00 USD')
    """
    goes = everything or any(pseudonym(actor) is not None for actor in actors_in(event))
    return _without(event, pseudonym, goes) if goes else event


def _without(value: T, pseudonym: Callable[[Actor], str | None], texts: bool) -> T:
    """The same object where nothing changes, so that what did not change costs nothing."""
    if isinstance(value, Actor):
        name = pseudonym(value)
        return value if name is None else cast(T, attrs.evolve(value, id=name))
    if isinstance(value, tuple):
        members = tuple([_without(member, pseudonym, texts) for member in value])
        return value if all(map(_same, members, value)) else cast(T, members)
    changed: dict[str, object] = {}
    for name, written in _fields(value):
        member: object = getattr(value, name)
        is_text = texts and written and isinstance(member, str)
        new = ERASED_TEXT if is_text else _without(member, pseudonym, texts)
        if new is not member:
            changed[name] = new
    return attrs.evolve(value, **changed) if changed else value  # type: ignore[misc]  # what has names is attrs


def is_erasure(before: object, after: object) -> bool:
    """Whether `after` is `before` with nothing changed but names and notes that are gone."""
    if type(before) is not type(after) or _bare(before) != _bare(after):
        return False
    names = zip(actors_in(before), actors_in(after), strict=True)
    texts = zip(written_in(before), written_in(after), strict=True)
    return all(old == new or is_erased(new) for old, new in names) and all(
        old == new or new == ERASED_TEXT for old, new in texts
    )


def actors_in(value: object) -> Iterator[Actor]:
    """Every actor in this value, in the order of its fields."""
    if isinstance(value, Actor):
        yield value
    for member in _members(value):
        yield from actors_in(member)


def written_in(value: object) -> Iterator[str]:
    """What people wrote in this value, in the order of its fields."""
    for name, written in _fields(value):
        member: object = getattr(value, name)
        if written and isinstance(member, str):
            yield member
    for member in _members(value):
        yield from written_in(member)


def _members(value: object) -> tuple[object, ...]:
    if isinstance(value, tuple):
        return value
    return tuple([getattr(value, name) for name, _ in _fields(value)])


def _fields(value: object) -> tuple[tuple[str, bool], ...]:
    """The fields of an attrs value, and whether people write in them; none of any other value."""
    kind = type(value)
    if not attrs.has(kind):
        return ()
    return tuple([(field.name, field.name in WRITTEN or field.repr is False) for field in attrs.fields(kind)])


def _bare(value: T) -> T:
    return _without(value, lambda actor: PSEUDONYM, True)


def _same(one: object, other: object) -> bool:
    return one is other
