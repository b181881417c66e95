"""Reads the payout of `tests.stripe_double.many` in a process of its own, and prints what it took as JSON.

Over the plainest HTTP client there is, for half of what requests takes would be requests' own.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import stripe

from refund_adapters.stripe.payouts import StripePayouts
from refund_domain.connect import PLATFORM
from refund_domain.errors import GatewayUnreadable
from refund_domain.payouts.progress import ReadingProgress
from refund_domain.payouts.reading import PayoutReading
from refund_domain.payouts.statement import PayoutStatement
from tests.canaries import KEY
from tests.stripe_double.many import PAYOUT


class Plain(stripe.HTTPClient):
    """One connection of the standard library's, kept open."""

    name = "http.client"

    def __init__(self, address: str) -> None:
        super().__init__()
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)

    def request(  # type: ignore[override]  # as stripe-python's own clients: the answer is bytes
        self, method: str, url: str, headers: Mapping[str, str], post_data: object = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        target = urlsplit(url)
        self._connection.request(method, f"{target.path}?{target.query}", headers=headers)
        with self._connection.getresponse() as answer:
            return answer.read(), answer.status, dict(answer.headers)


def main(address: str) -> None:
    """Read it; where a page is lost, ask again."""
    stripe.enable_telemetry = False  # or stripe-python writes its id into the home of whoever runs the tests
    pages: list[int] = []
    lost = 0
    statement = None

    def on_progress(progress: ReadingProgress) -> None:
        pages.append(progress.pages)

    source = StripePayouts(KEY, http_client=Plain(address), base_address=address, attempts=1)
    reading = PayoutReading(source, PLATFORM, PAYOUT, on_progress=on_progress)
    began = time.monotonic()
    while statement is None:
        try:
            statement = reading.statement()
        except GatewayUnreadable:
            lost += 1
    took_s = time.monotonic() - began
    assert isinstance(statement, PayoutStatement)
    (peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    said = {
        "took_s": took_s,
        "peak_kb": int(peak.split()[1]),
        "lost": lost,
        "pages": pages[-1],
        "each_once": pages == list(range(1, pages[-1] + 1)),
        "totals": {total.group: [total.amount.amount_minor, total.count] for total in statement.totals},
        "lines": len(statement.lines),
        "left_out": statement.left_out,
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1])
