"""Checks of what a service is made with: its ports, and the functions of the host's.

What is wrong is refused when the service is made. The first call would notice too, but there what a port raises is
an answer of the gateway's, and what `allow` raises is a no.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable, iscoroutine, iscoroutinefunction, isfunction, signature
from typing import Any, Final, TypeVar, cast

_CO_COROUTINE: Final = 0x80
_Function = TypeVar("_Function", bound=Callable[..., Any])

_METHODS: Final = {
    "gateway": ("look", "send"),
    "journal": ("load", "append", "due"),
    "payouts": ("funds",),
    "source": ("payout", "entries", "holding"),
}
_WANTED: Final = {
    "gateway": "a PaymentGateway, e.g. a StripeGateway",
    "journal": "a RefundJournal, e.g. SqliteJournal('refunds.db')",
    "payouts": "a PayoutSource, e.g. StripePayouts(key) or MemoryPayouts(bank)",
    "source": "a PayoutSource, e.g. StripePayouts(key) or MemoryPayouts(bank)",
}
_WANTED_AWAITED: Final = {
    "gateway": "an AsyncPaymentGateway, e.g. an AsyncStripeGateway",
    "journal": "an AsyncRefundJournal, e.g. await AsyncPostgresJournal.open(conninfo)",
    "payouts": "an AsyncPayoutSource, e.g. AsyncStripePayouts(key)",
    "source": "an AsyncPayoutSource, e.g. AsyncStripePayouts(key)",
}
_AWAITING: Final = dict.fromkeys(("gateway", "journal", "payouts"), "AsyncRefundService") | {
    "source": "AsyncPayoutReading"
}
_GIVES: Final = {
    "look": "Look",
    "send": "Answer",
    "load": "Loaded",
    "append": "datetime",
    "due": "tuple[PaymentRef, ...]",
    "funds": "Funds | Unread",
    "payout": "Payout | Missing | Unread",
    "entries": "EntryPage | Unread",
    "holding": "Payout | Missing | Unread | None",
}
"""What the plain form of a port's method says that it gives."""


class WrongForm(TypeError):
    """A function of the host's gave what is to be awaited and is not, or the other way round: no answer."""


def is_awaited(function: object) -> bool:
    """Whether this is an `async def`: itself, within `functools.partial`, or as what calls an object.

    >>> is_awaited(print)
    False
    """
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if getattr(code, "co_flags", 0) & _CO_COROUTINE:
        return True
    called = getattr(type(function), "__call__", None)  # noqa: B004  # what kind of call, not whether there is one
    return iscoroutinefunction(function) or iscoroutinefunction(called)


def _is_plain(function: object, gives: str) -> bool:
    """Whether this certainly answers at once: a `def` that is wrapped in nothing and says that it gives just this.

    Any other `def` may give an awaitable, and a wrapper anything.
    """
    own = getattr(function, "__func__", function)
    if is_awaited(own) or not isfunction(own) or hasattr(own, "__wrapped__"):
        return False
    try:
        said = own.__annotations__.get("return")
    except Exception:  # it names what can be imported by a type checker only
        return False
    return gives in (said, getattr(said, "__name__", None))


def _check_methods(name: str, given: object, wanted: str) -> None:
    if iscoroutine(given):
        given.close()
        raise TypeError(f"{name} must be {wanted}, not a coroutine: await what gives it")
    if not all(callable(getattr(given, method, None)) for method in _METHODS[name]):
        raise TypeError(f"{name} must be {wanted}, not {type(given).__name__}")


def _check_allow(allow: object) -> None:
    if not callable(allow):
        raise TypeError("allow must be callable")
    try:
        taken = signature(allow)
    except Exception:  # some tell nothing of themselves; their first call tells
        return
    try:
        taken.bind("actor", "action", "ref")
    except TypeError:
        raise TypeError("allow must take three arguments: allow(actor, action, ref)") from None


def check_port(name: str, given: object) -> None:
    """Refuse what cannot be this port, and its asynchronous form."""
    _check_methods(name, given, _WANTED[name])
    if any(is_awaited(getattr(given, method)) for method in _METHODS[name]):
        raise TypeError(f"{name} is asynchronous: use {_AWAITING[name]}, or the plain form of it")


def check_async_port(name: str, given: object) -> None:
    """Refuse what cannot be this port in its asynchronous form, and what certainly is its plain form."""
    _check_methods(name, given, _WANTED_AWAITED[name])
    for method in _METHODS[name]:
        if _is_plain(getattr(given, method), _GIVES[method]):
            instead = f"use {_AWAITING[name].removeprefix('Async')}"
            raise TypeError(f"{name} must be {_WANTED_AWAITED[name]}: this one answers at once; or {instead}")


def _check_each(check: Callable[[str, object], None], gateway: object, journal: object, payouts: object) -> None:
    check("gateway", gateway)
    check("journal", journal)
    if payouts is not None:
        check("payouts", payouts)


_PLAIN_ALLOW: Final = "allow must be a plain function: one that is awaited belongs to AsyncRefundService"
_AWAITED_ALLOW: Final = "allow must be `async def` here: one that answers at once belongs to RefundService"


def check_ports(gateway: object, journal: object, allow: _Function, payouts: object) -> _Function:
    """Refuse what a service cannot be made with, the asynchronous form included; gives `allow` as it is called.

    One of which nobody can tell yet is told by its first call, before anything is read: it is no answer then.
    """
    _check_each(check_port, gateway, journal, payouts)
    _check_allow(allow)
    if is_awaited(allow):
        raise TypeError(_PLAIN_ALLOW)
    if _is_plain(allow, "bool"):
        return allow

    # It says that it gives a bool, so the services that `within` makes of this one take it as it is.
    def asked(*given: object) -> bool:
        said = allow(*given)
        if isawaitable(said):
            if iscoroutine(said):
                said.close()  # or Python warns that nobody awaited it
            raise WrongForm(_PLAIN_ALLOW)
        return cast(bool, said)

    return cast("_Function", asked)


def check_async_ports(gateway: object, journal: object, allow: _Function, payouts: object) -> _Function:
    """The same for the asynchronous service and what it awaits."""
    _check_each(check_async_port, gateway, journal, payouts)
    _check_allow(allow)
    if is_awaited(allow):
        return allow
    if _is_plain(allow, "bool"):
        raise TypeError(_AWAITED_ALLOW)

    async def asked(*given: object) -> object:
        said = allow(*given)
        if not isawaitable(said):
            raise WrongForm(_AWAITED_ALLOW)  # perhaps a yes, but not from what was meant to say it
        return await said

    return cast("_Function", asked)


def check_observer(observe: object) -> None:
    """Refuse what cannot be told of anything: what is not called, and an `async def`, which nobody would await."""
    if not callable(observe):
        raise TypeError("observe must be callable")
    if is_awaited(observe):
        raise TypeError("observe must be a plain function, in both services: nobody awaits what it gives")


def check_functions(**functions: object) -> None:
    """Refuse what is neither None nor callable."""
    for name, function in functions.items():
        if function is not None and not callable(function):
            raise TypeError(f"{name} must be a function, not {type(function).__name__}")
