"""What a dialer costs that has nothing to do, and how soon a click is on the wire.

    DATABASE_URL=... python manage.py migrate
    DATABASE_URL=... python tests/bench/idle.py [--seconds 30] [--clicks 40]

The database's name must start with `bench`; its calls are deleted. Processor time is the dialer's own
(user and system, of all its threads). A click is timed from the start of asking, in another process, to the
first byte of the request at a provider of our own.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))
ARRIVED: dict[str, float] = {}
CLOCK = os.sysconf("SC_CLK_TCK")


class FarEnd(BaseHTTPRequestHandler):
    """Accepts every call and knows of none."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(200, {"current_concurrency": 0, "concurrency_limit": 10_000})

    def do_POST(self) -> None:
        at = time.monotonic()
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        answer: dict[str, Any] = {"items": [], "has_more": False}
        status = 200
        if self.path.endswith("create-phone-call"):
            ARRIVED[said["metadata"]["call_uuid"]] = at
            status, answer = 201, {"call_id": f"call_{len(ARRIVED)}", "call_status": "registered"}
        self._answer(status, answer | {"call_type": "phone_call"})

    def _answer(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def processor_s(pid: int) -> float:
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / CLOCK


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--clicks", type=int, default=40)
    options = parser.parse_args()
    far = ThreadingHTTPServer(("127.0.0.1", 0), FarEnd)
    threading.Thread(target=far.serve_forever, daemon=True).start()
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "callcenter.settings", "SECRET_KEY": "bench", "ALLOWED_HOSTS": "localhost",
        "PUBLIC_BASE_URL": "http://localhost", "RETELL_API_KEY": "key_bench", "CALLS_PER_SECOND": "50",
        "RETELL_BASE_URL": f"http://127.0.0.1:{far.server_port}", "CALLING_HOURS": "00:00-24:00",
        "MAX_CONCURRENT_CALLS": "10000", "LOG_LEVEL": "WARNING",
    }  # fmt: skip
    import django

    django.setup()
    from django.db import connection
    from django.utils import timezone

    from agents.models import PhoneNumber
    from calls import dialer
    from calls.models import Call, Heartbeat, Via
    from tests import factories

    if not Path(str(connection.settings_dict["NAME"])).name.startswith("bench"):
        raise SystemExit("The database's name must start with bench.")
    Call.objects.all().delete()
    Heartbeat.objects.all().delete()
    ours = PhoneNumber.objects.first() or factories.make_number(number="+14155550199")
    agent = factories.make_agent(default_caller_id=ours)
    process = subprocess.Popen([sys.executable, "manage.py", "dialer"], cwd=ROOT)
    try:
        while not Heartbeat.objects.exists():
            time.sleep(0.2)
        time.sleep(3)
        before = processor_s(process.pid)
        time.sleep(options.seconds)
        idle = processor_s(process.pid) - before
        print(f"idle: {idle:.2f} s of {options.seconds} s = {100 * idle / options.seconds:.1f} % of a core")
        waits = []
        for n in range(options.clicks):
            time.sleep(0.37)
            began = time.monotonic()
            call = dialer.ask(
                agent=agent, via=Via.DESK, now=timezone.now(), number=factories.fiction_number(n + 100)
            ).call
            until = began + 20
            while str(call.pk) not in ARRIVED and time.monotonic() < until:
                time.sleep(0.001)
            waits.append(1000 * (ARRIVED[str(call.pk)] - began))
        waits.sort()
        print(
            f"click to wire, {len(waits)} clicks: median {statistics.median(waits):.0f} ms,"
            f" p95 {waits[int(len(waits) * 0.95) - 1]:.0f} ms, longest {waits[-1]:.0f} ms"
        )
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


if __name__ == "__main__":
    main()
