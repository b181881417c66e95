"""What moved an account's balance: one entry each, and the groups a payout is explained by.

The gateway's word is "balance transaction". Entries are classified by the reporting category, never by the type:
the same type stands for a refund and for what a partial capture released (docs/explanation/stripe-facts.md,
"Funds, payouts, fees").
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Protocol

import attrs

from refund_domain._checks import check_id, check_text, check_type
from refund_domain.money import Money


class Group(StrEnum):
    """What the parts of a payout are called, in the order in which a statement shows them."""

    PAYMENTS = "payments"
    """What clients paid, before fees."""
    CAPTURE_REVERSALS = "capture_reversals"
    """What a partial capture left uncollected; not a refund."""
    FEES = "fees"
    """What the processor and the platform took of what came in; a fee on a refund or a dispute stands with it."""
    PLATFORM_FEES = "platform_fees"
    """What the account earned as a platform."""
    TRANSFERS = "transfers"
    """What was passed on to other accounts, or came from them."""
    TOP_UPS = "top_ups"
    """What was added to the balance by hand."""
    REFUNDS = "refunds"
    """What went back to clients."""
    REFUND_FAILURES = "refund_failures"
    """Refunds that could not be delivered: their money came back."""
    TRANSFERS_BACK = "transfers_back"
    """What was pulled back of transfers to other accounts."""
    PLATFORM_FEES_BACK = "platform_fees_back"
    """What the account gave back of what it had earned as a platform."""
    FAILED_PAYMENTS = "failed_payments"
    """Bank debits that were returned; not refunds."""
    DISPUTES = "disputes"
    """What clients took back through their banks, less what was won."""
    RESERVES = "reserves"
    """What the processor holds back, or released."""
    FINANCING = "financing"
    """Advances and loans, and what was paid back of them."""
    ADJUSTMENTS = "adjustments"
    """What the processor corrected."""
    FAILED_PAYOUTS = "failed_payouts"
    """Earlier payouts that the bank refused or somebody stopped: their money came back."""
    OTHER_PAYOUTS = "other_payouts"
    """What was paid out by other payouts meanwhile."""
    CARRIED_OVER = "carried_over"
    """A balance below nothing from before: when a payout could have been made, more had gone out than come in."""
    OTHER = "other"
    """What the gateway calls by a word that this library does not know."""
    UNEXPLAINED = "unexplained"
    """What no entry accounts for."""


CATEGORIES: Final[dict[str, Group]] = {
    "charge": Group.PAYMENTS,
    "partial_capture_reversal": Group.CAPTURE_REVERSALS,
    "fee": Group.FEES,
    "network_cost": Group.FEES,
    "tax": Group.FEES,
    "platform_earning": Group.PLATFORM_FEES,
    "platform_earning_refund": Group.PLATFORM_FEES_BACK,
    "transfer": Group.TRANSFERS,
    "transfer_reversal": Group.TRANSFERS_BACK,
    "connect_collection_transfer": Group.TRANSFERS,
    "topup": Group.TOP_UPS,
    "topup_reversal": Group.TOP_UPS,
    "refund": Group.REFUNDS,
    "refund_failure": Group.REFUND_FAILURES,
    "charge_failure": Group.FAILED_PAYMENTS,
    "dispute": Group.DISPUTES,
    "dispute_reversal": Group.DISPUTES,
    "connect_reserved_funds": Group.RESERVES,
    "risk_reserved_funds": Group.RESERVES,
    "payout_minimum_balance_hold": Group.RESERVES,
    "payout_minimum_balance_release": Group.RESERVES,
    "advance": Group.FINANCING,
    "advance_funding": Group.FINANCING,
    "anticipation_repayment": Group.FINANCING,
    "financing_paydown": Group.FINANCING,
    "financing_paydown_reversal": Group.FINANCING,
    "financing_payout": Group.FINANCING,
    "financing_payout_reversal": Group.FINANCING,
    "other_adjustment": Group.ADJUSTMENTS,
    "adjustment": Group.ADJUSTMENTS,
    "payout_reversal": Group.FAILED_PAYOUTS,
    "payout": Group.OTHER_PAYOUTS,
}
"""The group of each reporting category; any other word is `Group.OTHER`."""

EARNED: Final = frozenset(
    [Group.PAYMENTS, Group.CAPTURE_REVERSALS, Group.FEES, Group.PLATFORM_FEES, Group.TRANSFERS, Group.TOP_UPS]
)
"""The groups that make up what a payout was expected to be; all others change it."""

OWN: Final = "payout"
"""The category of a payout's own entry, which is no part of what it was made of."""


@attrs.frozen(kw_only=True)
class About:
    """What an entry is about: the gateway's object, and the charge behind it.

    `mark` is our refund id, where the refund is ours. `amount` is what the client saw, in the currency they paid
    in; `rate` is the gateway's exchange rate from that currency, as it wrote it.
    """

    id: str
    charge: str | None = None
    mark: str | None = None
    amount: Money | None = None
    rate: str | None = None

    def __attrs_post_init__(self) -> None:
        check_id(self.id, "id")
        for name in ("charge", "mark"):
            if getattr(self, name) is not None:
                check_id(getattr(self, name), name)
        if self.amount is not None:
            check_type(self.amount, Money, "amount")
        if self.rate is not None:
            check_text(self.rate, "rate", 40)


class Entry(Protocol):
    """One balance transaction: what a statement reads of it. An adapter may bring its own class.

    `amount_minor` less `fee_minor` is `net_minor`, what the balance moved by, in minor units of the settlement
    `currency` (its code in lower case, as gateways write it). `created_s` and `available_s` are Unix seconds.
    `source_id` is the id of what the entry is about. It is asked of every entry, `about` only of those that are
    kept, so an adapter may make that when asked.
    """

    @property
    def id(self) -> str:
        """The gateway's id of it."""
        ...

    @property
    def category(self) -> str:
        """Its reporting category."""
        ...

    @property
    def amount_minor(self) -> int:
        """What moved, before the fee; negative where money went out."""
        ...

    @property
    def fee_minor(self) -> int:
        """What was taken of it as a fee."""
        ...

    @property
    def net_minor(self) -> int:
        """What the balance moved by."""
        ...

    @property
    def currency(self) -> str:
        """The code of the settlement currency, in lower case."""
        ...

    @property
    def created_s(self) -> int:
        """When it was made, in Unix seconds."""
        ...

    @property
    def available_s(self) -> int:
        """When its money is available, in Unix seconds."""
        ...

    @property
    def source_id(self) -> str | None:
        """The id of what it is about; None where the gateway does not say."""
        ...

    @property
    def about(self) -> About | None:
        """What it is about, as far as the gateway says."""
        ...


@attrs.frozen(kw_only=True)
class BalanceEntry:
    """An `Entry` as a plain value. Nothing is checked here: `explain` refuses what does not add up."""

    id: str
    category: str
    amount_minor: int
    fee_minor: int
    net_minor: int
    currency: str
    created_s: int
    available_s: int
    about: About | None = None

    @property
    def source_id(self) -> str | None:
        """The id of what it is about."""
        return None if self.about is None else self.about.id


@attrs.frozen(kw_only=True)
class EntryPage:
    """One page of entries; `after` is what asks for the one behind it, None on the last.

    Refuses (ValueError) a page that names an entry twice.
    """

    entries: Sequence[Entry]
    after: str | None = None

    def __attrs_post_init__(self) -> None:
        if len({entry.id for entry in self.entries}) != len(self.entries):
            raise ValueError("entries must name each entry once")
        if self.after is not None:
            check_id(self.after, "after")
