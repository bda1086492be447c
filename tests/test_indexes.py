"""Every question that is asked often is answered from an index, with a hundred thousand calls in the table.

The product's own verbs and pages are run, and each statement that they send is explained.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from agents.providers.base import InboundAsk
from calls import dialer, eligibility, releasing, stats
from calls.api import keys
from calls.dialer import claim, fallback, settle, watch
from calls.dialer.batches import cancel_next, fill_next, finish_batches
from calls.dialer.promises import queue_next_promise
from calls.lifecycle import reconcile
from calls.lifecycle.apply import apply_due, apply_next
from calls.lifecycle.facts import store_webhook
from calls.lifecycle.inbound import answer_inbound
from calls.models import Call, CallStatus, Lead, LeadPhone, Outcome, RampPlan, Via, WebhookEvent
from calls.models.callback import CallBack, CallBackState
from calls.people import tasks
from tests import factories
from tests.far_end import FarEnd, theirs

pytestmark = [
    pytest.mark.long,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("around_the_clock"),
]

# SQLite chooses by the shape of a question rather than by counts, and inserts these rows ten times slower.
MANY = {"postgresql": (100_000, 20_000), "sqlite": (4_000, 2_000)}
BIG = {f"calls_{name}" for name in ("call", "webhookevent", "lead", "leadphone", "donotcall", "callback")}


def multiply(row: Any, count: int, **new: str) -> None:
    """`row` again and again, by the database itself; `new`: columns as expressions in `i`."""
    table, fields = row._meta.db_table, [field.column for field in row._meta.concrete_fields]
    if row._meta.pk.get_internal_type() != "UUIDField":
        fields.remove("id")
    chosen = ", ".join(f"({new[name]})" if name in new else f'"{name}"' for name in fields)
    names = ", ".join(f'"{name}"' for name in fields)
    key = row._meta.pk.get_db_prep_value(row.pk, connection)
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
            f" INSERT INTO {table} ({names}) SELECT {chosen} FROM {table}, n WHERE {table}.id = %s",
            [key],
        )


def ago(seconds: int) -> str:
    if connection.vendor == "postgresql":
        return f"now() - i * interval '{seconds} seconds'"
    return f"strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-' || (i * {seconds}) || ' seconds')"


def fiction(first: int = 0) -> str:
    area, digits = f"200 + {first} + (i / 100) %% 200", "substr((100 + i %% 100) || '', 2)"
    return f"'+1' || ({area}) || '55501' || {digits}"


def new_id() -> str:
    return "gen_random_uuid()" if connection.vendor == "postgresql" else "lower(hex(randomblob(16)))"


@pytest.fixture
def years_of_calls(db: None) -> None:
    now = timezone.now()
    calls, others = MANY[connection.vendor]
    agent = factories.make_agent()
    lead = factories.make_lead("+14155550101", name="Ada Sample")
    ended = factories.make_call(
        CallStatus.ENDED, lead=lead, agent=agent, counterpart="+14155550101", outcome=Outcome.NO_ANSWER,
        final=True, next_look_at=None, slot_until=None, request_body=b"x" * 400,
        summary="They agreed to speak again. " * 12,
    )  # fmt: skip
    multiply(
        ended, calls, id=new_id(), provider_call_id="'call_' || i", requested_at=ago(75), updated_at=ago(75),
        claimed_at=ago(75), sent_at=ago(75), placed_at=ago(75), answered_at=ago(75), ended_at=ago(75),
        counterpart=fiction(),
    )  # fmt: skip
    waits = factories.make_call(
        CallStatus.QUEUED, lead=lead, agent=agent, counterpart="+14155550102", due_at=now + timedelta(days=1),
        not_after=now + timedelta(days=2),
    )  # fmt: skip
    multiply(waits, calls // 20, id=new_id(), counterpart=fiction(first=400))
    event = WebhookEvent.objects.create(
        key="k",
        body=b"x" * 300,
        state="applied",
        received_at=now,
        next_try_at=now,
        applied_at=now,
        call=ended,
    )
    multiply(
        event,
        others,
        key="'key' || i",
        provider_call_id="'call_' || i",
        received_at=ago(75),
        applied_at=ago(75),
    )
    for n in (777, 778):
        body = json.dumps({"event": "call_ended", "call": theirs(f"call_{n}", call_status="ended")}).encode()
        store_webhook(body, signature="", contract="current", now=now - timedelta(seconds=1))
    multiply(lead, others, name="'Person ' || i")
    phone = LeadPhone.objects.get(lead=lead)
    multiply(phone, others, lead_id=str(lead.pk) + " + i", number=fiction())
    entry = factories.make_opt_out("+14155550103")
    multiply(entry, others, number=fiction(first=600))
    kept = CallBack.objects.create(number="+14155550104", due_at=now, state=CallBackState.DONE, lead=lead)
    multiply(kept, others, due_at=ago(75))
    # SQLite plans without counts, as in the product.
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


WHOLE = {
    "postgresql": re.compile(r"Seq Scan on (\w+)"),
    "sqlite": re.compile(r"SCAN (\w+)(?! USING)\b(?!.* USING)"),
}


@contextmanager
def explained() -> Iterator[list[str]]:
    """Statements sent meanwhile that read a big table from end to end."""
    found: list[str] = []
    explain = "EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
    inside = False

    def watch_it(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal inside
        if not inside and not many and re.match(r"\s*(SELECT|UPDATE|DELETE)", sql):
            inside = True
            try:
                with connection.cursor() as cursor:
                    cursor.execute(explain + sql, params)
                    plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
            finally:
                inside = False
            read = {table for table in WHOLE[connection.vendor].findall(plan) if table in BIG}
            if read:
                found.append(f"{sorted(read)}\n{sql}\n{params}\n{plan}")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch_it):
        yield found


def hot(client: Client, key: str) -> dict[str, Callable[[], Any]]:
    """What is asked again and again, or while somebody waits."""
    now, provider = timezone.now(), FarEnd().provider()
    lead = Lead.objects.get(name="Person 777")
    agent = lead_agent()
    ours = agent.default_caller_id
    period = stats.Period.last_days(14, now=now)
    ring = InboundAsk(
        from_number="+12105550177", to_number="+14155550100", provider_call_id=None, provider_agent_id=None
    )
    head = {"HTTP_AUTHORIZATION": f"Bearer {key}"}

    def look() -> None:
        look = watch.Watch(watch.Bells())
        sql, params = look._peek()
        with connection.cursor() as cursor:
            cursor.execute(sql, params)

    def api(query: str) -> Callable[[], Any]:
        return lambda: client.get(f"/api/v1/calls/?{query}", **head).json()["results"]

    return {
        "ask": lambda: dialer.ask(lead=lead, agent=agent, via=Via.DESK, now=timezone.now()),
        "peek": look,
        "claim": lambda: claim.claim_next(provider),
        "capacity": lambda: Call.objects.holding_slot(now).count(),
        "expire": lambda: claim.expire_overdue(now=now),
        "settle": lambda: (settle.recover_next_claim(), settle.settle_next(provider, now=now)),
        "look": lambda: (
            reconcile.look_at_quiet(provider, now=now),
            reconcile.look_for_analysis(provider, now=now),
        ),
        "hang up": lambda: reconcile.hang_up_marked(provider, now=now),
        "fill": lambda: (fill_next(now=now), cancel_next(), queue_next_promise(now=now), finish_batches()),
        "fallback": lambda: fallback.step(now=now),
        "sweep": tasks.resume_stalled,
        "apply": lambda: (apply_next(now=now), apply_due(now=now)),
        "do not call": lambda: eligibility.decide(lead, now=now, agent=agent),
        "who rings": lambda: answer_inbound(ring, now=now),
        "dashboard": lambda: (
            stats.over_days(Call.objects.all(), period),
            stats.heat_map(Call.objects.all(), period),
            stats.needs_a_look(Call.objects.all(), now=now),
        ),
        "what waits": lambda: dialer.queue_summary(
            now=now, calls=Call.objects.filter(counterpart="+14155550102")
        ),
        "first weeks": lambda: (
            dialer.ramp.set_plan(ours, RampPlan.USUAL, now=now),
            dialer.ramp.states(now=now),
            dialer.ramp.others([ours.number], [], Call.objects.due(now)),
        ),
        "give up": lambda: releasing.use_of(ours.number, now=now),
        "calls by lead": api(f"lead={lead.pk}"),
        "calls by agent": api(f"agent={agent.pk}"),
        "calls by outcome": api("outcome=no_answer"),
        "calls by rare outcome": api("status=dialing"),
        "calls by number": api("to_number=%2B12105550177"),
        "calls changed": api(
            f"updated_after={(now - timedelta(minutes=20)).isoformat().replace('+', '%2B')}"
        ),
        "health": lambda: client.get("/health"),
    }


def lead_agent() -> Any:
    return Call.objects.select_related("agent").filter(status=CallStatus.QUEUED)[0].agent


def test_no_hot_question_reads_a_whole_table(years_of_calls: None, client: Client) -> None:
    _key, secret = keys.make_key("bench", ["read", "call"])
    problems = {}
    for name, asked in hot(client, secret).items():
        with explained() as found:
            asked()
        if found:
            problems[name] = found
    assert not problems, "\n\n".join(f"== {name}\n" + "\n".join(found) for name, found in problems.items())


def test_a_call_is_found_by_the_phone_companys_id_without_reading_the_whole_index() -> None:
    """No plan shows it: an index that begins with another column is read from end to end, too."""
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, Call._meta.db_table)
    assert found["one_row_per_provider_call"]["columns"] == ["provider_call_id", "provider"]
