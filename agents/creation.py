"""AI agents made at the phone company from here, where its contract makes them on request."""

from __future__ import annotations

import dataclasses
from datetime import datetime

from agents.models import Agent
from agents.providers.base import Provider
from agents.providers.drafts import AgentDraft


def create_there(provider: Provider, draft: AgentDraft, *, agent: Agent | None, now: datetime) -> Agent:
    """Make it there first, then keep its id: every call uses it from now on.

    `agent` None: a new row. Raises ProviderError, ValueError; then nothing here has changed.
    """
    provider_agent_id = provider.create_agent(draft)
    columns = {
        "provider_agent_id": provider_agent_id,
        "name": draft.name,
        "language": draft.language[:60],
        "voice": draft.voice_id[:80],
        "draft": dataclasses.asdict(draft),
        "created_there_at": now,
        "gone_since": None,
    }
    if agent is None:
        return Agent.objects.create(**columns)
    for column, value in columns.items():
        setattr(agent, column, value)
    agent.save(update_fields=list(columns))
    return agent


def draft_of(agent: Agent | None) -> AgentDraft:
    """What a form begins with: the agent as it was created last, or as far as it is known."""
    if agent is None:
        return AgentDraft(name="")
    if agent.draft:
        return AgentDraft.from_json(agent.draft)
    language = agent.language.split(",")[0].strip() or "en-US"
    return AgentDraft(name=agent.name, language=language)
