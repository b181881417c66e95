"""The demonstration: it tells every chapter, tells the truth, and reads well wherever it is printed."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from refund_adapters import cli
from refund_adapters.demo import Call, Chapter, Drawn, Got, Scene, story
from refund_adapters.memory import Course, Fault
from refund_domain import RefundService
from refund_domain.payouts.entries import Group
from refund_domain.payouts.reading import PayoutReading
from refund_domain.quotes import Quote
from refund_domain.rules.cancellation import cancellation_notice
from refund_domain.rules.eligibility import cannot_be_stopped

ESCAPE = "\x1b"
TITLES = 10


def played(folder: Path, *, fault: Fault = Fault.ANSWER_LOST, course: Course | None = None) -> list[Chapter]:
    """The whole story, as data."""
    folder.mkdir(exist_ok=True)
    scene = Scene(folder, fault=fault, course=course)
    try:
        return list(story(scene))
    finally:
        scene.journal.close()


def text(chapter: Chapter) -> str:
    """What a chapter says came back."""
    return "\n".join(f"{step.label}: {step.value}" for step in chapter.steps if isinstance(step, Got))


def refunds(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would, its output piped."""
    command = [sys.executable, "-c", "from refund_adapters.cli import main; main()", *arguments]
    clean = {
        key: value
        for key, value in os.environ.items()
        if key not in {"COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "PYTHONIOENCODING"}
    }
    return subprocess.run(
        command, capture_output=True, text=True, env=clean | environment, timeout=60, check=False
    )


def test_story_tells_each_chapter(tmp_path: Path) -> None:
    """Every chapter of the promise is told, with the figures that its calls returned."""
    chapters = played(tmp_path)
    told = [text(chapter) for chapter in chapters]
    assert len(told) == TITLES
    assert all(told)
    wanted = (
        ("card: 200.00 USD paid", "Not settled yet", "Paid outside"),
        ("To refund: 200.00 USD", "300.00 USD instead of 500.00 USD", "cannot be stopped"),
        ("Refunded: 200.00 USD", "asked once, 1 refund made"),
        ("Already refunded", "asked once, 1 refund made"),
        ("Cancelling refunded nothing", "0 to the bank", "40.00 USD given back outside"),
        ("Cannot be stopped", "It stands: Refunded"),
        ("Being checked: 150.00 USD", "A refund is under way", "Accepted: 150.00 USD", "Refunded: 150.00 USD"),
        ("Refunded: 320.00 USD", "Failed: 320.00 USD", "The card is closed", "320.00 USD given back outside"),
        ("150.00 USD refunded; 0.00 USD left", "Wait for Maria: 0"),
        (
            "Payout po_2: 803.12 USD instead of 1153.12 USD: ",
            "200.00 USD went back to the client of booking 1042",
            "320.00 USD came back from refunds that failed.",
        ),
    )
    for number, (chapter, parts) in enumerate(zip(told, wanted, strict=True), 1):
        for part in parts:
            assert part in chapter, f"chapter {number}"


def test_statement_is_of_what_the_bank_did(tmp_path: Path) -> None:
    """Chapter 2 forecasts by the house's rule; chapter 10 explains what the bank paid out, whatever befell."""
    chapters = played(tmp_path / "a")
    assert "which will be 300.00 USD instead of 500.00 USD" in text(chapters[1])
    (drawn,) = [step for step in chapters[-1].steps if isinstance(step, Drawn)]
    statement = drawn.statement
    assert [str(-line.amount) for line in statement.refunds] == ["320.00 USD", "150.00 USD", "200.00 USD"]
    assert statement.total(Group.UNEXPLAINED).amount_minor == 0
    other = text(played(tmp_path / "b", fault=Fault.BREAKS_MADE_NOTHING)[-1])
    assert "953.12 USD instead of 1153.12 USD" in other  # nothing of the bank transfer ever went back


def test_double_click_is_the_same_refund(tmp_path: Path) -> None:
    """The id that chapter 3 issued is the one chapter 4 names, for the same form and for the second tab."""
    chapters = played(tmp_path)
    issued = re.search(r"Refund (id-\d+):", text(chapters[2]))
    assert issued
    assert f"Refund {issued[1]}: Refunded" in text(chapters[3])
    assert f"refunded by refund {issued[1]}" in text(chapters[3])


@pytest.mark.parametrize(
    ("fault", "tells"),
    [
        (Fault.WORKS, "Accepted: 150.00 USD"),
        (Fault.REQUEST_LOST, "asked 0 times, 0 refunds made"),
        (Fault.CONNECTION_REFUSED, "Requested: 150.00 USD"),
        (Fault.UNAUTHORIZED, "Sending stopped (credentials)"),
        (Fault.BREAKS_MADE_NOTHING, "Not made: 150.00 USD"),
        (Fault.LOOK_UNREADABLE, "Requested: 150.00 USD"),
    ],
)
def test_swapped_fault_changes_the_text(tmp_path: Path, fault: Fault, tells: str) -> None:
    """Nothing is told by heart: with another scripted fault, chapter 7 tells what happened then."""
    usual, other = text(played(tmp_path / "a")[6]), text(played(tmp_path / "b", fault=fault)[6])
    assert other != usual
    assert tells in other
    assert ("Being checked" in other) is (fault in (Fault.REQUEST_LOST, Fault.BREAKS_MADE_NOTHING))


def test_swapped_course_changes_the_text(tmp_path: Path) -> None:
    """A refund that does not fail late is not told to have failed, and no check is written."""
    chapter = text(played(tmp_path, course=Course.succeeds())[7])
    assert "Refunded: 320.00 USD" in chapter
    assert "Failed" not in chapter
    assert "outside" not in chapter


@pytest.mark.parametrize("fault", Fault)
def test_no_fault_doubles_a_refund(tmp_path: Path, fault: Fault) -> None:
    """Whatever befalls the call of chapter 7, the story ends with each payment refunded at most once."""
    end = text(played(tmp_path, fault=fault)[8])
    made = [int(count) for count in re.findall(r"(\d+) refunds? made", end)]
    assert len(made) == 3
    assert max(made) <= 1
    assert "Being checked" not in end
    assert "being checked" not in end


def test_every_call_shown_is_a_call_one_can_make(tmp_path: Path) -> None:
    """The code beside the story names real functions and fits their signatures."""
    named: dict[str, Callable[..., object]] = {
        "cannot_be_stopped": cannot_be_stopped,
        "cancellation_notice": cancellation_notice,
        "PayoutReading": PayoutReading,
    }
    methods_of = {"verified": Quote, "statement": PayoutReading}
    shown = [step.code for chapter in played(tmp_path) for step in chapter.steps if isinstance(step, Call)]
    checked = set()
    for code in shown:
        for node in ast.walk(ast.parse(code)):
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Name):
                name, bound = node.func.id, 0
                signature = inspect.signature(named[name])
            else:
                assert isinstance(node.func, ast.Attribute)
                name, bound = node.func.attr, 1
                signature = inspect.signature(getattr(methods_of.get(name, RefundService), name))
            arguments: list[object] = [None] * (len(node.args) + bound)
            signature.bind(*arguments, **{str(each.arg): None for each in node.keywords})
            checked.add(name)
    assert {
        "quote_booking",
        "issue",
        "verified",
        "recover",
        "settle",
        "show",
        "record_outside",
        "statement",
    } <= checked


def test_command_plays_and_exits_with_zero() -> None:
    """`refunds demo` ends well and prints every chapter; nothing goes to the error stream."""
    done = refunds("demo", "--fast")
    assert done.returncode == 0
    assert done.stderr == ""
    assert re.findall(r"^(\d+)\. ", done.stdout, re.MULTILINE) == [str(number) for number in range(1, TITLES + 1)]


@pytest.mark.parametrize("columns", ["40", "60", "80", "200"])
def test_piped_output_is_plain(columns: str) -> None:
    """Piped: no escape codes, no trailing blanks, plain ASCII, no line beyond the width or beyond 96 columns."""
    done = refunds("demo", COLUMNS=columns, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert ESCAPE not in done.stdout
    lines = done.stdout.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    width = min(int(columns), 96)
    assert [line for line in lines if len(line) > width] == []


def test_no_color_is_obeyed() -> None:
    """NO_COLOR leaves bold type and takes every colour, also where colour is forced."""
    coloured = refunds("demo", "--fast", FORCE_COLOR="1", TERM="xterm-256color").stdout
    plain = refunds("demo", "--fast", FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color").stdout
    assert f"{ESCAPE}[32m" in coloured
    assert re.findall(r"\x1b\[[0-9;]*3[0-7][0-9;]*m", plain) == []


def test_colours_are_accents_in_three_hues_only() -> None:
    """Green, yellow and red alone are used, never a background, white, black or a dim grey."""
    coloured = refunds("demo", "--fast", FORCE_COLOR="1", TERM="xterm-256color").stdout
    codes = {code for codes in re.findall(r"\x1b\[([0-9;]*)m", coloured) for code in codes.split(";")}
    assert codes <= {"0", "1", "4", "31", "32", "33"}
    assert {"31", "32", "33"} <= codes


def test_fault_may_be_chosen_and_odd_ones_are_refused() -> None:
    """`--fault` takes the bank's own names and says so for any other."""
    done = refunds("demo", "--fault", "connection_refused")
    assert "connection_refused" in done.stdout
    odd = refunds("demo", "--fault", "nonsense")
    assert odd.returncode == 2
    assert "answer_lost" in odd.stderr


def test_without_arguments_help_is_shown() -> None:
    """`refunds` alone explains itself instead of doing anything."""
    done = refunds()
    assert "demo" in done.stdout + done.stderr
    assert "1. A booking" not in done.stdout


@pytest.mark.parametrize(
    "arguments", [["refund_adapters.demo", "--help"], ["refund_adapters.cli", "demo", "--help"]]
)
def test_modules_run_as_the_command_does(arguments: list[str]) -> None:
    """Where the command is not on the path, `python -m` with either module does the same."""
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, "Play the story of two bookings" in done.stdout) == (0, True)


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_it_says_what_to_install(missing: str) -> None:
    """Where Typer or Rich is not installed the command names the extra and exits with 2, without a traceback."""
    code = f"import sys; sys.modules[{missing!r}] = None; from refund_adapters.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "demo"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "pip install 'refund-domain[demo]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_other_import_errors_are_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that fails for another reason is shown as it is, not taken for a missing extra."""

    def broken() -> None:
        raise ModuleNotFoundError("No module named 'elsewhere'", name="elsewhere")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(ModuleNotFoundError, match="elsewhere"):
        cli.main()


def test_reader_may_leave_early() -> None:
    """A pipe closed by its reader (`refunds demo | head`) ends the command without a traceback."""
    command = f"{sys.executable} -c 'from refund_adapters.cli import main; main()' demo --fast | head -n 3"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("1. ")
    assert "Traceback" not in done.stderr
