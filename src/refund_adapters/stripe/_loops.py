"""One thing for each event loop of each process: connections must not be shared between either."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Makes a thing the first time a loop asks for it, and forgets it together with the loop.

    A host may run a new loop for each task (a Celery worker calling `asyncio.run`), or fork after the first use.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[int, T]] = WeakKeyDictionary()

    def get(self) -> T:
        """The running loop's thing, made if there is none."""
        loop = asyncio.get_running_loop()
        made = self._made.get(loop)
        if made is None or made[0] != os.getpid():
            made = self._made[loop] = os.getpid(), self._make()
        return made[1]

    def take(self) -> T | None:
        """The running loop's thing, which is then forgotten; None if there is none."""
        made = self._made.pop(asyncio.get_running_loop(), None)
        return made[1] if made is not None and made[0] == os.getpid() else None
