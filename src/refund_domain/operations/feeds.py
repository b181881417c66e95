"""What a feed lists: the refunds and disputes of one account that were created within a window, page by page.

A feed says where to look, as a signal does, and tells no amount: nothing can be matched by one.
"""

from __future__ import annotations

from datetime import datetime

import attrs

from refund_domain._checks import check_id, check_time, check_tuple, check_type


@attrs.frozen(kw_only=True)
class Window:
    """A span of the gateway's own times of creation: from `start` on, and before `end`.

    Refuses (ValueError) naive times and an end that is not later than the start.

    >>> from datetime import UTC
    >>> day = Window(start=datetime(2026, 3, 2, tzinfo=UTC), end=datetime(2026, 3, 3, tzinfo=UTC))
    >>> day.start in day, day.end in day
    (True, False)
    """

    start: datetime
    end: datetime

    def __attrs_post_init__(self) -> None:
        check_time(self.start, "start")
        check_time(self.end, "end")
        if self.end <= self.start:
            raise ValueError("end must be later than start")

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


@attrs.frozen(kw_only=True)
class Mention:
    """One refund or dispute in a feed: its id at the gateway, the charge it is of, when it was created, our mark.

    `charge` is None for one that is of no charge: money that was never a payment's. `mark` is the refund id this
    library wrote into the gateway's metadata, None for all others, and for disputes.
    """

    id: str
    charge: str | None
    created_at: datetime
    mark: str | None = None

    def __attrs_post_init__(self) -> None:
        check_id(self.id, "id")
        check_time(self.created_at, "created_at")
        if self.charge is not None:
            check_id(self.charge, "charge")
        if self.mark is not None:
            check_id(self.mark, "mark")


@attrs.frozen(kw_only=True)
class FeedPage:
    """One page of a feed, whole; `more` says whether another follows behind its last member.

    Refuses (ValueError) one that names an object twice, and one without members that says there are more.
    """

    mentions: tuple[Mention, ...]
    more: bool

    def __attrs_post_init__(self) -> None:
        check_tuple(self.mentions, Mention, "mentions")
        check_type(self.more, bool, "more")
        if len({mention.id for mention in self.mentions}) != len(self.mentions):
            raise ValueError("mentions must name each object once")
        if self.more and not self.mentions:
            raise ValueError("more must be False on a page without members: it does not advance")
