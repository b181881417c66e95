"""`refunds payout` from the key in the environment to the screen, over real sockets and stripe-python."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from refund_adapters import cli
from refund_adapters.memory import ManualClock, MemoryBank
from refund_adapters.statements.commands import BASE, KEY
from refund_domain.money import Money
from tests.stripe_double import double as stand_in
from tests.stripe_double.double import StripeDouble


@pytest.fixture
def payout(bank: MemoryBank, clock: ManualClock) -> str:
    """The story: 500.00 sold, 200.00 of an older payment refunded, both in one payout."""
    old = bank.charge(Money.parse("200.00", "USD"), taken_at=clock() - timedelta(days=30))
    earlier = bank.payouts.make("platform", "USD")
    bank.charge(Money.parse("515.00", "USD"), fee=Money.parse("15.00", "USD"))
    bank.refund(old.account, old.charge, 20_000, key="k1")
    for status in ("in_transit", "paid"):
        bank.payouts.move(earlier, status)
    clock.forward(timedelta(days=2))
    return bank.payouts.make("platform", "USD")


def run(double: StripeDouble, *arguments: str, key: str = stand_in.KEY) -> tuple[int, str, str]:
    """Exit code, output and errors of the command as it is shipped."""
    environment = {KEY: key, BASE: double.base_address, "COLUMNS": "80"}
    done = CliRunner().invoke(cli.app(), ["payout", *arguments], env=environment)
    assert stand_in.KEY not in done.stdout + done.stderr
    return done.exit_code, done.stdout, done.stderr


def test_command_explains_a_payout_of_stripes(
    double: StripeDouble, bank: MemoryBank, payout: str, tmp_path: Path
) -> None:
    """Not reconciled: exit code 1. Then: the sentence with the host's label, and every line, by GETs alone."""
    code, out, err = run(double, payout)
    assert (code, out) == (1, "")
    assert "Try again later" in err
    bank.payouts.reconcile(payout)
    labels = tmp_path / "labels.csv"
    labels.write_text("ch_1,booking 1042\n")
    code, out, err = run(double, payout, "--labels", str(labels))
    assert (code, err) == (0, "")
    assert "300.00 USD instead of 500.00 USD: 200.00 USD went back to the client of booking" in out
    code, out, _ = run(double, payout, "--lines", "--json")
    assert (code, sum(json.loads(line)["net"]["amount_minor"] for line in out.splitlines())) == (0, 30_000)
    assert {request.method for request in double.requests} == {"GET"}


def test_a_payout_or_key_that_stripe_does_not_know_is_told(double: StripeDouble) -> None:
    """No such payout is exit code 1; a key that Stripe refuses is exit code 2, and is not shown."""
    assert run(double, "po_nobody")[0] == 1
    code, out, err = run(double, "po_nobody", key="sk_test_another")
    assert (code, out) == (2, "")
    assert err.startswith("The payout cannot be read: HTTP 401: Stripe does not accept this key")
    assert "sk_test_another" not in err
