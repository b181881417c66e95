"""Django with ATOMIC_REQUESTS, on both engines: a view's row and its request are committed together or neither."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.postgres.server import shared

SITE = Path(__file__).with_name("django_host.py")


@pytest.mark.parametrize("engine", ["sqlite", "postgres", "serializable"])
def test_view_commits_or_rolls_back_with_its_request(engine: str, tmp_path: Path) -> None:
    """A view that raises leaves neither row nor request and nothing is ever sent; one that returns leaves both,
    and the refund is sent once, after the commit and not before. Outside of both nothing is joined."""
    # failure: B06
    database = str(tmp_path / "site.db")
    if engine != "sqlite":
        database = f"{shared().home} {shared().database().rpartition('dbname=')[2]}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(SITE), engine, database],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(SITE.parents[2])},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert "Django: with transaction.atomic():" in said.pop("unconnected")
    assert said == {
        "rolled back": {"status": 500, "rows": 0, "refunds": [], "sent_inside": 0, "made": 0},
        "committed": {"status": 200, "rows": 1, "refunds": ["succeeded"], "sent_inside": 0, "made": 1},
    }
