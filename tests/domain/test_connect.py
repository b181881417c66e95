"""Shared charges: the values refuse what cannot be, a send asks only for what its charge has, a person is told."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_domain.answers import Accepted, Send
from refund_domain.commands import Choice, Reason
from refund_domain.connect import (
    PLATFORM,
    SPLITS,
    ApplicationFee,
    ChargeKind,
    DestinationCharge,
    DirectCharge,
    Leg,
    PlatformCharge,
    SeparateCharge,
    Split,
    Transfer,
    TransferReversal,
    check_held_by,
)
from refund_domain.decider import doubt
from refund_domain.decider.attention import attention
from refund_domain.decider.ledger import Status
from refund_domain.money import Currency, Money
from refund_domain.payments import PaymentRef
from refund_domain.policy import Policy
from refund_domain.quotes import make_quote
from refund_domain.refusals import Move
from refund_domain.rules.eligibility import split_of
from refund_domain.testing import strategies as given_a
from tests.domain.histories import MINUTE, POLICY, START, Story, card, kinds, usd

EURO = Money(5, Currency.of("EUR"))


# --- the two amounts that come apart ------------------------------------------------------------------------


def _fee(whole: object, gone: object) -> ApplicationFee:
    return ApplicationFee(taken=whole, returned=gone)  # type: ignore[arg-type]


def _transfer(whole: object, gone: object) -> Transfer:
    return Transfer(id="tr_1", amount=whole, reversed=gone)  # type: ignore[arg-type]


PARTED = pytest.mark.parametrize(("make", "part"), [(_fee, "returned"), (_transfer, "reversed")])


@PARTED
@given(whole=st.integers(0, 10**9), share=st.integers(0, 10**9))
def test_what_is_left_and_what_went_back_are_the_whole(
    make: Callable[[object, object], ApplicationFee | Transfer], part: str, whole: int, share: int
) -> None:
    """Whatever part of it went back, what is left and that part add up, and neither is less than nothing."""
    gone = min(whole, share)
    value = make(usd(whole), usd(gone))
    assert value.left == usd(whole - gone)
    assert value.left + getattr(value, part) == usd(whole)


@PARTED
@pytest.mark.parametrize(
    ("whole", "gone", "error"),
    [
        (usd(5), usd(6), ValueError),
        (usd(5), usd(-1), ValueError),
        (usd(-5), usd(-5), ValueError),
        (usd(-5), usd(0), ValueError),
        (usd(5), EURO, ValueError),
        (5, usd(0), TypeError),
        (usd(5), 0, TypeError),
        (usd(5), None, TypeError),
        ("5.00", usd(0), TypeError),
        (True, usd(0), TypeError),
    ],
)
def test_figures_that_cannot_be_are_refused(
    make: Callable[[object, object], object], part: str, whole: object, gone: object, error: type[Exception]
) -> None:
    """More gone than there was, less than nothing, two currencies, bare numbers: each names what is wrong."""
    with pytest.raises(error, match=rf"{part}|taken|amount"):
        make(whole, gone)


@pytest.mark.parametrize("odd", ["", " ", "tr 1", "tr/1", "tr_1\n", "x" * 256, None, 7])
def test_a_transfers_id_is_an_id(odd: object) -> None:
    """It is read out to a person and may stand in a log line, like every other id."""
    with pytest.raises((ValueError, TypeError), match="id must be"):
        Transfer(id=odd, amount=usd(5), reversed=usd(0))  # type: ignore[arg-type]


# --- what a send asks for -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [DirectCharge, DestinationCharge])
@pytest.mark.parametrize("odd", [None, 0, 1, "true", "", "false"])
def test_whether_a_fee_goes_back_is_a_plain_bool(
    kind: type[DirectCharge] | type[DestinationCharge], odd: object
) -> None:
    """A word that means no would read as yes on its way to the gateway."""
    with pytest.raises(TypeError, match="return_fee must be bool"):
        kind(return_fee=odd)  # type: ignore[arg-type]


@given(split=st.sampled_from([PlatformCharge(), DirectCharge(), DestinationCharge(return_fee=True)]))
def test_a_split_belongs_to_one_kind_of_account(split: Split) -> None:
    """Direct charges are a connected account's, all others the platform's; a send at the other is refused."""
    connected = isinstance(split, DirectCharge)
    right, wrong = ("acct_1", PLATFORM) if connected else (PLATFORM, "acct_1")
    check_held_by(split, right)
    with pytest.raises(ValueError, match=type(split).__name__):
        check_held_by(split, wrong)
    for account, held in ((right, True), (wrong, False)):
        if held:
            assert _send(split, account).split == split
        else:
            with pytest.raises(ValueError, match="is held by"):
                _send(split, account)


def _send(split: Split, account: str) -> Send:
    return Send(
        refund_id="r1",
        claim=1,
        payment=PaymentRef(account, "ch_1"),
        amount=usd(5),
        reason=Reason.DUPLICATE,
        split=split,
    )


def test_no_split_asks_for_a_transfer_to_stay() -> None:
    """A destination charge's refund always pulls the transfer back: there is nothing to switch it off with. A
    separate charge's legs are named, and nothing else is asked of it."""
    fields = {kind.__name__: [field.name for field in attrs.fields(kind)] for kind in SPLITS}
    assert fields == {
        "PlatformCharge": [],
        "DirectCharge": ["return_fee"],
        "DestinationCharge": ["return_fee"],
        "SeparateCharge": ["legs"],
    }
    assert len(ChargeKind) == len(SPLITS)


LEG = Leg(transfer="tr_1", amount=usd(5), by_hand=usd(0))
BACK = TransferReversal(id="trr_1", amount=usd(2), mark="r1:tr_1:1")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: attrs.evolve(LEG, amount=usd(0)), "more than nothing"),
        (lambda: attrs.evolve(LEG, by_hand=usd(-1)), "by_hand not less"),
        (lambda: attrs.evolve(LEG, by_hand=EURO), "currency of amount"),
        (lambda: SeparateCharge(legs=()), "at least one"),
        (lambda: SeparateCharge(legs=(LEG, LEG)), "each transfer once"),
        (lambda: SeparateCharge(legs=(LEG, Leg(transfer="tr_2", amount=EURO, by_hand=EURO))), "one currency"),
        (lambda: _send(SeparateCharge(legs=(attrs.evolve(LEG, amount=usd(6)),)), PLATFORM), "the client gets"),
        (
            lambda: _send(SeparateCharge(legs=(Leg(transfer="tr_1", amount=EURO, by_hand=EURO),)), PLATFORM),
            "currency of amount",
        ),
        (lambda: attrs.evolve(BACK, amount=usd(0)), "more than nothing"),
        (lambda: attrs.evolve(_transfer_back(), reversals=(attrs.evolve(BACK, amount=EURO),)), "currency"),
        (lambda: attrs.evolve(_transfer_back(), reversals=(attrs.evolve(BACK, amount=usd(4)),)), "add up"),
        (lambda: attrs.evolve(_transfer_back(), reversals=(BACK, attrs.evolve(BACK, amount=usd(1)))), "once"),
    ],
)
def test_legs_and_reversals_that_cannot_be_are_refused(make: Callable[[], object], says: str) -> None:
    """More pulled back than the client gets, nothing at all, two currencies, one thing twice."""
    with pytest.raises(ValueError, match=says):
        make()


def _transfer_back() -> Transfer:
    return Transfer(id="tr_1", amount=usd(5), reversed=usd(3))


def test_what_came_back_without_a_mark_came_back_by_hand() -> None:
    """What no reversal of ours explains, others have pulled back: all of it where none is listed."""
    assert _transfer_back().by_hand == usd(3)
    assert attrs.evolve(_transfer_back(), reversals=(BACK,)).by_hand == usd(1)
    assert attrs.evolve(_transfer_back(), reversals=(attrs.evolve(BACK, mark=None),)).by_hand == usd(3)


# --- the platform's fee in a quote --------------------------------------------------------------------------


@given(fee=given_a.application_fees(), returns=st.booleans())
def test_a_quote_tells_what_the_platform_keeps_of_its_fee(fee: ApplicationFee, returns: bool) -> None:
    """All that is left of it; nothing to tell where nothing is left, or where a full refund returns it."""
    policy = Policy(return_application_fee=returns)
    taken = attrs.evolve(card(), kind=ChargeKind.DESTINATION, application_fee=fee)
    left = fee.taken - fee.returned
    assert _kept(Story(taken, policy)) == (None if returns or not left.amount_minor else left)
    assert _kept(Story(card(), policy)) is None


def test_a_fee_is_returned_in_proportion_so_after_an_earlier_refund_a_part_stays() -> None:
    """Of 100.00 with a fee of 10.00, 40.00 went back without it: with the other 60.00 come 6.00, and 4.00 stay."""
    fee = ApplicationFee(taken=usd(10_00), returned=usd(0))
    payment = attrs.evolve(card(100_00, given_back_minor=40_00), kind=ChargeKind.DESTINATION, application_fee=fee)
    assert _kept(Story(payment, Policy(return_application_fee=True))) == usd(4_00)
    assert _kept(Story(payment, Policy())) == usd(10_00)


def test_a_fee_of_a_charge_that_is_not_shared_stays() -> None:
    """No refund of the platform's own charge returns a fee, whatever the policy says, so none is promised."""
    fee = ApplicationFee(taken=usd(10_00), returned=usd(0))
    story = Story(attrs.evolve(card(), application_fee=fee), Policy(return_application_fee=True))
    assert _kept(story) == usd(10_00)


def _kept(story: Story) -> Money | None:
    story.quote()
    quote = make_quote(story.ledger, story.payment.ref, START, story.policy, request_id="q", is_business_day=bool)
    return quote.application_fee_kept


@given(returned=st.integers(0, 10_00), returns=st.booleans())
def test_what_is_claimed_is_what_the_rule_says_of_the_charge_seen(returned: int, returns: bool) -> None:
    """The claim's send carries the split of the payment as the look behind it showed it, and so does each
    repeat, whatever became of the fee meanwhile: one key asks for one thing."""
    policy = Policy(return_application_fee=returns)
    fee = ApplicationFee(taken=usd(10_00), returned=usd(returned))
    story = Story(attrs.evolve(card(), kind=ChargeKind.DESTINATION, application_fee=fee), policy).claimed()
    (claim,) = story.record().claims
    assert claim.send.split == split_of(story.payment, policy)
    assert claim.send.split == DestinationCharge(return_fee=returns and returned < 10_00)
    story.payment = attrs.evolve(
        story.payment, application_fee=ApplicationFee(taken=usd(10_00), returned=usd(10_00))
    )
    story.until_due().look()  # puts the fee on record; the next one finds it so
    story.look()
    assert [again.send.split for again in story.record().claims] == [claim.send.split] * 2


# --- the transfer that was pulled back for nothing ----------------------------------------------------------


def _ended(kind: ChargeKind, word: str) -> Story:
    """A refund of such a charge that was accepted and then came to this."""
    story = Story(attrs.evolve(card(), kind=kind)).claimed()
    story.answer(Accepted(refund=story.ours(status="pending")))
    story.shows(story.ours(status=word)).wait(MINUTE)
    story.quote()
    return story


@pytest.mark.parametrize("word", ["failed", "canceled"])
def test_a_failed_refund_of_a_destination_charge_tells_a_person_where_the_money_is(word: str) -> None:
    """The money is back at the platform while the transfer was pulled back: somebody must pass it on again."""
    story = _ended(ChargeKind.DESTINATION, word)
    items = {item.code: item for item in attention(story.ledger)}
    told = items["transfer_pulled_back"]
    assert (told.subject, told.choices, told.move) == ("r1", (Choice.NOTED,), Move.STAFF)
    assert "pass on the rest" in told.says
    assert set(items) == {word, "transfer_pulled_back"}
    story.settle("r1", word, Choice.NOTED)
    assert [item.code for item in attention(story.ledger)] == ["transfer_pulled_back"]
    story.settle("r1", "transfer_pulled_back", Choice.NOTED)
    assert attention(story.ledger) == ()


@pytest.mark.parametrize("word", ["pending", "succeeded", "failed", "canceled"])
def test_nobody_is_told_of_a_transfer_where_none_was_pulled_back(word: str) -> None:
    """Not for a platform charge, nor for a refund that goes its way."""
    assert "transfer_pulled_back" not in _codes(_ended(ChargeKind.PLATFORM, word))
    lives = word in ("pending", "succeeded")
    assert ("transfer_pulled_back" not in _codes(_ended(ChargeKind.DESTINATION, word))) is lives


def test_a_refund_known_only_by_its_mark_pulled_the_transfer_back_all_the_same() -> None:
    """Its journal lost, it has no claim to tell it by; every refund of ours of such a charge pulls it back."""
    story = Story(attrs.evolve(card(), kind=ChargeKind.DESTINATION)).claimed()
    there = story.ours(status="failed")
    lost = Story(story.payment, POLICY).shows(there)
    lost.quote()
    assert lost.status() is Status.FAILED
    assert _codes(lost) == {"failed", "transfer_pulled_back"}
    plain = Story(card(), POLICY).shows(Story(card()).claimed().ours(status="failed"))
    plain.quote()
    assert _codes(plain) == {"failed"}


def _codes(story: Story) -> set[str]:
    return {item.code for item in attention(story.ledger)}


def test_a_rule_that_forgot_a_separate_charge_still_claims_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no split to send for such a charge, so even without its refusal nothing is claimed."""
    monkeypatch.setattr(doubt, "refund_refusals", lambda *_, **__: ())
    story = Story()
    story.quote()
    story.request()
    story.payment = attrs.evolve(card(), kind=ChargeKind.SEPARATE)
    assert "SendClaimed" not in kinds(story.look())
    assert story.record().claims == ()
