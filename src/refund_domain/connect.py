"""How a charge is shared between a platform and a connected account, and what that means for its refund.

`ChargeKind` is what a look saw. `Split` is what a send asks for: one class a kind, each holding only what may be
asked of that kind, so that a request which pulls back the wrong account's money cannot be written down. The norm
is docs/explanation/stripe-facts.md, "Connect".
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import attrs

from refund_domain._checks import check_id, check_type
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
class Transfer:
    """Money of a payment that the platform passed on to a connected account, and how much of it came back.

    `reversed` is what came back. Refuses (ValueError) amounts that are negative or in two currencies, and more
    reversed than was passed on.

    >>> transfer = Transfer(id="tr_1", amount=Money.parse("150.00", "USD"), reversed=Money.parse("50.00", "USD"))
    >>> str(transfer.left)
    '100.00 USD'
    """

    id: str
    amount: Money
    reversed: Money

    def __attrs_post_init__(self) -> None:
        check_id(self.id, "id")
        check_type(self.amount, Money, "amount")
        check_type(self.reversed, Money, "reversed")
        if self.amount.currency != self.reversed.currency:
            raise ValueError("reversed must be in the currency of amount")
        if not 0 <= self.reversed.amount_minor <= self.amount.amount_minor:
            raise ValueError("reversed must be from nothing to all that was passed on")

    @property
    def left(self) -> Money:
        """What the connected account still holds of it."""
        return self.amount - self.reversed


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


Split = PlatformCharge | DirectCharge | DestinationCharge
"""What a send asks for beside the amount; `rules.split_of` makes it from what a look showed and the policy.
Separate charges have no class here: they are refused."""

SPLITS: Final[tuple[type[Split], ...]] = (PlatformCharge, DirectCharge, DestinationCharge)
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
