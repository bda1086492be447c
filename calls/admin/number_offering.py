"""Calling from a number that people might ring back in vain: an administrator's word, with a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from agents import number_completion
from agents.models import NumberSetup, PhoneNumber
from calls.admin.number_sheet import NumberSheets

PERMISSION = "agents.offer_unproved_number"


class OfferForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Why it is offered all the same"),
        max_length=300,
        widget=UnfoldAdminTextInputWidget,
    )


def offer_all_the_same(
    request: HttpRequest, row: PhoneNumber, reason: str, *, log_change: Callable[..., object]
) -> None:
    """An empty reason takes it back. Raises PermissionDenied."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    number_completion.offer(row, reason=reason, by=request.user, now=timezone.now())
    told = f"offered as caller ID all the same: {reason}" if reason else "no longer offered all the same"
    log_change(request, row, told)
    if row.is_usable:
        messages.success(request, _("It is offered as caller ID."))
    else:
        messages.success(request, _("It is not offered as caller ID until people can ring it back."))


def offering(request: HttpRequest, row: PhoneNumber) -> dict[str, Any]:
    """For the number's page: whether people ring it back in vain, and what it takes."""
    setup = NumberSetup.objects.filter(number=row.number).first()
    nobody_answers = number_completion.nobody_answers(row)
    return {
        "its_setup": setup,
        "nobody_answers": nobody_answers,
        "in_vain": nobody_answers if setup is None else setup.completed_at is None,
        "may_offer": request.user.has_perm(PERMISSION),
    }


class NumberOfferViews(NumberSheets):
    """The part of the phone numbers' admin for that. Mixed into a ModelAdmin of PhoneNumber."""

    def offer(self, request: HttpRequest, number_id: int) -> HttpResponse:
        row = self.number_or_404(request, number_id, PERMISSION)
        taken_back = request.POST.get("do") == "offer_no_more"
        form = OfferForm(request.POST if request.method == "POST" and not taken_back else None)
        if taken_back or form.is_valid():
            reason = "" if taken_back else form.cleaned_data["reason"]
            offer_all_the_same(request, row, reason, log_change=self.log_change)
            return redirect("admin:agents_phonenumber_change", row.pk)
        return self.number_sheet(
            request, row, "offer.html", title=_("Offer as caller ID all the same"), form=form
        )
