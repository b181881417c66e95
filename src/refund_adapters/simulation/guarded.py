"""Pauses, second persons and limits in the simulated world: what is tried, and what must hold, by true time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from random import Random
from typing import TYPE_CHECKING, Final

import attrs

from refund_adapters.simulation.books import Book
from refund_adapters.simulation.scenario import USD, Scenario
from refund_domain.answers import Send
from refund_domain.commands import Actor, ApproveRefund
from refund_domain.events import Event, Paused, RefundApproved, RefundRequested, Resumed
from refund_domain.money import Money
from refund_domain.payments import ControlRef, PaymentRef
from refund_domain.policy import Policy
from refund_domain.service.controls import account_switch, tenant_switch

if TYPE_CHECKING:
    from refund_adapters.simulation.workers import Flight, Op
    from refund_adapters.simulation.world import World

KINDS: Final = ("approve", "pause", "resume")
"""The operations that only a guarded world has."""

_SECONDS: Final = (None, None, 0, 12_345)
_LIMITS: Final = (None, None, None, 20_000, 32_345, 60_000, 60_000)


def draw_guards(scenario: Scenario, rng: Random) -> Scenario:
    """From which amount on a second person is needed, what may be asked for in a day, how often people meddle."""
    rates = attrs.evolve(scenario.rates, guard=rng.choice((0.003, 0.01, 0.04)))
    return attrs.evolve(
        scenario,
        rates=rates,
        second_from_minor=rng.choice(_SECONDS),
        most_per_actor_minor=rng.choice(_LIMITS),
        most_minor=rng.choice(_LIMITS),
    )


def guarded_policy(policy: Policy, scenario: Scenario) -> Policy:
    """The policy with what this scenario wants of second persons and limits."""
    second = scenario.second_from_minor
    each, all_of_them = scenario.most_per_actor_minor, scenario.most_minor
    return attrs.evolve(
        policy,
        second_person_from=None if second is None else (Money(second, USD),),
        most_per_actor_a_day=() if each is None else (Money(each, USD),),
        most_a_day=() if all_of_them is None else (Money(all_of_them, USD),),
    )


def draw_guard(world: World, rng: Random) -> tuple[str, int, int, int] | None:
    """What somebody does next, about which payment, with which number, and who; None: nothing of the kind."""
    arg, roll = rng.randrange(1 << 16), rng.random()
    if world.checker.guards.standing:
        if roll < 0.4:
            return "resume", arg % len(world.payments), arg, rng.choice((0, 2))
    elif roll < world.scenario.rates.guard:
        return "pause", arg % len(world.payments), arg, rng.choice((0, 2))
    for pay, ref in enumerate(world.payments):
        ledger = world.checker.book(ref).ledger
        if any(record.awaits_second and record.ended is None for record in ledger.refunds) and roll > 0.2:
            return "approve", pay, arg, rng.choice((2, 2, 2, 0, 0, 1))
    return None


def begin(world: World, op: Op, ref: PaymentRef, arg: int, by: Actor) -> Flight | None:
    """The coroutine of this operation; None where nothing waits for approval."""
    service, account = op.worker.service, ref.account if arg % 2 else None
    if op.kind == "pause":
        return service.pause(by=by, why="simulated", account=account)
    if op.kind == "resume":
        return service.resume(by=by, account=account)
    asked = [record.request for record in world.checker.book(ref).ledger.refunds if record.request is not None]
    if not asked:
        return None
    request = asked[-1]
    amount = request.amount + Money(1, USD) if arg % 8 == 0 else request.amount
    world.checker.guards.decided.add((request.refund_id, by.id, amount.amount_minor))
    command = ApproveRefund(payment=ref, refund_id=request.refund_id, amount=amount, by=by)
    return service.approve(command)


class Guards:
    """What the invariants know of pauses, approvals and days.

    `standing` are the switches that are off, with the moment of true time they were appended at; `decided` what a
    second person has said to which refund and amount.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.standing: dict[ControlRef, int] = {}
        self.decided: set[tuple[str, str, int]] = set()
        self._approved: dict[str, set[str]] = {}
        self._days: dict[tuple[str, str], int] = {}

    def appended(self, ref: ControlRef, events: Sequence[Event]) -> None:
        """These events have been committed to a control's stream."""
        for event in events:
            if isinstance(event, Paused):
                self.standing[ref] = self._world.us
            elif isinstance(event, Resumed):
                self.standing.pop(ref, None)
            self._world.count(f"control {type(event).__name__}")

    def sends(self, op: Op, send: Send, tenant: str | None) -> None:
        """A send leaves: no pause that is older than a licence stands."""
        for ref in (account_switch(send.payment.account), tenant_switch(tenant or "nobody")):
            since_us = self.standing.get(ref)
            if since_us is not None and self._world.us - since_us > self._world.licence_us:
                age_s = (self._world.us - since_us) / 1e6
                self._world.checker.broken(
                    "paused", f"op {op.id} sends {send.refund_id} {age_s:.0f} s into a pause"
                )

    def claimed(self, book: Book, send: Send) -> None:
        """A send is claimed: what needed a second person has the word of one, and not of who asked."""
        request = book.requests.get(send.refund_id)
        if request is None or not request.needs_second:
            return
        if not self._approved.get(send.refund_id, set()) - {request.by.id}:
            self._world.checker.broken(
                "unapproved", f"{send.refund_id} is claimed, but nobody else has approved it"
            )

    def approved(self, event: RefundApproved, book: Book) -> None:
        """Somebody's approval is on record: they said so, of this amount."""
        request = book.requests.get(event.refund_id)
        amount_minor = 0 if request is None else request.amount.amount_minor
        if (event.refund_id, event.by.id, amount_minor) not in self.decided:
            self._world.checker.broken("unapproved", f"{event.by.id} never approved {event.refund_id}")
        self._approved.setdefault(event.refund_id, set()).add(event.by.id)
        self._world.count("approved")

    def requested(self, event: RefundRequested) -> None:
        """A request is on record: it needs a second person as the policy says, and its day has room for it."""
        scenario, broken, minor = self._world.scenario, self._world.checker.broken, event.amount.amount_minor
        second = scenario.second_from_minor
        if event.needs_second is not (second is not None and minor >= second):
            broken("unapproved", f"{event.refund_id} says {event.needs_second} of its second person")
        day = f"{event.at.astimezone(UTC):%Y-%m-%d}"
        for whose, most in ((event.by.id, scenario.most_per_actor_minor), ("", scenario.most_minor)):
            used = self._days[day, whose] = self._days.get((day, whose), 0) + minor
            if most is not None and used > most:
                broken("limit", f"{used} was asked for on {day} by {whose or 'all'}, where {most} may be")
        if event.needs_second:
            self._world.count("second person needed")
