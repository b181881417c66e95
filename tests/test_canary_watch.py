"""The watch over logs and output bites: a test that lets a canary out fails, however it ends, and no other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import canaries

ROOT = Path(__file__).parents[1]

LEAKS = f"""
import logging, sys, threading, warnings
import pytest

KEY = {canaries.KEY!r}
EMAIL = {canaries.EMAIL!r}
log = logging.getLogger("some.library")


def test_leak_at_debug():
    log.debug("sent %s", KEY)


def test_leak_in_an_argument_that_is_not_written():
    log.debug("quiet", extra={{"body": EMAIL}})


def test_leak_in_an_exceptions_chain():
    try:
        try:
            raise ValueError(EMAIL)
        except ValueError as error:
            raise RuntimeError("no") from error
    except RuntimeError:
        log.exception("it broke")


def test_leak_on_a_logger_that_is_kept_quiet():
    quiet = logging.getLogger("quiet")
    quiet.setLevel(logging.CRITICAL)
    quiet.propagate = False
    logging.disable(logging.CRITICAL)
    try:
        quiet.info("to %s", EMAIL)
    finally:
        logging.disable(logging.NOTSET)


def test_leak_from_another_thread():
    thread = threading.Thread(target=log.info, args=("to " + EMAIL,))
    thread.start()
    thread.join()


def test_leak_on_output():
    print("to", EMAIL)


def test_leak_on_errors():
    print("to", EMAIL, file=sys.stderr)


@pytest.fixture
def untidy():
    yield
    log.debug(EMAIL)


def test_leak_in_a_fixtures_end(untidy):
    pass


@pytest.mark.xfail
def test_leak_where_a_failure_is_expected():
    log.debug(EMAIL)
    assert False


def test_leak_where_it_is_skipped():
    log.debug(EMAIL)
    pytest.skip("not today")


def test_leak_in_what_fails_anyway():
    log.debug(EMAIL)
    assert 1 == 2, "its own failure"


def test_leak_in_arguments_that_do_not_fit():
    log.debug("one %s", EMAIL, EMAIL)


def test_clean_logs_as_ever(caplog):
    assert not caplog.records
    log.debug("below the level")
    log.warning("a quiet day")
    assert [record.getMessage() for record in caplog.records] == ["a quiet day"]
    assert log.getEffectiveLevel() == logging.WARNING
    with caplog.at_level(logging.DEBUG, "some.library"):
        log.debug("within the level")
    assert len(caplog.records) == 2
    logging.disable(logging.CRITICAL)
    log.critical("kept back")
    logging.disable(logging.NOTSET)
    assert len(caplog.records) == 2
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_test_that_lets_a_canary_out_fails_and_no_other(tmp_path: Path, workers: str) -> None:
    """Each leak is an error of its own test, whether that passed, failed, was skipped or expected to fail; the
    clean one sees levels and records as without the watch, and a failure keeps its own report."""
    file = tmp_path / "test_leaks.py"
    file.write_text(LEAKS)
    command = [sys.executable, "-m", "pytest", "-p", "tests.canary_watch", "-p", "no:cacheprovider", "-n", workers]
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), "-rA", str(file)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    erring = {line.split("::")[1].split()[0] for line in lines if line.startswith("ERROR ") and "::" in line}
    leaking = {line.split()[1].split("(")[0] for line in LEAKS.splitlines() if line.startswith("def test_leak")}
    assert len(leaking) == 12
    assert erring == leaking
    assert "1 failed" in lines[-1]
    assert "its own failure" in done.stdout
    assert "canaries were let out" in done.stdout
    assert "an e-mail address in a record of logger 'some.library' at DEBUG" in done.stdout
    assert any(line.startswith("PASSED ") and "test_clean_logs_as_ever" in line for line in lines)


def test_the_watch_is_on_for_this_suite(request: pytest.FixtureRequest) -> None:
    """It is loaded for every test of the repository, in the workers too."""
    assert request.config.pluginmanager.has_plugin("tests.canary_watch")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a secret key", f"Bearer {canaries.KEY}"),
        ("a secret key", canaries.LIVE_KEY),
        ("a secret key", "Basic c2tfdGVzdF81MUNhbmFyeUtFWXg5ZjNBN3EyWnI6"),
        ("a webhook secret", repr(canaries.WEBHOOK_SECRET.encode())),
        ("a card number", "4000 0566 5566 5556"),
        ("a card number", f"reference={canaries.CARD}&"),
        ("an e-mail address", "to=carla.canary%40clients.example"),
        ("a client's name", "Carla+Canary"),
        ("a client's name", "CARLA CANARY"),
        ("a client's name", "Carla\\u0020Canary"),
        ("a note", canaries.NOTE.replace(" ", "%20")),
    ],
)
def test_a_canary_is_known_in_every_form(name: str, text: str) -> None:
    """In a header, an address, a pickle, a JSON text; as text and as bytes."""
    assert canaries.found_in(text) == (name,)
    assert canaries.found_in(text.encode()) == (name,)
