"""Every time at which something is looked at again, in one table with one factor for tests."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

AFTER_SENDING = (5, 15, 45, 75, 105, 345, 645, 945, 1245, 1545, 1845, 2145, 2445, 2700)
"""Seconds after `sent_at` at which an unconfirmed call is looked up."""
REPLAY_WHEN_NOT_THERE = frozenset({45, 75, 105})
"""Looks that are followed by a replay when they answered "not there". Straight after the first look, a
provider whose list lagged rang three of 150 telephones twice; from 45 s on, none."""
REPLAY_WHEN_UNANSWERED = frozenset({45, *AFTER_SENDING[5:]})
"""Looks that are followed by a replay when looks cannot be answered: at 45 s, then every five minutes."""
REPLAY_UNTIL_S = 3000
"""No replay later after `sent_at` than this: the provider forgets the idempotency key after an hour."""
TIME_TO_CLAIM = timedelta(seconds=5)
"""At least so long no next look takes back the replay this one allowed, however late looks have become."""
UNKNOWN_AFTER_S = 3600
"""How long the provider remembers an idempotency key: then it is unknown, for a person to look at."""
UNTOLD_AFTER_S = 86400
"""Where nothing can be looked up: how long after it was sent a call's end is waited for, told by nobody."""
AFTER_UNKNOWN = (7200, 21600, 43200, 86400)
"""Later looks for a call whose outcome is unknown; the last one a day after."""
QUIET = (60, 120, 240, 300)
"""Seconds without news after which a call that is on is looked up; the last repeats."""
WITHOUT_ANALYSIS = (45, 90, 180, 360, 900, 3600, 21600, 86400)
"""Seconds after the end at which a call without analysis is looked up; after the last it is final."""
COMPARE_EVERY_S = 3600
"""How often recent calls are held against the provider's own list."""
COMPARE_BACK_S = 6 * 3600
"""How far back each time; after an outage as far as the last one that finished, COMPARE_MOST_S at most."""
COMPARE_MOST_S = 7 * 86400
COMPARE_LEAVE_OUT_S = 600
"""The newest calls, whose news may still be on the way."""
COMPARE_AFTER_S = 30
"""From fetching what differed to looking whether it helped."""
SLOT_AFTER_PLACING = timedelta(minutes=6)
"""Ringing, and a provider's own work before it dials (up to five minutes)."""
SLOT_UNCONFIRMED = timedelta(minutes=5)
SLOT_TALKING = timedelta(minutes=11)
"""Renewed by each look (every five minutes at most) and each event."""
LONGEST_CALL = timedelta(hours=2)
"""No call lasts longer; where nothing can be looked up, one in conversation keeps its slot so long."""


def factor() -> float:
    return float(getattr(settings, "LOOK_FACTOR", 1.0))


def scaled(seconds: float) -> timedelta:
    return timedelta(seconds=seconds * factor())


def after_sending(looks: int) -> timedelta:
    return scaled(AFTER_SENDING[min(looks, len(AFTER_SENDING) - 1)])


def replay_follows(look: int, *, answered: bool, unanswered: int) -> bool:
    """May the request go out again after the `look`th look (from 1), which found no call?

    `answered`: this look said "not there". `unanswered`: how many so far, this one included, said nothing.
    """
    if look > len(AFTER_SENDING):
        return False
    seconds = AFTER_SENDING[look - 1]
    return (answered and seconds in REPLAY_WHEN_NOT_THERE) or (
        unanswered > 0 and seconds in REPLAY_WHEN_UNANSWERED
    )


def replay_until() -> timedelta:
    return scaled(REPLAY_UNTIL_S)


def unknown_after() -> timedelta:
    return scaled(UNKNOWN_AFTER_S)


def untold_after() -> timedelta:
    return scaled(UNTOLD_AFTER_S)


def next_unknown_look(since: datetime, *, now: datetime) -> datetime | None:
    """The next look for a call whose outcome is unknown; `since`: when it was sent. None: a day is over."""
    return next((since + scaled(s) for s in AFTER_UNKNOWN if since + scaled(s) > now), None)


def quiet_after(looks: int) -> timedelta:
    return scaled(QUIET[min(looks, len(QUIET) - 1)])


def analysis_due(looks: int) -> timedelta | None:
    """None: every look was made, nothing more will come."""
    return scaled(WITHOUT_ANALYSIS[looks]) if looks < len(WITHOUT_ANALYSIS) else None
