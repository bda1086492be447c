"""A lead's page: why we called, what was promised, whether we may call now; below, everything that was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from agents import phone
from agents.models import Agent
from calls import dialer, eligibility
from calls.eligibility import local_times
from calls.models import Call, CallBack, CallStatus, DoNotCall, Lead, LeadPhone, Note
from calls.models.callback import CallBackState
from calls.models.do_not_call import DoNotCallSource

AT_A_TIME = 30
LAST_CONTACTS = 3


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the timeline. `kind`: call, note, opt_out, lifted or promise."""

    kind: str
    at: datetime
    row: Any


class NeverForm(forms.Form):
    """Never call again, and why."""

    reason = forms.CharField(
        label=gettext_lazy("Why"),
        max_length=300,
        widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True}),
        help_text=gettext_lazy("What the person said, so that whoever asks later can be answered."),
    )
    numbers = forms.MultipleChoiceField(label=gettext_lazy("Numbers"), widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args: Any, phones: list[LeadPhone], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        numbers: Any = self.fields["numbers"]
        numbers.choices = [(one.number, one.number) for one in phones]
        numbers.initial = [one.number for one in phones]


class CallBackForm(forms.Form):
    """When to call back, on the clock of the person called."""

    number = forms.ChoiceField(label=gettext_lazy("Number"), widget=UnfoldAdminSelectWidget)
    when = forms.DateTimeField(
        label=gettext_lazy("When, on their clock"),
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local", "autofocus": True}),
    )
    agent = forms.ModelChoiceField(
        label=gettext_lazy("AI agent"),
        queryset=Agent.objects.none(),
        empty_label=None,
        widget=UnfoldAdminSelectWidget,
    )
    note = forms.CharField(
        label=gettext_lazy("What was promised"),
        max_length=300,
        required=False,
        widget=UnfoldAdminTextInputWidget,
    )

    def __init__(
        self, *args: Any, phones: list[LeadPhone], zone: ZoneInfo, now: datetime, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.zone, self.now = zone, now
        number: Any = self.fields["number"]
        number.choices = [(one.number, phone.pretty(one.number)) for one in phones]
        agent: Any = self.fields["agent"]
        agent.queryset = Agent.objects.callable_now()

    def clean_number(self) -> str:
        number: str = self.cleaned_data["number"]
        if DoNotCall.objects.in_force().filter(number=number).exists():
            raise forms.ValidationError(
                _("%(number)s is on the do-not-call list: nobody may call there.")
                % {"number": phone.pretty(number)}
            )
        return number

    def clean_when(self) -> datetime:
        # Read as a wall clock, whatever zone the page itself is shown in.
        clock: datetime = self.cleaned_data["when"].replace(tzinfo=None)
        when = clock.replace(tzinfo=self.zone)
        if when <= self.now:
            raise forms.ValidationError(
                _("That is over already: it is %(now)s there.")
                % {
                    "now": self.now.astimezone(self.zone).strftime("%H:%M"),
                }
            )
        return when


class LeadPageViews:
    """The part of the lead's admin that is the page and its buttons. Mixed into a ModelAdmin of Lead."""

    admin_site: Any
    opts: Any
    get_object: Any
    changeform_view: Any
    has_view_permission: Any
    has_change_permission: Any

    def page_urls(self) -> list[URLPattern]:
        def at(tail: str, view: Any, name: str) -> Any:
            return path(
                f"<path:object_id>/{tail}/", self.admin_site.admin_view(view), name=f"calls_lead_{name}"
            )

        return [
            at("edit", self.edit_view, "edit"),
            at("note", require_POST(self.add_note), "note"),
            at("never", self.never_view, "never"),
            at("lift", require_POST(self.lift), "lift"),
            at("call-back", self.call_back_view, "call_back"),
            at("drop-promise", require_POST(self.drop_promise), "drop_promise"),
        ]

    def lead_or_404(
        self, request: HttpRequest, object_id: str, *, permission: str = "calls.view_lead"
    ) -> Lead:
        """The lead if this person may see it: PermissionDenied without `permission`, 404 out of scope."""
        if not request.user.has_perm(permission):
            raise PermissionDenied
        lead: Lead | None = self.get_object(request, unquote(object_id))
        if lead is None:
            raise Http404
        return lead

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
        lead = self.lead_or_404(request, object_id)
        context = {
            **self.page_context(request, lead, _("Lead")),
            **page_facts(request, lead, now=timezone.now()),
        }
        return TemplateResponse(request, "admin/calls/lead/page.html", context)

    def page_context(self, request: HttpRequest, lead: Lead, title: str) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": lead,
            "lead": lead,
            "title": title,
            "phones": list(lead.phones.all()),
            "may_call": request.user.has_perm("calls.place_call"),
            "why_no_desk_call": dialer.why_not_from_a_telephone(),
            "may_edit": self.has_change_permission(request, lead),
        }

    def edit_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.lead_or_404(request, object_id)
        answer: HttpResponse = self.changeform_view(request, object_id, "", {"title": _("Edit lead")})
        return answer

    def add_note(self, request: HttpRequest, object_id: str) -> HttpResponse:
        lead = self.lead_or_404(request, object_id, permission="calls.add_note")
        text = request.POST.get("text", "").replace("\x00", "").strip()
        if text:
            Note.objects.create(lead=lead, author_id=request.user.pk, text=text)
        else:
            messages.error(request, _("There is nothing in the note."))
        return redirect("admin:calls_lead_change", lead.pk)

    def never_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        lead = self.lead_or_404(request, object_id, permission="calls.add_donotcall")
        phones = list(lead.phones.all())
        form = NeverForm(request.POST or None, phones=phones)
        if request.method == "POST" and form.is_valid():
            cancelled = 0
            for number in form.cleaned_data["numbers"]:
                done = eligibility.opt_out(
                    number,
                    reason=form.cleaned_data["reason"],
                    source=DoNotCallSource.STAFF,
                    now=timezone.now(),
                    by=request.user,  # type: ignore[arg-type]
                    lead=lead,
                )
                cancelled += len(done.canceled) + len(done.marked)
            told = _("%(name)s will never be called again.") % {"name": lead.name}
            if cancelled:
                told += " " + _("Calls cancelled: %(count)d.") % {"count": cancelled}
            messages.success(request, told)
            return redirect("admin:calls_lead_change", lead.pk)
        context = {**self.page_context(request, lead, _("Never call again")), "form": form}
        return TemplateResponse(request, "admin/calls/lead/never.html", context)

    def lift(self, request: HttpRequest, object_id: str) -> HttpResponse:
        lead = self.lead_or_404(request, object_id, permission="calls.lift_donotcall")
        entry = opt_outs_of(lead).in_force().filter(pk=row_id(request.POST.get("entry"))).first()
        if entry is None:
            raise Http404
        try:
            eligibility.lift(
                entry,
                by=request.user,  # type: ignore[arg-type]
                reason=request.POST.get("reason", ""),
                now=timezone.now(),
            )
        except ValueError:
            messages.error(request, _("Say why the number may be called again."))
        else:
            messages.success(request, _("The number may be called again."))
        return redirect("admin:calls_lead_change", lead.pk)

    def call_back_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        lead = self.lead_or_404(request, object_id, permission="calls.add_callback")
        now = timezone.now()
        phones = list(lead.phones.all())
        clocks = local_times(lead, phones[0].number if phones else "", now)
        zone = ZoneInfo(clocks[0][0]) if clocks else ZoneInfo(timezone.get_current_timezone_name())
        form = CallBackForm(request.POST or None, phones=phones, zone=zone, now=now)
        if request.method == "POST" and form.is_valid():
            chosen = form.cleaned_data
            dialer.promise(
                lead,
                number=chosen["number"],
                at=chosen["when"],
                agent=chosen["agent"],
                now=now,
                by=request.user,  # type: ignore[arg-type]
                note=chosen["note"],
            )
            messages.success(request, _("%(name)s will be called back.") % {"name": lead.name})
            return redirect("admin:calls_lead_change", lead.pk)
        context = {
            **self.page_context(request, lead, _("Call back")),
            "form": form,
            "zone": zone.key,
            "there": now.astimezone(zone),
            "several": len(clocks) > 1,
        }
        return TemplateResponse(request, "admin/calls/lead/call_back.html", context)

    def drop_promise(self, request: HttpRequest, object_id: str) -> HttpResponse:
        lead = self.lead_or_404(request, object_id, permission="calls.change_callback")
        promised = CallBack.objects.filter(lead=lead, pk=row_id(request.POST.get("promise"))).first()
        if promised is None:
            raise Http404
        by: Any = request.user
        if request.POST.get("done"):
            done = dialer.finish_task(promised, by=by, now=timezone.now())
            messages.success(request, _("Done.") if done else _("It was done or dropped already."))
        else:
            dialer.drop_promise(promised, by=by, now=timezone.now())
            messages.success(
                request, _("The task was dropped.") if promised.is_task else _("The call-back was dropped.")
            )
        return redirect("admin:calls_lead_change", lead.pk)


def row_id(text: str | None) -> int:
    """0, that no row has, for what is no number."""
    return int(text) if text and text.isdecimal() else 0


def calls_of(lead: Lead) -> QuerySet[Call]:
    """Every call in and out, those of a time when nobody knew whose number it was included; no test call."""
    numbers = [one.number for one in lead.phones.all()]
    rows = Call.objects.filter(Q(lead=lead) | Q(lead__isnull=True, counterpart__in=numbers), test=False)
    return (
        rows.select_related("agent", "requested_by")
        .defer("request_body", "analysis")
        .order_by("-requested_at")
    )


def opt_outs_of(lead: Lead) -> Any:
    numbers = [one.number for one in lead.phones.all()]
    return DoNotCall.objects.filter(Q(number__in=numbers) | Q(lead=lead)).select_related(
        "created_by", "lifted_by"
    )


def page_facts(request: HttpRequest, lead: Lead, *, now: datetime) -> dict[str, Any]:
    """What the page shows, each piece with one query."""
    decision = eligibility.decide(lead, now=now)
    clocks = [local for _zone, local in local_times(lead, decision.number, now)]
    before = parse_datetime(request.GET.get("before", "")) if request.GET.get("before") else None
    if before is not None and timezone.is_naive(before):
        before = timezone.make_aware(before)
    happenings = timeline(lead, before=before)
    waiting = calls_of(lead).filter(status=CallStatus.QUEUED).select_related("batch", "lead").first()
    return {
        "decision": decision,
        "clocks": clocks,
        "opens_at": decision.at.astimezone(clocks[0].tzinfo) if decision.at and clocks else decision.at,
        "opt_outs": list(opt_outs_of(lead).in_force()),
        "may_lift": request.user.has_perm("calls.lift_donotcall"),
        "may_note": request.user.has_perm("calls.add_note"),
        "may_opt_out": request.user.has_perm("calls.add_donotcall"),
        "may_promise": request.user.has_perm("calls.add_callback"),
        "promise": CallBack.objects.filter(lead=lead, state__in=[CallBackState.OPEN, CallBackState.QUEUED])
        .select_related("agent", "promised_by")
        .first(),
        "said": calls_of(lead).exclude(promise="").first(),
        "contacts": list(calls_of(lead).exclude(status=CallStatus.QUEUED)[:LAST_CONTACTS]),
        "waiting": waiting,
        "waits": dialer.waiting(waiting, now=now) if waiting else None,
        "happenings": happenings[:AT_A_TIME],
        "older": happenings[AT_A_TIME - 1].at.isoformat() if len(happenings) > AT_A_TIME else "",
        "later_page": before is not None,
    }


def timeline(lead: Lead, *, before: datetime | None) -> list[Happening]:
    """The newest AT_A_TIME + 1 of everything, newest first."""

    def newest(rows: Any, field: str) -> Any:
        rows = (
            rows.filter(**{f"{field}__lt": before}) if before else rows.filter(**{f"{field}__isnull": False})
        )
        return rows.order_by(f"-{field}")[: AT_A_TIME + 1]

    notes = Note.objects.filter(Q(lead=lead) | Q(call__lead=lead)).select_related("author")
    found = [
        *(Happening("call", row.requested_at, row) for row in newest(calls_of(lead), "requested_at")),
        *(Happening("note", row.created_at, row) for row in newest(notes, "created_at")),
        *(Happening("opt_out", row.created_at, row) for row in newest(opt_outs_of(lead), "created_at")),
        *(Happening("lifted", row.lifted_at, row) for row in newest(opt_outs_of(lead), "lifted_at")),
        *(
            Happening("promise", row.created_at, row)
            for row in newest(
                CallBack.objects.filter(lead=lead).select_related("agent", "promised_by"), "created_at"
            )
        ),
    ]
    return sorted(found, key=lambda happening: happening.at, reverse=True)[: AT_A_TIME + 1]
