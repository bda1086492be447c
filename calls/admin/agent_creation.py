"""*Create at the phone company*: an AI agent as a form, where the phone company makes them on request."""

from __future__ import annotations

import dataclasses
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from agents import creation
from agents.models import Agent
from agents.providers import drafts
from agents.providers.abilities import WHY_NOT, Ability
from agents.providers.base import ProviderError
from agents.providers.drafts import AgentDraft
from agents.providers.registry import can, get_provider
from callcenter.checks import refuse_without_settings
from callcenter.connections import hand_back


def _text(label: Any, *, help_text: Any = "", longest: int = drafts.LONGEST, required: bool = True) -> Any:
    return forms.CharField(
        label=label,
        help_text=help_text,
        max_length=longest,
        required=required,
        widget=UnfoldAdminTextInputWidget,
    )


def _share(label: Any, within: tuple[float, float], help_text: Any = "") -> Any:
    low, high = within
    return forms.FloatField(
        label=label,
        min_value=low,
        max_value=high,
        help_text=help_text,
        widget=UnfoldAdminDecimalFieldWidget(attrs={"step": "0.05"}),
    )


class DraftForm(forms.Form):
    """The fields of `AgentDraft`, with their ranges."""

    name = _text(gettext_lazy("Name"))
    model_provider = _text(gettext_lazy("Language model: company"))
    model = _text(gettext_lazy("Language model"))
    temperature = _share(
        gettext_lazy("Temperature"),
        drafts.TEMPERATURE,
        gettext_lazy("0 to 2: the higher, the more freely it answers."),
    )
    max_tokens = forms.IntegerField(
        label=gettext_lazy("Longest answer (tokens)"),
        min_value=drafts.MAX_TOKENS[0],
        max_value=drafts.MAX_TOKENS[1],
        widget=UnfoldAdminDecimalFieldWidget,
        help_text=gettext_lazy("1 to 4096. About 150 make three sentences."),
    )
    voice_provider = _text(gettext_lazy("Voice: company"))
    voice_id = _text(gettext_lazy("Voice"), help_text=gettext_lazy("Its id at that company."))
    speed = _share(
        gettext_lazy("Speed"), drafts.SPEED, gettext_lazy("0.5 to 2; 1 is as fast as people speak.")
    )
    stability = _share(
        gettext_lazy("Stability"),
        drafts.SHARE,
        gettext_lazy("0 to 1: the higher, the more even it sounds."),
    )
    similarity_boost = _share(
        gettext_lazy("Similarity"),
        drafts.SHARE,
        gettext_lazy("0 to 1: the higher, the closer to the voice it was made from."),
    )
    transcriber_provider = _text(gettext_lazy("Transcriber: company"))
    transcriber_model = _text(
        gettext_lazy("Transcriber"), required=False, help_text=gettext_lazy("Empty: its usual one.")
    )
    language = _text(gettext_lazy("Language"), help_text=gettext_lazy("Such as en-US."))
    engine = forms.ChoiceField(
        label=gettext_lazy("Who thinks of the answers"),
        choices=[
            ("retell-llm", gettext_lazy("Retell (retell-llm)")),
            ("custom-llm", gettext_lazy("Your own server (custom-llm)")),
        ],
        widget=UnfoldAdminSelectWidget,
    )
    engine_url = _text(
        gettext_lazy("Address it is asked at"),
        longest=drafts.LONGEST_URL,
        help_text=gettext_lazy("A WebSocket, such as wss://your-server.com/llm-websocket."),
    )

    def clean_engine_url(self) -> str:
        url: str = self.cleaned_data["engine_url"]
        if not drafts.is_socket_address(url):
            raise forms.ValidationError(_("It begins with wss:// and names a server."))
        return url


class AgentCreationViews:
    """The part of the agents' admin that makes them. Mixed into a ModelAdmin of Agent."""

    admin_site: Any
    opts: Any
    log_change: Any
    log_addition: Any

    def may_create(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("agents.add_agent")) and can(Ability.CREATE_AGENT)

    def create_there(self, request: HttpRequest, agent: Agent | None) -> HttpResponse:
        """The form; valid, the agent is made there and its id kept on the row."""
        if not request.user.has_perm("agents.add_agent"):
            raise PermissionDenied
        if not can(Ability.CREATE_AGENT):
            messages.error(request, str(WHY_NOT[Ability.CREATE_AGENT]))
            return redirect("admin:agents_agent_changelist")
        form = DraftForm(request.POST or None, initial=dataclasses.asdict(creation.draft_of(agent)))
        if request.method == "POST" and form.is_valid():
            refuse_without_settings("Create at the phone company")
            hand_back()
            before = agent.provider_agent_id if agent else ""
            try:
                draft = AgentDraft(**form.cleaned_data)
                made = creation.create_there(get_provider(), draft, agent=agent, now=timezone.now())
            except ProviderError as error:
                form.add_error(None, _("It was not created. %(why)s") % {"why": error.message})
            else:
                self._created(request, made, before=before)
                return redirect("admin:agents_agent_change", made.pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": agent,
            "agent": agent,
            "form": form,
            "title": _("Create at the phone company"),
        }
        return TemplateResponse(request, "admin/agents/agent/create.html", context)

    def _created(self, request: HttpRequest, made: Agent, *, before: str) -> None:
        if before:
            self.log_change(request, made, f"created there: {made.provider_agent_id}, was {before}")
        else:
            self.log_addition(request, made, [{"added": {}}])
        told = _("Created at the phone company as %(id)s. Every call of this AI agent uses it.")
        messages.success(request, told % {"id": made.provider_agent_id})
