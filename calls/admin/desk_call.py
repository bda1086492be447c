"""*Call from my phone*: a person calls a lead without AI. Their own telephone is asked for once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from agents import phone
from agents.models import PhoneNumber
from calls import desk_talk, dialer
from calls.admin.scope import to_call_in_the_way
from calls.eligibility import Decision, Verdict, decide, local_times
from calls.models import Lead, LeadPhone, StaffPhone, Via

MENDED_HERE = {"no_caller_id"}


class DeskCallForm(forms.Form):
    """Which telephone of mine, which number of theirs, and from which of ours they see the call come."""

    own_number = forms.CharField(
        label=gettext_lazy("My telephone"),
        max_length=40,
        help_text=gettext_lazy("It is rung first; press 1 to be connected. Kept for the next time."),
        widget=UnfoldAdminTextInputWidget(attrs={"type": "tel", "autocomplete": "tel"}),
    )
    number = forms.ChoiceField(label=gettext_lazy("Number"), required=False, widget=UnfoldAdminSelectWidget)
    our_number = forms.ChoiceField(
        label=gettext_lazy("Caller ID"), required=False, widget=UnfoldAdminSelectWidget
    )

    def __init__(self, *args: Any, phones: list[LeadPhone], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        number: Any = self.fields["number"]
        number.choices = [
            (one.number, f"{phone.pretty(one.number)} ({one.get_kind_display()})") for one in phones
        ]
        if len(phones) < 2:
            del self.fields["number"]
        ours: Any = self.fields["our_number"]
        ours.choices = [
            ("", _usual_number()),
            *((row.number, str(row)) for row in PhoneNumber.objects.usable()),
        ]

    def clean_own_number(self) -> str:
        number = phone.to_e164(self.cleaned_data["own_number"], country=settings.DEFAULT_COUNTRY)
        if why_not := dialer.why_not_ours(number):
            raise forms.ValidationError(why_not)
        return number


def _usual_number() -> str:
    try:
        return _("The usual one: %(number)s") % {"number": phone.pretty(dialer.caller_id_for(None))}
    except dialer.NoCallerId:
        return _("none: choose one")


class DeskCallViews:
    """The part of the lead's admin by which a person calls. Mixed into a ModelAdmin of Lead."""

    admin_site: Any
    lead_or_404: Any
    page_context: Any

    def desk_urls(self) -> list[URLPattern]:
        return [
            path(
                "<path:object_id>/call-from-my-phone/",
                self.admin_site.admin_view(self.desk_view),
                name="calls_lead_desk_call",
            )
        ]

    def desk_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        lead: Lead = self.lead_or_404(request, object_id, permission="calls.place_call")
        now = timezone.now()
        why_not = dialer.why_not_from_a_telephone()
        phones = list(lead.phones.all())
        form = DeskCallForm(
            request.POST if request.method == "POST" else None,
            initial={"own_number": desk_talk.phone_of(request.user), "number": request.GET.get("number", "")},
            phones=phones,
        )
        if request.method == "POST" and not why_not and form.is_valid():
            answer = self._call_from_phone(request, lead, form, now=now)
            if answer is not None:
                return answer
        data = form.data if form.is_bound else form.initial
        decision = decide(lead, now=now, number=str(data.get("number") or ""))
        clocks = [local for _zone, local in local_times(lead, decision.number, now)]
        context = {
            **self.page_context(request, lead, _("Call %(name)s from my phone") % {"name": lead.name}),
            "form": form,
            "decision": decision,
            "clocks": clocks,
            "opens_at": decision.at.astimezone(clocks[0].tzinfo) if decision.at and clocks else decision.at,
            "reasons": [reason for reason in decision.reasons if reason.code != "waiting"],
            "waiting": any(reason.code == "waiting" for reason in decision.reasons),
            "why_not": why_not,
            "notice": settings.RECORDING_NOTICE,
        }
        return TemplateResponse(request, "admin/calls/lead/desk_call.html", context)

    def _call_from_phone(
        self, request: HttpRequest, lead: Lead, form: DeskCallForm, *, now: datetime
    ) -> HttpResponse | None:
        """None: it was refused, and the sheet is shown again with the reasons."""
        chosen = form.cleaned_data
        StaffPhone.objects.update_or_create(
            user_id=request.user.pk or 0, defaults={"number": chosen["own_number"]}
        )
        decision: Decision = decide(lead, now=now, number=chosen.get("number") or "")
        if decision.verdict == Verdict.LATER and any(r.code != "waiting" for r in decision.reasons):
            # A telephone that rings hours later finds nobody: the person asks again when it may be.
            return None
        try:
            asked = dialer.ask(
                lead=lead,
                number=decision.number,
                agent=None,
                desk_number=chosen["own_number"],
                by=request.user,  # type: ignore[arg-type]
                via=Via.DESK,
                now=now,
                our_number=chosen["our_number"],
                decision=decision,
            )
        except dialer.NotAllowed:
            return None
        except dialer.OnThePhone as busy:
            return to_call_in_the_way(request, busy.call, lead)
        except dialer.BadRequest as problem:
            form.add_error(None, str(problem))
            return None
        if asked.adopted:
            messages.info(request, _("A call to this number was waiting: you make it instead."))
        return redirect("admin:calls_call_change", asked.call.pk)
