"""Calling hours, in the time of the person called.

A number may leave several time zones possible. The person is called only while it is within hours in
all of them; nothing known means not called (I6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agents import phone
from calls.models.lead import ZoneSource

if TYPE_CHECKING:
    from calls.models import Lead

ENOUGH_TURNS = 40
"""Openings to try before saying that two zones never share an hour; each turn moves on by one or more."""


@dataclass(frozen=True, slots=True)
class Window:
    """Minutes since local midnight; the end may be 1440."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Hours:
    """`opens_at` is `now` when open, None when the zones share no hour. `closes_at` ends that opening."""

    open: bool
    opens_at: datetime | None
    closes_at: datetime | None


@lru_cache(maxsize=32)
def window(text: str) -> Window:
    """Read CALLING_HOURS, such as `09:00-20:00`. Raises ValueError."""
    start, end = (part.split(":") for part in text.split("-"))
    return Window(int(start[0]) * 60 + int(start[1]), int(end[0]) * 60 + int(end[1]))


@lru_cache(maxsize=512)
def _zone(name: str) -> ZoneInfo:
    """Kept: the library keeps eight, and reads the others from disk each time. Raises as ZoneInfo does."""
    return ZoneInfo(name)


@lru_cache(maxsize=512)
def zone_exists(name: str) -> bool:
    try:
        _zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def zones(lead: Lead | None, number: str) -> tuple[tuple[str, ...], str]:
    """Every zone the person may be in, and how that is known. One that does not exist is not known."""
    if lead is not None and lead.time_zone:
        known = zone_exists(lead.time_zone)
        return ((lead.time_zone,), ZoneSource.STATED) if known else ((), ZoneSource.UNKNOWN)
    found = phone.zones_of(number) if number else ()
    return found, ZoneSource.NUMBER if found else ZoneSource.UNKNOWN


def _opening(moment: datetime, zone: ZoneInfo, hours: Window) -> tuple[datetime, datetime]:
    """The opening that `moment` is in, or the next one: UTC start and end."""
    for ahead in range(3):
        day = moment.astimezone(zone).date() + timedelta(days=ahead)
        midnight = datetime.combine(day, time(), zone)
        # Wall-clock arithmetic on purpose: 09:00 stays 09:00 on the day the clocks change.
        start = midnight + timedelta(minutes=hours.start)
        end = midnight + timedelta(minutes=hours.end)
        if moment < end:
            return start, end
    raise ValueError("a day has no end")


def within(zone_names: Sequence[str], now: datetime, hours: Window) -> Hours:
    """Whether it is within hours in every zone, else when it first will be."""
    return _within(tuple(zone_names), now, hours)


@lru_cache(maxsize=512)
def _within(zone_names: tuple[str, ...], now: datetime, hours: Window) -> Hours:
    """Kept, since a batch asks at one moment for thousands of people who live in a few zones."""
    places = [_zone(name) for name in zone_names]
    moment = now
    for _turn in range(ENOUGH_TURNS):
        openings = [_opening(moment, place, hours) for place in places]
        latest = max(start for start, _end in openings)
        if latest <= moment:
            closes = min(end for _start, end in openings)
            return Hours(moment == now, moment, closes.astimezone(now.tzinfo))
        moment = latest.astimezone(now.tzinfo)
    return Hours(False, None, None)


def local_times(lead: Lead | None, number: str, now: datetime) -> list[tuple[str, datetime]]:
    """What the clock says where the person may be: zone and time, earliest and latest if they differ."""
    names, _source = zones(lead, number)
    clocks = sorted(
        ((name, now.astimezone(_zone(name))) for name in names),
        key=lambda clock: clock[1].replace(tzinfo=None),
    )
    if len(clocks) < 2 or clocks[0][1].replace(tzinfo=None) == clocks[-1][1].replace(tzinfo=None):
        return clocks[:1]
    return [clocks[0], clocks[-1]]
