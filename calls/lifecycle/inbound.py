"""People ring back: who is calling, which agent answers, and what it may know."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from agents import variables as supplied
from agents.models import Agent, PhoneNumber
from agents.providers.base import InboundAsk, InboundReply
from calls.call_id import new_call_id
from calls.eligibility import hours
from calls.lifecycle import schedule
from calls.models import Call, CallBack, CallStatus, Direction, Lead, Priority
from calls.models.call_words import DESK_LINE, DESK_PROVIDER
from calls.models.callback import CallBackState


@dataclass(frozen=True, slots=True)
class Caller:
    """The one person this number belongs to, or nobody: two matches are nobody."""

    lead: Lead | None
    last_call: Call | None


def who_is(number: str) -> Caller:
    """A person who rings from another of their phones is the one we called; a withheld number is nobody."""
    if not number:
        return Caller(None, None)
    leads = list(Lead.objects.filter(phones__number=number).distinct()[:2])
    lead = leads[0] if len(leads) == 1 else None
    theirs = Q(counterpart=number)
    if lead is not None:
        theirs |= Q(lead=lead, test=False)
    last = (
        Call.objects.outbound()
        .filter(theirs, sent_at__isnull=False)
        .select_related("agent")
        .order_by("-requested_at")
        .first()
    )
    return Caller(lead, last)


def answer_inbound(ask: InboundAsk, *, now: datetime) -> InboundReply:
    """One transaction: what is read, and one row keyed by the inbound call's id; a retry gets the same.

    Everything empty when the number is not ours: whoever owns it decides.
    """
    with transaction.atomic():
        return _answered(ask, now)


def _answered(ask: InboundAsk, now: datetime) -> InboundReply:
    if ask.provider_call_id:
        known = Call.objects.select_related("agent").filter(provider_call_id=ask.provider_call_id).first()
        if known is not None:
            return _reply(known)
    ours = PhoneNumber.objects.select_related("inbound_agent").filter(number=ask.to_number).first()
    if ours is None:
        return InboundReply()
    if not ask.provider_call_id:
        # Nothing to key a row by: the call's first event makes it, under the id given here.
        return _reply(_inbound_call(ask.from_number, ours, "", new_call_id(), "", now))
    call = new_inbound_call(
        counterpart=ask.from_number,
        ours=ours,
        provider_call_id=ask.provider_call_id,
        call_uuid=None,
        provider_agent_id=ask.provider_agent_id or "",
        now=now,
    )
    return _reply(call)


def _reply(call: Call) -> InboundReply:
    agent = call.agent
    return InboundReply(
        provider_agent_id=agent.provider_agent_id if agent else None,
        agent_version=(agent.pinned_version or None) if agent else None,
        variables=call.variables,
        metadata={"call_uuid": str(call.pk)},
    )


def new_inbound_call(
    *,
    counterpart: str,
    ours: PhoneNumber,
    provider_call_id: str,
    call_uuid: uuid.UUID | None,
    provider_agent_id: str,
    now: datetime,
) -> Call:
    """The row of an inbound call; the one that exists when two deliveries race for it.

    `counterpart`: E.164, or '' when the caller withholds it.
    """
    return _saved(
        _inbound_call(counterpart, ours, provider_call_id, call_uuid or new_call_id(), provider_agent_id, now)
    )


def new_menu_call(*, counterpart: str, our_number: str, provider_call_id: str, now: datetime) -> Call:
    """As `new_inbound_call`, of somebody who rang a number that asks us what they shall hear: no AI agent has
    answered, and our number need not be known here.
    """
    caller = who_is(counterpart)
    local = hours.local_times(caller.lead, counterpart, now) if counterpart else []
    return _saved(
        Call(
            direction=Direction.INBOUND,
            lead=caller.lead,
            counterpart=counterpart,
            our_number=our_number,
            line=DESK_LINE,
            provider=DESK_PROVIDER,
            provider_call_id=provider_call_id,
            requested_at=now,
            status=CallStatus.PLACED,
            slot_until=now + schedule.SLOT_AFTER_PLACING,
            next_look_at=now + schedule.quiet_after(0),
            local_hour=local[0][1].hour if local else None,
            local_weekday=local[0][1].weekday() if local else None,
        )
    )


def _saved(call: Call) -> Call:
    """Or the one that another delivery has made of the same call."""
    try:
        with transaction.atomic():
            call.save(force_insert=True)
    except IntegrityError:
        known = Call.objects.select_related("agent", "lead")
        return known.get(provider_call_id=call.provider_call_id, provider=call.provider)
    return call


def _inbound_call(
    counterpart: str,
    ours: PhoneNumber,
    provider_call_id: str,
    pk: uuid.UUID,
    provider_agent_id: str,
    now: datetime,
) -> Call:
    caller = who_is(counterpart)
    last = caller.last_call
    speaking = (
        Agent.objects.filter(provider_agent_id=provider_agent_id).first() if provider_agent_id else None
    )
    last_agent = last.agent if last is not None and last.agent is not None and last.agent.active else None
    agent = last_agent or ours.inbound_agent or speaking
    local = hours.local_times(caller.lead, counterpart, now) if counterpart else []
    return Call(
        pk=pk,
        direction=Direction.INBOUND,
        lead=caller.lead,
        agent=agent,
        counterpart=counterpart,
        our_number=ours.number,
        line=ours.line,
        priority=Priority.CLICK,
        requested_at=now,
        status=CallStatus.PLACED,
        slot_until=now + schedule.SLOT_AFTER_PLACING,
        next_look_at=now + schedule.quiet_after(0),
        provider=ours.provider,
        provider_call_id=provider_call_id,
        variables=supplied.values_for(_context(caller), agent=agent),
        local_hour=local[0][1].hour if local else None,
        local_weekday=local[0][1].weekday() if local else None,
    )


def _context(caller: Caller) -> dict[str, str]:
    """What the agent may say: only of exactly one matching person."""
    lead, last = caller.lead, caller.last_call
    if lead is None:
        return {"caller_known": "false"}
    summary = (
        Call.objects.filter(lead=lead, status=CallStatus.ENDED, test=False)
        .exclude(summary="")
        .order_by("-requested_at")
        .values_list("summary", flat=True)
        .first()
    )
    promise = CallBack.objects.filter(lead=lead, state=CallBackState.OPEN).order_by("due_at").first()
    return {
        "caller_known": "true",
        "name": lead.spoken_name,
        "first_name": lead.first_name,
        "company": lead.company,
        "time_zone": lead.time_zone,
        "last_call_summary": summary or "",
        "reason_we_called": lead.reason or (last.variables.get("reason_we_called", "") if last else ""),
        "open_promise": (
            _("We promised to call back at %(when)s.")
            % {"when": promise.due_at.strftime("%Y-%m-%d %H:%M UTC")}
            if promise
            else ""
        ),
    }
