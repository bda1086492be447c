"""*For this call only*: what the call sheet lets one call have differently from its AI agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminTextInputWidget

from agents import overriding
from agents.models import Agent
from agents.providers.overrides import LONGEST, Overridable

LABELS: Mapping[str, Any] = {
    "voice": gettext_lazy("Voice"),
    "speed": gettext_lazy("Speed"),
    "language": gettext_lazy("Language"),
    "opening_line": gettext_lazy("Opening line"),
    "temperature": gettext_lazy("Temperature"),
    "max_tokens": gettext_lazy("Longest answer (tokens)"),
    "stability": gettext_lazy("Stability"),
    "similarity_boost": gettext_lazy("Similarity"),
    "interruption_sensitivity": gettext_lazy("How easily it is interrupted"),
    "responsiveness": gettext_lazy("How soon it answers"),
}
PREFIX = "only_"


def override_fields(agent: Agent | None) -> dict[str, forms.Field]:
    """By their names in the form; none where nothing is offered."""
    if agent is None:
        return {}
    return {f"{PREFIX}{name}": _field(name, one) for name, one in overriding.offered(agent).items()}


def _field(name: str, one: Overridable) -> forms.Field:
    label = LABELS.get(name, name)
    if one.text:
        return forms.CharField(
            label=label, required=False, max_length=LONGEST, widget=UnfoldAdminTextInputWidget
        )
    between = _("%(low)g to %(high)g") % {"low": one.low, "high": one.high}
    kind: Any = forms.IntegerField if one.whole else forms.FloatField
    number: forms.Field = kind(
        label=label,
        required=False,
        min_value=one.low,
        max_value=one.high,
        help_text=between,
        widget=UnfoldAdminDecimalFieldWidget(attrs={} if one.whole else {"step": "0.05"}),
    )
    return number


def overrides_given(cleaned: Mapping[str, Any]) -> dict[str, Any]:
    """By our names; what was left empty is as the agent has it."""
    return {
        name.removeprefix(PREFIX): value
        for name, value in cleaned.items()
        if name.startswith(PREFIX) and value not in (None, "")
    }


def overrides_shown(overrides: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (_("%(what)s, for this call") % {"what": LABELS.get(name, name)}, str(value))
        for name, value in overrides.items()
    ]
