"""The journal a seed runs over: in memory, or SQLite files in a temporary folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from enum import StrEnum

from refund_adapters.simulation.world import MakeHandle
from refund_adapters.sql import SqliteJournal
from refund_domain.ports import RefundJournal


class Journal(StrEnum):
    """Which journal, as `--journal` takes it."""

    MEMORY = "memory"
    SQLITE = "sqlite"


@contextmanager
def handles(journal: Journal) -> Iterator[MakeHandle | None]:
    """How workers get their handle on the one journal of a seed; None: the world's own streams in memory.

    The file is not synced: a simulated crash takes the process, not the machine, and syncing only costs time.
    """
    if journal is Journal.MEMORY:
        yield None
        return
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="refunds-simulated-"))

        def handle(clock: Callable[[], datetime]) -> RefundJournal:
            path = os.path.join(folder, "refunds.db")
            return stack.enter_context(
                SqliteJournal(path, clock=clock, synchronous="OFF", weaker_durability_accepted=True)
            )

        yield handle
