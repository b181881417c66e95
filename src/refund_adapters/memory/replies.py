"""What the bank replies to a create request, in the gateway's own terms (Stripe facts, "Error classification").

An HTTP face puts these on the wire; `gateway` reads them as the four answers of the port.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import attrs

from refund_domain._checks import check_span
from refund_domain.money import Money
from refund_domain.payments import GatewayRefund


@attrs.frozen(kw_only=True)
class Breaks:
    """The server breaks (500) while it executes a request; the 500 is kept for the key and replayed.

    The refund is made all the same `makes_after` that moment (0: at once), or never (None).
    """

    makes_after: timedelta | None = None

    def __attrs_post_init__(self) -> None:
        if self.makes_after is not None:
            check_span(self.makes_after, "makes_after")


@attrs.frozen(kw_only=True)
class Made:
    """The good reply: the refund of `charge` as it was when made, also when it is `replayed` for its key."""

    refund: GatewayRefund
    charge: str
    replayed: bool = False


@attrs.frozen(kw_only=True)
class ErrorReply:
    """The bad reply; `type`, `code` and `param` are the gateway's words, and often there is no code."""

    http_status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    replayed: bool = False


Reply = Made | ErrorReply


@attrs.frozen(kw_only=True)
class CameBack:
    """The good reply to a reversal of a transfer or a refund of an application fee.

    `of` is what it is of, `mark` what its request was marked with.
    """

    id: str
    amount: Money
    of: str
    mark: str | None = None
    replayed: bool = False


BackReply = CameBack | ErrorReply


@attrs.frozen(kw_only=True)
class Received:
    """One create request that reached the bank: what it asked for, when it arrived, what it was told."""

    account: str
    charge: str
    amount_minor: int | None
    key: str | None
    mark: str | None
    at: datetime
    reply: Reply


NO_CHARGE: Final = ErrorReply(
    http_status=404, code="resource_missing", param="id", message="No such charge at this account."
)
NOT_CAPTURED: Final = ErrorReply(http_status=400, message="This payment is not captured; cancel it instead.")
NOT_REFUNDABLE: Final = ErrorReply(
    http_status=400, code="charge_not_refundable", message="This payment has failed; there is nothing to refund."
)
CHARGE_DISPUTED: Final = ErrorReply(
    http_status=400, code="charge_disputed", message="This charge has been charged back."
)
ALREADY_REFUNDED: Final = ErrorReply(
    http_status=400, code="charge_already_refunded", message="This charge has already been refunded."
)
TOO_MUCH: Final = ErrorReply(
    http_status=400, param="amount", message="The amount is more than what is left of the charge."
)
TOO_SMALL: Final = ErrorReply(
    http_status=400, code="amount_too_small", param="amount", message="The amount is below the least for ACH."
)
BAD_AMOUNT: Final = ErrorReply(
    http_status=400, code="parameter_invalid_integer", param="amount", message="The amount must be at least 1."
)
BAD_REASON: Final = ErrorReply(http_status=400, param="reason", message="The reason is none of the three words.")
NO_TRANSFER: Final = ErrorReply(
    http_status=400, param="reverse_transfer", message="This charge has no transfer that could be reversed."
)
NOTHING_TO_REVERSE: Final = ErrorReply(
    http_status=400, param="reverse_transfer", message="The transfer of this charge has been reversed already."
)
NO_FEE: Final = ErrorReply(
    http_status=400, param="refund_application_fee", message="This charge has no application fee."
)
FEE_WITHOUT_REVERSAL: Final = ErrorReply(
    http_status=400,
    param="refund_application_fee",
    message="The application fee of a destination charge is refunded only together with its transfer.",
)
NO_BALANCE: Final = ErrorReply(
    http_status=400, code="balance_insufficient", message="The account's available balance is too small."
)
NO_SUCH: Final = ErrorReply(
    http_status=404, code="resource_missing", param="id", message="No such object at this account."
)
MORE_THAN_LEFT: Final = ErrorReply(
    http_status=400, param="amount", message="The amount is more than what has not come back yet."
)
OTHER_PARAMETERS: Final = ErrorReply(
    http_status=400, type="idempotency_error", message="This key was first used with other parameters."
)
BROKEN: Final = ErrorReply(http_status=500, type="api_error", message="The server broke.")
