"""A call is asked for: decided, and queued, adopted or refused with every reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from agents import overriding
from agents import variables as supplied
from agents.models import Agent, PhoneNumber
from agents.providers.abilities import Ability
from agents.providers.base import NotOffered
from agents.providers.registry import can
from calls.dialer.caller_id import line_of, usual_number
from calls.eligibility import Decision, Reason, Verdict, decide
from calls.models import (
    ApiKey,
    Call,
    CallBatch,
    CallRequest,
    CallStatus,
    Direction,
    DoNotCall,
    Lead,
    LeadPhone,
    Outcome,
    Priority,
    Via,
    hint,
)
from calls.models.call_words import ACTIVE, DESK_LINE, DESK_PROVIDER
from calls.models.clock import database_now

if TYPE_CHECKING:
    from django.contrib.auth.models import User

CLICK_LASTS = timedelta(minutes=10)
PROMISE_LASTS = timedelta(minutes=30)
MAX_VARIABLES = 100


class BadRequest(ValueError):
    """An argument that makes no sense; the text says what to do."""


class NoCallerId(BadRequest):
    """There is no number of ours to call from, or the given one is not ours."""


class BadOverride(BadRequest):
    """A value that this call's agent cannot have."""


class NotAllowed(Exception):
    """The person may never be called as asked; `decision.reasons` says why."""

    def __init__(self, decision: Decision) -> None:
        super().__init__("; ".join(reason.text for reason in decision.reasons))
        self.decision = decision

    @property
    def reasons(self) -> tuple[Reason, ...]:
        return self.decision.reasons


class CallingStopped(Exception):
    """A stop covers the call, and who asked does not want it to wait."""

    def __init__(self, reasons: tuple[Reason, ...]) -> None:
        super().__init__(" ".join(reason.text for reason in reasons))
        self.reasons = reasons


class OnThePhone(Exception):
    """That number is being called, or on the phone with us; `call` is the call in the way."""

    def __init__(self, call: Call) -> None:
        super().__init__(_("That number is on the phone with us right now."))
        self.call = call


class OwnPhoneBusy(BadRequest):
    """The telephone of ours takes part in `call`, which waits or is on."""

    def __init__(self, call: Call) -> None:
        super().__init__(_("Your telephone is busy with another call, or waits for one. End that one first."))
        self.call = call


@dataclass(frozen=True, slots=True)
class Asked:
    call: Call
    adopted: bool
    """There was a queued call to that number: it is due now (or as asked), and has one more asker."""


def caller_id_for(agent: Agent | None, given: str = "", *, test: bool = False) -> str:
    """Given > the agent's default (a person has none) > TWILIO_FROM_NUMBER > the only active number.

    A number that is kept back is none, unless it is given for a test. Raises NoCallerId.
    """
    if given:
        numbers = PhoneNumber.objects.working() if test else PhoneNumber.objects.usable()
        if not numbers.filter(number=given).exists():
            raise NoCallerId(PhoneNumber.objects.why_not_from(given))
        return given
    if usual := usual_number(agent):
        return usual
    if agent is None:
        raise NoCallerId(_("Choose the number to call from."))
    if agent.default_caller_id is not None:
        raise NoCallerId(PhoneNumber.objects.why_not_from(agent.default_caller_id.number))
    raise NoCallerId(_("There is no number to call from. Give the agent a default caller ID."))


def ask(
    *,
    agent: Agent | None,
    via: str,
    now: datetime,
    lead: Lead | None = None,
    number: str = "",
    by: User | None = None,
    api_key: ApiKey | None = None,
    our_number: str = "",
    variables: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
    due_at: datetime | None = None,
    not_after: datetime | None = None,
    priority: int | None = None,
    batch: CallBatch | None = None,
    test: bool = False,
    decision: Decision | None = None,
    wait_for_stop: bool = True,
    desk_number: str = "",
) -> Asked:
    """Queue one call, or adopt the queued one to the same number.

    Either an AI agent calls, or a person at `desk_number` (E.164), a telephone of ours that is rung first;
    a person takes over a call that waits for an AI agent.
    A call that may only be made later is queued for then. `not_after` defaults to ten minutes after it
    is due. `overrides` is what this call alone has differently from its agent; an adopted call stays as it
    is. Raises NotAllowed, OnThePhone, BadRequest (NoCallerId, BadOverride), NotOffered, and CallingStopped
    unless `wait_for_stop`.
    """
    _check_who_calls(agent, desk_number)
    _check_variables(variables or {})
    overrides = _checked_overrides(agent, overrides or {})
    given, our_number = our_number, caller_id_for(agent, our_number, test=test)
    decision = decision or decide(
        lead, now=now, agent=agent, number=number, our_number=our_number, variables=variables or ()
    )
    if decision.verdict == Verdict.NEVER:
        _raise_refusal(decision)
    stopped = tuple(reason for reason in decision.reasons if reason.code == "stopped")
    if stopped and not wait_for_stop:
        raise CallingStopped(stopped)
    due_at = max(due_at or now, decision.at or now)
    not_after = not_after or due_at + CLICK_LASTS
    if not_after <= now or not_after < due_at:
        raise BadRequest(_("The call would be due after it may no longer be made."))
    call = Call(
        direction=Direction.OUTBOUND,
        lead=lead,
        agent=agent,
        counterpart=decision.number,
        our_number=our_number,
        number_given=bool(given),
        line=line_of(our_number) if agent else DESK_LINE,
        desk_number=desk_number,
        batch=batch,
        priority=priority or (Priority.BATCH if batch else Priority.CLICK),
        requested_by_id=by.pk if by else None,
        requested_at=now,
        due_at=due_at,
        not_after=not_after,
        decision=decision.snapshot(),
        attempt=_attempt(lead, decision.number),
        variables=(
            {**supplied.values_for(lead_variables(lead), agent=agent), **(variables or {})} if agent else {}
        ),
        metadata=dict(metadata or {}),
        overrides=overrides,
        provider=agent.provider if agent else DESK_PROVIDER,
        test=test,
    )
    request = CallRequest(
        call=call, user_id=by.pk if by else None, api_key=api_key, via=via, batch=batch, requested_at=now
    )
    for _try in range(3):
        # A call of this telephone to this very number is the one asked for, and is adopted.
        adopted = _adopt(call, request)
        if adopted is not None:
            hint.tell("place")
            return Asked(adopted, True)
        try:
            with transaction.atomic():
                call.save(force_insert=True)
                request.save(force_insert=True)
        except IntegrityError:
            # Somebody else's call to this number was queued between our look and our insert.
            _check_desk_free(desk_number)
            continue
        hint.tell("place")
        return Asked(call, False)
    raise OnThePhone(Call.objects.filter(counterpart=call.counterpart).open().latest("requested_at"))


def _adopt(asked: Call, request: CallRequest) -> Call | None:
    """Take over the queued call to this number, if there is one. Raises OnThePhone when it is past that."""
    with transaction.atomic():
        found = (
            Call.objects.select_for_update(of=("self",))
            .filter(counterpart=asked.counterpart, direction=Direction.OUTBOUND)
            .open()
            .first()
        )
        if found is None:
            return None
        if found.status != CallStatus.QUEUED:
            raise OnThePhone(found)
        assert found.due_at is not None
        assert found.not_after is not None
        assert asked.due_at is not None
        assert asked.not_after is not None
        if asked.desk_number and asked.desk_number != found.desk_number:
            _take_over(found, asked)
        found.due_at = min(found.due_at, asked.due_at)
        found.not_after = max(found.not_after, asked.not_after)
        found.priority = min(found.priority, asked.priority)
        found.save(update_fields=["due_at", "not_after", "priority"])
        request.call, request.adopted = found, found.requested_by_id != request.user_id
        request.save(force_insert=True)
        return found


def _take_over(found: Call, asked: Call) -> None:
    """What waits for an AI agent is called by a person instead: the same call, of which nothing was sent.

    Raises OnThePhone where that is not sure, OwnPhoneBusy.
    """
    if found.look_first:
        raise OnThePhone(found)
    _check_desk_free(asked.desk_number)
    found.agent, found.desk_number, found.provider = None, asked.desk_number, asked.provider
    found.our_number, found.number_given, found.line = asked.our_number, asked.number_given, asked.line
    found.variables, found.overrides, found.request_body = {}, {}, None
    CallRequest.objects.filter(call=found, user=found.requested_by_id).update(adopted=True)
    found.requested_by_id = asked.requested_by_id
    found.save(
        update_fields=[
            *("agent", "desk_number", "provider", "our_number", "number_given", "line"),
            *("variables", "overrides", "request_body", "requested_by"),
        ]
    )


def _check_who_calls(agent: Agent | None, desk_number: str) -> None:
    if (agent is None) == (not desk_number):
        raise BadRequest(_("Either an AI agent calls, or a person at a telephone."))
    if desk_number and (why_not := why_not_from_a_telephone() or why_not_ours(desk_number)):
        raise BadRequest(why_not)


def _check_desk_free(desk_number: str) -> None:
    """Raises OwnPhoneBusy: a telephone of ours takes part in one call at a time."""
    if desk_number and (busy := Call.objects.filter(desk_number=desk_number).open().first()) is not None:
        raise OwnPhoneBusy(busy)


def why_not_ours(number: str) -> str:
    """Why this cannot be a telephone of ours, which is rung without the rules for leads; '' if it can."""
    if DoNotCall.objects.in_force().filter(number=number).exists():
        return _("That number is on the do-not-call list: it cannot be rung as yours.")
    if LeadPhone.objects.filter(number=number).exists():
        return _("That is the number of a lead: give the number of your own telephone.")
    if PhoneNumber.objects.filter(number=number).exists():
        return _("We call from that number: give the number of the telephone on your desk, or your mobile.")
    return ""


def why_not_from_a_telephone() -> str:
    """Why nobody can call without AI here; '' if they can."""
    if not settings.TWILIO_ACCOUNT_SID or not settings.TWILIO_AUTH_TOKENS:
        return _(
            "Calling from your own telephone needs a Twilio account: an administrator sets "
            "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN."
        )
    return ""


def _raise_refusal(decision: Decision) -> None:
    blocking = [reason for reason in decision.reasons if reason.blocks]
    busy = next((reason for reason in blocking if reason.code == "on_the_phone"), None)
    if busy is not None and len(blocking) == 1:
        raise OnThePhone(Call.objects.get(pk=busy.call_id))
    raise NotAllowed(decision)


def _check_variables(variables: Mapping[str, str]) -> None:
    if len(variables) > MAX_VARIABLES:
        raise BadRequest(_("At most %(most)d variables can be given.") % {"most": MAX_VARIABLES})
    for name, value in variables.items():
        if not isinstance(value, str):
            raise BadRequest(_("The variable “%(name)s” must be text.") % {"name": name})


def _checked_overrides(agent: Agent | None, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Raises NotOffered, BadOverride."""
    if agent is None:
        return {}
    try:
        return overriding.checked(agent, overrides)
    except ValueError as problem:
        raise BadOverride(str(problem)) from problem


def lead_variables(lead: Lead | None) -> dict[str, str]:
    """What we know of the person, as the agent may say it."""
    if lead is None:
        return {}
    last = (
        Call.objects.filter(lead=lead, status=CallStatus.ENDED, test=False)
        .exclude(summary="")
        .order_by("-requested_at")
        .first()
    )
    known = {
        "first_name": lead.first_name,
        "name": lead.spoken_name,
        "company": lead.company,
        "time_zone": lead.time_zone,
        "reason_we_called": lead.reason,
        "last_call_summary": last.summary if last else "",
        "open_promise": last.promise if last else "",
    }
    custom = {
        str(name): str(value) for name, value in lead.custom.items() if not isinstance(value, dict | list)
    }
    return {**custom, **known}


def _attempt(lead: Lead | None, number: str) -> int:
    sent = Call.objects.outbound().filter(test=False).exclude(sent_at=None)
    # What was nobody's doing, and rang nobody, has cost no attempt.
    sent = sent.exclude(~Q(fault=""), answered_at__isnull=True)
    return (sent.filter(lead=lead) if lead else sent.filter(counterpart=number)).count() + 1


def call_now(call: Call, *, by: User | None, now: datetime) -> Call:
    """A call that waits for later is due at once, as a single click. Raises NotAllowed, OnThePhone."""
    return ask(
        lead=call.lead,
        number=call.counterpart,
        agent=call.agent,
        desk_number=call.desk_number,
        by=by,
        via=Via.DESK,
        now=now,
        our_number=call.our_number,
        priority=Priority.CLICK,
    ).call


def cancel(call: Call, *, reason: str, now: datetime, by: User | None = None) -> bool:
    """A queued call ends; one being placed is marked, its permit refused or its phone hung up.

    False: it is in conversation or over, and nothing was changed.
    """
    why = signed(reason, by)
    with transaction.atomic():
        locked = Call.objects.select_for_update(of=("self",)).get(pk=call.pk)
        at = database_now()
        if locked.status == CallStatus.QUEUED:
            end_unplaced(locked, Outcome.CANCELED, why, at=at, cancelled=True)
            return True
        if locked.status in ACTIVE and locked.status != CallStatus.IN_PROGRESS:
            Call.objects.filter(pk=locked.pk, cancel_requested_at=None).update(
                cancel_requested_at=at, cancel_reason=why
            )
            return True
    return False


def signed(reason: str, by: User | None) -> str:
    """With the login of whoever gave it."""
    return (f"{reason} ({by.get_username()})" if by else reason)[:300]


def cancel_waiting(calls: QuerySet[Call], *, reason: str, most: int) -> int:
    """End at most so many of `calls` that still wait, in their order, in one short transaction. How many."""
    with transaction.atomic():
        locked = calls.filter(status=CallStatus.QUEUED).select_for_update()
        waiting = list(locked.values_list("pk", flat=True)[:most])
        at = database_now()
        return Call.objects.filter(pk__in=waiting, status=CallStatus.QUEUED).update(
            status=CallStatus.ENDED,
            outcome=Outcome.CANCELED,
            ended_at=at,
            final=True,
            outcome_evidence=reason[:200],
            slot_until=None,
            next_look_at=None,
            cancel_requested_at=at,
            cancel_reason=reason[:300],
        )


def end_unplaced(call: Call, outcome: str, why: str, *, at: datetime, cancelled: bool = False) -> None:
    """End a call that never left: under its lock, by whoever holds it."""
    call.status, call.outcome, call.ended_at, call.final = CallStatus.ENDED, outcome, at, True
    call.outcome_evidence, call.slot_until, call.next_look_at = why[:200], None, None
    fields = ["status", "outcome", "ended_at", "final", "outcome_evidence", "slot_until", "next_look_at"]
    if cancelled:
        call.cancel_requested_at, call.cancel_reason = at, why[:300]
        fields += ["cancel_requested_at", "cancel_reason"]
    call.save(update_fields=fields)


def hang_up(call: Call, *, by: User | None, now: datetime) -> bool:
    """End a call that is on: a dialer tells the phone company within two seconds. False: it is over.

    Raises NotOffered.
    """
    if not can(Ability.HANG_UP, name=call.provider):
        raise NotOffered(Ability.HANG_UP)
    return bool(
        Call.objects.filter(
            pk=call.pk, status__in=[CallStatus.PLACED, CallStatus.RINGING, CallStatus.IN_PROGRESS]
        ).update(
            hang_up_at=now,
            cancel_requested_at=None,
            cancel_reason=f"hung up by {by.get_username() if by else 'another system'}",
        )
    )
