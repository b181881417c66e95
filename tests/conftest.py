"""The Hypothesis profiles of this test suite: `gate` is loaded, `--hypothesis-profile=campaign` searches on."""

from __future__ import annotations

from hypothesis import settings

# The gate decides alike on every machine and every day: no clock, no stored examples, no chance.
settings.register_profile(
    "gate", derandomize=True, database=None, deadline=None, max_examples=100, print_blob=True
)
settings.register_profile("campaign", database=None, deadline=None, max_examples=5_000, print_blob=True)
# For thousands of runs in a row (tests/mutation.py).
settings.register_profile("mutation", derandomize=True, database=None, deadline=None, max_examples=10)
settings.load_profile("gate")

collect_ignore = ["adapters/django_host.py"]
"""A program of its own: what it does when imported is done once per process."""
