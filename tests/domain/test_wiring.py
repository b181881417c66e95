"""What a service is made with: a wrong port, `allow` or observer is told when it is made, and costs no refund."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import AsyncMock

import pytest

from refund_adapters.memory import (
    AsyncMemoryGateway,
    AsyncMemoryJournal,
    MemoryBank,
    MemoryGateway,
    MemoryJournal,
    MemoryPayouts,
)
from refund_adapters.observing import Background, LogObserver
from refund_adapters.sql import PostgresJournal, SqliteJournal
from refund_adapters.stripe import StripeGateway
from refund_adapters.stripe.payouts import StripePayouts
from refund_domain import Actor, AsyncRefundService, Money, PaymentRef, RefundService
from refund_domain.answers import Answer, Ask, Look
from refund_domain.commands import Action
from refund_domain.payments import Ref
from refund_domain.payouts.reading import PayoutReading, where_is
from refund_domain.payouts.reading_async import AsyncPayoutReading
from refund_domain.payouts.reading_async import where_is as where_is_async
from tests.domain.worlds import MARIA, AwaitedFunds, GivenFunds, driven


def yes(actor: Actor, action: Action, ref: Ref | None) -> bool:
    """Anybody may do anything."""
    return True


async def yes_awaited(actor: Actor, action: Action, ref: Ref | None) -> bool:
    """The same, awaited."""
    return True


def awaited_service(gateway: Any = None, journal: Any = None, *, allow: Any = yes_awaited, **given: Any) -> Any:
    """An asynchronous service with these parts, and right ones for the rest."""
    return AsyncRefundService(
        AsyncMemoryGateway(MemoryBank()) if gateway is None else gateway,
        AsyncMemoryJournal() if journal is None else journal,
        allow=allow,
        **given,
    )


def plain_service(*, allow: Any = yes, **given: Any) -> Any:
    """A plain service with these parts, and right ones for the rest."""
    return RefundService(MemoryGateway(MemoryBank()), MemoryJournal(), allow=allow, **given)


# --- ports ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [SqliteJournal, PostgresJournal, MemoryJournal])
def test_a_plain_journal_is_refused_by_the_asynchronous_service(form: type) -> None:
    """Each journal that answers at once is told so when the service is made, with what to give instead."""
    says = r"journal must be an AsyncRefundJournal, .*open\(.*answers at once; or use RefundService"
    with pytest.raises(TypeError, match=says):
        awaited_service(journal=object.__new__(form))


@pytest.mark.parametrize("form", [StripeGateway, MemoryGateway])
def test_a_plain_gateway_is_refused_by_the_asynchronous_service(form: type) -> None:
    """Each gateway that answers at once is told so: its first look would be an unreadable gateway."""
    says = "gateway must be an AsyncPaymentGateway, .* answers at once; or use RefundService"
    with pytest.raises(TypeError, match=says):
        awaited_service(object.__new__(form))


def test_a_gateway_that_answers_one_call_at_once_is_refused_by_the_asynchronous_service() -> None:
    """Of a gateway that looks awaited but sends at once, each answer would be lost after the money has moved."""

    class Halved(AsyncMemoryGateway):
        def send(self, ask: Ask, /) -> Answer:  # type: ignore[override]
            raise AssertionError("it is never asked")

    with pytest.raises(TypeError, match=r"gateway must be an AsyncPaymentGateway, .* answers at once"):
        awaited_service(Halved(MemoryBank()))


def test_an_open_that_was_not_awaited_is_told() -> None:
    """A coroutine in a port's place: whoever forgot `await` reads that, and Python warns of nothing."""

    async def opened() -> AsyncMemoryJournal:
        return AsyncMemoryJournal()

    with pytest.raises(TypeError, match=r"journal must be .*, not a coroutine: await what gives it"):
        awaited_service(journal=opened())


class _Forwarding:
    """A host's gateway whose methods are no `async def` and give what is awaited all the same."""

    def __init__(self, inner: AsyncMemoryGateway) -> None:
        self._inner = inner

    live = False

    def look(self, ref: PaymentRef, /) -> Awaitable[Look]:
        return self._inner.look(ref)

    def send(self, ask: Ask, /) -> Awaitable[Answer]:
        return self._inner.send(ask)


def in_thread(method: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator as hosts have them: a plain method, awaited; it keeps the words of what it wraps."""

    @functools.wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        async def later() -> Any:
            return method(*args, **kwargs)

        return later()

    return wrapped


class _Threaded(MemoryJournal):
    load = in_thread(MemoryJournal.load)
    append = in_thread(MemoryJournal.append)
    due = in_thread(MemoryJournal.due)


def test_ports_that_may_be_awaited_are_taken() -> None:
    """A method that gives an awaitable without `async def`, a wrapped one and a mock are no reason to refuse."""
    bank = MemoryBank()
    ref = bank.charge(Money.parse("20.00", "USD"))
    service = awaited_service(_Forwarding(AsyncMemoryGateway(bank)), _Threaded())
    assert not driven(service.quote(ref, by=MARIA)).refusals
    awaited_service(AsyncMock(live=False), AsyncMock(durable=True))


# --- allow ----------------------------------------------------------------------------------------------------


def test_an_allow_that_answers_at_once_is_refused_by_the_asynchronous_service() -> None:
    """A plain `allow` that says it gives a bool is told at once that it must be `async def` here."""
    with pytest.raises(TypeError, match="allow must be `async def` here"):
        awaited_service(allow=yes)


def test_an_allow_of_which_nobody_could_tell_is_told_by_its_first_call_and_is_no_yes() -> None:
    """A lambda that gives True raises a TypeError before anything is read, looked at or written."""
    bank, journal = MemoryBank(), MemoryJournal()
    gateway, ref = AsyncMemoryGateway(bank), bank.charge(Money.parse("20.00", "USD"))
    service = awaited_service(gateway, AsyncMemoryJournal(journal), allow=lambda actor, action, ref: True)
    with pytest.raises(TypeError, match="allow must be `async def` here"):
        driven(service.quote(ref, by=MARIA))
    assert (gateway.looked, journal.load(ref).version) == ((), 0)


@pytest.mark.parametrize(
    "allow",
    [
        functools.partial(yes_awaited),
        lambda actor, action, ref: yes_awaited(ref=ref, action=action, actor=actor),
        lambda *given: yes_awaited(given[0], *given[1:]),
        AsyncMock(return_value=True),
    ],
)
def test_an_allow_that_gives_an_awaitable_is_asked(allow: object) -> None:
    """A partial, a lambda or a mock whose answer can be awaited is an `allow` as any other."""
    bank = MemoryBank()
    ref = bank.charge(Money.parse("20.00", "USD"))
    assert not driven(awaited_service(AsyncMemoryGateway(bank), allow=allow).quote(ref, by=MARIA)).refusals


class _Asked:
    async def __call__(self, actor: Actor, action: Action, ref: Ref | None) -> bool:
        return True


@pytest.mark.parametrize("allow", [functools.partial(yes_awaited), _Asked()])
def test_an_awaited_allow_is_refused_by_the_plain_service_however_it_is_wrapped(allow: object) -> None:
    """A partial of an `async def`, or an object called as one, would be a no to everybody."""
    with pytest.raises(TypeError, match="allow must be a plain function"):
        plain_service(allow=allow)


async def pending() -> bool:
    """A yes that has to be awaited."""
    return True


class _Later:
    def __await__(self) -> Any:
        return pending().__await__()


@pytest.mark.parametrize("allow", [lambda actor, action, ref: pending(), lambda actor, action, ref: _Later()])
def test_an_allow_whose_answer_must_be_awaited_is_told_by_its_first_call(allow: object) -> None:
    """In the plain service it would be a no to everybody: it is a TypeError, and Python warns of nothing."""
    with pytest.raises(TypeError, match="allow must be a plain function"):
        plain_service(allow=allow).quote(PaymentRef("platform", "ch_1"), by=MARIA)


def test_an_allow_whose_words_cannot_be_read_is_taken() -> None:
    """What it says that it gives may be a name that only a type checker has: then its first call tells."""

    def allow(actor: Actor, action: Action, ref: Ref | None) -> bool:
        return True

    allow.__annotations__ = _Unreadable()
    bank = MemoryBank()
    service = RefundService(MemoryGateway(bank), MemoryJournal(), allow=allow)
    assert not service.quote(bank.charge(Money.parse("20.00", "USD")), by=MARIA).refusals


class _Unreadable(dict[str, object]):
    def get(self, *given: object) -> object:
        raise NameError("it is imported for type checkers only")


@pytest.mark.parametrize("make", [plain_service, awaited_service])
@pytest.mark.parametrize("allow", [lambda actor, action: True, lambda: True, lambda a, b, c, d: True])
def test_an_allow_of_other_arguments_is_refused(make: Callable[..., object], allow: object) -> None:
    """What cannot be called with actor, action and ref would be a no to everybody; it is told at once."""
    with pytest.raises(TypeError, match=r"allow must take three arguments: allow\(actor, action, ref\)"):
        make(allow=allow)


def test_an_allow_that_tells_nothing_of_itself_is_taken() -> None:
    """A callable without a signature is left to its first call."""
    plain_service(allow=type)


# --- observers ------------------------------------------------------------------------------------------------


async def deaf(told: object) -> None:
    """An observer that nobody awaits."""


@pytest.mark.parametrize("make", [plain_service, awaited_service])
def test_an_asynchronous_observer_is_refused_by_both_services(make: Callable[..., object]) -> None:
    """Nobody would await it, so it would hear of nothing; both services say so."""
    with pytest.raises(TypeError, match="observe must be a plain function, in both services"):
        make(observe=deaf)


def test_an_asynchronous_observer_is_refused_behind_a_thread() -> None:
    """`Background` awaits nothing either."""
    with pytest.raises(TypeError, match="observe must be a plain function"):
        Background(deaf)


def test_an_observer_that_logs_takes_a_logger_and_no_name() -> None:
    """A name in a logger's place would swallow every line; what logs as a logger does is taken."""
    with pytest.raises(TypeError, match=r"logger must be a logging.Logger, e.g. logging.getLogger\('refunds'\)"):
        LogObserver("refunds")  # type: ignore[arg-type]
    LogObserver(logging.LoggerAdapter(logging.getLogger("of.the.host"), {}))  # type: ignore[arg-type]


# --- payouts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given", [MemoryBank(), MemoryBank().payouts, MemoryGateway(MemoryBank())], ids=["bank", "payouts", "gateway"]
)
def test_what_is_no_source_of_payouts_is_refused(given: Any) -> None:
    """A bank, its payouts or a gateway in a source's place: service, reading and search name what to give."""
    says = r"must be a PayoutSource, e.g. StripePayouts\(key\) or MemoryPayouts\(bank\), not"
    with pytest.raises(TypeError, match=f"payouts {says}"):
        plain_service(payouts=given)
    with pytest.raises(TypeError, match=f"source {says}"):
        PayoutReading(given, "platform", "po_1")
    with pytest.raises(TypeError, match=f"source {says}"):
        where_is(given, "platform", "re_1")


@pytest.mark.parametrize("form", [MemoryPayouts, StripePayouts])
def test_a_source_of_payouts_in_the_other_form_is_refused(form: type) -> None:
    """A source that answers at once belongs to the plain service and reading, an awaited one to the others."""
    plain: Any = object.__new__(form)
    with pytest.raises(TypeError, match=r"payouts must be an AsyncPayoutSource.*; or use RefundService"):
        awaited_service(payouts=plain)
    with pytest.raises(TypeError, match=r"source must be an AsyncPayoutSource.*; or use PayoutReading"):
        AsyncPayoutReading(plain, "platform", "po_1")
    with pytest.raises(TypeError, match=r"source must be an AsyncPayoutSource.*; or use PayoutReading"):
        driven(where_is_async(plain, "platform", "re_1"))
    awaited: Any = AwaitedFunds(GivenFunds())
    with pytest.raises(TypeError, match="payouts is asynchronous: use AsyncRefundService"):
        plain_service(payouts=awaited)
    with pytest.raises(TypeError, match="source is asynchronous: use AsyncPayoutReading"):
        PayoutReading(awaited, "platform", "po_1")


@pytest.mark.parametrize("name", ["label", "fee_of", "on_progress"])
def test_what_a_reading_calls_must_be_callable(name: str) -> None:
    """A table of labels in a function's place is told when the reading is made, not as a broken payout."""
    given: Any = {name: {"ch_1": "Booking 1042"}}
    with pytest.raises(TypeError, match=f"{name} must be a function, not dict"):
        PayoutReading(MemoryPayouts(MemoryBank()), "platform", "po_1", **given)
    with pytest.raises(TypeError, match=f"{name} must be a function, not dict"):
        AsyncPayoutReading(AwaitedFunds(GivenFunds()), "platform", "po_1", **given)


# --- a journal that forgets -----------------------------------------------------------------------------------


def test_a_live_gateway_names_the_journals_it_takes() -> None:
    """Whoever gives a live gateway a journal in memory reads which journals keep what they are told."""
    gateway = MemoryGateway(MemoryBank(), live=True)
    with pytest.raises(ValueError, match=r"e.g. SqliteJournal or PostgresJournal"):
        RefundService(gateway, MemoryJournal(), allow=yes)
