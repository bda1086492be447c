"""How long the front page takes over many calls.

    DATABASE_URL=postgresql://.../bench_dashboard python tests/bench/dashboard.py --calls 200000

Fills an empty, migrated database whose name starts with `bench` with invented calls over 180 days, rows as
wide as real ones, and then asks for the page through Django's test client: once to warm up, then nine times.
Prints the median and the worst, in ms, for each range, for a manager (sees everything) and for a salesperson.
"""

# ruff: noqa: E402  Django has to be set up before its models are imported

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "callcenter.settings")
os.environ.setdefault("ALLOWED_HOSTS", "testserver")

import django

django.setup()

from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client, override_settings

from agents.models import Agent
from calls.models import AnsweredBy, Call, CallStatus, Direction, Disposition, Lead, Outcome

ENDS = [
    (Outcome.NO_ANSWER, "", 34),
    (Outcome.VOICEMAIL, AnsweredBy.MACHINE, 27),
    (Outcome.CONNECTED, AnsweredBy.PERSON, 27),
    (Outcome.SCREENED, AnsweredBy.SCREENING, 4),
    (Outcome.BUSY, "", 4),
    (Outcome.DECLINED, "", 2),
    (Outcome.FAILED, "", 2),
]


def fill(calls: int, days: int, now: datetime) -> None:
    dice = random.Random(7)
    people = [User.objects.create_user(f"sales{n}", password="x", is_staff=True) for n in range(4)]
    for person in people:
        person.groups.add(Group.objects.get(name="Sales"))
    manager = User.objects.create_user("manager", password="x", is_staff=True)
    manager.groups.add(Group.objects.get(name="Managers"))
    agents = [Agent.objects.create(name=f"Agent {n}", provider_agent_id=f"agent_{n}") for n in range(6)]
    leads = Lead.objects.bulk_create(
        [Lead(name=f"Lead {n}", owner=dice.choice([*people, None])) for n in range(max(20, calls // 10))],
        batch_size=2000,
    )
    ends, weights = [end[:2] for end in ENDS], [end[2] for end in ENDS]
    decision = {"verdict": "now", "zones": ["America/New_York"], "reasons": [], "padding": "x" * 300}
    analysis = {f"field_{n}": "what was said about it" * 2 for n in range(8)}
    for start in range(0, calls, 1000):
        rows = []
        for n in range(start, min(calls, start + 1000)):
            at = now - timedelta(seconds=days * 86400 * (1 - n / calls))
            outcome, answered_by = dice.choices(ends, weights)[0]
            talked = outcome == Outcome.CONNECTED
            rows.append(
                Call(
                    direction=Direction.INBOUND if n % 25 == 0 else Direction.OUTBOUND,
                    lead=dice.choice(leads),
                    agent=dice.choice(agents),
                    counterpart=f"+1415555{n % 10000:04d}",
                    our_number="+14155550100",
                    requested_by=dice.choice(people),
                    requested_at=at,
                    due_at=at,
                    placed_at=at,
                    ended_at=at,
                    status=CallStatus.ENDED,
                    outcome=outcome,
                    answered_by=answered_by,
                    duration_ms=dice.randint(20_000, 300_000) if talked else dice.randint(0, 20_000),
                    cost_micros=dice.randint(10_000, 400_000),
                    currency="USD",
                    proposed_disposition=Disposition.CONVERTED if talked and dice.random() < 0.06 else "",
                    local_hour=dice.randint(9, 19),
                    local_weekday=at.weekday(),
                    provider_call_id=f"call_{uuid.uuid4().hex}",
                    decision=decision,
                    analysis=analysis,
                    request_body=b"x" * 900,
                    summary="They talked about the offer and agreed to speak again. " * 4,
                    recording_url="https://recordings.example.com/" + "r" * 150,
                )
            )
        Call.objects.bulk_create(rows, batch_size=250)


def multiply(calls: int) -> None:
    """The first calls over and over under new ids, by PostgreSQL itself: the ORM takes minutes."""
    columns = [field.column for field in Call._meta.concrete_fields]
    new = {"id": "gen_random_uuid()", "provider_call_id": "'call_' || gen_random_uuid()"}
    first = Call.objects.count()
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO calls_call ({', '.join(columns)}) "
            f"SELECT {', '.join(new.get(column, column) for column in columns)} "
            "FROM calls_call, generate_series(2, %s)",
            [calls // first],
        )


def analyse() -> None:
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


# The hashed names of a collected build, which a checkout need not have, are looked up in memory.
PLAIN = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}


@override_settings(STORAGES=PLAIN)
def measure(times: int) -> dict[str, object]:
    result: dict[str, object] = {"engine": connection.vendor, "calls": Call.objects.count()}
    for username in ("manager", "sales0"):
        client = Client()
        client.force_login(User.objects.get(username=username))
        for days in (7, 30, 90):
            url = f"/admin/?days={days}"
            answer = client.get(url)
            assert answer.status_code == 200, answer
            took, ours = [], []
            for _ in range(times):
                began, worked = time.perf_counter(), time.process_time()
                client.get(url)
                took.append((time.perf_counter() - began) * 1000)
                ours.append((time.process_time() - worked) * 1000)
            result[f"{username} {days} days"] = {
                "median_ms": round(statistics.median(took)),
                "worst_ms": round(max(took)),
                "of_that_python_ms": round(statistics.median(ours)),
                "html_kb": round(len(answer.content) / 1024),
            }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--times", type=int, default=9)
    options = parser.parse_args()
    name = Path(str(connection.settings_dict["NAME"])).name
    if not name.startswith("bench"):
        sys.exit(f"This fills a database with invented calls; {name} does not start with “bench”.")
    if not Call.objects.exists():
        by_hand = min(options.calls, 10_000) if connection.vendor == "postgresql" else options.calls
        fill(by_hand, options.days, datetime.now(UTC))
        if by_hand < options.calls:
            multiply(options.calls)
        analyse()
    json.dump(measure(options.times), sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
