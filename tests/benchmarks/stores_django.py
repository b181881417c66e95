"""The same kept by an ORM: two models of Django, as its documentation would have one write them.

Importing this does nothing; `configured` sets Django up, once a process, for all databases it is given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from refund_adapters.clock import utc_now
from refund_adapters.sql.rows import microseconds
from tests.benchmarks.stores import Bare, BareStore

SQLITE_FULL = {
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
}
"""What makes Django's connection as durable as ours."""


def configured(databases: Mapping[str, Mapping[str, Any]]) -> Callable[[str], DjangoStore]:
    """Django with these databases; gives what makes the tables and the store in the one of an alias."""
    import django
    from django.conf import settings

    settings.configure(
        DATABASES={"default": {}, **databases}, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", USE_TZ=True
    )
    django.setup()
    from django.db import connections, models

    class Event(models.Model):  # type: ignore[misc]
        stream = models.CharField(max_length=512)
        version = models.BigIntegerField()
        event = models.TextField()

        class Meta:
            app_label = "orm"
            constraints = [models.UniqueConstraint(fields=["stream", "version"], name="orm_once")]

    class Head(models.Model):  # type: ignore[misc]
        stream = models.CharField(max_length=512, primary_key=True)
        look_at = models.BigIntegerField(null=True)

        class Meta:
            app_label = "orm"
            indexes = [models.Index(fields=["look_at", "stream"], name="orm_due")]

    def made(alias: str) -> DjangoStore:
        with connections[alias].schema_editor() as editor:
            editor.create_model(Event)
            editor.create_model(Head)
        return DjangoStore(alias, Event, Head)

    return made


class DjangoStore(BareStore):
    """Django's ORM, each append one transaction."""

    def __init__(self, alias: str, events: Any, heads: Any) -> None:
        super().__init__()
        self._alias, self._events, self._heads = alias, events, heads

    def append(self, step: Bare, expected: int) -> None:
        from django.db import transaction

        with transaction.atomic(using=self._alias):
            self._events.objects.using(self._alias).bulk_create(
                [
                    self._events(stream=step.stream, version=version, event=json.dumps(event))
                    for version, event in enumerate(step.events, expected + 1)
                ]
            )
            self._heads(stream=step.stream, look_at=step.look_at).save(
                using=self._alias, force_insert=not expected, force_update=bool(expected)
            )

    def texts(self, stream: str) -> list[str]:
        rows = self._events.objects.using(self._alias).filter(stream=stream).order_by("version")
        return list(rows.values_list("event", flat=True))

    def due(self, limit: int) -> list[str]:
        heads = self._heads.objects.using(self._alias).filter(look_at__lte=microseconds(utc_now()))
        return list(heads.order_by("look_at", "stream").values_list("stream", flat=True)[:limit])
