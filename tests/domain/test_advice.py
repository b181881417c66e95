"""What people are told to do with money: never to give back what went back otherwise, or what never came."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from refund_adapters.memory import (
    AsyncMemoryGateway,
    AsyncMemoryJournal,
    Course,
    Fault,
    ManualClock,
    MemoryBank,
    MemoryGateway,
    MemoryJournal,
)
from refund_adapters.wording import to_staff
from refund_domain import Actor, AsyncRefundService, Money, PaymentRef, Refund, RefundService, Refused, Status
from refund_domain.answers import Answer, Ask, Look, Picture
from refund_domain.commands import Action, Choice
from refund_domain.connect import ChargeKind
from refund_domain.decider.advice import AFTER_FAILURE, NEVER_RECEIVED, NOTHING_LEFT
from refund_domain.decider.pulling import LegState
from refund_domain.money import LIMIT_MINOR, Currency
from refund_domain.policy import Policy
from refund_domain.quotes import Booking
from refund_domain.rules.cancellation import cancellation_notice
from tests.domain.worlds import AwaitedFunds, GivenFunds

MARIA = Actor(id="maria", tenant="acme")
DAY = timedelta(days=1)
CLOSED = AFTER_FAILURE["expired_or_canceled_card"]


def usd(major: str) -> Money:
    """Dollars."""
    return Money.parse(major, "USD")


@attrs.define
class Desk:
    """A service over a bank in memory, as the people see it who refund there."""

    clock: ManualClock
    bank: MemoryBank
    gateway: MemoryGateway
    refunds: RefundService

    @classmethod
    def open(cls, policy: Policy = Policy()) -> Desk:  # noqa: B008 - a frozen value
        """A desk of its own."""
        clock = ManualClock(datetime(2026, 11, 2, 9, tzinfo=UTC))
        bank = MemoryBank(clock)
        gateway, journal = MemoryGateway(bank), MemoryJournal(clock)
        service = RefundService(gateway, journal, allow=lambda actor, action, ref: True, policy=policy)
        return cls(clock, bank, gateway, service)

    def issue(self, ref: PaymentRef) -> Refund:
        """Quote and issue in one go."""
        refund = self.refunds.issue(self.refunds.quote(ref, by=MARIA).verified(by=MARIA))
        assert isinstance(refund, Refund)
        return refund

    def recover(self, days: int) -> None:
        """So many days pass, with a recovery each."""
        for _ in range(days):
            self.clock.forward(DAY)
            self.refunds.recover()

    def failed(self, reason: str = "expired_or_canceled_card", major: str = "200.00") -> PaymentRef:
        """A payment whose first refund succeeded and failed with this reason two days later."""
        ref = self.bank.charge(usd(major))
        self.bank.plan(ref, Course.succeeds_then_fails(reason, 2 * DAY), Course.succeeds())
        self.issue(ref)
        self.recover(3)
        return ref

    def failed_with_its_transfer_pulled_back(self) -> PaymentRef:
        """A payment of 200.00 of which 150.00 were passed on, and pulled back for a refund that failed."""
        ref = self.bank.charge(usd("200.00"), group="o1")
        self.bank.connect.transfer("acct_1", usd("150.00"), group="o1")
        self.bank.plan(ref, Course.succeeds_then_fails("declined", 2 * DAY), Course.succeeds())
        self.issue(ref)
        self.recover(3)
        return ref

    def shown(self, ref: PaymentRef) -> Refund:
        """The first refund of this payment."""
        view = self.refunds.show(ref, by=MARIA)
        assert not isinstance(view, Refused)
        return view.refunds[0]

    def note(self, ref: PaymentRef, code: str) -> None:
        """Somebody has read what this code says of the first refund."""
        said = self.refunds.settle(ref, subject=self.shown(ref).id, code=code, choice=Choice.NOTED, by=MARIA)
        assert not isinstance(said, Refused)

    def note_all(self) -> None:
        """Somebody has read all that waits."""
        waiting = self.refunds.attention(by=MARIA)
        assert not isinstance(waiting, Refused)
        for each in waiting:
            for item in each.items:
                given = {"subject": item.subject, "code": item.code}
                said = self.refunds.settle(each.payment, **given, choice=Choice.NOTED, by=MARIA)
                assert not isinstance(said, Refused)
        assert self.told() == {}

    def told(self) -> dict[str, str]:
        """What waits for people, by its code."""
        waiting = self.refunds.attention(by=MARIA)
        assert not isinstance(waiting, Refused)
        return {item.code: item.says for each in waiting for item in each.items}

    def pulled(self) -> str | None:
        """What waits for people of a transfer that was pulled back."""
        return next((says for code, says in self.told().items() if code.startswith("transfer_pulled_back_")), None)


# --- after a failure -----------------------------------------------------------------------------------------


def _repaid(desk: Desk, ref: PaymentRef) -> None:
    desk.refunds.record_outside(ref, usd("200.00"), by=MARIA, how="check")


def _lost(desk: Desk, ref: PaymentRef) -> None:
    desk.bank.close_dispute(desk.bank.dispute(ref), "lost")
    desk.refunds.reconcile(ref)


def _elsewhere(desk: Desk, ref: PaymentRef) -> None:
    desk.bank.plan(ref, Course.succeeds())
    desk.bank.elsewhere(ref)
    desk.refunds.reconcile(ref)


def _again(desk: Desk, ref: PaymentRef) -> None:
    assert desk.issue(ref).status is Status.SUCCEEDED


def _in_doubt(desk: Desk, ref: PaymentRef) -> None:
    desk.gateway.script(Fault.ANSWER_LOST)
    assert desk.issue(ref).status is Status.IN_DOUBT


@pytest.mark.parametrize(
    ("since", "code", "says"),
    [
        (_repaid, "failed_nothing_left", NOTHING_LEFT.says),
        (_elsewhere, "failed_nothing_left", NOTHING_LEFT.says),
        (_lost, "failed_disputed", AFTER_FAILURE["charge_for_pending_refund_disputed"].says),
        (_again, "failed_given_back", "gave the money back since. Pay nothing beside it."),
        (_in_doubt, "failed_under_way", "is under way since; wait for its end. Pay nothing beside it."),
    ],
)
def test_what_went_back_since_is_not_to_be_paid_again(
    since: Callable[[Desk, PaymentRef], None], code: str, says: str
) -> None:
    """A failed refund's advice ends once the money went back by any other way, is under way, or is disputed; who
    has noted the old advice is told the new one."""
    desk = Desk.open()
    ref = desk.failed()
    assert desk.told()["failed"] == CLOSED.says
    assert desk.shown(ref).next_step == CLOSED
    desk.note(ref, "failed")
    assert desk.told() == {}
    since(desk, ref)
    step = desk.shown(ref).next_step
    assert step is not None
    assert step.says.endswith(says)
    assert desk.told()[code].startswith(step.says)
    assert "failed" not in desk.told()
    assert CLOSED.says not in to_staff(desk.shown(ref))


@pytest.mark.parametrize("noted", [True, False])
def test_advice_that_comes_back_is_news_again(noted: bool) -> None:
    """What was noted before a dispute is told again once that is over, whether or not the dispute was noted."""
    desk = Desk.open()
    ref = desk.failed()
    desk.note(ref, "failed")
    dispute = desk.bank.dispute(ref)
    desk.clock.forward(timedelta(hours=1))
    desk.refunds.reconcile(ref)
    assert set(desk.told()) == {"failed_disputed"}
    if noted:
        desk.note(ref, "failed_disputed")
        assert desk.told() == {}
    desk.clock.forward(timedelta(hours=1))
    desk.bank.close_dispute(dispute, "won")
    desk.refunds.reconcile(ref)
    (failed,) = desk.told().values()
    # Whoever has paid the client at the first reading must not pay again at the second.
    assert failed == f"{CLOSED.says} Advice on this was noted on 2026-11-05 already: pay nothing twice."
    desk.note(ref, "failed")
    assert desk.told() == {}
    late = desk.refunds.settle(
        ref, subject=desk.shown(ref).id, code="failed_disputed", choice=Choice.NOTED, by=MARIA
    )
    assert isinstance(late, Refused)


def test_of_two_refunds_that_failed_one_says_what_is_owed() -> None:
    """The first points to the second: two people who work through the list do not both pay the client."""
    desk = Desk.open()
    ref = desk.bank.charge(usd("200.00"))
    fails = Course.succeeds_then_fails("expired_or_canceled_card", 2 * DAY)
    desk.bank.plan(ref, fails, fails)
    desk.issue(ref)
    desk.recover(3)
    second = desk.issue(ref)
    desk.recover(3)
    told = desk.told()
    assert set(told) == {"failed", "failed_tried_again"}
    assert told["failed"] == CLOSED.says
    assert told["failed_tried_again"].startswith(f"Refund {second.id} was tried since")
    assert "outside" not in told["failed_tried_again"]
    assert desk.shown(ref).next_step is not None
    assert "outside" not in to_staff(desk.shown(ref))


def test_a_part_that_went_back_since_is_named() -> None:
    """Of a failed refund's money a part was repaid by hand: the advice stands for the rest, and names it."""
    desk = Desk.open()
    ref = desk.failed()
    desk.refunds.record_outside(ref, usd("50.00"), by=MARIA, how="check")
    assert desk.told()["failed_owed_15000"] == f"{CLOSED.says} No more than 150.00 USD is left to give back."


def test_a_payment_that_failed_itself_is_owed_nothing() -> None:
    """A debit fails while its refund waits for it: nobody is told to pay what never came, or may record it."""
    desk = Desk.open(Policy(accept_unsettled_ach=True))
    ref = desk.bank.charge(usd("200.00"), method="us_bank_account", settled=False)
    desk.issue(ref)
    desk.recover(2)
    desk.bank.fail_payment(ref)
    desk.recover(1)
    assert desk.shown(ref).status is Status.FAILED
    assert desk.shown(ref).next_step == NEVER_RECEIVED
    assert desk.told()["failed_never_received"] == NEVER_RECEIVED.says
    assert isinstance(desk.refunds.record_outside(ref, usd("200.00"), by=MARIA, how="check"), Refused)


def test_a_debit_that_failed_is_not_held() -> None:
    """Nothing of it may go back, whatever the gateway's figures say, and a cancelled booking does not count it."""
    desk = Desk.open()
    ref = desk.bank.charge(usd("200.00"), method="us_bank_account", settled=False)
    desk.refunds.quote(ref, by=MARIA)
    desk.bank.fail_payment(ref)
    desk.refunds.reconcile(ref)
    view = desk.refunds.show(ref, by=MARIA)
    assert not isinstance(view, Refused)
    assert (view.payment and view.payment.captured, view.left) == (usd("200.00"), usd("0.00"))
    assert "still held: nothing" in str(cancellation_notice("1042", [view]))
    assert [no.code for no in desk.refunds.quote(ref, by=MARIA).refusals] == ["not_captured"]


def test_the_window_is_the_last_word_and_sends_nobody_to_pay() -> None:
    """Too late to refund here: what is under way or done is named first; outside goes what is owed."""
    desk = Desk.open()
    ref = desk.bank.charge(usd("200.00"), method="us_bank_account")
    desk.gateway.script(Fault.ANSWER_LOST)
    desk.issue(ref)
    desk.clock.forward(181 * DAY)
    refusals = desk.refunds.quote(ref, by=MARIA).refusals
    assert [no.code for no in refusals] == ["already_refunded", "window_over"]
    assert str(refusals[-1]).endswith("Only what is still owed can be given back outside.")


@attrs.define
class _Lagging:
    """A gateway whose payments still count what has failed, for so many looks."""

    inner: MemoryGateway
    looks: int = 0
    live: bool = False

    def look(self, ref: PaymentRef, /) -> Look:
        seen = self.inner.look(ref)
        if self.looks == 0 or not isinstance(seen, Picture):
            return seen
        self.looks -= 1
        return attrs.evolve(seen, payment=attrs.evolve(seen.payment, given_back=seen.payment.captured))

    def send(self, send: Ask, /) -> Answer:
        return self.inner.send(send)


def test_a_figure_that_lags_behind_a_failure_is_waited_for() -> None:
    """The refund is shown as failed while the payment still says that all went back: nobody is told that nothing
    is owed, nor to pay yet; it is looked at again until the two agree, and not for ever."""
    desk = Desk.open()
    gateway = _Lagging(desk.gateway)
    desk.refunds = RefundService(gateway, MemoryJournal(desk.clock), allow=lambda actor, action, ref: True)
    ref = desk.bank.charge(usd("200.00"))
    desk.bank.plan(ref, Course.succeeds_then_fails("expired_or_canceled_card", 2 * DAY))
    desk.issue(ref)
    desk.recover(1)
    gateway.looks = 2
    desk.recover(1)
    assert set(desk.told()) == {"failed_figures_differ"}
    assert "pay nothing before they agree" in desk.told()["failed_figures_differ"]
    desk.recover(3)
    assert desk.told() == {"failed": CLOSED.says}
    assert desk.refunds.recover().looked == 0


def test_a_figure_that_never_follows_is_not_looked_at_for_ever() -> None:
    """After the sixty days in which a success is watched it is left to whoever reads the list."""
    desk = Desk.open()
    gateway = _Lagging(desk.gateway, looks=1_000)
    desk.refunds = RefundService(gateway, MemoryJournal(desk.clock), allow=lambda actor, action, ref: True)
    ref = desk.bank.charge(usd("200.00"))
    desk.bank.plan(ref, Course.succeeds_then_fails("expired_or_canceled_card", 2 * DAY))
    gateway.looks = 0
    desk.issue(ref)
    gateway.looks = 1_000
    desk.recover(50)
    assert gateway.looks < 1_000
    desk.recover(30)
    left = gateway.looks
    desk.recover(30)
    assert gateway.looks == left
    assert set(desk.told()) == {"failed_figures_differ"}


@pytest.mark.parametrize("second", ["expired_or_canceled_card", "charge_for_pending_refund_disputed"])
def test_a_lost_journal_does_not_turn_two_tries_round(second: str) -> None:
    """The gateway lists the newest first; the last try is still the one that says what is owed. Where a dispute
    took the money of either, neither says to pay."""
    desk = Desk.open()
    ref = desk.bank.charge(usd("200.00"))
    desk.bank.plan(ref, *(Course.succeeds_then_fails(reason, 2 * DAY) for reason in ("declined", second)))
    for _ in range(2):
        desk.issue(ref)
        desk.recover(3)
    before = desk.told()
    desk.refunds = RefundService(desk.gateway, MemoryJournal(desk.clock), allow=lambda actor, action, ref: True)
    desk.refunds.quote(ref, by=MARIA)
    assert desk.told() == before
    assert set(before) == ({"failed_disputed"} if "disputed" in second else {"failed", "failed_tried_again"})


# --- of transfers ---------------------------------------------------------------------------------------------


def test_a_later_refund_accounts_for_what_a_failed_one_pulled_back() -> None:
    """The transfer was pulled back for a refund that failed; a second one used that money: nothing is to be passed
    on any more. Where the second pulls as much again, that is."""
    desk = Desk.open()
    first = desk.failed_with_its_transfer_pulled_back()
    assert "150.00 USD of transfer" in desk.told()["transfer_pulled_back_15000"]
    desk.issue(first)
    assert desk.pulled() is None

    desk = Desk.open()
    one, _ = (desk.bank.charge(usd("150.00"), group="o2") for _ in range(2))
    desk.bank.connect.transfer("acct_1", usd("300.00"), group="o2")
    desk.bank.plan(one, Course.succeeds_then_fails("declined", 2 * DAY), Course.succeeds())
    desk.issue(one)
    desk.recover(3)
    desk.issue(one)
    assert "150.00 USD of transfer" in desk.told()["transfer_pulled_back_15000"]


@pytest.mark.parametrize("since", [_repaid, _elsewhere, _lost])
def test_what_pays_for_the_client_s_money_is_not_to_be_passed_on(
    since: Callable[[Desk, PaymentRef], None],
) -> None:
    """The client got the money by another way after the refund failed: what was pulled back of the transfer pays
    for that, and nobody is told to give it to the connected account. Of a part, the rest is."""
    desk = Desk.open()
    ref = desk.failed_with_its_transfer_pulled_back()
    assert "150.00 USD of transfer" in desk.told()["transfer_pulled_back_15000"]
    assert "where not, pass them on" in desk.told()["transfer_pulled_back_15000"]
    if since is _repaid:
        desk.refunds.record_outside(ref, usd("40.00"), by=MARIA, how="check")
        assert "110.00 USD of transfer" in desk.told()["transfer_pulled_back_11000"]
        desk.refunds.record_outside(ref, usd("160.00"), by=MARIA, how="check")
    else:
        since(desk, ref)
    assert desk.pulled() is None


def test_money_to_pass_on_that_grows_is_told_again() -> None:
    """While a dispute took a part the rest of what was pulled back was noted; won, all is to be passed on."""
    desk = Desk.open()
    ref = desk.failed_with_its_transfer_pulled_back()
    dispute = desk.bank.dispute(ref, usd("100.00"))
    desk.refunds.reconcile(ref)
    assert "50.00 USD of transfer" in desk.told()["transfer_pulled_back_5000"]
    desk.note_all()
    desk.clock.forward(timedelta(hours=1))
    desk.bank.close_dispute(dispute, "won")
    desk.refunds.reconcile(ref)
    grown = desk.told()["transfer_pulled_back_15000"]
    assert "150.00 USD of transfer" in grown
    assert grown.endswith("was noted on 2026-11-05 already: pay nothing twice.")


@pytest.mark.parametrize("minor", [0, 5_000])
def test_what_was_noted_does_not_come_back_for_what_changes_nothing(minor: int) -> None:
    """Staff pass on what was pulled back, as they were told, and note all: the new transfer shows the payment
    otherwise, but not what is owed, so nobody passes it on, or pays the client, once more."""
    desk = Desk.open()
    ref = desk.failed_with_its_transfer_pulled_back()
    desk.bank.connect.transfer("acct_1", usd("150.00"), group="o1")
    desk.note_all()
    desk.clock.forward(timedelta(hours=1))
    desk.refunds.quote(ref, by=MARIA)
    assert desk.told() == {}
    if minor:
        desk.bank.plan(ref, Course.succeeds())
        desk.bank.elsewhere(ref, Money(minor, Currency.of("USD")))
        desk.clock.forward(timedelta(hours=1))
        desk.refunds.reconcile(ref)
        assert set(desk.told()) == {"failed_owed_15000", "transfer_pulled_back_10000"}
        assert all(says.endswith("already: pay nothing twice.") for says in desk.told().values())


@pytest.mark.parametrize("by_hand", ["50.00", "100.00"])
def test_what_came_back_by_hand_paid_for_what_went_back_elsewhere(by_hand: str) -> None:
    """Somebody refunded and reversed a part in the dashboard: what our failed refund pulled back is too much."""
    desk = Desk.open()
    ref = desk.bank.charge(usd("200.00"), group="o1")
    transfer = desk.bank.connect.transfer("acct_1", usd("150.00"), group="o1")
    desk.bank.plan(ref, Course.succeeds(), Course.succeeds_then_fails("declined", 2 * DAY))
    desk.bank.elsewhere(ref, usd(by_hand))
    desk.bank.connect.reverse(transfer, usd(by_hand))
    desk.issue(ref)
    desk.recover(3)
    ours = usd("150.00") - usd(by_hand)
    assert desk.told()[f"transfer_pulled_back_{ours.amount_minor}"].startswith(
        f"The refund's money came back to the platform, and {ours} of transfer {transfer} were pulled back for it."
    )


def test_a_refund_under_way_is_no_evidence_yet() -> None:
    """The client disputes while a refund is pending, which the gateway may fail for that: nobody sends it to the
    bank as proof before it has succeeded, and then somebody is told that it has."""
    desk = Desk.open()
    ref = desk.bank.charge(usd("200.00"), method="us_bank_account")
    desk.bank.plan(ref, Course.pending_then_succeeds(2 * DAY))
    desk.issue(ref)
    desk.bank.dispute(ref)
    desk.refunds.reconcile(ref)
    assert desk.told()["disputed_while_pending"].startswith("Disputed while a refund is under way, which may fail")
    assert "send that" not in " ".join(desk.told().values())
    desk.recover(4)
    assert desk.shown(ref).status is Status.SUCCEEDED
    assert "send that as evidence" in desk.told()["disputed_after_refund"]


def test_each_refund_that_becomes_evidence_is_told() -> None:
    """A part went back before, the rest was under way when the client disputed: once that has succeeded, whoever
    noted the first evidence is told to send the second."""
    desk = Desk.open()
    ref = desk.bank.charge(usd("200.00"))
    desk.bank.plan(ref, Course.succeeds(), Course.pending_then_succeeds(2 * DAY))
    desk.bank.elsewhere(ref, usd("50.00"))
    desk.issue(ref)
    desk.bank.dispute(ref, usd("100.00"))
    desk.refunds.reconcile(ref)
    first = desk.told()["disputed_after_refund"]
    assert "it is evidence only once it has succeeded" in first
    assert first.endswith("still under way.")
    desk.note_all()
    desk.recover(4)
    both = desk.told()["disputed_after_refunds_2"]
    assert both.count("refund ") == 2
    assert "under way" not in both


def test_a_failed_refund_that_pulled_nothing_back_has_nothing_to_pass_on() -> None:
    """Its transfer could not be pulled back before it failed: the connected account has what it had."""
    desk = Desk.open()
    ref = desk.bank.charge(usd("200.00"), group="o1")
    desk.bank.connect.transfer("acct_1", usd("150.00"), group="o1")
    desk.bank.drain("acct_1", usd("0.00"))
    desk.bank.plan(ref, Course.succeeds_then_fails("declined", 2 * DAY))
    desk.issue(ref)
    desk.recover(3)
    assert [leg.state for leg in desk.shown(ref).legs] == [LegState.OFF]
    assert set(desk.told()) == {"failed"}


def test_what_is_missing_of_a_transfer_is_named_and_not_what_was_planned() -> None:
    """Of a leg that cannot be pulled back others reversed a part: people are told the rest."""
    desk = Desk.open()
    ref, _ = (desk.bank.charge(usd("150.00"), group="o1") for _ in range(2))
    transfer = desk.bank.connect.transfer("acct_1", usd("300.00"), group="o1")
    desk.bank.drain("acct_1", usd("0.00"))
    desk.issue(ref)
    desk.bank.fund("acct_1", usd("100.00"))
    desk.bank.connect.reverse(transfer, usd("100.00"))
    desk.refunds.reconcile(ref)
    (leg,) = desk.shown(ref).legs
    assert (leg.amount, leg.still, leg.state) == (usd("150.00"), usd("50.00"), LegState.OWED)
    assert "but 50.00 USD of transfer" in desk.told()["transfer_not_reversed"]
    assert "50.00 USD: still to be pulled back" in to_staff(desk.shown(ref))
    assert "150.00" not in to_staff(desk.shown(ref)).split("Transfer")[1]


def test_the_last_word_on_a_leg_stands() -> None:
    """Whoever says to go on after another has said to leave it is heard: the leg comes back."""
    desk = Desk.open()
    ref = desk.bank.charge(usd("200.00"), group="o1")
    desk.bank.connect.transfer("acct_1", usd("150.00"), group="o1")
    desk.gateway.script(Fault.WORKS, Fault.BREAKS_MADE_NOTHING)
    desk.issue(ref)
    waiting = desk.refunds.attention(by=MARIA)
    assert not isinstance(waiting, Refused)
    ((item,),) = (each.items for each in waiting)
    for choice in (Choice.LEAVE, Choice.KEEP_LOOKING):
        said = desk.refunds.settle(ref, subject=item.subject, code=item.code, choice=choice, by=MARIA)
        assert not isinstance(said, Refused)
    assert item.code in desk.told()
    desk.recover(4)
    assert [leg.state for leg in desk.shown(ref).legs] == [LegState.DONE]
    assert desk.told() == {}


def test_a_refund_sent_before_its_payment_was_passed_on_tells_of_the_transfer() -> None:
    """Its first send was lost while the charge was plain, and the same goes again: what was passed on meanwhile
    stays out, and somebody is told."""
    desk = Desk.open()
    ref = desk.bank.charge(usd("200.00"), group="o1")
    desk.gateway.script(Fault.REQUEST_LOST)
    desk.issue(ref)
    desk.bank.connect.transfer("acct_1", usd("150.00"), group="o1")
    for _ in range(3):
        desk.clock.forward(timedelta(hours=1))
        desk.refunds.recover()
    view = desk.refunds.show(ref, by=MARIA)
    assert not isinstance(view, Refused)
    assert view.payment is not None
    assert view.payment.kind is ChargeKind.SEPARATE
    assert (view.refunds[0].status, view.refunds[0].legs) == (Status.SUCCEEDED, ())
    assert "which of them to reverse" in desk.told()["transfers_unknown"]


def test_a_refund_that_never_ends_is_asked_about() -> None:
    """After thirty days under way somebody is told; before that, and of one that has ended, nobody."""
    desk = Desk.open()
    ref = desk.bank.charge(usd("200.00"))
    desk.bank.plan(ref, Course.stays())
    desk.issue(ref)
    desk.recover(29)
    assert desk.told() == {}
    desk.recover(2)
    assert set(desk.told()) == {"pending_long"}
    assert "Pay nothing beside it" in desk.told()["pending_long"]
    desk.bank.settle(desk.bank.refunds(ref)[0].id, "succeeded", None)
    desk.recover(2)
    assert (desk.shown(ref).status, desk.told()) == (Status.SUCCEEDED, {})


# --- when it arrives ------------------------------------------------------------------------------------------


def test_what_waits_for_funds_has_no_day_of_arrival() -> None:
    """A refund that waits is not on its way: no window, and so no day that passes while nothing comes."""
    desk = Desk.open()
    ref = desk.bank.charge(usd("200.00"))
    desk.bank.drain("platform", usd("0.00"))
    refund = desk.issue(ref)
    assert (refund.status, refund.detail, refund.arrives) == (Status.PENDING, "insufficient_funds", None)
    desk.bank.fund("platform", usd("500.00"))
    desk.recover(2)
    assert desk.shown(ref).status is Status.SUCCEEDED
    assert desk.shown(ref).arrives is not None


# --- what is summed, and from where ---------------------------------------------------------------------------


def test_sums_beyond_what_money_can_be_are_capped_and_raise_nothing() -> None:
    """Two huge refunds went out: their report is printed all the same, however much they are together."""
    desk = Desk.open()
    huge = Money(6 * 10**14, Currency.of("IDR"))
    bookings = [Booking(label=name, payments=(desk.bank.charge(huge),)) for name in ("one", "two")]
    quotes = desk.refunds.quote_bookings(bookings, by=MARIA)
    report = desk.refunds.issue_bookings(quote.verified(by=MARIA) for quote in quotes)
    assert [item.outcome for item in report.items] == ["succeeded", "succeeded"]
    assert str(Money(LIMIT_MINOR, huge.currency)) in str(report)


def test_what_is_no_port_is_refused_when_the_service_is_made() -> None:
    """A path for a journal, the two swapped, or an asynchronous one: an error that says what to give instead."""
    desk = Desk.open()
    gateway, journal = desk.gateway, MemoryJournal(desk.clock)

    async def anybody(actor: Actor, action: Action, ref: object) -> bool:
        return True

    wrong: list[tuple[object, object, object, str]] = [
        (gateway, "refunds.db", anybody, r"journal must be a RefundJournal, e.g. SqliteJournal\('refunds.db'\)"),
        (journal, gateway, anybody, "gateway must be a PaymentGateway, e.g. a StripeGateway, not MemoryJournal"),
        (AsyncMemoryGateway(desk.bank), journal, anybody, "gateway is asynchronous: use AsyncRefundService"),
        (gateway, AsyncMemoryJournal(journal), anybody, "journal is asynchronous: use AsyncRefundService"),
        (gateway, journal, anybody, "allow must be a plain function"),
    ]
    for one, other, allow, says in wrong:
        with pytest.raises(TypeError, match=says):
            RefundService(one, other, allow=allow)  # type: ignore[arg-type]


class _LiveFunds(GivenFunds):
    live = True


def test_payouts_of_another_mode_are_refused() -> None:
    """A forecast for refunds of one mode from the payouts of the other would be about other money."""
    clock = ManualClock(datetime(2026, 11, 2, 9, tzinfo=UTC))
    bank = MemoryBank(clock)

    async def anybody(actor: Actor, action: Action, ref: object) -> bool:
        return True

    with pytest.raises(ValueError, match="payouts and gateway must both be live"):
        RefundService(
            MemoryGateway(bank), MemoryJournal(clock), allow=lambda actor, action, ref: True, payouts=_LiveFunds()
        )
    with pytest.raises(ValueError, match="payouts and gateway must both be live"):
        AsyncRefundService(
            AsyncMemoryGateway(bank),
            AsyncMemoryJournal(MemoryJournal(clock)),
            allow=anybody,
            payouts=AwaitedFunds(_LiveFunds()),
        )
