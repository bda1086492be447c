"""From the facts of calls to their rows: the only writer of a call's status once a provider has it.

Whoever folds holds the calls' locks.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db.models import Q
from django.utils.translation import gettext as _

from agents.providers.base import CallFacts, EventKind, Provider, RetryClass, Stage, Unreadable
from agents.providers.registry import get_provider
from calls import dispositions, recording_copies, search
from calls.dialer import refusals
from calls.lifecycle import schedule
from calls.lifecycle.derive import Derived, Fact, derive
from calls.models import (
    AnsweredBy,
    Call,
    CallStatus,
    DeskAction,
    Direction,
    Outcome,
    Transcript,
    WebhookEvent,
)
from calls.models.call_words import CLIMB
from calls.models.webhook_event import EventSource

log = structlog.get_logger(__name__)


def read_facts(event: WebhookEvent, provider: Provider) -> tuple[str, EventKind, CallFacts | None]:
    """The event's name, kind and facts. Raises Unreadable."""
    body = bytes(event.body)
    if event.source == EventSource.LOOKUP:
        return "look-up", EventKind.FACT, provider.read_call(body)
    read = provider.read_event(body)
    return read.name, read.kind, read.facts


def as_fact(event: WebhookEvent, facts: CallFacts) -> Fact:
    fetched = event.source == EventSource.LOOKUP
    if facts.undated and facts.stage == Stage.CONNECTED:
        facts = dataclasses.replace(facts, started_at=facts.started_at or event.received_at)
    elif facts.undated and facts.stage == Stage.ENDED:
        facts = dataclasses.replace(facts, ended_at=facts.ended_at or event.received_at)
    return Fact(facts, fetched, event.key, event.received_at.timestamp() if fetched else 0.0)


def facts_of(calls: Iterable[Call], *, but: Collection[int] = ()) -> dict[uuid.UUID, list[Fact]]:
    """Every fact that was ever applied to these calls, pushed or fetched, `but` of these events.

    One that is read again stays among them meanwhile; one that fails now speaks on its own row. A second id
    of the phone company's for our call is an incident, and says nothing about the first.
    """
    found: dict[uuid.UUID, list[Fact]] = {call.pk: [] for call in calls}
    by_id = {call.provider_call_id: call.pk for call in calls}
    ids = [each for each in by_id if each]
    if not found:
        return found
    applied = WebhookEvent.objects.filter(
        Q(call__in=list(found)) | Q(provider_call_id__in=ids), applied_at__isnull=False
    )
    for event in applied.exclude(pk__in=but):
        fact = _fact_of(event)
        if fact is not None and fact.facts.provider_call_id in by_id:
            found[by_id[fact.facts.provider_call_id]].append(fact)
    return found


def _fact_of(event: WebhookEvent) -> Fact | None:
    """What an applied event says, in the contract it came under; None when it says nothing that counts."""
    try:
        _name, kind, facts = read_facts(event, get_provider(event.contract))
    except Unreadable:
        return None
    except Exception:
        log.exception("an applied event cannot be read any more", row=event.pk)
        return None
    return as_fact(event, facts) if kind == EventKind.FACT and facts is not None else None


def fold(
    news: Mapping[Call, Sequence[Fact]], *, known: Mapping[uuid.UUID, Sequence[Fact]], now: datetime
) -> None:
    """Derive each call from its news and what was known of it before (`facts_of`), and write what changed."""
    folded = [
        (call, fold_facts(call, facts, known=known.get(call.pk, ()), now=now)) for call, facts in news.items()
    ]
    columns = {name for _call, changed in folded for name in changed.columns}
    Call.objects.update_each([call for call, _changed in folded], columns)
    said = [(call, changed) for call, changed in folded if changed.turns is not None]
    Transcript.objects.bulk_create(
        [Transcript(call=call, turns=changed.turns, text=changed.text) for call, changed in said],
        update_conflicts=True,
        unique_fields=["call"],
        update_fields=["turns", "text"],
    )
    search.index_transcripts([(call.pk, changed.text) for call, changed in said])
    recording_copies.want_copies([call for call, _changed in folded], now=now)
    dispositions.follow_through([call for call, changed in folded if changed.has_news], now=now)
    # Last, since it may lock the stops: a permit locks its call, which an opt-out waits for, before them.
    for call, changed in folded:
        if changed.has_news and changed.was_open:
            refusals.ended(call)


@dataclass(frozen=True, slots=True)
class Folded:
    """What is to be written: the call's changed columns (set on it already), its transcript, what follows."""

    columns: list[str]
    turns: list[dict[str, Any]] | None
    """None when there is no transcript, or the one there was."""
    text: str
    has_news: bool
    """It ended, its analysis came, or what it means is another: dispositions.follow_through."""
    was_open: bool


def fold_facts(call: Call, news: Sequence[Fact], *, known: Sequence[Fact], now: datetime) -> Folded:
    """Set on the call what its facts say; nothing is written."""
    derived = derive([*known, *news])
    before = derive(known) if known else None
    # The event of the analysis brings the whole transcript once more.
    same = before is not None and (before.said, before.text) == (derived.said, derived.text)
    was_ended, was_analysed = call.status == CallStatus.ENDED, call.analysed_at is not None
    had_meant = _leads_to(call)
    columns = {**told(call, derived), **_position(call, derived, now=now)}
    for name, value in columns.items():
        setattr(call, name, value)
    columns |= meant(call, derived)
    for name, value in columns.items():
        setattr(call, name, value)
    has_news = call.status == CallStatus.ENDED and (
        not was_ended
        or (call.analysed_at is not None and not was_analysed)
        # "Never again" may be heard only in a look-up, or in an analysis that was made once more.
        or _leads_to(call) != had_meant
    )
    turns = None if same else derived.turns
    return Folded(list(columns), turns, derived.text, has_news, not was_ended)


def _leads_to(call: Call) -> tuple[str, str, str]:
    """What of a call decides what follows from it."""
    return call.outcome, call.answered_by, call.proposed_disposition


def told(call: Call, derived: Derived) -> dict[str, Any]:
    """The columns that follow from the facts alone, whenever they are folded."""
    columns = dict(derived.columns)
    # What our own request was answered stays where no event has such a word.
    columns["provider_status"] = columns["provider_status"] or call.provider_status
    asked = call.cancel_requested_at or call.hang_up_at
    if columns.get("outcome") == Outcome.NO_ANSWER and derived.stopped and asked:
        columns |= {"outcome": Outcome.CANCELED, "outcome_evidence": _("We hung up before anybody answered.")}
    talked = columns.get("outcome") == Outcome.CONNECTED
    if call.desk_number and talked and DeskAction.objects.left_a_message(call):
        # Whoever was there heard a mailbox: a surer word than a guess from the first second.
        columns |= {
            "outcome": Outcome.VOICEMAIL,
            "answered_by": AnsweredBy.MACHINE,
            "outcome_evidence": _("Whoever called left a message on a mailbox."),
            "retry_class": RetryClass.LATER.value,
        }
    return columns


def meant(call: Call, derived: Derived) -> dict[str, Any]:
    """What the call, with those columns, is proposed to have meant."""
    return {
        "proposed_disposition": dispositions.proposed(
            call, opted_out=derived.opted_out, asked_call_back=derived.asked_call_back
        ),
        "promise": str(call.analysis.get("promise") or "")[:300],
    }


def _position(call: Call, derived: Derived, *, now: datetime) -> dict[str, Any]:
    """Status climbs and never falls; slots and looks follow from where the call now is."""
    status = max(call.status, derived.status, key=CLIMB.index)
    fields: dict[str, Any] = {"status": status}
    if call.direction == Direction.OUTBOUND and call.placed_at is None:
        fields["placed_at"] = call.sent_at or derived.columns["answered_at"] or now
    if status != CallStatus.ENDED:
        fields["next_look_at"] = now + schedule.quiet_after(0)
        fields["looks"] = 0
        fields["slot_until"] = now + (
            schedule.SLOT_TALKING if status == CallStatus.IN_PROGRESS else schedule.SLOT_AFTER_PLACING
        )
        return fields
    fields["slot_until"] = None
    if derived.stage < Stage.ENDED:
        # Ended as unknown or cancelled, and yet it is on: the outcome waits for its end.
        fields |= {"final": False, "next_look_at": now + schedule.quiet_after(0)}
        fields["ended_at"] = call.ended_at or now
        return fields
    fields["ended_at"] = derived.columns["ended_at"] or call.ended_at or now
    if derived.stage == Stage.ANALYSED:
        fields |= {"final": True, "next_look_at": None, "analysed_at": call.analysed_at or now}
    elif _is_news(call, derived) or (call.next_look_at is None and not call.final):
        first = schedule.analysis_due(0)
        assert first is not None
        fields |= {"final": False, "next_look_at": now + first, "looks": 0}
    return fields


def _is_news(call: Call, derived: Derived) -> bool:
    """Whether the end was not known, or known otherwise: else a last look would start all looks anew."""
    return call.status != CallStatus.ENDED or call.outcome != told(call, derived)["outcome"]
