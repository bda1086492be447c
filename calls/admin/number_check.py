"""*Check* of one number: which of the known failures keeps its calls from passing, and what to do."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from agents.models import NumberSetup
from agents.providers.registry import get_provider
from calls import provider_checks
from calls.admin.number_sheet import NumberSheets
from calls.admin.provider_checks import Shown
from calls.models.clock import database_now


class NumberCheckViews(NumberSheets):
    """Mixed into a ModelAdmin of PhoneNumber."""

    def check_view(self, request: HttpRequest, number_id: int) -> HttpResponse:
        """POST looks now, and waits for Retell and Twilio: a person asked for exactly that."""
        row = self.number_or_404(request, number_id, "agents.change_phonenumber")
        checks = None
        if request.method == "POST":
            found = provider_checks.look_at_number(row, get_provider(), now=database_now())
            checks = [Shown(provider_checks.NUMBER_TITLES[check.code], check) for check in found]
        setup = NumberSetup.objects.filter(number=row.number).first()
        return self.number_sheet(
            request, row, "check.html", title=_("Check a number"), setup=setup, checks=checks
        )
