"""What Connect adds to the bank's books: passing money on with a charge, and pulling it back with a refund.

The norm is docs/explanation/stripe-facts.md, "Connect". How Stripe rounds a part is not published; here half a
unit goes up, and never more comes back than is left. A fee of which nothing is left is no error: nothing returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from refund_adapters.memory import replies
from refund_adapters.memory._records import Ask, Charge
from refund_adapters.memory._shares import Back, Fee, Moved, Share, part_of
from refund_adapters.memory.replies import ErrorReply
from refund_domain.money import Money
from refund_domain.payments import PLATFORM, ChargeKind

if TYPE_CHECKING:
    from refund_adapters.memory._books import Books


def share(
    books: Books,
    charge: Charge,
    *,
    destination: str | None,
    passed_on: Money | None,
    application_fee: Money | None,
    group: str | None,
) -> None:
    """Share this new charge: pass it on, take the fee, put it into a group; ValueError for what cannot be."""
    if destination is None and application_fee is None and group is None and passed_on is None:
        return
    check(charge, destination, passed_on, application_fee, group)
    charge.share = shared = Share()
    currency, at = charge.amount.currency, charge.taken_at
    if destination is not None:
        charge.kind = ChargeKind.DESTINATION
        minor = charge.captured_minor if passed_on is None else passed_on.amount_minor
        if minor:  # an authorisation passes nothing on yet
            shared.transfer = move(
                books, destination, Money(minor, currency), f"group_{charge.ref.charge}", charge
            )
            shared.transfer.at = at
    if application_fee is not None:
        payer = destination or charge.ref.account
        number = f"fee_{books.number('fee')}"
        shared.fee = Fee(number, application_fee.amount_minor, currency, at, payer, charge.ref.charge)
        books.fees[number] = shared.fee
        take(books, payer, application_fee)
        books.give((PLATFORM, currency.code), application_fee.amount_minor)
    if group is not None:
        shared.group = group
        shared.by_hand = books.groups.setdefault(group, [])


def check(
    charge: Charge, destination: str | None, passed_on: Money | None, fee: Money | None, group: str | None
) -> None:
    """Refuse (ValueError) what no charge can be: facts, "Connect"."""
    at_platform = charge.ref.account == PLATFORM
    if not at_platform and (destination is not None or group is not None):
        raise ValueError("only a charge of the platform's is passed on")
    if destination == PLATFORM:
        raise ValueError("a destination is a connected account")
    if passed_on is not None and (destination is None or fee is not None):
        raise ValueError("an amount to pass on needs a destination, and there is no fee beside it")
    if fee is not None and at_platform and destination is None:
        raise ValueError("an application fee is taken from a connected account")
    for amount in (passed_on, fee):
        if amount is not None and not (
            amount.currency == charge.amount.currency and 0 < amount.amount_minor <= charge.captured_minor
        ):
            raise ValueError("what is passed on or taken is more than nothing and at most what was captured")


def move(books: Books, to: str, amount: Money, group: str | None, source: Charge | None) -> Moved:
    """A transfer from the platform to a connected account, now."""
    number = f"tr_{books.number('tr')}"
    source_id = None if source is None else source.ref.charge
    moved = Moved(number, amount.amount_minor, amount.currency, books.now, to, group, source_id)
    books.transfers[number] = moved
    take(books, PLATFORM, amount)
    books.give((to, amount.currency.code), amount.amount_minor)
    return moved


def take(books: Books, account: str, amount: Money) -> None:
    """Take from a counted balance, even below zero."""
    purse = account, amount.currency.code
    if purse in books.balances:
        books.balances[purse] -= amount.amount_minor


def refusal(books: Books, charge: Charge, ask: Ask, minor: int) -> ErrorReply | None:
    """Why what this request asks of transfer and fee cannot be done; None if it can."""
    shared = charge.share
    transfer = None if shared is None else shared.transfer
    if ask.refund_application_fee:
        if shared is None or shared.fee is None:
            return replies.NO_FEE
        if transfer is not None and not ask.reverse_transfer:
            return replies.FEE_WITHOUT_REVERSAL
    if ask.reverse_transfer:
        if transfer is None:
            return replies.NO_TRANSFER
        if not transfer.left_minor:
            return replies.NOTHING_TO_REVERSE
        have = books.have((transfer.destination, transfer.currency.code))
        if have is not None and have < pulled_back(charge, transfer, minor):
            return replies.NO_BALANCE
    return None


def pulled_back(charge: Charge, transfer: Moved, minor: int) -> int:
    """How much of the transfer a refund of so much pulls back: its part, at most what is left."""
    return min(transfer.left_minor, part_of(transfer.minor, minor, charge.captured_minor))


class PulledBack(NamedTuple):
    """What a refund brought back with it: of the transfer, of the fee."""

    transfer: Back | None
    fee: Back | None


def before_refund(books: Books, charge: Charge, ask: Ask, minor: int) -> PulledBack:
    """Pull back the transfer's part and return the fee's, as far as this request asks; nothing is told yet."""
    shared, reversal, returned = charge.share, None, None
    if shared is not None and shared.transfer is not None and ask.reverse_transfer:
        reversal = reverse(books, shared.transfer, pulled_back(charge, shared.transfer, minor))
    if shared is not None and shared.fee is not None and ask.refund_application_fee:
        part = min(shared.fee.left_minor, part_of(shared.fee.minor, minor, charge.captured_minor))
        returned = return_fee(books, shared.fee, part) if part else None
    charge.touch()
    return PulledBack(reversal, returned)


def after_refund(books: Books, charge: Charge, refund: str, pulled: PulledBack) -> None:
    """The refund is made: what came back names it, and is told."""
    shared = charge.share
    if shared is not None and shared.transfer is not None and pulled.transfer is not None:
        pulled.transfer.refund = refund
        tell_reversed(books, shared.transfer)
    if shared is not None and shared.fee is not None and pulled.fee is not None:
        pulled.fee.refund = refund
        tell_returned(books, shared.fee)


def reverse(books: Books, moved: Moved, minor: int) -> Back:
    """So much of the transfer comes back to the platform now."""
    back = moved.come_back(f"trr_{books.number('trr')}", minor, books.now)
    take(books, moved.destination, Money(minor, moved.currency))
    books.give((PLATFORM, moved.currency.code), minor)
    return back


def return_fee(books: Books, fee: Fee, minor: int) -> Back:
    """So much of the fee goes back to the account it was taken from now."""
    back = fee.come_back(f"fr_{books.number('fr')}", minor, books.now)
    take(books, PLATFORM, Money(minor, fee.currency))
    books.give((fee.account, fee.currency.code), minor)
    return back


def tell_reversed(books: Books, moved: Moved) -> None:
    """A transfer was reversed, in whole or in part."""
    books.tell("transfer.reversed", PLATFORM, moved.id, moved.source)


def tell_returned(books: Books, fee: Fee) -> None:
    """An application fee was returned, in whole or in part."""
    books.tell("application_fee.refunded", PLATFORM, fee.id, fee.charge)
