"""What followed from each call of the history: a person's word, opt-outs, promises, what became of the lead.

The same rules as `calls.dispositions` keeps for calls of today, applied to calls in order of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from django.contrib.auth.models import User
from django.utils.dateparse import parse_datetime

from callcenter.demo.record import Recorded
from calls.dispositions import CALL_BACK_TIME, FOLLOW_UP_WITHIN, LEAD_STATUS
from calls.models import (
    AnsweredBy,
    Call,
    CallBack,
    Disposition,
    DoNotCall,
    Lead,
    LeadStatus,
    NextAction,
    Note,
    Outcome,
)
from calls.models.callback import CallBackState
from calls.models.do_not_call import DoNotCallSource

FOLLOWED_UP_AFTER = timedelta(days=6)
"""A person has done by then what an interested lead waited for."""
TIME_PASSED = "the time had passed"
NOTED = 0.2
"""Share of conversations somebody wrote a note about."""
NOTES: Mapping[str, tuple[str, ...]] = {
    Disposition.INTERESTED: (
        "Wants figures for the roof facing south. Send the offer before the weekend.",
        "Very friendly. Prefers email for the details.",
        "Asked whether financing is possible: send the leaflet.",
    ),
    Disposition.CONVERTED: (
        "Signed. Handed over to installation.",
        "Contract is in, invoice goes out Monday.",
    ),
    Disposition.CALL_BACK: (
        "In a meeting, ask for five minutes only.",
        "Mornings are best.",
        "Works shifts: not before ten.",
    ),
    Disposition.NOT_INTERESTED: (
        "Bought from somebody else in spring. Ask again next year.",
        "Renting, not the owner. The landlord decides.",
        "Too expensive for now.",
    ),
    Disposition.WRONG_NUMBER: ("Number belongs to somebody else. Look for the right one.",),
}


@dataclass(slots=True)
class Aftermath:
    """Rows to write once the calls are."""

    opt_outs: list[DoNotCall] = field(default_factory=list)
    call_backs: list[CallBack] = field(default_factory=list)
    notes: list[tuple[Note, datetime]] = field(default_factory=list)
    """With the moment each was written."""
    wrong: set[tuple[int, str]] = field(default_factory=set)
    """(lead, number) pairs that turned out wrong."""


def follow(
    recorded: Iterable[Recorded],
    *,
    leads: Mapping[int, Lead],
    owners: Mapping[int, User],
    now: datetime,
    luck: Random,
) -> Aftermath:
    """Walks through time. Changes calls (a person's word) and leads (status, next action) as it goes.

    `owners`: by id of the lead, whoever looks after it.
    """
    after = Aftermath()
    open_promises: dict[int, CallBack] = {}
    for each in recorded:
        call = each.call
        lead = leads.get(call.lead_id) if call.lead_id is not None else None
        if lead is None:
            continue
        by = owners[lead.pk]
        kept = open_promises.pop(lead.pk, None)
        if kept is not None:
            _keep(kept, each)
        _a_persons_word(each, by, now)
        _move(lead, call, after)
        if call.proposed_disposition == Disposition.NEVER_CALL:
            after.opt_outs.append(_opt_out(call, lead))
        elif call.meaning == Disposition.CALL_BACK and (promise := _promise(call, lead)):
            open_promises[lead.pk] = promise
            after.call_backs.append(promise)
        if call.meaning in NOTES and luck.random() < NOTED:
            said = luck.choice(NOTES[call.meaning])
            written = min((call.ended_at or call.requested_at) + timedelta(minutes=luck.randint(1, 50)), now)
            after.notes.append((Note(lead=lead, call=call, author=by, text=said), written))
    _today(leads.values(), open_promises, now)
    return after


def _keep(promise: CallBack, each: Recorded) -> None:
    """By the call that was promised, or by the person who rang before it was due; else nobody kept it."""
    if each.planned.promised or each.call.requested_at < promise.due_at:
        promise.state, promise.call = CallBackState.DONE, each.call
    else:
        promise.state, promise.note = CallBackState.MISSED, TIME_PASSED


def _a_persons_word(each: Recorded, by: User, now: datetime) -> None:
    planned, call = each.planned, each.call
    assert call.ended_at is not None
    said_at = call.ended_at + planned.said_after
    if planned.said and said_at < now:
        call.disposition, call.disposition_by, call.disposition_at = planned.said, by, said_at


def _move(lead: Lead, call: Call, after: Aftermath) -> None:
    meaning = call.meaning
    if meaning == Disposition.WRONG_NUMBER or call.outcome == Outcome.INVALID_NUMBER:
        after.wrong.add((lead.pk, call.counterpart))
        lead.status, lead.next_action = LeadStatus.UNREACHABLE, NextAction.FIX_NUMBER
        lead.next_action_at = None
    elif meaning in LEAD_STATUS:
        if call.disposition or lead.status != LeadStatus.CUSTOMER:
            lead.status = LEAD_STATUS[Disposition(meaning)]
        if meaning == Disposition.INTERESTED:
            lead.next_action = NextAction.FOLLOW_UP
            lead.next_action_at = (call.ended_at or call.requested_at) + FOLLOW_UP_WITHIN
        elif meaning != Disposition.CALL_BACK:
            lead.next_action, lead.next_action_at = NextAction.NONE, None
    elif call.answered_by == AnsweredBy.PERSON and lead.status == LeadStatus.NEW:
        lead.status = LeadStatus.CONTACTED


def _opt_out(call: Call, lead: Lead) -> DoNotCall:
    assert call.analysed_at is not None
    return DoNotCall(
        number=call.counterpart,
        reason="Asked on a call never to be called again.",
        source=DoNotCallSource.CALL,
        lead=lead,
        call=call,
        created_at=call.analysed_at,
    )


def _promise(call: Call, lead: Lead) -> CallBack | None:
    due = parse_datetime(str(call.analysis.get(CALL_BACK_TIME) or ""))
    if due is None:
        return None
    return CallBack(
        lead=lead,
        number=call.counterpart,
        agent=call.agent,
        due_at=due,
        promised_in=call,
        note=call.promise,
        state=CallBackState.OPEN,
    )


def _today(leads: Iterable[Lead], open_promises: Mapping[int, CallBack], now: datetime) -> None:
    """Promises that still lie ahead, follow-ups that are still to do; what is older was done or missed."""
    for lead in leads:
        promise = open_promises.get(lead.pk)
        if promise is not None and promise.due_at > now:
            lead.next_action, lead.next_action_at = NextAction.CALL_BACK, promise.due_at
        elif lead.next_action_at is not None and lead.next_action_at < now - FOLLOWED_UP_AFTER:
            lead.next_action, lead.next_action_at = NextAction.NONE, None
    for promise in open_promises.values():
        if promise.due_at <= now:
            promise.state, promise.note = CallBackState.MISSED, TIME_PASSED
