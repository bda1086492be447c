"""One telephone call as the network knows it, in no contract's words."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agents.phone import zones_of
from agents.sandbox.conversation import Conversation, LiveTalk, Turn
from agents.sandbox.people import Behaviour
from agents.sandbox.scheduler import Timer

WITHHELD = "anonymous"
"""What networks say instead of the number of a caller who withholds it."""


class Stage(enum.StrEnum):
    DIALLING = "dialling"
    RINGING = "ringing"
    TALKING = "talking"
    OVER = "over"


class Event(enum.StrEnum):
    """What a contract may tell its customer about."""

    CONNECTED = "connected"
    TURN = "turn"
    TRANSFER_STARTED = "transfer_started"
    TRANSFER_CANCELLED = "transfer_cancelled"
    TRANSFER_BRIDGED = "transfer_bridged"
    TRANSFER_ENDED = "transfer_ended"
    ENDED = "ended"
    ANALYSED = "analysed"


@dataclass(slots=True, kw_only=True)
class PhoneCall:
    """Mutable, guarded by the network's lock. Times are epoch ms of this machine's clock.

    `agent` is the agent as it spoke (its version, with what the call overrode); `given_variables` what the
    request brought, `variables` those over the agent's defaults.
    """

    id: str
    direction: str
    from_number: str
    to_number: str
    created_ms: int
    contract: str = "current"
    """Which of the contracts it was made under, and is told in."""
    agent: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] | None = None
    given_variables: dict[str, str] | None = None
    variables: dict[str, str] = field(default_factory=dict)
    changed_variables: dict[str, str | None] = field(default_factory=dict)
    """While the call was live; None: as it was."""
    sip_headers: dict[str, str] | None = None
    storage: str = "everything"
    attempt: int = 1
    behaviour: Behaviour | None = None
    stage: Stage = Stage.DIALLING
    rang_ms: int | None = None
    answered_ms: int | None = None
    answered_at_network_s: float = 0.0
    ended_ms: int | None = None
    reason: str = ""
    conversation: Conversation | None = None
    """All that will be said; after the end, all that was."""
    heard_s: float = 0.0
    """How far into the conversation the last told turn reaches."""
    live: LiveTalk | None = None
    held: bool = False
    """Rings until somebody on the customer page picks up."""
    analysed: bool = False
    transfer_to: str = ""
    transfer_at_s: tuple[float, float] | None = None
    """When a transfer was tried and when it was known how it went, in seconds of the call."""
    injected: list[tuple[str, float]] = field(default_factory=list)
    """Context put in while the call was live: the text and the second it came at."""
    stops: list[tuple[str, bool]] = field(default_factory=list)
    """Utterances that were to be stopped, and whether each was being said at that moment."""
    timers: list[Timer] = field(default_factory=list)

    @property
    def customer(self) -> str:
        """The number of the person who is not us."""
        return self.to_number if self.direction == "outbound" else self.from_number

    @property
    def ours(self) -> str:
        return self.from_number if self.direction == "outbound" else self.to_number

    @property
    def connected(self) -> bool:
        return self.answered_ms is not None

    @property
    def over(self) -> bool:
        return self.stage is Stage.OVER

    def so_far(self) -> tuple[Turn, ...]:
        """What has been said, as far as it has been told."""
        if self.live is not None and not self.over:
            return self.live.so_far().turns
        if self.conversation is None:
            return ()
        return self.conversation.turns if self.over else self.conversation.as_of(self.heard_s).turns

    def duration_ms(self) -> int:
        return round(self.conversation.duration_s * 1000) if self.conversation is not None else 0

    def analysis(self) -> dict[str, Any]:
        """In Retell's field names; the other contracts translate."""
        return dict(self.conversation.analysis) if self.conversation is not None else {}

    def drop_timers(self) -> None:
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()


def zone_of(number: str) -> str | None:
    """The zone the person behind `number` most likely lives in."""
    zones = zones_of(number)
    return zones[0] if zones else None


def home_of(call: PhoneCall) -> str | None:
    """The zone on whose clock the person speaks of tomorrow: as our customer states it, else by number."""
    stated = str(call.variables.get("time_zone") or "")
    try:
        return ZoneInfo(stated).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return zone_of(call.customer)


def seed_of(seed: int, call: PhoneCall) -> int:
    """The same for the same person at the same attempt."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{call.customer}:{call.attempt}".encode()).digest()[:6])


def language_of(agent: Mapping[str, Any]) -> str:
    """The agent's first language without its region: "es" of "es-ES"."""
    language = agent.get("language") or "en-US"
    first = language if isinstance(language, str) else language[0]
    return str(first).split("-")[0]


def cut(conversation: Conversation, seconds: float, reason: str) -> Conversation:
    """The conversation as it was when the line was cut."""
    return replace(conversation.as_of(max(seconds, 0.0)), disconnection_reason=reason)


def transfer_moments(conversation: Conversation) -> tuple[float, float]:
    """When the transfer is tried and when it is known that nobody takes it, in seconds of the call.

    The longest silence before an agent's line is the wait for the colleague.
    """
    best = (0.0, conversation.duration_s * 0.6, conversation.duration_s * 0.9)
    for before, after in zip(conversation.turns, conversation.turns[1:], strict=False):
        if after.role == "agent":
            best = max(best, (after.start_s - before.end_s, before.end_s, after.start_s))
    return best[1], best[2]
