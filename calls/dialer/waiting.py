"""What a queued call waits for, in words; its place in the queue and the time it is expected."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents import phone
from agents.models import Agent
from calls.dialer import breaker, caps, expecting, ramp
from calls.dialer.account import Room, room_of
from calls.dialer.adopt import catching_up
from calls.dialer.gate import alive
from calls.dialer.ramp import RampState
from calls.dialer.stops import covering, in_force
from calls.eligibility import hours
from calls.models import Call, CallStatus, Gate, Stop
from calls.models.gate import Breaker, GateKind

NEEDED = (
    "status",
    "due_at",
    "line",
    "agent",
    "decision",
    "batch",
    "batch__undo_until",
    "our_number",
    "number_given",
    "claimed_at",
    "lead",
    "lead__list",
    "look_first",
)
"""All of a call that its reason for waiting is told by: there may be tens of thousands."""

WAITS_FOR: dict[str, Any] = {
    "stopped": gettext_lazy("calling is stopped"),
    "undo": gettext_lazy("time to undo"),
    "outside_hours": gettext_lazy("calling hours there"),
    "due_later": gettext_lazy("the time asked for"),
    "no_dialer": gettext_lazy("a dialer"),
    "catching_up": gettext_lazy("a look whether they were called already"),
    "account_problem": gettext_lazy("the phone company's account"),
    "provider_busy": gettext_lazy("the phone company to be less busy"),
    "line_rests": gettext_lazy("a line that rests after failed calls"),
    "daily_cap": gettext_lazy("the next day: today's limit is reached"),
    "number_cap": gettext_lazy("the next day: their number has made its calls of today"),
    "capacity": gettext_lazy("a free line"),
    "agent_busy": gettext_lazy("the AI agent to be free"),
    "pace": gettext_lazy("their turn"),
}
"""What a call may wait for, by code."""


@dataclass(frozen=True, slots=True)
class Waiting:
    code: str
    text: str
    until: datetime | None = None
    place: int | None = None
    """1: goes out next on its line."""
    expected_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """What holds for every waiting call at one moment: asked once for a list of them."""

    now: datetime
    stops: Sequence[Stop]
    alive: bool
    account_problem: str
    in_use: int
    room: Room
    agents_full: frozenset[int]
    lines: Mapping[str, Gate]
    catching_up: bool = False
    cap_reached: bool = False
    numbers_full: Mapping[str, RampState] = field(default_factory=dict)
    """Those in their first weeks that have made their calls of today."""
    others: Mapping[int | None, str] = field(default_factory=dict)
    """By agent: the number that goes out instead where nobody said which."""


def look(*, now: datetime) -> Desk:
    gates = list(Gate.objects.exclude(kind=GateKind.STOP))
    capacity = next((gate for gate in gates if gate.kind == GateKind.CAPACITY), None)
    held = list(Call.objects.holding_slot(now).values_list("agent_id", flat=True))
    by_agent = Counter(held)
    limits = Agent.objects.filter(max_concurrent_calls__isnull=False).values_list(
        "pk", "max_concurrent_calls"
    )
    stops = in_force()
    full = {number: state for number, state in ramp.states(now=now).items() if state.full}
    return Desk(
        now=now,
        stops=stops,
        numbers_full=full,
        others=ramp.others(full, stops, Call.objects.filter(status=CallStatus.QUEUED)),
        alive=alive(now=now),
        catching_up=catching_up() is not None,
        cap_reached=any(each.level == caps.Level.REACHED for each in caps.pressing(now=now)),
        account_problem=capacity.account_problem if capacity else "",
        in_use=len(held),
        agents_full=frozenset(pk for pk, most in limits if by_agent[pk] >= (most or 0)),
        room=room_of(capacity, now=now),
        lines={gate.name: gate for gate in gates if gate.kind == GateKind.LINE},
    )


def waiting(call: Call, *, now: datetime, desk: Desk | None = None, place: bool = True) -> Waiting | None:
    """Why this call is not out yet; None when it is not waiting at all."""
    if call.status != CallStatus.QUEUED or call.due_at is None:
        return None
    desk = desk or look(now=now)
    reason = _reason(call, desk)
    if not place or reason.until is not None or reason.code in ("stopped", "no_dialer", "account_problem"):
        return reason
    ahead = ahead_of(call, now)
    pace = expecting.calls_per_second(most=desk.room.most)
    return Waiting(reason.code, reason.text, None, ahead + 1, now + timedelta(seconds=ahead / pace))


def _reason(call: Call, desk: Desk) -> Waiting:
    assert call.due_at is not None
    stop = covering(call, desk.stops)
    if stop is not None:
        return Waiting("stopped", _stopped(stop))
    if call.due_at > desk.now:
        if call.batch_id and call.batch and call.batch.undo_until and call.due_at <= call.batch.undo_until:
            return Waiting("undo", _("Starting in a moment; can still be undone."), call.due_at)
        return _due_later(call, desk.now)
    if not desk.alive:
        return Waiting("no_dialer", _("No dialer is running."))
    if desk.catching_up or call.look_first:
        return Waiting("catching_up", _("It is looked up first whether it was called already."))
    if desk.account_problem:
        return Waiting(
            "account_problem", _("The phone company refuses: %(why)s") % {"why": desk.account_problem}
        )
    if desk.cap_reached:
        text = _("Today's limit is reached: nothing more goes out today.")
        return Waiting("daily_cap", text, caps.day_ends(desk.now))
    line = desk.lines.get(call.line)
    resting = _resting(line, desk.now) if line is not None else None
    if resting is not None:
        return resting
    full = desk.numbers_full.get(call.our_number)
    if full is not None and not (ramp.may_move(call) and call.agent_id in desk.others):
        return Waiting("number_cap", _number_full(call.our_number, full, desk.now), caps.day_ends(desk.now))
    if desk.in_use >= desk.room.most:
        return Waiting("capacity", _full(desk.room))
    if call.agent_id in desk.agents_full:
        return Waiting("agent_busy", _("The AI agent is on as many calls as it may be."))
    slowly = breaker.said(line, now=desk.now) if line is not None else ""
    return Waiting("pace", slowly or _("Its turn: calls go out one after the other."))


def _resting(line: Gate, now: datetime) -> Waiting | None:
    if line.breaker != Breaker.CLOSED:
        return Waiting("line_rests", breaker.said(line, now=now), line.tries_at)
    if line.closed_until is not None and line.closed_until > now:
        return Waiting("provider_busy", breaker.said(line, now=now), line.closed_until)
    return None


def _full(room: Room) -> str:
    if room.kept:
        text = _("All %(most)d lines are in use; %(kept)d more are kept for people who ring us.")
        return text % {"most": room.most, "kept": room.kept}
    return _("All %(most)d lines are in use.") % {"most": room.most}


def _number_full(number: str, state: RampState, now: datetime) -> str:
    text = _(
        "%(number)s has made its %(most)d calls of today, day %(day)d of its first %(days)d: next %(when)s."
    )
    return text % {
        "number": phone.pretty(number),
        "most": state.most,
        "day": max(1, state.day),
        "days": state.days,
        "when": date_format(caps.day_ends(now), "D H:i"),
    }


def _stopped(stop: Stop) -> str:
    return _("%(what)s: stopped. %(why)s") % {"what": stop, "why": stop.reason or _("No reason given.")}


def _due_later(call: Call, now: datetime) -> Waiting:
    assert call.due_at is not None
    local = hours.local_times(call.lead, call.counterpart, call.due_at)
    clock = local[0][1] if local else localtime(call.due_at)
    today = local[0][1].date() == now.astimezone(clock.tzinfo).date() if local else True
    when = date_format(clock, "H:i") if today else date_format(clock, "D j M H:i")
    codes = {reason.get("code") for reason in call.decision.get("reasons", [])}
    if "outside_hours" in codes:
        return Waiting(
            "outside_hours", _("%(when)s there: outside calling hours now.") % {"when": when}, call.due_at
        )
    return Waiting("due_later", _("%(when)s there, as asked.") % {"when": when}, call.due_at)


def ahead_of(call: Call, now: datetime) -> int:
    """How many that are due go out before this one on its line."""
    return (
        Call.objects.due(now)
        .filter(line=call.line)
        .filter(
            Q(priority__lt=call.priority)
            | Q(priority=call.priority, due_at__lt=call.due_at)
            | Q(priority=call.priority, due_at=call.due_at, requested_at__lt=call.requested_at)
        )
        .exclude(pk=call.pk)
        .count()
    )


def queue_summary(*, now: datetime, calls: QuerySet[Call] | None = None) -> Sequence[tuple[str, str, int]]:
    """What waits (of `calls`; all without), by what it waits for: (code, sentence, how many), most first."""
    texts: dict[str, str] = {}
    counts: Counter[str] = Counter()
    short = {
        "outside_hours": _("until it is within calling hours there"),
        "due_later": _("until the time asked for"),
        "undo": _("to be started; can still be undone"),
        "number_cap": _("until tomorrow: their number is new, and has made its calls of today"),
    }
    for _pk, reason in _each_waiting(Call.objects.all() if calls is None else calls, now):
        counts[reason.code] += 1
        texts.setdefault(reason.code, short.get(reason.code, reason.text))
    return [(code, texts[code], count) for code, count in counts.most_common()]


def waiting_for(code: str, *, now: datetime, calls: QuerySet[Call]) -> list[uuid.UUID]:
    """Those of `calls` that `queue_summary` counts under this code."""
    return [pk for pk, reason in _each_waiting(calls, now) if reason.code == code]


def _each_waiting(calls: QuerySet[Call], now: datetime) -> Iterator[tuple[uuid.UUID, Waiting]]:
    desk = look(now=now)
    rows = calls.filter(status=CallStatus.QUEUED).select_related("batch", "lead").order_by()
    for call in rows.only(*NEEDED).iterator(chunk_size=1000):
        yield call.pk, _code_only(call, desk)


def _code_only(call: Call, desk: Desk) -> Waiting:
    """As `_reason`, without working out the local time of thousands of calls."""
    if call.due_at is not None and call.due_at > desk.now and covering(call, desk.stops) is None:
        if call.batch_id and call.batch and call.batch.undo_until and call.due_at <= call.batch.undo_until:
            return Waiting("undo", "")
        outside = any(reason.get("code") == "outside_hours" for reason in call.decision.get("reasons", []))
        return Waiting("outside_hours" if outside else "due_later", "")
    return _reason(call, desk)
