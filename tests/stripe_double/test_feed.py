"""Reconciling an account at Stripe, over the double and real sockets: laws, lost pages, accounts apart."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe

from refund_adapters.memory import AsyncMemoryJournal, Breaks, ManualClock, MemoryBank, MemoryJournal
from refund_adapters.stripe import AsyncStripeGateway, StripeGateway, clients
from refund_domain import Actor, AsyncRefundService, Money, PaymentRef, RefundService
from refund_domain.answers import Unread
from refund_domain.connect import PLATFORM
from refund_domain.operations.feeds import FeedPage, Window
from refund_domain.operations.reconcile import Reconciliation
from refund_domain.policy import Policy
from refund_domain.signals import Subject
from refund_domain.testing.laws import Report
from refund_domain.testing.laws_feed import LAWS, Feeding, check_feed
from refund_domain.testing.laws_gateway import Bank
from tests.adapters.stripe_clients import CLIENTS, Awaited, stripe_over
from tests.stripe_double.bed import DoubleBank
from tests.stripe_double.double import KEY, StripeDouble

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MARIA = Actor(id="maria", tenant="acme")
CENT = Money.parse("0.01", "USD")
WINDOW = Window(start=START - timedelta(days=1), end=START + timedelta(days=30))
HELD_BACK = timedelta(hours=1, minutes=10)
"""What may be too young for a list to show it, by the default policy."""


def anybody(*asked: object) -> bool:
    """Everybody may do everything."""
    return True


@pytest.fixture(params=CLIENTS)
def gateway(request: pytest.FixtureRequest, double: StripeDouble) -> Iterator[StripeGateway | Awaited]:
    """A gateway over each client to the double."""
    with stripe_over(request.param, double.base_address, KEY, read_timeout_s=20.0) as made:
        yield made


@pytest.fixture
def refunds(gateway: StripeGateway | Awaited, clock: ManualClock) -> RefundService:
    """A service over that gateway."""
    return RefundService(gateway, MemoryJournal(clock), allow=anybody)


def known(refunds: RefundService, bank: MemoryBank, account: str = PLATFORM) -> PaymentRef:
    """A payment that somebody has quoted."""
    ref = bank.charge(Money.parse("200.00", "USD"), account=account)
    refunds.quote(ref, by=MARIA)
    return ref


def lists(double: StripeDouble, path: str = "/v1/refunds") -> list[tuple[str, dict[str, Any]]]:
    """The pages of the account that were asked for: at which account, with what."""
    return [
        (request.account, request.params)
        for request in double.requests
        if request.path == path and "charge" not in request.params
    ]


@pytest.mark.parametrize("client", CLIENTS)
def test_stripe_feeds_keep_every_law_over_every_client(client: str) -> None:
    """Both forms keep every law of the feed over a real socket, and nothing they ask breaks Stripe's own types."""

    @contextmanager
    def bed() -> Iterator[tuple[Feeding, Bank]]:
        bank = MemoryBank(ManualClock(START))
        with (
            StripeDouble(bank) as double,
            stripe_over(client, double.base_address, KEY, read_timeout_s=20.0) as made,
        ):
            yield made, DoubleBank(bank)
            assert {request.params.get("limit") for request in double.requests if "created" in request.params} == {
                "100"
            }
            assert double.violations == ()

    assert check_feed(bed) == Report(held=tuple(law.__name__ for law in LAWS))


def test_an_account_is_read_to_its_last_page(
    refunds: RefundService, gateway: StripeGateway | Awaited, bank: MemoryBank, double: StripeDouble
) -> None:
    """More than a page of dashboard refunds arrives, each payment looked at once; disputes are asked for, too."""
    # failure: F01
    refs = [known(refunds, bank) for _ in range(3)]
    for number in range(103):
        bank.elsewhere(refs[number % 3], CENT)
    bank.dispute(refs[0])
    run = refunds.reconcile_account(PLATFORM, WINDOW, feed=gateway, limit=1000)
    assert {payment.payment for payment in run.news} == set(refs)
    assert sum(len(payment.view.elsewhere) for payment in run.payments) == 103
    assert {each.payment for each in run.evidence} == {refs[0]}
    assert (run.position, run.unread, run.failed) == (None, None, ())
    assert run.until == START - HELD_BACK
    created = {"gte": str(int(WINDOW.start.timestamp())), "lt": str(int(WINDOW.end.timestamp()))}
    assert [asked["created"] for _, asked in lists(double)] == [created, created]
    assert len(lists(double, "/v1/disputes")) == 1
    assert refunds.reconcile_account(PLATFORM, WINDOW, feed=gateway, limit=1000).news == ()


class Shifting:
    """This feed, with more refunds made before every page is asked for, within the same second."""

    live = False

    def __init__(self, inner: StripeGateway | Awaited, bank: MemoryBank, refs: list[PaymentRef]) -> None:
        self._inner, self._bank, self._refs = inner, bank, refs

    def page(self, account: str, window: Window, subject: Subject, after: str | None, /) -> FeedPage | Unread:
        for ref in self._refs:
            self._bank.elsewhere(ref, CENT)
        return self._inner.page(account, window, subject, after)


def test_a_list_that_grows_while_it_is_read_passes_nothing_over(
    refunds: RefundService, gateway: StripeGateway | Awaited, bank: MemoryBank, clock: ManualClock
) -> None:
    """Newer refunds come before those that were read, in the middle of a page and of a second: all that was there
    when the run began is known in the end, each payment at its own."""
    # failure: F01
    refs = [known(refunds, bank) for _ in range(2)]
    for number in range(203):
        bank.elsewhere(refs[number % 2], CENT)
    there = {each.id for ref in refs for each in bank.refunds(ref)}
    clock.forward(timedelta(hours=2))
    feed, after, parts = Shifting(gateway, bank, refs), None, list[Reconciliation]()
    while not parts or after is not None:
        parts.append(refunds.reconcile_account(PLATFORM, WINDOW, feed=feed, limit=70, after=after))
        after = parts[-1].position
    assert [(part.unread, part.failed) for part in parts] == [(None, ())] * len(parts)
    assert parts[-1].until == START + timedelta(hours=2) - HELD_BACK
    assert {id for part in parts for payment in part.payments for id in payment.ids} >= there


@pytest.mark.parametrize("makes_after", [None, timedelta(0), timedelta(hours=2)])
@pytest.mark.parametrize("client", ["requests", "httpx async"])
def test_what_is_in_doubt_stays_held_through_reconciliations(
    clock: ManualClock, client: str, makes_after: timedelta | None
) -> None:
    """At a Stripe that would refund a payment twice a send breaks; for two days reconciliation shows what there
    is: nothing is sent again or ended by it, no other refund may be issued, and one is made at most."""
    bank = MemoryBank(clock, cap=False)
    with (
        StripeDouble(bank) as double,
        stripe_over(client, double.base_address, KEY, read_timeout_s=20.0) as gateway,
    ):
        refunds = RefundService(gateway, MemoryJournal(clock), allow=anybody, policy=Policy(gateway_caps=False))
        ref, other = known(refunds, bank), known(refunds, bank)
        double.breaks(Breaks(makes_after=makes_after))
        refunds.issue(refunds.quote(ref, by=MARIA).verified(by=MARIA))
        for _ in range(24):
            clock.forward(timedelta(hours=2))
            bank.elsewhere(other, CENT)
            run = refunds.reconcile_account(PLATFORM, WINDOW, feed=gateway)
            assert (run.unread, run.failed) == (None, ())
            quote = refunds.quote(ref, by=MARIA)
            assert quote.refusals[0].code in ("in_flight", "already_refunded")
        assert len([request for request in double.requests if request.method == "POST"]) == 1
        assert len(bank.refunds(ref)) == (makes_after is not None)


@pytest.mark.parametrize(
    ("status", "why"), [(429, "HTTP 429 rate_limit"), (500, "HTTP 500"), (502, "HTTP 502"), (503, "HTTP 503")]
)
def test_a_page_refused_in_the_middle_is_taken_up_again(
    refunds: RefundService,
    gateway: StripeGateway | Awaited,
    bank: MemoryBank,
    double: StripeDouble,
    status: int,
    why: str,
) -> None:
    """A 429 or a broken edge between two pages ends the call before the second; the next reads on from there."""
    refs = [known(refunds, bank) for _ in range(2)]
    for number in range(101):
        bank.elsewhere(refs[number == 100], CENT)
    first = refunds.reconcile_account(PLATFORM, WINDOW, feed=gateway, limit=100)
    double.next(status)
    cut = refunds.reconcile_account(PLATFORM, WINDOW, feed=gateway, limit=100, after=first.position)
    assert (cut.unread, cut.until, cut.position) == (why, None, first.position)
    rest = refunds.reconcile_account(PLATFORM, WINDOW, feed=gateway, limit=100, after=cut.position)
    assert (rest.position, rest.until) == (None, START - HELD_BACK)
    assert {p.payment for p in first.payments} == set(refs)
    assert lists(double)[-1][1]["starting_after"] == "re_2"


def test_a_look_that_is_refused_fails_its_payment_alone(
    refunds: RefundService, gateway: StripeGateway | Awaited, bank: MemoryBank, double: StripeDouble
) -> None:
    """Told to slow down at one payment: it is named, the others are reconciled, the window stays open."""
    refs = [known(refunds, bank) for _ in range(2)]
    for ref in refs:
        bank.elsewhere(ref, CENT)
    double.next(None)  # the page
    double.next(429)
    run = refunds.reconcile_account(PLATFORM, WINDOW, feed=gateway)
    assert [(failed.payment, failed.why) for failed in run.failed] == [(refs[1], "HTTP 429 rate_limit")]
    assert ([done.payment for done in run.news], run.until) == ([refs[0]], None)


def test_accounts_are_asked_apart(
    refunds: RefundService, gateway: StripeGateway | Awaited, bank: MemoryBank, double: StripeDouble
) -> None:
    """A connected account's refunds are listed under its header and looked at there, the platform's without."""
    here, there, own = (known(refunds, bank, account) for account in ("acct_1", "acct_2", PLATFORM))
    for ref in (here, there, own):
        bank.elsewhere(ref, CENT)
    for ref in (here, own):
        run = refunds.reconcile_account(ref.account, WINDOW, feed=gateway)
        assert [done.payment for done in run.news] == [ref]
        assert {account for account, _ in lists(double)[-1:]} == {ref.account}
    assert refunds.reconcile(there) is not None
    foreign = refunds.reconcile_account("acct_foreign", WINDOW, feed=gateway)
    assert foreign.unread is not None
    assert foreign.unread.startswith("HTTP 403")
    assert foreign.until is None


def test_windows_follow_whole_seconds(
    gateway: StripeGateway | Awaited, bank: MemoryBank, clock: ManualClock
) -> None:
    """Stripe tells creation in whole seconds; bounds between two leave nothing out and take nothing twice."""
    ref = bank.charge(Money.parse("200.00", "USD"))
    for _ in range(4):
        bank.elsewhere(ref, CENT)
        clock.forward(timedelta(seconds=1))
    half = timedelta(milliseconds=500)
    edges = [START - half, START + half, START + timedelta(seconds=2), START + 7 * half, START + timedelta(days=1)]
    found = []
    for start, end in itertools.pairwise(edges):
        page = gateway.page(PLATFORM, Window(start=start, end=end), Subject.REFUND, None)
        assert isinstance(page, FeedPage)
        found.append([mention.id for mention in page.mentions])
    assert found == [["re_1"], ["re_2"], ["re_4", "re_3"], []]


_REFUND: dict[str, object] = {"id": "re_1", "object": "refund", "charge": "ch_1", "created": 1_772_442_000}


def page_of(*rows: object, more: bool = False) -> dict[str, object]:
    """A list as Stripe sends it."""
    return {"object": "list", "data": list(rows), "has_more": more, "url": "/v1/refunds"}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("<html>", None),
        ({}, "the answer is not a page of a list"),
        (page_of(7), "a page holds something that is no object"),
        (page_of({**_REFUND, "object": "charge"}), "an account's list holds something that is no refund"),
        (page_of({**_REFUND, "id": ""}), "id is no id"),
        (page_of({**_REFUND, "created": "now"}), "created is no whole number"),
        (page_of({**_REFUND, "charge": {"id": "/"}}), "charge is no id"),
        (page_of({**_REFUND, "livemode": True}), "the answer is of the other mode, live or test, than the key"),
        (page_of(_REFUND, _REFUND), "a page repeats itself or does not advance"),
        (page_of(more=True), "a page repeats itself or does not advance"),
    ],
)
def test_odd_page_is_unread(
    gateway: StripeGateway | Awaited, double: StripeDouble, body: dict[str, object] | str, why: str | None
) -> None:
    """A page that is no page, of which a member is odd, or that leads nowhere, is Unread: never a part of it."""
    double.next(200, body)
    page = gateway.page(PLATFORM, WINDOW, Subject.REFUND, None)
    assert isinstance(page, Unread)
    assert why is None or page.why == why


def test_rows_that_lead_to_no_payment_are_listed_as_such(
    gateway: StripeGateway | Awaited, double: StripeDouble
) -> None:
    """A refund of no charge, and what a partial capture released, keep their places and name no payment."""
    released = {**_REFUND, "id": "re_2", "balance_transaction": {"reporting_category": "partial_capture_reversal"}}
    marked = {**_REFUND, "id": "re_3", "metadata": {"refund_domain_id": "r1", "other": "x"}}
    double.next(200, page_of({**_REFUND, "charge": None}, released, marked))
    page = gateway.page(PLATFORM, WINDOW, Subject.REFUND, None)
    assert isinstance(page, FeedPage)
    told = [(mention.id, mention.charge, mention.mark) for mention in page.mentions]
    assert told == [("re_1", None, None), ("re_2", None, None), ("re_3", "ch_1", "r1")]


def test_odd_questions_are_refused_before_anything_is_asked(
    gateway: StripeGateway | Awaited, double: StripeDouble
) -> None:
    """No account, no window, no such list, an empty place: TypeError or ValueError, and no request."""
    ask: Callable[..., object] = gateway.page
    with pytest.raises(ValueError, match="account"):
        ask("", WINDOW, Subject.REFUND, None)
    with pytest.raises(TypeError, match="window"):
        ask(PLATFORM, None, Subject.REFUND, None)
    with pytest.raises(ValueError, match="refund or dispute"):
        ask(PLATFORM, WINDOW, Subject.PAYOUT, None)
    with pytest.raises(ValueError, match="after"):
        ask(PLATFORM, WINDOW, Subject.REFUND, "")
    assert double.requests == ()


@pytest.mark.parametrize("make", [clients.httpx_client, clients.aiohttp_client])
def test_async_service_reconciles_as_well(
    make: Callable[..., stripe.HTTPClient], bank: MemoryBank, clock: ManualClock, double: StripeDouble
) -> None:
    """The async service over the async gateway, in an event loop of its own: the same account, in parts."""

    async def everybody(*asked: object) -> bool:
        return True

    async def whole() -> list[Reconciliation]:
        gateway = AsyncStripeGateway(KEY, http_client=make(), base_address=double.base_address)
        refunds = AsyncRefundService(gateway, AsyncMemoryJournal(MemoryJournal(clock)), allow=everybody)
        try:
            for ref in refs:
                await refunds.quote(ref, by=MARIA)
            for ref in refs:
                bank.elsewhere(ref, CENT)
            parts = [await refunds.reconcile_account(PLATFORM, WINDOW, feed=gateway, limit=2)]
            while parts[-1].position is not None:
                more = await refunds.reconcile_account(
                    PLATFORM, WINDOW, feed=gateway, limit=2, after=parts[-1].position
                )
                parts.append(more)
            return parts
        finally:
            await gateway.aclose()

    refs = [bank.charge(Money.parse("200.00", "USD")) for _ in range(5)]
    parts = asyncio.run(whole())
    assert [len(part.news) for part in parts] == [2, 2, 1]
    assert parts[-1].until == START - HELD_BACK
