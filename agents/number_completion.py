"""Is a number that was set up here complete? Until then it is kept back: only tests call from it.

Whoever is called rings back, and must reach us. So it takes every step done, an agent of ours that answers,
our own address asked who is calling, a number to fall back to, and one call out and one in that were seen
here. Numbers that were never set up here are not judged: they are offered as they always were.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings

from agents import readiness
from agents.models import Agent, NumberSetup, PhoneNumber, SetupStep, StepState


def judge(row: PhoneNumber, *, now: datetime) -> None:
    """After whatever may have changed it: a step, a proof, a sync. No HTTP."""
    setup = NumberSetup.objects.filter(number=row.number).first()
    complete = setup is not None and not missing(setup, row)
    if setup is not None and complete != (setup.completed_at is not None):
        setup.completed_at = now if complete else None
        setup.save(update_fields=["completed_at"])
        if complete and setup.outbound_agent_id is not None:
            Agent.objects.filter(pk=setup.outbound_agent_id, default_caller_id=None).update(
                default_caller_id=row
            )
    held_back = setup is not None and not complete and setup.offered_at is None
    if row.held_back != held_back:
        row.held_back = held_back
        row.save(update_fields=["held_back"])


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
