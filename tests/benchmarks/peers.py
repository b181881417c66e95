"""The packages that the library is compared with, of the extra `bench`; a missing one is named with the mend."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any


@cache
def _peer(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SystemExit(f"{name} is not installed: pip install -e '.[bench]'") from error


def numpy() -> Any:
    """numpy."""
    return _peer("numpy")


def polars() -> Any:
    """polars."""
    return _peer("polars")


def pandas() -> Any:
    """pandas."""
    return _peer("pandas")


def duckdb() -> Any:
    """DuckDB."""
    return _peer("duckdb")


def msgspec() -> Any:
    """msgspec."""
    return _peer("msgspec")


def moneyed() -> Any:
    """py-moneyed."""
    return _peer("moneyed")


def stockholm() -> Any:
    """stockholm."""
    return _peer("stockholm")


def transitions() -> Any:
    """transitions."""
    return _peer("transitions")


def machine() -> Any:
    """python-statemachine."""
    return _peer("statemachine")
