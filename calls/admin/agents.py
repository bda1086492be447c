"""AI agents: the list with its lights, the sync, and each agent's page with the readiness card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from agents import phone, readiness, sync
from agents.models import Agent
from agents.providers.abilities import WHY_NOT, Ability
from agents.providers.base import AgentProfile, AnalysisField, ProviderError
from agents.providers.registry import can, get_provider
from agents.readiness import Level
from agents.variables import SUPPLIED, defaults_of, spoken, values_for
from callcenter.checks import refuse_without_settings
from callcenter.connections import hand_back
from calls import dialer
from calls.admin.agent_creation import AgentCreationViews
from calls.admin.agent_listening import AgentListeningViews
from calls.dialer import BadRequest, NotAllowed, OnThePhone, lead_variables
from calls.models import Lead, Via, WebhookEvent
from calls.models.webhook_event import EventSource

MY_NUMBER = "my_number"
LEADS_OFFERED = 30

# What `AgentProfile` calls it, and what a fix is announced as.
CHANGES: Mapping[str, Any] = {
    "webhook_url": gettext_lazy("Where its events go"),
    "events": gettext_lazy("What it reports"),
    "default_variables": gettext_lazy("Defaults of its variables"),
    "analysis_fields": gettext_lazy("What is asked about each call"),
    "detects_do_not_call": gettext_lazy("Hears “never call me again”"),
    "voicemail_action": gettext_lazy("When voicemail answers"),
    "ring_time_ms": gettext_lazy("Rings for"),
    "signed_recordings": gettext_lazy("Links to recordings expire"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One setting at the phone company, before and after a fix."""

    label: str
    old: str
    new: str


def changes_shown(profile: AgentProfile, fix: Mapping[str, Any]) -> list[Change]:
    """What a fix would change, in words, before it is done."""
    return [
        Change(str(CHANGES.get(name, name)), _shown(name, getattr(profile, name)), _shown(name, new))
        for name, new in fix.items()
    ]


def _shown(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if value is None or value == "" or value in ((), frozenset()) or value == {}:
        return _("not set")
    if name == "ring_time_ms":
        return _("%(seconds)d s") % {"seconds": value // 1000}
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = “{text}”" for key, text in sorted(value.items()))
    if isinstance(value, frozenset | tuple):
        return ", ".join(sorted(one.name if isinstance(one, AnalysisField) else str(one) for one in value))
    return str(value)


def heard() -> Exists:
    """Whether the phone company has told us anything about a call of this agent."""
    return Exists(WebhookEvent.objects.filter(call__agent=OuterRef("pk"), source=EventSource.WEBHOOK))


class AgentChangeList(ChangeList):
    result_list: Any

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Agent]:
        rows: QuerySet[Agent] = super().get_queryset(request, *args, **kwargs)
        return rows.annotate(heard=heard())

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        agents = list(self.result_list)
        for agent in agents:
            agent.checks = readiness.checks_of(agent, heard=agent.heard)
            agent.light = readiness.light(agent.checks)
            agent.worst = [check for check in agent.checks if check.level == agent.light != Level.GREEN]
        self.result_list = agents
        self.may_change = request.user.has_perm("agents.change_agent")
        self.offered = offered()
        self.may_create = request.user.has_perm("agents.add_agent") and can(Ability.CREATE_AGENT)


@admin.register(Agent)
class AgentAdmin(AgentCreationViews, AgentListeningViews, ModelAdmin):
    list_display = ["name", "active", "language", "default_caller_id", "last_synced_at"]
    list_select_related = ["default_caller_id"]
    search_fields = ["name", "provider_agent_id"]
    sortable_by: Sequence[str] = []
    list_per_page = 100
    show_full_result_count = False
    list_fullwidth = True
    actions = None
    fields = [
        "active",
        "paused_reason",
        "default_caller_id",
        "max_concurrent_calls",
        "when_refused",
        "pinned_version",
    ]

    class Media:
        css = {"all": ["calls/leads.css", "calls/calls.css"]}

    def get_fields(self, request: HttpRequest, obj: Agent | None = None) -> list[str]:
        """How it is interrupted, where that is for us to decide."""
        ours = ["confirm_interruption_ms"] if can(Ability.BARGE_IN) else []
        return [*self.fields, *ours]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Else agents are made at the phone company; a sync brings them here."""
        return self.may_create(request)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self.create_there(request, None)

    def has_delete_permission(self, request: HttpRequest, obj: Agent | None = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[AgentChangeList]:
        return AgentChangeList

    def get_urls(self) -> list[URLPattern]:
        def at(tail: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
            found: URLPattern = path(tail, self.admin_site.admin_view(view), name=f"agents_agent_{name}")
            return found

        return [
            at("sync/", require_POST(self.sync), "sync"),
            at("<int:agent_id>/edit/", self.edit, "edit"),
            at("<int:agent_id>/create-there/", self.create_again, "create_there"),
            at("<int:agent_id>/listening/", self.listening, "listening"),
            at("<int:agent_id>/fix/", require_POST(self.fix), "fix"),
            at("<int:agent_id>/call-me/", require_POST(self.call_me), "call_me"),
            *super().get_urls(),
        ]

    def agent_or_404(self, request: HttpRequest, agent_id: int | str, *permissions: str) -> Any:
        """With `heard`. PermissionDenied without `permissions`."""
        if not request.user.has_perms(["agents.view_agent", *permissions]):
            raise PermissionDenied
        try:
            return Agent.objects.select_related("default_caller_id").annotate(heard=heard()).get(pk=agent_id)
        except (Agent.DoesNotExist, ValueError) as error:
            raise Http404 from error

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """What the list links to: the page. The form is one step further, at edit/."""
        if request.method == "POST" or "_popup" in request.GET:
            answer: HttpResponse = self.changeform_view(request, object_id, form_url, extra_context)
            return answer
        agent = self.agent_or_404(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": agent,
            "agent": agent,
            "title": _("AI agent"),
            **page_facts(request, agent),
            **offered(),
            "may_create": self.may_create(request),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/agents/agent/page.html", context)

    def edit(self, request: HttpRequest, agent_id: int) -> HttpResponse:
        self.agent_or_404(request, agent_id, "agents.change_agent")
        answer: HttpResponse = self.changeform_view(request, str(agent_id), "", {"title": _("Edit AI agent")})
        return answer

    def create_again(self, request: HttpRequest, agent_id: int) -> HttpResponse:
        return self.create_there(request, self.agent_or_404(request, agent_id))

    def sync(self, request: HttpRequest) -> HttpResponse:
        if not request.user.has_perm("agents.change_agent"):
            raise PermissionDenied
        refuse_without_settings("Sync")
        hand_back()
        try:
            done = sync.sync(get_provider(), now=timezone.now())
        except ProviderError as error:
            messages.error(
                request, _("The phone company could not be asked: %(why)s") % {"why": error.message}
            )
        else:
            told = _(
                "Synced. AI agents: %(new)d new, %(known)d renewed, %(gone)d gone. "
                "Phone numbers: %(new_numbers)d new, %(known_numbers)d renewed, %(gone_numbers)d gone."
            ) % {
                "new": done.agents.new,
                "known": done.agents.known,
                "gone": done.agents.gone,
                "new_numbers": done.numbers.new,
                "known_numbers": done.numbers.known,
                "gone_numbers": done.numbers.gone,
            }
            messages.success(request, told)
        back = request.POST.get("back", "")
        return redirect(
            "admin:agents_phonenumber_changelist" if back == "numbers" else "admin:agents_agent_changelist"
        )

    def fix(self, request: HttpRequest, agent_id: int) -> HttpResponse:
        """Change at the phone company what was shown, if it is still as it was shown."""
        agent = self.agent_or_404(request, agent_id, "agents.change_agent")
        codes = set(request.POST.getlist("code"))
        _fix, shown = as_shown(agent, codes)
        if not shown:
            messages.error(request, _("There is nothing to change."))
            return self._back(agent)
        hand_back()
        provider = get_provider()
        try:
            sync.store_profile(agent, provider.fetch_agent(agent.provider_agent_id), now=timezone.now())
            fresh, still = as_shown(agent, codes)
            if still != shown:
                messages.warning(
                    request, _("It has been changed there meanwhile. Look again, and decide anew.")
                )
                return self._back(agent)
            sync.store_profile(agent, provider.fix_agent(agent.provider_agent_id, fresh), now=timezone.now())
        except ProviderError as error:
            messages.error(
                request, _("The phone company did not change it: %(why)s") % {"why": error.message}
            )
            return self._back(agent)
        self.log_change(request, agent, f"changed at the phone company: {', '.join(sorted(fresh))}")
        messages.success(request, _("Changed at the phone company, and read back."))
        return self._back(agent)

    def call_me(self, request: HttpRequest, agent_id: int) -> HttpResponse:
        agent = self.agent_or_404(request, agent_id, "calls.place_call")
        try:
            number = phone.to_e164(request.POST.get("number", ""), country=settings.DEFAULT_COUNTRY)
        except phone.BadNumber as error:
            messages.error(request, " ".join(error.messages))
            return self._back(agent)
        request.session[MY_NUMBER] = number
        try:
            asked = dialer.ask(
                number=number,
                agent=agent,
                by=request.user,  # type: ignore[arg-type]
                via=Via.TEST,
                test=True,
                now=timezone.now(),
            )
        except NotAllowed as refused:
            for reason in refused.reasons:
                messages.error(request, reason.text)
        except OnThePhone as busy:
            return redirect("admin:calls_call_change", busy.call.pk)
        except BadRequest as bad:
            messages.error(request, str(bad))
        else:
            return redirect("admin:calls_call_change", asked.call.pk)
        return self._back(agent)

    def _back(self, agent: Agent) -> HttpResponse:
        return redirect("admin:agents_agent_change", agent.pk)


def offered() -> dict[str, Any]:
    """Whether there is anything to sync with; else why not."""
    return {
        "may_sync": can(Ability.CATALOGUE),
        "why_no_sync": "" if can(Ability.CATALOGUE) else WHY_NOT[Ability.CATALOGUE],
    }


def as_shown(agent: Any, codes: set[str]) -> tuple[dict[str, Any], list[Change]]:
    """All that the checks named would have changed, in one request; and as the page shows it."""
    profile = readiness.profile_from_json(agent.profile)
    fix: dict[str, Any] = {}
    for check in readiness.checks_of(agent, heard=agent.heard):
        if check.code in codes and check.fix:
            fix |= check.fix
    return fix, changes_shown(profile, fix) if profile else []


def page_facts(request: HttpRequest, agent: Any) -> dict[str, Any]:
    profile = readiness.profile_from_json(agent.profile)
    checks = readiness.checks_of(agent, heard=agent.heard)
    may_change = request.user.has_perm("agents.change_agent")
    rows = [(check, changes_shown(profile, check.fix) if check.fix and profile else []) for check in checks]
    leads = Lead.objects.visible_to(request.user).order_by("-updated_at")
    chosen = (
        leads.filter(pk=int(asked)).first() if (asked := request.GET.get("lead", "")).isdecimal() else None
    )
    offered = list(leads[:LEADS_OFFERED])
    chosen = chosen or (offered[0] if offered else None)
    values = values_for(lead_variables(chosen), agent=agent)
    return {
        "stop": next((each for each in dialer.in_force() if each.agent_id == agent.pk), None),
        "light": readiness.light(checks),
        "checks": [row for row in rows if row[0].level != Level.GREEN],
        "fine": [check for check in checks if check.level == Level.GREEN],
        "fixable": [check.code for check in checks if check.fix],
        "profile": profile,
        "first_line": spoken(agent.opening_line, values, defaults_of(agent)),
        "leads": offered if chosen in offered or chosen is None else [chosen, *offered],
        "chosen": chosen,
        "variables": [
            (name, values.get(name, defaults_of(agent).get(name, "")), SUPPLIED.get(name, ""))
            for name in sorted(profile.variables_used if profile else ())
        ],
        "my_number": request.session.get(MY_NUMBER, ""),
        "may_change": may_change,
        "may_call": request.user.has_perm("calls.place_call"),
        "calls_url": f"{reverse('admin:calls_call_changelist')}?agent__id__exact={agent.pk}",
        "numbers": list(agent.answers_numbers.all()),
    }
