"""Form-encoded parameters as Stripe reads them: brackets make objects and lists, all leaves are text."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

_BRACKETS = re.compile(r"\[([^\[\]]*)\]")


def decoded(text: str) -> dict[str, Any]:
    """The parameters in a query or a form body.

    >>> decoded("amount=5&metadata[a]=b&expand[0]=x&expand[1]=y&created[gte]=7")
    {'amount': '5', 'metadata': {'a': 'b'}, 'expand': ['x', 'y'], 'created': {'gte': '7'}}
    >>> decoded("expand[]=x&metadata=")
    {'expand': ['x'], 'metadata': ''}
    """
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head, bracket, _ = name.partition("[")
        steps = _BRACKETS.findall(name) if bracket else []
        _put(found, [head, *steps], value)
    return {name: _listed(value) for name, value in found.items()}


def _put(holder: dict[str, Any], steps: list[str], value: str) -> None:
    step, *rest = steps
    if step == "":
        step = str(len(holder))
    if not rest:
        holder[step] = value
        return
    inner = holder.setdefault(step, {})
    if isinstance(inner, dict):
        _put(inner, rest, value)


def _listed(value: Any) -> Any:
    """Objects whose names count up from nought are lists."""
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(item) for name, item in value.items()}
    if inner and list(inner) == [str(number) for number in range(len(inner))]:
        return list(inner.values())
    return inner
