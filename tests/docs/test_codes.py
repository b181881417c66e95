"""The tables of attention hold what the code can say, and nothing else: read off the code's own texts."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from types import ModuleType

from refund_domain.decider import advice, attention, decide, doubt, ledger, pulling
from refund_domain.decider.attention import ALARMS, MATTERS
from refund_domain.decider.ledger import Status
from refund_domain.service import stream

ENDED = (Status.FAILED, Status.DECLINED, Status.DROPPED, Status.NOT_MADE)
"""Whose own word is a code; `canceled` has what `failed` has."""


def test_every_code_of_attention_has_its_row_and_every_row_its_code() -> None:
    """A page that maps codes, and the table of them in the docs, miss none and keep none that is gone."""
    written = {code for module in (attention, pulling) for code in _codes(module)}
    kinds = {kind for called in ("AfterFailure", "evolve") for kind in _texts(advice, called, "kind")}
    failed = {f"failed_{kind}" for kind in kinds}
    assert written - {"*_*"} | failed | {*map(str, ENDED)} == {re.sub(r"\{\w+\}", "*", code) for code in MATTERS}


def test_every_alarm_of_the_core_has_its_row() -> None:
    """Whoever is called for an alarm finds what it means."""
    written = {word for module in (decide, stream) for word in _words(module)}
    returned = {
        node.value.value
        for node in ast.walk(ast.parse(inspect.getsource(doubt.unreadable)))
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant) and node.value.value is not None
    }
    assert written | returned == set(ALARMS)


def _codes(module: ModuleType) -> Iterator[str]:
    yield from _texts(module, "Attention", "code")
    yield from _texts(module, "LegTold", "code")
    yield from _texts(module, "_note", 1)


def _words(module: ModuleType) -> Iterator[str]:
    yield from _texts(module, "Unread", "alarm")
    yield from _texts(module, "OutcomeUnknown", "alarm")


def _texts(module: ModuleType, called: str, which: str | int) -> Iterator[str]:
    """The texts that this module gives one argument of a call, with `*` for what differs; names are followed."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if not isinstance(node, ast.Call) or ast.unparse(node.func).rpartition(".")[2] != called:
            continue
        given = (
            [node.args[which]] if isinstance(which, int) else [k.value for k in node.keywords if k.arg == which]
        )
        for argument in given:
            yield from _text(module, argument)


def _text(module: ModuleType, argument: ast.expr) -> Iterator[str]:
    match argument:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(_part(module, part) for part in parts)
        case ast.Name(id=name) if isinstance(value := getattr(module, name, None), str):
            yield value
        case ast.Name(id=name):
            for node in ast.walk(ast.parse(inspect.getsource(module))):
                if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
                    yield from _text(module, node.value)
        case ast.IfExp(body=one, orelse=other):
            yield from _text(module, one)
            yield from _text(module, other)
        case _:
            pass


def _part(module: ModuleType, part: ast.expr) -> str:
    match part:
        case ast.Constant(value=text):
            return str(text)
        case ast.FormattedValue(value=ast.Name(id=name)) if isinstance(value := getattr(module, name, None), str):
            return value
        case _:
            return "*"


def test_the_status_words_are_those_of_the_ledger() -> None:
    """What frees the amount is told with its own word."""
    assert {status for status, holds in ledger.HOLDS.items() if not holds} == {*ENDED, Status.CANCELED}
