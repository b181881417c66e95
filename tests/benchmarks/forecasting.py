"""B5: which refund takes how much from which payout, from one refund to a million over a million payouts.

The peers are what one would write instead: a loop over all payouts for each refund, and the merge of two running
sums in numpy and in polars. All start from Python lists, as a caller has them.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from datetime import date
from typing import Final

from refund_domain.money import Currency, Money
from refund_domain.payouts.funds import Balance, Payout
from refund_domain.rules.funding import forecast_funding, forecast_fundings, net
from tests.benchmarks.peers import numpy, polars
from tests.benchmarks.timing import Case, Timed, measure

USD: Final = Currency.of("USD")
Row = tuple[int, int, int]
"""Which refund, which payout, how much; the payout behind the last is the bank account."""


def amounts(count: int, seed: int) -> list[int]:
    """So many amounts of 1 to 50,000 minor units."""
    chance = random.Random(seed)
    return [chance.randint(1, 50_000) for _ in range(count)]


def ours(refunds: Sequence[int], payouts: Sequence[int]) -> list[Row]:
    """By the library."""
    return [(refund, payout, taken) for refund, payout, taken, _ in net(refunds, payouts)]


def naive(refunds: Sequence[int], payouts: Sequence[int]) -> list[Row]:
    """By a loop over all payouts for each refund."""
    left = list(payouts)
    rows: list[Row] = []
    for refund, asked in enumerate(refunds):
        wanted = asked
        for payout, there in enumerate(left):
            taken = min(wanted, there)
            if taken:
                left[payout] -= taken
                wanted -= taken
                rows.append((refund, payout, taken))
        if wanted:
            rows.append((refund, len(left), wanted))
    return rows


def by_numpy(refunds: Sequence[int], payouts: Sequence[int]) -> tuple[object, object, object]:
    """By the merge of two running sums; columns of refund, payout and amount."""
    np = numpy()
    gone = np.cumsum(np.array(refunds))
    held = np.cumsum(np.array(payouts))
    edges = np.concatenate((gone, held[held < gone[-1]]))
    edges.sort(kind="stable")  # two runs in order already, which this merges
    edges = edges[np.append(True, edges[1:] != edges[:-1])]
    starts = np.concatenate(([0], edges[:-1]))
    return (
        np.searchsorted(gone, starts, side="right"),
        np.searchsorted(held, starts, side="right"),
        edges - starts,
    )


def by_polars(refunds: Sequence[int], payouts: Sequence[int]) -> tuple[object, object, object]:
    """By the same merge, as joins of sorted frames."""
    pl = polars()
    gone = pl.DataFrame({"refund": range(len(refunds)), "edge": pl.Series(refunds).cum_sum()})
    held = pl.DataFrame({"payout": range(len(payouts)), "edge": pl.Series(payouts).cum_sum()})
    last = gone["edge"][-1]
    edges = pl.concat([gone["edge"], held["edge"].filter(held["edge"] < last)]).unique().sort()
    frame = pl.DataFrame({"edge": edges}).sort("edge")
    frame = frame.join_asof(gone.sort("edge"), on="edge", strategy="forward")
    frame = frame.join_asof(held.sort("edge"), on="edge", strategy="forward")
    taken = frame["edge"].diff().fill_null(frame["edge"][0])
    return frame["refund"], frame["payout"].fill_null(len(payouts)), taken


def check(size: int) -> None:
    """Raise RuntimeError unless all say the same, row by row, where the payouts suffice and where they do not."""
    for refunds, payouts in ((amounts(size, 1), amounts(size, 2)), (amounts(size, 3), amounts(size // 2, 4))):
        expected = ours(refunds, payouts)
        told = [naive(refunds, payouts)] if size <= 2_000 else []
        told += [
            list(zip(*(map(int, column) for column in columns), strict=True))  # type: ignore[call-overload]
            for columns in (by_numpy(refunds, payouts), by_polars(refunds, payouts))
        ]
        if any(rows != expected for rows in told):
            raise RuntimeError("two ways to net refunds over payouts disagree; nothing was timed")


def _of_size(size: int, name: str, *, slow: bool) -> list[Case]:
    refunds, payouts = amounts(size, 1), amounts(size, 2)

    def total_of(way: Callable[[Sequence[int], Sequence[int]], tuple[object, object, object]]) -> int:
        return int(way(refunds, payouts)[2].sum())  # type: ignore[attr-defined]

    whole = sum(refunds)
    peers = [
        Case(name=f"numpy from lists, {name}", work=lambda: total_of(by_numpy), answer=whole, calls=size),
        Case(name=f"polars, {name}", work=lambda: total_of(by_polars), answer=whole, calls=size),
    ]
    if slow:
        loop = lambda: sum(taken for _, _, taken in naive(refunds, payouts))  # noqa: E731
        peers.append(Case(name=f"a loop over all payouts, {name}", work=loop, answer=whole, calls=size))
    mine = Case(
        name=f"net, {name}, per refund",
        work=lambda: deque(net(refunds, payouts), maxlen=1)[0][:3],
        answer=ours(refunds, payouts)[-1],
        calls=size,
        reach="≤ 1.5×",
        against=peers[0].name,
    )
    return [mine, *peers]


def _values(size: int) -> Case:
    """The same as values with a part for each row: what a quote of many bookings shows."""
    refunds = [Money(minor, USD) for minor in amounts(size, 1)]
    payouts = [
        Payout(id=f"po_{number}", amount=Money(minor, USD), arrives_on=date(2026, 3, 4))
        for number, minor in enumerate(amounts(size, 2))
    ]
    return Case(
        name=f"forecast_fundings, {size:,} refunds × {size:,} payouts as values, per refund",
        work=lambda: len(forecast_fundings(refunds, payouts)),
        answer=size,
        calls=size,
    )


def _tiny(factor: int) -> list[Case]:
    """One refund and three payouts."""
    waiting = [
        Payout(id=f"po_{day}", amount=Money(20_000, USD), arrives_on=date(2026, 3, day)) for day in (4, 5, 6)
    ]
    amount, minor = Money(15_000, USD), [20_000] * 3
    balance = Balance(available=Money(60_000, USD))
    funding = forecast_funding(amount, waiting, balance, method="card")
    return [
        Case(
            name="net, one refund × three payouts",
            work=lambda: list(net([15_000], minor)),
            number=200 * factor,
            answer=[(0, 0, 15_000, 5_000)],
            reach="≤ 5 µs",
        ),
        Case(
            name="forecast_funding, one refund × three payouts and the balance, with all checks",
            work=lambda: forecast_funding(amount, waiting, balance, method="card"),
            number=100 * factor,
            answer=funding,
        ),
        Case(
            name="numpy from lists, one refund × three payouts",
            work=lambda: len(by_numpy([15_000], minor)),
            number=50 * factor,
            answer=3,
        ),
    ]


def b5(quick: bool) -> list[Timed]:
    """The rows of B5."""
    check(300 if quick else 2_000)
    if not quick:
        check(100_000)
    sizes = [(200, "200 × 200", True)] if quick else [(1_000, "10³ × 10³", True), (10_000, "10⁴ × 10⁴", False)]
    rounds = 2 if quick else 7
    rows: list[Timed] = []
    for size, name, slow in sizes:
        rows += measure(_of_size(size, name, slow=slow), rounds)
    for size, name in [] if quick else [(100_000, "10⁵ × 10⁵"), (1_000_000, "10⁶ × 10⁶")]:
        rows += measure(_of_size(size, name, slow=False), 5)
    rows += measure([_values(200 if quick else 10_000)], rounds)
    rows += measure(_tiny(1 if quick else 20), rounds)
    return rows
