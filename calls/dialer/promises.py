"""Promised call-backs: due dates on rows of their own, turned into calls minutes before."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import Q

from agents.models import Agent
from calls.dialer.ask import PROMISE_LASTS, BadRequest, NotAllowed, OnThePhone, ask
from calls.models import Call, CallBack, Lead, NextAction, Priority, Via
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
    """Write down that we call `number` back at `at`. One call promises once, however often read."""
    values = {
        "lead": lead,
        "number": number,
        "due_at": at,
        "agent": agent,
        "promised_by_id": by.pk if by else None,
    }
    if call is not None:
        made, _new = CallBack.objects.get_or_create(promised_in=call, defaults={**values, "note": note[:300]})
    else:
        made = CallBack.objects.create(**values, note=note[:300])
    if lead is not None and made.state == CallBackState.OPEN:
        Lead.objects.filter(pk=lead.pk).update(next_action=NextAction.CALL_BACK, next_action_at=made.due_at)
    return made


def drop_promise(call_back: CallBack, *, by: User | None, now: datetime) -> None:
    CallBack.objects.filter(pk=call_back.pk, state=CallBackState.OPEN).update(
        state=CallBackState.DROPPED, note=f"dropped by {by.get_username()}" if by else "dropped"
    )
    if call_back.lead_id:
        Lead.objects.filter(
            Q(pk=call_back.lead_id, next_action=NextAction.CALL_BACK, next_action_at=call_back.due_at)
        ).update(next_action=NextAction.NONE, next_action_at=None)


def queue_next_promise(*, now: datetime) -> bool:
    """Turn one promise that is about to be due into a call. True: there may be more."""
    nearly_due = CallBack.objects.filter(state=CallBackState.OPEN, due_at__lte=now + QUEUE_BEFORE).order_by(
        "due_at"
    )
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
        _close(due, CallBackState.MISSED, "nobody to call" if due.agent is None else "the time had passed")
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
        _close(due, CallBackState.MISSED, str(refusal))
    except OnThePhone:
        _close(due, CallBackState.DONE, "on the phone already")
    except BadRequest as problem:
        _close(due, CallBackState.MISSED, str(problem))
    else:
        due.state = CallBackState.QUEUED
        due.save(update_fields=["state", "call"])


def _close(due: CallBack, state: str, note: str) -> None:
    due.state, due.note = state, note[:300]
    due.save(update_fields=["state", "note"])
