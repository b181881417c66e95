"""Many bookings in one run: each refunded once, whatever breaks at whichever of them; one report that adds up."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import date

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refund_adapters.memory import Fault
from refund_domain import Actor, AsyncRefundService, Money, PaymentRef, Refund, Refused, Status
from refund_domain.money import Currency
from refund_domain.operations.bulk import SAYS, BulkItem, BulkProgress, BulkReport
from refund_domain.payouts.funds import Funds, Payout
from refund_domain.policy import Policy
from refund_domain.quotes import Booking, IssueBooking, NotTried
from refund_domain.refusals import NotFound
from refund_domain.rules.funding import FromBankAccount, FromPayout
from tests.domain.worlds import (
    HOUR,
    KINDS,
    MARIA,
    MINUTE,
    AwaitedGateway,
    AwaitedJournal,
    Crash,
    Kind,
    World,
    codes_of,
    driven,
    raising,
    unavailable,
)


def usd(major: str) -> Money:
    """Dollars."""
    return Money.parse(major, "USD")


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> World:
    """A fresh world in each form of the service, without the gateway's own cap."""
    kind: Kind = request.param
    return World(kind, cap=False)


def storm(world: World, *amounts: str) -> list[IssueBooking]:
    """The decisions about as many bookings, each of one payment, quoted on one page."""
    bookings = [Booking(label=f"B{n}", payments=(world.pay(amount),)) for n, amount in enumerate(amounts, 1)]
    quotes = world.refunds.quote_bookings(bookings, by=MARIA)
    world.wire.clear()
    return [quote.verified(by=MARIA) for quote in quotes]


def payments(commands: list[IssueBooking]) -> list[PaymentRef]:
    """All payments of these, in order."""
    return [refund.payment for command in commands for refund in command.in_order]


def outcomes(report: BulkReport) -> list[str]:
    """What became of each payment."""
    return [item.outcome for item in report.items]


# --- one report -----------------------------------------------------------------------------------------------


def test_forty_bookings_are_refunded_in_one_run(world: World) -> None:
    """Each payment of forty bookings is refunded once, in the order given; the report counts and adds them up."""
    # failure: H09
    commands = storm(world, *[f"{100 + n}.00" for n in range(40)])
    report = world.refunds.issue_bookings(commands)
    assert [(item.label, item.payment) for item in report.items] == [
        (command.label, command.refunds[0].payment) for command in commands
    ]
    assert [world.bank.made(ref) for ref in payments(commands)] == [1] * 40
    assert [(str(total.outcome), total.count, total.sums) for total in report.totals] == [
        ("succeeded", 40, (usd("4780.00"),))
    ]
    assert str(report) == "40 bookings, 40 payments\nsucceeded: 40, 4780.00 USD"
    assert report.unfinished == report.refused == report.not_tried == ()


def test_report_tells_each_payment_and_adds_up(world: World) -> None:
    """Disputed, not to be had, in doubt, slowed down, declined, broken, made: one item each, sums by currency."""
    # failure: H09
    commands = storm(world, "10.00", "20.00", "30.00", "40.00", "50.00", "60.00")
    yen = Booking(label="B7", payments=(world.pay("700", "JPY"), world.pay("8.00")))
    commands.append(world.refunds.quote_booking(yen, by=MARIA).verified(by=MARIA))
    refs = payments(commands)
    world.bank.dispute(refs[0])
    world.allow = lambda actor, action, ref: ref != refs[1]
    world.gateway.script(*[Fault.LOOK_WORKS] * 3, Fault.ANSWER_LOST, Fault.RATE_LIMITED)
    loads = iter(range(99))
    world.wire.clear()
    world.wire.each["load"] = lambda: unavailable()() if next(loads) == 4 else None
    report = world.refunds.issue_bookings(iter(commands))
    assert outcomes(report) == [
        "refused",
        "refused",
        "in_doubt",
        "requested",
        "succeeded",
        "not_tried",
        "succeeded",
        "succeeded",
    ]
    assert [codes_of(item.result) for item in report.refused] == [("disputed",), ("not_allowed",)]
    assert [item.payment for item in report.unfinished] == refs[2:4]
    assert [item.result for item in report.not_tried] == [NotTried(payment=refs[5], error="JournalUnavailable")]
    assert {total.outcome: (total.count, total.sums) for total in report.totals} == {
        "refused": (2, (usd("30.00"),)),
        "in_doubt": (1, (usd("30.00"),)),
        "requested": (1, (usd("40.00"),)),
        "succeeded": (3, (Money.parse("700", "JPY"), usd("58.00"))),
        "not_tried": (1, (usd("60.00"),)),
    }
    assert str(report) == (
        "7 bookings, 8 payments\n"
        "succeeded: 3, 700 JPY + 58.00 USD\n"
        "refused: 2, 30.00 USD (a rule said no and nothing was sent)\n"
        "in_doubt: 1, 30.00 USD (the money may have moved: recovery finds out, repay nothing by other means)\n"
        "requested: 1, 40.00 USD (not sent yet: recovery sends what still may be sent)\n"
        "not_tried: 1, 60.00 USD (nothing was heard of it, it may be on record and may still be sent: "
        "run the same bookings again, repay nothing by other means)\n"
        f"- B1, {refs[0]}, 10.00 USD: refused. {report.items[0].result}\n"
        f"- B2, {refs[1]}, 20.00 USD: refused. {report.items[1].result}\n"
        f"- B3, {refs[2]}, 30.00 USD: in_doubt\n"
        f"- B4, {refs[3]}, 40.00 USD: requested\n"
        f"- B6, {refs[5]}, 60.00 USD: not_tried, JournalUnavailable"
    )


def test_detail_of_a_refund_is_told() -> None:
    """What the gateway adds to a status stands in the item's line; a run of nothing has a report too."""
    world = World()
    command = storm(world, "10.00")[0]

    def first() -> None:
        world.bank.elsewhere(command.refunds[0].payment)

    world.wire.each["send"] = first
    (item,) = world.refunds.issue_bookings([command]).items
    assert str(item) == "B1, platform/ch_1, 10.00 USD: declined, charge_already_refunded"
    assert str(World().refunds.issue_bookings([])) == "0 bookings, 0 payments"
    assert str(BulkReport(bookings=1, items=())) == "1 booking, 0 payments"


def test_every_outcome_that_leaves_something_to_do_says_so() -> None:
    """No outcome's sentence is of a word that is none, and only what is over and well has none."""
    assert set(SAYS) <= {*Status, "waits_for_second", "refused", "not_tried"}
    assert {*Status} - set(SAYS) == {Status.SUCCEEDED, Status.DROPPED, Status.NOT_MADE, Status.CANCELED}


@given(
    st.lists(st.tuples(st.sampled_from(["USD", "JPY", "KWD"]), st.integers(1, 10**12), st.booleans()), max_size=40)
)
def test_sums_are_exact(amounts: list[tuple[str, int, bool]]) -> None:
    """Whatever was verified, counts and sums over all outcomes are those of the items, in each currency."""
    ref = PaymentRef("platform", "ch_1")
    results: tuple[Refused | NotTried, ...] = (NotTried(payment=ref, error="X"), Refused((NotFound(),)))
    items = tuple(
        BulkItem(label="1", payment=ref, verified=Money(10 * minor, Currency.of(code)), result=results[broke])
        for code, minor, broke in amounts
    )
    totals = BulkReport(bookings=1, items=items).totals
    assert sum(total.count for total in totals) == len(items)
    for code in ("USD", "JPY", "KWD"):
        told = [money.amount_minor for total in totals for money in total.sums if money.currency.code == code]
        assert sum(told) == sum(10 * minor for each, minor, _ in amounts if each == code)
        assert len(told) <= len(totals)


def test_what_a_second_person_must_approve_is_nothing_that_recovery_sends(world: World) -> None:
    """A refund that waits for another person has an outcome of its own and is not among what goes on by itself."""
    world = World(world.kind, policy=Policy(second_person_from=(usd("500.00"),)), cap=False)
    commands = storm(world, "800.00", "20.00")
    world.gateway.script(Fault.LOOK_WORKS, Fault.RATE_LIMITED)
    report = world.refunds.issue_bookings(commands)
    assert outcomes(report) == ["waits_for_second", "requested"]
    assert report.waits_for_second == report.items[:1]
    assert report.unfinished == report.items[1:]
    assert str(report).splitlines()[1] == (
        "waits_for_second: 1, 800.00 USD (nothing is sent unless another person approves it)"
    )
    world.settle_down(until=HOUR)
    assert [world.bank.made(ref) for ref in payments(commands)] == [0, 1]


def test_what_broke_may_be_on_record_and_says_so(world: World) -> None:
    """A refund whose claim could not be written is sent by recovery, so its report never calls it not refunded."""
    commands = storm(world, "200.00")
    appends = iter(range(99))
    world.wire.each["append"] = lambda: unavailable()() if next(appends) == 1 else None
    report = world.refunds.issue_bookings(commands)
    assert outcomes(report) == ["not_tried"]
    assert "may still be sent" in str(report)
    assert "repay nothing by other means" in str(report)
    world.wire.clear()
    world.settle_down(until=HOUR)
    assert [world.bank.made(ref) for ref in payments(commands)] == [1]


# --- resumed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["load", "look", "append", "send"])
@pytest.mark.parametrize("broken", range(5))
def test_fault_at_the_kth_then_resumed(world: World, broken: int, call: str) -> None:
    """Whatever breaks at the k-th booking, the others are refunded, each is told, the same run finishes."""
    # failure: H09
    commands = storm(world, "10.00", "20.00", "30.00", "40.00", "50.00")
    calls = {"left": broken}

    def breaks() -> None:
        calls["left"] -= 1
        if calls["left"] == -1:
            unavailable()()

    world.wire.each[call] = breaks
    first = world.refunds.issue_bookings(commands)
    assert len(first.items) == 5
    assert outcomes(first).count("succeeded") >= 4
    world.wire.clear()
    world.clock.advance(3 * MINUTE)
    again = world.refunds.issue_bookings(commands)
    assert outcomes(again) == ["succeeded"] * 5
    assert [world.bank.made(ref) for ref in payments(commands)] == [1] * 5
    assert again == world.refunds.issue_bookings(commands)
    assert len(world.bank.received) == 5


@pytest.mark.parametrize("when", ["before", "after"])
def test_process_that_dies_anywhere_is_resumed(world: World, when: str) -> None:
    """Whichever call the process dies at, the same commands in a new one finish, and each is refunded once."""
    # failure: H09
    for number in range(3 * 7):
        world = World(world.kind, cap=False)
        commands = storm(world, "10.00", "20.00", "30.00")
        getattr(world.wire, when)[number] = raising(Crash())
        with pytest.raises(Crash):
            world.refunds.issue_bookings(commands)
        world.wire.clear()
        world.clock.advance(3 * MINUTE)
        report = world.service().issue_bookings(commands)
        assert outcomes(report) == ["succeeded"] * 3
        assert [world.bank.made(ref) for ref in payments(commands)] == [1, 1, 1]


def test_interrupt_ends_the_run(world: World) -> None:
    """An interrupt passes, also out of the host's progress; the same commands go on from there."""
    commands = storm(world, "10.00", "20.00", "30.00")

    def stop(progress: BulkProgress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.refunds.issue_bookings(commands, on_progress=stop)
    assert len(world.bank.received) == 2
    assert outcomes(world.refunds.issue_bookings(commands)) == ["succeeded"] * 3
    assert len(world.bank.received) == 3


# --- pace -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("most", "gap_s"), [(2, 0.5), (0.25, 4.0), (100.0, 0.01), (1000, 0.001)])
def test_run_keeps_its_pace(world: World, most: float, gap_s: float) -> None:
    """The first goes at once, every other a gap after the one before began; what an issue took counts."""
    commands = storm(world, *["10.00"] * 4)
    began: list[float] = []

    def look() -> None:
        began.append(world.clock.elapsed)
        world.clock.elapsed += gap_s / 4

    world.wire.each["look"] = look
    report = world.refunds.issue_bookings(commands, most_per_second=most)
    assert outcomes(report) == ["succeeded"] * 4
    assert began == pytest.approx([began[0] + number * gap_s for number in range(4)])
    assert world.slept == pytest.approx([gap_s * 3 / 4] * 3)


def test_slow_gateway_is_never_made_up_for(world: World) -> None:
    """After an issue that took long the next goes at once, and the one after it keeps the gap again."""
    commands = storm(world, *["10.00"] * 3)
    looks = iter(range(9))
    world.wire.each["look"] = lambda: setattr(
        world.clock, "elapsed", world.clock.elapsed + (5.0 if next(looks) == 0 else 0.0)
    )
    world.refunds.issue_bookings(commands, most_per_second=1)
    assert world.slept == [1.0]


def test_without_a_limit_nothing_waits(world: World) -> None:
    """No pace, no sleep; a single booking knows none."""
    commands = storm(world, "10.00", "20.00")
    world.refunds.issue_bookings(commands)
    world.refunds.issue_booking(commands[0])
    assert world.slept == []


@settings(max_examples=40)
@given(most=st.floats(0.001, 1000), took=st.lists(st.floats(0, 100), min_size=1, max_size=12))
def test_no_second_sees_more_than_the_limit(most: float, took: list[float]) -> None:
    """However long each issue takes, two neighbours never begin closer together than the gap."""
    world = World()
    commands = storm(world, *["10.00"] * len(took))
    began: list[float] = []
    lasts = iter(took)

    def look() -> None:
        began.append(world.clock.elapsed)
        world.clock.elapsed += next(lasts)

    world.wire.each["look"] = look
    world.refunds.issue_bookings(commands, most_per_second=most)
    gaps = [later - earlier for earlier, later in itertools.pairwise(began)]
    assert all(gap >= 1 / most - 1e-6 for gap in gaps)


def test_sleep_that_breaks_stops_nothing(world: World) -> None:
    """Where the host's sleep raises, that payment is not tried, the rest goes on, and the report is not lost."""
    commands = storm(world, "10.00", "20.00", "30.00")
    world.nap = raising(OSError())
    report = world.refunds.issue_bookings(commands, most_per_second=1)
    assert outcomes(report) == ["succeeded", "not_tried", "not_tried"]
    assert [item.result for item in report.not_tried] == [
        NotTried(payment=ref, error="OSError") for ref in payments(commands)[1:]
    ]


def test_told_to_slow_down_the_run_goes_on(world: World) -> None:
    """A payment the gateway had no time for stays requested, the report says so, and recovery sends it."""
    commands = storm(world, "10.00", "20.00", "30.00")
    world.gateway.script(Fault.LOOK_WORKS, Fault.RATE_LIMITED)
    report = world.refunds.issue_bookings(commands, most_per_second=10)
    assert sorted(outcomes(report)) == ["requested", "succeeded", "succeeded"]
    assert "recovery sends what still may be sent" in str(report)
    world.settle_down(until=HOUR)
    assert outcomes(world.refunds.issue_bookings(commands)) == ["succeeded"] * 3
    assert [world.bank.made(ref) for ref in payments(commands)] == [1, 1, 1]


# --- arguments and progress -------------------------------------------------------------------------------------


def test_progress_is_told_after_each_payment(world: World) -> None:
    """The host is told how far the run is and what came last; what its function raises stops nothing."""
    commands = storm(world, "10.00", "20.00")
    told: list[BulkProgress] = []

    def tell(progress: BulkProgress) -> None:
        told.append(progress)
        raise RuntimeError("the host's own trouble")

    report = world.refunds.issue_bookings(commands, on_progress=tell)
    assert [(each.done, each.of, each.item) for each in told] == [(1, 2, report.items[0]), (2, 2, report.items[1])]


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (TypeError, lambda w, c: w.refunds.issue_bookings(7)),
        (TypeError, lambda w, c: w.refunds.issue_bookings([c[0], c[0].refunds[0]])),
        (TypeError, lambda w, c: w.refunds.issue_bookings(c, on_progress=7)),
        (TypeError, lambda w, c: w.refunds.issue_bookings(c, most_per_second="2")),
        (TypeError, lambda w, c: w.refunds.issue_bookings(c, most_per_second=True)),
        (ValueError, lambda w, c: w.refunds.issue_bookings(c, most_per_second=0)),
        (ValueError, lambda w, c: w.refunds.issue_bookings(c, most_per_second=0.0009)),
        (ValueError, lambda w, c: w.refunds.issue_bookings(c, most_per_second=1000.5)),
        (ValueError, lambda w, c: w.refunds.issue_bookings(c, most_per_second=-1.0)),
        (ValueError, lambda w, c: w.refunds.issue_bookings(c, most_per_second=float("nan"))),
        (ValueError, lambda w, c: w.refunds.issue_bookings(c, most_per_second=float("inf"))),
        (ZeroDivisionError, lambda w, c: w.refunds.issue_bookings(b for b in [c[0], 1 // 0])),
        (TypeError, lambda w, c: w.refunds.quote_bookings([c[0]], by=MARIA)),
    ],
)
def test_odd_arguments_send_nothing(
    world: World, error: type[Exception], call: Callable[[World, list[IssueBooking]], object]
) -> None:
    """What is no booking, pace or function, and a generator that breaks, is refused before the first refund."""
    commands = storm(world, "10.00")
    with pytest.raises(error):
        call(world, commands)
    assert world.gateway.sent == ()


def test_an_odd_pace_is_told_what_it_must_be(world: World) -> None:
    """The error names the bounds, or what was given instead of a number."""
    commands = storm(world, "10.00")
    with pytest.raises(ValueError, match=r"from 0\.001 to 1000"):
        world.refunds.issue_bookings(commands, most_per_second=0)
    with pytest.raises(TypeError, match="a number, not str"):
        world.refunds.issue_bookings(commands, most_per_second="2")  # type: ignore[arg-type]
    assert outcomes(world.refunds.issue_bookings(commands, most_per_second=0.001)) == ["succeeded"]


def test_async_pace_needs_a_sleep() -> None:
    """Without a sleep the async form keeps no pace and says what to give it; without pace it runs."""

    async def anybody(*_: object) -> bool:
        return True

    world = World()
    commands = storm(world, "10.00")
    service = AsyncRefundService(AwaitedGateway(world.gateway), AwaitedJournal(world.store), allow=anybody)
    with pytest.raises(TypeError, match=r"asyncio\.sleep"):
        driven(service.issue_bookings(commands, most_per_second=1))
    world.clock.advance(MINUTE)
    assert outcomes(driven(service.issue_bookings(commands))) == ["succeeded"]


# --- quoting ----------------------------------------------------------------------------------------------------


def test_r8_many_bookings_are_funded_together(world: World) -> None:
    """What the first booking takes from a payout the second does not find; R9 has the rest."""
    bookings = [Booking(label=label, payments=(world.pay("400.00"),)) for label in ("a", "b")]
    payout = Payout(id="po_1", amount=usd("500.00"), arrives_on=date(2026, 3, 4))
    world.funds.of["platform"] = Funds(payouts=(payout,))
    quotes = world.refunds.quote_bookings(iter(bookings), by=MARIA)
    assert world.funds.asked == ["platform"]
    assert [quote.label for quote in quotes] == ["a", "b"]
    first, second = (quote.quotes[0].funding for quote in quotes)
    assert first is not None
    assert second is not None
    assert [type(part) for part in first.parts] == [FromPayout]
    assert [type(part) for part in second.parts] == [FromPayout, FromBankAccount]
    assert second.parts[1].amount == usd("300.00")


def test_payment_in_two_bookings_is_refunded_once(world: World) -> None:
    """A payment that two bookings name is refunded for the first and refused for the second."""
    ref = world.pay()
    quotes = world.refunds.quote_bookings(
        [Booking(label=label, payments=(ref,)) for label in ("a", "b")], by=MARIA
    )
    report = world.refunds.issue_bookings(quote.verified(by=MARIA) for quote in quotes)
    assert isinstance(report.items[0].result, Refund)
    assert codes_of(report.items[1].result) == ("already_refunded",)
    assert world.bank.made(ref) == 1


@pytest.mark.parametrize("disputed", [False, True])
def test_command_given_twice_is_counted_once(world: World, disputed: bool) -> None:
    """Of the same command twice the sums and lists say what became of it, and not twice that; each has an item."""
    commands = storm(world, "10.00", "20.00")
    if disputed:
        world.bank.dispute(payments(commands)[0])
    report = world.refunds.issue_bookings([commands[0], *commands, commands[1]])
    assert [item.payment for item in report.items] == payments([commands[0], *commands, commands[1]])
    assert str(report) == str(world.refunds.issue_bookings(commands))
    assert [len(report.refused), report.bookings] == [int(disputed), 2]
    sums = {total.outcome: total.sums for total in report.totals}
    refused = {"refused": (usd("10.00"),), "succeeded": (usd("20.00"),)}
    assert sums == (refused if disputed else {"succeeded": (usd("30.00"),)})


def test_two_commands_of_one_request_are_counted_as_one_refund(world: World) -> None:
    """Two people's commands of one quote lead to one refund, each is told of it, and its sum is counted once."""
    (command,) = storm(world, "10.00")
    (refund,) = command.refunds
    again = attrs.evolve(command, refunds=(attrs.evolve(refund, by=Actor(id="paul", tenant="acme")),))
    report = world.refunds.issue_bookings([command, again])
    assert outcomes(report) == ["succeeded", "succeeded"]
    assert [(total.count, total.sums) for total in report.totals] == [(1, (usd("10.00"),))]
    world.allow = lambda actor, action, ref: actor.id != "paul"
    mixed = world.refunds.issue_bookings([command, again])
    assert outcomes(mixed) == ["succeeded", "refused"]
    assert str(mixed) == "2 bookings, 1 payment\nsucceeded: 1, 10.00 USD"
    assert world.bank.made(refund.payment) == 1


def test_nothing_is_sent_that_nobody_verified(world: World) -> None:
    """An amount that was not verified, or is no more, is refused within a run as anywhere."""
    commands = storm(world, "10.00", "20.00")
    wrong = attrs.evolve(commands[0].refunds[0], amount=usd("5.00"))
    world.bank.elsewhere(commands[1].refunds[0].payment, usd("1.00"))
    report = world.refunds.issue_bookings([attrs.evolve(commands[0], refunds=(wrong,)), commands[1]])
    assert [codes_of(item.result) for item in report.items] == [("amount_changed",)] * 2
    assert world.gateway.sent == ()
