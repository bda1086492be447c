"""What a million calls in the tables do to the speed of everything that carries load.

    python tests/bench/growth.py [--calls 1000000] [--rounds 3] [--seconds 20]

On one PostgreSQL of its own: the door, applying and dialling as their own scripts measure them, in an empty
database; then it is filled with that many ended calls (with their transcripts and events), and all is
measured again. Prints each round, the medians and how they compare. Needs wrk and node, and 15 GB of disk
for a million.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.machine import GRANIAN, MANAGE, WEB_PORT, Machine, a_machine, answers, percentile

CLICKS = 30
DOOR_S = 8


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
    worst_click_among_1000_ms: float


def measure(machine: Machine, seconds: int, key: str, dice: random.Random) -> Round:
    from tests.bench import apply, dial
    from tests.bench.webhook import run as door

    file = machine.folder / "signed"
    door.write_signed(list(door.bodies(3000 * (DOOR_S + 2), dice)), file)
    with machine.running([*GRANIAN, "callcenter.wsgi:application"], answers(WEB_PORT)) as server:
        asked = door.measure(machine, server, file, DOOR_S, 16, keep=True)
    applied = apply.backlog(machine, 100 * seconds, dice)
    lagged = apply.steady(machine, seconds, dice)
    free = dial.numbers()
    creates = dial.flat_out(machine, seconds, free)
    idle = dial.clicks(machine, key, free, CLICKS, "1000")
    dial.stock(1000, free, priority=40)
    among = dial.clicks(machine, key, free, CLICKS // 2, "10")
    dial.clear()
    return Round(
        door_per_second=asked.per_second,
        door_p99_ms=asked.p99_ms,
        applied_per_second=applied[0],
        lag_p95_ms=lagged[2] * 1000,
        creates_per_second=creates[0],
        ms_a_create=creates[1] / creates[0] * 1000,
        click_p95_ms=percentile(idle, 95) * 1000,
        worst_click_among_1000_ms=max(among) * 1000,
    )


def one_ended_call(dice: random.Random) -> None:
    """What the past is made of."""
    from calls.lifecycle.apply import apply_due
    from tests.bench import apply

    now = datetime.now(UTC)
    apply.store(apply.as_in_life(apply.place_calls(1), dice, now), now)
    apply_due(now=now)


def rounds(count: int, title: str, machine: Machine, seconds: int, key: str, dice: random.Random) -> Round:
    """The medians."""
    found = []
    for turn in range(count):
        found.append(measure(machine, seconds, key, dice))
        shown = "  ".join(f"{field.name} {getattr(found[-1], field.name):.1f}" for field in fields(Round))
        print(f"{title}, round {turn + 1}: {shown}", flush=True)
    return Round(*(statistics.median(column) for column in zip(*map(astuple, found), strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20)
    asked = parser.parse_args()
    dice = random.Random(5)
    with a_machine() as machine:
        os.environ.update(machine.variables, DJANGO_SETTINGS_MODULE="callcenter.settings")
        import django

        django.setup()
        from tests.bench.history import fill

        key = subprocess.run(
            [*MANAGE, "create_api_key", "bench", "--scopes", "read,call"],
            env=os.environ, capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        one_ended_call(dice)
        before = rounds(asked.rounds, "empty", machine, asked.seconds, key, dice)
        fill(machine, asked.calls)
        after = rounds(asked.rounds, f"{asked.calls} calls", machine, asked.seconds, key, dice)
    print(f"\nmedians of {asked.rounds}: empty, with {asked.calls} calls, ratio")
    for field in fields(Round):
        empty, full = getattr(before, field.name), getattr(after, field.name)
        print(f"{field.name:<26} {empty:8.1f} {full:8.1f}  {full / empty:5.2f}")


if __name__ == "__main__":
    main()
