"""The bank's records as Stripe's JSON: whole objects, as one account sees them, by one API version.

Members that Stripe leaves out are left out (Stripe facts, "The refund object"); links are ids until expanded. The
client's name, e-mail and card number are the double's own arguments, so that a test can plant some and see that
they go nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from refund_adapters.memory import rows
from refund_adapters.memory._books import Books
from refund_adapters.memory._disputes import OVER, Disputed
from refund_adapters.memory._records import CARDS, Charge, Refund
from refund_adapters.memory._shares import Back, Fee, Moved
from refund_adapters.memory.course import ENDED
from refund_adapters.memory.intents import Opened
from refund_adapters.memory.payout import Paid
from refund_domain.payments import PLATFORM, PaymentStatus

Json = dict[str, Any]

VERSION: Final = "2026-10-28.endive"
REFUNDS_ON_CHARGE_UNTIL: Final = "2022-11-15"
PENDING_REASON_SINCE: Final = "2025-04-30"
APPLICATION: Final = "ca_double"


@attrs.frozen(kw_only=True)
class Payer:
    """The client of every charge: what must never leak. Give a test's own words to look for them afterwards."""

    name: str = "Dana Payer"
    email: str = "dana@example.com"
    phone: str = "+15555550100"
    postal_code: str = "94110"
    last4: str = "4242"
    fingerprint: str = "Xt5EWLLDS7FJjR1c"


@attrs.frozen(kw_only=True)
class View:
    """The books as one account sees them. Call it under the bank's lock."""

    books: Books
    account: str
    live: bool
    version: str
    payer: Payer
    overlay: dict[str, Json]

    # -- payments ---------------------------------------------------------------------------------------------

    def charge(self, charge: Charge) -> Json:
        """A charge, whole."""
        share, row = charge.share, rows.charge_row(charge)
        transfer = None if share is None else share.transfer
        fee = None if share is None else share.fee
        failed = charge.status is PaymentStatus.FAILED
        paid = not failed
        body: Json = {
            "id": charge.ref.charge,
            "object": "charge",
            "amount": charge.amount.amount_minor,
            "amount_captured": charge.captured_minor,
            "amount_refunded": self._figure(charge),
            "application": APPLICATION if charge.ref.account != PLATFORM else None,
            "application_fee": None if fee is None else fee.id,
            "application_fee_amount": None if fee is None else fee.minor,
            "balance_transaction": None if row is None else row.id,
            "billing_details": self._billing(),
            "calculated_statement_descriptor": "INSPECTIONS",
            "captured": charge.captured_minor > 0,
            "created": stamp(charge.taken_at),
            "currency": charge.amount.currency.code.lower(),
            "customer": None,
            "description": None,
            "disputed": bool(charge.disputes),
            "failure_balance_transaction": None,
            "failure_code": "debit_not_authorized" if failed else None,
            "failure_message": "The debit failed." if failed else None,
            "fraud_details": {},
            "livemode": self.live,
            "metadata": {},
            "on_behalf_of": None,
            "outcome": None if failed else {**_OUTCOME},
            "paid": paid,
            "payment_intent": charge.intent,
            "payment_method": f"pm_{charge.ref.charge}",
            "payment_method_details": self._method(charge),
            "receipt_email": self.payer.email,
            "receipt_number": None,
            "receipt_url": None,
            "refunded": 0 < charge.captured_minor <= charge.live_minor,
            "review": None,
            "shipping": None,
            "source": None,
            "source_transfer": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": charge.status.value,
            "transfer_data": None,
            "transfer_group": None if share is None else share.group,
        }
        if transfer is not None:
            whole = transfer.minor == charge.captured_minor
            body["transfer"] = transfer.id
            body["transfer_data"] = {
                "amount": None if whole else transfer.minor,
                "destination": transfer.destination,
            }
            body["transfer_group"] = transfer.group
        if self.version < REFUNDS_ON_CHARGE_UNTIL:
            body["refunds"] = self.refunds_of(charge)
        return body

    def refunds_of(self, charge: Charge) -> Json:
        """The first ten refunds of a charge, as old API versions put them on it."""
        listed = [refund for refund in reversed(charge.refunds) if refund.shown_at <= self.books.now]
        page = [self.refund(refund) for refund in listed[:10]]
        return listed_as(page, f"/v1/charges/{charge.ref.charge}/refunds", more=len(listed) > 10)

    def _figure(self, charge: Charge) -> int:
        return self.books.picture(charge).payment.given_back.amount_minor

    def _billing(self) -> Json:
        payer = self.payer
        address = dict.fromkeys(("city", "country", "line1", "line2", "state"))
        return {
            "address": {**address, "postal_code": payer.postal_code},
            "email": payer.email,
            "name": payer.name,
            "phone": payer.phone,
            "tax_id": None,
        }

    def _method(self, charge: Charge) -> Json:
        last4, fingerprint = self.payer.last4, self.payer.fingerprint
        if charge.method in CARDS:
            checks = {"address_line1_check": None, "address_postal_code_check": "pass", "cvc_check": "pass"}
            card: Json = {
                "brand": "visa",
                "checks": checks,
                "country": "US",
                "exp_month": 4,
                "exp_year": 2030,
                "fingerprint": fingerprint,
                "funding": "credit",
                "last4": last4,
                "network": "visa",
            }
            if charge.method == "card":
                card |= {"amount_authorized": charge.amount.amount_minor, "installments": None, "wallet": None}
                return {"type": "card", "card": card}
            terminal = {"amount_authorized", "checks"}
            present = {name: value for name, value in card.items() if name not in terminal}
            return {"type": "card_present", "card_present": {**present, **_PRESENT}}
        details: Json = {"type": charge.method}
        if charge.method == "us_bank_account":
            details["us_bank_account"] = {
                "account_holder_type": "individual",
                "account_type": "checking",
                "bank_name": "STRIPE TEST BANK",
                "expected_debit_date": None if charge.settles_on is None else charge.settles_on.isoformat(),
                "fingerprint": fingerprint,
                "last4": last4,
                "payment_reference": None,
                "routing_number": "110000000",
            }
        return details

    def intent(self, intent: Opened) -> Json:
        """A PaymentIntent; its latest charge is an id."""
        shown, charge = intent.shown(), intent.charge
        method = "card" if charge is None else charge.method
        received = charge.captured_minor if charge is not None and shown.status == "succeeded" else 0
        share = None if charge is None else charge.share
        return {
            "id": intent.id,
            "object": "payment_intent",
            "amount": intent.amount.amount_minor,
            "amount_capturable": intent.amount.amount_minor if shown.status == "requires_capture" else 0,
            "amount_details": {"tip": {}},
            "amount_received": received,
            "application": None,
            "application_fee_amount": share.fee.minor if share is not None and share.fee is not None else None,
            "automatic_payment_methods": None,
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": "manual" if shown.status == "requires_capture" else "automatic",
            "client_secret": f"{intent.id}_secret_double",
            "confirmation_method": "automatic",
            "created": stamp(self.books.now if charge is None else charge.taken_at),
            "currency": intent.amount.currency.code.lower(),
            "customer": None,
            "description": None,
            "last_payment_error": None,
            "latest_charge": shown.charge,
            "livemode": self.live,
            "metadata": {},
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None if charge is None else f"pm_{charge.ref.charge}",
            "payment_method_options": {},
            "payment_method_types": [method],
            "processing": None,
            "receipt_email": self.payer.email,
            "review": None,
            "setup_future_usage": None,
            "shipping": None,
            "source": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": shown.status,
            "transfer_data": None,
            "transfer_group": None if share is None else share.group,
        }

    def session(self, session: str, intent_id: str | None) -> Json:
        """A checkout session; without a PaymentIntent it is one that set up or expired."""
        intent = None if intent_id is None else self.books.intents[self.account, intent_id]
        paid = intent is not None and intent.shown().status == "succeeded"
        total = None if intent is None else intent.amount.amount_minor
        return {
            "id": session,
            "object": "checkout.session",
            "amount_subtotal": total,
            "amount_total": total,
            "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
            "cancel_url": None,
            "client_reference_id": None,
            "created": stamp(self.books.now),
            "currency": None if intent is None else intent.amount.currency.code.lower(),
            "custom_fields": [],
            "custom_text": dict.fromkeys(
                ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
            ),
            "customer": None,
            "customer_details": {
                "address": None,
                "business_name": None,
                "email": self.payer.email,
                "individual_name": None,
                "name": self.payer.name,
                "phone": None,
                "tax_exempt": "none",
                "tax_ids": None,
            },
            "customer_email": self.payer.email,
            "expires_at": stamp(self.books.now + timedelta(hours=24)),
            "livemode": self.live,
            "metadata": {},
            "mode": "payment" if intent is not None else "setup",
            "payment_intent": intent_id,
            "payment_method_types": ["card"],
            "payment_status": "paid" if paid else "unpaid",
            "shipping_options": [],
            "status": "complete" if paid else "open",
            "success_url": "https://example.com/done",
            "url": None,
        }

    # -- refunds and disputes -----------------------------------------------------------------------------------

    def refund(self, refund: Refund) -> Json:
        """A refund, without the members that do not apply to it."""
        charge, ask = refund.charge, refund.ask
        made = rows.refund_rows(refund)
        ended = refund.status in ENDED
        body: Json = {
            "id": refund.id,
            "object": "refund",
            "amount": refund.minor,
            "balance_transaction": made[0].id if made else None,
            "charge": charge.ref.charge,
            "created": stamp(refund.created_at),
            "currency": charge.amount.currency.code.lower(),
            "destination_details": self._destination(refund),
            "metadata": {} if ask is None else dict(ask.metadata),
            "payment_intent": charge.intent,
            "reason": None if ask is None else ask.reason,
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": refund.status,
            "transfer_reversal": refund.reversal,
        }
        body |= self.overlay.get(refund.id, {})
        if ended:
            body["failure_reason"] = refund.failure_reason or "unknown"
            if len(made) > 1:
                body["failure_balance_transaction"] = made[1].id
        elif refund.pending_reason is not None and self.version >= PENDING_REASON_SINCE:
            body["pending_reason"] = refund.pending_reason
        return body

    def _destination(self, refund: Refund) -> Json:
        """Where its trace is told; an ACH refund has none (Stripe facts, "Trace reference")."""
        method = refund.charge.method
        if method not in CARDS:
            return {"type": method}
        card: Json = {"type": refund.trace}
        if refund.trace == "refund":
            there = refund.reference is not None
            card |= {
                "reference_status": "available" if there else "pending",
                "reference_type": "acquirer_reference_number",
            }
            if there:
                card["reference"] = refund.reference
        return {"type": "card", "card": card}

    def dispute(self, disputed: Disputed) -> Json:
        """A dispute, with evidence nobody has given yet."""
        value, charge = disputed.value, disputed.charge
        inquiry = not disputed.takes
        body: Json = {
            "id": value.id,
            "object": "dispute",
            "amount": value.amount.amount_minor,
            "balance_transactions": [self.row(row) for row in self._dispute_rows(disputed)],
            "charge": charge.ref.charge,
            "created": stamp(disputed.opened_at),
            "currency": value.amount.currency.code.lower(),
            "enhanced_eligibility_types": [],
            "evidence": {**dict.fromkeys(_EVIDENCE), "enhanced_evidence": {}},
            "evidence_details": {
                "due_by": stamp(disputed.opened_at + timedelta(days=9)),
                "enhanced_eligibility": {},
                "has_evidence": False,
                "past_due": False,
                "submission_count": 0,
                "submission_method": "not_submitted",
            },
            "is_charge_refundable": inquiry and value.status not in OVER,
            "livemode": self.live,
            "metadata": {},
            "payment_intent": charge.intent,
            "reason": "fraudulent" if charge.method in CARDS else "bank_cannot_process",
            "status": value.status,
        }
        if charge.method in CARDS:
            case = "inquiry" if inquiry else "chargeback"
            card = {"brand": "visa", "case_type": case, "network": "visa", "network_reason_code": "10.4"}
            body["payment_method_details"] = {"type": "card", "card": card}
        return body

    def _dispute_rows(self, disputed: Disputed) -> Iterable[rows.Row]:
        found = rows.rows_of(self.books, disputed.charge.ref.account) if disputed.takes else []
        return (row for row in found if row.source == disputed.value.id)

    # -- Connect ------------------------------------------------------------------------------------------------

    def transfer(self, moved: Moved) -> Json:
        """A transfer with its reversals."""
        listed = moved.listed(self.books.now)
        backs = [self.reversal(moved, back) for back in listed]
        return {
            "id": moved.id,
            "object": "transfer",
            "amount": moved.minor,
            "amount_reversed": sum(back.minor for back in listed),
            "balance_transaction": f"txn_{moved.id}",
            "created": stamp(moved.at),
            "currency": moved.currency.code.lower(),
            "description": None,
            "destination": moved.destination,
            "destination_payment": f"py_{moved.id}",
            "livemode": self.live,
            "metadata": {},
            "reversals": listed_as(backs[:10], f"/v1/transfers/{moved.id}/reversals", more=len(backs) > 10),
            "reversed": moved.left_minor == 0,
            "source_transaction": moved.source,
            "source_type": "card",
            "transfer_group": moved.group,
        }

    def reversal(self, moved: Moved, back: Back) -> Json:
        """One reversal of a transfer."""
        return {
            "id": back.id,
            "object": "transfer_reversal",
            "amount": back.minor,
            "balance_transaction": f"txn_{back.id}",
            "created": stamp(back.at),
            "currency": moved.currency.code.lower(),
            "destination_payment_refund": f"pyr_{back.id}",
            "metadata": dict(back.metadata),
            "source_refund": back.refund,
            "transfer": moved.id,
        }

    def fee(self, fee: Fee) -> Json:
        """An application fee with its refunds."""
        backs = [self.fee_refund(fee, back) for back in reversed(fee.back)]
        return {
            "id": fee.id,
            "object": "application_fee",
            "account": fee.account,
            "amount": fee.minor,
            "amount_refunded": fee.back_minor,
            "application": APPLICATION,
            "balance_transaction": f"txn_{fee.id}",
            "charge": fee.charge,
            "created": stamp(fee.at),
            "currency": fee.currency.code.lower(),
            "fee_source": {"charge": fee.charge, "type": "charge"},
            "livemode": self.live,
            "originating_transaction": None,
            "refunded": fee.left_minor == 0,
            "refunds": listed_as(backs[:10], f"/v1/application_fees/{fee.id}/refunds", more=len(backs) > 10),
        }

    def fee_refund(self, fee: Fee, back: Back) -> Json:
        """One refund of an application fee."""
        return {
            "id": back.id,
            "object": "fee_refund",
            "amount": back.minor,
            "balance_transaction": f"txn_{back.id}_out",
            "created": stamp(back.at),
            "currency": fee.currency.code.lower(),
            "fee": fee.id,
            "metadata": {},
        }

    # -- money --------------------------------------------------------------------------------------------------

    def row(self, row: rows.Row) -> Json:
        """A balance transaction."""
        currency = row.currency.lower()
        details = [
            {"amount": amount, "application": maker, "currency": currency, "description": words, "type": kind}
            for amount, maker, words, kind in (
                (row.fee - row.application_fee, None, "Stripe processing fees", "stripe_fee"),
                (row.application_fee, APPLICATION, "Application fee", "application_fee"),
            )
            if amount
        ]
        return {
            "id": row.id,
            "object": "balance_transaction",
            "amount": row.amount,
            "available_on": stamp(row.available_at),
            "balance_type": "payments",
            "created": stamp(row.at),
            "currency": currency,
            "description": None,
            "exchange_rate": None,
            "fee": row.fee,
            "fee_details": details,
            "net": row.net,
            "reporting_category": row.category,
            "source": row.source,
            "status": "available" if row.available_at <= self.books.now else "pending",
            "type": row.type,
        }

    def payout(self, payout: Paid) -> Json:
        """A payout."""
        failed = payout.status == "failed"
        return {
            "id": payout.id,
            "object": "payout",
            "amount": payout.amount.amount_minor,
            "application_fee": None,
            "application_fee_amount": None,
            "arrival_date": stamp(payout.arrives_at),
            "automatic": payout.automatic,
            "balance_transaction": f"txn_{payout.id}",
            "created": stamp(payout.made_at),
            "currency": payout.amount.currency.code.lower(),
            "description": "STRIPE PAYOUT",
            "destination": "ba_double",
            "failure_balance_transaction": f"txn_{payout.id}_back" if payout.ended_at is not None else None,
            "failure_code": payout.failure_code if failed else None,
            "failure_message": "The bank refused it." if failed else None,
            "livemode": self.live,
            "metadata": {},
            "method": "standard",
            "original_payout": None,
            "payout_method": None,
            "reconciliation_status": payout.reconciliation,
            "reversed_by": None,
            "source_type": "card",
            "statement_descriptor": None,
            "status": payout.status,
            "trace_id": {"status": "pending", "value": None},
            "type": "bank_account",
        }

    # -- by id --------------------------------------------------------------------------------------------------

    def by_id(self, name: str) -> Json | None:
        """Whatever object of this account has this id; None if none has."""
        books, account = self.books, self.account
        charge = books.charges.get((account, name))
        if charge is not None:
            return self.charge(charge)
        kind, _, rest = name.partition("_")
        find = self._finders().get(kind)
        return find(name) if find is not None and rest else None

    def _finders(self) -> dict[str, Callable[[str], Json | None]]:
        books, account = self.books, self.account

        def refund(name: str) -> Json | None:
            found = books.refunds.get(name)
            return self.refund(found) if found is not None and found.charge.ref.account == account else None

        def dispute(name: str) -> Json | None:
            found = books.disputes.get(name)
            return self.dispute(found) if found is not None and found.charge.ref.account == account else None

        def intent(name: str) -> Json | None:
            found = books.intents.get((account, name))
            return None if found is None else self.intent(found)

        def session(name: str) -> Json | None:
            there = (account, name) in books.sessions
            return self.session(name, books.sessions[account, name]) if there else None

        def payout(name: str) -> Json | None:
            found = books.payouts.get(name)
            return self.payout(found) if found is not None and found.account == account else None

        def row(name: str) -> Json | None:
            return next((self.row(row) for row in rows.rows_of(books, account) if row.id == name), None)

        finders: dict[str, Callable[[str], Json | None]] = {
            "re": refund,
            "pyr": refund,
            "du": dispute,
            "pi": intent,
            "cs": session,
            "po": payout,
            "txn": row,
        }
        if account == PLATFORM:
            finders.update(self._platforms())
        return finders

    def _platforms(self) -> dict[str, Callable[[str], Json | None]]:
        books = self.books

        def transfer(name: str) -> Json | None:
            return self.transfer(books.transfers[name]) if name in books.transfers else None

        def fee(name: str) -> Json | None:
            return self.fee(books.fees[name]) if name in books.fees else None

        def reversal(name: str) -> Json | None:
            each = ((moved, back) for moved in books.transfers.values() for back in moved.back)
            return next((self.reversal(moved, back) for moved, back in each if back.id == name), None)

        def fee_refund(name: str) -> Json | None:
            each = ((fee, back) for fee in books.fees.values() for back in fee.back)
            return next((self.fee_refund(fee, back) for fee, back in each if back.id == name), None)

        return {"tr": transfer, "fee": fee, "trr": reversal, "fr": fee_refund}


def listed_as(data: list[Json], url: str, *, more: bool) -> Json:
    """A page of a list."""
    return {"object": "list", "data": data, "has_more": more, "url": url}


def stamp(at: datetime) -> int:
    """Whole seconds, as Stripe tells time."""
    return int(at.timestamp())


_OUTCOME: Final = {
    "advice_code": None,
    "network_advice_code": None,
    "network_decline_code": None,
    "network_status": "approved_by_network",
    "reason": None,
    "risk_level": "normal",
    "risk_score": 12,
    "seller_message": "Payment complete.",
    "type": "authorized",
}
_PRESENT: Final = {
    "amount_authorized": None,
    "cardholder_name": None,
    "emv_auth_data": None,
    "generated_card": None,
    "incremental_authorization_supported": False,
    "overcapture_supported": False,
    "read_method": "contactless_emv",
    "receipt": None,
}
_EVIDENCE: Final = (
    "access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure",
    "cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name",
    "customer_purchase_ip", "customer_signature", "duplicate_charge_documentation",
    "duplicate_charge_explanation", "duplicate_charge_id", "product_description", "receipt", "refund_policy",
    "refund_policy_disclosure", "refund_refusal_explanation", "service_date", "service_documentation",
    "shipping_address", "shipping_carrier", "shipping_date", "shipping_documentation",
    "shipping_tracking_number", "uncategorized_file", "uncategorized_text",
)  # fmt: skip
