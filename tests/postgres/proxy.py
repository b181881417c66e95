"""Small proxies before the server's socket: one cuts a connection between a commit and its answer, one counts."""

from __future__ import annotations

import os
import select
import shutil
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

_READY = b"Z\x00\x00\x00\x05I"
"""ReadyForQuery, outside of a transaction: what was asked is committed, or never will be."""


class Proxy:
    """Listens on a socket of the name that libpq looks for in `folder`, and passes on what comes.

    `cut_after`: from then on the next statement whose bytes hold this word is let through to the server, and its
    answer is thrown away with the connection once the server is done. `silence`: it is thrown away and the
    connection stays.
    """

    def __init__(self, target: str) -> None:
        self.folder = tempfile.mkdtemp(prefix="refunds-proxy-")
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.path.join(self.folder, ".s.PGSQL.5432"))
        self._listener.listen(50)
        self.cut_after: bytes | None = None
        self.silent = False
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(self._target)
                except OSError:
                    client.close()
                    continue
                link = _Link(self, client, server)
                threading.Thread(target=link.to_server, daemon=True).start()
                threading.Thread(target=link.to_client, daemon=True).start()

    def close(self) -> None:
        """Stop listening; what is open goes on."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class _Link:
    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._doomed = False

    def to_server(self) -> None:
        with suppress(OSError):
            while data := self._client.recv(65536):
                word = self._proxy.cut_after
                if word is not None and word in data:
                    self._doomed = True
                    self._proxy.cut_after = None
                self._server.sendall(data)
        self._end()

    def to_client(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(65536):
                if not self._doomed:
                    self._client.sendall(data)
                elif data.endswith(_READY):
                    self._proxy.cuts += 1
                    if not self._proxy.silent:
                        break
        self._end()

    def _end(self) -> None:
        for side in (self._client, self._server):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()


class Turns:
    """Listens in `folder` and passes on, one connection after the other; counts how often the client spoke after
    it was answered: each is a time that it waited for the server."""

    def __init__(self, target: str, folder: Path) -> None:
        self.count = 0
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen(5)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):  # the listener was shut down
            while True:
                client, _ = self._listener.accept()
                with client, socket.socket(socket.AF_UNIX) as server:
                    server.connect(self._target)
                    self._pass_on(client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        answered = True
        while True:
            for ready in select.select([client, server], [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    return
                self.count += answered and ready is client
                answered = ready is server
                (server if ready is client else client).sendall(data)

    def close(self) -> None:
        """Listen no more, and wait for the end of the connection that is open."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        self._listener.close()
