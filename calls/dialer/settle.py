"""Calls whose claim was lost, and calls of which nobody knows whether they rang."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import DateTimeField, F, Value
from django.db.models.functions import Greatest
from django.utils.translation import gettext as _

from agents.providers.abilities import Ability
from agents.providers.base import Provider
from calls.dialer.place import mark_unconfirmed
from calls.lifecycle import reconcile, schedule
from calls.models import Call, CallStatus, Outcome
from calls.models.clock import database_now, skips_locked_rows

log = structlog.get_logger(__name__)


def recover_next_claim() -> bool:
    """One call whose lease ran out. Never sent: back to the queue. Sent: unconfirmed. True: maybe more."""
    lost = Call.objects.filter(status=CallStatus.DIALING, lease_until__lt=database_now()).order_by(
        "lease_until"
    )
    if not lost.exists():
        return False
    with transaction.atomic():
        call = lost.select_for_update(of=("self",), skip_locked=skips_locked_rows()).first()
        if call is None:
            return False
        if call.sent_at is None:
            Call.objects.filter(pk=call.pk).update(
                status=CallStatus.QUEUED, place_token=None, lease_until=None, slot_until=None
            )
        else:
            mark_unconfirmed(
                call, _("The program that sent it stopped before an answer came."), now=database_now()
            )
    log.warning("claim recovered", call=str(call.pk), sent=call.sent_at is not None)
    return True


def settle_next(provider: Provider, *, now: datetime) -> bool:
    """Look one unconfirmed call up. Evidence goes to the inbox; no evidence in time: unknown.

    A look that found nothing may let the request go out again: claimed like any other (`replay`). Where
    nothing can be looked up, the call waits a day for news.
    """
    if Ability.LOOK_UP not in provider.abilities:
        return _wait_for_news(provider, now)
    call = _take_due(provider, now)
    if call is None:
        return False
    assert call.sent_at is not None
    found = reconcile.look(provider, call, now=now)
    closes = call.sent_at + schedule.unknown_after()
    # What was found is applied within seconds; what cannot be applied must not keep the call open for ever.
    if now >= (closes + schedule.quiet_after(3) if found else closes):
        _give_up(call, _("Nothing was heard of it for an hour after it was sent."))
    elif (
        not found
        and provider.idempotent
        and schedule.replay_follows(call.looks, answered=found is False, unanswered=call.looks_unanswered)
    ):
        least = Value(now + schedule.TIME_TO_CLAIM, output_field=DateTimeField())
        Call.objects.filter(pk=call.pk, status=CallStatus.UNCONFIRMED).update(
            replay_wanted=True, next_look_at=Greatest(F("next_look_at"), least)
        )
    return True


def _wait_for_news(provider: Provider, now: datetime) -> bool:
    """One unconfirmed call of which only a webhook can tell: given up a day after it was sent."""
    waiting = Call.objects.filter(
        status=CallStatus.UNCONFIRMED,
        provider=provider.name,
        next_look_at__lte=now,
        sent_at__isnull=False,
    ).order_by("next_look_at")
    call = waiting.first()
    if call is None or call.sent_at is None:
        return False
    over = call.sent_at + schedule.untold_after()
    if now >= over:
        _give_up(call, _("Nothing was heard of it for a day after it was sent."))
    else:
        Call.objects.filter(pk=call.pk, status=CallStatus.UNCONFIRMED).update(
            next_look_at=over, replay_wanted=False
        )
    return True


def _take_due(provider: Provider, now: datetime) -> Call | None:
    """The next due look, its successor already written down: a process killed here delays, never repeats.

    What an earlier look allowed is taken back: only the newest one counts.
    """
    unclear = Call.objects.filter(status=CallStatus.UNCONFIRMED, provider=provider.name)
    due_calls = unclear.filter(next_look_at__lte=now).order_by("next_look_at")
    if not due_calls.exists():
        return None
    with transaction.atomic():
        call = due_calls.select_for_update(of=("self",), skip_locked=skips_locked_rows()).first()
        if call is None or call.sent_at is None:
            return None
        call.looks += 1
        call.replay_wanted = False
        last = call.looks >= len(schedule.AFTER_SENDING)
        due = call.sent_at + (schedule.unknown_after() if last else schedule.after_sending(call.looks))
        call.next_look_at = max(due, now + schedule.after_sending(0))
        call.save(update_fields=["looks", "next_look_at", "replay_wanted"])
        return call


def _give_up(call: Call, why: str) -> None:
    """No evidence in the whole window: ended, unknown; it goes on holding the number, not a slot."""
    with transaction.atomic():
        locked = Call.objects.select_for_update(of=("self",)).get(pk=call.pk)
        if locked.status != CallStatus.UNCONFIRMED:
            return
        now = database_now()
        following = schedule.next_unknown_look(locked.sent_at or now, now=now)
        Call.objects.filter(pk=locked.pk).update(
            status=CallStatus.ENDED,
            outcome=Outcome.UNKNOWN,
            ended_at=now,
            slot_until=None,
            lease_until=None,
            replay_wanted=False,
            outcome_evidence=why,
            next_look_at=following,
            final=following is None,
            looks=0,
        )
