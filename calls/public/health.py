"""Doors for monitors: alive, ready, and a page of numbers. No names, no numbers of people, no key needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Max, Min
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from calls import provider_checks
from calls.dialer import SILENT_AFTER, stop_state
from calls.models import Call, CallStatus, Heartbeat, WebhookEvent
from calls.models.webhook_event import EventState

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """`timestamp` in milliseconds; 503 when the database does not answer. Answers a word of our own."""
    timestamp = int(timezone.now().timestamp() * 1000)
    headers = {}
    if known := provider_checks.echo(request.headers.get(provider_checks.ECHO, "")):
        headers[provider_checks.ECHO] = known
    try:
        active = Call.objects.active().count()
    except DatabaseError:
        told = {"status": "unhealthy", "active_calls": None, "timestamp": timestamp}
        return JsonResponse(told, status=503, headers=headers)
    told = {"status": "healthy", "active_calls": active, "timestamp": timestamp}
    return JsonResponse(told, headers=headers)


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Whether requests may be sent here. The dialer is told of and decides nothing: pages work without."""
    checks: dict[str, object] = {"database": "ok", "migrations": "ok"}
    try:
        if not schema_is_current():
            checks["migrations"] = "not applied"
        checks["dialer"] = _dialer(timezone.now()) if checks["migrations"] == "ok" else "not known"
    except DatabaseError:
        checks = {"database": "does not answer", "migrations": "not known", "dialer": "not known"}
    ready = checks["database"] == checks["migrations"] == "ok"
    return JsonResponse(
        {"status": "ready" if ready else "not ready", "checks": checks}, status=200 if ready else 503
    )


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text format 0.0.4."""
    return HttpResponse("\n".join(_metrics(timezone.now())) + "\n", content_type=PROMETHEUS)


@cache
def _seen_current(alias: str) -> list[bool]:
    return []


def schema_is_current() -> bool:
    """Asked of the database until it says yes: a running process never finds its migrations taken back."""
    seen = _seen_current(connection.alias)
    if not seen and _nothing_to_migrate():
        seen.append(True)
    return bool(seen)


def _nothing_to_migrate() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


def _dialer(now: datetime) -> str:
    newest = Heartbeat.objects.filter(kind="dialer").aggregate(at=Max("beat_at"))["at"]
    if newest is None:
        return "never reported"
    silent = now - newest
    return "ok" if silent < SILENT_AFTER else f"silent for {int(silent.total_seconds())} s"


def _metrics(now: datetime) -> Iterator[str]:
    found = dict(Call.objects.order_by().values_list("status").annotate(count=Count("pk")))
    by_status = {_label("status", status): found.get(status, 0) for status in CallStatus.values}
    yield from _gauge("calls", "Calls by status.", by_status)
    due = Call.objects.due(now).aggregate(count=Count("pk"), oldest=Min("due_at"))
    yield from _gauge("calls_due", "Queued calls that could go out now.", {"": due["count"]})
    yield from _gauge(
        "calls_due_oldest_seconds", "Since the oldest of them was due.", {"": _age(due["oldest"], now)}
    )
    waiting = WebhookEvent.objects.filter(state__in=[EventState.PENDING, EventState.WAITING])
    inbox = waiting.aggregate(count=Count("pk"), oldest=Min("received_at"))
    yield from _gauge("webhook_inbox", "Stored events not yet applied.", {"": inbox["count"]})
    age = _age(inbox["oldest"], now)
    yield from _gauge("webhook_inbox_oldest_seconds", "Since the oldest of them came.", {"": age})
    failing = WebhookEvent.objects.filter(state=EventState.FAILING).count()
    yield from _gauge("webhook_failing", "Stored events whose reading fails, tried again.", {"": failing})
    slots = Call.objects.holding_slot(now).count()
    yield from _gauge("slots_in_use", "Calls that count against capacity.", {"": slots})
    yield from _gauge("slots", "MAX_CONCURRENT_CALLS.", {"": settings.MAX_CONCURRENT_CALLS})
    yield from _gauge("stopped", "1 while all calling is stopped.", {"": int(stop_state().stopped)})
    beats = Heartbeat.objects.order_by().values_list("kind").annotate(at=Max("beat_at"))
    ages = {_label("kind", kind): _age(at, now) for kind, at in beats}
    yield from _gauge("heartbeat_age_seconds", "Since a process of this kind last reported.", ages)


def _age(moment: datetime | None, now: datetime) -> float:
    return max(0.0, round((now - moment).total_seconds(), 3)) if moment else 0.0


def _gauge(name: str, says: str, values: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP callcenter_{name} {says}"
    yield f"# TYPE callcenter_{name} gauge"
    for label, value in values.items():
        yield f"callcenter_{name}{label} {value}"


def _label(name: str, value: str) -> str:
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{{{name}="{escaped}"}}'
