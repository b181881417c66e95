"""stripe-python's own types as a schema: what a request or an answer has that they do not know, lack or mistype.

Annotations are evaluated here, in a forgiving namespace in which a name that only type checkers know means
"anything" (Stripe facts, "Testing against something"). The options that a params type inherits are left out: an
idempotency key among the parameters is a mistake, not a match.

A member annotated `Optional` may be absent or null, any other must be there. `Union[Literal[...], str]` is an open
enum of Stripe's: here only its known words pass, because a double has no business inventing some.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import inspect
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Final, ForwardRef, Literal, Union, get_args, get_origin

import typing_extensions

_SKIPPED: Final = frozenset(["OBJECT_NAME"])


def check_object(kind: type, value: object) -> tuple[str, ...]:
    """Everything wrong with this JSON as a `kind` of stripe-python's, e.g. `stripe.Refund`; empty: nothing.

    >>> import stripe
    >>> check_object(stripe.Balance, {"object": "balance", "available": [], "livemode": 0})
    ('livemode: not a bool', 'pending: missing')
    """
    return tuple(_members(kind, value, "", wire=False))


def check_params(kind: type, params: Mapping[str, object]) -> tuple[str, ...]:
    """The same of request parameters, form-decoded: numbers and booleans are text there.

    >>> from stripe.params import RefundCreateParams
    >>> check_params(RefundCreateParams, {"amount": "10.5", "idempotency_key": "k"})
    ('idempotency_key: unknown', 'amount: not an int')
    """
    return tuple(_members(kind, params, "", wire=True))


def names_of(kind: type) -> frozenset[str]:
    """The parameters a params type knows."""
    return frozenset(_fields(kind))


def members_of(kind: type) -> Mapping[str, Any]:
    """The members a class knows, with their annotations as they are written."""
    return _fields(kind)


def parts_of(annotation: Any, kind: type) -> tuple[Any, ...]:
    """The alternatives of an annotation that stands in this class."""
    return _parts(annotation, kind)


def _members(kind: type, value: object, at: str, *, wire: bool) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{at or 'the whole'}: not an object"
        return
    fields = _fields(kind)
    for name in value:
        if name not in fields:
            yield f"{at}{name}: unknown"
    for name, annotation in fields.items():
        if name in value:
            yield from _check(annotation, value[name], f"{at}{name}", kind, wire=wire)
        elif not _may_lack(annotation, kind):
            yield f"{at}{name}: missing"


@functools.cache
def _fields(kind: type) -> dict[str, Any]:
    """Name → annotation; of the class and of those it comes from, but not of the options."""
    if typing_extensions.is_typeddict(kind):
        options = importlib.import_module("stripe._request_options").RequestOptions
        inherited = set(options.__annotations__) - _own_names(kind)
        return {name: hint for name, hint in kind.__annotations__.items() if name not in inherited}
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("stripe"):
            found |= inspect.get_annotations(base)
    return {
        name: hint
        for name, hint in found.items()
        if not name.startswith("_") and name not in _SKIPPED and get_origin(hint) is not typing.ClassVar
    }


def _own_names(kind: type) -> set[str]:
    """The members that a params type writes down itself."""
    tree = _source(kind.__module__)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
            return {
                n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
            }
    return set()


@functools.cache
def _may_lack(annotation: Any, kind: type) -> bool:
    if typing_extensions.is_typeddict(kind):
        return get_origin(annotation) is typing_extensions.NotRequired
    return any(part is type(None) for part in _parts(annotation, kind))


def _check(annotation: Any, value: object, at: str, kind: type, *, wire: bool) -> Iterator[str]:
    parts = _parts(annotation, kind)
    if any(part is Any for part in parts):
        return
    if value is None:
        if not any(part is type(None) for part in parts):
            yield f"{at}: null"
        return
    words = [word for part in parts if get_origin(part) is Literal for word in get_args(part)]
    if words and isinstance(value, (str, bool)) and not any(map(_is_class, parts)):
        if value not in words and not (wire and value == ""):
            yield f"{at}: {value!r} is none of the known words"
        return
    complaints = [tuple(_as(part, value, at, kind, wire=wire)) for part in parts if part is not type(None)]
    if () in complaints:
        return
    yield from min(complaints, key=functools.partial(_remoteness, at))


def _remoteness(at: str, complaints: tuple[str, ...]) -> tuple[bool, bool, int]:
    """How far a value is from a type: not of its kind at all, or another object, or a member or two amiss."""
    whole = any(text.startswith(f"{at}: ") for text in complaints)
    other = any(text.startswith(f"{at}.object: ") for text in complaints)
    return whole, other, len(complaints)


def _as(part: Any, value: object, at: str, kind: type, *, wire: bool) -> Iterator[str]:
    """What is wrong with the value as just this type."""
    origin = get_origin(part)
    if origin is Literal:
        if value not in get_args(part):
            yield f"{at}: {value!r} is none of the known words"
    elif origin is list:
        if not isinstance(value, list):
            yield f"{at}: not a list"
            return
        for number, item in enumerate(value):
            yield from _check(get_args(part)[0], item, f"{at}.{number}", kind, wire=wire)
    elif origin is dict or _named(origin or part, "UntypedStripeObject"):
        yield from _untyped(part, value, at, kind, wire=wire)
    elif _named(origin, "ListObject"):
        yield from _members(_list_of(get_args(part)[0], kind), value, f"{at}.", wire=wire)
    elif _is_class(part):
        yield from _members(part, value, f"{at}.", wire=wire)
    elif not _plain(part, value, wire=wire):
        yield f"{at}: not {'an' if part is int else 'a'} {getattr(part, '__name__', part)}"


def _untyped(part: Any, value: object, at: str, kind: type, *, wire: bool) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{at}: not an object"
        return
    inner = get_args(part)[-1] if get_args(part) else Any
    for name, item in value.items():
        yield from _check(inner, item, f"{at}.{name}", kind, wire=wire)


def _plain(part: Any, value: object, *, wire: bool) -> bool:
    if wire and part is int:
        return isinstance(value, str) and value.removeprefix("-").isdecimal()
    if wire and part is bool:
        return value in ("true", "false")
    if part is int:
        return type(value) is int
    if part is float:
        return type(value) in (int, float)
    return isinstance(part, type) and isinstance(value, part)


def _is_class(part: Any) -> bool:
    if not isinstance(part, type) or part in (str, int, float, bool, type(None)):
        return False
    return typing_extensions.is_typeddict(part) or part.__module__.startswith("stripe")


def _named(part: Any, name: str) -> bool:
    return getattr(part, "__name__", None) == name


@functools.cache
def _list_of(item: Any, kind: type) -> type:
    """A list object whose members are checked as this type; typed in the namespace of the class it stands in."""
    base = importlib.import_module("stripe").ListObject
    hints = {
        "object": Literal["list"],
        "data": types.GenericAlias(list, (_evaluated(item, kind),)),
        "has_more": bool,
        "url": str,
    }
    return type("ListOf", (base,), {"__annotations__": hints, "__module__": base.__module__})


def list_of(kind: type) -> type:
    """The list object of this class, for `check_object`: what a list endpoint answers."""
    return _list_of(kind, kind)


@functools.cache
def _parts(annotation: Any, kind: type) -> tuple[Any, ...]:
    """The alternatives of a union, however deep."""
    annotation = _evaluated(annotation, kind)
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(part for each in get_args(annotation) for part in _parts(each, kind))
    return (annotation,)


def _evaluated(annotation: Any, kind: type) -> Any:
    """The annotation with its text read: names are looked for where the class was written."""
    if get_origin(annotation) in (typing_extensions.NotRequired, typing_extensions.Required):
        return _evaluated(get_args(annotation)[0], kind)
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        return _read(annotation, kind.__module__)
    return annotation


@functools.cache
def _read(text: str, module: str) -> Any:
    return eval(text, {}, _Names(module))  # the text is stripe-python's own source


class _Names(dict[str, Any]):
    """What the names in a module of stripe-python's mean; those for type checkers are imported when asked for."""

    def __init__(self, module: str) -> None:
        super().__init__(vars(builtins) | vars(typing) | vars(sys.modules[module]))
        self._checked = _checked_imports(module)

    def __missing__(self, name: str) -> Any:
        source = self._checked.get(name)
        if source is None:
            return Any
        return getattr(importlib.import_module(source[0]), source[1], Any)


@functools.cache
def _checked_imports(module: str) -> dict[str, tuple[str, str]]:
    """Name → (module, name there) of what is imported for type checkers only."""
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(_source(module))
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }


@functools.cache
def _source(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(sys.modules[module]))
