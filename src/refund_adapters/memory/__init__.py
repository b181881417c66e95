"""Everything in memory: a bank behind the gateway port, with faults on demand, and a journal that forgets.

For tests, demos and simulators of a host and of this library; no real money ever moves here. The bank's
finer parts (courses of refunds, broken servers, replies) are named here, too, because tests are written
in them.
"""

from __future__ import annotations

from refund_adapters.clock import ManualClock, utc_now
from refund_adapters.memory.bank import MemoryBank
from refund_adapters.memory.course import Course, Step
from refund_adapters.memory.gateway import AsyncMemoryGateway, Fault, MemoryGateway, Planned
from refund_adapters.memory.journal import AsyncMemoryJournal, MemoryJournal
from refund_adapters.memory.news import News
from refund_adapters.memory.replies import Breaks, CameBack, ErrorReply, Made, Received
from refund_adapters.memory.source import MemoryPayouts

__all__ = [
    "AsyncMemoryGateway",
    "AsyncMemoryJournal",
    "Breaks",
    "CameBack",
    "Course",
    "ErrorReply",
    "Fault",
    "Made",
    "ManualClock",
    "MemoryBank",
    "MemoryGateway",
    "MemoryJournal",
    "MemoryPayouts",
    "News",
    "Planned",
    "Received",
    "Step",
    "utc_now",
]
