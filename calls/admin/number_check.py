"""*Check* of one number: which of the known failures keeps its calls from passing, and what to do."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from agents.models import NumberSetup, PhoneNumber
from agents.providers.registry import get_provider
from calls import provider_checks
from calls.admin.provider_checks import Shown
from calls.models.clock import database_now


class NumberCheckViews:
    """Mixed into a ModelAdmin of PhoneNumber."""

    admin_site: Any
    opts: Any

    def check_view(self, request: HttpRequest, number_id: int) -> HttpResponse:
        """POST looks now, and waits for Retell and Twilio: a person asked for exactly that."""
        if not request.user.has_perm("agents.change_phonenumber"):
            raise PermissionDenied
        row = get_object_or_404(PhoneNumber, pk=number_id)
        checks = None
        if request.method == "POST":
            found = provider_checks.look_at_number(row, get_provider(), now=database_now())
            checks = [Shown(provider_checks.NUMBER_TITLES[check.code], check) for check in found]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Check a number"),
            "number": row,
            "setup": NumberSetup.objects.filter(number=row.number).first(),
            "checks": checks,
        }
        return TemplateResponse(request, "admin/agents/phonenumber/check.html", context)
