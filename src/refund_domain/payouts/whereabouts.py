"""Why a payout cannot be explained; and where a refund's money is: in a payout, in a bank debit, or waiting."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import attrs

from refund_domain._checks import check_type
from refund_domain.payouts.funds import Payout, PayoutStatus, taken_words


class Why(StrEnum):
    """Why a payout is not explained; the word is stable."""

    PAYOUT_NOT_FOUND = "payout_not_found"
    PAYOUT_NOT_RECONCILED = "payout_not_reconciled"
    PAYOUT_BY_HAND = "payout_by_hand"


_SAYS: Final = {
    Why.PAYOUT_NOT_FOUND: "There is no such payout.",
    Why.PAYOUT_NOT_RECONCILED: (
        "What is in this payout is not known yet; the gateway says so once it has reconciled it. Try again later."
    ),
    Why.PAYOUT_BY_HAND: (
        "This payout was made by hand, so the gateway does not know what is in it. Ask for an estimate by dates."
    ),
}
_HTTP: Final = {Why.PAYOUT_NOT_FOUND: 404, Why.PAYOUT_NOT_RECONCILED: 409, Why.PAYOUT_BY_HAND: 422}


@attrs.frozen(kw_only=True)
class NotExplained:
    """The gateway cannot say what is in this payout (Stripe facts, "Funds, payouts, fees"); `why` says the reason.

    `payout` is the payout, where there is one. `http_status` is what a page may answer with.

    >>> answer = NotExplained(why=Why.PAYOUT_NOT_FOUND)
    >>> answer.http_status, str(answer)
    (404, 'There is no such payout.')
    """

    why: Why
    payout: Payout | None = None

    def __attrs_post_init__(self) -> None:
        check_type(self.why, Why, "why")
        if self.payout is not None:
            check_type(self.payout, Payout, "payout")

    @property
    def http_status(self) -> int:
        """What a page may answer with."""
        return _HTTP[self.why]

    def __str__(self) -> str:
        return _SAYS[self.why]


@attrs.frozen(kw_only=True)
class InPayout:
    """The refund's money made this payout smaller."""

    payout: Payout

    def __str__(self) -> str:
        return f"taken from payout {_named(self.payout)}"


@attrs.frozen(kw_only=True)
class InDebit:
    """The refund's money is taken from the bank account with this debit, a payout below nothing."""

    payout: Payout

    def __str__(self) -> str:
        return f"{taken_words(self.payout)} with {_named(self.payout)}"


def _named(payout: Payout) -> str:
    """Which payout it is; and where it did not arrive, so: its money is in a later one then."""
    return f"{payout.id} of {payout.arrives_on}{_ENDED.get(payout.status, '')}"


_ENDED: Final = {PayoutStatus.FAILED: ", which failed", PayoutStatus.CANCELED: ", which was canceled"}


@attrs.frozen(kw_only=True)
class Waiting:
    """No payout is known to hold the refund: it will be in a later one, or in one that does not say yet what is in
    it, or its money has not left the balance, and of a refund that failed may never leave it."""

    def __str__(self) -> str:
        return "not known to be in a payout yet"


Whereabouts = InPayout | InDebit | Waiting
"""Where the money of a refund is; always exactly one of the three."""


def whereabouts(holding: Payout | None) -> Whereabouts:
    """Where a refund is whose own entry is in this payout (None: in none).

    >>> print(whereabouts(None))
    not known to be in a payout yet
    """
    if holding is None:
        return Waiting()
    return InDebit(payout=holding) if holding.is_debit else InPayout(payout=holding)
