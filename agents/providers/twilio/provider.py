"""Twilio as what stored events are read by: contract "twilio". Legs are rung and asked about by
`rest.Twilio`."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self

from agents.providers.abilities import Ability
from agents.providers.base import (
    Accepted,
    BadSignature,
    CallFacts,
    EventKind,
    NotOffered,
    PlaceOrder,
    ProviderEvent,
    Unreadable,
)
from agents.providers.drafts import AgentDraft
from agents.providers.limited import LimitedProvider
from agents.providers.live import LiveEvent
from agents.providers.twilio import signature as signatures
from agents.providers.twilio.callbacks import read_callback
from agents.providers.twilio.rest import Twilio


class TwilioProvider(LimitedProvider):
    """No AI agents here: what asks for one is NotOffered."""

    contract: ClassVar[str] = "twilio"
    idempotent: ClassVar[bool] = False
    signature_header: ClassVar[str] = signatures.HEADER
    stops_replays: ClassVar[bool] = False
    abilities: ClassVar[frozenset[Ability]] = frozenset({Ability.HANG_UP})

    def __init__(self, twilio: Twilio) -> None:
        self.twilio = twilio

    @classmethod
    def from_settings(cls) -> Self:
        return cls(Twilio.from_settings())

    def close(self) -> None:
        self.twilio.close()

    def placement(self, order: PlaceOrder) -> bytes:
        raise NotOffered(Ability.CREATE_AGENT)

    def place(self, body: bytes, *, give_up_s: float, started: float) -> Accepted:
        raise NotOffered(Ability.CREATE_AGENT)

    def create_agent(self, draft: AgentDraft) -> str:
        raise NotOffered(Ability.CREATE_AGENT)

    def hang_up(self, provider_call_id: str) -> None:
        """Raises what `Twilio.hang_up` does; one that is over is fine."""
        self.twilio.hang_up(provider_call_id)

    def stop_utterance(self, provider_call_id: str, utterance_id: str) -> None:
        raise NotOffered(Ability.BARGE_IN)

    def verify(self, body: bytes, signature: str | None, *, now: datetime) -> bytes:
        """The address is a part of what Twilio signs: see `signature.verify`."""
        raise BadSignature("Twilio signs the address as well.", cause_code="malformed")

    def read_event(self, body: bytes) -> ProviderEvent:
        return ProviderEvent(name=read_callback(body).name, kind=EventKind.OTHER, facts=None)

    def read_live(self, body: bytes) -> LiveEvent | None:
        return None

    def read_call(self, body: bytes) -> CallFacts:
        raise Unreadable("No look-up of Twilio's is kept as a fact.")
