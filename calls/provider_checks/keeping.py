"""What was found, kept: for the page, and for the banner while something fails."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Max

from agents.providers.base import Provider
from agents.readiness import Check, Level
from calls.models import ProviderCheck
from calls.models.clock import database_now
from calls.provider_checks.looking import look

log = structlog.get_logger(__name__)

LOOK_EVERY = timedelta(minutes=5)
LOOK_AGAIN = timedelta(seconds=20)
"""While something fails: to tell a moment from a fault, and to hear soon that it is mended."""
KEPT = ["level", "sentence", "what_to_do", "checked_at", "since"]


def look_and_keep(provider: Provider, *, now: datetime) -> list[Check]:
    """One look, kept. Seconds; `now` is the database's."""
    checks = look(provider, now=now)
    keep(checks, now=database_now())
    return checks


def keep(checks: Sequence[Check], *, now: datetime) -> None:
    """Each written over what was known of it. The log hears once of a fault and of its mending."""
    with transaction.atomic():
        known = {row.code: row for row in ProviderCheck.objects.select_for_update()}
        rows = [_row(check, known.get(check.code), now) for check in checks]
        ProviderCheck.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["code"], update_fields=KEPT
        )
        ProviderCheck.objects.exclude(code__in=[row.code for row in rows]).delete()
    for row in rows:
        before = known.get(row.code)
        if row.fails and before is not None and not before.fails:
            log.warning("a check of the phone company fails", check=row.code, result=row.sentence)
        elif before is not None and before.fails and not row.fails:
            log.info("a check of the phone company passes again", check=row.code, result=row.sentence)


def _row(check: Check, before: ProviderCheck | None, now: datetime) -> ProviderCheck:
    same = before is not None and before.level == check.level
    return ProviderCheck(
        code=check.code,
        level=check.level,
        sentence=check.sentence,
        what_to_do=check.what_to_do,
        checked_at=now,
        since=before.since if before is not None and same else now,
    )


def failing() -> list[ProviderCheck]:
    return list(ProviderCheck.objects.failing().order_by("since", "code"))


def seconds_to_next_look(*, now: datetime) -> float:
    """0 when it is time: five minutes after the last look of any process, sooner while something fails."""
    last: datetime | None = ProviderCheck.objects.aggregate(at=Max("checked_at"))["at"]
    if last is None:
        return 0.0
    red = ProviderCheck.objects.filter(level=Level.RED).exists()
    return max(0.0, (last + (LOOK_AGAIN if red else LOOK_EVERY) - now).total_seconds())
