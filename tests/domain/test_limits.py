"""Limits of a day: what one person, and a tenant, may ask for, whatever the payments and however many at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import attrs
import pytest

from refund_adapters.memory import Fault
from refund_domain import Actor, IssueRefund, Money, PaymentRef, Refund, Refused, Status
from refund_domain.errors import JournalConflict, JournalUnavailable, TooContended
from refund_domain.events import AllowanceTaken, Event, RefundRequested
from refund_domain.money import Currency
from refund_domain.policy import Policy
from refund_domain.quotes import IssueBooking
from refund_domain.refusals import LimitReached, Whose
from refund_domain.service.allowance import day_of, limited, taken
from tests.domain.worlds import (
    DAY,
    HOUR,
    KINDS,
    MARIA,
    MINUTE,
    SECOND,
    START,
    Kind,
    World,
    codes_of,
    raising,
    refund_of,
    unavailable,
)

OMAR = Actor(id="omar", tenant="acme")
EVE = Actor(id="maria", tenant="globex")
USD = Currency.of("USD")
TODAY = day_of("acme", START)
MIDNIGHT = datetime(2026, 3, 3, tzinfo=UTC)


def usd(major: int) -> Money:
    """So many dollars."""
    return Money(major * 100, USD)


EACH_300 = Policy(most_per_actor_a_day=(usd(300),), most_a_day=(usd(500),))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each form of the service."""
    form: Kind = request.param
    return form


@pytest.fixture
def world(kind: Kind) -> World:
    """A world in which one person may ask for 300.00 USD a day, and all of a tenant for 500.00 USD."""
    return World(kind, policy=EACH_300)


def decision(world: World, amount: str = "200.00", by: Actor = MARIA) -> IssueRefund:
    """A decision about a new payment of this amount, quoted under no limit."""
    policy, world.policy = world.policy, Policy()
    quoted = world.service(world.gateway, world.store).quote(world.pay(amount), by=by)
    world.policy = policy
    return quoted.verified(by=by)


def requested(world: World, commands: list[IssueRefund]) -> int:
    """What was asked for, in minor units, by the payments' own streams."""
    return sum(
        event.amount.amount_minor
        for command in commands
        for event in world.events(command.payment)
        if isinstance(event, RefundRequested)
    )


# --- whose limit --------------------------------------------------------------------------------------------


def test_one_person_and_all_of_a_tenant_are_limited(world: World) -> None:
    """The person's limit refuses first, then the tenant's, each with what is left of it and until when."""
    assert refund_of(world.refunds.issue(decision(world))).settled
    mine = LimitReached(whose=Whose.ACTOR, limit=usd(300), left=usd(100), until=MIDNIGHT)
    assert world.refunds.issue(decision(world)) == Refused((mine,))
    assert refund_of(world.refunds.issue(decision(world, by=OMAR))).settled
    zoe = attrs.evolve(MARIA, id="zoe")
    ours = LimitReached(whose=Whose.TENANT, limit=usd(500), left=usd(100), until=MIDNIGHT)
    assert world.refunds.issue(decision(world, by=zoe)) == Refused((ours,))
    both = world.refunds.issue(decision(world))
    assert both == Refused((mine, ours))
    assert (both.http_status, len(world.bank.received)) == (429, 2)


def test_exactly_the_limit_goes(world: World) -> None:
    """The last cent of a limit may be asked for, and not one more."""
    assert refund_of(world.refunds.issue(decision(world, "300.00"))).settled
    assert codes_of(world.refunds.issue(decision(world, "0.01"))) == ("limit_reached",)


def test_tenants_do_not_share_a_limit(world: World) -> None:
    """Another tenant's people, of the same names too, have limits of their own."""
    assert refund_of(world.refunds.issue(decision(world, "300.00"))).settled
    assert refund_of(world.refunds.issue(decision(world, "300.00", by=EVE))).settled


def test_a_new_day_is_a_new_allowance(world: World) -> None:
    """At midnight UTC by the journal's clock the allowance is whole again."""
    assert refund_of(world.refunds.issue(decision(world, "300.00"))).settled
    world.clock.advance(MIDNIGHT - START - SECOND)
    assert codes_of(world.refunds.issue(decision(world))) == ("limit_reached",)
    world.clock.advance(SECOND)
    assert refund_of(world.refunds.issue(decision(world))).settled


def test_what_was_asked_for_counts_whatever_came_of_it(world: World) -> None:
    """A refund that the gateway would not take has taken its part of the day all the same."""
    command = decision(world)
    world.gateway.script(Fault.UNAUTHORIZED)
    assert refund_of(world.refunds.issue(command)).status is Status.REQUESTED
    assert codes_of(world.refunds.issue(decision(world))) == ("limit_reached",)


def test_quote_tells_the_limit_before_anybody_asks(world: World) -> None:
    """A quote beyond what is left today says so beside the amount, and takes nothing."""
    ref = world.pay("300.00")
    assert world.refunds.quote(ref, by=MARIA).refusals == ()
    assert world.events(TODAY) == ()
    world.refunds.issue(decision(world))
    quote = world.refunds.quote(ref, by=MARIA)
    assert (quote.amount, codes_of(quote)) == (usd(300), ("limit_reached",))
    assert codes_of(world.refunds.quote(ref, by=OMAR)) == ()


def test_pause_takes_nothing_of_the_day(world: World) -> None:
    """What is refused because of a pause has not been asked for; the quote names both reasons."""
    world.refunds.issue(decision(world))
    other = decision(world)
    world.refunds.pause(by=MARIA, why="an audit")
    assert codes_of(world.refunds.issue(other)) == ("sending_paused",)
    assert codes_of(world.refunds.quote(other.payment, by=MARIA)) == ("sending_paused", "limit_reached")
    assert len(world.events(TODAY)) == 1


def test_what_a_rule_refuses_takes_nothing(world: World) -> None:
    """A request that is refused for another reason leaves the day as it is."""
    command = decision(world)
    assert codes_of(world.refunds.issue(attrs.evolve(command, amount=usd(1)))) == ("amount_changed",)
    assert codes_of(world.refunds.issue(attrs.evolve(command, by=EVE))) == ("not_found", "quote_stale")
    assert (world.events(TODAY), world.events(day_of("globex", START))) == ((), ())


def test_without_limits_no_day_is_kept(kind: Kind) -> None:
    """A policy without limits reads and writes nothing for them."""
    world = World(kind)
    command = world.decision(world.pay())
    world.refunds.issue(command)
    assert not any("day" in name for name in world.wire.controls)
    assert not limited(world.policy)


def test_booking_beyond_the_limit_is_refused_in_part(world: World) -> None:
    """Each payment of a booking counts by itself: what there is room for goes, the rest is told."""
    commands = tuple(decision(world, "200.00") for _ in range(2))
    results = world.refunds.issue_booking(IssueBooking(label="B1", refunds=commands))
    assert [isinstance(result, Refund) for result in results] == [True, False]


# --- once, and after a crash -------------------------------------------------------------------------------


def test_the_same_request_takes_its_part_once(world: World) -> None:
    """A double click and a repeat after a day take no more: the same request is the same part."""
    command = decision(world)
    first = world.refunds.issue(command)
    assert world.refunds.issue(command) == first
    assert list(world.events(TODAY)) == [
        AllowanceTaken(
            at=START, payment=command.payment, request_id=command.request_id, amount=command.amount, by=MARIA
        )
    ]


def test_a_request_id_of_another_payment_takes_a_part_of_its_own(world: World) -> None:
    """A page that brings one request id for many payments gets no second refund out of one part of the day."""
    first, second = decision(world), decision(world)
    assert refund_of(world.refunds.issue(first)).settled
    copied = attrs.evolve(second, request_id=first.request_id)
    assert codes_of(world.refunds.issue(copied)) == ("limit_reached",)


def test_crash_between_the_part_and_the_request_is_on_the_safe_side(world: World) -> None:
    """A part taken by a request that never came on record stays taken; the same request goes on with it."""
    command = decision(world)
    world.wire.clear()
    world.wire.before[2] = unavailable()  # the append of the request
    with pytest.raises(JournalUnavailable):
        world.refunds.issue(command)
    assert (len(world.events(TODAY)), requested(world, [command])) == (1, 0)
    assert codes_of(world.refunds.issue(decision(world))) == ("limit_reached",)
    assert refund_of(world.refunds.issue(command)).settled
    assert len(world.events(TODAY)) == 1


@pytest.mark.parametrize("call", [f"load {TODAY}", f"append {TODAY}"])
def test_day_that_cannot_be_read_or_written_asks_for_nothing(world: World, call: str) -> None:
    """Without the day's stream there is no room: the journal's error is raised, and nothing is on record."""
    command = decision(world)
    world.wire.each[call] = unavailable()
    with pytest.raises(JournalUnavailable):
        world.refunds.issue(command)
    assert requested(world, [command]) == 0


def test_beaten_to_the_day_decides_again(world: World) -> None:
    """Two requests that read the same room: the second to append reads again, and is refused."""
    mine, other = decision(world), decision(world)
    twin = world.service(world.gateway, world.store)

    def beaten() -> None:
        world.wire.each.clear()
        refund_of(twin.issue(other))

    world.wire.each[f"append {TODAY}"] = beaten
    assert codes_of(world.refunds.issue(mine)) == ("limit_reached",)
    assert requested(world, [mine, other]) == usd(200).amount_minor


def test_beaten_for_ever_asks_for_nothing(world: World) -> None:
    """Beaten again and again the request gives up; in a host's transaction a race is the host's to repeat."""
    command = decision(world)
    world.wire.each[f"append {TODAY}"] = raising(JournalConflict("beaten"))
    with pytest.raises(TooContended):
        world.refunds.request(command)
    world.journal.in_transaction = True
    with pytest.raises(JournalConflict):
        world.refunds.request(command)
    assert requested(world, [command]) == 0


def test_threads_never_pass_a_limit_together(world: World) -> None:
    """24 threads, each with a payment of its own: exactly as many are asked for as there is room for."""
    world.policy = Policy(most_per_actor_a_day=(usd(1000),), most_a_day=(usd(700),))
    commands = [decision(world, "100.00", by=(MARIA, OMAR)[number % 2]) for number in range(24)]
    start = threading.Barrier(len(commands))

    def issue(command: IssueRefund) -> Refund | Refused:
        service = world.service(world.gateway, world.store)
        start.wait()
        return service.issue(command)

    with ThreadPoolExecutor(len(commands)) as pool:
        results = list(pool.map(issue, commands))
    made = [result for result in results if isinstance(result, Refund)]
    assert (len(made), requested(world, commands), len(world.bank.received)) == (7, usd(700).amount_minor, 7)
    refused = {codes_of(result) for result in results if isinstance(result, Refused)}
    assert refused == {("limit_reached",)}


# --- what fits, by itself ----------------------------------------------------------------------------------


def asked(minor: int, *, number: int = 1, by: Actor = MARIA, currency: str = "USD") -> AllowanceTaken:
    """A request of so much."""
    amount = Money(minor, Currency.of(currency))
    ref = PaymentRef("platform", f"ch_{number}")
    return AllowanceTaken(at=START, payment=ref, request_id=f"q{number}", amount=amount, by=by)


def test_a_currency_that_nobody_named_has_no_room() -> None:
    """Where one currency is limited, another is refused until somebody names it, too: the safe side."""
    said = taken((), asked(1, currency="EUR"), Policy(most_a_day=(usd(5),)))
    nothing = Money.zero(Currency.of("EUR"))
    assert said == Refused((LimitReached(whose=Whose.TENANT, limit=nothing, left=nothing, until=MIDNIGHT),))


def test_currencies_are_counted_apart() -> None:
    """Dollars take nothing of the euros."""
    policy = Policy(most_per_actor_a_day=(usd(5), Money(500, Currency.of("EUR"))))
    before: tuple[Event, ...] = (asked(500),)
    euros = asked(500, number=2, currency="EUR")
    assert taken(before, euros, policy) == (euros,)


def test_a_lowered_limit_leaves_nothing_and_never_less() -> None:
    """Where more was asked for than the limit now allows, nothing is left, and no sum is below it."""
    said = taken((asked(900),), asked(1, number=2), Policy(most_a_day=(usd(5),)))
    assert isinstance(said, Refused)
    (reached,) = said.reasons
    assert isinstance(reached, LimitReached)
    assert reached.left == Money.zero(USD)
    assert "0.00 USD is left today of the 5.00 USD" in str(reached)


def test_another_amount_of_the_same_request_takes_a_part_of_its_own() -> None:
    """A request that came back with another amount is not the same part."""
    policy = Policy(most_a_day=(usd(10),))
    later = attrs.evolve(asked(300), at=asked(300).at + timedelta(seconds=1))
    assert taken((asked(300),), later, policy) == (), "the same request some moments later"
    more = attrs.evolve(asked(300), amount=usd(4))
    assert taken((asked(300),), asked(300), policy) == ()
    assert taken((asked(300),), more, policy) == (more,)


@pytest.fixture(params=["UTC", "America/Los_Angeles"])
def zone(request: pytest.FixtureRequest) -> Iterator[str]:
    """The zone of the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (MIDNIGHT - timedelta(microseconds=1), "2026-03-02"),
        (MIDNIGHT, "2026-03-03"),
        (MIDNIGHT.astimezone(timezone(timedelta(hours=-8))), "2026-03-03"),
        (datetime(2026, 3, 3, 1, tzinfo=timezone(timedelta(hours=3))), "2026-03-02"),
    ],
)
def test_a_day_is_a_utc_day(at: datetime, day: str, zone: str) -> None:
    """Whatever zone a journal tells the time in, or the machine, the day is UTC's and ends at its midnight."""
    assert str(day_of("acme", at)) == f"~day/{day}/acme"
    said = taken((), attrs.evolve(asked(600), at=at), Policy(most_a_day=(usd(5),)))
    assert isinstance(said, Refused)
    (reached,) = said.reasons
    assert isinstance(reached, LimitReached)
    assert (reached.until - DAY).date().isoformat() == day


# --- the policy --------------------------------------------------------------------------------------------

AMOUNTS = ("second_person_from", "most_per_actor_a_day", "most_a_day")


@pytest.mark.parametrize("name", AMOUNTS)
@pytest.mark.parametrize(
    ("value", "error"),
    [([usd(1)], TypeError), ((5,), TypeError), ("USD", TypeError), ((usd(1), usd(2)), ValueError)],
)
def test_amounts_of_a_policy_are_money_one_a_currency(name: str, value: object, error: type[Exception]) -> None:
    """What is no tuple of Money, or names a currency twice, is refused."""
    make: Callable[..., Policy] = Policy
    with pytest.raises(error, match=name):
        make(**{name: value})


@pytest.mark.parametrize("name", AMOUNTS[1:])
def test_limits_cannot_be_none(name: str) -> None:
    """No limit is written (), so that nobody takes None for nothing at all."""
    make: Callable[..., Policy] = Policy
    with pytest.raises(TypeError, match=name):
        make(**{name: None})


def test_second_person_and_limit_go_together(kind: Kind) -> None:
    """Waiting for a second person has taken its part of the day; the approval takes no more."""
    world = World(kind, policy=Policy(second_person_from=(), most_a_day=(usd(200),)))
    refund = refund_of(world.refunds.issue(decision(world)))
    assert (refund.status, refund.waits_for_second) == (Status.REQUESTED, True)
    assert codes_of(world.refunds.issue(decision(world, "0.01", by=OMAR))) == ("limit_reached",)
    world.clock.advance(HOUR + MINUTE)
    assert len(world.events(TODAY)) == 1
