"""Names and notes out of a tenant's records, every fact of the money left. Docs: how-to/erase.md."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Final

import attrs

from refund_domain._checks import check_text
from refund_domain.commands import Actor
from refund_domain.errors import JournalUnavailable
from refund_domain.operations.erasure import PSEUDONYM, erased, is_erased
from refund_domain.ports import OperatedJournal, Tailed

PAGE: Final = 200
"""How many events are read, and put back, at once: no transaction is longer."""

MOST_PASSES: Final = 20
"""How often the history is gone through before giving up on workers that go on writing the name."""

EVERYBODY: Final = ""


def erase_actor(journal: OperatedJournal, tenant: str, actor: str) -> int:
    """Erase this actor of the tenant: the id wherever it stands, and what was written in those events.

    Gives in how many events something went. In place of the id comes one random name, the same wherever this actor
    acted; nobody can find it from the id, or the id from it, once the erasure is done. Take the right to act away
    first: who acts later stands there under the id again. Killed or broken off, run it again: it goes on with the
    same name. Run it once more when all that was allowed before has ended: what came where the last pass had been
    is left till then, and goes under another name. Doing it twice changes nothing else.

    Raises ValueError for a name that is erased already, `JournalBusy` while another of this tenant was begun and
    not ended, `JournalUnavailable` where the actor goes on acting, `JournalError` for the journal.
    """
    check_text(actor, "actor", 255)
    if is_erased(Actor(id=actor, tenant=tenant)):
        raise ValueError("this actor was erased already: there is no name to erase")
    return _erase(journal, tenant, actor)


def erase_everybody(journal: OperatedJournal, tenant: str) -> int:
    """Erase everybody's names and all that was written in the tenant's records, as `erase_actor` does one actor's.

    Different actors keep different names.
    """
    return _erase(journal, tenant, EVERYBODY)


def _erase(journal: OperatedJournal, tenant: str, scope: str) -> int:
    check_text(tenant, "tenant", 255)
    key = journal.begin_erasure(tenant, scope, secrets.token_hex(32))

    def pseudonym(actor: Actor) -> str | None:
        if is_erased(actor) or scope not in (EVERYBODY, actor.id):
            return None
        digest = hmac.new(bytes.fromhex(key), actor.id.encode(), hashlib.sha256).hexdigest()
        return f"{PSEUDONYM}{digest[:32]}"

    count = 0
    for _ in range(MOST_PASSES):
        found = _pass(journal, tenant, pseudonym, everything=scope == EVERYBODY)
        if not found:
            break
        count += found
    else:
        raise JournalUnavailable("this actor goes on acting: take the right to act away, then run it again")
    journal.end_erasure(tenant, key)
    return count


def _pass(
    journal: OperatedJournal, tenant: str, pseudonym: Callable[[Actor], str | None], *, everything: bool
) -> int:
    """Go through the whole history once; in how many events something went."""
    count, after = 0, ""
    while page := journal.history(tenant, after, PAGE):
        gone: list[Tailed] = []
        for each in page:
            event = erased(each.event, pseudonym, everything=everything)
            if event != each.event:
                gone.append(attrs.evolve(each, event=event))
        if gone:
            journal.erase(tenant, gone)
            count += len(gone)
        after = page[-1].position
    return count
