"""The laws of the gateway port, for every gateway, ours or a host's: `check_gateway`.

Each law is one function with what it demands in its docstring. They make refunds at the bank they are given:
never run them on a live account (a gateway that says it is live is refused).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Final, Protocol, runtime_checkable

import attrs

from refund_domain.answers import Accepted, Answer, Declined, Missing, OutcomeUnknown, Picture, Send
from refund_domain.commands import Reason
from refund_domain.connect import (
    PLATFORM,
    ApplicationFee,
    ChargeKind,
    DestinationCharge,
    DirectCharge,
    PlatformCharge,
    Split,
)
from refund_domain.money import Money
from refund_domain.payments import GatewayRefund, PaymentRef
from refund_domain.ports import PaymentGateway
from refund_domain.rules.eligibility import DISPUTE_COUNTS
from refund_domain.testing.laws import Report, broken, checked_names, entered, hold_to, must, name_of, race
from refund_domain.testing.laws_legs import LEG_LAWS, RACERS

MANY: Final = 101
"""One more refund than the largest page of any gateway known."""

_CAPTURED: Final = Money.parse("200.00", "USD")
_PART: Final = Money.parse("30.00", "USD")
_FEE: Final = Money.parse("10.00", "USD")
_YEN: Final = Money.parse("5000", "JPY")
_DEAD: Final = ("failed", "canceled")


class Bank(Protocol):
    """What the laws stage their scenes with: the other side of the gateway, by another way than the gateway."""

    @property
    def lacks(self) -> Collection[str]:
        """The laws that cannot be staged at this bank."""

    def charge(self, amount: Money, *, connected: bool = False) -> PaymentRef:
        """Take and capture a card payment of this amount: the platform's, or a connected account's own."""

    def dispute(self, amount: Money) -> PaymentRef:
        """Take such a payment on the platform that its client has charged back; the dispute is open."""

    def elsewhere(self, ref: PaymentRef, amount: Money) -> object:
        """Refund this much of the payment as somebody else would: in the dashboard, without our mark."""


@runtime_checkable
class SplitBank(Bank, Protocol):
    """A bank that can stage split charges, too; one that cannot lists those laws in `lacks`."""

    def destination(self, amount: Money, fee: Money) -> PaymentRef:
        """Take such a payment on the platform, pass it on to a connected account, and take this fee of it."""

    def direct(self, amount: Money, fee: Money) -> PaymentRef:
        """Take such a payment at a connected account, and this fee of it for the platform."""

    def passed_on(self, ref: PaymentRef) -> Money:
        """What the connected account still holds of what was passed on with this payment, the fee not counted."""


@attrs.frozen
class Scene:
    """One law's stage: the gateway on trial, and its bank."""

    gateway: PaymentGateway
    bank: Bank

    @property
    def split_bank(self) -> SplitBank:
        """The bank, as one that stages split charges; the law is broken by one that cannot and did not say so."""
        if not isinstance(self.bank, SplitBank):
            broken("a bank that stages no split charges and does not list this law in `lacks`")
        return self.bank

    def fee(self, ref: PaymentRef) -> ApplicationFee:
        """The platform's fee as a look shows it."""
        fee = self.look(ref).payment.application_fee
        if fee is None:
            broken("no application fee of a payment it was taken of")
        return fee

    def look(self, ref: PaymentRef) -> Picture:
        """A complete picture; the law is broken by anything else."""
        look = self.gateway.look(ref)
        if not isinstance(look, Picture):
            broken(f"a look at a payment that exists gave {look!r}")
        must(look.payment.ref == ref, f"a look at {ref} showed {look.payment.ref}")
        return look

    def made(self, ref: PaymentRef) -> tuple[GatewayRefund, ...]:
        """The live refunds a look lists; the payment's own figure must say the same."""
        picture = self.look(ref)
        live = tuple(refund for refund in picture.refunds if refund.status not in _DEAD)
        listed, figure = sum(refund.amount.amount_minor for refund in live), picture.payment.given_back
        must(listed == figure.amount_minor, f"a list that adds up to {listed} beside a figure of {figure}")
        return live


def send_of(
    ref: PaymentRef, amount: Money, *, refund_id: str | None = None, claim: int = 1, split: Split | None = None
) -> Send:
    """A send as the library makes it; each has a refund id of its own unless one is given."""
    plain = PlatformCharge() if ref.account == PLATFORM else DirectCharge()
    return Send(
        refund_id=refund_id or os.urandom(16).hex(),
        claim=claim,
        payment=ref,
        amount=amount,
        reason=Reason.REQUESTED_BY_CUSTOMER,
        split=plain if split is None else split,
    )


def _accepted(answer: object, send: Send) -> GatewayRefund:
    """The refund in an answer that must accept this send."""
    if not isinstance(answer, Accepted):
        broken(f"{answer!r} to a send that could be made")
    made = answer.refund
    must((made.amount, made.mark) == (send.amount, send.refund_id), f"{made!r} for {send!r}")
    return made


# --- the laws: looking ------------------------------------------------------------------------------------


def fresh_charge(scene: Scene) -> None:
    """A look at a payment nobody refunded shows all captured and nothing given back, and changes nothing."""
    ref = scene.bank.charge(_CAPTURED)
    for picture in (scene.look(ref), scene.look(ref)):
        payment = picture.payment
        must(payment.captured == _CAPTURED, f"captured {payment.captured} of {_CAPTURED}")
        must(payment.given_back == Money.zero(_CAPTURED.currency), f"given back {payment.given_back}")
        must(not picture.refunds, f"refunds {picture.refunds!r}")
        must(payment.method == "card", f"method {payment.method!r} for a card")
        must(not payment.disputes, f"disputes {payment.disputes!r}")


def unknown_charge(scene: Scene) -> None:
    """A charge that does not exist is Missing to a look, and a send to it is Declined."""
    ref = PaymentRef(PLATFORM, f"ch_{os.urandom(12).hex()}")
    look = scene.gateway.look(ref)
    must(isinstance(look, Missing), f"{look!r} to a look")
    answer = scene.gateway.send(send_of(ref, _CAPTURED))
    must(isinstance(answer, Declined), f"{answer!r} to a send")


def elsewhere_is_shown(scene: Scene) -> None:
    """A refund made elsewhere is shown with its amount and without a mark; what is left falls by it."""
    ref = scene.bank.charge(_CAPTURED)
    scene.bank.elsewhere(ref, _PART)
    live = scene.made(ref)
    must([(refund.amount, refund.mark) for refund in live] == [(_PART, None)], f"refunds {live!r}")
    rest = send_of(ref, _CAPTURED - _PART)
    _accepted(scene.gateway.send(rest), rest)
    marks = sorted(str(refund.mark) for refund in scene.made(ref))
    must(marks == sorted(["None", rest.refund_id]), f"marks {marks}")


def payments_apart(scene: Scene) -> None:
    """A refund is shown with its own payment only, not with another of the same account and amount."""
    first, second = scene.bank.charge(_CAPTURED), scene.bank.charge(_CAPTURED)
    send = send_of(first, _CAPTURED)
    _accepted(scene.gateway.send(send), send)
    must(len(scene.made(first)) == 1, "no refund of the payment it was made for")
    live = scene.made(second)
    must(not live, f"refunds {live!r} of the other payment")


def many_refunds(scene: Scene) -> None:
    """More than a hundred refunds of one payment are all seen, each once: a look reads to the last page."""
    ref = scene.bank.charge(_CAPTURED)
    for _ in range(MANY):
        scene.bank.elsewhere(ref, Money(1, _CAPTURED.currency))
    seen = len(scene.look(ref).refunds)
    must(seen == MANY, f"{seen} of {MANY} refunds")


def disputed_charge(scene: Scene) -> None:
    """A look shows an open dispute with what it takes, and a refund of a charged-back payment is Declined."""
    ref = scene.bank.dispute(_CAPTURED)
    disputes = scene.look(ref).payment.disputes
    counted = [dispute.amount for dispute in disputes if DISPUTE_COUNTS.get(dispute.status, True)]
    must(counted == [_CAPTURED], f"disputes {disputes!r}")
    answer = scene.gateway.send(send_of(ref, _CAPTURED))
    must(isinstance(answer, Declined), f"{answer!r} to a send")
    must(not scene.made(ref), "a refund of the disputed payment")


# --- the laws: sending ------------------------------------------------------------------------------------


def full_refund(scene: Scene) -> None:
    """A full refund by charge id is Accepted with its amount and mark, and a look then shows just this one."""
    ref = scene.bank.charge(_CAPTURED)
    send = send_of(ref, _CAPTURED)
    made = _accepted(scene.gateway.send(send), send)
    live = [(refund.id, refund.amount, refund.mark) for refund in scene.made(ref)]
    must(live == [(made.id, _CAPTURED, send.refund_id)], f"refunds {live!r} after {made!r}")


def zero_decimals(scene: Scene) -> None:
    """An amount in a currency without decimals is the gateway's own integer, when looked at and when sent."""
    ref = scene.bank.charge(_YEN)
    captured = scene.look(ref).payment.captured
    must(captured == _YEN, f"captured {captured} of {_YEN}")
    send = send_of(ref, _YEN)
    _accepted(scene.gateway.send(send), send)
    live = scene.made(ref)
    must([refund.amount for refund in live] == [_YEN], f"refunds {live!r}")


def same_send_again(scene: Scene) -> None:
    """The same refund sent again under its next claim gives the same refund; the bank holds one."""
    ref = scene.bank.charge(_CAPTURED)
    # A part only, so that no cap of the gateway's can hide a second one.
    first = send_of(ref, _PART)
    again = send_of(ref, _PART, refund_id=first.refund_id, claim=2)
    made = [_accepted(scene.gateway.send(send), send).id for send in (first, again)]
    must(made[0] == made[1], f"two refunds: {made}")
    live = scene.made(ref)
    must([refund.id for refund in live] == made[:1], f"refunds {live!r}")


def other_amount_same_key(scene: Scene) -> None:
    """Another amount under an earlier send's key makes nothing: OutcomeUnknown, and not to be sent again."""
    ref = scene.bank.charge(_CAPTURED)
    send = send_of(ref, _PART)
    made = _accepted(scene.gateway.send(send), send)
    answer = scene.gateway.send(send_of(ref, _PART + _PART, refund_id=send.refund_id, claim=2))
    must(isinstance(answer, OutcomeUnknown) and not answer.resend, f"{answer!r}")
    live = scene.made(ref)
    must([refund.id for refund in live] == [made.id], f"refunds {live!r}")


def nothing_left(scene: Scene) -> None:
    """Another refund after a full one is Declined; the bank holds the first alone."""
    ref = scene.bank.charge(_CAPTURED)
    send = send_of(ref, _CAPTURED)
    made = _accepted(scene.gateway.send(send), send)
    answer = scene.gateway.send(send_of(ref, _CAPTURED))
    must(isinstance(answer, Declined), f"{answer!r}")
    live = scene.made(ref)
    must([refund.id for refund in live] == [made.id], f"refunds {live!r}")


def more_than_left(scene: Scene) -> None:
    """A refund of more than what is left is Declined, and nothing of it is made."""
    ref = scene.bank.charge(_CAPTURED)
    scene.bank.elsewhere(ref, _PART)
    answer = scene.gateway.send(send_of(ref, _CAPTURED))
    must(isinstance(answer, Declined), f"{answer!r}")
    live = scene.made(ref)
    must([refund.mark for refund in live] == [None], f"refunds {live!r}")


def one_key_raced(scene: Scene) -> None:
    """Eight threads that send one refund at once make one refund; whoever is Accepted is given that one."""
    ref = scene.bank.charge(_CAPTURED)
    send = send_of(ref, _PART)
    answers = _raced(scene, [attrs.evolve(send, claim=claim) for claim in range(1, RACERS + 1)])
    ids = {_accepted(answer, send).id for answer in answers if isinstance(answer, Accepted)}
    must(len(ids) == 1, f"answers {answers!r}")
    live = scene.made(ref)
    must({refund.id for refund in live} == ids and len(live) == 1, f"refunds {live!r}")


def many_keys_raced(scene: Scene) -> None:
    """Eight different full refunds of one payment at once make one: the gateway caps at what was captured."""
    ref = scene.bank.charge(_CAPTURED)
    sends = [send_of(ref, _CAPTURED) for _ in range(RACERS)]
    answers = _raced(scene, sends)
    accepted = [
        _accepted(answer, send).id
        for answer, send in zip(answers, sends, strict=True)
        if isinstance(answer, Accepted)
    ]
    must(len(accepted) == 1, f"answers {answers!r}")
    live = scene.made(ref)
    must([refund.id for refund in live] == accepted, f"refunds {live!r}")


def _raced(scene: Scene, sends: list[Send]) -> list[Answer | Exception]:
    answers = race([partial(scene.gateway.send, send) for send in sends])
    raised = [answer for answer in answers if isinstance(answer, Exception)]
    must(not raised, f"{len(raised)} sends raised {sorted({type(error).__name__ for error in raised})}")
    return answers


# --- the laws: accounts -----------------------------------------------------------------------------------


def connected_account(scene: Scene) -> None:
    """A connected account's own charge is refunded there, once, and nowhere else."""
    ref = scene.bank.charge(_CAPTURED, connected=True)
    must(ref.account != PLATFORM, f"{ref} is no connected account's")
    send = send_of(ref, _CAPTURED)
    made = _accepted(scene.gateway.send(send), send)
    live = [(refund.id, refund.mark) for refund in scene.made(ref)]
    must(live == [(made.id, send.refund_id)], f"refunds {live!r}")


def accounts_apart(scene: Scene) -> None:
    """A charge is Missing to every account but its own, and Declined there: no account is fallen back to."""
    connected, platform = scene.bank.charge(_CAPTURED, connected=True), scene.bank.charge(_CAPTURED)
    for right, account in ((connected, PLATFORM), (platform, connected.account)):
        wrong = PaymentRef(account, right.charge)
        look = scene.gateway.look(wrong)
        must(isinstance(look, Missing), f"{look!r} to a look at {wrong}, which is {right}")
        answer = scene.gateway.send(send_of(wrong, _CAPTURED))
        must(isinstance(answer, Declined), f"{answer!r} to a send to {wrong}, which is {right}")
        live = scene.made(right)
        must(not live, f"refunds {live!r} of {right}")


# --- the laws: split charges ------------------------------------------------------------------------------


def destination_charge(scene: Scene) -> None:
    """A refund of a destination charge pulls its transfer back by the same part; the platform's fee stays."""
    bank = scene.split_bank
    ref = bank.destination(_CAPTURED, _FEE)
    kind = scene.look(ref).payment.kind
    must(kind is ChargeKind.DESTINATION, f"kind {kind.value} of a destination charge")
    send = send_of(ref, _PART, split=DestinationCharge())
    _accepted(scene.gateway.send(send), send)
    held, left = bank.passed_on(ref), _CAPTURED - _PART
    must(held == left, f"{held} still at the connected account, where {left} should be")
    fee = scene.fee(ref)
    must((fee.taken, fee.left) == (_FEE, _FEE), f"{fee!r} after a refund that was not to return it")


def destination_fee(scene: Scene) -> None:
    """With a full refund of a destination charge its fee is returned when told, all of it, once."""
    bank = scene.split_bank
    ref = bank.destination(_CAPTURED, _FEE)
    first = send_of(ref, _CAPTURED, split=DestinationCharge(return_fee=True))
    made = _accepted(scene.gateway.send(first), first)
    again = attrs.evolve(first, claim=2)
    must(_accepted(scene.gateway.send(again), again).id == made.id, "two refunds for one key")
    held, fee = bank.passed_on(ref), scene.fee(ref)
    must(not held.amount_minor, f"{held} still at the connected account")
    must((fee.taken, fee.returned) == (_FEE, _FEE), f"{fee!r} after a refund that was to return it")


def direct_fee(scene: Scene) -> None:
    """The fee of a direct charge is returned by its part when told, and else stays."""
    ref = scene.split_bank.direct(_CAPTURED, _FEE)
    must(ref.account != PLATFORM, f"{ref} is no connected account's")
    half, part = (
        Money(_CAPTURED.amount_minor // 2, _CAPTURED.currency),
        Money(_FEE.amount_minor // 2, _FEE.currency),
    )
    for return_fee, returned in ((False, Money.zero(_FEE.currency)), (True, part)):
        send = send_of(ref, half, split=DirectCharge(return_fee=return_fee))
        _accepted(scene.gateway.send(send), send)
        fee = scene.fee(ref)
        must((fee.taken, fee.returned) == (_FEE, returned), f"{fee!r} with return_fee={return_fee}")


LAWS: Final[tuple[Callable[[Scene], None], ...]] = (
    fresh_charge,
    unknown_charge,
    full_refund,
    zero_decimals,
    same_send_again,
    other_amount_same_key,
    nothing_left,
    more_than_left,
    elsewhere_is_shown,
    payments_apart,
    many_refunds,
    disputed_charge,
    one_key_raced,
    many_keys_raced,
    connected_account,
    accounts_apart,
    destination_charge,
    destination_fee,
    direct_fee,
    *LEG_LAWS,
)
"""Every law of the gateway port, in the order in which they are tried."""

Made = tuple[PaymentGateway, Bank]


def check_gateway(
    make: Callable[[], Made | AbstractContextManager[Made]], *, only: Collection[str] = ()
) -> Report:
    """Hold a gateway to the laws of its port: each on a fresh pair of gateway and bank.

    `make()` gives the pair, or a context manager that yields it. `bank.lacks` names the laws this bank cannot
    stage; they are reported as lacking. `only`: try just these laws, to mend one at a time.

    Raises `LawBroken`, which names the law and what was seen; ValueError for a name that is no law's and for a
    gateway that says it is live: the laws make refunds.

    >>> from contextlib import contextmanager
    >>> from datetime import datetime, timezone
    >>> from refund_adapters.memory import MemoryBank, MemoryGateway
    >>> class TestBank:
    ...     lacks = ("disputed_charge", "destination_charge", "destination_fee", "direct_fee", "separate_charge",
    ...              "same_reversal_again", "more_than_passed_on", "unknown_transfer", "one_reversal_raced")
    ...     def __init__(self):
    ...         self.inner = MemoryBank(lambda: datetime(2026, 3, 2, 9, tzinfo=timezone.utc))
    ...     def charge(self, amount, *, connected=False):
    ...         return self.inner.charge(amount, account="acct_1" if connected else "platform")
    ...     def elsewhere(self, ref, amount):
    ...         self.inner.elsewhere(ref, amount)
    >>> def make():
    ...     bank = TestBank()
    ...     return MemoryGateway(bank.inner), bank
    >>> print(check_gateway(make))
    15 laws held, 9 could not be staged here: disputed_charge, destination_charge, ..., one_reversal_raced
    """
    chosen = checked_names(only, LAWS, "only")
    held, lacking = [], []
    for law in LAWS:
        if chosen and name_of(law) not in chosen:
            continue
        with ExitStack() as stack:
            gateway, bank = entered(stack, make())
            if gateway.live:
                raise ValueError("the laws make refunds and must not be tried on a live gateway")
            if name_of(law) in checked_names(bank.lacks, LAWS, "lacks"):
                lacking.append(name_of(law))
            else:
                hold_to(law, Scene(gateway, bank))
                held.append(name_of(law))
    return Report(held=tuple(held), lacking=tuple(lacking))
