"""What a person says with the steps of a number's set-up."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from agents import phone
from agents.models import Agent, NumberSetup, PhoneNumber

LONGEST = 100


def _e164(text: str) -> str:
    """Raises BadNumber, which is a ValidationError."""
    return phone.to_e164(text, country=settings.DEFAULT_COUNTRY)


class TrunkForm(forms.Form):
    trunk = forms.CharField(
        label=gettext_lazy("Use this trunk of the account"),
        required=False,
        max_length=LONGEST,
        help_text=gettext_lazy(
            "Its domain, such as company.pstn.twilio.com. Empty: one of ours, or else a new one."
        ),
        widget=UnfoldAdminTextInputWidget,
    )


class ImportForm(forms.Form):
    """Who answers, who calls, and who is rung when nobody can answer."""

    inbound_agent = forms.ModelChoiceField(
        label=gettext_lazy("Who answers"),
        queryset=Agent.objects.none(),
        empty_label=gettext_lazy("choose"),
        help_text=gettext_lazy("Whoever was called by another AI agent gets that one again."),
        widget=UnfoldAdminSelectWidget,
    )
    outbound_agent = forms.ModelChoiceField(
        label=gettext_lazy("Who calls"),
        queryset=Agent.objects.none(),
        empty_label=gettext_lazy("choose"),
        help_text=gettext_lazy("For the call that proves it; each call says itself who makes it."),
        widget=UnfoldAdminSelectWidget,
    )
    fallback_number = forms.CharField(
        label=gettext_lazy("Number to fall back to"),
        max_length=40,
        help_text=gettext_lazy("Rung when Retell has no room for a call: a telephone where somebody is."),
        widget=UnfoldAdminTextInputWidget(attrs={"type": "tel"}),
    )

    def __init__(self, data: QueryDict | None, *, setup: NumberSetup) -> None:
        known = {
            "inbound_agent": setup.inbound_agent_id,
            "outbound_agent": setup.outbound_agent_id,
            "fallback_number": setup.fallback_number,
        }
        super().__init__(data, initial=known)
        self._number = setup.number
        for name in ("inbound_agent", "outbound_agent"):
            field: Any = self.fields[name]
            field.queryset = Agent.objects.callable_now()

    def clean_fallback_number(self) -> str:
        number = _e164(self.cleaned_data["fallback_number"])
        if number == self._number:
            raise forms.ValidationError(_("It cannot fall back to itself."))
        if PhoneNumber.objects.filter(number=number).exclude(fallback_number="").exists():
            raise forms.ValidationError(
                _("That number falls back to another itself: Retell does not allow it.")
            )
        return number


class RingForm(forms.Form):
    number = forms.CharField(
        label=gettext_lazy("My telephone"),
        max_length=40,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "tel", "autocomplete": "tel"}),
    )

    def clean_number(self) -> str:
        return _e164(self.cleaned_data["number"])
