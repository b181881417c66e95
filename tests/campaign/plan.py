"""What a campaign does, as small units of plain data: a unit that was cut short is done again, and no more."""

from __future__ import annotations

import math
from typing import Final

import attrs

from refund_adapters.simulation.modes import BROKEN, SOUND
from tests.simulation.mutants import MUTANTS

FULL_STEPS: Final = 200_000_000
"""How many steps the simulator takes in a whole campaign; another number scales every part with it."""

FIRST_SEED: Final = 1_000_000
"""The gate's seeds lie below."""
FIRST_SEED_AGAIN: Final = 2_000_000
"""And those of a whole campaign below this one."""
STEPS_UNDER_FAULTS: Final = 300
_STEPS_A_SEED: Final = 370
"""What a seed comes to at least, on average, its settling included."""
_LOT: Final = 250
"""Seeds of one unit."""
_SQLITE_SHARE: Final = 100
"""One seed of so many runs over SQLite files, too."""
BROKEN_SEEDS: Final = 400
"""Of each world with an assumption broken."""

FULL_KILLS: Final = 5_000
"""How many SQLite workers a whole campaign kills."""
_KILLS_A_UNIT: Final = 100  # for each of two tests
FULL_CUTS: Final = 100_000
"""How many logs it cuts, about."""
_CUTS_A_UNIT: Final = 3_900  # about
_POSTGRES_ROUNDS: Final = 20
_FUZZ_UNITS: Final = 12
_FUZZ_S: Final = 300


@attrs.frozen(kw_only=True)
class Unit:
    """Number `number` of the units of one part, with what that part takes."""

    part: str
    number: int
    arguments: tuple[str | int, ...] = ()
    alone: bool = False
    """Whether nothing else may run meanwhile: it measures time."""

    @property
    def name(self) -> str:
        """What it is called in the book of what is done."""
        return f"{self.part} {self.number}"


def plan(steps: int) -> tuple[Unit, ...]:
    """The units of a campaign of so many simulated steps, in an order that brings all parts on alike."""
    scale = steps / FULL_STEPS
    seeds = _scaled(steps / len(SOUND) / _STEPS_A_SEED, 1)
    parts = [
        _lots("memory", [mode.name for mode in SOUND], FIRST_SEED, seeds),
        _lots("sqlite", [mode.name for mode in SOUND], FIRST_SEED, _scaled(seeds, 1 / _SQLITE_SHARE)),
        _lots("broken", [mode.name for mode in BROKEN], FIRST_SEED, BROKEN_SEEDS),
        [Unit(part="mutants", number=number) for number in range(len(MUTANTS))],
        [Unit(part="exhaustive", number=0)],
        [
            Unit(part="kills", number=number, arguments=(_KILLS_A_UNIT,))
            for number in range(_scaled(FULL_KILLS / _KILLS_A_UNIT / 2, scale))
        ],
        [Unit(part="wal", number=number) for number in range(_scaled(FULL_CUTS / _CUTS_A_UNIT, scale))],
        [Unit(part="postgres", number=number) for number in range(_scaled(_POSTGRES_ROUNDS, scale))],
        [
            Unit(part="fuzz", number=number, arguments=(_scaled(_FUZZ_S, min(1, scale * _FUZZ_UNITS)),))
            for number in range(_scaled(_FUZZ_UNITS, scale))
        ],
    ]
    spread = sorted(
        ((place + 0.5) / len(units), turn, unit)
        for turn, units in enumerate(parts)
        for place, unit in enumerate(units)
    )
    return (*(unit for _, _, unit in spread), Unit(part="benchmarks", number=0, alone=True))


def again(steps: int) -> tuple[Unit, ...]:
    """The units that try a later commit in so many steps: the simulator in memory, with seeds of their own."""
    seeds = _scaled(steps / len(SOUND) / _STEPS_A_SEED, 1)
    return tuple(_lots("again", [mode.name for mode in SOUND], FIRST_SEED_AGAIN, seeds))


def _scaled(whole: float, scale: float) -> int:
    return max(1, math.ceil(whole * scale))


def _lots(part: str, modes: list[str], first: int, seeds: int) -> list[Unit]:
    """So many seeds of each mode in lots, the modes in turn."""
    lots = [(at, min(at + _LOT, first + seeds)) for at in range(first, first + seeds, _LOT)]
    turns = [(mode, *lot) for lot in lots for mode in modes]
    return [Unit(part=part, number=number, arguments=turn) for number, turn in enumerate(turns)]
