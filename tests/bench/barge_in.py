"""How soon after its webhook the request that stops an interrupted AI agent is on the wire.

    python tests/bench/barge_in.py [--calls 300] [--rate 20]

On a PostgreSQL of its own (fsync on), with the product's door as `make web` serves it and a phone company of
our own on loopback. Of each call it is told that the agent talks, then that the person speaks. Timed from the
first byte of that webhook to the arrival of the stop request, both by this process: what is said of the
product includes both ways through loopback. Prints p50, p95 and p99, and the same of the webhook's answer.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agents.sandbox.article import sign
from tests.bench.machine import FAR_PORT, GRANIAN, WEB_PORT, a_machine, answers, percentile

SECRET = "secret_of_the_benchmark"
CALLS_ON = """
import django; django.setup()
from django.utils import timezone
from tests import factories
agent = factories.make_agent()
for number in range({calls}):
    factories.make_call(status="in_progress", provider_call_id=f"call_{{number}}", agent=agent,
                        answered_at=timezone.now())
"""
arrived: dict[str, float] = {}


class FarEnd(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        at = time.monotonic()
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        arrived.setdefault(said["call_id"], at)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        pass


def tell(name: str, call: int) -> tuple[float, float]:
    """When it was begun, and how long its answer took (s)."""
    about = {"call_id": f"call_{call}", "last_utterance_id": f"utt_{call}"}
    event = {"event": name, "call": about, "timestamp": round(time.time() * 1000)}
    body = json.dumps(event).encode()
    connection = http.client.HTTPConnection("127.0.0.1", WEB_PORT, timeout=10)
    began = time.monotonic()
    connection.request(
        "POST",
        "/webhook/retell",
        body,
        {"x-retell-signature": sign(body, 0, SECRET), "Content-Type": "application/json"},
    )
    answer = connection.getresponse()
    answer.read()
    took = time.monotonic() - began
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"the door answered {answer.status}")
    return began, took


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--rate", type=float, default=20.0, help="interruptions a second")
    asked = parser.parse_args()
    far = ThreadingHTTPServer(("127.0.0.1", FAR_PORT), FarEnd)
    threading.Thread(target=far.serve_forever, daemon=True).start()
    settings = {
        "DJANGO_SETTINGS_MODULE": "callcenter.settings",
        "RETELL_CONTRACT": "article", "RETELL_WEBHOOK_SECRET": SECRET,
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "0" * 32,
    }  # fmt: skip
    with a_machine(**settings) as machine:
        machine.run(sys.executable, "-c", CALLS_ON.format(calls=asked.calls))
        with machine.running([*GRANIAN, "callcenter.wsgi:application"], answers(WEB_PORT, "/health", 200)):
            told: dict[str, tuple[float, float]] = {}

            def interrupt(call: int) -> None:
                told[f"call_{call}"] = tell("speech_started", call)

            with ThreadPoolExecutor(16) as people:
                for call in range(asked.calls):
                    tell("agent_start_talking", call)
                time.sleep(1.0)
                for call in range(asked.calls):
                    people.submit(interrupt, call)
                    time.sleep(1 / asked.rate)
            time.sleep(1.0)
    far.shutdown()
    lost = told.keys() - arrived.keys()
    if lost:
        raise SystemExit(f"{len(lost)} of {len(told)} were never stopped")
    # The first of each process connects and prepares.
    late = [(arrived[call] - began) * 1000 for call, (began, _took) in list(told.items())[10:]]
    answer = [took * 1000 for _began, took in list(told.values())[10:]]
    for name, values in (("on the wire", late), ("webhook answered", answer)):
        said = ", ".join(f"p{percent} {percentile(values, percent):.1f} ms" for percent in (50, 95, 99))
        print(f"{name}: {said} ({len(values)} at {asked.rate:g} a second)")


if __name__ == "__main__":
    main()
