"""An account's list of which a page is struck on its way: whole, or it ends the run there, and another goes on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from refund_adapters.memory import ManualClock, MemoryJournal
from refund_domain import Actor, RefundService
from refund_domain.connect import PLATFORM
from refund_domain.operations.feeds import Window
from refund_domain.operations.reconcile import Position, Reconciliation
from refund_domain.testing.laws_feed import Feeding
from tests.fault_proxy.faults import FAULTS
from tests.fault_proxy.parts import ALL, Client, OurDouble, gateway
from tests.fault_proxy.proxy import ELSEWHERE, Target, fault_proxy
from tests.fault_proxy.test_golden import LOOKS, READ_AGAIN, WHOLE, _within_s

MARIA = Actor(id="maria", tenant="acme")
TAKEN = 2
"""How many refunds the first call takes up; the next reads the page behind them."""
LIST = Target("GET", "/v1/refunds")
WORST = ("cut mid-body", "no length, cut", "chunks cut", "200, HTML", "429")
"""Those that could pass for the end of a list: tried over every client, the others over one of each form."""


@pytest.mark.parametrize(
    ("name", "client"),
    [(name, client) for name in LOOKS for client in (ALL if name in WORST else (Client.REQUESTS, Client.AIOHTTP))],
)
def test_what_each_fault_means_for_a_page(
    name: str, client: Client, double: OurDouble, clock: ManualClock
) -> None:
    """The second page is struck: it is read whole, or the run stops before it and concludes nothing; the next one,
    by the text of the position, brings what stood there."""
    window = Window(start=clock() - timedelta(days=1), end=clock() + timedelta(days=1))
    behind, *ahead = (double.charge() for _ in range(1 + TAKEN))
    journal = MemoryJournal(clock)

    def reconciled(port: Feeding, after: str | None) -> Reconciliation:
        refunds = RefundService(port, journal, allow=lambda *_: True)
        place = None if after is None else Position.parse(after)
        return refunds.reconcile_account(PLATFORM, window, feed=port, limit=TAKEN, after=place)

    with gateway(Client.REQUESTS, double.base_address) as port:
        for ref in (behind, *ahead):  # the oldest is listed last
            RefundService(port, journal, allow=lambda *_: True).quote(ref, by=MARIA)
            double.refund_elsewhere(ref, 5_000)
        first = reconciled(port, None)
    assert {payment.payment for payment in first.news} == set(ahead)
    assert first.position is not None
    with (
        fault_proxy(double.base_address) as proxy,
        gateway(client, proxy.base_address, _within_s(name)) as port,
    ):
        proxy.script(LIST, FAULTS[name])
        struck = reconciled(port, str(first.position))
        assert proxy.unused == 0
        assert proxy.requests(Target("POST")) == ()
        assert proxy.requests(Target("GET", ELSEWHERE)) == ()
    whole = (name, client) in READ_AGAIN or LOOKS[name] == WHOLE
    assert (struck.unread is None) is whole
    assert (struck.position is None) is whole
    assert (struck.until is not None) is whole
    if not whole:
        assert (struck.payments, struck.position) == ((), first.position)
        with gateway(Client.REQUESTS, double.base_address) as port:
            struck = reconciled(port, str(struck.position))
    assert struck.until is not None
    assert [payment.payment for payment in struck.news] == [behind]
