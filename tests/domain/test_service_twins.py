"""The two forms of the service are one: the same syntax trees but for `await`, and the same behaviour."""

from __future__ import annotations

import ast
import inspect
import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path

import attrs
import pytest

from refund_adapters.memory import Course, Fault
from refund_domain import (
    Actor,
    AsyncRefundService,
    Money,
    OutsideRef,
    RefundService,
)
from refund_domain.commands import Choice
from refund_domain.errors import JournalConflict, RefundError
from refund_domain.operations.feeds import Window
from refund_domain.operations.reconcile import Position
from refund_domain.payments import PLATFORM
from refund_domain.payouts import reading, reading_async
from refund_domain.quotes import Booking
from refund_domain.service import (
    bookings,
    bookings_async,
    guard,
    guard_async,
    loop,
    loop_async,
    operate,
    operate_async,
    refunds,
    refunds_async,
)
from tests.domain.worlds import (
    DAY,
    HOUR,
    KINDS,
    MARIA,
    MINUTE,
    SECOND,
    START,
    Crash,
    Driven,
    World,
    raising,
    refund_of,
    unavailable,
)

# --- one syntax tree ----------------------------------------------------------------------------------------

PAIRS = {
    "refunds": (refunds, refunds_async),
    "bookings": (bookings, bookings_async),
    "guard": (guard, guard_async),
    "loop": (loop, loop_async),
    "operate": (operate, operate_async),
    "reading": (reading, reading_async),
}
"""The modules that there are twice: the service, its way with bookings, what guards it, the loop they stand on,
and what operators ask of a journal."""

NAMES = {
    "AsyncRefundService": "RefundService",
    "AsyncBookings": "Bookings",
    "AsyncGuard": "Guard",
    "check_async_ports": "check_ports",
    "check_async_port": "check_port",
    "AsyncLoop": "Loop",
    "AsyncPaymentGateway": "PaymentGateway",
    "AsyncRefundJournal": "RefundJournal",
    "AsyncRefundFeed": "RefundFeed",
    "AsyncJoiningJournal": "JoiningJournal",
    "AsyncLeavingJournal": "LeavingJournal",
    "AsyncOperatedJournal": "OperatedJournal",
    "AsyncPayoutSource": "PayoutSource",
    "AsyncPayoutReading": "PayoutReading",
    "AsyncIterator": "Iterator",
    "AsyncRefundsWithin": "RefundsWithin",
    "AsyncAllow": "Allow",
    "AsyncSleep": "Sleep",
}
"""What is called differently in the async form: itself, its parts, the ports, what the host gives it."""

OPERATED = ("figures", "note_recovery")
"""What a journal offers beside the port, for those who operate it."""

ONLY_SYNC = {"import os", "def new_id", "SLEEP"}
ONLY_ASYNC = {"from refund_domain.service.refunds import new_id", "SLEEP"}
"""Statements of the module that only one has: the id source is written once, and only one can wait by itself."""


class Unawaited(ast.NodeTransformer):
    """Turns the async form into what the sync one should be."""

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        self.generic_visit(node)
        fields = {name: getattr(node, name) for name in ast.FunctionDef._fields if hasattr(node, name)}
        return ast.FunctionDef(**fields)

    def visit_Await(self, node: ast.Await) -> ast.AST:
        self.generic_visit(node)
        return node.value

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(id=NAMES.get(node.id, node.id), ctx=node.ctx)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        node.name = NAMES.get(node.name, node.name)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        self.generic_visit(node)
        node.module = (node.module or "").removesuffix("_async")
        return node

    def visit_alias(self, node: ast.alias) -> ast.AST:
        return ast.alias(name=NAMES.get(node.name, node.name), asname=node.asname)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        inner = node.value
        return node.slice if isinstance(inner, ast.Name) and inner.id == "Awaitable" else node


def heading(statement: ast.stmt) -> str:
    """How a statement of a module is called in the two lists above."""
    match statement:
        case ast.FunctionDef():
            return f"def {statement.name}"
        case ast.Import() | ast.ImportFrom():
            return ast.unparse(statement)
        case ast.AnnAssign():
            return ast.unparse(statement.target)
        case _:
            return ""


def sorted_import(statement: ast.stmt) -> ast.stmt:
    """An import with its names in order and without Awaitable, which only the async form needs."""
    if isinstance(statement, ast.ImportFrom):
        statement.names = sorted(
            (name for name in statement.names if name.name != "Awaitable"), key=lambda name: name.name
        )
    return statement


def trees(sync_source: str, async_source: str) -> tuple[list[str], list[str]]:
    """Both modules as dumps of their statements, without what may differ."""
    dumps = []
    for source, only in ((sync_source, ONLY_SYNC), (async_source, ONLY_ASYNC)):
        module = Unawaited().visit(ast.parse(source)) if only is ONLY_ASYNC else ast.parse(source)
        kept = [statement for statement in module.body[1:] if heading(statement) not in only]
        for statement in kept:
            sorted_import(statement)
            if isinstance(statement, ast.ClassDef):
                del statement.body[0]  # the class's own docstring has an example in its own form
        dumps.append([ast.dump(statement, indent=1) for statement in kept])
    return dumps[0], dumps[1]


def source_of(module: object) -> str:
    """The text of one of the two modules."""
    path = inspect.getsourcefile(module)  # type: ignore[arg-type]
    assert path is not None
    return Path(path).read_text(encoding="utf-8")


@pytest.mark.parametrize("pair", PAIRS)
def test_async_form_is_the_sync_form_with_await(pair: str) -> None:
    """Without `await`, and with the sync names, the async module is the sync one, statement for statement."""
    sync_tree, async_tree = trees(*map(source_of, PAIRS[pair]))
    assert async_tree == sync_tree


@pytest.mark.parametrize(
    ("pair", "old", "new"),
    [
        ("loop", "if claim is None:", "if claim is not None:"),
        ("loop", "for _ in range(MOST_CONFLICTS):", "for _ in range(3):"),
        ("loop", "        expired = NotSent(", "        at = stream.now\n        expired = NotSent("),
        ("loop", "            return in_doubt(stream, given)", "            raise"),
        (
            "refunds",
            '"""The payment and its refunds as the journal has them; no network."""',
            '"""Another text."""',
        ),
    ],
)
def test_twins_that_differ_are_told_apart(pair: str, old: str, new: str) -> None:
    """A changed line, constant or docstring in one form only is seen by the comparison."""
    sync_source, changed = map(source_of, PAIRS[pair])
    assert changed.count(old) >= 1
    sync_tree, async_tree = trees(sync_source, changed.replace(old, new))
    assert async_tree != sync_tree


def test_every_await_is_of_a_port_or_of_allow_in_the_end() -> None:
    """The async form awaits its own methods, the ports and `allow`, each call of them, and nothing else."""
    nodes = [node for _, module in PAIRS.values() for node in ast.walk(ast.parse(source_of(module)))]
    methods = [node for node in nodes if isinstance(node, ast.AsyncFunctionDef)]
    streams = {node.name for node in methods if any(isinstance(each, ast.Yield) for each in ast.walk(node))}
    coroutines = {node.name for node in methods} - streams  # a stream is gone through, not awaited
    ports = {"load", "append", "due", "waiting", "look", "send", "page", "payout", "entries", "holding", "funds"}
    awaited = {id(node.value) for node in nodes if isinstance(node, ast.Await)}
    for node in nodes:
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = ast.unparse(node.func.value)
        owners = ("self._journal", "self._gateway", "feed", "source", "self._source", "self._payouts")
        of_port = owner in owners and node.func.attr in ports
        of_port |= owner == "cast(AsyncJoiningJournal, self._journal)" and node.func.attr == "within"
        of_port |= owner == "cast(AsyncLeavingJournal, joined)" and node.func.attr == "leave"
        of_port |= owner in ("journal", "operated(journal)") and node.func.attr in {"load", *OPERATED}
        of_self = owner == "self" and node.func.attr in (coroutines | {"_allow", "_sleep"})
        assert (id(node) in awaited) is (of_port or of_self), ast.unparse(node)


def face(form: type) -> dict[str, Callable[..., object]]:
    """What a host may call of it, by name."""
    return {name: method for name, method in inspect.getmembers(form, inspect.isfunction) if name[0] != "_"}


def test_faces_of_both_forms_are_the_same() -> None:
    """Both forms have the same public methods with the same arguments, results and words."""
    for name, method in face(RefundService).items():
        twin = getattr(AsyncRefundService, name)
        assert inspect.iscoroutinefunction(twin), name
        assert str(inspect.signature(twin)).replace("Async", "") == str(inspect.signature(method)), name
        assert inspect.getdoc(twin) == inspect.getdoc(method), name
    assert set(face(RefundService)) == set(face(AsyncRefundService)) == set(face(Driven))


# --- one behaviour ------------------------------------------------------------------------------------------

USD_20 = Money.parse("20.00", "USD")
EVE = Actor(id="eve", tenant="other")
Told = list[object]


def happy(world: World) -> Told:
    """Quote, issue, show."""
    ref = world.pay()
    quote = world.refunds.quote(ref, by=MARIA)
    return [quote, world.refunds.issue(quote.verified(by=MARIA)), world.refunds.show(ref, by=MARIA)]


def refused(world: World) -> Told:
    """Nobody may; another tenant; stale; changed; unknown."""
    ref = world.pay()
    command = world.decision(ref)
    told: Told = [world.refunds.quote(ref, by=EVE), world.refunds.issue(attrs.evolve(command, by=EVE))]
    world.bank.elsewhere(ref, USD_20)
    told += [world.refunds.issue(command), world.refunds.issue(command)]
    world.clock.advance(HOUR)
    told.append(world.refunds.request(attrs.evolve(command, request_id="r2")))
    world.allow = lambda actor, action, asked: False
    told += [world.refunds.quote(ref, by=MARIA), world.refunds.issue(command), world.refunds.show(ref, by=MARIA)]
    return told


def doubted(world: World) -> Told:
    """A lost answer, its repeat, its recovery."""
    world.gateway.script(Fault.ANSWER_LOST)
    ref = world.pay()
    command = world.decision(ref)
    told: Told = [world.refunds.issue(command), world.refunds.issue(command)]
    world.clock.advance(3 * MINUTE)
    return [*told, world.refunds.recover(), world.refunds.issue(command), world.refunds.recover()]


def declined_by_a_broken_server(world: World) -> Told:
    """A server error that made nothing, to the person who ends it."""
    world.gateway.script(Fault.BREAKS_MADE_NOTHING)
    ref = world.pay()
    refund = refund_of(world.refunds.issue(world.decision(ref)))
    world.settle_down(until=30 * HOUR)
    told: Told = [world.refunds.attention(by=MARIA)]
    told.append(world.refunds.settle(ref, subject="x", code="y", choice=Choice.NOTED, by=MARIA))
    told.append(world.refunds.settle(ref, subject=refund.id, code="not_shown", choice=Choice.NOT_MADE, by=MARIA))
    return [*told, world.refunds.attention(by=MARIA), world.refunds.issue(world.decision(ref))]


def outside(world: World) -> Told:
    """Cash, recorded twice, once too much."""
    cash = OutsideRef(id="cash-7", method="cash", amount=Money.parse("40", "USD"))
    told: Told = [world.refunds.quote(cash, by=MARIA), world.refunds.show(cash, by=MARIA)]
    for record_id in ("o1", "o1", "o2", None):
        told.append(world.refunds.record_outside(cash, USD_20, by=MARIA, how="cash", record_id=record_id))
    return [*told, world.refunds.show(cash, by=MARIA), world.refunds.show(cash, by=EVE)]


def booked(world: World) -> Told:
    """A booking of three payments, one of which breaks at first."""
    refs = (world.pay(), world.pay("50.00"), OutsideRef(id="c", method="cash", amount=USD_20))
    quote = world.refunds.quote_booking(Booking(label="1042", payments=refs), by=MARIA)
    command = quote.verified(by=MARIA)
    world.wire.clear()
    world.wire.before[1] = unavailable()
    told: Told = [quote, world.refunds.issue_booking(command), world.refunds.issue_booking(command)]
    more = [world.refunds.quote_booking(Booking(label="7", payments=(world.pay(), refs[0])), by=MARIA)]
    more += world.refunds.quote_bookings([Booking(label="8", payments=(world.pay(), refs[2]))], by=MARIA)
    commands = [command, *(each.verified(by=MARIA) for each in more)]
    return [*told, more, world.refunds.issue_bookings(commands, most_per_second=2, on_progress=told.append)]


def late(world: World) -> Told:
    """A success that fails after days, seen by recovery."""
    ref = world.bank.charge(Money.parse("200", "USD"), course=Course.succeeds_then_fails())
    command = world.decision(ref)
    told: Told = [world.refunds.issue(command)]
    for _ in range(20):
        world.clock.advance(DAY)
        told.append(world.refunds.recover())
    return [*told, world.refunds.issue(command), world.refunds.attention(by=MARIA)]


def slow(world: World) -> Told:
    """A worker held up beyond its licence, then a dispatch."""
    ref = world.pay()
    command = world.decision(ref)
    world.wire.clear()
    world.wire.before[3] = lambda: world.clock.advance(61 * SECOND)
    told: Told = [world.refunds.issue(command)]
    world.clock.advance(3 * MINUTE)
    return [*told, world.refunds.dispatch(ref), world.refunds.dispatch(ref)]


def beaten(world: World) -> Told:
    """Appends that are beaten three times and then succeed, and one that never does."""
    ref = world.pay()
    command = world.decision(ref)
    world.wire.clear()
    for number in (2, 4, 6):
        world.wire.before[number] = raising(JournalConflict("x"))
    told: Told = [world.refunds.issue(command)]
    world.wire.each["append"] = raising(JournalConflict("x"))
    try:
        world.refunds.quote(world.pay(), by=MARIA)
    except RefundError as error:
        told.append(repr(error))
    return told


def reconciled(world: World) -> Told:
    """An account in parts, with a page lost and a payment that cannot be read; then one payment."""
    known, unread, unowned = world.pay(), world.pay(), world.pay()
    for ref in (known, unread):
        world.refunds.quote(ref, by=MARIA)
    for ref in (known, unread, unowned):
        world.bank.elsewhere(ref, USD_20)
        world.bank.dispute(ref)
    world.gateway.script(Fault.LOOK_WORKS, Fault.LOOK_RAISES, Fault.PAGE_WORKS, Fault.PAGE_RAISES)
    window = Window(start=START - DAY, end=START + DAY)
    told: Told = []
    place: Position | None = None
    for _ in range(5):
        run = world.refunds.reconcile_account(PLATFORM, window, feed=world.feed, limit=2, after=place)
        place = run.position
        told.append(run)
    return [*told, world.refunds.reconcile(known), world.refunds.reconcile(unowned)]


SCENES: tuple[Callable[[World], Told], ...] = (
    happy,
    refused,
    doubted,
    declined_by_a_broken_server,
    outside,
    booked,
    late,
    slow,
    beaten,
    reconciled,
)


def trace(world: World, told: Told) -> tuple[object, ...]:
    """All there is to compare: what was told, what was called, what was asked, what was sent, what was written."""
    streams = [world.events(ref) for ref in sorted(set(world.gateway.looked), key=str)]
    return told, world.wire.calls, world.wire.asked, world.gateway.sent, world.bank.received, streams


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_both_forms_behave_alike(scene: Callable[[World], Told]) -> None:
    """Both forms tell the same, make the same calls in the same order, and send the same, in every scene."""
    worlds = [World(kind) for kind in KINDS]
    sync_trace, async_trace = (trace(world, scene(world)) for world in worlds)
    assert async_trace == sync_trace
    assert sync_trace[0]


@pytest.mark.parametrize("fault", [Fault.WORKS, Fault.ANSWER_LOST, Fault.REQUEST_LOST, Fault.BREAKS_MADE_IT])
def test_both_forms_die_alike(fault: Fault) -> None:
    """Both forms write the same events whichever call the process dies at, and however it is found again."""

    def issue(world: World) -> None:
        world.refunds.issue(world.decision(ref))

    for when, number in itertools.product(("before", "after"), range(11)):
        journals = []
        for kind in KINDS:
            world = World(kind, cap=False)
            ref = world.pay()
            world.gateway.script(fault)
            getattr(world.wire, when)[number] = raising(Crash())
            with pytest.raises(Crash):
                partial(issue, world)()
            world.wire.clear()
            world.settle_down(until=5 * HOUR)
            journals.append(world.events(ref))
        assert journals[0] == journals[1]
