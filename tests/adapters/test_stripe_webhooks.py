"""Webhooks of Stripe's: every kind of event, every refusal, and never laxer than stripe-python itself."""

from __future__ import annotations

import copy
import json
import pickle
import re
import subprocess
import sys
import time
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import stripe
from stripe.events import _event_classes as sdk

from refund_adapters.stripe import _events, _signed
from refund_adapters.stripe.webhooks import (
    KINDS,
    LARGEST_BODY,
    LONGEST_SPAN_S,
    WEBHOOK_REFUSALS,
    StripeWebhooks,
    WebhookCode,
    WebhookRefused,
    Where,
)
from refund_domain.payments import PLATFORM, PaymentRef
from refund_domain.signals import Signal, Subject
from tests.adapters.signed import (
    CORPUS,
    FOREIGN,
    NOW,
    OLDER,
    SECRET,
    body_of,
    endpoint,
    mac,
    signed,
    snapshot,
    thin,
)
from tests.canaries import found_in

ROOT = Path(__file__).parents[2]
BODY = body_of(snapshot())
NOT_OURS = {
    "application_fee.created",
    "application_fee.refund.updated",
    "transfer.created",
    "transfer.updated",
}
"""Events of the same families that say nothing of a refund or its payment."""


def read(event: object, **settings: Any) -> Signal | WebhookRefused:
    """What an endpoint makes of this event, rightly signed."""
    body = event if isinstance(event, bytes) else body_of(event)
    return endpoint(**settings).read(body, signed(body))


def signal(event: object, **settings: Any) -> Signal:
    """The signal an event becomes; a refusal is a failure of the test."""
    result = read(event, **settings)
    if isinstance(result, WebhookRefused):
        raise LookupError(result.code)
    return result


def code(result: Signal | WebhookRefused) -> str:
    """The code of a refusal; a signal is a failure of the test."""
    if isinstance(result, Signal):
        raise LookupError("not refused")
    return result.code


# --- every kind of event ------------------------------------------------------------------------------------

THINGS: dict[str, dict[str, object]] = {
    "refund": {"id": "re_1", "object": "refund", "charge": "ch_1"},
    "charge": {"id": "ch_1", "object": "charge", "status": "succeeded"},
    "dispute": {"id": "du_1", "object": "dispute", "charge": "ch_1"},
    "payout": {"id": "po_1", "object": "payout"},
    "transfer": {"id": "tr_1", "object": "transfer", "source_transaction": "ch_1"},
    "application_fee": {
        "id": "fee_1",
        "object": "application_fee",
        "account": "acct_1",
        "charge": "py_1",
        "originating_transaction": "ch_1",
    },
}
"""The object of each kind of event, with the charge ch_1 where it stands."""


@pytest.mark.parametrize("name", KINDS)
def test_every_snapshot_event_says_where_to_look(name: str) -> None:
    """Each event of the table, old names included, becomes the signal of its subject, object and charge."""
    # failure: C09
    kind = KINDS[name]
    thing = THINGS[kind.object]
    assert signal(snapshot(name, thing)) == Signal(
        id="evt_1",
        kind=name,
        account=PLATFORM,
        subject=kind.subject,
        object_id=str(thing["id"]),
        charge=None if kind.where is Where.NOWHERE else "ch_1",
    )


@pytest.mark.parametrize("name", KINDS)
def test_every_thin_event_says_where_to_look(name: str) -> None:
    """Thin events name their object alone: a charge is known by it, a refund's or a dispute's is not."""
    # failure: C09
    kind = KINDS[name]
    related = {"id": THINGS[kind.object]["id"], "type": kind.object, "url": "/v1/x", "charge": "ch_not_read"}
    found = signal(thin(f"v1.{name}", related, context=None))
    assert (found.id, found.kind, found.account) == ("evt_2", f"v1.{name}", PLATFORM)
    assert found.object_id == related["id"]
    assert found.charge == ("ch_1" if kind.where is Where.ITSELF else None)
    lost = kind.subject is Subject.PAYMENT and kind.where is not Where.ITSELF
    assert found.subject is (Subject.OTHER if lost else kind.subject)


@pytest.mark.parametrize("name", CORPUS)
def test_events_of_every_version_are_signals(name: str) -> None:
    """Whole events, of old and new versions, with links as ids or expanded, are read; none is refused."""
    # failure: F04
    found = signal(CORPUS[name], accounts={PLATFORM, "acct_1"})
    expected = {
        "charge_refunded": "platform/ch_1",
        "charge_refunded_old": "platform/ch_1",
        "dispute_created": "platform/ch_1",
        "fee_refunded_destination": "platform/ch_1",
        "fee_refunded_direct": "acct_1/ch_9",
        "payout_reconciled": "None",
        "refund_failed_old": "platform/ch_1",
        "refund_updated": "acct_1/ch_1",
        "refund_updated_expanded": "platform/ch_1",
        "thin_charge_refunded": "acct_1/ch_1",
        "thin_refund_updated": "None",
        "thin_unknown": "None",
        "transfer_reversed": "platform/ch_1",
        "unknown": "None",
    }
    assert str(found.ref) == expected[name]
    assert (found.subject is Subject.OTHER) == name.endswith("unknown")


def test_no_event_of_these_families_is_forgotten() -> None:
    """Every event of refunds, charges, disputes, payouts, fees and transfers that stripe-python can subscribe to
    is in the table or among those that say nothing of a refund; and the table invents none."""
    # failure: C09
    source = Path(str(stripe.__file__)).parent / "params" / "_webhook_endpoint_create_params.py"
    subscribable = set(re.findall(r'"([a-z_]+\.[a-z_.]+)"', source.read_text()))
    families = {
        name for name in subscribable if re.match(r"(refund|charge|payout|application_fee|transfer)\.", name)
    }
    assert families - NOT_OURS == set(KINDS)


def test_thin_names_are_stripes() -> None:
    """Each event of the table has its thin twin in stripe-python under the name that is read here."""
    names = {name for name in sdk._V2_EVENT_NOTIFICATION_CLASS_LOOKUP if name.startswith("v1.")}
    assert {f"v1.{name}" for name in KINDS} <= names


@pytest.mark.parametrize("name", ["refund_updated", "thin_refund_updated", "thin_charge_refunded"])
def test_stripe_python_reads_the_same(name: str) -> None:
    """What stripe-python's own parsers find in an event is what the signal says."""
    found = signal(CORPUS[name], accounts={PLATFORM, "acct_1"})
    client = stripe.StripeClient("sk_test_example")
    text, header = CORPUS[name].decode(), signed(CORPUS[name], at=int(time.time()))["Stripe-Signature"]
    if name.startswith("thin"):
        told: Any = client.parse_event_notification(text, header, SECRET)
        account = PLATFORM if told.context is None else str(told.context)
        assert (told.id, told.type, told.related_object.id) == (found.id, found.kind, found.object_id)
    else:
        told = client.construct_event(text, header, SECRET)
        account = told.account
        assert (told.id, told.type, told.data.object.charge) == (found.id, found.kind, found.charge)
    assert account == found.account


def test_an_event_about_a_charge_leads_to_all_its_refunds() -> None:
    """`charge.refunded` does not say which refund, so the signal names the payment, of which a look lists all."""
    # failure: F03
    charge = {"id": "ch_1", "object": "charge", "refunds": {"data": [{"id": "re_old", "object": "refund"}]}}
    found = signal(snapshot("charge.refunded", charge, account="acct_1"), accounts=["acct_1"])
    assert (found.subject, found.ref) == (Subject.PAYMENT, PaymentRef("acct_1", "ch_1"))


@pytest.mark.parametrize(
    "type",
    ["invoice.paid", "refund", "refund.invented", "v1.refund.updated", "topup.failed", "v2.core.x[y.z].made"],
)
def test_unknown_events_are_acknowledged_and_name_nothing(type: str) -> None:
    """An event that is none of the table is a signal about something else, even if its object looks familiar."""
    # failure: C16
    assert signal(snapshot(type)) == Signal(id="evt_1", kind=type, account=PLATFORM, subject=Subject.OTHER)


@pytest.mark.parametrize("type", ["refund.updated", "v2.refund.updated", "v1.v1.refund.updated", "v1."])
def test_thin_events_have_names_of_their_own(type: str) -> None:
    """A thin event under a snapshot's name, or an unknown one, is not guessed at."""
    assert signal(thin(type)).subject is Subject.OTHER


@pytest.mark.parametrize("name", KINDS)
def test_an_object_that_is_not_what_the_name_says_is_not_guessed_at(name: str) -> None:
    """Where the object bears another word, or none, neither it nor its charge is read."""
    for word in ("customer", None, 7, ["refund"]):
        thing = {**THINGS[KINDS[name].object], "object": word}
        assert signal(snapshot(name, thing)) == Signal(
            id="evt_1", kind=name, account=PLATFORM, subject=Subject.OTHER
        )
        found = signal(thin(f"v1.{name}", {**thing, "type": word}))
        assert (found.subject, found.object_id, found.charge) == (Subject.OTHER, None, None)


ODD_LINKS = [
    None,
    7,
    True,
    1.5,
    "",
    "ch 1",
    "../refunds",
    "ch_1\n",
    "_ch",
    "ch_é",
    "c" * 256,
    [],
    ["ch_1"],
    {},
    {"id": "ch_1"},
    {"id": "ch_1", "object": "customer"},
    {"id": 7, "object": "charge"},
    {"id": "a b", "object": "charge"},
]
"""What stands where a charge's id should, and is none."""


@pytest.mark.parametrize("link", ODD_LINKS, ids=repr)
def test_an_odd_charge_leaves_the_signal_without_one(link: object) -> None:
    """A charge that is no id, missing, or expanded into something else: the refund is still named, no more."""
    # failure: F04
    for name, id in (("refund.updated", "re_1"), ("charge.dispute.created", "du_1")):
        thing = {**THINGS[KINDS[name].object], "charge": link}
        found = signal(snapshot(name, thing))
        assert (found.subject, found.object_id, found.charge) == (KINDS[name].subject, id, None)


@pytest.mark.parametrize("data", [None, 7, [], "x", {}, {"object": None}, {"object": []}, {"object": "re_1"}])
def test_an_event_without_its_object_is_still_a_signal(data: object) -> None:
    """Odd or missing data is no reason to refuse what is signed and rightly addressed."""
    # failure: F04
    assert signal(snapshot("refund.updated", data=data)).subject is Subject.OTHER
    assert signal(thin(related_object=data)).subject is Subject.OTHER


@pytest.mark.parametrize("id", [None, 7, "", "re 1", "re/1", "x" * 256])
def test_an_odd_object_id_is_dropped(id: object) -> None:
    """The refund's own id is left out where it is none; the charge is still named."""
    found = signal(snapshot(thing={"id": id, "object": "refund", "charge": "ch_1"}))
    assert (found.object_id, found.charge) == (None, "ch_1")
    without = signal(snapshot("charge.updated", {"id": id, "object": "charge"}))
    assert (without.subject, without.object_id, without.charge) == (Subject.OTHER, None, None)


# --- fees and transfers -------------------------------------------------------------------------------------

DIRECT_FEE = {"id": "fee_1", "object": "application_fee", "account": "acct_1", "charge": "ch_9"}


def test_the_fee_of_a_direct_charge_leads_to_the_connected_account() -> None:
    """The platform alone is told of a fee, but its direct charge stands at the account the fee was taken from."""
    event = snapshot("application_fee.refunded", {**DIRECT_FEE, "originating_transaction": None})
    assert signal(event, accounts={PLATFORM, "acct_1"}).ref == PaymentRef("acct_1", "ch_9")
    expanded = {
        **DIRECT_FEE,
        "account": {"id": "acct_1", "object": "account"},
        "charge": {"id": "ch_9", "object": "charge"},
    }
    event = snapshot("application_fee.refunded", expanded)
    assert signal(event, accounts=lambda account: True).ref == PaymentRef("acct_1", "ch_9")


def test_the_fee_of_a_destination_charge_leads_to_the_platforms_own() -> None:
    """The charge it names at the connected account is the payment there, which nobody refunds; it is not taken."""
    event = snapshot(
        "application_fee.refunded", {**DIRECT_FEE, "charge": "py_9", "originating_transaction": "ch_1"}
    )
    assert signal(event, accounts={PLATFORM, "acct_1"}).ref == PaymentRef(PLATFORM, "ch_1")
    for odd in (7, "", {"id": "ch_1"}, False):
        event = snapshot("application_fee.refunded", {**DIRECT_FEE, "originating_transaction": odd})
        assert signal(event, accounts={PLATFORM, "acct_1"}).ref is None


@pytest.mark.parametrize(
    "changes",
    [
        {"account": "acct_2"},
        {"account": PLATFORM},
        {"account": "outside"},
        {"account": None},
        {"account": ["acct_1"]},
        {"account": {"id": "acct_1", "object": "person"}},
        {"charge": None},
        {"charge": 7},
    ],
    ids=repr,
)
def test_a_fee_never_leads_to_an_account_that_is_not_permitted(changes: dict[str, object]) -> None:
    """What a fee says oddly, or of an account not permitted, names no payment, least of all the platform's."""
    event = snapshot("application_fee.refunded", {**DIRECT_FEE, **changes})
    found = signal(event, accounts={PLATFORM, "acct_1"})
    assert (found.subject, found.account, found.charge) == (Subject.OTHER, PLATFORM, None)


def test_a_fee_told_of_by_a_connected_account_names_no_payment() -> None:
    """Only the platform is told of its fees; from elsewhere it is not guessed whose charge is meant."""
    event = snapshot("application_fee.refunded", DIRECT_FEE, account="acct_1")
    assert signal(event, accounts={PLATFORM, "acct_1"}).ref is None


@pytest.mark.parametrize("link", ODD_LINKS, ids=repr)
def test_a_transfer_that_was_not_made_from_a_charge_names_no_payment(link: object) -> None:
    """A transfer out of the balance has no charge behind it."""
    thing = {"id": "tr_1", "object": "transfer", "source_transaction": link}
    found = signal(snapshot("transfer.reversed", thing))
    assert (found.subject, found.object_id, found.charge) == (Subject.OTHER, "tr_1", None)


# --- the refusals -------------------------------------------------------------------------------------------

DEEP = b'{"object":"event","a":' + b"[" * 60 + b"]" * 60 + b"}"
MUCH_TOO_DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000

NOT_STRICT: dict[str, bytes] = {
    "nothing": b"",
    "no text": b"\xff\xfe{}",
    "half a letter": b'{"a":"\xc3"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "no JSON": b"refund.updated",
    "cut off": BODY[:-1],
    "two objects": BODY + BODY,
    "a list": b"[]",
    "a text": b'"evt_1"',
    "null": b"null",
    "a key twice": b'{"id":"evt_1",' + BODY[1:],
    "a key twice, deep inside": BODY.replace(b'"charge": "ch_1"', b'"charge": "ch_1", "charge": "ch_2"'),
    "a key twice, once escaped": BODY.replace(b'"charge": "ch_1"', b'"charge": "ch_1", "ch\\u0061rge": "ch_2"'),
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":Infinity}',
    "minus Infinity": b'{"a":-Infinity}',
    "a float beyond all bounds": b'{"a":1e999}',
    "a long float": b'{"a":0.' + b"1" * 50 + b"}",
    "a giant integer": b'{"a":' + b"9" * 5_000 + b"}",
    "a long integer": b'{"a":' + b"9" * 41 + b"}",
    "deep": DEEP,
    "much too deep": MUCH_TOO_DEEP,
    "deep and cut off": b"[" * 100_000,
    "a control character": b'{"a":"\x01"}',
}
"""Bodies that another reader might take otherwise, or that break one."""


@pytest.mark.parametrize("body", NOT_STRICT.values(), ids=NOT_STRICT)
def test_what_is_no_strict_json_is_refused(body: bytes) -> None:
    """However well it is signed, a body with two readings, or one that breaks readers, is refused."""
    assert code(read(body)) == "not_json"


def test_brackets_in_texts_are_no_depth() -> None:
    """The depth is counted outside of strings, whatever quotes and backslashes stand in them."""
    thing = {"id": "re_1", "object": "refund", "charge": "ch_1", "note": '\\" [[[ {{{ \\' * 100, "a": ["}", "\\"]}
    assert signal(snapshot(thing=thing)).charge == "ch_1"
    deepest: object = "[" * 99
    for _ in range(_events.DEPTH_LIMIT - 3):
        deepest = [deepest]
    assert signal(snapshot(thing={"id": "re_1", "object": "refund", "charge": "ch_1", "a": deepest})).charge
    assert code(read(snapshot(thing={"a": [deepest]}))) == "not_json"


def test_a_deep_body_is_refused_whatever_the_recursion_limit() -> None:
    """Depth is counted before the parser runs, so a host that raised Python's limit is not brought down by it."""
    program = (
        "import sys; sys.setrecursionlimit(10**9)\n"
        "from tests.adapters.test_stripe_webhooks import MUCH_TOO_DEEP, read\n"
        "print(read(MUCH_TOO_DEEP).code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.strip() == "not_json", done.stderr[-300:]


NOT_EVENTS: list[dict[str, object]] = [
    {"object": "refund"},
    {"object": "list"},
    {"object": None},
    {"object": 7},
    {"object": ["event"]},
    {"object": {"event": 1}},
    {"id": None},
    {"id": 7},
    {"id": ""},
    {"id": "evt 1"},
    {"id": "evt_1\n"},
    {"id": "x" * 256},
    {"type": None},
    {"type": 7},
    {"type": ""},
    {"type": "refund updated"},
    {"type": "refund.updated\n"},
    {"type": "é"},
    {"type": "a" * 121},
    {"livemode": None},
    {"livemode": 0},
    {"livemode": "false"},
]


@pytest.mark.parametrize("changes", NOT_EVENTS, ids=repr)
def test_what_is_no_event_is_refused(changes: dict[str, object]) -> None:
    """Without its word, an id, a type and a mode in Stripe's form it is no event, snapshot or thin."""
    assert code(read({**snapshot(), **changes})) == "not_an_event"
    assert code(read({**thin(), **changes})) == "not_an_event"


@pytest.mark.parametrize("live", [True, False])
def test_the_mode_must_be_the_endpoints(live: bool) -> None:
    """A test event at a live endpoint is refused, and the other way round."""
    assert code(read(snapshot(livemode=not live), live=live)) == "other_mode"
    assert signal(snapshot(livemode=live), live=live).charge == "ch_1"
    assert code(read(thin(livemode=not live), live=live)) == "other_mode"


def _raising(account: str) -> bool:
    raise RuntimeError("the host's table is away")


def _truthy(account: str) -> bool:
    return 1  # type: ignore[return-value]  # what a careless host returns


def _only_one(account: str) -> bool:
    return account == "acct_1"


PERMITS: list[tuple[object, object, str | None]] = [
    # accounts, the event's account, the signal's account (None: refused)
    ((PLATFORM,), None, PLATFORM),
    ((PLATFORM,), "acct_1", None),
    (["acct_1", "acct_2"], "acct_2", "acct_2"),
    (["acct_1"], "acct_2", None),
    (["acct_1"], None, None),
    ({"acct_1", PLATFORM}, None, PLATFORM),
    (_only_one, "acct_1", "acct_1"),
    (_only_one, "acct_2", None),
    (_only_one, None, None),
    (lambda account: True, None, PLATFORM),
    (_truthy, "acct_1", None),
    # what is there but no account never falls back to the platform
    (lambda account: True, "", None),
    (lambda account: True, 0, None),
    (lambda account: True, False, None),
    (lambda account: True, [], None),
    (lambda account: True, {"id": "acct_1", "object": "account"}, None),
    (lambda account: True, "acct 1", None),
    (lambda account: True, "acct_1/acct_2", None),
    (lambda account: True, PLATFORM, None),
    (lambda account: True, "outside", None),
]


@pytest.mark.parametrize(("accounts", "account", "expected"), PERMITS)
def test_the_account_must_be_permitted(accounts: Any, account: object, expected: str | None) -> None:
    """Of whom an endpoint may speak is said beforehand; whatever else an event names is refused."""
    for event in (snapshot(account=account), thin(context=account), {**snapshot(), "account": account}):
        result = read(event, accounts=accounts)
        if expected is None:
            assert code(result) == "other_account"
        else:
            assert isinstance(result, Signal)
            assert result.account == expected


def test_accounts_that_cannot_be_told_are_asked_for_again() -> None:
    """Where the host's function raises, the answer is 503 and the event comes again; the error is not told."""
    for event in (snapshot(account="acct_1"), thin(context="acct_1"), snapshot()):
        result = read(event, accounts=_raising)
        assert code(result) == "accounts_broke"
        assert isinstance(result, WebhookRefused)
        assert result.http_status == 503
        assert "away" not in str(result)


def test_account_and_context_must_agree() -> None:
    """An event that names two accounts is of neither."""
    allowed = {"acct_1", "acct_2"}
    assert signal(snapshot(account="acct_1", context="acct_1"), accounts=allowed).account == "acct_1"
    assert code(read(snapshot(account="acct_1", context="acct_2"), accounts=allowed)) == "other_account"
    assert code(read(snapshot(account="acct_1", context="a b"), accounts=allowed)) == "other_account"


# --- the signature ------------------------------------------------------------------------------------------

GOOD = mac(BODY)

HEADERS: list[tuple[str, Mapping[str, object], str | None]] = [
    ("none", {}, "unsigned"),
    ("another", {"Signature": f"t={NOW},v1={GOOD}"}, "unsigned"),
    ("empty", {"Stripe-Signature": ""}, "unsigned"),
    ("whatever case", {"sTRIPE-sIGNATURE": f"t={NOW},v1={GOOD}"}, None),
    ("among others", {"Host": "x", "stripe-signature": f"t={NOW},v1={GOOD}", "A": "b"}, None),
    ("another scheme beside", {"Stripe-Signature": f"t={NOW},v1={GOOD},v0={'0' * 64}"}, None),
    ("any order", {"Stripe-Signature": f"v1={GOOD},t={NOW}"}, None),
    ("a v1 of another form beside", {"Stripe-Signature": f"t={NOW},v1=xyz,v1={GOOD}"}, None),
    ("a letter of elsewhere beside", {"Stripe-Signature": f"t={NOW},v1=é,v1={GOOD}"}, "malformed_signature"),
    ("a wrong v1 beside", {"Stripe-Signature": f"t={NOW},v1={'0' * 64},v1={GOOD}"}, None),
    ("bytes", {"Stripe-Signature": f"t={NOW},v1={GOOD}".encode()}, "malformed_signature"),
    ("a list", {"Stripe-Signature": [f"t={NOW},v1={GOOD}"]}, "malformed_signature"),
    ("None", {"Stripe-Signature": None}, "malformed_signature"),
    ("twice", {"Stripe-Signature": f"t={NOW}", "stripe-signature": f"v1={GOOD}"}, "malformed_signature"),
    ("joined", {"Stripe-Signature": f"t={NOW},v1={GOOD},t={NOW},v1={GOOD}"}, "malformed_signature"),
    ("no t", {"Stripe-Signature": f"v1={GOOD}"}, "malformed_signature"),
    ("no v1", {"Stripe-Signature": f"t={NOW}"}, "malformed_signature"),
    ("v0 only", {"Stripe-Signature": f"t={NOW},v0={GOOD}"}, "malformed_signature"),
    ("upper case", {"Stripe-Signature": f"t={NOW},v1={GOOD.upper()}x"}, "malformed_signature"),
    ("a part without =", {"Stripe-Signature": f"t={NOW},v1={GOOD},"}, "malformed_signature"),
    ("no digits", {"Stripe-Signature": f"t=now,v1={GOOD}"}, "malformed_signature"),
    ("a sign", {"Stripe-Signature": f"t=-{NOW},v1={GOOD}"}, "malformed_signature"),
    ("a plus", {"Stripe-Signature": f"t=+{NOW},v1={GOOD}"}, "malformed_signature"),
    ("a space", {"Stripe-Signature": f"t= {NOW},v1={GOOD}"}, "malformed_signature"),
    ("a fraction", {"Stripe-Signature": f"t={NOW}.0,v1={GOOD}"}, "malformed_signature"),
    ("a leading zero", {"Stripe-Signature": f"t=0{NOW},v1={GOOD}"}, "malformed_signature"),
    ("digits of elsewhere", {"Stripe-Signature": f"t=١٧٦٧,v1={GOOD}"}, "malformed_signature"),
    ("a giant", {"Stripe-Signature": f"t={'9' * 13},v1={GOOD}"}, "malformed_signature"),
    ("too long", {"Stripe-Signature": f"t={NOW},v1={GOOD}" + ",v0=0" * 900}, "malformed_signature"),
    ("half a surrogate", {"Stripe-Signature": f"t={NOW},v1=\ud800"}, "malformed_signature"),
    ("a wrong one", {"Stripe-Signature": f"t={NOW},v1={'0' * 64}"}, "wrong_signature"),
    ("another time than signed", {"Stripe-Signature": f"t={NOW - 1},v1={GOOD}"}, "wrong_signature"),
]


@pytest.mark.parametrize(("headers", "expected"), [row[1:] for row in HEADERS], ids=[row[0] for row in HEADERS])
def test_header_is_read_strictly(headers: Mapping[str, str], expected: str | None) -> None:
    """One header in Stripe's form, whatever its case; every other form is refused, and none raises."""
    result = endpoint().read(BODY, headers)
    assert (result.code if isinstance(result, WebhookRefused) else None) == expected


def test_an_object_of_headers_that_is_no_dict_will_do() -> None:
    """Frameworks bring mappings of their own; names that are no str are passed over."""
    headers: UserDict[Any, Any] = UserDict({b"stripe-signature": b"x", 7: "y"})
    headers.update(signed(BODY))
    assert isinstance(endpoint().read(BODY, headers), Signal)


class Lines(dict[str, str]):
    """A mapping that gives each line of the headers, one name twice, as some frameworks' do."""

    def items(self) -> Any:
        """Each line."""
        return [(name, value) for name, value in super().items() for _ in range(2)]


def test_two_lines_of_one_header_are_refused() -> None:
    """Two Stripe-Signature headers are one too many, even if both are right."""
    assert code(endpoint().read(BODY, Lines(signed(BODY)))) == "malformed_signature"


def test_another_body_is_refused() -> None:
    """One byte changed, added or left out, and the signature does not fit."""
    for body in (BODY + b" ", BODY[:-1], BODY.replace(b"re_1", b"re_2"), b""):
        assert code(endpoint().read(body, signed(BODY))) == "wrong_signature"


def test_secrets_roll() -> None:
    """While a secret rolls either will do, on either side; a third never does."""
    both = endpoint(SECRET, OLDER)
    assert isinstance(both.read(BODY, signed(BODY, SECRET)), Signal)
    assert isinstance(both.read(BODY, signed(BODY, OLDER)), Signal)
    assert isinstance(endpoint(OLDER).read(BODY, signed(BODY, SECRET, OLDER)), Signal)
    assert code(both.read(BODY, signed(BODY, FOREIGN))) == "wrong_signature"
    assert code(endpoint(OLDER).read(BODY, signed(BODY, SECRET))) == "wrong_signature"


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [(0, None), (300, None), (301, "too_old"), (10**8, "too_old"), (-300, None), (-301, "in_future"),
     (-(10**8), "in_future")],
)  # fmt: skip
def test_age_is_bounded_to_both_sides(age_s: int, expected: str | None) -> None:
    """A delivery signed more than five minutes ago, or as far ahead, is refused; at the bound it passes."""
    result = endpoint().read(BODY, signed(BODY, at=NOW - age_s))
    assert (result.code if isinstance(result, WebhookRefused) else None) == expected


def test_each_bound_is_its_own() -> None:
    """Age and future are set apart, each to the second and below."""
    old, ahead = signed(BODY, at=NOW - 2), signed(BODY, at=NOW + 2)
    assert code(endpoint(max_age_s=1.5).read(BODY, old)) == "too_old"
    assert isinstance(endpoint(max_age_s=1.5).read(BODY, ahead), Signal)
    assert code(endpoint(max_ahead_s=1.5).read(BODY, ahead)) == "in_future"
    assert isinstance(endpoint(max_ahead_s=1.5).read(BODY, old), Signal)


@pytest.mark.parametrize("now", [float("nan"), float("inf"), float("-inf")])
def test_a_clock_that_tells_no_time_refuses(now: float) -> None:
    """Without a time nothing is young enough."""
    assert code(endpoint(clock=lambda: now).read(BODY, signed(BODY))) in ("too_old", "in_future")


def test_own_clock_is_the_machines() -> None:
    """Without a clock of its own an endpoint reads the machine's."""
    hooks = StripeWebhooks(SECRET, live=False)
    assert isinstance(hooks.read(BODY, signed(BODY, at=int(time.time()))), Signal)
    assert code(hooks.read(BODY, signed(BODY, at=int(time.time()) - 3_000))) == "too_old"


def test_size_is_bounded_before_anything_is_read() -> None:
    """A body beyond the cap is refused with 413, before header or signature are looked at."""
    fits = BODY + b" " * (2_048 - len(BODY))
    assert isinstance(endpoint(max_bytes=2_048).read(fits, signed(fits)), Signal)
    result = endpoint(max_bytes=2_048).read(fits + b" ", {})
    assert (code(result), result.http_status if isinstance(result, WebhookRefused) else 0) == ("too_large", 413)


def test_checks_come_in_their_order() -> None:
    """Nothing unverified is parsed, and what is wrong in two ways is told by the first."""
    nothing = b"\xff"
    assert code(endpoint().read(nothing, {"Stripe-Signature": f"t={NOW},v1={'0' * 64}"})) == "wrong_signature"
    old = {"Stripe-Signature": f"t=5,v1={'0' * 64}"}
    assert code(endpoint().read(nothing, old)) == "wrong_signature"
    assert code(endpoint().read(nothing, signed(nothing, at=5))) == "too_old"
    assert code(endpoint().read(nothing, signed(nothing))) == "not_json"
    assert code(read(snapshot(id=7, livemode=True, account="acct_9"))) == "not_an_event"
    assert code(read(snapshot(livemode=True, account="acct_9"))) == "other_mode"


# --- held against stripe-python -----------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["{}", "[]", "", BODY.decode(), '{"name":"Zoë"}'])
def test_signatures_made_by_stripe_python_fit(text: str) -> None:
    """What stripe-python signs is verified here."""
    header = stripe.WebhookSignature.generate_signature_header(text, SECRET, NOW)
    result = endpoint().read(text.encode(), {"Stripe-Signature": header})
    assert not isinstance(result, WebhookRefused) or result.code in ("not_json", "not_an_event")


def headers_by_thousands() -> Iterator[str]:
    """Headers put together from right, wrong and odd parts."""
    times = [f"t={NOW}", "t=", "t=x", f"t={NOW},t=1", "", f"t={NOW} ", f" t={NOW}", f"t=0{NOW}", f"t={NOW}=1"]
    right = [f"v1={GOOD}", f"v1={mac(BODY, OLDER)}", f"v1={mac(BODY, FOREIGN)}"]
    odd = [f"v1={GOOD.upper()}", "v1=", "v1", f"v0={GOOD}", f" v1={GOOD}", f"v1={GOOD}=1", f"v1 ={GOOD}", "v1=é"]
    for one in times:
        for two in right + odd:
            yield f"{one},{two}"
            yield f"{two},{one}"
            for three in right + odd:
                yield f"{one},{two},{three}"


def test_what_is_accepted_here_stripe_python_accepts() -> None:
    """Of some thousand headers, each that fits here fits there, too, with one of the same secrets."""
    hooks, accepted, refused = endpoint(SECRET, OLDER), 0, 0
    for header in headers_by_thousands():
        if isinstance(hooks.read(BODY, {"Stripe-Signature": header}), WebhookRefused):
            refused += 1
            continue
        accepted += 1
        assert any(_verified_there(header, secret) for secret in (SECRET, OLDER))
    assert accepted > 30
    assert refused > 500


def _verified_there(header: str, secret: str) -> bool:
    try:
        return stripe.WebhookSignature.verify_header(BODY.decode(), header, secret) is True
    except stripe.SignatureVerificationError:
        return False


# --- the endpoint itself ------------------------------------------------------------------------------------


def test_every_refusal_has_its_words() -> None:
    """Each code has a status and a sentence of its own, and the value carries them."""
    assert set(WEBHOOK_REFUSALS) == set(WebhookCode)
    assert len({words.says for words in WEBHOOK_REFUSALS.values()}) == len(WebhookCode)
    for each in WebhookCode:
        no = WebhookRefused(code=each)
        assert (no.http_status, str(no)) == tuple(WEBHOOK_REFUSALS[each])
        not_400 = {"too_large": 413, "other_mode": 200, "other_account": 200, "accounts_broke": 503}
        assert no.http_status == not_400.get(each, 400)
        assert re.fullmatch(r"[A-Z][^{}]{60,260}\.", str(no)), each
        assert pickle.loads(pickle.dumps(no)) == no
    with pytest.raises(TypeError):
        WebhookRefused(code="too_old")  # type: ignore[arg-type]


CANARY = "4242424242424242 jane@example.org"


def test_nothing_of_the_payload_is_in_a_refusal() -> None:
    """Whatever the body holds, a refusal shows none of it."""
    bodies = [
        body_of(snapshot(id=CANARY)),
        body_of(snapshot(account=CANARY)),
        body_of({**snapshot(livemode=True), "note": CANARY}),
        f'{{"{CANARY}":NaN}}'.encode(),
    ]
    for body in bodies:
        no = endpoint().read(body, signed(body))
        assert isinstance(no, WebhookRefused)
        assert "4242" not in f"{no!r} {no}"
        assert "4242" not in repr(pickle.dumps(no))


SETTINGS: list[tuple[dict[str, object], type[Exception]]] = [
    ({"live": 1}, TypeError),
    ({"live": None}, TypeError),
    ({"max_age_s": 0}, ValueError),
    ({"max_age_s": -1}, ValueError),
    ({"max_age_s": None}, TypeError),
    ({"max_age_s": True}, TypeError),
    ({"max_age_s": "300"}, TypeError),
    ({"max_age_s": float("nan")}, ValueError),
    ({"max_age_s": float("inf")}, ValueError),
    ({"max_age_s": LONGEST_SPAN_S + 1}, ValueError),
    ({"max_ahead_s": 0}, ValueError),
    ({"max_ahead_s": None}, TypeError),
    ({"max_ahead_s": LONGEST_SPAN_S + 1}, ValueError),
    ({"max_bytes": 1_023}, ValueError),
    ({"max_bytes": LARGEST_BODY + 1}, ValueError),
    ({"max_bytes": None}, TypeError),
    ({"max_bytes": 2e6}, TypeError),
    ({"clock": 5.0}, TypeError),
    ({"accounts": ()}, ValueError),
    ({"accounts": "acct_1"}, TypeError),
    ({"accounts": None}, TypeError),
    ({"accounts": [7]}, TypeError),
    ({"accounts": ["acct 1"]}, ValueError),
    ({"accounts": ["outside"]}, ValueError),
]


@pytest.mark.parametrize(("settings", "error"), SETTINGS, ids=repr)
def test_odd_settings_are_refused(settings: dict[str, object], error: type[Exception]) -> None:
    """A bound that is off, too wide or no number, and accounts that are none, are refused at construction."""
    with pytest.raises(error):
        endpoint(**settings)


def test_the_widest_settings_are_taken() -> None:
    """At their limits the settings hold."""
    hooks = endpoint(max_age_s=LONGEST_SPAN_S, max_ahead_s=0.5, max_bytes=LARGEST_BODY)
    assert isinstance(hooks.read(BODY, signed(BODY, at=NOW - 3_600)), Signal)
    assert endpoint(live=True).live is True


ODD_SECRETS: list[tuple[object, ...]] = [
    (),
    ("",),
    (SECRET, ""),
    ("whsec_",),
    ("whsec_short",),
    ("sk_test_0123456789abcdef0123456789",),
    (f" {SECRET}",),
    (f"{SECRET}\n",),
    (f"whsec_{'é' * 20}",),
    (f"whsec_{'a' * 251}",),
    (SECRET.encode(),),
    (None,),
    ([SECRET],),
    tuple(f"{SECRET}{number}" for number in range(9)),
]


@pytest.mark.parametrize("secrets", ODD_SECRETS, ids=lambda secrets: f"{len(secrets)}")
def test_odd_secrets_are_refused_and_never_repeated(secrets: tuple[str, ...]) -> None:
    """What is no signing secret is refused; the message repeats nothing of it."""
    with pytest.raises((TypeError, ValueError)) as raised:
        StripeWebhooks(*secrets, live=False)
    for secret in secrets:
        for shown in (str(raised.value), repr(raised.value)):
            assert not secret or len(str(secret)) < 8 or str(secret)[6:] not in shown


def test_secret_is_nowhere() -> None:
    """No repr, no member, no pickle and no copy of an endpoint shows its secret."""
    hooks = endpoint(SECRET, OLDER)
    assert repr(hooks) == "StripeWebhooks(live=False)"
    for shown in (repr(hooks), str(hooks), repr(vars(hooks)), str(list(vars(hooks).values()))):
        assert "0123456789" not in shown
        assert "whsec" not in shown
        assert not found_in(shown)
    forbidden: list[Callable[[StripeWebhooks], object]] = [pickle.dumps, copy.copy, copy.deepcopy]
    for copied in forbidden:
        with pytest.raises(TypeError, match="signing secrets"):
            copied(hooks)


@pytest.mark.parametrize(
    ("body", "headers"),
    [("{}", {}), (bytearray(b"{}"), {}), (None, {}), (b"{}", None), (b"{}", [("Stripe-Signature", "t=1")])],
    ids=repr,
)
def test_mistakes_of_the_calling_code_are_type_errors(body: Any, headers: Any) -> None:
    """A body that is no bytes, or headers that are no Mapping, are the host's mistake and are raised."""
    with pytest.raises(TypeError):
        endpoint().read(body, headers)


def test_importing_it_brings_no_stripe() -> None:
    """An endpoint needs the standard library and attrs: neither stripe nor any HTTP client is imported."""
    code = (
        "import sys\n"
        "from refund_adapters.stripe.webhooks import StripeWebhooks\n"
        "StripeWebhooks('whsec_0123456789abcdef', live=False).read(b'{}', {})\n"
        "print(*{name.split('.')[0] for name in sys.modules} & {'stripe', 'requests', 'httpx', 'aiohttp'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_long_unfinished_string_costs_no_square() -> None:
    """Counting the depth looks at each byte once, even where quotes never close."""
    body = b'"' + b'\\"' * 500_000 + b"[" * 99
    assert not _events._too_deep(body)
    assert code(read(body)) == "not_json"
    assert _signed.HEADER_LIMIT < 10_000
    assert json.loads(BODY)["id"] == "evt_1"


@pytest.mark.parametrize(("named", "account"), [({"user_id": "acct_1"}, "acct_1"), ({}, PLATFORM)])
def test_an_event_of_before_may_2017_names_its_account_by_another_word(
    named: dict[str, str], account: str
) -> None:
    """Until then a Connect event said `user_id`: it must not be taken for one of the platform's own."""
    event = {"object": "event", "id": "evt_1", "type": "charge.refunded", "livemode": False, **named}
    event |= {"data": {"object": {"object": "charge", "id": "ch_1"}}}
    signal = _events.signal_of(event, live=False, permits=lambda account: True)
    assert isinstance(signal, Signal)
    assert str(signal.ref) == f"{account}/ch_1"
    both = _events.signal_of({**event, "account": "acct_2"}, live=False, permits=lambda account: True)
    assert isinstance(both, WebhookRefused) is bool(named)


def test_an_accounts_function_that_must_be_awaited_is_refused_when_the_endpoint_is_made() -> None:
    """It would permit nothing, and every event of a connected account would be lost."""

    async def mine(account: str) -> bool:
        return True

    with pytest.raises(TypeError, match="coroutine"):
        StripeWebhooks("whsec_example_0123456789", live=False, accounts=cast("Any", mine))
