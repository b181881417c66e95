"""A finished payout, explained to the cent: what it was made of, and why it is less than it was expected to be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

import attrs

from refund_domain._checks import check_count, check_tuple, check_type, one_line
from refund_domain.money import Money
from refund_domain.payouts.entries import CATEGORIES, EARNED, OWN, About, Entry, Group
from refund_domain.payouts.funds import Payout, PayoutStatus, taken_words

KEPT_MOST: Final = 10_000
"""How many lines a statement keeps; `lines` gives them all."""

Label = Callable[[str], str | None]
"""The host's words for the payment with this charge id ("booking 1042"); None where it knows none.

They are told in one line, without what cannot be shown or steers a terminal; where nothing is left, there is none.
"""

FeeOf = Callable[[str], Money | None]
"""What the processor kept of the payment with this charge id, where the payout does not hold that payment."""


class EntryOdd(ValueError):
    """An entry contradicts itself or its payout; nothing is explained by it."""


@attrs.frozen(kw_only=True)
class Line:
    """One entry in a statement. `net` is what it adds to the payout; a refund's is negative.

    `label` is the host's word for the payment behind it. `fee_kept` is, on a refund, what the processor keeps of
    the payment it gives back: what the refund cost beside its amount; None where it is not known. `carried` says
    that it belongs to what was carried over.
    """

    id: str
    group: Group
    category: str
    amount: Money
    fee: Money
    at: datetime
    about: About | None = None
    label: str | None = None
    fee_kept: Money | None = None
    carried: bool = False

    @property
    def net(self) -> Money:
        """What it adds to the payout."""
        return self.amount - self.fee

    @property
    def name(self) -> str:
        """What to call it: the host's label, else the payment's id, else the entry's own."""
        if self.label is not None:
            return self.label
        if self.about is None:
            return self.id
        return f"payment {self.about.charge}" if self.about.charge is not None else self.about.id


@attrs.frozen(kw_only=True)
class Total:
    """What all entries of one group add to the payout, and how many there are.

    Fees of what came in are a group of their own, which counts only entries that are nothing but fees.
    """

    group: Group
    amount: Money
    count: int


@attrs.frozen(kw_only=True)
class PayoutStatement:
    """A payout and what it was made of; the totals add up to it exactly, whatever the entries said.

    `totals` holds one row for each group that has entries, in the order of `Group`; what no entry accounts for
    is `Group.UNEXPLAINED`. `lines` are at most `KEPT_MOST`, refunds first and else as they came; `left_out` is
    how many more there are. `estimate`: drawn up by dates, because the gateway does not say what is in this
    payout.

    Refuses (ValueError) totals that do not add up, or stand twice or in another order.
    """

    payout: Payout
    totals: tuple[Total, ...]
    lines: tuple[Line, ...] = ()
    left_out: int = 0
    estimate: bool = False

    def __attrs_post_init__(self) -> None:
        check_type(self.payout, Payout, "payout")
        check_tuple(self.totals, Total, "totals")
        check_tuple(self.lines, Line, "lines")
        check_count(self.left_out, "left_out", 0, 10**12)
        places = [_ORDER[total.group] for total in self.totals]
        if places != sorted(set(places)):
            raise ValueError("totals must name each group once, in the order of Group")
        if sum(total.amount.amount_minor for total in self.totals) != self.payout.amount.amount_minor:
            raise ValueError("totals must add up to the payout exactly")

    def total(self, group: Group) -> Money:
        """What this group adds to the payout; nothing where it has no entries."""
        found = (total.amount for total in self.totals if total.group is group)
        return next(found, Money.zero(self.payout.amount.currency))

    @property
    def paid(self) -> Money:
        """What was paid out, or taken from the bank account where it is negative."""
        return self.payout.amount

    @property
    def expected(self) -> Money:
        """What it would have been had nothing gone back: payments and earnings, less their fees."""
        minor = sum(total.amount.amount_minor for total in self.totals if total.group in EARNED)
        return Money(minor, self.payout.amount.currency)

    @property
    def changes(self) -> tuple[Total, ...]:
        """The groups that made it another amount than expected."""
        return tuple(total for total in self.totals if total.group not in EARNED)

    @property
    def refunds(self) -> tuple[Line, ...]:
        """The lines of refunds."""
        return tuple(line for line in self.lines if line.group is Group.REFUNDS)

    @property
    def refunds_cost(self) -> Money:
        """What the refunds among the lines cost beside their amounts, as far as is known: fees kept and taken.

        The fee of a payment counts once, however many refunds gave it back, and not for a refund that failed.
        """
        failed = {line.about.id for line in self.lines if line.group is Group.REFUND_FAILURES and line.about}
        taken_minor = 0
        kept_minor: dict[str | None, int] = {}  # by the charge
        for line in self.refunds:
            taken_minor += line.fee.amount_minor
            about, kept = line.about, line.fee_kept
            if (
                about is not None
                and about.id not in failed
                and kept is not None
                and kept.currency == self.paid.currency
            ):
                kept_minor[about.charge] = kept.amount_minor
        return Money(taken_minor + sum(kept_minor.values()), self.paid.currency)

    @property
    def sentence(self) -> str:
        """One sentence for the merchant.

        >>> from refund_domain.payouts.entries import BalanceEntry
        >>> from datetime import date
        >>> payout = Payout(id="po_1", amount=Money.parse("300.00", "USD"), arrives_on=date(2026, 3, 4))
        >>> def entry(id: str, category: str, minor: int, charge: str) -> BalanceEntry:
        ...     return BalanceEntry(
        ...         id=id, category=category, amount_minor=minor, fee_minor=0, net_minor=minor,
        ...         currency="usd", created_s=0, available_s=0, about=About(id=id, charge=charge),
        ...     )
        >>> entries = [entry("txn_2", "refund", -20_000, "ch_1"), entry("txn_1", "charge", 50_000, "ch_2")]
        >>> print(explain(payout, entries, label={"ch_1": "booking 1042"}.get).sentence)
        300.00 USD instead of 500.00 USD: 200.00 USD went back to the client of booking 1042.
        """
        return _sentence(self)

    def __str__(self) -> str:
        return self.sentence


_ORDER: Final = {group: place for place, group in enumerate(Group)}
_GROUPS: Final = tuple(Group)
_PLACES: Final = {category: _ORDER[group] for category, group in CATEGORIES.items()}
_OTHER: Final = _ORDER[Group.OTHER]
_FEE_PLACES: Final = tuple(_ORDER[Group.FEES if group in EARNED else group] for group in _GROUPS)
"""Where the fee of an entry counts, by the entry's own place."""
_PAYMENTS: Final = _ORDER[Group.PAYMENTS]
_CARRIED_OVER: Final = _ORDER[Group.CARRIED_OVER]
_OWN: Final = _ORDER[Group.OTHER_PAYOUTS]
_REFUNDS: Final = _ORDER[Group.REFUNDS]
_FIRST: Final = frozenset([_REFUNDS, _ORDER[Group.REFUND_FAILURES]])
"""The groups whose lines are kept before all others'."""


def explain(
    payout: Payout,
    entries: Iterable[Entry],
    *,
    label: Label | None = None,
    fee_of: FeeOf | None = None,
    estimate: bool = False,
) -> PayoutStatement:
    """What this payout was made of; `entries` are read once, one after the other, and need not fit into memory.

    The payout's own entry among them is passed over. Entries that were available at `payout.missed_at` and add
    up to less than nothing are what was carried over. `label` is asked for each kept line that has a charge,
    `fee_of` for each kept refund of a payment that stands in another payout. Raises `EntryOdd` for an entry in
    another currency than the payout's, or whose amount less its fee is not its net.

    >>> from datetime import date
    >>> payout = Payout(id="po_1", amount=Money.parse("0.01", "USD"), arrives_on=date(2026, 3, 4))
    >>> statement = explain(payout, ())
    >>> [(str(total.group), str(total.amount)) for total in statement.totals]
    [('unexplained', '0.01 USD')]
    """
    explanation = Explanation(payout, label=label, fee_of=fee_of, estimate=estimate)
    explanation.add(entries)
    return explanation.statement()


def lines(
    payout: Payout, entries: Iterable[Entry], *, label: Label | None = None, fee_of: FeeOf | None = None
) -> Iterator[Line]:
    """Every entry of the payout as a `Line`, as it comes; for a table of all of them. Raises as `explain` does.

    `fee_kept` is what `fee_of` says, for a payment in the same payout may come later; `carried` is never set, for
    what was carried over is known at the end.
    """
    for entry in entries:
        _check(entry, payout)
        if not _is_own(entry, payout):
            yield _line(entry, payout, label, fee_of, {})


class Explanation:
    """A statement while its entries are read: `add` them in as many portions as they come in, then ask for it."""

    __slots__ = (
        "_carried", "_carried_counts", "_counts", "_estimate", "_fee_of", "_fees_of", "_first", "_label",
        "_missed_s", "_payout", "_rest", "_sums",
    )  # fmt: skip

    def __init__(
        self, payout: Payout, *, label: Label | None = None, fee_of: FeeOf | None = None, estimate: bool = False
    ) -> None:
        check_type(payout, Payout, "payout")
        self._payout, self._label, self._fee_of, self._estimate = payout, label, fee_of, estimate
        self._missed_s = -1 if payout.missed_at is None else int(payout.missed_at.timestamp())
        self._sums, self._counts = [0] * len(_GROUPS), [0] * len(_GROUPS)
        self._carried, self._carried_counts = [0] * len(_GROUPS), [0] * len(_GROUPS)
        self._first: list[Entry] = []
        self._rest: list[Entry] = []
        self._fees_of: dict[str, int | None] = {}  # by the charge of each kept refund

    @property
    def seen(self) -> int:
        """How many entries were read so far, the payout's own left out."""
        return sum(self._counts) + sum(self._carried_counts)

    def add(self, entries: Iterable[Entry]) -> None:
        """Read these entries too. Raises `EntryOdd`; what came before it is counted."""
        currency, missed_s = self._payout.amount.currency.code.lower(), self._missed_s
        now, before = (self._sums, self._counts), (self._carried, self._carried_counts)
        place_of, rest, fees_of = _PLACES.get, self._rest, self._fees_of
        room = KEPT_MOST - len(rest)
        for entry in entries:  # a million times: what is looked up once is not looked up here
            amount_minor, fee_minor = entry.amount_minor, entry.fee_minor
            if amount_minor - fee_minor != entry.net_minor or entry.currency != currency:
                _check(entry, self._payout)
            place = place_of(entry.category, _OTHER)
            if place == _OWN and _is_own(entry, self._payout):
                continue
            sums, counts = now if entry.available_s > missed_s else before
            sums[place] += amount_minor
            counts[place] += 1
            if fee_minor:
                sums[_FEE_PLACES[place]] -= fee_minor
            if place == _PAYMENTS and fees_of and (charge := entry.source_id) in fees_of:
                fees_of[charge] = fee_minor
            if place in _FIRST:
                self._keep(entry)
            elif room:
                rest.append(entry)
                room -= 1

    def _keep(self, entry: Entry) -> None:
        if len(self._first) < KEPT_MOST:
            self._first.append(entry)
            if entry.about is not None and entry.about.charge is not None:
                self._fees_of.setdefault(entry.about.charge, None)

    def statement(self) -> PayoutStatement:
        """The statement of what was read so far; what is missing of the payout is unexplained."""
        currency, sums, counts = self._payout.amount.currency, list(self._sums), list(self._counts)
        carries = sum(self._carried) < 0
        if carries:
            sums[_CARRIED_OVER], counts[_CARRIED_OVER] = sum(self._carried), sum(self._carried_counts)
        else:
            sums = [now + before for now, before in zip(sums, self._carried, strict=True)]
            counts = [now + before for now, before in zip(counts, self._carried_counts, strict=True)]
        sums[_ORDER[Group.UNEXPLAINED]] = self._payout.amount.amount_minor - sum(sums)
        kept = (*self._first, *self._rest[: KEPT_MOST - len(self._first)])
        return PayoutStatement(
            payout=self._payout,
            totals=tuple(
                Total(group=group, amount=Money(minor, currency), count=count)
                for group, minor, count in zip(_GROUPS, sums, counts, strict=True)
                if minor or count
            ),
            lines=tuple(self._line(entry, carries) for entry in kept),
            left_out=self.seen - len(kept),
            estimate=self._estimate,
        )

    def _line(self, entry: Entry, carries: bool) -> Line:
        line = _line(entry, self._payout, self._label, self._fee_of, self._fees_of)
        return attrs.evolve(line, carried=True) if carries and entry.available_s <= self._missed_s else line


def _check(entry: Entry, payout: Payout) -> None:
    """Raise `EntryOdd` for what cannot be a part of this payout."""
    if entry.amount_minor - entry.fee_minor != entry.net_minor:
        raise EntryOdd(f"entry {entry.id} does not add up: its amount less its fee is not its net")
    if entry.currency != payout.amount.currency.code.lower():
        raise EntryOdd(f"entry {entry.id} is not in {payout.amount.currency}, the currency of payout {payout.id}")


def _is_own(entry: Entry, payout: Payout) -> bool:
    return entry.category == OWN and entry.source_id == payout.id


def _line(
    entry: Entry,
    payout: Payout,
    label: Label | None,
    fee_of: FeeOf | None,
    fees_of: Mapping[str, int | None],
) -> Line:
    place, currency, about = _PLACES.get(entry.category, _OTHER), payout.amount.currency, entry.about
    charge = None if about is None else about.charge
    fee_kept: Money | None = None
    if place == _REFUNDS and charge is not None:
        minor = fees_of.get(charge)
        if minor is not None:
            fee_kept = Money(minor, currency)
        elif fee_of is not None:
            fee_kept = fee_of(charge)
    return Line(
        id=entry.id,
        group=_GROUPS[place],
        category=entry.category,
        amount=Money(entry.amount_minor, currency),
        fee=Money(entry.fee_minor, currency),
        at=datetime.fromtimestamp(entry.created_s, UTC),
        about=about,
        label=None if label is None or charge is None else _shown(label(charge)),
        fee_kept=fee_kept,
    )


def _shown(label: str | None) -> str | None:
    """A label on one line that any screen, JSON or CSV takes; None for one of nothing."""
    if label is None:
        return None
    check_type(label, str, "what label returns")
    return one_line(label) or None


# --- the sentence -----------------------------------------------------------------------------------------------

_NAMED_MOST: Final = 3
"""How many refunds a sentence names; more are counted."""

_OUT: Final = {
    Group.REFUNDS: "went back to clients",
    Group.REFUND_FAILURES: "of refunds that failed was taken again",
    Group.TRANSFERS_BACK: "of transfers was pulled back",
    Group.PLATFORM_FEES_BACK: "of platform fees was given back",
    Group.FAILED_PAYMENTS: "of bank debits was returned",
    Group.DISPUTES: "was taken for disputes",
    Group.RESERVES: "is held back as a reserve",
    Group.FINANCING: "went to financing",
    Group.ADJUSTMENTS: "was taken by adjustments",
    Group.FAILED_PAYOUTS: "of earlier payouts was taken again",
    Group.OTHER_PAYOUTS: "was paid out by other payouts",
    Group.CARRIED_OVER: "made up for a balance below nothing from before",
    Group.OTHER: "was taken by other entries",
    Group.UNEXPLAINED: "is missing and not explained",
}
"""What is said of a group that made the payout smaller."""

_IN: Final = {
    Group.REFUNDS: "came with refunds",
    Group.REFUND_FAILURES: "came back from refunds that failed",
    Group.TRANSFERS_BACK: "came back from transfers",
    Group.PLATFORM_FEES_BACK: "came with platform fees that were given back",
    Group.FAILED_PAYMENTS: "came with bank debits that had failed",
    Group.DISPUTES: "came back from disputes",
    Group.RESERVES: "was released from a reserve",
    Group.FINANCING: "came from financing",
    Group.ADJUSTMENTS: "was added by adjustments",
    Group.FAILED_PAYOUTS: "came back from earlier payouts that did not arrive",
    Group.OTHER_PAYOUTS: "came with other payouts",
    Group.OTHER: "was added by other entries",
    Group.UNEXPLAINED: "more is there and not explained",
}
"""What is said of a group that made it larger."""


_ENDED: Final = {
    PayoutStatus.FAILED: ("failed", "came back to the balance"),
    PayoutStatus.CANCELED: ("was canceled", "stays in the balance"),
}
"""What became of a payout that did not arrive, and of its money."""


def _sentence(statement: PayoutStatement) -> str:
    paid, expected, payout = statement.paid, statement.expected, statement.payout
    said = [words for total in statement.changes for words in _said(total, statement)]
    head = f"{-paid} {taken_words(payout)}" if payout.is_debit else f"{paid}"
    if expected != paid:
        head += f" instead of {expected} paid out" if payout.is_debit else f" instead of {expected}"
    elif not said:
        head += ", as expected"
    text = f"{head}: {'; '.join(said)}." if said else f"{head}."
    if payout.status in _ENDED:
        how, money = _ENDED[payout.status]
        text += (
            f" This debit {how}: nothing was taken."
            if payout.is_debit
            else f" This payout {how}: its money {money}."
        )
    return f"{text} An estimate by dates." if statement.estimate else text


def _said(total: Total, statement: PayoutStatement) -> Iterator[str]:
    minor = total.amount.amount_minor
    if not minor:
        return
    if total.group is Group.REFUNDS and minor < 0:
        yield from _refunds_said(total, [line for line in statement.refunds if not line.carried])
    elif total.group is Group.CARRIED_OVER:
        yield f"{-total.amount} {_OUT[total.group]}{_carried_said(statement)}"
    elif minor < 0:
        yield f"{-total.amount} {_OUT[total.group]}"
    else:
        yield f"{total.amount} {_IN[total.group]}"


def _carried_said(statement: PayoutStatement) -> str:
    """Which refunds are among what was carried over, if they are few."""
    refunds = [line for line in statement.refunds if line.carried]
    if not 0 < len(refunds) <= _NAMED_MOST:
        return ""
    return f" ({', '.join(f'{-line.amount} had gone back {_to(line)}' for line in refunds)})"


def _refunds_said(total: Total, refunds: list[Line]) -> Iterator[str]:
    """What went back to whom, and apart from it the fees; both in one where not every refund has a line."""
    if len(refunds) != total.count or any(line.amount.amount_minor > 0 for line in refunds):
        yield f"{-total.amount} was taken by {total.count:,} refunds"
        return
    fees_minor = sum(line.fee.amount_minor for line in refunds)
    fees = Money(abs(fees_minor), total.amount.currency)
    if len(refunds) <= _NAMED_MOST:
        yield from (f"{-line.amount} went back {_to(line)}" for line in refunds)
    else:
        back = Money(-total.amount.amount_minor - fees_minor, total.amount.currency)
        yield f"{back} went back to clients in {total.count:,} refunds"
    if fees_minor > 0:
        yield f"{fees} was taken as fees of these refunds"
    elif fees_minor < 0:
        yield f"{fees} of fees came back with these refunds"


def _to(refund: Line) -> str:
    """To whom: the client of a payment that has a name; where it has none, nobody's client is made up."""
    known = refund.label is not None or (refund.about is not None and refund.about.charge is not None)
    return f"{'to the client of' if known else 'by'} {refund.name}"
