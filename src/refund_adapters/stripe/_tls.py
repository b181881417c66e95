"""Which certificates are trusted: those stripe-python trusts, read once a process."""

from __future__ import annotations

import ssl
from functools import cache


@cache
def trusting(bundle: str) -> ssl.SSLContext:
    """A context that trusts this bundle (reading it takes some 20 ms, as long as a call)."""
    return ssl.create_default_context(cafile=bundle)
