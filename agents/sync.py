"""Our catalogue of agents and numbers, brought in line with the phone company's.

What is new is added, what is known is renewed, what is gone is marked and kept: calls point to it.
What staff decide here (name of a number, its line, whether it may call, pins and limits) is never
written over.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from agents.models import Agent, PhoneNumber
from agents.number_completion import judge
from agents.phone import is_e164
from agents.providers.base import AgentProfile, NumberProfile, Provider
from agents.readiness import profile_to_json

PROVIDER = "retell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many rows a sync found new, renewed, and no longer there."""

    new: int
    known: int
    gone: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    agents: Tally
    numbers: Tally


def sync(provider: Provider, *, now: datetime) -> Synced:
    """Ask for everything first, then write in one transaction. Raises ProviderError, and changes nothing."""
    profiles = provider.list_agents()
    numbers = provider.list_numbers()
    with transaction.atomic():
        agents = _sync_agents(profiles, now=now)
        return Synced(agents=agents, numbers=_sync_numbers(numbers, now=now))


def store_profile(agent: Agent, profile: AgentProfile, *, now: datetime) -> None:
    """Keep what the phone company now says of one agent."""
    columns = _agent_columns(profile, now=now)
    for column, value in columns.items():
        setattr(agent, column, value)
    agent.save(update_fields=list(columns))


def store_number(row: PhoneNumber, profile: NumberProfile, *, now: datetime) -> None:
    """Keep what the phone company now says of one number."""
    columns = _number_columns(profile, now=now)
    for column, value in columns.items():
        setattr(row, column, value)
    row.save(update_fields=list(columns))
    judge(row, now=now)


def _sync_agents(profiles: Iterable[AgentProfile], *, now: datetime) -> Tally:
    known = {agent.provider_agent_id: agent for agent in Agent.objects.filter(provider=PROVIDER)}
    found = {profile.provider_agent_id: profile for profile in profiles}
    for provider_agent_id, profile in found.items():
        if agent := known.get(provider_agent_id):
            store_profile(agent, profile, now=now)
        else:
            Agent.objects.create(
                provider=PROVIDER, provider_agent_id=provider_agent_id, **_agent_columns(profile, now=now)
            )
    gone = Agent.objects.filter(provider=PROVIDER, gone_since=None).exclude(provider_agent_id__in=found)
    return Tally(
        new=len(found.keys() - known.keys()),
        known=len(found.keys() & known.keys()),
        gone=gone.update(gone_since=now),
    )


def _agent_columns(profile: AgentProfile, *, now: datetime) -> dict[str, Any]:
    return {
        "name": (profile.name or profile.provider_agent_id)[:120],
        "language": profile.language[:60],
        "voice": profile.voice[:80],
        "opening_line": profile.opening_line or "",
        "analysis_fields": [dataclasses.asdict(field) for field in profile.analysis_fields],
        "profile": profile_to_json(profile),
        "last_synced_at": now,
        "gone_since": None,
    }


def _sync_numbers(profiles: Iterable[NumberProfile], *, now: datetime) -> Tally:
    known = {row.number: row for row in PhoneNumber.objects.all()}
    # A short code or a SIP address can be somebody's number there; a caller ID it can not be.
    found = {profile.number: profile for profile in profiles if is_e164(profile.number)}
    for number, profile in found.items():
        row = known.get(number)
        if row is None:
            row = PhoneNumber.objects.create(
                number=number, label=profile.label[:80], line=profile.line[:60], provider=PROVIDER
            )
            _offer_as_caller_id(row, profile)
        store_number(row, profile, now=now)
    gone = PhoneNumber.objects.filter(provider=PROVIDER, gone_since=None, last_synced_at__isnull=False)
    return Tally(
        new=len(found.keys() - known.keys()),
        known=len(found.keys() & known.keys()),
        gone=gone.exclude(number__in=found).update(gone_since=now),
    )


def _number_columns(profile: NumberProfile, *, now: datetime) -> dict[str, Any]:
    answers = Agent.objects.filter(
        provider=PROVIDER, provider_agent_id__in=profile.inbound_agent_ids[:1]
    ).first()
    return {
        "provider_number_id": profile.number,
        "inbound_agent": answers,
        "inbound_webhook_url": (profile.inbound_webhook_url or "")[:500],
        "fallback_number": profile.fallback_number[:40],
        "last_synced_at": now,
        "gone_since": None,
    }


def _offer_as_caller_id(row: PhoneNumber, profile: NumberProfile) -> None:
    """A new number becomes the caller ID of the agents that call from it there and have none here."""
    Agent.objects.filter(
        provider=PROVIDER, provider_agent_id__in=profile.outbound_agent_ids, default_caller_id=None
    ).update(default_caller_id=row)
