"""A signal: the gateway's word that something changed, as a webhook brings it. A hint where to look, no more.

Signals are lost, doubled, late and out of order, and what they say of amounts and states may be of another day.
So nothing in one is believed but the place; `RefundService.receive` looks there, and what the look shows counts.
"""

from __future__ import annotations

from enum import StrEnum

import attrs

from refund_domain._checks import check_id, check_text, check_type
from refund_domain.payments import PaymentRef


class Subject(StrEnum):
    """What a signal speaks of; `OTHER` is everything this library has no business with.

    Only those that lead to a payment are looked at. A payout leads to none: it is reported, and the host's.
    """

    PAYMENT = "payment"
    REFUND = "refund"
    DISPUTE = "dispute"
    PAYOUT = "payout"
    OTHER = "other"


@attrs.frozen(kw_only=True)
class Signal:
    """One verified event of the gateway's, reduced to where to look.

    `id` and `kind` are the gateway's words for the event, for a log. `account` is the connected account it came
    from, or PLATFORM. `object_id` is the refund, dispute, payout … it speaks of, `charge` the payment's charge,
    None where the event does not name it: then the gateway adapter's `locate` can ask. Adapters make signals,
    after they have verified where an event comes from; make none from what a page or an API of yours was sent.

    >>> str(Signal(id="evt_1", kind="refund.updated", account="acct_1", subject=Subject.REFUND,
    ...            object_id="re_1", charge="ch_1").ref)
    'acct_1/ch_1'
    """

    id: str
    kind: str
    account: str
    subject: Subject
    object_id: str | None = None
    charge: str | None = None

    def __attrs_post_init__(self) -> None:
        check_id(self.id, "id")
        check_text(self.kind, "kind", 120)
        check_type(self.subject, Subject, "subject")
        if self.object_id is not None:
            check_id(self.object_id, "object_id")
        if self.charge is None:
            check_id(self.account, "account")
        else:
            PaymentRef(self.account, self.charge)

    @property
    def ref(self) -> PaymentRef | None:
        """The payment to look at; None while no charge is known."""
        return None if self.charge is None else PaymentRef(self.account, self.charge)
