"""A process that places one call as the dialer does, and is killed or frozen at a named point of it.

`python -m tests.placing_process` reads lines "kill POINT" or "freeze POINT". It is the tests that reach into
the code, by replacing one named thing with itself and the signal before or after; the code knows nothing of
it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import django

TIMEOUT_S = 4.0
ROOT = Path(__file__).resolve().parent.parent


def here(kind: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL if kind == "kill" else signal.SIGSTOP)


def before(owner: Any, name: str, kind: str) -> None:
    whole = getattr(owner, name)

    def instead(*args: Any, **options: Any) -> Any:
        here(kind)
        return whole(*args, **options)

    setattr(owner, name, instead)


def after(owner: Any, name: str, kind: str) -> None:
    whole = getattr(owner, name)

    def instead(*args: Any, **options: Any) -> Any:
        result = whole(*args, **options)
        here(kind)
        return result

    setattr(owner, name, instead)


def on_the_wire(event: str, kind: str) -> None:
    """Once the HTTP client says that it is there, after it has looked whether there is time left."""
    from agents.providers.http import Watchdog

    whole = Watchdog.trace

    def trace(self: Watchdog, name: str, info: Any) -> None:
        whole(self, name, info)
        if name == event:
            here(kind)

    Watchdog.trace = trace  # type: ignore[method-assign]


def while_the_answer_is_written(kind: str) -> None:
    """In the transaction that writes it, before its commit."""
    from django.db import transaction

    from calls.dialer import place

    whole = place.accepted

    def accepted(*args: Any) -> None:
        with transaction.atomic():
            whole(*args)
            here(kind)

    place.accepted = accepted


def arm(point: str, kind: str) -> None:
    from agents.providers.retell import RetellProvider
    from calls.dialer import claim, loop, place

    points: dict[str, Callable[[], None]] = {
        "before the claim's commit": lambda: after(claim, "_take", kind),
        "after the claim": lambda: before(loop, "send", kind),
        "before the permit": lambda: before(place, "permit", kind),
        "after the permit": lambda: after(place, "permit", kind),
        "in the POST, half written": lambda: on_the_wire("http11.send_request_headers.complete", kind),
        "in the POST, before its body": lambda: on_the_wire("http11.send_request_body.started", kind),
        "in the POST, before the answer": lambda: on_the_wire("http11.send_request_body.complete", kind),
        "after the answer": lambda: after(RetellProvider, "place", kind),
        "before the row is written": lambda: while_the_answer_is_written(kind),
    }
    points[point]()


def place_one(point: str, kind: str) -> None:
    from agents.providers.registry import get_provider
    from calls.dialer.loop import Dialer

    dialer = Dialer(get_provider(), name=f"process at: {point}")
    arm(point, kind)
    dialer.step_place()


def main() -> None:
    """Forks a process for each line: so that what takes long, to start Python, is done once."""
    django.setup()
    import_module("agents.providers.retell")
    import_module("calls.dialer.loop")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        kind, _space, point = line.strip().partition(" ")
        pid = os.fork()
        if pid:
            print(f"pid {pid}", flush=True)
            continue
        said = "failed"
        try:
            place_one(point, kind)
            said = "done"
        finally:
            if said == "failed":
                traceback.print_exc()
            os.write(1, f"{said} {point}\n".encode())
            os._exit(0)


@dataclass
class Placing:
    """One process that places, from outside."""

    point: str
    pid: int

    def state(self) -> str:
        """As ps says it; empty when it is gone."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        return stat.rpartition(")")[2].split()[0]

    def until(self, *states: str, within_s: float = 30.0) -> None:
        end = time.monotonic() + within_s
        while self.state() not in states:
            assert time.monotonic() < end, (self.point, self.state())
            time.sleep(0.02)

    def wake(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


class Nursery:
    """Starts such processes, and ends what is left of them."""

    def __init__(self, *, sandbox_url: str, api_key: str, database_url: str) -> None:
        self.said: list[str] = []
        self._started: list[Placing] = []
        self._mother = subprocess.Popen(
            [sys.executable, "-m", "tests.placing_process"],
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "callcenter.settings",
                "DATABASE_URL": database_url,
                "SECRET_KEY": "only-for-a-process-of-a-test-0123456789",
                "RETELL_API_KEY": api_key,
                "RETELL_BASE_URL": sandbox_url,
                "PUBLIC_BASE_URL": "http://testserver",
                "PROVIDER_TIMEOUT_S": str(TIMEOUT_S),
                "CALLING_HOURS": "00:00-24:00",
                "CALLS_PER_SECOND": "20",
                "LOG_LEVEL": "ERROR",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._mother.stdout is not None
        return self._mother.stdout.readline().strip()

    def start(self, point: str, kind: str) -> Placing:
        assert self._mother.stdin is not None
        self._mother.stdin.write(f"{kind} {point}\n")
        self._mother.stdin.flush()
        while not (line := self._line()).startswith("pid "):
            self.said.append(line)
        self._started.append(Placing(point, int(line.removeprefix("pid "))))
        return self._started[-1]

    def end(self) -> None:
        """Ends the mother; `said` then holds all that the others had to say."""
        output, _nothing = self._mother.communicate(timeout=20)
        self.said += output.splitlines()
        for process in self._started:
            if process.state():
                os.kill(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
