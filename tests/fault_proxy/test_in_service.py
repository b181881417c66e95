"""The worst faults through the whole service: issue, then recovery by the hour, until nothing is open."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import attrs
import pytest

from refund_adapters.memory import ManualClock, MemoryJournal
from refund_domain import Actor, Refund, Status
from refund_domain.decider.ledger import EMPTY, fold
from refund_domain.refusals import Refused
from refund_domain.views import PaymentView
from tests.fault_proxy.faults import FAULTS
from tests.fault_proxy.parts import (
    EARLY_S,
    LONG_S,
    AwaitedService,
    Client,
    OurDouble,
    Service,
    async_service,
    service,
)
from tests.fault_proxy.proxy import CREATE, FaultProxy, Target, fault_proxy

MARIA = Actor(id="maria", tenant="acme")
HOURS = 48
ONE_OF_EACH = (Client.REQUESTS, Client.AIOHTTP)  # of sync and async; the golden table knows the rest
LIST = Target("GET", "/v1/refunds")


@attrs.frozen(kw_only=True)
class Course:
    """How a refund goes on after a fault: the status that `issue` returned, the status two days later, the POSTs
    that left the client, the refunds made in the end, and what waits for a person then.

    `late` is the hour of recovery before which a request that was held back reaches Stripe after all.
    """

    fault: str
    at_first: Status
    at_last: Status = Status.SUCCEEDED
    posts: int = 1
    made: int = 1
    late: int | None = None
    waits_for: tuple[str, ...] = ()


COURSES: dict[str, Course] = {
    # executed, and nobody was told
    "the answer is cut off": Course(fault="cut after forward", at_first=Status.IN_DOUBT),
    "a 500 that was executed": Course(fault="500 after forward", at_first=Status.IN_DOUBT),
    "a 502 that was executed": Course(fault="502, HTML after forward", at_first=Status.IN_DOUBT),
    "the answer is cut in the middle": Course(fault="cut mid-body", at_first=Status.IN_DOUBT),
    # executed twice, under one key
    "doubled": Course(fault="duplicate, first answer", at_first=Status.SUCCEEDED),
    "doubled, and the second answer comes": Course(fault="duplicate, second answer", at_first=Status.SUCCEEDED),
    "doubled, and nobody is told": Course(fault="duplicate, cut", at_first=Status.IN_DOUBT),
    # executed late: before a look, after the second send, long after
    "late, before the first look": Course(fault="forward later", at_first=Status.IN_DOUBT, late=0),
    "late, after it went again": Course(fault="forward later", at_first=Status.IN_DOUBT, late=1, posts=2),
    "late, long after it went again": Course(fault="forward later", at_first=Status.IN_DOUBT, late=20, posts=2),
    # later than the assumptions allow, and than keys live: only the gateway's own cap is left
    "late by a day, after it went again": Course(
        fault="forward later", at_first=Status.IN_DOUBT, late=28, posts=2
    ),
    "late after a 502": Course(fault="forward later, 502 now", at_first=Status.IN_DOUBT, late=2),
    "late by a day after a 502": Course(fault="forward later, 502 now", at_first=Status.IN_DOUBT, late=27),
    # not executed
    "lost on the way": Course(fault="dropped before forward", at_first=Status.IN_DOUBT, posts=2),
    "the key is at work": Course(fault="409", at_first=Status.IN_DOUBT, posts=2),
    "told to slow down": Course(fault="429", at_first=Status.REQUESTED, posts=2),
    "a 500 that made nothing": Course(
        fault="500", at_first=Status.IN_DOUBT, at_last=Status.IN_DOUBT, made=0, waits_for=("not_shown",)
    ),
    "led elsewhere": Course(
        fault="302",
        at_first=Status.IN_DOUBT,
        at_last=Status.IN_DOUBT,
        made=0,
        waits_for=("not_shown", "alarm_not_stripe"),
    ),
    "the keys are refused": Course(
        fault="401",
        at_first=Status.REQUESTED,
        at_last=Status.DROPPED,
        made=0,
        waits_for=("dropped",),
    ),
}
"""What becomes of a refund whose first POST meets this fault."""


def _status(refund: object) -> Status:
    assert isinstance(refund, Refund), refund
    return refund.status


def _recover(refunds: Service, clock: ManualClock, proxy: FaultProxy, late: int | None) -> None:
    """Recovery by the hour for two days; what was held back goes out before this hour."""
    for hour in range(HOURS):
        if hour == late:
            assert proxy.release() == 1
        clock.forward(timedelta(hours=1))
        assert refunds.recover().failed == ()


@pytest.mark.parametrize("client", ONE_OF_EACH)
@pytest.mark.parametrize("name", COURSES)
def test_issued_through_a_fault_and_recovered(
    name: str, client: Client, double: OurDouble, clock: ManualClock
) -> None:
    """Two days after any fault the refund stands as it does at the gateway, and it was made once or not at all."""
    # failure: B03
    course, ref = COURSES[name], double.charge()
    with (
        fault_proxy(double.base_address) as proxy,
        service(client, proxy.base_address, MemoryJournal(clock)) as refunds,
    ):
        command = refunds.quote(ref, by=MARIA).verified(by=MARIA)
        proxy.script(CREATE, FAULTS[course.fault])
        assert _status(refunds.issue(command)) is course.at_first
        _recover(refunds, clock, proxy, course.late)

        view = refunds.show(ref, by=MARIA)
        assert isinstance(view, PaymentView)
        (refund,) = view.refunds
        assert refund.status is course.at_last
        assert double.marks(ref) == [refund.id] * course.made
        assert refund.gateway_id == (double.ids(ref)[0] if course.made else None)
        waiting = refunds.attention(by=MARIA)
        assert not isinstance(waiting, Refused)
        assert tuple(item.code for each in waiting for item in each.items) == course.waits_for
        posts = proxy.requests(CREATE)
        assert len(posts) == course.posts
        assert {post.headers["idempotency-key"] for post in posts} == {refund.id}
        assert len({post.body for post in posts}) == 1

        again = refunds.issue(command)  # the button once more, two days later
        if course.at_last is not Status.DROPPED:
            assert _status(again) is course.at_last
        assert len(proxy.requests(CREATE)) == course.posts


@pytest.mark.parametrize("client", [Client.HTTPX_ASYNC, Client.AIOHTTP])
@pytest.mark.parametrize(("name", "posts"), [("stall before the answer", 1), ("silence, never forwarded", 2)])
def test_a_cancelled_task_leaves_its_claim_open(
    name: str, posts: int, client: Client, double: OurDouble, clock: ManualClock
) -> None:
    """A task cancelled while its answer is awaited ends as cancelled and writes nothing down; recovery looks, and
    sends again only what was not made."""
    ref = double.charge()
    journal = MemoryJournal(clock)
    with (
        fault_proxy(double.base_address) as proxy,
        async_service(client, proxy.base_address, journal) as (refunds, runner),
    ):

        async def issue_until_cancelled() -> None:
            command = (await refunds.quote(ref, by=MARIA)).verified(by=MARIA)
            proxy.script(CREATE, FAULTS[name])
            task = asyncio.create_task(refunds.issue(command))
            await asyncio.to_thread(proxy.wait_until_struck)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        runner.run(issue_until_cancelled())
        (record,) = fold(EMPTY, journal.load(ref).events).refunds
        assert [claim.answer for claim in record.claims] == [None]
        _recover(AwaitedService(refunds, runner), clock, proxy, None)
        assert double.marks(ref) == [record.id]
        assert len(proxy.requests(CREATE)) == posts
        view = runner.run(refunds.show(ref, by=MARIA))
        assert isinstance(view, PaymentView)
        assert [(refund.status, refund.gateway_id) for refund in view.refunds] == [
            (Status.SUCCEEDED, double.ids(ref)[0])
        ]


@pytest.mark.parametrize("client", ONE_OF_EACH)
@pytest.mark.parametrize("name", ["cut mid-body", "500", "302", "200, a charge", "stall mid-body"])
def test_no_look_no_send(name: str, client: Client, double: OurDouble, clock: ManualClock) -> None:
    """Where the look before the send cannot be read nothing is sent; recovery sends once it can."""
    ref = double.charge()
    within_s = EARLY_S if name == "stall mid-body" else LONG_S
    with (
        fault_proxy(double.base_address) as proxy,
        service(client, proxy.base_address, MemoryJournal(clock), within_s) as refunds,
    ):
        command = refunds.quote(ref, by=MARIA).verified(by=MARIA)
        proxy.script(LIST, FAULTS[name])
        assert _status(refunds.issue(command)) is Status.REQUESTED
        assert proxy.requests(CREATE) == ()
        _recover(refunds, clock, proxy, None)
        assert _status(refunds.issue(command)) is Status.SUCCEEDED
        assert len(proxy.requests(CREATE)) == len(double.marks(ref)) == 1
