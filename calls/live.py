"""What is being said right now. Not a fact: the newest is kept per call, for a day.

Nothing waits for it: a request hands it over and one thread a process writes what it finds. While the
database is away the newest of each call waits in memory, and no request holds a thread of the web server.
"""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta

import structlog
from django.db import DatabaseError, connection

from agents.providers.base import CallFacts
from calls.lifecycle.derive import turns_as_json
from calls.models import LiveTranscript

log = structlog.get_logger(__name__)

KEPT = timedelta(days=1)
MOST_WAITING = 500
"""Calls whose words wait for the database; past it the one that has waited longest is let go."""

_lock = threading.Lock()
_heard: dict[str, LiveTranscript] = {}
_writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="live")
_writing: Future[None] | None = None


def hear(facts: CallFacts, *, now: datetime) -> None:
    """Keep the longest transcript so far: deliveries overtake each other, and talk only grows."""
    global _writing
    try:
        call_uuid = uuid.UUID(facts.call_uuid) if facts.call_uuid else None
    except ValueError:
        call_uuid = None
    said = LiveTranscript(
        provider_call_id=facts.provider_call_id,
        call_uuid=call_uuid,
        turns=turns_as_json(facts.turns or ()),
        received_at=now,
    )
    with _lock:
        known = _heard.get(said.provider_call_id)
        if known is None or _length(known) <= _length(said):
            _heard[said.provider_call_id] = said
        while len(_heard) > MOST_WAITING:
            del _heard[next(iter(_heard))]
        if _writing is None or _writing.done():
            _writing = _writer.submit(_write)


def _write() -> None:
    global _writing
    try:
        while (said := _next()) is not None:
            try:
                _keep(said)
            except DatabaseError as problem:
                # The next words of the same call bring these along.
                log.warning("what is being said could not be kept", why=str(problem))
    except Exception:
        log.exception("what is being said could not be kept")
    finally:
        connection.close()


def _next() -> LiveTranscript | None:
    global _writing
    with _lock:
        if not _heard:
            _writing = None
            return None
        return _heard.pop(next(iter(_heard)))


def _keep(said: LiveTranscript) -> None:
    known = LiveTranscript.objects.filter(pk=said.pk).first()
    if known is not None and _length(known) > _length(said):
        return
    LiveTranscript.objects.update_or_create(
        pk=said.pk,
        defaults={"call_uuid": said.call_uuid, "turns": said.turns, "received_at": said.received_at},
    )


def _length(said: LiveTranscript) -> int:
    return sum(len(str(turn.get("content", ""))) + 1 for turn in said.turns)


def forget_old(*, now: datetime) -> int:
    return LiveTranscript.objects.filter(received_at__lt=now - KEPT).delete()[0]
