"""The double against stripe-python itself: every address, errors as recorded, keys as Stripe keeps them."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import stripe
from stripe.params import RefundCreateParams

from refund_adapters.memory import Breaks, Course, ManualClock, MemoryBank
from refund_adapters.stripe import MARK
from refund_domain.money import Money
from refund_domain.payments import ChargeKind, PaymentRef
from tests.stripe_double.double import KEY, StripeDouble
from tests.stripe_double.objects import Payer

DAY = timedelta(days=1)
SELLER = "acct_seller"


def usd(major: str) -> Money:
    return Money.parse(major, "USD")


def raw(double: StripeDouble, method: str, path: str, body: str = "", **headers: str) -> tuple[int, Any, Any]:
    """One request without stripe-python: status, JSON, headers."""
    request = urllib.request.Request(
        double.base_address + path, method=method, data=body.encode() if method == "POST" else None
    )
    for name, value in {"Authorization": f"Bearer {KEY}", **headers}.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error), error.headers


def refused(do: Callable[[], object]) -> tuple[int, str | None, str | None]:
    """Status, code and param of the error that this raises."""
    with pytest.raises(stripe.StripeError) as caught:
        do()
    error = caught.value
    inner: Any = error.error
    assert error.request_id is not None
    return error.http_status or 0, getattr(inner, "code", None), getattr(inner, "param", None)


def create(
    client: stripe.StripeClient, charge: str, amount: int = 20_000, key: str = "k1", **more: Any
) -> stripe.Refund:
    params: RefundCreateParams = {"charge": charge, "amount": amount, **more}  # type: ignore[typeddict-item]
    return client.v1.refunds.create(params, {"idempotency_key": key})


# -- payments ---------------------------------------------------------------------------------------------


def test_a_charge_is_whole_and_expands(bank: MemoryBank, client: stripe.StripeClient) -> None:
    """Links are ids until asked for; what is expanded is the whole object."""
    ref = bank.charge(usd("200.00"), fee=usd("6.10"), destination=SELLER, application_fee=usd("10.00"))
    charge = client.v1.charges.retrieve(ref.charge)
    assert (charge.amount, charge.amount_captured, charge.amount_refunded) == (20_000, 20_000, 0)
    assert (charge.balance_transaction, charge.application_fee, charge.transfer) == ("txn_ch_1", "fee_1", "tr_1")
    assert charge.transfer_data is not None
    assert charge.transfer_data.destination == SELLER
    links = {"expand": ["balance_transaction", "application_fee", "transfer"]}
    whole: Any = client.v1.charges.retrieve(ref.charge, links)  # type: ignore[arg-type]
    assert (whole.balance_transaction.net, whole.application_fee.amount, whole.transfer.amount) == (
        19_390,
        1_000,
        20_000,
    )


def test_a_charge_carries_its_client(bank: MemoryBank) -> None:
    """Whatever a test plants as the client's own is in the charge: a leak of it can be found."""
    payer = Payer(name="Canary Bird", email="canary@example.com", last4="9995", postal_code="00099")
    ref = bank.charge(usd("200.00"))
    with StripeDouble(bank, payer=payer) as double:
        _, charge, _ = raw(double, "GET", f"/v1/charges/{ref.charge}")
    assert charge["billing_details"]["name"] == "Canary Bird"
    assert charge["receipt_email"] == charge["billing_details"]["email"] == "canary@example.com"
    assert charge["payment_method_details"]["card"]["last4"] == "9995"
    assert "transfer" not in charge


def test_an_ach_payment_has_its_own_words(bank: MemoryBank, client: stripe.StripeClient) -> None:
    """`py_` and `pyr_` ids, a debit date, a refund that waits for the payment, no trace number."""
    ref = bank.charge(usd("200.00"), method="us_bank_account", settled=False, settles_on=date(2026, 3, 6))
    charge: Any = client.v1.charges.retrieve(ref.charge)
    assert (charge.id, charge.status, charge.balance_transaction) == ("py_1", "pending", None)
    assert charge.payment_method_details.us_bank_account.expected_debit_date == "2026-03-06"
    refund: Any = create(client, ref.charge)
    assert (refund.id, refund.status, refund.pending_reason) == ("pyr_1", "pending", "charge_pending")
    assert refund.destination_details.to_dict() == {"type": "us_bank_account"}
    bank.fail_payment(ref)
    assert client.v1.charges.retrieve(ref.charge).failure_code is not None
    assert client.v1.refunds.retrieve("pyr_1").failure_reason == "unknown"


@pytest.mark.parametrize("method", ["card", "card_present", "us_bank_account", "klarna"])
def test_every_method_is_shown_by_stripes_types(
    bank: MemoryBank, client: stripe.StripeClient, method: str
) -> None:
    """The details of a method are named by it, and pass the check of types."""
    ref = bank.charge(usd("200.00"), method=method)
    details = client.v1.charges.retrieve(ref.charge).payment_method_details
    assert details is not None
    assert details.type == method


def test_an_intent_names_its_latest_charge(bank: MemoryBank, client: stripe.StripeClient) -> None:
    """As an id, or expanded on demand, as deep as asked; one that nobody paid names none."""
    ref = bank.charge(usd("200.00"))
    intent = client.v1.payment_intents.retrieve(bank.intents.of(ref))
    assert (intent.latest_charge, intent.status, intent.amount_received) == ("ch_1", "succeeded", 20_000)
    deep: Any = client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge.balance_transaction"]})
    assert deep.latest_charge.balance_transaction.amount == 20_000
    held = client.v1.payment_intents.retrieve(bank.intents.of(bank.charge(usd("9.00"), captured=usd("0.00"))))
    assert (held.status, held.amount_capturable) == ("requires_capture", 900)
    empty = client.v1.payment_intents.retrieve(bank.intents.open(usd("9.00")))
    assert (empty.latest_charge, empty.status) == (None, "requires_payment_method")


def test_a_session_leads_to_its_intent(bank: MemoryBank, client: stripe.StripeClient) -> None:
    """A session names its PaymentIntent, or none."""
    intent = bank.intents.of(bank.charge(usd("200.00")))
    paid: Any = client.v1.checkout.sessions.retrieve(
        bank.intents.session(intent), {"expand": ["payment_intent.latest_charge"]}
    )
    assert (paid.payment_intent.latest_charge.id, paid.payment_status) == ("ch_1", "paid")
    empty = client.v1.checkout.sessions.retrieve(bank.intents.session(None))
    assert (empty.payment_intent, empty.mode) == (None, "setup")


# -- refunds ----------------------------------------------------------------------------------------------


def test_a_refund_leaves_out_what_does_not_apply(bank: MemoryBank, client: stripe.StripeClient) -> None:
    """A fresh card refund has no failure, no pending reason, no livemode: absent, not null."""
    ref = bank.charge(usd("200.00"))
    made = create(client, ref.charge, metadata={MARK: "r1", "a": "b"}, reason="duplicate")
    body = made.to_dict()
    assert (body["id"], body["status"], body["amount"], body["charge"]) == ("re_1", "succeeded", 20_000, "ch_1")
    assert (body["metadata"], body["reason"]) == ({MARK: "r1", "a": "b"}, "duplicate")
    absent = {"failure_reason", "failure_balance_transaction", "pending_reason", "description", "livemode"}
    assert not absent & set(body)
    assert bank.refunds(ref)[0].mark == "r1"


def test_a_refund_shows_its_trace_when_it_is_there(
    bank: MemoryBank, client: stripe.StripeClient, clock: ManualClock
) -> None:
    """The reference follows later; a reversal never has one."""
    first, second = bank.charge(usd("200.00")), bank.charge(usd("200.00"))
    bank.plan(second, Course(steps=Course.succeeds().steps, trace="reversal"))
    card: Any = create(client, first.charge).destination_details
    assert (card.card.reference_status, "reference" in card.card.to_dict()) == ("pending", False)
    create(client, second.charge, key="k2")
    clock.forward(DAY)
    known: Any = client.v1.refunds.retrieve("re_1").destination_details
    assert (known.card.reference_status, len(known.card.reference)) == ("available", 23)
    reversal: Any = client.v1.refunds.retrieve("re_2").destination_details
    assert reversal.card.to_dict() == {"type": "reversal"}


def test_every_state_of_a_refund_is_shown(
    bank: MemoryBank, client: stripe.StripeClient, clock: ManualClock
) -> None:
    """Waiting for funds, late failure with its balance transaction, cancelled in the dashboard."""
    ref = bank.charge(usd("200.00"))
    bank.plan(ref, Course.succeeds_then_fails("lost_or_stolen_card"))
    bank.drain("platform", usd("0.00"))
    waits: Any = create(client, ref.charge)
    assert (waits.status, waits.pending_reason, waits.balance_transaction) == (
        "pending",
        "insufficient_funds",
        None,
    )
    bank.fund("platform", usd("200.00"))
    assert client.v1.refunds.retrieve("re_1").status == "succeeded"
    clock.forward(9 * DAY)
    failed: Any = client.v1.refunds.retrieve("re_1", {"expand": ["failure_balance_transaction"]})
    assert (failed.status, failed.failure_reason) == ("failed", "lost_or_stolen_card")
    assert failed.failure_balance_transaction.reporting_category == "refund_failure"
    bank.plan(ref, Course.canceled_by_a_person())
    create(client, ref.charge, key="k2")
    clock.forward(DAY)
    canceled = client.v1.refunds.retrieve("re_2")
    assert (canceled.status, canceled.failure_reason) == ("canceled", "merchant_request")


def test_refunds_are_listed_newest_first_in_pages(bank: MemoryBank, client: stripe.StripeClient) -> None:
    """Ten unless asked otherwise, to the end by cursors, backwards too; each once."""
    ref, other = bank.charge(usd("200.00")), bank.charge(usd("200.00"))
    for _ in range(25):
        bank.elsewhere(ref, usd("1.00"))
    bank.elsewhere(other)
    first = client.v1.refunds.list({"charge": ref.charge})
    assert (len(first.data), first.has_more, first.data[0].id, first.url) == (10, True, "re_25", "/v1/refunds")
    everything = client.v1.refunds.list({"charge": ref.charge, "limit": 7}).auto_paging_iter()
    assert [refund.id for refund in everything] == [f"re_{number}" for number in range(25, 0, -1)]
    back = client.v1.refunds.list({"charge": ref.charge, "limit": 2, "ending_before": "re_20"})
    assert ([refund.id for refund in back.data], back.has_more) == (["re_22", "re_21"], True)
    assert len(client.v1.refunds.list({"limit": 100}).data) == 26
    intent = bank.intents.of(other)
    assert [refund.id for refund in client.v1.refunds.list({"payment_intent": intent}).data] == ["re_26"]


def test_a_list_lags_behind_as_the_bank_says(clock: ManualClock) -> None:
    """A refund that the bank's list does not show yet is found by its id only."""
    bank = MemoryBank(clock, list_lag=DAY)
    ref = bank.charge(usd("200.00"))
    with StripeDouble(bank) as double:
        client = stripe.StripeClient(KEY, base_addresses={"api": double.base_address})
        create(client, ref.charge)
        assert client.v1.refunds.list({"charge": ref.charge}).data == []
        assert client.v1.refunds.retrieve("re_1").id == "re_1"
        clock.forward(DAY)
        assert len(client.v1.refunds.list({"charge": ref.charge}).data) == 1


def test_lists_can_be_narrowed_by_time(bank: MemoryBank, client: stripe.StripeClient, clock: ManualClock) -> None:
    """`created` is a moment or a span."""
    ref = bank.charge(usd("200.00"))
    for _ in range(3):
        bank.elsewhere(ref, usd("1.00"))
        clock.forward(DAY)
    second = client.v1.refunds.retrieve("re_2").created
    spans: list[tuple[Any, list[str]]] = [
        (second, ["re_2"]),
        ({"gt": second}, ["re_3"]),
        ({"gte": second}, ["re_3", "re_2"]),
        ({"lt": second}, ["re_1"]),
        ({"lte": second, "gt": second - 86_400}, ["re_2"]),
    ]
    for span, ids in spans:
        assert [refund.id for refund in client.v1.refunds.list({"created": span}).data] == ids


def test_only_metadata_can_be_changed(bank: MemoryBank, client: stripe.StripeClient, double: StripeDouble) -> None:
    """A key is added, an empty one taken away; anything else is unknown; no refund is cancelled by the API."""
    ref = bank.charge(usd("200.00"))
    create(client, ref.charge, metadata={"a": "1", "b": "2"})
    client.v1.refunds.update("re_1", {"metadata": {"a": "", "c": "3"}})
    assert client.v1.refunds.retrieve("re_1").to_dict()["metadata"] == {"b": "2", "c": "3"}
    client.v1.refunds.update("re_1", {"metadata": {MARK: "late"}})
    assert bank.refunds(ref)[0].mark == "late"
    client.v1.refunds.update("re_1", {"metadata": ""})
    assert client.v1.refunds.retrieve("re_1").to_dict()["metadata"] == {}
    assert refused(lambda: client.v1.refunds.cancel("re_1")) == (400, None, None)


def test_a_refund_by_payment_intent(bank: MemoryBank, client: stripe.StripeClient) -> None:
    """The intent's latest charge is refunded; an uncaptured one is refused without a code, as seen live."""
    intent = bank.intents.of(bank.charge(usd("200.00")))
    made = client.v1.refunds.create({"payment_intent": intent, "amount": 20_000})
    assert (made.charge, made.payment_intent) == ("ch_1", intent)
    held = bank.intents.of(bank.charge(usd("9.00"), captured=usd("0.00")))
    assert refused(lambda: client.v1.refunds.create({"payment_intent": held})) == (400, None, None)
    assert refused(lambda: client.v1.refunds.create({"payment_intent": "pi_9"})) == (404, "resource_missing", "id")


# -- Connect ----------------------------------------------------------------------------------------------


def test_a_destination_charge_is_refunded_with_its_transfer(bank: MemoryBank, client: stripe.StripeClient) -> None:
    """The reversal is linked from the refund and to it; the fee's refund stands with the fee."""
    ref = bank.charge(usd("200.00"), destination=SELLER, application_fee=usd("10.00"))
    made = create(client, ref.charge, 10_000, reverse_transfer=True, refund_application_fee=True)
    refund: Any = client.v1.refunds.retrieve(made.id, {"expand": ["transfer_reversal"]})
    assert (refund.transfer_reversal.amount, refund.transfer_reversal.source_refund) == (10_000, "re_1")
    transfer = client.v1.transfers.retrieve("tr_1")
    assert (transfer.amount_reversed, transfer.reversed, len(transfer.reversals.data)) == (10_000, False, 1)
    fee = client.v1.application_fees.retrieve("fee_1")
    assert (fee.amount_refunded, fee.refunded, fee.refunds.data[0].amount) == (500, False, 500)
    picture = bank.picture(ref)
    assert picture is not None
    assert picture.payment.kind is ChargeKind.DESTINATION


def test_wrong_words_about_transfer_and_fee_are_refused(bank: MemoryBank, client: stripe.StripeClient) -> None:
    """Each is a 400 that names the parameter and makes nothing."""
    plain = bank.charge(usd("200.00"))
    passed = bank.charge(usd("200.00"), destination=SELLER, application_fee=usd("10.00"))
    reverse, fee = (400, None, "reverse_transfer"), (400, None, "refund_application_fee")
    assert refused(lambda: create(client, plain.charge, key="a", reverse_transfer=True)) == reverse
    assert refused(lambda: create(client, plain.charge, key="b", refund_application_fee=True)) == fee
    assert refused(lambda: create(client, passed.charge, key="c", refund_application_fee=True)) == fee
    assert bank.made(plain) == bank.made(passed) == 0


def test_separate_transfers_are_found_by_group_and_reversed_by_hand(
    bank: MemoryBank, client: stripe.StripeClient
) -> None:
    """All of one or a part; never more than is left."""
    ref = bank.charge(usd("200.00"), group="order-1")
    bank.connect.transfer(SELLER, usd("150.00"), group="order-1")
    bank.connect.transfer("acct_2", usd("5.00"), group="order-2")
    assert client.v1.charges.retrieve(ref.charge).transfer_group == "order-1"
    listed = client.v1.transfers.list({"transfer_group": "order-1"})
    assert [(transfer.id, transfer.destination) for transfer in listed.data] == [("tr_1", SELLER)]
    part = client.v1.transfers.reversals.create("tr_1", {"amount": 5_000}, {"idempotency_key": "x"})
    assert (part.amount, part.transfer) == (5_000, "tr_1")
    again = client.v1.transfers.reversals.create("tr_1", {"amount": 5_000}, {"idempotency_key": "x"})
    assert again.id == part.id
    rest = client.v1.transfers.reversals.create("tr_1")
    assert rest.amount == 10_000
    assert client.v1.transfers.retrieve("tr_1").reversed
    assert refused(lambda: client.v1.transfers.reversals.create("tr_1")) == (400, None, "amount")
    assert refused(lambda: client.v1.transfers.reversals.create("tr_9")) == (404, "resource_missing", "id")


def test_a_fee_is_returned_by_hand_and_no_more_than_it_was(bank: MemoryBank, client: stripe.StripeClient) -> None:
    """A part, then the rest, then nothing."""  # failure: A18
    bank.charge(usd("200.00"), account=SELLER, application_fee=usd("10.00"))
    part = client.v1.application_fees.refunds.create("fee_1", {"amount": 400})
    assert (part.amount, part.fee, part.object) == (400, "fee_1", "fee_refund")
    too_much = {"amount": 601}
    assert refused(lambda: client.v1.application_fees.refunds.create("fee_1", too_much)) == (400, None, "amount")  # type: ignore[arg-type]
    client.v1.application_fees.refunds.create("fee_1")
    fee = client.v1.application_fees.retrieve("fee_1", {"expand": ["charge"]})
    assert (fee.amount_refunded, fee.refunded, fee.account) == (1_000, True, SELLER)


# -- disputes ---------------------------------------------------------------------------------------------


def test_disputes_are_listed_and_say_whether_refunding_helps(
    bank: MemoryBank, client: stripe.StripeClient
) -> None:
    """A chargeback takes money and does not; an inquiry takes none and does."""
    ref, other = bank.charge(usd("200.00")), bank.charge(usd("200.00"))
    bank.dispute(ref)
    bank.dispute(other, status="warning_needs_response")
    assert client.v1.charges.retrieve(ref.charge).disputed
    (chargeback,) = client.v1.disputes.list({"charge": ref.charge}).data
    assert (chargeback.status, chargeback.is_charge_refundable) == ("needs_response", False)
    assert [row.net for row in chargeback.balance_transactions] == [-21_500]
    inquiry = client.v1.disputes.retrieve("du_2")
    assert (inquiry.is_charge_refundable, inquiry.balance_transactions) == (True, [])
    assert refused(lambda: create(client, ref.charge)) == (400, "charge_disputed", None)


# -- money ------------------------------------------------------------------------------------------------


def test_a_payout_is_explained_by_its_rows(
    bank: MemoryBank, client: stripe.StripeClient, clock: ManualClock
) -> None:
    """Leave out the payout's own line, and the rest is what was paid out; before reconciliation it says so."""
    old = bank.charge(usd("200.00"), taken_at=clock() - 30 * DAY)
    bank.payouts.make("platform", "USD")
    bank.charge(usd("500.00"), fee=usd("14.80"))
    bank.refund(old.account, old.charge, 20_000, key="k")
    clock.forward(2 * DAY)
    number = bank.payouts.make("platform", "USD")
    wanted: Any = {"payout": number, "expand": ["data.source"], "limit": 2}
    assert refused(lambda: client.v1.balance_transactions.list(wanted)) == (
        400,
        "payout_reconciliation_not_ready",
        "payout",
    )
    bank.payouts.reconcile(number)
    rows: list[Any] = list(client.v1.balance_transactions.list(wanted).auto_paging_iter())
    payout = client.v1.payouts.retrieve(number)
    assert payout.amount == sum(row.net for row in rows if row.type != "payout") == 28_520
    assert sorted((row.reporting_category, row.source.object) for row in rows) == [
        ("charge", "charge"),
        ("payout", "payout"),
        ("refund", "refund"),
    ]
    assert [each.id for each in client.v1.payouts.list().data] == ["po_2", "po_1"]
    assert [row.id for row in client.v1.balance_transactions.list({"type": "refund"}).data] == ["txn_re_1"]
    assert [row.id for row in client.v1.balance_transactions.list({"source": "re_1"}).data] == ["txn_re_1"]


def test_a_payout_by_hand_cannot_be_explained(bank: MemoryBank, client: stripe.StripeClient) -> None:
    """Only automatic payouts are itemised."""
    number = bank.payouts.make("platform", "USD", usd("5.00"))
    listing: Any = {"payout": number}
    assert refused(lambda: client.v1.balance_transactions.list(listing)) == (400, None, "payout")
    listing = {"payout": "po_9"}
    assert refused(lambda: client.v1.balance_transactions.list(listing)) == (404, "resource_missing", "payout")
    bank.payouts.move(number, "failed", "account_closed")
    payout = client.v1.payouts.retrieve(number)
    assert (payout.status, payout.failure_code, payout.automatic) == ("failed", "account_closed", False)


def test_the_balance_tells_available_from_pending(
    bank: MemoryBank, client: stripe.StripeClient, clock: ManualClock
) -> None:
    """Money is pending for two days; each account has its own."""
    bank.charge(usd("500.00"), taken_at=clock() - 30 * DAY)
    bank.charge(usd("70.00"))
    bank.charge(usd("9.00"), account=SELLER)
    bank.charge(Money.parse("500", "JPY"))
    balance = client.v1.balance.retrieve()
    assert {each.currency: each.amount for each in balance.available} == {"usd": 50_000, "jpy": 0}
    assert {each.currency: each.amount for each in balance.pending} == {"usd": 7_000, "jpy": 500}
    connected = client.v1.balance.retrieve(None, {"stripe_account": SELLER})
    assert [each.amount for each in connected.pending] == [900]


# -- keys, accounts, modes --------------------------------------------------------------------------------


def test_without_a_known_key_nothing_is_told(double: StripeDouble) -> None:
    """No key and a wrong one are both 401, without a code; the wrong one is not repeated whole."""
    for header in ("", "Bearer sk_test_wrong_and_long", "Basic !!"):
        status, body, _ = raw(double, "GET", "/v1/balance", Authorization=header)
        assert (status, body["error"]["type"], "code" in body["error"]) == (401, "invalid_request_error", False)
        assert "wrong_and" not in body["error"]["message"]
    status, _, _ = raw(double, "GET", "/v1/balance", Authorization="Basic c2tfdGVzdF9kb3VibGU6")
    assert status == 200


def test_an_account_sees_its_own_only(bank: MemoryBank, client: stripe.StripeClient) -> None:
    """A direct charge is found under its account's header and nowhere else; a stranger's account is 403."""
    ref = bank.charge(usd("200.00"), account=SELLER)
    charge = client.v1.charges.retrieve(ref.charge, None, {"stripe_account": SELLER})
    assert (charge.id, charge.application) == (ref.charge, "ca_double")
    assert refused(lambda: client.v1.charges.retrieve(ref.charge)) == (404, "resource_missing", "id")
    assert refused(lambda: create(client, ref.charge)) == (404, "resource_missing", "id")
    with pytest.raises(stripe.PermissionError) as caught:
        client.v1.charges.retrieve(ref.charge, None, {"stripe_account": "acct_stranger"})
    assert caught.value.http_status == 403
    made = client.v1.refunds.create(
        {"charge": ref.charge, "amount": 20_000}, {"stripe_account": SELLER, "idempotency_key": "k"}
    )
    assert made.charge == ref.charge


def test_every_object_says_its_mode(bank: MemoryBank) -> None:
    """A live key shows live objects, a test key test ones."""
    ref = bank.charge(usd("200.00"))
    with StripeDouble(bank, keys=("sk_live_double", "rk_test_double")) as double:
        for key, live in (("sk_live_double", True), ("rk_test_double", False)):
            client = stripe.StripeClient(key, base_addresses={"api": double.base_address})
            assert client.v1.charges.retrieve(ref.charge).livemode is live
            assert client.v1.balance.retrieve().livemode is live


def test_an_old_api_version_shows_refunds_on_the_charge_and_no_pending_reason(
    bank: MemoryBank, double: StripeDouble
) -> None:
    """The shape follows the version a request names: what was added later is left out."""  # failure: F04
    ref = bank.charge(usd("200.00"), course=Course.stays())
    bank.elsewhere(ref)
    _, old, _ = raw(double, "GET", f"/v1/charges/{ref.charge}", Stripe_Version="2022-08-01")
    assert [refund["id"] for refund in old["refunds"]["data"]] == ["re_1"]
    assert "pending_reason" not in old["refunds"]["data"][0]
    _, new, _ = raw(double, "GET", f"/v1/charges/{ref.charge}")
    assert "refunds" not in new
    _, asked, _ = raw(double, "GET", f"/v1/charges/{ref.charge}?expand[]=refunds")
    assert asked["refunds"]["data"][0]["pending_reason"] == "processing"


# -- idempotency ------------------------------------------------------------------------------------------


def test_a_key_replays_its_first_answer(double: StripeDouble, bank: MemoryBank, clock: ManualClock) -> None:
    """The first body comes back although the refund has moved on, and a header says so."""
    ref = bank.charge(usd("200.00"), course=Course.succeeds_then_fails())
    body = f"charge={ref.charge}&amount=20000"
    status, first, headers = raw(double, "POST", "/v1/refunds", body, Idempotency_Key="k")
    assert (status, headers["Idempotent-Replayed"], headers["Idempotency-Key"]) == (200, None, "k")
    clock.forward(10 * DAY - timedelta(hours=1) - 9 * DAY)
    bank.settle("re_1", "failed", "declined")
    again_status, again, replayed = raw(double, "POST", "/v1/refunds", body, Idempotency_Key="k")
    assert (again_status, again) == (200, first)
    assert replayed["Idempotent-Replayed"] == "true"
    assert replayed["Original-Request"] == headers["Request-Id"] != replayed["Request-Id"]
    assert bank.made(ref) == 1


def test_a_key_is_forgotten_after_a_day(client: stripe.StripeClient, bank: MemoryBank, clock: ManualClock) -> None:
    """A second before it is a replay, at the day's end it makes a new refund."""
    ref = bank.charge(usd("200.00"))
    first = create(client, ref.charge, 5_000)
    clock.forward(DAY - timedelta(seconds=1))
    assert create(client, ref.charge, 5_000).id == first.id
    clock.forward(timedelta(seconds=1))
    assert create(client, ref.charge, 5_000).id != first.id
    assert bank.made(ref) == 2


def test_a_key_with_other_content_is_an_idempotency_error(client: stripe.StripeClient, bank: MemoryBank) -> None:
    """Another amount, a flag, metadata or address under one key is refused, and makes nothing."""
    ref = bank.charge(usd("200.00"), destination=SELLER)
    create(client, ref.charge, 5_000)
    others: tuple[Callable[[], object], ...] = (
        lambda: create(client, ref.charge, 6_000),
        lambda: create(client, ref.charge, 5_000, reverse_transfer=True),
        lambda: create(client, ref.charge, 5_000, metadata={"a": "b"}),
        lambda: client.v1.refunds.update("re_1", {"metadata": {"a": "b"}}, {"idempotency_key": "k1"}),
    )
    for do in others:
        with pytest.raises(stripe.IdempotencyError) as caught:
            do()
        assert caught.value.http_status == 400
    assert bank.made(ref) == 1


def test_keys_belong_to_an_account(client: stripe.StripeClient, bank: MemoryBank) -> None:
    """The same key at another account is another key."""
    mine, theirs = bank.charge(usd("200.00")), bank.charge(usd("200.00"), account=SELLER)
    first = create(client, mine.charge)
    second = client.v1.refunds.create(
        {"charge": theirs.charge, "amount": 20_000}, {"stripe_account": SELLER, "idempotency_key": "k1"}
    )
    assert first.id != second.id


def test_a_key_in_use_is_409(client: stripe.StripeClient, bank: MemoryBank, double: StripeDouble) -> None:
    """While the first request runs the second is told so; nothing is kept of it."""
    ref = bank.charge(usd("200.00"))
    with double.key_in_use("k1"):
        assert refused(lambda: create(client, ref.charge)) == (409, "idempotency_key_in_use", None)
    assert create(client, ref.charge).id == "re_1"


def test_what_never_began_is_not_kept(client: stripe.StripeClient, bank: MemoryBank, double: StripeDouble) -> None:
    """After a refused parameter, a 429 or a wrong key the same key makes its refund."""
    ref = bank.charge(usd("200.00"))
    assert refused(lambda: create(client, ref.charge, 0))[0] == 400
    assert refused(lambda: create(client, ref.charge, reason="whim")) == (400, None, "reason")
    double.next(429)
    with pytest.raises(stripe.RateLimitError):
        create(client, ref.charge)
    raw(double, "POST", "/v1/refunds", f"charge={ref.charge}", Authorization="Bearer no", Idempotency_Key="k1")
    assert create(client, ref.charge).id == "re_1"
    # The check of types has seen what was sent on purpose.
    assert double.violations == ("request /v1/refunds: reason: 'whim' is none of the known words",)
    double._violations.clear()


def test_what_began_is_kept_refusals_too(client: stripe.StripeClient, bank: MemoryBank) -> None:
    """A refusal after execution began comes again under its key, also when the refund were possible by now."""
    ref = bank.charge(usd("200.00"))
    dispute = bank.dispute(ref)
    assert refused(lambda: create(client, ref.charge)) == (400, "charge_disputed", None)
    bank.close_dispute(dispute, "won")
    assert refused(lambda: create(client, ref.charge)) == (400, "charge_disputed", None)
    assert create(client, ref.charge, key="k2").id == "re_1"


def test_a_500_of_a_broken_server_is_kept(
    client: stripe.StripeClient, bank: MemoryBank, double: StripeDouble
) -> None:
    """The key replays the error, although the refund was made."""
    ref = bank.charge(usd("200.00"))
    double.breaks(Breaks(makes_after=timedelta(0)))
    assert refused(lambda: create(client, ref.charge)) == (500, None, None)
    assert refused(lambda: create(client, ref.charge)) == (500, None, None)
    assert [refund.amount for refund in client.v1.refunds.list({"charge": ref.charge}).data] == [20_000]


# -- errors and faults ------------------------------------------------------------------------------------


def test_refusals_are_told_as_recorded(client: stripe.StripeClient, bank: MemoryBank) -> None:
    """With and without code and param, each as it was seen."""
    whole, part, held = (bank.charge(usd("200.00")) for _ in range(3))
    held = bank.charge(usd("200.00"), captured=usd("0.00"))
    bank.elsewhere(whole)
    bank.elsewhere(part, usd("0.01"))
    assert refused(lambda: create(client, whole.charge, key="a")) == (400, "charge_already_refunded", None)
    assert refused(lambda: create(client, part.charge, key="b")) == (400, None, "amount")
    assert refused(lambda: create(client, held.charge, key="c")) == (400, None, None)
    assert refused(lambda: create(client, "ch_nobody", key="d")) == (404, "resource_missing", "id")
    assert refused(lambda: client.v1.refunds.create({"amount": 5})) == (400, None, None)
    assert refused(lambda: client.v1.refunds.list({"limit": 101}))[0] == 400
    assert refused(lambda: client.v1.refunds.list({"starting_after": "re_9"}))[0] == 404
    assert refused(lambda: client.v1.refunds.list({"charge": "ch_9"})) == (404, "resource_missing", "charge")
    assert refused(lambda: client.v1.charges.retrieve(part.charge, {"expand": ["amount"]})) == (
        400,
        None,
        "expand",
    )
    assert refused(lambda: client.v1.refunds.retrieve("re_9")) == (404, "resource_missing", "id")


def test_unknown_parameters_are_refused_and_noticed(bank: MemoryBank) -> None:
    """A key among the parameters, where stripe-python's types let it pass, is an unknown parameter."""
    ref = bank.charge(usd("200.00"))
    with StripeDouble(bank) as double:
        client = stripe.StripeClient(KEY, base_addresses={"api": double.base_address})
        wrong: Any = {"charge": ref.charge, "amount": 5, "idempotency_key": "k"}
        assert refused(lambda: client.v1.refunds.create(wrong)) == (400, "parameter_unknown", "idempotency_key")
        assert double.violations == ("request /v1/refunds: idempotency_key: unknown",)
    assert bank.made(ref) == 0


def test_an_unknown_address_is_404(double: StripeDouble) -> None:
    """What the double does not serve it says it does not."""
    status, body, headers = raw(double, "GET", "/v1/customers")
    assert (status, body["error"]["type"]) == (404, "invalid_request_error")
    assert headers["Request-Id"] is not None


def test_the_next_answer_can_be_staged(
    double: StripeDouble, bank: MemoryBank, client: stripe.StripeClient
) -> None:
    """A status with its usual body or one of the test's, once each, nothing executed; a header alone executes."""
    ref = bank.charge(usd("200.00"))
    double.next(502)
    double.next(500, {"error": {"type": "api_error", "message": "no"}})
    double.next(headers={"Stripe-Notice": "be warned"})
    with pytest.raises(stripe.APIError) as html:
        create(client, ref.charge)
    assert "<html>" in str(html.value.http_body)
    assert refused(lambda: create(client, ref.charge)) == (500, None, None)
    assert bank.made(ref) == 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert create(client, ref.charge).id == "re_1"
    assert "be warned" in str(caught[0].message)


def test_every_request_is_on_record(double: StripeDouble, bank: MemoryBank, client: stripe.StripeClient) -> None:
    """Method, path, parameters, account and key of each; its repr keeps the API key to itself."""
    ref = bank.charge(usd("200.00"), account=SELLER)
    client.v1.charges.retrieve(ref.charge, None, {"stripe_account": SELLER})
    assert refused(lambda: create(client, "ch_9", metadata={"a": "b"}))[0] == 404
    look, send = double.requests
    assert (look.method, look.path, look.account, look.params) == ("GET", f"/v1/charges/{ref.charge}", SELLER, {})
    assert (send.method, send.path, send.account, send.key) == ("POST", "/v1/refunds", "platform", "k1")
    assert send.params == {"charge": "ch_9", "amount": "20000", "metadata": {"a": "b"}}
    assert send.headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(send)


def test_the_double_needs_to_be_entered_and_can_be_left() -> None:
    """Without a server there is no address; after leaving there is none any more."""
    double = StripeDouble()
    with pytest.raises(RuntimeError):
        double.base_address  # noqa: B018
    with double:
        address = double.base_address
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=1)


def test_a_copy_of_the_bank_tells_the_double_nothing(double: StripeDouble, bank: MemoryBank) -> None:
    """What happens in a copy did not happen."""
    hooks = double.webhooks("whsec_x")
    ref = bank.charge(usd("200.00"))
    twin = bank.copy()
    twin.elsewhere(ref)
    assert hooks.waiting == ()
    assert twin.made(PaymentRef("platform", "ch_1")) == bank.made(ref)


def test_the_double_runs_by_hand() -> None:
    """The command prints its address first, serves, and ends when told to."""
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.stripe_double"], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        request = urllib.request.Request(f"{address}/v1/charges/ch_1", headers={"Authorization": f"Bearer {KEY}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert json.load(answer)["amount"] == 20_000
    finally:
        process.terminate()
        process.stdout.close()
        assert process.wait(10) == 0
