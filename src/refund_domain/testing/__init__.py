"""What a host points at its own adapters: the laws of the ports, and a strategy for every public value.

`check_gateway`, `check_feed` and `check_journal` need neither pytest nor Hypothesis. The strategies need the extra
`testing` and are imported by name: `from refund_domain.testing import strategies`.
"""

from refund_domain.testing.laws import LawBroken, Report
from refund_domain.testing.laws_feed import check_feed
from refund_domain.testing.laws_gateway import check_gateway
from refund_domain.testing.laws_journal import check_journal

__all__ = ["LawBroken", "Report", "check_feed", "check_gateway", "check_journal"]
