"""Child processes that issue refunds until they are done or killed: run by test_real_parts and test_cron.

`python -m tests.adapters.issue_child stripe DATABASE ADDRESS CHARGE…` issues each charge once through the mock
of Stripe and prints one JSON line a charge. `… decided DATABASE ADDRESS` issues the decisions it is handed, and
prints the same. `… bank DATABASE` refunds what its parent's bank, asked over standard input and output, holds,
until it is killed. `… cron DATABASE` runs the cron job's script once, at the same bank.
"""

from __future__ import annotations

import base64
import json
import pickle
import sys

from refund_adapters.sql import SqliteJournal
from refund_domain import Actor, PaymentRef, Refund, RefundService
from refund_domain.answers import Answer, Ask, Look
from refund_domain.refusals import Refused
from tests.canaries import KEY

MARIA = Actor(id="maria", tenant="acme")


class ParentsGateway:
    """A gateway whose bank lives in the parent process: one pickled line out, one back."""

    live = False

    def look(self, ref: PaymentRef, /) -> Look:
        """Ask the parent to look."""
        return self._ask(("look", ref))  # type: ignore[return-value]

    def send(self, send: Ask, /) -> Answer:
        """Ask the parent to refund."""
        return self._ask(("send", send))  # type: ignore[return-value]

    def _ask(self, question: object) -> object:
        write_line(sys.stdout.buffer.fileno(), question)
        line = sys.stdin.buffer.readline()
        if not line:
            raise SystemExit("the parent is gone")
        return read_line(line)


def write_line(target: int, value: object) -> None:
    """Write a value as one line, at once."""
    import os

    os.write(target, base64.b64encode(pickle.dumps(value)) + b"\n")


def read_line(line: bytes) -> object:
    """The value of one line. Only for lines between these two processes."""
    return pickle.loads(base64.b64decode(line))


def at_stripe(database: str, address: str) -> RefundService:
    """The service over this file and over real sockets."""
    import stripe

    from refund_adapters.stripe import StripeGateway

    stripe.enable_telemetry = False
    gateway = StripeGateway(KEY, base_address=address)
    return RefundService(gateway, SqliteJournal(database), allow=lambda *_: True)


def issue_decided(database: str, address: str) -> None:
    """Issue the decisions that the parent hands over; one JSON line of each refund."""
    service = at_stripe(database, address)
    commands = read_line(sys.stdin.buffer.readline())
    assert isinstance(commands, tuple)
    print("ready", flush=True)
    sys.stdin.buffer.readline()
    for command in commands:
        result = service.issue(command)
        assert isinstance(result, Refund), result
        print(json.dumps({"charge": command.payment.charge, "id": result.id, "said": result.status}), flush=True)


def issue_at_stripe(database: str, address: str, charges: list[str]) -> None:
    """Quote and issue each charge, whatever others do meanwhile; one JSON line of what came of it."""
    service = at_stripe(database, address)
    print("ready", flush=True)
    sys.stdin.readline()
    for charge in charges:
        quote = service.quote(PaymentRef("platform", charge), by=MARIA)
        if quote.refusals:
            said = [refusal.code for refusal in quote.refusals]
        else:
            result = service.issue(quote.verified(by=MARIA))
            said = [reason.code for reason in result.reasons] if isinstance(result, Refused) else [result.status]
        print(json.dumps({"charge": charge, "said": said}), flush=True)


def issue_until_killed(database: str) -> None:
    """Quote and issue what the parent names, for ever."""
    gateway = ParentsGateway()
    service = RefundService(gateway, SqliteJournal(database), allow=lambda *_: True)
    while True:
        ref = gateway._ask(("next", None))
        if not isinstance(ref, PaymentRef):
            return
        service.recover()
        quote = service.quote(ref, by=MARIA)
        if not quote.refusals:
            result = service.issue(quote.verified(by=MARIA))
            if isinstance(result, Refund):
                gateway._ask(("told", (ref, result.status)))


def recover_as_cron_does(database: str) -> None:
    """The cron job's script of the documentation, once."""
    from docs.examples.inspections.recover_refunds import run

    gateway = ParentsGateway()
    with SqliteJournal(database) as journal:
        service = RefundService(gateway, journal, allow=lambda *_: True)
        gateway._ask(("done", run(service)))


if __name__ == "__main__":
    if sys.argv[1] == "stripe":
        issue_at_stripe(sys.argv[2], sys.argv[3], sys.argv[4:])
    elif sys.argv[1] == "decided":
        issue_decided(sys.argv[2], sys.argv[3])
    elif sys.argv[1] == "cron":
        recover_as_cron_does(sys.argv[2])
    else:
        issue_until_killed(sys.argv[2])
