"""How fast calls go out, by one dialer process against a provider that takes 300 ms.

    python tests/bench/dial.py [--rounds 5] [--seconds 60]

On a PostgreSQL of its own. (1) Thousands of calls are due and the pace is no limit: creates a second at the
provider, and how much of a core the dialer takes. (2) Nothing else is due: from the moment an integration
posts to `/api/v1/calls/` to its create request at the provider. (3) A thousand calls of a batch wait for
their turn at ten a second: the same for a click. `--sqlite` measures the second on SQLite. Medians of
the rounds. Needs node.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.machine import (
    FAR_PORT,
    GRANIAN,
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

FAR_END = ["node", str(Path(__file__).with_name("far_end.js"))]
ALIVE = "SELECT count(*) FROM calls_heartbeat WHERE kind = 'dialer' AND beat_at > now() - interval '3 s'"
CLICKS = 30


def numbers() -> Iterator[str]:
    """Numbers of fiction in every area whose time is known from the number alone: thousands."""
    from agents import phone

    for area in range(201, 990):
        if len(phone.zones_of(f"+1{area}5550100")) == 1:
            for line in range(100):
                yield f"+1{area}55501{line:02d}"


def stock(count: int, free: Iterator[str], *, priority: int) -> None:
    """That many calls, due, asked for by nobody in particular."""
    from agents.models import Agent, PhoneNumber
    from calls.dialer.caller_id import line_of
    from calls.models import Call, Lead, LeadPhone
    from calls.models.clock import database_now

    now = database_now()
    caller_id, _ = PhoneNumber.objects.get_or_create(number="+14155550100", defaults={"label": "bench"})
    agent, _ = Agent.objects.get_or_create(
        provider_agent_id="agent_bench", defaults={"name": "Bench", "default_caller_id": caller_id}
    )
    leads = Lead.objects.bulk_create([Lead(name=f"Lead {n}") for n in range(count)])
    phones = LeadPhone.objects.bulk_create(
        [LeadPhone(lead=lead, number=number) for lead, number in zip(leads, free, strict=False)]
    )
    Call.objects.bulk_create(
        [
            Call(
                lead=each.lead, agent=agent, counterpart=str(each.number), our_number=str(caller_id.number),
                line=line_of(str(caller_id.number)), direction="outbound", status="queued", priority=priority,
                requested_at=now, due_at=now, not_after=now + timedelta(hours=3),
            )
            for each in phones
        ],
        batch_size=500,
    )  # fmt: skip


def log() -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", FAR_PORT, timeout=20)
    connection.request("GET", "/log")
    found: dict[str, Any] = json.loads(connection.getresponse().read())
    return found


def flat_out(machine: Machine, seconds: int, free: Iterator[str]) -> tuple[float, float, float]:
    """Creates a second, share of a core, MB."""
    from calls.models import Call

    stock(seconds * 130 + 300, free, priority=40)
    with (
        machine.running(FAR_END, answers(FAR_PORT), FAR_PORT=str(FAR_PORT)),
        machine.running(
            [*MANAGE, "dialer"], lambda: len(log()["came"]) > 50,
            CALLS_PER_SECOND="1000", MAX_CONCURRENT_CALLS="100000", DAILY_CALL_CAP="10000000",
        ) as pid,
    ):  # fmt: skip
        first, began, before = len(log()["came"]), time.monotonic(), processor_s(pid)
        time.sleep(seconds)
        told, took, used = log(), time.monotonic() - began, processor_s(pid) - before
        size = resident_mb(pid)
    Call.objects.exclude(status="ended").delete()
    return (len(told["came"]) - first) / took, used / took, size


def clicks(
    machine: Machine, key: str, free: Iterator[str], count: int, pace: str, uncounted: int = 0
) -> list[float]:
    """Seconds from asking to the create request at the provider, each; before them some `uncounted`."""
    from agents.models import Agent
    from calls.models import Lead, LeadPhone

    agent = Agent.objects.get(provider_agent_id="agent_bench")
    leads = []
    for _ in range(uncounted + count):
        lead = Lead.objects.create(name="Clicked")
        LeadPhone.objects.create(lead=lead, number=next(free))
        leads.append(lead.pk)
    limits = {
        "CALLS_PER_SECOND": pace, "MAX_CONCURRENT_CALLS": "100000", "DAILY_CALL_CAP": "10000000",
    }  # fmt: skip
    asked: dict[str, float] = {}
    with (
        machine.running(FAR_END, answers(FAR_PORT), FAR_PORT=str(FAR_PORT)),
        machine.running([*GRANIAN, "callcenter.wsgi:application"], answers(WEB_PORT), **limits),
        machine.running([*MANAGE, "dialer"], lambda: alive(), **limits),
    ):
        time.sleep(2)
        for lead in leads:
            began = time.time()
            connection = http.client.HTTPConnection("127.0.0.1", WEB_PORT, timeout=20)
            body = json.dumps({"lead": lead, "agent": agent.pk})
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            connection.request("POST", "/api/v1/calls/", body, headers)
            answer = connection.getresponse()
            told = json.loads(answer.read())
            if answer.status != 201:
                raise SystemExit(f"{answer.status}: {told}")
            asked[told["id"]] = began
            time.sleep(random.uniform(0.3, 0.9))
        time.sleep(5)
        came = log()["came"]
    missing = [call for call in asked if call not in came]
    if missing:
        raise SystemExit(f"{len(missing)} of {len(asked)} never reached the provider")
    return [came[call] / 1000 - began for call, began in asked.items()][uncounted:]


def alive() -> bool:
    from django.db import connection

    from calls.models import Heartbeat
    from calls.models.clock import database_now

    connection.close()
    return Heartbeat.objects.filter(kind="dialer", beat_at__gt=database_now() - timedelta(seconds=3)).exists()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--sqlite", action="store_true")
    asked = parser.parse_args()
    with a_machine() as machine:
        if asked.sqlite:
            machine.variables["DATABASE_URL"] = f"sqlite:///{machine.folder}/db.sqlite3"
            machine.run(*MANAGE, "migrate", "--verbosity", "0")
        os.environ.update(machine.variables, DJANGO_SETTINGS_MODULE="callcenter.settings")
        import django

        django.setup()
        key = subprocess.run(
            [*MANAGE, "create_api_key", "bench", "--scopes", "read,call"],
            env=os.environ, capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        flat, idle, busy, host = [], [], [], Host()
        for turn in range(asked.rounds):
            free = numbers()
            said = f"round {turn + 1}"
            if not asked.sqlite:
                flat.append(flat_out(machine, asked.seconds, free))
                rate, core, size = flat[-1]
                said += f"  {rate:.0f} creates/s, {core:.2f} of a core, {size:.0f} MB"
            else:
                stock(1, free, priority=40)
            idle.append(percentile(clicks(machine, key, free, CLICKS, "1000"), 95))
            said += f"  idle: p95 {idle[-1] * 1000:.0f} ms"
            if not asked.sqlite:
                stock(1000, free, priority=40)
                busy.append(max(clicks(machine, key, free, CLICKS // 2, "10")))
                said += f"  among 1,000: worst {busy[-1]:.2f} s"
            clear()
            print(said + host.took(), flush=True)
    print(f"\nmedians of {asked.rounds}: idle p95 {statistics.median(idle) * 1000:.0f} ms", end="")
    if flat:
        print(
            f", {statistics.median(one[0] for one in flat):.0f} creates/s at"
            f" {statistics.median(one[1] for one in flat):.2f} of a core, a click among 1,000 at worst"
            f" {statistics.median(busy):.2f} s",
            end="",
        )
    print()


def clear() -> None:
    """The past stays."""
    from django.db.models import Exists, OuterRef

    from calls.models import Call, Lead

    Call.objects.exclude(status="ended").delete()
    Lead.objects.filter(~Exists(Call.objects.filter(lead=OuterRef("pk")))).delete()


if __name__ == "__main__":
    main()
