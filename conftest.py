"""Runs every python block of README.md and of the pages under docs/: what is shown there is true, or a test fails.

A page is one test. Its blocks run in order in one namespace, in an empty folder of their own; a block that
begins with `>>>` is checked against the output it shows. A failure names the page and its line.

It also loads the watch over everything that any test logs or prints: tests/canary_watch.py.
"""

from __future__ import annotations

import doctest
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sybil import Document
from sybil.parsers.markdown import PythonCodeBlockParser

pytest_plugins = ["tests.canary_watch"]

HERE = Path(__file__).parent
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Page | None:
    """Collect README.md and every page under docs/."""
    path = file_path.relative_to(HERE) if file_path.is_relative_to(HERE) else file_path
    if path.suffix != ".md" or not (str(path) == "README.md" or path.parts[0] == "docs"):
        return None
    return Page.from_parent(parent, path=file_path)


class Page(pytest.File):
    """One page of documentation."""

    def collect(self) -> Iterator[Examples]:
        """One test for a page that has examples, else none."""
        document = Document.parse(str(self.path), PythonCodeBlockParser(doctest_optionflags=FLAGS))
        if document.regions:
            yield Examples.from_parent(self, name="examples", document=document)


class Examples(pytest.Item):
    """All examples of one page, in order. One test and not many, because each needs those before it."""

    def __init__(self, *, document: Document, **rest: object) -> None:
        super().__init__(**rest)  # type: ignore[arg-type]
        self.document = document

    def runtest(self) -> None:
        """Run them in an empty folder."""
        self.document.namespace["__name__"] = self.path.stem
        before = os.getcwd()
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            if "PostgresJournal(" in self.path.read_text(encoding="utf-8"):
                from tests.postgres import server  # a real one, for the pages that need it

                for name, value in server.shared().environment("app").items():
                    patch.setenv(name, value)
            os.chdir(folder)
            try:
                for example in self.document.examples():
                    example.evaluate()
            finally:
                os.chdir(before)
                self.document.namespace.clear()

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the page is."""
        return self.path, 0, f"{self.path.name}: every example runs"
