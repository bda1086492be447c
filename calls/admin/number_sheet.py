"""What every sheet about one of our numbers shares: whose it is, and its frame."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse

from agents.models import PhoneNumber


class NumberSheets:
    """Mixed into a ModelAdmin of PhoneNumber, through the sheets that are."""

    admin_site: Any
    opts: Any
    log_change: Any

    def number_or_404(self, request: HttpRequest, number_id: int, *permissions: str) -> PhoneNumber:
        """PermissionDenied without `permissions`."""
        if not request.user.has_perms(["agents.view_phonenumber", *permissions]):
            raise PermissionDenied
        return get_object_or_404(PhoneNumber, pk=number_id)

    def number_sheet(
        self, request: HttpRequest, row: PhoneNumber, template: str, *, title: str, **told: Any
    ) -> HttpResponse:
        """`template` is a name under admin/agents/phonenumber/; `told` is what it says besides."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": row,
            "number": row,
            "title": title,
            **told,
        }
        return TemplateResponse(request, f"admin/agents/phonenumber/{template}", context)
