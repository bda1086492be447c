"""The batches of the history: what a salesperson had selected, whom it called and whom it did not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from django.contrib.auth.models import User

from agents.models import Agent, PhoneNumber
from agents.phone import pretty
from callcenter.demo.history import CALLERS, Gone, Planned, PlannedBatch, Refused
from calls.dialer.batches import UNDO
from calls.models import CallBatch, Lead
from calls.models.batch import BatchState

ASKED_ON_A_CALL = "Asked on a call never to be called again."


def make(
    calls: Sequence[Planned],
    *,
    leads: Mapping[str, Lead],
    staff: Mapping[str, User],
    agents: Mapping[str, Agent],
    lines: Mapping[str, PhoneNumber],
) -> dict[PlannedBatch, CallBatch]:
    """Their rows, all of them over. `leads` by first number, `agents` by the key of the network's agent."""
    members: defaultdict[PlannedBatch, list[Lead]] = defaultdict(list)
    for call in calls:
        if call.batch is not None and call.person is not None:
            members[call.batch].append(leads[call.person.number])
    made = {}
    for planned, called in members.items():
        refused = [(leads[each.number], each) for each in planned.refused]
        ids = [lead.pk for lead in called] + [lead.pk for lead, _ in refused]
        made[planned] = CallBatch(
            created_by=staff[planned.by],
            selection={"ids": ids},
            agent=agents[planned.agent],
            caller_id=lines[CALLERS[planned.agent].our_number],
            state=BatchState.DONE,
            started_at=planned.started,
            undo_until=planned.started + UNDO,
            filled_to=len(ids),
            refused=[{"lead": lead.pk, "code": str(each.why), "text": _said(each)} for lead, each in refused],
        )
    CallBatch.objects.bulk_create(made.values())
    for planned, batch in made.items():
        batch.created_at = planned.started
    CallBatch.objects.bulk_update(made.values(), ["created_at"])
    return made


def _said(refused: Refused) -> str:
    """As `calls.eligibility` says it."""
    if refused.why is Gone.DO_NOT_CALL:
        return f"On the do-not-call list since {refused.since.isoformat()}: {ASKED_ON_A_CALL}"
    return f"{pretty(refused.number)} was marked as wrong."
