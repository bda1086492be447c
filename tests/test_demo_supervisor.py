"""Parts of a demo come back when they die, and all of them end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from callcenter.demo.supervisor import Part, Supervisor

SLEEPER = "import time; time.sleep(300)"
# Starts a child of its own and will not hear of SIGTERM, like a server with a stuck worker.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(300)"
child = subprocess.Popen([sys.executable, "-c", deaf])
print(child.pid, flush=True)
time.sleep(300)
"""


def part(tmp_path: Path, name: str, code: str, *, once: bool = False) -> Part:
    return Part(
        name=name,
        command=[sys.executable, "-c", code],
        environment=dict(os.environ),
        log=tmp_path / f"{name}.log",
        once=once,
    )


def until(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return False


def is_running(pid: int) -> bool:
    """A zombie runs no more: it only waits for its parent to ask."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return found.stdout.strip()[:1] not in ("", "Z")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def supervisor(told: list[str]) -> Iterator[Supervisor]:
    supervisor = Supervisor(told.append)
    yield supervisor
    supervisor.stop()


def pid_of(supervisor: Supervisor, name: str) -> int | None:
    process = supervisor.children[name].process
    return process.pid if process is not None else None


def test_a_killed_part_comes_back_and_the_end_is_told(
    supervisor: Supervisor, told: list[str], tmp_path: Path
) -> None:
    supervisor.start(part(tmp_path, "dialer", SLEEPER))
    first = pid_of(supervisor, "dialer")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert supervisor.wait_for(lambda: pid_of(supervisor, "dialer") not in (None, first), seconds=20)
    assert len(told) == 1
    assert "dialer was ended by SIGKILL" in told[0]


def test_one_that_cannot_live_is_tried_ever_more_slowly(
    supervisor: Supervisor, told: list[str], tmp_path: Path
) -> None:
    supervisor.start(part(tmp_path, "broken", "raise SystemExit(3)"))
    assert supervisor.wait_for(lambda: len(told) >= 3, seconds=30)
    assert ["0.5 s" in told[0], "1 s" in told[1], "2 s" in told[2]] == [True, True, True]
    assert "broken ended with 3" in told[0]


def test_one_that_is_to_run_once_is_let_go(supervisor: Supervisor, told: list[str], tmp_path: Path) -> None:
    supervisor.start(part(tmp_path, "visitors", "", once=True))
    assert supervisor.wait_for(lambda: "visitors" not in supervisor.children, seconds=20)
    assert told == []


def test_stopping_ends_the_children_of_children_and_those_who_will_not_hear(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callcenter.demo.supervisor.PATIENCE_S", 0.5)
    supervisor.start(part(tmp_path, "web", STUBBORN))
    log = tmp_path / "web.log"
    assert until(lambda: log.read_text().strip().isdecimal())
    parent, grandchild = pid_of(supervisor, "web"), int(log.read_text())
    assert parent is not None
    supervisor.stop()
    assert until(lambda: not is_running(grandchild) and not is_running(parent))


SUPERVISED = """
import sys
from pathlib import Path
from callcenter.demo.supervisor import Part, Supervisor
import os
supervisor = Supervisor(print)
supervisor.obey_signals()
for name in ("one", "two"):
    child = supervisor.start(Part(name=name, command=[sys.executable, "-c", "import time; time.sleep(300)"],
        environment=dict(os.environ), log=Path(sys.argv[1])))
    print(child.process.pid, flush=True)
supervisor.run()
print("over", flush=True)
"""


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A supervisor in a process of its own, with two children."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SUPERVISED), str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    pids = [int(process.stdout.readline()) for _ in range(2)]
    yield process, pids
    process.kill()
    process.communicate()
    for pid in pids:
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_it_takes_all_with_it(
    supervised: tuple[subprocess.Popen[str], list[int]], number: signal.Signals
) -> None:
    process, pids = supervised
    assert all(map(is_running, pids))
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)
    assert out.strip() == "over"
    assert process.returncode == 0
    assert not any(map(is_running, pids))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent is gone")
def test_killed_itself_it_leaves_no_children_behind(
    supervised: tuple[subprocess.Popen[str], list[int]],
) -> None:
    process, pids = supervised
    process.kill()
    assert until(lambda: not any(map(is_running, pids)))
