"""Gateways that each break the laws of the port in one place, so that no law can pass for want of trying."""

from __future__ import annotations

import os
import threading

import attrs

from refund_adapters.memory import MemoryBank, MemoryGateway
from refund_domain.answers import (
    Accepted,
    Answer,
    Ask,
    Declined,
    Look,
    Missing,
    NotSent,
    OutcomeUnknown,
    Picture,
    Reversal,
    Reversed,
    Send,
    Unread,
)
from refund_domain.connect import (
    ChargeKind,
    DestinationCharge,
    DirectCharge,
    PlatformCharge,
    TransferReversal,
)
from refund_domain.money import Money
from refund_domain.payments import PLATFORM, PaymentRef


class Broken(MemoryGateway):
    """A memory gateway with its bank at hand, to be broken in one place."""

    def __init__(self, bank: MemoryBank) -> None:
        super().__init__(bank)
        self.bank = bank

    def send(self, ask: Ask, /) -> Answer:
        return self.refund(ask) if isinstance(ask, Send) else self.reverse(ask)

    def reverse(self, asked: Reversal) -> Answer:
        """A reversal as the subclass would have it."""
        return super().send(asked)

    def refund(self, send: Send) -> Answer:
        """A refund as the subclass would have it."""
        return super().send(send)

    def made(self, send: Send, *, key: str | None, mark: str | None, minor: int | None) -> Answer:
        """A create request as the subclass would have it; accepted as it came, whatever it made."""
        reply = self.bank.refund(send.payment.account, send.payment.charge, minor, key=key, mark=mark)
        refund = getattr(reply, "refund", None)
        return Declined(code="no") if refund is None else Accepted(refund=refund)


class ShowsTooMuch(Broken):
    """Shows one cent more captured than was."""

    def look(self, ref: PaymentRef, /) -> Look:
        look = super().look(ref)
        if not isinstance(look, Picture):
            return look
        payment = look.payment
        more = payment.captured + Money(1, payment.captured.currency)
        return attrs.evolve(look, payment=attrs.evolve(payment, captured=more))


class ShowsAnother(Broken):
    """Shows another payment than was asked for."""

    def look(self, ref: PaymentRef, /) -> Look:
        look = super().look(ref)
        if not isinstance(look, Picture):
            return look
        return attrs.evolve(look, payment=attrs.evolve(look.payment, ref=PaymentRef("platform", "ch_99")))


class CannotRead(Broken):
    """Never reads anything."""

    def look(self, ref: PaymentRef, /) -> Look:
        return Unread(why="timeout")


class UnreadForMissing(Broken):
    """Cannot tell a charge that does not exist from an outage."""

    def look(self, ref: PaymentRef, /) -> Look:
        look = super().look(ref)
        return Unread(why="http_404") if isinstance(look, Missing) else look


class UnknownForNo(Broken):
    """Takes every no for an open outcome."""

    def refund(self, send: Send) -> Answer:
        answer = super().refund(send)
        return OutcomeUnknown(why="http_400") if isinstance(answer, Declined) else answer


class NotSentForNo(Broken):
    """Takes every no for a request that never executed."""

    def refund(self, send: Send) -> Answer:
        answer = super().refund(send)
        return NotSent(why="http_400") if isinstance(answer, Declined) else answer


class NoMark(Broken):
    """Writes no mark, and says it did."""

    def refund(self, send: Send) -> Answer:
        answer = self.made(send, key=send.refund_id, mark=None, minor=send.amount.amount_minor)
        if not isinstance(answer, Accepted):
            return answer
        return Accepted(refund=attrs.evolve(answer.refund, mark=send.refund_id))


class NotItsBody(Broken):
    """Accepts a body that is not the refund it asked for."""

    def refund(self, send: Send) -> Answer:
        return self.made(send, key=send.refund_id, mark=None, minor=send.amount.amount_minor)


class NeverSays(Broken):
    """Makes the refund and never knows that it did."""

    def refund(self, send: Send) -> Answer:
        super().refund(send)
        return OutcomeUnknown(why="timeout")


class HundredYen(Broken):
    """Sends every amount as if it had two decimals."""  # failure: E01

    def refund(self, send: Send) -> Answer:
        factor = 100 if send.amount.currency.exponent == 0 else 1
        return self.made(send, key=send.refund_id, mark=send.refund_id, minor=factor * send.amount.amount_minor)


class ShowsYenInSen(Broken):
    """Shows yen a hundredfold."""

    def look(self, ref: PaymentRef, /) -> Look:
        look = super().look(ref)
        if not isinstance(look, Picture) or look.payment.captured.currency.exponent:
            return look
        captured = Money(100 * look.payment.captured.amount_minor, look.payment.captured.currency)
        return attrs.evolve(look, payment=attrs.evolve(look.payment, captured=captured))


class FreshKey(Broken):
    """Takes a new key for every request."""  # failure: A14

    def refund(self, send: Send) -> Answer:
        key = os.urandom(8).hex()
        return self.made(send, key=key, mark=send.refund_id, minor=send.amount.amount_minor)


class ClaimInKey(Broken):
    """Puts the number of the claim into the key."""

    def refund(self, send: Send) -> Answer:
        key = f"{send.refund_id}-{send.claim}"
        return self.made(send, key=key, mark=send.refund_id, minor=send.amount.amount_minor)


class AmountInKey(Broken):
    """Puts the amount into the key."""

    def refund(self, send: Send) -> Answer:
        key = f"{send.refund_id}-{send.amount.amount_minor}"
        return self.made(send, key=key, mark=send.refund_id, minor=send.amount.amount_minor)


class ReusedKeyIsNo(Broken):
    """Takes a key that came back with another amount for a plain no."""

    def refund(self, send: Send) -> Answer:
        answer = super().refund(send)
        return Declined(code="key_reused") if isinstance(answer, OutcomeUnknown) else answer


class Clamps(Broken):
    """Sends what is left where more was asked for."""  # failure: D12

    def refund(self, send: Send) -> Answer:
        look = self.look(send.payment)
        left = 0
        if isinstance(look, Picture):
            left = (look.payment.captured - look.payment.given_back).amount_minor
        minor = min(left, send.amount.amount_minor) or send.amount.amount_minor
        return self.made(send, key=send.refund_id, mark=send.refund_id, minor=minor)


class OursOnly(Broken):
    """Shows only refunds that carry a mark."""  # failure: D10

    def look(self, ref: PaymentRef, /) -> Look:
        look = super().look(ref)
        if not isinstance(look, Picture):
            return look
        return attrs.evolve(look, refunds=tuple(refund for refund in look.refunds if refund.mark))


class MarksAll(Broken):
    """Takes every refund for one of ours."""

    def look(self, ref: PaymentRef, /) -> Look:
        look = super().look(ref)
        if not isinstance(look, Picture):
            return look
        return attrs.evolve(look, refunds=tuple(attrs.evolve(refund, mark="r1") for refund in look.refunds))


class ListsAll(Broken):
    """Lists the refunds of the whole account with each payment."""

    def look(self, ref: PaymentRef, /) -> Look:
        look = super().look(ref)
        others = super().look(PaymentRef(ref.account, "ch_1"))
        if not isinstance(look, Picture) or not isinstance(others, Picture):
            return look
        mine = {refund.id for refund in look.refunds}
        more = tuple(refund for refund in others.refunds if refund.id not in mine)
        return attrs.evolve(look, refunds=(*look.refunds, *more))


class RefundsTheFirst(Broken):
    """Refunds the first payment of the account, whichever was asked for."""

    def refund(self, send: Send) -> Answer:
        other = attrs.evolve(send, payment=PaymentRef(send.payment.account, "ch_2"))
        return self.made(other, key=send.refund_id, mark=send.refund_id, minor=send.amount.amount_minor)


class FirstPage(Broken):
    """Reads the first page only."""

    def look(self, ref: PaymentRef, /) -> Look:
        look = super().look(ref)
        return attrs.evolve(look, refunds=look.refunds[:100]) if isinstance(look, Picture) else look


class NoDisputes(Broken):
    """Does not read disputes."""  # failure: H04

    def look(self, ref: PaymentRef, /) -> Look:
        look = super().look(ref)
        if not isinstance(look, Picture):
            return look
        return attrs.evolve(look, payment=attrs.evolve(look.payment, disputes=()))


class KeyPerThread(Broken):
    """Keeps its key in the thread: each thread has another."""

    def refund(self, send: Send) -> Answer:
        key = f"{send.refund_id}-{threading.get_ident()}"
        return self.made(send, key=key, mark=send.refund_id, minor=send.amount.amount_minor)


class RaisesInThreads(Broken):
    """Works in the thread it was made in only."""

    def __init__(self, bank: MemoryBank) -> None:
        super().__init__(bank)
        self.thread = threading.get_ident()

    def refund(self, send: Send) -> Answer:
        if threading.get_ident() != self.thread:
            raise RuntimeError("made in another thread")
        return super().refund(send)


class ForgetsAccount(Broken):
    """Sends everything as the platform."""

    def refund(self, send: Send) -> Answer:
        forgotten = PaymentRef(PLATFORM, send.payment.charge)
        return super().refund(attrs.evolve(send, payment=forgotten, split=PlatformCharge()))


class TriesOtherAccount(Broken):
    """Looks at and sends to another account where the right one has no such charge."""

    def look(self, ref: PaymentRef, /) -> Look:
        look = super().look(ref)
        other = super().look(PaymentRef("acct_1" if ref.account == PLATFORM else PLATFORM, ref.charge))
        return look if isinstance(look, Picture) else other


class SendsToOtherAccount(Broken):
    """Looks rightly, but a send that finds no charge goes to another account."""

    def refund(self, send: Send) -> Answer:
        answer = super().refund(send)
        if not isinstance(answer, Declined) or answer.code != "resource_missing":
            return answer
        connected = send.payment.account != PLATFORM
        other = PaymentRef(PLATFORM if connected else "acct_1", send.payment.charge)
        super().refund(attrs.evolve(send, payment=other, split=PlatformCharge() if connected else DirectCharge()))
        return answer


class LeavesTheTransfer(Broken):
    """Refunds a destination charge and leaves its transfer where it is."""

    def refund(self, send: Send) -> Answer:
        return self.made(send, key=send.refund_id, mark=send.refund_id, minor=send.amount.amount_minor)


class KeepsTheFee(Broken):
    """Never returns the platform's fee."""

    def refund(self, send: Send) -> Answer:
        if isinstance(send.split, (DirectCharge, DestinationCharge)):
            send = attrs.evolve(send, split=attrs.evolve(send.split, return_fee=False))
        return super().refund(send)


class ReturnsTheFee(Broken):
    """Returns the platform's fee unasked."""

    def refund(self, send: Send) -> Answer:
        if isinstance(send.split, (DirectCharge, DestinationCharge)):
            send = attrs.evolve(send, split=attrs.evolve(send.split, return_fee=True))
        return super().refund(send)


class HidesTheFee(Broken):
    """Shows no fee of the platform's."""

    def look(self, ref: PaymentRef, /) -> Look:
        look = super().look(ref)
        if not isinstance(look, Picture):
            return look
        return attrs.evolve(look, payment=attrs.evolve(look.payment, application_fee=None))


class ShowsNoSplit(Broken):
    """Takes a destination charge for the platform's own."""

    def look(self, ref: PaymentRef, /) -> Look:
        look = super().look(ref)
        if not isinstance(look, Picture):
            return look
        return attrs.evolve(look, payment=attrs.evolve(look.payment, kind=ChargeKind.PLATFORM))


class ReturnsTheFeeTwice(Broken):
    """Returns the fee by its own row as well."""  # failure: A18

    def refund(self, send: Send) -> Answer:
        fee = self.bank.connect.fee_id(send.payment)
        if fee is not None:
            self.bank.connect.return_fee(fee, Money(100, send.amount.currency))
        return super().refund(send)


class PullsBackWithTheRefund(Broken):
    """Reverses the transfers of a separate charge with its refund, and again when asked to."""

    def refund(self, send: Send) -> Answer:
        for transfer in self.bank.connect.transfers(send.payment):
            self.bank.connect.reverse(transfer.id, Money(1, send.amount.currency))
        return super().refund(send)


class HidesReversals(Broken):
    """Shows how much of a transfer came back, and not by what."""

    def look(self, ref: PaymentRef, /) -> Look:
        look = super().look(ref)
        if not isinstance(look, Picture):
            return look
        bare = tuple(attrs.evolve(one, reversals=()) for one in look.payment.transfers)
        return attrs.evolve(look, payment=attrs.evolve(look.payment, transfers=bare))


class ReversesUnmarked(Broken):
    """Reverses without a mark, and says it had one."""

    def reverse(self, asked: Reversal) -> Answer:
        reply = self.bank.connect.reverse(asked.transfer, asked.amount, key=asked.id)
        name = getattr(reply, "id", None)
        made = None if name is None else TransferReversal(id=name, amount=asked.amount, mark=asked.id)
        return Declined(code="no") if made is None else Reversed(reversal=made)


class ClaimInLegKey(Broken):
    """Gives each claim of a leg a key of its own."""

    def reverse(self, asked: Reversal) -> Answer:
        key = f"{asked.id}-{asked.claim}"
        reply = self.bank.connect.reverse(asked.transfer, asked.amount, key=key, mark=asked.id)
        name = getattr(reply, "id", None)
        made = None if name is None else TransferReversal(id=name, amount=asked.amount, mark=asked.id)
        return Declined(code="no") if made is None else Reversed(reversal=made)


class ReversesWhatIsLeft(Broken):
    """Asked for more than is left of a transfer, it reverses what is left."""

    def reverse(self, asked: Reversal) -> Answer:
        answer = super().reverse(asked)
        if isinstance(answer, Declined):
            self.bank.connect.reverse(asked.transfer)
        return answer


class NeverSaysLeg(Broken):
    """Reverses the transfer and never knows that it did."""

    def reverse(self, asked: Reversal) -> Answer:
        super().reverse(asked)
        return OutcomeUnknown(why="timeout")


class UnknownForNoLeg(Broken):
    """Takes every no to a reversal for an open outcome."""

    def reverse(self, asked: Reversal) -> Answer:
        answer = super().reverse(asked)
        return OutcomeUnknown(why="http_400") if isinstance(answer, Declined) else answer


BROKEN_GATEWAYS: tuple[tuple[str, type[Broken]], ...] = (
    ("fresh_charge", ShowsTooMuch),
    ("fresh_charge", ShowsAnother),
    ("fresh_charge", CannotRead),
    ("unknown_charge", UnreadForMissing),
    ("unknown_charge", UnknownForNo),
    ("full_refund", NoMark),
    ("full_refund", NotItsBody),
    ("full_refund", NeverSays),
    ("zero_decimals", HundredYen),
    ("zero_decimals", ShowsYenInSen),
    ("same_send_again", FreshKey),
    ("same_send_again", ClaimInKey),
    ("other_amount_same_key", AmountInKey),
    ("other_amount_same_key", ReusedKeyIsNo),
    ("nothing_left", NotSentForNo),
    ("more_than_left", Clamps),
    ("more_than_left", UnknownForNo),
    ("elsewhere_is_shown", OursOnly),
    ("elsewhere_is_shown", MarksAll),
    ("payments_apart", ListsAll),
    ("payments_apart", RefundsTheFirst),
    ("many_refunds", FirstPage),
    ("disputed_charge", NoDisputes),
    ("disputed_charge", NotSentForNo),
    ("one_key_raced", KeyPerThread),
    ("one_key_raced", RaisesInThreads),
    ("connected_account", ForgetsAccount),
    ("accounts_apart", TriesOtherAccount),
    ("accounts_apart", SendsToOtherAccount),
    ("accounts_apart", NotSentForNo),
    ("destination_charge", LeavesTheTransfer),
    ("destination_charge", ReturnsTheFee),
    ("destination_charge", ShowsNoSplit),
    ("destination_charge", HidesTheFee),
    ("destination_charge", ReturnsTheFeeTwice),
    ("destination_fee", KeepsTheFee),
    ("destination_fee", ClaimInKey),
    ("destination_fee", LeavesTheTransfer),
    ("direct_fee", KeepsTheFee),
    ("direct_fee", ReturnsTheFee),
    ("direct_fee", ReturnsTheFeeTwice),
    ("separate_charge", PullsBackWithTheRefund),
    ("separate_charge", HidesReversals),
    ("separate_charge", ReversesUnmarked),
    ("separate_charge", NeverSaysLeg),
    ("same_reversal_again", ClaimInLegKey),
    ("more_than_passed_on", ReversesWhatIsLeft),
    ("more_than_passed_on", UnknownForNoLeg),
    ("unknown_transfer", UnknownForNoLeg),
    ("one_reversal_raced", ClaimInLegKey),
)
