"""The bank's PaymentIntents and checkout sessions: enough of them to find the charge."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from refund_adapters.memory import MemoryBank
from refund_adapters.memory.intents import Intent
from refund_domain.money import Money
from refund_domain.payments import PaymentRef

USD = Money.parse("200.00", "USD")


@pytest.fixture
def bank() -> MemoryBank:
    return MemoryBank(lambda: datetime(2026, 3, 2, 9, tzinfo=UTC))


def found(bank: MemoryBank, intent: str, account: str = "platform") -> Intent:
    seen = bank.intents.find(account, intent)
    assert seen is not None
    return seen


def test_a_charge_has_one_intent(bank: MemoryBank) -> None:
    """Asked twice for a charge's intent, the bank names the same; it leads back to the charge."""
    ref, other = bank.charge(USD), bank.charge(USD)
    intent = bank.intents.of(ref)
    assert (intent, bank.intents.of(ref), bank.intents.of(other)) == ("pi_1", "pi_1", "pi_2")
    assert found(bank, intent) == Intent(
        id="pi_1", account="platform", amount=USD, status="succeeded", charge=ref.charge
    )


def test_an_intent_follows_its_charge(bank: MemoryBank) -> None:
    """Authorised, under way, failed: the intent's status is what its charge says."""
    held = bank.intents.of(bank.charge(USD, captured=Money.parse("0.00", "USD")))
    debit = bank.charge(USD, method="us_bank_account", settled=False)
    moving = bank.intents.of(debit)
    assert [found(bank, intent).status for intent in (held, moving)] == ["requires_capture", "processing"]
    bank.fail_payment(debit)
    assert found(bank, moving).status == "requires_payment_method"


def test_an_intent_nobody_paid_has_no_charge_until_somebody_pays(bank: MemoryBank) -> None:
    """It keeps the word it was opened with; the latest charge counts."""
    intent = bank.intents.open(USD, account="acct_1")
    assert (found(bank, intent, "acct_1").charge, found(bank, intent, "acct_1").status) == (
        None,
        "requires_payment_method",
    )
    first, second = bank.charge(USD, account="acct_1"), bank.charge(USD, account="acct_1")
    bank.intents.pay(intent, first)
    bank.intents.pay(intent, second)
    assert found(bank, intent, "acct_1").charge == second.charge
    assert bank.intents.of(second) == intent
    assert bank.intents.find("platform", intent) is None


def test_a_session_belongs_to_an_account_and_names_its_intent_or_none(bank: MemoryBank) -> None:
    """A session for an intent that the account does not hold is refused."""
    intent = bank.intents.of(bank.charge(USD))
    assert bank.intents.session(intent) == "cs_test_1"
    assert bank.intents.session(None) == "cs_test_2"
    with pytest.raises(ValueError):
        bank.intents.session(intent, account="acct_1")
    with pytest.raises(ValueError):
        bank.intents.pay("pi_9", PaymentRef("platform", "ch_1"))
