"""The good name of a number: what has to be done for it elsewhere, noted here by hand with a date.

Nobody can be asked whether it was done: the phone company tells some of it to nobody, the carriers none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from agents.models import PhoneNumber
from calls import dialer
from calls.admin.number_sheet import NumberSheets
from calls.models import NumberStanding, StandingItem, StandingState

WHAT_FOR: Mapping[str, tuple[Any, Any]] = {
    StandingItem.BUSINESS_PROFILE: (
        gettext_lazy("Twilio checks once who the company is; attestation and caller name are built on it."),
        gettext_lazy("In Twilio's console under Trust Hub, Customer Profiles."),
    ),
    StandingItem.ATTESTATION: (
        gettext_lazy(
            "With it calls are signed with the highest attestation (A): the caller is known and may use the"
            " number. Calls signed lower, or not at all, are more often labelled as spam."
        ),
        gettext_lazy("In Twilio's console under Trust Hub: a SHAKEN/STIR trust product, sent in for review."),
    ),
    StandingItem.ASSIGNMENT: (
        gettext_lazy("Only numbers that are assigned to the product are signed that way."),
        gettext_lazy("In Twilio's console: add the number to the business profile, then to the product."),
    ),
    StandingItem.CALLER_NAME: (
        gettext_lazy("The name that some telephones show with the number, 15 characters at most."),
        gettext_lazy("In Twilio's console under Trust Hub, CNAM; only for numbers of the United States."),
    ),
    StandingItem.CARRIERS: (
        gettext_lazy(
            "First Orion, Hiya and TNS decide for the American carriers which calls are shown as “Spam"
            " likely”. Registering tells them whose the number is; alone it clears no label."
        ),
        gettext_lazy("By hand at freecallerregistry.com, one form for all three; note the id it gives."),
    ),
}
"""Of each item what it is for, and where it is done."""


@dataclass(frozen=True, slots=True)
class Item:
    code: str
    label: str
    what_for: str
    where: str
    row: NumberStanding | None

    @property
    def done(self) -> bool:
        return self.row is not None


def _text(label: Any, longest: int, help_text: Any = "") -> Any:
    return forms.CharField(
        label=label,
        max_length=longest,
        required=False,
        help_text=help_text,
        widget=UnfoldAdminTextInputWidget,
    )


class StandingForm(forms.Form):
    """Of one item. Nothing chosen: it is still to be done."""

    state = forms.ChoiceField(
        label=gettext_lazy("State"),
        choices=[("", gettext_lazy("To be done")), *StandingState.choices],
        required=False,
        widget=UnfoldAdminSelectWidget,
    )
    done_on = forms.DateField(
        label=gettext_lazy("Done on"),
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
    )
    reference = _text(gettext_lazy("Reference"), 120, gettext_lazy("An id to find it again by there."))
    note = _text(gettext_lazy("Note"), 300)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        done = given.get("state") == StandingState.DONE
        day = given.get("done_on")
        if done and day is None and "done_on" not in self.errors:
            self.add_error("done_on", _("On which day was it done?"))
        if day is not None and not done:
            self.add_error("done_on", _("A day belongs to what is done: choose “Done”, or leave it empty."))
        if day is not None and day > dialer.caps.day_of(timezone.now())[0]:
            self.add_error("done_on", _("That day is still to come."))
        return given


class NumberStandingViews(NumberSheets):
    """The part of the phone numbers' admin with the checklist. Mixed into a ModelAdmin of PhoneNumber."""

    def note_standing(self, request: HttpRequest, number_id: int, item: str) -> HttpResponse:
        """The form of one item, and keeping it."""
        row = self.number_or_404(request, number_id, "agents.change_phonenumber")
        found = next((each for each in checklist(row) if each.code == item), None)
        if found is None:
            raise Http404
        kept = found.row
        initial = {name: getattr(kept, name) for name in StandingForm.base_fields} if kept else {}
        form = StandingForm(request.POST or None, initial=initial)
        if request.method == "POST" and form.is_valid():
            said = _keep(row, item, form.cleaned_data, by=request.user)
            self.log_change(request, row, f"{StandingItem(item).label}: {said}")
            messages.success(request, _("Noted."))
            return redirect("admin:agents_phonenumber_change", row.pk)
        return self.number_sheet(request, row, "note_standing.html", title=found.label, item=found, form=form)


def _keep(row: PhoneNumber, item: str, given: Mapping[str, Any], *, by: Any) -> str:
    """What is now noted, for the log."""
    if not given["state"]:
        NumberStanding.objects.filter(number=row, item=item).delete()
        return "to be done"
    noted = {**given, "noted_by": by if isinstance(by, User) else None, "noted_at": timezone.now()}
    NumberStanding.objects.update_or_create(number=row, item=item, defaults=noted)
    told = [given["state"], given["done_on"], given["reference"], given["note"]]
    return ", ".join(str(each) for each in told if each)


def checklist(row: PhoneNumber) -> list[Item]:
    """Every item, in the order in which they are done."""
    noted = NumberStanding.objects.filter(number=row).select_related("noted_by")
    rows = {each.item: each for each in noted}
    return [
        Item(item, str(item.label), str(WHAT_FOR[item][0]), str(WHAT_FOR[item][1]), rows.get(item))
        for item in StandingItem
    ]


def standing_said(rows: Iterable[PhoneNumber]) -> dict[int, str]:
    """How far the checklist of each number is, by its pk."""
    counts = dict.fromkeys([row.pk for row in rows], 0)
    noted = NumberStanding.objects.filter(number__in=list(counts)).order_by()
    for pk in noted.values_list("number", flat=True):
        counts[pk] += 1
    most = len(StandingItem)
    return {
        pk: _("%(done)d of %(most)d") % {"done": count, "most": most} if count < most else _("Complete")
        for pk, count in counts.items()
    }
