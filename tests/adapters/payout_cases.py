"""Payouts of every sort, explained: what pictures, tables and exports of a statement are tried on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from refund_domain.money import Currency, Money
from refund_domain.payouts.entries import CATEGORIES, EARNED, About, BalanceEntry, Group
from refund_domain.payouts.funds import Payout, PayoutStatus
from refund_domain.payouts.statement import Label, PayoutStatement, explain

NOON_S = 1_772_539_200
"""2026-03-03, 12:00 UTC."""


def entry(
    id: str,
    category: str,
    minor: int,
    charge: str | None = None,
    *,
    fee: int = 0,
    currency: str = "usd",
    seen: Money | None = None,
) -> BalanceEntry:
    """One entry, of a charge or of something of that charge."""
    about = None
    if charge is not None:
        about = About(id=charge if category == "charge" else f"re_{id}", charge=charge, amount=seen)
    return BalanceEntry(
        id=id,
        category=category,
        amount_minor=minor,
        fee_minor=fee,
        net_minor=minor - fee,
        currency=currency,
        created_s=NOON_S,
        available_s=NOON_S,
        about=about,
    )


def label(charge: str) -> str | None:
    """The host knows one payment."""
    return "booking 1042" if charge == "ch_1" else None


def payout(
    minor: int,
    currency: str = "USD",
    *,
    status: PayoutStatus = PayoutStatus.PAID,
    automatic: bool = True,
    id: str = "po_1NxYzA2eZvKYlo2C",
) -> Payout:
    """A payout of this amount, of one day."""
    return Payout(
        id=id,
        amount=Money(minor, Currency.of(currency)),
        arrives_on=date(2026, 3, 4),
        status=status,
        automatic=automatic,
        reconciled=automatic,
    )


def made_of(
    entries: Iterable[BalanceEntry], *, more: int = 0, labels: Label = label, currency: str = "USD"
) -> PayoutStatement:
    """The statement of a payout of just these entries; `more` is what none accounts for."""
    listed = list(entries)
    whole = payout(sum(each.net_minor for each in listed) + more, currency)
    return explain(whole, listed, label=labels)


def refunds(count: int) -> list[BalanceEntry]:
    """So many refunds, each of another amount and payment."""
    return [entry(f"t{number}", "refund", -1_000 * number - 5, f"ch_{number}") for number in range(1, count + 1)]


def everything() -> list[BalanceEntry]:
    """Entries of every group that can change a payout, some up and some down, and a dozen refunds."""
    changing = {group: word for word, group in CATEGORIES.items() if group not in EARNED}
    entries = [entry("c", "charge", 100_000, "ch_99", fee=300), *refunds(12), entry("zz", "a_new_word", -777)]
    for number, (group, word) in enumerate(changing.items()):
        if group is not Group.REFUNDS:
            entries.append(entry(f"x{number}", word, (-1) ** number * (1_000 + 500 * number)))
    return entries


SOLD = entry("c", "charge", 51_500, "ch_9", fee=1_500)
BACK = entry("r", "refund", -20_000, "ch_1")
HILL_ROAD = "Inspection of the old farm house with barn at {} Hill Road, Springfield, and of its annex"

STORY = made_of([SOLD, BACK])
"""The product's own story: paid 500.00 for one inspection, 200.00 refunded to another client."""

CASES: dict[str, PayoutStatement] = {
    "story": STORY,
    "twelve long names": made_of([SOLD, *refunds(12)], labels=HILL_ROAD.format, more=50_000),
    "names without spaces": made_of(
        [SOLD, *refunds(8)], labels=lambda charge: f"https://host.example/{charge * 20}"
    ),
    "a bank debit": made_of([SOLD, entry("r", "refund", -58_000, "ch_1")]),
    "only a debit": made_of([BACK]),
    "failed and given back": made_of([SOLD, BACK, entry("f", "refund_failure", 20_000, "ch_1")]),
    "a refund with a fee": made_of([SOLD, entry("r", "refund", -20_000, "ch_1", fee=250)]),
    "a dispute that was won": made_of(
        [SOLD, BACK, entry("d", "dispute", -2_000, "ch_3"), entry("w", "dispute_reversal", 2_000, "ch_3")]
    ),
    "a dispute": made_of([SOLD, BACK, entry("d", "dispute", -2_000, "ch_3", fee=1_500)]),
    "two currencies": made_of(
        [SOLD, entry("r", "refund", -21_683, "ch_1", seen=Money(-20_000, Currency.of("EUR")))]
    ),
    "a cent too much": made_of([SOLD, BACK], more=1),
    "a cent too little": made_of([SOLD, BACK], more=-1),
    "an estimate": explain(
        payout(31_000, status=PayoutStatus.IN_TRANSIT, automatic=False), [SOLD, BACK], label=label, estimate=True
    ),
    "yen": made_of(
        [entry("c", "charge", 500, "ch_9", currency="jpy"), entry("r", "refund", -200, "ch_1", currency="jpy")],
        currency="JPY",
    ),
    "dinars": made_of(
        [entry("c", "charge", 500_005, "ch_9", currency="kwd"), entry("r", "refund", -9, "ch_1", currency="kwd")],
        currency="KWD",
    ),
    "nothing left": made_of([entry("c", "charge", 20_000, "ch_9"), BACK]),
    "nothing at all": made_of([]),
    "the most there is": made_of([entry("c", "charge", 10**15, "ch_9"), entry("r", "refund", -1, "ch_1")]),
    "the least there is": made_of([entry("r", "refund", -(10**15), "ch_1")]),
    "everything": made_of(everything(), more=101),
    "formulas": made_of([SOLD, *refunds(2)], labels={"ch_1": "$x^{", "ch_2": "\\frac$_$"}.get),
}
"""Each sort of payout, by what is odd about it."""
