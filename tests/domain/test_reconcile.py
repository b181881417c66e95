"""Reconciling, in both forms of the service: lost webhooks, disputes beside refunds, drift; whole and in parts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import attrs
import pytest

from refund_adapters.memory import Course, Fault, MemoryBank, MemoryGateway, MemoryJournal
from refund_domain import Money, OutsideRef, PaymentRef, Status
from refund_domain.answers import Unread
from refund_domain.decider.evidence import Evidence, evidence
from refund_domain.decider.ledger import EMPTY
from refund_domain.errors import JournalUnavailable, OpenTransaction
from refund_domain.operations.feeds import FeedPage, Mention, Window
from refund_domain.operations.reconcile import (
    NOT_HELD,
    NOT_SHOWN,
    Drift,
    Outcome,
    Position,
    Reconciled,
    Reconciliation,
    Unowned,
    Unreconciled,
    drift_of,
)
from refund_domain.payments import PLATFORM, Trace
from refund_domain.refusals import Refused
from refund_domain.service.stream import Merged
from refund_domain.signals import Signal, Subject
from refund_domain.views import PaymentView
from tests.domain.worlds import (
    DAY,
    HOUR,
    KINDS,
    MARIA,
    MINUTE,
    SECOND,
    START,
    Kind,
    World,
    raising,
    refund_of,
    unavailable,
)

USD_20 = Money.parse("20.00", "USD")
USD_180 = Money.parse("180.00", "USD")
USD_200 = Money.parse("200.00", "USD")


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> World:
    """A fresh world in each form of the service."""
    kind: Kind = request.param
    return World(kind)


def known(world: World, amount: str = "200.00", account: str = PLATFORM) -> PaymentRef:
    """A payment that somebody has quoted."""
    ref = world.bank.charge(Money.parse(amount, "USD"), account=account)
    world.refunds.quote(ref, by=MARIA)
    return ref


def merged(outcome: Outcome) -> Reconciled:
    """What was merged; anything else is a failure of the test."""
    if not isinstance(outcome, Reconciled):
        raise LookupError(str(outcome))
    return outcome


def around(start: timedelta = -DAY, end: timedelta = 400 * DAY) -> Window:
    """A window, counted from the day the world begins."""
    return Window(start=START + start, end=START + end)


def account(world: World, name: str = PLATFORM, window: Window | None = None, limit: int = 1000) -> Reconciliation:
    """One call over this account that is enough for all of it."""
    return world.refunds.reconcile_account(name, window or around(), feed=world.feed, limit=limit)


def in_parts(world: World, limit: int, window: Window | None = None) -> Iterator[Reconciliation]:
    """Call after call, each from the text of the last one's position, until the account is done."""
    place: str | None = None
    for _ in range(1000):
        part = world.refunds.reconcile_account(
            PLATFORM,
            window or around(),
            feed=world.feed,
            limit=limit,
            after=None if place is None else Position.parse(place),
        )
        yield part
        if part.position is None:
            return
        place = str(part.position)
    raise LookupError("it never ends")


def shown(view: PaymentView) -> PaymentView:
    """What a view says, apart from when it was seen."""
    return attrs.evolve(view, seen_at=None)


# --- one payment --------------------------------------------------------------------------------------------


def test_refund_made_elsewhere_is_merged_once(world: World) -> None:
    """What the dashboard refunded is known after one reconciliation; a second finds no news and writes nothing."""
    # failure: F01, F06
    ref = known(world)
    world.bank.elsewhere(ref, USD_20)
    first = merged(world.refunds.reconcile(ref))
    assert (first.payment, first.tenant, first.news) == (ref, "acme", True)
    assert [refund.amount for refund in first.view.elsewhere] == [USD_20]
    assert (first.view.left, first.ids, first.unexplained) == (USD_180, ("re_1",), ())
    before = world.events(ref)
    assert merged(world.refunds.reconcile(ref)).news is False
    assert world.events(ref) == before
    assert world.view(ref) == first.view


def test_payment_without_an_owner_is_handed_over(world: World) -> None:
    """Of a payment nobody has quoted nothing is stored; the host gets the picture, or why there is none."""
    ref = world.pay()
    world.bank.elsewhere(ref, USD_20)
    picture = world.bank.picture(ref)
    assert picture is not None
    assert world.refunds.reconcile(ref) == Unowned(payment=ref, picture=picture)
    world.gateway.script(Fault.LOOK_UNREADABLE)
    assert world.refunds.reconcile(ref) == Unreconciled(payment=ref, why="a page is missing")
    gone = PaymentRef(PLATFORM, "ch_never")
    assert world.refunds.reconcile(gone) == Unreconciled(payment=gone, why=NOT_HELD)
    assert world.events(ref) == world.events(gone) == ()
    assert "append" not in world.wire.calls


def test_payment_that_is_quoted_while_it_is_looked_at_is_merged(world: World) -> None:
    """Nobody's when it was loaded, somebody's when the look came back: what the look showed is not lost."""
    ref = world.pay()
    world.bank.elsewhere(ref, USD_20)
    other = world.service(world.gateway, world.store)

    def quoted() -> None:
        if not world.events(ref):
            other.quote(ref, by=MARIA)

    world.wire.each["look"] = quoted
    found = merged(world.refunds.reconcile(ref))
    assert (found.tenant, found.view.left) == ("acme", USD_180)


def test_payment_that_cannot_be_read_is_told_and_left_alone(world: World) -> None:
    """An unreadable gateway and one that raises decide nothing; neither does a charge that is not there."""
    ref = known(world)
    before = world.events(ref)
    world.gateway.script(Fault.LOOK_UNREADABLE, Fault.LOOK_RAISES)
    assert world.refunds.reconcile(ref) == Unreconciled(payment=ref, why="a page is missing")
    assert world.refunds.reconcile(ref) == Unreconciled(payment=ref, why="the gateway raised RuntimeError")
    empty = world.service(gateway=MemoryGateway(MemoryBank(world.clock)))
    assert empty.reconcile(ref) == Unreconciled(payment=ref, why=NOT_HELD)
    assert world.events(ref) == before


def test_refund_in_doubt_is_found_by_its_mark(world: World) -> None:
    """A refund whose answer was lost is adopted by mark, payment and amount; it is not sent again."""
    # failure: B09, B15
    ref = world.pay()
    world.gateway.script(Fault.ANSWER_LOST)
    assert refund_of(world.refunds.issue(world.decision(ref))).status is Status.IN_DOUBT
    found = merged(world.refunds.reconcile(ref))
    assert [(refund.status, refund.gateway_id) for refund in found.view.refunds] == [(Status.SUCCEEDED, "re_1")]
    assert (found.unexplained, found.view.elsewhere) == ((), ())
    assert len(world.gateway.sent) == 1


def test_reconciling_never_ends_a_doubt_and_never_sends(world: World) -> None:
    """A doubt that no look shows stays one while only reconciliation runs; a waiting request stays, too."""
    ref, waiting = world.pay(), world.pay()
    world.gateway.script(Fault.REQUEST_LOST)
    world.refunds.issue(world.decision(ref))
    world.refunds.request(world.decision(waiting))
    before = world.events(ref), world.events(waiting)
    for _ in range(40):
        world.clock.advance(HOUR)
        assert merged(world.refunds.reconcile(ref)).view.refunds[0].status is Status.IN_DOUBT
        assert merged(world.refunds.reconcile(waiting)).view.refunds[0].status is Status.REQUESTED
    assert (world.events(ref), world.events(waiting)) == before
    assert len(world.gateway.sent) == 1


def test_only_payments_at_the_gateway_outside_a_transaction(world: World) -> None:
    """Cash has no gateway to look at; and no network call is made while the host's transaction is open."""
    with pytest.raises(TypeError):
        world.refunds.reconcile(OutsideRef(id="cash", method="cash", amount=USD_20))  # type: ignore[arg-type]
    world.journal.in_transaction = True
    with pytest.raises(OpenTransaction):
        world.refunds.reconcile(world.pay())
    with pytest.raises(OpenTransaction):
        account(world)
    assert world.gateway.looked == ()


def test_a_journal_that_is_gone_is_raised(world: World) -> None:
    """Of one payment the outage goes to the caller: nothing was half done."""
    ref = known(world)
    world.wire.each["load"] = unavailable()
    with pytest.raises(JournalUnavailable):
        world.refunds.reconcile(ref)


# --- drift ----------------------------------------------------------------------------------------------------


def test_full_refund_leaves_no_difference(world: World) -> None:
    """A fully refunded payment agrees with itself: its refund is counted once."""
    # failure: F09
    ref = world.pay()
    world.refunds.issue(world.decision(ref))
    found = merged(world.refunds.reconcile(ref))
    assert (found.drift, found.view.drift_minor) == (None, 0)
    assert found.view.left == Money.parse("0.00", "USD")


def test_figure_and_list_that_differ_are_told_as_money(world: World) -> None:
    """While the list lags behind the payment's own figure both are told, and the smaller remainder holds."""
    ref = known(world)
    refund_id = world.bank.elsewhere(ref, USD_20, list_lag=HOUR)
    found = merged(world.refunds.reconcile(ref))
    assert account(world).drift == ()  # the feed does not name it yet either
    nothing = Money.zero(USD_20.currency)
    assert found.drift == Drift(payment=ref, figure=USD_20, listed=nothing)
    assert (found.drift.difference, found.view.left) == (USD_20, USD_180)
    world.bank.elsewhere(ref, USD_20)
    assert account(world).drift == (Drift(payment=ref, figure=USD_20 + USD_20, listed=USD_20),)
    world.clock.advance(HOUR)
    assert account(world).drift == ()
    world.bank.settle(refund_id, "failed", "declined")
    assert merged(world.refunds.reconcile(ref)).view.left == USD_180
    assert (drift_of(EMPTY), evidence(EMPTY)) == (None, ())


# --- disputes beside refunds ------------------------------------------------------------------------------------


def test_dispute_after_the_refund_comes_with_its_evidence(world: World) -> None:
    """A dispute beside a live refund: refund, day, amount, trace number, as a value and in the alarm's words."""
    # failure: H05
    ref = world.pay()
    refund = refund_of(world.refunds.issue(world.decision(ref)))
    world.clock.advance(2 * DAY)
    dispute = world.bank.dispute(ref)
    found = merged(world.refunds.reconcile(ref))
    (told,) = found.evidence
    assert told == Evidence(
        payment=ref,
        dispute=found.view.payment.disputes[0] if found.view.payment else told.dispute,
        refund_id=refund.id,
        gateway_id="re_1",
        refunded_at=START,
        amount=USD_200,
        trace=told.trace,
    )
    assert told.trace is not None
    waiting = world.refunds.attention(by=MARIA)
    assert not isinstance(waiting, Refused)
    (item,) = [item for item in waiting[0].items if item.code == "disputed_after_refund"]
    assert (item.subject, dispute) == (dispute, told.dispute.id)
    assert item.says == (
        "Disputed although refunded on 2026-03-02; send that as evidence: "
        f"refund {refund.id} (re_1) of 200.00 USD on 2026-03-02, trace number {told.trace.reference}."
    )


@pytest.mark.parametrize(("count", "end"), [(5, "."), (7, "; and 2 more.")])
def test_evidence_names_refunds_made_elsewhere_too(world: World, count: int, end: str) -> None:
    """A dashboard refund answers a dispute as well; where there are many the first few are named."""
    ref = known(world)
    for _ in range(count):
        world.bank.elsewhere(ref, USD_20)
    world.bank.dispute(ref)
    found = merged(world.refunds.reconcile(ref))
    assert [(each.refund_id, each.gateway_id) for each in found.evidence][:2] == [(None, "re_1"), (None, "re_2")]
    assert len(found.evidence) == count
    waiting = world.refunds.attention(by=MARIA)
    assert not isinstance(waiting, Refused)
    code = "disputed_after_refund" if count == 1 else f"disputed_after_refunds_{count}"
    (item,) = [item for item in waiting[0].items if item.code == code]
    assert item.says.count("without") + item.says.count("no trace number yet") == 5
    assert item.says.endswith(end)
    assert ("more" in item.says) is (count > 5)


@pytest.mark.parametrize(
    ("trace", "words"),
    [
        (None, "without a trace number"),
        (Trace(kind="pending"), "no trace number yet"),
        (Trace(kind="reversal"), "a reversal, which has no trace number"),
        (Trace(kind="refund", reference="7412"), "trace number 7412"),
    ],
)
def test_evidence_says_what_a_bank_can_find(trace: Trace | None, words: str) -> None:
    """Each kind of trace has its words, and nothing in them is a client's."""
    world = World()
    ref = known(world)
    world.bank.elsewhere(ref, USD_20)
    world.bank.dispute(ref)
    (told,) = merged(world.refunds.reconcile(ref)).evidence
    assert str(attrs.evolve(told, trace=trace)) == f"refund re_1 of 20.00 USD on 2026-03-02, {words}"


def test_no_evidence_without_both(world: World) -> None:
    """A refund that failed is none, a won dispute asks for none, and either alone is nothing to tell."""
    refunded, disputed, failed, won = (world.pay() for _ in range(4))
    for ref in (refunded, won):
        world.refunds.issue(world.decision(ref))
    world.bank.plan(failed, Course.pending_then_fails("declined", HOUR))
    world.refunds.issue(world.decision(failed))
    world.clock.advance(2 * HOUR)
    world.refunds.quote(disputed, by=MARIA)
    for ref in (disputed, failed):
        world.bank.dispute(ref)
    world.bank.close_dispute(world.bank.dispute(won), "won")
    for ref in (refunded, disputed, failed, won):
        assert merged(world.refunds.reconcile(ref)).evidence == ()
    assert account(world).evidence == ()


# --- our mark ---------------------------------------------------------------------------------------------------


def test_mark_that_no_request_explains_is_told(world: World) -> None:
    """A lost journal, a copied mark, a mark with another amount: adopted or counted, and told every time."""
    # failure: B09
    ref, other = world.pay(), world.pay()
    refund = refund_of(world.refunds.issue(world.decision(ref)))
    assert merged(world.refunds.reconcile(ref)).unexplained == ()
    lost = world.service(journal=MemoryJournal(world.clock))
    lost.quote(ref, by=MARIA)
    for _ in range(2):
        found = merged(lost.reconcile(ref))
        assert [seen.mark for seen in found.unexplained] == [refund.id]
        assert [known.id for known in found.view.refunds] == [refund.id]
    world.refunds.quote(other, by=MARIA)
    world.bank.refund(other.account, other.charge, 2_000, key="copied", mark=refund.id)
    copied = merged(world.refunds.reconcile(other))
    assert [(seen.id, seen.mark) for seen in copied.unexplained] == [("re_2", refund.id)]
    assert copied.view.left == USD_180
    third = world.pay()
    world.gateway.script(Fault.REQUEST_LOST)
    doubted = refund_of(world.refunds.issue(world.decision(third)))
    world.bank.refund(third.account, third.charge, 1, key="odd", mark=doubted.id)
    odd = merged(world.refunds.reconcile(third))
    assert [(seen.id, seen.amount.amount_minor) for seen in odd.unexplained] == [("re_3", 1)]
    assert odd.view.refunds[0].status is Status.IN_DOUBT
    told = account(world).unexplained
    assert [(payment, seen.id) for payment, seen in told] == [(third, "re_3"), (other, "re_2")]


def test_marks_of_a_journal_that_is_lost_are_told_though_nobody_owns_the_payments(world: World) -> None:
    """With the journal every owner is lost, so no payment is anybody's; its refunds are told as unexplained."""
    # failure: B09
    ours, elsewhere = world.pay(), known(world)
    refund = refund_of(world.refunds.issue(world.decision(ours)))
    world.bank.elsewhere(elsewhere, USD_20)
    lost = world.service(journal=MemoryJournal(world.clock))
    run = lost.reconcile_account(PLATFORM, around(), feed=world.feed)
    assert {handed.payment for handed in run.unowned} == {ours, elsewhere}
    assert [(payment, seen.mark) for payment, seen in run.unexplained] == [(ours, refund.id)]


def test_equal_amounts_are_never_taken_for_each_other(world: World) -> None:
    """Three payments of one amount, one refunded by us, one elsewhere: each stands as its own list shows it."""
    # failure: A13
    ours, elsewhere, neither = (known(world) for _ in range(3))
    world.gateway.script(Fault.ANSWER_LOST)
    world.refunds.issue(world.decision(ours))
    world.bank.elsewhere(elsewhere, USD_200)
    run = account(world)
    assert {done.payment for done in run.payments} == {ours, elsewhere}
    assert [len(world.view(ref).refunds) for ref in (ours, elsewhere, neither)] == [1, 0, 0]
    assert [len(world.view(ref).elsewhere) for ref in (ours, elsewhere, neither)] == [0, 1, 0]


# --- an account -------------------------------------------------------------------------------------------------


def test_everything_the_feed_names_is_looked_at_once(world: World) -> None:
    """Refunds and disputes lead to their payments: one look each, news told, what nobody owns handed over."""
    # failure: F01, C16
    several, disputed, unowned = known(world), known(world), world.pay()
    quiet = known(world)
    for _ in range(3):
        world.bank.elsewhere(several, USD_20)
    world.bank.dispute(disputed)
    world.bank.dispute(several)
    world.bank.elsewhere(unowned, USD_20)
    before = len(world.gateway.looked)
    run = account(world)
    assert (run.account, run.window, run.position, run.unread, run.failed) == (PLATFORM, around(), None, None, ())
    assert {done.payment for done in run.news} == {several, disputed}
    assert [handed.payment for handed in run.unowned] == [unowned]
    assert sorted(map(str, world.gateway.looked[before:])) == sorted(map(str, (several, disputed, unowned)))
    assert {each.payment for each in run.evidence} == {several}
    assert world.events(unowned) == ()
    assert quiet not in world.gateway.looked[before:]
    again = account(world)
    assert (again.news, {done.payment for done in again.payments}) == ((), {several, disputed})


def test_accounts_are_reconciled_apart(world: World) -> None:
    """An account's run asks that account's lists, and looks at nobody else's payments."""
    here, there = known(world, account="acct_1"), known(world, account="acct_2")
    for ref in (here, there):
        world.bank.elsewhere(ref, USD_20)
    run = account(world, "acct_1")
    assert [done.payment for done in run.news] == [here]
    assert world.view(there).elsewhere == ()
    done = START - HOUR - 10 * MINUTE
    assert account(world, "acct_3") == Reconciliation(
        account="acct_3", window=around(), until=done, listed_until=done
    )


def test_late_failure_is_found_by_the_day_the_refund_was_made(world: World) -> None:
    """A refund fails long after its watch: a window over its creation finds it, one over the failure does not."""
    # failure: C07
    ref = world.pay()
    world.refunds.issue(world.decision(ref))
    for _ in range(90):
        world.clock.advance(DAY)
        world.refunds.recover()
    world.bank.settle("re_1", "failed", "expired_or_canceled_card")
    assert world.refunds.recover().looked == 0
    assert account(world, window=around(60 * DAY, 95 * DAY)).payments == ()
    (late,) = account(world, window=around(-DAY, DAY)).news
    assert late.view.refunds[0].status is Status.FAILED
    waiting = world.refunds.attention(by=MARIA)
    assert not isinstance(waiting, Refused)
    assert [item.code for item in waiting[0].items] == ["failed"]


def test_what_is_watched_needs_no_window(world: World) -> None:
    """Pending and freshly succeeded refunds, ours and others', have a due time: recovery looks at each of them."""
    ours, elsewhere = world.pay(), known(world)
    world.refunds.issue(world.decision(ours))
    world.bank.elsewhere(elsewhere, USD_20, course=Course.pending_then_succeeds(3 * DAY))
    account(world)
    before = len(world.gateway.looked)
    for _ in range(59):
        world.clock.advance(DAY)
        world.refunds.recover()
    looked = world.gateway.looked[before:]
    assert looked.count(ours) > 5
    assert looked.count(elsewhere) > 5


# --- in parts ---------------------------------------------------------------------------------------------------


def busy(world: World, payments: int = 6) -> tuple[PaymentRef, ...]:
    """So many known payments with refunds and disputes at the gateway of which nothing was told."""
    refs = tuple(known(world) for _ in range(payments))
    for number, ref in enumerate(refs):
        for _ in range(1 + number % 3):
            world.bank.elsewhere(ref, USD_20)
        if number % 2:
            world.bank.dispute(ref)
    return refs


@pytest.mark.parametrize("page_size", [1, 2, 5, 100])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_parts_of_any_size_come_to_the_same(world: World, limit: int, page_size: int) -> None:
    """However small pages and calls are, each goes on where the last one stopped, and in the end all is known."""
    world.gateway = MemoryGateway(world.bank, page_size=page_size)
    world.feed = type(world.feed)(world.gateway, world.wire)
    world.refunds = world.service()
    refs = busy(world)
    done = list(in_parts(world, limit))
    assert {payment.payment for part in done for payment in part.news} == set(refs)
    assert [part.until for part in done[:-1]] == [None] * (len(done) - 1)
    assert done[-1].until == START - HOUR - 10 * MINUTE
    assert len(done) == -(-15 // limit)
    for ref in refs:
        assert merged(world.refunds.reconcile(ref)).news is False


def test_a_lost_page_concludes_nothing_and_is_taken_up_again(world: World) -> None:
    """A page that is cut ends the call before it; the next call goes on there and ends the window."""
    world.gateway = MemoryGateway(world.bank, page_size=2)
    world.refunds = world.service()
    refs = busy(world)
    world.gateway.script(Fault.PAGE_WORKS, Fault.PAGE_UNREADABLE, Fault.PAGE_RAISES)
    first = world.refunds.reconcile_account(PLATFORM, around(), feed=world.gateway)
    assert (first.unread, first.until) == ("the page was cut", None)
    assert first.position is not None
    assert first.position.after == "re_11"
    again = world.refunds.reconcile_account(PLATFORM, around(), feed=world.gateway, after=first.position)
    assert (again.unread, again.position) == ("the feed raised RuntimeError", first.position)
    assert (again.payments, again.until) == ((), None)
    rest = world.refunds.reconcile_account(PLATFORM, around(), feed=world.gateway, after=again.position)
    assert rest.until == START - HOUR - 10 * MINUTE
    assert {payment.payment for run in (first, rest) for payment in run.payments} == set(refs)


def test_a_failing_payment_stops_no_other_and_keeps_the_window_open(world: World) -> None:
    """The payment that broke is named and may be tried alone; no call of that run says the window is done."""
    refs = busy(world)
    world.gateway.script(Fault.LOOK_WORKS, Fault.LOOK_UNREADABLE)
    done = list(in_parts(world, 3))
    (failed,) = (failed for part in done for failed in part.failed)
    assert (failed.payment, failed.why) == (refs[4], "a page is missing")
    assert {payment.payment for part in done for payment in part.payments} == set(refs) - {refs[4]}
    assert [part.until for part in done] == [None] * len(done)
    assert done[-1].position is None
    assert account(world).until is not None


def test_a_failure_at_a_lists_end_is_not_forgotten_by_the_next_call(world: World) -> None:
    """The part that ends with the list of refunds hands on that a payment of it failed: the window stays open."""
    ref = known(world)
    world.bank.elsewhere(ref, USD_20)
    world.gateway.script(Fault.LOOK_UNREADABLE)
    first = world.refunds.reconcile_account(PLATFORM, around(), feed=world.gateway, limit=1)
    assert [failed.payment for failed in first.failed] == [ref]
    assert first.position is not None
    assert (first.position.subject, first.position.whole) == (Subject.DISPUTE, False)
    rest = world.refunds.reconcile_account(
        PLATFORM, around(), feed=world.gateway, limit=1, after=Position.parse(str(first.position))
    )
    assert (rest.position, rest.until) == (None, None)
    assert rest.listed_until is not None


def test_broken_journal_is_named_payment_by_payment(world: World) -> None:
    """Where one payment's stream cannot be read or written its error's class is told, and the others go on."""
    refs = busy(world, 3)
    world.wire.clear()
    world.wire.before[2] = raising(JournalUnavailable("secret://user:pass@db"))
    run = account(world)
    assert run.failed == (Unreconciled(payment=refs[2], why="JournalUnavailable"),)
    assert {payment.payment for payment in run.payments} == set(refs[:2])
    world.wire.each["load"] = unavailable()
    with pytest.raises(JournalUnavailable):
        account(world)


def test_each_thing_a_failed_payment_is_named_by_counts_once(world: World) -> None:
    """Several mentions of a payment that cannot be read cost one look, and it is named once."""
    ref = known(world)
    for _ in range(5):
        world.bank.elsewhere(ref, USD_20)
    before = len(world.gateway.looked)
    world.gateway.script(Fault.LOOK_UNREADABLE)
    assert account(world).failed == (Unreconciled(payment=ref, why="a page is missing"),)
    assert len(world.gateway.looked) == before + 1


# --- up to when -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "now", "until"),
    [
        (DAY, 3 * DAY, DAY),
        (DAY, DAY, DAY - HOUR - 10 * MINUTE),
        (10 * DAY, DAY, DAY - HOUR - 10 * MINUTE),
        (DAY, HOUR, None),
        (DAY, HOUR + 10 * MINUTE, None),
        (DAY, HOUR + 10 * MINUTE + SECOND, SECOND),
    ],
)
def test_window_is_done_up_to_where_lists_were_complete(
    world: World, end: timedelta, now: timedelta, until: timedelta | None
) -> None:
    """A list may lag by an hour and clocks differ: what is younger than that when a run begins is not done yet."""
    world.clock.advance(now)
    run = account(world, window=around(timedelta(0), end))
    assert run.until == (None if until is None else START + until)


def test_a_run_is_as_old_as_its_first_call(world: World) -> None:
    """Parts that take days say up to when the lists were complete as the run began, not as it ended."""
    busy(world)
    parts = in_parts(world, 4)
    next(parts)
    world.clock.advance(5 * DAY)
    assert list(parts)[-1].until == START - HOUR - 10 * MINUTE


def test_what_a_look_does_not_show_yet_is_not_reconciled(world: World) -> None:
    """The feed names a refund that the payment's own list lacks: the payment failed, and is never passed over."""
    ref = known(world)
    world.bank.elsewhere(ref, USD_20)

    def early(gateway: MemoryGateway) -> Listing:
        named = Mention(id="re_9", charge=ref.charge, created_at=START)
        return Listing(gateway, FeedPage(mentions=(named,), more=False))

    run = world.refunds.reconcile_account(PLATFORM, around(), feed=early(world.gateway))
    assert run.failed == (Unreconciled(payment=ref, why=NOT_SHOWN),)
    assert ([done.payment for done in run.payments], run.until) == ([ref], None)


def test_what_is_known_already_must_be_shown_all_the_same(world: World) -> None:
    """The look lacks a refund that the feed names and the journal knows: how it stands now was not seen."""
    ref = known(world)
    world.bank.elsewhere(ref, USD_20)
    merged(world.refunds.reconcile(ref))
    empty = MemoryBank(world.clock)
    assert empty.charge(USD_200) == ref
    run = world.service(gateway=MemoryGateway(empty)).reconcile_account(PLATFORM, around(), feed=world.feed)
    assert run.failed == (Unreconciled(payment=ref, why=NOT_SHOWN),)
    assert run.until is None


@pytest.mark.parametrize("quoted", [True, False])
def test_what_is_not_shown_costs_one_look(world: World, *, quoted: bool) -> None:
    """A payment that lacks one thing the feed names has failed: what else it lacks leads to no look more."""
    ref = known(world) if quoted else world.pay()
    before = len(world.gateway.looked)
    page = FeedPage(mentions=tuple(mention(f"re_{number}") for number in range(50)), more=False)
    run = world.refunds.reconcile_account(PLATFORM, around(), feed=Listing(world.gateway, page))
    assert run.failed == (Unreconciled(payment=ref, why=NOT_SHOWN),)
    assert len(world.gateway.looked) == before + 1


def test_the_feed_of_somebody_else_concludes_nothing(world: World) -> None:
    """A feed of another gateway names payments that this one does not hold, owned or not: each of them failed."""
    stranger = MemoryBank(world.clock)
    here = known(world)
    for _ in range(2):
        stranger.elsewhere(stranger.charge(USD_200), USD_20)
    run = world.refunds.reconcile_account(PLATFORM, around(), feed=MemoryGateway(stranger))
    missing = PaymentRef(PLATFORM, "ch_2")
    assert run.failed == (
        Unreconciled(payment=missing, why=NOT_HELD),
        Unreconciled(payment=here, why=NOT_SHOWN),
    )
    assert (run.unowned, run.until) == ((), None)


def test_a_payment_of_nobody_that_cannot_be_read_holds_the_window_open(world: World) -> None:
    """Unread, or shown without what the feed names: it was not looked at, whoever owns it."""
    unread, lagging = world.pay(), world.pay()
    for ref in (unread, lagging):
        world.bank.elsewhere(ref, USD_20)
    page = FeedPage(mentions=(mention("re_9", charge="ch_2"), mention("re_1")), more=False)
    feed = Listing(world.gateway, page)
    world.gateway.script(Fault.LOOK_WORKS, Fault.LOOK_UNREADABLE)
    run = world.refunds.reconcile_account(PLATFORM, around(), feed=feed)
    assert run.failed == (
        Unreconciled(payment=lagging, why=NOT_SHOWN),
        Unreconciled(payment=unread, why="a page is missing"),
    )
    assert ([handed.payment for handed in run.unowned], run.until) == ([lagging], None)


def test_a_payment_that_always_fails_need_not_hold_up_the_account(world: World) -> None:
    """Read to its end but for one payment: `until` is None, and `listed_until` is where the host may go on."""
    refs = [known(world) for _ in range(3)]
    for ref in refs:
        world.bank.elsewhere(ref, USD_20)
    world.gateway.script(Fault.LOOK_UNREADABLE)
    parts = list(in_parts(world, 2))
    assert [failed.payment for part in parts for failed in part.failed] == [refs[2]]
    assert [part.listed_until for part in parts] == [None, START - HOUR - 10 * MINUTE]
    assert [part.until for part in parts] == [None, None]
    assert account(world).until == START - HOUR - 10 * MINUTE


def test_a_second_look_that_fails_takes_nothing_back(world: World) -> None:
    """A payment was merged, and the look for what the feed names besides cannot be read: told as both."""
    ref = known(world)
    world.bank.elsewhere(ref, USD_20)
    world.gateway.script(Fault.LOOK_WORKS, Fault.LOOK_UNREADABLE)
    page = FeedPage(mentions=(mention("re_1"), mention("re_9")), more=False)
    run = world.refunds.reconcile_account(PLATFORM, around(), feed=Listing(world.gateway, page))
    assert [done.payment for done in run.payments] == [ref]
    assert run.failed == (Unreconciled(payment=ref, why="a page is missing"),)
    assert run.until is None


def test_news_of_a_first_look_stays_news(world: World) -> None:
    """A payment that told news and is looked at again for what was not shown is news of this run all the same."""
    ref = known(world)
    world.bank.elsewhere(ref, USD_20)
    page = FeedPage(mentions=(mention("re_1"), mention("re_9")), more=False)
    run = world.refunds.reconcile_account(PLATFORM, around(), feed=Listing(world.gateway, page))
    assert [done.payment for done in run.news] == [ref]
    assert world.gateway.looked.count(ref) == 3  # the quote's, and two of the run
    assert run.failed == (Unreconciled(payment=ref, why=NOT_SHOWN),)


# --- feeds that are odd -----------------------------------------------------------------------------------------


class Listing:
    """A feed that gives these pages of refunds, one after the other, and no disputes."""

    live = False

    def __init__(self, gateway: MemoryGateway, *pages: object) -> None:
        self.gateway, self.pages = gateway, list(pages)

    def page(self, account: str, window: Window, subject: Subject, after: str | None, /) -> FeedPage | Unread:
        if subject is Subject.DISPUTE or not self.pages:
            return FeedPage(mentions=(), more=False)
        return self.pages.pop(0)  # type: ignore[return-value]


def mention(id: str, charge: str | None = "ch_1", at: datetime = START) -> Mention:
    """A refund in a feed."""
    return Mention(id=id, charge=charge, created_at=at)


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        ((None,), "the feed returned no page"),
        (
            (FeedPage(mentions=(mention("re_1", at=START - 2 * DAY),), more=False),),
            "not created within the window",
        ),
        ((FeedPage(mentions=(mention("re_1"),), more=True),) * 2, "the feed repeats itself"),
    ],
)
def test_odd_feed_ends_the_call(world: World, pages: tuple[object, ...], why: str) -> None:
    """No page, a page of another window and a list that turns in circles are as good as unread."""
    known(world)
    world.bank.elsewhere(PaymentRef(PLATFORM, "ch_1"), USD_20)
    run = world.refunds.reconcile_account(PLATFORM, around(), feed=Listing(world.gateway, *pages))
    assert run.unread is not None
    assert why in run.unread
    assert run.until is None
    assert run.position is not None


def test_a_list_that_turns_in_circles_between_calls_is_told(world: World) -> None:
    """A page that begins with what the last call ended with would never end."""
    page = FeedPage(mentions=(mention("re_1", charge=None), mention("re_2", charge=None)), more=True)
    first = world.refunds.reconcile_account(PLATFORM, around(), feed=Listing(world.gateway, page), limit=2)
    assert first.unread is None
    again = world.refunds.reconcile_account(
        PLATFORM, around(), feed=Listing(world.gateway, page), limit=2, after=first.position
    )
    assert (again.unread, again.position) == ("the feed repeats itself", first.position)


def test_refund_of_no_charge_is_passed_over(world: World) -> None:
    """Money that was never a payment's leads nowhere and keeps no window open."""
    page = FeedPage(mentions=(mention("re_1", charge=None),), more=False)
    run = world.refunds.reconcile_account(PLATFORM, around(), feed=Listing(world.gateway, page))
    assert (run.payments, run.unowned, run.failed) == ((), (), ())
    assert run.until is not None
    assert world.gateway.looked == ()


def test_odd_arguments_are_refused(world: World) -> None:
    """What is no feed, one of another mode, no window, no limit, another run's position: refused at once."""
    run = world.refunds.reconcile_account
    position = Position(account=PLATFORM, window=around(), subject=Subject.REFUND, after=None, began=START)
    with pytest.raises(TypeError, match="RefundFeed"):
        run(PLATFORM, around(), feed=object())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="live"):
        run(PLATFORM, around(), feed=MemoryGateway(world.bank, live=True))
    with pytest.raises(TypeError, match="window"):
        run(PLATFORM, (START, START), feed=world.feed)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="outside"):
        run("outside", around(), feed=world.feed)
    with pytest.raises(ValueError, match="limit"):
        run(PLATFORM, around(), feed=world.feed, limit=0)
    with pytest.raises(TypeError, match="on_progress"):
        run(PLATFORM, around(), feed=world.feed, on_progress=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="after"):
        run(PLATFORM, around(), feed=world.feed, after=str(position))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="this account and this window"):
        run("acct_1", around(), feed=world.feed, after=position)
    with pytest.raises(ValueError, match="this account and this window"):
        run(PLATFORM, around(end=DAY), feed=world.feed, after=position)
    assert "page" not in world.wire.calls


# --- progress and position --------------------------------------------------------------------------------------


def test_progress_counts_what_was_taken_up(world: World) -> None:
    """The host's function hears of each refund and dispute once; what it raises stops nothing."""
    busy(world, 2)
    heard: list[int] = []

    def hear(done: int) -> None:
        heard.append(done)
        raise RuntimeError("the host's own trouble")

    run = world.refunds.reconcile_account(PLATFORM, around(), feed=world.feed, on_progress=hear)
    assert heard == [1, 2, 3, 4]
    assert run.until is not None


def test_progress_may_interrupt() -> None:
    """Whoever interrupts the process from there is not held up."""
    world = World()
    busy(world, 1)
    with pytest.raises(KeyboardInterrupt):
        world.refunds.reconcile_account(
            PLATFORM, around(), feed=world.feed, on_progress=lambda done: raising(KeyboardInterrupt())()
        )


@pytest.mark.parametrize("after", [None, "re_1"])
@pytest.mark.parametrize("subject", [Subject.REFUND, Subject.DISPUTE])
@pytest.mark.parametrize("whole", [True, False])
def test_position_travels_as_text(after: str | None, subject: Subject, whole: bool) -> None:
    """A queue or a row carries the text of a position, which holds ids and times only."""
    began = START + timedelta(microseconds=7)
    place = Position(account="acct_1", window=around(), subject=subject, after=after, began=began, whole=whole)
    assert Position.parse(str(place)) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "acct_1",
        "a b c d e f",
        "a b c d e f g h",
        str(Position(account="a", window=around(), subject=Subject.REFUND, after=None, began=START)).replace(
            " ", "  "
        ),
        "acct_1 2026-03-01 2026-03-02 payout 2026-03-02 whole",
        f"{Position(account='a', window=around(), subject=Subject.REFUND, after='re_1', began=START)} re_2",
    ],
)
def test_text_that_is_no_position_is_refused(text: str) -> None:
    """Any other text is a ValueError that repeats nothing of it."""
    with pytest.raises(ValueError, match="no position that a reconciliation gave"):
        Position.parse(text)


def test_position_refuses_what_no_list_has() -> None:
    """There are two lists, of refunds and of disputes."""
    with pytest.raises(ValueError, match="refund or dispute"):
        Position(account="a", window=around(), subject=Subject.PAYOUT, after=None, began=START)


# --- values -----------------------------------------------------------------------------------------------------


def test_feed_values_refuse_what_no_feed_has() -> None:
    """A window ends after it begins; a page names each object once, and one that is empty is the last."""
    with pytest.raises(ValueError, match="later than start"):
        Window(start=START, end=START)
    day = Window(start=START, end=START + DAY)
    assert [at in day for at in (START - SECOND, START, START + DAY - SECOND, START + DAY)] == [
        False,
        True,
        True,
        False,
    ]
    with pytest.raises(ValueError, match="timezone-aware"):
        Window(start=datetime(2026, 3, 1), end=START)  # noqa: DTZ001
    with pytest.raises(ValueError, match="each object once"):
        FeedPage(mentions=(mention("re_1"), mention("re_1")), more=False)
    with pytest.raises(ValueError, match="does not advance"):
        FeedPage(mentions=(), more=True)
    with pytest.raises(ValueError, match="charge"):
        mention("re_1", charge="")
    with pytest.raises(ValueError, match="mark"):
        Mention(id="re_1", charge=None, created_at=START, mark="")


# --- properties -------------------------------------------------------------------------------------------------


def story(world: World, rng: random.Random) -> tuple[PaymentRef, ...]:
    """Payments to which things happen over two days, some by us, most elsewhere, and nobody is told."""
    refs = tuple(known(world) for _ in range(rng.randint(2, 5)))
    for _ in range(rng.randint(4, 12)):
        ref = rng.choice(refs)
        match rng.randrange(5):
            case 0:
                world.gateway.script(rng.choice([Fault.WORKS, Fault.ANSWER_LOST, Fault.REQUEST_LOST]))
                quote = world.refunds.quote(ref, by=MARIA)
                if not quote.refusals:
                    world.refunds.issue(quote.verified(by=MARIA))
            case 1 | 2 if world.bank.live(ref) <= USD_180:
                course = rng.choice([None, Course.pending_then_succeeds(), Course.succeeds_then_fails(after=DAY)])
                world.bank.elsewhere(ref, USD_20, course=course)
            case 3:
                world.bank.dispute(ref, status=rng.choice(["needs_response", "warning_needs_response"]))
            case _:
                world.clock.advance(rng.choice([MINUTE, HOUR, 5 * HOUR]))
    return refs


class Backwards:
    """The bank's feed the other way round: the oldest first, in pages of a size of its own."""

    live = False

    def __init__(self, gateway: MemoryGateway, size: int) -> None:
        self._gateway, self._size = gateway, size

    def page(self, account: str, window: Window, subject: Subject, after: str | None, /) -> FeedPage | Unread:
        whole = self._gateway.page(account, window, subject, None)
        assert isinstance(whole, FeedPage)
        members = whole.mentions[::-1]
        first = 0 if after is None else 1 + [member.id for member in members].index(after)
        rest = members[first:]
        return FeedPage(mentions=rest[: self._size], more=len(rest) > self._size)


def ledgers(world: World, refs: tuple[PaymentRef, ...]) -> list[PaymentView]:
    """How every payment stands."""
    return [shown(world.view(ref)) for ref in refs]


@pytest.mark.parametrize("seed", range(25))
def test_twice_is_once_and_order_does_not_matter(world: World, seed: int) -> None:
    """Newest or oldest first, in pages and parts of any size, once or twice: the same streams to the letter."""
    rng = random.Random(seed)
    refs = story(world, rng)
    start = {ref: world.events(ref) for ref in refs}
    told = []
    for size in (100, 1, 3):
        store = MemoryJournal(world.clock)
        for ref in refs:
            head = world.store._heads[str(ref)]
            store.append(ref, start[ref], expected=0, head=head)
        service = world.service(journal=store)
        limit, place = rng.randint(1, 9), None
        while True:
            part = service.reconcile_account(
                PLATFORM, around(), feed=Backwards(world.gateway, size), limit=limit, after=place
            )
            assert (part.unread, part.failed) == (None, ())
            place = part.position
            if place is None:
                break
        told.append({ref: store.load(ref).events for ref in refs})
        again = service.reconcile_account(PLATFORM, around(), feed=world.gateway, limit=1000)
        assert (again.news, again.position) == ((), None)
        assert {ref: store.load(ref).events for ref in refs} == told[-1]
    assert told[0] == told[1] == told[2]


@pytest.mark.parametrize("seed", range(25))
def test_lost_webhooks_make_no_difference(world: World, seed: int) -> None:
    """With all of its webhooks delivered, or with none and one reconciliation, every payment stands the same."""
    # failure: F01, F06
    refs = story(world, random.Random(seed))
    twin = World(world.kind)
    assert story(twin, random.Random(seed)) == refs
    for one in (world, twin):
        one.clock.advance(2 * DAY)
    told = [news for news in twin.bank.news() if news.charge is not None]
    random.Random(-seed).shuffle(told)
    for number, news in enumerate(told):
        signal = Signal(
            id=f"evt_{number}",
            kind=news.type,
            account=news.account,
            subject=Subject.REFUND,
            object_id=news.object_id,
            charge=news.charge,
        )
        assert isinstance(twin.refunds.receive(signal), Merged)
    assert account(world).until is not None
    assert ledgers(world, refs) == ledgers(twin, refs)
