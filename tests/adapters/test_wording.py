"""The sentences a page shows: complete for every word of the core, and true of what they are said about."""

from __future__ import annotations

from datetime import UTC, date, datetime

import attrs
import pytest

from refund_adapters import wording
from refund_adapters.wording import Tone, quote_rows, to_client, to_staff, tone
from refund_domain import Money, OutsideRef, PaymentRef, Quote, Refund, Refused, Status
from refund_domain.commands import Choice, Reason
from refund_domain.connect import Leg
from refund_domain.decider.advice import after_failure
from refund_domain.decider.pulling import LegState
from refund_domain.payments import Trace
from refund_domain.payouts.entries import Group
from refund_domain.payouts.funds import Balance, Payout
from refund_domain.policy import FundingRule, Policy
from refund_domain.refusals import REFUSALS, AlreadyRefunded, Disputed, External, Move
from refund_domain.rules.arrival import ArrivalWindow
from refund_domain.rules.eligibility import METHODS
from refund_domain.rules.funding import Funding, Shortfall, forecast_funding
from refund_domain.views import LegView

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
USD_200 = Money.parse("200.00", "USD")
CARD = PaymentRef("acct_1", "ch_1")


def refund(status: Status, detail: str | None = None, trace: Trace | None = None) -> Refund:
    """A refund in this status, as a service would show it."""
    failed = status in (Status.FAILED, Status.CANCELED)
    return Refund(
        id="r1",
        payment=CARD,
        amount=USD_200,
        status=status,
        requested_at=NOW,
        requested_by="maria",
        request_id="q1",
        reason=Reason.REQUESTED_BY_CUSTOMER,
        detail=detail,
        trace=trace,
        arrives=ArrivalWindow(earliest=date(2026, 3, 5), latest=date(2026, 3, 9))
        if status in (Status.PENDING, Status.SUCCEEDED)
        else None,
        next_step=after_failure(detail) if failed else None,
    )


def test_every_word_of_the_core_has_its_sentence() -> None:
    """Every status, refusal code, move, choice and refundable method has words, and no table holds others."""
    assert set(wording.STATUS) == set(Status)
    assert set(wording.REFUSAL) == {refusal.code for refusal in REFUSALS}
    assert set(wording.MOVE) == set(Move)
    assert set(wording.CHOICE) == set(Choice)
    assert set(wording.METHOD) == set(METHODS)
    assert set(wording.GROUP) == set(Group)
    assert set(wording.SHORTFALL) == set(Shortfall)
    said = [text for words in wording.STATUS.values() for text in words[:3]]
    said += [*wording.REFUSAL.values(), *wording.MOVE.values(), *wording.CHOICE.values()]
    assert all(text.strip() == text and text[0].isupper() for text in said)
    assert all(words.staff.endswith(".") and words.client.endswith(".") for words in wording.STATUS.values())


def test_a_refund_whose_transfer_is_owed_says_so_to_staff_and_not_to_the_client() -> None:
    """Refunded, transfer owed: staff read each transfer with how it stands, the client of the refund alone."""
    # failure: B11
    assert set(wording.LEG) == set(LegState)
    assert len(set(wording.LEG.values())) == len(LegState)
    leg = LegView(transfer="tr_1", amount=Money.parse("150.00", "USD"), state=LegState.OWED)
    owing = attrs.evolve(refund(Status.SUCCEEDED), legs=(leg,))
    assert "Transfer tr_1, 150.00 USD: still to be pulled back" in to_staff(owing)
    assert not [part for part in ("tr_1", "150.00") if part in to_client(owing)]
    pulls = Leg(transfer="tr_1", amount=Money.parse("150.00", "USD"), by_hand=Money.parse("0.00", "USD"))
    quote = Quote(request_id="q", ref=CARD, quoted_at=NOW, amount=USD_200, pulls_back=(pulls,))
    assert ("Pulled back", "150.00 USD of transfer tr_1") in quote_rows(quote)


def test_labels_tell_things_apart() -> None:
    """No two statuses share a label, no two refusals a heading, no two choices a button."""
    labels = [words.label for words in wording.STATUS.values()]
    for words in (labels, list(wording.REFUSAL.values()), list(wording.CHOICE.values())):
        assert len(set(words)) == len(words)


@pytest.mark.parametrize("status", Status)
def test_a_client_reads_of_money_sent_only_once_the_gateway_said_so(status: Status) -> None:
    """`sent` stands in the client's sentence of `succeeded` and of no other status; the tone agrees."""
    assert ("has been sent" in to_client(refund(status))) is (status is Status.SUCCEEDED)
    assert (tone(status) is Tone.GOOD) is (status is Status.SUCCEEDED)


@pytest.mark.parametrize("status", Status)
def test_client_is_spared_the_inside(status: Status) -> None:
    """A client never reads a gateway's code, an id, or the name of who pressed the button."""
    text = to_client(refund(status, "insufficient_funds"))
    assert not [word for word in ("insufficient", "r1", "q1", "maria", "gateway", "balance") if word in text]


def test_pending_says_what_it_waits_for() -> None:
    """Want of funds is named with its remedy; a word nobody knows is shown as it came."""
    assert "Top it up" in to_staff(refund(Status.PENDING, "insufficient_funds"))
    assert "held_by_martians" in to_staff(refund(Status.PENDING, "held_by_martians"))
    assert "Top it up" not in to_staff(refund(Status.DECLINED, "insufficient_funds"))


def test_failure_says_whose_move_is_next() -> None:
    """After a failure staff read the reason's own next step."""
    failed = refund(Status.FAILED, "expired_or_canceled_card")
    assert failed.next_step is not None
    assert failed.next_step.says in to_staff(failed)
    assert tone(failed) is Tone.BAD


def test_dropped_says_why() -> None:
    """A request that a rule dropped shows the rule's own sentence."""
    no = Disputed(amount=USD_200)
    assert str(no) in to_staff(attrs.evolve(refund(Status.DROPPED), reasons=(no,)))


def test_who_is_waited_for_is_told_before_and_after_the_button() -> None:
    """A quote says that a second person comes, a refund whose word does not count, and else nothing of it."""
    waiting = attrs.evolve(refund(Status.REQUESTED), waits_for_second=True)
    assert "Another person than maria must approve it" in to_staff(waiting)
    assert "Another person" not in to_staff(refund(Status.REQUESTED))
    quote = Quote(request_id="q1", ref=CARD, quoted_at=NOW, amount=USD_200)
    told = ("Then", "another person must approve it before it is sent")
    assert told in quote_rows(attrs.evolve(quote, needs_second=True))
    assert told not in quote_rows(quote)


def test_nobody_is_sent_to_approve_what_nobody_can() -> None:
    """From a requester whose name was erased nobody can be told apart: staff deny it, as the list says, too."""
    waiting = attrs.evolve(refund(Status.REQUESTED), waits_for_second=True, requested_by="erased:7f3a")
    assert "nobody can approve it: deny it" in to_staff(waiting)
    assert "erased:" not in to_staff(waiting)


def test_refusal_shows_every_reason_with_its_move() -> None:
    """All reasons are told at once, each under its heading and with whose move is next."""
    refused = Refused((Disputed(amount=USD_200), AlreadyRefunded(refund_id="r1")))
    text = to_staff(refused)
    for no in refused.reasons:
        assert f"{wording.REFUSAL[no.code]}: {no} {wording.MOVE[no.move]}" in text
    assert tone(refused) is Tone.CARE


def test_trace_tells_where_the_money_shows_up() -> None:
    """A reference is passed on, a reversal is explained, and ACH is announced as an unlabelled credit."""
    found = to_client(refund(Status.SUCCEEDED, trace=Trace(kind="refund", reference="74000001")))
    assert "74000001" in found
    reversal = to_client(refund(Status.SUCCEEDED, trace=Trace(kind="reversal")), "card")
    assert "disappears" in reversal
    ach = to_client(refund(Status.SUCCEEDED), "us_bank_account")
    assert "separate credit" in ach
    assert "separate credit" not in to_client(refund(Status.SUCCEEDED), "klarna")


def test_arrival_is_a_forecast() -> None:
    """A client is told a window and that their bank decides, and neither once the refund has failed."""
    assert "between 2026-03-05 and 2026-03-09; your bank decides" in to_client(refund(Status.SUCCEEDED))
    assert "your bank decides" not in to_client(refund(Status.FAILED))


def test_quote_rows_show_all_there_is_to_verify() -> None:
    """Amount, what went back before, drift, each part of the funding, fee, arrival and what cannot be undone."""
    payout = Payout(id="po_1", amount=Money.parse("500.00", "USD"), arrives_on=date(2026, 3, 4))
    quote = Quote(
        request_id="q1",
        ref=CARD,
        quoted_at=NOW,
        amount=USD_200,
        captured=Money.parse("260.00", "USD"),
        given_back=Money.parse("50.00", "USD"),
        elsewhere=1,
        drift_minor=1000,
        fee_kept=Money.parse("6.10", "USD"),
        application_fee_kept=Money.parse("20.00", "USD"),
        funding=forecast_funding(USD_200, [payout]),
        arrives=ArrivalWindow(earliest=date(2026, 3, 5), latest=date(2026, 3, 9)),
    )
    rows = quote_rows(quote)
    text = "\n".join(f"{label}: {value}" for label, value in rows)
    assert [label for label, _ in rows].count("To refund") == 1
    assert ("To refund", "200.00 USD") in rows
    for part in ("50.00 USD (1 made elsewhere)", "10.00 USD", "300.00 USD instead of 500.00 USD", "forecast"):
        assert part in text
    for part in ("6.10 USD", "Platform fee not returned: 20.00 USD", "2026-03-05", quote.cannot_be_undone):
        assert part in text


def funding_rows(funding: Funding) -> list[tuple[str, str]]:
    """The rows of a quote that say where its money comes from."""
    rows = quote_rows(Quote(request_id="q1", ref=CARD, quoted_at=NOW, amount=USD_200, funding=funding))
    return [row for row in rows if row[0] in ("Comes from", "Not covered", "At the gateway now", "Note")]


@pytest.mark.parametrize(
    ("method", "says"),
    [
        ("card", "the refund waits until"),
        ("us_bank_account", "the refund fails, unless"),
        (None, "card payment waits"),
    ],
)
def test_quote_tells_what_the_gateway_does_with_the_balance(method: str | None, says: str) -> None:
    """Beside the house's rule stands what too small a balance does now; what covers it is told, too."""
    payout = Payout(id="po_1", amount=Money.parse("500.00", "USD"), arrives_on=date(2026, 3, 4))
    short, enough = (
        Balance(available=Money.parse("199.99", "USD")),
        Balance(available=Money.parse("250.00", "USD")),
    )
    (comes, now, note) = funding_rows(forecast_funding(USD_200, [payout], short, method=method))
    assert (comes[0], note[0]) == ("Comes from", "Note")
    assert now[0] == "At the gateway now"
    assert now[1].startswith("the available balance does not cover it: ")
    assert says in now[1]
    (_, now, _) = funding_rows(forecast_funding(USD_200, [payout], enough, method=method))
    assert now == ("At the gateway now", "the available balance covers it, with 50.00 USD left for refunds")


def test_quote_says_nothing_twice_of_its_funding() -> None:
    """Where the rule is the gateway's own way there is one row of it; without a balance nothing is said of one."""
    rule = Policy(funding=FundingRule.BALANCE)
    short, enough = Balance(available=Money.parse("0.00", "USD")), Balance(available=Money.parse("250.00", "USD"))
    rows = funding_rows(forecast_funding(USD_200, [], short, rule, method="card"))
    assert rows[0] == ("Not covered", "200.00 USD: the refund waits until the balance is topped up")
    assert [label for label, _ in rows] == ["Not covered", "Note"]
    rows = funding_rows(forecast_funding(USD_200, [], enough, rule, method="card"))
    assert rows[0] == ("Comes from", "200.00 USD from the available balance, with 50.00 USD left for refunds")
    assert [label for label, _ in rows] == ["Comes from", "Note"]
    assert [label for label, _ in funding_rows(forecast_funding(USD_200, []))] == ["Comes from", "Note"]


def test_refused_quote_shows_no_amount_to_press() -> None:
    """A refused quote shows its reasons and what goes back outside, and nothing that looks like an offer."""
    cash = OutsideRef(id="c1", method="cash", amount=USD_200)
    quote = Quote(
        request_id="q1",
        ref=cash,
        quoted_at=NOW,
        amount=Money.zero(USD_200.currency),
        refusals=(External(method="cash"),),
        outside_left=USD_200,
    )
    rows = dict(quote_rows(quote))
    assert rows["Paid outside"] == str(External(method="cash"))
    assert rows["To give back outside"] == "200.00 USD"
    assert not {"To refund", "Before you press"} & set(rows)
