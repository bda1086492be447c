"""What happens on a call at this moment. No fact: nothing that a call's row says follows from it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from agents.providers.base import Turn


class LiveKind(enum.StrEnum):
    SO_FAR = "so_far"
    """Everything said so far."""
    SAID = "said"
    """One thing said, or the beginning of it."""
    PERSON_SPEAKS = "person_speaks"
    """Somebody began to speak: nothing of it has been understood yet."""
    AGENT_SPEAKS = "agent_speaks"
    AGENT_SILENT = "agent_silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEvent:
    provider_call_id: str
    kind: LiveKind
    call_uuid: str | None = None
    turns: tuple[Turn, ...] = ()
    """SO_FAR: all of them. SAID: the one."""
    final: bool = True
    """False: more of this turn is to come, and what there is may still change."""
    utterance_id: str = ""
    """What the agent is saying, or said last."""
    at: datetime | None = None
    """When it happened, by the provider's clock, where it says so."""
