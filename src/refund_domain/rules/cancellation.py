"""R5: cancelling a booking never refunds anything. What to tell people when one is cancelled."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from refund_domain._checks import check_text
from refund_domain.money import Money
from refund_domain.payments import OutsideRef
from refund_domain.refusals import Refused
from refund_domain.rules.eligibility import capped
from refund_domain.views import PaymentView, Refund


@attrs.frozen(kw_only=True)
class CancellationNotice:
    """What is still held for a cancelled booking. `held` and `outside` have one amount a currency;
    `unknown` counts the payments of which it is not known, for nobody has quoted them yet.

    Cancelling moved no money: `refunds` are those people had issued before, each as it stands.
    """

    label: str
    held: tuple[Money, ...]
    outside: tuple[Money, ...]
    refunds: tuple[Refund, ...]
    unknown: int = 0

    def __str__(self) -> str:
        held = " and ".join(str(amount) for amount in self.held if amount.amount_minor) or "nothing"
        known = ", as far as is known" if self.unknown else ""
        text = f"Booking {self.label} is cancelled. Cancelling refunded nothing; still held{known}: {held}."
        if any(amount.amount_minor for amount in self.held):
            text += " To give it back, quote and issue a refund."
        if any(amount.amount_minor for amount in self.outside):
            outside = " and ".join(str(amount) for amount in self.outside if amount.amount_minor)
            text += f" Taken outside and not recorded as given back: {outside}."
        if self.unknown:
            what, then = (
                ("1 payment holds", "it") if self.unknown == 1 else (f"{self.unknown} payments hold", "them")
            )
            text += f" What {what} is not known yet: quote {then}."
        return text


def cancellation_notice(label: str, payments: Iterable[PaymentView | Refused]) -> CancellationNotice:
    """R5: what a cancelled booking still holds. Pure: it reads views, and calls nothing.

    A refund may be issued before or after cancelling, and never prevents it. Takes what `show` gives for each
    payment: a refusal, as of one that nobody has quoted yet, is counted as not known.

    >>> str(cancellation_notice("1042", ()))
    'Booking 1042 is cancelled. Cancelling refunded nothing; still held: nothing.'
    """
    check_text(label, "label", 120)
    held: dict[str, Money] = {}
    outside: dict[str, Money] = {}
    refunds: list[Refund] = []
    unknown = 0
    for view in payments:
        if isinstance(view, Refused):
            unknown += 1
            continue
        refunds.extend(view.refunds)
        if view.left is None:
            unknown += 1
            continue
        sums = outside if isinstance(view.ref, OutsideRef) else held
        code = view.left.currency.code
        so_far = sums.get(code, Money.zero(view.left.currency)).amount_minor
        sums[code] = capped(so_far + view.left.amount_minor, view.left.currency)
    return CancellationNotice(
        label=label,
        held=tuple(held[code] for code in sorted(held)),
        outside=tuple(outside[code] for code in sorted(outside)),
        refunds=tuple(refunds),
        unknown=unknown,
    )
