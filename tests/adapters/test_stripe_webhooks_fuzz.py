"""Whatever is sent to a webhook endpoint: a signal or a refusal comes out, and what is refused changes nothing."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from refund_adapters.stripe._events import json_in
from refund_adapters.stripe.webhooks import KINDS, WebhookRefused
from refund_domain.payments import PLATFORM
from refund_domain.signals import Signal
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
from tests.adapters.webhook_host import Host, checked
from tests.domain.worlds import KINDS as FORMS
from tests.domain.worlds import Kind
from tests.fuzz import webhooks as campaign

HOOKS = endpoint(SECRET, OLDER, accounts={PLATFORM, "acct_1"})
MANY = max(250, settings().max_examples)
"""Examples cost little here; a campaign's profile asks for more."""
EVENTS = [json.loads(body) for body in CORPUS.values()]

ids = st.sampled_from(
    ["re_1", "ch_1", "acct_1", "acct_2", "evt_1", "", "platform", "outside", "a b", "../x", "é", "x" * 300]
)
words = st.sampled_from(
    ["event", "v2.core.event", "refund", "charge", "dispute", "payout", "account", "transfer", "application_fee"]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | ids
    | words
    | st.sampled_from([*KINDS, *(f"v1.{name}" for name in KINDS)])
)
keys = st.sampled_from(sorted({key for event in EVENTS for key in event})) | st.text(max_size=5)
things = st.sampled_from(
    ["id", "object", "type", "charge", "account", "source_transaction", "originating_transaction", "data"]
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys | things, inner, max_size=6),
    max_leaves=20,
)
"""Any JSON (NaN and Infinity included), much of it in an event's own words."""


@st.composite
def mutated(draw: st.DrawFn) -> object:
    """A real event of which some members, however deep, are replaced, left out or added."""
    event = json.loads(json.dumps(draw(st.sampled_from(EVENTS))))
    event["livemode"] = draw(st.sampled_from([False, False, True]))
    for _ in range(draw(st.integers(0, 4))):
        place: Any = event
        while place:
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key: Any = draw(st.sampled_from(keys))
            inner = place[key]
            if not isinstance(inner, dict | list) or draw(st.booleans()):
                if draw(st.booleans()):
                    place[key] = draw(values)
                else:
                    del place[key]
                break
            place = inner
    return event


@st.composite
def events(draw: st.DrawFn) -> object:
    """A rightly addressed event, of which the object is anything."""
    name = draw(st.sampled_from(list(KINDS)))
    word = draw(st.just(KINDS[name].object) | scalars)
    members = {key: draw(values) for key in draw(st.sets(things, max_size=5))}
    thing = {"id": draw(ids), "charge": draw(ids | values), **members, "object": word}
    account = draw(st.none() | ids | values)
    if draw(st.booleans()):
        return {**snapshot(name, thing), "account": account}
    return {**thin(f"v1.{name}", {**thing, "type": word}), "context": account}


@st.composite
def doubled(draw: st.DrawFn) -> bytes:
    """A real event in which one key stands twice, so that readers differ over it."""
    body = draw(st.sampled_from(list(CORPUS.values())))
    places = [match.start() for match in re.finditer(rb"\{\n", body)]
    place = draw(st.sampled_from(places)) + 1
    key = json.loads(body[place:].split(b":")[0])
    return body[:place] + json.dumps(key).encode() + b":" + as_bytes(draw(values)) + b"," + body[place:]


def as_bytes(value: object) -> bytes:
    """The JSON of any value, lone surrogates and all."""
    return json.dumps(value).encode("utf-8", "surrogatepass")


bodies = st.one_of(
    st.binary(max_size=300),
    st.sampled_from(list(CORPUS.values())),
    values.map(as_bytes),
    mutated().map(as_bytes),
    events().map(as_bytes),
    doubled(),
)
"""What may come in as a body: noise, real events, events gone wrong."""

odd_values: st.SearchStrategy[Any] = (
    st.text(alphabet="tv01=,abcdef9é \n", max_size=40)
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.none()
    | st.integers()
    | st.lists(st.text(max_size=5), max_size=2)
)
odd_headers = st.dictionaries(
    st.sampled_from(["Stripe-Signature", "stripe-signature", "STRIPE-SIGNATURE", "Content-Type"])
    | st.text(max_size=9),
    odd_values,
    max_size=4,
)
ages = st.integers(-400, 400) | st.just(0)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[bytes, Mapping[str, str]]:
    """A body with its headers: rightly signed more often than not."""
    body = draw(bodies)
    secret = draw(st.sampled_from([SECRET, SECRET, SECRET, OLDER, FOREIGN]))
    kind = draw(st.integers(0, 5))
    if kind == 4:
        return body, draw(odd_headers)
    if kind == 5:
        noise = draw(st.text(max_size=10))
        return body, {"stripe-signature": f"t={NOW},v1={mac(body, secret)}{noise}"}
    return body, signed(body, secret, at=NOW - draw(ages if kind == 3 else st.just(0)))


@settings(max_examples=MANY, suppress_health_check=[HealthCheck.too_slow])
@given(deliveries())
def test_a_signal_or_a_refusal_whatever_is_sent(delivery: tuple[bytes, Mapping[str, str]]) -> None:
    """Any bytes under any headers, signed or not: one of the two comes out, and never an exception."""
    body, headers = delivery
    checked(HOOKS.read(body, headers), HOOKS, body)


@settings(max_examples=MANY, suppress_health_check=[HealthCheck.too_slow])
@given(bodies)
@example(b'{"a":' * 3_000)
@example(b'"' + b"\\" * 99)
@example(b"[" * 100_000)
def test_a_signal_or_a_refusal_whatever_is_signed(body: bytes) -> None:
    """Any bytes, rightly signed: one of the two comes out; a body with two readings is never a signal."""
    result = checked(HOOKS.read(body, signed(body)), HOOKS, body)
    if isinstance(result, Signal):
        assert json.loads(body) == json_in(body)
    else:
        assert result.code in ("not_json", "not_an_event", "other_mode", "other_account")


@given(st.binary(max_size=60), odd_headers)
def test_nothing_unsigned_gets_past_the_signature(body: bytes, headers: dict[str, Any]) -> None:
    """Without the secret, no header and no body reach the parser."""
    result = HOOKS.read(body, headers)
    assert isinstance(result, WebhookRefused)
    assert result.code in ("unsigned", "malformed_signature", "wrong_signature")


@given(bodies, st.integers(0, 255), st.data())
def test_one_byte_changed_is_refused(body: bytes, change: int, data: st.DataObject) -> None:
    """A signed body of which one byte is another is refused as not signed."""
    if not body or not change:
        return
    place = data.draw(st.integers(0, len(body) - 1))
    changed = body[:place] + bytes([body[place] ^ change]) + body[place + 1 :]
    result = HOOKS.read(changed, signed(body))
    assert isinstance(result, WebhookRefused)
    assert result.code == "wrong_signature"


# --- what reaches the service -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=MANY // 6, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_is_refused_changes_nothing(form: Kind, data: st.DataObject) -> None:
    """A refused delivery reads and writes nothing; any other raises documented errors only, and never sends."""
    host = Host(form)
    for _ in range(data.draw(st.integers(1, 4))):
        body, headers = data.draw(deliveries())
        if data.draw(st.booleans()):
            body = host.aimed(body)
            headers = signed(body)
        before, sent = host.kept(), host.world.bank.received
        result = host.delivered(body, headers)
        if isinstance(result, WebhookRefused):
            assert host.kept() == before
        assert host.world.bank.received == sent


def test_the_campaigns_inputs_are_judged_alike() -> None:
    """The harness of the campaign runs here without its fuzzer: its seeds, and mutations of them by chance."""
    judge, rng = campaign.Judge(), random.Random(1)
    for data in campaign.seeds():
        judge(data)
        for _ in range(20):
            changed = campaign.mutated(data, rng)
            if changed is not None:
                judge(changed)
    assert judge.tried > 500
    assert 100 < judge.signals < judge.tried - 100
    assert campaign.mutated(b"\x00no JSON", rng) is None


def test_the_host_of_these_tests_does_receive() -> None:
    """The other side: an event about this host's payment does reach its service and changes its journal."""
    host = Host("sync")
    host.world.bank.elsewhere(host.quoted)
    body = body_of(snapshot("charge.refunded", {"id": host.quoted.charge, "object": "charge"}))
    before = host.kept()
    assert type(host.delivered(body, signed(body))).__name__ == "Merged"
    assert host.kept() != before
