"""A real PostgreSQL server of the tests' own, from the binaries that are installed."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

PASSWORD = "s3cret@/#?%"  # every character that a URL would take for something else
_ENCODED = "s3cret%40%2F%23%3F%25"


class Postgres:
    """A server on 127.0.0.1 with one user, `ann`, who has `PASSWORD`."""

    def __init__(self, binaries: Path, folder: Path, user: str | None) -> None:
        self._binaries = binaries
        self._data = folder / "data"
        self._log = folder / "log"
        self._user = user
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        how = ["-U", "ann", "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "-N"]
        self._call("initdb", "-D", str(self._data), "--locale=C", *how)

    def start(self) -> None:
        """Come up; returns when it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        self._control("start", "-l", str(self._log), "-t", "120", "-o", options)

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Go away: `fast` ends all sessions in order, `immediate` is a crash."""
        self._control("stop", "-m", mode, "-t", "120")

    def restart(self, mode: Literal["fast", "immediate"] = "immediate") -> None:
        """Go away, and come back."""
        self.stop(mode)
        self.start()

    @property
    def is_up(self) -> bool:
        return self._run("pg_ctl", "status", "-D", str(self._data)).returncode == 0

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://ann:{_ENCODED}@127.0.0.1:{self.port}/{database}"

    def database(self, template: str = "template1") -> str:
        """The URL of a new database, empty or like `template`."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def cut(self) -> None:
        """End all sessions but this one, as a network does that fails."""
        self.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """What a database, by name or URL, answers past all code of the project."""
        import psycopg

        plain = (database if "://" in database else self.url(database)).replace("+psycopg", "")
        with psycopg.connect(plain, autocommit=True) as connection:
            cursor = connection.execute(sql)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def _control(self, *arguments: str) -> None:
        self._call("pg_ctl", "-w", "-D", str(self._data), *arguments)

    def _call(self, program: str, *arguments: str) -> None:
        done = self._run(program, *arguments)
        log = self._log.read_text()[-2000:] if self._log.exists() else ""
        assert done.returncode == 0, f"{program} {arguments}:\n{done.stdout}{done.stderr}{log}"

    def _run(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        # Into files: a server that pg_ctl starts would keep pipes open for ever.
        with tempfile.TemporaryFile("w+") as out:
            status = subprocess.run(
                [self._binaries / program, *arguments],
                user=self._user,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                check=False,
            ).returncode
            out.seek(0)
            return subprocess.CompletedProcess([program, *arguments], status, out.read(), "")


@contextmanager
def running() -> Iterator[Postgres]:
    """A server that runs; skips the test, with the reason, where there can be none."""
    pytest.importorskip("psycopg", reason="needs psycopg: install plumbline[postgres]")
    binaries = _binaries()
    if binaries is None:
        pytest.skip("needs PostgreSQL's initdb and pg_ctl, in PATH or /usr/lib/postgresql")
    # Not below pytest's own folder, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="plumbline-postgres-"))
    try:
        user = _user()
        if user is not None:
            shutil.chown(folder, user)
        server = Postgres(binaries, folder, user)
        server.start()
        try:
            yield server
        finally:
            if server.is_up:
                server.stop("immediate")
    finally:
        shutil.rmtree(folder)


def _binaries() -> Path | None:
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(versions, key=lambda file: float(file.parts[-3]), default=None)
    return None if newest is None else newest.parent


def _user() -> str | None:
    """Whom to be: PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return None
    return next(name for name in ("postgres", "nobody") if name in _users())


def _users() -> set[str]:
    return {entry.pw_name for entry in pwd.getpwall()}
