"""Processes for the tests of the PostgreSQL journal: `python -m tests.postgres.child MODE …`, one each.

All but `share_first` and `make` have twins on the async journal, `issue_async` and so on, in `child_async`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg

from refund_adapters.sql import PostgresJournal
from refund_domain import Actor, PaymentRef, Policy, Refund, RefundService, Refused
from refund_domain.decider.ledger import Status
from refund_domain.errors import JournalConflict, JournalError
from refund_domain.events import PersonAsked
from refund_domain.ports import Head
from tests.postgres import first
from tests.postgres.bank import TableBank

MARIA = Actor(id="maria", tenant="acme")
QUIET = Head(tenant="acme", look_at=None, waiting=False)
SECOND = timedelta(seconds=1)
HASTY = Policy(licence=3 * SECOND, answer_wait=8 * SECOND, look_first=SECOND)
"""What a killed worker left is looked at soon, or a test would wait for minutes."""
SWIFT = Policy(licence=SECOND, answer_wait=2 * SECOND, look_first=SECOND)
"""The soonest that a policy allows: for what many workers leave at once."""
PAUSE_S = 0.02
"""Before the next try while the server is away."""
SLOW_S = 0.01
"""How long the bank takes for a call where workers are to meet: a network would take longer still."""


def say(words: str) -> None:
    """One line to the parent, at once."""
    os.write(1, f"{words}\n".encode())


def issue(conninfo: str, level: str, count: str, shift: str) -> None:
    """Quote and issue each payment, half of them in a transaction of a host's own at this level."""
    bank = TableBank(conninfo)
    journal = PostgresJournal(conninfo, busy_timeout_s=30, statement_timeout_s=60)
    service = RefundService(bank, journal, allow=lambda *_: True)
    host = psycopg.connect(conninfo)
    host.isolation_level = getattr(psycopg.IsolationLevel, level)
    say("ready")
    sys.stdin.readline()
    conflicts = 0
    said: Refund | Refused | None
    for number in range(int(count)):
        place = (number + int(shift)) % int(count)
        quote = service.quote(PaymentRef("platform", f"ch_{place}"), by=MARIA)
        if quote.refusals:
            say(json.dumps({"charge": place, "said": [reason.code for reason in quote.refusals]}))
            continue
        command = quote.verified(by=MARIA)
        if number % 2:
            said = service.issue(command)
        else:
            said = None
            while said is None:
                try:
                    with host.transaction():
                        host.execute("INSERT INTO bookings VALUES (%s)", (place,))
                        wanted = service.within(host).request(command)
                    said = wanted  # committed
                except (JournalConflict, psycopg.errors.SerializationFailure):
                    conflicts += 1
            if not isinstance(said, Refused):
                service.dispatch(command.payment)
        codes = [reason.code for reason in said.reasons] if isinstance(said, Refused) else ["made"]
        say(json.dumps({"charge": place, "said": codes}))
    say(json.dumps({"conflicts": conflicts}))


def recover(conninfo: str, limit: str) -> None:
    """Recover so many at a time until nothing is due any more; tell how many each run went on with."""
    bank = TableBank(conninfo, slow_s=SLOW_S)
    journal = PostgresJournal(conninfo, busy_timeout_s=30)
    service = RefundService(bank, journal, allow=lambda *_: True, policy=HASTY)
    say("ready")
    sys.stdin.readline()
    while True:
        done = service.recover(int(limit))
        say(f"looked {done.looked} {len(done.failed)}")
        if not done.looked:
            return


def serve(conninfo: str, till: str, begin: str) -> None:
    """Issue payment after payment at the bank in `till`, until killed; tell what was issued and what broke.

    What broke is issued again until it is told, or left to recovery: every other payment each.
    """
    bank = TableBank(till)
    journal = PostgresJournal(conninfo, busy_timeout_s=2)
    service = RefundService(bank, journal, allow=lambda *_: True, policy=SWIFT)
    say("ready")
    sys.stdin.readline()
    for number in itertools.count(int(begin)):
        ref = PaymentRef("platform", f"ch_{number}")
        command, again = None, True
        while again:
            try:
                again = False
                if command is None:
                    quote = service.quote(ref, by=MARIA)
                    if quote.refusals:
                        say(refused(ref))
                        continue
                    command = quote.verified(by=MARIA)
                say(issued(ref, service.issue(command)))
            except JournalError as error:
                again = number % 2 == 0
                say(f"err {ref} 0 {type(error).__name__}")
                time.sleep(PAUSE_S)


def refused(ref: PaymentRef) -> str:
    """What is said of a payment that another worker was first at."""
    return f"beaten {ref} 0"


def issued(ref: PaymentRef, said: Refund | Refused) -> str:
    """What is said of a payment that was issued."""
    return refused(ref) if isinstance(said, Refused) else f"ack {ref} {int(said.status is Status.SUCCEEDED)}"


def append(conninfo: str, name: str) -> None:
    """Append to streams of its own, two events at a time, until killed; tell what returned and what did not."""
    journal = PostgresJournal(conninfo, busy_timeout_s=2, connections=1)
    number = 0
    while True:
        number += 1
        ref = PaymentRef("platform", f"{name}_{number}")
        version = 0
        while version < 8:
            events = [PersonAsked(at=datetime.now(UTC), refund_id=f"r{part}") for part in (1, 2)]
            try:
                journal.append(ref, events, expected=version, head=QUIET)
            except JournalError as error:
                say(f"err {ref} {version} {type(error).__name__}")
                break
            version += 2
            say(f"ack {ref} {version}")


def shared_ref(name: str, number: int) -> PaymentRef:
    """Where this worker's append of this number goes: to a stream of its own, or to one that all share."""
    return PaymentRef("platform", f"all_{number % 6}" if number % 2 else name)


def share(conninfo: str, name: str) -> None:
    """Append to a stream of its own and to some that all workers share, until killed; tell what stood."""
    say("ready")
    sys.stdin.readline()
    journal = PostgresJournal(conninfo, busy_timeout_s=30)
    for number in itertools.count():
        ref = shared_ref(name, number)
        expected = journal.load(ref).version
        event = PersonAsked(at=datetime.now(UTC), refund_id=f"{name}.{number}")
        try:
            journal.append(ref, [event], expected=expected, head=QUIET)
        except JournalConflict:
            say(f"beaten {ref} {expected}")
        except JournalError as error:
            say(f"err {ref} {expected} {type(error).__name__}")
        else:
            say(f"ack {ref} {expected + 1}")


def share_first(conninfo: str, name: str) -> None:
    """The same as a worker of the first version; it reads a version only where it was beaten to one."""
    connection = first.connect(conninfo)
    say("ready")
    sys.stdin.readline()
    known: dict[PaymentRef, int] = {}
    for number in itertools.count():
        ref = shared_ref(name, number)
        expected = known.get(ref, 0)
        event = PersonAsked(at=datetime.now(UTC), refund_id=f"{name}.{number}")
        try:
            stood = first.append(connection, ref, [event], expected=expected, head=QUIET)
            known[ref] = expected + 1 if stood else first.version_of(connection, ref)
        except psycopg.Error as error:
            say(f"err {ref} {expected} {error.sqlstate}")
        else:
            say(f"ack {ref} {expected + 1}" if stood else f"beaten {ref} {expected}")


def make(conninfo: str) -> None:
    """Open a journal where there may be none yet, or one of an older schema."""
    say("ready")
    sys.stdin.readline()
    with PostgresJournal(conninfo, busy_timeout_s=30) as journal:
        say(f"made {journal.load(PaymentRef('platform', 'ch_1')).version}")


MODES: dict[str, Callable[..., None]] = {
    "issue": issue,
    "recover": recover,
    "serve": serve,
    "append": append,
    "share": share,
    "share_first": share_first,
    "make": make,
}


def run(mode: str, *arguments: str) -> None:
    """Do this, or its async twin."""
    if mode.endswith("_async"):
        from tests.postgres import child_async

        asyncio.run(getattr(child_async, mode.removesuffix("_async"))(*arguments))
    else:
        MODES[mode](*arguments)


if __name__ == "__main__":
    run(*sys.argv[1:])
