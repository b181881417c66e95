"""Every branch of `refund_domain` is taken by the tests of the domain and the adapters, the simulator left out.

`python -m tests.coverage_gate` measures it in a run of its own and fails below 100 %.
"""

from __future__ import annotations

import subprocess
import sys


def main() -> int:
    """Run the tests under coverage; the exit status is pytest's, and coverage's where that is 0."""
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-n", "2"),
        *("--cov=refund_domain", "--cov-branch", "--cov-report=term-missing:skip-covered"),
        "--cov-fail-under=100",
        *("tests/domain", "tests/adapters", "tests/architecture", "src/refund_domain"),
    ]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
