"""From what a payout was expected to be, step by step, to what it is: what pictures, bars and tables show.

One place for the arithmetic, so that a picture, a terminal and a spreadsheet never tell three stories.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import attrs

from refund_adapters.wording import GROUP
from refund_domain._checks import check_count, check_type, one_line
from refund_domain.money import Money
from refund_domain.payouts.entries import Group
from refund_domain.payouts.funds import PayoutStatus, taken_words
from refund_domain.payouts.statement import Line, PayoutStatement, Total

NAMED_MOST: Final = 8
"""How many refunds have a step of their own; of more, the largest have, and the rest share one."""


class Kind(StrEnum):
    """What a step does."""

    EXPECTED = "expected"
    TAKEN = "taken"
    ADDED = "added"
    UNEXPLAINED = "unexplained"
    PAID = "paid"


@attrs.frozen(kw_only=True)
class Part:
    """One part of a payout: a group, or of refunds one by name, or those that are not named."""

    group: Group
    name: str
    amount: Money
    count: int
    line: Line | None = None


@attrs.frozen(kw_only=True)
class Step:
    """One step: the payout stood at `before` and stands at `after`. The first and the last begin at nothing."""

    kind: Kind
    name: str
    before: Money
    after: Money

    @property
    def amount(self) -> Money:
        """What it adds."""
        return self.after - self.before

    @property
    def is_sum(self) -> bool:
        """Whether it is the first or the last: an amount, and no change of one."""
        return self.kind in (Kind.EXPECTED, Kind.PAID)

    @property
    def said(self) -> str:
        """The amount without its currency; a change bears its sign, so that nothing rests on a colour."""
        sign = "" if self.is_sum or self.amount.amount_minor < 0 else "+"
        return f"{sign}{self.amount.major}"


def steps(statement: PayoutStatement, *, named: int = NAMED_MOST) -> tuple[Step, ...]:
    """The steps from expected to paid; each begins where the one before it ended, to the minor unit.

    At most `named` refunds have a step each. A group that changed nothing in the end has none.

    >>> from datetime import date
    >>> from refund_domain.payouts.funds import Payout
    >>> payout = Payout(id="po_1", amount=Money.parse("300.00", "USD"), arrives_on=date(2026, 3, 4))
    >>> totals = (
    ...     Total(group=Group.PAYMENTS, amount=Money.parse("500.00", "USD"), count=1),
    ...     Total(group=Group.REFUNDS, amount=Money.parse("-200.00", "USD"), count=1),
    ... )
    >>> [(step.name, step.said) for step in steps(PayoutStatement(payout=payout, totals=totals))]
    [('Expected', '500.00'), ('1 refund', '-200.00'), ('Payout', '300.00')]
    """
    return tuple(_steps(statement, named))


def _steps(statement: PayoutStatement, named: int) -> Iterator[Step]:
    nothing, at = Money.zero(statement.paid.currency), statement.expected
    yield Step(kind=Kind.EXPECTED, name="Expected", before=nothing, after=at)
    for part in parts(statement, statement.changes, named=named):
        if part.amount.amount_minor:
            kind = Kind.TAKEN if part.amount.amount_minor < 0 else Kind.ADDED
            if part.group is Group.UNEXPLAINED:
                kind = Kind.UNEXPLAINED
            name = part.name if part.line is None else f"Refund: {part.name}"
            yield Step(kind=kind, name=name, before=at, after=at + part.amount)
            at += part.amount
    yield Step(kind=Kind.PAID, name=end_name(statement), before=nothing, after=at)


def parts(statement: PayoutStatement, totals: tuple[Total, ...], *, named: int | None = None) -> Iterator[Part]:
    """These totals, the one of refunds taken apart: they add up to what the totals add up to.

    At most `named` refunds are named (None: all that the statement has a line of).
    """
    check_type(statement, PayoutStatement, "statement")
    if named is not None:
        check_count(named, "named", 1, 10_000)
    for total in totals:
        if total.group is Group.REFUNDS:
            yield from _refunds(statement, total, named)
        else:
            yield Part(group=total.group, name=GROUP[total.group], amount=total.amount, count=total.count)


def _refunds(statement: PayoutStatement, total: Total, named: int | None) -> Iterator[Part]:
    lines = [line for line in statement.refunds if not line.carried]
    if named is not None and total.count > named:
        lines = sorted(lines, key=lambda line: line.net.amount_minor)[: named - 1]
    rest, count = total.amount, total.count - len(lines)
    for line in lines:
        rest -= line.net
        yield Part(group=Group.REFUNDS, name=name_of(line), amount=line.net, count=1, line=line)
    if count or rest.amount_minor:
        more = "more " if lines else ""
        name = f"{count:,} {more}refund{'' if count == 1 else 's'}" if count else "Other refunds"
        yield Part(group=Group.REFUNDS, name=name, amount=rest, count=count)


def name_of(line: Line) -> str:
    """What to call a line, in one line; with what the client saw, where they paid in another currency."""
    seen = None if line.about is None else line.about.amount
    if seen is None or seen.currency == line.amount.currency:
        return one_line(line.name)
    return f"{one_line(line.name)} ({-seen if seen.amount_minor < 0 else seen})"


def end_name(statement: PayoutStatement) -> str:
    """What to call the amount of the payout: nothing that has not happened yet."""
    if statement.payout.is_debit:
        return taken_words(statement.payout).capitalize()
    return "Paid out" if statement.payout.status is PayoutStatus.PAID else "Payout"


def headline(statement: PayoutStatement) -> str:
    """What became of it, without the reasons: they are the steps."""
    paid, expected = statement.paid, statement.expected
    if statement.payout.is_debit:
        return f"{-paid} {taken_words(statement.payout)}"
    return f"{paid} instead of {expected}" if expected != paid else f"{paid}, as expected"


def heading(statement: PayoutStatement) -> str:
    """Which payout it is, how it stands, and whether this is an estimate.

    >>> from datetime import date
    >>> from refund_domain.payouts.funds import Payout
    >>> payout = Payout(id="po_1", amount=Money.parse("0.00", "USD"), arrives_on=date(2026, 3, 4))
    >>> heading(PayoutStatement(payout=payout, totals=(), estimate=True))
    'Payout po_1 of 2026-03-04, pending: an estimate by dates'
    """
    payout = statement.payout
    status = "" if payout.status is PayoutStatus.PAID else f", {payout.status.replace('_', ' ')}"
    estimate = ": an estimate by dates" if statement.estimate else ""
    return f"Payout {one_line(payout.id)} of {payout.arrives_on}{status}{estimate}"
