"""Pace, capacity, opt-outs and stops, counted from moments alone."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from tests.storm.database import Permit
from tests.storm.notes import Stop


def over_pace(moments: Sequence[float], *, per_second: float, jitter_s: float) -> int:
    """How many of `moments` (seconds, in order) are more than any span before them allows.

    A span of w seconds allows `per_second` x (w + jitter_s) and one.
    """
    allowed = per_second * jitter_s + 1
    lowest, over = float("inf"), 0
    for place, moment in enumerate(moments):
        level = place - per_second * moment
        lowest = min(lowest, level)
        over += level - lowest + 1 > allowed + 1e-6
    return over


def most_within(moments: Sequence[float], seconds: float) -> int:
    """Most moments in any such span."""
    return max((bisect_left(moments, one + seconds) - place for place, one in enumerate(moments)), default=0)


def most_at_once(spans: Iterable[tuple[int, int]]) -> tuple[int, list[int]]:
    """Most spans open at any moment, and the number that each beginning found open, itself included."""
    begins, ends, found = [], [], []
    for begin, end in spans:
        begins.append(begin)
        ends.append(end)
    begins.sort()
    ends.sort()
    for place, begin in enumerate(begins):
        found.append(place + 1 - bisect_right(ends, begin))
    return max(found, default=0), found


def after_opt_out(permits: Iterable[Permit], opt_outs: Iterable[tuple[str, datetime]]) -> list[Permit]:
    """Permits for a number after the moment from which it was never to be called again."""
    since: dict[str, datetime] = {}
    for number, moment in opt_outs:
        since[number] = min(moment, since.get(number, moment))
    return [one for one in permits if one.counterpart in since and one.at > since[one.counterpart]]


def while_stopped(permits: Iterable[Permit], stops: Sequence[Stop]) -> list[Permit]:
    return [one for one in permits if any(stop.since < one.at < stop.until for stop in stops)]


def by_line(permits: Iterable[Permit]) -> dict[str, list[float]]:
    found: defaultdict[str, list[float]] = defaultdict(list)
    for one in permits:
        found[one.line].append(one.at.timestamp())
    return found
