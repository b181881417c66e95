"""The double as a bed for the laws of the gateway port: its bank stages the scenes, its socket answers."""

from __future__ import annotations

from refund_adapters.memory import MemoryBank
from refund_domain.money import Money
from refund_domain.payments import PLATFORM, PaymentRef

SELLER = "acct_seller"


class DoubleBank:
    """The bank behind a double, as the laws want it. `lacks`: what the gateway on trial cannot be asked."""

    def __init__(self, bank: MemoryBank, lacks: tuple[str, ...] = ()) -> None:
        self._bank = bank
        self.lacks = lacks

    def charge(self, amount: Money, *, connected: bool = False) -> PaymentRef:
        """Take a card payment."""
        self._bank.charge(amount, account=SELLER)  # the account exists, whatever is asked of it
        return self._bank.charge(amount, account=SELLER if connected else PLATFORM)

    def dispute(self, amount: Money) -> PaymentRef:
        """Take one that is charged back."""
        ref = self._bank.charge(amount)
        self._bank.dispute(ref)
        return ref

    def elsewhere(self, ref: PaymentRef, amount: Money) -> str:
        """Refund a part in the dashboard."""
        return self._bank.elsewhere(ref, amount)

    def destination(self, amount: Money, fee: Money) -> PaymentRef:
        """Take one and pass it on."""
        return self._bank.charge(amount, destination=SELLER, application_fee=fee)

    def direct(self, amount: Money, fee: Money) -> PaymentRef:
        """Take one at a connected account."""
        return self._bank.charge(amount, account=SELLER, application_fee=fee)

    def passed_on(self, ref: PaymentRef) -> Money:
        """What the connected account still holds of it."""
        (transfer,) = self._bank.connect.transfers(ref)
        return transfer.left

    def separate(self, amount: Money, passed_on: Money) -> tuple[PaymentRef, str]:
        """Take one in a group, and pass a part of it on by a transfer of that group."""
        ref = self._bank.charge(amount, group="order-1")
        return ref, self._bank.connect.transfer(SELLER, passed_on, group="order-1")
