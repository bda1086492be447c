"""A line whose calls fail is slowed, then rests; after the rest one call tries, and its end decides.

All of it is rows: any dialer reviews, under the line's gate; the time is the database's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import structlog
from django.db import transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agents.providers.base import Fault
from calls.models import Call, CallStatus, Gate, Outcome
from calls.models.clock import database_now, skips_locked_rows
from calls.models.gate import Breaker, GateKind

log = structlog.get_logger(__name__)

WINDOW = timedelta(minutes=5)
OPENS_AT, OPENS_RATE = 5, 0.5
"""So many failures in the window, and such a part of all that ended in it."""
SLOWS_AT, SLOWS_RATE = 3, 0.2
SLOW_FACTOR = 4
REST = timedelta(seconds=30)
REST_AT_MOST = timedelta(minutes=10)
TRIAL_LASTS = timedelta(minutes=7)
"""Longer than a provider's own work before it dials, and ringing: by then it has not failed."""
FORGIVEN_AFTER = timedelta(minutes=15)

FAILED = Q(status=CallStatus.UNCONFIRMED) | Q(
    status=CallStatus.ENDED, outcome=Outcome.FAILED, fault__in=[Fault.NONE, Fault.LINE], answered_at=None
)
"""The line's failures: not those of a person, of an agent, of the account, or for want of room."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Of a line, within the window."""

    failed: int
    done: int
    """All that ended or is unclear, the failed included."""


class Health(StrEnum):
    FINE = "fine"
    SLOW = "slow"
    BROKEN = "broken"


def judge(tally: Tally) -> Health:
    """Pure."""
    rate = tally.failed / tally.done if tally.done else 0.0
    if tally.failed >= OPENS_AT and rate >= OPENS_RATE:
        return Health.BROKEN
    return Health.SLOW if tally.failed >= SLOWS_AT and rate >= SLOWS_RATE else Health.FINE


def rest(openings: int) -> timedelta:
    """How long a line rests the nth time it opens in a row, from 1."""
    return min(REST * (1 << min(max(openings, 1) - 1, 8)), REST_AT_MOST)


class Trial(StrEnum):
    WAIT = "wait"
    WORKED = "worked"
    FAILED = "failed"


def judge_trial(call: Call | None, *, since: datetime, now: datetime) -> Trial:
    """What the one call that tries has shown so far. Pure."""
    if call is None or call.status in (CallStatus.QUEUED, CallStatus.UNCONFIRMED):
        return Trial.FAILED
    if call.status == CallStatus.ENDED:
        failed = call.outcome == Outcome.FAILED and call.answered_at is None
        return Trial.FAILED if failed and call.fault in (Fault.NONE, Fault.LINE) else Trial.WORKED
    if call.status == CallStatus.IN_PROGRESS or now - since > TRIAL_LASTS:
        return Trial.WORKED
    return Trial.WAIT


def open_now(line: Gate, now: datetime) -> datetime | None:
    """When the breaker lets the next call of this line go; None: now."""
    if line.breaker == Breaker.OPEN and line.tries_at is not None and line.tries_at > now:
        return line.tries_at
    return now + timedelta(seconds=1) if line.breaker == Breaker.TRYING else None


def rests(line: Gate) -> bool:
    """Whether the next call of this line would be the one that tries."""
    return line.breaker == Breaker.OPEN


def took(line: Gate, call: Call, now: datetime) -> list[str]:
    """A call of this line was claimed, under its gate: the one that tries, if the line was resting."""
    if not rests(line):
        return []
    line.breaker, line.breaker_at, line.trial_call, line.tries_at = Breaker.TRYING, now, call.pk, None
    return ["breaker", "breaker_at", "trial_call", "tries_at"]


def review() -> None:
    """Look at every line that had calls lately or is not well. Cheap when all is."""
    now = database_now()
    tallies = _tallies(now)
    unwell = ~Q(breaker=Breaker.CLOSED) | Q(pace_factor__gt=1)
    lines = Gate.objects.filter(kind=GateKind.LINE)
    troubled = [name for name, tally in tallies.items() if judge(tally) != Health.FINE]
    for name in troubled:
        Gate.objects.get_or_create(kind=GateKind.LINE, name=name)
    for name in lines.filter(unwell | Q(name__in=troubled)).values_list("name", flat=True):
        with transaction.atomic():
            locked = lines.select_for_update(skip_locked=skips_locked_rows())
            line = locked.filter(name=name).first()
            if line is not None:
                _review(line, database_now())


def _tallies(now: datetime) -> Mapping[str, Tally]:
    recent = Call.objects.outbound().filter(
        Q(ended_at__gt=now - WINDOW, placed_at__isnull=False)
        | Q(status=CallStatus.UNCONFIRMED, sent_at__gt=now - WINDOW)
    )
    rows = recent.order_by().values("line").annotate(done=Count("pk"), failed=Count("pk", filter=FAILED))
    return {row["line"]: Tally(row["failed"], row["done"]) for row in rows}


def _tally_of(line: Gate, since: datetime) -> Tally:
    found = Call.objects.outbound().filter(
        Q(ended_at__gt=since, placed_at__isnull=False) | Q(status=CallStatus.UNCONFIRMED, sent_at__gt=since),
        line=line.name,
    )
    row = found.aggregate(done=Count("pk"), failed=Count("pk", filter=FAILED))
    return Tally(row["failed"], row["done"])


def _review(line: Gate, now: datetime) -> None:
    if line.breaker == Breaker.TRYING:
        call = Call.objects.filter(pk=line.trial_call).first() if line.trial_call else None
        shown = judge_trial(call, since=line.breaker_at or now, now=now)
        if shown == Trial.WORKED:
            _set(line, now, breaker=Breaker.CLOSED, trial_call=None, breaker_reason="", pace_factor=1)
        elif shown == Trial.FAILED:
            _open(line, now, line.breaker_reason)
        return
    if line.breaker == Breaker.OPEN:
        return
    since = max(filter(None, [line.breaker_at, now - WINDOW]))
    tally = _tally_of(line, since)
    health = judge(tally)
    if health == Health.BROKEN:
        why = ngettext(
            "%(failed)d of %(done)d call failed", "%(failed)d of %(done)d calls failed", tally.done
        )
        _open(line, now, why % {"failed": tally.failed, "done": tally.done})
        return
    factor = SLOW_FACTOR if health == Health.SLOW else 1
    forgiven = line.breaker_at is not None and now - line.breaker_at > FORGIVEN_AFTER
    if factor != line.pace_factor or (forgiven and line.openings):
        Gate.objects.filter(pk=line.pk).update(pace_factor=factor, openings=0 if forgiven else line.openings)


def _open(line: Gate, now: datetime, why: str) -> None:
    openings = line.openings + 1
    _set(
        line,
        now,
        breaker=Breaker.OPEN,
        breaker_reason=why[:300],
        openings=openings,
        tries_at=now + rest(openings),
        trial_call=None,
    )


def _set(line: Gate, now: datetime, **fields: object) -> None:
    log.warning("line", line=line.name, breaker=str(fields["breaker"]), why=fields["breaker_reason"])
    Gate.objects.filter(pk=line.pk).update(breaker_at=now, **fields)


def said(line: Gate, *, now: datetime) -> str:
    """How a line is, in words; '' while it works as usual."""
    if line.breaker == Breaker.OPEN:
        return _("This line rests: %(why)s. Then one call tries.") % {"why": line.breaker_reason}
    if line.breaker == Breaker.TRYING:
        return _("One call tries whether this line works again: %(why)s.") % {"why": line.breaker_reason}
    if line.closed_until is not None and line.closed_until > now:
        return _("The phone company asked us to slow down.")
    if line.pace_factor > 1:
        return _("Calls on this line go out more slowly, since some failed.")
    return ""


def lines_said(*, now: datetime) -> Mapping[str, str]:
    """Every line that does not work as usual, with what is the matter."""
    found = {row.name: said(row, now=now) for row in Gate.objects.filter(kind=GateKind.LINE)}
    return {name: text for name, text in found.items() if text}
