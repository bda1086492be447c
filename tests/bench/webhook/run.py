"""How many webhooks a second are verified, stored durably and answered, beside two others.

    python tests/bench/webhook/run.py [--rounds 5] [--seconds 8] [--connections 16]

On a PostgreSQL of its own (fsync on), with bodies of 4 to 6 KB, each signed and each sent once, over
loopback by wrk: (ours) the product's door as `make web` serves it, (express) Express and the pg pool in
two processes, (stock) a DRF view with the ORM. In turn, several rounds, the table emptied between. Prints
each round, the medians and their ratios. Needs wrk, node and npm (Debian: apt install wrk nodejs npm).
"""

# ruff: noqa: E402  the project has to be found before it is imported

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2]))

from agents.providers import retell_signature
from calls.call_id import new_call_id
from tests.bench.machine import GRANIAN, KEY, WEB_PORT, Host, Machine, a_machine, answers, processor_s

WORDS = ["the", "people", "you", "that", "was", "with", "they", "have", "this", "from", "tomorrow", "perhaps"]
MOST_PER_SECOND = 9000
"""So many bodies are written for each second: what is sent twice is kept once, and fails the round."""


@dataclass(frozen=True, slots=True)
class Result:
    per_second: float
    p50_ms: float
    p99_ms: float
    processor_ms: float
    """Of the server's processes, an answer; the database's are not in it."""


def bodies(count: int, dice: random.Random) -> Iterator[bytes]:
    """`call_ended` as it comes, 4 to 6 KB, each of another call of ours: mostly what was said, and when."""
    for number in range(count):
        size = dice.randint(4000, 6000)
        call = {"call_id": f"call_{number:032x}", "call_type": "phone_call", "call_status": "ended",
                "metadata": {"call_uuid": str(new_call_id())}}  # fmt: skip
        said: list[dict[str, object]] = []
        body = b""
        while len(body) < size:
            words = [
                {"word": dice.choice(WORDS), "start": round(n * 0.31, 2), "end": round(n * 0.31 + 0.2, 2)}
                for n in range(12)
            ]
            text = " ".join(str(word["word"]) for word in words)
            said.append({"role": dice.choice(["agent", "user"]), "content": text, "words": words})
            body = json.dumps({"event": "call_ended", "call": {**call, "transcript_object": said}}).encode()
        yield body


def write_signed(made: list[bytes], file: Path) -> None:
    """Signed anew for each round: a signature is good for five minutes."""
    now = datetime.now(UTC)
    with file.open("wb") as out:
        for body in made:
            out.write(retell_signature.sign(body, KEY, now=now).encode() + b"\t" + body + b"\n")


def measure(
    machine: Machine, server: int, file: Path, seconds: int, connections: int, *, keep: bool = False
) -> Result:
    """`keep`: leave what is in the table there."""
    newest = int(machine.number("SELECT max(id) FROM calls_webhookevent"))
    mine = f"FROM calls_webhookevent WHERE id > {newest if keep else 0}"
    for duration in (2, seconds):  # once to warm up
        with machine.connect() as connection:
            connection.execute(f"DELETE {mine}".encode() if keep else b"TRUNCATE calls_webhookevent")
            connection.execute("CHECKPOINT")
        spent = processor_s(server)
        told = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{duration}s", "-s", str(HERE / "signed.lua"),
             f"http://127.0.0.1:{WEB_PORT}"],
            env=os.environ | {"BODIES": str(file)}, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    line = next((line for line in told.splitlines() if line.startswith("RESULT ")), "")
    if not line:
        raise SystemExit(f"wrk said nothing:\n{told}")
    requests, micros, p50, p99, refused, broken = map(int, line.split()[1:])
    kept = int(machine.number(f"SELECT count(*) {mine}"))
    if keep:
        machine.execute(f"DELETE {mine}")
    # What was under way when wrk stopped counting may be kept without having been counted.
    if refused or broken or not requests <= kept <= requests + connections:
        raise SystemExit(f"{requests} answered, {kept} kept, {refused} refused, {broken} broken:\n{told}")
    spent = processor_s(server) - spent
    return Result(requests / micros * 1e6, p50 / 1000, p99 / 1000, spent / requests * 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--only", default="ours,express,stock")
    asked = parser.parse_args()
    for program in ("wrk", "node", "npm"):
        if not shutil.which(program):
            raise SystemExit(f"{program} is missing (Debian: apt install wrk nodejs npm).")
    with a_machine(PORT=str(WEB_PORT)) as machine:
        for name in ("package.json", "express.js"):
            shutil.copy(HERE / name, machine.folder)
        subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=machine.folder, check=True
        )
        commands = {
            "ours": [*GRANIAN, "callcenter.wsgi:application"],
            "express": ["node", str(machine.folder / "express.js")],
            "stock": [*GRANIAN, "tests.bench.webhook.stock:application"],
        }
        made = list(bodies(MOST_PER_SECOND * asked.seconds, random.Random(11)))
        file = machine.folder / "signed"
        results: dict[str, list[Result]] = {kind: [] for kind in asked.only.split(",")}
        host = Host()
        for turn in range(asked.rounds):
            write_signed(made, file)
            for kind, measured in results.items():
                with machine.running(commands[kind], answers(WEB_PORT)) as server:
                    measured.append(measure(machine, server, file, asked.seconds, asked.connections))
                last = measured[-1]
                print(
                    f"round {turn + 1}  {kind:<8} {last.per_second:7.0f}/s  "
                    f"p50 {last.p50_ms:6.1f} ms  p99 {last.p99_ms:6.1f} ms  "
                    f"processor {last.processor_ms:.2f} ms{host.took()}",
                    flush=True,
                )
    print(f"\nmedians of {asked.rounds}, {asked.connections} connections")
    rates = {kind: statistics.median(r.per_second for r in found) for kind, found in results.items()}
    base = rates.get("express")
    for kind, found in results.items():
        p99 = statistics.median(r.p99_ms for r in found)
        ratio = f"  {rates[kind] / base:.2f} x express" if base else ""
        spent = statistics.median(r.processor_ms for r in found)
        print(f"{kind:<8} {rates[kind]:7.0f}/s  p99 {p99:6.1f} ms  processor {spent:.2f} ms{ratio}")


if __name__ == "__main__":
    main()
