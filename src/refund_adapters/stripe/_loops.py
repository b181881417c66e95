"""One thing for each event loop of each process: connections must not be shared between either."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Makes a thing the first time a loop asks for it, and lets it go once that loop is closed.

    A host may run a new loop for each task (a Celery worker calling `asyncio.run`), or fork after the first use.
    `let_go` gives up a thing whose loop or process is gone, and must neither await nor raise.
    """

    def __init__(self, make: Callable[[], T], let_go: Callable[[T], None]) -> None:
        self._make, self._let_go = make, let_go
        self._made: dict[asyncio.AbstractEventLoop, tuple[int, T]] = {}

    def get(self) -> T:
        """The running loop's thing, made if there is none."""
        loop = asyncio.get_running_loop()
        made = self._made.get(loop)
        if made is None or made[0] != os.getpid():
            self._sweep()
            made = self._made[loop] = os.getpid(), self._make()
        return made[1]

    def take(self) -> T | None:
        """The running loop's thing, which is then forgotten; None if there is none."""
        self._sweep()
        made = self._made.pop(asyncio.get_running_loop(), None)
        return made[1] if made is not None and made[0] == os.getpid() else None

    def _sweep(self) -> None:
        """Let go of what belongs to loops that are over: a connection would keep its loop alive, and so itself."""
        for loop in tuple(self._made):
            if loop.is_closed() and (made := self._made.pop(loop, None)) is not None:
                self._let_go(made[1])
