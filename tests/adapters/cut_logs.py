"""The write-ahead log of an SQLite file as a crash may leave it: cut to a frame, within one, or a byte wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

PAGE: Final = 4096
HEADER: Final = 32
FRAME: Final = 24 + PAGE


def cuts(log: bytes) -> Iterator[tuple[int, bytes]]:
    """What is left of the log: to each frame, into the next one, and with its last byte turned over; each with
    how much of it is whole."""
    yield 0, b""
    for end in range(HEADER, len(log) + 1, FRAME):
        yield end, log[:end]
        yield end, log[: end + 12]
        yield end, log[: end + FRAME - 1]
        if end > HEADER:
            yield end - FRAME, log[: end - 1] + bytes([log[end - 1] ^ 1])


def lay(path: Path, file: bytes, log: bytes) -> None:
    """Put a file and what is left of its log there, without the log's index, which dies with the machine."""
    assert (len(file) % PAGE) == 0
    path.write_bytes(file)
    Path(f"{path}-wal").write_bytes(log)
    Path(f"{path}-shm").unlink(missing_ok=True)
