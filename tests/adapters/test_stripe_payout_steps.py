"""Which calls reading payouts makes, in which order, and what comes of what was answered: without any wire."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import attrs
import pytest

from refund_adapters.stripe import _payouts as payouts
from refund_adapters.stripe._faults import Fault
from refund_adapters.stripe._payouts import Patient, Rows, Wait
from refund_adapters.stripe._steps import Call, Failed, Reply, Steps
from refund_domain.answers import Missing, Unread
from refund_domain.connect import PLATFORM
from refund_domain.money import Currency, Money
from refund_domain.operations.feeds import Window
from refund_domain.payouts.entries import BalanceEntry, EntryPage
from refund_domain.payouts.funds import Balance, Funds, Payout, PayoutStatus

T = TypeVar("T")

USD, EUR = Currency.of("usd"), Currency.of("eur")
AT = datetime(2026, 3, 4, 9, tzinfo=UTC)
AT_S = int(AT.timestamp())
DAY_S = 86_400

MISSING = Failed(why="x", fault=Fault(status=404, code="resource_missing"))
NOT_READY = Failed(why="x", fault=Fault(status=400, code="payout_reconciliation_not_ready"))
REFUSED = Failed(why="x", fault=Fault(status=400, code="parameters_exclusive"))
SLOW = Failed(why="x", fault=Fault(status=429, code="rate_limit"))
SILENT = Failed(why="APIConnectionError: ReadTimeout")


def run(steps: Steps[T], *replies: Reply) -> tuple[T, list[Call]]:
    """What the steps come to when they are answered so, all of it, and what they asked."""
    asked: list[Call] = []
    try:
        call = next(steps)
        for reply in replies:
            asked.append(call)
            call = steps.send(reply)
    except StopIteration as done:
        assert len(asked) == len(replies), "not every answer was asked for"
        return done.value, asked
    raise AssertionError(f"one more call: {call}")


def payout(number: int = 1, **changes: object) -> dict[str, Any]:
    """An automatic payout as the guard lets it through."""
    return {
        "id": f"po_{number}",
        "object": "payout",
        "amount": 30_000,
        "arrival_date": AT_S + 2 * DAY_S,
        "automatic": True,
        "created": AT_S,
        "currency": "usd",
        "failure_code": None,
        "livemode": False,
        "reconciliation_status": "completed",
        "status": "paid",
        **changes,
    }


def listed(*rows: object, more: bool = False) -> dict[str, Any]:
    """A page of a list."""
    return {"object": "list", "data": list(rows), "has_more": more}


def entry(number: int, **changes: Any) -> BalanceEntry:
    """A balance transaction as the decoder gives it."""
    plain = BalanceEntry(
        id=f"txn_{number}",
        category="charge",
        amount_minor=100,
        fee_minor=0,
        net_minor=100,
        currency="usd",
        created_s=AT_S,
        available_s=AT_S,
    )
    return attrs.evolve(plain, **changes)


def rows(*numbers: int, more: bool = False) -> Rows:
    """A page of them."""
    return Rows(entries=tuple(map(entry, numbers)), more=more)


def unread(seen: object) -> str:
    """Why nothing was read."""
    assert isinstance(seen, Unread), seen
    return seen.why


# --- payouts ------------------------------------------------------------------------------------------------

PAYOUT = Payout(
    id="po_1",
    amount=Money(30_000, USD),
    arrives_on=date(2026, 3, 6),
    status=PayoutStatus.PAID,
    automatic=True,
    reconciled=True,
    created_at=AT,
)


def test_a_payout_is_read_as_it_is() -> None:
    """Amount, day, state, who made it and whether it can be itemised; a debit is negative, a failure a word."""
    assert payouts.payout_of(payout(), live=False) == PAYOUT
    odd = payout(amount=-5_000, status="failed", failure_code="account_closed", automatic=False)
    read = payouts.payout_of({**odd, "reconciliation_status": "not_applicable"}, live=False)
    assert (read.amount, read.is_debit, read.failure) == (Money(-5_000, USD), True, "account_closed")
    assert (read.automatic, read.reconciled, read.status) == (False, False, PayoutStatus.FAILED)


@pytest.mark.parametrize("status", list(PayoutStatus))
def test_each_of_the_five_states_is_known(status: PayoutStatus) -> None:
    """Stripe's words are the core's own."""
    assert payouts.payout_of(payout(status=status.value), live=False).status is status


ODD: list[dict[str, object]] = [
    {"object": "refund"},
    {"id": None},
    {"id": "Carla Canary"},
    {"amount": "30000"},
    {"amount": 300.0},
    {"amount": True},
    {"amount": 10**16},
    {"currency": "dollars"},
    {"status": "made_up_tomorrow"},
    {"status": None},
    {"automatic": None},
    {"arrival_date": None},
    {"created": None},
    {"created": 10**15},
    {"livemode": True},
]


@pytest.mark.parametrize("changes", ODD, ids=str)
def test_an_odd_payout_is_unread(changes: dict[str, object]) -> None:
    """Whatever is missing, mistyped, of the other mode or in a state nobody knows is no payout."""
    seen, _ = run(payouts.payout(PLATFORM, "po_1", live=False), payout() | changes)
    assert unread(seen)


def test_a_payout_says_when_the_one_before_was_made() -> None:
    """The newest automatic payout of its currency and kind made before it, however many others stand between."""
    earlier = [
        payout(9, created=AT_S - 1, automatic=False),
        payout(8, created=AT_S - 2, currency="eur"),
        payout(5, created=AT_S - 3, source_type="bank_account"),
        payout(7, created=AT_S - DAY_S, status="failed"),
        payout(6, created=AT_S - 2 * DAY_S),
    ]
    steps = payouts.payout("acct_1", "po_1", live=False)
    seen, asked = run(steps, payout(), listed(*earlier[:1], more=True), listed(*earlier[1:]))
    assert seen == attrs.evolve(PAYOUT, before_at=AT - timedelta(days=1))
    assert [(call.path, call.account, call.key) for call in asked] == [
        ("/v1/payouts/po_1", "acct_1", None),
        ("/v1/payouts", "acct_1", None),
        ("/v1/payouts", "acct_1", None),
    ]
    assert asked[1].params == {"created": {"lt": AT_S}, "limit": 100}
    assert asked[2].params == {"created": {"lt": AT_S}, "limit": 100, "starting_after": "po_9"}


def test_nobody_says_when_the_one_before_was_made_where_none_is_found() -> None:
    """The first payout has none before it; and behind so many pages nobody looks."""
    seen, _ = run(payouts.payout(PLATFORM, "po_1", live=False), payout(), listed())
    assert seen == PAYOUT
    pages = [
        listed(payout(n, created=AT_S - n, automatic=False), more=True)
        for n in range(2, 2 + payouts.BEFORE_PAGES_MOST)
    ]
    seen, _ = run(payouts.payout(PLATFORM, "po_1", live=False), payout(), *pages)
    assert seen == PAYOUT


@pytest.mark.parametrize(
    "page",
    [
        listed(payout(2, created=AT_S)),
        listed(payout(2, created=AT_S + 1, automatic=False)),
        listed(more=True),
        listed({"created": 1}, more=True),
        {"object": "list"},
        MISSING,
        SILENT,
    ],
    ids=str,
)
def test_odd_earlier_payouts_are_unread(page: Reply) -> None:
    """A list that does not keep what was asked for, or cannot be read, tells nothing, not even the payout."""
    seen, _ = run(payouts.payout(PLATFORM, "po_1", live=False), payout(), page)
    assert unread(seen)


def test_a_payout_that_is_not_there_is_missing_and_another_is_none() -> None:
    """Only Stripe's own word says that the account has none; a payout of another id is no answer."""
    assert run(payouts.payout(PLATFORM, "po_1", live=False), MISSING)[0] == Missing()
    for status in (404, 403, 200):
        stranger = Failed(why="x", fault=Fault(status=status, spoken=False))
        assert unread(run(payouts.payout(PLATFORM, "po_1", live=False), stranger)[0]).startswith("HTTP")
    assert unread(run(payouts.payout(PLATFORM, "po_2", live=False), payout())[0])


# --- funds --------------------------------------------------------------------------------------------------


def balance(**changes: object) -> dict[str, Any]:
    """A balance as the guard lets it through."""
    return {
        "object": "balance",
        "available": [{"amount": -5_000, "currency": "usd"}, {"amount": 700, "currency": "eur"}],
        "livemode": False,
        "pending": [{"amount": 9_000, "currency": "usd"}],
        **changes,
    }


def test_funds_are_payouts_in_progress_and_every_balance() -> None:
    """Both states are listed to the last page, and what was set aside for refunds is told beside the balance."""
    aside = {"available": [{"amount": 2_000, "currency": "usd"}], "pending": [{"amount": 1, "currency": "usd"}]}
    seen, asked = run(
        payouts.funds("acct_1", live=False),
        listed(payout(3, status="pending"), more=True),
        listed(payout(2, status="pending", automatic=False)),
        listed(payout(1, status="in_transit")),
        balance(refund_and_dispute_prefunding=aside),
    )
    assert isinstance(seen, Funds)
    assert [(each.id, each.status, each.automatic) for each in seen.payouts] == [
        ("po_3", PayoutStatus.PENDING, True),
        ("po_2", PayoutStatus.PENDING, False),
        ("po_1", PayoutStatus.IN_TRANSIT, True),
    ]
    assert seen.balances == (
        Balance(available=Money(-5_000, USD), pending=Money(9_000, USD), prefunded=Money(2_000, USD)),
        Balance(available=Money(700, EUR)),
    )
    assert [(call.path, call.params, call.account) for call in asked] == [
        ("/v1/payouts", {"limit": 100, "status": "pending"}, "acct_1"),
        ("/v1/payouts", {"limit": 100, "status": "pending", "starting_after": "po_3"}, "acct_1"),
        ("/v1/payouts", {"limit": 100, "status": "in_transit"}, "acct_1"),
        ("/v1/balance", {}, "acct_1"),
    ]


def test_a_payout_that_leaves_between_the_lists_is_shown_once() -> None:
    """The later list has the later word, so no money is counted twice."""
    seen, _ = run(
        payouts.funds(PLATFORM, live=False),
        listed(payout(1, status="pending")),
        listed(payout(1, status="in_transit")),
        balance(),
    )
    assert isinstance(seen, Funds)
    assert [(each.id, each.status) for each in seen.payouts] == [("po_1", PayoutStatus.IN_TRANSIT)]


def test_a_currency_that_stands_on_one_side_only_is_shown() -> None:
    """What is pending or set aside in a currency of which nothing is available is no reason to hide it."""
    seen = payouts.balances_of(
        balance(available=[], refund_and_dispute_prefunding={"available": [{"amount": 5, "currency": "eur"}]}),
        live=False,
    )
    assert seen == (
        Balance(available=Money(0, USD), pending=Money(9_000, USD)),
        Balance(available=Money(0, EUR), prefunded=Money(5, EUR)),
    )


@pytest.mark.parametrize(
    "body",
    [
        listed(),
        balance(available=None),
        balance(pending={}),
        balance(available=[None]),
        balance(available=[{"amount": 1.5, "currency": "usd"}]),
        balance(available=[{"amount": 1, "currency": "usd"}, {"amount": 2, "currency": "usd"}]),
        balance(refund_and_dispute_prefunding={"available": [{"amount": -1, "currency": "usd"}]}),
        balance(
            available=[{"amount": 1, "currency": "usd"}],
            refund_and_dispute_prefunding={"available": [{"amount": 10**15, "currency": "usd"}]},
        ),
        balance(livemode=True),
        "balance",
        MISSING,
        SILENT,
    ],
    ids=str,
)
def test_an_odd_balance_is_unread(body: Reply) -> None:
    """Without a balance that can be read there are no funds: payouts alone would pass for all there is."""
    seen, _ = run(payouts.funds(PLATFORM, live=False), listed(), listed(), body)
    assert unread(seen)


@pytest.mark.parametrize(
    "page",
    [listed(payout(1, status="paid")), listed(payout(1), payout(1)), listed(more=True), SILENT, {}],
    ids=str,
)
def test_odd_payouts_in_progress_are_unread(page: Reply) -> None:
    """A list that holds another state, repeats itself or cannot be read tells no funds."""
    assert unread(run(payouts.funds(PLATFORM, live=False), page)[0])


# --- entries ------------------------------------------------------------------------------------------------


def test_entries_are_asked_for_by_their_payout() -> None:
    """The payout's own, a hundred at once, with what they are about; behind the last one that was listed."""
    steps = payouts.entries("acct_1", PAYOUT, None, "txn_9")
    seen, (call,) = run(steps, rows(8, 7, more=True))
    assert seen == EntryPage(entries=(entry(8), entry(7)), after="txn_7")
    expected = {"limit": 100, "payout": "po_1", "expand": ["data.source"], "starting_after": "txn_9"}
    assert call == Call(path="/v1/balance_transactions", params=expected, account="acct_1")


def test_entries_of_a_window_are_asked_for_by_its_seconds_and_the_payouts_currency() -> None:
    """From the first whole second of the window on, and before its end."""
    window = Window(start=AT + timedelta(microseconds=1), end=AT + timedelta(seconds=9))
    seen, (call,) = run(payouts.entries(PLATFORM, PAYOUT, window, None), rows(1))
    assert seen == EntryPage(entries=(entry(1),))
    created = {"gte": AT_S + 1, "lt": AT_S + 9}
    assert call.params == {"limit": 100, "created": created, "currency": "usd", "expand": ["data.source"]}


def test_a_payout_that_is_not_reconciled_says_so() -> None:
    """Stripe's code is put into words that say what to do."""
    assert "not reconciled yet" in unread(run(payouts.entries(PLATFORM, PAYOUT, None, None), NOT_READY)[0])


@pytest.mark.parametrize(
    "reply",
    [
        {},
        listed(),
        "text",
        rows(2, 2),
        rows(3, 9),
        rows(more=True),
        Failed(why="x", fault=Fault(status=403)),
        Failed(why="x", fault=Fault(status=200, spoken=False)),
        MISSING,
        SILENT,
    ],
    ids=str,
)
def test_odd_pages_are_unread(reply: Reply) -> None:
    """A page that repeats itself, comes back to where it was asked from, does not advance or cannot be read."""
    assert unread(run(payouts.entries(PLATFORM, PAYOUT, None, "txn_9"), reply)[0])


# --- where a refund is --------------------------------------------------------------------------------------


def refund(**changes: object) -> dict[str, Any]:
    """A refund with its entry expanded."""
    own = {"id": "txn_5", "object": "balance_transaction", "created": AT_S, "currency": "usd", "type": "refund"}
    return {"id": "re_1", "object": "refund", "balance_transaction": own, **changes}


def of(number: int, **changes: object) -> dict[str, Any]:
    """A payout made so many days later."""
    return payout(number, created=AT_S + number * DAY_S, **changes)


def test_a_refund_is_in_the_payout_that_lists_its_entry() -> None:
    """Payouts since its entry are asked from the oldest on, and only those that can hold it."""
    made = [
        of(7),
        of(6),
        of(5),
        of(4, currency="eur"),
        of(3, reconciliation_status="in_progress", status="pending"),
        of(2, automatic=False),
        of(1, status="failed"),
    ]
    steps = payouts.holding("acct_1", "re_1", live=False)
    seen, asked = run(steps, refund(), listed(*made), rows(), rows(4, 5))
    assert isinstance(seen, Payout)
    assert seen.id == "po_5"
    assert {call.account for call in asked} == {"acct_1"}
    assert [(call.path, call.params) for call in asked] == [
        ("/v1/refunds/re_1", {"expand": ["balance_transaction"]}),
        ("/v1/payouts", {"limit": 100, "created": {"gte": AT_S}}),
        ("/v1/balance_transactions", {"limit": 100, "payout": "po_1", "source": "re_1"}),
        ("/v1/balance_transactions", {"limit": 100, "payout": "po_5", "source": "re_1"}),
    ]


def test_a_failed_payout_holds_its_refund() -> None:
    """The bank's refusal changes nothing of what was in it."""
    seen, _ = run(payouts.holding(PLATFORM, "re_1", live=False), refund(), listed(of(1, status="failed")), rows(5))
    assert isinstance(seen, Payout)
    assert (seen.id, seen.status) == ("po_1", PayoutStatus.FAILED)


def test_a_refund_that_has_no_entry_yet_is_in_none() -> None:
    """A refund that waits for its funds has moved nothing."""
    assert run(payouts.holding(PLATFORM, "re_1", live=False), refund(balance_transaction=None))[0] is None


def test_a_refund_that_no_payout_lists_is_in_none() -> None:
    """One that is not reconciled does not say; the entry of the money that came back is not the refund's own."""
    made = listed(of(2, reconciliation_status="in_progress"), of(1))
    assert run(payouts.holding(PLATFORM, "re_1", live=False), refund(), made, rows(6))[0] is None
    assert run(payouts.holding(PLATFORM, "re_1", live=False), refund(), listed())[0] is None


def test_where_stripe_ignores_the_source_all_pages_are_looked_through() -> None:
    """A list that holds others' entries is read on, and only the refund's own entry counts."""
    steps = payouts.holding(PLATFORM, "re_1", live=False)
    seen, asked = run(steps, refund(), listed(of(1)), rows(9, 8, more=True), rows(7, 5))
    assert isinstance(seen, Payout)
    assert asked[-1].params["starting_after"] == "txn_8"


def test_where_stripe_refuses_both_filters_the_entries_of_its_type_are_read_through() -> None:
    """A 400 to payout and source together is no answer about the refund."""
    steps = payouts.holding(PLATFORM, "re_1", live=False)
    seen, asked = run(steps, refund(), listed(of(1)), REFUSED, rows(9, more=True), rows(5))
    assert isinstance(seen, Payout)
    assert [call.params for call in asked[-2:]] == [
        {"limit": 100, "payout": "po_1", "type": "refund"},
        {"limit": 100, "payout": "po_1", "type": "refund", "starting_after": "txn_9"},
    ]


def test_holding_ends() -> None:
    """So many payouts are asked and so many pages read, and then it says that it cannot tell."""
    many = [of(number) for number in range(payouts.ASKED_MOST + 1, 0, -1)]
    pages = [listed(*many[:100], more=True), listed(*many[100:])]
    nowhere = [rows()] * payouts.ASKED_MOST
    seen, _ = run(payouts.holding(PLATFORM, "re_1", live=False), refund(), *pages, *nowhere)
    assert "there are more" in unread(seen)
    long = [rows(number, more=True) for number in range(100, 200)]
    seen, _ = run(payouts.holding(PLATFORM, "re_1", live=False), refund(), listed(of(1)), *long)
    assert "more than 100 pages" in unread(seen)


@pytest.mark.parametrize(
    "replies",
    [
        (refund(object="charge"),),
        (refund(id="re_2"),),
        (refund(livemode=True),),
        (refund(balance_transaction="txn_5"),),
        (refund(balance_transaction={"id": "txn_5"}),),
        (SILENT,),
        (refund(), SILENT),
        (refund(), listed(of(1, status="made_up_tomorrow"))),
        (refund(), listed(of(1)), SILENT),
        (refund(), listed(of(1)), NOT_READY),
        (refund(), listed(of(1)), MISSING),
        (refund(), listed(of(1)), REFUSED, REFUSED),
        (refund(), listed(of(1)), rows(more=True)),
    ],
    ids=lambda replies: f"{len(replies)} {replies[-1]}"[:70],
)
def test_where_anything_is_unread_it_is_not_told_where_a_refund_is(replies: tuple[Reply, ...]) -> None:
    """A call that failed or an odd answer is no word about where the money is."""
    assert unread(run(payouts.holding(PLATFORM, "re_1", live=False), *replies)[0])


def test_a_key_that_may_not_read_entries_is_told_so() -> None:
    """Stripe gives the bare id where it expands nothing, and that says nothing of when the money moved."""
    steps = payouts.holding(PLATFORM, "re_1", live=False)
    assert "may the key read" in unread(run(steps, refund(balance_transaction="txn_5"))[0])


def test_a_refund_that_is_not_there_is_missing() -> None:
    """Stripe's own word says so."""
    assert run(payouts.holding(PLATFORM, "re_1", live=False), MISSING)[0] == Missing()


# --- again --------------------------------------------------------------------------------------------------

HTTP = [(429, True), (500, True), (502, False), (503, True), (599, True), (429, False)]
PASSING = [
    SILENT,
    Failed(why="x", never_left=True),
    *(Failed(why="x", fault=Fault(status=status, spoken=spoken)) for status, spoken in HTTP),
    Failed(why="x", fault=Fault(status=400, code="rate_limit")),
    Failed(why="x", fault=Fault(status=200, spoken=False)),
]
LASTING = [
    Failed(why="x", fault=Fault(status=status, spoken=spoken))
    for status in (301, 302, 400, 401, 402, 403, 404, 409)
    for spoken in (True, False)
]


def _one_call() -> Steps[Reply]:
    return (yield Call(path="/v1/balance", params={}, account=PLATFORM))


def _patient(attempts: int = 4, backoff_s: float = 0.5) -> Patient[Reply]:
    return payouts.patient(_one_call(), attempts=attempts, backoff_s=backoff_s)


@pytest.mark.parametrize("reply", PASSING, ids=str)
def test_what_failed_in_passing_is_read_again_after_twice_as_long(reply: Failed) -> None:
    """A 429, a 5xx, silence, a success that cannot be read: four tries, three pauses, then the failure stands."""
    steps, asked, paused = _patient(), 0, []
    with pytest.raises(StopIteration) as done:
        step = next(steps)
        while True:
            if isinstance(step, Wait):
                paused.append(step.seconds)
                step = steps.send(True)
            else:
                asked += 1
                step = steps.send(reply)
    assert (asked, paused, done.value.value) == (4, [0.5, 1.0, 2.0], reply)


@pytest.mark.parametrize("reply", [*LASTING, {}, rows(1)], ids=str)
def test_what_would_fail_again_is_read_once(reply: Reply) -> None:
    """A refusal, a redirect and what succeeded are the answer."""
    steps = _patient()
    assert isinstance(next(steps), Call)
    with pytest.raises(StopIteration) as done:
        steps.send(reply)
    assert done.value.value is reply


def test_a_read_that_succeeds_at_last_is_the_answer() -> None:
    """What failed before it is forgotten."""
    steps = _patient()
    next(steps)
    assert steps.send(SLOW) == Wait(0.5)
    assert isinstance(steps.send(True), Call)
    with pytest.raises(StopIteration) as done:
        steps.send({"object": "balance"})
    assert done.value.value == {"object": "balance"}


def test_where_there_is_no_time_left_the_failure_stands() -> None:
    """A pause that the budget does not reach is not made."""
    steps = _patient()
    next(steps)
    assert steps.send(SLOW) == Wait(0.5)
    with pytest.raises(StopIteration) as done:
        steps.send(False)
    assert done.value.value is SLOW


def test_no_pause_is_longer_than_eight_seconds() -> None:
    """However often it was tried."""
    steps = _patient(attempts=10, backoff_s=3.0)
    next(steps)
    paused = []
    for _ in range(9):
        step = steps.send(SLOW)
        assert isinstance(step, Wait)
        paused.append(step.seconds)
        steps.send(True)
    assert paused == [3.0, 6.0, *[payouts.LONGEST_WAIT_S] * 7]


def test_one_attempt_waits_for_nothing() -> None:
    """With `attempts` 1 nothing is read again."""
    steps = _patient(attempts=1)
    next(steps)
    with pytest.raises(StopIteration) as done:
        steps.send(SILENT)
    assert done.value.value is SILENT
