"""After a restore or a failover: what the phone company did and these rows do not know is adopted first.

An older copy of the rows says "waiting" of calls that have long been made. So the provider's recent calls
are read before anything is claimed, and each call that waited in the copy is looked up by our id before
its own turn: lists may leave out calls that never connected, and a look by our id does not.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, transaction
from django.db.models import F, Max, Q
from django.utils.translation import gettext as _

from agents.models import Agent, PhoneNumber
from agents.providers.abilities import WHY_NOT, Ability
from agents.providers.base import CallFacts, Page, Provider, ProviderError, Report, Stage
from calls.dialer.ask import end_unplaced
from calls.lifecycle import reconcile, schedule
from calls.lifecycle.facts import store_lookup
from calls.lifecycle.inbound import who_is
from calls.models import Adoption, AdoptionCause, Call, CallStatus, Direction, Heartbeat, Outcome
from calls.models.clock import database_now, skips_locked_rows

log = structlog.get_logger(__name__)

SILENT_FOR = timedelta(minutes=10)
"""The newest heartbeat is older than this: nobody dialled, or these rows are older than what was dialled."""
MARGIN = timedelta(hours=1)
RESTORED_SPAN = timedelta(days=1)
FURTHEST = timedelta(days=30)
A_PAGE_TAKES = timedelta(seconds=60)
ASK_AGAIN = timedelta(seconds=10)
BEFORE_DUE = timedelta(minutes=5)


def catching_up() -> Adoption | None:
    return Adoption.objects.filter(done_at__isnull=True).order_by("asked_at").first()


def blocks(now: datetime) -> bool:
    """Nothing is claimed while this lasts, nor before a dialer has looked whether it has to be."""
    newest = _newest_beat()
    return catching_up() is not None or (newest is not None and newest <= now - SILENT_FOR)


def _newest_beat() -> datetime | None:
    beats = Heartbeat.objects.filter(kind="dialer").order_by("-beat_at")
    return beats.values_list("beat_at", flat=True).first()


def begin_after_silence(*, now: datetime) -> bool:
    """Asked by each dialer before it says that it lives. Whether there is anything to catch up with."""
    newest = _newest_beat()
    if newest is None:
        newest = Call.objects.outbound().aggregate(last=Max("claimed_at"))["last"]
    if newest is None or newest > now - SILENT_FOR:
        return False
    _begin(AdoptionCause.SILENCE, since=newest, now=now)
    return True


def begin_after_restore(*, now: datetime) -> None:
    """Said by an operator (`stop_calling --restored`): dialers may have beaten since."""
    _begin(AdoptionCause.RESTORED, since=min(_newest_beat() or now, now - RESTORED_SPAN), now=now)


def _begin(cause: AdoptionCause, *, since: datetime, now: datetime) -> None:
    since = max(since - MARGIN, now - FURTHEST)
    try:
        with transaction.atomic():
            Adoption.objects.create(cause=cause, asked_at=now, since=since, next_try_at=now)
            waiting = Call.objects.outbound().filter(status__in=[CallStatus.QUEUED, CallStatus.DIALING])
            waiting.update(look_first=True)
    except IntegrityError:
        return  # another dialer saw it too
    log.warning("catching up with the phone company", why=cause, since=since.isoformat())


def adopt_next(provider: Provider, *, now: datetime) -> bool:
    """One page of the provider's recent calls. True: there may be more."""
    with transaction.atomic():
        due = Adoption.objects.filter(done_at__isnull=True, next_try_at__lte=now)
        adoption = due.select_for_update(skip_locked=skips_locked_rows()).first()
        if adoption is None:
            return False
        Adoption.objects.filter(pk=adoption.pk).update(next_try_at=now + A_PAGE_TAKES)
    mine = Adoption.objects.filter(pk=adoption.pk)
    if Ability.LOOK_UP not in provider.abilities:
        mine.update(done_at=database_now(), problem=str(WHY_NOT[Ability.LOOK_UP])[:300])
        return True
    try:
        page: Page = provider.recent_calls(since=adoption.since, key=adoption.next_key or None)
    except ProviderError as error:
        log.warning("cannot catch up yet", why=str(error))
        mine.update(problem=str(error)[:300], next_try_at=now + ASK_AGAIN)
        return False
    adopted = sum(_adopt(report, provider, now=now) for report in page.reports)
    mine.update(
        listed=F("listed") + len(page.reports),
        adopted=F("adopted") + adopted,
        next_key=page.next_key or "",
        next_try_at=now,
        problem="",
        done_at=None if page.next_key else database_now(),
    )
    return True


def _adopt(report: Report, provider: Provider, *, now: datetime) -> bool:
    """Stores what is news. True: these rows did not know of the call."""
    facts = report.facts
    ours = _our_id(facts)
    if ours is None:
        if facts.direction == Direction.INBOUND and not _known(facts):
            store_lookup(_whole(report, provider), now=now)
            return PhoneNumber.objects.filter(number=facts.to_number or "").exists()
        return False
    if _known(facts):
        return False
    if not Call.objects.filter(pk=ours).exists() and not _make_row(ours, facts, now=now):
        return False
    store_lookup(_whole(report, provider), now=now, call_uuid=ours)
    return True


def _our_id(facts: CallFacts) -> uuid.UUID | None:
    try:
        return uuid.UUID(facts.call_uuid) if facts.call_uuid else None
    except ValueError:
        return None


def _known(facts: CallFacts) -> bool:
    return Call.objects.filter(provider_call_id=facts.provider_call_id).exists()


def _whole(report: Report, provider: Provider) -> Report:
    """Lists leave the transcript out."""
    if report.facts.stage < Stage.ENDED:
        return report
    try:
        return provider.fetch_call(report.facts.provider_call_id)
    except ProviderError:
        return report


def _make_row(ours: uuid.UUID, facts: CallFacts, *, now: datetime) -> bool:
    """A call made after the copy was: False where its caller ID is not ours, so that it is another desk's."""
    number = PhoneNumber.objects.filter(number=facts.from_number or "").first()
    if number is None or not facts.to_number:
        return False
    at = facts.started_at or now
    row = Call(
        pk=ours,
        direction=Direction.OUTBOUND,
        lead=who_is(facts.to_number).lead,
        agent=Agent.objects.filter(provider_agent_id=facts.provider_agent_id or "").first(),
        counterpart=facts.to_number,
        our_number=number.number,
        line=number.line,
        requested_at=at,
        due_at=at,
        sent_at=at,
        provider_call_id=facts.provider_call_id,
        next_look_at=now + schedule.quiet_after(0),
    )
    if facts.stage < Stage.ENDED:
        row.status, row.slot_until = CallStatus.PLACED, now + schedule.SLOT_AFTER_PLACING
        if _saved(row):
            return True
    # Until its facts are applied, a moment from now, nobody knows how it ended.
    row.status, row.slot_until, row.outcome, row.ended_at = CallStatus.ENDED, None, Outcome.UNKNOWN, now
    row.outcome_evidence = _("Found at the phone company after an older copy of the data was brought back.")
    return _saved(row)


def _saved(row: Call) -> bool:
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        return False
    return True


def look_before_next(provider: Provider, *, now: datetime) -> bool:
    """One call that waited in the copy, before its turn comes: was it made since? True: maybe more."""
    doubtful = Call.objects.filter(
        Q(next_look_at__isnull=True) | Q(next_look_at__lte=now),
        look_first=True,
        status=CallStatus.QUEUED,
        due_at__lte=now + BEFORE_DUE,
    ).order_by("priority", "due_at")
    if not doubtful.exists():
        return False
    with transaction.atomic():
        call = doubtful.select_for_update(of=("self",), skip_locked=skips_locked_rows()).first()
        if call is None:
            return False
        if call.desk_number or Ability.LOOK_UP not in provider.abilities:
            # Twilio carries no id of ours, and nobody knows when it would have been sent.
            _decide_unasked(call, now=now)
            return True
        Call.objects.filter(pk=call.pk).update(next_look_at=now + ASK_AGAIN)
    if reconcile.look(provider, call, now=now) is False:
        Call.objects.filter(pk=call.pk, status=CallStatus.QUEUED).update(look_first=False, next_look_at=None)
    # What was found is in the inbox: applied, it climbs; until then it cannot be claimed.
    return True


def _decide_unasked(call: Call, *, now: datetime) -> None:
    """Nobody can be asked. After a restore it may have been made: a person decides; a silence says little."""
    last = Adoption.objects.order_by("-asked_at").first()
    if last is not None and last.cause == AdoptionCause.RESTORED:
        why = _("An older copy of the data was brought back: it may have been made since.")
        end_unplaced(call, Outcome.UNKNOWN, why, at=now)
    else:
        Call.objects.filter(pk=call.pk).update(look_first=False, next_look_at=None)
