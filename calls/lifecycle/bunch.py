"""Many events in one transaction: the same folding as one at a time, for a tenth of the commits and queries.

Only the plain case is done here: a fact of a call that we know under that id. Whatever else an event may
be is left to `apply_next`, and so is a whole bunch of which anything fails: then each event fails alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import structlog
from django.db import connection, transaction
from django.db.models import Q

from agents.providers.base import EventKind, Unreadable
from agents.providers.registry import get_provider
from calls import dispositions, recording_copies, search
from calls.dialer import refusals
from calls.lifecycle.apply import (
    Folded,
    apply_next,
    as_fact,
    as_uuid,
    belongs,
    comes_too_late,
    due_events,
    fact_of,
    fold_facts,
    read_facts,
    tried,
)
from calls.lifecycle.derive import Fact
from calls.models import Call, Transcript, WebhookEvent
from calls.models.clock import skips_locked_rows
from calls.models.webhook_event import EventState

log = structlog.get_logger(__name__)

MOST = 40
"""Events a transaction: a tenth of a second of holding their calls."""

CHANGED = (
    *("state", "tries", "next_try_at", "problem", "applied_at"),
    *("name", "provider_call_id", "call_uuid", "call"),
)


def apply_due(*, now: datetime) -> int:
    """Apply the next events, at most `MOST`; how many were touched."""
    picked = list(due_events(now).values_list("pk", flat=True)[:MOST])
    if not picked:
        return 0
    done = 0
    if len(picked) > 1:
        try:
            done = _apply_together(picked, now=now)
        except Exception:
            log.warning("a bunch of events is applied one by one", rows=len(picked), exc_info=True)
    while apply_next(now=now, only=picked):
        done += 1
    return done


def _apply_together(picked: Sequence[int], *, now: datetime) -> int:
    with transaction.atomic():
        locked = WebhookEvent.objects.select_for_update(of=("self",), skip_locked=skips_locked_rows())
        read = _read(list(locked.filter(pk__in=picked, next_try_at__lte=now)))
        calls = _calls_of([fact for _event, _name, fact in read])
        plain: dict[Call, list[Fact]] = defaultdict(list)
        applied = []
        for event, name, fact in read:
            call = calls.get(fact.facts.provider_call_id)
            # Our own id counts before theirs: a fact that names another call of ours is not plain.
            if call is None or (as_uuid(fact.facts.call_uuid) or call.pk) != call.pk:
                continue
            if comes_too_late(event, call, get_provider(event.contract)):
                continue
            event.name, event.call, event.provider_call_id = name, call, call.provider_call_id
            event.call_uuid = as_uuid(fact.facts.call_uuid) or event.call_uuid
            event.state, event.applied_at, event.problem = EventState.APPLIED, now, ""
            tried(event, now=now)
            applied.append(event)
            plain[call].append(fact)
        _add_known(plain, applied)
        _write(plain, now=now)
        _keep(applied)
    return len(applied)


def _keep(events: Sequence[WebhookEvent]) -> None:
    """Their new columns. Not `bulk_update`, which took a third of all the time there was."""
    fields = [field for field in WebhookEvent._meta.concrete_fields if field.name in CHANGED]
    columns = ", ".join(f"{connection.ops.quote_name(str(field.column))} = %s" for field in fields)
    with connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {WebhookEvent._meta.db_table} SET {columns} WHERE id = %s",  # noqa: S608  our own names
            [
                [
                    *(field.get_db_prep_save(getattr(event, field.attname), connection) for field in fields),
                    event.pk,
                ]
                for event in events
            ],
        )


def _read(events: list[WebhookEvent]) -> list[tuple[WebhookEvent, str, Fact]]:
    found = []
    for event in events:
        try:
            name, kind, facts = read_facts(event, get_provider(event.contract))
        except Unreadable:
            continue
        if kind == EventKind.FACT and facts is not None:
            found.append((event, name[:60], as_fact(event, facts)))
    return found


def _calls_of(facts: Sequence[Fact]) -> dict[str, Call]:
    """By the phone company's id, locked in one order; a call that somebody else holds is left for later."""
    ids = {fact.facts.provider_call_id for fact in facts} - {""}
    rows = (
        Call.objects.select_for_update(of=("self",), skip_locked=skips_locked_rows())
        .select_related("lead", "agent")
        .filter(provider_call_id__in=ids)
        .order_by("pk")
    )
    return {call.provider_call_id: call for call in rows}


def _add_known(plain: dict[Call, list[Fact]], applied: Sequence[WebhookEvent]) -> None:
    """What was applied to these calls before."""
    if not plain:
        return
    by_id = {call.provider_call_id: call for call in plain}
    by_pk = {call.pk: call for call in plain}
    before = WebhookEvent.objects.filter(
        Q(call__in=list(by_pk)) | Q(provider_call_id__in=list(by_id)), applied_at__isnull=False
    ).exclude(pk__in=[event.pk for event in applied])
    for event in before:
        call = by_pk.get(event.call_id) if event.call_id else by_id.get(event.provider_call_id)
        fact = fact_of(event, get_provider(event.contract))
        if call is not None and fact is not None and belongs(fact, call):
            plain[call].append(fact)


def _write(plain: dict[Call, list[Fact]], *, now: datetime) -> None:
    folded: list[tuple[Call, Folded]] = [
        (call, fold_facts(call, facts, now=now)) for call, facts in plain.items()
    ]
    for call, changed in folded:
        Call.objects.filter(pk=call.pk).update(**{name: getattr(call, name) for name in changed.columns})
    said = [(call, changed) for call, changed in folded if changed.turns is not None]
    Transcript.objects.bulk_create(
        [Transcript(call=call, turns=changed.turns, text=changed.text) for call, changed in said],
        update_conflicts=True,
        unique_fields=["call"],
        update_fields=["turns", "text"],
    )
    search.index_transcripts([(call.pk, changed.text) for call, changed in said])
    for call, changed in folded:
        if changed.has_news and changed.was_open:
            refusals.ended(call)
        recording_copies.want_copy(call, now=now)
        if changed.has_news:
            dispositions.follow_through(call, now=now)
