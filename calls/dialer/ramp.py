"""A new number makes few calls a day in its first weeks: one that suddenly calls a lot is labelled as spam.

Counted as the account's calls are (`dialer.caps`): under the capacity gate's lock, which every claim holds,
so that no two dialers make one too many. What waits for a number that has made its calls of today goes out
from another one where nobody said which, else it waits for the next day.

No carrier publishes figures, and no plan is right for all numbers (docs.vapi.ai, "Warm outbound numbers").
Three stages of a week each are what others offer (help.affordablecare.ai, "Phone number warm-up stages");
the last stays below the 170 a day that a practitioner gives as the most a number under 30 days old bears
(quantumautomations.ai, "Phone Number Warm-Up and Spam Flag Recovery"). The rest is our choice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, QuerySet, Value
from django.db.models.functions import Coalesce

from agents.models import Agent, PhoneNumber
from calls.dialer import caps
from calls.dialer.caller_id import line_of, usual_number
from calls.models import Call, CallStatus, Gate, NumberRamp, RampPlan, Stop
from calls.models.call_words import DESK_LINE
from calls.models.clock import skips_locked_rows
from calls.models.gate import GateKind
from calls.models.stop import StopScope

COUNTED_EVERY = timedelta(seconds=2)
"""How often the calls themselves are counted, and others looked for, while a number has made all of today."""
MOVED_AT_ONCE = 100
"""Calls that get another number in one transaction, to keep it short."""


@dataclass(frozen=True, slots=True)
class Step:
    """So many days, so many calls on each."""

    days: int
    calls: int


USUAL_STEPS = (Step(7, 50), Step(7, 100), Step(7, 150))


@dataclass(frozen=True, slots=True)
class RampState:
    """Where a number is in its first weeks. `day` 0: day 1 begins with its next call."""

    day: int
    days: int
    most: int
    used: int

    @property
    def full(self) -> bool:
        return self.used >= self.most


def steps_of(row: NumberRamp) -> Sequence[Step]:
    own = [Step(days, calls) for days, calls in row.own_steps] if row.plan == RampPlan.OWN else []
    return own or USUAL_STEPS


def length(steps: Iterable[Step]) -> int:
    """In days."""
    return sum(step.days for step in steps)


def most_on(day: int, steps: Iterable[Step]) -> int | None:
    """How many calls on this day of the plan, 1 being the first (0: as on that); None: it is through."""
    last = 0
    for step in steps:
        last += step.days
        if day <= last:
            return step.calls
    return None


def day_number(day_one: date | None, today: date) -> int:
    """Which day of its plan today is; 0 while its first call is to come."""
    return (today - day_one).days + 1 if day_one is not None else 0


def left(now: datetime, stops: Iterable[Stop]) -> dict[str, int]:
    """How many more calls each number in its first weeks may make today; the others are not in it.

    Under the capacity gate's lock, before calls are chosen; keeps the counts.
    """
    today, start = caps.day_of(now)
    found: dict[str, int] = {}
    look = False
    for row in NumberRamp.objects.running().select_related("number"):
        number = row.number.number
        changed = _begin_day(row, today, start, now) if row.day != today else set()
        most = most_on(day_number(row.day_one, today), steps_of(row))
        if most is None:
            row.over = True
            row.save(update_fields=[*changed, "over"])
            continue
        if row.day_calls >= most and not changed and _long_ago(row.counted_at, now):
            row.day_calls, row.counted_at = _made(number, start).count(), now
            changed = {"day_calls", "counted_at"}
        if changed:
            row.save(update_fields=changed)
        found[number] = max(0, most - row.day_calls)
        look = look or (bool(changed) and not found[number])
    if look:
        _pass_over(found, stops, now)
    return found


def _begin_day(row: NumberRamp, today: date, start: datetime, now: datetime) -> set[str]:
    row.day, row.day_calls, row.counted_at = today, _made(row.number.number, start).count(), now
    if row.day_one is not None and not _made(row.number.number, _beginning(row.day_one)).exists():
        row.day_one = None  # what was claimed on that day was never sent
    return {"day", "day_calls", "counted_at", "day_one"}


def count(claimed: Iterable[Call], ramped: Collection[str], now: datetime) -> None:
    """So many more were claimed. Under the same lock."""
    today = caps.day_of(now)[0]
    for number, calls in Counter(call.our_number for call in claimed if call.our_number in ramped).items():
        NumberRamp.objects.filter(number__number=number).update(
            day_calls=F("day_calls") + calls, day_one=Coalesce("day_one", Value(today)), counted_at=None
        )


def _pass_over(left: Mapping[str, int], stops: Iterable[Stop], now: datetime) -> None:
    """What waits for a number that has made its calls of today, and may go out from another, does."""
    full = [number for number, calls in left.items() if not calls]
    for agent, other in others(full, stops, Call.objects.due(now)).items():
        calls = _may_move(Call.objects.due(now), full).filter(agent=agent)
        locked = calls.select_for_update(of=("self",), skip_locked=skips_locked_rows())
        most = min(MOVED_AT_ONCE, left.get(other, MOVED_AT_ONCE))
        moved = list(locked.order_by("priority", "due_at").values_list("pk", flat=True)[:most])
        Call.objects.filter(pk__in=moved, status=CallStatus.QUEUED).update(
            our_number=other, line=line_of(other) if agent is not None else DESK_LINE
        )


def may_move(call: Call) -> bool:
    """Nobody said from which number, and no request was written down with it."""
    return not call.number_given and call.claimed_at is None


def _may_move(calls: QuerySet[Call], full: Collection[str]) -> QuerySet[Call]:
    """As `may_move`, in the query."""
    return calls.filter(our_number__in=full, number_given=False, claimed_at__isnull=True)


def others(full: Collection[str], stops: Iterable[Stop], calls: QuerySet[Call]) -> dict[int | None, str]:
    """From which other number each agent's calls (None: those of people) go out while these are full."""
    if not full:
        return {}
    without = {*full, *(each.number for each in stops if each.scope == StopScope.NUMBER)}
    agents = list(_may_move(calls, full).order_by().values_list("agent", flat=True).distinct())
    known = Agent.objects.select_related("default_caller_id").in_bulk([pk for pk in agents if pk is not None])
    found = {pk: usual_number(known[pk] if pk is not None else None, without=without) for pk in agents}
    return {pk: other for pk, other in found.items() if other}


def states(*, now: datetime) -> dict[str, RampState]:
    """Each number in its first weeks, by number. Exact."""
    today, start = caps.day_of(now)
    rows = {row.number.number: row for row in NumberRamp.objects.running().select_related("number")}
    if not rows:
        return {}
    made = caps.made_since(start).filter(our_number__in=list(rows)).order_by().values("our_number")
    used = dict(made.annotate(n=Count("pk")).values_list("our_number", "n"))
    found = {}
    for number, row in rows.items():
        steps, day = steps_of(row), day_number(row.day_one, today)
        most = most_on(day, steps)
        if most is not None:
            found[number] = RampState(day, length(steps), most, used.get(number, 0))
    return found


def set_plan(number: PhoneNumber, plan: str, *, own_steps: Sequence[Step] = (), now: datetime) -> bool:
    """From the next claim on. Day 1 is that of its first call; of its next one where that is too long ago for
    the plan. False: it was so already.
    """
    kept = [[step.days, step.calls] for step in own_steps] if plan == RampPlan.OWN else []
    wanted = NumberRamp(number=number, plan=plan, own_steps=kept)
    first = _first_day(number.number)
    wanted.day_one = first if most_on(day_number(first, caps.day_of(now)[0]), steps_of(wanted)) else None
    with transaction.atomic():
        Gate.objects.get_or_create(kind=GateKind.CAPACITY, name="all")
        Gate.objects.select_for_update().get(kind=GateKind.CAPACITY, name="all")
        before = NumberRamp.objects.filter(number=number).first()
        if before is not None and (before.plan, before.own_steps, before.over) == (plan, kept, False):
            return False
        if before is None and plan == RampPlan.OFF:
            return False
        NumberRamp.objects.update_or_create(
            number=number,
            defaults={
                "plan": plan, "own_steps": kept, "day_one": wanted.day_one, "over": False, "day": None
            },
        )  # fmt: skip
    return True


def begin(number: PhoneNumber, *, now: datetime) -> bool:
    """The usual steps, for a number that is new here. False: it has been called from for longer than that."""
    first = _first_day(number.number)
    if most_on(day_number(first, caps.day_of(now)[0]), USUAL_STEPS) is None:
        return False
    return set_plan(number, RampPlan.USUAL, now=now)


def _made(number: str, start: datetime) -> QuerySet[Call]:
    return caps.made_since(start).filter(our_number=number)


def _first_day(number: str) -> date | None:
    sent = Call.objects.outbound().filter(our_number=number, sent_at__isnull=False).order_by("sent_at")
    first = sent.values_list("sent_at", flat=True).first()
    return caps.day_of(first)[0] if first is not None else None


def _beginning(day: date) -> datetime:
    return datetime.combine(day, time.min, ZoneInfo(settings.COMPANY_TIME_ZONE))


def _long_ago(counted_at: datetime | None, now: datetime) -> bool:
    return counted_at is None or now - counted_at > COUNTED_EVERY
