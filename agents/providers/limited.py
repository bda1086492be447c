"""A provider under a contract that has neither look-ups nor lists: each such verb says that it is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from agents.providers.abilities import Ability
from agents.providers.base import (
    Account,
    AgentProfile,
    Capacity,
    InboundAsk,
    InboundReply,
    NotOffered,
    NumberProfile,
    Page,
    Provider,
    Report,
    Unreadable,
)
from agents.providers.numbers import NumberOrder


class LimitedProvider(Provider):
    """Callers ask `abilities` first; who does not gets NotOffered, and nothing goes out."""

    def fetch_call(self, provider_call_id: str) -> Report:
        raise NotOffered(Ability.LOOK_UP)

    def find_call(self, call_uuid: str, *, to_number: str, since: datetime) -> list[Report]:
        raise NotOffered(Ability.LOOK_UP)

    def fetch_calls(self, provider_call_ids: Sequence[str]) -> list[Report]:
        raise NotOffered(Ability.LOOK_UP)

    def recent_calls(self, *, since: datetime, until: datetime | None = None, key: str | None = None) -> Page:
        raise NotOffered(Ability.LOOK_UP)

    def hang_up(self, provider_call_id: str) -> None:
        raise NotOffered(Ability.HANG_UP)

    def steer(
        self,
        provider_call_id: str,
        *,
        context: str = "",
        answer_now: bool = False,
        variables: Mapping[str, str | None] | None = None,
    ) -> None:
        raise NotOffered(Ability.STEER)

    def list_agents(self) -> list[AgentProfile]:
        raise NotOffered(Ability.CATALOGUE)

    def fetch_agent(self, provider_agent_id: str, version: int | None = None) -> AgentProfile:
        raise NotOffered(Ability.CATALOGUE)

    def fix_agent(self, provider_agent_id: str, changes: Mapping[str, Any]) -> AgentProfile:
        raise NotOffered(Ability.CATALOGUE)

    def list_numbers(self) -> list[NumberProfile]:
        raise NotOffered(Ability.CATALOGUE)

    def fetch_number(self, number: str) -> NumberProfile:
        raise NotOffered(Ability.CATALOGUE)

    def import_number(self, order: NumberOrder) -> NumberProfile:
        raise NotOffered(Ability.CATALOGUE)

    def change_number(self, order: NumberOrder) -> NumberProfile:
        raise NotOffered(Ability.CATALOGUE)

    def remove_number(self, number: str) -> None:
        raise NotOffered(Ability.CATALOGUE)

    def set_inbound_webhook(self, number: str, url: str) -> NumberProfile:
        raise NotOffered(Ability.ASK_INBOUND)

    def capacity(self) -> Capacity:
        raise NotOffered(Ability.CAPACITY)

    def account(self) -> Account:
        raise NotOffered(Ability.CAPACITY)

    def read_inbound(self, body: bytes) -> InboundAsk:
        raise Unreadable("Nothing is asked about calls in under this contract.")

    def inbound_answer(self, reply: InboundReply) -> Mapping[str, Any]:
        """Harmless, whoever asked."""
        return {}
