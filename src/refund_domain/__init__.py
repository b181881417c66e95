"""Refunds of card and ACH payments: done once, known to the end, explained in the payout.

The face of the library. Rules, events, refusals and testing tools live one level down.
"""

from refund_domain.commands import Actor, IssueRefund
from refund_domain.decider.ledger import Status
from refund_domain.money import Money
from refund_domain.payments import OutsideRef, PaymentRef
from refund_domain.policy import Policy
from refund_domain.ports import PaymentGateway, RefundJournal
from refund_domain.quotes import Quote
from refund_domain.refusals import Refused
from refund_domain.service.refunds import RefundService
from refund_domain.service.refunds_async import AsyncRefundService
from refund_domain.views import Refund

__all__ = [
    "Actor",
    "AsyncRefundService",
    "IssueRefund",
    "Money",
    "OutsideRef",
    "PaymentGateway",
    "PaymentRef",
    "Policy",
    "Quote",
    "Refund",
    "RefundJournal",
    "RefundService",
    "Refused",
    "Status",
]
