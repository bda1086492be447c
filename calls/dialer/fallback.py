"""What is done instead of a call that the provider will not make: by each agent's `when_refused`.

Decided only where it is certain that nobody was rung: at a definite refusal, under the claim that got it, and
of calls still in the queue whose line rests or whose agent was closed by a refusal. The call ends in the same
transaction in which its fallback is written; carried out it is by a dialer, through the doors of any call.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from agents.models import WhenRefused
from agents.providers.base import Fault
from calls.dialer import adopt
from calls.dialer.ask import BadRequest, NoCallerId, NotAllowed, OnThePhone, ask, caller_id_for, end_unplaced
from calls.dialer.promises import give_task
from calls.dialer.stops import in_force, not_stopped
from calls.eligibility import Decision, Verdict, decide, recheck
from calls.models import Call, Fallback, FallbackState, Gate, Outcome, Priority, StaffPhone, Stop, Via, hint
from calls.models.clock import database_now, skips_locked_rows
from calls.models.gate import Breaker, GateKind
from calls.models.stop import StopCause, StopScope

log = structlog.get_logger(__name__)

SOMEBODY_WAITS = (Priority.CALL_BACK, Priority.CLICK)
"""Calls that do not wait for a line to be well again. Of a batch nobody waits for each one: it goes on after
the rest."""
HEADS = 25


class NoDesk(Exception):
    """Nobody can be rung to make this call; the text says why."""


def step(*, now: datetime) -> bool:
    """One call that cannot go, and one fallback that is due. True: there may be more."""
    took = take_next_that_cannot_go(now=now)
    return carry_out_next(now=now) or took


def wanted(call: Call) -> bool:
    """Whether something is to be done instead of this call, which is locked and was certainly not made."""
    agent = call.agent
    if agent is None or call.test or call.cancel_requested_at is not None:
        return False
    return agent.when_refused != WhenRefused.NOTHING


def decide_on(call: Call, *, why: str, now: datetime) -> Fallback:
    """Inside the transaction that ends the call. The second time it is the first one's."""
    assert call.agent is not None
    made, _new = Fallback.objects.get_or_create(
        call=call,
        defaults={"wanted": call.agent.when_refused, "why": why[:300], "decided_at": now},
    )
    hint.tell("fill")
    return made


def take_next_that_cannot_go(*, now: datetime) -> bool:
    """End one call that waits for a line or an agent that does not work. True: there may be more."""
    stops = in_force()
    resting = Gate.objects.filter(kind=GateKind.LINE, breaker=Breaker.OPEN, tries_at__gt=now)
    lines = {line.name: line.breaker_reason for line in resting}
    refused = [each for each in stops if each.scope == StopScope.AGENT and each.cause == StopCause.REFUSED]
    if not lines and not refused:
        return False
    if adopt.blocks(now):
        return False
    closed = {each.agent_id: each.reason for each in refused}
    waiting = _waiting(lines, closed, [each for each in stops if each not in refused], now)
    if not waiting.exists():
        return False
    with transaction.atomic():
        locked = waiting.select_for_update(of=("self",), skip_locked=skips_locked_rows())
        at = database_now()
        for call in locked.select_related("lead", "agent").order_by("priority", "due_at")[:HEADS]:
            # What may not be called now anyway is moved or ended when it is claimed.
            if recheck(call, now=at).verdict == Verdict.NOW:
                _end(call, closed.get(call.agent_id) or lines.get(call.line, ""), at)
                return True
    return False


def _waiting(
    lines: dict[str, str], closed: dict[int | None, str], stops: Sequence[Stop], now: datetime
) -> QuerySet[Call]:
    """Due, never sent, and stopped by nothing but that."""
    blocked = Q(line__in=list(lines)) | Q(agent__in=list(closed))
    return not_stopped(Call.objects.due(now), stops).filter(
        blocked,
        agent__when_refused__in=[WhenRefused.TASK, WhenRefused.DESK],
        priority__in=SOMEBODY_WAITS,
        sent_at=None,
        cancel_requested_at=None,
        test=False,
    )


def _end(call: Call, why: str, at: datetime) -> None:
    text = _("The phone company does not make such calls now. %(why)s") % {"why": why}
    end_unplaced(call, Outcome.FAILED, text, at=at)
    Call.objects.filter(pk=call.pk).update(retry_class="no", fault=Fault.LINE, refusal=text[:500])
    decide_on(call, why=text, now=at)


def carry_out_next(*, now: datetime) -> bool:
    """One fallback that is due. True: there may be more."""
    due = Fallback.objects.filter(state=FallbackState.DUE).order_by("decided_at")
    if not due.exists():
        return False
    with transaction.atomic():
        locked = due.select_for_update(of=("self",), skip_locked=skips_locked_rows())
        row = locked.select_related("call__lead", "call__agent", "call__requested_by").first()
        if row is None:
            return False
        _carry_out(row, now=now)
    return True


def _carry_out(row: Fallback, *, now: datetime) -> None:
    """Decided anew: whoever has opted out since, or is being called, is left alone."""
    call = row.call
    decision = decide(call.lead, now=now, number=call.counterpart)
    waits = any(reason.code == "waiting" for reason in decision.reasons)
    if decision.verdict == Verdict.NEVER or waits:
        _close(row, FallbackState.LEFT, decision.reasons[0].text, now=now)
        return
    if row.wanted == WhenRefused.DESK:
        try:
            row.made = _ring_desk(call, decision, now=now)
        except (NotAllowed, OnThePhone) as no:
            _close(row, FallbackState.LEFT, str(no), now=now)
            return
        except (NoDesk, BadRequest) as problem:
            row.note = str(problem)[:300]
    if row.made is None:
        row.task = give_task(call, why=f"{row.why.rstrip('. ')}. {row.note}".strip(), now=now)
    _close(row, FallbackState.DONE, row.note, now=now)


def _close(row: Fallback, state: str, note: str, *, now: datetime) -> None:
    row.state, row.note, row.done_at = state, note[:300], now
    row.save(update_fields=["state", "note", "done_at", "made", "task"])
    log.info("fallback", call=str(row.call_id), state=state, why=row.note)


def _ring_desk(call: Call, decision: Decision, *, now: datetime) -> Call:
    """As *Call from my phone*, by whoever asked for the call. Raises NoDesk and all that `ask` does."""
    by = call.requested_by
    if by is None or not by.is_active or not by.has_perm("calls.place_call"):
        raise NoDesk(_("Nobody who may call asked for it."))
    desk = StaffPhone.objects.filter(user=by).first()
    if desk is None:
        raise NoDesk(_("Whoever asked has not said at which telephone they are to be rung."))
    if decision.verdict != Verdict.NOW:
        raise NoDesk(" ".join(reason.text for reason in decision.reasons))
    return ask(
        lead=call.lead,
        number=call.counterpart,
        agent=None,
        desk_number=desk.number,
        by=by,
        via=Via.FALLBACK,
        now=now,
        our_number=_given(call),
        decision=decision,
    ).call


def _given(call: Call) -> str:
    """'' for the number that calls from a telephone usually come from; without one the agent's."""
    try:
        caller_id_for(None)
    except NoCallerId:
        return call.our_number
    return ""
