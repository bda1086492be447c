"""Where the demo's people live, chosen so that at this hour about 70 in 100 may be called.

Calling hours are real: eleven hours of a day. Spread evenly, 46 in 100 people would be within them at any
moment; so it is the hour of the start that decides how many of them live where it is day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from random import Random
from zoneinfo import ZoneInfo

from calls.eligibility import hours

OPEN_SHARE = 0.74
"""Of all people, those of whom somebody said never to call them included: so that 70 in 100 may be called."""
WINDOW = "09:00-20:00"
ENOUGH_LEFT = timedelta(hours=3)
"""A place whose day is nearly over helps nobody who has just started the demo."""


@dataclass(frozen=True, slots=True)
class Place:
    """A time zone, and how many of the company's people live there compared with others."""

    zone: str
    weight: float


PLACES: Sequence[Place] = tuple(
    Place(zone, weight)
    for zone, weight in (
        ("America/New_York", 10), ("America/Chicago", 8), ("America/Denver", 4), ("America/Phoenix", 2),
        ("America/Los_Angeles", 8), ("America/Anchorage", 1), ("Pacific/Honolulu", 2), ("America/Toronto", 4),
        ("America/Vancouver", 3), ("America/Halifax", 1.5), ("America/Sao_Paulo", 2),
        ("Atlantic/Azores", 0.5), ("Europe/London", 8), ("Europe/Dublin", 3), ("Europe/Lisbon", 1),
        ("Europe/Berlin", 5), ("Europe/Paris", 4), ("Europe/Amsterdam", 3), ("Europe/Stockholm", 2),
        ("Europe/Athens", 1.5), ("Africa/Johannesburg", 2), ("Africa/Nairobi", 1), ("Asia/Dubai", 3),
        ("Asia/Karachi", 1), ("Asia/Kolkata", 4), ("Asia/Dhaka", 1), ("Asia/Bangkok", 2),
        ("Asia/Singapore", 4), ("Asia/Hong_Kong", 3), ("Australia/Perth", 2), ("Asia/Tokyo", 4),
        ("Asia/Seoul", 2), ("Australia/Sydney", 5), ("Australia/Brisbane", 2), ("Pacific/Guam", 0.5),
        ("Pacific/Noumea", 0.5), ("Pacific/Auckland", 4), ("Pacific/Fiji", 0.5), ("Pacific/Pago_Pago", 0.5),
    )
)  # fmt: skip
SPANISH_PLACES: Sequence[Place] = tuple(
    Place(zone, weight)
    for zone, weight in (
        ("Europe/Madrid", 5), ("America/Mexico_City", 3), ("America/Bogota", 2), ("America/Lima", 1),
        ("America/Santiago", 1), ("America/Argentina/Buenos_Aires", 2),
    )
)  # fmt: skip


@cache
def zone_of(name: str) -> ZoneInfo:
    """Kept: `ZoneInfo` remembers eight, and reads the file again for every other."""
    return ZoneInfo(name)


def time_left(zone: str, now: datetime) -> timedelta | None:
    """How long the people of a zone may still be called today; None when they may not be now."""
    opening = hours.within([zone], now, hours.window(WINDOW))
    return opening.closes_at - now if opening.open and opening.closes_at is not None else None


def opening(zone: str, moment: datetime) -> datetime:
    """`moment` where people may be called then, else when they next may."""
    found = hours.within([zone], moment, hours.window(WINDOW)).opens_at
    assert found is not None
    return found


class Spread:
    """Hands out zones for a moment: by weight, where it is day or where it is not."""

    def __init__(self, now: datetime, places: Sequence[Place] = PLACES) -> None:
        left = {place.zone: time_left(place.zone, now) for place in places}
        day = [(place, left[place.zone]) for place in places if left[place.zone] is not None]
        long = [(place, rest) for place, rest in day if rest is not None and rest >= ENOUGH_LEFT] or day
        self._open = [
            (place.zone, place.weight * (rest / timedelta(hours=11)))
            for place, rest in long
            if rest is not None
        ]
        self._shut = [(place.zone, place.weight) for place in places if left[place.zone] is None]

    def zone(self, luck: Random, *, open_now: bool) -> str:
        """One zone; where none is as asked for, one of the others."""
        some = (self._open if open_now else self._shut) or self._open or self._shut
        return luck.choices([zone for zone, _ in some], weights=[weight for _, weight in some])[0]


def best(now: datetime) -> str:
    """Where most of the day is left: for people who are to be callable for as long as possible."""
    return max(PLACES, key=lambda place: (time_left(place.zone, now) or timedelta(), place.weight)).zone
