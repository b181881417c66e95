"""What the decider is fed: a command, what a look at the gateway showed, a gateway's answer. One class a kind.

Every input carries `at`. For what went over the wire it is the moment the call began: a look can speak
only of what was before it began.
"""

from __future__ import annotations

from datetime import datetime

import attrs

from refund_domain.answers import Answer, Look, Picture
from refund_domain.commands import Actor, ApproveRefund, Choice, IssueRefund
from refund_domain.money import Money
from refund_domain.payments import AnyPayment


@attrs.frozen(kw_only=True)
class RequestRefund:
    """A person's decision. `refund_id` is minted for it and used only if it becomes a new refund."""

    at: datetime
    refund_id: str
    command: IssueRefund


@attrs.frozen(kw_only=True)
class ApproveRequest:
    """A second person's decision on a refund that is requested."""

    at: datetime
    command: ApproveRefund


@attrs.frozen(kw_only=True)
class OwedLook:
    """A look the ledger owed: it may resolve a doubt, claim a send, or drop a request.

    `latest` is the latest time the journal knows of; a clock that fell behind it may look, but not act.
    `sightings` and `seen_at` are as in `FreeLook`. `paused`: sending is, so this look claims nothing. None:
    nobody has read the switches; where it would claim it only tells its news, and one more look stays owed.
    """

    at: datetime
    latest: datetime
    look: Look
    sightings: int
    seen_at: datetime | None = None
    paused: bool | None = False


@attrs.frozen(kw_only=True)
class FreeLook:
    """A look nobody owed (a quote, a webhook, a reconciliation): it merges news and nothing else.

    `sightings` is the ledger's when the look began: where it has more by now, another look showed something else
    meanwhile, and nobody knows which of the two is the older. `tenant` opens the stream for its owner if there is
    none; None never opens one. `seen_at` is when the picture counts as seen, if not `at`: no earlier than anything
    the stream held when the look began, for it was taken after all of that, whatever a clock that went back says.
    """

    at: datetime
    picture: Picture
    sightings: int
    tenant: str | None = None
    seen_at: datetime | None = None


@attrs.frozen(kw_only=True)
class GatewayAnswered:
    """The answer to the send of this claim; `at` is when the send began."""

    at: datetime
    refund_id: str
    claim: int
    answer: Answer


@attrs.frozen(kw_only=True)
class LegReplied:
    """The answer to the reversal of this claim; `at` is when its call began."""

    at: datetime
    refund_id: str
    transfer: str
    claim: int
    answer: Answer


@attrs.frozen(kw_only=True)
class RecordOutside:
    """A person gave `amount` back outside the platform, `how` they say; nothing moves."""

    at: datetime
    record_id: str
    ref: AnyPayment
    amount: Money
    how: str
    by: Actor


@attrs.frozen(kw_only=True)
class SettleAttention:
    """A person answers what waits for them: `subject` and `code` name it, `choice` is one it offered."""

    at: datetime
    subject: str
    code: str
    choice: Choice
    by: Actor


Input = (
    RequestRefund
    | ApproveRequest
    | OwedLook
    | FreeLook
    | GatewayAnswered
    | LegReplied
    | RecordOutside
    | SettleAttention
)
