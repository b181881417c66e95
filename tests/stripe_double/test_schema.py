"""The check of types bites: what is unknown, missing, mistyped or no known word is found, wherever it stands."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import stripe
from stripe import params

from refund_adapters.memory import MemoryBank
from refund_domain.money import Money
from tests.stripe_double.double import KEY, StripeDouble
from tests.stripe_double.schema import check_object, check_params, list_of, names_of

USD = Money.parse("200.00", "USD")


@pytest.fixture(scope="module")
def charge() -> dict[str, Any]:
    """A charge with an expanded transfer, as the double shows it."""
    bank = MemoryBank()
    ref = bank.charge(USD, destination="acct_1")
    with StripeDouble(bank) as double:
        headers = {"Authorization": f"Bearer {KEY}"}
        target = f"/v1/charges/{ref.charge}?expand[]=transfer&expand[]=refunds"
        body = double.answer("GET", target, headers, "").body
        assert double.violations == ()
    return dict(json.loads(body))


def broken(charge: dict[str, Any], *path: str, to: Any = ...) -> tuple[str, ...]:
    """What the check says of this charge with one member changed, or taken away."""
    body = copy.deepcopy(charge)
    holder = body
    for step in path[:-1]:
        holder = holder[step]
    if to is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = to
    return check_object(stripe.Charge, body)


def test_a_good_object_is_good(charge: dict[str, Any]) -> None:
    """Nothing is said of what is right; what is optional may be null or not there."""
    assert check_object(stripe.Charge, charge) == ()
    assert broken(charge, "receipt_email", to=None) == ()
    assert broken(charge, "receipt_email") == ()


@pytest.mark.parametrize(
    ("path", "to", "said"),
    [
        (("amount_refundet",), 0, "amount_refundet: unknown"),
        (("amount",), ..., "amount: missing"),
        (("amount",), None, "amount: null"),
        (("amount",), "20000", "amount: not an int"),
        (("amount",), 200.5, "amount: not an int"),
        (("amount",), True, "amount: not an int"),
        (("captured",), 1, "captured: not a bool"),
        (("receipt_email",), 7, "receipt_email: not a str"),
        (("status",), "done", "status: 'done' is none of the known words"),
        (("object",), "refund", "object: 'refund' is none of the known words"),
        (("metadata",), [], "metadata: not an object"),
        (("metadata",), {"a": 1}, "metadata.a: not a str"),
        (("billing_details", "mail"), "x", "billing_details.mail: unknown"),
        (("payment_method_details", "card", "exp_month"), ..., "payment_method_details.card.exp_month: missing"),
        (("transfer", "amount"), ..., "transfer.amount: missing"),
        (("transfer", "reversals", "has_more"), 0, "transfer.reversals.has_more: not a bool"),
        (("transfer", "reversals", "data"), [{}], "transfer.reversals.data.0.amount: missing"),
        (("refunds", "data"), {}, "refunds.data: not a list"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_one_fault_is_found(charge: dict[str, Any], path: tuple[str, ...], to: Any, said: str) -> None:
    """Each fault is named by its place, in the object or deep in what was expanded."""
    assert said in broken(charge, *path, to=to)


def test_what_is_no_object_is_found() -> None:
    """A list, a text, nothing: no object."""
    bodies: tuple[object, ...] = ([], "charge", None)
    for body in bodies:
        assert check_object(stripe.Charge, body) == ("the whole: not an object",)


def test_every_member_of_a_list_is_checked() -> None:
    """A page is held to the type of its members."""
    page = {
        "object": "list",
        "url": "/v1/refunds",
        "has_more": False,
        "data": [{"object": "refund", "amount": "1"}],
    }
    said = check_object(list_of(stripe.Refund), page)
    assert {"data.0.amount: not an int", "data.0.id: missing", "data.0.currency: missing"} <= set(said)


def test_a_link_may_be_any_of_its_kinds() -> None:
    """The source of a balance transaction is one of many classes: the one that fits counts, and it must fit."""
    payout = {"object": "payout", "id": "po_1"}
    row = {"object": "balance_transaction", "source": payout}
    said = check_object(stripe.BalanceTransaction, row)
    assert "source.amount: missing" in said


@pytest.mark.parametrize(
    ("kind", "sent", "said"),
    [
        (params.RefundCreateParams, {"charge": "ch_1", "amount": "5", "expand": ["charge"]}, ()),
        (params.RefundCreateParams, {"metadata": {"a": "b"}, "reverse_transfer": "true"}, ()),
        (params.RefundCreateParams, {"metadata": ""}, ()),
        (params.RefundCreateParams, {"amount": "10.5"}, ("amount: not an int",)),
        (params.RefundCreateParams, {"reverse_transfer": "1"}, ("reverse_transfer: not a bool",)),
        (params.RefundCreateParams, {"reason": "whim"}, ("reason: 'whim' is none of the known words",)),
        (params.RefundCreateParams, {"idempotency_key": "k"}, ("idempotency_key: unknown",)),
        (params.RefundCreateParams, {"stripe_account": "acct_1"}, ("stripe_account: unknown",)),
        (params.RefundListParams, {"created": {"gt": "5"}, "limit": "7"}, ()),
        (params.RefundListParams, {"created": {"gt": "soon"}}, ("created.gt: not an int",)),
        (params.RefundListParams, {"created": {"after": "5"}}, ("created.after: unknown",)),
        (params.ChargeRetrieveParams, {"expand": "transfer"}, ("expand: not a list",)),
        (params.DisputeListParams, {"charge": "ch_1", "status": "lost"}, ("status: unknown",)),
        (params.TransferListParams, {"transfer_group": "g"}, ()),
    ],
)
def test_parameters_are_checked_as_they_arrive(kind: type, sent: dict[str, object], said: tuple[str, ...]) -> None:
    """Form-decoded text, with the options a params type inherits left out: a key among them is a mistake."""
    assert check_params(kind, sent) == said


def test_the_names_of_parameters_are_known() -> None:
    """What the double refuses as unknown is what the types do not know."""
    names = names_of(params.RefundCreateParams)
    assert {"amount", "charge", "reverse_transfer", "refund_application_fee", "expand"} <= names
    assert not {"idempotency_key", "stripe_account", "api_key"} & names


def test_a_fault_of_the_double_is_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that breaks the types is a violation of the test that drew it, unless checking is off."""
    from tests.stripe_double.objects import View

    right = View.refund
    monkeypatch.setattr(View, "refund", lambda view, refund: {**right(view, refund), "amount": "much"})
    for check, said in ((True, ("answer /v1/refunds/re_1: amount: not an int",)), (False, ())):
        bank = MemoryBank()
        bank.elsewhere(bank.charge(USD))
        double = StripeDouble(bank, check=check)
        double.answer("GET", "/v1/refunds/re_1", {"Authorization": f"Bearer {KEY}"}, "")
        assert double.violations == said
