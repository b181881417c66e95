"""The pages as a WSGI application, on nothing but the standard library, and a server to click through it:

    .venv/bin/python -m docs.examples.inspections.web

Who is signed in stands in REMOTE_USER, as a web server in front would set it. Every form carries a token, so that
no other site can press the button. A framework does both for you.
"""

from __future__ import annotations

import hmac
import os
import tempfile
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl
from wsgiref.simple_server import make_server

from docs.examples.inspections.office import Office, User, sample
from docs.examples.inspections.pages import NOT_FOUND, Answer, Pages
from docs.examples.inspections.wiring import build
from refund_adapters.memory import Fault, MemoryBank, MemoryGateway
from refund_adapters.sql import SqliteJournal
from refund_domain import RefundService
from refund_domain.errors import RefundError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

MOST_BYTES = 20_000
STYLE = (
    "<!doctype html><meta charset='utf-8'><title>Inspections</title><style>:root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui;max-width:44rem;margin:2rem auto;padding:0 1rem}th{text-align:left;"
    "padding-right:1rem;vertical-align:top;white-space:nowrap}</style><p><a href='/'>Bookings</a>"
)

Application = Callable[["WSGIEnvironment", "StartResponse"], Iterable[bytes]]


def application(office: Office, refunds: RefundService) -> Application:
    """The WSGI application."""
    secret = os.urandom(32)

    def token(user: User) -> str:
        return hmac.new(secret, user.name.encode(), "sha256").hexdigest()

    def serve(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        answer = answered(environ)
        headers = [("Content-Type", "text/html; charset=utf-8")]
        if answer.location is not None:
            headers.append(("Location", answer.location))
        start(f"{answer.status} {HTTPStatus(answer.status).phrase}", headers)
        return [(STYLE + answer.body).encode()]

    def answered(environ: WSGIEnvironment) -> Answer:
        user = office.user(environ.get("REMOTE_USER", ""))
        if user is None:
            return Answer(401, "<p>Sign in first.")
        pages = Pages(office, refunds, f"<input type='hidden' name='token' value='{token(user)}'>")
        path = [part for part in environ.get("PATH_INFO", "").split("/") if part]
        try:
            if environ.get("REQUEST_METHOD") != "POST":
                return shown(pages, user, path)
            form = read_form(environ)
            if not hmac.compare_digest(form.pop("token", "").encode(), token(user).encode()):
                return Answer(403, "<p>This form did not come from our page. Open it again.")
            return pressed(pages, user, path, form)
        except RefundError:
            # The gateway or the journal cannot be reached; nothing was sent because of it.
            return Answer(503, "<p>Try again in a moment.")

    return serve


def shown(pages: Pages, user: User, path: list[str]) -> Answer:
    """What a GET asks for."""
    match path:
        case []:
            return pages.bookings(user)
        case ["attention"]:
            return pages.attention(user)
        case ["bookings", number]:
            return pages.booking(user, number)
        case ["bookings", number, "refund"]:
            return pages.refund(user, number)
        case _:
            return NOT_FOUND


def pressed(pages: Pages, user: User, path: list[str], form: dict[str, str]) -> Answer:
    """What a POST asks for."""
    match path:
        case ["attention"]:
            return pages.settle(user, form)
        case ["bookings", number, "refund"]:
            return pages.press(user, number, form)
        case ["bookings", number, "cancel"]:
            return pages.cancel(user, number)
        case ["bookings", number, "handed-back"]:
            return pages.handed_back(user, number, form)
        case _:
            return NOT_FOUND


def read_form(environ: WSGIEnvironment) -> dict[str, str]:
    """The fields of a posted form; what is too long or unreadable is no form."""
    try:
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(size) if 0 < size <= MOST_BYTES else b""
        return dict(parse_qsl(body.decode("ascii")))
    except ValueError:
        return {}


def main() -> None:
    """Serve the sample on http://127.0.0.1:8000/ with maria signed in: no real money, no trace left behind."""
    bank = MemoryBank()
    gateway = MemoryGateway(bank)
    gateway.script(Fault.WORKS, Fault.ANSWER_LOST)  # the second refund of the session loses its answer
    office = sample(bank)
    with tempfile.TemporaryDirectory() as folder:
        serve = application(office, build(gateway, SqliteJournal(Path(folder, "refunds.db")), office))

        def as_maria(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            return serve(environ | {"REMOTE_USER": "maria"}, start)

        with make_server("127.0.0.1", 8000, as_maria) as server:
            print("http://127.0.0.1:8000/ (stop with Ctrl+C)")
            server.serve_forever()


if __name__ == "__main__":
    main()
