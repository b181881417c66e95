"""What can happen in a simulated world, one small tuple each: what a trace holds, and what a replay takes.

An action that has become pointless (its operation is over, its quote was never made) does nothing: so any
part of a trace is a trace, and a failing one can be shortened by leaving actions out.
"""

from __future__ import annotations

from typing import NamedTuple


class Start(NamedTuple):
    """A person or a worker begins operation `op`: `kind` of `workers.KINDS` on payment `pay`.

    `arg` is the operation whose quote is used, or a number the kind understands; `who` 0 and 2 are the owner's
    staff, 1 is a stranger of another tenant.
    """

    op: int
    worker: int
    kind: str
    pay: int
    arg: int
    who: int


class Deliver(NamedTuple):
    """A webhook reaches a worker, which begins operation `op`: signal `number` of those that arose so far.

    With a `twist` of `webhooks.TWISTS` it is a forged one, about payment `pay` or what is near it.
    """

    op: int
    worker: int
    number: int
    pay: int
    twist: str


class Resume(NamedTuple):
    """Operation `op` goes on to its next stop; `fault` befalls the call it stopped before, `delay_s` if late."""

    op: int
    fault: str
    delay_s: int


class Cancel(NamedTuple):
    """The task of operation `op` is cancelled where it stands."""

    op: int


class Crash(NamedTuple):
    """The worker's process dies with all its operations; a new one takes its place. `lost` appends are lost."""

    worker: int
    lost: int


class Advance(NamedTuple):
    """True time goes on by so many microseconds."""

    us: int


class Clock(NamedTuple):
    """The worker's clock jumps back by so many seconds; 0 mends it."""

    worker: int
    back_s: int


class Outside(NamedTuple):
    """The world moves: `kind` is elsewhere, dispute, close, fate, drain, fund, settle_payment or fee.

    Where balances are paid out it is one of `paying.KINDS`, too.
    """

    kind: str
    pay: int
    arg: int


Action = Start | Deliver | Resume | Cancel | Crash | Advance | Clock | Outside
