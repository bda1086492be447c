"""Calls gone quiet are looked up, so that a lost webhook delays a call and never loses it.

Each verb takes what is due by writing the next look down first, then asks with no transaction open;
what comes back goes through the inbox like anything else.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F, Q
from django.utils.translation import gettext as _

from agents.providers.abilities import Ability
from agents.providers.base import NotFound, Provider, ProviderError, Report, Stage
from calls.lifecycle import schedule
from calls.lifecycle.facts import store_lookup
from calls.models import Call, CallStatus, CallStep, DeskState, Outcome, StepKind
from calls.models.clock import database_now, skips_locked_rows

log = structlog.get_logger(__name__)

ON = (CallStatus.PLACED, CallStatus.RINGING, CallStatus.IN_PROGRESS)
A_REQUEST = 100
GIVES_UP_AFTER = 3
"""Calls of one list that could not be fetched: each may have taken half a minute."""
WITHOUT_US = (DeskState.COLLEAGUE, DeskState.HANDED_OVER, DeskState.TOGETHER, DeskState.MESSAGE)
"""Where whoever made the call may leave it, and it goes on."""
LEFT_ALONE_S = 3
LOST_AFTER_LOOKS = 14
"""About an hour of looks that say "no such call": then nobody knows how it ended."""


def look_at_quiet(provider: Provider, *, now: datetime) -> bool:
    """One list request for up to a hundred calls that are on and have been quiet. True: maybe more."""
    if Ability.LOOK_UP not in provider.abilities:
        return _wait_for_news(provider, now=now)
    due = _take(Q(status__in=ON, provider=provider.name), now=now, most=A_REQUEST)
    if not due:
        return False
    known = {call.provider_call_id: call for call in due if call.provider_call_id}
    try:
        reports = provider.fetch_calls(list(known)) if known else []
    except ProviderError as error:
        log.warning("look-up failed", calls=len(known), why=str(error))
        known, reports = {}, []
    failures = 0
    for report in reports:
        known.pop(report.facts.provider_call_id, None)
        # One that cannot be fetched must not hide the others; who answers nobody is left alone.
        if failures < GIVES_UP_AFTER:
            failures += not _keep(provider, report, now=now)
    nowhere = list(known.values())
    nowhere += [call for call in due if not call.provider_call_id and look(provider, call, now=now) is False]
    for call in nowhere:
        if call.looks > LOST_AFTER_LOOKS:
            _lost(call, _("The phone company does not know this call any more."))
    return True


def _wait_for_news(provider: Provider, *, now: datetime) -> bool:
    """One quiet call of which only a webhook can tell: it is waited for until a day after it was sent."""
    quiet = Call.objects.filter(status__in=ON, provider=provider.name, next_look_at__lte=now)
    call = quiet.order_by("next_look_at").first()
    if call is None:
        return False
    over = (call.sent_at or call.requested_at) + schedule.untold_after()
    if now >= over:
        _lost(call, _("The phone company did not tell for a day how it ended."))
        return True
    fields: dict[str, datetime] = {"next_look_at": over}
    if call.status == CallStatus.IN_PROGRESS:
        began = call.answered_at or now
        fields["slot_until"] = max(call.slot_until or now, began + schedule.LONGEST_CALL)
    Call.objects.filter(pk=call.pk, status=call.status, next_look_at=call.next_look_at).update(**fields)
    return True


def look(provider: Provider, call: Call, *, now: datetime) -> bool | None:
    """Ask for one call by our id, and write down what came of it.

    True: found, its facts are in the inbox. False: "not there". None: no answer.
    """
    try:
        reports = provider.find_call(
            str(call.pk), to_number=call.rung_first, since=call.sent_at or call.requested_at
        )
    except ProviderError as error:
        call.looks_unanswered += 1
        Call.objects.filter(pk=call.pk).update(looks_unanswered=F("looks_unanswered") + 1)
        _step(call, None, str(error), now=now)
        log.warning("look-up failed", call=str(call.pk), why=str(error))
        return None
    if call.desk_number:
        reports = [report for report in reports if not _anothers(report, call)]
    for report in reports:
        _keep(provider, report, now=now, call_uuid=call.pk)
    told = ", ".join(report.facts.provider_call_id for report in reports)
    _step(call, bool(reports), told or _("It has no such call."), now=now)
    return bool(reports)


def _keep(provider: Provider, report: Report, *, now: datetime, call_uuid: UUID | None = None) -> bool:
    """Into the inbox. Lists leave the transcript out, so what has ended is fetched by itself. False: that
    failed; it comes with the next look.
    """
    try:
        if report.facts.stage >= Stage.ENDED:
            report = provider.fetch_call(report.facts.provider_call_id)
    except ProviderError as error:
        log.warning("look-up failed", call=report.facts.provider_call_id, why=str(error))
        return False
    store_lookup(report, now=now, contract=provider.contract, call_uuid=call_uuid)
    return True


def _anothers(report: Report, call: Call) -> bool:
    """Found by number and time only, it may be one that another row is known to be."""
    known = Call.objects.filter(provider_call_id=report.facts.provider_call_id, provider=call.provider)
    return known.exclude(pk=call.pk).exists()


def _step(call: Call, found: bool | None, answer: str, *, now: datetime) -> None:
    CallStep.objects.create(call=call, kind=StepKind.LOOK, at=now, found=found, answer=answer[:300])


def look_for_analysis(provider: Provider, *, now: datetime) -> bool:
    """One ended call that still lacks its analysis, or whose outcome nobody knows yet."""
    due = _take(Q(status=CallStatus.ENDED, final=False, provider=provider.name), now=now, most=1)
    if not due:
        return False
    if Ability.LOOK_UP not in provider.abilities:
        return True
    call = due[0]
    try:
        if call.provider_call_id:
            report = provider.fetch_call(call.provider_call_id)
            store_lookup(report, now=now, contract=provider.contract)
        else:
            look(provider, call, now=now)
    except NotFound:
        log.info("the phone company does not know the call", call=str(call.pk))
    except ProviderError as error:
        log.warning("look-up failed", call=str(call.pk), why=str(error))
    return True


def _take(which: Q, *, now: datetime, most: int) -> list[Call]:
    quiet = Call.objects.filter(which, next_look_at__lte=now).order_by("next_look_at")
    if not quiet.exists():
        return []
    with transaction.atomic():
        due = list(quiet.select_for_update(of=("self",), skip_locked=skips_locked_rows())[:most])
        for call in due:
            call.looks += 1
            _plan(call, now)
            call.save(update_fields=["looks", "next_look_at", "slot_until", "final"])
        return due


def _plan(call: Call, now: datetime) -> None:
    if call.status != CallStatus.ENDED:
        call.next_look_at = now + schedule.quiet_after(call.looks)
        # While looks go on nobody knows that the call is over: its slot stays taken.
        call.slot_until = max(
            call.slot_until or now, now + schedule.quiet_after(call.looks) + timedelta(seconds=30)
        )
        return
    if call.outcome == Outcome.UNKNOWN:
        call.next_look_at = schedule.next_unknown_look(call.sent_at or call.requested_at, now=now)
        call.final = call.next_look_at is None
        return
    wait = schedule.analysis_due(call.looks)
    call.final = wait is None
    call.next_look_at = (
        max((call.ended_at or now) + wait, now + timedelta(seconds=1)) if wait is not None else None
    )


def _lost(call: Call, why: str) -> None:
    with transaction.atomic():
        locked = Call.objects.select_for_update(of=("self",)).get(pk=call.pk)
        if locked.status not in ON:
            return
        now = database_now()
        Call.objects.filter(pk=call.pk).update(
            status=CallStatus.ENDED,
            outcome=Outcome.UNKNOWN,
            outcome_evidence=why,
            ended_at=now,
            slot_until=None,
            next_look_at=schedule.next_unknown_look(locked.sent_at or locked.requested_at, now=now),
            looks=0,
        )


def hang_up_marked(provider: Provider, *, now: datetime) -> bool:
    """Hang up one call: asked for by a person, or cancelled and not answered yet. True: maybe more.

    Calls in conversation are hung up only when a person asked for exactly that, which takes the mark of the
    cancelling away: who was cancelled and answers before the phone company has obeyed is not cut off. And
    when the telephone was put down from which they were called.
    """
    if Ability.HANG_UP not in provider.abilities:
        return False
    asked_for = Q(cancel_requested_at__isnull=True, hang_up_at__isnull=False, status__in=ON)
    cancelled = Q(cancel_requested_at__isnull=False, status__in=[CallStatus.PLACED, CallStatus.RINGING])
    # Ours was put down while they were on hold or on their way back: there the phone company ends only ours.
    put_down = Q(desk_ended_at__lte=now - timedelta(seconds=LEFT_ALONE_S), status=CallStatus.IN_PROGRESS)
    left_alone = put_down & ~Q(desk_talk__state__in=WITHOUT_US)
    due = Q(hang_up_at__isnull=True) | Q(hang_up_at__lte=now)
    marked = Call.objects.filter(asked_for | cancelled | left_alone, due, provider=provider.name)
    ringing = marked.exclude(provider_call_id="")
    if not ringing.exists():
        return False
    with transaction.atomic():
        call = ringing.select_for_update(of=("self",), skip_locked=skips_locked_rows()).first()
        if call is None:
            return False
        # Asked again in five seconds unless its end has been heard of by then.
        Call.objects.filter(pk=call.pk).update(hang_up_at=now + timedelta(seconds=5))
    try:
        provider.hang_up(call.provider_call_id)
    except NotFound:
        log.info("nothing to hang up", call=str(call.pk))
    except ProviderError as error:
        log.warning("hang-up failed, will be repeated", call=str(call.pk), why=str(error))
    Call.objects.filter(pk=call.pk, status__in=ON).update(next_look_at=now + timedelta(seconds=3))
    return True
