"""The processes of a storm: started, watched, killed, frozen, started again.

Everything listens on loopback and lies in one temporary folder, the logs among it.
"""

from __future__ import annotations

import secrets
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from callcenter.demo.home import free_port
from callcenter.demo.supervisor import Child, Part
from tests.postgres import Cluster, any_programs
from tests.run import clean_environment
from tests.storm.memory import Memory
from tests.storm.plan import Plan

READY_S = 90.0
PAUSE_BEFORE_RESTART_S = 0.3


class NotReady(Exception):
    """A process did not come up; the text says which log to read."""


@dataclass(slots=True)
class Process:
    """One of ours. `trouble`: epoch ms from its being killed or frozen to its answering again."""

    child: Child
    sign: bytes = b""
    """What it writes to its log when it is ready."""
    log_from: int = 0
    frozen: bool = False
    dead_since: float = 0.0
    trouble: list[list[float]] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.child.process.pid if self.child.process is not None else 0

    def start(self) -> None:
        log = self.child.part.log
        self.log_from = log.stat().st_size if log.exists() else 0
        self.dead_since = 0.0
        self.child.start()

    def is_up(self) -> bool:
        """It runs (or is frozen), and had the time to become ready."""
        if self.dead_since:
            return False
        if self.trouble and self.trouble[-1][1] == float("inf") and not self.frozen and not self.sign:
            return False
        with self.child.part.log.open("rb") as log:
            log.seek(self.log_from)
            return self.sign in log.read()


class World:
    """`with World(plan) as world:` has database and folder; the processes are started one by one.

    Children are started by the thread that calls `start` and `look` alone: Linux ends a child with the
    thread that made it.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.folder = Path(tempfile.mkdtemp(prefix="callcenter-storm-"))
        self.processes: dict[str, Process] = {}
        self.memory = Memory()
        self.deaths: list[str] = []
        """Processes that ended although nobody killed them."""
        self._lock = threading.RLock()
        self._stack = ExitStack()
        self._cluster: Cluster | None = None
        self._looked = 0.0
        self.database_restarts = 0

    def __enter__(self) -> Self:
        url = f"sqlite:///{self.folder / 'storm.sqlite3'}"
        if self.plan.engine == "postgresql":
            # So that the moment of each opt-out's commit can be asked for afterwards.
            settings = {"track_commit_timestamp": "on", "log_min_messages": "fatal"}
            self._cluster = self._stack.enter_context(Cluster(any_programs(), settings=settings))
            url = self._cluster.url.removesuffix("callcenter") + "postgres"
        web, sandbox = free_port(), free_port()
        self.web_url, self.sandbox_url = f"http://127.0.0.1:{web}", f"http://127.0.0.1:{sandbox}"
        self.key = f"key_storm_{secrets.token_hex(8)}"
        self.environment = clean_environment(
            DJANGO_SETTINGS_MODULE="tests.storm.settings",
            LOOK_FACTOR=str(self.plan.look_factor),
            SECRET_KEY=secrets.token_urlsafe(48),
            ALLOWED_HOSTS="127.0.0.1",
            DATABASE_URL=url,
            PUBLIC_BASE_URL=self.web_url,
            RETELL_BASE_URL=self.sandbox_url,
            RETELL_API_KEY=self.key,
            MAX_CONCURRENT_CALLS=str(self.plan.at_once),
            CALLS_PER_SECOND=f"{self.plan.pace:g}",
            PROVIDER_TIMEOUT_S=f"{self.plan.provider_timeout_s:g}",
            CALLING_HOURS="00:00-24:00",
            DAILY_CALL_CAP="10000000",
            STATIC_ROOT=str(self.folder / "static"),
            MEDIA_ROOT=str(self.folder / "media"),
            LOG_LEVEL="INFO",
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes.values():
            process.child.send(signal.SIGCONT)
            process.child.send(signal.SIGTERM)
        until = time.monotonic() + 12
        while time.monotonic() < until and not all(
            process.child.group_is_over() for process in self.processes.values()
        ):
            time.sleep(0.05)
        for process in self.processes.values():
            process.child.send(signal.SIGKILL)
            if process.child.process is not None:
                process.child.process.wait()
        self._stack.close()

    # Starting

    def start_network(self) -> None:
        plan, port = self.plan, self.sandbox_url.rpartition(":")[2]
        options = ["--port", port, "--speed", f"{plan.speed:g}", "--seed", str(plan.seed)]
        self._start("sandbox", [*_manage("sandbox"), *options, "--capacity", str(plan.room_at_provider)])
        self._wait("sandbox", f"{self.sandbox_url}/control/")
        self.control("settings", idempotency_window_s=plan.remembers_keys_s)

    def start_product(self) -> None:
        granian = Path(sys.executable).parent / "granian"
        address = ["--host", "127.0.0.1", "--port", self.web_url.rpartition(":")[2]]
        size = ["--workers", "1", "--blocking-threads", "12"]
        self._start(
            "web",
            [str(granian), "--interface", "wsgi", "--no-ws", *address, *size, "callcenter.wsgi:application"],
        )
        for number in range(self.plan.dialers):
            self._start(f"dialer-{number + 1}", _manage("dialer"), b"dialer started")
        self._start("worker", _manage("db_worker", "--no-reload"), b"Starting worker")
        self._wait("web", f"{self.web_url}/health")

    def _start(self, name: str, command: Sequence[str], sign: bytes = b"") -> None:
        log = self.folder / f"{name}.log"
        part = Part(name=name, command=command, environment=self.environment, log=log)
        self.processes[name] = Process(Child(part), sign)
        self.processes[name].start()

    def _wait(self, name: str, url: str) -> None:
        until = time.monotonic() + READY_S
        while not _answers(url):
            process = self.processes[name].child
            if time.monotonic() > until or process.ended() is not None:
                raise NotReady(f"{name} did not start: see {process.part.log}")
            time.sleep(0.1)

    # Watching

    def look(self) -> None:
        """Start again what was killed; see whether web answers again; look at everybody's memory."""
        now = time.monotonic()
        with self._lock:
            for name, process in self.processes.items():
                self._look_at(name, process, now)
            web = self.processes.get("web")
            in_trouble = web is not None and bool(web.trouble) and web.trouble[-1][1] == float("inf")
            running = web is not None and not web.frozen and bool(web.pid)
        if web is not None and in_trouble and running and _answers(f"{self.web_url}/health", 1.0):
            web.trouble[-1][1] = time.time() * 1000
        if now - self._looked >= 1.0:
            self._looked = now
            leaders = {name: process.pid for name, process in self.processes.items() if process.pid}
            if self._cluster is not None:
                leaders["postgresql"] = self._cluster.pid
            self.memory.look(leaders)

    def _look_at(self, name: str, process: Process, now: float) -> None:
        if process.dead_since:
            if now - process.dead_since >= PAUSE_BEFORE_RESTART_S:
                process.start()
            return
        code = process.child.ended()
        if code is not None:
            self.deaths.append(f"{name} ended by itself with {code}: see {process.child.part.log}")
            process.child.send(signal.SIGKILL)
            self._trouble(process)
            process.dead_since = now

    def wait(self, condition: Callable[[], bool], seconds: float, *, every_s: float = 0.1) -> bool:
        """Look after everybody until `condition`, asked `every_s`, holds. False: not in time."""
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                return False
            ask_again_at = time.monotonic() + every_s
            while time.monotonic() < ask_again_at:
                self.look()
                time.sleep(0.1)
        return True

    def all_up(self) -> bool:
        with self._lock:
            return all(process.is_up() for process in self.processes.values())

    # Breaking

    def kill(self, name: str) -> None:
        """-9, with whatever it started."""
        with self._lock:
            process = self.processes[name]
            if process.dead_since or process.child.process is None:
                return
            self._trouble(process)
            process.child.send(signal.SIGKILL)
            process.child.process.wait()
            process.frozen, process.dead_since = False, time.monotonic()

    def freeze(self, name: str) -> None:
        with self._lock:
            process = self.processes[name]
            if not process.dead_since and not process.frozen:
                self._trouble(process)
                process.child.send(signal.SIGSTOP)
                process.frozen = True

    def thaw(self, name: str) -> None:
        with self._lock:
            process = self.processes[name]
            if process.frozen:
                process.child.send(signal.SIGCONT)
                process.frozen = False

    def restart_database(self, *, crash: bool) -> None:
        assert self._cluster is not None
        self._cluster.restart(crash=crash)
        self.database_restarts += 1

    def keep_rows(self) -> None:
        """Beside the logs, for whoever looks for the cause."""
        if self._cluster is not None:
            self._cluster.dump(self.folder / "rows.dump", database="postgres")

    def _trouble(self, process: Process) -> None:
        if not process.trouble or process.trouble[-1][1] != float("inf"):
            process.trouble.append([time.time() * 1000, float("inf")])

    # The network's control doors

    def control(self, what: str, **body: object) -> dict[str, object]:
        """Raises httpx.HTTPError."""
        answer = httpx.post(f"{self.sandbox_url}/control/{what}", json=body, timeout=30)
        found: dict[str, object] = answer.raise_for_status().json()
        return found


def _manage(*command: str) -> list[str]:
    return [sys.executable, "manage.py", *command]


def _answers(url: str, timeout_s: float = 5.0) -> bool:
    try:
        return httpx.get(url, timeout=timeout_s).status_code < 500
    except httpx.HTTPError:
        return False
