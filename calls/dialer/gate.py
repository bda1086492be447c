"""What must be open for a call to go out: the stop, the pace of a line, capacity, and a dialer that lives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection, transaction

from calls.models import Gate, Heartbeat
from calls.models.gate import GateKind

if TYPE_CHECKING:
    from django.contrib.auth.models import User

SILENT_AFTER = timedelta(seconds=40)
ACCOUNT_PROBE = timedelta(seconds=60)
"""How long the queue rests after the account was refused before one call tries again."""


@dataclass(frozen=True, slots=True)
class StopState:
    stopped: bool
    reason: str = ""
    by: str = ""
    at: datetime | None = None


def gate(kind: str, name: str = "all") -> Gate:
    return Gate.objects.get_or_create(kind=kind, name=name)[0]


def stop(*, by: User | None, reason: str, now: datetime) -> None:
    """No send permit later than this commit (I3): permits read this row under a share lock."""
    _set_stop(True, by=by, reason=reason, now=now)


def resume(*, by: User | None, reason: str, now: datetime) -> None:
    _set_stop(False, by=by, reason=reason, now=now)


def _set_stop(stopped: bool, *, by: User | None, reason: str, now: datetime) -> None:
    gate(GateKind.STOP)
    with transaction.atomic():
        row = Gate.objects.select_for_update().get(kind=GateKind.STOP, name="all")
        row.stopped, row.reason, row.changed_by, row.changed_at = stopped, reason[:300], by, now
        row.save(update_fields=["stopped", "reason", "changed_by", "changed_at"])


def stop_state() -> StopState:
    row = Gate.objects.select_related("changed_by").filter(kind=GateKind.STOP, name="all").first()
    if row is None:
        return StopState(False)
    return StopState(row.stopped, row.reason, str(row.changed_by or ""), row.changed_at)


def stopped_under_lock() -> bool:
    """Inside the permit's transaction: a stop being committed is waited for, a later one waits for us.

    SQLite has one writer at a time, so the transaction itself is that lock.
    """
    sql = "SELECT stopped FROM calls_gate WHERE kind = 'stop' AND name = 'all'"
    if connection.vendor == "postgresql":
        sql += " FOR SHARE"
    with connection.cursor() as cursor:
        cursor.execute(sql)
        row = cursor.fetchone()
    if row is None:
        gate(GateKind.STOP)
        return stopped_under_lock()
    return bool(row[0])


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
