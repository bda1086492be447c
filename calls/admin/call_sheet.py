"""The sheet before one call: who speaks, from which number, with which words; and whether it may be.

Click one opens it, click two calls. A page of its own; `calls/sheet.js` shows the same page as a dialog.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from agents import phone, variables
from agents.models import Agent, PhoneNumber
from agents.providers.base import NotOffered
from calls import dialer
from calls.admin.call_overrides import PREFIX, override_fields, overrides_given
from calls.admin.ready import ready_card
from calls.admin.scope import may_see, to_call_in_the_way
from calls.dialer import lead_variables
from calls.eligibility import Decision, Verdict, decide, local_times
from calls.models import Call, CallStatus, Direction, Lead, Via

REMEMBERED = "call_sheet"
LONGEST_VARIABLE = 1_000
MENDED_HERE = {"agent_not_ready", "agent_inactive", "no_caller_id"}
"""Reasons that another choice on the sheet may remove, so that its button stays."""


@dataclass(slots=True)
class Remembered:
    """What this person chose last time, kept in their session."""

    agent: Agent | None = None
    our_number: str = ""
    variables: dict[str, str] = field(default_factory=dict)


class SpeakerForm(forms.Form):
    """AI agent, caller ID, and a value for every word the agent needs that nobody else supplies."""

    agent = forms.ModelChoiceField(
        label=gettext_lazy("AI agent"),
        queryset=Agent.objects.none(),
        empty_label=None,
        widget=UnfoldAdminSelectWidget(attrs={"data-reload": ""}),
    )
    our_number = forms.ChoiceField(
        label=gettext_lazy("Caller ID"),
        required=False,
        widget=UnfoldAdminSelectWidget(attrs={"data-reload": ""}),
    )

    def __init__(self, *args: Any, speaker: Agent | None, known: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        agent: Any = self.fields["agent"]
        agent.queryset = Agent.objects.callable_now().select_related("default_caller_id")
        ours: Any = self.fields["our_number"]
        numbers = PhoneNumber.objects.usable()
        ours.choices = [("", _own_number(speaker)), *((row.number, str(row)) for row in numbers)]
        self.variable_names = words_to_fill(speaker, known)
        for name in self.variable_names:
            self.fields[f"say_{name}"] = forms.CharField(
                label=name.replace("_", " ").strip().capitalize() or name,
                required=False,
                max_length=LONGEST_VARIABLE,
                widget=UnfoldAdminTextInputWidget(
                    attrs={"placeholder": variables.defaults_of(speaker).get(name, "")}
                ),
            )

    def variables(self) -> dict[str, str]:
        said = {name: self.cleaned_data.get(f"say_{name}", "") for name in self.variable_names}
        return {name: value for name, value in said.items() if value}


class CallSheetForm(SpeakerForm):
    number = forms.ChoiceField(
        label=gettext_lazy("Number"),
        required=False,
        widget=UnfoldAdminSelectWidget(attrs={"data-reload": ""}),
    )

    def __init__(self, *args: Any, phones: list[Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        number: Any = self.fields["number"]
        number.choices = [
            (one.number, f"{phone.pretty(one.number)} ({one.get_kind_display()})") for one in phones
        ]
        if len(phones) < 2:
            del self.fields["number"]
        self.fields.update(override_fields(kwargs["speaker"]))

    def usual(self) -> list[forms.BoundField]:
        return [field for field in self if not field.name.startswith(PREFIX)]

    def only_this_call(self) -> list[forms.BoundField]:
        return [field for field in self if field.name.startswith(PREFIX)]

    def differs(self) -> bool:
        """Something stands there, or is wrong: not to be folded away."""
        return any(field.value() not in (None, "") or field.errors for field in self.only_this_call())


def _own_number(speaker: Agent | None) -> str:
    if speaker is None:
        return _("the agent's own")
    try:
        return _("The agent's own: %(number)s") % {"number": phone.pretty(dialer.caller_id_for(speaker))}
    except dialer.NoCallerId:
        return _("none: choose one")


def words_to_fill(speaker: Agent | None, known: Mapping[str, str]) -> list[str]:
    """What the agent says as {{name}} that neither we nor this lead's own fields supply."""
    used = speaker.profile.get("variables_used") if speaker is not None else None
    return [name for name in used or [] if name not in variables.SUPPLIED and name not in known]


def usual_agent() -> Agent | None:
    return Agent.objects.callable_now().select_related("default_caller_id").first()


class CallSheetViews:
    """The part of the lead's admin that calls one lead. Mixed into a ModelAdmin of Lead."""

    admin_site: Any
    lead_or_404: Any
    page_context: Any

    def sheet_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<path:object_id>/call/", wrap(self.sheet_view), name="calls_lead_call"),
            path(
                "<path:object_id>/call-now/",
                wrap(require_POST(self.call_now_view)),
                name="calls_lead_call_now",
            ),
        ]

    def remembered(self, request: HttpRequest) -> Remembered:
        """Falls back to the first agent that may call."""
        kept = request.session.get(REMEMBERED, {})
        agents = Agent.objects.callable_now().select_related("default_caller_id")
        agent = agents.filter(pk=kept.get("agent") or 0).first()
        if agent is None:
            return Remembered(usual_agent())
        return Remembered(
            agent, kept.get("our_number", ""), dict(kept.get("variables", {}).get(str(agent.pk), {}))
        )

    def remember(self, request: HttpRequest, form: SpeakerForm) -> None:
        agent = form.cleaned_data["agent"]
        kept = request.session.get(REMEMBERED, {})
        said = {**kept.get("variables", {}), str(agent.pk): form.variables()}
        request.session[REMEMBERED] = {
            "agent": agent.pk,
            "our_number": form.cleaned_data["our_number"],
            "variables": said,
        }

    def sheet_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        lead: Lead = self.lead_or_404(request, object_id, permission="calls.place_call")
        now = timezone.now()
        form, speaker = self.sheet_form(request, lead)
        if request.method == "POST" and form.is_valid():
            answer = self.place(request, lead, form, now=now)
            if answer is not None:
                return answer
        data = form.data if form.is_bound else form.initial
        number, our_number = str(data.get("number") or ""), str(data.get("our_number") or "")
        decision = decide(
            lead,
            now=now,
            agent=speaker,
            number=number,
            our_number=found_caller_id(speaker, our_number),
            variables=[name for name in form.variable_names if data.get(f"say_{name}")],
        )
        facts = sheet_facts(lead, decision, speaker, form, now=now)
        context = {
            **self.page_context(request, lead, _("Call %(name)s") % {"name": lead.name}),
            **facts,
            "may_open_otherwise": f"{PREFIX}opening_line" in form.fields,
            "may_see_waiting": facts["waiting"] is not None and may_see(request, facts["waiting"]),
            "form": form,
            "ready": ready_card(
                speaker,
                supplied={
                    *lead_variables(lead),
                    *(name for name in form.variable_names if data.get(f"say_{name}")),
                },
            ),
        }
        return TemplateResponse(request, "admin/calls/lead/sheet.html", context)

    def sheet_form(self, request: HttpRequest, lead: Lead) -> tuple[CallSheetForm, Agent | None]:
        """Bound when posted; else filled with what the address says, else as remembered."""
        remembered = self.remembered(request)
        given = request.POST if request.method == "POST" else request.GET
        chosen = given.get("agent", "")
        speaker = remembered.agent
        if chosen.isdecimal():
            agents = Agent.objects.callable_now().select_related("default_caller_id")
            speaker = agents.filter(pk=int(chosen)).first() or speaker
        same = speaker == remembered.agent
        known = lead_variables(lead)
        phones = list(lead.phones.all())
        if request.method == "POST":
            return CallSheetForm(request.POST, speaker=speaker, known=known, phones=phones), speaker
        kept = (
            request.session.get(REMEMBERED, {})
            .get("variables", {})
            .get(str(speaker.pk if speaker else ""), {})
        )
        initial: dict[str, Any] = {
            "agent": speaker.pk if speaker else None,
            "our_number": given.get("our_number", remembered.our_number if same else ""),
            "number": given.get("number", ""),
        }
        for name in words_to_fill(speaker, known):
            initial[f"say_{name}"] = given.get(f"say_{name}") or kept.get(name, "")
        initial |= {name: value for name, value in given.items() if name.startswith(PREFIX)}
        return CallSheetForm(initial=initial, speaker=speaker, known=known, phones=phones), speaker

    def place(
        self, request: HttpRequest, lead: Lead, form: CallSheetForm, *, now: datetime
    ) -> HttpResponse | None:
        """Ask for the call. None: it was refused, and the sheet is shown again with the reasons."""
        chosen = form.cleaned_data
        agent: Agent = chosen["agent"]
        try:
            decision = decide(
                lead,
                now=now,
                agent=agent,
                number=chosen.get("number") or "",
                our_number=found_caller_id(agent, chosen["our_number"]),
                variables=form.variables(),
            )
            asked = dialer.ask(
                lead=lead,
                number=decision.number,
                agent=agent,
                by=request.user,  # type: ignore[arg-type]
                via=Via.DESK,
                now=now,
                our_number=chosen["our_number"],
                variables=form.variables(),
                overrides=overrides_given(chosen),
                # A call for tomorrow morning may wait its turn all of tomorrow, not ten minutes.
                not_after=decision.day_ends if decision.verdict == Verdict.LATER and decision.at else None,
                decision=decision,
            )
        except dialer.NotAllowed:
            return None
        except dialer.OnThePhone as busy:
            return to_call_in_the_way(request, busy.call, lead)
        except (dialer.BadRequest, NotOffered) as problem:
            form.add_error(None, str(problem))
            return None
        self.remember(request, form)
        if asked.adopted:
            messages.info(request, _("A call to this number was waiting already: this is the same call."))
            if overrides_given(chosen):
                messages.warning(
                    request, _("It stays as it was asked for: nothing was changed for it alone.")
                )
        return redirect("admin:calls_call_change", asked.call.pk)

    def call_now_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A call that waits for later goes out now instead."""
        lead: Lead = self.lead_or_404(request, object_id, permission="calls.place_call")
        numbers = [one.number for one in lead.phones.all()]
        queued = Call.objects.select_related("agent", "lead").filter(
            counterpart__in=numbers, direction=Direction.OUTBOUND, status=CallStatus.QUEUED
        )
        waiting = next((call for call in queued if str(call.pk) == request.POST.get("call")), None)
        if waiting is None:
            messages.warning(request, _("That call is not waiting any more."))
            return redirect("admin:calls_lead_change", lead.pk)
        try:
            call = dialer.call_now(waiting, by=request.user, now=timezone.now())  # type: ignore[arg-type]
        except dialer.NotAllowed as refusal:
            messages.error(request, " ".join(reason.text for reason in refusal.reasons))
            return redirect("admin:calls_lead_change", lead.pk)
        except dialer.OnThePhone as busy:
            return to_call_in_the_way(request, busy.call, lead)
        return redirect("admin:calls_call_change", call.pk)


def found_caller_id(agent: Agent | None, given: str) -> str:
    """'' when there is none: the decision then says so."""
    if agent is None:
        return ""
    try:
        return dialer.caller_id_for(agent, given)
    except dialer.NoCallerId:
        return ""


def sheet_facts(
    lead: Lead, decision: Decision, speaker: Agent | None, form: SpeakerForm, *, now: datetime
) -> dict[str, Any]:
    clocks = [local for _zone, local in local_times(lead, decision.number, now)]
    waiting_id = next((reason.call_id for reason in decision.reasons if reason.code == "waiting"), "")
    waiting = (
        Call.objects.select_related("batch", "batch__created_by", "lead", "requested_by")
        .filter(pk=waiting_id)
        .first()
        if waiting_id
        else None
    )
    return {
        "decision": decision,
        "clocks": clocks,
        "opens_at": decision.at.astimezone(clocks[0].tzinfo) if decision.at and clocks else decision.at,
        "reasons": [
            reason for reason in decision.reasons if reason.code not in ("waiting", "agent_not_ready")
        ],
        "may_try": all(reason.code in MENDED_HERE for reason in decision.reasons if reason.blocks),
        "waiting": waiting,
        "waits": dialer.waiting(waiting, now=now) if waiting else None,
        "speaker": speaker,
        "first_line": first_line(lead, speaker, form),
    }


def first_line(lead: Lead, speaker: Agent | None, form: SpeakerForm) -> list[variables.Piece]:
    """The opening as this person will hear it; empty when the agent waits, or makes it up."""
    data = form.data if form.is_bound else form.initial
    line = str(data.get(f"{PREFIX}opening_line") or "") or (speaker.opening_line if speaker else "")
    if speaker is None or not line:
        return []
    filled = {name: str(data.get(f"say_{name}") or "") for name in form.variable_names}
    values = variables.values_for(lead_variables(lead), agent=speaker)
    values.update({name: value for name, value in filled.items() if value})
    return variables.spoken(line, values, variables.defaults_of(speaker))
