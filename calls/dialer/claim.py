"""Take the next call, for the thread that will place it, in one short transaction."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _

from agents.models import Agent
from agents.providers.base import PlaceOrder, Provider, ProviderError
from agents.providers.drafts import AgentDraft
from agents.providers.registry import provider_of
from calls.dialer import adopt, breaker, caps, gate, ramp, replay
from calls.dialer.account import room_of
from calls.dialer.ask import end_unplaced
from calls.dialer.gate import pace_interval
from calls.dialer.stops import in_force, not_stopped, stop_state
from calls.eligibility import Decision, Verdict, recheck_many
from calls.models import Call, CallStatus, Direction, Gate, Outcome
from calls.models.call_words import OPEN
from calls.models.clock import database_now, skips_locked_rows
from calls.models.gate import GateKind

LEASE = timedelta(seconds=5)
HEADS_A_PASS = 25
"""How many calls that may not be made are moved or ended in one transaction, to keep it short."""


CLAIM_READS = (
    "status", "counterpart", "our_number", "desk_number", "provider", "line", "priority", "requested_by",
    "due_at", "not_after", "decision", "variables", "metadata", "overrides", "request_body", "sent_at",
    "cancel_requested_at", "cancel_reason",
    "lead__list", "lead__time_zone", "lead__custom",
    "agent__provider_agent_id", "agent__name", "agent__active", "agent__paused_reason",
    "agent__pinned_version", "agent__profile", "agent__draft", "agent__gone_since",
)  # fmt: skip
"""All of a call, its lead and its agent that a claim and its placement need."""
TAKEN = ("status", "claimed_at", "place_token", "lease_until", "slot_until", "request_body", "decision")


@dataclass(frozen=True, slots=True)
class Nothing:
    """No call was claimed. `again` (s): when it is worth asking next."""

    why: str
    again: float


def claim_next(provider: Provider) -> Call | Nothing:
    """One call."""
    claimed = claim_some(provider, most=1)
    return claimed if isinstance(claimed, Nothing) else claimed[0]


def claim_some(provider: Provider, *, most: int) -> list[Call] | Nothing:
    """At most so many calls, each by the rules it would be claimed by alone; in the order they go out.

    1. The capacity gate, so that two dialers do not both take the last slot.
    2. The stop, the account (while it is in doubt, one call tries), the capacity itself, the day's limits and
       what numbers in their first weeks may still make. A replay may go on in the slot its call still holds,
       and was counted when it was first sent.
    3. Each line with due calls whose pace and breaker let one go: its gate, then its next calls, as many as
       its pace lets go in a tenth of a second. A replay is claimed alone.
    4. What may not be made is moved to when it may, or ended, in the same pass.
    Locked rows are passed over, never waited for. Before all that, one look without any lock: an idle
    dialer must cost nothing, and on SQLite every transaction here keeps all writers waiting.
    """
    now = database_now()
    replays = replay.wanted(now).exists()
    if not replays and not Call.objects.due(now).exists():
        return Nothing("empty", 0.2)
    if adopt.blocks(now):
        return Nothing("catching_up", 0.2)
    with transaction.atomic():
        capacity = _lock_gate(GateKind.CAPACITY, "all")
        if capacity is None:
            return Nothing("busy", 0.02)
        now = database_now()
        stops = in_force()
        if stop_state(stops).stopped:
            return Nothing("stopped", 0.5)
        trial = bool(capacity.account_problem and capacity.trial_at and capacity.trial_at <= now)
        if capacity.account_problem:
            # The one call that tries is a fresh one: a "no" to a replay says nothing.
            replays = False
        in_use = _in_use(now)
        room = max(0, room_of(capacity, now=now).most - sum(in_use.values()))
        if not room and not replays:
            return Nothing("capacity", 0.1)
        today = caps.left(capacity, now)
        if today == 0 and not replays:
            return Nothing("daily_cap", 0.5)
        fresh = Call.objects.due(now) if room and today != 0 else Call.objects.none()
        if capacity.account_problem:
            # The account in doubt is the AI agents': what people call themselves goes over another.
            theirs = fresh.filter(desk_number="")
            trial = trial and theirs.exists()
            fresh = theirs if trial else fresh.exclude(desk_number="")
            if not fresh.exists():
                return Nothing("account_problem", 0.5)
        agents, numbers = _agents_left(in_use), ramp.left(now, stops)
        due = _claimable(not_stopped(fresh, stops), agents, now)
        if full := [number for number, calls in numbers.items() if not calls]:
            due = due.exclude(our_number__in=full)
        wanted = replay.wanted(now) if replays else Call.objects.none()
        again = _claimable(not_stopped(wanted, stops), agents, now)
        most = 1 if trial else min(most, room or 1, most if today is None else today or 1)
        found = _claim_on_some_line(
            Pass(provider, now, most, agents, numbers),
            due,
            again if room else again.filter(slot_until__gt=now),
        )
        if isinstance(found, list):
            if found[0].sent_at is None:
                caps.count(capacity, len(found))
                ramp.count(found, numbers, now)
            if trial:
                # One call tries; the next only when this one has passed, or another probe has.
                Gate.objects.filter(pk=capacity.pk).update(trial_at=None)
        return found


@dataclass(slots=True)
class Pass:
    """One look at the queue, under the capacity gate."""

    provider: Provider
    now: datetime
    most: int
    agents: dict[int, int]
    """How many calls more each agent with a limit of its own may be on."""
    numbers: dict[str, int]
    """How many calls more each number in its first weeks may make today."""
    found: list[Call] = field(default_factory=list)

    @property
    def left(self) -> int:
        return self.most - len(self.found)


def _claim_on_some_line(this: Pass, due: QuerySet[Call], again: QuerySet[Call]) -> list[Call] | Nothing:
    lines = {*_lines_of(due), *_lines_of(again)}
    if not lines:
        return Nothing("empty", 0.2)
    soonest, now = 1.0, this.now
    for name in sorted(lines, key=lambda line: _next_slot(line, now)) if len(lines) > 1 else lines:
        if not this.left:
            break
        line = _lock_gate(GateKind.LINE, name)
        if line is None:
            soonest = min(soonest, 0.02)
            continue
        opens = max(filter(None, [line.next_slot_at, line.closed_until, breaker.open_now(line, now), now]))
        if opens > now:
            soonest = min(soonest, _seconds(opens - now))
            continue
        if not this.found and not breaker.rests(line):
            # Nor does a replay try for its line: its end may be that of the call it repeats.
            call = replay.next_wanted(again.filter(line=name), now)
            if call is not None:
                _pace(line, [call], now)
                replay.take(call, now, lease=LEASE)
                return [call]
        # A line that rested lets one call try.
        at_once = 1 if breaker.rests(line) else gate.at_once(line)
        calls = _take_allowed(due.filter(line=name), this, min(this.left, at_once))
        if calls:
            _pace(line, calls, now)
        else:
            soonest = min(soonest, 0.2)
    return this.found or Nothing("pace", soonest)


def _pace(line: Gate, calls: list[Call], now: datetime) -> None:
    """Under the line's lock: its next slot, and whether this is the call that tries."""
    line.next_slot_at = now + len(calls) * pace_interval(line)
    line.save(update_fields=["next_slot_at", *breaker.took(line, calls[0], now)])


def _lines_of(calls: QuerySet[Call]) -> QuerySet[Call, str]:
    return calls.order_by("line").values_list("line", flat=True).distinct()


def _lock_gate(kind: str, name: str) -> Gate | None:
    locked = Gate.objects.select_for_update(skip_locked=skips_locked_rows())
    row = locked.filter(kind=kind, name=name).first()
    if row is None and not Gate.objects.filter(kind=kind, name=name).exists():
        return Gate.objects.create(kind=kind, name=name)
    return row


def _next_slot(line: str, now: datetime) -> datetime:
    row = Gate.objects.filter(kind=GateKind.LINE, name=line).first()
    return (row.next_slot_at if row else None) or now


def _claimable(calls: QuerySet[Call], agents: Mapping[int, int], now: datetime) -> QuerySet[Call]:
    """These without those of a saturated agent (unless they hold its slot), and without those to somebody
    who is on the phone with us.
    """
    talking = Call.objects.filter(direction=Direction.INBOUND, status__in=OPEN).values("counterpart")
    calls = calls.exclude(counterpart__in=talking)
    saturated = [pk for pk, left in agents.items() if left <= 0]
    if not saturated:
        return calls
    return calls.exclude(Q(agent__in=saturated) & (Q(slot_until__isnull=True) | Q(slot_until__lte=now)))


def _agents_left(in_use: Mapping[int | None, int]) -> dict[int, int]:
    limited = Agent.objects.filter(max_concurrent_calls__isnull=False).order_by()
    limits = limited.values_list("pk", "max_concurrent_calls")
    return {pk: (most or 0) - in_use.get(pk, 0) for pk, most in limits}


def _in_use(now: datetime) -> dict[int | None, int]:
    """Slots that are held, by agent."""
    rows = Call.objects.holding_slot(now).values("agent").annotate(n=Count("pk")).order_by()
    return {row["agent"]: row["n"] for row in rows}


def _take_allowed(due: QuerySet[Call], this: Pass, most: int) -> list[Call]:
    """The next of a line, at most so many, taken. A bunch that turns out to hold what may not be called, or
    more than an agent or a number can take, is completed by asking again.
    """
    taken: list[Call] = []
    wrong = 0
    while len(taken) < most and wrong < HEADS_A_PASS:
        heads = _heads_of(due, most - len(taken))
        if not heads:
            break
        before = len(taken)
        for call, decision in zip(heads, recheck_many(heads, now=this.now), strict=True):
            agent, number = call.agent_id, call.our_number
            if agent in this.agents and this.agents[agent] <= 0:
                due = due.exclude(agent=agent)
            elif number in this.numbers and this.numbers[number] <= 0:
                due = due.exclude(our_number=number)
            elif _still_allowed(call, decision, this.now) and _take(call, this):
                taken.append(call)
                if agent in this.agents:
                    this.agents[agent] -= 1
                if number in this.numbers:
                    this.numbers[number] -= 1
            else:
                wrong += 1
                if len(heads) > 1 and heads[0].requested_by_id != heads[-1].requested_by_id:
                    break  # whose turn it was still has it
        # Before the queue is asked again: by these rows it tells who waits, and whose turn is next.
        Call.objects.update_each(taken[before:], TAKEN)
    return taken


def _heads_of(due: QuerySet[Call], most: int) -> list[Call]:
    """Lowest priority number; then the people whose last turns are longest ago; then what was due first.

    Of several people one call each, since then it is everybody's turn again. Locked.
    """
    top = due.order_by("priority").values_list("priority", flat=True).first()
    if top is None:
        return []
    level = due.filter(priority=top)
    people = list(level.order_by("requested_by").values_list("requested_by", flat=True).distinct())
    if len(people) == 1:
        return _first_of(level, most)
    turns = sorted(people, key=_last_turn)[:most]
    return [
        call
        for person in turns
        for call in _first_of(
            level.filter(requested_by=person)
            if person is not None
            else level.filter(requested_by__isnull=True),
            1,
        )
    ]


def _first_of(calls: QuerySet[Call], most: int) -> list[Call]:
    locked = calls.select_for_update(of=("self",), skip_locked=skips_locked_rows())
    rows = locked.select_related("lead", "agent").only(*CLAIM_READS)
    return list(rows.order_by("due_at", "requested_at")[:most])


def _last_turn(person: int | None) -> float:
    claimed = Call.objects.filter(requested_by=person, claimed_at__isnull=False).order_by("-claimed_at")
    last = claimed.values_list("claimed_at", flat=True).first()
    return last.timestamp() if last else 0.0


def _still_allowed(call: Call, decision: Decision, now: datetime) -> bool:
    if call.not_after is not None and call.not_after <= now:
        end_unplaced(call, Outcome.EXPIRED, _("Not made in time."), at=now)
        return False
    if call.cancel_requested_at is not None:
        end_unplaced(call, Outcome.CANCELED, call.cancel_reason, at=now)
        return False
    call.decision = decision.snapshot()
    if decision.verdict == Verdict.NOW:
        return True
    texts = "; ".join(reason.text for reason in decision.reasons)
    if decision.verdict == Verdict.NEVER:
        outcome = (
            Outcome.BLOCKED if any(r.code == "do_not_call" for r in decision.reasons) else Outcome.CANCELED
        )
        end_unplaced(call, outcome, texts, at=now)
    elif decision.at is None or (call.not_after is not None and decision.at > call.not_after):
        end_unplaced(call, Outcome.EXPIRED, texts, at=now)
    else:
        Call.objects.filter(pk=call.pk).update(due_at=decision.at, decision=call.decision)
    return False


def _take(call: Call, this: Pass) -> bool:
    """False: it cannot even be written down, and must not stand at the head of the queue for ever: ended."""
    try:
        carrier = provider_of(call.provider, this.provider)
        call.request_body = bytes(call.request_body or carrier.placement(order_of(call)))
    except (ValueError, TypeError, ProviderError) as error:
        end_unplaced(call, Outcome.FAILED, str(error), at=this.now)
        return False
    # Of a bunch each has its own moment: by it people's turns are told.
    claimed_at = this.now + timedelta(microseconds=len(this.found))
    call.status, call.claimed_at, call.place_token = CallStatus.DIALING, claimed_at, uuid.uuid4()
    call.lease_until = this.now + LEASE
    call.slot_until = this.now + LEASE + timedelta(seconds=settings.PROVIDER_TIMEOUT_S + 2)
    this.found.append(call)
    return True


def order_of(call: Call) -> PlaceOrder:
    agent = call.agent
    assert agent is not None or call.desk_number
    return PlaceOrder(
        call_uuid=str(call.pk),
        to_number=call.counterpart,
        from_number=call.our_number,
        provider_agent_id=agent.provider_agent_id if agent else "",
        agent_version=(agent.pinned_version or None) if agent else None,
        variables=call.variables,
        metadata=call.metadata,
        overrides=call.overrides,
        draft=AgentDraft.from_json(agent.draft) if agent and call.overrides and agent.draft else None,
        desk_number=call.desk_number,
    )


def _seconds(span: timedelta) -> float:
    return max(0.01, span.total_seconds())


def expire_overdue(*, now: datetime) -> int:
    """End what waited past its reason, also while nothing may be claimed."""
    late = Call.objects.filter(status=CallStatus.QUEUED, not_after__lte=now)
    if not late.exists():
        return 0
    with transaction.atomic():
        rows = list(late.select_for_update(of=("self",), skip_locked=skips_locked_rows())[:200])
        for call in rows:
            end_unplaced(call, Outcome.EXPIRED, _("Not made in time."), at=now)
    return len(rows)
