"""In which world a seed runs: the promised one, with cap, webhooks and reconciliation on or off, or a broken one.

Every span that the policy assumes can be broken, one at a time; a simulator that does not find the harm done then
could not find it in the rules either.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Final

import attrs

from refund_domain.policy import Policy

_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)


class Broken(StrEnum):
    """The assumption that does not hold."""

    KEY_LIFE = "key_life"
    """The gateway forgets an idempotency key after minutes."""
    EXECUTES_LATE = "executes_late"
    """A request given up executes up to two days later."""
    COMPLETES_LATE = "completes_late"
    """A 5xx completes up to two days later."""
    LIST_LAG = "list_lag"
    """A list shows a refund up to two days after it was made."""
    CLOCK_SKEW = "clock_skew"
    """The workers' clocks differ by more than a day."""
    APPEND_LOST = "append_lost"
    """Appends that had committed are gone after a crash."""


@attrs.frozen(kw_only=True)
class Mode:
    """One kind of world. `caps`: whether the gateway refuses more than was captured, and the policy trusts it.
    `webhooks`: whether anything tells of changes, or every look is the library's own idea. `reconciles`: whether
    workers reconcile payments and accounts. `guards`: whether people pause and resume, and the policy wants second
    persons and limits. `separate`: whether most charges are shared by transfers made apart. `pays`: whether
    balances are paid out on a schedule, and refunds draw on what is left. `jumps`: whether clocks fall back again
    and again, several at a time, instead of one of them once.

    The spans are the truth of this world, which the policy does not know: `key_life` how long a key is kept,
    `executes_most` and `completes_most` the latest a request given up or a 5xx takes effect, `list_lag_most` how
    late a list may be, `skew_most` how far the workers' clocks may lie apart.
    """

    name: str
    caps: bool
    webhooks: bool = False
    reconciles: bool = False
    guards: bool = False
    separate: bool = False
    pays: bool = False
    jumps: bool = False
    broken: Broken | None = None
    key_life: timedelta = 24 * _HOUR
    executes_most: timedelta = _HOUR
    completes_most: timedelta = 2 * _HOUR
    list_lag_most: timedelta = _HOUR
    skew_most: timedelta = 5 * _MINUTE

    def policy(self, *, accept_unsettled_ach: bool = False, return_application_fee: bool = False) -> Policy:
        """The policy the workers of this world keep: always the promised spans."""
        return Policy(
            gateway_caps=self.caps,
            accept_unsettled_ach=accept_unsettled_ach,
            return_application_fee=return_application_fee,
        )


CAP_ON: Final = Mode(name="cap-on", caps=True)
CAP_OFF: Final = Mode(name="cap-off", caps=False)
CAP_ON_TOLD: Final = Mode(name="cap-on-webhooks", caps=True, webhooks=True)
CAP_OFF_TOLD: Final = Mode(name="cap-off-webhooks", caps=False, webhooks=True)
RECONCILED: Final = tuple(
    attrs.evolve(mode, name=f"{mode.name}-reconciled", reconciles=True)
    for mode in (CAP_ON, CAP_OFF, CAP_ON_TOLD, CAP_OFF_TOLD)
)
GUARDED: Final = attrs.evolve(CAP_OFF, name="cap-off-guarded", guards=True)
PROMISED: Final = (CAP_ON, CAP_OFF, CAP_ON_TOLD, CAP_OFF_TOLD, *RECONCILED, GUARDED)
"""The worlds in which the promise holds."""
SEPARATE: Final = (
    attrs.evolve(CAP_OFF, name="cap-off-separate", separate=True),
    attrs.evolve(RECONCILED[2], name="cap-on-told-separate", separate=True),
    attrs.evolve(GUARDED, name="cap-off-guarded-separate", separate=True),
)
"""Worlds of separate charges, in which the promise holds as well."""
PAID_OUT: Final = (attrs.evolve(CAP_OFF, name="cap-off-paid-out", pays=True),)
"""The world whose balances are paid out, in which the promise holds as well."""
JUMPING: Final = (attrs.evolve(RECONCILED[1], name="cap-off-reconciled-jumping", jumps=True),)
"""The world whose clocks fall back again and again beside many disputes, in which the promise holds as well."""
SOUND: Final = (*PROMISED, *SEPARATE, *PAID_OUT, *JUMPING)
"""All the worlds in which the promise holds."""
BROKEN: Final = (
    Mode(name="broken-key_life", caps=False, broken=Broken.KEY_LIFE, key_life=10 * _MINUTE),
    Mode(name="broken-executes_late", caps=False, broken=Broken.EXECUTES_LATE, executes_most=48 * _HOUR),
    Mode(name="broken-completes_late", caps=False, broken=Broken.COMPLETES_LATE, completes_most=48 * _HOUR),
    Mode(name="broken-list_lag", caps=False, broken=Broken.LIST_LAG, list_lag_most=48 * _HOUR),
    Mode(name="broken-clock_skew", caps=False, broken=Broken.CLOCK_SKEW, skew_most=60 * _HOUR),
    Mode(name="broken-append_lost", caps=False, broken=Broken.APPEND_LOST),
)
MODES: Final[dict[str, Mode]] = {mode.name: mode for mode in (*SOUND, *BROKEN)}
"""Every mode by its name, as `--mode` takes it."""
