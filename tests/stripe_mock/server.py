"""Starts stripe-stateful-mock, a double of Stripe that others wrote, as a process of its own on this machine.

`npm ci` in this folder installs it (package-lock.json pins every part of it). It listens on 127.0.0.1 only, on
a port the system chooses, and ends with the process that started it, however that one ends. What it gets right
and what it lacks: docs/explanation/stripe-facts.md, "Testing against something".
"""

from __future__ import annotations

import atexit
import base64
import functools
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.canaries import KEY

FOLDER = Path(__file__).parent

# The package's own command takes a port from outside and listens on every interface; this asks the system for
# a free port on the loopback interface, says which one it is, and ends when our end of its input closes.
_PROGRAM = """
const {createExpressApp} = require('stripe-stateful-mock');
require('loglevel').setLevel('silent');
const server = createExpressApp().listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
"""


class StripeMock:
    """A running mock: where it is, and the little of Stripe's API that a test arranges things with.

    It goes over plain urllib, so that nothing here depends on the code under test.
    """

    def __init__(self) -> None:
        reason = why_absent()
        if reason is not None:
            raise RuntimeError(reason)
        self._process = subprocess.Popen(
            ["node", "-e", _PROGRAM],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.strip().isdigit():
            self.stop()
            raise RuntimeError(f"stripe-stateful-mock did not start; run `npm ci` in {FOLDER.name}/ again")
        self.base_address = f"http://127.0.0.1:{int(line)}"

    def stop(self) -> None:
        """End the process and wait for it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def charge(
        self,
        amount_minor: int = 20_000,
        currency: str = "usd",
        *,
        source: str = "tok_visa",
        account: str | None = None,
        capture: bool = True,
        **more: str,
    ) -> str:
        """Take a payment and return the charge's id."""
        fields = {"amount": amount_minor, "currency": currency, "source": source, "capture": str(capture).lower()}
        return str(self.call("POST", "/v1/charges", {**fields, **more}, account)["id"])

    def refund(self, charge: str, amount_minor: int, account: str | None = None) -> str:
        """Give a part back, as other software or a person at the dashboard would; return the refund's id."""
        return str(self.call("POST", "/v1/refunds", {"charge": charge, "amount": amount_minor}, account)["id"])

    def refunds(self, charge: str, account: str | None = None) -> list[dict[str, Any]]:
        """All refunds of a charge as the mock itself lists them (without a limit it lists all)."""
        listed: list[dict[str, Any]] = self.call("GET", f"/v1/refunds?charge={charge}", None, account)["data"]
        return listed

    def account(self) -> str:
        """Connect an account and return its id."""
        return str(self.call("POST", "/v1/accounts", {"type": "custom"})["id"])

    def call(
        self, method: str, path: str, fields: dict[str, Any] | None = None, account: str | None = None
    ) -> dict[str, Any]:
        """One call to the mock; returns its JSON, or raises urllib's HTTPError."""
        request = urllib.request.Request(
            self.base_address + path,
            method=method,
            data=None if fields is None else urllib.parse.urlencode(fields).encode(),
            headers={"Authorization": "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()},
        )
        if account is not None:
            request.add_header("Stripe-Account", account)
        with urllib.request.urlopen(request, timeout=10) as answer:
            body: dict[str, Any] = json.load(answer)
            return body


@functools.cache
def shared() -> StripeMock:
    """The one mock of this process, started at the first call and stopped when the process ends."""
    mock = StripeMock()
    atexit.register(mock.stop)
    return mock


def why_absent() -> str | None:
    """Why the mock cannot be started here; None if it can."""
    if shutil.which("node") is None:
        return "stripe-stateful-mock needs Node.js 20 or newer; there is no `node` on the path"
    if not (FOLDER / "node_modules" / "stripe-stateful-mock").is_dir():
        return "stripe-stateful-mock is not installed; run `npm ci` in tests/stripe_mock/"
    return None


def absence_is_a_failure() -> bool:
    """Whether tests must fail rather than skip where the mock is absent: with CI=true."""
    return os.environ.get("CI", "").lower() in ("true", "1")
