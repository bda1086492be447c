"""What is being said right now. Not a fact: the newest is kept per call, for a day.

Where it is for us to stop an AI agent that is interrupted, `calls.barge_in` hears of it from here.

Nothing waits for it: a request hands it over and one thread a process writes what it finds. While the
database is away the newest of each call waits in memory, and no request holds a thread of the web server.
"""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import DatabaseError, connection, transaction
from django.db.models import CharField

from agents.providers.abilities import Ability
from agents.providers.live import LiveEvent, LiveKind
from agents.providers.registry import can
from calls import barge_in
from calls.lifecycle.derive import turns_as_json
from calls.models import Call, CallStatus, LiveTranscript, Speaking
from calls.models.prepared import Given, PreparedSelect

log = structlog.get_logger(__name__)

KEPT = timedelta(days=1)
OF_NOW = timedelta(minutes=5)
"""Older, it is no longer happening: a request that hung, or that somebody recorded and sent again."""
MOST_WAITING = 500
"""Calls whose words wait for the database; past it the one that has waited longest is let go."""
MOST_OF_A_CALL = 50

Turns = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Heard:
    event: LiveEvent
    received_at: datetime


_lock = threading.Lock()
_heard: dict[str, list[Heard]] = {}
_being_kept: list[Heard] = []
"""Taken from there by the writer, and not yet committed."""
_writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="live")
_writing: Future[None] | None = None


def hear(event: LiveEvent, *, now: datetime) -> None:
    """Keep what is newest, soon. What happened a while ago is not what happens now."""
    global _writing
    if event.at is not None and now - event.at > OF_NOW:
        return
    with _lock:
        waiting = _heard.setdefault(event.provider_call_id, [])
        _add(waiting, Heard(event, now))
        while len(_heard) > MOST_WAITING:
            del _heard[next(iter(_heard))]
        if _writing is None or _writing.done():
            _writing = _writer.submit(_write)
    if can(Ability.BARGE_IN):
        barge_in.hear(event, now=now, known=as_heard)


AS_KEPT = PreparedSelect(
    lambda: LiveTranscript.objects.filter(provider_call_id=Given("provider_call_id", CharField()))
)


def as_heard(provider_call_id: str) -> LiveTranscript:
    """What is known at this moment, with what this process has not yet written. Not to be saved."""
    with _lock:
        waiting = [each for each in _being_kept if each.event.provider_call_id == provider_call_id]
        waiting += _heard.get(provider_call_id, ())
    try:
        row = AS_KEPT.get(provider_call_id=provider_call_id)
    except LiveTranscript.DoesNotExist:
        row = LiveTranscript(provider_call_id=provider_call_id, turns=[])
    for heard in waiting:
        _happened(row, heard.event)
    return row


def _add(waiting: list[Heard], heard: Heard) -> None:
    """Of all that was said so far the longest is enough: talk only grows."""
    if heard.event.kind is LiveKind.SO_FAR:
        others = [each for each in waiting if each.event.kind is LiveKind.SO_FAR]
        if any(_length(turns_of(each)) > _length(turns_of(heard)) for each in others):
            return
        waiting[:] = [each for each in waiting if each not in others]
    waiting.append(heard)
    del waiting[:-MOST_OF_A_CALL]


def _write() -> None:
    global _writing
    try:
        while (waiting := _next()) is not None:
            try:
                _keep(waiting)
            except DatabaseError as problem:
                # The next words of the same call bring these along.
                log.warning("what is being said could not be kept", why=str(problem))
    except Exception:
        log.exception("what is being said could not be kept")
    finally:
        connection.close()


def _next() -> list[Heard] | None:
    global _writing, _being_kept
    with _lock:
        _being_kept = []
        if not _heard:
            _writing = None
            return None
        _being_kept = _heard.pop(next(iter(_heard)))
        return _being_kept


def _keep(waiting: list[Heard]) -> None:
    """One call's, in the order they came. Nothing for a call that is over."""
    call_id = waiting[0].event.provider_call_id
    if Call.objects.filter(provider_call_id=call_id, status=CallStatus.ENDED).exists():
        return
    with transaction.atomic():
        row, _made = LiveTranscript.objects.select_for_update().get_or_create(
            provider_call_id=call_id, defaults={"received_at": waiting[0].received_at}
        )
        for heard in waiting:
            _happened(row, heard.event)
            row.call_uuid = _as_uuid(heard.event.call_uuid) or row.call_uuid
            row.received_at = heard.received_at
        row.save(
            update_fields=[
                "call_uuid", "turns", "speaking", "agent_speaks", "utterance_id", "told_at", "received_at",
            ]
        )  # fmt: skip


def _happened(row: LiveTranscript, event: LiveEvent) -> None:
    if event.kind is LiveKind.SO_FAR:
        turns = turns_as_json(event.turns)
        row.turns = row.turns if _length(row.turns) > _length(turns) else turns
        return
    overtaken = event.at is not None and row.told_at is not None and event.at < row.told_at
    if event.kind is LiveKind.SAID:
        row.turns = grown(row.turns, event, overtaken=overtaken)
    if overtaken:
        return
    row.told_at = event.at or row.told_at
    # An utterance that is named for the first time runs, although nobody has told us that it began.
    unheard = event.utterance_id[:120] not in ("", row.utterance_id)
    row.utterance_id = event.utterance_id[:120] or row.utterance_id
    if event.kind is LiveKind.PERSON_SPEAKS:
        row.speaking = Speaking.PERSON
        row.agent_speaks = row.agent_speaks or unheard
    elif event.kind is LiveKind.AGENT_SPEAKS:
        row.speaking = Speaking.AGENT
        row.agent_speaks = True
    elif event.kind is LiveKind.AGENT_SILENT:
        row.speaking = "" if row.speaking == Speaking.AGENT else row.speaking
        row.agent_speaks = False


def grown(turns: Turns, event: LiveEvent, *, overtaken: bool) -> Turns:
    """One thing said, or the beginning of it, put where it belongs: the open turn grows until it is final."""
    said = turns_as_json(event.turns)[0]
    if event.at is not None:
        said["at_ms"] = round(event.at.timestamp() * 1000)
        if any(turn.get("at_ms") == said["at_ms"] and turn["content"] == said["content"] for turn in turns):
            return turns
    whole = [turn for turn in turns if not turn.get("partial")]
    still_open = [turn for turn in turns if turn.get("partial")]
    if event.final:
        return [*whole, said, *still_open] if overtaken else [*whole, said]
    return turns if overtaken else [*whole, {**said, "partial": True}]


def turns_of(heard: Heard) -> Turns:
    return turns_as_json(heard.event.turns)


def _as_uuid(text: str | None) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        return None


def _length(turns: Turns) -> int:
    return sum(len(str(turn.get("content", ""))) + 1 for turn in turns)


def forget_old(*, now: datetime) -> int:
    return LiveTranscript.objects.filter(received_at__lt=now - KEPT).delete()[0]
