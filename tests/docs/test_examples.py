"""The sample host of docs/examples: every page is opened and every button pressed, as a browser would."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import attrs
import pytest

from docs.examples.inspections.office import Office, sample
from docs.examples.inspections.recover_refunds import main, run
from docs.examples.inspections.web import Application, application
from docs.examples.inspections.wiring import build
from refund_adapters.memory import Fault, ManualClock, MemoryBank, MemoryGateway
from refund_adapters.observing import Background
from refund_adapters.sql import SqliteJournal
from refund_domain import PaymentRef, RefundService

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment


@attrs.frozen
class Reply:
    """What came back: status, body, and where it leads."""

    status: int
    body: str
    location: str

    @property
    def text(self) -> str:
        """The body as a person reads it."""
        return unescape(re.sub(r"<[^>]*>", " ", self.body))

    def forms(self) -> list[tuple[str, str, dict[str, str]]]:
        """The forms on the page: where they go, what the button says, their hidden fields."""
        found = re.findall(r"<form method='post' action='([^']*)'>(.*?)<button>(.*?)</button>", self.body)
        return [
            (unescape(action), unescape(button), dict(re.findall(r"name='([^']*)' value='([^']*)'", fields)))
            for action, fields, button in found
        ]


@attrs.define
class Browser:
    """Somebody signed in, at the sample's WSGI application."""

    serve: Application
    user: str

    def open(self, path: str, form: dict[str, str] | None = None) -> Reply:
        """A GET, or with a form a POST."""
        body = urlencode(form or {}).encode()
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": "GET" if form is None else "POST",
            "PATH_INFO": path,
            "REMOTE_USER": self.user,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
        started: list[tuple[str, dict[str, str]]] = []

        def start(status: str, headers: list[tuple[str, str]], *rest: object) -> None:
            started.append((status, dict(headers)))

        shown = b"".join(self.serve(environ, start)).decode()  # type: ignore[arg-type]
        status, headers = started[0]
        return Reply(int(status.split()[0]), shown, headers.get("Location", ""))

    def press(self, path: str, says: str) -> Reply:
        """Open a page and press the button that says this."""
        action, _, fields = next(form for form in self.open(path).forms() if says in form[1])
        return self.open(action, fields)


@attrs.define
class World:
    """The sample with its bank, its clock and two people."""

    bank: MemoryBank
    gateway: MemoryGateway
    refunds: RefundService
    office: Office
    maria: Browser
    clock: ManualClock

    def other(self, user: str) -> Browser:
        """Somebody else at the same application."""
        return Browser(self.maria.serve, user)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """The sample, with a clock that can be moved."""
    clock = ManualClock(datetime.now(UTC))
    bank = MemoryBank(clock)
    gateway = MemoryGateway(bank)
    office = sample(bank)
    with SqliteJournal(tmp_path / "refunds.db", clock=clock) as journal:
        refunds = build(gateway, journal, office)
        yield World(bank, gateway, refunds, office, Browser(application(office, refunds), "maria"), clock)


def charge(world: World, number: str) -> PaymentRef:
    """The first card payment of a booking."""
    user = world.office.user("zoe" if number == "9001" else "maria")
    assert user is not None
    inspection = world.office.find(number, user)
    assert inspection is not None
    ref = inspection.payments[0]
    assert isinstance(ref, PaymentRef)
    return ref


def test_button_refunds_every_payment_of_the_booking_once(world: World) -> None:
    """The page shows both amounts and the cash; pressing, and pressing again, makes one refund of each card."""
    page = world.maria.open("/bookings/1042/refund")
    assert page.status == 200
    assert "200.00 USD + 60.00 USD" in page.text
    assert "give the money back outside" in page.text
    action, _, fields = page.forms()[0]
    for _ in range(2):
        reply = world.maria.open(action, fields)
        assert (reply.status, reply.location) == (303, "/bookings/1042")
    assert len(world.bank.received) == 2
    shown = world.maria.open("/bookings/1042").text
    assert shown.count("Refunded: ") == 2
    assert world.maria.open("/bookings/1042/refund").forms() == []


def test_changed_amount_sends_nothing_and_says_so(world: World) -> None:
    """A refund made in the dashboard between page and button: 409, all reasons, no call."""
    action, _, fields = world.maria.open("/bookings/1043/refund").forms()[0]
    world.bank.elsewhere(charge(world, "1043"))
    reply = world.maria.open(action, fields)
    assert reply.status == 409
    assert "The amount has changed" in reply.text or "Nothing left" in reply.text
    assert world.bank.made(charge(world, "1043")) == 0


def test_lost_answer_is_shown_as_being_checked_and_found_by_the_job(world: World) -> None:
    """A lost answer is no error page; the cron job finds the refund."""
    world.gateway.script(Fault.ANSWER_LOST)
    assert world.maria.press("/bookings/1043/refund", "Refund").status == 303
    assert "Being checked" in world.maria.open("/bookings/1043").text
    world.clock.forward(timedelta(minutes=2))
    assert run(world.refunds) == 0
    assert "Refunded: 320.00 USD" in world.maria.open("/bookings/1043").text
    assert world.bank.made(charge(world, "1043")) == 1


def test_job_runs_as_cron_starts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module's `main` opens the journal, goes on with what is owed, and closes its observer."""
    monkeypatch.chdir(tmp_path)
    closed: list[object] = []
    monkeypatch.setattr(Background, "close", lambda observer, **_: closed.append(observer))
    assert main() == 0
    assert (len(closed), (tmp_path / "refunds.db").exists()) == (1, True)


def test_cancelling_refunds_nothing_and_says_what_is_held(world: World) -> None:
    """R5 on the page: cancelling calls nobody, the notice names what is held, and the button still works."""
    assert world.maria.press("/bookings/1043", "Cancel").status == 303
    assert world.bank.received == ()
    world.maria.open("/bookings/1043/refund")
    assert "Cancelling refunded nothing; still held: 320.00 USD" in world.maria.open("/bookings/1043").text
    assert world.maria.press("/bookings/1043/refund", "Refund 320.00 USD").status == 303
    assert "still held: nothing" in world.maria.open("/bookings/1043").text


def test_cash_is_recorded_once(world: World) -> None:
    """The cash button records the whole amount, and pressing its form twice records it once."""
    forms = [form for form in world.maria.open("/bookings/1042").forms() if "handed back" in form[1]]
    assert len(forms) == 1
    action, _, fields = forms[0]
    assert [world.maria.open(action, fields).status for _ in range(2)] == [303, 303]
    text = world.maria.open("/bookings/1042").text
    assert text.count("given back outside") == 1
    assert "Left: 0.00 USD" in text


def test_what_waits_is_answered_on_its_page(world: World) -> None:
    """A server error that made nothing ends with a person's answer, and the amount is open again."""
    world.gateway.script(Fault.BREAKS_MADE_NOTHING)
    world.maria.press("/bookings/1043/refund", "Refund")
    for _ in range(30):
        world.clock.forward(timedelta(hours=1))
        run(world.refunds)
    assert "No complete look shows this refund" in world.maria.open("/attention").text
    assert world.maria.press("/attention", "it was not made").location == "/attention"
    assert "Not made: 320.00 USD" in world.maria.open("/bookings/1043").text
    assert world.maria.press("/bookings/1043/refund", "Refund 320.00 USD").status == 303
    assert world.bank.made(charge(world, "1043")) == 1


def test_strangers_learn_nothing(world: World) -> None:
    """Another firm, a role without the right, somebody who is not signed in: no amount, no call, no difference."""
    zoe, tom, nobody = world.other("zoe"), world.other("tom"), world.other("nobody")
    for path in ("/bookings/1042", "/bookings/1042/refund", "/bookings/no-such"):
        assert zoe.open(path).body == zoe.open("/bookings/0").body
        assert zoe.open(path).status == 404
    assert tom.open("/bookings/1042/refund").forms() == []
    assert tom.open("/attention").status == 403
    assert nobody.open("/bookings/1042").status == 401
    assert world.bank.received == ()


def test_forged_and_broken_forms_do_nothing(world: World) -> None:
    """Without the page's token, with another's, with fields missing, odd or foreign: refused, and no call."""
    action, _, fields = world.maria.open("/bookings/1043/refund").forms()[0]
    token = fields["token"]
    stolen = world.other("tom").open("/bookings/1043").forms()[0][2]["token"]
    for bad in ({}, fields | {"token": "x"}, fields | {"token": "ü"}, fields | {"token": stolen}):
        assert world.maria.open(action, bad).status == 403
    assert world.maria.open(action, {"token": token}).status == 400
    amount = next(key for key in fields if key.endswith("amount_minor"))
    assert world.maria.open(action, fields | {amount: "many"}).status == 400
    assert world.maria.open(action, fields | {amount: "1"}).status == 409
    assert world.maria.open("/attention", {"token": token, "payment": "x", "choice": "send"}).status == 400
    (halved, long) = ({"token": token, "payment": str(charge(world, "1043")), "choice": "noted"} for _ in range(2))
    for bad in (halved, long | {"subject": "s" * 501, "code": "c"}, long | {"subject": "\0", "code": "c"}):
        assert world.maria.open("/attention", bad).status == 400
    foreign = {
        "token": token,
        "payment": str(charge(world, "9001")),
        "choice": "noted",
        "subject": "s",
        "code": "c",
    }
    assert world.maria.open("/attention", foreign).status == 404
    assert world.maria.open("/bookings/1043/nonsense", {"token": token}).status == 404
    assert world.bank.received == ()


def test_outage_is_a_503_and_sends_nothing(world: World) -> None:
    """A gateway that cannot be read answers the page with "try again"."""
    world.gateway.script(Fault.LOOK_UNREADABLE)
    assert world.maria.open("/bookings/1043/refund").status == 503


def test_the_list_of_bookings_is_the_firms_own(world: World) -> None:
    """The first page lists the bookings of the signed-in person's firm and no other's, with their text escaped."""
    assert "1042" in world.maria.open("/").text
    assert "9001" not in world.maria.open("/").text
    assert "7 Hill Road &lt;annex&gt;" in world.maria.open("/").body
    assert "9001" in world.other("zoe").open("/").text
