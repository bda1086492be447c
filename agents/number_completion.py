"""May people be called from a number? Only if they can ring it back; until then tests alone call from it.

A number that was set up here is complete when every step is done, an agent of ours answers, we are asked who
is calling, there is a number to fall back to, and one call out and one in were seen here. Of a number that
the phone company told us of, less is known: it is kept back where nobody at all would answer. One that was
added by hand is not judged. An administrator offers any of them all the same, with a reason.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings

from agents import readiness
from agents.models import Agent, NumberSetup, PhoneNumber, SetupStep, StepState


def judge(row: PhoneNumber, *, now: datetime) -> None:
    """After whatever may have changed it: a step, a proof, a sync, a word of an administrator. No HTTP."""
    setup = NumberSetup.objects.filter(number=row.number).first()
    complete = setup is not None and not missing(setup, row)
    if setup is not None and complete != (setup.completed_at is not None):
        setup.completed_at = now if complete else None
        setup.save(update_fields=["completed_at"])
        if complete and setup.outbound_agent_id is not None:
            Agent.objects.filter(pk=setup.outbound_agent_id, default_caller_id=None).update(
                default_caller_id=row
            )
    in_vain = nobody_answers(row) if setup is None else not complete
    held_back = in_vain and row.offered_at is None
    if row.held_back != held_back:
        row.held_back = held_back
        row.save(update_fields=["held_back"])


def nobody_answers(row: PhoneNumber) -> bool:
    """As the phone company last told: no agent of ours, and nobody else who is asked for one.

    Asked ourselves we name the agent that answers, and there is none.
    """
    if row.last_synced_at is None or row.inbound_agent_id is not None:
        return False
    return not row.inbound_webhook_url or readiness.same_address(
        row.inbound_webhook_url, readiness.our_inbound_webhook(settings.PUBLIC_BASE_URL)
    )


def offer(row: PhoneNumber, *, reason: str, by: Any, now: datetime) -> None:
    """As caller ID although nobody may answer; an empty reason takes that back."""
    row.offered_reason = reason.strip()[:300]
    row.offered_at, row.offered_by = (now, by) if row.offered_reason else (None, None)
    row.save(update_fields=["offered_reason", "offered_at", "offered_by"])
    judge(row, now=now)


def missing(setup: NumberSetup, row: PhoneNumber) -> list[str]:
    """What it still takes: names of `SetupStep`, or of what Retell no longer has."""
    undone = setup.steps.exclude(state=StepState.DONE).exclude(step=SetupStep.PROOF)
    found = [step for step in SetupStep.values if step in set(undone.values_list("step", flat=True))]
    ours = readiness.our_inbound_webhook(settings.PUBLIC_BASE_URL)
    if row.inbound_agent_id is None:
        found.append("inbound_agent")
    if not ours or not readiness.same_address(row.inbound_webhook_url, ours):
        found.append("inbound_webhook")
    if not row.fallback_number:
        found.append("fallback_number")
    if setup.called_out_at is None:
        found.append("called_out")
    if setup.called_in_at is None:
        found.append("called_in")
    return found
