"""What the account may spend in one day of the company: calls, minutes, money.

Calls are counted exactly, whatever dialers there are: each claim holds the capacity gate's row, and that row
holds how many were claimed today. That number is never too low, since what was claimed and then not
sent stays in it; so when it reaches the limit, and only then, the calls themselves are counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet, Sum

from calls.models import Call, CallStatus, Gate
from calls.models.caps import CapChange, CapKind, DailyCap
from calls.models.gate import GateKind

if TYPE_CHECKING:
    from django.contrib.auth.models import User

NEAR = 0.8
SPENT_EVERY = timedelta(seconds=2)
MS_A_MINUTE = 60_000


class Level(StrEnum):
    FINE = "fine"
    NEAR = "near"
    REACHED = "reached"


@dataclass(frozen=True, slots=True)
class CapState:
    """`used` and `most` in calls, whole minutes or millionths of the currency; None: no limit."""

    kind: str
    used: int
    most: int | None

    @property
    def level(self) -> Level:
        if self.most is None or self.used < self.most * NEAR:
            return Level.FINE
        return Level.REACHED if self.used >= self.most else Level.NEAR


def day_of(now: datetime) -> tuple[date, datetime]:
    """The company's day that `now` lies in, and its first moment."""
    zone = ZoneInfo(settings.COMPANY_TIME_ZONE)
    today = now.astimezone(zone).date()
    return today, datetime.combine(today, time.min, zone)


def day_ends(now: datetime) -> datetime:
    zone = ZoneInfo(settings.COMPANY_TIME_ZONE)
    return datetime.combine(day_of(now)[0] + timedelta(days=1), time.min, zone)


def limits() -> Mapping[str, int | None]:
    """As an administrator set them, else as the settings have it."""
    found: dict[str, int | None] = {
        CapKind.CALLS: settings.DAILY_CALL_CAP,
        CapKind.MINUTES: None,
        CapKind.MONEY: None,
    }
    return found | dict(DailyCap.objects.values_list("kind", "most"))


def today(*, now: datetime, unlimited: bool = True) -> Sequence[CapState]:
    """What was spent so far today, and what may be. Exact. Not `unlimited`: only what has a limit."""
    most = limits()
    start = day_of(now)[1]
    wanted = [kind for kind in CapKind if unlimited or most[kind] is not None]
    used: dict[str, int] = {}
    if CapKind.CALLS in wanted:
        used[CapKind.CALLS] = made_since(start).count()
    if CapKind.MINUTES in wanted or CapKind.MONEY in wanted:
        talked_ms, used[CapKind.MONEY] = _spent(start, now)
        used[CapKind.MINUTES] = talked_ms // MS_A_MINUTE
    return [CapState(kind, used[kind], most[kind]) for kind in wanted]


def pressing(*, now: datetime) -> Sequence[CapState]:
    """The limits that are near or reached."""
    return [each for each in today(now=now, unlimited=False) if each.level != Level.FINE]


def left(row: Gate, now: datetime) -> int | None:
    """How many more calls the limits let go today; None: no limit. Under the capacity gate's lock; keeps
    its count.
    """
    most = limits()
    day, start = day_of(now)
    fields = []
    calls = most[CapKind.CALLS]
    if row.day != day or (calls is not None and row.day_calls >= calls):
        row.day, row.day_calls = day, made_since(start).count()
        fields += ["day", "day_calls"]
    timed = most[CapKind.MINUTES] is not None or most[CapKind.MONEY] is not None
    if timed and (row.spent_at is None or "day" in fields or now - row.spent_at > SPENT_EVERY):
        row.day_talked_ms, row.day_micros = _spent(start, now)
        row.spent_at = now
        fields += ["day_talked_ms", "day_micros", "spent_at"]
    if fields:
        row.save(update_fields=fields)
    used = {
        CapKind.CALLS: row.day_calls,
        CapKind.MINUTES: row.day_talked_ms // MS_A_MINUTE,
        CapKind.MONEY: row.day_micros,
    }
    if any(CapState(kind, used[kind], most[kind]).level == Level.REACHED for kind in CapKind):
        return 0
    return None if calls is None else calls - row.day_calls


def count(row: Gate, claimed: int) -> None:
    """So many more were claimed. Under the same lock."""
    Gate.objects.filter(pk=row.pk).update(day_calls=F("day_calls") + claimed)


def made_since(start: datetime) -> QuerySet[Call]:
    """Calls out sent since then and not refused, or just being sent. What was put back is neither."""
    sent = Q(sent_at__gte=start) & ~(Q(status=CallStatus.ENDED) & ~Q(refusal_code=""))
    # One statement: a permit given between two would be seen by neither.
    being_sent = Q(status=CallStatus.DIALING, sent_at__isnull=True)
    return Call.objects.outbound().filter(sent | being_sent)


def _spent(start: datetime, now: datetime) -> tuple[int, int]:
    """(ms talked, millionths spent) today, in and out; calls that are on count as long as they last."""
    ended = Call.objects.filter(ended_at__gte=start).aggregate(
        ms=Sum("duration_ms"), micros=Sum("cost_micros")
    )
    on = Call.objects.filter(status=CallStatus.IN_PROGRESS, answered_at__isnull=False)
    running = sum(
        max(0.0, (now - max(answered, start)).total_seconds())
        for answered in on.values_list("answered_at", flat=True)
        if answered is not None
    )
    return int(ended["ms"] or 0) + int(running * 1000), int(ended["micros"] or 0)


def set_limit(kind: str, most: int | None, *, by: User, now: datetime) -> bool:
    """From the next claim on. Written down with who, when, from and to. False: it was so already."""
    with transaction.atomic():
        Gate.objects.get_or_create(kind=GateKind.CAPACITY, name="all")
        Gate.objects.select_for_update().get(kind=GateKind.CAPACITY, name="all")
        before = limits()[kind]
        if before == most:
            return False
        DailyCap.objects.update_or_create(kind=kind, defaults={"most": most})
        CapChange.objects.create(kind=kind, before=before, after=most, changed_by=by, changed_at=now)
    return True
