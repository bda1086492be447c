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
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT))

import psycopg

from agents.providers import retell_signature
from tests.postgres import Cluster, debian_programs

KEY = "key_of_the_benchmark"
PORT = 18990
WORDS = ["the", "people", "you", "that", "was", "with", "they", "have", "this", "from", "tomorrow", "perhaps"]
GRANIAN = [
    "--interface", "wsgi", "--no-ws", "--host", "127.0.0.1", "--port", str(PORT),
    "--workers", "2", "--blocking-threads", "16", "--log-level", "warning",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    per_second: float
    p50_ms: float
    p99_ms: float


def bodies(count: int, dice: random.Random) -> Iterator[bytes]:
    """`call_ended` as it comes, 4 to 6 KB: mostly what was said, with the time of each word."""
    for number in range(count):
        size = dice.randint(4000, 6000)
        call = {"call_id": f"call_{number:032x}", "call_type": "phone_call", "call_status": "ended"}
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


@contextmanager
def serving(command: list[str], variables: dict[str, str], folder: Path) -> Iterator[int]:
    """The server, answering; ended afterwards. Yields its process id."""
    with folder.joinpath("server.log").open("ab") as log:
        server = subprocess.Popen(command, env=os.environ | variables, stdout=log, stderr=log, cwd=ROOT)
        try:
            _wait_until_it_answers(server)
            yield server.pid
        finally:
            server.terminate()
            server.wait(20)


def _wait_until_it_answers(server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(
                urllib.request.Request(f"http://127.0.0.1:{PORT}/webhook/retell", b"{}"), timeout=5
            )
        except urllib.error.HTTPError as refusal:
            if refusal.code == 401:
                return
            raise SystemExit(f"The server answers {refusal.code}: {refusal.read(2000)!r}") from None
        except OSError:
            time.sleep(0.1)
    raise SystemExit("The server did not start.")


def measure(file: Path, database: str, seconds: int, connections: int) -> Result:
    for duration in (2, seconds):  # once to warm up
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("TRUNCATE calls_webhookevent")
            connection.execute("CHECKPOINT")
        told = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{duration}s", "-s", str(HERE / "signed.lua"),
             f"http://127.0.0.1:{PORT}"],
            env=os.environ | {"BODIES": str(file)}, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    line = next((line for line in told.splitlines() if line.startswith("RESULT ")), "")
    if not line:
        raise SystemExit(f"wrk said nothing:\n{told}")
    requests, micros, p50, p99, refused, broken = map(int, line.split()[1:])
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT count(*) FROM calls_webhookevent").fetchone()
    kept = row[0] if row else 0
    # What was under way when wrk stopped counting may be kept without having been counted.
    if refused or broken or not requests <= kept <= requests + connections:
        raise SystemExit(f"{requests} answered, {kept} kept, {refused} refused, {broken} broken:\n{told}")
    return Result(requests / micros * 1e6, p50 / 1000, p99 / 1000)


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
    with (
        tempfile.TemporaryDirectory(prefix="bench-webhook-") as name,
        Cluster(debian_programs(), durable=True) as server,
    ):
        folder = Path(name)
        rows = f"host={server.home} user=postgres dbname=callcenter"
        variables = {
            "DATABASE_URL": server.url, "SECRET_KEY": "only-for-the-benchmark-0123456789-0123456789-01234",
            "ALLOWED_HOSTS": "127.0.0.1", "PUBLIC_BASE_URL": "http://127.0.0.1", "RETELL_API_KEY": KEY,
            "LOG_LEVEL": "WARNING", "PORT": str(PORT), "PGHOST": str(server.home),
            "PGUSER": "postgres", "PGDATABASE": "callcenter", "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        with psycopg.connect(f"host={server.home} user=postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE callcenter")
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, env=os.environ | variables, check=True, cwd=ROOT)
        for file in ("package.json", "express.js"):
            shutil.copy(HERE / file, folder)
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
        granian = str(Path(sys.executable).parent / "granian")
        commands = {
            "ours": [granian, *GRANIAN, "callcenter.wsgi:application"],
            "express": ["node", str(folder / "express.js")],
            "stock": [granian, *GRANIAN, "tests.bench.webhook.stock:application"],
        }
        made = list(bodies(6000 * asked.seconds, random.Random(11)))
        results: dict[str, list[Result]] = {kind: [] for kind in asked.only.split(",")}
        for turn in range(asked.rounds):
            write_signed(made, folder / "signed")
            for kind, measured in results.items():
                with serving(commands[kind], variables, folder):
                    measured.append(measure(folder / "signed", rows, asked.seconds, asked.connections))
                last = measured[-1]
                print(
                    f"round {turn + 1}  {kind:<8} {last.per_second:7.0f}/s  "
                    f"p50 {last.p50_ms:6.1f} ms  p99 {last.p99_ms:6.1f} ms",
                    flush=True,
                )
        print(f"\nmedians of {asked.rounds}, {asked.connections} connections")
        rates = {kind: statistics.median(r.per_second for r in found) for kind, found in results.items()}
        base = rates.get("express")
        for kind, found in results.items():
            p99 = statistics.median(r.p99_ms for r in found)
            ratio = f"  {rates[kind] / base:.2f} x express" if base else ""
            print(f"{kind:<8} {rates[kind]:7.0f}/s  p99 {p99:6.1f} ms{ratio}")


if __name__ == "__main__":
    main()
