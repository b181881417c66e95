"""What a host points at its own code: the laws of the ports, a strategy for every public value, a state machine.

`check_gateway`, `check_feed`, `check_payouts` and `check_journal` need neither pytest nor Hypothesis. The
strategies and the machine need the extra `testing` and are imported by name:
`from refund_domain.testing import strategies`, `from refund_domain.testing.machine import machine`.
"""

from refund_domain.testing.laws import LawBroken, Report
from refund_domain.testing.laws_feed import check_feed
from refund_domain.testing.laws_gateway import check_gateway
from refund_domain.testing.laws_journal import check_journal
from refund_domain.testing.laws_payouts import check_payouts

__all__ = ["LawBroken", "Report", "check_feed", "check_gateway", "check_journal", "check_payouts"]
