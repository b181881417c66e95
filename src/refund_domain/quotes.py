"""Quotes: what a person verifies before a refund, and how it travels over a web page and back (R4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Final

import attrs

from refund_domain._checks import check_text, check_tuple, check_type
from refund_domain.commands import Actor, FormError, IssueRefund, Reason
from refund_domain.connect import DestinationCharge, DirectCharge, Leg, SeparateCharge
from refund_domain.decider.ledger import Ledger, is_ours
from refund_domain.money import Money
from refund_domain.payments import AnyPayment, OutsideRef, Payment, PaymentRef, PaymentStatus
from refund_domain.payouts.funds import Funds
from refund_domain.policy import FundingRule, Policy
from refund_domain.refusals import QuoteStale, Refusal
from refund_domain.rules.arrival import ArrivalWindow
from refund_domain.rules.eligibility import (
    capped,
    drift_minor,
    listed_minor,
    needs_second,
    outside_left,
    refund_refusals,
    refundable,
    split_of,
    through_platform,
)
from refund_domain.rules.funding import Funding, NotCovered, forecast_fundings
from refund_domain.views import forecast_arrival

CANNOT_BE_UNDONE: Final = (
    "A refund cannot be stopped, changed or reversed once it is issued. "
    "A mistake is mended by a new payment from the client."
)
"""What a page must say beside the button (R6)."""

PULLS_BACK: Final = "With it, what is named of each transfer is pulled back from its connected account."
"""What a page must say as well where a separate charge's transfers are pulled back."""


@attrs.frozen(kw_only=True)
class Quote:
    """The amount to verify, or all the reasons why not, and what a person should know before deciding.

    `amount` is what a refund would send (R3), None where nothing could be seen. `refusals` empty: it may be
    issued. `given_back` and `elsewhere` count what already went back, from the gateway's own list; `drift_minor`
    is what its figure says beyond that list. `method` is how it was paid. `outside_left` is what goes back
    outside, for money that was taken there. `fee_kept` is what the processor keeps, `application_fee_kept` what
    the platform keeps of its own fee under the policy. `pulls_back` is what is pulled back of which transfers of
    a separate charge, behind the refund. `funding` and `arrives` are forecasts: `arrives` is None where the refund
    would wait, for its payment or for the gateway's balance, and `funding` where nobody could say what the account
    holds in this currency, as of a payment that is settled in another. It is of the refund alone: what is pulled
    back of a transfer fills the platform's balance again beside it, and makes the other account's next payout
    smaller. `needs_second`: the policy wants another person's approval before it is sent.

    >>> from datetime import timezone
    >>> quote = Quote(
    ...     request_id="3f2a",
    ...     ref=PaymentRef("platform", "ch_1"),
    ...     quoted_at=datetime(2026, 3, 2, 9, 0, tzinfo=timezone.utc),
    ...     amount=Money.parse("200.00", "USD"),
    ... )
    >>> quote.form()["amount_minor"], quote.verified(by=Actor(id="maria", tenant="acme")).amount.major
    ('20000', '200.00')
    """

    request_id: str
    ref: AnyPayment
    quoted_at: datetime | None
    amount: Money | None = None
    refusals: tuple[Refusal, ...] = ()
    method: str | None = None
    captured: Money | None = None
    given_back: Money | None = None
    elsewhere: int = 0
    drift_minor: int = 0
    outside_left: Money | None = None
    fee_kept: Money | None = None
    application_fee_kept: Money | None = None
    pulls_back: tuple[Leg, ...] = ()
    funding: Funding | None = None
    arrives: ArrivalWindow | None = None
    cannot_be_undone: str = CANNOT_BE_UNDONE
    needs_second: bool = False

    def verified(
        self, *, by: Actor, reason: Reason = Reason.REQUESTED_BY_CUSTOMER, note: str | None = None
    ) -> IssueRefund:
        """The decision of the person who saw this quote. Raises ValueError if the quote was refused."""
        ref, amount, quoted_at = self._decidable()
        return IssueRefund(
            payment=ref,
            request_id=self.request_id,
            amount=amount,
            quoted_at=quoted_at,
            by=by,
            reason=reason,
            note=note,
        )

    def form(self) -> dict[str, str]:
        """What the page carries in hidden fields; `IssueRefund.from_form` reads it back.

        Raises ValueError if the quote was refused: there is nothing to decide.
        """
        ref, amount, quoted_at = self._decidable()
        return {
            "payment": str(ref),
            "request_id": self.request_id,
            "amount_minor": str(amount.amount_minor),
            "currency": amount.currency.code,
            "quoted_at": quoted_at.isoformat(),
        }

    def _decidable(self) -> tuple[PaymentRef, Money, datetime]:
        if self.refusals or self.amount is None or self.quoted_at is None or not isinstance(self.ref, PaymentRef):
            codes = ", ".join(refusal.code for refusal in self.refusals) or "nothing to refund"
            raise ValueError(f"this quote was refused ({codes}): look at quote.refusals first, and show them")
        return self.ref, self.amount, self.quoted_at


def make_quote(
    ledger: Ledger,
    ref: AnyPayment,
    now: datetime,
    policy: Policy,
    *,
    request_id: str,
    is_business_day: Callable[[date], bool],
    held: tuple[Refusal, ...] = (),
) -> Quote:
    """The quote this ledger gives at `now`, not funded yet; pure. `held` is what else holds refunds back."""
    if (external := through_platform(ref)) and isinstance(ref, OutsideRef):
        left = outside_left(ledger, ref)
        return Quote(
            request_id=request_id,
            ref=ref,
            quoted_at=now,
            amount=Money.zero(left.currency),
            refusals=(external,),
            method=ref.method,
            outside_left=left,
        )
    amount, payment = refundable(ledger), ledger.payment
    if amount is None or payment is None:
        return Quote(request_id=request_id, ref=ref, quoted_at=now, refusals=(QuoteStale(quoted_at=None),))
    refusals = (*refund_refusals(ledger, now, policy), *held)
    allowed, waits = not refusals, payment.status is PaymentStatus.PENDING
    split = split_of(payment, policy, amount=amount)
    pulls_back = split.legs if allowed and isinstance(split, SeparateCharge) else ()
    return Quote(
        request_id=request_id,
        ref=ref,
        quoted_at=now,
        amount=amount,
        refusals=refusals,
        method=payment.method,
        captured=payment.captured,
        given_back=capped(listed_minor(ledger), payment.captured.currency),
        elsewhere=sum(seen.live and not is_ours(ledger, seen.refund) for seen in ledger.observed),
        drift_minor=drift_minor(ledger),
        fee_kept=payment.fee,
        application_fee_kept=_platform_keeps(payment, amount, policy),
        pulls_back=pulls_back,
        arrives=forecast_arrival(now.date(), policy, is_business_day) if allowed and not waits else None,
        needs_second=allowed and needs_second(amount, policy),
        cannot_be_undone=f"{CANNOT_BE_UNDONE} {PULLS_BACK}" if pulls_back else CANNOT_BE_UNDONE,
    )


def _platform_keeps(payment: Payment, amount: Money, policy: Policy) -> Money | None:
    """What the platform keeps of its fee when this amount goes back; None where that is nothing.

    A fee is returned in proportion to what is refunded, so after an earlier refund without it a part stays.
    """
    fee = payment.application_fee
    if fee is None:
        return None
    kept, split = fee.left, split_of(payment, policy)
    returns = isinstance(split, DirectCharge | DestinationCharge) and split.return_fee
    if returns and payment.captured.amount_minor:
        share = fee.taken.amount_minor * amount.amount_minor // payment.captured.amount_minor
        kept = Money(max(0, fee.left.amount_minor - share), kept.currency)
    return kept if kept.amount_minor else None


@attrs.frozen(kw_only=True)
class Booking:
    """The host's booking as the library needs it: a label and how it was paid, each ref once."""

    label: str
    payments: tuple[AnyPayment, ...]

    def __attrs_post_init__(self) -> None:
        check_text(self.label, "label", 120)
        check_tuple(self.payments, (PaymentRef, OutsideRef), "payments")
        if len({str(ref) for ref in self.payments}) != len(self.payments):
            raise ValueError("payments must name each payment once")


@attrs.frozen(kw_only=True)
class IssueBooking:
    """The decision to refund these payments of one booking, each with its own verified amount."""

    label: str
    refunds: tuple[IssueRefund, ...]

    def __attrs_post_init__(self) -> None:
        check_text(self.label, "label", 120)
        check_tuple(self.refunds, IssueRefund, "refunds")

    @property
    def in_order(self) -> tuple[IssueRefund, ...]:
        """The refunds in ref order, in which they are issued."""
        return tuple(sorted(self.refunds, key=lambda refund: str(refund.payment)))

    @classmethod
    def from_form(
        cls,
        form: Mapping[str, str],
        *,
        booking: Booking,
        by: Actor,
        reason: Reason = Reason.REQUESTED_BY_CUSTOMER,
        note: str | None = None,
    ) -> IssueBooking:
        """Read what `BookingQuote.form()` put on the page; the booking comes from the host, not the page.

        Payments without fields were not quoted as refundable and are left out. Raises `FormError`, whose `field`
        is the page's, e.g. `platform/ch_1.request_id`. `note` as in `IssueRefund.from_form`.
        """
        refunds = []
        for ref in booking.payments:
            fields = {name: form[key] for name in _FIELDS if (key := f"{ref}.{name}") in form}
            if isinstance(ref, PaymentRef) and fields:
                try:
                    refunds.append(IssueRefund.from_form(fields, payment=ref, by=by, reason=reason, note=note))
                except FormError as error:
                    raise FormError(
                        f"{ref}.{error.field}" if error.field in _FIELDS else "note", error.why
                    ) from None
        if not refunds:
            missing = next((f"{ref}." for ref in booking.payments if isinstance(ref, PaymentRef)), "")
            raise FormError(f"{missing}request_id")
        return cls(label=booking.label, refunds=tuple(refunds))


_FIELDS: Final = ("payment", "request_id", "amount_minor", "currency", "quoted_at")


@attrs.frozen(kw_only=True)
class BookingQuote:
    """A quote for each payment of a booking, in ref order; outside payments are quotes too."""

    label: str
    quotes: tuple[Quote, ...]

    @property
    def refundable(self) -> tuple[Quote, ...]:
        """The quotes that may be issued."""
        return tuple(quote for quote in self.quotes if not quote.refusals)

    def verified(
        self, *, by: Actor, reason: Reason = Reason.REQUESTED_BY_CUSTOMER, note: str | None = None
    ) -> IssueBooking:
        """The decision of the person who saw all these quotes; refused ones are left out.

        Where nothing is `refundable` it is a decision about nothing, of which `issue_booking` gives `()`.
        """
        refunds = tuple(quote.verified(by=by, reason=reason, note=note) for quote in self.refundable)
        return IssueBooking(label=self.label, refunds=refunds)

    def form(self) -> dict[str, str]:
        """Hidden fields for all refundable quotes, named by payment; `IssueBooking.from_form` reads them."""
        return {f"{quote.ref}.{name}": value for quote in self.refundable for name, value in quote.form().items()}


def accounts_of(quotes: Iterable[Quote]) -> tuple[str, ...]:
    """The accounts whose money the refundable ones of these quotes would take, each once."""
    accounts = map(_account_of, quotes)
    return tuple(dict.fromkeys(account for account in accounts if account is not None))


def _account_of(quote: Quote) -> str | None:
    """The account whose money a refund of this quote would take; None where there would be none."""
    refundable = not quote.refusals and quote.amount is not None
    return quote.ref.account if refundable and isinstance(quote.ref, PaymentRef) else None


def fund_together(quotes: tuple[Quote, ...], funds: Mapping[str, Funds], policy: Policy) -> tuple[Quote, ...]:
    """R8, R9: the same quotes, funded as one: what one refund takes from a payout the next does not find.

    `funds` are what the accounts hold; where an account, or the balance that the policy's rule needs, is not
    known, nothing is forecast.
    """
    funded = list(quotes)
    for account, held in funds.items():
        places = [place for place, quote in enumerate(quotes) if _can_fund(quote, account, held, policy)]
        amounts = [amount for place in places if (amount := quotes[place].amount) is not None]
        fundings = forecast_fundings(
            amounts, held.payouts, held.balances, policy, methods=[quotes[place].method for place in places]
        )
        for place, funding in zip(places, fundings, strict=True):
            arrives = None if isinstance(funding.at_gateway, NotCovered) else quotes[place].arrives
            funded[place] = attrs.evolve(quotes[place], funding=funding, arrives=arrives)
    return tuple(funded)


def _can_fund(quote: Quote, account: str, held: Funds, policy: Policy) -> bool:
    """Whether this is a refund of this account, and enough is known to say where its money comes from."""
    if quote.amount is None or _account_of(quote) != account:
        return False
    if policy.funding is FundingRule.BALANCE or held.balances:
        # An account names every currency it settles in: a payment in another is given back out of one of those.
        return held.balance(quote.amount.currency) is not None
    return True


def fund_bookings(
    quotes: tuple[BookingQuote, ...], funds: Mapping[str, Funds], policy: Policy
) -> tuple[BookingQuote, ...]:
    """R8, R9: the same quotes of many bookings, funded as one, in their order."""
    funded = iter(fund_together(tuple(each for quote in quotes for each in quote.quotes), funds, policy))
    return tuple(attrs.evolve(quote, quotes=tuple(next(funded) for _ in quote.quotes)) for quote in quotes)


@attrs.frozen(kw_only=True)
class NotTried:
    """Something broke, so nothing was heard of this payment's refund: it may be on record and may still be sent.

    Run the booking again, and repay nothing by other means.

    `error` is the name of the error's class; its text may hold what must not be shown.
    """

    payment: PaymentRef
    error: str

    def __attrs_post_init__(self) -> None:
        check_type(self.payment, PaymentRef, "payment")
        check_text(self.error, "error", 100)
