"""`python -m tests.stripe_double.many ENTRIES [LOST]`: one payout of very many entries, served fast.

A second face for one purpose: the double draws each answer from its bank, which a million entries would wait for.
Here a hundred rows are drawn by it once, whole, with what they are about; each page is those rows under other ids.
It serves one automatic, reconciled payout and its entries, the newest first, and answers the request for page LOST
(counted from 0) once with a 503. Prints its address, and ends when its standard input is closed.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from refund_adapters.memory import ManualClock, MemoryBank
from refund_domain.money import Money
from tests.canaries import CARD, EMAIL, KEY, NAME
from tests.stripe_double.double import StripeDouble
from tests.stripe_double.objects import Payer

PAGE: Final = 100
PAID: Final = 97
"""How many of a page's rows are payments; the others are a refund, a chargeback and a top-up."""
PAYMENT_MINOR, FEE_MINOR, REFUND_MINOR = 5_000, 175, 2_000
DISPUTE_MINOR, DISPUTE_FEE_MINOR = 5_000, 1_500
TOP_UP_MINOR: Final = 70
NET_MINOR: Final = (
    PAID * (PAYMENT_MINOR - FEE_MINOR) - REFUND_MINOR - DISPUTE_MINOR - DISPUTE_FEE_MINOR + TOP_UP_MINOR
)
"""What a page adds to the payout."""
PAYOUT: Final = "po_many"
_MARK: Final = "0123456789"
"""Stands in the ids of the rows where the number of the page will."""


def drawn() -> list[dict[str, Any]]:
    """The rows of a page, drawn by the double, with what they are about."""
    clock = ManualClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
    bank = MemoryBank(clock)
    fee = Money(FEE_MINOR, Money.parse("1", "USD").currency)
    paid = [bank.charge(Money(PAYMENT_MINOR, fee.currency), fee=fee) for _ in range(PAID)]
    bank.elsewhere(paid[0], Money(REFUND_MINOR, fee.currency))
    bank.dispute(paid[1])
    clock.forward(timedelta(days=3))
    double = StripeDouble(bank, keys=(KEY,), payer=Payer(name=NAME, email=EMAIL, phone=CARD))
    headers = {"Authorization": f"Bearer {KEY}"}
    said = double.answer("GET", "/v1/balance_transactions?limit=100&expand[]=data.source", headers, "")
    assert double.violations == ()
    rows: list[dict[str, Any]] = json.loads(said.body)["data"]
    top_up = {**rows[0], "id": "txn_top_up", "amount": TOP_UP_MINOR, "fee": 0, "net": TOP_UP_MINOR}
    top_up |= {"fee_details": [], "reporting_category": "topup", "type": "topup", "source": None}
    return [*rows, top_up]


def template(rows: list[dict[str, Any]]) -> tuple[bytes, int]:
    """A page of these rows as bytes to be filled in with the page's number, and how many times."""
    text = ", ".join(json.dumps(row) for row in rows).replace("%", "%%")
    text = re.sub(r'"((?:txn|ch|re|du|py|pi|pm)_[A-Za-z0-9_]+)"', rf'"\1_{_MARK}"', text)
    return text.replace(_MARK, "%d").encode(), text.count(_MARK)


class Many:
    """The server; one thread for each connection."""

    def __init__(self, entries: int, lost: int | None) -> None:
        assert entries % PAGE == 0
        self.pages, self._lost = entries // PAGE, lost
        self._rows, self._count = template(drawn())
        self._last = "txn_top_up"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            read = b""
            while True:
                while b"\r\n\r\n" not in read:
                    more = connection.recv(65_536)
                    if not more:
                        return
                    read += more
                head, _, read = read.partition(b"\r\n\r\n")
                connection.sendall(self._answer(urlsplit(head.split(b" ", 2)[1].decode())))

    def _answer(self, target: Any) -> bytes:
        asked = parse_qs(target.query)
        if target.path == f"/v1/payouts/{PAYOUT}":
            return _message(200, json.dumps(self.payout()).encode())
        if target.path == "/v1/payouts":
            return _message(200, b'{"object": "list", "data": [], "has_more": false, "url": "/v1/payouts"}')
        assert (target.path, asked["payout"]) == ("/v1/balance_transactions", [PAYOUT])
        assert (asked["limit"], asked["expand[0]"]) == (["100"], ["data.source"])
        number = 0
        if "starting_after" in asked:
            (after,) = asked["starting_after"]
            last, _, page = after.rpartition("_")
            assert last == self._last, f"{after} is not the last of its page"
            number = int(page) + 1
        if number == self._lost:
            self._lost = None
            return _message(503, b'{"error": {"type": "api_error", "message": "Unavailable."}}')
        return self._page(number)

    def _page(self, number: int) -> bytes:
        more = b"true" if number + 1 < self.pages else b"false"
        head = b'{"object": "list", "url": "/v1/balance_transactions", "has_more": ' + more + b', "data": ['
        return _message(200, head + self._rows % ((number,) * self._count) + b"]}")

    def payout(self) -> dict[str, Any]:
        """The payout: exactly the sum of its entries."""
        return {
            "id": PAYOUT,
            "object": "payout",
            "amount": self.pages * NET_MINOR,
            "arrival_date": 1_772_800_000,
            "automatic": True,
            "created": 1_772_700_000,
            "currency": "usd",
            "livemode": False,
            "reconciliation_status": "completed",
            "status": "paid",
        }


def _message(status: int, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} Word\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def main(arguments: list[str]) -> int:
    """Serve until nobody is left who started it."""
    many = Many(int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else None)
    print(many.base_address, flush=True)
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
