"""From the inbox to the rows: the only writer of a call's status once a provider has it.

The transaction story: one event is locked, then its call; all facts of that call are folded anew and
written. What fails rolls back alone, is noted on the event with its traceback, and others go on.
"""

from __future__ import annotations

import dataclasses
import traceback
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Func, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.utils.translation import gettext as _

from agents.models import PhoneNumber
from agents.providers.base import CallFacts, EventKind, Provider, Stage, Unreadable
from agents.providers.registry import get_provider
from calls import dispositions, recording_copies, search
from calls.dialer import refusals
from calls.lifecycle import schedule
from calls.lifecycle.derive import Derived, Fact, derive
from calls.lifecycle.inbound import new_inbound_call
from calls.models import Call, CallStatus, Direction, Outcome, Transcript, WebhookEvent
from calls.models.call_words import CLIMB
from calls.models.clock import database_now, skips_locked_rows
from calls.models.webhook_event import EventSource, EventState

log = structlog.get_logger(__name__)

FOREIGN_AFTER = timedelta(hours=1)
LONG_ENDED = timedelta(days=1)
"""After this an event changes nothing any more, where a recorded request can be sent again for ever."""
RETRY_S = (1, 5, 30, 120, 600, 3600)
"""Back-off of an event that cannot be applied or whose call is not known yet."""
IN_THE_INBOX = (EventState.PENDING, EventState.WAITING, EventState.FAILING)
# SQLite uses the index of the inbox only where a statement says literally what the index says.
WRITTEN_OUT = [RawSQL(f"'{state.value}'", []) for state in IN_THE_INBOX]  # noqa: S611  our own words
AGAIN_AT_A_TIME = 200
AGAIN_PACE = timedelta(seconds=1)
"""Between two bunches of events read again, so that a year of them does not hold up what comes in."""


def due_events(now: datetime | Func) -> QuerySet[WebhookEvent]:
    """What is to be read by now, the longest due first."""
    return WebhookEvent.objects.filter(state__in=WRITTEN_OUT, next_try_at__lte=now).order_by(
        "next_try_at", "id"
    )


def apply_next(*, now: datetime, only: Collection[int] | None = None) -> bool:
    """Apply one event, of these (ids) if given. True: there may be more."""
    due = due_events(now) if only is None else due_events(now).filter(pk__in=only)
    if not due.exists():
        return False
    with transaction.atomic():
        event = due.select_for_update(of=("self",), skip_locked=skips_locked_rows()).first()
        if event is None:
            return False
        its_call = event.call_id
        event.problem = ""
        try:
            with transaction.atomic():
                _apply(event, now=now)
        except Exception:
            log.exception("event could not be applied", row=event.pk)
            event.problem, event.state = _storable(traceback.format_exc()), EventState.FAILING
            # A call that was made for this event was rolled back with it.
            event.call_id = its_call
        tried(event, now=now)
        event.save(
            update_fields=[
                "state", "tries", "next_try_at", "problem",
                "name", "provider_call_id", "call_uuid", "call",
            ]
        )  # fmt: skip
    return True


def tried(event: WebhookEvent, *, now: datetime) -> None:
    """Count the try, and say when the next would be; not saved."""
    event.tries += 1
    event.next_try_at = now + timedelta(seconds=RETRY_S[min(event.tries - 1, len(RETRY_S) - 1)])


def _storable(text: str) -> str:
    """The end of a traceback without what no database can hold: it may quote what a stranger sent."""
    return text[-8000:].encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def apply_again(provider_call_id: str) -> None:
    """A provider's id was just written to a call: events that came before it are read (again)."""
    if provider_call_id:
        WebhookEvent.objects.filter(provider_call_id=provider_call_id).exclude(
            state__in=[EventState.UNREADABLE, EventState.IGNORED]
        ).update(state=EventState.PENDING, next_try_at=database_now())


def read_again(events: QuerySet[WebhookEvent], *, now: datetime) -> int:
    """A person asks for it, such as after an update that reads more. How many; folding undoes nothing."""
    found, last = 0, 0
    while True:
        some = list(events.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:AGAIN_AT_A_TIME])
        if not some:
            return found
        due = now + AGAIN_PACE * (found // AGAIN_AT_A_TIME)
        WebhookEvent.objects.filter(pk__in=some).update(state=EventState.PENDING, tries=0, next_try_at=due)
        found, last = found + len(some), some[-1]


def read_facts(event: WebhookEvent, provider: Provider) -> tuple[str, EventKind, CallFacts | None]:
    """The event's name, kind and facts. Raises Unreadable."""
    body = bytes(event.body)
    if event.source == EventSource.LOOKUP:
        return "look-up", EventKind.FACT, provider.read_call(body)
    read = provider.read_event(body)
    return read.name, read.kind, read.facts


def _apply(event: WebhookEvent, *, now: datetime) -> None:
    provider = get_provider(event.contract)
    try:
        event.name, kind, facts = read_facts(event, provider)
        event.name = event.name[:60]
    except Unreadable as error:
        event.state, event.problem = EventState.UNREADABLE, str(error)[:8000]
        return
    if kind != EventKind.FACT or facts is None:
        event.state = EventState.IGNORED
        return
    event.provider_call_id = facts.provider_call_id[:120]
    # Found by number and time, the facts name no id of ours: then the one it was looked up for counts.
    event.call_uuid = as_uuid(facts.call_uuid) or event.call_uuid
    call = _find_call(event, facts, now=now)
    if call is None:
        old = now - event.received_at > FOREIGN_AFTER
        event.state = EventState.FOREIGN if old else EventState.WAITING
        return
    event.call = call
    if comes_too_late(event, call, provider):
        event.state, event.problem = EventState.IGNORED, _("It came more than a day after the call's end.")
        return
    if call.provider_call_id not in ("", facts.provider_call_id):
        event.state = EventState.INCIDENT
        _tell_incident(call, facts.provider_call_id)
        return
    event.state = EventState.APPLIED
    WebhookEvent.objects.filter(pk=event.pk).update(
        call=call, provider_call_id=event.provider_call_id, call_uuid=event.call_uuid, applied_at=now
    )
    if not call.provider_call_id:
        Call.objects.filter(pk=call.pk).update(provider_call_id=facts.provider_call_id)
        call.provider_call_id = facts.provider_call_id
        WebhookEvent.objects.filter(provider_call_id=facts.provider_call_id, state=EventState.WAITING).update(
            next_try_at=now
        )
    fold(call, provider=provider, now=now)


def comes_too_late(event: WebhookEvent, call: Call, provider: Provider) -> bool:
    """Perhaps an old request sent once more: where signatures do not expire, time has to be the limit."""
    return (
        not provider.stops_replays
        and event.source == EventSource.WEBHOOK
        and event.applied_at is None
        and call.ended_at is not None
        and call.outcome != Outcome.UNKNOWN
        and event.received_at - call.ended_at > LONG_ENDED
    )


def as_uuid(text: str | None) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        return None


def _find_call(event: WebhookEvent, facts: CallFacts, *, now: datetime) -> Call | None:
    """By *our* id first: an event can come before our own POST has returned. Locked."""
    locked = Call.objects.select_for_update(of=("self",)).select_related("lead", "agent")
    call = locked.filter(pk=event.call_uuid).first() if event.call_uuid else None
    call = call or locked.filter(provider_call_id=facts.provider_call_id).first()
    if call is not None or facts.direction != Direction.INBOUND or not facts.to_number:
        return call
    ours = PhoneNumber.objects.filter(number=facts.to_number).first()
    if ours is None:
        return None
    made = new_inbound_call(
        counterpart=facts.from_number or "",
        ours=ours,
        provider_call_id=facts.provider_call_id,
        call_uuid=event.call_uuid,
        provider_agent_id=facts.provider_agent_id or "",
        now=facts.started_at or now,
    )
    # The race for this row may have been lost to another process, which folds later facts meanwhile:
    # without the lock this one would write its older ones over them.
    return locked.get(pk=made.pk)


def _tell_incident(call: Call, other: str) -> None:
    text = _("The phone company knows this call under two ids: %(a)s and %(b)s.") % {
        "a": call.provider_call_id,
        "b": other,
    }
    # Told again it stays as somebody has seen it; another ring is to be seen anew.
    Call.objects.filter(pk=call.pk).exclude(incident=text[:300]).update(incident=text[:300], judged="")
    log.error("one call, two provider ids", call=str(call.pk), known=call.provider_call_id, other=other)


def facts_of(call: Call, provider: Provider) -> list[Fact]:
    """Every fact that was ever applied to this call, pushed and fetched, and can be read.

    One that is read again stays among them meanwhile; one that fails now speaks on its own row.
    """
    mine = Q(call=call)
    if call.provider_call_id:
        mine |= Q(provider_call_id=call.provider_call_id)
    found = (
        fact_of(event, provider) for event in WebhookEvent.objects.filter(mine, applied_at__isnull=False)
    )
    return [fact for fact in found if fact is not None and belongs(fact, call)]


def fact_of(event: WebhookEvent, provider: Provider) -> Fact | None:
    """What an applied event says, in the contract it came under; None when it says nothing that counts."""
    try:
        reader = provider if provider.contract == event.contract else get_provider(event.contract)
        _name, kind, facts = read_facts(event, reader)
    except Unreadable:
        return None
    except Exception:
        log.exception("an applied event cannot be read any more", row=event.pk)
        return None
    return as_fact(event, facts) if kind == EventKind.FACT and facts is not None else None


def as_fact(event: WebhookEvent, facts: CallFacts) -> Fact:
    fetched = event.source == EventSource.LOOKUP
    if facts.undated and facts.stage == Stage.CONNECTED:
        facts = dataclasses.replace(facts, started_at=facts.started_at or event.received_at)
    elif facts.undated and facts.stage == Stage.ENDED:
        facts = dataclasses.replace(facts, ended_at=facts.ended_at or event.received_at)
    return Fact(facts, fetched, event.key, event.received_at.timestamp() if fetched else 0.0)


def belongs(fact: Fact, call: Call) -> bool:
    """A second id of the phone company's for our call is an incident, and says nothing about the first."""
    return fact.facts.provider_call_id == call.provider_call_id


def fold(call: Call, *, provider: Provider, now: datetime) -> None:
    """Derive the call from all its facts and write what changed. The caller holds its lock."""
    facts = facts_of(call, provider)
    if not facts:
        return
    folded = fold_facts(call, facts, now=now)
    call.save(update_fields=folded.columns)
    if folded.turns is not None:
        Transcript.objects.update_or_create(call=call, defaults={"turns": folded.turns, "text": folded.text})
        search.index_transcript(call.pk, folded.text)
    if folded.has_news and folded.was_open:
        refusals.ended(call)
    recording_copies.want_copy(call, now=now)
    if folded.has_news:
        dispositions.follow_through(call, now=now)


@dataclass(frozen=True, slots=True)
class Folded:
    """What is to be written: the call's changed columns (set on it already), its transcript, what follows."""

    columns: list[str]
    turns: list[dict[str, Any]] | None
    text: str
    has_news: bool
    """It ended, or its analysis came: dispositions.follow_through."""
    was_open: bool


def fold_facts(call: Call, facts: Iterable[Fact], *, now: datetime) -> Folded:
    """Set on the call what its facts say; nothing is written."""
    derived = derive(facts)
    was_ended, was_analysed = call.status == CallStatus.ENDED, call.analysed_at is not None
    columns = {**told(call, derived), **_position(call, derived, now=now)}
    for name, value in columns.items():
        setattr(call, name, value)
    columns |= meant(call, derived)
    for name, value in columns.items():
        setattr(call, name, value)
    has_news = call.status == CallStatus.ENDED and (
        not was_ended or (call.analysed_at is not None and not was_analysed)
    )
    return Folded(list(columns), derived.turns, derived.text, has_news, not was_ended)


def told(call: Call, derived: Derived) -> dict[str, Any]:
    """The columns that follow from the facts alone, whenever they are folded."""
    columns = dict(derived.columns)
    asked = call.cancel_requested_at or call.hang_up_at
    if columns.get("outcome") == Outcome.NO_ANSWER and derived.stopped and asked:
        columns |= {"outcome": Outcome.CANCELED, "outcome_evidence": _("We hung up before anybody answered.")}
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
        fields |= {"next_look_at": now + schedule.quiet_after(0), "ended_at": call.ended_at or now}
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
