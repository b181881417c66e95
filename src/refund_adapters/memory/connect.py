"""What a person or other software does by hand with a platform's transfers and fees: `MemoryBank.connect`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from refund_adapters.memory import _reversing, _sharing, replies
from refund_adapters.memory._records import AskBack
from refund_adapters.memory.replies import Breaks, CameBack, ErrorReply
from refund_domain._checks import check_id, check_span, check_type
from refund_domain.connect import ApplicationFee, Transfer, TransferReversal
from refund_domain.money import Money
from refund_domain.payments import PLATFORM, PaymentRef

if TYPE_CHECKING:
    from refund_adapters.memory._books import Books
    from refund_adapters.memory._shares import Fee, Moved, Passed
    from refund_adapters.memory.bank import Turn


class Connect:
    """Transfers made and reversed by hand, application fees returned by hand (Stripe facts, "Connect").

    >>> from refund_adapters.memory import MemoryBank
    >>> bank = MemoryBank()
    >>> ref = bank.charge(Money.parse("200.00", "USD"), group="order-1")
    >>> made = bank.connect.transfer("acct_1", Money.parse("150.00", "USD"), group="order-1")
    >>> bank.picture(ref).payment.kind.value, bank.connect.reverse(made).id
    ('separate', 'trr_1')
    >>> bank.picture(ref).payment.kind.value
    'platform'
    """

    def __init__(self, turn: Turn) -> None:
        self._turn = turn

    def transfer(
        self, to: str, amount: Money, *, group: str | None = None, source: PaymentRef | None = None
    ) -> str:
        """Pass this much of the platform's on to a connected account; the transfer's id comes back.

        `group` ties it to the charges of that group, `source` to the one whose money it is; a source brings its
        group. Refuses (ValueError) nothing at all, the platform itself, a source of a connected account's.
        """
        check_id(to, "to")
        check_type(amount, Money, "amount")
        if amount.amount_minor <= 0 or to == PLATFORM:
            raise ValueError("a transfer is of more than nothing and to a connected account")
        with self._turn as books:
            charge = None if source is None else books.charge(source)
            if charge is not None and charge.ref.account != PLATFORM:
                raise ValueError("a transfer's source is a charge of the platform's")
            if charge is not None and group is None:
                group = charge.share.group if charge.share is not None else None
                if group is None:
                    raise ValueError("the source belongs to no group; take its payment with one")
            moved = _sharing.move(books, to, amount, group, charge)
            if group is not None:
                books.groups.setdefault(group, []).append(moved)
                _touch(books, group)
            return moved.id

    def reverse(
        self,
        transfer_id: str,
        amount: Money | None = None,
        *,
        key: str | None = None,
        mark: str | None = None,
        metadata: Mapping[str, str] | None = None,
        breaks: Breaks | None = None,
    ) -> CameBack | ErrorReply:
        """Pull back this much of a transfer, or all that is left of it: a request that arrives now.

        `key`, `mark`, `metadata` and `breaks` as `MemoryBank.refund` has them; a person gives none of them.
        """
        with self._turn as books:
            ask = _ask_back(books, transfer_id, amount, mark, metadata)
            return _reversing.receive(books, ask, key, breaks)

    def reverse_later(
        self,
        after: timedelta,
        transfer_id: str,
        amount: Money,
        *,
        key: str | None,
        mark: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """The same request held up on its way: it arrives so much later, and nobody hears the reply."""
        check_span(after, "after")
        with self._turn as books:
            _reversing.receive_later(books, after, _ask_back(books, transfer_id, amount, mark, metadata), key)

    def reversals(self, transfer_id: str) -> tuple[TransferReversal, ...]:
        """The truth: every reversal of this transfer, the oldest first, also those no list shows yet."""
        with self._turn as books:
            moved = books.transfers.get(transfer_id)
            if moved is None:
                raise ValueError("the bank holds no such transfer")
            return tuple(
                TransferReversal(id=back.id, amount=Money(back.minor, moved.currency), mark=back.mark)
                for back in moved.back
            )

    def return_fee(self, fee_id: str, amount: Money | None = None) -> CameBack | ErrorReply:
        """Return this much of an application fee, or all that is left of it: never more than was taken."""
        with self._turn as books:
            fee = books.fees.get(fee_id)
            if fee is None:
                return replies.NO_SUCH
            minor = _asked(fee, amount)
            if isinstance(minor, ErrorReply):
                return minor
            back = _sharing.return_fee(books, fee, minor)
            _sharing.tell_returned(books, fee)
            for charge in books.charges.values():
                if charge.share is not None and charge.share.fee is fee:
                    charge.touch()
            return CameBack(id=back.id, amount=Money(minor, fee.currency), of=fee.id)

    def fee_id(self, ref: PaymentRef) -> str | None:
        """The id of the application fee taken with this charge, if there was one."""
        fee = self._fee(ref)
        return None if fee is None else fee.id

    def fee(self, ref: PaymentRef) -> ApplicationFee | None:
        """What the platform took of this charge and what of that went back."""
        fee = self._fee(ref)
        if fee is None:
            return None
        return ApplicationFee(taken=Money(fee.minor, fee.currency), returned=Money(fee.back_minor, fee.currency))

    def transfers(self, ref: PaymentRef) -> tuple[Transfer, ...]:
        """Every transfer of this charge, the one made with it and those by hand, reversed or not."""
        with self._turn as books:
            share = books.charge(ref).share
            if share is None:
                return ()
            first = () if share.transfer is None else (share.transfer,)
            return tuple(_shown(moved) for moved in (*first, *share.by_hand))

    def _fee(self, ref: PaymentRef) -> Fee | None:
        with self._turn as books:
            share = books.charge(ref).share
            return None if share is None else share.fee


def _shown(moved: Moved) -> Transfer:
    return Transfer(
        id=moved.id, amount=Money(moved.minor, moved.currency), reversed=Money(moved.back_minor, moved.currency)
    )


def _ask_back(
    books: Books, transfer_id: str, amount: Money | None, mark: str | None, metadata: Mapping[str, str] | None
) -> AskBack:
    moved = books.transfers.get(transfer_id)
    if amount is not None and moved is not None and amount.currency != moved.currency:
        raise ValueError("the amount must be in the currency of what was passed on")
    minor = None if amount is None else amount.amount_minor
    return AskBack(transfer_id, minor, mark, () if metadata is None else tuple(sorted(metadata.items())))


def _asked(passed: Passed, amount: Money | None) -> int | ErrorReply:
    """How much is to come back, or why it cannot."""
    minor = passed.left_minor if amount is None else amount.amount_minor
    if amount is not None and amount.currency != passed.currency:
        raise ValueError("the amount must be in the currency of what was passed on")
    return minor if 0 < minor <= passed.left_minor else replies.MORE_THAN_LEFT


def _touch(books: Books, group: str | None) -> None:
    """What a look shows of the charges of this group has changed."""
    for charge in books.charges.values():
        if group is not None and charge.share is not None and charge.share.group == group:
            charge.touch()
