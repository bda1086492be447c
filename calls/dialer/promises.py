"""Promised call-backs: due dates on rows of their own, turned into calls minutes before. Tasks stand beside
them: what a person is to do."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from agents.models import Agent
from calls.dialer.ask import PROMISE_LASTS, BadRequest, NotAllowed, OnThePhone, ask
from calls.eligibility.do_not_call import DROPPED
from calls.models import (
    Call,
    CallBack,
    CallBackKind,
    CallStatus,
    DoNotCall,
    Lead,
    NextAction,
    Priority,
    Via,
)
from calls.models.callback import CallBackState
from calls.models.clock import skips_locked_rows

if TYPE_CHECKING:
    from django.contrib.auth.models import User

QUEUE_BEFORE = timedelta(minutes=5)


def promise(
    lead: Lead | None,
    *,
    number: str,
    at: datetime,
    agent: Agent | None,
    now: datetime,
    by: User | None = None,
    call: Call | None = None,
    note: str = "",
) -> CallBack:
    """Write down that we call `number` back at `at`. One call promises once, however often read.

    Where the number is never to be called it is dropped at once: the same rows whichever was heard first.
    """
    values: dict[str, Any] = {
        "lead": lead,
        "number": number,
        "due_at": at,
        "agent": agent,
        "promised_by_id": by.pk if by else None,
        "note": note[:300],
    }
    if DoNotCall.objects.in_force().filter(number=number).exists():
        values |= DROPPED
    if call is not None:
        made, _new = CallBack.objects.get_or_create(promised_in=call, defaults=values)
    else:
        made = CallBack.objects.create(**values)
    if lead is not None and made.state == CallBackState.OPEN:
        Lead.objects.filter(pk=lead.pk).update(next_action=NextAction.CALL_BACK, next_action_at=made.due_at)
    return made


def give_task(call: Call, *, why: str, now: datetime) -> CallBack:
    """A person is to see to whoever this call is with. One call gives one task, however often asked."""
    made, _new = CallBack.objects.get_or_create(
        promised_in=call,
        defaults={
            "kind": CallBackKind.TASK,
            "lead": call.lead,
            "number": call.counterpart,
            "due_at": now,
            "promised_by_id": call.requested_by_id,
            "note": why[:300],
        },
    )
    if made.is_task and made.state == CallBackState.OPEN:
        Lead.objects.filter(pk=call.lead_id or 0).update(
            next_action=NextAction.FOLLOW_UP, next_action_at=made.due_at
        )
    return made


def finish_task(task: CallBack, *, by: User | None, now: datetime) -> bool:
    """A person has seen to it. False: it is no task, or not open any more."""
    open_task = CallBack.objects.filter(pk=task.pk, kind=CallBackKind.TASK, state=CallBackState.OPEN)
    who = by.get_username() if by else _("another system")
    note = f"{task.note} {_('Done by %(who)s.') % {'who': who}}".strip()
    if not open_task.update(state=CallBackState.DONE, note=note[-300:]):
        return False
    _plan_anew(task, now=None)
    return True


def drop_promise(call_back: CallBack, *, by: User | None, now: datetime) -> None:
    CallBack.objects.filter(pk=call_back.pk, state=CallBackState.OPEN).update(
        state=CallBackState.DROPPED,
        note=(_("Dropped by %(who)s.") % {"who": by.get_username()}) if by else _("Dropped."),
    )
    _plan_anew(call_back, now=None)


def queue_next_promise(*, now: datetime) -> bool:
    """Turn one promise that is about to be due into a call. True: there may be more."""
    promises = CallBack.objects.filter(kind=CallBackKind.PROMISE, state=CallBackState.OPEN)
    nearly_due = promises.filter(due_at__lte=now + QUEUE_BEFORE).order_by("due_at")
    if not nearly_due.exists():
        return False
    try:
        with transaction.atomic():
            due = (
                nearly_due.select_for_update(of=("self",), skip_locked=skips_locked_rows())
                .select_related("lead", "agent")
                .first()
            )
            if due is None:
                return False
            _queue(due, now=now)
    except IntegrityError:
        return True
    return True


def _queue(due: CallBack, *, now: datetime) -> None:
    lapses = due.due_at + PROMISE_LASTS
    if due.agent is None or now > lapses:
        _close(
            due,
            CallBackState.MISSED,
            _("There was no AI agent to call.") if due.agent is None else _("The time had passed."),
            now=now,
        )
        return
    try:
        due.call = ask(
            lead=due.lead,
            number=due.number,
            agent=due.agent,
            via=Via.CALL_BACK,
            now=now,
            due_at=due.due_at,
            not_after=lapses,
            priority=Priority.CALL_BACK,
        ).call
    except NotAllowed as refusal:
        _close(due, CallBackState.MISSED, str(refusal), now=now, may_follow_up=False)
    except OnThePhone:
        _close(due, CallBackState.DONE, _("On the phone with us already."), now=now)
    except BadRequest as problem:
        _close(due, CallBackState.MISSED, str(problem), now=now)
    else:
        due.state = CallBackState.QUEUED
        due.save(update_fields=["state", "call"])


def _close(due: CallBack, state: str, note: str, *, now: datetime, may_follow_up: bool = True) -> None:
    due.state, due.note = state, note[:300]
    due.save(update_fields=["state", "note"])
    _plan_anew(due, now=now if state == CallBackState.MISSED and may_follow_up else None)


def _plan_anew(due: CallBack, *, now: datetime | None) -> None:
    """The lead's next action was this promise or task: now a person's follow-up, due at `now`; nothing
    without it.
    """
    planned = NextAction.FOLLOW_UP if due.is_task else NextAction.CALL_BACK
    Lead.objects.filter(pk=due.lead_id or 0, next_action=planned, next_action_at=due.due_at).update(
        next_action=NextAction.FOLLOW_UP if now else NextAction.NONE, next_action_at=now
    )


def miss_unplaced(*, now: datetime) -> int:
    """Promises whose call ended without ever going out: expired, cancelled. Returns how many.

    A call that went out has closed its promise in the transaction that ended it.
    """
    missed = CallBack.objects.filter(state=CallBackState.QUEUED, call__status=CallStatus.ENDED)
    found = list(missed.select_related("call"))
    for due in found:
        evidence = due.call.outcome_evidence if due.call else ""
        with transaction.atomic():
            if missed.filter(pk=due.pk).update(state=CallBackState.MISSED, note=evidence[:300]):
                _plan_anew(due, now=now)
    return len(found)
