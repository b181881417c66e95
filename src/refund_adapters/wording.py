"""Sentences a page may show: plain English, without any client's data. Tables, so that a host can replace a line.

The core says what is true (`Status`, `Refused`, `Attention`); this module says it to people. Staff and client are
told different things, and a client never reads that money has been sent before the gateway has said so. Standard
library only. A host with another language copies the tables; the codes stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from refund_domain.commands import Choice
from refund_domain.decider.ledger import Status
from refund_domain.decider.pulling import LegState
from refund_domain.money import Money
from refund_domain.operations.erasure import PSEUDONYM
from refund_domain.payouts.entries import Group
from refund_domain.quotes import Quote
from refund_domain.refusals import Move, Refusal, Refused
from refund_domain.rules.eligibility import METHODS, Family
from refund_domain.rules.funding import AtGateway, FromBalance, Funding, NotCovered, Shortfall
from refund_domain.views import LegView, Refund


class Tone(StrEnum):
    """How a line sounds, for a colour or an icon: well, take care (wait, or a rule said no), badly."""

    GOOD = "good"
    CARE = "care"
    BAD = "bad"


class Words(NamedTuple):
    """What to say of one status: a label for a badge, a sentence for staff, one for the client."""

    label: str
    staff: str
    client: str
    tone: Tone


STATUS: Final[dict[Status, Words]] = {
    Status.REQUESTED: Words(
        "Requested",
        "It is written down and still to be sent; the gateway has not confirmed anything yet.",
        "Your refund is being prepared.",
        Tone.CARE,
    ),
    Status.IN_DOUBT: Words(
        "Being checked",
        "It was sent, but how that ended is not known yet, so it may exist. It is looked for: pay nothing twice.",
        "Your refund is being checked.",
        Tone.CARE,
    ),
    Status.DECLINED: Words(
        "Declined",
        "The gateway said no, and nothing was made.",
        "Your refund has not been made.",
        Tone.BAD,
    ),
    Status.DROPPED: Words(
        "Not sent",
        "A rule said no before anything was sent.",
        "Your refund has not been made.",
        Tone.BAD,
    ),
    Status.NOT_MADE: Words(
        "Not made",
        "The doubt is over: this refund does not exist, and its amount is open again.",
        "Your refund has not been made.",
        Tone.BAD,
    ),
    Status.PENDING: Words(
        "Accepted",
        "The gateway has accepted it; the money is not confirmed as sent yet.",
        "Your refund has been accepted and is being processed.",
        Tone.CARE,
    ),
    Status.SUCCEEDED: Words(
        "Refunded",
        "The gateway reports it as done. That is not final: if the client's bank sends it back, it fails.",
        "Your refund has been sent.",
        Tone.GOOD,
    ),
    Status.FAILED: Words(
        "Failed",
        "It did not reach the client; the gateway gives the money back to the balance.",
        "Your refund could not be completed.",
        Tone.BAD,
    ),
    Status.CANCELED: Words(
        "Cancelled at the gateway",
        "It did not reach the client: somebody with access to the gateway cancelled it there.",
        "Your refund could not be completed.",
        Tone.BAD,
    ),
}
"""Every status a refund can have (the state diagram is in docs/reference)."""

PENDING: Final[dict[str, str]] = {
    "processing": "The gateway is processing it.",
    "insufficient_funds": "It waits for funds: the balance is too low. Top it up, and it goes on by itself.",
    "charge_pending": "It waits for the client's own payment to settle.",
    "requires_action": "The gateway waits for the client's bank details.",
}
"""Why a refund is pending, by the gateway's word (docs/explanation/stripe-facts.md, "Reasons")."""

LEG: Final[dict[LegState, str]] = {
    LegState.PLANNED: "pulled back from the connected account once the refund is made",
    LegState.OWED: "still to be pulled back from the connected account",
    LegState.IN_DOUBT: "asked back from the connected account; how that ended is being checked",
    LegState.DONE: "pulled back from the connected account",
    LegState.ELSEWHERE: "pulled back by others already",
    LegState.LEFT: "left at the connected account; the platform bears it",
    LegState.OFF: "not pulled back, as the refund was not made",
}
"""What becomes of each transfer of a separate charge: for staff, and never a word on the client's money."""

REFUSAL: Final[dict[str, str]] = {
    "external": "Paid outside",
    "method_not_supported": "Method not refundable here",
    "charge_not_supported": "Charge not refundable here",
    "not_captured": "Nothing was captured",
    "not_settled": "Not settled yet",
    "nothing_left": "Nothing left to refund",
    "in_flight": "A refund is under way",
    "already_refunded": "Already refunded",
    "disputed": "Disputed",
    "window_over": "Too late to refund here",
    "below_minimum": "Below the least amount",
    "currency_not_supported": "Other currency expected",
    "amount_changed": "The amount has changed",
    "quote_stale": "A new quote is needed",
    "request_reused": "Quote already used",
    "reason_not_allowed": "Reason not allowed",
    "too_much_outside": "More than is left",
    "cannot_be_stopped": "Cannot be stopped",
    "not_asked_for": "Nothing to answer",
    "not_allowed": "Not allowed",
    "not_found": "No such payment",
    "sending_paused": "Refunds are paused",
    "second_person_needed": "A second person is needed",
    "approval_denied": "Approval denied",
    "limit_reached": "Limit of the day reached",
}
"""A heading for each refusal code; the sentence is `str(refusal)`."""

MOVE: Final[dict[Move, str]] = {
    Move.STAFF: "You decide what to do next.",
    Move.CLIENT: "The client has to do something next.",
    Move.HOST: "Tell whoever looks after this software.",
    Move.WAIT: "Wait: it goes on by itself.",
    Move.NOBODY: "There is nothing to do.",
}
"""Whose move is next, said to staff."""

CHOICE: Final[dict[Choice, str]] = {
    Choice.NOT_MADE: "I checked the gateway: it was not made",
    Choice.KEEP_LOOKING: "Go on",
    Choice.LEAVE: "Leave it with the platform",
    Choice.NOTED: "Noted",
    Choice.DENIED: "Deny it",
}
"""The button for each answer that `settle` takes."""

METHOD: Final[dict[str, str]] = {
    "card": "card",
    "card_present": "card, in person",
    "us_bank_account": "bank transfer (ACH)",
    "ach_debit": "bank transfer (ACH)",
}
"""Names for the gateway's words of methods; an unlisted word is shown as it is."""

GROUP: Final[dict[Group, str]] = {
    Group.PAYMENTS: "Payments",
    Group.CAPTURE_REVERSALS: "Released by partial captures",
    Group.FEES: "Fees",
    Group.PLATFORM_FEES: "Earned as a platform",
    Group.TRANSFERS: "Transfers between accounts",
    Group.TOP_UPS: "Added to the balance by hand",
    Group.REFUNDS: "Refunds",
    Group.REFUND_FAILURES: "Refunds that failed",
    Group.TRANSFERS_BACK: "Pulled back of transfers",
    Group.PLATFORM_FEES_BACK: "Platform fees given back",
    Group.FAILED_PAYMENTS: "Returned bank debits",
    Group.DISPUTES: "Disputes",
    Group.RESERVES: "Reserves",
    Group.FINANCING: "Financing",
    Group.ADJUSTMENTS: "Adjustments",
    Group.FAILED_PAYOUTS: "Payouts that came back",
    Group.OTHER_PAYOUTS: "Other payouts",
    Group.CARRIED_OVER: "Below nothing from before",
    Group.OTHER: "Other entries",
    Group.UNEXPLAINED: "Not explained",
}
"""The heading of each group of a payout's entries."""

SHORTFALL: Final[dict[Shortfall, str]] = {
    Shortfall.WAITS: "the refund waits until the balance is topped up",
    Shortfall.FAILS: "the refund fails, unless the balance is topped up first",
    Shortfall.WAITS_OR_FAILS: (
        "until the balance is topped up, the refund of a card payment waits, and that of a bank transfer fails"
    ),
}
"""What too small a balance does to a refund."""

_FAMILY_NOTES: Final[dict[Family, str]] = {
    Family.ACH: "It appears as a separate credit, which your bank does not label as a refund.",
}
_REVERSAL_NOTE: Final = "The original charge disappears from your statement; there is no separate credit."


def method_name(word: str) -> str:
    """The name of a payment method.

    >>> method_name("us_bank_account"), method_name("klarna")
    ('bank transfer (ACH)', 'klarna')
    """
    return METHOD.get(word, word)


def tone(said: Refund | Refused | Refusal | Status) -> Tone:
    """The tone of a refund, of a status, or of a no."""
    if isinstance(said, Refund):
        return STATUS[said.status].tone
    return STATUS[said].tone if isinstance(said, Status) else Tone.CARE


def to_staff(said: Refund | Refused) -> str:
    """What to tell the person who asked for this refund: how it stands, why, and whose move is next.

    >>> from refund_domain.refusals import NothingLeft
    >>> to_staff(Refused((NothingLeft(),)))
    'Nothing left to refund: All that was captured has already gone back. There is nothing to do.'
    """
    if isinstance(said, Refused):
        return " ".join(f"{REFUSAL[no.code]}: {no} {MOVE[no.move]}" for no in said.reasons)
    lines = [f"{STATUS[said.status].label}: {said.amount}.", STATUS[said.status].staff]
    if said.waits_for_second:
        lines.append(_second_person(said.requested_by))
    lines += [str(no) for no in said.reasons]
    if said.detail is not None:
        lines.append(_detail(said.status, said.detail))
    if said.next_step is not None:
        lines.append(said.next_step.says)
    lines += [f"Transfer {leg.transfer}, {_pulled(leg)}: {LEG[leg.state]}." for leg in said.legs]
    return " ".join(lines)


def _pulled(leg: LegView) -> Money:
    """What of the transfer this is about: what came back, what is still to come, or what was planned."""
    if leg.state is LegState.OWED and leg.still is not None:
        return leg.still
    return leg.pulled_back or leg.amount


def _detail(status: Status, detail: str) -> str:
    if status is Status.PENDING and detail in PENDING:
        return PENDING[detail]
    return f"The gateway's word for it: {detail}."


def to_client(refund: Refund, method: str | None = None) -> str:
    """What to tell the client of this refund. `method` is the payment's, in the gateway's word, if known.

    Never says that money has been sent before the gateway does, and never names a date as certain. After a
    failure it says so; how the client is repaid then is the host's to add.
    """
    lines = [STATUS[refund.status].client, f"Amount: {refund.amount}."]
    if refund.arrives is not None:
        first, last = refund.arrives.earliest, refund.arrives.latest
        lines.append(f"Expect it between {first} and {last}; your bank decides.")
    if refund.status is Status.SUCCEEDED:
        family = None if method is None else METHODS.get(method)
        if refund.trace is not None and refund.trace.kind == "reversal":
            lines.append(_REVERSAL_NOTE)
        elif family in _FAMILY_NOTES:
            lines.append(_FAMILY_NOTES[family])
        if refund.trace is not None and refund.trace.reference is not None:
            lines.append(f"Reference for your bank: {refund.trace.reference}.")
    return " ".join(lines)


def quote_rows(quote: Quote) -> tuple[tuple[str, str], ...]:
    """A quote as rows of label and text, in the order a page shows them: what a person verifies (R4)."""
    return tuple(_quote_rows(quote))


def _quote_rows(quote: Quote) -> Iterator[tuple[str, str]]:
    if quote.captured is not None:
        yield "Paid", str(quote.captured)
    if quote.given_back is not None and quote.given_back.amount_minor:
        by_others = f" ({quote.elsewhere} made elsewhere)" if quote.elsewhere else ""
        yield "Already gone back", f"{quote.given_back}{by_others}"
    if quote.drift_minor and quote.captured is not None:
        drift = Money(quote.drift_minor, quote.captured.currency)
        yield "Careful", f"the gateway's own total differs from its list by {drift}; the smaller amount holds"
    for no in quote.refusals:
        yield REFUSAL[no.code], str(no)
    if quote.outside_left is not None:
        yield "To give back outside", str(quote.outside_left)
    if quote.refusals or quote.amount is None:
        return
    yield "To refund", str(quote.amount)
    if quote.funding is not None:
        yield from _funding_rows(quote.funding)
    for leg in quote.pulls_back:
        yield "Pulled back", f"{leg.amount} of transfer {leg.transfer}"
    if quote.fee_kept is not None:
        yield "Fee not returned", str(quote.fee_kept)
    if quote.application_fee_kept is not None:
        yield "Platform fee not returned", str(quote.application_fee_kept)
    if quote.arrives is not None:
        yield "Client has it", str(quote.arrives)
    if quote.needs_second:
        yield "Then", "another person must approve it before it is sent"
    yield "Before you press", quote.cannot_be_undone


def _second_person(asked: str | None) -> str:
    if asked is not None and asked.startswith(PSEUDONYM):
        return "The name of who asked was erased, so nobody can approve it: deny it, and quote anew if it is owed."
    return f"Another person than {asked} must approve it before it is sent."


def _funding_rows(funding: Funding) -> Iterator[tuple[str, str]]:
    """Where the money comes from by the policy's rule, and what the gateway does now if that is another thing."""
    for part in funding.parts:
        if isinstance(part, NotCovered):
            yield "Not covered", f"{part.amount}: {SHORTFALL[part.then]}"
        else:
            yield "Comes from", str(part)
    if funding.at_gateway is not None and funding.at_gateway not in funding.parts:
        yield "At the gateway now", _at_gateway(funding.at_gateway)
    yield "Note", funding.caveat


def _at_gateway(there: AtGateway) -> str:
    match there:
        case FromBalance(after=after):
            return f"the available balance covers it, with {after} left for refunds"
        case NotCovered(then=then):
            return f"the available balance does not cover it: {SHORTFALL[then]}"
