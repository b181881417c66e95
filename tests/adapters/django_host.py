"""A Django site of one page, run by test_django: `python django_host.py ENGINE DATABASE`. Prints what came of it.

ATOMIC_REQUESTS is on: the page's view writes a row of the host's and requests a refund in one transaction, which
Django commits when the view returns and rolls back when it raises. `on_commit` dispatches.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import django
from django.conf import settings

ENGINE, DATABASE = sys.argv[1:3]

if ENGINE == "sqlite":
    DATABASES: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}
else:
    host, name = DATABASE.split(" ")
    DATABASES = {"ENGINE": "django.db.backends.postgresql", "HOST": host, "NAME": name, "USER": "postgres"}
    if ENGINE == "serializable":
        from psycopg import IsolationLevel

        DATABASES["OPTIONS"] = {"isolation_level": IsolationLevel.SERIALIZABLE}

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="tests only",
    DATABASES={"default": DATABASES | {"ATOMIC_REQUESTS": True}},
)
django.setup()

from django.db import connection, transaction  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import path  # noqa: E402

from refund_adapters.memory import MemoryBank, MemoryGateway  # noqa: E402
from refund_adapters.sql import PostgresJournal, SqliteJournal  # noqa: E402
from refund_domain import Actor, IssueRefund, Money, PaymentRef, RefundService, Refused  # noqa: E402

MARIA = Actor(id="maria", tenant="acme")
bank = MemoryBank()
journal: Any = (
    SqliteJournal(DATABASE)
    if ENGINE == "sqlite"
    else PostgresJournal(f"host={DATABASE.split(' ')[0]} dbname={DATABASE.split(' ')[1]} user=postgres")
)
gateway = MemoryGateway(bank)
refunds = RefundService(gateway, journal, allow=lambda *_: True)
waiting: dict[str, IssueRefund] = {}
sent_inside: list[int] = []


def cancel_and_refund(request: HttpRequest, charge: str, breaks: str) -> HttpResponse:
    """The page: the booking is cancelled and its refund requested, together or not at all."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO bookings VALUES (%s)", [charge])
    command = waiting[charge]
    with transaction.atomic():  # a savepoint within the request's transaction
        said = refunds.within(connection).request(command)
    assert not isinstance(said, Refused)
    transaction.on_commit(lambda: refunds.dispatch(command.payment))
    refunds.dispatch(command.payment)  # too early: owed nothing
    sent_inside.append(len(gateway.sent))
    if breaks == "yes":
        raise RuntimeError("the view breaks after the request")
    return HttpResponse("done")


urlpatterns = [path("<str:charge>/<str:breaks>", cancel_and_refund)]


def outcome(breaks: str) -> dict[str, Any]:
    """Ask for the page once; what the host has then, what the journal and what the bank."""
    ref: PaymentRef = bank.charge(Money.parse("200.00", "USD"))
    waiting[ref.charge] = refunds.quote(ref, by=MARIA).verified(by=MARIA)
    before = len(gateway.sent)
    status = Client(raise_request_exception=False).get(f"/{ref.charge}/{breaks}").status_code
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM bookings WHERE charge = %s", [ref.charge])
        (rows,) = cursor.fetchone()
    view = refunds.show(ref, by=MARIA)
    assert not isinstance(view, Refused)
    return {
        "status": status,
        "rows": rows,
        "refunds": [str(refund.status) for refund in view.refunds],
        "sent_inside": sent_inside[-1] - before,
        "made": bank.made(ref),
    }


def before_the_first_query() -> str:
    """What is said where Django has not connected yet, so that no transaction can be open."""
    try:
        refunds.within(connection)
    except ValueError as error:
        return str(error)
    return "joined"


if __name__ == "__main__":
    unconnected = before_the_first_query()
    with connection.cursor() as opened:
        opened.execute("CREATE TABLE bookings (charge varchar(100))")
    print(json.dumps({"unconnected": unconnected, "rolled back": outcome("yes"), "committed": outcome("no")}))
    journal.close()
    connection.close()
