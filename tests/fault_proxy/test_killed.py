"""A process killed between its send and the answer, then a fresh one that recovers: one refund, known."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import attrs
import pytest

from refund_adapters.sql import SqliteJournal
from refund_domain import PaymentRef
from refund_domain.decider.ledger import EMPTY, Ledger, fold
from tests.children import start
from tests.fault_proxy.faults import FAULTS
from tests.fault_proxy.parts import Client, Mock
from tests.fault_proxy.proxy import CREATE, fault_proxy


@attrs.frozen(kw_only=True)
class Fate:
    """What becomes of the POST of a killed process, and how often recovery must send."""

    fault: str
    arrives: str
    sent_again: int


FATES = {
    "it was executed, the answer was lost": Fate(
        fault="stall before the answer", arrives="before the kill", sent_again=0
    ),
    "it never arrived": Fate(fault="silence, never forwarded", arrives="never", sent_again=1),
    "it arrives after the kill": Fate(fault="held", arrives="after the kill", sent_again=0),
    "it arrives when recovery is done": Fate(fault="held", arrives="after recovery", sent_again=1),
}


def _child(mode: str, client: Client, database: Path, address: str, ref: PaymentRef) -> subprocess.Popen[bytes]:
    return start("tests.fault_proxy.killed_child", mode, client, str(database), address, str(ref))


def _ledger(database: Path, ref: PaymentRef) -> Ledger:
    with SqliteJournal(database) as journal:
        return fold(EMPTY, journal.load(ref).events)


@pytest.mark.parametrize(
    ("name", "client"),
    [
        *((name, Client.REQUESTS) for name in FATES),
        ("it was executed, the answer was lost", Client.AIOHTTP),
        ("it arrives when recovery is done", Client.AIOHTTP),
    ],
)
def test_killed_with_the_refund_in_the_air_then_recovered(
    name: str, client: Client, mock: Mock, tmp_path: Path
) -> None:
    """SIGKILL strikes while the answer is held. The claim on disk is all that is left: no answer and no id of the
    gateway's. A fresh process looks, sends again only what a look does not show, under the same key; one refund
    is at the double in the end, and the journal knows it by its id as succeeded."""
    # failure: A07, A14, B12, B15
    fate, ref, database = FATES[name], mock.charge(), tmp_path / "refunds.db"
    with fault_proxy(mock.base_address) as proxy:
        proxy.script(CREATE, FAULTS[fate.fault])
        killed = _child("issue", client, database, proxy.base_address, ref)
        assert proxy.wait_until_struck() is FAULTS[fate.fault]
        killed.send_signal(signal.SIGKILL)
        said, _ = killed.communicate(timeout=20)
        assert (said, killed.returncode) == (b"", -signal.SIGKILL)

        ledger = _ledger(database, ref)
        (record,) = ledger.refunds
        assert [claim.answer for claim in record.claims] == [None]
        assert ledger.observed == ()

        if fate.arrives == "after the kill":
            assert proxy.release() == 1
        fresh = _child("recover", client, database, proxy.base_address, ref)
        told, _ = fresh.communicate(timeout=60)
        assert fresh.returncode == 0
        if fate.arrives == "after recovery":
            assert proxy.release() == 1

        assert mock.marks(ref) == [record.id]
        assert json.loads(told) == [[record.id, "succeeded", mock.ids(ref)[0]]]
        posts = proxy.requests(CREATE)
        assert len(posts) == 1 + fate.sent_again
        assert {post.headers["idempotency-key"] for post in posts} == {record.id}
        assert len({post.body for post in posts}) == 1
