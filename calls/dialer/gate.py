"""What must be open for a call to go out: the account, the pace of a line, and a dialer that lives."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from calls.models import Gate, Heartbeat
from calls.models.gate import GateKind

SILENT_AFTER = timedelta(seconds=40)
ACCOUNT_PROBE = timedelta(seconds=60)
"""How long the queue rests after the account was refused before one call tries again."""


def gate(kind: str, name: str = "all") -> Gate:
    return Gate.objects.get_or_create(kind=kind, name=name)[0]


def account_problem() -> str:
    row = Gate.objects.filter(kind=GateKind.CAPACITY, name="all").first()
    return row.account_problem if row else ""


def close_line(name: str, *, until: datetime) -> None:
    """A definite not-now: nothing on this line before `until`. Never opens it earlier than it was."""
    with transaction.atomic():
        gate(GateKind.LINE, name)
        row = Gate.objects.select_for_update().get(kind=GateKind.LINE, name=name)
        if row.closed_until is None or row.closed_until < until:
            row.closed_until = until
            row.save(update_fields=["closed_until"])


def account_refused(problem: str, *, now: datetime) -> None:
    gate(GateKind.CAPACITY)
    Gate.objects.filter(kind=GateKind.CAPACITY, name="all").update(
        account_problem=problem[:300], closed_until=now + ACCOUNT_PROBE
    )


def account_fine() -> None:
    Gate.objects.filter(kind=GateKind.CAPACITY, name="all").exclude(account_problem="").update(
        account_problem="", closed_until=None
    )


def pace_interval() -> timedelta:
    return timedelta(seconds=1 / settings.CALLS_PER_SECOND)


def beat(name: str, kind: str, *, now: datetime, detail: dict[str, object] | None = None) -> None:
    """Say that this process is alive."""
    Heartbeat.objects.update_or_create(
        name=name,
        defaults={"kind": kind, "beat_at": now, "detail": detail or {}},
        create_defaults={"kind": kind, "beat_at": now, "started_at": now, "detail": detail or {}},
    )


def alive(*, now: datetime, kind: str = "dialer") -> bool:
    return Heartbeat.objects.filter(kind=kind, beat_at__gt=now - SILENT_AFTER).exists()
