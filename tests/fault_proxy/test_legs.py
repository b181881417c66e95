"""The golden table again, for the leg of a separate charge: one POST reverses one transfer, and never two do.

Over one sync and one async client; what a fault means is what it means for a refund, but for whose body it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from refund_adapters.memory import MemoryJournal
from refund_adapters.stripe import MARK
from refund_domain import Actor, PaymentRef, Refund, Status
from refund_domain.answers import Answer, Picture, Reversal, Reversed
from refund_domain.decider.pulling import LegState
from refund_domain.money import Money
from tests.fault_proxy import test_golden as golden
from tests.fault_proxy.faults import FAULTS
from tests.fault_proxy.parts import AMOUNT, Client, OurDouble, gateway, service
from tests.fault_proxy.proxy import CREATE, Target, fault_proxy

LEG = Target("POST", "/v1/transfers/")
PART = Money.parse("30.00", "USD")
MARIA = Actor(id="maria", tenant="acme")
OVER = pytest.mark.parametrize("client", [Client.REQUESTS, Client.AIOHTTP])
NOT_OURS = "unknown, never again, alarm not_our_reversal"


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    """As in a strict host: a warning raised after the POST would lose its answer."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def _words(answer: Answer) -> str:
    return golden.ACCEPTED if isinstance(answer, Reversed) else golden._words(answer)


def _separate(double: OurDouble) -> tuple[PaymentRef, str]:
    ref = double.bank.charge(AMOUNT, group="order-1")
    return ref, double.bank.connect.transfer("acct_1", AMOUNT, group="order-1")


@OVER
@pytest.mark.parametrize("name", [name for name in golden.CREATES if name != "200, another's refund"])
def test_what_each_fault_means_for_a_leg(name: str, client: Client, double: OurDouble) -> None:
    """One POST under one id leaves the client, the answer is the table's, and never two reversals are made.

    But for another's refund, which is made of a refund's own fields; other tests have what is no reversal of ours.
    """
    fault, row = FAULTS[name], golden.CREATES[name]
    ref, transfer = _separate(double)
    asked = Reversal(
        id=f"r-{ref.charge}:{transfer}:1",
        refund_id=f"r-{ref.charge}",
        transfer=transfer,
        attempt=1,
        claim=1,
        payment=ref,
        amount=PART,
    )
    with (
        fault_proxy(double.base_address) as proxy,
        gateway(client, proxy.base_address, golden._within_s(name)) as port,
    ):
        proxy.script(LEG, fault)
        said = _words(port.send(asked)).replace(golden.NOT_OURS, NOT_OURS)
        expected = [
            None if one is None else one.replace(golden.NOT_OURS, NOT_OURS) for one in row.answers_over(client)
        ]
        assert said in expected
        if not golden._of_connections(fault):
            assert proxy.wait_until_struck() is fault
        marks = [asked.id] * row.made
        assert [back.mark for back in double.bank.connect.reversals(transfer)] == marks
        posts = [request for request in proxy.seen if request.method == "POST"]
        assert len(posts) == len(proxy.seen) == (0 if golden._of_connections(fault) else 1)
        for post in posts:
            assert post.headers["idempotency-key"] == post.fields[f"metadata[{MARK}]"] == asked.id
        proxy.release()
        marks = [asked.id] * row.in_the_end
        assert [back.mark for back in double.bank.connect.reversals(transfer)] == marks
        seen = port.look(ref)
        if isinstance(seen, Picture):
            (shown,) = seen.payment.transfers
            assert [back.mark for back in shown.reversals] == marks


@OVER
@pytest.mark.parametrize(
    "name", ["cut after forward", "duplicate, cut", "dropped before forward", "500 after forward"]
)
def test_a_leg_that_broke_on_the_wire_leaves_the_refund_done(name: str, client: Client, double: OurDouble) -> None:
    """Issued through a proxy that spares the refund and strikes its leg: refunded, and the leg is in doubt."""
    # failure: B11
    ref, transfer = _separate(double)
    with (
        fault_proxy(double.base_address) as proxy,
        service(client, proxy.base_address, MemoryJournal()) as refunds,
    ):
        proxy.script(LEG, FAULTS[name])
        refund = refunds.issue(refunds.quote(ref, by=MARIA).verified(by=MARIA))
        assert isinstance(refund, Refund)
        assert (refund.status, [leg.state for leg in refund.legs]) == (Status.SUCCEEDED, [LegState.IN_DOUBT])
        assert len(proxy.requests(CREATE)) == len(proxy.requests(LEG)) == 1
    assert len(double.marks(ref)) == 1
    assert len(double.bank.connect.reversals(transfer)) == (0 if name == "dropped before forward" else 1)
