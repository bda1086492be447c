"""What is being said right now. Not a fact: the newest is kept per call, for a day."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from agents.providers.base import CallFacts
from calls.lifecycle.derive import turns_as_json
from calls.models import LiveTranscript

KEPT = timedelta(days=1)


def store_live(facts: CallFacts, *, now: datetime) -> None:
    """Keep the longest transcript so far: deliveries overtake each other, and talk only grows."""
    turns = turns_as_json(facts.turns or ())
    try:
        call_uuid = uuid.UUID(facts.call_uuid) if facts.call_uuid else None
    except ValueError:
        call_uuid = None
    known = LiveTranscript.objects.filter(pk=facts.provider_call_id).first()
    if known is not None and _length(known.turns) > _length(turns):
        return
    LiveTranscript.objects.update_or_create(
        provider_call_id=facts.provider_call_id,
        defaults={"call_uuid": call_uuid, "turns": turns, "received_at": now},
    )


def _length(turns: list[dict[str, object]]) -> int:
    return sum(len(str(turn.get("content", ""))) + 1 for turn in turns)


def forget_old(*, now: datetime) -> int:
    return LiveTranscript.objects.filter(received_at__lt=now - KEPT).delete()[0]
