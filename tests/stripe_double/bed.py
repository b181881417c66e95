"""The double as a bed for the laws of the ports: its bank stages the scenes, its socket answers."""

from __future__ import annotations

from datetime import timedelta

from refund_adapters.memory import ManualClock, MemoryBank
from refund_domain.money import Money
from refund_domain.payments import PLATFORM, PaymentRef
from refund_domain.payouts.funds import PayoutStatus
from tests.stripe_double.double import StripeDouble

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


class DoublePayouts:
    """The bank behind a double as the laws of payouts want it; the double's clock is `clock`."""

    def __init__(self, double: StripeDouble, clock: ManualClock, lacks: tuple[str, ...] = ()) -> None:
        self._double, self._bank, self._clock = double, double.bank, clock
        self.lacks = lacks

    def charge(self, amount: Money, *, connected: bool = False) -> PaymentRef:
        """Take a card payment."""
        return self._bank.charge(amount, account=SELLER if connected else PLATFORM)

    def elsewhere(self, ref: PaymentRef, amount: Money) -> str:
        """Refund a part in the dashboard."""
        return self._bank.elsewhere(ref, amount)

    def ripen(self) -> None:
        """Let three days go by."""
        self._clock.forward(timedelta(days=3))

    def pay_out(self, account: str) -> str:
        """Pay out what is available."""
        return self._bank.payouts.make(account, "USD")

    def pay_out_by_hand(self, account: str, amount: Money) -> str:
        """Pay this much out."""
        return self._bank.payouts.make(account, "USD", amount)

    def reconcile(self, payout: str) -> None:
        """Let it say what is in it."""
        self._bank.payouts.reconcile(payout)

    def move(self, payout: str, status: PayoutStatus) -> None:
        """Move it on."""
        self._bank.payouts.move(payout, status.value)

    def lose(self) -> None:
        """Let the next request meet a server that breaks."""
        self._double.next(503)
