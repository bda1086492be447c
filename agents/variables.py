"""What an agent may say about the person and about us: the variables that every call carries.

A `{{name}}` that is neither here, nor among the lead's custom fields, nor defaulted at the agent would
be spoken as it stands, so the readiness card is red for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from agents.models import Agent

SUPPLIED: Mapping[str, str | Promise] = {
    "name": _("The person's whole name"),
    "first_name": _("The person's first name"),
    "last_name": _("The rest of the person's name"),
    "company": _("The company the person works for"),
    "time_zone": _("The person's time zone, where somebody stated it"),
    "company_name": _("Our company"),
    "reason_we_called": _("Why we call"),
    "last_call_summary": _("What the last call was about"),
    "open_promise": _("What was promised and is still open"),
    "caller_known": _("true when we know who this is, else false"),
}
PLACEHOLDER = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")


def values_for(known: Mapping[str, str], *, agent: Agent | None) -> dict[str, str]:
    """Every supplied variable and whatever else is `known`, as text.

    What is empty gives way to the agent's own default, and is sent as '' where there is none: a phone
    company speaks a variable it was not given as it stands.
    """
    name = known.get("name", "")
    values = {
        "last_name": name.partition(" ")[2].strip(),
        "company_name": str(settings.COMPANY_NAME),
        "caller_known": "true" if name else "false",
        **known,
    }
    defaults = defaults_of(agent)
    if defaults.get("company_name"):
        # Somebody gave this agent the name of a brand: it does not speak for the whole house.
        values["company_name"] = defaults["company_name"]
    for variable in SUPPLIED:
        if not values.setdefault(variable, "") and defaults.get(variable):
            del values[variable]
    return values


def defaults_of(agent: Agent | None) -> dict[str, str]:
    """The agent's own defaults, as last synced."""
    given = agent.profile.get("default_variables") if agent is not None else None
    return dict(given) if isinstance(given, dict) else {}


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a line. `missing`: a placeholder nobody fills, shown as it would be spoken."""

    text: str
    filled: bool = False
    missing: bool = False


def spoken(line: str, values: Mapping[str, str], defaults: Mapping[str, str]) -> list[Piece]:
    """`line` as the person will hear it."""
    pieces: list[Piece] = []
    at = 0
    for found in PLACEHOLDER.finditer(line):
        pieces.append(Piece(line[at : found.start()]))
        name, at = found[1], found.end()
        value = values.get(name, defaults.get(name))
        pieces.append(Piece(found[0], missing=True) if value is None else Piece(value, filled=True))
    pieces.append(Piece(line[at:]))
    return [piece for piece in pieces if piece.text]
