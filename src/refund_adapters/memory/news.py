"""What the bank has to tell: one small record for each thing that happened, in order, as webhooks would bring it.

The words are the gateway's (Stripe facts, "Webhooks"). A record says where to look and no more.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class News(NamedTuple):
    """One thing that happened: `type` to `object_id` at `account`; `charge` is the charge it is about, if any.

    `at` is the bank's time of it.
    """

    type: str
    account: str
    object_id: str
    charge: str | None
    at: datetime
