"""Send permit, one POST, and what each answer means for the row."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import (
    BooleanField,
    CharField,
    DurationField,
    Exists,
    ExpressionWrapper,
    OuterRef,
    PositiveSmallIntegerField,
    Q,
    QuerySet,
    Subquery,
    UUIDField,
)
from django.utils.translation import gettext as _

from agents.providers.base import (
    Accepted,
    Busy,
    Fault,
    NotSent,
    Provider,
    RefusalScope,
    Refused,
    Unclear,
)
from callcenter.connections import hand_back
from calls import dispositions
from calls.dialer import fallback, gate, refusals
from calls.dialer.account import account_fine
from calls.dialer.ask import end_unplaced
from calls.dialer.stops import covering, in_force, lock_call_and_stops
from calls.eligibility import Verdict, hours, recheck
from calls.eligibility.decide import UNKNOWN_HOLDS, holds_number, recheck_alone
from calls.lifecycle import schedule
from calls.lifecycle.apply import apply_again
from calls.models import (
    Call,
    CallStatus,
    CallStep,
    DoNotCall,
    Gate,
    LeadPhone,
    Outcome,
    PhoneState,
    StepKind,
    Stop,
    WebhookEvent,
)
from calls.models.clock import ClockNow, database_now
from calls.models.gate import GateKind
from calls.models.prepared import Given, PreparedSelect, PreparedUpdate

log = structlog.get_logger(__name__)

PERMIT_READS = (
    "status", "place_token", "cancel_requested_at", "cancel_reason", "counterpart", "our_number",
    "desk_number", "variables",
    "lead__list", "lead__time_zone", "lead__custom",
    "agent__name", "agent__active", "agent__paused_reason", "agent__pinned_version", "agent__profile",
    "agent__gone_since",
)  # fmt: skip
"""All of a call, its lead and its agent that a permit is decided by."""

REFUSED_OUTCOME = {"invalid_number": Outcome.INVALID_NUMBER}


def place(call: Call, provider: Provider) -> None:
    """Place a claimed call. The clock for giving up starts before the permit."""
    started = time.monotonic()
    token = call.place_token
    assert token is not None
    if not permit(call.pk, token):
        return
    # Whoever waits for a provider needs no connection: dozens of placers share the pool.
    hand_back()
    try:
        answer = provider.place(
            bytes(call.request_body or b""), give_up_s=settings.PROVIDER_TIMEOUT_S, started=started
        )
    except NotSent as error:
        not_now(call.pk, token, str(error), kind="not_sent", retry_after_s=None)
    except Busy as error:
        not_now(call.pk, token, str(error), kind="busy", retry_after_s=error.retry_after_s)
    except Refused as error:
        refused(call.pk, token, error)
    except Unclear as error:
        unclear(call.pk, token, str(error))
    else:
        accepted(call.pk, answer)


def permit(call_id: UUID, token: UUID) -> bool:
    """May the POST be sent? True exactly once a claim.

    The call is locked first, and stops in share mode; then, as *new statements*, everything is asked that may
    speak against it, and the conditional UPDATE is made. As one statement it would be wrong on PostgreSQL:
    after waiting for the row it would still see the snapshot from before the opt-out it waited for.
    """
    with transaction.atomic():
        lock_call_and_stops(call_id)
        call = READ_FOR_PERMIT.get(call=call_id)
        if call.status != CallStatus.DIALING or call.place_token != token:
            return False
        now: datetime = call.looked_at  # type: ignore[attr-defined]
        if not _still_allowed(call, now):
            return False
        local = hours.local_times(call.lead, call.counterpart, now)
        changed = PERMIT.send(
            call=call_id,
            token=token,
            lease=timedelta(seconds=settings.PROVIDER_TIMEOUT_S + 2),
            hour=local[0][1].hour if local else None,
            weekday=local[0][1].weekday() if local else None,
        )
    return changed == 1


def _opted_out() -> QuerySet[DoNotCall]:
    return DoNotCall.objects.in_force().filter(number=OuterRef("counterpart"))


def _permitted() -> tuple[QuerySet[Call], dict[str, Any]]:
    small = PositiveSmallIntegerField()
    still_mine = Call.objects.filter(
        ~Exists(_opted_out()),
        pk=Given("call", UUIDField()),
        status=CallStatus.DIALING,
        place_token=Given("token", UUIDField()),
        lease_until__gt=ClockNow(),
        cancel_requested_at__isnull=True,
        sent_at__isnull=True,
    )
    return still_mine, {
        "updated_at": ClockNow(),
        "sent_at": ClockNow(),
        "lease_until": ClockNow() + Given("lease", DurationField()),
        "local_hour": Given("hour", small),
        "local_weekday": Given("weekday", small),
    }


PERMIT = PreparedUpdate(_permitted)


def _with_all_that_may_be_against() -> QuerySet[Call]:
    """The call, its lead and agent, the database's time, and whether there is anything that may forbid it.

    `doubt` False: no stop at all is in force, nobody opted out of the number, no other call to it is in the
    way. Then the rules need no further query; else they are asked one by one, for their reasons.
    """
    others = Call.objects.filter(
        holds_number(ClockNow() - UNKNOWN_HOLDS), counterpart=OuterRef("counterpart")
    ).exclude(pk=OuterRef("pk"))
    states = LeadPhone.objects.filter(lead=OuterRef("lead"), number=OuterRef("counterpart"))
    rows = Call.objects.select_related("lead", "agent").only(*PERMIT_READS)
    found = rows.annotate(
        looked_at=ClockNow(),
        doubt=ExpressionWrapper(
            Q(Exists(Stop.objects.in_force())) | Q(Exists(_opted_out())) | Q(Exists(others)), BooleanField()
        ),
        number_state=Subquery(states.values("state")[:1]),
    )
    return found.filter(pk=Given("call", UUIDField()))


READ_FOR_PERMIT = PreparedSelect(_with_all_that_may_be_against)


def _still_allowed(call: Call, now: datetime) -> bool:
    """Under the locks of the permit. False: the call has been ended or put back."""
    doubt: bool = call.doubt  # type: ignore[attr-defined]
    if doubt and covering(call, in_force()):
        _back_to_queue(call, due_at=now)
        return False
    if call.cancel_requested_at is not None:
        opted_out = DoNotCall.objects.in_force().filter(number=call.counterpart).exists()
        end_unplaced(
            call,
            Outcome.BLOCKED if opted_out else Outcome.CANCELED,
            call.cancel_reason,
            at=now,
            cancelled=True,
        )
        return False
    if call.desk_number and DoNotCall.objects.in_force().filter(number=call.desk_number).exists():
        end_unplaced(call, Outcome.CANCELED, _("Our own telephone is on the do-not-call list."), at=now)
        return False
    state: str = call.number_state or PhoneState.VALID  # type: ignore[attr-defined]
    decision = recheck(call, now=now) if doubt else recheck_alone(call, now=now, number_state=state)
    if decision.verdict == Verdict.NEVER:
        texts = "; ".join(reason.text for reason in decision.reasons)
        blocked = any(reason.code == "do_not_call" for reason in decision.reasons)
        end_unplaced(call, Outcome.BLOCKED if blocked else Outcome.CANCELED, texts, at=now)
        return False
    if decision.verdict == Verdict.LATER:
        _back_to_queue(call, due_at=decision.at or now)
        return False
    return True


def _back_to_queue(call: Call, *, due_at: datetime) -> None:
    """Provably not sent: nothing rang, no attempt is spent."""
    Call.objects.filter(pk=call.pk).update(
        status=CallStatus.QUEUED,
        due_at=due_at,
        place_token=None,
        lease_until=None,
        sent_at=None,
        slot_until=None,
        next_look_at=None,
    )


def accepted(call_id: UUID, answer: Accepted) -> None:
    """The provider has it. A late 2xx is taken from any status; the status only climbs."""
    if not _placed_as_usual(call_id, answer.provider_call_id):
        _accepted_late_or_oddly(call_id, answer)
    if answer.status:
        Call.objects.filter(pk=call_id, provider_status="").update(provider_status=answer.status)
    _after_accepting(call_id, answer.provider_call_id)


def _placed_as_usual(call_id: UUID, provider_call_id: str) -> bool:
    """The usual case in one statement: the claim still holds, and the provider has given the id."""
    if not provider_call_id:
        return False
    try:
        changed = PLACED.send(
            call=call_id,
            provider_call_id=provider_call_id,
            slot=schedule.SLOT_AFTER_PLACING,
            look=schedule.quiet_after(0),
        )
    except IntegrityError:  # another call was given this id in that very moment
        return False
    return changed == 1


def _placed() -> tuple[QuerySet[Call], dict[str, Any]]:
    theirs = Given("provider_call_id", CharField())
    usual = Call.objects.filter(
        ~Exists(Call.objects.filter(provider_call_id=theirs)),
        pk=Given("call", UUIDField()),
        status=CallStatus.DIALING,
        placed_at__isnull=True,
        provider_call_id="",
    )
    return usual, {
        "updated_at": ClockNow(),
        "status": CallStatus.PLACED,
        "provider_call_id": theirs,
        "placed_at": ClockNow(),
        "slot_until": ClockNow() + Given("slot", DurationField()),
        "next_look_at": ClockNow() + Given("look", DurationField()),
        "looks": 0,
        "refusal": "",
        "refusal_code": "",
        "not_now_reason": "",
    }


PLACED = PreparedUpdate(_placed)


def _after_accepting(call_id: UUID, provider_call_id: str) -> None:
    """Read after the commit: what a placement clears, and news that came before it. Mostly there is none."""
    call: Any = READ_WHEN_ACCEPTED.get(call=call_id, provider_call_id=provider_call_id)
    if call.account_refused and not call.desk_number:
        account_fine()
    if call.line_refused:
        gate.line_passed(call.line)
    if call.news:
        apply_again(provider_call_id)


def _with_all_that_accepting_ends() -> QuerySet[Call]:
    lines = Gate.objects.filter(kind=GateKind.LINE, name=OuterRef("line"), not_nows__gt=0)
    accounts = Gate.objects.filter(kind=GateKind.CAPACITY, name="all").exclude(account_problem="")
    news = WebhookEvent.objects.filter(provider_call_id=Given("provider_call_id", CharField()))
    return (
        Call.objects.filter(pk=Given("call", UUIDField()))
        .only("line", "desk_number")
        .annotate(line_refused=Exists(lines), account_refused=Exists(accounts), news=Exists(news))
    )


READ_WHEN_ACCEPTED = PreparedSelect(_with_all_that_accepting_ends)


def _accepted_late_or_oddly(call_id: UUID, answer: Accepted) -> None:
    with transaction.atomic():
        call = Call.objects.select_for_update(of=("self",)).get(pk=call_id)
        now = database_now()
        fields: dict[str, Any] = {"refusal": "", "refusal_code": "", "not_now_reason": ""}
        if call.placed_at is None:
            fields["placed_at"] = now
        if call.status in (CallStatus.QUEUED, CallStatus.DIALING, CallStatus.UNCONFIRMED):
            fields |= {
                "status": CallStatus.PLACED,
                "slot_until": now + schedule.SLOT_AFTER_PLACING,
                "next_look_at": now
                + (schedule.quiet_after(0) if answer.provider_call_id else schedule.after_sending(0)),
                "looks": 0,
            }
        elif call.status == CallStatus.ENDED and call.outcome == Outcome.UNKNOWN:
            fields |= {"final": False, "next_look_at": now + schedule.quiet_after(0), "looks": 0}
        if answer.provider_call_id and call.provider_call_id not in ("", answer.provider_call_id):
            fields["judged"] = ""
            fields["incident"] = _("The phone company knows this call under two ids: %(a)s and %(b)s.") % {
                "a": call.provider_call_id,
                "b": answer.provider_call_id,
            }
        elif answer.provider_call_id:
            fields["provider_call_id"] = answer.provider_call_id
        try:
            with transaction.atomic():
                Call.objects.filter(pk=call_id).update(**fields)
        except IntegrityError:
            fields.pop("provider_call_id")
            fields["incident"] = _("Another call of ours already has the id %(a)s.") % {
                "a": answer.provider_call_id
            }
            Call.objects.filter(pk=call_id).update(**fields)


def not_now(call_id: UUID, token: UUID, why: str, *, kind: str, retry_after_s: float | None) -> None:
    """A definite not-now: back to the queue, no attempt spent, the line rests."""
    with transaction.atomic():
        call = _mine(call_id, token)
        if call is None:
            return
        now = database_now()
        _back_to_queue(call, due_at=max(now, call.due_at or now))
        Call.objects.filter(pk=call_id).update(
            not_now_count=call.not_now_count + 1, not_now_reason=f"{kind}: {why}"[:300]
        )
    gate.close_line(call.line, now=now, retry_after_s=retry_after_s)
    log.info("call put back", call=str(call_id), why=kind)


def refused(call_id: UUID, token: UUID, error: Refused) -> None:
    """A definite no. About this call: it ends. About agent, caller ID, account: that is closed, it waits,
    unless the agent has something else to be done instead.
    """
    with transaction.atomic():
        call = _mine(call_id, token)
        if call is None:
            return
        now = database_now()
        said = {"refusal": error.message[:500], "refusal_code": error.code[:40]}
        closed = refusals.refused(call, error, now=now)
        instead = refusals.lies_with_them(error) and fallback.wanted(call)
        if closed and not instead:
            _back_to_queue(call, due_at=max(now, call.due_at or now))
            Call.objects.filter(pk=call_id).update(**said)
            return
        end_unplaced(call, REFUSED_OUTCOME.get(error.code, Outcome.FAILED), error.message, at=now)
        call.fault = _whose_fault(call, error)
        Call.objects.filter(pk=call_id).update(retry_class="no", fault=call.fault, **said)
        if instead:
            fallback.decide_on(call, why=error.message, now=now)
        refusals.ended(call, why=error.message)
        if call.outcome == Outcome.INVALID_NUMBER:
            dispositions.follow_through([call], now=now)


def _whose_fault(call: Call, error: Refused) -> Fault:
    if call.desk_number:
        return Fault.DESK  # it was our own telephone that could not be rung
    if error.scope == RefusalScope.AGENT:
        return Fault.AGENT
    return Fault.NUMBER if error.code == "geography" else Fault.NONE


def unclear(call_id: UUID, token: UUID, why: str) -> None:
    """Something left and no clear answer came: never dialled again until we know."""
    with transaction.atomic():
        call = _mine(call_id, token)
        if call is not None:
            mark_unconfirmed(call, why, now=database_now())


def mark_unconfirmed(call: Call, why: str, *, now: datetime) -> None:
    assert call.sent_at is not None
    Call.objects.filter(pk=call.pk).update(
        status=CallStatus.UNCONFIRMED,
        not_now_reason=why[:300],
        next_look_at=call.sent_at + schedule.after_sending(0),
        slot_until=call.sent_at + schedule.SLOT_UNCONFIRMED,
        lease_until=None,
        looks=0,
        looks_unanswered=0,
        replay_wanted=False,
    )
    CallStep.objects.create(call=call, kind=StepKind.SENT, at=call.sent_at, answer=why[:300])


def _mine(call_id: UUID, token: UUID) -> Call | None:
    """The call, locked, if this claim still holds it: a late answer under an old token changes nothing."""
    call = Call.objects.select_for_update(of=("self",)).get(pk=call_id)
    return call if call.status == CallStatus.DIALING and call.place_token == token else None
