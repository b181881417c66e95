"""A payout of a million entries is read over a socket in flat memory, to the cent, and on from a lost page."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import stripe

from refund_domain.payouts.statement import KEPT_MOST
from tests.stripe_double import schema
from tests.stripe_double.many import (
    DISPUTE_FEE_MINOR,
    DISPUTE_MINOR,
    FEE_MINOR,
    NET_MINOR,
    PAGE,
    PAID,
    PAYMENT_MINOR,
    REFUND_MINOR,
    TOP_UP_MINOR,
    drawn,
)

FLAT = 1.2
"""How many times the memory of a tenth of the entries all of them may take."""


@contextmanager
def served(entries: int, lost: int) -> Iterator[str]:
    """The address of a payout of so many entries, one page of which is lost once."""
    command = [sys.executable, "-m", "tests.stripe_double.many", str(entries), str(lost)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        assert server.stdin is not None
        server.stdin.close()


def read(entries: int, lost: int) -> dict[str, Any]:
    """What reading it took, in a process of its own."""
    with served(entries, lost) as address:
        child = [sys.executable, "-m", "tests.adapters.million_child", address]
        done = subprocess.run(child, capture_output=True, text=True, check=True)
    said: dict[str, Any] = json.loads(done.stdout)
    pages = entries // PAGE
    assert said["lost"] == 1
    assert (said["pages"], said["each_once"]) == (pages, True)
    assert said["totals"] == {
        "payments": [pages * PAID * PAYMENT_MINOR, pages * PAID],
        "fees": [-pages * PAID * FEE_MINOR, 0],
        "top_ups": [pages * TOP_UP_MINOR, pages],
        "refunds": [-pages * REFUND_MINOR, pages],
        "disputes": [-pages * (DISPUTE_MINOR + DISPUTE_FEE_MINOR), pages],
    }
    assert sum(amount for amount, _ in said["totals"].values()) == pages * NET_MINOR
    assert (said["lines"], said["left_out"]) == (KEPT_MOST, entries - KEPT_MOST)
    return said


def test_the_rows_it_serves_are_stripes() -> None:
    """Each page is a hundred rows that the double drew, and stripe-python's own types allow each."""
    rows = drawn()
    assert len(rows) == PAGE
    assert [schema.check_object(stripe.BalanceTransaction, row) for row in rows] == [()] * PAGE
    assert sum(row["net"] for row in rows) == NET_MINOR


@pytest.mark.timeout(300)
def test_a_million_entries_are_read_in_flat_memory_and_on_from_a_lost_page() -> None:
    """Ten times the entries take a fifth more memory at most; a page lost in the middle is read once more, and no
    other; all is accounted for exactly. (The longest test of the adapter: some 35 s of computing, in two runs.)
    """
    tenth, whole = read(100_000, lost=500), read(1_000_000, lost=5_000)
    print(f"10^6 entries in {whole['took_s']:.1f} s, {whole['peak_kb'] / 1024:.0f} MB at most; "
          f"10^5 in {tenth['took_s']:.1f} s, {tenth['peak_kb'] / 1024:.0f} MB")  # fmt: skip
    assert whole["peak_kb"] <= FLAT * tenth["peak_kb"]
