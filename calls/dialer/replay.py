"""A call of which nobody knows whether it rang is sent again, with the same bytes under the same key.

A replay is a placement: it takes every gate. It is no evidence: of its answers only a 2xx counts, and what
it may not do now it simply leaves undone, since the call is looked up anyway. The call stays
`unconfirmed` from the claim to the answer.
"""

from __future__ import annotations

import time
import uuid
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from agents.providers.base import Provider, ProviderError
from calls.dialer.place import accepted
from calls.dialer.stops import stopped_under_lock
from calls.eligibility import Verdict, recheck
from calls.lifecycle import schedule
from calls.models import Call, CallStatus, CallStep, DoNotCall, StepKind, WebhookEvent
from calls.models.clock import ClockNow, database_now, skips_locked_rows
from calls.models.webhook_event import EventState

log = structlog.get_logger(__name__)


UNREAD_AFTER = timedelta(seconds=2)


def wanted(now: datetime) -> QuerySet[Call]:
    """What may be sent again: the last look allows it, and no later look is due before.

    Nothing while the inbox is behind: what lies there may be the very news that it rang.
    """
    unread = WebhookEvent.objects.filter(
        state=EventState.PENDING, tries=0, received_at__lt=now - UNREAD_AFTER, next_try_at__lt=now
    )
    return (
        Call.objects.filter(
            ~Exists(unread), replay_wanted=True, status=CallStatus.UNCONFIRMED, next_look_at__gt=now
        )
        .filter(Q(lease_until__isnull=True) | Q(lease_until__lt=now))
        .filter(Q(not_after__isnull=True) | Q(not_after__gt=now))
        .filter(cancel_requested_at__isnull=True, sent_at__gt=now - schedule.replay_until())
    )


def next_wanted(replays: QuerySet[Call], now: datetime) -> Call | None:
    """The first that may still be called, locked. What may not, waits for its next look."""
    locked = replays.select_for_update(of=("self",), skip_locked=skips_locked_rows())
    for call in locked.select_related("lead", "agent").order_by("sent_at")[:10]:
        if recheck(call, now=now).verdict == Verdict.NOW:
            return call
        Call.objects.filter(pk=call.pk).update(replay_wanted=False)
    return None


def take(call: Call, now: datetime, *, lease: timedelta) -> None:
    """A token and a lease of its own; late answers under the old token change nothing."""
    call.place_token, call.lease_until, call.replay_wanted = uuid.uuid4(), now + lease, False
    least = now + lease + timedelta(seconds=settings.PROVIDER_TIMEOUT_S + 2)
    call.slot_until = max(call.slot_until or least, least)
    call.save(update_fields=["place_token", "lease_until", "replay_wanted", "slot_until"])


def permit(call_id: UUID, token: UUID) -> bool:
    """As `place.permit`, for a call that is unconfirmed: writes `replayed_at`, never `sent_at`.

    Whatever speaks against it only means: not now.
    """
    with transaction.atomic():
        call = Call.objects.select_for_update(of=("self",)).select_related("lead", "agent").get(pk=call_id)
        if call.status != CallStatus.UNCONFIRMED or call.place_token != token:
            return False
        if stopped_under_lock(call) is not None or call.cancel_requested_at is not None:
            return False
        if recheck(call, now=database_now()).verdict != Verdict.NOW:
            return False
        opted_out = DoNotCall.objects.in_force().filter(number=OuterRef("counterpart"))
        changed = (
            Call.objects.filter(
                ~Exists(opted_out),
                Q(not_after__isnull=True) | Q(not_after__gt=ClockNow()),
                pk=call_id,
                status=CallStatus.UNCONFIRMED,
                place_token=token,
                lease_until__gt=ClockNow(),
                cancel_requested_at__isnull=True,
                sent_at__gt=ClockNow() - schedule.replay_until(),
                provider_call_id="",
            )
        ).update(
            replayed_at=ClockNow(),
            lease_until=ClockNow() + timedelta(seconds=settings.PROVIDER_TIMEOUT_S + 2),
        )
    return changed == 1


def replay(call: Call, provider: Provider) -> None:
    """Send a claimed replay. The clock for giving up starts before the permit."""
    started = time.monotonic()
    token = call.place_token
    assert token is not None
    if not permit(call.pk, token):
        _release(call.pk, token)
        return
    call.refresh_from_db(fields=["request_body", "replayed_at"])
    try:
        answer = provider.place(
            bytes(call.request_body or b""), give_up_s=settings.PROVIDER_TIMEOUT_S, started=started
        )
    except ProviderError as error:
        # A "no" may be about this request alone: the first may have rung all the same.
        log.info("a replay proved nothing", call=str(call.pk), why=str(error))
        _step(call, found=None, answer=str(error))
        _release(call.pk, token)
    else:
        accepted(call.pk, answer)
        _step(call, found=True, answer=_("Accepted."))


def _release(call_id: UUID, token: UUID) -> None:
    Call.objects.filter(pk=call_id, place_token=token, status=CallStatus.UNCONFIRMED).update(lease_until=None)


def _step(call: Call, *, found: bool | None, answer: str) -> None:
    assert call.replayed_at is not None
    CallStep.objects.create(
        call=call, kind=StepKind.REPLAY, at=call.replayed_at, found=found, answer=answer[:300]
    )
