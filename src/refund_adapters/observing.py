"""Observers for a service: one that writes log lines, and a hand-over that lets a slow one keep nobody waiting.

observe = Background(LogObserver())
refunds = RefundService(gateway, journal, allow=may_refund, observe=observe)
...
observe.close()                                   # when the process ends: what is still waiting is told
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import deque
from typing import Final

from refund_domain._checks import check_count
from refund_domain._wiring import check_observer
from refund_domain.decider.ledger import Status
from refund_domain.service.observations import Kind, Observation
from refund_domain.service.watch import Observe, tell

_BROKEN: Final = frozenset({Kind.UNWRITTEN, Kind.ALLOW_BROKE})
_QUIET: Final = frozenset({Kind.LOOKED, Kind.PAYMENT_SEEN, Kind.LOOK_SCHEDULED, Kind.BEATEN})
_LOUD: Final = frozenset({Kind.NOT_MADE, Kind.PERSON_ASKED})
_TROUBLE: Final = frozenset({"unread", "missing", "declined", "not_sent", "outcome_unknown"})


def level_of(told: Observation) -> int:
    """How loud this is: ERROR where a person must mend something, `allow` broke or an answer went unwritten,
    WARNING where it did not go well, DEBUG for what happens all the time, else INFO."""
    if told.alarm is not None or told.kind in _BROKEN:
        return logging.ERROR
    failed = told.after in (Status.FAILED, Status.CANCELED) and told.after is not told.before
    if failed or told.answer in _TROUBLE or told.kind in _LOUD:
        return logging.WARNING
    return logging.DEBUG if told.kind in _QUIET else logging.INFO


class LogObserver:
    """Writes one line for each observation, with its fields beside it for a structured log.

    The fields are those of `Observation.fields()`, each with `refund_` before it but for `refund_id` itself, so
    that none meets an attribute of a log record. `logger` is `refunds` if none is given. It is as slow as the
    logger's handlers are: put it behind a `Background` unless they only write to a stream.

    >>> import sys
    >>> from refund_domain import PaymentRef
    >>> logger = logging.getLogger("doctest")
    >>> logger.addHandler(logging.StreamHandler(sys.stdout))
    >>> LogObserver(logger)(
    ...     Observation(kind=Kind.SENT, ref=PaymentRef("platform", "ch_1"), answer="not_sent", why="rate_limited")
    ... )
    sent platform/ch_1 answer=not_sent why=rate_limited
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        if logger is None:
            logger = logging.getLogger("refunds")
        if not all(callable(getattr(logger, method, None)) for method in ("isEnabledFor", "log")):
            said = f"not {type(logger).__name__}"
            raise TypeError(f"logger must be a logging.Logger, e.g. logging.getLogger('refunds'), {said}")
        self._logger = logger

    def __call__(self, told: Observation) -> None:
        level = level_of(told)
        if self._logger.isEnabledFor(level):
            named = {name if name == "refund_id" else f"refund_{name}": v for name, v in told.fields().items()}
            self._logger.log(level, "%s", told, extra=named)


class Background:
    """Hands observations to `observe` in a thread of its own, so that no refund ever waits for it.

    At most `most` wait; what comes then is dropped, and so is what comes after `close`. `dropped` counts those,
    `failed` those that `observe` raised for. The thread starts with the first observation and keeps no process
    alive: what still waits when a process ends is lost, unless it was closed.

    Fork-safe: a child begins with an empty queue, zero counts and a thread of its own; what waited in the parent
    is told there. `observe` must be fork-safe itself.
    """

    def __init__(self, observe: Observe, *, most: int = 1000) -> None:
        check_observer(observe)
        check_count(most, "most", 1)
        self._observe, self._most = observe, most
        self._begin()
        if hasattr(os, "register_at_fork"):
            begin = weakref.WeakMethod(self._begin)
            os.register_at_fork(after_in_child=lambda: None if (again := begin()) is None else again())

    def _begin(self) -> None:
        self._turn = threading.Condition()
        self._waiting: deque[Observation] = deque()
        self._thread: threading.Thread | None = None
        self._telling = self._closed = False
        self.dropped = self.failed = 0

    def __call__(self, told: Observation) -> None:
        with self._turn:
            if self._closed or len(self._waiting) >= self._most or not self._has_thread():
                self.dropped += 1
                return
            self._waiting.append(told)
            self._turn.notify_all()

    def __enter__(self) -> Background:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def drain(self, timeout_s: float = 5.0) -> bool:
        """Wait until everything that was taken has been told; False if that takes longer."""
        until = time.monotonic() + timeout_s
        with self._turn:
            while self._waiting or self._telling:
                if not self._turn.wait(until - time.monotonic()):
                    return False
        return True

    def close(self, timeout_s: float = 5.0) -> bool:
        """Take nothing more, and wait until what was taken has been told; False if that takes longer."""
        with self._turn:
            self._closed = True
            self._turn.notify_all()
        return self.drain(timeout_s)

    def _has_thread(self) -> bool:
        """Start one if there is none."""
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="refund observations", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread can be started any more: the process is ending, or full
                return False
            self._thread = thread
        return True

    def _work(self) -> None:
        while (told := self._next()) is not None:
            try:
                well = tell(self._observe, told)
            except BaseException:  # a SystemExit ends nothing here: there is no process of this thread's own
                well = False
            with self._turn:
                self._telling = False
                self.failed += not well
                self._turn.notify_all()

    def _next(self) -> Observation | None:
        """The longest waiting observation; None once it is closed and all were told."""
        with self._turn:
            while not self._waiting:
                if self._closed:
                    return None
                self._turn.wait()
            self._telling = True
            return self._waiting.popleft()
