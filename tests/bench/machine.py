"""What every benchmark runs on: a durable PostgreSQL of its own, migrated, and real processes beside it."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.postgres import Cluster, debian_programs

ROOT = Path(__file__).resolve().parents[2]
KEY = "key_of_the_benchmark"
WEB_PORT = 18990
FAR_PORT = 18991
TICKS = os.sysconf("SC_CLK_TCK")
MANAGE = [sys.executable, "manage.py"]
GRANIAN = [
    str(Path(sys.executable).parent / "granian"), "--interface", "wsgi", "--no-ws", "--host", "127.0.0.1",
    "--port", str(WEB_PORT), "--workers", "2", "--blocking-threads", "16", "--log-level", "warning",
]  # fmt: skip
"""As `make web` serves it, on two cores."""


@dataclass(frozen=True, slots=True)
class Machine:
    folder: Path
    rows: str
    """How psycopg reaches the database."""
    variables: dict[str, str]
    server: int
    """The first process of PostgreSQL: `processor_s` of it is what all its connections have taken."""

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.rows, autocommit=True)

    def number(self, sql: str) -> float:
        """The one number that a query answers; 0 for NULL."""
        with self.connect() as connection:
            row = connection.execute(sql.encode()).fetchone()
        return float(row[0] or 0) if row else 0.0

    def execute(self, sql: str) -> None:
        with self.connect() as connection:
            connection.execute(sql.encode())

    def run(self, *command: str) -> None:
        subprocess.run(command, env=os.environ | self.variables, cwd=ROOT, check=True)

    @contextmanager
    def running(self, command: list[str], ready: Callable[[], bool], **variables: str) -> Iterator[int]:
        """A process, once `ready` says so; ended afterwards. Yields its id. Its words are in `log`."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command, env=os.environ | self.variables | variables, stdout=log, stderr=log, cwd=ROOT
            )
            try:
                deadline = time.monotonic() + 60
                while not ready():
                    if process.poll() is not None or time.monotonic() > deadline:
                        said = (self.folder / "log").read_text(errors="replace")[-3000:]
                        raise SystemExit(f"{' '.join(command[-2:])} did not start:\n{said}")
                    time.sleep(0.1)
                yield process.pid
            finally:
                process.terminate()
                process.wait(60)


@contextmanager
def a_machine(**variables: str) -> Iterator[Machine]:
    with (
        tempfile.TemporaryDirectory(prefix="callcenter-bench-") as name,
        Cluster(debian_programs(), durable=True) as server,
    ):
        with psycopg.connect(f"host={server.home} user=postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE callcenter")
        settings = {
            "DATABASE_URL": server.url, "SECRET_KEY": "only-for-the-benchmark-0123456789-0123456789-01234",
            "ALLOWED_HOSTS": "127.0.0.1", "PUBLIC_BASE_URL": f"http://127.0.0.1:{WEB_PORT}",
            "RETELL_API_KEY": KEY, "RETELL_BASE_URL": f"http://127.0.0.1:{FAR_PORT}", "LOG_LEVEL": "WARNING",
            "CALLING_HOURS": "00:00-24:00", "PYTHONPATH": str(ROOT), "PGHOST": str(server.home),
            "PGUSER": "postgres", "PGDATABASE": "callcenter", **variables,
        }  # fmt: skip
        machine = Machine(
            Path(name), f"host={server.home} user=postgres dbname=callcenter", settings, server.pid
        )
        machine.run(*MANAGE, "migrate", "--verbosity", "0")
        yield machine


def processor_s(pid: int) -> float:
    """User and system time (s) that a process and its children now alive have taken."""
    total = 0.0
    for one in [pid, *_children(pid)]:
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        except FileNotFoundError:
            continue
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def resident_mb(pid: int) -> float:
    """The largest resident size (MB) so far of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Host:
    """Watches what the host of a virtual machine gives of its processors to others: rounds in which that was
    much were not measured on free cores, whatever ran here. Linux's `steal` in proc_stat(5)."""

    def __init__(self) -> None:
        self._seen = self._ticks()

    def took(self) -> str:
        """The share since last asked, in words for the end of a round's line."""
        before, self._seen = self._seen, self._ticks()
        all_of_it = sum(self._seen) - sum(before)
        return f"  (host took {(self._seen[7] - before[7]) / max(1, all_of_it):.0%})"

    @staticmethod
    def _ticks() -> list[int]:
        """User, nice, system, idle, iowait, irq, softirq, steal: since the start, all cores together."""
        return [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(part) for part in found.read_text().split()] if found.exists() else []


def answers(port: int, path: str = "/", status: int | None = None) -> Callable[[], bool]:
    """Whether something listens there; with a status, whether it answers GET with that."""

    def ready() -> bool:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            return status is None or connection.getresponse().status == status
        except OSError:
            return False

    return ready


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("nan")
