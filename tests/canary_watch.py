"""A plugin of pytest: fails every test that lets a canary into a log record or onto standard output or error.

For it every logger of the process stands at DEBUG, whatever level it or `logging.disable` was set to; nothing
else sees a difference. A record that the levels would have kept back is looked at and goes no further, so
handlers, `caplog` and the levels themselves are as without the plugin. Loaded by the conftest.py of the whole
suite, for documentation and doctests too, in every worker; what a test's child processes log is not seen.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Generator

import pytest

from tests.canaries import found_in

_enabled_as_set = logging.Logger.isEnabledFor
_handled = logging.Logger.handle
_found: list[str] = []


def _always_enabled(self: logging.Logger, level: int) -> bool:
    return True


def _looked_at(self: logging.Logger, record: logging.LogRecord) -> None:
    """Look for canaries in this record; then let it take the way it would have taken."""
    if names := found_in(_text_of(record)):
        _found.append(
            f"{', '.join(names)} in a record of logger {record.name!r} at {record.levelname}, "
            f"logged at {record.pathname}:{record.lineno}"
        )
    if _enabled_as_set(self, record.levelno):
        _handled(self, record)


def _text_of(record: logging.LogRecord) -> str:
    """Everything a handler could write of this record: message, arguments, extras, exception and stack."""
    parts = [str(record.msg), repr(record.args)]
    try:
        parts.append(record.getMessage())
    except Exception as error:  # arguments that do not fit: logging itself tells, if the level lets it
        parts.append(repr(error))
    if record.exc_info is not None and record.exc_info[1] is not None:
        parts.extend(traceback.format_exception(record.exc_info[1]))
    parts.extend(repr(value) for value in vars(record).values())
    return "\n".join(parts)


def pytest_configure() -> None:
    """Stand between every logger and its handlers."""
    logging.Logger.isEnabledFor = _always_enabled  # type: ignore[method-assign]
    logging.Logger.handle = _looked_at  # type: ignore[method-assign]


def pytest_unconfigure() -> None:
    """Step aside."""
    logging.Logger.isEnabledFor = _enabled_as_set  # type: ignore[method-assign]
    logging.Logger.handle = _handled  # type: ignore[method-assign]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail the test at its end, however it ended otherwise; what failed already keeps its own report."""
    report = yield
    if report.when != "teardown":
        return report
    told = [f"{', '.join(names)} in: {title}" for title, text in report.sections if (names := found_in(text))]
    told += _found
    _found.clear()
    if told:
        text = "canaries were let out:\n" + "\n".join(told)
        if report.failed:
            report.sections.append(("canaries", text))
        else:
            report.outcome, report.longrepr = "failed", text
    return report


def pytest_sessionfinish() -> None:
    """Let nothing pass that came after the last test."""
    if _found:
        raise RuntimeError("canaries were let out after the last test:\n" + "\n".join(_found))
