"""The host's own things: users, bookings, how they were paid. Nothing of it is the library's business.

A real host has these in its database; here they are values in a dictionary.
"""

from __future__ import annotations

import attrs

from refund_adapters.memory import MemoryBank
from refund_domain import Actor, Money, OutsideRef
from refund_domain.payments import AnyPayment
from refund_domain.quotes import Booking


@attrs.frozen(kw_only=True)
class User:
    """Somebody who can sign in; `role` is what the host lets them do."""

    name: str
    tenant: str
    role: str

    @property
    def actor(self) -> Actor:
        """This user as the library knows people."""
        return Actor(id=self.name, tenant=self.tenant)


@attrs.frozen(kw_only=True)
class Inspection:
    """One booked service and its payments.

    A real host holds a PaymentIntent's or a checkout session's id. `StripeGateway.resolve` leads from it to the
    payment's ref, once, when the payment came in; what the table keeps is the ref's text, and `PaymentRef.parse`
    reads it (docs/how-to/stripe.md).
    """

    number: str
    tenant: str
    what: str
    payments: tuple[AnyPayment, ...]
    cancelled: bool = False

    @property
    def booking(self) -> Booking:
        """This booking as the library needs it."""
        return Booking(label=self.number, payments=self.payments)


class Office:
    """The host's tables."""

    def __init__(self, users: tuple[User, ...], inspections: tuple[Inspection, ...]) -> None:
        self._users = {user.name: user for user in users}
        self._inspections = {inspection.number: inspection for inspection in inspections}

    def user(self, name: str) -> User | None:
        """The user of this name."""
        return self._users.get(name)

    def of(self, tenant: str) -> tuple[Inspection, ...]:
        """All bookings of one tenant."""
        return tuple(each for each in self._inspections.values() if each.tenant == tenant)

    def find(self, number: str, user: User) -> Inspection | None:
        """This booking, if it is the user's tenant's."""
        found = self._inspections.get(number)
        return found if found is not None and found.tenant == user.tenant else None

    def cancel(self, inspection: Inspection) -> None:
        """Mark a booking as cancelled. That is all there is to it: no money moves (R5)."""
        self._inspections[inspection.number] = attrs.evolve(inspection, cancelled=True)


def sample(bank: MemoryBank) -> Office:
    """Two firms, three people, three bookings; the payments are taken by the bank in memory."""

    def card(amount: str) -> AnyPayment:
        return bank.charge(Money.parse(amount, "USD"))

    cash = OutsideRef(id="receipt-88", method="cash", amount=Money.parse("40.00", "USD"))
    return Office(
        users=(
            User(name="maria", tenant="acme", role="office"),
            User(name="tom", tenant="acme", role="inspector"),
            User(name="zoe", tenant="bright", role="office"),
        ),
        inspections=(
            Inspection(
                number="1042", tenant="acme", what="12 Oak Lane", payments=(card("200.00"), card("60.00"), cash)
            ),
            Inspection(number="1043", tenant="acme", what="7 Hill Road <annex>", payments=(card("320.00"),)),
            Inspection(number="9001", tenant="bright", what="1 Sea View", payments=(card("500.00"),)),
        ),
    )
