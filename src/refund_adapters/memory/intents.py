"""What leads to a charge: PaymentIntents and checkout sessions, as far as finding the charge takes them.

`MemoryBank.intents`. A charge gets its PaymentIntent when somebody first asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from refund_domain._checks import check_id, check_text, check_type
from refund_domain.money import Money
from refund_domain.payments import PLATFORM, PaymentRef, PaymentStatus
from refund_domain.refusals import NotCaptured, NotFound, Refused

if TYPE_CHECKING:
    from refund_adapters.memory._books import Books
    from refund_adapters.memory._records import Charge
    from refund_adapters.memory.bank import MemoryBank, Turn


NOTHING_TAKEN: Final = ("requires_payment_method", "requires_confirmation", "requires_action", "canceled")
"""The states of a PaymentIntent in which no charge of it holds or will hold money."""


@attrs.frozen(kw_only=True)
class Intent:
    """A PaymentIntent as it is now; `charge` is its latest charge, None while nobody has paid."""

    id: str
    account: str
    amount: Money
    status: str
    charge: str | None


class Opened:
    """An intent in the books: what it is for and, once somebody paid, its charge."""

    __slots__ = ("account", "amount", "charge", "id", "status")

    def __init__(self, id: str, account: str, amount: Money, status: str, charge: Charge | None) -> None:
        self.id, self.account, self.amount, self.status, self.charge = id, account, amount, status, charge

    def shown(self) -> Intent:
        """As it is now: a charge that is there says more than the word it was opened with."""
        charge = self.charge
        status = self.status if charge is None else _status(charge)
        name = None if charge is None else charge.ref.charge
        return Intent(id=self.id, account=self.account, amount=self.amount, status=status, charge=name)


class Intents:
    """PaymentIntents and checkout sessions of one bank.

    >>> from refund_adapters.memory import MemoryBank
    >>> bank = MemoryBank()
    >>> ref = bank.charge(Money.parse("200.00", "USD"))
    >>> bank.intents.find("platform", bank.intents.of(ref)).charge, bank.intents.session(bank.intents.of(ref))
    ('ch_1', 'cs_test_1')
    """

    def __init__(self, turn: Turn) -> None:
        self._turn = turn

    def of(self, ref: PaymentRef) -> str:
        """The id of the PaymentIntent whose latest charge this is."""
        with self._turn as books:
            charge = books.charge(ref)
            if charge.intent is None:
                charge.intent = _open(books, ref.account, charge.amount, "succeeded", charge)
            return charge.intent

    def open(self, amount: Money, *, account: str = PLATFORM, status: str = "requires_payment_method") -> str:
        """A PaymentIntent that nobody has paid yet; its id. `status` is the gateway's word for where it stands."""
        check_type(amount, Money, "amount")
        check_id(account, "account")
        check_text(status, "status", 60)
        with self._turn as books:
            return _open(books, account, amount, status, None)

    def pay(self, intent_id: str, ref: PaymentRef) -> None:
        """This charge is now the latest of the intent; ValueError if the account has no such intent."""
        with self._turn as books:
            charge, opened = books.charge(ref), books.intents.get((ref.account, intent_id))
            if opened is None:
                raise ValueError("this account has no such PaymentIntent")
            charge.intent, opened.charge = intent_id, charge

    def find(self, account: str, intent_id: str) -> Intent | None:
        """One PaymentIntent; None if this account has none of this id."""
        with self._turn as books:
            opened = books.intents.get((account, intent_id))
            return None if opened is None else opened.shown()

    def session(self, intent_id: str | None, *, account: str = PLATFORM) -> str:
        """A checkout session for this PaymentIntent, or for none (one that sets up, or expired); its id."""
        with self._turn as books:
            if intent_id is not None and (account, intent_id) not in books.intents:
                raise ValueError("this account has no such PaymentIntent")
            number = f"cs_test_{books.number('cs')}"
            books.sessions[account, number] = intent_id
            return number

    def behind(self, session_id: str, *, account: str = PLATFORM) -> str | None:
        """The PaymentIntent of a checkout session, or None. KeyError where the account has no such session."""
        with self._turn as books:
            return books.sessions[account, session_id]


def resolved(bank: MemoryBank, named: str, account: str) -> PaymentRef | Refused:
    """The charge behind a PaymentIntent, a checkout session or a charge's own id, as Stripe's adapter finds it."""
    check_id(named, "id")
    check_id(account, "account")
    if not named.startswith(("pi_", "cs_", "ch_", "py_")):
        raise ValueError(
            "id must be a PaymentIntent's (pi_…), a checkout session's (cs_…) or a charge's (ch_…, py_…)"
        )
    if named.startswith("cs_"):
        try:
            intent_id = bank.intents.behind(named, account=account)
        except KeyError:
            return Refused((NotFound(),))
        if intent_id is None:
            return Refused((NotCaptured(),))
        named = intent_id
    if named.startswith("pi_"):
        intent = bank.intents.find(account, named)
        if intent is None:
            return Refused((NotFound(),))
        if intent.charge is None or intent.status in NOTHING_TAKEN:
            return Refused((NotCaptured(),))
        named = intent.charge
    ref = PaymentRef(account, named)
    return ref if bank.picture(ref) is not None else Refused((NotFound(),))


def _open(books: Books, account: str, amount: Money, status: str, charge: Charge | None) -> str:
    number = f"pi_{books.number('pi')}"
    books.intents[account, number] = Opened(number, account, amount, status, charge)
    return number


def _status(charge: Charge) -> str:
    if charge.captured_minor == 0:
        return "requires_capture"
    return {
        PaymentStatus.PENDING: "processing",
        PaymentStatus.FAILED: "requires_payment_method",
        PaymentStatus.SUCCEEDED: "succeeded",
    }[charge.status]
