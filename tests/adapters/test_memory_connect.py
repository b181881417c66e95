"""The bank's Connect: what is passed on, what a refund pulls back, and that no fee ever returns twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_adapters.memory import CameBack, Course, ErrorReply, Made, MemoryBank
from refund_adapters.memory.replies import Breaks
from refund_domain.connect import ApplicationFee, ChargeKind, Transfer, TransferReversal
from refund_domain.money import Money
from refund_domain.payments import Payment, PaymentRef

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
SELLER = "acct_1"


def usd(major: str) -> Money:
    return Money.parse(major, "USD")


@pytest.fixture
def bank() -> MemoryBank:
    return MemoryBank(lambda: START)


def ask(
    bank: MemoryBank,
    ref: PaymentRef,
    minor: int | None,
    key: str,
    *,
    reverse: bool | None = True,
    fee: bool | None = None,
) -> Made | ErrorReply:
    return bank.refund(
        ref.account, ref.charge, minor, key=key, mark=key, reverse_transfer=reverse, refund_application_fee=fee
    )


def refused(reply: object) -> tuple[int, str | None, str | None]:
    assert isinstance(reply, ErrorReply), reply
    return reply.http_status, reply.code, reply.param


def shown(bank: MemoryBank, ref: PaymentRef) -> Payment:
    picture = bank.picture(ref)
    assert picture is not None
    return picture.payment


def fee_of(bank: MemoryBank, ref: PaymentRef) -> str:
    name = bank.connect.fee_id(ref)
    assert name is not None
    return name


# -- what is passed on ------------------------------------------------------------------------------------


def test_a_destination_charge_is_passed_on_whole_and_shows_its_fee_but_not_its_transfer(bank: MemoryBank) -> None:
    """The transfer made with a charge is pulled back by its refund, so a look lists the fee alone."""
    ref = bank.charge(usd("200.00"), destination=SELLER, application_fee=usd("10.00"))
    payment = shown(bank, ref)
    assert (payment.kind, payment.transfers) == (ChargeKind.DESTINATION, ())
    assert payment.application_fee == ApplicationFee(taken=usd("10.00"), returned=usd("0.00"))
    (transfer,) = bank.connect.transfers(ref)
    assert (transfer.amount, transfer.reversed) == (usd("200.00"), usd("0.00"))


def test_a_destination_charge_may_pass_on_a_part(bank: MemoryBank) -> None:
    """With an amount to pass on there is no fee: the platform keeps the rest."""
    ref = bank.charge(usd("200.00"), destination=SELLER, passed_on=usd("150.00"))
    assert [transfer.amount for transfer in bank.connect.transfers(ref)] == [usd("150.00")]
    assert shown(bank, ref).application_fee is None


def test_an_authorisation_passes_nothing_on(bank: MemoryBank) -> None:
    """What is not captured yet is not anybody's."""
    ref = bank.charge(usd("200.00"), captured=usd("0.00"), destination=SELLER)
    assert (shown(bank, ref).kind, bank.connect.transfers(ref)) == (ChargeKind.DESTINATION, ())


def test_separate_transfers_are_shown_while_they_hold_money(bank: MemoryBank) -> None:
    """A charge of a group is separate while a transfer of the group holds money, and plain before and after."""
    ref = bank.charge(usd("200.00"), group="order-1")
    assert shown(bank, ref).kind is ChargeKind.PLATFORM
    first = bank.connect.transfer(SELLER, usd("150.00"), group="order-1")
    second = bank.connect.transfer("acct_2", usd("20.00"), source=ref)
    assert shown(bank, ref).kind is ChargeKind.SEPARATE
    assert [transfer.id for transfer in shown(bank, ref).transfers] == [first, second]
    assert isinstance(bank.connect.reverse(first, usd("50.00")), CameBack)
    back = TransferReversal(id="trr_1", amount=usd("50.00"))
    held = Transfer(id=first, amount=usd("150.00"), reversed=usd("50.00"), reversals=(back,))
    assert shown(bank, ref).transfers[0] == held
    bank.connect.reverse(first)
    bank.connect.reverse(second)
    assert shown(bank, ref).kind is ChargeKind.PLATFORM
    assert [str(transfer.left) for transfer in shown(bank, ref).transfers] == ["0.00 USD", "0.00 USD"]
    assert refused(bank.connect.reverse(first)) == (400, None, "amount")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda bank: bank.charge(usd("2.00"), account=SELLER, destination="acct_2"),
        lambda bank: bank.charge(usd("2.00"), account=SELLER, group="g"),
        lambda bank: bank.charge(usd("2.00"), destination="platform"),
        lambda bank: bank.charge(usd("2.00"), passed_on=usd("1.00")),
        lambda bank: bank.charge(usd("2.00"), destination=SELLER, passed_on=usd("2.01")),
        lambda bank: bank.charge(usd("2.00"), destination=SELLER, passed_on=usd("0.00")),
        lambda bank: bank.charge(
            usd("2.00"), destination=SELLER, passed_on=usd("1.00"), application_fee=usd("1.00")
        ),
        lambda bank: bank.charge(usd("2.00"), application_fee=usd("1.00")),
        lambda bank: bank.charge(usd("2.00"), account=SELLER, application_fee=Money.parse("1.00", "EUR")),
        lambda bank: bank.connect.transfer("platform", usd("1.00")),
        lambda bank: bank.connect.transfer(SELLER, usd("0.00")),
        lambda bank: bank.connect.transfer(SELLER, usd("1.00"), source=PaymentRef(SELLER, "ch_1")),
        lambda bank: bank.connect.transfer(SELLER, usd("1.00"), source=PaymentRef("platform", "ch_2")),
    ],
)
def test_what_cannot_be_shared_so_is_refused(bank: MemoryBank, wrong: Callable[[MemoryBank], object]) -> None:
    """The bank takes no charge and no transfer that the gateway could not hold."""
    bank.charge(usd("2.00"), account=SELLER)
    bank.charge(usd("2.00"))
    with pytest.raises(ValueError):
        wrong(bank)


# -- refunds of split charges -------------------------------------------------------------------------------


def test_a_refund_pulls_back_its_part_of_transfer_and_fee(bank: MemoryBank) -> None:
    """A half refund pulls back half the transfer and half the fee, the other half the rest, each once."""
    ref = bank.charge(usd("200.00"), destination=SELLER, application_fee=usd("10.00"))
    assert isinstance(ask(bank, ref, 10_000, "k1", fee=True), Made)
    assert [part.reversed for part in bank.connect.transfers(ref)] == [usd("100.00")]
    assert bank.connect.fee(ref) == ApplicationFee(taken=usd("10.00"), returned=usd("5.00"))
    assert isinstance(ask(bank, ref, 10_000, "k1", fee=True), Made)  # the same key again
    assert isinstance(ask(bank, ref, 10_000, "k2", fee=True), Made)
    assert [part.left for part in bank.connect.transfers(ref)] == [usd("0.00")]
    assert shown(bank, ref).application_fee == ApplicationFee(taken=usd("10.00"), returned=usd("10.00"))


def test_flags_belong_to_what_a_key_must_bring_again(bank: MemoryBank) -> None:
    """The same key with another word about transfer or fee is another request."""
    ref = bank.charge(usd("200.00"), destination=SELLER, application_fee=usd("10.00"))
    ask(bank, ref, 5_000, "k1", fee=True)
    for reverse, fee in ((True, None), (None, None), (True, False)):
        reply = ask(bank, ref, 5_000, "k1", reverse=reverse, fee=fee)
        assert isinstance(reply, ErrorReply)
        assert reply.type == "idempotency_error"
    assert bank.made(ref) == 1


def test_flags_that_do_not_fit_the_charge_are_refused_and_make_nothing(bank: MemoryBank) -> None:
    """No transfer to reverse, no fee to return, a fee without its transfer: 400, naming the parameter."""
    plain = bank.charge(usd("200.00"))
    direct = bank.charge(usd("200.00"), account=SELLER, application_fee=usd("10.00"))
    passed = bank.charge(usd("200.00"), destination=SELLER, application_fee=usd("10.00"))
    no_transfer, no_fee = (400, None, "reverse_transfer"), (400, None, "refund_application_fee")
    assert refused(ask(bank, plain, 20_000, "a")) == no_transfer
    assert refused(ask(bank, direct, 20_000, "b")) == no_transfer
    assert refused(ask(bank, plain, 20_000, "c", reverse=None, fee=True)) == no_fee
    assert refused(ask(bank, passed, 20_000, "d", reverse=None, fee=True)) == no_fee
    assert [bank.made(ref) for ref in (plain, direct, passed)] == [0, 0, 0]
    assert bank.connect.fee(passed) == ApplicationFee(taken=usd("10.00"), returned=usd("0.00"))
    assert [part.left for part in bank.connect.transfers(passed)] == [usd("200.00")]


def test_nothing_left_to_reverse_is_refused(bank: MemoryBank) -> None:
    """A transfer that came back already cannot come back again, although the charge is refundable."""
    ref = bank.charge(usd("200.00"), destination=SELLER)
    (transfer,) = bank.connect.transfers(ref)
    bank.connect.reverse(transfer.id)
    assert refused(ask(bank, ref, 20_000, "k1")) == (400, None, "reverse_transfer")
    assert bank.made(ref) == 0


def test_a_failed_refund_leaves_the_transfer_pulled_back(bank: MemoryBank) -> None:
    """The platform is credited, though the connected account lost its money: facts, "Connect"."""
    ref = bank.charge(usd("200.00"), destination=SELLER, course=Course.stays())
    bank.drain("platform", usd("0.00"))
    reply = ask(bank, ref, 20_000, "k1")
    assert isinstance(reply, Made)
    bank.settle(reply.refund.id, "failed", "declined")
    assert (bank.balance("platform", "usd"), shown(bank, ref).given_back) == (usd("200.00"), usd("0.00"))
    assert [part.left for part in bank.connect.transfers(ref)] == [usd("0.00")]


def test_a_reversal_under_a_key_is_made_once(bank: MemoryBank) -> None:
    """The same key and parameters again are told the same; other parameters, or a refund's key, are refused."""
    ref = bank.charge(usd("200.00"), group="order-1")
    made = bank.connect.transfer(SELLER, usd("150.00"), group="order-1")
    first = bank.connect.reverse(made, usd("50.00"), key="k1", mark="k1")
    again = bank.connect.reverse(made, usd("50.00"), key="k1", mark="k1")
    assert isinstance(first, CameBack)
    assert again == attrs.evolve(first, replayed=True)
    assert refused(bank.connect.reverse(made, usd("60.00"), key="k1", mark="k1")) == (400, None, None)
    assert isinstance(ask(bank, ref, 100, "k2", reverse=None), Made)
    assert refused(bank.connect.reverse(made, usd("1.00"), key="k2", mark="k2")) == (400, None, None)
    assert refused(ask(bank, ref, 100, "k1", reverse=None)) == (400, None, None)
    assert [(back.id, back.mark) for back in bank.connect.reversals(made)] == [("trr_1", "k1")]
    assert shown(bank, ref).transfers[0].reversals == bank.connect.reversals(made)
    with pytest.raises(ValueError, match="no such transfer"):
        bank.connect.reversals("tr_9")


def test_a_no_to_a_reversal_is_kept_for_its_key_and_a_bad_amount_is_not(bank: MemoryBank) -> None:
    """Once execution began the answer stays; what was refused before leaves the key unused."""
    bank.charge(usd("200.00"), group="order-1")
    made = bank.connect.transfer(SELLER, usd("150.00"), group="order-1")
    assert refused(bank.connect.reverse(made, usd("0.00"), key="k1")) == (
        400,
        "parameter_invalid_integer",
        "amount",
    )
    bank.drain(SELLER, usd("0.00"))
    assert refused(bank.connect.reverse(made, usd("5.00"), key="k1")) == (400, "balance_insufficient", None)
    bank.fund(SELLER, usd("5.00"))
    assert refused(bank.connect.reverse(made, usd("5.00"), key="k1")) == (400, "balance_insufficient", None)
    assert isinstance(bank.connect.reverse(made, usd("5.00"), key="k2"), CameBack)


def test_a_reversal_may_arrive_late_break_and_be_listed_late() -> None:
    """Held up on its way, made behind a 500, shown an hour after: as a refund's create request."""
    now = [START]
    bank = MemoryBank(lambda: now[0], list_lag=timedelta(hours=1))
    ref = bank.charge(usd("200.00"), group="order-1")
    made = bank.connect.transfer(SELLER, usd("150.00"), group="order-1")
    bank.connect.reverse_later(timedelta(minutes=30), made, usd("10.00"), key="k1", mark="k1")
    broken = Breaks(makes_after=timedelta(minutes=40))
    assert refused(bank.connect.reverse(made, usd("20.00"), key="k2", mark="k2", breaks=broken))[0] == 500
    assert bank.connect.reversals(made) == ()
    now[0] += timedelta(minutes=45)
    assert [back.mark for back in bank.connect.reversals(made)] == ["k1", "k2"]
    assert shown(bank, ref).transfers[0].reversals == ()
    now[0] += timedelta(minutes=50)
    assert [back.mark for back in shown(bank, ref).transfers[0].reversals] == ["k1"]
    now[0] += timedelta(minutes=10)
    assert [back.mark for back in shown(bank, ref).transfers[0].reversals] == ["k2", "k1"]
    assert refused(bank.connect.reverse(made, usd("20.00"), key="k2", mark="k2", breaks=Breaks()))[0] == 500


def test_a_reversal_needs_balance_at_the_connected_account(bank: MemoryBank) -> None:
    """Too little there: the refund is refused whole, and so is a reversal by hand."""
    ref = bank.charge(usd("200.00"), destination=SELLER)
    bank.drain(SELLER, usd("199.99"))
    assert refused(ask(bank, ref, 20_000, "k1")) == (400, "balance_insufficient", None)
    assert refused(bank.connect.reverse(bank.connect.transfers(ref)[0].id)) == (400, "balance_insufficient", None)
    assert bank.made(ref) == 0
    bank.fund(SELLER, usd("0.01"))
    assert isinstance(ask(bank, ref, 20_000, "k2"), Made)
    assert bank.balance(SELLER, "usd") == usd("0.00")


def test_a_reversal_refills_the_platform_before_the_refund_draws_on_it(bank: MemoryBank) -> None:
    """With nothing of its own the platform refunds a destination charge at once, as the reversal pays for it."""
    ref = bank.charge(usd("200.00"), destination=SELLER)
    bank.drain("platform", usd("0.00"))
    reply = ask(bank, ref, 20_000, "k1")
    assert isinstance(reply, Made)
    assert reply.refund.status == "succeeded"
    assert bank.balance("platform", "usd") == usd("0.00")


def test_a_fee_returns_by_hand_at_most_once(bank: MemoryBank) -> None:
    """A person returns a part or the rest; more than what was taken never goes back."""  # failure: A18
    ref = bank.charge(usd("200.00"), account=SELLER, application_fee=usd("10.00"))
    fee = fee_of(bank, ref)
    assert bank.connect.return_fee(fee, usd("4.00")) == CameBack(id="fr_1", amount=usd("4.00"), of=fee)
    assert shown(bank, ref).application_fee == ApplicationFee(taken=usd("10.00"), returned=usd("4.00"))
    assert refused(bank.connect.return_fee(fee, usd("6.01"))) == (400, None, "amount")
    assert isinstance(ask(bank, ref, 20_000, "k1", reverse=None, fee=True), Made)
    assert bank.connect.fee(ref) == ApplicationFee(taken=usd("10.00"), returned=usd("10.00"))
    assert refused(bank.connect.return_fee(fee)) == (400, None, "amount")
    assert refused(bank.connect.return_fee("fee_9")) == (404, "resource_missing", "id")
    with pytest.raises(ValueError):
        bank.connect.return_fee(fee, Money.parse("1.00", "EUR"))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("refund", "fee by hand", "reverse by hand", "fail the newest")),
        st.integers(0, 12_000),
        st.booleans(),
        st.integers(0, 5),
    ),
    max_size=25,
)


@given(steps=STEPS, direct=st.booleans(), fee_minor=st.integers(1, 10_000))
def test_never_more_of_a_fee_or_transfer_comes_back_than_was_taken(
    steps: list[tuple[str, int, bool, int]], direct: bool, fee_minor: int
) -> None:
    """Refunds of payment, fee and transfer, in any order and repeated: what returned is at most what was taken."""
    # failure: A18
    bank = MemoryBank(lambda: START)
    fee = Money(fee_minor, usd("1.00").currency)
    if direct:
        ref = bank.charge(usd("100.00"), account=SELLER, application_fee=fee)
    else:
        ref = bank.charge(usd("100.00"), destination=SELLER, application_fee=fee)
    for kind, minor, return_fee, key in steps:
        if kind == "refund":
            ask(bank, ref, minor or None, f"k{key}", reverse=None if direct else True, fee=return_fee)
        elif kind == "fee by hand":
            bank.connect.return_fee(fee_of(bank, ref), Money(minor, fee.currency) if minor else None)
        elif kind == "fail the newest":
            live = [refund for refund in bank.refunds(ref) if refund.status == "succeeded"]
            if live:
                bank.settle(live[0].id, "failed", "declined")
        else:
            for transfer in bank.connect.transfers(ref):
                bank.connect.reverse(transfer.id, Money(minor, fee.currency) if minor else None)
        seen = shown(bank, ref).application_fee
        assert seen == bank.connect.fee(ref)
        assert seen is not None
        told = [item for item in bank.news() if item.type == "application_fee.refunded"]
        rows = [row for row in bank.payouts.rows("platform") if row.type == "application_fee_refund"]
        assert -sum(row.amount for row in rows) == seen.returned.amount_minor <= fee_minor
        assert len(told) == len(rows)
        for transfer in bank.connect.transfers(ref):
            assert 0 <= transfer.reversed.amount_minor <= transfer.amount.amount_minor


# -- what the bank tells ------------------------------------------------------------------------------------


def test_the_bank_tells_what_happened_in_order() -> None:
    """Each change is one record, with where to look; those since a number are the new ones."""
    now = [START]
    bank = MemoryBank(lambda: now[0])
    ref = bank.charge(usd("200.00"), destination=SELLER, application_fee=usd("10.00"))
    assert bank.news() == ()
    ask(bank, ref, 5_000, "k1", fee=True)
    ask(bank, ref, 5_000, "k1", fee=True)  # a replay is no news
    assert [(item.type, item.account, item.object_id, item.charge) for item in bank.news()] == [
        ("refund.created", "platform", "re_1", "ch_1"),
        ("charge.refunded", "platform", "ch_1", "ch_1"),
        ("transfer.reversed", "platform", "tr_1", "ch_1"),
        ("application_fee.refunded", "platform", "fee_1", "ch_1"),
    ]
    seen = len(bank.news())
    now[0] += timedelta(days=2)
    (trace,) = bank.news(seen)
    assert (trace.type, trace.object_id, trace.at) == ("refund.updated", "re_1", START + timedelta(days=1))
    bank.settle("re_1", "failed", "declined")
    assert [item.type for item in bank.news(seen + 1)] == ["refund.failed"]


def test_the_bank_tells_of_disputes() -> None:
    """An inquiry moves no money; a chargeback withdraws it, and gives it back only when won."""
    bank = MemoryBank(lambda: START)
    ref = bank.charge(usd("200.00"), account=SELLER)
    bank.close_dispute(bank.dispute(ref, status="warning_needs_response"), "warning_closed")
    lost, won = bank.dispute(ref), bank.dispute(ref)
    bank.move_dispute(lost, "under_review")
    bank.close_dispute(lost, "lost")
    bank.close_dispute(won, "won")
    assert {item.account for item in bank.news()} == {SELLER}
    assert [(item.type.removeprefix("charge.dispute."), item.object_id) for item in bank.news()] == [
        ("created", "du_1"),
        ("closed", "du_1"),
        ("created", "du_2"),
        ("funds_withdrawn", "du_2"),
        ("created", "du_3"),
        ("funds_withdrawn", "du_3"),
        ("updated", "du_2"),
        ("closed", "du_2"),
        ("closed", "du_3"),
        ("funds_reinstated", "du_3"),
    ]
    with pytest.raises(ValueError):
        bank.move_dispute(bank.dispute(ref), "warning_under_review")
    with pytest.raises(ValueError):
        bank.close_dispute(bank.dispute(ref), "under_review")


def test_a_copy_of_the_bank_shares_nothing_of_its_connect() -> None:
    """What happens to a copy does not happen to the original, transfers, fees and news included."""
    bank = MemoryBank(lambda: START)
    ref = bank.charge(usd("200.00"), destination=SELLER, application_fee=usd("10.00"))
    twin = bank.copy()
    ask(twin, ref, 20_000, "k1", fee=True)
    assert bank.news() == ()
    assert [part.left for part in bank.connect.transfers(ref)] == [usd("200.00")]
    assert [part.left for part in twin.connect.transfers(ref)] == [usd("0.00")]
