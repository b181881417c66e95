"""Simulated balances that are paid out: the promise holds there, and a cent that is astray is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from refund_adapters.memory import _books, _schedules, payout, rows
from refund_adapters.memory._books import Books
from refund_adapters.memory.rows import Row
from refund_adapters.simulation.batches import run_batch, run_one
from refund_adapters.simulation.journals import Journal
from refund_adapters.simulation.modes import CAP_OFF, MODES, PAID_OUT
from refund_adapters.simulation.paying import KINDS
from refund_adapters.simulation.run import replay
from refund_domain.money import Currency

STEPS = 300
(MODE,) = (mode.name for mode in PAID_OUT)

HAPPENED = (
    "payout.created", "payout.updated", "payout.paid", "payout.failed", "payout.canceled",
    "payout.reconciliation_completed", "payout from the bank account", "payout after less than nothing",
    "payout with a refund in it", "payout of a failed one's money", "refund waits for money",
    "refund waited, then succeeded", "refund failed for want of money", "fund", "dispute", *KINDS,
)  # fmt: skip
"""What must really have befallen the seeds of this world."""


def test_no_seed_of_paid_out_balances_breaks_an_invariant() -> None:
    """Under every fault no refund doubles, is lost or stuck, and every cent is accounted for, while balances are
    paid out, payouts fail, the bank account is debited, and refunds wait for money or fail for want of it."""
    tally = run_batch(MODE, Journal.MEMORY.value, 0, 300, STEPS)
    assert (tally.failing, dict(tally.broken)) == ([], {})
    assert tally.refunds > 500
    assert [what for what in HAPPENED if tally.counts[what] < 20] == []
    sqlite = run_batch(MODE, Journal.SQLITE.value, 0, 10, STEPS)
    assert (sqlite.failing, dict(sqlite.broken)) == ([], {})


def test_a_replay_of_paid_out_balances_does_what_the_seed_did() -> None:
    """What befalls the balances is among the actions, and the actions alone give the same trace."""
    outcome = run_one(3, STEPS, MODE)
    assert replay(3, outcome.scenario, outcome.actions, MODES[MODE]).digest == outcome.digest
    assert outcome.scenario.scheduled
    assert {getattr(action, "kind", None) for action in outcome.actions} & set(KINDS)


# -- with one thing wrong -----------------------------------------------------------------------------------

Spoilt = Callable[[pytest.MonkeyPatch], None]


def _rows(spoil: Callable[[Row], Iterator[Row]]) -> Spoilt:
    drawn = rows._drawn

    def spoilt(books: Books, account: str) -> Iterator[Row]:
        for row in drawn(books, account):
            yield from spoil(row)

    return lambda patch: patch.setattr(rows, "_drawn", spoilt)


def _refunds_turned(row: Row) -> Iterator[Row]:
    yield row._replace(amount=-row.amount) if row.category == "refund" else row


def _failed_refunds_dropped(row: Row) -> Iterator[Row]:
    if row.category != "refund_failure":
        yield row


def _failed_payouts_dropped(row: Row) -> Iterator[Row]:
    if row.category != "payout_reversal":
        yield row


def _fees_forgotten(row: Row) -> Iterator[Row]:
    yield row._replace(fee=0)


def _transfers_twice(row: Row) -> Iterator[Row]:
    yield row
    if row.category == "transfer":
        yield row._replace(id=f"{row.id}_again")


def _paid_out_twice(patch: pytest.MonkeyPatch) -> None:
    def forgetful(books: Books, account: str, currency: Currency) -> list[Row]:
        return [row for row in rows.rows_of(books, account) if row.currency == currency.code and _ripe(books, row)]

    patch.setattr(_schedules, "ripe", forgetful)


def _ripe(books: Books, row: Row) -> bool:
    return row.available_at <= books.now and row.category != "payout"


def _paid_out_early(patch: pytest.MonkeyPatch) -> None:
    ripe = payout.ripe

    def early(books: Books, account: str, currency: Currency) -> list[Row]:
        held = {name for paid in books.payouts.values() for name in paid.rows}
        young = [
            row
            for row in rows.rows_of(books, account)
            if row.available_at > books.now and row.currency == currency.code and row.id not in held
        ]
        return [*ripe(books, account, currency), *young]

    patch.setattr(_schedules, "ripe", early)


def _one_left_out(patch: pytest.MonkeyPatch) -> None:
    pay_out = payout.pay_out

    def forgets(books: Books, account: str, total: Any, held: list[Row] | None, *rest: Any) -> str:
        return pay_out(books, account, total, held[1:] if held else held, *rest)

    patch.setattr(_schedules, "pay_out", forgets)


def _fees_by_id_alone(patch: pytest.MonkeyPatch) -> None:
    """As it was: a direct charge is told from a destination's by whether the platform has a charge of this id."""

    def direct_of(books: Books, fee: Any) -> Any:
        return None if ("platform", fee.charge) in books.charges else books.charges.get((fee.account, fee.charge))

    patch.setattr(rows, "direct_of", direct_of)


def _never_marked_as_back(patch: pytest.MonkeyPatch) -> None:
    """A refund that ends gives its money back, and it is not written down when."""
    move = _books.Books.move

    def forgets(self: Books, refund: Any, status: str, reason: str | None) -> None:
        move(self, refund, status, reason)
        refund.back_at = None

    patch.setattr(_books.Books, "move", forgets)


@pytest.mark.parametrize("mode", [MODE, CAP_OFF.name])
@pytest.mark.parametrize(
    "spoilt",
    [
        _rows(_refunds_turned),
        _rows(_failed_refunds_dropped),
        _rows(_fees_forgotten),
        _rows(_transfers_twice),
        _fees_by_id_alone,
        _never_marked_as_back,
    ],
)
def test_a_cent_astray_is_found_in_every_world(monkeypatch: pytest.MonkeyPatch, mode: str, spoilt: Spoilt) -> None:
    """A row turned around, missing, doubled or short of its fee is found within forty seeds, paid out or not."""
    spoilt(monkeypatch)
    found = (run_one(seed, STEPS, mode).violation for seed in range(40))
    violation = next(violation for violation in found if violation is not None)
    assert violation.name == "unbalanced"


@pytest.mark.parametrize(
    "spoilt", [_rows(_failed_payouts_dropped), _paid_out_twice, _paid_out_early, _one_left_out]
)
def test_a_wrong_payout_is_found(monkeypatch: pytest.MonkeyPatch, spoilt: Spoilt) -> None:
    """Paid out twice, too early, not what is in it, or not given back: found within ten seeds."""
    spoilt(monkeypatch)
    found = (run_one(seed, STEPS, MODE).violation for seed in range(10))
    violation = next(violation for violation in found if violation is not None)
    assert violation.name == "unbalanced"


def test_a_refund_that_is_forgotten_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bank that lets nobody go on who waits for money is found, though the money is there in the end."""
    monkeypatch.setattr(_schedules, "serve", lambda books, purse: None)
    found = (run_one(seed, STEPS, MODE).violation for seed in range(20))
    assert next(violation for violation in found if violation is not None).name == "unserved"
