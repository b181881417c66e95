"""What the bank's records know of Connect: transfers, application fees, and what came back of them.

Plain and mutable like the other records (Stripe facts, "Connect"). A charge that is nobody's but its holder's
has none of this, and costs nothing for it.
"""

from __future__ import annotations

from datetime import datetime

from refund_domain.connect import Transfer, TransferReversal
from refund_domain.money import Currency, Money


class Back:
    """Money that came back: a transfer's reversal or a fee's refund.

    `refund`: the refund that brought it; `mark`: what its request was marked with; `shown_at`: from when on a list
    shows it.
    """

    __slots__ = ("at", "id", "mark", "metadata", "minor", "refund", "shown_at")

    def __init__(self, id: str, minor: int, at: datetime) -> None:
        self.id, self.minor, self.at, self.shown_at = id, minor, at, at
        self.refund: str | None = None
        self.mark: str | None = None
        self.metadata: tuple[tuple[str, str], ...] = ()


class Passed:
    """Money that went on, and what came back of it."""

    __slots__ = ("at", "back", "back_minor", "currency", "id", "minor")

    def __init__(self, id: str, minor: int, currency: Currency, at: datetime) -> None:
        self.id, self.minor, self.currency, self.at = id, minor, currency, at
        self.back: list[Back] = []
        self.back_minor = 0

    @property
    def left_minor(self) -> int:
        """What has not come back."""
        return self.minor - self.back_minor

    @property
    def left(self) -> Money:
        """What has not come back."""
        return Money(self.left_minor, self.currency)

    def come_back(self, id: str, minor: int, at: datetime) -> Back:
        """So much of it comes back now."""
        back = Back(id, minor, at)
        self.back.append(back)
        self.back_minor += minor
        return back


class Fee(Passed):
    """An application fee: the platform took it from `account` with `charge`."""

    __slots__ = ("account", "charge")

    def __init__(self, id: str, minor: int, currency: Currency, at: datetime, account: str, charge: str) -> None:
        super().__init__(id, minor, currency, at)
        self.account, self.charge = account, charge


class Moved(Passed):
    """A transfer to `destination`; `source`: the charge it was made with or from, if any."""

    __slots__ = ("destination", "group", "source")

    def __init__(
        self,
        id: str,
        minor: int,
        currency: Currency,
        at: datetime,
        destination: str,
        group: str | None,
        source: str | None,
    ) -> None:
        super().__init__(id, minor, currency, at)
        self.destination, self.group, self.source = destination, group, source

    def listed(self, now: datetime) -> list[Back]:
        """What came back of it, as far as a list shows it yet, the newest first."""
        return [back for back in reversed(self.back) if back.shown_at <= now]

    def shown(self, now: datetime) -> Transfer:
        """The transfer as the gateway shows it: figure and list agree, and both may lag."""
        backs = self.listed(now)
        return Transfer(
            id=self.id,
            amount=Money(self.minor, self.currency),
            reversed=Money(sum(back.minor for back in backs), self.currency),
            reversals=tuple(
                TransferReversal(id=back.id, amount=Money(back.minor, self.currency), mark=back.mark)
                for back in backs
            ),
        )


class Share:
    """How a charge is shared: the transfer made with it, the group of those made by hand, the platform's fee.

    `by_hand` is the group's own list: a transfer added to the group is there at once.
    """

    __slots__ = ("by_hand", "fee", "group", "transfer")

    def __init__(self) -> None:
        self.transfer: Moved | None = None
        self.fee: Fee | None = None
        self.group: str | None = None
        self.by_hand: list[Moved] = []


def part_of(whole_minor: int, part_minor: int, of_minor: int) -> int:
    """The part of `whole_minor` that `part_minor` is of `of_minor`, half a unit rounded up.

    >>> part_of(1_000, 5_000, 20_000), part_of(33, 1, 2), part_of(33, 2, 2)
    (250, 17, 33)
    """
    return (2 * whole_minor * part_minor + of_minor) // (2 * of_minor)
