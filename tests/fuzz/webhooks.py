"""Coverage-guided fuzzing of the webhooks, with atheris: `python -m tests.fuzz.webhooks --seconds N --json FILE`.

Needs the extra `campaign`. One input is a byte that chooses, and a body: signed rightly if the byte is even; else
under a header of the input's own, in which `%T` and `%S` stand for the time and the right signature, so that the
header's parser is reached with both. Half of the mutations know JSON, the others are the fuzzer's. Each input is
judged as in the gate: a signal or a refusal, and what is refused reaches no port of the service.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from refund_adapters.stripe.webhooks import KINDS, WebhookRefused
from tests.adapters.signed import CORPUS, NOW, mac, signed
from tests.adapters.webhook_host import Host, checked

ROOT = Path(__file__).parents[2]
FRESH_AFTER: Final = 2_000
"""Inputs between two fresh hosts, so that none grows without end."""
LONGEST: Final = 8_192

WORDS: Final = [
    "id",
    "object",
    "type",
    "livemode",
    "account",
    "context",
    "data",
    "related_object",
    "charge",
    "re_1",
]
MORE_WORDS: Final = [
    "source_transaction",
    "originating_transaction",
    "event",
    "v2.core.event",
    "acct_1",
    "platform",
]
VALUES: Final[list[object]] = [
    *(None, True, False, 0, -1, 1.5, 10**45, "", "outside", "ch_1", "a b", "\ud800", "x" * 300, [], {}, [[]]),
    *({"id": "ch_1", "object": "charge"}, {"object": "event"}, float("nan"), float("inf")),
    *WORDS,
    *MORE_WORDS,
    *KINDS,
    *(f"v1.{name}" for name in KINDS),
]
"""What a mutation puts in the place of something."""


class Judge:
    """Tries inputs, one after the other, on one host and then on a fresh one."""

    def __init__(self) -> None:
        self.tried = self.signals = 0
        self.host = Host("sync")

    def __call__(self, data: bytes) -> None:
        """Try one input. Raises AssertionError, or whatever escapes that should not."""
        if self.tried % FRESH_AFTER == 0:
            self.host = Host("sync")
        self.tried += 1
        body, headers = delivery(data)
        host = self.host
        host.world.wire.clear()
        before, sent = host.kept(), host.world.bank.received
        result = checked(host.hooks.read(body, headers), host.hooks, body)
        if isinstance(result, WebhookRefused):
            assert host.kept() == before
            return
        self.signals += 1
        host.delivered(body, headers)
        assert host.world.bank.received == sent


def delivery(data: bytes) -> tuple[bytes, dict[str, str]]:
    """The delivery that an input stands for."""
    if not data:
        return b"", {}
    if data[0] % 2 == 0:
        return data[1:], signed(data[1:])
    header, _, body = data[1:].partition(b"\0")
    text = header.decode("latin-1").replace("%T", str(NOW)).replace("%S", mac(body))
    return body, {"Stripe-Signature": text}


def seeds() -> list[bytes]:
    """The inputs to begin with: each event rightly signed, and each under a header."""
    found = []
    for body in CORPUS.values():
        found += [b"\x00" + body, b"\x01t=%T,v1=%S\x00" + body]
    return [*found, b"\x01t=%T,v1=" + b"0" * 64 + b",v0=x,v1=%S\x00{}", b"\x01t=1,t=%T\x00{}"]


def mutated(data: bytes, rng: random.Random) -> bytes | None:
    """The input with a member of its JSON replaced, left out, doubled or moved; None where it has no JSON."""
    place = data.find(b"{")
    if place < 0:
        return None
    try:
        event = json.loads(data[place:])
    except (ValueError, RecursionError):
        return None
    spots: list[tuple[Any, Any]] = []
    stack: list[Any] = [event]
    while stack:
        node = stack.pop()
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            spots.append((node, key))
            if isinstance(node[key], dict | list):
                stack.append(node[key])
    if not spots:
        return None
    node, key = rng.choice(spots)
    match rng.randrange(5):
        case 0:
            del node[key]
        case 1 if isinstance(node, dict):
            node[rng.choice([*WORDS, *MORE_WORDS])] = rng.choice(VALUES)
        case 2:
            other, there = rng.choice(spots)
            node[key] = json.loads(json.dumps(other[there])) if there in other or isinstance(other, list) else 7
        case 3:
            text = json.dumps(event)
            twice = text.replace("{", f'{{"{rng.choice(WORDS)}":{json.dumps(rng.choice(VALUES))},', 1)
            return data[:place] + twice.encode()
        case _:
            node[key] = rng.choice(VALUES)
    return data[:place] + json.dumps(event).encode()


# --- the child that fuzzes, and the parent that counts ------------------------------------------------------


def fuzz(arguments: list[str]) -> None:
    """Fuzz until libFuzzer ends this process. Our modules are instrumented; what they judge by is not."""
    atheris: Any = importlib.import_module("atheris")
    for name in ("_refused", "_signed", "_events", "webhooks"):
        module = importlib.import_module(f"refund_adapters.stripe.{name}")
        for value in list(vars(module).values()):
            if callable(value) and getattr(value, "__module__", "") == module.__name__:
                _instrument(atheris, module, value)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        changed = mutated(data, rng) if rng.random() < 0.5 else None
        found = atheris.Mutate(data, most) if changed is None or len(changed) > most else changed
        return bytes(found)

    atheris.Setup([sys.argv[0], *arguments], Judge(), custom_mutator=mutate)
    atheris.Fuzz()


def _instrument(atheris: Any, module: Any, value: Any) -> None:
    """Let the fuzzer see which branches of this function, or of this class's methods, were taken."""
    if not isinstance(value, type):
        setattr(module, value.__name__, atheris.instrument_func(value))
        return
    for name, member in list(vars(value).items()):
        if callable(member) and hasattr(member, "__code__") and not name.startswith("__"):
            atheris.instrument_func(member)


def campaign(seconds: int, seed: int) -> dict[str, object]:
    """Fuzz in a child process for so many seconds; its figures, and each input that broke something, in hex."""
    with tempfile.TemporaryDirectory() as folder:
        begin, broken, words = Path(folder) / "corpus", Path(folder) / "broken", Path(folder) / "words"
        begin.mkdir()
        broken.mkdir()
        for number, data in enumerate(seeds()):
            (begin / f"seed-{number}").write_bytes(data)
        tokens = [*WORDS, *MORE_WORDS, *KINDS, "null", "true", "false", "NaN", "1e999", "%T", "%S", "v1=", "t="]
        words.write_text("".join(f'"{token}"\n' for token in tokens))
        command = [sys.executable, "-m", "tests.fuzz.webhooks", "--child", "--", str(begin)]
        command += [f"-max_total_time={seconds}", f"-seed={seed}", f"-dict={words}", f"-max_len={LONGEST}"]
        command += [
            f"-artifact_prefix={broken}{os.sep}",
            "-print_final_stats=1",
            "-timeout=10",
            "-rss_limit_mb=2048",
        ]
        done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
        print(done.stderr[-3_000:], file=sys.stderr)
        return {
            **figures(done.stderr),
            "exit": done.returncode,
            "findings": [path.read_bytes().hex() for path in sorted(broken.iterdir())],
        }


def figures(told: str) -> dict[str, object]:
    """What libFuzzer tells at its end."""

    def last(pattern: str) -> int:
        found = re.findall(pattern, told)
        return int(found[-1]) if found else 0

    return {
        "executions": last(r"stat::number_of_executed_units:\s*(\d+)"),
        "executions_per_s": last(r"stat::average_exec_per_sec:\s*(\d+)"),
        "branches": last(r"\bft: (\d+)"),
        "kept_inputs": last(r"\bcorp: (\d+)/"),
    }


def main(arguments: list[str]) -> int:
    """Run the campaign, print its figures, write them where asked. 1 if anything was found."""
    if arguments[:1] == ["--child"]:
        fuzz([word for word in arguments[1:] if word != "--"])
        return 0
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.webhooks", description=__doc__)
    parser.add_argument("--seconds", type=int, default=180, help="how long to fuzz")
    parser.add_argument("--seed", type=int, default=1, help="of the fuzzer's chance; not 0, which means any")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--commit", help="the commit that is fuzzed, for the record")
    given = parser.parse_args(arguments)
    made: dict[str, object] = {"made_at": datetime.now(UTC).isoformat(timespec="seconds"), "commit": given.commit}
    made |= {"python": platform.python_version(), "seconds": given.seconds, "seed": given.seed}
    made |= campaign(given.seconds, given.seed)
    text = json.dumps(made, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")
    return 1 if made["findings"] or made["exit"] or not made["executions"] else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
