"""A small HTTP/1.1 server that answers as Stripe would: `python -m tests.benchmarks.server`.

Connections are kept alive. It runs in a process of its own, so that it takes no turn of the interpreter that is
measured. It prints its port and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from tests.benchmarks.stripe_answers import HEADERS, answer

_HEAD: Final = (
    "HTTP/1.1 200 OK\r\n" + "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
).encode()
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_END: Final = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection: requests in, answers out, in their order."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a connection must be written to")
        self.transport = transport
        self.read = b""

    def data_received(self, data: bytes) -> None:
        self.read += data
        while _END in self.read:
            head, _, rest = self.read.partition(_END)
            stated = _LENGTH.search(head + b"\r\n")
            length = int(stated[1]) if stated else 0
            if len(rest) < length:
                return
            self.read = rest[length:]
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            body = answer(method, target, rest[:length].decode())
            self.transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (_HEAD, len(body), body))


async def serve() -> None:
    """Listen on a free port of this machine, print it, and go on until standard input ends."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


@contextlib.contextmanager
def running() -> Iterator[str]:
    """The base address of a server that runs meanwhile."""
    command = [sys.executable, "-m", "tests.benchmarks.server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the server has no pipes")
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(serve())
