"""Legs, a second person, limits, pauses, erasure, an observer: what each keeps alone, they keep together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import attrs
import pytest

from refund_adapters.memory import Fault
from refund_adapters.records import erase_actor, erase_everybody
from refund_domain import Actor, IssueRefund, Money, PaymentRef, Refund, Refused, Status
from refund_domain.commands import ApproveRefund, Choice
from refund_domain.decider.attention import attention
from refund_domain.decider.ledger import EMPTY, fold
from refund_domain.decider.pulling import LegState
from refund_domain.events import (
    AllowanceTaken,
    LegClaimed,
    RefundApproved,
    RefundRequested,
    SendAnswered,
    SendClaimed,
)
from refund_domain.payments import PLATFORM
from refund_domain.policy import Policy
from refund_domain.service.allowance import day_of, taken
from refund_domain.service.controls import account_switch, tenant_switch
from refund_domain.service.observations import Kind as Told
from refund_domain.service.observations import Observation
from tests.domain.worlds import (
    DAY,
    HOUR,
    KINDS,
    MARIA,
    MINUTE,
    START,
    Crash,
    Kind,
    World,
    codes_of,
    raising,
    refund_of,
    unavailable,
)

PAUL = Actor(id="paul", tenant="acme")
BOSS = Actor(id="boss", tenant="platform-inc")


def usd(text: str) -> Money:
    """So many dollars."""
    return Money.parse(text, "USD")


GUARDED = Policy(second_person_from=(), most_per_actor_a_day=(usd("500.00"),), most_a_day=(usd("900.00"),))
LIMITED = attrs.evolve(GUARDED, second_person_from=None)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each form of the service."""
    form: Kind = request.param
    return form


class Office:
    """A guarded world without the gateway's cap, and a payment of 200.00 that was passed on in two parts."""

    def __init__(self, kind: Kind, policy: Policy = GUARDED) -> None:
        self.told: list[Observation] = []
        self.hear: Callable[[Observation], object] = lambda told: None
        self.world = World(kind, policy=policy, cap=False, observe=self._observe)
        self.ref, self.transfers = self.pay()

    def _observe(self, told: Observation) -> None:
        self.told.append(told)
        self.hear(told)

    def pay(self) -> tuple[PaymentRef, list[str]]:
        """A separate charge of 200.00, of which 150.00 and 30.00 were passed on."""
        connect, group = self.world.bank.connect, f"order-{len(self.world.wire.asked)}"
        ref = self.world.bank.charge(usd("200.00"), group=group)
        parts = (("acct_1", "150.00"), ("acct_2", "30.00"))
        return ref, [connect.transfer(account, usd(part), group=group) for account, part in parts]

    def asked(self, by: Actor = MARIA) -> tuple[IssueRefund, Refund]:
        """Maria's refund, which waits for another person; the wire counts from here."""
        command = self.world.decision(self.ref, by=by)
        refund = refund_of(self.world.refunds.issue(command))
        assert refund.waits_for_second
        self.world.wire.clear()
        return command, refund

    def approve(self, refund: Refund, by: Actor = PAUL) -> Refund | Refused:
        """The second person's word."""
        return self.world.refunds.approve(
            ApproveRefund(payment=refund.payment, refund_id=refund.id, amount=refund.amount, by=by)
        )

    @property
    def refund(self) -> Refund:
        """The refund as it is shown now."""
        (refund,) = self.world.view(self.ref).refunds
        return refund

    def count(self, event: type) -> int:
        """How many events of this class the payment's stream holds."""
        return sum(isinstance(each, event) for each in self.world.events(self.ref))

    def pulled(self) -> list[list[str]]:
        """What really came back of each transfer."""
        return [[str(each.amount) for each in self.world.bank.connect.reversals(one)] for one in self.transfers]

    def once(self) -> bool:
        """Whether the client was paid once and each part pulled back once, after the whole refund was live."""
        made = self.world.bank.made(self.ref) == 1 and self.pulled() == [["150.00 USD"], ["30.00 USD"]]
        order = [type(each) for each in self.world.events(self.ref) if isinstance(each, SendAnswered | LegClaimed)]
        return made and LegClaimed not in order[: order.index(SendAnswered)] if SendAnswered in order else made


def pausing(world: World, *, by: Actor, account: str | None = None) -> Callable[[], None]:
    """A hook: another process pauses sending."""

    def hook() -> None:
        world.service(world.gateway, world.store).pause(by=by, why="an alarm", account=account)

    return hook


def erasing(world: World) -> Callable[[], None]:
    """A hook: another process erases everybody's name."""

    def hook() -> None:
        erase_everybody(world.store, "acme")

    return hook


APPROVING = ("allow", "load", "append", *("look", "append", "send", "append") * 3)
"""The calls of an approval that sends, with two legs, by number."""


def test_an_approval_makes_these_calls(kind: Kind) -> None:
    """What the crashes below count: the word on record, then the refund, then each leg."""
    office = Office(kind)
    _, refund = office.asked()
    sent = office.approve(refund)
    assert isinstance(sent, Refund)
    assert (sent.status, [leg.state for leg in sent.legs]) == (Status.SUCCEEDED, [LegState.DONE] * 2)
    assert tuple(office.world.wire.calls) == APPROVING
    assert office.once()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(2, len(APPROVING)))
@pytest.mark.parametrize("error", ["crash", "unavailable", "paused"])
def test_whatever_breaks_an_approval_the_client_is_paid_once(
    kind: Kind, number: int, moment: str, error: str
) -> None:
    """A death, a dead journal, a pause of an hour at every call: one refund, each leg once and after it."""
    office = Office(kind)
    world = office.world
    command, refund = office.asked()
    hooks = world.wire.before if moment == "before" else world.wire.after
    switch = pausing(world, by=BOSS, account=PLATFORM)
    hooks[number] = {"crash": raising(Crash()), "unavailable": unavailable(), "paused": switch}[error]
    with contextlib.suppress(Crash, Exception):
        office.approve(refund)
    sends = world.bank.made(office.ref)
    world.wire.clear()
    world.refunds = world.service()
    if error == "paused":
        for _ in range(3):
            world.clock.advance(20 * MINUTE)
            world.refunds.recover()
        assert world.bank.made(office.ref) == sends
        world.refunds.resume(by=BOSS, account=PLATFORM)
    assert not isinstance(world.refunds.issue(command), Refused)
    if office.count(RefundApproved) == 0:
        assert world.bank.made(office.ref) == 0
        assert isinstance(office.approve(refund), Refund)
    world.settle_down(until=2 * DAY)
    assert office.refund.status is Status.SUCCEEDED
    assert [leg.state for leg in office.refund.legs] == [LegState.DONE] * 2
    assert office.once()
    assert office.count(RefundApproved) == office.count(RefundRequested) == 1


@pytest.mark.parametrize("told", [Told.APPROVED, Told.CLAIMED, Told.SENT, Told.ANSWERED, Told.LEG_CLAIMED])
def test_an_observer_that_interrupts_an_approval_costs_nothing(kind: Kind, told: Told) -> None:
    """An interrupt from the observer passes, and what it found on record is carried out once."""
    office = Office(kind)
    _, refund = office.asked()

    def interrupt(observation: Observation) -> None:
        if observation.kind is told:
            raise KeyboardInterrupt

    office.hear = interrupt
    with pytest.raises(KeyboardInterrupt):
        office.approve(refund)
    office.hear = lambda observation: None
    office.world.settle_down(until=HOUR)
    assert office.refund.status is Status.SUCCEEDED
    assert office.once()


def test_a_slow_observer_costs_an_approval_no_licence(kind: Kind) -> None:
    """An observer that takes two minutes each time keeps no approved refund from being sent at once."""
    office = Office(kind)
    _, refund = office.asked()
    office.hear = lambda told: office.world.clock.advance(2 * MINUTE)
    assert refund_of(office.approve(refund)).status is Status.SUCCEEDED
    assert office.count(SendClaimed) == 1


def test_a_pause_between_the_refund_and_its_legs_holds_the_legs(kind: Kind) -> None:
    """The refund has gone and stays; nothing is pulled back while the switch stands, and all of it once after."""
    office = Office(kind, LIMITED)
    world = office.world
    command = world.decision(office.ref)
    world.wire.each["send"] = pausing(world, by=MARIA)
    refund = refund_of(world.refunds.issue(command))
    assert (refund.status, [leg.state for leg in refund.legs]) == (Status.SUCCEEDED, [LegState.OWED] * 2)
    for _ in range(30):
        world.clock.advance(HOUR)
        world.refunds.recover()
    assert (office.count(LegClaimed), office.pulled()) == (0, [[], []])
    world.wire.clear()
    world.refunds.resume(by=MARIA)
    world.settle_down(until=HOUR * 3)
    assert office.once()


# --- erasure ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(2, len(APPROVING)))
def test_erasing_everybody_during_an_approval_costs_nothing(kind: Kind, number: int) -> None:
    """Names go out of the journal under a worker's hands: what it sends is sent once and answered."""
    office = Office(kind)
    world = office.world
    _, refund = office.asked()
    world.wire.before[number] = erasing(world)
    sent = refund_of(office.approve(refund))
    assert sent.status is Status.SUCCEEDED
    world.settle_down(until=HOUR)
    assert office.once()


def test_an_erased_requester_s_refund_is_approved_by_nobody_and_never_sent(kind: Kind) -> None:
    """Neither under a new name nor by another: it can be denied, and is dropped after a day at the latest."""
    office = Office(kind)
    world = office.world
    _, refund = office.asked()
    erase_actor(world.store, "acme", "maria")
    for by in (MARIA, PAUL, attrs.evolve(MARIA, id="maria-2")):
        assert codes_of(office.approve(refund, by)) == ("second_person_needed",)
    world.settle_down(until=DAY)
    assert office.refund.status is Status.DROPPED
    assert world.bank.made(office.ref) == 0


def test_an_approver_s_erasure_before_the_send_takes_no_word_back(kind: Kind) -> None:
    """The approval stands without its name; the same word given again is none that counts twice."""
    office = Office(kind)
    world = office.world
    _, refund = office.asked()
    world.wire.before[3] = raising(Crash())
    with pytest.raises(Crash):
        office.approve(refund)
    world.wire.clear()
    erase_actor(world.store, "acme", "paul")
    assert refund_of(office.approve(refund)).status is Status.SUCCEEDED
    assert (office.count(RefundApproved), office.once()) == (1, True)


def test_a_requester_s_erasure_takes_no_approval_back(kind: Kind) -> None:
    """Approved before the erasure, the same word given again shows the refund as it stands and writes nothing."""
    office = Office(kind)
    world = office.world
    _, refund = office.asked()
    assert refund_of(office.approve(refund)).status is Status.SUCCEEDED
    erase_actor(world.store, "acme", "maria")
    before = world.events(office.ref)
    for by in (PAUL, MARIA):
        assert refund_of(office.approve(refund, by)).status is Status.SUCCEEDED
    assert world.events(office.ref) == before
    assert office.once()


def test_an_erasure_gives_nobody_a_new_allowance(kind: Kind) -> None:
    """Who asks under the erased name again the same day has what was left, as an erased person may be the same."""
    office = Office(kind, LIMITED)
    world = office.world
    for _ in range(2):
        ref, _ = office.pay()
        assert refund_of(world.refunds.issue(world.decision(ref))).settled
    erase_actor(world.store, "acme", "maria")
    quote = world.refunds.quote(office.ref, by=MARIA)
    assert codes_of(quote) == ("limit_reached",)
    assert codes_of(world.refunds.issue(attrs.evolve(quote, refusals=()).verified(by=MARIA))) == ("limit_reached",)
    asked = AllowanceTaken(at=START, payment=office.ref, request_id="q", amount=usd("200.00"), by=MARIA)
    assert isinstance(taken(world.events(day_of("acme", START)), asked, world.policy), Refused)


def test_nobody_goes_on_with_another_s_part_of_the_day(kind: Kind) -> None:
    """A form whose sender died between the part and the request takes a part of its own of who sends it next."""
    office = Office(kind, LIMITED)
    world = office.world
    for _ in range(2):
        ref, _ = office.pay()
        assert refund_of(world.refunds.issue(world.decision(ref, by=PAUL))).settled
    command = world.decision(office.ref)
    world.wire.clear()
    world.wire.before[2] = raising(Crash())
    with pytest.raises(Crash):
        world.refunds.issue(command)
    world.wire.clear()
    assert codes_of(world.refunds.issue(attrs.evolve(command, by=PAUL))) == ("limit_reached",)
    assert world.bank.made(office.ref) == 0
    assert refund_of(world.refunds.issue(command)).settled
    assert sum(isinstance(each, AllowanceTaken) for each in world.events(day_of("acme", START))) == 3


# --- streams that are no payment's ----------------------------------------------------------------------------


def test_what_is_kept_beside_the_payments_is_nobody_s_payment(kind: Kind) -> None:
    """Switches and days are never due, waiting or in figures, and in no other tenant's history or list."""
    office = Office(kind)
    world = office.world
    office.asked()
    world.refunds.pause(by=MARIA, why="odd")
    world.refunds.pause(by=BOSS, why="odd", account=PLATFORM)
    world.clock.advance(2 * DAY)
    assert world.store.due(100) == (office.ref,)
    assert world.store.waiting("acme", 100) == (office.ref,)
    assert world.store.waiting("platform-inc", 100) == ()
    of_acme = {each.stream for each in world.store.history("acme", "", 1000)}
    assert of_acme == {str(office.ref), str(tenant_switch("acme")), str(day_of("acme", START))}
    assert {each.stream for each in world.store.history("platform-inc", "", 1000)} == {
        str(account_switch(PLATFORM))
    }
    assert world.refunds.attention(by=BOSS) == ()
    assert world.refunds.recover().failed == ()


def test_an_account_s_switch_stays_its_first_owner_s(kind: Kind) -> None:
    """Whoever flips it later takes neither its history nor the erasing of its names away."""
    world = Office(kind).world
    world.refunds.pause(by=BOSS, why="Carl's doing", account=PLATFORM)
    world.refunds.resume(by=MARIA, account=PLATFORM)
    assert world.store.history("acme", "", 1000) == ()
    assert len(world.store.history("platform-inc", "", 1000)) == 2
    assert erase_actor(world.store, "platform-inc", "boss") == 1
    assert "Carl" not in "".join(getattr(each, "why", "") for each in world.events(account_switch(PLATFORM)))


# --- a leg and the other rules --------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.ANSWER_LOST, Fault.UNAUTHORIZED, Fault.FOREIGN_BODY])
def test_a_leg_in_trouble_lets_no_second_refund_through(kind: Kind, fault: Fault) -> None:
    """Whatever becomes of a leg, the refund is done: asking again is refused, and the client is paid once."""
    office = Office(kind, LIMITED)
    world = office.world
    command = world.decision(office.ref)
    world.gateway.script(Fault.WORKS, fault)
    refund = refund_of(world.refunds.issue(command))
    assert refund.status is Status.SUCCEEDED
    assert codes_of(world.refunds.quote(office.ref, by=PAUL)) == ("already_refunded",)
    world.settle_down(until=2 * DAY)
    assert world.bank.made(office.ref) == 1


def leave(office: Office) -> None:
    """A person says of the first leg that needs one: leave it."""
    (waiting,) = office.world.store.waiting("acme", 10)
    (item,) = [
        item
        for item in attention(fold(EMPTY, office.world.events(waiting)))
        if item.code == "transfer_not_reversed"
    ]
    answered = office.world.refunds.settle(
        waiting, subject=item.subject, code=item.code, choice=Choice.LEAVE, by=MARIA
    )
    assert not isinstance(answered, Refused)


def test_a_leg_that_is_left_in_doubt_is_looked_for_to_its_end(kind: Kind) -> None:
    """What a broken server pulls back after a person left it is found, though its refund has failed meanwhile."""
    office = Office(kind, LIMITED)
    world = office.world
    world.gateway.script(Fault.WORKS, Fault.BREAKS_MAKES_LATER)
    refund = refund_of(world.refunds.issue(world.decision(office.ref)))
    leave(office)
    assert refund.gateway_id is not None
    world.bank.settle(refund.gateway_id, "failed", "expired_or_canceled_card")
    world.settle_down(until=2 * DAY)
    assert office.pulled()[0] == ["150.00 USD"]
    assert (office.refund.status, office.refund.legs[0].state) == (Status.FAILED, LegState.DONE)
    codes = [
        item.code
        for item in attention(fold(EMPTY, world.events(office.ref)))
        if item.subject == f"{refund.id}:tr_1"
    ]
    assert codes == ["transfer_pulled_back_15000"]


def test_a_leg_that_is_left_in_doubt_is_asked_for_no_more(kind: Kind) -> None:
    """To leave it ends the asking at once, and the looking when nothing can come of it any more."""
    office = Office(kind, LIMITED)
    world = office.world
    world.bank.drain("acct_1", usd("0.00"))
    refund_of(world.refunds.issue(world.decision(office.ref)))
    world.clock.advance(DAY)
    world.gateway.script(Fault.REQUEST_LOST)
    world.refunds.recover()
    asked = len(world.gateway.reversals)
    leave(office)
    world.settle_down(until=HOUR)
    assert (len(world.gateway.reversals), office.refund.legs[0].state) == (asked, LegState.IN_DOUBT)
    world.settle_down(until=2 * DAY)
    assert (len(world.gateway.reversals), office.refund.legs[0].state) == (asked, LegState.LEFT)
