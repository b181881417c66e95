"""How a service tells its observer: after the fact, and so that nothing the observer does can cost a refund.

Nothing here raises an Exception, and nothing is told between a look and the answer that was written down. What is
noted there is a function, and becomes an observation when it is told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final

import attrs

from refund_domain._wiring import check_observer
from refund_domain.answers import Answer, Ask, Look, Reversal
from refund_domain.commands import Action
from refund_domain.decider.inputs import GatewayAnswered, LegReplied
from refund_domain.decider.ledger import EMPTY
from refund_domain.events import Event
from refund_domain.payments import ControlRef, PaymentRef, Ref
from refund_domain.refusals import Refused
from refund_domain.service.observations import Kind, Observation, answered, looked, refused, written
from refund_domain.service.stream import Stream, named

Observe = Callable[[Observation], object]
"""The host's observer: told once of each thing that happened; what it returns or raises is its own affair."""

_HERE: Final = threading.local()
"""Whether this thread is telling just now: what an observer does with the service itself is not told again."""


def tell(observe: Observe, observation: Observation) -> bool:
    """Tell it, and say whether that went well: an Exception ends here.

    KeyboardInterrupt and its like pass: whatever was to be written down has been.
    """
    _HERE.telling = True
    try:
        observe(observation)
    except Exception:
        return False
    finally:
        _HERE.telling = False
    return True


class Watch:
    """What a service notes as it goes. Told at once; or, of `held()`, when the block it stands in is over.

    An interrupt of that block passes untold: the journal is the record.
    """

    def __init__(self, observe: Observe | None, monotonic: Callable[[], float]) -> None:
        if observe is not None:
            check_observer(observe)
        self._observe, self._monotonic = observe, monotonic
        self._tenant: str | None = None
        self._notes: list[Callable[[], None]] | None = None

    def held(self, tenant: str | None) -> Watch:
        """A watch of its own over a payment of this tenant, for a `with` block; it tells at the block's end."""
        held = Watch(self._observe, self._monotonic)
        held._tenant, held._notes = tenant, []
        return held

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, Exception):
            for say in self._notes or ():
                say()

    def started(self) -> float | None:
        """When a call of the gateway begins."""
        try:
            return None if self._observe is None else self._monotonic()
        except Exception:
            return None

    def looked(self, ref: PaymentRef, look: Look, started: float | None) -> None:
        """A look came back."""
        took_s = self._since(started)
        self._note(lambda: [looked(ref, self._tenant, look, took_s)])

    def sent(self, asked: Ask, answer: Answer, started: float | None) -> None:
        """A send came back, and its answer is not written down yet."""
        took_s = self._since(started)
        self._note(lambda: [self._sent(asked, answer, took_s)])

    def allow_broke(self, ref: Ref, tenant: str, action: Action, error: Exception) -> None:
        """The host's `allow` raised, or gave no bool; to the person it was a no."""
        told = Observation(kind=Kind.ALLOW_BROKE, ref=ref, tenant=tenant, answer=action, why=named(error))
        self._note(lambda: [told])

    def refused(self, stream: Stream, said: Refused) -> None:
        """A rule said no."""
        self._note(lambda: [refused(stream.ref, stream.ledger.tenant, said)])

    def beaten(self, stream: Stream) -> None:
        """Another worker appended first."""
        self._note(lambda: [Observation(kind=Kind.BEATEN, ref=stream.ref, tenant=stream.ledger.tenant)])

    def wrote(self, stream: Stream, events: tuple[Event, ...]) -> None:
        """These events were appended to what this stream was."""
        self._note(lambda: written(stream.ref, stream.ledger, events))

    def kept(self, ref: ControlRef, tenant: str, events: tuple[Event, ...]) -> None:
        """These events were appended to the stream of a switch or of a day."""
        self._note(lambda: [attrs.evolve(told, tenant=tenant) for told in written(ref, EMPTY, events)])

    def unwritten(self, stream: Stream, given: GatewayAnswered | LegReplied, error: Exception) -> None:
        """An answer could not be written down."""
        self._note(lambda: [self._unwritten(stream, given, error)])

    def _sent(self, asked: Ask, answer: Answer, took_s: float | None) -> Observation:
        told = Observation(
            kind=Kind.SENT,
            ref=asked.payment,
            tenant=self._tenant,
            refund_id=asked.refund_id,
            claim=asked.claim,
            transfer=asked.transfer if isinstance(asked, Reversal) else None,
            amount=asked.amount,
            took_s=took_s,
        )
        return answered(told, answer)

    def _unwritten(self, stream: Stream, given: GatewayAnswered | LegReplied, error: Exception) -> Observation:
        told = Observation(
            kind=Kind.UNWRITTEN,
            ref=stream.ref,
            tenant=stream.ledger.tenant,
            refund_id=given.refund_id,
            claim=given.claim,
            transfer=given.transfer if isinstance(given, LegReplied) else None,
        )
        return attrs.evolve(answered(told, given.answer), why=named(error))

    def _since(self, started: float | None) -> float | None:
        now = None if started is None else self.started()
        return None if started is None or now is None else now - started

    def _note(self, note: Callable[[], Iterable[Observation]]) -> None:
        observe = self._observe
        if observe is None or getattr(_HERE, "telling", False):
            return
        if self._notes is None:
            _say(observe, note)
        else:
            self._notes.append(lambda: _say(observe, note))


def _say(observe: Observe, note: Callable[[], Iterable[Observation]]) -> None:
    """Make the observations and tell them; what cannot be made is no reason to lose an answer."""
    try:
        told = tuple(note())
    except Exception:
        return
    for observation in told:
        tell(observe, observation)


UNWATCHED: Final = Watch(None, float)
"""What notes nothing: for a send whose answer is not written down by who makes it."""
