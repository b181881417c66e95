"""How a charge is shared between a platform and a connected account, and what that means for its refund.

`ChargeKind` is what a look saw. `Split` is what a send asks for: one class a kind, each holding only what may be
asked of that kind, so that a request which pulls back the wrong account's money cannot be written down. The norm
is docs/explanation/stripe-facts.md, "Connect".
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import attrs

from refund_domain._checks import check_id, check_tuple, check_type
from refund_domain.money import Money

PLATFORM: Final = "platform"
"""The account word for charges held by the platform itself: the account that the gateway's key belongs to.

A host without connected accounts has no other."""


class ChargeKind(StrEnum):
    """How a charge is split between platform and connected account (Stripe facts, "Connect").

    `PLATFORM`: the platform's own, shared with nobody. `DIRECT`: made at a connected account; the platform may
    have taken a fee of it. `DESTINATION`: the platform's, passed on to a connected account by the charge itself.
    `SEPARATE`: the platform's, of which transfers of its own making still hold a part; one without such transfers,
    or with all of them reversed, is `PLATFORM`.
    """

    PLATFORM = "platform"
    DIRECT = "direct"
    DESTINATION = "destination"
    SEPARATE = "separate"


@attrs.frozen(kw_only=True)
class ApplicationFee:
    """What the platform took of a payment as its own fee, and how much of that has gone back.

    Both in the fee's own currency, which need not be the payment's. Refuses (ValueError) negative figures and
    more returned than taken.

    >>> fee = ApplicationFee(taken=Money.parse("10.00", "USD"), returned=Money.parse("4.00", "USD"))
    >>> str(fee.left)
    '6.00 USD'
    """

    taken: Money
    returned: Money

    def __attrs_post_init__(self) -> None:
        check_type(self.taken, Money, "taken")
        check_type(self.returned, Money, "returned")
        if self.taken.currency != self.returned.currency:
            raise ValueError("returned must be in the currency of taken")
        if not 0 <= self.returned.amount_minor <= self.taken.amount_minor:
            raise ValueError("returned must be from nothing to all that was taken")

    @property
    def left(self) -> Money:
        """What the platform still holds of its fee: all that can be returned."""
        return self.taken - self.returned


@attrs.frozen(kw_only=True)
class TransferReversal:
    """One reversal of a transfer as the gateway shows it, ours or anybody's: so much of it came back.

    `mark` is the id under which this library asked for it, None for all others. Refuses (ValueError) an amount of
    nothing.
    """

    id: str
    amount: Money
    mark: str | None = None

    def __attrs_post_init__(self) -> None:
        check_id(self.id, "id")
        check_type(self.amount, Money, "amount")
        if self.mark is not None:
            check_id(self.mark, "mark")
        if self.amount.amount_minor <= 0:
            raise ValueError("amount must be more than nothing")


@attrs.frozen(kw_only=True)
class Transfer:
    """Money of a payment that the platform passed on to a connected account, and how much of it came back.

    `reversed` is what came back, `reversals` are what brought it: all of them, where a look has listed them.
    Refuses (ValueError) amounts that are negative or in two currencies, more reversed than was passed on, and
    reversals beyond what is reversed.

    >>> transfer = Transfer(id="tr_1", amount=Money.parse("150.00", "USD"), reversed=Money.parse("50.00", "USD"))
    >>> str(transfer.left)
    '100.00 USD'
    """

    id: str
    amount: Money
    reversed: Money
    reversals: tuple[TransferReversal, ...] = ()

    def __attrs_post_init__(self) -> None:
        check_id(self.id, "id")
        check_type(self.amount, Money, "amount")
        check_type(self.reversed, Money, "reversed")
        check_tuple(self.reversals, TransferReversal, "reversals")
        if self.amount.currency != self.reversed.currency:
            raise ValueError("reversed must be in the currency of amount")
        if not 0 <= self.reversed.amount_minor <= self.amount.amount_minor:
            raise ValueError("reversed must be from nothing to all that was passed on")
        if any(each.amount.currency != self.amount.currency for each in self.reversals):
            raise ValueError("reversals must be in the currency of amount")
        if sum(each.amount.amount_minor for each in self.reversals) > self.reversed.amount_minor:
            raise ValueError("reversals must not add up to more than reversed")
        if len({each.id for each in self.reversals}) != len(self.reversals):
            raise ValueError("reversals must name each reversal once")

    @property
    def left(self) -> Money:
        """What the connected account still holds of it."""
        return self.amount - self.reversed

    @property
    def by_hand(self) -> Money:
        """What came back of it without a mark of this library's: pulled back by a person, or by other software."""
        marked = sum(each.amount.amount_minor for each in self.reversals if each.mark is not None)
        return Money(self.reversed.amount_minor - marked, self.reversed.currency)


@attrs.frozen
class PlatformCharge:
    """The platform's own: it gives the money back, there is neither a transfer nor a fee to think of."""


@attrs.frozen(kw_only=True)
class DirectCharge:
    """A connected account's own: it gives the money back; `return_fee`: the platform returns its fee with it."""

    return_fee: bool = False

    def __attrs_post_init__(self) -> None:
        check_type(self.return_fee, bool, "return_fee")


@attrs.frozen(kw_only=True)
class DestinationCharge:
    """The platform's, passed on to a connected account: the transfer is always pulled back with the refund.

    Without that the platform would pay, and with `return_fee` it would pay twice; so there is no way to ask for
    a refund of such a charge, or of its fee, that leaves the transfer where it is.
    """

    return_fee: bool = False

    def __attrs_post_init__(self) -> None:
        check_type(self.return_fee, bool, "return_fee")


@attrs.frozen(kw_only=True)
class Leg:
    """What the refund of a separate charge pulls back of one transfer, after the refund and apart from it.

    `by_hand` is what had come back of it by other hands when this was planned: what comes back so later counts
    towards `amount`. Refuses (ValueError) an amount of nothing, and two currencies.

    >>> leg = Leg(transfer="tr_1", amount=Money.parse("150.00", "USD"), by_hand=Money.parse("0.00", "USD"))
    >>> str(leg.amount)
    '150.00 USD'
    """

    transfer: str
    amount: Money
    by_hand: Money

    def __attrs_post_init__(self) -> None:
        check_id(self.transfer, "transfer")
        check_type(self.amount, Money, "amount")
        check_type(self.by_hand, Money, "by_hand")
        if self.amount.currency != self.by_hand.currency:
            raise ValueError("by_hand must be in the currency of amount")
        if self.amount.amount_minor <= 0 or self.by_hand.amount_minor < 0:
            raise ValueError("amount must be more than nothing, and by_hand not less")


@attrs.frozen(kw_only=True)
class SeparateCharge:
    """The platform's, of which transfers of its own making hold a part: a plain refund, and then its legs.

    The refund pulls nothing back by itself. Each leg is a call of its own behind it, so that one which fails makes
    the refund no less done. Refuses (ValueError) no leg at all, one transfer twice, and two currencies.
    """

    legs: tuple[Leg, ...]

    def __attrs_post_init__(self) -> None:
        check_tuple(self.legs, Leg, "legs")
        if not self.legs:
            raise ValueError("legs must name at least one: without any it is a PlatformCharge")
        if len({leg.transfer for leg in self.legs}) != len(self.legs):
            raise ValueError("legs must name each transfer once")
        if len({leg.amount.currency for leg in self.legs}) != 1:
            raise ValueError("legs must be in one currency")


Split = PlatformCharge | DirectCharge | DestinationCharge | SeparateCharge
"""What a send asks for beside the amount; `eligibility.split_of` makes it of a look and the policy."""

SPLITS: Final[tuple[type[Split], ...]] = (PlatformCharge, DirectCharge, DestinationCharge, SeparateCharge)
"""The classes of `Split`, for checks."""


def check_held_by(split: Split, account: str) -> None:
    """Refuse (ValueError) a split that cannot be of a charge held by this account.

    >>> check_held_by(DestinationCharge(), "acct_1")
    Traceback (most recent call last):
    ...
    ValueError: split: a DestinationCharge is held by the platform, so its account must be 'platform'
    """
    at_platform = account == PLATFORM
    if isinstance(split, DirectCharge) and at_platform:
        raise ValueError("split: a DirectCharge is held by a connected account, so its account must name that one")
    if not isinstance(split, DirectCharge) and not at_platform:
        raise ValueError(
            f"split: a {type(split).__name__} is held by the platform, so its account must be 'platform'"
        )
