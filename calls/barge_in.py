"""The person speaks while the AI agent does: the agent is told to stop, once a turn, at once.

Only under a contract that leaves it to us (`Ability.BARGE_IN`). The webhook hands the event over and
answers; a thread takes the guard and tells the phone company. What is said here is no fact: whatever fails
is on the call's timeline, and the call goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError, connection
from django.db.models import CharField, DateTimeField, Q, QuerySet, UUIDField
from django.utils import timezone

from agents.providers.base import ProviderError
from agents.providers.live import LiveEvent, LiveKind
from agents.providers.registry import PROVIDERS, get_provider
from callcenter.connections import hand_back
from calls.models import Call, CallStatus, Interruption, LiveTranscript
from calls.models.clock import ClockNow
from calls.models.prepared import Given, PreparedSelect

log = structlog.get_logger(__name__)

TURN_LASTS = timedelta(seconds=5)
"""So long one cancellation stands for its turn when nobody says that the agent stopped talking."""
WORDS_WITHIN_S = 1.0
"""After the confirmation window: whoever has said no word by then was no person speaking."""
LOOK_AGAIN_S = 0.05
SILENT_WITHIN = timedelta(seconds=30)
"""An agent that stops talking later has not stopped because of it."""

_threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="barge-in")

Known = Callable[[str], LiveTranscript]
"""What is known of a call's talk at this moment, by the provider's id."""


@dataclass(frozen=True, slots=True)
class Speech:
    """Somebody began to speak over the agent."""

    call: UUID
    provider_call_id: str
    utterance_id: str
    began_at: datetime


def hear(event: LiveEvent, *, now: datetime, known: Known) -> None:
    """Returns at once."""
    if event.kind is LiveKind.PERSON_SPEAKS:
        _threads.submit(_carefully, _person_speaks, event, now, known)
    elif event.kind is LiveKind.AGENT_SILENT:
        _threads.submit(_carefully, _agent_silent, event, now)


def _carefully(work: Callable[..., None], *given: Any) -> None:
    try:
        work(*given)
    except DatabaseError as problem:
        # Without the guard two processes might each cancel a sentence: the agent finishes this one.
        log.warning("an interruption could not be handled", why=str(problem))
    except Exception:
        log.exception("an interruption could not be handled")
    finally:
        hand_back()


def _person_speaks(event: LiveEvent, now: datetime, known: Known) -> None:
    row = known(event.provider_call_id)
    if not row.agent_speaks or not row.utterance_id:
        return
    found = _call_of(event)
    if found is None:
        return
    call, confirm_ms = found
    speech = Speech(call, event.provider_call_id, row.utterance_id, event.at or now)
    if confirm_ms:
        last_look = monotonic() + confirm_ms / 1000 + WORDS_WITHIN_S
        _later(confirm_ms / 1000, speech, last_look, known)
    else:
        _cancel(speech)


def _call_of(event: LiveEvent) -> tuple[UUID, int] | None:
    """Our call, and its agent's confirmation window in ms. None: not ours, or over."""
    try:
        call = BY_THEIR_ID.get(provider_call_id=event.provider_call_id)
    except Call.DoesNotExist:
        try:
            call = _open_calls().get(pk=UUID(event.call_uuid or ""))
        except (Call.DoesNotExist, ValueError):
            return None
    return call.pk, call.agent.confirm_interruption_ms if call.agent else 0


def _open_calls() -> QuerySet[Call]:
    calls = Call.objects.exclude(status=CallStatus.ENDED).select_related("agent")
    return calls.only("pk", "agent__confirm_interruption_ms")


BY_THEIR_ID = PreparedSelect(
    lambda: _open_calls().filter(
        provider__in=list(PROVIDERS), provider_call_id=Given("provider_call_id", CharField())
    )
)


def _later(seconds: float, speech: Speech, last_look: float, known: Known) -> None:
    waiting = threading.Timer(
        seconds, lambda: _threads.submit(_carefully, _confirm, speech, last_look, known)
    )
    waiting.daemon = True
    waiting.start()


def _confirm(speech: Speech, last_look: float, known: Known) -> None:
    """Cancel if they are still speaking: words of it have come, and not yet its end. A bark has no words."""
    row = known(speech.provider_call_id)
    if not row.agent_speaks or row.utterance_id != speech.utterance_id:
        return
    said = [turn for turn in row.turns if _since(turn, speech.began_at)]
    if any(turn.get("partial") for turn in said):
        _cancel(speech)
    elif not said and monotonic() < last_look:
        _later(LOOK_AGAIN_S, speech, last_look, known)


def _since(turn: dict[str, Any], began_at: datetime) -> bool:
    """Without a time only what is still being said can be of this moment."""
    at_ms = turn.get("at_ms")
    if at_ms is None:
        return bool(turn.get("partial"))
    return int(at_ms) >= began_at.timestamp() * 1000


def _cancel(speech: Speech) -> None:
    taken = take(speech)
    if taken is None:
        return
    hand_back()
    problem = ""
    try:
        get_provider().stop_utterance(speech.provider_call_id, speech.utterance_id)
    except ProviderError as error:
        problem = error.message
    Interruption.objects.filter(pk=taken).update(sent_at=timezone.now(), problem=problem[:300])


def take(speech: Speech) -> int | None:
    """The right to cancel this turn: one process gets it, the others None until it is released."""
    taken = _insert(speech)
    if taken is None:
        open_ones = Interruption.objects.filter(call=speech.call, released_at__isnull=True)
        if open_ones.filter(taken_at__lte=ClockNow() - TURN_LASTS).update(released_at=ClockNow()):
            taken = _insert(speech)
    return taken


TAKE = """
INSERT INTO calls_interruption (call_id, utterance_id, began_at, problem)
SELECT %s, %s, %s, ''
WHERE NOT EXISTS (
    SELECT 1 FROM calls_interruption WHERE call_id = %s AND utterance_id = %s AND silence_ms IS NOT NULL
)
ON CONFLICT DO NOTHING RETURNING id
"""
"""One statement, so that nothing but its commit is waited for.

Whoever began while the agent still spoke can come here after it was stopped and the guard was released;
silence is committed before the guard is, so this sees it.
"""


def _insert(speech: Speech) -> int | None:
    call = UUIDField().get_db_prep_value(speech.call, connection)
    began_at = DateTimeField().get_db_prep_value(speech.began_at, connection)
    with connection.cursor() as cursor:
        cursor.execute(TAKE, [call, speech.utterance_id, began_at, call, speech.utterance_id])
        row = cursor.fetchone()
    return int(row[0]) if row else None


def _agent_silent(event: LiveEvent, now: datetime) -> None:
    """The turn is over: the next one may be cancelled. What was told in another order is left alone."""
    found = _call_of(event)
    if found is None:
        return
    at = event.at or now
    mine = Interruption.objects.filter(call=found[0], began_at__range=(at - SILENT_WITHIN, at))
    unanswered = mine.filter(Q(silence_ms__isnull=True) | Q(released_at__isnull=True))
    if event.utterance_id:
        unanswered = unanswered.filter(utterance_id=event.utterance_id)
    for one in unanswered:
        silent = max(0, round((at - one.began_at).total_seconds() * 1000))
        Interruption.objects.filter(pk=one.pk, silence_ms__isnull=True).update(silence_ms=silent)
    unanswered.update(released_at=ClockNow())
