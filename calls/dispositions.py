"""WHAT did it mean, and what follows? Analysis proposes, a person's word wins.

Do-not-call is never undone from here, whoever says what later.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive
from django.utils.translation import gettext as _

from calls.dialer.promises import give_task, promise
from calls.eligibility import hours, opt_out
from calls.models import (
    AnsweredBy,
    Call,
    CallBack,
    CallStatus,
    Direction,
    Disposition,
    Lead,
    LeadPhone,
    LeadStatus,
    NextAction,
    Outcome,
    PhoneState,
)
from calls.models.call_words import DESK_PROVIDER
from calls.models.callback import CallBackState
from calls.models.do_not_call import DoNotCallSource
from calls.models.together import update_each

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# Names of the analysis fields that the readiness card asks every agent to have.
DO_NOT_CALL = "do_not_call"
CALL_BACK_TIME = "callback_time"
INTERESTED = "interested"
WRONG_NUMBER = "wrong_number"
CONVERTED = "converted"
FURTHEST_PROMISE = timedelta(days=90)
FOLLOW_UP_WITHIN = timedelta(days=1)

LEAD_STATUS = {
    Disposition.INTERESTED: LeadStatus.INTERESTED,
    Disposition.CONVERTED: LeadStatus.CUSTOMER,
    Disposition.NOT_INTERESTED: LeadStatus.NOT_INTERESTED,
    Disposition.NEVER_CALL: LeadStatus.NOT_INTERESTED,
    Disposition.CALL_BACK: LeadStatus.CONTACTED,
    Disposition.WRONG_NUMBER: LeadStatus.UNREACHABLE,
}


def _said(call: Call, field: str) -> bool:
    value = call.analysis.get(field)
    return value is True or str(value).strip().lower() in {"true", "yes"}


def proposed(call: Call, *, opted_out: bool = False, asked_call_back: bool = False) -> str:
    """What the call's own columns say it meant; '' while it is not over."""
    if call.status != CallStatus.ENDED:
        return ""
    if opted_out or _said(call, DO_NOT_CALL):
        return Disposition.NEVER_CALL
    if _said(call, WRONG_NUMBER):
        return Disposition.WRONG_NUMBER
    if _left_a_message(call) and not call.counterpart:
        return Disposition.REVIEW
    if call.answered_by != AnsweredBy.PERSON:
        return Disposition.REVIEW if call.outcome == Outcome.UNKNOWN else Disposition.NO_CONTACT
    if _said(call, CONVERTED):
        return Disposition.CONVERTED
    if asked_call_back or call.analysis.get(CALL_BACK_TIME):
        return Disposition.CALL_BACK
    if _said(call, INTERESTED):
        return Disposition.INTERESTED
    if INTERESTED in call.analysis:
        return Disposition.NOT_INTERESTED
    return ""


def _left_a_message(call: Call) -> bool:
    """With us, in a menu: not we with them."""
    return (
        call.direction == Direction.INBOUND
        and call.provider == DESK_PROVIDER
        and call.outcome == Outcome.VOICEMAIL
    )


def follow_through(calls: Sequence[Call], *, now: datetime) -> None:
    """What the analyses of ended calls lead to. Repeating it changes nothing more.

    A test call leads to nothing but an opt-out; a withheld number can be neither blocked nor called back.
    """
    # First of all, since it locks other calls: whoever has one of those may wait for a lead of ours.
    for call in calls:
        if call.proposed_disposition == Disposition.NEVER_CALL and call.counterpart:
            opt_out(
                call.counterpart,
                reason=_("Asked on a call never to be called again."),
                source=DoNotCallSource.CALL,
                now=now,
                lead=call.lead,
                call=call,
            )
    CallBack.objects.filter(call__in=calls, state=CallBackState.QUEUED).update(state=CallBackState.DONE)
    real = [call for call in calls if not call.test]
    _move_leads([call for call in real if not call.disposition], now=now)
    for call in real:
        if call.meaning == Disposition.CALL_BACK and call.counterpart:
            _promise(call, now=now)
        if _left_a_message(call) and call.counterpart:
            give_task(call, why=_("Left a message in our telephone menu: listen to it."), now=now)


def _promise(call: Call, *, now: datetime) -> None:
    at = call_back_time(call, now=now)
    if at is not None:
        promise(
            call.lead,
            number=call.counterpart,
            at=at,
            agent=call.agent,
            now=now,
            call=call,
            note=call.promise or _("Asked to be called back."),
        )


def call_back_time(call: Call, *, now: datetime) -> datetime | None:
    """The promised moment, aware; local times are the callee's. None when nothing usable was said."""
    try:
        at = parse_datetime(str(call.analysis.get(CALL_BACK_TIME) or "").strip())
    except ValueError:
        return None
    if at is None:
        return None
    if is_naive(at):
        places, _source = hours.zones(call.lead, call.counterpart)
        if not places:
            return None
        at = at.replace(tzinfo=ZoneInfo(places[0]))
    return at if now < at <= now + FURTHEST_PROMISE else None


def set_disposition(call: Call, disposition: str, *, by: User, now: datetime) -> None:
    """A person says what the call meant; what follows is done. Raises ValueError for an unknown word."""
    if disposition not in Disposition.values:
        raise ValueError(f"unknown disposition: {disposition}")
    with transaction.atomic():
        locked = Call.objects.select_for_update(of=("self",)).select_related("lead").get(pk=call.pk)
        Call.objects.filter(pk=call.pk).update(disposition=disposition, disposition_by=by, disposition_at=now)
        locked.disposition = disposition
        if disposition == Disposition.NEVER_CALL and locked.counterpart:
            opt_out(
                locked.counterpart,
                reason=_("Marked by staff after a call."),
                source=DoNotCallSource.STAFF,
                now=now,
                by=by,
                lead=locked.lead,
            )
        if locked.lead_id is not None:
            _move_leads([locked], now=now, by_person=True)
    call.disposition, call.disposition_by_id, call.disposition_at = disposition, by.pk, now


def _move_leads(calls: Sequence[Call], *, now: datetime, by_person: bool = False) -> None:
    # Read anew: what somebody has written since must not be overwritten by an older reading.
    rows = Lead.objects.filter(pk__in=[call.lead_id for call in calls if call.lead_id is not None])
    leads = {lead.pk: lead for lead in rows.order_by("pk").select_for_update(no_key=True)}
    before = {pk: _state(lead) for pk, lead in leads.items()}
    for call in calls:
        lead = leads.get(call.lead_id or 0)
        if lead is not None:
            _move(lead, call, now=now, by_person=by_person)
    moved = [lead for lead in leads.values() if _state(lead) != before[lead.pk]]
    update_each(moved, ["status", "next_action", "next_action_at"])


def _state(lead: Lead) -> tuple[str, str, datetime | None]:
    return lead.status, lead.next_action, lead.next_action_at


def _move(lead: Lead, call: Call, *, now: datetime, by_person: bool) -> None:
    meaning = call.meaning
    if meaning == Disposition.WRONG_NUMBER or (by_person is False and call.outcome == Outcome.INVALID_NUMBER):
        LeadPhone.objects.filter(lead=lead, number=call.counterpart).update(state=PhoneState.WRONG)
        fine = LeadPhone.objects.filter(lead=lead, state=PhoneState.VALID).exists()
        lead.next_action = NextAction.CALL if fine else NextAction.FIX_NUMBER
        lead.next_action_at = None
        if not fine:
            lead.status = LeadStatus.UNREACHABLE
    elif meaning in LEAD_STATUS:
        # A customer stays one, whatever an analysis makes of a later call.
        if by_person or lead.status != LeadStatus.CUSTOMER:
            lead.status = LEAD_STATUS[Disposition(meaning)]
        if meaning == Disposition.INTERESTED:
            lead.next_action, lead.next_action_at = NextAction.FOLLOW_UP, now + FOLLOW_UP_WITHIN
        elif meaning != Disposition.CALL_BACK:
            lead.next_action, lead.next_action_at = NextAction.NONE, None
    elif call.answered_by == AnsweredBy.PERSON and lead.status == LeadStatus.NEW:
        lead.status = LeadStatus.CONTACTED
