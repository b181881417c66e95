"""A counting bank in the database itself, which any number of processes share: each refund it makes is a row.

It has no cap: two sends of different keys are two refunds, and are seen. Each look and each send is a row, too.
"""

from __future__ import annotations

import asyncio
import time

import psycopg

from refund_domain import Money, PaymentRef
from refund_domain.answers import Accepted, Answer, Ask, Look, Picture
from refund_domain.payments import GatewayRefund, Payment

AMOUNT = Money.parse("200.00", "USD")

TABLES = """
    CREATE TABLE bank_refunds (
        refund_key text PRIMARY KEY, charge text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    CREATE TABLE bank_looks (charge text NOT NULL);
    CREATE TABLE bank_sends (refund_key text NOT NULL, claim integer NOT NULL);
    CREATE TABLE bank_started (at timestamptz NOT NULL);
    INSERT INTO bank_started VALUES (clock_timestamp() - interval '1 day');
"""


class TableBank:
    """A `PaymentGateway` over tables; every charge is of 200 dollars and a day old. Each call takes `slow_s`."""

    live = False

    def __init__(self, conninfo: str, *, slow_s: float = 0.0) -> None:
        self._connection = psycopg.connect(conninfo, autocommit=True)
        self._slow_s = slow_s

    def look(self, ref: PaymentRef, /) -> Look:
        """The charge and its refunds as the table has them."""
        self._connection.execute("INSERT INTO bank_looks (charge) VALUES (%s)", (ref.charge,))
        time.sleep(self._slow_s)
        rows = self._connection.execute(
            "SELECT refund_key, at FROM bank_refunds WHERE charge = %s ORDER BY at", (ref.charge,)
        ).fetchall()
        ((taken_at,),) = self._connection.execute("SELECT at FROM bank_started").fetchall()
        refunds = tuple(
            GatewayRefund(id=f"re_{key}", amount=AMOUNT, status="succeeded", created_at=at, mark=key)
            for key, at in rows
        )
        given_back = Money(min(len(rows), 1) * AMOUNT.amount_minor, AMOUNT.currency)
        payment = Payment(ref=ref, method="card", captured=AMOUNT, given_back=given_back, taken_at=taken_at)
        return Picture(payment=payment, refunds=refunds)

    def send(self, send: Ask, /) -> Answer:
        """Make the refund; the same key again is the same refund."""
        self._connection.execute("INSERT INTO bank_sends VALUES (%s, %s)", (send.refund_id, send.claim))
        time.sleep(self._slow_s)
        self._connection.execute(
            "INSERT INTO bank_refunds (refund_key, charge) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (send.refund_id, send.payment.charge),
        )
        rows = self._connection.execute("SELECT at FROM bank_refunds WHERE refund_key = %s", (send.refund_id,))
        ((at,),) = rows.fetchall()
        refund = GatewayRefund(
            id=f"re_{send.refund_id}", amount=AMOUNT, status="succeeded", created_at=at, mark=send.refund_id
        )
        return Accepted(refund=refund)

    def close(self) -> None:
        """Leave the bank."""
        self._connection.close()


class AsyncTableBank:
    """The same bank for asyncio: a call that takes long holds up no other task."""

    live = False

    def __init__(self, conninfo: str, *, slow_s: float = 0.0) -> None:
        self._bank = TableBank(conninfo, slow_s=slow_s)

    async def look(self, ref: PaymentRef, /) -> Look:
        """See `TableBank.look`."""
        return await asyncio.to_thread(self._bank.look, ref)

    async def send(self, send: Ask, /) -> Answer:
        """See `TableBank.send`."""
        return await asyncio.to_thread(self._bank.send, send)

    def close(self) -> None:
        """Leave the bank."""
        self._bank.close()
