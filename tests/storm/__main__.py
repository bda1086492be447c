"""`python -m tests.storm --calls 20000 --seed 1 --engine postgresql`: 0 only if every promise held."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import django

from tests.storm.plan import Plan, plan_for
from tests.storm.world import World

MOST_CALLS = 38_000
ROOT = Path(__file__).resolve().parent.parent.parent


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--keep", action="store_true", help="keep logs and database also when all is well")
    given = parser.parse_args(arguments)
    if not 20 <= given.calls <= MOST_CALLS:
        parser.error(f"--calls must be between 20 and {MOST_CALLS}: each person has a number of their own")
    plan = plan_for(given.calls, given.seed, given.engine)
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    world = World(plan)
    print(f"Storm of {plan.calls} calls on {plan.engine}, seed {plan.seed}. Logs: {world.folder}", flush=True)
    held = False
    try:
        with world:
            held = storm(plan, world)
            if given.keep or not held:
                world.keep_rows()
    finally:
        if held and not given.keep:
            shutil.rmtree(world.folder, ignore_errors=True)
        else:
            print(f"Logs of every process: {world.folder}", flush=True)
    return 0 if held else 1


def storm(plan: Plan, world: World) -> bool:
    """Whether every promise held."""
    os.environ.update(world.environment)
    django.setup()
    # That the database is away is what the harness itself brings about.
    logging.disable(logging.WARNING)
    # Django reads the environment once, so what needs its models can be imported only here.
    from tests.storm.course import run

    return run(plan, world)


if __name__ == "__main__":
    began = time.monotonic()
    code = main(sys.argv[1:])
    print(f"{time.monotonic() - began:.0f} s in all.", flush=True)
    sys.exit(code)
