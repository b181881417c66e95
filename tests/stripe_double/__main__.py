"""`python -m tests.stripe_double --port 0`: the double, run by hand, with a few payments to refund.

Point a client at it:

    stripe.StripeClient("sk_test_double", base_addresses={"api": ADDRESS}, max_network_retries=0)

or this library's own gateway: `StripeGateway("sk_test_double", base_address=ADDRESS)`. Nothing is kept: ends with
Ctrl-C, and begins anew.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from refund_adapters.memory import Course, MemoryBank
from refund_domain.money import Money
from tests.stripe_double.double import KEY, StripeDouble


def sample(bank: MemoryBank) -> list[tuple[str, str]]:
    """Take a payment of each kind; what each is, and its charge."""
    usd = Money.parse("200.00", "USD")
    fee = Money.parse("10.00", "USD")
    taken = [
        ("a card payment of 200.00 USD", bank.charge(usd, fee=Money.parse("6.10", "USD"))),
        ("one whose refund fails after nine days", bank.charge(usd, course=Course.succeeds_then_fails())),
        ("an ACH payment, settled", bank.charge(usd, method="us_bank_account")),
        ("a destination charge to acct_seller", bank.charge(usd, destination="acct_seller", application_fee=fee)),
        ("a direct charge of acct_seller", bank.charge(usd, account="acct_seller", application_fee=fee)),
        ("a charged back one", bank.charge(usd)),
    ]
    bank.dispute(taken[-1][1])
    return [(what, f"{ref}  {bank.intents.of(ref)}") for what, ref in taken]


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.stripe_double",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="0, the default: any free one")
    given = parser.parse_args(arguments)
    bank = MemoryBank()
    rows = sample(bank)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with StripeDouble(bank, port=given.port) as double:
        print(double.base_address, flush=True)
        print(f'\nstripe.StripeClient("{KEY}", base_addresses={{"api": "{double.base_address}"}})\n')
        for what, where in rows:
            print(f"  {where:<34} {what}")
        sys.stdout.flush()
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
