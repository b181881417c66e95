"""Signals and `receive`: a signal is a place to look at; what the look shows is merged, nothing else is done."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_adapters.memory import Course, Fault
from refund_domain.decider.ledger import Status
from refund_domain.errors import GatewayUnreadable, OpenTransaction
from refund_domain.events import LookScheduled, PaymentSeen, RefundObserved
from refund_domain.money import Money
from refund_domain.payments import PLATFORM, PaymentRef
from refund_domain.service.stream import Handed, Merged, Reported
from refund_domain.signals import Signal, Subject
from refund_domain.testing import strategies as given_a
from tests.domain.worlds import DAY, KINDS, MARIA, MINUTE, Kind, World, refund_of

SIGNAL = Signal(
    id="evt_1", kind="refund.updated", account="acct_1", subject=Subject.REFUND, object_id="re_1", charge="ch_1"
)
SUBJECTS = pytest.mark.parametrize("subject", Subject)
EVERY_FORM = pytest.mark.parametrize("kind", KINDS)


# --- the value ----------------------------------------------------------------------------------------------


@given(ref=given_a.payment_refs(), subject=st.sampled_from(Subject))
def test_a_signal_points_at_its_charge_in_its_account(ref: PaymentRef, subject: Subject) -> None:
    """Both words together are the ref; neither is taken from anywhere else."""
    signal = Signal(id="e", kind="x", account=ref.account, subject=subject, charge=ref.charge)
    assert signal.ref == ref


@SUBJECTS
def test_a_signal_without_a_charge_points_nowhere(subject: Subject) -> None:
    """It may still be told, for an adapter that can ask where its object belongs."""
    assert Signal(id="e", kind="payout.paid", account=PLATFORM, subject=subject, object_id="po_1").ref is None


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        *(("id", odd) for odd in ("", " ", "evt 1", "evt/1", "x" * 256, None, 7)),
        *(("kind", odd) for odd in ("", " ", "x" * 121, "refund\x00", None, 7)),
        *(("account", odd) for odd in ("", "acct 1", "outside", "a/b", None, 7)),
        *(("subject", odd) for odd in ("refund", None, 7)),
        *(("object_id", odd) for odd in ("", "re 1", "../re", 7)),
        *(("charge", odd) for odd in ("", "ch/1", " ch_1", "x" * 256, 7)),
    ],
)
def test_odd_words_are_refused(name: str, odd: object) -> None:
    """What comes from outside ends up in addresses, logs and database keys: each field says what it is."""
    with pytest.raises((ValueError, TypeError), match=f"{name} must"):
        attrs.evolve(SIGNAL, **{name: odd})  # type: ignore[arg-type]


@pytest.mark.parametrize("odd", ["", "acct 1", "a/b", None, 7])
def test_an_account_is_checked_where_no_charge_is_named_too(odd: object) -> None:
    """An adapter asks the gateway by it."""
    with pytest.raises((ValueError, TypeError), match="account must"):
        attrs.evolve(SIGNAL, charge=None, account=odd)  # type: ignore[arg-type]


# --- receive ------------------------------------------------------------------------------------------------


def signal_of(ref: PaymentRef, kind: str = "refund.updated", object_id: str = "re_1") -> Signal:
    """A signal about something of this payment."""
    return Signal(
        id="evt_1",
        kind=kind,
        account=ref.account,
        subject=Subject.REFUND,
        object_id=object_id,
        charge=ref.charge,
    )


@EVERY_FORM
def test_a_known_payments_refunds_are_merged_ours_and_others(kind: Kind) -> None:
    """Ours by its mark moves on, another's is counted; the second telling brings no news and appends nothing."""
    world = World(kind)
    ref = world.bank.charge(Money.parse("200.00", "USD"), course=Course.pending_then_succeeds(MINUTE))
    other = world.pay()
    assert refund_of(world.refunds.issue(world.decision(ref))).status is Status.PENDING
    world.refunds.quote(other, by=MARIA)
    world.bank.elsewhere(other, Money.parse("50.00", "USD"))
    world.clock.advance(2 * MINUTE)
    told = world.refunds.receive(signal_of(ref))
    assert isinstance(told, Merged)
    assert (told.signal, told.news, told.view.payment) == (signal_of(ref), True, world.view(ref).payment)
    assert [refund.status for refund in told.view.refunds] == [Status.SUCCEEDED]
    assert isinstance(again := world.refunds.receive(signal_of(other)), Merged)
    assert again.news
    before = world.events(ref), world.events(other)
    for each in (ref, other):
        repeated = world.refunds.receive(signal_of(each))
        assert isinstance(repeated, Merged)
        assert not repeated.news
    assert (world.events(ref), world.events(other)) == before


@EVERY_FORM
def test_a_payment_nobody_quoted_is_handed_over_and_nothing_is_stored(kind: Kind) -> None:
    """It has no owner yet: the host gets what the look showed, and the stream stays empty."""
    world = World(kind)
    ref = world.pay()
    world.bank.elsewhere(ref)
    told = world.refunds.receive(signal_of(ref))
    assert told == Handed(signal=signal_of(ref), picture=world.bank.picture(ref))  # type: ignore[arg-type]
    assert world.events(ref) == ()
    assert "append" not in world.wire.calls


@EVERY_FORM
def test_what_points_nowhere_is_reported(kind: Kind) -> None:
    """No charge named: not even a look. A charge the account does not hold: one look, at that account alone."""
    world = World(kind)
    ref = world.pay()
    world.decision(ref)
    world.wire.clear()
    nowhere = attrs.evolve(SIGNAL, charge=None)
    assert world.refunds.receive(nowhere) == Reported(signal=nowhere, why="it names no payment")
    assert world.wire.calls == []
    elsewhere = signal_of(PaymentRef("acct_9", ref.charge))
    assert world.refunds.receive(elsewhere) == Reported(signal=elsewhere, why="its account holds no such payment")
    assert world.gateway.looked[-1] == PaymentRef("acct_9", ref.charge)
    assert world.events(PaymentRef("acct_9", ref.charge)) == ()


@EVERY_FORM
@pytest.mark.parametrize("fault", [Fault.LOOK_UNREADABLE, Fault.LOOK_RAISES])
def test_a_gateway_that_cannot_be_read_is_an_error_and_nothing_is_stored(kind: Kind, fault: Fault) -> None:
    """The queue brings the signal again; the due looks are as they were."""
    world = World(kind)
    ref = world.pay()
    world.refunds.issue(world.decision(ref))
    before = world.events(ref)
    world.gateway.script(fault)
    with pytest.raises(GatewayUnreadable):
        world.refunds.receive(signal_of(ref))
    assert world.events(ref) == before


@EVERY_FORM
def test_a_signal_claims_sends_and_ends_nothing_whatever_is_owed(kind: Kind) -> None:
    """A request not sent yet, and a doubt past its last edge: the owed look stays owed, and is recovery's."""
    world = World(kind)
    ref = world.pay()
    world.refunds.request(world.decision(ref))
    world.refunds.receive(signal_of(ref))
    assert "send" not in world.wire.calls
    world.gateway.script(Fault.REQUEST_LOST)
    assert world.refunds.dispatch(ref).refunds[0].status is Status.IN_DOUBT
    world.clock.advance(30 * DAY)
    world.bank.dispute(ref, status="warning_needs_response")
    before = world.events(ref)
    told = world.refunds.receive(signal_of(ref, "refund.failed"))
    assert isinstance(told, Merged)
    assert told.view.refunds[0].status is Status.IN_DOUBT
    added = world.events(ref)[len(before) :]
    assert {type(event) for event in added} <= {PaymentSeen, RefundObserved, LookScheduled}
    assert added
    assert len(world.gateway.sent) == 1
    assert world.refunds.recover().looked == 1
    assert world.view(ref).refunds[0].status is not Status.IN_DOUBT


@EVERY_FORM
@pytest.mark.parametrize("word", ["refund.failed", "refund.updated", "charge.dispute.closed", "a.new.word"])
def test_what_a_signal_says_happened_is_not_believed(kind: Kind, word: str) -> None:
    """Whatever its kind, and whichever refund it names: the refund stands as the gateway shows it."""
    world = World(kind)
    ref = world.pay()
    world.refunds.issue(world.decision(ref))
    told = world.refunds.receive(signal_of(ref, word, "re_never"))
    assert isinstance(told, Merged)
    assert [refund.status for refund in told.view.refunds] == [Status.SUCCEEDED]


@EVERY_FORM
def test_no_signal_is_received_inside_an_open_transaction(kind: Kind) -> None:
    """It looks over the network, which nothing does while a transaction is open."""
    world = World(kind)
    world.journal.in_transaction = True
    with pytest.raises(OpenTransaction):
        world.refunds.receive(signal_of(PaymentRef(PLATFORM, "ch_1")))


@EVERY_FORM
def test_only_a_signal_is_received(kind: Kind) -> None:
    """A dict from a web page is none."""
    with pytest.raises(TypeError, match="signal must be Signal"):
        World(kind).refunds.receive({"charge": "ch_1"})  # type: ignore[arg-type]
