"""A process of ours that a test starts: a module of the tests, spoken with over pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def start(module: str, *arguments: str, stderr: int | None = None) -> subprocess.Popen[bytes]:
    """This module run with these arguments, from this very checkout; `stderr` as `subprocess` takes it."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
    )
