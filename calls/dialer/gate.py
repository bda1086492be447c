"""What must be open for a call to go out: the pace of a line, and a dialer that lives."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from calls.models import Gate, Heartbeat
from calls.models.gate import GateKind

SILENT_AFTER = timedelta(seconds=40)
TOGETHER = timedelta(seconds=0.1)
LONGEST_REST_S = 600.0
"""However long the provider asks for: a header may hold anything."""


def gate(kind: str, name: str = "all") -> Gate:
    return Gate.objects.get_or_create(kind=kind, name=name)[0]


def close_line(name: str, *, now: datetime, retry_after_s: float | None = None) -> None:
    """A definite not-now: the line rests as long as asked, else longer each time. Never opened earlier."""
    with transaction.atomic():
        gate(GateKind.LINE, name)
        row = Gate.objects.select_for_update().get(kind=GateKind.LINE, name=name)
        wait = min(retry_after_s, LONGEST_REST_S) if retry_after_s else backoff_s(row.not_nows)
        row.not_nows += 1
        row.closed_until = max(row.closed_until or now, now + timedelta(seconds=wait))
        row.save(update_fields=["closed_until", "not_nows"])


def backoff_s(count: int) -> float:
    """Seconds, with jitter so that several dialers, or accounts, do not come back together."""
    return min(60.0, float(1 << min(count, 6))) * random.uniform(0.7, 1.3)  # noqa: S311  not a secret


def line_passed(name: str) -> None:
    """A placement on this line was accepted."""
    Gate.objects.filter(kind=GateKind.LINE, name=name, not_nows__gt=0).update(not_nows=0)


def pace_interval(line: Gate | None = None) -> timedelta:
    """Between two calls of one line."""
    return timedelta(seconds=1 / settings.CALLS_PER_SECOND) * (line.pace_factor if line else 1)


def at_once(line: Gate) -> int:
    """How many calls of a line may be claimed together: what its pace lets go in a tenth of a second."""
    return max(1, int(TOGETHER / pace_interval(line)))


def beat(name: str, kind: str, *, now: datetime, detail: dict[str, object] | None = None) -> None:
    """Say that this process is alive."""
    Heartbeat.objects.update_or_create(
        name=name,
        defaults={"kind": kind, "beat_at": now, "detail": detail or {}},
        create_defaults={"kind": kind, "beat_at": now, "started_at": now, "detail": detail or {}},
    )


def alive(*, now: datetime, kind: str = "dialer") -> bool:
    return Heartbeat.objects.filter(kind=kind, beat_at__gt=now - SILENT_AFTER).exists()
