"""How fast stored events become rows, by one dialer process.

    python tests/bench/apply.py [--calls 2000] [--seconds 20]

On a PostgreSQL of its own. First a backlog: three events a call (started, ended with 4 to 6 KB of
transcript, analysed) wait when `manage.py dialer` starts; how many a second, and what processor time an
event takes. Then 300 signed webhooks a second through the web server as `make web` runs it, while a page of
calls is asked for again and again: how long after its arrival an event is in the rows. Medians
of five rounds.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agents.providers import retell_signature
from tests.bench.machine import (
    GRANIAN,
    KEY,
    MANAGE,
    WEB_PORT,
    Host,
    Machine,
    a_machine,
    answers,
    percentile,
    processor_s,
    resident_mb,
)

WORDS = ["the", "people", "you", "that", "was", "with", "they", "have", "this", "from", "tomorrow", "perhaps"]
EVENTS = ("call_started", "call_ended", "call_analyzed")
GOAL_PER_SECOND = 300


def transcript(dice: random.Random, size: int) -> list[dict[str, Any]]:
    """Turns with the time of each word, about `size` bytes as JSON."""
    turns: list[dict[str, Any]] = []
    while len(turns) * 780 < size:
        at = len(turns) * 4.0
        words = [
            {"word": dice.choice(WORDS), "start": round(at + n * 0.3, 2), "end": round(at + n * 0.3 + 0.2, 2)}
            for n in range(12)
        ]
        text = " ".join(word["word"] for word in words)
        turns.append({"role": "agent" if len(turns) % 2 else "user", "content": text, "words": words})
    return turns


def their_id(call_uuid: uuid.UUID) -> str:
    """At the provider: chance, unlike our own."""
    return f"call_{hashlib.md5(call_uuid.bytes, usedforsecurity=False).hexdigest()}"


def bodies(call_uuid: uuid.UUID, dice: random.Random, at: datetime) -> list[bytes]:
    """The three events of a call, as reference bodies have them."""
    start = int(at.timestamp() * 1000)
    call: dict[str, Any] = {
        "call_id": their_id(call_uuid), "call_type": "phone_call", "call_status": "ongoing",
        "agent_id": "agent_bench", "direction": "outbound", "from_number": "+14155550100",
        "to_number": "+14155550101", "metadata": {"call_uuid": str(call_uuid)}, "start_timestamp": start,
    }  # fmt: skip
    said = transcript(dice, dice.randint(3300, 5200))
    ended = call | {
        "call_status": "ended", "end_timestamp": start + 60_000, "duration_ms": 60_000,
        "disconnection_reason": "user_hangup", "transcript_object": said,
        "transcript": "\n".join(f"{turn['role']}: {turn['content']}" for turn in said),
        "call_cost": {"combined_cost": 12.5, "total_duration_seconds": 60, "product_costs": []},
    }  # fmt: skip
    analysed = ended | {
        "call_analysis": {
            "call_summary": "They talked.", "user_sentiment": "Positive", "call_successful": True,
            "in_voicemail": False, "custom_analysis_data": {"interested": True},
        }
    }  # fmt: skip
    return [
        json.dumps({"event": name, "call": value}).encode()
        for name, value in zip(EVENTS, (call, ended, analysed), strict=True)
    ]


def place_calls(count: int) -> list[uuid.UUID]:
    """That many calls that the provider has accepted, one a number."""
    from agents.models import Agent, PhoneNumber
    from calls.models import Call, Lead
    from calls.models.clock import database_now

    now = database_now()
    line, _ = PhoneNumber.objects.get_or_create(number="+14155550100", defaults={"label": "bench"})
    agent, _ = Agent.objects.get_or_create(
        provider_agent_id="agent_bench", defaults={"name": "Bench", "default_caller_id": line}
    )
    leads = Lead.objects.bulk_create([Lead(name=f"Lead {n}") for n in range(count)])
    calls = [
        Call(
            lead=lead, agent=agent, counterpart=f"+1{2_000_000_000 + lead.pk}", our_number=line.number,
            direction="outbound", status="placed", requested_at=now, due_at=now, claimed_at=now, sent_at=now,
            placed_at=now, request_body=b"{}", slot_until=now + timedelta(minutes=9),
            next_look_at=now + timedelta(hours=9),
        )
        for lead in leads
    ]  # fmt: skip
    for call in calls:
        call.provider_call_id = their_id(call.pk)
    Call.objects.bulk_create(calls, batch_size=500)
    return [call.pk for call in calls]


def as_in_life(calls: list[uuid.UUID], dice: random.Random, now: datetime) -> list[bytes]:
    """All starts of a stretch, then its ends, then its analyses: each finds its call as others left it."""
    each = [bodies(call_uuid, dice, now) for call_uuid in calls]
    return [body for step in range(len(EVENTS)) for body in (some[step] for some in each)]


def store(order: list[bytes], now: datetime) -> None:
    from calls.lifecycle import inbox
    from calls.lifecycle.facts import event_key

    events = [
        inbox.Arrived(
            event_key("webhook", "current", body), "webhook", "current", "retell", body, "", now, now
        )
        for body in order
    ]
    for first in range(0, len(events), 200):
        inbox.write_rows(events[first : first + 200])


def backlog(machine: Machine, count: int, dice: random.Random) -> tuple[float, float, float, float]:
    """Events a second, processor time (ms) an event of the dialer and of PostgreSQL, MB."""
    now = datetime.now(UTC)
    order = as_in_life(place_calls(count), dice, now)
    store(order, now)
    # Thread starts and imports are not what is measured: it begins with the first event in the rows.
    waiting = "SELECT count(*) FROM calls_webhookevent WHERE state = 'pending'"
    with machine.running([*MANAGE, "dialer"], lambda: machine.number(waiting) < len(order)) as pid:
        left, began = machine.number(waiting), time.monotonic()
        ours, theirs = processor_s(pid), processor_s(machine.server)
        while machine.number(waiting):
            time.sleep(0.1)
        took = time.monotonic() - began
        ours, theirs = processor_s(pid) - ours, processor_s(machine.server) - theirs
        return left / took, 1000 * ours / left, 1000 * theirs / left, resident_mb(pid)


def steady(machine: Machine, seconds: int, dice: random.Random) -> tuple[float, float, float]:
    """Webhooks a second answered, and lag (s) from arrival to rows: p50 and p95."""
    count = GOAL_PER_SECOND * seconds // len(EVENTS)
    now = datetime.now(UTC)
    order = as_in_life(place_calls(count), dice, now)
    file = machine.folder / "steady"
    with file.open("wb") as out:
        for body in order:
            out.write(retell_signature.sign(body, KEY, now=now).encode() + b"\t" + body + b"\n")
    newest = int(machine.number("SELECT max(id) FROM calls_webhookevent"))
    web = [*GRANIAN, "callcenter.wsgi:application"]
    with (
        machine.running(web, answers(WEB_PORT)),
        machine.running([*MANAGE, "dialer"], lambda: machine.number(
            "SELECT count(*) FROM calls_heartbeat WHERE beat_at > now() - interval '3 seconds'") > 0),
    ):  # fmt: skip
        done = threading.Event()
        reader = threading.Thread(target=read_pages, args=(done,))
        reader.start()
        began = time.monotonic()
        subprocess.run(
            [sys.executable, __file__, "--send", str(file), "--rate", str(GOAL_PER_SECOND)], check=True
        )
        took = time.monotonic() - began
        done.set()
        reader.join()
        deadline = time.monotonic() + 60
        mine = f"FROM calls_webhookevent WHERE id > {newest}"
        while (
            machine.number(f"SELECT count(*) {mine} AND applied_at IS NULL") and time.monotonic() < deadline
        ):
            time.sleep(0.2)
    with machine.connect() as connection:
        lags = [float(row[0]) for row in connection.execute(
            f"SELECT extract(epoch FROM coalesce(applied_at, now()) - received_at) {mine}".encode()
        )]  # fmt: skip
    return len(order) / took, percentile(lags, 50), percentile(lags, 95)


def send(file: str, rate: float) -> None:
    """Each line once, `rate` a second, over eight kept connections. Another process: it has its own core."""
    lines = Path(file).read_bytes().splitlines()
    began = time.monotonic()
    turn = iter(range(len(lines)))
    lock = threading.Lock()
    refused: list[int] = []

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", WEB_PORT, timeout=20)
        while True:
            with lock:
                number = next(turn, None)
            if number is None:
                return
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            signature, body = lines[number].split(b"\t", 1)
            connection.request("POST", "/webhook/retell", body, {"x-retell-signature": signature.decode()})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                refused.append(answer.status)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if refused:
        raise SystemExit(f"{len(refused)} were not answered with 200: {sorted(set(refused))}")


def read_pages(done: threading.Event) -> None:
    """The web has other work meanwhile: health counts the calls on the phone."""
    while not done.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", WEB_PORT, timeout=20)
        connection.request("GET", "/health")
        connection.getresponse().read()
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--send")
    parser.add_argument("--rate", type=float, default=GOAL_PER_SECOND)
    asked = parser.parse_args()
    if asked.send:
        send(asked.send, asked.rate)
        return
    dice = random.Random(5)
    with a_machine() as machine:
        os.environ.update(machine.variables, DJANGO_SETTINGS_MODULE="callcenter.settings")
        import django

        django.setup()
        drained, lagged, host = [], [], Host()
        for turn in range(asked.rounds):
            drained.append(backlog(machine, asked.calls, dice))
            lagged.append(steady(machine, asked.seconds, dice))
            rate, ours, theirs, size = drained[-1]
            answered, p50, p95 = lagged[-1]
            print(
                f"round {turn + 1}  backlog {rate:5.0f} events/s; an event {ours:.2f} ms of the dialer,"
                f" {theirs:.2f} of PostgreSQL; {size:.0f} MB"
                f"   at {answered:.0f}/s: lag p50 {p50 * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms{host.took()}",
                flush=True,
            )
    print(
        f"\nmedians of {asked.rounds}: {statistics.median(one[0] for one in drained):.0f} events/s,"
        f" lag p95 {statistics.median(one[2] for one in lagged) * 1000:.0f} ms at {GOAL_PER_SECOND}/s"
    )


if __name__ == "__main__":
    main()
