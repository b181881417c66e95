"""The Hypothesis profiles of this test suite: `gate` is loaded, `--hypothesis-profile=campaign` searches on."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

# The gate decides alike on every machine and every day: no clock, no stored examples, no chance.
settings.register_profile(
    "gate", derandomize=True, database=None, deadline=None, max_examples=100, print_blob=True
)
settings.register_profile("campaign", database=None, deadline=None, max_examples=5_000, print_blob=True)
# For thousands of runs in a row (tests/mutation.py).
settings.register_profile("mutation", derandomize=True, database=None, deadline=None, max_examples=10)
settings.load_profile("gate")


# Hypothesis mixes the numbers and texts it reads in our modules into what it draws: in all those that happen to be
# loaded. What a derandomized profile tries would thus hang on which tests this process ran before, and a mistake
# found here would be missed there. There is no setting for it (6.170).
_constants_of_loaded_modules = providers._get_local_constants


def _constants() -> Constants:
    """Of the loaded modules for a profile that searches; none for one that must draw the same everywhere."""
    used = settings.default
    return Constants() if used is None or used.derandomize else _constants_of_loaded_modules()


providers._get_local_constants = _constants

collect_ignore = ["adapters/django_host.py"]
"""A program of its own: what it does when imported is done once per process."""
