"""What of an AI agent one call may have differently, under the contract in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from agents.models import Agent
from agents.providers.abilities import Ability
from agents.providers.base import NotOffered
from agents.providers.overrides import Overridable
from agents.providers.registry import provider_class
from agents.readiness import profile_from_json


def offered(agent: Agent) -> Mapping[str, Overridable]:
    """By our names. Empty: nothing; `checked` says why."""
    may = provider_class().overridable
    if may.needs_draft:
        return may.names if agent.draft else {}
    profile = profile_from_json(agent.profile)
    if profile is None or "opening_line" in profile.editable:
        return may.names
    # A flow, or words that are kept elsewhere: there is no one text and no one model to change.
    return {name: each for name, each in may.names.items() if name not in may.of_the_words}


def checked(agent: Agent, given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` as it is. Raises NotOffered for a name that is not offered, ValueError for a value."""
    may = offered(agent)
    for name, value in given.items():
        one = may.get(name)
        if one is None:
            raise NotOffered(Ability.OVERRIDE, _why_not(agent, name, may))
        if not one.takes(value):
            raise ValueError(
                _("“%(name)s” must be a text.") % {"name": name}
                if one.text
                else _("“%(name)s” must be between %(low)g and %(high)g.")
                % {"name": name, "low": one.low, "high": one.high}
            )
    return dict(given)


def _why_not(agent: Agent, name: str, may: Mapping[str, Overridable]) -> str:
    if not may:
        return _(
            "Nothing of this AI agent can be changed for one call: it was not created from here, and a call "
            "that changes it has to bring all of it."
        )
    return _("“%(name)s” cannot be changed for one call of this AI agent. What can: %(may)s.") % {
        "name": name,
        "may": ", ".join(may),
    }
