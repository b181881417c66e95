"""A payout of which a page is struck on its way: read whole all the same, or unread and read on from that page."""

from __future__ import annotations

from datetime import timedelta

import pytest

from refund_adapters.memory import ManualClock
from refund_adapters.stripe import _payouts
from refund_domain.connect import PLATFORM
from refund_domain.errors import GatewayUnreadable
from refund_domain.money import Money
from refund_domain.payouts.entries import Group
from refund_domain.payouts.progress import ReadingProgress
from refund_domain.payouts.reading import PayoutReading
from refund_domain.payouts.statement import PayoutStatement
from tests.adapters.stripe_clients import CLIENTS, payouts_over
from tests.fault_proxy.faults import FAULTS
from tests.fault_proxy.parts import EARLY_S, LONG_S, OurDouble
from tests.fault_proxy.proxy import ELSEWHERE, Target, fault_proxy

ENTRIES = Target("GET", "/v1/balance_transactions")
PAGE_SIZE = 5
MANY = 8
"""More entries than such a page holds; the payout's own is on the first."""
ATTEMPTS = 2
TOO_SHORT = "length too short"
"""httpx meets the rest of such an answer on the connection it uses again, and httpcore logs it at DEBUG
(SECURITY.md): tried over requests and aiohttp only."""
CENT = Money.parse("0.01", "USD")

LASTING = ("401", "403, HTML", "409", "302", "307")
"""The faults that would be the same a moment later: they are not tried again."""
LATE = ("stall mid-body", "body trickles", "silence, never forwarded")
WORST = ("cut mid-body", "no length, cut", "chunks cut", "200, HTML", "429")
"""Those that could pass for the end of a list, and the one that must be waited for: tried over every client."""
PASSING = (
    "dropped before forward", "reset before forward", "cut mid-headers", "reset mid-body", "429, lock", "500",
    "502, HTML", "503", "200, empty", "length too long", "bad chunk", "garbage status line",
    "gzip that is none",
)  # fmt: skip
HARMLESS = ("duplicate, first answer", "gzip", "chunked", "Stripe-Notice")


def over(place: int) -> tuple[str, str]:
    """A sync client and an async one, in turns."""
    return (CLIENTS[place % 2], CLIENTS[2 + place % 2])


@pytest.mark.parametrize(
    ("name", "client"),
    [
        *((name, client) for name in WORST for client in CLIENTS),
        *((TOO_SHORT, client) for client in CLIENTS if "httpx" not in client),
        *(
            (name, client)
            for place, name in enumerate((*PASSING, *LATE, *LASTING, *HARMLESS))
            for client in over(place)
        ),
    ],
)
def test_a_struck_page_is_read_again_or_the_reading_goes_on_from_it(
    name: str, client: str, double: OurDouble, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement adds up to the cent: at once where the fault passes, else when it is asked for once more; and
    no page that was counted is asked for again."""
    monkeypatch.setattr(_payouts, "PAGE_SIZE", PAGE_SIZE)
    for _ in range(MANY):
        double.bank.charge(CENT)
    clock.forward(timedelta(days=3))
    made = double.bank.payouts.make(PLATFORM, "USD")
    double.bank.payouts.reconcile(made)
    told: list[str] = []
    with (
        fault_proxy(double.base_address) as proxy,
        payouts_over(
            client, proxy.base_address, attempts=ATTEMPTS, timeout_s=EARLY_S if name in LATE else LONG_S
        ) as source,
    ):

        def on_progress(progress: ReadingProgress) -> None:
            told.append(str(progress))
            if progress.pages == 1:
                proxy.script(ENTRIES, FAULTS[name])

        reading = PayoutReading(source, PLATFORM, made, on_progress=on_progress)
        if name in LASTING:
            with pytest.raises(GatewayUnreadable):
                reading.statement()
            assert len(told) == 1
        statement = reading.statement()
        asked = [request.path for request in proxy.requests(ENTRIES)]
        assert proxy.unused == 0
        assert proxy.requests(Target("GET", ELSEWHERE)) == proxy.requests(Target("POST")) == ()
    assert isinstance(statement, PayoutStatement)
    assert [(total.group, total.amount, total.count) for total in statement.totals] == [
        (Group.PAYMENTS, Money(MANY, CENT.currency), MANY)
    ]
    assert told == [f"payout {made}: 4 entries on 1 pages", f"payout {made}: {MANY} entries on 2 pages"]
    assert ["starting_after" in path for path in asked][:2] == [False, True]
    assert not any("starting_after" not in path for path in asked[1:])
