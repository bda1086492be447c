"""What a million calls in the tables do to the speed of everything that carries load.

    python tests/bench/growth.py [--calls 1000000] [--rounds 3] [--seconds 20]

On two PostgreSQLs of its own: one as good as empty, one filled with that many ended calls, their
transcripts and events. In turn, the door, applying and dialling are measured on each as their own scripts
do it. Prints each round, the medians and how they compare. Needs wrk and node, half an hour, and
15 GB of disk for a million.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.machine import GRANIAN, MANAGE, WEB_PORT, Host, Machine, a_machine, answers, percentile

CLICKS = 60
"""Of each kind a round: the slowest of a few is chance."""
FIRST_CLICKS = 20
"""Not counted: the first of a process just started takes 100 to 220 ms instead of 45, for what it imports and
compiles. How many of them a round meets would decide its p95."""
DOOR_S = 8
SETTLES_S = 20
"""After the filling: what the disk still has to write would slow down what is measured first."""


@dataclass(frozen=True, slots=True)
class Round:
    door_per_second: float
    door_p99_ms: float
    applied_per_second: float
    lag_p95_ms: float
    creates_per_second: float
    ms_a_create: float
    """Processor time of the dialer."""
    click_p95_ms: float
    click_among_1000_p95_ms: float
    worst_click_among_1000_ms: float


def measure(machine: Machine, seconds: int) -> Round:
    from tests.bench import apply, dial
    from tests.bench.webhook import run as door

    dice = random.Random(time.time())
    key = subprocess.run(
        [*MANAGE, "create_api_key", "bench", "--scopes", "read,call"],
        env=os.environ, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    file = machine.folder / "signed"
    door.write_signed(list(door.bodies(door.MOST_PER_SECOND * DOOR_S, dice)), file)
    with machine.running([*GRANIAN, "callcenter.wsgi:application"], answers(WEB_PORT)) as server:
        asked = door.measure(machine, server, file, DOOR_S, 16, keep=True)
    applied = apply.backlog(machine, 100 * seconds, dice)
    lagged = apply.steady(machine, seconds, dice)
    free = dial.numbers()
    creates = dial.flat_out(machine, seconds, free)
    idle = dial.clicks(machine, key, free, CLICKS, "1000", FIRST_CLICKS)
    dial.stock(1000, free, priority=40)
    among = dial.clicks(machine, key, free, CLICKS, "10", FIRST_CLICKS)
    dial.clear()
    return Round(
        door_per_second=asked.per_second,
        door_p99_ms=asked.p99_ms,
        applied_per_second=applied[0],
        lag_p95_ms=lagged[2] * 1000,
        creates_per_second=creates[0],
        ms_a_create=creates[1] / creates[0] * 1000,
        click_p95_ms=percentile(idle, 95) * 1000,
        click_among_1000_p95_ms=percentile(among, 95) * 1000,
        worst_click_among_1000_ms=max(among) * 1000,
    )


def fill_with(machine: Machine, calls: int) -> None:
    """One call is made and ended as calls are; the past is copies of it."""
    from calls.lifecycle.apply import apply_due
    from tests.bench import apply
    from tests.bench.history import fill

    now = datetime.now(UTC)
    apply.store(apply.as_in_life(apply.place_calls(1), random.Random(5), now), now)
    apply_due(now=now)
    if calls:
        fill(machine, calls)


def in_a_process(machine: Machine, *arguments: str) -> str:
    """Django belongs to one database a process."""
    told = {**asdict(machine), "folder": str(machine.folder)}
    return subprocess.run(
        [sys.executable, __file__, *arguments, "--machine", json.dumps(told)],
        env=os.environ | machine.variables, stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip


def inside(told: str, asked: argparse.Namespace) -> None:
    given = json.loads(told)
    machine = Machine(**{**given, "folder": Path(given["folder"])})
    os.environ["DJANGO_SETTINGS_MODULE"] = "callcenter.settings"
    import django

    django.setup()
    if asked.fill:
        fill_with(machine, asked.calls)
    else:
        print(json.dumps(asdict(measure(machine, asked.seconds))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--fill", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--machine", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.machine:
        inside(asked.machine, asked)
        return
    found: dict[str, list[Round]] = {"empty": [], "full": []}
    with ExitStack() as both:
        machines = {name: both.enter_context(a_machine()) for name in found}
        for name, machine in machines.items():
            in_a_process(machine, "--fill", "--calls", str(asked.calls if name == "full" else 0))
        machines["full"].execute("CHECKPOINT")
        os.sync()
        time.sleep(SETTLES_S)
        host = Host()
        for turn in range(asked.rounds):
            for name, machine in machines.items():
                said = in_a_process(machine, "--seconds", str(asked.seconds))
                found[name].append(Round(**json.loads(said.splitlines()[-1])))
                last = asdict(found[name][-1])
                shown = "  ".join(f"{what} {value:.1f}" for what, value in last.items())
                print(f"round {turn + 1}, {name}: {shown}{host.took()}", flush=True)
    print(f"\nmedians of {asked.rounds}: empty, with {asked.calls} calls, ratio")
    medians = {
        name: Round(*(statistics.median(column) for column in zip(*map(astuple, rounds), strict=True)))
        for name, rounds in found.items()
    }
    for field in fields(Round):
        empty, full = (getattr(each, field.name) for each in medians.values())
        print(f"{field.name:<26} {empty:8.1f} {full:8.1f}  {full / empty:5.2f}")


if __name__ == "__main__":
    main()
