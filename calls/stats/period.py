"""A range of days as the company counts them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings

LONGEST = 731
"""Days. A longer range is cut at its beginning."""


def company_zone() -> ZoneInfo:
    return ZoneInfo(settings.COMPANY_TIME_ZONE)


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days, first and last included, in `COMPANY_TIME_ZONE`."""

    first: date
    last: date

    @classmethod
    def last_days(cls, days: int, *, now: datetime) -> Period:
        """`days` days up to and with today."""
        today = now.astimezone(company_zone()).date()
        return cls(today - timedelta(days=days - 1), today)

    @classmethod
    def between(cls, first: date, last: date) -> Period:
        """Any two days, in either order."""
        first, last = min(first, last), max(first, last)
        return cls(max(first, last - timedelta(days=LONGEST - 1)), last)

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]

    @property
    def start(self) -> datetime:
        """The first moment of the first day. Not 24 hours apart where clocks change."""
        return datetime.combine(self.first, time.min, company_zone())

    @property
    def end(self) -> datetime:
        """The first moment after the last day."""
        return datetime.combine(self.last + timedelta(days=1), time.min, company_zone())

    def before(self) -> Period:
        """As many days, ending the day before this begins."""
        return Period(self.first - timedelta(days=len(self.days)), self.first - timedelta(days=1))

    def one(self, day: date) -> Period:
        return Period(day, day)
