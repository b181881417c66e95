"""B11: what importing the library costs, in whole processes, and that nothing foreign comes with it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from tests.benchmarks.timing import Case, Timed, summary, times_of

ROOT: Final = Path(__file__).parents[2]


@attrs.frozen(kw_only=True)
class Import:
    """What a host runs, and over what of its own it counts; `brings` are packages of others that come with it."""

    run: str
    over: str
    brings: frozenset[str] = frozenset()
    reach: str = ""


_DOMAIN: Final = "import refund_domain"
_GATEWAY: Final = "from refund_adapters.stripe import StripeGateway; StripeGateway('sk_test_benchmark')"

IMPORTS: Final = (
    Import(run="import attrs", over="pass", brings=frozenset(["attr", "attrs"])),
    Import(run=_DOMAIN, over="import attrs", reach="≤ 45,000 µs"),
    Import(run="import refund_adapters.memory", over=_DOMAIN),
    Import(run="import refund_adapters.sql", over=f"{_DOMAIN}, sqlite3"),
    Import(run="import refund_adapters.wording", over=_DOMAIN),
    Import(run="import refund_adapters.simulation", over="pass"),
    Import(run="import refund_adapters.stripe", over=_DOMAIN),
    Import(run="import refund_adapters.stripe.webhooks", over=_DOMAIN),
    Import(run=_GATEWAY, over=f"{_DOMAIN}, stripe"),
)

_LIST_LOADED: Final = "; import sys; print(*sorted(set(name.partition('.')[0] for name in sys.modules)))"


def installed() -> list[Import]:
    """Those of the imports that this version of the library has."""
    return [each for each in IMPORTS if _is_there(each.run)]


def _is_there(statement: str) -> bool:
    word, name, *_ = statement.split()
    return word != "import" or importlib.util.find_spec(name) is not None


def check_loads(each: Import, environment: Mapping[str, str]) -> None:
    """Raise RuntimeError where this import brings others' packages or asyncio, and its own dependency does not."""
    before, after = (set(_python(one + _LIST_LOADED, environment).split()) for one in (each.over, each.run))
    foreign = {
        name
        for name in after - before - each.brings
        if name == "asyncio" or not (name in sys.stdlib_module_names or name.startswith("refund_"))
    }
    if foreign:
        raise RuntimeError(f"{each.run} loads {sorted(foreign)}; nothing was timed")


def b11(quick: bool) -> list[Timed]:
    """Whole processes in interleaved rounds; what each import adds to its own dependency is the median of the
    differences within a round.

    Bytecode is written once, to a folder of this run: an installed package has it, whatever the host's settings.
    """
    imports = installed()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for each in imports:
            check_loads(each, environment)
        statements = dict.fromkeys(statement for each in imports for statement in (each.over, each.run))
        cases = [_case(statement, environment) for statement in statements]
        times = times_of(cases, rounds=1 if quick else 21)
    return [summary("python -c pass", times["pass"]), *[_row(each, times) for each in imports]]


def _case(statement: str, environment: Mapping[str, str]) -> Case:
    return Case(name=statement, work=lambda: _python(statement, environment), answer="")


def _row(each: Import, times: Mapping[str, Sequence[float]]) -> Timed:
    added = [own - base for own, base in zip(times[each.run], times[each.over], strict=True)]
    name = "making a StripeGateway" if each.run == _GATEWAY else each.run
    base = "bare Python" if each.over == "pass" else each.over
    return summary(f"{name} adds to {base}", added, each.reach)


def _python(statement: str, environment: Mapping[str, str]) -> str:
    """What a fresh interpreter prints that runs this statement."""
    command = [sys.executable, "-c", statement]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout
