"""Prints the story with Rich. Colour is an accent only: without it nothing is lost, on light or dark ground."""

from __future__ import annotations

import itertools
import tempfile
import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from refund_adapters.demo.scene import Call, Chapter, Drawn, Got, Said, Scene
from refund_adapters.demo.story import story
from refund_adapters.memory import Fault
from refund_adapters.statements.screen import console, show_bars
from refund_adapters.wording import Tone

_CLOSING: Final = (
    "A bank in memory, a journal in an SQLite file (removed now), a clock of its own: no real money moved.",
    "Other troubles: refunds demo --fault request_lost, --fault breaks_made_nothing (all: refunds demo --help)",
)
_MARKS: Final = {Tone.GOOD: ("+", "green"), Tone.CARE: ("!", "yellow"), Tone.BAD: ("x", "red"), None: (" ", "")}
_LEAD: Final = 3
_LABEL: Final = 19


def show(out: Console, chapter: Chapter) -> None:
    """Print one chapter."""
    out.print(Text(chapter.title, style="bold underline"))
    label_width = min(_LABEL, out.width // 3)
    for step in chapter.steps:
        match step:
            case Said(text=text):
                _columns(out, (Text(), _LEAD), (Text(text), None))
            case Call(code=code):
                _columns(out, (Text(">>>"), _LEAD), (Text(code, style="bold"), None))
            case Got(label=label, value=value, tone=tone):
                mark, colour = _MARKS[tone]
                lead = Text(mark.rjust(_LEAD - 1), style=colour)
                _columns(out, (lead, _LEAD), (Text(label), label_width), (Text(value), None))
            case Drawn(statement=statement):
                show_bars(out, statement, indent=_LEAD + 1)
    out.print()


def _columns(out: Console, *columns: tuple[Text, int | None]) -> None:
    """Print texts side by side, each folded to its width (None: the rest), without trailing blanks."""
    rest = out.width - sum(width + 1 for _, width in columns if width is not None)
    widths = [rest if width is None else width for _, width in columns]
    folded = [text.wrap(out, width) for (text, _), width in zip(columns, widths, strict=True)]
    for row in itertools.zip_longest(*folded, fillvalue=Text()):
        line = Text()
        for cell, width in zip(row, widths, strict=True):
            cell.rstrip()
            line.append_text(cell).append(" " * (width + 1 - cell.cell_len))
        line.rstrip()
        out.print(line, soft_wrap=True)


def play(fault: Fault, *, pause_s: float = 0.0) -> None:
    """Play the whole story in a temporary folder; pause between chapters where somebody watches."""
    out = console()
    with tempfile.TemporaryDirectory(prefix="refunds-demo-") as folder:
        scene = Scene(Path(folder), fault=fault)
        try:
            for chapter in story(scene):
                show(out, chapter)
                if out.is_terminal:
                    time.sleep(pause_s)
        finally:
            scene.journal.close()
    for text in _CLOSING:
        _columns(out, (Text(text), None))
