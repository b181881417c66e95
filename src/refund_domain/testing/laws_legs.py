"""The laws of the gateway port for the legs of a separate charge: a transfer pulled back behind its refund.

They are tried by `check_gateway` with all the others; a bank without separate charges names them in `lacks`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import attrs

from refund_domain.answers import Accepted, Declined, OutcomeUnknown, Reversal, Reversed, Send
from refund_domain.commands import Reason
from refund_domain.connect import ChargeKind, Leg, SeparateCharge, Transfer, TransferReversal
from refund_domain.money import Money
from refund_domain.payments import PaymentRef
from refund_domain.testing.laws import broken, must, race

if TYPE_CHECKING:
    from refund_domain.testing.laws_gateway import Scene

RACERS: Final = 8
_CAPTURED: Final = Money.parse("200.00", "USD")
_PASSED_ON: Final = Money.parse("150.00", "USD")
_PART: Final = Money.parse("30.00", "USD")


@runtime_checkable
class LegBank(Protocol):
    """A bank that can stage separate charges, too; one that cannot lists those laws in `lacks`."""

    def separate(self, amount: Money, passed_on: Money) -> tuple[PaymentRef, str]:
        """Take such a payment on the platform, and pass this much of it on by a transfer of its own: its id."""


def _separate(scene: Scene) -> tuple[PaymentRef, Transfer]:
    """A separate charge, and its transfer as a look shows it; the law is broken by a bank that stages none."""
    if not isinstance(scene.bank, LegBank):
        broken("a bank that stages no split charges and does not list this law in `lacks`")
    ref, transfer = scene.bank.separate(_CAPTURED, _PASSED_ON)
    payment = scene.look(ref).payment
    must(payment.kind is ChargeKind.SEPARATE, f"kind {payment.kind.value} of a separate charge")
    must([one.id for one in payment.transfers] == [transfer], f"transfers {payment.transfers!r}")
    return ref, payment.transfers[0]


def _came_back(scene: Scene, ref: PaymentRef) -> tuple[TransferReversal, ...]:
    """What came back of the one transfer; figure and list must say the same."""
    transfers = scene.look(ref).payment.transfers
    must(len(transfers) == 1, f"transfers {transfers!r}")
    listed, gone = transfers[0].reversals, transfers[0].reversed
    must(sum(each.amount.amount_minor for each in listed) == gone.amount_minor, f"{listed!r} beside {gone}")
    return listed


def _reversal(ref: PaymentRef, transfer: Transfer, amount: Money) -> Reversal:
    """A reversal as the library asks for it, with an id of its own."""
    mine = os.urandom(16).hex()
    return Reversal(
        id=f"{mine}:{transfer.id}:1",
        refund_id=mine,
        transfer=transfer.id,
        attempt=1,
        claim=1,
        payment=ref,
        amount=amount,
    )


def _reversed(answer: object, asked: Reversal) -> TransferReversal:
    """The reversal in an answer that must say yes to this one."""
    if not isinstance(answer, Reversed):
        broken(f"{answer!r} to a reversal that could be made")
    made = answer.reversal
    must((made.amount, made.mark) == (asked.amount, asked.id), f"{made!r} for {asked!r}")
    return made


def separate_charge(scene: Scene) -> None:
    """A refund of a separate charge leaves its transfer; each reversal pulls back its own amount, and is shown."""
    ref, transfer = _separate(scene)
    nothing = Money.zero(_PASSED_ON.currency)
    must((transfer.amount, transfer.reversed) == (_PASSED_ON, nothing), f"{transfer!r} before anything came back")
    legs = (Leg(transfer=transfer.id, amount=_PASSED_ON, by_hand=nothing),)
    send = Send(
        refund_id=os.urandom(16).hex(),
        claim=1,
        payment=ref,
        amount=_CAPTURED,
        reason=Reason.REQUESTED_BY_CUSTOMER,
        split=SeparateCharge(legs=legs),
    )
    answer = scene.gateway.send(send)
    must(isinstance(answer, Accepted), f"{answer!r} to a refund that could be made")
    must(not _came_back(scene, ref), "a transfer pulled back by the refund itself")
    for amount in (_PART, _PASSED_ON - _PART):
        asked = _reversal(ref, transfer, amount)
        made = _reversed(scene.gateway.send(asked), asked)
        back = _came_back(scene, ref)
        must(made in back, f"{back!r} after {made!r}")
    must(len(scene.made(ref)) == 1, "another refund")
    kind = scene.look(ref).payment.kind
    must(kind is ChargeKind.PLATFORM, f"kind {kind.value} after all came back")


def same_reversal_again(scene: Scene) -> None:
    """The same reversal under its next claim is the same one, and another amount under its id makes nothing."""
    ref, transfer = _separate(scene)
    first = _reversal(ref, transfer, _PART)
    again = attrs.evolve(first, claim=2)
    made = [_reversed(scene.gateway.send(asked), asked).id for asked in (first, again)]
    must(made[0] == made[1], f"two reversals: {made}")
    answer = scene.gateway.send(attrs.evolve(first, claim=3, amount=_PART + _PART))
    must(isinstance(answer, OutcomeUnknown) and not answer.resend, f"{answer!r} to another amount")
    back = _came_back(scene, ref)
    must([each.id for each in back] == made[:1], f"{back!r}")


def more_than_passed_on(scene: Scene) -> None:
    """A reversal of more than what is left of a transfer is Declined, and nothing of it comes back."""
    ref, transfer = _separate(scene)
    first = _reversal(ref, transfer, _PART)
    made = _reversed(scene.gateway.send(first), first)
    answer = scene.gateway.send(_reversal(ref, transfer, _PASSED_ON))
    must(isinstance(answer, Declined), f"{answer!r}")
    back = _came_back(scene, ref)
    must(back == (made,), f"{back!r}")


def unknown_transfer(scene: Scene) -> None:
    """A reversal of a transfer that does not exist is Declined."""
    ref, transfer = _separate(scene)
    unknown = attrs.evolve(transfer, id=f"tr_{os.urandom(12).hex()}")
    answer = scene.gateway.send(_reversal(ref, unknown, _PART))
    must(isinstance(answer, Declined), f"{answer!r}")


def one_reversal_raced(scene: Scene) -> None:
    """Eight threads that ask for one reversal at once make one; whoever is told yes is told of that one."""
    ref, transfer = _separate(scene)
    asked = _reversal(ref, transfer, _PART)
    claims = [attrs.evolve(asked, claim=claim) for claim in range(1, RACERS + 1)]
    answers = race([partial(scene.gateway.send, claim) for claim in claims])
    must(not any(isinstance(answer, Exception) for answer in answers), f"answers {answers!r}")
    ids = {_reversed(answer, asked).id for answer in answers if isinstance(answer, Reversed)}
    must(len(ids) == 1, f"answers {answers!r}")
    back = _came_back(scene, ref)
    must({each.id for each in back} == ids and len(back) == 1, f"{back!r}")


LEG_LAWS: Final[tuple[Callable[[Scene], None], ...]] = (
    separate_charge,
    same_reversal_again,
    more_than_passed_on,
    unknown_transfer,
    one_reversal_raced,
)
"""The laws of a separate charge's legs."""
