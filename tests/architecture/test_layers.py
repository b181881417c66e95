"""The house keeps its shape: who may import what, how long a room may be, what the core may never touch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
CORE = SRC / "refund_domain"
ADAPTERS = SRC / "refund_adapters"

CORE_ALLOWED = {"__future__", "attrs", "collections.abc", "datetime", "enum", "operator", "re", "typing"}
"""What a core module may import besides the core: attrs and the standard library's values."""

SERVICE_ALLOWED = CORE_ALLOWED | {"os", "time"}
"""The services alone name the default sources of ids and of monotonic time."""

WATCH_ALLOWED = CORE_ALLOWED | {"threading"}
"""The watch keeps one flag for each thread: whether it is telling an observer just now."""

WIRING_ALLOWED = CORE_ALLOWED | {"inspect"}
"""What a host wires a service with is told apart by how it is called, which `inspect` knows."""

FLOORS = (
    {"_checks", "_wiring"},
    {"money", "errors"},
    {"connect"},
    {"payments"},
    {"commands"},
    {"answers", "refusals", "policy", "signals"},
    {"events", "inputs", "arrival", "feeds", "health", "erasure", "funds"},
    {"legs", "entries"},
    {"ledger", "controls", "allowance", "whereabouts", "statement"},
    {"ports", "progress"},
    {"reading", "reading_async"},
    {"eligibility"},
    {"advice", "evidence", "doubt", "funding"},
    {"pulling"},
    {"attention", "rhythm"},
    {"decide", "observations", "views"},
    {"quotes", "cancellation", "stream", "within"},
    {"bulk", "operate", "operate_async", "reconcile", "watch"},
    {"loop", "loop_async"},
    {"guard", "guard_async"},
    {"bookings", "bookings_async"},
    {"refunds"},
    {"refunds_async"},
    {"__init__"},
)
"""The core from the ground up: a module imports from lower floors only."""

FOREIGN = {
    "stripe": {"stripe", "requests", "urllib3", "httpx", "aiohttp", "msgspec"},
    "sql": {"sqlite3", "psycopg"},
    "cli": {"typer", "rich"},
    "demo": {"typer", "rich"},
    "records": {"typer"},
    "plots": {"matplotlib"},
    "statements": {"typer", "rich"},
}
"""What each adapter may import that no other may. Everything else foreign is forbidden to all."""

LONGEST_FUNCTION = 70
LONGEST_MODULE = 480
"""Lines of a file, docstrings included: what one sitting holds."""


def imports(path: Path) -> set[str]:
    """The modules this file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative imports hide where a name comes from"
            found.add(node.module or "")
    return found


def core_modules() -> list[Path]:
    """The core's modules, the testing kit left out."""
    return [path for path in sorted(CORE.rglob("*.py")) if "testing" not in path.parts]


def fronts() -> list[Path]:
    """The modules that stand for a folder of the core."""
    return [path for path in core_modules() if path.stem == "__init__" and path.parent != CORE]


ROOMS = [path for path in core_modules() if path not in fronts()]
"""The core's modules without those that only stand for a folder."""


@pytest.mark.parametrize("path", core_modules(), ids=lambda p: str(p.relative_to(CORE)))
def test_core_imports_attrs_and_values_only(path: Path) -> None:
    """A core module imports the core, attrs and the standard library's values, and nothing else."""
    allowed = SERVICE_ALLOWED if path.stem.startswith("refunds") else CORE_ALLOWED
    if path.stem == "watch":
        allowed = WATCH_ALLOWED
    if path.stem == "_wiring":
        allowed = WIRING_ALLOWED
    foreign = {name for name in imports(path) if not name.startswith("refund_domain")} - allowed
    assert not foreign


@pytest.mark.parametrize("path", ROOMS, ids=lambda p: str(p.relative_to(CORE)))
def test_core_imports_downwards_only(path: Path) -> None:
    """A core module imports from lower floors only, and every module has its floor."""
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    for name in imports(path):
        if name.startswith("refund_domain."):
            assert floor[name.rsplit(".", 1)[1]] < floor[path.stem], f"{path.stem} imports {name}"


def test_every_room_of_the_core_has_its_floor_and_folders_say_what_is_in_them() -> None:
    """Each module stands on one floor, no two share a name, and a folder's own module is a docstring alone."""
    assert sorted(path.stem for path in ROOMS) == sorted(name for names in FLOORS for name in names)
    for path in fronts():
        (only,) = ast.parse(path.read_text()).body
        assert isinstance(only, ast.Expr), path


@pytest.mark.parametrize("path", core_modules(), ids=lambda p: str(p.relative_to(CORE)))
def test_core_reads_no_clock_and_no_chance(path: Path) -> None:
    """No core module calls a clock, a random source, a log, a file or the network."""
    forbidden = {"now", "utcnow", "today", "sleep", "open", "print", "getLogger", "random", "input"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            assert name not in forbidden, f"{path.name}:{node.lineno} calls {name}"


def test_adapters_keep_their_foreign_parts_to_themselves() -> None:
    """Each foreign package is imported by its own adapter only, and hypothesis by the testing kit only."""
    own = {"refund_domain", "refund_adapters", "attrs", "_typeshed"}
    for path in sorted(ADAPTERS.rglob("*.py")):
        place = path.relative_to(ADAPTERS).parts[0].removesuffix(".py")
        for name in imports(path):
            top = name.split(".")[0]
            if top in own or (top in sys.stdlib_module_names and top != "sqlite3"):
                continue
            if place == "simulation" and top == "sqlite3":
                continue
            assert top in FOREIGN.get(place, set()), f"{path.relative_to(SRC)} imports {name}"


def test_kit_imports_hypothesis_in_strategies_only() -> None:
    """The laws need no Hypothesis; the strategies alone import it."""
    for path in sorted((CORE / "testing").rglob("*.py")):
        if "hypothesis" in {name.split(".")[0] for name in imports(path)}:
            assert "strategies" in path.parts or path.stem == "machine"


def test_importing_the_library_loads_nothing_foreign() -> None:
    """`import refund_domain` brings neither an adapter nor a heavy part of the standard library with it."""
    code = (
        "import attrs, sys; before = set(sys.modules); import refund_domain; print(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert loaded - {"refund_domain"} <= {"datetime", "_datetime", "math", "zlib"}


PLAIN = [
    *(
        f"refund_adapters.{name}"
        for name in (
            "memory",
            "observing",
            "plots",
            "records",
            "simulation",
            "sql",
            "statements.export",
            "statements.steps",
            "stripe",
            "wording",
        )
    ),
    *(f"refund_adapters.stripe.{path.stem}" for path in sorted((ADAPTERS / "stripe").glob("[!_]*.py"))),
]
"""What a host may import at no cost: each adapter, and all that is public of the one with a dear foreign part."""

DEAR = {"asyncio", "concurrent", "email", "http", "socket", "ssl"}
"""Parts of the standard library that cost as much to import as all of this library."""


@pytest.mark.parametrize("module", PLAIN)
def test_importing_an_adapter_loads_nothing_foreign(module: str) -> None:
    """A plain import brings no package of others with it, installed or not, and no dear part of Python's own."""
    code = (
        "import refund_domain, sys; before = set(sys.modules);"
        f"import {module}; print(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert loaded
    assert loaded <= sys.stdlib_module_names - DEAR | {"refund_domain", "refund_adapters"}


@pytest.mark.parametrize(
    "package",
    ["memory", "observing", "plots", "records", "sql", "statements", "stripe", "simulation", "wording"],
)
def test_importing_an_adapter_needs_no_extra(package: str) -> None:
    """Each adapter imports without its foreign part; that is loaded when first used."""
    code = (
        "import sys\n"
        "for name in "
        "'stripe requests httpx aiohttp msgspec psycopg typer rich matplotlib hypothesis'.split():\n"
        "    sys.modules[name] = None\n"
        f"import refund_adapters.{package}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda p: str(p.relative_to(SRC)))
def test_modules_and_functions_fit_one_sitting(path: Path) -> None:
    """No module is longer than one sitting and no function longer than 70 lines."""
    text = path.read_text()
    assert text.count("\n") <= LONGEST_MODULE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= LONGEST_FUNCTION, f"{path.name}: {node.name} has {lines} lines"


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda p: str(p.relative_to(SRC)))
def test_every_public_name_is_explained(path: Path) -> None:
    """Every module, public class, function and method has a docstring; port stubs say it on their class."""
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) or path.stat().st_size == 0
    if path.stem.startswith("_") and path.stem != "__init__":
        return  # a private module: nothing in it is public
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path.name}: {node.name}"
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path.name}: {node.name}"
            if path.stem == "ports":
                continue
            for method in node.body:
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and not method.name.startswith("_"):
                    assert ast.get_docstring(method), f"{path.name}: {node.name}.{method.name}"


TESTS = sorted((SRC.parent / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("path", TESTS, ids=lambda p: str(p.relative_to(SRC.parent)))
def test_every_test_says_what_it_proves(path: Path) -> None:
    """Every test function and module has a docstring."""
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), path.name
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            assert ast.get_docstring(node), f"{path.name}: {node.name}"
