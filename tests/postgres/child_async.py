"""What the processes of `child` do, on the async journal: `python -m tests.postgres.child MODE_async …`."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from datetime import UTC, datetime

import psycopg

from refund_adapters.sql import AsyncPostgresJournal
from refund_domain import AsyncRefundService, IssueRefund, PaymentRef, Refund, Refused
from refund_domain.errors import JournalConflict, JournalError
from refund_domain.events import PersonAsked
from tests.postgres.bank import AsyncTableBank
from tests.postgres.child import (
    HASTY,
    MARIA,
    PAUSE_S,
    QUIET,
    SLOW_S,
    SWIFT,
    issued,
    refused,
    say,
    shared_ref,
)


async def anybody(*_: object) -> bool:
    """Everybody may do everything."""
    return True


async def issue(conninfo: str, level: str, count: str, shift: str) -> None:
    """Quote and issue each payment from two tasks on one loop: one issues, one requests in transactions of a
    host's own at this level."""
    host = await psycopg.AsyncConnection.connect(conninfo)
    await host.set_isolation_level(getattr(psycopg.IsolationLevel, level))
    async with await AsyncPostgresJournal.open(conninfo, busy_timeout_s=30, statement_timeout_s=60) as journal:
        service = AsyncRefundService(AsyncTableBank(conninfo), journal, allow=anybody)
        say("ready")
        sys.stdin.readline()
        places = [(number + int(shift)) % int(count) for number in range(int(count))]
        conflicts = await asyncio.gather(_issue(service, places[1::2], None), _issue(service, places[::2], host))
    say(json.dumps({"conflicts": sum(conflicts)}))


async def _issue(service: AsyncRefundService, places: list[int], host: psycopg.AsyncConnection | None) -> int:
    """One task's payments; how often a transaction of its host's had to be repeated."""
    conflicts = 0
    for place in places:
        quote = await service.quote(PaymentRef("platform", f"ch_{place}"), by=MARIA)
        if quote.refusals:
            say(json.dumps({"charge": place, "said": [reason.code for reason in quote.refusals]}))
            continue
        command = quote.verified(by=MARIA)
        if host is None:
            said = await service.issue(command)
        else:
            said, again = await _request(service, host, command, place)
            conflicts += again
            if not isinstance(said, Refused):
                await service.dispatch(command.payment)
        codes = [reason.code for reason in said.reasons] if isinstance(said, Refused) else ["made"]
        say(json.dumps({"charge": place, "said": codes}))
    return conflicts


async def _request(
    service: AsyncRefundService, host: psycopg.AsyncConnection, command: IssueRefund, place: int
) -> tuple[Refund | Refused, int]:
    """Request in a transaction that the host repeats until it is committed."""
    conflicts = 0
    while True:
        try:
            async with host.transaction():
                await host.execute("INSERT INTO bookings VALUES (%s)", (place,))
                wanted = await (await service.within(host)).request(command)
            return wanted, conflicts  # committed
        except (JournalConflict, psycopg.errors.SerializationFailure):
            conflicts += 1


async def recover(conninfo: str, limit: str) -> None:
    """Recover so many at a time until nothing is due any more; tell how many each run went on with."""
    async with await AsyncPostgresJournal.open(conninfo, busy_timeout_s=30) as journal:
        bank = AsyncTableBank(conninfo, slow_s=SLOW_S)
        service = AsyncRefundService(bank, journal, allow=anybody, policy=HASTY)
        say("ready")
        sys.stdin.readline()
        while True:
            done = await service.recover(int(limit))
            say(f"looked {done.looked} {len(done.failed)}")
            if not done.looked:
                return


async def serve(conninfo: str, till: str, begin: str) -> None:
    """Issue payment after payment at the bank in `till`, until killed; tell what was issued and what broke.

    What broke is issued again until it is told, or left to recovery: every other payment each.
    """
    bank = AsyncTableBank(till)
    journal = await AsyncPostgresJournal.open(conninfo, busy_timeout_s=2)
    service = AsyncRefundService(bank, journal, allow=anybody, policy=SWIFT)
    say("ready")
    sys.stdin.readline()
    for number in itertools.count(int(begin)):
        ref = PaymentRef("platform", f"ch_{number}")
        command, again = None, True
        while again:
            try:
                again = False
                if command is None:
                    quote = await service.quote(ref, by=MARIA)
                    if quote.refusals:
                        say(refused(ref))
                        continue
                    command = quote.verified(by=MARIA)
                say(issued(ref, await service.issue(command)))
            except JournalError as error:
                again = number % 2 == 0
                say(f"err {ref} 0 {type(error).__name__}")
                await asyncio.sleep(PAUSE_S)


async def append(conninfo: str, name: str) -> None:
    """Append to streams of its own, two events at a time, until killed; tell what returned and what did not."""
    journal = await AsyncPostgresJournal.open(conninfo, busy_timeout_s=2, connections=1)
    number = 0
    while True:
        number += 1
        ref = PaymentRef("platform", f"{name}_{number}")
        version = 0
        while version < 8:
            events = [PersonAsked(at=datetime.now(UTC), refund_id=f"r{part}") for part in (1, 2)]
            try:
                await journal.append(ref, events, expected=version, head=QUIET)
            except JournalError as error:
                say(f"err {ref} {version} {type(error).__name__}")
                break
            version += 2
            say(f"ack {ref} {version}")


async def share(conninfo: str, name: str) -> None:
    """Append to a stream of its own and to some that all workers share, until killed; tell what stood."""
    say("ready")
    sys.stdin.readline()
    journal = await AsyncPostgresJournal.open(conninfo, busy_timeout_s=30)
    for number in itertools.count():
        ref = shared_ref(name, number)
        expected = (await journal.load(ref)).version
        event = PersonAsked(at=datetime.now(UTC), refund_id=f"{name}.{number}")
        try:
            await journal.append(ref, [event], expected=expected, head=QUIET)
        except JournalConflict:
            say(f"beaten {ref} {expected}")
        except JournalError as error:
            say(f"err {ref} {expected} {type(error).__name__}")
        else:
            say(f"ack {ref} {expected + 1}")
