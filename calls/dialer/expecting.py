"""How fast calls are expected to go out: what places in the queue and the end of a batch are told by."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import F

from calls.models import Call

TYPICAL = timedelta(seconds=45)
"""How long a call holds its slot where too few have ended to know."""
ENOUGH = 10
LATEST = 100


def calls_per_second(*, most: int) -> float:
    """The set pace, or as fast as calls make room for others when `most` may be on at once."""
    held = max(_held().total_seconds(), 1.0)
    return float(min(settings.CALLS_PER_SECOND, max(most, 1) / held))


def _held() -> timedelta:
    """From its permit to its end, on average of the latest calls out."""
    latest = (
        Call.objects.outbound()
        .filter(ended_at__isnull=False, sent_at__isnull=False)
        .order_by("-ended_at")
        .values(lasted=F("ended_at") - F("sent_at"))[:LATEST]
    )
    times = [row["lasted"] for row in latest]
    return sum(times, timedelta()) / len(times) if len(times) >= ENOUGH else TYPICAL
