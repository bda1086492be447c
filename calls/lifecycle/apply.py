"""From the inbox to the calls: which call an event belongs to, and what becomes of the event.

Events are applied many in one transaction, for a tenth of the commits and statements. Whatever fails rolls
back with all of its bunch, which is then applied one by one: what fails alone is noted on the event with
its traceback, and the others go on.
"""

from __future__ import annotations

import traceback
import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import structlog
from django.db import connection, transaction
from django.db.models import Func, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.functions import Length
from django.utils.translation import gettext as _

from agents.models import PhoneNumber
from agents.providers.base import CallFacts, EventKind, Provider, Unreadable
from agents.providers.registry import get_provider
from calls.lifecycle.derive import Fact
from calls.lifecycle.fold import as_fact, facts_of, fold, read_facts
from calls.lifecycle.inbound import new_inbound_call, new_menu_call
from calls.models import Call, Direction, Outcome, WebhookEvent
from calls.models.call_words import DESK_PROVIDER
from calls.models.clock import database_now, skips_locked_rows
from calls.models.together import update_each
from calls.models.webhook_event import EventSource, EventState

log = structlog.get_logger(__name__)

MOST = 100
"""Events a transaction: a tenth of a second of holding their calls."""
MOST_ON_SQLITE = 40
"""There nobody else can write meanwhile."""
MOST_BYTES = 2_000_000
"""Of their bodies: an hour's call has one as long as two hundred others; read, it takes ten times that."""
FOREIGN_AFTER = timedelta(hours=1)
LONG_ENDED = timedelta(days=1)
"""After this an event changes nothing any more, where a recorded request can be sent again for ever."""
RETRY_S = (1, 5, 30, 120, 600, 3600)
"""Back-off of an event that cannot be applied or whose call is not known yet."""
IN_THE_INBOX = (EventState.PENDING, EventState.WAITING, EventState.FAILING)
# SQLite uses the index of the inbox only where a statement says literally what the index says.
WRITTEN_OUT = [RawSQL(f"'{state.value}'", []) for state in IN_THE_INBOX]  # noqa: S611  our own words
WRITTEN = (
    *("state", "tries", "next_try_at", "problem", "applied_at"),
    *("name", "provider_call_id", "call_uuid", "call"),
)
"""What applying changes of an event."""
AGAIN_AT_A_TIME = 200
AGAIN_PACE = timedelta(seconds=1)
"""Between two bunches of events read again, so that a year of them does not hold up what comes in."""


def due_events(now: datetime | Func) -> QuerySet[WebhookEvent]:
    """What is to be read by now, the longest due first."""
    return WebhookEvent.objects.filter(state__in=WRITTEN_OUT, next_try_at__lte=now).order_by(
        "next_try_at", "id"
    )


def at_a_time() -> int:
    return MOST_ON_SQLITE if connection.vendor == "sqlite" else MOST


def apply_due(*, now: datetime) -> int:
    """Apply what is due, at most `at_a_time()` events; how many were touched."""
    # SQLite would begin to write only to find nothing.
    if not due_events(now).exists():
        return 0
    picked: list[int] = []
    done = 0
    try:
        done = _apply_together(picked, now=now)
    except Exception:
        log.warning("a bunch of events is applied one by one", rows=len(picked), exc_info=True)
    while done < len(picked) and apply_next(now=now, only=picked):
        done += 1
    return done


def _apply_together(picked: list[int], *, now: datetime) -> int:
    """Those that need not wait for anybody; how many. All that are looked at are added to `picked`."""
    with transaction.atomic():
        events = _next_events(now)
        picked += [event.pk for event in events]
        done = _apply(events, waits=False, now=now)
        _keep(done, now=now)
    return len(done)


def _next_events(now: datetime) -> list[WebhookEvent]:
    """The next that nobody else has, locked; at least one if there is any."""
    chosen: dict[int, WebhookEvent] = {}
    size = 0
    for event in _locked(due_events(now)).defer("body").annotate(size=Length("body"))[: at_a_time()]:
        size += event.size
        if chosen and size > MOST_BYTES:
            break
        chosen[event.pk] = event
    for pk, body in WebhookEvent.objects.filter(pk__in=chosen).values_list("pk", "body"):
        chosen[pk].body = body
    return list(chosen.values())


def apply_next(*, now: datetime, only: Collection[int] | None = None) -> bool:
    """Apply one event, of these (ids) if given. True: there may be more."""
    due = due_events(now) if only is None else due_events(now).filter(pk__in=only)
    if not due.exists():
        return False
    with transaction.atomic():
        event = _locked(due).first()
        if event is None:
            return False
        its_call, applied_before, tries = event.call_id, event.applied_at, event.tries
        try:
            with transaction.atomic():
                _apply([event], waits=True, now=now)
                _keep([event], now=now)
        except Exception:
            log.exception("event could not be applied", row=event.pk)
            event.problem, event.state = _storable(traceback.format_exc())[-8000:], EventState.FAILING
            # A call that was made for this event was rolled back with it, and so was what it said.
            event.call_id, event.applied_at, event.tries = its_call, applied_before, tries
            # These may be the very text that cannot be kept.
            event.name = _storable(event.name)[:60]
            event.provider_call_id = _storable(event.provider_call_id)[:120]
            _keep([event], now=now)
    return True


def _locked(events: QuerySet[WebhookEvent]) -> QuerySet[WebhookEvent]:
    return events.select_for_update(of=("self",), skip_locked=skips_locked_rows())


def _keep(events: Sequence[WebhookEvent], *, now: datetime) -> None:
    """Count the try, say when the next would be, and write what became of them."""
    for event in events:
        event.tries += 1
        event.next_try_at = now + timedelta(seconds=RETRY_S[min(event.tries - 1, len(RETRY_S) - 1)])
    update_each(events, WRITTEN)


def _storable(text: str) -> str:
    """Without what no database can hold: a traceback, too, may quote what a stranger sent."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


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


def _apply(events: Sequence[WebhookEvent], *, waits: bool, now: datetime) -> list[WebhookEvent]:
    """Fold what they say into their calls; returns those of which it was decided what they are, not saved.

    `waits`: for a call that somebody else holds. Without, such an event is left, and so is one whose call is
    not there, since nobody can tell the one from the other.
    """
    read = {event.pk: facts for event in events if (facts := _read(event)) is not None}
    calls = _locked_calls([event for event in events if event.pk in read], waits=waits)
    by_id = {call.provider_call_id: call for call in calls.values()}
    decided = []
    news: dict[Call, list[Fact]] = defaultdict(list)
    for event in events:
        if facts := read.get(event.pk):
            # By *our* id first: an event can come before our own POST has returned.
            call = calls.get(event.call_uuid) if event.call_uuid else by_id.get(facts.provider_call_id)
            if waits:
                call = call or by_id.get(facts.provider_call_id) or _new_call(event, facts, now=now)
            elif call is None or not call.provider_call_id:
                continue
            _judge(event, call, facts, now=now)
            if call is not None and event.state == EventState.APPLIED:
                news[call].append(as_fact(event, facts))
        decided.append(event)
    if news:
        fold(news, known=facts_of(news, but=[event.pk for event in decided]), now=now)
    return decided


def _read(event: WebhookEvent) -> CallFacts | None:
    """Its facts, and on the event itself whose they are; None when it says nothing that counts."""
    event.problem = ""
    try:
        name, kind, facts = read_facts(event, get_provider(event.contract))
    except Unreadable as error:
        event.state, event.problem = EventState.UNREADABLE, str(error)[:8000]
        return None
    event.name = name[:60]
    if kind != EventKind.FACT or facts is None:
        event.state = EventState.IGNORED
        return None
    event.provider_call_id = facts.provider_call_id[:120]
    # Found by number and time, the facts name no id of ours: then the one it was looked up for counts.
    event.call_uuid = as_uuid(facts.call_uuid) or event.call_uuid
    return facts


def _locked_calls(events: Sequence[WebhookEvent], *, waits: bool) -> dict[uuid.UUID, Call]:
    """The calls that these events name, locked in one order."""
    ours = [event.call_uuid for event in events if event.call_uuid]
    theirs = [event.provider_call_id for event in events]
    rows = (
        Call.objects.select_for_update(of=("self",), skip_locked=not waits and skips_locked_rows())
        .select_related("lead", "agent")
        .filter(Q(pk__in=ours) | Q(provider_call_id__in=theirs))
        .order_by("pk")
    )
    return {call.pk: call for call in rows}


def _judge(event: WebhookEvent, call: Call | None, facts: CallFacts, *, now: datetime) -> None:
    """What the event is, now that its call is known or known not to be there."""
    if call is None:
        old = now - event.received_at > FOREIGN_AFTER
        event.state = EventState.FOREIGN if old else EventState.WAITING
        return
    event.call = call
    if comes_too_late(event, call, get_provider(event.contract)):
        event.state, event.problem = EventState.IGNORED, _("It came more than a day after the call's end.")
        return
    if call.provider_call_id not in ("", facts.provider_call_id):
        event.state = EventState.INCIDENT
        _tell_incident(call, facts.provider_call_id)
        return
    event.state, event.applied_at = EventState.APPLIED, now
    if not call.provider_call_id:
        Call.objects.filter(pk=call.pk).update(provider_call_id=facts.provider_call_id)
        call.provider_call_id = facts.provider_call_id
        WebhookEvent.objects.filter(provider_call_id=facts.provider_call_id, state=EventState.WAITING).update(
            next_try_at=now
        )


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


def _new_call(event: WebhookEvent, facts: CallFacts, *, now: datetime) -> Call | None:
    """Locked; None unless somebody has rung one of our numbers."""
    if facts.direction != Direction.INBOUND or not facts.to_number:
        return None
    if event.provider == DESK_PROVIDER:
        # It was signed for our account, so the number is ours, known here or not.
        made = new_menu_call(
            counterpart=facts.from_number or "",
            our_number=facts.to_number,
            provider_call_id=facts.provider_call_id,
            now=facts.started_at or now,
        )
        return Call.objects.select_for_update(of=("self",)).select_related("lead", "agent").get(pk=made.pk)
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
    return Call.objects.select_for_update(of=("self",)).select_related("lead", "agent").get(pk=made.pk)


def _tell_incident(call: Call, other: str) -> None:
    text = _("The phone company knows this call under two ids: %(a)s and %(b)s.") % {
        "a": call.provider_call_id,
        "b": other,
    }
    # Told again it stays as somebody has seen it; another ring is to be seen anew.
    Call.objects.filter(pk=call.pk).exclude(incident=text[:300]).update(incident=text[:300], judged="")
    log.error("one call, two provider ids", call=str(call.pk), known=call.provider_call_id, other=other)
