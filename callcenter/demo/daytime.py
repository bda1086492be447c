"""Keeps the demo's people awake: started again at another hour, some of them live elsewhere.

Only people the demo made itself, only those of whom somebody stated a zone, and those first who were never
called, or not for longest. Who has a call waiting or a promise stays where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from random import Random

from django.db.models import Exists, F, Max, OuterRef, QuerySet

from agents import phone
from callcenter.demo import people, zones
from calls.models import Call, CallBack, Lead, ZoneSource
from calls.models.callback import CallBackState

NEAR_ENOUGH = 0.04
"""Share of the people by which the hour may be off before anybody moves."""
LISTS = (people.TRY_THESE, *(segment.list for segment in people.SEGMENTS))


def wake(now: datetime) -> int:
    """Moves as few people as bring the share within calling hours back to where it began. How many moved."""
    ours = list(_ours().filter(list__name__in=LISTS).prefetch_related("phones"))
    moved = _those_to_try(ours, now)
    asleep = [lead for lead in ours if not _is_day(lead, now)]
    missing = round(zones.OPEN_SHARE * len(ours)) - (len(ours) - len(asleep))
    if abs(missing) <= NEAR_ENOUGH * len(ours):
        return len(moved)
    wanted = missing > 0
    spread, spain = zones.Spread(now), zones.Spread(now, zones.SPANISH_PLACES)
    luck = Random(f"wake:{now:%Y-%m-%d %H}")  # noqa: S311  invented people, not secrets
    candidates = [
        lead
        for lead in _movable()
        if (not _is_day(lead, now)) == wanted and lead.pk not in {m.pk for m in moved}
    ]
    movers = candidates[: abs(missing)]
    for lead in movers:
        spanish = lead.list is not None and lead.list.name.startswith("España")
        lead.time_zone = (spain if spanish else spread).zone(luck, open_now=wanted)
    Lead.objects.bulk_update(movers, ["time_zone"], batch_size=500)
    return len(movers) + len(moved)


def _ours() -> QuerySet[Lead]:
    """Their addresses are of a kind that nobody's can be."""
    return Lead.objects.filter(email__endswith=".example").select_related("list")


def _movable() -> QuerySet[Lead]:
    promised = CallBack.objects.filter(
        lead=OuterRef("pk"), state__in=[CallBackState.OPEN, CallBackState.QUEUED]
    )
    return (
        _ours()
        .filter(list__name__in=LISTS[1:], time_zone_source=ZoneSource.STATED)
        .exclude(Exists(Call.objects.open().filter(lead=OuterRef("pk"))))
        .exclude(Exists(promised))
        .annotate(last=Max("calls__requested_at"))
        .order_by(F("last").asc(nulls_first=True), "pk")
        .prefetch_related("phones")
    )


def _those_to_try(ours: Sequence[Lead], now: datetime) -> list[Lead]:
    home = zones.best(now)
    moved = [
        lead
        for lead in ours
        if lead.list is not None
        and lead.list.name == people.TRY_THESE
        and (zones.time_left(lead.time_zone or "UTC", now) or zones.ENOUGH_LEFT * 0) < zones.ENOUGH_LEFT
    ]
    for lead in moved:
        lead.time_zone = home
    Lead.objects.bulk_update(moved, ["time_zone"])
    return moved


def _is_day(lead: Lead, now: datetime) -> bool:
    if lead.time_zone:
        return zones.time_left(lead.time_zone, now) is not None
    found = [phone.zones_of(entry.number) for entry in lead.phones.all()[:1]]
    return bool(found and found[0]) and all(zones.time_left(zone, now) is not None for zone in found[0])
