"""Take the next call, for the thread that will place it, in one short transaction."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _

from agents.models import Agent
from agents.providers.base import PlaceOrder, Provider, ProviderError
from calls.dialer import adopt, breaker, caps, replay
from calls.dialer.account import room_of
from calls.dialer.ask import end_unplaced
from calls.dialer.gate import pace_interval
from calls.dialer.stops import in_force, not_stopped, stop_state
from calls.eligibility import Verdict, recheck
from calls.models import Call, CallStatus, Direction, Gate, Outcome
from calls.models.call_words import OPEN
from calls.models.clock import database_now, skips_locked_rows
from calls.models.gate import GateKind

LEASE = timedelta(seconds=5)
HEADS_A_PASS = 25
"""How many calls that may not be made are moved or ended in one transaction, to keep it short."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """No call was claimed. `again` (s): when it is worth asking next."""

    why: str
    again: float


def claim_next(provider: Provider) -> Call | Nothing:
    """1. The capacity gate, so that two dialers do not both take the last slot.
    2. The stop, the account, the capacity itself and the day's limits. A replay may go on in the slot its
       call still holds, and was counted when it was first sent.
    3. Each line with due calls whose pace and breaker let one go: its gate, then its next call.
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
        if capacity.account_problem and (capacity.trial_at is None or capacity.trial_at > now):
            return Nothing("account_problem", 0.5)
        if capacity.account_problem:
            # The one call that tries is a fresh one: a "no" to a replay says nothing.
            replays = False
        room = Call.objects.holding_slot(now).count() < room_of(capacity, now=now).most
        if not room and not replays:
            return Nothing("capacity", 0.1)
        spent = caps.reached(capacity, now)
        if spent and not replays:
            return Nothing("daily_cap", 0.5)
        fresh = Call.objects.due(now) if room and not spent else Call.objects.none()
        due = _claimable(not_stopped(fresh, stops), now)
        again = _claimable(not_stopped(replay.wanted(now), stops), now) if replays else Call.objects.none()
        found = _claim_on_some_line(provider, now, due, again if room else again.filter(slot_until__gt=now))
        if isinstance(found, Call) and found.sent_at is None:
            caps.count(capacity)
        if capacity.account_problem and isinstance(found, Call):
            # One call tries; the next only when this one has passed, or another probe has.
            Gate.objects.filter(pk=capacity.pk).update(trial_at=None)
        return found


def _claim_on_some_line(
    provider: Provider, now: datetime, due: QuerySet[Call], again: QuerySet[Call]
) -> Call | Nothing:
    lines = {*_lines_of(due), *_lines_of(again)}
    if not lines:
        return Nothing("empty", 0.2)
    soonest = 1.0
    for name in sorted(lines, key=lambda line: _next_slot(line, now)):
        line = _lock_gate(GateKind.LINE, name)
        if line is None:
            soonest = min(soonest, 0.02)
            continue
        opens = max(filter(None, [line.next_slot_at, line.closed_until, breaker.open_now(line, now), now]))
        if opens > now:
            soonest = min(soonest, _seconds(opens - now))
            continue
        # Nor does a replay try for its line: its end may be that of the call it repeats.
        call = replay.next_wanted(again.filter(line=name), now) if not breaker.rests(line) else None
        if call is not None:
            _pace(line, call, now)
            replay.take(call, now, lease=LEASE)
            return call
        call = _next_allowed(due.filter(line=name), now)
        if call is None:
            soonest = min(soonest, 0.2)
            continue
        try:
            body = call.request_body or provider.placement(order_of(call))
        except (ValueError, TypeError, ProviderError) as error:
            # One call that cannot even be written down must not stand at the head of the queue for ever.
            end_unplaced(call, Outcome.FAILED, str(error), at=now)
            return Nothing("again", 0.01)
        _pace(line, call, now)
        _take(call, bytes(body), now)
        return call
    return Nothing("pace", soonest)


def _pace(line: Gate, call: Call, now: datetime) -> None:
    """Under the line's lock: its next slot, and whether this is the call that tries."""
    line.next_slot_at = now + pace_interval(line)
    line.save(update_fields=["next_slot_at", *breaker.took(line, call, now)])


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


def _claimable(calls: QuerySet[Call], now: datetime) -> QuerySet[Call]:
    """These without those of a saturated agent (unless they hold its slot), and without those to somebody
    who is on the phone with us.
    """
    in_use = _in_use(now)
    limited = Agent.objects.filter(max_concurrent_calls__isnull=False).values_list(
        "pk", "max_concurrent_calls"
    )
    saturated = [pk for pk, most in limited if in_use.get(pk, 0) >= (most or 0)]
    talking = Call.objects.filter(direction=Direction.INBOUND, status__in=OPEN).values("counterpart")
    full = Q(agent__in=saturated) & (Q(slot_until__isnull=True) | Q(slot_until__lte=now))
    return calls.exclude(full).exclude(counterpart__in=talking)


def _in_use(now: datetime) -> dict[int, int]:
    rows = Call.objects.holding_slot(now).values("agent").annotate(n=Count("pk")).order_by()
    return {row["agent"]: row["n"] for row in rows}


def _next_allowed(due: QuerySet[Call], now: datetime) -> Call | None:
    for _head in range(HEADS_A_PASS):
        call = _head_of(due)
        if call is None:
            return None
        if _still_allowed(call, now):
            return call
    return None


def _head_of(due: QuerySet[Call]) -> Call | None:
    """Lowest priority number; then the person whose last turn is longest ago; then what was due first."""
    top = due.order_by("priority").values_list("priority", flat=True).first()
    if top is None:
        return None
    level = due.filter(priority=top)
    people = list(level.order_by("requested_by").values_list("requested_by", flat=True).distinct())
    person = min(people, key=_last_turn) if len(people) > 1 else people[0]
    mine = (
        level.filter(requested_by=person) if person is not None else level.filter(requested_by__isnull=True)
    )
    return (
        mine.select_for_update(of=("self",), skip_locked=skips_locked_rows())
        .select_related("lead", "agent")
        .order_by("due_at", "requested_at")
        .first()
    )


def _last_turn(person: int | None) -> float:
    claimed = Call.objects.filter(requested_by=person, claimed_at__isnull=False).order_by("-claimed_at")
    last = claimed.values_list("claimed_at", flat=True).first()
    return last.timestamp() if last else 0.0


def _still_allowed(call: Call, now: datetime) -> bool:
    if call.not_after is not None and call.not_after <= now:
        end_unplaced(call, Outcome.EXPIRED, _("Not made in time."), at=now)
        return False
    if call.cancel_requested_at is not None:
        end_unplaced(call, Outcome.CANCELED, call.cancel_reason, at=now)
        return False
    decision = recheck(call, now=now)
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


def _take(call: Call, body: bytes, now: datetime) -> None:
    call.status, call.claimed_at, call.place_token = CallStatus.DIALING, now, uuid.uuid4()
    call.lease_until = now + LEASE
    call.slot_until = now + LEASE + timedelta(seconds=settings.PROVIDER_TIMEOUT_S + 2)
    call.request_body = body
    call.save(
        update_fields=[
            "status", "claimed_at", "place_token", "lease_until", "slot_until", "request_body", "decision",
        ]
    )  # fmt: skip


def order_of(call: Call) -> PlaceOrder:
    assert call.agent is not None
    return PlaceOrder(
        call_uuid=str(call.pk),
        to_number=call.counterpart,
        from_number=call.our_number,
        provider_agent_id=call.agent.provider_agent_id,
        agent_version=call.agent.pinned_version or None,
        variables=call.variables,
        metadata=call.metadata,
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
