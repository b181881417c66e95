"""What is drawn once for a seed: payments, workers, rates of faults. Plain data, so that a run can be repeated."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Final

import attrs

from refund_adapters.memory import Course, Step
from refund_adapters.simulation.modes import Broken, Mode
from refund_domain.money import Currency
from refund_domain.payments import PLATFORM, ChargeKind

USD: Final = Currency.of("USD")
_SECOND: Final = timedelta(seconds=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)

COURSES: Final = (
    Course.succeeds(),
    Course.pending_then_succeeds(),
    Course.pending_then_succeeds(2 * _HOUR),
    Course.pending_then_fails("declined", _HOUR),
    Course.succeeds_then_fails(after=9 * _DAY),
    Course.succeeds_then_fails("unknown", after=3 * _HOUR),
    Course.canceled_by_a_person(),
    Course(steps=(Step(status="a_new_word"), Step(status="succeeded", after=_DAY))),
    Course(steps=(Step(status="failed", reason="declined"),)),
    Course.stays(),
)
"""What may become of a refund; the last one waits until the faults stop."""


@attrs.frozen(kw_only=True)
class Taken:
    """One payment of the seed; `courses` are numbers into `COURSES`, `unsettled` an ACH debit under way.

    `fee_minor` is what the platform took for itself, `charge` an id that a payment of another account bears, too,
    `passed` what was passed on of a separate charge, by a transfer each.
    """

    amount_minor: int
    method: str
    account: str
    courses: tuple[int, ...]
    unsettled: bool = False
    captured_minor: int | None = None
    kind: ChargeKind = ChargeKind.PLATFORM
    fee_minor: int | None = None
    charge: str | None = None
    passed: tuple[int, ...] = ()


@attrs.frozen(kw_only=True)
class Scheduled:
    """A balance that is paid out on a schedule; `stock_minor` is in it from sales long ago."""

    account: str
    every_s: int
    arrives_s: int
    debits: bool
    stock_minor: int


@attrs.frozen(kw_only=True)
class Rates:
    """How often what befalls a seed, as chances a step or a call, each in [0, 1].

    `brought` to `forged` are of webhooks: how eagerly a signal that is due is brought, how many are lost, doubled,
    late, and how often one is forged. `reconcile` is how often an operation is a reconciliation, `guard` how often
    one is an approval, a pause or its end, `pay` how often something befalls a balance that is paid out.
    """

    advance: float
    jump: float
    crash: float
    cancel: float
    clock: float
    elsewhere: float
    dispute: float
    fate: float
    funds: float
    hold: float
    send_fault: float
    look_fault: float
    append_fault: float
    read_fault: float
    repeat: float
    foreign: float
    sense: float
    most_in_flight: int
    brought: float = 0
    lost: float = 0
    doubled: float = 0
    late: float = 0
    forged: float = 0
    reconcile: float = 0
    guard: float = 0
    pay: float = 0


QUIET: Final = Rates(
    advance=0, jump=0, crash=0, cancel=0, clock=0, elsewhere=0, dispute=0, fate=0, funds=0, hold=0, send_fault=0,
    look_fault=0, append_fault=0, read_fault=0, repeat=0, foreign=0, sense=0, most_in_flight=1,
)  # fmt: skip
"""Nothing ever happens by chance."""


@attrs.frozen(kw_only=True)
class Scenario:
    """All of a seed but what happens: see `draws` for that.

    `offsets` are each worker's clock against true time, `lags` the list lags of the bank's refunds in turn,
    `from_zero` whether every load folds from the first event instead of going on from what is known. Of a
    guarded world alone: from how much on a second person is needed, and what may be asked for in a day.
    """

    payments: tuple[Taken, ...]
    offsets: tuple[timedelta, ...]
    lags: tuple[timedelta, ...]
    figure_lags: bool
    refuse_disputed: bool
    unsettled_accepted: bool
    drained: bool
    from_zero: bool
    rates: Rates
    fee_returned: bool = False
    second_from_minor: int | None = None
    most_per_actor_minor: int | None = None
    most_minor: int | None = None
    scheduled: tuple[Scheduled, ...] = ()


def draw_scenario(rng: Random, mode: Mode, seed: int) -> Scenario:
    """The scenario of this seed. Who shares a charge is drawn apart, and so are webhooks and reconciliation: the
    same seed is the same payments and faults with them and without."""
    shared = _shared(_plain(rng, mode), Random(f"shared {seed}"))
    if mode.separate:
        shared = _apart(shared, Random(f"apart {seed}"))
    told = _told(shared, mode, Random(f"told {seed}"))
    if mode.jumps:
        told = _jumping(told, Random(f"jumping {seed}"))
    if not mode.reconciles:
        return told
    often = Random(f"reconciled {seed}").uniform(0.1, 0.5)
    return attrs.evolve(told, rates=attrs.evolve(told.rates, reconcile=often))


def _jumping(scenario: Scenario, rng: Random) -> Scenario:
    """Clocks fall back often, and disputes are many: none may be left out or taken for older than it is."""
    clock, dispute = rng.uniform(0.005, 0.03), rng.uniform(0.005, 0.03)
    return attrs.evolve(scenario, rates=attrs.evolve(scenario.rates, clock=clock, dispute=dispute))


def _plain(rng: Random, mode: Mode) -> Scenario:
    workers = rng.choice((2, 2, 3))
    return Scenario(
        payments=tuple(_payment(rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))),
        offsets=_offsets(rng, workers, mode),
        lags=_lags(rng, mode),
        figure_lags=rng.random() < 0.5,
        refuse_disputed=mode.caps or rng.random() < 0.3,
        unsettled_accepted=rng.random() < 0.5,
        drained=rng.random() < 0.25,
        from_zero=rng.random() < 0.05,
        rates=_rates(rng, mode),
    )


def _payment(rng: Random) -> Taken:
    method = rng.choice(("card", "card", "card", "us_bank_account"))
    amount = rng.choice((20_000, 20_000, 12_345, 100))
    courses = tuple(0 if rng.random() < 0.3 else rng.randrange(len(COURSES)) for _ in range(4))
    return Taken(
        amount_minor=amount,
        method=method,
        account=rng.choice((PLATFORM, "acct_1")),
        courses=courses,
        unsettled=method != "card" and rng.random() < 0.3,
        captured_minor=amount // 2 if rng.random() < 0.1 else None,
    )


_AT_PLATFORM: Final = (ChargeKind.PLATFORM, ChargeKind.PLATFORM, ChargeKind.DESTINATION)


def _shared(scenario: Scenario, rng: Random) -> Scenario:
    """Charges of connected accounts are direct, some of the platform's were passed on; a fee of some was kept.

    Now and then two accounts hold a charge of one id, which a gateway need not rule out.
    """
    payments = []
    for taken in scenario.payments:
        kinds = (ChargeKind.DIRECT,) if taken.account != PLATFORM else _AT_PLATFORM
        kind = rng.choice(kinds)
        fees = (None, taken.amount_minor // 10, 1, taken.amount_minor)
        fee = None if kind is ChargeKind.PLATFORM else rng.choice(fees)
        payments.append(attrs.evolve(taken, kind=kind, fee_minor=fee))
    if len({taken.account for taken in payments}) == len(payments) > 1 and rng.random() < 0.7:
        payments = [attrs.evolve(taken, charge="ch_same") for taken in payments]
    return attrs.evolve(scenario, payments=tuple(payments), fee_returned=rng.random() < 0.5)


def _apart(scenario: Scenario, rng: Random) -> Scenario:
    """Most charges are the platform's, and parts of them were passed on by transfers made apart."""
    payments = []
    for taken in scenario.payments:
        if rng.random() < 0.15:
            payments.append(taken)
            continue
        whole = taken.amount_minor
        # More than the charge: one transfer for several charges of its group.
        passed = rng.choice(
            (
                (whole,),
                (2 * whole,),
                (3 * whole // 4,),
                (whole // 2, whole // 4),
                (1, 3 * whole),
                (whole, whole, 7),
            )
        )
        payments.append(
            attrs.evolve(
                taken, account=PLATFORM, kind=ChargeKind.SEPARATE, fee_minor=None, charge=None, passed=passed
            )
        )
    if len({taken.account for taken in payments}) < len(payments):
        payments = [attrs.evolve(taken, charge=None) for taken in payments]
    return attrs.evolve(scenario, payments=tuple(payments))


def _told(scenario: Scenario, mode: Mode, rng: Random) -> Scenario:
    """How webhooks fare, where there are any."""
    if not mode.webhooks:
        return scenario
    rates = attrs.evolve(
        scenario.rates,
        brought=rng.uniform(0.2, 1),
        lost=rng.choice((0, 0.2, 0.8)),
        doubled=rng.choice((0, 0.3, 0.6)),
        late=rng.choice((0, 0.3, 0.7)),
        forged=0 if rng.random() < 0.3 else rng.uniform(0.003, 0.02),
    )
    return attrs.evolve(scenario, rates=rates)


def _offsets(rng: Random, workers: int, mode: Mode) -> tuple[timedelta, ...]:
    """Each clock at most the skew from true time and from each other; sometimes all agree."""
    most = mode.skew_most // _SECOND
    if mode.broken is not Broken.CLOCK_SKEW and rng.random() < 0.3:
        return (timedelta(0),) * workers
    base = -rng.randrange(most + 1)
    return tuple(rng.choice((base, base + most, base + rng.randrange(most + 1))) * _SECOND for _ in range(workers))


def _lags(rng: Random, mode: Mode) -> tuple[timedelta, ...]:
    most = mode.list_lag_most // _SECOND
    if mode.broken is not Broken.LIST_LAG and rng.random() < 0.3:
        return (timedelta(0),)
    return tuple(rng.choice((0, most, rng.randrange(most + 1))) * _SECOND for _ in range(4))


def _rates(rng: Random, mode: Mode) -> Rates:
    def often(least: float, most: float, none: float = 0.3) -> float:
        return 0.0 if rng.random() < none else rng.uniform(least, most)

    return Rates(
        advance=rng.uniform(0.01, 0.1),
        jump=rng.uniform(0.05, 0.6),
        crash=often(0.002, 0.02),
        cancel=often(0.002, 0.01, 0.6),
        clock=often(0.002, 0.01, 0.6),
        elsewhere=often(0.002, 0.02, 0.5),
        dispute=often(0.001, 0.01, 0.6),
        fate=often(0.002, 0.02, 0.5),
        funds=often(0.002, 0.02, 0.5),
        hold=often(0.02, 0.2, 0.25),
        send_fault=rng.choice((0.1, 0.4, 0.7, 0.95)),
        look_fault=often(0.02, 0.3),
        append_fault=often(0.01, 0.15) if mode.broken is not Broken.APPEND_LOST else 0.1,
        read_fault=often(0.01, 0.1, 0.6),
        repeat=rng.uniform(0.1, 0.6),
        foreign=often(0.02, 0.1, 0.5),
        sense=rng.choice((0.3, 0.6, 0.9)),
        most_in_flight=rng.choice((1, 2, 2, 3, 5)),
    )
