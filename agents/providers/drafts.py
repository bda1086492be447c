"""An AI agent as it is to be made at a provider that makes them on request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

ENGINES = ("retell-llm", "custom-llm")
"""Who thinks of what to say: Retell's own engine, or a server of yours that Retell connects to."""
TEMPERATURE = (0.0, 2.0)
MAX_TOKENS = (1, 4096)
SPEED = (0.5, 2.0)
SHARE = (0.0, 1.0)
LONGEST = 120
LONGEST_URL = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDraft:
    """Ranges: `temperature` 0 to 2, `max_tokens` 1 to 4096, `speed` 0.5 to 2, `stability` and
    `similarity_boost` 0 to 1; `engine_url` begins with wss:// (ws:// on this machine).
    """

    name: str
    model_provider: str = "openai"
    model: str = "gpt-4-turbo"
    temperature: float = 0.7
    max_tokens: int = 500
    voice_provider: str = "elevenlabs"
    voice_id: str = ""
    speed: float = 1.0
    stability: float = 0.5
    similarity_boost: float = 0.75
    transcriber_provider: str = "deepgram"
    transcriber_model: str = ""
    """Empty: the transcriber's own choice."""
    language: str = "en-US"
    engine: str = ENGINES[0]
    engine_url: str = ""

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Self:
        """As `dataclasses.asdict` left it; names of another release are passed over."""
        return cls(**{name: kept[name] for name in cls.__slots__ if name in kept})

    def problems(self) -> list[str]:
        """Names of the fields that no provider is to be sent."""
        within = {
            "temperature": TEMPERATURE,
            "max_tokens": MAX_TOKENS,
            "speed": SPEED,
            "stability": SHARE,
            "similarity_boost": SHARE,
        }
        found = [name for name, (low, high) in within.items() if not low <= getattr(self, name) <= high]
        needed = ("name", "model_provider", "model", "voice_provider", "voice_id", "transcriber_provider",
                  "language")  # fmt: skip
        found += [name for name in needed if not 0 < len(getattr(self, name)) <= LONGEST]
        if len(self.transcriber_model) > LONGEST:
            found.append("transcriber_model")
        if self.engine not in ENGINES:
            found.append("engine")
        if not is_socket_address(self.engine_url):
            found.append("engine_url")
        return found


def is_socket_address(url: str) -> bool:
    """wss:// and a host; on this machine ws:// will do."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    open_here = parts.scheme == "ws" and host in {"127.0.0.1", "localhost"}
    return len(url) <= LONGEST_URL and bool(host) and (parts.scheme == "wss" or open_here)
