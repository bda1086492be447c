"""*When it is interrupted*: how easily an AI agent stops for the person, where the phone company stops it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminSelectWidget

from agents import readiness, sync
from agents.models import Agent
from agents.providers.abilities import WHY_NOT, Ability
from agents.providers.base import AgentProfile, ProviderError
from agents.providers.listening import SHARE, Denoising
from agents.providers.registry import can, get_provider
from callcenter.connections import hand_back


def _share(label: Any, help_text: Any) -> Any:
    low, high = SHARE
    return forms.FloatField(
        label=label,
        min_value=low,
        max_value=high,
        help_text=help_text,
        widget=UnfoldAdminDecimalFieldWidget(attrs={"step": "0.05"}),
    )


class ListeningForm(forms.Form):
    """Names as in `AgentProfile`."""

    interruption_sensitivity = _share(
        gettext_lazy("How easily it is interrupted"),
        gettext_lazy(
            "0 to 1. At 1 it stops at the first sound; the lower, the longer one must speak; at 0 never."
        ),
    )
    responsiveness = _share(
        gettext_lazy("How soon it answers"),
        gettext_lazy("0 to 1. At 1 as soon as the person pauses; the lower, the longer it waits for more."),
    )
    denoising = forms.ChoiceField(
        label=gettext_lazy("What it does not hear"),
        choices=[
            (Denoising.NONE.value, gettext_lazy("Nothing is taken away")),
            (Denoising.NOISE.value, gettext_lazy("Noise")),
            (
                Denoising.NOISE_AND_SPEECH.value,
                gettext_lazy("Noise, and people who speak in the background"),
            ),
        ],
        widget=UnfoldAdminSelectWidget,
    )

    def changes(self, profile: AgentProfile) -> dict[str, Any]:
        """What differs from how it is there."""
        return {name: value for name, value in self.cleaned_data.items() if value != getattr(profile, name)}


class AgentListeningViews:
    """The part of the agents' admin that says how they listen. Mixed into a ModelAdmin of Agent."""

    admin_site: Any
    opts: Any
    log_change: Any
    agent_or_404: Any

    def listening(self, request: HttpRequest, agent_id: int) -> HttpResponse:
        """The form; what is changed goes to the phone company, and is read back."""
        agent: Agent = self.agent_or_404(request, agent_id, "agents.change_agent")
        if not can(Ability.CATALOGUE):
            messages.error(request, str(WHY_NOT[Ability.CATALOGUE]))
            return redirect("admin:agents_agent_change", agent.pk)
        profile = readiness.profile_from_json(agent.profile)
        if profile is None:
            messages.error(request, _("Sync first: nothing is known yet of how it listens."))
            return redirect("admin:agents_agent_change", agent.pk)
        initial = {name: getattr(profile, name) for name in ListeningForm.base_fields}
        form = ListeningForm(request.POST or None, initial=initial)
        if request.method == "POST" and form.is_valid():
            changes = form.changes(profile)
            if not changes or self._changed_there(request, agent, form, changes):
                return redirect("admin:agents_agent_change", agent.pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": agent,
            "agent": agent,
            "form": form,
            "title": _("When it is interrupted"),
            "why_not_ours": WHY_NOT[Ability.BARGE_IN],
        }
        return TemplateResponse(request, "admin/agents/agent/listening.html", context)

    def _changed_there(
        self, request: HttpRequest, agent: Agent, form: ListeningForm, changes: dict[str, Any]
    ) -> bool:
        hand_back()
        try:
            fresh = get_provider().fix_agent(agent.provider_agent_id, changes)
        except ProviderError as error:
            form.add_error(None, _("The phone company did not change it: %(why)s") % {"why": error.message})
            return False
        sync.store_profile(agent, fresh, now=timezone.now())
        self.log_change(request, agent, f"changed at the phone company: {', '.join(sorted(changes))}")
        messages.success(request, _("Changed at the phone company, and read back."))
        return True
