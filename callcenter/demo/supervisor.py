"""Keeps child processes alive: one that ends is started again, and all end together.

Each child leads a process group of its own, so that Ctrl-C in the terminal reaches only the supervisor,
and a child's own children end with it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0
HEALTHY_S = 30.0
"""After so long a run a child's next end counts as its first."""
PATIENCE_S = 8.0
"""Between asking children to end and ending them."""
LOOK_S = 0.1
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process to run. `once`: it is let go when it ends by itself with 0."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    once: bool = False


class Child:
    def __init__(self, part: Part) -> None:
        self.part = part
        self.process: subprocess.Popen[bytes] | None = None
        self.start_at = 0.0
        self._started_at = 0.0
        self._pause_s = FIRST_PAUSE_S

    def start(self) -> None:
        with self.part.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603  our own commands
                self.part.command,
                env=dict(self.part.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        self._started_at = time.monotonic()

    def ended(self) -> int | None:
        """The exit code once it is over; negative: the signal."""
        return self.process.poll() if self.process is not None else None

    def plan_restart(self) -> float:
        """How long to wait (s) before it is started again: longer each time it does not live long."""
        now = time.monotonic()
        if now - self._started_at > HEALTHY_S:
            self._pause_s = FIRST_PAUSE_S
        pause, self._pause_s = self._pause_s, min(self._pause_s * 2, LONGEST_PAUSE_S)
        self.process, self.start_at = None, now + pause
        return pause

    def send(self, number: signal.Signals) -> None:
        """To the child's whole group, also when the child itself is over: it may have left children."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            return

    def group_is_over(self) -> bool:
        if self.process is None:
            return True
        self.process.poll()
        try:
            os.killpg(self.process.pid, 0)
        except (ProcessLookupError, PermissionError):
            return True
        return False


class Supervisor:
    """`start` parts, then `run`; `stop` (also by SIGINT or SIGTERM, see `obey_signals`) ends everything."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._stopping = False
        self.children: dict[str, Child] = {}

    def obey_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._asked_to_stop)

    @property
    def stopping(self) -> bool:
        return self._stopping

    def _asked_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def start(self, part: Part) -> Child:
        child = Child(part)
        self.children[part.name] = child
        child.start()
        return child

    def wait_for(self, ready: Callable[[], bool], *, seconds: float) -> bool:
        """Until `ready`, looking after children meanwhile. False: too long, or the end was asked for."""
        until = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < until:
            self.look()
            if ready():
                return True
            time.sleep(LOOK_S)
        return False

    def run(self) -> None:
        """Look after children until asked to stop, then end them."""
        try:
            while not self._stopping:
                self.look()
                time.sleep(LOOK_S)
        finally:
            self.stop()

    def look(self) -> None:
        """One round: what is over is planned, what is planned for now is started."""
        for child in list(self.children.values()):
            if child.process is None:
                if time.monotonic() >= child.start_at:
                    child.start()
                continue
            code = child.ended()
            if code is None:
                continue
            child.send(signal.SIGKILL)
            if code == 0 and child.part.once:
                del self.children[child.part.name]
                continue
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
            pause = child.plan_restart()
            self._tell(f"{child.part.name} {how}; it starts again in {pause:g} s (log: {child.part.log})")

    def stop(self) -> None:
        """End every child and whatever it started."""
        self._stopping = True
        for child in self.children.values():
            child.send(signal.SIGTERM)
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and not all(child.group_is_over() for child in self.children.values()):
            time.sleep(0.05)
        for child in self.children.values():
            child.send(signal.SIGKILL)
            if child.process is not None:
                child.process.wait()
        self.children.clear()


def _end_with_parent() -> None:
    """Linux: a child is told to end when the supervisor is gone, even by SIGKILL. Elsewhere nothing."""
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


# Loaded before any fork: between fork and exec a child may not import or load anything.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
